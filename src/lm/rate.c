/*-------------------------------------------------------------------------
 *
 * rate.c
 *	  So many requests, or tokens, a minute: arithmetic, without locks or clocks.
 *
 * A bucket has room for what LM_BURST_S seconds bring, and is filled all the
 * time; what is sent takes from it.  It is filled a little more slowly than the
 * rate says, so that what was in the bucket and what comes in together are no
 * more than the rate in any minute, wherever that begins.
 *
 * What a call takes need not be known before its end.  It takes what it is
 * believed to; the difference is taken, or put back, later.  So the bucket can be
 * in debt, and then nothing goes until that is paid.  A call that takes more
 * than the bucket ever has goes when that is full: by so much, the debt, a
 * minute may then bring more than the rate.
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

#include <math.h>

#include "lm/lm_flow.h"

#define MINUTE_US 60e6

/* What is wanted lies so far away that no date need be right. */
#define LONGEST_US 86400e6

/* Of doubles that were added up. */
#define EPSILON 1e-6

static void
refill(LmRate *rate, int64 now)
{
	if (now <= rate->at)
		return;
	rate->level = Min(rate->room, rate->level + (now - rate->at) * rate->per_us);
	rate->at = now;
}

void
gepa_lm_rate_set(LmRate *rate, int per_minute, int64 now)
{
	double		room;

	if (rate->per_minute == per_minute)
		return;
	room = Max(1, floor(per_minute / 60.0 * LM_BURST_S));
	if (rate->per_minute == 0)
		rate->level = room;
	else
		refill(rate, now);
	rate->per_minute = per_minute;
	rate->room = room;

	/* A minute has the room and 60 s of this, and counts only whole ones. */
	rate->per_us = (per_minute - room + 1) / MINUTE_US;
	rate->level = Min(rate->level, room);
	rate->at = now;
}

int64
gepa_lm_rate_due(const LmRate *rate, double before, double n, int64 now)
{
	double		missing;

	if (rate->per_minute == 0)
		return 0;
	missing = before + Min(n, rate->room) - gepa_lm_rate_left(rate, now);
	if (missing <= EPSILON)
		return 0;
	return now + (int64) ceil(Min(missing / rate->per_us, LONGEST_US));
}

void
gepa_lm_rate_take(LmRate *rate, double n, int64 now)
{
	if (rate->per_minute == 0)
		return;
	refill(rate, now);
	rate->level = Min(rate->room, rate->level - n);
}

double
gepa_lm_rate_left(const LmRate *rate, int64 now)
{
	LmRate		then = *rate;

	if (rate->per_minute == 0)
		return 0;
	refill(&then, now);
	return then.level;
}
