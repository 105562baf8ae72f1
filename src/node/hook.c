/*-------------------------------------------------------------------------
 *
 * hook.c
 *	  Where planning is caught.
 *
 * The plan is made by whoever made it before, and changed when it is finished.  A
 * statement without predicates is told by what its plan depends on: functions
 * of users are listed there, and for most statements there is none.
 *
 * The hook is called from the first statement on if the library is preloaded.
 * Otherwise the planner loads the library when it first meets a predicate, too late for
 * that statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/settings.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "utils/syscache.h"

#include "node/node_place.h"

static planner_hook_type previous_planner = NULL;

/* Nested: a function that is called while planning may plan, too. */
static int	planning_depth = 0;

static bool
depends_on_functions(const PlannedStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->invalItems)
	{
		if (((PlanInvalItem *) lfirst(cell))->cacheId == PROCOID)
			return true;
	}
	return false;
}

static void
find_calls(Plan **slot, void *context)
{
	Plan	   *plan = *slot;
	bool	   *found = context;

	*found = *found || gepa_node_has_calls((Node *) plan->targetlist) ||
		gepa_node_has_calls((Node *) plan->qual);
	if (!*found && (IsA(plan, NestLoop) || IsA(plan, MergeJoin) || IsA(plan, HashJoin)))
		*found = gepa_node_has_calls((Node *) ((Join *) plan)->joinqual);
	if (!*found)
		gepa_node_visit_children(plan, find_calls, context);
}

static bool
has_calls(PlannedStmt *stmt)
{
	bool		found = false;

	gepa_node_visit_roots(stmt, find_calls, &found);
	return found;
}

/* JIT goes by cost, which here is the time of waiting: compiling saves none of it. */
static void
place_nodes(PlannedStmt *stmt, int cursor_options)
{
	gepa_node_lift(stmt, gepa_node_is_cursor(stmt, cursor_options));
	if (!gepa_node_place(stmt, cursor_options))
		return;
	gepa_node_look_ahead(stmt);
	stmt->jitFlags = 0;
}

static PlannedStmt *
plan(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	int			depth = planning_depth;
	PlannedStmt *stmt;

	planning_depth++;
	PG_TRY();
	{
		stmt = previous_planner != NULL ?
			previous_planner(parse, query_string, cursor_options, params) :
			standard_planner(parse, query_string, cursor_options, params);
		if (gepa_enable_judge_node && depends_on_functions(stmt) && has_calls(stmt))
			place_nodes(stmt, cursor_options);
	}
	PG_FINALLY();
	{
		planning_depth = depth;
	}
	PG_END_TRY();
	return stmt;
}

bool
gepa_node_is_planning(void)
{
	return planning_depth > 0;
}

void
gepa_node_init(void)
{
	gepa_node_exec_init();
	gepa_node_progress_init();
	previous_planner = planner_hook;
	planner_hook = plan;
}
