/*-------------------------------------------------------------------------
 *
 * run.c
 *	  A run worker: carries one run from where its journal ends to its end.
 *
 * The worker connects as the owner of the run.  It reads the row first and
 * ends quietly when there is nothing to do: the run has ended, was dropped,
 * or the extension is gone.  Then it has the engine's steps carried out with
 * no transaction open (works.c) and each outcome recorded (record.c).
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

#include "miscadmin.h"
#include "utils/memutils.h"

#include "worker/worker_text.h"

#define LIVE_MASK \
	((1 << STORE_RUN_QUEUED) | (1 << STORE_RUN_RUNNING) | (1 << STORE_RUN_STOPPING))

/* What a worker takes up; a run that is stopping it only stops. */
#define RUNNABLE_MASK ((1 << STORE_RUN_QUEUED) | (1 << STORE_RUN_RUNNING))

#define STOPPED_REASON "stopped on request"

/* What this worker has taken up, for whoever catches its errors. */
static struct
{
	StoreRun   *row;
	WorkerRun  *run;			/* NULL until it is loaded */
}			at_work;

/* With what the engine decided since the last step was recorded. */
static void
end_run(WorkerRun *run, StoreRunStatus to, const char *reason)
{
	gepa_worker_begin(run->step_context);
	if (gepa_store_run_exists(run->row))
	{
		if (run->engine != NULL)
			gepa_worker_put_decisions(run);
		(void) gepa_worker_end_run(run->row->run, LIVE_MASK, to, reason);
	}
	gepa_worker_commit(run->step_context);
	gepa_worker_announce_change(run->row->run);
}

/* In a transaction; true when the run is ours to carry on. */
static bool
take_over(const WorkerArgs *args)
{
	char	   *obstacle = gepa_worker_why_not_owner(args, "run", "resume");

	if (gepa_worker_stop_requested())
		(void) gepa_worker_end_run(args->id, LIVE_MASK, STORE_RUN_STOPPED, STOPPED_REASON);
	if (obstacle != NULL)
		(void) gepa_worker_end_run(args->id, RUNNABLE_MASK, STORE_RUN_FAILED, obstacle);
	else if (gepa_store_move_run(args->id, RUNNABLE_MASK, STORE_RUN_RUNNING, NULL))
		return true;
	/* Asked to stop, perhaps only since the row was read. */
	(void) gepa_worker_end_run(args->id, 1 << STORE_RUN_STOPPING, STORE_RUN_STOPPED,
							   STOPPED_REASON);
	return false;
}

/*
 * Take the run up: the row, status running, or NULL when there is nothing to
 * do for it.
 */
static StoreRun *
take_up(const WorkerArgs *args, MemoryContext context)
{
	StoreRun   *row = NULL;
	bool		ours;

	gepa_worker_begin(context);
	if (OidIsValid(gepa_store_extension_owner()))
		row = gepa_store_get_run(args->id);
	ours = row != NULL && (LIVE_MASK & (1 << row->status)) != 0 && take_over(args);
	gepa_worker_commit(context);
	gepa_worker_announce_change(args->id);
	return ours ? row : NULL;
}

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

/* Nothing more may be sent, and all that was sent has come in. */
static bool
is_exhausted(const WorkerRun *run)
{
	return run->exhausted != NULL && gepa_worker_works_are_idle(run);
}

static void
wait_for_done(WorkerRun *run)
{
	while (!gepa_worker_record_done(run) && !gepa_worker_stop_requested() && !is_exhausted(run))
	{
		gepa_worker_wait_works(run);
		CHECK_FOR_INTERRUPTS();
		gepa_worker_reload();
	}
}

static void
give_up_works(WorkerRun *run)
{
	gepa_worker_close_works(run);
	while (gepa_worker_record_done(run))
		 /* each may complete a further decision */ ;
}

/* A search that led nowhere, or perhaps nowhere, says so. */
static const char *
reason_with_gain(const WorkerRun *run, const char *reason)
{
	EngineHeldOut held;

	if (!gepa_engine_held_out(run->engine, &held) || held.low > 0)
		return reason;
	if (held.candidate == 0)
		return psprintf("%s; no gain over the seed, which is the winner", reason);
	return psprintf("%s; no %sgain over the seed: %+.3f on %d held-out samples, 95 %% interval %+.3f to %+.3f",
					reason, held.gain > 0 ? "certain " : "", held.gain, held.n, held.low,
					held.high);
}

/* The reason of a run that is through; the engine hears what it cannot know of. */
static const char *
finish(WorkerRun *run)
{
	if (run->exhausted == NULL)
		return reason_with_gain(run, gepa_engine_stop_reason(run->engine));
	gepa_engine_caller_stops(run->engine, run->exhausted);
	if (run->options.mode == ENGINE_MODE_DEFAULT)
		gepa_worker_record_parts(run);
	else
		(void) gepa_engine_next(run->engine);
	/* a limit in the midst of the report leaves the pairs that came in */
	return reason_with_gain(run, run->exhausted);
}

static void
drive(WorkerRun *run)
{
	bool		stop = false;
	const char *reason;

	while (!stop && !is_exhausted(run) && gepa_worker_begin_works(run))
	{
		wait_for_done(run);
		stop = gepa_worker_stop_requested();
	}
	if (stop || run->exhausted != NULL)
		give_up_works(run);
	reason = stop ? STOPPED_REASON : finish(run);
	gepa_worker_drop_works(run);
	end_run(run, stop ? STORE_RUN_STOPPED : STORE_RUN_FINISHED, reason);
}

static WorkerRun *
load(StoreRun *row, MemoryContext context)
{
	WorkerRun  *run;

	gepa_worker_begin(context);
	run = gepa_worker_load_run(row);
	gepa_worker_open_budget(run);
	if (run->engine != NULL)
		gepa_worker_put_progress(run);
	gepa_worker_commit(context);
	return run;
}

static void
work(const WorkerArgs *args, MemoryContext context)
{
	StoreRun   *row = take_up(args, context);
	WorkerRun  *run;

	if (row == NULL)
		return;
	at_work.row = row;
	run = load(row, context);
	if (run->engine == NULL && !gepa_worker_write_seed(run))
	{
		end_run(run, STORE_RUN_STOPPED, STOPPED_REASON);
		return;
	}
	if (run->engine == NULL)
		run = load(row, context);
	at_work.run = run;
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

/* What has come in was paid for; that it cannot be saved is no new failure. */
static void
save_paid(MemoryContext context)
{
	if (at_work.run == NULL)
		return;
	PG_TRY();
	{
		gepa_worker_close_works(at_work.run);
	}
	PG_CATCH();
	{
		FlushErrorState();
		gepa_worker_abort(context);
	}
	PG_END_TRY();
}

/* In a PG_CATCH block: the error becomes the reason of a failed run. */
static void
fail(int run, MemoryContext context)
{
	ErrorData  *edata = gepa_worker_take_error(context);
	bool		failed = false;

	save_paid(context);

	/* Of a run that was not taken up the next worker may say more. */
	if (gepa_worker_is_passing(edata->sqlerrcode) || at_work.row == NULL)
		ReThrowError(edata);

	gepa_worker_begin(context);
	if (gepa_store_run_exists(at_work.row))
		failed = gepa_worker_end_run(run, LIVE_MASK, STORE_RUN_FAILED,
									 gepa_worker_reason_text(edata));
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
	WorkerArgs	args;
	MemoryContext context;

	if (!gepa_worker_come_up(&args, false, "run"))
		return;
	context = AllocSetContextCreate(TopMemoryContext, "gepa run", ALLOCSET_DEFAULT_SIZES);

	PG_TRY();
	{
		work(&args, context);
	}
	PG_CATCH();
	{
		fail(args.id, context);
	}
	PG_END_TRY();
	gepa_worker_mark_done();
	gepa_worker_wake_awaiting(args.id);
}
