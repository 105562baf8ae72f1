/*-------------------------------------------------------------------------
 *
 * text_run.c
 *	  A run of other texts than a judge's: its program, and its seed.
 *
 * The program is the seed: an object of named texts.  A text that is null there is
 * written by the reflection LM before the run has an engine, because an engine is made
 * with its seed.  What it wrote is in the journal, below the engine's first step, so
 * that a run which is resumed, or replayed, starts from the same texts.
 *
 * An answer that is no use is asked for once more; then the run fails, and can be resumed,
 * which asks anew.  What each call took is booked in any case.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/text.h"
#include "worker/worker_reflect.h"
#include "worker/worker_text.h"

#define WRITING_PHASE "writing the seed"
#define USEFUL_ATTEMPTS 2

/* More labels than that are no classes. */
#define MOST_CLASSES 10

/*
 * The program
 */

JudgeSpec *
gepa_worker_text_program(const StoreText *text, int run)
{
	GepaJson   *seed = gepa_json_parse(text->seed, strlen(text->seed), NULL);
	JudgeSpec  *program = palloc0(sizeof(JudgeSpec));

	gepa_judge_apply_options(program, NULL);
	program->name = "texts";
	program->ninputs = text->ninputs;
	program->inputs = text->inputs;
	program->ncomponents = seed->nitems;
	program->components = palloc0(sizeof(JudgeComponent) * seed->nitems);
	for (int i = 0; i < seed->nitems; i++)
	{
		JudgeComponent *component = &program->components[i];

		component->name = seed->keys[i];
		component->kind = JUDGE_COMPONENT_INSTRUCTION;
		component->text = seed->items[i]->kind == GEPA_JSON_STRING ? seed->items[i]->text :
			run == 0 ? NULL : gepa_store_get_seed_text(run, i, seed->nitems);
	}
	if (run != 0)
		gepa_store_fence_key(program->fence_key);
	return program;
}

void
gepa_worker_text_labels(JudgeSpec *program, const StoreSample *samples, int n)
{
	program->labels = palloc(sizeof(char *) * (MOST_CLASSES + 1));
	program->nlabels = 0;
	for (int i = 0; i < n && program->nlabels <= MOST_CLASSES; i++)
		if (gepa_worker_has_label(&samples[i]) &&
			gepa_judge_label_index(program, samples[i].label) < 0)
			program->labels[program->nlabels++] = samples[i].label;
	if (program->nlabels > MOST_CLASSES)
		program->nlabels = 0;
	program->positive = palloc0(sizeof(bool) * Max(program->nlabels, 1));
}

bool
gepa_worker_has_seed(const WorkerRun *run)
{
	for (int i = 0; i < run->seed->ncomponents; i++)
		if (run->seed->components[i].text == NULL)
			return false;
	return true;
}

char *
gepa_worker_candidate_json(const WorkerRun *run, const char *const *texts)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (int i = 0; i < run->ntuned; i++)
	{
		appendStringInfoString(&buf, i > 0 ? "," : "");
		gepa_json_quote(&buf, run->seed->components[run->tuned[i]].name);
		appendStringInfoChar(&buf, ':');
		gepa_json_quote(&buf, texts[i]);
	}
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

/*
 * Writing the seed
 */

static void
put_phase(WorkerRun *run)
{
	StoreProgress progress = {.best_candidate = -1,.best_score = NAN,.phase = WRITING_PHASE};

	progress.seconds = gepa_worker_take_elapsed(run);
	(void) gepa_store_put_progress(run->row->run, &progress);
}

static void
record_seed(WorkerRun *run, int component, StoreStep *entry)
{
	MemoryContext context = CurrentMemoryContext;

	gepa_worker_enter(run, context);
	gepa_store_number_seed_step(run->row->run, component, run->seed->ncomponents, entry);
	gepa_store_insert_step(run->row->run, entry);
	put_phase(run);
	gepa_worker_commit(context);
	gepa_worker_announce_change(run->row->run);
}

/* Its next answer; NULL = the run is to stop. */
static LmReply *
await(WorkerRun *run, WorkerAsk *ask)
{
	LmReply    *reply;

	while ((reply = gepa_worker_ask_poll(ask)) == NULL)
	{
		if (gepa_worker_stop_requested())
			return NULL;
		if (run->exhausted != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("%s was reached before the seed was written", run->exhausted),
					 errhint("Start a run with a higher limit.")));
		gepa_lm_wait(gepa_worker_ask_wait_ms(ask));
		CHECK_FOR_INTERRUPTS();
		gepa_worker_reload();
	}
	return reply;
}

/* What the answer gives, or why it gives nothing, into the entry. */
static void
take_answer(const WorkerRun *run, const LmReply *reply, StoreStep *entry)
{
	char	   *text = reply->content ? gepa_engine_extract_text(reply->content) : NULL;

	entry->answer = reply->content;
	entry->calls += reply->calls;
	entry->input_tokens += reply->input_tokens;
	entry->output_tokens += reply->output_tokens;
	entry->cost += reply->cost;
	if (reply->status != GEPA_STATUS_OK || text == NULL)
		entry->detail = psprintf("the answer is no use (%s)", gepa_status_name(reply->status));
	else if (gepa_is_blank(text))
		entry->detail = "the answer holds no text";
	else if (pg_mbstrlen(text) > run->options.max_prompt_chars)
		entry->detail = psprintf("the text has more characters than max_prompt_chars (%d)",
								 run->options.max_prompt_chars);
	else
		entry->new_text = text;
}

static void
refuse_answers(const WorkerRun *run, int component, const StoreStep *entry)
{
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("the reflection LM wrote no text for component \"%s\"",
					run->seed->components[component].name),
			 errdetail("Of its last answer: %s.", entry->detail),
			 errhint("See gepa.reflections; SELECT gepa.resume(%d) asks again, or start a run with a seed.",
					 run->row->run)));
}

/* Each answer is an entry; false when the run is to stop. */
static bool
write_component(WorkerRun *run, int component)
{
	char	   *prompt = gepa_worker_seed_prompt(run, component);

	for (int attempt = 1;; attempt++)
	{
		StoreStep	entry = {.prompt = prompt};
		WorkerAsk  *ask = gepa_worker_ask_begin(run, &entry);
		LmReply    *reply;

		gepa_worker_ask_send(ask, prompt, NULL);
		reply = await(run, ask);
		if (reply == NULL)
		{
			gepa_worker_ask_close(ask);
			return false;
		}
		take_answer(run, reply, &entry);
		record_seed(run, component, &entry);
		if (entry.new_text != NULL)
			return true;
		if (attempt == USEFUL_ATTEMPTS)
			refuse_answers(run, component, &entry);
		prompt = gepa_worker_complaint(prompt, entry.detail);
	}
}

bool
gepa_worker_write_seed(WorkerRun *run)
{
	MemoryContext context = AllocSetContextCreate(run->context, "gepa seed",
												  ALLOCSET_DEFAULT_SIZES);
	bool		done = true;

	MemoryContextSwitchTo(context);
	gepa_worker_enter(run, context);
	put_phase(run);
	gepa_worker_commit(context);
	for (int i = 0; i < run->seed->ncomponents && done; i++)
		if (run->seed->components[i].text == NULL)
			done = write_component(run, i);
	MemoryContextSwitchTo(run->context);
	MemoryContextDelete(context);
	return done;
}
