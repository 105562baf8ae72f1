/*-------------------------------------------------------------------------
 *
 * records.c
 *	  What a reflection is shown of rollouts.
 *
 * They are read back from the tables, in the order in which the engine names
 * them, so that a resumed run shows the LM what the undisturbed one would have.
 * The documents appear as the judge saw them: cut and fenced.  Images have placeholders,
 * numbered over all records of the step, and go beside the prompt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/worker_text.h"

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

/* What a step put out, or why it did not. */
static EngineValue
step_value(const WorkerRun *run, int step, const StoreRollout *rollout,
		   const JudgeDocument *document)
{
	static const char *const unanswered[] = {"failure", "answer"};
	EngineValue *items = palloc(sizeof(EngineValue) * 2);
	const char *outputs = gepa_judge_render_outputs(run->seed, step, document, rollout->trace);
	const char *answer;
	const char *failure;

	if (outputs != NULL)
		return text_value(outputs);
	failure = gepa_judge_traced_failure(run->seed, step, rollout->trace, &answer);
	items[0] = text_value(failure ? failure :
						  rollout->verdict.detail ? rollout->verdict.detail : "not reached");
	items[1] = text_value(answer);
	return map_value(answer ? 2 : 1, unanswered, items);
}

/* Whose inputs and outputs are shown: those of the step whose prompt is to be written. */
static EngineValue
record_value(const WorkerRun *run, int step, const StoreRollout *rollout, JudgeImages *images)
{
	static const char *const keys[] = {"Inputs", "Generated Outputs", "Feedback"};
	EngineValue *items = palloc(sizeof(EngineValue) * lengthof(keys));
	const JudgeDocument *document = &run->samples[rollout->split][rollout->sample].document;

	items[0] = text_value(gepa_judge_render_inputs(run->seed, step, document, rollout->trace,
												   images));
	items[1] = step < run->seed->nsteps ? step_value(run, step, rollout, document) :
		outputs_value(&rollout->verdict);
	items[2] = text_value(rollout->feedback ? rollout->feedback : "");
	return map_value(lengthof(keys), keys, items);
}

/* The step that the component at hand is the prompt of; nsteps = the verdict. */
static int
step_of(const WorkerRun *run, const EngineStep *step)
{
	const JudgeComponent *component = &run->seed->components[run->tuned[step->component]];

	return component->kind == JUDGE_COMPONENT_STEP ?
		gepa_judge_find_step(run->seed, component->name) : run->seed->nsteps;
}

const char *
gepa_worker_default_template(const WorkerRun *run, const EngineStep *step)
{
	int			number = step_of(run, step);

	if (run->row->text != NULL)
		return gepa_worker_text_template(run, step->component);
	return number < run->seed->nsteps ? gepa_judge_step_template(run->seed, number) :
		gepa_judge_reflection_template();
}

EngineValue *
gepa_worker_records(const WorkerRun *run, const EngineStep *step, WorkerPictures *pictures)
{
	int			n = step->nrecords;
	StoreRollout *rollouts = gepa_store_get_records(run->row->run, run->seed, step->records, &n);
	EngineValue *records = palloc(sizeof(EngineValue) * Max(n, 1));

	if (n != step->nrecords)
		elog(ERROR, "%d of the %d rollouts to reflect on in step %d are recorded", n,
			 step->nrecords, step->step);
	memset(pictures, 0, sizeof(*pictures));
	pictures->first = palloc0(sizeof(int) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		/* Test samples are never shown. */
		if (rollouts[i].split < STORE_SPLIT_TRAIN || rollouts[i].split > STORE_SPLIT_VAL ||
			rollouts[i].sample < 0 || rollouts[i].sample >= run->nsamples[rollouts[i].split])
			elog(ERROR, "rollout %d of step %d has no sample", rollouts[i].slot,
				 rollouts[i].step);
		records[i] = run->row->text != NULL ? gepa_worker_text_record(run, &rollouts[i]) :
			record_value(run, step_of(run, step), &rollouts[i], &pictures->images);
		pictures->first[i + 1] = pictures->images.n;
	}
	return records;
}
