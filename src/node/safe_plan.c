/*-------------------------------------------------------------------------
 *
 * safe_plan.c
 *	  Plans that can be read further than their reader needs.
 *
 * What a plan does before its first row comes is done anyway: sorting, hashing,
 * filling the table of a function.  So below a Sort that has begun nothing
 * matters; on the inner side of a nested loop everything does, since it starts
 * anew with each outer row.  Foreign tables, other extensions' nodes, row locks
 * and changes of data are never safe, nor is another judge node.
 *
 * An initplan runs when its result is first asked for, and is judged by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"

#include "node/node_plan.h"

/*
 * Expressions
 */

static bool
has_unsafe_param(Node *node, void *context)
{
	const NodeSafety *safety = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return bms_is_member(((Param *) node)->paramid, safety->unsafe_params);
	return expression_tree_walker(node, has_unsafe_param, context);
}

bool
gepa_node_is_safe_here(const NodeSafety *safety, const void *expression)
{
	Node	   *node = unconstify(Node *, (const Node *) expression);

	if (!(safety->allows_calls ? gepa_node_is_safe_with_calls(node) : gepa_node_is_safe(node)))
		return false;
	if (safety->wants_steady && contain_mutable_functions(node))
		return false;
	return safety->unsafe_params == NULL ||
		!has_unsafe_param(node, unconstify(NodeSafety *, safety));
}

bool
gepa_node_has_unsafe_params(const NodeSafety *safety, const Plan *plan)
{
	return gepa_node_walk_expressions(plan, has_unsafe_param, unconstify(NodeSafety *, safety));
}

static bool
is_unsafe_here(Node *node, void *context)
{
	return !gepa_node_is_safe_here(context, node);
}

/* An index only has values that its operators took before; the other side has to be safe. */
static bool
are_safe_index_conditions(const NodeSafety *safety, const List *conditions)
{
	ListCell   *cell;

	foreach(cell, conditions)
	{
		const Node *condition = lfirst(cell);
		const void *expression = condition;

		if (IsA(condition, OpExpr))
			expression = ((const OpExpr *) condition)->args;
		else if (IsA(condition, ScalarArrayOpExpr))
			expression = ((const ScalarArrayOpExpr *) condition)->args;
		if (!gepa_node_is_safe_here(safety, expression))
			return false;
	}
	return true;
}

static bool
have_safe_index_conditions(const NodeSafety *safety, const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_IndexScan:
			return are_safe_index_conditions(safety, ((const IndexScan *) plan)->indexqualorig) &&
				are_safe_index_conditions(safety, ((const IndexScan *) plan)->indexorderbyorig);
		case T_IndexOnlyScan:
			return are_safe_index_conditions(safety, ((const IndexOnlyScan *) plan)->indexqual) &&
				are_safe_index_conditions(safety, ((const IndexOnlyScan *) plan)->indexorderby);
		case T_BitmapIndexScan:
			return are_safe_index_conditions(safety,
											 ((const BitmapIndexScan *) plan)->indexqualorig);
		default:
			return are_safe_index_conditions(safety,
											 ((const BitmapHeapScan *) plan)->bitmapqualorig);
	}
}

/* What it puts out, and what it lets through. */
static bool
has_safe_output(const NodeSafety *safety, const Plan *plan)
{
	return gepa_node_is_safe_here(safety, plan->qual) &&
		gepa_node_is_safe_here(safety, plan->targetlist);
}

/*
 * Plans
 */

/* Of a node that reads on only as it is read itself. */
static bool
is_safe_node(const NodeSafety *safety, const Plan *plan)
{
	return !gepa_node_walk_expressions(plan, is_unsafe_here, unconstify(NodeSafety *, safety));
}

static bool
are_safe_plans(const NodeSafety *safety, const List *plans, bool begun)
{
	ListCell   *cell;

	foreach(cell, plans)
	{
		if (!gepa_node_is_safe_plan(safety, lfirst(cell), begun))
			return false;
	}
	return true;
}

static bool
has_safe_children(const NodeSafety *safety, const Plan *plan, bool begun)
{
	return (plan->lefttree == NULL ||
			gepa_node_is_safe_plan(safety, plan->lefttree, begun)) &&
		(plan->righttree == NULL ||
		 gepa_node_is_safe_plan(safety, plan->righttree, begun && !IsA(plan, NestLoop)));
}

/* Rows come when all has been read; hashed and plain ones have no other. */
static bool
is_safe_agg(const NodeSafety *safety, const Agg *agg, bool begun)
{
	if (begun && agg->aggstrategy == AGG_PLAIN && agg->groupingSets == NIL)
		return true;
	if (begun && agg->aggstrategy == AGG_HASHED)
		return has_safe_output(safety, &agg->plan);
	return agg->chain == NIL && is_safe_node(safety, &agg->plan) &&
		gepa_node_are_safe_operators(agg->grpOperators, agg->numCols) &&
		has_safe_children(safety, &agg->plan, begun);
}

static bool
is_safe_sort(const NodeSafety *safety, const Sort *sort, bool begun)
{
	if (begun && !IsA(sort, IncrementalSort))
		return true;
	return gepa_node_are_safe_operators(sort->sortOperators, sort->numCols) &&
		has_safe_children(safety, &sort->plan, begun);
}

static const Plan *
find_subplan(const NodeSafety *safety, int plan_id)
{
	return list_nth(safety->stmt->subplans, plan_id - 1);
}

static bool
is_safe_scan(const NodeSafety *safety, const Plan *plan, bool begun)
{
	switch (nodeTag(plan))
	{
		case T_FunctionScan:
		case T_TableFuncScan:
			return begun ? has_safe_output(safety, plan) : is_safe_node(safety, plan);
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapIndexScan:
		case T_BitmapHeapScan:
			return has_safe_output(safety, plan) && have_safe_index_conditions(safety, plan) &&
				has_safe_children(safety, plan, begun);
		case T_BitmapAnd:
			return are_safe_plans(safety, ((const BitmapAnd *) plan)->bitmapplans, begun);
		case T_BitmapOr:
			return are_safe_plans(safety, ((const BitmapOr *) plan)->bitmapplans, begun);
		case T_SubqueryScan:
			return is_safe_node(safety, plan) &&
				gepa_node_is_safe_plan(safety, ((const SubqueryScan *) plan)->subplan, begun);
		case T_CteScan:
			return is_safe_node(safety, plan) &&
				gepa_node_is_safe_plan(safety,
									   find_subplan(safety, ((const CteScan *) plan)->ctePlanId),
									   false);
		default:
			return is_safe_node(safety, plan);
	}
}

bool
gepa_node_is_safe_plan(const NodeSafety *safety, const Plan *plan, bool begun)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapIndexScan:
		case T_BitmapHeapScan:
		case T_BitmapAnd:
		case T_BitmapOr:
		case T_TidScan:
		case T_TidRangeScan:
		case T_SubqueryScan:
		case T_FunctionScan:
		case T_TableFuncScan:
		case T_ValuesScan:
		case T_CteScan:
		case T_NamedTuplestoreScan:
		case T_WorkTableScan:
			return is_safe_scan(safety, plan, begun);
		case T_Result:
		case T_Limit:
		case T_Material:
		case T_Memoize:
		case T_Gather:
		case T_GatherMerge:
		case T_RecursiveUnion:
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
			return is_safe_node(safety, plan) && has_safe_children(safety, plan, begun);
		case T_Hash:
			return begun || (is_safe_node(safety, plan) && has_safe_children(safety, plan, false));
		case T_Sort:
		case T_IncrementalSort:
			return is_safe_sort(safety, (const Sort *) plan, begun);
		case T_Agg:
			return is_safe_agg(safety, (const Agg *) plan, begun);
		case T_Group:
			return is_safe_node(safety, plan) &&
				gepa_node_are_safe_operators(((const Group *) plan)->grpOperators,
											 ((const Group *) plan)->numCols) &&
				has_safe_children(safety, plan, begun);
		case T_Unique:
			return is_safe_node(safety, plan) &&
				gepa_node_are_safe_operators(((const Unique *) plan)->uniqOperators,
											 ((const Unique *) plan)->numCols) &&
				has_safe_children(safety, plan, begun);
		case T_Append:
			/* The later ones begin when the first has ended. */
			return is_safe_node(safety, plan) &&
				are_safe_plans(safety, ((const Append *) plan)->appendplans, false);
		case T_MergeAppend:
			return is_safe_node(safety, plan) &&
				gepa_node_are_safe_operators(((const MergeAppend *) plan)->sortOperators,
											 ((const MergeAppend *) plan)->numCols) &&
				are_safe_plans(safety, ((const MergeAppend *) plan)->mergeplans, begun);
		default:
			return false;
	}
}

/*
 * Initplans
 */

/* More than one row would be an error. */
static bool
has_one_row(const Plan *plan)
{
	if (IsA(plan, Agg))
		return ((const Agg *) plan)->aggstrategy == AGG_PLAIN &&
			((const Agg *) plan)->groupingSets == NIL;
	if (IsA(plan, Limit))
	{
		const Const *count = (const Const *) ((const Limit *) plan)->limitCount;

		return ((const Limit *) plan)->limitOption == LIMIT_OPTION_COUNT && count != NULL &&
			IsA(count, Const) && !count->constisnull && DatumGetInt64(count->constvalue) <= 1;
	}
	return IsA(plan, Result) && (plan->lefttree == NULL || has_one_row(plan->lefttree));
}

static bool
is_safe_initplan(const NodeSafety *safety, const SubPlan *initplan)
{
	const Plan *plan = find_subplan(safety, initplan->plan_id);

	return (initplan->subLinkType == EXISTS_SUBLINK || initplan->subLinkType == ARRAY_SUBLINK ||
			has_one_row(plan)) && gepa_node_is_safe_plan(safety, plan, false);
}

static void
collect_initplans(Plan **slot, void *context)
{
	SubPlan   **by_id = context;
	ListCell   *cell;

	foreach(cell, (*slot)->initPlan)
	{
		SubPlan    *initplan = lfirst(cell);

		by_id[initplan->plan_id] = initplan;
	}
	gepa_node_visit_children(*slot, collect_initplans, context);
}

/* One initplan refers to those before it only. */
void
gepa_node_prepare_safety(NodeSafety *safety, PlannedStmt *stmt)
{
	int			nplans = list_length(stmt->subplans);
	SubPlan   **by_id = palloc0((nplans + 1) * sizeof(SubPlan *));
	ListCell   *cell;

	safety->stmt = stmt;
	safety->unsafe_params = NULL;
	safety->allows_calls = false;
	safety->wants_steady = false;
	gepa_node_visit_roots(stmt, collect_initplans, by_id);
	for (int id = 1; id <= nplans; id++)
	{
		if (by_id[id] == NULL || by_id[id]->subLinkType == CTE_SUBLINK ||
			is_safe_initplan(safety, by_id[id]))
			continue;
		foreach(cell, by_id[id]->setParam)
			safety->unsafe_params = bms_add_member(safety->unsafe_params, lfirst_int(cell));
	}
	pfree(by_id);
}
