/*-------------------------------------------------------------------------
 *
 * engine.c
 *	  The door of the engine: making one, asking it, telling it, looking in.
 *
 * gepa_engine_next() hands out queued steps in order; when there are none and
 * no iteration is under way it looks at the stop conditions and starts the
 * next one.  So nothing is decided between an observation and the next
 * question.  What is decided is in iterate.c.
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

#include "engine/engine_internal.h"

#define MAX_TASKS 1000

void
gepa_engine_config_init(EngineConfig *config)
{
	memset(config, 0, sizeof(EngineConfig));
	config->max_examples = 6;
	config->can_reflect = true;
	config->minibatch_size = 3;
	config->skip_perfect = true;
	config->perfect_score = 1.0;
	config->selection = ENGINE_SELECT_PARETO;
	config->epsilon = 0.1;
	config->top_k = 5;
	config->frontier = ENGINE_FRONTIER_INSTANCE;
	config->component_choice = ENGINE_CHOOSE_ROUND_ROBIN;
	config->acceptance = ENGINE_ACCEPT_STRICT;
	config->stop_at_score = NAN;
	config->parents = 1;
	config->mutations = 1;
	config->keep = ENGINE_KEEP_ALL;
	config->keep_k = 1;
	config->max_merges = 5;
	config->merge_overlap = 5;
	config->hard_budget = true;
	config->skip_known_texts = true;
	config->ascending_order = true;
	config->zero_mean_merge = true;
}

void
gepa_engine_config_reference(EngineConfig *config)
{
	config->hard_budget = false;
	config->expand_placeholders = true;
	config->skip_known_texts = false;
	config->ascending_order = false;
	config->zero_mean_merge = false;
}

static const char *
check_components(const EngineConfig *config)
{
	bool		changeable = false;
	const char *error = NULL;
	int			i;
	int			k;

	if (config->ncomponents < 1)
		return "there is no component; a program needs at least one";
	for (i = 0; i < config->ncomponents && error == NULL; i++)
	{
		const EngineComponent *component = &config->components[i];

		if (component->name == NULL || component->seed_text == NULL)
			return "a component lacks its name or its seed text";
		for (k = 0; k < i; k++)
			if (strcmp(component->name, config->components[k].name) == 0)
				return "two components have the same name; rename one";
		if (component->kind == ENGINE_COMPONENT_TEXT)
			changeable = changeable || config->can_reflect;
		else
		{
			changeable = true;
			if (config->nclasses < 1 || config->nexamples < config->ntrain ||
				config->example_class == NULL || config->max_examples < 1)
				return "a component of examples needs nclasses, nexamples, example_class and max_examples";
			error = gepa_engine_check_examples(config, component->seed_text);
		}
	}
	if (error == NULL && !changeable)
		error = "no component can be changed; give a reflection LM or add a component of examples";
	return error;
}

static const char *
check_sets(const EngineConfig *config)
{
	bool	   *seen;
	int			i;

	if (config->ntrain < 1 || config->nval < 1)
		return "the training set or the validation set is empty; give each at least one sample";
	if (config->shared_sets && config->ntrain != config->nval)
		return "shared_sets needs training and validation sets of the same size";
	if (config->validate == NULL)
		return NULL;
	if (config->nvalidate < 1)
		return "the subset to validate on is empty; name at least one sample or none at all";
	seen = palloc0(config->nval * sizeof(bool));
	for (i = 0; i < config->nvalidate; i++)
	{
		int			sample = config->validate[i];

		if (sample < 0 || sample >= config->nval || seen[sample])
			break;
		seen[sample] = true;
	}
	pfree(seen);
	return i < config->nvalidate ?
		"the subset to validate on names a sample twice or one that does not exist" : NULL;
}

static const char *
check_numbers(const EngineConfig *config)
{
	int			nvalidate = config->validate != NULL ? config->nvalidate : config->nval;
	int			i;

	if (config->minibatch_size < 1)
		return "minibatch_size must be at least 1";
	if (!(config->epsilon >= 0.0 && config->epsilon <= 1.0))
		return "epsilon must be between 0 and 1";
	if (config->top_k < 1 || config->keep_k < 1)
		return "top_k and keep_k must be at least 1";
	if (config->parents < 1 || config->mutations < 1 ||
		(int64) config->parents * config->mutations > MAX_TASKS)
		return "parents times mutations must be between 1 and 1000";
	if (config->merge_overlap < 1)
		return "merge_overlap must be at least 1";
	if (isnan(config->perfect_score) && config->skip_perfect)
		return "skip_perfect needs a perfect_score";
	if (config->hard_budget && config->budget > 0 && config->budget < nvalidate)
		return "the budget does not cover the seed's validation; raise it to at least the number of validation samples plus a few iterations";
	for (i = 0; config->example_class != NULL && i < config->nexamples; i++)
		if (config->example_class[i] < 0 || config->example_class[i] >= config->nclasses)
			return "example_class names a class that does not exist";
	return NULL;
}

/* Copy what the configuration points to. */
static void
adopt_config(Engine *engine, const EngineConfig *given)
{
	EngineArena *arena = &engine->arena;
	EngineConfig *config = &engine->config;
	EngineComponent *components;
	int		   *numbers;
	int			i;

	*config = *given;
	components = gepa_engine_alloc(arena, config->ncomponents * sizeof(EngineComponent));
	engine->usable = gepa_engine_alloc(arena, config->ncomponents * sizeof(bool));
	for (i = 0; i < config->ncomponents; i++)
	{
		components[i].name = gepa_engine_strdup(arena, given->components[i].name);
		components[i].kind = given->components[i].kind;
		components[i].seed_text = gepa_engine_strdup(arena, given->components[i].seed_text);
		engine->usable[i] = config->can_reflect ||
			components[i].kind == ENGINE_COMPONENT_EXAMPLES;
	}
	config->components = components;

	if (given->example_class != NULL && config->nexamples > 0)
	{
		numbers = gepa_engine_alloc(arena, config->nexamples * sizeof(int));
		memcpy(numbers, given->example_class, config->nexamples * sizeof(int));
		config->example_class = numbers;
	}

	engine->nvalidate = given->validate != NULL ? given->nvalidate : given->nval;
	numbers = gepa_engine_alloc(arena, engine->nvalidate * sizeof(int));
	for (i = 0; i < engine->nvalidate; i++)
		numbers[i] = given->validate != NULL ? given->validate[i] : i;
	engine->validate = config->validate = numbers;
	config->nvalidate = engine->nvalidate;
}

Engine *
gepa_engine_create(const EngineConfig *config, const char **error)
{
	EngineArena arena;
	Engine	   *engine;
	const char *problem = check_sets(config);

	if (problem == NULL)
		problem = check_numbers(config);
	if (problem == NULL)
		problem = check_components(config);
	if (error != NULL)
		*error = problem;
	if (problem != NULL)
		return NULL;

	gepa_engine_arena_init(&arena);
	engine = gepa_engine_alloc(&arena, sizeof(Engine));
	engine->arena = arena;
	gepa_engine_arena_init(&engine->scratch);
	adopt_config(engine, config);
	gepa_engine_random_seed(&engine->random, config->seed);
	gepa_engine_sampler_init(&engine->sampler, &engine->arena, &engine->random,
							 config->minibatch_size);
	gepa_engine_pool_init(&engine->pool, &engine->arena, config->ncomponents, config->nval);
	gepa_engine_fronts_init(&engine->fronts, &engine->arena, config->frontier, config->nval);
	engine->pool.ascending = engine->fronts.ascending = config->ascending_order;
	gepa_engine_merges_init(&engine->merges, &engine->arena, config->merge_overlap,
							config->zero_mean_merge);
	gepa_engine_stops_init(&engine->stops);
	gepa_engine_begin(engine);
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

/* Is there a reason not to start another iteration? */
static const char *
reason_to_stop(Engine *engine)
{
	EngineProgress progress;

	progress.rollouts = engine->rollouts;
	progress.iterations = engine->iteration;
	progress.ncandidates = engine->pool.ncandidates;
	progress.best = engine->pool.means[gepa_engine_pool_best(&engine->pool, false)];
	progress.caller = engine->caller_reason;
	return gepa_engine_check_stop(&engine->stops, &engine->config, &progress,
								  gepa_engine_worst_case(engine));
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
		step.step = step.proposal = step.candidate = step.component = step.records_step = -1;
		step.iteration = engine->iteration;
		step.kind = ENGINE_STEP_WAIT;
		if (engine->running)
			return step;
		step.kind = ENGINE_STEP_FINISHED;
		if (engine->stop_reason == NULL)
			engine->stop_reason = reason_to_stop(engine);
		if (engine->stop_reason != NULL)
			return step;
		gepa_engine_iterate(engine);
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
		if (!isfinite(scores[i]))
			return false;
	if (objectives == NULL || objective_names == NULL)
		nobjectives = 0;
	for (i = 0; i < (Size) n * nobjectives; i++)
		if (isinf(objectives[i]))
			return false;
	if (engine->config.frontier != ENGINE_FRONTIER_INSTANCE &&
		record->step.split == ENGINE_SPLIT_VAL && !has_objectives(n, nobjectives, objectives))
		return false;

	record->observed = true;
	engine->rollouts += n;
	told.nobjectives = nobjectives;
	told.names = objective_names;
	told.values = objectives;
	gepa_engine_take_scores(engine, record, scores, &told);
	return true;
}

bool
gepa_engine_observe_text(Engine *engine, int step, const char *text)
{
	EngineStepRecord *record = find_outstanding(engine, step, ENGINE_STEP_REFLECT);

	if (record == NULL)
		return false;
	record->observed = true;
	gepa_engine_take_text(engine, record, text);
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
	Assert(candidate >= 0 && candidate < engine->pool.ncandidates);
	return engine->pool.means[candidate];
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

/* -1 before the seed is validated. */
int
gepa_engine_best(const Engine *engine)
{
	return engine->pool.ncandidates > 0 ? gepa_engine_pool_best(&engine->pool, false) : -1;
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
