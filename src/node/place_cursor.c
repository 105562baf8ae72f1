/*-------------------------------------------------------------------------
 *
 * place_cursor.c
 *	  Judge nodes in the plan of a cursor.
 *
 * A cursor that was not declared NO SCROLL can be read backwards if its plan can be;
 * and UPDATE ... WHERE CURRENT OF finds its row by going down the plan to the scan of
 * the table (search_plan_tree() in execCurrent.c).  Neither may depend on judge nodes,
 * which do both for what they hide (scroll.c).  They cannot do it for an index-only
 * scan, which has no ctid to tell, nor for what stands between the cursor and the
 * scan; these are left alone.
 *
 * A cursor is known by CURSOR_OPT_FAST_PLAN.  Other portals may be scrolled or updated
 * through only by guessing a name that the server has made up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"

#include "node/node_place.h"

/* Rows that are locked are found by their locks, and not read backwards. */
bool
gepa_node_is_cursor(const PlannedStmt *stmt, int cursor_options)
{
	return (cursor_options & CURSOR_OPT_FAST_PLAN) != 0 &&
		stmt->commandType == CMD_SELECT && stmt->rowMarks == NIL;
}

static AttrNumber
add_column(CustomScan *judge, AttrNumber column, Oid type)
{
	Scan	   *scan = (Scan *) judge->scan.plan.lefttree;
	AttrNumber	number = list_length(scan->plan.targetlist) + 1;
	Var		   *var = makeVar(scan->scanrelid, column, type, -1, InvalidOid, 0);
	TargetEntry *entry = makeTargetEntry((Expr *) var, number, NULL, false);
	List	   *outputs = gepa_node_make_outputs(list_make1(entry), OUTER_VAR);

	scan->plan.targetlist = lappend(scan->plan.targetlist, entry);
	judge->custom_scan_tlist = list_concat(judge->custom_scan_tlist, outputs);
	return number;
}

/* The judge node tells where the scan below it would be. */
static void
stand_in_for_scan(CustomScan *judge)
{
	NodePlan	node;

	gepa_node_unpack(judge, &node);
	node.relation = ((Scan *) judge->scan.plan.lefttree)->scanrelid;
	node.ctid = add_column(judge, SelfItemPointerAttributeNumber, TIDOID);
	node.tableoid = add_column(judge, TableOidAttributeNumber, OIDOID);
	judge->custom_private = gepa_node_pack(&node);
}

/* What search_plan_tree() goes through, from a cursor down to its scan. */
static bool
is_passed(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Result:
		case T_Limit:
		case T_SubqueryScan:
		case T_Append:
		case T_MergeAppend:
			return true;
		default:
			return false;
	}
}

static void
note_scan(Plan **slot, void *context)
{
	bool	   *found = context;

	switch (nodeTag(*slot))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
			*found = true;
			break;
		case T_CustomScan:
			*found = *found || ((Scan *) *slot)->scanrelid > 0;
			break;
		default:
			if (is_passed(*slot))
				gepa_node_visit_children(*slot, note_scan, context);
			break;
	}
}

static void
place_below(Plan **slot, void *context)
{
	bool		found = false;

	note_scan(slot, &found);
	if (!found)
		gepa_node_place_at(slot, context);
	else if (is_passed(*slot))
		gepa_node_visit_children(*slot, place_below, context);
	else if (!IsA(*slot, IndexOnlyScan) && !IsA(*slot, CustomScan) &&
			 gepa_node_split(slot, context))
		stand_in_for_scan((CustomScan *) *slot);
}

/* From below: whether a judge node goes back depends on what it hides. */
static void
let_go_back(Plan **slot, void *context)
{
	Plan	   *plan = *slot;

	gepa_node_visit_children(plan, let_go_back, context);
	if (gepa_node_is_judge(plan) && ExecSupportsBackwardScan(plan->lefttree))
		((CustomScan *) plan)->flags |= CUSTOMPATH_SUPPORT_BACKWARD_SCAN;
}

void
gepa_node_place_cursor(PlannedStmt *stmt, int cursor_options, int *last_id)
{
	place_below(&stmt->planTree, last_id);
	if ((cursor_options & CURSOR_OPT_NO_SCROLL) == 0)
		let_go_back(&stmt->planTree, NULL);
}
