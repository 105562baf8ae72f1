/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  Schedules, and a preview of their times.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/api_internal.h"
#include "worker/worker.h"

#define MOST_TIMES 10000

static bool
read_deploy(const char *deploy)
{
	if (strcmp(deploy, "never") != 0 && strcmp(deploy, "if_better") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"deploy\" cannot be \"%s\"", deploy),
				 errhint("Valid values are never and if_better.")));
	return strcmp(deploy, "if_better") == 0;
}

PG_FUNCTION_INFO_V1(gepa_create_schedule);
Datum
gepa_create_schedule(PG_FUNCTION_ARGS)
{
	StoreSchedule schedule = {0};

	schedule.owner = GetUserId();
	schedule.name = gepa_api_text_arg(fcinfo, 0, "name");
	schedule.judge_name = gepa_api_text_arg(fcinfo, 1, "judge");
	schedule.dataset = gepa_api_text_arg(fcinfo, 2, "dataset");
	schedule.reflection_lm = gepa_api_name_arg_or_null(fcinfo, 3);
	schedule.every = PG_ARGISNULL(4) ? NULL : PG_GETARG_INTERVAL_P(4);
	schedule.at = gepa_api_text_arg_or_null(fcinfo, 5);
	schedule.min_new_labels = gepa_api_int_arg(fcinfo, 6, "min_new_labels");
	schedule.budget = gepa_api_int_arg(fcinfo, 7, "budget");
	schedule.if_better = read_deploy(gepa_api_text_arg(fcinfo, 8, "deploy"));
	schedule.time_zone = gepa_api_text_arg_or_null(fcinfo, 9);
	schedule.options = gepa_api_object_arg(fcinfo, 10, "options");
	schedule.level = PG_ARGISNULL(11) ? 0.05 : PG_GETARG_FLOAT8(11);
	schedule.seed = PG_ARGISNULL(12) ? 0 : PG_GETARG_INT64(12);
	PG_RETURN_INT32(gepa_worker_create_schedule(&schedule));
}

PG_FUNCTION_INFO_V1(gepa_watch_dataset);
Datum
gepa_watch_dataset(PG_FUNCTION_ARGS)
{
	StoreSchedule schedule = {0};

	schedule.owner = GetUserId();
	schedule.judge_name = gepa_api_text_arg(fcinfo, 0, "judge");
	schedule.dataset = gepa_api_text_arg(fcinfo, 1, "dataset");
	schedule.reflection_lm = gepa_api_name_arg_or_null(fcinfo, 2);
	schedule.min_new_labels = gepa_api_int_arg(fcinfo, 3, "min_new_labels");
	schedule.name = PG_ARGISNULL(4) ?
		psprintf("%s on %s", schedule.judge_name, schedule.dataset) :
		gepa_api_text_arg(fcinfo, 4, "name");
	schedule.every = PG_ARGISNULL(5) ? NULL : PG_GETARG_INTERVAL_P(5);
	schedule.budget = gepa_api_int_arg(fcinfo, 6, "budget");
	schedule.if_better = read_deploy(gepa_api_text_arg(fcinfo, 7, "deploy"));
	schedule.options = gepa_api_object_arg(fcinfo, 8, "options");
	schedule.level = PG_ARGISNULL(9) ? 0.05 : PG_GETARG_FLOAT8(9);
	schedule.seed = PG_ARGISNULL(10) ? 0 : PG_GETARG_INT64(10);
	if (schedule.min_new_labels < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"min_new_labels\" must be positive"),
				 errhint("It would tune without end; gepa.create_schedule() tunes at set times.")));
	PG_RETURN_INT32(gepa_worker_create_schedule(&schedule));
}

PG_FUNCTION_INFO_V1(gepa_drop_schedule);
Datum
gepa_drop_schedule(PG_FUNCTION_ARGS)
{
	gepa_worker_drop_schedule(gepa_api_text_arg(fcinfo, 0, "name"));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(gepa_enable_schedule);
Datum
gepa_enable_schedule(PG_FUNCTION_ARGS)
{
	gepa_worker_enable_schedule(gepa_api_text_arg(fcinfo, 0, "name"), true);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(gepa_disable_schedule);
Datum
gepa_disable_schedule(PG_FUNCTION_ARGS)
{
	gepa_worker_enable_schedule(gepa_api_text_arg(fcinfo, 0, "name"), false);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(gepa_schedule_times);
Datum
gepa_schedule_times(PG_FUNCTION_ARGS)
{
	char	   *at = gepa_api_text_arg(fcinfo, 0, "at");
	char	   *time_zone = gepa_api_text_arg_or_null(fcinfo, 1);
	TimestampTz after = PG_ARGISNULL(2) ? GetCurrentTimestamp() : PG_GETARG_TIMESTAMPTZ(2);
	int			n = gepa_api_int_arg(fcinfo, 3, "n");
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz *times;

	if (n < 1 || n > MOST_TIMES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"n\" must be from 1 to %d", MOST_TIMES),
				 errhint("Go on after the last time for more.")));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	times = palloc(sizeof(TimestampTz) * n);
	n = gepa_worker_cron_times(at, time_zone, after, n, times);
	for (int i = 0; i < n; i++)
	{
		Datum		value = TimestampTzGetDatum(times[i]);
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}
