# The judge node beside pg_hint_plan and above scans of pgvector
# (test/perl/Gepa/Compare.pm). Debian has them for PostgreSQL 18, and there they
# must be; for an older server somebody has to have built them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;
my $node = $compare->{node};
my $there = value($node, "SELECT count(*) FROM pg_available_extensions WHERE name IN ('vector', 'pg_hint_plan')");

plan(skip_all => 'pgvector and pg_hint_plan are in no package for this server, nor installed')
  if $there < 2 && $node->pg_version < 18;
is($there, 2, 'pgvector and pg_hint_plan are installed') or BAIL_OUT('packages are missing');

my $pairs = "SELECT d.id, t.id FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('j', d.body) AND d.grp > 0";

for my $libraries ('gepa, pg_hint_plan', 'pg_hint_plan, gepa')
{
	$compare->restart("shared_preload_libraries = '$libraries'\n");
	for my $hint ([ 'HashJoin(d t)', 'Hash Join' ], [ 'MergeJoin(d t)', 'Merge Join' ], [ 'NestLoop(d t)', 'Nested Loop' ])
	{
		my ($said, $method) = @$hint;

		$compare->run("$libraries: $said" =>
			  [ "/*+ $said */ $pairs", explain => "$pairs", before => 'SET pg_hint_plan.enable_hint = on', fewer => 1, any_order => 1 ]);
		like(value($node, "/*+ $said */ EXPLAIN $pairs"), qr/\Q$method\E/, '... is what the plan has');
		like(value($node, "/*+ $said */ EXPLAIN $pairs"), qr/Custom Scan \(Judge\)/, '... with the node');
	}
	like(value($node, "/*+ IndexScan(docs docs_grp) */ EXPLAIN SELECT id FROM docs WHERE grp = 1 AND gepa_judge('j', body)"),
		qr/Custom Scan \(Judge\).*Index Scan using docs_grp/s, "$libraries: a hinted scan below the node");
	like(value($node, "/*+ Leading((t d)) NestLoop(t d) */ EXPLAIN $pairs"), qr/Nested Loop.*Scan on tags.*Scan.* docs/s, '... and a hinted order');
	my $rows = value($node, "SELECT count(*) FROM docs WHERE gepa_judge('j', body)");
	is(value($node, "/*+ Rows(d t #1) Set(gepa.enable_judge_node off) */ SELECT count(*) FROM docs WHERE gepa_judge('j', body)"),
		$rows, '... and the node switched off by a hint');
}

# -- pgvector: scans in the order of a distance

value($node, <<~'SQL');
	CREATE EXTENSION vector;
	CREATE TABLE points AS SELECT id, body, format('[%s,%s,1]', id % 7, id % 5)::vector(3) AS place FROM docs;
	CREATE INDEX by_hnsw ON points USING hnsw (place vector_l2_ops);
	SQL
my $nearest = "ORDER BY place <-> '[3,2,1]'";
my @index = (set => 'enable_seqscan = off, enable_sort = off', plan => qr/Index Scan using by_/);

for my $kind ('hnsw', 'ivfflat')
{
	value($node, 'DROP INDEX by_hnsw; CREATE INDEX by_ivfflat ON points USING ivfflat (place vector_l2_ops) WITH (lists = 1)')
	  if $kind eq 'ivfflat';
	$compare->run(
		"$kind: the nearest good ones" => [ "SELECT id FROM points WHERE gepa_judge('j', body) $nearest LIMIT 3", @index, early => 8, peak => 'any' ],
		"$kind: whether the nearest are good" => [ "SELECT id, gepa_judge('j', body) FROM (SELECT * FROM points $nearest LIMIT 5) n", @index ],
		"$kind: all of them" => [ "SELECT id, place <-> '[3,2,1]' FROM points WHERE gepa_judge('j', body) $nearest", @index ]);
}
$compare->run(
	'the distance of what is good' => "SELECT id, place <-> '[3,2,1]' FROM points WHERE gepa_judge('j', body) ORDER BY 2, 1",
	'an average of what is good' => "SELECT avg(place) FILTER (WHERE gepa_judge('j', body)) FROM points");

done_testing();
