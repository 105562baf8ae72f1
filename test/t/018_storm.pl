# Runs that nothing kills: at random moments something dies, again and again,
# and every run comes to the very end that it has when left alone.
#
# GEPA_STORM_KILLS says how many disturbances there are (script/test --long:
# 200), half of them in each mode; GEPA_STORM_SEED draws them; what was drawn is
# printed.

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
use Time::HiRes qw(usleep);

my $kills = $ENV{GEPA_STORM_KILLS} || 25;
my $seed = $ENV{GEPA_STORM_SEED} || int(rand(1_000_000));
note("GEPA_STORM_SEED=$seed GEPA_STORM_KILLS=$kills");
srand($seed);

# What a disturbance may cost.  Four calls are under way at a time, and each
# takes 20 ms at least.  What came in is committed when the worker looks after
# 50 ms, so that each of the four brings four answers at most: at the start, at
# 20 and 40 ms, and before it looks.  With the four under way that is 20.
my $loss = 4 * 4 + 4;
my $model = 'judge-rules+slow-20';
my %options = (
	reference => reference_mode('{"merge": true, "examples": true, "max_examples": 4, "parallel_proposals": 2, "proposals_per_parent": 2, "task_lm": "%s"}'),
	default => '{"examples": true, "max_examples": 4, "task_lm": "%s"}');

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "restart_after_crash = on\n");
my $elsewhere = 0;    # answers of mocks that are gone
my $waiter;           # a session that waits for the run
prepare_tuning($node, $mock, writer => 'reflector', world => { rows => 160, features => 12 }, lm => { max_concurrency => 4 });
create_lm($node, 'slow', $mock, $model, max_concurrency => 4);

sub answers { return $mock->journal->{by_model}{ $_[0] }{answered} // 0; }

sub paid { return $elsewhere + answers($model); }

sub ended { return run_value($node, $_[0], 'finished_at IS NOT NULL') eq 't'; }

# Until so many more answers were given; false when the run has ended before.
sub let_pass
{
	my ($run, $more) = @_;
	my $target = paid() + $more;

	for (my $i = 1; paid() < $target; $i++)
	{
		return 0 if $i % 50 == 0 && ended($run);
		usleep(1000);
	}
	return !ended($run);
}

# SIGKILL, and the server up again.
sub kill_9
{
	my ($pid) = @_;

	kill(KILL => $pid) or return 0;
	# the crash has been noticed when the process that was killed is gone
	usleep(1000) while kill(0, $pid);
	return $node->poll_query_until('postgres', 'SELECT true');
}

sub kill_type
{
	my ($run, $type) = @_;
	my $pid;

	until ($pid = value($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'"))
	{
		return 0 if ended($run);
	}
	return kill_9($pid);
}

# Somebody waits for the run, in gepa.optimize() if that has not been ended.
sub wait_for_run
{
	my ($run) = @_;

	return if $waiter && $waiter->{run}->pumpable && kill(0, $waiter->{pid});
	finish($waiter) if $waiter;
	$waiter = background($node, "SELECT gepa.wait($run);");
	return wait_sql($node, "SELECT query LIKE '%gepa.wait%' FROM pg_stat_activity WHERE pid = $waiter->{pid}", 'the waiter');
}

# How often each, of 20; the endpoint that moves takes seconds to be given up.
my %disturbance = (
	worker => [ 6, sub { kill_type($_[0], 'gepa run worker') } ],
	launcher => [ 3, sub { kill_type($_[0], 'gepa launcher') } ],
	server => [ 4, sub { $node->stop('immediate'); $node->start; 1 } ],
	waiter => [
		3,
		sub {
			wait_for_run($_[0]);
			return kill_9($waiter->{pid});
		} ],
	endpoint => [ 3, sub { $elsewhere = paid(); $mock->restart; 1 } ],
	moved => [
		1,
		sub {
			$elsewhere = paid();
			$mock->kill;
			$mock = Gepa::Mock->new;
			my $url = $mock->url;
			value($node, "ALTER SERVER $_ OPTIONS (SET base_url '$url')") for qw(judge slow writer);
			return 1;
		} ]);
my @drawn = map { ($_) x $disturbance{$_}[0] } sort keys %disturbance;
my %count = map { $_ => 0 } keys %disturbance;

# A run alone, at once; then the same slowly, through the storm, of which so much is
# left.  How many disturbances there were.
sub storm
{
	my ($mode, $seed_of_run, $left) = @_;
	my %same = (budget => 900, seed => $seed_of_run);
	my $calls = answers('judge-rules');
	my $alone = start_run($node, %same, options => sprintf($options{$mode}, 'judge'));
	BAIL_OUT('an undisturbed run does not end') if wait_run($node, $alone) ne 'finished';
	$calls = answers('judge-rules') - $calls;

	my ($before, $disturbed, $run) = (paid(), 0, $alone + 1);
	my $slowly = sprintf($options{$mode}, 'slow');
	$waiter = background($node, "SELECT gepa.optimize('j', 'labels', 'writer', $same{budget}, $same{seed}, '$slowly');");
	wait_sql($node, "SELECT EXISTS (SELECT FROM gepa.runs WHERE run = $run)", 'the run');
	while ($disturbed < $left && let_pass($run, 1 + int(rand(60))))
	{
		my $what = $drawn[ rand @drawn ];
		next unless $disturbance{$what}[1]->($run);
		$count{$what}++;
		$disturbed++;
	}
	is(wait_run($node, $run), 'finished', "$mode mode: run $run ends after $disturbed disturbances");
	finish($waiter);
	undef $waiter;
	same_facts(run_facts($node, $run), run_facts($node, $alone), '... like the undisturbed one');
	is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... and as its replay');
	my $more = paid() - $before - $calls;
	cmp_ok($more, '<=', $disturbed * $loss, "... and $more of $calls answers were paid for once more");
	is(run_flaws($node, $run), '', '... and leaves no row half written');
	note(value($node, "SELECT count(*) FROM gepa.proposals WHERE run = $run AND cardinality(parents) = 2") . ' have two parents');
	return $disturbed;
}

for my $mode (sort keys %options)
{
	my $left = int($kills / 2);

	for (my $n = 1; $left > 0; $n++)
	{
		$left -= storm($mode, $seed + $n, $left);
	}
}
note('disturbances: ' . join(', ', map { "$_ $count{$_}" } sort keys %count));

done_testing();
