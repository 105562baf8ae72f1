/*-------------------------------------------------------------------------
 *
 * job_write.c
 *	  Writing what came of the rows of a corpus job.
 *
 * A verdict belongs to a document, and the row may have got another one since
 * it was read, or be gone: a result is written only where a hash of the document
 * is what it was.  The others are put back into the queue, and read again.  The
 * hash is keyed by a number that nobody outside of this process knows, so nobody
 * can make a document that passes for another.
 *
 * What a target has already is not written again: going through a table that is
 * judged leaves no dead rows.
 *
 * Constraint triggers of the user's that are deferred would run at commit, when
 * the process is no longer restricted to the owner's rights, which is refused; so
 * they are made immediate.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "base/json.h"
#include "store/store_job_table.h"

/* Rows that were put back are due again at the latest after this many seconds. */
#define LONGEST_PAUSE 60

static StoreStatement insert_queue = {
	.sql = "INSERT INTO gepa.job_queue (job, key, attempts, due)"
	" VALUES ($1, $2, $3, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4))"
};

static StoreStatement put_error = {
	.sql = "INSERT INTO gepa.job_error AS e (job, key, digest, status, detail, attempts)"
	" VALUES ($1, $2, $3, $4, $5, 1) ON CONFLICT (job, key) DO UPDATE"
	" SET digest = excluded.digest, status = excluded.status, detail = excluded.detail,"
	" attempts = e.attempts + 1, last_at = excluded.last_at"
};

static StoreStatement delete_error = {
	.sql = "DELETE FROM gepa.job_error WHERE job = $1 AND key = $2"
};

/* What kept one that runs waiting is over; why it is to end stays. */
static StoreStatement add_figures = {
	.sql = "UPDATE gepa.job SET rows = rows + $2, judged = judged + $3, stored = stored + $4,"
	" failed = failed + $5, input_tokens = input_tokens + $6,"
	" output_tokens = output_tokens + $7, cost = cost + $8::numeric,"
	" reason = CASE WHEN status <> 'running' THEN reason END,"
	" seconds = seconds + coalesce(extract(epoch FROM pg_catalog.clock_timestamp()"
	" - worked_until), 0), worked_until = pg_catalog.clock_timestamp() WHERE job = $1"
};

/*
 * What a target is to have
 */

static bool
is_ok(const StoreJobResult *result)
{
	return result->verdict != NULL && result->verdict->status == GEPA_STATUS_OK;
}

/* As jsonb writes itself, so that it can be compared with what is there. */
static char *
verdict_json(const StoreJobTable *table, const StoreJobResult *result)
{
	const JudgeVerdict *verdict = result->verdict;
	StringInfoData buf;
	Jsonb	   *json;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"label\": ");
	if (is_ok(result))
		gepa_json_quote(&buf, verdict->label);
	else
		appendStringInfoString(&buf, "null");
	if (is_ok(result))
		appendStringInfo(&buf, ", \"positive\": %s, \"score\": %s",
						 verdict->positive ? "true" : "false",
						 DatumGetCString(DirectFunctionCall1(float8out,
															 Float8GetDatum(verdict->score))));
	else
		appendStringInfoString(&buf, ", \"positive\": null, \"score\": null");
	appendStringInfo(&buf, ", \"status\": \"%s\", \"version\": %d",
					 gepa_status_name(verdict->status), result->version);
	if (table->reasoning && verdict->reasoning != NULL)
	{
		appendStringInfoString(&buf, ", \"reasoning\": ");
		gepa_json_quote(&buf, verdict->reasoning);
	}
	appendStringInfoChar(&buf, '}');
	json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* NULL = null, as where there is no verdict. */
static char *
column_value(const StoreJobTable *table, const StoreJobResult *result)
{
	if (result->verdict == NULL)
		return NULL;
	if (table->target.value == STORE_JOB_VERDICT)
		return verdict_json(table, result);
	if (!is_ok(result))
		return NULL;
	switch (table->target.value)
	{
		case STORE_JOB_POSITIVE:
			return pstrdup(result->verdict->positive ? "true" : "false");
		case STORE_JOB_SCORE:
			return DatumGetCString(DirectFunctionCall1(float8out,
													   Float8GetDatum(result->verdict->score)));
		case STORE_JOB_LABEL:
			return pstrdup(result->verdict->label);
		case STORE_JOB_VERDICT:
			break;
	}
	return NULL;
}

static bool
is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* A failure is written again: it may have become another. */
static bool
is_in_table(const StoreJobResult *result)
{
	const StoreJobRow *row = result->row;

	return !result->rewrite && row->in_table && row->in_table_ok && is_ok(result) &&
		row->in_table_version == result->version &&
		memcmp(row->in_table_digest, result->digest, JUDGE_DIGEST_LENGTH) == 0;
}

/*
 * Composing
 */

/* The row has still the document that was judged; $n is the seed. */
void
gepa_store_append_unchanged(StringInfo buf, const StoreJobTable *table)
{
	appendStringInfo(buf,
					 " AND pg_catalog.hashtextextended((%s\n)::pg_catalog.%s::pg_catalog.text"
					 " COLLATE pg_catalog.\"C\", " INT64_FORMAT ") IS NOT DISTINCT FROM gepa_v.gepa_hash",
					 table->source.document, table->source.is_jsonb ? "jsonb" : "text",
					 table->seed);
}

/* "ROWS FROM (keys, hashes[, values]) gepa_v(...)"; each row has its number in gepa_n. */
void
gepa_store_append_rows(StringInfo buf, const StoreJobTable *table, const char *types,
					   const char *names)
{
	gepa_store_append_keys(buf, table);
	appendStringInfo(buf, ", pg_catalog.unnest($%d::pg_catalog.int8[])", table->source.nkeys + 1);
	for (int i = 0; types[i] != '\0'; i++)
	{
		const char *type = types[i] == 'b' ? "bytea" : types[i] == 'p' ? "bool" :
			types[i] == 'f' ? "float8" : "text";

		appendStringInfo(buf, ", pg_catalog.unnest($%d::pg_catalog.%s[])",
						 table->source.nkeys + 2 + i, type);
	}
	appendStringInfoString(buf, ") WITH ORDINALITY gepa_v(");
	gepa_store_append_key_names(buf, table, "");
	appendStringInfo(buf, ", gepa_hash%s, gepa_n)", names);
}

static const char *
compose_lock(const StoreJobTable *table)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT gepa_v.gepa_n FROM %s, ", table->source.relation);
	gepa_store_append_rows(&buf, table, "", "");
	appendStringInfoString(&buf, " WHERE ");
	gepa_store_append_key_match(&buf, table, table->name);
	appendStringInfo(&buf, " FOR NO KEY UPDATE OF %s SKIP LOCKED", table->name);
	return buf.data;
}

static const char *
compose_column(const StoreJobTable *table)
{
	const char *cast = table->target.value == STORE_JOB_POSITIVE ? "bool" :
		table->target.value == STORE_JOB_SCORE ? "float8" :
		table->target.value == STORE_JOB_LABEL ? "text" : "jsonb";
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "UPDATE %s SET %s = gepa_v.gepa_value::pg_catalog.%s FROM ",
					 table->source.relation, quote_identifier(table->target.column), cast);
	gepa_store_append_rows(&buf, table, "t", ", gepa_value");
	appendStringInfoString(&buf, " WHERE ");
	gepa_store_append_key_match(&buf, table, table->name);
	gepa_store_append_unchanged(&buf, table);
	appendStringInfoString(&buf, " RETURNING gepa_v.gepa_n");
	return buf.data;
}

/*
 * Of a watched table the row is locked against being deleted, so that no verdict
 * is written after the trigger looked for one.
 */
static const char *
compose_table(const StoreJobTable *table)
{
	static const char *const names[] = {
		"version", "digest", "label", "positive", "score", "status", "reasoning", "judged_at"
	};
	int			n = table->source.nkeys;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "WITH gepa_now AS MATERIALIZED (SELECT gepa_v.* FROM ");
	appendStringInfo(&buf, "%s, ", table->source.relation);
	gepa_store_append_rows(&buf, table, "btpftt",
						   ", gepa_digest, gepa_label, gepa_positive, gepa_score, gepa_status, gepa_reasoning");
	appendStringInfoString(&buf, " WHERE ");
	gepa_store_append_key_match(&buf, table, table->name);
	gepa_store_append_unchanged(&buf, table);
	if (table->watched)
		appendStringInfo(&buf, " FOR KEY SHARE OF %s", table->name);
	appendStringInfo(&buf, "), gepa_put AS (INSERT INTO %s (", table->target.table);
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, "%s, ", quote_identifier(table->source.keys[i]));
	for (int i = 0; i < lengthof(names); i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", names[i]);
	appendStringInfoString(&buf, ") SELECT ");
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, "gepa_v.gepa_k%d::%s, ", i + 1, table->source.key_types[i]);
	appendStringInfo(&buf, "$%d, gepa_digest, gepa_label, gepa_positive, gepa_score, gepa_status,"
					 " gepa_reasoning, pg_catalog.now() FROM gepa_now gepa_v ON CONFLICT (", n + 8);
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(table->source.keys[i]));
	appendStringInfoString(&buf, ") DO UPDATE SET ");
	for (int i = 0; i < lengthof(names); i++)
		appendStringInfo(&buf, "%s%s = excluded.%s", i > 0 ? ", " : "", names[i], names[i]);
	appendStringInfoString(&buf, ") SELECT gepa_n FROM gepa_now");
	return buf.data;
}

/* Keys alone: what the targets have of rows that are gone. */
static const char *
compose_clear(const StoreJobTable *table, const char *target, const char *name,
			  const char *format)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, format, target);
	gepa_store_append_keys(&buf, table);
	appendStringInfoString(&buf, ") gepa_v(");
	gepa_store_append_key_names(&buf, table, "");
	appendStringInfoString(&buf, ") WHERE ");
	gepa_store_append_key_match(&buf, table, name);
	return buf.data;
}

static const char *
compose_clear_column(const StoreJobTable *table)
{
	const char *column = quote_identifier(table->target.column);
	char	   *format = psprintf("UPDATE %%s SET %s = NULL FROM ", column);

	return psprintf("%s AND %s.%s IS NOT NULL",
					compose_clear(table, table->source.relation, table->name, format),
					table->name, column);
}

/*
 * Writing
 */

/* Results on their way through one statement. */
typedef struct Chosen
{
	int			n;
	StoreJobResult **results;
	char	  **values;			/* for the column */
} Chosen;

void
gepa_store_arg_rows(StoreArgs *args, const StoreJobTable *table,
					StoreJobResult *const *results, int nresults)
{
	int			n = Max(nresults, 1);
	char	 ***keys = palloc(sizeof(char **) * n);
	Datum	   *hashes = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);

	for (int i = 0; i < nresults; i++)
	{
		const StoreJobRow *row = results[i]->row;

		keys[i] = row->key;
		hashes[i] = Int64GetDatum(row->hash);
		nulls[i] = !row->has_document;
	}
	gepa_store_arg_keys(args, table->source.nkeys, keys, nresults);
	gepa_store_arg_array(args, INT8OID, nresults, hashes, nulls);
}

/* Whatever the statement does not return is put back. */
static void
take_returned(const Chosen *chosen, bool locked)
{
	bool	   *returned = palloc0(Max(chosen->n, 1));

	for (uint64 i = 0; i < SPI_processed; i++)
		returned[gepa_store_bigint(i, 1) - 1] = true;
	for (int i = 0; i < chosen->n; i++)
	{
		if (returned[i])
			continue;
		chosen->results[i]->put_back = true;
		chosen->results[i]->locked = locked;
	}
}

static void
drop_put_back(Chosen *chosen)
{
	int			n = 0;

	for (int i = 0; i < chosen->n; i++)
	{
		if (chosen->results[i]->put_back)
			continue;
		chosen->values[n] = chosen->values[i];
		chosen->results[n++] = chosen->results[i];
	}
	chosen->n = n;
}

static void
lock_rows(StoreScope *scope, StoreJobTable *table, Chosen *chosen)
{
	StoreArgs	args = {0};

	if (table->lock_rows.plan == NULL)
		table->lock_rows.sql = compose_lock(table);
	gepa_store_arg_rows(&args, table, chosen->results, chosen->n);
	gepa_store_run(scope, &table->lock_rows, &args);
	take_returned(chosen, true);
	drop_put_back(chosen);
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
put_column(StoreScope *scope, StoreJobTable *table, const Chosen *chosen)
{
	StoreArgs	args = {0};
	Datum	   *values = palloc(sizeof(Datum) * chosen->n);
	bool	   *nulls = palloc(sizeof(bool) * chosen->n);

	if (table->put_column.plan == NULL)
		table->put_column.sql = compose_column(table);
	gepa_store_arg_rows(&args, table, chosen->results, chosen->n);
	for (int i = 0; i < chosen->n; i++)
		values[i] = text_or_null(chosen->values[i], &nulls[i]);
	gepa_store_arg_array(&args, TEXTOID, chosen->n, values, nulls);
	gepa_store_run(scope, &table->put_column, &args);
	take_returned(chosen, false);
}

static void
arg_verdicts(StoreArgs *args, const StoreJobTable *table, const Chosen *chosen)
{
	static const Oid types[] = {BYTEAOID, TEXTOID, BOOLOID, FLOAT8OID, TEXTOID, TEXTOID};
	Datum	   *values[lengthof(types)];
	bool	   *nulls[lengthof(types)];

	for (int k = 0; k < lengthof(types); k++)
	{
		values[k] = palloc0(sizeof(Datum) * chosen->n);
		nulls[k] = palloc0(sizeof(bool) * chosen->n);
	}
	for (int i = 0; i < chosen->n; i++)
	{
		const StoreJobResult *result = chosen->results[i];
		const JudgeVerdict *verdict = result->verdict;
		bool		ok = is_ok(result);

		values[0][i] = gepa_store_bytes_datum(result->digest, JUDGE_DIGEST_LENGTH);
		values[1][i] = text_or_null(ok ? verdict->label : NULL, &nulls[1][i]);
		values[2][i] = BoolGetDatum(verdict->positive);
		values[3][i] = Float8GetDatum(verdict->score);
		nulls[2][i] = nulls[3][i] = !ok;
		values[4][i] = CStringGetTextDatum(gepa_status_name(verdict->status));
		values[5][i] = text_or_null(table->reasoning ? verdict->reasoning : NULL, &nulls[5][i]);
	}
	for (int k = 0; k < lengthof(types); k++)
		gepa_store_arg_array(args, types[k], chosen->n, values[k], nulls[k]);
}

static void
put_table(StoreScope *scope, StoreJobTable *table, const Chosen *chosen)
{
	StoreArgs	args = {0};

	if (table->put_table.plan == NULL)
		table->put_table.sql = compose_table(table);
	gepa_store_arg_rows(&args, table, chosen->results, chosen->n);
	arg_verdicts(&args, table, chosen);
	gepa_store_arg_int(&args, chosen->results[0]->version);
	gepa_store_run(scope, &table->put_table, &args);
	take_returned(chosen, false);
}

/* Rows by key, from the column or from the table. */
static void
clear(StoreScope *scope, StoreJobTable *table, StoreStatement *statement, char ***keys, int n)
{
	StoreArgs	args = {0};

	if (n == 0)
		return;
	if (statement == &table->clear_table && statement->plan == NULL)
		statement->sql = compose_clear(table, table->target.table, "gepa_t",
									   "DELETE FROM %s gepa_t USING ");
	else if (statement->plan == NULL)
		statement->sql = compose_clear_column(table);
	gepa_store_arg_keys(&args, table->source.nkeys, keys, n);
	gepa_store_run(scope, statement, &args);
}

/* Rows whose document has become null lose what the table has of them. */
static void
clear_without_document(StoreScope *scope, StoreJobTable *table, StoreJobResult *results, int n)
{
	char	 ***keys = palloc(sizeof(char **) * Max(n, 1));
	int			nkeys = 0;

	for (int i = 0; i < n; i++)
		if (results[i].verdict == NULL && results[i].row->in_table && !results[i].put_back)
			keys[nkeys++] = results[i].row->key;
	clear(scope, table, &table->clear_table, keys, nkeys);
}

static void
make_immediate(void)
{
	if (SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) < 0)
		elog(ERROR, "could not make constraints immediate");
}

/* Those whose column has another value. */
static void
choose_for_column(const StoreJobTable *table, StoreJobResult *results, int n, Chosen *chosen)
{
	for (int i = 0; i < n; i++)
	{
		char	   *value;

		if (results[i].put_back)
			continue;
		value = column_value(table, &results[i]);
		if (is_same_text(value, results[i].row->in_column))
			continue;
		chosen->values[chosen->n] = value;
		chosen->results[chosen->n++] = &results[i];
	}
}

void
gepa_store_put_results(StoreJobTable *table, StoreJobResult *results, int n, bool skip_locked)
{
	const StoreJobTarget *target = &table->target;
	StoreScope	scope;
	Chosen		chosen = {0};

	if (target->column == NULL && target->table == NULL)
		return;
	gepa_store_enter_job_table(&scope, table, STORE_VIEW_WRITE);
	make_immediate();
	chosen.results = palloc(sizeof(StoreJobResult *) * Max(n, 1));
	chosen.values = palloc(sizeof(char *) * Max(n, 1));
	if (target->column != NULL)
		choose_for_column(table, results, n, &chosen);
	if (chosen.n > 0 && skip_locked)
		lock_rows(&scope, table, &chosen);
	if (chosen.n > 0)
		put_column(&scope, table, &chosen);
	chosen.n = 0;
	for (int i = 0; i < n && target->table != NULL; i++)
		if (results[i].verdict != NULL && !results[i].put_back && !is_in_table(&results[i]))
			chosen.results[chosen.n++] = &results[i];
	if (chosen.n > 0)
		put_table(&scope, table, &chosen);
	if (target->table != NULL)
		clear_without_document(&scope, table, results, n);
	gepa_store_leave(&scope);
}

void
gepa_store_put_missing(StoreJobTable *table, const StoreJobPiece *piece)
{
	const StoreJobTarget *target = &table->target;
	StoreScope	scope;

	if (piece->cut || piece->nmissing == 0 || (target->column == NULL && target->table == NULL))
		return;
	gepa_store_enter_job_table(&scope, table, STORE_VIEW_WRITE);
	make_immediate();

	/*
	 * Who goes through a table once leaves alone what is not, or no more, in
	 * the filter.
	 */
	if (target->column != NULL && table->job->kind == STORE_JOB_WATCH)
		clear(&scope, table, &table->clear_column, piece->missing, piece->nmissing);
	if (target->table != NULL)
		clear(&scope, table, &table->clear_table, piece->missing, piece->nmissing);
	gepa_store_leave(&scope);
}

/*
 * The job's own tables
 */

static void
queue_key(StoreScope *scope, const StoreJob *job, char *const *key, int attempts,
		  double pause)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_texts(&args, job->nkeys, key);
	gepa_store_arg_int(&args, attempts);
	gepa_store_arg_double(&args, pause);
	gepa_store_run(scope, &insert_queue, &args);
}

/* At once if it was changed, later if it was locked; the more often, the later. */
static void
put_back(StoreScope *scope, const StoreJob *job, const StoreJobPiece *piece,
		 const StoreJobResult *result)
{
	int			attempts = piece->attempts + 1;
	double		pause = 0;

	if (result->locked || attempts > 2)
		pause = Min(1 << Min(attempts - 1, 6), LONGEST_PAUSE);
	queue_key(scope, job, result->row->key, attempts, pause);
}

static void
note_error(StoreScope *scope, const StoreJob *job, const StoreJobResult *result)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_texts(&args, job->nkeys, result->row->key);
	gepa_store_arg_bytes(&args, result->digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_text(&args, gepa_status_name(result->verdict->status));
	gepa_store_arg_text(&args, result->verdict->detail);
	gepa_store_run(scope, &put_error, &args);
}

static void
forget_error(StoreScope *scope, const StoreJob *job, char *const *key)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_texts(&args, job->nkeys, key);
	gepa_store_run(scope, &delete_error, &args);
}

static void
settle_results(StoreScope *scope, const StoreJob *job, const StoreJobPiece *piece,
			   const StoreJobResult *results, int n)
{
	for (int i = 0; i < n; i++)
	{
		const StoreJobResult *result = &results[i];

		if (result->put_back)
			put_back(scope, job, piece, result);
		else if (result->verdict != NULL && !is_ok(result))
			note_error(scope, job, result);
		else if (result->has_error)
			forget_error(scope, job, result->row->key);
	}
	for (int i = 0; i < piece->nmissing + piece->nreturned; i++)
	{
		if (piece->cut || i >= piece->nmissing)
			queue_key(scope, job, piece->missing[i], piece->attempts, 0);
		else if (piece->missing_errors != NULL && piece->missing_errors[i])
			forget_error(scope, job, piece->missing[i]);
	}
}

void
gepa_store_finish_piece(const StoreJob *job, const StoreJobPiece *piece,
						const StoreJobResult *results, int n, const StoreJobFigures *figures)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_delete_claim(&scope, job, piece->claim);
	settle_results(&scope, job, piece, results, n);
	gepa_store_arg_int(&args, job->job);
	gepa_store_arg_bigint(&args, figures->rows);
	gepa_store_arg_bigint(&args, figures->judged);
	gepa_store_arg_bigint(&args, figures->stored);
	gepa_store_arg_bigint(&args, figures->failed);
	gepa_store_arg_bigint(&args, figures->input_tokens);
	gepa_store_arg_bigint(&args, figures->output_tokens);
	gepa_store_arg_double(&args, figures->cost);
	gepa_store_run(&scope, &add_figures, &args);
	gepa_store_leave(&scope);
}
