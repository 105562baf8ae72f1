/*-------------------------------------------------------------------------
 *
 * deadline.c
 *	  How long a request may take, in time in which the process looks.
 *
 * A session may pause with calls in flight: its client fetches no more for now,
 * or the query is busy elsewhere.  An answer that has come meanwhile lies in the
 * socket and is as good as any; a request that went by the wall clock would be
 * out of time before it is read, and be sent, and paid for, again.
 *
 * So there is a clock of looks.  It goes while the process waits for its calls,
 * and between two looks for a blink at most.  A sleep that was much longer than it
 * should have been (the process was stopped, or the machine) is no look either.
 * Whoever looks reads what has come before asking which deadlines have passed.
 *
 * All of this is of one process.  The next deadline is a lower bound: that of a
 * request that has ended stays until it has passed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "base/clock.h"
#include "lm/lm_transport.h"

/* What counts of a time in which the process did not look. */
#define BLINK_US 100000

static struct
{
	dlist_head	list;			/* LmDeadline, in no order */
	int64		now;			/* the clock of looks, in microseconds */
	int64		looked;			/* when it was set; gepa_clock_us() */
	int64		next;			/* no deadline is earlier */
}			deadlines = {.list = DLIST_STATIC_INIT(deadlines.list)};

void
gepa_lm_deadline_look(int slept_ms)
{
	int64		now = gepa_clock_us();
	int64		passed = now - deadlines.looked;

	deadlines.now += passed <= (int64) slept_ms * 1000 + BLINK_US ? passed : BLINK_US;
	deadlines.looked = now;
}

void
gepa_lm_deadline_start(LmDeadline *deadline, LmTransfer *transfer, int ms)
{
	gepa_lm_deadline_look(0);
	deadline->transfer = transfer;
	deadline->started = deadlines.now;
	deadline->due = deadlines.now + (int64) ms * 1000;
	if (dlist_is_empty(&deadlines.list) || deadline->due < deadlines.next)
		deadlines.next = deadline->due;
	dlist_push_tail(&deadlines.list, &deadline->node);
}

void
gepa_lm_deadline_end(LmDeadline *deadline)
{
	dlist_delete(&deadline->node);
}

double
gepa_lm_deadline_elapsed_ms(const LmDeadline *deadline)
{
	gepa_lm_deadline_look(0);
	return (deadlines.now - deadline->started) / 1000.0;
}

LmTransfer *
gepa_lm_deadline_passed(void)
{
	dlist_iter	iter;

	if (dlist_is_empty(&deadlines.list) || deadlines.now < deadlines.next)
		return NULL;
	deadlines.next = PG_INT64_MAX;
	dlist_foreach(iter, &deadlines.list)
	{
		const LmDeadline *deadline = dlist_container(LmDeadline, node, iter.cur);

		if (deadline->due <= deadlines.now)
		{
			deadlines.next = deadlines.now;
			return deadline->transfer;
		}
		deadlines.next = Min(deadlines.next, deadline->due);
	}
	return NULL;
}

int64
gepa_lm_deadline_next(void)
{
	return dlist_is_empty(&deadlines.list) ? 0 :
		deadlines.looked + Max(deadlines.next - deadlines.now, 0);
}
