/*-------------------------------------------------------------------------
 *
 * engine_parts.h
 *	  Tools of the engine: memory, draws, sets of numbers, minibatches.
 *
 * Internal to src/engine, as engine_internal.h, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_PARTS_H
#define GEPA_ENGINE_PARTS_H

#include "engine/engine.h"

/* memory.c: allocation for as long as the engine lives */

typedef struct EngineArena
{
	void	   *context;		/* MemoryContext; not used in frontend */
	struct EngineBlock *blocks;
} EngineArena;

extern void gepa_engine_arena_init(EngineArena *arena);
extern void gepa_engine_arena_free(EngineArena *arena);
extern void *gepa_engine_alloc(EngineArena *arena, Size size);	/* zeroed */
extern char *gepa_engine_strdup(EngineArena *arena, const char *text);

/* A short text: what is beyond some 250 bytes is cut off. */
extern const char *gepa_engine_printf(EngineArena *arena, const char *format,...)
			pg_attribute_printf(2, 3);

/*
 * Make room for one more element: returns the array, copied into a larger one
 * if needed.  The old one stays valid (for those it was handed out to).
 */
extern void *gepa_engine_grow(EngineArena *arena, void *array, int used,
							  int *allocated, Size element);

/* random.c: the random stream of the reference (CPython's random.Random) */

#define ENGINE_RANDOM_WORDS 624

typedef struct EngineRandom
{
	uint32		state[ENGINE_RANDOM_WORDS];
	int			next;
} EngineRandom;

extern void gepa_engine_random_seed(EngineRandom *random, int64 seed);
extern uint32 gepa_engine_random_word(EngineRandom *random);
extern double gepa_engine_random_uniform(EngineRandom *random); /* [0, 1) */
extern double gepa_engine_random_normal(EngineRandom *random);	/* takes two uniforms */
extern int	gepa_engine_random_bounded(EngineRandom *random, int n);
extern void gepa_engine_random_shuffle(EngineRandom *random, int *items, int n);

/* k of the n items without replacement, in drawn order */
extern void gepa_engine_random_sample(EngineRandom *random, const int *items, int n,
									  int k, int *result);

/* index drawn by weight; weights NULL = equal; -1 if they sum to <= 0 */
extern int	gepa_engine_random_weighted(EngineRandom *random, int n, const double *weights);

/* order.c: sets of numbers, walked as CPython walks them */

typedef struct EngineSet
{
	int			used;
	int			mask;			/* size of the table less one */
	int		   *table;			/* -1 = empty */
} EngineSet;

extern void gepa_engine_set_init(EngineSet *set);
extern void gepa_engine_set_free(EngineSet *set);
extern void gepa_engine_set_add(EngineSet *set, int number);
extern bool gepa_engine_set_has(const EngineSet *set, int number);
extern void gepa_engine_set_copy(EngineSet *set, const EngineSet *from);
extern void gepa_engine_set_intersect(EngineSet *set, const EngineSet *left,
									  const EngineSet *right);
extern int	gepa_engine_set_list(const EngineSet *set, int *result);

/* Put distinct numbers into the order of a set filled with them one by one. */
extern void gepa_engine_set_reorder(int *items, int n);

/* sampler.c: minibatches */

typedef struct EngineSampler
{
	EngineArena *arena;
	EngineRandom *random;
	int			size;			/* of a minibatch */
	int			ntrain;			/* at the last shuffle */
	int			nshuffled;		/* padded: a multiple of size */
	int			allocated;
	int		   *shuffled;
	int		   *counts;			/* per sample, how often in shuffled */
	int64		epoch;			/* -1 before the first shuffle */
	int64		iteration;		/* of the last call */
	int			calls;			/* earlier calls in that iteration */
} EngineSampler;

extern void gepa_engine_sampler_init(EngineSampler *sampler, EngineArena *arena,
									 EngineRandom *random, int size);

/* The next minibatch of (zero-based) iteration i; size numbers into result. */
extern void gepa_engine_sampler_next(EngineSampler *sampler, int ntrain, int64 i, int *result);

#endif							/* GEPA_ENGINE_PARTS_H */
