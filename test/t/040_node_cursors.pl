# Statements with a judge node that are not simply run: cursors, nested ones, those in
# subtransactions, those of functions, and plans that are kept.

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

create_lm($node, 'lm', $mock, 'judge-rules+slow-1', max_concurrency => 16);
value($node, "SELECT gepa.create_judge('j', 'lm', 'Is it good?'); SELECT gepa.create_judge('k', 'lm', 'Is it bad?')");
value($node, <<'SQL');
CREATE TABLE d (id int PRIMARY KEY, body text);
INSERT INTO d SELECT i, 'document ' || i FROM generate_series(1, 100) i;
CREATE TABLE few (id int PRIMARY KEY, body text);
INSERT INTO few SELECT i, 'few ' || i FROM generate_series(1, 5) i;
ANALYZE d, few;
CREATE FUNCTION good(n int) RETURNS SETOF int LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	FOR r IN SELECT id FROM d WHERE id <= n AND gepa_judge('j', body) LOOP
		RETURN NEXT r.id;
	END LOOP;
END $$;
CREATE FUNCTION nested(n int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT count(*) FROM few WHERE id <= n AND gepa_judge('k', body));
END $$;
CREATE FUNCTION deep(n int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT sum(id + CASE WHEN n > 1 AND gepa_judge('j', body) THEN deep(n - 1) ELSE 0 END) FROM few WHERE gepa_judge('k', body) IS NOT NULL AND id <= n);
END $$;
CREATE FUNCTION one_sql(n int) RETURNS int LANGUAGE sql AS $$ SELECT id FROM d WHERE id >= n AND gepa_judge('j', body) $$;
CREATE FUNCTION simple(t text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN gepa_judge('k', t); END $$;
CREATE FUNCTION caught(t text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count(gepa_judge('k', body)) / 0 FROM few;
	RETURN 'never';
EXCEPTION WHEN division_by_zero THEN
	RETURN 'caught ' || gepa_judge('k', t);
END $$;
SQL

sub forget
{
	$version++;
	value($node, "SELECT gepa.alter_judge('j', prompt => 'Is it good ($version)?'); SELECT gepa.alter_judge('k', prompt => 'Is it bad ($version)?')");
	$mock->reset;
	return;
}

my %requests;

# The same output; the journal of the run with the node.
sub same
{
	my ($what, $sql) = @_;
	my %seen;

	for my $mode ('off', 'on')
	{
		forget();
		my ($out, $err) = outcome($node, "SET gepa.enable_judge_node = $mode;\n$sql");
		$seen{$mode} = $out . $err =~ s/LOCATION: .*\n//gr =~ s/psql:<stdin>:\d+: //gr;
		$requests{$mode} = $mock->journal->{requests};
	}
	is($seen{on}, $seen{off}, $what);
	cmp_ok($requests{off}, '>', 0, '... some were judged');
	return $mock->journal;
}

# -- cursors

my $journal = same('a cursor, bit by bit', <<'SQL');
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM d WHERE gepa_judge('j', body) IS NOT NULL;
FETCH 1 FROM c; FETCH 3 FROM c; FETCH 10 FROM c; FETCH 1 FROM c; CLOSE c; COMMIT;
SQL
cmp_ok($journal->{requests}, '<=', 15 + 8 + 15, '... of which no more than a window is in vain');
is($journal->{aborted}, 0, '... and nothing is called back');
$journal = same('a cursor to its end', <<'SQL');
BEGIN; DECLARE c CURSOR FOR SELECT id, gepa_judge('k', body) FROM d WHERE gepa_judge('j', body); FETCH 2 FROM c; FETCH ALL FROM c; FETCH 1 FROM c; COMMIT;
SQL
is($requests{on}, $requests{off}, '... with the requests of serial evaluation');
same('a cursor that scrolls', <<'SQL');
BEGIN; DECLARE c SCROLL CURSOR FOR SELECT id FROM d WHERE gepa_judge('j', body); FETCH 5 FROM c; FETCH PRIOR FROM c; FETCH FIRST FROM c; MOVE 10 IN c; FETCH BACKWARD 3 FROM c; FETCH LAST FROM c; COMMIT;
SQL
same('a cursor that is held', <<'SQL');
BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT id FROM d WHERE gepa_judge('j', body); FETCH 2 FROM c; COMMIT; FETCH 3 FROM c; CLOSE c;
SQL
same('two cursors side by side', <<'SQL');
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM d WHERE gepa_judge('j', body);
DECLARE e CURSOR FOR SELECT id FROM d WHERE gepa_judge('j', body) ORDER BY id DESC;
FETCH 3 FROM c; FETCH 3 FROM e; FETCH 3 FROM c; CLOSE c; FETCH 3 FROM e; COMMIT;
SQL
same('the same cursor twice', <<'SQL');
PREPARE p AS SELECT id FROM d WHERE gepa_judge('j', body);
BEGIN; DECLARE c CURSOR FOR SELECT id FROM d WHERE gepa_judge('j', body); FETCH 3 FROM c; EXECUTE p; FETCH 3 FROM c; COMMIT;
SQL
same('a row at a cursor', <<'SQL');
BEGIN;
DECLARE c CURSOR FOR SELECT id, body FROM d WHERE gepa_judge('j', body);
FETCH 3 FROM c; UPDATE d SET body = body || '!' WHERE CURRENT OF c RETURNING id; FETCH 1 FROM c; DELETE FROM d WHERE CURRENT OF c RETURNING id; FETCH 1 FROM c; ROLLBACK;
SQL
same('a row at a cursor, locked', <<'SQL');
BEGIN;
DECLARE c CURSOR FOR SELECT id, body FROM d WHERE gepa_judge('j', body) FOR UPDATE;
FETCH 3 FROM c; UPDATE d SET body = body || '!' WHERE CURRENT OF c RETURNING id; FETCH 1 FROM c; ROLLBACK;
SQL

# -- subtransactions

same('a cursor across subtransactions', <<'SQL');
BEGIN; SAVEPOINT a; DECLARE c CURSOR FOR SELECT id FROM d WHERE gepa_judge('j', body); FETCH 3 FROM c; RELEASE a;
SAVEPOINT b; FETCH 3 FROM c; ROLLBACK TO b; FETCH 3 FROM c; COMMIT;
SQL
same('a cursor that a rollback ends', <<'SQL');
BEGIN; SAVEPOINT a; DECLARE c CURSOR FOR SELECT id FROM d WHERE gepa_judge('j', body); FETCH 3 FROM c; ROLLBACK TO a; FETCH 3 FROM c; ROLLBACK;
SELECT id FROM d WHERE gepa_judge('j', body);
SQL
same('an error that a function catches, row by row', "SELECT id, gepa_judge('j', body), caught(body), gepa_judge('j', body) FROM few");
same('an error in the middle of a cursor', <<'SQL');
BEGIN; DECLARE c CURSOR FOR SELECT 10 / (5 - id), gepa_judge('j', body) FROM d; FETCH 3 FROM c; SAVEPOINT a; FETCH 3 FROM c; ROLLBACK TO a; FETCH 1 FROM c; ROLLBACK; SELECT id FROM few WHERE gepa_judge('j', body);
SQL

# -- nested statements

same('a loop of PL/pgSQL', 'SELECT * FROM good(60)');
same('... that is left', "SELECT * FROM good(60) LIMIT 3; DO \$\$ DECLARE r record; BEGIN FOR r IN SELECT id FROM d WHERE gepa_judge('j', body) LOOP EXIT WHEN r.id > 9; RAISE NOTICE '%', r.id; END LOOP; END \$\$");
same('a statement in a statement', "SELECT id, nested(id) FROM few WHERE gepa_judge('j', body) IS NOT NULL AND nested(id) > 0");
same('a statement in itself', 'SELECT deep(4)');
same('a function of SQL', 'SELECT id, one_sql(id) FROM few');
same('a simple expression of PL/pgSQL beside a call', "SELECT id, simple(body), gepa_judge('k', body), simple(body || '?') FROM few");

# -- plans that are kept

$journal = same('a plan that is kept', <<'SQL');
SET plan_cache_mode = force_generic_plan;
PREPARE q(text, int) AS SELECT id FROM d WHERE id <= $2 AND gepa_judge($1, body);
EXECUTE q('j', 50); EXECUTE q('k', 50); EXECUTE q('j', 60); EXECUTE q('j', 60);
SQL
is($requests{on}, $requests{off}, '... with the requests of serial evaluation');
same('a version that comes between two executions', <<'SQL');
PREPARE q(int) AS SELECT id, (gepa_verdict('j', body)).version - $1 FROM few;
SELECT current_version AS old FROM gepa.judges WHERE judge = 'j' \gset
EXECUTE q(:old);
SELECT gepa.alter_judge('j', prompt => 'Another at ' || clock_timestamp()) > :old;
EXECUTE q(:old);
SQL
forget();
value($node, "PREPARE q AS SELECT count(gepa_judge('j', body)) FROM d; SET gepa.enable_judge_node = off; EXECUTE q; EXECUTE q");
is($mock->journal->{peak}, 1, 'the parameter turns off the node of a plan that is kept');

# -- rescans

same('a node that is scanned again and again', 'SELECT f.id, x.n FROM few f, LATERAL (SELECT count(*) AS n FROM d WHERE d.id <= f.id AND gepa_judge(\'j\', d.body)) x');
same('... and left each time', 'SELECT f.id, (SELECT d.id FROM d WHERE d.id >= f.id AND gepa_judge(\'j\', d.body) ORDER BY d.id LIMIT 1) FROM few f');
same('... by EXISTS', 'SELECT f.id FROM few f WHERE EXISTS (SELECT 1 FROM d WHERE d.id >= f.id AND gepa_judge(\'j\', d.body || f.body))');

done_testing();
