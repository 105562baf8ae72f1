/*-------------------------------------------------------------------------
 *
 * ring.c
 *	  Shared memory in which verdicts wait for their writer.
 *
 * Actors: backends put entries; the verdict writer of a database takes them
 * in batches, commits, and frees them, or puts back those that it could not
 * write; the launcher starts a writer where entries wait without one, and
 * frees those of a database that was dropped (ring_writer.c).
 *
 * An entry is a chain of fixed slots; its first, the head, says what it is.
 * It is READY, or TAKEN while a writer has it in an open transaction.  Both
 * can be found by their key, so a verdict that was handed over is never paid
 * for again while it waits.  One that was put back is not due before a time;
 * it has failures then, and gives way to those that have none.
 *
 * Locking: one LWLock (tranche "GepaRing") protects every field, but the
 * contents of an entry, which do not change, and its place in the spool.
 * Copying a few kB under it is short beside the call that was paid; nothing is
 * allocated under it, and nobody looks at more than the entries of one bucket
 * for a key.  Who adds or frees an entry holds the spool's lock as well, taken
 * first: so a file is written while the ring can still be read, there is room
 * for what was appended, and an entry stays where it is for those who hold that
 * lock.  The condition variable "space" wakes backends that wait for the writer,
 * for room or until it has written: handover.c.
 *
 * Crash: shared memory is made anew, and filled again from the spool before
 * anybody can look into it: spool.c.  A writer that exits gives its TAKEN
 * entries back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "base/settings.h"
#include "store/store_entries.h"

Ring	   *gepa_store_ring = NULL;
LWLock	   *gepa_store_ring_lock = NULL;

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
	gepa_store_spool_request();
}

static void
make_ring(dlist_head *buckets)
{
	memset(gepa_store_ring, 0, slots_size());
	ConditionVariableInit(&gepa_store_ring->space);
	dlist_init(&gepa_store_ring->entries);
	gepa_store_ring->nslots = gepa_store_ring->nfree = slot_count();
	gepa_store_ring->buckets = buckets;
	for (int i = 0; i < gepa_store_ring->nslots; i++)
	{
		dlist_init(&buckets[i]);
		gepa_store_ring->slots[i].next = i + 1 < gepa_store_ring->nslots ? i + 1 : -1;
	}
}

/* In the postmaster, at its start and after each crash of one of its processes. */
static void
refill_ring(void)
{
	bool		all;

	gepa_store_spool_start();
	all = gepa_store_ring_fill();
	if (!dlist_is_empty(&gepa_store_ring->entries))
		ereport(LOG,
				(errmsg("gepa has found verdicts that were handed over before the server ended"),
				 errdetail("The verdict writers of their databases will write them."),
				 all ? 0 : errhint("Not all of them fit into gepa.verdict_ring_size; the rest follows.")));
}

static void
startup_shmem(void)
{
	dlist_head *buckets;
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	gepa_store_spool_make(slots_size());
	buckets = ShmemInitStruct("gepa verdict ring index", buckets_size(), &found);
	gepa_store_ring = ShmemInitStruct("gepa verdict ring", slots_size(), &found);
	gepa_store_ring_lock = &(GetNamedLWLockTranche("GepaRing"))->lock;
	if (!found)
		make_ring(buckets);
	LWLockRelease(AddinShmemInitLock);
	if (!found && !IsBinaryUpgrade)
		refill_ring();
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
	if (gepa_store_ring == NULL)
		return;
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	gepa_store_ring->launcher = latch;
	LWLockRelease(gepa_store_ring_lock);
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
	return &gepa_store_ring->buckets[hash % gepa_store_ring->nslots];
}

static int
take_free_slot(void)
{
	int			at = gepa_store_ring->first_free;

	gepa_store_ring->first_free = gepa_store_ring->slots[at].next;
	gepa_store_ring->slots[at].next = -1;
	gepa_store_ring->nfree--;
	return at;
}

static void
make_head(RingSlot *slot, Oid database, const char *data, int length)
{
	StoreVerdict verdict;

	gepa_store_unpack_head(data, &verdict);
	slot->state = RING_READY;
	slot->database = database;
	slot->backend = 0;
	slot->writer = 0;
	slot->ok = verdict.verdict.status == GEPA_STATUS_OK;
	slot->failures = 0;
	slot->failed = false;
	slot->due = 0;
	slot->length = length;
	memcpy(slot->account, verdict.account.key, JUDGE_DIGEST_LENGTH);
	memcpy(slot->digest, verdict.digest, JUDGE_DIGEST_LENGTH);
	dlist_push_tail(&gepa_store_ring->entries, &slot->by_age);
	dlist_push_tail(bucket(slot->digest), &slot->by_key);
}

static RingSlot *
add_entry(Oid database, const char *data, int length, const SpoolPlace *place)
{
	RingSlot   *head = NULL;
	int			previous = -1;

	for (int done = 0; done < length; done += RING_SLOT_DATA)
	{
		int			at = take_free_slot();

		if (previous >= 0)
			gepa_store_ring->slots[previous].next = at;
		else
			head = &gepa_store_ring->slots[at];
		memcpy(gepa_store_ring->slots[at].data, data + done, Min(RING_SLOT_DATA, length - done));
		previous = at;
	}
	make_head(head, database, data, length);
	head->place = *place;
	return head;
}

void
gepa_store_ring_free(RingSlot *head)
{
	int			at = (int) (head - gepa_store_ring->slots);

	dlist_delete(&head->by_age);
	dlist_delete(&head->by_key);
	while (at >= 0)
	{
		int			next = gepa_store_ring->slots[at].next;

		gepa_store_ring->slots[at].next = gepa_store_ring->first_free;
		gepa_store_ring->first_free = at;
		gepa_store_ring->nfree++;
		at = next;
	}
}

void
gepa_store_ring_copy(const RingSlot *slot, char *data)
{
	int			length = slot->length;

	for (int done = 0; done < length; done += RING_SLOT_DATA)
	{
		memcpy(data + done, slot->data, Min(RING_SLOT_DATA, length - done));
		if (slot->next >= 0)
			slot = &gepa_store_ring->slots[slot->next];
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
		if (gepa_store_ring->writers[i].database == database)
		{
			SetLatch(gepa_store_ring->writers[i].latch);
			return;
		}
	}
	if (gepa_store_ring->launcher != NULL)
		SetLatch(gepa_store_ring->launcher);
}

/*
 * The ring and its spool; the spool's lock is held
 */

static int
slots_needed(int length)
{
	return (length + RING_SLOT_DATA - 1) / RING_SLOT_DATA;
}

/* Who holds the spool's lock finds the room that was there. */
static bool
has_room(int length)
{
	bool		room;

	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	room = gepa_store_ring->nfree >= slots_needed(length);
	LWLockRelease(gepa_store_ring_lock);
	return room;
}

/* What the ring cannot hold at all must not keep the rest from it. */
static bool
take_spooled(Oid database, const char *data, int length, const SpoolPlace *place)
{
	if (!gepa_store_ring_fits(length))
	{
		ereport(LOG,
				(errmsg("gepa keeps a verdict of %d bytes in its spool, which does not fit into the ring",
						length),
				 errhint("It is written when the server starts with a larger gepa.verdict_ring_size.")));
		return true;
	}
	if (!has_room(length))
		return false;
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	(void) add_entry(database, data, length, place);
	LWLockRelease(gepa_store_ring_lock);
	return true;
}

bool
gepa_store_ring_fill(void)
{
	return gepa_store_spool_load(take_spooled);
}

int
gepa_store_ring_respool(RingSlot *head)
{
	SpoolPlace	old = head->place;
	SpoolPlace	place;
	char	   *data = palloc(head->length);
	int			error;

	gepa_store_ring_copy(head, data);
	error = gepa_store_spool_append(head->database, data, head->length, &place);
	pfree(data);
	if (error != 0)
		return error;
	head->place = place;
	gepa_store_spool_mark_done(&old, 1);
	return 0;
}

static RingSlot *
find_spooled(uint32 segment)
{
	RingSlot   *found = NULL;
	dlist_iter	iter;

	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	dlist_foreach(iter, &gepa_store_ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (slot->place.segment == segment)
		{
			found = slot;
			break;
		}
	}
	LWLockRelease(gepa_store_ring_lock);
	return found;
}

/* Empty the segment that is to go; the last move removes it. */
static void
clean_spool(void)
{
	uint32		segment = gepa_store_spool_crowded();
	RingSlot   *slot;

	while (segment != 0 && (slot = find_spooled(segment)) != NULL)
		if (gepa_store_ring_respool(slot) != 0)
			break;
}

/*
 * Backends
 */

bool
gepa_store_ring_available(void)
{
	return gepa_store_ring != NULL && !RecoveryInProgress();
}

ConditionVariable *
gepa_store_ring_space(void)
{
	return &gepa_store_ring->space;
}

bool
gepa_store_ring_fits(int length)
{
	return slots_needed(length) <= gepa_store_ring->nslots;
}

bool
gepa_store_ring_put(const char *data, int length, int *spool_error)
{
	SpoolPlace	place = {0};
	bool		room;

	*spool_error = 0;
	LWLockAcquire(gepa_store_spool_lock, LW_EXCLUSIVE);
	room = has_room(length);
	if (room)
		*spool_error = gepa_store_spool_append(MyDatabaseId, data, length, &place);
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	if (room)
		add_entry(MyDatabaseId, data, length, &place)->backend = MyProcPid;
	wake_writer(MyDatabaseId);
	LWLockRelease(gepa_store_ring_lock);
	clean_spool();
	LWLockRelease(gepa_store_spool_lock);
	return room;
}

StoreHandedOver
gepa_store_ring_handed_over(void)
{
	StoreHandedOver result = STORE_WRITTEN;
	dlist_iter	iter;

	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	dlist_foreach(iter, &gepa_store_ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (slot->backend != MyProcPid)
			continue;
		if (slot->failures == 0)
			result = STORE_WAITING;
		else if (slot->failed && result == STORE_WRITTEN)
			result = STORE_FAILED;
		if (result == STORE_WAITING)
			break;
	}
	LWLockRelease(gepa_store_ring_lock);
	return result;
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

	if (gepa_store_ring == NULL)
		return false;
	for (;;)
	{
		RingSlot   *slot;

		LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
		slot = find_entry(account, digest);
		length = slot != NULL ? slot->length : 0;
		if (slot != NULL && length <= capacity)
			gepa_store_ring_copy(slot, data);
		LWLockRelease(gepa_store_ring_lock);
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
