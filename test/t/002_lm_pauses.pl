# A process that stands still with calls in flight, for longer than a request may take:
# answers that came meanwhile are read, and nothing is sent again.  And connections that
# were closed meanwhile carry no request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Clock;
use Gepa::Mock;
use Gepa::Report;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $clock = Gepa::Clock->new('CLOCK_MONOTONIC');
my $node = $clock->start(sub { gepa_node('main') });

# More calls than are looked at in one go; an hour is more than a request may take.
my $rows = 100;
my $report = prepare_report($node, $mock, rows => $rows);
my $hour = 3600;

point_at($node, $mock, 'judge-rules+gate', $rows);
my $session = background($node, $report);
ok($mock->wait_for(sub { $_->{waiting} == $rows }, 'all in flight'), 'a session with calls in flight');
kill 'STOP', $session->{pid};
$mock->gate(open => 1);
ok($mock->wait_for(sub { $_->{answered} == $rows }, 'all answered'), '... is answered while it stands still');
$clock->put($hour);
kill 'CONT', $session->{pid};
is((finish($session))[0], "t\n", 'an hour later it goes on');
is($mock->journal->{requests}, $rows, '... with the answers that came meanwhile');
is(value($node, 'SELECT sum(attempts) FROM gepa.lm_calls WHERE purpose = \'report\''), $rows, 'each was called once');
is( value($node, "SELECT max(latency_ms) < 1000 * $hour FROM gepa.lm_calls WHERE purpose = 'report'"),
	't', 'what is told of their latency is without the pause');

# An answer that has not come by then has not had its time: it is waited for.
my $late = judge_on($node, $mock, 'judge-fixed-true+gate');
$mock->gate(open => 0);
$mock->reset;
$session = background($node, "SELECT gepa_judge('$late', 'late');");
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'it is in flight'), 'a session with a call in flight');
kill 'STOP', $session->{pid};
$clock->put(2 * $hour);
kill 'CONT', $session->{pid};
$mock->gate(open => 1);
is((finish($session))[0], "t\n", 'an answer that comes after the pause is taken');
is($mock->journal->{requests}, 1, '... of the same request');

# A kept connection that is closed while the session does something else.
sub closed_connections
{
	my $port = sprintf ':%04X 08', $mock->port;

	return scalar grep { /\Q$port\E/ } split /\n/, slurp_file('/proc/net/tcp');
}

my $judge = judge_on($node, $mock, 'judge-fixed-true+closing');
my $lock = background($node, 'SELECT pg_advisory_lock(2); SELECT pg_sleep(600);');
wait_sql($node, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 2", 'the lock');
$mock->reset;
$session = background($node, qq{
	SELECT gepa_judge('$judge', 'first'); SELECT pg_advisory_lock(2); SELECT gepa_judge('$judge', 'second');});
ok($mock->wait_for(sub { closed_connections() > 0 }, 'closed'), 'a connection is closed by the endpoint');
value($node, "SELECT pg_terminate_backend($lock->{pid})");
finish($lock);
is((finish($session))[0], "t\n\nt\n", 'the session calls again');
is($mock->journal->{requests}, 2, '... with one request');
is($mock->journal->{connections}, 2, '... over another connection');
is(value($node, "SELECT string_agg(attempts::text, ',') FROM gepa.lm_calls WHERE lm = '$judge'"),
	'1,1', '... and knows of no other');

done_testing();
