/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  The limit of calls in flight on an LM, over all processes of the server.
 *
 * Shared memory has the LMs that were called, each with its places (share.c),
 * and a pool of guests: a guest is one process as a party of one LM, from
 * the first call that it has in flight, or waits to start, to the last.  With the LM
 * stands which of its doors have answered lately (doors.c).
 *
 * Actors: a process takes a place before it sends and gives it back when the
 * call has ended.  Whoever makes a place free, or raises the limit, grants it
 * to whose turn it is and sets that one's latch.  A place so granted is taken
 * or declined by that process.
 *
 * Life cycle: the limit of an LM is what the caller said that opened a batch
 * last.  An LM without guests stays, and with it what is known of its doors,
 * until another needs its entry; LMs of databases that are gone, too,
 * go that way.  A guest ends with its last place, and with its process at the
 * latest, after its transaction has called its calls back.  A crash makes
 * shared memory anew.
 *
 * Locking: one LWLock (tranche "GepaLimits") protects everything below.  A
 * guest looks at its own "granted" without it: it is woken after that was set.
 *
 * Known hole: an endpoint may see the next call before it notices that one was
 * called back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#include "base/shmem.h"
#include "lm/lm.h"
#include "lm/lm_limit.h"

#define MAX_LMS 256

/* Most processes call one LM at a time, run workers two. */
#define GUESTS_PER_PROCESS 2

typedef struct SharedLm
{
	Oid			database;
	Oid			serverid;		/* InvalidOid = unused */
	LmPlaces	places;
	LmDoors		doors;
} SharedLm;

struct LmGuest
{
	LmParty		party;			/* must be first */
	int			lm;
	int			pid;			/* 0 = free */
	Latch	   *latch;
	int			next_free;		/* -1 = last */
};

typedef struct Limits
{
	int			nguests;
	int			first_free;		/* -1 = none */
	SharedLm	lms[MAX_LMS];
	LmGuest		guests[FLEXIBLE_ARRAY_MEMBER];
} Limits;

static struct
{
	Limits	   *shared;			/* NULL = not preloaded */
	LWLock	   *lock;
	bool		registered;		/* for the end of the process */
}			limits;

/*
 * Set-up
 */

static int
guest_count(void)
{
	return MaxBackends * GUESTS_PER_PROCESS;
}

static Size
limits_size(void)
{
	return add_size(offsetof(Limits, guests), mul_size(guest_count(), sizeof(LmGuest)));
}

static void
attach(void *memory, LWLock *lock, bool made)
{
	Limits	   *shared = memory;

	limits.shared = shared;
	limits.lock = lock;
	if (!made)
		return;
	shared->nguests = guest_count();
	for (int i = 0; i < shared->nguests; i++)
		shared->guests[i].next_free = i + 1 < shared->nguests ? i + 1 : -1;
}

void
gepa_lm_limit_init(void)
{
	static const GepaShmem area = {
		.name = "gepa lm limits",
		.tranche = "GepaLimits",
		.size = limits_size,
		.attach = attach
	};

	gepa_shmem_add(&area);
}

/*
 * The lock is held
 */

static LmPlaces *
places_of(const LmGuest *guest)
{
	return &limits.shared->lms[guest->lm].places;
}

/* Grant what is free, and wake those that have waited for it. */
static void
grant(LmPlaces *places)
{
	LmGuest    *guest;

	while ((guest = (LmGuest *) gepa_lm_places_grant(places)) != NULL)
		if (guest->pid != MyProcPid)
			SetLatch(guest->latch);
}

/* Index of the LM's entry, made if need be; -1 when all are in use. */
static int
find_lm(Oid serverid, int limit)
{
	int			unused = -1;
	SharedLm   *lm;

	for (int i = 0; i < MAX_LMS; i++)
	{
		lm = &limits.shared->lms[i];
		if (lm->serverid == serverid && lm->database == MyDatabaseId)
			return i;
		if (!OidIsValid(lm->serverid) ||
			(unused < 0 && dlist_is_empty(&lm->places.parties)))
			unused = i;
	}
	if (unused < 0)
		return -1;
	lm = &limits.shared->lms[unused];
	lm->database = MyDatabaseId;
	lm->serverid = serverid;
	lm->places.limit = limit;
	lm->places.taken = 0;
	memset(&lm->doors, 0, sizeof(LmDoors));
	dlist_init(&lm->places.parties);
	return unused;
}

static LmGuest *
take_free_guest(int lm)
{
	LmGuest    *guest;

	if (lm < 0 || limits.shared->first_free < 0)
		return NULL;
	guest = &limits.shared->guests[limits.shared->first_free];
	limits.shared->first_free = guest->next_free;
	guest->lm = lm;
	guest->pid = MyProcPid;
	guest->latch = MyLatch;
	gepa_lm_places_join(places_of(guest), &guest->party);
	return guest;
}

static void
free_guest(LmGuest *guest)
{
	LmPlaces   *places = places_of(guest);

	gepa_lm_places_part(places, &guest->party);
	guest->pid = 0;
	guest->next_free = limits.shared->first_free;
	limits.shared->first_free = (int) (guest - limits.shared->guests);
	grant(places);
}

/*
 * Joining and parting
 */

/* By now the end of the transaction has called back what was on its way. */
static void
at_exit(int code, Datum arg)
{
	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	for (int i = 0; i < limits.shared->nguests; i++)
		if (limits.shared->guests[i].pid == MyProcPid)
			free_guest(&limits.shared->guests[i]);
	LWLockRelease(limits.lock);
}

void
gepa_lm_limit_set(Oid serverid, int limit)
{
	int			at;

	if (limits.shared == NULL)
		return;
	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	at = find_lm(serverid, limit);
	if (at >= 0)
	{
		limits.shared->lms[at].places.limit = limit;
		grant(&limits.shared->lms[at].places);
	}
	LWLockRelease(limits.lock);
}

LmGuest *
gepa_lm_limit_join(Oid serverid, int limit)
{
	LmGuest    *guest;

	if (limits.shared == NULL)
		return NULL;
	if (!limits.registered)
		on_shmem_exit(at_exit, (Datum) 0);
	limits.registered = true;
	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	guest = take_free_guest(find_lm(serverid, limit));
	LWLockRelease(limits.lock);
	return guest;
}

void
gepa_lm_limit_part(LmGuest *guest)
{
	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	free_guest(guest);
	LWLockRelease(limits.lock);
}

/*
 * Places
 */

bool
gepa_lm_limit_take(LmGuest *guest)
{
	bool		taken;

	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	taken = gepa_lm_places_take(places_of(guest), &guest->party);
	LWLockRelease(limits.lock);
	return taken;
}

void
gepa_lm_limit_give_back(LmGuest *guest, int n)
{
	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	gepa_lm_places_give_back(places_of(guest), &guest->party, n);
	grant(places_of(guest));
	LWLockRelease(limits.lock);
}

void
gepa_lm_limit_want(LmGuest *guest, bool wants)
{
	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	guest->party.wants = wants;
	if (!wants)
		gepa_lm_places_decline(places_of(guest), &guest->party);
	grant(places_of(guest));
	LWLockRelease(limits.lock);
}

/* A place may have become free since the last look. */
void
gepa_lm_limit_attend(LmGuest *guest, bool attends)
{
	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	guest->party.attends = attends;
	grant(places_of(guest));
	LWLockRelease(limits.lock);
}

bool
gepa_lm_limit_granted(const LmGuest *guest)
{
	return *(volatile const int *) &guest->party.granted > 0;
}

/*
 * Doors
 */

/* Its entry, which is there since a batch was opened; NULL when there was no room. */
static LmDoors *
doors_of(Oid serverid)
{
	for (int i = 0; i < MAX_LMS; i++)
	{
		SharedLm   *lm = &limits.shared->lms[i];

		if (lm->serverid == serverid && lm->database == MyDatabaseId)
			return &lm->doors;
	}
	return NULL;
}

bool
gepa_lm_limit_open_until(Oid serverid, uint64 door, int64 *until)
{
	const LmDoors *doors;

	if (limits.shared == NULL)
		return false;
	LWLockAcquire(limits.lock, LW_SHARED);
	doors = doors_of(serverid);
	if (doors != NULL)
		*until = gepa_lm_doors_open_until(doors, door);
	LWLockRelease(limits.lock);
	return doors != NULL;
}

bool
gepa_lm_limit_open(Oid serverid, uint64 door, int64 until)
{
	LmDoors    *doors;

	if (limits.shared == NULL)
		return false;
	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	doors = doors_of(serverid);
	if (doors != NULL)
		gepa_lm_doors_open(doors, door, until);
	LWLockRelease(limits.lock);
	return doors != NULL;
}

void
gepa_lm_limit_shut(Oid serverid, uint64 door)
{
	LmDoors    *doors;

	if (limits.shared == NULL)
		return;
	LWLockAcquire(limits.lock, LW_EXCLUSIVE);
	doors = doors_of(serverid);
	if (doors != NULL)
		gepa_lm_doors_shut(doors, door);
	LWLockRelease(limits.lock);
}
