/*-------------------------------------------------------------------------
 *
 * job.c
 *	  Starting, pausing, resuming, cancelling and waiting for corpus jobs.
 *
 * As with runs, the row is changed in the caller's transaction, and the workers
 * learn of it at commit; whatever they are asked, they read the row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "api/api_internal.h"
#include "base/clock.h"
#include "worker/worker.h"

/* A job of the current user's. */
static StoreJob *
get_own_job(int id, bool lock)
{
	StoreJob   *job = lock ? gepa_store_lock_job(id) : gepa_store_get_job(id);

	if (job == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("job %d does not exist", id),
				 errhint("See gepa.jobs.")));
	gepa_store_check_owner("job", psprintf("%d", id), job->owner, GetUserId());
	return job;
}

static void
refuse_move(const StoreJob *job, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("job %d is %s and cannot be %s", job->job,
					gepa_store_job_status_name(job->status), what),
			 errhint("%s", hint)));
}

StoreJob *
gepa_api_create_job(FunctionCallInfo fcinfo, StoreJobKind kind, const char *function)
{
	WorkerJobRequest request = {.kind = kind,.function = function};

	request.judge = gepa_api_text_arg(fcinfo, 0, "judge");
	request.source = gepa_api_text_arg(fcinfo, 1, "source");
	request.key = gepa_api_text_arg(fcinfo, 2, "key");
	request.document = gepa_api_text_arg(fcinfo, 3, "document");
	request.target = gepa_api_text_arg_or_null(fcinfo, 4);
	request.filter = gepa_api_text_arg_or_null(fcinfo, 5);
	request.options = PG_ARGISNULL(6) ? "{}" : gepa_api_object_arg(fcinfo, 6, "options");
	return gepa_worker_create_job(&request);
}

PG_FUNCTION_INFO_V1(gepa_judge_table);
Datum
gepa_judge_table(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(gepa_api_create_job(fcinfo, STORE_JOB_TABLE, "gepa.judge_table")->job);
}

PG_FUNCTION_INFO_V1(gepa_pause_job);
Datum
gepa_pause_job(PG_FUNCTION_ARGS)
{
	StoreJob   *job = get_own_job(PG_GETARG_INT32(0), true);
	const char *reason = "paused on request";

	if (job->status == STORE_JOB_PAUSING || job->status == STORE_JOB_PAUSED)
	{
		/* Perhaps for a budget: now for good. */
		(void) gepa_store_move_job(job->job, 1 << job->status, job->status, reason,
								   DT_NOBEGIN);
		PG_RETURN_VOID();
	}
	if (!gepa_store_move_job(job->job, 1 << STORE_JOB_QUEUED, STORE_JOB_PAUSED, reason,
							 DT_NOBEGIN) &&
		!gepa_store_move_job(job->job, 1 << STORE_JOB_RUNNING, STORE_JOB_PAUSING, reason,
							 DT_NOBEGIN))
		refuse_move(job, "paused", "It has ended.");

	/* Where no worker has it, one is needed to say that it is paused. */
	if (gepa_worker_available())
		gepa_worker_start_job_at_commit(job);
	gepa_worker_stop_job(job->job, true);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(gepa_resume_job);
Datum
gepa_resume_job(PG_FUNCTION_ARGS)
{
	StoreJob   *job = get_own_job(PG_GETARG_INT32(0), true);
	int			from = (1 << STORE_JOB_PAUSING) | (1 << STORE_JOB_PAUSED) |
		(1 << STORE_JOB_FAILED) | (1 << STORE_JOB_QUEUED);

	gepa_worker_require("gepa.resume_job");
	if (job->status != STORE_JOB_RUNNING &&
		!gepa_store_move_job(job->job, from, STORE_JOB_QUEUED, NULL, DT_NOBEGIN))
		refuse_move(job, "resumed",
					"Start a new one with gepa.judge_table(); stored verdicts are not paid again.");
	gepa_worker_start_job_at_commit(job);
	PG_RETURN_VOID();
}

/* The table's lock comes before the row's, as in a worker. */
void
gepa_api_cancel_job(int id)
{
	StoreJob   *job = get_own_job(id, false);
	int			from = (1 << STORE_JOB_QUEUED) | (1 << STORE_JOB_RUNNING) |
		(1 << STORE_JOB_PAUSING) | (1 << STORE_JOB_PAUSED) | (1 << STORE_JOB_FAILED);

	if (job->kind == STORE_JOB_WATCH)
		gepa_api_end_watch(job);
	job = get_own_job(id, true);
	if (!gepa_store_move_job(job->job, from, STORE_JOB_CANCELLED, "cancelled on request",
							 DT_NOBEGIN))
	{
		ereport(NOTICE, (errmsg("job %d has already ended", job->job)));
		return;
	}
	gepa_store_drop_claims(job);
	gepa_worker_stop_job(job->job, true);
}

PG_FUNCTION_INFO_V1(gepa_cancel_job);
Datum
gepa_cancel_job(PG_FUNCTION_ARGS)
{
	gepa_api_cancel_job(PG_GETARG_INT32(0));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(gepa_retry_errors);
Datum
gepa_retry_errors(PG_FUNCTION_ARGS)
{
	StoreJob   *job = get_own_job(PG_GETARG_INT32(0), true);
	int64		n;

	gepa_worker_require("gepa.retry_errors");
	if (job->status == STORE_JOB_CANCELLED)
		refuse_move(job, "continued", "Start a new one with gepa.judge_table().");
	n = gepa_store_retry_job_errors(job);
	if (n > 0 && job->status == STORE_JOB_FINISHED)
		(void) gepa_store_move_job(job->job, 1 << STORE_JOB_FINISHED, STORE_JOB_QUEUED, NULL,
								   DT_NOBEGIN);
	if (n > 0)
		gepa_worker_start_job_at_commit(job);
	PG_RETURN_INT64(n);
}

/*
 * Waiting
 */

static bool
is_at_rest(const StoreJob *job)
{
	return job->status == STORE_JOB_PAUSED || job->status == STORE_JOB_CANCELLED ||
		job->status == STORE_JOB_FINISHED || job->status == STORE_JOB_FAILED;
}

PG_FUNCTION_INFO_V1(gepa_wait_job);
Datum
gepa_wait_job(PG_FUNCTION_ARGS)
{
	int			id = gepa_api_int_arg(fcinfo, 0, "job");
	int64		timeout_ms = gepa_api_timeout_arg(fcinfo, 1);
	int64		start = gepa_clock_us();
	MemoryContext look = gepa_api_make_look();
	MemoryContext old = MemoryContextSwitchTo(look);
	StoreJob   *job = get_own_job(id, false);
	int			left;

	if (job->mine && !is_at_rest(job))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %d cannot be waited for in the transaction that changed it", id),
				 errhint("Commit first.")));
	while (!is_at_rest(job) && (left = gepa_api_wait_ms(start, timeout_ms)) != 0)
	{
		gepa_worker_wait_change(id, left);
		MemoryContextReset(look);
		job = get_own_job(id, false);
	}
	MemoryContextSwitchTo(old);
	PG_RETURN_TEXT_P(cstring_to_text(gepa_store_job_status_name(job->status)));
}

/*
 * Workers at work; the view that joins them shows each role its own jobs.
 */

PG_FUNCTION_INFO_V1(gepa_job_workers);
Datum
gepa_job_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WorkerAtWork *workers;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	workers = gepa_worker_jobs_at_work(&n);
	for (int i = 0; i < n; i++)
	{
		StoreJob   *job = gepa_store_get_job(workers[i].id);
		Datum		values[4];
		bool		nulls[4] = {0};

		if (job == NULL || !has_privs_of_role(GetUserId(), job->owner))
			continue;
		values[0] = Int32GetDatum(workers[i].id);
		values[1] = Int32GetDatum(workers[i].part);
		values[2] = Int32GetDatum(workers[i].pid);
		values[3] = Int32GetDatum(workers[i].in_flight);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
