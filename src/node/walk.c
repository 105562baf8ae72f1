/*-------------------------------------------------------------------------
 *
 * walk.c
 *	  Going through a finished plan.
 *
 * setrefs.c and createplan.c know by the type of a node where its children are;
 * whoever changes a finished plan has to know it, too, and here is where.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "node/node_internal.h"

/* Of those that are PostgreSQL's own; a foreign one evaluates some of it elsewhere. */
bool
gepa_node_is_scan(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
		case T_SubqueryScan:
		case T_FunctionScan:
		case T_ValuesScan:
		case T_TableFuncScan:
		case T_CteScan:
		case T_NamedTuplestoreScan:
		case T_WorkTableScan:
			return true;
		default:
			return false;
	}
}

bool
gepa_node_is_join(const Plan *plan)
{
	return IsA(plan, NestLoop) || IsA(plan, MergeJoin) || IsA(plan, HashJoin);
}

bool
gepa_node_is_inner_join(const Plan *plan)
{
	return gepa_node_is_join(plan) && ((const Join *) plan)->jointype == JOIN_INNER;
}

static void
visit_list(List *plans, NodeVisit visit, void *context)
{
	ListCell   *cell;

	foreach(cell, plans)
	{
		Plan	   *plan = lfirst(cell);

		visit(&plan, context);
		lfirst(cell) = plan;
	}
}

void
gepa_node_visit_children(Plan *plan, NodeVisit visit, void *context)
{
	switch (nodeTag(plan))
	{
		case T_Append:
			visit_list(((Append *) plan)->appendplans, visit, context);
			break;
		case T_MergeAppend:
			visit_list(((MergeAppend *) plan)->mergeplans, visit, context);
			break;
		case T_BitmapAnd:
			visit_list(((BitmapAnd *) plan)->bitmapplans, visit, context);
			break;
		case T_BitmapOr:
			visit_list(((BitmapOr *) plan)->bitmapplans, visit, context);
			break;
		case T_SubqueryScan:
			visit(&((SubqueryScan *) plan)->subplan, context);
			break;
		case T_CustomScan:
			visit_list(((CustomScan *) plan)->custom_plans, visit, context);
			break;
		case T_ForeignScan:
			/* What is below is there to check a single row again. */
			return;
		default:
			break;
	}
	if (plan->lefttree != NULL)
		visit(&plan->lefttree, context);
	if (plan->righttree != NULL)
		visit(&plan->righttree, context);
}

void
gepa_node_visit_roots(PlannedStmt *stmt, NodeVisit visit, void *context)
{
	ListCell   *cell;

	if (stmt->planTree != NULL)
		visit(&stmt->planTree, context);
	foreach(cell, stmt->subplans)
	{
		Plan	   *plan = lfirst(cell);

		/* A subplan that was planned and not chosen has gone. */
		if (plan == NULL)
			continue;
		visit(&plan, context);
		lfirst(cell) = plan;
	}
}

static void
note_last_id(Plan **slot, void *context)
{
	int		   *last = context;

	*last = Max(*last, (*slot)->plan_node_id);
	gepa_node_visit_children(*slot, note_last_id, context);
}

int
gepa_node_last_plan_id(PlannedStmt *stmt)
{
	int			last = 0;

	gepa_node_visit_roots(stmt, note_last_id, &last);
	return last;
}
