# What an LM sends back that is an answer, in whatever clothes it comes; what it
# cost; and what was sent to get it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $texts = 0;

# Of a new text: judges whose versions say the same share their verdicts.
sub verdict
{
	my ($judge, $columns) = @_;
	return value($node, "SELECT $columns FROM gepa_verdict('$judge', 'text @{[ ++$texts ]}') v");
}

# Bodies that come in another way, and answers in other clothes, are answers.
for my $modifier (qw(chunked close nolength fenced choices badlogprobs dupkeys nousage))
{
	is(verdict(judge_on($node, $mock, "judge-fixed-true+$modifier", logprobs => 'true'), 'status, label, positive, score'),
		'ok|true|t|1', "$modifier: is an answer") if $modifier eq 'badlogprobs';
	is(verdict(judge_on($node, $mock, "judge-fixed-true+$modifier"), 'status, label, positive, score'),
		'ok|true|t|1', "$modifier: is an answer");
}

# Thinking is kept apart from the answer, wherever it stands.
is(verdict(judge_on($node, $mock, 'judge-fixed-true+think'), 'label, reasoning'), 'true|Is it true?', 'a <think> block');
is(verdict(judge_on($node, $mock, 'judge-fixed-true+reasoning'), 'label, reasoning'),
	'true|Thinking. As always.', 'reasoning_content');
is( verdict(judge_on($node, $mock, 'judge-fixed-true', judge_options => '{"reasoning": true}'), 'label, reasoning'),
	'true|As always.', 'a reason that the judge asked for');

# Tokens and money are those of the response.
$mock->reset;
my $priced = judge_on($node, $mock, 'judge-fixed-true', input_price => '2.5', output_price => '10');
my ($in, $out, $exact) = split /\|/,
  verdict($priced, 'input_tokens, output_tokens, cost = (input_tokens * 2.5 + output_tokens * 10) / 1000000');
my ($request) = $mock->requests;
my $expected = 0;
$expected += int(length($_->{content}) / 4) + 1 for @{ $request->{messages} };
is("$in|$out", "$expected|" . (int(length('{"label": "true"}') / 4) + 1), 'tokens as the endpoint counted');
is($exact, 't', 'cost by the prices of the server');
is(verdict(judge_on($node, $mock, 'judge-fixed-true+nousage', input_price => 1), 'input_tokens, output_tokens, cost'),
	'0|0|0', 'usage that is absent counts as none');

# What is sent.
sub sent
{
	my (%options) = @_;

	$mock->reset;
	is(verdict(judge_on($node, $mock, 'judge-fixed-true', %options), 'label'), 'true', join(' ', %options) . ': answered');
	return ($mock->requests)[0]->{request};
}

is_deeply([ sort keys %{ sent() } ], ['response_format'], 'nothing is sent that was not set');
my $schema = sent(structured_output => 'json_schema')->{response_format}{json_schema};
is_deeply($schema->{schema}{properties}{label}{enum}, [ 'true', 'false' ], 'the schema has the labels');
ok($schema->{strict}, '... and is strict');
is(sent(structured_output => 'json_object')->{response_format}{type}, 'json_object', 'json_object');
is_deeply(sent(structured_output => 'text'), {}, 'text sends no format');
is(sent(logprobs => 'true')->{top_logprobs}, 20, 'log-probabilities are asked for');

my $merged = sent(
	temperature => '0', top_p => '0.5', max_tokens => 9, seed => -7, reasoning_effort => 'low',
	extra_body => '{"temperature": 0.25, "top_k": 1, "chat_template_kwargs": {"enable_thinking": false}}');
delete $merged->{response_format};
is(delete $merged->{chat_template_kwargs}{enable_thinking}, 0, 'extra_body is sent');
is_deeply($merged, {
		temperature => 0.25, top_p => 0.5, max_tokens => 9, seed => -7, reasoning_effort => 'low',
		top_k => 1, chat_template_kwargs => {} }, '... and wins over the options');

done_testing();
