/*-------------------------------------------------------------------------
 *
 * record.c
 *	  What an iteration leaves behind: proposals, steps, events, results.
 *
 * All of it lives as long as the engine, apart from results of rollouts, which
 * last for an iteration unless the cache keeps them.
 *
 * The cache answers validations and merge trials, never minibatches: these
 * need traces, which the engine does not have.  It is keyed by text, so equal
 * proposals share it.
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

bool
gepa_engine_same_texts(int ncomponents, const char *const *a, const char *const *b)
{
	int			i;

	for (i = 0; i < ncomponents; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

/* Equal texts share what is known of them. */
static struct EngineResult **
known_results(Engine *engine, const char *const *texts)
{
	EngineConfig *config = &engine->config;
	EngineResult **known;
	int			i;

	if (!config->cache)
		return NULL;
	for (i = 0; i < engine->nproposals; i++)
		if (gepa_engine_same_texts(config->ncomponents, engine->proposals[i].texts, texts))
			return engine->proposals[i].known;
	known = gepa_engine_alloc(&engine->arena, 2 * sizeof(EngineResult *));
	known[ENGINE_SPLIT_VAL] = gepa_engine_alloc(&engine->arena,
												config->nval * sizeof(EngineResult));
	/* minibatches are never read back, unless the two sets are one */
	if (config->shared_sets)
		known[ENGINE_SPLIT_TRAIN] = known[ENGINE_SPLIT_VAL];
	return known;
}

int
gepa_engine_add_proposal(Engine *engine, const char *const *texts)
{
	struct EngineResult **known = known_results(engine, texts);
	EngineProposal *proposal;

	engine->proposals = gepa_engine_grow(&engine->arena, engine->proposals, engine->nproposals,
										 &engine->proposals_allocated, sizeof(EngineProposal));
	proposal = &engine->proposals[engine->nproposals];
	proposal->texts = texts;
	proposal->candidate = -1;
	proposal->known = known;
	proposal->asked = NULL;
	return engine->nproposals++;
}

void
gepa_engine_next_iteration(Engine *engine)
{
	engine->iteration++;
	engine->roles_asked = 0;
}

/*
 * Steps with the same role in an iteration are asked for at a time; a role waits
 * for the one before.  Trials are asked for with the reflections.
 */
static void
count_round(Engine *engine, EngineStepRole role)
{
	uint32		bit = (uint32) 1 << (role == ENGINE_ROLE_TRIAL ? ENGINE_ROLE_REFLECT : role);

	if ((engine->roles_asked & bit) == 0)
		engine->rounds++;
	engine->roles_asked |= bit;
}

EngineStep *
gepa_engine_add_step(Engine *engine, EngineStepKind kind, EngineStepRole role, int task,
					 int proposal)
{
	EngineStepRecord *record;
	EngineStep *step;

	engine->steps = gepa_engine_grow(&engine->arena, engine->steps, engine->nsteps,
									 &engine->steps_allocated, sizeof(EngineStepRecord));
	count_round(engine, role);
	record = &engine->steps[engine->nsteps];
	memset(record, 0, sizeof(EngineStepRecord));
	record->role = role;
	record->task = task;

	step = &record->step;
	step->kind = kind;
	step->step = engine->nsteps++;
	step->iteration = engine->iteration;
	step->proposal = proposal;
	step->candidate = engine->proposals[proposal].candidate;
	step->texts = engine->proposals[proposal].texts;
	step->component = -1;
	return step;
}

int
gepa_engine_add_evaluation(Engine *engine, EngineStepRole role, int task, int proposal,
						   EngineSplit split, int nsamples, const int *samples)
{
	EngineStep *step = gepa_engine_add_step(engine, ENGINE_STEP_EVALUATE, role, task, proposal);

	step->split = split;
	step->nsamples = nsamples;
	step->samples = samples;
	step->traces = role == ENGINE_ROLE_PARENT ||
		(engine->search != NULL && role != ENGINE_ROLE_HELD_OUT);
	return step->step;
}

EngineEvent *
gepa_engine_add_event(Engine *engine, EngineEventKind kind, const EngineTask *task,
					  const char *reason)
{
	EngineEvent *event;
	int			i;

	engine->events = gepa_engine_grow(&engine->arena, engine->events, engine->nevents,
									  &engine->events_allocated, sizeof(EngineEvent));
	event = &engine->events[engine->nevents++];
	memset(event, 0, sizeof(EngineEvent));
	event->kind = kind;
	event->iteration = engine->iteration;
	event->reason = reason;
	event->proposal = event->candidate = event->component = -1;
	event->reflect_step = event->ancestor = -1;
	event->parent_sum = event->child_sum = NAN;
	if (task == NULL)
		return event;

	for (i = 0; i < 2; i++)
		if (task->parents[i] >= 0)
			event->parents[event->nparents++] = task->parents[i];
	event->ancestor = task->ancestor;
	event->parent_sum = task->before_sum;
	event->child_sum = task->after_sum;
	if (kind == ENGINE_EVENT_ITERATION)
	{
		event->nsamples = task->nsamples;
		event->samples = task->samples;
	}
	if (task->proposal >= 0)
	{
		event->proposal = task->proposal;
		event->candidate = engine->proposals[task->proposal].candidate;
		event->component = task->component;
		event->reflect_step = task->reflect_step;
		event->texts = engine->proposals[task->proposal].texts;
	}
	return event;
}

void
gepa_engine_end_task(Engine *engine, EngineTask *task, EngineEventKind kind,
					 const char *reason)
{
	task->state = ENGINE_TASK_DONE;
	gepa_engine_add_event(engine, kind, task, reason);
}


bool
gepa_engine_ask_unknown(Engine *engine, EngineTask *task, EngineStepRole role, int nsamples,
						const int *samples)
{
	EngineResult **known = engine->proposals[task->proposal].known;
	const int  *asked = samples;
	int			i;

	task->nwanted = task->nasked = nsamples;
	task->wanted = samples;
	task->results = gepa_engine_alloc(&engine->scratch, nsamples * sizeof(EngineResult));
	if (known != NULL)
	{
		int		   *unknown = gepa_engine_alloc(&engine->arena, nsamples * sizeof(int));

		task->nasked = 0;
		for (i = 0; i < nsamples; i++)
		{
			task->results[i] = known[ENGINE_SPLIT_VAL][samples[i]];
			if (!task->results[i].told)
				unknown[task->nasked++] = samples[i];
		}
		asked = unknown;
	}
	if (task->nasked > 0)
		gepa_engine_add_evaluation(engine, role, task - engine->tasks, task->proposal,
								   ENGINE_SPLIT_VAL, task->nasked, asked);
	return task->nasked > 0;
}

/* A row of objectives as they are numbered in the frontier. */
static const double *
number_objectives(Engine *engine, EngineArena *arena, const EngineObjectives *objectives,
				  const double *row)
{
	double	   *by_number;
	int			i;

	for (i = 0; i < objectives->nobjectives; i++)
		gepa_engine_find_objective(&engine->fronts, objectives->names[i]);
	by_number = gepa_engine_alloc(arena, engine->fronts.nobjectives * sizeof(double));
	for (i = 0; i < engine->fronts.nobjectives; i++)
		by_number[i] = NAN;
	for (i = 0; i < objectives->nobjectives; i++)
		by_number[gepa_engine_find_objective(&engine->fronts, objectives->names[i])] = row[i];
	return by_number;
}

EngineResult *
gepa_engine_take_results(Engine *engine, const EngineStepRecord *record, const double *scores,
						 const EngineObjectives *objectives)
{
	const EngineStep *step = &record->step;
	EngineResult **known = engine->proposals[step->proposal].known;
	EngineArena *arena = known != NULL ? &engine->arena : &engine->scratch;
	EngineResult *results;
	int			i;

	if (step->split == ENGINE_SPLIT_TRAIN && (known == NULL || known[step->split] == NULL))
		return NULL;

	results = gepa_engine_alloc(&engine->scratch, step->nsamples * sizeof(EngineResult));
	for (i = 0; i < step->nsamples; i++)
	{
		results[i].told = true;
		results[i].score = scores[i];
		if (objectives->nobjectives > 0)
		{
			results[i].objectives =
				number_objectives(engine, arena, objectives,
								  objectives->values + (Size) i * objectives->nobjectives);
			results[i].nobjectives = engine->fronts.nobjectives;
		}
		if (known != NULL)
			known[step->split][step->samples[i]] = results[i];
	}
	return results;
}

int
gepa_engine_enter_pool(Engine *engine, int proposal, const int parents[2],
					   const EngineResult *results)
{
	int			n = engine->nvalidate;
	int			nobjectives = engine->fronts.nobjectives;
	double	   *scores = palloc(n * sizeof(double));
	double	   *values = palloc(((Size) n * nobjectives + 1) * sizeof(double));
	EngineObjectives objectives;
	int			candidate;
	int			i;
	int			k;

	for (i = 0; i < n; i++)
	{
		scores[i] = results[i].score;
		for (k = 0; k < nobjectives; k++)
			values[(Size) i * nobjectives + k] =
				k < results[i].nobjectives ? results[i].objectives[k] : NAN;
	}
	objectives.nobjectives = nobjectives;
	objectives.names = (const char *const *) engine->fronts.objectives;
	objectives.values = values;

	candidate = gepa_engine_pool_add(&engine->pool, engine->proposals[proposal].texts, parents,
									 n, engine->validate, scores);
	engine->pool.proposals[candidate] = proposal;
	engine->proposals[proposal].candidate = candidate;
	gepa_engine_fronts_add(&engine->fronts, candidate, n, engine->validate, scores, &objectives);
	pfree(values);
	pfree(scores);
	return candidate;
}
