/*-------------------------------------------------------------------------
 *
 * lm_limit.h
 *	  Calls in flight per LM: places, the gate of a process, the shared limit.
 *
 * Used by batch.c and transport.c; not part of the door of src/lm.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_LIMIT_H
#define GEPA_LM_LM_LIMIT_H

#include "datatype/timestamp.h"
#include "lib/ilist.h"

/* share.c: who gets the next place.  No locks, no clock; frontend safe. */

typedef struct LmParty
{
	dlist_node	node;			/* of its LM; who waits longest comes first */
	int			held;			/* places, those granted included */
	int			granted;		/* kept for it, and not yet taken: 0 or 1 */
	bool		wants;			/* would take one more */
	bool		attends;		/* sleeps, and comes at once when woken */
} LmParty;

typedef struct LmPlaces
{
	int			limit;
	int			taken;			/* sum of held; over the limit when that fell */
	dlist_head	parties;
} LmPlaces;

extern void gepa_lm_places_join(LmPlaces *places, LmParty *party);

/* With all that it holds. */
extern void gepa_lm_places_part(LmPlaces *places, LmParty *party);

/* Take what was granted, or a free place; false when there is neither. */
extern bool gepa_lm_places_take(LmPlaces *places, LmParty *party);
extern void gepa_lm_places_give_back(LmPlaces *places, LmParty *party, int n);

/* Give back what was granted. */
extern void gepa_lm_places_decline(LmPlaces *places, LmParty *party);

/*
 * Grant a free place to whose turn it is; NULL when there is none, or nobody
 * waits.  The caller wakes the party.
 */
extern LmParty *gepa_lm_places_grant(LmPlaces *places);

/* doors.c: which of an LM's doors have answered lately.  As share.c. */

#define LM_NDOORS 4

typedef struct LmDoors
{
	uint64		door[LM_NDOORS];
	int64		until[LM_NDOORS];	/* gepa_clock_us(); 0 = none */
} LmDoors;

/* 0 = it is not. */
extern int64 gepa_lm_doors_open_until(const LmDoors *doors, uint64 door);
extern void gepa_lm_doors_open(LmDoors *doors, uint64 door, int64 until);
extern void gepa_lm_doors_shut(LmDoors *doors, uint64 door);

#ifndef FRONTEND

/* limit.c: places in shared memory, over all processes of the server */

extern void gepa_lm_limit_init(void);	/* at load, if preloaded */

typedef struct LmGuest LmGuest; /* this process as a party of an LM */

/* What later calls on the LM are limited to; nothing without shared memory. */
extern void gepa_lm_limit_set(Oid serverid, int limit);

/*
 * Become a party; NULL when there is no shared memory, or no room in it: the
 * limit then holds for this process alone.
 */
extern LmGuest *gepa_lm_limit_join(Oid serverid, int limit);
extern void gepa_lm_limit_part(LmGuest *guest);

extern bool gepa_lm_limit_take(LmGuest *guest);
extern void gepa_lm_limit_give_back(LmGuest *guest, int n);

/* Wait for a place, or do no longer (what was granted is then given back). */
extern void gepa_lm_limit_want(LmGuest *guest, bool wants);

/* Whether it sleeps, so that a place may be granted to it. */
extern void gepa_lm_limit_attend(LmGuest *guest, bool attends);
extern bool gepa_lm_limit_granted(const LmGuest *guest);

/*
 * Doors of an LM, as in doors.c; false when there is no shared memory, or no room
 * in it.
 */
extern bool gepa_lm_limit_open_until(Oid serverid, uint64 door, int64 *until);
extern bool gepa_lm_limit_open(Oid serverid, uint64 door, int64 until);
extern void gepa_lm_limit_shut(Oid serverid, uint64 door);

/* gate.c: what the batches of this process on one LM share */

struct LmServer;
struct LmReply;
struct LmOutcome;

typedef struct LmGate LmGate;

/* The gate of a server; lasts as long as the process. */
extern LmGate *gepa_lm_gate_find(const struct LmServer *server);

/* Find it for calls to come, which are limited as the server says. */
extern LmGate *gepa_lm_gate_open(const struct LmServer *server);

/* Which doors have answered, where shared memory does not know it. */
extern LmDoors *gepa_lm_gate_doors(LmGate *gate);

/* What a batch has of its gate; all of it is left at the batch's end. */
typedef struct LmVisit
{
	LmGate	   *gate;
	int			nplaces;		/* calls in flight */
	bool		wants;			/* waits for a place */
} LmVisit;

/* A place for one call more; false when there is none now. */
extern bool gepa_lm_gate_enter(LmVisit *visit);
extern void gepa_lm_gate_leave(LmVisit *visit, int n);

/* Wait for a place, or do no longer. */
extern void gepa_lm_gate_want(LmVisit *visit, bool wants);

/*
 * What Retry-After said of an outcome: until when (gepa_clock_us()) nothing is
 * to be started, 0 if nothing; and when that is too long for a call to wait, the failure that
 * calls end with until then (NULL = none).
 */
extern void gepa_lm_gate_hold(LmGate *gate, const struct LmOutcome *outcome);
extern void gepa_lm_gate_close(LmGate *gate, struct LmReply *reply,
							   const struct LmOutcome *outcome);
extern int64 gepa_lm_gate_held_until(const LmGate *gate);
extern const struct LmReply *gepa_lm_gate_why_closed(const LmGate *gate);

/* first.c: the first call of a batch, while nobody knows whether any is taken */

typedef struct LmFirst
{
	Oid			serverid;
	LmDoors    *own;			/* of the process */
	uint64		door;			/* hash of endpoint and key */
	int64		known_until;	/* it has answered; gepa_clock_us() */
	bool		tried;			/* for this batch, whatever came of it */
	const void *call;			/* that goes alone; NULL = nobody waits */
	int64		alone_until;	/* gepa_clock_us() */
} LmFirst;

extern void gepa_lm_first_open(LmFirst *first, const struct LmServer *server, LmGate *gate);

/* Until when a call waits for the first one, 0 = it does not; PG_INT64_MAX = until that ends. */
extern int64 gepa_lm_first_held_until(const LmFirst *first, const void *call);

/* Before calls are sent: has the first one taken too long? */
extern void gepa_lm_first_look(LmFirst *first, int64 now);

/* A call was sent; perhaps it is the first.  An attempt has ended; the call has. */
extern void gepa_lm_first_sent(LmFirst *first, const void *call, int64 now);
extern void gepa_lm_first_answered(LmFirst *first, const void *call,
								   const struct LmReply *reply);
extern void gepa_lm_first_ended(LmFirst *first, const void *call);

/* For the transport: has one been granted?  What does the process wait for? */
extern bool gepa_lm_gate_was_granted(void);
extern uint32 gepa_lm_gate_wait_event(void);

#endif							/* FRONTEND */

#endif							/* GEPA_LM_LM_LIMIT_H */
