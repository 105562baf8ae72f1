/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  The limits of an LM, over all processes of the server.
 *
 * What holds is worked out by flow.c, from what record.c keeps in shared memory.
 * A guest is one process as a party of one LM, from the first call that it has in
 * flight, or waits to start, to the last.
 *
 * Actors: a process takes a place before it sends and gives it back when the
 * call has ended, and says what came of it.  Whoever makes a place free, or raises a
 * limit, grants it to whose turn it is and sets that one's latch.  A place so granted
 * is taken or declined by that process.
 *
 * Life cycle: limits are what the caller said that opened a batch last.  A guest ends
 * with its last place, and with its process at the latest, after its transaction
 * has called its calls back.
 *
 * Locking: that of record.c.  A guest looks at its own "granted" without the lock: it
 * is woken after that was set.
 *
 * Known hole: an endpoint may see the next call before it notices that one was
 * called back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "lm/lm_record.h"

static bool registered = false; /* for the end of the process */

/* In its own process it is noticed without. */
static void
wake(LmParty *party)
{
	LmGuest    *guest = (LmGuest *) party;

	if (guest->pid != MyProcPid)
		SetLatch(guest->latch);
}

/* NULL when nothing is known of the LM; the lock is taken either way. */
static LmRecord *
lock_record(Oid serverid, LWLockMode mode)
{
	gepa_lm_records_lock(mode);
	return gepa_lm_record_find(serverid);
}

/*
 * Joining and parting
 */

static void
set_limits(LmRecord *record, const LmLimits *limits)
{
	int64		now = gepa_clock_us();

	record->used_at = now;
	gepa_lm_flow_set(&record->flow, limits, now);
	gepa_lm_flow_grant(&record->flow, now, wake);
}

void
gepa_lm_limit_open(Oid serverid, const LmLimits *limits)
{
	LmRecord   *record;

	gepa_lm_records_lock(LW_EXCLUSIVE);
	record = gepa_lm_record_shared(serverid);
	if (record != NULL)
		set_limits(record, limits);
	gepa_lm_records_unlock();
	if (record == NULL)
		set_limits(gepa_lm_record_own(serverid), limits);
}

static void
start_guest(LmGuest *guest, LmRecord *record, LmClass class)
{
	guest->record = record;
	guest->pid = MyProcPid;
	guest->latch = MyLatch;
	gepa_lm_places_join(&record->flow.places, &guest->party, class);
}

static void
end_guest(LmGuest *guest)
{
	LmFlow	   *flow = &guest->record->flow;
	int64		now = gepa_clock_us();

	gepa_lm_flow_decline(flow, &guest->party, now);
	gepa_lm_places_part(&flow->places, &guest->party);
	gepa_lm_flow_grant(flow, now, wake);
	if (guest->shared)
		gepa_lm_guest_free(guest);
}

/* By now the end of the transaction has called back what was on its way. */
static void
at_exit(int code, Datum arg)
{
	gepa_lm_records_lock(LW_EXCLUSIVE);
	gepa_lm_guests_of_process(end_guest);
	gepa_lm_records_unlock();
}

/* A party of what nobody else has a part in. */
static LmGuest *
join_own(Oid serverid, const LmLimits *limits, LmClass class)
{
	LmRecord   *record = gepa_lm_record_own(serverid);
	LmGuest    *guest = MemoryContextAllocZero(TopMemoryContext, sizeof(LmGuest));

	set_limits(record, limits);
	start_guest(guest, record, class);
	return guest;
}

LmGuest *
gepa_lm_limit_join(Oid serverid, const LmLimits *limits, LmClass class)
{
	LmRecord   *record;
	LmGuest    *guest = NULL;

	if (!registered)
		on_shmem_exit(at_exit, (Datum) 0);
	registered = true;
	gepa_lm_records_lock(LW_EXCLUSIVE);
	record = gepa_lm_record_shared(serverid);
	if (record != NULL)
		guest = gepa_lm_guest_take();
	if (guest != NULL)
		start_guest(guest, record, class);
	gepa_lm_records_unlock();
	return guest != NULL ? guest : join_own(serverid, limits, class);
}

void
gepa_lm_limit_part(LmGuest *guest)
{
	gepa_lm_records_lock(LW_EXCLUSIVE);
	end_guest(guest);
	gepa_lm_records_unlock();
	if (!guest->shared)
		pfree(guest);
}

/*
 * Calls
 */

LmEntry
gepa_lm_limit_take(LmGuest *guest, uint64 door, LmClaim *claim, int64 *held_until)
{
	LmRecord   *record = guest->record;
	int64		now = gepa_clock_us();
	LmEntry		entry = LM_ENTRY_NO;

	gepa_lm_records_lock(LW_EXCLUSIVE);
	*held_until = gepa_lm_doors_open_until(&record->flow.held, door);
	if (record->rest.door == door && record->rest.until > now)
		entry = LM_ENTRY_CLOSED;
	else if (*held_until > now)
		entry = LM_ENTRY_HELD;
	else if (gepa_lm_flow_take(&record->flow, &guest->party, claim, now, wake))
		entry = LM_ENTRY_YES;
	record->peak = Max(record->peak, record->flow.places.taken);
	gepa_lm_records_unlock();
	return entry;
}

void
gepa_lm_limit_end(LmGuest *guest, const LmClaim *claim, const LmAttempt *attempt)
{
	LmRecord   *record = guest->record;
	int64		now = gepa_clock_us();

	gepa_lm_records_lock(LW_EXCLUSIVE);
	gepa_lm_flow_end(&record->flow, &guest->party, claim, &attempt->spent, now);
	gepa_lm_stats_add(&record->stats, attempt);
	gepa_lm_flow_grant(&record->flow, now, wake);
	gepa_lm_records_unlock();
}

void
gepa_lm_limit_unsent(LmGuest *guest, const LmClaim *claim)
{
	LmFlow	   *flow = &guest->record->flow;
	int64		now = gepa_clock_us();

	gepa_lm_records_lock(LW_EXCLUSIVE);
	gepa_lm_flow_unsent(flow, &guest->party, claim, now);
	gepa_lm_flow_grant(flow, now, wake);
	gepa_lm_records_unlock();
}

void
gepa_lm_limit_cancelled(LmGuest *guest, int n)
{
	LmRecord   *record = guest->record;

	gepa_lm_records_lock(LW_EXCLUSIVE);
	gepa_lm_places_give_back(&record->flow.places, &guest->party, n);
	gepa_lm_stats_add_cancelled(&record->stats, n);
	gepa_lm_flow_grant(&record->flow, gepa_clock_us(), wake);
	gepa_lm_records_unlock();
}

void
gepa_lm_limit_note(Oid serverid, const LmAttempt *attempt)
{
	LmRecord   *record = lock_record(serverid, LW_EXCLUSIVE);

	if (record != NULL)
		gepa_lm_stats_add(&record->stats, attempt);
	gepa_lm_records_unlock();
}

/*
 * Waiting
 */

void
gepa_lm_limit_want(LmGuest *guest, bool wants)
{
	LmFlow	   *flow = &guest->record->flow;
	int64		now = gepa_clock_us();

	gepa_lm_records_lock(LW_EXCLUSIVE);
	gepa_lm_places_want(&flow->places, &guest->party, wants);
	if (!wants)
		gepa_lm_flow_decline(flow, &guest->party, now);
	gepa_lm_flow_grant(flow, now, wake);
	gepa_lm_records_unlock();
}

/* A place may have become free since the last look. */
int64
gepa_lm_limit_attend(LmGuest *guest, bool attends)
{
	LmFlow	   *flow = &guest->record->flow;
	LmParty    *party = &guest->party;
	int64		now = gepa_clock_us();

	gepa_lm_records_lock(LW_EXCLUSIVE);
	if (attends)
		party->due = gepa_lm_flow_due(flow, party, now);
	party->attends = true;
	gepa_lm_flow_grant(flow, now, wake);
	party->attends = attends;
	gepa_lm_records_unlock();
	return party->due;
}

bool
gepa_lm_limit_granted(const LmGuest *guest)
{
	return *(volatile const int *) &guest->party.granted > 0;
}

/*
 * Doors
 */

void
gepa_lm_limit_hold(Oid serverid, uint64 door, int64 until)
{
	LmRecord   *record = lock_record(serverid, LW_EXCLUSIVE);

	if (record != NULL && gepa_lm_doors_open_until(&record->flow.held, door) < until)
		gepa_lm_doors_open(&record->flow.held, door, until);
	gepa_lm_records_unlock();
}

void
gepa_lm_limit_close(Oid serverid, uint64 door, int64 until, const LmReply *why)
{
	int			length = why->detail == NULL ? 0 :
		pg_mbcliplen(why->detail, (int) strlen(why->detail), LM_REST_BYTES - 1);
	LmRecord   *record = lock_record(serverid, LW_EXCLUSIVE);

	if (record != NULL)
	{
		LmRest	   *rest = &record->rest;

		rest->door = door;
		rest->until = until;
		rest->status = why->status;
		rest->sqlerrcode = why->sqlerrcode;
		rest->http_status = why->http_status;
		rest->cause = why->cause;
		memcpy(rest->detail, why->detail, length);
		rest->detail[length] = '\0';
	}
	gepa_lm_records_unlock();
}

int64
gepa_lm_limit_held_until(Oid serverid, uint64 door)
{
	const LmRecord *record = lock_record(serverid, LW_SHARED);
	int64		until = 0;

	if (record != NULL)
		until = gepa_lm_doors_open_until(&record->flow.held, door);
	if (record != NULL && record->rest.door == door)
		until = Max(until, record->rest.until);
	gepa_lm_records_unlock();
	return until;
}

/* Texts are made of the copy: that allocates. */
int64
gepa_lm_limit_closed_until(Oid serverid, uint64 door, LmReply *why)
{
	const LmRecord *record = lock_record(serverid, LW_SHARED);
	LmRest		rest = {0};

	if (record != NULL && record->rest.door == door)
		rest = record->rest;
	gepa_lm_records_unlock();
	why->status = rest.status;
	why->sqlerrcode = rest.sqlerrcode;
	why->http_status = rest.http_status;
	why->cause = rest.cause;
	why->retry_after_ms = gepa_clock_ms_until(rest.until);
	why->detail = pstrdup(rest.detail);
	return rest.until;
}

int64
gepa_lm_limit_open_until(Oid serverid, uint64 door)
{
	const LmRecord *record = lock_record(serverid, LW_SHARED);
	int64		until = 0;

	if (record != NULL)
		until = gepa_lm_doors_open_until(&record->doors, door);
	gepa_lm_records_unlock();
	return until;
}

void
gepa_lm_limit_answered(Oid serverid, uint64 door, int64 until)
{
	LmRecord   *record = lock_record(serverid, LW_EXCLUSIVE);

	if (record != NULL)
		gepa_lm_doors_open(&record->doors, door, until);
	gepa_lm_records_unlock();
}

void
gepa_lm_limit_refused(Oid serverid, uint64 door)
{
	LmRecord   *record = lock_record(serverid, LW_EXCLUSIVE);

	if (record != NULL)
		gepa_lm_doors_shut(&record->doors, door);
	gepa_lm_records_unlock();
}
