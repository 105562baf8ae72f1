# Tuning climbs in 'reference' mode: an instruction learns the hidden rule from feedback,
# within the budget, and the rows say how.  The run's table is destroyed meanwhile.

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

prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { features => 12 }, lm => { max_concurrency => 5 });
value($node, 'CREATE TABLE original AS TABLE labels');

# While the gate holds what the first step has sent.
my $budget = 300;
my $run = start_run($node, budget => $budget, seed => 1, options => reference_mode());
ok($mock->wait_for(sub { $_->{waiting} == 5 }, 'five calls at the gate'), 'rollouts of a step run together');
is( value($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'gepa run worker'"
		  . ' AND xact_start IS NULL AND backend_xmin IS NULL AND backend_xid IS NULL'),
	1, 'no transaction is open meanwhile');
is(value($node, "SELECT phase FROM gepa.progress WHERE run = $run"), 'validating the seed',
	'gepa.progress shows the phase');
value($node, q(UPDATE labels SET body = 'changed', keep = 'false', note = 'changed'; DELETE FROM labels WHERE id % 2 = 0));
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', 'the run ends');
is($mock->journal->{by_model}{'judge-rules+gate'}{peak}, 5, 'never more calls at a time than max_concurrency');

# The budget.
my ($reason, $rollouts, $reflections, $best, $score) = split /\|/, run_value($node, $run,
	'reason, rollouts, reflections, best_candidate, best_score');
is($reason, 'budget', 'the budget ended it');
cmp_ok($rollouts, '<=', $budget, 'which is not overspent');
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run"), $rollouts, 'each rollout has its row');
cmp_ok(judge_calls($mock), '<=', $rollouts, '... and was asked for once at most');
is($mock->journal->{by_model}{reflector}{requests}, $reflections, 'reflections are counted');
is(value($node, "SELECT count(*) FROM gepa.reflections WHERE run = $run"), $reflections,
	'... and have their rows');

# No document of the test split left the database.
my %test = map { $_ => 1 } split /\n/, value($node, "SELECT inputs ->> 'document' FROM gepa.samples WHERE run = $run AND split = 'test'");
my $sent = join "\n", map { map { $_->{content} } @{ $_->{messages} } } $mock->requests;
cmp_ok(scalar keys %test, '>=', 30, 'there are test rows');
is(scalar(grep { index($sent, $_) >= 0 } keys %test), 0, '... and none was sent');

# The rows explain the run although its table is gone.  Each query counts
# what is not as it should be.
my %wrong = (
	'samples are copied' => "SELECT count(*) FROM gepa.samples s FULL JOIN original l ON s.sample = l.id::text
		WHERE (s.inputs ->> 'document', s.label, s.feedback) IS DISTINCT FROM (l.body, l.keep, l.note)",
	'a rollout scores whether the label is right' => "SELECT count(*) FROM gepa.rollouts o JOIN gepa.samples s USING (run, split, sample)
		WHERE o.score <> (o.label = s.label)::int OR o.output ->> 'label' <> o.label OR o.status <> 'ok'",
	'feedback has expected and given label, reasoning and note' => q(
		SELECT count(*) FROM gepa.rollouts o JOIN gepa.samples s USING (run, split, sample) WHERE o.feedback IS DISTINCT FROM
			CASE WHEN o.label = s.label THEN format('Right: the label is "%s".', s.label)
			ELSE format('Wrong: the judge said "%s", the right label is "%s".', o.label, s.label) END
			|| format(' Its reason: %s', o.output ->> 'reasoning')
			|| CASE WHEN s.feedback <> '' THEN E'\nWhat the labeller says: ' || s.feedback ELSE '' END),
	'the reflection prompt has the parent\'s text and rollouts on the minibatch' => "
		SELECT count(*) FROM gepa.proposals p JOIN gepa.candidates k ON k.run = p.run AND k.candidate = p.parents[1]
			JOIN gepa.rollouts c ON c.run = p.run AND c.proposal = p.proposal AND c.step =
				(SELECT min(step) FROM gepa.rollouts f WHERE (f.run, f.proposal) = (p.run, p.proposal))
			JOIN gepa.samples s ON s.run = c.run AND s.sample = c.sample
		WHERE position(k.components ->> p.component IN p.reflection_prompt) = 0
			OR position(s.inputs ->> 'document' IN p.reflection_prompt) = 0
			OR NOT EXISTS (SELECT FROM gepa.rollouts o WHERE o.run = p.run AND o.candidate = k.candidate
				AND o.sample = c.sample AND position(o.feedback IN p.reflection_prompt) > 0)",
	'the answer has the proposed text' => 'SELECT count(*) FROM gepa.proposals WHERE position(text IN answer) = 0 OR component <> $$instruction$$',
	'accepted proposals are candidates, others have a reason' => "
		SELECT count(*) FROM gepa.proposals p LEFT JOIN gepa.candidates k USING (run, candidate)
		WHERE p.accepted IS DISTINCT FROM coalesce(k.components ->> 'instruction' = p.text, false) OR (NOT p.accepted AND reason IS NULL)",
	'a candidate\'s score is its mean on all validation samples' => "
		SELECT count(*) FROM gepa.candidates k WHERE (score, 36::bigint) IS DISTINCT FROM (SELECT (avg(score), count(*))
			FROM gepa.rollouts o WHERE (o.run, o.candidate, o.split) = (k.run, k.candidate, 'val'))",
	'the frontier has the best score of each validation sample and who reaches it' => "
		WITH o AS (SELECT *, max(score) OVER (PARTITION BY sample) AS best FROM gepa.rollouts WHERE candidate IS NOT NULL AND split = 'val'),
			f AS (SELECT sample, best, array_agg(candidate ORDER BY candidate) AS candidates FROM o WHERE score = best GROUP BY 1, 2)
		SELECT count(*) FROM f FULL JOIN gepa.frontier r ON f.sample = r.key WHERE (f.best, f.candidates) IS DISTINCT FROM (r.score, r.candidates)");
is(value($node, $wrong{$_}), 0, $_) for sort keys %wrong;

is(value($node, "SELECT components ->> 'instruction' FROM gepa.candidates WHERE run = $run AND candidate = 0"), $Gepa::Run::prompt,
	'candidate 0 is the seed');
is(value($node, "SELECT max(score) = $score, bool_or(candidate = $best AND score = $score) FROM gepa.candidates WHERE run = $run"), 't|t',
	'the winner has the best score');
is(value($node, "SELECT count(*) FILTER (WHERE accepted) > 1, count(*) FILTER (WHERE NOT accepted) > 0 FROM gepa.proposals WHERE run = $run"), 't|t',
	'some proposals were accepted and some rejected');

# The same seed on the same samples is the same run; another one is not.
value($node, 'TRUNCATE labels; INSERT INTO labels TABLE original');
my ($again, $other) = map { start_run($node, budget => $budget, seed => $_, options => reference_mode()) } 1, 2;
is(wait_run($node, $again) . wait_run($node, $other), 'finishedfinished', 'two further runs');
same_facts(run_facts($node, $again), run_facts($node, $run), 'the same seed gives the same run');
isnt(run_facts($node, $other), run_facts($node, $run), 'another seed gives another one');

# What it was for.
value($node, "SELECT gepa.deploy($run)");
my ($baseline, $tuned) = split /\|/, value($node, "SELECT baseline, tuned FROM gepa.report('j') WHERE metric = 'accuracy'");
cmp_ok($tuned, '>=', $baseline + 0.2, "held-out accuracy rises: $baseline to $tuned");

done_testing();
