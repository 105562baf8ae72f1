# The first call to an endpoint goes alone until it is known that the endpoint takes
# calls: one request tells what no further call can escape.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Test;
use List::Util qw(min);
use PostgreSQL::Test::Cluster;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $alone = gepa_node('alone', preload => 0);
my $texts = 0;

# Many documents that nobody has judged yet, in a query of one of these kinds.
sub node_query { return "SELECT count(gepa_judge('$_[0]', '@{[ ++$texts ]} ' || i)) FROM generate_series(1, 50) i;"; }

sub array_query { return "SELECT cardinality(gepa_judge('$_[0]', array_agg('@{[ ++$texts ]} ' || i))) FROM generate_series(1, 50) i;"; }

# How many requests were there before the first of them was answered?
sub together
{
	my @requests = $mock->requests;
	my $answered = min(map { $_->{time_out} } @requests);

	return scalar grep { $_->{time_in} < $answered } @requests;
}

# Who is alone is answered after a second, before more would go.
sub sent
{
	my ($on, @queries) = @_;

	$mock->reset;
	$mock->meet(16);
	my ($out, $err) = outcome($on, join "\n", @queries);
	is($out, join("\n", (50) x @queries), 'all are answered') or diag($err);
	return together();
}

# -- a refused key

my $keyed = judge_on($node, $mock, 'judge-fixed-true+key-secret');
for my $query (node_query($keyed), array_query($keyed), node_query($keyed))
{
	$mock->reset;
	like((outcome($node, $query))[1], qr/ERROR:  28000/, 'a refused key is an error');
	is($mock->journal->{requests}, 1, '... after one request');
}
value($node, "CREATE USER MAPPING FOR CURRENT_USER SERVER $keyed OPTIONS (api_key 'secret')");
is(sent($node, node_query($keyed)), 1, 'with the right key the first call goes alone as well');
is(sent($node, node_query($keyed)), 16, 'in another session all go at once: the endpoint is known');
is(sent($node, array_query($keyed)), 16, '... also for an array');

# What was known is known of that key, and model.
value($node, "ALTER USER MAPPING FOR CURRENT_USER SERVER $keyed OPTIONS (SET api_key 'wrong')");
$mock->reset;
like((outcome($node, node_query($keyed)))[1], qr/ERROR:  28000/, 'another key is refused');
is($mock->journal->{requests}, 1, '... after one request');
value($node, "ALTER USER MAPPING FOR CURRENT_USER SERVER $keyed OPTIONS (SET api_key 'secret')");
is(sent($node, node_query($keyed)), 16, 'the old one is still known');
value($node, "ALTER SERVER $keyed OPTIONS (SET model 'judge-fixed-true+404')");
$mock->reset;
like((outcome($node, "SET gepa.allow_lm_mismatch = on; @{[ node_query($keyed) ]}"))[1], qr/ERROR:  42704/, 'another model does not exist');
is($mock->journal->{requests}, 1, '... after one request');

# -- a slow answer: the others go after a while

my $slow = judge_on($node, $mock, 'judge-fixed-true+gate');
$mock->reset;
my $session = background($node, node_query($slow));
ok($mock->wait_for(sub { $_->{waiting} == 16 }, '16 at the gate'), 'a first answer that takes long does not hold up the others');
$mock->gate(open => 1);
is((finish($session))[0], "50\n", '... and all are answered');

# -- what speaks no HTTP is not known to take calls, but a call that has ended holds up no other

my $foreign = judge_on($node, $mock, 'judge-fixed-true+http09');
$mock->reset;
is((outcome($node, "SELECT count(*) FROM generate_series(1, 50) i WHERE gepa_judge('$foreign', 'text ' || i) IS NULL"))[0], 50, 'no answer makes sense');
is(together(), 1, '... the first call went alone');
is($mock->journal->{requests}, 50, '... and then the others');

# -- without shared memory it is known to the session

my $own = judge_on($alone, $mock, 'judge-fixed-true');
is(sent($alone, array_query($own)), 1, 'without preload the first call of a session goes alone');
is(sent($alone, array_query($own)), 1, '... of each session');
my $other = background($alone, array_query($own));
$other->{run}->pump until $other->{out} eq "50\n";
$mock->reset;
$mock->meet(16);
$other->{in} .= array_query($own);
is((finish($other))[0], "50\n50\n", 'a session asks again');
is(together(), 16, '... and has all in flight at once');

done_testing();
