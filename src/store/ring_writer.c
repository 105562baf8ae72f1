/*-------------------------------------------------------------------------
 *
 * ring_writer.c
 *	  The ring, as launcher and verdict writers see it; see ring.c.
 *
 * What a writer has committed is marked as done in the spool before its entry
 * is freed; if the writer is killed before the mark, the verdict is written
 * once more after the restart, which changes nothing (verdicts.c).
 *
 * What is put back may have to wait for long, so it is synced, and what could
 * not be appended to the spool when it was handed over is appended now.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "store/store_entries.h"

/* Entries that were put back: how many a writer takes at once, how often. */
#define RETRY_BATCH 8
#define RETRY_TURN_MS 1000

/* When an entry whose bytes cannot be read from the spool is tried again. */
#define UNREADABLE_MS 60000

/* How many entries of a database that was dropped are let go at a time. */
#define FORGET_BATCH 64

/* The writer's own: what it has taken, and its last turn of what was put back. */
static struct
{
	RingSlot  **entries;
	int			n;
	TimestampTz retried_at;
}			taken;

/*
 * Launcher
 */

static bool
has_writer(Oid database)
{
	for (int i = 0; i < RING_MAX_WRITERS; i++)
		if (gepa_store_ring->writers[i].database == database)
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

	if (gepa_store_ring == NULL)
		return 0;
	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	dlist_foreach(iter, &gepa_store_ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);
		bool		known = slot->state != RING_READY;

		for (int k = 0; k < n && !known; k++)
			known = databases[k] == slot->key.database;
		if (known || n == max || has_writer(slot->key.database))
			continue;
		if (slot->due <= now)
			databases[n++] = slot->key.database;
		else
			*wait_ms = Min(*wait_ms, ms_until(slot->due, now));
	}
	LWLockRelease(gepa_store_ring_lock);
	return n;
}

/* Some of a database's entries; where they were in the spool. */
static int
forget_some(Oid database, SpoolPlace *places)
{
	dlist_mutable_iter iter;
	int			n = 0;

	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	dlist_foreach_modify(iter, &gepa_store_ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (n == FORGET_BATCH)
			break;
		if (slot->key.database != database || slot->state != RING_READY)
			continue;
		places[n++] = slot->place;
		gepa_store_ring_free(slot);
	}
	LWLockRelease(gepa_store_ring_lock);
	return n;
}

int
gepa_store_ring_forget(Oid database)
{
	SpoolPlace	places[FORGET_BATCH];
	int			all = 0;
	int			n;

	LWLockAcquire(gepa_store_spool_lock, LW_EXCLUSIVE);
	while ((n = forget_some(database, places)) > 0)
	{
		gepa_store_spool_mark_done(places, n);
		all += n;
	}
	gepa_store_spool_tidy();
	LWLockRelease(gepa_store_spool_lock);
	ConditionVariableBroadcast(&gepa_store_ring->space);
	return all;
}

void
gepa_store_ring_postpone(Oid database, int ms)
{
	TimestampTz due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
	dlist_iter	iter;

	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	dlist_foreach(iter, &gepa_store_ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (slot->key.database == database && slot->state == RING_READY)
			slot->due = Max(slot->due, due);
	}
	LWLockRelease(gepa_store_ring_lock);
}

bool
gepa_store_ring_load(void)
{
	SpoolLoad	result = SPOOL_MORE_TO_LOAD;

	if (gepa_store_ring == NULL)
		return true;
	while (result == SPOOL_MORE_TO_LOAD)
	{
		LWLockAcquire(gepa_store_spool_lock, LW_EXCLUSIVE);
		result = gepa_store_ring_fill_some();
		LWLockRelease(gepa_store_spool_lock);
		CHECK_FOR_INTERRUPTS();
	}
	return result == SPOOL_ALL_LOADED;
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
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	dlist_foreach(iter, &gepa_store_ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (slot->state != RING_TAKEN || slot->writer != MyProcPid)
			continue;
		slot->state = RING_READY;
		slot->again = true;
	}
	for (int i = 0; i < RING_MAX_WRITERS; i++)
		if (gepa_store_ring->writers[i].pid == MyProcPid)
			memset(&gepa_store_ring->writers[i], 0, sizeof(RingWriter));
	if (gepa_store_ring->launcher != NULL)
		SetLatch(gepa_store_ring->launcher);
	LWLockRelease(gepa_store_ring_lock);
	LWLockAcquire(gepa_store_spool_lock, LW_EXCLUSIVE);
	gepa_store_spool_tidy();
	LWLockRelease(gepa_store_spool_lock);
}

bool
gepa_store_ring_attach(Oid database)
{
	RingWriter *free_writer = NULL;

	if (gepa_store_ring == NULL)
		return false;
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	for (int i = 0; i < RING_MAX_WRITERS && !has_writer(database); i++)
	{
		if (OidIsValid(gepa_store_ring->writers[i].database))
			continue;
		free_writer = &gepa_store_ring->writers[i];
		free_writer->database = database;
		free_writer->pid = MyProcPid;
		free_writer->latch = MyLatch;
	}
	LWLockRelease(gepa_store_ring_lock);
	if (free_writer == NULL)
		return false;
	before_shmem_exit(detach_writer, (Datum) 0);
	return true;
}

/* Take fresh entries, or such as were put back and are due; the lock is held. */
static void
take_entries(int max, bool retries, TimestampTz now)
{
	dlist_iter	iter;

	dlist_foreach(iter, &gepa_store_ring->entries)
	{
		RingSlot   *slot = dlist_container(RingSlot, by_age, iter.cur);

		if (taken.n == max)
			break;
		if (slot->state != RING_READY || slot->key.database != MyDatabaseId ||
			slot->due > now || (slot->failures > 0) != retries)
			continue;
		slot->state = RING_TAKEN;
		slot->writer = MyProcPid;
		taken.entries[taken.n++] = slot;
	}
}

/* What comes back is last, so that those that wait for another try take turns. */
static void
put_back(RingSlot *slot, const StoreRetry *retry)
{
	slot->state = RING_READY;
	slot->failures++;
	slot->failed = !retry->blocked;
	slot->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), retry->ms);
	dlist_delete(&slot->by_age);
	dlist_push_tail(&gepa_store_ring->entries, &slot->by_age);
}

/* One that cannot be read is put back for long; the spool's lock is held. */
static char *
read_taken(RingSlot *slot)
{
	const StoreRetry later = {.ms = UNREADABLE_MS};
	char	   *data = gepa_store_ring_copy(slot);

	if (data != NULL)
		return data;
	ereport(LOG,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("gepa verdict writer cannot read a verdict of %d bytes from the spool, and will try again",
					slot->length)));
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	put_back(slot, &later);
	LWLockRelease(gepa_store_ring_lock);
	return NULL;
}

/* What is TAKEN nobody else changes, but its place in the spool. */
static void
unpack_taken(StoreVerdict *verdicts, int *failures)
{
	int			n = 0;

	LWLockAcquire(gepa_store_spool_lock, LW_SHARED);
	for (int i = 0; i < taken.n; i++)
	{
		RingSlot   *slot = taken.entries[i];
		char	   *data = read_taken(slot);

		if (data == NULL)
			continue;
		gepa_store_unpack(data, slot->length, &verdicts[n]);
		verdicts[n].again = slot->again;
		failures[n] = slot->failures;
		taken.entries[n++] = slot;
		pfree(data);
	}
	LWLockRelease(gepa_store_spool_lock);
	taken.n = n;
}

int
gepa_store_ring_take(StoreVerdict *verdicts, int *failures, int max)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		retries = TimestampDifferenceExceeds(taken.retried_at, now, RETRY_TURN_MS);

	taken.entries = palloc(sizeof(RingSlot *) * max);
	taken.n = 0;
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	for (int turn = 0; turn < 2 && taken.n == 0; turn++, retries = !retries)
	{
		take_entries(retries ? Min(max, RETRY_BATCH) : max, retries, now);
		if (taken.n > 0 && retries)
			taken.retried_at = now;
	}
	LWLockRelease(gepa_store_ring_lock);
	unpack_taken(verdicts, failures);
	return taken.n;
}

static void
release_entries(const StoreRetry *retries)
{
	LWLockAcquire(gepa_store_ring_lock, LW_EXCLUSIVE);
	for (int i = 0; i < taken.n; i++)
	{
		if (retries[i].ms == 0)
			gepa_store_ring_free(taken.entries[i]);
		else
			put_back(taken.entries[i], &retries[i]);
	}
	LWLockRelease(gepa_store_ring_lock);
}

void
gepa_store_ring_release(const StoreRetry *retries)
{
	SpoolPlace *done = palloc(sizeof(SpoolPlace) * Max(taken.n, 1));
	int			ndone = 0;

	LWLockAcquire(gepa_store_spool_lock, LW_EXCLUSIVE);
	for (int i = 0; i < taken.n; i++)
	{
		if (retries[i].ms == 0)
			done[ndone++] = taken.entries[i]->place;
		else if (taken.entries[i]->place.segment == 0)
			(void) gepa_store_ring_respool(taken.entries[i]);
	}
	gepa_store_spool_mark_done(done, ndone);
	release_entries(retries);
	(void) gepa_store_ring_fill_some();
	LWLockRelease(gepa_store_spool_lock);
	ConditionVariableBroadcast(&gepa_store_ring->space);
	if (ndone < taken.n)
		gepa_store_spool_sync();
	taken.n = 0;
	pfree(done);
}

bool
gepa_store_ring_is_crowded(void)
{
	bool		crowded;

	LWLockAcquire(gepa_store_ring_lock, LW_SHARED);
	crowded = gepa_store_ring->nfree < gepa_store_ring->nslots / 2;
	LWLockRelease(gepa_store_ring_lock);
	return crowded;
}
