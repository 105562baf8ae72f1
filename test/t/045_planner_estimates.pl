# What the planner knows of a judge: how many rows it lets pass, what it costs, and
# that there is none of that name; and that finding out asks nobody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "jit = off\nmax_parallel_workers_per_gather = 0\n");

create_lm($node, 'fast', $mock, 'judge-rules+bias-false', max_concurrency => 16);
create_lm($node, 'slow', $mock, 'judge-rules+bias-false+slow-200', max_concurrency => 1);
value($node, "SELECT gepa.create_judge('kept', 'fast', 'RULE: documents that mention \"keep\" are true'),
	gepa.create_judge('slow', 'slow', 'RULE: documents that mention \"keep\" are true')");
value($node, "CREATE TABLE docs AS SELECT i AS id, CASE WHEN i % 4 = 0 THEN 'keep ' ELSE 'drop ' END || i AS body
	FROM generate_series(1, 1000) i");
value($node, 'ANALYZE docs');

sub plan_of
{
	my ($query, %options) = @_;
	my $before = $options{before} // '';

	return JSON::PP::decode_json(value($node, "${before}EXPLAIN (FORMAT JSON) $query"))->[0]{Plan};
}

# -- selectivity

my $query = "SELECT FROM docs WHERE gepa_judge('kept', body)";
is(plan_of($query)->{'Plan Rows'}, 333, 'without verdicts: what the planner takes for any condition');
is(plan_of("SELECT FROM docs WHERE NOT gepa_judge('kept', body)")->{'Plan Rows'}, 667, '... and for its negation');
is($mock->journal->{requests}, 0, '... asking nobody');

my $cost = plan_of($query)->{'Total Cost'};
value($node, $query);
stored($node, 'kept', 1000, 'all documents have a verdict');
my $rows = plan_of($query)->{'Plan Rows'};
cmp_ok(abs($rows - 250), '<', 110, "of 250 rows that pass, $rows are expected: a sample of 128 says so");
cmp_ok(plan_of($query)->{'Total Cost'}, '<', $cost, '... and what is stored costs less');
is(plan_of("SELECT FROM docs WHERE gepa_judge('kept', '{\"document\": \"x\"}'::jsonb)")->{'Plan Rows'}, $rows, '... jsonb alike');

# A few verdicts weigh little.
value($node, "SELECT gepa_judge('slow', 'keep ' || i) FROM generate_series(1, 2) i");
stored($node, 'slow', 2, 'two verdicts, both positive');
$rows = plan_of("SELECT FROM docs WHERE gepa_judge('slow', body)")->{'Plan Rows'};
is($rows, 524, 'two verdicts move the estimate by their weight');

# Of another version nothing is known; the change is seen at once.
is(value($node, "BEGIN; EXPLAIN $query; SELECT gepa.alter_judge('kept', prompt => 'another');
	EXPLAIN (FORMAT JSON) $query; ROLLBACK") =~ /"Plan Rows": (\d+)/ && $1, 333, 'a new version starts anew');
cmp_ok(plan_of($query)->{'Plan Rows'}, '<', 333, '... rolled back, the old one is what it was');

# Each role has its own verdicts.
value($node, 'CREATE ROLE bob LOGIN; GRANT SELECT ON docs TO bob; GRANT USAGE ON FOREIGN SERVER fast TO bob');
may_call($node, 'bob');
is(plan_of($query, before => "SET SESSION AUTHORIZATION bob;\n")->{'Plan Rows'}, 333, 'another\'s verdicts tell a role nothing');

# -- cost: cheap conditions, then the faster judge

value($node, "INSERT INTO docs SELECT i, 'new ' || i FROM generate_series(1001, 9000) i; ANALYZE docs");
my $filter = sub { my $plan = plan_of(@_); $plan = $plan->{Plans}[0] while $plan->{Plans} && !$plan->{Filter}; return $plan->{Filter}; };
like($filter->("SELECT FROM docs WHERE gepa_judge('slow', body) AND gepa_judge('kept', body)", before => "SET gepa.enable_judge_node = off;\n"),
	qr/'kept'.*'slow'/, 'of two judges the faster one comes first');
like($filter->("SELECT FROM docs WHERE gepa_judge('kept', body) AND id < 500 AND lower(body) > 'a'", before => "SET gepa.enable_judge_node = off;\n"),
	qr/id < 500.*lower.*'kept'/, '... and cheap conditions before any');

# -- a judge that does not exist

my $missing = qr/ERROR:  42704: judge "missing" does not exist.*HINT/s;
sub refused { my ($sql) = @_; return (outcome($node, $sql))[1]; }

like(refused($_), $missing, "an error when it is planned: $_")
  for "EXPLAIN SELECT FROM docs WHERE gepa_judge('missing', body)", "EXPLAIN SELECT gepa_score('missing', body) FROM docs",
	"EXPLAIN SELECT count(*) FILTER (WHERE gepa_judge('missing', body)) FROM docs", "EXPLAIN SELECT (gepa_verdict('missing', 'x')).label",
	"EXPLAIN SELECT * FROM gepa_verdict('missing', 'x')", "PREPARE p(text) AS SELECT gepa_judge(\$1, 'x'); EXPLAIN EXECUTE p('missing')",
	"SELECT FROM docs WHERE id < 0 AND gepa_judge('missing', body)";
my $definitions = "CREATE VIEW judged AS SELECT id FROM docs WHERE gepa_judge('missing', body);
	CREATE MATERIALIZED VIEW kept AS SELECT id FROM docs WHERE gepa_judge('missing', body) WITH NO DATA;
	CREATE FUNCTION judged(text) RETURNS bool LANGUAGE sql AS 'SELECT gepa_judge(''missing'', \$1)';
	CREATE FUNCTION judged_body(doc text) RETURNS bool LANGUAGE sql RETURN gepa_judge('missing', doc);
	CREATE FUNCTION looped() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM gepa_judge(''missing'', ''x''); END';
	CREATE TABLE log (body text);
	CREATE RULE r AS ON INSERT TO log WHERE gepa_judge('missing', new.body) DO INSTEAD NOTHING;
	CREATE POLICY p ON log USING (gepa_judge('missing', body));
	CREATE TABLE checked (body text DEFAULT 'x', CHECK (body = '' OR gepa_judge('missing', body)));
	PREPARE p AS SELECT gepa_judge('missing', 'x');";
is(refused($definitions), '', '... and not when it is written down');
like(refused($_), $missing, "... but when that is used: $_")
  for 'EXPLAIN SELECT * FROM judged', 'REFRESH MATERIALIZED VIEW kept', "SELECT judged('x')", "SELECT judged_body('x')", 'SELECT looped()',
	"INSERT INTO log VALUES ('x')";
is(refused("INSERT INTO checked VALUES ('')"), '', '... and got to');
like(refused("SET plan_cache_mode = force_generic_plan; PREPARE p(text) AS SELECT gepa_judge(\$1, 'x'); EXPLAIN EXECUTE p('missing')"),
	qr/^$/, 'a name that is no constant is no error of the plan');

# A dump of it all is restored, though the judge is not there.
my $file = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', $file ], 'it is dumped');
value($node, 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'copy', '-f', $file ], '... and restored');
is(value($node, "SELECT count(*) FROM pg_views WHERE viewname = 'judged'", db => 'copy'), 1, '... with the views');

# To a role that may not call, nothing is told; what it lacks for a call, a call says.
value($node, 'CREATE ROLE eve LOGIN; GRANT SELECT ON docs TO eve');
like(refused("SET SESSION AUTHORIZATION eve; EXPLAIN SELECT gepa_judge('$_', body) FROM docs"), qr/ERROR:  42501: permission denied for function gepa_judge/,
	"a role that may not execute it: $_") for 'kept', 'missing';
is(refused("SET SESSION AUTHORIZATION bob; EXPLAIN SELECT gepa_judge('slow', body) FROM docs"), '', 'a role that may not use the LM can plan');
like(refused("SET SESSION AUTHORIZATION bob; SELECT gepa_judge('slow', body) FROM docs"), qr/42501: permission denied for LM "slow"/,
	'... and no more');

# -- planning asks nobody, and writes nothing

$mock->reset;
my $plain = join '', map { "EXPLAIN (VERBOSE) $_;\n" }
  "SELECT FROM docs WHERE gepa_judge('kept', 'unseen')", "SELECT FROM docs WHERE (id > 0) = gepa_judge('kept', 'unseen')",
  "SELECT FROM docs WHERE gepa_score('kept', 'unseen') > 0.5", "SELECT FROM docs WHERE id < gepa_score('kept', 'unseen')",
  "SELECT FROM docs WHERE body = (gepa_verdict('kept', 'unseen')).label", "SELECT FROM docs WHERE id = ANY (CASE WHEN gepa_judge('kept', 'unseen') THEN '{1}'::int[] END)",
  "SELECT FROM docs ORDER BY gepa_judge('kept', 'unseen') LIMIT 1", "SELECT FROM docs LIMIT gepa_score('kept', 'unseen')",
  "SELECT FROM docs WHERE (gepa_judge('kept', ARRAY['unseen']))[1]", "UPDATE docs SET body = 'x' WHERE gepa_judge('kept', 'unseen')",
  "SELECT FROM parts WHERE label = (gepa_verdict('kept', 'unseen')).label", "SELECT FROM docs d JOIN parts p ON gepa_judge('kept', d.body || p.label)",
  "EXECUTE p", "EXECUTE q('unseen')", "SELECT * FROM gepa_verdict('kept', 'unseen')", "VALUES (gepa_judge('kept', 'unseen'))";
value($node, "CREATE TABLE parts (label text) PARTITION BY LIST (label); CREATE TABLE part_true PARTITION OF parts FOR VALUES IN ('true');
	CREATE TABLE part_false PARTITION OF parts FOR VALUES IN ('false')");
for my $mode ('force_custom_plan', 'force_generic_plan')
{
	is(refused("SET plan_cache_mode = $mode; PREPARE p AS SELECT gepa_judge('kept', 'unseen');
		PREPARE q(text) AS SELECT id FROM docs WHERE gepa_judge('kept', \$1) OR (id > 0) = gepa_judge('kept', \$1);\n$plain"), '',
		"every statement is planned ($mode)");
}
like(refused("CREATE INDEX ON docs (gepa_judge('kept', body))"), qr/42P17/, 'no index on a judge');
like(refused("CREATE TABLE g (a text, b bool GENERATED ALWAYS AS (gepa_judge('kept', a)) STORED)"), qr/42P17/, '... no generated column');
is($mock->journal->{requests}, 0, 'and nobody was asked');
is(value($node, "BEGIN READ ONLY; EXPLAIN (COSTS OFF) $query; SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT") =~ /t$/ ? 'none' : 'one', 'none',
	'planning takes no transaction id, and may be done where nothing may be written');
is(value($node, "BEGIN ISOLATION LEVEL SERIALIZABLE; EXPLAIN (COSTS OFF) $query;
	SELECT 'locks=' || count(*) FROM pg_locks WHERE mode = 'SIReadLock' AND relation::regclass::text LIKE '%verdict%'; COMMIT") =~ /locks=(\d+)/ && $1, 0,
	'... and leaves no predicate locks on verdicts');

# What is deleted is not counted.
is(value($node, "SELECT gepa.prune_verdicts('kept', 0, '0 seconds') IS NOT NULL"), 't', 'verdicts are deleted');
is(plan_of($query)->{'Plan Rows'}, 3000, '... and no more counted');

done_testing();
