/*-------------------------------------------------------------------------
 *
 * place_split.c
 *	  Calls per row returned: the judge node goes above.
 *
 *	 Seq Scan						Custom Scan (Judge)
 *	   Output: id, j('x', body)		  Output: id, j('x', body)
 *	   Filter: a > 1 AND j('y', b)    Filter: j('y', b)
 *									  ->  Seq Scan
 *											Output: id, body, b
 *											Filter: a > 1
 *
 * The order of conditions is a matter of security: the planner has put those of
 * row security and of security barriers first.  None is ever moved in front of
 * another, so everything from the first call on goes up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "utils/lsyscache.h"

#include "node/node_place.h"

/* Only the plan node itself can evaluate it. */
static bool
is_leaf(const Node *node)
{
	return IsA(node, Var) || IsA(node, Aggref) || IsA(node, GroupingFunc) ||
		IsA(node, WindowFunc);
}

/* Is there a call that is evaluated once per row returned?  Not in an aggregate. */
static bool
evaluates_calls(Node *node, void *context)
{
	if (node == NULL || is_leaf(node))
		return false;
	if (gepa_node_call_kind(node) != NODE_NO_CALL)
		return true;
	if (IsA(node, SubPlan))
		return false;
	return expression_tree_walker(node, evaluates_calls, context);
}

/* Cut a list of conditions before the first with a call; returns the rest. */
static List *
cut(List **conditions)
{
	List	   *kept = NIL;
	List	   *cut = NIL;
	ListCell   *cell;

	foreach(cell, *conditions)
	{
		Node	   *condition = lfirst(cell);

		if (cut != NIL || evaluates_calls(condition, NULL))
			cut = lappend(cut, condition);
		else
			kept = lappend(kept, condition);
	}
	*conditions = kept;
	return cut;
}

static bool
has_operator(const List *conditions)
{
	ListCell   *cell;

	foreach(cell, conditions)
	{
		if (IsA(lfirst(cell), OpExpr))
			return true;
	}
	return false;
}

/*
 * A join's own conditions come first.  Those of an outer join, a semijoin or an
 * antijoin are no filter on what it returns, and stay.
 */
static List *
cut_conditions(Plan *plan)
{
	List	   *conditions = NIL;

	if (gepa_node_is_inner_join(plan))
	{
		Join	   *join = (Join *) plan;

		conditions = cut(&join->joinqual);

		/* An equality that has gone may be why there is one match at most. */
		if (has_operator(conditions))
			join->inner_unique = false;
	}
	if (conditions == NIL)
		return cut(&plan->qual);
	conditions = list_concat(conditions, plan->qual);
	plan->qual = NIL;
	return conditions;
}

/*
 * What the plan node below has to return
 */

/* Its target list is what leaves points to. */
static TargetEntry *
add_leaf(List **leaves, Node *node)
{
	TargetEntry *entry = tlist_member((Expr *) node, *leaves);

	if (entry == NULL)
	{
		entry = makeTargetEntry((Expr *) copyObject(node), list_length(*leaves) + 1, NULL, false);
		*leaves = lappend(*leaves, entry);
	}
	return entry;
}

static Node *
refer_to_leaves(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (is_leaf(node))
	{
		TargetEntry *entry = add_leaf(context, node);

		return (Node *) gepa_node_make_var(entry->expr, INDEX_VAR, entry->resno);
	}
	return expression_tree_mutator(node, refer_to_leaves, context);
}

/*
 * A window's run conditions are evaluated on the row that it returns, whose
 * columns are other ones now.
 */

typedef struct Renumbering
{
	List	   *before;
	List	  **leaves;
} Renumbering;

static Node *
renumber(Node *node, void *context)
{
	Renumbering *renumbering = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = copyObject((Var *) node);
		TargetEntry *before = list_nth(renumbering->before, var->varattno - 1);

		var->varattno = add_leaf(renumbering->leaves, (Node *) before->expr)->resno;
		return (Node *) var;
	}
	return expression_tree_mutator(node, renumber, context);
}

/*
 * Estimates
 */

/* What a plan node no longer evaluates, it no longer costs. */
static void
take_cost(Plan *plan, List *conditions, List *targetlist, double rows_returned)
{
	QualCost	condition;
	QualCost	output;
	Cost		cost;

	cost_qual_eval(&condition, conditions, NULL);
	cost_qual_eval(&output, targetlist, NULL);
	cost = condition.per_tuple * plan->plan_rows + output.per_tuple * rows_returned;
	plan->total_cost = Max(plan->total_cost - cost, plan->startup_cost);
}

static int
width_of(const List *targetlist)
{
	int			width = 0;
	ListCell   *cell;

	foreach(cell, targetlist)
	{
		Node	   *node = (Node *) ((TargetEntry *) lfirst(cell))->expr;

		width += get_typavgwidth(exprType(node), exprTypmod(node));
	}
	return width;
}

/*
 * The plan node is left with what is below the judge node; its own output is
 * that which the judge node refers to.
 */
static CustomScan *
put_above(Plan *plan, List *conditions, int *last_id)
{
	CustomScan *scan = gepa_node_make_scan(plan, last_id);
	NodePlan	node = {.demand = NODE_SOME};
	List	   *leaves = NIL;

	scan->scan.plan.targetlist = (List *) refer_to_leaves((Node *) plan->targetlist, &leaves);
	scan->scan.plan.qual = (List *) refer_to_leaves((Node *) conditions, &leaves);
	if (IsA(plan, WindowAgg))
	{
		Renumbering renumbering = {plan->targetlist, &leaves};
		WindowAgg  *window = (WindowAgg *) plan;

		window->runCondition = (List *) renumber((Node *) window->runCondition, &renumbering);
	}
	/* Before the conditions were evaluated. */
	node.rows = clamp_row_est(plan->plan_rows / gepa_node_selectivity(conditions, 0));
	plan->plan_rows = node.rows;
	take_cost(plan, conditions, plan->targetlist, scan->scan.plan.plan_rows);
	plan->targetlist = leaves;
	plan->plan_width = width_of(leaves);
	scan->custom_scan_tlist = gepa_node_make_outputs(plan->targetlist, OUTER_VAR);
	scan->custom_private = gepa_node_pack(&node);
	return scan;
}

/*
 * A Result above something has nothing to do that a judge node does not do.  NULL:
 * it has.
 */
static CustomScan *
put_in_place_of(Result *result, int *last_id)
{
	Plan	   *child = result->plan.lefttree;
	NodePlan	node = {.demand = NODE_SOME};
	CustomScan *scan;

	if (child == NULL || result->resconstantqual != NULL)
		return NULL;
	node.rows = child->plan_rows;
	scan = gepa_node_make_scan(&result->plan, last_id);
	scan->scan.plan.lefttree = child;
	scan->scan.plan.qual = gepa_node_refer_to_child(result->plan.qual);
	scan->scan.plan.targetlist = gepa_node_refer_to_child(result->plan.targetlist);
	child->async_capable = false;
	scan->custom_scan_tlist = gepa_node_make_outputs(child->targetlist, OUTER_VAR);
	scan->custom_private = gepa_node_pack(&node);
	return scan;
}

bool
gepa_node_split(Plan **slot, int *last_id)
{
	Plan	   *plan = *slot;
	CustomScan *scan = NULL;
	List	   *conditions;

	if (IsA(plan, Result) && (evaluates_calls((Node *) plan->qual, NULL) ||
							  evaluates_calls((Node *) plan->targetlist, NULL)))
		scan = put_in_place_of((Result *) plan, last_id);
	if (scan == NULL)
	{
		conditions = cut_conditions(plan);
		if (conditions == NIL && !evaluates_calls((Node *) plan->targetlist, NULL))
			return false;
		scan = put_above(plan, conditions, last_id);
	}
	*slot = (Plan *) scan;
	return true;
}
