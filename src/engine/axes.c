/*-------------------------------------------------------------------------
 *
 * axes.c
 *	  What the fit of the score model solves for in place of lines.
 *
 * Reflection models rewrite whole prompts: a run has up to thousands of lines, but few
 * candidates, and rollouts tell of lines only what they tell of candidates.  Let f be
 * what the lines and u of each candidate with rollouts add to its prior mean; their
 * prior covariance is
 *
 *		K = sd_line^2 (lines that two have in common) + sd_u^2 (on the diagonal)
 *
 * With the basis K = L L', f = L x, and x has a standard normal prior: an axis for
 * each candidate, in the order in which fits first saw rollouts of them.  So what
 * is there stays when candidates are added, and estimates start from where they were: a new
 * axis is 0 where its candidate is expected by those before it.  A candidate that is
 * certain to equal a sum of those (the same lines, and u is off) has pivot 0: its
 * axis is of no use, but harmless.
 *
 * Nothing is lost.  The deviation of a line from its prior mean, given f, is
 * sd_line^2 times the sum of K^-1 f over the candidates that have it, and a rest that is
 * orthogonal to f in the prior, of which rollouts tell nothing.
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

/* Share of a candidate's variance that is rounding. */
#define LEAST_SHARE 1e-12

void
gepa_engine_reserve_axes(EngineModel *model, int naxes)
{
	int			first = gepa_engine_first_line(model);
	int			allocated = Max(naxes, model->axes_allocated * 3 / 2);
	EngineModel old = *model;

	if (naxes <= model->axes_allocated)
		return;
	model->axes_allocated = allocated;
	model->axes = gepa_engine_alloc(model->arena, allocated * sizeof(int));
	model->basis = gepa_engine_alloc(model->arena, ENGINE_TRIANGLE(allocated) * sizeof(double));
	model->position = gepa_engine_alloc(model->arena, (first + allocated) * sizeof(double));
	model->factor = gepa_engine_alloc(model->arena,
									  ENGINE_TRIANGLE(first + allocated) * sizeof(double));
	if (old.axes_allocated == 0)
		return;
	memcpy(model->axes, old.axes, old.naxes * sizeof(int));
	memcpy(model->basis, old.basis, ENGINE_TRIANGLE(old.naxes) * sizeof(double));
	memcpy(model->position, old.position, (first + old.naxes) * sizeof(double));
}

/* By axis, the sum of the values that the candidate has. */
static void
gather(const EngineModel *model, const EngineLines *lines, const double *values,
	   double *sums)
{
	int			first = gepa_engine_first_line(model);

	for (int k = 0; k < model->naxes; k++)
	{
		EngineEntry *row = palloc(gepa_engine_row_size(lines, model->axes[k]));
		int			n = gepa_engine_model_row(model, lines, model->axes[k], row);

		sums[k] = 0.0;
		for (int i = first; i < n; i++)
			sums[k] += values[row[i].column];
		pfree(row);
	}
}

/* Onto each value that a candidate has its share, by axis, times the prior variance. */
static void
spread(const EngineModel *model, const EngineLines *lines, const double *shares, double *values)
{
	int			first = gepa_engine_first_line(model);

	for (int k = 0; k < model->naxes; k++)
	{
		EngineEntry *row = palloc(gepa_engine_row_size(lines, model->axes[k]));
		int			n = gepa_engine_model_row(model, lines, model->axes[k], row);

		for (int i = first; i < n; i++)
		{
			double		sd = gepa_engine_column_prior(model, lines, row[i].column).sd;

			values[row[i].column] += sd * sd * shares[k];
		}
		pfree(row);
	}
}

void
gepa_engine_condition(const EngineModel *model, const EngineLines *lines, const double *axes,
					  double *deviations)
{
	double	   *shares = palloc(Max(model->naxes, 1) * sizeof(double));

	gather(model, lines, deviations, shares);
	gepa_engine_cholesky_forward(model->basis, model->naxes, shares);
	for (int i = 0; i < model->naxes; i++)
		shares[i] = axes[i] - shares[i];
	gepa_engine_cholesky_backward(model->basis, model->naxes, shares);
	spread(model, lines, shares, deviations);
	pfree(shares);
}

double
gepa_engine_project(const EngineModel *model, const EngineLines *lines, const double *contrast,
					double *axes)
{
	int			n = gepa_engine_all_columns(model, lines);
	double	   *covariances = palloc(n * sizeof(double));
	double		variance = 0.0;
	double		rest;

	for (int i = gepa_engine_first_line(model); i < n; i++)
	{
		double		sd = gepa_engine_column_prior(model, lines, i).sd;

		covariances[i] = contrast[i] * sd * sd;
		variance += contrast[i] * covariances[i];
	}
	gather(model, lines, covariances, axes);
	gepa_engine_cholesky_forward(model->basis, model->naxes, axes);
	rest = variance;
	for (int i = 0; i < model->naxes; i++)
		rest -= axes[i] * axes[i];
	pfree(covariances);
	return rest > LEAST_SHARE * variance ? rest : 0.0;
}

void
gepa_engine_add_axis(EngineModel *model, const EngineLines *lines, int candidate)
{
	int			first = gepa_engine_first_line(model);
	int			n = model->naxes;
	double	   *contrast = palloc0(gepa_engine_all_columns(model, lines) * sizeof(double));
	EngineEntry *row = palloc(gepa_engine_row_size(lines, candidate));
	int			nentries = gepa_engine_model_row(model, lines, candidate, row);
	double	   *basis;

	for (int i = first; i < nentries; i++)
		contrast[row[i].column] = row[i].value;
	gepa_engine_reserve_axes(model, n + 1);
	basis = model->basis + ENGINE_TRIANGLE(n);
	basis[n] = sqrt(gepa_engine_project(model, lines, contrast, basis));
	model->axes[n] = candidate;
	model->position[first + n] = 0.0;
	model->naxes++;
	pfree(contrast);
	pfree(row);
}
