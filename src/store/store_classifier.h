/*-------------------------------------------------------------------------
 *
 * store_classifier.h
 *	  Classifiers that ask nobody: a part of the door of src/store, which includes
 *	  it.
 *
 * A classifier is immutable: what has its number is the same for ever, or gone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_CLASSIFIER_H
#define GEPA_STORE_STORE_CLASSIFIER_H

#include "judge/judge.h"

typedef struct StoreClassifier
{
	int			classifier;
	char	   *name;
	Oid			owner;
	int			nlabels;
	char	  **labels;
} StoreClassifier;

/* What is stored of one besides its counts. */
typedef struct StoreTraining
{
	int			folds;
	int64		seed;
	JudgeMeasure accuracy;
} StoreTraining;

/* As the query sees it; raises 42704. */
extern StoreClassifier *gepa_store_get_classifier(const char *name);

/* May it give that label? */
extern bool gepa_store_gives(const StoreClassifier *classifier, const char *label);

/* What it has learned; NULL when there is none of that number any more. */
extern JudgeBayes *gepa_store_read_classifier(int classifier);

/* Raises 42710 where the name is taken; returns its number. */
extern int	gepa_store_create_classifier(const char *name, Oid owner, const JudgeBayes *bayes,
										 const StoreTraining *training);
extern void gepa_store_drop_classifier(int classifier);

/* Rows with labels, of a relation or a query; the last three are expressions. */
typedef struct StoreLabelled
{
	const char *source;
	const char *document;
	const char *label;
	const char *filter;			/* NULL = all rows */
} StoreLabelled;

/* Gets a row that has both, in a memory context that is reset after some. */
typedef void (*StoreLabelledTaker) (Datum document, bool is_jsonb, const char *label, void *arg);

/*
 * All rows, as the running query sees them, with the rights and the search_path of the
 * current user.  Raises 42601, 42P01, 42804 and what the query does.
 */
extern void gepa_store_read_labelled(const StoreLabelled *labelled, StoreLabelledTaker taker,
									 void *arg);

#endif							/* GEPA_STORE_STORE_CLASSIFIER_H */
