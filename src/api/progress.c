/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  Queries with judges that are at work, for gepa.progress.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/api_internal.h"
#include "node/node.h"

static void
put_query(ReturnSetInfo *rsinfo, const NodeProgress *query)
{
	Datum		values[13];
	bool		nulls[13] = {0};

	nulls[2] = query->judges[0] == '\0';
	values[0] = Int32GetDatum(query->pid);
	values[1] = ObjectIdGetDatum(query->userid);
	values[2] = CStringGetTextDatum(query->judges);
	values[3] = TimestampTzGetDatum(query->started_at);
	values[4] = Int64GetDatum(query->rows);
	values[5] = Int64GetDatum(query->judged);
	values[6] = Int32GetDatum(query->in_flight);
	values[7] = Int64GetDatum(query->stored);
	values[8] = Int64GetDatum(query->failed);
	values[9] = Int64GetDatum(query->input_tokens);
	values[10] = Int64GetDatum(query->output_tokens);
	values[11] = Float8GetDatum(query->cost);
	values[12] = Float8GetDatum(query->expected);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Names are in the encoding of their database, so of others none is shown. */
PG_FUNCTION_INFO_V1(gepa_live_queries);
Datum
gepa_live_queries(PG_FUNCTION_ARGS)
{
	bool		sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	NodeProgress *queries;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	queries = gepa_node_progress_read(&n);
	for (int i = 0; i < n; i++)
		if (queries[i].database == MyDatabaseId &&
			(sees_all || has_privs_of_role(GetUserId(), queries[i].userid)))
			put_query((ReturnSetInfo *) fcinfo->resultinfo, &queries[i]);
	return (Datum) 0;
}
