/*-------------------------------------------------------------------------
 *
 * run.c
 *	  A run worker: carries one run from where its journal ends to its end.
 *
 * The worker connects as the owner of the run.  It reads the row first and
 * ends quietly when there is nothing to do: the run has ended, was dropped,
 * or the extension is gone.  Then it asks the engine for a step, carries it
 * out with no transaction open, and records the outcome.
 *
 * How it ends:
 *	 - the engine is finished, or somebody asked to stop: the row says so;
 *	 - an ERROR: the row is "failed" with its text, and can be resumed;
 *	 - cancel, termination, deadlock, a crash: the row stays "running" and the
 *	   launcher starts another worker after a while.
 *
 * A run whose owner was dropped, or may not connect any more, gets a worker
 * that is the bootstrap superuser and does nothing but say so in the row.
 *
 * Known hole: a run that makes the server itself crash is begun again after
 * each restart; gepa.stop() or unloading the library ends that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "worker/worker_internal.h"

#define LIVE_MASK \
	((1 << STORE_RUN_QUEUED) | (1 << STORE_RUN_RUNNING) | (1 << STORE_RUN_STOPPING))

/* What a worker takes up; a run that is stopping it only stops. */
#define RUNNABLE_MASK ((1 << STORE_RUN_QUEUED) | (1 << STORE_RUN_RUNNING))

#define STOPPED_REASON "stopped on request"

/* The run that this worker has taken up, for who catches its errors. */
static StoreRun *taken_up = NULL;

static void
end_run(const StoreRun *row, StoreRunStatus to, const char *reason, MemoryContext context)
{
	gepa_worker_begin(context);
	if (gepa_store_run_exists(row) &&
		gepa_store_move_run(row->run, LIVE_MASK, to, reason))
		gepa_worker_notify(row->run, gepa_store_run_status_name(to), -1, 0);
	gepa_worker_commit(context);
	gepa_worker_announce_change(row->run);
}

/* Why there can be no worker that is the owner; NULL when there can. */
static char *
why_not_owner(const WorkerRunArgs *args)
{
	if (args->orphan)
		return "the role that owned the run was dropped";
	if (args->shut_out)
		return psprintf("workers of the run could not connect to database \"%s\" as role \"%s\"; the server log says why."
						" Grant CONNECT or raise the connection limit, then SELECT gepa.resume(%d) goes on",
						get_database_name(MyDatabaseId),
						GetUserNameFromId(args->owner, true), args->run);
	return NULL;
}

/*
 * Take the run up: the row, status running, or NULL when there is nothing to
 * do for it.
 */
static StoreRun *
take_up(const WorkerRunArgs *args, MemoryContext context)
{
	StoreRun   *row = NULL;
	bool		wanted;
	char	   *obstacle;

	gepa_worker_begin(context);
	if (OidIsValid(gepa_store_extension_owner()))
		row = gepa_store_get_run(args->run);
	wanted = row != NULL && (LIVE_MASK & (1 << row->status)) != 0;
	if (wanted && gepa_worker_stop_requested())
	{
		(void) gepa_store_move_run(args->run, LIVE_MASK, STORE_RUN_STOPPED, STOPPED_REASON);
		wanted = false;
	}
	else if (wanted)
	{
		obstacle = why_not_owner(args);
		wanted = gepa_store_move_run(args->run, RUNNABLE_MASK,
									 obstacle ? STORE_RUN_FAILED : STORE_RUN_RUNNING,
									 obstacle);
		/* Asked to stop, perhaps only since the row was read. */
		if (!wanted)
			(void) gepa_store_move_run(args->run, 1 << STORE_RUN_STOPPING,
									   STORE_RUN_STOPPED, STOPPED_REASON);
		wanted = wanted && obstacle == NULL;
	}
	gepa_worker_commit(context);
	gepa_worker_announce_change(args->run);
	return wanted ? row : NULL;
}

/*
 * Steps at work
 */

typedef struct Work
{
	MemoryContext context;
	EngineStep	step;
	StoreStep	entry;			/* for the journal */
	WorkerEvaluation *evaluation;	/* one of the two */
	WorkerReflection *reflection;
} Work;

void
gepa_worker_enter(const WorkerRun *run, MemoryContext context)
{
	gepa_worker_begin(context);
	if (!gepa_store_run_exists(run->row))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("run %d was dropped while at work", run->row->run),
				 errhint("Its judge or the extension was dropped.")));
}

static void
report_step(const WorkerRun *run, const EngineStep *step)
{
	char		activity[160];

	if (step->kind == ENGINE_STEP_REFLECT)
		snprintf(activity, sizeof(activity), "gepa run %d: iteration %d, reflecting; %d steps at work",
				 run->row->run, step->iteration, list_length(run->works));
	else
		snprintf(activity, sizeof(activity),
				 "gepa run %d: iteration %d, proposal %d on %d samples of %s; %d steps at work",
				 run->row->run, step->iteration, step->proposal, step->nsamples,
				 step->split == ENGINE_SPLIT_TRAIN ? "train" : "val",
				 list_length(run->works));
	pgstat_report_activity(STATE_RUNNING, activity);
}

static void
begin_work(WorkerRun *run, const EngineStep *step)
{
	MemoryContext context = AllocSetContextCreate(run->context, "gepa run step",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Work	   *work = palloc0(sizeof(Work));

	work->context = context;
	work->step = *step;
	MemoryContextSwitchTo(run->context);
	run->works = lappend(run->works, work);
	MemoryContextSwitchTo(context);
	report_step(run, step);
	if (step->kind == ENGINE_STEP_REFLECT)
		work->reflection = gepa_worker_reflection_begin(run, step, &work->entry);
	else
		work->evaluation = gepa_worker_evaluation_begin(run, step);
	MemoryContextSwitchTo(old);
}

/* Begin whatever the engine asks for; true when it is finished. */
static bool
begin_works(WorkerRun *run)
{
	EngineStep	step;

	for (;;)
	{
		/* After a restart some were asked for before the journal ended. */
		while (list_length(run->works) < run->nasked)
			begin_work(run, &run->asked[list_length(run->works)]);
		step = gepa_engine_next(run->engine);
		if (step.kind == ENGINE_STEP_FINISHED)
			return true;
		if (step.kind == ENGINE_STEP_WAIT)
			return false;
		gepa_worker_add_asked(run, &step);
	}
}

static bool
is_done(Work *work)
{
	if (work->evaluation != NULL)
		return gepa_worker_evaluation_poll(work->evaluation);
	return gepa_worker_reflection_poll(work->reflection);
}

/* The first step that is done, out of the list; NULL if none is. */
static Work *
take_done(WorkerRun *run)
{
	ListCell   *cell;

	foreach(cell, run->works)
	{
		Work	   *work = lfirst(cell);

		MemoryContextSwitchTo(work->context);
		if (!is_done(work))
			continue;
		run->works = foreach_delete_current(run->works, cell);
		return work;
	}
	return NULL;
}

static void
record_work(WorkerRun *run, Work *work)
{
	double	   *scores = NULL;

	if (work->evaluation != NULL)
		scores = gepa_worker_evaluation_scores(work->evaluation);
	MemoryContextReset(run->step_context);
	gepa_worker_record(run, &work->step, &work->entry, scores);
	MemoryContextSwitchTo(run->step_context);
	MemoryContextDelete(work->context);
}

/* Sleep until something may have come in. */
static void
wait_for_works(const WorkerRun *run)
{
	int			wait_ms = WORKER_SLICE_MS;
	ListCell   *cell;

	foreach(cell, run->works)
	{
		const Work *work = lfirst(cell);

		wait_ms = Min(wait_ms, work->evaluation != NULL ?
					  gepa_worker_evaluation_wait_ms(work->evaluation) :
					  gepa_worker_reflection_wait_ms(work->reflection));
	}
	gepa_lm_wait(wait_ms);
}

void
gepa_worker_save_works(WorkerRun *run)
{
	MemoryContext old = CurrentMemoryContext;
	ListCell   *cell;

	foreach(cell, run->works)
	{
		Work	   *work = lfirst(cell);

		MemoryContextSwitchTo(work->context);
		if (work->evaluation != NULL)
			gepa_worker_evaluation_save(work->evaluation);
	}
	MemoryContextSwitchTo(old);
}

/* Asked to stop: what has come in was paid for, the rest is called back. */
static void
stop_works(WorkerRun *run)
{
	Work	   *work;

	while ((work = take_done(run)) != NULL)
		record_work(run, work);
	gepa_worker_save_works(run);
	MemoryContextSwitchTo(run->step_context);
	while (run->works != NIL)
	{
		work = llast(run->works);
		run->works = list_delete_last(run->works);
		MemoryContextDelete(work->context);
	}
}

static void
drive(WorkerRun *run)
{
	Work	   *work;

	while (!begin_works(run))
	{
		if (run->works == NIL)
			elog(ERROR, "engine waits for an outcome, but no step is outstanding");
		while ((work = take_done(run)) == NULL && !gepa_worker_stop_requested())
		{
			wait_for_works(run);
			CHECK_FOR_INTERRUPTS();
			gepa_worker_reload();
		}
		if (work != NULL)
			record_work(run, work);
		if (gepa_worker_stop_requested())
		{
			stop_works(run);
			end_run(run->row, STORE_RUN_STOPPED, STOPPED_REASON, run->step_context);
			return;
		}
	}
	end_run(run->row, STORE_RUN_FINISHED, gepa_engine_stop_reason(run->engine),
			run->step_context);
}

static void
work(const WorkerRunArgs *args, MemoryContext context)
{
	StoreRun   *row = take_up(args, context);
	WorkerRun  *run;

	if (row == NULL)
		return;
	taken_up = row;
	gepa_worker_begin(context);
	run = gepa_worker_load_run(row);
	gepa_worker_put_progress(run);
	gepa_worker_commit(context);
	drive(run);
}

/*
 * Failing
 */

char *
gepa_worker_reason_text(const ErrorData *edata)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, edata->message ? edata->message : "no message");
	if (edata->detail)
		appendStringInfo(&buf, ". %s", edata->detail);
	if (edata->hint)
		appendStringInfo(&buf, "%s %s", edata->detail ? "" : ".", edata->hint);
	return buf.data;
}

bool
gepa_worker_is_passing(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_OPERATOR_INTERVENTION ||
		category == ERRCODE_TRANSACTION_ROLLBACK;
}

/* In a PG_CATCH block: the error becomes the reason of a failed run. */
static void
fail(int run, MemoryContext context)
{
	ErrorData  *edata;
	bool		failed = false;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	if (gepa_worker_is_passing(edata->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	gepa_worker_abort(context);

	gepa_worker_begin(context);
	if (taken_up != NULL && gepa_store_run_exists(taken_up))
		failed = gepa_store_move_run(run, LIVE_MASK, STORE_RUN_FAILED,
									 gepa_worker_reason_text(edata));
	if (failed)
		gepa_worker_notify(run, gepa_store_run_status_name(STORE_RUN_FAILED), -1, 0);
	gepa_worker_commit(context);
	gepa_worker_announce_change(run);
	if (failed)
		ereport(LOG,
				(errcode(edata->sqlerrcode),
				 errmsg("gepa run %d failed: %s", run, gepa_worker_reason_text(edata))));
	else
		ereport(LOG,
				(errcode(edata->sqlerrcode),
				 errmsg("gepa run %d was dropped while at work", run),
				 errdetail("%s", gepa_worker_reason_text(edata))));
}

void
gepa_worker_run_main(Datum arg)
{
	WorkerRunArgs args;
	MemoryContext context;
	char		name[NAMEDATALEN];
	bool		as_owner;

	StaticAssertStmt(sizeof(WorkerRunArgs) <= BGW_EXTRALEN,
					 "arguments of a run worker fit into bgw_extra");
	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	gepa_worker_setup_signals();
	if (!gepa_worker_attach(&args))
		return;
	as_owner = !args.orphan && !args.shut_out;
	gepa_worker_connect(args.database, as_owner ? args.owner : InvalidOid,
						args.can_login || !as_owner);
	gepa_worker_mark_connected();
	snprintf(name, sizeof(name), "gepa run %d", args.run);
	SetConfigOption("application_name", name, PGC_USERSET, PGC_S_SESSION);
	context = AllocSetContextCreate(TopMemoryContext, "gepa run", ALLOCSET_DEFAULT_SIZES);

	PG_TRY();
	{
		work(&args, context);
	}
	PG_CATCH();
	{
		fail(args.run, context);
	}
	PG_END_TRY();
	gepa_worker_mark_done();
}
