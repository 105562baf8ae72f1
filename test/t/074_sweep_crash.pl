# A sweep that is killed, cancelled or stopped loses nothing of what was paid,
# and goes on when it is asked for again, or by itself.

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

$mock->gate(open => 1);
prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { rows => 100 }, lm => { max_concurrency => 4 });
create_lm($node, 'other', $mock, 'judge-fixed-true+gate', max_concurrency => 4);

# Runs that only validate their seed: as many calls as there are samples to validate on, and then those held out.
my $once = reference_mode('{"stop_at_score": 0, "parallel_runs": %d}');
my @args = ("'j', 'labels', '{judge,other}', 'writer', 150");

sub options { my ($parallel) = @_; return sprintf $once, $parallel; }

# Numbers are left out after a crash.
sub runs_of { my ($sweep) = @_; return split /,/, value($node, "SELECT string_agg(run::text, ',' ORDER BY run) FROM gepa.quality_cost WHERE sweep = $sweep"); }

sub last_sweep { return value($node, 'SELECT max(sweep) FROM gepa.sweep'); }

sub points
{
	my ($sweep, $columns) = @_;
	return value($node, "SELECT string_agg($columns, ', ' ORDER BY run) FROM gepa.quality_cost WHERE sweep = $sweep");
}

# Killed while both runs are at work.
$mock->gate(open => 0);
my $sweep = value($node, "SELECT gepa.start_sweep(@args, seed => 1, options => '" . options(2) . "')");
ok($mock->wait_for(sub { $_->{waiting} == 8 }, 'both runs at the gate'), 'a sweep has two runs at work');
is(value($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'gepa sweep worker'"), 0, '... and needs no worker of its own meanwhile');
my ($nval, $ntest) = split /\|/, value($node, "SELECT count(*) FILTER (WHERE split = 'val'), count(*) FILTER (WHERE split = 'test') FROM gepa.samples WHERE run = 1");
$mock->gate(pass => 8);
ok(wait_sql($node, 'SELECT count(*) >= 8 FROM gepa.rollouts', 'what came in'), '... some of which has come in');
ok($mock->wait_for(sub { $_->{waiting} == 8 }, 'the next at the gate'), '... and more is on the wire');
kill_server($node);
$mock->reset;
$mock->gate(open => 1);
$node->start;
is(value($node, "SELECT gepa.wait_sweep($sweep, '3 minutes')"), 'finished', 'killed it goes on by itself');
is(points($sweep, "lm || ' ' || status || ' ' || run"), 'judge measured 1, other measured 2', '... with the runs it had');
is(value($node, 'SELECT count(*) FROM gepa.runs'), 2, '... and no others');
is(judge_calls($mock), 2 * ($nval + $ntest) - 8, '... and what had come in is not paid again');

# Killed while the winner of the first is measured, before the second has begun.
$mock->gate(open => 0);
value($node, 'DELETE FROM gepa.verdict');
$sweep = value($node, "SELECT gepa.start_sweep(@args, seed => 2, options => '" . options(1) . "')");
$mock->gate(pass => $nval);
my $first = value($node, 'SELECT max(run) FROM gepa.runs');
ok(wait_sql($node, "SELECT status = 'finished' FROM gepa.runs WHERE run = $first", 'the first run'), 'the first run of a sweep ends');
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'its measurement'), '... and is measured, while the next one waits');
is(points($sweep, "lm || ' ' || status"), 'judge measuring, other queued', '... as the points say');
$mock->gate(pass => 8);
ok(wait_sql($node, "SELECT count(*) = 8 FROM gepa.verdict", 'what came in'), '... with some of it come in');
kill_server($node);
$mock->reset;
$mock->gate(open => 1);
$node->start;
is(value($node, "SELECT gepa.wait_sweep($sweep, '3 minutes')"), 'finished', 'killed then it goes on, too');
is(points($sweep, "lm || ' ' || status || ' ' || (run = $first) || ' ' || n"), "judge measured true $ntest, other measured false $ntest", '... with the run it had');
is(judge_calls($mock), $nval + 2 * $ntest - 8, '... and pays for what was not there');

# Cancelled by whoever waits: runs stop, and the same again has them go on.
$mock->gate(open => 0);
$mock->reset;
value($node, 'DELETE FROM gepa.verdict');
my $waiting = background($node, "SELECT * FROM gepa.sweep(@args, seed => 3, options => '" . options(2) . "');");
ok($mock->wait_for(sub { $_->{waiting} == 8 }, 'both runs at the gate'), 'a sweep that is waited for');
value($node, "SELECT pg_cancel_backend($waiting->{pid})");
like((finish($waiting))[1], qr/57014: canceling statement due to user request/, 'cancelled it is given up');
$sweep = last_sweep();
my @runs = runs_of($sweep);
ok(wait_sql($node, "SELECT bool_and(sweep_status = 'stopped' AND status = 'stopped') FROM gepa.quality_cost WHERE sweep = $sweep", 'the stop'), '... with all its points');
$mock->gate(open => 1);
is(value($node, "SELECT string_agg(gepa.wait(run, '1 minute'), ',') FROM gepa.quality_cost WHERE sweep = $sweep"), 'stopped,stopped', '... and its runs');
is( value($node, "SELECT string_agg(lm || ' ' || run || ' ' || status, ', ' ORDER BY run) FROM gepa.sweep(@args, seed => 3, options => '" . options(2) . "')"),
	"judge $runs[0] measured, other $runs[1] measured", 'asked for again it goes on with the same runs');
is(value($node, 'SELECT count(*) FROM gepa.runs'), 6, '... and starts no other');

# Stopped by somebody, while a winner is measured; what is paid stays.
$mock->gate(open => 0);
value($node, 'DELETE FROM gepa.verdict');
$waiting = background($node, "SELECT status, reason FROM gepa.sweep(@args, seed => 4, options => '" . options(1) . "');");
$mock->gate(pass => $nval);
ok(wait_sql($node, "SELECT status = 'finished' FROM gepa.runs ORDER BY run OFFSET 6 LIMIT 1", 'the first run'), 'another one');
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'its measurement'), '... is measuring');
$sweep = last_sweep();
value($node, "SELECT gepa.stop_sweep($sweep)");
my ($out, $err) = finish($waiting);
is($out, "stopped|the sweep was stopped\nstopped|the sweep was stopped\n", 'stopped, it says so to who waits');
like($err, qr/NOTICE:.*sweep $sweep stopped: stopped on request/, '... and why');
like((outcome($node, "SELECT gepa.stop_sweep($sweep)"))[1], qr/NOTICE:.*sweep $sweep has already ended/, '... once');
$mock->gate(open => 1);
is(value($node, "SELECT string_agg(status, ',') FROM gepa.sweep(@args, seed => 4, options => '" . options(1) . "')"), 'measured,measured', 'asked for again it is finished');
is(value($node, 'SELECT count(*) FROM gepa.runs'), 8, '... with the runs it had');

# Whose owner or judge is gone has an end.
value($node, 'CREATE ROLE alice LOGIN; GRANT USAGE ON FOREIGN SERVER judge, other, writer TO alice; GRANT SELECT ON labels TO alice; GRANT CREATE ON SCHEMA public TO alice');
may_call($node, 'alice');
$mock->gate(open => 0);
value($node, "SET SESSION AUTHORIZATION alice; SELECT gepa.create_judge('a', 'judge', 'Is it?'); SELECT gepa.create_dataset('a', 'labels', 'id', '{body}', 'keep');
	SELECT gepa.start_sweep('a', 'a', '{judge}', 'writer', 150)");
$sweep = last_sweep();
ok(wait_sql($node, "SELECT status = 'running' FROM gepa.runs WHERE judge = 'a'", 'the run'), 'a sweep of alice');
value($node, 'REASSIGN OWNED BY alice TO CURRENT_USER; DROP OWNED BY alice; DROP ROLE alice');
value($node, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = $$gepa run worker$$');
$mock->gate(open => 1);
ok(wait_sql($node, "SELECT status = 'failed' AND reason = 'the role that owned the sweep was dropped' FROM gepa.sweep WHERE sweep = $sweep", 'the end'), '... ends with her');
$mock->gate(open => 0);
$sweep = value($node, "SELECT gepa.start_sweep(@args, seed => 6, options => '" . options(1) . "')");
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'its run'), 'a sweep at work');
value($node, "SELECT gepa.drop_judge('j')");
is(value($node, "SELECT (SELECT count(*) FROM gepa.sweep WHERE sweep = $sweep), count(*) FROM gepa.sweep_point WHERE sweep = $sweep"), '0|0', '... goes with its judge');
$mock->gate(open => 1);

done_testing();
