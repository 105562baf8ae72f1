/*-------------------------------------------------------------------------
 *
 * chain.c
 *	  Which calls the expressions of a node have, and when each is reached.
 *
 * The expressions are walked in the order of evaluation.  What AND, OR, CASE,
 * COALESCE and a list of quals skip is known by guards: a call is reached when
 * each of its guards comes out as wanted, and a guard is looked at only when the
 * earlier ones did.  So nothing is asked, nor evaluated, that serial evaluation
 * would not reach.
 *
 * A call that stands where this file does not know (a simple CASE, arguments of a
 * SubPlan), or whose argument is volatile, has no site; it is made when its row is
 * at the head, as without a node.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"

#include "node/node_exec.h"

typedef struct Build
{
	NodeState  *node;
	List	   *calls;			/* NodeCall */
	List	   *arguments;		/* NodeAhead */
	List	   *guards;			/* NodeAhead */
	List	   *sites;			/* NodeSite */
} Build;

static void walk(Build *build, Node *expr, List *guards);

/*
 * Expressions to be evaluated ahead
 */

/* Calls are as safe as their arguments: their answers are known by then. */
static Node *
without_calls(Node *expr, void *context)
{
	if (expr == NULL)
		return NULL;
	if (gepa_node_call_kind(expr) != NODE_NO_CALL)
	{
		List	   *args = NIL;
		ListCell   *cell;

		foreach(cell, ((FuncExpr *) expr)->args)
			args = lappend(args, without_calls(lfirst(cell), context));
		return (Node *) makeBoolExpr(AND_EXPR, args, -1);
	}
	return expression_tree_mutator(expr, without_calls, context);
}

static NodeEase
ease_of(Expr *expr)
{
	Node	   *stand_in = without_calls((Node *) expr, NULL);

	if (contain_subplans(stand_in) || contain_volatile_functions(stand_in))
		return NODE_AT_HEAD;
	return gepa_node_is_safe(stand_in) ? NODE_EASY : NODE_CAUGHT;
}

static bool
find_params(Node *expr, Bitmapset **params)
{
	if (expr == NULL)
		return false;
	if (IsA(expr, Param) && ((Param *) expr)->paramkind == PARAM_EXEC)
		*params = bms_add_member(*params, ((Param *) expr)->paramid);
	return expression_tree_walker(expr, find_params, (void *) params);
}

typedef struct Needs
{
	const Build *build;
	Bitmapset  *calls;
	bool		unknown;
} Needs;

static int
find_site(const List *sites, const Node *expr)
{
	ListCell   *cell;

	foreach(cell, sites)
	{
		const NodeSite *site = lfirst(cell);

		if ((const Node *) site->expr == expr)
			return site->call;
	}
	return -1;
}

static bool
find_needs(Node *expr, Needs *needs)
{
	if (expr == NULL)
		return false;
	if (gepa_node_call_kind(expr) != NODE_NO_CALL)
	{
		int			call = find_site(needs->build->sites, expr);

		if (call < 0)
			needs->unknown = true;
		else
			needs->calls = bms_add_member(needs->calls, call);
	}
	return expression_tree_walker(expr, find_needs, (void *) needs);
}

/* Over a row as it is kept: a minimal tuple, which the slot at the head is not. */
static ExprState *
compile(Expr *expr, PlanState *ps)
{
	const TupleTableSlotOps *at_head = ps->scanops;
	ExprState  *state;

	ps->scanops = &TTSOpsMinimalTuple;
	state = ExecInitExpr(expr, ps);
	ps->scanops = at_head;
	return state;
}

/* The calls in it have been walked over before. */
static NodeAhead *
make_ahead(Build *build, Expr *expr)
{
	NodeAhead  *ahead = palloc0(sizeof(NodeAhead));
	Needs		needs = {.build = build};

	ahead->expr = expr;
	ahead->ease = ease_of(expr);
	find_params((Node *) expr, &ahead->params);
	find_needs((Node *) expr, &needs);
	ahead->calls = needs.calls;
	if (needs.unknown)
		ahead->ease = NODE_AT_HEAD;
	if (ahead->ease != NODE_AT_HEAD)
		ahead->state = compile(expr, &build->node->css.ss.ps);
	return ahead;
}

/* Index of an expression in a list of NodeAhead, which it is added to. */
static int
add_ahead(Build *build, List **list, Expr *expr)
{
	ListCell   *cell;

	foreach(cell, *list)
	{
		if (equal(((NodeAhead *) lfirst(cell))->expr, expr))
			return foreach_current_index(cell);
	}
	*list = lappend(*list, make_ahead(build, expr));
	return list_length(*list) - 1;
}

/*
 * Guards
 */

/* The list with one more.  Its expression is compiled when a call needs it. */
static List *
guarded(List *guards, Node *expr, NodeWant want)
{
	return lappend(list_copy(guards), list_make2(expr, makeInteger(want)));
}

static NodeGuard *
make_guards(Build *build, List *guards)
{
	NodeGuard  *made = palloc(sizeof(NodeGuard) * Max(list_length(guards), 1));
	ListCell   *cell;

	foreach(cell, guards)
	{
		List	   *pair = lfirst(cell);
		NodeGuard  *guard = &made[foreach_current_index(cell)];

		guard->expr = add_ahead(build, &build->guards, linitial(pair));
		guard->want = (NodeWant) intVal(lsecond(pair));
	}
	return made;
}

/*
 * Calls
 */

static int
add_call(Build *build, const FuncExpr *expr)
{
	NodeCallKind kind = gepa_node_call_kind((const Node *) expr);
	int			argument = add_ahead(build, &build->arguments, lsecond(expr->args));
	NodeCall   *call;
	ListCell   *cell;

	foreach(cell, build->calls)
	{
		call = lfirst(cell);
		if (call->kind == kind && call->argument == argument &&
			equal(call->name.expr, linitial(expr->args)))
			return foreach_current_index(cell);
	}
	call = palloc0(sizeof(NodeCall));
	call->kind = kind;
	call->argument = argument;
	call->name = *make_ahead(build, linitial(expr->args));
	call->varies = contain_mutable_functions(without_calls((Node *) expr->args, NULL));
	build->calls = lappend(build->calls, call);
	return list_length(build->calls) - 1;
}

/* Volatile arguments come out otherwise each time: even equal ones are not one. */
static bool
is_for_the_head(const FuncExpr *expr)
{
	return ease_of(linitial(expr->args)) == NODE_AT_HEAD ||
		ease_of(lsecond(expr->args)) == NODE_AT_HEAD;
}

static void
walk_call(Build *build, FuncExpr *expr, List *guards)
{
	NodeSite   *site;

	walk(build, (Node *) expr->args, guards);
	if (is_for_the_head(expr))
		return;
	site = palloc(sizeof(NodeSite));
	site->expr = expr;
	site->call = add_call(build, expr);
	site->nguards = list_length(guards);
	site->guards = make_guards(build, guards);
	build->sites = lappend(build->sites, site);
}

/*
 * Expressions in the order of evaluation
 */

/* Each is reached as long as the ones before it come out as wanted. */
static List *
walk_chain(Build *build, List *exprs, List *guards, NodeWant want)
{
	ListCell   *cell;

	foreach(cell, exprs)
	{
		walk(build, lfirst(cell), guards);
		guards = guarded(guards, lfirst(cell), want);
	}
	return guards;
}

/* CASE x WHEN compares with a value that no guard sees: x alone is walked. */
static void
walk_case(Build *build, CaseExpr *expr, List *guards)
{
	ListCell   *cell;

	if (expr->arg != NULL)
	{
		walk(build, (Node *) expr->arg, guards);
		return;
	}
	foreach(cell, expr->args)
	{
		CaseWhen   *when = lfirst(cell);

		walk(build, (Node *) when->expr, guards);
		walk(build, (Node *) when->result,
			 guarded(guards, (Node *) when->expr, NODE_WANT_TRUE));
		guards = guarded(guards, (Node *) when->expr, NODE_WANT_NOT_TRUE);
	}
	walk(build, (Node *) expr->defresult, guards);
}

typedef struct Walk
{
	Build	   *build;
	List	   *guards;
} Walk;

static bool
walk_child(Node *expr, Walk *context)
{
	walk(context->build, expr, context->guards);
	return false;
}

static void
walk(Build *build, Node *expr, List *guards)
{
	Walk		context = {build, guards};

	if (expr == NULL)
		return;
	if (gepa_node_call_kind(expr) != NODE_NO_CALL)
	{
		walk_call(build, (FuncExpr *) expr, guards);
		return;
	}
	switch (nodeTag(expr))
	{
		case T_BoolExpr:
			walk_chain(build, ((BoolExpr *) expr)->args, guards,
					   ((BoolExpr *) expr)->boolop == OR_EXPR ?
					   NODE_WANT_NOT_TRUE : NODE_WANT_NOT_FALSE);
			break;
		case T_CaseExpr:
			walk_case(build, (CaseExpr *) expr, guards);
			break;
		case T_CoalesceExpr:
			walk_chain(build, ((CoalesceExpr *) expr)->args, guards, NODE_WANT_NULL);
			break;

			/* These evaluate all that they have. */
		case T_List:
		case T_TargetEntry:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_CoerceToDomain:
		case T_ConvertRowtypeExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_MinMaxExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_FieldSelect:
			expression_tree_walker(expr, walk_child, (void *) &context);
			break;
		default:
			break;
	}
}

/*
 * The chain
 */

#define COPY_LIST(target, n, list, type) \
	do { \
		ListCell *cell_; \
		(n) = list_length(list); \
		(target) = palloc(sizeof(type) * Max((n), 1)); \
		foreach(cell_, (list)) \
			(target)[foreach_current_index(cell_)] = *(type *) lfirst(cell_); \
	} while (0)

void
gepa_node_chain_build(NodeState *node)
{
	CustomScan *plan = (CustomScan *) node->css.ss.ps.plan;
	NodeChain  *chain = &node->chain;
	Build		build = {.node = node};
	List	   *guards;

	if (node->plan.under)
		walk(&build, (Node *) plan->custom_exprs, NIL);
	else
	{
		guards = walk_chain(&build, plan->scan.plan.qual, NIL, NODE_WANT_TRUE);
		walk(&build, (Node *) plan->scan.plan.targetlist, guards);
	}
	COPY_LIST(chain->calls, chain->ncalls, build.calls, NodeCall);
	COPY_LIST(chain->arguments, chain->narguments, build.arguments, NodeAhead);
	COPY_LIST(chain->guards, chain->nguards, build.guards, NodeAhead);
	COPY_LIST(chain->sites, chain->nsites, build.sites, NodeSite);
}

int
gepa_node_chain_find(const NodeChain *chain, const Node *expr)
{
	for (int i = 0; i < chain->nsites; i++)
	{
		if ((const Node *) chain->sites[i].expr == expr)
			return chain->sites[i].call;
	}
	return -1;
}
