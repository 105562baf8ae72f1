/*-------------------------------------------------------------------------
 *
 * conformance_pool.c
 *	  Replay of decisions about the candidates: frontier, selection, merge.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "conformance.h"

#define OVERLAP_FLOOR 5

static const char *const no_texts[1];
static const int no_parents[2] = {-1, -1};

/* Candidates and their frontier. */
typedef struct World
{
	EngineArena arena;
	EnginePool	pool;
	EngineFronts fronts;
} World;

static void
open_world(World *world, int ncomponents, EngineFrontier type, int nval)
{
	gepa_engine_arena_init(&world->arena);
	gepa_engine_pool_init(&world->pool, &world->arena, ncomponents, nval);
	gepa_engine_fronts_init(&world->fronts, &world->arena, type, nval);
	world->pool.ascending = world->fronts.ascending = false;
}

static void
close_world(World *world)
{
	gepa_engine_arena_free(&world->arena);
}

static int
compare_ints(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

static void
put_sorted(StringInfo got, const char *key, const int *values, int n)
{
	int		   *sorted = palloc((n + 1) * sizeof(int));

	memcpy(sorted, values, n * sizeof(int));
	qsort(sorted, n, sizeof(int), compare_ints);
	json_put_ints(got, key, sorted, n);
}

/* --- selection of parents --- */

/* A pool with these means, and fronts (may be NULL) as listed. */
static void
build_selection(World *world, const GepaJson *fronts, const GepaJson *means)
{
	int			nfronts = json_count(fronts);
	int			n = json_count(means);
	int		   *samples = palloc0((nfronts + 1) * sizeof(int));
	double	   *scores = palloc0((nfronts + 1) * sizeof(double));
	int			candidate;
	int			row;
	int			k;

	open_world(world, 1, ENGINE_FRONTIER_INSTANCE, nfronts);
	for (candidate = 0; candidate < n; candidate++)
	{
		gepa_engine_pool_add(&world->pool, no_texts, no_parents, 0, NULL, NULL);
		world->pool.means[candidate] = json_double(means->items[candidate]);
		for (row = 0; row < nfronts; row++)
		{
			const int  *members = json_ints(fronts->items[row]);

			samples[row] = row;
			scores[row] = 0.0;
			for (k = 0; k < json_count(fronts->items[row]); k++)
				if (members[k] == candidate)
					scores[row] = 1.0;
		}
		gepa_engine_fronts_add(&world->fronts, candidate, nfronts, samples, scores, NULL);
	}
}

static void
put_draws(StringInfo got, const char *key, const World *world, EngineSelection selection,
		  int64 seed, int ndraws, double epsilon, int top_k)
{
	EngineRandom random;
	int			i;

	gepa_engine_random_seed(&random, seed);
	json_open(got, key, '[');
	for (i = 0; i < ndraws; i++)
		json_put_int(got, NULL, gepa_engine_select_parent(&random, &world->pool,
														  &world->fronts, selection, epsilon,
														  top_k));
	json_close(got, ']');
}

/* Fronts as they are when only survivors are left. */
static void
put_reduced(StringInfo got, const World *world, const GepaJson *fronts, const int *survivors,
			int n)
{
	int			row;
	int			i;
	int			k;

	json_open(got, "fronts_after_removal", '{');
	for (row = 0; row < json_count(fronts); row++)
	{
		const EngineFrontRow *front = gepa_engine_fronts_row(&world->fronts, row);

		json_open(got, fronts->keys[row], '[');
		for (i = 0; i < front->nmembers; i++)
			for (k = 0; k < n; k++)
				if (survivors[k] == front->members[i])
					json_put_int(got, NULL, survivors[k]);
		json_close(got, ']');
	}
	json_close(got, '}');
}

static void
put_pareto(StringInfo got, const World *world, const GepaJson *input, int top_k)
{
	const GepaJson *fronts = gepa_json_get(input, "fronts");
	const GepaJson *seeds = gepa_json_get(input, "seeds");
	int			n = world->pool.ncandidates;
	int		   *survivors = palloc0((2 * n + 1) * sizeof(int));
	int		   *frequency = survivors + n;
	int			i;
	int			k;

	n = gepa_engine_survivors(&world->fronts, n, world->pool.means, NULL, survivors, frequency);
	json_open(got, NULL, '{');
	put_reduced(got, world, fronts, survivors, n);
	put_sorted(got, "survivors", survivors, n);
	put_sorted(got, "merge_pool", survivors, n);
	json_open(got, "frequency", '{');
	for (i = 0; i < n; i++)
		json_put_int(got, psprintf("%d", survivors[i]), frequency[i]);
	json_close(got, '}');
	json_open(got, "sampling_list_in_reference_order", '[');
	for (i = 0; i < n; i++)
		for (k = 0; k < frequency[i]; k++)
			json_put_int(got, NULL, survivors[i]);
	json_close(got, ']');
	json_open(got, "draws_by_seed", '{');
	for (i = 0; i < json_count(seeds); i++)
		put_draws(got, seeds->items[i]->text, world,
				  top_k > 0 ? ENGINE_SELECT_TOP_K_PARETO : ENGINE_SELECT_PARETO,
				  (int64) json_double(seeds->items[i]), json_int(input, "draws", 0), 0.0, top_k);
	json_close(got, '}');
	json_close(got, '}');
}

/* A number like Python prints it, as keys of outcomes are. */
static char *
number_key(const GepaJson *number)
{
	return psprintf("%s", number->text);
}

bool
replay_selection(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	const GepaJson *fronts = gepa_json_get(input, "fronts");
	const GepaJson *means = gepa_json_get(input, "mean_scores_by_candidate");
	const GepaJson *epsilon = gepa_json_get(input, "epsilon");
	const GepaJson *k = gepa_json_get(input, "k");
	World		world;
	int			i;

	if (means == NULL)
		means = gepa_json_get(input, "means");
	if (k == NULL)
		k = gepa_json_get(input, "top_k");
	if (json_count(means) == 0)
		return false;
	build_selection(&world, fronts, means);
	if (epsilon != NULL && epsilon->kind == GEPA_JSON_ARRAY)
	{
		json_open(got, NULL, '{');
		for (i = 0; i < json_count(epsilon); i++)
			put_draws(got, number_key(epsilon->items[i]), &world, ENGINE_SELECT_EPSILON_GREEDY,
					  json_int(input, "seed", 0), json_int(input, "draws", 0),
					  json_double(epsilon->items[i]), 0);
		json_close(got, '}');
	}
	else if (k != NULL && k->kind == GEPA_JSON_ARRAY)
	{
		json_open(got, NULL, '{');
		for (i = 0; i < json_count(k); i++)
			put_draws(got, number_key(k->items[i]), &world, ENGINE_SELECT_TOP_K_PARETO,
					  json_int(input, "seed", 0), json_int(input, "draws", 0), 0.0,
					  (int) json_double(k->items[i]));
		json_close(got, '}');
	}
	else if (fronts != NULL && expected->kind == GEPA_JSON_ARRAY)
		put_draws(got, NULL, &world, k != NULL ? ENGINE_SELECT_TOP_K_PARETO :
				  ENGINE_SELECT_PARETO, json_int(input, "seed", 0), json_int(input, "draws", 0),
				  0.0, k != NULL ? (int) json_double(k) : 0);
	else if (fronts != NULL)
		put_pareto(got, &world, input, k != NULL ? (int) json_double(k) : 0);
	else
		return false;
	close_world(&world);
	return true;
}

/* --- frontier --- */

static EngineFrontier
frontier_type(const GepaJson *input)
{
	const char *name = gepa_json_get_string(input, "frontier_type");

	if (name != NULL && strcmp(name, "objective") == 0)
		return ENGINE_FRONTIER_OBJECTIVE;
	if (name != NULL && strcmp(name, "hybrid") == 0)
		return ENGINE_FRONTIER_HYBRID;
	if (name != NULL && strcmp(name, "cartesian") == 0)
		return ENGINE_FRONTIER_CARTESIAN;
	return ENGINE_FRONTIER_INSTANCE;
}

/* Scores of a candidate: the map itself, or its member "scores". */
static const GepaJson *
scores_of(const GepaJson *candidate)
{
	const GepaJson *scores = gepa_json_get(candidate, "scores");

	return scores != NULL ? scores : candidate;
}

/* Objective values as a matrix; the names are collected in order. */
static EngineObjectives
read_objectives(const GepaJson *candidate)
{
	const GepaJson *scores = scores_of(candidate);
	const GepaJson *rows = gepa_json_get(candidate, "objective_scores");
	int			n = json_count(scores);
	const char **names = palloc0(64 * sizeof(char *));
	double	   *values;
	EngineObjectives objectives = {0, (const char *const *) names, NULL};
	int			i;
	int			k;
	int			c;

	for (i = 0; i < json_count(rows); i++)
		for (k = 0; k < json_count(rows->items[i]); k++)
		{
			const char *name = rows->items[i]->keys[k];

			for (c = 0; c < objectives.nobjectives && strcmp(names[c], name) != 0; c++)
				;
			if (c == objectives.nobjectives && c < 64)
				names[objectives.nobjectives++] = name;
		}
	values = palloc0((n * objectives.nobjectives + 1) * sizeof(double));
	for (i = 0; i < n; i++)
		for (k = 0; k < objectives.nobjectives; k++)
			values[i * objectives.nobjectives + k] =
				json_double(gepa_json_get(gepa_json_get(rows, scores->keys[i]), names[k]));
	objectives.values = values;
	return objectives;
}

static void
add_candidate(World *world, const GepaJson *candidate)
{
	const GepaJson *scores = scores_of(candidate);
	EngineObjectives objectives = read_objectives(candidate);
	double	   *values = json_doubles(scores);
	int		   *samples = palloc0((json_count(scores) + 1) * sizeof(int));
	int			number;
	int			i;

	for (i = 0; i < json_count(scores); i++)
		samples[i] = atoi(scores->keys[i]);
	number = gepa_engine_pool_add(&world->pool, no_texts, no_parents, json_count(scores),
								  samples, values);
	gepa_engine_fronts_add(&world->fronts, number, json_count(scores), samples, values,
						   &objectives);
}

/* The reference tags keys where two kinds of them could meet. */
static char *
tagged_key(const World *world, const EngineFrontRow *row)
{
	switch (world->fronts.type)
	{
		case ENGINE_FRONTIER_HYBRID:
			return psprintf("%s|%s", row->sample >= 0 ? "val_id" : "objective", row->key);
		case ENGINE_FRONTIER_CARTESIAN:
			return psprintf("cartesian|%s", row->key);
		default:
			return row->key;
	}
}

static void
put_best(StringInfo got, const char *key, const EngineFrontTable *table)
{
	int			i;

	json_open(got, key, '{');
	for (i = 0; i < table->nrows; i++)
		json_put_double(got, table->rows[i].key, table->rows[i].score);
	json_close(got, '}');
}

/* fields: which members are wanted */
static void
put_state(StringInfo got, const World *world, const GepaJson *fields)
{
	int			i;

	json_open(got, NULL, '{');
	json_open(got, "mapping", '{');
	for (i = 0; i < gepa_engine_fronts_count(&world->fronts); i++)
	{
		const EngineFrontRow *row = gepa_engine_fronts_row(&world->fronts, i);

		json_put_ints(got, tagged_key(world, row), row->members, row->nmembers);
	}
	json_close(got, '}');
	put_best(got, "instance_best", &world->fronts.by_sample);
	if (gepa_json_get(fields, "objective_best") != NULL)
		put_best(got, "objective_best", &world->fronts.by_objective);
	if (gepa_json_get(fields, "cartesian_best") != NULL)
		put_best(got, "cartesian_best", &world->fronts.by_pair);
	json_put_doubles(got, "means", world->pool.means, world->pool.ncandidates);
	if (gepa_json_get(fields, "coverage") != NULL)
		json_put_ints(got, "coverage", world->pool.coverage, world->pool.ncandidates);
	json_close(got, '}');
}

static void
put_objective_means(StringInfo got, const GepaJson *candidates)
{
	int			i;
	int			k;

	json_open(got, "objective_means_by_candidate", '[');
	for (i = 0; i < json_count(candidates); i++)
	{
		EngineObjectives objectives = read_objectives(candidates->items[i]);
		int			n = json_count(scores_of(candidates->items[i]));

		json_open(got, NULL, '{');
		for (k = 0; k < objectives.nobjectives; k++)
			json_put_double(got, objectives.names[k],
							gepa_engine_objective_mean(&objectives, k, n));
		json_close(got, '}');
	}
	json_close(got, ']');
}

static void
put_choices(StringInfo got, const World *world)
{
	int			n = world->pool.ncandidates;
	int		   *survivors = palloc0((2 * n + 1) * sizeof(int));
	int			by_policy = gepa_engine_pool_best(&world->pool, true);
	int			by_mean = gepa_engine_pool_best(&world->pool, false);
	EngineRandom random;

	n = gepa_engine_survivors(&world->fronts, n, world->pool.means, NULL, survivors,
							  survivors + n);
	put_sorted(got, "survivors_after_removal", survivors, n);
	json_put_int(got, "best_program", by_policy);
	json_put_int(got, "policy_best_program", by_policy);
	json_put_int(got, "result_best_idx", by_mean);
	gepa_engine_random_seed(&random, 0);
	json_put_int(got, "current_best_selector",
				 gepa_engine_select_parent(&random, &world->pool, &world->fronts,
										   ENGINE_SELECT_CURRENT_BEST, 0.0, 0));
}

bool
replay_frontier(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	const GepaJson *candidates = gepa_json_get(input, "val_scores_by_candidate");
	const GepaJson *after = gepa_json_get(expected, "after_each_candidate");
	World		world;
	int			nval = 0;
	int			i;
	int			k;

	if (candidates == NULL)
		candidates = gepa_json_get(input, "candidates");
	if (json_count(candidates) == 0)
		return false;
	for (i = 0; i < json_count(candidates); i++)
		for (k = 0; k < json_count(scores_of(candidates->items[i])); k++)
			nval = Max(nval, atoi(scores_of(candidates->items[i])->keys[k]) + 1);

	open_world(&world, 1, frontier_type(input), nval);
	json_open(got, NULL, '{');
	json_open(got, "after_each_candidate", '[');
	for (i = 0; i < json_count(candidates); i++)
	{
		add_candidate(&world, candidates->items[i]);
		put_state(got, &world, gepa_json_item(after, i));
	}
	json_close(got, ']');
	put_objective_means(got, candidates);
	put_choices(got, &world);
	json_close(got, '}');
	close_world(&world);
	return true;
}

/* --- merge --- */

/* Texts of a candidate in the order of the components of another. */
static const char **
texts_of(const GepaJson *candidate, const GepaJson *like)
{
	const char **texts = palloc0((json_count(like) + 1) * sizeof(char *));
	int			i;

	for (i = 0; i < json_count(like); i++)
		texts[i] = gepa_json_get_string(candidate, like->keys[i]);
	return texts;
}

/* Candidates with parents ([null] = none) and means, alike on nval samples. */
static void
build_family(World *world, const GepaJson *candidates, const GepaJson *parents, int nval)
{
	const GepaJson *first = gepa_json_item(candidates, 0);
	int		   *samples = palloc0((nval + 1) * sizeof(int));
	double	   *scores = palloc0((nval + 1) * sizeof(double));
	int			i;
	int			k;

	for (i = 0; i < nval; i++)
		samples[i] = i;
	open_world(world, json_count(first), ENGINE_FRONTIER_INSTANCE, nval);
	for (i = 0; i < json_count(candidates); i++)
	{
		const GepaJson *list = gepa_json_item(parents, i);
		int			numbers[2] = {-1, -1};

		for (k = 0; k < Min(2, json_count(list)); k++)
			if (list->items[k]->kind == GEPA_JSON_NUMBER)
				numbers[k] = (int) json_double(list->items[k]);
		gepa_engine_pool_add(&world->pool, texts_of(candidates->items[i], first), numbers,
							 nval, samples, scores);
	}
}

static void
set_means(World *world, const GepaJson *means)
{
	int			i;

	for (i = 0; i < Min(json_count(means), world->pool.ncandidates); i++)
		world->pool.means[i] = json_double(means->items[i]);
}

static void
put_texts(StringInfo got, const char *key, const char *const *texts, const GepaJson *like)
{
	int			i;

	json_open(got, key, '{');
	for (i = 0; i < json_count(like); i++)
		json_put_string(got, like->keys[i], texts[i]);
	json_close(got, '}');
}

static void
replay_desirable(const GepaJson *cases, StringInfo got)
{
	int			i;

	json_open(got, NULL, '[');
	for (i = 0; i < json_count(cases); i++)
	{
		const GepaJson *ancestor = gepa_json_get(cases->items[i], "ancestor");

		json_put_bool(got, NULL, gepa_engine_merge_desirable(
															 json_count(ancestor),
															 texts_of(ancestor, ancestor),
															 texts_of(gepa_json_get(cases->items[i], "i"), ancestor),
															 texts_of(gepa_json_get(cases->items[i], "j"), ancestor)));
	}
	json_close(got, ']');
}

static void
replay_ancestors(const GepaJson *input, StringInfo got)
{
	const GepaJson *variants = gepa_json_get(input, "variants");
	const GepaJson *common = gepa_json_get(input, "common_ancestors");
	int			n = json_count(common);
	int		   *kept = palloc0((n + 1) * sizeof(int));
	int			v;
	int			i;

	json_open(got, NULL, '[');
	for (v = 0; v < json_count(variants); v++)
	{
		const GepaJson *before = gepa_json_get(variants->items[v], "merged_before");
		World		world;
		EngineMerges merges;

		build_family(&world, gepa_json_get(input, "candidates"), NULL, 0);
		set_means(&world, gepa_json_get(variants->items[v], "means"));
		gepa_engine_merges_init(&merges, &world.arena, OVERLAP_FLOOR, false);
		for (i = 0; i < json_count(before); i++)
		{
			const int  *triple = json_ints(before->items[i]);
			EngineMerge merge = {triple[0], triple[1], triple[2], NULL};

			gepa_engine_merge_done(&merges, &merge);
		}
		json_put_ints(got, NULL, kept,
					  gepa_engine_filter_ancestors(&merges, &world.pool,
												   json_int(input, "i", 0),
												   json_int(input, "j", 0),
												   json_ints(common), n, kept));
		close_world(&world);
	}
	json_close(got, ']');
}

static void
replay_lineage(const GepaJson *input, StringInfo got)
{
	const GepaJson *candidates = gepa_json_get(input, "candidates");
	const GepaJson *pool = gepa_json_get(input, "pool");
	const GepaJson *seeds = gepa_json_get(input, "seeds");
	int			i;

	json_open(got, NULL, '[');
	for (i = 0; i < json_count(seeds); i++)
	{
		World		world;
		EngineMerges merges;
		EngineMerge merge;
		EngineRandom random;

		build_family(&world, candidates, gepa_json_get(input, "parents"), OVERLAP_FLOOR);
		set_means(&world, gepa_json_get(input, "means"));
		gepa_engine_merges_init(&merges, &world.arena, OVERLAP_FLOOR, false);
		gepa_engine_random_seed(&random, (int64) json_double(seeds->items[i]));
		json_open(got, NULL, '{');
		json_put_int(got, "seed", (int64) json_double(seeds->items[i]));
		if (gepa_engine_find_merge(&merges, &random, &world.pool, json_ints(pool),
								   json_count(pool), &merge) == ENGINE_MERGE_BUILT)
		{
			json_open(got, "result", '{');
			json_put_int(got, "i", merge.i);
			json_put_int(got, "j", merge.j);
			json_put_int(got, "ancestor", merge.ancestor);
			put_texts(got, "merged", merge.texts, gepa_json_item(candidates, 0));
			json_close(got, '}');
		}
		else
			json_put_string(got, "result", NULL);
		json_close(got, '}');
		close_world(&world);
	}
	json_close(got, ']');
}

/* One attempt on candidates 1 and 2, after as many equal ones as told. */
static bool
put_attempt(StringInfo got, const GepaJson *input, const char *attempt)
{
	static const int both[2] = {1, 2};
	const GepaJson *candidates = gepa_json_get(input, "candidates");
	bool		again = strstr(attempt, "again") != NULL;
	bool		no_overlap = strstr(attempt, "overlap") != NULL;
	bool		alone = strstr(attempt, "pool of one") != NULL;
	bool		two = strstr(attempt, "only two candidates") != NULL;
	bool		zero = strstr(attempt, "mean 0") != NULL;
	World		world;
	EngineMerges merges;
	EngineMerge merge;
	EngineRandom random;
	EngineMergeResult result = ENGINE_MERGE_NONE;
	int			times;

	if (!again && !no_overlap && !alone && !two && !zero && strcmp(attempt, "first") != 0)
		return false;
	build_family(&world, candidates, gepa_json_get(input, "parents"),
				 no_overlap ? OVERLAP_FLOOR - 1 : OVERLAP_FLOOR);
	set_means(&world, gepa_json_get(input, "means"));
	if (zero)
		world.pool.means[0] = 0.0;
	if (two)
		world.pool.ncandidates = 2;
	gepa_engine_merges_init(&merges, &world.arena, OVERLAP_FLOOR, false);
	gepa_engine_random_seed(&random, 0);
	for (times = again ? 2 : 1; times > 0; times--)
		result = gepa_engine_find_merge(&merges, &random, &world.pool, both,
										alone ? 1 : 2, &merge);

	if (result == ENGINE_MERGE_BUILT)
		put_texts(got, NULL, merge.texts, gepa_json_item(candidates, 0));
	else
		json_put_string(got, NULL, result == ENGINE_MERGE_ZERO_WEIGHT ? "ValueError" : NULL);
	close_world(&world);
	return true;
}

/* Two candidates with these scores over the samples that either has. */
static void
build_pair(World *world, const GepaJson *scores_i, const GepaJson *scores_j)
{
	const GepaJson *both[2] = {scores_i, scores_j};
	int			nval = 0;
	int			i;
	int			k;

	for (i = 0; i < 2; i++)
		for (k = 0; k < json_count(both[i]); k++)
			nval = Max(nval, atoi(both[i]->keys[k]) + 1);
	open_world(world, 1, ENGINE_FRONTIER_INSTANCE, nval);
	for (i = 0; i < 2; i++)
		add_candidate(world, both[i]);
}

static void
replay_subsample(const GepaJson *input, StringInfo got)
{
	const GepaJson *pairs = gepa_json_get(input, "pairs");
	const GepaJson *seeds = gepa_json_get(input, "seeds");
	int			size = json_int(input, "subsample_size", 5);
	int		   *ids = palloc0((size + 1) * sizeof(int));
	int			i;
	int			k;

	json_open(got, NULL, '[');
	for (i = 0; i < json_count(pairs); i++)
	{
		World		world;

		build_pair(&world, gepa_json_get(pairs->items[i], "scores_i"),
				   gepa_json_get(pairs->items[i], "scores_j"));
		json_open(got, NULL, '{');
		json_put_int(got, "pair", i);
		json_open(got, "ids_by_seed", '{');
		for (k = 0; k < json_count(seeds); k++)
		{
			EngineRandom random;

			gepa_engine_random_seed(&random, (int64) json_double(seeds->items[k]));
			json_put_ints(got, seeds->items[k]->text, ids,
						  gepa_engine_merge_subsample(&random, &world.pool, 0, 1, size, ids));
		}
		json_close(got, '}');
		json_close(got, '}');
		close_world(&world);
	}
	json_close(got, ']');
}

static void
replay_merge_acceptance(const GepaJson *rows, StringInfo got)
{
	int			i;

	json_open(got, NULL, '[');
	for (i = 0; i < json_count(rows); i++)
	{
		const double *sums = json_doubles(rows->items[i]);

		json_put_bool(got, NULL, gepa_engine_merge_accepts(sums[0], sums[1], sums[2]));
	}
	json_close(got, ']');
}

bool
replay_merge(const GepaJson *input, const GepaJson *expected, StringInfo got)
{
	const GepaJson *attempts = gepa_json_get(input, "attempts");
	int			i;

	if (gepa_json_get(input, "cases") != NULL)
		replay_desirable(gepa_json_get(input, "cases"), got);
	else if (gepa_json_get(input, "variants") != NULL)
		replay_ancestors(input, got);
	else if (gepa_json_get(input, "pool") != NULL)
		replay_lineage(input, got);
	else if (gepa_json_get(input, "pairs") != NULL)
		replay_subsample(input, got);
	else if (gepa_json_get(input, "rows") != NULL)
		replay_merge_acceptance(gepa_json_get(input, "rows"), got);
	else if (attempts != NULL)
	{
		json_open(got, NULL, '[');
		for (i = 0; i < json_count(attempts); i++)
			if (!put_attempt(got, input, attempts->items[i]->text))
				return false;
		json_close(got, ']');
	}
	else
		return false;
	return true;
}
