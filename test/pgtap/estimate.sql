/*
 * What judging a table will take: gepa.estimate() beside the truth, which plain
 * SQL finds; how often its intervals cover that, over fixed seeds; and what the
 * figures are made of.
 *
 * Run in a database that has the extensions pgtap and gepa, on a server that
 * has the library preloaded.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (api 'canned', model 'canned', max_concurrency '8', input_price '2', output_price '10');
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is it good?', options => '{"max_chars": 600}');
CREATE FUNCTION digest(body text) RETURNS bytea LANGUAGE sql AS
	$$SELECT sha256(convert_to(octet_length(body) || ':' || body || ';', 'UTF8'))$$;

-- Rows that came together are alike: in length, and in whether they were judged.  Many blocks.
CREATE SCHEMA test_data;
CREATE TABLE test_data.pages (id int, lang text, body text) PARTITION BY RANGE (id) ;
CREATE TABLE test_data.early PARTITION OF test_data.pages FOR VALUES FROM (MINVALUE) TO (12000) WITH (fillfactor = 20);
CREATE TABLE test_data.late PARTITION OF test_data.pages FOR VALUES FROM (12000) TO (MAXVALUE) WITH (fillfactor = 20);
INSERT INTO test_data.pages
SELECT i, CASE WHEN hashint4(i) % 3 = 0 THEN 'en' ELSE 'de' END,
	'page ' || i || ' ' || repeat('x', 20 + abs(hashint4(i / 200)) % 700 + abs(hashint4(i)) % 200)
FROM generate_series(1, 20000) i;
DELETE FROM test_data.pages WHERE id BETWEEN 5000 AND 6000 OR hashint4(id + 1) % 10 = 0;
CREATE FUNCTION is_judged(id int) RETURNS bool LANGUAGE sql IMMUTABLE AS
	$$SELECT abs(hashint4(id / 300)) % 5 < 2 AND abs(hashint4(id + 7)) % 10 < 9$$;
CREATE FUNCTION estimate(of text, VARIADIC args text[]) RETURNS numeric[] LANGUAGE plpgsql AS $$
DECLARE figures numeric[];
BEGIN
	EXECUTE format('SELECT ARRAY[value, low, high]::numeric[] FROM gepa.estimate(''test_judge'', %s) WHERE item = %L',
		array_to_string(args, ', '), of) INTO figures;
	RETURN figures;
END $$;

-------------------------------------------------------------- nothing stored

CREATE TABLE test_data.few AS SELECT i AS id, 'text ' || i % 50 AS body FROM generate_series(1, 80) i;
INSERT INTO test_data.few VALUES (81, NULL);
SELECT results_eq($$SELECT item, unit FROM gepa.estimate('test_judge', 'test_data.few', 'body')$$,
	$$VALUES ('rows', 'rows'), ('stored', 'share'), ('to_judge', 'calls'), ('input_tokens', 'tokens'), ('output_tokens', 'tokens'),
		('cost', 'money'), ('hours', 'hours')$$, 'its items');
SELECT results_eq($$SELECT value::int, low::int, high::int, basis FROM gepa.estimate('test_judge', 'test_data.few', 'body') LIMIT 3$$,
	$$VALUES (81, 81, 81, 'counted'), (0, 0, 0, '81 rows looked up'),
		(50, 50, 50, '81 rows looked up; 30 of them have the document of another one, and are one call with it')$$,
	'where all rows are looked at their number is certain, and copies are one call');
SELECT ok(value BETWEEN 50 * 50 AND 50 * 300 AND low < value AND high > value AND basis LIKE 'a guess%', 'tokens are guessed, and said to be')
FROM gepa.estimate('test_judge', 'test_data.few', 'body') WHERE item = 'input_tokens';
SELECT is(estimate('output_tokens', $$'test_data.few'$$, '$$body$$')::text, '{500,250,1500}', '... those of answers as well');
SELECT is(estimate('rows', $$'test_data.few'$$, '$$body$$', $$'id <= 10'$$)::text, '{10,10,10}', 'with a filter');
SELECT is((SELECT value FROM gepa.estimate('test_judge', 'test_data.few', 'body', 'false') WHERE item = 'hours'), 0::float8, 'no rows take no time');
SELECT is((SELECT count(*) FROM gepa.lm_calls WHERE lm = 'test_lm' AND ended_at >= now()), 0::bigint, 'nothing was sent');

--------------------------------------------------------------------- sampled

INSERT INTO gepa.verdict (verdict_digest, payer, digest, judge, version, label, score, from_logprobs, input_tokens, output_tokens,
	cost, latency_ms, chars_seen, chars_total)
SELECT n.verdict_digest, current_user::regrole, digest(body), n.judge, 1, 'true', 1, false,
	100 + least(length(body), 600) / 4, 5 + id % 3, 0, 200 + id % 100, least(length(body), 600), length(body)
FROM test_data.pages, gepa.judge_version n JOIN gepa.judge j USING (judge)
WHERE j.name = 'test_judge' AND is_judged(id);

CREATE TABLE test_data.truth AS
SELECT lang, count(*) AS rows, avg(is_judged(id)::int) AS stored, count(*) FILTER (WHERE NOT is_judged(id)) AS to_judge,
	sum(100 + least(length(body), 600) / 4) FILTER (WHERE NOT is_judged(id)) AS input_tokens
FROM test_data.pages GROUP BY GROUPING SETS ((), lang);
CREATE TABLE test_data.drawn (lang text, seed int, item text, low float8, high float8);
INSERT INTO test_data.drawn
SELECT l.lang, seed, e.item, e.low, e.high
FROM (VALUES (NULL), ('en')) AS l(lang), generate_series(1, 60) seed,
	gepa.estimate('test_judge', 'test_data.pages', 'body', 'lang = ' || quote_literal(l.lang), 150, jsonb_build_object('seed', seed)) e;

SELECT matches((SELECT basis FROM gepa.estimate('test_judge', 'test_data.pages', 'body', sample => 150) LIMIT 1), 'counted in 150 of \d\d\d\d blocks',
	'of a large table blocks are drawn');
SELECT is(estimate('input_tokens', $$'test_data.pages'$$, '$$body$$'), estimate('input_tokens', $$'test_data.pages'$$, '$$body$$'),
	'one seed draws the same again');
SELECT isnt(estimate('input_tokens', $$'test_data.pages'$$, '$$body$$', 'NULL', '150'),
	estimate('input_tokens', $$'test_data.pages'$$, '$$body$$', 'NULL', '150', $$'{"seed": 1}'$$), '... another one others');
-- 57 of sixty should; with fixed seeds it is always the same number.
SELECT cmp_ok(count(*) FILTER (WHERE (to_jsonb(t) ->> d.item)::float8 BETWEEN d.low AND d.high), '>=', 54::bigint,
	format('%s%s: intervals of 60 seeds cover the truth', d.item, ' where lang = ' || d.lang))
FROM test_data.drawn d JOIN test_data.truth t ON t.lang IS NOT DISTINCT FROM d.lang
WHERE d.item IN ('rows', 'stored', 'to_judge', 'input_tokens') GROUP BY d.lang, d.item ORDER BY d.lang, d.item;
CREATE VIEW test_data.shown AS SELECT * FROM test_data.pages;
SELECT is(estimate('rows', $$'test_data.shown'$$, '$$body$$')::text, (SELECT format('{%1$s,%1$s,%1$s}', rows) FROM test_data.truth WHERE lang IS NULL),
	'the rows of a view are counted');
SELECT ok((SELECT low <= t.input_tokens AND t.input_tokens <= high AND (high - low) / value < 0.15
	FROM gepa.estimate('test_judge', 'test_data.shown', 'body', sample => 1000) WHERE item = 'input_tokens'), 'and its tokens estimated')
FROM test_data.truth t WHERE lang IS NULL;
SELECT ok((SELECT low = high AND abs(value - t.to_judge) < 0.5
	FROM gepa.estimate('test_judge', 'test_data.shown', 'body', sample => 100000) WHERE item = 'to_judge'), 'a sample of all rows is certain')
FROM test_data.truth t WHERE lang IS NULL;

-- What the rest is made of.
CREATE TEMP TABLE figures AS SELECT * FROM gepa.estimate('test_judge', 'test_data.shown', 'body', sample => 100000);
SELECT is(abs(f.value / t.input_tokens - 1) < 0.01, true, 'tokens by what stored verdicts took for their characters') FROM figures f, test_data.truth t
WHERE f.item = 'input_tokens' AND t.lang IS NULL;
SELECT is(abs(f.value / t.to_judge - 6) < 0.2, true, 'tokens of answers likewise') FROM figures f, test_data.truth t
WHERE f.item = 'output_tokens' AND t.lang IS NULL;
SELECT is(round(c.value::numeric, 6), round(((i.value * 2 + o.value * 10) / 1e6)::numeric, 6), 'money is tokens by the prices of the LM')
FROM figures c, figures i, figures o WHERE c.item = 'cost' AND i.item = 'input_tokens' AND o.item = 'output_tokens';
SELECT is(abs(f.value * 3600 / (t.to_judge * 0.25 / 8) - 1) < 0.03, true, 'hours are those of as many calls at a time as the LM may have') FROM figures f, test_data.truth t
WHERE f.item = 'hours' AND t.lang IS NULL;
SELECT is_empty($$SELECT * FROM figures WHERE item IN ('input_tokens', 'output_tokens', 'hours') AND basis NOT LIKE '%1000 stored verdicts of version 1'$$, 'and says so');

ALTER SERVER test_lm OPTIONS (ADD requests_per_minute '60');
SELECT is(abs(value * 3600 / t.to_judge - 1) < 0.01, true, '... and no more in a minute')
FROM gepa.estimate('test_judge', 'test_data.shown', 'body', sample => 100000), test_data.truth t WHERE item = 'hours' AND t.lang IS NULL;
ALTER SERVER test_lm OPTIONS (DROP requests_per_minute);

-- Another version has nothing stored.
SELECT gepa.alter_judge('test_judge', 'Is it really good?');
SELECT is(estimate('stored', $$'test_data.few'$$, '$$body$$')::text, '{0,0,0}', 'the current version');
SELECT ok((estimate('stored', $$'test_data.pages'$$, '$$body$$', 'NULL', '1000', $$'{"version": 1}'$$))[1] > 0.2, '... or another one');

---------------------------------------------------------------- roles, refusals

CREATE ROLE test_other;
GRANT USAGE ON SCHEMA test_data TO test_other;
SET ROLE test_other;
SELECT throws_ok($$SELECT * FROM gepa.estimate('test_judge', 'test_data.few', 'body')$$, '42501', 'permission denied for LM "test_lm"', 'it is for who may call');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER test_lm TO test_other;
SET ROLE test_other;
SELECT throws_ok($$SELECT * FROM gepa.estimate('test_judge', 'test_data.pages', 'body')$$, '42501', 'permission denied for table pages', '... and read the table');
RESET ROLE;
GRANT SELECT ON test_data.pages TO test_other;
ALTER TABLE test_data.pages ENABLE ROW LEVEL SECURITY;
CREATE POLICY part ON test_data.pages USING (lang = 'en');
SET ROLE test_other;
SELECT ok(value / 1.1 < (SELECT count(*) FROM test_data.pages) AND value * 1.1 > (SELECT count(*) FROM test_data.pages),
	'... whose row security holds') FROM gepa.estimate('test_judge', 'test_data.pages', 'body', sample => 300) WHERE item = 'rows';
SELECT is((SELECT value FROM gepa.estimate('test_judge', 'test_data.pages', 'body', options => '{"version": 1}') WHERE item = 'stored'), 0::float8,
	'another''s verdicts are not counted');
RESET ROLE;

SELECT throws_ok(format('SELECT * FROM gepa.estimate(%s)', arguments), state, NULL, arguments)
FROM (VALUES
	($$'test_nobody', 'test_data.few', 'body'$$, '42704'),
	($$'test_judge', 'test_data.few', 'body', options => '{"version": 3}'$$, '42704'),
	($$'test_judge', 'test_data.few', 'body', options => '{"version": "1"}'$$, '22023'),
	($$'test_judge', 'test_data.few', 'body', options => '{"seed": 0.5}'$$, '22023'),
	($$'test_judge', 'test_data.few', 'body', options => '{"workers": 1}'$$, '22023'),
	($$'test_judge', 'test_data.few', 'body', sample => 99$$, '22023'),
	($$'test_judge', 'test_data.few', 'body', sample => 100001$$, '22023'),
	($$'test_judge', 'test_data.none', 'body'$$, '42P01'),
	($$'test_judge', 'SELECT 1', 'body'$$, '42602'),
	($$'test_judge', 'test_data.few', 'nothing'$$, '42703'),
	($$'test_judge', 'test_data.few', 'body', 'true; DELETE FROM test_data.few'$$, '42601'),
	($$'test_judge', 'test_data.few', 'body', 'id'$$, '42804'),
	($$'test_judge', NULL, 'body'$$, '22004')) AS t(arguments, state);

SELECT finish();
ROLLBACK;
