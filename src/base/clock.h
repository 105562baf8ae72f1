/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  The clock that waits go by.
 *
 * It is never set: a date that is put back or forth makes no wait longer or
 * shorter.  It counts from some time before the server was started, alike in
 * all its processes, so that its times may stand in shared memory; they mean
 * nothing after the machine's next start.  While the machine sleeps it stands
 * still on Linux: what was left to wait is left afterwards.
 *
 * What is shown, stored, or planned for a time of day goes by PostgreSQL's
 * GetCurrentTimestamp().
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_CLOCK_H
#define GEPA_BASE_CLOCK_H

/* Now, in microseconds; never 0.  Never raises; fit for callbacks. */
extern int64 gepa_clock_us(void);

/* The time that is so many milliseconds from now. */
extern int64 gepa_clock_after_ms(int64 ms);

/* Whole milliseconds until a time, rounded up, at most INT_MAX; 0 if it has come. */
extern int	gepa_clock_ms_until(int64 when);

#endif							/* GEPA_BASE_CLOCK_H */
