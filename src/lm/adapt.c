/*-------------------------------------------------------------------------
 *
 * adapt.c
 *	  How many calls an endpoint can do with: arithmetic, without locks or clocks.
 *
 * The limit of calls in flight stands at max_concurrency, the top, until the endpoint
 * says that it is too much: by 429, 503, 529, or no answer in time.  Then it is
 * halved, and again by the calls that were sent since, but only once for all that
 * were in flight by then: these were sent under the old limit.  It rises by a
 * sixteenth of the top each time that as many calls as it allows have been answered,
 * and is at the top again after sixteen such rounds at most.
 *
 *		          answers of a round: + top / 16
 *		   1 <-----------------------------------> top
 *		          a sign of overload: / 2
 *
 * Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lm/lm_flow.h"

/* From the bottom to the top in so many rounds. */
#define ROUNDS 16

void
gepa_lm_adapt_set(LmAdapt *adapt, int top)
{
	if (adapt->top == top)
		return;
	adapt->limit = adapt->limit == adapt->top ? top : Min(adapt->limit, top);
	adapt->top = top;
}

void
gepa_lm_adapt_good(LmAdapt *adapt, int64 sent_at)
{
	if (adapt->limit == adapt->top || sent_at < adapt->fell_at)
		return;
	if (++adapt->answered < adapt->limit)
		return;
	adapt->answered = 0;
	adapt->limit = Min(adapt->top, adapt->limit + Max(1, adapt->top / ROUNDS));
}

void
gepa_lm_adapt_bad(LmAdapt *adapt, int64 sent_at, int64 now)
{
	if (sent_at < adapt->fell_at)
		return;
	adapt->fell_at = now;
	adapt->answered = 0;
	adapt->limit = Max(1, adapt->limit / 2);
}
