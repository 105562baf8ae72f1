--
-- Datasets: sources, columns and what they refuse.  What only shows when a
-- run is started from one is tested in test/pgtap, where workers exist.
--
\pset format unaligned
\pset tuples_only on

CREATE SCHEMA regress_curation;
CREATE TABLE regress_curation.labels (id int PRIMARY KEY, body text, "Body 2" text, keep bool, note text, part text, site text);
CREATE VIEW regress_curation.kept AS SELECT * FROM regress_curation.labels WHERE keep;

-- A table, a view, a query; columns that need quotes; feedback, split, group.
SELECT gepa.create_dataset('d_table', 'regress_curation.labels', 'id', '{body}', 'keep') > 0;
SELECT gepa.create_dataset('d_view', 'regress_curation.kept', 'id', '{body,"Body 2"}', 'keep', feedback => 'note') > 0;
SELECT gepa.create_dataset('d_query', 'SELECT id, body, keep, part FROM regress_curation.labels -- all of them',
	'id', '{body}', 'keep', split => 'part') > 0;
SELECT gepa.create_dataset('d_with', 'WITH l AS (SELECT * FROM regress_curation.labels) SELECT id, body, keep, site FROM l',
	'id', '{body}', 'keep', group_by => 'site') > 0;
SET search_path = regress_curation, public;
SELECT gepa.create_dataset('d_path', 'labels', 'id', '{body}', 'keep') > 0;
-- What begins as a query does may be a name, and the other way round.
CREATE VIEW regress_curation.selected AS TABLE regress_curation.labels;
SELECT gepa.create_dataset('d_name', 'selected', 'id', '{body}', 'keep') > 0;
SELECT gepa.create_dataset('d_comment', E'-- the good ones\nTABLE kept', 'id', '{body}', 'keep') > 0;
SELECT gepa.create_dataset('d_semicolon', 'SELECT * FROM kept ; ', 'id', '{body}', 'keep') > 0;
RESET search_path;
SELECT dataset, source, key, inputs, label, feedback, split, group_by, options FROM gepa.datasets
WHERE dataset LIKE 'd_%' ORDER BY dataset;

-- Refused.
SELECT refused('SELECT gepa.create_dataset(' || arguments || ')')
FROM (VALUES
	(1, $$'d_table', 'regress_curation.labels', 'id', '{body}', 'keep'$$),
	(2, $$'', 'regress_curation.labels', 'id', '{body}', 'keep'$$),
	(3, $$'x', '', 'id', '{body}', 'keep'$$),
	(4, $$'x', 'regress_curation.missing', 'id', '{body}', 'keep'$$),
	(5, $$'x', 'labels', 'id', '{body}', 'keep'$$),
	(6, $$'x', 'regress_curation.labels', 'missing', '{body}', 'keep'$$),
	(7, $$'x', 'regress_curation.labels', 'id', '{missing}', 'keep'$$),
	(8, $$'x', 'regress_curation.labels', 'id', '{body}', 'missing'$$),
	(9, $$'x', 'regress_curation.labels', 'id', '{body}', 'keep', feedback => 'missing'$$),
	(10, $$'x', 'regress_curation.labels', 'id', '{body}', 'keep', split => 'missing'$$),
	(11, $$'x', 'regress_curation.labels', 'id', '{body}', 'keep', group_by => 'missing'$$),
	(12, $$'x', 'regress_curation.labels', 'id', '{}', 'keep'$$),
	(13, $$'x', 'regress_curation.labels', 'id', '{body,NULL}', 'keep'$$),
	(14, $$'x', 'regress_curation.labels', 'id', NULL, 'keep'$$),
	(15, $$NULL, 'regress_curation.labels', 'id', '{body}', 'keep'$$),
	(16, $$'x', NULL, 'id', '{body}', 'keep'$$),
	(17, $$'x', 'regress_curation.labels', NULL, '{body}', 'keep'$$),
	(19, $$'x', 'regress_curation.labels', 'id', '{body}', 'keep', options => '{"colour": 1}'$$),
	(20, $$'x', 'regress_curation.labels', 'id', '{body}', 'keep', options => '[]'$$),
	(21, $$'x', 'SELECT', 'id', '{body}', 'keep'$$),
	(22, $$'x', 'SELECT id, body FROM regress_curation.labels', 'id', '{body}', 'keep'$$),
	(23, $$'x', 'DELETE FROM regress_curation.labels RETURNING *', 'id', '{body}', 'keep'$$),
	(24, $$'x', 'WITH d AS (DELETE FROM regress_curation.labels RETURNING *) SELECT * FROM d', 'id', '{body}', 'keep'$$),
	(25, $$'x', 'SELECT id, body, keep FROM regress_curation.labels; DROP TABLE regress_curation.labels', 'id', '{body}', 'keep'$$),
	(26, $$'x', 'SELECT 1 AS id) s; DROP TABLE regress_curation.labels; --', 'id', '{body}', 'keep'$$)) AS a(n, arguments)
ORDER BY n;
SELECT count(*) FROM regress_curation.labels;

-- Dropping.
SELECT refused($$SELECT gepa.drop_dataset('missing')$$);
SELECT gepa.drop_dataset(dataset) FROM gepa.datasets WHERE dataset LIKE 'd_%';
SELECT count(*) FROM gepa.datasets WHERE dataset LIKE 'd_%';
DROP VIEW regress_curation.kept, regress_curation.selected;
DROP TABLE regress_curation.labels;
DROP SCHEMA regress_curation;
