/*-------------------------------------------------------------------------
 *
 * engine_model_test.c
 *	  The score model: Newton steps by hand, order of arrival, what is off, and
 *	  what is said of candidates, draws and deviations.
 *
 * engine_axes_test.c is about matrices with many lines; model_check.py compares the model
 * with an implementation of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "hand_world.h"
#include "tap.h"

static const int line_0[] = {0};
static const int line_1[] = {1};
static const int line_2[] = {2};
static const int lines_0_1[] = {0, 1};
static const int lines_0_2[] = {0, 2};

/* -------- by hand -------- */

/* Scores of the seed and of a candidate with one line on three items. */
static const struct
{
	int			candidate;
	int			item;
	double		score;
}			hand_cells[] = {{0, 0, 0}, {0, 1, 1}, {1, 0, 1}, {1, 1, 1}, {1, 2, 0}};

/*
 * Three steps for b and the line's beta: a symmetric system of two unknowns,
 * solved by Cramer's rule.
 */
static void
hand_steps(double *b, double *beta, double *a, double *d)
{
	*b = 0.3;
	*beta = 0.1;
	a[0] = a[1] = a[2] = 0;
	for (int step = 0; step < 3; step++)
	{
		double		bb = 1 / 4.0;
		double		bl = 0;
		double		ll = 1 / 0.09;
		double		gb = 0.3 / 4.0;
		double		gl = 0.1 / 0.09;
		double		sb[3] = {0};
		double		sl[3] = {0};
		double		y[3] = {0};
		double		determinant;

		for (int k = 0; k < lengthof(hand_cells); k++)
		{
			int			item = hand_cells[k].item;
			double		line = hand_cells[k].candidate;
			double		eta = *b + line * *beta + a[item];
			double		p = logistic(eta);
			double		w = p * (1 - p);
			double		wy = w * (eta + (hand_cells[k].score - p) / w);

			bb += w;
			bl += w * line;
			ll += w * line;
			gb += wy;
			gl += wy * line;
			sb[item] += w;
			sl[item] += w * line;
			y[item] += wy;
		}
		for (int i = 0; i < 3; i++)
		{
			d[i] = sb[i] + 1 / 4.0;
			bb -= sb[i] * sb[i] / d[i];
			bl -= sb[i] * sl[i] / d[i];
			ll -= sl[i] * sl[i] / d[i];
			gb -= sb[i] * y[i] / d[i];
			gl -= sl[i] * y[i] / d[i];
		}
		determinant = bb * ll - bl * bl;
		*b = (gb * ll - gl * bl) / determinant;
		*beta = (gl * bb - gb * bl) / determinant;
		for (int i = 0; i < 3; i++)
			a[i] = (y[i] - sb[i] * *b - sl[i] * *beta) / d[i];
	}
}

static void
test_by_hand(void)
{
	EnginePolicy policy = all_terms();
	World		world;
	double		b;
	double		beta;
	double		a[3];
	double		d[3];

	policy.candidate_sd = policy.length_sd = 0;
	world_open(&world, policy, 3);
	hand_line(&world.lines, -1);
	hand_candidate(&world.lines, 0, 0, NULL);
	hand_candidate(&world.lines, 0.5, 1, line_0);
	for (int k = 0; k < lengthof(hand_cells); k++)
		gepa_engine_model_add(&world.model, hand_cells[k].candidate, hand_cells[k].item,
							  hand_cells[k].score);
	fit(&world);
	hand_steps(&b, &beta, a, d);
	tap_is_int(world.model.dimension, 2, "two columns by hand");
	tap_is_double(theta(&world, 0), b, 1e-12, "by hand: the seed");
	tap_is_double(theta(&world, 1), b + beta, 1e-12, "by hand: the candidate with a line");
	tap_ok(beta > 0.1, "the line gained by what the items have in common");
	for (int i = 0; i < 3; i++)
	{
		tap_is_double(world.model.easiness[i], a[i], 1e-12, "by hand: easiness");
		tap_is_double(world.model.variance[i], 1 / d[i], 1e-12, "by hand: its variance");
	}
	world_close(&world);
}

/* -------- random matrices -------- */

/* Every third line is derived from the one before; candidates have some twelve. */
static void
random_lines(World *world, EngineRandom *random, int nlines, int ncandidates)
{
	int		   *effects = palloc((nlines + 1) * sizeof(int));
	bool	   *has = palloc0(nlines + 1);

	for (int i = 0; i < nlines; i++)
		hand_line(&world->lines, i % 3 == 2 ? i - 1 : -1);
	for (int c = 0; c < ncandidates; c++)
	{
		int			n = 0;

		memset(has, 0, nlines);
		for (int i = nlines - 1; c > 0 && i >= 0; i--)
		{
			has[i] = has[i] || gepa_engine_random_uniform(random) < 9.0 / (nlines + 9);
			if (has[i] && i % 3 == 2)
				has[i - 1] = true;
		}
		for (int i = 0; i < nlines; i++)
			if (has[i])
				effects[n++] = i;
		hand_candidate(&world->lines, c * 0.01, n, effects);
	}
	pfree(effects);
	pfree(has);
}

/* Of a sparse matrix, items of all kinds. */
static int
random_cells(const World *world, EngineRandom *random, double density, Cell *cells)
{
	int			n = 0;

	for (int c = 0; c < world->lines.ncandidates; c++)
	{
		for (int i = 0; i < world->model.nitems; i++)
		{
			double		p = logistic((i % 7) - 2 + 0.1 * (c % 5));

			if (gepa_engine_random_uniform(random) < density)
			{
				cells[n].candidate = c;
				cells[n].item = i;
				cells[n++].score = gepa_engine_random_uniform(random) < p;
			}
		}
	}
	return n;
}

/* Two fits; the cells before each arrive in whatever order. */
static void
test_arrival(void)
{
	Cell		cells[1000];
	int			order[1000];
	bool		same = true;
	World		first;
	World		other;
	EngineRandom random;

	gepa_engine_random_seed(&random, 7);
	for (int shuffle = 0; shuffle < 5; shuffle++)
	{
		EngineRandom shape;
		World	   *world = shuffle == 0 ? &first : &other;
		int			n;

		world_open(world, all_terms(), 40);
		gepa_engine_random_seed(&shape, 8);
		random_lines(world, &shape, 20, 12);
		n = random_cells(world, &shape, 0.5, cells);
		for (int k = 0; k < n; k++)
			order[k] = k;
		if (shuffle > 0)
		{
			gepa_engine_random_shuffle(&random, order, n / 2);
			gepa_engine_random_shuffle(&random, order + n / 2, n - n / 2);
		}
		add_cells(world, cells, order, n / 2);
		fit(world);
		add_cells(world, cells, order + n / 2, n - n / 2);
		fit(world);
		if (shuffle > 0)
		{
			same = same && same_bits(&first.model, &other.model);
			world_close(&other);
		}
	}
	tap_ok(same, "the order of arrival changes no bit");
	world_close(&first);
}

/* The derivative of the log posterior by easiness and by each column, the largest. */
static double
steepness(const World *world)
{
	const EngineModel *model = &world->model;
	const EngineLines *lines = &world->lines;
	int			first_line = 2;
	double	   *slope = palloc0(model->dimension * sizeof(double));
	double		worst = 0;

	for (int i = 0; i < model->nitems; i++)
	{
		double		item_slope = -model->easiness[i] / 4.0;

		for (int k = 0; k < model->ncells[i]; k++)
		{
			const EngineCell *cell = &model->cells[i][k];
			const EngineComposition *composition = &lines->compositions[cell->candidate];
			double		rest = cell->score -
				logistic(theta(world, cell->candidate) + model->easiness[i]);

			item_slope += rest;
			slope[0] += rest;
			slope[1] += rest * composition->length;
			for (int l = 0; l < composition->neffects; l++)
				slope[first_line + composition->effects[l]] += rest;
			slope[model->columns[cell->candidate]] += rest;
		}
		worst = Max(worst, fabs(item_slope));
	}
	slope[0] -= (model->mean[0] - 0.3) / 4.0;
	slope[1] -= (model->mean[1] + 0.4) / 0.04;
	for (int i = 2; i < model->dimension; i++)
	{
		int			line = i - first_line;

		if (line < lines->nlines)
			slope[i] -= (model->mean[i] - (lines->lines[line].ancestor < 0 ? 0.1 : 0)) / 0.09;
		else
			slope[i] -= model->mean[i] / (0.12 * 0.12);
	}
	for (int i = 0; i < model->dimension; i++)
		worst = Max(worst, fabs(slope[i]));
	pfree(slope);
	return worst;
}

/* Steps end at the top of the posterior, at any size. */
static void
test_converges(const char *what, int nlines, int ncandidates, int nitems, double density)
{
	Cell	   *cells = palloc(ncandidates * nitems * sizeof(Cell));
	EngineRandom random;
	World		world;
	int			n;

	world_open(&world, all_terms(), nitems);
	gepa_engine_random_seed(&random, nlines);
	random_lines(&world, &random, nlines, ncandidates);
	n = random_cells(&world, &random, density, cells);
	for (int k = 0; k < n; k++)
		gepa_engine_model_add(&world.model, cells[k].candidate, cells[k].item, cells[k].score);
	fit(&world);
	fit(&world);
	tap_is_int(world.model.dimension, 2 + nlines + ncandidates, what);
	tap_is_double(steepness(&world), 0, 1e-5, "... the posterior is flat there");
	tap_ok(sd(&world, ncandidates - 1, 0) > 0 && sd(&world, ncandidates - 1, 0) < 2,
		   "... a deviation of %g", sd(&world, ncandidates - 1, 0));
	world_close(&world);
	pfree(cells);
}

/* Long rewrites: the prior expects far too much, and a fit must find back. */
static void
test_many_lines(int per_candidate)
{
	EngineRandom random;
	World		world;
	int		   *effects = palloc(per_candidate * sizeof(int));

	world_open(&world, all_terms(), 40);
	gepa_engine_random_seed(&random, per_candidate);
	hand_candidate(&world.lines, 0, 0, NULL);
	for (int c = 1; c < 4; c++)
	{
		for (int i = 0; i < per_candidate; i++)
		{
			effects[i] = world.lines.nlines;
			hand_line(&world.lines, -1);
		}
		hand_candidate(&world.lines, 0.08 * per_candidate, per_candidate, effects);
	}
	for (int window = 0; window < 40; window += 8)
	{
		for (int c = 0; c < 4; c++)
			for (int i = window; i < window + 8; i++)
				gepa_engine_model_add(&world.model, c, i,
									  gepa_engine_random_uniform(&random) < 0.6);
		fit(&world);
	}
	for (int c = 0; c < 4; c++)
	{
		double		score;
		double		mean = 0;

		for (int i = 0; i < 40; i++)
			mean += gepa_engine_model_score(&world.model, c, i, &score) ? score / 40 : 0;
		tap_is_double(gepa_engine_model_accuracy(&world.model, &world.lines, c, NULL), mean, 0.1,
					  "candidates of many new lines: what they scored");
	}
	fit(&world);
	tap_is_double(steepness(&world), 0, 0.01, "... near the top of the posterior");
	world_close(&world);
	pfree(effects);
}

/* -------- scores, cells -------- */

/* Without differences of items only the sum of a candidate's scores counts. */
static void
test_continuous(void)
{
	double		found[2];

	for (int continuous = 0; continuous < 2; continuous++)
	{
		EnginePolicy policy = all_terms();
		World		world;

		policy.sample_sd = 0;
		policy.intercept_sd = 50;
		policy.candidate_sd = 0;
		world_open(&world, policy, 50);
		hand_candidate(&world.lines, 0, 0, NULL);
		for (int i = 0; i < 50; i++)
			gepa_engine_model_add(&world.model, 0, i, continuous ? 0.8 : i < 40);
		fit(&world);
		found[continuous] = theta(&world, 0);
		tap_ok(world.model.easiness[3] == 0 && world.model.variance[3] == 0,
			   "items that do not differ have no easiness");
		tap_is_double(gepa_engine_model_accuracy(&world.model, &world.lines, 0, NULL), 0.8, 1e-3,
					  "the accuracy is the mean");
		/* no rest at all, 49 degrees of freedom, 20 of the prior */
		tap_is_double(world.model.dispersion, continuous ? 20.0 / 69 : 1, 1e-4,
					  "the dispersion");
		world_close(&world);
	}
	tap_is_double(found[1], found[0], 1e-3, "scores between 0 and 1 count as as much of a 1");
}

/* A term with next to no room is at its mean, not at nothing that is a number. */
static void
test_tiny_length_sd(void)
{
	EnginePolicy policy = all_terms();
	World		world;

	policy.length_sd = 1e-200;
	world_open(&world, policy, 20);
	hand_candidate(&world.lines, 0, 0, NULL);
	hand_candidate(&world.lines, 1, 0, NULL);
	for (int i = 0; i < 20; i++)
		gepa_engine_model_add(&world.model, i % 2, i, i < 12);
	fit(&world);
	tap_is_double(world.model.mean[1], policy.length_mean, 1e-6, "a length effect that is known");
	tap_ok(isfinite(theta(&world, 1)) && isfinite(sd(&world, 1, 0)), "... leaves numbers");
	world_close(&world);
}

/* -------- dispersion -------- */

/*
 * Six candidates on all of 60 items, of which one has a line: graded scores around the
 * model's own means, with variance noise p (1 - p); 1 = coins.
 */
static void
graded_world(World *world, uint64 seed, double noise, double effect)
{
	EngineRandom random;

	world_open(world, all_terms(), 60);
	gepa_engine_random_seed(&random, seed);
	hand_line(&world->lines, -1);
	for (int c = 0; c < 6; c++)
		hand_candidate(&world->lines, 0, c == 5, line_0);
	for (int i = 0; i < 60; i++)
	{
		double		easiness = 1.2 * gepa_engine_random_normal(&random);

		for (int c = 0; c < 6; c++)
		{
			double		p = logistic(0.4 + easiness + (c == 5 ? effect : 0));
			double		score = noise < 1 ?
				p + sqrt(noise * p * (1 - p)) * gepa_engine_random_normal(&random) :
				gepa_engine_random_uniform(&random) < p;

			gepa_engine_model_add(&world->model, c, i, score);
		}
	}
}

/* What is said of the line is as far from the truth as it is said to be. */
static void
test_dispersion(double noise, double most_sd)
{
	double		squares = 0;
	double		dispersion = 0;
	double		said = 0;

	for (int seed = 1; seed <= 100; seed++)
	{
		World		world;
		double		rest;

		graded_world(&world, seed, noise, 0.25);
		fit(&world);
		fit(&world);
		rest = (theta(&world, 5) - theta(&world, 0) - 0.25) / sd(&world, 5, 0);
		squares += rest * rest / 100;
		said += sd(&world, 5, 0) / 100;
		dispersion += world.model.dispersion / 100;
		world_close(&world);
	}
	tap_ok(dispersion > 0.9 * noise && dispersion < noise + 0.1, "noise of %g: dispersion %.3f",
		   noise, dispersion);
	tap_ok(said < most_sd, "... a difference is known to %.3f", said);
	tap_ok(squares < 1.4 && squares > 0.2, "... and is off by %.2f of that", sqrt(squares));
}

/* Coins have none of their own, whatever is around them; nor has a handful of scores. */
static void
test_coins(void)
{
	World		world;
	double		coins;

	graded_world(&world, 1, 1, 0.25);
	fit(&world);
	fit(&world);
	tap_ok(world.model.dispersion == 1.0, "coins disperse as coins, to the bit");
	coins = sd(&world, 5, 0);
	hand_candidate(&world.lines, 0, 0, NULL);
	for (int i = 0; i < 60; i++)
		gepa_engine_model_add(&world.model, 6, i, i % 2 ? 0.001 : 0.999);
	fit(&world);
	tap_ok(world.model.dispersion > 0.9, "... and all but coins nearly so: %.3f",
		   world.model.dispersion);
	tap_is_double(sd(&world, 5, 0), coins, 0.02, "... which leaves the rest as it was");
	world_close(&world);
	world_open(&world, all_terms(), 60);
	hand_candidate(&world.lines, 0, 0, NULL);
	for (int i = 0; i < 3; i++)
		gepa_engine_model_add(&world.model, 0, i, 0.7);
	fit(&world);
	tap_ok(world.model.dispersion > 0.85 && world.model.dispersion < 1,
		   "three scores are no reason for certainty: %.2f", world.model.dispersion);
	world_close(&world);
}

static void
test_cells(void)
{
	World		world;
	double		score = -1;
	bool		used[4] = {false, true, false, true};
	double		expected;

	world_open(&world, all_terms(), 4);
	hand_candidate(&world.lines, 0, 0, NULL);
	hand_candidate(&world.lines, 0, 0, NULL);
	tap_ok(gepa_engine_model_add(&world.model, 1, 2, 0.25), "a rollout is added");
	tap_ok(!gepa_engine_model_add(&world.model, 1, 2, 1), "... and not a second time");
	tap_ok(!gepa_engine_model_add(&world.model, 0, 2, NAN), "one without a score is not");
	tap_is_int(gepa_engine_model_count(&world.model, 1), 1, "one rollout");
	tap_is_int(gepa_engine_model_count(&world.model, 0), 0, "none");
	tap_is_int(gepa_engine_model_count(&world.model, 9), 0, "none of an unknown candidate");
	tap_ok(gepa_engine_model_score(&world.model, 1, 2, &score) && score == 0.25, "its score");
	tap_ok(!gepa_engine_model_score(&world.model, 0, 2, &score) && score == 0.25, "no score");
	fit(&world);
	expected = (gepa_engine_model_chance(&world.model, theta(&world, 1), 1) +
				gepa_engine_model_chance(&world.model, theta(&world, 1), 3)) / 2;
	tap_is_double(gepa_engine_model_accuracy(&world.model, &world.lines, 1, used), expected,
				  1e-15, "accuracy over the items in use");
	tap_is_double(expected, logistic(theta(&world, 1) / sqrt(1 + 0.35 * 4)), 1e-15,
				  "... whose easiness is not known");
	world_close(&world);
}

/* -------- priors, terms that are off -------- */

static void
test_unknown(void)
{
	World		world;

	world_open(&world, all_terms(), 6);
	hand_line(&world.lines, -1);
	hand_candidate(&world.lines, 0, 0, NULL);
	hand_candidate(&world.lines, 0.5, 1, line_0);
	tap_is_double(theta(&world, 1), 0.3 + 0.1 - 0.4 * 0.5, 1e-15, "before a fit: the priors");
	tap_is_double(sd(&world, 1, 0), sqrt(0.09 + 0.04 * 0.25 + 2 * 0.0144), 1e-12,
				  "... and their deviations");
	for (int i = 0; i < 6; i++)
		gepa_engine_model_add(&world.model, i % 2, i, i < 4);
	fit(&world);
	/* lines and candidates that the fit did not know */
	hand_line(&world.lines, 0);
	hand_line(&world.lines, -1);
	hand_candidate(&world.lines, 0.5, 2, lines_0_1);
	hand_candidate(&world.lines, 0.5, 2, lines_0_2);
	tap_is_double(theta(&world, 3) - theta(&world, 2), 0.1, 1e-12,
				  "a derived line is expected to change nothing, another to help");
	tap_is_double(sd(&world, 3, 2), sqrt(2 * 0.09 + 2 * 0.0144), 1e-12,
				  "candidates after the fit differ by their priors");
	tap_is_double(sd(&world, 2, 2), 0, 0, "nothing differs from itself");
	{
		double		estimate = theta(&world, 2);

		fit(&world);
		tap_is_double(theta(&world, 2), estimate, 0.02, "a fit without new cells tells nothing");
		tap_is_int(world.model.dimension, 2 + 3 + 2, "no column without rollouts");
	}
	world_close(&world);
}

static void
test_off(void)
{
	static const char *const names[] = {"lines", "candidates", "length", "items", "all"};

	for (int off = 0; off < 5; off++)
	{
		EnginePolicy policy = all_terms();
		EngineRandom random;
		World		world;
		double		effects[3];
		double		length;

		if (off == 0 || off == 4)
			policy.line_sd = 0;
		if (off == 1 || off == 4)
			policy.candidate_sd = 0;
		if (off == 2 || off == 4)
			policy.length_sd = 0;
		if (off == 3 || off == 4)
			policy.sample_sd = 0;
		world_open(&world, policy, 20);
		hand_line(&world.lines, -1);
		hand_line(&world.lines, 0);
		hand_candidate(&world.lines, 0, 0, NULL);
		hand_candidate(&world.lines, 1, 2, lines_0_1);
		for (int i = 0; i < 20; i++)
			gepa_engine_model_add(&world.model, i % 2, i, i < 12);
		fit(&world);
		hand_line(&world.lines, -1);
		hand_candidate(&world.lines, 1, 1, line_2);
		gepa_engine_random_seed(&random, 1);
		gepa_engine_model_draw(&world.model, &world.lines, &random, 1, effects, &length);
		tap_is_int(world.model.dimension,
				   1 + (policy.length_sd > 0) + 2 * (policy.line_sd > 0) +
				   2 * (policy.candidate_sd > 0), names[off]);
		tap_ok(isfinite(theta(&world, 2)) && isfinite(sd(&world, 2, 0)), "... are off: numbers");
		tap_ok((length == 0) == (policy.length_sd == 0), "... the length's effect");
		for (int i = 0; i < 3; i++)
			tap_ok((effects[i] == 0) == (policy.line_sd == 0), "... line %d's effect", i);
		if (off == 4)
			tap_ok(theta(&world, 1) == theta(&world, 0) && sd(&world, 2, 0) == 0,
				   "without terms all candidates are one");
		world_close(&world);
	}
}

/* -------- the posterior -------- */

#define DRAWS 20000

/* Effects of lines have no u and no length, so candidates of them alone tell their sds. */
static void
test_draw(double scale)
{
	EnginePolicy policy = all_terms();
	EngineRandom random;
	World		world;
	double		effects[3];
	double		length;
	double		sums[3] = {0};
	double		squares[3] = {0};
	double		both = 0;

	policy.candidate_sd = policy.length_sd = 0;
	policy.line_sd = 1;
	world_open(&world, policy, 12);
	hand_line(&world.lines, -1);
	hand_line(&world.lines, -1);
	hand_candidate(&world.lines, 0, 0, NULL);
	hand_candidate(&world.lines, 0, 1, line_0);
	hand_candidate(&world.lines, 0, 1, line_1);
	hand_candidate(&world.lines, 0, 2, lines_0_1);
	for (int i = 0; i < 24; i++)
		gepa_engine_model_add(&world.model, i % 2 ? 3 : 0, i / 2, i % 3 > 0);
	fit(&world);
	hand_line(&world.lines, 1);
	gepa_engine_random_seed(&random, 42);
	for (int k = 0; k < DRAWS; k++)
	{
		gepa_engine_model_draw(&world.model, &world.lines, &random, scale, effects, &length);
		for (int i = 0; i < 3; i++)
		{
			double		rest = i < 2 ? effects[i] - (theta(&world, 1 + i) - theta(&world, 0)) :
				effects[2] - effects[1];

			sums[i] += rest;
			squares[i] += rest * rest;
		}
		both += pow(effects[0] + effects[1] - (theta(&world, 3) - theta(&world, 0)), 2);
	}
	for (int i = 0; i < 3; i++)
	{
		double		expected = i < 2 ? sd(&world, 1 + i, 0) * scale : scale;

		/* 4.5 standard errors */
		tap_is_double(sums[i] / DRAWS, 0, 4.5 * expected / sqrt(DRAWS), "mean of draws");
		tap_is_double(squares[i] / DRAWS / (expected * expected), 1, 4.5 * sqrt(2.0 / DRAWS),
					  "variance of draws");
	}
	tap_ok(sd(&world, 3, 0) < 0.95 * hypot(sd(&world, 1, 0), sd(&world, 2, 0)),
		   "two lines that were seen together only are known together");
	tap_is_double(both / DRAWS / pow(sd(&world, 3, 0) * scale, 2), 1, 4.5 * sqrt(2.0 / DRAWS),
				  "covariance of draws");
	world_close(&world);
}

static void
test_numbers(void)
{
	double		matrix[] = {1, 1, 1, 1, 1, 1};
	double		b[] = {1, 1, 1};
	EngineRandom random;
	EngineRandom other;
	double		sums[4] = {0};

	gepa_engine_cholesky(matrix, 3);
	gepa_engine_cholesky_forward(matrix, 3, b);
	gepa_engine_cholesky_backward(matrix, 3, b);
	tap_is_double(b[0] + b[1] + b[2], 1, 1e-6, "a singular matrix is solved all the same");
	gepa_engine_random_seed(&random, 5);
	for (int k = 0; k < DRAWS; k++)
	{
		double		x = gepa_engine_random_normal(&random);

		sums[0] += x;
		sums[1] += x * x;
		sums[2] += x * x * x;
		sums[3] += x * x * x * x;
	}
	/* 4.5 standard errors: variances of the powers are 1, 2, 15, 96 */
	tap_is_double(sums[0] / DRAWS, 0, 4.5 / sqrt(DRAWS), "normal deviates: mean");
	tap_is_double(sums[1] / DRAWS, 1, 4.5 * sqrt(2.0 / DRAWS), "... variance");
	tap_is_double(sums[2] / DRAWS, 0, 4.5 * sqrt(15.0 / DRAWS), "... skewness");
	tap_is_double(sums[3] / DRAWS, 3, 4.5 * sqrt(96.0 / DRAWS), "... fourth moment");
	gepa_engine_random_seed(&random, 6);
	gepa_engine_random_seed(&other, 6);
	gepa_engine_random_normal(&random);
	gepa_engine_random_uniform(&other);
	gepa_engine_random_uniform(&other);
	tap_ok(gepa_engine_random_word(&random) == gepa_engine_random_word(&other),
		   "a normal deviate takes two uniform ones");
}

/* Nothing is left in the arena but what grew. */
static void
test_memory(void)
{
	World		world;
	double	   *factor;

	world_open(&world, all_terms(), 5);
	hand_candidate(&world.lines, 0, 0, NULL);
	gepa_engine_model_add(&world.model, 0, 0, 1);
	fit(&world);
	factor = world.model.factor;
	{
		char	   *before = gepa_engine_alloc(&world.arena, 8);
		char	   *after;

		fit(&world);
		fit(&world);
		after = gepa_engine_alloc(&world.arena, 8);
		tap_ok(after == before + 8 && world.model.factor == factor, "a fit reuses what it has");
	}
	world_close(&world);
}

int
main(void)
{
	test_by_hand();
	test_arrival();
	test_converges("a small matrix", 10, 8, 60, 0.3);
	test_converges("700 columns", 618, 80, 1000, 0.04);
	test_many_lines(40);
	test_many_lines(120);
	test_continuous();
	test_dispersion(0.03, 0.13);
	test_dispersion(0.25, 0.18);
	test_dispersion(1, 0.3);
	test_coins();
	test_cells();
	test_unknown();
	test_off();
	test_tiny_length_sd();
	test_draw(1.0);
	test_draw(0.7);
	test_numbers();
	test_memory();
	return tap_done();
}
