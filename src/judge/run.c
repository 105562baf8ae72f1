/*-------------------------------------------------------------------------
 *
 * run.c
 *	  Judging documents: the one path from document to verdict.
 *
 * A run is a batch of calls on one LM with one spec.  Each submitted document
 * becomes a prompt; each reply becomes a verdict.  Both pass through a context
 * that is reset per document: the batch keeps a copy of the prompt, and the
 * caller gets one of what the verdict needs of the reply.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "judge/judge_internal.h"

/* What a call carries along. */
typedef struct Pending
{
	void	   *tag;
	int			chars_seen;
	int			chars_total;
} Pending;

struct JudgeRun
{
	MemoryContext context;
	MemoryContext scratch;		/* one prompt, or one reply */
	const JudgeSpec *spec;
	const LmServer *server;
	LmBatch    *batch;
	char	   *schema;
	JudgeExample *examples;
	int			nexamples;
};

JudgeRun *
gepa_judge_open(const JudgeSpec *spec, const LmServer *server, const LmOrigin *origin)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa judge run",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	JudgeRun   *run = palloc0(sizeof(JudgeRun));

	run->context = context;
	run->scratch = AllocSetContextCreate(context, "gepa judge prompt",
										 ALLOCSET_DEFAULT_SIZES);
	run->spec = spec;
	run->server = server;
	run->schema = gepa_judge_schema(spec);
	for (int i = 0; i < spec->ncomponents; i++)
		if (spec->components[i].kind == JUDGE_COMPONENT_EXAMPLES)
			run->examples = gepa_judge_examples_parse(spec, spec->components[i].text,
													  &run->nexamples);
	run->batch = gepa_lm_batch_open(server, origin);
	MemoryContextSwitchTo(old);
	return run;
}

void
gepa_judge_submit(JudgeRun *run, const JudgeDocument *document, const uint8 *digest, void *tag)
{
	Pending    *pending = MemoryContextAlloc(run->context, sizeof(Pending));
	MemoryContext old = MemoryContextSwitchTo(run->scratch);
	JudgePrompt prompt;
	LmRequest	request = {0};
	uint8		own[JUDGE_DIGEST_LENGTH];

	if (digest == NULL)
		gepa_judge_content_digest(document, own);
	gepa_judge_render(run->spec, run->examples, run->nexamples, document,
					  digest != NULL ? digest : own, &prompt);
	pending->tag = tag;
	pending->chars_seen = prompt.chars_seen;
	pending->chars_total = prompt.chars_total;
	request.nmessages = prompt.nmessages;
	request.messages = prompt.messages;
	request.schema_name = "verdict";
	request.schema = run->schema;
	request.nchoices = run->spec->nlabels;
	request.choices = (const char *const *) run->spec->labels;
	request.want_logprobs = true;
	gepa_lm_batch_submit(run->batch, &request, pending);
	MemoryContextSwitchTo(old);
	MemoryContextReset(run->scratch);
}

static char *
copy_text(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

/*
 * The reply goes as soon as it is read: with log-probabilities it is some
 * hundred times what the verdict keeps of it.
 */
bool
gepa_judge_collect(JudgeRun *run, int timeout_ms, void **tag, JudgeVerdict *verdict)
{
	MemoryContext old = MemoryContextSwitchTo(run->scratch);
	LmReply    *reply = gepa_lm_batch_collect(run->batch, timeout_ms);
	Pending    *pending;

	if (reply != NULL)
		gepa_judge_parse(run->spec, reply, verdict);
	MemoryContextSwitchTo(old);
	if (reply == NULL)
		return false;
	verdict->answer = copy_text(verdict->answer);
	verdict->reasoning = copy_text(verdict->reasoning);
	verdict->detail = copy_text(verdict->detail);
	verdict->hint = copy_text(verdict->hint);
	pending = reply->tag;
	verdict->chars_seen = pending->chars_seen;
	verdict->chars_total = pending->chars_total;
	*tag = pending->tag;
	pfree(pending);
	MemoryContextReset(run->scratch);
	return true;
}

void
gepa_judge_charge(JudgeRun *run, LmBudget *budget)
{
	gepa_lm_batch_charge(run->batch, budget);
}

int
gepa_judge_pending(const JudgeRun *run)
{
	return gepa_lm_batch_pending(run->batch);
}

int
gepa_judge_sent(const JudgeRun *run)
{
	return gepa_lm_batch_sent(run->batch);
}

int
gepa_judge_peak(const JudgeRun *run)
{
	return gepa_lm_batch_peak(run->batch);
}

int
gepa_judge_due_ms(const JudgeRun *run)
{
	return gepa_lm_batch_due_ms(run->batch);
}

void
gepa_judge_stop(JudgeRun *run)
{
	gepa_lm_batch_stop(run->batch);
}

void
gepa_judge_close(JudgeRun *run)
{
	gepa_lm_batch_close(run->batch);
	MemoryContextDelete(run->context);
}

void
gepa_judge_report(const JudgeSpec *spec, const LmServer *server, const JudgeVerdict *verdict)
{
	int			code = verdict->sqlerrcode ? verdict->sqlerrcode :
		ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;

	const char *advice = "Set gepa.on_error to null to get NULL for such documents.";

	if (verdict->status == GEPA_STATUS_BUDGET)
		advice = "Set gepa.on_budget to null to get NULL for such documents.";

	/* What ends every query is no matter of single documents. */
	if (verdict->hint != NULL)
		advice = verdict->fatal ? verdict->hint : psprintf("%s %s", verdict->hint, advice);
	ereport(ERROR,
			(errcode(code),
			 errmsg("judge \"%s\" has no verdict from LM \"%s\": %s",
					spec->name ? spec->name : "", server->name,
					gepa_status_name(verdict->status)),
			 verdict->detail ? errdetail("%s", verdict->detail) : 0,
			 errhint("%s", advice)));
}
