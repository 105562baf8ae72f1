# Workers and what is around them: how many run at a time, as whom, and what
# happens when their database, their extension or their room is taken away.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $workers = "FROM pg_stat_activity WHERE backend_type = 'gepa run worker'";

prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { rows => 80 }, lm => { max_concurrency => 4 });

sub waiting
{
	my ($n, $name) = @_;
	return ok($mock->wait_for(sub { $_->{waiting} == $n }, "$n at the gate"), $name);
}

sub runs_end
{
	my ($name, @runs) = @_;
	$mock->gate(open => 1);
	is(join(' ', map { wait_run($node, $_) } @runs), join(' ', ('finished') x @runs), $name);
	$mock->gate(open => 0);
	return;
}

# Two at a time; one at a time, until the limit is raised.
my @runs = map { start_run($node) } 1, 2;
wait_sql($node, "SELECT count(*) = 2 $workers", 'two workers');
waiting(4, 'two runs work at a time, within the limit of their LM');
is( value($node, "SELECT string_agg(application_name, ',' ORDER BY application_name) $workers"),
	"gepa run $runs[0],gepa run $runs[1]", '... each in a worker with its name');
runs_end('... and both end', @runs);
same_facts(run_facts($node, $runs[1]), run_facts($node, $runs[0]), '... alike');

value($node, 'ALTER SYSTEM SET gepa.max_run_workers = 1');
$node->reload;
wait_sql($node, "SELECT setting = '1' FROM pg_settings WHERE name = 'gepa.max_run_workers'", 'the limit');
@runs = (start_run($node));
waiting(4, 'with gepa.max_run_workers = 1');
push @runs, start_run($node);
push @runs, start_run($node);
value($node, "SELECT gepa.stop($runs[2])");
is(run_value($node, $runs[2], q(status || ', ' || reason)), 'stopped, stopped before it began',
	'a queued run can be stopped');
is(value($node, "SELECT status || ', ' || phase FROM gepa.progress WHERE run = $runs[1]"), 'queued, waiting for a worker',
	'... another one stays in the queue');
is(value($node, "SELECT count(*) $workers"), 1, '... without a worker');
value($node, 'ALTER SYSTEM RESET gepa.max_run_workers');
$node->reload;
wait_sql($node, "SELECT status = 'running' FROM gepa.runs WHERE run = $runs[1]", 'the second run');
is(value($node, "SELECT count(*) $workers"), 2, '... until the limit is raised');
runs_end('both end', @runs[0, 1]);
is(run_value($node, $runs[2], 'rollouts'), 0, 'the stopped one never began');

# As the owner, one who cannot log in included: a right that is taken away is
# missed at once, whatever superuser may be behind the worker.
for my $attribute ('LOGIN', 'NOLOGIN')
{
	my $role = lc $attribute . '_role';
	value($node, <<"SQL");
CREATE ROLE $role $attribute;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO $role;
GRANT USAGE ON FOREIGN SERVER judge, writer TO $role;
GRANT SELECT ON labels TO $role;
SET ROLE $role;
SELECT gepa.create_judge('$role', lm => 'judge', prompt => 'Is it?');
SELECT gepa.create_dataset('$role', source => 'labels', key => 'id', inputs => '{body}', label => 'keep');
SQL
	my $session = background($node, "SET ROLE $role; SELECT gepa.optimize('$role', '$role', 'writer', 150);");
	waiting(4, "a run of a role with $attribute");
	my $run = value($node, 'SELECT max(run) FROM gepa.runs');
	is(run_value($node, $run, 'owner'), $role, '... is its own');
	is(value($node, "SELECT usename $workers"), $role, '... and so is the worker') if $attribute eq 'LOGIN';
	value($node, "REVOKE USAGE ON FOREIGN SERVER judge FROM $role");
	$mock->gate(open => 1);
	my (undef, $err) = finish($session);
	like($err, qr/ERROR:  38000: run $run failed: permission denied for LM "judge"/,
		'... which needs USAGE of the LM at every step');
	$mock->gate(open => 0);
}

# A role that is gone.
value($node, q(SELECT gepa.drop_dataset('login_role'); DROP OWNED BY login_role; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO login_role; GRANT USAGE ON FOREIGN SERVER judge, writer TO login_role));
value($node, "ALTER SYSTEM SET gepa.max_run_workers = 1");
$node->reload;
my $run = start_run($node);
waiting(4, 'while another run works');
value($node, 'GRANT SELECT ON labels TO login_role');
my $orphan = value($node, q(SET ROLE login_role; SELECT gepa.create_dataset('login_role', source => 'labels', key => 'id', inputs => '{body}', label => 'keep');
	SELECT gepa.start('login_role', 'login_role', 'writer', 150)));
$orphan =~ s/.*\n//s;
value($node, 'DROP OWNED BY login_role; DROP ROLE login_role');
$mock->gate(open => 1);
is(wait_run($node, $orphan), 'failed', 'a run whose owner was dropped fails');
is(run_value($node, $orphan, 'reason'), 'the role that owned the run was dropped', '... as the row says');
wait_run($node, $run);
$mock->gate(open => 0);
value($node, "ALTER SYSTEM RESET gepa.max_run_workers");
$node->reload;

# A database that is dropped with all its connections.
value($node, 'CREATE DATABASE doomed TEMPLATE postgres');
$run = start_run($node);
is(start_run($node, db => 'doomed'), $run, 'runs in two databases have one number');
waiting(8, '... and both work');
value($node, 'DROP DATABASE doomed WITH (FORCE)');
ok($mock->wait_for(sub { $_->{in_flight} == 4 }, 'one left'), 'a database that is dropped takes its run along');
runs_end('... and leaves the other alone', $run);

# An extension that is dropped: nothing of the run holds a lock.
$run = start_run($node);
waiting(4, 'a run');
value($node, q(SET lock_timeout = '100 s'; DROP EXTENSION gepa CASCADE));
pass('the extension can be dropped while it works');
$mock->gate(open => 1);
ok($node->wait_for_log(qr/gepa run $run was dropped while at work/), '... and the worker ends');
wait_sql($node, "SELECT count(*) = 0 $workers", 'no worker');
value($node, 'DROP TABLE labels; CREATE EXTENSION gepa');
prepare_tuning($node, $mock, world => { rows => 80 });
runs_end('created anew it works', start_run($node));

# No room for a worker: the run waits, and gepa.optimize() says so.
$node->append_conf('postgresql.conf', "max_worker_processes = 2\nmax_logical_replication_workers = 0\n");
value($node, q(ALTER SERVER judge OPTIONS (SET model 'judge-rules+gate'); SELECT gepa.alter_judge('j')));
$node->restart;
wait_sql($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'gepa scout'",
	'scouts are gone');
$mock->gate(open => 0);
@runs = (start_run($node));
$mock->wait_for(sub { $_->{waiting} > 0 }, 'the only worker');
my $log = -s $node->logfile;
push @runs, start_run($node);
ok($node->wait_for_log(qr/no background worker slot for "gepa run $runs[1]", will retry/, $log),
	'without a free worker a run waits');
my ($out, $err) = outcome($node, "SELECT gepa.optimize('j', 'labels', 'writer', 150)");
like($err, qr/ERROR:  53000: could not register a background worker.*HINT:  [^\n]*max_worker_processes/s,
	'... and gepa.optimize() cannot start');
is(run_value($node, $runs[1], 'status'), 'queued', '... but what is started stays queued');
runs_end('both end when there is room', @runs);

done_testing();
