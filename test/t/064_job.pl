# A corpus job goes through a table: every row gets the verdict of its document,
# nothing is paid twice, and whoever changes rows meanwhile is not held up.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Job;
use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "max_worker_processes = 24\n");
my $judge = judge_on($node, $mock, 'judge-rules', max_concurrency => 8);

use_jobs($node, $mock);

value($node, <<'SQL');
CREATE TABLE pages (id int PRIMARY KEY, body text, lang text NOT NULL DEFAULT 'en', keep bool, score float8, label text, verdict jsonb);
INSERT INTO pages SELECT i, 'document ' || i FROM generate_series(1, 500) i;
INSERT INTO pages VALUES (501, NULL), (502, 'document 1');
SQL

# The four kinds of column, and a table.
my $job = start_job($judge, "'pages', 'id', 'body', 'keep', options => '{\"batch\": 50}'");
is(wait_job($job), 'finished', 'a job ends');
is(job_value($job, 'rows, judged, stored, failed'), '502|500|1|0', '... with its figures: an equal text is no second call, a null none at all');
is(wrong($judge, 'pages'), 0, '... and every row has its verdict');
is($mock->journal->{requests}, 500, '... for one call each');
is(value($node, 'SELECT count(*) FROM gepa.job_claim'), 0, '... and nothing left to do');
for my $target (qw(score label verdict))
{
	$job = start_job($judge, "'pages', 'id', 'body', '$target'");
	is(wait_job($job), 'finished', "$target: ends");
	is(job_value($job, 'judged, stored'), '0|501', '... from what is stored');
}
is(value($node, "SELECT count(*) FROM pages WHERE score IS DISTINCT FROM gepa_score('$judge', body)"), 0, 'float8 is the score');
is(value($node, "SELECT count(*) FROM pages WHERE label IS DISTINCT FROM (gepa_verdict('$judge', body)).label"), 0, 'text is the label');
is(value($node, "SELECT count(*) FROM pages WHERE verdict ->> 'label' IS DISTINCT FROM label OR (verdict ->> 'positive')::bool IS DISTINCT FROM keep"
	. " OR (verdict ->> 'score')::float8 IS DISTINCT FROM score OR verdict ->> 'status' IS DISTINCT FROM CASE WHEN body IS NOT NULL THEN 'ok' END"),
	0, 'jsonb is the verdict');
$job = start_job($judge, "'pages', 'id', 'body', 'keep, page_verdict'");
is(wait_job($job), 'finished', 'a column and a table');
is(value($node, "SELECT count(*), count(*) FILTER (WHERE (v.label, v.positive, v.score, v.status, v.version) = (p.label, p.keep, p.score, 'ok', 1))"
	. ' FROM page_verdict v JOIN pages p USING (id)'), '501|501', '... and the table has them');

# Again: nothing is called, nothing is written.
value($node, "INSERT INTO pages SELECT i, 'document ' || i FROM generate_series(601, 700) i; UPDATE pages SET body = 'new ' || id WHERE id <= 10;");
value($node, 'CREATE TABLE untouched AS SELECT id, xmin AS x, ctid AS c FROM pages WHERE id BETWEEN 11 AND 502');
$mock->reset;
$job = start_job($judge, "'pages', 'id', 'body', 'keep, page_verdict'");
is(wait_job($job), 'finished', 'the next start');
is($mock->journal->{requests}, 110, '... calls what is new or changed');
is(value($node, 'SELECT count(*) FROM untouched u JOIN pages p USING (id) WHERE (p.xmin::text, p.ctid) <> (u.x::text, u.c)'), 0,
	'... and touches no row whose verdict is right');
is(wrong($judge, 'pages'), 0, '... and all are right');

# A filter; several columns as key; a document of several fields; a view as source.
$job = start_job($judge, "'pages', 'id', 'body', 'filtered', filter => 'id % 2 = 0 -- even'");
is(wait_job($job), 'finished', 'a filter');
is(value($node, 'SELECT count(*), sum(id % 2) FROM filtered'), '301|0', '... leaves rows out');
value($node, <<'SQL');
CREATE TABLE parts (site text COLLATE "C", day date, body text, keep bool, PRIMARY KEY (site, day)) PARTITION BY LIST (site);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT chr(97 + i % 3), date '2026-01-01' + i, 'part ' || i FROM generate_series(1, 200) i;
CREATE VIEW some_parts AS SELECT site AS "The Site", day, jsonb_build_object('document', body) AS doc FROM parts WHERE day > '2026-02-01';
SQL
$job = start_job($judge, "'parts', 'day, site', 'body', 'keep', options => '{\"batch\": 16}'");
is(wait_job($job), 'finished', 'a partitioned table with a key of two columns');
is(job_value($job, 'key, rows'), 'site, day|200', '... in the order of its index');
is(wrong($judge, 'parts'), 0, '... is judged');
$job = start_job($judge, "'some_parts', '\"The Site\", day', 'doc', 'part_verdict', options => '{\"batch\": 16}'");
is(wait_job($job), 'finished', 'a view with documents in jsonb');
is(value($node, 'SELECT count(*), count(*) FILTER (WHERE v.positive = p.keep) FROM part_verdict v JOIN parts p ON (site, p.day) = ("The Site", v.day)'),
	'169|169', '... is judged');

# Types that mean something else when their length is left out.
value($node, "CREATE TABLE sized (code char(6), flags bit(4), body text, keep bool, PRIMARY KEY (code, flags));"
	. "INSERT INTO sized SELECT 'c' || i, (i % 16)::bit(4), 'sized ' || i FROM generate_series(1, 60) i");
$job = start_job($judge, "'sized', 'code, flags', 'body', 'keep, sized_verdict', options => '{\"batch\": 16}'");
is(wait_job($job), 'finished', 'a key of characters and bits');
is(wrong($judge, 'sized'), 0, '... is judged');
is(value($node, 'SELECT count(*) FROM sized JOIN sized_verdict USING (code, flags)'), 60, '... in the table as well');

# A job that goes through a watched table into the same verdict table: a row cannot go
# between its verdict and the commit, when the watch would find nothing to forget.
value($node, <<'SQL');
CREATE TABLE letters (id int PRIMARY KEY, body text);
INSERT INTO letters VALUES (1, 'the first letter');
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
$$ BEGIN PERFORM pg_advisory_xact_lock(66); RETURN NULL; END $$;
SQL
my $watch = value($node, "SELECT gepa.watch_table('$judge', 'letters', 'id', 'body', 'letter_verdict')");
wait_jobs('rows = 1', $watch, 'the watch');
value($node, "SELECT gepa.pause_job($watch)");
is(wait_job($watch), 'paused', 'a watch is paused');
value($node, 'DELETE FROM letter_verdict');
value($node, 'CREATE TRIGGER linger AFTER INSERT ON letter_verdict FOR EACH STATEMENT EXECUTE FUNCTION linger()');
my $door = background($node, "BEGIN; SELECT pg_advisory_xact_lock(66);\n\\echo shut");
$door->{run}->pump until $door->{out} =~ /shut/;
$job = start_job($judge, "'letters', 'id', 'body', 'letter_verdict'");
ok(wait_sql($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'", 'the job has written'), 'a job has written a verdict');
like((outcome($node, "SET lock_timeout = '100ms'; DELETE FROM letters"))[1], qr/ERROR:  55P03: /, '... and holds its row');
$door->{in} .= "COMMIT;\n";
finish($door);
is(wait_job($job), 'finished', '... until it has committed');

done_testing();
