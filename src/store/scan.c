/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Rows of a relation that a role names, and their documents.
 *
 * The statements are composed of what the role gave: a relation, and expressions
 * over its row.  They run as that role, in a restricted security context, read only,
 * and could be run by it as they stand.
 *
 * All is read by a cursor, a portion at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "store/store_read.h"

#define PORTION 1000

/*
 * Opening
 */

/* Several columns are one value in parentheses: a row. */
static void
check_key(const char *key)
{
	if (gepa_store_count_expressions(key) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the key must be columns or one expression: %s", key),
				 errhint("For example 'id', or 'site, id'.")));
}

void
gepa_store_open_scan(StoreScan *scan)
{
	StoreSource *source = &scan->source;

	source->owner = GetUserId();
	source->search_path = pstrdup(GetConfigOption("search_path", false, false));
	source->document = pstrdup(scan->document);
	source->filter = scan->filter ? pstrdup(scan->filter) : NULL;
	gepa_store_open_source(source, scan->relation, NULL, 0);
	if (scan->key != NULL)
		check_key(scan->key);
}

/*
 * Reading
 */

void
gepa_store_put_columns(StringInfo sql, const StoreScan *scan)
{
	appendStringInfo(sql, "SELECT %s, (%s\n)::%s",
					 scan->key ? psprintf("(%s\n)::text", scan->key) : "NULL::text",
					 scan->document, scan->source.is_jsonb ? "jsonb" : "text");
}

void
gepa_store_put_from(StringInfo sql, const StoreScan *scan, const char *condition)
{
	const char *word = "WHERE";

	appendStringInfo(sql, " FROM %s", scan->source.relation);
	if (scan->filter != NULL)
	{
		appendStringInfo(sql, " WHERE (%s\n)", scan->filter);
		word = "AND";
	}
	if (condition != NULL)
		appendStringInfo(sql, " %s %s", word, condition);
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

void
gepa_store_read_portal(Portal portal, int portion, StorePortionTaker taker, void *arg)
{
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "gepa portion of rows",
												ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		MemoryContext old;

		SPI_cursor_fetch(portal, true, portion);
		if (SPI_processed == 0)
			break;
		old = MemoryContextSwitchTo(batch);
		taker(arg);
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(batch);
}

/* What a portion is handed out to. */
typedef struct Scanning
{
	StoreScanTaker callback;
	void	   *arg;
} Scanning;

static void
hand_out(void *arg)
{
	const Scanning *scanning = arg;
	int			n = (int) SPI_processed;
	StoreScanRow *rows = palloc(sizeof(StoreScanRow) * Max(n, 1));

	for (int i = 0; i < n; i++)
		gepa_store_get_row(i, &rows[i]);
	scanning->callback(rows, n, scanning->arg);
}

void
gepa_store_read_scan(const StoreScan *scan, StoreScanTaker callback, void *arg)
{
	Scanning	scanning = {callback, arg};
	StoreScope	scope;
	StringInfoData sql;
	Portal		portal;

	initStringInfo(&sql);
	gepa_store_put_columns(&sql, scan);
	gepa_store_put_from(&sql, scan, NULL);
	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, scan->source.owner, scan->source.search_path);
	portal = SPI_cursor_open(NULL, gepa_store_plan(sql.data, 0, NULL), NULL, NULL, true);
	gepa_store_read_portal(portal, PORTION, hand_out, &scanning);
	gepa_store_leave(&scope);
}
