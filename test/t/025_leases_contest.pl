# The comparison of a schedule, which has no transaction open while it calls, waits
# for a text that a session is calling, and finds its verdict.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Schedule;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

prepare_tuning($node, $mock, model => 'judge-rules+gate', split => 'part');
value($node, "SELECT gepa.create_schedule('equal', 'j', 'labels', 'writer', every => '1 hour', budget => 300, deploy => 'if_better',
	options => '" . reference_mode('{"stop_at_score": 0}') . "')");

# The session is stopped with its answer on the way, so that it cannot hand it over.
my $session = background($node, q{SELECT status, cached FROM labels, gepa_verdict('j', body) WHERE id IN (
	SELECT min(id) FROM labels WHERE part = 'test');});
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'its call'), 'a session calls a test row');
kill 'STOP', $session->{pid};
$mock->gate(open => 1);
fall_due($node, 'equal');
ok(wait_sql($node, q{SELECT status = 'finished' FROM gepa.runs WHERE run = 1}, 'the run'), 'a run ends');
my $rows = value($node, q{SELECT count(*) FROM gepa.samples WHERE run = 1 AND split <> 'train'});
ok($mock->wait_for(sub { $_->{requests} == $rows && $_->{in_flight} == 0 }, 'the rest'), '... its winner is compared on all rows but that one');
ok(wait_sql($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'gepa schedule worker'
	AND wait_event IN ('GepaLease', 'Extension') AND xact_start IS NULL}, 'the worker'), '... for which it waits, without a transaction');
kill 'CONT', $session->{pid};
is((finish($session))[0], "ok|f\n", 'the session has its answer');
ok(wait_schedule($node, 'equal', "outcome = 'kept'"), '... and the comparison ends');
is(schedule($node, 'equal', 'n'), value($node, q{SELECT count(*) FROM gepa.samples WHERE run = 1 AND split = 'test'}), '... on all rows');
is($mock->journal->{requests}, $rows, '... each paid for once');

done_testing();
