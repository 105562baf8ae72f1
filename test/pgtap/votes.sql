/*
 * Judges whose verdict is voted on, and that say how much a model is to think: options,
 * what is refused, versions, what a verdict shows.
 *
 * Run in a database that has the extensions pgtap and gepa.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
CREATE SERVER test_frozen FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned', temperature '0.0');
CREATE SERVER test_short FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'openai', base_url 'http://localhost/v1', model 'm', max_tokens '100');
CREATE SERVER test_tool FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'anthropic', base_url 'http://localhost/v1', model 'm', structured_output 'tool');
CREATE SERVER test_gemini FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'gemini', base_url 'http://localhost/v1beta', model 'm');

-- Message of creating a judge, or 'made'.
CREATE FUNCTION made(options jsonb, lm name DEFAULT 'test_lm') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM gepa.create_judge('test_try', lm, 'Is it about "cats"?', options => options);
	RAISE SQLSTATE 'MADE0';
EXCEPTION WHEN others THEN
	RETURN CASE SQLSTATE WHEN 'MADE0' THEN 'made' ELSE SQLSTATE || ' ' || SQLERRM END;
END $$;

-------------------------------------------------- options

SELECT is(made(o::jsonb), 'made', o) FROM unnest(ARRAY['{"votes": 1}', '{"votes": 100}', '{"votes": null, "effort": null}', '{"effort": "low"}',
	'{"thinking_budget": 0}', '{"effort": "high", "thinking_budget": 1000000, "votes": 5}']) o;
SELECT is(made(o::jsonb), format('22023 invalid value for judge option "%s"', k), o) FROM (VALUES ('{"votes": 0}', 'votes'), ('{"votes": 101}', 'votes'),
	('{"votes": 2.5}', 'votes'), ('{"votes": "3"}', 'votes'), ('{"effort": "very much"}', 'effort'), ('{"effort": ""}', 'effort'), ('{"effort": 1}', 'effort'),
	('{"thinking_budget": -1}', 'thinking_budget'), ('{"thinking_budget": 1000001}', 'thinking_budget'), ('{"thinking_budget": "x"}', 'thinking_budget')) v(o, k);
SELECT matches(made('{"votes": 3}', 'test_frozen'), '^22023 .*temperature 0', 'votes need an LM that samples');
SELECT is(made('{"votes": 1}', 'test_frozen'), 'made', 'one answer does not');
SELECT matches(made('{"thinking_budget": 100}', 'test_short'), '^22023 .*max_tokens, 100,', 'a budget leaves room for the answer');
SELECT is(made('{"thinking_budget": 99}', 'test_short'), 'made', 'and may leave little');
SELECT matches(made('{"thinking_budget": 1024}', 'test_tool'), '^22023 .*call a tool', 'a model that is made to call a tool cannot think');
SELECT is(made('{"thinking_budget": 0}', 'test_tool'), 'made', 'and can be told not to');
SELECT matches(made('{"thinking_budget": 1024, "effort": "low"}', 'test_gemini'), '^22023 .*not both', 'gemini takes an effort or a budget');

-------------------------------------------------- versions

SELECT gepa.create_judge('test_cats', 'test_lm', 'Is it about "cats"?');
SELECT is((SELECT options - '{votes,effort,thinking_budget}'::text[] = options FROM gepa.judge_versions WHERE judge = 'test_cats'), true, 'nothing is stored where nothing is said');
SELECT is(gepa.alter_judge('test_cats', options => '{"votes": 3, "effort": "low", "thinking_budget": 5}'), 2, 'a version that votes');
SELECT is((SELECT options ->> 'votes' || '|' || (options ->> 'effort') || '|' || (options ->> 'thinking_budget') FROM gepa.judge_versions
	WHERE judge = 'test_cats' AND version = 2), '3|low|5', 'has its options');
SELECT is(gepa.alter_judge('test_cats', prompt => 'Is this about "cats"?'), 3, 'and keeps them in the next one');
SELECT is((SELECT options ->> 'votes' FROM gepa.judge_versions WHERE judge = 'test_cats' AND version = 3), '3', '... votes and all');
SELECT is(gepa.alter_judge('test_cats', options => '{"votes": null, "effort": null, "thinking_budget": null}', prompt => 'Is it about "cats"?'), 1, 'without them it is the first one again');

-------------------------------------------------- verdicts

SELECT gepa.alter_judge('test_cats', options => '{"votes": 3}');
SELECT is((SELECT to_jsonb(v) FROM (SELECT label, positive, score > 0.83 AND score < 0.84 AS share, votes, thinking FROM gepa_verdict('test_cats', 'cats')) v),
	'{"label": "true", "positive": true, "share": true, "votes": ["true", "true"], "thinking": null}', 'two of three votes decide');
SELECT gepa.create_judge('test_once', 'test_lm', 'Is it about "cats"?');
SELECT is((SELECT input_tokens FROM gepa_verdict('test_cats', 'my cats')), (SELECT 2 * input_tokens FROM gepa_verdict('test_once', 'my cats')), 'tokens are sums');
SELECT is(gepa_judge('test_cats', 'dogs'), false, 'a predicate');
SELECT is(gepa_judge('test_cats', ARRAY['cats and', 'dogs and']), '{t,f}', 'arrays');
SELECT is((SELECT array_agg(t ORDER BY t) FROM unnest(ARRAY['cats 1', 'dogs 2', 'cats 3']) t WHERE gepa_judge('test_cats', t)), '{"cats 1","cats 3"}', 'a condition');

-------------------------------------------------- metric confidence

CREATE TABLE test_labels AS SELECT i AS id, CASE WHEN i % 2 = 0 THEN 'cats ' ELSE 'dogs ' END || i AS body, (i % 2 = 0)::text AS keep FROM generate_series(1, 40) i;
SELECT gepa.create_dataset('test_labels', 'test_labels', 'id', '{body}', 'keep');
CREATE FUNCTION started(options jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM gepa.start('test_cats', 'test_labels', 'test_lm', 10, options => options);
	RAISE SQLSTATE 'MADE0';
EXCEPTION WHEN others THEN
	RETURN CASE SQLSTATE WHEN 'MADE0' THEN 'started' ELSE SQLSTATE || ' ' || SQLERRM END;
END $$;
SELECT is(started(o::jsonb), '22023 invalid value for run option "confidence"', o) FROM unnest(ARRAY['{"metric": "confidence", "confidence": 1}',
	'{"metric": "confidence", "confidence": {"blend": "cubic"}}', '{"metric": "confidence", "confidence": {"blend": "linear", "steepness": 2}}',
	'{"metric": "confidence", "confidence": {"threshold": 0}}', '{"confidence": {}}']) o;

SELECT * FROM finish();
ROLLBACK;
