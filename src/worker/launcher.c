/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The one worker that starts the others.
 *
 * The launcher has no database.  It reads pg_database and pg_authid, and
 * otherwise only shared memory:
 *
 *	 - at its start it sends a scout into every database, a few at a time; a
 *	   scout enters the runs that were interrupted and the schedules, and
 *	   exits.  One that ends without having done so is sent again after a
 *	   while, as is one to a database that is a template or refuses
 *	   connections (a template must stay free of connections, to be copied);
 *	 - it starts a run worker for every slot that is due (requests.c), up to
 *	   gepa.max_run_workers;
 *	 - it starts a schedule worker for every schedule that is due (timetable.c);
 *	 - it starts a verdict writer for every database whose entries wait in the
 *	   ring without one.
 *
 * It never waits for any of them.  A scout gives up at a lock that it does not
 * get, and makes room for the next.  That no worker can be registered
 * (max_worker_processes) is a normal outcome: said once, tried again later.
 * The launcher is registered when the library is preloaded and restarted after
 * RESTART_SECONDS; its own death loses nothing, the slots are in shared memory.
 *
 * Two memory contexts: "gepa launcher" lives as long as the process, "gepa
 * launcher cycle" is reset before each turn of the loop.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "base/wait.h"
#include "worker/worker_schedule.h"

#define RESTART_SECONDS 5
#define LONGEST_SLEEP_MS 60000
#define REGISTER_RETRY_MS 5000
#define MAX_WRITERS 64
#define SCOUT_LOCK_TIMEOUT "5s"

/* Those that compare are at work for as long as their calls take. */
#define MAX_SCHEDULE_WORKERS 4

/* When a database is looked at again that refused connections. */
#define CLOSED_RETRY_MS 5000

/* A writer that ends sooner than this did not end because it was idle. */
#define WRITER_GOOD_LIFE_MS 1000

/* A worker that was started, or is to be; run workers only until they exit. */
typedef struct Started
{
	BackgroundWorkerHandle *handle; /* NULL = none at work */
	WorkerRunArgs args;			/* run workers */
	WorkerScheduleArgs schedule;	/* schedule workers */
	Oid			database;		/* scouts, writers */
	TimestampTz since;
	int			failures;
	TimestampTz due;			/* scouts, writers: not again before */
} Started;

static struct
{
	MemoryContext context;
	MemoryContext cycle;
	List	   *to_scout;		/* of Started */
	Started    *scouts[WORKER_NSCOUTS]; /* at work */
	List	   *runs;			/* of Started */
	List	   *schedules;		/* of Started */
	List	   *writers;		/* of Started */
	bool		told_full;		/* said that no worker can be registered */
	int			wait_ms;		/* how long this turn may sleep */
}			launcher;

/*
 * At load
 */

void
gepa_worker_init(void)
{
	BackgroundWorker worker;

	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	gepa_worker_requests_init();
	gepa_worker_timetable_init();

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	strlcpy(worker.bgw_library_name, "gepa", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "gepa_worker_launcher_main",
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "gepa launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "gepa launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

bool
gepa_worker_available(void)
{
	return gepa_worker_requests_available();
}

void
gepa_worker_require(const char *function)
{
	if (!gepa_worker_available())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s() needs a background worker, and gepa was not preloaded", function),
				 errhint("Add gepa to shared_preload_libraries and restart the server.")));
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("%s() cannot be used on a standby", function),
				 errhint("Call it on the primary.")));
}

/*
 * Starting workers
 */

static void
wait_at_most(int ms)
{
	launcher.wait_ms = Min(launcher.wait_ms, ms);
}

/* Register; when there is no room, say so once and come back later. */
static BackgroundWorkerHandle *
start_worker(const char *function, const char *name, const char *type,
			 const void *extra, Size length)
{
	MemoryContext old = MemoryContextSwitchTo(launcher.context);
	BackgroundWorkerHandle *handle = NULL;
	bool		registered = gepa_worker_register(function, name, type, extra, length,
												  &handle);

	MemoryContextSwitchTo(old);
	if (!registered)
	{
		wait_at_most(REGISTER_RETRY_MS);
		if (!launcher.told_full)
			ereport(LOG,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("no background worker slot for \"%s\", will retry", name),
					 errhint("You might need to increase max_worker_processes.")));
		launcher.told_full = true;
		return NULL;
	}
	launcher.told_full = false;
	return handle;
}

static bool
has_exited(BackgroundWorkerHandle *handle)
{
	pid_t		pid;

	return GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED;
}

/* How long to wait after so many failures in a row. */
static int
delay_ms(int failures)
{
	return Min(1000 << Min(failures, 6), LONGEST_SLEEP_MS);
}

/*
 * Databases
 */

/* Is there such a database?  In a transaction. */
static bool
look_up_database(Oid oid, FormData_pg_database * database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(oid));

	if (!HeapTupleIsValid(tuple))
		return false;
	*database = *(Form_pg_database) GETSTRUCT(tuple);
	ReleaseSysCache(tuple);
	return true;
}

static bool
is_connectable(const FormData_pg_database * database)
{
	/* A limit below -1 marks a database whose DROP was interrupted. */
	return database->datallowconn && database->datconnlimit >= -1;
}

/*
 * Scouts
 */

/* One that is at work does not count: it may have looked too early. */
static void
want_scout(Oid database)
{
	Started    *scout;
	ListCell   *cell;

	foreach(cell, launcher.to_scout)
	{
		scout = lfirst(cell);
		if (scout->database == database)
			return;
	}
	scout = palloc0(sizeof(Started));
	scout->database = database;
	launcher.to_scout = lappend(launcher.to_scout, scout);
}

static void
scout_all_databases(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	MemoryContext old;

	gepa_worker_begin(launcher.cycle);
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	old = MemoryContextSwitchTo(launcher.context);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
		want_scout(((Form_pg_database) GETSTRUCT(tuple))->oid);
	MemoryContextSwitchTo(old);
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	gepa_worker_commit(launcher.cycle);
}

static void
put_off_scout(Started *scout, TimestampTz now)
{
	scout->due = TimestampTzPlusMilliseconds(now, delay_ms(scout->failures++));
}

/* What became of the scout of a place; one that failed is to go once more. */
static void
reap_scout(int place, TimestampTz now)
{
	Started    *scout = launcher.scouts[place];
	MemoryContext old;

	if (scout == NULL || !has_exited(scout->handle))
		return;
	launcher.scouts[place] = NULL;
	pfree(scout->handle);
	if (gepa_worker_take_scouted(place, scout->database))
	{
		pfree(scout);
		return;
	}
	put_off_scout(scout, now);
	old = MemoryContextSwitchTo(launcher.context);
	launcher.to_scout = lappend(launcher.to_scout, scout);
	MemoryContextSwitchTo(old);
}

/* True when it is on its way, or has nowhere to go. */
static bool
launch_scout(Started *scout, int place, TimestampTz now)
{
	WorkerScoutArgs args = {.database = scout->database,.place = place};
	FormData_pg_database database;
	bool		exists;

	gepa_worker_begin(launcher.cycle);
	exists = look_up_database(scout->database, &database);
	gepa_worker_commit(launcher.cycle);
	if (!exists)
	{
		pfree(scout);
		return true;
	}
	if (!is_connectable(&database) || database.datistemplate)
	{
		put_off_scout(scout, now);
		return false;
	}
	(void) gepa_worker_take_scouted(place, scout->database);
	scout->handle = start_worker("gepa_worker_scout_main", "gepa scout", "gepa scout",
								 &args, sizeof(args));
	if (scout->handle != NULL)
		launcher.scouts[place] = scout;
	return scout->handle != NULL;
}

static int
find_scout_place(void)
{
	for (int i = 0; i < WORKER_NSCOUTS; i++)
		if (launcher.scouts[i] == NULL)
			return i;
	return -1;
}

static void
launch_scouts(void)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	if (gepa_worker_take_overflow() || gepa_worker_timetable_take_overflow())
		scout_all_databases();
	for (int i = 0; i < WORKER_NSCOUTS; i++)
		reap_scout(i, now);
	foreach(cell, launcher.to_scout)
	{
		Started    *scout = lfirst(cell);
		int			place = find_scout_place();

		/* The exit of one that is at work wakes the launcher. */
		if (place < 0)
			break;
		if (scout->due <= now && launch_scout(scout, place, now))
			launcher.to_scout = foreach_delete_current(launcher.to_scout, cell);
		else if (scout->due > now)
			wait_at_most((int) TimestampDifferenceMilliseconds(now, scout->due));
	}
}

/*
 * Workers that have slots
 */

/* Enter a worker that was started; the caller fills its arguments in. */
static Started *
note_started(List **list, BackgroundWorkerHandle *handle)
{
	MemoryContext old = MemoryContextSwitchTo(launcher.context);
	Started    *started = palloc0(sizeof(Started));

	started->handle = handle;
	*list = lappend(*list, started);
	MemoryContextSwitchTo(old);
	return started;
}

/* Strike out those that have exited; the list that is left. */
static List *
reap(List *list, void (*give_back) (const Started *))
{
	ListCell   *cell;

	foreach(cell, list)
	{
		Started    *started = lfirst(cell);

		if (!has_exited(started->handle))
			continue;
		give_back(started);
		list = foreach_delete_current(list, cell);
		pfree(started->handle);
		pfree(started);
	}
	return list;
}

/*
 * What the catalogs say of a slot's database and owner.  False when no worker
 * can be started now; *exists tells whether one can be some day.
 */
static bool
look_up(Oid database, Oid owner, bool *can_login, bool *orphan, bool *exists)
{
	FormData_pg_database form;
	bool		owner_exists;
	bool		connectable;

	gepa_worker_begin(launcher.cycle);
	*exists = look_up_database(database, &form);
	connectable = *exists && is_connectable(&form);
	*can_login = gepa_worker_can_login(owner, &owner_exists);
	*orphan = !owner_exists;
	gepa_worker_commit(launcher.cycle);
	return connectable;
}

/*
 * Run workers
 */

/* Nothing happens if it had taken its slot over. */
static void
give_back_run(const Started *started)
{
	gepa_worker_unclaim(&started->args, 0);
}

static bool
launch_run(WorkerRunArgs *args)
{
	BackgroundWorkerHandle *handle;
	bool		exists;

	if (!look_up(args->database, args->owner, &args->can_login, &args->orphan, &exists))
	{
		if (exists)
			gepa_worker_unclaim(args, 0);
		else
			gepa_worker_forget(args);
		return true;
	}
	handle = start_worker("gepa_worker_run_main", psprintf("gepa run %d", args->run),
						  "gepa run worker", args, sizeof(WorkerRunArgs));
	if (handle == NULL)
	{
		gepa_worker_unclaim(args, REGISTER_RETRY_MS);
		return false;
	}
	note_started(&launcher.runs, handle)->args = *args;
	return true;
}

static void
launch_runs(void)
{
	WorkerRunArgs args;

	launcher.runs = reap(launcher.runs, give_back_run);
	while (gepa_worker_claim(gepa_max_run_workers, &args, &launcher.wait_ms))
		if (!launch_run(&args))
			break;
}

/*
 * Schedule workers
 */

/* Nothing happens if it had taken its slot over. */
static void
give_back_schedule(const Started *started)
{
	gepa_worker_timetable_unclaim(&started->schedule, 0);
}

static bool
launch_schedule(WorkerScheduleArgs *args)
{
	BackgroundWorkerHandle *handle;
	bool		exists;

	if (!look_up(args->database, args->owner, &args->can_login, &args->orphan, &exists))
	{
		if (exists)
			gepa_worker_timetable_unclaim(args, 0);
		else
			gepa_worker_timetable_forget(args);
		return true;
	}
	handle = start_worker("gepa_worker_schedule_main",
						  psprintf("gepa schedule %d", args->schedule),
						  "gepa schedule worker", args, sizeof(WorkerScheduleArgs));
	if (handle == NULL)
	{
		gepa_worker_timetable_unclaim(args, REGISTER_RETRY_MS);
		return false;
	}
	note_started(&launcher.schedules, handle)->schedule = *args;
	return true;
}

static void
launch_schedules(void)
{
	WorkerScheduleArgs args;

	launcher.schedules = reap(launcher.schedules, give_back_schedule);
	while (gepa_worker_timetable_claim(MAX_SCHEDULE_WORKERS, &args, &launcher.wait_ms))
		if (!launch_schedule(&args))
			break;
}

/*
 * Verdict writers
 */

static Started *
find_writer(Oid database)
{
	MemoryContext old;
	Started    *writer;
	ListCell   *cell;

	foreach(cell, launcher.writers)
	{
		writer = lfirst(cell);
		if (writer->database == database)
			return writer;
	}
	old = MemoryContextSwitchTo(launcher.context);
	writer = palloc0(sizeof(Started));
	writer->database = database;
	launcher.writers = lappend(launcher.writers, writer);
	MemoryContextSwitchTo(old);
	return writer;
}

/* Note a writer's end; one that died young is not started again at once. */
static void
reap_writer(Started *writer, TimestampTz now)
{
	int			delay = 0;

	if (writer->handle == NULL || !has_exited(writer->handle))
		return;
	pfree(writer->handle);
	writer->handle = NULL;
	if (TimestampDifferenceExceeds(writer->since, now, WRITER_GOOD_LIFE_MS))
		writer->failures = 0;
	else
		delay = delay_ms(writer->failures++);
	writer->due = TimestampTzPlusMilliseconds(now, delay);
}

/*
 * Entries of a database that refuses connections have to wait; those of one
 * that was dropped would keep their room in the ring for good.
 */
static bool
can_be_written(Oid database)
{
	FormData_pg_database found;
	bool		exists;
	bool		connectable;

	gepa_worker_begin(launcher.cycle);
	exists = look_up_database(database, &found);
	connectable = exists && is_connectable(&found);
	gepa_worker_commit(launcher.cycle);
	if (!exists)
	{
		int			n = gepa_store_ring_forget(database);

		ereport(LOG,
				(errmsg("gepa launcher discarded %d verdicts of a database that was dropped",
						n)));
		wait_at_most(0);		/* there may be more than were listed */
	}
	else if (!connectable)
	{
		gepa_store_ring_postpone(database, CLOSED_RETRY_MS);
		wait_at_most(CLOSED_RETRY_MS);
	}
	return connectable;
}

static void
launch_writer(Oid database, TimestampTz now)
{
	Started    *writer = find_writer(database);

	if (writer->handle != NULL)
		return;
	if (writer->due > now)
		wait_at_most((int) TimestampDifferenceMilliseconds(now, writer->due));
	else if (can_be_written(database))
	{
		writer->since = now;
		writer->handle = start_worker("gepa_worker_writer_main", "gepa verdict writer",
									  "gepa verdict writer", &database, sizeof(Oid));
	}
}

static void
launch_writers(void)
{
	Oid			databases[MAX_WRITERS];
	int			n = gepa_store_ring_databases(databases, MAX_WRITERS, &launcher.wait_ms);
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	foreach(cell, launcher.writers)
		reap_writer(lfirst(cell), now);
	for (int i = 0; i < n; i++)
		launch_writer(databases[i], now);
}

/*
 * Main
 */

static void
take_turn(void)
{
	MemoryContextReset(launcher.cycle);
	launcher.wait_ms = LONGEST_SLEEP_MS;
	gepa_worker_reload();
	launch_scouts();
	launch_runs();
	launch_schedules();
	launch_writers();
	MemoryContextSwitchTo(launcher.cycle);
}

void
gepa_worker_launcher_main(Datum arg)
{
	gepa_worker_setup_signals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	launcher.context = AllocSetContextCreate(TopMemoryContext, "gepa launcher",
											 ALLOCSET_DEFAULT_SIZES);
	launcher.cycle = AllocSetContextCreate(TopMemoryContext, "gepa launcher cycle",
										   ALLOCSET_DEFAULT_SIZES);
	gepa_worker_set_launcher(MyLatch);
	gepa_store_ring_set_launcher(MyLatch);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(launcher.cycle);
	scout_all_databases();
	for (;;)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		take_turn();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 launcher.wait_ms, gepa_wait_event(GEPA_WAIT_LAUNCHER_MAIN));
	}
}

/*
 * A scout enters the live runs and the schedules of one database.  It has no
 * part in what follows: a run that ended in between makes a worker that ends
 * at once.
 */
void
gepa_worker_scout_main(Datum arg)
{
	WorkerScoutArgs args;
	int		   *runs;
	Oid		   *owners;
	StoreSchedule *schedules = NULL;
	int			nschedules = 0;
	int			n = 0;

	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	gepa_worker_setup_signals();
	gepa_worker_connect(args.database, InvalidOid, true);
	SetConfigOption("lock_timeout", SCOUT_LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
	pgstat_report_activity(STATE_RUNNING, "looking for interrupted runs");
	gepa_worker_begin(TopMemoryContext);
	if (OidIsValid(gepa_store_extension_owner()))
	{
		n = gepa_store_live_runs(&runs, &owners);
		schedules = gepa_store_list_schedules(&nschedules);
	}
	gepa_worker_commit(TopMemoryContext);
	/* Schedules first, so that none misses the end of its run. */
	for (int i = 0; i < nschedules; i++)
		gepa_worker_timetable_add(args.database, &schedules[i]);
	for (int i = 0; i < n; i++)
		(void) gepa_worker_add_request(args.database, runs[i], owners[i], false);
	gepa_worker_report_scouted(args.place, args.database);
}
