# The judge node asks what serial evaluation asks, no more, and many at a time: every
# form of laziness.

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
my $rows = 100;

my $version = 0;

sub prompt
{
	my ($judge) = @_;
	return "E'Is it good ($version)?\\nRULE: documents that mention \"${judge}yes\" are true\\nRULE: documents that mention \"${judge}no\" are false'";
}

create_lm($node, 'lm', $mock, 'judge-rules+slow-2', max_concurrency => 16);
value($node, "SELECT gepa.create_judge('$_', 'lm', " . prompt($_) . ')') for ('a', 'b', 'c');
value($node, <<"SQL");
CREATE TABLE d (id int, v int, body text, other text);
INSERT INTO d SELECT i, i % 5,
	format('%s %s %s body %s', CASE WHEN i % 2 = 0 THEN 'ayes' ELSE 'ano' END,
		CASE WHEN i % 3 = 0 THEN 'byes' ELSE 'bno' END,
		CASE WHEN i % 4 = 0 THEN 'cyes' ELSE 'cno' END, i),
	format('%s other %s', CASE WHEN i % 7 = 0 THEN 'byes' ELSE 'bno' END, i)
FROM generate_series(1, $rows) i;
ANALYZE d;
SQL

# What was judged before is forgotten: each statement pays for all it asks.
sub forget
{
	$version++;
	value($node, join ';', map { "SELECT gepa.alter_judge('$_', prompt => " . prompt($_) . ')' } ('a', 'b', 'c'));
	$mock->reset;
	return;
}

# With the node the first requests are held until there are so many in flight.
sub run_both
{
	my ($sql, $what, $together) = @_;
	my %seen;

	for my $mode ('off', 'on')
	{
		forget();
		$mock->meet($together) if $mode eq 'on' && $together;
		my ($out, $err) = outcome($node, "SET gepa.enable_judge_node = $mode;\n$sql");
		$seen{$mode} = "$out|$err";
		$seen{"requests $mode"} = $mock->journal->{requests};
		$seen{peak} = $mock->journal->{peak};
	}
	is($seen{on}, $seen{off}, "$what: the rows are those without the node");
	cmp_ok($seen{'requests off'}, '>', 0, '... some were judged');
	is($seen{'requests on'}, $seen{'requests off'}, '... with as many requests');
	cmp_ok($seen{peak}, '>=', $together || 2, '... many at a time');
	return;
}

my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;';
like(value($node, "$parallel EXPLAIN SELECT gepa_judge('a', body) FROM d WHERE v < 4"), qr/Gather/, 'a plan has workers');

my %forms = (
	'qual' => "SELECT id FROM d WHERE gepa_judge('a', body)",
	'qual and target list' => "SELECT id, gepa_judge('b', body) FROM d WHERE gepa_judge('a', body)",
	'the same call twice' => "SELECT id, gepa_score('a', body), (gepa_verdict('a', body)).label FROM d WHERE gepa_judge('a', body)",
	'AND' => "SELECT id FROM d WHERE gepa_judge('a', body) AND gepa_judge('b', body)",
	'AND of two documents' => "SELECT id FROM d WHERE gepa_judge('a', body) AND gepa_judge('b', other)",
	'OR' => "SELECT id FROM d WHERE gepa_judge('a', body) OR gepa_judge('b', body)",
	'NOT' => "SELECT id FROM d WHERE NOT (gepa_judge('a', body) AND NOT gepa_judge('b', body))",
	'OR with a plain side' => "SELECT id FROM d WHERE v < 2 OR gepa_judge('a', body)",
	'CASE' => "SELECT id, CASE WHEN v < 2 THEN gepa_judge('a', body) WHEN gepa_judge('b', body) THEN gepa_judge('c', body) ELSE false END FROM d",
	'CASE in a qual' => "SELECT id FROM d WHERE CASE WHEN gepa_judge('a', body) THEN gepa_judge('b', body) ELSE gepa_judge('c', body) END",
	'COALESCE' => "SELECT id, COALESCE(CASE WHEN v < 3 THEN gepa_judge('a', body) END, gepa_judge('b', body)) FROM d",
	'FILTER' => "SELECT count(*) FILTER (WHERE gepa_judge('a', body) AND gepa_judge('b', body)), bool_or(gepa_judge('c', body)) FILTER (WHERE v = 1) FROM d",
	'three in a row' => "SELECT id FROM d WHERE gepa_judge('a', body) AND gepa_judge('b', body) AND gepa_judge('c', body)",
	'a NULL document' => "SELECT id FROM d WHERE gepa_judge('a', CASE WHEN v > 1 THEN body END) IS NOT TRUE",
	'equal documents' => "SELECT id FROM d WHERE gepa_judge('a', 'ayes ' || v)",
	'a call in an argument' => "SELECT id FROM d WHERE gepa_judge('a', 'ayes' || (gepa_verdict('b', other)).label || id)",
	'jsonb' => "SELECT id FROM d WHERE gepa_judge('a', jsonb_build_object('document', body))",
	'beside workers' => "$parallel SELECT id, gepa_judge('a', body) FROM d WHERE v < 4 ORDER BY id",
	'beside workers, by a parameter' => "$parallel SET plan_cache_mode = force_generic_plan; PREPARE p(text) AS SELECT id, gepa_judge(\$1, body) FROM d WHERE v < 4 ORDER BY id; EXECUTE p('a')",
	'HAVING' => "SELECT v, count(*) FROM d GROUP BY v, id HAVING gepa_judge('a', max(body))",
	'a WITH that is read in part' => "BEGIN; WITH x AS (DELETE FROM d WHERE gepa_judge('a', body) RETURNING id) SELECT id FROM x LIMIT 1; SELECT count(*) FROM d; ROLLBACK",
	'a judge in a column' => "SELECT id FROM d WHERE gepa_judge(CASE WHEN v < 3 THEN 'a' ELSE 'b' END, body)");

# By a parameter the first row finds out which judge it is, alone.
my %together = ('equal documents' => 5, 'beside workers, by a parameter' => 0);

run_both($forms{$_}, $_, $together{$_} // 8) for sort keys %forms;

done_testing();
