/*
 * Texts of any kind: what gepa.start_text() refuses and why, and what a run of it keeps.
 * Everything happens in one transaction that is rolled back, so no worker ever sees
 * these runs.
 *
 * Run in a database that has the extensions pgtap and gepa, on a server that has the
 * library preloaded.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
CREATE TABLE test_samples AS
SELECT i AS k, 'text number ' || i AS body, (i % 2 = 0)::text AS label, 'label ' || i AS own,
	CASE WHEN i <= 20 THEN 'train' WHEN i <= 30 THEN 'val' ELSE 'test' END AS part
FROM generate_series(1, 40) i;
SELECT gepa.create_dataset('test_set', 'TABLE test_samples', 'k', '{body}', 'label');
SELECT gepa.create_dataset('test_few', 'SELECT * FROM test_samples WHERE k < 5', 'k', '{body}', 'label');
SELECT gepa.create_dataset('test_own', 'TABLE test_samples', 'k', '{body}', 'own');
SELECT gepa.create_dataset('test_split', 'TABLE test_samples', 'k', '{body}', 'label', split => 'part');
SELECT gepa.create_dataset('test_untrained', 'SELECT * FROM test_samples WHERE part <> ''train''', 'k', '{body}', 'label', split => 'part');

CREATE FUNCTION test_f(sample jsonb, candidate jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT ''{"score": 1}''::jsonb';
CREATE FUNCTION test_number(sample jsonb, candidate jsonb) RETURNS float8 LANGUAGE sql AS 'SELECT 0.5::float8';
CREATE FUNCTION test_strict(sample jsonb, candidate jsonb) RETURNS float8 LANGUAGE sql STRICT AS 'SELECT 0.5::float8';
CREATE FUNCTION test_text(sample jsonb, candidate jsonb) RETURNS text LANGUAGE sql AS 'SELECT ''1''';
CREATE FUNCTION test_set(sample jsonb, candidate jsonb) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT ''1''::jsonb';
CREATE FUNCTION test_one(sample jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT ''1''::jsonb';
CREATE FUNCTION test_types(sample jsonb, candidate text) RETURNS jsonb LANGUAGE sql AS 'SELECT ''1''::jsonb';
CREATE PROCEDURE test_procedure(sample jsonb, candidate jsonb) LANGUAGE sql AS 'SELECT 1';

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
	IF coalesce(hint, '') = '' THEN
		hint := 'NO HINT';
	END IF;
	RETURN code || ' ' || message || ' / ' || detail || ' / ' || hint;
END
$$;

-- A start in which one thing is another.
CREATE FUNCTION start_with(evaluator regprocedure DEFAULT 'test_f(jsonb,jsonb)', lm name DEFAULT 'test_lm', budget int DEFAULT 200,
	seed jsonb DEFAULT '{"query": "cats"}', dataset text DEFAULT 'test_set', objective text DEFAULT NULL, background text DEFAULT NULL,
	options jsonb DEFAULT '{}') RETURNS int LANGUAGE sql AS
$$SELECT gepa.start_text(evaluator, lm, budget, seed, dataset, objective, background, options => options)$$;

-------------------------------------------------------------------- refusals

SELECT is(refusal('SELECT start_with()'), 'accepted', 'a start with nothing wrong');
SELECT matches(refusal('SELECT start_with(' || args || ')'), pattern, name)
FROM (VALUES
	(1, 'no evaluator', 'evaluator => NULL', '^22004 .*evaluator'),
	(2, 'an evaluator that is gone', 'evaluator => 1::oid::regprocedure', '^42883 .*does not exist.*RETURNS jsonb'),
	(3, 'one that returns text', $$evaluator => 'test_text(jsonb,jsonb)'$$, '^42809 .*test_text.*returns text.*RETURNS jsonb or double'),
	(4, 'one that returns a set', $$evaluator => 'test_set(jsonb,jsonb)'$$, '^42809 .*a set of jsonb'),
	(5, 'one of one argument', $$evaluator => 'test_one(jsonb)'$$, '^42809 .*test_one'),
	(6, 'one of other arguments', $$evaluator => 'test_types(jsonb,text)'$$, '^42809 .*test_types'),
	(7, 'a procedure', $$evaluator => 'test_procedure(jsonb,jsonb)'$$, '^42809 .*test_procedure'),
	(8, 'no reflection LM', 'lm => NULL', '^22004 .*reflection LM'),
	(9, 'an unknown one', $$lm => 'missing'$$, '^42704 .*missing'),
	(10, 'an unknown dataset', $$dataset => 'missing'$$, '^42704 .*missing'),
	(11, 'a seed that is a text', $$seed => '"cats"'$$, '^22023 .*no object.*for example'),
	(12, 'a seed that is an array', $$seed => '["cats"]'$$, '^22023 .*no object'),
	(13, 'an empty seed', $$seed => '{}'$$, '^22023 .*empty'),
	(14, 'a number in the seed', $$seed => '{"query": 1}'$$, '^22023 .*"query" is no text'),
	(15, 'a blank text', $$seed => '{"query": " "}'$$, '^22023 .*"query" is blank'),
	(16, 'a blank name', $$seed => '{"": "cats"}'$$, '^22023 .*name'),
	(17, 'no seed and no objective', 'seed => NULL', '^22023 .*"text".*objective'),
	(18, 'a text to be written, and no objective', $$seed => '{"a": "x", "b": null}'$$, '^22023 .*"b".*objective'),
	(19, 'a placeholder in the objective', $$objective => 'as <side_info> says'$$, '^22023 objective.*<side_info>'),
	(20, 'a placeholder in the background', $$background => 'x <curr_param>'$$, '^22023 background.*<curr_param>'),
	(21, 'a strict evaluator without a dataset', $$evaluator => 'test_strict(jsonb,jsonb)', dataset => NULL$$, '^22023 .*STRICT.*CALLED ON NULL INPUT'),
	(22, 'few samples', $$dataset => 'test_few'$$, '^22023 .*4 samples.*10.*shared_sets'),
	(23, 'no training samples', $$dataset => 'test_untrained'$$, '^22023 .*train'),
	(24, 'budget of nothing', 'budget => 0', '^22023 .*budget'),
	(25, 'no budget', 'budget => NULL', '^22004 .*budget'),
	(26, 'a small budget', $$budget => 5, options => '{"mode": "reference"}'$$, '^22023 .*budget.*at least 13'),
	(27, 'options of a judge', $$options => '{"metric": "score"}'$$, '^22023 .*"metric" has no meaning in a run of texts'),
	(28, 'unknown options', $$options => '{"colour": 1}'$$, '^22023 .*colour.*error_score, expand_placeholders'),
	(29, 'an error_score that the mode does not take', $$options => '{"error_score": -1}'$$, '^22023 .*error_score.*from 0 to 1'),
	(30, 'a perfect score that the mode does not take', $$options => '{"perfect_score": 10}'$$, '^22023 .*perfect_score'),
	(31, 'shared_sets off without a dataset', $$dataset => NULL, options => '{"shared_sets": false}'$$, '^22023 .*shared_sets')
) AS t(n, name, args, pattern)
ORDER BY n;
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is it?');
SELECT matches(refusal($$SELECT gepa.start('test_judge', 'test_set', 'test_lm', 500, options => '{"error_score": 0}')$$),
	'^22023 .*"error_score" has no meaning in a run of a judge', 'an option of texts in a run of a judge');
SELECT is(refusal('SELECT start_with(' || args || ')'), 'accepted', name)
FROM (VALUES
	(1, 'scores of any size in reference mode', $$options => '{"mode": "reference", "perfect_score": 1000, "stop_at_score": -5, "error_score": -100}'$$),
	(2, 'few samples, all for both', $$dataset => 'test_few', options => '{"shared_sets": true}'$$),
	(3, 'a number as result', $$evaluator => 'test_number(jsonb,jsonb)'$$),
	(4, 'a strict one with a dataset', $$evaluator => 'test_strict(jsonb,jsonb)'$$),
	(5, 'no seed', $$seed => NULL, objective => 'find cats'$$),
	(6, 'no dataset', $$dataset => NULL$$),
	(7, 'neither', $$seed => NULL, dataset => NULL, objective => 'find cats'$$)) AS t(n, name, args)
ORDER BY n;

----------------------------------------------------------------------- rights

CREATE ROLE test_other;
GRANT SELECT ON test_samples TO test_other;
GRANT USAGE ON FOREIGN SERVER test_lm TO test_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO test_other;
REVOKE EXECUTE ON FUNCTION test_f(jsonb, jsonb) FROM PUBLIC;
SET ROLE test_other;
SELECT matches(refusal('SELECT start_with(dataset => NULL)'), '^42501 permission denied for function public.test_f.*GRANT EXECUTE',
	'an evaluator that one may not execute');
SELECT matches(refusal($$SELECT start_with('test_number(jsonb,jsonb)')$$), '^42501 .*dataset', 'another role''s dataset');
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER test_lm FROM test_other;
SET ROLE test_other;
SELECT matches(refusal($$SELECT start_with('test_number(jsonb,jsonb)', dataset => NULL)$$), '^42501 .*test_lm', 'a reflection LM without USAGE');
SELECT is((SELECT count(*) FROM gepa.runs), 0::bigint, 'another role''s runs are not shown');
RESET ROLE;
SELECT max(run) AS run FROM gepa.runs \gset
SET ROLE test_other;
SELECT matches(refusal(format('SELECT gepa.best_text(%s)', :run)), '^42501 .*run', 'nor are its texts');
RESET ROLE;

----------------------------------------------------------------- what is kept

SELECT start_with(objective => 'find cats', background => 'cats meow') AS run \gset
SELECT is((SELECT ROW(judge, lm, seed_version, dataset, reflection_lm, evaluator, objective, background)::text FROM gepa.runs WHERE run = :run),
	'(,,,test_set,test_lm,"public.test_f(pg_catalog.jsonb,pg_catalog.jsonb)","find cats","cats meow")', 'a run of texts has no judge');
SELECT is((SELECT string_agg(o.key || ' ' || o.value, ', ' ORDER BY o.key) FROM gepa.runs, jsonb_each_text(options) o
		WHERE run = :run AND o.key IN ('mode', 'frontier_type', 'skip_perfect', 'metric', 'max_examples', 'error_score')),
	'frontier_type auto, mode default, skip_perfect true', 'its options have defaults of their own, and none of a judge');
SELECT is((SELECT string_agg(split || ' ' || label || ' ' || n, ', ' ORDER BY split, label)
		FROM (SELECT split, label, count(*) AS n FROM gepa.samples WHERE run = :run GROUP BY 1, 2) s),
	'test false 6, test true 6, train false 8, train true 8, val false 6, val true 6', 'labels that are classes divide the samples');
SELECT is((SELECT phase FROM gepa.progress WHERE run = :run), 'waiting for a worker', 'it has progress');
SELECT matches(refusal(format('SELECT gepa.best_text(%s)', :run)), '^55000 .*no candidate', 'it has no texts before its seed was evaluated');
SELECT matches(refusal(format('SELECT gepa.deploy(%s)', :run)), '^42809 .*no judge.*best_text', 'it cannot be deployed');
SELECT lives_ok(format('SELECT gepa.stop(%s)', :run), 'it can be stopped');
SELECT is((SELECT ROW(status)::text FROM gepa.runs WHERE run = :run), '(stopped)', '... before it began');
SELECT is((SELECT count(*) FROM gepa.replay(:run) WHERE difference IS NULL AND steps = 0), 1::bigint, '... and replayed: nothing');

SELECT start_with(dataset => 'test_own') AS run \gset
SELECT is((SELECT string_agg(split || ' ' || n, ', ' ORDER BY split) FROM (SELECT split, count(*) AS n FROM gepa.samples WHERE run = :run GROUP BY 1) s),
	'test 12, train 16, val 12', 'labels of which each is another do not');
SELECT start_with(dataset => 'test_split') AS run \gset
SELECT is((SELECT string_agg(split || ' ' || n, ', ' ORDER BY split) FROM (SELECT split, count(*) AS n FROM gepa.samples WHERE run = :run GROUP BY 1) s),
	'test 10, train 20, val 10', 'a split column is followed');
SELECT start_with(dataset => NULL) AS run \gset
SELECT is((SELECT string_agg(split || ' ' || sample || ' ' || inputs, ', ' ORDER BY split) FROM gepa.samples WHERE run = :run),
	'train task {}, val task {}', 'without a dataset there is one task');
SELECT is((SELECT options ->> 'mode' FROM gepa.runs WHERE run = :run), 'reference', '... which the reference''s loop searches');
SELECT start_with(dataset => NULL, options => '{"mode": "default"}') AS run \gset
SELECT is((SELECT options ->> 'mode' FROM gepa.runs WHERE run = :run), 'default', '... unless one says otherwise');

SELECT finish();
ROLLBACK;
