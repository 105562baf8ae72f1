/*-------------------------------------------------------------------------
 *
 * requests.c
 *	  What backends ask of workers of runs and sweeps, and how they learn of a
 *	  change.
 *
 * A backend asks for a worker, or for a stop, when its transaction commits:
 * only then is there a row to look at.  What was asked for in a subtransaction
 * that is rolled back is not asked for.  The wish goes into the slot
 * (slots.c), from where the launcher starts a worker or the worker reads it.
 *
 * Whoever waits for a run or sweep sleeps on a condition variable in shared memory; the
 * counter beside it closes the gap between looking at the row and going to
 * sleep.  Neither needs a lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/shmem.h"
#include "base/wait.h"
#include "worker/worker_schedule.h"

typedef struct Changes
{
	pg_atomic_uint64 count;		/* of announcements */
	ConditionVariable changed;
} Changes;

/* What this backend's transaction asks for when it commits. */
typedef struct PendingRequest
{
	SubTransactionId subxact;	/* that asks; its parent once it is over */
	WorkerKind	kind;
	int			id;
	int			parts;			/* a job's workers, else 1 */
	Oid			owner;
	bool		stop;			/* else start */
} PendingRequest;

static struct
{
	Changes    *changes;		/* NULL = not preloaded */
	bool		callback_registered;
	List	   *pending;		/* in TopTransactionContext */
	uint64		changes_seen;
}			requests;

/*
 * Set-up
 */

static Size
shmem_size(void)
{
	return sizeof(Changes);
}

static void
attach(void *memory, LWLock *lock, bool made)
{
	requests.changes = memory;
	if (!made)
		return;
	pg_atomic_init_u64(&requests.changes->count, 0);
	ConditionVariableInit(&requests.changes->changed);
}

void
gepa_worker_requests_init(void)
{
	static const GepaShmem area = {
		.name = "gepa run changes",
		.size = shmem_size,
		.attach = attach
	};

	gepa_shmem_add(&area);
}

bool
gepa_worker_is_known(int run)
{
	return gepa_worker_slots_available() && gepa_worker_has_slot(WORKER_KIND_RUN, run);
}

/*
 * Backends: at commit
 */

static void
apply_pending(void)
{
	ListCell   *cell;

	foreach(cell, requests.pending)
	{
		PendingRequest *request = lfirst(cell);
		WorkerWish	wish = {
			.kind = request->kind,
			.database = MyDatabaseId,
			.id = request->id,
			.owner = request->owner,
			.anew = true
		};

		if (request->stop)
			gepa_worker_request_stop(request->kind, request->id);
		for (; wish.part < request->parts && !request->stop; wish.part++)
			(void) gepa_worker_enter_slot(&wish);
		gepa_worker_announce_change(request->id);
	}
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (requests.pending == NIL)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			apply_pending();
			requests.pending = NIL;
			break;
		case XACT_EVENT_ABORT:
			requests.pending = NIL;
			break;
		case XACT_EVENT_PRE_PREPARE:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has started, stopped or resumed a gepa run, sweep or job"),
					 errhint("Use COMMIT.")));
			break;
		default:
			break;
	}
}

/* What is rolled back to a savepoint, or caught as an error, asks for nothing. */
static void
at_end_of_subtransaction(SubXactEvent event, SubTransactionId subxact,
						 SubTransactionId parent, void *arg)
{
	ListCell   *cell;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(cell, requests.pending)
	{
		PendingRequest *request = lfirst(cell);

		if (request->subxact != subxact)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			request->subxact = parent;
		else
			requests.pending = foreach_delete_current(requests.pending, cell);
	}
}

static void
add_pending(WorkerKind kind, int id, int parts, Oid owner, bool stop)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	PendingRequest *request = palloc(sizeof(PendingRequest));

	if (!requests.callback_registered)
	{
		RegisterXactCallback(at_end_of_transaction, NULL);
		RegisterSubXactCallback(at_end_of_subtransaction, NULL);
	}
	requests.callback_registered = true;
	request->subxact = GetCurrentSubTransactionId();
	request->kind = kind;
	request->id = id;
	request->parts = parts;
	request->owner = owner;
	request->stop = stop;
	requests.pending = lappend(requests.pending, request);
	MemoryContextSwitchTo(old);
}

static void
ask_to_stop(WorkerKind kind, int id, bool at_commit)
{
	if (!gepa_worker_slots_available())
		return;
	if (at_commit)
		add_pending(kind, id, 1, InvalidOid, true);
	else
		gepa_worker_request_stop(kind, id);
}

void
gepa_worker_start_at_commit(int run, Oid owner)
{
	if (gepa_worker_slots_available())
		add_pending(WORKER_KIND_RUN, run, 1, owner, false);
}

void
gepa_worker_stop_run(int run, bool at_commit)
{
	ask_to_stop(WORKER_KIND_RUN, run, at_commit);
}

void
gepa_worker_look_at_sweep(int sweep, Oid owner)
{
	if (gepa_worker_slots_available())
		add_pending(WORKER_KIND_SWEEP, sweep, 1, owner, false);
}

void
gepa_worker_halt_sweep(int sweep, bool at_commit)
{
	ask_to_stop(WORKER_KIND_SWEEP, sweep, at_commit);
}

/* The last wish of this (sub)transaction's: is it for the same? */
static bool
is_last_pending(WorkerKind kind, int id)
{
	const PendingRequest *last = requests.pending == NIL ? NULL : llast(requests.pending);

	return last != NULL && last->kind == kind && last->id == id && !last->stop &&
		last->subxact == GetCurrentSubTransactionId();
}

void
gepa_worker_start_job_at_commit(const StoreJob *job)
{
	if (gepa_worker_slots_available() && !is_last_pending(WORKER_KIND_JOB, job->job))
		add_pending(WORKER_KIND_JOB, job->job, job->workers, job->owner, false);
}

void
gepa_worker_stop_job(int job, bool at_commit)
{
	ask_to_stop(WORKER_KIND_JOB, job, at_commit);
}

/*
 * Waiting for a change of a row
 */

void
gepa_worker_announce_change(int run)
{
	if (requests.changes == NULL)
		return;
	pg_atomic_fetch_add_u64(&requests.changes->count, 1);
	ConditionVariableBroadcast(&requests.changes->changed);
}

void
gepa_worker_wait_change(int run, int timeout_ms)
{
	if (requests.changes == NULL)
	{
		gepa_wait_sleep(NULL, timeout_ms, GEPA_WAIT_RUN_CHANGE);
		return;
	}
	ConditionVariablePrepareToSleep(&requests.changes->changed);
	if (pg_atomic_read_u64(&requests.changes->count) == requests.changes_seen)
		gepa_wait_sleep(&requests.changes->changed, timeout_ms, GEPA_WAIT_RUN_CHANGE);
	ConditionVariableCancelSleep();
	requests.changes_seen = pg_atomic_read_u64(&requests.changes->count);
	CHECK_FOR_INTERRUPTS();
}
