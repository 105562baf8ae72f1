--
-- Who may do what: EXECUTE and USAGE on the LM are the right to spend, ownership
-- the right to change, and every view shows a role what is its own.
--
\pset format unaligned
\pset tuples_only on

CREATE ROLE regress_gepa_owner;
CREATE ROLE regress_gepa_user;
CREATE ROLE regress_gepa_stranger;
CREATE ROLE regress_gepa_member IN ROLE regress_gepa_owner;
CREATE ROLE regress_gepa_files IN ROLE pg_read_server_files;
CREATE SERVER regress_lm FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned');
GRANT USAGE ON FOREIGN SERVER regress_lm TO regress_gepa_owner, regress_gepa_user;
-- Without EXECUTE there is no call, and with it alone there is none either.
SET ROLE regress_gepa_user;
SELECT refused(s) FROM (VALUES
	(1, $$SELECT gepa_judge('cats', 'on cats')$$),
	(2, $$SELECT gepa_score('cats', 'on cats')$$),
	(3, $$SELECT gepa_verdict('cats', 'on cats')$$),
	(4, $$SELECT gepa_judge('cats', '{"document": "on cats"}'::jsonb)$$),
	(5, $$SELECT gepa_score('cats', '{"document": "on cats"}'::jsonb)$$),
	(6, $$SELECT gepa_verdict('cats', '{"document": "on cats"}'::jsonb)$$),
	(7, $$SELECT gepa.check_lm('regress_lm')$$),
	(8, $$SELECT gepa.start('cats', 'labels', NULL, 100)$$),
	(9, $$SELECT gepa.optimize('cats', 'labels', NULL, 100)$$),
	(10, $$SELECT gepa.resume(1)$$),
	(11, $$SELECT gepa.report('cats')$$),
	(12, $$SELECT gepa.create_schedule('s', 'cats', 'labels', NULL, every => '1 day')$$),
	(13, $$SELECT gepa.watch_dataset('cats', 'labels', NULL, 10)$$),
	(14, $$SELECT gepa.enable_schedule('s')$$),
	(15, $$SELECT gepa_judge('cats', ARRAY['on cats'])$$),
	(16, $$SELECT gepa_judge('cats', ARRAY['{"document": "on cats"}'::jsonb])$$),
	(17, $$SELECT gepa_score('cats', ARRAY['on cats'])$$),
	(18, $$SELECT gepa_score('cats', ARRAY['{"document": "on cats"}'::jsonb])$$),
	(19, $$SELECT gepa_judge('missing', 'on cats')$$)) AS t(n, s) ORDER BY n;
RESET ROLE;
GRANT EXECUTE ON FUNCTION gepa_judge(text, text), gepa_judge(text, jsonb), gepa_score(text, text),
	gepa_score(text, jsonb), gepa_verdict(text, text), gepa_verdict(text, jsonb), gepa_judge(text, text[]),
	gepa_judge(text, jsonb[]), gepa_score(text, text[]), gepa_score(text, jsonb[])
	TO regress_gepa_owner, regress_gepa_user, regress_gepa_stranger;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO regress_gepa_owner, regress_gepa_user, regress_gepa_stranger;
CREATE SCHEMA regress_curation AUTHORIZATION regress_gepa_owner;
CREATE TABLE regress_curation.labels (id int, body text, keep text);
INSERT INTO regress_curation.labels SELECT i, 'text ' || i, i % 2 = 0 FROM generate_series(1, 20) i;
ALTER TABLE regress_curation.labels OWNER TO regress_gepa_owner;

SET ROLE regress_gepa_owner;
SELECT gepa.create_judge('cats', 'regress_lm', 'Is the text about "cats"?') > 0;
SELECT gepa.create_dataset('labels', 'regress_curation.labels', 'id', '{body}', 'keep') > 0;
SELECT gepa_judge('cats', 'on cats');

-- Someone with USAGE may call a judge, but not change it, and sees of its
-- verdicts what they have paid for.
SET ROLE regress_gepa_user;
SELECT gepa_judge('cats', 'on cats'), (gepa_verdict('cats', 'more on cats')).label;
SELECT judge, lm FROM gepa.judges;
SELECT judge, version FROM gepa.judge_versions;
SELECT judge, version, payer, count(*) FROM gepa.verdicts GROUP BY 1, 2, 3;
SELECT count(*) FROM gepa.datasets;
SELECT refused(s) FROM (VALUES
	(1, $$SELECT gepa.alter_judge('cats', prompt => 'other')$$),
	(2, $$SELECT gepa.drop_judge('cats')$$),
	(3, $$SELECT gepa.drop_dataset('labels')$$),
	(4, $$SELECT gepa.report('cats')$$)) AS t(n, s) ORDER BY n;

-- Without USAGE nothing can be spent, and nothing is seen.
SET ROLE regress_gepa_stranger;
SELECT refused(s) FROM (VALUES
	(1, $$SELECT gepa_judge('cats', 'on cats')$$),
	(2, $$SELECT gepa_score('cats', 'on cats')$$),
	(3, $$SELECT gepa_verdict('cats', 'on cats')$$),
	(4, $$SELECT gepa_judge('cats', '{"document": "on cats"}'::jsonb)$$),
	(5, $$SELECT gepa.check_lm('regress_lm')$$),
	(6, $$SELECT gepa.create_judge('mine', 'regress_lm', 'p')$$),
	(7, $$SELECT gepa.create_dataset('mine', 'regress_curation.labels', 'id', '{body}', 'keep')$$),
	(8, $$SELECT gepa.create_dataset('mine', 'SELECT * FROM regress_curation.labels', 'id', '{body}', 'keep')$$),
	(9, $$CREATE SERVER mine FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'canned')$$),
	(10, $$CREATE USER MAPPING FOR CURRENT_USER SERVER regress_lm OPTIONS (api_key 'k')$$),
	(11, $$SELECT * FROM gepa.verdict$$),
	(12, $$SELECT * FROM gepa.fence$$),
	(13, $$INSERT INTO gepa.judge (name, owner, current_version) VALUES ('x', 'regress_gepa_stranger', 1)$$),
	(14, $$DELETE FROM gepa.run$$),
	(15, $$SELECT nextval('gepa.judge_judge_seq')$$),
	(16, $$CREATE TABLE gepa.mine (a int)$$),
	(17, $$SELECT gepa_judge('cats', ARRAY['on cats'])$$)) AS t(n, s) ORDER BY n;
SELECT count(*) FROM gepa.judges;
SELECT count(*) FROM gepa.judge_versions;
SELECT count(*) FROM gepa.verdicts;
SELECT lm, usable FROM gepa.lms WHERE lm = 'regress_lm';

-- A member of the owner has the owner's rights.
SET ROLE regress_gepa_member;
SELECT judge, lm FROM gepa.judges;
SELECT stored(1);
SELECT gepa.alter_judge('cats', options => '{"threshold": 0.6}');

-- USAGE taken away is gone at once, whoever owns the judge.
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER regress_lm FROM regress_gepa_owner;
SET ROLE regress_gepa_owner;
SELECT refused($$SELECT gepa_judge('cats', 'on cats')$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER regress_lm TO regress_gepa_owner;

-- A SECURITY DEFINER function lends its owner's right to spend; that is its use.
CREATE FUNCTION regress_curation.is_cats(doc text) RETURNS bool LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$ SELECT public.gepa_judge('cats', doc) $$;
ALTER FUNCTION regress_curation.is_cats(text) OWNER TO regress_gepa_user;
GRANT USAGE ON SCHEMA regress_curation TO regress_gepa_stranger, regress_gepa_user;
SET ROLE regress_gepa_stranger;
SELECT regress_curation.is_cats('on cats');

-- A dataset over a table that the role may no longer read.
RESET ROLE;
SET ROLE regress_gepa_user;
SELECT refused($$SELECT gepa.create_dataset('theirs', 'regress_curation.labels', 'id', '{body}', 'keep')$$);
RESET ROLE;

-- Options that name files, variables or the inside of the network.
GRANT USAGE ON FOREIGN DATA WRAPPER gepa_lm TO regress_gepa_user, regress_gepa_files;
SET ROLE regress_gepa_user;
SELECT refused(format('CREATE SERVER regress_mine FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url %L, model %L, %s)', 'http://h/v1', 'm', option))
FROM (VALUES (1, $$api_key_file '/etc/passwd'$$), (2, $$api_key_env 'HOME'$$),
	(3, $$allow_private_address 'true'$$), (4, $$proxy 'http://h:3128'$$)) AS o(n, option) ORDER BY n;
CREATE SERVER regress_mine FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url 'http://h/v1', model 'm');
SELECT refused($$ALTER SERVER regress_mine OPTIONS (ADD api_key_file '/etc/passwd')$$);
SET ROLE regress_gepa_files;
CREATE SERVER regress_files FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (base_url 'http://h/v1', model 'm', api_key_file '/etc/gepa/key', allow_private_address 'true');
-- A key is shown to those who may see it: its user, not the role beside.
CREATE USER MAPPING FOR CURRENT_USER SERVER regress_files OPTIONS (api_key 'secret-key-7');
SELECT umoptions FROM pg_user_mappings WHERE srvname = 'regress_files';
SET ROLE regress_gepa_user;
SELECT umoptions IS NULL FROM pg_user_mappings WHERE srvname = 'regress_files';
SELECT count(*) FROM gepa.lms WHERE lms::text LIKE '%secret-key%';
RESET ROLE;

SELECT gepa.drop_judge('cats');
SELECT gepa.drop_dataset('labels');
SET client_min_messages = warning;
DROP SERVER regress_lm, regress_mine, regress_files CASCADE;
DROP SCHEMA regress_curation CASCADE;
DROP OWNED BY regress_gepa_owner, regress_gepa_user, regress_gepa_stranger, regress_gepa_files;
DROP ROLE regress_gepa_owner, regress_gepa_user, regress_gepa_stranger, regress_gepa_member, regress_gepa_files;
