# What a user may not see does not reach the endpoint, and no function of his, whether
# the judge node is on or off: row security and barriers, with the texts that were sent.

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

# Of 40 pages 20 are secret, and every second secret one bears a word that k lets pass.
# tell() is cheap enough to come first wherever that is allowed.
value($node, <<'SQL');
CREATE ROLE reader;
CREATE TABLE pages AS SELECT i AS id, i % 4 AS grp, i % 2 = 0 AS secret,
	CASE WHEN i % 2 = 0 THEN 'secret ' ELSE 'page ' END || i || (ARRAY[' alpha', ' beta'])[i / 2 % 2 + 1] AS body FROM generate_series(1, 40) i;
CREATE TABLE refs AS SELECT i AS id, i % 40 + 1 AS page FROM generate_series(1, 60) i;
CREATE INDEX ON refs (page);
CREATE FUNCTION tell(t text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$BEGIN RAISE NOTICE 'told %', t; RETURN true; END$$;
CREATE TABLE guarded AS TABLE pages;
ALTER TABLE guarded ADD PRIMARY KEY (id), ENABLE ROW LEVEL SECURITY;
CREATE POLICY open_pages ON guarded TO reader USING (NOT secret);
CREATE TABLE parts (LIKE pages) PARTITION BY LIST (grp);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0, 1);
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts TABLE pages;
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY open_pages ON parts TO reader USING (NOT secret);
CREATE TABLE judged AS TABLE pages;
ALTER TABLE judged ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON judged TO reader USING (true);
CREATE POLICY a_judge ON judged AS RESTRICTIVE TO reader USING (gepa_judge('k', body));
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM pages WHERE NOT secret;
CREATE VIEW judged_barrier WITH (security_barrier) AS SELECT * FROM pages WHERE gepa_judge('k', body);
CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM guarded;
GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO reader;
GRANT USAGE ON FOREIGN SERVER one, two TO reader;
ANALYZE;
SQL
may_call($node, 'reader');

my @reader = (as => 'reader', never => qr/secret/);
my $loop = 'enable_hashjoin = off, enable_mergejoin = off';

# -- rows that a policy hides; as a superuser they are sent, so that the check can fail

my %queries = (
	'a condition' => "SELECT id FROM TABLE WHERE gepa_judge('j', body)",
	'a list' => "SELECT id, gepa_judge('j', body) FROM TABLE",
	'a filter' => "SELECT grp, count(*) FILTER (WHERE gepa_judge('j', body)) FROM TABLE GROUP BY grp ORDER BY grp",
	'a group' => "SELECT gepa_judge('j', body), count(*) FROM TABLE GROUP BY 1 ORDER BY 1",
	'two calls' => "SELECT id FROM TABLE WHERE gepa_judge('j', body) AND gepa_judge('k', body)",
	'a call or a column' => "SELECT id FROM TABLE WHERE grp = 1 OR gepa_judge('j', body)",
	'a subquery' => "SELECT count(*) FROM (SELECT id FROM TABLE WHERE gepa_judge('j', body) ORDER BY id LIMIT 1000) s",
	'a join' => "SELECT t.id, r.id FROM TABLE t JOIN refs r ON r.page = t.id WHERE gepa_judge('j', t.body) ORDER BY 1, 2",
	'a join of both' => "SELECT a.id, b.id FROM TABLE a JOIN pages b ON a.id = b.id WHERE gepa_judge('j', a.body || b.grp) ORDER BY 1, 2",
	'an order' => "SELECT id FROM TABLE ORDER BY gepa_score('j', body), id",
	'a call in a function that tells' => "SELECT id FROM TABLE WHERE gepa_judge('j', body) AND tell(body)");

for my $table ('guarded', 'parts', 'barrier', 'invoker')
{
	for my $name (sort keys %queries)
	{
		my $sql = $queries{$name} =~ s/TABLE/$table/gr;

		$compare->run("$table: $name" => [ $sql, @reader, fewer => $sql =~ /JOIN/ ]);
		$compare->run("... a superuser sends it all" => [ $sql, always => qr/secret/, fewer => $sql =~ /JOIN/ ]) if $table eq 'guarded' || $table eq 'parts';
	}
}

# -- writes and cursors

my @see = (after => 'RESET ROLE; SELECT * FROM guarded ORDER BY id', vacuum => 'guarded');

$compare->run(
	'update' => [ "UPDATE guarded SET body = body || ' good' WHERE gepa_judge('j', body)", @reader, @see ],
	'update, what is set' => [ "UPDATE guarded SET grp = gepa_judge('j', body)::int", @reader, @see ],
	'delete using' => [ "DELETE FROM guarded g USING refs r WHERE r.page = g.id AND gepa_judge('j', g.body)", @reader, @see ],
	'delete, a superuser' => [ "DELETE FROM guarded g WHERE gepa_judge('j', g.body)", always => qr/secret/, @see ],
	'a cursor' => [ "DECLARE c CURSOR FOR SELECT id FROM guarded WHERE gepa_judge('j', body); FETCH 3 c; FETCH ALL c", @reader, explain => '' ],
	'a limit' => [ "SELECT id FROM guarded WHERE gepa_judge('j', body) LIMIT 3", @reader, early => 8 ],
	'a loop' => [ q{DO $$DECLARE r record; BEGIN FOR r IN SELECT * FROM guarded WHERE gepa_judge('j', body) LOOP RAISE NOTICE '%', r.body; END LOOP; END$$}, @reader, explain => '' ]);

# -- a policy, or a barrier, that judges: whoever tells is told of no row that it hides

my @told = (as => 'reader', explain => '');

$compare->run(
	'a policy that judges' => [ "SELECT id FROM judged", @told ],
	'... before who tells' => [ "SELECT id FROM judged WHERE tell(body)", @told ],
	'... before another judge' => [ "SELECT id FROM judged WHERE gepa_judge('j', 'asked of ' || body)", @told, never => qr/asked of \w+ \d+ beta/, always => qr/asked of/ ],
	'... before both' => [ "SELECT id FROM judged WHERE tell(body) AND gepa_judge('j', 'asked of ' || body)", @told, never => qr/asked of \w+ \d+ beta/ ],
	'... before a call in the list' => [ "SELECT id, gepa_judge('j', 'asked of ' || body) FROM judged", @told, never => qr/asked of \w+ \d+ beta/ ],
	'... with a limit' => [ "SELECT id FROM judged WHERE tell(body) LIMIT 3", @told, early => 8 ],
	'... before a join that tells' => [ "SELECT j.id, r.id FROM judged j JOIN refs r ON r.page = j.id AND tell(j.body) ORDER BY 1, 2", @told ],
	'... before a loop that tells' => [ "SELECT j.id, r.id FROM refs r JOIN judged j ON r.page = j.id AND tell(j.body || r.id) ORDER BY 1, 2", @told, set => $loop ],
	'... in an update' => [ "UPDATE judged SET body = 'changed' WHERE tell(body)", @told, after => 'RESET ROLE; SELECT * FROM judged ORDER BY id' ],
	'... not for its owner' => [ "SELECT id FROM judged WHERE tell(body) AND gepa_judge('j', 'asked of ' || body)", always => qr/asked of \w+ \d+ beta/ ],
	'a barrier that judges' => [ "SELECT id FROM judged_barrier WHERE tell(body)", @told ],
	'... before another judge' => [ "SELECT id FROM judged_barrier WHERE gepa_judge('j', 'asked of ' || body)", @told, never => qr/asked of \w+ \d+ beta/, always => qr/asked of/ ],
	'... in a join that tells' => [ "SELECT v.id, r.id FROM judged_barrier v JOIN refs r ON r.page = v.id AND tell(v.body) ORDER BY 1, 2", @told ],
	'... in a join, a loop' => [ "SELECT v.id, r.id FROM refs r JOIN judged_barrier v ON r.page = v.id AND tell(v.body || r.id) ORDER BY 1, 2", @told, set => $loop ],
	'who tells without a barrier comes first' => [ "SELECT id FROM pages WHERE gepa_judge('k', body) AND tell(body)", as => 'reader', always => qr/secret/ ]);

# The notices of the last one are of all rows, those above of some: tell() does come first where it may.
my (undef, $all) = outcome($node, "SELECT count(*) FROM pages WHERE gepa_judge('k', body) AND tell(body)");
my (undef, $some) = outcome($node, "SET ROLE reader; SELECT count(*) FROM judged WHERE tell(body)");
is(() = $all =~ /told/g, 40, 'without a policy all is told');
is(() = $some =~ /told/g, 20, '... with one that judges what it lets pass');
unlike($some, qr/told .*beta/, '... and nothing else');

done_testing();
