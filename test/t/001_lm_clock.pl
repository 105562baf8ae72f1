# A clock that is put back while a session waits: a retry in back-off and a hold that
# Retry-After asked for end when they would have, by a clock that nobody sets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Gepa::Clock;
use Gepa::Mock;
use Gepa::Report;
use Gepa::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mock = Gepa::Mock->new;
my $clock = Gepa::Clock->new('CLOCK_REALTIME');
my $node = $clock->start(sub { gepa_node('main') });

sub now { return value($node, q{SELECT extract(epoch FROM clock_timestamp())::bigint}); }

$clock->put(0);
my $hour = 3600;
my $before = now();
$clock->put(-$hour);
cmp_ok(now(), '<', $before - $hour / 2, 'the server has the clock of this test');
$clock->put(0);

# A batch all of whose calls wait to be tried again, and then the clock goes back.  If
# they waited for its hour, psql's time would be up first.
my $report = prepare_report($node, $mock, rows => 24);

sub goes_back
{
	my ($model, $wait, $what) = @_;

	point_at($node, $mock, "judge-rules+$model", 24);
	my $session = background($node, $report);
	ok($mock->wait_for(sub { $_->{completed} >= $wait }, 'the first answers'), "a session in $what");
	$clock->put(-$hour);
	is((finish($session))[0], "t\n", '... whose clock is put back goes on when its time has come');
	$clock->put(0);
	return;
}

goes_back('500-once', 24, 'back-off');
goes_back('429-once', 1, 'a hold of Retry-After');
goes_back('429-date-once', 1, 'a hold of Retry-After until a date');

done_testing();
