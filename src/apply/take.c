/*-------------------------------------------------------------------------
 *
 * take.c
 *	  What has come in for a stream: taken, known, handed over, its leases released.
 *
 * Taking a verdict is little work, handing it over is some: a file is written and
 * locks are taken.  So what has come in with one look at the network is handed over
 * together; but nothing that was noticed is kept waiting for more.
 *
 * Order: the verdicts are in the spool before their leases are released, and
 * before anybody sees the answers.
 *
 * An interrupt may come between the first that is taken and the last.  What was taken
 * stays with the stream then, and is handed over at the next time: that is the rescue.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "apply/apply_internal.h"

static void
make_stored(const ApplyJudge *judge, const StreamTaken *taken, StoreVerdict *stored)
{
	memset(stored, 0, sizeof(*stored));
	stored->account = judge->account;
	memcpy(stored->digest, taken->entry->answer.digest, JUDGE_DIGEST_LENGTH);
	stored->judge = judge->version->judge;
	stored->version = judge->version->version;
	stored->caller = judge->lm->userid;
	stored->lm = judge->lm->name;
	stored->purpose = judge->purpose;
	stored->verdict = taken->verdict;
}

/*
 * Of a failure that no further call can escape the first is told: the others have it
 * from there, and were not sent.  What a budget has denied is no failure of the document.
 */
static bool
know(ApplyStream *stream, const StreamTaken *taken)
{
	ApplyVerdict known = {.verdict = taken->verdict,.cached = false};
	bool		tell = taken->verdict.status != GEPA_STATUS_BUDGET &&
		(!taken->verdict.fatal || !stream->fatal);

	gepa_apply_answers_use(stream, taken->entry);
	gepa_apply_answers_know(stream, taken->entry, &known, APPLY_CALLED);
	stream->fatal = stream->fatal || taken->verdict.fatal;
	return tell;
}

/*
 * The answers are known, whatever becomes of handing them over, which an interrupt
 * may end; others look for them once the leases are released.
 */
static void
settle(ApplyStream *stream)
{
	int			n = stream->ntaken;
	StoreVerdict *stored = palloc(sizeof(StoreVerdict) * Max(n, 1));
	bool	   *handed_over = palloc0(Max(n, 1));
	bool	   *told = palloc(Max(n, 1));
	int			nstored = 0;
	volatile bool done = false;

	stream->ntaken = 0;
	for (int i = 0; i < n; i++)
	{
		told[i] = know(stream, &stream->taken[i]);
		if (told[i])
			make_stored(stream->judge, &stream->taken[i], &stored[nstored++]);
	}
	PG_TRY();
	{
		if (nstored > 0)
			gepa_store_hand_over(stored, nstored, handed_over);
		done = true;
	}
	PG_FINALLY();
	{
		const bool *over = handed_over;

		for (int i = 0; i < n; i++)
		{
			StreamEntry *entry = stream->taken[i].entry;

			gepa_store_lease_release(&entry->lease, told[i] && !*over && done);
			over += told[i];
			gepa_apply_answers_leave(stream, entry);
		}
	}
	PG_END_TRY();
}

int
gepa_apply_stream_take(ApplyStream *stream)
{
	MemoryContext old = MemoryContextSwitchTo(stream->arrivals);
	int			n;

	while (stream->run != NULL && stream->ntaken < lengthof(stream->taken) &&
		   gepa_judge_pending(stream->run) > 0)
	{
		StreamTaken *taken = &stream->taken[stream->ntaken];
		void	   *tag;

		/* What was noticed is not kept waiting for more. */
		if (stream->ntaken > 0 && gepa_judge_due_ms(stream->run) != 0)
			break;
		if (!gepa_judge_collect(stream->run, 0, &tag, &taken->verdict))
			break;
		/* Given up between two steps: it is called again, or never. */
		if (taken->verdict.status == GEPA_STATUS_CANCELLED)
			continue;
		taken->entry = tag;
		stream->ntaken++;
	}
	n = stream->ntaken;
	if (n > 0)
	{
		/*
		 * Handing over may wait long, and end in a cancel, after which
		 * nothing may be sent.
		 */
		gepa_lm_send();
		settle(stream);
	}
	MemoryContextSwitchTo(old);
	if (n > 0)
		MemoryContextReset(stream->arrivals);
	return n;
}
