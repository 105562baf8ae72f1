# Whatever is killed in the middle of a corpus job, and whoever pauses it, the job
# ends with every row judged, and pays at most for what was in flight once more.

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
my $rows = 120;
my $mock = Gepa::Mock->new;
my $node = gepa_node('main', conf => "restart_after_crash = on\nmax_worker_processes = 24\n");
my $judge = judge_on($node, $mock, 'judge-rules+gate', max_concurrency => $in_flight);

use_jobs($node, $mock);
value($node, "CREATE TABLE pages (id int PRIMARY KEY, body text, keep bool)");

sub at_gate
{
	return $mock->wait_for(sub { $_->{waiting} == $in_flight }, "$in_flight at the gate");
}

sub is_whole
{
	my ($kills, $what, @jobs) = @_;

	$mock->gate(open => 1);
	is(wait_job($_), 'finished', "$what: job $_ ends") for @jobs;
	is(wrong($judge, 'pages'), 0, '... with every row judged');
	cmp_ok($mock->journal->{requests}, '<=', $rows + $kills * $in_flight, '... and pays only for what was in flight again');
	is(value($node, 'SELECT count(*) FROM gepa.job_claim'), 0, '... and leaves nothing');
	return;
}

my $arguments = "'pages', 'id', 'body', 'keep', options => '{\"workers\": 2, \"batch\": 16}'";
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'gepa job worker' LIMIT 1";

# Two workers share a job; the server restarts when one of them is killed.
fresh_pages($rows, 60);
my $job = start_job($judge, $arguments);
ok(at_gate(), 'two workers share a job');
is(value($node, "SELECT count(*) FROM gepa.job_workers() WHERE job = $job"), 2, '... both at work');
ok(wait_sql($node, "SELECT sum(in_flight) = $in_flight FROM gepa.job_workers()", 'calls in flight'), '... within one limit');
is(value($node, "SELECT status, kind, in_flight, eta IS NOT NULL, rows > 0 FROM gepa.progress WHERE job = $job"),
	"running|job|$in_flight|t|t", '... and are seen in gepa.progress');
kill_process($node, $worker);
$node->poll_query_until('postgres', 'SELECT true');
ok(at_gate(), 'after a worker was killed the job goes on');
is_whole(1, 'worker', $job);

# The server.
fresh_pages($rows, 40);
$job = start_job($judge, $arguments);
at_gate();
kill_server($node);
$node->start;
ok(at_gate(), 'after a restart of the server the job goes on');
is_whole(1, 'server', $job);

# A second job like it takes its share; a worker that is ended by hand comes back.
fresh_pages($rows, 20);
$job = start_job($judge, $arguments);
at_gate();
my ($other, $said) = outcome($node, "SELECT gepa.judge_table('$judge', $arguments)");
like($said, qr/NOTICE:  00000: job $other takes its share of the rows of job $job,/, 'an equal job shares the work');
value($node, "SELECT pg_terminate_backend(($worker), 10000)");
is_whole(1, 'two jobs', $job, $other);
is(value($node, "SELECT sum(rows) FROM gepa.jobs WHERE job IN ($job, $other)"), $rows, '... and no row was done twice');

# Pausing: what is on the wire is waited for, and kept.
fresh_pages($rows, 30);
$job = start_job($judge, $arguments);
at_gate();
value($node, "SELECT gepa.pause_job($job)");
is(job_value($job, 'status'), 'pausing', 'a job that is to pause');
$mock->gate(pass => $in_flight);
is(wait_job($job), 'paused', '... does when what is on the wire has come');
is($mock->journal->{requests}, 30 + $in_flight, '... and sends nothing more');
is(value($node, 'SELECT count(*) FROM gepa.job_claim WHERE holder IS NOT NULL'), 0, '... and holds nothing');
$node->restart;
is(job_value($job, 'status'), 'paused', '... not even after a restart');
value($node, "SELECT gepa.resume_job($job)");
is_whole(0, 'resumed', $job);

# Cancelling.
fresh_pages($rows, 30);
$job = start_job($judge, $arguments);
at_gate();
value($node, "SELECT gepa.cancel_job($job)");
is(wait_job($job), 'cancelled', 'a job is cancelled');
$mock->gate(pass => $in_flight);
ok(wait_sql($node, 'SELECT count(*) = 0 FROM gepa.job_workers()', 'no worker'), '... and its workers leave');
is($mock->journal->{requests}, 30 + $in_flight, '... without further calls');
is(value($node, 'SELECT (SELECT count(*) FROM gepa.job_claim) + (SELECT count(*) FROM gepa.job_queue)'), 0, '... nothing is left of it');
like((outcome($node, "SELECT gepa.resume_job($job)"))[1], qr/ERROR:  55000: job $job is cancelled and cannot be resumed/, '... and it stays so');
$job = start_job($judge, $arguments);
is_whole(0, 'the next job', $job);

done_testing();
