/*-------------------------------------------------------------------------
 *
 * store_exchange.h
 *	  What goes out into files and comes in from them: a part of the door of
 *	  src/store, which includes it.
 *
 * JSON texts that are handed in have been checked: nothing here judges a file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_EXCHANGE_H
#define GEPA_STORE_STORE_EXCHANGE_H

#include "judge/judge.h"

struct StoreRun;
struct StoreSample;
struct StoreDataset;

/* exchange.c: results of runs */

/* A run that was made elsewhere. */
typedef struct StoreImport
{
	const struct StoreRun *run; /* judge to budget, seed, options, rollouts,
								 * best_... */
	const char *imported;		/* JSON: what has no place in the tables */
	char	   *const *inputs;	/* names of the samples' fields */
	const struct StoreSample *samples;	/* numbered */
	int			nsamples;
	int			nkeys;			/* of validation samples of which only the
								 * keys are known */
	char	  **keys;

	/*
	 * JSON arrays of objects: {candidate, parents, component, components,
	 * score, rollouts}, {candidate, key, score, output} and {key, score,
	 * candidates}
	 */
	const char *candidates;
	const char *scores;
	const char *fronts;
} StoreImport;

/* Insert it as finished; returns its number. */
extern int	gepa_store_import_run(const StoreImport *import);

/* A run's result as jsonb, in the format of docs/exchange.md; as committed now, or here. */
extern Datum gepa_store_export_result(int run);

/* exchange_lines.c: rows */

/* Samples of a dataset, as its owner, and rollouts of a run, in order: jsonb each. */
extern Datum *gepa_store_export_labels(const struct StoreDataset *dataset, int *n);
extern Datum *gepa_store_export_rollouts(int run, int *n);

/*
 * Put rows, a JSON array of objects with the dataset's columns, into its table with the
 * rights of the current user: those whose key is there are changed, the others
 * are added.
 */
extern void gepa_store_import_labels(const struct StoreDataset *dataset, const char *rows);

/* A table of texts for a dataset, as the current user; its columns are the dataset's. */
extern void gepa_store_create_source(const struct StoreDataset *dataset);

/*
 * Rollouts of an imported run, a JSON array of objects as
 * gepa_store_export_rollouts() writes them.  Scores that came with the result
 * give way.  Returns how many.  NULL in *unknown, or the key of a sample that
 * the run does not have; then nothing is done.
 */
extern int64 gepa_store_import_rollouts(int run, const char *rows, char **unknown);

/* exchange_program.c: files that judges were made from */

/*
 * The file, and which of its predictors is which component of the judge, with the
 * names of its fields: [{predictor, component, fields}, ...] as they are asked.
 * NULL: the judge was not made from one.
 */
extern char *gepa_store_get_program(int judge, char **predictors);
extern void gepa_store_put_program(int judge, const char *program, const char *predictors);

#endif							/* GEPA_STORE_STORE_EXCHANGE_H */
