# A run at work whose LM is moved loses the key with it: it fails, says why, and goes
# on where it was once the key is given again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $other = Gepa::Mock->new;
my $node = gepa_node('main');

create_lm($node, 'lm', $mock, 'judge-rules+key-k1+gate', max_concurrency => 4);
value($node, q{CREATE USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (api_key 'k1')});
load_world($node, 'labels', rows => 80, seed => 2);
value($node, "SELECT gepa.create_judge('j', 'lm', 'Is it good?')");
value($node, "SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep')");

my $run = value($node, "SELECT gepa.start('j', 'd', NULL, 100)");
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'rollouts at the gate'), 'a run is at work');
value($node, "ALTER SERVER lm OPTIONS (SET base_url '@{[$other->url]}')");
$other->gate(open => 1);
# those at the gate are lost, and are tried again where the LM is by now
$mock->stop;
wait_sql($node, "SELECT status NOT IN ('queued', 'running') FROM gepa.runs WHERE run = $run", 'the end of the run');
is(value($node, "SELECT status, reason LIKE '%401%user mapping%' FROM gepa.runs WHERE run = $run"), 'failed|t',
	'its LM is moved: it fails, and says what is missing') or diag(value($node, "SELECT reason FROM gepa.runs WHERE run = $run"));
is(join(' ', sort { $a cmp $b } keys %{ { map { ($_->{headers}{authorization} // 'none') => 1 } $other->requests } }), 'none',
	'... the new endpoint has not seen the key');
value($node, q{ALTER USER MAPPING FOR CURRENT_USER SERVER lm OPTIONS (ADD api_key 'k1')});
value($node, "SELECT gepa.resume($run)");
is(value($node, "SELECT gepa.wait($run)"), 'finished', '... with a key again it goes on to its end');

done_testing();
