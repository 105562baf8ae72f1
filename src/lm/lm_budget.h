/*-------------------------------------------------------------------------
 *
 * lm_budget.h
 *	  What calls may cost: a part of the door of src/lm, which includes it.
 *
 * An account has limits on calls, tokens and money.  What a call may take is
 * reserved before it is sent, and settled when it has ended, so that callers
 * side by side never spend together what each of them was allowed alone:
 *
 *			   reserve				   settle
 *	 (nothing) --------> RESERVED -------------------> SPENT
 *		  |				   |
 *		  |				   +-- release (it was not sent): nothing
 *		  +-- not now (others' reservations are in the way): asked again later
 *		  +-- denied (what is spent leaves too little): never sent
 *
 * Calls are exact: an attempt takes one, and whatever sends it again asks anew.
 * Of tokens a reservation is the most that a call can take, as expect.c says it,
 * and where that does not fit any more, but what such calls take does, one call
 * at a time has all that is left.  So an account is overspent by no more than
 * one call, and by that only if it takes more than expected.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_BUDGET_H
#define GEPA_LM_LM_BUDGET_H

#include "datatype/timestamp.h"

/* account.c: what is measured, and one account.  No locks, no clock; frontend safe. */

typedef enum LmMeasure
{
	LM_CALLS,					/* requests that were sent */
	LM_TOKENS,					/* input and output together */
	LM_COST						/* by the LM's prices, in billionths */
} LmMeasure;

#define LM_NMEASURES 3
#define LM_COST_UNITS 1e9
#define LM_NO_LIMIT (-1)

typedef struct LmAmounts
{
	int64		of[LM_NMEASURES];
} LmAmounts;

typedef struct LmAccount
{
	LmAmounts	limit;			/* LM_NO_LIMIT each */
	LmAmounts	spent;
	LmAmounts	reserved;
	int			day;			/* what is spent was on that day; 0 = ever */
} LmAccount;

typedef enum LmGrant
{
	LM_GRANTED,
	LM_NOT_NOW,
	LM_DENIED
} LmGrant;

/* Money as it is counted here; absurd sums are cut. */
extern int64 gepa_lm_cost_units(double cost);

/* Without any limit, and nothing spent. */
extern void gepa_lm_account_clear(LmAccount *account);
extern bool gepa_lm_account_is_limited(const LmAccount *account);

/* A new day begins with nothing spent; a day that has passed does not come back. */
extern void gepa_lm_account_renew(LmAccount *account, int day);

/*
 * May a call be sent that takes so much at most, and so much likely?  take is what
 * to reserve for it.  If not, of is what there is too little of.
 */
extern LmGrant gepa_lm_account_ask(const LmAccount *account, const LmAmounts *most,
								   const LmAmounts *likely, LmAmounts *take, LmMeasure *of);
extern void gepa_lm_account_reserve(LmAccount *account, const LmAmounts *take);
extern void gepa_lm_account_settle(LmAccount *account, const LmAmounts *reserved,
								   const LmAmounts *spent);

/* expect.c: what a call will take.  As account.c. */

/* What calls on an LM have shown so far; all zero = nothing. */
typedef struct LmShown
{
	double		ratio;			/* most input tokens per byte of a request */
	int			output;			/* most output tokens */
} LmShown;

typedef struct LmExpected
{
	LmAmounts	most;
	LmAmounts	likely;
} LmExpected;

/* Of a request of so many bytes; max_tokens <= 0 = not set; prices per million. */
extern void gepa_lm_expect(const LmShown *shown, size_t bytes, int max_tokens,
						   double input_price, double output_price, LmExpected *expected);
extern void gepa_lm_show(LmShown *shown, size_t bytes, int input_tokens, int output_tokens);

/* budget.c: what the calls of a batch are charged to */

typedef enum LmBudgetKind
{
	LM_BUDGET_QUERY,			/* gepa.max_query_calls and the like */
	LM_BUDGET_RUN,
	LM_BUDGET_JUDGE,			/* a day */
	LM_BUDGET_ROLE				/* a day */
} LmBudgetKind;

#define LM_NBUDGETS 4

typedef struct LmBudget LmBudget;

/* Names an account of a day; it belongs to the database that one is connected to. */
typedef struct LmBudgetKey
{
	Oid			space;			/* OID of the extension: one that is made anew
								 * has other judges */
	LmBudgetKind kind;			/* JUDGE or ROLE */
	uint32		id;				/* of the judge, or the role's OID */
} LmBudgetKey;

/* Limits as their row has them. */
typedef struct LmBudgetLimits
{
	LmAmounts	limit;
	int64		stamp;			/* the later of two has the higher one */
} LmBudgetLimits;

extern void gepa_lm_budget_init(void);	/* at load, if preloaded */

/* The day it is now, as accounts count them, and when the next one begins. */
extern int	gepa_lm_budget_day(void);
extern TimestampTz gepa_lm_budget_renewal(void);

/*
 * Is there such an account?  Make one, with what was spent this day before and no
 * limits, unless somebody just did.  owner is the role whose account it is, for
 * who may see it.  Raises 53400 when there are too many.
 */
extern bool gepa_lm_budget_is_known(const LmBudgetKey *key);
extern void gepa_lm_budget_make(const LmBudgetKey *key, Oid owner, const LmAmounts *spent);

/* Set its limits, unless it has later ones.  Never raises. */
extern void gepa_lm_budget_limit(const LmBudgetKey *key, const LmBudgetLimits *limits);

/*
 * A budget charges to the accounts of a judge and a role, as far as there are such
 * (limits that are set later hold at once), to that of a run (NULL = none; the
 * caller's, who alone touches it), and where statement is set to that of the
 * statement at work.  Lives in a new child of the current context, which must not
 * go before the batches that are charged to it.  names are for messages.
 */
typedef struct LmCharge
{
	Oid			space;			/* of the keys */
	uint32		judge;
	const char *judge_name;
	Oid			role;
	int			run;
	LmAccount  *run_account;
	bool		statement;
} LmCharge;

extern LmBudget *gepa_lm_budget_open(const LmCharge *charge);

/*
 * Calls that belong together: with the first all of them are reserved, or it is not
 * sent, so that no budget ends them in the middle for want of calls.  Each attempt
 * takes one; attempts beyond are reserved as others are.  All zero but wanted to begin
 * with; the owner releases what is left, after the last call has ended.
 */
typedef struct LmHold
{
	int			wanted;			/* this call, and those that follow */
	bool		held;
	int64		left[LM_NBUDGETS];	/* calls, by account */
} LmHold;

extern void gepa_lm_budget_release_hold(LmBudget *budget, LmHold *hold);

/* Which account has denied a call last, and for want of what; false if none did. */
extern bool gepa_lm_budget_denied(const LmBudget *budget, LmBudgetKind *kind,
								  LmMeasure *measure);

/* An account of this database, for views. */
typedef struct LmBudgetState
{
	LmBudgetKey key;
	Oid			owner;
	LmAccount	account;
} LmBudgetState;

/* All of them, palloc'd. */
extern LmBudgetState *gepa_lm_budget_states(Oid space, int *n);

#endif							/* GEPA_LM_LM_BUDGET_H */
