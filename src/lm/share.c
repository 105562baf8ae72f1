/*-------------------------------------------------------------------------
 *
 * share.c
 *	  Who gets the next place in flight: arithmetic, without locks or clocks.
 *
 * An LM has so many places for calls in flight.  A party is a process that
 * has some or waits for one.  A place that is free goes to the party that has
 * fewest of those that wait, of equals to the one that waits longest: so each
 * comes to its share (the limit divided by the parties), and whoever has more
 * than that does not get one back while another waits.
 *
 * A place is granted, that is kept for a party until it comes and takes it,
 * only to those that attend: they sleep, and do nothing else when they are
 * woken.  For one that is busy elsewhere no place stays empty.
 *
 *		free place ------> granted ------> in use ------> free place
 *			|   (attends)            take            end of the call
 *			+------------- take (nobody attends) ---^
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

#include "lm/lm_limit.h"

void
gepa_lm_places_join(LmPlaces *places, LmParty *party)
{
	memset(party, 0, sizeof(LmParty));
	dlist_push_tail(&places->parties, &party->node);
}

void
gepa_lm_places_part(LmPlaces *places, LmParty *party)
{
	places->taken -= party->held;
	dlist_delete(&party->node);
}

bool
gepa_lm_places_take(LmPlaces *places, LmParty *party)
{
	if (party->granted > 0)
		party->granted--;
	else if (places->taken < places->limit)
	{
		places->taken++;
		party->held++;
	}
	else
		return false;

	/* Of equals, the others come first from now on. */
	dlist_delete(&party->node);
	dlist_push_tail(&places->parties, &party->node);
	return true;
}

void
gepa_lm_places_give_back(LmPlaces *places, LmParty *party, int n)
{
	Assert(n <= party->held - party->granted);
	party->held -= n;
	places->taken -= n;
}

void
gepa_lm_places_decline(LmPlaces *places, LmParty *party)
{
	party->held -= party->granted;
	places->taken -= party->granted;
	party->granted = 0;
}

static bool
may_be_granted(const LmParty *party)
{
	return party->wants && party->attends && party->granted == 0;
}

LmParty *
gepa_lm_places_grant(LmPlaces *places)
{
	LmParty    *next = NULL;
	dlist_iter	iter;

	if (places->taken >= places->limit)
		return NULL;
	dlist_foreach(iter, &places->parties)
	{
		LmParty    *party = dlist_container(LmParty, node, iter.cur);

		if (may_be_granted(party) && (next == NULL || party->held < next->held))
			next = party;
	}
	if (next != NULL)
	{
		next->granted++;
		next->held++;
		places->taken++;
	}
	return next;
}
