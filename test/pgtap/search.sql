/*
 * The default mode of a run as a role meets it: its options, the note on options
 * that have no effect, the figures on held-out samples in the views, and deploy.
 * Figures are put into the tables by hand; everything happens in one transaction
 * that is rolled back, so no worker ever sees these runs.
 *
 * Run in a database that has the extensions pgtap and gepa, on a server that
 * has the library preloaded.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is the text about "cats"?');
CREATE TABLE test_samples AS
SELECT i AS k, 'text number ' || i AS body, (i % 2 = 0)::text AS label,
	CASE WHEN i <= 40 THEN 'train' WHEN i <= 60 THEN 'val' ELSE 'test' END AS part
FROM generate_series(1, 80) i;
SELECT gepa.create_dataset('test_set', 'test_samples', 'k', '{body}', 'label', split => 'part');

CREATE FUNCTION start_with(options jsonb) RETURNS int LANGUAGE sql AS $$
	SELECT gepa.start('test_judge', 'test_set', 'test_lm', 500, options => options)
$$;

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
	RETURN code || ' ' || message || ' / ' || detail || ' / ' || coalesce(nullif(hint, ''), 'NO HINT');
END
$$;

CREATE FUNCTION note_on_options(run_id int) RETURNS text LANGUAGE sql AS $$
	SELECT n FROM gepa.runs, jsonb_array_elements_text(notes) n WHERE run = run_id AND n LIKE 'options without effect%'
$$;

--------------------------------------------------------------------- options

SELECT start_with('{}') AS run \gset
SELECT is((SELECT options ->> 'mode' FROM gepa.runs WHERE run = :run), 'default', 'a run searches in default mode');
SELECT is(note_on_options(:run), NULL, '... and notes nothing about its options');

-- Every constant of the policy has its own name, with the default of the engine.
SELECT is((SELECT options -> name FROM gepa.runs WHERE run = :run), value::jsonb, 'option ' || name)
FROM (VALUES ('seed_window', '16'), ('window', '12'), ('min_rollouts', '8'), ('reserve', '0.25'), ('finalists', '4'), ('leader_rollouts', '40'),
	('max_reflections', '0'), ('reflections_per_round', '2'), ('whole_rounds', 'false'), ('reflection_pace', '0.7'), ('recombinations', '1'), ('recombine_after', '0.25'),
	('held_out', '-1'), ('pipelined', 'false'), ('intercept_mean', '0.3'), ('intercept_sd', '2'), ('line_mean', '0.1'),
	('line_sd', '0.3'), ('candidate_sd', '0.12'), ('length_mean', '-0.4'), ('length_sd', '0.2'), ('sample_sd', '2'), ('dispersion_prior', '20'), ('least_dispersion', '0.02'),
	('lineage', 'true'), ('thompson', '0.7'), ('max_changes', '4'), ('max_additions', '2'), ('window_floor', '0.15'),
	('window_gain', '3.4'), ('window_known', '2'), ('window_known_after', '250'), ('window_decay', '0.5'), ('records', '12'),
	('record_failures', '9'), ('balance_labels', 'true')) AS o(name, value);

SELECT matches(refusal(format('SELECT start_with(%L)', options)), '^22023 .*' || (SELECT min(key) FROM jsonb_object_keys(options::jsonb) key), 'option ' || options)
FROM (VALUES ('{"window": 0}'), ('{"window": 2.5}'), ('{"seed_window": 0}'), ('{"reserve": 1}'), ('{"reserve": -0.1}'), ('{"finalists": 1}'), ('{"leader_rollouts": -1}'), ('{"dispersion_prior": -1}'), ('{"least_dispersion": 0}'),
	('{"held_out": -2}'), ('{"pipelined": 1}'), ('{"line_sd": -1}'), ('{"candidate_sd": -0.1}'), ('{"thompson": "much"}'), ('{"records": 0}'),
	('{"reflection_pace": 0}'), ('{"lineage": "yes"}'), ('{"recombinations": -1}'), ('{"min_rollouts": 0}')) AS o(options);

-- Options of the other mode are no error, but said to be idle.
SELECT start_with('{"minibatch_size": 5, "merge": true, "window": 10, "max_cost": 3, "top_k": null, "skip_perfect": false}') AS run \gset
SELECT is(note_on_options(:run), 'options without effect in mode "default": merge, minibatch_size', 'what only the reference knows');
SELECT start_with('{"mode": "reference", "minibatch_size": 5, "window": 10, "held_out": 20, "examples": true}') AS run \gset
SELECT is(note_on_options(:run), 'options without effect in mode "reference": window, held_out', 'what only the default mode knows');
SELECT matches(refusal($$SELECT start_with('{"metric": "ranking"}')$$), '^22023 .*"ranking" needs "mode" "reference" / .* / Add "mode"',
	'a metric that is relative to its step needs the reference');

------------------------------------------------------------------ held out

SELECT start_with('{}') AS run \gset
INSERT INTO gepa.proposal (run, proposal, iteration, parents, components, candidate, accepted, score)
SELECT :run, i, i, CASE WHEN i > 0 THEN '{0}' ELSE '{}' END::int[], '{"instruction": "text"}', i, true, 0.5 + i / 10.0 FROM generate_series(0, 2) i;
UPDATE gepa.run SET status = 'finished', best_candidate = 1, best_score = 0.6, held_out_n = 40, held_out_seed = 0.55, held_out = 0.5,
	gain = -0.05, gain_low = -0.15, gain_high = 0.05 WHERE run = :run;
SELECT results_eq(format('SELECT candidate, held_out, held_out_n FROM gepa.candidates WHERE run = %s ORDER BY candidate', :run),
	'VALUES (0, 0.55::float8, 40), (1, 0.5, 40), (2, NULL, NULL)', 'winner and seed have a held-out figure');
SELECT results_eq(format('SELECT held_out_n, gain, gain_low, gain_high FROM gepa.runs WHERE run = %s', :run),
	'VALUES (40, -0.05::float8, -0.15::float8, 0.05::float8)', 'the run has the difference');

SELECT matches(refusal(format(statement, :run)),
	'^55000 the winner of run \d+ is no better than its seed on held-out samples / On 40 held-out samples the seed scores 0.550 and candidate 1 0.500,'
	' a difference of -0.050 with a 95 % interval from -0.150 to \+0.050\. / .*SELECT gepa.deploy\(\d+, force => true\)', statement)
FROM (VALUES ('SELECT gepa.deploy(%s)'), ('SELECT gepa.deploy(%s, 1)'), ('SELECT gepa.deploy(%s, force => false)'),
	('SELECT gepa.deploy(%s, NULL, NULL)')) s(statement);
SELECT is((SELECT current_version FROM gepa.judges WHERE judge = 'test_judge'), 1, '... and nothing was deployed');
SELECT is(gepa.deploy(:run, force => true), 2, 'by force it is');
SELECT is(gepa.deploy(:run, 2), 2, 'another candidate needs none (it has the same text here)');
UPDATE gepa.run SET gain = 0 WHERE run = :run;
SELECT matches(refusal(format('SELECT gepa.deploy(%s)', :run)), '^55000', 'no difference is no gain');
UPDATE gepa.run SET gain = NULL WHERE run = :run;
SELECT matches(refusal(format('SELECT gepa.deploy(%s)', :run)), '^55000', 'nor is one that is not known');
UPDATE gepa.run SET gain = 0.01, gain_low = -0.1 WHERE run = :run;
SELECT is(gepa.deploy(:run), 2, 'a gain deploys, whatever its interval');
UPDATE gepa.run SET best_candidate = 0, gain = 0 WHERE run = :run;
SELECT matches(refusal(format('SELECT gepa.deploy(%s)', :run)), '^55000', 'a seed that has won is no winner');
SELECT is(refusal(format('SELECT gepa.deploy(%s, 0)', :run)), 'accepted', '... but may be named');
UPDATE gepa.run SET held_out_n = NULL, gain = NULL WHERE run = :run;
SELECT is(gepa.deploy(:run), 2, 'without a comparison there is nothing to object to');

------------------------------------------------------------------- decisions

INSERT INTO gepa.decision (run, decision, iteration, kind, led, leads, compared, samples, reason) VALUES
	(:run, 0, 0, 'seed', NULL, 0, '[{"candidate": 0, "rollouts": 16, "estimate": 0.5, "sd": 0, "chance": 0.5}]', '{1,2}', 'the seed leads');
SELECT results_eq(format('SELECT kind, led, leads, samples, reason FROM gepa.decisions WHERE run = %s', :run),
	$$VALUES ('seed', NULL::int, 0, '{1,2}'::text[], 'the seed leads')$$, 'gepa.decisions shows them');
SELECT is((SELECT phase FROM gepa.progress WHERE run = :run), NULL, 'a run that has ended makes no progress');
UPDATE gepa.run SET status = 'running', iteration = 3, rounds = 9, phase = 'generation' WHERE run = :run;
SELECT is((SELECT phase || ', ' || rounds FROM gepa.progress WHERE run = :run), 'generation 3, 9', 'generations are counted');
UPDATE gepa.run SET phase = 'held out' WHERE run = :run;
SELECT is((SELECT phase FROM gepa.progress WHERE run = :run), 'held out', '... until the search is over');
SELECT gepa.drop_judge('test_judge');
SELECT is((SELECT count(*) FROM gepa.decision), 0::bigint, 'decisions go with their run');

SELECT finish();
ROLLBACK;
