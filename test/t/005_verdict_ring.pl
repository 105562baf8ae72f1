# The way of a verdict to its table: a full ring makes queries wait, and
# verdicts too big for it, or without room in it, are not lost
# (005_verdict_backlog.pl has more of the latter).

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
my $node = gepa_node('main', conf => "gepa.verdict_ring_size = '256kB'\n");

create_lm($node, 'long', $mock, 'judge-rules+long-100000');
create_lm($node, 'longer', $mock, 'judge-rules+long-600000');
value($node, "SELECT gepa.create_judge('j', 'long', 'Is it good?', options => '{\"reasoning\": true}'),
	gepa.create_judge('k', 'longer', 'Is it good?', options => '{\"reasoning\": true}')");

# -- long reasons

is(value($node, "SELECT length(reasoning) FROM gepa_verdict('j', 'a text')"), 100_000, 'a reason of 100 kB');
is(value($node, "SELECT length(reasoning) FROM gepa.verdicts WHERE judge = 'j'"), 100_000, '... is stored');
is(value($node, "SELECT cached, length(reasoning) FROM gepa_verdict('j', 'a text')"), 't|100000', '... and found again');
is(value($node, "SELECT length(reasoning) FROM gepa_verdict('k', 'a text')"), 600_000,
	'a verdict larger than the ring');
is(value($node, "SELECT cached, length(reasoning) FROM gepa_verdict('k', 'a text')"), 't|600000',
	'... is known to all');
stored($node, 'k', 1, '... and stored by the writer');

# -- a full ring: two such verdicts fit, the writer cannot write

my $room = $node->pg_version >= 17 ? 'GepaRingSpace' : 'Extension';
my $lock = background($node, "BEGIN; LOCK TABLE gepa.verdict IN EXCLUSIVE MODE; SELECT 'locked';");
$lock->{run}->pump until $lock->{out} =~ /locked/;
$mock->reset;
my @sessions = map { background($node, <<~SQL) } 1 .. 3;
	SELECT count(gepa_judge('j', 'session $_ text ' || i)) FROM generate_series(1, 3) i;
	SQL
ok(wait_sql($node, "SELECT count(*) = 3 FROM pg_stat_activity
	WHERE query LIKE '%session % text%' AND wait_event = '$room' AND pid <> pg_backend_pid()",
	'three sessions that wait for room'),
	'two verdicts are in the ring, each session has one in its hand, and waits for room');
stored($node, 'j', 1, '... while nothing can be written');
value($node, "SELECT pg_terminate_backend($lock->{pid}, 10000)");
finish($lock);
for my $session (@sessions)
{
	my ($out, $err) = finish($session);

	is($out, "3\n", 'they go on when there is room');
	is($err, '', '... without a warning');
}
stored($node, 'j', 10, '... and all is stored');
is($mock->journal->{answered}, 9, '... each paid for once');

# A session that is cancelled while it waits for room has handed over all that it paid for.
$lock = background($node, "BEGIN; LOCK TABLE gepa.verdict IN EXCLUSIVE MODE; SELECT 'locked';");
$lock->{run}->pump until $lock->{out} =~ /locked/;
$mock->reset;
my $session = background($node, "SELECT count(gepa_judge('j', 'cancelled ' || i)) FROM generate_series(1, 9) i;");
ok(wait_sql($node, "SELECT wait_event = '$room' FROM pg_stat_activity WHERE pid = $session->{pid}", 'it waits'),
	'a session fills the ring');
ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'all answers'), '... and has paid for what it sent');
my $paid = $mock->journal->{answered};
value($node, "SELECT pg_cancel_backend($session->{pid})");
like((finish($session))[1], qr/57014/, '... and is cancelled at once');
value($node, "SELECT pg_terminate_backend($lock->{pid}, 10000)");
finish($lock);
stored($node, 'j', 10 + $paid, '... what it has paid for is stored');
is(value($node, "SELECT count(gepa_judge('j', 'cancelled ' || i)) FROM generate_series(1, 9) i"), 9, '... and judged again');
is($mock->journal->{answered}, 9, '... without another call for that');

# -- the writer comes and goes

wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
value($node, "BEGIN; SELECT gepa_judge('j', 'the next'); ROLLBACK");
stored($node, 'j', 20, 'an idle writer ends, and another comes when it is needed');

# A database that is dropped leaves nobody behind.
value($node, "CREATE DATABASE other");
value($node, 'CREATE EXTENSION gepa', db => 'other');
value($node, "CREATE SERVER long FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'm');
	SELECT gepa.create_judge('j', 'long', 'Is it good?');
	SELECT gepa_judge('j', 'other')", db => 'other');
is(value($node, 'SELECT count(*) FROM gepa.verdicts', db => 'other'), 1, 'another database has its own');
value($node, 'DROP EXTENSION gepa CASCADE', db => 'other');
value($node, 'DROP DATABASE other WITH (FORCE)');
stored($node, 'j', 20, '... and is dropped');

done_testing();
