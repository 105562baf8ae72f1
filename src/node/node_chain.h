/*-------------------------------------------------------------------------
 *
 * node_chain.h
 *	  Calls and when they are reached: a part of node_exec.h, which includes it.
 *
 * Indices throughout.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_NODE_NODE_CHAIN_H
#define GEPA_NODE_NODE_CHAIN_H

#include "node/node_internal.h"

struct NodeSession;
struct NodeState;

/* Where an expression may be evaluated before its row is at the head. */
typedef enum NodeEase
{
	NODE_EASY,					/* anywhere: cannot raise */
	NODE_CAUGHT,				/* in a subtransaction, which an error ends */
	NODE_AT_HEAD				/* nowhere */
} NodeEase;

/* An expression to be evaluated ahead. */
typedef struct NodeAhead
{
	Expr	   *expr;
	ExprState  *state;
	NodeEase	ease;
	Bitmapset  *calls;			/* in it: their answers are needed first */
	Bitmapset  *params;			/* executor parameters, which may be pending */
} NodeAhead;

/* What an expression must come out as for evaluation to go on. */
typedef enum NodeWant
{
	NODE_WANT_TRUE,
	NODE_WANT_NOT_TRUE,
	NODE_WANT_NOT_FALSE,
	NODE_WANT_NULL
} NodeWant;

typedef struct NodeGuard
{
	int			expr;			/* in guards */
	NodeWant	want;
} NodeGuard;

/* A place where a call is written. */
typedef struct NodeSite
{
	const FuncExpr *expr;		/* a call is known by its address */
	int			call;
	int			nguards;		/* in order; none = always reached */
	NodeGuard  *guards;
} NodeSite;

/* Equal calls are one. */
typedef struct NodeCall
{
	NodeCallKind kind;
	NodeAhead	name;
	struct NodeSession *session;	/* of a constant name, once found; or NULL */
	int			argument;
	bool		varies;			/* settings decide what its arguments come out
								 * as */
} NodeCall;

typedef struct NodeChain
{
	int			ncalls;
	NodeCall   *calls;			/* in the order of evaluation */
	int			narguments;
	NodeAhead  *arguments;		/* equal ones are one */
	int			nguards;
	NodeAhead  *guards;
	int			nsites;
	NodeSite   *sites;
} NodeChain;

/* chain.c: read the calls off the plan's expressions, and compile what they need */
extern void gepa_node_chain_build(struct NodeState *node);

/* Index of the call at an address, or -1. */
extern int	gepa_node_chain_find(const NodeChain *chain, const Node *expr);

#endif							/* GEPA_NODE_NODE_CHAIN_H */
