/*-------------------------------------------------------------------------
 *
 * expressions.c
 *	  What a plan node evaluates by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "node/node_plan.h"

/* Nodes of expressions, at most so many lists of them beside targetlist and qual. */
#define MOST_LISTS 6

typedef struct Expressions
{
	const void *lists[MOST_LISTS];
	int			n;
} Expressions;

static void
add(Expressions *all, const void *expression)
{
	Assert(all->n < MOST_LISTS);
	all->lists[all->n++] = expression;
}

static void
add_index_conditions(Expressions *all, const Plan *plan)
{
	const IndexScan *scan = (const IndexScan *) plan;
	const IndexOnlyScan *only = (const IndexOnlyScan *) plan;

	if (IsA(plan, IndexScan))
	{
		add(all, scan->indexqual);
		add(all, scan->indexqualorig);
		add(all, scan->indexorderby);
		add(all, scan->indexorderbyorig);
	}
	else if (IsA(plan, IndexOnlyScan))
	{
		add(all, only->indexqual);
		add(all, only->recheckqual);
		add(all, only->indexorderby);
	}
	else if (IsA(plan, BitmapIndexScan))
	{
		add(all, ((const BitmapIndexScan *) plan)->indexqual);
		add(all, ((const BitmapIndexScan *) plan)->indexqualorig);
	}
	else if (IsA(plan, BitmapHeapScan))
		add(all, ((const BitmapHeapScan *) plan)->bitmapqualorig);
}

static void
add_of_source(Expressions *all, const Plan *plan)
{
	ListCell   *cell;
	List	   *calls = NIL;

	switch (nodeTag(plan))
	{
		case T_SampleScan:
			add(all, ((const SampleScan *) plan)->tablesample->args);
			add(all, ((const SampleScan *) plan)->tablesample->repeatable);
			break;
		case T_TidScan:
			add(all, ((const TidScan *) plan)->tidquals);
			break;
		case T_TidRangeScan:
			add(all, ((const TidRangeScan *) plan)->tidrangequals);
			break;
		case T_FunctionScan:
			foreach(cell, ((const FunctionScan *) plan)->functions)
				calls = lappend(calls, ((RangeTblFunction *) lfirst(cell))->funcexpr);
			add(all, calls);
			break;
		case T_ValuesScan:
			add(all, ((const ValuesScan *) plan)->values_lists);
			break;
		case T_TableFuncScan:
			add(all, ((const TableFuncScan *) plan)->tablefunc);
			break;
		case T_ForeignScan:
			add(all, ((const ForeignScan *) plan)->fdw_exprs);
			add(all, ((const ForeignScan *) plan)->fdw_recheck_quals);
			break;
		case T_CustomScan:
			add(all, ((const CustomScan *) plan)->custom_exprs);
			break;
		default:
			add_index_conditions(all, plan);
	}
}

static void
add_of_join(Expressions *all, const Plan *plan)
{
	add(all, ((const Join *) plan)->joinqual);
	if (IsA(plan, MergeJoin))
		add(all, ((const MergeJoin *) plan)->mergeclauses);
	if (IsA(plan, HashJoin))
	{
		add(all, ((const HashJoin *) plan)->hashclauses);
		add(all, ((const HashJoin *) plan)->hashkeys);
	}
}

static void
add_of_changes(Expressions *all, const ModifyTable *changes)
{
	add(all, changes->withCheckOptionLists);
	add(all, changes->returningLists);
	add(all, changes->onConflictSet);
	add(all, changes->onConflictWhere);
	add(all, changes->mergeActionLists);
}

static void
add_all(Expressions *all, const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
			add_of_join(all, plan);
			break;
		case T_ModifyTable:
			add_of_changes(all, (const ModifyTable *) plan);
			break;
		case T_Result:
			add(all, ((const Result *) plan)->resconstantqual);
			break;
		case T_Hash:
			add(all, ((const Hash *) plan)->hashkeys);
			break;
		case T_Memoize:
			add(all, ((const Memoize *) plan)->param_exprs);
			break;
		case T_Limit:
			add(all, ((const Limit *) plan)->limitOffset);
			add(all, ((const Limit *) plan)->limitCount);
			break;
		case T_WindowAgg:
			add(all, ((const WindowAgg *) plan)->runCondition);
			add(all, ((const WindowAgg *) plan)->startOffset);
			add(all, ((const WindowAgg *) plan)->endOffset);
			break;
		default:
			add_of_source(all, plan);
	}
}

bool
gepa_node_walk_expressions(const Plan *plan, NodeWalker walker, void *context)
{
	Expressions all = {{NULL}, 0};

	add_all(&all, plan);
	for (int i = 0; i < all.n; i++)
	{
		if (walker(unconstify(Node *, (const Node *) all.lists[i]), context))
			return true;
	}
	return walker((Node *) plan->qual, context) || walker((Node *) plan->targetlist, context);
}
