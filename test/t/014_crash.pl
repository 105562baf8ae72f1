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

$mock->gate(open => 1);
my $undisturbed = start_run($node);
is(wait_run($node, $undisturbed), 'finished', 'an undisturbed run');
my $nval = value($node, "SELECT count(*) FROM gepa.samples WHERE run = $undisturbed AND split = 'val'");
my $expected = run_facts($node, $undisturbed);

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
	return $mock->wait_for(sub { $_->{waiting} == $waiting }, 'the next worker at the gate');
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
	return start_run($node);
}

# The worker: in the validation of the seed, and while it waits for the
# reflection LM.
my $run = fresh_run();
bring_to($run, 10);
kill_process($node, $worker);
ok(wait_back($in_flight), 'a killed worker is replaced');
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run"), 10,
	'... and what was recorded is there');
$mock->gate(pass => $nval - 10 + 3);
ok($mock->wait_for(sub { ($_->{by_model}{'reflector+gate'}{in_flight} // 0) == 1 }, 'a reflection'),
	'then it reflects');
kill_process($node, $worker);
ok(wait_back(1), '... is killed, and reflects again');
finish_run($run, 2, 'worker');

# The launcher: of course the server restarts.
$run = fresh_run();
bring_to($run, $nval - 2 * $in_flight);
kill_process($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa launcher'");
ok(wait_back($in_flight), 'after the launcher was killed another one finds the run');
finish_run($run, 1, 'launcher');

# A backend that waits in gepa.optimize(): the run goes on without it.
$mock->gate(open => 0);
$mock->reset;
my $session = background($node, "SELECT gepa.optimize('j', 'labels', 'writer', 150);");
$mock->wait_for(sub { $_->{waiting} == $in_flight }, 'the run of gepa.optimize()');
$run = value($node, 'SELECT max(run) FROM gepa.runs');
bring_to($run, 7);
kill_process($node, "SELECT $session->{pid}");
ok(wait_back($in_flight), 'after the waiting backend was killed the run goes on');
finish($session);
finish_run($run, 1, 'waiting backend');

# The server, while the first child that was accepted is validated.
my ($before, $reflections) = split /\|/, value($node, <<"SQL");
SELECT rollouts_at_discovery, (SELECT count(*) FROM gepa.reflections r WHERE r.run = c.run AND r.step < (SELECT min(step)
	FROM gepa.rollouts o WHERE o.run = c.run AND o.candidate = 1)) FROM gepa.candidates c WHERE run = $undisturbed AND candidate = 1
SQL
$run = fresh_run();
bring_to($run, $before + 10, $reflections);
is(run_value($node, $run, 'best_candidate'), 0, 'a child is under validation');
$node->stop('immediate');
$node->start;
ok(wait_back($in_flight), 'after a restart of the server the run goes on');
finish_run($run, 1, 'server');

# The endpoint: gone, and back at another place.
$run = fresh_run();
bring_to($run, 5);
my $paid = judge_calls($mock) - $in_flight;
$mock->kill;
$mock = Gepa::Mock->new;
my $url = $mock->url;
value($node, "ALTER SERVER judge OPTIONS (SET base_url '$url'); ALTER SERVER writer OPTIONS (SET base_url '$url')");
ok(wait_back($in_flight), 'a run follows its endpoint to another place');
finish_run($run, 1, 'endpoint');
cmp_ok($paid + judge_calls($mock), '<=', run_value($node, $run, 'rollouts') + $in_flight,
	'... both places together');

done_testing();
