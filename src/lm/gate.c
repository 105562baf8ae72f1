/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  What the batches of a process on one LM share.
 *
 * The gate knows how many calls the process has in flight, which of its
 * batches wait for a place, and what Retry-After said: that is said to the
 * client, not to one call.  Until then nothing is sent, and when that is
 * longer than a call can wait, calls fail at once.
 *
 * With the library preloaded places are those of all processes together
 * (limit.c): the process is a guest there while it has a call in flight or
 * waits to start one.  Otherwise, or when there is no room for it, it counts
 * its own calls alone.
 *
 * A place is granted to a process only while it sleeps in gepa_lm_wait().  It
 * is then taken by the first of its batches that tries to send, or given back
 * as soon as none waits for one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/wait.h"
#include "lm/lm_internal.h"
#include "lm/lm_limit.h"

/* Kept for good. */
struct LmGate
{
	LmGate	   *next;
	MemoryContext context;		/* of closed */
	Oid			serverid;
	uint32		door;			/* hash of address and key */
	int			limit;
	int			nrunning;		/* calls in flight */
	int			nwanting;		/* batches that wait for a place */
	LmGuest    *guest;			/* NULL = the limit holds for this process */
	int64		hold;			/* Retry-After: start nothing before;
								 * gepa_clock_us() */
	int64		closed_until;	/* one too long to wait for */
	const LmReply *closed;		/* ... what it came with */
	LmDoors		doors;			/* of the LM, if not in shared memory */
};

static LmGate *gates = NULL;

static uint32
hash_text(const char *text)
{
	return text == NULL ? 0 : hash_bytes((const unsigned char *) text, (int) strlen(text));
}

static LmGate *
make_gate(Oid serverid)
{
	LmGate	   *gate = MemoryContextAllocZero(TopMemoryContext, sizeof(LmGate));

	gate->context = AllocSetContextCreate(TopMemoryContext, "gepa lm gate",
										  ALLOCSET_SMALL_SIZES);
	gate->serverid = serverid;
	gate->next = gates;
	gates = gate;
	return gate;
}

/* What another address, or another key, was told is no longer to be kept to. */
LmGate *
gepa_lm_gate_find(const LmServer *server)
{
	uint32		door = hash_combine(hash_combine(hash_text(server->base_url),
												 hash_text(server->unix_socket)),
									hash_text(server->api_key));
	LmGate	   *gate = gates;

	while (gate != NULL && gate->serverid != server->serverid)
		gate = gate->next;
	if (gate == NULL)
		gate = make_gate(server->serverid);
	if (gate->door != door)
		gate->hold = gate->closed_until = 0;
	gate->door = door;
	return gate;
}

LmGate *
gepa_lm_gate_open(const LmServer *server)
{
	LmGate	   *gate = gepa_lm_gate_find(server);

	gate->limit = server->max_concurrency;
	gepa_lm_limit_set(gate->serverid, gate->limit);
	return gate;
}

LmDoors *
gepa_lm_gate_doors(LmGate *gate)
{
	return &gate->doors;
}

/*
 * Places
 */

static void
part_if_idle(LmGate *gate)
{
	if (gate->guest == NULL || gate->nrunning > 0 || gate->nwanting > 0)
		return;
	gepa_lm_limit_part(gate->guest);
	gate->guest = NULL;
}

bool
gepa_lm_gate_enter(LmVisit *visit)
{
	LmGate	   *gate = visit->gate;

	/* Calls that were not counted there are never given back there. */
	if (gate->guest == NULL && gate->nrunning == 0)
		gate->guest = gepa_lm_limit_join(gate->serverid, gate->limit);
	if (gate->guest != NULL ? !gepa_lm_limit_take(gate->guest) :
		gate->nrunning >= gate->limit)
		return false;
	gate->nrunning++;
	visit->nplaces++;
	return true;
}

void
gepa_lm_gate_leave(LmVisit *visit, int n)
{
	LmGate	   *gate = visit->gate;

	visit->nplaces -= n;
	gate->nrunning -= n;
	if (gate->guest != NULL && n > 0)
		gepa_lm_limit_give_back(gate->guest, n);
	part_if_idle(gate);
}

void
gepa_lm_gate_want(LmVisit *visit, bool wants)
{
	LmGate	   *gate = visit->gate;
	bool		wanted = gate->nwanting > 0;

	gate->nwanting += wants - visit->wants;
	visit->wants = wants;
	if (gate->guest != NULL && wanted != (gate->nwanting > 0))
		gepa_lm_limit_want(gate->guest, gate->nwanting > 0);
	part_if_idle(gate);
}

/*
 * Retry-After
 */

void
gepa_lm_gate_hold(LmGate *gate, const LmOutcome *outcome)
{
	int			ms = gepa_lm_retry_delay_ms(1, 0, outcome->retry_after_ms);

	gate->hold = Max(gate->hold, gepa_clock_after_ms(ms));
}

void
gepa_lm_gate_close(LmGate *gate, LmReply *reply, const LmOutcome *outcome)
{
	MemoryContext old;

	reply->hint = psprintf("The endpoint asks not to be called again for %lld s; try again then.",
						   (long long) (outcome->retry_after_ms / 1000));
	MemoryContextReset(gate->context);
	old = MemoryContextSwitchTo(gate->context);
	gate->closed = gepa_lm_copy_failure(palloc0(sizeof(LmReply)), reply);
	MemoryContextSwitchTo(old);
	gate->closed_until = gepa_clock_after_ms(outcome->retry_after_ms);
}

int64
gepa_lm_gate_held_until(const LmGate *gate)
{
	return gate->hold;
}

const LmReply *
gepa_lm_gate_why_closed(const LmGate *gate)
{
	return gate->closed_until > gepa_clock_us() ? gate->closed : NULL;
}

long
gepa_lm_hold_ms(const LmServer *server)
{
	const LmGate *gate = gepa_lm_gate_find(server);

	return gepa_clock_ms_until(Max(gate->hold, gate->closed_until));
}

/*
 * Waiting
 */

static bool
waits_for_place(const LmGate *gate)
{
	return gate->guest != NULL && gate->nwanting > 0;
}

/* Whether the process waits for a place at some gate. */
static bool
attend(bool attends)
{
	bool		any = false;

	for (LmGate *gate = gates; gate != NULL; gate = gate->next)
	{
		if (!waits_for_place(gate))
			continue;
		gepa_lm_limit_attend(gate->guest, attends);
		any = true;
	}
	return any;
}

void
gepa_lm_wait(int timeout_ms)
{
	if (timeout_ms == 0 || !attend(true))
	{
		gepa_lm_transport_wait(timeout_ms);
		return;
	}
	PG_TRY();
	{
		gepa_lm_transport_wait(timeout_ms);
	}
	PG_FINALLY();
	{
		(void) attend(false);
	}
	PG_END_TRY();
}

bool
gepa_lm_gate_was_granted(void)
{
	for (LmGate *gate = gates; gate != NULL; gate = gate->next)
		if (waits_for_place(gate) && gepa_lm_limit_granted(gate->guest))
			return true;
	return false;
}

uint32
gepa_lm_gate_wait_event(void)
{
	bool		place = false;

	for (LmGate *gate = gates; gate != NULL; gate = gate->next)
		place = place || waits_for_place(gate);
	return gepa_wait_event(place && gepa_lm_transport_running() == 0 ?
						   GEPA_WAIT_LM_SLOT : GEPA_WAIT_LM);
}
