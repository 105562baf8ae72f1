# One text in flight in two sessions is one call: the second waits for the first's
# verdict.  If there is none it calls by itself, and nobody waits for each other.

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

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $gated = judge_on($node, $mock, 'judge-rules+gate');

# A session that judges a text, when it has its call on its way or waits for another's.
sub judging
{
	my ($judge, $text, $waiting) = @_;
	my $session = background($node, "SELECT status, cached FROM gepa_verdict('$judge', '$text');");

	if ($waiting) { ok($mock->wait_for(sub { $_->{waiting} == $waiting }, 'its call'), 'one session calls'); }
	else { ok(session_waits($node, $session, 'GepaLease'), '... another waits for its verdict'); }
	return $session;
}

# -- two sessions, one text

my $first = judging($gated, 'one text', 1);
my $second = judging($gated, 'one text');
is($mock->journal->{requests}, 1, '... and does not call');
$mock->gate(pass => 1);
is((finish($first))[0], "ok|f\n", 'the first has the verdict');
is((finish($second))[0], "ok|t\n", '... the second finds it');
is($mock->journal->{requests}, 1, 'one text, one request');
is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = '$gated'"), 1, '... and one row');

# In an open transaction, too, and after its rollback.
$mock->reset;
$first = background($node, "BEGIN; SELECT gepa_judge('$gated', 'rolled back'); ROLLBACK; SELECT 'over';");
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'its call'), 'a call in a transaction');
$second = judging($gated, 'rolled back');
$mock->gate(pass => 1);
is((finish($second))[0], "ok|t\n", '... whose verdict the other finds');
like((finish($first))[0], qr/over/, '... though it is rolled back');
is($mock->journal->{requests}, 1, '... with one request');

# Another judge's text is another text.
$mock->reset;
my $other = judge_on($node, $mock, 'judge-rules+gate');
$first = judging($gated, 'two judges', 1);
$second = judging($other, 'two judges', 2);
$mock->gate(pass => 2);
is((finish($_))[0], "ok|f\n", 'a text of two judges is two calls') for $first, $second;

# -- many sessions, many texts, every order

my $slow = judge_on($node, $mock, 'judge-rules+slow-5');
$mock->reset;
my @sessions = map { background($node, <<~SQL) } 1 .. 8;
	SELECT count(gepa_judge('$slow', 'text ' || i)) FROM (SELECT i FROM generate_series(1, 50) i ORDER BY md5(i || ' of $_')) x;
	SQL
is((finish($_))[0], "50\n", 'a session judges 50 texts') for @sessions;
is($mock->journal->{documents}, 50, 'each text was sent');
is($mock->journal->{requests}, 50, '... once');

# The same with many calls of each session in flight.
my $report = prepare_report($node, $mock, rows => 60);
point_at($node, $mock, 'judge-rules+slow-20', 4);
@sessions = map { background($node, $report) } 1 .. 5;
push @sessions, map { background($node, <<~SQL) } 1 .. 3;
	$Gepa::Report::allow
	SELECT count(gepa_judge('j', 'row ' || i)) > 0 FROM (SELECT i FROM generate_series(1, 60) i ORDER BY md5(i || ' of $_')) x;
	SQL
is((finish($_))[0], "t\n", 'a session judges 60 rows') for @sessions;
is($mock->journal->{documents}, 60, 'each row was sent');
is($mock->journal->{requests}, 60, '... once');

# -- a call that fails: those who waited call side by side, not one after another

my $rejecting = judge_on($node, $mock, 'judge-rules+400+gate');
$mock->reset;
@sessions = judging($rejecting, 'rejected', 1);
push @sessions, judging($rejecting, 'rejected') for 1 .. 3;
$mock->gate(pass => 1);
ok($mock->wait_for(sub { $_->{waiting} == 3 }, 'three calls'), 'after a failure all who waited call at once');
is($mock->journal->{requests}, 4, '... once each');
$mock->gate(pass => 3);
is((finish($_))[0], "http_error|f\n", '... and each has its own failure') for @sessions;

# One that no call can escape is raised by each.
my $locked = judge_on($node, $mock, 'judge-rules+401+gate');
$mock->reset;
@sessions = judging($locked, 'locked', 1);
push @sessions, judging($locked, 'locked');
$mock->gate(pass => 2);
like((finish($_))[1], qr/ERROR:  28000/, 'a wrong key is raised') for @sessions;
is($mock->journal->{requests}, 2, '... by who was told');

# -- an error that a savepoint catches releases

my $holder = background($node, 'SELECT pg_advisory_lock(1);');
wait_sql($node, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted", 'the lock');
$mock->reset;
my $catching = background($node, <<~SQL);
	SET application_name = 'catching';
	DO \$\$
	BEGIN
		PERFORM gepa_judge('$gated', 'caught');
	EXCEPTION WHEN query_canceled THEN
		PERFORM pg_advisory_lock(1);
	END \$\$;
	SQL
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'its call'), 'a session calls in a subtransaction');
$second = judging($gated, 'caught');
value($node, "SELECT pg_cancel_backend($catching->{pid})");
ok($mock->wait_for(sub { $_->{requests} == 2 }, 'the second call'), '... and catches its cancel: who waited calls');
$mock->gate(open => 1);
is((finish($second))[0], "ok|f\n", '... and has the verdict');
is(value($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), '1', '... while the first goes on');
$holder->{in} .= "SELECT pg_advisory_unlock(1);\n";
finish($holder);
is((finish($catching))[1], '', '... and ends well');
$mock->gate(open => 0);

done_testing();
