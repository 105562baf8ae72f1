/*-------------------------------------------------------------------------
 *
 * verdicts.c
 *	  Keeping the verdict store small.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "api/api_internal.h"

static int
keep_arg(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(1))
		return -1;
	if (PG_GETARG_INT32(1) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"keep_versions\" must not be negative"),
				 errhint("With 0 the current version alone keeps its verdicts.")));
	return PG_GETARG_INT32(1);
}

static const Interval *
age_arg(FunctionCallInfo fcinfo)
{
	Interval   *zero;

	if (PG_ARGISNULL(2))
		return NULL;
	zero = palloc0(sizeof(Interval));
	if (DatumGetBool(DirectFunctionCall2(interval_lt, PG_GETARG_DATUM(2),
										 IntervalPGetDatum(zero))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"older_than\" must not be negative"),
				 errhint("Give an age such as '90 days'.")));
	return PG_GETARG_INTERVAL_P(2);
}

static void
put_pruned(ReturnSetInfo *rsinfo, const StorePruned *pruned)
{
	Datum		values[4];
	bool		nulls[4] = {0};

	if (pruned->verdicts == 0 && pruned->errors == 0 && !pruned->emptied)
		return;
	nulls[0] = pruned->version == 0;
	values[0] = Int32GetDatum(pruned->version);
	values[1] = Int64GetDatum(pruned->verdicts);
	values[2] = Int64GetDatum(pruned->errors);
	values[3] = BoolGetDatum(pruned->emptied);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(gepa_prune_verdicts);
Datum
gepa_prune_verdicts(PG_FUNCTION_ARGS)
{
	StoreVersion *version = gepa_store_get_version(gepa_api_text_arg(fcinfo, 0, "judge"), 0);
	int			keep = keep_arg(fcinfo);
	const Interval *older_than = age_arg(fcinfo);
	StorePruned *pruned;
	int			n;

	gepa_store_check_owner("judge", version->spec->name, version->owner, GetUserId());
	if (keep < 0 && older_than == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no rule says which verdicts to delete"),
				 errhint("Give \"keep_versions\", \"older_than\" or both.")));
	InitMaterializedSRF(fcinfo, 0);
	pruned = gepa_store_prune_verdicts(version->judge, keep, older_than, &n);
	for (int i = 0; i < n; i++)
		put_pruned((ReturnSetInfo *) fcinfo->resultinfo, &pruned[i]);
	return (Datum) 0;
}
