# Whatever is killed in the middle of a run, the run ends as if nothing had
# been, and pays at most for what was in flight once more.
#
# The gate decides how far a run has come: so many calls may pass, and the
# next ones, up to max_concurrency, wait.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $in_flight = 4;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "restart_after_crash = on\n");
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa run worker'";

prepare_tuning($node, $mock, model => 'judge-rules+gate', writer => 'reflector+gate', world => { rows => 80 },
	lm => { max_concurrency => $in_flight });

# Of a mode's run that is left alone: its number, what came of it, how many rollouts
# come before its first reflection and how many calls are at the gate with that.
my ($options, $undisturbed, $expected, $first, $together);

# Let so many rollouts and reflections of a new run pass, until as many as may
# be in flight wait and what came in is recorded.
sub bring_to
{
	my ($run, $rollouts, $reflections) = @_;

	$mock->gate(pass => $rollouts + ($reflections // 0));
	$mock->wait_for(sub { $_->{waiting} == $in_flight }, "$in_flight at the gate") or BAIL_OUT("run $run went another way");
	wait_sql($node, "SELECT count(*) = $rollouts FROM gepa.rollouts WHERE run = $run", "$rollouts rollouts");
	return;
}

# Until the server is back and the run at the gate again.
sub wait_back
{
	my ($waiting) = @_;

	$node->poll_query_until('postgres', 'SELECT true');
	return $mock->wait_for(sub { $_->{waiting} == $waiting && $_->{in_flight} == $waiting }, 'the next worker at the gate');
}

# To the end; the same in all, and nothing recorded was paid for twice.
sub finish_run
{
	my ($run, $kills, $what) = @_;

	$mock->gate(open => 1);
	is(wait_run($node, $run), 'finished', "$what: the run ends");
	same_facts(run_facts($node, $run), $expected, '... like the undisturbed one');
	cmp_ok(judge_calls($mock), '<=', run_value($node, $run, 'rollouts') + $kills * $in_flight,
		'... and pays only for what was in flight again');
	return;
}

sub fresh_run
{
	$mock->gate(open => 0);
	$mock->reset;
	return start_run($node, options => $options);
}

# The worker: while the seed is evaluated, and while it waits for the reflection
# LM.
sub kill_worker
{
	my $run = fresh_run();

	bring_to($run, 10);
	kill_process($node, $worker);
	ok(wait_back($in_flight), 'a killed worker is replaced');
	is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run"), 10, '... and what was recorded is there');
	$mock->gate(pass => $first - 10);
	ok(wait_back($together), 'then it reflects');
	kill_process($node, $worker);
	ok(wait_back($together), '... is killed, and reflects again');
	finish_run($run, 2, 'worker');
	return;
}

# The server, while the first child that was accepted is evaluated.
sub kill_server_at_child
{
	my ($before, $reflections) = split /\|/, value($node, <<"SQL");
WITH f AS (SELECT min(step) AS step FROM gepa.rollouts WHERE run = $undisturbed AND candidate = 1 AND split = 'val')
SELECT (SELECT count(*) FROM gepa.rollouts o WHERE o.run = $undisturbed AND o.step < f.step),
	(SELECT count(*) FROM gepa.reflections r WHERE r.run = $undisturbed AND r.step < f.step) FROM f
SQL
	my $run = fresh_run();

	bring_to($run, $before + 10, $reflections);
	is(run_value($node, $run, 'best_candidate'), 0, 'a child is being evaluated');
	$node->stop('immediate');
	$node->start;
	ok(wait_back($in_flight), 'after a restart of the server the run goes on');
	finish_run($run, 1, 'server');
	return;
}

# The launcher: of course the server restarts.
sub kill_launcher
{
	my $run = fresh_run();

	bring_to($run, $first - 2 * $in_flight);
	kill_process($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa launcher'");
	ok(wait_back($in_flight), 'after the launcher was killed another one finds the run');
	finish_run($run, 1, 'launcher');
	return;
}

# A backend that waits in gepa.optimize(): the run goes on without it.
sub kill_backend
{
	$mock->gate(open => 0);
	$mock->reset;
	my $session = background($node, "SELECT gepa.optimize('j', 'labels', 'writer', 150);");
	$mock->wait_for(sub { $_->{waiting} == $in_flight }, 'the run of gepa.optimize()');
	my $run = value($node, 'SELECT max(run) FROM gepa.runs');

	bring_to($run, 7);
	kill_process($node, "SELECT $session->{pid}");
	ok(wait_back($in_flight), 'after the waiting backend was killed the run goes on');
	finish($session);
	finish_run($run, 1, 'waiting backend');
	return;
}

# The endpoint: gone, and back at another place.
sub kill_endpoint
{
	my $run = fresh_run();

	bring_to($run, 5);
	my $paid = judge_calls($mock) - $in_flight;
	$mock->kill;
	$mock = Gepa::Mock->new;
	my $url = $mock->url;
	value($node, "ALTER SERVER judge OPTIONS (SET base_url '$url'); ALTER SERVER writer OPTIONS (SET base_url '$url')");
	ok(wait_back($in_flight), 'a run follows its endpoint to another place');
	finish_run($run, 1, 'endpoint');
	cmp_ok($paid + judge_calls($mock), '<=', run_value($node, $run, 'rollouts') + $in_flight, '... both places together');
	return;
}

sub undisturbed
{
	my ($mode, $how) = @_;

	$options = $how;
	$mock->gate(open => 1);
	$undisturbed = start_run($node, options => $options);
	is(wait_run($node, $undisturbed), 'finished', "$mode mode: an undisturbed run");
	($first, my ($reflections, $beside)) = first_reflection($node, $undisturbed);
	$together = $reflections + ($beside < $in_flight ? $beside : $in_flight);
	$expected = run_facts($node, $undisturbed);
	return;
}

undisturbed('reference', reference_mode());
$_->() for \&kill_worker, \&kill_server_at_child;
undisturbed('default', '{}');
$_->() for \&kill_worker, \&kill_server_at_child, \&kill_launcher, \&kill_backend, \&kill_endpoint;

done_testing();
