# Without preload a transaction writes its verdicts when it commits, and the
# session keeps those of transactions that did not until it can write them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', preload => 0, conf => "max_prepared_transactions = 2\ndeadlock_timeout = '10ms'\n");

create_lm($node, 'plain', $mock, 'judge-rules');
create_lm($node, 'broken', $mock, 'judge-rules+400');
value($node, "SELECT gepa.create_judge('j', 'plain', 'Is it good?'), gepa.create_judge('b', 'broken', 'Is it good?')");

# What a session pays for is stored when it has ended, or not.
sub session
{
	my ($name, $sql, $stored) = @_;
	my $before = $mock->journal->{requests};

	$sql =~ s/JUDGE/SELECT gepa_judge('j', '$name')/g;
	value($node, $sql);
	is($mock->journal->{requests}, $before + 1, "$name: one call");
	is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE chars_total = length('$name')"), $stored,
		$stored ? '... whose verdict is stored' : '... whose verdict is lost');
	return;
}

session('rollback', 'BEGIN; JUDGE; ROLLBACK', 0);
session('rollback, again', 'BEGIN; JUDGE; ROLLBACK; JUDGE', 1);
session('savepoint', 'BEGIN; SAVEPOINT s; JUDGE; ROLLBACK TO s; COMMIT', 1);
session('caught', "DO \$\$ BEGIN PERFORM gepa_judge('j', 'caught'); PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN END \$\$", 1);
session('a procedure', "DO \$\$ BEGIN PERFORM gepa_judge('j', 'a procedure'); COMMIT; PERFORM 1; ROLLBACK; END \$\$", 1);
session('in a read-only transaction', 'BEGIN READ ONLY; JUDGE; COMMIT', 0);
session('read-only transaction, another', 'BEGIN READ ONLY; JUDGE; COMMIT; BEGIN READ ONLY; JUDGE; COMMIT; JUDGE', 1);
session('read only from now on', 'BEGIN; JUDGE; SET TRANSACTION READ ONLY; COMMIT; JUDGE; ', 1);
session('deferred error', q{
	CREATE TABLE late (i int UNIQUE DEFERRABLE INITIALLY DEFERRED);
	BEGIN; INSERT INTO late VALUES (1), (1); JUDGE; DELETE FROM late; COMMIT}, 1);
session('dropped extension in a transaction', 'BEGIN; JUDGE; DROP EXTENSION gepa CASCADE; ROLLBACK; JUDGE', 1);
is(value($node, "SELECT gepa.create_judge('d', 'plain', 'Is it?') > 0; BEGIN; SELECT gepa_judge('d', 'of a dropped judge') IS NULL;
	SELECT gepa.drop_judge('d') \\g /dev/null\nCOMMIT; SELECT count(*) FROM gepa.verdict WHERE judge NOT IN (SELECT judge FROM gepa.judge)"),
	"t\nf\n0", 'nothing is written for a judge that the transaction drops');
is(value($node, "BEGIN; SELECT gepa_judge('b', 'failing') IS NULL; SELECT gepa_judge('b', 'failing') IS NULL; COMMIT;
	SELECT attempts FROM gepa.verdict_errors"), "t\nt\n2", 'every attempt at a failure counts');

# More than memory holds is written before the commit.
my $many = "SELECT count(gepa_judge('c', 'text ' || i)) FROM generate_series(1, 20500) i";
value($node, "CREATE SERVER canned FOREIGN DATA WRAPPER gepa_lm OPTIONS (api 'canned', model 'm'); SELECT gepa.create_judge('c', 'canned', 'Is it?')");
is(value($node, "$many; SELECT count(*) FROM gepa.verdicts WHERE judge = 'c'"), "20500\n20500", 'a long query loses nothing');

# -- two transactions with the same texts, in opposite orders

my @sessions = map { background($node, 'BEGIN;') } 1, 2;

sub say
{
	my ($to, $sql) = @_;

	$to->{in} .= "$sql;\nSELECT 'said';\n";
	$to->{run}->pump until $to->{out} =~ s/said\n//;
	return;
}

say($sessions[$_], "SELECT gepa_judge('j', 'opposite $_')") for 0, 1;
$sessions[$_]{in} .= "SELECT gepa_judge('j', 'opposite @{[1 - $_]}');\nCOMMIT;\n" for 0, 1;
is((finish($_))[1], '', 'neither waits for the other') for @sessions;
is(value($node, "SELECT count(*) FROM gepa.verdicts WHERE judge = 'j' AND chars_total = length('opposite 1')"), 2, '... each text is stored once');

# -- a prepared transaction has nothing in the table for others to wait for

my $before = $mock->journal->{requests};
my $prepared = background($node, '');
say($prepared, "BEGIN; SELECT gepa_judge('j', 'prepared text'); PREPARE TRANSACTION 'p'");
is(value($node, "SELECT cached FROM gepa_verdict('j', 'prepared text')"), 'f', 'another pays for the same text');
is(value($node, "COMMIT PREPARED 'p'; SELECT count(*) FROM gepa.verdicts WHERE chars_total = length('prepared text')"), 1, '... and stores it');
say($prepared, "SELECT gepa_judge('j', 'prepared text')");
is($mock->journal->{requests}, $before + 2, '... the session has not forgotten it');
is((finish($prepared))[1], '', '... and writes it over');

done_testing();
