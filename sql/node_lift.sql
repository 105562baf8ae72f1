--
-- Plans: conditions with calls go where there is least to ask.
--
CREATE SERVER regress_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('cats', 'regress_lm', 'Is the text about "cats"?') > 0 AS created;
CREATE TABLE regress_docs (id int PRIMARY KEY, grp int, title text, body text);
INSERT INTO regress_docs SELECT i, i % 5, 'title ' || i, 'document ' || i FROM generate_series(1, 300) i;
CREATE TABLE regress_tags (doc int, tag text);
INSERT INTO regress_tags SELECT i, 'tag ' || i FROM generate_series(10, 300, 10) i;
CREATE INDEX ON regress_tags (doc);
CREATE TABLE regress_parts (id int, body text) PARTITION BY RANGE (id);
CREATE TABLE regress_parts_1 PARTITION OF regress_parts FOR VALUES FROM (0) TO (10);
CREATE TABLE regress_parts_2 (body text, id int);
ALTER TABLE regress_parts ATTACH PARTITION regress_parts_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE regress_other (id int, body text);
INSERT INTO regress_parts SELECT i, 'part ' || i FROM generate_series(0, 19) i;
CREATE INDEX ON regress_parts (id);
VACUUM ANALYZE regress_docs, regress_tags, regress_parts, regress_other;
SET max_parallel_workers_per_gather = 0;

-- Above an inner join that leaves fewer documents, whichever it is.
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (costs off, verbose)
SELECT d.id, t.tag FROM regress_docs d JOIN regress_tags t ON t.doc = d.id WHERE gepa_judge('cats', d.body);
-- ... but not one that can raise for documents that the judge would have rejected
EXPLAIN (costs off)
SELECT d.id FROM regress_docs d JOIN regress_tags t ON t.doc = 3000 / d.id WHERE gepa_judge('cats', d.body);
-- ... nor an outer join
EXPLAIN (costs off)
SELECT d.id FROM regress_docs d LEFT JOIN regress_tags t ON t.doc = d.id WHERE gepa_judge('cats', d.body);
-- ... nor what is behind a LIMIT, or an aggregate
EXPLAIN (costs off)
SELECT d.id FROM (SELECT id FROM regress_docs WHERE gepa_judge('cats', body) LIMIT 20) d JOIN regress_tags t ON t.doc = d.id;
EXPLAIN (costs off)
SELECT t.tag FROM (SELECT grp AS id, count(*) FROM regress_docs WHERE gepa_judge('cats', body) GROUP BY grp) d JOIN regress_tags t ON t.doc = d.id;
RESET enable_mergejoin;
SET enable_hashjoin = off;
EXPLAIN (costs off)
SELECT d.id, t.tag FROM regress_docs d JOIN regress_tags t ON t.doc = d.id WHERE gepa_judge('cats', d.body);
-- ... which a Sort below a LIMIT keeps where they are
SET enable_indexscan = off;
EXPLAIN (costs off)
SELECT d.id FROM regress_docs d JOIN regress_tags t ON t.doc = d.id WHERE gepa_judge('cats', d.body) LIMIT 3;
-- ... and so does one below what takes the first of several rows, or counts them
EXPLAIN (costs off)
SELECT DISTINCT ON (d.id) d.id, t.tag FROM regress_docs d JOIN regress_tags t ON t.doc = d.id WHERE gepa_judge('cats', d.body);
-- Windows have names in plans since 18.
CREATE FUNCTION pg_temp.without_names(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (costs off) ' || query LOOP
		CONTINUE WHEN line ~ '^ *Window: ';
		RETURN NEXT line;
	END LOOP;
END
$$;
SELECT pg_temp.without_names($$SELECT d.id, row_number() OVER (PARTITION BY d.id) FROM regress_docs d JOIN regress_tags t ON t.doc = d.id WHERE gepa_judge('cats', d.body)$$) AS "QUERY PLAN";
EXPLAIN (costs off)
WITH c AS MATERIALIZED (SELECT d.id FROM regress_docs d JOIN regress_tags t ON t.doc = d.id WHERE gepa_judge('cats', d.body)) SELECT id FROM c LIMIT 3;
RESET enable_indexscan;
RESET enable_nestloop;
SET enable_mergejoin = off;
EXPLAIN (costs off, verbose)
SELECT t.tag FROM regress_tags t, LATERAL (SELECT FROM regress_docs d WHERE d.id = t.doc AND gepa_judge('cats', d.body || t.tag)) s;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- Above an Append: the condition, and calls in the list.
EXPLAIN (costs off, verbose)
SELECT id FROM regress_parts WHERE gepa_judge('cats', body);
EXPLAIN (costs off, verbose)
SELECT gepa_score('cats', body), id FROM regress_parts WHERE gepa_judge('cats', body);
SET enable_sort = off;
SET enable_seqscan = off;
EXPLAIN (costs off)
SELECT id FROM regress_parts WHERE gepa_judge('cats', body) ORDER BY id;
RESET enable_sort;
RESET enable_seqscan;
EXPLAIN (costs off, verbose)
SELECT id FROM (SELECT id, body FROM regress_other WHERE id < 9 UNION ALL SELECT id, title FROM regress_docs) u WHERE gepa_judge('cats', body);
-- ... if all children have the same
EXPLAIN (costs off)
SELECT id FROM (SELECT id, body FROM regress_other UNION ALL SELECT id, lower(title) FROM regress_docs) u WHERE gepa_judge('cats', body);
EXPLAIN (costs off)
UPDATE regress_parts SET body = 'x' WHERE gepa_judge('cats', body);

-- Nothing where there is row security, or a security barrier.
SET enable_nestloop = off;
SET enable_mergejoin = off;
CREATE VIEW regress_barrier WITH (security_barrier) AS SELECT * FROM regress_docs WHERE grp < 3;
EXPLAIN (costs off)
SELECT d.id FROM regress_barrier d JOIN regress_tags t ON t.doc = d.id WHERE gepa_judge('cats', d.body);
EXPLAIN (costs off)
UPDATE regress_barrier d SET title = t.tag FROM regress_tags t WHERE t.doc = d.id AND gepa_judge('cats', d.body);
ALTER TABLE regress_docs ENABLE ROW LEVEL SECURITY;
EXPLAIN (costs off)
SELECT d.id FROM regress_docs d JOIN regress_tags t ON t.doc = d.id WHERE gepa_judge('cats', d.body);
RESET enable_nestloop;
RESET enable_mergejoin;
RESET max_parallel_workers_per_gather;

DROP TABLE regress_docs, regress_tags, regress_parts, regress_other CASCADE;
SELECT gepa.drop_judge('cats');
SET client_min_messages = warning;
DROP SERVER regress_lm CASCADE;
