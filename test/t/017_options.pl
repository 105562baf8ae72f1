# Options of a run in 'reference' mode that change what is asked for, or when it ends.

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

prepare_tuning($node, $mock, world => { rows => 100 }, split => 'part', lm => { input_price => 1, output_price => 1 });

# Run it to the end and return columns of its row.
sub tuned
{
	my ($options, $columns, %more) = @_;
	my $run = start_run($node, budget => 2000, options => reference_mode($options), %more);

	wait_run($node, $run);
	is(value($node, "SELECT difference FROM gepa.replay($run)"), '', "$options: its replay is the same");
	return ($run, run_value($node, $run, $columns));
}

# Frontiers by label: one key for each, or with every sample.
my ($run, $got) = tuned('{"frontier_type": "objective", "max_proposals": 4}', 'reason');
is(value($node, "SELECT string_agg(key, ' ' ORDER BY key) FROM gepa.frontier WHERE run = $run"), 'false true', 'objectives are the labels');
is( value($node, <<SQL), 't', '... with the best mean of the samples that have it');
	SELECT bool_and(f.score = b.best) FROM gepa.frontier f JOIN (
		SELECT label, max(mean) AS best FROM (
			SELECT s.label, c.candidate, avg(o.score) AS mean
			FROM gepa.candidates c JOIN gepa.rollouts o ON o.run = c.run AND o.candidate = c.candidate AND o.split = 'val'
				JOIN gepa.samples s ON s.run = o.run AND s.sample = o.sample
			WHERE c.run = $run GROUP BY 1, 2) m GROUP BY label) b ON b.label = f.key WHERE f.run = $run
SQL
($run) = tuned('{"frontier_type": "hybrid", "max_proposals": 2}', 'reason');
is(value($node, "SELECT count(*) FROM gepa.frontier WHERE run = $run"), 25 + 2, 'hybrid: samples and labels');
($run) = tuned('{"frontier_type": "cartesian", "max_proposals": 2}', 'reason');
is(value($node, "SELECT count(*) FROM gepa.frontier f JOIN gepa.samples s ON s.run = f.run AND s.split = 'val' AND f.key = s.sample || '|' || s.label WHERE f.run = $run"),
	25, 'cartesian: each sample with its label');

# Limits that only the worker knows of: reserved before a call is sent.
is((tuned('{"max_calls": 50}', 'reason, calls'))[1], 'max_calls|50', 'max_calls: so many requests, and no more');
is((tuned('{"max_tokens": 20000}', 'reason, input_tokens + output_tokens BETWEEN 10000 AND 20000'))[1], 'max_tokens|t', 'max_tokens');
is((tuned('{"max_cost": 0.01}', 'reason, cost BETWEEN 0.005 AND 0.01'))[1], 'max_cost|t', 'max_cost');
is((tuned('{"max_seconds": 0}', 'reason, iteration'))[1], 'max_seconds|0', 'max_seconds ends it between iterations');
is((tuned('{"max_tokens": 1, "max_proposals": 2, "stop_on_all": true, "hard_budget": false}', 'reason, iteration >= 2, rollouts >= 2000'))[1],
	'budget|t|t', 'stop_on_all: when all conditions hold');

# A day's budget of the judge: the run fails, and goes on when there is more.
is(value($node, 'SELECT (SELECT sum(calls) FROM gepa.spend) = (SELECT sum(calls) FROM gepa.runs)'), 't', 'what runs send is booked');
value($node, "SELECT gepa.set_budget('j', calls => (SELECT sum(calls) + 30 FROM gepa.spend)::bigint)");
my $poor = start_run($node, options => reference_mode());
is(wait_run($node, $poor), 'failed', 'a run whose judge has no budget left fails');
like(run_value($node, $poor, 'reason'), qr/The budget of judge "j" is \d+ calls a day, .* SELECT gepa.resume\($poor\)/, '... and says so');
is(run_value($node, $poor, 'calls'), 30, '... with all of it used');
value($node, "SELECT gepa.set_budget('j'), gepa.resume($poor)");
is(wait_run($node, $poor), 'finished', '... and goes on without the limit');

# Time that a run is stopped does not count.
my $slow = start_run($node, budget => 2000, options => reference_mode('{"max_seconds": 3600}'));
value($node, "SELECT gepa.stop($slow)");
wait_run($node, $slow);
value($node, "UPDATE gepa.run SET started_at = started_at - interval '2 hours', finished_at = finished_at - interval '2 hours' WHERE run = $slow; SELECT gepa.resume($slow)");
is(wait_run($node, $slow), 'finished', 'resumed later');
isnt(run_value($node, $slow, 'reason'), 'max_seconds', '... it has not used up its time');

# Validation on a part of the samples.
my @keys = split /\n/, value($node, "SELECT sample FROM gepa.samples WHERE run = $run AND split = 'val' ORDER BY sample LIMIT 8");
my $list = join ', ', map { "\"$_\"" } @keys;
($run) = tuned(qq({"validate": [$list], "max_proposals": 3}), 'reason');
is(value($node, "SELECT string_agg(DISTINCT sample, ' ' ORDER BY sample) FROM gepa.rollouts WHERE run = $run AND split = 'val'"),
	join(' ', sort @keys), 'only the samples named are validated on');
is(value($node, "SELECT count(*) FROM gepa.frontier WHERE run = $run"), 8, '... and are the frontier');

# One set for both, and what is known of a text is not asked again.
$mock->reset;
($run, $got) = tuned('{"shared_sets": true, "max_proposals": 3}', 'rollouts');
my $calls = judge_calls($mock);
is(value($node, "SELECT count(*) FROM gepa.samples a JOIN gepa.samples b ON b.run = a.run AND b.sample = a.sample AND b.split = 'val' WHERE a.run = $run AND a.split = 'train'"),
	75, 'shared sets: every sample but the test ones is in both');
$mock->reset;
my (undef, $cached) = tuned('{"shared_sets": true, "cache": true, "max_proposals": 3}', 'rollouts');
cmp_ok($cached, '<', $got, 'with the cache fewer rollouts are needed');
cmp_ok(judge_calls($mock), '<', $calls, '... and fewer calls made');

# A sample that a minibatch holds twice is asked once, or twice. 50 train samples, 7 at a time: the last chunk is padded.
$mock->reset;
($run) = tuned('{"minibatch_size": 7, "max_proposals": 8, "skip_perfect": false}', 'rollouts');
my $rollouts = value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run");
cmp_ok(judge_calls($mock), '<', $rollouts, 'twins in a minibatch are one call');
$mock->reset;
($run) = tuned('{"minibatch_size": 7, "max_proposals": 8, "skip_perfect": false, "reuse_rollouts": false}', 'rollouts');
is(judge_calls($mock), value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run"), '... unless reuse_rollouts is off');

# What a run shows of itself.
is(value($node, "SELECT line FROM gepa.lineage($run) WITH ORDINALITY l(line, n) WHERE n = 1") =~ /^0  \d\.\d{4}  seed/, 1, 'the lineage begins with the seed');
is(value($node, "SELECT count(*) FROM gepa.lineage($run)"), value($node, "SELECT count(*) FROM gepa.candidates WHERE run = $run"), '... and has all candidates');
is(value($node, "SELECT count(*) FROM gepa.lineage($run) l WHERE l LIKE '%*'"), 1, '... one of them the best');
like(value($node, "SELECT diff FROM gepa.prompt_diff($run, 0, 1)"), qr/^\Q$Gepa::Run::prompt\E\{\+\nRULE: .*\+\}$/s, 'and how prompts differ');

# Who listens hears of candidates and of the end.
my ($heard) = outcome($node, "LISTEN gepa; SELECT gepa.optimize('j', 'labels', 'writer', 200, options => '" . reference_mode() . "'); SELECT 1;");
my @events = $heard =~ /notification "gepa" with payload "(\{.*?\})"/g;
is($events[-1], qq({"run": ${\ ($run + 1)}, "event": "finished"}), 'the end of a run is notified');
is(scalar(@events), 1 + value($node, "SELECT count(*) FROM gepa.candidates WHERE run = $run + 1"), '... and each candidate');
like($events[0], qr/"event": "candidate", "candidate": 0, "score": 0\.\d+\}/, '... with its score');

# A ranking is the area under the curve of each step, whatever the threshold.
create_lm($node, 'scored', $mock, 'judge-rules+skew', logprobs => 'true');
my $ranked = start_run($node, budget => 200, options => reference_mode('{"metric": "ranking", "task_lm": "scored"}'));
is(wait_run($node, $ranked), 'finished', 'a run by metric ranking');
is( value($node, "WITH o AS (SELECT step, o.label, s.label = 'true' AS expected, score, judge_score AS p FROM gepa.rollout o
		JOIN gepa.sample s USING (run, split, sample) WHERE run = $ranked AND split = 'val')
	SELECT count(*) > 1, bool_and(abs(mean - area) < 1e-9), count(DISTINCT area) > 1 FROM (SELECT step, avg(score) AS mean,
		(SELECT avg((a.p > b.p)::int + 0.5 * (a.p = b.p)::int) FROM o a, o b WHERE a.step = o.step AND b.step = o.step AND a.expected AND NOT b.expected) AS area
		FROM o GROUP BY step) areas"),
	't|t|t', '... scores are the area under the curve');
is(value($node, "SELECT difference FROM gepa.replay($ranked)"), '', '... and replayed without a difference');

# Refusals that need a split to be seen.
for my $case (
	[ '{"validate": ["nope"]}', qr/22023: run option "validate" names "nope"/ ],
	[ '{"shared_sets": true, "examples": true}', qr/22023: run option "shared_sets" cannot be combined/ ],
	[ '{"metric": "ranking", "merge": true}', qr/22023: run option "metric" "ranking" cannot be combined with "merge"/ ],
	[ '{"parallel_proposals": 80}', qr/22023: a budget of 2000 rollouts is too small/ ])
{
	my ($out, $err) = outcome($node, "SELECT gepa.start('j', 'labels', 'writer', 2000, options => '" . reference_mode($case->[0]) . "')");
	like($err, $case->[1], "$case->[0] is refused");
}

done_testing();
