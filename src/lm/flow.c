/*-------------------------------------------------------------------------
 *
 * flow.c
 *	  All limits of an LM together: arithmetic, without locks or clocks.
 *
 * A call goes when there is a place in flight (share.c) below the limit that the
 * endpoint can do with (adapt.c), and when the buckets of requests and of tokens
 * have what it needs (rate.c).  All of it is given at once, and in one order, that of
 * share.c: where the rates are the limit, they are what is shared by it.  If the
 * buckets have not enough for the one whose turn it is, the others wait as
 * well, though theirs be smaller.
 *
 * A place that becomes free is given by whoever made it free.  A bucket fills
 * by itself, and somebody has to wake for it: each party that sleeps does so by
 * itself when the bucket will have enough for those before it and for itself.  Then
 * all that are behind find their turn at the right time, one after the other.
 * If the one whose turn it is would sleep for too long, because the order is another
 * by now, it is woken to look again.
 *
 * What a call needs of the tokens is known at its end only.  It is taken to need
 * what calls of its length have needed lately, and before the first answer a little
 * more than is likely.
 *
 * Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lm/lm_flow.h"

/* Before anything is known: of text in a language that tokenizers know less well. */
#define FIRST_TOKENS_PER_BYTE 0.4
#define FIRST_OUTPUT_TOKENS 256

/* The share of the newest answer in what is known. */
#define LEARNING_RATE (1.0 / 16)

/* To wake so much too late is not worth a wake-up more. */
#define SLACK_US 5000

void
gepa_lm_flow_start(LmFlow *flow)
{
	memset(flow, 0, sizeof(LmFlow));
	dlist_init(&flow->places.parties);
}

void
gepa_lm_flow_set(LmFlow *flow, const LmLimits *limits, int64 now)
{
	gepa_lm_adapt_set(&flow->adapt, limits->max_concurrency);
	flow->places.limit = flow->adapt.limit;
	gepa_lm_rate_set(&flow->requests, limits->requests_per_minute, now);
	gepa_lm_rate_set(&flow->tokens, limits->tokens_per_minute, now);
}

/*
 * Tokens
 */

static double
expected_tokens(const LmFlow *flow, const LmClaim *claim)
{
	double		output = flow->output_tokens;
	double		ratio = flow->tokens_per_byte;

	if (output == 0)
		output = FIRST_OUTPUT_TOKENS;
	if (claim->max_tokens >= 0)
		output = Min(output, claim->max_tokens);
	if (ratio == 0)
		ratio = FIRST_TOKENS_PER_BYTE;
	return ratio * claim->bytes + output;
}

static void
learn(double *known, double value)
{
	*known = *known == 0 ? value : *known + (value - *known) * LEARNING_RATE;
}

static void
take_rates(LmFlow *flow, double requests, double tokens, int64 now)
{
	gepa_lm_rate_take(&flow->requests, requests, now);
	gepa_lm_rate_take(&flow->tokens, tokens, now);
}

/*
 * Turns
 */

/* Grant what whose turn it is needs; NULL if nobody waits, or it is not there. */
static LmParty *
grant_next(LmFlow *flow, int64 now, LmWake wake)
{
	LmParty    *next = flow->places.taken < flow->places.limit ?
		gepa_lm_places_next(&flow->places) : NULL;
	int64		due;

	if (next == NULL)
		return NULL;
	due = Max(gepa_lm_rate_due(&flow->requests, 0, 1, now),
			  gepa_lm_rate_due(&flow->tokens, 0, next->tokens, now));
	if (due > now)
	{
		if (next->due > due + SLACK_US)
		{
			next->due = due;
			wake(next);
		}
		return NULL;
	}
	take_rates(flow, 1, next->tokens, now);
	gepa_lm_places_grant(&flow->places, next);
	return next;
}

void
gepa_lm_flow_grant(LmFlow *flow, int64 now, LmWake wake)
{
	LmParty    *party;

	while ((party = grant_next(flow, now, wake)) != NULL)
		wake(party);
}

/* As grant, until it is its turn; it does not sleep, but is here. */
static void
wait_for_turn(LmFlow *flow, LmParty *party, int64 now, LmWake wake)
{
	bool		wanted = party->wants;
	LmParty    *next;

	gepa_lm_places_want(&flow->places, party, true);
	party->attends = true;
	party->due = 0;
	while (party->granted == 0 && (next = grant_next(flow, now, wake)) != NULL)
		if (next != party)
			wake(next);
	party->attends = false;
	party->wants = wanted;
}

bool
gepa_lm_flow_take(LmFlow *flow, LmParty *party, LmClaim *claim, int64 now, LmWake wake)
{
	claim->tokens = expected_tokens(flow, claim);
	if (party->granted > 0)
		gepa_lm_rate_take(&flow->tokens, claim->tokens - party->tokens, now);
	party->tokens = claim->tokens;
	if (party->granted == 0)
		wait_for_turn(flow, party, now, wake);
	if (party->granted == 0)
		return false;
	gepa_lm_places_take(&flow->places, party);
	return true;
}

void
gepa_lm_flow_decline(LmFlow *flow, LmParty *party, int64 now)
{
	if (party->granted > 0)
		take_rates(flow, -1, -party->tokens, now);
	gepa_lm_places_decline(&flow->places, party);
}

int64
gepa_lm_flow_due(LmFlow *flow, const LmParty *party, int64 now)
{
	double		tokens;
	int			requests = gepa_lm_places_ahead(&flow->places, party, &tokens);
	int64		due = Max(gepa_lm_rate_due(&flow->requests, requests, 1, now),
						  gepa_lm_rate_due(&flow->tokens, tokens, party->tokens, now));

	return due == 0 ? PG_INT64_MAX : due;
}

/*
 * Ends
 */

void
gepa_lm_flow_end(LmFlow *flow, LmParty *party, const LmClaim *claim, const LmSpent *spent,
				 int64 now)
{
	int			tokens = spent->input_tokens + spent->output_tokens;

	gepa_lm_places_give_back(&flow->places, party, 1);
	take_rates(flow, spent->requests - 1, spent->counted ? tokens - claim->tokens : 0, now);
	if (spent->answered && spent->input_tokens > 0)
		learn(&flow->tokens_per_byte, (double) spent->input_tokens / claim->bytes);
	if (spent->answered && spent->output_tokens > 0)
		learn(&flow->output_tokens, spent->output_tokens);
	if (spent->overloaded)
		gepa_lm_adapt_bad(&flow->adapt, spent->sent_at, now);
	else if (spent->answered)
		gepa_lm_adapt_good(&flow->adapt, spent->sent_at);
	flow->places.limit = flow->adapt.limit;
}

void
gepa_lm_flow_unsent(LmFlow *flow, LmParty *party, const LmClaim *claim, int64 now)
{
	gepa_lm_places_give_back(&flow->places, party, 1);
	take_rates(flow, -1, -claim->tokens, now);
}
