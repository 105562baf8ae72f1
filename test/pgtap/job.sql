/*
 * Making a corpus job: what gepa.judge_table() refuses and why, what it stores, and
 * what others may see of it.  Everything happens in one transaction that is rolled
 * back, so no worker ever sees these jobs.
 *
 * Run in a database that has the extensions pgtap and gepa, on a server that
 * has the library preloaded.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is the text about "cats"?');
SELECT gepa.create_judge('test_fields', 'test_lm', 'Is the text about "cats"?', options => '{"inputs": ["title", "body"]}');
CREATE TABLE test_pages (id int PRIMARY KEY, "Day" date NOT NULL, site text NOT NULL, nick text, body text, doc jsonb,
	keep bool, score float8, label text, verdict jsonb, number int, twice bool GENERATED ALWAYS AS (id > 0) STORED,
	UNIQUE (site, "Day"));
CREATE UNIQUE INDEX ON test_pages (nick);
CREATE UNIQUE INDEX ON test_pages (number) WHERE number > 0;
CREATE VIEW test_view AS SELECT * FROM test_pages;
CREATE SEQUENCE test_sequence;
CREATE TABLE test_other (id int PRIMARY KEY, label text);
CREATE TABLE test_keyless (LIKE test_other);
CREATE TABLE test_orders (pattern text NOT NULL, other text COLLATE "C" NOT NULL, body text);
CREATE UNIQUE INDEX ON test_orders (pattern text_pattern_ops);
CREATE UNIQUE INDEX ON test_orders (other COLLATE "POSIX");
CREATE TEMPORARY TABLE test_temporary (id int PRIMARY KEY, body text);
CREATE TABLE test_ruled (id int PRIMARY KEY, body text, keep bool);
CREATE RULE ruled AS ON UPDATE TO test_ruled DO INSTEAD NOTHING;
CREATE VIEW test_joined AS SELECT id, p.body, p.keep FROM test_pages p JOIN test_ruled USING (id);

-- What is wrong with each argument.
SELECT throws_ok(format('SELECT gepa.judge_table(%s)', arguments), state, NULL, what)
FROM (VALUES
	('42704', $$'missing', 'test_pages', 'id', 'body'$$, 'a judge that there is not'),
	('22004', $$NULL, 'test_pages', 'id', 'body'$$, 'no judge'),
	('22004', $$'test_judge', 'test_pages', 'id', NULL$$, 'no document'),
	('42P01', $$'test_judge', 'test_missing', 'id', 'body'$$, 'a source that there is not'),
	('42809', $$'test_judge', 'test_sequence', 'last_value', 'body'$$, 'a source without rows'),
	('42703', $$'test_judge', 'test_pages', 'missing', 'body'$$, 'a key that there is not'),
	('42602', $$'test_judge', 'test_pages', 'id,', 'body'$$, 'a key that is no list'),
	('42830', $$'test_judge', 'test_pages', 'site', 'body'$$, 'a key that is not unique'),
	('42830', $$'test_judge', 'test_pages', 'nick', 'body'$$, 'a key that may be null'),
	('42830', $$'test_judge', 'test_pages', 'number', 'body'$$, 'a key that is unique in part'),
	('42830', $$'test_judge', 'test_pages', 'id, site', 'body'$$, 'more than the key'),
	('42830', $$'test_judge', 'test_orders', 'pattern', 'body'$$, 'an index that has another order'),
	('42830', $$'test_judge', 'test_orders', 'other', 'body'$$, 'an index that has another collation'),
	('42809', $$'test_judge', 'test_temporary', 'id', 'body'$$, 'a source that other sessions cannot read'),
	('42703', $$'test_judge', 'test_pages', 'id', 'missing'$$, 'a document that there is not'),
	('42804', $$'test_judge', 'test_pages', 'id', 'number'$$, 'a document that is a number'),
	('42601', $$'test_judge', 'test_pages', 'id', 'body, label'$$, 'two documents'),
	('42601', $$'test_judge', 'test_pages', 'id', 'body) FROM test_other WHERE (true'$$, 'a document with a source of its own'),
	('42P17', $$'test_judge', 'test_pages', 'id', 'body || random()'$$, 'a document that is another one each time'),
	('0A000', $$'test_judge', 'test_pages', 'id', 'max(body)'$$, 'an aggregate'),
	('0A000', $$'test_judge', 'test_pages', 'id', 'regexp_split_to_table(body, body)'$$, 'a set'),
	('22023', $$'test_fields', 'test_pages', 'id', 'body'$$, 'one text for two fields'),
	('42804', $$'test_judge', 'test_pages', 'id', 'body', filter => 'number'$$, 'a filter that is a number'),
	('42601', $$'test_judge', 'test_pages', 'id', 'body', filter => 'true) OR (true'$$, 'a filter that is more than an expression'),
	('42804', $$'test_judge', 'test_pages', 'id', 'body', 'number'$$, 'a column that cannot hold a verdict'),
	('22023', $$'test_judge', 'test_pages', 'id', 'body', 'id'$$, 'the key as target'),
	('22023', $$'test_judge', 'test_pages', 'id', 'body', 'keep, label'$$, 'two columns'),
	('42809', $$'test_judge', 'test_pages', 'id', 'body', 'twice'$$, 'a generated column'),
	('0A000', $$'test_judge', 'test_pages', 'id', 'body', 'body'$$, 'the document as target'),
	('0A000', $$'test_judge', 'test_pages', 'id', 'to_jsonb(test_pages)', 'keep'$$, 'a document of the whole row, and a column of it as target'),
	('55000', $$'test_judge', 'test_joined', 'id', 'body', 'keep'$$, 'a column of a view that cannot be updated'),
	('0A000', $$'test_judge', 'test_ruled', 'id', 'body', 'keep'$$, 'a column of a table whose rule keeps updates off'),
	('42703', $$'test_judge', 'test_pages', 'id', 'body', 'test_other'$$, 'a table that is no verdict table'),
	('3F000', $$'test_judge', 'test_pages', 'id', 'body', 'test_missing.verdicts'$$, 'a verdict table in no schema'),
	('22023', $$'test_judge', 'test_pages', 'id', 'body', options => '{"worker": 1}'$$, 'an option that there is not'),
	('22023', $$'test_judge', 'test_pages', 'id', 'body', options => '{"workers": 33}'$$, 'too many workers'),
	('22023', $$'test_judge', 'test_pages', 'id', 'body', options => '{"batch": 1.5}'$$, 'half a row'),
	('22023', $$'test_judge', 'test_pages', 'id', 'body', options => '{"on_budget": "stop"}'$$, 'another word for on_budget'),
	('42704', $$'test_judge', 'test_pages', 'id', 'body', options => '{"version": 9}'$$, 'a version that there is not')
) AS t(state, arguments, what);
SELECT throws_ok($$SELECT gepa.judge_table('test_judge', 'test_pages', 'id', 'body) FROM test_other; SELECT (1')$$, '42601', NULL,
	'a document that is more than an expression');

-- What is stored.
SELECT lives_ok($$SELECT gepa.judge_table('test_judge', 'test_pages', '"Day", site', 'upper(body) -- shouted', 'keep, "Test Verdicts"', 'test_pages.id > 0',
	'{"workers": 2, "batch": 5}')$$, 'a job');
SELECT results_eq('SELECT kind, judge, version, source, key, document, target, filter, owner = current_user, status, rows, options FROM gepa.jobs',
	$$VALUES ('table', 'test_judge', 1, 'public.test_pages', 'site, Day', 'upper(body) -- shouted', 'keep, public."Test Verdicts"', 'test_pages.id > 0', true,
		'queued', 0::bigint, '{"batch": 5, "window": 0, "version": 1, "workers": 2, "on_budget": "pause", "reasoning": false}'::jsonb)$$,
	'is stored with its key in the order of the index and all its options');
SELECT has_table('Test Verdicts');
SELECT col_is_pk('Test Verdicts', ARRAY['site', 'Day']);
SELECT columns_are('Test Verdicts', '{site,Day,version,digest,label,positive,score,status,reasoning,judged_at}');
SELECT is((SELECT count(*) FROM gepa.job_claim), 1::bigint, 'and all of it is to be done');
SELECT lives_ok($$SELECT gepa.judge_table('test_judge', 'test_pages', '"Day", site', 'upper(body) -- shouted', 'keep, "Test Verdicts"', 'test_pages.id > 0')$$,
	'one that is equal');
SELECT is((SELECT shares FROM gepa.jobs ORDER BY job DESC LIMIT 1), (SELECT min(job) FROM gepa.jobs), 'takes its share');
SELECT lives_ok(format($$SELECT gepa.judge_table('test_judge', 'test_view', 'id', 'doc', %L)$$, target), target || ' of a view as target')
FROM unnest('{keep,score,label,verdict}'::text[]) target;

-- Who may do what, and see what.
CREATE ROLE test_stranger;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO test_stranger;
SET ROLE test_stranger;
SELECT is((SELECT count(*) FROM gepa.jobs), 0::bigint, 'another role sees no job');
SELECT is((SELECT count(*) FROM gepa.progress), 0::bigint, 'nor its progress');
RESET ROLE;
SELECT set_config('test.job', (SELECT max(job)::text FROM gepa.jobs), true);
SET ROLE test_stranger;
SELECT throws_ok(format('SELECT gepa.%s(current_setting(''test.job'')::int)', f), '42501', NULL, f || ' is not for others')
FROM unnest('{pause_job,resume_job,cancel_job,wait_job,retry_errors}'::text[]) f;
SELECT throws_ok($$SELECT gepa.judge_table('test_judge', 'test_pages', 'id', 'body')$$, '42501', NULL, 'who may not read a table has no job on it');
RESET ROLE;
GRANT SELECT ON test_pages TO test_stranger;
SET ROLE test_stranger;
SELECT throws_ok($$SELECT gepa.judge_table('test_judge', 'test_pages', 'id', 'body')$$, '42501', NULL, 'nor who may not use the LM');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER test_lm TO test_stranger;
SET ROLE test_stranger;
SELECT throws_ok($$SELECT gepa.judge_table('test_judge', 'test_pages', 'id', 'body', 'keep')$$, '42501', NULL, 'nor a target that one may not write');
SELECT throws_ok($$SELECT gepa.judge_table('test_judge', 'test_pages', 'id', 'body', '"Test Verdicts"')$$, '42703', NULL, 'a verdict table of another key');
SELECT lives_ok($$SELECT gepa.judge_table('test_judge', 'test_pages', 'id', 'body')$$, 'but one without a target');
SELECT is((SELECT count(*) FROM gepa.jobs), 1::bigint, 'which is seen');
RESET ROLE;

-- States that a job can be moved from.
SELECT lives_ok('SELECT gepa.pause_job(current_setting($$test.job$$)::int)', 'a job is paused before it began');
SELECT is((SELECT status FROM gepa.jobs WHERE job = current_setting('test.job')::int), 'paused', 'at once');
SELECT throws_ok('SELECT gepa.wait_job(0)', '42704', NULL, 'a job that there is not');
SELECT is(gepa.wait_job(current_setting('test.job')::int), 'paused', 'one that rests is not waited for');
SELECT lives_ok('SELECT gepa.resume_job(current_setting($$test.job$$)::int)', 'it is resumed');
SELECT throws_ok('SELECT gepa.wait_job(current_setting($$test.job$$)::int)', '55000', NULL, 'and cannot be waited for by the one who did it');
SELECT is(gepa.retry_errors(current_setting('test.job')::int), 0::bigint, 'it has no errors');
SELECT lives_ok('SELECT gepa.cancel_job(current_setting($$test.job$$)::int)', 'it is cancelled');
SELECT is((SELECT count(*) FROM gepa.job_claim WHERE job = current_setting('test.job')::int), 0::bigint, 'and nothing is left of it');
SELECT throws_ok(format('SELECT gepa.%s(current_setting(''test.job'')::int)', f), '55000', NULL, f || ' comes too late')
FROM unnest('{pause_job,resume_job,retry_errors}'::text[]) f;

SELECT * FROM finish();
ROLLBACK;
