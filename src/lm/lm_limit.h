/*-------------------------------------------------------------------------
 *
 * lm_limit.h
 *	  Whether a call may go: the limits of all processes, the gate of this one.
 *
 * Used by batch.c and transport.c; not part of the door of src/lm.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_LIMIT_H
#define GEPA_LM_LM_LIMIT_H

#include "datatype/timestamp.h"

#include "lm/lm_flow.h"
#include "lm/lm_internal.h"
#include "lm/lm_stats.h"

/* limit.c: the limits of LMs, in shared memory, over all processes of the server */

extern void gepa_lm_limit_init(void);	/* at load, if preloaded */

/* What later calls on the LM are limited to; before anything below, for each batch. */
extern void gepa_lm_limit_open(Oid serverid, const LmLimits *limits);

typedef struct LmGuest LmGuest; /* this process as a party of an LM */

/*
 * Become a party.  When there is no shared memory, or no room in it, the limits hold
 * for this process alone.
 */
extern LmGuest *gepa_lm_limit_join(Oid serverid, const LmLimits *limits, LmClass class);
extern void gepa_lm_limit_part(LmGuest *guest);

/* May a call go? */
typedef enum LmEntry
{
	LM_ENTRY_YES,
	LM_ENTRY_NO,				/* no place, no rate, or not its turn */
	LM_ENTRY_HELD,				/* the door wants to be left alone */
	LM_ENTRY_CLOSED				/* ... for longer than a call can wait */
} LmEntry;

/* Take what a call needs, which it then says; held_until is of LM_ENTRY_HELD. */
extern LmEntry gepa_lm_limit_take(LmGuest *guest, uint64 door, LmClaim *claim,
								  int64 *held_until);

/* An attempt has ended; it could not be made; n were called back. */
extern void gepa_lm_limit_end(LmGuest *guest, const LmClaim *claim, const LmAttempt *attempt);
extern void gepa_lm_limit_unsent(LmGuest *guest, const LmClaim *claim);
extern void gepa_lm_limit_cancelled(LmGuest *guest, int n);

/* A call without a place (canned) has ended. */
extern void gepa_lm_limit_note(Oid serverid, const LmAttempt *attempt);

/* Wait for a turn, or do no longer (what was granted is then given back). */
extern void gepa_lm_limit_want(LmGuest *guest, bool wants);

/*
 * Whether it sleeps, so that a place may be granted to it; returns when it has to wake
 * by itself (gepa_clock_us(), PG_INT64_MAX = never).
 */
extern int64 gepa_lm_limit_attend(LmGuest *guest, bool attends);
extern bool gepa_lm_limit_granted(const LmGuest *guest);

/*
 * Doors: what an endpoint is to one key, as a hash.  It wants to be left alone until
 * then; for so long that calls fail until then, and why.
 */
extern void gepa_lm_limit_hold(Oid serverid, uint64 door, int64 until);
extern void gepa_lm_limit_close(Oid serverid, uint64 door, int64 until, const LmReply *why);
extern int64 gepa_lm_limit_held_until(Oid serverid, uint64 door);

/* Until when a door is closed, and the failure, without a hint; 0 = it is not. */
extern int64 gepa_lm_limit_closed_until(Oid serverid, uint64 door, LmReply *why);

/* It has answered, which is to be known until then; it has refused. */
extern int64 gepa_lm_limit_open_until(Oid serverid, uint64 door);
extern void gepa_lm_limit_answered(Oid serverid, uint64 door, int64 until);
extern void gepa_lm_limit_refused(Oid serverid, uint64 door);

/* gate.c: what the batches of this process on one LM share */

typedef struct LmGate LmGate;

/* The gate of a server; lasts as long as the process. */
extern LmGate *gepa_lm_gate_find(const LmServer *server);

/* Find it for calls to come, which are limited as the server says. */
extern LmGate *gepa_lm_gate_open(const LmServer *server, LmPurpose purpose);

/* What the server is to its key: a hash of all that says where and how it is called. */
extern uint64 gepa_lm_gate_door(const LmGate *gate);

/* What calls of this process have shown, for what budgets expect of those to come. */
extern LmShown *gepa_lm_gate_shown(LmGate *gate);

/* What a batch has of its gate; all of it is left at the batch's end. */
typedef struct LmVisit
{
	LmGate	   *gate;
	int			nplaces;		/* calls in flight */
	bool		wants;			/* waits for a turn */
} LmVisit;

/* A place for one call more, if it may go now. */
extern LmEntry gepa_lm_gate_enter(LmVisit *visit, LmClaim *claim);

/* The call has ended; it could not be sent. */
extern void gepa_lm_gate_leave(LmVisit *visit, const LmClaim *claim, const LmAttempt *attempt);
extern void gepa_lm_gate_unsent(LmVisit *visit, const LmClaim *claim);

/* All that are in flight are called back, and nothing is wanted any more. */
extern void gepa_lm_gate_abandon(LmVisit *visit);

/* A call that needs no place has ended. */
extern void gepa_lm_gate_note(LmVisit *visit, const LmAttempt *attempt);

/* Wait for a place, or do no longer. */
extern void gepa_lm_gate_want(LmVisit *visit, bool wants);

/*
 * What Retry-After said of an outcome: until when (gepa_clock_us()) nothing is
 * to be started, 0 if nothing; and when that is too long for a call to wait, the failure that
 * calls end with until then (NULL = none).
 */
extern void gepa_lm_gate_hold(LmGate *gate, const LmOutcome *outcome);
extern void gepa_lm_gate_close(LmGate *gate, LmReply *reply, const LmOutcome *outcome);
extern int64 gepa_lm_gate_held_until(const LmGate *gate);
extern const LmReply *gepa_lm_gate_why_closed(const LmGate *gate);

/* first.c: the first call of a batch, while nobody knows whether any is taken */

typedef struct LmFirst
{
	Oid			serverid;
	uint64		door;
	int64		known_until;	/* it has answered; gepa_clock_us() */
	bool		tried;			/* for this batch, whatever came of it */
	const void *call;			/* that goes alone; NULL = nobody waits */
	int64		alone_until;	/* gepa_clock_us() */
} LmFirst;

extern void gepa_lm_first_open(LmFirst *first, const LmServer *server, const LmGate *gate);

/* Until when a call waits for the first one, 0 = it does not; PG_INT64_MAX = until that ends. */
extern int64 gepa_lm_first_held_until(const LmFirst *first, const void *call);

/* Before calls are sent: has the first one taken too long? */
extern void gepa_lm_first_look(LmFirst *first, int64 now);

/* A call was sent; perhaps it is the first.  An attempt has ended; the call has. */
extern void gepa_lm_first_sent(LmFirst *first, const void *call, int64 now);
extern void gepa_lm_first_answered(LmFirst *first, const void *call,
								   const LmReply *reply);
extern void gepa_lm_first_ended(LmFirst *first, const void *call);

/* For the transport: has one been granted?  What does the process wait for? */
extern bool gepa_lm_gate_was_granted(void);
extern uint32 gepa_lm_gate_wait_event(void);

#endif							/* GEPA_LM_LM_LIMIT_H */
