/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  The candidates, and the choices that look at nothing else.
 *
 * A candidate enters once, with all its validation scores, and never changes;
 * only its round-robin pointer moves.  Candidates are numbered in order of
 * entry, so a parent's number is always less than its child's.
 *
 * All sums are plain double additions in list order.  That order can decide a
 * comparison; compensated summation (CPython from 3.12 on) would decide some
 * of them differently.
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

void
gepa_engine_pool_init(EnginePool *pool, EngineArena *arena, int ncomponents, int nval)
{
	memset(pool, 0, sizeof(EnginePool));
	pool->arena = arena;
	pool->ascending = true;
	pool->ncomponents = ncomponents;
	pool->nval = nval;
}

/* All attribute arrays have room for the same number of candidates. */
static void
make_room(EnginePool *pool)
{
	int			n = pool->ncandidates;
	int			allocated;

#define GROW(attribute) \
	(allocated = pool->allocated, \
	 pool->attribute = gepa_engine_grow(pool->arena, pool->attribute, n, &allocated, \
										sizeof(pool->attribute[0])))
	GROW(texts);
	GROW(parents);
	GROW(scores);
	GROW(coverage);
	GROW(means);
	GROW(next_component);
	GROW(discovery);
	GROW(proposals);
#undef GROW
	pool->allocated = allocated;
}

int
gepa_engine_pool_add(EnginePool *pool, const char *const *texts, const int parents[2],
					 int nsamples, const int *samples, const double *scores)
{
	int			candidate = pool->ncandidates;
	double	   *by_sample;
	int			i;

	make_room(pool);
	by_sample = gepa_engine_alloc(pool->arena, pool->nval * sizeof(double));
	for (i = 0; i < pool->nval; i++)
		by_sample[i] = NAN;
	for (i = 0; i < nsamples; i++)
		by_sample[samples[i]] = scores[i];

	pool->texts[candidate] = texts;
	pool->parents[candidate][0] = parents[0];
	pool->parents[candidate][1] = parents[1];
	pool->scores[candidate] = by_sample;
	pool->coverage[candidate] = nsamples;
	pool->means[candidate] = nsamples > 0 ? gepa_engine_sum(scores, nsamples) / nsamples : 0.0;
	pool->discovery[candidate] = 0;
	pool->proposals[candidate] = candidate;

	pool->next_component[candidate] = 0;
	for (i = 0; i < 2; i++)
		if (parents[i] >= 0)
			pool->next_component[candidate] = Max(pool->next_component[candidate],
												  pool->next_component[parents[i]]);
	pool->ncandidates++;
	return candidate;
}

int
gepa_engine_pool_best(const EnginePool *pool, bool by_coverage)
{
	int			best = 0;
	int			i;

	for (i = 1; i < pool->ncandidates; i++)
		if (pool->means[i] > pool->means[best] ||
			(by_coverage && pool->means[i] == pool->means[best] &&
			 pool->coverage[i] > pool->coverage[best]))
			best = i;
	return best;
}

int
gepa_engine_pool_next_component(EnginePool *pool, int candidate, const bool *usable)
{
	int			component = pool->next_component[candidate];
	int			tries = pool->ncomponents;

	while (usable != NULL && !usable[component] && --tries > 0)
		component = (component + 1) % pool->ncomponents;
	pool->next_component[candidate] = (component + 1) % pool->ncomponents;
	return component;
}

int
gepa_engine_pool_find(const EnginePool *pool, const char *const *texts)
{
	int			candidate;

	for (candidate = 0; candidate < pool->ncandidates; candidate++)
	{
		int			i = 0;

		while (i < pool->ncomponents && strcmp(pool->texts[candidate][i], texts[i]) == 0)
			i++;
		if (i == pool->ncomponents)
			return candidate;
	}
	return -1;
}

double
gepa_engine_sum(const double *values, int n)
{
	double		sum = 0.0;
	int			i;

	for (i = 0; i < n; i++)
		sum += values[i];
	return sum;
}

bool
gepa_engine_accepts(EngineAcceptance acceptance, double before, double after)
{
	return acceptance == ENGINE_ACCEPT_OR_EQUAL ? after >= before : after > before;
}

int
gepa_engine_keep(EngineKeep keep, int top_k, EngineAcceptance acceptance, int n,
				 const double *before, const double *after, int *result)
{
	int			limit = n;
	int			kept = 0;
	int			i;

	if (keep == ENGINE_KEEP_BEST)
		limit = 1;
	else if (keep == ENGINE_KEEP_TOP_K)
		limit = top_k;

	for (i = 0; i < n; i++)
	{
		int			place = kept;

		if (!gepa_engine_accepts(acceptance, before[i], after[i]))
			continue;
		/* insertion by gain keeps list order among equals */
		while (keep != ENGINE_KEEP_ALL && place > 0 &&
			   after[result[place - 1]] - before[result[place - 1]] < after[i] - before[i])
			place--;
		memmove(result + place + 1, result + place, (kept - place) * sizeof(int));
		result[place] = i;
		kept++;
	}
	return Min(kept, limit);
}
