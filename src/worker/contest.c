/*-------------------------------------------------------------------------
 *
 * contest.c
 *	  Champion against challenger, on rows that tuning never saw.
 *
 * The champion is the judge's current version, the challenger the winner of a
 * run.  Both judge the test rows that the run held out (heldout.c), where a
 * document that a version fails to judge counts as wrong; a call that gets no
 * answer says nothing about either and ends the contest.
 *
 * No transaction is open during the calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "apply/apply.h"
#include "worker/worker_schedule.h"

static JudgeOutcome *
judge_rows(StoreVersion *version, int run, int *nrows, MemoryContext context)
{
	WorkerHeldOut held;

	(void) gepa_worker_judge_held_out(&held, version, run, NULL, context);
	*nrows = held.n;
	return held.outcomes;
}

static void
name_sides(WorkerContest *contest, const StoreRun *run, MemoryContext context)
{
	StoreVersion *seed;

	gepa_worker_begin(context);
	seed = gepa_store_get_version_by_id(run->judge, run->seed_version);
	contest->champion = gepa_store_get_version_by_id(run->judge, 0);
	contest->challenger = gepa_apply_candidate(run, seed, run->best_candidate);
	gepa_worker_commit(context);
}

void
gepa_worker_hold_contest(WorkerContest *contest, const StoreRun *run, MemoryContext context)
{
	JudgeOutcome *champion;
	JudgeOutcome *challenger;

	memset(contest, 0, sizeof(WorkerContest));
	name_sides(contest, run, context);
	champion = judge_rows(contest->champion, run->run, &contest->nrows, context);
	challenger = judge_rows(contest->challenger, run->run, &contest->nrows, context);
	contest->paired = gepa_judge_compare(champion, challenger, contest->nrows);
}

char *
gepa_worker_contest_json(const WorkerContest *contest, int deployed)
{
	const JudgePaired *paired = &contest->paired;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"n\":%d,\"champion\":%d,\"champion_right\":%d,\"champion_only\":%d,",
					 paired->n, contest->champion->version, paired->right_a, paired->only_a);
	appendStringInfo(&buf, "\"run\":%d,\"challenger\":%d,\"challenger_right\":%d,\"challenger_only\":%d,",
					 contest->challenger->run, contest->challenger->candidate,
					 paired->right_b, paired->only_b);
	appendStringInfo(&buf, "\"p_value\":%.9g", paired->p_better);
	if (deployed > 0)
		appendStringInfo(&buf, ",\"deployed\":%d", deployed);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}
