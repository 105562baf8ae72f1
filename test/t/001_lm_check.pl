# gepa.check_lm(): the first thing that a new user runs has to tell what works,
# and what to do about what does not.

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
my $node = gepa_node('main', preload => 0);
my $lms = 0;

# A check in a session of its own: those that try again and again overlap.
sub start_check
{
	my ($model, %options) = @_;
	my $lm = 'lm' . ++$lms;

	create_lm($node, $lm, $mock, $model, %options);
	return background($node, "SELECT item, ok, detail FROM gepa.check_lm('$lm');");
}

# "item=ok" of all items, and the details.
sub end_check
{
	my ($out) = finish(@_);
	my @rows = map { [ split /\|/, $_, 3 ] } split /\n/, $out;

	return (join(' ', map { "$_->[0]=$_->[1]" } @rows), { map { @$_[ 0, 2 ] } @rows });
}

sub check
{
	return end_check(start_check(@_));
}

my $closed = PostgreSQL::Test::Cluster::get_free_port();
my $nobody = start_check('judge-rules', base_url => "http://127.0.0.1:$closed/v1");
my $unknown = start_check('judge-rules', base_url => 'http://no-such-host.invalid/v1');
my $silent = start_check('judge-rules+hang', request_timeout => '0.1');

my ($items, $detail) = check('judge-rules', logprobs => 'true');
is($items, 'reachable=t model=t json_schema=t logprobs=t latency=t', 'an endpoint that can do everything');
like($detail->{reachable}, qr{^http://127.0.0.1:\d+/v1 answered HTTP 200}, '... is where it was said to be');
like($detail->{latency}, qr/^\d+ ms, 1 attempts?, \d+ input and \d+ output tokens/, '... and how fast it is');
is($mock->journal->{by_model}{'judge-rules'}{requests}, 1, '... with one request');

($items, $detail) = check('judge-rules');
is($items, 'reachable=t model=t json_schema=t logprobs=f latency=t', 'log-probabilities not asked for');
like($detail->{logprobs}, qr/set option logprobs/, '... and how to');

($items, $detail) = check('judge-rules+nologprobs', logprobs => 'true');
is($items, 'reachable=t model=t json_schema=t logprobs=f latency=t', 'log-probabilities not given');
like($detail->{logprobs}, qr/scores will be 0 or 1/, '... and what that means');

($items, $detail) = check('judge-rules+noschema', logprobs => 'true');
is($items, 'reachable=t model=t json_schema=f logprobs=t latency=t', 'an endpoint that ignores the schema');
like($detail->{json_schema}, qr/does not keep to the schema: Label: .* Try another structured_output/, '... shows it');

($items, $detail) = check('judge-rules+key-secret');
is($items, 'reachable=t model=f', 'a key is missing');
like($detail->{model}, qr/HTTP 401: Incorrect API key provided. Check the key: api_key of the user mapping/,
	'... says what to mend');

($items, $detail) = check('no-such-model');
is($items, 'reachable=t model=f', 'an unknown model');
like($detail->{model}, qr/HTTP 404: The model 'no-such-model' does not exist. Check base_url/, '... is named');

($items, $detail) = check('judge-rules', base_url => $mock->url . '/v1');
is($items, 'reachable=t model=f', 'a base_url that leads nowhere');
like($detail->{model}, qr/HTTP 404: Nothing is at .* Check base_url/, '... says what to mend');

($items, $detail) = check('judge-rules+html');
is($items, 'reachable=t model=f', 'something else answers there');
like($detail->{model}, qr/not JSON .* Check that base_url/, '... says what to mend');

($items, $detail) = check('judge-rules+length', max_tokens => 3);
is($items, 'reachable=t model=t json_schema=f logprobs=f latency=t', 'too few tokens allowed');
like($detail->{json_schema}, qr/Raise max_tokens/, '... says what to mend');

($items, $detail) = check('judge-rules+refusal');
is($items, 'reachable=t model=f', 'a model that declines');
like($detail->{model}, qr/I cannot help with that/, '... shows what it said');

($items, $detail) = end_check($nobody);
is($items, 'reachable=f', 'nobody listens');
like($detail->{reachable}, qr/cannot be reached: .* Check base_url/, '... says what to mend');

($items, $detail) = end_check($unknown);
is($items, 'reachable=f', 'a name that does not resolve');
like($detail->{reachable}, qr/resolve.*no-such-host.invalid/, '... is shown');

($items, $detail) = end_check($silent);
is($items, 'reachable=f', 'an endpoint that does not answer');
like($detail->{reachable}, qr/within request_timeout \(0.1 s\). Raise request_timeout/, '... says what to mend');

# The log of calls is in shared memory.
like((outcome($node, 'SELECT * FROM gepa.lm_calls'))[1],
	qr/ERROR:  55000: gepa keeps no log of calls, because it was not preloaded\nHINT:  Add gepa to shared_preload_libraries/,
	'without preload there is no log of calls');

# Without USAGE nothing is sent.
value($node, 'CREATE ROLE stranger');
$mock->reset;
like((outcome($node, q{SET ROLE stranger; SELECT * FROM gepa.check_lm('lm1');}))[1],
	qr/ERROR:  42501: permission denied for LM "lm1"\nHINT:  Its owner can GRANT USAGE/, 'USAGE is required');
is($mock->journal->{requests}, 0, '... before anything is sent');

done_testing();
