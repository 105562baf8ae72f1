/*-------------------------------------------------------------------------
 *
 * engine_model.h
 *	  Columns and axes of the score model, between model.c and fit.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_MODEL_H
#define GEPA_ENGINE_MODEL_H

#include "engine/engine_policy.h"

/* An entry of a candidate's row that is not zero. */
typedef struct EngineEntry
{
	int			column;
	double		value;
} EngineEntry;

typedef struct EnginePrior
{
	double		mean;
	double		sd;
} EnginePrior;

extern double gepa_engine_sigmoid(double x);

/*
 * Columns beyond model->dimension are virtual: lines, then candidates that the fit did
 * not know.  All of them is how many there are with these.
 */
extern int	gepa_engine_first_line(const EngineModel *model);
extern int	gepa_engine_line_column(const EngineModel *model, int line);
extern int	gepa_engine_candidate_column(const EngineModel *model, const EngineLines *lines,
										 int candidate);
extern int	gepa_engine_all_columns(const EngineModel *model, const EngineLines *lines);
extern EnginePrior gepa_engine_column_prior(const EngineModel *model, const EngineLines *lines,
											int column);

/* A candidate's entries, columns ascending as far as the fit knows them; returns how many. */
extern int	gepa_engine_model_row(const EngineModel *model, const EngineLines *lines,
								  int candidate, EngineEntry *row);
extern Size gepa_engine_row_size(const EngineLines *lines, int candidate);	/* room for them */

/* Room for so many columns; what was in mean is lost. */
extern void gepa_engine_reserve_columns(EngineModel *model, int dimension);

/* axes.c */

/* Room for so many axes; what was in factor is lost. */
extern void gepa_engine_reserve_axes(EngineModel *model, int naxes);

/* One more, for a candidate whose columns are placed. */
extern void gepa_engine_add_axis(EngineModel *model, const EngineLines *lines, int candidate);

/*
 * What a sum of lines and u is on the axes; returns its prior variance beside them.  The
 * contrast is by column (gepa_engine_all_columns()), b0 and lambda are passed over.
 */
extern double gepa_engine_project(const EngineModel *model, const EngineLines *lines,
								  const double *contrast, double *axes);

/*
 * Move lines and u, deviations from their prior means by column, as little as it takes to
 * have the candidates at this place on the axes: from 0 to where they are expected, a
 * draw from the prior to a draw given the place.
 */
extern void gepa_engine_condition(const EngineModel *model, const EngineLines *lines,
								  const double *axes, double *deviations);

/* dispersion.c */

extern double gepa_engine_cell_score(const EngineCell *cell);	/* within 0 and 1 */
extern double gepa_engine_cell_weight(double p);	/* p (1 - p), bounded
													 * below */

/*
 * What the scores say at these estimates: thetas by place, places by candidate.  Easiness
 * was estimated with model->dispersion.  1 when all scores are 0 or 1.
 */
extern double gepa_engine_dispersion(const EngineModel *model, const int *places,
									 const double *thetas);

#endif							/* GEPA_ENGINE_MODEL_H */
