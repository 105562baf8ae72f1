/*-------------------------------------------------------------------------
 *
 * decide.c
 *	  Default mode: what the rollouts of a barrier change.
 *
 * Children that were evaluated become candidates in the order of their proposals,
 * rollouts go into the model in the order of the steps, the model is fitted, and the
 * best estimate among candidates with enough rollouts leads.  None of it depends on the
 * order in which answers came.
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

/* Did any of a proposal's rollouts come in since the last barrier? */
static bool
any_came(const Engine *engine, int proposal)
{
	int			i;

	for (i = engine->search->first_step; i < engine->nsteps; i++)
		if (engine->steps[i].step.proposal == proposal && engine->steps[i].ncame > 0)
			return true;
	return false;
}

/*
 * Where rollouts did not come, the window is what the candidate that led was run on, or
 * somebody now.
 */
static void
trim_window(Engine *engine)
{
	EngineSearch *search = engine->search;
	bool	   *seen = palloc0(search->items.nitems * sizeof(bool));
	bool		all_came = true;
	double		score;
	int			n = 0;
	int			i;
	int			k;

	for (i = search->first_step; i < engine->nsteps; i++)
	{
		const EngineStepRecord *record = &engine->steps[i];
		const EngineStep *step = &record->step;

		all_came = all_came && record->came == NULL;
		for (k = 0; k < step->nsamples; k++)
			if (record->came == NULL || record->came[k])
				seen[gepa_engine_sample_item(engine, step->split, step->samples[k])] = true;
	}
	for (i = 0; i < search->nwindow && !all_came; i++)
		if (seen[search->window[i]] ||
			(search->incumbent >= 0 &&
			 gepa_engine_model_score(&search->model, search->incumbent, search->window[i], &score)))
			search->window[n++] = search->window[i];
	if (!all_came)
		search->nwindow = n;
	pfree(seen);
}

/* The lines of a further seed are compared with the first one's, which it does not descend from. */
static int
enter_candidate(Engine *engine, int proposal, int parent)
{
	EngineSearch *search = engine->search;
	const char *const *texts = engine->proposals[proposal].texts;
	int			parents[2] = {parent, -1};
	int			compared = parent < 0 && proposal > 0 ? 0 : parent;
	int			candidate = gepa_engine_pool_add(&engine->pool, texts, parents, 0, NULL, NULL);

	engine->pool.proposals[candidate] = proposal;
	engine->pool.discovery[candidate] = search->asked_at;
	engine->proposals[proposal].candidate = candidate;
	gepa_engine_lines_add(&search->lines, texts, compared);
	return candidate;
}

static void
enter_children(Engine *engine, EngineChildren *children)
{
	int			i;

	for (i = 0; i < children->n; i++)
	{
		EngineChild *child = &children->items[i];

		if (!child->evaluated)
			continue;
		child->evaluated = any_came(engine, child->proposal);
		if (child->evaluated)
			enter_candidate(engine, child->proposal, child->parent);
		else
			gepa_engine_add_child_event(engine, ENGINE_EVENT_REJECTED, child,
										"the run ended before it was run on a sample");
	}
}

static void
take_rollout(Engine *engine, int candidate, EngineSplit split, int sample, double score)
{
	int			item = gepa_engine_sample_item(engine, split, sample);

	/* a failed rollout leaves its cell empty */
	if (isnan(score))
		return;
	gepa_engine_model_add(&engine->search->model, candidate, item, score);
	engine->pool.coverage[candidate]++;
	if (split != ENGINE_SPLIT_VAL)
		return;
	engine->pool.scores[candidate][sample] = score;
	gepa_engine_fronts_see(&engine->fronts, candidate, sample, score);
}

/* Rollouts since the last barrier, in order; marks whose they are. */
static void
take_rollouts(Engine *engine, bool *evaluated)
{
	int			i;
	int			k;

	for (i = engine->search->first_step; i < engine->nsteps; i++)
	{
		const EngineStepRecord *record = &engine->steps[i];
		const EngineStep *step = &record->step;
		int			candidate = engine->proposals[step->proposal].candidate;

		if (step->kind != ENGINE_STEP_EVALUATE || record->ncame == 0)
			continue;
		evaluated[candidate] = true;
		for (k = 0; k < step->nsamples; k++)
			take_rollout(engine, candidate, step->split, step->samples[k], record->scores[k]);
	}
}

int
gepa_engine_leaders(const Engine *engine, int n, int *result)
{
	const EngineSearch *search = engine->search;
	const EnginePool *pool = &engine->pool;
	double	   *thetas = palloc(Max(n, 1) * sizeof(double));
	int			found = 0;
	int			i;

	for (i = 0; i < pool->ncandidates; i++)
	{
		int			place;
		double		theta;

		if (pool->coverage[i] < search->plan.min_rollouts && i != search->incumbent)
			continue;
		theta = gepa_engine_model_theta(&search->model, &search->lines, i);
		/* among equals the incumbent comes first, then the lower number */
		for (place = found; place > 0; place--)
			if (!(theta > thetas[place - 1] ||
				  (theta == thetas[place - 1] && i == search->incumbent)))
				break;
		if (place >= n)
			continue;
		found = Min(found + 1, n);
		memmove(thetas + place + 1, thetas + place, (found - place - 1) * sizeof(double));
		memmove(result + place + 1, result + place, (found - place - 1) * sizeof(int));
		thetas[place] = theta;
		result[place] = i;
	}
	pfree(thetas);
	return found;
}

static double
estimate(const Engine *engine, int candidate)
{
	return gepa_engine_candidate_score(engine, candidate);
}

/* How a candidate stands beside the one that led before. */
static EngineCompared
compare(const Engine *engine, int candidate, int led)
{
	const EngineSearch *search = engine->search;
	EngineCompared compared;
	double		ahead;

	compared.candidate = candidate;
	compared.rollouts = engine->pool.coverage[candidate];
	compared.estimate = estimate(engine, candidate);
	compared.sd = 0.0;
	compared.chance = 0.5;
	if (candidate == led)
		return compared;
	compared.sd = gepa_engine_model_sd(&search->model, &search->lines, candidate, led);
	if (led < 0)
		return compared;
	ahead = gepa_engine_model_theta(&search->model, &search->lines, candidate) -
		gepa_engine_model_theta(&search->model, &search->lines, led);
	if (compared.sd > 0.0)
		compared.chance = 0.5 * erfc(-ahead / compared.sd / sqrt(2.0));
	return compared;
}

static EngineDecision *
add_decision(Engine *engine, EngineDecisionKind kind, int led)
{
	EngineSearch *search = engine->search;
	EngineDecision *decision = gepa_engine_alloc(&engine->arena, sizeof(EngineDecision));
	EngineSampleRef *samples;
	int			i;

	decision->kind = kind;
	decision->led = led;
	decision->leads = search->incumbent;
	samples = gepa_engine_alloc(&engine->arena,
								Max(search->nwindow, 1) * sizeof(EngineSampleRef));
	for (i = 0; i < search->nwindow; i++)
		samples[i] = gepa_engine_item_sample(engine, search->window[i]);
	decision->nsamples = search->nwindow;
	decision->samples = samples;
	return decision;
}

/* Those marked, in ascending order. */
static void
compare_marked(Engine *engine, EngineDecision *decision, const bool *marked)
{
	int			n = engine->pool.ncandidates;
	EngineCompared *compared = gepa_engine_alloc(&engine->arena, n * sizeof(EngineCompared));
	int			i;

	for (i = 0; i < n; i++)
		if (marked[i])
			compared[decision->ncompared++] = compare(engine, i, decision->led);
	decision->compared = compared;
}

static const char *
decision_reason(Engine *engine, const EngineDecision *decision)
{
	EngineArena *arena = &engine->arena;
	double		leads = estimate(engine, decision->leads);

	if (decision->led < 0)
		return gepa_engine_printf(arena, "candidate %d leads: estimate %.3f", decision->leads,
								  leads);
	if (decision->led == decision->leads)
		return gepa_engine_printf(arena, "candidate %d still leads: estimate %.3f",
								  decision->leads, leads);
	return gepa_engine_printf(arena, "candidate %d leads: estimate %.3f; better than "
							  "candidate %d with probability %.2f", decision->leads, leads,
							  decision->led,
							  compare(engine, decision->leads, decision->led).chance);
}

static void
tell_decision(Engine *engine, const EngineDecision *decision, const char *reason)
{
	EngineEvent *event = gepa_engine_add_event(engine, ENGINE_EVENT_DECISION, NULL, reason);

	event->candidate = decision->leads;
	event->decision = decision;
}

/* Where a new candidate stands. */
static const char *
standing(Engine *engine, int candidate)
{
	const EngineSearch *search = engine->search;
	EngineArena *arena = &engine->arena;
	double		own = estimate(engine, candidate);

	if (candidate == search->incumbent)
		return gepa_engine_printf(arena, "leads: estimate %.3f", own);
	if (engine->pool.coverage[candidate] < search->plan.min_rollouts)
		return gepa_engine_printf(arena, "too few rollouts to lead: estimate %.3f", own);
	return gepa_engine_printf(arena, "behind candidate %d by %.3f: estimate %.3f",
							  search->incumbent,
							  estimate(engine, search->incumbent) - own, own);
}

/* Sums of the scores on those items of the window that both have. */
static void
sum_window(const Engine *engine, int candidate, int parent, EngineEvent *event)
{
	const EngineSearch *search = engine->search;
	double		child_score;
	double		parent_score;
	int			i;

	event->parent_sum = event->child_sum = 0.0;
	for (i = 0; i < search->nwindow; i++)
	{
		int			item = search->window[i];

		if (!gepa_engine_model_score(&search->model, candidate, item, &child_score) ||
			!gepa_engine_model_score(&search->model, parent, item, &parent_score))
			continue;
		event->parent_sum += parent_score;
		event->child_sum += child_score;
	}
}

static void
accept_children(Engine *engine, const EngineChildren *children)
{
	int			i;

	for (i = 0; i < children->n; i++)
	{
		const EngineChild *child = &children->items[i];
		int			candidate;
		EngineEvent *event;

		if (!child->evaluated)
			continue;
		candidate = engine->proposals[child->proposal].candidate;
		event = gepa_engine_add_child_event(engine, ENGINE_EVENT_ACCEPTED, child,
											standing(engine, candidate));
		event->candidate = candidate;
		sum_window(engine, candidate, child->parent, event);
	}
}

/* Those of which rollouts came in; of the first one it is known that the run has one. */
static void
enter_seeds(Engine *engine)
{
	int			s;

	for (s = 0; s <= engine->config.nseeds; s++)
		if (s == 0 || any_came(engine, s))
			enter_candidate(engine, s, -1);
		else
			gepa_engine_add_seed_event(engine, ENGINE_EVENT_REJECTED, s,
									   "the run ended before it was run on a sample");
}

static void
accept_seeds(Engine *engine)
{
	int			s;

	for (s = 0; s <= engine->config.nseeds; s++)
	{
		int			candidate = engine->proposals[s].candidate;

		if (candidate >= 0)
			gepa_engine_add_seed_event(engine, ENGINE_EVENT_ACCEPTED, s, s == 0 ? "seed" :
									   gepa_engine_printf(&engine->arena, "seed; %s",
														  standing(engine, candidate)));
	}
}

void
gepa_engine_decide(Engine *engine, EngineDecisionKind kind)
{
	EngineSearch *search = engine->search;
	int			led = search->incumbent;
	int			leads;
	bool	   *compared;
	EngineDecision *decision;

	trim_window(engine);
	if (kind == ENGINE_DECISION_SEED)
		enter_seeds(engine);
	else if (kind == ENGINE_DECISION_GENERATION)
	{
		enter_children(engine, &search->recombined);
		enter_children(engine, &search->children);
	}
	compared = palloc0(engine->pool.ncandidates * sizeof(bool));
	take_rollouts(engine, compared);
	gepa_engine_model_fit(&search->model, &search->lines);
	if (led < 0)
		search->incumbent = 0;
	/* who leads so far has a say in it, so not in place */
	gepa_engine_leaders(engine, 1, &leads);
	search->incumbent = leads;
	search->advances += search->incumbent != led;

	if (kind == ENGINE_DECISION_SEED)
		accept_seeds(engine);
	else if (kind == ENGINE_DECISION_GENERATION)
	{
		accept_children(engine, &search->recombined);
		accept_children(engine, &search->children);
	}
	compared[search->incumbent] = true;
	if (led >= 0)
		compared[led] = true;
	decision = add_decision(engine, kind, led);
	compare_marked(engine, decision, compared);
	tell_decision(engine, decision, decision_reason(engine, decision));
	pfree(compared);
}

void
gepa_engine_declare_winner(Engine *engine)
{
	EngineSearch *search = engine->search;
	int			n = engine->config.policy.finalists;
	int		   *finalists = palloc(n * sizeof(int));
	bool	   *compared = palloc0(engine->pool.ncandidates * sizeof(bool));
	EngineDecision *decision;

	n = gepa_engine_leaders(engine, n, finalists);
	while (n-- > 0)
		compared[finalists[n]] = true;
	search->nwindow = 0;
	decision = add_decision(engine, ENGINE_DECISION_WINNER, search->incumbent);
	compare_marked(engine, decision, compared);
	tell_decision(engine, decision,
				  gepa_engine_printf(&engine->arena, "candidate %d wins: estimate %.3f",
									 search->incumbent, estimate(engine, search->incumbent)));
	pfree(compared);
	pfree(finalists);
}
