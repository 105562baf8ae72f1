# What the judge node evaluates before its turn is not noticed: below a LIMIT it reads
# ahead only over what cannot raise, whatever the row is, and has no effect.

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
my $node = gepa_node('main', conf => "jit = off\nmax_parallel_workers_per_gather = 0\n");
my $version = 0;

sub prompt { return "E'Is it good ($version)?\\nRULE: documents that mention \"yes\" are true'"; }

# Of the rows, 5 and 8 are good.  What is in row 9 is valid, and still makes trouble.
create_lm($node, 'lm', $mock, 'judge-rules+bias-false', max_concurrency => 16);
value($node, "SELECT gepa.create_judge('j', 'lm', " . prompt() . ')');
value($node, <<'SQL');
CREATE TABLE docs (id int, body text, pattern text, number text, doc jsonb, words text[], amount numeric);
INSERT INTO docs SELECT i, CASE WHEN i IN (5, 8) THEN 'yes ' ELSE 'no ' END || i, CASE WHEN i = 9 THEN 'no (' ELSE 'o' END,
	CASE WHEN i = 9 THEN 'nine' ELSE i::text END, jsonb_build_object('n', CASE WHEN i = 9 THEN 'x' ELSE i::text END), ARRAY['a', 'b'], i
FROM generate_series(1, 60) i;
CREATE SEQUENCE s;
CREATE FUNCTION raises(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN 1 / ($1 - 9) < 2; END';
ANALYZE docs;
SQL

# With the node off and on; requests meet in pairs where more than one at a time is expected.
sub both
{
	my ($sql, $alone) = @_;
	my %seen;

	for my $mode ('off', 'on')
	{
		$version++;
		value($node, "SELECT gepa.alter_judge('j', prompt => " . prompt() . ')');
		$mock->reset;
		$mock->meet(2) if $mode eq 'on' && !$alone;
		my ($out, $err) = outcome($node, "SET gepa.enable_judge_node = $mode;\n$sql;");
		$seen{$mode} = { said => "$out$err", requests => $mock->journal->{requests}, peak => $mock->journal->{peak} };
	}
	return \%seen;
}

my $good = "gepa_judge('j', body) LIMIT 2";

# -- read one by one: the ninth row would raise, or be noticed

for my $condition (
	'100 / (id - 9) < 1000',
	'100 % (id - 9) < 1000',
	'id * 250000000 > 0',
	q{substr(body, 1, 8 - id) IS NOT NULL},
	q{(body ~ pattern) IS NOT NULL},
	q{body ~~ (body || CASE WHEN id = 9 THEN '\\' ELSE '%' END)},
	'number::int > 0',
	q{(doc ->> 'n')::int > 0},
	q{split_part(body, ' ', id - 9) IS NOT NULL},
	q{chr(9 - id) IS NOT NULL},
	q{array_fill(1, ARRAY[9 - id]) IS NOT NULL},
	'sqrt(9 - id) >= 0',
	'raises(id)',
	'(id < 9 OR id > (SELECT 1 / (max(id) - 60) FROM docs))',
	'(id < 9 OR id > (SELECT id FROM docs))',
	'CASE WHEN id < 9 THEN true ELSE 1 / (id - 9) > 0 END')
{
	my $seen = both("SELECT id FROM docs WHERE ($condition) AND $good", 1);

	is($seen->{on}{said}, "5\n8", $condition);
	is($seen->{off}{said}, "5\n8", '... and with the node off');
	is($seen->{on}{requests}, $seen->{off}{requests}, '... asking nothing else');
}

my $called = both("SELECT id FROM docs WHERE nextval('s') > 0 AND $good; SELECT nextval('s') - setval('s', 1, false)", 1);
is($called->{on}{said}, $called->{off}{said}, 'an effect shows as often');
is(both("SELECT d.id FROM docs d, LATERAL (SELECT 100 / (d.id - 9) AS x OFFSET 0) s WHERE x < 1000 AND $good", 1)->{on}{said}, "5\n8", 'on the inner side of a nested loop');
is(both("SELECT id FROM (SELECT 100 / (id - 9) AS x, body, id FROM docs OFFSET 0) d WHERE $good", 1)->{on}{said}, "5\n8", 'in the list of a subquery');
is(both("SELECT id FROM (SELECT id, body, 1 AS x FROM docs WHERE id < 9 UNION ALL SELECT 1 / (id - id), body, 2 FROM docs) d WHERE $good", 1)->{on}{said}, "5\n8", 'in what comes later of an Append');

# Nothing is asked behind an error: who gets there gets the error.
is(both("SELECT id FROM docs WHERE gepa_judge('j', body || 1 / (id - 9)) LIMIT 2")->{$_}{requests}, 8, "behind an error, node $_") for 'off', 'on';

# -- read ahead: nothing can happen

for my $condition (
	"id > 0 AND body <> 'x' AND amount >= 0",
	'id % 7 < 7',
	q{substr(body, id, 100) || left(body, 3) || upper(body) <> ''},
	q{body ~ '^(yes|no) [0-9]+$' AND body ~* '[a-z]'},
	q{body LIKE '%\\_%' OR body LIKE '%o%' OR body ILIKE 'YES%'},
	q{length(number) BETWEEN 1 AND 4 AND number IS NOT NULL},
	q{doc ->> 'n' <> '' AND doc ? 'n' AND doc @> '{}' AND doc #>> '{n}' IS NOT NULL},
	q{words[id] IS NULL OR 'a' = ANY (words)},
	q{concat(id, body, doc, amount) <> '' AND id::text || amount::text <> ''},
	q{coalesce(nullif(body, ''), number) <> '' AND greatest(id, 3) > 1 AND (CASE id WHEN 9 THEN true ELSE body > '' END)},
	q{jsonb_build_object('id', id, 'body', body, 'doc', doc) <> to_jsonb(amount)},
	q{id < (SELECT count(*) FROM docs)},
	q{EXISTS (SELECT FROM docs WHERE id = 7)},
	q{id IN (1, 5, 8, 9) AND body NOT IN ('a', 'b')})
{
	my $seen = both("SELECT id FROM docs WHERE ($condition) AND $good");

	is($seen->{on}{said}, "5\n8", $condition);
	is($seen->{on}{said}, $seen->{off}{said}, '... and with the node off');
	cmp_ok($seen->{on}{peak}, '>=', 2, '... with more than one in flight');
}

# What has happened before the first row comes matters no more.
cmp_ok(both("SELECT id FROM (SELECT id, body FROM docs WHERE 100 / (id - 90) < 1000 ORDER BY body DESC OFFSET 0) d WHERE $good")->{on}{peak}, '>=', 2, 'above a Sort');
cmp_ok(both("SELECT key FROM gepa.keep_threshold('docs', 'id', \$\$gepa_judge('j', body)::int\$\$, 1)")->{on}{peak}, '>=', 2, 'in what a recipe reads');
cmp_ok(both("SELECT n FROM (SELECT body, count(*) AS n FROM docs WHERE 100 / (id - 90) < 1000 GROUP BY body) d WHERE $good")->{on}{peak}, '>=', 2, 'above a hashed aggregate');

# A hash join has read a row of its outer side when it finds the inner one empty; who wants a second one wants all.
value($node, 'CREATE TABLE tags (id int); INSERT INTO tags SELECT generate_series(1, 30); ANALYZE tags');
my $join = "SELECT count(good), count(*) FROM (SELECT id, gepa_judge('j', body) AS good FROM docs WHERE 100 / (id - 90) < 1000 OFFSET 0) d " .
	'JOIN tags t USING (id) WHERE t.id > ';
my $hashed = 'SET enable_mergejoin = off; SET enable_nestloop = off; SET gepa.enable_judge_node = on;';
like(value($node, "$hashed EXPLAIN (COSTS OFF) $join 0"), qr/Hash Join\n *Hash Cond: [^\n]*\n *->  Custom Scan \(Judge\)/, 'a hash join over a judge node');
my $full = both("$hashed $join 0");
is($full->{on}{said}, $full->{off}{said}, '... finds the same');
cmp_ok($full->{on}{peak}, '>=', 2, '... and overlaps after its first row');
my $empty = both("$hashed $join 30", 1);
cmp_ok($empty->{on}{requests}, '<=', $empty->{off}{requests} + 1, '... of which it asks no more when nothing can match');

done_testing();
