/*
 * Files of others: what is wrong with them is said, with a way out, and nothing of
 * them stays; whose rights are needed; what comes in is what goes out.
 *
 * Run in a database that has the extensions pgtap and gepa.  What the Python packages
 * themselves write and read is in test/t/091_exchange_*.pl.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
SELECT gepa.create_judge('test_judge', 'test_lm', 'Is it good?', options => '{"inputs": ["body"]}');
CREATE SCHEMA test_data;
SET search_path = test_data, public;
CREATE TABLE samples (k int PRIMARY KEY, body text, label bool, note text, part text);
INSERT INTO samples SELECT i, 'text ' || i, i % 2 = 0, nullif('note ' || i % 3, 'note 0'),
	CASE WHEN i < 4 THEN 'train' WHEN i < 8 THEN 'val' ELSE 'test' END FROM generate_series(0, 11) i;
SELECT gepa.create_dataset('test_set', 'samples', 'k', '{body}', 'label', feedback => 'note', split => 'part');
SELECT gepa.create_dataset('test_query', 'SELECT * FROM samples', 'k', '{body}', 'label');

-- An ERROR with this SQLSTATE and message, and a hint; and what was there before is there after it.
CREATE FUNCTION said(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text; hint text; before text;
	counted text = 'SELECT (SELECT count(*) FROM gepa.run) || $q$ $q$ || (SELECT count(*) FROM gepa.judge) || $q$ $q$ || (SELECT count(*) FROM gepa.rollout) || $q$ $q$ || (SELECT count(*) FROM gepa.proposal) || (SELECT md5(string_agg(s::text, $q$,$q$ ORDER BY k)) FROM test_data.samples s)';
	after text;
BEGIN
	EXECUTE counted INTO before;
	BEGIN
		EXECUTE statement;
		RETURN 'no error';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
		EXECUTE counted INTO after;
		RETURN SQLSTATE || ' ' || message || CASE WHEN hint = '' THEN ', no hint' ELSE '' END || CASE WHEN before <> after THEN ', something stayed' ELSE '' END;
	END;
END
$$;

---------------------------------------------------------------------- results

CREATE TEMP TABLE good AS SELECT '{
	"candidates": [{"system": "Is it good?"}, {"system": "Is it good? Say."}], "parents": [[null], [0]],
	"val_aggregate_scores": [0.25, 0.5], "val_subscores": [{"4": 0.5, "5": 0}, {"4": 0.5, "5": 0.5}],
	"best_outputs_valset": null, "per_val_instance_best_candidates": {"4": [0, 1], "5": [1]},
	"val_aggregate_subscores": null, "per_objective_best_candidates": null, "objective_pareto_front": null,
	"discovery_eval_counts": [0, 8], "total_metric_calls": 10, "num_full_val_evals": 2, "run_dir": "runs/1",
	"seed": 7, "_str_candidate_key": null, "best_idx": 1, "validation_schema_version": 2}'::jsonb AS result;

SELECT gepa.import_result('test_judge', 'test_set', result) AS run FROM good \gset
SELECT is(gepa.export_result(:run), result, 'a result comes out as it came in') FROM good;
SELECT results_eq(format('SELECT candidate, parents, components, score, rollouts_at_discovery FROM gepa.candidates WHERE run = %s ORDER BY 1', :run),
	$$VALUES (0, '{}'::int[], '{"instruction": "Is it good?"}'::jsonb, 0.25::float8, 0), (1, '{0}', '{"instruction": "Is it good? Say."}', 0.5, 8)$$, 'its candidates');
SELECT results_eq(format('SELECT key, score, candidates FROM gepa.frontier WHERE run = %s ORDER BY 1', :run),
	$$VALUES ('4', 0.5::float8, '{0,1}'::int[]), ('5', 0.5, '{1}')$$, '... and frontier');
SELECT results_eq(format('SELECT candidate, sample, split, score, label, status FROM gepa.rollouts WHERE run = %s ORDER BY 1, 2', :run),
	$$VALUES (0, '4', 'val', 0.5::float8, NULL::text, 'ok'), (0, '5', 'val', 0, NULL, 'ok'), (1, '4', 'val', 0.5, NULL, 'ok'), (1, '5', 'val', 0.5, NULL, 'ok')$$,
	'... and scores, of which nothing else is known');
SELECT results_eq(format($$SELECT status, best_candidate, best_score, rollouts, seed, imported ->> 'run_dir' FROM gepa.runs WHERE run = %s$$, :run),
	$$VALUES ('finished', 1, 0.5::float8, 10, 7::bigint, 'runs/1')$$, '... and figures');
SELECT is(gepa.export_result(gepa.import_result('test_judge', NULL, result)), result, 'without a dataset too') FROM good;
SELECT is((SELECT count(*) FROM gepa.samples s WHERE s.run = (SELECT max(r.run) FROM gepa.runs r) AND label IS NULL AND inputs = '{}'), 2::bigint,
	'... then keys are all that is known of samples');
SELECT is(gepa.export_result(gepa.import_result('test_judge', 'test_set', jsonb_set(result, '{val_subscores}', '[{"0": 0.5, "1": 0}, {"0": 0.5, "1": 0.5}]')
	|| '{"per_val_instance_best_candidates": {"0": [0, 1], "1": [1]}}', '{"ids": "position"}')), result, 'positions among the validation rows are keys') FROM good;

SELECT is(said(format('SELECT gepa.import_result(%L, %L, %L, %L)', coalesce(w.judge, 'test_judge'), 'test_set',
	CASE WHEN w.member IS NULL THEN w.value ELSE jsonb_set(result, w.member, w.value) END, coalesce(w.options, '{}'))), w.said, w.said)
FROM good, (VALUES
	(NULL::text[], '{}'::jsonb, NULL, NULL, '22023 result cannot be imported: it has no "candidates"'),
	('{candidates}', '[]', NULL, NULL, '22023 result cannot be imported: it has no candidate'),
	('{candidates}', '7', NULL, NULL, '22023 result cannot be imported: "candidates" is a number, not an array'),
	('{candidates,1}', '"text"', NULL, NULL, '22023 result cannot be imported: candidate 1 is not an object of texts'),
	('{candidates,1}', '{"other": "text"}', NULL, NULL, '22023 result cannot be imported: candidate 1 has no text of component "system"'),
	('{candidates,1,system}', '5', NULL, NULL, '22023 result cannot be imported: candidate 1 has no text of component "system"'),
	('{parents}', '[[null]]', NULL, NULL, '22023 result cannot be imported: "parents" has 1 items where 2 are expected'),
	('{parents,1}', '[1]', NULL, NULL, '22023 result cannot be imported: a parent of candidate 1 is not a whole number from 0 to 0'),
	('{parents,1}', '[-1]', NULL, NULL, '22023 result cannot be imported: a parent of candidate 1 is not a whole number from 0 to 0'),
	('{parents,1}', '0', NULL, NULL, '22023 result cannot be imported: parents of candidate 1 are not an array'),
	('{val_aggregate_scores,0}', '"NaN"', NULL, NULL, '22023 result cannot be imported: score of candidate 0 is not a finite number'),
	('{val_aggregate_scores,0}', '1e999', NULL, NULL, '22023 result cannot be imported: score of candidate 0 is not a finite number'),
	('{val_subscores,0,4}', 'null', NULL, NULL, '22023 result cannot be imported: score of candidate 0 on sample "4" is not a finite number'),
	('{val_subscores,0}', '"x"', NULL, NULL, '22023 result cannot be imported: "val_subscores" of candidate 0 is not an object'),
	('{val_subscores,1,99}', '1', NULL, NULL, '22023 result cannot be imported: it has 2 fronts of 3 samples with scores'),
	('{per_val_instance_best_candidates,4}', '[0]', NULL, NULL, '22023 result cannot be imported: it does not name the 2 candidates that have the best score on sample "4"'),
	('{per_val_instance_best_candidates,4}', '[1, 1]', NULL, NULL, '22023 result cannot be imported: candidate 1 is named twice, or does not have the best score, on sample "4"'),
	('{per_val_instance_best_candidates,5}', '[0]', NULL, NULL, '22023 result cannot be imported: candidate 0 is named twice, or does not have the best score, on sample "5"'),
	('{per_val_instance_best_candidates,5}', '[2]', NULL, NULL, '22023 result cannot be imported: a candidate of sample "5" is not a whole number from 0 to 1'),
	('{per_val_instance_best_candidates,5}', '[1.5]', NULL, NULL, '22023 result cannot be imported: a candidate of sample "5" is not a whole number from 0 to 1'),
	('{best_outputs_valset}', '{"4": []}', NULL, NULL, '22023 result cannot be imported: it has outputs for 1 samples and fronts of 2'),
	('{best_outputs_valset}', '{"4": [[0, 1], [1]], "5": [[1, 2]]}', NULL, NULL, '22023 result cannot be imported: an output for sample "4" is not a pair'),
	('{discovery_eval_counts,1}', '-8', NULL, NULL, '22023 result cannot be imported: "discovery_eval_counts" of candidate 1 is not a whole number from 0 to 2147483647'),
	('{total_metric_calls}', '99999999999', NULL, NULL, '22023 result cannot be imported: "total_metric_calls" is not a whole number from 0 to 2147483647'),
	('{seed}', '1e30', NULL, NULL, '22023 result cannot be imported: "seed" is not a whole number of 64 bits'),
	('{best_idx}', '2', NULL, NULL, '22023 result cannot be imported: "best_idx" is not a whole number from 0 to 1'),
	('{val_aggregate_subscores}', '[{}]', NULL, NULL, '22023 result cannot be imported: "val_aggregate_subscores" has 1 items of 2 candidates'),
	('{objective_pareto_front}', '[]', NULL, NULL, '22023 result cannot be imported: "objective_pareto_front" is an array, not an object'),
	('{validation_schema_version}', '3', NULL, NULL, '0A000 result cannot be imported: its schema version is 3'),
	('{seed}', '7', '{"components": {"system": "none"}}'::jsonb, NULL, '22023 result cannot be imported: judge "test_judge" has no component "none"'),
	('{seed}', '7', '{"ids": "guess"}', NULL, '22023 invalid value for import option "ids"'),
	('{seed}', '7', '{"ids": "position"}', NULL, '22023 result cannot be imported: the dataset has no sample "4"'),
	('{seed}', '7', '{"id": "key"}', NULL, '22023 unrecognized import option "id"'),
	('{seed}', '7', NULL, 'none', '42704 judge "none" does not exist')) AS w(member, value, options, judge, said);
SELECT is(said(format('SELECT gepa.import_result(%L, %L, %L)', 'test_judge', 'test_set', replace(result::text, '"5"', '"x"'))),
	'22023 result cannot be imported: the dataset has no sample "x"', 'samples that the dataset does not have') FROM good;
SELECT is(said(format('SELECT gepa.import_result(%L, NULL, %L)', 'test_judge', jsonb_set(jsonb_set(result, '{candidates,0,more}', '"a"'), '{candidates,1,more}', '"a"'))),
	'22023 result cannot be imported: judge "test_judge" has no component "more"', 'components that the judge does not have') FROM good;
SELECT is(said('SELECT gepa.export_result(0)'), '42704 run 0 does not exist', 'no run');

---------------------------------------------------------------------- rollouts

CREATE TEMP TABLE lines AS SELECT string_agg(r::text, E'\n') AS lines FROM gepa.export_rollouts(:run) r;
SELECT is(said(format('SELECT gepa.import_rollouts(%s, %L)', :run, w.line)), w.said, w.said)
FROM (VALUES
	('{', '22023 rollouts cannot be imported: line 1 is not valid JSON'),
	(E'\n[]', '22023 rollouts cannot be imported: line 2 is not an object'),
	('{"step": 1, "slot": 0, "split": "val", "status": "ok"}', '22023 rollouts cannot be imported: line 1 has no "sample"'),
	('{"sample": "4", "step": 1, "slot": 0, "split": "all", "status": "ok"}', '22023 rollouts cannot be imported: "all" of line 1 is no split'),
	('{"sample": "4", "step": 1, "slot": 0, "split": "val", "status": "fine"}', '22023 rollouts cannot be imported: "fine" of line 1 is no status'),
	('{"sample": "4", "step": 1, "slot": 0, "split": "val", "status": "ok"}', '22023 rollouts cannot be imported: line 1 has neither a candidate nor components'),
	('{"sample": "4", "step": 1, "slot": 0, "split": "val", "status": "ok", "candidate": 2}', '22023 rollouts cannot be imported: "candidate" of line 1 is not a whole number from 0 to 1'),
	('{"sample": "4", "step": 1, "slot": -1, "split": "val", "status": "ok", "candidate": 1}', '22023 rollouts cannot be imported: "slot" of line 1 is not a whole number from 0 to 2147483647'),
	('{"sample": "4", "step": 1, "slot": 0, "split": "val", "status": "ok", "candidate": 1, "objectives": []}', '22023 rollouts cannot be imported: "objectives" of line 1 is no object'),
	('{"sample": "4", "step": 1, "slot": 0, "split": "val", "status": "ok", "candidate": 1, "scoer": 1}', '22023 rollouts cannot be imported: line 1 has a member "scoer", which means nothing'),
	('{"sample": "none", "step": 1, "slot": 0, "split": "val", "status": "ok", "candidate": 1}', format('22023 rollouts cannot be imported: run %s has no sample "none"', :run))) AS w(line, said);
SELECT is(gepa.import_rollouts(:run, lines), 4::bigint, 'rollouts that are there take their own place') FROM lines;
SELECT is((SELECT string_agg(r - 'created_at' #>> '{}', E'\n') FROM gepa.export_rollouts(:run) r), (SELECT string_agg((l::jsonb - 'created_at')::text, E'\n') FROM regexp_split_to_table(lines, '\n') l), '... and are the same') FROM lines;
SELECT is(gepa.import_rollouts(:run, E'{"sample": "4", "step": 3, "slot": 0, "split": "val", "status": "ok", "components": {"instruction": "No."}, "score": 0}\r\n\n{"sample": "5", "step": 3, "slot": 1, "split": "val", "status": "timeout", "components": {"instruction": "No."}, "score": null}\n'),
	2::bigint, 'rollouts of a text that did not become a candidate');
SELECT results_eq(format('SELECT components ->> %L, candidate, accepted FROM gepa.proposal WHERE run = %s AND candidate IS NULL', 'instruction', :run),
	$$VALUES ('No.', NULL::int, false)$$, '... which is one proposal');
SELECT is(gepa.export_result(:run), result, '... and no part of the result') FROM good;

---------------------------------------------------------------------- labels

SELECT is((SELECT jsonb_agg(l) FROM (SELECT l FROM gepa.export_labels('test_set') l LIMIT 2) s),
	'[{"key": "0", "inputs": {"body": "text 0"}, "label": "true", "feedback": null, "split": "train"}, {"key": "1", "inputs": {"body": "text 1"}, "label": "false", "feedback": "note 1", "split": "train"}]',
	'labels as lines');
CREATE TEMP TABLE labels AS SELECT string_agg(l::text, E'\n') AS lines FROM gepa.export_labels('test_set') l;
SELECT is(gepa.import_labels('test_copy', lines, 'test_data."The copy"'), 12::bigint, 'a new table and dataset of them') FROM labels;
SELECT is((SELECT string_agg(l::text, E'\n') FROM gepa.export_labels('test_copy') l), lines, '... has the same labels') FROM labels;
CREATE TABLE test_data.photos (k int, photo bytea, label text);
INSERT INTO test_data.photos VALUES (1, decode('89504e470d0a1a0a5c00ff', 'hex'), 'true');
SELECT gepa.create_dataset('test_photos', 'test_data.photos', 'k', '{photo}', 'label');
SET bytea_output = escape;
SELECT is((SELECT l #>> '{inputs,photo}' FROM gepa.export_labels('test_photos') l), '\x89504e470d0a1a0a5c00ff', 'bytes as a judge of images knows them, whatever bytea_output says');
RESET bytea_output;
SELECT is(gepa.import_labels('test_set', E'{"key": "0", "inputs": {"body": "changed"}, "label": false}\n{"key": 40, "inputs": {"body": "new"}, "label": "true", "split": "test"}\n'),
	2::bigint, 'labels into the table of a dataset');
SELECT results_eq('SELECT * FROM samples WHERE k IN (0, 40) ORDER BY k', $$VALUES (0, 'changed', false, NULL::text, NULL::text), (40, 'new', true, NULL, 'test')$$,
	'... change rows, and add some');
SELECT is(said(format('SELECT gepa.import_labels(%L, %L, %L)', w.dataset, w.line, w.new_table)), w.said, w.said)
FROM (VALUES
	('test_set', '{"key": null, "inputs": {"body": "x"}, "label": "true"}', NULL, '22023 labels cannot be imported: line 1 has no key'),
	('test_set', E'{"key": "1", "inputs": {"body": "x"}}\n{"key": 1, "inputs": {"body": "y"}}', NULL, '22023 labels cannot be imported: key "1" is there twice'),
	('test_set', '{"key": "1", "label": "true"}', NULL, '22023 labels cannot be imported: line 1 has no object of inputs'),
	('test_set', '{"key": "1", "inputs": {"bod": "x"}}', NULL, '22023 labels cannot be imported: line 1 has no input "body"'),
	('test_set', '{"key": "1", "inputs": {"body": "x", "more": "y"}}', NULL, '22023 labels cannot be imported: line 1 has 2 inputs where the dataset has 1'),
	('test_set', '{"key": "1", "inputs": {"body": ["x"]}}', NULL, '22023 labels cannot be imported: "body" of line 1 is no text'),
	('test_set', '{"key": "1", "inputs": {"body": "x"}, "group": "g"}', NULL, '22023 labels cannot be imported: line 1 has a "group", and the dataset no column for it'),
	('test_set', '{"key": "1", "inputs": {"body": "x"}, "lable": "true"}', NULL, '22023 labels cannot be imported: line 1 has a member "lable", which means nothing'),
	('test_query', '{"key": "1", "inputs": {"body": "x"}, "label": "true"}', NULL, '42809 labels cannot be imported into dataset "test_query", whose source is a query'),
	('none', '{"key": "1", "inputs": {"body": "x"}, "label": "true"}', NULL, '42704 dataset "none" does not exist'),
	('test_new', '{"key": "1", "inputs": {"label": "x"}, "label": "true"}', 'test_data.new', '22023 labels cannot be imported: input "label" would be a column twice'),
	('test_new', '{"key": "1", "inputs": {"body": "x"}, "label": "true"}', 'a; DROP TABLE samples', '42602 "a; DROP TABLE samples" is not the name of a table')) AS w(dataset, line, new_table, said);
SELECT matches(said(E'SELECT gepa.import_labels(\'test_set\', \'{"key": "2", "inputs": {"body": "x"}, "label": "maybe"}\')'), '^22P02 ', 'a label that the column does not take');

---------------------------------------------------------------------- programs

CREATE TEMP TABLE program AS SELECT '{"traces": [], "train": [], "demos": [{"page": "a", "good": true}], "lm": {"model": "m", "api_key": "sk-secret"},
	"signature": {"instructions": "Is it good?", "fields": [{"prefix": "Page:", "description": "of a site"}, {"prefix": "Good:", "description": "${good}"}]},
	"metadata": {"dependency_versions": {"dspy": "3.4.1"}}}'::jsonb AS program;
SELECT is(gepa.import_program('test_program', 'test_lm', program::json), 1, 'a program') FROM program;
SELECT is(gepa.export_program('test_program')::jsonb #- '{metadata,gepa}', program #- '{lm,api_key}', '... comes out as it came in, but for a key') FROM program;
SELECT is(gepa.import_program('test_program', NULL, jsonb_set(program, '{signature,instructions}', '"Is it?"')::json), 2, '... and again is a new version') FROM program;
SELECT is(gepa.export_program('test_program', 1)::jsonb #>> '{signature,instructions}', 'Is it good?', '... of which each can be had');
SELECT is(said(format('SELECT gepa.import_program(%L, %L, %L, options => %L)', 'test_bad', 'test_lm', CASE WHEN w.member IS NULL THEN w.value ELSE jsonb_set(program, w.member, w.value) END,
	coalesce(w.options, '{}'))), w.said, w.said)
FROM program, (VALUES
	(NULL::text[], '[]'::jsonb, NULL, '22023 program cannot be imported: it is an array, not an object'),
	(NULL, '{"metadata": {}}', NULL, '22023 program cannot be imported: it has no predictor'),
	(NULL, '{"p": {}}', NULL, '22023 program cannot be imported: "p" is no predictor: it has no signature with instructions and fields'),
	('{signature}', '{"instructions": "a", "fields": {}}', NULL, '22023 program cannot be imported: "self" is no predictor: it has no signature with instructions and fields'),
	('{signature,fields}', '[{"prefix": "A:", "description": "a"}]', NULL, '22023 program cannot be imported: predictor "self" has 1 fields where 2 to 200 are expected'),
	('{signature,fields,0}', '{"prefix": "A:"}', NULL, '22023 program cannot be imported: a field of predictor "self" has no prefix or no description'),
	('{signature,fields,0}', '{"prefix": "Good:", "description": "a"}', NULL, '22023 program cannot be imported: predictor "self" seems to have two fields "good"'),
	('{signature,fields,0}', '{"prefix": "?:", "description": "a"}', NULL, '22023 program cannot be imported: field 1 of predictor "self" has no name'),
	('{extended_signature}', '{}', NULL, '22023 program cannot be imported: predictor "self" was saved by DSPy before 2.6'),
	('{demos}', '7', NULL, '22023 program cannot be imported: "demos" is a number, not an array'),
	('{demos,0}', '7', NULL, '22023 program cannot be imported: demo 1 of predictor "self" is not an object'),
	('{demos,0,good}', '"perhaps"', NULL, '22023 program cannot be imported: a demo has the label "perhaps", which is none of the judge''s'),
	('{signature,instructions}', '" "', NULL, '22023 prompt of judge "test_bad" is empty'),
	('{train}', '[]', '{"inputs": ["document"]}'::jsonb, '22023 program cannot be imported: field "page" of predictor "self" is neither shown to it, nor its reasoning, nor its label'),
	('{train}', '[]', '{"fields": {"self": ["one"]}}', '22023 invalid value for import option "fields"'),
	('{train}', '[]', '{"order": ["other"]}', '22023 program cannot be imported: predictor "other" is not in it, or named twice'),
	('{train}', '[]', '{"steps": []}', '22023 unrecognized import option "steps"')) AS w(member, value, options, said);
SELECT is(said(format('SELECT gepa.import_program(%L, %L, %L)', 'test_bad', 'test_lm', jsonb_build_object('a', program, 'b', program))),
	'22023 program cannot be imported: of 2 predictors it does not say which fields are the document''s', 'several predictors') FROM program;
SELECT is(said(format('SELECT gepa.import_program(%L, %L, %L)', 'test_bad', 'no_lm', program)), '42704 LM "no_lm" does not exist', 'an LM that is none') FROM program;
SELECT is(said(format('SELECT gepa.import_program(%L, NULL, %L)', 'test_bad', program)), '22004 argument "lm" must not be null', 'no LM') FROM program;

---------------------------------------------------------------------- rights

CREATE ROLE test_other;
GRANT USAGE ON SCHEMA test_data TO test_other;
GRANT SELECT ON program, good TO test_other;
SET ROLE test_other;
SELECT throws_ok(w.statement, w.state, NULL, w.statement)
FROM (VALUES
	(format('SELECT gepa.export_result(%s)', :run), '42501'),
	(format('SELECT gepa.export_rollouts(%s)', :run), '42501'),
	(format('SELECT gepa.import_rollouts(%s, %L)', :run, ''), '42501'),
	($$SELECT gepa.export_labels('test_set')$$, '42501'),
	($$SELECT gepa.import_labels('test_set', '')$$, '42501'),
	($$SELECT gepa.export_program('test_program')$$, '42501'),
	($$SELECT gepa.import_program('test_program', 'test_lm', program::json) FROM program$$, '42501'),
	($$SELECT gepa.import_program('test_mine', 'test_lm', program::json) FROM program$$, '42501'),
	($$SELECT gepa.import_result('test_judge', NULL, result) FROM good$$, '42501')) AS w(statement, state);
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
