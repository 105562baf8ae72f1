/*-------------------------------------------------------------------------
 *
 * node_figures.h
 *	  What a node did, counted: a part of node_internal.h, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_FIGURES_H
#define GEPA_NODE_NODE_FIGURES_H

#include "nodes/execnodes.h"

#include "apply/apply.h"

struct NodeState;

/* figures.c */

#define NODE_LATENCY_BUCKETS 160

/*
 * What a node did, over all its scans.  A call belongs to the node that asked
 * first; to the nodes that ask later it is coalesced.
 */
typedef struct NodeFigures
{
	int64		rows;			/* read from below */
	int64		judged;			/* of them, with any call reached */
	int64		coalesced;		/* asked for before in this statement */
	int64		stored;			/* found in the store */
	int64		elsewhere;		/* called by other processes meanwhile */
	int64		requests;		/* sent for this node: of each step one */
	int64		retries;
	int64		throttled;		/* answers "too many requests" */
	int64		failures[GEPA_STATUS_CANCELLED + 1];	/* by GepaStatus */
	int64		wasted;			/* of the requests, those of rows never
								 * reached */
	int			window;			/* most rows read ahead */
	int			peak;			/* most in flight; of a judge alone */
	int64		input_tokens;
	int64		output_tokens;
	double		cost;
	int64		latency[NODE_LATENCY_BUCKETS];	/* of calls, see
												 * gepa_node_latency() */
} NodeFigures;

/* The part of one judge: of the figures, those of calls. */
typedef struct NodeTally
{
	struct NodeTally *next;
	char	   *judge;			/* its name */
	NodeFigures figures;
} NodeTally;

/* Those of a node, in the order in which judges were first asked; NULL = none. */
extern const NodeTally *gepa_node_tallies(const CustomScanState *node);

/* What a node did so far; it stays up to date while the node runs. */
extern const NodeFigures *gepa_node_figures(const CustomScanState *node);

/* Latency in ms that a share of the calls did not exceed, within 5 %; 0 = none. */
extern double gepa_node_latency(const NodeFigures *figures, double share);

/* Counting: once for the node, and once for the judge. */

/* A call that a row reaches, as far as was seen ahead. */
extern void gepa_node_count_call(struct NodeState *node, const char *judge, bool coalesced);

/* The answer to it; wasted: the row was never reached. */
extern void gepa_node_count_answer(struct NodeState *node, const char *judge,
								   const ApplyVerdict *verdict, ApplyAnswerOrigin origin,
								   bool wasted);

/* Requests that were sent, and called back. */
extern void gepa_node_count_unanswered(struct NodeState *node, const char *judge, int n);

/* Bring what is shown of a running node up to date. */
extern void gepa_node_report(struct NodeState *node);

#endif							/* GEPA_NODE_NODE_FIGURES_H */
