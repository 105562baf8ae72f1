/*-------------------------------------------------------------------------
 *
 * engine_heldout_test.c
 *	  The paired difference of a held-out report and how often its interval errs.
 *
 * Of right and wrong the frequencies are exact, by enumeration of all results; of
 * graded scores they are simulated with a fixed seed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "engine/engine_policy.h"
#include "tap.h"

#define MOST 100

static EngineHeldOut
compare_binary(int n, int won, int lost)
{
	double		before[MOST];
	double		after[MOST];
	EngineHeldOut result = {0};

	for (int i = 0; i < n; i++)
	{
		before[i] = i >= won && (i < won + lost || i % 2);
		after[i] = i < won || (i >= won + lost && i % 2);
	}
	gepa_engine_pair(before, after, n, &result);
	return result;
}

static void
test_values(void)
{
	EngineHeldOut result = compare_binary(20, 5, 1);
	EngineHeldOut mirrored = compare_binary(20, 1, 5);
	double		before[] = {0.5, 0.25, NAN, 1};
	double		after[] = {0.75, 0.75, 1, NAN};

	tap_is_int(result.n, 20, "pairs");
	tap_is_double(result.gain, 0.2, 1e-12, "gain");
	tap_is_double(result.score - result.seed_score, 0.2, 1e-12, "means");
	tap_is_double(mirrored.low, -result.high, 1e-12, "the interval of a loss is the mirrored one");
	tap_is_double(mirrored.high, -result.low, 1e-12, "... at both ends");
	result = compare_binary(57, 0, 0);
	tap_ok(result.gain == 0 && result.high > 0.0627 && result.high < 0.1,
		   "57 equal pairs leave room for 3.7 / 57: %g", result.high);
	result = compare_binary(57, 4, 0);
	tap_ok(result.low < 0, "four pairs won of four may be luck");
	result = compare_binary(57, 6, 0);
	tap_ok(result.low > 0, "six of six are not");
	result = compare_binary(1, 1, 0);
	tap_ok(result.low >= -1 && result.low < 0 && result.high == 1, "one pair says nothing");
	gepa_engine_pair(before, after, 4, &result);
	tap_is_int(result.n, 2, "pairs that are not known on both sides do not count");
	tap_is_double(result.gain, 0.375, 1e-12, "... of the others the gain");
	tap_ok(result.low < 0 && result.high > 0.375, "... and an interval");
	gepa_engine_pair(before, after, 0, &result);
	tap_ok(result.n == 0 && isnan(result.gain) && result.low == -1 && result.high == 1,
		   "no pair, no gain");
}

/* log of n! / (won! lost! rest!) and of the shares to these powers */
static double
probability(int n, int won, int lost, double p, double q)
{
	int			equal = n - won - lost;

	return exp(lgamma(n + 1) - lgamma(won + 1) - lgamma(lost + 1) - lgamma(equal + 1) +
			   (won > 0 ? won * log(p) : 0) + (lost > 0 ? lost * log(q) : 0) +
			   (equal > 0 ? equal * log(1 - p - q) : 0));
}

static double lows[MOST + 1][MOST + 1];
static double highs[MOST + 1][MOST + 1];

/* Shares of pairs that are won and lost. */
static const double shares[] = {0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1,
0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5};

typedef struct Errors
{
	double		above;			/* the interval is above the truth */
	double		below;
	double		false_gain;
} Errors;

static Errors
errors_at(int n, double p, double q)
{
	Errors		errors = {0};

	for (int won = 0; won <= n; won++)
	{
		for (int lost = 0; lost <= n - won; lost++)
		{
			double		share;

			if ((won > 0 && p == 0) || (lost > 0 && q == 0))
				continue;
			share = probability(n, won, lost, p, q);
			errors.above += lows[won][lost] > p - q + 1e-9 ? share : 0;
			errors.below += highs[won][lost] < p - q - 1e-9 ? share : 0;
			errors.false_gain += p <= q && lows[won][lost] > 0 ? share : 0;
		}
	}
	return errors;
}

static void
test_binary(int n)
{
	Errors		worst = {0};
	double		widest = 0;

	for (int won = 0; won <= n; won++)
	{
		for (int lost = 0; lost <= n - won; lost++)
		{
			EngineHeldOut result = compare_binary(n, won, lost);

			lows[won][lost] = result.low;
			highs[won][lost] = result.high;
		}
	}
	for (int i = 0; i < lengthof(shares); i++)
	{
		for (int k = 0; k < lengthof(shares) && shares[i] + shares[k] < 1; k++)
		{
			Errors		errors = errors_at(n, shares[i], shares[k]);

			worst.above = Max(worst.above, errors.above);
			worst.below = Max(worst.below, errors.below);
			worst.false_gain = Max(worst.false_gain, errors.false_gain);
			widest = Max(widest, errors.above + errors.below);
		}
	}
	tap_ok(worst.above <= 0.025, "%d pairs: too high in %.4f at most", n, worst.above);
	tap_ok(worst.below <= 0.025, "... too low in %.4f at most", worst.below);
	tap_ok(worst.false_gain <= 0.025, "... a gain that is none in %.4f at most", worst.false_gain);
	tap_ok(widest <= 0.05, "... not covered in %.4f at most", widest);
	tap_ok(worst.above > 0.015 && worst.below > 0.015, "... not wider than it has to be");
}

#define RUNS 4000

typedef enum Kind
{
	NORMAL,						/* small differences everywhere */
	GRADES,						/* independent grades in quarters */
	SPARSE_GAIN,				/* one in ten is better, by anything */
	SPARSE_LOSS,				/* one in twenty is worse */
	RARE_LOSS,					/* most a little better, one in twenty spoiled */
	SKEWED
} Kind;

static const struct
{
	const char *name;
	double		truth;
}			kinds[] = {{"normal", 0}, {"grades", 0}, {"rare gains", 0.05},
{"rare losses", -0.025}, {"spoiled samples", 0}, {"skewed", 0}};

static double
draw_difference(EngineRandom *random, Kind kind)
{
	double		u = gepa_engine_random_uniform(random);

	switch (kind)
	{
		case NORMAL:
			return 0.1 * gepa_engine_random_normal(random);
		case GRADES:
			return (floor(5 * u) - gepa_engine_random_bounded(random, 5)) / 4;
		case SPARSE_GAIN:
			return u < 0.1 ? 10 * u : 0;
		case SPARSE_LOSS:
			return u < 0.05 ? -20 * u : 0;
		case RARE_LOSS:
			return u < 0.05 ? -0.8 : 0.8 / 19 + 0.05 * gepa_engine_random_normal(random);
		default:
			return 0.1 + 0.1 * log(1 - u);
	}
}

static void
test_graded(Kind kind, int n)
{
	EngineRandom random;
	double		zeros[MOST] = {0};
	double		differences[MOST];
	int			above = 0;
	int			below = 0;

	/* three standard errors of a share of 2.5 % */
	double		limit = 0.025 + 3 * sqrt(0.025 * 0.975 / RUNS);

	gepa_engine_random_seed(&random, 100 * kind + n);
	for (int run = 0; run < RUNS; run++)
	{
		EngineHeldOut result;

		for (int i = 0; i < n; i++)
			differences[i] = draw_difference(&random, kind);
		gepa_engine_pair(zeros, differences, n, &result);
		above += result.low > kinds[kind].truth;
		below += result.high < kinds[kind].truth;
	}
	tap_ok(above <= limit * RUNS && below <= limit * RUNS,
		   "%s, %d pairs: too high in %.4f, too low in %.4f", kinds[kind].name, n,
		   (double) above / RUNS, (double) below / RUNS);
}

int
main(void)
{
	static const int sizes[] = {15, 25, 57, 100};

	test_values();
	for (int i = 0; i < lengthof(sizes); i++)
	{
		test_binary(sizes[i]);
		for (Kind kind = NORMAL; kind <= SKEWED; kind++)
			test_graded(kind, sizes[i]);
	}
	return tap_done();
}
