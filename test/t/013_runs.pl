# What the functions that start, watch, stop and resume a run do while it is
# at work.  The gate of the mock holds the run where the test wants it.

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
my $node = gepa_node('main', conf => "max_prepared_transactions = 1\n");
my $optimize = "SELECT gepa.optimize('j', 'labels', 'writer', 150);";

prepare_tuning($node, $mock, model => 'judge-rules+gate', writer => 'reflector+gate', world => { rows => 80 },
	lm => { max_concurrency => 4 });
$mock->gate(open => 1);
my ($out, $err) = outcome($node, $optimize);
like($err, qr/NOTICE:  00000: samples: train \d+ .*NOTICE:  00000: run 1 started.*NOTICE:  00000: run 1 finished: \d+ rollouts, best candidate \d+ with/s,
	'gepa.optimize() says what it found, that it began, and how it ended');
is($out, 1, '... and returns the run');
my $expected = run_facts($node, 1);
my ($first, $together, $beside) = first_reflection($node, 1);
$beside = 4 if $beside > 4;

sub status { return run_value($node, $_[0], q(status || ': ' || coalesce(reason, '-'))); }

# A new run of which so many rollouts are recorded and four wait.
sub held_run
{
	my ($pass) = @_;

	$mock->gate(open => 0);
	$mock->reset;
	my $run = start_run($node);
	$mock->gate(pass => $pass);
	ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'four at the gate'), "run $run is held");
	wait_sql($node, "SELECT count(*) = $pass FROM gepa.rollouts WHERE run = $run", "$pass rollouts");
	return $run;
}

# A start counts when it is committed, and so does a stop.
$mock->reset;
value($node, "BEGIN; SELECT gepa.start('j', 'labels', 'writer', 150); ROLLBACK");
($out, $err) = outcome($node, "BEGIN; SELECT gepa.wait(gepa.start('j', 'labels', 'writer', 150)); ROLLBACK");
like($err, qr/ERROR:  55000: run \d+ cannot be waited for in the transaction/,
	'a run that is not committed cannot be waited for');
($out, $err) = outcome($node, "BEGIN; SELECT gepa.start('j', 'labels', 'writer', 150); PREPARE TRANSACTION 'x'");
like($err, qr/ERROR:  0A000: cannot PREPARE/, '... nor prepared');
is(value($node, 'SELECT count(*) FROM gepa.runs'), 1, 'what was rolled back leaves no run');
is($mock->journal->{requests}, 0, '... and makes no call');

# Waiting.
my $run = held_run(10);
is(value($node, "SELECT gepa.wait($run, '1 ms')"), 'running', 'gepa.wait() gives up at its timeout');
value($node, "BEGIN; SELECT gepa.stop($run); ROLLBACK");
is(status($run), 'running: -', 'a stop that is rolled back stops nothing');
($out, $err) = outcome($node, "SELECT gepa.resume($run)");
like($err, qr/ERROR:  55000: run $run is running and cannot be resumed/, 'what runs cannot be resumed');

# Stopping in the middle, twice; resuming pays nothing again.
value($node, "SELECT gepa.stop($run)");
is(wait_run($node, $run), 'stopped', 'gepa.stop() stops');
is(status($run), 'stopped: stopped on request', '... and the run says so');
is(run_value($node, $run, 'rollouts'), 10, '... and keeps what it has');
ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'nothing in flight'),
	'... and what was in flight is given up');
($out, $err) = outcome($node, "SELECT gepa.stop($run)");
like($err, qr/NOTICE:  00000: run $run has already ended/, 'stopping it again is no error');
my $before = judge_calls($mock);
value($node, "SELECT gepa.resume($run)");
$mock->gate(pass => $first - 10);
ok($mock->wait_for(sub { $_->{waiting} == $together + $beside && $_->{in_flight} == $_->{waiting} }, 'a reflection'), 'resumed, it goes on');
is(judge_calls($mock) - $before, $first - 10 + $beside, '... and asks only for what it has not');
value($node, "SELECT gepa.stop($run)");
is(wait_run($node, $run), 'stopped', 'it stops while it waits for the reflection LM');
$mock->gate(open => 1);
value($node, "SELECT gepa.resume($run)");
is(wait_run($node, $run), 'finished', '... and ends when resumed');
same_facts(run_facts($node, $run), $expected, '... as a run that was not stopped');
($out, $err) = outcome($node, "SELECT gepa.resume($run)");
like($err, qr/ERROR:  55000: run $run is finished and cannot be resumed/, 'what is finished cannot be resumed');

# A stop that is committed while the next worker takes the run up.
$run = held_run(5);
my $session = background($node, "BEGIN; SELECT gepa.stop($run);");
my $worker = "FROM pg_stat_activity WHERE backend_type = 'gepa run worker'";
wait_sql($node, "SELECT state = 'idle in transaction' FROM pg_stat_activity WHERE pid = $session->{pid}",
	'the stop');
value($node, "SELECT pg_terminate_backend(pid, 10000) $worker");
wait_sql($node, "SELECT count(*) = 1 $worker AND wait_event_type = 'Lock'", 'the next worker');
$session->{in} .= "COMMIT;\n";
finish($session);
is(wait_run($node, $run), 'stopped', 'a stop in the moment of taking up counts');

# Cancelling gepa.optimize() stops its run; so does the end of its session.
for my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	$mock->gate(open => 0);
	$mock->reset;
	$session = background($node, $optimize);
	$mock->wait_for(sub { $_->{waiting} == 4 }, 'the run of gepa.optimize()');
	$run = value($node, 'SELECT max(run) FROM gepa.runs');
	value($node, "SELECT $how($session->{pid})");
	(undef, $err) = finish($session);
	like($err, qr/(ERROR:  57014|FATAL:  57P01)/, "$how() ends gepa.optimize()");
	is(wait_run($node, $run), 'stopped', '... and its run');
}

# Stopped by somebody else.
$mock->gate(open => 0);
$session = background($node, $optimize);
$mock->wait_for(sub { $_->{waiting} == 4 }, 'the run of gepa.optimize()');
value($node, 'SELECT gepa.stop(max(run)) FROM gepa.runs');
(undef, $err) = finish($session);
like($err, qr/NOTICE:  00000: run \d+ stopped: 0 rollouts, no candidate yet/,
	'gepa.optimize() of a run that is stopped says so');

# Dropped while somebody waits.
$mock->gate(open => 0);
value($node, q(SELECT gepa.create_judge('short', lm => 'judge', prompt => 'Is it?')));
$session = background($node, $optimize =~ s/'j'/'short'/r);
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'the run of the short judge'), 'a run of another judge');
value($node, q(SELECT gepa.drop_judge('short')));
$mock->gate(open => 1);
(undef, $err) = finish($session);
like($err, qr/ERROR:  42704: run \d+ was dropped while waiting/,
	'gepa.optimize() of a judge that is dropped ends');
ok($node->wait_for_log(qr/gepa run \d+ was dropped while at work/), '... and so does the worker');
wait_sql($node, "SELECT count(*) = 0 $worker", 'no worker');

# Progress, at most every ten seconds.
$mock->gate(open => 0);
$mock->reset;
$session = background($node, $optimize);
$mock->gate(pass => 6);
$session->{run}->pump until $session->{err} =~ /NOTICE:  00000: (run \d+: [^\n]*)/ || !$session->{run}->pumpable;
like($1, qr/^run \d+: [1-6] of 150 rollouts, no candidate yet$/, 'gepa.optimize() shows progress');
$mock->gate(open => 1);
finish($session);

done_testing();
