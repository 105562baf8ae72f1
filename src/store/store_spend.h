/*-------------------------------------------------------------------------
 *
 * store_spend.h
 *	  Booking what was spent, for the files of src/store.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_SPEND_H
#define GEPA_STORE_STORE_SPEND_H

#include "store/store_internal.h"

/* What some calls have taken. */
typedef struct StoreSpend
{
	int64		calls;			/* requests */
	int64		ok;
	int64		failed;
	int64		input_tokens;
	int64		output_tokens;
	double		cost;
} StoreSpend;

/* Add what a verdict has taken; one that was not called for has taken nothing. */
extern void gepa_store_spend_add(StoreSpend *spend, const JudgeVerdict *verdict);

/* Book verdicts, of those that are not marked as booked before. */
extern void gepa_store_book_verdicts(StoreScope *scope, const StoreVerdict *verdicts,
									 const bool *fresh, int n);

/* Book what a run has spent, on its task LM or on the reflection LM. */
extern void gepa_store_book_run(StoreScope *scope, int run, LmPurpose purpose,
								const StoreSpend *spend);

/* Book what a grader's calls have taken, for a judge (0 = none). */
extern void gepa_store_book_grader(StoreScope *scope, int judge, const char *lm, Oid role,
								   const StoreSpend *spend);

/*
 * What an account has spent this day: what is in the table, and what is on its way
 * there.  Waits for a writer that is between the two.
 */
extern LmAmounts gepa_store_spent(const LmBudgetKey *key);

#endif							/* GEPA_STORE_STORE_SPEND_H */
