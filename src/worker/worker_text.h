/*-------------------------------------------------------------------------
 *
 * worker_text.h
 *	  Runs of other texts than a judge's, for the files of src/worker.
 *
 * Such a run has no judge and no task LM: a candidate's texts are judged by a function
 * of the user.  To the rest of src/worker it is a run whose program has a
 * component for each text, and no labels but those of its samples.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_TEXT_H
#define GEPA_WORKER_WORKER_TEXT_H

#include "worker/worker_internal.h"

/* A sample without a label has none, or one that is empty. */
static inline bool
gepa_worker_has_label(const StoreSample *sample)
{
	return sample->label != NULL && sample->label[0] != '\0';
}

/* text_start.c: gepa_worker_start_run() of such a run */
extern int	gepa_worker_start_text(const WorkerStartRequest *request);

/* text_run.c */

/*
 * The program: its components, in the order of the seed's keys, without a text (NULL)
 * where the reflection LM has still to write it.  Run 0 is one that is not stored yet.
 * Needs a transaction.
 */
extern JudgeSpec *gepa_worker_text_program(const StoreText *text, int run);

/* Give it as labels those that its samples have, if they are few enough to be classes. */
extern void gepa_worker_text_labels(JudgeSpec *program, const StoreSample *samples, int n);

/* Is there a text for each component? */
extern bool gepa_worker_has_seed(const WorkerRun *run);

/*
 * Have the reflection LM write what is missing.  The run has no engine yet, and has to be
 * loaded again afterwards.  False when it was asked to stop.
 */
extern bool gepa_worker_write_seed(WorkerRun *run);

/* A step's texts, as the evaluator gets them: JSON, name -> text. */
extern char *gepa_worker_candidate_json(const WorkerRun *run, const char *const *texts);

/* text_prompt.c: what the reflection LM is asked */

/* A template for gepa_engine_render_reflection(). */
extern char *gepa_worker_text_template(const WorkerRun *run, int component);

/* To write a component that has no text yet. */
extern char *gepa_worker_seed_prompt(const WorkerRun *run, int component);

/* What is shown of a rollout. */
extern EngineValue gepa_worker_text_record(const WorkerRun *run, const StoreRollout *rollout);

/* Raises 22023 for an objective or the like in which a placeholder would be replaced. */
extern void gepa_worker_check_no_placeholder(const char *what, const char *text);

/*
 * evaluator.c: an EVALUATE step of such a run, as WorkerEvaluation is one of a judge's.  A poll
 * calls the evaluator for a slice of time, one sample after the other; a call that is under
 * way when the run is asked to stop is cancelled.
 */
typedef struct WorkerTrial WorkerTrial;

extern WorkerTrial *gepa_worker_trial_begin(WorkerRun *run, const EngineStep *step);
extern bool gepa_worker_trial_poll(WorkerTrial *trial);
extern void gepa_worker_trial_close(WorkerTrial *trial);
extern double *gepa_worker_trial_scores(const WorkerTrial *trial);
extern const char **gepa_worker_trial_objectives(const WorkerTrial *trial);

#endif							/* GEPA_WORKER_WORKER_TEXT_H */
