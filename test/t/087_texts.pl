# Texts of any kind, tuned by a function that evaluates them: the function is called as the owner, leaves
# no trace, and what it gets wrong is said, never scored.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

create_lm($node, 'words', $mock, 'text-words');
create_lm($node, 'longer', $mock, 'text-longer');
create_lm($node, 'useless', $mock, 'text-longer+refusal');
load_world($node, 'labels', rows => 120, seed => 3, features => 6, neutral => 0);
value($node, "SELECT gepa.create_dataset('labels', 'labels', 'id', '{body}', 'keep')");

# Is a document found by the query, and should it be?
value($node, <<'SQL');
CREATE FUNCTION finds(sample jsonb, candidate jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = public AS $$
DECLARE
	found bool := to_tsvector('simple', sample #>> '{inputs,body}') @@ to_tsquery('simple', candidate ->> 'query');
	wanted bool := (sample ->> 'label')::bool;
BEGIN
	RETURN jsonb_build_object('score', (found = wanted)::int,
		'feedback', CASE WHEN found = wanted THEN 'right' WHEN found THEN 'found, but unwanted' ELSE 'missed' END,
		'objectives', jsonb_build_object('found', (found OR NOT wanted)::int, 'clean', (wanted OR NOT found)::int),
		'trace', jsonb_build_object('lexemes', length(to_tsvector('simple', sample #>> '{inputs,body}'))));
END $$;
SQL

# Start with the usual arguments, but for those that are given; the run.
sub start_text
{
	my ($function, %options) = @_;
	my %given = (reflection_lm => "'longer'", budget => 40, seed => "'{\"query\": \"a\"}'", %options);
	my $how = delete $given{how} // 'start_text';
	my $list = join ', ', map { "$_ => $given{$_}" } sort keys %given;

	return value($node, "SELECT gepa.$how('$function(jsonb,jsonb)'::regprocedure, $list)");
}

sub ended
{
	my ($run, $status, $name) = @_;

	is(wait_run($node, $run), $status, $name) or diag(run_value($node, $run, 'reason'));
	is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... and a replay agrees');
	return;
}

# An evaluator in PL/pgSQL; $1 is the sample, $2 the candidate.
sub evaluator
{
	my ($name, $body, $returns) = @_;

	$returns //= 'jsonb';
	value($node, "CREATE OR REPLACE FUNCTION $name(sample jsonb, candidate jsonb) RETURNS $returns LANGUAGE plpgsql AS \$\$ BEGIN $body END \$\$");
	return;
}

# Both modes, from a query that finds nothing.
for my $mode ('default', 'reference')
{
	my $run = start_text('finds', reflection_lm => "'words'", budget => 600, dataset => "'labels'", how => 'optimize_text',
		seed => q('{"query": "nothing"}'), options => qq('{"mode": "$mode", "minibatch_size": 12}'), objective => "'Find what is worth keeping.'");

	ended($run, 'finished', "$mode mode: a query is tuned");
	my $query = value($node, "SELECT gepa.best_text($run) ->> 'query'");
	cmp_ok(value($node, "SELECT avg((to_tsvector('simple', body) @@ to_tsquery('simple', '$query') = keep::bool)::int) FROM labels
		JOIN gepa.samples s ON sample = id::text AND s.run = $run AND split = 'test'"), '>=', 0.9, '... and is right on test samples, which chose nothing');
	is(value($node, "SELECT count(DISTINCT k) FROM gepa.rollouts, jsonb_object_keys(objectives) k WHERE run = $run"), 2, '... has objectives');
	cmp_ok(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND (trace ->> 'lexemes')::int > 0 AND status = 'ok'"), '>', 0, '... and traces');
	my $prompt = value($node, "SELECT reflection_prompt FROM gepa.reflections WHERE run = $run ORDER BY step LIMIT 1");
	like($prompt, qr/text that is called "query".*```\nnothing\n```.*What is to be achieved:\nFind what is worth keeping\./s, '... by a template of its own');
	like($prompt, qr/## Inputs\n<<<(\w+)\n.*?\n\1>>>.*## Expected\n(true|false)\n.*## Objectives.*## Trace\n<<<(\w+)\n.*## Feedback\n(missed|right)/s,
		'... that shows samples and traces fenced, and what the function says');
	like(value($node, "SELECT string_agg(key, ' ') FROM gepa.frontier WHERE run = $run"),
		$mode eq 'reference' ? qr/\bclean\b/ : qr/^[\d ]+$/, '... its frontier is hybrid where it selects');
	is(run_value($node, $run, 'judge IS NULL AND cost = 0 AND calls = reflections'), 't', '... no judge was called');
}

# Frontier types, said and unsaid.
evaluator('plain', "RETURN length(candidate ->> 'query');", 'float8');
evaluator('partly', "RETURN jsonb_build_object('score', 1, 'objectives',
	CASE WHEN (sample ->> 'key')::int % 2 = 0 THEN '{\"a\": 1}'::jsonb END);");
my %refused = (
	plain => [ 'objective', qr/public\.plain\(.*\) returns no objectives, but run option "frontier_type" needs some/ ],
	partly => [ 'auto', qr/returned no objectives for sample "\d+"\. For others it did/ ]);
for my $function (sort keys %refused)
{
	my ($type, $reason) = @{ $refused{$function} };
	my $run = start_text($function, dataset => "'labels'", budget => 100, options => qq('{"mode": "reference", "frontier_type": "$type"}'));

	ended($run, 'failed', "$function: a frontier of objectives without them");
	like(run_value($node, $run, 'reason'), $reason, '... is refused');
}
my $run = start_text('plain', dataset => "'labels'", budget => 120, options => q('{"mode": "reference"}'));
ended($run, 'finished', 'without objectives, scores of any size in reference mode');
like(value($node, "SELECT string_agg(key, ' ') FROM gepa.frontier WHERE run = $run"), qr/^[\d ]+$/, '... the frontier is by sample');
cmp_ok(value($node, "SELECT length(gepa.best_text($run) ->> 'query')"), '>', 1, '... and the best text wins');

# One task, no dataset.
evaluator('task', "RETURN jsonb_build_object('score', least(length(candidate ->> 'query') / 10.0, 1), 'feedback', coalesce(sample::text, 'no sample'));");
for my $options ('{}', '{"mode": "default"}', '{"mode": "reference"}')
{
	$run = start_text('task', options => "'$options'");
	ended($run, 'finished', "a single task with options $options");
	is(value($node, "SELECT DISTINCT feedback FROM gepa.rollouts WHERE run = $run"), 'no sample', '... has no sample');
	is(value($node, "SELECT count(*) FROM gepa.reflections WHERE run = $run AND reflection_prompt ~ 'not shown here|Inputs'"), 0, '... and the prompt knows none');
}
$run = start_text('task');
ended($run, 'finished', 'a single task');
is(value($node, "SELECT gepa.best_text($run) ->> 'query' LIKE 'axxxxxxxxx%'"), 't', '... climbs to the top');
is(run_value($node, $run, 'best_score'), '1', '... which its score says');
is(value($node, "SELECT gepa.export_result($run) -> 'best_idx' = to_jsonb(best_candidate) FROM gepa.runs WHERE run = $run"), 't', '... and can be exported');

# No seed: the reflection LM writes it, and one component of two.
$run = start_text('finds', reflection_lm => "'words'", dataset => "'labels'", budget => 200, seed => q('{"query": null}'),
	objective => "'Find what is worth keeping.'", background => "'Words tell.'");
ended($run, 'finished', 'a run without a seed');
like(value($node, "SELECT reflection_prompt FROM gepa.reflections WHERE run = $run AND step = -1"),
	qr/"query", which is to be written.*Find what is worth keeping\..*Words tell\..*# Case 1\n<<<(\w+)\n.*\n\1>>>\nExpected: (true|false)\n.*# Case 3/s,
	'... asks for one, with objective, background and three samples');
isnt(value($node, "SELECT components ->> 'query' FROM gepa.candidates WHERE run = $run AND candidate = 0"), '', '... which is candidate 0');
is(run_value($node, $run, 'calls = reflections'), 't', '... and a call like the others');
$run = start_text('task', seed => 'NULL', objective => "'Be long.'");
ended($run, 'finished', 'neither seed nor dataset');
is(value($node, "SELECT components FROM gepa.candidates WHERE run = $run AND candidate = 0"), '{"text": "x"}', '... one text, called text');
$run = start_text('task', seed => q('{"query": null, "style": "terse"}'), objective => "'Be long.'");
ended($run, 'finished', 'one text of two is to be written');
like(value($node, "SELECT reflection_prompt FROM gepa.reflections WHERE run = $run AND step = -1"), qr/text "style" is:\n```\nterse\n```/, '... by one who sees the other');
$run = start_text('task', seed => 'NULL', objective => "'Be long.'", reflection_lm => "'useless'");
ended($run, 'failed', 'a reflection LM that writes nothing');
like(run_value($node, $run, 'reason'), qr/wrote no text for component "text".*gepa\.resume/, '... is the reason');
value($node, "ALTER SERVER useless OPTIONS (SET model 'text-longer'); SELECT gepa.resume($run)");
ended($run, 'finished', '... and when it does, the run goes on');
is(value($node, "SELECT string_agg(step || ' ' || (text IS NOT NULL), ', ' ORDER BY step DESC) FROM gepa.reflections WHERE run = $run AND step < 0"),
	'-1 false, -2 false, -3 true', '... the journal has all answers');

# What must not be a score.
my %garbage = (
	'RETURN NULL;' => qr/returned null/,
	"RETURN '\"high\"';" => qr/neither a finite number nor an object/,
	"RETURN '{\"feedback\": \"good\"}';" => qr/no finite number as score/,
	"RETURN '{\"score\": \"1\"}';" => qr/no finite number as score/,
	"RETURN '{\"score\": 1, \"feedbak\": \"x\"}';" => qr/unknown key "feedbak".*score, feedback, objectives, trace/,
	"RETURN '{\"score\": 1, \"objectives\": {\"a\": \"b\"}}';" => qr/objectives that are no object of finite numbers/,
	"RETURN '{\"score\": 1, \"objectives\": [1]}';" => qr/objectives that are no object of finite numbers/,
	'RETURN 1 / 0;' => qr/22012: division by zero/,
	'PERFORM * FROM labels; RETURN 1;' => qr/42P01: relation "labels" does not exist.*search_path/);
for my $body (sort keys %garbage)
{
	evaluator('garbage', $body);
	$run = start_text('garbage');
	ended($run, 'failed', "an evaluator with $body");
	like(run_value($node, $run, 'reason'), $garbage{$body}, '... says why');
	is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run"), 0, '... and has no rollout');
}
evaluator('nan', "RETURN 'NaN';", 'float8');
ended($run = start_text('nan'), 'failed', 'a score that is no number');
like(run_value($node, $run, 'reason'), qr/returned NaN, which is no finite number/, '... says so');
evaluator('high', 'RETURN 7;', 'float8');
ended($run = start_text('high', options => q('{"mode": "default"}')), 'failed', 'a score above 1 in default mode');
like(run_value($node, $run, 'reason'), qr/returned the score 7 for sample "task"\. Mode "default" takes scores from 0 to 1.*"mode": "reference"/, '... is refused');

# One that fails now and then: no score in default mode, the one given, or the end in reference mode.
evaluator('moody', "IF (sample ->> 'key')::int % 5 = 0 THEN RAISE 'not this one'; END IF; RETURN 0.5;");
$run = start_text('moody', dataset => "'labels'", budget => 80);
ended($run, 'finished', 'default mode: an evaluator that raises sometimes');
is(value($node, "SELECT string_agg(DISTINCT concat_ws(' ', status, score, output ->> 'detail'), ', ') FROM gepa.rollouts
	WHERE run = $run AND sample::int % 5 = 0"), 'function_error P0001: not this one', '... has no score where it failed');
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND (status = 'ok') <> (sample::int % 5 <> 0)"), 0, '... and one elsewhere');
$run = start_text('moody', dataset => "'labels'", budget => 120, options => q('{"mode": "reference", "error_score": -1}'));
ended($run, 'finished', 'reference mode: with error_score');
is(value($node, "SELECT string_agg(DISTINCT score::text, ' ') FROM gepa.rollouts WHERE run = $run"), '-1 0.5', '... errors have that score');
$run = start_text('moody', dataset => "'labels'", budget => 120, options => q('{"mode": "reference"}'));
ended($run, 'failed', '... and without it the run fails');
like(run_value($node, $run, 'reason'), qr/failed on sample "\d+": P0001: not this one.*error_score/, '... and says why');
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND status <> 'ok'"), 0, '... no failure is recorded');
evaluator('moody', 'RETURN 0.5;');
value($node, "SELECT gepa.resume($run)");
ended($run, 'finished', '... once the function is mended it goes on');

# It leaves no trace, whatever it does.
value($node, 'CREATE TABLE notes (n int); CREATE SEQUENCE numbers; GRANT ALL ON notes, numbers TO PUBLIC');
evaluator('writes', "INSERT INTO public.notes SELECT count(*) FROM public.notes; CREATE TEMP TABLE mine (i int);
	PERFORM pg_notify('gepa_test', 'x'), set_config('work_mem', '77kB', false), pg_advisory_lock(42), nextval('public.numbers');
	RETURN jsonb_build_object('score', (SELECT count(*) FROM public.notes) / 10.0, 'feedback', current_setting('work_mem'));");
$run = start_text('writes', budget => 20);
ended($run, 'finished', 'an evaluator that writes');
is(value($node, 'SELECT count(*) FROM notes'), 0, '... nothing remains');
is(value($node, "SELECT string_agg(DISTINCT score || ' ' || feedback, ', ') FROM gepa.rollouts WHERE run = $run"), '0.1 77kB', '... and no call sees what another wrote');
is(value($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0, '... nor keeps a lock');

# statement_timeout holds for each call, and a run that is to stop does not wait for it.
value($node, "CREATE ROLE slow LOGIN; GRANT USAGE ON FOREIGN SERVER longer TO slow; ALTER ROLE slow SET statement_timeout = '100ms'");
may_call($node, 'slow');
evaluator('sleeps', 'PERFORM pg_sleep(600); RETURN 1;');
$run = value($node, "SET ROLE slow; SELECT gepa.start_text('sleeps(jsonb,jsonb)', 'longer', 20, '{\"query\": \"a\"}')");
ended($run, 'failed', 'an evaluator that takes longer than statement_timeout');
like(run_value($node, $run, 'reason'), qr/57014: canceling statement due to statement timeout/, '... is cancelled, which is an error like others');
value($node, 'ALTER ROLE slow RESET statement_timeout');
my $asleep = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type = 'gepa run worker'";
$run = start_text('sleeps');
wait_sql($node, $asleep, 'a long call');
value($node, "SELECT gepa.stop($run)");
ended($run, 'stopped', 'a run is stopped in the middle of a long call');
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run"), 0, '... which makes no rollout');
my $session = background($node, "SELECT gepa.optimize_text('sleeps(jsonb,jsonb)', 'longer', 20, '{\"query\": \"a\"}');");
wait_sql($node, $asleep, 'a long call of gepa.optimize_text()');
value($node, "SELECT pg_cancel_backend($session->{pid})");
finish($session);
$run = value($node, 'SELECT max(run) FROM gepa.runs');
ended($run, 'stopped', 'a run whose gepa.optimize_text() was cancelled');
evaluator('sleeps', 'RETURN 1;');
value($node, "SELECT gepa.resume($run)");
ended($run, 'finished', '... goes on when it is resumed');

# The owner's rights, and no others.
value($node, 'CREATE ROLE alice LOGIN; CREATE ROLE bob; CREATE TABLE secrets AS SELECT 1 AS n; GRANT USAGE ON FOREIGN SERVER longer TO alice;
	GRANT CREATE ON SCHEMA public TO alice, bob');
may_call($node, 'alice');
evaluator('peeks', 'RETURN jsonb_build_object(\'score\', (SELECT n FROM public.secrets), \'feedback\', current_user || session_user);');
my $as_alice = "SET SESSION AUTHORIZATION alice; SELECT gepa.start_text('%s(jsonb,jsonb)', 'longer', 20, '{\"query\": \"a\"}')";
$run = value($node, sprintf($as_alice, 'peeks'));
ended($run, 'failed', 'an evaluator that reads what its caller may not');
like(run_value($node, $run, 'reason'), qr/42501: permission denied for table secrets/, '... may not');
evaluator('who', "RETURN jsonb_build_object('score', 1, 'feedback', current_user || ' ' || session_user || ' ' || current_setting('search_path'));");
$run = value($node, sprintf($as_alice, 'who'));
ended($run, 'finished', 'a run of another role');
is(value($node, "SELECT DISTINCT feedback FROM gepa.rollouts WHERE run = $run"), 'alice alice pg_catalog, pg_temp', '... calls as that role, under a fixed search_path');
my (undef, $err) = outcome($node, "REVOKE EXECUTE ON FUNCTION who(jsonb, jsonb) FROM PUBLIC;\n" . sprintf($as_alice, 'who'));
like($err, qr/ERROR:  42501: permission denied for function public\.who/, 'no EXECUTE, no run');

# Of a role that cannot log in the worker began as a superuser.
evaluator('escapes', "RESET SESSION AUTHORIZATION; RETURN 1;");
evaluator('rises', "EXECUTE format('SET ROLE %I', (SELECT rolname FROM pg_roles WHERE oid = 10)); RETURN 1;");
value($node, "GRANT USAGE ON FOREIGN SERVER longer TO bob");
may_call($node, 'bob');
for my $function ('escapes', 'rises')
{
	$run = value($node, "SET ROLE bob; SELECT gepa.start_text('$function(jsonb,jsonb)', 'longer', 20, '{\"query\": \"a\"}')");
	ended($run, 'failed', "an evaluator that $function");
	like(run_value($node, $run, 'reason'), qr/42501: cannot set parameter/, '... cannot leave its role');
}

# A function that was made anew by another role is not the one that was named.
value($node, "SET SESSION AUTHORIZATION alice; CREATE FUNCTION hers(jsonb, jsonb) RETURNS float8 LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN 1; END'");
$run = value($node, sprintf($as_alice, 'hers'));
wait_sql($node, $asleep, 'her function');
value($node, "SELECT gepa.stop($run)");
is(wait_run($node, $run), 'stopped', 'a run of a function');
value($node, "DROP FUNCTION hers(jsonb, jsonb); SET SESSION AUTHORIZATION alice; SELECT gepa.resume($run)");
is(wait_run($node, $run), 'failed', '... which was dropped meanwhile');
like(run_value($node, $run, 'reason'), qr/public\.hers\(.*\) does not exist/, '... fails');
value($node, "SET SESSION AUTHORIZATION bob; CREATE FUNCTION hers(jsonb, jsonb) RETURNS float8 LANGUAGE sql AS 'SELECT 1::float8'; RESET SESSION AUTHORIZATION;
	SELECT gepa.resume($run)");
is(wait_run($node, $run), 'failed', '... and which another role made again');
like(run_value($node, $run, 'reason'), qr/belongs to another role than when it was named\. It was owned by alice, and is owned by bob/, '... fails too');

# Limits are those of any run.
$run = start_text('task', options => q('{"max_calls": 3}'));
ended($run, 'finished', 'a run whose calls are used up');
is(run_value($node, $run, 'reason, calls'), 'max_calls|3', '... says so');

done_testing();
