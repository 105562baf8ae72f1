/*-------------------------------------------------------------------------
 *
 * lift_conditions.c
 *	  Conditions on their way up a plan.
 *
 * In a finished plan every node refers to what its children return, by number.  So
 * a condition that goes up is written anew at each node it passes, which has to
 * return what the condition refers to: at the end of its target list, so that nothing
 * that was there gets another number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

#include "node/node_lift.h"
#include "node/node_place.h"

static bool
has_safe_keys(const Plan *plan)
{
	const Sort *sort = (const Sort *) plan;

	return (!IsA(plan, Sort) && !IsA(plan, IncrementalSort)) ||
		gepa_node_are_safe_operators(sort->sortOperators, sort->numCols);
}

bool
gepa_node_is_passed(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Hash:
		case T_Material:
		case T_Sort:
		case T_IncrementalSort:
		case T_Memoize:
			return plan->initPlan == NIL && !plan->parallel_aware && has_safe_keys(plan);
		default:
			return false;
	}
}

/*
 * What may leave
 */

/* Whose conditions refer to what it can return as well. */
static bool
evaluates_its_rows(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Result:
			return plan->lefttree != NULL;
		case T_ForeignScan:
			/* What a condition refers to has been fetched for it. */
			return ((const ForeignScan *) plan)->operation == CMD_SELECT;
		default:
			return gepa_node_is_scan(plan) || gepa_node_is_inner_join(plan);
	}
}

static bool
is_volatile(Oid function, void *context)
{
	return func_volatile(function) == PROVOLATILE_VOLATILE;
}

/* Apart from the calls themselves. */
static bool
is_bound(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) || IsA(node, NextValueExpr))
		return true;
	if (gepa_node_call_kind(node) == NODE_NO_CALL &&
		check_functions_in_node(node, is_volatile, context))
		return true;
	return expression_tree_walker(node, is_bound, context);
}

bool
gepa_node_is_source(const Plan *plan)
{
	return evaluates_its_rows(plan) && plan->initPlan == NIL && !plan->parallel_aware;
}

bool
gepa_node_can_move(const Node *expression)
{
	return !is_bound(unconstify(Node *, expression), NULL);
}

List *
gepa_node_liftable(const Lift *lift, const Plan *plan, const List *outputs)
{
	List	   *liftable = NIL;

	if (!gepa_node_is_safe_here(&lift->safety, outputs))
		return NIL;
	for (int i = list_length(plan->qual) - 1; i >= 0; i--)
	{
		Node	   *condition = list_nth(plan->qual, i);

		if (gepa_node_has_calls(condition) && gepa_node_can_move(condition))
			liftable = lcons(condition, liftable);
		else if (!gepa_node_is_safe_here(&lift->safety, condition))
			break;
	}
	return liftable;
}

/*
 * Estimates
 */

void
gepa_node_widen(Plan *plan, double selectivity)
{
	plan->plan_rows = clamp_row_est(plan->plan_rows / selectivity);
}

/*
 * References
 */

AttrNumber
gepa_node_find_output(const Plan *plan, const Var *var)
{
	ListCell   *cell;

	foreach(cell, plan->targetlist)
	{
		const TargetEntry *entry = lfirst(cell);
		const Var  *output = (const Var *) entry->expr;

		if (IsA(output, Var) && output->varno == var->varno &&
			output->varattno == var->varattno)
			return entry->resno;
	}
	return 0;
}

AttrNumber
gepa_node_add_output(Plan *plan, const Var *var)
{
	AttrNumber	number = list_length(plan->targetlist) + 1;

	plan->targetlist = lappend(plan->targetlist,
							   makeTargetEntry((Expr *) copyObject(var), number, NULL, true));
	plan->plan_width += get_typavgwidth(var->vartype, var->vartypmod);
	return number;
}

typedef struct Exposure
{
	Plan	   *plan;
	int			varno;
} Exposure;

static Node *
expose(Node *node, void *context)
{
	Exposure   *exposure = context;
	AttrNumber	number;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, expose, context);
	number = gepa_node_find_output(exposure->plan, (Var *) node);
	if (number == 0)
		number = gepa_node_add_output(exposure->plan, (Var *) node);
	return (Node *) gepa_node_make_var((Expr *) node, exposure->varno, number);
}

List *
gepa_node_expose(Plan *plan, const List *expressions, int varno)
{
	Exposure	exposure = {plan, varno};

	return (List *) expose((Node *) unconstify(List *, expressions), &exposure);
}
