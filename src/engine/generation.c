/*-------------------------------------------------------------------------
 *
 * generation.c
 *	  Default mode: one generation, the incumbent and its children on a window.
 *
 * Everything that draws is done when a generation starts, in this order: the records
 * of each reflection (and the moves of lists of examples), the recombination, the
 * window.  So what answers say decides which texts are evaluated and nothing of where.
 * The incumbent and the recombination, which wait for nothing, are run while the
 * reflections are under way; a child follows when its text and those before it are there.
 *
 * Pipelined, the reflections of a generation are for the next one: they see what was
 * known before the window, and a generation takes one wait instead of two.
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

#define RECOMBINE_ATTEMPTS 8

/* What the search has spent, of what it may. */
static double
share_spent(const Engine *engine)
{
	double		share = engine->rollouts / (double) (engine->config.budget -
													 engine->search->plan.reserve);

	return Min(share, 1.0);
}

/*
 * Reflections that are due by now: many early, when they are worth most.  With
 * whole_rounds there are none before a round of them is due: who waits for one may as well wait for
 * more.
 */
static int
reflections_due(const Engine *engine)
{
	const EngineSearch *search = engine->search;
	const EnginePolicy *policy = &engine->config.policy;
	double		due = ceil(search->plan.max_reflections *
						   pow(share_spent(engine), policy->reflection_pace));
	int			a_round = policy->reflections_per_round * gepa_engine_reflection_cost(engine);
	int			most = Min(a_round, search->plan.max_reflections - search->reflections);

	due += a_round - search->reflections;
	if (policy->whole_rounds && due < most)
		return 0;
	return (int) Max(0.0, Min(due, most));
}

/* Children that this generation may have beside those that it has. */
static int
room_for_children(const Engine *engine)
{
	const EngineConfig *config = &engine->config;
	const EngineSearch *search = engine->search;
	int			present = search->recombined.n + search->children.n;
	int64		room = Max(1, gepa_engine_left(engine) / search->plan.window - 1);

	if (config->max_candidates > 0 && !config->stop_on_all)
		room = Min(room, config->max_candidates - engine->pool.ncandidates);
	return (int) Max(0, room - present);
}

/* Changes of the incumbent that may be made now. */
static int
room_for_proposals(const Engine *engine)
{
	const EngineConfig *config = &engine->config;
	const EngineSearch *search = engine->search;
	int64		room = Min(room_for_children(engine), config->policy.reflections_per_round);

	if (config->max_proposals > 0 && !config->stop_on_all)
		room = Min(room, config->max_proposals - search->proposals);
	return (int) Max(0, room);
}

/* Pipelined: will there be a generation after this one? */
static bool
bears_another(const Engine *engine)
{
	const EngineSearch *search = engine->search;
	int64		cost = search->plan.window *
		(int64) (1 + search->children.n + engine->config.policy.recombinations);

	if (search->children.n == 0)
		return true;
	return gepa_engine_left(engine) - cost > search->plan.reserve + 2 * search->plan.window;
}

/* What was asked for beside the last generation is this one's. */
static void
take_coming(Engine *engine)
{
	EngineSearch *search = engine->search;
	EngineChildren came = search->coming;
	int64		most = gepa_engine_left(engine) - 1;

	search->coming = search->children;
	search->children = came;
	search->coming.n = 0;
	search->children.n = (int) Min(came.n, Max(0, most));
}

/* A text that is none of the candidates', the lists in it good; NULL = none was found. */
static const char *const *
recombine(Engine *engine)
{
	EngineSearch *search = engine->search;
	const EngineConfig *config = &engine->config;
	int			attempt;
	int			i;

	for (attempt = 0; attempt < RECOMBINE_ATTEMPTS; attempt++)
	{
		const char *const *texts = gepa_engine_recombine(&search->lines, &search->model,
														 &engine->random, &config->policy,
														 search->incumbent);
		bool		good = texts != NULL && gepa_engine_find_evaluated(engine, texts) < 0;

		for (i = 0; i < search->recombined.n && good; i++)
			good = !gepa_engine_same_texts(config->ncomponents, texts, (const char *const *)
										   search->recombined.items[i].texts);
		for (i = 0; i < config->ncomponents && good; i++)
			good = config->components[i].kind != ENGINE_COMPONENT_EXAMPLES ||
				gepa_engine_check_examples(config, texts[i]) == NULL;
		if (good)
			return texts;
	}
	return NULL;
}

/*
 * Not at first, when proposals are worth more and little is known of lines; but whole
 * rounds leave generations without proposals.
 */
static void
add_recombinations(Engine *engine)
{
	EngineSearch *search = engine->search;
	const EnginePolicy *policy = &engine->config.policy;
	bool		early = share_spent(engine) < policy->recombine_after && !policy->whole_rounds;
	int			n = early && gepa_engine_may_propose(engine) ? 0 :
		Min(policy->recombinations, room_for_children(engine));
	int			i;
	int			k;

	for (i = 0; i < n && search->lines.nlines > 0; i++)
	{
		const char *const *texts = recombine(engine);
		const char *const *parent = engine->pool.texts[search->incumbent];
		EngineChild *child;
		int			changed = 0;

		if (texts == NULL)
			break;
		child = gepa_engine_add_child(engine, &search->recombined,
									  ENGINE_ORIGIN_RECOMBINATION);
		for (k = 0; k < engine->config.ncomponents; k++)
		{
			child->texts[k] = texts[k];
			if (strcmp(texts[k], parent[k]) != 0)
				child->component = changed++ == 0 ? k : -1;
		}
	}
}

static void
draw_window(Engine *engine)
{
	EngineSearch *search = engine->search;
	double	   *weights = palloc(search->items.nitems * sizeof(double));
	int64		affordable = gepa_engine_left(engine) /
		(1 + search->recombined.n + search->children.n);

	gepa_engine_window_weights(&search->items, &search->model, &search->lines,
							   &engine->config.policy, search->incumbent, engine->rollouts,
							   weights);
	search->window = gepa_engine_alloc(&engine->arena, search->plan.window * sizeof(int));
	search->nwindow = gepa_engine_draw_window(&search->items, &engine->random, weights,
											  (int) Min(search->plan.window, affordable),
											  search->window);
	pfree(weights);
}

/* Was the incumbent right on all that it was asked about? */
static bool
is_faultless(const Engine *engine)
{
	const EngineSearch *search = engine->search;
	double		score;
	int			i;

	if (!engine->config.skip_perfect || engine->pool.coverage[search->incumbent] == 0)
		return false;
	for (i = 0; i < search->items.nitems; i++)
		if (gepa_engine_model_score(&search->model, search->incumbent, i, &score) &&
			score < engine->config.perfect_score)
			return false;
	return true;
}

EngineEvent *
gepa_engine_add_child_event(Engine *engine, EngineEventKind kind, const EngineChild *child,
							const char *reason)
{
	EngineEvent *event = gepa_engine_add_event(engine, kind, NULL, reason);

	event->proposal = child->proposal;
	event->component = child->component;
	event->reflect_step = child->reflect_step;
	event->nparents = 1;
	event->parents[0] = child->parent;
	event->texts = (const char *const *) child->texts;
	return event;
}

static const char *
origin_name(EngineOrigin origin)
{
	switch (origin)
	{
		case ENGINE_ORIGIN_REFLECTION:
			return "reflection";
		case ENGINE_ORIGIN_EXAMPLES:
			return "examples";
		case ENGINE_ORIGIN_RECOMBINATION:
			break;
	}
	return "recombination";
}

static void
release_child(Engine *engine, EngineChild *child)
{
	EngineSearch *search = engine->search;
	const char *const *texts = (const char *const *) child->texts;
	int			twin;

	child->released = true;
	if (child->given_up)
	{
		gepa_engine_add_event(engine, ENGINE_EVENT_SKIPPED, NULL,
							  "no answer from the reflection LM");
		return;
	}
	twin = gepa_engine_find_evaluated(engine, texts);
	child->proposal = gepa_engine_add_proposal(engine, texts);
	gepa_engine_add_child_event(engine, ENGINE_EVENT_PROPOSED, child, origin_name(child->origin));
	if (twin >= 0)
	{
		int			candidate = engine->proposals[twin].candidate;

		gepa_engine_add_child_event(engine, ENGINE_EVENT_REJECTED, child,
									gepa_engine_printf(&engine->arena, "same text as %s %d",
													   candidate >= 0 ? "candidate" : "proposal",
													   candidate >= 0 ? candidate : twin));
		return;
	}
	child->evaluated = true;
	gepa_engine_ask_items(engine, child->proposal,
						  search->starting ? ENGINE_ROLE_TRIAL : ENGINE_ROLE_CHILD,
						  search->nwindow, search->window);
}

void
gepa_engine_release_children(Engine *engine)
{
	EngineSearch *search = engine->search;
	int			i;

	for (i = 0; i < search->recombined.n; i++)
		if (!search->recombined.items[i].released)
			release_child(engine, &search->recombined.items[i]);
	for (i = 0; i < search->children.n; i++)
	{
		if (search->children.items[i].awaited > 0)
			break;
		if (!search->children.items[i].released)
			release_child(engine, &search->children.items[i]);
	}
}

void
gepa_engine_drop_coming(Engine *engine, const char *reason)
{
	EngineSearch *search = engine->search;
	int			i;

	for (i = 0; i < search->coming.n; i++)
	{
		EngineChild *child = &search->coming.items[i];

		if (child->given_up)
			continue;
		child->proposal = gepa_engine_add_proposal(engine, (const char *const *) child->texts);
		gepa_engine_add_child_event(engine, ENGINE_EVENT_PROPOSED, child,
									origin_name(child->origin));
		gepa_engine_add_child_event(engine, ENGINE_EVENT_REJECTED, child, reason);
	}
	search->coming.n = 0;
}

/*
 * Decide on all that is tried in this generation.  False when rollouts are wanting
 * that could be reflected on.
 */
static bool
choose_children(Engine *engine)
{
	EngineSearch *search = engine->search;
	bool		pipelined = engine->config.policy.pipelined;
	EngineChildren *asked = pipelined ? &search->coming : &search->children;
	bool		shown = true;

	search->recombined.n = 0;
	if (pipelined)
		take_coming(engine);
	else
		search->children.n = 0;
	if (!pipelined || bears_another(engine))
		shown = gepa_engine_propose(engine, asked, room_for_proposals(engine),
									reflections_due(engine));
	add_recombinations(engine);
	/* ahead of the pace rather than not at all */
	if (search->recombined.n + search->children.n + asked->n == 0 && shown &&
		gepa_engine_may_propose(engine))
		shown = gepa_engine_propose(engine, asked, Min(1, room_for_proposals(engine)),
									Min(gepa_engine_reflection_cost(engine),
										search->plan.max_reflections - search->reflections));
	return shown;
}

/* Nothing can be learned from successes alone: look where the incumbent fails. */
static bool
seek_faults(Engine *engine)
{
	EngineSearch *search = engine->search;

	search->recombined.n = search->children.n = 0;
	gepa_engine_drop_coming(engine, "the candidate that leads was right on all it was run on");
	gepa_engine_draw_wanting(engine, 1, &search->incumbent,
							 Min(search->plan.window, gepa_engine_left(engine)));
	gepa_engine_ask_items(engine, engine->pool.proposals[search->incumbent],
						  ENGINE_ROLE_TRIAL, search->nwindow, search->window);
	return search->awaited > 0;
}

bool
gepa_engine_start_generation(Engine *engine)
{
	EngineSearch *search = engine->search;
	EngineEvent *event;
	bool		shown;

	gepa_engine_next_iteration(engine);
	gepa_engine_open_barrier(engine);
	event = gepa_engine_add_event(engine, ENGINE_EVENT_ITERATION, NULL, NULL);
	event->nparents = 1;
	event->parents[0] = search->incumbent;

	if (is_faultless(engine))
		return seek_faults(engine);
	search->nwindow = 0;
	shown = choose_children(engine);
	if (search->recombined.n + search->children.n > 0 || !shown)
	{
		draw_window(engine);
		gepa_engine_ask_items(engine, engine->pool.proposals[search->incumbent],
							  ENGINE_ROLE_TRIAL, search->nwindow, search->window);
	}
	gepa_engine_release_children(engine);
	search->starting = false;
	return search->awaited > 0;
}
