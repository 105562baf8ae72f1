/*
 * The contract: names, arguments, defaults, results and columns that others
 * rely on.  Functions may get further arguments with defaults, and views further
 * columns, at the end of what stands here; what stands here is not renamed,
 * retyped or removed.
 *
 * Run in a database that has the extensions pgtap and gepa.
 */
BEGIN;
SELECT no_plan();
LOAD 'gepa';
SET client_min_messages = warning;

\ir members.psql

------------------------------------------------------------------ functions

-- The predicates: text and jsonb alike.
CREATE TEMP TABLE contract_function
	(schema name, name name, arguments text, result text, volatile "char", parallel "char", strict bool);
INSERT INTO contract_function
SELECT 'public', 'gepa_' || f.name, format('judge text, doc %s%s', t.type, f.outputs), f.result, 'v', 'r', true
FROM (VALUES ('text'), ('jsonb')) AS t(type),
	(VALUES ('judge', '', 'boolean'),
		('score', '', 'double precision'),
		('verdict', ', OUT label text, OUT positive boolean, OUT score double precision,'
			' OUT reasoning text, OUT status text, OUT cached boolean, OUT input_tokens integer,'
			' OUT output_tokens integer, OUT cost numeric, OUT latency_ms double precision,'
			' OUT chars_seen integer, OUT chars_total integer, OUT version integer, OUT judge text, OUT thinking text, OUT votes jsonb', 'record')
	) AS f(name, outputs, result);
INSERT INTO contract_function
SELECT 'public', 'gepa_' || f.name, format('judge text, docs %s[]', t.type), f.result, 'v', 'r', true
FROM (VALUES ('text'), ('jsonb')) AS t(type),
	(VALUES ('judge', 'boolean[]'), ('score', 'double precision[]')) AS f(name, result);
INSERT INTO contract_function VALUES
	('gepa', 'lm_validator', 'options text[], catalog oid', 'void', 'v', 'u', true),
	('gepa', 'check_lm', 'lm name', 'TABLE(item text, ok boolean, detail text)', 'v', 'u', true),
	('gepa', 'call_log', 'OUT ended_at timestamp with time zone, OUT role oid, OUT database oid, OUT lm text,'
		' OUT purpose text, OUT judge integer, OUT version integer, OUT run integer, OUT status text,'
		' OUT http_status integer, OUT attempts integer, OUT input_tokens integer, OUT output_tokens integer,'
		' OUT cost double precision, OUT latency_ms double precision, OUT sample_rate double precision,'
		' OUT detail text, OUT prompt text, OUT answer text', 'SETOF record', 'v', 's', true),
	('gepa', 'lm_figures', 'OUT server oid, OUT max_concurrency integer, OUT current_limit integer,'
		' OUT in_flight integer, OUT waiting integer, OUT peak integer, OUT held_until timestamp with time zone,'
		' OUT requests_per_minute integer, OUT requests_left double precision, OUT tokens_per_minute integer,'
		' OUT tokens_left double precision, OUT classes jsonb, OUT calls bigint, OUT ok bigint, OUT retries bigint,'
		' OUT errors jsonb, OUT input_tokens bigint, OUT output_tokens bigint, OUT cost double precision,'
		' OUT p50_ms double precision, OUT p95_ms double precision, OUT p99_ms double precision,'
		' OUT since timestamp with time zone', 'SETOF record', 'v', 'r', true),
	('gepa', 'predicate_support', 'internal', 'internal', 'i', 's', true),
	('gepa', 'live_queries', 'OUT pid integer, OUT role oid, OUT judge text, OUT started_at timestamp with time zone,'
		' OUT rows bigint, OUT judged bigint, OUT in_flight integer, OUT stored bigint, OUT failed bigint,'
		' OUT input_tokens bigint, OUT output_tokens bigint, OUT cost double precision,'
		' OUT expected double precision', 'SETOF record', 'v', 's', true),
	('gepa', 'shown', 'value anyelement', 'anyelement', 'v', 's', true),
	('gepa', 'create_judge', 'name text, lm name, prompt text, labels text[] DEFAULT ''{true,false}''::text[],'
		' positive text[] DEFAULT ''{true}''::text[], options jsonb DEFAULT ''{}''::jsonb', 'integer', 'v', 'u', false),
	('gepa', 'alter_judge', 'name text, prompt text DEFAULT NULL::text, lm name DEFAULT NULL::name,'
		' options jsonb DEFAULT NULL::jsonb', 'integer', 'v', 'u', false),
	('gepa', 'drop_judge', 'name text', 'void', 'v', 'u', true),
	('gepa', 'prune_verdicts', 'judge text, keep_versions integer DEFAULT NULL::integer,'
		' older_than interval DEFAULT NULL::interval, OUT version integer, OUT verdicts bigint, OUT errors bigint,'
		' OUT emptied boolean', 'SETOF record', 'v', 'u', false),
	('gepa', 'create_dataset', 'name text, source text, key text, inputs text[], label text,'
		' feedback text DEFAULT NULL::text, split text DEFAULT NULL::text, group_by text DEFAULT NULL::text,'
		' options jsonb DEFAULT ''{}''::jsonb', 'integer', 'v', 'u', false),
	('gepa', 'drop_dataset', 'name text', 'void', 'v', 'u', true), ('gepa', 'create_grader', 'name text, kind text, lm name DEFAULT NULL::name, options jsonb DEFAULT ''{}''::jsonb', 'integer', 'v', 'u', false), ('gepa', 'alter_grader', 'name text, lm name DEFAULT NULL::name, options jsonb DEFAULT NULL::jsonb', 'void', 'v', 'u', false), ('gepa', 'drop_grader', 'name text', 'void', 'v', 'u', true), ('gepa', 'grade', 'grader text, sample jsonb, output jsonb DEFAULT NULL::jsonb, OUT score double precision, OUT feedback text, OUT objectives jsonb, OUT status text, OUT detail text, OUT cost numeric', 'record', 'v', 'u', false), ('gepa', 'grader_agreement', 'grader text, dataset text, "limit" integer DEFAULT NULL::integer, positive text[] DEFAULT ''{true}''::text[], ordinal text[] DEFAULT NULL::text[]', 'TABLE(measure text, n integer, value double precision, low double precision, high double precision)', 'v', 'u', false),
	('gepa', 'start', 'judge text, dataset text, reflection_lm name, budget integer, seed bigint DEFAULT 0,'
		' options jsonb DEFAULT ''{}''::jsonb', 'integer', 'v', 'u', false),
	('gepa', 'optimize', 'judge text, dataset text, reflection_lm name, budget integer, seed bigint DEFAULT 0,'
		' options jsonb DEFAULT ''{}''::jsonb', 'integer', 'v', 'u', false),
	('gepa', 'wait', 'run integer, timeout interval DEFAULT NULL::interval', 'text', 'v', 'u', false),
	('gepa', 'stop', 'run integer', 'void', 'v', 'u', true),
	('gepa', 'resume', 'run integer', 'void', 'v', 'u', true),
	('gepa', 'deploy', 'run integer, candidate integer DEFAULT NULL::integer, force boolean DEFAULT false', 'integer', 'v', 'u', false),
	('gepa', 'report', 'judge text, dataset text DEFAULT NULL::text, OUT metric text, OUT n integer,'
		' OUT baseline double precision, OUT baseline_low double precision, OUT baseline_high double precision,'
		' OUT tuned double precision, OUT tuned_low double precision, OUT tuned_high double precision,'
		' OUT p_value double precision', 'SETOF record', 'v', 'u', false),
	('gepa', 'watch_table', 'judge text, source text, key text, document text, target text DEFAULT NULL::text,'
		' filter text DEFAULT NULL::text, options jsonb DEFAULT ''{}''::jsonb', 'integer', 'v', 'u', false),
	('gepa', 'unwatch_table', 'job integer', 'void', 'v', 'u', true),
	('gepa', 'watch_row', '', 'trigger', 'v', 'u', false), ('gepa', 'watch_truncate', '', 'trigger', 'v', 'u', false),
	('gepa', 'estimate', 'judge text, source text, document text, filter text DEFAULT NULL::text,'
		' sample integer DEFAULT 1000, options jsonb DEFAULT ''{}''::jsonb, OUT item text,'
		' OUT value double precision, OUT low double precision, OUT high double precision, OUT unit text,'
		' OUT basis text', 'SETOF record', 'v', 'u', false),
	('gepa', 'diff', 'judge text, version_a integer, version_b integer, source text DEFAULT NULL::text,'
		' key text DEFAULT NULL::text, document text DEFAULT NULL::text, filter text DEFAULT NULL::text,'
		' examples integer DEFAULT 3, OUT direction text, OUT label_a text, OUT label_b text, OUT n bigint,'
		' OUT share double precision, OUT examples text[]', 'SETOF record', 'v', 'u', false),
	('gepa', 'flips', 'judge text, version_a integer, version_b integer, source text DEFAULT NULL::text,'
		' key text DEFAULT NULL::text, document text DEFAULT NULL::text, filter text DEFAULT NULL::text,'
		' OUT key text, OUT digest text, OUT direction text, OUT label_a text, OUT label_b text,'
		' OUT positive_a boolean, OUT positive_b boolean, OUT score_a double precision,'
		' OUT score_b double precision, OUT reasoning_a text, OUT reasoning_b text', 'SETOF record', 'v', 'u', false),
	('gepa', 'sweep', 'judge text, dataset text, lms text[], reflection_lm name, budget_each integer,'
		' seed bigint DEFAULT 0, options jsonb DEFAULT ''{}''::jsonb, OUT lm text, OUT settings jsonb, OUT n integer,'
		' OUT metric text, OUT quality double precision, OUT low double precision, OUT high double precision,'
		' OUT cost_per_million numeric, OUT documents_per_second double precision, OUT dominated boolean,'
		' OUT surely_dominated boolean, OUT run integer, OUT status text, OUT reason text, OUT sweep integer',
		'SETOF record', 'v', 'u', false),
	('gepa', 'start_sweep', 'judge text, dataset text, lms text[], reflection_lm name, budget_each integer,'
		' seed bigint DEFAULT 0, options jsonb DEFAULT ''{}''::jsonb', 'integer', 'v', 'u', false),
	('gepa', 'wait_sweep', 'sweep integer, timeout interval DEFAULT NULL::interval', 'text', 'v', 'u', false),
	('gepa', 'stop_sweep', 'sweep integer', 'void', 'v', 'u', true),
	('gepa', 'lineage', 'run integer', 'SETOF text', 's', 'r', true),
	('gepa', 'prompt_diff', 'run integer, a integer, b integer, OUT component text, OUT diff text',
		'SETOF record', 's', 'r', true),
	('gepa', 'replay', 'run integer, OUT steps integer, OUT candidates integer, OUT difference text',
		'record', 's', 'r', true),
	('gepa', 'create_schedule', 'name text, judge text, dataset text, reflection_lm name,'
		' every interval DEFAULT NULL::interval, at text DEFAULT NULL::text, min_new_labels integer DEFAULT 0,'
		' budget integer DEFAULT 600, deploy text DEFAULT ''never''::text, time_zone text DEFAULT NULL::text,'
		' options jsonb DEFAULT ''{}''::jsonb, level double precision DEFAULT 0.05, seed bigint DEFAULT 0',
		'integer', 'v', 'u', false),
	('gepa', 'watch_dataset', 'judge text, dataset text, reflection_lm name, min_new_labels integer,'
		' name text DEFAULT NULL::text, look_every interval DEFAULT ''00:05:00''::interval,'
		' budget integer DEFAULT 600, deploy text DEFAULT ''never''::text, options jsonb DEFAULT ''{}''::jsonb,'
		' level double precision DEFAULT 0.05, seed bigint DEFAULT 0', 'integer', 'v', 'u', false),
	('gepa', 'drop_schedule', 'name text', 'void', 'v', 'u', true),
	('gepa', 'enable_schedule', 'name text', 'void', 'v', 'u', true),
	('gepa', 'disable_schedule', 'name text', 'void', 'v', 'u', true),
	('gepa', 'schedule_times', 'at text, time_zone text DEFAULT NULL::text,'
		' after timestamp with time zone DEFAULT now(), n integer DEFAULT 5', 'SETOF timestamp with time zone',
		's', 's', false);
INSERT INTO contract_function VALUES
	('gepa', 'set_budget', 'judge text DEFAULT NULL::text, role name DEFAULT NULL::name, calls bigint DEFAULT NULL::bigint,'
		' tokens bigint DEFAULT NULL::bigint, cost numeric DEFAULT NULL::numeric', 'void', 'v', 'u', false),
	('gepa', 'budget_accounts', 'OUT judge integer, OUT role oid, OUT spent_calls bigint, OUT spent_tokens bigint,'
		' OUT spent_cost double precision, OUT reserved_calls bigint, OUT reserved_tokens bigint,'
		' OUT reserved_cost double precision', 'SETOF record', 'v', 'r', true);
INSERT INTO contract_function VALUES
	('gepa', 'draw', 'key text, seed bigint DEFAULT 0', 'double precision', 'i', 's', true),
	('gepa', 'sample_key', 'key text, score double precision, tau double precision, seed bigint DEFAULT 0',
		'double precision', 'i', 's', true),
	('gepa', 'copies', 'key text, expected double precision, seed bigint DEFAULT 0', 'integer', 'i', 's', true),
	('gepa', 'corpus_rate', 'positive bigint, n bigint, tp bigint, fn bigint, tn bigint, fp bigint,'
		' OUT rate double precision, OUT low double precision, OUT high double precision, OUT reason text',
		'record', 'i', 's', true);
INSERT INTO contract_function
SELECT 'gepa', 'keep_' || f.name, 'source text, key text, score text, ' || f.arguments || ', OUT key text,'
	' OUT score double precision, OUT rank bigint, OUT tokens bigint, OUT group_key text, OUT copies integer',
	'SETOF record', 's', 'r', false
FROM (VALUES ('threshold', 'threshold double precision'),
	('quantile', 'q double precision, group_by text DEFAULT NULL::text, seed bigint DEFAULT 0'),
	('tiers', 'copies double precision[], group_by text DEFAULT NULL::text, seed bigint DEFAULT 0'),
	('tokens', 'tokens text, budget bigint, tau double precision DEFAULT 0, seed bigint DEFAULT 0'),
	('quota', 'tokens text, group_by text, shares jsonb DEFAULT NULL::jsonb, budget bigint DEFAULT NULL::bigint,'
		' tau double precision DEFAULT 0, seed bigint DEFAULT 0, left_over text DEFAULT ''leave''::text')) AS f(name, arguments);

CREATE TEMP TABLE contract_view (name name, columns text);
\ir routers.psql
\ir jobs.psql
\ir texts.psql
\ir exchange.psql

SELECT is(
	(SELECT format('%s, volatility %s, parallel %s, strict %s', pg_get_function_result(f.function),
		f.provolatile, f.proparallel, f.proisstrict)
		FROM member_function f
		WHERE f.pronamespace = c.schema::text::regnamespace AND f.proname = c.name AND f.arguments = c.arguments),
	format('%s, volatility %s, parallel %s, strict %s',
		CASE c.result WHEN 'record' THEN 'record' ELSE c.result END, c.volatile, c.parallel, c.strict),
	format('function %s.%s(%s)', c.schema, c.name, left(c.arguments, 40)))
FROM contract_function c
ORDER BY c.schema, c.name, c.arguments;

SELECT is_empty(
	$$SELECT f.function::regprocedure FROM member_function f
		WHERE NOT EXISTS (SELECT FROM contract_function c WHERE c.name = f.proname AND c.arguments = f.arguments)$$,
	'every function of the extension stands in the contract');

SELECT is_empty(
	'SELECT function::regprocedure FROM member_function WHERE prosecdef',
	'no function is SECURITY DEFINER');
SELECT is_empty(
	$$SELECT f.function::regprocedure FROM member_function f JOIN pg_language l ON l.oid = f.prolang
		WHERE l.lanname IN ('sql', 'plpgsql')
			AND f.prosqlbody IS NULL
			AND NOT coalesce(f.proconfig::text LIKE '%search_path=%', false)$$,
	'functions in SQL and PL/pgSQL pin their search_path, or were parsed when made');
SELECT cmp_ok(
	(SELECT min(procost) FROM member_function WHERE proname IN ('gepa_judge', 'gepa_score', 'gepa_verdict')),
	'>=', 1000::real, 'the planner evaluates cheap conditions before a judge');
SELECT is_empty(
	$$SELECT function::regprocedure FROM member_function
		WHERE proname IN ('gepa_judge', 'gepa_score', 'gepa_verdict') AND arguments LIKE 'judge text, doc %'
			AND prosupport <> 'gepa.predicate_support'::regproc$$,
	'... and asks what it costs');

---------------------------------------------------------------------- views

INSERT INTO contract_view VALUES
	('lms', 'lm text, owner text, usable boolean, api text, base_url text, model text, options jsonb'),
	('judges', 'judge text, lm text, current_version integer, owner text, labels text[], positive text[],'
		' threshold double precision, versions integer, created_at timestamp with time zone'),
	('judge_versions', 'judge text, version integer, current boolean, lm text, lm_identity jsonb, components jsonb,'
		' labels text[], positive text[], options jsonb, threshold double precision, digest text, run integer,'
		' candidate integer, created_at timestamp with time zone'),
	('datasets', 'dataset text, source text, key text, inputs text[], label text, feedback text, split text,'
		' group_by text, options jsonb, owner text, created_at timestamp with time zone'),
	('runs', 'run integer, judge text, dataset text, owner text, status text, reason text, budget integer,'
		' rollouts integer, reflections integer, best_candidate integer, best_score double precision,'
		' input_tokens bigint, output_tokens bigint, cost numeric, created_at timestamp with time zone,'
		' started_at timestamp with time zone, finished_at timestamp with time zone, calls bigint, rounds integer,'
		' held_out_n integer, gain double precision, gain_low double precision, gain_high double precision, grader_calls bigint, grader_cost numeric, evaluator text, objective text, background text, imported jsonb'),
	('budgets', 'judge text, role text, calls bigint, tokens bigint, cost numeric, spent_calls bigint, spent_tokens bigint, spent_cost numeric,'
		' reserved_calls bigint, reserved_tokens bigint, reserved_cost numeric,'
		' renewed_at timestamp with time zone, changed_at timestamp with time zone'),
	('spend', 'day date, judge text, lm text, role text, purpose text, calls bigint, ok bigint, failed bigint, input_tokens bigint, output_tokens bigint, cost numeric'),
	('progress', 'run integer, judge text, dataset text, owner text, status text, phase text, rollouts integer,'
		' budget integer, best_score double precision, input_tokens bigint, output_tokens bigint, cost numeric,'
		' elapsed interval, eta interval, kind text, pid integer, rows bigint, judged bigint, in_flight integer,'
		' stored bigint, failed bigint, job integer, rate double precision, rounds integer'),
	('graders', 'grader text, kind text, lm text, options jsonb, owner text'), ('grades', 'grader_digest text, digest text, score double precision, feedback text, objectives jsonb, cost numeric'), ('samples', 'run integer, sample text, split text, label text, feedback text, group_key text, inputs jsonb, digest text'),
	('candidates', 'run integer, candidate integer, parents integer[], components jsonb, score double precision,'
		' rollouts_at_discovery integer, created_at timestamp with time zone, held_out double precision, held_out_n integer'),
	('decisions', 'run integer, decision integer, iteration integer, kind text, led integer, leads integer,'
		' compared jsonb, samples text[], reason text, created_at timestamp with time zone'),
	('frontier', 'run integer, key text, score double precision, candidates integer[]'),
	('proposals', 'run integer, iteration integer, parents integer[], component text, text text, candidate integer,'
		' accepted boolean, reason text, reflection_prompt text, answer text, created_at timestamp with time zone'),
	('reflections', 'run integer, step integer, reflection_prompt text, answer text, text text, detail text, input_tokens integer, output_tokens integer, cost numeric'),
	('reflection_calls', 'run integer, step integer, part integer, attempt integer, records integer[], prompt text, answer text, text text, detail text, input_tokens integer'),
	('lm_calls', 'ended_at timestamp with time zone, role text, database text, lm text, purpose text, judge text,'
		' version integer, run integer, status text, http_status integer, attempts integer, input_tokens integer,'
		' output_tokens integer, cost numeric, latency_ms double precision, sample_rate double precision,'
		' detail text, prompt text, answer text'),
	('lm_stats', 'lm text, max_concurrency integer, current_limit integer, in_flight integer, waiting integer,'
		' peak integer, held_until timestamp with time zone, requests_per_minute integer,'
		' requests_left double precision, tokens_per_minute integer, tokens_left double precision, classes jsonb,'
		' calls bigint, ok bigint, retries bigint, errors jsonb, p50_ms double precision, p95_ms double precision,'
		' p99_ms double precision, input_tokens bigint, output_tokens bigint, cost numeric,'
		' since timestamp with time zone'),
	('rollouts', 'run integer, candidate integer, sample text, split text, score double precision, feedback text,'
		' label text, output jsonb, status text, input_tokens integer, output_tokens integer, cost numeric,'
		' latency_ms double precision, objectives jsonb, graders jsonb, trace jsonb, grader_calls integer, grader_input_tokens integer, grader_output_tokens integer, grader_cost numeric'),
	('verdicts', 'judge text, version integer, digest text, label text, positive boolean, score double precision,'
		' status text, reasoning text, input_tokens integer, output_tokens integer, cost numeric,'
		' created_at timestamp with time zone, payer text, thinking text, votes jsonb'),
	('schedules', 'schedule text, judge text, dataset text, owner text, every interval, at text, time_zone text,'
		' enabled boolean, next_at timestamp with time zone, last_at timestamp with time zone, last_run integer,'
		' outcome text, reason text, n integer, champion integer, champion_accuracy double precision,'
		' challenger integer, challenger_accuracy double precision, champion_only integer, challenger_only integer,'
		' p_value double precision, deployed integer, deploy text, level double precision, min_new_labels integer,'
		' reflection_lm text, budget integer, seed bigint, options jsonb'),
	('quality_cost', 'sweep integer, judge text, dataset text, lm text, settings jsonb, status text, reason text,'
		' n integer, undecided integer, metric text, quality double precision, low double precision,'
		' high double precision, cost_per_million numeric, documents_per_second double precision,'
		' measured_per_second double precision, dominated boolean, surely_dominated boolean, run integer'),
	('verdict_errors', 'judge text, version integer, digest text, status text, detail text, attempts integer,'
		' last_at timestamp with time zone, payer text');

SELECT is(
	(SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY array_position(
			ARRAY(SELECT split_part(x, ' ', 1) FROM unnest(string_to_array(v.columns, ', ')) x), a.attname::text))
		FROM pg_attribute a
		WHERE a.attrelid = to_regclass('gepa.' || v.name) AND a.attnum > 0
			AND a.attname::text = ANY (ARRAY(
				SELECT split_part(x, ' ', 1) FROM unnest(string_to_array(v.columns, ', ')) x))),
	v.columns,
	format('view gepa.%s', v.name))
FROM contract_view v
ORDER BY v.name;

SELECT is_empty(
	$$SELECT relation::regclass FROM member_relation WHERE relkind = 'v'
		AND (relnamespace <> 'gepa'::regnamespace OR relname NOT IN (SELECT name FROM contract_view))$$,
	'every view of the extension stands in the contract');
SELECT is_empty(
	$$SELECT relation::regclass FROM member_relation WHERE relkind = 'v'
		AND NOT coalesce(reloptions::text LIKE '%security_barrier%', false)$$,
	'views are security barriers');

------------------------------------------------------------------ parameters

SELECT results_eq(
	$$SELECT name, vartype, context, boot_val FROM pg_settings
		WHERE name IN ('gepa.allow_lm_mismatch', 'gepa.call_log_sample_rate', 'gepa.call_log_text',
			'gepa.max_job_workers', 'gepa.max_query_calls', 'gepa.max_query_cost', 'gepa.max_query_tokens', 'gepa.max_run_workers',
			'gepa.on_budget', 'gepa.on_error') ORDER BY name$$,
	$$VALUES ('gepa.allow_lm_mismatch', 'bool', 'user', 'off'),
		('gepa.call_log_sample_rate', 'real', 'superuser', '1'),
		('gepa.call_log_text', 'integer', 'superuser', '0'),
		('gepa.max_job_workers', 'integer', 'sighup', '4'), ('gepa.max_query_calls', 'integer', 'user', '-1'),
		('gepa.max_query_cost', 'real', 'user', '-1'), ('gepa.max_query_tokens', 'integer', 'user', '-1'),
		('gepa.max_run_workers', 'integer', 'sighup', '4'),
		('gepa.on_budget', 'enum', 'user', 'error'), ('gepa.on_error', 'enum', 'user', 'null')$$,
	'parameters with their kinds and defaults');
SELECT is_empty(
	$$SELECT name FROM pg_settings WHERE name LIKE 'gepa.%' AND coalesce(short_desc, '') = ''$$,
	'every parameter has a description');
SELECT throws_ok('SET gepa.nonsense = 1', '42602', NULL, 'the prefix of the parameters is reserved');

SELECT finish();
ROLLBACK;
