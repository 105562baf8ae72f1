/*-------------------------------------------------------------------------
 *
 * node_internal.h
 *	  What the files of src/node share.
 *
 * Planning (hook.c) works on the finished plan in two passes: lifting moves judge
 * quals to where there are fewer rows (lift_*.c); placing puts a CustomScan
 * above or below whatever evaluates a call (place*.c).  Execution needs from it
 * nothing but where the CustomScan stands and a NodePlan: which calls there are,
 * and when each is reached, is read off the expressions when execution starts
 * (chain.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_INTERNAL_H
#define GEPA_NODE_NODE_INTERNAL_H

#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/plannodes.h"

#include "node/node.h"

/* calls.c: what is a call */

typedef enum NodeCallKind
{
	NODE_NO_CALL,
	NODE_CALL_TEXT,
	NODE_CALL_JSONB
} NodeCallKind;

/* By the function's support function, whatever its name and schema; cached. */
extern NodeCallKind gepa_node_call_kind(const Node *node);

/* Is there any in an expression (or list of such)?  SubPlans are not looked into. */
extern bool gepa_node_has_calls(const Node *node);

/* private.c: what planning tells execution */

/* Who reads the node's rows. */
typedef enum NodeDemand
{
	NODE_ALL,					/* reads them all, once it has begun */
	NODE_SOME,					/* may stop early */
	NODE_FEW					/* will, again and again: inner side of a semijoin */
} NodeDemand;

typedef struct NodePlan
{
	bool		under;			/* passes rows through; custom_exprs are what the node
								 * above will evaluate, in that order */
	NodeDemand	demand;
	bool		child_is_safe;	/* reading ahead cannot raise, nor be noticed */
	Node	   *limit;			/* rows that a LIMIT above reads at most (Const or
								 * external Param), or NULL */
	Node	   *offset;
	double		rows;			/* that are expected to be judged */
} NodePlan;

extern List *gepa_node_pack(const NodePlan *plan);
extern void gepa_node_unpack(const CustomScan *scan, NodePlan *plan);

/* exec.c */
extern const CustomScanMethods gepa_node_scan_methods;

/* safe.c */

/* Evaluating it can neither raise nor be noticed, memory aside. */
extern bool gepa_node_is_safe(const Node *expression);

/* hook.c: passes over a finished plan, in this order */

extern void gepa_node_lift(PlannedStmt *stmt);	/* lift.c */
extern void gepa_node_place(PlannedStmt *stmt); /* place.c */
extern void gepa_node_look_ahead(PlannedStmt *stmt);	/* early.c: fills in NodePlan's
														 * demand, child_is_safe, limit */

#endif							/* GEPA_NODE_NODE_INTERNAL_H */
