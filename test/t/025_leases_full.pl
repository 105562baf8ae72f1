# The table of leases is of a fixed size: what does not fit is called without one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Report;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# 32 leases for each process that the server may have: fewer than there are rows.
my $rows = 600;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => <<~'CONF');
	max_connections = 10
	autovacuum_max_workers = 1
	max_wal_senders = 0
	max_worker_processes = 4
	CONF
my $report = prepare_report($node, $mock, rows => $rows);

if ($node->pg_version >= 18)
{
	$node->append_conf('postgresql.conf', "autovacuum_worker_slots = 1\n");
	$node->restart;
}

# All rows are submitted at once, in the order of their keys as texts, and so many are at the gate.
point_at($node, $mock, 'judge-rules+gate', $rows / 2);
my $session = background($node, $report);
ok($mock->wait_for(sub { $_->{waiting} == $rows / 2 }, 'calls'), 'a session has its calls on their way');
ok(session_waits($node, $session, 'GepaLm'), '... and waits');

my $first = background($node, "$Gepa::Report::allow SELECT cached FROM gepa_verdict('j', 'row 1');");
ok(session_waits($node, $first, 'GepaLease'), 'a row with a lease is waited for');
my $last = background($node, "$Gepa::Report::allow SELECT cached FROM gepa_verdict('j', 'row 99');");
ok(session_waits($node, $last, 'GepaLmSlot'), 'one without is called');
$mock->gate(open => 1);
is((finish($session))[0], "t\n", 'the report is done');
is((finish($first))[0], "t\n", '... the first row was found');
is((finish($last))[0], "f\n", '... the last was paid for');
is($mock->journal->{documents}, $rows, 'all rows were sent');
is($mock->journal->{requests}, $rows + 1, '... and one of them twice');

done_testing();
