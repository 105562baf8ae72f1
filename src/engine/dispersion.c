/*-------------------------------------------------------------------------
 *
 * dispersion.c
 *	  How much scores vary around what the score model expects of them.
 *
 * A score of 0 or 1 with mean p has variance p (1 - p), whatever the model.  Graded
 * scores, such as probabilities of the right label, vary less, often by a factor of 20
 * to 100, and by how much is known from the scores alone.  So their variance is taken to be
 * phi p (1 - p), and phi is estimated by Pearson's statistic over the residual degrees of
 * freedom (quasi-likelihood: Wedderburn 1974; McCullagh and Nelder 1989, chapter 9).
 *
 * Coins cannot be told from their mean, so that phi of scores of which all are 0 or 1
 * is 1, exactly.  A few scores say little of their spread, so that some residual degrees
 * of freedom are taken to have been seen at phi = 1 (dispersion_prior); scores that the
 * model explains all but exactly must not end all doubt (least_dispersion).  More than
 * 1 would mean scores that the quasi-likelihood does not know (they are within 0 and 1).
 *
 * Known hole: what candidates and items have between them (a line that helps some items
 * only) is noise to the model, and enters phi as if it were drawn anew for each candidate.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_model.h"

#define LEAST_WEIGHT 0.01

double
gepa_engine_cell_score(const EngineCell *cell)
{
	return Min(Max(cell->score, 0.0), 1.0);
}

/* Bounded, so that one surprise cannot throw the estimates out. */
double
gepa_engine_cell_weight(double p)
{
	return Max(p * (1.0 - p), LEAST_WEIGHT);
}

bool
gepa_engine_has_graded(const EngineModel *model)
{
	for (int i = 0; i < model->nitems; i++)
		for (int k = 0; k < model->ncells[i]; k++)
			if (model->cells[i][k].score > 0.0 && model->cells[i][k].score < 1.0)
				return true;
	return false;
}

/*
 * Easiness is held by its prior, so an item takes up only that part of a degree of
 * freedom which its rollouts decide.
 */
static double
item_freedom(const EngineModel *model, double weight)
{
	double		sd = model->policy->sample_sd;

	return sd > 0 ? weight / (weight + model->dispersion / (sd * sd)) : 0.0;
}

double
gepa_engine_dispersion(const EngineModel *model, const int *places, const double *thetas)
{
	const EnginePolicy *policy = model->policy;
	double		pearson = policy->dispersion_prior;
	double		freedom = -model->naxes;

	if (!gepa_engine_has_graded(model))
		return 1.0;
	for (int i = 0; i < model->nitems; i++)
	{
		double		item_weight = 0.0;

		for (int k = 0; k < model->ncells[i]; k++)
		{
			const EngineCell *cell = &model->cells[i][k];
			double		p = gepa_engine_sigmoid(thetas[places[cell->candidate]] +
												model->easiness[i]);
			double		weight = gepa_engine_cell_weight(p);
			double		rest = gepa_engine_cell_score(cell) - p;

			pearson += rest * rest / weight;
			item_weight += weight;
		}
		freedom += model->ncells[i] - item_freedom(model, item_weight);
	}
	freedom = Max(freedom, 0.0) + policy->dispersion_prior;
	if (freedom <= 0.0)
		return 1.0;
	return Min(Max(pearson / freedom, policy->least_dispersion), 1.0);
}
