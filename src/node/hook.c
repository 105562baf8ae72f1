/*-------------------------------------------------------------------------
 *
 * hook.c
 *	  Where planning is caught.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "optimizer/planner.h"

#include "node/node_internal.h"

static planner_hook_type previous_planner = NULL;

/* Nested: a function that is called while planning may plan, too. */
static int	planning_depth = 0;

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
