/*
 * Budgets of statements, and setting those of judges and roles.  What holds between
 * sessions, and at commit, is test/t/062_budget.pl.
 *
 * Run in a database that has the extensions pgtap and gepa.
 */
BEGIN;
SELECT no_plan();
SET client_min_messages = warning;

CREATE ROLE gepa_test_owner;
CREATE ROLE gepa_test_user;
CREATE ROLE gepa_test_chief;
GRANT gepa_test_user TO gepa_test_chief WITH ADMIN OPTION;
CREATE SERVER gepa_test_lm FOREIGN DATA WRAPPER gepa_lm
	OPTIONS (api 'canned', model 'canned', input_price '1', output_price '10', max_tokens '20');
GRANT USAGE ON FOREIGN SERVER gepa_test_lm TO gepa_test_owner, gepa_test_user;
GRANT EXECUTE ON FUNCTION gepa_judge(text, text), gepa_verdict(text, text), gepa_judge(text, text[]) TO gepa_test_user;
SET ROLE gepa_test_owner;
SELECT gepa.create_judge('gepa_test_judge', 'gepa_test_lm', 'Is it good?');
RESET ROLE;

--------------------------------------------------------------- a statement

-- One statement, whatever it does.
CREATE FUNCTION pg_temp.statuses(series text, n int) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg((gepa_verdict('gepa_test_judge', series || i)).status, ' ' ORDER BY i) FROM generate_series(1, n) i
$$;

SET gepa.on_budget = 'null';
SET gepa.max_query_calls = 2;
SELECT is(pg_temp.statuses('calls ', 4), 'ok ok budget budget', 'a statement has its calls');
SELECT is(pg_temp.statuses('calls ', 4), 'ok ok ok ok', 'what is stored costs none, and the next statement has its own');
SELECT is(pg_temp.statuses('one ', 2) || ' ' || pg_temp.statuses('two ', 2), 'ok ok budget budget',
	'what functions ask in it counts');
SELECT is(gepa_judge('gepa_test_judge', ARRAY['array 1', 'array 2', 'array 3'])::text ~ 'NULL', true, 'so do arrays');
SET gepa.max_query_calls = 0;
SELECT is_empty($$SELECT FROM (VALUES ('kept')) v(t) WHERE gepa_judge('gepa_test_judge', t) OR gepa_judge('gepa_test_judge', t)$$,
	'a row whose document was not called for is not kept');
SELECT is(to_jsonb(gepa_verdict('gepa_test_judge', 'nothing')) - '{version,judge,chars_seen,chars_total}'::text[],
	'{"label": null, "positive": null, "score": null, "reasoning": null, "status": "budget", "cached": false,'
	' "input_tokens": 0, "output_tokens": 0, "cost": 0, "latency_ms": 0, "thinking": null, "votes": null}', 'it took nothing');
SET gepa.on_error = 'error';
SELECT is(gepa_judge('gepa_test_judge', 'nothing'), NULL, 'gepa.on_error does not matter');
RESET gepa.on_error;
SET gepa.on_budget = 'error';
SELECT throws_ok($$SELECT gepa_judge('gepa_test_judge', 'nothing')$$, '53400',
	'judge "gepa_test_judge" has no verdict from LM "gepa_test_lm": budget', 'or it is an error');
SELECT throws_ok($$SELECT gepa_judge('gepa_test_judge', ARRAY['nothing'])$$, '53400', NULL, '... of arrays, too');
SET gepa.enable_judge_node = off;
SELECT throws_ok($$SELECT gepa_judge('gepa_test_judge', 'nothing')$$, '53400', NULL, '... and without the node');
RESET gepa.enable_judge_node;
RESET gepa.max_query_calls;
SET gepa.on_budget = 'null';
SET gepa.max_query_tokens = 300;
SELECT matches(pg_temp.statuses('tokens ', 40), '^(ok )+(budget ?)+$', 'a statement has its tokens');
SET gepa.max_query_tokens = 1;
SELECT is(pg_temp.statuses('a token ', 1), 'budget', 'what cannot fit is not sent');
RESET gepa.max_query_tokens;
SET gepa.max_query_cost = 0.001;
SELECT matches(pg_temp.statuses('money ', 40), '^(ok )+(budget ?)+$', 'a statement has its money');
RESET gepa.max_query_cost;
SELECT is_empty($$SELECT * FROM gepa.verdict_errors WHERE judge = 'gepa_test_judge'$$, 'nothing of it is a failure');
SELECT throws_ok('SET gepa.max_query_calls = -2', '22023', NULL, 'a limit is not negative');

------------------------------------------------------------------- setting

SELECT throws_ok(statement, sqlstate, NULL, statement)
FROM (VALUES
	('SELECT gepa.set_budget()', '22023'),
	($$SELECT gepa.set_budget('gepa_test_judge', 'gepa_test_user', 1)$$, '22023'),
	($$SELECT gepa.set_budget('none', calls => 1)$$, '42704'),
	($$SELECT gepa.set_budget(role => 'gepa_test_none', calls => 1)$$, '42704'),
	($$SELECT gepa.set_budget('gepa_test_judge', calls => -1)$$, '22023'),
	($$SELECT gepa.set_budget('gepa_test_judge', tokens => -1)$$, '22023'),
	($$SELECT gepa.set_budget('gepa_test_judge', cost => -0.1)$$, '22023'),
	($$SELECT gepa.set_budget('gepa_test_judge', cost => 'NaN')$$, '22023'),
	($$SELECT gepa.set_budget('gepa_test_judge', cost => 'Infinity')$$, '22023')) AS s(statement, sqlstate);

SET ROLE gepa_test_owner;
SELECT lives_ok($$SELECT gepa.set_budget('gepa_test_judge', calls => 7, cost => 0.5)$$, 'a judge''s owner sets its budget');
SELECT results_eq('SELECT judge, role, calls, tokens, cost, spent_calls > 0, reserved_calls FROM gepa.budgets',
	$$VALUES ('gepa_test_judge', NULL::text, 7::bigint, NULL::bigint, 0.5, true, 0::bigint)$$, '... and sees it, with what was spent before, written or not');
SELECT throws_ok($$SELECT gepa.set_budget(role => 'gepa_test_owner', calls => 1)$$, '42501', NULL, 'nobody sets their own');
SET ROLE gepa_test_user;
SELECT throws_ok($$SELECT gepa.set_budget('gepa_test_judge', calls => 1)$$, '42501', NULL, 'nor that of another''s judge');
SELECT is_empty('SELECT * FROM gepa.budgets', '... nor sees it');
SET ROLE gepa_test_chief;
SELECT lives_ok($$SELECT gepa.set_budget(role => 'gepa_test_user', tokens => 0)$$, 'who administers a role sets its budget');
SET ROLE gepa_test_user;
SELECT results_eq('SELECT role, tokens FROM gepa.budgets', $$VALUES ('gepa_test_user', 0::bigint)$$, '... which it sees');
SELECT is(gepa_judge('gepa_test_judge', 'not committed') IS NULL, false, 'what is not committed does not hold');
RESET ROLE;
SELECT lives_ok($$SELECT gepa.set_budget('gepa_test_judge'), gepa.set_budget(role => 'gepa_test_user')$$,
	'without limits they are removed');
SELECT is_empty('SELECT * FROM gepa.budgets', '... and not shown');
SELECT lives_ok($$SELECT gepa.drop_judge('gepa_test_judge')$$, 'a judge with a budget can be dropped');

SELECT finish();
ROLLBACK;
