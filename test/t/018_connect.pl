# Runs whose owner can no longer connect end with a reason, and go on when
# resumed; a database that refuses everybody only delays them.

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
my $end_workers = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'gepa run worker'";

prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { rows => 80 }, lm => { max_concurrency => 4 });
value($node, <<'SQL');
CREATE ROLE curator LOGIN;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gepa TO curator;
GRANT USAGE ON FOREIGN SERVER judge, writer TO curator;
GRANT SELECT ON labels TO curator;
SET SESSION AUTHORIZATION curator;
SELECT gepa.create_judge('c', lm => 'judge', prompt => 'Is it?');
SELECT gepa.create_dataset('c', source => 'labels', key => 'id', inputs => '{body}', label => 'keep');
SQL

my $start = "SELECT gepa.start('c', 'c', 'writer', 150)";

# The right to connect, taken away before the first worker comes.
my $run = value($node, "BEGIN; SET LOCAL ROLE curator; $start; RESET ROLE; REVOKE CONNECT ON DATABASE postgres FROM public; COMMIT");
is(wait_run($node, $run), 'failed', 'a run whose owner may not connect fails');
like(run_value($node, $run, 'reason'),
	qr/could not connect to database "postgres" as role "curator"; .*log.* Grant CONNECT .*gepa\.resume\($run\)/,
	'... and says what to do');
value($node, 'GRANT CONNECT ON DATABASE postgres TO public');
$mock->gate(open => 1);
value($node, "SELECT gepa.resume($run)");
is(wait_run($node, $run), 'finished', '... after which it goes on');

# Stopping such a run, which a worker had begun.
$mock->gate(open => 0);
$run = value($node, "SET ROLE curator; $start");
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'four at the gate'), 'a run at work');
value($node, "REVOKE CONNECT ON DATABASE postgres FROM public; $end_workers");
value($node, "SELECT gepa.stop($run)");
is(wait_run($node, $run), 'stopped', 'a run whose owner may not connect can be stopped');
is(run_value($node, $run, 'reason'), 'stopped on request', '... and says so');
value($node, 'GRANT CONNECT ON DATABASE postgres TO public');

# A database that lets nobody in for a while, between two workers.  The
# launcher has looked for the run in vain when another run, whose worker ended
# later, has its next one.
value($node, 'CREATE DATABASE other TEMPLATE postgres');
$mock->gate(open => 0);
value($node, "SET ROLE curator; $start", db => 'other');
$mock->wait_for(sub { $_->{waiting} == 4 }, 'the run in the other database');
$run = value($node, "SET ROLE curator; $start");
$mock->wait_for(sub { $_->{waiting} == 8 }, 'eight at the gate');
value($node, "ALTER DATABASE postgres ALLOW_CONNECTIONS false; $end_workers AND datname = 'postgres'; $end_workers", db => 'other');
$mock->wait_for(sub { $_->{waiting} == 4 }, 'the next worker in the other database');
value($node, 'ALTER DATABASE postgres ALLOW_CONNECTIONS true', db => 'other');
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', 'a run whose database refused connections for a while goes on');

done_testing();
