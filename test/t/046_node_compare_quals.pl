# The judge node off and on: conditions of one table (test/perl/Gepa/Compare.pm).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;
my $from = 'SELECT id FROM docs WHERE';

# -- one call

$compare->run(
	'a condition' => "$from gepa_judge('j', body)",
	'a cheap condition beside it' => "$from gepa_judge('j', body) AND grp < 2",
	'one that finds few' => "$from gepa_judge('j', body) AND id IN (3, 5, 8)",
	'its negation' => "$from NOT gepa_judge('j', body)",
	'texts that are equal' => "$from gepa_judge('j', title)",
	'is not true' => "$from gepa_judge('j', body) IS NOT TRUE",
	'is not false' => "$from gepa_judge('j', body) IS NOT FALSE",
	'is null' => "$from gepa_judge('j', body) IS NULL",
	'is not unknown' => "$from gepa_judge('j', body) IS NOT UNKNOWN",
	'compared with a column' => "$from gepa_judge('j', body) = (grp > 1)",
	'compared with a constant' => "$from true = gepa_judge('j', body)",
	'cast' => "$from gepa_judge('j', body)::int + grp > 2",
	'in a list' => "$from gepa_judge('j', body) IN (true, grp = 1)",
	'any of an array' => "$from gepa_judge('j', body) = ANY (ARRAY[grp = 0, grp = 1])",
	'in a row' => "$from (gepa_judge('j', body), grp) = (true, 1)",
	'rows compared' => [ "$from (grp, gepa_judge('j', body)) > (1, false)", peak => 'one' ],
	'distinct from a column' => "$from gepa_judge('j', body) IS DISTINCT FROM (grp = 2)",
	'a score' => "$from gepa_score('j', body) > 0.5",
	'a score between' => "$from gepa_score('j', body) BETWEEN 0.5 AND 1",
	'a field of a verdict' => "$from (gepa_verdict('j', body)).positive",
	'a verdict as a whole' => "$from gepa_verdict('j', body) IS NULL",
	'a jsonb document' => "$from gepa_judge('m', doc)",
	'a jsonb document that is built' => "$from gepa_judge('m', jsonb_build_object('title', title, 'body', body))",
	'a jsonb document for one field' => "$from gepa_judge('j', jsonb_build_object('document', title))",
	'a constant' => [ "$from gepa_judge('j', 'one text') OR grp = 1", peak => 'one' ],
	'a constant beside a call' => "$from gepa_judge('j', 'one text') IS NOT NULL AND gepa_judge('k', body)",
	'nothing but a constant' => [ "$from gepa_judge('j', 'one text') IS NOT NULL", peak => 'one', node => undef ],
	'a judge for each row' => [ "$from gepa_judge(CASE grp WHEN 1 THEN 'k' ELSE 'j' END, body)" ],
	'put together' => "$from gepa_judge('j', title || ': ' || body)",
	'the first of two' => "$from gepa_judge('j', coalesce(body, title))",
	'a part in lower case' => "$from gepa_judge('j', lower(left(body, 11)))",
	'a field of jsonb' => "$from gepa_judge('j', doc ->> 'body')",
	'a number' => "$from gepa_judge('j', id::text)",
	'by a function in SQL' => [ "$from good(body)",
		before => q{CREATE FUNCTION good(text) RETURNS bool LANGUAGE sql AS $$SELECT gepa_judge('j', $1)$$} ]);

# -- several: what serial evaluation does not reach is not sent

$compare->run(
	'and' => "$from gepa_judge('j', title) AND gepa_judge('k', body)",
	'or' => "$from gepa_judge('j', title) OR gepa_judge('k', body)",
	'not (a and not b)' => "$from NOT (gepa_judge('j', title) AND NOT gepa_judge('j', body))",
	'and in or' => "$from grp = 1 OR gepa_judge('j', title) AND (grp = 2 OR gepa_judge('k', body))",
	'or in and' => [ "$from (grp = 1 OR gepa_judge('j', body)) AND (grp > 1 OR gepa_judge('k', title))", order => 1 ],
	'a cheap one in or' => "$from grp = 1 OR gepa_judge('j', body)",
	'three' => "$from gepa_judge('j', title) AND gepa_judge('k', body) AND gepa_judge('j', body)",
	'one text, two judges' => "$from gepa_judge('j', body) AND gepa_judge('k', body)",
	'judge, score and verdict of one text' =>
	  "$from gepa_judge('j', body) AND gepa_score('j', body) > 0.5 AND (gepa_verdict('j', body)).status = 'ok'",
	'compared with each other' => "$from gepa_judge('j', body) = gepa_judge('k', body)",
	'scores added' => "$from gepa_score('j', body) + gepa_score('k', title) > 1",
	'the greatest' => "$from greatest(gepa_score('j', body), gepa_score('k', body)) > 0.5",
	'an array of them' => "$from ARRAY[gepa_judge('j', body), gepa_judge('k', title)] \@> ARRAY[false]",
	'case' => "$from CASE WHEN grp = 1 THEN gepa_judge('j', body) WHEN grp = 2 THEN gepa_judge('k', title) ELSE id > 20 END",
	'case with calls in its conditions' =>
	  "$from CASE WHEN gepa_judge('j', title) THEN grp < 2 WHEN gepa_judge('k', body) THEN gepa_judge('j', body) ELSE false END",
	'case of a call' => "$from CASE gepa_judge('j', body) WHEN true THEN grp = 1 ELSE grp = 2 END",
	'case of a column' => [ "$from CASE grp WHEN 1 THEN gepa_judge('j', body) WHEN 2 THEN gepa_judge('k', body) END", peak => 'one' ],
	'coalesce' => "$from coalesce(gepa_judge('j', body), gepa_judge('k', title))",
	'coalesce of what is null' => "$from coalesce(gepa_judge('j', NULL::text), gepa_judge('k', body), false)",
	'nullif' => "$from nullif(gepa_judge('j', body), false)",
	'nullif of two' => "$from nullif(gepa_judge('j', body), gepa_judge('k', body)) IS NOT NULL",
	'one in the other' => "$from gepa_judge('j', (gepa_verdict('k', title)).label || body)",
	'the same twice' => "$from gepa_judge('j', body) AND grp > 0 AND gepa_judge('j', body)");

done_testing();
