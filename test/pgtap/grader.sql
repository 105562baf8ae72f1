/*
 * Graders: what each kind takes and refuses, who may use one, and what it says by hand.
 * What runs make of them is in test/t/085_graders.pl.
 *
 * Run in a database that has the extensions pgtap and gepa.  Everything is rolled back.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
CREATE ROLE gepa_test_other;
CREATE SCHEMA test_data;
CREATE FUNCTION test_data.half(jsonb, jsonb) RETURNS float8 LANGUAGE sql AS 'SELECT 0.5::float8';
CREATE FUNCTION test_data.told(s jsonb, o jsonb) RETURNS jsonb LANGUAGE sql AS
	$$SELECT jsonb_build_object('score', (s ->> 'label' = o ->> 'label')::int, 'feedback', s -> 'inputs' ->> 'body', 'objectives', '{"x": 0.25}'::jsonb)$$;
CREATE FUNCTION test_data.raises(jsonb, jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RAISE division_by_zero USING MESSAGE = 'no'; END$$;
CREATE FUNCTION test_data.says_two(jsonb, jsonb) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION test_data.says_null(jsonb, jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
CREATE FUNCTION test_data.says_text(jsonb, jsonb) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';

CREATE FUNCTION by_function(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE g record;
BEGIN
	PERFORM gepa.create_grader(name, 'function', options => jsonb_build_object('function', format('test_data.%s(jsonb,jsonb)', name)));
	SELECT * INTO g FROM gepa.grade(name, '{"inputs": {"body": "text"}, "label": "a"}', '{"label": "a"}');
	RETURN concat_ws('|', g.status, g.score, g.feedback, g.objectives, g.detail);
END $$;
CREATE FUNCTION by_hand(kind text, options jsonb, output jsonb, label text DEFAULT 'good') RETURNS text LANGUAGE plpgsql AS $$
DECLARE g record;
BEGIN
	PERFORM gepa.drop_grader(grader) FROM gepa.graders WHERE grader = 'test';
	PERFORM gepa.create_grader('test', kind, options => options);
	SELECT * INTO g FROM gepa.grade('test', jsonb_build_object('inputs', '{"body": "text"}'::jsonb, 'label', label), output);
	RETURN concat_ws('|', g.status, g.score);
END $$;

---------------------------------------------------------------------- options

SELECT throws_ok(format($$SELECT gepa.create_grader('g', %L, %L, %L)$$, kind, lm, options), '22023', NULL, format('%s %s refused', kind, options))
FROM (VALUES ('labels', NULL, '{"scale": 1}'), ('labels', 'test_lm', '{}'), ('labels', NULL, '{"ordinal": ["a"]}'), ('labels', NULL, '{"ordinal": ["a", "a"]}'),
	('labels', NULL, '{"weights": {"a": 0}}'), ('labels', NULL, '{"weights": {}}'), ('labels', NULL, '{"ordinal": ["a", "b"], "weights": {"a": 1}}'),
	('rubric', NULL, '{"criteria": [{"name": "n", "description": "d"}]}'), ('rubric', 'test_lm', '{}'), ('rubric', 'test_lm', '{"criteria": []}'),
	('rubric', 'test_lm', '{"criteria": [{"name": "n"}]}'), ('rubric', 'test_lm', '{"criteria": [{"name": "n", "description": "d", "scale": [2, 1]}]}'),
	('rubric', 'test_lm', '{"criteria": [{"name": "n", "description": "d", "weight": 0}]}'), ('rubric', 'test_lm', '{"criteria": [{"name": "n", "description": "d", "odd": 1}]}'),
	('rubric', 'test_lm', '{"criteria": [{"name": "n", "description": "d"}, {"name": "n", "description": "e"}]}'),
	('rubric', 'test_lm', '{"target": "label", "criteria": [{"name": "n", "description": "d"}]}'), ('reward_model', NULL, '{}'),
	('reward_model', 'test_lm', '{"api": "rank"}'), ('reward_model', 'test_lm', '{"api": "pooling", "label": "good"}'), ('reward_model', 'test_lm', '{"api": "chat", "label": "1"}'), ('reward_model', 'test_lm', '{"low": 1, "high": 1}'), ('reward_model', 'test_lm', '{"api": "score", "target": "document"}'),
	('function', NULL, '{}'), ('format', NULL, '{"require": []}'), ('format', NULL, '{"schema": "x"}'), ('format', NULL, '{"schema": {"properties": [1]}}'),
	('format', NULL, '{"schema": {"pattern": "^a"}}'), ('format', NULL, '{"max_chars": 0}'), ('odd', NULL, '{}')) v(kind, lm, options);
SELECT throws_ok($$SELECT gepa.create_grader('g', 'function', options => '{"function": "test_data.none(jsonb,jsonb)"}')$$, '42883', NULL, 'a function that is not there');
SELECT throws_ok($$SELECT gepa.create_grader('g', 'function', options => '{"function": "test_data.says_text(jsonb,jsonb)"}')$$, '42809', NULL, 'one that returns a text');
SELECT throws_ok($$SELECT gepa.create_grader('g', 'function', options => '{"function": "pg_catalog.lower(text)"}')$$, '42809', NULL, 'one of other arguments');
SELECT throws_ok($$SELECT gepa.create_grader('', 'labels')$$, '42602', NULL, 'an empty name');
SELECT throws_ok($$SELECT gepa.create_grader('g', 'rubric', 'none', '{"criteria": [{"name": "n", "description": "d"}]}')$$, '42704', NULL, 'an LM that is not there');
SELECT gepa.create_grader('g', 'labels');
SELECT throws_ok($$SELECT gepa.create_grader('g', 'labels')$$, '42710', NULL, 'a name that is taken');
SELECT throws_ok($$SELECT gepa.drop_grader('h')$$, '42704', NULL, 'one that is not there');
SELECT gepa.alter_grader('g', options => '{"ordinal": ["a", "b"]}');
SELECT results_eq($$SELECT kind, options FROM gepa.graders WHERE grader = 'g'$$, $$VALUES ('labels', '{"ordinal": ["a", "b"]}'::jsonb)$$, 'an altered grader');
SELECT throws_ok($$SELECT gepa.alter_grader('g', 'test_lm')$$, '22023', NULL, 'an LM for one that calls none');

---------------------------------------------------------------------- by hand

SELECT is(by_hand(kind, options, output, label), expected, format('%s %s of %s', kind, options, output))
FROM (VALUES ('labels', '{}'::jsonb, '{"label": "good"}'::jsonb, 'good', 'ok|1'), ('labels', '{}', '{"label": "bad"}', 'good', 'ok|0'), ('labels', '{}', '{}', 'good', 'unparseable'),
	('labels', '{}', '{"status": "refused"}', 'good', 'refused|0'), ('labels', '{"ordinal": ["bad", "fair", "good"]}', '{"label": "fair"}', 'good', 'ok|0.5'),
	('labels', '{"weights": {"good": 2}}', '{"label": "good"}', 'bad', 'ok|0.5'), ('labels', '{"weights": {"good": 2}}', '{"label": "bad"}', 'good', 'ok|0'),
	('format', '{}', '{"label": "x"}', 'good', 'ok|1'), ('format', '{"require": ["reasoning"]}', '{"label": "x"}', 'good', 'ok|0'),
	('format', '{"require": ["reasoning"]}', '{"reasoning": "r"}', 'good', 'ok|1'), ('format', '{}', '{"status": "unparseable"}', 'good', 'ok|0'),
	('format', '{"schema": {"type": "object", "required": ["a"]}}', '{"answer": "{\"a\": 1}"}', 'good', 'ok|1'),
	('format', '{"schema": {"type": "object", "required": ["a"]}}', '{"answer": "{\"b\": 1}"}', 'good', 'ok|0'), ('format', '{"schema": {"minLength": 3}}', '{"answer": "\"ab\""}', 'good', 'ok|0'),
	('format', '{"max_chars": 2}', '{"answer": "abc"}', 'good', 'ok|0'))
	v(kind, options, output, label, expected);
SELECT throws_ok(format($$SELECT gepa.grade('test', %L, %L)$$, sample, output), '22023', NULL, format('by hand: %s, %s', sample, output))
FROM (VALUES ('{"inputs": {"body": "text"}, "label": true}', '{}'), ('{"inputs": {"body": "text"}}', '{"label": true}'), ('{"inputs": {"body": "text"}}', '{"score": "1"}'),
	('{"inputs": {"body": "text"}}', '{"score": 7}'), ('{"inputs": {"body": "text"}}', '{"positive": 1}'), ('{"inputs": {"body": "text"}}', '{"status": 5}')) v(sample, output);
SELECT is(by_function('half'), 'ok|0.5', 'a function that returns a number');
SELECT is(by_function('told'), 'ok|1|text|{"x": 0.25}', '... an object');
SELECT is(by_function('raises'), 'function_error|The function raised 22012: no', '... an error');
SELECT is(split_part(by_function('says_two'), '|', 1), 'unparseable', '... what is no score');
SELECT is(by_function('says_null'), 'unparseable|The function returned NULL.', '... nothing');
SELECT gepa.create_grader('rubric', 'rubric', 'test_lm', '{"criteria": [{"name": "n", "description": "d"}]}');
SELECT results_eq($$SELECT status, score FROM gepa.grade('rubric', '{"inputs": {"body": "text"}}', '{"label": "x"}')$$, $$VALUES ('ok', 0::float8)$$,
	'an LM without a network gives the lowest score');
SELECT is((SELECT count(*)::int FROM gepa.grades), 1, '... which is kept');
SELECT throws_ok($$SELECT gepa.grade('rubric', '{"inputs": {"body": "text"}}')$$, '22023', NULL, 'a grader of outputs needs one');
SELECT throws_ok(format($$SELECT gepa.grade('g', %L, %L)$$, sample, output), '22023', NULL, format('%s %s refused', sample, output))
FROM (VALUES ('{}', '{}'), ('{"inputs": {}}', '{}'), ('{"inputs": {"a": 1}}', '{}'), ('{"inputs": {"a": "b"}, "odd": 1}', '{}'), ('{"inputs": {"a": "b"}}', '{"odd": 1}'),
	('{"inputs": {"a": "b"}}', '{"status": "odd"}')) v(sample, output);

------------------------------------------------------------- runs and datasets

CREATE TABLE test_samples AS SELECT i AS k, 'text ' || i AS body, i % 2 = 0 AS label FROM generate_series(1, 60) i;
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is it good?');
SELECT throws_ok($$SELECT gepa.create_dataset('d', 'test_samples', 'k', '{body}', 'label', options => '{"graders": [{"grader": "none"}]}')$$, '42704', NULL, 'a dataset names graders that are there');
SELECT gepa.create_dataset('bare', 'test_samples', 'k', '{body}', NULL);
SELECT gepa.create_dataset('graded', 'test_samples', 'k', '{body}', NULL, options => '{"graders": [{"grader": "half"}]}');
SELECT throws_ok(format($$SELECT gepa.start('test_judge', %L, 'test_lm', 200, options => %L)$$, dataset, options), '22023', NULL, format('%s %s refused', dataset, options))
FROM (VALUES ('bare', '{}'), ('bare', '{"graders": [{"grader": "g"}]}'), ('bare', '{"graders": []}'), ('bare', '{"graders": [{"grader": "half"}, {"grader": "half"}]}'),
	('bare', '{"graders": [{"grader": "half", "weight": 0}]}'), ('bare', '{"graders": ["half"]}'), ('bare', '{"graders": [{"grader": "half"}], "examples": true}'),
	('bare', '{"graders": [{"grader": "half"}], "mode": "reference", "metric": "ranking"}')) v(dataset, options);
SELECT gepa.start('test_judge', 'graded', 'test_lm', 200) AS run \gset
SELECT results_eq(format($$SELECT options -> 'graders' -> 0 ->> 'grader', (options -> 'graders' -> 0 ->> 'weight')::int, length(options -> 'graders' -> 0 ->> 'digest') FROM gepa.runs WHERE run = %s$$, :run),
	$$VALUES ('half', 1, 64)$$, 'a run has the graders of its dataset, and what they were');
SELECT is_empty(format('SELECT * FROM gepa.samples WHERE run = %s AND label IS NOT NULL', :run), '... and no labels');
SELECT gepa.start('test_judge', 'graded', 'test_lm', 200, options => '{"metric": "confidence"}') AS run \gset
SELECT is((SELECT array_agg(n) FROM gepa.runs, jsonb_array_elements_text(notes) n WHERE run = :run AND n ~ 'metric'),
	'{"run option \"metric\" has no effect: graders take the place of the metric"}', 'a metric beside graders is told to be idle');
SELECT throws_ok($$SELECT * FROM gepa.grader_agreement('half', 'bare')$$, '22023', NULL, 'agreement is that of graders of documents');

------------------------------------------------------------------ privileges

GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO gepa_test_other;
SET LOCAL ROLE gepa_test_other;
SELECT is_empty('SELECT * FROM gepa.graders', 'a role sees its own graders');
SELECT throws_ok(sql, '42501', NULL, sql) FROM unnest(ARRAY[$$SELECT gepa.drop_grader('g')$$, $$SELECT gepa.alter_grader('g')$$,
	$$SELECT gepa.grade('g', '{"inputs": {"a": "b"}}', '{}')$$, $$SELECT gepa.create_grader('mine', 'rubric', 'test_lm', '{"criteria": [{"name": "n", "description": "d"}]}')$$]) sql;
RESET ROLE;

SELECT finish();
ROLLBACK;
