/*-------------------------------------------------------------------------
 *
 * decisions.c
 *	  What a run decides by comparing candidates, and what a candidate is chosen by.
 *
 * Decisions are written by the run worker with the observation that caused
 * them; the candidates' scores, estimates that each decision changes, follow
 * them.  Samples that were held out are known from the decision of that kind:
 * where there are no test rows they are training and validation samples, and
 * nothing may be chosen by them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"

#include "store/store_internal.h"

static const char *const kind_names[] = {"seed", "generation", "run_off", "winner", "held_out"};

static StoreStatement insert_decision = {
	.sql = "INSERT INTO gepa.decision (run, decision, iteration, kind, led, leads, compared,"
	" samples, reason) VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9)"
	" ON CONFLICT DO NOTHING"
};

static StoreStatement find_decision = {
	.sql = "SELECT 1 FROM gepa.decision WHERE run = $1 AND decision = $2"
	" AND (iteration, kind, led, leads, compared, samples, reason)"
	" IS NOT DISTINCT FROM ($3, $4, $5, $6, $7::jsonb, $8, $9)"
};

static StoreStatement count_decisions = {
	.sql = "SELECT count(*)::int FROM gepa.decision WHERE run = $1"
};

static StoreStatement update_candidates = {
	.sql = "UPDATE gepa.proposal p SET score = nullif(s.score, 'NaN')"
	" FROM unnest($2) WITH ORDINALITY s(score, place)"
	" WHERE p.run = $1 AND p.candidate = s.place - 1"
	" AND p.score IS DISTINCT FROM nullif(s.score, 'NaN')"
};

static StoreStatement update_held_out = {
	.sql = "UPDATE gepa.run SET held_out_n = $2, held_out_seed = nullif($3, 'NaN'),"
	" held_out = nullif($4, 'NaN'), gain = nullif($5, 'NaN'), gain_low = nullif($6, 'NaN'),"
	" gain_high = nullif($7, 'NaN') WHERE run = $1"
};

/*
 * By text, because the cache asks nothing twice of equal texts; the latest of
 * each sample, because a merged candidate was tried on some before.  With
 * shared sets the cache knows the minibatches too.  Of an imported run scores
 * may be all that is known, and its fronts are on the samples that chose.
 */
static StoreStatement select_outcomes = {
	.sql = "SELECT DISTINCT ON (s.split, o.sample) o.status = 'ok', s.label, o.label,"
	" coalesce(o.judge_score, 0), o.from_logprobs"
	" FROM gepa.proposal c"
	" JOIN gepa.run r ON r.run = c.run"
	" CROSS JOIN LATERAL (SELECT r.options ->> 'mode' = 'default' OR r.imported IS NOT NULL"
	" AS pooled) m"
	" JOIN gepa.proposal p ON p.run = c.run AND p.components = c.components"
	" JOIN gepa.rollout o ON o.run = p.run AND o.proposal = p.proposal"
	" AND o.score IS NOT NULL AND (o.label IS NOT NULL OR o.status <> 'ok')"
	" AND o.split <> 'test'"
	" AND (o.split = 'val' OR m.pooled OR (r.options ->> 'shared_sets')::bool)"
	" JOIN gepa.sample s ON s.run = o.run AND s.sample = o.sample"
	" AND s.split = CASE WHEN m.pooled THEN o.split ELSE 'val' END"
	" WHERE c.run = $1 AND c.candidate = $2 AND s.label IS NOT NULL"
	" AND (r.imported IS NULL OR s.key IN (SELECT key FROM gepa.front WHERE run = $1))"
	" AND NOT EXISTS (SELECT FROM gepa.decision d"
	" WHERE d.run = r.run AND d.kind = 'held_out' AND s.key = ANY (d.samples))"
	" ORDER BY s.split, o.sample, o.step DESC, o.slot"
};

/*
 * Decisions
 */

/* JSON has no NaN. */
static void
append_number(StringInfo buf, const char *key, double value)
{
	appendStringInfo(buf, ",\"%s\":%s", key,
					 isfinite(value) ? double_to_shortest_decimal(value) : "null");
}

static char *
compared_json(const EngineDecision *decision)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (int i = 0; i < decision->ncompared; i++)
	{
		const EngineCompared *compared = &decision->compared[i];

		appendStringInfo(&buf, "%s{\"candidate\":%d,\"rollouts\":%d", i > 0 ? "," : "",
						 compared->candidate, compared->rollouts);
		append_number(&buf, "estimate", compared->estimate);
		append_number(&buf, "sd", compared->sd);
		append_number(&buf, "chance", compared->chance);
		appendStringInfoChar(&buf, '}');
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

static void
add_decision(StoreArgs *args, int run, const StoreDecision *decision)
{
	const EngineDecision *what = decision->what;

	Assert((int) what->kind >= 0 && what->kind < lengthof(kind_names));
	gepa_store_arg_int(args, run);
	gepa_store_arg_int(args, decision->decision);
	gepa_store_arg_int(args, decision->iteration);
	gepa_store_arg_text(args, kind_names[what->kind]);
	gepa_store_arg_int_or_null(args, what->led, -1);
	gepa_store_arg_int(args, what->leads);
	gepa_store_arg_text(args, compared_json(what));
	gepa_store_arg_texts(args, what->nsamples, decision->samples);
	gepa_store_arg_text(args, decision->reason);
}

void
gepa_store_put_decision(int run, const StoreDecision *decision)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	add_decision(&args, run, decision);
	gepa_store_run(&scope, &insert_decision, &args);
	gepa_store_leave(&scope);
}

bool
gepa_store_has_decision(int run, const StoreDecision *decision)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	bool		found;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	add_decision(&args, run, decision);
	found = gepa_store_run(&scope, &find_decision, &args) > 0;
	gepa_store_leave(&scope);
	return found;
}

int
gepa_store_count_decisions(int run)
{
	StoreScope	scope;
	int			n = 0;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	if (gepa_store_run_by_number(&scope, &count_decisions, run) > 0)
		n = gepa_store_int(0, 1, 0);
	gepa_store_leave(&scope);
	return n;
}

/*
 * Figures that they change
 */

void
gepa_store_put_candidate_scores(int run, const double *scores, int n)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_doubles(&args, n, scores);
	gepa_store_run(&scope, &update_candidates, &args);
	gepa_store_leave(&scope);
}

void
gepa_store_put_held_out(int run, const EngineHeldOut *held_out)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, held_out->n);
	gepa_store_arg_double(&args, held_out->seed_score);
	gepa_store_arg_double(&args, held_out->score);
	gepa_store_arg_double(&args, held_out->gain);
	gepa_store_arg_double(&args, held_out->low);
	gepa_store_arg_double(&args, held_out->high);
	gepa_store_run(&scope, &update_held_out, &args);
	gepa_store_leave(&scope);
}

/*
 * What a candidate was chosen by
 */

JudgeOutcome *
gepa_store_candidate_outcomes(int run, const JudgeSpec *spec, int candidate, int *n)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	JudgeOutcome *outcomes;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, candidate);
	*n = (int) gepa_store_run(&scope, &select_outcomes, &args);
	outcomes = MemoryContextAllocZero(scope.caller, sizeof(JudgeOutcome) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		int			expected = gepa_judge_label_index(spec, gepa_store_text(&scope, i, 2));
		char	   *label = gepa_store_text(&scope, i, 3);

		outcomes[i].decided = gepa_store_bool(i, 1);
		outcomes[i].expected = expected >= 0 && spec->positive[expected];
		outcomes[i].score = gepa_store_double(i, 4);
		outcomes[i].scored = gepa_store_bool(i, 5);
		if (outcomes[i].decided)
			outcomes[i].positive = gepa_judge_positive(spec, label, outcomes[i].score,
													   outcomes[i].scored);
	}
	gepa_store_leave(&scope);
	return outcomes;
}
