/*-------------------------------------------------------------------------
 *
 * ask.c
 *	  A prompt on its way to the reflection LM.
 *
 * Nothing here waits: a call is sent and polled.  That the LM cannot be reached is no
 * property of the prompt, so a call without an answer is repeated, with the LM as it is
 * by then; after WORKER_ROUNDS of them the run fails and can be resumed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "worker/worker_reflect.h"

#define FIRST_PAUSE_MS 1000

struct WorkerAsk
{
	WorkerRun  *run;
	StoreStep  *entry;			/* gets the figures of calls without an answer */
	const char *prompt;
	const JudgeImages *images;
	LmServer   *lm;
	LmBatch    *batch;			/* a call is under way; NULL = pause, or
								 * answered */
	int64		due;			/* of the next call, in a pause;
								 * gepa_clock_us() */
	bool		closed;			/* nothing is sent any more */
	bool		answered;
	int			unreached;		/* calls that got no answer */
};

/* A call to the LM as it is now. */
static void
send_call(WorkerAsk *ask)
{
	const StoreRun *run = ask->run->row;
	LmOrigin	origin = {.purpose = LM_PURPOSE_REFLECTION,.judge = run->judge,.run = run->run};
	MemoryContext context = CurrentMemoryContext;
	LmMessage	message;
	LmImage    *images = palloc0(sizeof(LmImage) * Max(ask->images->n, 1));
	LmRequest	request;

	gepa_worker_enter(ask->run, context);
	ask->lm = gepa_lm_resolve(run->reflection_lm, GetUserId());
	gepa_worker_commit(context);
	message.role = LM_ROLE_USER;
	message.content = unconstify(char *, ask->prompt);
	memset(&request, 0, sizeof(request));
	request.nmessages = 1;
	request.messages = &message;
	request.nimages = ask->images->n;
	request.images = images;
	for (int i = 0; i < ask->images->n; i++)
	{
		images[i].at = (int) strlen(ask->prompt);
		images[i].source = ask->images->sources[i];
	}
	ask->batch = gepa_lm_batch_open(ask->lm, &origin);
	gepa_lm_batch_charge(ask->batch, ask->run->budget);
	gepa_lm_batch_submit(ask->batch, &request, NULL);
	pfree(images);
}

/*
 * What ends the run is raised: a call that cannot succeed, the last of
 * WORKER_ROUNDS that got no answer, an endpoint that is closed for long.
 */
static long
pause_after(WorkerAsk *ask, const LmReply *reply)
{
	long		hold_ms = gepa_lm_hold_ms(ask->lm);

	if (reply->fatal || reply->rejected || reply->status == GEPA_STATUS_BUDGET ||
		++ask->unreached == WORKER_ROUNDS ||
		hold_ms > WORKER_LONGEST_HOLD_MS)
		gepa_lm_report(ask->lm, reply);
	return Max(FIRST_PAUSE_MS << (ask->unreached - 1), hold_ms);
}

static bool
is_exhausted(WorkerAsk *ask, const LmReply *reply)
{
	return reply->status == GEPA_STATUS_BUDGET && gepa_worker_note_denial(ask->run);
}

/* No answer: count what it took, and when to try again. */
static void
take_failure(WorkerAsk *ask, const LmReply *reply)
{
	StoreStep  *entry = ask->entry;
	long		pause_ms = 0;

	entry->calls += reply->calls;
	entry->input_tokens += reply->input_tokens;
	entry->output_tokens += reply->output_tokens;
	entry->cost += reply->cost;
	if (!ask->closed && !is_exhausted(ask, reply))
		pause_ms = pause_after(ask, reply);
	ask->due = gepa_clock_after_ms(pause_ms);
}

WorkerAsk *
gepa_worker_ask_begin(WorkerRun *run, StoreStep *entry)
{
	WorkerAsk  *ask = palloc0(sizeof(WorkerAsk));

	ask->run = run;
	ask->entry = entry;
	ask->answered = true;
	return ask;
}

void
gepa_worker_ask_send(WorkerAsk *ask, const char *prompt, const JudgeImages *images)
{
	static const JudgeImages none = {0};

	ask->images = images != NULL ? images : &none;
	ask->prompt = prompt;
	ask->answered = false;
	ask->due = 0;
	if (!ask->closed && ask->run->exhausted == NULL)
		send_call(ask);
}

LmReply *
gepa_worker_ask_poll(WorkerAsk *ask)
{
	LmReply    *reply;

	if (ask->answered)
		return NULL;
	if (ask->batch == NULL)
	{
		if (ask->closed || ask->run->exhausted != NULL || ask->due > gepa_clock_us())
			return NULL;
		send_call(ask);
	}
	reply = gepa_lm_batch_collect(ask->batch, 0);
	if (reply == NULL)
		return NULL;
	ask->answered = !reply->fatal && !gepa_status_no_answer(reply->status);
	if (!ask->answered)
		take_failure(ask, reply);
	gepa_lm_batch_close(ask->batch);
	gepa_lm_free(ask->lm);
	ask->batch = NULL;
	return ask->answered ? reply : NULL;
}

void
gepa_worker_ask_close(WorkerAsk *ask)
{
	ask->closed = true;
	if (ask->batch != NULL)
		gepa_lm_batch_stop(ask->batch);
}

bool
gepa_worker_ask_is_idle(const WorkerAsk *ask)
{
	return ask->batch == NULL;
}

int
gepa_worker_ask_wait_ms(const WorkerAsk *ask)
{
	return ask->answered || ask->batch != NULL || ask->run->exhausted != NULL ?
		WORKER_SLICE_MS : gepa_clock_ms_until(ask->due);
}
