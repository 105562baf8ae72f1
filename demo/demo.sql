-- The demo, as script/demo runs it: from labels to a filtered table.
--
-- psql variables: mails (CSV file of load_mails.py), base_url, model, private
-- (the endpoint is on a private address), lm_options (further options of the
-- server), reflection_base_url, reflection_model (empty: examples are tuned,
-- the instruction is not), reflection_private, max_chars, budget.  Keys come
-- from the environment, so that no process list and no log has them.

\set ON_ERROR_STOP on
\set QUIET on
\pset footer off
\pset null '-'
\timing off
SET client_min_messages = notice;
SET search_path = public;

\echo
\echo '-- 1. Labelled mails: the SpamAssassin public corpus'
CREATE EXTENSION gepa;
CREATE TABLE mails
(
	id int PRIMARY KEY,
	grp text NOT NULL,
	label text NOT NULL,
	subject text NOT NULL,
	body text NOT NULL,
	dropped int NOT NULL,			-- parts that are not text
	document text NOT NULL GENERATED ALWAYS AS (subject || E'\n' || body) STORED
);
COPY mails (id, grp, label, subject, body, dropped) FROM :'mails' WITH (FORMAT csv);
ANALYZE mails;
SELECT grp, label, count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY length(body)) AS median_length
FROM mails GROUP BY grp, label ORDER BY grp;

-- What somebody labelled by hand: 100 of each label.  Mails of one thread
-- carry one group, so that they never stand on two sides of a split.
CREATE VIEW labelled_mails AS
SELECT id, document, label,
	lower(regexp_replace(subject, '^(\s*(re|fw|fwd)\s*:\s*|\s*\[[^]]*\]\s*)*', '', 'i')) AS thread
FROM (SELECT *, row_number() OVER (PARTITION BY label ORDER BY md5('demo' || id)) AS place
	FROM mails WHERE length(body) >= 40) m
WHERE place <= 100;

\echo
\echo '-- 2. A language model is a foreign server'
CREATE SERVER demo_lm FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url :'base_url', model :'model', :lm_options);
\if :private
ALTER SERVER demo_lm OPTIONS (ADD allow_private_address 'true');
\endif
\if :{?reflection_model}
CREATE SERVER demo_reflection_lm FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url :'reflection_base_url', model :'reflection_model');
\if :reflection_private
ALTER SERVER demo_reflection_lm OPTIONS (ADD allow_private_address 'true');
\endif
\set reflection_lm '''demo_reflection_lm'''
\else
\set reflection_lm NULL
\endif

-- Keys: from the environment to a user mapping, past the server's log.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET track_activities = off;
\getenv api_key GEPA_API_KEY
\getenv reflection_api_key GEPA_REFLECTION_API_KEY
\if :{?api_key}
CREATE USER MAPPING FOR CURRENT_USER SERVER demo_lm OPTIONS (api_key :'api_key');
\endif
\if :{?reflection_model}
\if :{?reflection_api_key}
CREATE USER MAPPING FOR CURRENT_USER SERVER demo_reflection_lm OPTIONS (api_key :'reflection_api_key');
\endif
\endif
\unset api_key
\unset reflection_api_key
RESET log_statement;
RESET log_min_error_statement;
RESET log_min_duration_statement;
RESET track_activities;

SELECT * FROM gepa.check_lm('demo_lm');

\echo
\echo '-- 3. A judge and a dataset'
SELECT gepa.create_judge('spam', lm => 'demo_lm', prompt => 'Is this mail spam or ham?',
	labels => '{spam,ham}', positive => '{spam}',
	options => jsonb_build_object('window', 'head', 'max_chars', :max_chars)) AS judge;
SELECT gepa.create_dataset('labelled', source => 'labelled_mails', key => 'id', inputs => '{document}',
	label => 'label', group_by => 'thread') AS dataset;

\echo
\echo '-- 4. Tune, for seven minutes at most: search the examples to show'
SELECT gepa.optimize('spam', dataset => 'labelled', reflection_lm => :reflection_lm, budget => :budget, seed => 1,
	options => '{"metric": "score", "examples": true, "max_examples": 6,
		"max_seconds": 420, "split": {"train": 0.25, "val": 0.25, "test": 0.5}}') AS run \gset
SELECT run, status, reason, rollouts, rounds, best_candidate, round(best_score::numeric, 3) AS estimate,
	input_tokens, output_tokens, cost, date_trunc('second', finished_at - started_at) AS took
FROM gepa.runs WHERE run = :run;

\echo
\echo '-- What it compared, on how many mails, and who led then'
SELECT kind, count(*) AS comparisons, sum(jsonb_array_length(compared)) AS candidates, sum(cardinality(samples)) AS mails,
	max(leads) FILTER (WHERE decision = last) AS leads
FROM (SELECT *, max(decision) OVER (PARTITION BY kind) AS last FROM gepa.decisions WHERE run = :run) d
GROUP BY kind ORDER BY min(decision);
SELECT candidate, parents, round(score::numeric, 3) AS estimate, rollouts_at_discovery AS after_rollouts,
	jsonb_array_length(coalesce(components ->> 'examples', '[]')::jsonb) AS examples
FROM gepa.candidates WHERE run = :run ORDER BY score DESC LIMIT 5;

\echo
\echo '-- What the run itself says of its winner, by mails that chose nothing'
SELECT held_out_n AS mails, round(gain::numeric, 3) AS gain, round(gain_low::numeric, 3) AS low, round(gain_high::numeric, 3) AS high
FROM gepa.runs WHERE run = :run;
SELECT coalesce(gain <= 0, false) AS no_gain FROM gepa.runs WHERE run = :run \gset

\echo
\echo '-- 5. Deploy the winner; its threshold is chosen on mails that the run has judged'
\if :no_gain
\echo 'The gain is not above zero, so gepa.deploy() wants to be forced. Here it is, for the figures'
\echo 'that follow; where it counts, keep the seed.'
\endif
SELECT gepa.deploy(run => :run, force => :'no_gain') AS version;
SELECT version, current, round(threshold::numeric, 3) AS threshold, run, candidate
FROM gepa.judge_versions WHERE judge = 'spam' ORDER BY version;

\echo
\echo '-- 6. All held-out mails, which chose nothing: the seed beside the tuned judge, 95 % intervals'
SELECT metric, n, round(baseline::numeric, 3) AS baseline,
	round(baseline_low::numeric, 3) AS low, round(baseline_high::numeric, 3) AS high,
	round(tuned::numeric, 3) AS tuned,
	round(tuned_low::numeric, 3) AS low, round(tuned_high::numeric, 3) AS high,
	to_char(p_value, '0.0EEEE') AS p_value
FROM gepa.report('spam');

\echo
\echo '-- 7. Filter: 40 mails that were in no dataset, those that are no spam'
CREATE VIEW inbox AS
SELECT * FROM mails m
WHERE length(body) >= 40 AND NOT EXISTS (SELECT FROM labelled_mails l WHERE l.id = m.id)
ORDER BY md5('inbox' || id) LIMIT 40;
SELECT id, grp, left(subject, 60) AS subject FROM inbox WHERE NOT gepa_judge('spam', document) ORDER BY id;

\echo
\echo '-- The verdicts are stored: the same documents again, beside the human label, without a call'
SELECT m.label AS human, (v).label AS model_says, (v).positive AS judged_spam, count(*),
	round(avg((v).score)::numeric, 3) AS mean_score, bool_and((v).cached) AS all_cached
FROM (SELECT label, gepa_verdict('spam', document) AS v FROM inbox) m
GROUP BY 1, 2, 3 ORDER BY 1, 3;
SELECT count(*) AS stored_verdicts, sum(input_tokens) AS input_tokens, sum(cost) AS cost
FROM gepa.verdicts WHERE judge = 'spam';
