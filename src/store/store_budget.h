/*-------------------------------------------------------------------------
 *
 * store_budget.h
 *	  Budgets and what was spent: a part of the door of src/store, which
 *	  includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_BUDGET_H
#define GEPA_STORE_STORE_BUDGET_H

#include "judge/judge.h"

/* budgets.c */

/*
 * A budget as gepa_lm_budget_open(), with the limits that are committed, on accounts
 * that know what was spent this day; space and role (the current one) are filled in.
 * owner is that of the judge.
 */
extern LmBudget *gepa_store_open_budget(LmCharge *charge, Oid owner);

/* What somebody sets: judge 0 = the role's; a number < 0 and a NULL text are no limit. */
typedef struct StoreBudget
{
	int			judge;
	Oid			role;
	Oid			owner;			/* who may see the account */
	int64		calls;
	int64		tokens;
	char	   *cost;			/* as numeric */
} StoreBudget;

/* It holds from this transaction's commit on. */
extern void gepa_store_set_budget(const StoreBudget *budget);

/* The accounts of this database, palloc'd. */
extern LmBudgetState *gepa_store_budget_states(int *n);

/* spend.c */

/* What a run has spent before, into its account. */
extern void gepa_store_load_run_account(int run, LmAccount *account);

/* What a run has taken so far. */
typedef struct StoreSpent
{
	double		calls;
	double		tokens;
	double		cost;
	double		seconds;		/* at work */
} StoreSpent;

/* Calls of a run that are recorded nowhere else, because they came to nothing. */
typedef struct StoreLost
{
	int			calls;			/* requests */
	int			failed;
} StoreLost;

#endif							/* GEPA_STORE_STORE_BUDGET_H */
