/*-------------------------------------------------------------------------
 *
 * store_text.h
 *	  Runs that tune other texts than a judge's, and what evaluates them: a part of the
 *	  door of src/store, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_TEXT_H
#define GEPA_STORE_STORE_TEXT_H

#include "base/status.h"
#include "store/store_function.h"

/* What a run of texts has in place of a judge. */
typedef struct StoreText
{
	StoreFunction evaluator;
	char	   *seed;			/* JSON object: component -> text, or null
								 * where the reflection LM writes it */
	int			ninputs;
	char	  **inputs;			/* fields of the samples */
	char	   *objective;		/* NULL = none, as the following */
	char	   *background;
} StoreText;

/* evaluators.c */

extern const StoreFunctionKind gepa_store_evaluator_kind;

/* What an evaluator says of a candidate on a sample. */
typedef struct StoreEvaluation
{
	GepaStatus	status;			/* ok or function_error */
	double		score;			/* finite; NaN unless ok */
	char	   *feedback;		/* NULL = none, as the following */
	char	   *objectives;		/* JSON object: name -> finite number */
	char	   *trace;			/* JSON */
	char	   *detail;			/* why not ok: SQLSTATE and message */
	double		latency_ms;
} StoreEvaluation;

/*
 * Call it, as gepa_store_call_function(); sample is NULL or JSON text, as candidate is;
 * stop as in StoreCall.  What it returns but must not is function_error, like an ERROR.
 */
extern void gepa_store_evaluate(Oid evaluator, const char *sample, const char *candidate,
								const volatile bool *stop, StoreEvaluation *evaluation);

/* The same of what it returned, without a call; result NULL = SQL NULL. */
extern void gepa_store_read_evaluation(const char *result, StoreEvaluation *evaluation);

/* texts.c */

/* The key that fences are made with. */
extern void gepa_store_fence_key(uint8 *key);

#endif							/* GEPA_STORE_STORE_TEXT_H */
