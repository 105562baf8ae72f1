/*-------------------------------------------------------------------------
 *
 * account.c
 *	  What one account allows: the arithmetic of budgets.  Frontend safe.
 *
 * Amounts are whole numbers, money in billionths, so that what was reserved and
 * given back leaves nothing behind.
 *
 * Near its limit an account serves one call at a time.  The most that a call can
 * take is several times what it does take, and a budget whose last part cannot
 * be used is a nuisance, in a small one the most of it.  One that is alone may
 * exceed the limit by what it takes beyond what was likely; side by side many
 * would.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "lm/lm_budget.h"

/* Far below what overflows, when some are added. */
#define MOST_UNITS (PG_INT64_MAX / 16)

int64
gepa_lm_cost_units(double cost)
{
	double		units = rint(cost * LM_COST_UNITS);

	if (!(units > 0))
		return 0;
	return units < (double) MOST_UNITS ? (int64) units : MOST_UNITS;
}

void
gepa_lm_account_clear(LmAccount *account)
{
	memset(account, 0, sizeof(*account));
	for (int m = 0; m < LM_NMEASURES; m++)
		account->limit.of[m] = LM_NO_LIMIT;
}

bool
gepa_lm_account_is_limited(const LmAccount *account)
{
	for (int m = 0; m < LM_NMEASURES; m++)
		if (account->limit.of[m] != LM_NO_LIMIT)
			return true;
	return false;
}

/* A date that is put back must not give the day's budget once more. */
void
gepa_lm_account_renew(LmAccount *account, int day)
{
	if (account->day == 0 || day <= account->day)
		return;
	account->day = day;
	memset(&account->spent, 0, sizeof(account->spent));
}

/* The same of one measure. */
static LmGrant
ask_of(int64 limit, int64 spent, int64 reserved, int64 most, int64 likely, int64 *take)
{
	*take = most;
	if (limit == LM_NO_LIMIT || spent + reserved + most <= limit)
		return LM_GRANTED;
	if (spent + likely > limit)
		return LM_DENIED;
	if (reserved > 0)
		return LM_NOT_NOW;
	*take = limit - spent;
	return LM_GRANTED;
}

LmGrant
gepa_lm_account_ask(const LmAccount *account, const LmAmounts *most, const LmAmounts *likely,
					LmAmounts *take, LmMeasure *of)
{
	LmGrant		worst = LM_GRANTED;

	for (int m = 0; m < LM_NMEASURES; m++)
	{
		LmGrant		grant = ask_of(account->limit.of[m], account->spent.of[m],
								   account->reserved.of[m], most->of[m], likely->of[m],
								   &take->of[m]);

		if (grant <= worst)
			continue;
		worst = grant;
		*of = (LmMeasure) m;
	}
	return worst;
}

void
gepa_lm_account_reserve(LmAccount *account, const LmAmounts *take)
{
	for (int m = 0; m < LM_NMEASURES; m++)
		account->reserved.of[m] += take->of[m];
}

void
gepa_lm_account_settle(LmAccount *account, const LmAmounts *reserved, const LmAmounts *spent)
{
	for (int m = 0; m < LM_NMEASURES; m++)
	{
		account->reserved.of[m] -= reserved->of[m];
		account->spent.of[m] = Min(account->spent.of[m] + spent->of[m], MOST_UNITS);
	}
}
