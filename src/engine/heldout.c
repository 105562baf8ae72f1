/*-------------------------------------------------------------------------
 *
 * heldout.c
 *	  Two candidates on the same samples: means, the difference, its interval.
 *
 * The interval has to hold its level where a report is made: 15 to 100 pairs, most
 * of them equal.  There the usual ones do not: with 0 to 5 unequal pairs a t-interval,
 * and the score interval too, claim what a few coins would show.
 *
 * Differences of -1, 0 and 1 (right or wrong): the wider, on each side, of
 *  - the score interval of Tango (Statistics in Medicine 17, 1998, 891), with
 *	  a continuity correction of half a pair as in McNemar's test; it covers where all
 *	  unequal pairs are on one side;
 *  - the adjusted Wald interval of Bonett and Price (Journal of Educational and
 *	  Behavioral Statistics 37, 2012, 479): one more pair won and one lost.
 * By enumeration neither side errs in more than 2.5 % of cases for 8 to 100 pairs,
 * where each alone has up to 3 to 7 % (engine_heldout_test.c).
 *
 * Other differences: a t-interval, with one more pair won by 1 and one lost by 1.  For
 * differences that are all small it is up to twice as wide as need be; it has to be, for what
 * threatens there is the rare sample that a candidate spoils completely.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_policy.h"

#define Z 1.959963984540054		/* quantile 0.975 of the normal distribution */

/* Where all differences are -1, 0 and 1. */
typedef struct EnginePairs
{
	int			n;
	int			won;
	int			lost;
} EnginePairs;

typedef struct EngineBounds
{
	double		low;
	double		high;
} EngineBounds;

/*
 * Tango's statistic: what was found less what this difference would make expected,
 * squared, over the variance at the likeliest shares that differ by it.
 */
static bool
difference_fits(EnginePairs pairs, double difference)
{
	double		n = pairs.n;
	double		b = (2.0 * n - pairs.won + pairs.lost) * difference - pairs.won - pairs.lost;
	double		c = -pairs.lost * difference * (1.0 - difference);
	double		share = (sqrt(Max(b * b - 8.0 * n * c, 0.0)) - b) / (4.0 * n);
	double		variance = n * (2.0 * share + difference * (1.0 - difference));
	double		excess = n * difference - (pairs.won - pairs.lost) - 0.5;

	return excess <= Z * sqrt(Max(variance, 0.0));
}

/* The largest difference that fits; a bisection to the last bits that matter. */
static double
score_bound(EnginePairs pairs)
{
	double		low = (double) (pairs.won - pairs.lost) / pairs.n;
	double		high = 1.0;

	for (int i = 0; i < 50; i++)
	{
		double		middle = (low + high) / 2.0;

		if (difference_fits(pairs, middle))
			low = middle;
		else
			high = middle;
	}
	return high;
}

/* With one more pair won and one lost, by as many standard errors. */
static EngineBounds
wald_bounds(double sum, double squares, int n, double quantile)
{
	double		mean = sum / (n + 2);
	double		variance = (squares + 2.0) / (n + 2) - mean * mean;
	double		margin = quantile * sqrt(variance / (n + 2));
	EngineBounds bounds = {Max(mean - margin, -1.0), Min(mean + margin, 1.0)};

	return bounds;
}

static EngineBounds
binary_bounds(EnginePairs pairs)
{
	EnginePairs mirrored = {pairs.n, pairs.lost, pairs.won};
	EngineBounds bounds = wald_bounds(pairs.won - pairs.lost, pairs.won + pairs.lost, pairs.n, Z);

	bounds.high = Max(bounds.high, score_bound(pairs));
	bounds.low = Min(bounds.low, -score_bound(mirrored));
	return bounds;
}

/* Quantile 0.975 of Student's distribution, by its expansion in 1 / degrees. */
static double
student_quantile(double degrees)
{
	double		z2 = Z * Z;
	double		v = Max(degrees, 4.0);

	return Z * (1.0 + (z2 + 1.0) / (4.0 * v) +
				((5.0 * z2 + 16.0) * z2 + 3.0) / (96.0 * v * v) +
				(((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / (384.0 * v * v * v));
}

void
gepa_engine_pair(const double *before, const double *after, int n, EngineHeldOut *held_out)
{
	EnginePairs pairs = {0, 0, 0};
	bool		binary = true;
	double		sums[2] = {0.0, 0.0};
	double		squares = 0.0;
	EngineBounds bounds = {-1.0, 1.0};

	for (int i = 0; i < n; i++)
	{
		double		difference = after[i] - before[i];

		if (isnan(difference))
			continue;
		pairs.n++;
		pairs.won += difference > 0;
		pairs.lost += difference < 0;
		binary = binary && (difference == 0 || fabs(difference) == 1);
		sums[0] += before[i];
		sums[1] += after[i];
		squares += difference * difference;
	}
	if (pairs.n > 0)
		bounds = binary ? binary_bounds(pairs) :
			wald_bounds(sums[1] - sums[0], squares, pairs.n, student_quantile(pairs.n - 1));
	held_out->n = pairs.n;
	held_out->seed_score = pairs.n > 0 ? sums[0] / pairs.n : NAN;
	held_out->score = pairs.n > 0 ? sums[1] / pairs.n : NAN;
	held_out->gain = pairs.n > 0 ? (sums[1] - sums[0]) / pairs.n : NAN;
	held_out->low = bounds.low;
	held_out->high = bounds.high;
}
