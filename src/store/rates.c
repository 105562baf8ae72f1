/*-------------------------------------------------------------------------
 *
 * rates.c
 *	  What calls took, by stored verdicts.
 *
 * figures.c tells the planner means, and fast; an estimate before a job wants to
 * know how sure they are, and may take a statement.  The sample is drawn in the
 * same way: the rows with the lowest digests are rows by chance.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_internal.h"

static StoreStatement select_rates = {
	.sql = "SELECT pg_catalog.count(*)::int, coalesce(pg_catalog.avg(v.chars_seen), 0)::float8,"
	" coalesce(pg_catalog.avg(v.input_tokens), 0)::float8,"
	" coalesce(pg_catalog.regr_sxx(v.input_tokens, v.chars_seen), 0),"
	" coalesce(pg_catalog.regr_sxy(v.input_tokens, v.chars_seen), 0),"
	" coalesce(pg_catalog.regr_syy(v.input_tokens, v.chars_seen), 0),"
	" coalesce(pg_catalog.avg(v.output_tokens), 0)::float8,"
	" coalesce(pg_catalog.stddev_samp(v.output_tokens), 0)::float8,"
	" coalesce(pg_catalog.avg(v.latency_ms), 0),"
	" coalesce(pg_catalog.stddev_samp(v.latency_ms), 0)"
	" FROM (SELECT w.chars_seen, w.input_tokens, w.output_tokens, w.latency_ms"
	" FROM gepa.verdict w WHERE w.verdict_digest = $1 AND w.payer = $2"
	" ORDER BY w.digest LIMIT $3) v"
};

void
gepa_store_get_rates(const StoreAccount *account, StoreRates *rates)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_bytes(&args, account->verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_oid(&args, account->payer);
	gepa_store_arg_bigint(&args, STORE_MOST_RATES);
	gepa_store_run(&scope, &select_rates, &args);
	rates->input.n = gepa_store_int(0, 1, 0);
	rates->input.mean_x = gepa_store_double(0, 2);
	rates->input.mean_y = gepa_store_double(0, 3);
	rates->input.sxx = gepa_store_double(0, 4);
	rates->input.sxy = gepa_store_double(0, 5);
	rates->input.syy = gepa_store_double(0, 6);
	rates->output_tokens = gepa_store_double(0, 7);
	rates->output_deviation = gepa_store_double(0, 8);
	rates->latency_ms = gepa_store_double(0, 9);
	rates->latency_deviation = gepa_store_double(0, 10);
	gepa_store_leave(&scope);
}
