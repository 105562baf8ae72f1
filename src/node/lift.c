/*-------------------------------------------------------------------------
 *
 * lift.c
 *	  Moving conditions with calls to where there is less to ask.
 *
 * The planner evaluates a condition on one relation where that is scanned,
 * whatever it costs.  A call is worth far more than a join: so conditions with
 * calls go above inner joins that leave fewer documents (lift_join.c), and above
 * an Append whose children all have them, where one window serves all
 * (lift_append.c).  Rows stay the same, and so does their order, but for those that
 * a Sort on the way finds equal.
 *
 * What serial evaluation could not have shown must not show now: nothing that
 * is evaluated for more rows than before may raise, or have an effect (safe.c);
 * nothing is moved in a statement with row security or security barriers, since a
 * finished plan does not say any more what protects what.
 *
 * Moving one condition can clear the way of another, so this goes on until
 * nothing moves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "utils/syscache.h"

#include "node/node_lift.h"

/* What is estimated to cost so little less, or more, is taken to cost the same. */
#define CLEARLY_LESS 0.8

/* Each round has moved something one way, so this is not reached. */
#define MOST_ROUNDS 32

/* Whether its policies hold for this user is decided elsewhere, and then forgotten. */
static bool
has_row_security(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	bool		has_it = HeapTupleIsValid(tuple) &&
		((Form_pg_class) GETSTRUCT(tuple))->relrowsecurity;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return has_it;
}

/* What is changed through a view is protected by it, if it is a barrier. */
static bool
is_protected(const PlannedStmt *stmt)
{
	bool		changes = stmt->commandType != CMD_SELECT || stmt->hasModifyingCTE;
	ListCell   *cell;

	foreach(cell, stmt->rtable)
	{
		const RangeTblEntry *entry = lfirst(cell);

		if (entry->security_barrier)
			return true;
		if (entry->rtekind == RTE_RELATION &&
			(has_row_security(entry->relid) || (entry->relkind == RELKIND_VIEW && changes)))
			return true;
	}
	return false;
}

/*
 * Order
 */

typedef struct Order
{
	const PlannedStmt *stmt;
	const Plan *plan;
	double		rows;			/* that get to its conditions */
} Order;

static double
rank(const Order *order, const Node *condition)
{
	double		ms;
	double		selectivity;

	gepa_node_estimate_condition(condition, order->rows, &ms, &selectivity);
	ms *= gepa_node_different(order->stmt, order->plan, condition, order->rows);
	return ms / Max(1 - selectivity, 1e-6);
}

static bool
may_change_place(const Node *condition)
{
	return gepa_node_has_calls(condition) && gepa_node_is_safe_with_calls(condition);
}

/* Those that stand together, and ask, in the order of what a rejected row costs. */
static void
order_calls(const Order *order, List *conditions)
{
	for (int i = 1; i < list_length(conditions); i++)
	{
		Node	   *condition = list_nth(conditions, i);
		double		its_rank;
		int			place = i;

		if (!may_change_place(condition))
			continue;
		its_rank = rank(order, condition);
		while (place > 0 && may_change_place(list_nth(conditions, place - 1)) &&
			   rank(order, list_nth(conditions, place - 1)) * CLEARLY_LESS > its_rank)
		{
			lfirst(list_nth_cell(conditions, place)) = list_nth(conditions, place - 1);
			place--;
		}
		lfirst(list_nth_cell(conditions, place)) = condition;
	}
}

static void
order_plan(Plan **slot, void *context)
{
	List	   *conditions = (*slot)->qual;
	Order		order = {.stmt = context,.plan = *slot};

	if (list_length(conditions) > 1)
	{
		order.rows = (*slot)->plan_rows / gepa_node_selectivity(conditions, (*slot)->plan_rows);
		order_calls(&order, conditions);
	}
	gepa_node_visit_children(*slot, order_plan, context);
}

/*
 * Joins
 */

/*
 * To an inner join it is all the same which of its lists a condition is in.  If an
 * equality leaves the first, it may be why there is one match at most.
 */
static void
unite_conditions(Plan **slot, void *context)
{
	Join	   *join = (Join *) *slot;
	List	   *kept = NIL;
	List	   *moved = NIL;
	ListCell   *cell;

	gepa_node_visit_children(*slot, unite_conditions, context);
	if (!gepa_node_is_inner_join(*slot) || !gepa_node_has_calls((Node *) join->joinqual))
		return;
	foreach(cell, join->joinqual)
	{
		Node	   *condition = lfirst(cell);

		if (moved == NIL && !gepa_node_has_calls(condition))
			kept = lappend(kept, condition);
		else
			moved = lappend(moved, condition);
		if (moved != NIL && IsA(condition, OpExpr))
			join->inner_unique = false;
	}
	join->joinqual = kept;
	join->plan.qual = list_concat(moved, join->plan.qual);
}

/*
 * Results that have nothing to do any more
 */

static bool
is_identity(const Plan *result)
{
	ListCell   *cell;

	if (list_length(result->targetlist) != list_length(result->lefttree->targetlist))
		return false;
	foreach(cell, result->targetlist)
	{
		const TargetEntry *entry = lfirst(cell);

		if (!IsA(entry->expr, Var) || ((const Var *) entry->expr)->varattno != entry->resno)
			return false;
	}
	return true;
}

static void
tidy(Plan **slot, void *context)
{
	const Lift *lift = context;
	Plan	   *plan = *slot;

	gepa_node_visit_children(plan, tidy, context);
	if (!list_member_ptr(lift->results, plan) || plan->qual != NIL || !is_identity(plan))
		return;
	*slot = plan->lefttree;
	(*slot)->initPlan = plan->initPlan;
}

/*
 * All of it
 */

static void
lift_plan(Plan **slot, void *context)
{
	Lift	   *lift = context;
	LiftStep	step = {lift->up, *slot, false};

	/* The step above says from where we come. */
	if (step.up != NULL)
		step.up->inner = slot == &step.up->plan->righttree;
	lift->up = &step;
	gepa_node_visit_children(*slot, lift_plan, lift);
	lift->up = step.up;

	/* A cursor is where one of the scans is (place_cursor.c). */
	if (!lift->of_cursor && (IsA(*slot, Append) || IsA(*slot, MergeAppend)))
		gepa_node_lift_above_append(lift, slot);
	gepa_node_lift_above_joins(lift, *slot);
}

void
gepa_node_lift(PlannedStmt *stmt, bool of_cursor)
{
	Lift		lift = {.stmt = stmt,.of_cursor = of_cursor,.changed = true};

	if (is_protected(stmt))
		return;
	lift.last_id = gepa_node_last_plan_id(stmt);
	gepa_node_prepare_safety(&lift.safety, stmt);
	gepa_node_visit_roots(stmt, unite_conditions, NULL);
	for (int round = 0; round < MOST_ROUNDS && lift.changed; round++)
	{
		lift.changed = false;
		gepa_node_visit_roots(stmt, lift_plan, &lift);
	}
	gepa_node_visit_roots(stmt, tidy, &lift);
	gepa_node_visit_roots(stmt, order_plan, stmt);
}
