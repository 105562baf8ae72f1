/*-------------------------------------------------------------------------
 *
 * measure.c
 *	  How good a set of verdicts is, with intervals.
 *
 * Formulas and their sources are in docs/metrics.md.  Rows without a verdict
 * are counted apart and enter no other measure.  An empty denominator makes a
 * measure undefined, never zero, except that MCC is 0 when a margin is empty
 * (its limit).  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "common/pg_prng.h"

#include "judge/judge_internal.h"

#define RESAMPLES 2000
#define EQUAL_VALUES 1e-9

typedef struct Counts
{
	double		tp;
	double		fp;
	double		fn;
	double		tn;
} Counts;

/* A measure of some rows, given by index; false = undefined. */
typedef bool (*Measure) (const JudgeOutcome *outcomes, const int *rows, int n, double *value);

static Counts
count(const JudgeOutcome *outcomes, const int *rows, int n)
{
	Counts		c = {0};

	for (int i = 0; i < n; i++)
	{
		const JudgeOutcome *o = &outcomes[rows[i]];

		if (o->expected)
			*(o->positive ? &c.tp : &c.fn) += 1;
		else
			*(o->positive ? &c.fp : &c.tn) += 1;
	}
	return c;
}

static bool
ratio(double part, double whole, double *value)
{
	*value = whole > 0 ? part / whole : 0;
	return whole > 0;
}

static bool
balanced_accuracy(const JudgeOutcome *outcomes, const int *rows, int n, double *value)
{
	Counts		c = count(outcomes, rows, n);
	double		recall;
	double		specificity;

	if (!ratio(c.tp, c.tp + c.fn, &recall) || !ratio(c.tn, c.tn + c.fp, &specificity))
		return false;
	*value = (recall + specificity) / 2;
	return true;
}

static bool
f1(const JudgeOutcome *outcomes, const int *rows, int n, double *value)
{
	Counts		c = count(outcomes, rows, n);

	return ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn, value);
}

/* Matthews correlation coefficient; 0 when a margin is empty. */
static bool
mcc(const JudgeOutcome *outcomes, const int *rows, int n, double *value)
{
	Counts		c = count(outcomes, rows, n);
	double		margins = (c.tp + c.fp) * (c.tp + c.fn) * (c.tn + c.fp) * (c.tn + c.fn);

	*value = margins > 0 ? (c.tp * c.tn - c.fp * c.fn) / sqrt(margins) : 0;
	return n > 0;
}

/* Cohen's kappa; undefined when chance alone agrees always. */
static bool
kappa(const JudgeOutcome *outcomes, const int *rows, int n, double *value)
{
	Counts		c = count(outcomes, rows, n);
	double		observed;
	double		chance;

	if (n == 0)
		return false;
	observed = (c.tp + c.tn) / n;
	chance = ((c.tp + c.fp) * (c.tp + c.fn) + (c.tn + c.fn) * (c.tn + c.fp)) / ((double) n * n);
	return ratio(observed - chance, 1 - chance, value);
}

typedef struct Scored
{
	double		score;
	bool		expected;
} Scored;

static int
compare_scored(const void *a, const void *b)
{
	double		x = ((const Scored *) a)->score;
	double		y = ((const Scored *) b)->score;

	return (x > y) - (x < y);
}

static Scored *
sort_scored(const JudgeOutcome *outcomes, const int *rows, int n, int *nscored, int *npositive)
{
	Scored	   *scored = palloc(sizeof(Scored) * Max(n, 1));

	*nscored = *npositive = 0;
	for (int i = 0; i < n; i++)
	{
		const JudgeOutcome *o = &outcomes[rows ? rows[i] : i];

		if (!o->decided || !o->scored)
			continue;
		scored[*nscored].score = o->score;
		scored[(*nscored)++].expected = o->expected;
		*npositive += o->expected;
	}
	qsort(scored, *nscored, sizeof(Scored), compare_scored);
	return scored;
}

/* Area under the ROC curve by mid-ranks (Mann-Whitney). */
static bool
auroc(const JudgeOutcome *outcomes, const int *rows, int n, double *value)
{
	int			nscored;
	int			npositive;
	Scored	   *scored = sort_scored(outcomes, rows, n, &nscored, &npositive);
	int			nnegative = nscored - npositive;
	double		rank_sum = 0;
	int			j;

	for (int i = 0; i < nscored; i = j)
	{
		int			tied_positive = 0;

		for (j = i; j < nscored && scored[j].score == scored[i].score; j++)
			tied_positive += scored[j].expected;
		rank_sum += tied_positive * ((i + 1 + j) / 2.0);
	}
	pfree(scored);
	return ratio(rank_sum - npositive * (npositive + 1) / 2.0,
				 (double) npositive * nnegative, value);
}

/*
 * Intervals
 */

void
gepa_judge_wilson(JudgeMeasure *measure, double part, double whole)
{
	JudgeInterval interval;

	measure->defined = ratio(part, whole, &measure->value);
	if (!measure->defined)
		return;
	interval = gepa_judge_wilson_interval(measure->value, whole, Z95);
	measure->has_interval = true;
	measure->low = interval.low;
	measure->high = interval.high;
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Quantile by linear interpolation of a sorted list. */
static double
quantile(const double *sorted, int n, double q)
{
	double		at = q * (n - 1);
	int			below = (int) floor(at);

	if (below + 1 >= n)
		return sorted[n - 1];
	return sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]);
}

/* Percentile bootstrap over rows; undefined resamples are left out. */
static void
bootstrap(JudgeMeasure *measure, Measure function, const JudgeOutcome *outcomes,
		  const int *rows, int n, uint64 seed)
{
	pg_prng_state state;
	double	   *values = palloc(sizeof(double) * RESAMPLES);
	int		   *drawn = palloc(sizeof(int) * Max(n, 1));
	int			nvalues = 0;

	measure->defined = function(outcomes, rows, n, &measure->value);
	pg_prng_seed(&state, seed);
	for (int b = 0; b < RESAMPLES && measure->defined; b++)
	{
		for (int i = 0; i < n; i++)
			drawn[i] = rows[pg_prng_uint64_range(&state, 0, n - 1)];
		if (function(outcomes, drawn, n, &values[nvalues]))
			nvalues++;
	}
	if (nvalues > 0)
	{
		qsort(values, nvalues, sizeof(double), compare_double);
		measure->has_interval = true;
		measure->low = quantile(values, nvalues, 0.025);
		measure->high = quantile(values, nvalues, 0.975);
	}
	pfree(values);
	pfree(drawn);
}

/*
 * All of them
 */

static JudgeMeasure *
next_measure(JudgeMeasure *measures, int *n, const char *metric)
{
	JudgeMeasure *measure = &measures[(*n)++];

	memset(measure, 0, sizeof(*measure));
	measure->metric = metric;
	return measure;
}

static void
put_count(JudgeMeasure *measure, double value)
{
	measure->defined = true;
	measure->value = value;
}

JudgeMeasure *
gepa_judge_measure(const JudgeOutcome *outcomes, int n, uint64 seed, int *nmeasures)
{
	static const struct
	{
		const char *metric;
		Measure		function;
	}			resampled[] = {
		{"balanced_accuracy", balanced_accuracy}, {"f1", f1}, {"mcc", mcc},
		{"kappa", kappa}, {"auroc", auroc}
	};
	JudgeMeasure *m = palloc(sizeof(JudgeMeasure) * 16);
	int		   *rows = palloc(sizeof(int) * Max(n, 1));
	int			decided = 0;
	int			k = 0;
	Counts		c;

	for (int i = 0; i < n; i++)
		if (outcomes[i].decided)
			rows[decided++] = i;
	c = count(outcomes, rows, decided);
	put_count(next_measure(m, &k, "tp"), c.tp);
	put_count(next_measure(m, &k, "fp"), c.fp);
	put_count(next_measure(m, &k, "fn"), c.fn);
	put_count(next_measure(m, &k, "tn"), c.tn);
	put_count(next_measure(m, &k, "undecided"), n - decided);
	gepa_judge_wilson(next_measure(m, &k, "accuracy"), c.tp + c.tn, decided);
	gepa_judge_wilson(next_measure(m, &k, "precision"), c.tp, c.tp + c.fp);
	gepa_judge_wilson(next_measure(m, &k, "recall"), c.tp, c.tp + c.fn);
	gepa_judge_wilson(next_measure(m, &k, "specificity"), c.tn, c.tn + c.fp);
	for (int i = 0; i < lengthof(resampled); i++)
		bootstrap(next_measure(m, &k, resampled[i].metric), resampled[i].function,
				  outcomes, rows, decided, seed + i);
	pfree(rows);
	*nmeasures = k;
	return m;
}

/* Probability of at most k heads in n throws of a fair coin. */
static double
binomial_tail(int k, int n)
{
	double		p = 0;

	for (int i = 0; i <= k; i++)
		p += exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) - n * log(2.0));
	return Min(1.0, p);
}

JudgePaired
gepa_judge_compare(const JudgeOutcome *a, const JudgeOutcome *b, int n)
{
	JudgePaired paired = {0};

	for (int i = 0; i < n; i++)
	{
		bool		right_a = a[i].positive == a[i].expected;
		bool		right_b = b[i].positive == b[i].expected;

		if (!a[i].decided || !b[i].decided)
			continue;
		paired.n++;
		paired.right_a += right_a;
		paired.right_b += right_b;
		paired.only_a += right_a && !right_b;
		paired.only_b += right_b && !right_a;
	}
	/* As many or more for b by chance is as few or fewer for a. */
	paired.p_better = binomial_tail(paired.only_a, paired.only_a + paired.only_b);
	return paired;
}

/* Exact two-sided binomial test on the rows that exactly one got right. */
double
gepa_judge_mcnemar(const JudgeOutcome *a, const JudgeOutcome *b, int n)
{
	JudgePaired paired = gepa_judge_compare(a, b, n);

	return Min(1.0, 2 * binomial_tail(Min(paired.only_a, paired.only_b),
									  paired.only_a + paired.only_b));
}

/*
 * Threshold
 */

/* What cutting before the i-th of the sorted rows is worth. */
static double
cut_value(double precision, double true_positives, double false_positives,
		  int npositive, int nnegative)
{
	if (precision > 0)
	{
		double		reached;

		if (!ratio(true_positives, true_positives + false_positives, &reached))
			return -1;
		/* Among those precise enough the lowest cut keeps most. */
		return reached >= precision ? 1 + true_positives : reached;
	}
	return (true_positives / npositive + 1 - false_positives / nnegative) / 2;
}

static double
cut_place(const Scored *scored, int i)
{
	if (i == 0)
		return Max(0.0, scored[0].score / 2);
	return (scored[i - 1].score + scored[i].score) / 2;
}

/* What cutting before each row is worth; -1 where its score equals the last one. */
static double *
value_cuts(const Scored *scored, int n, int npositive, double precision)
{
	double	   *values = palloc(sizeof(double) * n);
	double		tp = npositive;
	double		fp = n - npositive;

	/* Cut before row i: rows i and up are positive. */
	for (int i = 0; i < n; i++)
	{
		values[i] = -1;
		if (i == 0 || scored[i].score != scored[i - 1].score)
			values[i] = cut_value(precision, tp, fp, npositive, n - npositive);
		*(scored[i].expected ? &tp : &fp) -= 1;
	}
	return values;
}

/*
 * The best cut.  Few rows leave many of the same balanced accuracy, and the lowest of
 * these, or the highest, errs to one side; so it is the one in the middle.
 */
static int
choose_cut(const double *values, int n, bool middle)
{
	int			best = 0;
	int			nbest = 0;

	for (int i = 1; i < n; i++)
		if (values[i] > values[best] + EQUAL_VALUES)
			best = i;
	for (int i = best; middle && i < n; i++)
		nbest += values[i] >= values[best] - EQUAL_VALUES;
	for (int i = best; nbest > 0; i++)
		if (values[i] >= values[best] - EQUAL_VALUES)
		{
			nbest -= 2;
			best = i;
		}
	return best;
}

bool
gepa_judge_choose_threshold(const JudgeOutcome *outcomes, int n, double precision,
							double *threshold)
{
	int			nscored;
	int			npositive;
	Scored	   *scored = sort_scored(outcomes, NULL, n, &nscored, &npositive);
	bool		both = npositive > 0 && npositive < nscored;

	if (both)
	{
		double	   *values = value_cuts(scored, nscored, npositive, precision);

		*threshold = cut_place(scored, choose_cut(values, nscored, precision <= 0));
		pfree(values);
	}
	pfree(scored);
	return both;
}
