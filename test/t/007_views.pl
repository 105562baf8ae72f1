# What a role reads of others, by whatever way: nothing.  Every view of gepa is tried;
# a new one has to be named here.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Each view, and the roles that see its rows besides their owner: nobody, those
# who may use the LM, or everybody (as pg_foreign_server does).
my %views = (
	lms => 'everybody',
	(map { $_ => 'users' } qw(judges judge_versions)),
	(map { $_ => 'nobody' } qw(datasets runs progress samples candidates frontier proposals reflections rollouts
		schedules verdicts verdict_errors lm_calls)));

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

create_lm($node, 'judging', $mock, 'judge-rules');
create_lm($node, 'gated', $mock, 'judge-rules+gate');
create_lm($node, 'broken', $mock, 'judge-rules+400');
create_lm($node, 'reflecting', $mock, 'reflector');
value($node, "CREATE ROLE $_ LOGIN") for 'alice', 'bob', 'eve';
may_call($node, 'alice', 'bob', 'eve');
value($node, 'GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT USAGE ON FOREIGN SERVER judging, gated, broken, reflecting TO alice;
	GRANT USAGE ON FOREIGN SERVER judging TO bob');
load_world($node, 'labels', rows => 80, seed => 2);
value($node, 'GRANT SELECT ON labels TO alice');

sub as { my ($role, $sql) = @_; return outcome($node, "SET SESSION AUTHORIZATION $role;\n$sql"); }

# All that there can be, of alice.
my (undef, $err) = as('alice', "
	SELECT gepa.create_judge('j', 'judging', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?'),
		gepa.create_judge('b', 'broken', 'Is it good?');
	SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', feedback => 'note');
	SELECT gepa.optimize('j', 'd', 'reflecting', 120);
	SELECT gepa.deploy(1);
	SELECT gepa_judge('j', body), gepa_judge('b', 'text') FROM labels LIMIT 3;
	SELECT gepa.create_schedule('s', 'j', 'd', 'reflecting', every => '1 year');
	SELECT gepa.start('g', 'd', 'reflecting', 120);");
unlike($err, qr/ERROR/, 'alice has something of everything');
wait_sql($node, 'SELECT count(*) > 0 FROM gepa.verdict_errors', 'an error');

is_deeply(
	[ split /\n/, value($node, "SELECT viewname FROM pg_views WHERE schemaname = 'gepa' ORDER BY viewname COLLATE \"C\"") ],
	[ sort keys %views ], 'this test knows every view of gepa');

# A function that tells what it is shown, and is cheap enough to be tried first.
as('eve', q{CREATE FUNCTION tell(text) RETURNS bool LANGUAGE plpgsql COST 0.0000001
	AS 'BEGIN RAISE NOTICE ''seen %'', $1; RETURN true; END'});
as('alice', "CREATE VIEW alice_$_ AS SELECT * FROM gepa.$_; GRANT SELECT ON alice_$_ TO PUBLIC") for keys %views;
as('eve', "CREATE VIEW eve_$_ AS SELECT * FROM gepa.$_; GRANT SELECT ON eve_$_ TO PUBLIC") for keys %views;
value($node, 'ANALYZE');

# Every way gives a line with a number of rows.
sub ways
{
	my ($view) = @_;
	my $rows = "(SELECT count(*) FROM gepa.$view)";

	return (
		'SELECT' => "SELECT $rows",
		'row_security off' => "SET row_security = off; SELECT $rows; RESET row_security",
		'COPY' => "COPY (SELECT count(*) FROM gepa.$view) TO STDOUT",
		'a cursor' => "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT * FROM gepa.$view; MOVE ALL FROM c; MOVE BACKWARD ALL FROM c;"
		  . " FETCH FIRST FROM c \\gset f_\nSELECT :ROW_COUNT; COMMIT",
		'a view of one\'s own' => "SELECT count(*) FROM eve_$view",
		'a view of the owner\'s' => "SELECT count(*) FROM alice_$view",
		'a leaky function' => "SELECT count(*) FROM gepa.$view v WHERE tell(v::text)",
		'... in a view' => "SELECT count(*) FROM eve_$view v WHERE tell(v::text)",
		'... in a join' => "SELECT count(*) FROM gepa.$view v JOIN (VALUES (1)) x ON tell(v::text)",
		'a table made of it' => "CREATE TEMP TABLE copied AS SELECT * FROM gepa.$view; SELECT count(*) FROM copied; DROP TABLE copied",
		'a prepared statement' => "PREPARE p AS SELECT count(*) FROM gepa.$view; EXECUTE p; DEALLOCATE p");
}

my %sees = (alice => [ 'nobody', 'users', 'everybody' ], bob => [ 'users', 'everybody' ], eve => ['everybody']);
for my $view (sort keys %views)
{
	my %ways = ways($view);
	my @ways = sort keys %ways;
	my $script = join "\n", map { "$ways{$_};" } @ways;

	for my $role (sort keys %sees)
	{
		my $expected = grep({ $_ eq $views{$view} } @{ $sees{$role} }) ? 'rows' : 'none';
		my ($out, $noise) = as($role, $script);
		my @shown = split /\n/, $out;

		is_deeply({ map { $ways[$_] => $shown[$_] ? 'rows' : 'none' } 0 .. $#ways }, { map { $_ => $expected } @ways },
			"gepa.$view: $role sees $expected") or diag($noise);
		is($noise =~ /seen/ ? 'told' : 'not told', $expected eq 'rows' ? 'told' : 'not told', '... and functions are shown the same');
	}
}

# A plan that was made for one role does not show another what the first may see.
my ($out) = outcome($node, join "\n", map { "SET ROLE alice; PREPARE p AS SELECT count(*) > 0 FROM gepa.$_; EXECUTE p;
	SET ROLE eve; EXECUTE p; RESET ROLE; DEALLOCATE p;" } grep { $views{$_} eq 'nobody' } sort keys %views);
is($out =~ s/\n//gr, 'tf' x grep({ $_ eq 'nobody' } values %views), 'a plan is no way round it');

# What lies behind the views is nobody's, statistics included.
my @tables = split /\n/, value($node, q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'gepa'::regnamespace AND relkind IN ('r', 'p', 'S')});
cmp_ok(scalar(@tables), '>', 12, 'tables and sequences');
for my $role ('alice', 'eve')
{
	my $refused = (as($role, join "\n", map { "SELECT * FROM $_;" } @tables))[1];
	is(scalar(() = $refused =~ /ERROR:  42501: permission denied for (table|sequence)/g), scalar(@tables), "$role reads none of them");
	is((as($role, q{SELECT count(*) FROM pg_stats WHERE schemaname = 'gepa'}))[0], 0, '... nor their statistics');
}

done_testing();
