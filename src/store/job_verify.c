/*-------------------------------------------------------------------------
 *
 * job_verify.c
 *	  Is a row still what is about to be written of it?
 *
 * Writing a verdict looks whether its row has still the document that was judged.
 * That is not so where a row is not written: a document without a verdict becomes
 * an error of the job, one that has a verdict again or is gone loses its error, and
 * a key that was not found loses what the verdict table has of it.  Meanwhile
 * another piece may have read the row as it is by now, and written so.  Here it is
 * looked at before anything is written; what has changed is put back.
 *
 * Locking: first the rows of errors and verdict table that may be deleted, so that
 * who writes them comes before this look, which then sees the row that he read, or
 * after this transaction.  Of a watched table the rows themselves, too: who changes
 * them comes after it as well, and has them looked at again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "store/store_job_table.h"

static StoreStatement has_errors = {
	.sql = "SELECT 1 FROM gepa.job_error WHERE job = $1 LIMIT 1"
};

static StoreStatement lock_errors = {
	.sql = "SELECT i FROM pg_catalog.generate_series(0, $4 - 1) i JOIN gepa.job_error e"
	" ON e.job = $1 AND e.key = ($2::text[])[i * $3 + 1 : i * $3 + $3] FOR UPDATE OF e"
};

/*
 * Errors
 */

/* Which of the keys have one, locked; NULL = none of them. */
static bool *
find_errors(const StoreJob *job, char ***keys, int n)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	char	  **texts = palloc(sizeof(char *) * Max(n * job->nkeys, 1));
	bool	   *found = NULL;

	for (int i = 0; i < n * job->nkeys; i++)
		texts[i] = keys[i / job->nkeys][i % job->nkeys];
	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	if (n > 0 && gepa_store_run_by_number(&scope, &has_errors, job->work) > 0)
	{
		found = MemoryContextAllocZero(scope.caller, sizeof(bool) * n);
		gepa_store_arg_int(&args, job->work);
		gepa_store_arg_texts(&args, n * job->nkeys, texts);
		gepa_store_arg_int(&args, job->nkeys);
		gepa_store_arg_int(&args, n);
		gepa_store_run(&scope, &lock_errors, &args);
		for (uint64 i = 0; i < SPI_processed; i++)
			found[gepa_store_int(i, 1, 0)] = true;
	}
	gepa_store_leave(&scope);
	pfree(texts);
	return found;
}

static void
note_errors(const StoreJob *job, StoreJobPiece *piece, StoreJobResult *results, int n)
{
	char	 ***keys = palloc(sizeof(char **) * Max(n, 1));
	bool	   *found;

	for (int i = 0; i < n; i++)
		keys[i] = results[i].row->key;
	found = find_errors(job, keys, n);
	for (int i = 0; i < n; i++)
		results[i].has_error = found != NULL && found[i];
	piece->missing_errors = find_errors(job, piece->missing, piece->nmissing);
}

/*
 * Rows
 */

/* One that is locked counts as changed: it may be by the time it is not. */
static const char *
compose_unchanged(const StoreJobTable *table)
{
	bool		has_target = table->target.column != NULL || table->target.table != NULL;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT gepa_v.gepa_n FROM %s, ", table->source.relation);
	gepa_store_append_rows(&buf, table, "", "");
	appendStringInfoString(&buf, " WHERE ");
	gepa_store_append_key_match(&buf, table, table->name);
	gepa_store_append_unchanged(&buf, table);
	if (table->watched && has_target)
		appendStringInfo(&buf, " FOR NO KEY UPDATE OF %s SKIP LOCKED", table->name);
	return buf.data;
}

/* Nothing may be written of it that its row does not bear out. */
static bool
is_doubtful(const StoreJobResult *result)
{
	if (result->put_back)
		return false;
	if (result->verdict == NULL)
		return result->has_error || result->row->in_table;
	return result->has_error || result->verdict->status != GEPA_STATUS_OK;
}

static void
verify_results(StoreScope *scope, StoreJobTable *table, StoreJobResult *results, int n)
{
	StoreJobResult **doubtful = palloc(sizeof(StoreJobResult *) * Max(n, 1));
	int			ndoubtful = 0;
	StoreArgs	args = {0};

	for (int i = 0; i < n; i++)
		if (is_doubtful(&results[i]))
			doubtful[ndoubtful++] = &results[i];
	if (ndoubtful == 0)
		return;
	if (table->unchanged.plan == NULL)
		table->unchanged.sql = compose_unchanged(table);
	gepa_store_arg_rows(&args, table, doubtful, ndoubtful);
	gepa_store_run(scope, &table->unchanged, &args);
	for (int i = 0; i < ndoubtful; i++)
		doubtful[i]->put_back = doubtful[i]->locked = true;
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		StoreJobResult *result = doubtful[gepa_store_bigint(i, 1) - 1];

		result->put_back = result->locked = false;
	}
}

/*
 * Keys that were not found
 */

static const char *
compose_keys(const StoreJobTable *table, const char *relation, const char *name,
			 const char *end)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT gepa_v.gepa_n FROM %s, ", relation);
	gepa_store_append_keys(&buf, table);
	appendStringInfoString(&buf, ") WITH ORDINALITY gepa_v(");
	gepa_store_append_key_names(&buf, table, "");
	appendStringInfoString(&buf, ", gepa_n) WHERE ");
	gepa_store_append_key_match(&buf, table, name);
	appendStringInfoString(&buf, end);
	return buf.data;
}

static void
run_on_missing(StoreScope *scope, const StoreJobTable *table, StoreStatement *statement,
			   const StoreJobPiece *piece)
{
	StoreArgs	args = {0};

	gepa_store_arg_keys(&args, table->source.nkeys, piece->missing, piece->nmissing);
	gepa_store_run(scope, statement, &args);
}

/* Those that are there by now go to the end, where they are not missing any more. */
static void
set_apart(StoreJobPiece *piece, const bool *there)
{
	int			n = 0;

	for (int i = 0; i < piece->nmissing; i++)
	{
		char	  **key = piece->missing[i];
		bool		error = piece->missing_errors != NULL && piece->missing_errors[i];

		if (there[i])
			continue;
		piece->missing[i] = piece->missing[n];
		piece->missing[n] = key;
		if (piece->missing_errors != NULL)
			piece->missing_errors[n] = error;
		n++;
	}
	piece->nreturned = piece->nmissing - n;
	piece->nmissing = n;
}

static void
verify_missing(StoreScope *scope, StoreJobTable *table, StoreJobPiece *piece)
{
	const StoreSource *source = &table->source;
	bool	   *there = palloc0(piece->nmissing);

	if (table->target.table != NULL)
	{
		if (table->lock_table.plan == NULL)
			table->lock_table.sql = compose_keys(table, psprintf("%s gepa_t", table->target.table),
												 "gepa_t", " FOR UPDATE OF gepa_t");
		run_on_missing(scope, table, &table->lock_table, piece);
	}
	if (table->returned.plan == NULL)
		table->returned.sql = compose_keys(table, source->relation, table->name,
										   psprintf(" AND (%s\n)", source->filter ? source->filter : "true"));
	run_on_missing(scope, table, &table->returned, piece);
	for (uint64 i = 0; i < SPI_processed; i++)
		there[gepa_store_bigint(i, 1) - 1] = true;
	set_apart(piece, there);
}

void
gepa_store_verify_piece(StoreJobTable *table, StoreJobPiece *piece, StoreJobResult *results,
						int n)
{
	StoreScope	scope;

	/* It may be tried again. */
	piece->nmissing += piece->nreturned;
	piece->nreturned = 0;
	note_errors(table->job, piece, results, n);
	gepa_store_enter_job_table(&scope, table, STORE_VIEW_WRITE);
	verify_results(&scope, table, results, n);
	if (piece->nmissing > 0 && !piece->cut)
		verify_missing(&scope, table, piece);
	gepa_store_leave(&scope);
}
