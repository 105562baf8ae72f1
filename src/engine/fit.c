/*-------------------------------------------------------------------------
 *
 * fit.c
 *	  Newton steps for the model of the score matrix.
 *
 * Each step solves the normal equations of the working responses, with the prior,
 * for b0, lambda and the axes of candidates (axes.c); the easiness of each item
 * occurs in its own rollouts only and is eliminated beforehand.  Scores between 0 and 1
 * enter the same quasi-likelihood as 0 and 1 do, with a dispersion (dispersion.c): a fit takes
 * its steps with that of the fit before, estimates it, and takes more with the new one, so
 * that what is said to be certain goes by all that was seen.  Rollouts tell of thetas only, so the
 * equations are set up for thetas, a rank-one update per item over the candidates that
 * have rollouts there, and then taken to the axes.  What follows for the lines is worked
 * out once, at the end.
 *
 * Where a prior is far from what rollouts say (a candidate of 40 new lines, each
 * expected to help) whole steps overshoot, and swing forever.  So a step that
 * makes the posterior less likely is halved, and does not count as one.
 *
 * Every sum is taken in a fixed order of items, candidates and axes, so the bits
 * depend on the cells that each fit found, not on the order in which they arrived.
 * (On another machine, or with another libm, the last bits may differ.)
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_model.h"

/* Newton steps: from the prior, and from the estimates of the fit before. */
#define FIRST_STEPS 3
#define NEXT_STEPS 2

/* With those that were halved; halvings of one. */
#define MOST_STEPS 20
#define MOST_HALVINGS 8

/* What rounding may take off the posterior at its top. */
#define ROUNDING 1e-9

#define MOST_EASINESS 6.0

/* Working storage of one fit; k counts axes, so candidates. */
typedef struct EngineFit
{
	EngineModel *model;
	const EngineLines *lines;
	int			dimension;		/* b0, lambda, axes */
	double	   *design;			/* rows of so many: theta by b0, lambda, axes */
	double	   *offset;			/* by k: theta where all of these are 0 */
	double	   *theta;			/* by k */
	int		   *places;			/* k by candidate */
	double	   *information;	/* of thetas: a triangle, and the other side */
	double	   *response;
	double	   *moved;			/* a row of information on the axes */
	double	   *cell_weights;	/* cells of all items, item by item */
	double	   *item_weights;	/* by item */
	double	   *item_responses;
	double	   *last_position;	/* before a step */
	double	   *last_easiness;
} EngineFit;

/* Lay the columns out anew; their estimates follow from the fit. */
static void
place_columns(EngineModel *model, const EngineLines *lines)
{
	int			column = gepa_engine_first_line(model) +
		(model->policy->line_sd > 0 ? lines->nlines : 0);

	for (int i = 0; i < lines->ncandidates; i++)
	{
		model->columns = gepa_engine_grow(model->arena, model->columns, i,
										  &model->columns_allocated, sizeof(int));
		model->columns[i] = -1;
		if (model->policy->candidate_sd > 0 && gepa_engine_model_count(model, i) > 0)
			model->columns[i] = column++;
	}
	gepa_engine_reserve_columns(model, column);
	model->nlines = lines->nlines;
	model->ncandidates = lines->ncandidates;
}

/* An axis for each candidate that has its first rollouts, in ascending order. */
static void
place_axes(EngineModel *model, const EngineLines *lines)
{
	bool	   *placed = palloc0(Max(lines->ncandidates, 1) * sizeof(bool));

	for (int k = 0; k < model->naxes; k++)
		placed[model->axes[k]] = true;
	for (int i = 0; i < lines->ncandidates; i++)
		if (!placed[i] && gepa_engine_model_count(model, i) > 0)
			gepa_engine_add_axis(model, lines, i);
	pfree(placed);
}

static void
fill_design(EngineFit *fit)
{
	const EngineModel *model = fit->model;
	int			first = gepa_engine_first_line(model);

	for (int k = 0; k < model->naxes; k++)
	{
		int			candidate = model->axes[k];
		const EngineComposition *composition = &fit->lines->compositions[candidate];
		double	   *row = fit->design + (Size) k * fit->dimension;

		fit->places[candidate] = k;
		row[0] = 1.0;
		if (first > 1)
			row[1] = composition->length;
		memcpy(row + first, model->basis + ENGINE_TRIANGLE(k), (k + 1) * sizeof(double));
		fit->offset[k] = 0.0;
		for (int i = 0; model->policy->line_sd > 0 && i < composition->neffects; i++)
			fit->offset[k] += gepa_engine_column_prior(model, fit->lines,
													   first + composition->effects[i]).mean;
	}
}

static void
begin_fit(EngineFit *fit, EngineModel *model, const EngineLines *lines)
{
	int			naxes = Max(model->naxes, 1);
	int			nitems = Max(model->nitems, 1);
	int			ncells = 1;

	for (int i = 0; i < model->nitems; i++)
		ncells += model->ncells[i];
	fit->model = model;
	fit->lines = lines;
	fit->dimension = gepa_engine_first_line(model) + model->naxes;
	fit->design = palloc0((Size) naxes * fit->dimension * sizeof(double));
	fit->offset = palloc(naxes * sizeof(double));
	fit->theta = palloc(naxes * sizeof(double));
	fit->places = palloc(Max(lines->ncandidates, 1) * sizeof(int));
	fit->information = palloc(ENGINE_TRIANGLE(naxes) * sizeof(double));
	fit->response = palloc(naxes * sizeof(double));
	fit->moved = palloc(fit->dimension * sizeof(double));
	fit->cell_weights = palloc(ncells * sizeof(double));
	fit->item_weights = palloc(nitems * sizeof(double));
	fit->item_responses = palloc(nitems * sizeof(double));
	fit->last_position = palloc(fit->dimension * sizeof(double));
	fit->last_easiness = palloc(nitems * sizeof(double));
	fill_design(fit);
}

static void
end_fit(EngineFit *fit)
{
	pfree(fit->design);
	pfree(fit->offset);
	pfree(fit->theta);
	pfree(fit->places);
	pfree(fit->information);
	pfree(fit->response);
	pfree(fit->moved);
	pfree(fit->cell_weights);
	pfree(fit->item_weights);
	pfree(fit->item_responses);
	pfree(fit->last_position);
	pfree(fit->last_easiness);
}

/* Entries of a row of the design that may not be zero. */
static int
row_length(const EngineFit *fit, int k)
{
	return fit->dimension - fit->model->naxes + k + 1;
}

static void
predict(EngineFit *fit)
{
	for (int k = 0; k < fit->model->naxes; k++)
	{
		const double *row = fit->design + (Size) k * fit->dimension;

		fit->theta[k] = fit->offset[k];
		for (int i = 0; i < row_length(fit, k); i++)
			fit->theta[k] += row[i] * fit->model->position[i];
	}
}

static double
theta_of(const EngineFit *fit, const EngineCell *cell)
{
	return fit->theta[fit->places[cell->candidate]];
}

/* On the axes the prior is standard normal. */
static EnginePrior
prior_of(const EngineFit *fit, int i)
{
	EnginePrior standard = {0.0, 1.0};

	return i < fit->dimension - fit->model->naxes ?
		gepa_engine_column_prior(fit->model, fit->lines, i) : standard;
}

/* The prior's part of the normal equations: the matrix in factor, the other side in position. */
static void
start_equations(EngineFit *fit)
{
	EngineModel *model = fit->model;

	memset(model->factor, 0, ENGINE_TRIANGLE(fit->dimension) * sizeof(double));
	for (int i = 0; i < fit->dimension; i++)
	{
		EnginePrior prior = prior_of(fit, i);
		double		precision = 1.0 / (prior.sd * prior.sd);

		model->factor[ENGINE_TRIANGLE(i) + i] = precision;
		model->position[i] = precision * prior.mean;
	}
}

/*
 * Weights and working responses of all rollouts at the estimates so far; what they say
 * of thetas if the easiness of all items were known to be zero.
 */
static void
weigh_cells(EngineFit *fit)
{
	EngineModel *model = fit->model;
	double	   *weight = fit->cell_weights;

	memset(fit->information, 0, ENGINE_TRIANGLE(model->naxes) * sizeof(double));
	memset(fit->response, 0, model->naxes * sizeof(double));
	memset(fit->item_weights, 0, model->nitems * sizeof(double));
	memset(fit->item_responses, 0, model->nitems * sizeof(double));
	for (int i = 0; i < model->nitems; i++)
	{
		for (int c = 0; c < model->ncells[i]; c++, weight++)
		{
			const EngineCell *cell = &model->cells[i][c];
			int			k = fit->places[cell->candidate];
			double		eta = fit->theta[k] + model->easiness[i];
			double		p = gepa_engine_sigmoid(eta);
			double		response;

			*weight = gepa_engine_cell_weight(p) / model->dispersion;
			response = *weight * eta +
				(gepa_engine_cell_score(cell) - p) / model->dispersion;
			fit->information[ENGINE_TRIANGLE(k) + k] += *weight;
			fit->response[k] += response;
			fit->item_weights[i] += *weight;
			fit->item_responses[i] += response;
		}
	}
}

/* What an item's easiness may explain says nothing of the candidates. */
static void
eliminate_item(EngineFit *fit, int item, const double *weights)
{
	EngineModel *model = fit->model;
	double		sd = model->policy->sample_sd;
	double		precision = fit->item_weights[item] + 1.0 / (sd * sd);

	for (int c = 0; c < model->ncells[item]; c++)
	{
		int			k = fit->places[model->cells[item][c].candidate];
		double		share = weights[c] / precision;

		fit->response[k] -= share * fit->item_responses[item];
		for (int d = 0; d <= c; d++)
		{
			int			other = fit->places[model->cells[item][d].candidate];

			fit->information[ENGINE_TRIANGLE(Max(k, other)) + Min(k, other)] -=
				share * weights[d];
		}
	}
}

static void
eliminate_items(EngineFit *fit)
{
	const double *weights = fit->cell_weights;

	for (int i = 0; i < fit->model->nitems; i++)
	{
		eliminate_item(fit, i, weights);
		weights += fit->model->ncells[i];
	}
}

/* One row of what is known of thetas, on the axes. */
static void
add_information(EngineFit *fit, int k)
{
	EngineModel *model = fit->model;
	int			n = row_length(fit, k);
	const double *row = fit->design + (Size) k * fit->dimension;
	double		response = fit->response[k];

	memset(fit->moved, 0, n * sizeof(double));
	for (int j = 0; j < model->naxes; j++)
	{
		const double *other = fit->design + (Size) j * fit->dimension;
		double		x = fit->information[ENGINE_TRIANGLE(Max(j, k)) + Min(j, k)];

		/* few candidates have items in common */
		if (x == 0.0)
			continue;
		for (int i = 0; i < Min(n, row_length(fit, j)); i++)
			fit->moved[i] += x * other[i];
		response -= x * fit->offset[j];
	}
	for (int i = 0; i < n; i++)
	{
		double	   *matrix_row = model->factor + ENGINE_TRIANGLE(i);

		for (int j = 0; j <= i; j++)
			matrix_row[j] += row[i] * fit->moved[j];
		model->position[i] += row[i] * response;
	}
}

/* Easiness given the new estimates; its variance is that given all the rest. */
static void
estimate_easiness(EngineFit *fit)
{
	EngineModel *model = fit->model;
	double		sd = model->policy->sample_sd;
	const double *weights = fit->cell_weights;

	for (int i = 0; i < model->nitems; i++)
	{
		double		precision = fit->item_weights[i] + 1.0 / (sd * sd);
		double		rest = fit->item_responses[i];

		if (model->ncells[i] == 0)
			continue;
		for (int k = 0; k < model->ncells[i]; k++)
			rest -= *weights++ * theta_of(fit, &model->cells[i][k]);
		model->easiness[i] = Min(Max(rest / precision, -MOST_EASINESS), MOST_EASINESS);
		model->variance[i] = 1.0 / precision;
	}
}

/* log(1 + exp(x)) */
static double
softplus(double x)
{
	return Max(x, 0.0) + log1p(exp(-fabs(x)));
}

/* Of the estimates and easiness, but for a constant. */
static double
log_posterior(const EngineFit *fit)
{
	const EngineModel *model = fit->model;
	double		sd = model->policy->sample_sd;
	double		sum = 0.0;

	for (int i = 0; i < model->nitems; i++)
	{
		for (int k = 0; k < model->ncells[i]; k++)
		{
			const EngineCell *cell = &model->cells[i][k];
			double		eta = theta_of(fit, cell) + model->easiness[i];

			sum += (gepa_engine_cell_score(cell) * eta - softplus(eta)) / model->dispersion;
		}
		if (sd > 0)
			sum -= model->easiness[i] * model->easiness[i] / (2.0 * sd * sd);
	}
	for (int i = 0; i < fit->dimension; i++)
	{
		EnginePrior prior = prior_of(fit, i);
		double		deviation = (model->position[i] - prior.mean) / prior.sd;

		sum -= deviation * deviation / 2.0;
	}
	return sum;
}

static void
halve_step(EngineFit *fit)
{
	EngineModel *model = fit->model;

	for (int i = 0; i < fit->dimension; i++)
		model->position[i] = (model->position[i] + fit->last_position[i]) / 2.0;
	for (int i = 0; i < model->nitems; i++)
		model->easiness[i] = (model->easiness[i] + fit->last_easiness[i]) / 2.0;
	predict(fit);
}

/* One step from the estimates that theta belongs to, all the way. */
static void
solve_equations(EngineFit *fit)
{
	EngineModel *model = fit->model;
	bool		items_differ = model->policy->sample_sd > 0;

	start_equations(fit);
	weigh_cells(fit);
	if (items_differ)
		eliminate_items(fit);
	for (int k = 0; k < model->naxes; k++)
		add_information(fit, k);
	gepa_engine_cholesky(model->factor, fit->dimension);
	gepa_engine_cholesky_forward(model->factor, fit->dimension, model->position);
	gepa_engine_cholesky_backward(model->factor, fit->dimension, model->position);
	predict(fit);
	if (items_differ)
		estimate_easiness(fit);
}

/* Returns whether the step could be taken whole. */
static bool
newton_step(EngineFit *fit)
{
	EngineModel *model = fit->model;
	double		height = log_posterior(fit);
	int			halvings = 0;

	memcpy(fit->last_position, model->position, fit->dimension * sizeof(double));
	memcpy(fit->last_easiness, model->easiness, model->nitems * sizeof(double));
	solve_equations(fit);
	while (halvings < MOST_HALVINGS &&
		   log_posterior(fit) < height - ROUNDING * (1.0 + fabs(height)))
	{
		halve_step(fit);
		halvings++;
	}
	return halvings == 0;
}

static void
take_steps(EngineFit *fit, int steps)
{
	int			whole = 0;

	for (int i = 0; i < MOST_STEPS && whole < steps; i++)
		whole += newton_step(fit);
}

/* Columns by what the candidates were found to be. */
static void
estimate_columns(EngineModel *model, const EngineLines *lines)
{
	int			first = gepa_engine_first_line(model);

	memset(model->mean, 0, model->dimension * sizeof(double));
	gepa_engine_condition(model, lines, model->position + first, model->mean);
	memcpy(model->mean, model->position, first * sizeof(double));
	for (int i = first; i < model->dimension; i++)
		model->mean[i] += gepa_engine_column_prior(model, lines, i).mean;
}

void
gepa_engine_model_fit(EngineModel *model, const EngineLines *lines)
{
	double		dispersion;
	EngineFit	fit;

	Assert(model->ncounted <= lines->ncandidates);
	place_columns(model, lines);
	place_axes(model, lines);
	begin_fit(&fit, model, lines);
	predict(&fit);
	take_steps(&fit, model->fitted ? NEXT_STEPS : FIRST_STEPS);
	dispersion = gepa_engine_dispersion(model, fit.places, fit.theta);
	if (dispersion != model->dispersion)
	{
		model->dispersion = dispersion;
		take_steps(&fit, NEXT_STEPS);
	}
	end_fit(&fit);
	estimate_columns(model, lines);
	model->fitted = true;
}
