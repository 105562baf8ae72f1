# A watched table is kept judged: what its triggers queue, in whose transaction, and
# what the job makes of it.

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
my $node = gepa_node('main', conf => "max_worker_processes = 24\nmax_prepared_transactions = 2\n");
my $judge = judge_on($node, $mock, 'judge-rules', max_concurrency => 8);
my $job;

use_jobs($node, $mock);

sub queued { return value($node, "SELECT coalesce(string_agg(key::text || coalesce('-' || last::text, ''), ' ' ORDER BY key), '') FROM gepa.job_queue WHERE job = $job"); }

# Nothing is left to do, and all is as it has to be.
sub settled
{
	my ($what) = @_;
	wait_idle($job, $what);
	is(wrong($judge, 'pages'), 0, "$what: every row has its verdict");
	is(value($node, 'SELECT count(*) FROM pages p FULL JOIN page_verdict v USING (id) WHERE p.keep IS DISTINCT FROM v.positive OR (p.body IS NULL) <> (v.id IS NULL)'),
		0, '... and so has the table, and no other');
	return;
}

sub pause
{
	value($node, "SELECT gepa.pause_job($job)");
	is(value($node, "SELECT gepa.wait_job($job, '1 minute')"), 'paused', 'paused');
	return;
}

sub resume { value($node, "SELECT gepa.resume_job($job)"); return; }

# What a script queues while the job stands still.
sub queues
{
	my ($sql, $expected, $what) = @_;
	value($node, 'DELETE FROM gepa.job_queue');
	value($node, $sql);
	is(queued(), $expected, $what);
	return;
}

value($node, <<'SQL');
CREATE TABLE pages (id int PRIMARY KEY, body text, note text, keep bool);
INSERT INTO pages SELECT i, 'document ' || i FROM generate_series(1, 100) i;
SQL
$job = value($node, "SELECT gepa.watch_table('$judge', 'pages', 'id', 'body', 'keep, page_verdict')");
settled('what was there');
is($mock->journal->{requests}, 100, '... for one call each');
value($node, "INSERT INTO pages VALUES (101, 'a new one'), (102, NULL), (103, 'document 1')");
settled('what is inserted');
is($mock->journal->{requests}, 101, '... of which one had to be called');
value($node, "UPDATE pages SET body = 'changed ' || id WHERE id IN (1, 2); DELETE FROM pages WHERE id = 3; UPDATE pages SET body = NULL WHERE id = 4;"
	. " UPDATE pages SET id = 500 WHERE id = 5");
settled('what is updated or deleted');
is($mock->journal->{requests}, 103, '... of which two had to be called');

# What is queued, and in which transaction.
pause();
queues('UPDATE pages SET note = id::text', '', 'an update of other columns queues nothing');
queues('UPDATE pages SET body = body', '', '... nor one that changes nothing');
queues("UPDATE pages SET body = 'again ' || id WHERE id IN (7, 8)", '{7} {8}', 'an update of the document');
queues("INSERT INTO pages VALUES (200, 'x'); UPDATE pages SET id = 201 WHERE id = 200; DELETE FROM pages WHERE id = 201;", '{200} {200} {201} {201}',
	'inserted, moved, deleted');
queues("BEGIN; INSERT INTO pages VALUES (300, 'never'); UPDATE pages SET body = 'never' WHERE id = 9; DELETE FROM pages WHERE id = 10; ROLLBACK;", '',
	'what is rolled back leaves nothing');
queues(<<'SQL', '{301} {304} {305}', 'what is rolled back to a savepoint neither, and nothing else is lost');
BEGIN;
INSERT INTO pages VALUES (301, 'kept');
SAVEPOINT a;
INSERT INTO pages VALUES (302, 'never');
ROLLBACK TO a;
DO $$ BEGIN INSERT INTO pages VALUES (303, 'never'), (301, 'twice'); EXCEPTION WHEN unique_violation THEN INSERT INTO pages VALUES (304, 'kept'); END $$;
SAVEPOINT b;
INSERT INTO pages VALUES (305, 'kept');
RELEASE b;
COMMIT;
SQL
queues("BEGIN; INSERT INTO pages VALUES (306, 'prepared'); PREPARE TRANSACTION 'p';", '', 'nothing before a prepared transaction commits');
value($node, "COMMIT PREPARED 'p'");
is(queued(), '{306}', '... and then its rows');
queues("INSERT INTO pages SELECT i, 'many ' || i % 50 FROM generate_series(1001, 4000) i", '{1001}-{4000}', 'rows in ascending order are one range');
value($node, 'DELETE FROM gepa.job_queue');
value($node, "INSERT INTO pages SELECT i, 'many ' || i % 50 FROM generate_series(4001, 5000) i ORDER BY (i * 7919) % 1009");
is(value($node, 'SELECT count(*) FROM pages p WHERE id BETWEEN 4001 AND 5000 AND NOT EXISTS (SELECT FROM gepa.job_queue WHERE id BETWEEN key[1]::int AND (coalesce(last, key))[1]::int)'),
	0, '... in no order all are queued as well');

# The rest is for the job to find: what was queued above and deleted by this test, too.
value($node, "UPDATE gepa.job_queue SET due = '-infinity'; INSERT INTO gepa.job_queue (job, key) SELECT $job, ARRAY[id::text] FROM pages;"
	. "INSERT INTO gepa.job_queue (job, key) VALUES ($job, '{200}'), ($job, '{201}')");
my $entries = value($node, 'SELECT last_value FROM gepa.job_queue_entry_seq');
$mock->reset;
resume();
settled('after it was resumed');
is($mock->journal->{requests}, 2 + 2 + 50, '... with a call for each document that is new');
is(value($node, 'SELECT last_value FROM gepa.job_queue_entry_seq'), $entries, '... and what the job writes queues nothing');
value($node, 'TRUNCATE pages');
is(value($node, 'SELECT count(*) FROM page_verdict'), 0, 'TRUNCATE forgets');
value($node, "INSERT INTO pages VALUES (1, 'after it')");
settled('after TRUNCATE');

# What comes is judged by the version that is current then; what is judged stays, until somebody has it judged again.
value($node, "INSERT INTO pages SELECT i, 'page ' || i FROM generate_series(2, 5) i");
settled('before another version is current');
value($node, "SELECT gepa.alter_judge('$judge', prompt => E'Is it good?\\nRULE: documents that mention \"new\" are true')");
$mock->reset;
value($node, "INSERT INTO pages VALUES (6, 'new 6'); UPDATE pages SET body = 'new 2' WHERE id = 2");
wait_idle($job, 'with another version');
is(versions('page_verdict'), '1:1 2:2 3:1 4:1 5:1 6:2', 'what comes or changes has the version that is current');
is(job_value($job, 'version'), 2, '... which is in gepa.jobs');
is($mock->journal->{requests}, 2, '... and nothing else is called');
my $again = value($node, "SELECT gepa.judge_table('$judge', 'pages', 'id', 'body', 'keep, page_verdict')");
is(value($node, "SELECT gepa.wait_job($again, '1 minute')"), 'finished', 'judged again');
settled('what was judged again');
is(versions('page_verdict'), '1:2 2:2 3:2 4:2 5:2 6:2', '... by one version');

# Refusals, and triggers that nobody may make.
sub fails
{
	my ($sql, $state, $what) = @_;
	my (undef, $errors) = outcome($node, $sql);
	like($errors, qr/ERROR:  $state: /, $what);
	return;
}
fails("SELECT gepa.watch_table('$judge', 'pages', 'id', 'body', 'keep, page_verdict')", '42710', 'one that watches already');
fails("SELECT gepa.watch_table('$judge', 'pages', 'id', 'jsonb_build_object(''document'', pages::text)', 'keep')", '0A000', 'a document that reads the target');
fails("CREATE VIEW shown AS TABLE pages; SELECT gepa.watch_table('$judge', 'shown', 'id', 'body')", '42809', 'a view');
fails("SELECT gepa.unwatch_table(0)", '42704', 'no such job');
value($node, "CREATE ROLE bob; GRANT CREATE ON SCHEMA public TO bob; SET ROLE bob; CREATE TABLE bobs (id int PRIMARY KEY)");
fails("SET ROLE bob; CREATE TRIGGER t AFTER INSERT ON bobs FOR EACH ROW EXECUTE FUNCTION gepa.watch_row('$job', '1', 'id')", '42501', 'a trigger needs EXECUTE');
value($node, 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO bob');
pause();
my (undef, $warning) = outcome($node, "SET ROLE bob; CREATE TRIGGER t AFTER INSERT ON bobs FOR EACH ROW EXECUTE FUNCTION gepa.watch_row('$job', '1', 'id');"
	. 'INSERT INTO bobs VALUES (77)');
like($warning, qr/does nothing: job $job watches public\.pages/, '... and on another table does nothing, and says so');
is(queued(), '', '... so nothing is queued');
($warning) = (outcome($node, 'ALTER TABLE pages RENAME TO sheets; INSERT INTO sheets VALUES (7); ALTER TABLE sheets RENAME TO pages'))[1];
like($warning, qr/WARNING:  55000: .*does nothing/, 'a table that was renamed can be written to');
resume();

# Partitions: whichever a statement names, and those that come later.
value($node, <<'SQL');
CREATE TABLE parts (site text, day date, body text, keep bool, PRIMARY KEY (site, day)) PARTITION BY LIST (site);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
INSERT INTO parts VALUES ('a', '2026-01-01', 'first');
SQL
$job = value($node, "SET DateStyle = 'German'; SELECT gepa.watch_table('$judge', 'parts', 'site, day', 'body', 'part_verdict', 'day > ''2025-12-31''')");
ok(wait_sql($node, "SELECT NOT EXISTS (SELECT FROM gepa.job_claim WHERE job = $job)", 'what was there'), 'a partitioned table is gone through once');
value($node, <<'SQL');
SET DateStyle = 'German';
INSERT INTO parts SELECT 'a', date '2026-02-01' + i, 'in the whole ' || i FROM generate_series(1, 100) i;
INSERT INTO parts_a VALUES ('a', '2026-01-02', 'in the part'), ('a', '2025-01-02', 'filtered');
CREATE TABLE parts_b (keep bool, body text, day date NOT NULL, site text NOT NULL);
INSERT INTO parts_b VALUES (NULL, 'was there', '2026-03-01', 'b');
ALTER TABLE parts ATTACH PARTITION parts_b FOR VALUES IN ('b');
INSERT INTO parts_b (site, day, body) VALUES ('b', '2026-03-02', 'came later');
SQL
sub parts
{
	my ($what) = @_;
	return wait_sql($node, "SELECT count(*) = 0 FROM (SELECT site, day FROM parts WHERE day > '2025-12-31' AND body <> 'was there') p FULL JOIN part_verdict v USING (site, day)"
		. ' WHERE v.digest IS NULL OR p.day IS NULL', $what);
}
ok(parts('partitions'), 'rows of all partitions are judged, and those alone that the filter lets through');
value($node, "UPDATE parts SET site = 'b' WHERE day = '2026-01-02'; UPDATE parts SET day = '2025-02-02' WHERE day = '2026-03-02'; DELETE FROM parts_a WHERE day = '2026-02-05'");
ok(parts('moved rows'), 'a row that moves to another partition, or out of the filter');
value($node, 'TRUNCATE parts_a');
is(value($node, "SELECT count(*) FROM part_verdict WHERE site = 'a'"), 0, 'TRUNCATE of a partition');

# A table that was altered so that rows may have no key: its writers go on.
value($node, 'CREATE TABLE nicks (nick text NOT NULL UNIQUE, body text)');
my $nicks = value($node, "SELECT gepa.watch_table('$judge', 'nicks', 'nick', 'body', 'nick_verdict')");
value($node, 'ALTER TABLE nicks ALTER nick DROP NOT NULL');
like((outcome($node, "INSERT INTO nicks VALUES (NULL, 'a'), ('b', 'b'), (NULL, 'c')"))[1], qr/\A[^\n]*WARNING: .*without a key(?!.*without a key)/s, 'rows without a key are told of, once');
value($node, "UPDATE nicks SET nick = body WHERE body = 'a'; UPDATE nicks SET nick = NULL WHERE body = 'b'; DELETE FROM nicks WHERE body = 'c'");
is(value($node, 'SELECT count(*) FROM nicks'), 2, '... and can be written, given a key, and deleted');
value($node, "SELECT gepa.unwatch_table($nicks)");

# A key that is written otherwise and equal all the same is the same row's.
value($node, "CREATE TABLE prices (price numeric PRIMARY KEY, body text); INSERT INTO prices SELECT i, 'price ' || i FROM generate_series(1, 5) i");
my $prices = value($node, "SELECT gepa.watch_table('$judge', 'prices', 'price', 'body', 'price_verdict')");
ok(wait_sql($node, 'SELECT count(*) = 5 FROM price_verdict', 'prices'), 'keys with a scale');
value($node, "UPDATE prices SET price = price::numeric(8, 2); INSERT INTO prices VALUES (6, 'price 6')");
ok(wait_sql($node, 'SELECT count(*) = 1 FROM price_verdict WHERE price = 6', 'prices of another scale'), '... are given another');
is(value($node, 'SELECT count(*) FROM prices JOIN price_verdict USING (price)'), 6, '... and keep their verdicts');
is(job_value($prices, 'status'), 'running', '... without an error');

value($node, "SELECT gepa.unwatch_table($job)");
is(value($node, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'gepa_watch_$job%'"), 0, 'unwatched: no trigger is left');
is(job_value($job, 'status'), 'cancelled', '... and the job has ended');
value($node, "INSERT INTO parts VALUES ('a', '2026-05-05', 'unseen')");
is(queued(), '', '... and nothing is queued');

# Keys that a cast to text writes otherwise than their types do.
value($node, <<'SQL');
CREATE TABLE kinds (code char(4), wide bool, host inet, body text, PRIMARY KEY (code, wide, host));
INSERT INTO kinds SELECT 'c' || i % 7, i % 2 = 0, inet '10.0.0.0' + i, 'kind ' || i FROM generate_series(1, 200) i;
SQL
$job = value($node, "SELECT gepa.watch_table('$judge', 'kinds', 'code, wide, host', 'body', 'kind_verdict', options => '{\"batch\": 16}')");
sub kinds
{
	my ($what) = @_;
	return wait_sql($node, "SELECT count(*) = 0 FROM kinds k FULL JOIN kind_verdict v USING (code, wide, host) WHERE v.digest IS NULL OR k.body IS NULL"
		. " OR v.positive IS DISTINCT FROM gepa_judge('$judge', k.body)", $what);
}
ok(kinds('kinds'), 'keys of other types');
value($node, "UPDATE kinds SET body = 'again ' || body WHERE host < '10.0.0.20'; DELETE FROM kinds WHERE host = '10.0.0.100'");
wait_idle($job, 'kinds again');
ok(kinds('changed kinds'), '... are found again');

# A column whose type changes within a transaction.
value($node, "CREATE TABLE retyped (id text PRIMARY KEY, body text)");
$job = value($node, "SELECT gepa.watch_table('$judge', 'retyped', 'id', 'body')");
pause();
value($node, "BEGIN; INSERT INTO retyped VALUES ('abc'); ALTER TABLE retyped ALTER id TYPE int USING length(id); INSERT INTO retyped VALUES (77); COMMIT");
is(queued(), '{77} {abc}', 'a key whose type changes');

done_testing();
