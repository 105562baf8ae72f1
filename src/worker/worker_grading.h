/*-------------------------------------------------------------------------
 *
 * worker_grading.h
 *	  An evaluation's outputs and their grades, for the files of src/worker.
 *
 * Both are asynchronous and never wait: submit, then collect until nothing is
 * pending.  Neither has a transaction open between calls.  They live in the
 * memory context current at open, and so do the strings of what is collected.
 * LMs to be called are opened in a transaction, which the caller has begun.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_GRADING_H
#define GEPA_WORKER_WORKER_GRADING_H

#include "apply/apply.h"
#include "worker/worker_internal.h"

/*
 * outputs.c: what a candidate says about samples, in one round of an
 * evaluation.  It comes from the judge, by its LM.
 */
typedef struct WorkerOutput
{
	JudgeVerdict verdict;
	char	   *trace;			/* JSON of the steps to it; NULL = none */
	bool		scored;			/* it brings its own score and is not graded: */
	double		score;
	char	   *feedback;
	char	   *objectives;		/* JSON object, name -> score; NULL = none */
} WorkerOutput;

typedef struct WorkerOutputs WorkerOutputs;

extern WorkerOutputs *gepa_worker_outputs_open(WorkerRun *run, const JudgeSpec *spec,
											   const JudgeServers *lms);
extern void gepa_worker_outputs_submit(WorkerOutputs *outputs, const StoreSample *sample,
									   int slot);

/* The next that has come; false when there is none yet. */
extern bool gepa_worker_outputs_collect(WorkerOutputs *outputs, int *slot, WorkerOutput *output);
extern int	gepa_worker_outputs_pending(const WorkerOutputs *outputs);
extern void gepa_worker_outputs_stop(WorkerOutputs *outputs);	/* send nothing more */
extern void gepa_worker_outputs_close(WorkerOutputs *outputs);

/*
 * grading.c: from an output to a score with feedback: by the run's metric, at
 * once, or by its graders.
 */
typedef struct WorkerGrade
{
	bool		failed;			/* a grader's call got no answer: try again */
	bool		missing;		/* a grader has no score, and so has the whole */
	const ApplyGrader *grader;	/* ... this one, */
	const JudgeGraderResult *result;	/* which said this */
	double		score;			/* NaN = none */
	char	   *feedback;
	char	   *objectives;		/* as in StoreRollout, like the following */
	char	   *graders;
	int			calls;
	int			input_tokens;
	int			output_tokens;
	double		cost;
} WorkerGrade;

typedef struct WorkerGrading WorkerGrading;

/* graders as gepa_worker_open_graders() has them, NULL = by the metric. */
extern WorkerGrading *gepa_worker_grading_open(WorkerRun *run, const JudgeSpec *spec,
											   const ApplyGraders *graders);

/* The run's graders as they are now; NULL = none.  Needs a transaction. */
extern const ApplyGraders *gepa_worker_open_graders(const WorkerRun *run);
extern void gepa_worker_grading_submit(WorkerGrading *grading, const StoreSample *sample,
									   const JudgeVerdict *verdict, const char *trace,
									   int slot);

/* Begin what was submitted, in a transaction of its own. */
extern void gepa_worker_grading_advance(WorkerGrading *grading);

/* The next that is complete; false when there is none yet. */
extern bool gepa_worker_grading_collect(WorkerGrading *grading, int *slot, WorkerGrade *grade);
extern int	gepa_worker_grading_pending(const WorkerGrading *grading);

/* What calls said and took, into the tables; in the caller's transaction. */
extern bool gepa_worker_grading_must_save(const WorkerGrading *grading);
extern void gepa_worker_grading_save(WorkerGrading *grading);

/* The longest that one of the graders' LMs wants to be left alone. */
extern long gepa_worker_grading_hold_ms(const WorkerGrading *grading);
extern void gepa_worker_grading_stop(WorkerGrading *grading);
extern void gepa_worker_grading_close(WorkerGrading *grading);

/*
 * What the metric makes of a verdict, whatever graders there are: of one that the endpoint
 * rejects nothing in default mode, which can do without a score.
 */
extern void gepa_worker_grade_by_metric(const WorkerRun *run, const JudgeSpec *spec,
										const StoreSample *sample, const JudgeVerdict *verdict,
										WorkerGrade *grade);

#endif							/* GEPA_WORKER_WORKER_GRADING_H */
