/*-------------------------------------------------------------------------
 *
 * objectives.c
 *	  What the frontier learns of a step beside its scores.
 *
 * Without graders the objectives are the labels: a sample's score counts for the
 * label it should have.  Else they are what the rollouts bring, by name, in the
 * order in which names are first seen.  Names are told to the engine with each
 * step, so all that matters for a replay is in the rows of the rollouts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "worker/worker_text.h"

/* Row by row, NaN where a sample's label is another. */
static double *
by_label(const WorkerRun *run, const EngineStep *step, const double *scores)
{
	StoreSplit	split = gepa_worker_split_of(step);
	int			nlabels = run->seed->nlabels;
	double	   *values = palloc(sizeof(double) * Max(step->nsamples, 1) * nlabels);

	for (int i = 0; i < step->nsamples; i++)
	{
		const StoreSample *sample = &run->samples[split][step->samples[i]];

		for (int k = 0; k < nlabels; k++)
			values[i * nlabels + k] =
				strcmp(run->seed->labels[k], sample->label) == 0 ? scores[i] : NAN;
	}
	return values;
}

static int
find_name(const WorkerRun *run, const char *name)
{
	for (int k = 0; k < run->nobjectives; k++)
		if (strcmp(run->objective_names[k], name) == 0)
			return k;
	return -1;
}

static void
learn_name(WorkerRun *run, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);
	Size		size = sizeof(char *) * (run->nobjectives + 1);

	run->objective_names = run->objective_names == NULL ? palloc(size) :
		repalloc(run->objective_names, size);
	run->objective_names[run->nobjectives++] = pstrdup(name);
	MemoryContextSwitchTo(old);
}

/* Each text is a JSON object or NULL. */
static GepaJson **
parse_all(WorkerRun *run, int n, const char *const *texts)
{
	GepaJson  **parsed = palloc0(sizeof(GepaJson *) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		if (texts[i] != NULL)
			parsed[i] = gepa_json_parse(texts[i], strlen(texts[i]), NULL);
		for (int k = 0; parsed[i] != NULL && k < parsed[i]->nitems; k++)
			if (find_name(run, parsed[i]->keys[k]) < 0)
				learn_name(run, parsed[i]->keys[k]);
	}
	return parsed;
}

/*
 * An evaluator's failure, and a document that the endpoint rejects, have no objectives: what
 * they are to count for all in all, they count for each.
 */
static double *
by_name(WorkerRun *run, int n, const char *const *texts, const double *scores)
{
	GepaJson  **parsed = parse_all(run, n, texts);
	double	   *values = palloc(sizeof(double) * Max(n * run->nobjectives, 1));

	for (int i = 0; i < n; i++)
		for (int k = 0; k < run->nobjectives; k++)
		{
			double	   *value = &values[i * run->nobjectives + k];

			if (parsed[i] == NULL ||
				!gepa_json_get_number(parsed[i], run->objective_names[k], value))
				*value = parsed[i] == NULL ? scores[i] : NAN;
		}
	return values;
}

/* texts may be NULL: none has any. */
static bool
has_any(int n, const char *const *texts)
{
	for (int i = 0; texts != NULL && i < n; i++)
		if (texts[i] != NULL)
			return true;
	return false;
}

/* Of an evaluator: does it, now or before?  Raised where the frontier cannot do without. */
static bool
brings_objectives(const WorkerRun *run, const EngineStep *step, const char *const *texts)
{
	bool		some = has_any(step->nsamples, texts);

	if (some || run->nobjectives > 0)
		return true;
	if (run->options.frontier_type != ENGINE_FRONTIER_AUTO)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("evaluator %s returns no objectives, but run option \"frontier_type\" needs some",
						run->row->text->evaluator.name),
				 errhint("Have it return {\"score\": ..., \"objectives\": {...}}, or start a run with frontier_type \"instance\".")));
	return false;
}

bool
gepa_worker_observe_scores(WorkerRun *run, const EngineStep *step, const double *scores,
						   const char *const *objectives)
{
	bool		wanted = run->options.mode == ENGINE_MODE_REFERENCE &&
		run->options.frontier_type != ENGINE_FRONTIER_INSTANCE &&
		(step->split == ENGINE_SPLIT_VAL || run->options.shared_sets);
	double	   *values;

	if (run->row->text != NULL)
		wanted = wanted && brings_objectives(run, step, objectives);
	if (!wanted)
		return gepa_engine_observe_scores(run->engine, step->step, step->nsamples, scores,
										  0, NULL, NULL);
	if (run->row->text == NULL && run->nobjectives == 0 && !has_any(step->nsamples, objectives))
		return gepa_engine_observe_scores(run->engine, step->step, step->nsamples, scores,
										  run->seed->nlabels,
										  (const char *const *) run->seed->labels,
										  by_label(run, step, scores));
	values = by_name(run, step->nsamples, objectives, scores);
	return gepa_engine_observe_scores(run->engine, step->step, step->nsamples, scores,
									  run->nobjectives,
									  (const char *const *) run->objective_names, values);
}
