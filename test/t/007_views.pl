# What a role reads of others, by whatever way: nothing.  Every view of gepa is tried;
# a new one has to be named here.  And what EXPLAIN tells of the rows behind them: numbers.

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
	(map { $_ => 'users' } qw(judges judge_versions routers router_versions lm_stats)),
	(map { $_ => 'nobody' } qw(classifiers graders grades datasets runs progress samples candidates decisions frontier proposals reflections reflection_calls rollouts
		schedules quality_cost verdicts verdict_errors lm_calls budgets spend jobs job_errors)));

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

create_lm($node, 'judging', $mock, 'judge-rules');
create_lm($node, 'gated', $mock, 'judge-rules+gate');
create_lm($node, 'broken', $mock, 'judge-rules+400');
create_lm($node, 'reflecting', $mock, 'reflector');
create_lm($node, 'grading', $mock, 'grader-rules-2');
value($node, "CREATE ROLE $_ LOGIN") for 'alice', 'bob', 'eve';
may_call($node, 'alice', 'bob', 'eve');
value($node, 'GRANT CREATE ON SCHEMA public TO PUBLIC; GRANT USAGE ON FOREIGN SERVER judging, gated, broken, reflecting, grading TO alice;
	GRANT USAGE ON FOREIGN SERVER judging TO bob');
load_world($node, 'labels', rows => 80, seed => 2);
value($node, 'GRANT SELECT ON labels TO alice');

sub as { my ($role, $sql) = @_; return outcome($node, "SET SESSION AUTHORIZATION $role;\n$sql"); }

# All that there can be, of alice.
my (undef, $err) = as('alice', "
	SELECT gepa.create_judge('j', 'judging', 'Is it good?'), gepa.create_judge('g', 'gated', 'Is it good?'),
		gepa.create_judge('b', 'broken', 'Is it good?');
	SELECT gepa.create_router('r', ARRAY['{\"when\": \"length > 9\", \"judge\": \"j\"}']::jsonb[], 'g');
	SELECT gepa.create_classifier('c', 'labels', 'body', 'keep::text');
	SELECT gepa.create_grader('a', 'rubric', 'grading', '{\"target\": \"document\", \"criteria\": [{\"name\": \"n\", \"description\": \"d\"}]}');
	SELECT gepa.grade('a', '{\"inputs\": {\"document\": \"text\"}}');
	SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', feedback => 'note');
	SELECT gepa.optimize('j', 'd', 'reflecting', 120, options => '{\"combee\": true}');
	SELECT gepa.deploy(1, force => true);
	SELECT gepa_judge('j', body), gepa_judge('b', 'text') FROM labels LIMIT 3;
	SELECT lm FROM gepa.sweep('j', 'd', '{judging}', 'reflecting', 60);
	SELECT gepa.create_schedule('s', 'j', 'd', 'reflecting', every => '1 year');
	SELECT gepa.set_budget('j', calls => 100000);
	CREATE TABLE own (id int PRIMARY KEY, body text);
	INSERT INTO own SELECT i, 'text ' || i FROM generate_series(1, 3) i;
	SELECT gepa.judge_table('b', 'own', 'id', 'body');
	SELECT gepa.start('g', 'd', 'reflecting', 120);");
unlike($err, qr/ERROR/, 'alice has something of everything');
wait_sql($node, "SELECT count(*) > 0 FROM gepa.$_", "$_ has an error") for 'verdict_errors', 'job_errors';

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

# EXPLAIN.  The server goes on without its workers, so that nothing changes between two plans.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nautovacuum = off\nmax_parallel_workers_per_gather = 0\njit = off\n");
$node->restart;
value($node, 'ANALYZE');

# What is known of rows one may not see: the numbers of runs, jobs and objects, and that a verdict is one.
# gepa.lms is everybody's, and the functions behind gepa.lm_calls and gepa.lm_stats hand out one's own.
my @known = ('lms\..*', 'lm_calls\..*', 'lm_stats\..*', '(?!judge_versions).*\.(run|job)', '(judges|routers|classifiers|datasets|schedules)\.id',
	'verdicts\.status');
my $known = join '|', @known;
my %other = (    # of each type, a value that nobody has, and one that will do where alice has none
	'text' => [ q{'nobody''s'}, q{'some'} ],
	'boolean' => [ 'false', 'true' ],
	(map { $_ => [ -7, 1 ] } 'integer', 'bigint', 'numeric', 'double precision'),
	(map { $_ => [ q{'0001-01-01'}, q{'2026-01-01'} ] } 'date', 'timestamp with time zone'),
	'interval' => [ q{'-1 year'}, q{'1 year'} ],
	'jsonb' => [ q{'{"nobody": 1}'}, q{'[]'} ],
	(map { $_ => [ q{'{-7}'}, q{'{0}'} ] } 'integer[]', 'bigint[]'),
	'text[]' => [ q{'{nobody}'}, q{'{some}'} ]);

# The columns, each with its type and a value of alice's.
sub columns
{
	my @columns = map { [ split /\|/ ] } split /\n/, value($node, q{
		SELECT c.relname, a.attname, format_type(a.atttypid, -1)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = 'gepa'::regnamespace AND c.relkind = 'v' ORDER BY 1, a.attnum});

	@columns = grep { "$_->[0].$_->[1]" !~ /^($known)$/ } @columns;
	for my $column (@columns)
	{
		my ($view, $name, $type) = @$column;
		my $value = value($node, qq{SELECT quote_literal("$name"::text) FROM gepa.$view WHERE "$name" IS NOT NULL LIMIT 1});

		push @$column, $value || $other{$type}[1];
	}
	return @columns;
}

# Pairs of conditions that differ in what they say of alice's rows, of leakproof operators where the type has them.
# What is estimated of IS NULL without knowing the column is the same for all columns, but not that of IS NOT NULL.
sub pairs
{
	my ($name, $type, $value, $analyze, $first) = @_;
	my $other = $other{$type}[0];
	my @pairs = (
		[ "$name = $value", "$name = $other" ], [ "$name < $value", "$name < $other" ],
		[ "$name >= $value", "$name >= $other" ], [ "$name IN ($value, $value)", "$name IN ($other, $other)" ],
		$analyze ? [ "$name IS NOT NULL", "$name IS NULL" ] : [ "$name IS NULL", "$first IS NULL" ]);

	push @pairs, [ "starts_with($name, left($value, 1))", "starts_with($name, '\x{1}')" ] if $type eq 'text';
	push @pairs, [ "$name IS TRUE", "$name IS FALSE" ] if $type eq 'boolean';
	return @pairs;
}

# Plans of a role's queries, without what repeats the query.
sub plans
{
	my ($role, $settings, @queries) = @_;
	my ($out, $noise) = as($role, join "\n", $settings, map { "SELECT plan(\$query\$$_\$query\$);" } @queries);
	my @plans = split /\n/, $out;

	is($noise, '', "$role explains") or return;
	s/"[\w ]+ (Cond|Filter)": "(\\.|[^"\\])*"|"Filter": "(\\.|[^"\\])*"//g for @plans;
	return @plans;
}

value($node, q{CREATE FUNCTION plan(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
	DECLARE plan json;
	BEGIN EXECUTE 'EXPLAIN (FORMAT JSON, ' || query INTO plan; RETURN plan; END $$});

my @columns = columns();
cmp_ok(scalar(@columns), '>', 150, 'columns that are not known');
my (@queries, @what, %first);
for my $column (@columns)
{
	my ($view, $name, $type, $value) = @$column;
	my $quoted = qq{v."$name"};

	$first{$view} //= $quoted;
	for my $analyze (0, 1)
	{
		my $explain = $analyze ? 'ANALYZE, BUFFERS off, COSTS off, TIMING off, SUMMARY off' : 'COSTS on';

		for my $pair (pairs($quoted, $type, $value, $analyze, $first{$view}))
		{
			push @what, ($analyze ? 'ANALYZE ' : '') . "$view: $pair->[0]";
			push @queries, map { "$explain) SELECT count(*) FROM gepa.$view v WHERE $_" } @$pair;
		}
	}
}

# Which of the pairs have plans that differ.
sub told
{
	my ($role, $settings) = @_;
	my @plans = plans($role, $settings, @queries);

	is(scalar(@plans), scalar(@queries), '... everything');
	return map { $what[$_] } grep { $plans[ 2 * $_ ] ne $plans[ 2 * $_ + 1 ] } 0 .. $#what;
}

sub tells_nothing
{
	my ($how, $settings) = @_;

	is_deeply([ told('eve', $settings // '') ], [], "EXPLAIN tells a stranger nothing of what is in the rows of others, $how");
}

# To whom the rows belong it tells: the conditions are such that something could be told.
my %told = map { /(\w+):/ ? ($1 => 1) : () } told('alice', '');
is_deeply([ sort keys %told ], [ sort grep { !/^lm/ } keys %views ], 'EXPLAIN tells their owner, of all views');
tells_nothing('few of them');

# Enough of each for statistics to say something: as many again, but for what identifies them.
value($node, "INSERT INTO gepa.$_->[0] SELECT (jsonb_populate_record(t, jsonb_build_object($_->[1]))).* FROM gepa.$_->[0] t, generate_series(1, 200) i")
  for [ 'judge', q{'judge', 1000 * judge + i, 'name', name || i} ], [ 'judge_version', q{'judge', 1000 * judge + i} ],
	[ 'dataset', q{'dataset', 1000 * dataset + i, 'name', name || i} ], [ 'run', q{'run', 1000 * run + i} ],
	[ 'schedule', q{'schedule', 1000 * schedule + i, 'name', name || i} ], [ 'sweep', q{'sweep', 1000 * sweep + i} ],
	[ 'job', q{'job', 1000 * job + i, 'work', 1000 * work + i} ], [ 'job_error', q{'job', 1000 * job + i} ],
	(map { [ $_, q{'digest', sha256(digest || i::text::bytea)} ] } 'verdict', 'verdict_error');
value($node, 'ANALYZE');
tells_nothing('many of them');
tells_nothing('without nested loops', 'SET enable_nestloop = off;');

# What a run has is found by an index all the same, before others' rows are read.
my %behind = (runs => 'run', progress => 'run', samples => 'sample', candidates => 'proposal', decisions => 'decision', frontier => 'front',
	proposals => 'proposal', reflections => 'step', reflection_calls => 'reflection_call', rollouts => 'rollout');
for my $view (sort keys %behind)
{
	my ($plan) = as('eve', "SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN (COSTS off) SELECT * FROM gepa.$view WHERE run = 1");

	like($plan, qr/Index Scan using \w+ on $behind{$view} \w+\n\s+Index Cond: \(\(?run = 1\)/, "gepa.$view finds a run by an index");
}

# Columns are what they are in the tables: text sorts by the same collation.
is(value($node, q{SELECT string_agg(format('%s.%s', a.attrelid::regclass, a.attname), ' ')
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
	WHERE c.relnamespace = 'gepa'::regnamespace AND c.relkind = 'v' AND c.relname !~ '^lm' AND a.attcollation <> t.typcollation}), '',
	'collations are those of the types');

done_testing();
