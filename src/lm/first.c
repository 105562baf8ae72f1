/*-------------------------------------------------------------------------
 *
 * first.c
 *	  The first call to an endpoint goes alone.
 *
 * A wrong key, a wrong model or a dead endpoint is told by one call as well as by
 * sixteen, which would all be in flight before the first one's answer says so, and
 * of which a query needs only that one.  So a batch that does not know whether the
 * endpoint takes its calls has one call on the wire, and the others wait: until it
 * has been answered with anything but a failure that no call can escape, has ended,
 * or has been on the wire for LM_FIRST_ALONE_MS.  Then all go, as they do at
 * once where an answer came within LM_FIRST_LASTS_MS.  It also leaves the name
 * resolved for the others.
 *
 * What is known is kept by LM and door: a hash of all that says where and how it
 * is called, and of the key.  A change of any of them is another door.  Users with
 * the same key are one to the endpoint, and here.  With the library preloaded it is
 * kept with the LM in shared memory (record.c), else, or where there is no room, in
 * the process.
 *
 * Known hole: processes that begin at the same time, and judges of one statement,
 * have a first call each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "lm/lm_internal.h"
#include "lm/lm_limit.h"

/* Longer than most answers take; a model that is slower is held up by no more. */
#define LM_FIRST_ALONE_MS 2000

/* Keys and models seldom change; one that does costs a refusal for each call in flight. */
#define LM_FIRST_LASTS_MS (10 * 60 * 1000)

/* So often it is told to the others, not with each answer. */
#define TELL_MS (60 * 1000)

/* Until the attempt is made, and ends. */
#define UNTIL_IT_ENDS PG_INT64_MAX

void
gepa_lm_first_open(LmFirst *first, const LmServer *server, const LmGate *gate)
{
	memset(first, 0, sizeof(LmFirst));
	first->serverid = server->serverid;
	first->door = gepa_lm_gate_door(gate);
}

static bool
is_known(LmFirst *first, int64 now)
{
	if (first->tried || first->known_until > now)
		return true;
	first->known_until = gepa_lm_limit_open_until(first->serverid, first->door);
	return first->known_until > now;
}

int64
gepa_lm_first_held_until(const LmFirst *first, const void *call)
{
	return first->call == NULL || first->call == call ? 0 : first->alone_until;
}

void
gepa_lm_first_look(LmFirst *first, int64 now)
{
	if (first->call == NULL || first->alone_until > now)
		return;
	first->call = NULL;
	first->tried = true;
}

void
gepa_lm_first_sent(LmFirst *first, const void *call, int64 now)
{
	if (first->call == NULL && !is_known(first, now))
		first->call = call;
	if (first->call == call)
		first->alone_until = now + LM_FIRST_ALONE_MS * INT64CONST(1000);
}

static void
note_answer(LmFirst *first)
{
	int64		now = gepa_clock_us();

	first->call = NULL;
	first->tried = false;
	if (first->known_until > now + (LM_FIRST_LASTS_MS - TELL_MS) * INT64CONST(1000))
		return;
	first->known_until = now + LM_FIRST_LASTS_MS * INT64CONST(1000);
	gepa_lm_limit_answered(first->serverid, first->door, first->known_until);
}

static void
note_refusal(LmFirst *first)
{
	first->known_until = 0;
	gepa_lm_limit_refused(first->serverid, first->door);
}

void
gepa_lm_first_answered(LmFirst *first, const void *call, const LmReply *reply)
{
	if (reply->fatal)
		note_refusal(first);
	else if (reply->http_status > 0)
		note_answer(first);
	else if (first->call == call)
		first->alone_until = UNTIL_IT_ENDS;
}

void
gepa_lm_first_ended(LmFirst *first, const void *call)
{
	if (first->call != call)
		return;
	first->call = NULL;
	first->tried = true;
}
