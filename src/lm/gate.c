/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  What the batches of a process on one LM share.
 *
 * The gate knows how many calls the process has in flight, which of its
 * batches wait for a turn, and what Retry-After said: that is said to the
 * client, not to one call.  Until then nothing is sent, and when that is
 * longer than a call can wait, calls fail at once.
 *
 * Turns are those of all processes together (limit.c), where that is possible: the
 * process is a guest there while it has a call in flight or waits to start one.  What
 * Retry-After said is kept there, too; the gate has a copy of what it was told
 * last, so that it need not ask before it has a call to send.
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
	uint64		door;
	LmClass		class;			/* of the batch that was opened last */
	LmLimits	limits;
	LmShown		shown;			/* by the process's calls, of any key */
	int			nrunning;		/* calls in flight */
	int			nwanting;		/* batches that wait for a turn */
	LmGuest    *guest;			/* while either is above 0 */
	int64		hold;			/* Retry-After: start nothing before;
								 * gepa_clock_us() */
	int64		closed_until;	/* one too long to wait for */
	const LmReply *closed;		/* ... what it came with */
};

static LmGate *gates = NULL;

static uint64
hash_text(uint64 door, const char *text)
{
	if (text == NULL)
		return hash_combine64(door, 0);
	return hash_combine64(door, hash_bytes_extended((const unsigned char *) text,
													(int) strlen(text) + 1, door));
}

static uint64
find_door(const LmServer *server)
{
	const char *const parts[] = {
		server->base_url, server->model, server->api_key, server->extra_body, server->proxy,
		server->unix_socket, server->ca_file, server->client_cert, server->client_key
	};
	uint64		door = server->api * 2 + server->allow_private_address;

	for (int i = 0; i < lengthof(parts); i++)
		door = hash_text(door, parts[i]);
	return door;
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
	uint64		door = find_door(server);
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

static LmClass
class_of(LmPurpose purpose)
{
	switch (purpose)
	{
		case LM_PURPOSE_ROLLOUT:
		case LM_PURPOSE_REFLECTION:
		case LM_PURPOSE_GRADER:
			return LM_CLASS_RUN;
		case LM_PURPOSE_JOB:
			return LM_CLASS_JOB;
		case LM_PURPOSE_JUDGE:
		case LM_PURPOSE_REPORT:
		case LM_PURPOSE_CHECK:
			break;
	}
	return LM_CLASS_QUERY;
}

LmGate *
gepa_lm_gate_open(const LmServer *server, LmPurpose purpose)
{
	LmGate	   *gate = gepa_lm_gate_find(server);

	gate->class = class_of(purpose);
	gate->limits.max_concurrency = server->max_concurrency;
	gate->limits.requests_per_minute = server->requests_per_minute;
	gate->limits.tokens_per_minute = server->tokens_per_minute;
	gepa_lm_limit_open(gate->serverid, &gate->limits);
	return gate;
}

uint64
gepa_lm_gate_door(const LmGate *gate)
{
	return gate->door;
}

LmShown *
gepa_lm_gate_shown(LmGate *gate)
{
	return &gate->shown;
}

/*
 * Turns
 */

static void
part_if_idle(LmGate *gate)
{
	if (gate->guest == NULL || gate->nrunning > 0 || gate->nwanting > 0)
		return;
	gepa_lm_limit_part(gate->guest);
	gate->guest = NULL;
}

static void
set_closed_hint(LmReply *reply)
{
	reply->hint = psprintf("The endpoint asks not to be called again for %lld s; try again then.",
						   (long long) (reply->retry_after_ms / 1000));
}

/* What another process was told holds for this one. */
static void
note_closed(LmGate *gate)
{
	MemoryContext old;
	LmReply    *why;

	MemoryContextReset(gate->context);
	old = MemoryContextSwitchTo(gate->context);
	why = palloc0(sizeof(LmReply));
	gate->closed_until = gepa_lm_limit_closed_until(gate->serverid, gate->door, why);
	set_closed_hint(why);
	gate->closed = why;
	MemoryContextSwitchTo(old);
}

LmEntry
gepa_lm_gate_enter(LmVisit *visit, LmClaim *claim)
{
	LmGate	   *gate = visit->gate;
	int64		held_until;
	LmEntry		entry;

	if (gate->guest == NULL)
		gate->guest = gepa_lm_limit_join(gate->serverid, &gate->limits, gate->class);
	entry = gepa_lm_limit_take(gate->guest, gate->door, claim, &held_until);
	if (entry == LM_ENTRY_YES)
	{
		gate->nrunning++;
		visit->nplaces++;
	}
	if (entry == LM_ENTRY_HELD)
		gate->hold = held_until;
	if (entry == LM_ENTRY_CLOSED)
		note_closed(gate);
	return entry;
}

static void
leave(LmVisit *visit, int n)
{
	visit->nplaces -= n;
	visit->gate->nrunning -= n;
	part_if_idle(visit->gate);
}

void
gepa_lm_gate_leave(LmVisit *visit, const LmClaim *claim, const LmAttempt *attempt)
{
	gepa_lm_limit_end(visit->gate->guest, claim, attempt);
	leave(visit, 1);
}

void
gepa_lm_gate_unsent(LmVisit *visit, const LmClaim *claim)
{
	gepa_lm_limit_unsent(visit->gate->guest, claim);
	leave(visit, 1);
}

void
gepa_lm_gate_abandon(LmVisit *visit)
{
	gepa_lm_gate_want(visit, false);
	if (visit->nplaces > 0)
		gepa_lm_limit_cancelled(visit->gate->guest, visit->nplaces);
	leave(visit, visit->nplaces);
}

void
gepa_lm_gate_note(LmVisit *visit, const LmAttempt *attempt)
{
	gepa_lm_limit_note(visit->gate->serverid, attempt);
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
	gepa_lm_limit_hold(gate->serverid, gate->door, gate->hold);
}

void
gepa_lm_gate_close(LmGate *gate, LmReply *reply, const LmOutcome *outcome)
{
	MemoryContext old;

	set_closed_hint(reply);
	MemoryContextReset(gate->context);
	old = MemoryContextSwitchTo(gate->context);
	gate->closed = gepa_lm_copy_failure(palloc0(sizeof(LmReply)), reply);
	MemoryContextSwitchTo(old);
	gate->closed_until = gepa_clock_after_ms(outcome->retry_after_ms);
	gepa_lm_limit_close(gate->serverid, gate->door, gate->closed_until, reply);
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

	return gepa_clock_ms_until(gepa_lm_limit_held_until(gate->serverid, gate->door));
}

/*
 * Waiting
 */

static bool
waits_for_turn(const LmGate *gate)
{
	return gate->guest != NULL && gate->nwanting > 0;
}

/* Whether the process waits for a turn at some gate; and when it has to look again. */
static bool
attend(bool attends, int64 *due)
{
	bool		any = false;

	*due = PG_INT64_MAX;
	for (LmGate *gate = gates; gate != NULL; gate = gate->next)
	{
		if (!waits_for_turn(gate))
			continue;
		*due = Min(*due, gepa_lm_limit_attend(gate->guest, attends));
		any = true;
	}
	return any;
}

static int
sooner_ms(int timeout_ms, int64 due)
{
	int			ms;

	if (due == PG_INT64_MAX)
		return timeout_ms;
	ms = gepa_clock_ms_until(due);
	return timeout_ms < 0 ? ms : Min(timeout_ms, ms);
}

void
gepa_lm_wait(int timeout_ms)
{
	int64		due;

	if (timeout_ms == 0 || !attend(true, &due))
	{
		gepa_lm_transport_wait(timeout_ms);
		return;
	}
	PG_TRY();
	{
		gepa_lm_transport_wait(sooner_ms(timeout_ms, due));
	}
	PG_FINALLY();
	{
		(void) attend(false, &due);
	}
	PG_END_TRY();
}

bool
gepa_lm_gate_was_granted(void)
{
	for (LmGate *gate = gates; gate != NULL; gate = gate->next)
		if (waits_for_turn(gate) && gepa_lm_limit_granted(gate->guest))
			return true;
	return false;
}

uint32
gepa_lm_gate_wait_event(void)
{
	bool		turn = false;

	for (LmGate *gate = gates; gate != NULL; gate = gate->next)
		turn = turn || waits_for_turn(gate);
	return gepa_wait_event(turn && gepa_lm_transport_running() == 0 ?
						   GEPA_WAIT_LM_SLOT : GEPA_WAIT_LM);
}
