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

#include "access/htup_details.h"
#include "access/transam.h"
#include "base/settings.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "utils/syscache.h"

#include "node/node_place.h"

static planner_hook_type previous_planner = NULL;

/* Nested: a function that is called while planning may plan, too. */
typedef struct Planning
{
	struct Planning *outer;
	Query	   *query;
} Planning;

static Planning *planning = NULL;

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
	if (!*found && gepa_node_is_join(plan))
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
	Planning	this = {planning, parse};
	PlannedStmt *stmt;

	planning = &this;
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
		planning = this.outer;
	}
	PG_END_TRY();
	return stmt;
}

/*
 * Calls while planning
 */

static bool
is_folded(Oid function, void *context)
{
	HeapTuple	tuple;
	Form_pg_proc proc;
	bool		folded;

	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	folded = proc->provolatile == PROVOLATILE_IMMUTABLE && proc->prolang != ClanguageId;
	ReleaseSysCache(tuple);
	return folded;
}

/* Is there a function of a user that is IMMUTABLE, and what it is given does not depend on rows? */
static bool
may_be_folded(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, may_be_folded, context, 0);
	if (check_functions_in_node(node, is_folded, context) && !contain_var_clause(node))
		return true;
	return expression_tree_walker(node, may_be_folded, context);
}

/*
 * The planner evaluates what is STABLE to estimate: that comes out as NULL.  What is
 * IMMUTABLE becomes part of the plan, and would be a wrong result.
 */
bool
gepa_node_is_planning(void)
{
	int			level = WARNING;

	if (planning == NULL)
		return false;
	for (const Planning *it = planning; it != NULL; it = it->outer)
		if (may_be_folded((Node *) it->query, NULL))
			level = ERROR;
	ereport(level,
			(errcode(level == ERROR ? ERRCODE_INVALID_FUNCTION_DEFINITION : ERRCODE_WARNING),
			 errmsg("no document is judged while a query is planned"),
			 errhint("Declare functions that call gepa_judge(), gepa_score() or gepa_verdict() VOLATILE.")));
	return true;
}

void
gepa_node_init(void)
{
	gepa_node_exec_init();
	gepa_node_progress_init();
	previous_planner = planner_hook;
	planner_hook = plan;
}
