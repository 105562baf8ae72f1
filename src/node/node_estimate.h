/*-------------------------------------------------------------------------
 *
 * node_estimate.h
 *	  What calls will cost: a part of node_internal.h, which includes it.
 *
 * Nothing here sends a request, or writes.  All is for the current user: of
 * another's verdicts nothing is told, nor used.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_ESTIMATE_H
#define GEPA_NODE_NODE_ESTIMATE_H

#include "lm/lm.h"
#include "nodes/pathnodes.h"
#include "store/store.h"

/* estimate.c */

/* What is known of a judge before it is asked. */
typedef struct NodeFacts
{
	const StoreRouter *router;	/* NULL: a judge */
	const StoreVersion *version;	/* the current one; of a router, that of
									 * its last judge */
	const LmServer *lm;			/* without a key; NULL: the user may not use
								 * it */
	JudgePace	pace;			/* no calls: the user may not use all of its
								 * LMs */
	StoreFigures figures;		/* of the user's account; of a router, the
								 * mean of its judges', with what is stored of
								 * all */
	double		pass_rate;		/* of any document; never quite 0 or 1 */
} NodeFacts;

/*
 * By name, as the running query sees it; NULL if there is none.  Cached, some
 * of it for a few seconds.  Valid until the next call.
 */
extern const NodeFacts *gepa_node_facts(const char *name);

/* The name of a call's judge where it is a constant; else NULL. */
extern const char *gepa_node_judge_name(const Node *call);

/* What judging so many rows will take. */
typedef struct NodeEstimate
{
	double		stored;			/* are known already */
	double		calls;			/* are not */
	double		input_tokens;
	double		output_tokens;
	double		cost;
	double		seconds;		/* with all the concurrency that the LM allows */
} NodeEstimate;

/*
 * rows are those that get to the call, of documents that differ (0 = not known:
 * one that is not stored).  width is that of a document in bytes, and matters
 * only while nothing is stored.
 *
 * What is stored is taken to be about these very documents, because nothing but
 * a look-up can tell: a judge that was used on another table makes the
 * estimate too low.
 */
extern void gepa_node_estimate(const NodeFacts *facts, double rows, double width,
							   NodeEstimate *estimate);

/*
 * Of a condition with calls in a finished plan, that rows rows get to (0 = not
 * known): how much time a row takes, in milliseconds, and the share of rows of
 * which it is true.  For comparing conditions with each other, no more.
 */
extern void gepa_node_estimate_condition(const Node *condition, double rows,
										 double *row_ms, double *selectivity);

/* The share of rows that conditions let through, as above, but never quite 0. */
extern double gepa_node_selectivity(const List *conditions, double rows);

#endif							/* GEPA_NODE_NODE_ESTIMATE_H */
