-- Tuning something in the database that is no judge: a text-search query.
--
-- A shop has 160 tickets, of which people said whether they are about money.  A query finds those that are,
-- if it has the right words in it.  The function that says how good a query is runs it; the reflection LM rewrites
-- it.  docs/texts.md tells the rest.
--
-- psql variables: base_url, model (of the reflection LM), private (the endpoint is on a private address); a key
-- comes from the environment, GEPA_API_KEY.  Against the mock:
--
--     python3 test/mock/server.py          prints its PORT, and serves until its input is closed
--     psql -v base_url=http://127.0.0.1:PORT/v1 -v model=text-words -v private=true -f demo/texts.sql

\set ON_ERROR_STOP on
\set QUIET on
\pset footer off
\timing off
SET client_min_messages = notice;

\echo '-- 1. Tickets, and whether they are about money'
CREATE EXTENSION IF NOT EXISTS gepa;
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TABLE tickets (id int PRIMARY KEY, body text NOT NULL, about_money bool NOT NULL);
INSERT INTO tickets
SELECT i, format('%s %s %s %s',
		(ARRAY['Hello,', 'Good morning,', 'Dear team,', 'Hi there,'])[1 + i % 4],
		CASE WHEN money THEN (ARRAY['the invoice shows the wrong amount', 'please refund what was charged twice',
				'my card was charged although I cancelled', 'the invoice never came', 'when will the refund be paid',
				'the discount is missing from my bill', 'can the bill be sent by mail'])[1 + i / 2 % 7]
			ELSE (ARRAY['the parcel was damaged on its way', 'the login page shows an error', 'where is my parcel',
				'the app crashes when I open it', 'my password does not work', 'the size does not fit',
				'the colour is not as shown'])[1 + i / 2 % 7] END,
		(ARRAY['for my order of last week.', 'and nobody answers.', 'since Monday.', 'as it did before.', 'again.'])[1 + i / 3 % 5],
		(ARRAY['Thank you.', 'Please help!', 'Regards, a customer.'])[1 + i / 5 % 3]),
	money
FROM (SELECT i, i % 2 = 0 AS money FROM generate_series(1, 160) i) t;
ALTER TABLE tickets ADD words tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('simple', body)) STORED;
CREATE INDEX ON tickets USING gin (words);
SELECT id, about_money, body FROM tickets WHERE id <= 4 ORDER BY id;

\echo '-- 2. How good is a query for one ticket?  What it costs and misses are objectives of their own'
CREATE FUNCTION evaluate(sample jsonb, candidate jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = shop, pg_catalog AS $$
DECLARE
	query tsquery;
	hit bool;
	wanted bool := (sample ->> 'label')::bool;
BEGIN
	BEGIN
		query := to_tsquery('simple', candidate ->> 'query');
	EXCEPTION WHEN syntax_error THEN
		RETURN jsonb_build_object('score', 0, 'feedback', 'This is no query of to_tsquery(): ' || SQLERRM,
			'objectives', '{"found": 0, "clean": 0}'::jsonb);
	END;
	SELECT t.words @@ query INTO STRICT hit FROM tickets t WHERE t.id = (sample ->> 'key')::int;
	RETURN jsonb_build_object('score', (hit = wanted)::int,
		'feedback', CASE WHEN hit = wanted THEN 'Right.' WHEN hit THEN 'Found, but it is not about money.'
			ELSE 'Not found, but it is about money.' END,
		'objectives', jsonb_build_object('found', (hit OR NOT wanted)::int, 'clean', (wanted OR NOT hit)::int),
		'trace', jsonb_build_object('query', query::text, 'parts', numnode(query)));
END
$$;
SELECT evaluate('{"key": "2", "label": "true"}', '{"query": "money"}');

\echo '-- 3. The reflection LM'
SELECT coalesce(:'private', 'false') = 'true' AS is_private \gset
CREATE SERVER texts_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url :'base_url', model :'model');
\if :is_private
ALTER SERVER texts_lm OPTIONS (ADD allow_private_address 'true');
\endif
-- The key: from the environment to a user mapping, past the server's log.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET track_activities = off;
\getenv api_key GEPA_API_KEY
\if :{?api_key}
CREATE USER MAPPING FOR CURRENT_USER SERVER texts_lm OPTIONS (api_key :'api_key');
\endif
\unset api_key
RESET log_statement;
RESET log_min_error_statement;
RESET log_min_duration_statement;
RESET track_activities;

\echo '-- 4. Tune it: 300 times a query is run on a ticket'
SELECT gepa.create_dataset('tickets', source => 'tickets', key => 'id', inputs => '{body}', label => 'about_money') AS dataset;
SELECT gepa.optimize_text(seed => '{"query": "money"}', evaluator => 'evaluate(jsonb, jsonb)'::regprocedure,
	reflection_lm => 'texts_lm', dataset => 'tickets', budget => 300,
	objective => 'A query of to_tsquery(''simple'', ...) that finds the tickets about money, and no others.',
	background => 'Words are compared as they stand: there is no stemming. Alternatives are separated by |.') AS run \gset
SELECT status, reason, rollouts, reflections, cost FROM gepa.runs WHERE run = :run;
SELECT gepa.best_text(:run) ->> 'query' AS query \gset
\echo 'The query that was found:' :query

\echo '-- 5. By tickets of the test set, which nothing was chosen by: before and after'
SELECT round(avg((words @@ to_tsquery('simple', 'money') = about_money)::int), 2) AS before,
	round(avg((words @@ to_tsquery('simple', :'query') = about_money)::int), 2) AS after, count(*) AS tickets
FROM tickets JOIN gepa.samples s ON s.run = :run AND s.sample = id::text AND s.split = 'test';
\echo '-- What the run itself says of it'
SELECT held_out_n AS tickets, round(gain::numeric, 2) AS gain, round(gain_low::numeric, 2) AS low, round(gain_high::numeric, 2) AS high
FROM gepa.runs WHERE run = :run;

\echo '-- 6. Use it'
SELECT id, body FROM tickets WHERE words @@ to_tsquery('simple', :'query') ORDER BY id LIMIT 3;
