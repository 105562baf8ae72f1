/*-------------------------------------------------------------------------
 *
 * store_figures.h
 *	  What stored verdicts tell before anything is asked: a part of the door of
 *	  src/store, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_FIGURES_H
#define GEPA_STORE_STORE_FIGURES_H

#include "storage/itemptr.h"

#include "judge/judge.h"
#include "store/store_verdict.h"

/* figures.c */

/* Tells the row of a judge from what it was, or will be: it changes with each. */
typedef struct StoreMark
{
	TransactionId xmin;
	ItemPointerData place;
} StoreMark;

/* Of a judge as the running query sees it; false if there is none of that name. */
extern bool gepa_store_mark_judge(const char *name, StoreMark *mark);

/*
 * Of the stored verdicts of an account.  Taken from a sample of bounded size,
 * which is one of documents by chance: of those with the lowest digests.
 */
typedef struct StoreFigures
{
	int			sampled;
	double		stored;			/* how many there are, exact below the size of
								 * the sample */
	double		positive;		/* of those sampled; so are the means */
	double		latency_ms;
	double		input_tokens;
	double		output_tokens;
	double		cost;
	double		chars_seen;
} StoreFigures;

extern void gepa_store_get_figures(const JudgeSpec *spec, const StoreAccount *account,
								   StoreFigures *figures);

/* rates.c */

/* What calls took, by stored verdicts of an account: at most this many, drawn by chance. */
#define STORE_MOST_RATES 1000

typedef struct StoreRates
{
	JudgeLine	input;			/* tokens over characters seen */
	double		output_tokens;	/* means, and their standard deviations */
	double		output_deviation;
	double		latency_ms;
	double		latency_deviation;
} StoreRates;

extern void gepa_store_get_rates(const StoreAccount *account, StoreRates *rates);

#endif							/* GEPA_STORE_STORE_FIGURES_H */
