# A run worker is one of those who share an LM's limit: a query beside it gets its
# place.  Without preload the limit holds for each process by itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Run;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');

prepare_tuning($node, $mock, model => 'judge-rules+gate', lm => { max_concurrency => 2 });
my $run = start_run($node);
ok($mock->wait_for(sub { $_->{waiting} == 2 }, 'two rollouts'), 'a run has all places of its LM');
my @sessions = map { background($node, "SELECT gepa_judge('j', 'query $_') IS NOT NULL;") } 1 .. 2;
ok(session_waits($node, $_, 'GepaLmSlot'), '... a query waits for one') for @sessions;
is($mock->journal->{requests}, 2, '... and does not call');

# Whichever rollout passes, the run then has one place, the queries none.
$mock->gate(pass => 1);
ok($mock->wait_for(sub { $_->{requests} == 3 }, 'the next'), 'a rollout ends');
my @requests = $mock->requests;
like($requests[2]{messages}[-1]{content}, qr/query 1/, '... and the query that came first is next');
$mock->gate(open => 1);
is((finish($_))[0], "t\n", 'a query has its answer') for @sessions;
is(wait_run($node, $run), 'finished', '... and the run finishes');
is($mock->journal->{by_model}{'judge-rules+gate'}{peak}, 2, '... with two calls in flight at most, all together');
is(run_flaws($node, $run), '', '... whole');

# A worker that is killed has its place taken by others, and by the next worker.
$mock->gate(open => 0);
$mock->reset;
$run = start_run($node, seed => 1);
ok($mock->wait_for(sub { $_->{waiting} == 2 }, 'two rollouts'), 'a run has all places of its LM');
my $session = background($node, "SELECT gepa_judge('j', 'another query') IS NOT NULL;");
ok(session_waits($node, $session, 'GepaLmSlot'), '... a query waits for one');
value($node, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'gepa run $run'");
ok($mock->wait_for(sub { grep { $_->{messages}[-1]{content} =~ /another query/ } $mock->requests }, 'the query'),
	'the end of the worker gives its places to others');
$mock->gate(open => 1);
is((finish($session))[0], "t\n", 'the query has its answer');
is(wait_run($node, $run), 'finished', '... and the run goes on to its end');

# -- without preload

my $alone = gepa_node('alone', preload => 0);
my $judge = judge_on($alone, $mock, 'judge-rules+gate', max_concurrency => 1);
$mock->gate(open => 0);
$mock->reset;
@sessions = map { background($alone, "SELECT gepa_judge('$judge', 'the same text') IS NOT NULL;") } 1 .. 2;
ok($mock->wait_for(sub { $_->{waiting} == 2 }, 'two calls'), 'not preloaded: each process has its own limit, and its own call');
$mock->gate(open => 1);
is((finish($_))[0], "t\n", '... and its answer') for @sessions;

done_testing();
