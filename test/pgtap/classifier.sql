/*
 * Classifiers that ask nobody, and routers that use them: how they are trained, what they
 * say, whose they are, what becomes of one that is dropped.
 *
 * Run in a database that has the extensions pgtap and gepa.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_cats', 'test_lm', 'Is the text about "cats"?'), gepa.create_judge('test_dogs', 'test_lm', 'Is the text about "dogs"?');

-- Texts of three kinds, of words that are drawn by number.
CREATE FUNCTION word(kind text, i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT w[i % cardinality(w) + 1] FROM (VALUES ('code', string_to_array('int return if (x) { y; } for static void', ' ')),
		('de', string_to_array('der die das und Katze Haus nicht mit schön für', ' ')), ('en', string_to_array('the a and cat house not with nice for there', ' '))) v(k, w)
	WHERE k = kind $$;
CREATE TABLE test_texts AS
SELECT k || i AS id, k AS kind, (SELECT string_agg(word(k, i * n + n / 3 + i / 7), ' ' ORDER BY n) FROM generate_series(1, 8) n) || ' ' || i AS body
FROM generate_series(1, 40) i, (VALUES ('code'), ('de'), ('en')) v(k);

-- SQLSTATE of creating a classifier, or 'made'; nothing stays.
CREATE FUNCTION made(source text DEFAULT 'test_texts', document text DEFAULT 'body', label text DEFAULT 'kind', filter text DEFAULT NULL,
	options jsonb DEFAULT '{}', name text DEFAULT 'test_try') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM gepa.create_classifier(name, source, document, label, filter, options);
	RAISE SQLSTATE 'MADE0';
EXCEPTION WHEN others THEN
	RETURN CASE SQLSTATE WHEN 'MADE0' THEN 'made' ELSE SQLSTATE END;
END $$;

-------------------------------------------------- training

SELECT isnt(gepa.create_classifier('test_kind', 'test_texts', 'body', 'kind'), NULL, 'a classifier is trained');
SELECT is((SELECT labels || rows::text || label_rows::text FROM gepa.classifiers WHERE classifier = 'test_kind'), '{code,de,en,120,"{40,40,40}"}', '... with the rows of a table');
SELECT is(gepa.classify('test_kind', 'das schöne Haus'), 'de', 'it says German');
SELECT is(gepa.classify('test_kind', 'THERE is a nice house'), 'en', '... English');
SELECT is(gepa.classify('test_kind', 'for (;;) { return; }'), 'code', '... and code');
SELECT is(gepa.classify('test_kind', '{"document": "und die Katze", "lang": "for (x) { return y; }"}'::jsonb), 'de', 'of an object it sees the document');
SELECT is(gepa.classify('test_kind', NULL::text), NULL, 'of nothing it says nothing');
SELECT isnt(gepa.classify('test_kind', ''), NULL, 'of an empty text something');
SELECT is(gepa.classify('test_kind', repeat('x', 1048576) || ' und die Katze'), gepa.classify('test_kind', repeat('x', 1048576)), 'of a long text it sees the beginning');
SELECT cmp_ok((SELECT accuracy FROM gepa.classifiers WHERE classifier = 'test_kind'), '>', 0.95::float8, 'what differs is told apart');

-- By the interval of Wilson, computed here.
SELECT is(round(accuracy_low::numeric, 12), round(((c - h)::numeric), 12), 'the interval is Wilson''s')
FROM (SELECT accuracy_low, (accuracy + z * z / (2 * rows)) / (1 + z * z / rows) AS c, z * sqrt(accuracy * (1 - accuracy) / rows + z * z / (4.0 * rows * rows)) / (1 + z * z / rows) AS h
	FROM gepa.classifiers, (VALUES (1.959963984540054::float8)) v(z) WHERE classifier = 'test_kind') w;

-- Labels that have nothing to do with the texts: no text is seen by the model that it is tried on.
SELECT gepa.create_classifier('test_noise', 'SELECT md5(i::text) AS body, md5(''label'' || i) < ''8'' AS label FROM generate_series(1, 600) i', 'body', 'label');
SELECT ok(accuracy BETWEEN 0.4 AND 0.6, 'labels by chance are guessed by chance: ' || accuracy)
FROM gepa.classifiers WHERE classifier = 'test_noise';
SELECT gepa.create_classifier('test_copies', 'SELECT md5((i % 300)::text) AS body, md5(''label'' || i % 300) < ''8'' AS label FROM generate_series(1, 600) i', 'body', 'label');
SELECT ok(accuracy BETWEEN 0.4 AND 0.6, 'a copy of a text is not tried on a model that has seen the text: ' || accuracy) FROM gepa.classifiers WHERE classifier = 'test_copies';

SELECT gepa.create_classifier('test_same', 'SELECT * FROM test_texts ORDER BY md5(id)', 'body', 'kind'), gepa.create_classifier('test_seed', 'test_texts', 'body', 'kind', options => '{"seed": 7, "folds": 10}'),
	gepa.create_classifier('test_half', 'test_texts', 'body', 'kind', options => '{"smoothing": 0.5}'),
	gepa.create_classifier('test_two', 'SELECT jsonb_build_object(''document'', body, ''k'', kind) AS doc FROM test_texts', 'doc', 'doc ->> ''k''', 'doc ->> ''k'' <> ''en''');
SELECT is((SELECT count(DISTINCT digest || accuracy) FROM gepa.classifiers WHERE classifier IN ('test_kind', 'test_same')), 1::bigint, 'the order of rows does not matter');
SELECT is((SELECT count(DISTINCT digest) FROM gepa.classifiers WHERE classifier IN ('test_kind', 'test_seed')), 1::bigint, '... nor the seed, but for the accuracy');
SELECT is((SELECT count(DISTINCT digest) FROM gepa.classifiers WHERE classifier IN ('test_kind', 'test_half')), 2::bigint, 'smoothing does');
SELECT is((SELECT labels FROM gepa.classifiers WHERE classifier = 'test_two'), '{code,de}', 'a filter, and a document of several fields');
SELECT is((SELECT count(*) FROM test_texts WHERE kind <> 'en' AND gepa.classify('test_two', jsonb_build_object('document', body)) = gepa.classify('test_two', body)), 80::bigint,
	'... which is the same as its text');
SELECT is(made('SELECT * FROM test_texts UNION ALL SELECT ''a'', NULL, ''x'' UNION ALL SELECT ''a'', ''en'', NULL'), 'made', 'rows without a document or a label are left out');

SELECT is(made(source, document, label, filter, options::jsonb, name), state, 'refused: ' || what)
FROM (VALUES ('a table that is missing', 'missing', 'body', 'kind', NULL, '{}', 'n', '42P01'), ('a column that is missing', 'test_texts', 'nosuch', 'kind', NULL, '{}', 'n', '42703'),
	('more than an expression', 'test_texts', 'body) FROM test_texts; SELECT (1', 'kind', NULL, '{}', 'n', '42601'), ('a filter that closes', 'test_texts', 'body', 'kind', 'true) GROUP BY (kind', '{}', 'n', '42601'),
	('two queries', 'SELECT 1; SELECT 2', 'body', 'kind', NULL, '{}', 'n', '42601'), ('a number as document', 'test_texts', '5', 'kind', NULL, '{}', 'n', '42804'),
	('a filter that is none', 'test_texts', 'body', 'kind', '5', '{}', 'n', '42804'), ('a query that writes', 'WITH d AS (DELETE FROM test_texts RETURNING *) SELECT * FROM d', 'body', 'kind', NULL, '{}', 'n', '0A000'),
	('one label', 'test_texts', 'body', '''same''', NULL, '{}', 'n', '22023'), ('no rows', 'test_texts', 'body', 'kind', 'false', '{}', 'n', '22023'),
	('a key as label', 'test_texts', 'body', 'id', NULL, '{}', 'n', '54000'), ('no name', 'test_texts', 'body', 'kind', NULL, '{}', '', '42602'), ('no source', NULL, 'body', 'kind', NULL, '{}', 'n', '22004'),
	('a name that is taken', 'test_texts', 'body', 'kind', NULL, '{}', 'test_kind', '42710'), ('an unknown option', 'test_texts', 'body', 'kind', NULL, '{"x": 1}', 'n', '22023'),
	('one fold', 'test_texts', 'body', 'kind', NULL, '{"folds": 1}', 'n', '22023'), ('half a fold', 'test_texts', 'body', 'kind', NULL, '{"folds": 2.5}', 'n', '22023'),
	('no smoothing', 'test_texts', 'body', 'kind', NULL, '{"smoothing": 0}', 'n', '22023'), ('options that are none', 'test_texts', 'body', 'kind', NULL, '[]', 'n', '22023')
	) AS c(what, source, document, label, filter, options, name, state);

-------------------------------------------------- routers

CREATE FUNCTION rule(classifier text, label jsonb, judge text) RETURNS jsonb
LANGUAGE sql AS $$ SELECT jsonb_build_object('when', jsonb_build_object('classifier', classifier, 'label', label), 'judge', judge) $$;
SELECT gepa.create_router('test_router', ARRAY['{"when": "length > 1000", "judge": "test_dogs@1"}', rule('test_kind', '"code"', 'test_cats'), rule('test_two', '["code", "de"]', 'test_cats@1')], 'test_dogs');
SELECT is(gepa.route('test_router', 'for (x) { return y; }'), 'test_cats', 'a rule that a classifier decides');
SELECT is(gepa.route('test_router', 'und die Katze'), 'test_cats@1', '... by one of several labels, after another');
SELECT is(gepa.route('test_router', repeat('for (x) { return y; }', 100)), 'test_dogs@1', '... after a condition');
SELECT is(gepa.route('test_router', '{"document": "if (x) { y; }"}'::jsonb), 'test_cats', 'of an object the document decides');
SELECT is((gepa_verdict('test_router', 'und die Katze cats')).judge, 'test_cats', 'a verdict says which judge was chosen');
SELECT gepa.alter_router('test_router', ARRAY[rule('test_kind', '"code"', 'test_cats')]);
SELECT is((SELECT count(*) FROM (SELECT body, (gepa_verdict('test_router', body)).judge FROM test_texts) v
	WHERE judge = CASE gepa.classify('test_kind', body) WHEN 'code' THEN 'test_cats' ELSE 'test_dogs' END), 120::bigint, 'each document is judged by the judge of its label');
SELECT is(gepa.alter_router('test_router', ARRAY['{"when": "length > 1000", "judge": "test_dogs@1"}', rule('test_kind', '"code"', 'test_cats'), rule('test_two', '["code", "de"]', 'test_cats@1')]), 1,
	'an equal version is found');

SELECT throws_ok(format('SELECT gepa.create_router(%L, ARRAY[%L]::jsonb[], %L)', 'test_bad', rule, 'test_dogs'), state, NULL, 'refused: ' || rule)
FROM (VALUES ('{"when": {"classifier": "test_kind"}, "judge": "test_cats"}', '22023'), ('{"when": {"classifier": "test_kind", "label": "nosuch"}, "judge": "test_cats"}', '22023'),
	('{"when": {"classifier": "missing", "label": "code"}, "judge": "test_cats"}', '42704'), ('{"when": {"classifier": 5, "label": "code"}, "judge": "test_cats"}', '22023'),
	('{"when": {"classifier": "test_kind", "judge": "test_cats", "label": "code"}, "judge": "test_cats"}', '22023'),
	('{"when": {"classifier": "test_cats", "label": "true"}, "judge": "test_cats"}', '42704'), ('{"when": {"judge": "test_kind", "label": "code"}, "judge": "test_cats"}', '42704')) AS r(rule, state);

-------------------------------------------------- rights

CREATE ROLE test_user;
CREATE ROLE test_other;
GRANT USAGE ON FOREIGN SERVER test_lm TO test_user, test_other;
GRANT EXECUTE ON FUNCTION gepa_judge(text, text) TO test_user;
SET LOCAL ROLE test_user;
SELECT is(made(), '42501', 'the source is read with the rights of the caller');
SELECT throws_ok($$SELECT gepa.classify('test_kind', 'x')$$, '42501', NULL, 'another''s classifier does not answer');
SELECT throws_ok($$SELECT gepa.drop_classifier('test_kind')$$, '42501', NULL, '... is not dropped');
SELECT throws_ok($$SELECT gepa.create_router('test_bad', ARRAY['{"when": {"classifier": "test_kind", "label": "code"}, "judge": "test_cats"}']::jsonb[], 'test_dogs')$$, '42501', NULL,
	'... nor lent to a router');
SELECT throws_ok('SELECT counts FROM gepa.classifier', '42501', NULL, '... nor read');
SELECT is((SELECT count(*) FROM gepa.classifiers), 0::bigint, '... nor shown');
SELECT is(gepa.route('test_router', 'for (x) { return y; }'), 'test_cats', 'but it decides for whoever may use the router');
SELECT is(gepa_judge('test_router', 'for cats (x) { return y; }'), true, '... and judges');
SELECT lives_ok($$SELECT gepa.create_classifier('test_own', 'SELECT i::text AS body, i % 2 AS label FROM generate_series(1, 10) i', 'body', 'label')$$, 'everybody may train one');
SELECT is((SELECT array_agg(classifier) FROM gepa.classifiers), '{test_own}', '... and is shown his');
RESET ROLE;

-------------------------------------------------- dropping

SELECT gepa.drop_classifier('test_two');
SELECT throws_ok($$SELECT gepa.classify('test_two', 'x')$$, '42704', NULL, 'a classifier that is gone');
SELECT throws_ok($$SELECT gepa_judge('test_router', 'x')$$, '42704', 'classifier "test_two" that the router names was dropped', '... is missed by the router');
SELECT gepa.create_classifier('test_two', 'test_texts', 'body', 'kind');
SELECT throws_ok($$SELECT gepa_judge('test_router', 'x')$$, '42704', NULL, 'another one of its name is not taken for it');
SELECT gepa.alter_router('test_router', ARRAY[rule('test_two', '"en"', 'test_cats')]);
SELECT is(gepa.route('test_router', 'the nice house'), 'test_cats', '... until the router is told so');
SELECT throws_ok($$SELECT gepa.drop_classifier('missing')$$, '42704', NULL, 'nothing is dropped');

-- What came in another way.
UPDATE gepa.classifier SET counts = substr(counts, 2) WHERE name = 'test_two';
SELECT throws_ok($$SELECT gepa.classify('test_two', 'x')$$, 'XX001', NULL, 'counts that were cut off');
UPDATE gepa.classifier SET counts = '', labels = '{}' WHERE name = 'test_two';
SELECT throws_ok($$SELECT gepa.route('test_router', 'x')$$, 'XX001', NULL, 'no labels');
UPDATE gepa.router_version SET classifiers = '{}' WHERE judge = (SELECT id FROM gepa.routers WHERE router = 'test_router');
SELECT throws_ok($$SELECT gepa.route('test_router', 'x')$$, '42704', NULL, 'a router that does not know which classifier it means');

SELECT * FROM finish();
ROLLBACK;
