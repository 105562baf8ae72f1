# Rows that another session changes while a statement with a judge node waits for them are
# checked again: with the new text, and with the same result as without the node.

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
my $node = gepa_node('main');
my $version = 0;

sub prompt
{
	return "E'Is it good ($version)?\\nRULE: documents that mention \"yes\" are true\\nRULE: documents that mention \"no\" are false'";
}

create_lm($node, 'lm', $mock, 'judge-rules', max_concurrency => 16);
value($node, "SELECT gepa.create_judge('j', 'lm', " . prompt() . ')');

# Others have changed four rows, and commit when the statement waits for the first.
sub run_against
{
	my ($mode, $sql) = @_;

	$version++;
	value($node, <<"SQL");
SELECT gepa.alter_judge('j', prompt => @{[ prompt() ]});
DROP TABLE IF EXISTS d, e;
CREATE TABLE d (id int PRIMARY KEY, body text, n int DEFAULT 0);
INSERT INTO d SELECT i, CASE WHEN i % 2 = 0 THEN 'yes ' ELSE 'no ' END || i FROM generate_series(1, 30) i;
CREATE TABLE e (id int PRIMARY KEY, body text);
INSERT INTO e SELECT id, 'yes too ' || id FROM d;
ANALYZE d, e;
SQL
	$mock->reset;
	my $other = background($node, <<'SQL');
BEGIN;
UPDATE d SET body = 'no longer' WHERE id = 4;
UPDATE d SET body = 'yes now' WHERE id = 5;
UPDATE d SET n = 7 WHERE id = 6;
DELETE FROM d WHERE id = 8;
SELECT 'ready';
DO $$ BEGIN
	WHILE NOT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
COMMIT;
SQL
	$other->{run}->pump until $other->{out} =~ /ready/;
	my ($out, $err) = outcome($node, "SET gepa.enable_judge_node = $mode;\n$sql");
	my $complaint = (finish($other))[1];

	is($complaint, '', 'others had changed rows');
	my %run = (
		output => $out . $err,
		requests => $mock->journal->{requests},
		rows => value($node, 'SELECT string_agg(format($$%s %s %s$$, id, body, n), $$,$$ ORDER BY id) FROM d'));
	return \%run;
}

my %statements = (
	'UPDATE' => "UPDATE d SET n = n + 1 WHERE gepa_judge('j', body);\nSELECT 'done';",
	'DELETE' => "DELETE FROM d WHERE gepa_judge('j', body);\nSELECT 'done';",
	'SELECT FOR UPDATE' => "SELECT id, body, n FROM d WHERE gepa_judge('j', body) ORDER BY id FOR UPDATE;",
	'a judge in the SELECT list' => "SELECT id, gepa_judge('j', body), n FROM d ORDER BY id FOR UPDATE;",
	'UPDATE FROM' => "UPDATE d SET n = d.n + 1 FROM e WHERE d.id = e.id AND gepa_judge('j', d.body) AND gepa_judge('j', e.body);\nSELECT 'done';",
	'a judge in SET' => "UPDATE d SET n = CASE WHEN gepa_judge('j', body) THEN 1 ELSE 2 END;\nSELECT 'done';");

for my $name (sort keys %statements)
{
	my ($off, $on) = map { run_against($_, $statements{$name}) } ('off', 'on');

	is($on->{output}, $off->{output}, "$name: the output is that without the node");
	is($on->{rows}, $off->{rows}, '... and so is the table');
	is($on->{requests}, $off->{requests}, '... with as many requests');
}
my $run = run_against('on', "UPDATE d SET n = n + 1 WHERE gepa_judge('j', body);");
like($run->{rows}, qr/4 no longer 0,5 yes now 0,6 yes 6 8,/, 'what no longer passes is left, and what does is changed as it is now');

done_testing();
