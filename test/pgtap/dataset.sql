/*
 * Datasets as a run sees them: what may be a source, whose rights and search
 * path it is read with, how columns become fields, and how rare labels, groups,
 * copies and examples share out over the splits.  What is refused is in
 * start.sql and sql/dataset.sql.
 *
 * Run in a database that has the extensions pgtap and gepa, on a server that
 * has the library preloaded.  Everything is rolled back, so no run begins.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is the text about "cats"?');
SELECT gepa.create_judge('test_fields', 'test_lm', 'Is the text about "cats"?', options => '{"inputs": ["title", "body"]}');

CREATE SCHEMA test_data;
CREATE TABLE test_data.samples (k int, "The Body" text, title text, label bool, note text, part text, site text) PARTITION BY RANGE (k);
CREATE TABLE test_data.low PARTITION OF test_data.samples FOR VALUES FROM (MINVALUE) TO (50);
CREATE TABLE test_data.high PARTITION OF test_data.samples FOR VALUES FROM (50) TO (MAXVALUE);
INSERT INTO test_data.samples
SELECT i, 'text number ' || i, 'title ' || i, i % 2 = 0, nullif('note ' || i % 3, 'note 0'),
	CASE WHEN i <= 40 THEN 'Train' WHEN i <= 60 THEN 'validation' ELSE 'TEST' END, 'site ' || i / 5
FROM generate_series(1, 100) i;
CREATE VIEW test_data.shown AS SELECT k, "The Body", label FROM test_data.samples;
CREATE MATERIALIZED VIEW test_data.kept AS TABLE test_data.shown;

CREATE FUNCTION start_on(source text, inputs text[] DEFAULT '{"The Body"}', judge text DEFAULT 'test_judge', feedback text DEFAULT NULL,
	split text DEFAULT NULL, group_by text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM gepa.drop_dataset(dataset) FROM gepa.datasets WHERE dataset = 'test_set';
	PERFORM gepa.create_dataset('test_set', source, 'k', inputs, 'label', feedback, split, group_by);
	RETURN gepa.start(judge, 'test_set', 'test_lm', 2000, options => options);
END
$$;
CREATE FUNCTION notes(of int) RETURNS SETOF text LANGUAGE sql AS 'SELECT jsonb_array_elements_text(notes) FROM gepa.runs WHERE run = of';
CREATE FUNCTION spread(of int, what text DEFAULT '%') RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(split || ' ' || n, ', ' ORDER BY split)
	FROM (SELECT split, count(*) AS n FROM gepa.samples WHERE run = of AND label LIKE what GROUP BY split) s
$$;

---------------------------------------------------------------------- sources

SELECT results_eq(format($$SELECT sample::int, inputs ->> 'document', label FROM gepa.samples WHERE run = %s ORDER BY 1$$, start_on(source)),
	$$SELECT k, "The Body", label::text FROM test_data.samples ORDER BY 1$$, source)
FROM unnest(ARRAY['test_data.samples', 'test_data.shown', 'test_data.kept', 'TABLE test_data.samples',
	'SELECT k, "The Body", label FROM test_data.samples ORDER BY random() -- a query']) source;

SELECT start_on('test_data.samples', feedback => 'note', split => 'part', group_by => 'site') AS run \gset
SELECT results_eq(format('SELECT sample::int, split, feedback, group_key FROM gepa.samples WHERE run = %s ORDER BY 1', :run),
	$$SELECT k, CASE lower(part) WHEN 'validation' THEN 'val' ELSE lower(part) END, note, site FROM test_data.samples ORDER BY 1$$,
	'split, feedback and group are taken along; splits in any case');
SELECT results_eq(format('SELECT * FROM notes(%s)', :run),
	ARRAY['samples: train 40 (true 20, false 20), val 20 (true 10, false 10), test 40 (true 20, false 20)'], 'the sizes are noted');

SELECT results_eq(format('SELECT inputs FROM gepa.samples WHERE run = %s AND sample = ''7''', start_on('test_data.samples', inputs, 'test_fields')),
	ARRAY[expected], name)
FROM (VALUES
	('{title,"The Body"}'::text[], '{"title": "title 7", "body": "text number 7"}'::jsonb, 'columns with other names fill the fields in order'),
	('{"The Body",title}', '{"title": "text number 7", "body": "title 7"}', '... whatever order that is')) AS t(inputs, expected, name);
SELECT results_eq(format('SELECT inputs FROM gepa.samples WHERE run = %s AND sample = ''7''',
	start_on('SELECT k, label, title, "The Body" AS body FROM test_data.samples', '{body,title}', 'test_fields')),
	ARRAY['{"title": "title 7", "body": "text number 7"}'::jsonb], 'columns that have the names of the fields fill these');

-- The search path is that of the dataset, the rights are its owner's.
SET LOCAL search_path = test_data, public;
SELECT gepa.create_dataset('test_path', 'SELECT * FROM samples', 'k', '{"The Body"}', 'label');
RESET search_path;
SELECT lives_ok($$SELECT gepa.start('test_judge', 'test_path', 'test_lm', 2000)$$, 'a query is read under the search path it was named under');
CREATE ROLE test_owner;
GRANT USAGE ON SCHEMA test_data TO test_owner;
GRANT SELECT ON test_data.shown TO test_owner;
SET ROLE test_owner;
SELECT gepa.create_dataset('test_theirs', 'test_data.shown', 'k', '{"The Body"}', 'label');
RESET ROLE;
REVOKE SELECT ON test_data.shown FROM test_owner;
SELECT throws_ok($$SELECT gepa.start('test_judge', 'test_theirs', 'test_lm', 2000)$$, '42501', NULL, 'a superuser''s start reads a source as its owner');
ALTER TABLE test_data.samples RENAME COLUMN title TO heading;
SELECT gepa.create_dataset('test_gone', 'test_data.samples', 'k', '{heading}', 'label');
ALTER TABLE test_data.samples RENAME COLUMN heading TO title;
SELECT throws_ok($$SELECT gepa.start('test_judge', 'test_gone', 'test_lm', 2000)$$, '42703', NULL, 'a column that is gone since');

---------------------------------------------------------------------- sharing

-- Rare labels: a tenth of the rows, and as few as the splits are.
SELECT start_on('SELECT k, "The Body", k % 10 = 0 AS label FROM test_data.samples') AS run \gset
SELECT is(spread(:run, 'true'), 'test 3, train 4, val 3', 'a rare label has its share of every split');
SELECT is(spread(:run, 'false'), 'test 27, train 36, val 27', '... and so has the other');
SELECT is(spread(start_on('SELECT k, "The Body", k <= 3 AS label FROM test_data.samples'), 'true'), 'test 1, train 1, val 1', 'three samples of a label suffice');
SELECT throws_ok($$SELECT start_on('SELECT k, "The Body", k <= 2 AS label FROM test_data.samples')$$, '22023',
	'label "true" has no sample in split "test" of dataset "test_set"', '... two do not');
SELECT is(spread(start_on('SELECT k, "The Body", k <= 2 AS label FROM test_data.samples', options => '{"split": {"train": 0.5, "val": 0.5}}'), 'true'),
	'train 1, val 1', '... but for two splits');

-- A label of the judge that no sample has asks for nothing.
SELECT gepa.create_judge('test_scale', 'test_lm', 'How good?', labels => '{0,1,2}', positive => '{1,2}');
SELECT lives_ok($$SELECT start_on('SELECT k, "The Body", k % 2 AS label FROM test_data.samples', judge => 'test_scale')$$, 'a label may be missing altogether');
SELECT throws_ok($$SELECT start_on('SELECT k, "The Body", k % 2 + 1 AS label FROM test_data.samples', judge => 'test_scale')$$, '22023',
	'dataset "test_set" has no negative sample', '... but not a side');

-- Groups of very different size, some tied together by a common document.
SELECT start_on($$SELECT k, CASE WHEN k IN (20, 70) THEN 'the same text' ELSE "The Body" END AS "The Body", label,
	CASE WHEN k <= 30 THEN 'large' ELSE site END AS site FROM test_data.samples$$, group_by => 'site') AS run \gset
SELECT is((SELECT max(n) FROM (SELECT count(DISTINCT split) AS n FROM gepa.samples WHERE run = :run GROUP BY group_key) g), 1::bigint, 'groups stay together');
SELECT is((SELECT count(DISTINCT split) FROM gepa.samples WHERE run = :run AND group_key IN ('large', 'site 14')), 1::bigint,
	'... and so do two that share a document');
SELECT is((SELECT count(DISTINCT split) FROM gepa.samples WHERE run = :run), 3::bigint, '... while every split has some');

-- Copies: noted, with what was moved and what contradicts itself.
SELECT start_on($$SELECT k, CASE WHEN k IN (1, 3, 41, 63) THEN 'copied' WHEN k IN (81, 82) THEN 'contradicted' ELSE "The Body" END AS "The Body",
	label, part FROM test_data.samples$$, split => 'part') AS run \gset
SELECT results_eq(format('SELECT * FROM notes(%s) OFFSET 1', :run),
	ARRAY['4 samples repeat the document of another; copies are kept in one split, and 2 samples were moved for that', '1 documents have copies with different labels'],
	'copies and contradictions are noted');
SELECT is((SELECT string_agg(DISTINCT split, ',') FROM gepa.samples WHERE run = :run AND inputs ->> 'document' = 'copied'), 'train', '... copies follow train');
SELECT is((SELECT string_agg(DISTINCT split, ',') FROM gepa.samples WHERE run = :run AND inputs ->> 'document' = 'contradicted'), 'test',
	'... what is in one split only stays there');
SELECT start_on($$SELECT k, 'text ' || k % 50 AS "The Body", (k % 50) % 2 = 0 AS label FROM test_data.samples$$) AS run \gset
SELECT is((SELECT count(*) FROM (SELECT FROM gepa.samples WHERE run = :run GROUP BY digest HAVING count(DISTINCT split) > 1) d), 0::bigint,
	'copies are not parted by a draw either');

-- What the judge shows already it cannot be tested on.
SELECT gepa.create_judge('test_shown', 'test_lm', 'Is it?', options => jsonb_build_object('examples',
	(SELECT jsonb_agg(jsonb_build_object('document', "The Body", 'label', label::text)) FROM test_data.samples WHERE k % 10 = 7)));
SELECT start_on('test_data.samples', judge => 'test_shown', options => '{"max_examples": 10}') AS run \gset
SELECT is((SELECT string_agg(split || ' ' || sample, ', ' ORDER BY sample::int) FROM gepa.samples WHERE run = :run AND sample LIKE '%7' AND split <> 'train'),
	NULL, 'examples of the seed are put in train');
SELECT start_on('test_data.samples') AS plain \gset
SELECT is((SELECT count(*) FROM gepa.samples a JOIN gepa.samples b USING (sample)
	WHERE a.run = :run AND b.run = :plain AND a.split <> b.split AND sample NOT LIKE '%7'), 0::bigint, '... and move no other sample');

SELECT finish();
ROLLBACK;
