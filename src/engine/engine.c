/*-------------------------------------------------------------------------
 *
 * engine.c
 *	  The door of the engine: making one, asking it, telling it, looking in.
 *
 * gepa_engine_next() hands out queued steps in order; when there are none and
 * no iteration is under way it looks at the stop conditions and starts the
 * next one.  So nothing is decided between an observation and the next
 * question.  What is decided is the mode's: iterate.c, policy.c.
 *
 * Steps and proposals are numbered when they are made, which depends on the
 * observations' contents, never on their order within an iteration: the same
 * answers give the same run however they arrive.
 *
 * Known hole: steps, events and texts are kept until the engine is freed
 * (some hundred bytes per step besides the texts).
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

static const EngineLoop loops[] = {
	[ENGINE_MODE_DEFAULT] = {
		gepa_engine_policy_begin, gepa_engine_policy_start, gepa_engine_policy_take_scores,
		gepa_engine_policy_take_text
	},
	[ENGINE_MODE_REFERENCE] = {
		gepa_engine_begin, gepa_engine_start, gepa_engine_take_scores, gepa_engine_take_text
	}
};

Engine *
gepa_engine_create(const EngineConfig *config, const char **error)
{
	EngineArena arena;
	Engine	   *engine;
	const char *problem = gepa_engine_check_config(config);

	if (error != NULL)
		*error = problem;
	if (problem != NULL)
		return NULL;

	gepa_engine_arena_init(&arena);
	engine = gepa_engine_alloc(&arena, sizeof(Engine));
	engine->arena = arena;
	gepa_engine_arena_init(&engine->scratch);
	gepa_engine_adopt_config(engine, config);
	gepa_engine_random_seed(&engine->random, config->seed);
	gepa_engine_sampler_init(&engine->sampler, &engine->arena, &engine->random,
							 config->minibatch_size);
	gepa_engine_pool_init(&engine->pool, &engine->arena, config->ncomponents, config->nval);
	gepa_engine_fronts_init(&engine->fronts, &engine->arena, engine->config.frontier,
							config->nval);
	engine->pool.ascending = engine->fronts.ascending = config->ascending_order;
	gepa_engine_merges_init(&engine->merges, &engine->arena, config->merge_overlap,
							config->zero_mean_merge);
	gepa_engine_stops_init(&engine->stops);
	engine->loop = &loops[config->mode];
	engine->loop->begin(engine);
	return engine;
}

void
gepa_engine_free(Engine *engine)
{
	EngineArena arena;

	if (engine == NULL)
		return;
	gepa_engine_arena_free(&engine->scratch);
	/* the engine is itself in its arena */
	arena = engine->arena;
	gepa_engine_arena_free(&arena);
}

/* A queued step that waits to be handed out; false when there is none. */
static bool
take_queued(Engine *engine, EngineStep *step)
{
	while (engine->handed_out < engine->nsteps)
	{
		EngineStepRecord *record = &engine->steps[engine->handed_out++];

		/* may have been observed unasked, by one who knows the journal */
		if (record->observed)
			continue;
		*step = record->step;
		return true;
	}
	return false;
}

EngineStep
gepa_engine_next(Engine *engine)
{
	EngineStep	step;

	while (!take_queued(engine, &step))
	{
		memset(&step, 0, sizeof(step));
		step.step = step.proposal = step.candidate = step.component = -1;
		step.iteration = engine->iteration;
		step.kind = ENGINE_STEP_WAIT;
		if (engine->running)
			return step;
		if (engine->stop_reason == NULL)
			engine->loop->start(engine);
		if (engine->stop_reason != NULL)
		{
			step.kind = ENGINE_STEP_FINISHED;
			return step;
		}
	}
	return step;
}

/* The step with this number if an answer of this kind is awaited, else NULL. */
static EngineStepRecord *
find_outstanding(Engine *engine, int step, EngineStepKind kind)
{
	EngineStepRecord *record;

	if (step < 0 || step >= engine->nsteps)
		return NULL;
	record = &engine->steps[step];
	return record->observed || record->step.kind != kind ? NULL : record;
}

/* Are there objectives on each sample of a validation? */
static bool
has_objectives(int n, int nobjectives, const double *objectives)
{
	int			i;
	int			k;

	for (i = 0; i < n; i++)
	{
		for (k = 0; k < nobjectives; k++)
			if (!isnan(objectives[(Size) i * nobjectives + k]))
				break;
		if (k == nobjectives)
			return false;
	}
	return true;
}

/* What the frontier is, or what the first validation makes of it. */
static EngineFrontier
frontier_for(const Engine *engine, int nobjectives)
{
	if (engine->config.frontier != ENGINE_FRONTIER_AUTO)
		return engine->config.frontier;
	return nobjectives > 0 ? ENGINE_FRONTIER_HYBRID : ENGINE_FRONTIER_INSTANCE;
}

bool
gepa_engine_observe_scores(Engine *engine, int step, int n, const double *scores,
						   int nobjectives, const char *const *objective_names,
						   const double *objectives)
{
	EngineStepRecord *record = find_outstanding(engine, step, ENGINE_STEP_EVALUATE);
	EngineObjectives told;
	Size		i;

	if (record == NULL || n != record->step.nsamples)
		return false;
	for (i = 0; i < n; i++)
		if (isinf(scores[i]) || (isnan(scores[i]) && engine->search == NULL))
			return false;
	if (objectives == NULL || objective_names == NULL)
		nobjectives = 0;
	for (i = 0; i < (Size) n * nobjectives; i++)
		if (isinf(objectives[i]))
			return false;
	if (record->step.split == ENGINE_SPLIT_VAL &&
		frontier_for(engine, nobjectives) != ENGINE_FRONTIER_INSTANCE &&
		!has_objectives(n, nobjectives, objectives))
		return false;

	if (record->step.split == ENGINE_SPLIT_VAL)
		engine->config.frontier = engine->fronts.type = frontier_for(engine, nobjectives);
	record->observed = true;
	record->ncame = n;
	engine->rollouts += n;
	told.nobjectives = nobjectives;
	told.names = objective_names;
	told.values = objectives;
	engine->loop->take_scores(engine, record, scores, &told);
	return true;
}

bool
gepa_engine_observe_part(Engine *engine, int step, int n, const double *scores,
						 const bool *came)
{
	EngineStepRecord *record = find_outstanding(engine, step, ENGINE_STEP_EVALUATE);
	double	   *known;
	bool	   *kept;
	int			i;

	if (record == NULL || n != record->step.nsamples || engine->search == NULL)
		return false;
	for (i = 0; i < n; i++)
		if (came[i] && isinf(scores[i]))
			return false;
	known = palloc(Max(n, 1) * sizeof(double));
	for (i = 0; i < n; i++)
	{
		known[i] = came[i] ? scores[i] : NAN;
		record->ncame += came[i];
	}
	record->came = kept = gepa_engine_alloc(&engine->arena, Max(n, 1) * sizeof(bool));
	memcpy(kept, came, n * sizeof(bool));
	record->observed = true;
	engine->rollouts += record->ncame;
	engine->loop->take_scores(engine, record, known, NULL);
	pfree(known);
	return true;
}

bool
gepa_engine_observe_text(Engine *engine, int step, const char *text)
{
	EngineStepRecord *record = find_outstanding(engine, step, ENGINE_STEP_REFLECT);

	if (record == NULL)
		return false;
	record->observed = true;
	engine->loop->take_text(engine, record, text);
	return true;
}

void
gepa_engine_caller_stops(Engine *engine, const char *reason)
{
	if (reason == NULL)
		engine->caller_reason = NULL;
	else if (engine->caller_reason == NULL || strcmp(engine->caller_reason, reason) != 0)
		engine->caller_reason = gepa_engine_strdup(&engine->arena, reason);
}

bool
gepa_engine_next_event(Engine *engine, EngineEvent *event)
{
	if (engine->events_drained >= engine->nevents)
		return false;
	*event = engine->events[engine->events_drained++];
	return true;
}

const char *
gepa_engine_stop_reason(const Engine *engine)
{
	return engine->stop_reason;
}

int64
gepa_engine_rollouts(const Engine *engine)
{
	return engine->rollouts;
}

int
gepa_engine_iteration(const Engine *engine)
{
	return engine->iteration;
}

int
gepa_engine_ncandidates(const Engine *engine)
{
	return engine->pool.ncandidates;
}

const char *const *
gepa_engine_candidate_texts(const Engine *engine, int candidate)
{
	Assert(candidate >= 0 && candidate < engine->pool.ncandidates);
	return engine->pool.texts[candidate];
}

int
gepa_engine_candidate_parents(const Engine *engine, int candidate, int parents[2])
{
	int			n = 0;
	int			i;

	Assert(candidate >= 0 && candidate < engine->pool.ncandidates);
	for (i = 0; i < 2; i++)
		if (engine->pool.parents[candidate][i] >= 0)
			parents[n++] = engine->pool.parents[candidate][i];
	return n;
}

double
gepa_engine_candidate_score(const Engine *engine, int candidate)
{
	const EngineSearch *search = engine->search;

	Assert(candidate >= 0 && candidate < engine->pool.ncandidates);
	if (search == NULL)
		return engine->pool.means[candidate];
	return gepa_engine_model_accuracy(&search->model, &search->lines, candidate,
									  search->items.used);
}

double
gepa_engine_candidate_sample_score(const Engine *engine, int candidate, int sample)
{
	Assert(candidate >= 0 && candidate < engine->pool.ncandidates);
	Assert(sample >= 0 && sample < engine->pool.nval);
	return engine->pool.scores[candidate][sample];
}

int64
gepa_engine_candidate_discovery(const Engine *engine, int candidate)
{
	Assert(candidate >= 0 && candidate < engine->pool.ncandidates);
	return engine->pool.discovery[candidate];
}

int
gepa_engine_rounds(const Engine *engine)
{
	return engine->rounds;
}

/* -1 before the seed is validated. */
int
gepa_engine_best(const Engine *engine)
{
	if (engine->search != NULL)
		return engine->search->incumbent;
	return engine->pool.ncandidates > 0 ? gepa_engine_pool_best(&engine->pool, false) : -1;
}

bool
gepa_engine_held_out(const Engine *engine, EngineHeldOut *held_out)
{
	if (engine->search == NULL || !engine->search->reported)
		return false;
	*held_out = engine->search->report;
	return true;
}

int
gepa_engine_nfronts(const Engine *engine)
{
	return gepa_engine_fronts_count(&engine->fronts);
}

EngineFront
gepa_engine_front(Engine *engine, int index)
{
	const EngineFrontRow *row;
	EngineFront front;

	Assert(index >= 0 && index < gepa_engine_fronts_count(&engine->fronts));
	row = gepa_engine_fronts_row(&engine->fronts, index);
	front.key = row->key;
	front.sample = row->sample;
	front.score = row->score;
	front.ncandidates = row->nmembers;
	front.candidates = row->members;
	return front;
}
