# The judge node off and on: errors, failures, NULLs, arguments that raise or are volatile (test/perl/Gepa/Compare.pm).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Compare;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $compare = Gepa::Compare->new;

$compare->add_judge('locked', 'judge-rules+401');
$compare->add_judge('odd', 'judge-rules+garbage-40');

my $from = 'SELECT id FROM docs WHERE';
my $raise = 'gepa.on_error = error';

# -- documents without a verdict

$compare->run(
	'failures are NULL' => [ "SELECT id, gepa_judge('f', body) FROM docs", fewer => 1 ],
	'failures in a condition' => "$from gepa_judge('f', body)",
	'failures, and why' => "SELECT id, (v).status, (v).label FROM (SELECT id, gepa_verdict('f', body) v FROM docs) s",
	'failures, and another judge' => "$from gepa_judge('f', body) IS NULL AND gepa_judge('j', body)",
	'failures in a guard' => "$from CASE WHEN gepa_judge('f', body) THEN gepa_judge('j', body) ELSE gepa_judge('k', title) END",
	'failures in coalesce' => "SELECT id, coalesce(gepa_judge('f', body), gepa_judge('j', body)) FROM docs",
	'failures in an aggregate' => "SELECT count(gepa_judge('f', body)), count(*) FILTER (WHERE gepa_judge('f', body)) FROM docs",
	'failures of equal texts' => [ "SELECT id, gepa_judge('f', title) FROM docs", fewer => 1 ],
	'a failure raised' => [ "$from gepa_judge('f', body)", set => $raise, early => 64, error => qr/ERROR:  38000/ ],
	'a failure raised in the list' => [ "SELECT id, gepa_judge('f', body) FROM docs", set => $raise, early => 64, error => qr/ERROR:  38000/ ],
	'a failure raised in an aggregate' => [ "SELECT count(*) FILTER (WHERE gepa_judge('f', body)) FROM docs", set => $raise, early => 64, error => qr/ERROR:  38000/ ],
	'a failure raised after a notice' => [ "SELECT id FROM docs WHERE id > 3 AND gepa_judge('f', body) AND tell(body)", set => $raise, early => 64, error => qr/told.*ERROR:  38000/s,
		before => q{CREATE FUNCTION tell(text) RETURNS bool LANGUAGE plpgsql COST 1e9 AS $$BEGIN RAISE NOTICE 'told %', $1; RETURN true; END$$} ],
	'a failure that no row reaches' => [ "$from grp < 0 OR gepa_judge('j', body) AND CASE WHEN id < 0 THEN gepa_judge('f', body) ELSE true END", set => $raise ],
	'a failure after a limit' => [ "SELECT id, gepa_judge('f', body) FROM docs LIMIT 1", set => $raise, early => 8, peak => 'any' ],
	'a failure that is fatal' => [ "$from gepa_judge('locked', body)", early => 64, error => qr/ERROR:  28000/, peak => 'any' ],
	'a failure that is caught' => [ q{DO $$DECLARE a int; BEGIN FOR a IN SELECT id FROM docs WHERE gepa_judge('f', body) LOOP RAISE NOTICE '%', a; END LOOP;
		EXCEPTION WHEN external_routine_exception THEN RAISE NOTICE 'caught %', sqlerrm; PERFORM gepa_judge('j', body) FROM docs; END$$}, set => $raise, early => 64, explain => '' ],
	'a failure, and a savepoint' => [ "SAVEPOINT s;\n$from gepa_judge('f', body);\nROLLBACK TO s;\n$from gepa_judge('j', body)", set => $raise, early => 64, error => qr/38000/, explain => '' ],
	'answers that mean nothing' => [ "SELECT id, (gepa_verdict('odd', body)).status FROM docs WHERE grp < 3", fewer => 1 ]);

# -- NULLs, and what is not judged

$compare->run(
	'a NULL document' => "SELECT id, gepa_judge('j', CASE WHEN grp > 1 THEN body END) FROM docs",
	'a NULL field' => "SELECT id, gepa_judge('m', doc) IS NULL FROM docs",
	'a NULL judge' => "SELECT id, gepa_judge(NULL, body), gepa_judge('j', title) FROM docs WHERE grp < 3",
	'an empty document' => "SELECT id, gepa_judge('j', left(body, grp)) FROM docs",
	'no rows' => "SELECT (SELECT count(*) FROM docs WHERE id < 0 AND gepa_judge('j', body)), count(*) FROM docs WHERE gepa_judge('k', body)",
	'a judge that is not there' => [ "SELECT gepa_judge('k', 'one'); $from gepa_judge('nobody', body)", peak => 'one', explain => '', error => qr/42704/ ],
	'a judge that is not there, in one row' => [ "SELECT id, gepa_judge(CASE id WHEN 5 THEN 'nobody' ELSE 'j' END, body) FROM docs", early => 64, error => qr/42704/ ],
	'a document that does not fit' => [ "SELECT gepa_judge('k', 'one'); $from gepa_judge('m', body)", peak => 'one', explain => '', error => qr/22023: document does not fit judge "m"/ ],
	'a document that does not fit, in one row' => [ "SELECT id, gepa_judge('m', CASE WHEN id = 9 THEN '[1]' ELSE doc END) FROM docs", early => 64, error => qr/22023: document does not fit judge "m"/, peak => 'any' ],
	'a field that is missing, in one row' => [ "SELECT id, gepa_judge('m', CASE WHEN id = 9 THEN doc - 'title' ELSE doc END) FROM docs LIMIT 5", early => 8 ],
	'a right that is missing' => [ "$from gepa_judge('j', body)", explain => '', error => qr/42501: permission denied for LM/, peak => 'one',
		before => q{SELECT gepa_judge('k', 'one'); CREATE ROLE poor; GRANT SELECT ON docs TO poor; GRANT EXECUTE ON FUNCTION gepa_judge(text, text) TO poor; GRANT USAGE ON SCHEMA gepa TO poor; SET ROLE poor} ]);

# -- arguments and conditions that raise, are volatile, or tell

my $tell = q{CREATE FUNCTION tell(t text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'told %', t; RETURN t; END$$};

$compare->run(
	'an argument that raises in a later row' => [ "SELECT id, gepa_judge('j', (10 / (id - 12))::text || body) FROM docs", early => 64, error => qr/22012/ ],
	'... that a limit does not reach' => [ "SELECT id, gepa_judge('j', (10 / (id - 12))::text || body) FROM docs LIMIT 6", early => 8 ],
	'... that a condition keeps away' => "$from id <> 12 AND gepa_judge('j', (10 / (id - 12))::text || body)",
	'... in the second of two calls' => [ "$from gepa_judge('j', body) AND gepa_judge('k', (10 / (id - 12))::text || body)", early => 64, peak => 'any' ],
	'... that a case keeps away' => "SELECT id, CASE WHEN id <> 12 THEN gepa_judge('j', (10 / (id - 12))::text || body) END FROM docs",
	'a cast that raises' => [ "$from gepa_judge('j', (title || (ARRAY['1', 'x'])[1 + (id / 20)])::text || (ARRAY['1', 'x'])[1 + (id / 20)]::int)", early => 64, error => qr/22P02/ ],
	'a cast that raises after a limit' => [ "$from gepa_judge('j', body || (ARRAY['1', 'x'])[1 + (id / 20)]::int) IS NOT NULL LIMIT 5", early => 8 ],
	'a condition that raises later' => [ "SELECT id, gepa_judge('j', body) FROM docs WHERE 10 / (id - 12) < 100", fewer => 1, error => qr/22012/, peak => 'any' ],
	'... that a limit does not reach, either' => [ "SELECT id, gepa_judge('j', body) FROM docs WHERE 10 / (id - 12) < 100 LIMIT 6", early => 8, peak => 'any' ],
	'a list that raises' => [ "SELECT id, 10 / (id - 12) FROM docs WHERE gepa_judge('j', body) IS NOT NULL OR id = 12", early => 64, error => qr/22012/ ],
	'a list that raises, inside' => [ "SELECT x, gepa_judge('j', body) FROM (SELECT body, 10 / (id - 12) AS x FROM docs OFFSET 0) s", fewer => 1, error => qr/22012/, peak => 'any' ],
	'a volatile argument' => [ "SELECT id, gepa_judge('j', body || nextval('s')) FROM docs WHERE grp < 3", before => 'CREATE SEQUENCE s', after => "SELECT last_value FROM s", peak => 'one', node => undef ],
	'a volatile condition' => [ "$from nextval('s') < 20 AND gepa_judge('j', body)", before => 'CREATE SEQUENCE s', after => "SELECT last_value FROM s" ],
	'a volatile condition and a limit' => [ "$from nextval('s') < 20 AND gepa_judge('j', body) LIMIT 3", before => 'CREATE SEQUENCE s', after => "SELECT last_value FROM s", peak => 'any', early => 8 ],
	'a volatile list' => [ "SELECT id, nextval('s') FROM docs WHERE gepa_judge('j', body)", before => 'CREATE SEQUENCE s', after => "SELECT last_value FROM s" ],
	'a volatile list inside' => [ "SELECT id, n FROM (SELECT id, body, nextval('s') n FROM docs OFFSET 0) x WHERE gepa_judge('j', body) LIMIT 3", before => 'CREATE SEQUENCE s', after => "SELECT last_value FROM s", peak => 'any', early => 8 ],
	'random numbers' => [ "SELECT id, random() FROM docs WHERE gepa_judge('j', body)", before => 'SELECT setseed(0.5)' ],
	'an argument that tells' => [ "$from gepa_judge('j', tell(body))", before => $tell, peak => 'one', node => undef ],
	'a condition that tells, after' => [ "$from gepa_judge('j', body) AND tell(title) IS NOT NULL", before => $tell =~ s/plpgsql/plpgsql COST 1e9/r ],
	'a list that tells' => [ "SELECT tell(body) FROM docs WHERE gepa_judge('j', body)", before => $tell ],
	'a domain that refuses' => [ "SELECT id, gepa_judge('j', body::short) FROM docs", before => "CREATE DOMAIN short AS text CHECK (value !~ ' 15')", early => 64, error => qr/23514/ ],
	'a stable argument that raises' => [ "SELECT id, gepa_judge('j', f(id)) FROM docs", early => 64, error => qr/P0001: twelve/,
		before => q{CREATE FUNCTION f(int) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN IF $1 = 12 THEN RAISE 'twelve'; END IF; RETURN 'text ' || $1; END$$} ]);

done_testing();
