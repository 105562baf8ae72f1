/*-------------------------------------------------------------------------
 *
 * verdicts.c
 *	  Stored verdicts: looking up and inserting.
 *
 * A verdict is looked for in three places, in this order: this session's
 * memory, the ring (handed over, not yet committed), the table under the
 * latest snapshot.  The order matters: an entry leaves the ring only after
 * its row is committed, so who misses it in the ring finds it in a snapshot
 * taken later.
 *
 * What was paid for goes to the ring (handover.c).  Without one (no preload),
 * or where it does not take it, the transaction writes it (memory.c).
 *
 * Known hole: a crash of the server loses what is in the ring at that moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_internal.h"

static StoreStatement select_verdict = {
	.sql = "SELECT label, score, from_logprobs, reasoning, input_tokens, output_tokens,"
	" cost::float8, latency_ms, chars_seen, chars_total"
	" FROM gepa.verdict WHERE verdict_digest = $1 AND digest = $2"
};

/*
 * The version need not be there: the transaction that made it may not have
 * committed, and may never.  What was paid for is found again by its digests
 * when the same version is made later.
 */
static StoreStatement insert_verdict = {
	.sql = "INSERT INTO gepa.verdict (verdict_digest, digest, judge, version, label, score,"
	" from_logprobs, reasoning, input_tokens, output_tokens, cost, latency_ms,"
	" chars_seen, chars_total)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::numeric, $12, $13, $14)"
	" ON CONFLICT DO NOTHING"
};

static StoreStatement delete_error = {
	.sql = "DELETE FROM gepa.verdict_error WHERE verdict_digest = $1 AND digest = $2"
};

static StoreStatement insert_error = {
	.sql = "INSERT INTO gepa.verdict_error AS e (verdict_digest, digest, judge, version,"
	" status, detail, attempts, last_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, pg_catalog.clock_timestamp())"
	" ON CONFLICT (verdict_digest, digest) DO UPDATE SET status = excluded.status,"
	" detail = excluded.detail, attempts = e.attempts + excluded.attempts,"
	" last_at = excluded.last_at"
};

/*
 * Looking up
 */

static bool
lookup_table(const uint8 *verdict_digest, const uint8 *digest, JudgeVerdict *verdict)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	bool		found;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_arg_bytes(&args, verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_bytes(&args, digest, JUDGE_DIGEST_LENGTH);
	found = gepa_store_run(&scope, &select_verdict, &args) > 0;
	if (found)
	{
		memset(verdict, 0, sizeof(*verdict));
		verdict->status = GEPA_STATUS_OK;
		verdict->label = gepa_store_text(&scope, 0, 1);
		verdict->score = gepa_store_double(0, 2);
		verdict->from_logprobs = gepa_store_bool(0, 3);
		verdict->reasoning = gepa_store_text(&scope, 0, 4);
		verdict->input_tokens = gepa_store_int(0, 5, 0);
		verdict->output_tokens = gepa_store_int(0, 6, 0);
		verdict->cost = gepa_store_double(0, 7);
		verdict->latency_ms = gepa_store_double(0, 8);
		verdict->chars_seen = gepa_store_int(0, 9, 0);
		verdict->chars_total = gepa_store_int(0, 10, 0);
	}
	gepa_store_leave(&scope);
	return found;
}

/* Not in session memory: if another has it, it is there from now on. */
static bool
look_further(const uint8 *verdict_digest, const uint8 *digest, JudgeVerdict *verdict)
{
	StoreVerdict found = {0};

	if (!gepa_store_ring_find(verdict_digest, digest, verdict) &&
		!lookup_table(verdict_digest, digest, verdict))
		return false;
	memcpy(found.verdict_digest, verdict_digest, JUDGE_DIGEST_LENGTH);
	memcpy(found.digest, digest, JUDGE_DIGEST_LENGTH);
	found.verdict = *verdict;
	gepa_store_remember_found(&found);
	return true;
}

bool
gepa_store_lookup(const JudgeSpec *spec, const uint8 *verdict_digest,
				  const uint8 *digest, JudgeVerdict *verdict, bool *cached)
{
	*cached = true;
	if (!gepa_store_recall(verdict_digest, digest, verdict, cached) &&
		!look_further(verdict_digest, digest, verdict))
		return false;

	/* The stored verdict may be another version's, with another threshold. */
	if (verdict->status == GEPA_STATUS_OK)
		verdict->positive = gepa_judge_positive(spec, verdict->label,
												verdict->score,
												verdict->from_logprobs);
	return true;
}

/*
 * Inserting
 */

static void
insert_one(StoreScope *scope, const StoreVerdict *v)
{
	const JudgeVerdict *verdict = &v->verdict;
	StoreArgs	args = {0};
	StoreArgs	key = {0};

	gepa_store_arg_bytes(&args, v->verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_bytes(&args, v->digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_int(&args, v->judge);
	gepa_store_arg_int(&args, v->version);
	if (verdict->status != GEPA_STATUS_OK)
	{
		gepa_store_arg_text(&args, gepa_status_name(verdict->status));
		gepa_store_arg_text(&args, verdict->detail);
		gepa_store_arg_int(&args, verdict->attempts);
		gepa_store_run(scope, &insert_error, &args);
		return;
	}

	gepa_store_arg_text(&args, verdict->label);
	gepa_store_arg_double(&args, verdict->score);
	gepa_store_arg_bool(&args, verdict->from_logprobs);
	gepa_store_arg_text(&args, verdict->reasoning);
	gepa_store_arg_int(&args, verdict->input_tokens);
	gepa_store_arg_int(&args, verdict->output_tokens);
	gepa_store_arg_double(&args, verdict->cost);
	gepa_store_arg_double(&args, verdict->latency_ms);
	gepa_store_arg_int(&args, verdict->chars_seen);
	gepa_store_arg_int(&args, verdict->chars_total);
	gepa_store_run(scope, &insert_verdict, &args);

	gepa_store_arg_bytes(&key, v->verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_bytes(&key, v->digest, JUDGE_DIGEST_LENGTH);
	gepa_store_run(scope, &delete_error, &key);
}

void
gepa_store_insert_verdicts(const StoreVerdict *verdicts, int n)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	for (int i = 0; i < n; i++)
		insert_one(&scope, &verdicts[i]);
	gepa_store_leave(&scope);
}
