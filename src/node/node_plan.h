/*-------------------------------------------------------------------------
 *
 * node_plan.h
 *	  What the files share that look at, and change, a finished plan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_PLAN_H
#define GEPA_NODE_NODE_PLAN_H

#include "node/node_internal.h"

/* expressions.c */

/* As expression_tree_walker() wants it; a list of expressions is one, too, NULL as well. */
typedef bool (*NodeWalker) (Node *node, void *context);

/*
 * All expressions that a plan node evaluates by itself, without those of its
 * children and its initplans; true as soon as the walker says so.
 */
extern bool gepa_node_walk_expressions(const Plan *plan, NodeWalker walker, void *context);

/* safe.c */

/* But for the calls that are in it. */
extern bool gepa_node_is_safe_with_calls(const Node *expression);

/* Operators that a plan node compares with, as in sorting. */
extern bool gepa_node_are_safe_operators(const Oid *operators, int n);

/* safe_plan.c */

/* A plan as seen by who would run it further than it is read. */
typedef struct NodeSafety
{
	const PlannedStmt *stmt;
	Bitmapset  *unsafe_params;	/* whose initplans are not safe */
	bool		allows_calls;	/* those are not looked at */
	bool		wants_steady;	/* what depends on settings is not safe */
} NodeSafety;

extern void gepa_node_prepare_safety(NodeSafety *safety, PlannedStmt *stmt);

/*
 * Getting more rows from a plan can neither raise nor be noticed.  begun: its first
 * row has been got, so that all has happened that precedes it.
 */
extern bool gepa_node_is_safe_plan(const NodeSafety *safety, const Plan *plan, bool begun);

/* The same of an expression or a list of such, Params included. */
extern bool gepa_node_is_safe_here(const NodeSafety *safety, const void *expression);

/* Does a plan node evaluate any Param of which that is not so? */
extern bool gepa_node_has_unsafe_params(const NodeSafety *safety, const Plan *plan);

#endif							/* GEPA_NODE_NODE_PLAN_H */
