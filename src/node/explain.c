/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  The judge node in EXPLAIN.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "node/node_internal.h"

void
gepa_node_explain(CustomScanState *node, List *ancestors, struct ExplainState *es)
{
}
