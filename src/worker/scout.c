/*-------------------------------------------------------------------------
 *
 * scout.c
 *	  Looking into databases for what wants a worker.
 *
 * At its start, and when slots were full and there is room again, the
 * launcher sends a scout into every database, WORKER_NSCOUTS at a time.  A
 * scout enters the runs that were interrupted, the schedules and the sweeps, and
 * exits.
 * One that ends without having done so is sent again after a while, as is one
 * to a database that is a template or refuses connections (a template must
 * stay free of connections, to be copied).  A scout gives up at a lock that it
 * does not get, and makes room for the next.
 *
 * Each scout at work has a place; in shared memory stands, for each place, the
 * database whose scout has done its work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/shmem.h"
#include "worker/worker_launcher.h"
#include "worker/worker_schedule.h"

#define NSCOUTS 4
#define LONGEST_PAUSE_MS 60000
#define SCOUT_LOCK_TIMEOUT "5s"

typedef struct ScoutArgs
{
	Oid			database;
	int			place;
} ScoutArgs;

/* A scout that is to be sent, or is at work. */
typedef struct Scout
{
	BackgroundWorkerHandle *handle; /* NULL = not at work */
	Oid			database;
	int			failures;
	TimestampTz due;			/* not again before */
} Scout;

static struct
{
	pg_atomic_uint32 *done;		/* shared: by place, the database; 0 = none */
	List	   *to_send;		/* of Scout */
	Scout	   *at_work[NSCOUTS];
}			scouts;

/*
 * Set-up
 */

static Size
shmem_size(void)
{
	return sizeof(pg_atomic_uint32) * NSCOUTS;
}

static void
attach(void *memory, LWLock *lock, bool made)
{
	scouts.done = memory;
	for (int i = 0; i < NSCOUTS && made; i++)
		pg_atomic_init_u32(&scouts.done[i], InvalidOid);
}

void
gepa_launcher_scouts_init(void)
{
	static const GepaShmem area = {
		.name = "gepa scouts",
		.size = shmem_size,
		.attach = attach
	};

	gepa_shmem_add(&area);
}

/* Has the scout of a place done its work?  True once. */
static bool
take_done(int place, Oid database)
{
	return pg_atomic_exchange_u32(&scouts.done[place], InvalidOid) == database;
}

/*
 * Launcher
 */


/* One that is at work does not count: it may have looked too early. */
static void
want_scout(Oid database)
{
	Scout	   *scout;
	ListCell   *cell;

	foreach(cell, scouts.to_send)
	{
		scout = lfirst(cell);
		if (scout->database == database)
			return;
	}
	scout = palloc0(sizeof(Scout));
	scout->database = database;
	scouts.to_send = lappend(scouts.to_send, scout);
}

void
gepa_launcher_scout_all(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	MemoryContext old;

	gepa_worker_begin(gepa_launcher.cycle);
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	old = MemoryContextSwitchTo(gepa_launcher.context);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
		want_scout(((Form_pg_database) GETSTRUCT(tuple))->oid);
	MemoryContextSwitchTo(old);
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	gepa_worker_commit(gepa_launcher.cycle);
}

static void
put_off_scout(Scout *scout, TimestampTz now)
{
	int			pause = gepa_worker_backoff_ms(scout->failures++, LONGEST_PAUSE_MS);

	scout->due = TimestampTzPlusMilliseconds(now, pause);
}

/* What became of the scout of a place; one that failed is to go once more. */
static void
reap_scout(int place, TimestampTz now)
{
	Scout	   *scout = scouts.at_work[place];
	MemoryContext old;

	if (scout == NULL || !gepa_launcher_has_exited(scout->handle))
		return;
	scouts.at_work[place] = NULL;
	pfree(scout->handle);
	if (take_done(place, scout->database))
	{
		pfree(scout);
		return;
	}
	put_off_scout(scout, now);
	old = MemoryContextSwitchTo(gepa_launcher.context);
	scouts.to_send = lappend(scouts.to_send, scout);
	MemoryContextSwitchTo(old);
}

/* True when it is on its way, or has nowhere to go. */
static bool
send_scout(Scout *scout, int place, TimestampTz now)
{
	ScoutArgs	args = {.database = scout->database,.place = place};
	FormData_pg_database database;
	bool		exists;

	gepa_worker_begin(gepa_launcher.cycle);
	exists = gepa_launcher_find_database(scout->database, &database);
	gepa_worker_commit(gepa_launcher.cycle);
	if (!exists)
	{
		pfree(scout);
		return true;
	}
	if (!gepa_launcher_is_connectable(&database) || database.datistemplate)
	{
		put_off_scout(scout, now);
		return false;
	}
	(void) take_done(place, scout->database);
	scout->handle = gepa_launcher_start("gepa_worker_scout_main", "gepa scout", "gepa scout",
										&args, sizeof(args));
	if (scout->handle != NULL)
		scouts.at_work[place] = scout;
	return scout->handle != NULL;
}

static int
find_scout_place(void)
{
	for (int i = 0; i < NSCOUTS; i++)
		if (scouts.at_work[i] == NULL)
			return i;
	return -1;
}

void
gepa_launcher_send_scouts(void)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	if (gepa_worker_take_overflow())
		gepa_launcher_scout_all();
	for (int i = 0; i < NSCOUTS; i++)
		reap_scout(i, now);
	foreach(cell, scouts.to_send)
	{
		Scout	   *scout = lfirst(cell);
		int			place = find_scout_place();

		/* The exit of one that is at work wakes the launcher. */
		if (place < 0)
			break;
		if (scout->due <= now && send_scout(scout, place, now))
			scouts.to_send = foreach_delete_current(scouts.to_send, cell);
		else if (scout->due > now)
			gepa_launcher_wait_at_most((int) TimestampDifferenceMilliseconds(now, scout->due));
	}
}

/*
 * Scouts
 */

static void
enter_live(WorkerKind kind, Oid database, int id, Oid owner)
{
	WorkerWish	wish = {
		.kind = kind,
		.database = database,
		.id = id,
		.owner = owner
	};

	(void) gepa_worker_enter_slot(&wish);
}

/* One that is paused goes on when its time has come. */
static void
enter_job(Oid database, const StoreJob *job)
{
	WorkerWish	wish = {
		.kind = WORKER_KIND_JOB,
		.database = database,
		.id = job->job,
		.owner = job->owner,
		.due = job->status == STORE_JOB_PAUSED ? job->resume_at : 0
	};

	for (; wish.part < job->workers; wish.part++)
		(void) gepa_worker_enter_slot(&wish);
}

/*
 * A scout enters the live runs, sweeps and jobs and the schedules of one database.  It has no
 * part in what follows: a run that ended in between makes a worker that ends
 * at once.
 */
void
gepa_worker_scout_main(Datum arg)
{
	ScoutArgs	args;
	int		   *runs;
	Oid		   *owners;
	int		   *sweeps;
	Oid		   *sweep_owners;
	StoreSchedule *schedules = NULL;
	int			nschedules = 0;
	StoreJob   *jobs = NULL;
	int			njobs = 0;
	int			n = 0;
	int			nsweeps = 0;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	gepa_worker_setup_signals();
	gepa_worker_connect(args.database, InvalidOid, true);
	SetConfigOption("lock_timeout", SCOUT_LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_RUNNING, "looking for interrupted runs");
	gepa_worker_begin(TopMemoryContext);
	if (OidIsValid(gepa_store_extension_owner()))
	{
		n = gepa_store_live_runs(&runs, &owners);
		nsweeps = gepa_store_live_sweeps(&sweeps, &sweep_owners);
		schedules = gepa_store_list_schedules(&nschedules);
		jobs = gepa_store_live_jobs(&njobs);
	}
	gepa_worker_commit(TopMemoryContext);
	/* Schedules and sweeps first, so that none misses the end of its run. */
	for (int i = 0; i < nschedules; i++)
		gepa_worker_timetable_add(args.database, &schedules[i]);
	for (int i = 0; i < nsweeps; i++)
		enter_live(WORKER_KIND_SWEEP, args.database, sweeps[i], sweep_owners[i]);
	for (int i = 0; i < n; i++)
		enter_live(WORKER_KIND_RUN, args.database, runs[i], owners[i]);
	for (int i = 0; i < njobs; i++)
		enter_job(args.database, &jobs[i]);
	pg_atomic_write_u32(&scouts.done[args.place], args.database);
}
