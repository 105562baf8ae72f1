/*-------------------------------------------------------------------------
 *
 * propose.c
 *	  Default mode: changes of the incumbent by reflection and of its examples.
 *
 * Reflection is shown rollouts of the incumbent that were paid for already, most
 * of them failures.  A list of examples is changed by the engine itself, without a
 * call, so that such a change does not count as a reflection.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_search.h"

EngineChild *
gepa_engine_add_child(Engine *engine, EngineChildren *children, EngineOrigin origin)
{
	EngineSearch *search = engine->search;
	int			n = engine->config.ncomponents;
	EngineChild *child;

	children->items = gepa_engine_grow(&engine->arena, children->items, children->n,
									   &children->allocated, sizeof(EngineChild));
	child = &children->items[children->n++];
	memset(child, 0, sizeof(EngineChild));
	child->origin = origin;
	child->parent = search->incumbent;
	child->component = child->reflect_step = child->proposal = -1;
	child->texts = gepa_engine_alloc(&engine->arena, n * sizeof(char *));
	memcpy(child->texts, engine->pool.texts[search->incumbent], n * sizeof(char *));
	return child;
}

int
gepa_engine_find_evaluated(const Engine *engine, const char *const *texts)
{
	int			i;

	for (i = 0; i < engine->nproposals; i++)
		if (engine->proposals[i].asked != NULL &&
			gepa_engine_same_texts(engine->config.ncomponents, engine->proposals[i].texts,
								   texts))
			return i;
	return -1;
}

static bool
is_examples(const Engine *engine, int component)
{
	return engine->config.components[component].kind == ENGINE_COMPONENT_EXAMPLES;
}

int
gepa_engine_reflection_cost(const Engine *engine)
{
	int			cost = 0;
	int			i;

	if (engine->config.component_choice == ENGINE_CHOOSE_ROUND_ROBIN)
		return 1;
	for (i = 0; i < engine->config.ncomponents; i++)
		cost += engine->usable[i] && !is_examples(engine, i);
	return Max(cost, 1);
}

bool
gepa_engine_may_propose(const Engine *engine)
{
	const EngineSearch *search = engine->search;
	int			left = search->plan.max_reflections - search->reflections;
	int			i;

	for (i = 0; i < engine->config.ncomponents; i++)
		if (engine->usable[i] &&
			(is_examples(engine, i) || left >= gepa_engine_reflection_cost(engine)))
			return true;
	return false;
}

/* For the proposer of examples: was this list tried, or is it about to be? */
typedef struct TriedList
{
	const Engine *engine;
	const EngineChildren *children;
	const EngineChild *child;
	int			component;
} TriedList;

static bool
was_tried(void *arg, const char *text)
{
	TriedList  *tried = arg;
	int			n = tried->engine->config.ncomponents;
	const char **texts = palloc(n * sizeof(char *));
	const char *const *same = (const char *const *) texts;
	bool		found;
	int			i;

	memcpy(texts, tried->child->texts, n * sizeof(char *));
	texts[tried->component] = text;
	found = gepa_engine_find_evaluated(tried->engine, same) >= 0;
	for (i = 0; i < tried->children->n && !found; i++)
		found = gepa_engine_same_texts(n, (const char *const *) tried->children->items[i].texts,
									   same);
	pfree(texts);
	return found;
}

/* Training samples in use that the incumbent got wrong. */
static int
list_wrong(const Engine *engine, EngineWrong *wrong)
{
	const EngineSearch *search = engine->search;
	int			n = 0;
	int			i;

	for (i = 0; i < engine->config.ntrain; i++)
	{
		double		score;

		if (!search->items.used[i] ||
			!gepa_engine_model_score(&search->model, search->incumbent, i, &score) ||
			!(score < engine->config.perfect_score))
			continue;
		wrong[n].example = i;
		wrong[n++].weight = engine->config.perfect_score - score;
	}
	return n;
}

static bool
change_examples(Engine *engine, const EngineChildren *children, EngineChild *child,
				int component)
{
	EngineSearch *search = engine->search;
	EngineWrong *wrong = palloc(engine->config.ntrain * sizeof(EngineWrong));
	int			nwrong = list_wrong(engine, wrong);
	TriedList	tried = {engine, children, child, component};
	EngineExamples request = {
		.text = child->texts[component],
		.nwrong = nwrong,
		.wrong = wrong,
		.usable = search->items.used,
		.known = was_tried,
		.arg = &tried
	};
	const char *text = gepa_engine_propose_examples(&engine->arena, &engine->random,
													&engine->config, &request);

	pfree(wrong);
	if (text == NULL)
		return false;
	child->texts[component] = text;
	return true;
}

/* Have a component rewritten after some of the incumbent's rollouts. */
static bool
reflect(Engine *engine, EngineChildren *children, EngineChild *child, int component)
{
	EngineSearch *search = engine->search;
	const EnginePolicy *policy = &engine->config.policy;
	int		   *items = palloc(policy->records * sizeof(int));
	EngineRecord *records;
	EngineStep *step;
	int			n;
	int			i;

	n = gepa_engine_choose_records(&search->items, &search->model, &engine->random, policy,
								   search->incumbent, items);
	if (n > 0)
	{
		records = gepa_engine_alloc(&engine->arena, n * sizeof(EngineRecord));
		for (i = 0; i < n; i++)
			records[i] = gepa_engine_find_record(engine, search->incumbent, items[i]);
		step = gepa_engine_add_step(engine, ENGINE_STEP_REFLECT, ENGINE_ROLE_REFLECT,
									child - children->items,
									engine->pool.proposals[search->incumbent]);
		step->component = component;
		step->nrecords = n;
		step->records = records;
		if (child->reflect_step < 0)
			child->reflect_step = step->step;
		child->awaited++;
		search->awaited++;
		search->reflections++;
	}
	pfree(items);
	return n > 0;
}

/* Components that may be changed now, while so many reflections may be asked for. */
static int
list_changeable(const Engine *engine, int reflections, bool *changeable)
{
	int			n = 0;
	int			i;

	for (i = 0; i < engine->config.ncomponents; i++)
	{
		changeable[i] = engine->usable[i] &&
			(is_examples(engine, i) || reflections >= gepa_engine_reflection_cost(engine));
		n += changeable[i];
	}
	return n;
}

/* Returns how many reflections were asked for; -1 when nothing can be changed. */
static int
propose_one(Engine *engine, EngineChildren *children, int reflections)
{
	EngineSearch *search = engine->search;
	int			ncomponents = engine->config.ncomponents;
	bool		all = engine->config.component_choice == ENGINE_CHOOSE_ALL;
	bool	   *changeable = palloc(ncomponents * sizeof(bool));
	int			before = search->reflections;
	int			changed = 0;
	int			next = -1;
	EngineChild *child = NULL;
	int			i;

	if (list_changeable(engine, reflections, changeable) > 0)
		child = gepa_engine_add_child(engine, children, ENGINE_ORIGIN_EXAMPLES);
	if (child != NULL && !all)
		next = gepa_engine_pool_next_component(&engine->pool, search->incumbent, changeable);
	for (i = 0; child != NULL && i < ncomponents; i++)
	{
		if (!changeable[i] || (!all && i != next))
			continue;
		if (is_examples(engine, i) ? !change_examples(engine, children, child, i) :
			!reflect(engine, children, child, i))
			continue;
		changed++;
		child->component = changed == 1 ? i : -1;
	}
	pfree(changeable);
	if (changed == 0)
	{
		children->n -= child != NULL ? 1 : 0;
		return -1;
	}
	if (child->awaited > 0)
		child->origin = ENGINE_ORIGIN_REFLECTION;
	search->proposals++;
	return search->reflections - before;
}

bool
gepa_engine_propose(Engine *engine, EngineChildren *children, int n, int reflections)
{
	bool		any = true;
	int			i;

	for (i = 0; i < n; i++)
	{
		int			asked = propose_one(engine, children, reflections);

		if (asked >= 0)
			reflections -= asked;
		else if (reflections > 0)
			any = false;
	}
	return any;
}
