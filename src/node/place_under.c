/*-------------------------------------------------------------------------
 *
 * place_under.c
 *	  Calls per row read: the judge node goes below, and passes rows on.
 *
 *	 Aggregate							Aggregate
 *	   count(*) FILTER (j('x', body))	  count(*) FILTER (j('x', body))
 *	   ->  Seq Scan						  ->  Custom Scan (Judge)
 *												custom_exprs: j('x', body)
 *												->  Seq Scan
 *
 * custom_exprs are what the node above will evaluate per row, in that order and
 * as far as there are calls in it.  They are evaluated by nobody: the judge node
 * reads off them which calls there are, and when each is reached.  A FILTER is said
 * as a CASE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "node/node_place.h"

/* The WindowAgg, or NULL, and the expressions found. */
typedef struct Found
{
	const WindowAgg *window;
	List	   *expressions;
} Found;

static void
add_expression(Found *found, Node *expression)
{
	if (gepa_node_has_calls(expression))
		found->expressions = list_append_unique(found->expressions, expression);
}

/* NULL filter = none */
static void
add_argument(Found *found, Expr *filter, Expr *argument)
{
	CaseExpr   *choice;
	CaseWhen   *when;

	if (filter == NULL || !gepa_node_has_calls((Node *) argument))
	{
		add_expression(found, (Node *) argument);
		return;
	}
	when = makeNode(CaseWhen);
	when->expr = filter;
	when->result = argument;
	when->location = -1;
	choice = makeNode(CaseExpr);
	choice->casetype = exprType((Node *) argument);
	choice->casecollid = exprCollation((Node *) argument);
	choice->args = list_make1(when);
	choice->location = -1;
	add_expression(found, (Node *) choice);
}

/* A DISTINCT or ORDER BY of an aggregate is among its arguments. */
static void
add_aggregate(Found *found, const Aggref *aggregate)
{
	ListCell   *cell;

	add_expression(found, (Node *) aggregate->aggfilter);
	foreach(cell, aggregate->args)
		add_argument(found, aggregate->aggfilter,
					 ((TargetEntry *) lfirst(cell))->expr);
}

/*
 * Is a window's aggregate evaluated for every row?  It is if a row is in its own
 * frame.  What is no aggregate, such as first_value(), asks for the rows it wants.
 */
static bool
takes_every_row(const WindowAgg *window, const WindowFunc *function)
{
	const int	own_row_excluded = FRAMEOPTION_EXCLUSION |
		FRAMEOPTION_START_OFFSET_FOLLOWING | FRAMEOPTION_END_OFFSET_PRECEDING;

	return function->winagg && window->runCondition == NIL &&
		(window->frameOptions & own_row_excluded) == 0;
}

static void
add_window_function(Found *found, const WindowFunc *function)
{
	ListCell   *cell;

	if (!takes_every_row(found->window, function))
		return;
	add_expression(found, (Node *) function->aggfilter);
	foreach(cell, function->args)
		add_argument(found, function->aggfilter, lfirst(cell));
}

static bool
find_in_functions(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
		add_aggregate(context, (Aggref *) node);
	else if (IsA(node, WindowFunc))
		add_window_function(context, (WindowFunc *) node);
	else
		return expression_tree_walker(node, find_in_functions, context);
	return false;
}

/* Set-returning functions: their arguments; what stands beside them: as it is. */
static void
find_in_sets(Found *found, const List *targetlist)
{
	ListCell   *cell;

	foreach(cell, targetlist)
	{
		Node	   *node = (Node *) ((TargetEntry *) lfirst(cell))->expr;
		List	   *args = list_make1(node);
		ListCell   *arg;

		if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcretset)
			args = ((FuncExpr *) node)->args;
		else if (IsA(node, OpExpr) && ((OpExpr *) node)->opretset)
			args = ((OpExpr *) node)->args;
		foreach(arg, args)
			add_expression(found, lfirst(arg));
	}
}

static List *
find_expressions(Plan *plan)
{
	Found		found = {NULL, NIL};

	switch (nodeTag(plan))
	{
		case T_WindowAgg:
			found.window = (WindowAgg *) plan;
			/* FALLTHROUGH */
		case T_Agg:
			find_in_functions((Node *) plan->targetlist, &found);
			find_in_functions((Node *) plan->qual, &found);
			break;
		case T_ProjectSet:
			find_in_sets(&found, plan->targetlist);
			break;
		default:
			break;
	}
	return found.expressions;
}

bool
gepa_node_underlay(Plan *plan, int *last_id)
{
	List	   *expressions;
	NodePlan	node = {.under = true,.demand = NODE_SOME};
	CustomScan *scan;
	Plan	   *child = plan->lefttree;

	if (child == NULL)
		return false;
	expressions = find_expressions(plan);
	if (expressions == NIL)
		return false;
	node.rows = child->plan_rows;
	scan = gepa_node_make_scan(child, last_id);
	scan->custom_scan_tlist = gepa_node_make_outputs(child->targetlist, OUTER_VAR);
	scan->scan.plan.targetlist = gepa_node_make_outputs(child->targetlist, INDEX_VAR);
	scan->custom_exprs = gepa_node_refer_to_child(expressions);
	scan->custom_private = gepa_node_pack(&node);
	plan->lefttree = (Plan *) scan;
	return true;
}
