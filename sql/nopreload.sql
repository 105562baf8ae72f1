--
-- Without shared_preload_libraries: what needs a worker says so, and verdicts
-- are written by the query's own transaction when it commits.  (A server that
-- has the library preloaded is tested in test/t; its output here is
-- nopreload_1.out.)
--
\pset format unaligned
\pset tuples_only on
SELECT current_setting('shared_preload_libraries') ~ 'gepa' AS preloaded \gset
\if :preloaded
SELECT 'preloaded';
\quit
\endif

CREATE SERVER regress_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('cats', 'regress_lm', 'Is the text about "cats"?') > 0;
CREATE TABLE regress_labels AS
SELECT i AS id, 'text ' || i AS body, i % 2 = 0 AS keep FROM generate_series(1, 20) i;
SELECT gepa.create_dataset('labels', 'regress_labels', 'id', '{body}', 'keep') > 0;

-- Functions that need a worker.
SELECT refused(s) FROM (VALUES
	(1, $$SELECT gepa.start('cats', 'labels', 'regress_lm', 100)$$),
	(2, $$SELECT gepa.optimize('cats', 'labels', 'regress_lm', 100)$$),
	(3, $$SELECT gepa.start('cats', 'labels', NULL, 100)$$),
	(4, $$SELECT gepa.create_schedule('s', 'cats', 'labels', 'regress_lm', every => '1 day')$$),
	(5, $$SELECT gepa.watch_dataset('cats', 'labels', 'regress_lm', 20)$$),
	(6, $$SELECT gepa.enable_schedule('missing')$$)) AS t(n, s) ORDER BY n;
-- Functions on runs that are not there.
SELECT refused(s) FROM (VALUES
	(1, $$SELECT gepa.wait(0)$$),
	(2, $$SELECT gepa.stop(0)$$),
	(3, $$SELECT gepa.resume(0)$$),
	(4, $$SELECT gepa.deploy(0)$$),
	(5, $$SELECT gepa.deploy(NULL)$$),
	(6, $$SELECT gepa.wait(NULL)$$),
	(7, $$SELECT gepa.start(NULL, 'labels', 'regress_lm', 100)$$),
	(8, $$SELECT gepa.start('cats', 'labels', 'regress_lm', NULL)$$),
	(9, $$SELECT gepa.start('cats', 'labels', 'regress_lm', 100, options => '[]')$$),
	(10, $$SELECT gepa.report('cats')$$),
	(11, $$SELECT gepa.report('cats', 'labels')$$),
	(12, $$SELECT gepa.report('missing')$$)) AS t(n, s) ORDER BY n;
SELECT count(*) FROM gepa.runs;

-- A verdict is known within its statement, within its transaction, and after
-- commit, when it is stored; a rollback leaves it to the session.
SELECT count(*), count(*) FILTER (WHERE (v).cached)
FROM (SELECT gepa_verdict('cats', 'same text') FROM generate_series(1, 3)) AS s(v);
BEGIN;
SELECT (gepa_verdict('cats', 'to be kept')).cached;
SELECT (gepa_verdict('cats', 'to be kept')).cached;
COMMIT;
SELECT (gepa_verdict('cats', 'to be kept')).cached;
SELECT count(*) AS stored FROM gepa.verdicts \gset
BEGIN;
SELECT (gepa_verdict('cats', 'to be rolled back')).label;
SELECT count(*) - :stored FROM gepa.verdicts;
ROLLBACK;
SELECT count(*) - :stored FROM gepa.verdicts;

-- Where nothing may be written, the verdict is given all the same.
BEGIN READ ONLY;
SELECT gepa_judge('cats', 'cats in a read-only transaction');
COMMIT;
SELECT count(*) - :stored FROM gepa.verdicts;

-- In a subtransaction that is rolled back, and in a cursor.
BEGIN;
SAVEPOINT s;
SELECT gepa_judge('cats', 'in a savepoint');
ROLLBACK TO s;
SELECT gepa_judge('cats', 'after a savepoint');
COMMIT;
SELECT count(*) - :stored FROM gepa.verdicts;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM regress_labels WHERE NOT gepa_judge('cats', body) ORDER BY id;
FETCH 2 FROM c;
COMMIT;

SELECT gepa.drop_judge('cats');
SELECT gepa.drop_dataset('labels');
DROP TABLE regress_labels;
DROP SERVER regress_lm;
