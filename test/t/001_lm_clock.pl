# A clock that is put back while a session waits: a retry in back-off and a hold that
# Retry-After asked for end when they would have, by a clock that nobody sets.

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
my $folder = PostgreSQL::Test::Utils::tempdir();

# The time of day, off by the seconds that a file has.  A signal handler may ask for
# it: nothing here but system calls.
append_to_file("$folder/clock.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long
offset(void)
{
	int			saved = errno;
	char		text[32] = "";
	const char *path = getenv("CLOCK_OFFSET");
	int			fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t		n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return n > 0 ? atol(text) : 0;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int			rc = (int) syscall(SYS_clock_gettime, clock, now);

	if (rc == 0 && clock == CLOCK_REALTIME)
		now->tv_sec += offset();
	return rc;
}

int
gettimeofday(struct timeval *now, void *zone)
{
	struct timespec exact;
	int			rc = clock_gettime(CLOCK_REALTIME, &exact);

	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	return rc;
}

time_t
time(time_t *result)
{
	struct timespec exact;

	clock_gettime(CLOCK_REALTIME, &exact);
	if (result)
		*result = exact.tv_sec;
	return exact.tv_sec;
}
C
system_or_bail('cc', '-shared', '-fPIC', '-o', "$folder/clock.so", "$folder/clock.c", '-ldl');

my $node;
{
	local %ENV = (%ENV, CLOCK_OFFSET => "$folder/offset", LD_PRELOAD => "$folder/clock.so");
	$node = gepa_node('main');
}

sub put_clock
{
	my ($seconds) = @_;

	append_to_file("$folder/next", $seconds);
	rename "$folder/next", "$folder/offset" or die $!;
	return;
}

sub now { return value($node, q{SELECT extract(epoch FROM clock_timestamp())::bigint}); }

put_clock(0);
my $hour = 3600;
my $before = now();
put_clock(-$hour);
cmp_ok(now(), '<', $before - $hour / 2, 'the server has the clock of this test');
put_clock(0);

# A batch all of whose calls wait to be tried again, and then the clock goes back.  If
# they waited for its hour, psql's time would be up first.
my $report = prepare_report($node, $mock, rows => 24);

sub goes_back
{
	my ($model, $wait, $what) = @_;

	point_at($node, $mock, "judge-rules+$model", 24);
	my $session = background($node, $report);
	ok($mock->wait_for(sub { $_->{completed} >= $wait }, 'the first answers'), "a session in $what");
	put_clock(-$hour);
	is((finish($session))[0], "t\n", '... whose clock is put back goes on when its time has come');
	put_clock(0);
	return;
}

goes_back('500-once', 24, 'back-off');
goes_back('429-once', 1, 'a hold of Retry-After');
goes_back('429-date-once', 1, 'a hold of Retry-After until a date');

done_testing();
