/*
 * Starting a run: what gepa.start() refuses and why, how samples are split,
 * and what the run keeps of them.  Everything happens in one transaction that
 * is rolled back, so no worker ever sees these runs.
 *
 * Run in a database that has the extensions pgtap and gepa, on a server that
 * has the library preloaded.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
CREATE SERVER test_dear_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is the text about "cats"?');
SELECT gepa.create_judge('test_fields', 'test_lm', 'Is the text about "cats"?', options => '{"inputs": ["title", "body"]}');

-- SQLSTATE, message, detail and hint of a refusal, on one line.
CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'accepted';
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	IF coalesce(hint, '') = '' THEN
		hint := 'NO HINT';
	END IF;
	RETURN code || ' ' || message || ' / ' || detail || ' / ' || hint;
END
$$;

-- Start a run on a query with the columns k, body, label, part, site.
CREATE FUNCTION start_on(query text, options jsonb DEFAULT '{}', budget int DEFAULT 500,
	judge text DEFAULT 'test_judge', lm name DEFAULT 'test_lm', split text DEFAULT NULL,
	group_by text DEFAULT NULL, inputs text[] DEFAULT '{body}') RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM gepa.drop_dataset(dataset) FROM gepa.datasets WHERE dataset = 'test_set';
	PERFORM gepa.create_dataset('test_set', query, 'k', inputs, 'label', split => split, group_by => group_by);
	RETURN gepa.start(judge, 'test_set', lm, budget, options => options);
END
$$;

CREATE TABLE test_samples AS
SELECT i AS k, 'text number ' || i AS body, (i % 2 = 0)::text AS label,
	CASE WHEN i <= 20 THEN 'train' WHEN i <= 30 THEN 'val' ELSE 'test' END AS part,
	'site ' || i / 4 AS site
FROM generate_series(1, 40) i;

-------------------------------------------------------------------- refusals

SELECT matches(refusal(format('SELECT start_on(%L, split => %L)', query, split)), pattern, name)
FROM (VALUES
	(1, 'fewer than 10 samples', 'SELECT * FROM test_samples LIMIT 9', NULL, '^22023 .*10'),
	(2, 'no samples', 'SELECT * FROM test_samples WHERE false', NULL, '^22023 .*10'),
	(3, 'NULL key', 'SELECT nullif(k, 7) AS k, body, label FROM test_samples', NULL, '^22023 .*key.*null'),
	(4, 'duplicate keys', 'SELECT k % 20 AS k, body, label FROM test_samples', NULL, '^22023 .*key.*duplicate'),
	(5, 'NULL label', 'SELECT k, body, nullif(label, ''true'') AS label FROM test_samples', NULL, '^22023 .*label.*null'),
	(6, 'label that is none of the judge''s', 'SELECT k, body, CASE k WHEN 3 THEN ''maybe'' ELSE label END AS label FROM test_samples',
		NULL, '^22023 .*maybe'),
	(7, 'NULL input', 'SELECT k, nullif(body, ''text number 3'') AS body, label FROM test_samples', NULL, '^22023 .*body.*empty.*3'),
	(8, 'blank input', 'SELECT k, CASE k WHEN 3 THEN '' '' ELSE body END AS body, label FROM test_samples', NULL,
		'^22023 .*body.*empty.*3'),
	(9, 'one class only', 'SELECT k, body, ''true'' AS label FROM test_samples', NULL, '^22023 .*(label|class|negative)'),
	(10, 'class missing in validation', 'SELECT * FROM test_samples WHERE NOT (part = ''val'' AND label = ''true'')', 'part',
		'^22023 .*true.*val'),
	(11, 'class missing in training', 'SELECT * FROM test_samples WHERE NOT (part = ''train'' AND label = ''false'')', 'part',
		'^22023 .*false.*train'),
	(12, 'class missing in test', 'SELECT * FROM test_samples WHERE NOT (part = ''test'' AND label = ''false'')', 'part',
		'^22023 .*false.*test'),
	(13, 'no validation rows', 'SELECT * FROM test_samples WHERE part <> ''val''', 'part', '^22023 .*val'),
	(14, 'no training rows', 'SELECT * FROM test_samples WHERE part <> ''train''', 'part', '^22023 .*train'),
	(15, 'unknown split', 'SELECT k, body, label, ''holdout'' AS part FROM test_samples', 'part', '^22023 .*holdout'),
	(16, 'NULL split', 'SELECT k, body, label, nullif(part, ''val'') AS part FROM test_samples', 'part', '^22023 .*split.*null'),
	(17, 'a source that writes', 'SELECT k, body, label, set_config(''a.b'', ''c'', false) FROM test_samples; DROP TABLE test_samples',
		NULL, '^42601')
) AS t(n, name, query, split, pattern)
ORDER BY n;

SELECT matches(refusal(statement), pattern, name)
FROM (VALUES
	(1, 'unknown judge', $$SELECT gepa.start('missing', 'test_set', 'test_lm', 500)$$, '^42704 .*missing'),
	(2, 'unknown dataset', $$SELECT gepa.start('test_judge', 'missing', 'test_lm', 500)$$, '^42704 .*missing'),
	(3, 'unknown reflection LM', $$SELECT start_on('TABLE test_samples', lm => 'missing')$$, '^42704 .*missing'),
	(4, 'unknown task LM', $$SELECT start_on('TABLE test_samples', '{"task_lm": "missing"}')$$, '^42704 .*missing'),
	(5, 'too few inputs', $$SELECT start_on('TABLE test_samples', judge => 'test_fields')$$, '^22023 .*input'),
	(6, 'too many inputs', $$SELECT start_on('TABLE test_samples', inputs => '{body,site}')$$, '^22023 .*input'),
	(7, 'budget of nothing', $$SELECT start_on('TABLE test_samples', budget => 0)$$, '^22023 .*budget'),
	(8, 'negative budget', $$SELECT start_on('TABLE test_samples', budget => -1)$$, '^22023 .*budget'),
	(9, 'budget below validation', $$SELECT start_on('TABLE test_samples', '{"mode": "reference", "hard_budget": true}', 5)$$, '^22023 .*budget.*[0-9]'),
	(10, 'options that are no object', $$SELECT start_on('TABLE test_samples', '[]')$$, '^22023 .*object'),
	(11, 'nothing to tune', $$SELECT start_on('TABLE test_samples', '{"max_examples": 0}', lm => NULL)$$, '^22023 nothing can be tuned .*max_examples')
) AS t(n, name, statement, pattern)
ORDER BY n;

SELECT matches(refusal(format('SELECT start_on(%L, %L)', 'TABLE test_samples', options)), pattern, 'option ' || options)
FROM (VALUES
	(1, '{"colour": 1}', '^22023 .*colour.*minibatch_size'),
	(2, '{"minibatch_size": 0}', '^22023 .*minibatch_size'),
	(3, '{"minibatch_size": "3"}', '^22023 .*minibatch_size'),
	(4, '{"minibatch_size": 2.5}', '^22023 .*minibatch_size'),
	(5, '{"mode": "fast"}', '^22023 .*mode.*reference'),
	(6, '{"metric": "vibes"}', '^22023 .*metric.*score'),
	(7, '{"candidate_selection": "best"}', '^22023 .*candidate_selection.*pareto'),
	(8, '{"acceptance": "always"}', '^22023 .*acceptance.*strict'),
	(9, '{"frontier_type": "square"}', '^22023 .*frontier_type.*instance'),
	(10, '{"skip_perfect": "yes"}', '^22023 .*skip_perfect'),
	(11, '{"perfect_score": 2}', '^22023 .*perfect_score'),
	(12, '{"max_examples": -1}', '^22023 .*max_examples'),
	(13, '{"stop_at_score": "high"}', '^22023 .*stop_at_score'),
	(14, '{"precision": 1.5}', '^22023 .*precision'),
	(15, '{"split": {"train": 0.5}}', '^22023 .*split'),
	(16, '{"split": {"train": 0.5, "val": 0.6}}', '^22023 .*split'),
	(17, '{"split": {"train": 0, "val": 1}}', '^22023 .*split'),
	(18, '{"split": {"train": 0.5, "val": 0.5, "holdout": 0}}', '^22023 .*split'),
	(19, '{"split": [0.5, 0.5]}', '^22023 .*split'),
	(20, '{"reflection_template": "no placeholders"}', '^22023 .*reflection_template.*curr_param'),
	(21, '{"task_lm": 1}', '^22023 .*task_lm'),
	(22, '{"max_cost": 1e999}', '^22023 .*max_cost')
) AS o(n, options, pattern)
ORDER BY n;

ALTER SERVER test_lm OPTIONS (ADD temperature '0.5');
SELECT matches(refusal($$SELECT start_on('TABLE test_samples')$$), '^55000 settings of LM "test_lm" differ .*0\.5.*alter_judge', 'settings that the judge was not made for');
ALTER SERVER test_lm OPTIONS (DROP temperature);

SELECT is((SELECT count(*) FROM gepa.runs), 0::bigint, 'nothing that was refused left a run');

----------------------------------------------------------------------- rights

CREATE ROLE test_other;
CREATE ROLE test_spender;
GRANT SELECT ON test_samples TO test_other, test_spender;
GRANT USAGE ON FOREIGN SERVER test_lm TO test_other, test_spender;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO test_other, test_spender;
GRANT CREATE ON SCHEMA public TO test_other;
SET ROLE test_other;
SELECT gepa.create_judge('test_theirs', 'test_lm', 'Is the text about "cats"?');
SELECT gepa.create_dataset('test_theirs', 'test_samples', 'k', '{body}', 'label');
RESET ROLE;
SELECT gepa.create_dataset('test_mine', 'test_samples', 'k', '{body}', 'label');
SET ROLE test_other;
SELECT matches(refusal(statement), pattern, name)
FROM (VALUES
	(1, 'another role''s judge', $$SELECT gepa.start('test_judge', 'test_theirs', 'test_lm', 500)$$, '^42501 .*judge'),
	(2, 'another role''s dataset', $$SELECT gepa.start('test_theirs', 'test_mine', 'test_lm', 500)$$, '^42501 .*dataset'),
	(3, 'reflection LM without USAGE', $$SELECT gepa.start('test_theirs', 'test_theirs', 'test_dear_lm', 500)$$, '^42501 .*test_dear_lm'),
	(4, 'task LM without USAGE', $$SELECT gepa.start('test_theirs', 'test_theirs', 'test_lm', 500, options => '{"task_lm": "test_dear_lm"}')$$,
		'^42501 .*test_dear_lm')
) AS t(n, name, statement, pattern)
ORDER BY n;
SELECT isnt(gepa.start('test_theirs', 'test_theirs', 'test_lm', 500), NULL, 'with all rights it starts');
RESET ROLE;
REVOKE SELECT ON test_samples FROM test_other;
SET ROLE test_other;
SELECT matches(refusal($$SELECT gepa.start('test_theirs', 'test_theirs', 'test_lm', 500)$$), '^42501 .*test_samples',
	'a source that may no longer be read');
RESET ROLE;
SELECT run AS theirs FROM gepa.runs WHERE judge = 'test_theirs' \gset
SET ROLE test_spender;
SELECT is((SELECT count(*) FROM gepa.runs), 0::bigint, 'another role''s run is not shown');
SELECT is((SELECT count(*) FROM gepa.samples), 0::bigint, 'nor are its samples');
SELECT matches(refusal(format('SELECT gepa.%s(%s)', f, :theirs)), '^42501 .*run', 'gepa.' || f || '() of another role''s run')
FROM unnest(ARRAY['stop', 'resume', 'wait', 'deploy']) f;
RESET ROLE;

SELECT gepa.create_judge('test_shown', 'test_lm', 'Is it?', options => '{"examples": [
	{"document": "a cat", "label": "true"}, {"document": "a dog", "label": "false"}]}');
SELECT matches(refusal(format('SELECT start_on(%L, judge => %L, options => %L)', 'TABLE test_samples', 'test_shown', '{"max_examples": 1}')),
	'^22023 .*"test_shown".*the seed has more examples than max_examples.*options', 'what the engine will not do, as more examples than may be shown');

----------------------------------------------------------------- what is kept

CREATE FUNCTION pg_temp.splits(run_id int) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(split || ' ' || label || ' ' || n, ', ' ORDER BY split, label)
	FROM (SELECT split, label, count(*) AS n FROM gepa.samples WHERE run = run_id GROUP BY 1, 2) s
$$;

SELECT start_on('TABLE test_samples', split => 'part') AS run \gset
SELECT is(pg_temp.splits(:run), 'test false 5, test true 5, train false 10, train true 10, val false 5, val true 5',
	'a split column is followed');
UPDATE test_samples SET body = 'changed' WHERE k = 1;
SELECT is((SELECT inputs FROM gepa.samples WHERE run = :run AND sample = '1'), '{"document": "text number 1"}'::jsonb,
	'the run keeps the samples as they were');
UPDATE test_samples SET body = 'text number 1' WHERE k = 1;
SELECT is((SELECT ROW(status, judge, dataset, budget, rollouts, best_candidate, lm, reflection_lm)::text FROM gepa.runs WHERE run = :run),
	'(queued,test_judge,test_set,500,0,,test_lm,test_lm)', 'the run is queued');
SELECT is((SELECT (options ->> 'minibatch_size') || (options ->> 'metric') FROM gepa.runs WHERE run = :run), '3label',
	'the options are stored with their defaults');

SELECT start_on('TABLE test_samples') AS run \gset
SELECT is(pg_temp.splits(:run), 'test false 6, test true 6, train false 8, train true 8, val false 6, val true 6',
	'a drawn split has the shares 0.4, 0.3, 0.3 of every label');
SELECT start_on('SELECT * FROM test_samples ORDER BY k DESC') AS again \gset
SELECT set_eq(format('SELECT sample, split FROM gepa.samples WHERE run = %s', :again),
	format('SELECT sample, split FROM gepa.samples WHERE run = %s', :run), 'the same again, whatever the order of rows');
SELECT start_on('TABLE test_samples', '{"split": {"train": 0.4, "val": 0.3, "test": 0.3, "seed": 1}}') AS other \gset
SELECT set_ne(format('SELECT sample, split FROM gepa.samples WHERE run = %s', :other),
	format('SELECT sample, split FROM gepa.samples WHERE run = %s', :run), 'another seed draws another split');
SELECT start_on('TABLE test_samples', '{"split": {"train": 0.5, "val": 0.5}}') AS run \gset
SELECT is(pg_temp.splits(:run), 'train false 10, train true 10, val false 10, val true 10', 'a dataset without test rows is allowed');
SELECT matches((SELECT notes::text FROM gepa.runs WHERE run = :run), 'test', 'and the run notes it');

SELECT start_on('SELECT k, body, (k / 4 % 2 = 0)::text AS label, site FROM test_samples', group_by => 'site') AS run \gset
SELECT is((SELECT max(n) FROM (SELECT count(DISTINCT split) AS n FROM gepa.samples WHERE run = :run GROUP BY group_key) g), 1::bigint,
	'a group stays together');

SELECT start_on('SELECT k, CASE WHEN k IN (2, 26, 36) THEN ''the same text'' ELSE body END AS body, label, part FROM test_samples',
	split => 'part') AS run \gset
SELECT is((SELECT string_agg(DISTINCT split, ',') FROM gepa.samples WHERE run = :run AND sample IN ('2', '26', '36')), 'train',
	'copies of a document are moved to one split');
SELECT matches((SELECT notes::text FROM gepa.runs WHERE run = :run), '2', 'and the run notes how many');

SELECT lives_ok(format('SELECT gepa.stop(%s)', :run), 'a queued run can be stopped');
SELECT is((SELECT status FROM gepa.runs WHERE run = :run), 'stopped', 'and is');
SELECT matches(refusal(format('SELECT gepa.deploy(%s)', :run)), '^55000', 'a run without candidates cannot be deployed');
SELECT matches(refusal(format('SELECT gepa.deploy(%s, 7)', :run)), '^42704', 'nor can a candidate that does not exist');

SELECT finish();
ROLLBACK;
