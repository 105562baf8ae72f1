/*-------------------------------------------------------------------------
 *
 * reflect.c
 *	  Carrying out a REFLECT step: the reflection LM rewrites a component.
 *
 * The rollouts of the step to reflect on are read back from the tables, so
 * that a resumed run shows the LM what the undisturbed one would have.  The
 * documents appear as the judge saw them: cut and fenced.
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

#include "worker/worker_internal.h"

#define USEFUL_ATTEMPTS 2
#define FIRST_PAUSE_MS 1000

/*
 * Records
 */

static EngineValue
text_value(const char *text)
{
	EngineValue value;

	memset(&value, 0, sizeof(value));
	value.kind = ENGINE_VALUE_TEXT;
	value.text = text;
	return value;
}

static EngineValue
map_value(int n, const char *const *keys, const EngineValue *items)
{
	EngineValue value;

	memset(&value, 0, sizeof(value));
	value.kind = ENGINE_VALUE_MAP;
	value.nitems = n;
	value.keys = keys;
	value.items = items;
	return value;
}

/* What the judge said, or why it said nothing. */
static EngineValue
outputs_value(const JudgeVerdict *verdict)
{
	static const char *const answered[] = {"label", "reasoning"};
	static const char *const unanswered[] = {"failure", "answer"};
	EngineValue *items = palloc(sizeof(EngineValue) * 2);

	if (verdict->status == GEPA_STATUS_OK)
	{
		items[0] = text_value(verdict->label);
		items[1] = text_value(verdict->reasoning);
		return map_value(verdict->reasoning ? 2 : 1, answered, items);
	}
	items[0] = text_value(verdict->detail ? verdict->detail :
						  gepa_status_name(verdict->status));
	items[1] = text_value(verdict->answer);
	return map_value(verdict->answer ? 2 : 1, unanswered, items);
}

static EngineValue
record_value(const WorkerRun *run, const StoreRollout *rollout)
{
	static const char *const keys[] = {"Inputs", "Generated Outputs", "Feedback"};
	EngineValue *items = palloc(sizeof(EngineValue) * lengthof(keys));
	const StoreSample *sample = &run->samples[rollout->split][rollout->sample];

	items[0] = text_value(gepa_judge_render_document(run->seed, &sample->document));
	items[1] = outputs_value(&rollout->verdict);
	items[2] = text_value(rollout->feedback ? rollout->feedback : "");
	return map_value(lengthof(keys), keys, items);
}

/* The prompt; needs a transaction. */
static char *
make_prompt(const WorkerRun *run, const EngineStep *step)
{
	int			n;
	StoreRollout *rollouts = gepa_store_get_rollouts(run->row->run, run->seed,
													 step->records_step, &n);
	EngineValue *records = palloc(sizeof(EngineValue) * Max(n, 1));
	const char *template = run->options.reflection_template;

	for (int i = 0; i < n; i++)
	{
		if (rollouts[i].split < STORE_SPLIT_TRAIN || rollouts[i].split > STORE_SPLIT_VAL ||
			rollouts[i].sample < 0 || rollouts[i].sample >= run->nsamples[rollouts[i].split])
			elog(ERROR, "rollout %d of step %d has no sample", i, step->records_step);
		records[i] = record_value(run, &rollouts[i]);
	}
	return gepa_engine_render_reflection(template ? template : gepa_judge_reflection_template(),
										 step->texts[step->component], records, n,
										 run->options.expand_placeholders);
}

/*
 * Calling
 */

/* One call; NULL when asked to stop. */
static LmReply *
call_lm(const LmServer *lm, const char *prompt)
{
	LmMessage	message;
	LmRequest	request;
	LmBatch    *batch = gepa_lm_batch_open(lm);
	LmReply    *reply = NULL;

	message.role = LM_ROLE_USER;
	message.content = prompt;
	memset(&request, 0, sizeof(request));
	request.nmessages = 1;
	request.messages = &message;
	gepa_lm_batch_submit(batch, &request, NULL);
	while (reply == NULL && !gepa_worker_stop_requested())
		reply = gepa_lm_batch_collect(batch, WORKER_SLICE_MS);
	gepa_lm_batch_close(batch);
	return reply;
}

static bool
got_no_answer(const LmReply *reply)
{
	return reply->status == GEPA_STATUS_TIMEOUT || reply->status == GEPA_STATUS_HTTP_ERROR ||
		reply->status == GEPA_STATUS_BUDGET || reply->status == GEPA_STATUS_CANCELLED;
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
	if (text[strspn(text, " \t\r\n")] == '\0')
		entry->detail = "the answer holds no text";
	else if (chars > run->options.max_prompt_chars)
		entry->detail = psprintf("the new text has %d characters, more than max_prompt_chars (%d)",
								 chars, run->options.max_prompt_chars);
	else
		entry->new_text = text;
}

/*
 * One call, to the LM as it is now; NULL when asked to stop.  Raises what ends
 * the run: a call that cannot succeed, or the last of WORKER_ROUNDS that got
 * no answer.
 */
static LmReply *
ask_once(const WorkerRun *run, const char *prompt, int *unreached)
{
	LmServer   *lm;
	LmReply    *reply;

	gepa_worker_begin(run->step_context);
	lm = gepa_lm_resolve(run->row->reflection_lm, GetUserId());
	gepa_worker_commit(run->step_context);
	reply = call_lm(lm, prompt);
	if (reply != NULL && (reply->fatal ||
						  (got_no_answer(reply) && ++*unreached == WORKER_ROUNDS)))
		gepa_lm_report(lm, reply);
	gepa_lm_free(lm);
	return reply;
}

/* Ask until there is a text or no hope of one; false when asked to stop. */
static bool
ask(const WorkerRun *run, StoreStep *entry)
{
	int			unreached = 0;
	int			useless = 0;

	while (entry->new_text == NULL && useless < USEFUL_ATTEMPTS)
	{
		LmReply    *reply = ask_once(run, entry->prompt, &unreached);

		if (reply == NULL)
			return false;
		entry->input_tokens += reply->input_tokens;
		entry->output_tokens += reply->output_tokens;
		entry->cost += reply->cost;
		if (!got_no_answer(reply))
		{
			read_answer(run, reply, entry);
			useless++;
		}
		else if (!gepa_worker_pause(FIRST_PAUSE_MS << (unreached - 1)))
			return false;
	}
	return true;
}

bool
gepa_worker_reflect(WorkerRun *run, const EngineStep *step, StoreStep *entry)
{
	gepa_worker_begin(run->step_context);
	entry->prompt = make_prompt(run, step);
	gepa_worker_commit(run->step_context);
	return ask(run, entry);
}
