/*-------------------------------------------------------------------------
 *
 * api_result.h
 *	  A result of the Python package gepa, read and checked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_API_API_RESULT_H
#define GEPA_API_API_RESULT_H

#include "api/api_exchange.h"

/* Arrays have an item for each candidate; tables a row, with a cell for each key. */
typedef struct ApiResult
{
	const GepaJson *root;
	int			n;
	GepaJson   *candidates;		/* objects: texts by component */
	GepaJson   *parents;		/* arrays of earlier candidates, or nulls */
	GepaJson   *means;			/* numbers */
	GepaJson   *counts;			/* whole numbers */
	GepaJson   *subscores;		/* objects: scores by key */
	GepaJson   *fronts;			/* candidates by key */
	GepaJson   *outputs;		/* pairs by key; NULL = none */
	int			nkeys;
	char	  **keys;			/* of validation samples, sorted */
	double	   *scores;			/* table; NaN = none */
	const GepaJson **output;	/* table; NULL = none */
	double	   *best_score;		/* by key */
	int		   *nbest;			/* by key: how many reach it */
	int			best;
	int			calls;			/* 0 = not known */
	int64		seed;
} ApiResult;

/* exchange_result.c: raises 22023 for what is wrong, 0A000 for a newer schema */
extern ApiResult *gepa_api_read_result(const char *text);
extern int	gepa_api_result_key(const ApiResult *result, const char *key);	/* -1 = none */
extern const ApiFile *gepa_api_result_file(void);

#endif							/* GEPA_API_API_RESULT_H */
