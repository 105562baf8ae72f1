/*-------------------------------------------------------------------------
 *
 * engine_model.h
 *	  The design matrix of the score model, between model.c and fit.c.
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

/* Room for so many columns; what was in mean and factor is lost. */
extern void gepa_engine_reserve_columns(EngineModel *model, int dimension);

#endif							/* GEPA_ENGINE_MODEL_H */
