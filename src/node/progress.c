/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  Judge nodes in gepa.progress.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "node/node_internal.h"

void
gepa_node_progress_update(const CustomScanState *key, const NodeFigures *figures,
						  double expected)
{
}

void
gepa_node_progress_end(const void *key)
{
}
