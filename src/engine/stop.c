/*-------------------------------------------------------------------------
 *
 * stop.c
 *	  Conditions that end a run; looked at between iterations only.
 *
 * hard_budget is not among those that stop_on_all combines: it is a promise
 * about money and holds by itself.
 *
 * Conditions over tokens, money and time belong to whoever knows these: it
 * says so by gepa_engine_caller_stops().
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_internal.h"

void
gepa_engine_stops_init(EngineStops *stops)
{
	stops->advance = -INFINITY;
	stops->checks = 0;
}

/* The first check sets the baseline. */
static bool
no_improvement(EngineStops *stops, int limit, double advance)
{
	if (advance > stops->advance)
	{
		stops->advance = advance;
		stops->checks = 0;
	}
	else
		stops->checks++;
	return stops->checks >= limit;
}

typedef struct Condition
{
	bool		given;
	bool		holds;
	const char *reason;
} Condition;

/* What ends the run: the first that holds, or with all of them the first of all. */
static const char *
combine(const Condition *conditions, int n, bool all)
{
	const char *reason = NULL;
	int			given = 0;
	int			holding = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (!conditions[i].given)
			continue;
		given++;
		if (!conditions[i].holds)
			continue;
		holding++;
		if (reason == NULL)
			reason = conditions[i].reason;
	}
	return all && holding < given ? NULL : reason;
}

const char *
gepa_engine_check_stop(EngineStops *stops, const EngineConfig *config,
					   const EngineProgress *progress, int64 worst_case)
{
	/* has a memory, so it must see every check */
	bool		stale = config->no_improvement > 0 &&
		no_improvement(stops, config->no_improvement, progress->advance);
	const Condition conditions[] = {
		{config->budget > 0 && !config->hard_budget, progress->rollouts >= config->budget, "budget"},
		{config->max_proposals > 0, progress->iterations >= config->max_proposals, "max_proposals"},
		{config->max_candidates > 0, progress->ncandidates >= config->max_candidates, "max_candidates"},
		{!isnan(config->stop_at_score), progress->best >= config->stop_at_score, "stop_at_score"},
		{config->caller_stops, progress->caller != NULL, progress->caller},
		{config->no_improvement > 0, stale, "no_improvement"},
	};

	if (config->hard_budget && config->budget > 0 &&
		progress->rollouts + worst_case > config->budget)
		return "budget";
	return combine(conditions, lengthof(conditions), config->stop_on_all);
}

int64
gepa_engine_auto_budget(int n, int ncomponents, int nval, int per_trial,
						int trials_per_validation)
{
	int64		trials = (int64) Max(4.0 * ncomponents * log2(n), 1.5 * n);
	int64		validations = (trials + 1) / trials_per_validation + 1;

	if (trials < trials_per_validation)
		validations++;
	return nval + 5 * (int64) n + per_trial * trials + validations * nval;
}
