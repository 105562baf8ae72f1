/*-------------------------------------------------------------------------
 *
 * grading.c
 *	  Asking graders, many outputs at a time.
 *
 * A task is an output on its way through all graders of the list.  Those that need
 * nobody answer at once, functions and kept results in start(), the others by calls: one
 * batch per grader, on its LM, so that each LM keeps its own limits.  Two outputs that
 * show a grader the same are one call while it is under way (a document is graded once
 * for all candidates), and one row afterwards.  What another grading of the caller's has
 * asked, and has not kept yet, is waited for (ApplyAsked).
 *
 * A task whose grader got no answer comes out as failed, and whoever submitted it may do
 * so again: what the others said is kept by then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "apply/apply.h"

typedef struct Task
{
	void	   *tag;
	const JudgeGraderSample *sample;
	const JudgeGraderOutput *output;
	int			nmissing;		/* graders that have not had their say */
	JudgeGraderResult *results;
} Task;

/* A call, and those who wait for it; the first has submitted it. */
typedef struct Call
{
	int			grader;
	uint8		shown[JUDGE_DIGEST_LENGTH];
	LmRequest	request;
	List	   *tasks;
} Call;

/* What was asked and is not kept. */
typedef struct Key
{
	const ApplyGrading *by;
	uint8		grader[JUDGE_DIGEST_LENGTH];
	uint8		shown[JUDGE_DIGEST_LENGTH];
} Key;

/* A task that waits for what another grading asks. */
typedef struct Wait
{
	Task	   *task;
	int			grader;
	uint8		shown[JUDGE_DIGEST_LENGTH];
} Wait;

struct ApplyGrading
{
	MemoryContext context;
	const ApplyGraders *graders;
	LmOrigin	origin;
	LmBudget   *budget;
	ApplyAsked *asked;
	List	   *waits;			/* of Wait */
	LmBatch   **batches;		/* by grader; NULL = none yet */
	List	   *submitted;		/* of Task, not started */
	List	   *to_send;		/* of Call */
	List	   *calls;			/* of Call, under way */
	List	   *complete;		/* of Task */
	int			pending;		/* tasks */
	bool		raw;
	bool		stopped;
	List	   *unsaved;		/* of StoreGraderCall */
};

ApplyGrading *
gepa_apply_grading_open(const ApplyGraders *graders, const LmOrigin *origin, LmBudget *budget,
						ApplyAsked *asked)
{
	ApplyGrading *grading = palloc0(sizeof(ApplyGrading));

	grading->context = CurrentMemoryContext;
	grading->graders = graders;
	grading->origin = *origin;
	grading->origin.purpose = LM_PURPOSE_GRADER;
	grading->budget = budget;
	grading->asked = asked;
	grading->batches = palloc0(sizeof(LmBatch *) * graders->n);
	return grading;
}

void
gepa_apply_grading_keep_raw(ApplyGrading *grading)
{
	grading->raw = true;
}

/*
 * Results
 */

static void
settle(ApplyGrading *grading, Task *task, int grader, const JudgeGraderResult *result)
{
	JudgeGraderResult *own = &task->results[grader];

	*own = *result;
	if (grading->graders->graders[grader].def->on_document && !grading->raw)
		gepa_judge_grader_relate(task->output, own);
	if (--task->nmissing == 0)
		grading->complete = lappend(grading->complete, task);
}

static bool
is_to_stop(const ApplyGrading *grading)
{
	return grading->asked->stop != NULL && *grading->asked->stop;
}

static void
call_function(ApplyGrading *grading, Task *task, int grader)
{
	JudgeGraderResult result = {0};
	StoreCall	call = {.stopped = is_to_stop(grading)};

	if (!call.stopped)
		gepa_store_call_grader(grading->graders->graders[grader].stored,
							   gepa_judge_grader_sample_json(task->sample),
							   gepa_judge_grader_output_json(task->output),
							   grading->asked->stop, &call);
	if (call.stopped)
	{
		result.status = GEPA_STATUS_CANCELLED;
		result.score = NAN;
		result.detail = pstrdup("The function was not called to its end: it was to stop.");
	}
	else if (call.error == NULL)
		gepa_judge_grader_read_value(call.result, &result);
	else
	{
		result.status = GEPA_STATUS_FUNCTION_ERROR;
		result.score = NAN;
		result.sqlstate = pstrdup(unpack_sql_state(call.error->sqlerrcode));
		result.detail = psprintf("The function raised %s: %s", result.sqlstate,
								 call.error->message ? call.error->message : "no message");
	}
	settle(grading, task, grader, &result);
}

/*
 * What is asked
 */

static Key *
find_key(const ApplyGrading *grading, int grader, const uint8 *shown)
{
	const uint8 *digest = grading->graders->graders[grader].def->digest;
	ListCell   *cell;

	foreach(cell, grading->asked->keys)
	{
		Key		   *key = lfirst(cell);

		if (memcmp(key->grader, digest, JUDGE_DIGEST_LENGTH) == 0 &&
			memcmp(key->shown, shown, JUDGE_DIGEST_LENGTH) == 0)
			return key;
	}
	return NULL;
}

static void
add_key(ApplyGrading *grading, int grader, const uint8 *shown)
{
	MemoryContext old = MemoryContextSwitchTo(grading->asked->context);
	Key		   *key = palloc(sizeof(Key));

	key->by = grading;
	memcpy(key->grader, grading->graders->graders[grader].def->digest, JUDGE_DIGEST_LENGTH);
	memcpy(key->shown, shown, JUDGE_DIGEST_LENGTH);
	grading->asked->keys = lappend(grading->asked->keys, key);
	MemoryContextSwitchTo(old);
}

/* Of an ended call, or (NULL) all of the grading's. */
static void
drop_keys(ApplyGrading *grading, const StoreGraderCall *ended)
{
	ListCell   *cell;

	foreach(cell, grading->asked->keys)
	{
		Key		   *key = lfirst(cell);

		if (key->by != grading ||
			(ended != NULL && (memcmp(key->grader, ended->grader, JUDGE_DIGEST_LENGTH) != 0 ||
							   memcmp(key->shown, ended->shown, JUDGE_DIGEST_LENGTH) != 0)))
			continue;
		grading->asked->keys = foreach_delete_current(grading->asked->keys, cell);
		pfree(key);
	}
}

/* An answer that came and is not kept yet; NULL if it is of no use. */
static const StoreGraderCall *
find_unsaved(const ApplyGrading *grading, int grader, const uint8 *shown)
{
	const uint8 *digest = grading->graders->graders[grader].def->digest;
	ListCell   *cell;

	foreach(cell, grading->unsaved)
	{
		const StoreGraderCall *ended = lfirst(cell);

		if (ended->result.status == GEPA_STATUS_OK &&
			memcmp(ended->grader, digest, JUDGE_DIGEST_LENGTH) == 0 &&
			memcmp(ended->shown, shown, JUDGE_DIGEST_LENGTH) == 0)
			return ended;
	}
	return NULL;
}

/* What was paid for once. */
static JudgeGraderResult
as_cached(const JudgeGraderResult *result)
{
	JudgeGraderResult copy = *result;

	copy.cached = true;
	copy.calls = copy.input_tokens = copy.output_tokens = 0;
	copy.cost = 0;
	return copy;
}

static void
wait_for_other(ApplyGrading *grading, Task *task, int grader, const uint8 *shown)
{
	Wait	   *wait = palloc(sizeof(Wait));

	wait->task = task;
	wait->grader = grader;
	memcpy(wait->shown, shown, JUDGE_DIGEST_LENGTH);
	grading->waits = lappend(grading->waits, wait);
}

/* One that shows the grader the same, not answered yet. */
static Call *
find_call(List *calls, int grader, const uint8 *shown)
{
	ListCell   *cell;

	foreach(cell, calls)
	{
		Call	   *call = lfirst(cell);

		if (call->grader == grader && memcmp(call->shown, shown, JUDGE_DIGEST_LENGTH) == 0)
			return call;
	}
	return NULL;
}

static Call *
make_call(ApplyGrading *grading, int grader, const LmRequest *request, const uint8 *shown)
{
	Call	   *call = palloc0(sizeof(Call));

	call->grader = grader;
	call->request = *request;
	memcpy(call->shown, shown, JUDGE_DIGEST_LENGTH);
	grading->to_send = lappend(grading->to_send, call);
	add_key(grading, grader, shown);
	return call;
}

static void
ask(ApplyGrading *grading, Task *task, int grader)
{
	const JudgeGrader *def = grading->graders->graders[grader].def;
	const StoreGraderCall *ended;
	JudgeGraderResult kept;
	LmRequest	request;
	uint8		shown[JUDGE_DIGEST_LENGTH];
	Call	   *call;
	Key		   *key;

	gepa_judge_grader_request(def, task->sample, task->output, &request, shown);
	ended = find_unsaved(grading, grader, shown);
	if (ended != NULL)
		kept = as_cached(&ended->result);
	if (ended != NULL || gepa_store_find_grade(def->digest, GetUserId(), shown, &kept))
	{
		settle(grading, task, grader, &kept);
		return;
	}
	key = find_key(grading, grader, shown);
	if (key != NULL && key->by != grading)
	{
		wait_for_other(grading, task, grader, shown);
		return;
	}
	call = find_call(grading->to_send, grader, shown);
	if (call == NULL)
		call = find_call(grading->calls, grader, shown);
	if (call == NULL)
		call = make_call(grading, grader, &request, shown);
	call->tasks = lappend(call->tasks, task);
}

static void
begin_task(ApplyGrading *grading, Task *task, int grader)
{
	const JudgeGrader *def = grading->graders->graders[grader].def;
	JudgeGraderResult result;

	if (def->kind == JUDGE_GRADER_LABELS || def->kind == JUDGE_GRADER_FORMAT ||
		!gepa_judge_grader_is_asked(def, task->output->status))
	{
		gepa_judge_grader_answer(def, task->sample, task->output, &result);
		task->results[grader] = result;
		if (--task->nmissing == 0)
			grading->complete = lappend(grading->complete, task);
	}
	else if (def->kind == JUDGE_GRADER_FUNCTION)
		call_function(grading, task, grader);
	else
		ask(grading, task, grader);
}

void
gepa_apply_grading_submit(ApplyGrading *grading, const JudgeGraderSample *sample,
						  const JudgeGraderOutput *output, void *tag)
{
	MemoryContext old = MemoryContextSwitchTo(grading->context);
	Task	   *task = palloc0(sizeof(Task));

	task->tag = tag;
	task->sample = sample;
	task->output = output;
	task->nmissing = grading->graders->n;
	task->results = palloc0(sizeof(JudgeGraderResult) * grading->graders->n);
	grading->submitted = lappend(grading->submitted, task);
	grading->pending++;
	MemoryContextSwitchTo(old);
}

bool
gepa_apply_grading_must_start(const ApplyGrading *grading)
{
	ListCell   *cell;

	foreach(cell, grading->waits)
	{
		const Wait *wait = lfirst(cell);

		if (find_key(grading, wait->grader, wait->shown) == NULL)
			return !grading->stopped;
	}
	return grading->submitted != NIL && !grading->stopped;
}

/* Once what they waited for is kept, or came to nothing. */
static void
end_waits(ApplyGrading *grading)
{
	List	   *waits = grading->waits;
	ListCell   *cell;

	grading->waits = NIL;
	foreach(cell, waits)
	{
		Wait	   *wait = lfirst(cell);

		ask(grading, wait->task, wait->grader);
	}
	list_free_deep(waits);
}

void
gepa_apply_grading_start(ApplyGrading *grading)
{
	MemoryContext old = MemoryContextSwitchTo(grading->context);
	ListCell   *cell;

	end_waits(grading);
	foreach(cell, grading->submitted)
		for (int i = 0; i < grading->graders->n; i++)
		begin_task(grading, lfirst(cell), i);
	list_free(grading->submitted);
	grading->submitted = NIL;
	MemoryContextSwitchTo(old);
}

/*
 * Calls
 */

static LmBatch *
batch_of(ApplyGrading *grading, int grader)
{
	if (grading->batches[grader] == NULL)
	{
		grading->batches[grader] =
			gepa_lm_batch_open(grading->graders->graders[grader].lm, &grading->origin);
		if (grading->budget != NULL)
			gepa_lm_batch_charge(grading->batches[grader], grading->budget);
	}
	return grading->batches[grader];
}

static void
send_calls(ApplyGrading *grading)
{
	while (grading->to_send != NIL && !grading->stopped)
	{
		Call	   *call = linitial(grading->to_send);

		grading->to_send = list_delete_first(grading->to_send);
		grading->calls = lappend(grading->calls, call);
		gepa_lm_batch_submit(batch_of(grading, call->grader), &call->request, call);
	}
}

static void
take_reply(ApplyGrading *grading, const LmReply *reply)
{
	Call	   *call = reply->tag;
	const ApplyGrader *grader = &grading->graders->graders[call->grader];
	StoreGraderCall *ended = palloc0(sizeof(StoreGraderCall));
	ListCell   *cell;

	gepa_judge_grader_read(grader->def, reply, &ended->result);
	ended->lm = grader->lm->name;
	memcpy(ended->grader, grader->def->digest, JUDGE_DIGEST_LENGTH);
	memcpy(ended->shown, call->shown, JUDGE_DIGEST_LENGTH);
	grading->unsaved = lappend(grading->unsaved, ended);
	grading->calls = list_delete_ptr(grading->calls, call);
	foreach(cell, call->tasks)
	{
		JudgeGraderResult result = foreach_current_index(cell) == 0 ? ended->result :
			as_cached(&ended->result);

		settle(grading, lfirst(cell), call->grader, &result);
	}
}

static bool
has_call(const ApplyGrading *grading)
{
	for (int i = 0; i < grading->graders->n; i++)
		if (grading->batches[i] != NULL && gepa_lm_batch_pending(grading->batches[i]) > 0)
			return true;
	return false;
}

/* All that has come in. */
static void
take_replies(ApplyGrading *grading)
{
	for (int i = 0; i < grading->graders->n; i++)
	{
		LmReply    *reply;

		while (grading->batches[i] != NULL && gepa_lm_batch_pending(grading->batches[i]) > 0 &&
			   (reply = gepa_lm_batch_collect(grading->batches[i], 0)) != NULL)
			take_reply(grading, reply);
	}
}

/*
 * Collecting
 */

static void
finish(ApplyGrading *grading, Task *task, ApplyGrade *grade)
{
	int			n = grading->graders->n;
	const JudgeGrader **defs = palloc(sizeof(JudgeGrader *) * n);
	double	   *weights = palloc(sizeof(double) * n);

	grade->tag = task->tag;
	grade->results = task->results;
	grade->failed = grade->missing = -1;
	for (int i = n - 1; i >= 0; i--)
	{
		const JudgeGraderResult *result = &task->results[i];

		defs[i] = grading->graders->graders[i].def;
		weights[i] = grading->graders->graders[i].weight;
		if (gepa_status_no_answer(result->status) && !result->rejected && !result->skipped)
			grade->failed = i;
		else if (isnan(result->score))
			grade->missing = i;
	}
	gepa_judge_grader_mix(n, defs, weights, task->results, task->sample->feedback, &grade->mix);
}

bool
gepa_apply_grading_collect(ApplyGrading *grading, int timeout_ms, ApplyGrade *grade)
{
	MemoryContext old = MemoryContextSwitchTo(grading->context);
	Task	   *task = NULL;

	send_calls(grading);
	take_replies(grading);
	while (grading->complete == NIL && timeout_ms != 0 && has_call(grading))
	{
		gepa_lm_wait(timeout_ms < 0 ? 1000 : timeout_ms);
		take_replies(grading);
		timeout_ms = Min(timeout_ms, 0);
	}
	if (grading->complete != NIL)
	{
		task = linitial(grading->complete);
		grading->complete = list_delete_first(grading->complete);
		grading->pending--;
		finish(grading, task, grade);
	}
	MemoryContextSwitchTo(old);
	return task != NULL;
}

int
gepa_apply_grading_pending(const ApplyGrading *grading)
{
	return grading->pending;
}

bool
gepa_apply_grading_must_save(const ApplyGrading *grading)
{
	return grading->unsaved != NIL;
}

void
gepa_apply_grading_save(ApplyGrading *grading)
{
	int			n = list_length(grading->unsaved);
	StoreGraderCall *calls = palloc(sizeof(StoreGraderCall) * Max(n, 1));
	ListCell   *cell;

	foreach(cell, grading->unsaved)
	{
		calls[foreach_current_index(cell)] = *(StoreGraderCall *) lfirst(cell);
		drop_keys(grading, lfirst(cell));
	}
	gepa_store_put_grader_calls(grading->origin.run, grading->origin.judge, calls, n);
	list_free_deep(grading->unsaved);
	grading->unsaved = NIL;
	pfree(calls);
}

long
gepa_apply_grading_hold_ms(const ApplyGrading *grading)
{
	long		longest = 0;

	for (int i = 0; i < grading->graders->n; i++)
		if (grading->graders->graders[i].lm != NULL)
			longest = Max(longest, gepa_lm_hold_ms(grading->graders->graders[i].lm));
	return longest;
}

void
gepa_apply_grading_stop(ApplyGrading *grading)
{
	grading->stopped = true;
	for (int i = 0; i < grading->graders->n; i++)
		if (grading->batches[i] != NULL)
			gepa_lm_batch_stop(grading->batches[i]);
}

void
gepa_apply_grading_close(ApplyGrading *grading)
{
	for (int i = 0; i < grading->graders->n; i++)
		if (grading->batches[i] != NULL)
			gepa_lm_batch_close(grading->batches[i]);
	drop_keys(grading, NULL);
	pfree(grading->batches);
	pfree(grading);
}

void
gepa_apply_report_grade(const ApplyGrader *grader, const JudgeGraderResult *result,
						const char *hint)
{
	const char *advice = hint ? hint : "Try the grader by hand with gepa.grade().";
	int			code = result->sqlerrcode ? result->sqlerrcode :
		ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;

	if (result->hint != NULL)
		advice = psprintf("%s%s%s", result->hint, hint ? " " : "", hint ? hint : "");
	ereport(ERROR,
			(errcode(code),
			 grader->lm != NULL ?
			 errmsg("grader \"%s\" has no score from LM \"%s\": %s", grader->def->name,
					grader->lm->name, gepa_status_name(result->status)) :
			 errmsg("grader \"%s\" has no score: %s", grader->def->name,
					gepa_status_name(result->status)),
			 result->detail ? errdetail("%s", result->detail) : 0,
			 errhint("%s", advice)));
}
