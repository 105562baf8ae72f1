# Traps that a role sets for others: objects that are named like ours, in schemas and
# among temporary ones; code in what a dataset reads; functions that lend rights.

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
create_lm($node, 'secret', $mock, 'judge-fixed-true');
create_lm($node, 'reflecting', $mock, 'reflector');
value($node, "CREATE ROLE $_ LOGIN") for 'alice', 'bob', 'eve';
may_call($node, 'alice', 'eve');
value($node, 'GRANT USAGE ON FOREIGN SERVER judging, secret, reflecting TO alice; GRANT USAGE ON FOREIGN SERVER judging TO bob, eve;
	GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT CREATE ON DATABASE postgres TO eve, alice');
load_world($node, 'labels', rows => 80, seed => 2);
value($node, 'GRANT SELECT ON labels TO PUBLIC');

sub as { my ($role, $sql) = @_; return outcome($node, "SET SESSION AUTHORIZATION $role;\n$sql"); }

as('alice', "SELECT gepa.create_judge('j', 'judging', 'Is it good?'); SELECT gepa.create_judge('hidden', 'secret', 'Is it?');
	SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', feedback => 'note');
	SELECT gepa.optimize('j', 'd', 'reflecting', 120);");

# -- names: whatever a victim's search_path finds first, gepa does not look there

my @like_ours = map { "CREATE FUNCTION trap.$_ LANGUAGE plpgsql AS \$\$ BEGIN PERFORM trap.caught(); RETURN NULL; END \$\$;" } (
	'now() RETURNS timestamptz', 'max(int) RETURNS int', 'count(int) RETURNS bigint', 'round(numeric, int) RETURNS numeric',
	'encode(bytea, text) RETURNS text', 'has_server_privilege(oid, text) RETURNS bool', 'pg_has_role(oid, text) RETURNS bool',
	'pg_get_userbyid(oid) RETURNS name', 'jsonb_array_elements(jsonb) RETURNS jsonb', 'nextval(regclass) RETURNS bigint',
	'make_interval() RETURNS interval', 'lm_validator(text[], oid) RETURNS bool', 'array_agg(text) RETURNS text[]');
my @operators = map {
	my ($name, $type) = @$_;
	my $function = "op_" . sprintf('%vd_', $name) =~ s/\./_/gr . $type;
	("CREATE FUNCTION trap.$function($type, $type) RETURNS bool LANGUAGE plpgsql AS \$\$ BEGIN RETURN trap.caught(); END \$\$;",
		"CREATE OPERATOR trap.$name (FUNCTION = trap.$function, LEFTARG = $type, RIGHTARG = $type);")
} map { my $type = $_; map { [ $_, $type ] } '=', '<', '<>', '~' } 'text', 'int', 'bytea', 'name', 'oid';
my (undef, $made) = as('eve', "CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO PUBLIC;
	CREATE FUNCTION trap.caught() RETURNS bool LANGUAGE plpgsql AS \$\$ BEGIN RAISE NOTICE 'caught %', current_user; RETURN true; END \$\$;
	@like_ours @operators
	CREATE DOMAIN trap.regrole AS text CHECK (trap.caught()); CREATE DOMAIN trap.jsonb AS text CHECK (trap.caught());
	CREATE DOMAIN trap.text AS pg_catalog.text CHECK (trap.caught()); CREATE DOMAIN trap.bytea AS pg_catalog.bytea CHECK (trap.caught());
	CREATE TABLE trap.judge (judge int, name pg_catalog.text); CREATE TABLE trap.runs (run int); CREATE TABLE trap.verdict (digest pg_catalog.bytea);
	CREATE TABLE trap.pg_foreign_server (oid oid, srvname name); CREATE TABLE trap.pg_user_mapping (oid oid)");
unlike($made, qr/ERROR/, 'traps are set') or diag($made);

my $use = q{
	SELECT public.gepa_judge('j', 'a text') IS NOT NULL AS a, (public.gepa_verdict('j', 'a text')).cached AS b \gset
	SELECT gepa.create_judge('t', 'judging', 'Is it?') AS c \gset
	SELECT gepa.alter_judge('t', prompt => 'Is it so?') AS d \gset
	SELECT gepa.drop_judge('t') \gset
	SELECT pg_catalog.count(*) AS e FROM gepa.lineage(1) \gset
	SELECT pg_catalog.count(*) AS f FROM gepa.report('j') \gset
	SELECT pg_catalog.count(*) AS g FROM gepa.prompt_diff(1, 0, 1) \gset
	SELECT steps AS h FROM gepa.replay(1) \gset
	SELECT pg_catalog.count(*) AS i FROM gepa.check_lm('judging') \gset
	SELECT pg_catalog.count(*) AS k FROM gepa.judges, gepa.judge_versions, gepa.datasets, gepa.runs, gepa.candidates, gepa.frontier, gepa.progress \gset
	SELECT pg_catalog.count(*) AS l FROM gepa.verdicts, gepa.rollouts, gepa.proposals, gepa.lms \gset
	SELECT gepa.start('j', 'd', 'reflecting', 120, seed => 5) AS m \gset
	SELECT gepa.wait(:m) AS n \gset
	\echo :a :b :d :e :f :g :h :i :n};
my $temp = 'CREATE TEMP TABLE judge (judge int, name text); CREATE TEMP TABLE verdict (digest bytea); CREATE TEMP TABLE fence (key bytea);
	CREATE TEMP TABLE runs (run int, best_candidate int); CREATE TEMP TABLE candidates (run int); CREATE TEMP TABLE pg_extension (oid oid, extname name);';
my ($plain) = outcome($node, $use);
like($plain, qr/^t (t|f) 2 \d+ \d+ \d+ \d+ \d finished$/, 'what a superuser sees without traps');
for my $path ('trap, pg_catalog, public', 'pg_temp, trap, pg_catalog', 'trap, gepa, pg_catalog')
{
	my ($out, $noise) = outcome($node, "$temp SET search_path = $path; SELECT trap.caught() AS x \\gset\n$use");

	is($out, $plain =~ s/^t f/t t/r, "search_path = $path: the same");
	is(scalar(() = $noise =~ /NOTICE:  00000: caught/g), 1, '... and no trap is sprung but the one that is called') or diag($noise);
}
like((as('eve', 'CREATE TABLE gepa.x (a int)'))[1], qr/42501: permission denied for schema gepa/, 'nothing can be put into schema gepa');

# -- code in what a dataset reads: it runs as the dataset's owner, whoever reads it

value($node, 'CREATE ROLE victim LOGIN SUPERUSER');
as('eve', q{CREATE FUNCTION spy(x int) RETURNS bool LANGUAGE plpgsql IMMUTABLE COST 0.0001
		AS $$ BEGIN RAISE NOTICE 'spy as %', current_user; RETURN true; END $$;
	CREATE FUNCTION spy_label(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE
		AS $$ BEGIN RAISE NOTICE 'spy as %', current_user; RETURN x; END $$;
	CREATE TABLE hers AS SELECT * FROM labels; GRANT ALL ON hers TO alice; ANALYZE hers;
	CREATE INDEX ON hers (spy_label(keep)); CREATE INDEX ON hers (id) WHERE spy(id);
	ALTER TABLE hers ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON hers TO PUBLIC USING (spy(id));
	CREATE VIEW her_view AS SELECT id, body, spy_label(keep) AS keep FROM labels WHERE spy(id); GRANT SELECT ON her_view TO alice;
	CREATE RULE r AS ON INSERT TO hers DO ALSO SELECT spy(1);});
for my $source ('hers', 'her_view')
{
	as('alice', "SELECT gepa.create_dataset('of_$source', '$source', 'id', '{body}', 'keep')");
	my ($out, $noise) = as('victim', "SELECT gepa.start('j', 'of_$source', NULL, 100) > 0");
	my %who = map { $_ => 1 } $noise =~ /spy as (\w+)/g;
	is(join(' ', sort keys %who), 'alice', "$source: policies and functions of the source run as the dataset's owner, not as who starts");
}
as('eve', q{CREATE OR REPLACE FUNCTION spy(x int) RETURNS bool LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS $$ BEGIN
	EXECUTE 'RESET SESSION AUTHORIZATION'; RETURN true; END $$});
like((as('victim', "SELECT gepa.start('j', 'of_hers', NULL, 100)"))[1], qr/ERROR:  (42501|0A000)/, '... and cannot leave that role');

# -- who pays: EXECUTE and USAGE of the role that the code runs as

as('alice', q{CREATE FUNCTION lends(text) RETURNS bool LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
		AS $$ SELECT public.gepa_judge('j', $1) $$;
	CREATE FUNCTION lends_not(text) RETURNS bool LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT public.gepa_judge('j', $1) $$;
	CREATE VIEW shown WITH (security_barrier) AS SELECT id, gepa_judge('j', body) AS good FROM labels WHERE id < 3;
	GRANT SELECT ON shown TO PUBLIC});
like((as('bob', "SELECT gepa_judge('j', 'x')"))[1], qr/42501: permission denied for function gepa_judge/, 'USAGE without EXECUTE: no call');
is((as('bob', "SELECT lends('x') IS NOT NULL"))[0], 't', '... SECURITY DEFINER lends both');
like((as('bob', "SELECT lends_not('x')"))[1], qr/42501: permission denied for function gepa_judge/, '... another function does not');
like((as('bob', 'SELECT * FROM shown'))[1], qr/42501: permission denied for function gepa_judge/, '... nor does a view, a barrier or not');
is((as('eve', 'SELECT count(good) FROM shown'))[0] > 0, 1, 'with both the view calls, on behalf of who reads it');

# A judge of which one knows the name is no way to its LM.
like((as('eve', "SELECT gepa_judge('hidden', 'x')"))[1], qr/ERROR:  42501: permission denied for LM "secret"/, 'a judge whose LM one may not use');
is((as('eve', q{SELECT count(*) FROM gepa.judges WHERE judge = 'hidden'}))[0], 0, '... is not shown either');
like((as('eve', "SELECT gepa_judge('none', 'x')"))[1], qr/ERROR:  42704: judge "none" does not exist/, '... though its existence is no secret');
is($mock->journal->{by_model}{'judge-fixed-true'}{requests} // 0, 0, '... and was never called');

done_testing();
