/*
 * Filtering recipes: what they keep is compared with plain SQL and counted
 * exactly where it is exact; what is drawn is compared with its distribution.  All
 * is seeded, so a test passes always or never; a right program would exceed the
 * bounds with one seed in a million.  The arithmetic alone is in
 * test/unit/recipe_test.c.
 *
 * Run in a database that has the extensions pgtap and gepa.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SCHEMA test_recipes;
SET search_path = test_recipes, public;

-- Scores with many equals, and some rows without one.
CREATE TABLE pages AS
SELECT 'page ' || i AS url, round((i * 7919 % 1009) / 1009.0, 2)::float8 AS score, 10 + i * 31 % 200 AS tokens,
	(ARRAY['en', 'de', 'fr', NULL])[1 + i % 7 % 4] AS lang
FROM generate_series(1, 1000) i;
UPDATE pages SET score = NULL WHERE url LIKE '%17';
UPDATE pages SET score = 'NaN' WHERE url LIKE '%23';
CREATE VIEW scored AS SELECT * FROM pages WHERE score <> 'NaN';

-- Four rows, as a source that is quick to read again and again.
CREATE FUNCTION four() RETURNS text LANGUAGE sql IMMUTABLE AS
	$$SELECT 'VALUES (''a'', 0.1, 5), (''b'', 0.4, 7), (''c'', 0.7, 6), (''d'', 0.95, 8)'$$;
-- How far the counts of keys are from what is expected.
CREATE FUNCTION chi_square(seen text, expected jsonb) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	distance float8;
BEGIN
	EXECUTE format('SELECT sum((coalesce(n, 0) - e.value::float8) ^ 2 / e.value::float8)
		FROM jsonb_each_text(%L) e LEFT JOIN (SELECT key, count(*) AS n FROM (%s) s GROUP BY key) c ON c.key = e.key', expected, seen)
	INTO distance;
	RETURN distance;
END
$$;

------------------------------------------------------------------------ draws

SELECT is(gepa.draw('https://example.com/', 42), 0.8077604600371683::float8, 'a draw is what it was on another machine');
SELECT is(gepa.draw('a'), gepa.draw('a', 0), 'the seed is 0 by default');
SELECT is(gepa.sample_key('a', 0.7, 0, 1), 0.7::float8, 'tau 0 orders by the score');
SELECT is(gepa.sample_key('https://example.com/', 0.9, 'Infinity', 42), -ln(-ln(0.24181407763862184::float8)),
	'an infinite tau by the draw alone');
SELECT is(gepa.sample_key('https://example.com/', 0.9, 0.5, 42), 0.9 / 0.5 - ln(-ln(0.24181407763862184::float8)), 'others by both');
SELECT is(gepa.sample_key('a', NULL, 1), NULL::float8, 'without a score there is no place in the order');

-------------------------------------------------------------------- threshold

SELECT set_eq('SELECT key, score FROM gepa.keep_threshold($$pages$$, $$url$$, $$score$$, 0.9)',
	'SELECT url, score FROM scored WHERE score >= 0.9', 'threshold: what reaches it, and nothing without a score');
SELECT results_eq('SELECT score, rank FROM gepa.keep_threshold($$pages$$, $$url$$, $$score$$, 0.9)',
	'SELECT score, row_number() OVER () FROM (SELECT score FROM scored WHERE score >= 0.9 ORDER BY score DESC) s', '... best first');
SELECT is_empty('SELECT * FROM gepa.keep_threshold($$pages$$, $$url$$, $$score$$, $$Infinity$$)', '... or nothing at all');

--------------------------------------------------------------------- quantiles

SELECT is((SELECT count(*) FROM gepa.keep_quantile('scored', 'url', 'score', q)), ceil(q::numeric * (SELECT count(*) FROM scored))::bigint,
	'quantile: exactly ceil(q * n) for q = ' || q)
FROM unnest(ARRAY[0, 0.001, 0.07, 0.1, 1.0 / 3, 0.5, 0.999, 1]::float8[]) q;
SELECT results_eq('SELECT key FROM gepa.keep_quantile($$pages$$, $$url$$, $$score$$, 0.1, seed => 5) ORDER BY 1',
	$$SELECT url FROM (SELECT url, row_number() OVER (ORDER BY score DESC, gepa.draw(url, 5)) AS rank, count(*) OVER () AS n FROM scored) s
		WHERE rank <= ceil(0.1 * n) ORDER BY 1$$, '... as in plain SQL');
SELECT results_eq(
	'SELECT group_key, count(*) FROM gepa.keep_quantile($$pages$$, $$url$$, $$score$$, 0.1, $$lang$$) GROUP BY 1 ORDER BY 1',
	'SELECT lang, ceil(0.1 * count(*))::bigint FROM scored GROUP BY 1 ORDER BY 1', '... and of each group, no group among them');
-- Ten equals of which three are kept: each in three of ten seeds.
SELECT cmp_ok(chi_square($$SELECT key FROM generate_series(1, 400) seed,
		gepa.keep_quantile('SELECT i, 0.5 AS s FROM generate_series(0, 9) i', 'i', 's', 0.3, seed => seed)$$,
		(SELECT jsonb_object_agg(i, 120) FROM generate_series(0, 9) i)), '<', 45::float8, 'the seed decides between equals, evenly');
SELECT set_eq('SELECT key FROM gepa.keep_quantile($$SELECT * FROM scored ORDER BY random()$$, $$url$$, $$score$$, 0.31, seed => 9)',
	'SELECT key FROM gepa.keep_quantile($$scored$$, $$url$$, $$score$$, 0.31, seed => 9)', 'whatever the order in which rows are read');

------------------------------------------------------------------------ tokens

-- Never above the budget, and less than a document below.
SELECT is_empty($$
	WITH drawn AS (
		SELECT tau, seed, budget, sum(k.tokens) AS total, count(*) AS n
		FROM unnest(ARRAY[0, 0.05, 1, 'Infinity']::float8[]) tau, generate_series(1, 10) seed, unnest(ARRAY[2000, 50000]) budget,
			gepa.keep_tokens('pages', 'url', 'score', 'tokens', budget, tau, seed) k
		GROUP BY 1, 2, 3)
	SELECT * FROM drawn d, LATERAL (
		SELECT tokens FROM scored ORDER BY gepa.sample_key(url, score, d.tau, d.seed) DESC, score DESC, gepa.draw(url, d.seed)
		OFFSET d.n LIMIT 1) AS next
	WHERE total > budget OR total + next.tokens <= budget$$, 'tokens: the first document that does not fit is the first left out');
SELECT results_eq('SELECT key, score, tokens::int FROM gepa.keep_tokens($$pages$$, $$url$$, $$score$$, $$tokens$$, 9000, 0.1, 3)',
	$$SELECT url, score, tokens FROM (SELECT *, sum(tokens) OVER (ORDER BY gepa.sample_key(url, score, 0.1, 3) DESC) AS total FROM scored) s
		WHERE total <= 9000$$, '... as in plain SQL');
SELECT set_eq('SELECT key FROM gepa.keep_tokens($$pages$$, $$url$$, $$score$$, $$1$$, 50)',
	'SELECT key FROM gepa.keep_quantile($$pages$$, $$url$$, $$score$$, (SELECT 50.0 / count(*) FROM scored))',
	'tau 0 takes the best, and a document may count as one');
SELECT is_empty('SELECT key FROM gepa.keep_tokens($$pages$$, $$url$$, $$score$$, $$tokens$$, 3000, 0.2, 8)
	EXCEPT SELECT key FROM gepa.keep_tokens($$pages$$, $$url$$, $$score$$, $$tokens$$, 6000, 0.2, 8)', 'a larger sample contains the smaller one');
SELECT is((SELECT count(*) FROM gepa.keep_tokens('pages', 'url', 'score', 'tokens', 1000000, 1)), (SELECT count(*) FROM scored),
	'a budget for all keeps all');
SELECT is_empty('SELECT * FROM gepa.keep_tokens($$pages$$, $$url$$, $$score$$, $$tokens$$, 0, 1)', 'none for none');
-- Which of four is drawn first, and which are left when one is not drawn.
CREATE FUNCTION first_of_four(tau float8, seeds int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_object_agg(k, seeds * exp(s / tau) / (SELECT sum(exp(s / tau)) FROM unnest(ARRAY[0.1, 0.4, 0.7, 0.95]) s))
	FROM (VALUES ('a', 0.1), ('b', 0.4), ('c', 0.7), ('d', 0.95)) v(k, s)
$$;
SELECT cmp_ok(chi_square(format($$SELECT DISTINCT ON (seed) column1 AS key FROM generate_series(1, 5000) seed, (%s) four
			ORDER BY seed, gepa.sample_key(column1, column2, %L, seed) DESC$$, four(), tau), first_of_four(tau, 5000)), '<', 30.7::float8,
	'drawn with chances as exp(score / tau), tau ' || tau)
FROM unnest(ARRAY[0.2, 1, 1e9]::float8[]) tau;
SELECT cmp_ok(chi_square($$SELECT key FROM generate_series(1, 400) seed, gepa.keep_tokens(four(), 'column1', 'column2', '1', 1, 0.2, seed)$$,
	first_of_four(0.2, 400)), '<', 30.7::float8, '... in one call as well');
SELECT cmp_ok(chi_square($$SELECT key FROM generate_series(1, 400) seed, gepa.keep_tokens(four(), 'column1', 'column2', '1', 3, 'Infinity', seed)$$,
	'{"a": 300, "b": 300, "c": 300, "d": 300}'), '<', 30.7::float8, 'an infinite tau draws evenly');

------------------------------------------------------------------------ quotas

CREATE FUNCTION quota(shares jsonb, budget bigint DEFAULT NULL, left_over text DEFAULT 'leave', OUT lang text, OUT total bigint)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT group_key, sum(tokens)::bigint FROM gepa.keep_quota('pages', 'url', 'score', 'tokens', 'lang', shares, budget, 0.1, 2, left_over) GROUP BY 1
$$;
SELECT is((SELECT count(*) FILTER (WHERE total <= want AND total > want - 210) FROM quota('{"en": 0.5, "de": 0.3, "xx": 0.1}', 20000)
		JOIN (VALUES ('en', 10000), ('de', 6000)) AS w(lang, want) USING (lang)), 2::bigint, 'quota: each within a document of its share');
SELECT set_eq('SELECT lang FROM quota($${"en": 0.5, "de": 0.3}$$, 20000)', ARRAY['en', 'de'], '... and others get nothing');
SELECT set_eq('SELECT * FROM quota($${"en": 10000, "de": 6000}$$)', 'SELECT * FROM quota($${"en": 0.5, "de": 0.3}$$, 20000)',
	'shares of a budget, or tokens');
SELECT set_eq($$SELECT key FROM gepa.keep_quota('pages', 'url', 'score', 'tokens', 'lang', '{"en": 0.5, "de": 0.3}', 20000, 0.1, 2) WHERE group_key = 'en'$$,
	$$SELECT key FROM gepa.keep_tokens('SELECT * FROM pages WHERE lang = ''en''', 'url', 'score', 'tokens', 10000, 0.1, 2)$$,
	'in a group it is a sample by tokens');
SELECT is((SELECT count(*) FILTER (WHERE total BETWEEN 4790 AND 5000) FROM quota(NULL, 20000)), 4::bigint, 'all the same without shares');
SELECT is((SELECT sum(total)::bigint FROM quota('{"fr": 0.8, "en": 0.1, "de": 0.1}', 40000, 'leave') WHERE lang = 'fr'),
	(SELECT sum(tokens) FROM scored WHERE lang = 'fr'), 'a group may be too small for its share');
SELECT cmp_ok((SELECT sum(total)::int FROM quota('{"fr": 0.8, "en": 0.1, "de": 0.1}', 40000)), '<', 40000 - 3 * 210, '... which is left over');
SELECT cmp_ok((SELECT sum(total)::int FROM quota('{"fr": 0.8, "en": 0.1, "de": 0.1}', 40000, 'share')), '>', 40000 - 3 * 210, '... or shared');
SELECT cmp_ok((SELECT max(total) - min(total) FROM quota('{"fr": 0.8, "en": 0.1, "de": 0.1}', 40000, 'share') WHERE lang <> 'fr')::int, '<', 210,
	'... by the shares of the others');
SELECT cmp_ok((SELECT sum(total)::int FROM quota('{"en": 0.2, "xx": 0.8}', 10000, 'share')), '>', 10000 - 210, '... that of a group without rows, too');

------------------------------------------------------------------------- tiers

SELECT results_eq(
	'SELECT copies, count(*) FROM gepa.keep_tiers($$pages$$, $$url$$, $$score$$, $${4,2,1,0}$$) GROUP BY 1 ORDER BY 1 DESC',
	$$SELECT (ARRAY[4, 2, 1])[tier], count(*) FROM (SELECT ntile(4) OVER (ORDER BY score DESC) AS tier FROM scored) t WHERE tier < 4 GROUP BY 1 ORDER BY 1 DESC$$,
	'tiers: of equal size, the worst one gone');
SELECT set_eq('SELECT key, copies FROM gepa.keep_tiers($$pages$$, $$url$$, $$score$$, $${2.5,0.5}$$, $$lang$$, 6)',
	$$SELECT url, copies FROM (SELECT url, gepa.copies(url, (ARRAY[2.5, 0.5])[ntile(2) OVER (PARTITION BY lang ORDER BY score DESC, gepa.draw(url, 6))], 6) AS copies
		FROM scored) s WHERE copies > 0$$, '... by group, and as in plain SQL');
-- binomial, 4.9 standard deviations
SELECT cmp_ok(abs((SELECT sum(gepa.copies('key ' || i, 2.3, 1)) FROM generate_series(1, 100000) i)::float8 - 230000), '<', 710::float8,
	'2.3 copies are 2.3 on average');

------------------------------------------------------------------- corpus rate

SELECT is(round(rate::numeric, 9) || ' ' || round(low::numeric, 9) || ' ' || round(high::numeric, 9), '0.300000000 0.243670435 0.356006952',
	'the rate of a corpus, corrected for what the judge gets wrong') FROM gepa.corpus_rate(3100, 10000, 80, 20, 180, 20);
SELECT is(r, ROW(NULL::float8, NULL::float8, NULL::float8, 'the judge is no better than chance on the labelled rows'::text)::record, 'or why there is none')
FROM gepa.corpus_rate(50, 100, 5, 5, 5, 5) r;

----------------------------------------------------------------------- sources

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is the text about "page 1"?');
SELECT set_eq($$SELECT key FROM gepa.keep_threshold('pages', 'url', 'gepa_score(''test_judge'', url)', 0.5)$$,
	$$SELECT url FROM pages WHERE gepa_judge('test_judge', url)$$, 'a score may be a call of a judge');
CREATE TABLE "Odd Table" ("The Key" int, s numeric);
INSERT INTO "Odd Table" VALUES (1, 0.5), (2, 0.7);
SELECT results_eq($$SELECT key FROM gepa.keep_threshold('"Odd Table"', '"Odd Table"."The Key" -- why', 's', 0.1)$$, ARRAY['2', '1'], 'names may be quoted');

CREATE ROLE test_stranger;
GRANT USAGE ON SCHEMA test_recipes TO test_stranger;
ALTER TABLE pages ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_german ON pages USING (lang = 'de');
SET ROLE test_stranger;
SELECT throws_ok($$SELECT * FROM gepa.keep_threshold('pages', 'url', 'score', 0)$$, '42501', NULL, 'a source is read with the rights of the caller');
RESET ROLE;
GRANT SELECT ON pages TO test_stranger;
SET ROLE test_stranger;
SELECT set_eq($$SELECT group_key FROM gepa.keep_quantile('pages', 'url', 'score', 0.5, 'lang')$$, ARRAY['de'], '... and of the rows that he sees');
RESET ROLE;

SET LOCAL work_mem = '64kB';
SELECT is((SELECT count(*) FROM gepa.keep_quantile('SELECT i, gepa.draw(i::text) AS s FROM generate_series(1, 40000) i', 'i', 's', 0.25, 'i % 10')),
	10000::bigint, 'what does not fit into memory goes through files');
SELECT is((SELECT count(*) FROM gepa.keep_quota('SELECT i, gepa.draw(i::text) AS s FROM generate_series(1, 40000) i', 'i', 's', '1', 'i % 1000', budget => 20000)),
	20000::bigint, '... for quotas of many groups, too');

---------------------------------------------------------------------- refusals

SELECT throws_ok(format('SELECT * FROM gepa.%s', call), code, message, message)
FROM (VALUES
	($$keep_threshold('missing', 'url', 'score', 0)$$, '42P01', 'relation "missing" does not exist'),
	($$keep_threshold('DELETE FROM pages RETURNING *', 'url', 'score', 0)$$, '42601', 'the source must be one query'),
	($$keep_threshold('pages', 'url', 'score, tokens', 0)$$, '42601', '"score" must be one expression'),
	($$keep_threshold('pages', 'url FROM pages', 'score', 0)$$, '42601', '"key" must be one expression'),
	($$keep_threshold('pages', 'url; DELETE FROM pages', 'score', 0)$$, '42601', '"key" must be one expression'),
	($$keep_threshold('pages', 'url', 'score), (tokens', 0)$$, '42601', 'syntax error at or near ")"'),
	($$keep_threshold('pages', 'url) FROM pages WHERE (true', 'score', 0)$$, '42601', 'syntax error at or near ")"'),
	($$keep_threshold('pages', 'url); DELETE FROM pages; SELECT (1', 'score', 0)$$, '42601', 'syntax error at or near ")"'),
	($$keep_threshold('pages', 'lang', 'score', -1)$$, '22004', 'the key of a row is null'),
	($$keep_threshold('pages', 'url', 'score', NULL)$$, '22004', 'argument "threshold" must not be null'),
	($$keep_threshold('pages', 'url', 'score', 'NaN')$$, '22023', '"threshold" must be a number'),
	($$keep_quantile('pages', 'url', 'score', 1.1)$$, '22023', '"q" must be between 0 and 1'),
	($$keep_tiers('pages', 'url', 'score', '{}')$$, '22023', '"copies" must not be empty'),
	($$keep_tiers('pages', 'url', 'score', '{2,-1}')$$, '22023', 'a number of copies must be between 0 and 1000000'),
	($$keep_tokens('pages', 'url', 'score', 'NULL', 10)$$, '22004', 'the tokens of row "page 521" are null'),
	($$keep_tokens('pages', 'url', 'score', '-1', 10)$$, '22023', 'the tokens of row "page 521" are negative'),
	($$keep_tokens('pages', 'url', 'score', '1', -10)$$, '22023', '"budget" must not be negative'),
	($$keep_tokens('pages', 'url', 'score', '1', 10, -0.1)$$, '22023', '"tau" must not be negative'),
	($$keep_quota('pages', 'url', 'score', '1', 'lang')$$, '22023', 'there are neither "shares" nor a "budget"'),
	($$keep_quota('pages', 'url', 'score', '1', 'lang', '{"en": 0.6, "de": 0.6}', 10)$$, '22023', 'the shares sum up to more than 1'),
	($$keep_quota('pages', 'url', 'score', '1', 'lang', '{"en": "half"}', 10)$$, '22023', 'the values of "shares" must be numbers'),
	($$keep_quota('pages', 'url', 'score', '1', 'lang', '[1]', 10)$$, '22023', '"shares" must be a JSON object that is not empty'),
	($$keep_quota('pages', 'url', 'score', '1', 'lang', '{"en": -1}')$$, '22023', 'a share must not be negative'),
	($$keep_quota('pages', 'url', 'score', '1', 'lang', '{"en": 1}', 10, left_over => 'burn')$$, '22023', '"left_over" cannot be "burn"'),
	($$corpus_rate(2, 1, 1, 1, 1, 1)$$, '22023', 'more rows are positive than have a verdict'),
	($$draw('a', 1) d, gepa.copies('a', -1)$$, '22023', 'a number of copies must be between 0 and 1000000')) AS r(call, code, message);

SELECT finish();
ROLLBACK;
