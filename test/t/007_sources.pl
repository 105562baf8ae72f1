# Whose rights a run has: rights taken away while it works, the source of its
# dataset, row security, and objects that are named to be picked up by mistake.

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

create_lm($node, 'judging', $mock, 'judge-rules');
create_lm($node, 'gated', $mock, 'judge-rules+gate', max_concurrency => 4);
create_lm($node, 'reflecting', $mock, 'reflector');
value($node, "CREATE ROLE $_ LOGIN; GRANT USAGE ON FOREIGN SERVER judging, gated, reflecting TO $_") for 'alice', 'eve';
may_call($node, 'alice', 'eve');
value($node, 'GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT CREATE ON DATABASE postgres TO eve');
load_world($node, 'labels', rows => 80, seed => 2);
value($node, 'GRANT SELECT ON labels TO alice');

sub as { my ($role, $sql) = @_; return value($node, "SET SESSION AUTHORIZATION $role;\n$sql"); }
sub refused { my ($role, $sql) = @_; return (outcome($node, "SET SESSION AUTHORIZATION $role;\n$sql"))[1]; }

as('alice', "SELECT gepa.create_judge('j', 'judging', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?')");
as('alice', "SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', feedback => 'note')");

# -- USAGE revoked while a run works

my $run = as('alice', "SELECT gepa.start('g', 'd', 'reflecting', 200)");
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'rollouts at the gate'), 'a run is at work');
value($node, 'REVOKE USAGE ON FOREIGN SERVER gated FROM alice');
$mock->gate(open => 1);
wait_sql($node, "SELECT status NOT IN ('queued', 'running') FROM gepa.runs WHERE run = $run", 'the end of the run');
is(value($node, "SELECT status, reason LIKE 'permission denied for LM \"gated\"%GRANT USAGE%' FROM gepa.runs WHERE run = $run"),
	'failed|t', 'USAGE revoked in its middle: it fails, and says why');
value($node, 'GRANT USAGE ON FOREIGN SERVER gated TO alice; REVOKE USAGE ON FOREIGN SERVER reflecting FROM alice');
as('alice', "SELECT gepa.resume($run)");
wait_sql($node, "SELECT status NOT IN ('queued', 'running') FROM gepa.runs WHERE run = $run", 'its end again');
is(value($node, "SELECT status, reason LIKE 'permission denied for LM \"reflecting\"%' FROM gepa.runs WHERE run = $run"),
	'failed|t', '... and so with the reflection LM, when it comes to that');
value($node, 'GRANT USAGE ON FOREIGN SERVER reflecting TO alice');
as('alice', "SELECT gepa.resume($run)");
is(as('alice', "SELECT gepa.wait($run)"), 'finished', '... with USAGE it goes on to its end');
is($mock->journal->{by_model}{'judge-rules+gate'}{requests}, value($node, "SELECT count(DISTINCT (step, split, sample)) FROM gepa.rollouts WHERE run = $run"),
	'... and has paid for each rollout once');

# -- the source is read with the rights of the dataset's owner, each time

my $start = "SELECT gepa.start('j', 'd', NULL, 100)";
value($node, 'REVOKE SELECT ON labels FROM alice');
like(refused('alice', $start), qr/ERROR:  42501: permission denied for table labels/, 'SELECT on the source revoked');
like((outcome($node, $start))[1], qr/ERROR:  42501: permission denied for table labels/,
	'... a superuser who starts the run lends none');
like(refused('eve', "SELECT gepa.create_dataset('e', 'labels', 'id', '{body}', 'keep')"), qr/42501/,
	'no dataset over a table that one may not read');
value($node, 'GRANT SELECT ON labels TO alice');
value($node, "SET SESSION AUTHORIZATION alice; CREATE VIEW view_of_alice AS SELECT * FROM labels; GRANT SELECT ON view_of_alice TO eve");
is(as('eve', "SELECT gepa.create_dataset('e', 'view_of_alice', 'id', '{body}', 'keep') > 0"), 't', '... but over a view that one may');

# A function in the source runs as the dataset's owner, restricted.
as('eve', q{CREATE FUNCTION spy(text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN RAISE NOTICE 'runs as %', current_user; RETURN $1; END $$});
as('eve', "SELECT gepa.create_dataset('trap', 'SELECT id, spy(body) AS body, keep FROM view_of_alice', 'id', '{body}', 'keep')");
as('eve', "SELECT gepa.create_judge('k', 'judging', 'Is it good?')");
my $err = (outcome($node, "SELECT gepa.start('k', 'trap', NULL, 100)"))[1];
like($err, qr/runs as eve/, 'a superuser who starts a run on a trap runs it as its owner');
unlike($err, qr/runs as (?!eve)/, '... and as nobody else');
as('eve', q{CREATE FUNCTION climb(text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN PERFORM set_config('role', 'none', false); PERFORM set_config('session_authorization', 'alice', false); RETURN $1; END $$});
as('eve', "SELECT gepa.create_dataset('climb', 'SELECT id, climb(body) AS body, keep FROM view_of_alice', 'id', '{body}', 'keep')");
like((outcome($node, "SELECT gepa.start('k', 'climb', NULL, 100)"))[1],
	qr/ERROR:  42501: cannot set parameter "role" within security-/, '... which cannot leave that role');

# -- row security

value($node, 'ALTER TABLE labels ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON labels TO alice USING (id <= 60)');
my $seen = as('alice', "SELECT gepa.start('j', 'd', NULL, 100)");
is(value($node, "SELECT count(*) FROM gepa.samples WHERE run = $seen AND sample::int > 60"), 0, 'row security holds for samples');
is(value($node, "SELECT count(*) FROM gepa.samples WHERE run = $seen"), 60, '... of which the owner sees 60');
$seen = value($node, "SELECT gepa.start('j', 'd', NULL, 100)");
is(value($node, "SELECT count(*) FROM gepa.samples WHERE run = $seen"), 60, '... also when a superuser starts the run');
like(refused('alice', "SET row_security = off; SELECT gepa.start('j', 'd', NULL, 100)"), qr/42501.*row-level security/,
	'row_security = off is an error, as everywhere');

# -- things of one's own that are named like those that gepa uses

as('eve', q{
	CREATE SCHEMA trap;
	CREATE FUNCTION trap.caught() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'caught as %', current_user; RETURN true; END $$;
	CREATE FUNCTION trap.eq(text, text) RETURNS bool LANGUAGE sql AS 'SELECT trap.caught()';
	CREATE FUNCTION trap.eq(int, int) RETURNS bool LANGUAGE sql AS 'SELECT trap.caught()';
	CREATE FUNCTION trap.eq(bytea, bytea) RETURNS bool LANGUAGE sql AS 'SELECT trap.caught()';
	CREATE OPERATOR trap.= (FUNCTION = trap.eq, LEFTARG = text, RIGHTARG = text);
	CREATE OPERATOR trap.= (FUNCTION = trap.eq, LEFTARG = int, RIGHTARG = int);
	CREATE OPERATOR trap.= (FUNCTION = trap.eq, LEFTARG = bytea, RIGHTARG = bytea);
	CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM trap.caught(); RETURN '-infinity'; END $$;
	CREATE FUNCTION trap.max(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM trap.caught(); RETURN 7; END $$;
	CREATE FUNCTION trap.has_server_privilege(oid, text) RETURNS bool LANGUAGE sql AS 'SELECT trap.caught()';
	CREATE FUNCTION trap.pg_has_role(oid, text) RETURNS bool LANGUAGE sql AS 'SELECT trap.caught()';
	CREATE DOMAIN trap.regrole AS text CHECK (trap.caught());
	CREATE DOMAIN trap.jsonb AS text CHECK (trap.caught())});
my $trap = 'SET search_path = trap, pg_temp, pg_catalog, public;
	CREATE TEMP TABLE judge (judge int, name text, owner oid, current_version int);
	CREATE TEMP TABLE verdict (verdict_digest bytea, digest bytea, label text);
	CREATE TEMP TABLE fence (key bytea);';
my ($out, $noise) = outcome($node, "SET SESSION AUTHORIZATION eve; $trap
	SELECT 1 WHERE trap.caught();
	SELECT gepa.create_judge('t', 'judging', 'Is it good?') > 0;
	SELECT gepa_judge('t', 'trapped') IS NOT NULL, gepa_judge('t', 'trapped') IS NOT NULL;
	SELECT gepa.alter_judge('t', prompt => 'Is it better?');
	SELECT count(*) FROM gepa.verdicts WHERE score >= 0;
	SELECT count(*) FROM gepa.runs;
	SELECT gepa.drop_judge('t')");
is(scalar(() = $noise =~ /caught as/g), 1, 'no trap is sprung, apart from the one that is called');
is($out =~ s/\n+/ /gr, '1 t t|t 2 1 0 ', '... and all is as it should be') or diag($noise);

done_testing();
