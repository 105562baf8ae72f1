/*-------------------------------------------------------------------------
 *
 * handover.c
 *	  What was paid for on its way to the writer, and how long to wait for it.
 *
 * A backend that finds the ring full waits (back-pressure), and only when no
 * writer makes room for RING_PATIENCE_MS does it give up; then the verdict
 * stays in session memory, and the transaction writes it (memory.c).
 *
 * A transaction that handed verdicts over waits before its commit until they
 * are written, so that whoever sees it committed finds them in the table; not
 * for those that the writer had to put back, nor longer than
 * COMMIT_PATIENCE_MS.  After a rollback or a cancel nobody waits; the writer
 * writes all the same.
 *
 * A backend that has waited in vain, for the one or the other, says so and
 * does not wait again for DISTRUST_MS.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "base/wait.h"
#include "store/store_internal.h"

#define RING_PATIENCE_MS 10000
#define DISTRUST_MS 15000

/* The writer may have to be started. */
#define COMMIT_PATIENCE_MS 3000

static bool unwritten = false;	/* this transaction handed something over */
static TimestampTz distrust_until = 0;

static bool
may_wait(void)
{
	return GetCurrentTimestamp() >= distrust_until;
}

static void
lose_patience(void)
{
	distrust_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), DISTRUST_MS);
}

/*
 * At commit
 */

static bool
wait_written(void)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), COMMIT_PATIENCE_MS);
	bool		written;

	ConditionVariablePrepareToSleep(gepa_store_ring_space());
	while (!(written = !gepa_store_ring_has_fresh()) && GetCurrentTimestamp() < end)
		(void) ConditionVariableTimedSleep(gepa_store_ring_space(), 100,
										   gepa_wait_event(GEPA_WAIT_VERDICTS_WRITTEN));
	ConditionVariableCancelSleep();
	return written;
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	bool		wait = unwritten && event == XACT_EVENT_PRE_COMMIT && may_wait();

	unwritten = false;
	if (!wait || wait_written())
		return;
	lose_patience();
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("verdict writer does not keep up; this transaction commits before its verdicts are in the table"),
			 errhint("Check the server log for the gepa verdict writer, and max_worker_processes.")));
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

static bool
wait_for_room(const StoreVerdict *verdict, const StringInfo bytes)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RING_PATIENCE_MS);
	bool		done;

	ConditionVariablePrepareToSleep(gepa_store_ring_space());
	while (!(done = gepa_store_ring_put(verdict, bytes)) && GetCurrentTimestamp() < end)
		(void) ConditionVariableTimedSleep(gepa_store_ring_space(), 100,
										   gepa_wait_event(GEPA_WAIT_RING_SPACE));
	ConditionVariableCancelSleep();
	return done;
}

static bool
put(const StoreVerdict *verdict, const StringInfo bytes)
{
	if (!gepa_store_ring_fits(bytes))
		return false;
	if (gepa_store_ring_put(verdict, bytes))
		return true;
	if (!may_wait())
		return false;
	if (wait_for_room(verdict, bytes))
		return true;
	lose_patience();
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("verdict writer does not keep up, its ring is full"),
			 errdetail("Transactions that may write store their verdicts themselves, when they commit."),
			 errhint("Check the server log for the gepa verdict writer, max_worker_processes and gepa.verdict_ring_size.")));
	return false;
}

/* Waiting for room can be cancelled: then session memory has the verdict. */
bool
gepa_store_hand_over(const StoreVerdict *verdict)
{
	StringInfoData bytes;
	bool		done;

	gepa_store_remember_paid(verdict);
	if (!gepa_store_ring_available())
		return false;
	initStringInfo(&bytes);
	gepa_store_pack(&bytes, verdict);
	done = put(verdict, &bytes);
	if (done)
	{
		gepa_store_remember_handed_over(verdict);
		note_unwritten();
	}
	pfree(bytes.data);
	return done && verdict->verdict.status == GEPA_STATUS_OK;
}
