# The judge node off and on: cursors, prepared statements, functions (test/perl/Gepa/Compare.pm).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;

my $good = "SELECT id FROM docs WHERE gepa_judge('j', body)";

sub cursor
{
	my ($query, $steps, %options) = @_;
	my $about = delete $options{about} // 'CURSOR';

	return [ "DECLARE c $about FOR $query;\n$steps", explain => $query, %options ];
}

# -- cursors: who fetches a few rows has a few judged, and some ahead

$compare->run(
	'fetched to the end' => cursor($good, 'FETCH ALL c'),
	'fetched one by one' => cursor($good, 'FETCH c; FETCH c; FETCH c', early => 8),
	'fetched by more and more' => cursor($good, 'FETCH 2 c; FETCH 5 c; FETCH ALL c'),
	'moved' => cursor($good, 'MOVE 3 c; FETCH 2 c; MOVE ALL c; FETCH c'),
	'nothing fetched' => cursor($good, "CLOSE c; SELECT gepa_judge('k', 'one text')", peak => 'one'),
	'closed early' => cursor($good, "FETCH 2 c; CLOSE c; $good", early => 0),
	'back and forth' => cursor($good, 'FETCH 5 c; FETCH BACKWARD 2 c; FETCH PRIOR c; FETCH LAST c; FETCH FIRST c; FETCH ABSOLUTE 3 c', about => 'SCROLL CURSOR'),
	'back and forth in the list' => cursor("SELECT id, gepa_judge('j', body) FROM docs", 'FETCH 5 c; FETCH BACKWARD ALL c; FETCH 7 c', about => 'SCROLL CURSOR', early => 8),
	'back and forth in a sort' => cursor("$good ORDER BY title, id", 'FETCH 5 c; FETCH BACKWARD ALL c; FETCH 7 c', about => 'SCROLL CURSOR'),
	'back and forth over a join' => cursor("SELECT d.id, t.id FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', d.body || t.tag)",
		'FETCH 5 c; FETCH RELATIVE -3 c; FETCH 7 c; FETCH LAST c; FETCH BACKWARD 3 c', about => 'SCROLL CURSOR', early => 8),
	'not backwards' => cursor($good, 'FETCH 5 c; FETCH BACKWARD c', about => 'NO SCROLL CURSOR', early => 8, error => qr/55000: cursor can only scan forward/),
	'without a word about it' => cursor($good, 'FETCH 5 c; FETCH BACKWARD c', early => 8),
	'held' => [ "BEGIN;\nDECLARE c CURSOR WITH HOLD FOR $good;\nFETCH 2 c;\nCOMMIT;\nFETCH ALL c;\nCLOSE c", explain => $good, commit => 1 ],
	'held and rolled back' => [ "BEGIN;\nDECLARE c CURSOR WITH HOLD FOR $good;\nFETCH 2 c;\nROLLBACK;\nFETCH c", explain => $good, commit => 1, early => 8,
		error => qr/34000: cursor "c" does not exist/ ],
	'two of one text' => [ "DECLARE a CURSOR FOR $good;\nDECLARE b CURSOR FOR $good;\nFETCH 3 a;\nFETCH 4 b;\nFETCH ALL a;\nFETCH ALL b", explain => $good ],
	'two of two judges' => [ "DECLARE a CURSOR FOR $good;\nDECLARE b CURSOR FOR SELECT id FROM docs WHERE gepa_judge('k', body);\nFETCH 3 a;\nFETCH 4 b;\nFETCH 2 a;\nCLOSE a;\nFETCH b",
		explain => $good, early => 16 ],
	'a statement while one is open' => cursor($good, "FETCH 3 c; SELECT count(*) FROM docs WHERE gepa_judge('j', body); FETCH ALL c"),
	'one that is open in a savepoint' => [ "SAVEPOINT s;\nDECLARE c CURSOR FOR $good;\nFETCH 3 c;\nROLLBACK TO s;\n$good", explain => $good ],
	'one from before a savepoint' => cursor($good, 'FETCH 3 c; SAVEPOINT s; FETCH 3 c; ROLLBACK TO s; FETCH ALL c'),
	'rows it has seen before they changed' => cursor($good, "FETCH 2 c; UPDATE docs SET body = 'changed'; FETCH ALL c"),
	'for update' => cursor("$good ORDER BY id FOR UPDATE", 'FETCH 3 c; FETCH ALL c'),
	'for update, where current of' => cursor("$good FOR UPDATE", "FETCH 3 c; UPDATE docs SET title = 'the third' WHERE CURRENT OF c; FETCH 2 c; DELETE FROM docs WHERE CURRENT OF c",
		early => 8, after => 'SELECT id, title FROM docs ORDER BY id'),
	'where current of' => cursor($good, "FETCH 3 c; UPDATE docs SET title = 'the third' WHERE CURRENT OF c; FETCH 2 c; DELETE FROM docs WHERE CURRENT OF c",
		early => 8, after => 'SELECT id, title FROM docs ORDER BY id'),
	'where current of, by an index' => cursor("$good AND id > 4 ORDER BY id", "FETCH 3 c; UPDATE docs SET title = 'the third' WHERE CURRENT OF c RETURNING id",
		early => 8, set => 'enable_seqscan = off'),
	'where current of a join' => cursor("SELECT d.id FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', d.body || t.tag)", 'FETCH 3 c; DELETE FROM docs WHERE CURRENT OF c',
		early => 8, error => qr/24000: cursor "c" is not a simply updatable scan/));

# -- what settings decide, and changes between FETCHes

my $role = 'SELECT id FROM docs WHERE (current_user = \'chief\') = (grp < 2) AND gepa_judge(\'j\', body)';
my $setting = 'SELECT id, gepa_judge(\'j\', body || current_setting(\'my.word\')) FROM docs';

$compare->run(
	'rows for another role' => cursor($role, "FETCH 2 c; SET LOCAL ROLE chief; FETCH 2 c; RESET ROLE; FETCH ALL c",
		before => 'CREATE ROLE chief SUPERUSER'),
	'rows for one role' => [ $role, before => 'CREATE ROLE chief SUPERUSER' ],
	'documents of another setting' => cursor($setting, "FETCH 2 c; SET LOCAL my.word = 'two'; FETCH 3 c; FETCH ALL c",
		before => "SET LOCAL my.word = 'one'", early => 8),
	'documents of a setting that changes beside them' => [ "SELECT set_config('my.word', id::text, true), gepa_judge('j', body || current_setting('my.word')) FROM docs",
		before => "SET LOCAL my.word = 'one'", early => 64, peak => 'any' ]);

# -- prepared statements

my $prepare = 'PREPARE p(int) AS SELECT id FROM docs WHERE grp < $1 AND gepa_judge(\'j\', body)';
my @generic = (set => 'plan_cache_mode = force_generic_plan');
my @custom = (set => 'plan_cache_mode = force_custom_plan');

$compare->run(
	'a generic plan' => [ 'EXECUTE p(3)', before => $prepare, @generic ],
	'a custom plan' => [ 'EXECUTE p(3)', before => $prepare, @custom ],
	'a plan for all' => [ "EXECUTE p(1);\nEXECUTE p(2);\nEXECUTE p(3)", before => $prepare, explain => 'EXECUTE p(3)', @generic ],
	'a judge as a parameter' => [ "EXECUTE p('j');\nEXECUTE p('k')", before => 'PREPARE p(text) AS SELECT id FROM docs WHERE gepa_judge($1, body)', explain => "EXECUTE p('j')", @generic ],
	'a text as a parameter' => [ "EXECUTE p('x ')", before => 'PREPARE p(text) AS SELECT id, gepa_judge(\'j\', $1 || id) FROM docs', @generic ],
	'a limit as a parameter' => [ 'EXECUTE p(3)', before => 'PREPARE p(int) AS SELECT id FROM docs WHERE gepa_judge(\'j\', body) LIMIT $1', @generic, early => 8 ],
	'executed into a table' => [ 'CREATE TABLE made AS EXECUTE p(3)', before => $prepare, after => 'SELECT * FROM made', @generic ],
	'switched off under its plan' => [ "EXECUTE p(2);\nSET gepa.enable_judge_node = off;\nEXECUTE p(3)", before => $prepare, explain => 'EXECUTE p(3)', @generic ],
	'switched on under its plan' => [ "SET gepa.enable_judge_node = off;\nEXECUTE p(2);\nRESET gepa.enable_judge_node;\nEXECUTE p(3)", before => $prepare, explain => '', @generic, peak => 'any' ]);

# -- functions

sub block { my ($body) = @_; return [ "DO \$do\$$body\$do\$", explain => '' , @_[1 .. $#_] ]; }

$compare->run(
	'a loop' => block("DECLARE r record; BEGIN FOR r IN $good LOOP RAISE NOTICE 'row %', r.id; END LOOP; END"),
	'a loop that is left' => block("DECLARE r record; BEGIN FOR r IN $good LOOP RAISE NOTICE 'row %', r.id; EXIT WHEN r.id > 5; END LOOP; END", early => 60),
	'a loop with a call in its body' => block(q{DECLARE r record; BEGIN FOR r IN SELECT * FROM docs LOOP IF gepa_judge('j', r.body) THEN RAISE NOTICE 'row %', r.id; END IF; END LOOP; END}, peak => 'one'),
	'a loop that changes what it reads' => block("DECLARE r record; BEGIN FOR r IN $good LOOP UPDATE docs SET body = 'changed' WHERE id > r.id; RAISE NOTICE 'row %', r.id; END LOOP; END"),
	'a loop in a loop' => block("DECLARE a int; b int; BEGIN FOR a IN $good AND id < 9 LOOP FOR b IN SELECT id FROM tags WHERE doc = a AND gepa_judge('k', tag || id) LOOP RAISE NOTICE '% %', a, b; END LOOP; END LOOP; END"),
	'a cursor of a function' => block("DECLARE c CURSOR FOR $good; a int; BEGIN OPEN c; FETCH c INTO a; RAISE NOTICE 'first %', a; MOVE 2 FROM c; FETCH c INTO a; RAISE NOTICE 'fourth %', a; CLOSE c; END", early => 60),
	'an error that is caught' => block("DECLARE a int; BEGIN FOR a IN $good LOOP BEGIN PERFORM 1 / (a % 2); EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught at %', a; END; END LOOP; END"),
	'an error in the statement that is caught' => block("BEGIN PERFORM 1 / (id - 9) FROM docs WHERE gepa_judge('k', body) IS NOT NULL; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught'; PERFORM id FROM docs WHERE gepa_judge('j', body); END", early => 60, peak => 'any'),
	'an expression' => block(q{BEGIN RAISE NOTICE '%', gepa_judge('j', 'one text'); RAISE NOTICE '%', gepa_judge('j', 'another'); END}, peak => 'one'),
	'the first row' => block("DECLARE a int; BEGIN $good INTO a; RAISE NOTICE '%', a; END" =~ s/SELECT id/SELECT id/r =~ s/WHERE (.*?) INTO a/WHERE $1 LIMIT 1 INTO a/r, early => 60),
	'found' => block("BEGIN PERFORM id FROM docs WHERE gepa_judge('j', body); IF FOUND THEN RAISE NOTICE 'found'; END IF; END"),
	'dynamic' => block(q{DECLARE a int; BEGIN FOR a IN EXECUTE 'SELECT id FROM docs WHERE grp < $1 AND gepa_judge($2, body)' USING 3, 'j' LOOP RAISE NOTICE '%', a; END LOOP; END}),
	'return query' => [ 'SELECT * FROM f()', explain => '',
		before => "CREATE FUNCTION f() RETURNS SETOF int LANGUAGE plpgsql AS \$\$BEGIN RETURN QUERY $good; END\$\$" ],
	'a function that has something to say' => [ "SELECT id FROM docs WHERE gepa_judge('j', f(body))",
		before => q{CREATE FUNCTION f(text) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN RAISE NOTICE 'seen %', $1; RETURN $1; END$$} ],
	'a function that raises after it said something' => [ "SELECT id, gepa_judge('j', f(body)) FROM docs", early => 64, error => qr/P0001: enough/,
		before => q{CREATE FUNCTION f(text) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN RAISE NOTICE 'seen %', $1; IF $1 LIKE '%12%' THEN RAISE 'enough'; END IF; RETURN $1; END$$} ],
	'a function in SQL' => [ 'SELECT * FROM f(3)', before => q{CREATE FUNCTION f(int) RETURNS SETOF int LANGUAGE sql STABLE AS $$SELECT id FROM docs WHERE grp < $1 AND gepa_judge('j', body)$$} ],
	'a function in SQL that is not inlined' => [ 'SELECT f(i) FROM generate_series(1, 2) i', explain => '',
		before => q{CREATE FUNCTION f(int) RETURNS SETOF int LANGUAGE sql AS $$SELECT id FROM docs WHERE grp < $1 AND gepa_judge('j', body) ORDER BY id$$} ],
	'a judging function for each row' => [ 'SELECT id FROM docs WHERE f(body)', node => 0, peak => 'one',
		before => q{CREATE FUNCTION f(text) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RETURN gepa_judge('j', $1); END$$} ],
	'with the rights of another' => [ 'SELECT * FROM f()', explain => '',
		before => "CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql SECURITY DEFINER AS \$\$$good\$\$" ],
	'a procedure that commits' => [ 'CALL f()', commit => 1, explain => '', before => "CREATE OR REPLACE PROCEDURE f() LANGUAGE plpgsql AS \$\$DECLARE a int; BEGIN FOR a IN $good LOOP RAISE NOTICE '%', a; COMMIT; END LOOP; END\$\$" ],
	'copied out' => [ "COPY ($good) TO STDOUT", explain => $good ],
	'copied out, the list' => [ "COPY (SELECT id, gepa_judge('j', body) FROM docs) TO STDOUT (FORMAT csv)", explain => $good ]);

done_testing();
