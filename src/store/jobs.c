/*-------------------------------------------------------------------------
 *
 * jobs.c
 *	  Corpus jobs: their rows, and how they move from state to state.
 *
 * The state machine is in docs/jobs.md; every move goes through
 * gepa_store_move_job(), which changes nothing unless the job is in one of the
 * states it may be moved from.
 *
 * A job that equals one that is live takes its share of the other's work: both
 * take pieces from the same claims, and each ends when nothing is left.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_job_table.h"

static const char *const status_names[] = {
	"queued", "running", "pausing", "paused", "cancelled", "finished", "failed"
};

static const char *const kind_names[] = {"table", "watch"};

#define JOB_COLUMNS \
	"job, kind, work, owner::oid, judge, judge_name, version, source, key, document, filter," \
	" search_path, target_column, target_table, options::text, coalesce(expected, -1)," \
	" status, reason, resume_at, xmin::text," \
	" (extract(epoch FROM created_at) * 1000000)::int8, (options ->> 'workers')::int4"

static StoreStatement insert_job = {
	.sql = "INSERT INTO gepa.job (owner, judge, version, source, key, document, filter,"
	" search_path, target_column, target_table, kind, work, judge_name, options, expected)"
	" VALUES ($1::regrole, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::jsonb, $15)"
	" RETURNING job"
};

/* The row stays locked, so that it does not end before the other begins. */
static StoreStatement select_equal = {
	.sql = "SELECT work FROM gepa.job WHERE owner = $1::regrole AND judge = $2"
	" AND version = $3 AND source = $4 AND key = $5 AND document = $6"
	" AND filter IS NOT DISTINCT FROM $7 AND search_path = $8"
	" AND target_column IS NOT DISTINCT FROM $9 AND target_table IS NOT DISTINCT FROM $10"
	" AND kind = 'table' AND status IN ('queued', 'running', 'pausing', 'paused')"
	" ORDER BY job LIMIT 1 FOR UPDATE"
};

static StoreStatement select_watch = {
	.sql = "SELECT 1 FROM gepa.job WHERE kind = 'watch' AND owner = $1::regrole AND source = $2"
	" AND target_table = $3 AND status NOT IN ('cancelled', 'finished') LIMIT 1"
};

static StoreStatement set_own_work = {
	.sql = "UPDATE gepa.job SET work = job WHERE job = $1"
};

static StoreStatement insert_whole = {
	.sql = "INSERT INTO gepa.job_claim (job) VALUES ($1)"
};

static StoreStatement select_job = {
	.sql = "SELECT " JOB_COLUMNS " FROM gepa.job WHERE job = $1"
};

static StoreStatement lock_job = {
	.sql = "SELECT 1 FROM gepa.job WHERE job = $1 FOR UPDATE"
};

static StoreStatement select_born = {
	.sql = "SELECT 1 FROM gepa.job WHERE job = $1"
	" AND (extract(epoch FROM created_at) * 1000000)::int8 = $2"
};

static StoreStatement select_version = {
	.sql = "SELECT 1 FROM gepa.judge_version WHERE judge = $1 AND version = $2"
	" UNION ALL SELECT 1 FROM gepa.router_version WHERE judge = $1 AND version = $2"
};

static StoreStatement select_current = {
	.sql = "SELECT current_version FROM gepa.judge WHERE judge = $1"
};

static StoreStatement set_version = {
	.sql = "UPDATE gepa.job SET version = $2 WHERE job = $1 AND version <> $2"
};

static StoreStatement select_outdated = {
	.sql = "SELECT 1 FROM ROWS FROM (pg_catalog.unnest($1::int[]),"
	" pg_catalog.unnest($2::int[])) u(judge, version)"
	" JOIN gepa.judge j ON j.judge = u.judge AND j.current_version <> u.version LIMIT 1"
};

static StoreStatement update_status = {
	.sql = "UPDATE gepa.job SET status = $2, reason = $3, resume_at = $5,"
	" started_at = CASE WHEN $2 = 'running'"
	" THEN coalesce(started_at, pg_catalog.clock_timestamp()) ELSE started_at END,"
	" worked_until = CASE WHEN $2 = 'running' THEN pg_catalog.clock_timestamp() END,"
	" finished_at = CASE WHEN $2 IN ('cancelled', 'finished', 'failed')"
	" THEN pg_catalog.clock_timestamp() END"
	" WHERE job = $1 AND status = ANY ($4)"
};

static StoreStatement note_job = {
	.sql = "UPDATE gepa.job SET reason = $2 WHERE job = $1 AND status = 'running'"
	" AND reason IS DISTINCT FROM $2"
};

static StoreStatement select_live = {
	.sql = "SELECT " JOB_COLUMNS " FROM gepa.job"
	" WHERE status IN ('queued', 'running', 'pausing')"
	" OR (status = 'paused' AND resume_at IS NOT NULL) ORDER BY job"
};

static StoreStatement queue_errors = {
	.sql = "INSERT INTO gepa.job_queue (job, key) SELECT job, key FROM gepa.job_error e"
	" WHERE job = $1 AND NOT EXISTS (SELECT FROM gepa.job_queue q"
	" WHERE q.job = e.job AND q.key = e.key)"
};

const char *
gepa_store_job_status_name(StoreJobStatus status)
{
	Assert((int) status >= 0 && status < lengthof(status_names));
	return status_names[status];
}

/*
 * Creating
 */

/* What makes jobs equal, in the order of both statements. */
static void
add_identity(StoreArgs *args, const StoreJob *job)
{
	gepa_store_arg_oid(args, job->owner);
	gepa_store_arg_int(args, job->judge);
	gepa_store_arg_int(args, job->version);
	gepa_store_arg_text(args, job->source);
	gepa_store_arg_texts(args, job->nkeys, job->keys);
	gepa_store_arg_text(args, job->document);
	gepa_store_arg_text(args, job->filter);
	gepa_store_arg_text(args, job->search_path);
	gepa_store_arg_text(args, job->target_column);
	gepa_store_arg_text(args, job->target_table);
}

static void
find_equal(StoreScope *scope, StoreJob *job)
{
	StoreArgs	args = {0};

	add_identity(&args, job);
	if (gepa_store_run(scope, &select_equal, &args) > 0)
		job->work = gepa_store_int(0, 1, 0);
}

static void
insert_row(StoreScope *scope, StoreJob *job)
{
	StoreArgs	args = {0};

	add_identity(&args, job);
	gepa_store_arg_text(&args, kind_names[job->kind]);
	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_text(&args, job->judge_name);
	gepa_store_arg_text(&args, job->options);
	gepa_store_arg_double(&args, job->expected);
	gepa_store_run(scope, &insert_job, &args);
	job->job = gepa_store_int(0, 1, 0);
}

int
gepa_store_create_job(StoreJob *job, bool whole)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	job->work = 0;
	if (job->kind == STORE_JOB_TABLE)
		find_equal(&scope, job);
	insert_row(&scope, job);
	if (job->work == 0)
	{
		job->work = job->job;
		gepa_store_run_by_number(&scope, &set_own_work, job->job);
		if (whole)
			gepa_store_run_by_number(&scope, &insert_whole, job->work);
	}
	gepa_store_leave(&scope);
	return job->job;
}

/*
 * Reading
 */

static void
read_job(StoreScope *scope, uint64 row, StoreJob *job)
{
	job->job = gepa_store_int(row, 1, 0);
	job->kind = gepa_store_parse_word(kind_names, lengthof(kind_names),
									  gepa_store_text(scope, row, 2));
	job->work = gepa_store_int(row, 3, 0);
	job->owner = gepa_store_oid(row, 4);
	job->judge = gepa_store_int(row, 5, 0);
	job->judge_name = gepa_store_text(scope, row, 6);
	job->version = gepa_store_int(row, 7, 0);
	job->source = gepa_store_text(scope, row, 8);
	job->keys = gepa_store_texts(scope, row, 9, &job->nkeys);
	job->document = gepa_store_text(scope, row, 10);
	job->filter = gepa_store_text(scope, row, 11);
	job->search_path = gepa_store_text(scope, row, 12);
	job->target_column = gepa_store_text(scope, row, 13);
	job->target_table = gepa_store_text(scope, row, 14);
	job->options = gepa_store_text(scope, row, 15);
	job->expected = gepa_store_double(row, 16);
	job->status = gepa_store_parse_word(status_names, lengthof(status_names),
										gepa_store_text(scope, row, 17));
	job->reason = gepa_store_text(scope, row, 18);
	job->resume_at = gepa_store_timestamp(row, 19);
	job->mine = gepa_store_is_mine(scope, row, 20);
	job->born = gepa_store_bigint(row, 21);
	job->workers = gepa_store_int(row, 22, 1);
}

static StoreJob *
get_job(int id, bool lock)
{
	StoreScope	scope;
	StoreJob   *job = NULL;

	gepa_store_enter(&scope, lock ? STORE_VIEW_WRITE : STORE_VIEW_LATEST);
	if (lock)
		gepa_store_run_by_number(&scope, &lock_job, id);
	if (gepa_store_run_by_number(&scope, &select_job, id) > 0)
	{
		job = MemoryContextAllocZero(scope.caller, sizeof(StoreJob));
		read_job(&scope, 0, job);
	}
	gepa_store_leave(&scope);
	return job;
}

StoreJob *
gepa_store_get_job(int job)
{
	return get_job(job, false);
}

StoreJob *
gepa_store_lock_job(int job)
{
	return get_job(job, true);
}

StoreJob *
gepa_store_live_jobs(int *n)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreJob   *jobs;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	*n = (int) gepa_store_run(&scope, &select_live, &args);
	jobs = MemoryContextAllocZero(scope.caller, sizeof(StoreJob) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		read_job(&scope, i, &jobs[i]);
	gepa_store_leave(&scope);
	return jobs;
}

bool
gepa_store_job_exists(const StoreJob *job)
{
	return gepa_store_still_exists(&select_born, job->job, job->born);
}

bool
gepa_store_is_watched(const StoreJob *job)
{
	StoreArgs	args = {0};

	if (job->kind == STORE_JOB_WATCH || job->target_table == NULL)
		return job->kind == STORE_JOB_WATCH;
	gepa_store_arg_oid(&args, job->owner);
	gepa_store_arg_text(&args, job->source);
	gepa_store_arg_text(&args, job->target_table);
	return gepa_store_is_there(&select_watch, &args);
}

void
gepa_store_check_job_judge(const StoreJob *job)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, job->judge);
	gepa_store_arg_int(&args, job->version);
	if (!gepa_store_is_there(&select_version, &args))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("judge \"%s\" was dropped", job->judge_name),
				 errhint("Start a new job with another judge.")));
}

/*
 * Following the current version
 */

void
gepa_store_follow_job_judge(StoreJob *job)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	if (gepa_store_run_by_number(&scope, &select_current, job->judge) > 0)
	{
		job->version = gepa_store_int(0, 1, 0);
		gepa_store_arg_int(&args, job->job);
		gepa_store_arg_int(&args, job->version);
		gepa_store_run(&scope, &set_version, &args);
	}
	gepa_store_leave(&scope);
}

bool
gepa_store_any_outdated(const int *judges, const int *versions, int n)
{
	StoreArgs	args = {0};

	gepa_store_arg_ints(&args, n, judges);
	gepa_store_arg_ints(&args, n, versions);
	return gepa_store_is_there(&select_outdated, &args);
}

/*
 * Moving
 */

bool
gepa_store_move_job(int job, int from_mask, StoreJobStatus to, const char *reason,
					TimestampTz resume_at)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	bool		moved;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, job);
	gepa_store_arg_text(&args, gepa_store_job_status_name(to));
	gepa_store_arg_text(&args, reason);
	gepa_store_arg_words(&args, status_names, lengthof(status_names), from_mask);
	gepa_store_arg_timestamp(&args, resume_at);
	moved = gepa_store_run(&scope, &update_status, &args) > 0;
	gepa_store_leave(&scope);
	return moved;
}

void
gepa_store_note_job(int job, const char *reason)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, job);
	gepa_store_arg_text(&args, reason);
	gepa_store_run(&scope, &note_job, &args);
	gepa_store_leave(&scope);
}

int64
gepa_store_retry_job_errors(const StoreJob *job)
{
	StoreScope	scope;
	int64		n;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	n = (int64) gepa_store_run_by_number(&scope, &queue_errors, job->work);
	gepa_store_leave(&scope);
	return n;
}
