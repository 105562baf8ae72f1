/*-------------------------------------------------------------------------
 *
 * share.c
 *	  Who gets the next place in flight: arithmetic, without locks or clocks.
 *
 * An LM has so many places for calls in flight.  A party is a process that
 * has some or waits for one.  A place that is free goes to the party that has
 * fewest for its weight, of those that wait: so each comes to its share (of the
 * limit, its weight divided by that of all parties), and whoever has more
 * than that does not get one back while another waits.  Whoever has none comes
 * before all who have one, whatever its class: nobody starves while there are as
 * many places as parties.
 *
 * Where there are fewer, or calls end so soon that few places are held (a rate is
 * the limit then), most have none, and take turns.  Of equals the one goes first
 * that had fewest places so far for its weight, and of these the one that waits
 * longest.  Who was idle has no claim to what it did not want: it counts as having had
 * what the others had by then (had of the places, which grows with each place that is
 * given by what that is to each of those who want one; the virtual time of
 * fair queueing), so that whoever stays comes before the newest of newcomers in time.
 *
 * A place is granted, that is kept for a party until it comes and takes it,
 * only to those that attend: they sleep, and do nothing else when they are
 * woken.  For one that is busy elsewhere no place stays empty.
 *
 *		free place ------> granted ------> in use ------> free place
 *			   (its turn)           take            end of the call
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

/* By class: somebody waits for a query; a job has all night. */
static const int weights[LM_NCLASSES] = {4, 2, 1};

const char *
gepa_lm_class_name(LmClass class)
{
	static const char *const names[LM_NCLASSES] = {"query", "run", "job"};

	return names[class];
}

static int
weight(const LmParty *party)
{
	return weights[party->class];
}

void
gepa_lm_places_join(LmPlaces *places, LmParty *party, LmClass class)
{
	memset(party, 0, sizeof(LmParty));
	party->class = class;
	party->had = places->had;
	dlist_push_tail(&places->parties, &party->node);
}

void
gepa_lm_places_part(LmPlaces *places, LmParty *party)
{
	places->taken -= party->held;
	dlist_delete(&party->node);
}

void
gepa_lm_places_want(LmPlaces *places, LmParty *party, bool wants)
{
	if (wants && !party->wants)
		party->had = Max(party->had, places->had);
	party->wants = wants;
}

/*
 * Turns
 */

static bool
is_waiting(const LmParty *party)
{
	return party->wants && party->attends && party->granted == 0;
}

/* Does a come before b, which waits longer? */
static bool
precedes(const LmParty *a, const LmParty *b)
{
	int			more = a->held * weight(b) - b->held * weight(a);

	return more != 0 ? more < 0 : a->had < b->had;
}

LmParty *
gepa_lm_places_next(LmPlaces *places)
{
	LmParty    *next = NULL;
	dlist_iter	iter;

	dlist_foreach(iter, &places->parties)
	{
		LmParty    *party = dlist_container(LmParty, node, iter.cur);

		if (is_waiting(party) && (next == NULL || precedes(party, next)))
			next = party;
	}
	return next;
}

int
gepa_lm_places_ahead(LmPlaces *places, const LmParty *party, double *tokens)
{
	int			n = 0;
	bool		later = false;	/* in the list */
	dlist_iter	iter;

	*tokens = 0;
	dlist_foreach(iter, &places->parties)
	{
		LmParty    *other = dlist_container(LmParty, node, iter.cur);

		if (other == party)
			later = true;
		else if (is_waiting(other) &&
				 (later ? precedes(other, party) : !precedes(party, other)))
		{
			n++;
			*tokens += other->tokens;
		}
	}
	return n;
}

/* By how much those who want a place come nearer to it when one is given. */
static double
advance(LmPlaces *places)
{
	int			all = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &places->parties)
	{
		LmParty    *party = dlist_container(LmParty, node, iter.cur);

		if (party->wants)
			all += weight(party);
	}
	return all == 0 ? 0 : 1.0 / all;
}

/*
 * Places
 */

void
gepa_lm_places_grant(LmPlaces *places, LmParty *party)
{
	Assert(party->granted == 0);
	places->had += advance(places);
	party->had += 1.0 / weight(party);
	party->granted++;
	party->held++;
	places->taken++;

	/* Of equals, the others come first from now on. */
	dlist_delete(&party->node);
	dlist_push_tail(&places->parties, &party->node);
}

void
gepa_lm_places_take(LmPlaces *places, LmParty *party)
{
	Assert(party->granted > 0);
	party->granted--;
}

void
gepa_lm_places_decline(LmPlaces *places, LmParty *party)
{
	party->held -= party->granted;
	places->taken -= party->granted;
	party->had -= party->granted * (1.0 / weight(party));
	party->granted = 0;
}

void
gepa_lm_places_give_back(LmPlaces *places, LmParty *party, int n)
{
	Assert(n <= party->held - party->granted);
	party->held -= n;
	places->taken -= n;
}
