/*-------------------------------------------------------------------------
 *
 * shown.c
 *	  The columns of the views: what no condition passes (60_views.sql).
 *
 * The function is the identity, and only what it is declared to be matters.
 * The planner pushes a leakproof condition into a security-barrier view
 * unless the column that it is on is computed by a volatile function
 * (check_output_expressions() in allpaths.c); not being leakproof would be no
 * help, because that is asked of the condition alone, before the column's
 * expression is put in.  Being written in C, it cannot be inlined.
 *
 * What it costs: a volatile column is computed even for a query that does not
 * use it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/api_internal.h"

PG_FUNCTION_INFO_V1(gepa_shown);

Datum
gepa_shown(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}
