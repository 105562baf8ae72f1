/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Default mode: what the budget is for, and what cannot work.
 *
 * A budget is divided before anything is asked: the held-out report at the end,
 * the reserve for the run-off, the rest for the seed's window and generations.
 * Small budgets get smaller windows, so that there are several generations
 * still.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_search.h"

#define MAX_HELD_OUT 100
#define MIN_HELD_OUT 5			/* fewer pairs say nothing */
#define HELD_OUT_SHARE 0.15
#define HELD_OUT_BUDGET 16		/* one held-out sample per so many rollouts */
#define ROLLOUTS_PER_REFLECTION 66
#define MIN_REFLECTIONS 4
#define MIN_SEARCH 8			/* the seed's window and one generation */
#define MIN_WINDOW 2
#define SEED_SHARE 4			/* of the search's rollouts, at most; all
								 * seeds */
#define WINDOW_SHARE 8
#define MAX_CHILDREN 100

static const char *
check_search(const EnginePolicy *policy)
{
	if (policy->seed_window < 1 || policy->window < 1 || policy->min_rollouts < 1)
		return "seed_window, window and min_rollouts must be at least 1";
	if (!(policy->reserve >= 0.0 && policy->reserve <= 0.9))
		return "reserve must be between 0 and 0.9";
	if (policy->finalists < 2)
		return "finalists must be at least 2";
	if (policy->leader_rollouts < 0)
		return "leader_rollouts must not be negative";
	if (policy->max_reflections < 0)
		return "max_reflections must not be negative; 0 means one per 66 rollouts";
	if (policy->reflections_per_round < 1 || policy->reflections_per_round > MAX_CHILDREN)
		return "reflections_per_round must be between 1 and 100";
	if (!(policy->reflection_pace > 0.0 && policy->reflection_pace <= 10.0))
		return "reflection_pace must be above 0 and at most 10";
	if (policy->recombinations < 0 || policy->recombinations > MAX_CHILDREN)
		return "recombinations must be between 0 and 100";
	if (!(policy->recombine_after >= 0.0 && policy->recombine_after <= 1.0))
		return "recombine_after must be between 0 and 1";
	if (policy->held_out < -1)
		return "held_out must be a number of samples, or -1 to let the engine choose it";
	return NULL;
}

static bool
is_spread(double sd)
{
	return sd >= 0.0 && sd <= 100.0;
}

static const char *
check_model(const EnginePolicy *policy)
{
	if (!(policy->intercept_sd > 0.0 && is_spread(policy->intercept_sd)))
		return "intercept_sd must be above 0 and at most 100";
	if (!is_spread(policy->line_sd) || !is_spread(policy->candidate_sd) ||
		!is_spread(policy->length_sd) || !is_spread(policy->sample_sd))
		return "line_sd, candidate_sd, length_sd and sample_sd must be between 0 and 100";
	if (!is_spread(fabs(policy->intercept_mean)) || !is_spread(fabs(policy->line_mean)) ||
		!is_spread(fabs(policy->length_mean)))
		return "intercept_mean, line_mean and length_mean must be between -100 and 100";
	if (!(policy->dispersion_prior >= 0.0 && policy->dispersion_prior <= 1e6))
		return "dispersion_prior must be between 0 and 1000000";
	if (!(policy->least_dispersion >= 0.001 && policy->least_dispersion <= 1.0))
		return "least_dispersion must be between 0.001 and 1";
	if (!is_spread(policy->thompson))
		return "thompson must be between 0 and 100";
	if (policy->max_changes < 0 || policy->max_additions < 0)
		return "max_changes and max_additions must not be negative";
	return NULL;
}

static const char *
check_choice(const EnginePolicy *policy)
{
	if (!(policy->window_floor >= 0.0 && policy->window_gain >= 0.0 &&
		  policy->window_floor + policy->window_gain > 0.0 &&
		  is_spread(policy->window_floor) && is_spread(policy->window_gain)))
		return "window_floor and window_gain must be between 0 and 100, and not both 0";
	if (!(policy->window_known > 0.0 && is_spread(policy->window_known)) ||
		policy->window_known_after < 0)
		return "window_known must be above 0 and window_known_after not negative";
	if (!is_spread(policy->window_decay))
		return "window_decay must be between 0 and 100";
	if (policy->records < 1 || policy->record_failures < 0)
		return "records must be at least 1 and record_failures not negative";
	return NULL;
}

/* Items that the run may use, the held-out ones among them. */
static int
count_items(const EngineConfig *config)
{
	int			nval = config->validate != NULL ? config->nvalidate : config->nval;

	return config->shared_sets ? nval : config->ntrain + nval;
}

static int
choose_held_out(const EngineConfig *config, int nitems)
{
	int			n = config->policy.held_out;

	if (n >= 0)
		return n;
	n = config->ntest > 0 ? config->ntest : (int) rint(HELD_OUT_SHARE * nitems);
	n = (int) Min(Min(n, MAX_HELD_OUT), config->budget / HELD_OUT_BUDGET);
	return n < MIN_HELD_OUT ? 0 : n;
}

/* The least that a search can be done with. */
static int64
least_search(const EngineConfig *config)
{
	return MIN_SEARCH + (int64) config->nseeds * MIN_WINDOW;
}

/* What is left of a budget for the search. */
static int64
search_rollouts(const EnginePolicy *policy, int64 budget, int held_out)
{
	return budget - 2 * (int64) held_out - (int64) rint(policy->reserve * budget);
}

static const char *
too_few_rollouts(const EngineConfig *given, int nitems)
{
	static char message[160];
	EngineConfig config = *given;

	while (search_rollouts(&config.policy, config.budget, choose_held_out(&config, nitems)) <
		   least_search(&config))
		config.budget++;
	snprintf(message, sizeof(message),
			 "the budget leaves too few rollouts to search with; raise it to at least " INT64_FORMAT
			 ", or lower held_out or reserve", config.budget);
	return message;
}

/* Divide what is left for the search among windows. */
static void
size_windows(const EngineConfig *config, EnginePlan *plan, int64 search, int nitems)
{
	const EnginePolicy *policy = &config->policy;
	int64		for_a_seed = search / SEED_SHARE / (1 + config->nseeds);

	plan->window = (int) Max(MIN_WINDOW, Min(policy->window, search / WINDOW_SHARE));
	plan->window = Min(Min(plan->window, policy->window), nitems);
	plan->seed_window = (int) Max(MIN_WINDOW, Min(policy->seed_window, for_a_seed));
	plan->seed_window = Min(Min(plan->seed_window, policy->seed_window), nitems);
	plan->min_rollouts = Min(policy->min_rollouts, plan->window);
}

const char *
gepa_engine_plan(const EngineConfig *config, EnginePlan *plan)
{
	const EnginePolicy *policy = &config->policy;
	int			nitems = count_items(config);
	const char *problem = check_search(policy);
	int64		search;

	if (problem == NULL)
		problem = check_model(policy);
	if (problem == NULL)
		problem = check_choice(policy);
	if (problem != NULL)
		return problem;
	if (config->budget <= 0)
		return "the default mode divides a budget of rollouts; give one, or use mode reference";

	plan->held_out = choose_held_out(config, nitems);
	if (config->ntest > 0 ? plan->held_out > config->ntest : plan->held_out >= nitems)
		return "held_out is more than there are samples for it; lower it";
	plan->report = 2 * (int64) plan->held_out;
	plan->reserve = (int64) rint(policy->reserve * config->budget);
	search = search_rollouts(policy, config->budget, plan->held_out);
	if (search < least_search(config))
		return too_few_rollouts(config, nitems);
	if (config->ntest <= 0)
		nitems -= plan->held_out;
	size_windows(config, plan, search, nitems);
	plan->max_reflections = policy->max_reflections;
	if (plan->max_reflections == 0)
		plan->max_reflections = (int) Max(MIN_REFLECTIONS,
										  Min(config->budget / ROLLOUTS_PER_REFLECTION,
											  PG_INT32_MAX));
	return NULL;
}
