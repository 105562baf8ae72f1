# The launcher ends in the middle of it all, and what role settings do to the
# workers that it starts.

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
my $node = gepa_node('main', conf => "gepa.max_run_workers = 1\n");
my $launcher = "FROM pg_stat_activity WHERE backend_type = 'gepa launcher'";

prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { rows => 80 }, lm => { max_concurrency => 4 });

# One run at work, and one that was cancelled in the queue.
my $run = start_run($node);
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'four at the gate'), 'a run at work');
my $session = background($node, "SELECT gepa.optimize('j', 'labels', 'writer', 150);");
wait_sql($node, 'SELECT count(*) = 2 FROM gepa.runs', 'the queued run');
value($node, "SELECT pg_cancel_backend($session->{pid})");
my (undef, $err) = finish($session);
like($err, qr/ERROR:  57014/, 'gepa.optimize() cancelled in the queue');
my $queued = value($node, 'SELECT max(run) FROM gepa.runs');

# The next launcher finds both in the tables.
my $pid = value($node, "SELECT pid $launcher");
value($node, "SELECT pg_terminate_backend($pid)");
wait_sql($node, "SELECT count(*) = 1 $launcher AND pid <> $pid", 'the next launcher');
$node->append_conf('postgresql.conf', "gepa.max_run_workers = 2\n");
$node->reload;
is(wait_run($node, $queued), 'stopped', 'a run cancelled in the queue does not begin with the next launcher');
is(run_value($node, $queued, 'rollouts'), 0, '... and makes no rollout');
is($mock->journal->{in_flight}, 4, 'the run at work has not noticed');
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', '... and ends');
is(wait_run($node, start_run($node)), 'finished', '... and further ones are started');

# Settings of the owner that are meant for sessions.
value($node, <<'SQL');
CREATE ROLE poor;
CREATE ROLE curator LOGIN IN ROLE poor;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO curator;
GRANT USAGE ON FOREIGN SERVER judge, writer TO curator;
GRANT SELECT ON labels TO curator;
ALTER ROLE curator SET role = 'poor';
ALTER ROLE curator SET default_transaction_read_only = on;
ALTER ROLE curator SET default_transaction_isolation = 'serializable';
ALTER ROLE curator SET search_path = '';
ALTER ROLE curator SET lock_timeout = 1;
SET SESSION AUTHORIZATION curator;
SELECT gepa.create_judge('c', lm => 'judge', prompt => 'Is it?');
SELECT gepa.create_dataset('c', source => 'labels', key => 'id', inputs => '{body}', label => 'keep');
SQL
$run = value($node, "SET SESSION AUTHORIZATION curator; SELECT gepa.start('c', 'c', 'writer', 150)");
is(wait_run($node, $run), 'finished', 'settings of the owner do not reach its worker')
  or diag(run_value($node, $run, 'reason'));

done_testing();
