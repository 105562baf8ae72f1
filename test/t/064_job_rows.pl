# Rows that change, are locked or get no verdict while a corpus job is at work, and
# what becomes of the job when its LM, key, owner, source or judge goes away.

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

my $in_flight = 4;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "max_worker_processes = 24\n");
my $judge = judge_on($node, $mock, 'judge-rules+gate', max_concurrency => $in_flight);

use_jobs($node, $mock);
value($node, "CREATE TABLE pages (id int PRIMARY KEY, body text, note text, keep bool)");

sub at_gate
{
	return $mock->wait_for(sub { $_->{waiting} == $in_flight }, "$in_flight at the gate");
}

my $arguments = "'pages', 'id', 'body', 'keep, page_verdict', options => '{\"batch\": 40}'";

# All that can happen to a row between its reading and its writing.
fresh_pages(40, 10);
my $job = start_job($judge, $arguments);
ok(at_gate(), 'a job has read its rows');
value($node, <<'SQL');
UPDATE pages SET body = 'changed ' || id WHERE id <= 5;
UPDATE pages SET note = 'other' WHERE id BETWEEN 6 AND 10;
UPDATE pages SET body = NULL WHERE id = 11;
DELETE FROM pages WHERE id BETWEEN 12 AND 15;
UPDATE pages SET id = id + 100 WHERE id = 16;
INSERT INTO pages VALUES (41, 'new 41');
SQL
my $lock = background($node, "BEGIN; UPDATE pages SET note = 'mine' WHERE id = 30;\n\\echo locked");
$lock->{run}->pump until $lock->{out} =~ /locked/;
$mock->gate(open => 1);
ok(wait_sql($node, 'SELECT count(*) = 33 FROM pages WHERE keep IS NOT NULL'), 'a row that is locked does not hold up the others');
is(job_value($job, 'status'), 'running', '... but the job is not done');
$lock->{in} .= "COMMIT;\n";
finish($lock);
is(wait_job($job), 'finished', 'it ends when the lock is gone');
is(wrong($judge, '(SELECT * FROM pages WHERE id <= 40) p'), 0, '... with the verdict of every row as it is now');
is(wait_job(start_job($judge, $arguments)), 'finished', 'rows that came behind it');
is(wrong($judge, 'pages'), 0, '... are found by the next one');
is(value($node, 'SELECT string_agg(id::text, $$,$$ ORDER BY id) FROM page_verdict v FULL JOIN pages p USING (id) WHERE (v.positive IS DISTINCT FROM p.keep)'),
	'', '... in the table as in the column');
is(value($node, 'SELECT string_agg(note, $$,$$ ORDER BY id) FROM pages WHERE note IS NOT NULL'), 'other,other,other,other,other,mine', '... and what others wrote is there');

# A row without a verdict is an error that can be tried again.
my $picky = judge_on($node, $mock, 'judge-rules+reject-30', max_concurrency => 8);
fresh_pages(50);
$job = start_job($picky, "'pages', 'id', 'body', 'keep, picky_verdict'");
is(wait_job($job), 'finished', 'documents that the LM rejects do not stop a job');
my $failed = job_value($job, 'failed');
cmp_ok($failed, '>', 0, '... some');
is(value($node, "SELECT count(*), count(DISTINCT key), min(status), max(attempts) FROM gepa.job_errors WHERE job = $job AND detail LIKE '%400%'"),
	"$failed|$failed|http_error|1", '... each has its row in gepa.job_errors');
is(value($node, 'SELECT count(*) FROM pages WHERE keep IS NULL'), $failed, '... and null as verdict');
is(value($node, "SELECT count(*) FROM picky_verdict v JOIN gepa.job_errors e ON e.key = v.id::text AND e.status = v.status WHERE v.label IS NULL AND job = $job"),
	$failed, '... and its status in the table');
is(value($node, "SELECT gepa.retry_errors($job)"), $failed, 'they are tried again');
is(wait_job($job), 'finished', '... to the end');
is(value($node, "SELECT count(*), min(attempts) FROM gepa.job_errors WHERE job = $job"), "$failed|2", '... and are still errors');
value($node, "UPDATE pages SET body = 'fine ' || id WHERE keep IS NULL AND id = (SELECT min(id) FROM pages WHERE keep IS NULL)");
value($node, "DELETE FROM pages WHERE keep IS NULL AND id <> (SELECT min(id) FROM pages WHERE keep IS NULL)");
value($node, "SELECT gepa.retry_errors($job)");
is(wait_job($job), 'finished', 'rows that were mended or deleted');
cmp_ok(value($node, "SELECT count(*) FROM gepa.job_errors WHERE job = $job"), '<=', 1, '... are errors no more');
is(value($node, 'SELECT count(*) FROM picky_verdict v LEFT JOIN pages p USING (id) WHERE p.id IS NULL'), 0, '... and leave nothing in the table');

# What was decided otherwise meanwhile is not in the filter any more.
fresh_pages(30);
$job = start_job($picky, "'pages', 'id', 'body', 'keep', filter => 'keep IS NULL'");
is(wait_job($job), 'finished', 'a filter that reads the target');
cmp_ok(job_value($job, 'failed'), '>', 0, '... leaves errors');
value($node, 'UPDATE pages SET keep = true WHERE keep IS NULL');
value($node, "SELECT gepa.retry_errors($job)");
is(wait_job($job), 'finished', '... that somebody decides');
is(value($node, 'SELECT count(*) FROM pages WHERE keep IS NULL'), 0, '... and their decision stays');

# The LM is gone for a while: the job waits for it.
fresh_pages(60, 20);
$job = start_job($judge, "'pages', 'id', 'body', 'keep', options => '{\"batch\": 16}'");
at_gate();
my $paid = $mock->journal->{requests} - $in_flight;
$mock->kill;
ok(wait_jobs("reason LIKE 'LM \"$judge\" does not answer (%); trying again'", $job, 'the reason'), 'without its LM a job says what it waits for');
$mock->restart;
$mock->gate(open => 1);
is(wait_job($job), 'finished', '... and goes on when the LM is back');
is(job_value($job, 'rows, failed, reason'), '60|0|', '... with no row lost');
is(wrong($judge, 'pages'), 0, '... and every row judged');
cmp_ok($paid + $mock->journal->{requests}, '<=', 60 + $in_flight, '... paid once');

# A budget pauses the job, which says when it goes on.
my $frugal = judge_on($node, $mock, 'judge-rules', max_concurrency => 8);
value($node, "SELECT gepa.set_budget('$frugal', calls => 20)");
fresh_pages(60);
$job = start_job($frugal, "'pages', 'id', 'body', 'keep', options => '{\"workers\": 2, \"batch\": 16}'");
is(wait_job($job), 'paused', 'a job at its budget pauses');
like(job_value($job, 'reason'), qr/budget/, '... with the reason');
is(job_value($job, "resume_at = date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '1 day'"), 't', '... until the next day');
is($mock->journal->{by_model}{'judge-rules'}{requests}, 20, '... having spent it');
value($node, "SELECT gepa.set_budget('$frugal'); SELECT gepa.resume_job($job)");
is(wait_job($job), 'finished', 'without it the job goes on');
is(wrong($frugal, 'pages'), 0, '... to the end');
is($mock->journal->{by_model}{'judge-rules'}{requests}, 60, '... and no row is paid twice');

# Before PostgreSQL 17 a worker connects as a superuser for a role that cannot log in.
value($node, <<"SQL");
CREATE ROLE pawn;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO pawn;
GRANT USAGE ON FOREIGN SERVER $frugal TO pawn;
GRANT CREATE ON SCHEMA public TO pawn;
SET ROLE pawn;
CREATE TABLE trap (id int PRIMARY KEY, body text, keep bool);
CREATE TABLE sprung (who name);
INSERT INTO trap VALUES (1, 'document 1');
CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS
\$\$ BEGIN RESET SESSION AUTHORIZATION; INSERT INTO sprung VALUES (current_user); RETURN NULL; END \$\$;
CREATE CONSTRAINT TRIGGER spring AFTER UPDATE ON trap DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spring();
SQL
$job = value($node, "SET ROLE pawn; SELECT gepa.judge_table('$frugal', 'trap', 'id', 'body', 'keep')");
is(wait_job($job), 'failed', 'a trigger that would be a superuser fails the job');
like(job_value($job, 'reason'), qr/^cannot set parameter "session_authorization" within security-/, '... with the reason');
is(value($node, 'SELECT count(*) FROM sprung'), 0, "a deferred trigger cannot leave the owner's rights");

# A key that is refused stops the job at once; a better one lets it go on.
my $locked = judge_on($node, $mock, 'judge-rules+key-open', max_concurrency => 8);
value($node, "CREATE USER MAPPING FOR CURRENT_USER SERVER $locked OPTIONS (api_key 'wrong')");
fresh_pages(30);
$job = start_job($locked, "'pages', 'id', 'body', 'keep'");
is(wait_job($job), 'failed', 'a wrong key fails the job');
like(job_value($job, 'reason'), qr/HTTP 401/, '... with the reason');
unlike(job_value($job, 'reason'), qr/wrong/, '... but without the key');
is(job_value($job, 'rows'), 0, '... and does not count its rows as done');
value($node, "ALTER USER MAPPING FOR CURRENT_USER SERVER $locked OPTIONS (SET api_key 'open'); SELECT gepa.resume_job($job)");
is(wait_job($job), 'finished', 'with the right one it goes on');
is(wrong($locked, 'pages'), 0, '... to the end');

# What a job needs goes away while it is at work.
sub fails
{
	my ($what, $sql, $reason) = @_;

	fresh_pages(60, 10);
	$job = start_job($judge, "'pages', 'id', 'body', 'keep', options => '{\"batch\": 10}'");
	at_gate();
	value($node, $sql);
	$mock->gate(open => 1);
	is(wait_job($job), 'failed', "$what: the job fails");
	like(job_value($job, 'reason'), $reason, '... and says why');
	is(value($node, "SELECT count(*) FROM gepa.job_claim WHERE job = $job AND holder IS NOT NULL"), 0, '... and holds nothing');
	return;
}

fails('target dropped', 'ALTER TABLE pages DROP keep', qr/^column "keep" .*does not exist/);
value($node, 'ALTER TABLE pages ADD keep bool');
value($node, "SELECT gepa.resume_job($job)");
is(wait_job($job), 'finished', '... and goes on when it is there again');
fails('key dropped', 'ALTER TABLE pages RENAME id TO number', qr/^column .*id.* does not exist/);
value($node, 'ALTER TABLE pages RENAME number TO id');
fails('source dropped', 'DROP TABLE pages', qr/^relation "public.pages" does not exist/);
value($node, "CREATE TABLE pages (id int PRIMARY KEY, body text, note text, keep bool)");

# The owner.
value($node, "CREATE ROLE clerk LOGIN; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO clerk; GRANT USAGE ON FOREIGN SERVER $judge TO clerk;"
	. ' GRANT SELECT, UPDATE ON pages TO clerk');
fresh_pages(60, 10);
$job = value($node, "SET ROLE clerk; SELECT gepa.judge_table('$judge', 'pages', 'id', 'body', 'keep', options => '{\"batch\": 10}')");
at_gate();
is(value($node, "SELECT usename FROM pg_stat_activity WHERE backend_type = 'gepa job worker'"), 'clerk', 'a job is done by its owner');
value($node, 'DROP OWNED BY clerk; DROP ROLE clerk');
$mock->gate(open => 1);
is(wait_job($job), 'failed', 'owner dropped: the job fails');
is(job_value($job, "split_part(reason, '.', 1)"), 'the role that owned the job was dropped', '... and says why');
fails('judge dropped', "SELECT gepa.drop_judge('$judge')", qr/^judge "$judge" was dropped/);

done_testing();
