# A standby shows runs and begins none; promoted, it takes up what its primary
# had not finished.

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
my $node = gepa_node('main', streaming => 1);

prepare_tuning($node, $mock, model => 'judge-rules+gate', world => { rows => 80 }, lm => { max_concurrency => 4 });
$mock->gate(open => 1);
my $finished = start_run($node);
is(wait_run($node, $finished), 'finished', 'a run on the primary');

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$mock->gate(open => 0);
my $run = start_run($node);
$mock->gate(pass => 10);
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'four at the gate'), 'another one is at work');
wait_sql($node, "SELECT count(*) = 10 FROM gepa.rollouts WHERE run = $run", 'ten rollouts');
$node->wait_for_catchup($standby, 'replay', $node->lsn('write'));

is(run_value($standby, $run, 'status, rollouts'), 'running|10', 'the standby shows it');
same_facts(run_facts($standby, $finished), run_facts($node, $finished), '... and the other one');
is(value($standby, "SELECT difference FROM gepa.replay($finished)"), '', '... of which a replay needs no writing');
is(value($standby, "SELECT gepa.wait($run, '1 ms')"), 'running', '... can wait for it');
is(value($standby, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'gepa%'"), 0, '... and has no worker');
for my $call ("start('j', 'labels', 'writer', 150)", "optimize('j', 'labels', 'writer', 150)", "resume($run)")
{
	my (undef, $err) = outcome($standby, "SELECT gepa.$call");
	my ($name) = $call =~ /^(\w+)/;
	like($err, qr/ERROR:  25006: gepa\.$name\(\) cannot be used on a standby\n.*HINT:  Call it on the primary/s, "gepa.$name() says where to call it");
}
for my $call ("stop($run)", "deploy($finished)")
{
	my (undef, $err) = outcome($standby, "SELECT gepa.$call");
	like($err, qr/ERROR:  25006: /, "gepa.$call is refused");
}

# The primary is gone.
$node->stop('immediate');
ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'nothing in flight'), 'the primary is gone');
my $paid = judge_calls($mock);
$standby->promote;
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'four at the gate'), 'promoted, the standby takes the run up');
$mock->gate(open => 1);
is(wait_run($standby, $run), 'finished', '... to its end');
same_facts(run_facts($standby, $run), run_facts($standby, $finished), '... which is the same');
is(judge_calls($mock) - $paid, run_value($standby, $run, 'rollouts') - 10, '... and pays nothing twice');

done_testing();
