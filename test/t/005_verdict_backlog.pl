# A full ring whose session does not stay: what was paid for is in the backlog,
# whatever becomes of the transaction and of the session.

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
my $node = gepa_node('main', conf => "gepa.verdict_ring_size = '256kB'\nrestart_after_crash = on\n");
my $room = $node->pg_version >= 17 ? 'GepaRingSpace' : 'Extension';
my $stored = "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j'";
my $n = 300;    # texts, of which the ring holds not half
my $full = 127;    # that many fit, and one is in the session's hand
my $ahead = 2 * 16;    # that many more a query has with the LM, or ready for it
my $texts = 0;

create_lm($node, 'plain', $mock, 'judge-rules');
create_lm($node, 'bad', $mock, 'judge-rules+400');
create_lm($node, 'long', $mock, 'judge-rules+long-600000');
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('b', 'bad', 'Is it good?'),
	gepa.create_judge('l', 'long', 'Is it good?', options => '{\"reasoning\": true}')");

sub judged
{
	my ($text, $judge) = @_;
	return "SELECT count(*) FROM (SELECT gepa_judge('@{[$judge // 'j']}', '$text ' || i) FROM generate_series(1, $n) i OFFSET 0) s;";
}

sub block
{
	my $lock = background($node, "BEGIN; LOCK TABLE gepa.verdict, gepa.verdict_error IN SHARE MODE; SELECT 'locked';");
	$lock->{run}->pump until $lock->{out} =~ /locked/;
	return $lock;
}

sub unblock
{
	my ($lock) = @_;
	value($node, "SELECT pg_terminate_backend($lock->{pid}, 10000)");
	finish($lock);
	return;
}

# All that the endpoint has answered is stored, and another session pays for the rest only.
sub all_stored
{
	my ($text, $what) = @_;
	my $paid = $mock->journal->{answered};

	$texts += $paid;
	wait_sql($node, "SELECT ($stored) >= $texts", $what);
	is(value($node, $stored), $texts, "$what: every answer is stored");
	is(value($node, judged($text)), $n, "$what: judged again");
	is($mock->journal->{answered}, $n, '... which pays for no text twice');
	$texts += $n - $paid;
	$mock->reset;
	return;
}

# The same of a session that had no time to look at what it had ahead: that is lost.
sub seen_stored
{
	my ($text, $what) = @_;
	my $paid = $mock->journal->{answered};

	wait_sql($node, "SELECT ($stored) >= @{[ $texts + $full ]}", $what);
	wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
	my $kept = value($node, $stored) - $texts;
	cmp_ok($kept, '>=', $full, "$what: every answer that was looked at is stored");
	cmp_ok($kept, '<=', $paid, '... and none that was not given');
	is(value($node, judged($text)), $n, "$what: judged again");
	is($mock->journal->{answered}, $paid + $n - $kept, '... which pays for no stored text twice');
	$texts += $n;
	$mock->reset;
	return;
}

# A session that waits for room, with nothing in flight any more.
sub full
{
	my ($text) = @_;
	my $session = background($node, 'BEGIN; ' . judged($text));
	my $at_rest = sub { $_->{answered} >= $full && $_->{in_flight} == 0 };
	my ($before, $after) = (0, -1);

	while ($before != $after)
	{
		$mock->wait_for($at_rest, 'a full ring') or die 'the ring is not full';
		$before = $mock->journal->{answered};
		wait_sql($node, "SELECT wait_event = '$room' FROM pg_stat_activity WHERE pid = $session->{pid}", 'it waits for room');
		$mock->wait_for($at_rest, 'a full ring') or die 'the session goes on';
		$after = $mock->journal->{answered};
	}
	cmp_ok($after, '<=', $full + $ahead, 'a session that waits for room has a few answers ahead');
	return $session;
}

# -- no patience left, and then a rollback, and the end of the session

$mock->reset;
my $lock = block();
my ($out, $err) = outcome($node, 'BEGIN; ' . judged('patient') . judged('patient') . ' ROLLBACK;' . judged('patient'));
is($out, "$n\n$n\n$n", 'a session that has waited in vain goes on');
is(scalar(() = $err =~ /WARNING:  53400: verdict writer does not keep up, its ring is full/g), 1, '... which it says');
like($err, qr/Verdicts are kept in files until there is room/, '... and where its verdicts are');
is($mock->journal->{answered}, $n, '... and pays for nothing twice, in later transactions neither');
unblock($lock);
all_stored('patient', 'rollback and exit');

# -- an end while it waits

$lock = block();
my $session = full('cancelled');
value($node, "SELECT pg_cancel_backend($session->{pid})");
like((finish($session))[1], qr/57014/, 'cancelled');
unblock($lock);
all_stored('cancelled', 'cancel');

$lock = block();
$session = full('terminated');
value($node, "SELECT pg_terminate_backend($session->{pid}, 10000)");
like((finish($session))[1], qr/57P01/, 'terminated');
unblock($lock);
seen_stored('terminated', 'end of the session');

$lock = block();
($out, $err) = outcome($node, "SET statement_timeout = '3s'; BEGIN; " . judged('timed out'));
like($err, qr/57014/, 'timed out');
unblock($lock);
all_stored('timed out', 'statement_timeout');

$lock = block();
$session = full('killed');
my $log = -s $node->logfile;
kill 'KILL', $session->{pid};
$node->wait_for_log(qr/database system is ready to accept connections/, $log);
finish($_) for $session, $lock;
seen_stored('killed', 'SIGKILL');

# A crash after the backlog was made: some of it is loaded when there is room.
$lock = block();
outcome($node, judged('crashed'));
$node->stop('immediate');
finish($lock);
$node->start;
all_stored('crashed', 'crash of the server');

# -- failures count their attempts once

$lock = block();
outcome($node, judged('failed', 'b'));
unblock($lock);
my $failed = "SELECT count(*) || ' ' || sum(attempts) FROM gepa.verdict_errors WHERE judge = 'b'";
wait_sql($node, "SELECT ($failed) = '$n $n'", 'failures as well');
is(value($node, $failed), "$n $n", '... each attempt is counted once');

# -- verdicts larger than the ring, several of them in it

$n = 3;
$mock->reset;
$lock = block();
value($node, 'BEGIN; ' . judged('large', 'l') . ' ROLLBACK');
is(value($node, judged('large', 'l')), 3, 'those that are larger than the ring are known');
is($mock->journal->{answered}, 3, '... to all sessions');
$node->stop('immediate');
finish($lock);
$node->start;
wait_sql($node, "SELECT count(*) = 3 AND min(length(reasoning)) = 600000 FROM gepa.verdicts WHERE judge = 'l'", 'large');
is(value($node, judged('large', 'l')), 3, '... stored after a crash');
is($mock->journal->{answered}, 3, '... paid for once');
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'an idle writer');
is(join(' ', glob $node->data_dir . '/pg_gepa/*'), '', 'nothing is left');

done_testing();
