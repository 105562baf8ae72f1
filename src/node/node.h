/*-------------------------------------------------------------------------
 *
 * node.h
 *	  The judge node: the door of src/node.
 *
 * gepa_judge() and its like work alone, one call at a time.  The node reads ahead
 * and sends what they are going to ask; the expressions themselves are
 * evaluated unchanged, and find their answers known.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_H
#define GEPA_NODE_NODE_H

#include "datatype/timestamp.h"
#include "fmgr.h"

#include "apply/apply.h"

/* At load: hooks, custom scan methods, and shared memory where preloaded. */
extern void gepa_node_init(void);

/*
 * Is a statement being planned?  The planner evaluates what it can; a predicate then
 * answers NULL and sends nothing.  Warns, and raises 42P13 where that NULL might get
 * into the plan.
 */
extern bool gepa_node_is_planning(void);

/*
 * What a predicate's call site is to answer.  Of the row that a node is at, if the
 * call is one of that node's; else NULL, and the caller asks gepa_node_ask().
 */
extern const ApplyVerdict *gepa_node_known(FunctionCallInfo fcinfo, ApplyJudge **judge);

/*
 * The verdict on a document by a judge's current version: from any statement at work
 * that has it or is calling it, else by a call of its own.  Valid until the next
 * call of either function.  NULL: the document is NULL in a field.
 */
extern const ApplyVerdict *gepa_node_ask(FunctionCallInfo fcinfo, bool is_jsonb,
										 ApplyJudge **judge);

/* progress.c */

#define NODE_PROGRESS_JUDGES 256

/* The judge nodes that a process has at work, together. */
typedef struct NodeProgress
{
	int			pid;
	Oid			userid;			/* with whose rights they work */
	Oid			database;
	TimestampTz started_at;		/* the first of them */
	int64		rows;			/* read */
	int64		judged;
	int64		stored;			/* calls that were not needed */
	int64		failed;			/* calls */
	int64		input_tokens;
	int64		output_tokens;
	double		cost;
	double		expected;		/* rows to judge in all, as planned */
	int			in_flight;
	char		judges[NODE_PROGRESS_JUDGES];	/* names, as far as they fit */
} NodeProgress;

/*
 * Of all processes, of all roles and databases: it is for the caller to hide what is
 * not to be seen.  None where the library is not preloaded.
 */
extern NodeProgress *gepa_node_progress_read(int *n);

#endif							/* GEPA_NODE_NODE_H */
