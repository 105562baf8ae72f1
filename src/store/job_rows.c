/*-------------------------------------------------------------------------
 *
 * job_rows.c
 *	  Reading the rows of a corpus job: by a range of keys, or by some keys.
 *
 * Beside the document a row brings what the targets have of it now, so that
 * what is right already is not written again.  Statements are composed of
 * quoted names and the owner's own expressions, and run as the owner.  Names
 * that are ours begin with gepa_, so that a bare column name in an expression
 * means the source's.
 *
 * A piece is bounded by its rows and by the bytes of its documents; rows are
 * fetched through a portal, so that neither bound is known too late.
 *
 * Plans must walk the key's index, or look keys up in it: any other plan would
 * read the whole table for every piece.  Tables therefore have the others
 * discouraged; what views and foreign tables need, the planner knows best.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "store/store_job_table.h"

/* Documents of one piece together; one more chunk may come on top. */
#define PIECE_BYTES (16 * 1024 * 1024)
#define CHUNK 64

static const char *const by_index[] = {
	"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "enable_sort"
};

/*
 * Opening
 */

StoreJobTable *
gepa_store_open_job_table(const StoreJob *job, bool reasoning)
{
	StoreJobTable *table = palloc0(sizeof(StoreJobTable));

	table->job = job;
	table->reasoning = reasoning;
	table->watched = gepa_store_is_watched(job);
	table->seed = (int64) pg_prng_uint64(&pg_global_prng_state);
	table->source.owner = job->owner;
	table->source.search_path = job->search_path;
	table->source.document = job->document;
	table->source.filter = job->filter;
	gepa_store_open_source(&table->source, job->source, (const char *const *) job->keys,
						   job->nkeys);
	table->name = pstrdup(quote_identifier(get_rel_name(table->source.relid)));
	gepa_store_open_target(&table->target, &table->source, job->target_column,
						   job->target_table);
	return table;
}

bool
gepa_store_job_is_jsonb(const StoreJobTable *table)
{
	return table->source.is_jsonb;
}

void
gepa_store_enter_job_table(StoreScope *scope, const StoreJobTable *table, StoreView view)
{
	bool		is_table = table->source.relkind == RELKIND_RELATION ||
		table->source.relkind == RELKIND_PARTITIONED_TABLE ||
		table->source.relkind == RELKIND_MATVIEW;

	gepa_store_enter_as(scope, view, table->source.owner, table->source.search_path);
	gepa_store_pin_formats();
	for (int i = 0; i < lengthof(by_index) && is_table; i++)
		(void) set_config_option(by_index[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Composing
 */

void
gepa_store_append_key_match(StringInfo buf, const StoreJobTable *table, const char *name)
{
	const StoreSource *source = &table->source;

	for (int i = 0; i < source->nkeys; i++)
		appendStringInfo(buf, "%s%s.%s = gepa_v.gepa_k%d::%s", i > 0 ? " AND " : "", name,
						 quote_identifier(source->keys[i]), i + 1, source->key_types[i]);
}

void
gepa_store_append_keys(StringInfo buf, const StoreJobTable *table)
{
	appendStringInfoString(buf, "ROWS FROM (");
	for (int i = 0; i < table->source.nkeys; i++)
		appendStringInfo(buf, "%spg_catalog.unnest($%d::pg_catalog.text[])",
						 i > 0 ? ", " : "", i + 1);
}

void
gepa_store_append_key_names(StringInfo buf, const StoreJobTable *table, const char *prefix)
{
	for (int i = 0; i < table->source.nkeys; i++)
		appendStringInfo(buf, "%s%sgepa_k%d", i > 0 ? ", " : "", prefix, i + 1);
}

/* "key, ...", or "(key, ...)" for comparing rows. */
static void
append_columns(StringInfo buf, const StoreJobTable *table)
{
	for (int i = 0; i < table->source.nkeys; i++)
		appendStringInfo(buf, "%s%s.%s", i > 0 ? ", " : "", table->name,
						 quote_identifier(table->source.keys[i]));
}

/* The inner part of all reads, up to FROM; with a further column, or "". */
static void
append_inner(StringInfo buf, const StoreJobTable *table, const char *further)
{
	const StoreSource *source = &table->source;

	appendStringInfoString(buf, "(SELECT ");
	for (int i = 0; i < source->nkeys; i++)
		appendStringInfo(buf, "%s.%s AS gepa_k%d, ", table->name,
						 quote_identifier(source->keys[i]), i + 1);
	appendStringInfo(buf, "(%s\n)::pg_catalog.%s AS gepa_document", source->document,
					 source->is_jsonb ? "jsonb" : "text");
	if (table->target.column != NULL)
		appendStringInfo(buf, ", %s.%s::pg_catalog.text AS gepa_column", table->name,
						 quote_identifier(table->target.column));
	appendStringInfo(buf, "%s FROM %s", further, source->relation);
}

/* The whole of a read around its inner part. */
static char *
wrap(const StoreJobTable *table, const char *inner, const char *further)
{
	const StoreSource *source = &table->source;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT ");
	for (int i = 0; i < source->nkeys; i++)
		appendStringInfo(&buf, "gepa_q.gepa_k%d, ", i + 1);
	appendStringInfo(&buf, "gepa_q.gepa_document, %s",
					 table->target.column ? "gepa_q.gepa_column" : "NULL::pg_catalog.text");
	if (table->target.table != NULL)
		appendStringInfoString(&buf, ", gepa_t.version, gepa_t.digest, gepa_t.status");
	appendStringInfo(&buf, "%s FROM %s gepa_q", further, inner);
	if (table->target.table != NULL)
	{
		appendStringInfo(&buf, " LEFT JOIN %s gepa_t ON ", table->target.table);
		for (int i = 0; i < source->nkeys; i++)
			appendStringInfo(&buf, "%sgepa_t.%s = gepa_q.gepa_k%d", i > 0 ? " AND " : "",
							 quote_identifier(source->keys[i]), i + 1);
	}
	return buf.data;
}

static void
append_bound(StringInfo buf, const StoreJobTable *table, const char *operator, int first)
{
	int			n = table->source.nkeys;

	appendStringInfoString(buf, " AND (");
	append_columns(buf, table);
	appendStringInfo(buf, ") %s (", operator);
	for (int i = 0; i < n; i++)
		appendStringInfo(buf, "%s$%d::%s", i > 0 ? ", " : "", first + i,
						 table->source.key_types[i]);
	appendStringInfoChar(buf, ')');
}

static char *
order_by_keys(const StoreJobTable *table)
{
	StringInfoData buf;

	initStringInfo(&buf);
	gepa_store_append_key_names(&buf, table, "gepa_q.");
	return buf.data;
}

/* Arguments: low if there is one, high if there is one, the number of rows. */
static char *
compose_range(const StoreJobTable *table, JobLow low, bool has_high)
{
	int			n = table->source.nkeys;
	int			next = 1;
	StringInfoData buf;

	initStringInfo(&buf);
	append_inner(&buf, table, "");
	appendStringInfo(&buf, " WHERE (%s\n)",
					 table->source.filter ? table->source.filter : "true");
	if (low != JOB_LOW_NONE)
	{
		append_bound(&buf, table, low == JOB_LOW_AT ? ">=" : ">", next);
		next += n;
	}
	if (has_high)
	{
		append_bound(&buf, table, "<=", next);
		next += n;
	}
	appendStringInfoString(&buf, " ORDER BY ");
	append_columns(&buf, table);
	appendStringInfo(&buf, " LIMIT $%d)", next);
	return psprintf("%s ORDER BY %s", wrap(table, buf.data, ""), order_by_keys(table));
}

/*
 * OFFSET keeps the document from being computed more than once.  Each row has the
 * number of the key that found it.
 */
static char *
compose_keys(const StoreJobTable *table)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_inner(&buf, table, ", gepa_v.gepa_n");
	appendStringInfoString(&buf, ", ");
	gepa_store_append_keys(&buf, table);
	appendStringInfoString(&buf, ") WITH ORDINALITY gepa_v(");
	gepa_store_append_key_names(&buf, table, "");
	appendStringInfoString(&buf, ", gepa_n) WHERE ");
	gepa_store_append_key_match(&buf, table, table->name);
	appendStringInfo(&buf, " AND (%s\n) OFFSET 0)",
					 table->source.filter ? table->source.filter : "true");
	return wrap(table, buf.data, ", gepa_q.gepa_n");
}

/*
 * Arguments
 */

void
gepa_store_arg_keys(StoreArgs *args, int nkeys, char ***keys, int n)
{
	char	  **column = palloc(sizeof(char *) * Max(n, 1));

	for (int k = 0; k < nkeys; k++)
	{
		for (int i = 0; i < n; i++)
			column[i] = keys[i][k];
		gepa_store_arg_texts(args, n, column);
	}
	pfree(column);
}

static void
arg_key(StoreArgs *args, int nkeys, char *const *key)
{
	for (int i = 0; i < nkeys; i++)
		gepa_store_arg_text(args, key[i]);
}

/*
 * Reading
 */

static void
read_document(const StoreJobTable *table, uint64 row, StoreJobRow *result, Size *bytes)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									  table->source.nkeys + 1, &isnull);

	result->has_document = !isnull;
	if (isnull)
		return;
	if (table->source.is_jsonb)
	{
		Jsonb	   *document = DatumGetJsonbPCopy(value);
		char	   *text = JsonbToCString(NULL, &document->root, VARSIZE(document));

		result->document = JsonbPGetDatum(document);
		result->hash = (int64) hash_bytes_extended((unsigned char *) text, strlen(text),
												   (uint64) table->seed);
		pfree(text);
	}
	else
	{
		text	   *document = DatumGetTextPCopy(value);

		result->document = PointerGetDatum(document);
		result->hash = (int64) hash_bytes_extended((unsigned char *) VARDATA_ANY(document),
												   VARSIZE_ANY_EXHDR(document),
												   (uint64) table->seed);
	}
	*bytes += VARSIZE_ANY(DatumGetPointer(result->document));
}

/* What the targets have. */
static void
read_targets(StoreScope *scope, const StoreJobTable *table, uint64 row, StoreJobRow *result)
{
	int			column = table->source.nkeys + 2;
	char	   *status;

	result->in_column = gepa_store_text(scope, row, column);
	if (table->target.table == NULL)
		return;
	status = gepa_store_text(scope, row, column + 3);
	result->in_table = status != NULL;
	if (!result->in_table)
		return;
	result->in_table_version = gepa_store_int(row, column + 1, 0);
	result->in_table_ok = strcmp(status, gepa_status_name(GEPA_STATUS_OK)) == 0;
	gepa_store_digest(row, column + 2, result->in_table_digest, JUDGE_DIGEST_LENGTH);
}

/* The number of the key that found it; -1 = it was read in a range. */
static int
read_asked(const StoreJobTable *table, uint64 row)
{
	int			column = table->source.nkeys + (table->target.table != NULL ? 6 : 3);

	return SPI_tuptable->tupdesc->natts < column ? -1 :
		(int) gepa_store_bigint(row, column) - 1;
}

/*
 * One row, into the caller's context.  Keys are written as their types write them,
 * as the triggers of a watched table do; a cast to text may make another text of them.
 */
static void
read_row(StoreScope *scope, const StoreJobTable *table, uint64 row, StoreJobRow *result,
		 Size *bytes)
{
	int			n = table->source.nkeys;
	MemoryContext old = MemoryContextSwitchTo(scope->caller);

	memset(result, 0, sizeof(*result));
	result->key = palloc(sizeof(char *) * n);
	for (int i = 0; i < n; i++)
	{
		result->key[i] = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, i + 1);
		if (result->key[i] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("key column \"%s\" of %s is null in some rows",
							table->source.keys[i], table->source.relation),
					 errhint("Leave such rows out with the job's filter.")));
	}
	read_document(table, row, result, bytes);
	read_targets(scope, table, row, result);
	result->asked = read_asked(table, row);
	MemoryContextSwitchTo(old);
}

static void
add_chunk(StoreScope *scope, const StoreJobTable *table, StoreJobPiece *piece, Size *bytes)
{
	int			n = (int) SPI_processed;

	if (piece->nrows == 0)
		piece->rows = MemoryContextAlloc(scope->caller, sizeof(StoreJobRow) * n);
	else
		piece->rows = repalloc(piece->rows, sizeof(StoreJobRow) * (piece->nrows + n));
	for (int i = 0; i < n; i++)
		read_row(scope, table, i, &piece->rows[piece->nrows++], bytes);
	SPI_freetuptable(SPI_tuptable);
}

static void
prepare(StoreStatement *statement, const char *sql, StoreArgs *args)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, args->n, args->types, CURSOR_OPT_FAST_PLAN);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	statement->plan = plan;
}

/* True when it was cut because of its bytes. */
static bool
fetch_rows(StoreScope *scope, const StoreJobTable *table, StoreStatement *statement,
		   StoreArgs *args, StoreJobPiece *piece)
{
	Portal		portal;
	Size		bytes = 0;
	bool		more = true;

	args->nulls[args->n] = '\0';
	portal = SPI_cursor_open(NULL, statement->plan, args->values, args->nulls, true);
	if (portal == NULL)
		elog(ERROR, "SPI_cursor_open failed: %s", SPI_result_code_string(SPI_result));
	piece->nrows = 0;
	while (more && bytes < PIECE_BYTES)
	{
		SPI_cursor_fetch(portal, true, CHUNK);
		more = SPI_processed == CHUNK;
		if (SPI_processed > 0)
			add_chunk(scope, table, piece, &bytes);
	}
	SPI_cursor_close(portal);
	return more;
}

bool
gepa_store_read_range(StoreJobTable *table, const StoreJobRange *range, int max,
					  StoreJobPiece *piece)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	JobLow		low = range->low == NULL ? JOB_LOW_NONE :
		range->with_low ? JOB_LOW_AT : JOB_LOW_ABOVE;
	StoreStatement *statement = &table->by_range[low][range->high != NULL];
	bool		cut;

	gepa_store_enter_job_table(&scope, table, STORE_VIEW_LATEST);
	if (range->low != NULL)
		arg_key(&args, table->source.nkeys, range->low);
	if (range->high != NULL)
		arg_key(&args, table->source.nkeys, range->high);
	gepa_store_arg_int(&args, max);
	if (statement->plan == NULL)
		prepare(statement, compose_range(table, low, range->high != NULL), &args);
	cut = fetch_rows(&scope, table, statement, &args, piece);
	gepa_store_leave(&scope);
	return cut || piece->nrows >= max;
}

bool
gepa_store_read_keys(StoreJobTable *table, char ***keys, int n, StoreJobPiece *piece)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	bool		cut;

	gepa_store_enter_job_table(&scope, table, STORE_VIEW_LATEST);
	gepa_store_arg_keys(&args, table->source.nkeys, keys, n);
	if (table->by_key.plan == NULL)
		prepare(&table->by_key, compose_keys(table), &args);
	cut = fetch_rows(&scope, table, &table->by_key, &args, piece);
	gepa_store_leave(&scope);
	return cut;
}
