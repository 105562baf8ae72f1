/*-------------------------------------------------------------------------
 *
 * node_exec.h
 *	  What the files that execute the judge node share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_EXEC_H
#define GEPA_NODE_NODE_EXEC_H

#include "node/node_internal.h"

typedef struct NodeState
{
	CustomScanState css;
	NodePlan	plan;
	NodeFigures figures;
} NodeState;

/* figures.c */
extern void gepa_node_count_latency(NodeFigures *figures, double ms);

#endif							/* GEPA_NODE_NODE_EXEC_H */
