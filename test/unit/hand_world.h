/*-------------------------------------------------------------------------
 *
 * hand_world.h
 *	  A score model over lines and candidates made by hand, for its tests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_TEST_HAND_WORLD_H
#define GEPA_TEST_HAND_WORLD_H

#include <math.h>

#include "hand_lines.h"

typedef struct World
{
	EnginePolicy policy;
	EngineArena arena;
	EngineLines lines;
	EngineModel model;
} World;

static inline EnginePolicy
all_terms(void)
{
	EnginePolicy policy = {0};

	policy.intercept_mean = 0.3;
	policy.intercept_sd = 2.0;
	policy.line_mean = 0.1;
	policy.line_sd = 0.3;
	policy.candidate_sd = 0.12;
	policy.length_mean = -0.4;
	policy.length_sd = 0.2;
	policy.sample_sd = 2.0;
	policy.dispersion_prior = 20.0;
	policy.least_dispersion = 0.02;
	return policy;
}

static inline void
world_open(World *world, EnginePolicy policy, int nitems)
{
	memset(world, 0, sizeof(World));
	world->policy = policy;
	gepa_engine_arena_init(&world->arena);
	world->lines.arena = &world->arena;
	gepa_engine_model_init(&world->model, &world->arena, &world->policy, nitems);
}

static inline void
world_close(World *world)
{
	gepa_engine_arena_free(&world->arena);
}

static inline double
theta(const World *world, int candidate)
{
	return gepa_engine_model_theta(&world->model, &world->lines, candidate);
}

static inline double
sd(const World *world, int candidate, int other)
{
	return gepa_engine_model_sd(&world->model, &world->lines, candidate, other);
}

static inline void
fit(World *world)
{
	gepa_engine_model_fit(&world->model, &world->lines);
}

static inline double
logistic(double x)
{
	return 1 / (1 + exp(-x));
}

typedef struct Cell
{
	int			candidate;
	int			item;
	double		score;
} Cell;

static inline void
add_cells(World *world, const Cell *cells, const int *order, int n)
{
	for (int k = 0; k < n; k++)
	{
		const Cell *cell = &cells[order[k]];

		gepa_engine_model_add(&world->model, cell->candidate, cell->item, cell->score);
	}
}

static inline bool
same_bits(const EngineModel *a, const EngineModel *b)
{
	int			n = a->naxes + (a->policy->length_sd > 0 ? 2 : 1);

	return a->dimension == b->dimension && a->naxes == b->naxes &&
		memcmp(a->mean, b->mean, a->dimension * sizeof(double)) == 0 &&
		memcmp(a->axes, b->axes, a->naxes * sizeof(int)) == 0 &&
		memcmp(a->basis, b->basis, ENGINE_TRIANGLE(a->naxes) * sizeof(double)) == 0 &&
		memcmp(a->position, b->position, n * sizeof(double)) == 0 &&
		memcmp(a->factor, b->factor, ENGINE_TRIANGLE(n) * sizeof(double)) == 0 &&
		memcmp(a->easiness, b->easiness, a->nitems * sizeof(double)) == 0 &&
		memcmp(a->variance, b->variance, a->nitems * sizeof(double)) == 0;
}

#endif							/* GEPA_TEST_HAND_WORLD_H */
