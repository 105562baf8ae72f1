# What limits the calls on an LM over all processes: what the endpoint can do with,
# Retry-After, requests and tokens a minute.  And what gepa.lm_stats says of it.

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

# A session that judges so many texts, none of which was judged before.
sub judging
{
	my ($judge, $n) = @_;
	my ($from, $to) = ($texts + 1, $texts + $n);

	$texts += $n;
	return background($node, "SELECT count(gepa_judge('$judge', 'text ' || i)) FROM generate_series($from, $to) i;");
}

sub stats
{
	my ($judge, @columns) = @_;
	return value($node, 'SELECT ' . join(', ', @columns) . " FROM gepa.lm_stats WHERE lm = '$judge'");
}

sub wait_stats
{
	my ($judge, $condition, $what) = @_;
	return ok(wait_sql($node, "SELECT $condition FROM gepa.lm_stats WHERE lm = '$judge'", $what), $what);
}

# -- what the endpoint can do with

my $judge = judge_on($node, $mock, 'judge-rules+gate', max_concurrency => 16, input_price => 3, output_price => 5);
is(stats($judge, qw(max_concurrency current_limit calls errors since)), '16||0|{}|', 'of an LM that was never called its options are known');
$mock->gate(open => 1);
is((finish(judging($judge, 1)))[0], "1\n", 'a call');
is(stats($judge, qw(max_concurrency current_limit in_flight waiting calls ok errors)), '16|16|0|0|1|1|{}', '... and all places are there from then on');

$mock->gate(open => 0);
$mock->reset;
$mock->bear(8);
my @sessions = map { judging($judge, 100) } 1 .. 2;
wait_stats($judge, 'current_limit = 8 AND in_flight = 8', 'an endpoint that can do with eight of sixteen is given eight');
ok($mock->wait_for(sub { $_->{waiting} == 8 && $_->{in_flight} == 8 }, 'eight'), '... by two sessions together');
is(stats($judge, q{errors ? '429'}, q{classes #>> '{query,processes}'}, 'waiting'), 't|2|2', '... both of which would send more');
cmp_ok($mock->journal->{peak}, '<=', 16, '... and never were more in flight than allowed');
$mock->bear;
$mock->gate(pass => 8);
ok($mock->wait_for(sub { $_->{answered} == 8 && $_->{waiting} == 8 }, 'the next eight'), 'what was sent before the limit fell does not raise it');
$mock->gate(pass => 8);
ok($mock->wait_for(sub { $_->{answered} == 16 && $_->{waiting} == 9 }, 'nine'), '... eight answers later it is nine');
$mock->gate(pass => 9);
ok($mock->wait_for(sub { $_->{answered} == 25 && $_->{waiting} == 10 }, 'ten'), '... and nine answers later ten');
$mock->gate(open => 1);
is((finish($_))[0], "100\n", 'all are answered') for @sessions;
is(stats($judge, qw(current_limit in_flight waiting calls ok), 'peak <= 16'), '16|0|0|201|201|t', '... and all places are there again');
is(value($node, "SELECT s.calls = c.calls AND s.input_tokens = c.input AND s.output_tokens = c.output AND abs(s.cost - c.cost) < 1e-6
		AND s.cost > 0 AND s.retries = c.again AND (s.errors ->> '429')::int = s.retries AND s.p50_ms <= s.p95_ms AND s.p95_ms <= s.p99_ms
	FROM gepa.lm_stats s, (SELECT count(*) AS calls, sum(input_tokens) AS input, sum(output_tokens) AS output, sum(cost) AS cost,
		sum(attempts) - count(*) AS again FROM gepa.lm_calls WHERE lm = '$judge') c WHERE s.lm = '$judge'"), 't', 'the log of calls has the same sums');

# A time-out is a sign of it, too; whoever waits goes on.
$judge = judge_on($node, $mock, 'judge-rules+hang-once', max_concurrency => 8, request_timeout => 1);
is((finish(judging($judge, 1)))[0], "1\n", 'an answer after a time-out');
is(stats($judge, 'current_limit', 'errors'), '4|{"timeout": 1}', 'no answer in time halves the limit');

# -- Retry-After is said to all

$judge = judge_on($node, $mock, 'judge-rules');
$mock->reset;
$mock->bear(0, 2);
my $told = judging($judge, 1);
wait_stats($judge, 'held_until > now()', 'a session is told to come again in two seconds');
$mock->bear;
my $other = judging($judge, 1);
is((finish($_))[0], "1\n", 'it is answered then, and so is another') for $told, $other;
my @requests = $mock->requests;
is(scalar(@requests), 3, '... by one request each');
cmp_ok($requests[$_]{time_in}, '>=', $requests[0]{time_in} + 2, '... neither before its time') for 1, 2;

$mock->reset;
$mock->bear(0, 600);
my @closed = map { outcome($node, "SELECT gepa_judge('$judge', 'closed $_') IS NULL") } 1 .. 2;
is(join('', @closed[ 0, 2 ]), 'tt', 'ten minutes are not waited for, in no session');
$mock->bear;
is($mock->journal->{requests}, 1, '... and one request tells it to all');
is(stats($judge, q{held_until BETWEEN now() + interval '9 min' AND now() + interval '11 min'}), 't', '... for so long');
like((outcome($node, "SET gepa.on_error = error; SELECT gepa_judge('$judge', 'closed 3')"))[1],
	qr/HTTP 429: Rate limit reached.*not to be called again for 5\d\d s/s, '... which an error says');
value($node, 'CREATE ROLE eve');
is(value($node, "SET ROLE eve; SELECT count(*) FROM gepa.lm_stats"), 0, 'one who may not use the LM sees nothing of it');
value($node, "GRANT USAGE ON FOREIGN SERVER $judge TO eve");
is(value($node, "SET ROLE eve; SELECT lm, calls > 0 FROM gepa.lm_stats"), "$judge|t", '... and one who may does');
value($node, "CREATE USER MAPPING FOR CURRENT_USER SERVER $judge OPTIONS (api_key 'another')");
is((finish(judging($judge, 1)))[0], "1\n", 'another key may call');

# -- requests and tokens a minute

for my $option (qw(requests_per_minute tokens_per_minute))
{
	$judge = judge_on($node, $mock, 'judge-rules', $option => 1);
	$mock->reset;
	$told = judging($judge, 1);
	is((finish($told))[0], "1\n", "$option 1: one goes at once");
	my ($waiter, $gone) = map { judging($judge, 1) } 1 .. 2;
	ok(session_waits($node, $_, 'GepaLmSlot'), '... others wait for their turn') for $waiter, $gone;
	is(stats($judge, 'waiting', 'in_flight', $option, $option =~ s/per_minute/left/r . ' < 1'), '2|0|1|t', '... which is shown');
	value($node, "SELECT pg_terminate_backend($gone->{pid})");
	like((finish($gone))[1], qr/57P01/, '... one is ended');
	is($mock->journal->{requests}, 1, '... nothing was sent');
	value($node, "ALTER SERVER $judge OPTIONS (SET $option '100000')");
	is((finish(judging($judge, 1)))[0], "1\n", 'a new rate holds for the next');
	is((finish($waiter))[0], "1\n", '... and for who waits');
	is($mock->journal->{requests}, 3, '... by one request each');
}
like((outcome($node, "ALTER SERVER $judge OPTIONS (SET tokens_per_minute '0')"))[1], qr/HV024.*HINT:  Give a whole number/s, 'no rate is no option');

# -- without preload

my $alone = gepa_node('alone', preload => 0);
$judge = judge_on($alone, $mock, 'judge-rules', requests_per_minute => 1);
$mock->reset;
for (1 .. 2)
{
	is(value($alone, "SELECT gepa_judge('$judge', 'text $_') IS NOT NULL; SELECT calls, requests_left < 1 FROM gepa.lm_stats WHERE lm = '$judge'"),
		"t\n1|t", 'not preloaded: each session has its own limits and figures');
}
is($mock->journal->{requests}, 2, '... as the endpoint sees');

done_testing();
