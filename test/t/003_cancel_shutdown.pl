# Whatever sessions and workers wait for, a fast shutdown and an immediate one end them,
# and the server comes back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use Gepa::Waits;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $mock = Gepa::Mock->new;
my $waits = Gepa::Waits->new($mock);
my $node = gepa_node('main', conf => "gepa.verdict_ring_size = '256kB'\nmax_worker_processes = 32\ngepa.max_run_workers = 16\n");
my @workers = ('gepa launcher', 'gepa run worker', 'gepa verdict writer');
my $mine = "SELECT pid FROM pg_stat_activity WHERE backend_type IN (" . join(', ', map { "'$_'" } @workers) . ')';

$waits->prepare($node);

# Runs whose workers wait in the same ways, on LMs of their own.
my @of_runs = grep { !/request to be read|next attempt/ } $waits->network;
my %runs = map {
	$_ => start_run($node, reflection_lm => undef, budget => 100, options => '{"task_lm": "' . $waits->another_lm($node, $_) . '"}') } @of_runs;

for my $mode (qw(fast immediate))
{
	my $message = $mode eq 'fast' ? 'FATAL:  57P01: terminating connection due to administrator command' :
	  'WARNING:  57P01: terminating connection due to immediate shutdown command';

	for my $name (@of_runs)
	{
		wait_sql($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'gepa run $runs{$name}' AND wait_event_type = 'Extension'",
			"a run worker that waits for $name");
	}
	my $sessions = $waits->begin($node);
	my @pids = ((map { $_->{pid} } values %$sessions), split /\n/, value($node, $mine));
	is(value($node, "SELECT count(DISTINCT backend_type) FROM ($mine) m JOIN pg_stat_activity USING (pid)"), 3, 'all kinds of workers are there');

	# pg_ctl has to start, too
	my $log = '';
	my $begin = time;
	my $stop = IPC::Run::start([ 'pg_ctl', '-D', $node->data_dir, '-m', $mode, '-w', 'stop' ], '>&', \$log);
	my %left = map { $_ => $sessions->{$_}{pid} } $waits->names;
	until_true(sub {
			$waits->took("$mode shutdown", $_, time - $begin), delete $left{$_} for grep { !-e "/proc/$left{$_}" } keys %left;
			return !%left;
	}, 'processes that end', 1000);
	like((finish($sessions->{$_}))[1], qr/$message/, "$mode shutdown ends waiting for $_") for $waits->names;
	is($waits->left($_, $sessions->{$_}, all => 1), '', "nothing is left of waiting for $_") for grep { !/asked/ } $waits->names;
	$waits->release;
	ok($stop->finish, 'the server ends') or diag($log);
	is(join(' ', grep { -e "/proc/$_" } @pids), '', '... with all its processes');
	$node->_update_pid(0);
	$node->start;
	is(value($node, $waits->good), 't', '... and comes back as good as new');
}

for my $run (values %runs)
{
	value($node, "SELECT gepa.stop($run)");
	is(wait_run($node, $run), 'stopped', 'a run that was waiting can be stopped');
}

$waits->say_slowest;
done_testing();
