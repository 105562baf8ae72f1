# Examples and the threshold: what makes a model useful that knows little and
# leans to one side.  No reflection LM is there at all.

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
value($node, <<'SQL');
-- the examples of every text that runs tried, with the sample each is
CREATE VIEW shown AS
SELECT p.run, p.proposal, p.components ->> 'instruction' AS instruction, e.example, e.place, s.split,
	s.inputs = e.example -> 'document' AND s.label = e.example ->> 'label' AS faithful
FROM gepa.proposal p
	LEFT JOIN LATERAL jsonb_array_elements((p.components ->> 'examples')::jsonb) WITH ORDINALITY AS e(example, place) ON true
	LEFT JOIN gepa.samples s ON s.run = p.run AND s.digest = e.example ->> 'digest';
-- validation scores of the winner, and what each cut is worth; a cut before
-- a score makes it and those above positive
CREATE VIEW cuts AS
WITH v AS (SELECT r.run, (o.output ->> 'score')::float8 AS score, s.label = ANY (w.positive) AS expected
	FROM gepa.runs r JOIN gepa.rollouts o ON o.run = r.run AND o.candidate = r.best_candidate AND o.split = 'val'
		JOIN gepa.samples s ON s.run = o.run AND s.sample = o.sample
		JOIN gepa.judge_versions w ON w.judge = r.judge AND w.version = r.seed_version)
SELECT c.run, c.score AS cut, count(*) FILTER (WHERE v.score >= c.score AND expected) AS tp,
	count(*) FILTER (WHERE v.score >= c.score AND NOT expected) AS fp,
	count(*) FILTER (WHERE expected) AS positives, count(*) FILTER (WHERE NOT expected) AS negatives
FROM (SELECT DISTINCT run, score FROM v) c JOIN v USING (run) GROUP BY 1, 2;
SQL

# Counts, per run, what should not be.
sub none
{
	my ($condition, $name, $run) = @_;
	is(value($node, "SELECT count(*) FROM shown WHERE run = $run AND $condition"), 0, $name);
	return;
}

# Examples only.
my $run = start_run($node, reflection_lm => undef, budget => 400, options => reference_mode('{"metric": "score", "max_examples": 5}'));
is(wait_run($node, $run), 'finished', 'a run without a reflection LM');
is(run_value($node, $run, 'reflections'), 0, 'reflects on nothing');
is($mock->journal->{requests}, judge_calls($mock), '... and calls the judge only');
none("instruction <> '$Gepa::Run::prompt'", 'the instruction stays', $run);
none("example IS NOT NULL AND split IS DISTINCT FROM 'train'", 'no example is a validation or test row', $run);
none('NOT faithful', 'examples are training samples with their labels', $run);
none('place > 5', 'no list is longer than max_examples', $run);
is( value($node, "SELECT max(abs(n)) FROM (SELECT sum(CASE example ->> 'label' WHEN 'true' THEN 1 ELSE -1 END) AS n
	FROM shown WHERE run = $run AND example IS NOT NULL GROUP BY proposal) b"), 1,
		'labels are balanced: counts differ by one at most');
cmp_ok(value($node, "SELECT count(DISTINCT proposal) FROM shown WHERE run = $run"), '>', 4,
	'many lists were tried');
cmp_ok(value($node, "SELECT count(*) FROM gepa.candidates WHERE run = $run"), '>', 2,
	'... and some got into the pool');

# How they are shown: as turns before the document, in order.
my ($last) = reverse $mock->requests;
my @turns = @{ $last->{messages} };
is_deeply([ map { $_->{role} } @turns ], [ 'system', (qw(user assistant)) x ($#turns / 2), 'user' ],
	'examples are earlier turns');
my $examples = join '|', map { ($_->{content} =~ /"label":\s*"(\w+)"/) } grep { $_->{role} eq 'assistant' } @turns;
is( value($node, "SELECT bool_or(labels = '$examples') FROM (SELECT string_agg(example ->> 'label', '|' ORDER BY place) AS labels
	FROM shown WHERE run = $run GROUP BY proposal) l"), 't', '... in the order of the list');

# The threshold.
my $version = value($node, "SELECT gepa.deploy($run)");
my $threshold = value($node, "SELECT threshold FROM gepa.judge_versions WHERE version = $version");
cmp_ok($threshold, '<', 0.5, "a threshold of $threshold was chosen");
my $worth = 'tp::float8 / positives + 1 - fp::float8 / negatives';
is( value($node, "SELECT (SELECT max($worth) FROM cuts WHERE run = $run) =
	(SELECT $worth FROM cuts WHERE run = $run AND cut >= $threshold ORDER BY cut LIMIT 1)"),
	't', 'no other one has a better balanced accuracy on validation');
my $report = value($node, "SELECT tuned FROM gepa.report('j') WHERE metric = 'accuracy'");
my $half = value($node, "SELECT avg(((gepa_score('j', inputs ->> 'document') >= 0.5)::text = label)::int)
	FROM gepa.samples WHERE run = $run AND split = 'test'");
cmp_ok($report, '>', $half + 0.15, "held-out accuracy with it is $report, with 0.5 it would be $half");

# A threshold for a precision.
$run = start_run($node, reflection_lm => undef, budget => 200, options => reference_mode('{"metric": "score", "precision": 0.9}'));
wait_run($node, $run);
$version = value($node, "SELECT gepa.deploy($run)");
$threshold = value($node, "SELECT threshold FROM gepa.judge_versions WHERE version = $version");
my ($precise, $most) = split /\|/, value($node, "SELECT tp >= 0.9 * (tp + fp), tp = (SELECT max(tp) FROM cuts WHERE run = $run AND tp >= 0.9 * (tp + fp))
	FROM cuts WHERE run = $run AND cut >= $threshold ORDER BY cut LIMIT 1");
is($precise, 't', 'with option precision the threshold reaches it on validation');
is($most, 't', '... and keeps as many as it can');

# An ordinal scale with two labels that count as positive, both components.
create_lm($node, 'grader', $mock, 'judge-rules', logprobs => 'true');
load_world($node, 'grades', rows => 200, seed => 4, labels => '1,2,3,4,5', prevalence => 0.2, features => 10);
value($node, q(SELECT gepa.create_judge('grade', lm => 'grader', prompt => 'How good?', labels => '{1,2,3,4,5}', positive => '{4,5}')));
value($node, q(SELECT gepa.create_dataset('grades', source => 'grades', key => 'id', inputs => '{body}', label => 'keep', feedback => 'note')));
$run = start_run($node, judge => 'grade', dataset => 'grades', budget => 500, options => reference_mode('{"examples": true, "max_examples": 7}'));
is(wait_run($node, $run), 'finished', 'a run on an ordinal scale');
is( value($node, "SELECT string_agg(DISTINCT component, ',' ORDER BY component) FROM gepa.proposals WHERE run = $run"),
	'examples,instruction', 'both components are tried');
is(value($node, "SELECT count(*) FROM gepa.rollouts o JOIN gepa.samples s USING (run, split, sample) WHERE run = $run AND score <> (o.label = s.label)::int"),
	0, 'a rollout is right when it has the very label');
none("example IS NOT NULL AND split IS DISTINCT FROM 'train'", 'no example is a validation or test row', $run);
is( value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND (output ->> 'positive')::bool <> ((output ->> 'score')::float8 >= 0.5)"),
	0, 'the side follows the probability of both positive labels');
value($node, "SELECT gepa.deploy($run)");
my ($baseline, $tuned) = split /\|/, value($node, "SELECT baseline, tuned FROM gepa.report('grade') WHERE metric = 'accuracy'");
cmp_ok($tuned, '>', $baseline + 0.1, "held-out accuracy of the side rises: $baseline to $tuned");

done_testing();
