/*-------------------------------------------------------------------------
 *
 * exchange.c
 *	  Results of runs, out of the tables and into them.
 *
 * An imported run has candidates, frontier and scores like any other, but no
 * journal: nothing that could be resumed or replayed.  Its scores are rollouts of
 * steps below 0, one for each candidate, so that those of a journal, which may
 * follow, are the later ones.  They have no label, so that nothing is measured by
 * them: files have outputs of the best candidates only.  Where nothing is known of
 * a sample but its key it has neither label nor inputs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_internal.h"

static StoreStatement finish_run = {
	.sql = "UPDATE gepa.run SET status = 'finished', imported = $2::jsonb, rollouts = $3,"
	" best_candidate = $4, best_score = $5, started_at = created_at,"
	" finished_at = created_at WHERE run = $1"
};

static StoreStatement insert_keys = {
	.sql = "INSERT INTO gepa.sample (run, split, sample, key, inputs, digest)"
	" SELECT $1, 'val', (SELECT count(*) FROM gepa.sample WHERE run = $1 AND split = 'val')"
	" + k.place - 1, k.key, '{}', pg_catalog.sha256('')"
	" FROM unnest($2) WITH ORDINALITY k(key, place)"
};

static StoreStatement insert_candidates = {
	.sql = "INSERT INTO gepa.proposal (run, proposal, iteration, parents, component, components,"
	" candidate, accepted, reason, score, rollouts_at_discovery)"
	" SELECT $1, c.candidate, c.candidate, c.parents, c.component, c.components, c.candidate,"
	" true, 'imported', c.score, c.rollouts"
	" FROM pg_catalog.jsonb_to_recordset($2::jsonb) c(candidate int, parents int[],"
	" component text, components jsonb, score float8, rollouts int)"
};

static StoreStatement insert_scores = {
	.sql = "INSERT INTO gepa.rollout (run, step, slot, proposal, split, sample, score,"
	" output, status, input_tokens, output_tokens, cost, latency_ms)"
	" SELECT $1, -1 - x.candidate, pg_catalog.row_number() OVER"
	" (PARTITION BY x.candidate ORDER BY s.split, s.sample) - 1, x.candidate, s.split, s.sample,"
	" x.score, x.output, 'ok', 0, 0, 0, 0"
	" FROM pg_catalog.jsonb_to_recordset($2::jsonb) x(candidate int, key text, score float8,"
	" output jsonb) JOIN gepa.sample s ON s.run = $1 AND s.key = x.key"
};

static StoreStatement insert_fronts = {
	.sql = "INSERT INTO gepa.front (run, ordinal, key, score, candidates)"
	" SELECT $1, f.place - 1, x.key, x.score, x.candidates"
	" FROM pg_catalog.jsonb_array_elements($2::jsonb) WITH ORDINALITY f(front, place),"
	" pg_catalog.jsonb_to_record(f.front) x(key text, score float8, candidates int[])"
};

/*
 * Scores are by text, as in decisions.c, but where each candidate came with its own;
 * then those count that are on samples of the fronts that came with them.  An imported
 * run's components have the names that they had in its file.
 */
static StoreStatement select_result = {
	.sql = "WITH r AS (SELECT r.*, r.options ->> 'mode' = 'default' OR r.imported IS NOT NULL"
	" AS pooled, r.judge IS NOT NULL AND r.options ->> 'frontier_type' <> 'instance' AS by_objective"
	" FROM gepa.run r WHERE r.run = $1),"

	/* candidates */
	" c AS (SELECT p.candidate, p.proposal, p.components, p.parents, p.score,"
	" p.rollouts_at_discovery FROM gepa.proposal p"
	" WHERE p.run = $1 AND p.candidate IS NOT NULL),"

	/* their scores on samples that they were chosen by */
	" v AS (SELECT DISTINCT ON (c.candidate, s.key) c.candidate, s.key, s.label, o.score,"
	" o.output, o.objectives FROM r CROSS JOIN c JOIN gepa.proposal p ON p.run = $1"
	" AND p.components = c.components AND (r.imported IS NULL OR p.proposal = c.proposal)"
	" JOIN gepa.rollout o ON o.run = $1 AND o.proposal = p.proposal AND o.score IS NOT NULL"
	" AND o.split <> 'test'"
	" AND (o.split = 'val' OR r.pooled OR (r.options ->> 'shared_sets')::bool)"
	" JOIN gepa.sample s ON s.run = $1 AND s.sample = o.sample"
	" AND s.split = CASE WHEN r.pooled THEN o.split ELSE 'val' END"
	" WHERE NOT EXISTS (SELECT FROM gepa.decision d WHERE d.run = $1"
	" AND d.kind = 'held_out' AND s.key = ANY (d.samples))"
	" AND (r.imported IS NULL OR s.key IN (SELECT key FROM gepa.front WHERE run = $1))"
	" ORDER BY c.candidate, s.key, o.step DESC, o.slot),"
	" n AS (SELECT count(DISTINCT key) AS samples FROM v),"

	/* fronts */
	" f AS (SELECT b.key, pg_catalog.jsonb_agg(b.candidate ORDER BY b.candidate) AS candidates,"
	" pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(b.candidate, b.output)"
	" ORDER BY b.candidate) AS outputs"
	" FROM (SELECT v.*, max(score) OVER (PARTITION BY key) AS best FROM v) b"
	" WHERE b.score = b.best GROUP BY b.key),"

	/* means by objective: those that graders bring, or else labels */
	" g AS (SELECT v.candidate, e.key AS objective, avg(e.value::float8) AS mean"
	" FROM v, pg_catalog.jsonb_each(v.objectives) e"
	" WHERE pg_catalog.jsonb_typeof(e.value) = 'number' GROUP BY 1, 2),"
	" m AS (SELECT * FROM g UNION ALL SELECT v.candidate, v.label, avg(v.score)"
	" FROM v CROSS JOIN r WHERE r.by_objective AND NOT EXISTS (SELECT FROM g) GROUP BY 1, 2),"
	" w AS (SELECT x.objective, max(x.mean) AS mean, pg_catalog.jsonb_agg(x.candidate"
	" ORDER BY x.candidate) FILTER (WHERE x.mean = x.best) AS candidates"
	" FROM (SELECT m.*, max(mean) OVER (PARTITION BY objective) AS best FROM m) x"
	" GROUP BY x.objective)"

	" SELECT pg_catalog.jsonb_build_object("
	"'candidates', (SELECT pg_catalog.jsonb_agg((SELECT pg_catalog.jsonb_object_agg("
	"coalesce(r.imported -> 'components' ->> e.key, e.key), e.value)"
	" FROM pg_catalog.jsonb_each(c.components) e) ORDER BY c.candidate) FROM c),"
	"'parents', (SELECT pg_catalog.jsonb_agg(CASE WHEN pg_catalog.cardinality(c.parents) = 0"
	" THEN '[null]' ELSE pg_catalog.to_jsonb(c.parents) END ORDER BY c.candidate) FROM c),"
	"'val_aggregate_scores', (SELECT pg_catalog.jsonb_agg(coalesce(c.score,"
	" (SELECT avg(v.score) FROM v WHERE v.candidate = c.candidate)) ORDER BY c.candidate) FROM c),"
	"'val_subscores', (SELECT pg_catalog.jsonb_agg(coalesce((SELECT"
	" pg_catalog.jsonb_object_agg(v.key, v.score) FROM v WHERE v.candidate = c.candidate), '{}')"
	" ORDER BY c.candidate) FROM c),"
	"'best_outputs_valset', (SELECT pg_catalog.jsonb_object_agg(f.key, f.outputs) FROM f"
	" WHERE coalesce((r.imported ->> 'outputs')::bool, true)),"
	"'per_val_instance_best_candidates', (SELECT coalesce(pg_catalog.jsonb_object_agg(f.key,"
	" f.candidates), '{}') FROM f),"
	"'val_aggregate_subscores', coalesce(r.imported -> 'val_aggregate_subscores',"
	" CASE WHEN EXISTS (SELECT FROM m) THEN (SELECT pg_catalog.jsonb_agg(coalesce((SELECT"
	" pg_catalog.jsonb_object_agg(m.objective, m.mean) FROM m WHERE m.candidate = c.candidate),"
	" '{}') ORDER BY c.candidate) FROM c) END),"
	"'per_objective_best_candidates', coalesce(r.imported -> 'per_objective_best_candidates',"
	" (SELECT pg_catalog.jsonb_object_agg(w.objective, w.candidates) FROM w)),"
	"'objective_pareto_front', coalesce(r.imported -> 'objective_pareto_front',"
	" (SELECT pg_catalog.jsonb_object_agg(w.objective, w.mean) FROM w)),"
	"'discovery_eval_counts', (SELECT pg_catalog.jsonb_agg(coalesce(c.rollouts_at_discovery, 0)"
	" ORDER BY c.candidate) FROM c),"
	"'total_metric_calls', coalesce(r.imported -> 'total_metric_calls',"
	" pg_catalog.to_jsonb(r.rollouts)),"
	"'num_full_val_evals', coalesce(r.imported -> 'num_full_val_evals',"
	" (SELECT pg_catalog.to_jsonb(count(*)) FROM (SELECT FROM v GROUP BY v.candidate"
	" HAVING count(*) = (SELECT n.samples FROM n)) x)),"
	"'run_dir', r.imported -> 'run_dir',"
	"'seed', coalesce(r.imported -> 'seed', pg_catalog.to_jsonb(r.seed)),"
	"'_str_candidate_key', r.imported -> '_str_candidate_key',"
	"'best_idx', r.best_candidate,"
	"'validation_schema_version', 2) FROM r"
};

static void
run_with_json(StoreScope *scope, StoreStatement *statement, int run, const char *json)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, run);
	gepa_store_arg_text(&args, json);
	gepa_store_run(scope, statement, &args);
}

static void
finish(StoreScope *scope, int run, const StoreImport *import)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, run);
	gepa_store_arg_text(&args, import->imported);
	gepa_store_arg_int(&args, import->run->rollouts);
	gepa_store_arg_int(&args, import->run->best_candidate);
	gepa_store_arg_double(&args, import->run->best_score);
	gepa_store_run(scope, &finish_run, &args);
}

int
gepa_store_import_run(const StoreImport *import)
{
	int			run = gepa_store_create_run(import->run, "[]", import->inputs,
											import->samples, import->nsamples);
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	finish(&scope, run, import);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_texts(&args, import->nkeys, import->keys);
	gepa_store_run(&scope, &insert_keys, &args);
	run_with_json(&scope, &insert_candidates, run, import->candidates);
	run_with_json(&scope, &insert_scores, run, import->scores);
	run_with_json(&scope, &insert_fronts, run, import->fronts);
	gepa_store_leave(&scope);
	return run;
}

Datum
gepa_store_export_result(int run)
{
	StoreScope	scope;
	Datum		result;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	if (gepa_store_run_by_number(&scope, &select_result, run) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("run %d was dropped meanwhile", run),
				 errhint("Its judge was dropped with its runs.")));
	result = gepa_store_jsonb(&scope, 0, 1);
	gepa_store_leave(&scope);
	return result;
}
