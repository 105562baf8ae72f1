/*-------------------------------------------------------------------------
 *
 * lm_flow.h
 *	  How many calls on an LM may go, whose go first, and what came of them:
 *	  arithmetic.
 *
 * Nothing here has a lock, a clock or a process: times are given, and whoever is
 * to be woken is told of.  limit.c puts it into shared memory.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_FLOW_H
#define GEPA_LM_LM_FLOW_H

#include "lib/ilist.h"

#include "lm/lm_figures.h"

/* Times are those of gepa_clock_us(). */

/* doors.c: a few doors of an LM, and until when something holds for each */

#define LM_NDOORS 4

typedef struct LmDoors
{
	uint64		door[LM_NDOORS];
	int64		until[LM_NDOORS];	/* 0 = none */
} LmDoors;

/* 0 = it is not. */
extern int64 gepa_lm_doors_open_until(const LmDoors *doors, uint64 door);
extern void gepa_lm_doors_open(LmDoors *doors, uint64 door, int64 until);
extern void gepa_lm_doors_shut(LmDoors *doors, uint64 door);

/* adapt.c: the limit of calls in flight, between 1 and the top */

typedef struct LmAdapt
{
	int			top;			/* max_concurrency */
	int			limit;
	int			answered;		/* calls, since the limit was changed */
	int64		fell_at;		/* what was sent before says nothing new */
} LmAdapt;

/* The first top is the limit. */
extern void gepa_lm_adapt_set(LmAdapt *adapt, int top);

/* A call that was sent then has been answered, or has shown that it was too much. */
extern void gepa_lm_adapt_good(LmAdapt *adapt, int64 sent_at);
extern void gepa_lm_adapt_bad(LmAdapt *adapt, int64 sent_at, int64 now);

/* rate.c: a bucket; all zeroes has no limit */

/* What a bucket has room for, in seconds of its rate; 1 at least. */
#define LM_BURST_S 2

typedef struct LmRate
{
	int			per_minute;		/* 0 = no limit */
	double		room;
	double		level;			/* at that time; below 0 = in debt */
	int64		at;
	double		per_us;			/* how it fills */
} LmRate;

extern void gepa_lm_rate_set(LmRate *rate, int per_minute, int64 now);

/* When n can be taken if others take so many before, and nobody else any; 0 = now. */
extern int64 gepa_lm_rate_due(const LmRate *rate, double before, double n, int64 now);

/* Take n, whether or not they are there; below 0 puts back. */
extern void gepa_lm_rate_take(LmRate *rate, double n, int64 now);
extern double gepa_lm_rate_left(const LmRate *rate, int64 now);

/* share.c: who gets the next place */

typedef struct LmParty
{
	dlist_node	node;			/* of its LM; who waits longest comes first */
	LmClass		class;
	int			held;			/* places, those granted included */
	int			granted;		/* kept for it, and not yet taken: 0 or 1 */
	bool		wants;			/* would take one more */
	bool		attends;		/* sleeps, and comes at once when woken */
	double		had;			/* places that it was given, by its weight */
	double		tokens;			/* of the call that it wants to send next */
	int64		due;			/* while it attends: when it wakes by itself */
} LmParty;

typedef struct LmPlaces
{
	int			limit;
	int			taken;			/* sum of held; over the limit when that fell */
	double		had;			/* what newcomers count as having had */
	dlist_head	parties;
} LmPlaces;

extern void gepa_lm_places_join(LmPlaces *places, LmParty *party, LmClass class);

/* With all that it holds. */
extern void gepa_lm_places_part(LmPlaces *places, LmParty *party);
extern void gepa_lm_places_want(LmPlaces *places, LmParty *party, bool wants);

/* Whose turn it is of those that want, attend, and have no grant; NULL = nobody's. */
extern LmParty *gepa_lm_places_next(LmPlaces *places);

/* Keep a place, which is free, for a party; and that it takes it, or does not. */
extern void gepa_lm_places_grant(LmPlaces *places, LmParty *party);
extern void gepa_lm_places_take(LmPlaces *places, LmParty *party);
extern void gepa_lm_places_decline(LmPlaces *places, LmParty *party);
extern void gepa_lm_places_give_back(LmPlaces *places, LmParty *party, int n);

/* How many others that want and attend come before it, and the tokens of their calls. */
extern int	gepa_lm_places_ahead(LmPlaces *places, const LmParty *party, double *tokens);

/* flow.c: all limits of an LM together; all zeroes before it is started */

typedef struct LmLimits
{
	int			max_concurrency;
	int			requests_per_minute;	/* 0 = no limit */
	int			tokens_per_minute;	/* 0 = no limit */
} LmLimits;

typedef struct LmFlow
{
	LmPlaces	places;
	LmAdapt		adapt;
	LmRate		requests;
	LmRate		tokens;
	LmDoors		held;			/* Retry-After */
	double		tokens_per_byte;	/* of requests, as answered lately; 0 =
									 * not known */
	double		output_tokens;	/* ... of an answer */
} LmFlow;

/* A request that is to be sent; tokens is what it is taken to need. */
typedef struct LmClaim
{
	size_t		bytes;
	int			max_tokens;		/* of the answer; < 0 = no limit */
	double		tokens;
} LmClaim;

/* What the end of an attempt tells the limits. */
typedef struct LmSpent
{
	int64		sent_at;
	int			requests;		/* that went out */
	bool		answered;		/* with HTTP 200 */
	bool		overloaded;		/* a sign that it was too much */
	bool		counted;		/* the endpoint said how many tokens it took,
								 * or took none */
	int			input_tokens;
	int			output_tokens;
} LmSpent;

typedef void (*LmWake) (LmParty *party);

extern void gepa_lm_flow_start(LmFlow *flow);
extern void gepa_lm_flow_set(LmFlow *flow, const LmLimits *limits, int64 now);

/*
 * A place, and of the rates what a call needs, for a party that would send it now:
 * false when there is none, or it is not its turn.  Says what the call is taken to
 * need.
 */
extern bool gepa_lm_flow_take(LmFlow *flow, LmParty *party, LmClaim *claim, int64 now,
							  LmWake wake);

/* The attempt has ended, other than by being called back; or it was never made. */
extern void gepa_lm_flow_end(LmFlow *flow, LmParty *party, const LmClaim *claim,
							 const LmSpent *spent, int64 now);
extern void gepa_lm_flow_unsent(LmFlow *flow, LmParty *party, const LmClaim *claim, int64 now);

/* It does not want what was granted any more. */
extern void gepa_lm_flow_decline(LmFlow *flow, LmParty *party, int64 now);

/* Give what there is to whose turn it is, and wake them. */
extern void gepa_lm_flow_grant(LmFlow *flow, int64 now, LmWake wake);

/*
 * When a party that goes to sleep has to wake by itself: when the rates have let
 * those go that come before it, and then it; PG_INT64_MAX = when woken.
 */
extern int64 gepa_lm_flow_due(LmFlow *flow, const LmParty *party, int64 now);

#endif							/* GEPA_LM_LM_FLOW_H */
