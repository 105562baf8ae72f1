/*-------------------------------------------------------------------------
 *
 * attempt.c
 *	  Doing what may raise before it is certain that it has to be done.
 *
 * It is done in a subtransaction, which an error ends; whoever has to do it meets the
 * error again, or not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "node/node_exec.h"

/* A cancel is not to be lost. */
static bool
may_drop(const ErrorData *error)
{
	return error->sqlerrcode != ERRCODE_QUERY_CANCELED &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_OPERATOR_INTERVENTION;
}

bool
gepa_node_attempt(GepaAction action, void *argument)
{
	NodeState  *outer = gepa_node_current;
	ErrorData  *error = gepa_attempt(action, argument);

	if (error == NULL)
		return true;
	gepa_node_current = outer;
	if (!may_drop(error))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}
