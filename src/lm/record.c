/*-------------------------------------------------------------------------
 *
 * record.c
 *	  What is known of each LM: one record, of all processes of the server.
 *
 * Shared memory has the LMs that were called, each with its limits (flow.c), which
 * of its doors have answered lately and which want to be left alone (doors.c), and what
 * came of its calls (stats.c); and a pool of guests, for limit.c.
 *
 * Life cycle: an LM without guests stays, and with it what is known of it, until
 * another needs its entry and it is the one that was called longest ago; LMs of
 * databases that are gone, too, go that way.  A crash makes shared memory anew.
 * Not preloaded, or where there is no room, a process has records of its own,
 * which nobody else sees, and keeps them.
 *
 * Locking: one LWLock (tranche "GepaLimits") protects everything in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "lm/lm_record.h"

#define MAX_LMS 256

/* Most processes call one LM at a time, run workers two. */
#define GUESTS_PER_PROCESS 2

typedef struct Limits
{
	int			nguests;
	int			first_free;		/* -1 = none */
	LmRecord	lms[MAX_LMS];
	LmGuest		guests[FLEXIBLE_ARRAY_MEMBER];
} Limits;

typedef struct OwnRecord
{
	struct OwnRecord *next;
	LmRecord	record;
} OwnRecord;

static struct
{
	Limits	   *shared;			/* NULL = not preloaded */
	LWLock	   *lock;
	OwnRecord  *own;			/* of this process */
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
	{
		shared->guests[i].shared = true;
		shared->guests[i].next_free = i + 1 < shared->nguests ? i + 1 : -1;
	}
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

void
gepa_lm_records_lock(LWLockMode mode)
{
	if (limits.shared != NULL)
		LWLockAcquire(limits.lock, mode);
}

void
gepa_lm_records_unlock(void)
{
	if (limits.shared != NULL)
		LWLockRelease(limits.lock);
}

/*
 * Records
 */

static bool
is_of(const LmRecord *record, Oid serverid)
{
	return record->serverid == serverid && record->database == MyDatabaseId;
}

static LmRecord *
find_shared(Oid serverid)
{
	for (int i = 0; limits.shared != NULL && i < MAX_LMS; i++)
		if (is_of(&limits.shared->lms[i], serverid))
			return &limits.shared->lms[i];
	return NULL;
}

static LmRecord *
find_own(Oid serverid)
{
	for (OwnRecord *own = limits.own; own != NULL; own = own->next)
		if (is_of(&own->record, serverid))
			return &own->record;
	return NULL;
}

LmRecord *
gepa_lm_record_find(Oid serverid)
{
	LmRecord   *record = find_shared(serverid);

	return record != NULL ? record : find_own(serverid);
}

static void
start_record(LmRecord *record, Oid serverid)
{
	memset(record, 0, sizeof(LmRecord));
	record->database = MyDatabaseId;
	record->serverid = serverid;
	record->since = GetCurrentTimestamp();
	gepa_lm_flow_start(&record->flow);
}

/* One that is not in use, or that can be spared; NULL if there is none. */
static LmRecord *
find_room(void)
{
	LmRecord   *room = NULL;

	for (int i = 0; limits.shared != NULL && i < MAX_LMS; i++)
	{
		LmRecord   *record = &limits.shared->lms[i];

		if (!OidIsValid(record->serverid))
			return record;
		if (dlist_is_empty(&record->flow.places.parties) &&
			(room == NULL || record->used_at < room->used_at))
			room = record;
	}
	return room;
}

LmRecord *
gepa_lm_record_shared(Oid serverid)
{
	LmRecord   *record = find_shared(serverid);

	if (record == NULL && (record = find_room()) != NULL)
		start_record(record, serverid);
	return record;
}

LmRecord *
gepa_lm_record_own(Oid serverid)
{
	LmRecord   *record = find_own(serverid);
	OwnRecord  *own;

	if (record != NULL)
		return record;
	own = MemoryContextAlloc(TopMemoryContext, sizeof(OwnRecord));
	start_record(&own->record, serverid);
	own->next = limits.own;
	limits.own = own;
	return &own->record;
}

/*
 * Guests
 */

LmGuest *
gepa_lm_guest_take(void)
{
	LmGuest    *guest;

	if (limits.shared == NULL || limits.shared->first_free < 0)
		return NULL;
	guest = &limits.shared->guests[limits.shared->first_free];
	limits.shared->first_free = guest->next_free;
	return guest;
}

void
gepa_lm_guest_free(LmGuest *guest)
{
	guest->pid = 0;
	guest->next_free = limits.shared->first_free;
	limits.shared->first_free = (int) (guest - limits.shared->guests);
}

void
gepa_lm_guests_of_process(void (*visit) (LmGuest *guest))
{
	for (int i = 0; limits.shared != NULL && i < limits.shared->nguests; i++)
		if (limits.shared->guests[i].pid == MyProcPid)
			visit(&limits.shared->guests[i]);
}

/*
 * Figures
 */

static void
add_party(LmFigures *figures, const LmParty *party)
{
	LmClassUse *use = &figures->classes[party->class];

	use->processes++;
	use->in_flight += party->held - party->granted;
	use->waiting += party->wants;
}

/* A time of the clock of waits by that of dates. */
static TimestampTz
to_date(int64 when, int64 now)
{
	return when <= now ? 0 : GetCurrentTimestamp() + (when - now);
}

static int64
held_until(const LmRecord *record)
{
	int64		until = record->rest.until;

	for (int i = 0; i < LM_NDOORS; i++)
		until = Max(until, record->flow.held.until[i]);
	return until;
}

static void
copy_stats(LmFigures *figures, const LmStats *stats)
{
	static const double shares[] = {0.5, 0.95, 0.99};

	StaticAssertStmt(lengthof(shares) == lengthof(figures->latency_ms), "a share has a figure");
	figures->calls = stats->calls;
	figures->ok = stats->ok;
	figures->retries = stats->retries;
	for (int i = 0; i < LM_NERRORS; i++)
		figures->errors[i] = stats->errors[i];
	figures->input_tokens = stats->input_tokens;
	figures->output_tokens = stats->output_tokens;
	figures->cost = stats->cost;
	for (int i = 0; i < lengthof(shares); i++)
		figures->latency_ms[i] = gepa_lm_stats_latency_ms(stats, shares[i]);
}

static void
read_record(const LmRecord *record, LmFigures *figures)
{
	int64		now = gepa_clock_us();
	const LmFlow *flow = &record->flow;
	dlist_iter	iter;

	memset(figures, 0, sizeof(LmFigures));
	figures->serverid = record->serverid;
	figures->max_concurrency = flow->adapt.top;
	figures->limit = flow->adapt.limit;
	figures->peak = record->peak;
	figures->held_until = to_date(held_until(record), now);
	figures->requests_per_minute = flow->requests.per_minute;
	figures->tokens_per_minute = flow->tokens.per_minute;
	figures->requests_left = gepa_lm_rate_left(&flow->requests, now);
	figures->tokens_left = gepa_lm_rate_left(&flow->tokens, now);
	figures->since = record->since;
	dlist_foreach(iter, &unconstify(LmFlow *, flow)->places.parties)
		add_party(figures, dlist_container(LmParty, node, iter.cur));
	copy_stats(figures, &record->stats);
}

LmFigures *
gepa_lm_figures(int *n)
{
	int			most = MAX_LMS;
	LmFigures  *figures;

	for (OwnRecord *own = limits.own; own != NULL; own = own->next)
		most++;
	figures = palloc(sizeof(LmFigures) * most);
	*n = 0;
	gepa_lm_records_lock(LW_SHARED);
	for (int i = 0; limits.shared != NULL && i < MAX_LMS; i++)
		if (OidIsValid(limits.shared->lms[i].serverid) &&
			limits.shared->lms[i].database == MyDatabaseId)
			read_record(&limits.shared->lms[i], &figures[(*n)++]);
	for (OwnRecord *own = limits.own; own != NULL; own = own->next)
		if (find_shared(own->record.serverid) == NULL)
			read_record(&own->record, &figures[(*n)++]);
	gepa_lm_records_unlock();
	return figures;
}
