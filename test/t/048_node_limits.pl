# What is sent and not consumed where a query stops early: never more than the
# window, which grows with what was consumed (test/perl/Gepa/Compare.pm, "early").

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

# k lets pass what says alpha: of rare one in 10, of half one in 2, of most nine in 10.
value($node, <<'SQL');
CREATE TABLE rows AS SELECT i AS id, i % 20 AS grp,
	'rare ' || i || CASE WHEN i % 10 = 9 THEN ' alpha' ELSE ' beta' END AS rare,
	'half ' || i || CASE WHEN i % 2 = 1 THEN ' alpha' ELSE ' beta' END AS half,
	'most ' || i || CASE WHEN i % 10 <> 1 THEN ' alpha' ELSE ' beta' END AS most
FROM generate_series(1, 300) i;
ALTER TABLE rows ADD PRIMARY KEY (id);
CREATE INDEX rows_grp ON rows (grp);
CREATE TABLE few AS SELECT i AS id FROM generate_series(1, 12) i;
ANALYZE;
SQL

for my $text ('rare', 'half', 'most')
{
	for my $limit (1, 3, 10, 25)
	{
		$compare->run(
			"$text, LIMIT $limit" => [ "SELECT id FROM rows WHERE gepa_judge('k', $text) LIMIT $limit", early => 8, peak => 'any' ],
			"$text, LIMIT $limit OFFSET 5" => [ "SELECT id FROM rows WHERE gepa_judge('k', $text) LIMIT $limit OFFSET 5", early => 8, peak => 'any' ],
			"$text, FETCH $limit" => [ "DECLARE c CURSOR FOR SELECT id FROM rows WHERE gepa_judge('k', $text); FETCH $limit c", early => 8, explain => '', peak => 'any' ]);
	}
}

# -- other ways to stop

my $loop = 'enable_hashjoin = off, enable_mergejoin = off, enable_material = off';
my @few = (scans => 12, early => 1);

$compare->run(
	'a call in the list' => [ "SELECT id, gepa_judge('k', half) FROM rows LIMIT 10", early => 8 ],
	'a call in the list, sorted first' => [ "SELECT id, gepa_judge('k', half) FROM rows ORDER BY grp, id LIMIT 10", early => 8 ],
	'two calls for each row' => [ "SELECT id, gepa_judge('j', rare) FROM rows WHERE gepa_judge('k', half) LIMIT 5", early => 16 ],
	'by an index' => [ "SELECT id FROM rows WHERE gepa_judge('k', half) ORDER BY id LIMIT 5", early => 8, set => 'enable_seqscan = off' ],
	'below a join' => [ "SELECT r.id FROM rows r JOIN few f ON f.id = r.grp WHERE gepa_judge('k', half) LIMIT 5", early => 20, fewer => 1 ],
	'in a subquery' => [ "SELECT sum(id) FROM (SELECT id FROM rows WHERE gepa_judge('k', rare) LIMIT 2) s", early => 8 ],
	'in a common table expression' => [ "WITH c AS MATERIALIZED (SELECT id FROM rows WHERE gepa_judge('k', half)) SELECT * FROM c LIMIT 5", early => 8 ],
	'in a set' => [ "(SELECT id FROM rows WHERE gepa_judge('k', half) LIMIT 2) UNION ALL (SELECT id FROM rows WHERE gepa_judge('k', most) LIMIT 3)", early => 8, scans => 2 ],
	'exists' => [ "SELECT EXISTS (SELECT FROM rows WHERE gepa_judge('k', rare))", early => 8, peak => 'any' ],
	'exists for each row' => [ "SELECT f.id FROM few f WHERE EXISTS (SELECT FROM rows r WHERE r.grp = f.id AND gepa_judge('k', r.rare))", @few, peak => 'any' ],
	'not exists for each row' => [ "SELECT f.id FROM few f WHERE NOT EXISTS (SELECT FROM rows r WHERE r.grp = f.id AND gepa_judge('k', r.half)) ORDER BY 1", @few, peak => 'any',
		after => 'SELECT 1' ],
	'a semijoin, a loop' => [ "SELECT f.id FROM few f WHERE f.id IN (SELECT r.grp FROM rows r WHERE gepa_judge('k', r.rare || r.id))", @few, set => $loop, plan => qr/Semi|Unique|HashAgg/, peak => 'any', early => 8 ],
	'an antijoin, a loop' => [ "SELECT f.id FROM few f LEFT JOIN rows r ON r.grp = f.id AND gepa_judge('k', r.rare) WHERE r.grp IS NULL", @few, set => $loop, plan => qr/Nested Loop Anti/, peak => 'any' ],
	'one for each row' => [ "SELECT f.id, s.id FROM few f, LATERAL (SELECT r.id FROM rows r WHERE r.grp = f.id AND gepa_judge('k', r.half) ORDER BY r.id LIMIT 1) s", @few, early => 8, peak => 'any' ],
	'at most one' => [ "SELECT f.id, r.id FROM few f JOIN rows r ON r.id = f.id WHERE gepa_judge('k', r.half)", set => $loop, peak => 'any', fewer => 1 ],
	'a merge join that ends early' => [ "SELECT f.id, r.id FROM few f JOIN rows r ON r.id = f.id WHERE gepa_judge('k', r.half)", set => 'enable_hashjoin = off, enable_nestloop = off', peak => 'any', early => 8, fewer => 1 ],
	'a loop that is left' => [ q{DO $$DECLARE a int; BEGIN FOR a IN SELECT id FROM rows WHERE gepa_judge('k', half) LOOP EXIT WHEN a > 8; RAISE NOTICE '%', a; END LOOP; END$$}, early => 58, explain => '' ]);

# -- rows that are locked by another are left out, and the next ones take their places

my $session = background($node, 'BEGIN; SELECT id FROM rows WHERE id <= 3 FOR UPDATE;');
wait_sql($node, "SELECT state = 'idle in transaction' AND query LIKE '%FOR UPDATE%' FROM pg_stat_activity WHERE pid = $session->{pid}", 'the locks');
for my $order ('id', 'half')
{
	my $sql = "SELECT id, gepa_judge('k', half) FROM rows ORDER BY $order LIMIT 5 FOR UPDATE SKIP LOCKED";
	my %seen = map { $_ => value($node, "SET gepa.enable_judge_node = $_; $sql") } 'off', 'on';

	is(scalar(split /\n/, $seen{on}), 5, "locked rows are left out, by $order");
	is($seen{on}, $seen{off}, '... and the others are those without the node');
}
finish($session);

# -- nothing is sent ahead of what may not stop, and never more than the window

$compare->run(
	'all are needed' => "SELECT count(*) FROM rows WHERE gepa_judge('k', half)",
	'all are needed, for a sort' => "SELECT id FROM rows WHERE gepa_judge('k', half) ORDER BY md5(half) LIMIT 3");

done_testing();
