/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  Sweeps: quality against cost, over LMs and settings.
 *
 * gepa.start_sweep() writes the sweep in the caller's transaction;
 * gepa.sweep() has it started by a worker, in a transaction that commits, and
 * then watches its rows, as gepa.optimize() does with a run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "api/api_internal.h"
#include "base/clock.h"
#include "worker/worker.h"

/* Least time between two notices of progress. */
#define PROGRESS_INTERVAL_MS 10000

static WorkerSweepRequest
sweep_request(FunctionCallInfo fcinfo)
{
	WorkerSweepRequest request = {0};

	request.run.judge = gepa_api_text_arg(fcinfo, 0, "judge");
	request.run.dataset = gepa_api_text_arg(fcinfo, 1, "dataset");
	request.lms = gepa_api_texts_arg(fcinfo, 2, "lms", &request.nlms);
	request.run.reflection_lm = gepa_api_name_arg_or_null(fcinfo, 3);
	request.run.budget = gepa_api_int_arg(fcinfo, 4, "budget_each");
	request.run.seed = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
	request.run.options = PG_ARGISNULL(6) ? "{}" : gepa_api_object_arg(fcinfo, 6, "options");
	return request;
}

/* A sweep of the current user's; raises 42704 or 42501. */
static StoreSweep *
get_sweep(int id)
{
	StoreSweep *sweep = gepa_store_get_sweep(id);

	if (sweep == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("sweep %d does not exist", id),
				 errhint("See gepa.quality_cost.")));
	gepa_store_check_owner("sweep", psprintf("%d", id), sweep->owner, GetUserId());
	return sweep;
}

PG_FUNCTION_INFO_V1(gepa_start_sweep);
Datum
gepa_start_sweep(PG_FUNCTION_ARGS)
{
	WorkerSweepRequest request = sweep_request(fcinfo);
	bool		begun;

	gepa_worker_require("gepa.start_sweep");
	PG_RETURN_INT32(gepa_worker_start_sweep(&request, &begun));
}

PG_FUNCTION_INFO_V1(gepa_wait_sweep);
Datum
gepa_wait_sweep(PG_FUNCTION_ARGS)
{
	int			id = gepa_api_int_arg(fcinfo, 0, "sweep");
	int64		timeout_ms = gepa_api_timeout_arg(fcinfo, 1);
	int64		start = gepa_clock_us();
	MemoryContext look = gepa_api_make_look();
	MemoryContext old = MemoryContextSwitchTo(look);
	StoreSweep *sweep = get_sweep(id);
	int			left;

	if (sweep->mine && sweep->status == STORE_SWEEP_RUNNING)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sweep %d cannot be waited for in the transaction that changed it", id),
				 errhint("Commit first, or use gepa.sweep().")));
	while (sweep->status == STORE_SWEEP_RUNNING &&
		   (left = gepa_api_wait_ms(start, timeout_ms)) != 0)
	{
		gepa_worker_wait_change(0, left);
		MemoryContextReset(look);
		sweep = get_sweep(id);
	}
	MemoryContextSwitchTo(old);
	PG_RETURN_TEXT_P(cstring_to_text(gepa_store_sweep_status_name(sweep->status)));
}

PG_FUNCTION_INFO_V1(gepa_stop_sweep);
Datum
gepa_stop_sweep(PG_FUNCTION_ARGS)
{
	StoreSweep *sweep = get_sweep(PG_GETARG_INT32(0));

	if (!gepa_worker_stop_sweep(sweep->sweep))
		ereport(NOTICE,
				(errmsg("sweep %d has already ended", sweep->sweep)));
	PG_RETURN_VOID();
}

/*
 * Watching
 */

typedef struct Watch
{
	int			sweep;
	int64		last_shown;
	int			last_rollouts;
	int			nsettled;		/* points told of, by number */
	bool	   *settled;
} Watch;

static void
halt_on_cancel(int code, Datum arg)
{
	gepa_worker_halt_sweep(DatumGetInt32(arg), false);
}

static void
show_point(const StoreSweep *sweep, const StorePoint *point)
{
	if (point->status == STORE_POINT_FAILED || point->status == STORE_POINT_STOPPED)
		ereport(WARNING,
				(errmsg("sweep %d: LM \"%s\" with settings %s has no result: %s",
						sweep->sweep, point->lm, point->settings,
						point->reason ? point->reason : "no reason")));
	else
		ereport(NOTICE,
				(errmsg("sweep %d: LM \"%s\" with settings %s: %s %.4f, %.2f per million documents",
						sweep->sweep, point->lm, point->settings, sweep->metric,
						point->quality, point->cost_per_million)));
}

static bool
is_settled(const StorePoint *point)
{
	return point->status == STORE_POINT_MEASURED || point->status == STORE_POINT_FAILED ||
		point->status == STORE_POINT_STOPPED;
}

/* Rollouts of the runs that are at work. */
static int
count_rollouts(const StorePoint *points, int n)
{
	int			rollouts = 0;

	for (int i = 0; i < n; i++)
	{
		StoreRun   *run = points[i].status == STORE_POINT_TUNING ?
			gepa_store_get_run(points[i].run) : NULL;

		rollouts += run != NULL ? run->rollouts : 0;
	}
	return rollouts;
}

static void
show_progress(Watch *watch, const StorePoint *points, int n)
{
	int64		now = gepa_clock_us();
	int			rollouts;

	if (now - watch->last_shown < PROGRESS_INTERVAL_MS * 1000)
		return;
	watch->last_shown = now;
	rollouts = count_rollouts(points, n);
	if (rollouts == watch->last_rollouts)
		return;
	watch->last_rollouts = rollouts;
	ereport(NOTICE,
			(errmsg("sweep %d: %d of %d points are measured, %d being tuned with %d rollouts so far, %d being measured",
					watch->sweep, gepa_store_count_points(points, n, STORE_POINT_MEASURED), n,
					gepa_store_count_points(points, n, STORE_POINT_TUNING), rollouts,
					gepa_store_count_points(points, n, STORE_POINT_MEASURING))));
}

/* What has ended since the last look; points may have been added by others. */
static void
show_news(Watch *watch, const StoreSweep *sweep)
{
	int			n;
	StorePoint *points = gepa_store_get_points(watch->sweep, &n);

	if (n > watch->nsettled)
		watch->settled = repalloc(watch->settled, sizeof(bool) * n);
	while (watch->nsettled < n)
		watch->settled[watch->nsettled++] = false;
	for (int i = 0; i < n; i++)
	{
		if (is_settled(&points[i]) && !watch->settled[i])
			show_point(sweep, &points[i]);
		watch->settled[i] = is_settled(&points[i]);
	}
	show_progress(watch, points, n);
}

static void
watch_sweep(int id)
{
	Watch		watch = {.sweep = id,.last_shown = gepa_clock_us(),.settled = palloc(1)};
	MemoryContext look = gepa_api_make_look();
	MemoryContext old = MemoryContextSwitchTo(look);
	StoreSweep *sweep;

	while ((sweep = get_sweep(id))->status == STORE_SWEEP_RUNNING)
	{
		show_news(&watch, sweep);
		gepa_worker_wait_change(0, gepa_api_wait_ms(0, -1));
		MemoryContextReset(look);
	}
	show_news(&watch, sweep);
	ereport(NOTICE,
			(errmsg("sweep %d %s%s%s", id, gepa_store_sweep_status_name(sweep->status),
					sweep->reason ? ": " : "", sweep->reason ? sweep->reason : "")));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(look);
}

/*
 * The result
 */

#define NCOLUMNS 15

static void
put_double(Datum *value, bool *isnull, double number)
{
	*isnull = isnan(number);
	*value = Float8GetDatum(number);
}

static void
put_point(ReturnSetInfo *rsinfo, const StoreSweep *sweep, const StorePoint *point)
{
	bool		known = point->status == STORE_POINT_MEASURED && !isnan(point->quality);
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS] = {0};

	gepa_api_put_text(values, nulls, 0, point->lm);
	values[1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(point->settings));
	values[2] = Int32GetDatum(point->n);
	nulls[2] = point->n == 0;
	gepa_api_put_text(values, nulls, 3, sweep->metric);
	put_double(&values[4], &nulls[4], point->quality);
	put_double(&values[5], &nulls[5], point->low);
	put_double(&values[6], &nulls[6], point->high);
	nulls[7] = isnan(point->cost_per_million);
	if (!nulls[7])
		values[7] = DirectFunctionCall1(float8_numeric,
										Float8GetDatum(point->cost_per_million));
	put_double(&values[8], &nulls[8], point->documents_per_second);
	values[9] = BoolGetDatum(point->dominated);
	values[10] = BoolGetDatum(point->surely_dominated);
	nulls[9] = nulls[10] = !known;
	values[11] = Int32GetDatum(point->run);
	nulls[11] = point->run == 0;
	gepa_api_put_text(values, nulls, 12, gepa_store_point_status_name(point->status));
	gepa_api_put_text(values, nulls, 13, point->reason);
	values[14] = Int32GetDatum(sweep->sweep);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(gepa_sweep);
Datum
gepa_sweep(PG_FUNCTION_ARGS)
{
	WorkerSweepRequest request = sweep_request(fcinfo);
	StoreSweep *sweep;
	StorePoint *points;
	bool		begun;
	int			id;
	int			n;

	gepa_worker_require("gepa.sweep");
	InitMaterializedSRF(fcinfo, 0);
	id = gepa_worker_start_sweep_now(&request, &begun);
	ereport(NOTICE, (errmsg(begun ? "sweep %d started" : "sweep %d is at work already", id)));
	if (!begun)
		watch_sweep(id);
	else
	{
		PG_ENSURE_ERROR_CLEANUP(halt_on_cancel, Int32GetDatum(id));
		{
			watch_sweep(id);
		}
		PG_END_ENSURE_ERROR_CLEANUP(halt_on_cancel, Int32GetDatum(id));
	}
	sweep = get_sweep(id);
	points = gepa_store_get_points(id, &n);
	for (int i = 0; i < n; i++)
		put_point((ReturnSetInfo *) fcinfo->resultinfo, sweep, &points[i]);
	return (Datum) 0;
}
