/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  Asking for a sweep, and for its end.
 *
 * A sweep is a judge's version on a dataset, to be tuned in the same way for
 * several LMs and settings; each pair of these is a point.  Who asks for one
 * that is there already (the same version, dataset with the same samples,
 * reflection LM, budget, seed and options of the runs) has its missing points
 * done: new pairs are added, failed and stopped ones tried again, and what is
 * measured stays.
 *
 * All runs have the samples of the first, split as they were, so that they are
 * measured on the same rows whatever becomes of the dataset meanwhile.  The
 * first run is started here, with all checks of a start, the others by the
 * sweep worker (sweeper.c).
 *
 * A setting that changes the judge makes a version of it that is not current:
 * the runs start from it, and deploy builds on it.
 *
 * Locking: the judge's row, so that two who ask for the same at a time get one
 * sweep, then the sweep's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "worker/worker_sweep.h"

#define MOST_POINTS 1000

/* A sweep that is asked for. */
typedef struct Plan
{
	const WorkerSweepRequest *request;
	WorkerSweepOptions options;
	StoreVersion *version;
	StoreSweep *sweep;
	int			npoints;		/* wanted */
	StorePoint *points;
} Plan;

/*
 * What is wanted
 */

/* Steps may be new, or on other LMs; the judge's own is what the base was made for. */
static void
identify_steps(JudgeSpec *spec, const char *lm)
{
	char	   *identity = spec->lm_identity;
	JudgeServers *lms = gepa_judge_resolve(spec, lm, GetUserId());

	gepa_judge_identify(spec, lms);
	gepa_judge_free_servers(lms);
	spec->lm_identity = identity;
}

/* The version that runs with a setting start from. */
static int
setting_version(const StoreVersion *base, const WorkerSetting *setting)
{
	JudgeSpec	spec = *base->spec;
	const char *error = NULL;
	char	   *json;
	GepaJson   *options;

	if (strcmp(setting->judge_options, "{}") == 0)
		return base->version;
	json = gepa_worker_lay_over(gepa_judge_options_json(base->spec), setting->judge_options);
	options = gepa_json_parse(json, strlen(json), &error);
	if (options == NULL)
		elog(ERROR, "options of a judge cannot be read: %s", error);
	spec.components = palloc(sizeof(JudgeComponent) * base->spec->ncomponents);
	memcpy(spec.components, base->spec->components,
		   sizeof(JudgeComponent) * base->spec->ncomponents);
	gepa_judge_apply_options(&spec, options);
	gepa_judge_check_spec(&spec);
	identify_steps(&spec, base->lm);
	return gepa_store_keep_version(base->judge, &spec, base->lm);
}

static char *
task_lm_json(const char *lm)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"task_lm\":");
	gepa_json_quote(&buf, lm);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

static WorkerStartRequest
point_request(const StoreSweep *sweep, const StorePoint *point)
{
	WorkerStartRequest request = {0};

	request.judge = sweep->judge_name;
	request.dataset = sweep->dataset;
	request.reflection_lm = sweep->reflection_lm;
	request.budget = sweep->budget;
	request.seed = sweep->seed;
	request.options = point->options;
	request.version = point->version;
	request.samples_of = sweep->samples_of;
	return request;
}

static char *
read_identity(const char *name)
{
	LmServer   *lm = gepa_lm_resolve(name, GetUserId());
	char	   *identity = gepa_lm_identity(lm);

	if (lm->input_price == 0 && lm->output_price == 0)
		ereport(NOTICE,
				(errmsg("LM \"%s\" has no prices, so its documents count as free", name),
				 errhint("Set its options input_price and output_price.")));
	gepa_lm_free(lm);
	return identity;
}

static bool
is_equal(const StorePoint *a, const StorePoint *b)
{
	return strcmp(a->lm, b->lm) == 0 && strcmp(a->lm_identity, b->lm_identity) == 0 &&
		strcmp(a->settings, b->settings) == 0;
}

static StorePoint *
find_point(StorePoint *points, int n, const StorePoint *wanted)
{
	for (int i = 0; i < n; i++)
		if (is_equal(&points[i], wanted))
			return &points[i];
	return NULL;
}

/* All that can be wrong with it and needs no samples is raised here. */
static void
want_point(Plan *plan, const char *lm, char *identity, const WorkerSetting *setting, int version)
{
	StorePoint *point = &plan->points[plan->npoints];
	WorkerStartRequest request;

	memset(point, 0, sizeof(StorePoint));
	point->lm = pstrdup(lm);
	point->lm_identity = identity;
	point->settings = setting->text;
	point->version = version;
	point->options = gepa_worker_lay_over(gepa_worker_lay_over(plan->options.run_options,
															   setting->run_options),
										  task_lm_json(lm));
	if (find_point(plan->points, plan->npoints, point) != NULL)
		return;
	request = point_request(plan->sweep, point);
	gepa_worker_check_start(&request);
	gepa_worker_check_labelled(request.dataset,
							   "A sweep measures on held-out labels. Start runs with option \"task_lm\", or use a dataset with labels.");
	plan->npoints++;
}

/*
 * Versions are read as the running query sees them; it is to see those that were
 * just made.
 */
static void
see_own_versions(void)
{
	CommandCounterIncrement();
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
}

/* Leaves a snapshot pushed. */
static void
want_points(Plan *plan)
{
	const WorkerSweepRequest *request = plan->request;
	int			nsettings = plan->options.nsettings;
	int		   *versions = palloc(sizeof(int) * nsettings);

	if (request->nlms == 0 || (int64) request->nlms * nsettings > MOST_POINTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a sweep must have from 1 to %d points", MOST_POINTS),
				 errdetail("There are %d LMs with %d settings each.", request->nlms, nsettings),
				 errhint("Name in \"lms\" the LMs that are to be compared.")));
	for (int k = 0; k < nsettings; k++)
		versions[k] = setting_version(plan->version, &plan->options.settings[k]);
	see_own_versions();
	plan->points = palloc(sizeof(StorePoint) * request->nlms * nsettings);
	for (int i = 0; i < request->nlms; i++)
	{
		char	   *identity = read_identity(request->lms[i]);

		for (int k = 0; k < nsettings; k++)
			want_point(plan, request->lms[i], identity, &plan->options.settings[k],
					   versions[k]);
	}
}

/*
 * The sweep
 */

static void
describe(Plan *plan)
{
	const WorkerStartRequest *run = &plan->request->run;
	StoreSweep *sweep = palloc0(sizeof(StoreSweep));

	sweep->judge = plan->version->judge;
	sweep->judge_name = plan->version->spec->name;
	sweep->seed_version = plan->version->version;
	sweep->dataset = pstrdup(run->dataset);
	sweep->owner = GetUserId();
	sweep->reflection_lm = run->reflection_lm ? pstrdup(run->reflection_lm) : NULL;
	sweep->budget = run->budget;
	sweep->seed = run->seed;
	sweep->options = plan->options.run_options;
	sweep->metric = plan->options.metric;
	sweep->parallel_runs = plan->options.parallel_runs;
	plan->sweep = sweep;
}

/* Ask for what is not measured of those that are wanted. */
static void
ask_again(Plan *plan, StorePoint *points, int n, bool other_metric)
{
	for (int i = 0; i < n; i++)
	{
		StorePoint *point = &points[i];
		StorePointStatus status = point->status;

		if (status == STORE_POINT_MEASURED && other_metric)
			status = STORE_POINT_MEASURING;
		else if ((status == STORE_POINT_FAILED || status == STORE_POINT_STOPPED) &&
				 find_point(plan->points, plan->npoints, point) != NULL)
			status = STORE_POINT_QUEUED;
		if (status == point->status)
			continue;
		point->status = status;
		point->reason = NULL;
		gepa_store_put_point(plan->sweep->sweep, point);
	}
}

static void
add_points(Plan *plan, StorePoint *points, int n)
{
	int			last = n;

	for (int i = 0; i < plan->npoints; i++)
	{
		if (find_point(points, n, &plan->points[i]) != NULL)
			continue;
		plan->points[i].point = ++last;
		gepa_store_add_point(plan->sweep->sweep, &plan->points[i]);
	}
}

/* The sweep that is there, or a new one; it is locked either way. */
static void
find_or_create(Plan *plan)
{
	WorkerStartRequest request = point_request(plan->sweep, &plan->points[0]);
	int			id;

	gepa_worker_digest_samples(&request, plan->sweep->samples);
	id = gepa_store_find_sweep(plan->sweep);
	if (id == 0)
		id = gepa_store_create_sweep(plan->sweep);
	plan->sweep = gepa_store_lock_sweep(id);
	if (plan->sweep == NULL)
		elog(ERROR, "sweep %d is gone while its judge is locked", id);
}

static void
check_held_out(const Plan *plan)
{
	int			n;

	(void) gepa_store_get_samples(plan->sweep->samples_of, plan->version->spec,
								  STORE_SPLIT_TEST, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a sweep needs samples that are held out, and there are none"),
				 errhint("Give a test share, for example options => '{\"split\": {\"train\": 0.4, \"val\": 0.3, \"test\": 0.3}}'.")));
}

static void
begin_first(Plan *plan)
{
	int			n;
	StorePoint *points = gepa_store_get_points(plan->sweep->sweep, &n);

	gepa_worker_begin_point(plan->sweep, &points[0]);
	check_held_out(plan);
}

int
gepa_worker_start_sweep(const WorkerSweepRequest *request, bool *begun)
{
	Plan		plan = {.request = request};
	StorePoint *points;
	bool		other_metric;
	int			n;

	gepa_worker_parse_sweep_options(request->run.options, &plan.options);
	plan.version = gepa_store_get_version(request->run.judge, plan.options.version);
	gepa_store_check_owner("judge", plan.version->spec->name, plan.version->owner, GetUserId());
	(void) gepa_store_lock_version(request->run.judge);
	describe(&plan);
	want_points(&plan);
	find_or_create(&plan);

	*begun = plan.sweep->mine || plan.sweep->status != STORE_SWEEP_RUNNING;
	other_metric = strcmp(plan.sweep->metric, plan.options.metric) != 0;
	points = gepa_store_get_points(plan.sweep->sweep, &n);
	ask_again(&plan, points, n, other_metric);
	add_points(&plan, points, n);
	plan.sweep->metric = plan.options.metric;
	plan.sweep->parallel_runs = plan.options.parallel_runs;
	plan.sweep->status = STORE_SWEEP_RUNNING;
	plan.sweep->reason = NULL;
	gepa_store_put_sweep(plan.sweep);
	if (plan.sweep->samples_of == 0)
		begin_first(&plan);
	PopActiveSnapshot();
	gepa_worker_look_at_sweep(plan.sweep->sweep, plan.sweep->owner);
	return plan.sweep->sweep;
}

/*
 * Points
 */

static void
start_point(StoreSweep *sweep, StorePoint *point)
{
	WorkerStartRequest request = point_request(sweep, point);

	point->run = gepa_worker_start_run(&request);
	if (sweep->samples_of != 0)
		return;
	sweep->samples_of = point->run;
	gepa_store_put_sweep(sweep);
}

void
gepa_worker_begin_point(StoreSweep *sweep, StorePoint *point)
{
	StoreRun   *run = point->run == 0 ? NULL : gepa_store_get_run(point->run);

	/* A run that has finished is told from others when it is looked at. */
	if (run == NULL)
		start_point(sweep, point);
	else
		(void) gepa_worker_resume_run(run);
	point->status = STORE_POINT_TUNING;
	point->reason = NULL;
	gepa_store_put_point(sweep->sweep, point);
}

static void
stop_point(const StoreSweep *sweep, StorePoint *point)
{
	StoreRun   *run = point->status == STORE_POINT_TUNING ? gepa_store_get_run(point->run) : NULL;

	if (point->status != STORE_POINT_QUEUED && point->status != STORE_POINT_TUNING &&
		point->status != STORE_POINT_MEASURING)
		return;
	if (run != NULL)
		(void) gepa_worker_ask_to_stop(run);
	point->status = STORE_POINT_STOPPED;
	point->reason = pstrdup("the sweep was stopped");
	gepa_store_put_point(sweep->sweep, point);
}

void
gepa_worker_end_sweep(StoreSweep *sweep)
{
	int			n;
	StorePoint *points = gepa_store_get_points(sweep->sweep, &n);

	for (int i = 0; i < n; i++)
		stop_point(sweep, &points[i]);
	sweep->status = STORE_SWEEP_STOPPED;
	sweep->reason = pstrdup("stopped on request");
	gepa_store_put_sweep(sweep);
}

bool
gepa_worker_stop_sweep(int id)
{
	StoreSweep *sweep = gepa_store_lock_sweep(id);

	if (sweep == NULL || sweep->status != STORE_SWEEP_RUNNING)
		return false;
	gepa_worker_end_sweep(sweep);
	/* What is measuring now need not go on. */
	gepa_worker_halt_sweep(id, true);
	return true;
}
