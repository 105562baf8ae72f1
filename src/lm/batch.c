/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  Many calls on one LM: admission, retries, collecting.
 *
 * A call is QUEUED until it has a place in flight (gate.c); RUNNING while it
 * is on the wire; DELAYED while it waits to be tried again (it then takes no
 * place); DONE until it is collected.  Admission happens here and not in
 * libcurl, whose time-outs would count the time in its own queue.  The first call
 * may have to go alone (first.c).  After a failure that no further call can escape
 * (wrong key, unknown model, refused address) what is not yet on the wire is not sent:
 * it is DONE with the same failure.
 *
 * The batch is a memory context.  Its reset callback aborts what is on the
 * wire, so that ERROR, cancel and normal end leave nothing behind.  Each call
 * has a context of its own, which passes to the caller with the reply.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "lm/lm_internal.h"
#include "lm/lm_limit.h"

/* When a call looks again whether others' reservations are settled. */
#define BUDGET_LOOK_MS 20

typedef enum CallState
{
	CALL_QUEUED,				/* -> RUNNING, DONE */
	CALL_RUNNING,				/* -> DELAYED, DONE */
	CALL_DELAYED,				/* -> RUNNING, DONE */
	CALL_DONE					/* -> collected */
} CallState;

typedef struct Call
{
	dlist_node	node;			/* in the list of its state */
	LmBatch    *batch;
	MemoryContext context;		/* of the reply */
	CallState	state;
	bool		once;			/* as in the request */
	char	   *prompt;			/* for the log; NULL = not wanted */
	char	   *body;
	size_t		length;
	size_t		weight;			/* bytes that tokens are expected by */
	LmClaim		claim;			/* on the LM's limits */
	int			attempts;		/* that have ended */
	int64		started;		/* the last attempt; gepa_clock_us() */
	LmTransfer *transfer;		/* RUNNING only */
	int64		due;			/* DELAYED only */
	LmReservation reservation;	/* of the batch's budget */
	LmHold	   *hold;			/* as in the request */
	LmReply    *reply;
} Call;

struct LmBatch
{
	MemoryContext context;
	MemoryContextCallback on_reset;
	const LmServer *server;
	LmOrigin	origin;
	const LmProvider *provider;
	LmBudget   *budget;			/* NULL = none */
	int64		budget_due;		/* to ask it again, 0 = nobody waits for it */
	LmLine	   *line;			/* to the server */
	LmVisit		visit;			/* to the gate of the LM */
	LmFirst		first;			/* the call that goes alone, if one does */
	dlist_head	queued;
	dlist_head	running;
	dlist_head	delayed;
	dlist_head	done;
	bool		starved;		/* no descriptor for a further one */
	bool		stopped;		/* nothing is sent any more */
	int			peak;			/* of calls on the wire */
	int			npending;		/* submitted, not yet collected */
	size_t		bytes;			/* of all bodies */
	const LmReply *fatal;		/* why nothing is sent any more */
};

/*
 * Opening and closing
 */

/*
 * What is called back was sent, and is perhaps paid for.  The contexts of the
 * replies are gone by now.
 */
static void
log_cancelled(const LmBatch *batch, const Call *call, int attempts)
{
	LmReply		reply = {0};

	reply.status = GEPA_STATUS_CANCELLED;
	reply.attempts = attempts;
	reply.latency_ms = (gepa_clock_us() - call->started) / 1000.0;
	gepa_lm_log_call(batch->server, &batch->origin, &reply, call->prompt);
}

/* What it has taken nobody will say. */
static void
settle_cancelled(LmBatch *batch, Call *call)
{
	LmAmounts	spent = call->reservation.expected.likely;

	gepa_lm_budget_settle(batch->budget, &call->reservation, call->hold, &spent);
}

static void
abort_running(void *arg)
{
	LmBatch    *batch = arg;
	dlist_iter	iter;

	dlist_foreach(iter, &batch->delayed)
	{
		const Call *call = dlist_container(Call, node, iter.cur);

		log_cancelled(batch, call, call->attempts);
	}

	dlist_foreach(iter, &batch->running)
	{
		Call	   *call = dlist_container(Call, node, iter.cur);

		gepa_lm_transfer_free(call->transfer);
		settle_cancelled(batch, call);
		log_cancelled(batch, call, call->attempts + 1);
	}
	dlist_init(&batch->running);
	gepa_lm_line_close(batch->line);
	gepa_lm_gate_abandon(&batch->visit);
}

LmBatch *
gepa_lm_batch_open(const LmServer *server, const LmOrigin *origin)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa lm batch",
												  ALLOCSET_DEFAULT_SIZES);
	LmBatch    *batch = MemoryContextAllocZero(context, sizeof(LmBatch));
	MemoryContext old = MemoryContextSwitchTo(context);

	batch->context = context;
	batch->server = server;
	batch->origin = *origin;
	batch->provider = gepa_lm_provider(server->api);
	batch->line = gepa_lm_line_open(server, batch->provider);
	MemoryContextSwitchTo(old);
	batch->visit.gate = gepa_lm_gate_open(server, origin->purpose);
	gepa_lm_first_open(&batch->first, server, batch->visit.gate);
	dlist_init(&batch->queued);
	dlist_init(&batch->running);
	dlist_init(&batch->delayed);
	dlist_init(&batch->done);
	batch->on_reset.func = abort_running;
	batch->on_reset.arg = batch;
	MemoryContextRegisterResetCallback(context, &batch->on_reset);
	return batch;
}

void
gepa_lm_batch_close(LmBatch *batch)
{
	MemoryContextDelete(batch->context);
}

void
gepa_lm_batch_charge(LmBatch *batch, LmBudget *budget)
{
	batch->budget = budget;
}

int
gepa_lm_batch_pending(const LmBatch *batch)
{
	return batch->npending;
}

size_t
gepa_lm_batch_bytes(const LmBatch *batch)
{
	return batch->bytes;
}

int
gepa_lm_batch_sent(const LmBatch *batch)
{
	return batch->visit.nplaces;
}

int
gepa_lm_batch_peak(const LmBatch *batch)
{
	return batch->peak;
}

/*
 * Ends
 */

static void
call_done(Call *call)
{
	LmBatch    *batch = call->batch;
	LmReply    *reply = call->reply;

	gepa_lm_first_ended(&batch->first, call);
	gepa_lm_log_call(batch->server, &batch->origin, reply, call->prompt);
	call->state = CALL_DONE;
	dlist_push_tail(&batch->done, &call->node);
	batch->bytes -= call->body != NULL ? call->length : 0;
	if (call->prompt != NULL)
		pfree(call->prompt);
	if (call->body != NULL)
		pfree(call->body);
	call->prompt = call->body = NULL;
}

/* Why nothing is to be sent now; NULL if it may be. */
static const LmReply *
why_closed(const LmBatch *batch)
{
	if (batch->fatal != NULL)
		return batch->fatal;
	return gepa_lm_gate_why_closed(batch->visit.gate);
}

/* Finish a call that is not sent because of an earlier one's failure. */
static void
call_give_up(Call *call, const LmReply *why)
{
	MemoryContext old = MemoryContextSwitchTo(call->context);

	gepa_lm_copy_failure(call->reply, why);
	MemoryContextSwitchTo(old);
	call_done(call);
}

static void
give_up_list(dlist_head *list, const LmReply *why)
{
	while (!dlist_is_empty(list))
		call_give_up(dlist_container(Call, node, dlist_pop_head_node(list)), why);
}

/* The reply itself goes to whoever collects it. */
static void
stop_all(LmBatch *batch, const LmReply *why)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	batch->fatal = gepa_lm_copy_failure(palloc0(sizeof(LmReply)), why);
	MemoryContextSwitchTo(old);
}

/*
 * What is done about an outcome
 */

static void
delay(Call *call, const LmOutcome *outcome)
{
	LmBatch    *batch = call->batch;
	int			ms = gepa_lm_retry_delay_ms(call->reply->attempts,
											pg_prng_double(&pg_global_prng_state),
											outcome->retry_after_ms);

	call->due = gepa_clock_after_ms(ms);
	call->state = CALL_DELAYED;
	dlist_push_tail(&batch->delayed, &call->node);
}

/* Take a failed attempt's words back before the next one. */
static void
clear_reply(LmReply *reply)
{
	LmReply		fresh = {0};

	fresh.tag = reply->tag;
	fresh.attempts = reply->attempts;
	fresh.calls = reply->calls;
	fresh.throttled = reply->throttled;
	*reply = fresh;
}

/* The endpoint wants to be left alone for longer than a call can wait. */
static bool
is_long_hold(const LmOutcome *outcome)
{
	return outcome->failure == LM_FAILURE_HTTP &&
		outcome->retry_after_ms > LM_MAX_RETRY_AFTER_MS;
}

/* A gateway's status may stand in the body of a 200. */
static bool
may_retry(const Call *call, const LmOutcome *outcome)
{
	const LmReply *reply = call->reply;
	LmFailure	failure = outcome->failure;

	if (failure == LM_FAILURE_NONE && reply->http_status != outcome->http_status)
		failure = LM_FAILURE_HTTP;
	return !call->once && !reply->fatal && why_closed(call->batch) == NULL &&
		reply->attempts < LM_MAX_ATTEMPTS && reply->status != GEPA_STATUS_TOO_LONG &&
		!is_long_hold(outcome) &&
		gepa_lm_may_retry(failure, reply->http_status);
}

/* For the limits, and for who counts. */
static LmAttempt
describe_attempt(const Call *call, const LmOutcome *outcome, bool last)
{
	const LmReply *reply = call->reply;
	LmAttempt	attempt = {0};

	attempt.spent.sent_at = call->started;
	attempt.spent.requests = outcome->sends;
	attempt.spent.answered = outcome->failure == LM_FAILURE_NONE && reply->http_status == 200;
	attempt.spent.overloaded = gepa_lm_is_overload(reply);
	attempt.spent.counted = reply->input_tokens + reply->output_tokens > 0 ||
		outcome->failure == LM_FAILURE_HTTP || outcome->sends == 0;
	attempt.spent.input_tokens = reply->input_tokens;
	attempt.spent.output_tokens = reply->output_tokens;
	attempt.error = gepa_lm_error_of(outcome->failure, reply);
	attempt.last = last;
	attempt.latency_ms = reply->latency_ms;
	attempt.cost = reply->cost;
	return attempt;
}

/* Before it leaves, so that who comes next knows what was said. */
static void
call_leaves(Call *call, const LmOutcome *outcome, bool last)
{
	LmBatch    *batch = call->batch;
	LmAttempt	attempt = describe_attempt(call, outcome, last);

	/* Even if this call is not tried again. */
	if (outcome->failure == LM_FAILURE_HTTP && outcome->retry_after_ms > 0)
		gepa_lm_gate_hold(batch->visit.gate, outcome);
	gepa_lm_gate_leave(&batch->visit, &call->claim, &attempt);
	gepa_lm_first_answered(&batch->first, call, call->reply);
}

/* The attempt is over.  A 200 without usage costs what such calls do. */
static void
settle(Call *call, int sends)
{
	LmBatch    *batch = call->batch;
	const LmReply *reply = call->reply;
	LmAmounts	spent = call->reservation.expected.likely;

	if (reply->status != GEPA_STATUS_OK || reply->input_tokens > 0)
	{
		spent.of[LM_TOKENS] = (int64) reply->input_tokens + reply->output_tokens;
		spent.of[LM_COST] = gepa_lm_cost_units(reply->cost);
	}
	spent.of[LM_CALLS] = sends;
	gepa_lm_budget_settle(batch->budget, &call->reservation, call->hold, &spent);
	gepa_lm_show(gepa_lm_gate_shown(batch->visit.gate), call->weight, reply->input_tokens,
				 reply->output_tokens);
}

static void
call_ended(LmTransfer *transfer, const LmOutcome *end, void *arg)
{
	LmOutcome	told = *end;
	const LmOutcome *outcome = &told;
	Call	   *call = arg;
	LmBatch    *batch = call->batch;
	LmReply    *reply = call->reply;
	MemoryContext old = MemoryContextSwitchTo(call->context);
	bool		again;

	told.retry_after_ms = gepa_lm_retry_after(batch->provider, end);
	clear_reply(reply);
	reply->calls += outcome->sends;
	reply->attempts += Max(outcome->sends, 1);	/* a try to connect is one,
												 * too */
	gepa_lm_read_outcome(batch->server, batch->provider, outcome, reply);
	reply->cause = gepa_lm_find_cause(batch->server, outcome, reply);
	reply->throttled += reply->http_status == 429;
	reply->retry_after_ms = outcome->retry_after_ms;
	reply->cost = gepa_lm_cost(batch->server, reply);
	call->attempts = reply->attempts;
	settle(call, outcome->sends);
	if (is_long_hold(outcome))
		gepa_lm_gate_close(batch->visit.gate, reply, outcome);
	MemoryContextSwitchTo(old);

	call->transfer = NULL;
	gepa_lm_transfer_free(transfer);	/* and with it the outcome's texts */
	told.body = told.error = NULL;
	dlist_delete(&call->node);
	again = may_retry(call, outcome);
	call_leaves(call, outcome, !again);
	if (again)
		delay(call, outcome);
	else
		call_done(call);
	if (reply->fatal && batch->fatal == NULL)
		stop_all(batch, reply);
}

/*
 * Admission
 */

/* Returns false when it must stay where it is for want of a descriptor. */
static bool
call_start(Call *call)
{
	LmBatch    *batch = call->batch;
	LmPost		post = {call->body, call->length, LM_MAX_ATTEMPTS - call->reply->attempts};
	const char *error;

	if (call->reservation.exact)
		post.max_sends = 1;
	call->transfer = gepa_lm_transfer_start(batch->line, &post, call_ended, call, &error);
	if (call->transfer == NULL)
	{
		MemoryContext old;

		/* The end of any other will leave one, whatever batch it is of. */
		if (gepa_lm_transport_running() > 0)
			return false;
		old = MemoryContextSwitchTo(call->context);
		gepa_lm_set_failure(call->reply, GEPA_STATUS_HTTP_ERROR, ERRCODE_INSUFFICIENT_RESOURCES,
							psprintf("The request could not be started: %s.", error),
							"Raise max_files_per_process or close other sessions.");
		MemoryContextSwitchTo(old);
		dlist_delete(&call->node);
		call_done(call);
		return true;
	}
	call->started = gepa_clock_us();
	dlist_delete(&call->node);
	call->state = CALL_RUNNING;
	dlist_push_tail(&batch->running, &call->node);
	batch->peak = Max(batch->peak, batch->visit.nplaces);
	gepa_lm_first_sent(&batch->first, call, call->started);
	return true;
}

/* What it asks of the LM's limits. */
static LmEntry
enter(Call *call)
{
	call->claim.bytes = call->weight;
	call->claim.max_tokens = call->batch->server->max_tokens;
	return gepa_lm_gate_enter(&call->batch->visit, &call->claim);
}

/* It ends without having been sent. */
static void
call_denied(Call *call)
{
	LmBatch    *batch = call->batch;
	MemoryContext old = MemoryContextSwitchTo(call->context);

	clear_reply(call->reply);
	gepa_lm_budget_explain(batch->budget, call->reply);
	MemoryContextSwitchTo(old);
	dlist_delete(&call->node);
	call_done(call);
}

/*
 * Does the budget allow it?  One that has to wait for others to settle, perhaps
 * elsewhere, asks again soon.
 */
static bool
may_spend(Call *call)
{
	LmBatch    *batch = call->batch;

	switch (gepa_lm_budget_reserve(batch->budget, batch->server,
								   gepa_lm_gate_shown(batch->visit.gate), call->weight,
								   call->hold, &call->reservation))
	{
		case LM_GRANTED:
			return true;
		case LM_NOT_NOW:
			batch->budget_due = gepa_clock_after_ms(BUDGET_LOOK_MS);
			break;
		case LM_DENIED:
			call_denied(call);
			break;
	}
	return false;
}

/* So must those behind it, but for calls that were reserved with others before. */
static bool
must_wait(const Call *call)
{
	return call->batch->budget_due > 0 && call->hold == NULL;
}

static void
call_answered(Call *call)
{
	LmReply    *reply = call->reply;
	LmOutcome	outcome = {.sends = 1};
	LmAttempt	attempt;

	reply->attempts = reply->calls = 1;
	reply->cost = gepa_lm_cost(call->batch->server, reply);
	attempt = describe_attempt(call, &outcome, true);
	attempt.spent.answered = true;
	gepa_lm_gate_note(&call->batch->visit, &attempt);
	settle(call, 1);
	dlist_delete(&call->node);
	call_done(call);
}

/* Of a provider that sends nothing, whose answers are there. */
static void
admit_answered(LmBatch *batch)
{
	dlist_mutable_iter iter;

	batch->budget_due = 0;
	dlist_foreach_modify(iter, &batch->queued)
	{
		Call	   *call = dlist_container(Call, node, iter.cur);

		if (may_spend(call))
			call_answered(call);
		else if (must_wait(call))
			break;
	}
}

/* Start those whose time has come; returns false when one found no place. */
static bool
admit_list(LmBatch *batch, dlist_head *list, int64 now)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, list)
	{
		Call	   *call = dlist_container(Call, node, iter.cur);
		LmEntry		entry;

		if ((call->state == CALL_DELAYED && call->due > now) ||
			gepa_lm_first_held_until(&batch->first, call) > now)
			continue;
		if (!may_spend(call))
		{
			if (must_wait(call))
				break;
			continue;
		}
		entry = enter(call);
		if (entry == LM_ENTRY_YES)
			batch->starved = !call_start(call);
		if (call->state == CALL_RUNNING)
			continue;

		/* Nobody is to wait for one that waits itself. */
		gepa_lm_budget_release(batch->budget, &call->reservation);
		if (entry != LM_ENTRY_YES)
			return entry != LM_ENTRY_NO;
		gepa_lm_gate_unsent(&batch->visit, &call->claim);
		if (batch->starved)
			break;
	}
	return true;
}

static bool
give_up_if_closed(LmBatch *batch)
{
	const LmReply *why = why_closed(batch);

	if (why == NULL)
		return false;
	give_up_list(&batch->delayed, why);
	give_up_list(&batch->queued, why);
	return true;
}

/* Those that were tried before go first; returns false for want of a place. */
static bool
admit_some(LmBatch *batch)
{
	int64		now = gepa_clock_us();
	bool		all;

	if (batch->stopped || give_up_if_closed(batch))
		return true;
	if (batch->provider->answer != NULL)
	{
		admit_answered(batch);
		return true;
	}
	batch->starved = false;
	batch->budget_due = 0;
	gepa_lm_first_look(&batch->first, now);
	if (gepa_lm_gate_held_until(batch->visit.gate) > now)
		return true;
	all = admit_list(batch, &batch->delayed, now) &&
		(batch->starved || batch->budget_due > 0 || admit_list(batch, &batch->queued, now));

	/* Another process may have been told meanwhile. */
	return give_up_if_closed(batch) || all;
}

static void
admit(LmBatch *batch)
{
	gepa_lm_gate_want(&batch->visit, !admit_some(batch));
}

/* When a call that is not on the wire may be sent, if nothing else happens. */
static int64
call_due(const LmBatch *batch, const Call *call)
{
	int64		due = Max(gepa_lm_gate_held_until(batch->visit.gate),
						  gepa_lm_first_held_until(&batch->first, call));

	return call->state == CALL_DELAYED ? Max(due, call->due) : due;
}

/* When admit() may have something to do without a transfer ending; 0 = never. */
static int64
next_due(LmBatch *batch)
{
	int64		next = PG_INT64_MAX;
	int64		queued = 0;
	dlist_iter	iter;

	if (batch->stopped || batch->starved || batch->visit.wants)
		return 0;
	if (batch->budget_due > 0)
		return batch->budget_due;
	if (!dlist_is_empty(&batch->queued))
		queued = call_due(batch, dlist_head_element(Call, node, &batch->queued));
	if (queued > 0)
		next = queued;
	dlist_foreach(iter, &batch->delayed)
		next = Min(next, call_due(batch, dlist_container(Call, node, iter.cur)));
	return next == PG_INT64_MAX ? 0 : next;
}

/*
 * Submitting and collecting
 */

/* What building takes besides is left in the current context, not for the batch's life. */
static void
build_body(Call *call, const LmRequest *request)
{
	LmBatch    *batch = call->batch;
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	StringInfoData body;
	char	   *text;

	initStringInfo(&body);
	MemoryContextSwitchTo(old);
	batch->provider->build(batch->server, request, &body);
	text = gepa_to_utf8(body.data, body.len);
	call->length = strlen(text);
	call->weight = gepa_lm_weigh(request, call->length);
	batch->bytes += call->length;
	call->body = text;
	if (text == body.data)
		return;
	call->body = MemoryContextStrdup(batch->context, text);
	pfree(body.data);
}

/* By a provider that sends nothing: only a budget can keep the answer back. */
static void
answer_now(Call *call, const LmRequest *request)
{
	MemoryContext old = MemoryContextSwitchTo(call->context);

	for (int i = 0; i < request->nmessages; i++)
		call->weight += strlen(request->messages[i].content);
	call->weight += request->nimages * LM_IMAGE_WEIGHT;
	call->batch->provider->answer(call->batch->server, request, call->reply);
	MemoryContextSwitchTo(old);
}

void
gepa_lm_batch_submit(LmBatch *batch, const LmRequest *request, void *tag)
{
	MemoryContext context = AllocSetContextCreate(batch->context, "gepa lm call",
												  ALLOCSET_SMALL_SIZES);
	Call	   *call = MemoryContextAllocZero(batch->context, sizeof(Call));
	MemoryContext old;

	call->batch = batch;
	call->once = request->once;
	call->hold = request->hold;
	call->context = context;
	call->reply = MemoryContextAllocZero(context, sizeof(LmReply));
	call->reply->tag = tag;
	old = MemoryContextSwitchTo(batch->context);
	call->prompt = gepa_lm_log_prompt(request);
	MemoryContextSwitchTo(old);
	batch->npending++;
	if (batch->provider->answer != NULL)
		answer_now(call, request);
	else
		build_body(call, request);
	dlist_push_tail(&batch->queued, &call->node);

	/* A caller with many documents has the first answers when it asks. */
	admit(batch);
	if (batch->provider->answer == NULL)
		gepa_lm_transport_look();
}

/* Pass the oldest finished call's reply to the current context. */
static LmReply *
take_done(LmBatch *batch)
{
	Call	   *call = dlist_container(Call, node, dlist_pop_head_node(&batch->done));
	LmReply    *reply = call->reply;

	MemoryContextSetParent(call->context, CurrentMemoryContext);
	batch->npending--;
	pfree(call);
	return reply;
}

/* Milliseconds until a time, 0 if it has come; -1 for never. */
static int
ms_until(int64 when)
{
	return when == 0 ? -1 : gepa_clock_ms_until(when);
}

int
gepa_lm_batch_due_ms(LmBatch *batch)
{
	return dlist_is_empty(&batch->done) ? ms_until(next_due(batch)) : 0;
}

LmReply *
gepa_lm_batch_collect(LmBatch *batch, int timeout_ms)
{
	int64		deadline = timeout_ms < 0 ? 0 : gepa_clock_after_ms(timeout_ms);
	bool		waited = false;

	for (;;)
	{
		int			left;
		int			due;

		/* What has come was paid for: hand it out before an interrupt. */
		if (!dlist_is_empty(&batch->done))
		{
			admit(batch);
			return take_done(batch);
		}
		CHECK_FOR_INTERRUPTS();
		admit(batch);
		if (!dlist_is_empty(&batch->done))
			continue;
		left = ms_until(deadline);
		if (batch->npending == 0 || (left == 0 && waited))
			return NULL;
		due = ms_until(next_due(batch));
		if (left >= 0 && (due < 0 || due > left))
			due = left;
		gepa_lm_wait(due);
		waited = true;
	}
}

void
gepa_lm_batch_stop(LmBatch *batch)
{
	batch->stopped = true;
	gepa_lm_gate_want(&batch->visit, false);
}

LmReply *
gepa_lm_call(const LmServer *server, const LmOrigin *origin, const LmRequest *request)
{
	LmBatch    *batch = gepa_lm_batch_open(server, origin);
	LmReply    *reply;

	gepa_lm_batch_submit(batch, request, NULL);
	reply = gepa_lm_batch_collect(batch, -1);
	gepa_lm_batch_close(batch);
	return reply;
}
