# Many calls of one statement in flight, and it is ended: by cancel, statement_timeout
# or termination, whatever it waits for; while it still reads rows; at a FETCH.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use Gepa::Waits;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $waits = Gepa::Waits->new($mock, rows => 12);
my $node = gepa_node('main', conf => "gepa.verdict_ring_size = '256kB'\n");
my $commit = 'the writer, at commit';
my @last_first = ($commit, grep { $_ ne $commit } $waits->names);

$waits->prepare($node);

sub afterwards
{
	my ($sessions) = @_;

	is($waits->left($_, $sessions->{$_}), '', "nothing is left of waiting for $_") for $waits->names;
	$waits->release;
	is($waits->works($sessions->{$_}), '', "after waiting for $_ the session works, with the same descriptors") for $waits->names;
	finish($_) for values %$sessions;
	return;
}

# -- whatever it waits for

my $sessions = $waits->begin($node);
is($mock->journal->{by_model}{'judge-fixed-true+hang'}{in_flight}, 12, 'twelve rows are on their way at a time');
for my $name (@last_first)
{
	kill 'INT', $sessions->{$name}{pid};
	like(ended($sessions->{$name}), qr/^ERROR:  57014: canceling statement due to user request\n$/, "cancel ends waiting for $name");
}
afterwards($sessions);

$sessions = $waits->begin($node, sub { 'SET statement_timeout = ' . ($_[0] eq $commit ? '2000' : '6000') . ";\n"; });
for my $name ($waits->names)
{
	my $expected = $name eq $commit ? qr/^12\nWARNING:  53400: .*\n$/ : qr/^ERROR:  57014: canceling statement due to statement timeout\n$/;

	like(ended($sessions->{$name}), $expected, "statement_timeout ends waiting for $name");
}
$_->{in} .= "RESET statement_timeout;\n" for values %$sessions;
afterwards($sessions);

$sessions = $waits->begin($node);
for my $name (@last_first)
{
	kill 'TERM', $sessions->{$name}{pid};
	ok(until_true(sub { !-e "/proc/$sessions->{$name}{pid}" }, 'a process that ends'), "termination ends waiting for $name");
}
is($waits->left($_, $sessions->{$_}), '', "... and nothing is left of waiting for $_") for $waits->names;
$waits->release;
finish($_) for values %$sessions;

# One session, many cancels with many calls each: what were not given back would soon be more
# than a session keeps.
my $slow = judge_on($node, $mock, 'judge-fixed-true+gate');
my $session = $waits->session($node);
$mock->gate(open => 1);
is(value($node, "SELECT gepa_judge('$slow', 'a text')"), 't', 'an LM that answers');
$mock->gate(open => 0);
$mock->reset;
$session->{in} .= join "\n", "SET statement_timeout = '50ms';", (map { "SELECT count(gepa_judge('$slow', '$_ ' || i)) FROM generate_series(1, 20) i;" } 1 .. 20),
  "RESET statement_timeout;\n\\echo ended\n";
is(() = ended($session) =~ /ERROR:  57014/g, 20, '20 times 16 calls are cancelled');
cmp_ok($mock->journal->{requests}, '>', 20 * 2, '... which were in flight together');
ok($mock->wait_for(sub { $_->{by_model}{'judge-fixed-true+gate'}{in_flight} == 0 }, 'none of them in flight'), '... and called back');
is($waits->works($session), '', '... and nothing is lost');
finish($session);

# -- while rows are still read: the lock of row 1100, which is beyond the first window, is another's

my $gated = judge_on($node, $mock, 'judge-fixed-true+gate', max_concurrency => 4);
my $wide = judge_on($node, $mock, 'judge-fixed-true+gate');
my $reading = "SELECT count(*) FROM (SELECT i, CASE WHEN i = 1100 THEN pg_advisory_xact_lock(7) END FROM generate_series(1, 1500) i OFFSET 0) s
	WHERE gepa_judge('$wide', 'row ' || i || ' %s');\n\\echo ended\n";
my $holder = background($node, 'SELECT pg_advisory_lock(7);');

sub read_on
{
	my ($session, $word) = @_;
	my $locks = "SELECT count(*) = 1 FROM pg_locks WHERE pid = $session->{pid} AND NOT granted";

	$mock->gate(open => 0);
	$mock->reset;
	$session->{in} .= sprintf $reading, $word;
	$session->{run}->pump_nb;
	ok($mock->wait_for(sub { ($_->{by_model}{'judge-fixed-true+gate'}{in_flight} // 0) == 16 }, '16 calls'), '16 rows are on their way');
	ok(until_true(sub { $mock->gate(pass => 8) if $mock->journal->{waiting} >= 16; return value($node, $locks) eq 't'; }, 'a lock that is waited for', 1000),
		'... while the 1100th is read');
	cmp_ok($mock->journal->{in_flight}, '>', 0, '... with calls in flight');
	return;
}

wait_sql($node, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted", 'the lock');
$session = $waits->session($node);
read_on($session, 'cancelled');
kill 'INT', $session->{pid};
like(ended($session), qr/^ERROR:  57014: canceling statement due to user request\n$/, 'cancel ends it');
ok($mock->wait_for(sub { ($_->{by_model}{'judge-fixed-true+gate'}{in_flight} // 0) == 0 }, 'none in flight'), '... and calls back what is in flight');
is($waits->works($session), '', '... and the session works');
finish($session);

$session = $waits->session($node);
read_on($session, 'terminated');
kill 'TERM', $session->{pid};
ok(until_true(sub { !-e "/proc/$session->{pid}" }, 'a process that ends'), 'termination ends it');
ok($mock->wait_for(sub { ($_->{by_model}{'judge-fixed-true+gate'}{in_flight} // 0) == 0 }, 'none in flight'), '... and calls back what is in flight');
finish($session);
finish($holder);

# -- at a FETCH: an idle cursor has nothing in flight, and one that waits is ended as any other

sub fetching
{
	my ($word) = @_;
	my $session = $waits->session($node);

	$mock->gate(open => 1);
	$mock->reset;
	$session->{in} .= "BEGIN;\nDECLARE c CURSOR FOR SELECT i FROM generate_series(1, 200) i WHERE gepa_judge('$gated', 'fetched ' || i || ' $word');
		FETCH 3 c;\n\\echo ended\n";
	is(ended($session), "1\n2\n3\n", 'three rows of a cursor');
	wait_sql($node, "SELECT state = 'idle in transaction' FROM pg_stat_activity WHERE pid = $session->{pid}", 'an idle cursor');
	my $journal = $mock->journal;
	is($journal->{in_flight}, 0, '... which has nothing in flight');
	is($journal->{aborted}, 0, '... and did not give up anything');
	cmp_ok($journal->{requests}, '<=', 3 + 8 + 3, '... of a few rows ahead');
	return $session;
}

sub fetch_on
{
	my ($session) = @_;

	$mock->gate(open => 0);
	$session->{in} .= "FETCH ALL c;\n\\echo ended\n";
	$session->{run}->pump_nb;
	return ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'four calls'), 'FETCH waits for calls');
}

$session = fetching('cancelled');
fetch_on($session);
kill 'INT', $session->{pid};
like(ended($session), qr/ERROR:  57014: canceling statement due to user request\n$/, 'cancel ends it');
ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'none in flight'), '... and calls back what is in flight');
$session->{in} .= "ROLLBACK;\n";
is($waits->works($session), '', '... and the session works');
finish($session);

$session = fetching('in a savepoint');
$session->{in} .= "SAVEPOINT s;\nSET statement_timeout = '200ms';\n";
fetch_on($session);
like(ended($session), qr/ERROR:  57014: canceling statement due to statement timeout\n$/, 'statement_timeout ends it');
$session->{in} .= "ROLLBACK TO s;\nFETCH c;\nROLLBACK;\n\\echo ended\n";
like(ended($session), qr/ERROR:  34000: cursor "c" does not exist|ERROR:  55000: portal "c" cannot be run|ERROR:.* cursor/, '... and with it its cursor');
is($waits->works($session), '', '... and the session works');
finish($session);

$session = fetching('terminated');
kill 'TERM', $session->{pid};
ok(until_true(sub { !-e "/proc/$session->{pid}" }, 'a process that ends'), 'termination ends an idle cursor');
finish($session);
$session = fetching('terminated while it waits');
fetch_on($session);
kill 'TERM', $session->{pid};
ok(until_true(sub { !-e "/proc/$session->{pid}" }, 'a process that ends'), 'termination ends one that waits');
ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'none in flight'), '... and calls back what is in flight');
finish($session);

done_testing();
