# The threshold that gepa.deploy() chooses counts every validation sample once,
# whatever rows a run has of it.  The rows that merge and cache leave are put
# beside those of a finished run: what they are is known then.

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

prepare_tuning($node, $mock, model => 'judge-rules+skew', judge => '{}', lm => { logprobs => 'true', max_concurrency => 8 });
my $run = start_run($node, reflection_lm => undef, budget => 200, options => reference_mode('{"metric": "score", "max_examples": 4}'));
is(wait_run($node, $run), 'finished', 'a run');
my $winner = "FROM gepa.proposal p JOIN gepa.run r USING (run) WHERE p.run = $run AND p.candidate = r.best_candidate";
my $proposal = value($node, "SELECT p.proposal $winner");

sub threshold
{
	value($node, "SELECT gepa.deploy($run)");
	return value($node, 'SELECT threshold FROM gepa.judge_versions WHERE current');
}
my $threshold = threshold();
cmp_ok($threshold, '<', 0.5, 'it is deployed with a threshold of its own');

# Copies of the rows of some validation samples, with another score, at steps
# before all others: what a trial of merge leaves.
my $columns = 'slot, split, sample, status, from_logprobs, input_tokens, output_tokens, cost, latency_ms';
value($node, <<"SQL");
INSERT INTO gepa.rollout (run, step, proposal, label, score, judge_score, $columns)
SELECT o.run, n - 100, o.proposal, s.label, 1, CASE s.label WHEN 'true' THEN 0.001 ELSE 0.999 END, $columns
FROM gepa.rollout o JOIN gepa.sample s USING (run, split, sample), generate_series(1, 9) n
WHERE o.run = $run AND o.proposal = $proposal AND o.split = 'val'
SQL
is(threshold(), $threshold, 'rows of trials change nothing');

# Half of the rows belong to an equal text that came before: what the cache
# leaves of an equal text.
value($node, <<"SQL");
DELETE FROM gepa.rollout WHERE run = $run AND step < 0;
INSERT INTO gepa.proposal (run, proposal, iteration, parents, components, accepted, reason)
SELECT p.run, 1000, p.iteration, p.parents, p.components, false, 'test' $winner;
UPDATE gepa.rollout SET proposal = 1000 WHERE run = $run AND proposal = $proposal AND split = 'val';
SQL
is(threshold(), $threshold, 'rows of an equal text count');

# With shared sets the rows of its minibatches are validation rows too.
value($node, <<"SQL");
UPDATE gepa.rollout SET split = 'train' WHERE run = $run AND proposal = 1000;
UPDATE gepa.run SET options = options || '{"shared_sets": true}' WHERE run = $run;
SQL
is(threshold(), $threshold, '... of minibatches too where the sets are shared');

done_testing();
