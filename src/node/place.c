/*-------------------------------------------------------------------------
 *
 * place.c
 *	  Which plan nodes get a judge node, and where.
 *
 * From the leaves up: so that what a split plan node refers to is already in its
 * place.  Left alone, and therefore asked one call at a time: RETURNING, ON
 * CONFLICT and MERGE WHEN, conditions of outer joins and semijoins, arguments of
 * functions in FROM, VALUES, keys of index scans, and whatever comes only once.
 *
 * A judge node does not return to a marked row.  Where the plan node that it hides
 * could, and must, a Material above it does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "node/node_place.h"

bool
gepa_node_is_judge(const Plan *plan)
{
	return plan != NULL && IsA(plan, CustomScan) &&
		((const CustomScan *) plan)->methods == &gepa_node_scan_methods;
}

/* Another's CustomScan may return nothing but what it was made to return. */
static bool
can_project(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Agg:
		case T_Group:
		case T_WindowAgg:
		case T_Gather:
		case T_GatherMerge:
			return true;
		case T_Result:
			return plan->lefttree != NULL;
		case T_ForeignScan:
			return ((const ForeignScan *) plan)->operation == CMD_SELECT;
		case T_CustomScan:
			return !gepa_node_is_judge(plan) &&
				(((const CustomScan *) plan)->flags & CUSTOMPATH_SUPPORT_PROJECTION) != 0;
		default:
			return gepa_node_is_scan(plan) || gepa_node_is_join(plan);
	}
}

static Plan *
materialize(Plan *child, int *last_id)
{
	Material   *material = makeNode(Material);

	gepa_node_stand_above(&material->plan, child, last_id);
	material->plan.targetlist = gepa_node_make_outputs(child->targetlist, OUTER_VAR);
	return &material->plan;
}

/* A Result hands it on to what is below. */
static bool
hides_mark(const Plan *plan)
{
	while (plan != NULL && IsA(plan, Result))
		plan = plan->lefttree;
	return gepa_node_is_judge(plan);
}

static void
count_async(Append *append)
{
	ListCell   *cell;

	append->nasyncplans = 0;
	foreach(cell, append->appendplans)
	{
		if (((Plan *) lfirst(cell))->async_capable)
			append->nasyncplans++;
	}
}

void
gepa_node_place_at(Plan **slot, void *context)
{
	Plan	   *plan = *slot;
	int		   *last_id = context;

	/* Calls are not made in parallel workers. */
	if (!IsA(plan, Gather) && !IsA(plan, GatherMerge))
		gepa_node_visit_children(plan, gepa_node_place_at, context);

	if (IsA(plan, Append))
		count_async((Append *) plan);
	if (IsA(plan, MergeJoin) && !((MergeJoin *) plan)->skip_mark_restore &&
		hides_mark(plan->righttree))
		plan->righttree = materialize(plan->righttree, last_id);
	gepa_node_underlay(plan, last_id);
	if (can_project(plan))
		gepa_node_split(slot, last_id);
}

bool
gepa_node_place(PlannedStmt *stmt, int cursor_options)
{
	int			first_id = gepa_node_last_plan_id(stmt);
	int			last_id = first_id;
	ListCell   *cell;

	if (gepa_node_is_cursor(stmt, cursor_options))
		gepa_node_place_cursor(stmt, cursor_options, &last_id);
	else
		gepa_node_place_at(&stmt->planTree, &last_id);
	foreach(cell, stmt->subplans)
	{
		if (lfirst(cell) != NULL)
			gepa_node_place_at((Plan **) &lfirst(cell), &last_id);
	}
	return last_id > first_id;
}
