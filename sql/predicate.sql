--
-- gepa_judge(), gepa_score(), gepa_verdict() on the provider "canned", whose
-- rule is in docs/lm.md: a quoted word of the prompt in the document.
--
\pset format unaligned
\pset tuples_only on

CREATE SERVER regress_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (
	api 'canned', model 'canned', input_price '1000', output_price '2000');
CREATE SERVER regress_logprobs FOREIGN DATA WRAPPER gepa_lm OPTIONS (
	api 'canned', model 'canned', logprobs 'true');
SELECT gepa.create_judge('cats', 'regress_lm', 'Is the text about "cats"?') > 0;

-- In a WHERE clause, as it is meant.
CREATE TABLE regress_docs (id int, lang text, body text);
INSERT INTO regress_docs VALUES
	(1, 'en', 'a page about cats'), (2, 'en', 'a page about dogs'), (3, 'de', 'cats, auf deutsch'),
	(4, 'en', NULL), (5, 'en', 'Cats and dogs'), (6, 'en', ''), (7, 'en', 'a page about cats');
SELECT id FROM regress_docs WHERE lang = 'en' AND gepa_judge('cats', body) ORDER BY id;
SELECT id, gepa_judge('cats', body), gepa_score('cats', body) FROM regress_docs ORDER BY id;

-- The whole verdict; latency is not for a test.
\x on
\pset tuples_only off
SELECT label, positive, score, reasoning, status, cached, input_tokens > 0 AS input, output_tokens > 0 AS output,
	cost > 0 AS cost, latency_ms >= 0 AS latency, chars_seen, chars_total, version, judge
FROM gepa_verdict('cats', 'an essay on cats');
\pset tuples_only on
\x off
-- The second time it is known.
SELECT label, cached FROM gepa_verdict('cats', 'an essay on cats');
SELECT label, cached, input_tokens > 0 FROM gepa_verdict('cats', 'an essay on cats');
SELECT stored(6);
SELECT version, label, positive, score, status, cost > 0, chars_seen, chars_total FROM gepa.verdicts
WHERE judge = 'cats' AND chars_total = length('an essay on cats');

-- NULL in, NULL out, and no call.
SELECT gepa_judge('cats', NULL::text) IS NULL, gepa_score('cats', NULL::text) IS NULL,
	gepa_verdict('cats', NULL::text) IS NULL, gepa_judge(NULL, 'text') IS NULL,
	gepa_judge('cats', NULL::jsonb) IS NULL, gepa_judge('cats', '{"document": null}'::jsonb) IS NULL;
SELECT stored(6);
SELECT refused($$SELECT gepa_judge('missing', 'text')$$);

-- A text and a jsonb object with the field "document" are one document.
SELECT label, cached FROM gepa_verdict('cats', '{"document": "an essay on cats", "other": 1}'::jsonb);
SELECT refused(format('SELECT gepa_judge(%L, %L::jsonb)', 'cats', doc))
FROM (VALUES (1, '[]'), (2, '"cats"'), (3, '{}'), (4, '{"body": "cats"}'), (5, 'null')) AS d(n, doc) ORDER BY n;
SELECT gepa_judge('cats', '{"document": ["cats", 1]}'::jsonb), gepa_judge('cats', '{"document": 17}'::jsonb);

-- Several fields.
SELECT gepa.create_judge('fields', 'regress_lm', 'Is the text about "cats"?', options => '{"inputs": ["title", "body"]}') > 0;
SELECT gepa_judge('fields', '{"title": "on cats", "body": "none"}'::jsonb),
	gepa_judge('fields', '{"title": "on dogs", "body": "none"}'::jsonb),
	gepa_judge('fields', '{"title": "on dogs", "body": null}'::jsonb) IS NULL;
SELECT refused($$SELECT gepa_judge('fields', 'one text')$$);
SELECT refused($$SELECT gepa_judge('fields', '{"title": "on cats"}'::jsonb)$$);

-- Arrays: NULL stays NULL, in the shape of the argument.
SELECT gepa_judge('cats', ARRAY['on cats', 'on dogs', NULL, 'on cats']), gepa_score('cats', ARRAY[['on cats', 'on dogs'], [NULL, '']]);
SELECT gepa_judge('cats', '[2:3]={on cats,on dogs}'::text[]), gepa_judge('cats', '{}'::text[]), gepa_judge('cats', '{NULL}'::text[]),
	gepa_judge('cats', NULL::text[]) IS NULL, gepa_judge(NULL, '{on cats}'::text[]) IS NULL;
SELECT gepa_judge('fields', ARRAY['{"title": "on cats", "body": "none"}', NULL, '{"title": "on dogs", "body": null}']::jsonb[]),
	gepa_score('fields', ARRAY['{"title": "on dogs", "body": "none"}']::jsonb[]), gepa_judge('fields', '{}'::jsonb[]);
SELECT refused($$SELECT gepa_judge('fields', ARRAY['one text'])$$);
SELECT refused($$SELECT gepa_judge('fields', ARRAY['{"title": "on cats"}'::jsonb])$$);
SELECT refused($$SELECT gepa_judge('missing', ARRAY['text'])$$);
-- What a literal without a type means: a text, as it did before there were arrays.
SELECT pg_typeof(gepa_judge('cats', '{on cats}')), pg_typeof(gepa_judge('cats', NULL)), pg_typeof(gepa_score('cats', 'on cats'::varchar)),
	pg_typeof(gepa_judge('cats', ARRAY['on cats'])), pg_typeof(gepa_judge('cats', ARRAY[NULL])), pg_typeof(gepa_judge('cats', ARRAY['on cats'::varchar]));
PREPARE untyped AS SELECT pg_typeof(gepa_judge('cats', $1));
EXECUTE untyped('on cats');
DEALLOCATE untyped;

-- Nothing is judged while a query is planned: an estimate does without, a plan cannot.
CREATE FUNCTION immutable_one(t text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN gepa_judge(''cats'', t); END';
CREATE FUNCTION immutable_all(t text) RETURNS bool[] LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN gepa_judge(''cats'', ARRAY[t]); END';
CREATE FUNCTION stable_score(t text) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN gepa_score(''cats'', t); END';
CREATE FUNCTION lowered(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN lower(t); END';
SELECT refused($$SELECT immutable_one('on cats')$$);
SELECT refused($$SELECT immutable_all('on cats')$$);
SELECT refused($$SELECT id FROM regress_docs, (SELECT 'on cats' AS t) s WHERE immutable_one(s.t)$$);
SELECT id FROM regress_docs WHERE immutable_one(body) ORDER BY id;
SET client_min_messages = error;
SELECT id FROM regress_docs WHERE id > stable_score('on cats') AND lowered(body) > '' ORDER BY id;
RESET client_min_messages;
DROP FUNCTION immutable_one, immutable_all, stable_score, lowered;

-- Labels of one's own, an ordinal scale, several positives.
SELECT gepa.create_judge('topic', 'regress_lm', 'What is it about?', labels => '{cats,dogs,birds}', positive => '{cats,dogs}') > 0;
SELECT (gepa_verdict('topic', d)).label, (gepa_verdict('topic', d)).positive
FROM unnest(ARRAY['on cats', 'on dogs', 'on birds']) d;
SELECT gepa.create_judge('scale', 'regress_lm', 'How good is it?', labels => '{1,2,3,4,5}', positive => '{4,5}') > 0;
SELECT (gepa_verdict('scale', d)).label, (gepa_verdict('scale', d)).positive
FROM unnest(ARRAY['grade 5', 'grade 3']) d;

-- A score from log-probabilities, and a threshold on it.
SELECT gepa.create_judge('scored', 'regress_logprobs', 'Is the text about "cats"?') > 0;
SELECT round(gepa_score('scored', 'on cats')::numeric, 3), round(gepa_score('scored', 'on dogs')::numeric, 3);
SELECT gepa_judge('scored', 'on cats'), gepa_judge('scored', 'on dogs');
SELECT gepa.alter_judge('scored', options => '{"threshold": 0.99}');
SELECT gepa_judge('scored', 'on cats'), (gepa_verdict('scored', 'on cats')).cached;
SELECT gepa.alter_judge('scored', options => '{"threshold": 0.05}');
SELECT gepa_judge('scored', 'on dogs'), (gepa_verdict('scored', 'on dogs')).cached;
SELECT version, label, positive FROM gepa.verdicts WHERE judge = 'scored' ORDER BY label;

-- Reasoning before the label.
SELECT gepa.create_judge('reasoned', 'regress_lm', 'Is the text about "cats"?', options => '{"reasoning": true}') > 0;
SELECT label, reasoning <> '' FROM gepa_verdict('reasoned', 'on cats');

-- Windows: the verdict says how much was seen.
SELECT gepa.create_judge('w_' || w, 'regress_lm', 'Is the text about "cats"?',
	options => format('{"window": "%s", "max_chars": 100}', w)::jsonb) > 0
FROM unnest(ARRAY['head', 'head_tail', 'head_middle_tail']) w;
SELECT w, d.name, v.label, v.chars_seen BETWEEN 50 AND 100, v.chars_total
FROM unnest(ARRAY['head', 'head_tail', 'head_middle_tail']) WITH ORDINALITY w(w, n),
	(VALUES ('front', 'cats ' || repeat('word ', 1000)), ('end', repeat('word ', 1000) || 'cats'),
		('utf8', repeat('äöü€😀', 1000) || ' cats')) AS d(name, body),
	gepa_verdict('w_' || w, d.body) v
ORDER BY w.n, d.name;
SELECT chars_seen, chars_total FROM gepa_verdict('w_head', repeat('x', 100));

-- A changed LM is noticed, unless told otherwise; then it has verdicts of its own.
ALTER SERVER regress_lm OPTIONS (ADD temperature '0.3');
SELECT refused($$SELECT gepa_judge('cats', 'on cats')$$);
SET gepa.allow_lm_mismatch = on;
SELECT label, cached FROM gepa_verdict('cats', 'an essay on cats');
RESET gepa.allow_lm_mismatch;
ALTER SERVER regress_lm OPTIONS (DROP temperature);
SELECT label, cached FROM gepa_verdict('cats', 'an essay on cats');
-- Where the endpoint stands, and prices, are no change.
ALTER SERVER regress_lm OPTIONS (SET input_price '3', ADD max_concurrency '2');
SELECT label, cached FROM gepa_verdict('cats', 'an essay on cats');

-- One version per query, in any expression, and in PL/pgSQL after a change.
CREATE FUNCTION pg_temp.judged(doc text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before int;
BEGIN
	before := (gepa_verdict('cats', doc)).version;
	PERFORM gepa.alter_judge('cats', prompt => 'Is the text about "dogs"?');
	RETURN before || ' ' || (gepa_verdict('cats', doc)).version || ' ' || gepa_judge('cats', doc);
END
$$;
SELECT pg_temp.judged('all about dogs');
SELECT CASE WHEN gepa_judge('cats', 'dogs') THEN 'dogs' ELSE 'none' END,
	count(*) FILTER (WHERE gepa_judge('cats', body)) FROM regress_docs;

-- Settings.
SET gepa.on_error = 'sometimes';
SHOW gepa.on_error;

DROP TABLE regress_docs;
SELECT gepa.drop_judge(judge) FROM gepa.judges;
DROP SERVER regress_lm, regress_logprobs;
