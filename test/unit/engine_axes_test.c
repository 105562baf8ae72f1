/*-------------------------------------------------------------------------
 *
 * engine_axes_test.c
 *	  The score model where prompts are rewritten: many lines, few candidates.
 *
 * The fit solves for what candidates have in common (axes.c).  Here the normal
 * equations are set up for each line, candidate and item, and inverted without a thought
 * for what they look like; estimates, deviations and draws must be the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <time.h>

#include "engine/engine_model.h"
#include "hand_world.h"
#include "tap.h"

#define NITEMS 24
#define NCANDIDATES 9
#define PER_CANDIDATE 12
#define MAX_LINES 2010
#define DRAWS 20000

/* -------- rewrites -------- */

/* A candidate of these lines and their ancestors. */
static void
compose(World *world, const bool *member)
{
	bool		effect[MAX_LINES];
	int			effects[MAX_LINES];
	int			nlines = world->lines.nlines;
	int			n = 0;

	memcpy(effect, member, nlines);
	for (int i = nlines - 1; i >= 0; i--)
		if (effect[i] && world->lines.lines[i].ancestor >= 0)
			effect[world->lines.lines[i].ancestor] = true;
	for (int i = 0; i < nlines; i++)
		if (effect[i])
			effects[n++] = i;
	hand_candidate(&world->lines, 0.1 * world->lines.ncandidates, n, effects);
}

/* Most lines of a rewrite are new, a third of them for earlier ones; some survive. */
static void
rewrite(World *world, bool *member, int n)
{
	int			first = world->lines.nlines;

	for (int i = 0; i < first; i++)
		member[i] = member[i] && i % n < n / 4;
	for (int i = 0; i < n; i++)
	{
		hand_line(&world->lines, first > 0 && i % 3 == 0 ? first - n + i : -1);
		member[first + i] = true;
	}
	compose(world, member);
}

/*
 * The seed, five rewrites, two recombinations, the second of the same lines as the first,
 * and a rewrite that is for later.
 */
static void
rewrite_lines(World *world)
{
	bool		member[MAX_LINES] = {0};

	compose(world, member);
	for (int c = 0; c < 5; c++)
		rewrite(world, member, PER_CANDIDATE);
	member[PER_CANDIDATE + 5] = member[4 * PER_CANDIDATE] = true;
	member[4 * PER_CANDIDATE + 7] = false;
	compose(world, member);
	compose(world, member);
	rewrite(world, member, PER_CANDIDATE);
}

static int
some_cells(const World *world, int first, int step, EngineRandom *random, Cell *cells)
{
	int			n = 0;

	for (int c = first; c < NCANDIDATES - 1; c += step)
	{
		for (int i = c % 3; i < NITEMS; i += 1 + c % 2)
		{
			cells[n].candidate = c;
			cells[n].item = i;
			cells[n++].score = gepa_engine_random_uniform(random) <
				logistic(i % 5 - 1.5 + 0.2 * c);
		}
	}
	return n;
}

/* Odd candidates have rollouts before even ones; shuffled cells come in another order. */
static void
evaluate(World *world, EngineRandom *shuffle)
{
	EngineRandom random;

	gepa_engine_random_seed(&random, 11);
	for (int first = 1; first >= 0; first--)
	{
		Cell		cells[NCANDIDATES * NITEMS];
		int			order[NCANDIDATES * NITEMS];
		int			n = some_cells(world, first, 2, &random, cells);

		for (int k = 0; k < n; k++)
			order[k] = k;
		if (shuffle != NULL)
			gepa_engine_random_shuffle(shuffle, order, n);
		add_cells(world, cells, order, n);
		fit(world);
	}
}

/* -------- the dense reference -------- */

/* Unknowns: b0, lambda, each line, u of each candidate, easiness of each item. */
typedef struct Dense
{
	const World *world;
	int			n;
	double	   *covariance;
	double	   *slope;			/* derivative of the log posterior */
} Dense;

static int
dense_candidate(const Dense *dense, int candidate)
{
	return 2 + dense->world->lines.nlines + candidate;
}

static int
dense_item(const Dense *dense, int item)
{
	return dense_candidate(dense, dense->world->lines.ncandidates + item);
}

/* Prior mean and deviation, and the estimate. */
static void
dense_prior(const Dense *dense, int i, double *mean, double *sd, double *estimate)
{
	const World *world = dense->world;
	const EnginePolicy *policy = &world->policy;
	const EngineModel *model = &world->model;
	int			line = i - 2;
	int			candidate = i - dense_candidate(dense, 0);
	int			item = i - dense_item(dense, 0);
	int			column = -1;

	*mean = 0;
	if (i == 0)
		*mean = policy->intercept_mean, *sd = policy->intercept_sd, column = 0;
	else if (i == 1)
		*mean = policy->length_mean, *sd = policy->length_sd, column = 1;
	else if (item >= 0)
		*sd = policy->sample_sd;
	else if (candidate >= 0)
	{
		*sd = policy->candidate_sd;
		column = gepa_engine_candidate_column(model, &world->lines, candidate);
	}
	else
	{
		*mean = world->lines.lines[line].ancestor < 0 ? policy->line_mean : 0;
		*sd = policy->line_sd;
		column = gepa_engine_line_column(model, line);
	}
	*estimate = item >= 0 ? model->easiness[item] :
		column < model->dimension ? model->mean[column] : *mean;
}

/* What theta is made of; unknowns without a deviation are none. */
static void
dense_row(const Dense *dense, int candidate, double sign, double *row)
{
	const EnginePolicy *policy = &dense->world->policy;
	const EngineComposition *composition = &dense->world->lines.compositions[candidate];

	row[0] += sign;
	if (policy->length_sd > 0)
		row[1] += sign * composition->length;
	for (int i = 0; policy->line_sd > 0 && i < composition->neffects; i++)
		row[2 + composition->effects[i]] += sign;
	if (policy->candidate_sd > 0)
		row[dense_candidate(dense, candidate)] += sign;
}

/* By Gauss and Jordan, in place. */
static void
invert(double *a, int n)
{
	for (int i = 0; i < n; i++)
	{
		double		pivot = a[i * n + i];

		a[i * n + i] = 1;
		for (int j = 0; j < n; j++)
			a[i * n + j] /= pivot;
		for (int k = 0; k < n; k++)
		{
			double		factor = a[k * n + i];

			if (k == i || factor == 0)
				continue;
			a[k * n + i] = 0;
			for (int j = 0; j < n; j++)
				a[k * n + j] -= factor * a[i * n + j];
		}
	}
}

static void
dense_cell(Dense *dense, const EngineCell *cell, int item)
{
	const World *world = dense->world;
	double	   *row = palloc0(dense->n * sizeof(double));
	double		p = logistic(theta(world, cell->candidate) + world->model.easiness[item]);

	dense_row(dense, cell->candidate, 1, row);
	if (world->policy.sample_sd > 0)
		row[dense_item(dense, item)] = 1;
	for (int i = 0; i < dense->n; i++)
	{
		for (int j = 0; row[i] != 0 && j < dense->n; j++)
			dense->covariance[i * dense->n + j] += p * (1 - p) * row[i] * row[j];
		dense->slope[i] += row[i] * (cell->score - p);
	}
	pfree(row);
}

static void
dense_open(Dense *dense, const World *world)
{
	const EngineModel *model = &world->model;

	dense->world = world;
	dense->n = dense_item(dense, model->nitems);
	dense->covariance = palloc0(dense->n * dense->n * sizeof(double));
	dense->slope = palloc0(dense->n * sizeof(double));
	for (int i = 0; i < dense->n; i++)
	{
		double		mean;
		double		sd;
		double		estimate;

		dense_prior(dense, i, &mean, &sd, &estimate);
		dense->covariance[i * dense->n + i] = sd > 0 ? 1 / (sd * sd) : 1;
		dense->slope[i] = sd > 0 ? (mean - estimate) / (sd * sd) : 0;
	}
	for (int i = 0; i < model->nitems; i++)
		for (int c = 0; c < model->ncells[i]; c++)
			dense_cell(dense, &model->cells[i][c], i);
	invert(dense->covariance, dense->n);
}

static void
dense_close(Dense *dense)
{
	pfree(dense->covariance);
	pfree(dense->slope);
}

static double
dense_product(const Dense *dense, const double *x, const double *y)
{
	double		sum = 0;

	for (int i = 0; i < dense->n; i++)
		for (int j = 0; x[i] != 0 && j < dense->n; j++)
			sum += x[i] * dense->covariance[i * dense->n + j] * y[j];
	return sum;
}

/* The length of a Newton step from the estimates. */
static double
dense_step(const Dense *dense)
{
	double		length = 0;

	for (int i = 0; i < dense->n; i++)
	{
		double		step = 0;

		for (int j = 0; j < dense->n; j++)
			step += dense->covariance[i * dense->n + j] * dense->slope[j];
		length = hypot(length, step);
	}
	return length;
}

static double
dense_sd(const Dense *dense, int candidate, int other)
{
	double	   *row = palloc0(dense->n * sizeof(double));
	double		variance;

	dense_row(dense, candidate, 1, row);
	if (other >= 0)
		dense_row(dense, other, -1, row);
	variance = dense_product(dense, row, row);
	pfree(row);
	return sqrt(variance);
}

/* -------- estimates and deviations -------- */

static void
test_dense(const char *what, EnginePolicy policy)
{
	World		world;
	Dense		dense;
	double		total = 0;
	bool		member[MAX_LINES] = {0};

	world_open(&world, policy, NITEMS);
	rewrite_lines(&world);
	evaluate(&world, NULL);
	for (int k = 0; k < 8; k++)
		fit(&world);
	/* younger than the fit: lines of its own, and some of another's */
	member[3] = member[PER_CANDIDATE + 4] = true;
	rewrite(&world, member, PER_CANDIDATE);
	dense_open(&dense, &world);
	tap_is_double(dense_step(&dense), 0, 1e-9, what);
	for (int c = 0; c < world.lines.ncandidates; c++)
		for (int d = -1; d < world.lines.ncandidates; d++)
			total += fabs(sd(&world, c, d) - dense_sd(&dense, c, d));
	/* next to one that is the same only rounding differs */
	tap_is_double(total, 0, 1e-6, "... all deviations by the inverse");
	tap_is_double(sd(&world, 4, 1), dense_sd(&dense, 4, 1), 1e-11, "... one of them");
	tap_is_double(sd(&world, 1, 4), sd(&world, 4, 1), 1e-14, "... of either less the other");
	dense_close(&dense);
	world_close(&world);
}

static void
test_terms(void)
{
	EnginePolicy policy = all_terms();

	test_dense("the estimates are where each line's own would be", policy);
	policy.candidate_sd = 0;
	test_dense("... where candidates are the sum of their lines", policy);
	policy.length_sd = 0;
	test_dense("... where the length is nothing either", policy);
	policy = all_terms();
	policy.sample_sd = 0;
	test_dense("... where items are alike", policy);
	policy = all_terms();
	policy.line_sd = 0;
	test_dense("... where lines are nothing", policy);
	policy = all_terms();
	policy.intercept_sd = 1000;
	policy.line_sd = 1;
	policy.candidate_sd = 1e-3;
	test_dense("... where priors are far apart", policy);
}

/* -------- draws -------- */

#define NDRAWN 8

/*
 * Two of one rewrite that stayed together, one that is derived from an earlier line and
 * one from that, those of other rewrites, one that no rollout has, and one that is younger
 * than the fit.
 */
static const int drawn_lines[NDRAWN] = {1, 2, 12, 24, 37, 53, 63, 72};

static void
draw(const World *world, EngineRandom *random, double scale, double *values)
{
	double		effects[MAX_LINES];

	gepa_engine_model_draw(&world->model, &world->lines, random, scale, effects,
						   &values[NDRAWN]);
	for (int i = 0; i < NDRAWN; i++)
		values[i] = effects[drawn_lines[i]];
}

/* Of a line's effect with its ancestors, and behind all lines that of the length. */
static void
drawn_row(const Dense *dense, int i, double *row)
{
	memset(row, 0, dense->n * sizeof(double));
	if (i == NDRAWN)
		row[1] = 1;
	else
		for (int line = drawn_lines[i]; line >= 0;
			 line = dense->world->lines.lines[line].ancestor)
			row[2 + line] = 1;
}

static void
compare_draws(const Dense *dense, double scale, double (*products)[NDRAWN + 1],
			  const double *sums)
{
	double	   *row = palloc(dense->n * sizeof(double));
	double	   *other = palloc(dense->n * sizeof(double));
	double		expected[NDRAWN + 1][NDRAWN + 1];

	for (int i = 0; i <= NDRAWN; i++)
	{
		drawn_row(dense, i, row);
		for (int j = 0; j <= i; j++)
		{
			drawn_row(dense, j, other);
			expected[i][j] = scale * scale * dense_product(dense, row, other);
		}
	}
	for (int i = 0; i <= NDRAWN; i++)
	{
		/* 4.5 standard errors */
		tap_ok(fabs(sums[i] / DRAWS) < 4.5 * sqrt(expected[i][i] / DRAWS),
			   "mean of draws %d: %g", i, sums[i] / DRAWS);
		for (int j = 0; j <= i; j++)
		{
			double		error = sqrt((expected[i][i] * expected[j][j] +
									  expected[i][j] * expected[i][j]) / DRAWS);

			tap_ok(fabs(products[i][j] / DRAWS - expected[i][j]) < 4.5 * error,
				   "covariance of draws %d and %d: %g, expected %g", i, j,
				   products[i][j] / DRAWS, expected[i][j]);
		}
	}
	pfree(row);
	pfree(other);
}

static void
test_draws(EnginePolicy policy, double scale)
{
	World		world;
	Dense		dense;
	EngineRandom random;
	double		means[NDRAWN + 1];
	double		sums[NDRAWN + 1] = {0};
	double		products[NDRAWN + 1][NDRAWN + 1] = {{0}};

	world_open(&world, policy, NITEMS);
	rewrite_lines(&world);
	evaluate(&world, NULL);
	for (int k = 0; k < 8; k++)
		fit(&world);
	hand_line(&world.lines, 53);
	dense_open(&dense, &world);
	gepa_engine_random_seed(&random, 12);
	draw(&world, &random, 0, means);
	for (int k = 0; k < DRAWS; k++)
	{
		double		values[NDRAWN + 1];

		draw(&world, &random, scale, values);
		for (int i = 0; i <= NDRAWN; i++)
		{
			values[i] -= means[i];
			sums[i] += values[i];
			for (int j = 0; j <= i; j++)
				products[i][j] += values[i] * values[j];
		}
	}
	compare_draws(&dense, scale, products, sums);
	dense_close(&dense);
	world_close(&world);
}

/* -------- twins, order, size -------- */

/* Of two candidates of the same lines one has an axis of nothing, whatever rounding leaves. */
static void
test_twins(void)
{
	EnginePolicy policy = all_terms();
	int			useless = 0;

	policy.candidate_sd = 0;
	for (int i = 1; i <= 20; i++)
	{
		World		world;

		policy.line_sd = 0.1 * i;
		world_open(&world, policy, NITEMS);
		rewrite_lines(&world);
		evaluate(&world, NULL);
		/* the seed has no lines at all */
		for (int k = 0; k < world.model.naxes; k++)
			if (world.model.basis[ENGINE_TRIANGLE(k) + k] == 0)
				useless += world.model.axes[k] == 6 || world.model.axes[k] == 0;
		world_close(&world);
	}
	tap_is_int(useless, 40, "a candidate of the same lines adds nothing");
}

static void
test_arrival(void)
{
	World		first;
	EngineRandom random;
	bool		same = true;

	world_open(&first, all_terms(), NITEMS);
	rewrite_lines(&first);
	evaluate(&first, NULL);
	gepa_engine_random_seed(&random, 13);
	for (int k = 0; k < 5; k++)
	{
		World		other;

		world_open(&other, all_terms(), NITEMS);
		rewrite_lines(&other);
		evaluate(&other, &random);
		same = same && same_bits(&first.model, &other.model);
		world_close(&other);
	}
	tap_ok(same, "the order of arrival changes no bit");
	world_close(&first);
}

/* 40 rewrites of 50 lines; the time is told, not judged. */
static void
test_size(void)
{
	World		world;
	EngineRandom random;
	bool		member[MAX_LINES];
	clock_t		taken = 0;
	double		before;

	world_open(&world, all_terms(), 100);
	memset(member, 0, sizeof(member));
	compose(&world, member);
	gepa_engine_random_seed(&random, 14);
	for (int c = 0; c <= 40; c++)
	{
		for (int i = 0; i < 12; i++)
			gepa_engine_model_add(&world.model, c, (7 * c + i) % 100,
								  gepa_engine_random_uniform(&random) < 0.6);
		taken -= clock();
		fit(&world);
		taken += clock();
		if (c == 40)
			break;
		memset(member, 0, sizeof(member));
		rewrite(&world, member, 50);
	}
	before = theta(&world, 40);
	fit(&world);
	tap_is_int(world.lines.nlines, 2000, "2,000 lines");
	tap_is_int(world.model.naxes, 41, "... in 40 rewrites");
	tap_is_double(theta(&world, 40), before, 0.01, "... are estimated");
	printf("# 41 fits took %.1f ms\n", taken * 1e3 / CLOCKS_PER_SEC);
	world_close(&world);
}

int
main(void)
{
	EnginePolicy policy = all_terms();

	test_terms();
	test_draws(policy, 0.7);
	policy.candidate_sd = 0;
	test_draws(policy, 1.0);
	test_twins();
	test_arrival();
	test_size();
	return tap_done();
}
