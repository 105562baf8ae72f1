/*-------------------------------------------------------------------------
 *
 * job_create.c
 *	  Making a corpus job: everything that can be known to be wrong is said
 *	  here, before a call is paid.
 *
 * All in the current transaction and with the rights of the current user, who
 * is the job's owner from then on.  The version that judges a table is pinned: a job
 * that takes days must not change its mind in the middle.  One that watches
 * follows the current version unless it was given one (job_judge.c).  The launcher
 * learns of the job at commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "worker/worker_job_internal.h"

static void
check_fields(const ApplyJudge *judge, const StoreSource *source)
{
	if (!source->is_jsonb && judge->spec->ninputs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("judge \"%s\" takes %d fields, and the document of the job is one text",
						judge->spec->name, judge->spec->ninputs),
				 errhint("Give a jsonb object of the fields, for example jsonb_build_object('%s', ...).",
						 judge->spec->inputs[0])));
}

/* May the user have it judge, or all that a router names, and do they take such documents? */
static void
check_judge(StoreVersion *version, StoreRouter *router, const StoreSource *source)
{
	ApplyNamed *named = gepa_apply_open_resolved(version, router, LM_PURPOSE_JOB);

	if (named->judge != NULL)
		check_fields(named->judge, source);
	for (int i = 0; router != NULL && i < router->ntargets; i++)
		check_fields(gepa_apply_target(named, router->targets[i]), source);
	gepa_apply_close_named(named);
}

/* The version that the job will have; one of the two is NULL. */
static StoreVersion *
find_judge(const char *name, int version, StoreRouter **router)
{
	*router = gepa_store_find_router(name, version);
	return *router != NULL ? NULL : gepa_store_get_version(name, version);
}

static void
check_room(const WorkerJobRequest *request)
{
	gepa_worker_require(request->function);
	if (!gepa_worker_has_room(WORKER_KIND_JOB))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("this server has %d workers of jobs already", WORKER_NJOBS),
				 errhint("Wait until some jobs have ended, in any of its databases.")));
}

static void
open_source(StoreSource *source, const WorkerJobRequest *request)
{
	int			nkeys;
	char	  **keys = gepa_store_split_names(request->key, &nkeys);

	memset(source, 0, sizeof(*source));
	source->owner = GetUserId();
	source->search_path = pstrdup(GetConfigOption("search_path", false, false));
	source->document = pstrdup(request->document);
	source->filter = request->filter ? pstrdup(request->filter) : NULL;
	gepa_store_open_source(source, request->source, (const char *const *) keys, nkeys);
}

static void
fill_row(StoreJob *job, StoreSource *source, const StoreJobTarget *target)
{
	job->owner = source->owner;
	job->source = source->relation;
	job->nkeys = source->nkeys;
	job->keys = palloc(sizeof(char *) * source->nkeys);
	memcpy(job->keys, source->keys, sizeof(char *) * source->nkeys);
	job->document = source->document;
	job->filter = source->filter;
	job->search_path = source->search_path;
	job->target_column = target->column;
	job->target_table = target->table;
	job->expected = gepa_store_expected_rows(source);
}

StoreJob *
gepa_worker_create_job(const WorkerJobRequest *request)
{
	WorkerJobOptions options;
	StoreVersion *version;
	StoreRouter *router;
	StoreSource source;
	StoreJobTarget target;
	StoreJob   *job = palloc0(sizeof(StoreJob));

	gepa_worker_parse_job_options(request->options, &options);
	version = find_judge(request->judge, options.version, &router);
	open_source(&source, request);
	check_judge(version, router, &source);
	check_room(request);
	gepa_store_make_target(&target, &source, request->target);
	job->judge = router != NULL ? router->router : version->judge;
	job->judge_name = router != NULL ? router->name : version->spec->name;
	job->version = router != NULL ? router->version : version->version;
	if (request->kind == STORE_JOB_TABLE)
		options.version = job->version;
	job->kind = request->kind;
	job->options = gepa_worker_job_options_json(&options);
	job->workers = options.workers;
	job->resume_at = DT_NOBEGIN;
	fill_row(job, &source, &target);
	(void) gepa_store_create_job(job, true);
	if (job->work != job->job)
		ereport(NOTICE,
				(errmsg("job %d takes its share of the rows of job %d, which is equal and not done",
						job->job, job->work)));
	gepa_worker_start_job_at_commit(job);
	return job;
}
