/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Rows of a relation that a role names, and their documents.
 *
 * The statements are composed of what the role gave: a relation, and expressions
 * over its row.  They run as that role, in a restricted
 * security context, read only, and could be run by it as they stand; so nothing is
 * to be gained by an expression that is more than one, and it is refused for the
 * sake of a clear message.
 *
 * All is read by a cursor, a portion at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "store/store_read.h"

#define PORTION 1000

/*
 * Opening
 */

static void
find_relation(StoreScan *scan)
{
	List	   *parts = NIL;
	List	   *names = NIL;
	ListCell   *cell;

	if (!SplitIdentifierString(pstrdup(scan->relation), '.', &parts) ||
		list_length(parts) < 1 || list_length(parts) > 3)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" is not the name of a relation", scan->relation),
				 errhint("Name a table or a view; make a view of a query.")));
	foreach(cell, parts)
		names = lappend(names, makeString(lfirst(cell)));
	scan->relid = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	if (!OidIsValid(scan->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", scan->relation),
				 errhint("Name a table or a view, with its schema where search_path does not find it.")));
	scan->name =
		quote_qualified_identifier(get_namespace_name(get_rel_namespace(scan->relid)),
								   get_rel_name(scan->relid));
}

/* A list of values and nothing behind it. */
static bool
is_bare(const SelectStmt *select)
{
	return select->fromClause == NIL && select->whereClause == NULL &&
		select->groupClause == NIL && select->havingClause == NULL &&
		select->windowClause == NIL && select->sortClause == NIL &&
		select->limitOffset == NULL && select->limitCount == NULL &&
		select->lockingClause == NIL && select->intoClause == NULL &&
		select->op == SETOP_NONE;
}

/* What is spliced into a statement has to end where it seems to. */
static void
check_expression(const char *what, const char *expression)
{
	char	   *statement = psprintf("SELECT (%s\n)", expression);
	List	   *parsed = raw_parser(statement, RAW_PARSE_DEFAULT);
	SelectStmt *select = NULL;

	if (list_length(parsed) == 1 && IsA(linitial_node(RawStmt, parsed)->stmt, SelectStmt))
		select = (SelectStmt *) linitial_node(RawStmt, parsed)->stmt;
	if (select == NULL || list_length(select->targetList) != 1 || !is_bare(select))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the %s must be one expression: %s", what, expression),
				 errhint("Give an expression over the columns of the relation.")));
}

/* The type alone; text is what everything but JSON is taken for. */
static bool
document_is_jsonb(const StoreScan *scan)
{
	StoreScope	scope;
	char	   *sql = psprintf("SELECT (%s\n) FROM %s LIMIT 0", scan->document, scan->name);
	Oid			type;

	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, scan->userid, scan->search_path);
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read \"%s\"", scan->name);
	type = SPI_gettypeid(SPI_tuptable->tupdesc, 1);
	gepa_store_leave(&scope);
	return type == JSONBOID || type == JSONOID;
}

void
gepa_store_open_scan(StoreScan *scan)
{
	scan->userid = GetUserId();
	scan->search_path = pstrdup(GetConfigOption("search_path", false, false));
	find_relation(scan);
	if (scan->key != NULL)
		check_expression("key", scan->key);
	if (scan->filter != NULL)
		check_expression("filter", scan->filter);
	check_expression("document", scan->document);
	scan->is_jsonb = document_is_jsonb(scan);
}

/*
 * Reading
 */

void
gepa_store_put_columns(StringInfo sql, const StoreScan *scan)
{
	appendStringInfo(sql, "SELECT %s, (%s\n)::%s",
					 scan->key ? psprintf("(%s\n)::text", scan->key) : "NULL::text",
					 scan->document, scan->is_jsonb ? "jsonb" : "text");
}

void
gepa_store_put_from(StringInfo sql, const StoreScan *scan, const char *condition)
{
	const char *word = "WHERE";

	appendStringInfo(sql, " FROM %s", scan->name);
	if (scan->filter != NULL)
	{
		appendStringInfo(sql, " WHERE (%s\n)", scan->filter);
		word = "AND";
	}
	if (condition != NULL)
		appendStringInfo(sql, " %s %s", word, condition);
}

SPIPlanPtr
gepa_store_plan(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}

void
gepa_store_get_row(uint64 row, StoreScanRow *result)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	HeapTuple	tuple = SPI_tuptable->vals[row];
	bool		isnull;
	Datum		key = SPI_getbinval(tuple, desc, 1, &isnull);

	result->unit = 0;
	result->key = isnull ? NULL : TextDatumGetCString(key);
	result->document = SPI_getbinval(tuple, desc, 2, &result->isnull);
}

static void
hand_out(StoreScanTaker callback, void *arg)
{
	int			n = (int) SPI_processed;
	StoreScanRow *rows = palloc(sizeof(StoreScanRow) * Max(n, 1));

	for (int i = 0; i < n; i++)
		gepa_store_get_row(i, &rows[i]);
	callback(rows, n, arg);
}

void
gepa_store_read_scan(const StoreScan *scan, StoreScanTaker callback, void *arg)
{
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "gepa source",
												ALLOCSET_DEFAULT_SIZES);
	StoreScope	scope;
	StringInfoData sql;
	Portal		portal;

	initStringInfo(&sql);
	gepa_store_put_columns(&sql, scan);
	gepa_store_put_from(&sql, scan, NULL);
	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, scan->userid, scan->search_path);
	portal = SPI_cursor_open(NULL, gepa_store_plan(sql.data, 0, NULL), NULL, NULL, true);
	for (;;)
	{
		MemoryContext old;

		SPI_cursor_fetch(portal, true, PORTION);
		if (SPI_processed == 0)
			break;
		old = MemoryContextSwitchTo(batch);
		hand_out(callback, arg);
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	gepa_store_leave(&scope);
	MemoryContextDelete(batch);
}
