/*-------------------------------------------------------------------------
 *
 * fit.c
 *	  Newton steps for the model of the score matrix.
 *
 * Each step solves the normal equations of the working responses, with the prior,
 * for the columns (model.c); the easiness of each item occurs in its own
 * rollouts only and is eliminated beforehand.  Scores between 0 and 1 enter the
 * same quasi-likelihood as 0 and 1 do.  All rollouts of a candidate share its row,
 * so the sums over rollouts are taken per candidate first; per item there is
 * one rank-one update over the columns present.
 *
 * Where a prior is far from what rollouts say (a candidate of 40 new lines, each
 * expected to help) whole steps overshoot, and swing forever.  So a step that
 * makes the posterior less likely is halved, and does not count as one.
 *
 * Every sum is taken in ascending order of items, candidates and columns, so
 * the bits depend on the cells alone, not on the order in which they arrived.
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

#define LEAST_WEIGHT 0.01
#define MOST_EASINESS 6.0

typedef struct EngineRow
{
	int			nentries;
	EngineEntry *entries;
} EngineRow;

/* Working storage of one fit. */
typedef struct EngineFit
{
	EngineModel *model;
	const EngineLines *lines;
	EngineEntry *entries;		/* of all rows */
	EngineRow  *rows;			/* by candidate; empty without rollouts */
	double	   *theta;			/* by candidate, before a step */
	double	   *weight;			/* by candidate, summed over items */
	double	   *response;		/* ... times the working response */
	double	   *cell_weights;	/* cells of all items, item by item */
	double	   *item_weights;	/* by item */
	double	   *item_responses;
	double	   *last_mean;		/* before a step: by column, by item */
	double	   *last_easiness;
	double	   *sums;			/* by column, all zero between items */
	int		   *present;		/* columns */
} EngineFit;

/* The estimates of the last fit in their order, and behind them the prior of all younger. */
static double *
last_estimates(const EngineModel *model, const EngineLines *lines)
{
	int			n = gepa_engine_all_columns(model, lines);
	double	   *estimates = palloc(n * sizeof(double));

	for (int i = 0; i < n; i++)
		estimates[i] = i < model->dimension ? model->mean[i] :
			gepa_engine_column_prior(model, lines, i).mean;
	return estimates;
}

/* Give the candidates with rollouts their columns; returns the dimension. */
static int
place_candidates(EngineModel *model, const EngineLines *lines)
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
	return column;
}

/* Lay the columns out anew, with the last estimates to start from. */
static void
place_columns(EngineModel *model, const EngineLines *lines)
{
	EngineModel old = *model;
	double	   *estimates = last_estimates(model, lines);
	int			first = gepa_engine_first_line(model);
	int			nlines = model->policy->line_sd > 0 ? lines->nlines : 0;

	if (old.ncandidates > 0)
	{
		old.columns = palloc(old.ncandidates * sizeof(int));
		memcpy(old.columns, model->columns, old.ncandidates * sizeof(int));
	}
	gepa_engine_reserve_columns(model, place_candidates(model, lines));
	memcpy(model->mean, estimates, first * sizeof(double));
	for (int i = 0; i < nlines; i++)
		model->mean[first + i] = estimates[gepa_engine_line_column(&old, i)];
	for (int i = 0; i < lines->ncandidates; i++)
	{
		int			column = gepa_engine_candidate_column(&old, lines, i);

		if (model->columns[i] >= 0)
			model->mean[model->columns[i]] = estimates[column];
	}
	model->nlines = lines->nlines;
	model->ncandidates = lines->ncandidates;
	pfree(estimates);
	if (old.ncandidates > 0)
		pfree(old.columns);
}

static void
begin_fit(EngineFit *fit, EngineModel *model, const EngineLines *lines)
{
	int			ncandidates = Max(lines->ncandidates, 1);
	int			nitems = Max(model->nitems, 1);
	Size		rows_size = 1;
	int			ncells = 1;
	int			used = 0;

	for (int i = 0; i < lines->ncandidates; i++)
		rows_size += gepa_engine_row_size(lines, i);
	for (int i = 0; i < model->nitems; i++)
		ncells += model->ncells[i];
	fit->model = model;
	fit->lines = lines;
	fit->entries = palloc(rows_size);
	fit->rows = palloc0(ncandidates * sizeof(EngineRow));
	fit->theta = palloc(ncandidates * sizeof(double));
	fit->weight = palloc(ncandidates * sizeof(double));
	fit->response = palloc(ncandidates * sizeof(double));
	fit->cell_weights = palloc(ncells * sizeof(double));
	fit->item_weights = palloc(nitems * sizeof(double));
	fit->item_responses = palloc(nitems * sizeof(double));
	fit->last_mean = palloc(model->dimension * sizeof(double));
	fit->last_easiness = palloc(nitems * sizeof(double));
	fit->sums = palloc0(model->dimension * sizeof(double));
	fit->present = palloc(model->dimension * sizeof(int));
	for (int i = 0; i < lines->ncandidates; i++)
	{
		if (gepa_engine_model_count(model, i) == 0)
			continue;
		fit->rows[i].entries = fit->entries + used;
		fit->rows[i].nentries = gepa_engine_model_row(model, lines, i, fit->rows[i].entries);
		used += fit->rows[i].nentries;
	}
}

static void
end_fit(EngineFit *fit)
{
	pfree(fit->entries);
	pfree(fit->rows);
	pfree(fit->theta);
	pfree(fit->weight);
	pfree(fit->response);
	pfree(fit->cell_weights);
	pfree(fit->item_weights);
	pfree(fit->item_responses);
	pfree(fit->last_mean);
	pfree(fit->last_easiness);
	pfree(fit->sums);
	pfree(fit->present);
}

static void
predict(EngineFit *fit)
{
	for (int i = 0; i < fit->lines->ncandidates; i++)
	{
		const EngineRow *row = &fit->rows[i];

		fit->theta[i] = 0.0;
		for (int k = 0; k < row->nentries; k++)
			fit->theta[i] += row->entries[k].value * fit->model->mean[row->entries[k].column];
	}
}

/* The prior's part of the normal equations: the matrix in factor, the other side in mean. */
static void
start_equations(EngineFit *fit)
{
	EngineModel *model = fit->model;

	memset(model->factor, 0, ENGINE_TRIANGLE(model->dimension) * sizeof(double));
	for (int i = 0; i < model->dimension; i++)
	{
		EnginePrior prior = gepa_engine_column_prior(model, fit->lines, i);
		double		precision = 1.0 / (prior.sd * prior.sd);

		model->factor[ENGINE_TRIANGLE(i) + i] = precision;
		model->mean[i] = precision * prior.mean;
	}
}

/* Weights and working responses of all rollouts at the estimates so far. */
static void
weigh_cells(EngineFit *fit)
{
	EngineModel *model = fit->model;
	double	   *weight = fit->cell_weights;

	memset(fit->weight, 0, fit->lines->ncandidates * sizeof(double));
	memset(fit->response, 0, fit->lines->ncandidates * sizeof(double));
	memset(fit->item_weights, 0, model->nitems * sizeof(double));
	memset(fit->item_responses, 0, model->nitems * sizeof(double));
	for (int i = 0; i < model->nitems; i++)
	{
		for (int k = 0; k < model->ncells[i]; k++, weight++)
		{
			const EngineCell *cell = &model->cells[i][k];
			double		eta = fit->theta[cell->candidate] + model->easiness[i];
			double		p = gepa_engine_sigmoid(eta);
			double		response;

			*weight = Max(p * (1.0 - p), LEAST_WEIGHT);
			response = *weight * eta + (Min(Max(cell->score, 0.0), 1.0) - p);
			fit->weight[cell->candidate] += *weight;
			fit->response[cell->candidate] += response;
			fit->item_weights[i] += *weight;
			fit->item_responses[i] += response;
		}
	}
}

/* The rollouts' part, as if the easiness of all items were known to be zero. */
static void
add_candidates(EngineFit *fit)
{
	EngineModel *model = fit->model;

	for (int c = 0; c < fit->lines->ncandidates; c++)
	{
		const EngineRow *row = &fit->rows[c];

		for (int i = 0; i < row->nentries; i++)
		{
			EngineEntry entry = row->entries[i];
			double	   *matrix_row = model->factor + ENGINE_TRIANGLE(entry.column);

			/* columns of a row ascend */
			for (int k = 0; k <= i; k++)
				matrix_row[row->entries[k].column] +=
					fit->weight[c] * entry.value * row->entries[k].value;
			model->mean[entry.column] += fit->response[c] * entry.value;
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
	int			npresent = 0;

	for (int k = 0; k < model->ncells[item]; k++)
	{
		const EngineRow *row = &fit->rows[model->cells[item][k].candidate];

		for (int i = 0; i < row->nentries; i++)
			fit->sums[row->entries[i].column] += weights[k] * row->entries[i].value;
	}
	for (int i = 0; i < model->dimension; i++)
	{
		if (fit->sums[i] != 0.0)
			fit->present[npresent++] = i;
	}
	for (int i = 0; i < npresent; i++)
	{
		int			column = fit->present[i];
		double		share = fit->sums[column] / precision;
		double	   *matrix_row = model->factor + ENGINE_TRIANGLE(column);

		for (int k = 0; k <= i; k++)
			matrix_row[fit->present[k]] -= share * fit->sums[fit->present[k]];
		model->mean[column] -= share * fit->item_responses[item];
	}
	for (int i = 0; i < npresent; i++)
		fit->sums[fit->present[i]] = 0.0;
}

static void
eliminate_items(EngineFit *fit)
{
	const double *weights = fit->cell_weights;

	for (int i = 0; i < fit->model->nitems; i++)
	{
		if (fit->model->ncells[i] > 0)
			eliminate_item(fit, i, weights);
		weights += fit->model->ncells[i];
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
			rest -= *weights++ * fit->theta[model->cells[i][k].candidate];
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
			double		eta = fit->theta[cell->candidate] + model->easiness[i];

			sum += Min(Max(cell->score, 0.0), 1.0) * eta - softplus(eta);
		}
		if (sd > 0)
			sum -= model->easiness[i] * model->easiness[i] / (2.0 * sd * sd);
	}
	for (int i = 0; i < model->dimension; i++)
	{
		EnginePrior prior = gepa_engine_column_prior(model, fit->lines, i);
		double		deviation = (model->mean[i] - prior.mean) / prior.sd;

		sum -= deviation * deviation / 2.0;
	}
	return sum;
}

static void
halve_step(EngineFit *fit)
{
	EngineModel *model = fit->model;

	for (int i = 0; i < model->dimension; i++)
		model->mean[i] = (model->mean[i] + fit->last_mean[i]) / 2.0;
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
	add_candidates(fit);
	if (items_differ)
		eliminate_items(fit);
	gepa_engine_cholesky(model->factor, model->dimension);
	gepa_engine_cholesky_forward(model->factor, model->dimension, model->mean);
	gepa_engine_cholesky_backward(model->factor, model->dimension, model->mean);
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

	memcpy(fit->last_mean, model->mean, model->dimension * sizeof(double));
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

void
gepa_engine_model_fit(EngineModel *model, const EngineLines *lines)
{
	int			steps = model->fitted ? NEXT_STEPS : FIRST_STEPS;
	int			whole = 0;
	EngineFit	fit;

	Assert(model->ncounted <= lines->ncandidates);
	place_columns(model, lines);
	begin_fit(&fit, model, lines);
	predict(&fit);
	for (int i = 0; i < MOST_STEPS && whole < steps; i++)
		whole += newton_step(&fit);
	end_fit(&fit);
	model->fitted = true;
}
