/*-------------------------------------------------------------------------
 *
 * runs.c
 *	  Runs and the samples copied into them.
 *
 * The state machine of a run is in docs/workers.md; every move goes through
 * gepa_store_move_run(), which changes nothing unless the run is in one of
 * the states it may be moved from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "store/store_internal.h"

static const char *const status_names[] = {
	"queued", "running", "stopping", "stopped", "finished", "failed"
};

static StoreStatement insert_run = {
	.sql = "INSERT INTO gepa.run (judge, seed_version, dataset, owner, lm, lm_identity,"
	" reflection_lm, budget, seed, options, notes, proposer_owner, imported)"
	" VALUES ($1, $2, $3, $4::regrole, $5, $6, $7, $8, $9, $10::jsonb, $11::jsonb,"
	" nullif($12, 0)::regrole, CASE WHEN $13 THEN '{}'::jsonb END)"
	" RETURNING run"
};

static StoreStatement insert_sample = {
	.sql = "INSERT INTO gepa.sample (run, split, sample, key, group_key, label, feedback,"
	" inputs, digest) VALUES ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8::jsonb, $9)"
};

static StoreStatement select_run = {
	.sql = "SELECT r.judge, j.name, r.seed_version, r.dataset, r.owner::oid, r.lm,"
	" r.lm_identity, r.reflection_lm, r.budget, r.seed, r.options::text, r.status,"
	" r.reason, r.iteration, r.rollouts, r.best_candidate,"
	" coalesce(r.best_score, 'NaN'),"
	" r.xmin::text, (extract(epoch FROM r.created_at) * 1000000)::int8,"
	" r.options ->> 'mode' = 'reference', coalesce(r.held_out_n, 0),"
	" coalesce(r.held_out_seed, 'NaN'), coalesce(r.held_out, 'NaN'),"
	" coalesce(r.gain, 'NaN'), coalesce(r.gain_low, 'NaN'), coalesce(r.gain_high, 'NaN'),"
	" coalesce(r.proposer_owner::oid, 0),"
	" r.imported IS NOT NULL"
	" FROM gepa.run r LEFT JOIN gepa.judge j ON j.judge = r.judge WHERE r.run = $1"
};

static StoreStatement select_born = {
	.sql = "SELECT 1 FROM gepa.run WHERE run = $1"
	" AND (extract(epoch FROM created_at) * 1000000)::int8 = $2"
};

static StoreStatement update_status = {
	.sql = "UPDATE gepa.run SET status = $2, reason = $3,"
	" started_at = CASE WHEN $2 = 'running'"
	" THEN coalesce(started_at, pg_catalog.clock_timestamp()) ELSE started_at END,"
	" finished_at = CASE WHEN $2 IN ('stopped', 'finished', 'failed')"
	" THEN pg_catalog.clock_timestamp() END"
	" WHERE run = $1 AND status = ANY ($4)"
};

static StoreStatement select_live = {
	.sql = "SELECT run, owner::oid FROM gepa.run"
	" WHERE status IN ('queued', 'running', 'stopping') ORDER BY run"
};

static StoreStatement select_latest = {
	.sql = "SELECT r.run FROM gepa.run r JOIN gepa.judge j ON j.judge = r.judge"
	" LEFT JOIN gepa.judge_version v ON v.judge = j.judge"
	" AND v.version = j.current_version"
	" WHERE r.judge = $1 AND ($2 IS NULL OR r.dataset = $2)"
	" AND r.best_candidate IS NOT NULL"
	" AND (r.run IS NOT DISTINCT FROM v.run"
	" OR NOT EXISTS (SELECT FROM gepa.sweep_point p WHERE p.run = r.run)"
	" AND (r.imported IS NULL OR EXISTS (SELECT FROM gepa.sample s"
	" WHERE s.run = r.run AND s.split = 'test')))"
	" AND r.status IN ('stopped', 'finished', 'failed')"
	" ORDER BY (r.run IS NOT DISTINCT FROM v.run) DESC, r.run DESC LIMIT 1"
};

static StoreStatement select_samples = {
	.sql = "SELECT sample, key, group_key, coalesce(label, ''), feedback, inputs::text, digest"
	" FROM gepa.sample WHERE run = $1 AND split = $2 ORDER BY sample"
};

static StoreStatement select_held_out = {
	.sql = "SELECT s.sample, s.key, s.group_key, coalesce(s.label, ''), s.feedback, s.inputs::text, s.digest"
	" FROM gepa.sample s JOIN gepa.decision d USING (run)"
	" WHERE s.run = $1 AND d.kind = 'held_out' AND s.split = $2 AND s.key = ANY (d.samples)"
	" ORDER BY s.sample"
};

const char *
gepa_store_run_status_name(StoreRunStatus status)
{
	Assert((int) status >= 0 && status < lengthof(status_names));
	return status_names[status];
}

bool
gepa_store_run_has_ended(StoreRunStatus status)
{
	return status == STORE_RUN_STOPPED || status == STORE_RUN_FINISHED ||
		status == STORE_RUN_FAILED;
}

/*
 * Creating
 */

static void
put_sample(StoreScope *scope, int run, const StoreSample *sample, char *const *names)
{
	StoreArgs	args = {0};
	StringInfoData inputs;

	initStringInfo(&inputs);
	appendStringInfoChar(&inputs, '{');
	for (int i = 0; i < sample->document.nfields; i++)
	{
		appendStringInfoString(&inputs, i > 0 ? "," : "");
		gepa_json_quote(&inputs, names[i]);
		appendStringInfoChar(&inputs, ':');
		gepa_json_quote(&inputs, sample->document.fields[i]);
	}
	appendStringInfoChar(&inputs, '}');

	gepa_store_arg_int(&args, run);
	gepa_store_arg_text(&args, gepa_store_split_name(sample->split));
	gepa_store_arg_int(&args, sample->sample);
	gepa_store_arg_text(&args, sample->key);
	gepa_store_arg_text(&args, sample->group_key);
	gepa_store_arg_text(&args, sample->label);
	gepa_store_arg_text(&args, sample->feedback);
	gepa_store_arg_text(&args, inputs.data);
	gepa_store_arg_bytes(&args, sample->digest, JUDGE_DIGEST_LENGTH);
	gepa_store_run(scope, &insert_sample, &args);
	pfree(inputs.data);
}

int
gepa_store_create_run(const StoreRun *run, const char *notes, char *const *inputs,
					  const StoreSample *samples, int nsamples)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			id;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int_or_null(&args, run->judge, 0);
	gepa_store_arg_int_or_null(&args, run->seed_version, 0);
	gepa_store_arg_text(&args, run->dataset);
	gepa_store_arg_oid(&args, run->owner);
	gepa_store_arg_text(&args, run->lm);
	gepa_store_arg_text(&args, run->lm_identity);
	gepa_store_arg_text(&args, run->reflection_lm);
	gepa_store_arg_int(&args, run->budget);
	gepa_store_arg_bigint(&args, run->seed);
	gepa_store_arg_text(&args, run->options);
	gepa_store_arg_text(&args, notes);
	gepa_store_arg_oid(&args, run->proposer_owner);
	gepa_store_arg_bool(&args, run->imported);
	gepa_store_run(&scope, &insert_run, &args);
	id = gepa_store_int(0, 1, 0);
	if (run->text != NULL)
	{
		gepa_store_make_fence(&scope);
		gepa_store_put_text(&scope, id, run->text);
	}
	for (int i = 0; i < nsamples; i++)
		put_sample(&scope, id, &samples[i], inputs);
	gepa_store_leave(&scope);
	return id;
}

/*
 * Reading and moving
 */

static void
read_held_out(EngineHeldOut *held_out, int candidate)
{
	held_out->candidate = candidate;
	held_out->n = gepa_store_int(0, 21, 0);
	held_out->seed_score = gepa_store_double(0, 22);
	held_out->score = gepa_store_double(0, 23);
	held_out->gain = gepa_store_double(0, 24);
	held_out->low = gepa_store_double(0, 25);
	held_out->high = gepa_store_double(0, 26);
	held_out->search_score = NAN;
}

StoreRun *
gepa_store_get_run(int run)
{
	StoreScope	scope;
	StoreRun   *result = NULL;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	if (gepa_store_run_by_number(&scope, &select_run, run) > 0)
	{
		result = MemoryContextAllocZero(scope.caller, sizeof(StoreRun));
		result->run = run;
		result->judge = gepa_store_int(0, 1, 0);
		result->judge_name = gepa_store_text(&scope, 0, 2);
		result->seed_version = gepa_store_int(0, 3, 0);
		result->dataset = gepa_store_text(&scope, 0, 4);
		result->owner = gepa_store_oid(0, 5);
		result->lm = gepa_store_text(&scope, 0, 6);
		result->lm_identity = gepa_store_text(&scope, 0, 7);
		result->reflection_lm = gepa_store_text(&scope, 0, 8);
		result->budget = gepa_store_int(0, 9, 0);
		result->seed = gepa_store_bigint(0, 10);
		result->options = gepa_store_text(&scope, 0, 11);
		result->status = (StoreRunStatus) gepa_store_parse_word(status_names,
																lengthof(status_names),
																gepa_store_text(&scope, 0, 12));
		result->reason = gepa_store_text(&scope, 0, 13);
		result->iteration = gepa_store_int(0, 14, 0);
		result->rollouts = gepa_store_int(0, 15, 0);
		result->best_candidate = gepa_store_int(0, 16, -1);
		result->best_score = gepa_store_double(0, 17);
		result->mine = gepa_store_is_mine(&scope, 0, 18);
		result->born = gepa_store_bigint(0, 19);
		result->mode = gepa_store_bool(0, 20) ? ENGINE_MODE_REFERENCE : ENGINE_MODE_DEFAULT;
		read_held_out(&result->held_out, result->best_candidate);
		result->proposer_owner = gepa_store_oid(0, 27);
		result->imported = gepa_store_bool(0, 28);
		if (result->judge == 0)
			result->text = gepa_store_get_text(&scope, run);
	}
	gepa_store_leave(&scope);
	return result;
}

bool
gepa_store_run_exists(const StoreRun *run)
{
	return gepa_store_still_exists(&select_born, run->run, run->born);
}

bool
gepa_store_move_run(int run, int from_mask, StoreRunStatus to, const char *reason)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	bool		moved;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_text(&args, gepa_store_run_status_name(to));
	gepa_store_arg_text(&args, reason);
	gepa_store_arg_words(&args, status_names, lengthof(status_names), from_mask);
	moved = gepa_store_run(&scope, &update_status, &args) > 0;
	gepa_store_leave(&scope);
	return moved;
}

int
gepa_store_live_runs(int **runs, Oid **owners)
{
	return gepa_store_list_owned(&select_live, runs, owners);
}

int
gepa_store_latest_run(int judge, const char *dataset)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			run = 0;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_int(&args, judge);
	gepa_store_arg_text(&args, dataset);
	if (gepa_store_run(&scope, &select_latest, &args) > 0)
		run = gepa_store_int(0, 1, 0);
	gepa_store_leave(&scope);
	return run;
}

/*
 * Samples
 */

static void
read_inputs(const JudgeSpec *spec, const char *text, JudgeDocument *document)
{
	GepaJson   *inputs = gepa_json_parse(text, strlen(text), NULL);
	const char **fields = palloc(sizeof(char *) * spec->ninputs);

	for (int i = 0; i < spec->ninputs; i++)
	{
		fields[i] = inputs ? gepa_json_get_string(inputs, spec->inputs[i]) : NULL;
		if (fields[i] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("a sample of the run lacks input field \"%s\"", spec->inputs[i]),
					 errhint("Start a new run.")));
	}
	document->nfields = spec->ninputs;
	document->fields = fields;
}

static StoreSample *
get_samples(StoreStatement *statement, int run, const JudgeSpec *spec, StoreSplit split,
			int *nsamples)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreSample *samples;
	MemoryContext old;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_text(&args, gepa_store_split_name(split));
	*nsamples = (int) gepa_store_run(&scope, statement, &args);
	old = MemoryContextSwitchTo(scope.caller);
	samples = palloc0(sizeof(StoreSample) * Max(*nsamples, 1));
	for (int i = 0; i < *nsamples; i++)
	{
		samples[i].split = split;
		samples[i].sample = gepa_store_int(i, 1, 0);
		samples[i].key = gepa_store_text(&scope, i, 2);
		samples[i].group_key = gepa_store_text(&scope, i, 3);
		samples[i].label = gepa_store_text(&scope, i, 4);
		samples[i].feedback = gepa_store_text(&scope, i, 5);
		read_inputs(spec, gepa_store_text(&scope, i, 6), &samples[i].document);
		gepa_store_digest(i, 7, samples[i].digest, JUDGE_DIGEST_LENGTH);
	}
	MemoryContextSwitchTo(old);
	gepa_store_leave(&scope);
	return samples;
}

StoreSample *
gepa_store_get_samples(int run, const JudgeSpec *spec, StoreSplit split, int *nsamples)
{
	return get_samples(&select_samples, run, spec, split, nsamples);
}

StoreSample *
gepa_store_get_held_out(int run, const JudgeSpec *spec, StoreSplit split, int *nsamples)
{
	return get_samples(&select_held_out, run, spec, split, nsamples);
}
