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
 * A verdict that needs more than half of the ring is an entry of one slot; its
 * bytes are read from the spool.
 *
 * When there is no room a verdict is put into the backlog: its record is
 * appended to the spool without an entry.  Sessions that wait for room and the
 * launcher load it, first come first served.  Nobody finds it before that but its
 * own session.
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

#include "base/settings.h"
#include "base/shmem.h"
#include "store/store_entries.h"

/* Of slots, for each slot that is put; see clean_spool(). */
#define CLEAN_LOOKS 64

/* So many keys are looked for while the lock is held. */
#define FIND_BATCH 128

Ring	   *gepa_store_ring = NULL;
LWLock	   *gepa_store_ring_lock = NULL;

/*
 * Set-up
 */

static int
slot_count(void)
{
	return (int) (((Size) gepa_verdict_ring_size * 1024) / sizeof(RingSlot));
}

Size
gepa_store_ring_size(void)
{
	return add_size(offsetof(Ring, slots), mul_size(slot_count(), sizeof(RingSlot)));
}

/* The index is behind the slots. */
static Size
shmem_size(void)
{
	return add_size(MAXALIGN(gepa_store_ring_size()),
					mul_size(slot_count(), sizeof(dlist_head)));
}

static void
make_ring(Ring *ring)
{
	ConditionVariableInit(&ring->space);
	dlist_init(&ring->entries);
	ring->nslots = ring->nfree = slot_count();
	ring->buckets = (dlist_head *) ((char *) ring + MAXALIGN(gepa_store_ring_size()));
	for (int i = 0; i < ring->nslots; i++)
	{
		dlist_init(&ring->buckets[i]);
		ring->slots[i].next = i + 1 < ring->nslots ? i + 1 : -1;
	}
}

static void
attach(void *memory, LWLock *lock, bool made)
{
	gepa_store_ring = memory;
	gepa_store_ring_lock = lock;
	if (made)
		make_ring(memory);
}

/* In the postmaster, at its start and after each crash of one of its processes. */
static void
refill_ring(void)
{
	bool		all;

	if (IsBinaryUpgrade)
		return;
	gepa_store_spool_start();
	all = gepa_store_ring_fill(INT_MAX) == SPOOL_ALL_LOADED;
	if (!dlist_is_empty(&gepa_store_ring->entries))
		ereport(LOG,
				(errmsg("gepa has found verdicts that were handed over before the server ended"),
				 errdetail("The verdict writers of their databases will write them."),
				 all ? 0 : errhint("Not all of them fit into gepa.verdict_ring_size; the rest follows.")));
}

void
gepa_store_init(void)
{
	static const GepaShmem area = {
		.name = "gepa verdict ring",
		.tranche = "GepaRing",
		.size = shmem_size,
		.attach = attach,
		.ready = refill_ring
	};

	if (!process_shared_preload_libraries_in_progress)
		return;
	gepa_store_spool_init();
	gepa_shmem_add(&area);
	gepa_store_lease_init();
}

static void
clear_launcher(int code, Datum arg)
{
	LWLockReleaseAll();
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	if (gepa_store_ring->launcher == MyLatch)
		gepa_store_ring->launcher = NULL;
	LWLockRelease(gepa_store_ring_lock);
}

void
gepa_store_ring_set_launcher(Latch *latch)
{
	if (gepa_store_ring == NULL)
		return;
	before_shmem_exit(clear_launcher, (Datum) 0);
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
	return &gepa_store_ring->buckets[gepa_judge_hash_digest(digest) % gepa_store_ring->nslots];
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
	gepa_store_key_set(&slot->key, database, verdict.account.key, verdict.digest);
	slot->backend = 0;
	slot->writer = 0;
	slot->again = false;
	slot->ok = verdict.verdict.status == GEPA_STATUS_OK;
	slot->failures = 0;
	slot->failed = false;
	slot->due = 0;
	slot->length = length;
	dlist_push_tail(&gepa_store_ring->entries, &slot->by_age);
	dlist_push_tail(bucket(slot->key.digest), &slot->by_key);
}

static int
slots_needed(int length)
{
	return (length + RING_SLOT_DATA - 1) / RING_SLOT_DATA;
}

static bool
is_too_large(int length)
{
	return slots_needed(length) > gepa_store_ring->nslots / 2;
}

static RingSlot *
add_entry(Oid database, const char *data, int length, const SpoolPlace *place)
{
	RingSlot   *head = &gepa_store_ring->slots[take_free_slot()];
	RingSlot   *slot = head;

	make_head(head, database, data, length);
	head->place = *place;
	head->in_spool = is_too_large(length);
	if (head->in_spool)
		return head;
	for (int done = 0; done < length; done += RING_SLOT_DATA)
	{
		if (done > 0)
		{
			slot->next = take_free_slot();
			slot = &gepa_store_ring->slots[slot->next];
		}
		memcpy(slot->data, data + done, Min(RING_SLOT_DATA, length - done));
	}
	return head;
}

void
gepa_store_ring_free(RingSlot *head)
{
	int			at = (int) (head - gepa_store_ring->slots);

	dlist_delete(&head->by_age);
	dlist_delete(&head->by_key);
	head->state = RING_NOT_A_HEAD;
	while (at >= 0)
	{
		int			next = gepa_store_ring->slots[at].next;

		gepa_store_ring->slots[at].next = gepa_store_ring->first_free;
		gepa_store_ring->first_free = at;
		gepa_store_ring->nfree++;
		at = next;
	}
}

static void
copy_slots(const RingSlot *slot, char *data)
{
	int			length = slot->length;

	for (int done = 0; done < length; done += RING_SLOT_DATA)
	{
		memcpy(data + done, slot->data, Min(RING_SLOT_DATA, length - done));
		if (slot->next >= 0)
			slot = &gepa_store_ring->slots[slot->next];
	}
}

char *
gepa_store_ring_copy(const RingSlot *head)
{
	char	   *data;

	if (head->in_spool)
		return gepa_store_spool_read(&head->place, head->length);
	data = palloc(head->length);
	copy_slots(head, data);
	return data;
}

/* An entry with a verdict; failures are tried again. */
static RingSlot *
find_entry(const uint8 *account, const uint8 *digest)
{
	dlist_iter	iter;

	dlist_foreach(iter, bucket(digest))
	{
		RingSlot   *slot = dlist_container(RingSlot, by_key, iter.cur);

		if (slot->ok && gepa_store_key_is(&slot->key, account, digest))
			return slot;
	}
	return NULL;
}

static void
wake_launcher(void)
{
	if (gepa_store_ring->launcher != NULL)
		SetLatch(gepa_store_ring->launcher);
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
	wake_launcher();
}

/*
 * The ring and its spool; the spool's lock is held
 */

/* Who holds the spool's lock finds the room that was there. */
static bool
has_slots(int nslots)
{
	bool		room;

	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	room = gepa_store_ring->nfree >= nslots;
	LWLockRelease(gepa_store_ring_lock);
	return room;
}

static int
slots_taken(int length)
{
	return is_too_large(length) ? 1 : slots_needed(length);
}

static bool
has_room(int length)
{
	return has_slots(slots_taken(length));
}

static bool
take_spooled(Oid database, const char *data, int length, const SpoolPlace *place)
{
	RingSlot   *head;

	if (!has_room(length))
		return false;
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	head = add_entry(database, data, length, place);
	head->again = gepa_store_spool_segment(place->segment)->recovered;
	wake_writer(database);
	LWLockRelease(gepa_store_ring_lock);
	return true;
}

SpoolLoad
gepa_store_ring_fill(int max)
{
	return gepa_store_spool_load(take_spooled, max);
}

/* Whoever waits for what is loaded is told. */
SpoolLoad
gepa_store_ring_fill_some(void)
{
	int64		before = gepa_store_spool_backlog();
	SpoolLoad	result;

	if (before == 0)
		return SPOOL_ALL_LOADED;
	if (!has_room(1))
		return SPOOL_CANNOT_LOAD;
	result = gepa_store_ring_fill(LOAD_BATCH);
	if (gepa_store_spool_backlog() < before)
		ConditionVariableBroadcast(&gepa_store_ring->space);
	return result;
}

int
gepa_store_ring_respool(RingSlot *head)
{
	SpoolPlace	old = head->place;
	char	   *data = gepa_store_ring_copy(head);
	SpoolItem	item = {.data = data,.length = head->length};
	int			error;

	if (data == NULL)
		return EIO;
	error = gepa_store_spool_append(SPOOL_OF_RING, head->key.database, &item, 1);
	pfree(data);
	if (error != 0)
		return error;
	head->place = item.place;
	gepa_store_spool_mark_done(&old, 1);
	return 0;
}

/* One of the next few entries that is in a segment. */
static RingSlot *
find_spooled(uint32 segment, int *looks)
{
	RingSlot   *found = NULL;

	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	for (; *looks > 0 && found == NULL; (*looks)--)
	{
		RingSlot   *slot = &gepa_store_ring->slots[gepa_store_ring->clean_at];

		if (slot->state != RING_NOT_A_HEAD && slot->place.segment == segment)
			found = slot;
		gepa_store_ring->clean_at = (gepa_store_ring->clean_at + 1) % gepa_store_ring->nslots;
	}
	LWLockRelease(gepa_store_ring_lock);
	return found;
}

/*
 * When there are too many segments, empty one of them: some entries for each that
 * is put, as many bytes as twice the one.  The last move removes it.
 */
static void
clean_spool(int length)
{
	uint32		segment = gepa_store_spool_crowded();
	int			looks = CLEAN_LOOKS * slots_needed(length);
	int64		budget = 2 * (int64) length + RING_SLOT_DATA;
	RingSlot   *slot;

	while (segment != 0 && budget > 0 && (slot = find_spooled(segment, &looks)) != NULL)
	{
		if (gepa_store_ring_respool(slot) != 0)
			break;
		budget -= slot->length;
	}
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

/* Make entries of what was appended. */
static void
enter(const SpoolItem *items, int n)
{
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		RingSlot   *head = add_entry(MyDatabaseId, items[i].data, items[i].length,
									 &items[i].place);

		head->backend = MyProcPid;
	}
	wake_writer(MyDatabaseId);
	LWLockRelease(gepa_store_ring_lock);
}

/* The spool's lock is held. */
static StorePut
put(SpoolItem *item, bool room, int *spool_error)
{
	*spool_error = gepa_store_spool_append(room ? SPOOL_OF_RING : SPOOL_BACKLOG, MyDatabaseId,
										   item, 1);
	if (*spool_error != 0)
	{
		memset(&item->place, 0, sizeof(item->place));
		if (!room || is_too_large(item->length))
			return STORE_PUT_NOWHERE;
	}
	if (room)
	{
		enter(item, 1);
		return STORE_PUT_RING;
	}
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	wake_launcher();
	LWLockRelease(gepa_store_ring_lock);
	return STORE_PUT_BACKLOG;
}

StorePut
gepa_store_ring_put(SpoolItem *item, int *spool_error)
{
	StorePut	result;
	bool		room;

	LWLockAcquire(gepa_store_spool_lock, LW_EXCLUSIVE);
	room = gepa_store_ring_fill_some() == SPOOL_ALL_LOADED && has_room(item->length);
	result = put(item, room, spool_error);
	clean_spool(item->length);
	LWLockRelease(gepa_store_spool_lock);
	return result;
}

bool
gepa_store_ring_put_all(SpoolItem *items, int n)
{
	int			nslots = 0;
	int			length = 0;
	bool		done;

	for (int i = 0; i < n; i++)
	{
		nslots += slots_taken(items[i].length);
		length += items[i].length;
	}
	LWLockAcquire(gepa_store_spool_lock, LW_EXCLUSIVE);
	done = gepa_store_ring_fill_some() == SPOOL_ALL_LOADED && has_slots(nslots) &&
		gepa_store_spool_append(SPOOL_OF_RING, MyDatabaseId, items, n) == 0;
	if (done)
	{
		enter(items, n);
		clean_spool(length);
	}
	LWLockRelease(gepa_store_spool_lock);
	return done;
}

bool
gepa_store_ring_is_loaded(const SpoolPlace *place)
{
	bool		loaded;

	LWLockAcquire(gepa_store_spool_lock, LW_SHARED);
	loaded = gepa_store_spool_is_loaded(place);
	LWLockRelease(gepa_store_spool_lock);
	return loaded;
}

bool
gepa_store_ring_is_beyond_limit(void)
{
	bool		beyond;

	LWLockAcquire(gepa_store_spool_lock, LW_SHARED);
	beyond = gepa_store_spool_backlog() > gepa_store_spool_backlog_limit();
	LWLockRelease(gepa_store_spool_lock);
	return beyond;
}

/* From now on this backend's commit waits for it. */
static void
adopt(const uint8 *account, const uint8 *digest)
{
	dlist_iter	iter;

	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	dlist_foreach(iter, bucket(digest))
	{
		RingSlot   *slot = dlist_container(RingSlot, by_key, iter.cur);

		if (slot->backend == 0 && gepa_store_key_is(&slot->key, account, digest))
			slot->backend = MyProcPid;
	}
	LWLockRelease(gepa_store_ring_lock);
}

bool
gepa_store_ring_load_own(const SpoolPlace *place, const uint8 *account, const uint8 *digest)
{
	SpoolLoad	result;
	bool		loaded;

	do
	{
		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(gepa_store_spool_lock, LW_EXCLUSIVE);
		result = gepa_store_ring_fill_some();
		loaded = gepa_store_spool_is_loaded(place);
		LWLockRelease(gepa_store_spool_lock);
	} while (!loaded && result == SPOOL_MORE_TO_LOAD);
	if (loaded)
		adopt(account, digest);
	return loaded;
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

/* One that is too large for the ring; both locks keep it where it is. */
static char *
find_in_spool(const uint8 *account, const uint8 *digest, int *length)
{
	RingSlot   *slot;
	char	   *data = NULL;

	LWLockAcquire(gepa_store_spool_lock, LW_SHARED);
	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	slot = find_entry(account, digest);
	LWLockRelease(gepa_store_ring_lock);
	if (slot != NULL)
	{
		*length = slot->length;
		data = gepa_store_ring_copy(slot);
	}
	LWLockRelease(gepa_store_spool_lock);
	return data;
}

/* Nothing is allocated under the lock, so a look says how much it takes. */
static char *
find_data(const uint8 *account, const uint8 *digest, int *length)
{
	char	   *data = NULL;
	int			capacity = 0;
	bool		in_spool;

	for (;;)
	{
		RingSlot   *slot;

		LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
		slot = find_entry(account, digest);
		*length = slot != NULL ? slot->length : 0;
		in_spool = slot != NULL && slot->in_spool;
		if (slot != NULL && !in_spool && *length <= capacity)
			copy_slots(slot, data);
		LWLockRelease(gepa_store_ring_lock);
		if (in_spool || *length <= capacity)
			break;
		capacity = *length;
		data = data ? repalloc(data, capacity) : palloc(capacity);
	}
	if (*length > 0 && !in_spool)
		return data;
	if (data != NULL)
		pfree(data);
	return in_spool ? find_in_spool(account, digest, length) : NULL;
}

static bool
find_verdict(const uint8 *account, const uint8 *digest, JudgeVerdict *verdict)
{
	StoreVerdict stored;
	int			length = 0;
	char	   *data = find_data(account, digest, &length);

	if (data == NULL)
		return false;
	gepa_store_unpack(data, length, &stored);
	*verdict = stored.verdict;
	pfree(data);
	return true;
}

/* Which of some there are; those may have left when they are read. */
static void
find_some(const uint8 *account, StoreLookup **wanted, int n)
{
	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	if (gepa_store_ring->nfree < gepa_store_ring->nslots)
		for (int i = 0; i < n; i++)
			wanted[i]->found = find_entry(account, wanted[i]->digest) != NULL;
	LWLockRelease(gepa_store_ring_lock);
}

int
gepa_store_ring_find(const uint8 *account, StoreLookup **wanted, int n)
{
	int			left = 0;

	if (gepa_store_ring == NULL)
		return n;
	for (int i = 0; i < n; i += FIND_BATCH)
		find_some(account, wanted + i, Min(FIND_BATCH, n - i));
	for (int i = 0; i < n; i++)
	{
		StoreLookup *lookup = wanted[i];

		if (lookup->found)
			lookup->found = find_verdict(account, lookup->digest, &lookup->verdict);
		if (!lookup->found)
			wanted[left++] = lookup;
	}
	return left;
}
