# What a cached plan with a judge node in it refers to is altered, replaced, dropped,
# restored; and the node on a standby.

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
my $node = gepa_node('main', streaming => 1);
my $plan = q{SELECT id FROM docs WHERE gepa_judge('j', body) AND helper(id) ORDER BY id};
my $world = <<'SQL';
SELECT gepa.create_judge('j', 'one', 'Is it good?');
CREATE TABLE docs AS SELECT i AS id, 'document ' || i || (ARRAY[' alpha', ''])[i % 2 + 1] AS body FROM generate_series(1, 12) i;
CREATE FUNCTION helper(int) RETURNS bool LANGUAGE plpgsql COST 1 AS 'BEGIN RETURN $1 > 2; END';
SQL

create_lm($node, 'one', $mock, 'judge-rules', max_concurrency => 8);
value($node, $world);
my $rows = value($node, $plan);
isnt($rows, '', 'there are rows');

# A session with a generic plan, something in between, and the plan again.
sub between
{
	my ($sql, %options) = @_;
	my ($out, $err) = outcome($node, <<~"SQL", %options);
		SET plan_cache_mode = force_generic_plan;
		PREPARE p AS $plan;
		EXPLAIN EXECUTE p;
		\\echo between
		$sql;
		\\echo then
		EXPLAIN EXECUTE p;
		\\echo rows
		EXECUTE p;
		SELECT 'alive';
		SQL
	my ($first, $then, $got) = $out =~ /(.*)between\n.*then\n(.*)rows\n(.*)/s;

	like($first, qr/Custom Scan \(Judge\)/, "$options{name}: the node is in the plan");
	return ($then, $got, $err);
}

my ($then, $got, $err) = between('ALTER FUNCTION helper(int) COST 100000', name => 'ALTER FUNCTION of a helper');
is_deeply([ $got, $err ], [ "$rows\nalive", '' ], '... same rows');
like($then, qr/Custom Scan \(Judge\)/, '... with the node');

($then, $got, $err) = between('ALTER FUNCTION gepa_judge(text, text) COST 1', name => "ALTER FUNCTION of a judge's own");
is_deeply([ $got, $err ], [ "$rows\nalive", '' ], '... same rows');

value($node, 'ALTER FUNCTION gepa_judge(text, text) RENAME TO judged');
like(value($node, 'EXPLAIN ' . $plan =~ s/gepa_judge/judged/r), qr/Custom Scan \(Judge\)/, 'renamed, it is found by what it is');
is(value($node, $plan =~ s/gepa_judge/judged/r), $rows, '... with the same rows');
value($node, 'ALTER FUNCTION judged(text, text) RENAME TO gepa_judge');

($then, $got, $err) = between("CREATE OR REPLACE FUNCTION helper(int) RETURNS bool LANGUAGE sql AS 'SELECT \$1 > 4'", name => 'a replaced helper');
is($got, join("\n", (grep { $_ > 4 } split /\n/, $rows), 'alive'), '... is the new one');
value($node, "CREATE OR REPLACE FUNCTION helper(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN \$1 > 2; END'");

($then, $got, $err) = between("SELECT gepa.alter_judge('j', prompt => 'RULE: documents that mention \"alpha\" are true')", name => 'a new version');
like($then, qr/version 2/, '... is what the plan says');
value($node, "SELECT gepa.alter_judge('j', prompt => 'Is it good?')");

($then, $got, $err) = between('DROP FUNCTION helper(int)', name => 'a dropped helper');
like($err, qr/ERROR:  42883: function helper\(integer\) does not exist/, '... is missed');
is($got, 'alive', '... by a session that lives on');
value($node, "CREATE FUNCTION helper(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN \$1 > 2; END'");

($then, $got, $err) = between("SELECT gepa.drop_judge('j')", name => 'a dropped judge');
like($err, qr/ERROR:.*judge "j" does not exist/, '... is missed');
is($got, 'alive', '... by a session that lives on');
value($node, "SELECT gepa.create_judge('j', 'one', 'Is it good?')");

# An open cursor goes on although others change what it calls.
my ($out) = outcome($node, <<~"SQL");
	BEGIN;
	DECLARE c CURSOR FOR $plan;
	FETCH 2 c;
	ALTER FUNCTION gepa_judge(text, text) COST 7;
	CREATE OR REPLACE FUNCTION helper(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN \$1 > 2; END';
	FETCH ALL c;
	COMMIT;
	SQL
is($out, $rows, 'a cursor is read to its end');

($then, $got, $err) = between('DROP EXTENSION gepa CASCADE', name => 'DROP EXTENSION');
like($err, qr/ERROR:  42883: function gepa_judge\(unknown, text\) does not exist/, '... the plan is of no use any more');
is($got, 'alive', '... to a session that lives on');
value($node, 'CREATE EXTENSION gepa');
create_lm($node, 'one', $mock, 'judge-rules', max_concurrency => 8);
value($node, "SELECT gepa.create_judge('j', 'one', 'Is it good?')");
is(value($node, "SET plan_cache_mode = force_generic_plan; PREPARE p AS $plan; EXECUTE p"), $rows, 'made again, it is as before');

# Nothing of a plan is in a dump: views and rules have the calls.
value($node, "CREATE VIEW good AS $plan; CREATE FUNCTION good_ids() RETURNS SETOF int BEGIN ATOMIC SELECT id FROM docs WHERE gepa_judge('j', body); END");
my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);
like($dump, qr/CREATE VIEW public\.good AS.*?gepa_judge\('j'::text, (?:docs\.)?body\)/s, 'a dumped view calls the judge');
unlike($dump, qr/Custom|underlay|gepa_node/i, '... and has nothing of the node');
value($node, 'CREATE DATABASE other');
my $file = $node->basedir . '/dump.sql';
append_to_file($file, $dump);
my (undef, $errors) = outcome($node, "\\i $file", db => 'other');
unlike($errors, qr/ERROR/, 'it can be restored');
is(value($node, 'SELECT id FROM good', db => 'other'), $rows, '... and the view has the same rows');
like(value($node, 'EXPLAIN SELECT id FROM good', db => 'other'), qr/Custom Scan \(Judge\)/, '... by the node');

# A standby judges as well; what it pays for is known to the session only.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
value($node, "SELECT gepa.alter_judge('j', prompt => 'Is it good, there?')");
$node->wait_for_catchup($standby, 'replay', $node->lsn('write'));
like(value($standby, "EXPLAIN $plan"), qr/Custom Scan \(Judge\)/, 'on a standby there is the node');
$mock->reset;
$mock->meet(2);
is(value($standby, "$plan; \\o /dev/null\n$plan"), $rows, '... with the same rows');
my $journal = $mock->journal;
is($journal->{requests}, 10, '... each asked for once in a session');
cmp_ok($journal->{peak}, '>', 1, '... side by side');

done_testing();
