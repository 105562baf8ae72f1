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

/* What a run's rollouts are scored by. */
typedef struct Scale
{
	JudgeMetric metric;
	JudgeConfidence confidence;
} Scale;

static Scale
scale_of(const StoreRun *run)
{
	GepaJson   *options = gepa_json_parse(run->options, strlen(run->options), NULL);
	const char *metric = options ? gepa_json_get_string(options, "metric") : NULL;
	Scale		scale = {JUDGE_METRIC_LABEL};

	if (metric != NULL && strcmp(metric, "score") == 0)
		scale.metric = JUDGE_METRIC_SCORE;
	if (metric != NULL && strcmp(metric, "ranking") == 0)
		scale.metric = JUDGE_METRIC_RANKING;
	if (metric != NULL && strcmp(metric, "confidence") == 0 &&
		gepa_judge_read_confidence(gepa_json_get(options, "confidence"), &scale.confidence) == NULL)
		scale.metric = JUDGE_METRIC_CONFIDENCE;
	return scale;
}

/*
 * What a rollout with this outcome scores.  Of how sure the judge was, outcomes keep
 * the probability of the side, so that is taken, on both sides of a comparison.
 */
static double
score_of(const Scale *scale, const JudgeOutcome *outcome)
{
	bool		right = outcome->positive == outcome->expected;

	if (!outcome->decided)
		return 0;
	if (scale->metric == JUDGE_METRIC_SCORE)
		return outcome->expected ? outcome->score : 1 - outcome->score;
	if (scale->metric == JUDGE_METRIC_CONFIDENCE)
		return gepa_judge_blend(&scale->confidence, right, outcome->scored,
								outcome->positive ? outcome->score : 1 - outcome->score);
	return right;
}

/*
 * The mean score; of ranks the area under the curve that their mean is.  Wilson's
 * interval is that of shares, and wider than needed for scores in between.
 */
static JudgeMeasure
mean_score(const Scale *scale, const JudgeOutcome *outcomes, int n)
{
	JudgeMeasure mean = {0};
	double		sum = 0;

	if (scale->metric == JUDGE_METRIC_RANKING)
	{
		int			nmeasures;
		JudgeMeasure *all = gepa_judge_measure(outcomes, n, JUDGE_MEASURE_SEED, &nmeasures);

		for (int i = 0; i < nmeasures; i++)
			if (strcmp(all[i].metric, "auroc") == 0)
				return all[i];
	}
	for (int i = 0; i < n; i++)
		sum += score_of(scale, &outcomes[i]);
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
	Scale		scale = scale_of(search->run);
	JudgeOutcome *outcomes = gepa_store_candidate_outcomes(search->run->run, search->seed,
														   search->candidate, &measures->n);
	JudgeMeasure held = mean_score(&scale, test, ntest);

	measures->score = mean_score(&scale, outcomes, measures->n);
	measures->score.metric = "search_score";
	measures->curse = difference(&measures->score, &held);
	measures->curse.metric = "winners_curse";
}
