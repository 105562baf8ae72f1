# Room in the ring: what a database that was dropped has left there is freed;
# without a writer a session waits for one once, and then goes on.
# A writer needs no room among the connections.

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

# Two verdicts of 100 kB fill the ring.
my $ring = "gepa.verdict_ring_size = '256kB'\n";

sub setup
{
	my ($node, $db) = @_;
	my $lm = "FOREIGN DATA WRAPPER gepa_lm OPTIONS (base_url '@{[$mock->url]}', allow_private_address 'true'";

	value($node, <<~SQL, db => $db);
		CREATE EXTENSION IF NOT EXISTS gepa;
		CREATE SERVER short $lm, model 'judge-rules');
		CREATE SERVER long $lm, model 'judge-rules+long-100000');
		SELECT gepa.create_judge('j', 'short', 'Is it good?');
		SELECT gepa.create_judge('l', 'long', 'Is it good?', options => '{"reasoning": true}');
		SQL
	return;
}

sub warnings { return scalar(() = $_[0] =~ /WARNING:  53400: $_[1]/g); }

# -- a database that is dropped while its verdicts wait

my $node = gepa_node('main', conf => $ring);
value($node, 'CREATE DATABASE other');
setup($node, $_) for 'postgres', 'other';
value($node, 'ALTER TABLE gepa.verdict ADD CHECK (false)', db => 'other');
value($node, "BEGIN; SELECT count(gepa_judge('l', 'text ' || i)) FROM generate_series(1, 2) i; ROLLBACK", db => 'other');
value($node, 'DROP DATABASE other WITH (FORCE)');
my ($out, $err) = outcome($node, "SELECT count(gepa_judge('l', 'text ' || i)) FROM generate_series(1, 3) i");
is("$out $err", '3 ', 'the ring has room for other databases');
is(value($node, 'SELECT count(*) FROM gepa.verdicts'), 3, '... whose verdicts are stored');
ok(slurp_file($node->logfile) =~ /gepa launcher discarded 2 verdicts of a database that was dropped/, '... which the log says');
$node->stop;

# -- no connection is free

$node = gepa_node('crowded', conf => "max_connections = 8\nsuperuser_reserved_connections = 0\n");
setup($node, 'postgres');
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa verdict writer'", 'no writer');
my @sessions = map { background($node, '') } 1 .. 8;
($out, $err) = outcome($node, 'SELECT 1');
like($err, qr/FATAL:  (?:53300: )?sorry, too many clients already/, 'all connections are taken');
$_->{in} .= "BEGIN; SELECT gepa_judge('j', 'of ' || pg_backend_pid()) IS NULL; ROLLBACK;\n" for @sessions;
for my $session (@sessions)
{
	$session->{run}->pump until $session->{out} =~ /f\n/;
}
$sessions[0]{in} .= "SELECT gepa_judge('j', 'last') IS NULL; SELECT 'stored ' || count(*) FROM gepa.verdicts;\n";
$sessions[0]{run}->pump until $sessions[0]{out} =~ /stored (\d+)\n/;
is($sessions[0]{out} =~ /stored (\d+)\n/ ? $1 : '', 9, '... and a writer stores what they hand over');
is((finish($_))[1], '', '... without a warning') for @sessions;
$node->stop;

# -- no room for a writer among the workers: the launcher takes the only slot

$node = gepa_node('alone', conf => "${ring}max_worker_processes = 1\nmax_logical_replication_workers = 0\n");
setup($node, 'postgres');

($out, $err) = outcome($node, join ";\n", map { "SELECT gepa_judge('j', 'text $_') IS NULL" } 1 .. 6);
is($out, join("\n", ('f') x 6), 'six transactions');
is(warnings($err, 'verdict writer does not keep up; this transaction commits before its verdicts are in the table'), 1,
	'... of which the first waits for the writer');

$mock->reset;
($out, $err) = outcome($node, <<'SQL');
SET default_transaction_read_only = on;
SELECT count(gepa_judge('l', 'text ' || i)) FROM generate_series(1, 6) i;
SELECT count(*) FROM gepa.verdicts;
SET default_transaction_read_only = off;
SELECT count(gepa_judge('l', 'text ' || i)) FROM generate_series(1, 6) i;
SELECT count(*) FROM gepa.verdicts;
SELECT count(gepa_judge('l', 'more text ' || i)) FROM generate_series(1, 3) i;
SELECT count(*) FROM gepa.verdicts;
SQL
is(warnings($err, 'verdict writer does not keep up, its ring is full'), 1, 'a full ring is waited for once');
is(warnings($err, ''), 1, '... and then nothing');
is($out, "6\n0\n6\n0\n3\n0", 'what has no room is known to the session');
is($mock->journal->{requests}, 9, '... paid for once');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
wait_sql($node, 'SELECT count(*) = 15 FROM gepa.verdicts', '... and stored as soon as there is a writer');
is($mock->journal->{requests}, 9, '... without another call');

done_testing();
