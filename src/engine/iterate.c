/*-------------------------------------------------------------------------
 *
 * iterate.c
 *	  One iteration of GEPA, as answers come in; drawing in docs/engine.md.
 *
 * An iteration is a row of tasks (one by default), each a parent with a
 * minibatch that may become a child.  Everything is decided at four points:
 * when the iteration starts (parents, minibatches), when all parents have
 * been run (skip or component), when a child's turn comes, and when all
 * children have been run (who goes on).  Children are made in the order of
 * the tasks, and validated ones enter the pool in that order too, so that
 * arrival order decides nothing, while reflection for one task does not hold
 * up the rollouts of an earlier one.
 *
 * A merge is an iteration of one task that begins as a child.
 *
 * Errors: none.  What can go wrong with an answer was checked by engine.c.
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

#define MERGE_SAMPLES 5

static void settle(Engine *engine);

void
gepa_engine_begin(Engine *engine)
{
	int			n = 1 + engine->config.nseeds;
	int			s;

	gepa_engine_propose_seeds(engine, NULL);
	for (s = 0; s < n; s++)
		gepa_engine_add_evaluation(engine, ENGINE_ROLE_SEED, -1, s, ENGINE_SPLIT_VAL,
								   engine->nvalidate, engine->validate);
	engine->seed_results = gepa_engine_alloc(&engine->arena, n * sizeof(EngineResult *));
	engine->seeds_awaited = n;
	engine->running = true;
}

/* They enter the pool in their order, whatever that of the answers was. */
static void
take_seed(Engine *engine, int seed, EngineResult *results)
{
	static const int no_parents[2] = {-1, -1};
	int			s;

	engine->seed_results[seed] = results;
	if (--engine->seeds_awaited > 0)
		return;
	for (s = 0; s <= engine->config.nseeds; s++)
	{
		int			candidate = gepa_engine_enter_pool(engine, s, no_parents,
													   engine->seed_results[s]);

		engine->pool.discovery[candidate] = (int64) s * engine->nvalidate;
		gepa_engine_add_seed_event(engine, ENGINE_EVENT_ACCEPTED, s, "seed");
	}
	engine->running = false;
}

/* What an iteration may cost at most. */
static int64
worst_case(const Engine *engine)
{
	const EngineConfig *config = &engine->config;
	int64		tasks = (int64) config->parents * config->mutations;
	int64		kept = tasks;

	if (config->keep == ENGINE_KEEP_BEST)
		kept = 1;
	else if (config->keep == ENGINE_KEEP_TOP_K)
		kept = Min(tasks, config->keep_k);
	return tasks * 2 * config->minibatch_size + kept * engine->nvalidate;
}

static void
make_tasks(Engine *engine, int n)
{
	int			i;

	engine->ntasks = n;
	engine->tasks = gepa_engine_alloc(&engine->scratch, n * sizeof(EngineTask));
	engine->kept = gepa_engine_alloc(&engine->scratch, n * sizeof(int));
	engine->nkept = 0;
	for (i = 0; i < n; i++)
	{
		EngineTask *task = &engine->tasks[i];

		task->ancestor = task->same_as = task->component = -1;
		task->parents[0] = task->parents[1] = -1;
		task->records_step = task->reflect_step = task->proposal = -1;
		task->before_sum = task->after_sum = NAN;
	}
}

/* Sum of a candidate's stored scores over some validation samples. */
static double
stored_sum(const Engine *engine, int candidate, int n, const int *samples)
{
	double		sum = 0.0;
	int			i;

	for (i = 0; i < n; i++)
		sum += engine->pool.scores[candidate][samples[i]];
	return sum;
}

/* All results of a merge's trial are there. */
static void
finish_trial(Engine *engine, EngineTask *task)
{
	double		sum = 0.0;
	int			i;

	for (i = 0; i < task->nwanted; i++)
		sum += task->results[i].score;
	task->after_sum = sum;
	task->state = ENGINE_TASK_JUDGED;
	settle(engine);
}

/* A merge that was found becomes the iteration's only task. */
static void
start_merge(Engine *engine, const EngineMerge *merge)
{
	int		   *samples = gepa_engine_alloc(&engine->arena, MERGE_SAMPLES * sizeof(int));
	EngineTask *task;
	double		sum_i;
	double		sum_j;

	make_tasks(engine, 1);
	task = &engine->tasks[0];
	task->merge = true;
	task->parents[0] = merge->i;
	task->parents[1] = merge->j;
	task->ancestor = merge->ancestor;
	task->nsamples = gepa_engine_merge_subsample(&engine->random, &engine->pool, merge->i,
												 merge->j, MERGE_SAMPLES, samples);
	task->samples = samples;
	gepa_engine_add_event(engine, ENGINE_EVENT_ITERATION, task, NULL);

	sum_i = stored_sum(engine, merge->i, task->nsamples, samples);
	sum_j = stored_sum(engine, merge->j, task->nsamples, samples);
	task->before_sum = Max(sum_i, sum_j);
	task->texts = merge->texts;
	task->proposal = gepa_engine_add_proposal(engine, (const char *const *) merge->texts);
	gepa_engine_add_event(engine, ENGINE_EVENT_PROPOSED, task, NULL);
	task->state = ENGINE_TASK_CHILD;
	engine->running = true;
	if (!gepa_engine_ask_unknown(engine, task, ENGINE_ROLE_CHILD, task->nsamples, samples))
		finish_trial(engine, task);
}

static int
compare_ints(const void *a, const void *b)
{
	int			left = *(const int *) a;
	int			right = *(const int *) b;

	return left < right ? -1 : left > right;
}

static EngineMergeResult
search_merge(Engine *engine, EngineMerge *merge)
{
	EnginePool *pool = &engine->pool;
	int		   *survivors = palloc(2 * pool->ncandidates * sizeof(int));
	EngineMergeResult result;
	int			n;

	n = gepa_engine_survivors(&engine->fronts, pool->ncandidates, pool->means, NULL,
							  survivors, survivors + pool->ncandidates);
	if (pool->ascending)
		qsort(survivors, n, sizeof(int), compare_ints);
	else
		gepa_engine_set_reorder(survivors, n);
	result = gepa_engine_find_merge(&engine->merges, &engine->random, pool, survivors, n,
									merge);
	pfree(survivors);
	return result;
}

/*
 * Try the merge that is due.  True when the iteration is taken by it, or the
 * run has ended.
 */
static bool
try_merge(Engine *engine)
{
	const EngineConfig *config = &engine->config;
	EngineMerge merge;

	/* its child may cost more than one of reflection, for small minibatches */
	if (config->hard_budget && config->budget > 0 &&
		engine->rollouts + MERGE_SAMPLES + engine->nvalidate > config->budget)
		return false;

	switch (search_merge(engine, &merge))
	{
		case ENGINE_MERGE_ZERO_WEIGHT:
			engine->stop_reason = "no ancestor of a merge has a positive mean";
			return true;
		case ENGINE_MERGE_BUILT:
			gepa_engine_merge_done(&engine->merges, &merge);
			if (config->skip_known_texts &&
				gepa_engine_pool_find(&engine->pool, (const char *const *) merge.texts) >= 0)
				break;
			start_merge(engine, &merge);
			return true;
		case ENGINE_MERGE_NONE:
			break;
	}
	gepa_engine_add_event(engine, ENGINE_EVENT_NO_MERGE, NULL, NULL);
	return false;
}

/* An earlier task that runs the same text on the same minibatch; -1 if none. */
static int
find_same_run(const Engine *engine, int number)
{
	const EngineTask *task = &engine->tasks[number];
	int			i;

	for (i = 0; i < number; i++)
	{
		const EngineTask *earlier = &engine->tasks[i];

		if (earlier->same_as < 0 &&
			gepa_engine_same_texts(engine->config.ncomponents,
								   engine->pool.texts[earlier->parents[0]],
								   engine->pool.texts[task->parents[0]]) &&
			memcmp(earlier->samples, task->samples, task->nsamples * sizeof(int)) == 0)
			return i;
	}
	return -1;
}

static void
draw_task(Engine *engine, int number, int parent)
{
	EngineTask *task = &engine->tasks[number];
	int			size = engine->config.minibatch_size;
	int		   *samples = gepa_engine_alloc(&engine->arena, size * sizeof(int));

	gepa_engine_sampler_next(&engine->sampler, engine->config.ntrain, engine->iteration - 1,
							 samples);
	task->parents[0] = parent;
	task->nsamples = size;
	task->samples = samples;
	task->before = gepa_engine_alloc(&engine->scratch, size * sizeof(double));
	gepa_engine_add_event(engine, ENGINE_EVENT_ITERATION, task, NULL);
}

/* Ask for the parents' runs, each once. */
static void
run_parents(Engine *engine)
{
	int			i;

	for (i = 0; i < engine->ntasks; i++)
	{
		EngineTask *task = &engine->tasks[i];
		int			proposal = engine->pool.proposals[task->parents[0]];

		task->same_as = find_same_run(engine, i);
		if (task->same_as >= 0)
			task->records_step = engine->tasks[task->same_as].records_step;
		else
			task->records_step = gepa_engine_add_evaluation(engine, ENGINE_ROLE_PARENT, i,
															proposal, ENGINE_SPLIT_TRAIN,
															task->nsamples, task->samples);
	}
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
	progress.advance = progress.best;
	progress.caller = engine->caller_reason;
	return gepa_engine_check_stop(&engine->stops, &engine->config, &progress,
								  worst_case(engine));
}

void
gepa_engine_start(Engine *engine)
{
	const EngineConfig *config = &engine->config;
	int			i;

	engine->stop_reason = reason_to_stop(engine);
	if (engine->stop_reason != NULL)
		return;
	gepa_engine_next_iteration(engine);
	gepa_engine_arena_free(&engine->scratch);
	if (config->merge && engine->merges_due > 0 && engine->found_new)
	{
		engine->found_new = false;
		if (try_merge(engine))
			return;
	}
	engine->found_new = false;

	make_tasks(engine, config->parents * config->mutations);
	for (i = 0; i < engine->ntasks; i++)
	{
		int			parent;

		if (i % config->mutations == 0)
			parent = gepa_engine_select_parent(&engine->random, &engine->pool, &engine->fronts,
											   config->selection, config->epsilon,
											   config->top_k);
		else
			parent = engine->tasks[i - 1].parents[0];
		draw_task(engine, i, parent);
	}
	run_parents(engine);
	engine->running = true;
}


static bool
any_task(const Engine *engine, EngineTaskState state)
{
	int			i;

	for (i = 0; i < engine->ntasks; i++)
		if (engine->tasks[i].state == state)
			return true;
	return false;
}

/* Make children as far as it is their turn. */
static void
release(Engine *engine)
{
	int			i;

	for (i = 0; i < engine->ntasks; i++)
	{
		if (engine->tasks[i].state == ENGINE_TASK_REFLECT)
			break;
		if (engine->tasks[i].state == ENGINE_TASK_READY)
			gepa_engine_make_child(engine, &engine->tasks[i]);
	}
}

/* Do whatever became possible. */
static void
settle(Engine *engine)
{
	if (any_task(engine, ENGINE_TASK_PARENT))
		return;
	release(engine);
	if (any_task(engine, ENGINE_TASK_REFLECT) || any_task(engine, ENGINE_TASK_CHILD))
		return;
	if (any_task(engine, ENGINE_TASK_JUDGED))
		gepa_engine_judge(engine);
	if (any_task(engine, ENGINE_TASK_VALIDATE))
		return;
	gepa_engine_enter_candidates(engine);
	engine->running = false;
}

/* The parent's run is in; the last one lets all tasks go on. */
static void
take_parent(Engine *engine, EngineTask *task, const double *scores)
{
	int			i;

	memcpy(task->before, scores, task->nsamples * sizeof(double));
	task->state = ENGINE_TASK_DONE;
	for (i = 0; i < engine->ntasks; i++)
		if (engine->tasks[i].same_as < 0 && engine->tasks[i].state == ENGINE_TASK_PARENT)
			return;
	gepa_engine_change_tasks(engine);
}

/* The samples that were asked for are those not known, in the same order. */
static void
fill_in(EngineTask *task, const EngineResult *results)
{
	int			i;

	for (i = 0; i < task->nwanted; i++)
		if (!task->results[i].told)
			task->results[i] = *results++;
}

void
gepa_engine_take_scores(Engine *engine, EngineStepRecord *record, const double *scores,
						const EngineObjectives *objectives)
{
	EngineResult *results = gepa_engine_take_results(engine, record, scores, objectives);
	EngineTask *task = record->task >= 0 ? &engine->tasks[record->task] : NULL;

	switch (record->role)
	{
		case ENGINE_ROLE_SEED:
			take_seed(engine, record->step.proposal, results);
			return;
		case ENGINE_ROLE_PARENT:
			take_parent(engine, task, scores);
			break;
		case ENGINE_ROLE_CHILD:
			if (task->merge)
			{
				fill_in(task, results);
				finish_trial(engine, task);
				return;
			}
			task->after_sum = gepa_engine_sum(scores, record->step.nsamples);
			task->state = ENGINE_TASK_JUDGED;
			break;
		case ENGINE_ROLE_VALIDATE:
			fill_in(task, results);
			task->state = ENGINE_TASK_VALIDATED;
			break;
		case ENGINE_ROLE_REFLECT:
		case ENGINE_ROLE_TRIAL:
		case ENGINE_ROLE_HELD_OUT:
			Assert(false);
			break;
	}
	settle(engine);
}

void
gepa_engine_take_text(Engine *engine, EngineStepRecord *record, const char *text)
{
	EngineTask *task = &engine->tasks[record->task];

	if (text != NULL)
		task->texts[record->step.component] = gepa_engine_strdup(&engine->arena, text);
	else
		task->given_up = true;
	if (--task->awaited == 0)
		task->state = ENGINE_TASK_READY;
	settle(engine);
}
