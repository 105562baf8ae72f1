# The judge node off and on: SELECT lists, aggregates, window functions (test/perl/Gepa/Compare.pm).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;

# -- SELECT lists

$compare->run(
	'in the list' => "SELECT id, gepa_judge('j', body) FROM docs",
	'two judges' => "SELECT id, gepa_judge('j', body), gepa_score('k', body) FROM docs",
	'the same in WHERE' => "SELECT id, gepa_judge('j', body), gepa_score('j', body) FROM docs WHERE gepa_judge('j', body)",
	'another text in WHERE' => "SELECT id, gepa_score('j', title) FROM docs WHERE gepa_judge('j', body)",
	'a verdict' => "SELECT id, (v).label, (v).positive, (v).score, (v).status, (v).cached, (v).chars_total
		FROM (SELECT id, gepa_verdict('j', body) v FROM docs) s",
	'a verdict taken apart' => "SELECT id, (gepa_verdict('j', body)).label, (gepa_verdict('j', body)).score FROM docs",
	'a verdict taken apart once' => [ "SELECT id, v.label, v.score FROM docs, gepa_verdict('j', body) v", peak => 'one', node => 0 ],
	'case' => "SELECT id, CASE WHEN grp = 1 THEN gepa_judge('j', body) WHEN gepa_judge('k', title) THEN gepa_judge('j', title) END FROM docs",
	'coalesce' => "SELECT id, coalesce(gepa_score('j', nullif(body, 'document 5')), gepa_score('k', title)) FROM docs",
	'in an expression' => "SELECT id, round((100 * gepa_score('j', body))::numeric, 1) || ' %' FROM docs",
	'in an array' => "SELECT id, ARRAY[gepa_judge('j', body), gepa_judge('k', body)] FROM docs",
	'in a row' => "SELECT ROW(id, gepa_judge('j', body)) FROM docs",
	'in jsonb' => "SELECT jsonb_build_object('id', id, 'good', gepa_judge('j', body)) FROM docs",
	'a whole row beside it' => "SELECT d, gepa_judge('j', body) FROM docs d WHERE grp = 1",
	'ordered by it' => "SELECT id FROM docs ORDER BY gepa_judge('j', body), id",
	'ordered by a score, of which ten' => "SELECT id FROM docs ORDER BY gepa_score('j', body) DESC, id LIMIT 10",
	'ordered by a column, of which seven' => [ "SELECT id, gepa_judge('j', body) FROM docs ORDER BY title, id LIMIT 7", early => 8 ],
	'distinct' => "SELECT DISTINCT gepa_judge('j', body) AS good FROM docs ORDER BY 1",
	'distinct on' => "SELECT DISTINCT ON (gepa_judge('j', body)) id FROM docs ORDER BY gepa_judge('j', body), id",
	'a set beside it' => "SELECT id, gepa_judge('j', body), generate_series(1, 2) FROM docs",
	'a set of them' => "SELECT id, unnest(ARRAY[gepa_judge('j', body), gepa_judge('k', body)]) FROM docs",
	'of a set' => "SELECT id, gepa_judge('j', w) FROM (SELECT id, regexp_split_to_table(body, ' ') w FROM docs) s",
	'without a table' => [ "SELECT gepa_judge('j', 'one'), gepa_judge('j', 'two'), gepa_judge('j', 'one')", node => undef, peak => 'one' ],
	'as a constant, for all' => [ "SELECT id, gepa_judge('j', 'one text') FROM docs", peak => 'one' ]);

# -- aggregates: calls for each row that goes in

$compare->run(
	'count where' => "SELECT count(*) FROM docs WHERE gepa_judge('j', body)",
	'count' => "SELECT count(gepa_judge('j', body)) FROM docs",
	'count with a filter' => "SELECT count(*) FILTER (WHERE gepa_judge('j', body)), count(*) FROM docs",
	'a filter before a call' => "SELECT count(gepa_judge('j', body)) FILTER (WHERE grp = 1) FROM docs",
	'a call before a call' => "SELECT sum(gepa_score('j', body)) FILTER (WHERE gepa_judge('k', title)) FROM docs",
	'two filters' => "SELECT count(*) FILTER (WHERE grp = 1 AND gepa_judge('j', body)), count(*) FILTER (WHERE gepa_judge('k', body) OR grp > 1) FROM docs",
	'sum of a case' => "SELECT sum(CASE WHEN gepa_judge('j', body) THEN 1 ELSE 0 END) FROM docs",
	'mean by group' => "SELECT grp, round(avg(gepa_score('j', body))::numeric, 6) FROM docs GROUP BY grp ORDER BY grp",
	'bool_and, bool_or' => "SELECT grp, bool_and(gepa_judge('j', body)), bool_or(gepa_judge('k', body)) FROM docs GROUP BY grp ORDER BY grp",
	'an array in its order' => "SELECT array_agg(id ORDER BY gepa_judge('j', body), id) FROM docs",
	'distinct texts' => "SELECT string_agg(DISTINCT (gepa_verdict('j', body)).label, ',') FROM docs",
	'count of the distinct' => "SELECT grp, count(DISTINCT gepa_judge('j', body)) FROM docs GROUP BY grp ORDER BY grp",
	'a percentile' => "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY gepa_score('j', body)) FROM docs",
	'an aggregate of its own' => [ "SELECT every_one(gepa_judge('j', body)) FROM docs WHERE grp = 1",
		before => "CREATE AGGREGATE every_one(bool) (SFUNC = booland_statefunc, STYPE = bool)" ]);

# -- groups: calls for each group

$compare->run(
	'grouped by it' => "SELECT gepa_judge('j', body) AS good, count(*) FROM docs GROUP BY 1 ORDER BY 1",
	'grouped by it, sorted' => [ "SELECT gepa_judge('j', body) AS good, count(*) FROM docs GROUP BY 1 ORDER BY 1",
		set => 'enable_hashagg = off', plan => qr/GroupAggregate/ ],
	'grouped by it and a column' => "SELECT gepa_judge('j', body), grp, count(*) FROM docs GROUP BY 1, 2 ORDER BY 1, 2",
	'grouping sets' => "SELECT gepa_judge('j', body), grp, count(*) FROM docs GROUP BY GROUPING SETS ((1), (2), ()) ORDER BY 1, 2, 3",
	'cube' => "SELECT grp, gepa_judge('k', body), count(*) FROM docs GROUP BY CUBE (1, 2) ORDER BY 1, 2, 3",
	'of the least of each' => "SELECT grp, gepa_judge('j', min(body)) FROM docs GROUP BY grp ORDER BY grp",
	'of all texts of each' => "SELECT grp, gepa_judge('j', string_agg(body, ' ' ORDER BY id)) FROM docs GROUP BY grp ORDER BY grp",
	'having' => "SELECT title FROM docs GROUP BY title HAVING gepa_judge('j', min(body)) ORDER BY title",
	'having, of the key' => "SELECT title, count(*) FROM docs GROUP BY title HAVING count(*) > 1 AND gepa_judge('j', title) ORDER BY title",
	'having a count' => "SELECT grp FROM docs GROUP BY grp HAVING count(*) FILTER (WHERE gepa_judge('j', body)) > 2 ORDER BY grp",
	'having and list' => "SELECT title, gepa_score('k', max(body)) FROM docs GROUP BY title HAVING gepa_judge('j', min(body)) ORDER BY title",
	'having with a hash' => [ "SELECT grp FROM docs GROUP BY grp HAVING gepa_judge('j', min(body))", set => 'enable_sort = off', any_order => 1,
		plan => qr/HashAggregate/ ],
	'group without aggregates' => [ "SELECT gepa_judge('j', title) FROM docs GROUP BY title ORDER BY title", set => 'enable_hashagg = off' ]);

# -- window functions

$compare->run(
	'partition by' => "SELECT id, row_number() OVER (PARTITION BY gepa_judge('j', body) ORDER BY id) FROM docs ORDER BY id",
	'order by' => "SELECT id, rank() OVER (ORDER BY gepa_score('j', body), id) FROM docs ORDER BY id",
	'an argument' => [ "SELECT id, lag(gepa_judge('j', body)) OVER (ORDER BY id) FROM docs ORDER BY id", peak => 'one', node => undef ],
	'a sum that runs' => "SELECT id, sum(gepa_judge('j', body)::int) OVER (ORDER BY id ROWS 3 PRECEDING) FROM docs ORDER BY id",
	'a filter' => [ "SELECT id, count(*) FILTER (WHERE gepa_judge('j', body)) OVER (PARTITION BY grp) FROM docs ORDER BY id", node => undef, peak => 'any' ],
	'beside it' => "SELECT id, gepa_judge('j', body), count(*) OVER (PARTITION BY grp) FROM docs ORDER BY id",
	'of a result' => "SELECT id, gepa_judge('j', first_value(body) OVER (PARTITION BY title ORDER BY id)) FROM docs ORDER BY id",
	'the first of each' => "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY grp ORDER BY id) n, body FROM docs) s WHERE n < 3 AND gepa_judge('j', body) ORDER BY id");

done_testing();
