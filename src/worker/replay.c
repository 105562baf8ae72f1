/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  A run over again from its record, to see that it comes out the same.
 *
 * The journal says what the engine was told, and in what order; the same
 * engine told the same decides the same.  A difference means that rows were
 * changed, that another version of gepa wrote them, or a bug.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "worker/worker_internal.h"

typedef struct Replay
{
	WorkerRun  *run;
	int			nproposals;
	EngineEvent *decided;		/* last event of each proposal, by number */
	int			ndecisions;
	int			unlike;			/* the first decision that is recorded
								 * otherwise; -1 = none */
} Replay;

static bool
same_number(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

static void
compare_decision(Replay *replay, const EngineEvent *event)
{
	StoreDecision row = gepa_worker_decision_row(replay->run, replay->ndecisions++, event);

	if (replay->unlike < 0 && !gepa_store_has_decision(replay->run->row->run, &row))
		replay->unlike = row.decision;
}

/* Events of proposals, in a context that outlives the step. */
static void
take_events(Replay *replay)
{
	EngineEvent event;

	while (gepa_engine_next_event(replay->run->engine, &event))
	{
		if (event.kind == ENGINE_EVENT_DECISION)
			compare_decision(replay, &event);
		if (event.proposal < 0 || event.kind == ENGINE_EVENT_ITERATION ||
			event.kind == ENGINE_EVENT_DECISION)
			continue;
		if (event.proposal >= replay->nproposals)
		{
			replay->nproposals = event.proposal + 1;
			replay->decided = repalloc(replay->decided,
									   sizeof(EngineEvent) * replay->nproposals);
		}
		replay->decided[event.proposal] = event;
	}
}

static char *
tell_journal(Replay *replay, int *told)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "gepa replay",
												  ALLOCSET_DEFAULT_SIZES);
	char	   *difference = NULL;
	int			n;
	StoreStep  *entries = gepa_store_get_steps(replay->run->row->run, &n);

	for (int i = 0; i < n && difference == NULL; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);
		bool		fits = gepa_worker_tell(replay->run, &entries[i]);

		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
		if (!fits)
			difference = psprintf("at journal entry %d the engine asks for another step than %d",
								  entries[i].seq, entries[i].step);
		else
			(*told)++;
		take_events(replay);
	}
	MemoryContextDelete(scratch);
	return difference;
}

/* What ended the run is no observation; the engine may decide once more by it. */
static void
tell_end(Replay *replay)
{
	const StoreRun *row = replay->run->row;
	char	   *cause;

	if (row->status != STORE_RUN_FINISHED || row->reason == NULL)
		return;
	/* without what it says of the gain */
	cause = pnstrdup(row->reason, strcspn(row->reason, ";"));
	if (gepa_worker_is_limit(cause))
		gepa_engine_caller_stops(replay->run->engine, cause);
	(void) gepa_engine_next(replay->run->engine);
	take_events(replay);
}

static bool
same_texts(const Replay *replay, const EngineEvent *event, const StoreProposal *recorded)
{
	JudgeSpec  *spec = gepa_worker_candidate(replay->run, event->texts);
	GepaJson   *json = gepa_json_parse(recorded->components, strlen(recorded->components), NULL);

	for (int i = 0; i < spec->ncomponents; i++)
	{
		const char *text = gepa_json_get_string(json, spec->components[i].name);

		if (text == NULL || strcmp(text, spec->components[i].text) != 0)
			return false;
	}
	return true;
}

/* What is different about a proposal, in a word; NULL = nothing. */
static const char *
proposal_difference(const Replay *replay, const StoreProposal *recorded)
{
	const EngineEvent *event = &replay->decided[recorded->proposal];
	int			decided = event->kind == ENGINE_EVENT_PROPOSED ? -1 :
		event->kind == ENGINE_EVENT_ACCEPTED;

	if (recorded->iteration != event->iteration)
		return "iteration";
	if (recorded->nparents != event->nparents ||
		memcmp(recorded->parents, event->parents, sizeof(int) * event->nparents) != 0)
		return "parents";
	if (!same_texts(replay, event, recorded))
		return "texts";
	if (recorded->decided != decided)
		return "acceptance";
	if (recorded->candidate != event->candidate)
		return "candidate number";
	if (event->nparents > 0 && (!same_number(recorded->parent_sum, event->parent_sum) ||
								!same_number(recorded->child_sum, event->child_sum)))
		return "sums on the minibatch";
	if (event->candidate >= 0 &&
		!same_number(recorded->score,
					 gepa_engine_candidate_score(replay->run->engine, event->candidate)))
		return "score";
	return NULL;
}

/* The seed is written with what is told first, or when the run is stopped before. */
static void
take_seed(Replay *replay)
{
	int			n;

	(void) gepa_store_get_proposals(replay->run->row->run, &n);
	if (n > 0)
		take_events(replay);
}

static char *
compare_proposals(const Replay *replay)
{
	int			n;
	StoreProposal *recorded = gepa_store_get_proposals(replay->run->row->run, &n);

	if (n != replay->nproposals)
		return psprintf("the engine makes %d proposals, %d are recorded",
						replay->nproposals, n);
	for (int i = 0; i < n; i++)
	{
		const char *what;

		if (recorded[i].proposal != i)
			return psprintf("proposal %d is not recorded", i);
		what = proposal_difference(replay, &recorded[i]);
		if (what != NULL)
			return psprintf("proposal %d is recorded with other %s", i, what);
	}
	return NULL;
}

static char *
compare_frontier(const Replay *replay)
{
	Engine	   *engine = replay->run->engine;
	int			n;
	StoreFront *recorded = gepa_store_get_frontier(replay->run->row->run, &n);

	if (n != gepa_engine_nfronts(engine))
		return psprintf("the frontier has %d keys, %d are recorded",
						gepa_engine_nfronts(engine), n);
	for (int i = 0; i < n; i++)
	{
		EngineFront front = gepa_engine_front(engine, i);

		if (!same_number(front.score, recorded[i].score) ||
			front.ncandidates != recorded[i].ncandidates ||
			memcmp(front.candidates, recorded[i].candidates,
				   sizeof(int) * front.ncandidates) != 0)
			return psprintf("the frontier is recorded with others at key %s", recorded[i].key);
	}
	return NULL;
}

static char *
compare_decisions(const Replay *replay)
{
	int			n = gepa_store_count_decisions(replay->run->row->run);

	if (replay->unlike >= 0)
		return psprintf("decision %d is recorded otherwise", replay->unlike);
	if (n != replay->ndecisions)
		return psprintf("the engine takes %d decisions, %d are recorded", replay->ndecisions, n);
	return NULL;
}

static char *
compare_figures(const Replay *replay)
{
	const StoreRun *row = replay->run->row;
	int			best = gepa_engine_best(replay->run->engine);
	EngineHeldOut held_out = {0};

	if (best != row->best_candidate)
		return psprintf("the best candidate is %d, %d is recorded", best, row->best_candidate);
	(void) gepa_engine_held_out(replay->run->engine, &held_out);
	if (held_out.n != row->held_out.n ||
		(held_out.n > 0 && (!same_number(held_out.gain, row->held_out.gain) ||
							!same_number(held_out.low, row->held_out.low) ||
							!same_number(held_out.high, row->held_out.high))))
		return pstrdup("the figures on held-out samples are recorded otherwise");
	return NULL;
}

WorkerReplay
gepa_worker_replay(StoreRun *row)
{
	WorkerReplay result = {0};
	Replay		replay = {0};

	replay.run = gepa_worker_prepare_run(row);
	if (replay.run->engine == NULL)
		return result;			/* nothing is decided before there is a seed */
	replay.decided = palloc0(sizeof(EngineEvent));
	replay.unlike = -1;
	take_seed(&replay);
	result.difference = tell_journal(&replay, &result.steps);
	if (result.difference == NULL)
		tell_end(&replay);
	if (result.difference == NULL)
		result.difference = compare_decisions(&replay);
	if (result.difference == NULL)
		result.difference = compare_proposals(&replay);
	if (result.difference == NULL)
		result.difference = compare_frontier(&replay);
	/* Its row was read before its journal, which may have grown meanwhile. */
	if (result.difference == NULL && gepa_store_run_has_ended(row->status))
		result.difference = compare_figures(&replay);
	result.candidates = gepa_engine_ncandidates(replay.run->engine);
	return result;
}
