/*-------------------------------------------------------------------------
 *
 * children.c
 *	  From parents that were run to candidates in the pool.
 *
 * The middle part of an iteration (iterate.c): perfect parents are skipped, a
 * component is chosen and changed, by reflection or by the engine's own
 * proposer of examples, children are compared with their parents, and those
 * that go on are validated.
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

static bool
all_perfect(const Engine *engine, const EngineTask *task)
{
	int			i;

	for (i = 0; i < task->nsamples; i++)
		if (task->before[i] < engine->config.perfect_score)
			return false;
	return true;
}

/* For the proposer of examples: was this list tried before? */
typedef struct KnownList
{
	const Engine *engine;
	const EngineTask *task;
	int			component;
	bool		pool_only;
} KnownList;

static bool
is_known_list(void *arg, const char *text)
{
	KnownList  *known = arg;
	const Engine *engine = known->engine;
	int			n = engine->config.ncomponents;
	const char **texts = palloc(n * sizeof(char *));
	bool		found = false;
	int			i;

	memcpy(texts, known->task->texts, n * sizeof(char *));
	texts[known->component] = text;
	for (i = 0; i < engine->nproposals && !found; i++)
		if (engine->proposals[i].candidate >= 0 || !known->pool_only)
			found = gepa_engine_same_texts(n, engine->proposals[i].texts,
										   (const char *const *) texts);
	pfree(texts);
	return found;
}

/* Training samples of the minibatch that the parent got wrong. */
static int
list_wrong(const Engine *engine, const EngineTask *task, EngineWrong *wrong)
{
	int			n = 0;
	int			i;

	for (i = 0; i < task->nsamples; i++)
	{
		double		lack = engine->config.perfect_score - task->before[i];

		if (!(lack > 0.0))
			continue;
		wrong[n].example = task->samples[i];
		wrong[n++].weight = lack;
	}
	return n;
}

/* Change a list of examples in the task's texts; false when nothing can. */
static bool
change_examples(Engine *engine, EngineTask *task, int component)
{
	EngineWrong *wrong = palloc(task->nsamples * sizeof(EngineWrong));
	int			nwrong = list_wrong(engine, task, wrong);
	KnownList	known = {engine, task, component, false};
	EngineExamples request = {
		.text = task->texts[component],
		.nwrong = nwrong,
		.wrong = wrong,
		.known = is_known_list,
		.arg = &known
	};
	const char *text;

	text = gepa_engine_propose_examples(&engine->arena, &engine->random, &engine->config,
										&request);
	if (text == NULL)
	{
		/* rather retry a rejected list on this minibatch than nothing */
		known.pool_only = true;
		text = gepa_engine_propose_examples(&engine->arena, &engine->random, &engine->config,
											&request);
	}
	pfree(wrong);
	if (text == NULL)
		return false;
	task->texts[component] = text;
	return true;
}

/* Show the whole run of the parent, in its order. */
static void
show_run(Engine *engine, EngineStep *step, int run)
{
	int			n = engine->steps[run].step.nsamples;
	EngineRecord *records = gepa_engine_alloc(&engine->arena, n * sizeof(EngineRecord));
	int			i;

	for (i = 0; i < n; i++)
	{
		records[i].step = run;
		records[i].slot = i;
	}
	step->nrecords = n;
	step->records = records;
}

/* Set a component's change going; false when it cannot be changed. */
static bool
change_component(Engine *engine, EngineTask *task, int component)
{
	EngineStep *step;

	if (engine->config.components[component].kind == ENGINE_COMPONENT_EXAMPLES)
		return change_examples(engine, task, component);

	step = gepa_engine_add_step(engine, ENGINE_STEP_REFLECT, ENGINE_ROLE_REFLECT,
								task - engine->tasks,
								engine->pool.proposals[task->parents[0]]);
	step->component = component;
	show_run(engine, step, task->records_step);
	if (task->reflect_step < 0)
		task->reflect_step = step->step;
	task->awaited++;
	return true;
}

/* The parent was run and is to be changed. */
static void
change_task(Engine *engine, EngineTask *task)
{
	const EngineConfig *config = &engine->config;
	int			parent = task->parents[0];
	int			changed = 0;
	int			i;

	task->texts = gepa_engine_alloc(&engine->arena, config->ncomponents * sizeof(char *));
	memcpy(task->texts, engine->pool.texts[parent], config->ncomponents * sizeof(char *));
	if (config->component_choice == ENGINE_CHOOSE_ROUND_ROBIN)
	{
		i = gepa_engine_pool_next_component(&engine->pool, parent, engine->usable);
		task->component = i;
		changed = change_component(engine, task, i) ? 1 : 0;
	}
	else
	{
		for (i = 0; i < config->ncomponents; i++)
		{
			if (!engine->usable[i] || !change_component(engine, task, i))
				continue;
			changed++;
			task->component = changed == 1 ? i : -1;
		}
	}
	if (changed == 0)
		gepa_engine_end_task(engine, task, ENGINE_EVENT_SKIPPED,
							 "no new list of examples was found");
	else
		task->state = task->awaited > 0 ? ENGINE_TASK_REFLECT : ENGINE_TASK_READY;
}

void
gepa_engine_change_tasks(Engine *engine)
{
	int			i;

	for (i = 0; i < engine->ntasks; i++)
	{
		EngineTask *task = &engine->tasks[i];

		if (task->same_as >= 0)
			memcpy(task->before, engine->tasks[task->same_as].before,
				   task->nsamples * sizeof(double));
		task->before_sum = gepa_engine_sum(task->before, task->nsamples);
		if (engine->config.skip_perfect && all_perfect(engine, task))
			gepa_engine_end_task(engine, task, ENGINE_EVENT_SKIPPED,
								 "all scores of the minibatch are perfect");
		else
			change_task(engine, task);
	}
}

void
gepa_engine_make_child(Engine *engine, EngineTask *task)
{
	const char *const *texts = (const char *const *) task->texts;

	if (task->given_up)
	{
		gepa_engine_end_task(engine, task, ENGINE_EVENT_SKIPPED,
							 "no answer from the reflection LM");
		return;
	}
	task->proposal = gepa_engine_add_proposal(engine, texts);
	gepa_engine_add_event(engine, ENGINE_EVENT_PROPOSED, task, NULL);
	if (engine->config.skip_known_texts && gepa_engine_pool_find(&engine->pool, texts) >= 0)
		gepa_engine_end_task(engine, task, ENGINE_EVENT_REJECTED,
							 "equal to a known candidate");
	else
	{
		task->state = ENGINE_TASK_CHILD;
		gepa_engine_add_evaluation(engine, ENGINE_ROLE_CHILD, task - engine->tasks,
								   task->proposal, ENGINE_SPLIT_TRAIN, task->nsamples,
								   task->samples);
	}
}


/* Is there an equal child among those that go on already? */
static bool
is_kept_twice(const Engine *engine, const EngineTask *task)
{
	int			i;

	for (i = 0; i < engine->nkept; i++)
		if (gepa_engine_same_texts(engine->config.ncomponents,
								   (const char *const *) engine->tasks[engine->kept[i]].texts,
								   (const char *const *) task->texts))
			return true;
	return false;
}

/* Reject what was not kept, in the order of the tasks. */
static void
reject_others(Engine *engine, const bool *twice)
{
	int			i;

	for (i = 0; i < engine->ntasks; i++)
	{
		EngineTask *task = &engine->tasks[i];
		const char *reason;

		if (task->state != ENGINE_TASK_JUDGED)
			continue;
		if (twice[i])
			reason = "equal to another proposal of this iteration";
		else if (task->merge)
			reason = "worse than the better parent";
		else if (gepa_engine_accepts(engine->config.acceptance, task->before_sum,
									 task->after_sum))
			reason = "another proposal of this iteration gained more";
		else if (task->after_sum < task->before_sum)
			reason = "worse on the minibatch";
		else
			reason = "no better on the minibatch";
		gepa_engine_end_task(engine, task, ENGINE_EVENT_REJECTED, reason);
	}
}

/* Which of the judged tasks are kept, as the acceptance and keep say. */
static int
choose_tasks(const Engine *engine, int *chosen)
{
	const EngineConfig *config = &engine->config;
	double	   *sums = palloc(2 * engine->ntasks * sizeof(double));
	int		   *judged = palloc(engine->ntasks * sizeof(int));
	int			n = 0;
	int			kept;
	int			i;

	for (i = 0; i < engine->ntasks; i++)
	{
		if (engine->tasks[i].state != ENGINE_TASK_JUDGED)
			continue;
		sums[n] = engine->tasks[i].before_sum;
		sums[engine->ntasks + n] = engine->tasks[i].after_sum;
		judged[n++] = i;
	}
	kept = gepa_engine_keep(config->keep, config->keep_k, config->acceptance, n, sums,
							sums + engine->ntasks, chosen);
	for (i = 0; i < kept; i++)
		chosen[i] = judged[chosen[i]];
	pfree(judged);
	pfree(sums);
	return kept;
}

void
gepa_engine_judge(Engine *engine)
{
	int		   *chosen = palloc(engine->ntasks * sizeof(int));
	bool	   *twice = palloc0(engine->ntasks * sizeof(bool));
	EngineTask *first = &engine->tasks[0];
	int			n;
	int			i;

	if (first->merge)
	{
		chosen[0] = 0;
		n = gepa_engine_merge_accepts(first->before_sum, first->before_sum,
									  first->after_sum) ? 1 : 0;
	}
	else
		n = choose_tasks(engine, chosen);

	for (i = 0; i < n; i++)
	{
		twice[chosen[i]] = is_kept_twice(engine, &engine->tasks[chosen[i]]);
		if (!twice[chosen[i]])
			engine->kept[engine->nkept++] = chosen[i];
	}
	engine->validated_from = engine->rollouts;
	for (i = 0; i < engine->nkept; i++)
	{
		EngineTask *task = &engine->tasks[engine->kept[i]];
		bool		asked = gepa_engine_ask_unknown(engine, task, ENGINE_ROLE_VALIDATE,
													engine->nvalidate, engine->validate);

		task->state = asked ? ENGINE_TASK_VALIDATE : ENGINE_TASK_VALIDATED;
	}
	reject_others(engine, twice);
	pfree(twice);
	pfree(chosen);
}

void
gepa_engine_enter_candidates(Engine *engine)
{
	const EngineConfig *config = &engine->config;
	int64		spent = engine->validated_from;
	int			i;

	for (i = 0; i < engine->nkept; i++)
	{
		EngineTask *task = &engine->tasks[engine->kept[i]];
		int			candidate = gepa_engine_enter_pool(engine, task->proposal, task->parents,
													   task->results);

		engine->pool.discovery[candidate] = spent;
		spent += task->nasked;
		if (task->merge)
		{
			engine->merges_due--;
			engine->merges_accepted++;
		}
		else
		{
			engine->found_new = true;
			if (engine->merges_accepted < config->max_merges)
				engine->merges_due++;
		}
		gepa_engine_end_task(engine, task, ENGINE_EVENT_ACCEPTED, task->merge ?
							 "no worse than the better parent" :
							 task->after_sum > task->before_sum ? "better on the minibatch" :
							 "no worse on the minibatch");
	}
}
