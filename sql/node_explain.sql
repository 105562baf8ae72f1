--
-- The judge node in EXPLAIN: what it is going to ask, and what it will take.  The
-- provider "canned" answers at once; what takes time is in test/t/042_node_explain.pl.
--
LOAD 'gepa';
CREATE SERVER regress_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (
	api 'canned', model 'canned', input_price '1000', output_price '2000', max_concurrency '10');
SELECT gepa.create_judge('cats', 'regress_lm', 'Is the text about "cats"?') > 0 AS created;
SELECT gepa.create_judge('dogs', 'regress_lm', 'Is the text about "dogs"?', options => '{"reasoning": true}') > 0 AS created;
CREATE TABLE regress_pages (id int, body text);
INSERT INTO regress_pages SELECT i, CASE WHEN i % 4 = 0 THEN 'cats ' ELSE 'dogs ' END || i FROM generate_series(1, 100) i;
ANALYZE regress_pages;

-- What a plan says of its judges, as rows; costs are the planner's.
CREATE FUNCTION judges(query text, options text DEFAULT 'COSTS ON')
RETURNS TABLE (judge jsonb) LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE format('EXPLAIN (FORMAT JSON, %s) %s', options, query) INTO plan;
	RETURN QUERY SELECT j FROM jsonb_path_query(plan, 'strict $.**.Judges[*]') j;
END
$$;

-- Nothing is known: a third of the rows, and tokens by the prompt and the width of documents.
SELECT judge FROM judges($$SELECT id FROM regress_pages WHERE gepa_judge('cats', body)$$);
-- The second judge is asked what the first lets pass; the same call is one.
SELECT judge ->> 'Name' AS judge, judge ->> 'Expected Rows' AS rows
FROM judges($$SELECT id, gepa_score('cats', body), gepa_judge('dogs', body), gepa_score('dogs', 'x' || body)
	FROM regress_pages WHERE gepa_judge('cats', body)$$);
EXPLAIN (COSTS OFF)
SELECT id, gepa_score('dogs', body) FROM regress_pages WHERE id < 50 AND gepa_judge('cats', body);
-- A judge that is named by the row is not known before.
EXPLAIN (COSTS OFF)
SELECT id FROM regress_pages WHERE gepa_judge(body, body);
SELECT count(*) FROM gepa.verdicts;

-- What is stored is not asked again, and tells what the rest will take.
SELECT count(*) FROM regress_pages WHERE gepa_judge('cats', body);
SELECT stored(100);
\c -
LOAD 'gepa';
SELECT judge - 'Expected Time' AS judge FROM judges($$SELECT id FROM regress_pages WHERE gepa_judge('cats', body)$$);
INSERT INTO regress_pages SELECT i, 'cats and dogs ' || i FROM generate_series(101, 150) i;
ANALYZE regress_pages;
SELECT judge - 'Expected Time' AS judge FROM judges($$SELECT id FROM regress_pages WHERE gepa_judge('cats', body)$$);

-- And what was done.
SELECT judge -> 'Requests' AS requests, judge -> 'Stored' AS stored, judge -> 'Coalesced' AS coalesced, judge -> 'Wasted' AS wasted,
	judge -> 'Failures' AS failures, judge -> 'Input Tokens' > '0' AS input, judge -> 'Cost' > '0' AS cost, judge ? 'Latency P95' AS latency
FROM judges($$SELECT gepa_judge('cats', body), gepa_judge('cats', 'of ' || id % 2) FROM regress_pages$$, 'ANALYZE, TIMING OFF');

-- Who may not use the LM is told what the query says, and no more.
CREATE ROLE regress_gepa_reader;
GRANT SELECT ON regress_pages TO regress_gepa_reader;
GRANT EXECUTE ON FUNCTION gepa_judge(text, text) TO regress_gepa_reader;
SET ROLE regress_gepa_reader;
EXPLAIN (COSTS OFF)
SELECT id FROM regress_pages WHERE gepa_judge('cats', body);
SELECT judge FROM judges($$SELECT id FROM regress_pages WHERE gepa_judge('cats', body)$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER regress_lm TO regress_gepa_reader;
SET ROLE regress_gepa_reader;
-- Who may has verdicts of their own.
SELECT judge -> 'Version' AS version, judge -> 'Model' AS model, judge -> 'Expected Stored' AS stored
FROM judges($$SELECT id FROM regress_pages WHERE gepa_judge('cats', body)$$);
RESET ROLE;
-- Nothing of the endpoint is shown, nor what is in documents.
SELECT count(*) FROM judges($$SELECT id FROM regress_pages WHERE gepa_judge('cats', body)$$, 'ANALYZE, VERBOSE, BUFFERS')
WHERE judge::text ~ 'http:|api_key|dogs 1';

-- Switched off it is not there.
SET gepa.enable_judge_node = off;
EXPLAIN (COSTS OFF)
SELECT id FROM regress_pages WHERE gepa_judge('cats', body);
RESET gepa.enable_judge_node;

DROP OWNED BY regress_gepa_reader;
DROP ROLE regress_gepa_reader;
DROP FUNCTION judges;
DROP TABLE regress_pages;
SELECT gepa.drop_judge(judge) FROM gepa.judges;
DROP SERVER regress_lm;
