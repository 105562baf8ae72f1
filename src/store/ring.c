/*-------------------------------------------------------------------------
 *
 * ring.c
 *	  Shared memory in which verdicts wait for their writer.
 *
 * Actors: backends put entries; the verdict writer of a database takes them
 * in batches, commits, and frees them; the launcher starts a writer where
 * entries wait without one.
 *
 * An entry is a chain of fixed slots.  A slot is FREE, part of a READY entry,
 * or part of a TAKEN one (a writer has it in an open transaction).  READY and
 * TAKEN entries can be found by their key, so a verdict that was handed over
 * is never paid for again while it waits.
 *
 * Locking: one LWLock (tranche "GepaRing") protects every field below;
 * copying a few kB under it is short beside the call that was paid.  The
 * condition variable "space" wakes backends that found the ring full: they
 * wait (back-pressure), and only when no writer makes room for
 * RING_PATIENCE_MS do they give up and leave the verdict to the caller.
 *
 * A transaction that handed verdicts over waits before its commit until they
 * are written, so that whoever sees it committed finds them in the table.
 * After a rollback or a cancel nobody waits; the writer writes all the same.
 *
 * Crash: shared memory is made anew, what waits in the ring is lost.  A
 * writer that exits gives its TAKEN entries back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/settings.h"
#include "store/store_internal.h"

#define RING_SLOT_DATA 1920
#define RING_MAX_WRITERS 64
#define RING_PATIENCE_MS 10000

/* How long a commit waits for the writer, who may have to be started. */
#define COMMIT_PATIENCE_MS 3000

typedef enum RingState
{
	RING_FREE,					/* -> READY */
	RING_READY,					/* -> TAKEN */
	RING_TAKEN					/* -> FREE, or READY if its writer exits */
} RingState;

typedef struct RingSlot
{
	RingState	state;
	bool		head;			/* first slot of an entry */
	int			next;			/* next slot of the entry, -1 = last */
	Oid			database;
	int			backend;		/* pid of who handed it over */
	int			writer;			/* pid, while TAKEN */
	uint64		number;			/* order of arrival */
	int			length;			/* of the whole entry, in the head */
	uint8		verdict_digest[JUDGE_DIGEST_LENGTH];
	uint8		digest[JUDGE_DIGEST_LENGTH];
	char		data[RING_SLOT_DATA];
} RingSlot;

typedef struct RingWriter
{
	Oid			database;		/* InvalidOid = unused */
	int			pid;
	Latch	   *latch;
} RingWriter;

typedef struct Ring
{
	ConditionVariable space;	/* has its own lock */
	Latch	   *launcher;
	uint64		next_number;
	int			nslots;
	int			nfree;
	RingWriter	writers[RING_MAX_WRITERS];
	RingSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} Ring;

static Ring *ring = NULL;
static LWLock *ring_lock = NULL;
static bool unwritten = false;	/* this transaction handed something over */
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/*
 * Set-up
 */

static int
slot_count(void)
{
	return (int) (((Size) gepa_verdict_ring_size * 1024) / sizeof(RingSlot));
}

static Size
ring_size(void)
{
	return add_size(offsetof(Ring, slots), mul_size(slot_count(), sizeof(RingSlot)));
}

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(ring_size());
	RequestNamedLWLockTranche("GepaRing", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	ring = ShmemInitStruct("gepa verdict ring", ring_size(), &found);
	if (!found)
	{
		memset(ring, 0, ring_size());
		ConditionVariableInit(&ring->space);
		ring->nslots = ring->nfree = slot_count();
	}
	ring_lock = &(GetNamedLWLockTranche("GepaRing"))->lock;
	LWLockRelease(AddinShmemInitLock);
}

void
gepa_store_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

bool
gepa_store_ring_available(void)
{
	return ring != NULL && !RecoveryInProgress();
}

void
gepa_store_ring_set_launcher(Latch *latch)
{
	if (ring == NULL)
		return;
	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	ring->launcher = latch;
	LWLockRelease(ring_lock);
}

/*
 * Entries; the lock is held
 */

static int
find_free(int from)
{
	for (int i = from; i < ring->nslots; i++)
		if (ring->slots[i].state == RING_FREE)
			return i;
	elog(ERROR, "verdict ring has fewer free slots than it counts");
	return -1;
}

static void
fill_entry(const StoreVerdict *verdict, const StringInfo bytes)
{
	int			previous = -1;
	int			at = -1;

	for (int done = 0; done < bytes->len; done += RING_SLOT_DATA)
	{
		RingSlot   *slot;

		at = find_free(at + 1);
		slot = &ring->slots[at];
		slot->state = RING_READY;
		slot->head = (previous < 0);
		slot->next = -1;
		slot->database = MyDatabaseId;
		slot->backend = MyProcPid;
		slot->writer = 0;
		if (previous >= 0)
			ring->slots[previous].next = at;
		else
		{
			slot->number = ring->next_number++;
			slot->length = bytes->len;
			memcpy(slot->verdict_digest, verdict->verdict_digest, JUDGE_DIGEST_LENGTH);
			memcpy(slot->digest, verdict->digest, JUDGE_DIGEST_LENGTH);
		}
		memcpy(slot->data, bytes->data + done,
			   Min(RING_SLOT_DATA, bytes->len - done));
		ring->nfree--;
		previous = at;
	}
}

static char *
copy_entry(const RingSlot *slot, int *length)
{
	char	   *data = palloc(slot->length);
	int			done = 0;

	*length = slot->length;
	for (;;)
	{
		int			part = Min(RING_SLOT_DATA, *length - done);

		memcpy(data + done, slot->data, part);
		done += part;
		if (slot->next < 0)
			break;
		slot = &ring->slots[slot->next];
	}
	return data;
}

static void
set_entry_state(RingSlot *slot, RingState state, int writer)
{
	for (;;)
	{
		int			next = slot->next;

		slot->state = state;
		slot->writer = writer;
		if (state == RING_FREE)
			ring->nfree++;
		if (next < 0)
			break;
		slot = &ring->slots[next];
	}
}

static void
wake_writer(Oid database)
{
	for (int i = 0; i < RING_MAX_WRITERS; i++)
	{
		if (ring->writers[i].database == database)
		{
			SetLatch(ring->writers[i].latch);
			return;
		}
	}
	if (ring->launcher != NULL)
		SetLatch(ring->launcher);
}

/*
 * Backends
 */

static bool
try_put(const StoreVerdict *verdict, const StringInfo bytes, int needed)
{
	bool		done = false;

	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	if (ring->nfree >= needed)
	{
		fill_entry(verdict, bytes);
		done = true;
	}
	wake_writer(MyDatabaseId);
	LWLockRelease(ring_lock);
	return done;
}

static bool
has_own_entries(void)
{
	bool		found = false;

	LWLockAcquire(ring_lock, LW_SHARED);
	for (int i = 0; i < ring->nslots && ring->nfree < ring->nslots && !found; i++)
		found = ring->slots[i].state != RING_FREE && ring->slots[i].head &&
			ring->slots[i].backend == MyProcPid;
	LWLockRelease(ring_lock);
	return found;
}

static void
wait_written(XactEvent event, void *arg)
{
	TimestampTz start;

	if (!unwritten)
		return;
	unwritten = false;
	if (event != XACT_EVENT_PRE_COMMIT)
		return;
	start = GetCurrentTimestamp();
	ConditionVariablePrepareToSleep(&ring->space);
	while (has_own_entries() &&
		   !TimestampDifferenceExceeds(start, GetCurrentTimestamp(), COMMIT_PATIENCE_MS))
		(void) ConditionVariableTimedSleep(&ring->space, 100, PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
}

static void
note_unwritten(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(wait_written, NULL);
	registered = true;
	unwritten = true;
}

/*
 * Returns false when there is no ring, or when it stayed full: then the
 * caller keeps the verdict.
 */
bool
gepa_store_ring_put(const StoreVerdict *verdict)
{
	StringInfoData bytes;
	TimestampTz start;
	int			needed;
	bool		done;

	if (!gepa_store_ring_available())
		return false;
	initStringInfo(&bytes);
	gepa_store_pack(&bytes, verdict);
	needed = (bytes.len + RING_SLOT_DATA - 1) / RING_SLOT_DATA;
	done = needed <= ring->nslots && try_put(verdict, &bytes, needed);
	if (!done && needed <= ring->nslots)
	{
		start = GetCurrentTimestamp();
		ConditionVariablePrepareToSleep(&ring->space);
		while (!(done = try_put(verdict, &bytes, needed)) &&
			   !TimestampDifferenceExceeds(start, GetCurrentTimestamp(), RING_PATIENCE_MS))
			(void) ConditionVariableTimedSleep(&ring->space, 100, PG_WAIT_EXTENSION);
		ConditionVariableCancelSleep();
		if (!done)
			ereport(WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("verdict writer does not keep up; this verdict is stored by the query itself"),
					 errhint("Check the server log for the gepa verdict writer, max_worker_processes and gepa.verdict_ring_size.")));
	}
	pfree(bytes.data);
	if (done)
		note_unwritten();
	return done;
}

bool
gepa_store_ring_find(const uint8 *verdict_digest, const uint8 *digest,
					 JudgeVerdict *verdict)
{
	char	   *data = NULL;
	int			length = 0;
	StoreVerdict stored;

	if (ring == NULL)
		return false;
	LWLockAcquire(ring_lock, LW_SHARED);
	for (int i = 0; i < ring->nslots && ring->nfree < ring->nslots; i++)
	{
		RingSlot   *slot = &ring->slots[i];

		if (slot->state == RING_FREE || !slot->head || slot->database != MyDatabaseId)
			continue;
		if (memcmp(slot->digest, digest, JUDGE_DIGEST_LENGTH) != 0 ||
			memcmp(slot->verdict_digest, verdict_digest, JUDGE_DIGEST_LENGTH) != 0)
			continue;
		data = copy_entry(slot, &length);
		gepa_store_unpack(data, length, &stored);
		if (stored.verdict.status == GEPA_STATUS_OK)
			break;
		data = NULL;			/* failures are tried again */
	}
	LWLockRelease(ring_lock);
	if (data == NULL)
		return false;
	*verdict = stored.verdict;
	return true;
}

/*
 * Launcher
 */

static bool
has_writer(Oid database)
{
	for (int i = 0; i < RING_MAX_WRITERS; i++)
		if (ring->writers[i].database == database)
			return true;
	return false;
}

int
gepa_store_ring_databases(Oid *databases, int max)
{
	int			n = 0;

	if (ring == NULL)
		return 0;
	LWLockAcquire(ring_lock, LW_SHARED);
	for (int i = 0; i < ring->nslots && n < max; i++)
	{
		RingSlot   *slot = &ring->slots[i];
		bool		known = false;

		if (slot->state != RING_READY || !slot->head)
			continue;
		for (int k = 0; k < n && !known; k++)
			known = databases[k] == slot->database;
		if (!known && !has_writer(slot->database))
			databases[n++] = slot->database;
	}
	LWLockRelease(ring_lock);
	return n;
}

/*
 * Writers
 */

/* Move all entries of this writer to a state; the lock is held. */
static void
release_taken(RingState state)
{
	for (int i = 0; i < ring->nslots; i++)
	{
		RingSlot   *slot = &ring->slots[i];

		if (slot->state == RING_TAKEN && slot->head && slot->writer == MyProcPid)
			set_entry_state(slot, state, 0);
	}
}

static void
detach_writer(int code, Datum arg)
{
	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	release_taken(RING_READY);
	for (int i = 0; i < RING_MAX_WRITERS; i++)
		if (ring->writers[i].pid == MyProcPid)
			memset(&ring->writers[i], 0, sizeof(RingWriter));
	if (ring->launcher != NULL)
		SetLatch(ring->launcher);
	LWLockRelease(ring_lock);
}

bool
gepa_store_ring_attach(Oid database)
{
	RingWriter *free_writer = NULL;

	if (ring == NULL)
		return false;
	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	for (int i = 0; i < RING_MAX_WRITERS && !has_writer(database); i++)
	{
		if (OidIsValid(ring->writers[i].database))
			continue;
		free_writer = &ring->writers[i];
		free_writer->database = database;
		free_writer->pid = MyProcPid;
		free_writer->latch = MyLatch;
	}
	LWLockRelease(ring_lock);
	if (free_writer == NULL)
		return false;
	before_shmem_exit(detach_writer, (Datum) 0);
	return true;
}

int
gepa_store_ring_take(StoreVerdict *verdicts, int max)
{
	int			n = 0;

	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	for (int i = 0; i < ring->nslots && n < max; i++)
	{
		RingSlot   *slot = &ring->slots[i];
		char	   *data;
		int			length;

		if (slot->state != RING_READY || !slot->head || slot->database != MyDatabaseId)
			continue;
		data = copy_entry(slot, &length);
		gepa_store_unpack(data, length, &verdicts[n++]);
		set_entry_state(slot, RING_TAKEN, MyProcPid);
	}
	LWLockRelease(ring_lock);
	return n;
}

void
gepa_store_ring_done(void)
{
	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	release_taken(RING_FREE);
	LWLockRelease(ring_lock);
	ConditionVariableBroadcast(&ring->space);
}
