/*
 * The contract: who may do what.
 *
 * Run in a database that has the extensions pgtap and gepa.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

\ir members.psql

CREATE ROLE gepa_test_nobody;

SELECT is_empty(
	$$SELECT relation::regclass, privilege
		FROM member_relation, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES']) privilege
		WHERE relkind IN ('r', 'p') AND has_table_privilege('gepa_test_nobody', relation, privilege)$$,
	'PUBLIC has no right on a table');
SELECT is_empty(
	$$SELECT relation::regclass FROM member_relation
		WHERE CASE WHEN relkind = 'S'
			THEN has_sequence_privilege('gepa_test_nobody', relation, 'USAGE, SELECT, UPDATE') END$$,
	'PUBLIC has no right on a sequence');
SELECT is_empty(
	$$SELECT relation::regclass FROM member_relation
		WHERE relkind = 'v' AND NOT has_table_privilege('gepa_test_nobody', relation, 'SELECT')$$,
	'PUBLIC may read the views, which show each role its own');
SELECT is_empty(
	$$SELECT relation::regclass, privilege
		FROM member_relation, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) privilege
		WHERE relkind = 'v' AND has_table_privilege('gepa_test_nobody', relation, privilege)$$,
	'PUBLIC may not write through the views');
SELECT ok(NOT has_schema_privilege('gepa_test_nobody', 'gepa', 'CREATE'),
	'PUBLIC may not create in schema gepa');
SELECT ok(NOT has_foreign_data_wrapper_privilege('gepa_test_nobody', 'gepa_lm', 'USAGE'),
	'PUBLIC may not make LMs');

-- What can cause a call is nobody's by default, and all of it is granted by these.
CREATE TEMP VIEW forbidden AS
SELECT DISTINCT pronamespace::regnamespace || '.' || proname AS name
FROM member_function
WHERE NOT has_function_privilege('gepa_test_nobody', function, 'EXECUTE');
SELECT set_eq('SELECT name FROM forbidden', ARRAY['public.gepa_judge', 'public.gepa_score', 'public.gepa_verdict',
	'gepa.check_lm', 'gepa.start', 'gepa.optimize', 'gepa.resume', 'gepa.report', 'gepa.sweep', 'gepa.start_sweep',
	'gepa.start_branches', 'gepa.report_slices', 'gepa.start_text', 'gepa.optimize_text', 'gepa.create_schedule',
	'gepa.watch_dataset', 'gepa.enable_schedule', 'gepa.judge_table', 'gepa.resume_job', 'gepa.retry_errors',
	'gepa.grade', 'gepa.grader_agreement', 'gepa.lm_validator', 'gepa.watch_table', 'gepa.watch_row', 'gepa.watch_truncate'],
	'PUBLIC may execute everything but what can cause a call');
GRANT EXECUTE ON FUNCTION gepa_judge(text, text), gepa_judge(text, jsonb), gepa_score(text, text),
	gepa_score(text, jsonb), gepa_verdict(text, text), gepa_verdict(text, jsonb), gepa_judge(text, text[]),
	gepa_judge(text, jsonb[]), gepa_score(text, text[]), gepa_score(text, jsonb[]) TO gepa_test_nobody;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO gepa_test_nobody;
SELECT is_empty('SELECT name FROM forbidden', 'two statements grant all of it');
SELECT throws_ok($$SELECT gepa.lm_validator('{api_key=k}', 'pg_user_mapping'::regclass)$$, '0A000', NULL,
	'the validator cannot be called by a query');

-- It then asks for USAGE on the LM, which nobody has by default.
CREATE SERVER gepa_test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('gepa_test_judge', 'gepa_test_lm', 'Is it good?');
SELECT ok(NOT has_server_privilege('gepa_test_nobody', 'gepa_test_lm', 'USAGE'),
	'PUBLIC may not use an LM');
SET ROLE gepa_test_nobody;
SELECT throws_ok(statement, '42501', 'permission denied for LM "gepa_test_lm"', statement || ' asks for USAGE')
FROM (VALUES
	($$SELECT gepa_judge('gepa_test_judge', 'text')$$),
	($$SELECT gepa_score('gepa_test_judge', 'text')$$),
	($$SELECT gepa_verdict('gepa_test_judge', 'text')$$),
	($$SELECT gepa_judge('gepa_test_judge', '{"document": "text"}'::jsonb)$$),
	($$SELECT gepa_judge('gepa_test_judge', ARRAY['text'])$$),
	($$SELECT gepa.check_lm('gepa_test_lm')$$),
	($$SELECT gepa.create_judge('another', 'gepa_test_lm', 'Is it good?')$$)) AS s(statement);
SELECT is_empty('SELECT * FROM gepa.' || name, 'gepa.' || name || ' shows a stranger nothing')
FROM (VALUES ('judges'), ('judge_versions'), ('datasets'), ('runs'), ('schedules'), ('quality_cost'),
	('verdicts')) AS v(name);
RESET ROLE;

SELECT finish();
ROLLBACK;
