/*-------------------------------------------------------------------------
 *
 * records.c
 *	  What a reflection is shown of rollouts.
 *
 * They are read back from the tables, in the order in which the engine names
 * them, so that a resumed run shows the LM what the undisturbed one would have.
 * The documents appear as the judge saw them: cut and fenced.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/worker_internal.h"

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

EngineValue *
gepa_worker_records(const WorkerRun *run, const EngineStep *step)
{
	int			n = step->nrecords;
	StoreRollout *rollouts = gepa_store_get_records(run->row->run, run->seed, step->records, &n);
	EngineValue *records = palloc(sizeof(EngineValue) * Max(n, 1));

	if (n != step->nrecords)
		elog(ERROR, "%d of the %d rollouts to reflect on in step %d are recorded", n,
			 step->nrecords, step->step);
	for (int i = 0; i < n; i++)
	{
		/* Test samples are never shown. */
		if (rollouts[i].split < STORE_SPLIT_TRAIN || rollouts[i].split > STORE_SPLIT_VAL ||
			rollouts[i].sample < 0 || rollouts[i].sample >= run->nsamples[rollouts[i].split])
			elog(ERROR, "rollout %d of step %d has no sample", rollouts[i].slot,
				 rollouts[i].step);
		records[i] = record_value(run, &rollouts[i]);
	}
	return records;
}
