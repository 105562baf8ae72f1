/*
 * Routers: what their rules may say and what they may not, whatever it is wrapped in;
 * what conditions see of a document; versions, names and rights.  The LM is canned, so
 * no network is needed.
 *
 * Run in a database that has the extensions pgtap and gepa.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
CREATE SERVER test_other_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_cats', 'test_lm', 'Is the text about "cats"?');
SELECT gepa.create_judge('test_dogs', 'test_lm', 'Is the text about "dogs"?');
SELECT gepa.create_judge('test_topic', 'test_lm', 'Which?', labels => '{code,prose,rest}', positive => '{code}');
SELECT gepa.create_judge('test_both', 'test_lm', 'Is the text about "cats"?', options => '{"inputs": ["title", "body"]}');
SELECT gepa.create_judge('test_theirs', 'test_other_lm', 'Is the text about "cats"?');

CREATE FUNCTION rule(condition text, judge text DEFAULT 'test_cats') RETURNS jsonb
LANGUAGE sql AS $$ SELECT jsonb_build_object('when', condition, 'judge', judge) $$;

-- SQLSTATE of creating a router with one rule, or 'made'; nothing stays.
CREATE FUNCTION made(condition text, options jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM gepa.create_router('test_try', ARRAY[rule(condition)], 'test_dogs', options);
	RAISE SQLSTATE 'MADE0';
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN CASE SQLSTATE WHEN 'MADE0' THEN 'made' ELSE SQLSTATE END;
END $$;

-------------------------------------------------- what a condition may say

SELECT is(made(condition), 'made', 'may be said: ' || condition)
FROM (VALUES ('true'), ('lang = ''en'''), ('length BETWEEN 5 AND 100'), ('lang IN (''en'', ''de'')'), ('lang = ANY (''{en,de}'')'),
	('lang IS NULL'), ('lang IS DISTINCT FROM ''en'''), ('NOT (length > 5 OR lang = ''x'')'), ('document ~* ''^\s*(def|class)\y'''),
	('document ILIKE ''%select%'''), ('lower(domain) LIKE ''%.edu'''), ('(fields ->> ''stars'')::int > 3'),
	('fields @> ''{"tags": ["a"]}'''), ('fields ? ''a'''), ('CASE WHEN length > 5 THEN lang = ''en'' ELSE false END'),
	('coalesce(lang, ''en'') = ''en'''), ('greatest(length, 3) > 4'), ('nullif(lang, '''') IS NOT NULL'),
	('pg_catalog.length(document) > 1'), ('substring(document FROM 1 FOR 5) = ''abc'''), ('(string_to_array(document, '' ''))[1] = ''a'''),
	('lang COLLATE "C" < ''b'''), ('to_tsvector(''english'', document) @@ ''cat & dog''::tsquery'), ('length / 2 = 3'), ('md5(document) < ''8'''),
	('"Mixed Case" = ''x''')) AS c(condition);

/*
 * Nothing of anybody's is run or read.  A domain's check is the way for literals: it runs
 * when they are parsed.
 */
CREATE SCHEMA test_trap;
CREATE TABLE test_trap.sprung (by_whom text);
CREATE FUNCTION test_trap.spring(anyelement) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	INSERT INTO test_trap.sprung VALUES (current_user);
	RETURN true;
END $$;
CREATE DOMAIN test_trap.d AS text CHECK (test_trap.spring(VALUE));
CREATE TYPE test_trap.c AS (x test_trap.d);
CREATE TYPE test_trap.mood AS ENUM ('sad', 'glad');
CREATE DOMAIN pg_temp.td AS text CHECK (test_trap.spring(VALUE));
CREATE OPERATOR test_trap.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE FUNCTION test_trap.both(text, test_trap.d[]) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR test_trap.#= (LEFTARG = text, RIGHTARG = test_trap.d[], FUNCTION = test_trap.both);
CREATE FUNCTION test_trap.length(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
SET LOCAL search_path = test_trap, public, pg_catalog;

SELECT is(made(condition), state, 'may not be said: ' || condition)
FROM (VALUES
	-- more than an expression
	('true; DROP TABLE test_trap.sprung', '42601'), ('true) OR (true', '42601'), ('', '42P17'), ('true --', 'made'),
	('true FROM test_trap.sprung', '42P17'), ('true WHERE true', '42P17'), ('true, true', '42P17'), ('true AS x', '42P17'), ('*', '42P17'),
	('true UNION SELECT true', '42601'), ('true LIMIT 1', '42P17'), ('true ORDER BY 1', '42P17'), ('DISTINCT true', '42P17'),
	('true INTO x', '42601'), ('true FOR UPDATE', '42P17'), ('true GROUP BY 1', '42P17'),
	-- subqueries, tables, parameters
	('(SELECT true)', '42P17'), ('EXISTS (SELECT FROM test_trap.sprung)', '42P17'), ('lang IN (SELECT ''a'')', '42P17'),
	('ARRAY(SELECT true) IS NULL', '42P17'), ('CASE WHEN true THEN (SELECT true) END', '42P17'), ('sprung.by_whom = ''a''', '42P17'),
	('test_trap.sprung.by_whom = ''a''', '42P17'), ('$1 = ''a''', '42P17'), ('ROW(1) = ROW(2)', '42P17'),
	-- aggregates and the like
	('count(*) > 0', '42P17'), ('max(length) > 0', '42P17'), ('bool_or(true)', '42P17'), ('row_number() OVER () > 0', '42P17'),
	('count(length) FILTER (WHERE true) > 0', '42P17'), ('generate_series(1, length) > 0', '42804'),
	('regexp_split_to_table(document, '' '') = ''a''', '42804'),
	('CASE WHEN true THEN generate_series(1, 2) END > 0', '0A000'), ('grouping(length) > 0', '42P17'),
	-- functions that are not immutable
	('random() < 0.5', '42P17'), ('now() > ''2020-01-01''', '42P17'), ('pg_sleep(9) IS NULL', '42P17'), ('current_user = ''x''', '42P17'),
	('current_date > ''2020-01-01''', '42P17'), ('pg_read_file(document) IS NULL', '42P17'), ('set_config(''role'', document, false) IS NULL', '42P17'),
	('current_setting(''role'') = ''x''', '42P17'), ('query_to_xml(document, true, true, '''') IS NULL', '42P17'),
	('dblink(''a'') IS NULL', '42883'), ('lo_import(document) > 0', '42P17'), ('pg_advisory_lock(length) IS NULL', '42P17'), ('document::regclass = 1', '42P17'),
	('document::date > ''2020-01-01''', '42P17'), ('to_char(length, ''9'') = ''1''', '42P17'), ('''now''::timestamptz IS NOT NULL', '42P17'),
	('''pg_class''::regclass IS NOT NULL', '42P17'), ('nextval(''pg_class'') > 0', '42P17'),
	-- ours
	('public.gepa_judge(''test_cats'', document)', '42P17'), ('gepa.shown(true)', '42P17'),
	-- users' code
	('test_trap.spring(document)', '42P17'), ('spring(document)', '42883'), ('document::test_trap.d IS NULL', '42P17'),
	('''x''::test_trap.d IS NULL', '42P17'), ('''(x)''::test_trap.c IS NULL', '42P17'), ('''{x}''::test_trap.d[] IS NULL', '42P17'),
	('CAST(''{x}'' AS test_trap._d) IS NULL', '42P17'), ('test_trap._d(''{x}'') IS NULL', '42P17'), ('d(''x'') IS NULL', '42883'), ('_d(''{x}'') IS NULL', '42883'),
	('''x''::d IS NULL', '42P17'), ('''{x}''::td[] IS NULL', '42P17'), ('''{x}''::pg_temp.td[] IS NULL', '42P17'), ('pg_temp.td(''x'') IS NULL', '42P17'),
	('test_trap.d ''x'' IS NULL', '42P17'), ('''sad''::test_trap.mood IS NULL', '42P17'), ('ARRAY[''x''::test_trap.d] IS NULL', '42P17'),
	('document OPERATOR(test_trap.===) ''a''', '42P17'), ('document === ''a''', '42883'), ('document OPERATOR(test_trap.#=) ''{x}''', '42P17'),
	('document #= ''{x}''', '42883'), ('coalesce(''{x}''::test_trap.d[], NULL) IS NULL', '42P17'), ('(document::test_trap.c).x = ''a''', '42P17'),
	('document COLLATE test_trap.x = ''a''', '42P17'), ('xmlparse(CONTENT document) IS NULL', '42P17'),
	('interval ''1 day'' > ''1 hour''', '42P17'), ('lang IS DOCUMENT', '42P17'),
	-- not a condition
	('length', '42804'), ('''x''', '22P02'), ('lang = 5', '42883'), ('nosuch(document)', '42883'), ('length + ', '42601')
	) AS c(condition, state);
SELECT is((SELECT count(*) FROM test_trap.sprung), 0::bigint, 'and no trap was sprung');

-- A name means what it means in pg_catalog.
SELECT gepa.create_router('test_path', ARRAY[rule('length(document) > 3'), rule('octet_length(lang) = 2', 'test_topic')], 'test_dogs');
SELECT is(gepa.route('test_path', 'cats'), 'test_cats', 'functions of pg_catalog are found before those of the search_path');
SET LOCAL standard_conforming_strings = off;
SET LOCAL transform_null_equals = on;
SELECT gepa.create_router('test_settings', ARRAY[rule('lang = NULL'), rule(E'document = ''a\\b''', 'test_topic')], 'test_dogs');
SELECT is(gepa.route('test_settings', 'other'), 'test_dogs', 'settings of the session do not change what NULL means');
SELECT is(gepa.route('test_settings', E'a\\b'), 'test_topic', '... nor a backslash');
RESET standard_conforming_strings;
RESET transform_null_equals;
RESET search_path;

-------------------------------------------------- rules that are malformed

SELECT throws_ok(format('SELECT gepa.create_router(%L, ARRAY[%L]::jsonb[], %L)', 'test_bad', rule, 'test_dogs'), state, NULL, 'refused: ' || rule)
FROM (VALUES ('[]', '22023'), ('"x"', '22023'), ('{}', '22023'), ('{"when": "true"}', '22023'), ('{"judge": "test_cats"}', '22023'),
	('{"when": 5, "judge": "test_cats"}', '22023'), ('{"when": "true", "judge": 5}', '22023'), ('{"when": "true", "judge": "test_cats", "x": 1}', '22023'),
	('{"when": "true", "judge": "missing"}', '42704'), ('{"when": "true", "judge": "test_cats@7"}', '42704'), ('{"when": "true", "judge": "test_path"}', '42809'),
	('{"when": {"judge": "test_topic"}, "judge": "test_cats"}', '22023'), ('{"when": {"label": "code"}, "judge": "test_cats"}', '22023'),
	('{"when": {"judge": "test_topic", "label": "nosuch"}, "judge": "test_cats"}', '22023'),
	('{"when": {"judge": "test_topic", "label": ["code", 5]}, "judge": "test_cats"}', '22023'),
	('{"when": {"judge": "test_topic", "label": "code", "x": 1}, "judge": "test_cats"}', '22023'),
	('{"when": {"judge": "test_path", "label": "code"}, "judge": "test_cats"}', '42809')) AS r(rule, state);
SELECT throws_ok($$SELECT gepa.create_router('test_bad', '{}', 'missing')$$, '42704', NULL, '"else" has to be a judge');
SELECT throws_ok($$SELECT gepa.create_router('test_bad', '{NULL}', 'test_dogs')$$, '22023', NULL, 'a rule is not null');
SELECT throws_ok($$SELECT gepa.create_router('test_bad', NULL, 'test_dogs')$$, '22004', NULL, 'nor are the rules');
SELECT throws_ok($$SELECT gepa.create_router('', '{}', 'test_dogs')$$, '42602', NULL, 'a router has a name');
SELECT throws_ok(format('SELECT gepa.create_router(%L, %L, %L, %L)', 'test_bad', '{}', 'test_dogs', options), '22023', NULL, 'options: ' || options)
FROM (VALUES ('{"x": 1}'), ('{"fields": 1}'), ('{"fields": {"a": 1}}'), ('{"fields": {"a": "money"}}'), ('{"fields": {"document": "text"}}')) AS o(options);
SELECT is(made('lang = ''en''', '{"fields": {"lang": "text"}}'), 'made', 'a field that is declared');
SELECT is(made('land = ''en''', '{"fields": {"lang": "text"}}'), '42703', 'one that is not, where others are');
SELECT is(made('stars > 3', '{"fields": {"stars": "int4"}}'), 'made', 'a field has the type that was declared');
SELECT is(made('stars > 3'), '42883', '... and is a text by itself');

-- An error of PostgreSQL's says which rule it is about, and where.
CREATE FUNCTION told(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	context text;
BEGIN
	EXECUTE statement;
	RETURN 'nothing';
EXCEPTION WHEN others THEN
	GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
	RETURN SQLERRM || ' / ' || split_part(context, E'\n', 1);
END $$;
SELECT is(told($$SELECT gepa.create_router('test_bad', ARRAY[rule('true'), rule('lenght(document) > 3')], 'test_dogs')$$),
	'function lenght(text) does not exist / rule 2 of router "test_bad"', 'an error says which rule');

-------------------------------------------------- what conditions see

SELECT gepa.create_router('test_seen', ARRAY[rule('lang = ''en'''), rule('document = ''tiny'' AND length = 4', 'test_topic'),
	rule('stars >= 4', 'test_both'), rule('good', 'test_theirs'), rule('price < 1.5', 'test_cats@1'), rule('tags @> ''["a"]''', 'test_topic@1')], 'test_dogs',
	'{"fields": {"lang": "text", "stars": "int4", "good": "bool", "price": "float8", "tags": "jsonb"}}');
SELECT is(gepa.route('test_seen', doc::jsonb), judge, doc)
FROM (VALUES ('{"lang": "en"}', 'test_cats'), ('{"lang": "en", "stars": 5}', 'test_cats'), ('{"lang": "de"}', 'test_dogs'), ('{"lang": null}', 'test_dogs'),
	('{"lang": 5}', 'test_dogs'), ('{"lang": ["en"]}', 'test_dogs'), ('{"document": "tiny"}', 'test_topic'), ('{"document": "tiny", "lang": "x"}', 'test_topic'),
	('{"stars": 4}', 'test_both'), ('{"stars": "4"}', 'test_both'), ('{"stars": 3}', 'test_dogs'), ('{"stars": "4 of 5"}', 'test_dogs'), ('{"stars": 4.5}', 'test_dogs'),
	('{"stars": 99999999999}', 'test_dogs'), ('{"stars": {}}', 'test_dogs'), ('{"stars": true}', 'test_dogs'), ('{"good": true}', 'test_theirs'),
	('{"good": false}', 'test_dogs'), ('{"good": "yes"}', 'test_theirs'), ('{"good": "maybe"}', 'test_dogs'), ('{"price": 1.25}', 'test_cats@1'), ('{"price": 1}', 'test_cats@1'),
	('{"price": "1e400"}', 'test_dogs'), ('{"price": "NaN"}', 'test_dogs'), ('{"tags": ["a", "b"]}', 'test_topic@1'), ('{"tags": "a"}', 'test_dogs'),
	('{}', 'test_dogs'), ('[]', 'test_dogs'), ('"tiny"', 'test_dogs'), ('5', 'test_dogs')) AS d(doc, judge);
SELECT is(gepa.route('test_seen', 'tiny'), 'test_topic', 'a text is the field "document"');
SELECT gepa.create_router('test_whole', ARRAY[rule('fields = ''{"document": "a"}'''), rule('document = ''{"a": 1}''', 'test_topic')], 'test_dogs');
SELECT is(gepa.route('test_whole', 'a') || ' ' || gepa.route('test_whole', '{"document": "a"}'::jsonb) || ' ' || gepa.route('test_whole', '{"a": 1}'::jsonb),
	'test_cats test_cats test_topic', 'all of it is "fields"; without a field "document" it is its own text');
SELECT gepa.create_router('test_chars', ARRAY[rule('length = 3')], 'test_dogs');
SELECT is(gepa.route('test_chars', 'äöü'), 'test_cats', 'length counts characters');

-------------------------------------------------- verdicts

CREATE TEMP TABLE test_docs AS SELECT i, jsonb_build_object('document', (ARRAY['cats', 'dogs', 'birds'])[i % 3 + 1] || i, 'lang', (ARRAY['en', 'de'])[i % 2 + 1]) AS doc
FROM generate_series(1, 24) i;
SELECT gepa.create_router('test_lang', ARRAY[rule('lang = ''en''')], 'test_dogs');
SELECT results_eq(
	$$SELECT i, v.label, v.judge, v.version FROM (SELECT i, (gepa_verdict('test_lang', doc)).* FROM test_docs) v ORDER BY i$$,
	$$SELECT i, v.label, v.judge, v.version FROM (SELECT i, (gepa_verdict(CASE doc ->> 'lang' WHEN 'en' THEN 'test_cats' ELSE 'test_dogs' END, doc)).* FROM test_docs) v ORDER BY i$$,
	'a router''s verdict is that of the judge that it chooses, and says so');
SELECT is((SELECT count(*) FROM test_docs WHERE (gepa_verdict('test_lang', doc)).cached), 24::bigint, '... for which both are paid once');
SET LOCAL gepa.enable_judge_node = off;
SELECT results_eq('SELECT i, gepa_judge(''test_lang'', doc), gepa_score(''test_lang'', doc) FROM test_docs ORDER BY i',
	'SELECT i, (gepa_judge(''test_lang'', d.docs))[i], (gepa_score(''test_lang'', d.docs))[i] FROM test_docs, (SELECT array_agg(doc ORDER BY i) AS docs FROM test_docs) d ORDER BY i',
	'one at a time and as an array, they are the same');
RESET gepa.enable_judge_node;
SELECT is(gepa_judge('test_lang', '{"document": null, "lang": "en"}'::jsonb), NULL, 'a field that is null: no verdict');
SELECT throws_ok($$SELECT gepa_judge('test_lang', '{"lang": "en"}'::jsonb)$$, '22023', 'document does not fit judge "test_cats"', 'a document that the chosen judge cannot take');
SELECT gepa.create_router('test_raises', ARRAY[rule('10 / length > 3')], 'test_dogs');
SELECT throws_ok($$SELECT gepa_judge('test_raises', '')$$, '22012', NULL, 'a condition that raises is an error');
SELECT is(told($$SELECT gepa_judge('test_raises', doc) FROM (VALUES ('a'), ('')) d(doc)$$), 'division by zero / rule 1 of router "test_raises"',
	'... of the row that gets there, also ahead of it');
SELECT is((SELECT count(*) FROM (SELECT gepa_judge('test_raises', doc) FROM (VALUES ('a'), ('')) d(doc) LIMIT 1) j), 1::bigint, '... and of no other');

-- A judge that says where documents go.
SELECT gepa.create_router('test_asks', ARRAY['{"when": {"judge": "test_topic", "label": "code"}, "judge": "test_cats"}',
	'{"when": {"judge": "test_topic", "label": ["prose", "rest"]}, "judge": "test_both@1"}']::jsonb[], 'test_dogs');
SELECT is(gepa.route('test_asks', 'code'), NULL, 'where that is, only the judge can say');
SELECT is((gepa_verdict('test_asks', '{"document": "cats in code"}'::jsonb)).judge, 'test_cats', '... by its label');
SELECT is((gepa_verdict('test_asks', '{"document": "cats in prose", "title": "a", "body": "b"}'::jsonb)).judge, 'test_both', '... or by one of several');
SELECT gepa.alter_judge('test_topic', options => '{"max_chars": 500}');
SELECT is((gepa_verdict('test_asks', 'cats in code')).judge, 'test_cats', 'it is the current version that is asked');

-------------------------------------------------- versions and names

SELECT is(gepa.alter_router('test_lang', ARRAY[rule('lang = ''de''')]), 2, 'a new version');
SELECT is(gepa.route('test_lang', '{"lang": "de"}'::jsonb), 'test_cats', '... is the current one');
SELECT is(gepa.alter_router('test_lang', "else" => 'test_topic'), 3, 'what is not given stays');
SELECT is(gepa.route('test_lang', '{"lang": "de"}'::jsonb) || gepa.route('test_lang', ''), 'test_catstest_topic', '... as it was');
SELECT is(gepa.alter_router('test_lang', ARRAY[rule('lang = ''en''')], 'test_dogs'), 1, 'an equal version is made current again');
SELECT is((SELECT string_agg(version || CASE WHEN current THEN ' current' ELSE '' END, ', ' ORDER BY version) FROM gepa.router_versions WHERE router = 'test_lang'),
	'1 current, 2, 3', 'all of them are kept');
SELECT throws_ok($$SELECT gepa.alter_router('test_cats')$$, '42809', NULL, 'a judge is no router');
SELECT throws_ok($$SELECT gepa.alter_router('missing')$$, '42704', NULL, 'nor is nothing');
SELECT throws_ok($$SELECT gepa.alter_judge('test_lang')$$, '42809', NULL, 'a router is no judge to alter');
SELECT throws_ok($$SELECT gepa.start('test_lang', 'x', 'test_lm', 100)$$, '42809', NULL, '... nor to tune');
SELECT throws_ok($$SELECT gepa.create_judge('test_lang', 'test_lm', 'x')$$, '42710', NULL, 'a name is that of a judge or of a router');
SELECT throws_ok($$SELECT gepa.create_router('test_cats', '{}', 'test_dogs')$$, '42710', NULL, '... whichever was first');
SELECT is((SELECT count(*) FROM gepa.judges WHERE judge = 'test_lang'), 0::bigint, 'gepa.judges has judges only');

-- The judge that it named, not the name.
SELECT gepa.create_judge('test_goes', 'test_lm', 'Is the text about "cats"?');
SELECT gepa.create_router('test_left', ARRAY[rule('lang = ''en''', 'test_goes')], 'test_dogs');
SELECT gepa.drop_judge('test_goes');
SELECT throws_ok($$SELECT gepa_judge('test_left', '{"document": "x", "lang": "en"}'::jsonb)$$, '42704', 'judge "test_goes" does not exist', 'a judge that is gone');
SELECT is(gepa_judge('test_left', '{"document": "dogs", "lang": "de"}'::jsonb), true, '... is missed only where it is wanted');
SELECT gepa.create_judge('test_goes', 'test_lm', 'Is the text about "cats"?');
SELECT throws_ok($$SELECT gepa_judge('test_left', '{"document": "x", "lang": "en"}'::jsonb)$$, '42704', NULL, 'another one of its name is not taken for it');
SELECT lives_ok($$SELECT gepa.drop_judge('test_left')$$, 'a router is dropped as a judge is');
SELECT throws_ok($$SELECT gepa_judge('test_left', 'x')$$, '42704', 'judge "test_left" does not exist', '... and is gone');

-------------------------------------------------- rights

CREATE ROLE test_user;
CREATE ROLE test_maker;
GRANT USAGE ON FOREIGN SERVER test_lm TO test_user, test_maker;
GRANT EXECUTE ON FUNCTION gepa_judge(text, text), gepa_judge(text, jsonb), gepa_verdict(text, jsonb) TO test_user, test_maker;
SELECT gepa.create_router('test_split', ARRAY[rule('lang = ''en''', 'test_theirs')], 'test_dogs');
SET LOCAL ROLE test_maker;
SELECT throws_ok($$SELECT gepa.alter_router('test_split')$$, '42501', NULL, 'another''s router is not altered');
SELECT throws_ok($$SELECT gepa.drop_judge('test_split')$$, '42501', NULL, '... nor dropped');
SELECT throws_ok($$SELECT gepa.create_router('test_new', '{}', 'test_theirs')$$, '42501', NULL, 'who makes one may use the LMs of its judges');
SELECT lives_ok($$SELECT gepa.create_router('test_new', ARRAY['{"when": "length > 3", "judge": "test_cats"}']::jsonb[], 'test_dogs')$$, 'whoever may use them may make one');
RESET ROLE;
SET LOCAL ROLE test_user;
SELECT is(gepa_judge('test_new', 'cats'), true, 'a router is used with the rights on LMs of who uses it');
SELECT is(gepa_judge('test_split', '{"document": "dogs", "lang": "de"}'::jsonb), true, 'where the LM is one''s to use');
SELECT throws_ok($$SELECT gepa_judge('test_split', '{"document": "dogs", "lang": "en"}'::jsonb)$$, '42501', NULL, '... and not where it is not');
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER test_lm FROM test_user;
SET LOCAL ROLE test_user;
SELECT is((SELECT count(*) FROM gepa.routers WHERE router ~ '^test_') + (SELECT count(*) FROM gepa.router_versions WHERE router ~ '^test_'), 0::bigint,
	'routers are not shown to who may use none of their judges');
SELECT throws_ok($$SELECT gepa.route('test_new', 'x')$$, '42501', NULL, '... nor what they choose');
SELECT throws_ok($$SELECT gepa_judge('test_new', 'x')$$, '42501', NULL, '... nor do they answer');
RESET ROLE;
SELECT is((SELECT rules::text || "else" FROM gepa.routers WHERE router = 'test_new'), '[{"when": "length > 3", "judge": "test_cats"}]test_dogs', 'what it is, is shown');

-- Rules that came in another way, by a dump that was edited, are checked as well.
UPDATE gepa.router_version SET rules = '[{"when": "test_trap.spring(document)", "judge": "test_cats"}]'
WHERE judge = (SELECT id FROM gepa.routers WHERE router = 'test_new');
SELECT throws_ok($$SELECT gepa_judge('test_new', 'x')$$, '42P17', NULL, 'rules are checked each time they are used');
SELECT is((SELECT count(*) FROM test_trap.sprung), 0::bigint, '... and no trap is sprung');

SELECT * FROM finish();
ROLLBACK;
