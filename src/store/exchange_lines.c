/*-------------------------------------------------------------------------
 *
 * exchange_lines.c
 *	  Labels and rollouts as rows of JSON, out of the tables and into them.
 *
 * Labels are in a table of the user's, which is read and written as that user, by
 * statements that are composed here of quoted names.  Rollouts are ours.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "store/store_read.h"

/*
 * Labels
 */

/* A member of the exported object, unless the dataset has no such column. */
static void
append_member(StringInfo buf, const char *name, const char *column)
{
	if (column != NULL)
		appendStringInfo(buf, ", %s, s.%s::pg_catalog.text", quote_literal_cstr(name),
						 quote_identifier(column));
}

static char *
compose_export(const StoreDataset *dataset)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT pg_catalog.jsonb_build_object('key', s.%s::pg_catalog.text,"
					 " 'inputs', pg_catalog.jsonb_build_object(", quote_identifier(dataset->key));
	for (int i = 0; i < dataset->ninputs; i++)
		appendStringInfo(&buf, "%s%s, s.%s::pg_catalog.text", i > 0 ? ", " : "",
						 quote_literal_cstr(dataset->inputs[i]),
						 quote_identifier(dataset->inputs[i]));
	appendStringInfoChar(&buf, ')');
	append_member(&buf, "label", dataset->label);
	append_member(&buf, "feedback", dataset->feedback);
	append_member(&buf, "split", dataset->split);
	append_member(&buf, "group", dataset->group_by);
	appendStringInfoChar(&buf, ')');
	gepa_store_append_source(&buf, dataset);
	appendStringInfoString(&buf, gepa_store_order_by_key(dataset));
	return buf.data;
}

/* The first column of the last result. */
static Datum *
take_rows(StoreScope *scope, int n)
{
	Datum	   *rows = MemoryContextAlloc(scope->caller, sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		rows[i] = gepa_store_jsonb(scope, i, 1);
	return rows;
}

Datum *
gepa_store_export_labels(const StoreDataset *dataset, int *n)
{
	StoreScope	scope;
	Datum	   *rows;

	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, dataset->owner, dataset->search_path);
	gepa_store_show_bytes();
	if (SPI_execute(compose_export(dataset), true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the source of dataset \"%s\"", dataset->name);
	*n = (int) SPI_processed;
	rows = take_rows(&scope, *n);
	gepa_store_leave(&scope);
	return rows;
}

/* All columns of a dataset but the key; with NULLs for what it does not have. */
static int
list_columns(const StoreDataset *dataset, const char **columns)
{
	const char *optional[] = {
		dataset->label, dataset->feedback, dataset->split, dataset->group_by
	};
	int			n = 0;

	for (int i = 0; i < dataset->ninputs; i++)
		columns[n++] = dataset->inputs[i];
	for (int i = 0; i < lengthof(optional); i++)
		if (optional[i] != NULL)
			columns[n++] = optional[i];
	return n;
}

/* Columns may have any type that a text can become. */
static char *
compose_import(const StoreDataset *dataset)
{
	const char **columns = palloc(sizeof(char *) * (dataset->ninputs + 4));
	int			n = list_columns(dataset, columns);
	const char *key = quote_identifier(dataset->key);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "WITH given AS (SELECT * FROM pg_catalog.jsonb_populate_recordset("
					 "NULL::%s, $1)), changed AS (UPDATE %s t SET ", dataset->source,
					 dataset->source);
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, "%s%s = g.%s", i > 0 ? ", " : "", quote_identifier(columns[i]),
						 quote_identifier(columns[i]));
	appendStringInfo(&buf, " FROM given g WHERE t.%s = g.%s) INSERT INTO %s (%s", key, key,
					 dataset->source, key);
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, ", %s", quote_identifier(columns[i]));
	appendStringInfo(&buf, ") SELECT g.%s", key);
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, ", g.%s", quote_identifier(columns[i]));
	appendStringInfo(&buf, " FROM given g WHERE NOT EXISTS (SELECT FROM %s t WHERE t.%s = g.%s)",
					 dataset->source, key, key);
	return buf.data;
}

void
gepa_store_import_labels(const StoreDataset *dataset, const char *rows)
{
	Oid			type = JSONBOID;
	Datum		value = DirectFunctionCall1(jsonb_in, CStringGetDatum(rows));
	StoreScope	scope;

	gepa_store_enter_as(&scope, STORE_VIEW_WRITE, GetUserId(), dataset->search_path);
	if (SPI_execute_with_args(compose_import(dataset), 1, &type, &value, NULL, false, 0) !=
		SPI_OK_INSERT)
		elog(ERROR, "could not write into the source of dataset \"%s\"", dataset->name);
	gepa_store_leave(&scope);
}

void
gepa_store_create_source(const StoreDataset *dataset)
{
	const char **columns = palloc(sizeof(char *) * (dataset->ninputs + 4));
	int			n = list_columns(dataset, columns);
	StringInfoData buf;
	StoreScope	scope;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TABLE %s (%s pg_catalog.text PRIMARY KEY",
					 dataset->source, quote_identifier(dataset->key));
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, ", %s pg_catalog.text", quote_identifier(columns[i]));
	appendStringInfoChar(&buf, ')');
	gepa_store_enter_as(&scope, STORE_VIEW_WRITE, GetUserId(), dataset->search_path);
	if (SPI_execute(buf.data, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not create the source of dataset \"%s\"", dataset->name);
	gepa_store_leave(&scope);
}

/*
 * Rollouts
 */

static StoreStatement select_rollouts = {
	.sql = "SELECT pg_catalog.jsonb_build_object('candidate', p.candidate, 'sample', s.key,"
	" 'split', o.split, 'step', o.step, 'slot', o.slot, 'score', o.score,"
	" 'feedback', o.feedback, 'label', o.label, 'judge_score', o.judge_score,"
	" 'from_logprobs', o.from_logprobs, 'output', o.output, 'status', o.status,"
	" 'input_tokens', o.input_tokens, 'output_tokens', o.output_tokens, 'cost', o.cost,"
	" 'latency_ms', o.latency_ms, 'created_at', o.created_at, 'objectives', o.objectives,"
	" 'graders', o.graders, 'trace', o.trace, 'grader_calls', o.grader_calls,"
	" 'grader_input_tokens', o.grader_input_tokens,"
	" 'grader_output_tokens', o.grader_output_tokens, 'grader_cost', o.grader_cost)"
	" || CASE WHEN p.candidate IS NULL"
	" THEN pg_catalog.jsonb_build_object('components', p.components) ELSE '{}' END"
	" FROM gepa.rollout o JOIN gepa.proposal p ON p.run = o.run AND p.proposal = o.proposal"
	" JOIN gepa.sample s ON s.run = o.run AND s.split = o.split AND s.sample = o.sample"
	" WHERE o.run = $1 ORDER BY o.step, o.slot"
};

#define LINES \
	"pg_catalog.jsonb_array_elements($2::jsonb) WITH ORDINALITY e(line, place)," \
	" pg_catalog.jsonb_to_record(e.line) x(candidate int, components jsonb, sample text," \
	" split text, step int, slot int, score float8, feedback text, label text," \
	" judge_score float8, from_logprobs bool, output jsonb, status text, input_tokens int," \
	" output_tokens int, cost numeric, latency_ms float8, created_at timestamptz," \
	" objectives jsonb, graders jsonb, trace jsonb, grader_calls int," \
	" grader_input_tokens int, grader_output_tokens int, grader_cost numeric)"

static StoreStatement find_unknown = {
	.sql = "SELECT x.sample FROM gepa.run r, " LINES " WHERE r.run = $1 AND r.dataset IS NOT NULL"
	" AND NOT EXISTS (SELECT FROM gepa.sample s WHERE s.run = $1 AND s.key = x.sample)"
	" ORDER BY e.place LIMIT 1"
};

static StoreStatement add_samples = {
	.sql = "INSERT INTO gepa.sample (run, split, sample, key, inputs, digest)"
	" SELECT $1, n.split, (SELECT count(*) FROM gepa.sample s WHERE s.run = $1"
	" AND s.split = n.split) + pg_catalog.row_number() OVER (PARTITION BY n.split"
	" ORDER BY n.place) - 1, n.sample, '{}', pg_catalog.sha256('')"
	" FROM (SELECT DISTINCT ON (x.sample) x.sample, x.split, e.place FROM " LINES
	" WHERE NOT EXISTS (SELECT FROM gepa.sample s WHERE s.run = $1 AND s.key = x.sample)"
	" ORDER BY x.sample, e.place) n"
};

/* Texts that did not enter the pool, each once. */
static StoreStatement add_texts = {
	.sql = "INSERT INTO gepa.proposal (run, proposal, iteration, parents, components, accepted,"
	" reason) SELECT $1, (SELECT max(p.proposal) FROM gepa.proposal p WHERE p.run = $1)"
	" + pg_catalog.row_number() OVER (ORDER BY n.place), 0, '{}', n.components, false, 'imported'"
	" FROM (SELECT x.components, min(e.place) AS place FROM " LINES
	" WHERE x.candidate IS NULL GROUP BY x.components) n"
	" WHERE NOT EXISTS (SELECT FROM gepa.proposal p WHERE p.run = $1 AND p.candidate IS NULL"
	" AND p.components = n.components)"
};

/* The scores that came with the result are steps below 0. */
static StoreStatement delete_scores = {
	.sql = "DELETE FROM gepa.rollout o USING gepa.sample s, " LINES
	" WHERE o.run = $1 AND o.step < 0 AND s.run = $1 AND s.split = o.split"
	" AND s.sample = o.sample AND s.key = x.sample AND x.candidate = o.proposal"
};

static StoreStatement insert_lines = {
	.sql = "INSERT INTO gepa.rollout (run, step, slot, proposal, split, sample, score, feedback,"
	" label, judge_score, from_logprobs, output, status, input_tokens, output_tokens, cost,"
	" latency_ms, created_at, objectives, graders, trace, grader_calls, grader_input_tokens,"
	" grader_output_tokens, grader_cost) SELECT $1, x.step, x.slot, p.proposal, s.split, s.sample, x.score,"
	" x.feedback, x.label, x.judge_score, coalesce(x.from_logprobs, false), x.output, x.status,"
	" coalesce(x.input_tokens, 0), coalesce(x.output_tokens, 0), coalesce(x.cost, 0),"
	" coalesce(x.latency_ms, 0), coalesce(x.created_at, now()), x.objectives, x.graders,"
	" x.trace, coalesce(x.grader_calls, 0), coalesce(x.grader_input_tokens, 0),"
	" coalesce(x.grader_output_tokens, 0), coalesce(x.grader_cost, 0) FROM " LINES
	" JOIN gepa.proposal p ON p.run = $1 AND (p.candidate = x.candidate"
	" OR x.candidate IS NULL AND p.candidate IS NULL AND p.components = x.components)"
	" JOIN gepa.sample s ON s.run = $1 AND s.key = x.sample ON CONFLICT DO NOTHING"
};

static StoreStatement add_up = {
	.sql = "UPDATE gepa.run SET input_tokens = o.input_tokens, output_tokens = o.output_tokens,"
	" cost = o.cost, grader_calls = o.grader_calls, grader_cost = o.grader_cost"
	" FROM (SELECT sum(input_tokens + grader_input_tokens) AS input_tokens,"
	" sum(output_tokens + grader_output_tokens) AS output_tokens, sum(cost + grader_cost) AS cost,"
	" sum(grader_calls) AS grader_calls, sum(grader_cost) AS grader_cost"
	" FROM gepa.rollout WHERE run = $1) o WHERE run = $1"
};

Datum *
gepa_store_export_rollouts(int run, int *n)
{
	StoreScope	scope;
	Datum	   *rows;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	*n = (int) gepa_store_run_by_number(&scope, &select_rollouts, run);
	rows = take_rows(&scope, *n);
	gepa_store_leave(&scope);
	return rows;
}

static uint64
run_on_lines(StoreScope *scope, StoreStatement *statement, int run, const char *lines)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, run);
	gepa_store_arg_text(&args, lines);
	return gepa_store_run(scope, statement, &args);
}

int64
gepa_store_import_rollouts(int run, const char *lines, char **unknown)
{
	StoreScope	scope;
	int64		n = 0;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	*unknown = NULL;
	if (run_on_lines(&scope, &find_unknown, run, lines) > 0)
		*unknown = gepa_store_text(&scope, 0, 1);
	else
	{
		run_on_lines(&scope, &add_samples, run, lines);
		run_on_lines(&scope, &add_texts, run, lines);
		run_on_lines(&scope, &delete_scores, run, lines);
		n = (int64) run_on_lines(&scope, &insert_lines, run, lines);
		gepa_store_run_by_number(&scope, &add_up, run);
	}
	gepa_store_leave(&scope);
	return n;
}
