/*-------------------------------------------------------------------------
 *
 * model.c
 *	  The model of the score matrix: what the rollouts say of each candidate.
 *
 * A logistic model with normal priors (docs/engine.md); fit.c estimates it, by way
 * of what candidates have in common (axes.c).  The columns of its design matrix are, in this order,
 *
 *		b0, lambda, effects of lines, u of candidates with rollouts
 *
 * and a candidate's row has few entries: 1 for b0, for its lines with their ancestors and
 * for its u, and its length.  A term whose standard deviation is 0 is off: it has no
 * column and no effect.
 *
 * Before the first fit the model is its prior.  Lines and candidates that are
 * younger than the fit have virtual columns behind the others, at their prior.
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

/* Of a variance on the logit scale, where a sigmoid is averaged over it. */
#define LOGIT_SHRINKAGE 0.35

/* Stands for no doubt at all, of the terms whose precision is that of their prior. */
#define LEAST_SD 1e-6

#define FIRST_AXES 16

/* -------- columns -------- */

int
gepa_engine_first_line(const EngineModel *model)
{
	return model->policy->length_sd > 0 ? 2 : 1;
}

int
gepa_engine_line_column(const EngineModel *model, int line)
{
	return line < model->nlines ? gepa_engine_first_line(model) + line :
		model->dimension + line - model->nlines;
}

int
gepa_engine_candidate_column(const EngineModel *model, const EngineLines *lines, int candidate)
{
	if (candidate < model->ncandidates && model->columns[candidate] >= 0)
		return model->columns[candidate];
	return model->dimension + lines->nlines - model->nlines + candidate;
}

int
gepa_engine_all_columns(const EngineModel *model, const EngineLines *lines)
{
	return model->dimension + lines->nlines - model->nlines + lines->ncandidates;
}

static EnginePrior
line_prior(const EnginePolicy *policy, const EngineLine *line)
{
	EnginePrior prior = {line->ancestor < 0 ? policy->line_mean : 0.0, policy->line_sd};

	return prior;
}

EnginePrior
gepa_engine_column_prior(const EngineModel *model, const EngineLines *lines, int column)
{
	const EnginePolicy *policy = model->policy;
	EnginePrior intercept = {policy->intercept_mean, Max(policy->intercept_sd, LEAST_SD)};
	EnginePrior length = {policy->length_mean, Max(policy->length_sd, LEAST_SD)};
	EnginePrior candidate = {0.0, policy->candidate_sd};
	int			first = gepa_engine_first_line(model);
	int			known = policy->line_sd > 0 ? model->nlines : 0;
	int			younger = column - model->dimension;

	if (column == 0)
		return intercept;
	if (column < first)
		return length;
	if (column < first + known)
		return line_prior(policy, &lines->lines[column - first]);
	if (younger >= 0 && younger < lines->nlines - model->nlines)
		return line_prior(policy, &lines->lines[model->nlines + younger]);
	return candidate;
}

Size
gepa_engine_row_size(const EngineLines *lines, int candidate)
{
	return (lines->compositions[candidate].neffects + 3) * sizeof(EngineEntry);
}

static void
put_entry(EngineEntry *entry, int column, double value)
{
	entry->column = column;
	entry->value = value;
}

int
gepa_engine_model_row(const EngineModel *model, const EngineLines *lines, int candidate,
					  EngineEntry *row)
{
	const EnginePolicy *policy = model->policy;
	const EngineComposition *composition = &lines->compositions[candidate];
	int			n = 0;

	put_entry(&row[n++], 0, 1.0);
	if (policy->length_sd > 0)
		put_entry(&row[n++], 1, composition->length);
	for (int i = 0; policy->line_sd > 0 && i < composition->neffects; i++)
		put_entry(&row[n++], gepa_engine_line_column(model, composition->effects[i]), 1.0);
	if (policy->candidate_sd > 0)
		put_entry(&row[n++], gepa_engine_candidate_column(model, lines, candidate), 1.0);
	return n;
}

double
gepa_engine_sigmoid(double x)
{
	return 1.0 / (1.0 + exp(-x));
}

/* -------- cells -------- */

/* Where the candidate's cell is, or has to be put. */
static int
find_cell(const EngineModel *model, int candidate, int item)
{
	const EngineCell *cells = model->cells[item];
	int			low = 0;
	int			high = model->ncells[item];

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (cells[middle].candidate < candidate)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
has_cell(const EngineModel *model, int candidate, int item, int place)
{
	return place < model->ncells[item] && model->cells[item][place].candidate == candidate;
}

bool
gepa_engine_model_add(EngineModel *model, int candidate, int item, double score)
{
	int			place = find_cell(model, candidate, item);
	int			n = model->ncells[item];
	EngineCell *cells;

	Assert(item >= 0 && item < model->nitems && candidate >= 0);
	if (!isfinite(score) || has_cell(model, candidate, item, place))
		return false;
	cells = gepa_engine_grow(model->arena, model->cells[item], n,
							 &model->cells_allocated[item], sizeof(EngineCell));
	memmove(cells + place + 1, cells + place, (n - place) * sizeof(EngineCell));
	cells[place].candidate = candidate;
	cells[place].score = score;
	model->cells[item] = cells;
	model->ncells[item]++;
	while (model->ncounted <= candidate)
	{
		model->counts = gepa_engine_grow(model->arena, model->counts, model->ncounted,
										 &model->counts_allocated, sizeof(int));
		model->counts[model->ncounted++] = 0;
	}
	model->counts[candidate]++;
	return true;
}

bool
gepa_engine_model_score(const EngineModel *model, int candidate, int item, double *score)
{
	int			place = find_cell(model, candidate, item);

	if (!has_cell(model, candidate, item, place))
		return false;
	*score = model->cells[item][place].score;
	return true;
}

int
gepa_engine_model_count(const EngineModel *model, int candidate)
{
	return candidate < model->ncounted ? model->counts[candidate] : 0;
}

void
gepa_engine_reserve_columns(EngineModel *model, int dimension)
{
	if (dimension > model->dimension_allocated)
	{
		int			allocated = Max(dimension, model->dimension_allocated * 3 / 2);

		model->dimension_allocated = allocated;
		model->mean = gepa_engine_alloc(model->arena, allocated * sizeof(double));
	}
	model->dimension = dimension;
}

void
gepa_engine_model_init(EngineModel *model, EngineArena *arena, const EnginePolicy *policy,
					   int nitems)
{
	memset(model, 0, sizeof(EngineModel));
	model->arena = arena;
	model->policy = policy;
	model->nitems = nitems;
	model->dispersion = 1.0;
	model->ncells = gepa_engine_alloc(arena, nitems * sizeof(int));
	model->cells_allocated = gepa_engine_alloc(arena, nitems * sizeof(int));
	model->cells = gepa_engine_alloc(arena, nitems * sizeof(EngineCell *));
	model->easiness = gepa_engine_alloc(arena, nitems * sizeof(double));
	model->variance = gepa_engine_alloc(arena, nitems * sizeof(double));
	for (int i = 0; i < nitems; i++)
		model->variance[i] = policy->sample_sd * policy->sample_sd;

	/* no lines, no candidates */
	gepa_engine_reserve_columns(model, gepa_engine_first_line(model));
	gepa_engine_reserve_axes(model, FIRST_AXES);
	for (int i = 0; i < model->dimension; i++)
	{
		EnginePrior prior = gepa_engine_column_prior(model, NULL, i);

		model->mean[i] = model->position[i] = prior.mean;
		model->factor[ENGINE_TRIANGLE(i) + i] = 1.0 / prior.sd;
	}
}

/* -------- what follows from a fit -------- */

double
gepa_engine_model_theta(const EngineModel *model, const EngineLines *lines, int candidate)
{
	EngineEntry *row = palloc(gepa_engine_row_size(lines, candidate));
	int			n = gepa_engine_model_row(model, lines, candidate, row);
	double		theta = 0.0;

	for (int i = 0; i < n; i++)
	{
		int			column = row[i].column;
		double		estimate = column < model->dimension ? model->mean[column] :
			gepa_engine_column_prior(model, lines, column).mean;

		theta += row[i].value * estimate;
	}
	pfree(row);
	return theta;
}

double
gepa_engine_model_chance(const EngineModel *model, double theta, int item)
{
	return gepa_engine_sigmoid((theta + model->easiness[item]) /
							   sqrt(1.0 + LOGIT_SHRINKAGE * model->variance[item]));
}

double
gepa_engine_model_accuracy(const EngineModel *model, const EngineLines *lines, int candidate,
						   const bool *used)
{
	double		theta = gepa_engine_model_theta(model, lines, candidate);
	double		sum = 0.0;
	int			n = 0;

	for (int i = 0; i < model->nitems; i++)
	{
		if (used != NULL && !used[i])
			continue;
		sum += gepa_engine_model_chance(model, theta, i);
		n++;
	}
	return n > 0 ? sum / n : NAN;
}

static void
add_row(const EngineModel *model, const EngineLines *lines, int candidate, double sign,
		double *contrast)
{
	EngineEntry *row = palloc(gepa_engine_row_size(lines, candidate));
	int			n = gepa_engine_model_row(model, lines, candidate, row);

	for (int i = 0; i < n; i++)
		contrast[row[i].column] += sign * row[i].value;
	pfree(row);
}

double
gepa_engine_model_sd(const EngineModel *model, const EngineLines *lines, int candidate, int other)
{
	int			n = gepa_engine_all_columns(model, lines);
	int			first = gepa_engine_first_line(model);
	double	   *contrast = palloc0(n * sizeof(double));
	double	   *axes = palloc((first + model->naxes) * sizeof(double));
	double		variance;

	add_row(model, lines, candidate, 1.0, contrast);
	if (other >= 0)
		add_row(model, lines, other, -1.0, contrast);
	memcpy(axes, contrast, first * sizeof(double));
	variance = gepa_engine_project(model, lines, contrast, axes + first);
	gepa_engine_cholesky_forward(model->factor, first + model->naxes, axes);
	for (int i = 0; i < first + model->naxes; i++)
		variance += axes[i] * axes[i];
	pfree(contrast);
	pfree(axes);
	return sqrt(variance);
}

/*
 * Deviations of all columns, those of younger lines as well: a draw from the prior,
 * moved to where the candidates are drawn from the posterior.
 */
static double *
draw_deviations(const EngineModel *model, const EngineLines *lines, EngineRandom *random)
{
	int			first = gepa_engine_first_line(model);
	int			n = model->dimension + lines->nlines - model->nlines;
	double	   *drawn = palloc(n * sizeof(double));
	double	   *axes = palloc((first + model->naxes) * sizeof(double));

	for (int i = 0; i < first + model->naxes; i++)
		axes[i] = gepa_engine_random_normal(random);
	gepa_engine_cholesky_backward(model->factor, first + model->naxes, axes);
	memcpy(drawn, axes, first * sizeof(double));
	for (int i = first; i < n; i++)
		drawn[i] = gepa_engine_column_prior(model, lines, i).sd *
			gepa_engine_random_normal(random);
	gepa_engine_condition(model, lines, axes + first, drawn);
	pfree(axes);
	return drawn;
}

void
gepa_engine_model_draw(const EngineModel *model, const EngineLines *lines, EngineRandom *random,
					   double scale, double *effects, double *length_effect)
{
	double	   *drawn = draw_deviations(model, lines, random);

	for (int i = 0; i < model->dimension + lines->nlines - model->nlines; i++)
		drawn[i] = scale * drawn[i] + (i < model->dimension ? model->mean[i] :
									   gepa_engine_column_prior(model, lines, i).mean);
	*length_effect = model->policy->length_sd > 0 ? drawn[1] : 0.0;
	for (int i = 0; i < lines->nlines; i++)
	{
		int			ancestor = lines->lines[i].ancestor;

		Assert(ancestor < i);
		effects[i] = model->policy->line_sd > 0 ? drawn[gepa_engine_line_column(model, i)] : 0.0;
		if (ancestor >= 0)
			effects[i] += effects[ancestor];
	}
	pfree(drawn);
}
