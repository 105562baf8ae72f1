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
 * says when the last one was.
 *
 * A document has a verdict or a row that says why not.  Known hole: without a
 * writer two sessions may store the one and the other at the same time, neither
 * seeing the other; the view does not show such a row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"

#include "store/store_internal.h"

/*
 * The version need not be there: the transaction that made it may not have
 * committed, and may never.  What was paid for is found again by its digests
 * when the same version is made later.
 */
static StoreStatement insert_verdict = {
	.sql = "INSERT INTO gepa.verdict (verdict_digest, payer, digest, judge, version, label, score,"
	" from_logprobs, reasoning, input_tokens, output_tokens, cost, latency_ms,"
	" chars_seen, chars_total)"
	" VALUES ($1, $2::regrole, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::numeric, $13,"
	" $14, $15)"
	" ON CONFLICT DO NOTHING"
};

static StoreStatement delete_error = {
	.sql = "DELETE FROM gepa.verdict_error"
	" WHERE verdict_digest = $1 AND payer = $2 AND digest = $3"
};

static StoreStatement insert_error = {
	.sql = "INSERT INTO gepa.verdict_error AS e (verdict_digest, payer, digest, judge, version,"
	" status, detail, attempts, last_at)"
	" VALUES ($1, $2::regrole, $3, $4, $5, $6, $7, $8, $9)"
	" ON CONFLICT (verdict_digest, payer, digest) DO UPDATE SET status = excluded.status,"
	" detail = excluded.detail, attempts = e.attempts + excluded.attempts,"
	" last_at = GREATEST(e.last_at, excluded.last_at)"
	" WHERE NOT $10 OR e.last_at < excluded.last_at"
};

/*
 * Inserting
 */

static void
arg_key(StoreArgs *args, const StoreVerdict *v)
{
	gepa_store_arg_bytes(args, v->account.verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_oid(args, v->account.payer);
	gepa_store_arg_bytes(args, v->digest, JUDGE_DIGEST_LENGTH);
}

/*
 * A failure that arrives after its document was judged at last (it had to wait,
 * or a crash has brought it back) is not recorded.  And a transaction with one
 * snapshot may not find out by inserting: ON CONFLICT fails on a row which is
 * there and which the snapshot does not show.
 */
static bool
comes_late(const StoreVerdict *v)
{
	return (v->verdict.status != GEPA_STATUS_OK || IsolationUsesXactSnapshot()) &&
		gepa_store_is_stored(&v->account, v->digest);
}

static void
insert_failure(StoreScope *scope, const StoreVerdict *v, StoreArgs *args)
{
	gepa_store_arg_text(args, gepa_status_name(v->verdict.status));
	gepa_store_arg_text(args, v->verdict.detail);
	gepa_store_arg_int(args, v->verdict.attempts);
	gepa_store_arg_timestamp(args, v->paid_at);
	gepa_store_arg_bool(args, v->again);
	gepa_store_run(scope, &insert_error, args);
}

static void
insert_success(StoreScope *scope, const StoreVerdict *v, StoreArgs *args)
{
	const JudgeVerdict *verdict = &v->verdict;

	gepa_store_arg_text(args, verdict->label);
	gepa_store_arg_double(args, verdict->score);
	gepa_store_arg_bool(args, verdict->from_logprobs);
	gepa_store_arg_text(args, verdict->reasoning);
	gepa_store_arg_int(args, verdict->input_tokens);
	gepa_store_arg_int(args, verdict->output_tokens);
	gepa_store_arg_double(args, verdict->cost);
	gepa_store_arg_double(args, verdict->latency_ms);
	gepa_store_arg_int(args, verdict->chars_seen);
	gepa_store_arg_int(args, verdict->chars_total);
	gepa_store_run(scope, &insert_verdict, args);
}

static void
insert_one(StoreScope *scope, const StoreVerdict *v, bool delete_errors)
{
	StoreArgs	args = {0};
	StoreArgs	key = {0};

	if (comes_late(v))
		return;
	arg_key(&args, v);
	gepa_store_arg_int(&args, v->judge);
	gepa_store_arg_int(&args, v->version);
	if (v->verdict.status != GEPA_STATUS_OK)
	{
		insert_failure(scope, v, &args);
		return;
	}
	insert_success(scope, v, &args);
	if (!delete_errors || !gepa_store_has_error(&v->account, v->digest))
		return;
	arg_key(&key, v);
	gepa_store_run(scope, &delete_error, &key);
}

void
gepa_store_insert_verdicts(const StoreVerdict *verdicts, int n, bool delete_errors)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	for (int i = 0; i < n; i++)
		insert_one(&scope, &verdicts[i], delete_errors);
	gepa_store_leave(&scope);
}
