/*
 * Judges of several steps: what they are made of, which steps are refused, what a new version
 * keeps, and what the predicates say.
 *
 * Run in a database that has the extensions pgtap and gepa.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
CREATE SERVER test_other FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'other');

-- SQLSTATE of creating a judge with these steps, and the message; or 'made'.  Nothing stays.
CREATE FUNCTION made(steps jsonb, more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM gepa.create_judge('test_try', 'test_lm', 'Is it "good"?', options => jsonb_build_object('steps', steps) || more);
	RAISE SQLSTATE 'MADE0';
EXCEPTION WHEN others THEN
	RETURN CASE SQLSTATE WHEN 'MADE0' THEN 'made' ELSE SQLSTATE || ': ' || SQLERRM END;
END $$;
CREATE FUNCTION step(name text, outputs jsonb DEFAULT '{"words": {"type": "string"}}', more jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql AS $$ SELECT jsonb_build_object('name', name, 'prompt', 'List "cats" and "dogs".', 'outputs', outputs) || more $$;

-------------------------------------------------- what is refused

SELECT is(made(jsonb_build_array(step('claims'))), 'made', 'a step');
SELECT is(made('[]'), 'made', 'none');
SELECT is(made('{}'), '22023: invalid value for judge option "steps"', 'no array');
SELECT is(made('[{"prompt": "x"}]'), '22023: invalid value for judge option "steps"', 'no name');
SELECT is(made('["claims"]'), '22023: invalid value for judge option "steps"', 'no object');
SELECT is(made((SELECT jsonb_agg(step('s' || i, jsonb_build_object('o' || i, '{}'::jsonb))) FROM generate_series(1, 17) i)), '22023: invalid value for judge option "steps"', 'more than sixteen');
SELECT is(made((SELECT jsonb_agg(step('s' || i, jsonb_build_object('o' || i, '{}'::jsonb))) FROM generate_series(1, 16) i)), 'made', 'sixteen');
SELECT is(made(jsonb_build_array(step(n))), format('22023: step "%s" of the judge cannot be used: %s', n, why), 'name ' || n)
FROM (VALUES ('instruction', 'its name has another meaning'), ('examples', 'its name has another meaning'), ('verdict', 'its name has another meaning'),
	('a b', 'its name must have 1 to 60 letters, digits, _ or -'), ('', 'its name must have 1 to 60 letters, digits, _ or -')) v(n, why);
SELECT is(made(jsonb_build_array(step('s'), step('s', '{"x": {}}'))), '22023: step "s" of the judge cannot be used: there is one of that name before it', 'a name twice');
SELECT is(made(jsonb_build_array(step('s') - 'prompt')), '22023: step "s" of the judge cannot be used: it has no prompt', 'no prompt');
SELECT is(made(jsonb_build_array(step('s', more => '{"prompt": " "}'))), '22023: prompt of step "s" of judge "test_try" is empty', 'an empty prompt');
SELECT is(made(jsonb_build_array(step('s', more => '{"prompt": 1}'))), '22023: step "s" of the judge cannot be used: its "prompt" is no text', 'a prompt that is no text');
SELECT is(made(jsonb_build_array(step('s', more => '{"modle": 1}'))), '22023: step "s" of the judge cannot be used: it has no key "modle"', 'an unknown key');
SELECT is(made(jsonb_build_array(step('s', outputs))), '22023: step "s" of the judge cannot be used: it has no outputs', 'outputs ' || outputs::text)
FROM unnest('{"{}",[],1}'::jsonb[]) outputs;
SELECT is(made(jsonb_build_array(step('s', '{"a": {"pattern": "x"}}'))) ~ '^22023: .*the schema of output "a": keyword "pattern" is not among', true, 'a schema that is not checked');
SELECT is(made(jsonb_build_array(step('s', '{"document": {}}'))), '22023: step "s" of the judge cannot be used: there is a field "document" before it', 'an output named as a field');
SELECT is(made(jsonb_build_array(step('s'), step('t'))), '22023: step "t" of the judge cannot be used: there is a field "words" before it', 'an output of two steps');
SELECT is(made(jsonb_build_array(step('s', more => '{"inputs": ["words"]}'))), '22023: step "s" of the judge cannot be used: there is no field "words" before it', 'its own output as input');
SELECT is(made(jsonb_build_array(step('s', more => '{"inputs": ["later"]}'), step('t', '{"later": {}}'))), '22023: step "s" of the judge cannot be used: there is no field "later" before it', 'an output of a later step');
SELECT is(made(jsonb_build_array(step('s', more => '{"inputs": ["document", "document"]}'))), '22023: step "s" of the judge cannot be used: it has the input "document" twice', 'an input twice');
SELECT is(made(jsonb_build_array(step('s', more => jsonb_build_object('inputs', inputs)))), '22023: step "s" of the judge cannot be used: its inputs are no array of names', 'inputs ' || inputs::text)
FROM unnest('{[],1,"{}"}'::jsonb[]) inputs;
SELECT is(made(jsonb_build_array(step('s')), '{"verdict_inputs": ["word"]}'), '22023: step "verdict" of the judge cannot be used: there is no field "word" before it', 'the verdict sees what there is');
SELECT is(made(jsonb_build_array(step('s')), '{"verdict_inputs": []}'), '22023: invalid value for judge option "verdict_inputs"', '... and something');
SELECT is(made('[]', '{"verdict_inputs": ["document"]}'), '22023: judge option "verdict_inputs" needs steps', '... and is for judges with steps');
SELECT is(made(jsonb_build_array(step('s', more => '{"lm": "test_none"}'))) ~ '^42704: ', true, 'an LM that does not exist');

-------------------------------------------------- what is made

SELECT isnt(gepa.create_judge('test_p', 'test_lm', 'Is it about "dogs"?', options => jsonb_build_object('steps', jsonb_build_array(
	step('find', '{"words": {"type": "array"}, "n": {"type": "integer", "maximum": 1}}'),
	step('sum', '{"summary": {"type": "string"}}', '{"inputs": ["words"], "lm": "test_other"}')), 'verdict_inputs', '["summary", "n"]'::jsonb)), NULL, 'a judge of three steps');
SELECT is(components, '{"find": "List \"cats\" and \"dogs\".", "sum": "List \"cats\" and \"dogs\".", "instruction": "Is it about \"dogs\"?"}', '... has three components')
FROM gepa.judge_versions WHERE judge = 'test_p';
SELECT is(options -> 'steps' #- '{1,lm_identity}', '[{"name": "find", "inputs": ["document"], "outputs": {"n": {"type": "integer", "maximum": 1}, "words": {"type": "array"}}},
	{"lm": "test_other", "name": "sum", "inputs": ["words"], "outputs": {"summary": {"type": "string"}}}]'::jsonb, '... its options have the steps')
FROM gepa.judge_versions WHERE judge = 'test_p';
SELECT is((options #>> '{steps,1,lm_identity}')::jsonb ->> 'model', 'other', '... and what their LMs are') FROM gepa.judge_versions WHERE judge = 'test_p';
SELECT is(gepa_judge('test_p', d), d ~ 'dogs', 'it says ' || (d ~ 'dogs') || ' of ' || d) FROM unnest('{"the dogs bark","cats sleep","dogs and cats"}'::text[]) d;
SELECT is((v).input_tokens > 60 AND (v).chars_total = 14, true, 'a verdict has the tokens of all steps, and the characters of the document') FROM gepa_verdict('test_p', 'the dogs bark!') v;
SELECT is(gepa_judge('test_p', 'the dogs bark!'), true, 'and is found again');
SELECT is((SELECT cached FROM gepa_verdict('test_p', 'the dogs bark!')), true, '... without a call');
SELECT is(gepa_judge('test_p', array['dogs', 'cats']), '{t,f}'::bool[], 'of arrays, too');

-------------------------------------------------- new versions

SELECT is(gepa.alter_judge('test_p'), 1, 'nothing changed, no version');
SELECT is(gepa.alter_judge('test_p', prompt => 'Is it about "cats"?'), 2, 'another prompt for the verdict');
SELECT is(components -> 'find', '"List \"cats\" and \"dogs\"."', '... leaves the steps') FROM gepa.judge_versions WHERE judge = 'test_p' AND version = 2;
SELECT is(gepa.alter_judge('test_p', prompt => 'Is it about "dogs"?', options => (SELECT jsonb_build_object('steps', options -> 'steps') FROM gepa.judge_versions WHERE judge = 'test_p' AND version = 1)), 1,
	'steps without prompts keep theirs');
SELECT is(gepa.alter_judge('test_p', options => (SELECT jsonb_build_object('steps', jsonb_set(options -> 'steps', '{0,prompt}', '"List \"birds\"."'))
	FROM gepa.judge_versions WHERE judge = 'test_p' AND version = 1)), 3, 'another prompt for a step');
SELECT is(gepa_judge('test_p', 'dogs'), false, '... says something else of the same document');
SELECT throws_ok($$SELECT gepa.alter_judge('test_p', options => '{"steps": []}')$$, '22023', 'judge option "verdict_inputs" needs steps', 'its inputs go with the steps');
SELECT is(gepa.alter_judge('test_p', options => '{"steps": [], "verdict_inputs": null}'), 4, 'without steps it is simple again');
SELECT is(components, '{"instruction": "Is it about \"dogs\"?"}', '... with one component') FROM gepa.judge_versions WHERE judge = 'test_p' AND version = 4;
SELECT isnt(gepa.create_judge('test_simple', 'test_lm', 'Is it about "dogs"?'), NULL, 'a simple judge of that prompt');
SELECT is(count(DISTINCT digest), 1::bigint, '... is the same version') FROM gepa.judge_versions WHERE (judge, version) IN (('test_p', 4), ('test_simple', 1));

-------------------------------------------------- LMs

ALTER SERVER test_other OPTIONS (ADD seed '1');
SELECT isnt(gepa.create_judge('test_q', 'test_lm', 'Is it about "dogs"?', options => jsonb_build_object('steps', jsonb_build_array(step('s', more => '{"lm": "test_other"}')))), NULL, 'a judge whose step names an LM');
ALTER SERVER test_other OPTIONS (SET seed '2');
SELECT throws_ok($$SELECT gepa_judge('test_q', 'x')$$, '55000', 'settings of LM "test_other" differ from those that version 1 of judge "test_q" was made for', 'the LM of a step is part of the version');
SET gepa.allow_lm_mismatch = on;
SELECT is(gepa_judge('test_q', 'dogs'), true, '... unless it may differ');
SELECT is((SELECT cached FROM gepa_verdict('test_q', 'dogs')), true, '... whose verdicts are found again as well');
RESET gepa.allow_lm_mismatch;
SELECT is(gepa.alter_judge('test_q'), 2, 'a version with it as it is now');
SELECT is(gepa_judge('test_q', 'dogs'), true, '... can be asked');

SELECT * FROM finish();
ROLLBACK;
