# The default mode: an instruction learns the hidden rule from feedback, every decision stands
# in a row that agrees with the rollouts, and what is reported as gain is measured on samples that
# chose nothing.

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

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

prepare_tuning($node, $mock, world => { rows => 240, features => 12 }, lm => { max_concurrency => 16 });

my $budget = 400;
my $run = start_run($node, budget => $budget, seed => 1);
is(wait_run($node, $run), 'finished', 'a run');
is(run_value($node, $run, "options ->> 'mode'"), 'default', '... in default mode');
is(run_flaws($node, $run), '', 'its rows are whole');
is(search_flaws($node, $run), '', 'its decisions agree with its rollouts');

# What it costs.
my ($rollouts, $reflections, $rounds) = split /\|/, run_value($node, $run, 'rollouts, reflections, rounds');
cmp_ok($rollouts, '<=', $budget, 'the budget holds');
cmp_ok($rollouts, '>', $budget - 24, '... and is used');
is(judge_calls($mock), $rollouts, '... as the endpoint counts it');
cmp_ok($reflections, '<=', $budget / 66, 'one reflection per 66 rollouts at most');
cmp_ok($rounds, '<', $rollouts / 10, "$rounds sequential rounds are far fewer than rollouts");

# Once more.
my $again = start_run($node, budget => $budget, seed => 1);
my $other = start_run($node, budget => $budget, seed => 2);
is(wait_run($node, $again) . wait_run($node, $other), 'finishedfinished', 'two further runs');
same_facts(run_facts($node, $again), run_facts($node, $run), 'the same seed gives the same run');
isnt(run_facts($node, $other), run_facts($node, $run), 'another seed gives another one');

# What it found.
my ($gain, $low) = split /\|/, run_value($node, $run, 'gain, gain_low');
cmp_ok($low, '>', 0, "a certain gain on held-out samples: $gain");
unlike(run_value($node, $run, 'reason'), qr/gain/, '... needs no comment');
is(value($node, "SELECT gepa.deploy($run)"), 2, '... and no force');
my %report = map { my ($metric, @rest) = split /\|/, $_, -1; ($metric => \@rest) } split /\n/, value($node, "SELECT * FROM gepa.report('j')");
cmp_ok($report{accuracy}[4], '>=', $report{accuracy}[1] + 0.2, 'held-out accuracy rises by a fifth');
is(value($node, "SELECT components ->> 'instruction' FROM gepa.candidates WHERE run = $run AND candidate = 0"), $Gepa::Run::prompt, 'candidate 0 is the seed');
is(value($node, "SELECT count(*) FROM gepa.lineage($run) l WHERE l LIKE '%*'"), 1, 'the lineage stars the best');
cmp_ok(value($node, "SELECT count(*) FROM gepa.proposals WHERE run = $run AND accepted AND reflection_prompt IS NULL"), '>', 0, 'some candidates are recombinations');
isnt(value($node, "SELECT diff FROM gepa.prompt_diff($run, 0, " . run_value($node, $run, 'best_candidate') . ')'), '', 'texts can be compared');

# How much of what the winner was chosen by is luck.
my ($chosen, $n) = split /\|/, value($node, "SELECT avg(score), count(*) FROM gepa.rollouts o JOIN gepa.runs r USING (run)
	WHERE run = $run AND o.candidate = r.best_candidate AND o.split <> 'test'");
is($report{search_score}[0], $n, 'the report counts the rollouts that the winner was chosen by');
is(sprintf('%.9f', $report{search_score}[4]), sprintf('%.9f', $chosen), '... with their mean');
is(sprintf('%.9f', $report{winners_curse}[4]), sprintf('%.9f', $chosen - $report{accuracy}[4]), 'the winner\'s curse is what it is too high by');
is(sprintf('%.9f', $report{winners_curse}[5]), sprintf('%.9f', $chosen - $report{accuracy}[4]
		- sqrt(($chosen - $report{search_score}[5])**2 + ($report{accuracy}[6] - $report{accuracy}[4])**2)), '... its interval is made of both intervals');
is(join('', @{ $report{winners_curse} }[ 1 .. 3, 7 ]), '', '... and only of what is tuned');

# The test rows are looked at by the comparison at the end, and by nothing else.
is(value($node, "SELECT count(*) FROM gepa.rollouts o WHERE run = $run AND split = 'test'"), 2 * run_value($node, $run, 'held_out_n'), 'winner and seed are run on test rows');
is(value($node, "SELECT count(*) FROM gepa.rollouts o, (SELECT min(created_at) AS at FROM gepa.decisions WHERE run = $run AND kind = 'held_out') d
	WHERE run = $run AND split = 'test' AND o.created_at > d.at"), 0, '... before they are compared');
is(value($node, "SELECT count(*) FROM gepa.rollouts o, gepa.decisions d WHERE o.run = $run AND d.run = $run AND d.kind = 'run_off'
	AND split = 'test' AND o.created_at < d.created_at"), 0, '... after everything else');

# Over again from the record.
is(value($node, "SELECT difference IS NULL, steps > 10 FROM gepa.replay($run)"), 't|t', 'a replay comes out the same');
value($node, "UPDATE gepa.decision SET leads = leads + 1 WHERE run = $run AND decision = 2");
is(value($node, "SELECT difference FROM gepa.replay($run)"), 'decision 2 is recorded otherwise', '... and compares decisions');
value($node, "UPDATE gepa.decision SET leads = leads - 1 WHERE run = $run AND decision = 2; UPDATE gepa.run SET gain = gain / 2 WHERE run = $run");
is(value($node, "SELECT difference FROM gepa.replay($run)"), 'the figures on held-out samples are recorded otherwise', '... and the gain');

# Without test rows the comparison takes samples from the others, for nothing else.
$run = start_run($node, budget => $budget, options => '{"split": {"train": 0.6, "val": 0.4}}');
is(wait_run($node, $run), 'finished', 'a run without test rows');
is(run_flaws($node, $run) . search_flaws($node, $run), '', '... is as whole');
cmp_ok(run_value($node, $run, 'held_out_n'), '>', 10, '... compares winner and seed');
is(value($node, "SELECT count(*) FROM gepa.decisions d, gepa.decisions h WHERE (d.run, h.run) = ($run, $run) AND h.kind = 'held_out' AND d.kind <> 'held_out'
	AND d.samples && h.samples"), 0, '... on samples that no other decision has seen');
(my $pairs, $gain) = split /\|/, run_value($node, $run, 'held_out_n, gain');
value($node, "SELECT gepa.deploy($run, force => true)");
is(value($node, "SELECT n, round((tuned - baseline)::numeric, 9) FROM gepa.report('j') WHERE metric = 'accuracy'"),
	"$pairs|" . sprintf('%.9f', $gain), '... which the report is on as well');
is(value($node, "SELECT s.n, c.n, round((s.tuned - a.tuned - c.tuned)::numeric, 9) FROM gepa.report('j') s, gepa.report('j') a, gepa.report('j') c
	WHERE (s.metric, a.metric, c.metric) = ('search_score', 'accuracy', 'winners_curse')"), value($node, "SELECT count(*), $pairs, 0.000000000 FROM gepa.rollouts o
	JOIN gepa.runs r USING (run) WHERE run = $run AND candidate = best_candidate AND sample NOT IN
		(SELECT unnest(samples) FROM gepa.decisions WHERE run = $run AND kind = 'held_out')"), '... with the winner\'s curse');

# Reflecting while evaluating saves waiting for the reflections.
$other = start_run($node, budget => $budget, seed => 1, options => '{"pipelined": true, "reflections_per_round": 3}');
is(wait_run($node, $other), 'finished', 'a pipelined run');
is(run_flaws($node, $other) . search_flaws($node, $other), '', '... is as whole');
cmp_ok(run_value($node, $other, 'rounds::float8 / iteration'), '<', run_value($node, $again, 'rounds::float8 / iteration'), '... and takes fewer rounds for each generation');

done_testing();
