/*-------------------------------------------------------------------------
 *
 * job_judge.c
 *	  The judge of a job's worker: opened, closed, followed.
 *
 * A job that goes through a table is judged by one version to its end.  One that
 * watches, which may do so for years, follows the current version unless option
 * "version" names one.  Its worker asks whenever it takes rows (job_pieces.c).  When
 * the judge is outdated it takes none; what it is at is finished by the version
 * it was asked of, so nothing is paid for in vain, and then the judge is opened as it
 * is now.  The job's row tells the version that was opened last; each worker of
 * the job comes to it by itself.
 *
 * A router is followed like a judge, and so are those of its judges that its rules
 * name without a version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "worker/worker_job_internal.h"

static bool
follows(const WorkerJob *job)
{
	return job->row->kind == STORE_JOB_WATCH && job->options.version == 0;
}

void
gepa_worker_open_job_judge(WorkerJob *job)
{
	StoreVersion *version = NULL;
	StoreRouter *router;

	job->judge_context = AllocSetContextCreate(job->context, "gepa job judge",
											   ALLOCSET_DEFAULT_SIZES);
	gepa_worker_begin(job->judge_context);
	gepa_worker_check_job(job);
	if (follows(job))
		gepa_store_follow_job_judge(job->row);
	router = gepa_store_find_router(job->row->judge_name, job->row->version);
	if (router == NULL || router->router != job->row->judge)
	{
		version = gepa_store_get_version_by_id(job->row->judge, job->row->version);
		router = NULL;
	}
	job->named = gepa_apply_open_resolved(version, router, LM_PURPOSE_JOB);
	job->desk = gepa_apply_desk_open(job->named);
	gepa_worker_commit(job->context);
	job->outdated = false;
	job->opened_at = gepa_clock_us();
}

void
gepa_worker_close_job_judge(WorkerJob *job)
{
	if (job->named == NULL)
		return;
	gepa_apply_desk_close(job->desk);
	gepa_apply_close_named(job->named);
	MemoryContextDelete(job->judge_context);
	job->desk = NULL;
	job->named = NULL;
}

bool
gepa_worker_job_judge_is_outdated(const WorkerJob *job)
{
	const ApplyNamed *named = job->named;
	int			n = 1 + list_length(named->targets);
	int		   *judges = palloc(sizeof(int) * n);
	int		   *versions = palloc(sizeof(int) * n);
	ListCell   *target;
	ListCell   *judge;

	if (!follows(job))
		return false;
	judges[0] = job->row->judge;
	versions[0] = job->row->version;
	n = 1;
	forboth(target, named->targets, judge, named->judges)
	{
		const ApplyJudge *asked = lfirst(judge);

		if (((const StoreTarget *) lfirst(target))->version != 0)
			continue;
		judges[n] = asked->version->judge;
		versions[n++] = asked->version->version;
	}
	return gepa_store_any_outdated(judges, versions, n);
}

void
gepa_worker_renew_job_judge(WorkerJob *job)
{
	Assert(job->npieces == 0);
	gepa_worker_close_job_judge(job);
	gepa_worker_open_job_judge(job);
	job->look_at = 0;
}
