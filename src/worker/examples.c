/*-------------------------------------------------------------------------
 *
 * examples.c
 *	  Between the engine's numbers and the judge's examples.
 *
 * The engine knows an example as a number: that of a training sample, or one
 * beyond for an example that the seed brought along and that is no training
 * sample.  The judge's component is a JSON array of windowed documents.  An
 * example of the seed that is a training sample has the sample's number, so
 * that it is not put in twice, and keeps the text it has in the seed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/worker_internal.h"

/* The training sample that is this example, -1 if none. */
static int
find_sample(const WorkerRun *run, const JudgeExample *example)
{
	for (int i = 0; i < run->nsamples[STORE_SPLIT_TRAIN]; i++)
	{
		const StoreSample *sample = &run->samples[STORE_SPLIT_TRAIN][i];

		if (memcmp(sample->digest, example->digest, JUDGE_DIGEST_LENGTH) == 0 &&
			strcmp(sample->label, example->label) == 0)
			return i;
	}
	return -1;
}

static const char *
seed_text(const WorkerRun *run)
{
	for (int i = 0; i < run->seed->ncomponents; i++)
		if (run->seed->components[i].kind == JUDGE_COMPONENT_EXAMPLES)
			return run->seed->components[i].text;
	return NULL;
}

static void
number_seed(WorkerRun *run, const char *text)
{
	int			nseed;
	JudgeExample *seed = gepa_judge_examples_parse(run->seed, text, &nseed);
	const GepaJson *array = gepa_json_parse(text, strlen(text), NULL);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < nseed; i++)
	{
		int			number = find_sample(run, &seed[i]);
		StringInfoData json;

		if (number < 0)
			number = run->nexamples++;
		initStringInfo(&json);
		gepa_json_write(&json, gepa_json_item(array, i));
		run->examples[number] = json.data;
		run->example_class[number] = gepa_judge_label_index(run->seed, seed[i].label);
		appendStringInfo(&list, "%s%d", i > 0 ? "," : "", number);
	}
	run->seed_examples = list.data;
}

void
gepa_worker_number_examples(WorkerRun *run)
{
	const char *text = seed_text(run);
	int			ntrain = run->nsamples[STORE_SPLIT_TRAIN];
	int			nseed = 0;

	if (text == NULL)
		return;
	(void) gepa_judge_examples_parse(run->seed, text, &nseed);
	run->examples = palloc0(sizeof(char *) * (ntrain + nseed + 1));
	run->example_class = palloc0(sizeof(int) * (ntrain + nseed + 1));
	for (int i = 0; i < ntrain; i++)
		run->example_class[i] =
			gepa_judge_label_index(run->seed, run->samples[STORE_SPLIT_TRAIN][i].label);
	run->nexamples = ntrain;
	number_seed(run, text);
}

/* The JSON text of an example; made once, kept with the run. */
static const char *
example_text(WorkerRun *run, int number)
{
	MemoryContext old;
	const StoreSample *sample;

	if (number < 0 || number >= run->nexamples)
		elog(ERROR, "example %d does not exist", number);
	if (run->examples[number] == NULL)
	{
		sample = &run->samples[STORE_SPLIT_TRAIN][number];
		old = MemoryContextSwitchTo(run->context);
		run->examples[number] = gepa_judge_example_json(run->seed, &sample->document,
														sample->label);
		MemoryContextSwitchTo(old);
	}
	return run->examples[number];
}

static char *
resolve_examples(WorkerRun *run, const char *list)
{
	StringInfoData json;
	const char *at = list;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	while (*at != '\0')
	{
		char	   *end;
		long		number = strtol(at, &end, 10);

		if (end == at)
			elog(ERROR, "list of examples \"%s\" cannot be read", list);
		if (json.len > 1)
			appendStringInfoChar(&json, ',');
		appendStringInfoString(&json, example_text(run, (int) number));
		at = *end == ',' ? end + 1 : end;
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}

JudgeSpec *
gepa_worker_candidate(WorkerRun *run, const char *const *texts)
{
	JudgeSpec  *spec = palloc(sizeof(JudgeSpec));

	*spec = *run->seed;
	spec->version = 0;
	spec->components = palloc(sizeof(JudgeComponent) * spec->ncomponents);
	memcpy(spec->components, run->seed->components,
		   sizeof(JudgeComponent) * spec->ncomponents);
	for (int i = 0; i < run->ntuned; i++)
	{
		JudgeComponent *component = &spec->components[run->tuned[i]];

		if (component->kind != JUDGE_COMPONENT_EXAMPLES)
			component->text = pstrdup(texts[i]);
		/* The seed's own list stays as it was written. */
		else if (strcmp(texts[i], run->seed_examples) != 0)
			component->text = resolve_examples(run, texts[i]);
	}
	return spec;
}
