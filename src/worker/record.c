/*-------------------------------------------------------------------------
 *
 * record.c
 *	  The outcome of a step: journal, engine and tables move together.
 *
 * One transaction per observation: the journal entry is written, the engine
 * is told, and what it decided becomes rows.  If the worker dies before the
 * commit, the next one finds neither entry nor rows and comes to the same
 * decisions; if it dies after, it finds both.  The rollouts themselves are
 * committed before, as they come in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "commands/async.h"
#include "common/shortest_dec.h"
#include "utils/timestamp.h"

#include "worker/worker_internal.h"

static char *
components_json(const JudgeSpec *spec)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < spec->ncomponents; i++)
	{
		appendStringInfoChar(&buf, i > 0 ? ',' : '{');
		gepa_json_quote(&buf, spec->components[i].name);
		appendStringInfoChar(&buf, ':');
		gepa_json_quote(&buf, spec->components[i].text);
	}
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

/* For whoever listens: a candidate, or the end.  Sent when the transaction commits. */
void
gepa_worker_notify(int run, const char *event, int candidate, double score)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"run\": %d, \"event\": \"%s\"", run, event);
	if (candidate >= 0)
		appendStringInfo(&buf, ", \"candidate\": %d, \"score\": %s", candidate,
						 double_to_shortest_decimal(score));
	appendStringInfoChar(&buf, '}');
	Async_Notify(WORKER_CHANNEL, buf.data);
	pfree(buf.data);
}

bool
gepa_worker_end_run(int run, int from_mask, StoreRunStatus to, const char *reason)
{
	if (!gepa_store_move_run(run, from_mask, to, reason))
		return false;
	gepa_worker_notify(run, gepa_store_run_status_name(to), -1, 0);
	return true;
}

static void
put_proposal(WorkerRun *run, const EngineEvent *event)
{
	StoreProposal proposal;

	memset(&proposal, 0, sizeof(proposal));
	proposal.proposal = event->proposal;
	proposal.iteration = event->iteration;
	proposal.nparents = event->nparents;
	memcpy(proposal.parents, event->parents, sizeof(proposal.parents));
	if (event->component >= 0)
		proposal.component = run->seed->components[run->tuned[event->component]].name;
	proposal.components = components_json(gepa_worker_candidate(run, event->texts));
	proposal.reflect_step = event->reflect_step;
	proposal.candidate = -1;
	proposal.decided = event->kind == ENGINE_EVENT_PROPOSED ? -1 :
		event->kind == ENGINE_EVENT_ACCEPTED;
	proposal.reason = unconstify(char *, event->reason);
	proposal.parent_sum = event->nparents > 0 ? event->parent_sum : NAN;
	proposal.child_sum = event->nparents > 0 ? event->child_sum : NAN;
	if (event->kind == ENGINE_EVENT_ACCEPTED)
	{
		proposal.candidate = event->candidate;
		proposal.score = gepa_engine_candidate_score(run->engine, event->candidate);
		proposal.rollouts_at_discovery =
			(int) gepa_engine_candidate_discovery(run->engine, event->candidate);
		gepa_worker_notify(run->row->run, "candidate", event->candidate, proposal.score);
	}
	gepa_store_put_proposal(run->row->run, &proposal);
}

StoreDecision
gepa_worker_decision_row(const WorkerRun *run, int number, const EngineEvent *event)
{
	const EngineDecision *what = event->decision;
	StoreDecision row = {.decision = number,.iteration = event->iteration,.what = what,
	.reason = event->reason};

	row.samples = palloc(sizeof(char *) * Max(what->nsamples, 1));
	for (int i = 0; i < what->nsamples; i++)
	{
		/* The two enums agree, as gepa_worker_split_of() says. */
		const EngineStep step = {.split = what->samples[i].split};

		row.samples[i] = run->samples[gepa_worker_split_of(&step)][what->samples[i].sample].key;
	}
	return row;
}

/* Each decision changes the estimates of all candidates. */
static void
put_candidate_scores(const WorkerRun *run)
{
	int			n = gepa_engine_ncandidates(run->engine);
	double	   *scores = palloc(sizeof(double) * Max(n, 1));

	for (int i = 0; i < n; i++)
		scores[i] = gepa_engine_candidate_score(run->engine, i);
	gepa_store_put_candidate_scores(run->row->run, scores, n);
	pfree(scores);
}

static void
put_held_out(WorkerRun *run)
{
	EngineHeldOut held_out;

	if (run->told_held_out || !gepa_engine_held_out(run->engine, &held_out))
		return;
	gepa_store_put_held_out(run->row->run, &held_out);
	run->told_held_out = true;
}

/*
 * Write down what the engine decided; true if the pool has grown or what is known
 * of it has changed.
 */
static bool
put_events(WorkerRun *run)
{
	EngineEvent event;
	bool		grown = false;
	int			decisions = run->ndecisions;

	while (gepa_engine_next_event(run->engine, &event))
	{
		if (event.kind == ENGINE_EVENT_DECISION)
		{
			StoreDecision row = gepa_worker_decision_row(run, run->ndecisions++, &event);

			gepa_store_put_decision(run->row->run, &row);
		}
		if (event.kind != ENGINE_EVENT_PROPOSED && event.kind != ENGINE_EVENT_REJECTED &&
			event.kind != ENGINE_EVENT_ACCEPTED)
			continue;
		if (event.proposal >= 0)
			put_proposal(run, &event);
		grown = grown || event.kind == ENGINE_EVENT_ACCEPTED;
	}
	if (run->ndecisions > decisions)
		put_candidate_scores(run);
	put_held_out(run);
	return grown || run->ndecisions > decisions;
}

/*
 * For people: the key of a front is that of the sample in the dataset, not
 * its number; what follows the number stays.
 */
static char *
front_key(const WorkerRun *run, const EngineFront *front)
{
	if (front->sample < 0)
		return pstrdup(front->key);
	return psprintf("%s%s", run->samples[STORE_SPLIT_VAL][front->sample].key,
					front->key + strspn(front->key, "0123456789"));
}

static void
put_frontier(WorkerRun *run)
{
	int			n = gepa_engine_nfronts(run->engine);
	StoreFront *fronts = palloc(sizeof(StoreFront) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		EngineFront front = gepa_engine_front(run->engine, i);

		fronts[i].key = front_key(run, &front);
		fronts[i].score = front.score;
		fronts[i].ncandidates = front.ncandidates;
		fronts[i].candidates = unconstify(int *, front.candidates);
	}
	gepa_store_put_frontier(run->row->run, fronts, n);
}

/* The conditions that the engine cannot know of. */
bool
gepa_worker_is_limit(const char *reason)
{
	return strcmp(reason, "max_calls") == 0 || strcmp(reason, "max_tokens") == 0 ||
		strcmp(reason, "max_cost") == 0 || strcmp(reason, "max_seconds") == 0;
}

static const char *
limit_reached(const WorkerRunOptions *options, const StoreSpent *spent)
{
	/* A comparison with NaN, no limit, is false. */
	if (spent->calls >= options->max_calls)
		return "max_calls";
	if (spent->tokens >= options->max_tokens)
		return "max_tokens";
	if (spent->cost >= options->max_cost)
		return "max_cost";
	if (spent->seconds >= options->max_seconds)
		return "max_seconds";
	return NULL;
}

double
gepa_worker_take_elapsed(WorkerRun *run)
{
	TimestampTz now = GetCurrentTimestamp();
	double		seconds = run->counted_until == 0 ? 0 : (now - run->counted_until) / 1e6;

	run->counted_until = now;
	return seconds;
}

void
gepa_worker_put_progress(WorkerRun *run)
{
	int			best = gepa_engine_best(run->engine);
	StoreProgress progress;
	StoreSpent	spent;

	progress.iteration = gepa_engine_iteration(run->engine);
	progress.rollouts = (int) gepa_engine_rollouts(run->engine);
	progress.rounds = gepa_engine_rounds(run->engine);
	progress.phase = gepa_engine_phase(run->engine);
	progress.best_candidate = best;
	progress.best_score = best >= 0 ? gepa_engine_candidate_score(run->engine, best) : NAN;
	progress.seconds = gepa_worker_take_elapsed(run);
	spent = gepa_store_put_progress(run->row->run, &progress);
	gepa_engine_caller_stops(run->engine, run->exhausted != NULL ? run->exhausted :
							 limit_reached(&run->options, &spent));
}

void
gepa_worker_put_decisions(WorkerRun *run)
{
	if (put_events(run))
		put_frontier(run);
	gepa_worker_put_progress(run);
}

static bool
tell_scores(WorkerRun *run, const EngineStep *step, const StoreStep *entry, const double *scores,
			const char *const *objectives)
{
	if (entry->detail != NULL)
		return gepa_worker_observe_part(run, step);
	if (run->options.metric == JUDGE_METRIC_RANKING)
		gepa_store_put_scores(run->row->run, step->step, scores, step->nsamples);
	return gepa_worker_observe_scores(run, step, scores, objectives);
}

void
gepa_worker_record(WorkerRun *run, const EngineStep *step, StoreStep *entry,
				   const double *scores, const char *const *objectives)
{
	bool		taken;

	gepa_worker_enter(run, run->step_context);
	entry->seq = run->seq;
	entry->step = step->step;
	entry->reflect = (step->kind == ENGINE_STEP_REFLECT);
	gepa_store_insert_step(run->row->run, entry);
	taken = entry->reflect ?
		gepa_engine_observe_text(run->engine, step->step, entry->new_text) :
		tell_scores(run, step, entry, scores, objectives);
	if (!taken)
		elog(ERROR, "engine refuses the outcome of step %d", step->step);
	gepa_worker_drop_asked(run, step->step);
	gepa_worker_put_decisions(run);
	gepa_worker_commit(run->step_context);
	run->seq++;
	gepa_worker_announce_change(run->row->run);
}
