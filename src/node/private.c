/*-------------------------------------------------------------------------
 *
 * private.c
 *	  What planning tells execution, in a form that a plan can be copied with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/value.h"

#include "node/node_internal.h"

enum
{
	UNDER,
	DEMAND,
	CHILD_IS_SAFE,
	CHILD_IS_STEADY,
	LIMIT,
	OFFSET,
	ROWS,
	RELATION,
	CTID,
	TABLEOID
};

List *
gepa_node_pack(const NodePlan *plan)
{
	List	   *private = NIL;

	private = lappend(private, makeInteger(plan->under));
	private = lappend(private, makeInteger(plan->demand));
	private = lappend(private, makeInteger(plan->child_is_safe));
	private = lappend(private, makeInteger(plan->child_is_steady));
	private = lappend(private, plan->limit);
	private = lappend(private, plan->offset);
	private = lappend(private, makeFloat(psprintf("%.17g", plan->rows)));
	private = lappend(private, makeInteger(plan->relation));
	private = lappend(private, makeInteger(plan->ctid));
	private = lappend(private, makeInteger(plan->tableoid));
	return private;
}

void
gepa_node_unpack(const CustomScan *scan, NodePlan *plan)
{
	List	   *private = scan->custom_private;

	plan->under = intVal(list_nth(private, UNDER)) != 0;
	plan->demand = (NodeDemand) intVal(list_nth(private, DEMAND));
	plan->child_is_safe = intVal(list_nth(private, CHILD_IS_SAFE)) != 0;
	plan->child_is_steady = intVal(list_nth(private, CHILD_IS_STEADY)) != 0;
	plan->limit = list_nth(private, LIMIT);
	plan->offset = list_nth(private, OFFSET);
	plan->rows = floatVal(list_nth(private, ROWS));
	plan->relation = intVal(list_nth(private, RELATION));
	plan->ctid = intVal(list_nth(private, CTID));
	plan->tableoid = intVal(list_nth(private, TABLEOID));
}
