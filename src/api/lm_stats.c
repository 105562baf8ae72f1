/*-------------------------------------------------------------------------
 *
 * lm_stats.c
 *	  gepa.lm_figures(): what gepa.lm_stats shows.
 *
 * A role sees the LMs that it may use, or owns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "api/api_internal.h"
#include "base/compat.h"

#define NCOLUMNS 23

static bool
may_see(Oid serverid)
{
	const ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);

	return server != NULL &&
		(gepa_has_server_usage(serverid, GetUserId()) ||
		 has_privs_of_role(GetUserId(), server->owner));
}

static Datum
as_jsonb(const StringInfoData *members)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("{%s}", members->data)));
}

static Datum
errors(const LmFigures *figures)
{
	StringInfoData members;

	initStringInfo(&members);
	for (int i = 0; i < LM_NERRORS; i++)
		if (figures->errors[i] > 0)
			appendStringInfo(&members, "%s\"%s\":" INT64_FORMAT, members.len > 0 ? "," : "",
							 gepa_lm_error_name(i), figures->errors[i]);
	return as_jsonb(&members);
}

static Datum
classes(const LmFigures *figures, LmClassUse *all)
{
	StringInfoData members;

	initStringInfo(&members);
	for (int i = 0; i < LM_NCLASSES; i++)
	{
		const LmClassUse *use = &figures->classes[i];

		if (use->processes > 0)
			appendStringInfo(&members,
							 "%s\"%s\":{\"processes\":%d,\"in_flight\":%d,\"waiting\":%d}",
							 members.len > 0 ? "," : "", gepa_lm_class_name(i),
							 use->processes, use->in_flight, use->waiting);
		all->in_flight += use->in_flight;
		all->waiting += use->waiting;
	}
	return as_jsonb(&members);
}

/* What is left of a rate, where there is one. */
static void
put_rate(Datum *values, bool *nulls, int column, int per_minute, double left)
{
	values[column] = Int32GetDatum(per_minute);
	values[column + 1] = Float8GetDatum(left);
	nulls[column] = nulls[column + 1] = per_minute == 0;
}

static void
put_figures(ReturnSetInfo *rsinfo, const LmFigures *figures)
{
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {0};
	LmClassUse	all = {0};

	values[11] = classes(figures, &all);
	values[0] = ObjectIdGetDatum(figures->serverid);
	values[1] = Int32GetDatum(figures->max_concurrency);
	values[2] = Int32GetDatum(figures->limit);
	values[3] = Int32GetDatum(all.in_flight);
	values[4] = Int32GetDatum(all.waiting);
	values[5] = Int32GetDatum(figures->peak);
	values[6] = TimestampTzGetDatum(figures->held_until);
	nulls[6] = figures->held_until == 0;
	put_rate(values, nulls, 7, figures->requests_per_minute, figures->requests_left);
	put_rate(values, nulls, 9, figures->tokens_per_minute, figures->tokens_left);
	values[12] = Int64GetDatum(figures->calls);
	values[13] = Int64GetDatum(figures->ok);
	values[14] = Int64GetDatum(figures->retries);
	values[15] = errors(figures);
	values[16] = Int64GetDatum(figures->input_tokens);
	values[17] = Int64GetDatum(figures->output_tokens);
	values[18] = Float8GetDatum(figures->cost);
	for (int i = 0; i < lengthof(figures->latency_ms); i++)
	{
		values[19 + i] = Float8GetDatum(figures->latency_ms[i]);
		nulls[19 + i] = figures->latency_ms[i] < 0;
	}
	values[22] = TimestampTzGetDatum(figures->since);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(gepa_lm_stats);
Datum
gepa_lm_stats(PG_FUNCTION_ARGS)
{
	LmFigures  *figures;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	figures = gepa_lm_figures(&n);
	for (int i = 0; i < n; i++)
		if (may_see(figures[i].serverid))
			put_figures((ReturnSetInfo *) fcinfo->resultinfo, &figures[i]);
	return (Datum) 0;
}
