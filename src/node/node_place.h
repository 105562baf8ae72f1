/*-------------------------------------------------------------------------
 *
 * node_place.h
 *	  What the files that place the judge node in a plan share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_PLACE_H
#define GEPA_NODE_NODE_PLACE_H

#include "node/node_internal.h"

/* place.c */
extern bool gepa_node_is_judge(const Plan *plan);

/* A NodeVisit, whose context is the last id: all places in a plan. */
extern void gepa_node_place_at(Plan **slot, void *last_id);

/* place_cursor.c */
extern bool gepa_node_is_cursor(const PlannedStmt *stmt, int cursor_options);
extern void gepa_node_place_cursor(PlannedStmt *stmt, int cursor_options, int *last_id);

/* place_split.c */

/*
 * Calls that a plan node evaluates once per row that it returns: conditions from
 * the first with a call on, and the target list, go to a judge node above, and
 * the plan node returns what these refer to.  Returns whether there were any.
 */
extern bool gepa_node_split(Plan **slot, int *last_id);

/* place_under.c */

/*
 * Calls that a plan node evaluates once per row that it reads: a judge node goes
 * below it.  Returns whether there were any.
 */
extern bool gepa_node_underlay(Plan *plan, int *last_id);

/* place_scan.c */

/* A new plan node above a plan, of which it takes over all but what it evaluates. */
extern void gepa_node_stand_above(Plan *plan, Plan *child, int *last_id);

/* A judge node that does. */
extern CustomScan *gepa_node_make_scan(Plan *child, int *last_id);

/* What a plan returns, as somebody above it refers to it. */
extern Var *gepa_node_make_var(const Expr *output, int varno, AttrNumber number);
extern List *gepa_node_make_outputs(const List *targetlist, int varno);

/* Expressions of a plan above, as those of a judge node that stands in its place. */
extern List *gepa_node_refer_to_child(const List *expressions);

#endif							/* GEPA_NODE_NODE_PLACE_H */
