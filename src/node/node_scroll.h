/*-------------------------------------------------------------------------
 *
 * node_scroll.h
 *	  The judge node below a cursor (scroll.c): a part of node_exec.h, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_SCROLL_H
#define GEPA_NODE_NODE_SCROLL_H

#include "nodes/execnodes.h"
#include "utils/tuplestore.h"

struct NodeState;

typedef struct NodeScroll
{
	Tuplestorestate *passed;	/* rows that were returned; NULL: never read
								 * backwards */
	TupleTableSlot *slot;		/* for reading them */
	bool		all_passed;
} NodeScroll;

/* The next row forwards: in the scan slot; what is returned is made of it. */
typedef TupleTableSlot *(*NodeNext) (struct NodeState *node);

/* Returns the flags for what is below. */
extern int	gepa_node_scroll_open(struct NodeState *node, EState *estate, int eflags);
extern TupleTableSlot *gepa_node_scroll(struct NodeState *node, NodeNext next);
extern void gepa_node_scroll_rescan(struct NodeState *node);
extern void gepa_node_scroll_close(struct NodeState *node);

#endif							/* GEPA_NODE_NODE_SCROLL_H */
