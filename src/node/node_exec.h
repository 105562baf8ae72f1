/*-------------------------------------------------------------------------
 *
 * node_exec.h
 *	  What the files that execute the judge node share.
 *
 *	   below ---> row ---> asked for ---> answers known ---> at the head: evaluated
 *						   ^   |
 *						   |   v
 *						 parked: a guard needs an answer first
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_EXEC_H
#define GEPA_NODE_NODE_EXEC_H

#include "executor/execdesc.h"
#include "lib/ilist.h"

#include "base/attempt.h"
#include "node/node_chain.h"
#include "node/node_internal.h"
#include "node/node_scroll.h"

/*
 * Judges of a statement (execution.c)
 */

/* A judge; or a router, whose judges have sessions of their own. */
typedef struct NodeSession
{
	struct NodeSession *next;
	char	   *name;
	StoreTarget *target;		/* of a router that it was opened for; or NULL */
	Oid			userid;
	ApplyJudge *judge;			/* neither it nor router: could not be opened */
	ApplyStream *stream;
	bool		unsent;			/* has been asked what has not been sent */
	ApplyRouter *router;
	bool		caught;			/* conditions of the router may raise */
} NodeSession;

/* What the nodes of an EState share; it lives as long. */
typedef struct NodeExecution
{
	dlist_node	node;			/* in the list of live ones */
	EState	   *estate;
	MemoryContext context;
	MemoryContextCallback on_reset;
	NodeSession *sessions;
	struct NodeState *nodes;
	bool		to_end;			/* is being run until there are no more rows */
} NodeExecution;

/*
 * Rows (rows.c)
 */

typedef enum NodeCallState
{
	NODE_OPEN,					/* not known yet whether it is reached */
	NODE_SKIPPED,				/* it is not, or its document is NULL */
	NODE_LEFT,					/* to be seen when the row is at the head */
	NODE_ASKED
} NodeCallState;

/* A call of a row. */
typedef struct NodeAsked
{
	NodeCallState state;
	bool		fresh;			/* nobody had asked before */
	bool		counted;
	NodeSession *session;
	ApplyAnswer *answer;		/* referred to; or NULL */
	ApplyRoute	route;			/* through a router: while OPEN the answer is
								 * for one of its rules */
} NodeAsked;

/* What a guard's expression came out as. */
typedef enum NodeValue
{
	NODE_VALUE_UNKNOWN,
	NODE_VALUE_LEFT,			/* to be seen when the row is at the head */
	NODE_VALUE_NULL,
	NODE_VALUE_FALSE,
	NODE_VALUE_TRUE				/* or not null, of other types */
} NodeValue;

typedef struct NodeRow
{
	MinimalTuple tuple;
	Size		bytes;			/* of tuple and documents */
	int			nopen;			/* calls */
	NodeAsked  *calls;
	NodeCallState *sites;		/* ASKED = the call is reached there */
	NodeValue  *guards;
} NodeRow;

typedef struct NodeRows
{
	MemoryContext tuples;
	int			capacity;		/* a power of 2 */
	int			first;
	int			count;
	int			nparked;		/* rows with open calls */
	Size		bytes;
	NodeRow    *ring;
} NodeRows;

/* The argument of a call in the row that is being asked for. */
typedef struct NodeArgument
{
	bool		evaluated;
	bool		ok;
	bool		isnull;
	Datum		value;
	const JudgeSpec *spec;		/* that document was made for; NULL = none yet */
	bool		complete;		/* none of its fields is null */
	JudgeDocument document;
	uint8		digest[JUDGE_DIGEST_LENGTH];
} NodeArgument;

typedef struct NodeState
{
	CustomScanState css;
	NodePlan	plan;
	NodeFigures figures;
	List	   *expected;		/* of its judges, before it ran (explain.c);
								 * or NIL */
	NodeScroll	scroll;
	NodeTally  *tallies;

	NodeExecution *execution;	/* NULL: reads nothing ahead */
	struct NodeState *next;		/* in execution->nodes */
	NodeChain	chain;
	NodeRows	rows;
	ExprContext *ahead;			/* for looking at rows ahead */
	TupleTableSlot *slot;
	NodeArgument *arguments;	/* of the row that is looked at */
	bool		exhausted;		/* nothing is left below */
	bool		held;			/* the head has been returned */
	bool		started;		/* this scan has */
	bool		unopened;		/* a judge can be opened only when the row
								 * that needs it is at the head */

	/* window.c: of this scan */
	double		limit;			/* rows wanted at most; < 0 = all */
	int64		consumed;		/* rows evaluated */
	int64		returned;
	int64		looked_at;		/* when the network was, us */

	/* evaluation */
	struct NodeState *outer;	/* that was evaluating when this one began to */
	NodeRow    *at;				/* the row that it evaluates them over */
} NodeState;

/* rows.c */

extern void gepa_node_rows_open(NodeState *node);
extern NodeRow *gepa_node_rows_add(NodeState *node, TupleTableSlot *slot);

/* Forget the head; reached = its expressions were evaluated. */
extern void gepa_node_rows_drop(NodeState *node, bool reached);
extern void gepa_node_rows_clear(NodeState *node);

/* Count what was asked for rows that are still there: nobody is going to want them. */
extern void gepa_node_rows_count_unreached(NodeState *node);

static inline NodeRow *
gepa_node_row(const NodeRows *rows, int i)
{
	return &rows->ring[(rows->first + i) & (rows->capacity - 1)];
}

/* The answer to a call is no longer needed: count it, and let it go. */
extern void gepa_node_call_leave(NodeState *node, NodeAsked *call, bool reached);

/* Nothing of it is still to come. */
extern bool gepa_node_row_is_ready(const NodeState *node, const NodeRow *row);

/* ahead.c: ask for whatever a row is seen to reach */
extern void gepa_node_advance(NodeState *node, NodeRow *row);

/* attempt.c: returns false if the action raised; a cancel is raised all the same */
extern bool gepa_node_attempt(GepaAction action, void *argument);

/* window.c: how far to read ahead */
extern void gepa_node_window_start(NodeState *node);
extern bool gepa_node_window_is_complete(const NodeState *node);
extern bool gepa_node_window_is_due(const NodeState *node);
extern int	gepa_node_window_rows(const NodeState *node);

/* With so many calls under way or to come, should more be asked beyond the window? */
extern bool gepa_node_window_is_held_up(const NodeState *node, int calls);

/* execution.c */

/* The one of an EState, made when needed. */
extern NodeExecution *gepa_node_execution(EState *estate);

/*
 * A judge or router by name, or a router's judge, for the current user; without
 * ->judge and ->router when it cannot be opened, which is told when a row gets there.
 * NULL: cannot be opened now.
 */
extern NodeSession *gepa_node_session(NodeExecution *execution, const char *name,
									  const StoreTarget *target);

/* For one that can be opened for certain; an error is told. */
extern void gepa_node_open_session(NodeExecution *execution, const char *name,
								   const StoreTarget *target);

/* Send what was asked; returns whether there was anything. */
extern bool gepa_node_send(NodeExecution *execution);

/* Calls under way, in all. */
extern int	gepa_node_calls(const NodeExecution *execution);

/* Take in what is there; returns how many answers became known. */
extern int	gepa_node_poll(NodeExecution *execution);

/* Wait until there is something, for whichever execution. */
extern void gepa_node_wait(NodeExecution *execution);

extern void gepa_node_execution_init(void);

/* The streams of all live executions, in the current context. */
extern ApplyStream **gepa_node_live_streams(int *n);

/* Calls on the wire, of all of them. */
extern int	gepa_node_in_flight(void);

/* The answer of any live execution to a document, waited for; NULL = none has it. */
extern const ApplyVerdict *gepa_node_find(const ApplyJudge *judge, const JudgeDocument *document);

/* The node whose expressions are being evaluated; the innermost one. */
extern NodeState *gepa_node_current;

static inline void
gepa_node_enter(NodeState *node, NodeRow *row)
{
	node->at = row;
	node->outer = gepa_node_current;
	gepa_node_current = node;
}

static inline void
gepa_node_leave(NodeState *node)
{
	gepa_node_current = node->outer;
	node->at = NULL;
}

#endif							/* GEPA_NODE_NODE_EXEC_H */
