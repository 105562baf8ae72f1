# Several proposals at a time in 'reference' mode: rollouts go on while reflections are under way,
# whatever order the answers come in the run is the same, and a replay of its
# record says so.

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
my $options = reference_mode('{"parallel_proposals": 3, "proposals_per_parent": 2, "proposal_selection": "top_k", "proposal_top_k": 2, "skip_perfect": false, "max_proposals": 3, "merge": true, "examples": true}');

prepare_tuning($node, $mock, model => 'judge-rules+slow-10', writer => 'reflector+gate', world => { rows => 100 }, lm => { max_concurrency => 4 });

# The instruction's turn: six reflections at a time, children as they come in.
my $run = start_run($node, budget => 2000, options => $options =~ s/, "examples": true//r);
ok($mock->wait_for(sub { $_->{waiting} == 6 }, 'six reflections'), 'all reflections of an iteration are asked for at a time');
my $before = judge_calls($mock);
wait_sql($node, "SELECT count(*) = $before FROM gepa.rollouts WHERE run = $run", 'all rollouts recorded');
is( value($node, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gepa run $run' AND xact_start IS NULL AND backend_xmin IS NULL"),
	1, '... with no transaction open');
like(value($node, "SELECT query FROM pg_stat_activity WHERE application_name = 'gepa run $run'"), qr/reflecting; 6 steps at work/, '... which pg_stat_activity shows');
$mock->gate(pass => 1);
ok($mock->wait_for(sub { judge_calls($mock) > $before && $_->{waiting} == 5 }, 'a child is run'),
	'a child is run while other reflections are under way');
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', 'the run ends');
is(value($node, "SELECT difference IS NULL AND steps > 20 FROM gepa.replay($run)"), 't', 'its replay is the same run');
is(value($node, "SELECT count(*) FROM gepa.replay($run) r, gepa.candidates c WHERE c.run = $run AND r.candidates > c.candidate"),
	value($node, "SELECT count(*) FROM gepa.candidates WHERE run = $run"), '... with as many candidates');
cmp_ok(value($node, "SELECT max(n) FROM (SELECT count(*) AS n FROM gepa.candidates WHERE run = $run AND candidate > 0 GROUP BY iteration) i"),
	'<=', 2, 'of the proposals of an iteration two are kept at most');
is($mock->journal->{by_model}{'judge-rules+slow-10'}{peak}, 4, 'the limit of the LM holds for all steps together');

# Answers in another order, the same decisions.
my $expected = run_facts($node, $run);
$mock->gate(open => 0);
my $other = start_run($node, budget => 2000, options => $options =~ s/, "examples": true//r);
ok($mock->wait_for(sub { $_->{waiting} == 6 }, 'six reflections'), 'another run of the seed');
$mock->gate(pass => $_) for (1, 2);
$mock->gate(open => 1);
wait_run($node, $other);
same_facts(run_facts($node, $other), $expected, 'comes out the same');

# With a component that needs no reflection among them.
$run = start_run($node, budget => 2000, options => $options);
is(wait_run($node, $run), 'finished', 'examples and instruction in one run');
is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... replayed without a difference');

# A worker killed in the middle finds the steps again that were asked for.
$mock->gate(open => 0);
my $killed = start_run($node, budget => 2000, options => $options =~ s/, "examples": true//r);
ok($mock->wait_for(sub { $_->{waiting} == 6 }, 'six reflections'), 'six reflections wait');
$mock->gate(pass => 2);
my $pid = value($node, "SELECT pid FROM pg_stat_activity WHERE application_name = 'gepa run $killed'");
wait_sql($node, "SELECT count(*) >= 1 FROM gepa.reflections WHERE run = $killed", 'a reflection recorded');
value($node, "SELECT pg_terminate_backend($pid)");
$mock->gate(open => 1);
is(wait_run($node, $killed), 'finished', 'and the run goes on');
same_facts(run_facts($node, $killed), $expected, '... as if nothing had been');

# A damaged record is found out.
my $front = value($node, "SELECT candidates FROM gepa.front WHERE run = $run AND ordinal = 0");
value($node, "UPDATE gepa.front SET candidates = '{99}' WHERE run = $run AND ordinal = 0");
like(value($node, "SELECT difference FROM gepa.replay($run)"), qr/frontier is recorded with others at key/, 'a changed frontier is found');
value($node, "UPDATE gepa.front SET candidates = '$front' WHERE run = $run AND ordinal = 0");
is(value($node, "SELECT difference FROM gepa.replay($run)"), '', '... until it is as it was');
value($node, "UPDATE gepa.rollout SET score = 1 - score WHERE run = $run AND step = 0");
like(value($node, "SELECT difference FROM gepa.replay($run)"), qr/^(at journal entry \d+ the engine asks|proposal \d+ is recorded with other)/,
	'and so are changed scores');

done_testing();
