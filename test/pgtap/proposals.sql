/*
 * How a run has new texts written: what gepa.start() refuses of it, and what the run
 * keeps.  Everything happens in one transaction that is rolled back, so no worker
 * ever sees these runs.
 *
 * Run in a database that has the extensions pgtap and gepa, on a server that has the
 * library preloaded.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is the text about "cats"?');
SELECT gepa.create_judge('test_other', 'test_lm', 'Does it purr?');
SELECT gepa.alter_judge('test_other', prompt => 'Does it bark?');
CREATE TABLE test_samples AS
SELECT i AS k, 'text number ' || i AS body, (i % 2 = 0)::text AS label FROM generate_series(1, 40) i;
SELECT gepa.create_dataset('test_set', 'test_samples', 'k', '{body}', 'label');

CREATE SCHEMA test_schema;
CREATE FUNCTION test_schema.propose(text, text, jsonb) RETURNS text LANGUAGE sql AS 'SELECT $2 || ''.''';
CREATE FUNCTION test_schema.counts(text, text, jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION test_schema.several(text, text, jsonb) RETURNS SETOF text LANGUAGE sql AS 'SELECT $2';
CREATE FUNCTION test_schema.few(text, text) RETURNS text LANGUAGE sql AS 'SELECT $2';
CREATE FUNCTION test_schema.secret(text, text, jsonb) RETURNS text LANGUAGE sql AS 'SELECT $2';

-- SQLSTATE, message, detail and hint of a refusal, on one line.
CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'accepted';
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN code || ' ' || message || ' / ' || detail || ' / ' || coalesce(nullif(hint, ''), 'NO HINT');
END
$$;

CREATE FUNCTION start_with(options jsonb, lm name DEFAULT 'test_lm', budget int DEFAULT 500) RETURNS int LANGUAGE sql AS
	$$SELECT gepa.start('test_judge', 'test_set', lm, budget, options => options)$$;

-------------------------------------------------------------------- refusals

SELECT matches(refusal(format('SELECT start_with(%L)', options)), pattern, 'option ' || options)
FROM (VALUES
	(1, '{"combee": 1}', '^22023 .*combee.* / It must be true or false'),
	(2, '{"copy_guard": -1}', '^22023 .*copy_guard.*from 0 to 1000'),
	(3, '{"max_growth": 1.5}', '^22023 .*max_growth.*an integer'),
	(4, '{"show_rejected": 101}', '^22023 .*show_rejected.*from 0 to 100'),
	(5, '{"reflection_templates": "x"}', '^22023 .*reflection_templates.*an object'),
	(6, '{"reflection_templates": {}}', '^22023 .*reflection_templates.*an object'),
	(7, '{"reflection_templates": {"instruction": 1}}', '^22023 .*reflection_templates.*an object'),
	(8, '{"reflection_templates": {"instruction": "no <curr_param>"}}', '^22023 .*"reflection_templates.instruction".*Missing.*<side_info>'),
	(9, '{"reflection_templates": {"tone": "<curr_param> <side_info>"}}', '^22023 .*"reflection_templates" names "tone", which is no text of judge "test_judge".*Its texts are: "instruction"\.'),
	(10, '{"seeds": {"instruction": "x"}}', '^22023 .*seeds.*an array of objects'),
	(11, '{"seeds": []}', '^22023 .*seeds.*an array of objects'),
	(12, '{"seeds": [{"instruction": "  "}]}', '^22023 .*seeds.*an array of objects'),
	(13, '{"seeds": [{"tone": "x"}]}', '^22023 .*"seeds" names "tone".*"instruction"'),
	(14, '{"examples": true, "seeds": [{"examples": "[]"}]}', '^22023 .*"seeds" names "examples".*"instruction"'),
	(15, '{"seeds": [{"instruction": "x"}, {"instruction": "x"}]}', '^22023 .*two seeds have the same texts.* / Leave one out\.'),
	(16, '{"seeds": [{"instruction": "Is the text about \"cats\"?"}]}', '^22023 .*two seeds have the same texts'),
	(17, '{"seed_from": "missing"}', '^42704 .*missing'),
	(18, '{"seed_from": "test_other@9"}', '^42704 .*9'),
	(19, '{"seed_from": "test_judge"}', '^22023 .*two seeds have the same texts'),
	(20, '{"seed_from": ""}', '^22023 .*seed_from'),
	(21, '{"proposer": "missing(text, text, jsonb)"}', '^42883 .*missing.*with the types of its arguments'),
	(27, '{"proposer": "(((("}', '^42602 .*proposer "\(\(\(\(" is no function.*with the types of its arguments'),
	(28, '{"proposer": "missing"}', '^22P02 .*proposer "missing" is no function.*with the types of its arguments'),
	(22, '{"proposer": "test_schema.counts(text, text, jsonb)"}', '^42809 .*counts.*cannot be used as proposer / It returns integer.*RETURNS text'),
	(23, '{"proposer": "test_schema.several(text, text, jsonb)"}', '^42809 .*several.*a set of text'),
	(24, '{"proposer": "test_schema.few(text, text)"}', '^42809 .*few'),
	(25, '{"proposer": "test_schema.propose(text, text, jsonb)", "combee": true}', '^22023 .*"combee" and "proposer" cannot be combined')
) AS o(n, options, pattern)
ORDER BY n;

SELECT matches(refusal($$SELECT start_with('{"mode": "reference", "hard_budget": true, "seeds": [{"instruction": "a"}, {"instruction": "b"}]}', budget => 50)$$),
	'^22023 a budget of 50 rollouts is too small / Validating what it begins with takes 36', 'each seed is validated');
SELECT matches(refusal($$SELECT start_with('{"held_out": 0, "seeds": [{"instruction": "a"}, {"instruction": "b"}]}', budget => 10)$$),
	'^22023 .*too few rollouts.*Raise it to at least 16', 'or has a window');

SELECT is((SELECT count(*) FROM gepa.runs), 0::bigint, 'nothing that was refused left a run');

----------------------------------------------------------------------- rights

CREATE ROLE test_role;
GRANT SELECT ON test_samples TO test_role;
GRANT USAGE ON FOREIGN SERVER test_lm TO test_role;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO test_role;
GRANT USAGE ON SCHEMA test_schema TO test_role;
REVOKE EXECUTE ON FUNCTION test_schema.secret FROM PUBLIC;
SET ROLE test_role;
SELECT gepa.create_judge('test_theirs', 'test_lm', 'Is it?');
SELECT gepa.create_dataset('test_theirs', 'test_samples', 'k', '{body}', 'label');
SELECT matches(refusal(format($$SELECT gepa.start('test_theirs', 'test_theirs', 'test_lm', 500, options => %L)$$, options)), pattern, options)
FROM (VALUES ('{"proposer": "test_schema.secret(text, text, jsonb)"}', '^42501 permission denied for function .*secret.* GRANT EXECUTE'),
	('{"seed_from": "test_other"}', '^42501 .*judge "test_other"')) o(options, pattern);
SELECT is(refusal($$SELECT gepa.start('test_theirs', 'test_theirs', NULL, 500, options => '{"proposer": "test_schema.propose(text, text, jsonb)"}')$$),
	'accepted', 'a function of another role that may be called');
RESET ROLE;
SELECT is((SELECT proposer_owner <> owner FROM gepa.run WHERE options ? 'proposer'), true, '... whose owner is kept');

----------------------------------------------------------------- what is kept

SELECT start_with('{"seed_from": "test_other@1", "seeds": [{"instruction": "a"}]}') AS run \gset
SELECT is((SELECT jsonb_build_array(options -> 'seed_from', options -> 'seeds') FROM gepa.run WHERE run = :run),
	'["test_other@1", [{"instruction": "Does it purr?"}, {"instruction": "a"}]]', 'a seed from another judge becomes the first of the seeds');
SELECT gepa.drop_judge('test_other');
SELECT gepa.create_judge('test_other', 'test_lm', 'Does it purr?');
SELECT start_with((SELECT options FROM gepa.run WHERE run = :run)) AS again \gset
SELECT is((SELECT options FROM gepa.run WHERE run = :again), (SELECT options FROM gepa.run WHERE run = :run), 'its options start the same run once more');
SELECT start_with('{"seed_from": "test_other"}') AS run \gset
SELECT is((SELECT options ->> 'seed_from' FROM gepa.run WHERE run = :run), 'test_other@1', 'without a number it is the current version');
SELECT start_with('{}') AS run \gset
SELECT is((SELECT jsonb_build_array(options -> 'combee', options -> 'copy_guard', options -> 'max_growth', options -> 'show_rejected', options ? 'proposer', options ? 'seeds',
	options ? 'seed_from', options ? 'reflection_templates') FROM gepa.run WHERE run = :run), '[false, 8, 0, 0, false, false, false, false]', 'defaults');
SELECT start_with('{"mode": "reference"}') AS run \gset
SELECT is((SELECT options ->> 'copy_guard' FROM gepa.run WHERE run = :run), '0', 'the reference does not look for copies');

-- Calls of a reflection before its last.
INSERT INTO gepa.reflection_call (run, step, part, attempt, records, prompt, answer, new_text, input_tokens, output_tokens, cost)
	VALUES (:run, 3, 0, 1, '{1,2}', 'p', 'a', 't', 1, 2, 0.5);
SELECT results_eq(format('SELECT step, part, attempt, records, prompt, answer, text, detail, input_tokens, output_tokens, cost FROM gepa.reflection_calls WHERE run = %s', :run),
	$$VALUES (3, 0, 1, '{1,2}'::int[], 'p', 'a', 't', NULL::text, 1, 2, 0.5)$$, 'gepa.reflection_calls shows them');
SET ROLE test_role;
SELECT is((SELECT count(*) FROM gepa.reflection_calls), 0::bigint, '... to the owner of the run');
RESET ROLE;
SELECT gepa.drop_judge('test_judge');
SELECT is((SELECT count(*) FROM gepa.reflection_call), 0::bigint, '... and they go with it');

SELECT finish();
ROLLBACK;
