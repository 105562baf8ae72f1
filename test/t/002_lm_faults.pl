# Which failures of a call are tried again and which are not, how often, and what
# is left when that did not help.  The pauses are drawn at random, so only
# numbers of requests and what Retry-After guarantees are looked at.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $texts = 0;

# A call on a model, started in a session of its own: pauses then overlap.
sub start_call
{
	my ($model, %options) = @_;
	my $judge = judge_on($node, $mock, $model, %options);
	my $session = background($node, "SELECT status, label FROM gepa_verdict('$judge', 'text @{[ ++$texts ]}');");

	return { judge => $judge, model => $model, session => $session };
}

# What it answered (or raised), and the requests that it took.
sub end_call
{
	my ($call) = @_;
	my ($out, $err) = finish($call->{session});
	my $counts = $mock->journal->{by_model}{ $call->{model} };

	chomp $out;
	return ($err ne '' ? $err : $out, $counts ? $counts->{requests} : 0);
}

# Never passes: five attempts, then the cause.
my $closed = PostgreSQL::Test::Cluster::get_free_port();
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) or die $!;
my @hopeless = (
	[ 'hang', 'timeout', qr/within request_timeout \(0.2 s\)/, 5, request_timeout => '0.2' ],
	[ 'drip-100', 'timeout', qr/within request_timeout \(0.3 s\)/, 5, request_timeout => '0.3' ],
	[ 'refused', 'http_error', qr/cannot be reached/, 0, base_url => "http://127.0.0.1:$closed/v1" ],
	[ 'deaf', 'http_error', qr/cannot be reached: .*timed? ?out/i, 0, connect_timeout => '0.2',
		base_url => 'https://127.0.0.1:' . $deaf->sockport . '/v1' ],
	[ 'drop', 'http_error', qr/connection broke/, 5 ],
	[ 'drop-body', 'http_error', qr/connection broke/, 5 ],
	[ 'badchunk', 'http_error', qr/connection broke/, 5 ],
	[ '500', 'http_error', qr/HTTP 500: The server had an error/, 5 ],
	[ '429-bare', 'http_error', qr/HTTP 429: Rate limit reached/, 5 ]);
for my $case (@hopeless)
{
	my ($modifier, undef, undef, undef, %options) = @$case;
	push @$case, start_call("judge-fixed-true+$modifier", %options);
}

# Passes at the second or third attempt.
for my $modifier (qw(408-once 409-once 425-once 429-bare-once 500-once 502-once 503-bare-once 504-once
	drop-once drop-body-once 500-n2 429-bare-n2))
{
	my ($answer, $requests) = end_call(start_call("judge-fixed-true+$modifier"));

	is($answer, 'ok|true', "$modifier: an answer in the end");
	is($requests, $modifier =~ /n2$/ ? 3 : 2, '... and no request more than needed');
}
my ($patient, $attempts) = end_call(start_call('judge-fixed-true+hang-once', request_timeout => '0.5'));
is("$patient, $attempts", 'ok|true, 2', 'a time-out is tried again');

# Wrong stays wrong.
for my $modifier (qw(405 406 410 418 451))
{
	my ($answer, $requests) = end_call(start_call("judge-fixed-true+$modifier"));

	is($answer, 'http_error|', "$modifier: no answer");
	is($requests, 1, '... and not tried again');
}

# What nobody else can mend ends the query at once, whatever gepa.on_error says.
for my $case (
	[ '401', '28000', qr/Check the key: api_key of the user mapping/ ],
	[ '403', '42501', qr/check its rights to the model/ ],
	[ '404', '42704', qr/Check base_url .* and model/ ],
	[ 'quota', '53400', qr/no quota left/ ],
	[ '402', '53400', qr/no quota left/ ],
	[ 'unheard-of', '42704', qr/Check base_url .* and model/ ])
{
	my ($modifier, $sqlstate, $hint) = @$case;
	my ($err, $requests) = end_call(start_call("judge-fixed-true+$modifier"));

	like($err, qr/ERROR:  $sqlstate: judge .* no verdict from LM .*: http_error\nDETAIL:  The endpoint answered HTTP/,
		"$modifier: an error");
	like($err, qr/HINT:  .*$hint/, '... that says what to mend');
	is($requests, 1, '... after one request');
}

# Retry-After: seconds, or a date, whose whole seconds are two from now.
for my $modifier (qw(429-s1-once 429-date-once 503-s1-once))
{
	my $model = "judge-fixed-true+$modifier";
	my ($answer) = end_call(start_call($model));
	my ($first, $second) = grep { $_->{model} eq $model } $mock->requests;
	my $earliest = $modifier =~ /date/ ? int($first->{time_in}) + 2 : $first->{time_in} + 1;

	is($answer, 'ok|true', "$modifier: an answer in the end");
	cmp_ok($second->{time_in}, '>=', $earliest, '... not before it may be asked for');
}

for my $case (@hopeless)
{
	my ($modifier, $status, $detail, $wanted) = @$case;
	my $call = $case->[-1];
	my ($answer, $requests) = end_call($call);
	my $row = "FROM gepa.verdict_errors WHERE judge = '$call->{judge}'";

	is($answer, "$status|", "$modifier: $status");
	is($requests, $wanted, "... after $wanted requests");
	wait_sql($node, "SELECT count(*) = 1 $row", 'the row');
	like(value($node, "SELECT attempts || ' ' || detail $row"), qr/^5 .*$detail/, '... which a row says');
}

done_testing();
