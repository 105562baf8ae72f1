--
-- Judges: create, alter, drop; versions and digests; what they refuse.
--
\pset format unaligned
\pset tuples_only on

CREATE SERVER regress_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');

-- The least that makes a judge, and what it is then.
SELECT gepa.create_judge('cats', 'regress_lm', 'Is the text about "cats"?') > 0;
\x on
\pset tuples_only off
SELECT judge, lm, current_version, owner = current_user AS mine, labels, positive, threshold, versions
FROM gepa.judges WHERE judge = 'cats';
SELECT judge, version, current, lm, components, labels, positive, options, threshold, digest, run, candidate
FROM gepa.judge_versions WHERE judge = 'cats';
\pset tuples_only on
\x off

-- The digest is over what can change a verdict: equal for an equal judge of
-- another name, different for any other prompt, labels, options or LM.
CREATE SERVER regress_lm2 FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned', max_concurrency '3', input_price '1');
CREATE SERVER regress_lm3 FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'other');
SELECT gepa.create_judge('d1', 'regress_lm2', 'Is the text about "cats"?') > 0,
	gepa.create_judge('d2', 'regress_lm3', 'Is the text about "cats"?') > 0,
	gepa.create_judge('d3', 'regress_lm', 'Is the text about "dogs"?') > 0,
	gepa.create_judge('d4', 'regress_lm', 'Is the text about "cats"?', positive => '{false}') > 0,
	gepa.create_judge('d5', 'regress_lm', 'Is the text about "cats"?', labels => '{false,true}') > 0,
	gepa.create_judge('d6', 'regress_lm', 'Is the text about "cats"?', options => '{"max_chars": 100}') > 0,
	gepa.create_judge('d7', 'regress_lm', 'Is the text about "cats"?', options => '{"threshold": 0.6}') > 0,
	gepa.create_judge('d8', 'regress_lm', 'Is the text about "cats"?', options => '{"reasoning": true}') > 0,
	gepa.create_judge('d9', 'regress_lm', 'Is the text about "cats"?', options => '{"window": "head"}') > 0,
	gepa.create_judge('da', 'regress_lm', 'Is the text about "cats"?', options => '{"inputs": ["title"]}') > 0,
	gepa.create_judge('db', 'regress_lm', 'Is the text about "cats"?',
		options => '{"examples": [{"document": "a cat", "label": "true"}]}') > 0;
SELECT v.judge, v.digest = c.digest
FROM gepa.judge_versions v, gepa.judge_versions c
WHERE c.judge = 'cats' AND v.judge LIKE 'd_' ORDER BY v.judge;
SELECT count(DISTINCT digest) FROM gepa.judge_versions WHERE judge LIKE 'd_';

-- Versions: immutable; an equal one is made current again.
SELECT gepa.alter_judge('cats', prompt => 'Is the text about "dogs"?');
SELECT gepa.alter_judge('cats', options => '{"threshold": 0.7, "reasoning": true}');
SELECT version, current, threshold, options -> 'reasoning', components FROM gepa.judge_versions
WHERE judge = 'cats' ORDER BY version;
SELECT gepa.alter_judge('cats', prompt => 'Is the text about "cats"?', options => '{"threshold": 0.5, "reasoning": false}');
SELECT current_version, versions FROM gepa.judges WHERE judge = 'cats';
SELECT gepa.alter_judge('cats', lm => 'regress_lm3');
SELECT version, current, lm FROM gepa.judge_versions WHERE judge = 'cats' ORDER BY version;

-- Names and NULLs.
SELECT refused($$SELECT gepa.create_judge('cats', 'regress_lm', 'again')$$);
SELECT refused($$SELECT gepa.create_judge('', 'regress_lm', 'p')$$);
SELECT refused($$SELECT gepa.create_judge(repeat('n', 256), 'regress_lm', 'p')$$);
SELECT refused($$SELECT gepa.create_judge(NULL, 'regress_lm', 'p')$$);
SELECT refused($$SELECT gepa.create_judge('x', NULL, 'p')$$);
SELECT refused($$SELECT gepa.create_judge('x', 'regress_lm', NULL)$$);
SELECT refused($$SELECT gepa.create_judge('x', 'regress_missing', 'p')$$);
SELECT refused($$SELECT gepa.create_judge('x', 'regress_lm', '')$$);
SELECT refused($$SELECT gepa.alter_judge('missing')$$);
SELECT refused($$SELECT gepa.drop_judge('missing')$$);
SELECT gepa.drop_judge(NULL) IS NULL;

-- Labels.
SELECT refused(format('SELECT gepa.create_judge(%L, %L, %L, %s)', 'x', 'regress_lm', 'p', labels))
FROM (VALUES
	(1, $$labels => '{}'$$),
	(2, $$labels => '{true}'$$),
	(3, $$labels => '{true,true}'$$),
	(4, $$labels => '{true,""}'$$),
	(5, $$labels => '{true,NULL}'$$),
	(6, $$labels => NULL$$),
	(7, $$positive => '{yes}'$$),
	(8, $$positive => '{}'$$),
	(9, $$positive => '{true,false}'$$),
	(10, $$labels => ARRAY['true', repeat('x', 201)]$$)) AS l(n, labels)
ORDER BY n;

-- Options.
SELECT refused(format('SELECT gepa.create_judge(%L, %L, %L, options => %L)', 'x', 'regress_lm', 'p', options))
FROM (VALUES
	(1, '[]'), (2, '{"colour": "red"}'), (3, '{"window": "tail"}'), (4, '{"window": 1}'),
	(5, '{"max_chars": 49}'), (6, '{"max_chars": "many"}'), (7, '{"max_chars": 1.5}'),
	(8, '{"max_chars": 1e99}'), (9, '{"reasoning": "yes"}'), (10, '{"threshold": 1.1}'),
	(11, '{"threshold": -0.1}'), (12, '{"threshold": "high"}'), (13, '{"inputs": []}'),
	(14, '{"inputs": "body"}'), (15, '{"inputs": ["a", "a"]}'), (16, '{"inputs": [""]}'), (17, '{"inputs": [1]}'),
	(18, '{"examples": {}}'), (19, '{"examples": [{"label": "true"}]}'),
	(20, '{"examples": [{"document": "d"}]}'), (21, '{"examples": [{"document": "d", "label": "maybe"}]}'),
	(22, '{"examples": [{"document": 1, "label": "true"}]}'),
	(23, '{"examples": [{"document": {"body": "d"}, "label": "true"}]}')) AS o(n, options)
ORDER BY n;
SELECT refused($$SELECT gepa.alter_judge('cats', options => '{"colour": "red"}')$$);
SELECT refused($$SELECT gepa.alter_judge('cats', prompt => '')$$);

-- Dropping takes the versions along.
SELECT gepa.drop_judge('cats');
SELECT count(*) FROM gepa.judge_versions WHERE judge = 'cats';
SELECT gepa.drop_judge(judge) FROM gepa.judges WHERE judge LIKE 'd_';
DROP SERVER regress_lm, regress_lm2, regress_lm3;
