/*-------------------------------------------------------------------------
 *
 * tradeoff.c
 *	  Quality against cost: which of several judges nobody would choose.
 *
 * Two of the same quality and cost do not dominate each other.  Qualities that
 * are close may be equal by chance; so a point is surely dominated only by one
 * whose whole interval lies above its own.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "judge/judge_internal.h"

/* A comparison with NaN, not known, is false. */
static bool
dominates(const JudgeTradeoff *a, const JudgeTradeoff *b)
{
	return a->quality >= b->quality && a->cost <= b->cost &&
		(a->quality > b->quality || a->cost < b->cost);
}

void
gepa_judge_trade_off(JudgeTradeoff *points, int n)
{
	for (int i = 0; i < n; i++)
	{
		points[i].dominated = points[i].surely_dominated = false;
		for (int k = 0; k < n; k++)
		{
			if (!dominates(&points[k], &points[i]))
				continue;
			points[i].dominated = true;
			if (points[k].low > points[i].high)
				points[i].surely_dominated = true;
		}
	}
}
