/*-------------------------------------------------------------------------
 *
 * lease.c
 *	  Leases on documents that are being called: equal texts are one call.
 *
 * Actors: a process takes the lease of a document (database, account,
 * content digest) before it calls, hands the verdict over, and releases the
 * lease.  Another that wants the same document waits for that and then finds
 * the verdict.
 *
 *					   take						release
 *			(none) ----------> held by a process ----------> (none)
 *								|	 ^					 ^
 *								|	 +- taken over		 | its end, by itself
 *								+---- dead, or too old --+
 *
 * What a waiter finds when the lease is gone:
 *
 *	 a verdict				it is stored; nothing is called
 *	 a failed call			it calls by itself without a further wait: those who
 *							waited do so side by side, so that an endpoint that is
 *							down costs each of them one wait, not one after another
 *	 nothing (cancelled)	one of the waiters takes the lease, the others wait for it
 *
 * Buckets count their releases, and those after a failed call.  A document
 * that was looked up before a release of its bucket is looked up again before
 * it is called; thus a look-up and the lease need no common lock.
 *
 * Deadlock: leases are taken without waiting.  Who cannot have one defers the
 * document, and goes on with the calls for which it has one while it waits; so
 * each of these ends and is released, whoever waits for it.
 *
 * Locking: one LWLock (tranche "GepaLeases") protects the table; counters are
 * read without.  A release wakes those who wait in its part of the table by a
 * condition variable, so that not all waiters of the server run for each.  A
 * holder that is gone without a release, or has taken longer than a call can,
 * is noticed by its waiters, who look every second.  One that still waits for
 * a place after so long is mistaken for such: one call more.
 *
 * When the table is full a document is called without: one call more, perhaps.
 * Crash: shared memory is made anew, and so are calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "base/wait.h"
#include "store/store_internal.h"
#include "store/store_key.h"

/*
 * A query has twice max_concurrency documents with the LM, by default 32.
 * Few processes of a server do that at a time; some have a larger limit.
 */
#define LEASES_PER_PROCESS 32
#define MAX_LEASES 65536

#define PARTS 16

typedef struct Lease
{
	dlist_node	node;			/* in its bucket, or free */
	StoreKey	key;
	int			holder;			/* pid */
	int64		expires;		/* gepa_clock_us(), alike in all processes */
} Lease;

typedef struct Bucket
{
	dlist_head	leases;
	pg_atomic_uint32 releases;
	pg_atomic_uint32 failures;
} Bucket;

typedef struct LeaseTable
{
	int			nbuckets;		/* as many as leases */
	dlist_head	free;
	ConditionVariable released[PARTS];
	Bucket		buckets[FLEXIBLE_ARRAY_MEMBER]; /* then the leases */
} LeaseTable;

static struct
{
	LeaseTable *shared;			/* NULL = not preloaded */
	LWLock	   *lock;
	bool		registered;		/* for the end of the process */
	int			nheld;
}			table;

/*
 * Set-up
 */

static int
lease_count(void)
{
	return Min(MaxBackends * LEASES_PER_PROCESS, MAX_LEASES);
}

static Size
buckets_size(void)
{
	return MAXALIGN(add_size(offsetof(LeaseTable, buckets),
							 mul_size(lease_count(), sizeof(Bucket))));
}

static Size
table_size(void)
{
	return add_size(buckets_size(), mul_size(lease_count(), sizeof(Lease)));
}

static void
make_table(LeaseTable *shared)
{
	Lease	   *leases = (Lease *) ((char *) shared + buckets_size());

	shared->nbuckets = lease_count();
	dlist_init(&shared->free);
	for (int i = 0; i < PARTS; i++)
		ConditionVariableInit(&shared->released[i]);
	for (int i = 0; i < shared->nbuckets; i++)
	{
		dlist_init(&shared->buckets[i].leases);
		pg_atomic_init_u32(&shared->buckets[i].releases, 0);
		pg_atomic_init_u32(&shared->buckets[i].failures, 0);
		dlist_push_tail(&shared->free, &leases[i].node);
	}
}

static void
attach(void *memory, LWLock *lock, bool made)
{
	table.shared = memory;
	table.lock = lock;
	if (made)
		make_table(memory);
}

void
gepa_store_lease_init(void)
{
	static const GepaShmem area = {
		.name = "gepa leases",
		.tranche = "GepaLeases",
		.size = table_size,
		.attach = attach
	};

	gepa_shmem_add(&area);
}

/*
 * The table
 */

static Bucket *
bucket_of(const uint8 *digest)
{
	return &table.shared->buckets[gepa_judge_hash_digest(digest) % table.shared->nbuckets];
}

static ConditionVariable *
released(const uint8 *digest)
{
	return &table.shared->released[gepa_judge_hash_digest(digest) % PARTS];
}

/* The lock is held, here and below. */
static Lease *
find(const StoreLease *wanted)
{
	dlist_iter	iter;

	dlist_foreach(iter, &bucket_of(wanted->digest)->leases)
	{
		Lease	   *lease = dlist_container(Lease, node, iter.cur);

		if (gepa_store_key_is(&lease->key, wanted->account, wanted->digest))
			return lease;
	}
	return NULL;
}

static void
put(Lease *lease, const StoreLease *wanted, int64 longest_ms)
{
	gepa_store_key_set(&lease->key, MyDatabaseId, wanted->account, wanted->digest);
	lease->holder = MyProcPid;
	lease->expires = gepa_clock_after_ms(longest_ms);
	dlist_push_tail(&bucket_of(wanted->digest)->leases, &lease->node);
}

static void
drop(Lease *lease, bool failed)
{
	Bucket	   *bucket = bucket_of(lease->key.digest);

	lease->holder = 0;
	dlist_delete(&lease->node);
	dlist_push_head(&table.shared->free, &lease->node);
	pg_atomic_fetch_add_u32(&bucket->releases, 1);
	if (failed)
		pg_atomic_fetch_add_u32(&bucket->failures, 1);
}

/*
 * Taking and releasing
 */

void
gepa_store_lease_note(StoreLease *lease, const uint8 *account, const uint8 *digest)
{
	memset(lease, 0, sizeof(StoreLease));
	lease->account = account;
	lease->digest = digest;
	if (table.shared == NULL)
		return;
	lease->releases = pg_atomic_read_u32(&bucket_of(digest)->releases);
	lease->failures = pg_atomic_read_u32(&bucket_of(digest)->failures);
	pg_read_barrier();			/* counters first, then the look-up */
}

/* Whoever ends while it holds leases never comes to release them. */
static void
at_exit(int code, Datum arg)
{
	Lease	   *leases = (Lease *) ((char *) table.shared + buckets_size());

	if (table.nheld == 0)
		return;
	LWLockAcquire(table.lock, LW_EXCLUSIVE);
	for (int i = 0; i < table.shared->nbuckets; i++)
		if (leases[i].holder == MyProcPid)
			drop(&leases[i], false);
	LWLockRelease(table.lock);
	for (int i = 0; i < PARTS; i++)
		ConditionVariableBroadcast(&table.shared->released[i]);
}

static void
register_exit(void)
{
	if (!table.registered)
		on_shmem_exit(at_exit, (Datum) 0);
	table.registered = true;
}

static StoreLeaseAnswer
take(StoreLease *wanted, int64 longest_ms)
{
	Bucket	   *bucket = bucket_of(wanted->digest);
	uint32		releases = pg_atomic_read_u32(&bucket->releases);
	Lease	   *lease;

	if (releases != wanted->releases)
	{
		wanted->releases = releases;
		return STORE_LEASE_LOOK;
	}
	lease = find(wanted);
	if (lease != NULL && lease->holder != MyProcPid &&
		pg_atomic_read_u32(&bucket->failures) == wanted->failures)
		return STORE_LEASE_WAIT;
	if (lease == NULL && !dlist_is_empty(&table.shared->free))
	{
		lease = dlist_container(Lease, node, dlist_pop_head_node(&table.shared->free));
		put(lease, wanted, longest_ms);
		wanted->held = true;
		table.nheld++;
	}
	return STORE_LEASE_CALL;
}

StoreLeaseAnswer
gepa_store_lease_take(StoreLease *lease, int64 longest_ms)
{
	StoreLeaseAnswer answer;

	if (table.shared == NULL || !gepa_store_ring_available())
		return STORE_LEASE_CALL;
	register_exit();
	LWLockAcquire(table.lock, LW_EXCLUSIVE);
	answer = take(lease, longest_ms);
	LWLockRelease(table.lock);
	return answer;
}

/* If it was taken over meanwhile, it is not ours to give back. */
void
gepa_store_lease_release(StoreLease *lease, bool failed)
{
	Lease	   *found;

	if (!lease->held)
		return;
	lease->held = false;
	table.nheld--;
	LWLockAcquire(table.lock, LW_EXCLUSIVE);
	found = find(lease);
	if (found != NULL && found->holder == MyProcPid)
		drop(found, failed);
	LWLockRelease(table.lock);
	ConditionVariableBroadcast(released(lease->digest));
}

/*
 * Waiting
 */

/* Who holds it, and until when; 0 = nobody. */
static int
look_at_holder(const StoreLease *wanted, int64 *expires)
{
	Lease	   *lease;
	int			holder = 0;

	LWLockAcquire(table.lock, LW_SHARED);
	lease = find(wanted);
	if (lease != NULL)
	{
		holder = lease->holder;
		*expires = lease->expires;
	}
	LWLockRelease(table.lock);
	return holder;
}

/* Unless it has another holder by now. */
static void
take_from(int holder, const StoreLease *wanted)
{
	Lease	   *lease;

	LWLockAcquire(table.lock, LW_EXCLUSIVE);
	lease = find(wanted);
	if (lease != NULL && lease->holder == holder)
		drop(lease, false);
	LWLockRelease(table.lock);
	ConditionVariableBroadcast(released(wanted->digest));
}

/* By whom it was held before; after a release there is something to look up. */
static bool
is_still_held(const StoreLease *wanted)
{
	int64		expires = 0;
	int			holder = look_at_holder(wanted, &expires);

	if (holder == 0 ||
		pg_atomic_read_u32(&bucket_of(wanted->digest)->releases) != wanted->releases)
		return false;
	if (BackendPidGetProc(holder) != NULL && expires > gepa_clock_us())
		return true;
	take_from(holder, wanted);
	return false;
}

bool
gepa_store_lease_is_held(StoreLease *lease)
{
	if (pg_atomic_read_u32(&bucket_of(lease->digest)->releases) != lease->releases)
		return false;
	if (gepa_clock_us() < lease->look_at)
		return true;
	lease->look_at = gepa_clock_after_ms(STORE_LEASE_LOOK_MS);
	return is_still_held(lease);
}

bool
gepa_store_lease_watch(const StoreLease *lease)
{
	ConditionVariablePrepareToSleep(released(lease->digest));
	return is_still_held(lease);
}

void
gepa_store_lease_unwatch(void)
{
	ConditionVariableCancelSleep();
}

void
gepa_store_lease_wait(const StoreLease *lease)
{
	Assert(table.nheld == 0);
	if (gepa_store_lease_watch(lease))
		gepa_wait_sleep(released(lease->digest), STORE_LEASE_LOOK_MS, GEPA_WAIT_LEASE);
	gepa_store_lease_unwatch();
}
