/*-------------------------------------------------------------------------
 *
 * grading.c
 *	  From an output to a score with feedback.
 *
 * By the run's metric, which needs nothing but the verdict: then a grade is
 * there as soon as it is asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "worker/worker_grading.h"

typedef struct Graded
{
	int			slot;
	WorkerGrade grade;
} Graded;

struct WorkerGrading
{
	WorkerRun  *run;
	const JudgeSpec *spec;
	List	   *complete;		/* of Graded */
};

void
gepa_worker_grade_by_metric(const WorkerRun *run, const JudgeSpec *spec,
							const StoreSample *sample, const JudgeVerdict *verdict,
							WorkerGrade *grade)
{
	const WorkerRunOptions *options = &run->options;

	memset(grade, 0, sizeof(WorkerGrade));
	if (options->mode == ENGINE_MODE_DEFAULT && gepa_status_no_answer(verdict->status))
		grade->score = NAN;
	else
		grade->score = gepa_judge_grade(spec, (JudgeMetric) options->metric, sample->label,
										verdict);
	grade->feedback = gepa_judge_feedback(spec, sample->label, sample->feedback, verdict);
}

WorkerGrading *
gepa_worker_grading_open(WorkerRun *run, const JudgeSpec *spec)
{
	WorkerGrading *grading = palloc0(sizeof(WorkerGrading));

	grading->run = run;
	grading->spec = spec;
	return grading;
}

void
gepa_worker_grading_submit(WorkerGrading *grading, const StoreSample *sample,
						   const JudgeVerdict *verdict, int slot)
{
	Graded	   *graded = palloc(sizeof(Graded));

	graded->slot = slot;
	gepa_worker_grade_by_metric(grading->run, grading->spec, sample, verdict, &graded->grade);
	grading->complete = lappend(grading->complete, graded);
}

bool
gepa_worker_grading_collect(WorkerGrading *grading, int *slot, WorkerGrade *grade)
{
	Graded	   *graded;

	if (grading->complete == NIL)
		return false;
	graded = linitial(grading->complete);
	grading->complete = list_delete_first(grading->complete);
	*slot = graded->slot;
	*grade = graded->grade;
	pfree(graded);
	return true;
}

int
gepa_worker_grading_pending(const WorkerGrading *grading)
{
	return list_length(grading->complete);
}

void
gepa_worker_grading_stop(WorkerGrading *grading)
{
}

void
gepa_worker_grading_close(WorkerGrading *grading)
{
	list_free(grading->complete);
	pfree(grading);
}
