/*-------------------------------------------------------------------------
 *
 * handover.c
 *	  What was paid for on its way to the writer, and how long to wait for it.
 *
 * What has come in together is put into spool and ring together, if there is room
 * for all; else each for itself.
 *
 * A backend that finds the ring full puts the verdict into the backlog, in the
 * spool, at once: so it is handed over whatever becomes of the session.  Then it
 * waits until it is loaded into the ring (back-pressure), and when no writer
 * makes room for RING_PATIENCE_MS goes on; the session keeps the verdict in mind
 * meanwhile, for itself.  When the backlog is at its limit it waits on, for as
 * long as it takes; so each session exceeds that by the verdicts in its hand.
 *
 * A transaction that handed verdicts over waits before its commit until they
 * are written, so that whoever sees it committed finds them in the table; not
 * for those that the writer had to put back, nor longer than
 * COMMIT_PATIENCE_MS.  What is not written then for another reason than a lock
 * is told of.  After a rollback or a cancel nobody waits; the writer writes all
 * the same.
 *
 * PostgreSQL stops the clock of statement_timeout before it commits, so this
 * wait keeps to that limit by itself.  It then commits like one that has waited
 * in vain: a writer that is slow is no reason to undo what the user did.
 *
 * A backend that has waited in vain, for the one or the other, says so, and
 * does not wait again for DISTRUST_MS.
 *
 * Known hole: when the ring is full and the spool cannot be written, after that
 * patience the verdict stays in session memory, and the transaction writes it
 * (memory.c); it is lost when the transaction does not commit and the session
 * ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/wait.h"
#include "store/store_internal.h"
#include "store/store_spool.h"

#define RING_PATIENCE_MS 10000
#define DISTRUST_MS 15000
#define SLICE_MS 100

/* The writer may have to be started. */
#define COMMIT_PATIENCE_MS 3000

/* A warning that holds for every verdict is given this often. */
#define WARNING_MS 60000

static bool unwritten = false;	/* this transaction handed something over */
static int64 distrust_until = 0;	/* these: gepa_clock_us() */
static int64 failure_told_at = 0;
static int64 unspooled_told_at = 0;

static bool
may_wait(void)
{
	return gepa_clock_us() >= distrust_until;
}

static void
lose_patience(void)
{
	distrust_until = gepa_clock_after_ms(DISTRUST_MS);
}

static bool
is_time_to_tell(int64 *told_at)
{
	int64		now = gepa_clock_us();

	if (*told_at != 0 && now - *told_at < WARNING_MS * 1000)
		return false;
	*told_at = now;
	return true;
}

/* Whoever makes room says so; the slice is for one that died before it could. */
static int
slice_ms(int64 end)
{
	return Min(SLICE_MS, gepa_clock_ms_until(end));
}

/*
 * At commit
 */

/*
 * When statement_timeout would have ended the statement.  Its start is known by
 * the clock that is set; if it was, no more than the whole of it is left.
 */
static int64
statement_end(void)
{
	TimestampTz start = GetCurrentStatementStartTimestamp();
	int64		passed = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());

	if (StatementTimeout <= 0)
		return PG_INT64_MAX;
	return gepa_clock_after_ms(Max(StatementTimeout - passed, 0));
}

static StoreHandedOver
wait_written(int64 end)
{
	StoreHandedOver state;

	ConditionVariablePrepareToSleep(gepa_store_ring_space());
	while ((state = gepa_store_ring_handed_over()) == STORE_WAITING && gepa_clock_us() < end)
		gepa_wait_sleep(gepa_store_ring_space(), slice_ms(end), GEPA_WAIT_VERDICTS_WRITTEN);
	ConditionVariableCancelSleep();
	return state;
}

/* Nobody knows how long they will wait. */
static void
tell_waiting(bool timed_out)
{
	lose_patience();
	gepa_store_spool_sync();
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("verdict writer does not keep up; this transaction commits before its verdicts are in the table"),
			 timed_out ? errdetail("The wait was ended by statement_timeout.") : 0,
			 errhint("Check the server log for the gepa verdict writer, and max_worker_processes.")));
}

static void
tell_failed(void)
{
	if (is_time_to_tell(&failure_told_at))
		ereport(WARNING,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("verdict writer cannot write; this transaction commits before its verdicts are in the table"),
				 errdetail("They wait, are used meanwhile, and are tried again."),
				 errhint("The server log says what keeps the gepa verdict writer from writing.")));
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	bool		wait = unwritten && event == XACT_EVENT_PRE_COMMIT && may_wait();
	int64		patience = gepa_clock_after_ms(COMMIT_PATIENCE_MS);
	int64		end = statement_end();
	StoreHandedOver state = STORE_WRITTEN;

	unwritten = false;
	if (wait)
		state = wait_written(Min(patience, end));
	if (state == STORE_WAITING)
		tell_waiting(end < patience);
	else if (state == STORE_FAILED)
		tell_failed();
}

static void
note_unwritten(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(at_end_of_transaction, NULL);
	registered = true;
	unwritten = true;
}

/*
 * Into the ring
 */

/* errno is that of the spool. */
static void
tell_unspooled(void)
{
	ereport(WARNING,
			(errcode_for_file_access(),
			 errmsg("could not write a verdict to the spool: %m"),
			 errdetail("It waits in memory only, and would be lost if the server crashed now."),
			 errhint("Mend the folder \"%s\" in the data directory, or free space.", SPOOL_FOLDER)));
}

/* A verdict that was paid for, and how far it has come. */
typedef struct Paid
{
	StoreVerdict verdict;
	SpoolItem	item;			/* its place is that in the backlog */
	StorePut	put;
} Paid;

static void
try_to_put(Paid *paid)
{
	int			spool_error;

	paid->put = gepa_store_ring_put(&paid->item, &spool_error);
	if (paid->put == STORE_PUT_RING)
		gepa_store_remember_handed_over(&paid->verdict);
	else if (paid->put == STORE_PUT_BACKLOG)
		gepa_store_remember_spooled(&paid->verdict, &paid->item.place);
	if (spool_error != 0 && is_time_to_tell(&unspooled_told_at))
	{
		errno = spool_error;
		tell_unspooled();
	}
}

static bool
try_to_get_in(Paid *paid)
{
	if (paid->put == STORE_PUT_NOWHERE)
		try_to_put(paid);
	else if (gepa_store_ring_load_own(&paid->item.place, paid->verdict.account.key,
									  paid->verdict.digest))
	{
		paid->put = STORE_PUT_RING;
		gepa_store_remember_handed_over(&paid->verdict);
	}
	return paid->put == STORE_PUT_RING;
}

static bool
wait_for_room(Paid *paid, int64 end)
{
	bool		done;

	ConditionVariablePrepareToSleep(gepa_store_ring_space());
	while (!(done = try_to_get_in(paid)) && gepa_clock_us() < end)
		gepa_wait_sleep(gepa_store_ring_space(), slice_ms(end), GEPA_WAIT_RING_SPACE);
	ConditionVariableCancelSleep();
	return done;
}

static void
tell_full(const Paid *paid, bool beyond_limit)
{
	const char *detail = "Verdicts are kept in files until there is room; meanwhile other sessions can pay for the same texts again.";

	if (paid->put == STORE_PUT_NOWHERE)
		detail = "Transactions that may write store their verdicts themselves, when they commit.";
	else if (beyond_limit)
		detail = "Verdicts are kept in files, and there are too many: the query goes on when there is room.";
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("verdict writer does not keep up, its ring is full"),
			 errdetail("%s", detail),
			 errhint("Check the server log for the gepa verdict writer, max_worker_processes and gepa.verdict_ring_size.")));
}

static void
wait_to_get_in(Paid *paid)
{
	/* Nobody waits who could not be cancelled. */
	if (!INTERRUPTS_CAN_BE_PROCESSED())
		return;
	if (may_wait())
	{
		if (wait_for_room(paid, gepa_clock_after_ms(RING_PATIENCE_MS)))
			return;
		lose_patience();
		gepa_store_spool_sync();
		tell_full(paid, gepa_store_ring_is_beyond_limit());
	}
	while (paid->put == STORE_PUT_BACKLOG && gepa_store_ring_is_beyond_limit())
		wait_for_room(paid, gepa_clock_after_ms(SLICE_MS));
}

/* As it mostly goes: there is room for all. */
static bool
put_together(Paid *paid, int n)
{
	SpoolItem	items[STORE_HAND_OVER_MAX];

	for (int i = 0; i < n; i++)
		items[i] = paid[i].item;
	if (!gepa_store_ring_put_all(items, n))
		return false;
	for (int i = 0; i < n; i++)
	{
		paid[i].put = STORE_PUT_RING;
		gepa_store_remember_paid(&paid[i].verdict, true);
	}
	return true;
}

/* Nothing is waited for before all of them are in the ring or the backlog. */
static void
put_each(Paid *paid, int n)
{
	for (int i = 0; i < n; i++)
		gepa_store_remember_paid(&paid[i].verdict, false);
	if (!gepa_store_ring_available())
		return;
	for (int i = 0; i < n; i++)
		try_to_put(&paid[i]);
	for (int i = 0; i < n; i++)
		if (paid[i].put != STORE_PUT_RING)
			wait_to_get_in(&paid[i]);
}

static void
pack(Paid *paid, const StoreVerdict *verdict, TimestampTz now)
{
	StringInfoData bytes;

	paid->put = STORE_PUT_NOWHERE;
	paid->verdict = *verdict;
	paid->verdict.paid_at = now;
	initStringInfo(&bytes);
	gepa_store_pack(&bytes, &paid->verdict);
	paid->item.data = bytes.data;
	paid->item.length = bytes.len;
}

/* The wait for room can be interrupted: they are in the backlog then. */
void
gepa_store_hand_over(const StoreVerdict *verdicts, int n, bool *handed_over)
{
	Paid	   *paid = palloc0(sizeof(Paid) * Max(n, 1));
	TimestampTz now = GetCurrentTimestamp();

	Assert(n <= STORE_HAND_OVER_MAX);
	for (int i = 0; i < n; i++)
		pack(&paid[i], &verdicts[i], now);
	if (!gepa_store_ring_available() || !put_together(paid, n))
		put_each(paid, n);
	for (int i = 0; i < n; i++)
	{
		if (paid[i].put == STORE_PUT_RING)
			note_unwritten();
		handed_over[i] = paid[i].put == STORE_PUT_RING &&
			verdicts[i].verdict.status == GEPA_STATUS_OK;
		pfree(unconstify(char *, paid[i].item.data));
	}
	pfree(paid);
}
