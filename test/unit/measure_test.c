/*-------------------------------------------------------------------------
 *
 * measure_test.c
 *	  Measures against values computed independently.
 *
 * The fixtures were computed from the formulas of docs/metrics.md in another
 * language; the bootstrap is checked for what it must keep to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "judge/judge_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

static JudgeOutcome outcomes[200];
static JudgeOutcome others[200];

static int
fill(int n, int count, bool expected, bool positive)
{
	for (int i = 0; i < count; i++)
	{
		memset(&outcomes[n], 0, sizeof(JudgeOutcome));
		outcomes[n].decided = true;
		outcomes[n].expected = expected;
		outcomes[n].positive = positive;
		n++;
	}
	return n;
}

static const JudgeMeasure *
find(const JudgeMeasure *measures, int n, const char *metric)
{
	for (int i = 0; i < n; i++)
		if (strcmp(measures[i].metric, metric) == 0)
			return &measures[i];
	tap_ok(false, "measure %s exists", metric);
	return measures;
}

static void
check_value(const JudgeMeasure *measures, int n, const char *metric, double value)
{
	tap_is_double(find(measures, n, metric)->value, value, 1e-9, metric);
}

static void
check_interval(const JudgeMeasure *measures, int n, const char *metric, double value,
			   double low, double high)
{
	const JudgeMeasure *m = find(measures, n, metric);

	tap_is_double(m->value, value, 1e-9, metric);
	tap_is_double(m->low, low, 1e-9, "lower end");
	tap_is_double(m->high, high, 1e-9, "upper end");
}

static void
check_measures(void)
{
	int			n = fill(fill(fill(fill(0, 30, true, true), 10, false, true), 5, true, false),
						 55, false, false);
	int			k;
	JudgeMeasure *m;
	JudgeMeasure *again;

	outcomes[n].decided = false;
	m = gepa_judge_measure(outcomes, n + 1, 1, &k);
	check_value(m, k, "tp", 30);
	check_value(m, k, "fp", 10);
	check_value(m, k, "fn", 5);
	check_value(m, k, "tn", 55);
	check_value(m, k, "undecided", 1);
	check_interval(m, k, "accuracy", 0.85, 0.767164404091676, 0.906940147163434);
	check_interval(m, k, "precision", 0.75, 0.59806038579232, 0.858128813609037);
	check_interval(m, k, "recall", 0.857142857142857, 0.706244459134048, 0.937397689205663);
	check_interval(m, k, "specificity", 0.846153846153846, 0.739446803600215, 0.914229059330115);
	check_value(m, k, "balanced_accuracy", 0.851648351648352);
	check_value(m, k, "f1", 0.8);
	check_value(m, k, "mcc", 0.684736788017461);
	check_value(m, k, "kappa", 0.680851063829787);
	tap_ok(!find(m, k, "auroc")->defined, "no scores, no AUROC");
	tap_ok(find(m, k, "f1")->low < 0.8 && find(m, k, "f1")->high > 0.8, "bootstrap holds the value");

	again = gepa_judge_measure(outcomes, n + 1, 1, &k);
	tap_ok(memcmp(&find(m, k, "f1")->low, &find(again, k, "f1")->low, sizeof(double)) == 0,
		   "same seed, same interval");
}

static void
check_empty(void)
{
	int			k;
	int			n = fill(0, 10, false, false);
	JudgeMeasure *m = gepa_judge_measure(outcomes, n, 1, &k);

	tap_ok(!find(m, k, "precision")->defined && !find(m, k, "recall")->defined,
		   "an empty denominator is undefined");
	tap_ok(!find(m, k, "kappa")->defined, "kappa of one class is undefined");
	tap_ok(find(m, k, "mcc")->defined && find(m, k, "mcc")->value == 0, "mcc of one class is 0");
	m = gepa_judge_measure(outcomes, 0, 1, &k);
	tap_ok(!find(m, k, "accuracy")->defined, "nothing is undefined");
}

/* n outcomes as pairs of a score and whether positive is expected. */
static void
set_scores(int n,...)
{
	va_list		pairs;

	va_start(pairs, n);
	for (int i = 0; i < n; i++)
	{
		memset(&outcomes[i], 0, sizeof(JudgeOutcome));
		outcomes[i].decided = outcomes[i].scored = true;
		outcomes[i].score = va_arg(pairs, double);
		outcomes[i].expected = va_arg(pairs, int);
	}
	va_end(pairs);
}

static void
check_auroc(void)
{
	int			k;
	JudgeMeasure *m;

	set_scores(7, .1, false, .4, false, .35, true, .8, true, .4, true, .4, false, .9, false);
	m = gepa_judge_measure(outcomes, 7, 1, &k);
	check_value(m, k, "auroc", 0.5);
	set_scores(4, .1, false, .2, false, .8, true, .9, true);
	m = gepa_judge_measure(outcomes, 4, 1, &k);
	check_value(m, k, "auroc", 1);
}

static double
mcnemar(int only_a, int only_b, int both)
{
	int			n = 0;

	memset(outcomes, 0, sizeof(outcomes));
	memset(others, 0, sizeof(others));
	for (int i = 0; i < only_a + only_b + both; i++, n++)
	{
		outcomes[n].decided = others[n].decided = true;
		outcomes[n].positive = i >= only_a && i < only_a + only_b;
		others[n].positive = i < only_a;
	}
	return gepa_judge_mcnemar(outcomes, others, n);
}

static void
check_better(int only_a, int only_b, int both, double expected)
{
	JudgePaired paired;
	char		name[64];

	(void) mcnemar(only_a, only_b, both);
	outcomes[only_a + only_b + both].decided = true;	/* by one of them only */
	paired = gepa_judge_compare(outcomes, others, only_a + only_b + both + 1);
	snprintf(name, sizeof(name), "%d against %d", only_a, only_b);
	tap_ok(paired.n == only_a + only_b + both && paired.only_a == only_a &&
		   paired.only_b == only_b && paired.right_a == only_a + both &&
		   paired.right_b == only_b + both, "counts of %s", name);
	tap_is_double(paired.p_better, expected, 1e-9, name);
}

static void
check_threshold(void)
{
	double		threshold = -1;

	set_scores(6, .1, false, .2, false, .3, true, .35, false, .4, true, .6, true);
	tap_ok(gepa_judge_choose_threshold(outcomes, 6, 0, &threshold), "chosen");
	tap_is_double(threshold, 0.25, 1e-12, "best balanced accuracy, the lower of two equals");
	tap_ok(gepa_judge_choose_threshold(outcomes, 6, 0.9, &threshold), "chosen for precision");
	tap_is_double(threshold, 0.375, 1e-12, "the lowest cut that is precise enough");
	set_scores(8, .1, false, .2, false, .3, true, .4, false, .5, true, .6, false, .7, true, .8, true);
	tap_ok(gepa_judge_choose_threshold(outcomes, 8, 0, &threshold), "chosen");
	tap_is_double(threshold, 0.45, 1e-12, "the middle one of three equals");
	set_scores(6, .1, false, .2, true, .3, false, .4, true, .5, false, .6, true);
	tap_ok(gepa_judge_choose_threshold(outcomes, 6, 0, &threshold), "chosen");
	tap_is_double(threshold, 0.35, 1e-12, "the last bit of thirds makes none better");
	set_scores(2, .9, false, .1, true);
	tap_ok(gepa_judge_choose_threshold(outcomes, 2, 0.99, &threshold), "falls back");
	set_scores(2, .9, true, .1, true);
	tap_ok(!gepa_judge_choose_threshold(outcomes, 2, 0, &threshold), "one class: none");
	outcomes[0].scored = outcomes[1].scored = false;
	tap_ok(!gepa_judge_choose_threshold(outcomes, 2, 0, &threshold), "no scores: none");
}

int
main(void)
{
	check_measures();
	check_empty();
	check_auroc();
	tap_is_double(mcnemar(3, 12, 20), 0.03515625, 1e-9, "McNemar 3 and 12");
	tap_is_double(mcnemar(0, 6, 3), 0.03125, 1e-9, "McNemar 0 and 6");
	tap_is_double(mcnemar(5, 5, 0), 1, 1e-9, "McNemar 5 and 5");
	tap_is_double(mcnemar(0, 0, 9), 1, 1e-9, "McNemar without discord");
	check_better(3, 12, 20, 0.017578125);
	check_better(12, 3, 20, 0.996307373046875);
	check_better(0, 5, 0, 0.03125);
	check_better(0, 4, 9, 0.0625);
	check_better(5, 5, 1, 0.623046875);
	check_better(0, 0, 9, 1);
	check_threshold();
	return tap_done();
}
