/*-------------------------------------------------------------------------
 *
 * contest.c
 *	  Champion against challenger, on rows that tuning never saw.
 *
 * The champion is the judge's current version, the challenger the winner of a
 * run.  Both judge the test rows that the run held out, through the verdict
 * store and so by the path of gepa.report(): what one of them has judged
 * before is not paid again.  A document that a version fails to judge (not
 * parsed, refused, cut off, rejected by the endpoint for good) counts as
 * wrong; a call that gets no answer says nothing about either and ends the
 * contest.
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
	ApplyJudge *judge;
	ApplyBatch	batch;
	StoreSample *samples;
	JudgeOutcome *outcomes;

	gepa_worker_begin(context);
	samples = gepa_store_get_samples(run, version->spec, STORE_SPLIT_TEST, nrows);
	judge = gepa_apply_open(version, LM_PURPOSE_REPORT);
	gepa_apply_find(&batch, judge, gepa_apply_sample_documents(samples, *nrows), *nrows);
	gepa_worker_commit(context);

	gepa_apply_call(&batch);
	outcomes = gepa_apply_outcomes(judge->spec, samples, batch.verdicts, *nrows);
	for (int i = 0; i < *nrows; i++)
	{
		const JudgeVerdict *verdict = &batch.verdicts[i].verdict;

		if (outcomes[i].decided)
			continue;
		if (gepa_status_no_answer(verdict->status) && !verdict->rejected)
			gepa_judge_report(judge->spec, judge->lm, verdict);
		outcomes[i].decided = true;
		outcomes[i].positive = !outcomes[i].expected;
	}
	gepa_apply_close(judge);
	return outcomes;
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
