/*-------------------------------------------------------------------------
 *
 * runoff.c
 *	  Default mode: the run-off, and the report on held-out samples.
 *
 * The run-off spends what is left on the best few candidates, on samples drawn
 * alike, which the windows of the search are not.  Where scores are graded, the last of it
 * is for the leader alone: a threshold will be chosen by its scores, which takes more
 * of them than a comparison in which the others' rollouts tell of its lines too.
 *
 * The report compares the winner with the seed on samples that neither the search nor
 * the run-off have seen, so that its figures are not those of the luckiest of many.
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

/* Items that one of the candidates at least was never asked about. */
static int
list_wanting(const Engine *engine, int ncandidates, const int *candidates, int *result)
{
	const EngineItems *items = &engine->search->items;
	int			n = 0;
	int			i;
	int			k;

	for (i = 0; i < items->nitems; i++)
	{
		bool		wanting = false;

		for (k = 0; k < ncandidates && items->used[i]; k++)
			wanting = wanting ||
				!engine->proposals[engine->pool.proposals[candidates[k]]].asked[i];
		if (wanting)
			result[n++] = i;
	}
	return n;
}

int
gepa_engine_draw_wanting(Engine *engine, int ncandidates, const int *candidates, int64 most)
{
	EngineSearch *search = engine->search;
	int		   *wanting = palloc(search->items.nitems * sizeof(int));
	int			n = list_wanting(engine, ncandidates, candidates, wanting);
	int			size = (int) Min(n, most);

	search->window = gepa_engine_alloc(&engine->arena, Max(size, 1) * sizeof(int));
	search->nwindow = size;
	gepa_engine_random_sample(&engine->random, wanting, n, size, search->window);
	pfree(wanting);
	return size;
}

/* Rollouts that the candidate in the lead is to have yet, whoever else has some. */
static int
count_owed(const Engine *engine)
{
	const EngineSearch *search = engine->search;
	int			owed = engine->config.policy.leader_rollouts -
		engine->pool.coverage[search->incumbent];
	int		   *wanting;

	if (owed <= 0 || !gepa_engine_has_graded(&search->model))
		return 0;
	wanting = palloc(search->items.nitems * sizeof(int));
	owed = Min(owed, list_wanting(engine, 1, &search->incumbent, wanting));
	pfree(wanting);
	return owed;
}

/* Whose turn it is, and on which items; returns how many candidates. */
static int
draw_run_off(Engine *engine, int64 left, int *finalists)
{
	EngineSearch *search = engine->search;
	int			n = gepa_engine_leaders(engine, engine->config.policy.finalists, finalists);
	int64		owed = Min(left, count_owed(engine));
	int64		shared = left - owed;

	/* the last few rollouts are for the best two */
	n = (int) Min(n, Max(shared, 2));
	if (n > 1 && shared >= n &&
		gepa_engine_draw_wanting(engine, n, finalists,
								 Min(search->plan.window, shared / n)) > 0)
		return n;
	finalists[0] = search->incumbent;
	return owed > 0 && gepa_engine_draw_wanting(engine, 1, finalists, owed) > 0 ? 1 : 0;
}

bool
gepa_engine_start_run_off(Engine *engine)
{
	EngineSearch *search = engine->search;
	int		   *finalists = palloc(engine->config.policy.finalists * sizeof(int));
	int64		left = Min(gepa_engine_left(engine), search->run_off_left);
	int			n = draw_run_off(engine, left, finalists);
	int			i;

	if (n > 0)
	{
		gepa_engine_next_iteration(engine);
		gepa_engine_open_barrier(engine);
		for (i = 0; i < n; i++)
			search->run_off_left -=
				gepa_engine_ask_items(engine, engine->pool.proposals[finalists[i]],
									  ENGINE_ROLE_TRIAL, search->nwindow, search->window);
	}
	pfree(finalists);
	return n > 0;
}

static void
ask_held_out(Engine *engine, int candidate)
{
	EngineSearch *search = engine->search;
	int			proposal = engine->pool.proposals[candidate];

	if (engine->config.ntest <= 0)
	{
		gepa_engine_ask_items(engine, proposal, ENGINE_ROLE_HELD_OUT, search->nheld_out,
							  search->held_out);
		return;
	}
	gepa_engine_add_evaluation(engine, ENGINE_ROLE_HELD_OUT, -1, proposal, ENGINE_SPLIT_TEST,
							   search->nheld_out, search->held_out);
	search->awaited++;
}

bool
gepa_engine_start_report(Engine *engine)
{
	EngineSearch *search = engine->search;

	if (search->nheld_out == 0)
		return false;
	gepa_engine_next_iteration(engine);
	gepa_engine_open_barrier(engine);
	ask_held_out(engine, 0);
	if (search->incumbent != 0)
		ask_held_out(engine, search->incumbent);
	return true;
}

static EngineSampleRef
held_out_sample(const Engine *engine, int i)
{
	EngineSampleRef ref = {ENGINE_SPLIT_TEST, engine->search->held_out[i]};

	return engine->config.ntest > 0 ? ref :
		gepa_engine_item_sample(engine, engine->search->held_out[i]);
}

/* Scores of a candidate on the held-out samples, NaN where there is none. */
static void
read_held_out(const Engine *engine, int candidate, double *scores)
{
	const EngineSearch *search = engine->search;
	int			step;
	int			i;
	int			k;

	for (i = 0; i < search->nheld_out; i++)
		scores[i] = NAN;
	for (step = search->first_step; step < engine->nsteps; step++)
	{
		const EngineStepRecord *record = &engine->steps[step];

		if (record->step.proposal != engine->pool.proposals[candidate])
			continue;
		for (i = 0; i < search->nheld_out; i++)
		{
			EngineSampleRef ref = held_out_sample(engine, i);

			for (k = 0; k < record->step.nsamples; k++)
				if (record->step.split == ref.split && record->step.samples[k] == ref.sample)
					scores[i] = record->scores[k];
		}
	}
}

/* Mean of a candidate's rollouts in the search. */
static double
search_mean(const Engine *engine, int candidate)
{
	const EngineSearch *search = engine->search;
	double		sum = 0.0;
	double		score;
	int			n = 0;
	int			i;

	for (i = 0; i < search->items.nitems; i++)
		if (gepa_engine_model_score(&search->model, candidate, i, &score))
		{
			sum += score;
			n++;
		}
	return n > 0 ? sum / n : NAN;
}

static const char *
report_reason(Engine *engine)
{
	const EngineHeldOut *report = &engine->search->report;

	if (report->n == 0)
		return "no held-out sample has a score of both";
	if (report->candidate == 0)
		return gepa_engine_printf(&engine->arena, "the seed won: %.3f on %d held-out samples",
								  report->score, report->n);
	return gepa_engine_printf(&engine->arena, "gain over the seed %.3f (%.3f to %.3f) on %d "
							  "held-out samples", report->gain, report->low, report->high,
							  report->n);
}

/* The report as a decision: both candidates with their held-out means, on all samples asked. */
static void
tell_report(Engine *engine)
{
	const EngineSearch *search = engine->search;
	const EngineHeldOut *report = &search->report;
	EngineDecision *decision = gepa_engine_alloc(&engine->arena, sizeof(EngineDecision));
	EngineCompared *compared = gepa_engine_alloc(&engine->arena, 2 * sizeof(EngineCompared));
	EngineSampleRef *samples = gepa_engine_alloc(&engine->arena,
												 search->nheld_out * sizeof(EngineSampleRef));
	EngineEvent *event;
	int			i;

	for (i = 0; i < search->nheld_out; i++)
		samples[i] = held_out_sample(engine, i);
	decision->kind = ENGINE_DECISION_HELD_OUT;
	decision->leads = report->candidate;
	decision->ncompared = report->candidate == 0 ? 1 : 2;
	decision->compared = compared;
	decision->nsamples = search->nheld_out;
	decision->samples = samples;
	for (i = 0; i < decision->ncompared; i++)
	{
		compared[i].candidate = i == 0 ? 0 : report->candidate;
		compared[i].rollouts = engine->pool.coverage[compared[i].candidate];
		compared[i].estimate = i == 0 ? report->seed_score : report->score;
		compared[i].sd = compared[i].chance = NAN;
	}
	event = gepa_engine_add_event(engine, ENGINE_EVENT_DECISION, NULL, report_reason(engine));
	event->candidate = report->candidate;
	event->decision = decision;
}

void
gepa_engine_finish_report(Engine *engine)
{
	EngineSearch *search = engine->search;
	int			winner = search->incumbent;
	double	   *before = palloc(2 * search->nheld_out * sizeof(double));
	double	   *after = before + search->nheld_out;

	read_held_out(engine, 0, before);
	read_held_out(engine, winner, after);
	/* pairs of which a rollout failed say nothing */
	gepa_engine_pair(before, after, search->nheld_out, &search->report);
	search->report.candidate = winner;
	search->report.search_score = search_mean(engine, winner);
	search->reported = search->report.n > 0;
	tell_report(engine);
	pfree(before);
}
