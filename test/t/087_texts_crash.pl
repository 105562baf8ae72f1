# A run of texts whose worker, or server, is killed ends as if nothing had been: what was evaluated is not
# evaluated again, and what the reflection LM wrote is not asked for again.

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
my $node = gepa_node('main', conf => "restart_after_crash = on\n");
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa run worker'";

create_lm($node, 'words', $mock, 'text-words+gate');
load_world($node, 'labels', rows => 80, seed => 3, features => 6, neutral => 0);
value($node, "SELECT gepa.create_dataset('labels', 'labels', 'id', '{body}', 'keep')");

# It fails on some samples, writes (which must not remain), and waits at a lock once the table "turnstile" has
# a row of its sample.  Calls are counted by a sequence, which no rollback takes back; a crash makes it skip
# up to 32 numbers.
value($node, <<'SQL');
CREATE TABLE written (i int);
CREATE TABLE turnstile (sample text);
CREATE SEQUENCE calls;
CREATE FUNCTION finds(sample jsonb, candidate jsonb) RETURNS jsonb LANGUAGE plpgsql SET search_path = public AS $$
DECLARE
	hit bool := to_tsvector('simple', sample #>> '{inputs,body}') @@ to_tsquery('simple', candidate ->> 'query');
	wanted bool := (sample ->> 'label')::bool;
BEGIN
	PERFORM nextval('calls');
	INSERT INTO written VALUES (1);
	IF EXISTS (SELECT FROM turnstile t WHERE t.sample = finds.sample ->> 'key') THEN
		PERFORM pg_advisory_xact_lock(87);
	END IF;
	IF (sample ->> 'key')::int % 9 = 0 THEN
		RAISE 'not this one';
	END IF;
	RETURN jsonb_build_object('score', (hit = wanted)::int, 'feedback', CASE WHEN hit = wanted THEN 'right' ELSE 'wrong' END,
		'objectives', jsonb_build_object('found', (hit OR NOT wanted)::int, 'clean', (wanted OR NOT hit)::int));
END $$;
SQL

my $options;

sub begin_run
{
	my ($open) = @_;

	$mock->gate(open => $open);
	$mock->reset;
	value($node, 'SELECT setval(\'calls\', 1)');
	return value($node, "SELECT gepa.start_text('finds(jsonb,jsonb)'::regprocedure, 'words', 160, seed => '{\"query\": null}', dataset => 'labels',
		objective => 'Find what is worth keeping.', options => '$options')");
}

my ($expected, $calls, $requests);

sub finish_run
{
	my ($run, $killed, $again, $what) = @_;

	$mock->gate(open => 1);
	is(wait_run($node, $run), 'finished', "$what: the run ends") or diag(run_value($node, $run, 'reason'));
	same_facts(run_facts($node, $run), $expected, '... like the undisturbed one');
	is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... and a replay agrees');
	cmp_ok(value($node, 'SELECT last_value FROM calls'), '<=', $calls + $again, '... samples that were recorded are not evaluated again');
	is($mock->journal->{requests}, $requests + $killed, '... the reflection LM was asked again for what it had not answered');
	is(value($node, 'SELECT count(*) FROM written'), 0, '... and nothing that the function wrote remains');
	return;
}

for my $mode ('default', 'reference')
{
	$options = qq({"mode": "$mode"}) if $mode eq 'default';
	$options = reference_mode('{"error_score": 0, "frontier_type": "hybrid"}') if $mode eq 'reference';
	my $undisturbed = begin_run(1);
	is(wait_run($node, $undisturbed), 'finished', "$mode mode: an undisturbed run") or diag(run_value($node, $undisturbed, 'reason'));
	is(value($node, "SELECT count(*) > 0 FROM gepa.rollouts WHERE run = $undisturbed AND status = 'function_error'"), 't', '... with errors in it');
	$expected = run_facts($node, $undisturbed);
	$calls = value($node, 'SELECT last_value FROM calls');
	$requests = $mock->journal->{requests};

	# While the seed is written.
	my $run = begin_run(0);
	$mock->wait_for(sub { $_->{waiting} == 1 }, 'the question for a seed') or BAIL_OUT('no question');
	is(value($node, "SELECT phase FROM gepa.progress WHERE run = $run"), 'writing the seed', 'the seed is being written');
	kill_process($node, $worker);
	$node->poll_query_until('postgres', 'SELECT true');
	$mock->wait_for(sub { $_->{waiting} == 1 && $_->{requests} == 2 }, 'the question again');
	finish_run($run, 1, 0, 'killed while the seed was written');

	# While it reflects, with the seed in the journal.
	$run = begin_run(0);
	$mock->gate(pass => 1);
	$mock->wait_for(sub { $_->{waiting} > 0 && $_->{answered} == 1 }, 'a reflection') or BAIL_OUT('no reflection');
	my $waiting = $mock->journal->{waiting};
	kill_process($node, $worker);
	$node->poll_query_until('postgres', 'SELECT true');
	$mock->wait_for(sub { $_->{waiting} == $waiting && $_->{requests} == 1 + 2 * $waiting }, 'reflections again');
	finish_run($run, $waiting, 32, 'killed while it reflected');

	# In the midst of a call, with rollouts behind it.
	my $sample = value($node, "SELECT sample FROM gepa.rollouts WHERE run = $undisturbed AND step > 0 AND sample::int % 9 <> 0 ORDER BY created_at, step, sample LIMIT 1");
	my $holder = background($node, "SELECT pg_advisory_lock(87);\nSELECT pg_sleep(600);");
	wait_sql($node, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted", 'the lock');
	value($node, "INSERT INTO turnstile VALUES ($sample)");
	$run = begin_run(1);
	my $held = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'gepa run worker' AND wait_event_type = 'Lock'";
	wait_sql($node, $held, 'a call that waits');
	is(value($node, 'SELECT count(*) FROM written'), 0, 'what it wrote is not to be seen');
	kill_server($node);
	$node->start;
	finish($holder);
	value($node, 'TRUNCATE turnstile');
	# up to 32 more that were not committed yet
	finish_run($run, $mock->journal->{requests} > $requests ? $mock->journal->{requests} - $requests : 0, 64, 'server killed in a call');
}

done_testing();
