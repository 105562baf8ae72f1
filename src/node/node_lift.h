/*-------------------------------------------------------------------------
 *
 * node_lift.h
 *	  What the files that move conditions up a plan share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_LIFT_H
#define GEPA_NODE_NODE_LIFT_H

#include "node/node_plan.h"

/* The way from a plan node to the root of its plan. */
typedef struct LiftStep
{
	struct LiftStep *up;
	Plan	   *plan;
	bool		inner;			/* we come from its righttree */
} LiftStep;

typedef struct Lift
{
	PlannedStmt *stmt;
	bool		of_cursor;
	NodeSafety	safety;
	int			last_id;		/* of plan nodes */
	LiftStep   *up;				/* from what is visited */
	List	   *results;		/* that were put above Appends */
	bool		changed;
} Lift;

/* lift_conditions.c */

/* Does it evaluate conditions and outputs of rows that it can return as they are? */
extern bool gepa_node_is_source(const Plan *plan);

/* Nothing but the calls themselves gives something else if it is evaluated elsewhere. */
extern bool gepa_node_can_move(const Node *expression);

/*
 * The conditions with calls that may leave a source: what stays behind them is safe,
 * and so are the outputs that stay.  None: NIL.
 */
extern List *gepa_node_liftable(const Lift *lift, const Plan *plan, const List *outputs);

/* A node that returns the rows of its child, in another order at most. */
extern bool gepa_node_is_passed(const Plan *plan);

/* The conditions no more apply to what a plan returns. */
extern void gepa_node_widen(Plan *plan, double selectivity);

/*
 * Expressions in terms of what a plan node reads, in terms of what it returns: as
 * Vars of varno.  It returns what it did, and what they refer to.
 */
extern List *gepa_node_expose(Plan *plan, const List *expressions, int varno);

/* Number of a Var among what a plan node returns; 0 = not there. */
extern AttrNumber gepa_node_find_output(const Plan *plan, const Var *var);
extern AttrNumber gepa_node_add_output(Plan *plan, const Var *var);

/* distinct.c */

/*
 * Of the rows that get to a condition of a plan node, the share of those with a
 * document that no other has; of its calls the one that has most.
 */
extern double gepa_node_different(const PlannedStmt *stmt, const Plan *plan,
								  const Node *condition, double rows);

/* lift_join.c */

/* Move what a plan node's conditions ask above joins, if there are fewer to ask. */
extern void gepa_node_lift_above_joins(Lift *lift, Plan *plan);

/* lift_append.c */

/* Move conditions that all children have above an Append or MergeAppend. */
extern void gepa_node_lift_above_append(Lift *lift, Plan **slot);

#endif							/* GEPA_NODE_NODE_LIFT_H */
