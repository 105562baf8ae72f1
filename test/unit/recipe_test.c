/*-------------------------------------------------------------------------
 *
 * recipe_test.c
 *	  Draws, samples, quotas and corpus rates, against their distributions.
 *
 * Everything is seeded, so a test passes always or never.  The bounds are those
 * that a right program exceeds once in a million seeds; what is exact is
 * compared exactly.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "base/draw.h"
#include "common/pg_prng.h"
#include "judge/judge_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

/* Of so many degrees of freedom: 1 - 1e-6 (Wilson and Hilferty, 1931). */
static double
chi_square_bound(int freedom)
{
	double		k = 2.0 / (9.0 * freedom);

	return freedom * pow(1 - k + 4.753424 * sqrt(k), 3);
}

static double
chi_square(const int *seen, const double *expected, int n)
{
	double		sum = 0;

	for (int i = 0; i < n; i++)
		sum += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
	return sum;
}

static double
draw(DrawPurpose purpose, uint64 seed, const char *key)
{
	return gepa_draw_uniform(purpose, seed, key, strlen(key));
}

/* The vectors of the authors' reference implementation, and that of their paper. */
static void
check_siphash(void)
{
	static const struct
	{
		int			length;
		uint64		hash;
	}			vectors[] = {
		{0, UINT64CONST(0x726fdb47dd0e0e31)}, {1, UINT64CONST(0x74f839c593dc67fd)},
		{2, UINT64CONST(0x0d6c8009d9a94f5a)}, {3, UINT64CONST(0x85676696d7fb7e2d)},
		{7, UINT64CONST(0xab0200f58b01d137)}, {8, UINT64CONST(0x93f5f5799a932462)},
		{15, UINT64CONST(0xa129ca6149be45e5)}, {63, UINT64CONST(0x958a324ceb064572)}
	};
	char		data[64];

	for (int i = 0; i < 64; i++)
		data[i] = i;
	for (int i = 0; i < lengthof(vectors); i++)
		tap_ok(gepa_siphash(UINT64CONST(0x0706050403020100), UINT64CONST(0x0f0e0d0c0b0a0908),
							data, vectors[i].length) == vectors[i].hash,
			   "SipHash-2-4 of %d bytes", vectors[i].length);
}

/* Keys that differ little, as keys do: over a hundred bins, and in pairs. */
static void
check_uniform(void)
{
	int			bins[100] = {0};
	int			pairs[100] = {0};
	double		expected[100];
	double		before = 0.5;
	bool		inside = true;

	for (int i = 0; i < 100; i++)
		expected[i] = 1000;
	for (int i = 0; i < 100000; i++)
	{
		double		u = draw(DRAW_PLAIN, 1, psprintf("%d", i));

		inside = inside && u > 0 && u < 1;
		bins[(int) (u * 100)]++;
		pairs[(int) (before * 10) * 10 + (int) (u * 10)]++;
		before = u;
	}
	tap_ok(inside, "draws are between 0 and 1");
	tap_ok(chi_square(bins, expected, 100) < chi_square_bound(99), "draws of near keys are uniform");
	tap_ok(chi_square(pairs, expected, 100) < chi_square_bound(99), "and each independent of the one before");
	tap_ok(draw(DRAW_PLAIN, 1, "a") == draw(DRAW_PLAIN, 1, "a"), "a key's draw stays");
	tap_ok(draw(DRAW_PLAIN, 1, "a") != draw(DRAW_PLAIN, 2, "a"), "another seed is another draw");
	tap_ok(draw(DRAW_PLAIN, 1, "a") != draw(DRAW_SAMPLE, 1, "a"), "another purpose is another draw");
	tap_ok(draw(DRAW_PLAIN, 1, "") != draw(DRAW_PLAIN, 1, "\1"), "an empty key is a key");

	/*
	 * computed by another implementation; what users have sampled must not
	 * change
	 */
	tap_is_double(draw(DRAW_PLAIN, 42, "https://example.com/"), 0.8077604600371683, 1e-16, "draw of a plain purpose");
	tap_is_double(draw(DRAW_SAMPLE, 42, "https://example.com/"), 0.24181407763862184, 1e-16, "draw for a sample");
	tap_is_double(draw(DRAW_COPIES, UINT64CONST(0xFFFFFFFFFFFFFFFF), "ключ"), 0.7830636822344624, 1e-16, "seed -1, not ASCII");
}

/*
 * Samples
 */

#define NITEMS 4

/* Indexes of the best two of the items. */
static void
best_two(const double *scores, double tau, uint64 seed, int *first, int *second)
{
	double		keys[NITEMS];

	for (int i = 0; i < NITEMS; i++)
		keys[i] = gepa_judge_sample_key(scores[i], tau,
										draw(DRAW_SAMPLE, seed, psprintf("item %d", i)));
	*first = keys[0] >= keys[1] ? 0 : 1;
	*second = 1 - *first;
	for (int i = 2; i < NITEMS; i++)
	{
		if (keys[i] > keys[*first])
		{
			*second = *first;
			*first = i;
		}
		else if (keys[i] > keys[*second])
			*second = i;
	}
}

/* Ordered pairs as drawn one after the other with chances as exp(score / tau). */
static void
check_sample(double tau)
{
	static const double scores[NITEMS] = {0.1, 0.4, 0.7, 0.95};
	int			ntrials = 40000;
	int			seen[NITEMS * NITEMS] = {0};
	double		expected[NITEMS * NITEMS] = {0};
	double		weights[NITEMS];
	double		sum = 0;
	double		distance = 0;

	for (int i = 0; i < NITEMS; i++)
		sum += weights[i] = isinf(tau) ? 1 : exp(scores[i] / tau);
	for (int seed = 0; seed < ntrials; seed++)
	{
		int			first;
		int			second;

		best_two(scores, tau, seed, &first, &second);
		seen[first * NITEMS + second]++;
	}
	for (int i = 0; i < NITEMS; i++)
		for (int k = 0; k < NITEMS; k++)
		{
			if (i == k)
				continue;
			expected[i * NITEMS + k] = ntrials * weights[i] / sum * weights[k] / (sum - weights[i]);
			distance += pow(seen[i * NITEMS + k] - expected[i * NITEMS + k], 2) / expected[i * NITEMS + k];
		}
	tap_ok(distance < chi_square_bound(11),
		   "tau %g: pairs are drawn as by exp(score / tau), chi-square %.1f", tau, distance);
}

static void
check_sample_limits(void)
{
	int			right = 0;

	for (int seed = 0; seed < 1000; seed++)
	{
		double		u = draw(DRAW_SAMPLE, seed, "a");
		double		v = draw(DRAW_SAMPLE, seed, "b");

		right += gepa_judge_sample_key(0.2, 0, u) == 0.2;
		right += gepa_judge_sample_key(0.2, 1e-4, u) < gepa_judge_sample_key(0.3, 1e-4, v);
		right += gepa_judge_sample_key(0.2, INFINITY, u) == gepa_judge_sample_key(0.9, INFINITY, u);
	}
	tap_is_int(right, 3000, "tau 0 is the score, a small one its order, an infinite one forgets it");
	tap_ok(isfinite(gepa_judge_sample_key(1, 1, ldexp(1, -53))) &&
		   isfinite(gepa_judge_sample_key(1, 1, 1 - ldexp(1, -53))), "the first and the last draw have a key");
}

/*
 * Quantiles, tiers, copies
 */

static void
check_quantiles(void)
{
	int			wrong = 0;

	for (int n = 0; n <= 2000; n++)
		for (int i = 0; i <= 100; i++)
			wrong += gepa_judge_quantile_rows(i / 100.0, n) != (i * n + 99) / 100;
	tap_is_int(wrong, 0, "ceil(q * n) for all hundredths and up to 2000 rows");
	tap_is_int(gepa_judge_quantile_rows(0.07, 100), 7, "0.07 of 100 is 7");
	tap_is_int(gepa_judge_quantile_rows(1e-9, 100), 1, "a very small share of few is one");
	tap_is_int(gepa_judge_quantile_rows(0.100000000000001, 10), 2, "15 digits count");
	tap_is_int(gepa_judge_quantile_rows(0.3, INT64CONST(10000000000)), INT64CONST(3000000000), "of many rows");
}

static void
check_tiers(void)
{
	int			wrong = 0;

	for (int n = 1; n <= 60; n++)
		for (int ntiers = 1; ntiers <= 12; ntiers++)
		{
			int			sizes[12] = {0};
			int			last = 0;

			for (int rank = 1; rank <= n; rank++)
			{
				int			tier = gepa_judge_tier(rank, n, ntiers);

				wrong += tier < last || tier >= ntiers;
				sizes[last = tier]++;
			}
			for (int i = 0; i < ntiers; i++)
				wrong += sizes[i] != n / ntiers + (i < n % ntiers);
		}
	tap_is_int(wrong, 0, "tiers are in order, and as ntile() would make them");
	tap_is_int(gepa_judge_tier(PG_INT64_MAX, PG_INT64_MAX, 20), 19, "of many rows");
}

static void
check_copies(void)
{
	double		sum = 0;
	int			wrong = 0;

	for (int i = 0; i < 100000; i++)
	{
		int			copies = gepa_judge_copies(2.3, draw(DRAW_COPIES, 7, psprintf("%d", i)));

		wrong += copies != 2 && copies != 3;
		sum += copies;
	}
	tap_is_int(wrong, 0, "2.3 copies are two or three");
	/* binomial: 4.89 standard deviations */
	tap_ok(fabs(sum - 230000) < 4.89 * sqrt(100000 * 0.3 * 0.7), "and 2.3 on average, %.0f of 230000", sum);
	tap_is_int(gepa_judge_copies(4, 1e-16), 4, "a whole number is exact");
	tap_is_int(gepa_judge_copies(0, 1e-16), 0, "none is none");
}

/*
 * Quotas
 */

static void
check_division(void)
{
	JudgeQuota	groups[3] = {{0.5, 100, 0}, {0.3, 1000, 0}, {0.2, 1000, 0}};

	gepa_judge_divide(1000, groups, 3, false);
	tap_ok(groups[0].quota == 100 && groups[1].quota == 300 && groups[2].quota == 200,
		   "what a group cannot use is left over");
	gepa_judge_divide(1000, groups, 3, true);
	tap_ok(groups[0].quota == 100 && fabs(groups[1].quota - 540) < 1e-9 && fabs(groups[2].quota - 360) < 1e-9,
		   "or goes to the others by their shares");
	gepa_judge_divide(5000, groups, 3, true);
	tap_ok(groups[0].quota == 100 && groups[1].quota == 1000 && groups[2].quota == 1000,
		   "until all are empty");
	groups[0].share = 0;
	gepa_judge_divide(1000, groups, 3, true);
	tap_ok(groups[0].quota == 0 && fabs(groups[1].quota - 300) < 1e-9 && fabs(groups[2].quota - 200) < 1e-9,
		   "shares that sum up to half give half away");
}

/* Random cases: what must hold of every division. */
static void
check_divisions(void)
{
	pg_prng_state state;
	int			wrong = 0;

	pg_prng_seed(&state, 3);
	for (int i = 0; i < 2000; i++)
	{
		JudgeQuota	groups[20];
		int			n = 1 + (int) pg_prng_uint64_range(&state, 0, 19);
		double		budget = 1 + pg_prng_double(&state) * 1e6;
		double		available = 0;
		double		sum = 0;
		double		level = -1;

		for (int g = 0; g < n; g++)
		{
			groups[g].share = 1.0 / n;
			groups[g].available = floor(pg_prng_double(&state) * 2e6 / n);
			available += groups[g].available;
		}
		gepa_judge_divide(budget, groups, n, true);
		for (int g = 0; g < n; g++)
		{
			sum += groups[g].quota;
			wrong += groups[g].quota > groups[g].available;
			if (groups[g].quota < groups[g].available)
			{
				wrong += level >= 0 && fabs(groups[g].quota - level) > 1e-6;
				level = groups[g].quota;
			}
		}
		for (int g = 0; g < n && level >= 0; g++)
			wrong += groups[g].quota > level + 1e-6;
		wrong += fabs(sum - Min(budget, available)) > 1e-5;
	}
	tap_is_int(wrong, 0, "all of a budget that can be used is, evenly among those who are not full");
}

/*
 * The rate of a corpus
 */

static void
check_rate(void)
{
	JudgeCorpus corpus = {.positive = 3100,.n = 10000,.tp = 80,.fn = 20,.tn = 180,.fp = 20};
	JudgeRate	rate = gepa_judge_corpus_rate(&corpus);

	tap_ok(rate.reason == NULL, "a rate is computed");
	tap_is_double(rate.rate, 0.3, 1e-12, "as Rogan and Gladen do");
	tap_is_double(rate.low, 0.24367043528887375, 1e-12, "lower end");
	tap_is_double(rate.high, 0.3560069515093599, 1e-12, "upper end");
	corpus.positive = 100;
	rate = gepa_judge_corpus_rate(&corpus);
	tap_ok(rate.rate == 0 && rate.low == 0 && rate.high > 0, "fewer positives than false ones: none, or some");
	corpus.tp = 10;
	corpus.fn = 90;
	tap_is_string(gepa_judge_corpus_rate(&corpus).reason, "the judge is no better than chance on the labelled rows",
				  "a judge that guesses");
	corpus.tp = corpus.fn = 0;
	tap_is_string(gepa_judge_corpus_rate(&corpus).reason, "there are no labelled rows of one side", "no positives");
	corpus.tp = 1;
	corpus.tn = 60;
	corpus.fp = 240;
	tap_is_string(gepa_judge_corpus_rate(&corpus).reason, "there are too few labelled rows", "one positive");
	corpus.n = 0;
	tap_is_string(gepa_judge_corpus_rate(&corpus).reason, "no row of the corpus has a verdict", "no corpus");
}

static int
binomial(pg_prng_state *state, int n, double p)
{
	int			k = 0;

	for (int i = 0; i < n; i++)
		k += pg_prng_double(state) < p;
	return k;
}

/* How often of 2000 corpora the interval has the truth in it: 95 %, or more. */
static void
check_coverage(double truth, double sensitivity, double specificity)
{
	pg_prng_state state;
	int			covered = 0;

	pg_prng_seed(&state, 11);
	for (int i = 0; i < 2000; i++)
	{
		JudgeCorpus corpus = {.n = 2000};
		JudgeRate	rate;
		int			good = binomial(&state, 2000, truth);

		corpus.positive = binomial(&state, good, sensitivity) + binomial(&state, 2000 - good, 1 - specificity);
		corpus.tp = binomial(&state, 100, sensitivity);
		corpus.fn = 100 - corpus.tp;
		corpus.tn = binomial(&state, 150, specificity);
		corpus.fp = 150 - corpus.tn;
		rate = gepa_judge_corpus_rate(&corpus);
		covered += rate.reason == NULL && rate.low <= truth && truth <= rate.high;
	}
	/* three standard deviations */
	tap_ok(covered >= 2000 * 0.95 - 3 * sqrt(2000 * 0.95 * 0.05),
		   "truth %g, sensitivity %g, specificity %g: in %d of 2000 intervals",
		   truth, sensitivity, specificity, covered);
}

int
main(void)
{
	static const double truths[] = {0, 0.05, 0.3, 0.7, 1};

	check_siphash();
	check_uniform();
	check_sample(0.2);
	check_sample(1);
	check_sample(INFINITY);
	check_sample_limits();
	check_quantiles();
	check_tiers();
	check_copies();
	check_division();
	check_divisions();
	check_rate();
	for (int i = 0; i < lengthof(truths); i++)
	{
		check_coverage(truths[i], 0.85, 0.9);
		check_coverage(truths[i], 0.6, 0.75);
	}
	return tap_done();
}
