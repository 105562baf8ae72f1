/*
 * What two versions of a judge make of the same documents: gepa.diff() and
 * gepa.flips() beside the same found by plain SQL from verdicts written by hand.
 *
 * Run in a database that has the extensions pgtap and gepa, on a server that
 * has the library preloaded.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_judge', 'test_lm', 'How good is it?', '{good,fair,bad}', '{good,fair}');
SELECT gepa.alter_judge('test_judge', 'How good is it, really?');
SELECT gepa.alter_judge('test_judge', options => '{"threshold": 0.9}');

-- Digests of documents as docs/verdicts.md tells how to make them.
CREATE FUNCTION digest(body text) RETURNS bytea LANGUAGE sql AS
	$$SELECT sha256(convert_to(octet_length(body) || ':' || body || ';', 'UTF8'))$$;
CREATE SCHEMA test_data;
CREATE TABLE test_data.pages (site text, id int, body text, PRIMARY KEY (site, id));
INSERT INTO test_data.pages SELECT 'site ' || i % 3, i, 'page ' || i FROM generate_series(1, 1000) i;
INSERT INTO test_data.pages VALUES ('site 9', 1, 'page 12'), ('site 9', 2, NULL), ('site 9', 3, 'nobody judged it');

-- Labels by the digits of the number; version 2 has not seen every seventh page.
CREATE TABLE test_data.truth AS
SELECT i, digest('page ' || i) AS digest,
	(ARRAY['good', 'fair', 'bad'])[1 + i % 3] AS label_a, (i % 101) / 100.0 AS score_a,
	(ARRAY['good', 'fair', 'bad'])[1 + (i + (i % 10 = 0)::int) % 3] AS label_b, (i % 53) / 52.0 AS score_b,
	i % 7 = 0 AS unseen
FROM generate_series(1, 1000) i;
CREATE FUNCTION put(v int, payer regrole, every int, logprobs bool) RETURNS void LANGUAGE sql AS $$
	INSERT INTO gepa.verdict (verdict_digest, payer, digest, judge, version, label, score, from_logprobs, reasoning,
		input_tokens, output_tokens, cost, latency_ms, chars_seen, chars_total)
	SELECT n.verdict_digest, payer, t.digest, n.judge, v, CASE v WHEN 1 THEN label_a ELSE label_b END,
		CASE v WHEN 1 THEN score_a ELSE score_b END, logprobs, 'reason ' || v || ' of ' || i, 1, 1, 0, 1, 1, 1
	FROM test_data.truth t, gepa.judge_version n JOIN gepa.judge j USING (judge)
	WHERE j.name = 'test_judge' AND n.version = v AND NOT (v = 2 AND unseen) AND i % every = 0
$$;
SELECT put(1, current_user::regrole, 1, false), put(2, current_user::regrole, 1, false);

CREATE VIEW test_data.expected AS
SELECT i, digest, label_a, label_b, score_a, score_b,
	CASE WHEN label_a = 'bad' AND label_b <> 'bad' THEN 'gained' WHEN label_a <> 'bad' AND label_b = 'bad' THEN 'lost'
		WHEN label_a <> label_b THEN 'relabelled' ELSE 'same' END AS direction
FROM test_data.truth WHERE NOT unseen;

------------------------------------------------------------------ documents

SELECT results_eq($$SELECT direction, label_a, label_b, n FROM gepa.diff('test_judge', 1, 2)$$,
	$$SELECT direction, label_a, label_b, count(*) FROM test_data.expected GROUP BY 1, 2, 3
		ORDER BY array_position('{gained,lost,relabelled,same}', direction), 4 DESC, array_position('{good,fair,bad}', label_a)$$,
	'counts by direction and labels, flips first, the largest first');
SELECT is((SELECT sum(n) FROM gepa.diff('test_judge', 1, 2)), 858::numeric, 'they add up to what both have judged');
SELECT is((SELECT round(sum(share)::numeric, 12) FROM gepa.diff('test_judge', 1, 2)), 1.0::numeric, '... and the shares to one');
SELECT results_eq($$SELECT direction, unnest(examples) FROM gepa.diff('test_judge', 1, 2, examples => 4) WHERE direction <> 'same'$$,
	$$SELECT direction, encode(digest, 'hex') FROM (SELECT *, row_number() OVER (PARTITION BY direction ORDER BY abs(score_b - score_a) DESC,
			encode(digest, 'hex') COLLATE "C") AS place FROM test_data.expected) e
		WHERE direction <> 'same' AND place <= 4 ORDER BY direction, place$$,
	'examples are those whose score moved furthest');
SELECT is((SELECT max(cardinality(examples)) FROM gepa.diff('test_judge', 1, 2, examples => 0)), 0, 'none on demand');
SELECT is((SELECT examples FROM gepa.diff('test_judge', 1, 1) WHERE label_a = 'good'), '{}', 'what stays the same has none');

SELECT set_eq($$SELECT digest, direction, label_a, label_b, positive_a, positive_b, score_a, score_b, reasoning_a, reasoning_b
		FROM gepa.flips('test_judge', 1, 2) WHERE key IS NULL$$,
	$$SELECT encode(digest, 'hex'), direction, label_a, label_b, label_a <> 'bad' AS pa, label_b <> 'bad' AS pb, score_a::float8, score_b::float8,
		'reason 1 of ' || i AS ra, 'reason 2 of ' || i AS rb FROM test_data.expected WHERE direction <> 'same'$$,
	'flips one by one, with scores and reasons of both');
SELECT set_eq($$SELECT digest, direction, label_a, label_b, reasoning_a FROM gepa.flips('test_judge', 2, 1)$$,
	$$SELECT encode(digest, 'hex'), CASE direction WHEN 'gained' THEN 'lost' WHEN 'lost' THEN 'gained' ELSE direction END AS direction, label_b, label_a,
		'reason 2 of ' || i FROM test_data.expected WHERE direction <> 'same'$$,
	'the other way round');
SELECT is_empty($$SELECT * FROM gepa.flips('test_judge', 1, 1)$$, 'no version differs from itself');

----------------------------------------------------------------------- rows

SELECT results_eq($$SELECT direction, label_a, label_b, n FROM gepa.diff('test_judge', 1, 2, 'test_data.pages', 'site, id', 'body', 'site < ''site 3''')$$,
	$$SELECT direction, label_a, label_b, n FROM gepa.diff('test_judge', 1, 2)$$, 'the rows of a table are counted the same');
SELECT is((SELECT sum(n) FROM gepa.diff('test_judge', 1, 2, 'test_data.pages', document => 'body')), 859::numeric,
	'two rows with one document are two; those without a verdict or a document are none');
SELECT set_eq($$SELECT key, digest, direction, label_a, label_b, reasoning_a, reasoning_b
		FROM gepa.flips('test_judge', 1, 2, 'test_data.pages', 'site, id', 'body', 'id > 500')$$,
	$$SELECT '("site ' || i % 3 || '",' || i || ')' AS key, encode(digest, 'hex'), direction, label_a, label_b, 'reason 1 of ' || i AS ra, 'reason 2 of ' || i AS rb
		FROM test_data.expected WHERE direction <> 'same' AND i > 500$$,
	'rows that flip have their key');
SELECT results_eq($$SELECT unnest(examples) FROM gepa.diff('test_judge', 1, 2, 'test_data.pages', 'id', 'body', 'id = 10 AND site < ''site 3''') WHERE direction <> 'same'$$,
	ARRAY['10'], '... in examples as well');
SELECT is((SELECT count(*) FROM gepa.flips('test_judge', 1, 2, 'test_data.pages', 'id', 'jsonb_build_object(''document'', body)', 'site < ''site 3''')),
	(SELECT count(*) FROM gepa.flips('test_judge', 1, 2)), 'documents may be jsonb');

------------------------------------------------------------------ thresholds

-- Versions 2 and 3 share their verdicts.
SELECT is_empty($$SELECT * FROM gepa.flips('test_judge', 2, 3)$$, 'without log-probabilities a threshold changes nothing');
DELETE FROM gepa.verdict WHERE judge = (SELECT id FROM gepa.judges WHERE judge = 'test_judge');
SELECT put(2, current_user::regrole, 1, true);
SELECT set_eq($$SELECT digest, direction, label_a = label_b AS l, score_a = score_b AS s FROM gepa.flips('test_judge', 2, 3)$$,
	$$SELECT encode(digest, 'hex'), 'lost', true AS l, true AS s FROM test_data.truth WHERE NOT unseen AND score_b >= 0.5 AND score_b < 0.9$$,
	'what another threshold makes of one score');

---------------------------------------------------------------------- roles

CREATE ROLE test_other;
GRANT USAGE ON SCHEMA test_data TO test_other;
SELECT put(1, current_user::regrole, 1, false), put(1, 'test_other', 5, false), put(2, 'test_other', 5, false);
SET ROLE test_other;
SELECT is((SELECT sum(n) FROM gepa.diff('test_judge', 1, 2)), 172::numeric, 'a role compares what it has paid for');
SELECT throws_ok($$SELECT * FROM gepa.diff('test_judge', 1, 2, 'test_data.pages', 'id', 'body')$$, '42501', NULL, '... and needs the right to read a source');
RESET ROLE;
ALTER TABLE test_data.pages ENABLE ROW LEVEL SECURITY;
CREATE POLICY part ON test_data.pages USING (id <= 100);
GRANT SELECT ON test_data.pages TO test_other;
SET ROLE test_other;
SELECT is((SELECT sum(n) FROM gepa.diff('test_judge', 1, 2, 'test_data.pages', 'id', 'body')), 18::numeric, '... whose row security holds');
RESET ROLE;

-------------------------------------------------------------------- refusals

SELECT throws_ok(format('SELECT * FROM gepa.diff(%s)', arguments), state, NULL, arguments)
FROM (VALUES
	($$'test_nobody', 1, 2$$, '42704'),
	($$'test_judge', 1, 4$$, '42704'),
	($$'test_judge', 0, 2$$, '22023'),
	($$'test_judge', 1, NULL$$, '22004'),
	($$'test_judge', 1, 2, 'test_data.pages'$$, '22023'),
	($$'test_judge', 1, 2, key => 'id'$$, '22023'),
	($$'test_judge', 1, 2, 'test_data.nothing', 'id', 'body'$$, '42P01'),
	($$'test_judge', 1, 2, 'test_data.pages', 'id', 'nothing'$$, '42703'),
	($$'test_judge', 1, 2, 'test_data.pages', 'id', 'body) FROM test_data.pages; DELETE FROM test_data.pages --'$$, '42601'),
	($$'test_judge', 1, 2, 'test_data.pages', 'id', 'body', 'true) ORDER BY (1'$$, '42601'),
	($$'test_judge', 1, 2, 'test_data.pages', 'id), (site', 'body'$$, '42601'),
	($$'test_judge', 1, 2, 'test_data.pages', 'id', 'jsonb_build_object(''text'', body)'$$, '22023'),
	($$'test_judge', 1, 2, examples => 101$$, '22023')) AS t(arguments, state);
SELECT is((SELECT count(*) FROM test_data.pages), 1003::bigint, 'and nothing was changed');

SELECT finish();
ROLLBACK;
