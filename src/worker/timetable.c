/*-------------------------------------------------------------------------
 *
 * timetable.c
 *	  Schedules in shared memory: when the launcher has to have which looked at.
 *
 * The launcher has no database, so it is told: backends enter a schedule when
 * the transaction that made or changed it commits, scouts enter all of them
 * when the launcher starts, and a schedule worker says when to come again.
 *
 * As with runs (requests.c) the tables say what a schedule is; a slot only
 * says that somebody should look, and when.  A slot too early or in vain costs
 * a short-lived worker that finds nothing to do.  What changes while a worker
 * is looking makes it be looked at once more, so no change is overlooked.  A
 * run that ends is such a change: of the schedule that waits for it, and of
 * all that are being looked at, because one of them may just have started it.
 *
 * Locking: the LWLock of tranche "GepaTimetable" protects everything here.
 * Nothing but memory is touched while it is held, no other lock is taken.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/worker_schedule.h"

/* A worker that was started but did not come up in this time never will. */
#define STARTING_PATIENCE_MS 60000

/* Back-off after a worker's death: 1 s, 2 s, ... */
#define FIRST_RETRY_MS 1000
#define LAST_RETRY_MS 60000

typedef enum SlotState
{
	SLOT_FREE,					/* -> WAITING */
	SLOT_WAITING,				/* -> STARTING */
	SLOT_STARTING,				/* -> WORKING, WAITING, FREE */
	SLOT_WORKING				/* -> WAITING, FREE */
} SlotState;

typedef struct ScheduleSlot
{
	SlotState	state;
	Oid			database;
	Oid			owner;
	int			schedule;
	int			run;			/* its end makes the schedule due; 0 = none */
	bool		changed;		/* since it was claimed */
	uint32		claim;			/* counts claims, to tell them apart */
	int			failures;		/* deaths in a row */
	TimestampTz due;			/* WAITING: not before; STARTING: since */
} ScheduleSlot;

typedef struct Timetable
{
	bool		overflow;		/* a schedule found no slot */
	ScheduleSlot slots[WORKER_NSCHEDULES];
} Timetable;

/* What this backend's transaction asks for when it commits. */
typedef struct PendingLook
{
	int			schedule;
	Oid			owner;
	TimestampTz due;
} PendingLook;

static struct
{
	Timetable  *shared;			/* NULL = not preloaded */
	LWLock	   *lock;
	shmem_request_hook_type prev_request_hook;
	shmem_startup_hook_type prev_startup_hook;
	bool		callback_registered;
	List	   *pending;		/* in TopTransactionContext */
	ScheduleSlot *mine;			/* schedule worker */
	bool		done;			/* ... and what is to become of it: */
	bool		gone;
	TimestampTz next;
	int			run;
}			timetable;

/*
 * Set-up
 */

static void
request_shmem(void)
{
	if (timetable.prev_request_hook)
		timetable.prev_request_hook();
	RequestAddinShmemSpace(sizeof(Timetable));
	RequestNamedLWLockTranche("GepaTimetable", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	if (timetable.prev_startup_hook)
		timetable.prev_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	timetable.shared = ShmemInitStruct("gepa timetable", sizeof(Timetable), &found);
	if (!found)
		memset(timetable.shared, 0, sizeof(Timetable));
	timetable.lock = &(GetNamedLWLockTranche("GepaTimetable"))->lock;
	LWLockRelease(AddinShmemInitLock);
}

void
gepa_worker_timetable_init(void)
{
	timetable.prev_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	timetable.prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/*
 * Slots; the lock is held
 */

static ScheduleSlot *
find_slot(Oid database, int schedule)
{
	for (int i = 0; i < WORKER_NSCHEDULES; i++)
	{
		ScheduleSlot *slot = &timetable.shared->slots[i];

		if (slot->state != SLOT_FREE && slot->database == database &&
			slot->schedule == schedule)
			return slot;
	}
	return NULL;
}

static ScheduleSlot *
find_free_slot(void)
{
	for (int i = 0; i < WORKER_NSCHEDULES; i++)
		if (timetable.shared->slots[i].state == SLOT_FREE)
			return &timetable.shared->slots[i];
	return NULL;
}

static void
wait_until(ScheduleSlot *slot, TimestampTz due)
{
	slot->state = SLOT_WAITING;
	slot->due = due;
}

static void
retry(ScheduleSlot *slot)
{
	int			delay = FIRST_RETRY_MS << Min(slot->failures++, 6);

	wait_until(slot, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												 Min(delay, LAST_RETRY_MS)));
}

/* Enter a schedule, or have what is known of it looked at anew. */
static void
enter(Oid database, int schedule, Oid owner, TimestampTz due, int run)
{
	ScheduleSlot *slot;

	LWLockAcquire(timetable.lock, LW_EXCLUSIVE);
	slot = find_slot(database, schedule);
	if (slot == NULL && (slot = find_free_slot()) != NULL)
	{
		memset(slot, 0, sizeof(ScheduleSlot));
		slot->database = database;
		slot->schedule = schedule;
		wait_until(slot, due);
	}
	if (slot == NULL)
		timetable.shared->overflow = true;
	else
	{
		slot->owner = owner;
		slot->changed = true;
		if (slot->state == SLOT_WAITING)
		{
			/* A scout may have read the row before a run ended: never later. */
			slot->run = run;
			wait_until(slot, Min(slot->due, due));
		}
	}
	LWLockRelease(timetable.lock);
	gepa_worker_wake_launcher();
}

bool
gepa_worker_timetable_has_room(void)
{
	bool		room;

	LWLockAcquire(timetable.lock, LW_SHARED);
	room = find_free_slot() != NULL;
	LWLockRelease(timetable.lock);
	return room;
}

/*
 * Who enters: backends at commit, scouts, the ends of runs
 */

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	ListCell   *cell;

	if (timetable.pending == NIL)
		return;
	if (event == XACT_EVENT_PRE_PREPARE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has changed a gepa schedule"),
				 errhint("Use COMMIT.")));
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	if (event == XACT_EVENT_COMMIT)
		foreach(cell, timetable.pending)
	{
		PendingLook *look = lfirst(cell);

		enter(MyDatabaseId, look->schedule, look->owner, look->due, 0);
	}
	timetable.pending = NIL;
}

void
gepa_worker_look_at_commit(int schedule, Oid owner, TimestampTz due)
{
	MemoryContext old;
	PendingLook *look;

	if (timetable.shared == NULL)
		return;
	if (!timetable.callback_registered)
		RegisterXactCallback(at_end_of_transaction, NULL);
	timetable.callback_registered = true;
	old = MemoryContextSwitchTo(TopTransactionContext);
	look = palloc(sizeof(PendingLook));
	look->schedule = schedule;
	look->owner = owner;
	look->due = due;
	timetable.pending = lappend(timetable.pending, look);
	MemoryContextSwitchTo(old);
}

/* When a schedule wants attention, apart from the end of its run. */
static TimestampTz
attention_at(const StoreSchedule *schedule)
{
	if (schedule->outcome == STORE_OUTCOME_STARTED && schedule->settled)
		return GetCurrentTimestamp();
	return schedule->next_at;
}

static int
awaited_run(const StoreSchedule *schedule)
{
	return schedule->outcome == STORE_OUTCOME_STARTED ? schedule->last_run : 0;
}

void
gepa_worker_timetable_add(Oid database, const StoreSchedule *schedule)
{
	enter(database, schedule->schedule, schedule->owner, attention_at(schedule),
		  awaited_run(schedule));
}

void
gepa_worker_timetable_run_ended(int run)
{
	bool		found = false;

	LWLockAcquire(timetable.lock, LW_EXCLUSIVE);
	for (int i = 0; i < WORKER_NSCHEDULES; i++)
	{
		ScheduleSlot *slot = &timetable.shared->slots[i];

		if (slot->state == SLOT_FREE || slot->database != MyDatabaseId ||
			(slot->run != run && slot->state == SLOT_WAITING))
			continue;
		slot->changed = found = true;
		if (slot->state == SLOT_WAITING)
			wait_until(slot, GetCurrentTimestamp());
	}
	LWLockRelease(timetable.lock);
	if (found)
		gepa_worker_wake_launcher();
}

/*
 * Launcher
 */

bool
gepa_worker_timetable_take_overflow(void)
{
	bool		overflow;

	LWLockAcquire(timetable.lock, LW_EXCLUSIVE);
	overflow = timetable.shared->overflow && find_free_slot() != NULL;
	if (overflow)
		timetable.shared->overflow = false;
	LWLockRelease(timetable.lock);
	return overflow;
}

/* Milliseconds until a slot wants attention; 0 = now. */
static int
time_to_due(const ScheduleSlot *slot, TimestampTz now)
{
	TimestampTz due = slot->due;

	if (slot->state == SLOT_STARTING)
		due = TimestampTzPlusMilliseconds(due, STARTING_PATIENCE_MS);
	return (int) TimestampDifferenceMilliseconds(now, due);
}

bool
gepa_worker_timetable_claim(int max, WorkerScheduleArgs *args, int *wait_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	ScheduleSlot *best = NULL;
	int			busy = 0;

	LWLockAcquire(timetable.lock, LW_EXCLUSIVE);
	for (int i = 0; i < WORKER_NSCHEDULES; i++)
	{
		ScheduleSlot *slot = &timetable.shared->slots[i];

		/* Its handle may be gone with an earlier launcher. */
		if (slot->state == SLOT_STARTING && time_to_due(slot, now) <= 0)
			retry(slot);
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
		best->changed = false;
		best->claim++;
		memset(args, 0, sizeof(WorkerScheduleArgs));
		args->database = best->database;
		args->owner = best->owner;
		args->schedule = best->schedule;
		args->slot = (int) (best - timetable.shared->slots);
		args->claim = best->claim;
	}
	LWLockRelease(timetable.lock);
	return best != NULL;
}

/* The slot if it still is what args say; the lock is held. */
static ScheduleSlot *
claimed_slot(const WorkerScheduleArgs *args)
{
	ScheduleSlot *slot = &timetable.shared->slots[args->slot];

	if (slot->state == SLOT_STARTING && slot->database == args->database &&
		slot->schedule == args->schedule && slot->claim == args->claim)
		return slot;
	return NULL;
}

void
gepa_worker_timetable_unclaim(const WorkerScheduleArgs *args, int retry_ms)
{
	ScheduleSlot *slot;

	LWLockAcquire(timetable.lock, LW_EXCLUSIVE);
	slot = claimed_slot(args);
	if (slot != NULL && retry_ms > 0)
		wait_until(slot, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), retry_ms));
	else if (slot != NULL)
		retry(slot);
	LWLockRelease(timetable.lock);
}

void
gepa_worker_timetable_forget(const WorkerScheduleArgs *args)
{
	ScheduleSlot *slot;

	LWLockAcquire(timetable.lock, LW_EXCLUSIVE);
	slot = claimed_slot(args);
	if (slot != NULL)
		memset(slot, 0, sizeof(ScheduleSlot));
	LWLockRelease(timetable.lock);
}

/*
 * Schedule worker
 */

/* An ERROR may have struck while a lock was held. */
static void
leave_slot(int code, Datum arg)
{
	ScheduleSlot *slot = timetable.mine;

	LWLockReleaseAll();
	LWLockAcquire(timetable.lock, LW_EXCLUSIVE);
	slot->run = timetable.run;
	if (!timetable.done)
		retry(slot);
	else if (slot->changed)
		wait_until(slot, GetCurrentTimestamp());
	else if (timetable.gone)
		memset(slot, 0, sizeof(ScheduleSlot));
	else
		wait_until(slot, timetable.next);
	if (timetable.done)
		slot->failures = 0;
	LWLockRelease(timetable.lock);
	gepa_worker_wake_launcher();
}

bool
gepa_worker_timetable_attach(const WorkerScheduleArgs *args)
{
	ScheduleSlot *slot;

	LWLockAcquire(timetable.lock, LW_EXCLUSIVE);
	slot = claimed_slot(args);
	if (slot != NULL)
	{
		slot->state = SLOT_WORKING;
		timetable.mine = slot;
	}
	LWLockRelease(timetable.lock);
	if (slot == NULL)
		return false;
	before_shmem_exit(leave_slot, (Datum) 0);
	return true;
}

void
gepa_worker_timetable_next(const StoreSchedule *schedule)
{
	timetable.done = true;
	timetable.gone = false;
	timetable.next = schedule->next_at;
	timetable.run = awaited_run(schedule);
}

void
gepa_worker_timetable_gone(void)
{
	timetable.done = timetable.gone = true;
}
