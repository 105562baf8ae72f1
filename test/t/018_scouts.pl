# Scouts that are held up or ended: other databases do not wait for theirs,
# and theirs is looked at again.  Databases that cannot be looked at are not
# forgotten.

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
my $scouts = "FROM pg_stat_activity WHERE backend_type = 'gepa scout'";

# Four databases with one interrupted run each, which no slot knows of.
prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { rows => 80 }, lm => { max_concurrency => 4 });
my $run = start_run($node);
$mock->wait_for(sub { $_->{waiting} == 4 }, 'four at the gate');
value($node, "SELECT gepa.stop($run)");
is(wait_run($node, $run), 'stopped', 'a run');
value($node, "UPDATE gepa.run SET status = 'running'");
value($node, "CREATE DATABASE $_ TEMPLATE postgres", db => 'template1') for qw(free pattern closed);
value($node, 'ALTER DATABASE pattern IS_TEMPLATE true; ALTER DATABASE closed ALLOW_CONNECTIONS false');

# The first database's scout is held up by a lock.
my $lock = background($node, "BEGIN; LOCK TABLE gepa.run;");
wait_sql($node, "SELECT state = 'idle in transaction' FROM pg_stat_activity WHERE pid = $lock->{pid}", 'the lock');
value($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'gepa launcher'");
wait_sql($node, "SELECT count(*) = 1 $scouts AND wait_event_type = 'Lock'", 'a scout behind the lock');
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'the run of one database'),
	'a scout behind a lock does not hold up others');

# By now the launcher has passed over the other two.
value($node, 'ALTER DATABASE pattern IS_TEMPLATE false; ALTER DATABASE closed ALLOW_CONNECTIONS true');
ok($mock->wait_for(sub { $_->{waiting} == 12 }, 'the runs of three databases'),
	'databases that could not be looked at are looked at later');

# It ends, in two ways, and another one follows.
my $log = -s $node->logfile;
value($node, "SELECT pg_terminate_backend(pid) $scouts");
ok($node->wait_for_log(qr/lock timeout/, $log), 'a scout that was ended is sent again, and gives up at the lock');
$lock->{in} .= "COMMIT;\n";
finish($lock);
ok($mock->wait_for(sub { $_->{waiting} == 16 }, 'all four runs'), '... and is sent again');
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', 'the run ends');

done_testing();
