/*-------------------------------------------------------------------------
 *
 * ring.c
 *	  Shared memory in which verdicts wait for their writer.
 *
 * Actors: backends put entries; the verdict writer of a database takes them
 * in batches, commits, and frees them, or puts back those that it could not
 * write; the launcher starts a writer where entries wait without one, and
 * frees those of a database that was dropped.
 *
 * An entry is a chain of fixed slots; its first, the head, says what it is.
 * It is READY, or TAKEN while a writer has it in an open transaction.  Both
 * can be found by their key, so a verdict that was handed over is never paid
 * for again while it waits.  One that was put back is not due before a time;
 * it has failures then, and gives way to those that have none.
 *
 * Locking: one LWLock (tranche "GepaRing") protects every field below, but
 * the contents of a TAKEN entry are its writer's alone.  Copying a few kB
 * under it is short beside the call that was paid; nothing is allocated under
 * it, and nobody looks at more than the entries of one bucket for a key.  The
 * condition variable "space" wakes backends that wait for the writer, for room
 * or until it has written: handover.c.
 *
 * Crash: shared memory is made anew, what waits in the ring is lost.  A
 * writer that exits gives its TAKEN entries back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "store/store_internal.h"

#define RING_SLOT_DATA 1920
#define RING_MAX_WRITERS 64

/* Entries that were put back: how many a writer takes at once, how often. */
#define RETRY_BATCH 8
#define RETRY_TURN_MS 1000

typedef enum RingState
{
	RING_READY,					/* -> TAKEN, or freed with its database */
	RING_TAKEN					/* -> freed, or READY */
} RingState;

typedef struct RingSlot
{
	int			next;			/* of the entry, or free; -1 = last */

	/* The rest but data is that of the head. */
	RingState	state;
	dlist_node	by_age;			/* in ring->entries */
	dlist_node	by_key;			/* in its bucket */
	Oid			database;
	int			backend;		/* pid of who handed it over */
	int			writer;			/* pid, while TAKEN */
	bool		ok;				/* a verdict, not a failure */
	int			failures;		/* how often it was put back */
	TimestampTz due;			/* not to be taken before; 0 = at once */
	int			length;			/* of the whole entry */
	uint8		account[JUDGE_DIGEST_LENGTH];
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
	int			nslots;
	int			nfree;
	int			first_free;
	dlist_head	entries;		/* heads in order of arrival, or return */
	dlist_head *buckets;		/* heads by digest, as many as slots */
	RingWriter	writers[RING_MAX_WRITERS];
	RingSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} Ring;

static Ring *ring = NULL;
static LWLock *ring_lock = NULL;
static TimestampTz retried_at = 0;	/* writer: last turn of what was put back */
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
slots_size(void)
{
	return add_size(offsetof(Ring, slots), mul_size(slot_count(), sizeof(RingSlot)));
}

static Size
buckets_size(void)
{
	return mul_size(slot_count(), sizeof(dlist_head));
}

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(add_size(slots_size(), buckets_size()));
	RequestNamedLWLockTranche("GepaRing", 1);
}

static void
make_ring(dlist_head *buckets)
{
	memset(ring, 0, slots_size());
	ConditionVariableInit(&ring->space);
	dlist_init(&ring->entries);
	ring->nslots = ring->nfree = slot_count();
	ring->buckets = buckets;
	for (int i = 0; i < ring->nslots; i++)
	{
		dlist_init(&buckets[i]);
		ring->slots[i].next = i + 1 < ring->nslots ? i + 1 : -1;
	}
}

static void
startup_shmem(void)
{
	dlist_head *buckets;
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	buckets = ShmemInitStruct("gepa verdict ring index", buckets_size(), &found);
	ring = ShmemInitStruct("gepa verdict ring", slots_size(), &found);
	if (!found)
		make_ring(buckets);
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
	gepa_store_lease_init();
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

static dlist_head *
bucket(const uint8 *digest)
{
	uint32		hash;

	/* A part of a SHA-256 is as good a hash as any. */
	memcpy(&hash, digest, sizeof(hash));
	return &ring->buckets[hash % ring->nslots];
}

static int
take_free_slot(void)
{
	int			at = ring->first_free;

	ring->first_free = ring->slots[at].next;
	ring->slots[at].next = -1;
	ring->nfree--;
	return at;
}

static void
make_head(RingSlot *slot, const StoreVerdict *verdict, int length)
{
	slot->state = RING_READY;
	slot->database = MyDatabaseId;
	slot->backend = MyProcPid;
	slot->writer = 0;
	slot->ok = verdict->verdict.status == GEPA_STATUS_OK;
	slot->failures = 0;
	slot->due = 0;
	slot->length = length;
	memcpy(slot->account, verdict->account.key, JUDGE_DIGEST_LENGTH);
	memcpy(slot->digest, verdict->digest, JUDGE_DIGEST_LENGTH);
	dlist_push_tail(&ring->entries, &slot->by_age);
	dlist_push_tail(bucket(slot->digest), &slot->by_key);
}

static void
add_entry(const StoreVerdict *verdict, const StringInfo bytes)
{
	int			previous = -1;

	for (int done = 0; done < bytes->len; done += RING_SLOT_DATA)
	{
		int			at = take_free_slot();

		if (previous >= 0)
			ring->slots[previous].next = at;
		else
			make_head(&ring->slots[at], verdict, bytes->len);
		memcpy(ring->slots[at].data, bytes->data + done,
			   Min(RING_SLOT_DATA, bytes->len - done));
		previous = at;
	}
}

static void
free_entry(RingSlot *head)
{
	int			at = (int) (head - ring->slots);

	dlist_delete(&head->by_age);
	dlist_delete(&head->by_key);
	while (at >= 0)
	{
		int			next = ring->slots[at].next;

		ring->slots[at].next = ring->first_free;
		ring->first_free = at;
		ring->nfree++;
		at = next;
	}
}

static void
copy_entry(const RingSlot *slot, char *data)
{
	int			length = slot->length;

	for (int done = 0; done < length; done += RING_SLOT_DATA)
	{
		memcpy(data + done, slot->data, Min(RING_SLOT_DATA, length - done));
		if (slot->next >= 0)
			slot = &ring->slots[slot->next];
	}
}

/* An entry with a verdict; failures are tried again. */
static RingSlot *
find_entry(const uint8 *account, const uint8 *digest)
{
	dlist_iter	iter;

	dlist_foreach(iter, bucket(digest))
	{
		RingSlot   *slot = dlist_container(RingSlot, by_key, iter.cur);

		if (slot->ok && slot->database == MyDatabaseId &&
			memcmp(slot->digest, digest, JUDGE_DIGEST_LENGTH) == 0 &&
			memcmp(slot->account, account, JUDGE_DIGEST_LENGTH) == 0)
			return slot;
	}
	return NULL;
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

bool
gepa_store_ring_available(void)
{
	return ring != NULL && !RecoveryInProgress();
}

ConditionVariable *
gepa_store_ring_space(void)
{
	return &ring->space;
}

static int
slots_needed(const StringInfo bytes)
{
	return (bytes->len + RING_SLOT_DATA - 1) / RING_SLOT_DATA;
}

bool
gepa_store_ring_fits(const StringInfo bytes)
{
	return slots_needed(bytes) <= ring->nslots;
}

bool
gepa_store_ring_put(const StoreVerdict *verdict, const StringInfo bytes)
{
	bool		done = false;

	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	if (ring->nfree >= slots_needed(bytes))
	{
		add_entry(verdict, bytes);
		done = true;
	}
	wake_writer(MyDatabaseId);
	LWLockRelease(ring_lock);
	return done;
}

bool
gepa_store_ring_has_fresh(void)
{
	dlist_iter	iter;
	bool		found = false;

	LWLockAcquire(ring_lock, LW_SHARED);
	dlist_foreach(iter, &ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		found = slot->backend == MyProcPid && slot->failures == 0;
		if (found)
			break;
	}
	LWLockRelease(ring_lock);
	return found;
}

/* Nothing is allocated under the lock, so a look says how much it takes. */
bool
gepa_store_ring_find(const uint8 *account, const uint8 *digest,
					 JudgeVerdict *verdict)
{
	StoreVerdict stored;
	char	   *data = NULL;
	int			capacity = 0;
	int			length;

	if (ring == NULL)
		return false;
	for (;;)
	{
		RingSlot   *slot;

		LWLockAcquire(ring_lock, LW_SHARED);
		slot = find_entry(account, digest);
		length = slot != NULL ? slot->length : 0;
		if (slot != NULL && length <= capacity)
			copy_entry(slot, data);
		LWLockRelease(ring_lock);
		if (length <= capacity)
			break;
		capacity = length;
		data = data ? repalloc(data, capacity) : palloc(capacity);
	}
	if (length > 0)
	{
		gepa_store_unpack(data, length, &stored);
		*verdict = stored.verdict;
	}
	if (data != NULL)
		pfree(data);
	return length > 0;
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

static int
ms_until(TimestampTz due, TimestampTz now)
{
	return (int) TimestampDifferenceMilliseconds(now, due);
}

int
gepa_store_ring_databases(Oid *databases, int max, int *wait_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_iter	iter;
	int			n = 0;

	if (ring == NULL)
		return 0;
	LWLockAcquire(ring_lock, LW_SHARED);
	dlist_foreach(iter, &ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);
		bool		known = slot->state != RING_READY;

		for (int k = 0; k < n && !known; k++)
			known = databases[k] == slot->database;
		if (known || n == max || has_writer(slot->database))
			continue;
		if (slot->due <= now)
			databases[n++] = slot->database;
		else
			*wait_ms = Min(*wait_ms, ms_until(slot->due, now));
	}
	LWLockRelease(ring_lock);
	return n;
}

int
gepa_store_ring_forget(Oid database)
{
	dlist_mutable_iter iter;
	int			n = 0;

	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	dlist_foreach_modify(iter, &ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (slot->database != database || slot->state != RING_READY)
			continue;
		free_entry(slot);
		n++;
	}
	LWLockRelease(ring_lock);
	ConditionVariableBroadcast(&ring->space);
	return n;
}

void
gepa_store_ring_postpone(Oid database, int ms)
{
	TimestampTz due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	dlist_iter	iter;

	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	dlist_foreach(iter, &ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (slot->database == database && slot->state == RING_READY)
			slot->due = Max(slot->due, due);
	}
	LWLockRelease(ring_lock);
}

/*
 * Writers
 */

/* An ERROR may have struck while a lock was held. */
static void
detach_writer(int code, Datum arg)
{
	dlist_iter	iter;

	LWLockReleaseAll();
	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	dlist_foreach(iter, &ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (slot->state == RING_TAKEN && slot->writer == MyProcPid)
			slot->state = RING_READY;
	}
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

/* Take fresh entries, or such as were put back and are due; the lock is held. */
static int
take_entries(RingSlot **taken, int max, bool retries, TimestampTz now)
{
	dlist_iter	iter;
	int			n = 0;

	dlist_foreach(iter, &ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (n == max)
			break;
		if (slot->state != RING_READY || slot->database != MyDatabaseId ||
			slot->due > now || (slot->failures > 0) != retries)
			continue;
		slot->state = RING_TAKEN;
		slot->writer = MyProcPid;
		taken[n++] = slot;
	}
	return n;
}

int
gepa_store_ring_take(StoreVerdict *verdicts, int *failures, int max)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		retries = TimestampDifferenceExceeds(retried_at, now, RETRY_TURN_MS);
	RingSlot  **taken = palloc(sizeof(RingSlot *) * max);
	int			n = 0;

	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	for (int turn = 0; turn < 2 && n == 0; turn++, retries = !retries)
	{
		n = take_entries(taken, retries ? Min(max, RETRY_BATCH) : max, retries, now);
		if (n > 0 && retries)
			retried_at = now;
	}
	LWLockRelease(ring_lock);

	/* What is TAKEN nobody else changes. */
	for (int i = 0; i < n; i++)
	{
		char	   *data = palloc(taken[i]->length);

		copy_entry(taken[i], data);
		gepa_store_unpack(data, taken[i]->length, &verdicts[i]);
		failures[i] = taken[i]->failures;
		pfree(data);
	}
	pfree(taken);
	return n;
}

/*
 * They were taken in order of arrival, and this is the same order.  What is put
 * back comes last, so that those that wait for another try take turns.
 */
void
gepa_store_ring_release(const int *retry_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_mutable_iter iter;

	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	dlist_foreach_modify(iter, &ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (slot->state != RING_TAKEN || slot->writer != MyProcPid)
			continue;
		if (*retry_ms == 0)
			free_entry(slot);
		else
		{
			slot->state = RING_READY;
			slot->failures++;
			slot->due = TimestampTzPlusMilliseconds(now, *retry_ms);
			dlist_delete(&slot->by_age);
			dlist_push_tail(&ring->entries, &slot->by_age);
		}
		retry_ms++;
	}
	LWLockRelease(ring_lock);
	ConditionVariableBroadcast(&ring->space);
}
