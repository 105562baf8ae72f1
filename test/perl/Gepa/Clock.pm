# A server one of whose clocks the test moves.
#
#   my $clock = Gepa::Clock->new('CLOCK_REALTIME');      the time of day; or 'CLOCK_MONOTONIC', which waits go by
#   my $node = $clock->start(sub { gepa_node('main') })  what is started has that clock
#   $clock->put(-3600)                                   off by so many seconds
package Gepa::Clock;

use strict;
use warnings;

use PostgreSQL::Test::Utils;

# The seconds are what a file has.  A signal handler may ask for the time: nothing here
# but system calls.
my $source = <<'C';
#define _GNU_SOURCE
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

	if (rc == 0 && clock == MOVED)
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

sub new
{
	my ($class, $clock) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir();

	append_to_file("$folder/clock.c", $source);
	system_or_bail('cc', '-shared', '-fPIC', "-DMOVED=$clock", '-o', "$folder/clock.so", "$folder/clock.c");
	return bless { folder => $folder }, $class;
}

sub start
{
	my ($self, $start) = @_;

	local %ENV = (%ENV, CLOCK_OFFSET => "$self->{folder}/offset", LD_PRELOAD => "$self->{folder}/clock.so");
	return $start->();
}

sub put
{
	my ($self, $seconds) = @_;

	append_to_file("$self->{folder}/next", $seconds);
	rename "$self->{folder}/next", "$self->{folder}/offset" or die $!;
	return;
}

1;
