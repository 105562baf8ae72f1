/*-------------------------------------------------------------------------
 *
 * slots.c
 *	  Slots in shared memory: what wants a worker, and which are at work.
 *
 * Actors.  Backends enter runs, schedules and sweeps when the transaction that made
 * or changed them commits (requests.c, timetable.c); scouts enter those that
 * were there when the server started.  The launcher claims slots that are due
 * and starts workers.  A worker takes its slot over, watches the stop flag,
 * and leaves the slot when it exits.
 *
 * The tables say what a run, schedule or sweep is; a slot only says that somebody
 * should look, and when.  So a slot may be lost (crash restart, no slot left)
 * or be there in vain (dropped database, run that has ended) without harm: a
 * worker reads the row first.  When a wish found no slot, "overflow" makes the
 * launcher scout all databases again once there is room.  What changes while
 * a worker is looking makes it be looked at once more, so no change is
 * overlooked.
 *
 * Locking: the LWLock of tranche "GepaWorkers" protects everything here.
 * Nothing but memory is touched while it is held, no other lock is taken.
 *
 * Life of a slot is drawn in docs/workers.md.  Latches are those of PGPROC
 * entries, which are shared memory; setting that of a process that is gone
 * wakes somebody in vain.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#include "base/shmem.h"
#include "worker/worker_internal.h"

/* A worker that was started but did not come up in this time never will. */
#define STARTING_PATIENCE_MS 60000

/* The longest pause after a worker's death. */
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

typedef struct Slot
{
	SlotState	state;
	Oid			database;
	Oid			owner;
	int			id;
	int			part;			/* which of a job's workers, else 0 */
	int			awaits;			/* a run whose end makes it due, or
								 * WORKER_ANY_RUN; 0 = none */
	Latch	   *latch;			/* WORKING */
	int			pid;			/* ... */
	int			in_flight;		/* ... calls; written without the lock */
	bool		stop_requested;
	bool		changed;		/* since it was claimed: look once more */
	uint32		claim;			/* counts claims, to tell them apart */
	int			failures;		/* deaths in a row */
	int			refusals;		/* ... of workers that could not connect */
	TimestampTz due;			/* WAITING: not before; STARTING, WORKING:
								 * since */
} Slot;

typedef struct Slots
{
	Latch	   *launcher;
	bool		overflow[WORKER_NKINDS];
	Slot		slots[WORKER_NRUNS + WORKER_NSCHEDULES + WORKER_NSWEEPS + WORKER_NJOBS];
} Slots;

/* Where the slots of a kind begin, and how many they are. */
static const struct
{
	int			first;
	int			n;
}			places[WORKER_NKINDS] = {
	[WORKER_KIND_RUN] = {0, WORKER_NRUNS},
	[WORKER_KIND_SCHEDULE] = {WORKER_NRUNS, WORKER_NSCHEDULES},
	[WORKER_KIND_SWEEP] = {WORKER_NRUNS + WORKER_NSCHEDULES, WORKER_NSWEEPS},
	[WORKER_KIND_JOB] = {WORKER_NRUNS + WORKER_NSCHEDULES + WORKER_NSWEEPS, WORKER_NJOBS}
};

static Slots *shared = NULL;	/* NULL = not preloaded */
static LWLock *lock = NULL;

/* A worker's own slot, and what is to become of it. */
static struct
{
	Slot	   *slot;
	bool		connected;
	bool		done;			/* else its exit is a death */
	TimestampTz next;			/* 0 = never */
	int			awaits;
}			mine;

/*
 * Set-up
 */

static Size
shmem_size(void)
{
	return sizeof(Slots);
}

static void
attach(void *memory, LWLock *its_lock, bool made)
{
	shared = memory;
	lock = its_lock;
}

void
gepa_worker_slots_init(void)
{
	static const GepaShmem area = {
		.name = "gepa worker slots",
		.tranche = "GepaWorkers",
		.size = shmem_size,
		.attach = attach
	};

	gepa_shmem_add(&area);
}

bool
gepa_worker_slots_available(void)
{
	return shared != NULL;
}

void
gepa_worker_set_launcher(Latch *latch)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	shared->launcher = latch;
	LWLockRelease(lock);
}

/*
 * Slots; the lock is held
 */

static bool
is_of(const Slot *slot, Oid database, int id)
{
	return slot->state != SLOT_FREE && slot->database == database && slot->id == id;
}

static Slot *
find_slot(WorkerKind kind, Oid database, int id, int part)
{
	for (int i = 0; i < places[kind].n; i++)
	{
		Slot	   *slot = &shared->slots[places[kind].first + i];

		if (is_of(slot, database, id) && slot->part == part)
			return slot;
	}
	return NULL;
}

static Slot *
find_free_slot(WorkerKind kind)
{
	for (int i = 0; i < places[kind].n; i++)
	{
		Slot	   *slot = &shared->slots[places[kind].first + i];

		if (slot->state == SLOT_FREE)
			return slot;
	}
	return NULL;
}

static void
wake_launcher(void)
{
	if (shared->launcher != NULL)
		SetLatch(shared->launcher);
}

static void
wait_until(Slot *slot, TimestampTz due)
{
	slot->state = SLOT_WAITING;
	slot->latch = NULL;
	slot->due = due;
}

static void
wait_ms_from_now(Slot *slot, int ms)
{
	wait_until(slot, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms));
}

/* One more failure; the more in a row, the longer until the next try. */
static void
retry(Slot *slot)
{
	wait_ms_from_now(slot, gepa_worker_backoff_ms(slot->failures++, LAST_RETRY_MS));
}

static Slot *
new_slot(const WorkerWish *wish)
{
	Slot	   *slot = find_free_slot(wish->kind);

	if (slot == NULL)
		return NULL;
	memset(slot, 0, sizeof(Slot));
	slot->database = wish->database;
	slot->id = wish->id;
	slot->part = wish->part;
	slot->owner = wish->owner;
	slot->awaits = wish->awaits;
	wait_until(slot, wish->due);
	return slot;
}

/* Perhaps its worker is on its way out. */
static void
renew_slot(Slot *slot, const WorkerWish *wish)
{
	slot->stop_requested = false;
	slot->changed = true;
	slot->owner = wish->owner;
	if (slot->state != SLOT_WAITING)
		return;

	/* Who read the row may have done so before a run ended: never later. */
	slot->awaits = wish->awaits;
	wait_until(slot, Min(slot->due, wish->due));
}

/*
 * Whoever has a wish
 */

bool
gepa_worker_enter_slot(const WorkerWish *wish)
{
	Slot	   *slot;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = find_slot(wish->kind, wish->database, wish->id, wish->part);
	if (slot == NULL)
		slot = new_slot(wish);
	else if (wish->anew)
		renew_slot(slot, wish);
	if (slot == NULL)
		shared->overflow[wish->kind] = true;
	wake_launcher();
	LWLockRelease(lock);
	return slot != NULL;
}

bool
gepa_worker_has_slot(WorkerKind kind, int id)
{
	bool		has;

	LWLockAcquire(lock, LW_SHARED);
	has = find_slot(kind, MyDatabaseId, id, 0) != NULL;
	LWLockRelease(lock);
	return has;
}

bool
gepa_worker_has_room(WorkerKind kind)
{
	bool		room;

	LWLockAcquire(lock, LW_SHARED);
	room = find_free_slot(kind) != NULL;
	LWLockRelease(lock);
	return room;
}

static void
request_stop(Slot *slot)
{
	slot->stop_requested = true;
	if (slot->latch != NULL)
		SetLatch(slot->latch);
	/* Nobody wants to sit out the delay after a failed start. */
	if (slot->state == SLOT_WAITING)
		wait_ms_from_now(slot, 0);
	wake_launcher();
}

void
gepa_worker_request_stop(WorkerKind kind, int id)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < places[kind].n; i++)
	{
		Slot	   *slot = &shared->slots[places[kind].first + i];

		if (is_of(slot, MyDatabaseId, id))
			request_stop(slot);
	}
	LWLockRelease(lock);
}

/* One of those that are being looked at may just have started the run. */
static void
wake_awaiting(WorkerKind kind, int run)
{
	for (int i = 0; i < places[kind].n; i++)
	{
		Slot	   *slot = &shared->slots[places[kind].first + i];
		bool		awaits = slot->awaits == run || slot->awaits == WORKER_ANY_RUN;

		if (slot->state == SLOT_FREE || slot->database != MyDatabaseId ||
			(!awaits && slot->state == SLOT_WAITING))
			continue;
		slot->changed = true;
		if (slot->state == SLOT_WAITING)
			wait_ms_from_now(slot, 0);
	}
}

void
gepa_worker_wake_awaiting(int run)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	wake_awaiting(WORKER_KIND_SCHEDULE, run);
	wake_awaiting(WORKER_KIND_SWEEP, run);
	wake_launcher();
	LWLockRelease(lock);
}

/*
 * Launcher
 */

bool
gepa_worker_take_overflow(void)
{
	bool		overflow = false;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (WorkerKind kind = 0; kind < WORKER_NKINDS; kind++)
	{
		if (!shared->overflow[kind] || find_free_slot(kind) == NULL)
			continue;
		shared->overflow[kind] = false;
		overflow = true;
	}
	LWLockRelease(lock);
	return overflow;
}

/* Milliseconds until a slot wants attention; 0 = now. */
static int
time_to_due(const Slot *slot, TimestampTz now)
{
	TimestampTz due = slot->due;

	if (slot->state == SLOT_STARTING)
		due = TimestampTzPlusMilliseconds(due, STARTING_PATIENCE_MS);
	return (int) TimestampDifferenceMilliseconds(now, due);
}

/* The slot that has been due for longest; NULL if none is, or max are at work. */
static Slot *
find_due(WorkerKind kind, int max, TimestampTz now, int *wait_ms)
{
	Slot	   *best = NULL;
	int			busy = 0;

	for (int i = 0; i < places[kind].n; i++)
	{
		Slot	   *slot = &shared->slots[places[kind].first + i];

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
	return busy < max ? best : NULL;
}

bool
gepa_worker_claim(WorkerKind kind, int max, WorkerArgs *args, int *wait_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	Slot	   *slot;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = find_due(kind, max, now, wait_ms);
	if (slot != NULL)
	{
		slot->state = SLOT_STARTING;
		slot->due = now;
		slot->changed = false;
		slot->claim++;
		memset(args, 0, sizeof(WorkerArgs));
		args->kind = kind;
		args->database = slot->database;
		args->owner = slot->owner;
		args->id = slot->id;
		args->part = slot->part;
		args->slot = (int) (slot - shared->slots);
		args->claim = slot->claim;
		args->shut_out = slot->refusals >= MOST_REFUSALS;
	}
	LWLockRelease(lock);
	return slot != NULL;
}

/* The slot if it still is what args say; the lock is held. */
static Slot *
claimed_slot(const WorkerArgs *args)
{
	Slot	   *slot = &shared->slots[args->slot];

	if (slot->state == SLOT_STARTING && slot->database == args->database &&
		slot->id == args->id && slot->part == args->part && slot->claim == args->claim)
		return slot;
	return NULL;
}

void
gepa_worker_unclaim(const WorkerArgs *args, int retry_ms)
{
	Slot	   *slot;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = claimed_slot(args);
	if (slot != NULL && retry_ms > 0)
		wait_ms_from_now(slot, retry_ms);
	else if (slot != NULL)
		retry(slot);
	LWLockRelease(lock);
}

void
gepa_worker_forget(const WorkerArgs *args)
{
	Slot	   *slot;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = claimed_slot(args);
	if (slot != NULL)
		memset(slot, 0, sizeof(Slot));
	LWLockRelease(lock);
}

/*
 * Workers
 */

static void
leave_well(Slot *slot)
{
	slot->failures = slot->refusals = 0;
	slot->awaits = mine.awaits;
	/* A stop that was asked for too late for this one is the next one's. */
	if (slot->changed || (slot->stop_requested && mine.next != 0))
		wait_ms_from_now(slot, 0);
	else if (mine.next == 0)
		memset(slot, 0, sizeof(Slot));
	else
		wait_until(slot, mine.next);
}

static void
leave_dead(Slot *slot)
{
	if (TimestampDifferenceExceeds(slot->due, GetCurrentTimestamp(), GOOD_LIFE_MS))
		slot->failures = 0;
	slot->refusals = mine.connected ? 0 : slot->refusals + 1;
	retry(slot);
	if (slot->refusals == MOST_REFUSALS)
		wait_ms_from_now(slot, 0);
}

/* An ERROR may have struck while a lock was held. */
static void
leave_slot(int code, Datum arg)
{
	LWLockReleaseAll();
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (mine.done)
		leave_well(mine.slot);
	else
		leave_dead(mine.slot);
	wake_launcher();
	LWLockRelease(lock);
}

bool
gepa_worker_attach(const WorkerArgs *args)
{
	Slot	   *slot;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = claimed_slot(args);
	if (slot != NULL)
	{
		slot->state = SLOT_WORKING;
		slot->latch = MyLatch;
		slot->pid = MyProcPid;
		slot->in_flight = 0;
		slot->due = GetCurrentTimestamp();
	}
	LWLockRelease(lock);
	if (slot == NULL)
		return false;
	mine.slot = slot;
	before_shmem_exit(leave_slot, (Datum) 0);
	return true;
}

void
gepa_worker_mark_connected(void)
{
	mine.connected = true;
}

bool
gepa_worker_stop_requested(void)
{
	bool		requested;

	LWLockAcquire(lock, LW_SHARED);
	requested = mine.slot->stop_requested;
	LWLockRelease(lock);
	return requested;
}

const volatile bool *
gepa_worker_stop_flag(void)
{
	return &mine.slot->stop_requested;
}

void
gepa_worker_heed_stop(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	mine.slot->stop_requested = false;
	LWLockRelease(lock);
}

/* An int is written at once; who reads it in between sees an older one. */
void
gepa_worker_note_in_flight(int n)
{
	mine.slot->in_flight = n;
}

WorkerAtWork *
gepa_worker_jobs_at_work(int *n)
{
	const Slot *first = shared == NULL ? NULL : &shared->slots[places[WORKER_KIND_JOB].first];
	WorkerAtWork *list = palloc(sizeof(WorkerAtWork) * WORKER_NJOBS);

	*n = 0;
	if (first == NULL)
		return list;
	LWLockAcquire(lock, LW_SHARED);
	for (const Slot *slot = first; slot < first + WORKER_NJOBS; slot++)
	{
		if (slot->state != SLOT_WORKING || slot->database != MyDatabaseId)
			continue;
		list[*n].id = slot->id;
		list[*n].part = slot->part;
		list[*n].pid = slot->pid;
		list[(*n)++].in_flight = slot->in_flight;
	}
	LWLockRelease(lock);
	return list;
}

void
gepa_worker_mark_done(void)
{
	mine.done = true;
	mine.next = 0;
	mine.awaits = 0;
}

void
gepa_worker_mark_next(TimestampTz due, int awaits)
{
	mine.done = true;
	mine.next = due;
	mine.awaits = awaits;
}
