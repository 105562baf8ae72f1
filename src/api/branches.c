/*-------------------------------------------------------------------------
 *
 * branches.c
 *	  gepa.start_branches(): tuning the judges of a router, each on its slice.
 *
 * The rows of the dataset are routed as documents are; the samples of a judge's slice
 * become a run of that judge.  What is wrong with one slice (too few samples, a label
 * that is missing in it) leaves that judge out and is told; what is wrong with the call
 * is an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "api/api_internal.h"
#include "apply/apply.h"
#include "base/attempt.h"
#include "worker/worker.h"

/* Fewer say nothing about a prompt. */
#define FEWEST_SAMPLES 30

/* The samples that go to a judge. */
typedef struct Slice
{
	const StoreTarget *target;
	int			n;
	const char **keys;
} Slice;

/*
 * Slices
 */

static void
add_key(const StoreRouter *router, Slice *slices, const StoreTarget *target, const char *key)
{
	for (int i = 0; i < router->ntargets; i++)
		if (slices[i].target == target)
			slices[i].keys[slices[i].n++] = key;
}

static void
tell_left_out(const ApplyContents *contents)
{
	int			failed = 0;

	for (int i = 0; i < contents->n; i++)
		failed += contents->nulls[i] || contents->routes[i].step == APPLY_ROUTE_FAILED;
	if (failed > 0)
		ereport(NOTICE,
				(errmsg("%d samples are in no slice, because a judge that a rule asks gave no verdict on them",
						failed)));
}

/* By target of the router. */
static Slice *
make_slices(ApplyNamed *named, const StoreDataset *dataset)
{
	const StoreRouter *router = gepa_apply_router_of(named->router);
	ApplyContents contents = {.is_jsonb = true};
	StoreRow   *rows = gepa_store_read_rows(dataset, &contents.n);
	Datum	   *values = palloc(sizeof(Datum) * Max(contents.n, 1));
	Slice	   *slices = palloc0(sizeof(Slice) * router->ntargets);

	for (int i = 0; i < contents.n; i++)
		values[i] = rows[i].fields;
	contents.values = values;
	contents.nulls = palloc0(Max(contents.n, 1));
	gepa_apply_route_contents(named, &contents);
	tell_left_out(&contents);
	for (int i = 0; i < router->ntargets; i++)
	{
		slices[i].target = router->targets[i];
		slices[i].keys = palloc(sizeof(char *) * Max(contents.n, 1));
	}
	for (int i = 0; i < contents.n; i++)
		if (!contents.nulls[i] && contents.routes[i].step == APPLY_ROUTE_DECIDED)
			add_key(router, slices, contents.routes[i].target, rows[i].key);
	return slices;
}

/*
 * Runs
 */

static char *
sentence(const ErrorData *error)
{
	return error->detail == NULL ? pstrdup(error->message) :
		psprintf("%s: %s", error->message, error->detail);
}

typedef struct Starting
{
	const WorkerStartRequest *request;
	int			run;
} Starting;

static void
start_attempt(void *argument)
{
	Starting   *starting = argument;

	starting->run = gepa_worker_start_run(starting->request);
}

/* 0, and a reason, when something is wrong with the samples. */
static int
start_run(const WorkerStartRequest *request, char **reason)
{
	Starting	starting = {.request = request};
	ErrorData  *error = gepa_attempt(start_attempt, &starting);

	if (error == NULL)
		return starting.run;
	if (error->sqlerrcode != ERRCODE_INVALID_PARAMETER_VALUE)
		ReThrowError(error);
	*reason = sentence(error);
	return 0;
}

static int
start_branch(const StoreRouter *router, const Slice *slice, WorkerStartRequest *request,
			 char **reason)
{
	int			run;

	*reason = NULL;
	if (slice->target->version != 0)
		*reason = psprintf("version %d is what the router names, and runs make new ones",
						   slice->target->version);
	else if (slice->n < FEWEST_SAMPLES)
		*reason = psprintf("%d samples are too few, at least %d are needed", slice->n,
						   FEWEST_SAMPLES);
	if (*reason != NULL)
		return 0;
	request->judge = slice->target->name;
	request->keys = slice->keys;
	request->nkeys = slice->n;
	(void) gepa_store_get_target(slice->target);
	gepa_worker_check_start(request);
	run = start_run(request, reason);
	if (run > 0)
		gepa_store_note_router_run(router, run);
	return run;
}

/* A judge that is only asked by rules gets no samples. */
static bool
has_last_word(const StoreRouter *router, const StoreTarget *target)
{
	bool		found = router->otherwise == target;

	for (int i = 0; i < router->nrules; i++)
		found = found || router->rules[i].target == target;
	return found;
}

PG_FUNCTION_INFO_V1(gepa_start_branches);
Datum
gepa_start_branches(PG_FUNCTION_ARGS)
{
	WorkerStartRequest request = {.sliced = true};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ApplyNamed *named;
	StoreRouter *router;
	StoreDataset *dataset;
	Slice	   *slices;

	gepa_api_start_args(fcinfo, &request);
	gepa_worker_require("gepa.start_branches");
	router = gepa_api_get_router(gepa_api_text_arg(fcinfo, 0, "router"));
	named = gepa_apply_open_resolved(NULL, router, LM_PURPOSE_JUDGE);
	dataset = gepa_store_get_dataset(request.dataset);
	gepa_store_check_owner("dataset", dataset->name, dataset->owner, GetUserId());
	InitMaterializedSRF(fcinfo, 0);
	slices = make_slices(named, dataset);
	for (int i = 0; i < router->ntargets; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {0};
		char	   *reason;
		int			run;

		if (!has_last_word(router, slices[i].target))
			continue;
		run = start_branch(router, &slices[i], &request, &reason);
		values[0] = CStringGetTextDatum(slices[i].target->written);
		values[1] = Int32GetDatum(run);
		values[2] = Int32GetDatum(slices[i].n);
		nulls[1] = run == 0;
		gepa_api_put_text(values, nulls, 3, reason);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	gepa_apply_close_named(named);
	return (Datum) 0;
}
