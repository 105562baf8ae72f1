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
#include "node/node_estimate.h"
#include "node/node_figures.h"

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
	NODE_REST,					/* ... once it wants a second one */
	NODE_SOME,					/* may stop early */
	NODE_FEW					/* will, again and again: inner side of a
								 * semijoin */
} NodeDemand;

typedef struct NodePlan
{
	bool		under;			/* passes rows through; custom_exprs are what
								 * the node above will evaluate, in that order */
	NodeDemand	demand;
	bool		child_is_safe;	/* reading ahead cannot raise, nor be noticed */
	bool		child_is_steady;	/* ... nor depends on settings, such as
									 * the role, that may change between
									 * FETCHes */
	Node	   *limit;			/* rows that a LIMIT above reads at most
								 * (Const or external Param), or NULL */
	Node	   *offset;
	double		rows;			/* that are expected to be judged */
	Index		relation;		/* of a cursor's scan that the node stands in
								 * for, or 0 */
	AttrNumber	ctid;			/* of its rows, in custom_scan_tlist */
	AttrNumber	tableoid;
} NodePlan;

extern List *gepa_node_pack(const NodePlan *plan);
extern void gepa_node_unpack(const CustomScan *scan, NodePlan *plan);

/* exec.c */
extern const CustomScanMethods gepa_node_scan_methods;
extern const CustomExecMethods gepa_node_exec_methods;
extern void gepa_node_exec_init(void);

/* explain.c: the node's lines in EXPLAIN; and what is expected of it, as of now */
extern void gepa_node_explain(CustomScanState *node, List *ancestors,
							  struct ExplainState *es);
extern List *gepa_node_expect(const CustomScan *scan);

/*
 * progress.c: a node in gepa.progress.  Called about once per look at the network;
 * never raises.  end() may be called for a node that is unknown, and is called from
 * a memory context's reset: key is then no node any more.
 */
extern void gepa_node_progress_update(const CustomScanState *key, const NodeFigures *figures,
									  double expected);
extern void gepa_node_progress_end(const void *key);
extern void gepa_node_progress_init(void);	/* at load */

/* support.c: the support function of all predicates, by which they are known */
extern Datum gepa_predicate_support(PG_FUNCTION_ARGS);

/* safe.c */

/* Evaluating it can neither raise nor be noticed, memory aside. */
extern bool gepa_node_is_safe(const Node *expression);

/* walk.c: through a finished plan */

/* What has conditions and a target list over rows that it gets from somewhere else. */
extern bool gepa_node_is_scan(const Plan *plan);
extern bool gepa_node_is_join(const Plan *plan);
extern bool gepa_node_is_inner_join(const Plan *plan);

/* The plan may be replaced in its slot; going on to its children is up to the visit. */
typedef void (*NodeVisit) (Plan **slot, void *context);

extern void gepa_node_visit_children(Plan *plan, NodeVisit visit, void *context);

/* The plan of the statement, and those of its subqueries. */
extern void gepa_node_visit_roots(PlannedStmt *stmt, NodeVisit visit, void *context);

/* For new nodes: each has an id of its own. */
extern int	gepa_node_last_plan_id(PlannedStmt *stmt);

/* hook.c: passes over a finished plan, in this order */

extern void gepa_node_lift(PlannedStmt *stmt, bool of_cursor);	/* lift.c */
extern bool gepa_node_place(PlannedStmt *stmt, int cursor_options); /* place.c; was there
																	 * any place? */
extern void gepa_node_look_ahead(PlannedStmt *stmt);	/* early.c: fills in
														 * NodePlan's demand,
														 * child_is_safe, limit */

#endif							/* GEPA_NODE_NODE_INTERNAL_H */
