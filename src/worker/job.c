/*-------------------------------------------------------------------------
 *
 * job.c
 *	  A worker of a corpus job, from its start to its end.
 *
 * A job has one worker or several (parts).  Each connects as the owner, reads the
 * row first and ends quietly when there is nothing to do.  Then it takes pieces of
 * the work, has them judged and writes what came of them (job_pieces.c), until
 * nothing is left or somebody wants it to leave.
 *
 * How it ends:
 *	 - nothing is left: the job is "finished" (one that watches a table waits a
 *	   while, then leaves; the next change brings it back);
 *	 - somebody asked to pause or cancel: what is on the wire is waited for and
 *	   written, the rest is given back; the last to leave makes it "paused";
 *	 - a budget is used up: the same, and it comes back when the budget does;
 *	 - an ERROR: the job is "failed" with its text, and can be resumed;
 *	 - termination, a deadlock, a crash: its claims stay its own, and the next
 *	   worker of its number begins with them.
 *
 * An LM that does not answer is not the rows' fault: the worker gives its pieces
 * back, says so in the job's row, and tries again after a while, for as long as
 * it takes.  What cannot get better by itself (a wrong key) fails the job.
 *
 * A job whose owner was dropped, or may not connect any more, gets a worker that
 * is the bootstrap superuser and does nothing but say so in the row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "worker/worker_job_internal.h"

/* Locks on the user's tables are not waited for longer, in milliseconds. */
#define LOCK_TIMEOUT "200"

#define LONGEST_OUTAGE_PAUSE_MS 60000

/* A worker of a watching job that had nothing to do for so long leaves. */
#define IDLE_MS 5000

#define WORKING_MASK \
	((1 << STORE_JOB_QUEUED) | (1 << STORE_JOB_RUNNING) | (1 << STORE_JOB_PAUSING))

/* Of the owner's queries; a job is none, however long it takes. */
static const char *const query_limits[] = {
	"gepa.max_query_calls", "gepa.max_query_tokens", "gepa.max_query_cost"
};

/* For whoever catches this worker's errors. */
static struct
{
	WorkerJob  *job;			/* NULL until it was taken up */
}			at_work;

/*
 * Taking up
 */

/* The last to leave a job that is to pause; its row is locked. */
static void
settle_pause(const StoreJob *row)
{
	if (row->status == STORE_JOB_PAUSING && gepa_store_holds_nothing(row))
		(void) gepa_store_move_job(row->job, 1 << STORE_JOB_PAUSING, STORE_JOB_PAUSED,
								   row->reason, row->resume_at);
}

/* When its workers have to come back; 0 = not by themselves. */
static TimestampTz
comes_back(const StoreJob *row)
{
	bool		pauses = row->status == STORE_JOB_PAUSING || row->status == STORE_JOB_PAUSED;

	return pauses && !TIMESTAMP_IS_NOBEGIN(row->resume_at) ? row->resume_at : 0;
}

/* In a transaction, the row locked; true when there is work to do. */
static bool
take_over(const WorkerArgs *args, StoreJob *row)
{
	char	   *obstacle = gepa_worker_why_not_owner(args, "job", "resume_job");
	int			from = 1 << STORE_JOB_QUEUED;

	if (comes_back(row) != 0 && row->resume_at <= GetCurrentTimestamp())
		from |= 1 << STORE_JOB_PAUSED;
	if (obstacle != NULL)
	{
		(void) gepa_store_move_job(row->job, WORKING_MASK | 1 << STORE_JOB_PAUSED,
								   STORE_JOB_FAILED, obstacle, DT_NOBEGIN);
		return false;
	}
	gepa_store_become_part(row, args->part);
	gepa_store_release_claims(row, args->part);
	if (row->status == STORE_JOB_CANCELLED)
		gepa_store_drop_claims(row);
	settle_pause(row);
	if (gepa_store_move_job(row->job, from, STORE_JOB_RUNNING, NULL, DT_NOBEGIN))
		return true;
	return row->status == STORE_JOB_RUNNING;
}

/* The row, or NULL when there is nothing to do for it. */
static StoreJob *
take_up(const WorkerArgs *args, MemoryContext context)
{
	StoreJob   *row = NULL;
	bool		ours = false;

	gepa_worker_heed_stop();
	gepa_worker_begin(context);
	if (OidIsValid(gepa_store_extension_owner()))
		row = gepa_store_lock_job(args->id);
	if (row != NULL)
		ours = take_over(args, row);
	gepa_worker_commit(context);
	gepa_worker_announce_change(args->id);
	if (ours)
		return row;
	gepa_worker_mark_next(row != NULL ? comes_back(row) : 0, 0);
	return NULL;
}

/*
 * Leaving
 */

/* Give everything back; the job's row says when to come again. */
static void
leave(WorkerJob *job)
{
	StoreJob   *row;

	gepa_worker_drain_job(job);
	gepa_worker_abandon_pieces(job);
	gepa_worker_close_job_judge(job);
	gepa_worker_heed_stop();
	gepa_worker_begin(job->context);
	row = gepa_store_lock_job(job->row->job);
	if (row != NULL)
	{
		settle_pause(row);
		if (row->status == STORE_JOB_CANCELLED)
			gepa_store_drop_claims(row);
	}
	gepa_worker_commit(job->context);
	gepa_worker_announce_change(job->row->job);
	gepa_worker_mark_next(row != NULL ? comes_back(row) : 0, 0);
}

static void
stop_for_budget(WorkerJob *job)
{
	int			from = (1 << STORE_JOB_QUEUED) | (1 << STORE_JOB_RUNNING);

	gepa_worker_begin(job->context);
	if (job->options.pause_on_budget)
		(void) gepa_store_move_job(job->row->job, from, STORE_JOB_PAUSING, job->budget,
								   gepa_lm_budget_renewal());
	else
		(void) gepa_store_move_job(job->row->job, from, STORE_JOB_FAILED, job->budget,
								   DT_NOBEGIN);
	gepa_worker_commit(job->context);
	gepa_worker_stop_job(job->row->job, false);
	leave(job);
}

/* Nothing is left that anybody could take: has all been done? */
static bool
end_if_done(WorkerJob *job)
{
	MemoryContext scratch = AllocSetContextCreate(job->context, "gepa job end",
												  ALLOCSET_SMALL_SIZES);
	StoreJob   *row;
	bool		done;

	gepa_worker_begin(scratch);
	row = gepa_store_lock_job(job->row->job);
	done = row == NULL || row->status != STORE_JOB_RUNNING ||
		(row->kind == STORE_JOB_TABLE && !gepa_store_has_claims(row) &&
		 gepa_store_move_job(row->job, 1 << STORE_JOB_RUNNING, STORE_JOB_FINISHED, NULL,
							 DT_NOBEGIN));
	gepa_worker_commit(job->context);
	MemoryContextDelete(scratch);
	return done;
}

/*
 * Working
 */

/* The LM does not answer: give all back, wait, and open it as it is by then. */
static void
sit_out(WorkerJob *job)
{
	int			pause = gepa_worker_backoff_ms(job->outages, LONGEST_OUTAGE_PAUSE_MS);
	MemoryContext scratch = AllocSetContextCreate(job->context, "gepa job outage",
												  ALLOCSET_SMALL_SIZES);
	char	   *reason = psprintf("LM \"%s\" does not answer (%s); trying again",
								  job->outage_lm, job->outage);
	int64		due;

	gepa_worker_drain_job(job);
	gepa_worker_abandon_pieces(job);
	gepa_worker_close_job_judge(job);
	gepa_worker_begin(scratch);
	gepa_worker_check_job(job);
	gepa_store_note_job(job->row->job, reason);
	gepa_worker_commit(job->context);
	MemoryContextDelete(scratch);
	due = gepa_clock_after_ms(pause);
	while (due > gepa_clock_us() && !gepa_worker_stop_requested())
	{
		gepa_lm_wait(Min(gepa_clock_ms_until(due), WORKER_SLICE_MS));
		CHECK_FOR_INTERRUPTS();
	}
	pfree(reason);
	pfree(job->outage_lm);
	pfree(job->outage);
	job->outage = NULL;
	job->outages++;
	job->failures = 0;
	gepa_worker_open_job_judge(job);
}

static void
rest(WorkerJob *job)
{
	int			ms = WORKER_SLICE_MS;

	if (job->look_at != 0)
		ms = Min(ms, Max(gepa_clock_ms_until(job->look_at), 1));
	if (job->npieces > 0)
		gepa_apply_desk_rest(job->desk, ms);
	else
		gepa_lm_wait(ms);
}

/* Of a job that watches: true when it has waited for long enough. */
static bool
is_idle(const WorkerJob *job, int64 *idle_since)
{
	if (job->npieces > 0 || !job->nothing_left || job->row->kind == STORE_JOB_TABLE)
		*idle_since = gepa_clock_us();
	return gepa_clock_us() - *idle_since > (int64) IDLE_MS * 1000;
}

static void
drive(WorkerJob *job)
{
	int64		idle_since = gepa_clock_us();

	while (!gepa_worker_stop_requested() && !is_idle(job, &idle_since))
	{
		bool		busy = gepa_worker_turn_job(job);

		CHECK_FOR_INTERRUPTS();
		gepa_worker_reload();
		if (job->status != STORE_JOB_RUNNING)
			break;
		if (job->budget != NULL)
		{
			stop_for_budget(job);
			return;
		}
		if (job->outage != NULL)
			sit_out(job);
		else if (job->npieces == 0 && job->outdated)
			gepa_worker_renew_job_judge(job);
		else if (job->npieces == 0 && job->nothing_left && end_if_done(job))
			break;
		else if (!busy)
			rest(job);
	}
	leave(job);
}

static WorkerJob *
open_job(const WorkerArgs *args, StoreJob *row, MemoryContext context)
{
	WorkerJob  *job = MemoryContextAllocZero(context, sizeof(WorkerJob));

	job->context = context;
	job->row = row;
	job->part = args->part;
	dlist_init(&job->pieces);
	at_work.job = job;
	gepa_worker_parse_job_options(row->options, &job->options);
	gepa_worker_begin(context);
	gepa_worker_check_job(job);
	job->table = gepa_store_open_job_table(row, job->options.reasoning);
	gepa_worker_commit(context);
	gepa_worker_open_job_judge(job);
	return job;
}

static void
work(const WorkerArgs *args, MemoryContext context)
{
	StoreJob   *row = take_up(args, context);

	if (row == NULL)
		return;
	pgstat_report_activity(STATE_RUNNING, psprintf("gepa job %d: judging %s", row->job,
												   row->source));
	drive(open_job(args, row, context));
}

/*
 * Failing
 */

/* What has come in was paid for; that it cannot be saved is no new failure. */
static void
save_paid(MemoryContext context)
{
	if (at_work.job == NULL || at_work.job->desk == NULL)
		return;
	PG_TRY();
	{
		gepa_apply_desk_rescue(at_work.job->desk);
	}
	PG_CATCH();
	{
		FlushErrorState();
		gepa_worker_abort(context);
	}
	PG_END_TRY();
}

/* In a PG_CATCH block: the error becomes the reason of a failed job. */
static void
fail(const WorkerArgs *args, MemoryContext context)
{
	ErrorData  *edata = gepa_worker_take_error(context);
	WorkerJob  *job = at_work.job;
	bool		failed = false;

	save_paid(context);
	if (job == NULL || gepa_worker_is_passing(edata->sqlerrcode) || gepa_worker_is_blocked(edata))
		ReThrowError(edata);
	gepa_worker_begin(context);
	if (gepa_store_job_exists(job->row))
	{
		failed = gepa_store_move_job(args->id, WORKING_MASK, STORE_JOB_FAILED,
									 gepa_worker_reason_text(edata), DT_NOBEGIN);
		gepa_store_release_claims(job->row, job->part);
	}
	gepa_worker_commit(context);
	gepa_worker_announce_change(args->id);
	if (failed)
		gepa_worker_stop_job(args->id, false);
	ereport(LOG,
			(errcode(edata->sqlerrcode),
			 errmsg("gepa job %d %s: %s", args->id, failed ? "failed" : "was left",
					gepa_worker_reason_text(edata))));
	gepa_worker_mark_done();
}

void
gepa_worker_job_main(Datum arg)
{
	WorkerArgs	args;
	MemoryContext context;

	if (!gepa_worker_come_up(&args, false, "job"))
		return;
	SetConfigOption("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
	for (int i = 0; i < lengthof(query_limits); i++)
		SetConfigOption(query_limits[i], "-1", PGC_SUSET, PGC_S_OVERRIDE);
	context = AllocSetContextCreate(TopMemoryContext, "gepa job", ALLOCSET_DEFAULT_SIZES);

	PG_TRY();
	{
		work(&args, context);
	}
	PG_CATCH();
	{
		fail(&args, context);
	}
	PG_END_TRY();
}
