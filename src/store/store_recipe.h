/*-------------------------------------------------------------------------
 *
 * store_recipe.h
 *	  Which rows of a source are kept: a part of the door of src/store, which
 *	  includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_RECIPE_H
#define GEPA_STORE_STORE_RECIPE_H

#include "utils/tuplestore.h"

typedef enum StoreKeep
{
	STORE_KEEP_THRESHOLD,		/* scores of at least "limit" */
	STORE_KEEP_QUANTILE,		/* the best rows of each group: a share of
								 * "limit" */
	STORE_KEEP_TIERS,			/* copies by how good a row is in its group */
	STORE_KEEP_TOKENS,			/* until "limit" tokens */
	STORE_KEEP_QUOTA			/* of each group until its part of "limit"
								 * tokens */
} StoreKeep;

/* A group by name, and the part of the budget that is its. */
typedef struct StoreShare
{
	char	   *group;
	double		share;
	bool		seen;			/* recipes.c */
} StoreShare;

/*
 * Texts are SQL: the source the name of a relation or a query, the others
 * expressions over its columns.
 */
typedef struct StoreRecipe
{
	StoreKeep	keep;
	char	   *source;
	char	   *key;
	char	   *score;
	char	   *tokens;			/* NULL = not counted */
	char	   *group_by;		/* NULL = all are one group */
	double		limit;
	double		tau;			/* gepa_judge_sample_key() */
	int64		seed;
	int			ntiers;
	double	   *copies;			/* of the rows of a tier, from the best one */
	int			nshares;		/* -1 = all groups have the same */
	StoreShare *shares;			/* sorted by strcmp() */
	bool		redistribute;	/* gepa_judge_divide() */
} StoreRecipe;

/* Columns of a result: as in gepa.keep_threshold() and the others. */
enum
{
	STORE_KEPT_KEY,
	STORE_KEPT_SCORE,
	STORE_KEPT_RANK,
	STORE_KEPT_TOKENS,
	STORE_KEPT_GROUP,
	STORE_KEPT_COPIES,
	STORE_KEPT_NCOLUMNS
};

/*
 * Read the source once, with the rights, the search_path and the snapshot of the
 * caller, and put the rows that are kept into the result, group by group, best
 * first.  Rows without a score (NULL or NaN) are never kept.  Memory is bounded by
 * work_mem, and for quotas by the number of groups (some 100 bytes each).  Raises
 * 22004 for a row without key or tokens, 22023 for negative tokens, 42601 for what
 * is no expression, and whatever the source raises.
 */
extern void gepa_store_keep(StoreRecipe *recipe, Tuplestorestate *result, TupleDesc desc);

#endif							/* GEPA_STORE_STORE_RECIPE_H */
