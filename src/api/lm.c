/*-------------------------------------------------------------------------
 *
 * lm.c
 *	  The validator of the wrapper gepa_lm, and gepa.check_lm().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "api/api_internal.h"

PG_FUNCTION_INFO_V1(gepa_lm_validator);
Datum
gepa_lm_validator(PG_FUNCTION_ARGS)
{
	gepa_lm_validate(untransformRelOptions(PG_GETARG_DATUM(0)), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(gepa_check_lm);
Datum
gepa_check_lm(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	LmServer   *server = gepa_lm_resolve(NameStr(*PG_GETARG_NAME(0)), GetUserId());
	LmCheck    *checks;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	checks = gepa_lm_check(server, &n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, checks[i].detail == NULL};

		values[0] = CStringGetTextDatum(checks[i].item);
		values[1] = BoolGetDatum(checks[i].ok);
		values[2] = checks[i].detail ? CStringGetTextDatum(checks[i].detail) : (Datum) 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	gepa_lm_free(server);
	return (Datum) 0;
}
