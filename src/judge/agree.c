/*-------------------------------------------------------------------------
 *
 * agree.c
 *	  How far a grader's scores agree with labels, with intervals.
 *
 * A label has a side (positive or not) and a place in an order.  Kappa and accuracy ask
 * for a cut of the scores: at 0.5, and for kappa also at the best one, which is chosen
 * anew in each resample, so that the interval knows of the choice.  Spearman's rank
 * correlation takes ties by their mean rank.  Frontend safe.
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

#include "judge/judge_grader.h"
#include "judge/judge_internal.h"

#define RESAMPLES 2000

/* Of a sample of rows; false = undefined. */
typedef bool (*Agreement) (const JudgeGraded *rows, int n, double *value);

static bool
kappa_of(double tp, double fp, double fn, double tn, double *value)
{
	double		n = tp + fp + fn + tn;
	double		seen = n > 0 ? (tp + tn) / n : 0;
	double		chance = n > 0 ? ((tp + fp) * (tp + fn) + (fn + tn) * (fp + tn)) / (n * n) : 1;

	if (chance >= 1)
		return false;
	*value = (seen - chance) / (1 - chance);
	return true;
}

static bool
kappa_at(const JudgeGraded *rows, int n, double cut, double *value)
{
	double		cells[2][2] = {{0}};

	for (int i = 0; i < n; i++)
		cells[rows[i].expected][rows[i].score >= cut]++;
	return kappa_of(cells[1][1], cells[0][1], cells[1][0], cells[0][0], value);
}

static bool
kappa(const JudgeGraded *rows, int n, double *value)
{
	return kappa_at(rows, n, 0.5, value);
}

static bool
accuracy(const JudgeGraded *rows, int n, double *value)
{
	int			right = 0;

	for (int i = 0; i < n; i++)
		right += rows[i].expected == (rows[i].score >= 0.5);
	*value = n > 0 ? (double) right / n : 0;
	return n > 0;
}

static int
compare_scores(const void *a, const void *b)
{
	double		x = ((const JudgeGraded *) a)->score;
	double		y = ((const JudgeGraded *) b)->score;

	return (x > y) - (x < y);
}

static int
compare_ranks(const void *a, const void *b)
{
	double		x = ((const JudgeGraded *) a)->rank;
	double		y = ((const JudgeGraded *) b)->rank;

	return (x > y) - (x < y);
}

static JudgeGraded *
sorted(const JudgeGraded *rows, int n)
{
	JudgeGraded *copy = palloc(sizeof(JudgeGraded) * Max(n, 1));

	memcpy(copy, rows, sizeof(JudgeGraded) * n);
	qsort(copy, n, sizeof(JudgeGraded), compare_scores);
	return copy;
}

/* The best cut, between two scores, and its kappa. */
static bool
best_cut(const JudgeGraded *rows, int n, double *cut, double *value)
{
	JudgeGraded *by_score = sorted(rows, n);
	double		tp = 0;
	double		fp = 0;
	double		positive;
	bool		found = false;

	for (int i = 0; i < n; i++)
		*(by_score[i].expected ? &tp : &fp) += 1;
	positive = tp;
	for (int i = 0; i < n; i++)
	{
		double		at;

		if ((i == 0 || by_score[i].score > by_score[i - 1].score) &&
			kappa_of(tp, fp, positive - tp, n - positive - fp, &at) && (!found || at > *value))
		{
			found = true;
			*value = at;
			*cut = i == 0 ? by_score[0].score : (by_score[i - 1].score + by_score[i].score) / 2;
		}
		*(by_score[i].expected ? &tp : &fp) -= 1;
	}
	pfree(by_score);
	return found;
}

static bool
best_kappa(const JudgeGraded *rows, int n, double *value)
{
	double		cut;

	return best_cut(rows, n, &cut, value);
}

static bool
auroc(const JudgeGraded *rows, int n, double *value)
{
	JudgeGraded *by_score = sorted(rows, n);
	double		rank_sum = 0;
	double		positive = 0;

	for (int start = 0, end; start < n; start = end)
	{
		double		here = 0;

		for (end = start; end < n && by_score[end].score == by_score[start].score; end++)
			here += by_score[end].expected;
		rank_sum += here * (start + 1 + end) / 2;
		positive += here;
	}
	pfree(by_score);
	if (positive == 0 || positive == n)
		return false;
	*value = (rank_sum - positive * (positive + 1) / 2) / (positive * (n - positive));
	return true;
}

/* Correlation of what is in the two columns. */
static bool
correlate(const JudgeGraded *rows, int n, double *value)
{
	double		mean = (n + 1) / 2.0;	/* of ranks, ties or not */
	double		xx = 0;
	double		yy = 0;
	double		xy = 0;

	for (int i = 0; i < n; i++)
	{
		xx += (rows[i].rank - mean) * (rows[i].rank - mean);
		yy += (rows[i].score - mean) * (rows[i].score - mean);
		xy += (rows[i].rank - mean) * (rows[i].score - mean);
	}
	if (xx <= 0 || yy <= 0)
		return false;
	*value = xy / sqrt(xx * yy);
	return true;
}

static bool
spearman(const JudgeGraded *rows, int n, double *value)
{
	JudgeGraded *ranked = sorted(rows, n);
	bool		defined;

	for (int start = 0, end; start < n; start = end)
	{
		double		score = ranked[start].score;

		for (end = start; end < n && ranked[end].score == score; end++)
			 /* a tie */ ;
		for (int i = start; i < end; i++)
			ranked[i].score = (start + 1 + end) / 2.0;
	}
	qsort(ranked, n, sizeof(JudgeGraded), compare_ranks);
	for (int start = 0, end; start < n; start = end)
	{
		double		rank = ranked[start].rank;

		for (end = start; end < n && ranked[end].rank == rank; end++)
			 /* a tie */ ;
		for (int i = start; i < end; i++)
			ranked[i].rank = (start + 1 + end) / 2.0;
	}
	defined = correlate(ranked, n, value);
	pfree(ranked);
	return defined;
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
resample(JudgeMeasure *measure, Agreement function, const JudgeGraded *rows, int n, uint64 seed)
{
	JudgeGraded *draw = palloc(sizeof(JudgeGraded) * Max(n, 1));
	double	   *values = palloc(sizeof(double) * RESAMPLES);
	int			nvalues = 0;
	pg_prng_state state;

	measure->defined = function(rows, n, &measure->value);
	pg_prng_seed(&state, seed);
	for (int r = 0; measure->defined && r < RESAMPLES; r++)
	{
		for (int i = 0; i < n; i++)
			draw[i] = rows[pg_prng_uint64_range(&state, 0, n - 1)];
		nvalues += function(draw, n, &values[nvalues]);
	}
	measure->has_interval = nvalues > RESAMPLES / 2;
	if (measure->has_interval)
	{
		qsort(values, nvalues, sizeof(double), compare_double);
		measure->low = values[(int) (0.025 * (nvalues - 1) + 0.5)];
		measure->high = values[(int) (0.975 * (nvalues - 1) + 0.5)];
	}
	pfree(draw);
	pfree(values);
}

JudgeMeasure *
gepa_judge_agreement(const JudgeGraded *rows, int n, uint64 seed, int *nmeasures)
{
	static const struct
	{
		const char *name;
		Agreement	function;
	}			all[] = {
		{"accuracy", accuracy}, {"kappa", kappa}, {"kappa_best_cut", best_kappa},
		{"spearman", spearman}, {"auroc", auroc}
	};
	JudgeMeasure *measures = palloc0(sizeof(JudgeMeasure) * (lengthof(all) + 1));
	JudgeMeasure *cut = &measures[lengthof(all)];
	double		at;

	for (int i = 0; i < lengthof(all); i++)
	{
		measures[i].metric = all[i].name;
		resample(&measures[i], all[i].function, rows, n, seed + i);
	}
	cut->metric = "best_cut";
	cut->defined = best_cut(rows, n, &cut->value, &at);
	*nmeasures = lengthof(all) + 1;
	return measures;
}
