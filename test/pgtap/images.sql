/*
 * Images as inputs of judges: what gepa.image() makes of bytes, which options there are,
 * what a value may be, and that a judge without them is what it was.
 *
 * Run in a database that has the extensions pgtap and gepa, on a server that
 * has the library preloaded.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE SERVER test_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
CREATE SERVER test_blind FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned', images 'false');

-- Types, by the first bytes.
CREATE TABLE pictures (name text, bytes bytea);
INSERT INTO pictures VALUES ('png', '\x89504e470d0a1a0a00'), ('jpeg', '\xffd8ffe000'), ('gif', 'GIF89a..'), ('webp', 'RIFF\000\000\000\000WEBPVP8 ');
SELECT is(gepa.image(bytes), format('data:image/%s;base64,%s', name, encode(bytes, 'base64')), name) FROM pictures;
SELECT is(gepa.image(NULL), NULL, 'NULL is none');
SELECT throws_ok(format('SELECT gepa.image(%L::bytea)', bytes), '22023', 'bytea is no image that can be judged', 'no image: ' || encode(bytes, 'escape'))
	FROM (VALUES (''::bytea), ('<svg xmlns=""/>'), ('%PDF-1.7'), ('BM......'), ('\x8950'), ('RIFF0000WAVE')) AS b(bytes);
SELECT throws_ok('SET gepa.max_image_bytes = 100', '22023', NULL, 'a limit that no image keeps');
SET gepa.max_image_bytes = '4kB';
SELECT throws_ok($$SELECT gepa.image('\x89504e470d0a1a0a' || decode(repeat('00', 4096), 'hex'))$$, '22023', NULL, 'an image over the limit');
SELECT lives_ok($$SELECT gepa.image('\x89504e470d0a1a0a' || decode(repeat('00', 4088), 'hex'))$$, 'one at the limit');
RESET gepa.max_image_bytes;

-- Options, as they are given and kept.
SELECT lives_ok($$SELECT gepa.create_judge('test_photo', 'test_lm', 'Is it good?', options => '{"inputs": ["a", "b", "c"], "images": ["c", "a"]}')$$, 'a judge of images');
SELECT is(options -> 'images', '["a", "c"]', 'they are listed in the order of the inputs') FROM gepa.judge_versions WHERE judge = 'test_photo';
SELECT lives_ok($$SELECT gepa.alter_judge('test_photo', prompt => 'Is it?')$$, 'a new version');
SELECT is(options -> 'images', '["a", "c"]', '... keeps them') FROM gepa.judge_versions WHERE judge = 'test_photo' AND version = 2;
SELECT lives_ok($$SELECT gepa.alter_judge('test_photo', options => '{"images": []}')$$, 'a version without');
SELECT lives_ok($$SELECT gepa.create_judge('test_text', 'test_lm', 'Is it?', options => '{"inputs": ["a", "b", "c"]}')$$, 'a judge of texts');
SELECT is((SELECT digest FROM gepa.judge_version v JOIN gepa.judge j USING (judge) WHERE j.name = 'test_photo' AND v.version = 3),
	(SELECT digest FROM gepa.judge_version v JOIN gepa.judge j USING (judge) WHERE j.name = 'test_text'), '... is a judge of texts');
SELECT throws_ok(format('SELECT gepa.create_judge(%L, %L, %L, options => %L)', 'test_no', 'test_lm', 'Is it?', format('{"images": %s}', images)),
	'22023', 'invalid value for judge option "images"', 'images: ' || images)
	FROM (VALUES ('["photo"]'), ('"document"'), ('true'), ('[["document"]]'), ('["document", "document"]')) AS i(images);
SELECT throws_ok($$SELECT gepa.create_judge('test_no', 'test_lm', 'Is it?', options => '{"images": ["document"], "examples": [{"document": "x", "label": "true"}]}')$$,
	'0A000', 'a judge of images cannot have examples', 'examples');
SELECT throws_ok($$SELECT gepa.create_judge('test_no', 'test_blind', 'Is it?', options => '{"images": ["document"]}')$$,
	'55000', 'LM "test_blind" takes no images, but judge "test_no" shows it input "document"', 'an LM that takes none');
SELECT lives_ok($$SELECT gepa.create_judge('test_steps', 'test_blind', 'Is it?', options => '{"images": ["document"], "verdict_inputs": ["seen"],
	"steps": [{"name": "look", "prompt": "Look.", "inputs": ["document"], "lm": "test_lm", "outputs": {"seen": {"type": "string"}}}]}')$$, '... may decide on what another has seen');
SELECT throws_ok($$SELECT gepa.alter_judge('test_steps', options => '{"verdict_inputs": ["seen", "document"]}')$$, '55000', NULL, '... but not look itself');

-- Values.
SELECT gepa.create_judge('test_image', 'test_lm', 'Is it?', options => '{"images": ["document"]}');
CREATE FUNCTION status(value text) RETURNS text LANGUAGE sql AS $$SELECT status FROM gepa_verdict('test_image', value)$$;
SELECT is(status(gepa.image(bytes)), 'ok', name || ' is judged') FROM pictures;
SELECT is(status(value), 'ok', 'judged: ' || value)
	FROM (VALUES ('https://host/a.png'), ('http://[::1]:80/'), ('iVBORw0KGgo='), ('\x89504e470d0a1a0a'), ('data:image/gif;base64,iVBORw0KGgo=')) AS v(value);
SELECT is(status(value), 'bad_image', 'not judged: ' || value)
	FROM (VALUES (''), ('a text'), ('data:image/png;base64,'), ('data:image/png,x'), ('gs://bucket/a.png'), ('javascript:alert(1)'), ('https:///'), ('//host/a')) AS v(value);
SELECT is(count(*), 1::bigint, 'the forms of one picture are one verdict')
	FROM (SELECT DISTINCT (gepa_verdict('test_image', v)).cached FROM (VALUES ('iVBORw0KGgo='), ('\x89504e470d0a1a0a'), (E'iVBO\nRw0KGgo')) AS f(v)) q WHERE cached;
SELECT is(gepa_judge('test_image', NULL::text), NULL, 'NULL has no verdict');
SELECT throws_ok($$SELECT gepa_judge('test_image', '{"other": "x"}'::jsonb)$$, '22023', NULL, 'a field that is missing');
SELECT is(gepa_judge('test_image', '{"document": null}'::jsonb), NULL, 'one that is null');
SELECT is((gepa_verdict('test_image', jsonb_build_object('document', bytes))).status, 'ok', name || ' in an object') FROM pictures;
SET gepa.on_error = error;
SELECT throws_ok($$SELECT gepa_judge('test_image', 'a text')$$, '22023', 'judge "test_image" has no verdict from LM "test_lm": bad_image', 'an error where it is wanted');

SELECT * FROM finish();
ROLLBACK;
