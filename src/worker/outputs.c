/*-------------------------------------------------------------------------
 *
 * outputs.c
 *	  Where the outputs of an evaluation come from.
 *
 * A judge's are verdicts, of a JudgeRun on the LMs of the program.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/worker_grading.h"

struct WorkerOutputs
{
	JudgeRun   *judge;
};

WorkerOutputs *
gepa_worker_outputs_open(WorkerRun *run, const JudgeSpec *spec, const JudgeServers *lms)
{
	WorkerOutputs *outputs = palloc0(sizeof(WorkerOutputs));
	LmOrigin	origin = {.purpose = LM_PURPOSE_ROLLOUT,.judge = run->row->judge,
	.run = run->row->run};

	outputs->judge = gepa_judge_open(spec, lms, &origin);
	gepa_judge_charge(outputs->judge, run->budget);
	return outputs;
}

void
gepa_worker_outputs_submit(WorkerOutputs *outputs, const StoreSample *sample, int slot)
{
	gepa_judge_submit(outputs->judge, &sample->document, NULL, (void *) (intptr_t) slot);
}

bool
gepa_worker_outputs_collect(WorkerOutputs *outputs, int *slot, WorkerOutput *output)
{
	void	   *tag;

	memset(output, 0, sizeof(WorkerOutput));
	if (gepa_judge_pending(outputs->judge) == 0 ||
		!gepa_judge_collect(outputs->judge, 0, &tag, &output->verdict))
		return false;
	output->trace = output->verdict.trace;
	*slot = (int) (intptr_t) tag;
	return true;
}

int
gepa_worker_outputs_pending(const WorkerOutputs *outputs)
{
	return gepa_judge_pending(outputs->judge);
}

void
gepa_worker_outputs_stop(WorkerOutputs *outputs)
{
	gepa_judge_stop(outputs->judge);
}

void
gepa_worker_outputs_close(WorkerOutputs *outputs)
{
	gepa_judge_close(outputs->judge);
	pfree(outputs);
}
