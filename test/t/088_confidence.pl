# How sure a judge is, and how much it thinks: metric "confidence" in a run, options effort and
# thinking_budget in each dialect, and thinking that is kept apart from reasons.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

# Metric confidence, with log-probabilities.
prepare_tuning($node, $mock, lm => { logprobs => 'true', max_concurrency => 8 }, world => { rows => 60 });
my $run = start_run($node, budget => 120,
	options => reference_mode('{"metric": "confidence", "frontier_type": "hybrid", "max_proposals": 3}'));
is(wait_run($node, $run), 'finished', 'a run with metric confidence');
is(value($node, "SELECT options -> 'confidence' FROM gepa.runs WHERE run = $run"),
	'{"low": 0.9, "high": 0.99, "blend": "linear", "floor": 0.3, "threshold": 0.99}', 'its blend is part of its options');
is(value($node, <<"SQL"), 0, 'each rollout scores by whether it is right, and how sure');
SELECT count(*) FROM gepa.rollouts WHERE run = $run AND status = 'ok' AND abs(score -
	CASE WHEN objectives ->> 'accuracy' = '0' THEN 0 ELSE 0.3 + 0.7 * least((objectives ->> 'probability')::float8 / 0.99, 1) END) > 1e-9
SQL
is(value($node, "SELECT count(*) FILTER (WHERE objectives ->> 'accuracy' = '1') > 0, count(*) FILTER (WHERE objectives ->> 'accuracy' = '0') > 0,"
		. " min((objectives ->> 'probability')::float8) > 0 FROM gepa.rollouts WHERE run = $run"),
	't|t|t', 'right and wrong ones, with a probability');
is(value($node, "SELECT string_agg(DISTINCT key, ',' ORDER BY key) FROM gepa.frontier WHERE run = $run AND key !~ '^[0-9]'") =~ s/[^a-z,]//gr =~ s/objective//gr,
	'accuracy,probability', 'both are objectives of the frontier');
cmp_ok(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND feedback LIKE 'Right, but unsure:%'"), '>', 0,
	'feedback tells lucky answers');
is(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $run AND (feedback LIKE 'Right%') <> (objectives ->> 'accuracy' = '1')"), 0,
	'and right from wrong');
cmp_ok(value($node, "SELECT count(*) FROM gepa.report('j') WHERE metric = 'search_score'"), '<=', 1, 'a report knows the metric');

# A mistake that it is sure of.
my $sure = judge_on($node, $mock, 'judge-fixed-true', logprobs => 'true');
my $other = start_run($node, judge => $sure, reflection_lm => 'writer', budget => 40,
	options => '{"metric": "confidence", "confidence": {"blend": "sigmoid", "high": 0.7, "low": 0.5}, "max_proposals": 1}');
is(wait_run($node, $other), 'finished', 'a judge that always says true');
cmp_ok(value($node, "SELECT count(*) FROM gepa.rollouts WHERE run = $other AND feedback LIKE 'Wrong, and sure of it:%' AND score = 0"), '>', 0,
	'feedback tells mistakes that it was sure of');
like((outcome($node, q(SELECT gepa.start('j', 'labels', 'writer', 10, options => '{"confidence": {"blend": "linear"}}'))))[1],
	qr/22023: invalid value for run option "confidence".*unless "metric" is "confidence"/s, 'a blend without the metric is refused');
like((outcome($node, q(SELECT gepa.start('j', 'labels', 'writer', 10, options => '{"metric": "confidence", "confidence": {"blend": "cubic"}}'))))[1],
	qr/22023: invalid value for run option "confidence".*linear.*threshold.*sigmoid/s, 'as is one that there is not');

# How much a model thinks, in each dialect.
my %apis = (openai => 'v1', anthropic => 'v1', gemini => 'v1beta');
my $n = 0;

sub thinking_judge
{
	my ($api, $options, %server) = @_;
	my $name = 'thinker' . ++$n;

	create_lm($node, $name, $mock, 'judge-fixed-true+reasoning', api => $api, base_url => "http://127.0.0.1:" . $mock->port . "/$apis{$api}",
		reasoning_effort => 'low', %server);
	value($node, "SELECT gepa.create_judge('$name', '$name', 'Is it good?', options => '$options')");
	return $name;
}

sub wire_of
{
	my ($judge) = @_;

	$mock->reset;
	value($node, "SELECT gepa_judge('$judge', 'a text')");
	return ($mock->requests)[0]{wire};
}

my $wire = wire_of(thinking_judge('openai', '{"effort": "high", "thinking_budget": 500}'));
is("$wire->{reasoning_effort} $wire->{thinking_token_budget}", 'high 500', 'openai: effort and budget stand over the server\'s');
$wire = wire_of(thinking_judge('openai', '{"thinking_budget": 0}', thinking_budget_field => 'thinking_budget_tokens'));
is("$wire->{reasoning_effort} $wire->{thinking_budget_tokens}", 'low 0', '... the budget by the name that the server gives it');
$wire = wire_of(thinking_judge('anthropic', '{"effort": "high", "thinking_budget": 2000}'));
is_deeply([ $wire->{output_config}{effort}, $wire->{thinking} ], [ 'high', { type => 'enabled', budget_tokens => 2000 } ], 'anthropic: the same');
$wire = wire_of(thinking_judge('anthropic', '{"thinking_budget": 0}'));
is_deeply($wire->{thinking}, { type => 'disabled' }, '... no thinking at all');
$wire = wire_of(thinking_judge('gemini', '{"effort": "high"}'));
is_deeply($wire->{generationConfig}{thinkingConfig}, { thinkingLevel => 'high', includeThoughts => JSON::PP::true() }, 'gemini: a level');
$wire = wire_of(thinking_judge('gemini', '{"thinking_budget": 300}'));
is_deeply($wire->{generationConfig}{thinkingConfig}, { thinkingBudget => 300, includeThoughts => JSON::PP::true() },
	'... or a budget in its place');
$wire = wire_of(thinking_judge('openai', '{}'));
is($wire->{reasoning_effort} . (exists $wire->{thinking_token_budget} ? ' and a budget' : ''), 'low', 'without options it is the server\'s');

like((outcome($node, q(SELECT gepa.alter_judge('thinker5', options => '{"thinking_budget": 300}'))))[1],
	qr/22023.*an effort or a budget, not both/s, 'gemini takes no two');
like((outcome($node, q(SELECT gepa.alter_judge('thinker3', options => '{"thinking_budget": 4096}'))))[1],
	qr/22023.*max_tokens, 4096, leaves no room/s, 'a budget leaves room for an answer');
is(value($node, q(SELECT gepa.alter_judge('thinker1', options => '{"effort": null, "thinking_budget": null}'))), 2, 'options can be taken back');
is(value($node, q(SELECT count(DISTINCT digest) FROM gepa.judge_versions WHERE judge = 'thinker1')), 2, 'they are part of the version');

# Thinking is told apart from the reason.
my $apart = thinking_judge('openai', '{"effort": "high", "reasoning": true}');
my $said = q(SELECT reasoning, thinking, cached FROM gepa_verdict('%s', 'a text'));
is(value($node, sprintf $said, $apart), 'As always.|Thinking. As always.|f', 'the answer\'s reason, and the model\'s thinking');
stored($node, $apart, 1, 'it');
is(value($node, sprintf $said, $apart), 'As always.|Thinking. As always.|t', '... stored, and found again');
is(value($node, "SELECT reasoning, thinking FROM gepa.verdicts WHERE judge = '$apart'"), 'As always.|Thinking. As always.', '... and shown');
is(value($node, sprintf $said, thinking_judge('openai', '{"thinking_budget": 9}')), '|Thinking. As always.|f', 'thinking is no reason');
is(value($node, sprintf $said, thinking_judge('openai', '{}')), 'Thinking. As always.||f', 'but where nobody asks for either, it is all there is');

done_testing();
