/*-------------------------------------------------------------------------
 *
 * support.c
 *	  What the planner asks about a predicate.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "node/node_internal.h"

PG_FUNCTION_INFO_V1(gepa_predicate_support);
Datum
gepa_predicate_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(NULL);
}
