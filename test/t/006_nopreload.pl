# Without shared_preload_libraries, what takes a network to see: calls that
# are paid again after a rollback and are not within a session.  The rest is
# in sql/nopreload.sql.

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

create_lm($node, 'plain', $mock, 'judge-rules');
create_lm($node, 'gated', $mock, 'judge-rules+gate');
create_lm($node, 'broken', $mock, 'judge-rules+400');
value($node, "SELECT gepa.create_judge(j, l, 'Is it good?')
	FROM (VALUES ('j', 'plain'), ('g', 'gated'), ('b', 'broken')) AS v(j, l)");

sub calls
{
	my ($sql) = @_;
	my $before = $mock->journal->{requests};

	value($node, $sql);
	return $mock->journal->{requests} - $before;
}

is(calls("SELECT gepa_judge('j', 'committed')"), 1, 'a verdict');
is(calls("SELECT gepa_judge('j', 'committed')"), 0, '... is stored');
is(value($node, "SELECT cached FROM gepa_verdict('j', 'committed')"), 't', '... and known in another session');

is(calls("BEGIN; SELECT gepa_judge('j', 'rolled back'); ROLLBACK"), 1, 'a verdict of a transaction that is rolled back');
is(calls("SELECT gepa_judge('j', 'rolled back')"), 1, '... is paid for again by another session');

# Failures.
is(calls("SELECT gepa_judge('b', 'text'), gepa_judge('b', 'text')"), 1, 'a failure is asked for once in a statement');
is(calls("SELECT gepa_judge('b', 'text')"), 1, '... and again by the next');
is(value($node, "SELECT status, attempts FROM gepa.verdict_errors"), 'http_error|2', '... with its row');

# A cancelled query has not committed what it paid for.
$mock->gate(pass => 2);
my $session = background($node, "SELECT count(gepa_judge('g', 'text ' || i)) FROM generate_series(1, 3) i;");
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'the third at the gate'), 'two documents are paid');
value($node, "SELECT pg_cancel_backend($session->{pid})");
like((finish($session))[1], qr/57014/, '... the query is cancelled');
is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = 'g'"), 0, '... which loses them');

# What needs a worker says so before it does anything.
load_world($node, 'labels', rows => 40);
value($node, "SELECT gepa.create_dataset('labels', 'labels', 'id', '{body}', 'keep')");
for my $function ('start', 'optimize')
{
	my (undef, $err) = outcome($node, "SELECT gepa.$function('j', 'labels', 'plain', 100)");
	like($err, qr/ERROR:  55000: gepa.$function\(\) needs a background worker.*HINT:.*shared_preload_libraries/s,
		"gepa.$function() says what is missing");
}
is(value($node, 'SELECT count(*) FROM gepa.runs'), 0, '... and leaves nothing behind');

# The library preloaded by one session only is not preloaded.
is(calls(q{LOAD 'gepa'; SELECT gepa_judge('j', 'after LOAD')}), 1, 'LOAD does no harm');

done_testing();
