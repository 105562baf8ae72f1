/*-------------------------------------------------------------------------
 *
 * lift_join.c
 *	  Conditions with calls above inner joins.
 *
 *	 Nested Loop						Nested Loop
 *	   ->  Scan a						  Filter: j('x', b.body)
 *	   ->  Scan b						  ->  Scan a
 *			 Filter: j('x', b.body)		  ->  Scan b
 *
 * A row of b with several matches is asked for again, which is no call: equal
 * documents are one.  So what counts is how many rows of b have a match at all,
 * which the planner's figures tell only roughly.  Read row by row, the join never
 * asks for a document that the scan would not have asked for, be there a LIMIT or
 * not; the estimate is about whether carrying documents through the join pays.
 *
 * On the inner side of a nested loop that starts it anew for each outer row, the
 * calls become no fewer perhaps, but wait together: there one window would end
 * with each outer row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "nodes/nodeFuncs.h"

#include "node/node_lift.h"

/* Calls that are left, below which it pays. */
#define WORTHWHILE 0.9

/*
 * What the join evaluates more often now
 */

/* What it filters before those that ask, behind which the new ones go. */
static bool
has_safe_filter(const NodeSafety *safety, const Plan *plan)
{
	ListCell   *cell;

	foreach(cell, plan->qual)
	{
		if (gepa_node_has_calls(lfirst(cell)))
			return true;
		if (!gepa_node_is_safe_here(safety, lfirst(cell)))
			return false;
	}
	return true;
}

/* What it compares. */
static bool
has_safe_conditions(const NodeSafety *safety, const Plan *plan)
{
	const Join *join = (const Join *) plan;
	const MergeJoin *merge = (const MergeJoin *) plan;
	const HashJoin *hash = (const HashJoin *) plan;
	const void *more = NULL;
	const void *keys = NULL;

	if (IsA(plan, MergeJoin))
		more = merge->mergeclauses;
	if (IsA(plan, HashJoin))
	{
		more = hash->hashclauses;
		keys = hash->hashkeys;
	}
	return gepa_node_is_safe_here(safety, join->joinqual) &&
		gepa_node_is_safe_here(safety, more) && gepa_node_is_safe_here(safety, keys);
}

/*
 * A nested loop reads its inner side for each outer row, so with more outer rows
 * that must neither raise nor ask.  Of the other joins either side may end the
 * other, or keep it from being read at all; that they ask is a matter of luck.
 */
static bool
has_safe_other_side(Lift *lift, const LiftStep *step)
{
	const Plan *other = step->inner ? step->plan->lefttree : step->plan->righttree;
	NodeSafety	safety = lift->safety;

	if (IsA(step->plan, NestLoop) && step->inner)
		return true;
	safety.allows_calls = !IsA(step->plan, NestLoop);
	return gepa_node_is_safe_plan(&safety, other, false);
}

static bool
can_land(Lift *lift, const LiftStep *step)
{
	return gepa_node_is_inner_join(step->plan) && !step->plan->parallel_aware &&
		has_safe_conditions(&lift->safety, step->plan) &&
		has_safe_filter(&lift->safety, step->plan) && has_safe_other_side(lift, step);
}

/* What it filters and puts out would see more rows. */
static bool
can_cross(const Lift *lift, const Plan *plan)
{
	return plan->initPlan == NIL && gepa_node_is_safe_here(&lift->safety, plan->qual) &&
		gepa_node_is_safe_here(&lift->safety, plan->targetlist);
}

/*
 * Whether it pays
 */

static bool
depends_on_outer(const NestLoop *loop)
{
	ListCell   *cell;

	foreach(cell, loop->nestParams)
	{
		const NestLoopParam *param = lfirst(cell);

		if (bms_is_member(param->paramno, loop->join.plan.righttree->extParam))
			return true;
	}
	return false;
}

/*
 * Of that many documents, those that are in a join of that many rows.  Matches are
 * taken to fall at random, unless each document has one at most.  A join that finds
 * one inner row for each outer row, and as many in all, looks like one to one.
 */
static double
documents_after(const LiftStep *step, double documents, double rows)
{
	const Join *join = (const Join *) step->plan;

	if (join->inner_unique &&
		(!step->inner || fabs(rows / documents - 1) < 1 - WORTHWHILE))
		return Min(documents, rows);
	return documents * (1 - exp(-rows / documents));
}

/* What makes other rows of rows in another order. */
static bool
goes_by_order(const Plan *plan)
{
	return IsA(plan, Limit) || IsA(plan, Unique) || IsA(plan, WindowAgg);
}

/*
 * With more rows a Sort may return those that it finds equal in another order.  What is
 * made of it above a subquery is not known here.
 */
static bool
keeps_rows(const Lift *lift, const LiftStep *step)
{
	const Plan *root = step->plan;

	if (!IsA(root, Sort) && !IsA(root, IncrementalSort))
		return true;
	for (; step != NULL; step = step->up)
	{
		root = step->plan;
		if (goes_by_order(root))
			return false;
	}
	return root == lift->stmt->planTree;
}

/* The join above which there is least to ask, or NULL. */
static LiftStep *
find_landing(Lift *lift, const Plan *plan, double selectivity)
{
	double		documents = Max(plan->plan_rows / selectivity, 1);
	LiftStep   *best = NULL;
	LiftStep   *step;

	for (step = lift->up; step != NULL; step = step->up)
	{
		bool		anew;
		double		after;

		if (gepa_node_is_passed(step->plan) && keeps_rows(lift, step))
			continue;
		if (!can_land(lift, step))
			break;
		anew = IsA(step->plan, NestLoop) && step->inner &&
			depends_on_outer((NestLoop *) step->plan);
		if (anew)
			documents *= Max(step->plan->lefttree->plan_rows, 1);
		after = documents_after(step, documents, step->plan->plan_rows / selectivity);
		if (anew || after < documents * WORTHWHILE)
		{
			best = step;
			documents = after;
		}
		if (!can_cross(lift, step->plan))
			break;
	}
	return best;
}

/*
 * Moving
 */

static Node *
replace_params(Node *node, void *context)
{
	const NestLoop *loop = context;
	ListCell   *cell;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Param) || ((Param *) node)->paramkind != PARAM_EXEC)
		return expression_tree_mutator(node, replace_params, context);
	foreach(cell, loop->nestParams)
	{
		const NestLoopParam *param = lfirst(cell);

		if (param->paramno == ((Param *) node)->paramid)
			return copyObject((Node *) param->paramval);
	}
	return copyObject(node);
}

/* In front of what else asks: that would have been asked of the rows they let through. */
static List *
insert_conditions(List *list, List *conditions)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, list)
	{
		if (conditions != NIL && gepa_node_has_calls(lfirst(cell)))
		{
			result = list_concat(result, conditions);
			conditions = NIL;
		}
		result = lappend(result, lfirst(cell));
	}
	return list_concat(result, conditions);
}

static int
side(const LiftStep *step)
{
	return step->inner ? INNER_VAR : OUTER_VAR;
}

static void
move(Lift *lift, Plan *plan, List *conditions, LiftStep *landing, double selectivity)
{
	LiftStep   *step;

	plan->qual = list_difference_ptr(plan->qual, conditions);
	gepa_node_widen(plan, selectivity);
	conditions = gepa_node_expose(plan, conditions, side(lift->up));
	for (step = lift->up;; step = step->up)
	{
		if (IsA(step->plan, NestLoop) && step->inner)
			conditions = (List *) replace_params((Node *) conditions, step->plan);
		if (step == landing)
			break;
		gepa_node_widen(step->plan, selectivity);
		conditions = gepa_node_expose(step->plan, conditions, side(step->up));
	}
	landing->plan->qual = insert_conditions(landing->plan->qual, conditions);
	lift->changed = true;
}

void
gepa_node_lift_above_joins(Lift *lift, Plan *plan)
{
	List	   *conditions;
	double		selectivity;
	LiftStep   *landing;

	if (lift->up == NULL || plan->qual == NIL || !gepa_node_is_source(plan))
		return;
	conditions = gepa_node_liftable(lift, plan, plan->targetlist);
	if (conditions == NIL)
		return;
	selectivity = gepa_node_selectivity(conditions, plan->plan_rows);
	landing = find_landing(lift, plan, selectivity);
	if (landing != NULL)
		move(lift, plan, conditions, landing, selectivity);
}
