/*-------------------------------------------------------------------------
 *
 * reflect.c
 *	  Carrying out a REFLECT step: the reflection LM, or a function of the
 *	  user, rewrites a component.
 *
 * A reflection has parts: one with all records, or with option combee one per group of
 * records (combee.c) and one more that makes one text of theirs.  The groups are asked at a
 * time.  Nothing waits: a reflection is begun and then polled (works.c).
 *
 * An answer that is no use (refused, cut off, empty, too long, copied) is asked for
 * once more, and the LM is told what was wrong with it; then a group goes without, and
 * a reflection is given up, with the reason in its journal entry.  That the LM
 * cannot be reached is no property of the iteration: giving up would spend the
 * budget on iterations without a proposal (ask.c).
 *
 * The last answer goes into the journal with the step.  All before are recorded as they
 * come in, and a resumed reflection goes on from them: its prompts are those
 * that it had, since they follow from the step and what was recorded before it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/worker_reflect.h"

#define USEFUL_ATTEMPTS 2

/* Of a part's images together, as they are sent; endpoints take requests of 20 MB and more. */
#define IMAGE_BYTES (16 * 1024 * 1024)

typedef struct Part
{
	int			number;
	WorkerGroup group;
	JudgeImages images;			/* that the prompt has placeholders for */
	char	   *prompt;
	char	   *sent;			/* prompt, or with a complaint */
	WorkerAsk  *ask;
	int			attempts;		/* answers so far */
	char	   *answer;			/* the last one */
	char	   *text;			/* NULL = of no use */
	char	   *detail;			/* ... why */
} Part;

struct WorkerReflection
{
	WorkerRun  *run;
	EngineStep	step;
	StoreStep  *entry;			/* where the outcome goes */
	int			ngroups;
	Part	   *parts;			/* groups, and what makes one text of theirs */
	bool		combining;
	bool		closed;
	bool		over;			/* the outcome is there */
};

static bool
is_settled(const Part *part)
{
	return part->text != NULL || part->attempts >= USEFUL_ATTEMPTS;
}

/* The part whose answer is the reflection's. */
static bool
is_final(const WorkerReflection *reflection, const Part *part)
{
	return reflection->ngroups == 1 || part->number == reflection->ngroups;
}

static void
send_part(WorkerReflection *reflection, Part *part)
{
	if (part->ask == NULL)
		part->ask = gepa_worker_ask_begin(reflection->run, reflection->entry);
	if (reflection->closed)
		gepa_worker_ask_close(part->ask);
	part->sent = part->prompt;
	if (part->detail != NULL)
		part->sent = gepa_worker_complaint(part->prompt, part->detail);
	gepa_worker_ask_send(part->ask, part->sent, &part->images);
}

/*
 * Answers
 */

/* Extract the new text; without one say why. */
static void
read_answer(const WorkerReflection *reflection, Part *part, const LmReply *reply)
{
	char	   *text;

	part->attempts++;
	part->answer = reply->content;
	part->text = part->detail = NULL;
	if (reply->status != GEPA_STATUS_OK || reply->content == NULL)
	{
		part->detail = psprintf("the answer is no use (%s)%s%s",
								gepa_status_name(reply->status),
								reply->detail ? ": " : "", reply->detail ? reply->detail : "");
		return;
	}
	text = gepa_engine_extract_text(reply->content);
	part->detail = gepa_worker_check_text(reflection->run, &reflection->step, text);
	if (part->detail == NULL)
		part->text = text;
}

/* A part's last answer, which may be none of use, is the outcome. */
static void
conclude(WorkerReflection *reflection, const Part *part)
{
	StoreStep  *entry = reflection->entry;

	entry->prompt = part->sent;
	entry->answer = part->answer;
	entry->new_text = part->text;
	entry->detail = part->detail;
	reflection->over = true;
}

static void
record_answer(WorkerReflection *reflection, const Part *part, const LmReply *reply)
{
	MemoryContext context = CurrentMemoryContext;
	StoreReflectionCall call = {.step = reflection->step.step,.part = part->number,
		.attempt = part->attempts,.nrecords = part->group.n,.prompt = part->sent,
		.answer = part->answer,.new_text = part->text,.detail = part->detail,
		.calls = reply->calls,.input_tokens = reply->input_tokens,
	.output_tokens = reply->output_tokens,.cost = reply->cost};

	call.records = palloc(sizeof(int) * Max(call.nrecords, 1));
	for (int i = 0; i < call.nrecords; i++)
		call.records[i] = part->group.records[i] + 1;
	gepa_worker_enter(reflection->run, context);
	gepa_store_insert_reflection_call(reflection->run->row->run, &call);
	gepa_worker_commit(context);
	pfree(call.records);
}

static void
take_answer(WorkerReflection *reflection, Part *part, const LmReply *reply)
{
	StoreStep  *entry = reflection->entry;

	read_answer(reflection, part, reply);
	if (is_final(reflection, part) && is_settled(part))
	{
		entry->calls += reply->calls;
		entry->input_tokens += reply->input_tokens;
		entry->output_tokens += reply->output_tokens;
		entry->cost += reply->cost;
		conclude(reflection, part);
		return;
	}
	record_answer(reflection, part, reply);
	if (!is_settled(part))
		send_part(reflection, part);
}

/*
 * Groups together
 */

/* All groups are settled: have one text made of theirs, unless there is but one, or none. */
static void
combine(WorkerReflection *reflection)
{
	int			k = reflection->ngroups;
	Part	   *last = &reflection->parts[k];
	char	  **texts = palloc(sizeof(char *) * k);
	const Part *only = NULL;
	int			n = 0;

	reflection->combining = true;
	for (int i = 0; i < k; i++)
	{
		const Part *part = &reflection->parts[i];

		if (part->text == NULL)
			continue;
		texts[n++] = part->text;
		only = part;
	}
	if (n <= 1)
	{
		conclude(reflection, only != NULL ? only : &reflection->parts[k - 1]);
		return;
	}
	last->prompt = gepa_worker_combine_prompt(reflection->run, &reflection->step, texts, n);
	send_part(reflection, last);
}

static bool
are_groups_settled(const WorkerReflection *reflection)
{
	for (int i = 0; i < reflection->ngroups; i++)
		if (!is_settled(&reflection->parts[i]))
			return false;
	return true;
}

/*
 * The door
 */

/* Without groups. */
static WorkerGroup *
list_all(int n, int *ngroups)
{
	WorkerGroup *group = palloc(sizeof(WorkerGroup));

	group->n = n;
	group->records = palloc(sizeof(int) * Max(n, 1));
	for (int i = 0; i < n; i++)
		group->records[i] = i;
	*ngroups = 1;
	return group;
}

/* Those of the first placeholders, as far as there is room; one at least. */
static void
add_pictures(Part *part, const WorkerPictures *pictures)
{
	size_t		bytes = 0;

	for (int r = 0; r < part->group.n; r++)
	{
		int			record = part->group.records[r];

		for (int i = pictures->first[record]; i < pictures->first[record + 1]; i++)
		{
			bytes += strlen(pictures->images.sources[i]);
			if (bytes > IMAGE_BYTES && part->images.n > 0)
				return;
			gepa_judge_add_image(&part->images, pictures->images.sources[i]);
		}
	}
}

static void
make_part(WorkerReflection *reflection, Part *part, const EngineValue *records,
		  const WorkerPictures *pictures, const char *tried)
{
	EngineValue *shown = palloc(sizeof(EngineValue) * Max(part->group.n, 1));

	for (int r = 0; r < part->group.n; r++)
		shown[r] = records[part->group.records[r]];
	add_pictures(part, pictures);
	if (part->images.n > 0 && !gepa_worker_shows_images(reflection->run))
		part->images.n = 0;
	part->prompt = part->sent =
		gepa_worker_reflection_prompt(reflection->run, &reflection->step, shown, part->group.n,
									  part->images.n, tried);
	pfree(shown);
}

static void
make_parts(WorkerReflection *reflection, const EngineValue *records,
		   const WorkerPictures *pictures)
{
	const WorkerRun *run = reflection->run;
	const EngineStep *step = &reflection->step;
	WorkerGroup *groups;
	char	   *tried = gepa_worker_tried(run, step);

	if (run->options.combee)
		groups = gepa_worker_deal(step->nrecords, run->row->seed, step->step,
								  &reflection->ngroups);
	else
		groups = list_all(step->nrecords, &reflection->ngroups);
	reflection->parts = palloc0(sizeof(Part) * (reflection->ngroups + 1));
	for (int i = 0; i < reflection->ngroups; i++)
	{
		Part	   *part = &reflection->parts[i];

		part->number = i;
		part->group = groups[i];
		make_part(reflection, part, records, pictures, tried);
	}
	reflection->parts[reflection->ngroups].number = reflection->ngroups;
}

/* What came in before the worker was started again. */
static void
take_recorded(WorkerReflection *reflection)
{
	int			n;
	StoreReflectionCall *calls = gepa_store_get_reflection_calls(reflection->run->row->run,
																 reflection->step.step, &n);

	for (int i = 0; i < n; i++)
	{
		Part	   *part = &reflection->parts[calls[i].part];

		if (calls[i].part < 0 || calls[i].part > reflection->ngroups)
			elog(ERROR, "reflection call %d of step %d has no part", calls[i].part,
				 reflection->step.step);
		part->attempts = calls[i].attempt;
		part->sent = calls[i].prompt;
		part->answer = calls[i].answer;
		part->text = calls[i].new_text;
		part->detail = calls[i].detail;
	}
}

WorkerReflection *
gepa_worker_reflection_begin(WorkerRun *run, const EngineStep *step, StoreStep *entry)
{
	MemoryContext context = CurrentMemoryContext;
	WorkerReflection *reflection = palloc0(sizeof(WorkerReflection));
	EngineValue *records;
	WorkerPictures pictures;

	reflection->run = run;
	reflection->step = *step;
	reflection->entry = entry;
	gepa_worker_enter(run, context);
	records = gepa_worker_records(run, step, &pictures);
	if (run->options.proposer != NULL)
	{
		gepa_worker_call_proposer(run, step, records, entry);
		reflection->over = true;
	}
	else
	{
		make_parts(reflection, records, &pictures);
		take_recorded(reflection);
		entry->prompt = reflection->ngroups == 1 ? reflection->parts[0].prompt : NULL;
	}
	gepa_worker_commit(context);
	for (int i = 0; i < reflection->ngroups; i++)
		if (!is_settled(&reflection->parts[i]))
			send_part(reflection, &reflection->parts[i]);
	return reflection;
}

bool
gepa_worker_reflection_poll(WorkerReflection *reflection)
{
	for (int i = 0; i <= reflection->ngroups && !reflection->over; i++)
	{
		Part	   *part = &reflection->parts[i];
		LmReply    *reply = part->ask != NULL ? gepa_worker_ask_poll(part->ask) : NULL;

		if (reply != NULL)
			take_answer(reflection, part, reply);
	}
	if (!reflection->over && reflection->ngroups > 1 && !reflection->combining &&
		are_groups_settled(reflection))
		combine(reflection);
	return reflection->over;
}

void
gepa_worker_reflection_close(WorkerReflection *reflection)
{
	reflection->closed = true;
	for (int i = 0; i <= reflection->ngroups && reflection->parts != NULL; i++)
		if (reflection->parts[i].ask != NULL)
			gepa_worker_ask_close(reflection->parts[i].ask);
}

bool
gepa_worker_reflection_is_idle(const WorkerReflection *reflection)
{
	for (int i = 0; i <= reflection->ngroups && reflection->parts != NULL; i++)
		if (reflection->parts[i].ask != NULL &&
			!gepa_worker_ask_is_idle(reflection->parts[i].ask))
			return false;
	return true;
}

int
gepa_worker_reflection_wait_ms(const WorkerReflection *reflection)
{
	int			wait_ms = reflection->over ? 0 : WORKER_SLICE_MS;

	for (int i = 0; i <= reflection->ngroups && reflection->parts != NULL; i++)
		if (reflection->parts[i].ask != NULL)
			wait_ms = Min(wait_ms, gepa_worker_ask_wait_ms(reflection->parts[i].ask));
	return wait_ms;
}
