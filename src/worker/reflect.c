/*-------------------------------------------------------------------------
 *
 * reflect.c
 *	  Carrying out a REFLECT step: the reflection LM rewrites a component.
 *
 * A reflection never waits: it is begun and then polled (works.c).
 *
 * An answer that is no use (refused, cut off, empty, too long) is asked for
 * once more; then the iteration is given up, with the reason in its journal
 * entry.  That the LM cannot be reached is no property of the iteration:
 * giving up would spend the budget on iterations without a proposal, so after
 * WORKER_ROUNDS attempts the run fails and can be resumed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "base/text.h"
#include "worker/worker_internal.h"

#define USEFUL_ATTEMPTS 2
#define FIRST_PAUSE_MS 1000

/* The prompt of a step; needs a transaction. */
static char *
make_prompt(const WorkerRun *run, const EngineStep *step)
{
	EngineValue *records = gepa_worker_records(run, step);
	const char *template = run->options.reflection_template;

	if (template == NULL)
		template = gepa_worker_default_template(run, step);
	return gepa_engine_render_reflection(template,
										 step->texts[step->component], records, step->nrecords,
										 run->options.expand_placeholders);
}

/*
 * Calling
 */

struct WorkerReflection
{
	WorkerRun  *run;
	StoreStep  *entry;			/* where the outcome goes */
	LmServer   *lm;
	LmBatch    *batch;			/* a call is under way; NULL = pause */
	int64		due;			/* of the next call, in a pause;
								 * gepa_clock_us() */
	bool		closed;			/* nothing is sent any more */
	int			unreached;		/* calls that got no answer */
	int			useless;		/* answers that hold no text */
};

/* A call to the LM as it is now. */
static void
send_prompt(WorkerReflection *reflection)
{
	const StoreRun *run = reflection->run->row;
	LmOrigin	origin = {.purpose = LM_PURPOSE_REFLECTION,.judge = run->judge,.run = run->run};
	MemoryContext context = CurrentMemoryContext;
	LmMessage	message;
	LmRequest	request;

	gepa_worker_enter(reflection->run, context);
	reflection->lm = gepa_lm_resolve(run->reflection_lm, GetUserId());
	gepa_worker_commit(context);
	message.role = LM_ROLE_USER;
	message.content = reflection->entry->prompt;
	memset(&request, 0, sizeof(request));
	request.nmessages = 1;
	request.messages = &message;
	reflection->batch = gepa_lm_batch_open(reflection->lm, &origin);
	gepa_lm_batch_charge(reflection->batch, reflection->run->budget);
	gepa_lm_batch_submit(reflection->batch, &request, NULL);
}

/* Extract the new text; without one say why. */
static void
read_answer(const WorkerRun *run, const LmReply *reply, StoreStep *entry)
{
	char	   *text;
	int			chars;

	entry->answer = reply->content;
	entry->new_text = entry->detail = NULL;
	if (reply->status != GEPA_STATUS_OK || reply->content == NULL)
	{
		entry->detail = psprintf("the answer is no use (%s)%s%s",
								 gepa_status_name(reply->status),
								 reply->detail ? ": " : "", reply->detail ? reply->detail : "");
		return;
	}
	text = gepa_engine_extract_text(reply->content);
	chars = pg_mbstrlen(text);
	if (gepa_is_blank(text))
		entry->detail = "the answer holds no text";
	else if (chars > run->options.max_prompt_chars)
		entry->detail = psprintf("the new text has %d characters, more than max_prompt_chars (%d)",
								 chars, run->options.max_prompt_chars);
	else
		entry->new_text = text;
}

/*
 * What ends the run is raised: a call that cannot succeed, the last of
 * WORKER_ROUNDS that got no answer, an endpoint that is closed for long.
 */
static long
pause_after(WorkerReflection *reflection, const LmReply *reply)
{
	long		hold_ms = gepa_lm_hold_ms(reflection->lm);

	if (reply->fatal || reply->rejected || reply->status == GEPA_STATUS_BUDGET ||
		++reflection->unreached == WORKER_ROUNDS ||
		hold_ms > WORKER_LONGEST_HOLD_MS)
		gepa_lm_report(reflection->lm, reply);
	return Max(FIRST_PAUSE_MS << (reflection->unreached - 1), hold_ms);
}

static bool
is_exhausted(WorkerReflection *reflection, const LmReply *reply)
{
	return reply->status == GEPA_STATUS_BUDGET && gepa_worker_note_denial(reflection->run);
}

static void
take_reply(WorkerReflection *reflection, const LmReply *reply)
{
	StoreStep  *entry = reflection->entry;
	bool		failed = reply->fatal || gepa_status_no_answer(reply->status);
	long		pause_ms = 0;

	entry->calls += reply->calls;
	entry->input_tokens += reply->input_tokens;
	entry->output_tokens += reply->output_tokens;
	entry->cost += reply->cost;
	if (failed && !reflection->closed && !is_exhausted(reflection, reply))
		pause_ms = pause_after(reflection, reply);
	if (!failed)
	{
		read_answer(reflection->run, reply, entry);
		reflection->useless++;
	}
	gepa_lm_batch_close(reflection->batch);
	gepa_lm_free(reflection->lm);
	reflection->batch = NULL;
	reflection->due = gepa_clock_after_ms(pause_ms);
}

/*
 * The door
 */

WorkerReflection *
gepa_worker_reflection_begin(WorkerRun *run, const EngineStep *step, StoreStep *entry)
{
	MemoryContext context = CurrentMemoryContext;
	WorkerReflection *reflection = palloc0(sizeof(WorkerReflection));

	reflection->run = run;
	reflection->entry = entry;
	gepa_worker_enter(run, context);
	entry->prompt = make_prompt(run, step);
	gepa_worker_commit(context);
	send_prompt(reflection);
	return reflection;
}

bool
gepa_worker_reflection_poll(WorkerReflection *reflection)
{
	LmReply    *reply;

	if (reflection->batch == NULL)
	{
		if (reflection->closed || reflection->run->exhausted != NULL ||
			reflection->due > gepa_clock_us())
			return false;
		send_prompt(reflection);
	}
	reply = gepa_lm_batch_collect(reflection->batch, 0);
	if (reply == NULL)
		return false;
	take_reply(reflection, reply);
	return reflection->entry->new_text != NULL || reflection->useless >= USEFUL_ATTEMPTS;
}

void
gepa_worker_reflection_close(WorkerReflection *reflection)
{
	reflection->closed = true;
	if (reflection->batch != NULL)
		gepa_lm_batch_stop(reflection->batch);
}

bool
gepa_worker_reflection_is_idle(const WorkerReflection *reflection)
{
	return reflection->batch == NULL;
}

int
gepa_worker_reflection_wait_ms(const WorkerReflection *reflection)
{
	return reflection->batch != NULL || reflection->run->exhausted != NULL ? WORKER_SLICE_MS :
		gepa_clock_ms_until(reflection->due);
}
