# Conditions are asked where there is least to ask: above inner joins, and above an
# Append.  Rows stay the same, and nothing moves where it must not.

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

sub prompt { return "Is it $_[0] ($version)?"; }

create_lm($node, 'lm', $mock, 'judge-rules', max_concurrency => 16);
value($node, "SELECT gepa.create_judge('$_', 'lm', '" . prompt($_) . "')") for ('a', 'b');

# Every tenth document has a tag, every thirtieth two.
value($node, <<'SQL');
CREATE TABLE docs (id int PRIMARY KEY, grp int, body text);
INSERT INTO docs SELECT i, i % 5, 'document ' || i FROM generate_series(1, 300) i;
CREATE TABLE tags (doc int, tag text);
INSERT INTO tags SELECT i, 'tag ' || i FROM generate_series(10, 300, 10) i;
INSERT INTO tags SELECT i, 'another tag ' || i FROM generate_series(30, 300, 30) i;
CREATE INDEX ON tags (doc);
CREATE TABLE notes (tag text PRIMARY KEY, note text);
INSERT INTO notes SELECT 'tag ' || i, 'note ' || i FROM generate_series(1, 150) i;
CREATE TABLE parts (id int, grp int, body text) PARTITION BY LIST (grp);
DO $$BEGIN FOR i IN 0..29 LOOP
	EXECUTE format('CREATE TABLE parts_%s PARTITION OF parts FOR VALUES IN (%s)', i, i);
END LOOP; END$$;
INSERT INTO parts SELECT i, i % 30, 'part ' || i FROM generate_series(1, 120) i;
CREATE INDEX ON parts (id);
SQL
value($node, 'VACUUM ANALYZE');

# What was judged before is forgotten: each statement pays for all it asks.
sub forget
{
	$version++;
	value($node, join ';', map { "SELECT gepa.alter_judge('$_', prompt => '" . prompt($_) . "')" } ('a', 'b'));
	$mock->reset;
	return;
}

sub plan_of { return value($node, "$_[1]EXPLAIN (COSTS OFF) $_[0]"); }

# off, on: requests; together: so many in flight at a time; never: a text that is not sent.
sub same_rows
{
	my ($what, $sql, %wanted) = @_;
	my $set = join '', map { "SET $_;\n" } split /, /, $wanted{set} // '';
	my %seen;

	for my $mode ('off', 'on')
	{
		forget();
		$mock->meet($wanted{together}) if $mode eq 'on' && $wanted{together};
		my ($out, $err) = outcome($node, "SET gepa.enable_judge_node = $mode;\n${set}BEGIN;\n$sql;\nROLLBACK;");
		my $journal = $mock->journal;

		$seen{$mode} = $out . ($err =~ s/^psql:\S+ |^LOCATION.*\n//mgr);
		is($journal->{requests}, $wanted{$mode}, "$what, node $mode: requests") if defined $wanted{$mode};
		cmp_ok($journal->{requests}, '<=', $wanted{most}, "$what, node $mode: not too many requests") if $mode eq 'on' && $wanted{most};
		cmp_ok($journal->{requests}, '>', 0, "$what, node $mode: it asked");
		is($journal->{peak}, $wanted{together}, "$what: all that may be are in flight") if $mode eq 'on' && $wanted{together};
	}
	is($seen{on}, $seen{off}, "$what: the same rows");
	isnt($seen{on}, '', '... and there are some');
	like(plan_of($sql, $set), $wanted{plan}, '... by the plan that is meant') if $wanted{plan};
	return;
}

my $loop = 'enable_hashjoin = off, enable_mergejoin = off';
my $hash = 'enable_nestloop = off, enable_mergejoin = off';
my $merge = 'enable_nestloop = off, enable_hashjoin = off';
my $judge = qr/Custom Scan \(Judge\)\n(?:\s+(?!->).*\n)*\s+->\s+/;

# -- above joins

my $tagged = "SELECT d.id, t.tag FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('a', d.body) ORDER BY 1, 2";
same_rows('a hash join', $tagged, set => $hash, off => 300, on => 30, together => 16, plan => qr/${judge}Hash Join/);
same_rows('a merge join', $tagged, set => $merge, on => 30, together => 16, plan => qr/${judge}Merge Join/);
same_rows('a nested loop', $tagged, set => $loop, off => 30, on => 30, together => 16, plan => qr/${judge}Nested Loop/);
same_rows('the outer side of a nested loop', "SELECT d.id, t.tag FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('a', d.body) ORDER BY 1, 2",
	set => "$loop, enable_memoize = off, join_collapse_limit = 1", on => 30);
same_rows('three relations', "SELECT d.id, n.note FROM docs d JOIN tags t ON t.doc = d.id JOIN notes n USING (tag) WHERE gepa_judge('a', d.body) ORDER BY 1, 2",
	set => $_, on => 15, together => 15) for ($hash, $merge);
same_rows('both sides', "SELECT d.id, n.note FROM docs d JOIN tags t ON t.doc = d.id JOIN notes n USING (tag) WHERE gepa_judge('a', d.body) AND gepa_judge('b', n.note) ORDER BY 1, 2",
	set => $hash, off => 450, most => 30);
same_rows('below a limit', "SELECT d.id, t.tag FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('a', d.body) LIMIT 3", set => $hash, most => 25);
same_rows('parameters of the loop', "SELECT t.tag FROM tags t, LATERAL (SELECT FROM docs d WHERE d.id = t.doc AND gepa_judge('a', d.body || t.tag)) s ORDER BY 1",
	set => $loop, off => 40, on => 40, together => 16);

# -- not there

value($node, q{CREATE FUNCTION raises(int) RETURNS bool LANGUAGE plpgsql COST 1e9 AS 'BEGIN RETURN 1 / $1 < 5; END'});
my $below = qr/Join.*->  Custom Scan \(Judge\)/s;
same_rows('an outer join', "SELECT d.id, t.tag FROM docs d LEFT JOIN tags t ON t.doc = d.id WHERE gepa_judge('a', d.body) ORDER BY 1, 2", set => $hash, off => 300, on => 300, plan => $below);
same_rows('a semijoin', "SELECT d.id FROM docs d WHERE gepa_judge('a', d.body) AND EXISTS (SELECT FROM tags t WHERE t.doc = d.id AND t.tag < d.body || 'x') ORDER BY 1", set => $hash, off => 300, on => 300);
same_rows('a join that keeps all documents', "SELECT d.id, e.grp FROM docs d JOIN docs e USING (id) WHERE gepa_judge('a', d.body) ORDER BY 1", set => $hash, off => 300, on => 300, plan => $below);
same_rows('a join that can raise', "SELECT d.id, t.tag FROM docs d JOIN tags t ON t.doc = 3000 / d.id WHERE gepa_judge('a', d.body) ORDER BY 1, 2", set => $hash, off => 300, on => 300, plan => $below);
same_rows('a condition behind it that can raise', "SELECT d.id, t.tag FROM docs d JOIN tags t ON t.doc = d.id WHERE gepa_judge('a', d.body) AND raises(d.id) ORDER BY 1, 2",
	set => $hash, off => 300, on => 300, plan => $below);

# -- row security and security barriers: what a leaky condition is shown, and what is sent

value($node, q{CREATE TABLE secrets (id int PRIMARY KEY, owner name, body text);
	INSERT INTO secrets SELECT i, CASE WHEN i % 2 = 0 THEN 'alice' ELSE 'bob' END, CASE WHEN i % 2 = 0 THEN 'open ' ELSE 'hidden ' END || i FROM generate_series(1, 200) i;
	CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM secrets WHERE owner = 'alice';
	CREATE ROLE alice; GRANT SELECT, UPDATE ON secrets, tags TO alice;
	GRANT USAGE ON FOREIGN SERVER lm TO alice;
	CREATE FUNCTION leak(text) RETURNS bool LANGUAGE plpgsql COST 0.001 AS 'BEGIN RAISE NOTICE ''leaked %'', $1; RETURN true; END';
	ANALYZE secrets});
may_call($node, 'alice');

sub hidden_rows_stay
{
	my ($what, $sql, $set) = @_;

	same_rows($what, $sql, set => join(', ', $hash, $set ? $set : ()), plan => $below);
	is(scalar(grep { $_->{messages}[-1]{content} =~ /hidden/ } $mock->requests), 0, '... hidden ones are not sent');
	unlike((outcome($node, join '', (map { "SET $_;\n" } split /, /, $set // ''), $sql))[1], qr/leaked hidden/, '... nor shown');
	return;
}

my $join = "s JOIN tags t ON t.doc = s.id WHERE gepa_judge('a', s.body) AND leak(s.body) ORDER BY 1";
hidden_rows_stay('a barrier', "SELECT s.id FROM barrier $join");
hidden_rows_stay('a barrier that is changed through', "WITH s AS (UPDATE barrier s SET body = s.body FROM tags t WHERE t.doc = s.id AND gepa_judge('a', s.body) AND leak(s.body) RETURNING s.id) SELECT * FROM s ORDER BY 1");
value($node, 'ALTER TABLE secrets ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON secrets USING (owner = current_user)');
hidden_rows_stay('row security', "SELECT s.id FROM secrets $join", 'ROLE alice');
value($node, "CREATE POLICY judged ON secrets AS RESTRICTIVE USING (gepa_judge('b', body))");
hidden_rows_stay('row security that asks', "SELECT s.id FROM secrets $join", 'ROLE alice');

# -- above an Append

my $append = qr/$judge(?:Merge )?Append/;
same_rows('partitions', "SELECT id FROM parts WHERE gepa_judge('a', body) ORDER BY id", off => 120, on => 120, together => 16, plan => $append);
same_rows('partitions, in the list', "SELECT id, gepa_judge('b', body) FROM parts WHERE gepa_judge('a', body)", together => 16, plan => $append);
same_rows('partitions, in the list only', "SELECT id, gepa_judge('a', body) FROM parts", off => 120, on => 120, together => 16, plan => $append);
same_rows('partitions, in their order', "SELECT id FROM parts WHERE gepa_judge('a', body) ORDER BY id LIMIT 5", set => 'enable_sort = off, enable_seqscan = off', most => 40, plan => qr/Custom Scan \(Judge\).*Merge Append/s);
same_rows('partitions, sorted one by one', "SELECT id FROM parts WHERE gepa_judge('a', body) ORDER BY id",
	set => 'enable_seqscan = on, enable_indexscan = off, enable_bitmapscan = off', off => 120, on => 120);
same_rows('partitions of a join', "SELECT p.id, t.tag FROM parts p JOIN tags t ON t.doc = p.id WHERE gepa_judge('a', p.body) ORDER BY 1, 2", set => $hash, off => 120, on => 12, together => 12, plan => qr/${judge}Hash Join/);
same_rows('partitions that are left out', "PREPARE few(int) AS SELECT id FROM parts WHERE grp = ANY (ARRAY[\$1, 1 + \$1]) AND gepa_judge('a', body) ORDER BY id;\nEXECUTE few(7)",
	set => 'plan_cache_mode = force_generic_plan', off => 8, on => 8, together => 8);
like(value($node, "SET plan_cache_mode = force_generic_plan; PREPARE few(int) AS SELECT id FROM parts WHERE grp = ANY (ARRAY[\$1, 1 + \$1]) AND gepa_judge('a', body);\nEXPLAIN (COSTS OFF) EXECUTE few(7)"),
	qr/$append\n\s+Subplans Removed: 28\n/, '... at run time');
same_rows('UNION ALL', "SELECT id FROM (SELECT id, body FROM docs WHERE id < 20 UNION ALL SELECT id, body FROM parts) u WHERE gepa_judge('a', body) ORDER BY id", off => 139, on => 139, together => 16, plan => $append);
same_rows('UNION ALL of different conditions', "SELECT id FROM docs WHERE id < 20 AND gepa_judge('a', body) UNION ALL SELECT id FROM docs WHERE id < 30 AND gepa_judge('b', body) ORDER BY id",
	off => 48, on => 48, plan => qr/Append\n.*Judge.*Judge/s);
same_rows('rows that are changed', "UPDATE parts SET body = body || '!' WHERE gepa_judge('a', body) RETURNING id", set => 'enable_seqscan = on', off => 120, on => 120, together => 16);

# -- which goes first: of conditions that cost the same the one that lets fewer pass

create_lm($node, 'yes', $mock, 'judge-rules+bias-true', max_concurrency => 16);
create_lm($node, 'no', $mock, 'judge-rules+bias-false', max_concurrency => 16);
value($node, "SELECT gepa.create_judge('yes', 'yes', 'Is it so?'), gepa.create_judge('no', 'no', 'Is it so?')");
value($node, "SELECT gepa_judge('yes', body), gepa_judge('no', body) FROM docs WHERE id <= 40");
stored($node, $_, 40, "verdicts of $_") for ('yes', 'no');
for my $sql ("gepa_judge('yes', body) AND gepa_judge('no', body)", "gepa_judge('no', body) AND gepa_judge('yes', body)")
{
	like(plan_of("SELECT id FROM docs WHERE $sql", ''), qr/Filter: \(gepa_judge\('no'.*AND gepa_judge\('yes'/, $sql);
}
$mock->reset;
value($node, "SELECT id FROM docs WHERE gepa_judge('yes', body) AND gepa_judge('no', body)");
is($mock->journal->{requests}, 260, '... and the other one is not asked');

# -- or the one that has fewer documents to ask about

value($node, "SELECT gepa.alter_judge('yes', prompt => 'Is it so, then?'), gepa.alter_judge('no', prompt => 'Is it so, then?')");
value($node, 'CREATE TABLE pages PARTITION OF parts DEFAULT; INSERT INTO parts SELECT i, 100 + i % 3, \'page \' || i FROM generate_series(1, 300) i; ANALYZE parts');
for my $from ('docs', 'parts', 'tags JOIN docs ON docs.id = tags.doc + length(docs.body)', '(SELECT grp, body FROM docs OFFSET 0) s')
{
	like(plan_of("SELECT body FROM $from WHERE gepa_judge('no', body) AND gepa_judge('yes', 'group ' || grp)", ''),
		qr/Filter: \(gepa_judge\('yes'.*AND gepa_judge\('no'/, "few texts of many rows of $from");
}

# -- nor does chance decide: few documents in many small partitions

value($node, <<'SQL');
CREATE TABLE small (id int, title text, body text) PARTITION BY HASH (id);
SELECT format('CREATE TABLE small_%s PARTITION OF small FOR VALUES WITH (MODULUS 8, REMAINDER %1$s)', i) FROM generate_series(0, 7) i \gexec
INSERT INTO small SELECT i, 'title ' || i % 7, CASE WHEN i % 10 > 0 THEN 'body ' || i END FROM generate_series(1, 60) i;
ANALYZE small;
SQL
like(plan_of("SELECT id FROM small WHERE gepa_judge('no', body) AND gepa_judge('yes', title)", ''), qr/Filter: \(gepa_judge\('yes'/, 'few titles in each partition, and not more in all');
like(plan_of("SELECT id FROM small WHERE gepa_judge('$_->[0]', body) AND gepa_judge('$_->[1]', body)", ''),
	qr/Filter: \(gepa_judge\('$_->[0]'/, "as written: $_->[0], $_->[1]") for ([ 'no', 'yes' ], [ 'yes', 'no' ]);

done_testing();
