# max_concurrency holds for all processes together.  A place that becomes free goes to
# whoever has fewest, and so nobody starves beside a query with many documents.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Mock;
use Gepa::Report;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $node = gepa_node('main');
my $report = prepare_report($node, $mock, rows => 40);

sub judging
{
	my ($text) = @_;
	return background($node, "$Gepa::Report::allow SELECT gepa_judge('j', '$text') IS NOT NULL;");
}

# A session that waits for nothing but a place.
sub waiting
{
	my ($text) = @_;
	my $session = judging($text);

	ok(session_waits($node, $session, 'GepaLmSlot'), "'$text' waits for a place");
	return $session;
}

# What has arrived, in order: the texts, rows of the report as "row".
sub arrived
{
	return join ' ', map { $_->{messages}[-1]{content} =~ /\n(.*?)(?: \d+)?\n/ ? $1 : '?' } $mock->requests;
}

# -- five sessions, two places

point_at($node, $mock, 'judge-rules+gate', 2);
my @sessions = map { judging("text$_") } 1 .. 5;
ok($mock->wait_for(sub { $_->{waiting} == 2 }, 'two calls'), 'two sessions call');
wait_sql($node, "SELECT count(*) = 5 FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND pid IN ("
	  . join(', ', map { $_->{pid} } @sessions) . ')', 'five that wait');
is($mock->journal->{requests}, 2, '... and three wait for a place');
$mock->gate(open => 1);
is((finish($_))[0], "t\n", 'each has its answer') for @sessions;
is($mock->journal->{peak}, 2, '... and no more than two were ever in flight');

# -- one with many documents, three with one each: these come next, in their order

point_at($node, $mock, 'judge-rules+gate', 4);
my $many = background($node, $report);
ok($mock->wait_for(sub { $_->{waiting} == 4 }, 'four calls'), 'a report has all places');
@sessions = map { waiting($_) } 'anna', 'bert', 'carl';
for my $n (5 .. 9)
{
	$mock->gate(pass => 1);
	ok($mock->wait_for(sub { $_->{requests} == $n && $_->{waiting} == 4 }, 'the next'), 'one passes, one follows');
}
is(arrived(), 'row row row row anna bert carl row row', 'a place goes to who has none, in order of arrival');
$mock->gate(open => 1);
is((finish($_))[0], "t\n", 'all have their answers') for $many, @sessions;
is($mock->journal->{peak}, 4, '... and no more than four were ever in flight');

# -- a place comes back from whoever ends, and goes to the next

for my $end ([ 'pg_cancel_backend', '57014' ], [ 'pg_terminate_backend', '57P01' ])
{
	my ($function, $sqlstate) = @$end;

	point_at($node, $mock, 'judge-rules+gate', 1);
	my $holder = judging("$function held");
	ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'its call'), "$function: a session has the only place");
	my $waiter = waiting("$function waiting");
	my $next = waiting("$function next");
	value($node, "SELECT $function($holder->{pid})");
	like((finish($holder))[1], qr/$sqlstate/, '... and is ended');
	ok($mock->wait_for(sub { $_->{requests} == 2 && $_->{in_flight} == 1 }, 'the next'), '... its place goes to the next');
	value($node, "SELECT $function($next->{pid})");
	like((finish($next))[1], qr/$sqlstate/, 'one that waits is ended as well');
	$mock->gate(open => 1);
	is((finish($waiter))[0], "t\n", '... and the other has its answer');
	is($mock->journal->{requests}, 2, '... without a further call');
}

# A new limit holds for calls to come, whoever makes them.
point_at($node, $mock, 'judge-rules+gate', 1);
my $holder = judging('holder');
ok($mock->wait_for(sub { $_->{waiting} == 1 }, 'its call'), 'one session calls');
my $waiter = waiting('waiter');
value($node, "ALTER SERVER lm OPTIONS (SET max_concurrency '2')");
my $latest = waiting('latest');
ok($mock->wait_for(sub { $_->{waiting} == 2 }, 'two calls'), 'a raised limit lets who waits go first');
is(arrived(), 'holder waiter', '... in order of arrival');
$mock->gate(open => 1);
is((finish($_))[0], "t\n", '... and all go on') for $holder, $waiter, $latest;

done_testing();
