/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Tuning texts of any kind by a function that evaluates them.
 *
 * What they are started with is told apart from a run of a judge only here; watching, stopping,
 * resuming and replaying are those of run.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "api/api_internal.h"
#include "worker/worker.h"

static char *
json_arg_or_null(FunctionCallInfo fcinfo, int n)
{
	Jsonb	   *value;

	if (PG_ARGISNULL(n))
		return NULL;
	value = PG_GETARG_JSONB_P(n);
	return JsonbToCString(NULL, &value->root, VARSIZE(value));
}

static void
read_args(FunctionCallInfo fcinfo, WorkerStartRequest *request, WorkerTextRequest *text)
{
	gepa_api_require_arg(fcinfo, 0, "evaluator");
	text->evaluator = PG_GETARG_OID(0);
	request->reflection_lm = gepa_api_name_arg_or_null(fcinfo, 1);
	request->budget = gepa_api_int_arg(fcinfo, 2, "budget");
	text->seed = json_arg_or_null(fcinfo, 3);
	request->dataset = gepa_api_text_arg_or_null(fcinfo, 4);
	text->objective = gepa_api_text_arg_or_null(fcinfo, 5);
	text->background = gepa_api_text_arg_or_null(fcinfo, 6);
	request->seed = PG_ARGISNULL(7) ? 0 : PG_GETARG_INT64(7);
	request->options = PG_ARGISNULL(8) ? "{}" : gepa_api_object_arg(fcinfo, 8, "options");
	request->text = text;
}

PG_FUNCTION_INFO_V1(gepa_start_text);
Datum
gepa_start_text(PG_FUNCTION_ARGS)
{
	WorkerStartRequest request = {0};
	WorkerTextRequest text;

	read_args(fcinfo, &request, &text);
	gepa_worker_require("gepa.start_text");
	PG_RETURN_INT32(gepa_worker_start_run(&request));
}

PG_FUNCTION_INFO_V1(gepa_optimize_text);
Datum
gepa_optimize_text(PG_FUNCTION_ARGS)
{
	WorkerStartRequest request = {0};
	WorkerTextRequest text;

	read_args(fcinfo, &request, &text);
	gepa_worker_require("gepa.optimize_text");
	PG_RETURN_INT32(gepa_api_start_and_watch(&request));
}

PG_FUNCTION_INFO_V1(gepa_best_text);
Datum
gepa_best_text(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(PG_GETARG_INT32(0));
	const char *texts;

	if (run->best_candidate < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %d has no candidate yet", run->run),
				 errhint("Wait until its seed has been evaluated; see gepa.progress.")));
	texts = gepa_store_get_candidate(run->run, run->best_candidate)->components;
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(texts)));
}
