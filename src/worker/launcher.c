/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The one worker that starts the others.
 *
 * The launcher has no database.  It reads pg_database and pg_authid, and
 * otherwise only shared memory:
 *
 *	 - at its start it sends a scout into every database, to look for runs,
 *	   schedules and sweeps (scout.c);
 *	 - it starts a worker for every slot that is due (slots.c): run workers up
 *	   to gepa.max_run_workers, workers of jobs up to gepa.max_job_workers, and
 *	   those of schedules and sweeps;
 *	 - it starts a verdict writer for every database whose entries wait in the
 *	   ring without one.
 *
 * It never waits for any of them.  That no worker can be registered
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

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "base/wait.h"
#include "worker/worker_internal.h"
#include "worker/worker_launcher.h"

#define RESTART_SECONDS 5
#define LONGEST_SLEEP_MS 60000
#define REGISTER_RETRY_MS 5000
#define MAX_WRITERS 64

/* Those that judge held-out rows are at work for as long as their calls take. */
#define MAX_SCHEDULE_WORKERS 4
#define MAX_SWEEP_WORKERS 4

/* When a database is looked at again that refused connections. */
#define CLOSED_RETRY_MS 5000

/* When the ring was too small for what a crash has left. */
#define LOAD_RETRY_MS 200

/* A writer that ends sooner than this did not end because it was idle. */
#define WRITER_GOOD_LIFE_MS 1000

/* A worker that has a slot, until it exits. */
typedef struct Started
{
	BackgroundWorkerHandle *handle;
	WorkerArgs	args;
} Started;

/* The verdict writer of a database. */
typedef struct Writer
{
	BackgroundWorkerHandle *handle; /* NULL = none at work */
	Oid			database;
	TimestampTz since;
	int			failures;		/* lives in a row that were short */
	TimestampTz due;			/* not again before */
} Writer;

LauncherContexts gepa_launcher;

static struct
{
	List	   *started;		/* of Started */
	List	   *writers;		/* of Writer */
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
	gepa_worker_slots_init();
	gepa_worker_requests_init();
	gepa_launcher_scouts_init();

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
	return gepa_worker_slots_available();
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

void
gepa_launcher_wait_at_most(int ms)
{
	launcher.wait_ms = Min(launcher.wait_ms, ms);
}

BackgroundWorkerHandle *
gepa_launcher_start(const char *function, const char *name, const char *type,
					const void *extra, Size length)
{
	MemoryContext old = MemoryContextSwitchTo(gepa_launcher.context);
	BackgroundWorkerHandle *handle = NULL;
	bool		registered = gepa_worker_register(function, name, type, extra, length,
												  &handle);

	MemoryContextSwitchTo(old);
	if (!registered)
	{
		gepa_launcher_wait_at_most(REGISTER_RETRY_MS);
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

bool
gepa_launcher_has_exited(BackgroundWorkerHandle *handle)
{
	pid_t		pid;

	return GetBackgroundWorkerPid(handle, &pid) == BGWH_STOPPED;
}

/*
 * Databases
 */

bool
gepa_launcher_find_database(Oid oid, FormData_pg_database * database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(oid));

	if (!HeapTupleIsValid(tuple))
		return false;
	*database = *(Form_pg_database) GETSTRUCT(tuple);
	ReleaseSysCache(tuple);
	return true;
}

bool
gepa_launcher_is_connectable(const FormData_pg_database * database)
{
	/* A limit below -1 marks a database whose DROP was interrupted. */
	return database->datallowconn && database->datconnlimit >= -1;
}

/*
 * Workers that have slots
 */

static const struct
{
	const char *function;
	const char *name;			/* format of the id */
	const char *type;
}			kinds[WORKER_NKINDS] = {

	[WORKER_KIND_RUN] = {
		"gepa_worker_run_main", "gepa run %d", "gepa run worker"
	},
	[WORKER_KIND_SCHEDULE] = {
		"gepa_worker_schedule_main", "gepa schedule %d", "gepa schedule worker"
	},
	[WORKER_KIND_SWEEP] = {
		"gepa_worker_sweep_main", "gepa sweep %d", "gepa sweep worker"
	},
	[WORKER_KIND_JOB] = {
		"gepa_worker_job_main", "gepa job %d", "gepa job worker"
	}
};

static int
most_at_work(WorkerKind kind)
{
	switch (kind)
	{
		case WORKER_KIND_RUN:
			return gepa_max_run_workers;
		case WORKER_KIND_JOB:
			return gepa_max_job_workers;
		case WORKER_KIND_SWEEP:
			return MAX_SWEEP_WORKERS;
		case WORKER_KIND_SCHEDULE:
			break;
	}
	return MAX_SCHEDULE_WORKERS;
}

static void
note_started(BackgroundWorkerHandle *handle, const WorkerArgs *args)
{
	MemoryContext old = MemoryContextSwitchTo(gepa_launcher.context);
	Started    *started = palloc0(sizeof(Started));

	started->handle = handle;
	started->args = *args;
	launcher.started = lappend(launcher.started, started);
	MemoryContextSwitchTo(old);
}

/* One that exited before it took its slot over gives it back. */
static void
reap_started(void)
{
	ListCell   *cell;

	foreach(cell, launcher.started)
	{
		Started    *started = lfirst(cell);

		if (!gepa_launcher_has_exited(started->handle))
			continue;
		gepa_worker_unclaim(&started->args, 0);
		launcher.started = foreach_delete_current(launcher.started, cell);
		pfree(started->handle);
		pfree(started);
	}
}

/*
 * What the catalogs say of a slot's database and owner.  False when no worker
 * can be started now; *exists tells whether one can be some day.
 */
static bool
look_up(WorkerArgs *args, bool *exists)
{
	FormData_pg_database form;
	bool		owner_exists;
	bool		connectable;

	gepa_worker_begin(gepa_launcher.cycle);
	*exists = gepa_launcher_find_database(args->database, &form);
	connectable = *exists && gepa_launcher_is_connectable(&form);
	args->can_login = gepa_worker_can_login(args->owner, &owner_exists);
	args->orphan = !owner_exists;
	gepa_worker_commit(gepa_launcher.cycle);
	return connectable;
}

/* False when no further worker can be registered for now. */
static bool
launch(WorkerArgs *args)
{
	BackgroundWorkerHandle *handle;
	char		name[BGW_MAXLEN];
	bool		exists;

	StaticAssertStmt(sizeof(WorkerArgs) <= BGW_EXTRALEN,
					 "arguments of a worker fit into bgw_extra");
	if (!look_up(args, &exists))
	{
		if (exists)
			gepa_worker_unclaim(args, 0);
		else
			gepa_worker_forget(args);
		return true;
	}
	snprintf(name, sizeof(name), kinds[args->kind].name, args->id);
	handle = gepa_launcher_start(kinds[args->kind].function, name, kinds[args->kind].type,
								 args, sizeof(WorkerArgs));
	if (handle == NULL)
	{
		gepa_worker_unclaim(args, REGISTER_RETRY_MS);
		return false;
	}
	note_started(handle, args);
	return true;
}

static void
launch_due(void)
{
	WorkerArgs	args;
	int			wait_ms = LONGEST_SLEEP_MS;

	reap_started();
	for (WorkerKind kind = 0; kind < WORKER_NKINDS; kind++)
		while (gepa_worker_claim(kind, most_at_work(kind), &args, &wait_ms))
			if (!launch(&args))
				break;
	gepa_launcher_wait_at_most(wait_ms);
}

/*
 * Verdict writers
 */

static Writer *
find_writer(Oid database)
{
	MemoryContext old;
	Writer	   *writer;
	ListCell   *cell;

	foreach(cell, launcher.writers)
	{
		writer = lfirst(cell);
		if (writer->database == database)
			return writer;
	}
	old = MemoryContextSwitchTo(gepa_launcher.context);
	writer = palloc0(sizeof(Writer));
	writer->database = database;
	launcher.writers = lappend(launcher.writers, writer);
	MemoryContextSwitchTo(old);
	return writer;
}

/* Note a writer's end; one that died young is not started again at once. */
static void
reap_writer(Writer *writer, TimestampTz now)
{
	int			delay = 0;

	if (writer->handle == NULL || !gepa_launcher_has_exited(writer->handle))
		return;
	pfree(writer->handle);
	writer->handle = NULL;
	if (TimestampDifferenceExceeds(writer->since, now, WRITER_GOOD_LIFE_MS))
		writer->failures = 0;
	else
		delay = gepa_worker_backoff_ms(writer->failures++, LONGEST_SLEEP_MS);
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

	gepa_worker_begin(gepa_launcher.cycle);
	exists = gepa_launcher_find_database(database, &found);
	connectable = exists && gepa_launcher_is_connectable(&found);
	gepa_worker_commit(gepa_launcher.cycle);
	if (!exists)
	{
		int			n = gepa_store_ring_forget(database);

		ereport(LOG,
				(errmsg("gepa launcher discarded %d verdicts of a database that was dropped",
						n)));
		gepa_launcher_wait_at_most(0);	/* there may be more than were listed */
	}
	else if (!connectable)
	{
		gepa_store_ring_postpone(database, CLOSED_RETRY_MS);
		gepa_launcher_wait_at_most(CLOSED_RETRY_MS);
	}
	return connectable;
}

static void
launch_writer(Oid database, TimestampTz now)
{
	Writer	   *writer = find_writer(database);

	if (writer->handle != NULL)
		return;
	if (writer->due > now)
		gepa_launcher_wait_at_most((int) TimestampDifferenceMilliseconds(now, writer->due));
	else if (can_be_written(database))
	{
		writer->since = now;
		writer->handle = gepa_launcher_start("gepa_worker_writer_main", "gepa verdict writer",
											 "gepa verdict writer", &database, sizeof(Oid));
	}
}

static void
launch_writers(void)
{
	Oid			databases[MAX_WRITERS];
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;
	int			n;

	if (!gepa_store_ring_load())
		gepa_launcher_wait_at_most(LOAD_RETRY_MS);
	n = gepa_store_ring_databases(databases, MAX_WRITERS, &launcher.wait_ms);
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
	MemoryContextReset(gepa_launcher.cycle);
	launcher.wait_ms = LONGEST_SLEEP_MS;
	gepa_worker_reload();
	gepa_launcher_send_scouts();
	launch_due();
	launch_writers();
	MemoryContextSwitchTo(gepa_launcher.cycle);
}

void
gepa_worker_launcher_main(Datum arg)
{
	gepa_worker_setup_signals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	gepa_launcher.context = AllocSetContextCreate(TopMemoryContext, "gepa launcher",
												  ALLOCSET_DEFAULT_SIZES);
	gepa_launcher.cycle = AllocSetContextCreate(TopMemoryContext, "gepa launcher cycle",
												ALLOCSET_DEFAULT_SIZES);
	gepa_worker_set_launcher(MyLatch);
	gepa_store_ring_set_launcher(MyLatch);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(gepa_launcher.cycle);
	gepa_launcher_scout_all();
	for (;;)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		take_turn();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 launcher.wait_ms, gepa_wait_event(GEPA_WAIT_LAUNCHER_MAIN));
	}
}
