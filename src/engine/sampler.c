/*-------------------------------------------------------------------------
 *
 * sampler.c
 *	  Minibatches: the training samples, shuffled once per epoch.
 *
 * The order is padded to a multiple of the minibatch size with the rarest
 * samples, of these the one latest in the order, so the last minibatch of an
 * epoch may hold a sample twice.  Iteration i reads the chunk at i times the
 * size, by number and not by draws: an iteration that was spent on a merge
 * leaves its chunk unread.  Further calls in the same iteration read on,
 * wrapping round without a new shuffle.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_internal.h"

void
gepa_engine_sampler_init(EngineSampler *sampler, EngineArena *arena, EngineRandom *random,
						 int size)
{
	memset(sampler, 0, sizeof(EngineSampler));
	sampler->arena = arena;
	sampler->random = random;
	sampler->size = size;
	sampler->epoch = -1;
	sampler->iteration = -1;
}

/* The rarest sample, the one met last in the first ntrain places. */
static int
rarest(const EngineSampler *sampler)
{
	int			place = sampler->ntrain - 1;
	int			i;

	for (i = place - 1; i >= 0; i--)
		if (sampler->counts[sampler->shuffled[i]] < sampler->counts[sampler->shuffled[place]])
			place = i;
	return sampler->shuffled[place];
}

static void
shuffle(EngineSampler *sampler, int ntrain)
{
	int			padded = (ntrain + sampler->size - 1) / sampler->size * sampler->size;
	int			i;

	if (padded > sampler->allocated)
	{
		sampler->shuffled = gepa_engine_alloc(sampler->arena, padded * sizeof(int));
		sampler->counts = gepa_engine_alloc(sampler->arena, padded * sizeof(int));
		sampler->allocated = padded;
	}
	sampler->ntrain = ntrain;
	for (i = 0; i < ntrain; i++)
	{
		sampler->shuffled[i] = i;
		sampler->counts[i] = 1;
	}
	gepa_engine_random_shuffle(sampler->random, sampler->shuffled, ntrain);
	for (i = ntrain; i < padded; i++)
	{
		int			sample = rarest(sampler);

		sampler->shuffled[i] = sample;
		sampler->counts[sample]++;
	}
	sampler->nshuffled = padded;
}

void
gepa_engine_sampler_next(EngineSampler *sampler, int ntrain, int64 i, int *result)
{
	int64		place = i * sampler->size;
	int64		epoch = 0;

	sampler->calls = i == sampler->iteration ? sampler->calls + 1 : 0;
	sampler->iteration = i;

	if (sampler->epoch >= 0)
		epoch = place / sampler->nshuffled;
	if (sampler->nshuffled == 0 || ntrain != sampler->ntrain || epoch > sampler->epoch)
	{
		sampler->epoch = epoch;
		shuffle(sampler, ntrain);
	}

	place = (place + (int64) sampler->calls * sampler->size) % sampler->nshuffled;
	memcpy(result, sampler->shuffled + place, sampler->size * sizeof(int));
}
