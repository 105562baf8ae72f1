/*-------------------------------------------------------------------------
 *
 * select.c
 *	  Which candidate is changed next.
 *
 * Pareto selection draws among the candidates that are left when redundant
 * ones are removed, each as likely as it leads fronts.  A candidate with a
 * high mean that is nowhere the best is never drawn.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_internal.h"

/* Draw by frequency; -1 when nobody is on a front. */
static int
draw_survivor(EngineRandom *random, const EnginePool *pool, const EngineFronts *fronts,
			  const EngineSet *restrict_to)
{
	int			n = pool->ncandidates;
	int		   *survivors = palloc(2 * n * sizeof(int));
	int		   *frequency = survivors + n;
	int			total = 0;
	int			chosen = -1;
	int			i;

	n = gepa_engine_survivors(fronts, n, pool->means, restrict_to, survivors, frequency);
	for (i = 0; i < n; i++)
		total += frequency[i];
	if (total > 0)
	{
		int			place = gepa_engine_random_bounded(random, total);

		for (i = 0; place >= frequency[i]; i++)
			place -= frequency[i];
		chosen = survivors[i];
	}
	pfree(survivors);
	return chosen;
}

/* Collect the k best means, the lower number first among equals. */
static void
collect_best(const EnginePool *pool, int k, EngineSet *set)
{
	gepa_engine_set_init(set);
	while (k-- > 0)
	{
		int			best = -1;
		int			i;

		for (i = 0; i < pool->ncandidates; i++)
			if (!gepa_engine_set_has(set, i) &&
				(best < 0 || pool->means[i] > pool->means[best]))
				best = i;
		if (best < 0)
			break;
		gepa_engine_set_add(set, best);
	}
}

static int
select_top_k(EngineRandom *random, const EnginePool *pool, const EngineFronts *fronts, int k)
{
	EngineSet	best;
	int			chosen;

	collect_best(pool, k, &best);
	chosen = draw_survivor(random, pool, fronts, &best);
	gepa_engine_set_free(&best);
	return chosen >= 0 ? chosen : gepa_engine_pool_best(pool, false);
}

int
gepa_engine_select_parent(EngineRandom *random, const EnginePool *pool,
						  const EngineFronts *fronts, EngineSelection selection,
						  double epsilon, int top_k)
{
	int			chosen;

	switch (selection)
	{
		case ENGINE_SELECT_CURRENT_BEST:
			return gepa_engine_pool_best(pool, false);
		case ENGINE_SELECT_EPSILON_GREEDY:
			/* the uniform is drawn whether or not it leads to exploration */
			if (gepa_engine_random_uniform(random) < epsilon)
				return gepa_engine_random_bounded(random, pool->ncandidates);
			return gepa_engine_pool_best(pool, false);
		case ENGINE_SELECT_TOP_K_PARETO:
			return select_top_k(random, pool, fronts, top_k);
		case ENGINE_SELECT_PARETO:
			break;
	}
	chosen = draw_survivor(random, pool, fronts, NULL);
	return chosen >= 0 ? chosen : gepa_engine_pool_best(pool, false);
}
