/*-------------------------------------------------------------------------
 *
 * call.c
 *	  Calling the documents of a batch that the store does not know.
 *
 * A verdict is handed over as soon as it arrives, while others are submitted,
 * too, so that an error in the middle of many documents, or a cancel, loses
 * nothing that had come in.  What comes in until the error is handed over before
 * the other calls are called back (rescue); meanwhile interrupts are held, and
 * nothing is waited for.  A FATAL error, which ends the process, leaves no time
 * for that: it costs what came in since the last look, or while the ring was
 * full.
 *
 * A document that another process is calling is not called: its lease says
 * so.  It is left for the next turn, which begins when all of this process's
 * own calls have ended, and with them its leases; so no two processes wait for
 * each other.  By then the verdict is there, or it did not come and is called
 * here.
 *
 *			  lease taken			 verdict, or failure
 *	unknown -------------> submitted --------------------> has its verdict
 *	  ^	 | \													 ^
 *	  |	 |	+----------------- found stored ---------------------+
 *	  +--+ another's: next turn
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/resowner.h"

#include "apply/apply.h"

/* How many times the calls in flight may be submitted and not finished. */
#define WINDOW_FACTOR 4

/* The run is kept for the next document. */
static void
open_run(ApplyJudge *judge)
{
	MemoryContext old;
	LmOrigin	origin = {.purpose = judge->purpose,.judge = judge->version->judge,
	.version = judge->spec->version};

	if (judge->run != NULL)
		return;
	if (judge->spec->version == 0)
		origin.run = judge->version->run;	/* its candidate, not deployed */
	old = MemoryContextSwitchTo(judge->context);
	judge->run = gepa_judge_open(judge->spec, judge->lm, &origin);
	MemoryContextSwitchTo(old);
}

/* What is on its way is called back. */
static void
drop_run(ApplyJudge *judge)
{
	if (judge->run != NULL)
		gepa_judge_close(judge->run);
	judge->run = NULL;
}

/* Others look for it once the lease is released. */
static void
hand_over(ApplyBatch *batch, int i, const JudgeVerdict *verdict)
{
	const ApplyJudge *judge = batch->judge;
	StoreVerdict stored;
	bool		found_by_others;

	memset(&stored, 0, sizeof(stored));
	stored.account = judge->account;
	memcpy(stored.digest, batch->digests[i], JUDGE_DIGEST_LENGTH);
	stored.judge = judge->version->judge;
	stored.version = judge->version->version;
	stored.verdict = *verdict;
	found_by_others = gepa_store_hand_over(&stored);
	gepa_store_lease_release(&batch->leases[i], !found_by_others);
}

static void
release_leases(ApplyBatch *batch)
{
	for (int i = 0; i < batch->n; i++)
		gepa_store_lease_release(&batch->leases[i], false);
}

/* Collect what has come in, and wait until no more than so many are on their way. */
static void
collect(ApplyBatch *batch, int most)
{
	ApplyJudge *judge = batch->judge;
	JudgeVerdict verdict;
	void	   *tag;

	while (gepa_judge_pending(judge->run) > 0 &&
		   gepa_judge_collect(judge->run, gepa_judge_pending(judge->run) > most ? -1 : 0,
							  &tag, &verdict))
	{
		int			i = (int) (intptr_t) tag;

		hand_over(batch, i, &verdict);

		/* No further call can escape it; others in by now are rescued. */
		if (verdict.fatal)
			gepa_judge_report(judge->spec, judge->lm, &verdict);
		batch->verdicts[i].verdict = verdict;
		batch->verdicts[i].cached = false;
	}
}

/*
 * Hand over one that has come in, if there is any.  What goes wrong with it is
 * not told: the error that is on its way is.
 */
static void
rescue_one(ApplyBatch *batch)
{
	MemoryContext context = CurrentMemoryContext;
	JudgeVerdict verdict;
	void	   *tag;

	PG_TRY();
	{
		HOLD_INTERRUPTS();
		if (gepa_judge_collect(batch->judge->run, 0, &tag, &verdict) && !verdict.fatal)
			hand_over(batch, (int) (intptr_t) tag, &verdict);
		RESUME_INTERRUPTS();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
}

/* What has come in was paid for; nothing further is sent. */
static void
rescue(ApplyBatch *batch)
{
	JudgeRun   *run = batch->judge->run;
	int			before;

	if (run == NULL)
		return;
	gepa_judge_stop(run);
	do
	{
		before = gepa_judge_pending(run);
		rescue_one(batch);
	} while (gepa_judge_pending(run) < before);
}

/* Another process had it meanwhile: is its verdict stored? */
static bool
look_again(ApplyBatch *batch, int i)
{
	ApplyJudge *judge = batch->judge;
	ApplyVerdict *known = &batch->verdicts[i];
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		alone = !IsTransactionState();
	bool		found;

	if (alone)
		StartTransactionCommand();
	MemoryContextSwitchTo(context);
	found = gepa_store_lookup(judge->spec, &judge->account, batch->digests[i],
							  &known->verdict, &known->cached);
	if (alone)
	{
		CommitTransactionCommand();
		CurrentResourceOwner = owner;
	}
	MemoryContextSwitchTo(context);
	return found;
}

/* Whether a document that is not known is to be called now. */
static bool
may_call(ApplyBatch *batch, int i)
{
	int64		longest_ms = gepa_lm_longest_call_ms(batch->judge->lm);

	for (;;)
	{
		switch (gepa_store_lease_take(&batch->leases[i], longest_ms))
		{
			case STORE_LEASE_CALL:
				return true;
			case STORE_LEASE_WAIT:
				return false;
			case STORE_LEASE_LOOK:
				if (!look_again(batch, i))
					continue;
				batch->unknown[i] = false;
				return false;
		}
	}
}

/*
 * Ask for those that are not known.  Enough calls are submitted to keep the LM
 * busy; of the other documents no prompt is made before its turn.  Returns the
 * first that another process is asking for, -1 if there is none.
 */
static int
take_turn(ApplyBatch *batch)
{
	ApplyJudge *judge = batch->judge;
	int			window = judge->lm->max_concurrency * WINDOW_FACTOR;
	int			first = -1;

	for (int i = 0; i < batch->n; i++)
	{
		if (!batch->unknown[i])
			continue;
		if (may_call(batch, i))
		{
			open_run(judge);
			collect(batch, window - 1);
			gepa_judge_submit(judge->run, &batch->documents[i], (void *) (intptr_t) i);
			batch->unknown[i] = false;
		}
		else if (batch->unknown[i] && first < 0)
			first = i;
	}
	if (judge->run != NULL)
		collect(batch, 0);
	return first;
}

static void
call_unknown(ApplyBatch *batch)
{
	int			first;

	while ((first = take_turn(batch)) >= 0)
		gepa_store_lease_wait(&batch->leases[first]);
}

void
gepa_apply_call(ApplyBatch *batch)
{
	MemoryContext context = CurrentMemoryContext;

	/*
	 * A subtransaction may catch an error, a cancel included, and go on for
	 * long; the judge's context would end, and with it the calls, only with
	 * the query.
	 */
	PG_TRY();
	{
		call_unknown(batch);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		rescue(batch);
		drop_run(batch->judge);
		release_leases(batch);
		ReThrowError(error);
	}
	PG_END_TRY();
	for (int i = 0; i < batch->n; i++)
		if (batch->twin[i] >= 0)
			batch->verdicts[i] = batch->verdicts[batch->twin[i]];
}
