/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  The clock that waits go by.
 *
 * CLOCK_MONOTONIC by name, not an instr_time: that one's source is PostgreSQL's
 * choice, and need not be the same clock in all processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <time.h>

#include "base/clock.h"

int64
gepa_clock_us(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000 + now.tv_nsec / 1000 + 1;
}

int64
gepa_clock_after_ms(int64 ms)
{
	return gepa_clock_us() + ms * 1000;
}

int
gepa_clock_ms_until(int64 when)
{
	int64		left = when - gepa_clock_us();

	return left <= 0 ? 0 : (int) Min((left + 999) / 1000, INT_MAX);
}
