/*-------------------------------------------------------------------------
 *
 * random.c
 *	  The random stream of the reference implementation.
 *
 * One generator per run feeds every choice, so that the same seed makes the
 * same decisions as the reference does: a Mersenne Twister (MT19937) that is
 * seeded and read as CPython's random.Random.  The recipes (docs/engine.md)
 * are part of the stream: how many outputs a draw takes decides what the next
 * draw sees.  Not for secrets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_internal.h"

#define N ENGINE_RANDOM_WORDS
#define M 397

/* Knuth's initialisation from one word. */
static void
seed_by_word(EngineRandom *random, uint32 word)
{
	uint32	   *state = random->state;
	int			i;

	state[0] = word;
	for (i = 1; i < N; i++)
		state[i] = UINT32_C(1812433253) * (state[i - 1] ^ (state[i - 1] >> 30)) + i;
	random->next = N;
}

/* Step to the next place of the state; the first place repeats the last. */
static int
next_place(uint32 *state, int i)
{
	if (++i < N)
		return i;
	state[0] = state[N - 1];
	return 1;
}

/* The key is the absolute value in 32-bit words, least significant first. */
void
gepa_engine_random_seed(EngineRandom *random, int64 seed)
{
	uint64		magnitude = seed < 0 ? -(uint64) seed : (uint64) seed;
	uint32		key[2] = {(uint32) magnitude, (uint32) (magnitude >> 32)};
	int			nkeys = key[1] != 0 ? 2 : 1;
	uint32	   *state = random->state;
	int			i = 1;
	int			j = 0;
	int			k;

	seed_by_word(random, UINT32_C(19650218));
	for (k = N; k > 0; k--)
	{
		state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * UINT32_C(1664525)))
			+ key[j] + j;
		i = next_place(state, i);
		j = (j + 1) % nkeys;
	}
	for (k = N - 1; k > 0; k--)
	{
		state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * UINT32_C(1566083941)))
			- i;
		i = next_place(state, i);
	}
	state[0] = UINT32_C(0x80000000);
}

/* Make the next N outputs. */
static void
twist(EngineRandom *random)
{
	uint32	   *state = random->state;
	int			i;

	for (i = 0; i < N; i++)
	{
		uint32		y = (state[i] & UINT32_C(0x80000000)) |
			(state[(i + 1) % N] & UINT32_C(0x7fffffff));

		state[i] = state[(i + M) % N] ^ (y >> 1) ^ ((y & 1) ? UINT32_C(0x9908b0df) : 0);
	}
	random->next = 0;
}

uint32
gepa_engine_random_word(EngineRandom *random)
{
	uint32		y;

	if (random->next >= N)
		twist(random);
	y = random->state[random->next++];
	y ^= y >> 11;
	y ^= (y << 7) & UINT32_C(0x9d2c5680);
	y ^= (y << 15) & UINT32_C(0xefc60000);
	y ^= y >> 18;
	return y;
}

/* 53 bits out of two outputs. */
double
gepa_engine_random_uniform(EngineRandom *random)
{
	uint32		a = gepa_engine_random_word(random) >> 5;
	uint32		b = gepa_engine_random_word(random) >> 6;

	return (a * 67108864.0 + b) * (1.0 / 9007199254740992.0);
}

/* By Box and Muller; the second deviate is not kept, a stream has no other state. */
double
gepa_engine_random_normal(EngineRandom *random)
{
	double		radius = sqrt(-2.0 * log(1.0 - gepa_engine_random_uniform(random)));

	return radius * cos(2.0 * M_PI * gepa_engine_random_uniform(random));
}

/*
 * 0 .. n-1: the top bits of one output, as many as n has, until they are less
 * than n.  So one of one also takes outputs.
 */
int
gepa_engine_random_bounded(EngineRandom *random, int n)
{
	int			bits = 0;
	uint32		drawn;

	Assert(n > 0);
	while (bits < 31 && (n >> bits) != 0)
		bits++;
	do
		drawn = gepa_engine_random_word(random) >> (32 - bits);
	while (drawn >= (uint32) n);
	return (int) drawn;
}

void
gepa_engine_random_shuffle(EngineRandom *random, int *items, int n)
{
	int			i;

	for (i = n - 1; i > 0; i--)
	{
		int			j = gepa_engine_random_bounded(random, i + 1);
		int			item = items[i];

		items[i] = items[j];
		items[j] = item;
	}
}

/* Up to this many items a sample is taken out of a shrinking copy. */
static int
sample_pool_limit(int k)
{
	int			limit = 21;
	int64		power = 1;

	if (k > 5)
	{
		/* the power of four that reaches 3k */
		while (power < (int64) k * 3)
			power *= 4;
		limit += (int) power;
	}
	return limit;
}

void
gepa_engine_random_sample(EngineRandom *random, const int *items, int n, int k, int *result)
{
	int			i;

	Assert(k <= n);
	if (n <= sample_pool_limit(k))
	{
		int		   *pool = palloc(Max(n, 1) * sizeof(int));

		memcpy(pool, items, n * sizeof(int));
		for (i = 0; i < k; i++)
		{
			int			j = gepa_engine_random_bounded(random, n - i);

			result[i] = pool[j];
			pool[j] = pool[n - i - 1];
		}
		pfree(pool);
	}
	else
	{
		bool	   *taken = palloc0(n * sizeof(bool));

		for (i = 0; i < k; i++)
		{
			int			j;

			do
				j = gepa_engine_random_bounded(random, n);
			while (taken[j]);
			taken[j] = true;
			result[i] = items[j];
		}
		pfree(taken);
	}
}

int
gepa_engine_random_weighted(EngineRandom *random, int n, const double *weights)
{
	double		total = 0.0;
	double		point;
	double		sum = 0.0;
	int			i;

	if (weights == NULL)
		return (int) (gepa_engine_random_uniform(random) * n);

	for (i = 0; i < n; i++)
		total += weights[i];
	if (!(total > 0.0))
		return -1;

	/* the first place whose cumulative weight exceeds the point */
	point = gepa_engine_random_uniform(random) * total;
	for (i = 0; i < n - 1; i++)
	{
		sum += weights[i];
		if (point < sum)
			break;
	}
	return i;
}
