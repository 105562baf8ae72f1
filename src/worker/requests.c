/*-------------------------------------------------------------------------
 *
 * requests.c
 *	  Run slots in shared memory: who wants a worker, who is at work.
 *
 * Actors.  Backends ask for a worker, or for a stop, when their transaction
 * commits.  Scouts enter the runs that a restart interrupted.  The launcher
 * claims slots that are due and starts workers.  A run worker takes its slot
 * over, watches the stop flag, and leaves the slot when it exits.
 *
 * The tables say what a run is; a slot only says that somebody should look.
 * So a slot may be lost (crash restart, table full) or be there in vain
 * (dropped database, run that has ended) without harm: a worker reads the row
 * first.  When the table is full, "overflow" makes the launcher
 * scout all databases again once there is room.
 *
 * Locking: the LWLock of tranche "GepaWorkers" protects everything but the
 * counter and the condition variable by which waiting backends are woken.
 * Nothing but memory is touched while it is held.
 *
 * Life of a slot is drawn in docs/workers.md.  Latches are those of PGPROC
 * entries, which are shared memory; setting that of a process that is gone
 * wakes somebody in vain.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/wait.h"
#include "worker/worker_schedule.h"

/* A worker that was started but did not come up in this time never will. */
#define STARTING_PATIENCE_MS 60000

/* Back-off after a worker's death. */
#define FIRST_RETRY_MS 1000
#define LAST_RETRY_MS 60000

/* A worker that lived this long died of something else than its start. */
#define GOOD_LIFE_MS 60000

/* So many workers in a row that could not connect: the next one says so. */
#define MOST_REFUSALS 3

typedef enum SlotState
{
	SLOT_FREE,					/* -> WAITING */
	SLOT_WAITING,				/* -> STARTING, FREE */
	SLOT_STARTING,				/* -> WORKING, WAITING, FREE */
	SLOT_WORKING				/* -> FREE, WAITING */
} SlotState;

typedef struct RunSlot
{
	SlotState	state;
	Oid			database;
	Oid			owner;
	int			run;
	int			pid;			/* WORKING */
	Latch	   *latch;			/* WORKING */
	bool		stop_requested;
	bool		asked_again;	/* while WORKING: look once more after it */
	uint32		claim;			/* counts claims, to tell them apart */
	int			failures;		/* deaths in a row */
	int			refusals;		/* ... of workers that could not connect */
	TimestampTz due;			/* WAITING: not before; STARTING, WORKING:
								 * since */
} RunSlot;

typedef struct Requests
{
	pg_atomic_uint64 changes;	/* counts announcements */
	ConditionVariable changed;
	Latch	   *launcher;
	bool		overflow;
	Oid			scouted[WORKER_NSCOUTS];	/* by scouts that have done their
											 * work */
	RunSlot		slots[WORKER_NSLOTS];
} Requests;

/* What this backend's transaction asks for when it commits. */
typedef struct PendingRequest
{
	SubTransactionId subxact;	/* that asks; its parent once it is over */
	int			run;
	Oid			owner;
	bool		stop;			/* else start */
} PendingRequest;

static struct
{
	Requests   *shared;			/* NULL = not preloaded */
	LWLock	   *lock;
	shmem_request_hook_type prev_request_hook;
	shmem_startup_hook_type prev_startup_hook;
	bool		callback_registered;
	List	   *pending;		/* in TopTransactionContext */
	uint64		changes_seen;
	int			my_slot;		/* run worker; -1 = none */
	bool		connected;
	bool		my_run_done;
}			requests = {.my_slot = -1};

/*
 * Set-up
 */

static void
request_shmem(void)
{
	if (requests.prev_request_hook)
		requests.prev_request_hook();
	RequestAddinShmemSpace(sizeof(Requests));
	RequestNamedLWLockTranche("GepaWorkers", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	if (requests.prev_startup_hook)
		requests.prev_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	requests.shared = ShmemInitStruct("gepa run slots", sizeof(Requests), &found);
	if (!found)
	{
		memset(requests.shared, 0, sizeof(Requests));
		pg_atomic_init_u64(&requests.shared->changes, 0);
		ConditionVariableInit(&requests.shared->changed);
	}
	requests.lock = &(GetNamedLWLockTranche("GepaWorkers"))->lock;
	LWLockRelease(AddinShmemInitLock);
}

void
gepa_worker_requests_init(void)
{
	requests.prev_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	requests.prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

bool
gepa_worker_requests_available(void)
{
	return requests.shared != NULL;
}

/*
 * Slots; the lock is held
 */

static RunSlot *
find_slot(Oid database, int run)
{
	for (int i = 0; i < WORKER_NSLOTS; i++)
	{
		RunSlot    *slot = &requests.shared->slots[i];

		if (slot->state != SLOT_FREE && slot->database == database && slot->run == run)
			return slot;
	}
	return NULL;
}

static RunSlot *
find_free_slot(void)
{
	for (int i = 0; i < WORKER_NSLOTS; i++)
		if (requests.shared->slots[i].state == SLOT_FREE)
			return &requests.shared->slots[i];
	return NULL;
}

static void
wake_launcher(void)
{
	if (requests.shared->launcher != NULL)
		SetLatch(requests.shared->launcher);
}

void
gepa_worker_wake_launcher(void)
{
	LWLockAcquire(requests.lock, LW_SHARED);
	wake_launcher();
	LWLockRelease(requests.lock);
}

static int
retry_delay_ms(int failures)
{
	int			delay = FIRST_RETRY_MS;

	for (int i = 1; i < failures && delay < LAST_RETRY_MS; i++)
		delay *= 2;
	return Min(delay, LAST_RETRY_MS);
}

static void
schedule(RunSlot *slot, int delay_ms)
{
	slot->state = SLOT_WAITING;
	slot->pid = 0;
	slot->latch = NULL;
	slot->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay_ms);
}

bool
gepa_worker_add_request(Oid database, int run, Oid owner, bool resumed)
{
	RunSlot    *slot;
	bool		added = true;

	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	slot = find_slot(database, run);
	if (slot != NULL && resumed)
	{
		/* Perhaps its worker is on its way out. */
		slot->stop_requested = false;
		slot->asked_again = true;
		slot->owner = owner;
		if (slot->state == SLOT_WAITING)
			schedule(slot, 0);
	}
	else if (slot == NULL && (slot = find_free_slot()) != NULL)
	{
		memset(slot, 0, sizeof(RunSlot));
		slot->database = database;
		slot->run = run;
		slot->owner = owner;
		schedule(slot, 0);
	}
	else if (slot == NULL)
	{
		requests.shared->overflow = true;
		added = false;
	}
	wake_launcher();
	LWLockRelease(requests.lock);
	return added;
}

bool
gepa_worker_is_known(int run)
{
	bool		known;

	if (requests.shared == NULL)
		return false;
	LWLockAcquire(requests.lock, LW_SHARED);
	known = find_slot(MyDatabaseId, run) != NULL;
	LWLockRelease(requests.lock);
	return known;
}

static void
request_stop(int run)
{
	RunSlot    *slot;

	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId, run);
	if (slot != NULL)
	{
		slot->stop_requested = true;
		if (slot->latch != NULL)
			SetLatch(slot->latch);
		/* Nobody wants to sit out the delay after a failed start. */
		if (slot->state == SLOT_WAITING)
			schedule(slot, 0);
		wake_launcher();
	}
	LWLockRelease(requests.lock);
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

		if (request->stop)
			request_stop(request->run);
		else
			(void) gepa_worker_add_request(MyDatabaseId, request->run, request->owner, true);
		gepa_worker_announce_change(request->run);
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
					 errmsg("cannot PREPARE a transaction that has started, stopped or resumed a gepa run"),
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
add_pending(int run, Oid owner, bool stop)
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
	request->run = run;
	request->owner = owner;
	request->stop = stop;
	requests.pending = lappend(requests.pending, request);
	MemoryContextSwitchTo(old);
}

void
gepa_worker_start_at_commit(int run, Oid owner)
{
	if (requests.shared != NULL)
		add_pending(run, owner, false);
}

void
gepa_worker_stop_run(int run, bool at_commit)
{
	if (requests.shared == NULL)
		return;
	if (at_commit)
		add_pending(run, InvalidOid, true);
	else
		request_stop(run);
}

/*
 * Waiting for a change of a row.  The counter closes the gap between looking
 * at the row and going to sleep.
 */

void
gepa_worker_announce_change(int run)
{
	if (requests.shared == NULL)
		return;
	pg_atomic_fetch_add_u64(&requests.shared->changes, 1);
	ConditionVariableBroadcast(&requests.shared->changed);
}

void
gepa_worker_wait_change(int run, int timeout_ms)
{
	if (requests.shared == NULL)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 timeout_ms, gepa_wait_event(GEPA_WAIT_RUN_CHANGE));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		return;
	}
	ConditionVariablePrepareToSleep(&requests.shared->changed);
	while (pg_atomic_read_u64(&requests.shared->changes) == requests.changes_seen)
	{
		if (ConditionVariableTimedSleep(&requests.shared->changed, timeout_ms,
										gepa_wait_event(GEPA_WAIT_RUN_CHANGE)))
			break;
	}
	ConditionVariableCancelSleep();
	requests.changes_seen = pg_atomic_read_u64(&requests.shared->changes);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Launcher
 */

void
gepa_worker_set_launcher(Latch *latch)
{
	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	requests.shared->launcher = latch;
	LWLockRelease(requests.lock);
}

bool
gepa_worker_take_overflow(void)
{
	bool		overflow;

	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	overflow = requests.shared->overflow && find_free_slot() != NULL;
	if (overflow)
		requests.shared->overflow = false;
	LWLockRelease(requests.lock);
	return overflow;
}

void
gepa_worker_report_scouted(int place, Oid database)
{
	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	requests.shared->scouted[place] = database;
	LWLockRelease(requests.lock);
}

bool
gepa_worker_take_scouted(int place, Oid database)
{
	bool		scouted;

	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	scouted = requests.shared->scouted[place] == database;
	requests.shared->scouted[place] = InvalidOid;
	LWLockRelease(requests.lock);
	return scouted;
}

/* Milliseconds until a slot wants attention; 0 = now. */
static int
time_to_due(RunSlot *slot, TimestampTz now)
{
	TimestampTz due = slot->due;

	if (slot->state == SLOT_STARTING)
		due = TimestampTzPlusMilliseconds(due, STARTING_PATIENCE_MS);
	return (int) TimestampDifferenceMilliseconds(now, due);
}

bool
gepa_worker_claim(int max, WorkerRunArgs *args, int *wait_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	RunSlot    *best = NULL;
	int			busy = 0;

	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	for (int i = 0; i < WORKER_NSLOTS; i++)
	{
		RunSlot    *slot = &requests.shared->slots[i];

		/* Its handle may be gone with an earlier launcher. */
		if (slot->state == SLOT_STARTING && time_to_due(slot, now) <= 0)
			schedule(slot, retry_delay_ms(++slot->failures));
		busy += (slot->state == SLOT_STARTING || slot->state == SLOT_WORKING);
		if (slot->state == SLOT_WAITING && time_to_due(slot, now) > 0)
			*wait_ms = Min(*wait_ms, time_to_due(slot, now));
		else if (slot->state == SLOT_WAITING && (best == NULL || slot->due < best->due))
			best = slot;
	}
	/* When all are busy, the exit of one of them wakes the launcher. */
	if (busy >= max)
		best = NULL;
	if (best != NULL)
	{
		best->state = SLOT_STARTING;
		best->due = now;
		best->asked_again = false;
		best->claim++;
		memset(args, 0, sizeof(WorkerRunArgs));
		args->database = best->database;
		args->owner = best->owner;
		args->run = best->run;
		args->slot = (int) (best - requests.shared->slots);
		args->claim = best->claim;
		args->shut_out = best->refusals >= MOST_REFUSALS;
	}
	LWLockRelease(requests.lock);
	return best != NULL;
}

/* The slot if it still is what args say; the lock is held. */
static RunSlot *
claimed_slot(const WorkerRunArgs *args)
{
	RunSlot    *slot = &requests.shared->slots[args->slot];

	if (slot->state == SLOT_STARTING && slot->database == args->database &&
		slot->run == args->run && slot->claim == args->claim)
		return slot;
	return NULL;
}

void
gepa_worker_unclaim(const WorkerRunArgs *args, int retry_ms)
{
	RunSlot    *slot;

	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	slot = claimed_slot(args);
	if (slot != NULL)
		schedule(slot, retry_ms > 0 ? retry_ms : retry_delay_ms(++slot->failures));
	LWLockRelease(requests.lock);
}

void
gepa_worker_forget(const WorkerRunArgs *args)
{
	RunSlot    *slot;

	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	slot = claimed_slot(args);
	if (slot != NULL)
		memset(slot, 0, sizeof(RunSlot));
	LWLockRelease(requests.lock);
}

/*
 * Run worker
 */

/* An ERROR may have struck while a lock was held. */
static void
leave_slot(int code, Datum arg)
{
	RunSlot    *slot = &requests.shared->slots[requests.my_slot];

	LWLockReleaseAll();
	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	if (requests.my_run_done && slot->asked_again)
	{
		slot->failures = slot->refusals = 0;
		schedule(slot, 0);
	}
	else if (requests.my_run_done)
		memset(slot, 0, sizeof(RunSlot));
	else
	{
		if (TimestampDifferenceExceeds(slot->due, GetCurrentTimestamp(), GOOD_LIFE_MS))
			slot->failures = 0;
		slot->refusals = requests.connected ? 0 : slot->refusals + 1;
		slot->failures++;
		schedule(slot, slot->refusals == MOST_REFUSALS ? 0 : retry_delay_ms(slot->failures));
	}
	wake_launcher();
	LWLockRelease(requests.lock);
}

bool
gepa_worker_attach(const WorkerRunArgs *args)
{
	RunSlot    *slot;

	LWLockAcquire(requests.lock, LW_EXCLUSIVE);
	slot = claimed_slot(args);
	if (slot != NULL)
	{
		slot->state = SLOT_WORKING;
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		slot->due = GetCurrentTimestamp();
		requests.my_slot = args->slot;
	}
	LWLockRelease(requests.lock);
	if (slot == NULL)
		return false;
	before_shmem_exit(leave_slot, (Datum) 0);
	return true;
}

void
gepa_worker_mark_connected(void)
{
	requests.connected = true;
}

bool
gepa_worker_stop_requested(void)
{
	bool		requested;

	LWLockAcquire(requests.lock, LW_SHARED);
	requested = requests.shared->slots[requests.my_slot].stop_requested;
	LWLockRelease(requests.lock);
	return requested;
}

void
gepa_worker_mark_done(void)
{
	requests.my_run_done = true;
	gepa_worker_timetable_run_ended(requests.shared->slots[requests.my_slot].run);
}
