# Many calls at a time: never more in flight than max_concurrency, and that many
# in fact; over few connections, which outlive the query; and an end to all of
# them when one shows that none can succeed.  gepa.report() asks for all test rows
# of a run in one batch, so it is what makes the calls here.

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

my $rows = 30;
my $mock = Gepa::Mock->new;
# So few descriptors that about 20 remain for connections.
my $node = gepa_node('main', conf => "max_files_per_process = 64\n");

# An ended run whose test rows a report judges; its candidate 0 is the judge itself.
create_lm($node, 'lm', $mock, 'judge-rules', max_concurrency => 1);
load_world($node, 'labels', rows => 4 * $rows);
value($node, q{SELECT gepa.create_judge('j', 'lm', 'Is it good?')});
value($node, "
	SELECT gepa.create_dataset('d', 'labels', 'id', '{body}', 'keep', split => 'part');
	SELECT gepa.optimize('j', 'd', NULL, 66, options => '" . reference_mode('{"max_proposals": 1}') . "')");

my $report = q{SET gepa.allow_lm_mismatch = on; SELECT count(*) > 0 FROM gepa.report('j');};

# The report's LM is another model from now on; the journal begins anew.
sub point_at
{
	my ($model, $concurrency) = @_;

	value($node, "ALTER SERVER lm OPTIONS (SET model '$model', SET max_concurrency '$concurrency')");
	$mock->gate(open => 0);
	$mock->reset;
	return;
}

# As many as allowed, all the time; as some pass, as many follow.
point_at('judge-rules+gate', 7);
my $session = background($node, $report);
ok($mock->wait_for(sub { $_->{waiting} == 7 }, '7 at the gate'), 'as many in flight as allowed');
$mock->gate(pass => 3);
ok($mock->wait_for(sub { $_->{requests} == 10 && $_->{waiting} == 7 }, '7 again'), 'three pass, three follow');
$mock->gate(open => 1);
is((finish($session))[0], "t\n", 'the report is done');
is($mock->journal->{peak}, 7, 'never more than allowed');
is($mock->journal->{documents}, $rows, 'each row was judged');
is($mock->journal->{connections}, 7, 'over as many connections');

# More allowed than descriptors are there for: the rest waits inside.
point_at('judge-rules+429-s1-once+slow-5', 64);
is((outcome($node, $report))[0], 't', 'more in flight than descriptors allow: done all the same');
my $journal = $mock->journal;
cmp_ok($journal->{peak}, '<', $rows, '... with fewer in flight');
is($journal->{answered}, $rows, '... and all answered');

# Connections are kept between queries and transactions of a session.
create_lm($node, 'kept', $mock, 'judge-rules');
value($node, q{SELECT gepa.create_judge('kept', 'kept', 'Is it kept?')});
$mock->reset;
value($node, join '', map { "SELECT gepa_judge('kept', 'text $_');" } 1 .. 5);
is($mock->journal->{requests}, 5, 'five queries');
is($mock->journal->{connections}, 1, '... over one connection');

# One lost connection is replaced by one.
create_lm($node, 'closing', $mock, 'judge-rules+close');
value($node, q{SELECT gepa.create_judge('closing', 'closing', 'Is it closed?')});
$mock->reset;
value($node, join '', map { "SELECT gepa_judge('closing', 'text $_');" } 1 .. 3);
is($mock->journal->{connections}, 3, 'a connection that the endpoint closes is not used again');

# A wrong key stays wrong for all: what is not on its way is not sent.
for my $case ([ '401', '28000' ], [ '403', '42501' ], [ '404', '42704' ], [ 'quota', '53400' ])
{
	my ($modifier, $sqlstate) = @$case;

	point_at("judge-rules+$modifier", 16);
	like((outcome($node, $report))[1], qr/ERROR:  $sqlstate: judge "j" has no verdict.*HINT/s, "$modifier: an error");
	is($mock->journal->{requests}, 1, "... and one request for $rows rows");
}
point_at('judge-rules+401+gate', 4);
$session = background($node, $report);
ok($mock->wait_for(sub { $_->{waiting} == 4 }, '4 at the gate'), 'four are on their way');
$mock->gate(pass => 1);
like((finish($session))[1], qr/ERROR:  28000/, 'the first answer is an error');
ok($mock->wait_for(sub { $_->{in_flight} == 0 }, 'none in flight'), 'the others are called back');
is($mock->journal->{requests}, 4, '... and no further one is sent');
is($mock->journal->{aborted}, 3, '... so three have no answer');

# Retry-After is said to the client, not to one request: everybody waits, also
# after the last attempt at a row.
point_at('judge-rules+429-s1', 1);
$session = background($node, $report);
ok($mock->wait_for(sub { $_->{documents} == 2 }, 'the next row'), 'told to wait, again and again');
value($node, "SELECT pg_cancel_backend($session->{pid})");
finish($session);
my @requests = $mock->requests;
for my $i (grep { $requests[$_]{status} && $requests[$_]{status} == 429 } 0 .. $#requests - 1)
{
	cmp_ok($requests[ $i + 1 ]{time_in}, '>=', $requests[$i]{time_in} + 1, "nothing is sent before it may, after $i");
}

# Longer than anybody would wait: no row is asked again before that.
point_at('judge-rules+429-s3600', 1);
value($node, $report);
is($mock->journal->{requests}, 1, 'an hour is not waited for: one request tells it for all rows');
like(value($node, "SELECT min(detail) FROM gepa.verdict_errors WHERE detail LIKE '%429%'"), qr/HTTP 429/, '... which say why');

done_testing();
