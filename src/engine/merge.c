/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Crossover: a child out of two candidates with a common ancestor.
 *
 * A pair is drawn among the survivors of the frontier.  It will do when
 * neither is an ancestor of the other and a common ancestor, no better than
 * either, has some component that exactly one of them changed.  The child
 * takes from each side what that side changed; what both changed comes from
 * the better one.  It is tried on a few validation samples that show where
 * the two differ.
 *
 * With a single component both sides have normally changed it, so a merge is
 * practically never found; with fewer validation samples than merge_overlap
 * it never is.
 *
 * Memory of merges: a triple (i, j, ancestor) is merged once, and so is a
 * pair with the same sources per component, through whatever ancestor.
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

#define MAX_ATTEMPTS 10

void
gepa_engine_merges_init(EngineMerges *merges, EngineArena *arena, int overlap_floor,
						bool zero_mean_merge)
{
	memset(merges, 0, sizeof(EngineMerges));
	merges->arena = arena;
	merges->overlap_floor = overlap_floor;
	merges->zero_mean_merge = zero_mean_merge;
}

bool
gepa_engine_merge_desirable(int ncomponents, const char *const *ancestor,
							const char *const *i, const char *const *j)
{
	int			c;

	for (c = 0; c < ncomponents; c++)
	{
		bool		i_kept = strcmp(ancestor[c], i[c]) == 0;
		bool		j_kept = strcmp(ancestor[c], j[c]) == 0;

		if (i_kept != j_kept)
			return true;
	}
	return false;
}

static bool
merged_before(const EngineMerges *merges, int i, int j, int ancestor)
{
	int			k;

	for (k = 0; k < merges->ntriples; k++)
		if (merges->triples[k][0] == i && merges->triples[k][1] == j &&
			merges->triples[k][2] == ancestor)
			return true;
	return false;
}

int
gepa_engine_filter_ancestors(const EngineMerges *merges, const EnginePool *pool, int i, int j,
							 const int *common, int n, int *result)
{
	int			kept = 0;
	int			k;

	for (k = 0; k < n; k++)
	{
		int			ancestor = common[k];

		if (merged_before(merges, i, j, ancestor))
			continue;
		if (pool->means[ancestor] > pool->means[i] || pool->means[ancestor] > pool->means[j])
			continue;
		if (!gepa_engine_merge_desirable(pool->ncomponents, pool->texts[ancestor],
										 pool->texts[i], pool->texts[j]))
			continue;
		result[kept++] = ancestor;
	}
	return kept;
}

/* Mark all ancestors; parents have lower numbers, so one descent will do. */
static void
mark_ancestors(const EnginePool *pool, int candidate, bool *marks)
{
	int			c;

	memset(marks, 0, pool->ncandidates * sizeof(bool));
	for (c = candidate; c >= 0; c--)
	{
		int			k;

		if (c != candidate && !marks[c])
			continue;
		for (k = 0; k < 2; k++)
			if (pool->parents[c][k] >= 0)
				marks[pool->parents[c][k]] = true;
	}
}

/* Collect ancestors as the reference does: parents first, each to its roots. */
static void
collect_ancestors(const EnginePool *pool, int candidate, EngineSet *found)
{
	int			k;

	for (k = 0; k < 2; k++)
	{
		int			parent = pool->parents[candidate][k];

		if (parent < 0 || gepa_engine_set_has(found, parent))
			continue;
		gepa_engine_set_add(found, parent);
		collect_ancestors(pool, parent, found);
	}
}

/* The common ancestors as the reference lists them. */
static int
list_common(const EnginePool *pool, int i, int j, int *result)
{
	int			pair[2] = {i, j};
	EngineSet	sets[2];
	EngineSet	common;
	int			n;
	int			k;
	int			m;

	for (k = 0; k < 2; k++)
	{
		EngineSet	found;

		/* a set becomes a list becomes a set */
		gepa_engine_set_init(&found);
		collect_ancestors(pool, pair[k], &found);
		n = gepa_engine_set_list(&found, result);
		gepa_engine_set_free(&found);
		gepa_engine_set_init(&sets[k]);
		for (m = 0; m < n; m++)
			gepa_engine_set_add(&sets[k], result[m]);
	}
	gepa_engine_set_intersect(&common, &sets[0], &sets[1]);
	n = gepa_engine_set_list(&common, result);
	gepa_engine_set_free(&common);
	gepa_engine_set_free(&sets[0]);
	gepa_engine_set_free(&sets[1]);
	return n;
}

/* Ancestors, in order, through which i and j may be merged. */
static int
possible_ancestors(const EngineMerges *merges, const EnginePool *pool, int i, int j,
				   int *result)
{
	bool	   *of_i = palloc(2 * pool->ncandidates * sizeof(bool));
	bool	   *of_j = of_i + pool->ncandidates;
	int		   *common = palloc(pool->ncandidates * sizeof(int));
	int			n = 0;
	int			c;

	mark_ancestors(pool, i, of_i);
	mark_ancestors(pool, j, of_j);
	if (!of_i[j] && !of_j[i])
	{
		for (c = 0; pool->ascending && c < pool->ncandidates; c++)
			if (of_i[c] && of_j[c])
				common[n++] = c;
		if (!pool->ascending)
			n = list_common(pool, i, j, common);
		n = gepa_engine_filter_ancestors(merges, pool, i, j, common, n, result);
	}
	pfree(common);
	pfree(of_i);
	return n;
}

/*
 * Draw one of the ancestors by their means.  Where these sum to nothing the
 * reference fails; drawing alike is the deviation zero_mean_merge.
 */
static int
draw_ancestor(EngineRandom *random, const EnginePool *pool, const int *ancestors, int n,
			  bool zero_mean_merge)
{
	double	   *weights = palloc(n * sizeof(double));
	int			drawn;
	int			k;

	for (k = 0; k < n; k++)
		weights[k] = pool->means[ancestors[k]];
	drawn = gepa_engine_random_weighted(random, n, weights);
	if (drawn < 0 && zero_mean_merge)
		drawn = gepa_engine_random_bounded(random, n);
	pfree(weights);
	return drawn < 0 ? -1 : ancestors[drawn];
}

/* Draw pairs until one has an ancestor. */
static EngineMergeResult
draw_pair(const EngineMerges *merges, EngineRandom *random, const EnginePool *pool,
		  const int *candidates, int n, EngineMerge *merge)
{
	EngineMergeResult result = ENGINE_MERGE_NONE;
	int		   *ancestors = palloc(pool->ncandidates * sizeof(int));
	int			attempt;

	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		int			pair[2];
		int			found;

		gepa_engine_random_sample(random, candidates, n, 2, pair);
		merge->i = Min(pair[0], pair[1]);
		merge->j = Max(pair[0], pair[1]);
		found = possible_ancestors(merges, pool, merge->i, merge->j, ancestors);
		if (found == 0)
			continue;
		merge->ancestor = draw_ancestor(random, pool, ancestors, found,
										merges->zero_mean_merge);
		result = merge->ancestor >= 0 ? ENGINE_MERGE_BUILT : ENGINE_MERGE_ZERO_WEIGHT;
		break;
	}
	pfree(ancestors);
	return result;
}

/* The candidate that a component of the child comes from. */
static int
source_of(EngineRandom *random, const EnginePool *pool, const EngineMerge *merge, int component)
{
	const char *text_i = pool->texts[merge->i][component];
	const char *text_j = pool->texts[merge->j][component];
	const char *text_a = pool->texts[merge->ancestor][component];
	bool		i_kept = strcmp(text_a, text_i) == 0;
	bool		j_kept = strcmp(text_a, text_j) == 0;

	if (i_kept != j_kept)
		return i_kept ? merge->j : merge->i;
	if (i_kept)
		return merge->i;
	if (pool->means[merge->i] != pool->means[merge->j])
		return pool->means[merge->i] > pool->means[merge->j] ? merge->i : merge->j;
	return gepa_engine_random_bounded(random, 2) == 0 ? merge->i : merge->j;
}

static bool
described_before(const EngineMerges *merges, const int *description, int length)
{
	int			k;

	for (k = 0; k < merges->ndescriptions; k++)
		if (memcmp(merges->descriptions[k], description, length * sizeof(int)) == 0)
			return true;
	return false;
}

static int
shared_samples(const EnginePool *pool, int i, int j)
{
	int			n = 0;
	int			s;

	for (s = 0; s < pool->nval; s++)
		if (!isnan(pool->scores[i][s]) && !isnan(pool->scores[j][s]))
			n++;
	return n;
}

/* Make the child's texts; false when the pair was merged like this before. */
static bool
build_child(EngineMerges *merges, EngineRandom *random, const EnginePool *pool,
			EngineMerge *merge)
{
	int			length = 2 + pool->ncomponents;
	int		   *description = gepa_engine_alloc(merges->arena, length * sizeof(int));
	int			c;

	merge->texts = gepa_engine_alloc(merges->arena, pool->ncomponents * sizeof(char *));
	description[0] = merge->i;
	description[1] = merge->j;
	for (c = 0; c < pool->ncomponents; c++)
	{
		description[2 + c] = source_of(random, pool, merge, c);
		merge->texts[c] = pool->texts[description[2 + c]][c];
	}
	if (described_before(merges, description, length) ||
		shared_samples(pool, merge->i, merge->j) < merges->overlap_floor)
		return false;
	merges->descriptions = gepa_engine_grow(merges->arena, merges->descriptions,
											merges->ndescriptions,
											&merges->descriptions_allocated, sizeof(int *));
	merges->descriptions[merges->ndescriptions++] = description;
	return true;
}

EngineMergeResult
gepa_engine_find_merge(EngineMerges *merges, EngineRandom *random, const EnginePool *pool,
					   const int *candidates, int n, EngineMerge *merge)
{
	int			attempt;

	if (n < 2 || pool->ncandidates < 3)
		return ENGINE_MERGE_NONE;
	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++)
	{
		EngineMergeResult result = draw_pair(merges, random, pool, candidates, n, merge);

		if (result == ENGINE_MERGE_ZERO_WEIGHT)
			return result;
		if (result == ENGINE_MERGE_BUILT &&
			build_child(merges, random, pool, merge))
			return ENGINE_MERGE_BUILT;
	}
	return ENGINE_MERGE_NONE;
}

void
gepa_engine_merge_done(EngineMerges *merges, const EngineMerge *merge)
{
	int		   *triple;

	merges->triples = gepa_engine_grow(merges->arena, merges->triples, merges->ntriples,
									   &merges->triples_allocated, sizeof(merges->triples[0]));
	triple = merges->triples[merges->ntriples++];
	triple[0] = merge->i;
	triple[1] = merge->j;
	triple[2] = merge->ancestor;
}

/* Add k drawn items to the result and mark them. */
static int
take_sample(EngineRandom *random, const int *items, int n, int k, int *result, int taken,
			bool *marks)
{
	int			i;

	if (k <= 0)
		return taken;
	gepa_engine_random_sample(random, items, n, k, result + taken);
	for (i = taken; i < taken + k; i++)
		marks[result[i]] = true;
	return taken + k;
}

int
gepa_engine_merge_subsample(EngineRandom *random, const EnginePool *pool, int i, int j,
							int size, int *result)
{
	const double *scores_i = pool->scores[i];
	const double *scores_j = pool->scores[j];
	int			each = Max(1, (size + 2) / 3);
	int		   *items = palloc(2 * pool->nval * sizeof(int));
	int		   *common = items + pool->nval;
	bool	   *marks = palloc0(pool->nval * sizeof(bool));
	int			ncommon = 0;
	int			taken = 0;
	int			n;
	int			bucket;
	int			s;

	for (s = 0; s < pool->nval; s++)
		if (!isnan(scores_i[s]) && !isnan(scores_j[s]))
			common[ncommon++] = s;

	/* i better, j better, tie */
	for (bucket = 0; bucket < 3 && taken < size; bucket++)
	{
		n = 0;
		for (s = 0; s < ncommon; s++)
		{
			int			sample = common[s];
			int			belongs = scores_i[sample] > scores_j[sample] ? 0 :
				scores_j[sample] > scores_i[sample] ? 1 : 2;

			if (belongs == bucket)
				items[n++] = sample;
		}
		taken = take_sample(random, items, n, Min(Min(n, each), size - taken), result, taken,
							marks);
	}

	/* the rest from what is unused, else with replacement */
	n = 0;
	for (s = 0; s < ncommon; s++)
		if (!marks[common[s]])
			items[n++] = common[s];
	if (n >= size - taken)
		taken = take_sample(random, items, n, size - taken, result, taken, marks);
	while (ncommon > 0 && taken < size)
		result[taken++] = common[gepa_engine_random_weighted(random, ncommon, NULL)];

	pfree(marks);
	pfree(items);
	return taken;
}

bool
gepa_engine_merge_accepts(double sum_i, double sum_j, double sum_child)
{
	return sum_child >= Max(sum_i, sum_j);
}
