# What a subtransaction asks of a run counts when it is kept, and not when it
# is rolled back, whatever becomes of the transaction around it.

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
my $start = "SELECT gepa.start('j', 'labels', 'writer', 150)";

prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { rows => 80 }, lm => { max_concurrency => 4 });

# Stops that are taken back, by a savepoint, an exception, and a level that
# was kept inside of one that was not.
my $run = start_run($node);
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'four at the gate'), 'a run at work');
value($node, <<"SQL");
BEGIN;
SAVEPOINT a;
SELECT gepa.stop($run);
ROLLBACK TO a;
DO \$\$ BEGIN PERFORM gepa.stop($run); RAISE 'no'; EXCEPTION WHEN raise_exception THEN NULL; END \$\$;
SAVEPOINT b;
SAVEPOINT c;
SELECT gepa.stop($run);
RELEASE c;
ROLLBACK TO b;
COMMIT;
SQL
is(run_value($node, $run, 'status'), 'running', 'stops that were rolled back leave the run running');
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', '... and its worker does not stop it');

# A stop that is kept through two levels.
$mock->gate(open => 0);
$run = start_run($node);
$mock->wait_for(sub { $_->{waiting} == 4 }, 'four at the gate');
value($node, "BEGIN; SAVEPOINT a; SAVEPOINT b; SELECT gepa.stop($run); RELEASE b; RELEASE a; COMMIT");
is(wait_run($node, $run), 'stopped', 'a stop in a subtransaction that is kept stops');

# Of two that are asked for in turn the one that is kept counts.
value($node, "BEGIN; SELECT gepa.resume($run); SAVEPOINT a; SELECT gepa.stop($run); ROLLBACK TO a; COMMIT");
$mock->gate(open => 1);
is(wait_run($node, $run), 'finished', 'a run resumed, and stopped in vain, goes on');

# A start that is rolled back makes no worker look for it.
$run = value($node, "BEGIN; SAVEPOINT a; $start; ROLLBACK TO a; $start; COMMIT");
my ($lost, $kept) = split /\n/, $run;
is(wait_run($node, $kept), 'finished', 'of two starts the one that was kept runs');
is(value($node, "SELECT count(*) FROM gepa.runs WHERE run = $lost"), 0, '... and the other one is none');

done_testing();
