/*-------------------------------------------------------------------------
 *
 * tradeoff_test.c
 *	  Which points of quality and cost are dominated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "judge/judge_internal.h"
#include "tap.h"

#define N 9

static const struct
{
	const char *what;
	JudgeTradeoff point;		/* quality, low, high, cost; what its flags
								 * should be */
}			cases[N] = {
	{"the best", {0.95, 0.90, 0.98, 100, false, false}},
	{"as good and dearer", {0.95, 0.90, 0.98, 101, true, false}},
	{"the cheapest", {0.60, 0.50, 0.70, 1, false, false}},
	{"one like it in both", {0.60, 0.50, 0.70, 1, false, false}},
	{"as dear and worse", {0.59, 0.49, 0.69, 1, true, false}},
	{"dearer and worse, by less than chance may do", {0.94, 0.89, 0.97, 200, true, false}},
	{"dearer and worse beyond chance", {0.40, 0.30, 0.49, 2, true, true}},
	{"of unknown quality", {NAN, NAN, NAN, 50, false, false}},
	{"of a quality without an interval", {0.55, NAN, NAN, 5, true, false}}
};

int
main(void)
{
	JudgeTradeoff points[N];

	for (int i = 0; i < N; i++)
		points[i] = cases[i].point;
	gepa_judge_trade_off(points, N);
	for (int i = 0; i < N; i++)
	{
		tap_ok(points[i].dominated == cases[i].point.dominated, "%s: dominated", cases[i].what);
		tap_ok(points[i].surely_dominated == cases[i].point.surely_dominated, "%s: surely dominated",
			   cases[i].what);
	}
	/* The flags are of these points, whatever they were. */
	gepa_judge_trade_off(points + 1, 1);
	tap_ok(!points[1].dominated && !points[1].surely_dominated, "alone nothing is dominated");
	return tap_done();
}
