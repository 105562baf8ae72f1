/*-------------------------------------------------------------------------
 *
 * lm_share_test.c
 *	  Who gets the next place in flight, and which doors have answered lately.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/pg_prng.h"

#include "lm/lm_flow.h"
#include "tap.h"

#define NPARTIES 5

static LmPlaces places;
static LmParty parties[NPARTIES];

static void
start(int limit, int n)
{
	memset(&places, 0, sizeof(places));
	places.limit = limit;
	dlist_init(&places.parties);
	for (int i = 0; i < n; i++)
		gepa_lm_places_join(&places, &parties[i], LM_CLASS_RUN);
}

static void
wait_for_one(int i)
{
	gepa_lm_places_want(&places, &parties[i], true);
	parties[i].attends = true;
}

/* Number of the party that is granted a place, -1 for none. */
static int
grant(void)
{
	LmParty    *party = places.taken < places.limit ? gepa_lm_places_next(&places) : NULL;

	if (party == NULL)
		return -1;
	gepa_lm_places_grant(&places, party);
	return (int) (party - parties);
}

/* As a party that is busy does, whosever turn it is. */
static bool
take(int i)
{
	if (parties[i].granted == 0 && places.taken >= places.limit)
		return false;
	if (parties[i].granted == 0)
		gepa_lm_places_grant(&places, &parties[i]);
	gepa_lm_places_take(&places, &parties[i]);
	return true;
}

static void
take_many(int i, int n)
{
	for (int k = 0; k < n; k++)
		tap_ok(take(i), "party %d takes a place", i);
}

static void
check_limit(void)
{
	start(2, 2);
	take_many(0, 2);
	tap_ok(!take(0) &&
		   !take(1), "no more than the limit");
	wait_for_one(1);
	tap_is_int(grant(), -1, "nothing is granted of what is not there");
	places.limit = 1;
	gepa_lm_places_give_back(&places, &parties[0], 1);
	tap_is_int(grant(), -1, "nor when the limit has fallen meanwhile");
	gepa_lm_places_part(&places, &parties[0]);
	tap_is_int(grant(), 1, "who parts leaves its places to others");
	tap_is_int(places.taken, 1, "a grant is a place taken");
}

static void
check_order(void)
{
	start(4, 4);
	take_many(0, 4);
	for (int i = 0; i < 4; i++)
		wait_for_one(i);
	gepa_lm_places_give_back(&places, &parties[0], 1);
	tap_is_int(grant(), 1, "who has fewest, of equals who came first");
	gepa_lm_places_give_back(&places, &parties[0], 2);
	tap_is_int(grant(), 2, "one at a time to each");
	tap_is_int(grant(), 3, "until all have one");
	take_many(1, 1);
	take_many(3, 1);
	take_many(2, 1);
	gepa_lm_places_give_back(&places, &parties[0], 1);
	tap_is_int(grant(), 0, "who has none comes before who has one");
	take_many(0, 1);
	gepa_lm_places_give_back(&places, &parties[2], 1);
	tap_is_int(grant(), 2, "also if it had one just now");
	take_many(2, 1);
	places.limit = 5;
	tap_is_int(grant(), 1, "of equals who took one longest ago");
}

static void
check_attention(void)
{
	start(1, 3);
	parties[0].wants = true;
	tap_is_int(grant(), -1, "nothing is kept for who does not attend");
	take_many(1, 1);
	gepa_lm_places_give_back(&places, &parties[1], 1);
	wait_for_one(2);
	tap_is_int(grant(), 2, "it goes to another");
	tap_ok(!take(0), "and is kept for that one");
	tap_ok(take(2), "which takes it");
	gepa_lm_places_give_back(&places, &parties[2], 1);
	tap_is_int(grant(), 2, "granted again");
	gepa_lm_places_decline(&places, &parties[2]);
	tap_ok(places.taken == 0 && parties[2].held == 0, "and declined");
	tap_ok(take(0), "so that others have it");
}

/*
 * All want more than there is and end their calls at random: each has its
 * share, give or take the one that ends.
 */
static void
check_shares(void)
{
	pg_prng_state random;
	int			worst = 0;

	pg_prng_seed(&random, 7);
	start(17, NPARTIES);
	take_many(0, 17);
	for (int i = 0; i < NPARTIES; i++)
		wait_for_one(i);
	for (int n = 0; n < 10000; n++)
	{
		int			i = (int) pg_prng_uint64_range(&random, 0, NPARTIES - 1);
		int			next;

		if (parties[i].held == 0)
			continue;
		gepa_lm_places_give_back(&places, &parties[i], 1);
		next = grant();
		if (next < 0 || !take(next))
			worst = 100;
		for (int k = 0; k < NPARTIES && n > 200; k++)
			worst = Max(worst, abs(parties[k].held - 17 / NPARTIES));
	}
	tap_ok(worst <= 1, "everybody has a fifth, and nobody waits beside a free place");
	tap_is_int(places.taken, 17, "all places are in use");
}

/* Places by class where all want more than there is. */
static void
check_weights(void)
{
	static const LmClass of[] = {LM_CLASS_JOB, LM_CLASS_RUN, LM_CLASS_QUERY};

	start(14, 0);
	for (int i = 0; i < 3; i++)
	{
		gepa_lm_places_join(&places, &parties[i], of[i]);
		wait_for_one(i);
	}
	for (int n = 0; n < 14; n++)
		(void) take(grant());
	tap_ok(parties[0].held == 2 && parties[1].held == 4 && parties[2].held == 8,
		   "a query has four, a run two times what a job has");

	/* Fewer places than parties: turns, by weight as well. */
	start(1, 0);
	memset(parties, 0, sizeof(parties));
	for (int i = 0; i < 3; i++)
	{
		gepa_lm_places_join(&places, &parties[i], of[i]);
		wait_for_one(i);
	}
	for (int n = 0; n < 7; n++)
	{
		int			i = grant();

		(void) take(i);
		gepa_lm_places_give_back(&places, &parties[i], 1);
	}
	tap_ok(fabs(parties[0].had - 1) < 1e-9 && fabs(parties[1].had - 1) < 1e-9 &&
		   fabs(parties[2].had - 1) < 1e-9, "of seven turns a job has one, a run two, a query four");
}

/* Queries come without end, each for one call, to the only place. */
static void
check_newcomers(void)
{
	int			turns = 0;

	start(1, 0);
	gepa_lm_places_join(&places, &parties[0], LM_CLASS_JOB);
	wait_for_one(0);
	gepa_lm_places_join(&places, &parties[1], LM_CLASS_QUERY);
	wait_for_one(1);
	for (int n = 0; n < 1000; n++)
	{
		int			i = grant();

		(void) take(i);
		gepa_lm_places_give_back(&places, &parties[i], 1);
		turns += i == 0;
		if (i == 0)
			continue;
		gepa_lm_places_part(&places, &parties[1]);
		gepa_lm_places_join(&places, &parties[1], LM_CLASS_QUERY);
		wait_for_one(1);
	}
	tap_ok(turns >= 150, "a job beside ever new queries has its turns: %d of 1000", turns);
}

static void
check_doors(void)
{
	LmDoors		doors;

	memset(&doors, 0, sizeof(doors));

	tap_is_int(gepa_lm_doors_open_until(&doors, 0), 0, "no door is open");
	gepa_lm_doors_open(&doors, 7, 100);
	gepa_lm_doors_open(&doors, 8, 110);
	gepa_lm_doors_open(&doors, 7, 120);
	tap_is_int(gepa_lm_doors_open_until(&doors, 7), 120, "a door that answers is open for longer");
	tap_is_int(gepa_lm_doors_open_until(&doors, 8), 110, "as is another");
	gepa_lm_doors_shut(&doors, 7);
	tap_is_int(gepa_lm_doors_open_until(&doors, 7), 0, "a door that refuses is shut");
	tap_is_int(gepa_lm_doors_open_until(&doors, 8), 110, "and no other");
	for (int i = 0; i < LM_NDOORS; i++)
		gepa_lm_doors_open(&doors, 100 + i, 200 + i);
	tap_is_int(gepa_lm_doors_open_until(&doors, 8), 0, "of too many the one that closes first is forgotten");
	for (int i = 0; i < LM_NDOORS; i++)
		tap_is_int(gepa_lm_doors_open_until(&doors, 100 + i), 200 + i, "the others are not");
}

int
main(void)
{
	check_limit();
	check_order();
	check_attention();
	check_shares();
	check_weights();
	check_newcomers();
	check_doors();
	return tap_done();
}
