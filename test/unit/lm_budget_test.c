/*-------------------------------------------------------------------------
 *
 * lm_budget_test.c
 *	  What an account allows, and what a call is expected to take.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/pg_prng.h"

#include "lm/lm_budget.h"
#include "tap.h"

static LmAccount account;

static void
start(int64 calls, int64 tokens, int64 cost)
{
	gepa_lm_account_clear(&account);
	account.limit.of[LM_CALLS] = calls;
	account.limit.of[LM_TOKENS] = tokens;
	account.limit.of[LM_COST] = cost;
}

static LmAmounts
amounts(int64 calls, int64 tokens, int64 cost)
{
	LmAmounts	result = {{calls, tokens, cost}};

	return result;
}

/* Of a call that takes so many tokens at most, and so many likely. */
static LmGrant
ask(int64 most, int64 likely, LmAmounts *take, LmMeasure *of)
{
	LmAmounts	high = amounts(1, most, most * 10);
	LmAmounts	low = amounts(1, likely, likely * 10);

	return gepa_lm_account_ask(&account, &high, &low, take, of);
}

static void
check_calls(void)
{
	LmAmounts	take[3];
	LmAmounts	spent = amounts(1, 7, 70);
	LmAmounts	nothing = amounts(0, 0, 0);
	LmMeasure	of = LM_COST;

	start(2, LM_NO_LIMIT, LM_NO_LIMIT);
	for (int i = 0; i < 2; i++)
	{
		tap_is_int(ask(100, 10, &take[i], &of), LM_GRANTED, "one of two calls");
		gepa_lm_account_reserve(&account, &take[i]);
	}
	tap_is_int(ask(100, 10, &take[2], &of), LM_NOT_NOW, "the third waits for what the others take");
	gepa_lm_account_settle(&account, &take[0], &spent);
	tap_is_int(ask(100, 10, &take[2], &of), LM_NOT_NOW, "... still, when one has ended");
	gepa_lm_account_settle(&account, &take[1], &nothing);
	tap_is_int(ask(100, 10, &take[2], &of), LM_GRANTED, "... and has the call that was not made");
	gepa_lm_account_reserve(&account, &take[2]);
	gepa_lm_account_settle(&account, &take[2], &spent);
	tap_is_int(ask(100, 10, &take[2], &of), LM_DENIED, "then there are none left");
	tap_is_int(of, LM_CALLS, "... of calls");
	tap_is_int(account.spent.of[LM_TOKENS], 14, "what was spent is counted, limited or not");
	tap_ok(account.reserved.of[LM_CALLS] == 0 && account.reserved.of[LM_TOKENS] == 0 &&
		   account.reserved.of[LM_COST] == 0, "and nothing is left reserved");
}

static void
check_tokens(void)
{
	LmAmounts	first;
	LmAmounts	second;
	LmAmounts	spent = amounts(1, 30, 300);
	LmMeasure	of = LM_CALLS;

	start(LM_NO_LIMIT, 150, LM_NO_LIMIT);
	tap_is_int(ask(100, 30, &first, &of), LM_GRANTED, "a call that fits at its most");
	tap_is_int(first.of[LM_TOKENS], 100, "... reserves that");
	gepa_lm_account_reserve(&account, &first);
	tap_is_int(ask(100, 30, &second, &of), LM_NOT_NOW, "one that does not fit beside it waits");
	tap_is_int(ask(50, 30, &second, &of), LM_GRANTED, "one that does is sent");
	gepa_lm_account_settle(&account, &first, &spent);
	tap_is_int((int) account.spent.of[LM_TOKENS], 30, "what it took is spent, and no more");

	start(LM_NO_LIMIT, 150, LM_NO_LIMIT);
	account.spent.of[LM_TOKENS] = 90;
	tap_is_int(ask(100, 60, &first, &of), LM_GRANTED, "alone a call may take all that is left");
	tap_is_int(first.of[LM_TOKENS], 60, "... and reserves it");
	gepa_lm_account_reserve(&account, &first);
	tap_is_int(ask(1, 1, &second, &of), LM_NOT_NOW, "... so that no other is sent meanwhile");
	tap_is_int(ask(100, 61, &second, &of), LM_DENIED, "what cannot fit is denied at once");
	tap_is_int(of, LM_TOKENS, "... for tokens");
}

static void
check_cost(void)
{
	LmAmounts	take;
	LmMeasure	of = LM_CALLS;

	tap_is_int((int) gepa_lm_cost_units(0.000000123), 123, "money is counted in billionths");
	tap_is_int((int) gepa_lm_cost_units(-1), 0, "... and never negative");
	tap_is_int((int) gepa_lm_cost_units(NAN), 0, "... nor nothing");
	tap_ok(gepa_lm_cost_units(1e300) > 0, "... nor more than can be counted");
	start(LM_NO_LIMIT, LM_NO_LIMIT, 0);
	tap_is_int(ask(1, 1, &take, &of), LM_DENIED, "a budget of 0 allows nothing that costs");
	tap_is_int(of, LM_COST, "... for money");
	tap_is_int(ask(0, 0, &take, &of), LM_GRANTED, "... but what is free");
	start(0, LM_NO_LIMIT, LM_NO_LIMIT);
	tap_is_int(ask(0, 0, &take, &of), LM_DENIED, "no calls allow nothing at all");
}

static void
check_days(void)
{
	LmAmounts	take;
	LmMeasure	of;

	start(1, LM_NO_LIMIT, LM_NO_LIMIT);
	account.day = 100;
	account.spent.of[LM_CALLS] = 1;
	gepa_lm_account_renew(&account, 100);
	tap_is_int(ask(1, 1, &take, &of), LM_DENIED, "the day's calls are spent");
	gepa_lm_account_renew(&account, 99);
	tap_is_int(ask(1, 1, &take, &of), LM_DENIED, "a date that is put back changes nothing");
	account.reserved.of[LM_CALLS] = 1;
	gepa_lm_account_renew(&account, 101);
	tap_is_int(ask(1, 1, &take, &of), LM_NOT_NOW, "a new day: what is on the wire still counts");
	account.reserved.of[LM_CALLS] = 0;
	tap_is_int(ask(1, 1, &take, &of), LM_GRANTED, "... and then there are calls again");
	account.day = 0;
	account.spent.of[LM_CALLS] = 1;
	gepa_lm_account_renew(&account, 102);
	tap_is_int(ask(1, 1, &take, &of), LM_DENIED, "what has no day is not renewed");
}

/* Many callers that end in any order: the limit holds but for what one call exceeds. */
static void
check_many(void)
{
	pg_prng_state prng;
	LmAmounts	held[16];
	int			nheld = 0;
	int64		worst = 0;

	pg_prng_seed(&prng, 7);
	for (int round = 0; round < 200; round++)
	{
		bool		denied = false;

		start(1 + pg_prng_uint64_range(&prng, 0, 50), 200 + pg_prng_uint64_range(&prng, 0, 5000),
			  LM_NO_LIMIT);
		while (!denied || nheld > 0)
		{
			LmMeasure	of;
			LmGrant		grant = LM_NOT_NOW;

			if (nheld < lengthof(held) && !denied)
				grant = ask(400, 100, &held[nheld], &of);
			denied = denied || grant == LM_DENIED;
			if (grant == LM_GRANTED)
				gepa_lm_account_reserve(&account, &held[nheld++]);
			else if (nheld > 0)
			{
				int			i = (int) pg_prng_uint64_range(&prng, 0, nheld - 1);
				LmAmounts	spent = amounts(1, pg_prng_uint64_range(&prng, 20, 130), 0);

				gepa_lm_account_settle(&account, &held[i], &spent);
				held[i] = held[--nheld];
			}
		}
		worst = Max(worst, account.spent.of[LM_TOKENS] - account.limit.of[LM_TOKENS]);
		if (account.spent.of[LM_CALLS] > account.limit.of[LM_CALLS])
			worst = PG_INT32_MAX;
	}
	tap_ok(worst <= 30, "calls are never exceeded, tokens by one call's surprise (%d)", (int) worst);
}

static void
check_expected(void)
{
	LmShown		shown = {0};
	LmExpected	expected;

	gepa_lm_expect(&shown, 900, 50, 1, 10, &expected);
	tap_is_int((int) expected.most.of[LM_TOKENS], 950, "at most a token per byte, and max_tokens");
	tap_is_int((int) expected.likely.of[LM_TOKENS], 350, "likely a third, and max_tokens if that is little");
	tap_is_int((int) expected.most.of[LM_COST], 1400000, "by their prices");
	tap_is_int((int) expected.most.of[LM_CALLS], 1, "one call");
	gepa_lm_show(&shown, 900, 225, 5);
	gepa_lm_show(&shown, 900, 90, 9);
	gepa_lm_show(&shown, 900, 0, 5000);
	gepa_lm_expect(&shown, 1800, 0, 0, 0, &expected);
	tap_is_int((int) expected.likely.of[LM_TOKENS], 459, "later the most that was shown");
	tap_is_int((int) expected.most.of[LM_TOKENS], 2824, "without max_tokens there is room for an answer");
	tap_is_int((int) expected.most.of[LM_COST], 0, "what is free costs nothing");
	gepa_lm_show(&shown, 100, 300, 2000);
	gepa_lm_expect(&shown, 100, 0, 0, 0, &expected);
	tap_is_int((int) expected.most.of[LM_TOKENS], 4300, "who counts more than bytes is believed");
	tap_is_int((int) expected.likely.of[LM_TOKENS], 2300, "... in both");
}

int
main(void)
{
	check_calls();
	check_tokens();
	check_cost();
	check_days();
	check_many();
	check_expected();
	return tap_done();
}
