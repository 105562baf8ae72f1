/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  Documents through a judge as they come: looked up, called, handed over.
 *
 * Only so many documents are given to the LM as keep it busy (WINDOW_FACTOR); of
 * the others no prompt is made, and no lease taken, before its turn.
 *
 * A verdict is handed over as soon as it is noticed, so that an error in the
 * middle of many documents, or a cancel, loses nothing that had come in.  What
 * has come in until the error is handed over before the other calls are called
 * back (rescue); meanwhile interrupts are held, and nothing is waited for.  A
 * FATAL error, which ends the process, leaves no time for that: it costs what came
 * in since the last look, or while the ring was full.
 *
 * A document that another process is calling is not called: its lease says so.
 * While it is waited for this process's own calls go on, and with their verdicts
 * its leases go back; so no two processes wait for each other.  When the other's
 * lease is gone the document is looked up again; by then the verdict is there, or
 * it did not come and is called here.
 *
 * The entry of a call keeps its document until the answer is known, so that it
 * can be called again after it was called back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "apply/apply_internal.h"

/* How many times the calls in flight may be with the LM: the next ones are ready. */
#define WINDOW_FACTOR 2

#define LOOK_UP_BATCH 512

/*
 * Opening and closing
 */

/* The run is a child of the context, and has been called back. */
static void
release_leases(void *arg)
{
	ApplyStream *stream = arg;
	dlist_iter	iter;

	dlist_foreach(iter, &stream->lists[STREAM_CALLED])
	{
		StreamEntry *entry = dlist_container(StreamEntry, node, iter.cur);

		gepa_store_lease_release(&entry->lease, false);
	}
}

ApplyStream *
gepa_apply_stream_open(ApplyJudge *judge)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa stream",
												  ALLOCSET_DEFAULT_SIZES);
	ApplyStream *stream = MemoryContextAllocZero(context, sizeof(ApplyStream));

	stream->context = context;
	stream->scratch = AllocSetContextCreate(context, "gepa stream look-up",
											ALLOCSET_DEFAULT_SIZES);
	stream->arrivals = AllocSetContextCreate(context, "gepa stream arrivals",
											 ALLOCSET_DEFAULT_SIZES);
	stream->judge = judge;
	stream->keeps = true;
	gepa_apply_answers_open(stream);
	stream->on_reset.func = release_leases;
	stream->on_reset.arg = stream;
	MemoryContextRegisterResetCallback(context, &stream->on_reset);
	return stream;
}

void
gepa_apply_stream_close(ApplyStream *stream)
{
	MemoryContextDelete(stream->context);
}

/* The run is kept for the next document. */
static void
open_run(ApplyStream *stream)
{
	const ApplyJudge *judge = stream->judge;
	MemoryContext old;
	LmOrigin	origin = {.purpose = judge->purpose,.judge = judge->version->judge,
	.version = judge->spec->version};

	if (stream->run != NULL)
		return;
	if (judge->spec->version == 0)
		origin.run = judge->version->run;	/* its candidate, not deployed */
	old = MemoryContextSwitchTo(stream->context);
	stream->run = gepa_judge_open(judge->spec, judge->servers, &origin);
	gepa_judge_charge(stream->run, judge->budget);
	MemoryContextSwitchTo(old);
}

/* What is on its way is called back; its documents may be called again. */
static void
close_run(ApplyStream *stream)
{
	dlist_mutable_iter iter;

	if (stream->run == NULL)
		return;
	stream->peak = gepa_apply_stream_peak(stream);
	gepa_judge_close(stream->run);
	stream->run = NULL;
	dlist_foreach_modify(iter, &stream->lists[STREAM_CALLED])
	{
		StreamEntry *entry = dlist_container(StreamEntry, node, iter.cur);

		gepa_store_lease_release(&entry->lease, false);
		if (entry->answer.refs > 0)
			gepa_apply_answers_move(stream, entry, STREAM_WANTED);
		else
			gepa_apply_answers_drop(stream, entry);
	}
}

/*
 * Asking
 */

static ApplyAnswer *
ask(ApplyStream *stream, const uint8 *digest, const JudgeDocument *document, bool copy,
	bool *fresh)
{
	StreamEntry *entry = gepa_apply_answers_find(stream, digest);

	*fresh = entry == NULL;
	if (*fresh)
		entry = gepa_apply_answers_add(stream, digest, document, copy);
	gepa_apply_answers_use(stream, entry);
	return &entry->answer;
}

ApplyAnswer *
gepa_apply_stream_ask(ApplyStream *stream, const uint8 *digest, const JudgeDocument *document,
					  bool *fresh)
{
	return ask(stream, digest, document, true, fresh);
}

ApplyAnswer *
gepa_apply_stream_ask_owned(ApplyStream *stream, const JudgeDocument *document)
{
	uint8		digest[JUDGE_DIGEST_LENGTH];
	bool		fresh;

	gepa_judge_content_digest(document, digest);
	return ask(stream, digest, document, false, &fresh);
}

void
gepa_apply_stream_release(ApplyStream *stream, ApplyAnswer *answer)
{
	gepa_apply_answers_leave(stream, (StreamEntry *) answer);
}

ApplyAnswer *
gepa_apply_stream_find(ApplyStream *stream, const uint8 *digest)
{
	StreamEntry *entry = gepa_apply_answers_find(stream, digest);

	if (entry == NULL)
		return NULL;
	gepa_apply_answers_use(stream, entry);
	return &entry->answer;
}

void
gepa_apply_stream_clear(ApplyStream *stream)
{
	for (int step = 0; step < STREAM_NSTEPS; step++)
	{
		StreamEntry *entry;

		while ((entry = gepa_apply_stream_first(stream, step)) != NULL)
			gepa_apply_answers_drop(stream, entry);
	}
	stream->ntaken = 0;
	stream->fatal = false;
}

/*
 * Looking up
 */

/*
 * Some of one list, its first ones.  A lease is noted before the look-up: what is
 * released meanwhile is noticed when it is to be taken.
 */
static int
look_up_some(ApplyStream *stream, StreamEntry **entries, int n, ApplyAnswerOrigin origin)
{
	const ApplyJudge *judge = stream->judge;
	MemoryContext old = MemoryContextSwitchTo(stream->scratch);
	StoreLookup *lookups = palloc0(sizeof(StoreLookup) * n);
	int			nfound = 0;

	for (int i = 0; i < n; i++)
		lookups[i].digest = entries[i]->answer.digest;
	gepa_store_lookup(judge->spec, &judge->account, lookups, n, !stream->keeps);
	for (int i = 0; i < n; i++)
	{
		ApplyVerdict verdict = {.verdict = lookups[i].verdict,.cached = lookups[i].cached};

		if (lookups[i].found)
			gepa_apply_answers_know(stream, entries[i], &verdict, origin);
		nfound += lookups[i].found;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(stream->scratch);
	return nfound;
}

void
gepa_apply_stream_look_up(ApplyStream *stream)
{
	const uint8 *account = stream->judge->account.key;
	StreamEntry *entries[LOOK_UP_BATCH];

	while (stream->counts[STREAM_ASKED] > 0)
	{
		dlist_iter	iter;
		int			n = 0;

		dlist_foreach(iter, &stream->lists[STREAM_ASKED])
		{
			if (n == LOOK_UP_BATCH)
				break;
			entries[n] = dlist_container(StreamEntry, node, iter.cur);
			gepa_store_lease_note(&entries[n]->lease, account, entries[n]->answer.digest);
			n++;
		}
		(void) look_up_some(stream, entries, n, APPLY_STORED);
		for (int i = 0; i < n; i++)
			if (entries[i]->step == STREAM_ASKED)
				gepa_apply_answers_move(stream, entries[i], STREAM_WANTED);
	}
}

void
gepa_apply_begin(StreamTransaction *transaction)
{
	transaction->context = CurrentMemoryContext;
	transaction->owner = CurrentResourceOwner;
	transaction->own = !IsTransactionState();
	if (transaction->own)
		StartTransactionCommand();
}

void
gepa_apply_end(const StreamTransaction *transaction)
{
	if (transaction->own)
	{
		CommitTransactionCommand();
		CurrentResourceOwner = transaction->owner;
	}
	MemoryContextSwitchTo(transaction->context);
}

/* Another process had it meanwhile: is its verdict stored? */
static bool
look_again(ApplyStream *stream, StreamEntry *entry)
{
	StreamTransaction transaction;
	bool		found;

	gepa_apply_begin(&transaction);
	found = look_up_some(stream, &entry, 1, APPLY_ELSEWHERE) > 0;
	gepa_apply_end(&transaction);
	return found;
}

/*
 * Calling
 */

/* Whether a document that is wanted is to be called now; if not it has moved on. */
static bool
may_call(ApplyStream *stream, StreamEntry *entry)
{
	int64		longest_ms = gepa_judge_longest_ms(stream->judge->servers);

	for (;;)
	{
		switch (gepa_store_lease_take(&entry->lease, longest_ms))
		{
			case STORE_LEASE_CALL:
				return true;
			case STORE_LEASE_WAIT:
				gepa_apply_answers_move(stream, entry, STREAM_ELSEWHERE);
				return false;
			case STORE_LEASE_LOOK:
				if (look_again(stream, entry))
					return false;
		}
	}
}

/* Give the LM as many as keep it busy. */
static void
fill(ApplyStream *stream)
{
	int			window = gepa_judge_places(stream->judge->servers) * WINDOW_FACTOR;
	StreamEntry *entry;
	bool		submitted = false;

	while (stream->counts[STREAM_CALLED] < window &&
		   (entry = gepa_apply_stream_first(stream, STREAM_WANTED)) != NULL)
	{
		if (!may_call(stream, entry))
			continue;
		open_run(stream);
		gepa_apply_answers_move(stream, entry, STREAM_CALLED);
		gepa_judge_submit(stream->run, &entry->document, entry->answer.digest, entry);
		submitted = true;
	}

	/*
	 * The last ones too go on by the connections they opened, whatever comes
	 * next.
	 */
	if (submitted && gepa_apply_stream_sent(stream) > 0)
		gepa_lm_wait(0);
}

void
gepa_apply_stream_send(ApplyStream *stream)
{
	gepa_apply_stream_look_up(stream);
	fill(stream);
}

int
gepa_apply_stream_calls(const ApplyStream *stream)
{
	return stream->counts[STREAM_WANTED] + stream->counts[STREAM_CALLED];
}

int
gepa_apply_stream_sent(const ApplyStream *stream)
{
	return stream->run == NULL ? 0 : gepa_judge_sent(stream->run);
}

int
gepa_apply_stream_peak(const ApplyStream *stream)
{
	return stream->run == NULL ? stream->peak : Max(stream->peak, gepa_judge_peak(stream->run));
}

/*
 * Polling
 */

/* What another process was calling, and no longer is, is wanted again. */
static void
look_at_leases(ApplyStream *stream)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &stream->lists[STREAM_ELSEWHERE])
	{
		StreamEntry *entry = dlist_container(StreamEntry, node, iter.cur);

		if (!gepa_store_lease_is_held(&entry->lease))
			gepa_apply_answers_move(stream, entry, STREAM_WANTED);
	}
}

int
gepa_apply_stream_poll(ApplyStream *stream)
{
	int			before = stream->nknown;

	do
	{
		look_at_leases(stream);
		fill(stream);
	} while (gepa_apply_stream_take(stream) > 0);
	return stream->nknown - before;
}

/*
 * Waiting
 */

/* Until something may have happened to a stream. */
static int
sooner(int a_ms, int b_ms)
{
	if (a_ms < 0 || b_ms < 0)
		return Max(a_ms, b_ms);
	return Min(a_ms, b_ms);
}

static int
due_ms(const ApplyStream *stream, ApplyStream *const *others, int nothers)
{
	int			due = stream->run ? gepa_judge_due_ms(stream->run) : -1;

	for (int i = 0; i < nothers; i++)
		if (others[i]->run != NULL)
			due = sooner(due, gepa_judge_due_ms(others[i]->run));
	return due;
}

ApplyRestHook gepa_apply_rest_hook = NULL;

static void
call_rest_hook(void)
{
	if (gepa_apply_rest_hook != NULL)
		gepa_apply_rest_hook();
}

/* Sleep until a call has ended, or the lease that is waited for was released. */
static void
rest(ApplyStream *stream, const StreamEntry *awaited, ApplyStream *const *others, int nothers)
{
	int			due = due_ms(stream, others, nothers);
	bool		calls = stream->counts[STREAM_CALLED] > 0;

	call_rest_hook();
	for (int i = 0; i < nothers; i++)
		calls = calls || others[i]->counts[STREAM_CALLED] > 0;
	if (awaited == NULL)
		gepa_lm_wait(due);
	else if (!calls)
		gepa_store_lease_wait(&awaited->lease);
	else
	{
		if (gepa_store_lease_watch(&awaited->lease))
			gepa_lm_wait(sooner(due, STORE_LEASE_LOOK_MS));
		gepa_store_lease_unwatch();
	}
}

void
gepa_apply_stream_wait(ApplyStream *stream, ApplyAnswer *answer, ApplyStream *const *others,
					   int nothers)
{
	const StreamEntry *entry = (const StreamEntry *) answer;

	gepa_apply_stream_look_up(stream);
	for (;;)
	{
		(void) gepa_apply_stream_poll(stream);
		if (answer->state == APPLY_KNOWN)
			break;
		for (int i = 0; i < nothers; i++)
			(void) gepa_apply_stream_poll(others[i]);
		rest(stream, entry->step == STREAM_ELSEWHERE ? entry : NULL, others, nothers);
	}
}

int
gepa_apply_streams_turn(ApplyStream *const *streams, int nstreams)
{
	for (;;)
	{
		const StreamEntry *awaited = NULL;
		int			known = 0;
		int			under_way = 0;

		for (int i = 0; i < nstreams; i++)
		{
			known += gepa_apply_stream_poll(streams[i]);
			under_way += gepa_apply_stream_calls(streams[i]);
			if (awaited == NULL)
				awaited = gepa_apply_stream_first(streams[i], STREAM_ELSEWHERE);
		}
		if (known > 0 || (under_way == 0 && awaited == NULL))
			return known;
		rest(streams[0], awaited, streams + 1, nstreams - 1);
	}
}

void
gepa_apply_stream_rest(ApplyStream *stream, int longest_ms)
{
	gepa_lm_wait(sooner(due_ms(stream, NULL, 0), longest_ms));
}

/*
 * Ending
 */

int
gepa_apply_stream_stop(ApplyStream *stream)
{
	if (stream->run == NULL)
		return 0;
	gepa_judge_stop(stream->run);
	while (gepa_apply_stream_take(stream) > 0)
		;
	return gepa_judge_sent(stream->run);
}

void
gepa_apply_stream_drain(ApplyStream *stream)
{
	while (gepa_apply_stream_stop(stream) > 0)
	{
		call_rest_hook();
		gepa_lm_wait(-1);
	}
	close_run(stream);
}

/* What goes wrong here is not told: the error that is on its way is. */
static void
rescue_some(ApplyStream *stream)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		HOLD_INTERRUPTS();
		(void) gepa_apply_stream_take(stream);
		RESUME_INTERRUPTS();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
}

static int
not_settled(const ApplyStream *stream)
{
	return gepa_judge_pending(stream->run) + stream->ntaken;
}

static void
ask_again(ApplyStream *stream, StreamStep step)
{
	StreamEntry *entry;

	while ((entry = gepa_apply_stream_first(stream, step)) != NULL)
		gepa_apply_answers_move(stream, entry, STREAM_ASKED);
}

/* What has come in was paid for; nothing further is sent. */
void
gepa_apply_stream_rescue(ApplyStream *stream)
{
	int			before;

	if (stream->run != NULL)
	{
		gepa_judge_stop(stream->run);
		do
		{
			before = not_settled(stream);
			rescue_some(stream);
		} while (not_settled(stream) < before);
		close_run(stream);
	}
	ask_again(stream, STREAM_WANTED);
	ask_again(stream, STREAM_ELSEWHERE);
}
