# Whatever is killed in the middle of a run in default mode, and wherever it is stopped, it
# ends as if nothing had been.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Search;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $in_flight = 4;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "restart_after_crash = on\n");
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa run worker'";

prepare_tuning($node, $mock, model => 'judge-rules+gate', writer => 'reflector+gate', world => { features => 12 },
	lm => { max_concurrency => $in_flight });

$mock->gate(open => 1);
my $undisturbed = start_run($node);
is(wait_run($node, $undisturbed), 'finished', 'an undisturbed run');
my $expected = run_facts($node, $undisturbed);
my $rollouts = run_value($node, $undisturbed, 'rollouts');

# Where barriers are: rollouts that were there when something was decided.
my %decided = map { split /\|/ } split /\n/, value($node, "SELECT kind, max(n) FROM gepa.decisions d, LATERAL (SELECT count(*) AS n
	FROM gepa.rollouts o WHERE o.run = d.run AND o.created_at <= d.created_at) o WHERE run = $undisturbed GROUP BY 1");

# Let a new run come so far that so many rollouts are recorded, or more by what is in flight.
sub bring_to
{
	my ($n) = @_;

	$mock->gate(open => 0);
	$mock->reset;
	my $run = start_run($node);
	for (1 .. 2 * $n)
	{
		$mock->wait_for(sub { $_->{waiting} > 0 }, 'something at the gate') or BAIL_OUT("run $run went another way");
		last if value($node, "SELECT count(*) >= $n FROM gepa.rollouts WHERE run = $run") eq 't';
		$mock->gate(pass => 1);
	}
	return $run;
}

# To the end; the same in all, and nothing recorded was paid for twice.
sub finish_run
{
	my ($run, $what) = @_;

	$mock->gate(open => 1);
	is(wait_run($node, $run), 'finished', "$what: the run ends");
	same_facts(run_facts($node, $run), $expected, '... like the undisturbed one');
	is(run_flaws($node, $run) . search_flaws($node, $run), '', '... with whole rows');
	cmp_ok(judge_calls($mock), '<=', $rollouts + 2 * $in_flight, '... and pays only for what was in flight, or had just come in, again');
	is(value($node, "SELECT difference IS NULL FROM gepa.replay($run)"), 't', '... and a replay agrees');
	return;
}

# In the seed's window, in a generation, at the run-off, in the comparison.
my %phases = ('in the window of the seed' => qr/^seed$/, 'in a generation' => qr/^generation \d+$/, 'in the run-off' => qr/^run-off$/,
	'among the held-out samples' => qr/^held out$/);
my %places = ('in the window of the seed' => 5, 'just after the seed was decided on' => $decided{seed},
	'in a generation' => $decided{generation} - 7, 'in the run-off' => $decided{run_off} - 3, 'among the held-out samples' => $rollouts - 5);
for my $place (sort keys %places)
{
	my $run = bring_to($places{$place});

	like(value($node, "SELECT phase FROM gepa.progress WHERE run = $run"), $phases{$place}, "gepa.progress says what is done $place") if $phases{$place};
	kill_process($node, $worker);
	$mock->wait_for(sub { $_->{waiting} > 0 }, 'the next worker');
	finish_run($run, "worker killed $place");
}

my $run = bring_to($decided{generation} - 7);
value($node, "SELECT gepa.stop($run)");
is(wait_run($node, $run), 'stopped', 'a run is stopped in a generation');
is(run_value($node, $run, 'held_out_n'), '', '... and reports no gain');
like(value($node, "SELECT * FROM gepa.replay($run)"), qr/^\d+\|\d+\|$/, '... what it has can be replayed');
value($node, "SELECT gepa.resume($run)");
finish_run($run, 'stop and resume');

$run = bring_to($decided{run_off} - 3);
$node->stop('immediate');
$node->start;
finish_run($run, 'server killed in the run-off');

# A limit that the engine cannot know of ends the search at the next barrier.
$mock->gate(open => 1);
$run = start_run($node, options => '{"max_calls": 60}');
is(wait_run($node, $run), 'finished', 'a run whose calls are used up');
is(run_value($node, $run, 'reason, held_out_n IS NULL'), 'max_calls|t', '... says so, and has no comparison');
is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... and can be replayed');

# A worker that dies while it gives up what is outstanding: the next one goes on with that.
my @given_up = split /\n/, value($node, "SELECT seq FROM gepa.step WHERE run = $run AND detail = 'max_calls' ORDER BY 1");
cmp_ok(scalar @given_up, '>', 1, 'steps were at work when the limit came');
my $tokens = start_run($node, options => '{"max_tokens": 3000}');
is(wait_run($node, $tokens), 'finished', 'a run that has fewer tokens left than a call may take');
my $end = value($node, "SELECT max(seq) + 1 FROM gepa.step WHERE run = $tokens");
for my $case ([ $run, $given_up[0] ], [ $run, $given_up[-1] ], [ $tokens, $end ])
{
	my ($run, $from) = @$case;
	my $facts = run_facts($node, $run);

	value($node, "DELETE FROM gepa.decision d WHERE run = $run AND created_at >= (SELECT observed_at FROM gepa.step s WHERE s.run = d.run AND seq = $from);
		DELETE FROM gepa.step WHERE run = $run AND seq >= $from;
		UPDATE gepa.run SET status = 'failed', reason = 'lost', reflections = (SELECT count(*) FROM gepa.step s WHERE s.run = $run AND kind = 'reflect')
			WHERE run = $run");
	value($node, "SELECT gepa.resume($run)");
	is(wait_run($node, $run), 'finished', "from entry $from: the run ends");
	same_facts(run_facts($node, $run), $facts, '... as before');
}
$run = start_run($node, options => '{"max_calls": 60, "max_proposals": 2, "stop_on_all": true}');
is(wait_run($node, $run), 'finished', 'a run that several conditions end together');
is(run_flaws($node, $run) . value($node, "SELECT difference FROM gepa.replay($run)"), '', '... is whole, and can be replayed');

done_testing();
