# The judge node off and on: subqueries, common table expressions, views, set operations (test/perl/Gepa/Compare.pm).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;

# -- subqueries

$compare->run(
	'in FROM' => "SELECT id, good FROM (SELECT id, grp, gepa_judge('j', body) AS good FROM docs) s WHERE grp = 1",
	'in FROM, fenced' => "SELECT id FROM (SELECT * FROM docs WHERE grp < 2 OFFSET 0) s WHERE gepa_judge('j', body)",
	'in FROM, of which five' => [ "SELECT count(*) FROM (SELECT id FROM docs WHERE gepa_judge('j', body) LIMIT 5) s", early => 8 ],
	'in FROM, judged above a limit' => "SELECT id FROM (SELECT * FROM docs ORDER BY id LIMIT 12) s WHERE gepa_judge('j', body)",
	'scalar, of a constant' => "SELECT id FROM docs WHERE grp = (SELECT count(*) % 4 FROM tags WHERE gepa_judge('j', tag || id))",
	'scalar, in the list' => "SELECT (SELECT count(*) FROM docs WHERE gepa_judge('j', body)), (SELECT max(title) FROM docs WHERE gepa_judge('k', body))",
	'scalar, by an index' => [ "SELECT (SELECT min(id) FROM docs WHERE gepa_judge('k', body))", early => 8 ],
	'scalar, correlated' => "SELECT id, (SELECT count(*) FROM tags t WHERE t.doc < d.id AND gepa_judge('j', t.tag || t.id)) FROM docs d WHERE id < 20",
	'scalar, in a condition beside a call' => "SELECT id FROM docs d WHERE gepa_judge('j', body) AND id > (SELECT avg(id) FROM tags t WHERE t.doc = d.id)",
	'in an argument' => [ "SELECT id FROM docs d WHERE gepa_judge('j', body || (SELECT count(*) FROM tags t WHERE t.doc = d.id))", peak => 'one', node => undef ],
	'a constant one in an argument' => [ "SELECT id FROM docs d WHERE gepa_judge('j', body || (SELECT count(*) FROM tags))", peak => 'one' ],
	'exists' => [ "SELECT id FROM docs d WHERE EXISTS (SELECT FROM tags t WHERE t.doc < d.id AND gepa_judge('j', t.tag || t.id))", early => 60, peak => 'any' ],
	'not exists' => [ "SELECT id FROM docs d WHERE NOT EXISTS (SELECT FROM tags t WHERE t.doc = d.id AND gepa_judge('j', t.tag || t.id))", early => 60, peak => 'any' ],
	'exists, uncorrelated' => [ "SELECT id FROM docs WHERE EXISTS (SELECT FROM tags WHERE gepa_judge('j', tag || id)) AND grp = 1", early => 8, peak => 'any' ],
	'exists, judged outside' => "SELECT id FROM docs d WHERE gepa_judge('j', body) AND EXISTS (SELECT FROM tags t WHERE t.doc = d.id OFFSET 0)",
	'in' => [ "SELECT id FROM docs WHERE id IN (SELECT doc FROM tags WHERE gepa_judge('j', tag || id)) ORDER BY id", early => 8 ],
	'in, hashed' => "SELECT id FROM docs WHERE id IN (SELECT doc FROM tags WHERE gepa_judge('j', tag || id)) OR grp = 1",
	'not in' => "SELECT id FROM docs WHERE id NOT IN (SELECT doc FROM tags WHERE gepa_judge('j', tag || id))",
	'the call in what is looked for' => [ "SELECT id FROM docs WHERE gepa_judge('j', body) IN (SELECT tag = 'tag 3' FROM tags)", node => undef, peak => 'one' ],
	'greater than all' => "SELECT id FROM docs WHERE id > ALL (SELECT doc / 2 FROM tags WHERE gepa_judge('j', tag || id))",
	'an array of rows' => "SELECT ARRAY(SELECT id FROM docs WHERE gepa_judge('j', body) ORDER BY id)",
	'an array, correlated' => "SELECT id, ARRAY(SELECT gepa_judge('j', tag || t.id) FROM tags t WHERE t.doc < d.id) FROM docs d WHERE id < 9",
	'a row' => "SELECT id FROM docs WHERE (grp, true) = (SELECT grp, bool_or(gepa_judge('j', body)) FROM docs WHERE grp = 2 GROUP BY grp)",
	'two levels' => "SELECT id FROM docs WHERE grp IN (SELECT grp FROM docs WHERE gepa_judge('j', title) AND id IN (SELECT doc FROM tags WHERE gepa_judge('k', tag || id))) ORDER BY id",
	'judged inside and out' => [ "SELECT id FROM docs d WHERE gepa_judge('j', body) AND (SELECT bool_or(gepa_judge('k', t.tag || t.id)) FROM tags t WHERE t.doc = d.id)", node => undef, peak => 'any' ],
	'of a function' => [ "SELECT id FROM docs WHERE grp = (SELECT f())", peak => 'one', node => 0,
		before => q{CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) % 4 FROM docs WHERE id < 2 AND gepa_judge('j', body)); END$$} ]);

# -- common table expressions

$compare->run(
	'materialised' => "WITH c AS MATERIALIZED (SELECT id, grp FROM docs WHERE gepa_judge('j', body)) SELECT count(*), sum(grp) FROM c",
	'materialised, read twice' => "WITH c AS (SELECT id, grp FROM docs WHERE gepa_judge('j', body)) SELECT a.id, b.id FROM c a JOIN c b ON a.id = b.id + 1",
	'materialised, of which three' => [ "WITH c AS MATERIALIZED (SELECT id FROM docs WHERE gepa_judge('j', body)) SELECT id FROM c LIMIT 3", early => 8 ],
	'judged above it' => "WITH c AS MATERIALIZED (SELECT * FROM docs WHERE grp < 2) SELECT id FROM c WHERE gepa_judge('j', body)",
	'not materialised' => "WITH c AS NOT MATERIALIZED (SELECT id, body FROM docs) SELECT id FROM c WHERE gepa_judge('j', body)",
	'one of another' => "WITH a AS MATERIALIZED (SELECT * FROM docs WHERE gepa_judge('j', title)), b AS MATERIALIZED (SELECT * FROM a WHERE gepa_judge('k', body)) SELECT id FROM b",
	'recursive, judged above' => "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 20) SELECT n FROM r WHERE gepa_judge('j', 'text ' || n)",
	'recursive, judged in the first term' => "WITH RECURSIVE r(id, n) AS (SELECT id, 1 FROM docs WHERE gepa_judge('j', body) UNION ALL SELECT id, n + 1 FROM r WHERE n < 3) SELECT * FROM r ORDER BY 1, 2",
	'recursive, judged in each turn' => "WITH RECURSIVE r(doc, n) AS (SELECT id, 1 FROM docs WHERE id < 9 UNION ALL
		SELECT d.id, r.n + 1 FROM r JOIN docs d ON d.id = r.doc + 9 WHERE gepa_judge('j', d.body)) SELECT * FROM r ORDER BY 1, 2",
	'of a write' => "WITH w AS (INSERT INTO tags SELECT 1000 + id, id, 'new' FROM docs WHERE gepa_judge('j', body) RETURNING id) SELECT count(*), min(id) FROM w");

# -- views

my $view = "CREATE VIEW v AS SELECT id, grp, body FROM docs WHERE gepa_judge('j', body)";
my $function = q{CREATE FUNCTION tell(t text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$BEGIN RAISE NOTICE 'told %', t; RETURN true; END$$};

$compare->run(
	'a view' => [ "SELECT id FROM v WHERE grp < 2", before => $view ],
	'a view, judged above' => [ "SELECT id FROM v WHERE gepa_judge('k', body)", before => $view ],
	'a view with the call in its list' => [ "SELECT id FROM v WHERE good", before => "CREATE VIEW v AS SELECT id, gepa_judge('j', body) AS good FROM docs" ],
	'a view with a barrier' => [ "SELECT id FROM v WHERE grp < 2", before => $view =~ s/ AS/ WITH (security_barrier) AS/r ],
	'a barrier before who tells' => [ "SELECT id FROM v WHERE tell(body)", before => $view =~ s/ AS/ WITH (security_barrier) AS/r . ";$function", peak => 'any' ],
	'a barrier, judged above' => [ "SELECT id FROM v WHERE gepa_judge('j', body)", before => "CREATE VIEW v WITH (security_barrier) AS SELECT * FROM docs WHERE grp < 2" ],
	'who tells before a call' => [ "SELECT id FROM docs WHERE tell(body) AND gepa_judge('j', body)", before => $function, peak => 'any' ],
	'a view of an aggregate' => [ "SELECT * FROM v WHERE n > 2", before => "CREATE VIEW v AS SELECT grp, count(*) FILTER (WHERE gepa_judge('j', body)) n FROM docs GROUP BY grp ORDER BY grp" ],
	'a materialised view' => [ "CREATE MATERIALIZED VIEW v AS SELECT id FROM docs WHERE gepa_judge('j', body)", after => "SELECT * FROM v" ],
	'... refreshed' => [ "REFRESH MATERIALIZED VIEW v", before => "CREATE MATERIALIZED VIEW v AS SELECT id FROM docs WHERE gepa_judge('j', body) WITH NO DATA",
		after => "SELECT * FROM v", explain => '' ]);

# -- set operations

$compare->run(
	'union all' => "SELECT id FROM docs WHERE gepa_judge('j', body) UNION ALL SELECT id FROM tags WHERE gepa_judge('k', tag || id)",
	'union all of one table' => "SELECT id FROM docs WHERE gepa_judge('j', body) UNION ALL SELECT -id FROM docs WHERE gepa_judge('j', title)",
	'union' => "SELECT grp FROM docs WHERE gepa_judge('j', body) UNION SELECT doc % 4 FROM tags WHERE gepa_judge('k', tag || id) ORDER BY 1",
	'intersect' => "SELECT id FROM docs WHERE gepa_judge('j', body) INTERSECT SELECT id FROM docs WHERE gepa_judge('k', body) ORDER BY 1",
	'intersect all' => "SELECT grp FROM docs WHERE gepa_judge('j', body) INTERSECT ALL SELECT grp FROM docs WHERE gepa_judge('k', body) ORDER BY 1",
	'except' => "SELECT id FROM docs EXCEPT SELECT id FROM docs WHERE gepa_judge('j', body) ORDER BY 1",
	'of calls' => "SELECT gepa_judge('j', body) FROM docs UNION SELECT gepa_judge('k', title) FROM docs ORDER BY 1",
	'judged above a union' => "SELECT t FROM (SELECT body t FROM docs UNION ALL SELECT tag FROM tags) s WHERE gepa_judge('j', t)",
	'judged above a union that sorts' => "SELECT t FROM (SELECT title t FROM docs UNION SELECT tag FROM tags) s WHERE gepa_judge('j', t) ORDER BY t",
	'a few of a union' => [ "SELECT id FROM docs WHERE gepa_judge('j', body) UNION ALL SELECT id FROM tags WHERE gepa_judge('k', tag || id) LIMIT 4", early => 8 ],
	'a union of views' => [ "SELECT id FROM v UNION ALL SELECT -id FROM v", before => $view ],
	'a call in VALUES' => [ "VALUES (1, gepa_judge('j', 'one')), (2, gepa_judge('j', 'two'))", node => undef, peak => 'one' ]);

done_testing();
