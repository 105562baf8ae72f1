# The judge node off and on: scans, partitions, inheritance, order and limit (test/perl/Gepa/Compare.pm).

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

value($compare->{node}, <<'SQL');
CREATE TABLE lists (LIKE docs) PARTITION BY LIST (grp);
CREATE TABLE lists_0 PARTITION OF lists FOR VALUES IN (0);
CREATE TABLE lists_1 PARTITION OF lists FOR VALUES IN (1);
CREATE TABLE lists_rest PARTITION OF lists DEFAULT;
CREATE TABLE ranges (LIKE docs) PARTITION BY RANGE (id);
CREATE TABLE ranges_low PARTITION OF ranges FOR VALUES FROM (0) TO (10);
CREATE TABLE ranges_high PARTITION OF ranges FOR VALUES FROM (10) TO (100) PARTITION BY LIST (grp);
CREATE TABLE ranges_even PARTITION OF ranges_high FOR VALUES IN (0, 2);
CREATE TABLE ranges_odd (doc jsonb, body text, gone int, title text, grp int, id int NOT NULL);
ALTER TABLE ranges_odd DROP gone;
ALTER TABLE ranges_high ATTACH PARTITION ranges_odd FOR VALUES IN (1, 3);
CREATE INDEX ON ranges (id);
CREATE TABLE marks (id int, mark text) PARTITION BY RANGE (id);
CREATE TABLE marks_low PARTITION OF marks FOR VALUES FROM (0) TO (10);
CREATE TABLE marks_high PARTITION OF marks FOR VALUES FROM (10) TO (100);
CREATE TABLE plain (LIKE ranges_low) PARTITION BY RANGE (id);
CREATE TABLE plain_low PARTITION OF plain FOR VALUES FROM (0) TO (10);
CREATE TABLE plain_high PARTITION OF plain FOR VALUES FROM (10) TO (100);
CREATE TABLE parent (LIKE docs);
CREATE TABLE child (more int) INHERITS (parent);
INSERT INTO lists SELECT * FROM docs;
INSERT INTO ranges SELECT * FROM docs;
INSERT INTO plain SELECT * FROM docs;
INSERT INTO marks SELECT id, 'mark ' || id FROM docs;
INSERT INTO parent SELECT * FROM docs WHERE id < 9;
INSERT INTO child SELECT *, 1 FROM docs WHERE id > 15;
ANALYZE;
SQL

# -- scans

my $from = 'SELECT id FROM docs WHERE';
my $no_seq = 'enable_seqscan = off';

$compare->run(
	'an index' => [ "$from id BETWEEN 4 AND 20 AND gepa_judge('j', body)", set => "$no_seq, enable_bitmapscan = off", plan => qr/Index Scan using docs_pkey/ ],
	'an index, backwards' => [ "$from gepa_judge('j', body) ORDER BY id DESC", set => $no_seq, plan => qr/Index Scan Backward/ ],
	'nothing but an index' => [ "$from gepa_judge('j', 'number ' || id) AND id < 12", set => "$no_seq, enable_bitmapscan = off", plan => qr/Index Only Scan/ ],
	'a bitmap' => [ "$from grp = 2 AND gepa_judge('j', body)", set => "$no_seq, enable_indexscan = off", plan => qr/Bitmap Heap Scan/ ],
	'two bitmaps' => [ "$from (grp = 2 OR id < 6) AND gepa_judge('j', body)", set => "$no_seq, enable_indexscan = off", plan => qr/BitmapOr/ ],
	'a TID' => [ "$from ctid = ANY (ARRAY['(0,1)', '(0,2)', '(0,40)']::tid[]) AND gepa_judge('j', title)", plan => qr/Tid Scan/ ],
	'a range of TIDs' => [ "$from ctid < '(0,13)' AND gepa_judge('j', body)", set => $no_seq, plan => qr/Tid Range Scan/ ],
	'a sample' => [ "SELECT id FROM docs TABLESAMPLE bernoulli (50) REPEATABLE (7) WHERE gepa_judge('j', body)", plan => qr/Sample Scan/ ],
	'values' => [ "SELECT * FROM (VALUES ('one'), ('two'), ('three'), ('one')) v (t) WHERE gepa_judge('j', t)", plan => qr/Values Scan/ ],
	'a function' => [ "SELECT i FROM generate_series(1, 20) i WHERE gepa_judge('j', 'text ' || i)", plan => qr/Function Scan/ ],
	'functions with numbers' => "SELECT * FROM ROWS FROM (generate_series(1, 9), unnest(ARRAY['a', 'b'])) WITH ORDINALITY r (i, t, n) WHERE gepa_judge('j', coalesce(t, i::text))",
	'a table of XML' => [ "SELECT * FROM json_to_recordset('[{\"t\": \"one\"}, {\"t\": \"two\"}, {\"t\": null}]') r (t text) WHERE gepa_judge('j', t)" ],
	'words of rows' => "SELECT d.id, w FROM docs d, unnest(string_to_array(d.body, ' ')) w WHERE d.grp = 1 AND gepa_judge('j', w)",
	'system columns' => "SELECT tableoid::regclass, ctid, xmin IS NULL, id FROM docs WHERE gepa_judge('j', body)",
	'a whole row' => "SELECT d.*::text FROM docs d WHERE gepa_judge('j', d.body)",
	'a temporary table' => [ "SELECT * FROM t WHERE gepa_judge('j', body)", before => "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT body FROM docs" ]);

# -- order and limit

$compare->run(
	'a limit' => [ "$from gepa_judge('j', body) LIMIT 3", early => 8 ],
	'a limit of none' => "SELECT * FROM (SELECT id FROM docs WHERE gepa_judge('j', body) LIMIT 0) s RIGHT JOIN (SELECT count(*) FROM docs WHERE gepa_judge('k', body)) r ON true",
	'a limit beyond all' => "$from gepa_judge('j', body) LIMIT 1000",
	'a limit with an offset' => [ "$from gepa_judge('j', body) LIMIT 2 OFFSET 3", early => 8 ],
	'an offset' => "$from gepa_judge('j', body) OFFSET 3",
	'a limit that is computed' => [ "$from gepa_judge('j', body) LIMIT (SELECT count(*) FROM docs WHERE id < 4)", early => 8 ],
	'with ties' => [ "$from gepa_judge('j', body) ORDER BY grp FETCH FIRST 3 ROWS WITH TIES", any_order => 1, early => 8 ],
	'with ties, by an index' => [ "$from gepa_judge('j', body) ORDER BY id FETCH FIRST 3 ROWS WITH TIES", set => $no_seq, early => 8 ],
	'a limit of a call in the list' => [ "SELECT id, gepa_judge('j', body) FROM docs LIMIT 6", early => 8 ],
	'a limit by an index' => [ "$from gepa_judge('j', body) ORDER BY id LIMIT 4", set => $no_seq, plan => qr/Index Scan using docs_pkey/, early => 8 ],
	'a limit of what is sorted' => "$from gepa_judge('j', body) ORDER BY title, id LIMIT 4",
	'sorted' => "$from gepa_judge('j', body) ORDER BY title DESC, id",
	'sorted on from an order' => [ "SELECT grp, title, id FROM docs WHERE gepa_judge('j', body) ORDER BY grp, title, id", set => $no_seq, plan => qr/Incremental Sort/ ],
	'distinct on' => "SELECT DISTINCT ON (grp) grp, id FROM docs WHERE gepa_judge('j', body) ORDER BY grp, id DESC",
	'distinct on, judged' => "SELECT DISTINCT ON (grp) grp, gepa_judge('j', body), id FROM docs ORDER BY grp, id DESC",
	'distinct, hashed' => [ "SELECT DISTINCT title FROM docs WHERE gepa_judge('j', body)", any_order => 1, set => 'enable_sort = off' ]);

# -- partitions and children: one window for all of them

my $one = 'enable_partitionwise_join = on, enable_partitionwise_aggregate = on';

$compare->run(
	'partitions by list' => "SELECT id FROM lists WHERE gepa_judge('j', body)",
	'one partition' => "SELECT id FROM lists WHERE grp = 1 AND gepa_judge('j', body)",
	'partitions within partitions' => "SELECT tableoid::regclass, id FROM ranges WHERE gepa_judge('j', body)",
	'partitions in order' => [ "SELECT id FROM ranges WHERE gepa_judge('j', body) ORDER BY id", set => $no_seq, plan => qr/Append/ ],
	'partitions merged' => [ "SELECT id FROM lists WHERE gepa_judge('j', body) ORDER BY id", set => $no_seq, plan => qr/Merge Append/,
		before => 'CREATE INDEX ON lists (id)' ],
	'partitions, a few' => [ "SELECT id FROM ranges WHERE gepa_judge('j', body) ORDER BY id LIMIT 4", set => $no_seq, early => 8 ],
	'partitions in the list' => "SELECT id, gepa_judge('j', body) FROM ranges",
	'partitions counted' => "SELECT grp, count(*) FILTER (WHERE gepa_judge('j', body)) FROM lists GROUP BY grp ORDER BY grp",
	'partitions counted one by one' => [ "SELECT grp, count(*) FILTER (WHERE gepa_judge('j', body)) FROM lists GROUP BY grp ORDER BY grp", set => $one ],
	'partitions joined' => [ "SELECT p.id, m.id FROM plain p JOIN marks m ON p.id = m.id WHERE gepa_judge('j', p.body)", fewer => 1 ],
	'partitions joined one by one' => [ "SELECT p.id, m.id FROM plain p JOIN marks m ON p.id = m.id WHERE gepa_judge('j', p.body)", set => $one, plan => qr/Append.*Join.*Join/s, fewer => 1 ],
	'partitions joined one by one, both judged' => [ "SELECT p.id, m.id FROM plain p JOIN marks m ON p.id = m.id WHERE gepa_judge('j', p.body) AND gepa_judge('k', m.mark)",
		set => $one, fewer => 1 ],
	'partitions found while it runs' => [ "SELECT id FROM lists WHERE grp = (SELECT min(grp) FROM docs WHERE id = 1) AND gepa_judge('j', body)", plan => qr/Append/ ],
	'inheritance' => "SELECT id FROM parent WHERE gepa_judge('j', body)",
	'inheritance in the list' => "SELECT id, gepa_judge('k', body) FROM parent WHERE gepa_judge('j', title)",
	'only the parent' => "SELECT id FROM ONLY parent WHERE gepa_judge('j', body)");

# -- in parallel, and compiled

my $parallel = 'parallel_setup_cost = 0, parallel_tuple_cost = 0, min_parallel_table_scan_size = 0, max_parallel_workers_per_gather = 2';

$compare->run(
	'above Gather' => [ "SELECT id, gepa_judge('j', body) FROM docs", set => "$parallel, parallel_leader_participation = on", plan => qr/Gather/, any_order => 1 ],
	'above Gather Merge' => [ "SELECT id, gepa_judge('j', body) FROM docs ORDER BY id", set => "$parallel, enable_indexscan = off", plan => qr/Gather Merge/ ],
	'above a fence, in parallel' => [ "WITH c AS MATERIALIZED (SELECT * FROM docs WHERE grp < 3) SELECT id FROM c WHERE gepa_judge('j', body)", set => $parallel, plan => qr/Gather/, any_order => 1 ],
	'an aggregate of what came in parallel' => [ "SELECT count(*) FILTER (WHERE gepa_judge('j', body)) FROM (SELECT * FROM docs WHERE grp < 3 OFFSET 0) s", set => $parallel, plan => qr/Gather/ ],
	'not in parallel' => [ "$from gepa_judge('j', body)", set => $parallel ],
	'compiled' => [ "$from gepa_judge('j', body) AND grp < 3", set => 'jit = on, jit_above_cost = 0, jit_inline_above_cost = 0, jit_optimize_above_cost = 0' ],
	'compiled, in the list' => [ "SELECT count(*) FILTER (WHERE gepa_judge('j', body)), sum(gepa_score('k', body)) FROM docs", set => 'jit = on, jit_above_cost = 0' ],
	'rows larger than work_mem' => [ "SELECT id FROM docs WHERE gepa_judge('j', id || repeat(' long', 2000))", set => "work_mem = '64kB'" ]);

done_testing();
