/*-------------------------------------------------------------------------
 *
 * run.c
 *	  Starting, watching, stopping, resuming, replaying and deploying runs.
 *
 * gepa.start() writes the run in the caller's transaction and the launcher
 * learns of it at commit.  gepa.optimize() cannot do that, because it waits
 * inside its own transaction: it has the run started by a worker, in a
 * transaction that commits, and then watches the row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "api/api_internal.h"
#include "apply/apply.h"
#include "base/clock.h"
#include "worker/worker.h"

/* Least time between two notices of progress. */
#define PROGRESS_INTERVAL_MS 10000

/*
 * Starting
 */

void
gepa_api_start_args(FunctionCallInfo fcinfo, WorkerStartRequest *request)
{
	request->dataset = gepa_api_text_arg(fcinfo, 1, "dataset");
	request->reflection_lm = gepa_api_name_arg_or_null(fcinfo, 2);
	request->budget = gepa_api_int_arg(fcinfo, 3, "budget");
	request->seed = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT64(4);
	request->options = PG_ARGISNULL(5) ? "{}" : gepa_api_object_arg(fcinfo, 5, "options");
}

static WorkerStartRequest
start_request(FunctionCallInfo fcinfo)
{
	WorkerStartRequest request = {0};

	request.judge = gepa_api_text_arg(fcinfo, 0, "judge");
	gepa_api_start_args(fcinfo, &request);
	return request;
}

PG_FUNCTION_INFO_V1(gepa_start);
Datum
gepa_start(PG_FUNCTION_ARGS)
{
	WorkerStartRequest request = start_request(fcinfo);

	gepa_worker_require("gepa.start");
	PG_RETURN_INT32(gepa_worker_start_run(&request));
}

/*
 * Watching
 */

static void
stop_on_cancel(int code, Datum arg)
{
	gepa_worker_stop_run(DatumGetInt32(arg), false);
}

static void
show_progress(const StoreRun *run, int64 *last_shown, int *last_rollouts)
{
	int64		now = gepa_clock_us();

	if (run->rollouts == *last_rollouts || now - *last_shown < PROGRESS_INTERVAL_MS * 1000)
		return;
	*last_shown = now;
	*last_rollouts = run->rollouts;
	if (run->best_candidate < 0)
		ereport(NOTICE,
				(errmsg("run %d: %d of %d rollouts, no candidate yet",
						run->run, run->rollouts, run->budget)));
	else
		ereport(NOTICE,
				(errmsg("run %d: %d of %d rollouts, iteration %d, best candidate %d with %.4f%s",
						run->run, run->rollouts, run->budget, run->iteration,
						run->best_candidate, run->best_score,
						run->mode == ENGINE_MODE_DEFAULT ? " (estimate)" : "")));
}

static StoreRun *
watch(int run_id)
{
	MemoryContext look = gepa_api_make_look();
	MemoryContext old = MemoryContextSwitchTo(look);
	int64		last_shown = gepa_clock_us();
	int			last_rollouts = 0;
	StoreRun   *run;

	while ((run = gepa_store_get_run(run_id)) != NULL && !gepa_store_run_has_ended(run->status))
	{
		show_progress(run, &last_shown, &last_rollouts);
		gepa_worker_wait_change(run_id, gepa_api_wait_ms(0, -1));
		MemoryContextReset(look);
	}
	MemoryContextSwitchTo(old);
	if (run == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("run %d was dropped while waiting for it", run_id),
				 errhint("Its judge was dropped with its runs.")));
	return run;
}

static char *
held_out_text(const StoreRun *run)
{
	const EngineHeldOut *held = &run->held_out;

	if (held->candidate == 0)
		return psprintf("The winner is the seed itself, which scores %.3f on %d held-out samples.",
						held->score, held->n);
	return psprintf("On %d held-out samples the seed scores %.3f and candidate %d %.3f, a difference of %+.3f with a 95 %% interval from %+.3f to %+.3f.",
					held->n, held->seed_score, held->candidate, held->score, held->gain,
					held->low, held->high);
}

static void
report_end(const StoreRun *run)
{
	if (run->status == STORE_RUN_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("run %d failed: %s", run->run, run->reason ? run->reason : "no reason"),
				 errdetail("%d rollouts are recorded.", run->rollouts),
				 errhint("Mend the cause, then SELECT gepa.resume(%d) goes on from there.", run->run)));
	if (run->best_candidate < 0)
		ereport(NOTICE,
				(errmsg("run %d %s: %d rollouts, no candidate yet",
						run->run, gepa_store_run_status_name(run->status), run->rollouts)));
	else
		ereport(NOTICE,
				(errmsg("run %d %s: %d rollouts, best candidate %d with %.4f %s",
						run->run, gepa_store_run_status_name(run->status), run->rollouts,
						run->best_candidate, run->best_score,
						run->mode == ENGINE_MODE_DEFAULT ? "(estimate)" : "on validation"),
				 run->held_out.n > 0 ? errdetail("%s", held_out_text(run)) : 0));
}

int
gepa_api_start_and_watch(const WorkerStartRequest *request)
{
	StoreRun   *run = NULL;
	int			id = gepa_worker_start_now(request);

	PG_ENSURE_ERROR_CLEANUP(stop_on_cancel, Int32GetDatum(id));
	{
		ereport(NOTICE, (errmsg("run %d started", id)));
		run = watch(id);
	}
	PG_END_ENSURE_ERROR_CLEANUP(stop_on_cancel, Int32GetDatum(id));
	report_end(run);
	return id;
}

PG_FUNCTION_INFO_V1(gepa_optimize);
Datum
gepa_optimize(PG_FUNCTION_ARGS)
{
	WorkerStartRequest request = start_request(fcinfo);

	gepa_worker_require("gepa.optimize");
	PG_RETURN_INT32(gepa_api_start_and_watch(&request));
}

PG_FUNCTION_INFO_V1(gepa_wait);
Datum
gepa_wait(PG_FUNCTION_ARGS)
{
	int			id = gepa_api_int_arg(fcinfo, 0, "run");
	int64		timeout_ms = gepa_api_timeout_arg(fcinfo, 1);
	int64		start = gepa_clock_us();
	MemoryContext look = gepa_api_make_look();
	MemoryContext old = MemoryContextSwitchTo(look);
	StoreRun   *run = gepa_api_get_run(id);
	int			left;

	if (run->mine && !gepa_store_run_has_ended(run->status))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %d cannot be waited for in the transaction that changed it", id),
				 errhint("Commit first, or use gepa.optimize().")));
	while (!gepa_store_run_has_ended(run->status) &&
		   (left = gepa_api_wait_ms(start, timeout_ms)) != 0)
	{
		gepa_worker_wait_change(id, left);
		MemoryContextReset(look);
		run = gepa_api_get_run(id);
	}
	MemoryContextSwitchTo(old);
	PG_RETURN_TEXT_P(cstring_to_text(gepa_store_run_status_name(run->status)));
}

/*
 * Stopping and resuming
 */

PG_FUNCTION_INFO_V1(gepa_stop);
Datum
gepa_stop(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(PG_GETARG_INT32(0));

	if (!gepa_worker_ask_to_stop(run))
		ereport(NOTICE,
				(errmsg("run %d has already ended or is stopping", run->run)));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(gepa_resume);
Datum
gepa_resume(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(PG_GETARG_INT32(0));

	gepa_worker_require("gepa.resume");
	if (!gepa_worker_resume_run(run))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %d is %s and cannot be resumed", run->run,
						gepa_store_run_status_name(run->status)),
				 errhint("Only a stopped or failed run can; start a new one with gepa.start().")));
	PG_RETURN_VOID();
}

/*
 * Replaying
 */

PG_FUNCTION_INFO_V1(gepa_replay);
Datum
gepa_replay(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(PG_GETARG_INT32(0));
	WorkerReplay replay;
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {0};

	if (run->imported)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %d was imported and has no journal to replay", run->run),
				 errhint("Replay it where it was made.")));
	replay = gepa_worker_replay(run);
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int32GetDatum(replay.steps);
	values[1] = Int32GetDatum(replay.candidates);
	gepa_api_put_text(values, nulls, 2, replay.difference);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  values, nulls)));
}

/*
 * Deploying
 */

/* A limit ended the run, or there were too few samples to hold any out. */
static void
tell_no_comparison(const StoreRun *run, int candidate)
{
	if (run->mode == ENGINE_MODE_DEFAULT && candidate > 0 &&
		gepa_store_run_has_ended(run->status))
		ereport(NOTICE,
				(errmsg("candidate %d of run %d was not compared with the seed on held-out samples",
						candidate, run->run),
				 errdetail("The run has made no such comparison."),
				 errhint("gepa.report() measures what is deployed, if there are test samples.")));
}

/*
 * The search's own figures are too good; what it reports on samples that chose
 * nothing decides whether its winner is one.
 */
static void
check_gain(const StoreRun *run, int candidate, bool force)
{
	if (force)
		return;
	if (run->held_out.n == 0)
	{
		tell_no_comparison(run, candidate);
		return;
	}
	if (candidate == run->best_candidate && !(run->held_out.gain > 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the winner of run %d is no better than its seed on held-out samples",
						run->run),
				 errdetail("%s", held_out_text(run)),
				 errhint("Tune with more labels or a larger budget, or SELECT gepa.deploy(%d, force => true) if you want it all the same.",
						 run->run)));
	if (candidate == run->best_candidate && !(run->held_out.low > 0))
		ereport(NOTICE,
				(errmsg("the gain of run %d over its seed is not certain", run->run),
				 errdetail("%s", held_out_text(run))));
	if (candidate != run->best_candidate && candidate > 0)
		ereport(NOTICE,
				(errmsg("candidate %d of run %d was not compared with the seed on held-out samples",
						candidate, run->run),
				 errhint("Only the winner, candidate %d, was; gepa.report() measures what is deployed.",
						 run->best_candidate)));
}

/* Who leads now may be overtaken. */
static void
tell_unfinished(const StoreRun *run, int candidate)
{
	if (gepa_store_run_has_ended(run->status))
		return;
	ereport(NOTICE,
			(errmsg("run %d has not ended", run->run),
			 candidate == run->best_candidate ?
			 errdetail("Candidate %d leads so far, and there is no figure of it on held-out samples yet.",
					   candidate) :
			 errdetail("Candidate %d leads so far.", run->best_candidate),
			 errhint("Deploy again when it has; SELECT gepa.wait(%d) waits for that.", run->run)));
}

PG_FUNCTION_INFO_V1(gepa_deploy);
Datum
gepa_deploy(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(gepa_api_int_arg(fcinfo, 0, "run"));
	int			candidate = PG_ARGISNULL(1) ? run->best_candidate : PG_GETARG_INT32(1);
	bool		force = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	StoreVersion *seed;
	StoreVersion *winner;

	if (run->text != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("run %d tunes texts, and there is no judge to deploy them to", run->run),
				 errhint("SELECT gepa.best_text(%d) has the winner; see gepa.candidates for others.",
						 run->run)));
	if (candidate < 0 && PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %d has no candidate to deploy yet", run->run),
				 errhint("The first is the seed, once it has been run; see gepa.progress.")));
	seed = gepa_store_get_version_by_id(run->judge, run->seed_version);
	gepa_store_check_owner("judge", seed->spec->name, seed->owner, GetUserId());
	winner = gepa_apply_candidate(run, seed, candidate);
	gepa_judge_check_spec(winner->spec);
	/* The seed, named as such, is what one has. */
	if (candidate > 0 || PG_ARGISNULL(1))
		tell_unfinished(run, candidate);
	check_gain(run, candidate, force || (candidate == 0 && !PG_ARGISNULL(1)));
	PG_RETURN_INT32(gepa_store_add_version(run->judge, winner->spec, winner->lm, run->run,
										   candidate));
}
