/*-------------------------------------------------------------------------
 *
 * expression.c
 *	  SQL expressions that a role gives, to be put into a statement.
 *
 * They run with the rights of that role, so nobody gains anything by one that is
 * more than it should be.  But what is composed around it relies on what it is: a
 * condition beside it must still hold, and each column must be where it is looked for.
 *
 * It is parsed as it stands, without the parentheses that composing puts around
 * it: with them, "a) OR (b" would be an expression, too.  A comment at its end is
 * ended by the newline that composing puts there.  This does not tell all: what
 * is none in parentheses ("*") the statement itself will raise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"

#include "store/store_internal.h"

/* Nothing but a list of values. */
static bool
is_bare(const SelectStmt *select)
{
	ListCell   *cell;

	foreach(cell, select->targetList)
		if (lfirst_node(ResTarget, cell)->name != NULL)
		return false;
	return select->distinctClause == NIL && select->intoClause == NULL &&
		select->fromClause == NIL && select->whereClause == NULL &&
		select->groupClause == NIL && select->havingClause == NULL &&
		select->windowClause == NIL && select->valuesLists == NIL &&
		select->sortClause == NIL && select->limitOffset == NULL &&
		select->limitCount == NULL && select->lockingClause == NIL &&
		select->withClause == NULL && select->op == SETOP_NONE;
}

/* A place in this text, not in that of the query that the client sent. */
static void
show_text(void *sql)
{
	int			position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery(sql);
}

static List *
parse(char *sql)
{
	ErrorContextCallback callback = {error_context_stack, show_text, sql};
	List	   *statements;

	error_context_stack = &callback;
	statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	error_context_stack = callback.previous;
	return statements;
}

int
gepa_store_count_expressions(const char *text)
{
	List	   *statements = parse(psprintf("SELECT %s\n", text));
	Node	   *statement;

	if (list_length(statements) != 1)
		return 0;
	statement = linitial_node(RawStmt, statements)->stmt;
	if (!IsA(statement, SelectStmt) || !is_bare((SelectStmt *) statement))
		return 0;
	return list_length(((SelectStmt *) statement)->targetList);
}

void
gepa_store_check_expression(const char *name, const char *expression)
{
	if (gepa_store_count_expressions(expression) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("\"%s\" must be one expression", name),
				 errdetail("It is: %s", expression),
				 errhint("Name a column of the source, or give an expression over its columns, such as length(body).")));
}

/*
 * Once they are analyzed
 */

Query *
gepa_store_analyze(const char *sql)
{
	SPIPlanPtr	plan = gepa_store_plan(sql, 0, NULL);
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return linitial_node(Query, source->query_list);
}

static bool
is_volatile_function(Oid function, void *context)
{
	return func_volatile(function) == PROVOLATILE_VOLATILE;
}

static bool
find_volatile(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_volatile, context, 0);
	if (check_functions_in_node(node, is_volatile_function, context))
		return true;
	return expression_tree_walker(node, find_volatile, context);
}

bool
gepa_store_is_volatile(Node *expression)
{
	return find_volatile(expression, NULL);
}

static bool
add_columns(Node *node, void *context)
{
	Bitmapset **columns = context;

	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno >= 0)
		*columns = bms_add_member(*columns, ((Var *) node)->varattno);
	return expression_tree_walker(node, add_columns, context);
}

Bitmapset *
gepa_store_columns_read(Node *expression)
{
	Bitmapset  *columns = NULL;

	(void) add_columns(expression, &columns);
	return columns;
}
