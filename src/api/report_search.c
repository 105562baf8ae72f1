/*-------------------------------------------------------------------------
 *
 * report_search.c
 *	  How much of what a candidate was chosen by is luck.
 *
 * The search keeps the best of many noisy means, so the mean that a winner was
 * chosen by is too high (the winner's curse).  It stands beside the same measure
 * of the test rows, which chose nothing; both have intervals, and the samples are
 * different ones, so the interval of the difference is put together from theirs
 * (R. G. Newcombe, 1998, method 10; G. Y. Zou and A. Donner, 2008).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "api/api_internal.h"

static JudgeMetric
metric_of(const StoreRun *run)
{
	GepaJson   *options = gepa_json_parse(run->options, strlen(run->options), NULL);
	const char *metric = options ? gepa_json_get_string(options, "metric") : NULL;

	if (metric != NULL && strcmp(metric, "score") == 0)
		return JUDGE_METRIC_SCORE;
	if (metric != NULL && strcmp(metric, "ranking") == 0)
		return JUDGE_METRIC_RANKING;
	return JUDGE_METRIC_LABEL;
}

/* What a rollout with this outcome scores. */
static double
score_of(JudgeMetric metric, const JudgeOutcome *outcome)
{
	if (!outcome->decided)
		return 0;
	if (metric == JUDGE_METRIC_SCORE)
		return outcome->expected ? outcome->score : 1 - outcome->score;
	return outcome->positive == outcome->expected;
}

/*
 * The mean score; of ranks the area under the curve that their mean is.  Wilson's
 * interval is that of shares, and wider than needed for scores in between.
 */
static JudgeMeasure
mean_score(JudgeMetric metric, const JudgeOutcome *outcomes, int n)
{
	JudgeMeasure mean = {0};
	double		sum = 0;

	if (metric == JUDGE_METRIC_RANKING)
	{
		int			nmeasures;
		JudgeMeasure *all = gepa_judge_measure(outcomes, n, JUDGE_MEASURE_SEED, &nmeasures);

		for (int i = 0; i < nmeasures; i++)
			if (strcmp(all[i].metric, "auroc") == 0)
				return all[i];
	}
	for (int i = 0; i < n; i++)
		sum += score_of(metric, &outcomes[i]);
	gepa_judge_wilson(&mean, sum, n);
	return mean;
}

static JudgeMeasure
difference(const JudgeMeasure *a, const JudgeMeasure *b)
{
	JudgeMeasure result = {0};

	result.defined = a->defined && b->defined;
	result.has_interval = a->has_interval && b->has_interval;
	result.value = a->value - b->value;
	result.low = result.value - hypot(a->value - a->low, b->high - b->value);
	result.high = result.value + hypot(a->high - a->value, b->value - b->low);
	return result;
}

void
gepa_api_measure_search(const ApiSearch *search, const JudgeOutcome *test, int ntest,
						ApiSearchMeasures *measures)
{
	JudgeMetric metric = metric_of(search->run);
	JudgeOutcome *outcomes = gepa_store_candidate_outcomes(search->run->run, search->seed,
														   search->candidate, &measures->n);
	JudgeMeasure held = mean_score(metric, test, ntest);

	measures->score = mean_score(metric, outcomes, measures->n);
	measures->score.metric = "search_score";
	measures->curse = difference(&measures->score, &held);
	measures->curse.metric = "winners_curse";
}
