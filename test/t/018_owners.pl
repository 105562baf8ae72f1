# What is done to a run's owner, its database and its judge while it is at
# work: it goes on, or it ends with a reason.

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
my $start = "SELECT gepa.start('c', 'c', 'writer', 150)";
my $end_workers = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'gepa run worker'";

prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { rows => 80 }, lm => { max_concurrency => 4 });
value($node, <<'SQL');
CREATE ROLE heir;
CREATE ROLE curator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO curator;
GRANT USAGE ON FOREIGN SERVER judge, writer TO curator;
GRANT SELECT ON labels TO curator;
SET ROLE curator;
SELECT gepa.create_judge('c', lm => 'judge', prompt => 'Is it?');
SELECT gepa.create_dataset('c', source => 'labels', key => 'id', inputs => '{body}', label => 'keep');
SQL

# A run of the curator's with four calls at the gate.
sub held_run
{
	$mock->gate(open => 0);
	my $run = value($node, "SET ROLE curator; $start");
	$mock->wait_for(sub { $_->{waiting} == 4 }, 'four at the gate') or BAIL_OUT('no run');
	return $run;
}

# The owner's things go to somebody else, but the run is no such thing.
my $run = held_run();
value($node, 'REASSIGN OWNED BY curator TO heir');
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', 'REASSIGN OWNED does not disturb a run');
is(run_value($node, $run, 'owner'), 'curator', '... which stays its owner\'s');

# Its database becomes a template and lets nobody in: who is in goes on.
$run = held_run();
value($node, 'ALTER DATABASE postgres IS_TEMPLATE true ALLOW_CONNECTIONS false', db => 'template1');
$mock->reset;
$mock->gate(open => 1);
ok($node->poll_query_until('template1', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa run worker'"),
	'a database that closes does not hold up its run');
value($node, 'ALTER DATABASE postgres ALLOW_CONNECTIONS true', db => 'template1');
is(run_value($node, $run, 'status'), 'finished', '... which has ended');
$run = held_run();
value($node, $end_workers);
$mock->wait_for(sub { $_->{waiting} == 4 }, 'the next worker');
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', 'in a template a run goes on with the next worker');
value($node, 'ALTER DATABASE postgres IS_TEMPLATE false');

# The owner is dropped: while the worker works, and before the next one comes.
my $drop = 'DROP OWNED BY curator; DROP ROLE curator';
$run = held_run();
value($node, $drop);
$mock->gate(open => 1);
is(wait_run($node, $run), 'failed', 'a run whose owner is dropped while it works fails');
like(run_value($node, $run, 'reason'), qr/^permission denied for LM "(judge|writer)"/, '... and says why');
value($node, "SELECT gepa.resume($run)");
is(wait_run($node, $run), 'failed', '... as it does when resumed');
is(run_value($node, $run, 'reason'), 'the role that owned the run was dropped', '... with the reason');
is(value($node, "SELECT gepa.deploy($run, 0)"), 1, 'a superuser can still deploy from it');
value($node, q(SELECT gepa.drop_judge('c')));
is(value($node, "SELECT count(*) FROM gepa.runs WHERE run = $run"), 0, '... and drop its judge');

# Two sessions deploy at a time: one waits for the other, each gets what it
# asked for, and the last one's is current.
my ($one, $two) = map { start_run($node, seed => $_) } 1, 2;
is(join(' ', map { wait_run($node, $_) } $one, $two), 'finished finished', 'two runs of one judge');
for my $end ('COMMIT', 'ROLLBACK')
{
	my $first = background($node, "BEGIN; SELECT gepa.deploy($one, 0);");
	wait_sql($node, "SELECT state = 'idle in transaction' FROM pg_stat_activity WHERE pid = $first->{pid}", 'the first');
	my $second = background($node, "SELECT gepa.deploy($two, force => true);");
	wait_sql($node, "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $second->{pid}", 'the second');
	my $current = value($node, "SELECT version FROM gepa.judge_versions WHERE judge = 'j' AND current");
	$first->{in} .= "$end;\n";
	finish($first);
	my ($version, $err) = finish($second);
	is($err, '', "after $end of one deploy the other goes on");
	chomp $version;
	isnt($version, $current, '... to another version');
	is(value($node, "SELECT version || ' ' || run FROM gepa.judge_versions WHERE judge = 'j' AND current"), "$version $two",
		'... which is current');
	value($node, "SELECT gepa.deploy($one, 0)");
}

done_testing();
