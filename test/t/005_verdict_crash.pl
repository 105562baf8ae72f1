# Verdicts that were handed over outlive a crash of any process.

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
my $node = gepa_node('main', streaming => 1, conf => "restart_after_crash = on\n");

create_lm($node, 'plain', $mock, 'judge-rules');
create_lm($node, 'gated', $mock, 'judge-rules+gate');
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?')");

# How many of the first n texts of a kind are paid for (again).
sub calls
{
	my ($judge, $kind, $n) = @_;
	my $before = $mock->journal->{requests};

	value($node, "SELECT gepa_judge('$judge', '$kind ' || i) FROM generate_series(1, $n) i");
	return $mock->journal->{requests} - $before;
}

# Kill a process as the kernel would; PostgreSQL then restarts all of them.
sub crash
{
	my ($pid, $what) = @_;
	my $start = value($node, 'SELECT pg_postmaster_start_time()');
	my $log = -s $node->logfile;

	kill 'KILL', $pid;
	$node->wait_for_log(qr/database system is ready to accept connections/, $log);
	is(value($node, 'SELECT pg_postmaster_start_time()'), $start, "$what: the server goes on");
	return;
}

# -- a backend that has handed verdicts over, in an open transaction

my $session = background($node, <<~'SQL');
	BEGIN;
	SELECT count(gepa_judge('j', 'backend ' || i)) FROM generate_series(1, 30) i;
	SELECT gepa_judge('g', 'never answered');
	SQL
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'the backend waits for an answer'), 'a backend has 30 verdicts');
wait_sql($node, "SELECT count(*) = 30 FROM gepa.verdicts WHERE judge = 'j'", 'the writer has written them');
crash($session->{pid}, 'kill -9 of the backend');
finish($session);
stored($node, 'j', 30, '... with the verdicts that it had handed over');
is(calls('j', 'backend', 30), 0, '... none of which is paid for again');
is(calls('j', 'after', 5), 5, 'the writer works again');
stored($node, 'j', 35, '... and writes');

# -- the verdict writer, with verdicts that it cannot write

my $writer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'";
my $log = -s $node->logfile;
my $lock = background($node, "BEGIN; LOCK TABLE gepa.verdict IN EXCLUSIVE MODE; SELECT 'locked';");
$lock->{run}->pump until $lock->{out} =~ /locked/;
my $asked = background($node, "SELECT count(gepa_judge('j', 'writer ' || i)) FROM generate_series(1, 5) i;");
$node->wait_for_log(qr/gepa verdict writer is held up/, $log);
crash(value($node, $writer), 'kill -9 of the writer');
finish($_) for $lock, $asked;
is(calls('j', 'writer', 5), 0, '... in which nothing that was handed over is paid for again');
stored($node, 'j', 40, '... and what could not be written before is written');

# A writer that is only told to end gives back what it has taken.  It lived
# for a short time, so that the next one comes after a second.
$log = -s $node->logfile;
$lock = background($node, "BEGIN; LOCK TABLE gepa.verdict IN EXCLUSIVE MODE; SELECT 'locked';");
$lock->{run}->pump until $lock->{out} =~ /locked/;
my $before = $mock->journal->{requests};
value($node, "BEGIN; SELECT gepa_judge('j', 'terminated'); ROLLBACK");
$node->wait_for_log(qr/gepa verdict writer is held up/, $log);
is(value($node, "SELECT pg_terminate_backend(pid, 10000) FROM ($writer) w"), 't', 'a writer is terminated');
is(value($node, "SELECT cached FROM gepa_verdict('j', 'terminated')"), 't', '... what it had taken is still known');
value($node, "SELECT pg_terminate_backend($lock->{pid}, 10000)");
finish($lock);
stored($node, 'j', 41, '... and the next writer writes it');
is($mock->journal->{requests}, $before + 1, '... so that it is paid for once');

# -- immediate shutdown

is(calls('j', 'immediate', 5), 5, 'verdicts of a transaction that commits');
$node->stop('immediate');
$node->start;
is(calls('j', 'immediate', 5), 0, '... are there after an immediate shutdown');

# -- a standby: stored verdicts are used, new ones are given and not stored

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
$before = $mock->journal->{requests};
is(value($standby, "SELECT cached FROM gepa_verdict('j', 'immediate 1')"), 't', 'a standby knows stored verdicts');
is($mock->journal->{requests}, $before, '... without a call');
is( value($standby, "SELECT cached FROM gepa_verdict('j', 'on a standby');
	SELECT cached FROM gepa_verdict('j', 'on a standby')"),
	"f\nt", 'a new one is asked for, and kept for the session');
is($mock->journal->{requests}, $before + 1, '... which is one call');
my (undef, $err) = outcome($standby, "SELECT gepa.start('j', 'none', NULL, 100)");
like($err, qr/ERROR:  25006: gepa.start\(\) cannot be used on a standby/, 'runs are for the primary');
$standby->promote;
is(value($standby, "SELECT cached FROM gepa_verdict('j', 'on a standby')"), 'f', 'after promotion it is asked for');
is(value($standby, "SELECT cached FROM gepa_verdict('j', 'on a standby')"), 't', '... and stored');

done_testing();
