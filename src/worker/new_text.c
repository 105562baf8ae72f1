/*-------------------------------------------------------------------------
 *
 * new_text.c
 *	  May a new text be tried?
 *
 * Not when it is empty, too long, or quotes a document that a reflection may have been
 * shown (guard.c).  Whoever wrote it, LM or function, is held to the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/text.h"
#include "worker/worker_guard.h"
#include "worker/worker_reflect.h"

static char *
check_length(const WorkerRun *run, const EngineStep *step, const char *text)
{
	const WorkerRunOptions *options = &run->options;
	int			chars = pg_mbstrlen(text);

	if (chars > options->max_prompt_chars)
		return psprintf("the new text has %d characters, more than max_prompt_chars (%d)",
						chars, options->max_prompt_chars);
	if (chars > gepa_worker_longest(run, step))
		return psprintf("the new text has %d characters, %d more than the one before; max_growth is %d",
						chars, chars - pg_mbstrlen(step->texts[step->component]),
						options->max_growth);
	return NULL;
}

/* The text that it replaces with those beside it, and what labellers say, may be quoted. */
static void
allow_sources(const WorkerRun *run, const EngineStep *step, WorkerGuard *guard)
{
	for (int i = 0; i < run->ntuned; i++)
		gepa_worker_guard_allow(guard, step->texts[i]);
	for (int s = STORE_SPLIT_TRAIN; s <= STORE_SPLIT_VAL; s++)
		for (int i = 0; i < run->nsamples[s]; i++)
			if (run->samples[s][i].feedback != NULL)
				gepa_worker_guard_allow(guard, run->samples[s][i].feedback);
}

static char *
find_copy(const WorkerRun *run, WorkerGuard *guard, const char **key)
{
	char	   *copy = NULL;

	for (int s = STORE_SPLIT_TRAIN; s <= STORE_SPLIT_VAL && copy == NULL; s++)
		for (int i = 0; i < run->nsamples[s] && copy == NULL; i++)
		{
			const StoreSample *sample = &run->samples[s][i];

			*key = sample->key;
			for (int f = 0; f < sample->document.nfields && copy == NULL; f++)
				if (!gepa_judge_is_image(run->seed, run->seed->inputs[f]))
					copy = gepa_worker_guard_find(guard, sample->document.fields[f]);
		}
	return copy;
}

static char *
check_copies(const WorkerRun *run, const EngineStep *step, const char *text)
{
	WorkerGuard *guard;
	const char *key;
	char	   *copy;

	if (run->options.copy_guard == 0)
		return NULL;
	guard = gepa_worker_guard_open(text, run->options.copy_guard,
								   GetDatabaseEncoding() == PG_UTF8);
	allow_sources(run, step, guard);
	copy = find_copy(run, guard, &key);
	gepa_worker_guard_close(guard);
	return copy == NULL ? NULL :
		psprintf("the new text copies \"%s\" from the document of sample \"%s\"", copy, key);
}

char *
gepa_worker_check_text(const WorkerRun *run, const EngineStep *step, const char *text)
{
	char	   *fault;

	if (gepa_is_blank(text))
		return pstrdup("the answer holds no text");
	fault = check_length(run, step, text);
	return fault != NULL ? fault : check_copies(run, step, text);
}
