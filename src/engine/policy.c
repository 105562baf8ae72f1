/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Default mode: the way of a run from the seed to the report.
 *
 * What is asked for at a time ends with a barrier: when all of its answers are
 * in, something is decided, and nothing in between.  After a barrier the next
 * question is asked by gepa_engine_next(), so stop conditions and the caller's are
 * looked at there.
 *
 * A condition of the user ends the search before its budget is used; the run-off then
 * has its reserve and no more.  The caller's condition (time, money) ends the run.
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

void
gepa_engine_open_barrier(Engine *engine)
{
	EngineSearch *search = engine->search;

	search->first_step = engine->nsteps;
	search->asked_at = engine->rollouts;
	search->awaited = 0;
	search->starting = true;
	engine->running = true;
}

int64
gepa_engine_left(const Engine *engine)
{
	return engine->config.budget - engine->search->plan.report - engine->rollouts;
}

void
gepa_engine_policy_begin(Engine *engine)
{
	EngineSearch *search = gepa_engine_alloc(&engine->arena, sizeof(EngineSearch));
	const EngineConfig *config = &engine->config;
	int			s;

	engine->search = search;
	gepa_engine_plan(config, &search->plan);
	search->incumbent = -1;
	gepa_engine_items_init(engine);
	gepa_engine_lines_init(&search->lines, &engine->arena, config);
	gepa_engine_model_init(&search->model, &engine->arena, &config->policy,
						   search->items.nitems);
	gepa_engine_hold_out(engine);

	gepa_engine_propose_seeds(engine, "seed");
	search->window = gepa_engine_alloc(&engine->arena, search->plan.seed_window * sizeof(int));
	search->nwindow = gepa_engine_draw_window(&search->items, &engine->random, NULL,
											  search->plan.seed_window, search->window);
	gepa_engine_open_barrier(engine);
	for (s = 0; s <= config->nseeds; s++)
		gepa_engine_ask_items(engine, s, ENGINE_ROLE_SEED, search->nwindow, search->window);
}

/* Has the candidate that leads been right on all there is? */
static bool
is_perfect(const Engine *engine)
{
	const EngineSearch *search = engine->search;
	int			i;

	for (i = 0; i < search->items.nitems; i++)
	{
		double		score;

		if (search->items.used[i] &&
			(!gepa_engine_model_score(&search->model, search->incumbent, i, &score) ||
			 score < engine->config.perfect_score))
			return false;
	}
	return true;
}

/*
 * Does the caller's condition end the run, and not only the search?  With
 * stop_on_all it has to wait for the others.
 */
static bool
caller_ends(const Engine *engine)
{
	const char *reason = engine->search->reason;

	if (!engine->config.caller_stops || engine->caller_reason == NULL)
		return false;
	return !engine->config.stop_on_all ||
		(reason != NULL && strcmp(reason, "budget") != 0);
}

static const char *
reason_to_stop(Engine *engine)
{
	EngineSearch *search = engine->search;
	EngineProgress progress;

	progress.rollouts = engine->rollouts;
	progress.iterations = search->proposals - search->coming.n;
	progress.ncandidates = engine->pool.ncandidates;
	progress.best = gepa_engine_candidate_score(engine, search->incumbent);
	progress.advance = search->advances;
	progress.caller = engine->caller_reason;
	/* a generation of less than two windows decides nothing */
	return gepa_engine_check_stop(&engine->stops, &engine->config, &progress,
								  search->plan.report + search->plan.reserve +
								  2 * search->plan.window + 1);
}

/* Start what follows in the search; false when it is over. */
static bool
continue_search(Engine *engine)
{
	EngineSearch *search = engine->search;
	const char *reason = reason_to_stop(engine);

	search->run_off_left = gepa_engine_left(engine);
	if (reason == NULL && is_perfect(engine))
	{
		reason = "nothing is left that the best candidate gets wrong";
		search->run_off_left = 0;
	}
	else if (reason == NULL)
	{
		if (gepa_engine_start_generation(engine))
			return true;
		reason = "nothing new to try";
	}
	else if (strcmp(reason, "budget") != 0)
		search->run_off_left = Min(search->run_off_left, search->plan.reserve);
	search->reason = reason;
	return false;
}

/* The search and the run-off are over: say who won, and what is to follow. */
static bool
finish(Engine *engine)
{
	EngineSearch *search = engine->search;

	gepa_engine_drop_coming(engine, "the search was over");
	gepa_engine_declare_winner(engine);
	search->phase = ENGINE_PHASE_REPORT;
	return !caller_ends(engine) && gepa_engine_start_report(engine);
}

void
gepa_engine_policy_start(Engine *engine)
{
	EngineSearch *search = engine->search;

	if (search->incumbent < 0)
	{
		/* not a rollout of the seed came in */
		search->phase = ENGINE_PHASE_OVER;
		search->reason = engine->caller_reason != NULL ? engine->caller_reason :
			"no rollout of the seed came in";
	}
	if (search->phase == ENGINE_PHASE_SEARCH)
	{
		if (!caller_ends(engine) && continue_search(engine))
			return;
		search->phase = ENGINE_PHASE_RUN_OFF;
	}
	if (search->phase == ENGINE_PHASE_RUN_OFF)
	{
		if (!caller_ends(engine) && gepa_engine_start_run_off(engine))
			return;
		if (caller_ends(engine))
			search->reason = engine->caller_reason;
		if (finish(engine))
			return;
	}
	search->phase = ENGINE_PHASE_OVER;
	engine->running = false;
	engine->stop_reason = search->reason;
}

/* All answers are in. */
static void
close_barrier(Engine *engine)
{
	EngineSearch *search = engine->search;

	engine->running = false;
	switch (search->phase)
	{
		case ENGINE_PHASE_SEED:
			if (engine->rollouts > 0)
				gepa_engine_decide(engine, ENGINE_DECISION_SEED);
			search->phase = ENGINE_PHASE_SEARCH;
			break;
		case ENGINE_PHASE_SEARCH:
			/* of reflections alone nothing is decided */
			if (search->nwindow > 0)
				gepa_engine_decide(engine, ENGINE_DECISION_GENERATION);
			break;
		case ENGINE_PHASE_RUN_OFF:
			gepa_engine_decide(engine, ENGINE_DECISION_RUN_OFF);
			break;
		case ENGINE_PHASE_REPORT:
			gepa_engine_finish_report(engine);
			break;
		case ENGINE_PHASE_OVER:
			Assert(false);
			break;
	}
}

void
gepa_engine_policy_take_scores(Engine *engine, EngineStepRecord *record, const double *scores,
							   const EngineObjectives *objectives)
{
	int			n = record->step.nsamples;
	double	   *kept = gepa_engine_alloc(&engine->arena, n * sizeof(double));
	int			i;

	/* NaN stays: the rollout failed */
	for (i = 0; i < n; i++)
		kept[i] = isnan(scores[i]) ? NAN : Max(0.0, Min(1.0, scores[i]));
	record->scores = kept;
	if (--engine->search->awaited == 0)
		close_barrier(engine);
}

void
gepa_engine_policy_take_text(Engine *engine, EngineStepRecord *record, const char *text)
{
	EngineSearch *search = engine->search;
	EngineChildren *children = engine->config.policy.pipelined ? &search->coming :
		&search->children;
	EngineChild *child = &children->items[record->task];

	if (text != NULL)
		child->texts[record->step.component] = gepa_engine_strdup(&engine->arena, text);
	else
		child->given_up = true;
	child->awaited--;
	if (children == &search->children)
		gepa_engine_release_children(engine);
	if (--search->awaited == 0)
		close_barrier(engine);
}

const char *
gepa_engine_phase(const Engine *engine)
{
	static const char *const names[] = {
		[ENGINE_PHASE_SEED] = "seed",
		[ENGINE_PHASE_SEARCH] = "generation",
		[ENGINE_PHASE_RUN_OFF] = "run-off",
		[ENGINE_PHASE_REPORT] = "held out",
		[ENGINE_PHASE_OVER] = NULL
	};

	return engine->search != NULL ? names[engine->search->phase] : NULL;
}
