/*-------------------------------------------------------------------------
 *
 * window.c
 *	  How far a node reads ahead.
 *
 * Whoever wants all rows has the LM kept busy from the start: the window is full at
 * once.  Whoever may stop early pays for what is asked beyond that: the window
 * then begins small and grows by a row with each row that was wanted, so that no
 * more rows than have been used, and a few, are asked in vain; and where the number
 * of rows that are wanted is known it is not larger than what finding them is
 * expected to take.  Where reading ahead may be noticed it is not done.
 *
 * The window is filled up again when half of it has been used, so that rows are
 * looked up many at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "executor/executor.h"
#include "miscadmin.h"

#include "node/node_exec.h"

/* Calls under way, in terms of the most that an LM takes at a time. */
#define LOW_WATER 2
#define HIGH_WATER 4

/* Rows of a full window at least, and where all are wanted: half are looked up at a time. */
#define FULL_ROWS 256
#define FULL_ROWS_ALL 1024

/* How many rows, in terms of those calls, a slow answer at the head may hold up. */
#define HELD_UP_FACTOR 16

/* Rows that a window begins with. */
#define FIRST_ROWS 8
#define FIRST_ROWS_FEW 1

/* Of what the rest of a LIMIT is expected to take. */
#define LIMIT_MARGIN 1.25

/* The planner's guess at the share of rows that pass counts as so many rows. */
#define PRIOR_ROWS 4

#define DEFAULT_CONCURRENCY 16

static int
concurrency(const NodeState *node)
{
	int			most = 0;

	for (NodeSession *session = node->execution->sessions; session != NULL; session = session->next)
		if (session->judge != NULL)
			most = Max(most, gepa_judge_places(session->judge->servers));
	return most > 0 ? most : DEFAULT_CONCURRENCY;
}

/* The value of a LIMIT or OFFSET; NULL is none. */
static double
count_of(NodeState *node, Node *expr, double none)
{
	ExprState  *state;
	Datum		value;
	bool		isnull;

	if (expr == NULL)
		return none;
	state = ExecInitExpr((Expr *) expr, &node->css.ss.ps);
	value = ExecEvalExprSwitchContext(state, node->css.ss.ps.ps_ExprContext, &isnull);
	return isnull ? none : (double) DatumGetInt64(value);
}

/*
 * Without conditions here, a LIMIT above is one on what is below; unless rows are
 * locked in between, where some may be left out.
 */
static bool
hands_limit_down(const NodeState *node)
{
	const PlanState *ps = &node->css.ss.ps;

	return ps->plan->qual == NIL && ps->state->es_plannedstmt->rowMarks == NIL;
}

/* A Sort below has to keep no more rows, and must not be asked for more. */
static void
bound_rows_below(NodeState *node)
{
	int64		bound = -1;

	if (node->plan.limit == NULL || !hands_limit_down(node))
		return;
	if (node->limit >= 0 && node->limit < (double) PG_INT32_MAX)
		bound = (int64) node->limit;
	ExecSetTupleBound(bound, outerPlanState(node));
}

/* Have all rows been read that a LIMIT above can still want? */
bool
gepa_node_window_is_complete(const NodeState *node)
{
	return node->limit >= 0 && hands_limit_down(node) &&
		node->consumed + node->rows.count >= node->limit;
}

void
gepa_node_window_start(NodeState *node)
{
	node->consumed = 0;
	node->returned = 0;
	node->limit = count_of(node, node->plan.limit, -1);
	if (node->limit >= 0)
		node->limit += count_of(node, node->plan.offset, 0);
	bound_rows_below(node);
}

static bool
wants_all(const NodeState *node)
{
	return node->execution->to_end &&
		(node->plan.demand == NODE_ALL ||
		 (node->plan.demand == NODE_REST && node->returned > 0));
}

static int
full_window(const NodeState *node)
{
	return Max(concurrency(node) * HIGH_WATER, FULL_ROWS);
}

/* Rows that what is still wanted is expected to take. */
static double
rows_for_limit(const NodeState *node)
{
	const Plan *plan = node->css.ss.ps.plan;
	double		below = Max(outerPlan(plan)->plan_rows, 1);
	double		prior = Min(Max(plan->plan_rows / below, 0.001), 1);
	double		passed = (node->returned + prior * PRIOR_ROWS) / (node->consumed + PRIOR_ROWS);

	return ceil((node->limit - node->returned) / passed * LIMIT_MARGIN);
}

int
gepa_node_window_rows(const NodeState *node)
{
	double		rows;

	if (wants_all(node))
		return Max(full_window(node), FULL_ROWS_ALL);
	if (!node->plan.child_is_safe ||
		(!node->plan.child_is_steady && !node->execution->to_end))
		return 1;
	rows = (node->plan.demand == NODE_FEW ? FIRST_ROWS_FEW : FIRST_ROWS) + node->consumed;
	if (node->limit >= 0)
		rows = Min(rows, rows_for_limit(node));
	return (int) Max(Min(rows, full_window(node)), 1);
}

/* Is one slow answer keeping the LM from its work? */
bool
gepa_node_window_is_held_up(const NodeState *node, int calls)
{
	const NodeRows *rows = &node->rows;

	return wants_all(node) && calls < concurrency(node) * HIGH_WATER &&
		rows->count < full_window(node) * HELD_UP_FACTOR;
}

bool
gepa_node_window_is_due(const NodeState *node)
{
	const NodeRows *rows = &node->rows;

	if (node->exhausted)
		return false;
	if (rows->count == 0)
		return true;
	if (node->unopened || rows->bytes >= (Size) work_mem * 1024)
		return false;
	if (rows->count * 2 <= gepa_node_window_rows(node))
		return true;
	return !gepa_node_row_is_ready(node, gepa_node_row(rows, 0)) &&
		gepa_node_calls(node->execution) < concurrency(node) * LOW_WATER &&
		gepa_node_window_is_held_up(node, 0);
}
