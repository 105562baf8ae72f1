--
-- Plans: a judge is asked last, never while planning, and not in workers.
--
CREATE SERVER regress_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('cats', 'regress_lm', 'Is the text about "cats"?') > 0 AS created;
CREATE TABLE regress_pages (id int, lang text, body text);
INSERT INTO regress_pages SELECT i, 'en', 'page ' || i FROM generate_series(1, 100) i;
ANALYZE regress_pages;

-- The cheap condition comes first, wherever it is written.
EXPLAIN (costs off)
SELECT id FROM regress_pages WHERE gepa_judge('cats', body) AND lang = 'en';
EXPLAIN (costs off)
SELECT id, gepa_score('cats', body) FROM regress_pages WHERE lang = 'en' ORDER BY id LIMIT 3;

-- Constant arguments are not folded, and planning makes no call.
EXPLAIN (costs off)
SELECT id FROM regress_pages WHERE gepa_judge('cats', 'a constant text about cats');
PREPARE by_lang(text) AS SELECT id FROM regress_pages WHERE lang = $1 AND gepa_judge('cats', body);
EXPLAIN (costs off) EXECUTE by_lang('en');
SELECT count(*) FROM gepa.verdicts;

-- A LIMIT pays for little more than it needs.
SELECT count(*) FROM (SELECT FROM regress_pages WHERE NOT gepa_judge('cats', body) LIMIT 2) p;
SELECT stored(2) BETWEEN 2 AND 8 AS few;

-- Not pushed into parallel workers.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (costs off)
SELECT count(*) FROM regress_pages WHERE gepa_judge('cats', body);
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- What EXPLAIN shows is no secret.
CREATE USER MAPPING FOR CURRENT_USER SERVER regress_lm OPTIONS (api_key 'secret-key-9');
EXPLAIN (costs off, verbose)
SELECT gepa_judge('cats', body) FROM regress_pages;

DEALLOCATE by_lang;
DROP TABLE regress_pages;
SELECT gepa.drop_judge('cats');
SET client_min_messages = warning;
DROP SERVER regress_lm CASCADE;
