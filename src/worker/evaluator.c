/*-------------------------------------------------------------------------
 *
 * evaluator.c
 *	  An EVALUATE step of a run of texts: the user's function on some samples.
 *
 * The function runs here, in the worker, as the run's owner; there is nothing to wait
 * for.  So a poll calls it for SLICE_MS, sample after sample in one transaction, and
 * commits what came in: reflections that are under way, and requests to stop, are looked at
 * in between.  A call that takes longer is cancelled when the run is asked to stop.
 *
 * A call that fails is a rollout with status function_error.  It has the score that
 * run option error_score gives it.  Without one it has none, in default mode, and
 * in reference mode, which cannot do without, the run fails.  The seed says whether it is
 * the function that is to blame: failures of its first step are not recorded before one of
 * its calls succeeded, and if none did the run fails.  Either way it can be resumed.
 *
 * Known hole: a function that breaks later on, whatever the text, makes rollouts
 * without scores until the budget is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "base/clock.h"
#include "worker/worker_text.h"

#define SLICE_MS 200
#define FLUSH_ROLLOUTS 32

struct WorkerTrial
{
	WorkerRun  *run;
	EngineStep	step;
	StoreFunction evaluator;
	char	   *candidate;		/* JSON */
	StoreRollout *rollouts;		/* by slot */
	bool	   *done;			/* by slot: has its rollout */
	int			next;			/* slot to be looked at */
	int			nunsaved;
	int		   *unsaved;		/* slots that are not committed yet */
	bool		succeeded;		/* some call did */
	bool		closed;
};

typedef struct WorkerTrial Trial;

/*
 * Rollouts
 */

static const StoreSample *
sample_of(const Trial *trial, int slot)
{
	return &trial->run->samples[gepa_worker_split_of(&trial->step)][trial->step.samples[slot]];
}

static bool
is_first(const Trial *trial)
{
	return trial->step.step == 0;
}

/* In a transaction; failures of the first step only once it is known whose they are. */
static void
save_rollouts(Trial *trial)
{
	StoreRollout *batch = palloc(sizeof(StoreRollout) * Max(trial->nunsaved, 1));
	StoreLost	lost = {0};

	if (trial->nunsaved == 0 || (is_first(trial) && !trial->succeeded))
		return;
	for (int i = 0; i < trial->nunsaved; i++)
		batch[i] = trial->rollouts[trial->unsaved[i]];
	gepa_store_insert_rollouts(trial->run->row->run, batch, trial->nunsaved, &lost,
							   gepa_worker_take_elapsed(trial->run));
	trial->nunsaved = 0;
}

static void
add_rollout(Trial *trial, int slot, const StoreEvaluation *evaluation)
{
	const EngineStep *step = &trial->step;
	StoreRollout *rollout = &trial->rollouts[slot];
	bool		ok = evaluation->status == GEPA_STATUS_OK;

	rollout->step = step->step;
	rollout->slot = slot;
	rollout->proposal = step->proposal;
	rollout->split = gepa_worker_split_of(step);
	rollout->sample = step->samples[slot];
	rollout->score = ok ? evaluation->score : trial->run->options.error_score;
	rollout->feedback = ok ? evaluation->feedback : evaluation->detail;
	rollout->objectives = evaluation->objectives;
	rollout->trace = evaluation->trace;
	rollout->verdict.status = evaluation->status;
	rollout->verdict.detail = evaluation->detail;
	rollout->verdict.latency_ms = evaluation->latency_ms;
	trial->succeeded = trial->succeeded || ok;
	trial->done[slot] = true;
	trial->unsaved[trial->nunsaved++] = slot;
}

/* The first slot of this sample if its rollout is there; else -1. */
static int
find_twin(const Trial *trial, int slot)
{
	for (int i = 0; i < slot && trial->run->options.reuse_rollouts; i++)
		if (trial->step.samples[i] == trial->step.samples[slot] && trial->done[i])
			return i;
	return -1;
}

static void
copy_twin(Trial *trial, int slot, int twin)
{
	trial->rollouts[slot] = trial->rollouts[twin];
	trial->rollouts[slot].slot = slot;
	trial->rollouts[slot].verdict.latency_ms = 0;
	trial->done[slot] = true;
	trial->unsaved[trial->nunsaved++] = slot;
}

/*
 * What ends the run; what came in before is saved
 */

static void
save_and_commit(Trial *trial, MemoryContext context)
{
	save_rollouts(trial);
	gepa_worker_commit(context);
}

static const char *
path_hint(const char *detail)
{
	return strncmp(detail, "42", 2) == 0 ?
		" Functions are called under search_path \"pg_catalog, pg_temp\": qualify what they name, or give them a search_path with ALTER FUNCTION ... SET search_path." : "";
}

static void
refuse_failure(const Trial *trial, int slot, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("evaluator %s failed on sample \"%s\": %s", trial->evaluator.name,
					sample_of(trial, slot)->key, detail),
			 errhint("Mode \"reference\" needs a score for each sample: catch errors in the function and return one, or start a run with option \"error_score\". Then SELECT gepa.resume(%d) goes on.%s",
					 trial->run->row->run, path_hint(detail))));
}

static void
refuse_all(const Trial *trial)
{
	const char *detail = trial->rollouts[0].verdict.detail;

	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("evaluator %s failed on each of %d samples with the seed", trial->evaluator.name,
					trial->step.nsamples),
			 errdetail("The first failure: %s.", detail),
			 errhint("Mend the function or the seed; once the function is mended SELECT gepa.resume(%d) goes on.%s",
					 trial->run->row->run, path_hint(detail))));
}

static void
refuse_score(const Trial *trial, int slot, double score)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("evaluator %s returned the score %g for sample \"%s\"", trial->evaluator.name,
					score, sample_of(trial, slot)->key),
			 errdetail("Mode \"default\" takes scores from 0 to 1."),
			 errhint("Scale what the function returns, or start a run with \"mode\": \"reference\", which takes any finite score.")));
}

static bool
is_allowed(const Trial *trial, const StoreEvaluation *evaluation)
{
	const WorkerRunOptions *options = &trial->run->options;

	if (options->mode == ENGINE_MODE_DEFAULT)
		return evaluation->status != GEPA_STATUS_OK ||
			(evaluation->score >= 0 && evaluation->score <= 1);
	return evaluation->status == GEPA_STATUS_OK || !isnan(options->error_score);
}

static void
refuse(Trial *trial, int slot, const StoreEvaluation *evaluation, MemoryContext context)
{
	save_and_commit(trial, context);
	if (evaluation->status == GEPA_STATUS_OK)
		refuse_score(trial, slot, evaluation->score);
	refuse_failure(trial, slot, evaluation->detail);
}

/*
 * Calling
 */

/* What the function is told of a sample: JSON; NULL = nothing, there is but one task. */
static char *
sample_json(const WorkerRun *run, const StoreSample *sample)
{
	StringInfoData buf;

	if (run->row->dataset == NULL)
		return NULL;
	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"key\":");
	gepa_json_quote(&buf, sample->key);
	appendStringInfoString(&buf, ",\"inputs\":{");
	for (int i = 0; i < sample->document.nfields; i++)
	{
		appendStringInfoString(&buf, i > 0 ? "," : "");
		gepa_json_quote(&buf, run->seed->inputs[i]);
		appendStringInfoChar(&buf, ':');
		gepa_json_quote(&buf, sample->document.fields[i]);
	}
	appendStringInfoString(&buf, "},\"label\":");
	if (gepa_worker_has_label(sample))
		gepa_json_quote(&buf, sample->label);
	appendStringInfoString(&buf, gepa_worker_has_label(sample) ? ",\"feedback\":" : "null,\"feedback\":");
	if (sample->feedback != NULL)
		gepa_json_quote(&buf, sample->feedback);
	appendStringInfoString(&buf, sample->feedback != NULL ? "}" : "null}");
	return buf.data;
}

/* False when it was cancelled because the run is to stop. */
static bool
call(Trial *trial, int slot, StoreEvaluation *evaluation)
{
	char	   *sample = sample_json(trial->run, sample_of(trial, slot));

	gepa_store_evaluate(trial->evaluator.function, sample, trial->candidate,
						gepa_worker_stop_flag(), evaluation);
	return evaluation->status == GEPA_STATUS_OK || !gepa_worker_stop_requested();
}

static void
evaluate_next(Trial *trial, MemoryContext context)
{
	int			slot = trial->next;
	int			twin = find_twin(trial, slot);
	StoreEvaluation evaluation;

	if (trial->done[slot])
		trial->next++;
	else if (twin >= 0)
	{
		copy_twin(trial, slot, twin);
		trial->next++;
	}
	else if (call(trial, slot, &evaluation))
	{
		if (!is_allowed(trial, &evaluation))
			refuse(trial, slot, &evaluation, context);
		add_rollout(trial, slot, &evaluation);
		trial->next++;
	}
}

static void
evaluate_some(Trial *trial)
{
	MemoryContext context = CurrentMemoryContext;
	int64		end = gepa_clock_after_ms(SLICE_MS);

	gepa_worker_enter(trial->run, context);
	while (trial->next < trial->step.nsamples && trial->nunsaved < FLUSH_ROLLOUTS &&
		   gepa_clock_us() < end && !gepa_worker_stop_requested())
		evaluate_next(trial, context);
	save_and_commit(trial, context);
	gepa_worker_announce_change(trial->run->row->run);
}

/*
 * A frontier of objectives compares each on all samples: what succeeded has to have them all
 * the same, or none may have any.
 */
static void
check_objectives(const Trial *trial)
{
	const WorkerRun *run = trial->run;
	int			without = -1;
	bool		with = run->nobjectives > 0;

	if (run->options.mode == ENGINE_MODE_DEFAULT || trial->step.split != ENGINE_SPLIT_VAL ||
		run->options.frontier_type == ENGINE_FRONTIER_INSTANCE)
		return;
	for (int slot = trial->step.nsamples - 1; slot >= 0; slot--)
	{
		if (trial->rollouts[slot].verdict.status != GEPA_STATUS_OK)
			continue;
		with = with || (is_first(trial) && trial->rollouts[slot].objectives != NULL);
		without = trial->rollouts[slot].objectives == NULL ? slot : without;
	}
	if (with && without >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("evaluator %s returned no objectives for sample \"%s\"", trial->evaluator.name,
						sample_of(trial, without)->key),
				 errdetail("For others it did, and the frontier compares objectives."),
				 errhint("Have it return objectives always, or start a run with \"frontier_type\": \"instance\".")));
}

/*
 * The door
 */

static void
take_recorded(Trial *trial)
{
	int			n;
	StoreRollout *recorded = gepa_store_get_rollouts(trial->run->row->run, trial->run->seed,
													 trial->step.step, &n);

	for (int i = 0; i < n; i++)
	{
		int			slot = recorded[i].slot;

		if (slot < 0 || slot >= trial->step.nsamples)
			continue;
		trial->rollouts[slot] = recorded[i];
		trial->done[slot] = true;
		trial->succeeded = trial->succeeded || recorded[i].verdict.status == GEPA_STATUS_OK;
	}
}

WorkerTrial *
gepa_worker_trial_begin(WorkerRun *run, const EngineStep *step)
{
	int			n = Max(step->nsamples, 1);
	MemoryContext context = CurrentMemoryContext;
	Trial	   *trial = palloc0(sizeof(Trial));

	trial->run = run;
	trial->step = *step;
	trial->evaluator = run->row->text->evaluator;
	trial->candidate = gepa_worker_candidate_json(run, step->texts);
	trial->rollouts = palloc0(sizeof(StoreRollout) * n);
	trial->done = palloc0(sizeof(bool) * n);
	trial->unsaved = palloc(sizeof(int) * n);
	/* Failures that are asked to count do not speak against the function. */
	trial->succeeded = !isnan(run->options.error_score);
	gepa_worker_enter(run, context);
	gepa_store_find_function(&gepa_store_evaluator_kind, GetUserId(), &trial->evaluator);
	take_recorded(trial);
	gepa_worker_commit(context);
	return trial;
}

bool
gepa_worker_trial_poll(WorkerTrial *trial)
{
	if (trial->next < trial->step.nsamples && !trial->closed && trial->run->exhausted == NULL)
		evaluate_some(trial);
	if (trial->next < trial->step.nsamples)
		return false;
	if (!trial->succeeded && is_first(trial))
		refuse_all(trial);
	check_objectives(trial);
	return true;
}

void
gepa_worker_trial_close(WorkerTrial *trial)
{
	trial->closed = true;
}

double *
gepa_worker_trial_scores(const WorkerTrial *trial)
{
	double	   *scores = palloc(sizeof(double) * Max(trial->step.nsamples, 1));

	for (int slot = 0; slot < trial->step.nsamples; slot++)
		scores[slot] = trial->rollouts[slot].score;
	return scores;
}

const char **
gepa_worker_trial_objectives(const WorkerTrial *trial)
{
	const char **objectives = palloc(sizeof(char *) * Max(trial->step.nsamples, 1));

	for (int slot = 0; slot < trial->step.nsamples; slot++)
		objectives[slot] = trial->rollouts[slot].objectives;
	return objectives;
}
