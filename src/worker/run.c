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
 * Known hole: a run that makes the server itself crash is begun again after
 * each restart; gepa.stop() or unloading the library ends that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "worker/worker_internal.h"

#define LIVE_MASK \
	((1 << STORE_RUN_QUEUED) | (1 << STORE_RUN_RUNNING) | (1 << STORE_RUN_STOPPING))

#define STOPPED_REASON "stopped on request"

static void
end_run(int run, StoreRunStatus to, const char *reason, MemoryContext context)
{
	gepa_worker_begin(context);
	(void) gepa_store_move_run(run, LIVE_MASK, to, reason);
	gepa_worker_commit(context);
	gepa_worker_announce_change(run);
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

	gepa_worker_begin(context);
	if (OidIsValid(gepa_store_extension_owner()))
		row = gepa_store_get_run(args->run);
	wanted = row != NULL && (LIVE_MASK & (1 << row->status)) != 0;
	if (wanted && args->orphan)
	{
		(void) gepa_store_move_run(args->run, LIVE_MASK, STORE_RUN_FAILED,
								   "the role that owned the run was dropped");
		wanted = false;
	}
	else if (wanted && (row->status == STORE_RUN_STOPPING || gepa_worker_stop_requested()))
	{
		(void) gepa_store_move_run(args->run, LIVE_MASK, STORE_RUN_STOPPED, STOPPED_REASON);
		wanted = false;
	}
	else if (wanted)
		wanted = gepa_store_move_run(args->run,
									 (1 << STORE_RUN_QUEUED) | (1 << STORE_RUN_RUNNING),
									 STORE_RUN_RUNNING, NULL);
	gepa_worker_commit(context);
	gepa_worker_announce_change(args->run);
	return wanted ? row : NULL;
}

static void
report_step(const WorkerRun *run, const EngineStep *step)
{
	char		activity[128];

	if (step->kind == ENGINE_STEP_REFLECT)
		snprintf(activity, sizeof(activity), "gepa run %d: iteration %d, reflecting",
				 run->row->run, step->iteration);
	else
		snprintf(activity, sizeof(activity),
				 "gepa run %d: iteration %d, proposal %d on %d samples of %s",
				 run->row->run, step->iteration, step->proposal, step->nsamples,
				 step->split == ENGINE_SPLIT_TRAIN ? "train" : "val");
	pgstat_report_activity(STATE_RUNNING, activity);
}

/* Carry a step out and record it; false when asked to stop. */
static bool
carry_out(WorkerRun *run, const EngineStep *step)
{
	StoreStep	entry;
	double	   *scores = NULL;
	bool		finished;

	memset(&entry, 0, sizeof(entry));
	report_step(run, step);
	if (step->kind == ENGINE_STEP_REFLECT)
		finished = gepa_worker_reflect(run, step, &entry);
	else
	{
		scores = palloc(sizeof(double) * Max(step->nsamples, 1));
		finished = gepa_worker_evaluate(run, step, scores);
	}
	if (finished)
		gepa_worker_record(run, step, &entry, scores);
	return finished;
}

static void
drive(WorkerRun *run)
{
	EngineStep	step;

	for (;;)
	{
		MemoryContextSwitchTo(run->step_context);
		MemoryContextReset(run->step_context);
		CHECK_FOR_INTERRUPTS();
		gepa_worker_reload();
		step = gepa_engine_next(run->engine);
		if (step.kind == ENGINE_STEP_FINISHED)
			break;
		if (step.kind == ENGINE_STEP_WAIT)
			elog(ERROR, "engine waits for an outcome, but no step is outstanding");
		if (gepa_worker_stop_requested() || !carry_out(run, &step))
		{
			end_run(run->row->run, STORE_RUN_STOPPED, STOPPED_REASON, run->step_context);
			return;
		}
	}
	end_run(run->row->run, STORE_RUN_FINISHED, gepa_engine_stop_reason(run->engine),
			run->step_context);
}

static void
work(const WorkerRunArgs *args, MemoryContext context)
{
	StoreRun   *row = take_up(args, context);
	WorkerRun  *run;

	if (row == NULL)
		return;
	gepa_worker_begin(context);
	run = gepa_worker_load_run(row);
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
	if (OidIsValid(gepa_store_extension_owner()) && gepa_store_get_run(run) != NULL)
		failed = gepa_store_move_run(run, LIVE_MASK, STORE_RUN_FAILED,
									 gepa_worker_reason_text(edata));
	gepa_worker_commit(context);
	gepa_worker_announce_change(run);
	if (failed)
		ereport(LOG,
				(errcode(edata->sqlerrcode),
				 errmsg("gepa run %d failed: %s", run, gepa_worker_reason_text(edata))));
	else
		ereport(LOG,
				(errmsg("gepa run %d was dropped while at work", run)));
}

void
gepa_worker_run_main(Datum arg)
{
	WorkerRunArgs args;
	MemoryContext context;
	char		name[NAMEDATALEN];

	StaticAssertStmt(sizeof(WorkerRunArgs) <= BGW_EXTRALEN,
					 "arguments of a run worker fit into bgw_extra");
	memcpy(&args, MyBgworkerEntry->bgw_extra, sizeof(args));
	gepa_worker_setup_signals();
	if (!gepa_worker_attach(&args))
		return;
	gepa_worker_connect(args.database, args.orphan ? InvalidOid : args.owner,
						args.can_login || args.orphan);
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
