--
-- Where the judge node stands in plans, and that the rows are those without it.
--
\pset format unaligned
\pset tuples_only on

CREATE SERVER regress_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('cats', 'regress_lm', 'Is the text about "cats"?') > 0,
	gepa.create_judge('dogs', 'regress_lm', 'Is the text about "dogs"?') > 0;
CREATE TABLE regress_pages (id int PRIMARY KEY, grp int, title text, body text);
INSERT INTO regress_pages
SELECT i, i % 5, 'title ' || i, (ARRAY['on cats ', 'on dogs ', 'cats and dogs ', 'none '])[i % 4 + 1] || i
FROM generate_series(1, 40) i;
CREATE INDEX regress_pages_grp ON regress_pages (grp);
CREATE TABLE regress_notes (id int PRIMARY KEY, page int, note text);
INSERT INTO regress_notes
SELECT i, i % 10 + 1, CASE WHEN i % 3 = 0 THEN 'cats ' ELSE 'note ' END || i FROM generate_series(1, 20) i;
CREATE TABLE regress_parts (id int, body text) PARTITION BY RANGE (id);
CREATE TABLE regress_part1 PARTITION OF regress_parts FOR VALUES FROM (0) TO (10);
CREATE TABLE regress_part2 (body text, id int);
ALTER TABLE regress_parts ATTACH PARTITION regress_part2 FOR VALUES FROM (10) TO (20);
INSERT INTO regress_parts SELECT i, CASE WHEN i % 2 = 0 THEN 'cats ' ELSE 'none ' END || i FROM generate_series(1, 19) i;
ANALYZE regress_pages, regress_notes, regress_parts;

-- A statement's plan, and how many rows it has: the same as without the node.
CREATE FUNCTION pg_temp.rows_of(query text, node bool) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	line record;
	lines text[] := '{}';
BEGIN
	PERFORM set_config('gepa.enable_judge_node', node::text, true);
	FOR line IN EXECUTE query LOOP
		lines := lines || line::text;
	END LOOP;
	RETURN lines;
END
$$;
CREATE FUNCTION pg_temp.placed(query text, options text DEFAULT 'costs off') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	alone text[] := pg_temp.rows_of(query, false);
	ahead text[] := pg_temp.rows_of(query, true);
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (' || options || ') ' || query LOOP
		-- What EXPLAIN tells of judges is tested elsewhere; windows have names since 18.
		CONTINUE WHEN line ~ 'Judge: |Window: ';
		RETURN NEXT regexp_replace(line, 'OVER (\(\?\)|w1)', 'OVER w');
	END LOOP;
	RETURN NEXT cardinality(ahead) || CASE WHEN alone = ahead THEN ' rows' ELSE ' rows, NOT THE SAME' END;
END
$$;

-- Scans: conditions from the first with a call on, and the target list, go up.
SET enable_bitmapscan = off;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SELECT pg_temp.placed($$SELECT id, gepa_score('dogs', body) FROM regress_pages WHERE gepa_judge('cats', body) AND grp < 3$$, 'costs off, verbose');
SELECT pg_temp.placed($$SELECT tableoid::regclass, p, ctid FROM regress_pages p WHERE gepa_judge('cats', body)$$, 'costs off, verbose');
SELECT pg_temp.placed($$SELECT x.o FROM unnest('{cats,dogs}'::text[]) WITH ORDINALITY x(t, o) WHERE gepa_judge('cats', x.t)$$);
SELECT pg_temp.placed($$SELECT a, gepa_judge('cats', b) FROM (VALUES (1, 'cats'), (2, 'dogs')) v(a, b)$$);
SELECT pg_temp.placed($$WITH c AS MATERIALIZED (SELECT * FROM regress_pages) SELECT id FROM c WHERE gepa_judge('cats', body)$$);
SELECT pg_temp.placed($$SELECT id FROM (SELECT id, body FROM regress_pages OFFSET 3) s WHERE gepa_judge('cats', body)$$);
SELECT pg_temp.placed($$SELECT id FROM regress_pages TABLESAMPLE system (100) WHERE gepa_judge('cats', body)$$);
SELECT pg_temp.placed($$SELECT id FROM regress_pages WHERE ctid < '(0,9)' AND gepa_judge('cats', body)$$);
SELECT pg_temp.placed($$WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5 AND gepa_judge('cats', 'cats ' || n)) SELECT n FROM r$$);
SET enable_seqscan = off;
RESET enable_indexscan;
RESET enable_indexonlyscan;
SELECT pg_temp.placed($$SELECT id FROM regress_pages WHERE id < 9 AND gepa_judge('cats', 'cats ' || id)$$, 'costs off, verbose');
SET enable_indexscan = off;
SET enable_bitmapscan = on;
SELECT pg_temp.placed($$SELECT id FROM regress_pages WHERE (grp = 1 OR id < 9) AND gepa_judge('cats', body)$$);
RESET enable_seqscan;
RESET enable_indexscan;
SET enable_bitmapscan = off;

-- Joins: the node is above, for conditions of inner joins and for what comes after outer ones.
SET enable_mergejoin = off;
SET enable_nestloop = off;
SELECT pg_temp.placed($$SELECT p.id, n.id, gepa_judge('dogs', n.note) FROM regress_pages p JOIN regress_notes n ON p.id = n.page WHERE gepa_judge('cats', p.body || n.note)$$, 'costs off, verbose');
SELECT pg_temp.placed($$SELECT p.id FROM regress_pages p LEFT JOIN regress_notes n ON p.id = n.page WHERE gepa_judge('cats', coalesce(n.note, p.body))$$);
SELECT pg_temp.placed($$SELECT p.id FROM regress_pages p LEFT JOIN regress_notes n ON p.id = n.page AND gepa_judge('cats', p.body || n.note)$$);
-- A merge join goes back in its inner side, which a judge node does not.
SET enable_hashjoin = off;
SET enable_mergejoin = on;
SET enable_sort = off;
SET enable_material = off;
SELECT pg_temp.placed($$SELECT a.id, b.id FROM (SELECT * FROM regress_pages WHERE gepa_judge('cats', body)) a FULL JOIN (SELECT * FROM regress_pages WHERE gepa_judge('dogs', body)) b ON a.grp = b.grp$$);
RESET enable_sort;
RESET enable_material;
RESET enable_hashjoin;
RESET enable_nestloop;
RESET enable_bitmapscan;

-- Aggregates, windows, sets: per row read, the node is below; per row returned, above.
SELECT pg_temp.placed($$SELECT count(*) FILTER (WHERE gepa_judge('cats', body)), sum(CASE WHEN gepa_judge('dogs', body) THEN 1 END) FROM regress_pages$$);
SET enable_hashagg = off;
SELECT pg_temp.placed($$SELECT grp, gepa_judge('dogs', min(body)) FROM regress_pages GROUP BY grp HAVING gepa_judge('cats', max(body)) AND count(*) > 2$$, 'costs off, verbose');
SELECT pg_temp.placed($$SELECT id, sum(gepa_score('cats', body)) OVER (PARTITION BY grp ORDER BY id), gepa_judge('dogs', body) FROM regress_pages$$);
SELECT pg_temp.placed($$SELECT id, first_value(gepa_score('cats', body)) OVER (ORDER BY id) FROM regress_pages$$);
SELECT pg_temp.placed($$SELECT * FROM (SELECT id, row_number() OVER (ORDER BY id) AS n, gepa_judge('cats', body) FROM regress_pages) s WHERE n < 5$$);
SELECT pg_temp.placed($$SELECT id, generate_series(1, 2), gepa_judge('cats', body) FROM regress_pages$$);
SELECT pg_temp.placed($$SELECT gepa_judge('cats', body), count(*) FROM regress_pages GROUP BY 1$$);

-- A sort that the target list comes after keeps what the LIMIT needs.
SELECT pg_temp.placed($$SELECT id, gepa_judge('cats', body) FROM regress_pages ORDER BY title LIMIT 3$$);
SELECT count(*) FROM pg_temp.placed($$SELECT id, gepa_judge('cats', body) FROM regress_pages ORDER BY title LIMIT 3$$, 'analyze, costs off, timing off, summary off') p WHERE p LIKE '%top-N%';

-- Partitions, unions, subqueries.
SELECT pg_temp.placed($$SELECT id FROM regress_parts WHERE gepa_judge('cats', body)$$);
SELECT pg_temp.placed($$SELECT gepa_judge('cats', body) FROM regress_part1 UNION ALL SELECT gepa_judge('dogs', body) FROM regress_parts$$);
SELECT pg_temp.placed($$SELECT id, (SELECT count(*) FROM regress_notes WHERE page = p.id AND gepa_judge('cats', note)) FROM regress_pages p$$);

-- What changes tables; RETURNING is asked row by row.
SELECT pg_temp.placed($$UPDATE regress_pages SET title = 'x' WHERE gepa_judge('cats', body) RETURNING id, gepa_judge('dogs', body)$$);
SELECT pg_temp.placed($$DELETE FROM regress_parts WHERE gepa_judge('dogs', body) RETURNING id$$);
EXPLAIN (costs off) INSERT INTO regress_notes SELECT id, id, body FROM regress_pages WHERE gepa_judge('cats', body);
EXPLAIN (costs off) SELECT id FROM regress_pages WHERE gepa_judge('cats', body) FOR UPDATE;

-- Parallel below, never in a worker.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT pg_temp.placed($$SELECT id, gepa_judge('cats', body) FROM regress_pages WHERE id % 2 = 0$$);
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- Conditions are not moved in front of each other, so what a barrier hides stays hidden.
CREATE VIEW regress_some WITH (security_barrier) AS SELECT * FROM regress_pages WHERE grp = 1 AND gepa_judge('cats', body);
CREATE FUNCTION pg_temp.leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
	RETURN $1 LIKE '%cats%';
END
$$;
SELECT pg_temp.placed($$SELECT id FROM regress_some WHERE pg_temp.leak(body)$$);

-- Cursors go back, and can be updated through, as without the node.
BEGIN;
DECLARE regress_cursor CURSOR FOR SELECT id, gepa_judge('dogs', body) FROM regress_parts WHERE gepa_judge('cats', body);
FETCH 2 regress_cursor;
FETCH BACKWARD regress_cursor;
UPDATE regress_parts SET body = 'cats' WHERE CURRENT OF regress_cursor RETURNING tableoid::regclass, id;
MOVE 4 regress_cursor;
DELETE FROM regress_parts WHERE CURRENT OF regress_cursor RETURNING tableoid::regclass, id;
FETCH ALL regress_cursor;
FETCH BACKWARD 5 regress_cursor;
UPDATE regress_parts SET body = 'cats' WHERE CURRENT OF regress_cursor RETURNING tableoid::regclass, id;
MOVE FIRST regress_cursor;
FETCH NEXT regress_cursor;
ROLLBACK;

-- Switched off it is neither planned nor, in a cached plan, used.
PREPARE by_group(int) AS SELECT id FROM regress_pages WHERE grp = $1 AND gepa_judge('cats', body) ORDER BY id;
SET plan_cache_mode = force_generic_plan;
EXECUTE by_group(1);
SET gepa.enable_judge_node = off;
EXECUTE by_group(2);
EXPLAIN (costs off) SELECT id FROM regress_pages WHERE gepa_judge('cats', body);

DEALLOCATE by_group;
DROP VIEW regress_some;
DROP TABLE regress_pages, regress_notes, regress_parts;
SELECT gepa.drop_judge(judge) FROM gepa.judges;
DROP SERVER regress_lm;
