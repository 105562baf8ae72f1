# A transaction that writes its verdicts at its commit does the user's work: no
# verdict is a reason to undo that.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', preload => 0);

sub setup
{
	my ($to) = @_;

	create_lm($to, 'plain', $mock, 'judge-rules');
	create_lm($to, 'broken', $mock, 'judge-rules+400');
	create_lm($to, 'once', $mock, 'judge-rules+400-once');
	create_lm($to, 'huge', $mock, 'judge-rules+long-400000');
	value($to, q{SELECT gepa.create_judge(j, l, 'Is it good?', options => o::jsonb) FROM (VALUES ('j', 'plain', '{}'), ('b', 'broken', '{}'),
		('o', 'once', '{}'), ('h', 'huge', '{"reasoning": true}')) AS v(j, l, o); CREATE TABLE work (what text)});
	return;
}

sub say
{
	my ($to, $sql) = @_;

	$to->{in} .= "$sql;\nSELECT 'said';\n";
	$to->{run}->pump until $to->{out} =~ s/said\n//;
	return;
}

# A session at the end of a transaction that has done some work.
sub at_work
{
	my ($to, $level, $what, $sql) = @_;
	my $session = background($to, '');

	say($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO work VALUES ('$what'); $sql");
	return $session;
}

sub committed
{
	my ($to, $session, $what) = @_;

	$session->{in} .= "COMMIT;\n";
	is((finish($session))[1], '', "$what: the transaction commits");
	is(value($to, "SELECT count(*) FROM work WHERE what = '$what'"), 1, '... with its work');
	return;
}

sub waits { my ($session) = @_; return wait_sql($node, "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $session->{pid}", 'a lock'); }

setup($node);
my $texts = q{SELECT count(gepa_judge('j', '%s ' || i)) FROM generate_series(1, 5) i};
my $stored = q{SELECT count(*) FROM gepa.verdicts WHERE judge = 'j'};

# -- others have stored the same meanwhile

for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	my $before = value($node, $stored);
	my $session = at_work($node, $level, "stored, $level", sprintf($texts, $level));
	value($node, sprintf('SELECT gepa_judge(\'j\', \'%s \' || i) FROM generate_series(1, 3) i', $level));
	committed($node, $session, "stored, $level");
	is(value($node, $stored) - $before, 5, '... and what others have not stored');

	$session = at_work($node, $level, "failed, $level", "SELECT gepa_judge('b', '$level')");
	value($node, "SELECT gepa_judge('b', '$level')");
	committed($node, $session, "failed, $level");
	is(value($node, "SELECT count(*) FROM gepa.verdict_errors WHERE judge = 'b' AND attempts > 0"),
		{ 'READ COMMITTED' => 1, 'REPEATABLE READ' => 2, 'SERIALIZABLE' => 3 }->{$level}, '... with one row for a failure');

	$session = at_work($node, $level, "succeeded, $level", 'SELECT 1');
	value($node, "SELECT gepa_judge('o', '$level')");
	say($session, "SELECT gepa_judge('o', '$level')");
	committed($node, $session, "succeeded, $level");
	is(value($node, "SELECT (SELECT count(*) FROM gepa.verdict_errors WHERE judge = 'o'), count(*) = (SELECT count(*) FROM work WHERE what LIKE 'succ%')
		FROM gepa.verdicts WHERE judge = 'o'"), '0|t', '... and a document that has a verdict is not shown as without');
}

# -- others are storing the same at this moment

for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	my $before = value($node, $stored);
	my $other = background($node, "SELECT gepa_judge('j', 'moment $level 2'); CREATE TEMP TABLE t AS SELECT * FROM gepa.verdict ORDER BY created_at DESC LIMIT 1;
		DELETE FROM gepa.verdict v USING t WHERE v.digest = t.digest;");
	say($other, 'BEGIN; INSERT INTO gepa.verdict SELECT * FROM t');
	my $session = at_work($node, $level, "moment, $level", sprintf($texts, "moment $level"));
	$session->{in} .= "COMMIT;\n";
	$session->{run}->pump_nb;
	waits($session);
	$other->{in} .= "COMMIT;\n";
	finish($other);
	is((finish($session))[1], '', "moment, $level: the transaction commits");
	is(value($node, "SELECT count(*) FROM work WHERE what = 'moment, $level'"), 1, '... with its work');
	is(value($node, $stored) - $before, 5, '... and what the other has not stored');
}

# -- two SERIALIZABLE transactions are not in conflict because of verdicts

my @sessions = map { at_work($node, 'SERIALIZABLE', "skew $_", 'SELECT 1') } 0, 1;
say($sessions[$_], "SELECT gepa_judge('j', 'skew $_'), gepa_judge('o', 'skew $_')") for 0, 1;
say($sessions[$_], "SELECT gepa_judge('j', 'skew @{[1 - $_]}')") for 0, 1;
committed($node, $sessions[$_], "skew $_") for 0, 1;

# -- what cannot be written is told of, and stays with the session

value($node, 'ALTER TABLE gepa.verdict ADD CONSTRAINT good CHECK (chars_total <> 6) NOT VALID');
my $before = value($node, $stored);
my $calls = $mock->journal->{requests};
my ($out, $err) = outcome($node, "BEGIN; INSERT INTO work VALUES ('refused'); SELECT gepa_judge('j', 'poison'), gepa_judge('j', 'a poison'); COMMIT;
	SELECT count(*) FROM work WHERE what = 'refused'; SELECT count(*) - $before FROM gepa.verdicts WHERE judge = 'j';
	ALTER TABLE gepa.verdict DROP CONSTRAINT good;
	SELECT cached FROM gepa_verdict('j', 'poison') UNION ALL SELECT cached FROM gepa_verdict('j', 'a poison');
	SELECT count(*) - $before FROM gepa.verdicts WHERE judge = 'j'");
like($err, qr/^\S+ WARNING:  23514: could not store 2 verdicts: .*DETAIL:.*HINT:/s, 'verdicts that the table refuses');
unlike($err, qr/ERROR:  23514/, '... are a warning');
like($out, qr/\n1\n0\n/, '... the work is committed, the verdicts are not');
like($out, qr/\nt\nt\n2$/, '... and are stored when they can be');
is($mock->journal->{requests}, $calls + 2, '... without another call');

# -- a lock: cancel ends the transaction, lock_timeout the wait

my $lock = background($node, '');
say($lock, 'BEGIN; LOCK TABLE gepa.verdict IN SHARE MODE');
($out, $err) = outcome($node, "SET lock_timeout = '10ms'; BEGIN; INSERT INTO work VALUES ('locked'); SELECT gepa_judge('j', 'locked'); COMMIT;");
like($err, qr/^\S+ WARNING:  55P03: could not store 1 verdict: canceling statement due to lock timeout/, 'a lock that is not to be had');
is(value($node, "SELECT count(*) FROM work WHERE what = 'locked'"), 1, '... keeps no work from being committed');
my $session = at_work($node, 'READ COMMITTED', 'cancelled', "SELECT gepa_judge('j', 'cancelled')");
$session->{in} .= "COMMIT;\n";
$session->{run}->pump_nb;
waits($session);
value($node, "SELECT pg_cancel_backend($session->{pid})");
$session->{run}->pump until $session->{err} =~ /57014/;
like($session->{err}, qr/^ERROR:  57014:/, 'a commit that waits for a lock is cancelled');
finish($lock);
$calls = $mock->journal->{requests};
$before = value($node, $stored);
say($session, "SELECT gepa_judge('j', 'cancelled')");
finish($session);
is(value($node, "SELECT count(*) FROM work WHERE what = 'cancelled'"), 0, '... and its work with it');
is(value($node, $stored) - $before, 1, '... its verdict is stored by the next transaction');
is($mock->journal->{requests}, $calls, '... without another call');

# -- more than memory holds, and nowhere to write it

value($node, "CREATE SERVER canned FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'm'); SELECT gepa.create_judge('c', 'canned', 'Is it?')");
my $many = "SELECT count(gepa_judge('c', 'text ' || i)) FROM generate_series(1, 20500) i";
($out, $err) = outcome($node, "BEGIN READ ONLY; $many; COMMIT");
is($out, 20500, 'a read-only transaction judges more than memory holds');
like($err, qr/^\S+ WARNING:  53400: session memory for verdicts is full, 20000 that were paid for are lost\n.*HINT:/s, '... and is told what that costs');
$node->stop;

# -- the same where a verdict does not fit into the ring

$node = gepa_node('ring', conf => "gepa.verdict_ring_size = '256kB'\n");
setup($node);
for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	$session = at_work($node, $level, "huge, $level", "SELECT gepa_judge('h', '$level')");
	value($node, "SELECT gepa_judge('h', '$level')");
	committed($node, $session, "huge, $level");
	is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE chars_total = length('$level')"), 1, '... and its verdict is there once');
}

done_testing();
