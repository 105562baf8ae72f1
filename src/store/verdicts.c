/*-------------------------------------------------------------------------
 *
 * verdicts.c
 *	  Stored verdicts: inserting.
 *
 * What was paid for goes to the ring (handover.c).  Without one (no preload),
 * or where it does not take it, the transaction writes it (memory.c).
 *
 * What a crash has interrupted may be inserted twice.  For a verdict that is
 * the same as once; the attempts of a failure are counted once, because the row
 * says when the last one was; and what it took is booked by the first (spend.c).
 *
 * Verdicts are inserted many by a statement: starting one costs several times what
 * a row does.  Of a call those of each version and account go together, and before
 * all failures.  Failures, which are rare, take a statement each.
 *
 * A document has a verdict or a row that says why not.  Known hole: without a
 * writer two sessions may store the one and the other at the same time, neither
 * seeing the other; the view does not show such a row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/store_spend.h"

/* Rows of a statement. */
#define INSERT_ROWS 128

/*
 * The version need not be there: the transaction that made it may not have
 * committed, and may never.  What was paid for is found again by its digests
 * when the same version is made later.
 */
static StoreStatement insert_verdicts = {
	.sql = "INSERT INTO gepa.verdict (verdict_digest, payer, judge, version, digest, label, score,"
	" from_logprobs, reasoning, input_tokens, output_tokens, cost, latency_ms,"
	" chars_seen, chars_total, thinking, votes)"
	" SELECT $1, $2::regrole, $3, $4, v.digest, v.label, v.score, v.from_logprobs, v.reasoning,"
	" v.input_tokens, v.output_tokens, v.cost::numeric, v.latency_ms, v.chars_seen, v.chars_total,"
	" v.thinking, v.votes::jsonb"
	" FROM unnest($5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) AS v (digest, label, score,"
	" from_logprobs, reasoning, input_tokens, output_tokens, cost, latency_ms, chars_seen,"
	" chars_total, thinking, votes)"
	" ON CONFLICT DO NOTHING"
};

static StoreStatement delete_error_rows = {
	.sql = "DELETE FROM gepa.verdict_error"
	" WHERE verdict_digest = $1 AND payer = $2 AND digest = ANY ($3)"
};

static StoreStatement insert_error = {
	.sql = "INSERT INTO gepa.verdict_error AS e (verdict_digest, payer, judge, version, digest,"
	" status, detail, attempts, last_at)"
	" VALUES ($1, $2::regrole, $3, $4, $5, $6, $7, $8, $9)"
	" ON CONFLICT (verdict_digest, payer, digest) DO UPDATE SET status = excluded.status,"
	" detail = excluded.detail, attempts = e.attempts + excluded.attempts,"
	" last_at = GREATEST(e.last_at, excluded.last_at)"
	" WHERE NOT $10 OR e.last_at < excluded.last_at"
};

static void
arg_account(StoreArgs *args, const StoreAccount *account)
{
	gepa_store_arg_bytes(args, account->verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_oid(args, account->payer);
}

static void
arg_version(StoreArgs *args, const StoreVerdict *v)
{
	arg_account(args, &v->account);
	gepa_store_arg_int(args, v->judge);
	gepa_store_arg_int(args, v->version);
}

/*
 * Verdicts
 */

/* A column of some rows. */
typedef struct Column
{
	Datum		values[INSERT_ROWS];
	bool		nulls[INSERT_ROWS];
} Column;

typedef enum VerdictColumn
{
	DIGEST, LABEL, SCORE, FROM_LOGPROBS, REASONING, INPUT_TOKENS, OUTPUT_TOKENS, COST,
	LATENCY_MS, CHARS_SEEN, CHARS_TOTAL, THINKING, VOTES
} VerdictColumn;
#define NCOLUMNS (VOTES + 1)

static const Oid column_types[NCOLUMNS] = {
	BYTEAOID, TEXTOID, FLOAT8OID, BOOLOID, TEXTOID, INT4OID, INT4OID, FLOAT8OID,
	FLOAT8OID, INT4OID, INT4OID, TEXTOID, TEXTOID
};

static void
put_text(Column *column, int row, const char *text)
{
	column->nulls[row] = text == NULL;
	if (text != NULL)
		column->values[row] = CStringGetTextDatum(text);
}

static void
put_row(Column *columns, int row, const StoreVerdict *v)
{
	const JudgeVerdict *verdict = &v->verdict;

	columns[DIGEST].values[row] = gepa_store_bytes_datum(v->digest, JUDGE_DIGEST_LENGTH);
	columns[LABEL].values[row] = CStringGetTextDatum(verdict->label);
	columns[SCORE].values[row] = Float8GetDatum(verdict->score);
	columns[FROM_LOGPROBS].values[row] = BoolGetDatum(verdict->from_logprobs);
	put_text(&columns[REASONING], row, verdict->reasoning);
	columns[INPUT_TOKENS].values[row] = Int32GetDatum(verdict->input_tokens);
	columns[OUTPUT_TOKENS].values[row] = Int32GetDatum(verdict->output_tokens);
	columns[COST].values[row] = Float8GetDatum(verdict->cost);
	columns[LATENCY_MS].values[row] = Float8GetDatum(verdict->latency_ms);
	columns[CHARS_SEEN].values[row] = Int32GetDatum(verdict->chars_seen);
	columns[CHARS_TOTAL].values[row] = Int32GetDatum(verdict->chars_total);
	put_text(&columns[THINKING], row, verdict->thinking);
	put_text(&columns[VOTES], row, verdict->votes);
}

/* All of one version and account. */
static void
insert_rows(StoreScope *scope, const StoreVerdict **rows, int n)
{
	Column	   *columns = palloc0(sizeof(Column) * NCOLUMNS);
	StoreArgs	args = {0};

	for (int i = 0; i < n; i++)
		put_row(columns, i, rows[i]);
	arg_version(&args, rows[0]);
	for (int i = 0; i < NCOLUMNS; i++)
		gepa_store_arg_array(&args, column_types[i], n, columns[i].values, columns[i].nulls);
	gepa_store_run(scope, &insert_verdicts, &args);
	pfree(columns);
}

static void
remove_errors(StoreScope *scope, const StoreVerdict **rows, int n)
{
	const StoreAccount *account = &rows[0]->account;
	const uint8 *digests[INSERT_ROWS];
	Datum		values[INSERT_ROWS];
	StoreArgs	args = {0};
	int			nfound;

	for (int i = 0; i < n; i++)
		digests[i] = rows[i]->digest;
	nfound = gepa_store_find_errors(account, digests, n);
	if (nfound == 0)
		return;
	for (int i = 0; i < nfound; i++)
		values[i] = gepa_store_bytes_datum(digests[i], JUDGE_DIGEST_LENGTH);
	arg_account(&args, account);
	gepa_store_arg_array(&args, BYTEAOID, nfound, values, NULL);
	gepa_store_run(scope, &delete_error_rows, &args);
}

static bool
go_together(const StoreVerdict *a, const StoreVerdict *b)
{
	return a->judge == b->judge && a->version == b->version &&
		memcmp(a->account.key, b->account.key, sizeof(a->account.key)) == 0;
}

static bool
is_stored(const StoreVerdict *v)
{
	return gepa_store_is_stored(&v->account, v->digest);
}

/*
 * The first verdict, and more of those that follow and may go with it.  A
 * transaction with one snapshot may not find out by inserting whether a row is there:
 * ON CONFLICT fails on one that the snapshot does not show.
 */
static void
insert_some(StoreScope *scope, const StoreVerdict *verdicts, int n, bool *done, bool delete_errors)
{
	const StoreVerdict *rows[INSERT_ROWS];
	int			nrows = 0;

	for (int i = 0; i < n && nrows < INSERT_ROWS; i++)
	{
		const StoreVerdict *v = &verdicts[i];

		if (done[i] || v->verdict.status != GEPA_STATUS_OK || !go_together(v, &verdicts[0]))
			continue;
		done[i] = true;
		if (!IsolationUsesXactSnapshot() || !is_stored(v))
			rows[nrows++] = v;
	}
	if (nrows == 0)
		return;
	insert_rows(scope, rows, nrows);
	if (delete_errors)
		remove_errors(scope, rows, nrows);
}

/*
 * Failures
 */

/*
 * One that arrives after its document was judged at last (it had to wait, or a
 * crash has brought it back) is not recorded.
 */
static bool
insert_failure(StoreScope *scope, const StoreVerdict *v)
{
	StoreArgs	args = {0};

	if (is_stored(v))
		return false;
	arg_version(&args, v);
	gepa_store_arg_bytes(&args, v->digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_text(&args, gepa_status_name(v->verdict.status));
	gepa_store_arg_text(&args, v->verdict.detail);
	gepa_store_arg_int(&args, v->verdict.attempts);
	gepa_store_arg_timestamp(&args, v->paid_at);
	gepa_store_arg_bool(&args, v->again);
	return gepa_store_run(scope, &insert_error, &args) > 0;
}

/* What a crash has brought back may be booked, if what came of it is there. */
static bool
is_fresh(const StoreVerdict *v)
{
	return !v->again || (v->verdict.status == GEPA_STATUS_OK && !is_stored(v));
}

void
gepa_store_insert_verdicts(const StoreVerdict *verdicts, int n, bool delete_errors)
{
	bool	   *done = palloc0(sizeof(bool) * Max(n, 1));
	bool	   *fresh = palloc(sizeof(bool) * Max(n, 1));
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	for (int i = 0; i < n; i++)
		fresh[i] = is_fresh(&verdicts[i]);
	for (int i = 0; i < n; i++)
		if (!done[i] && verdicts[i].verdict.status == GEPA_STATUS_OK)
			insert_some(&scope, &verdicts[i], n - i, &done[i], delete_errors);
	for (int i = 0; i < n; i++)
		if (!done[i] && insert_failure(&scope, &verdicts[i]))
			fresh[i] = true;
	gepa_store_book_verdicts(&scope, verdicts, fresh, n);
	gepa_store_leave(&scope);
	pfree(fresh);
	pfree(done);
}
