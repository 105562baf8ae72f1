/*-------------------------------------------------------------------------
 *
 * candidates.c
 *	  Candidates of runs: whose they are, and how two of them differ.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/api_internal.h"
#include "base/diff.h"

StoreRun *
gepa_api_get_run(int run)
{
	StoreRun   *result = gepa_store_get_run(run);

	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("run %d does not exist", run),
				 errhint("See gepa.runs.")));
	gepa_store_check_owner("run", psprintf("%d", run), result->owner, GetUserId());
	return result;
}

static GepaJson *
component_texts(int run, int candidate)
{
	const char *json = gepa_store_get_candidate(run, candidate)->components;

	return gepa_json_parse(json, strlen(json), NULL);
}

/* Candidates of a run have the same components. */
PG_FUNCTION_INFO_V1(gepa_prompt_diff);
Datum
gepa_prompt_diff(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(PG_GETARG_INT32(0));
	GepaJson   *from = component_texts(run->run, PG_GETARG_INT32(1));
	GepaJson   *to = component_texts(run->run, PG_GETARG_INT32(2));
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; to != NULL && i < to->nitems; i++)
	{
		const char *before = gepa_json_get_string(from, to->keys[i]);
		Datum		values[2];
		bool		nulls[2] = {0};

		values[0] = CStringGetTextDatum(to->keys[i]);
		values[1] = CStringGetTextDatum(gepa_word_diff(before ? before : "",
													   to->items[i]->text));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
