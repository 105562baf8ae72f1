/*-------------------------------------------------------------------------
 *
 * grading.c
 *	  From an output to a score with feedback.
 *
 * By the run's metric, which needs nothing but the verdict: then a grade is there as
 * soon as it is asked for.  Or by the run's graders, whose calls are under way beside
 * those of the judge.  What functions and kept results say is looked up in a transaction
 * of its own, for all outputs that have come since the last.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "worker/worker_grading.h"

/* An output on its way to its grade. */
typedef struct Asked
{
	int			slot;
	JudgeGraderSample sample;
	JudgeGraderOutput output;
	WorkerGrade grade;			/* by the metric */
} Asked;

struct WorkerGrading
{
	WorkerRun  *run;
	const JudgeSpec *spec;
	const ApplyGraders *graders;	/* NULL = by the metric */
	ApplyGrading *asking;
	List	   *complete;		/* by the metric: of Asked */
};

static void
grade_by_confidence(const WorkerRun *run, const JudgeSpec *spec, const StoreSample *sample,
					const JudgeVerdict *verdict, WorkerGrade *grade)
{
	const JudgeConfidence *confidence = &run->options.confidence;

	grade->score = gepa_judge_grade_confidence(spec, confidence, sample->label, verdict);
	grade->feedback = gepa_judge_confidence_feedback(spec, confidence, sample->label,
													 sample->feedback, verdict);
	grade->objectives = gepa_judge_confidence_objectives(spec, sample->label, verdict);
}

void
gepa_worker_grade_by_metric(const WorkerRun *run, const JudgeSpec *spec,
							const StoreSample *sample, const JudgeVerdict *verdict,
							WorkerGrade *grade)
{
	const WorkerRunOptions *options = &run->options;

	memset(grade, 0, sizeof(WorkerGrade));
	if (options->metric == JUDGE_METRIC_CONFIDENCE)
		grade_by_confidence(run, spec, sample, verdict, grade);
	else
	{
		grade->score = gepa_judge_grade(spec, (JudgeMetric) options->metric, sample->label,
										verdict);
		grade->feedback = gepa_judge_feedback(spec, sample->label, sample->feedback, verdict);
	}
	if (options->mode == ENGINE_MODE_DEFAULT && gepa_status_no_answer(verdict->status))
		grade->score = NAN;
}

const ApplyGraders *
gepa_worker_open_graders(const WorkerRun *run)
{
	return run->options.graders == NULL ? NULL : gepa_apply_open_graders(run->options.graders);
}

/* What its evaluations ask at a time they ask once. */
static ApplyAsked *
asked_of(WorkerRun *run)
{
	if (run->asked_graders == NULL)
	{
		run->asked_graders = MemoryContextAllocZero(run->context, sizeof(ApplyAsked));
		run->asked_graders->context = run->context;
		run->asked_graders->stop = gepa_worker_stop_flag();
	}
	return run->asked_graders;
}

WorkerGrading *
gepa_worker_grading_open(WorkerRun *run, const JudgeSpec *spec, const ApplyGraders *graders)
{
	WorkerGrading *grading = palloc0(sizeof(WorkerGrading));
	LmOrigin	origin = {.judge = run->row->judge,.run = run->row->run};

	grading->run = run;
	grading->spec = spec;
	grading->graders = graders;
	if (graders != NULL)
		grading->asking = gepa_apply_grading_open(graders, &origin, run->budget, asked_of(run));
	return grading;
}

static void
describe(const JudgeSpec *spec, const StoreSample *sample, const JudgeVerdict *verdict,
		 Asked *asked)
{
	asked->sample.key = sample->key;
	asked->sample.ninputs = sample->document.nfields;
	asked->sample.names = (const char *const *) spec->inputs;
	asked->sample.inputs = sample->document.fields;
	asked->sample.label = sample->label[0] != '\0' ? sample->label : NULL;
	asked->sample.feedback = sample->feedback;
	asked->output.status = verdict->status;
	asked->output.scored = verdict->status == GEPA_STATUS_OK;
	asked->output.score = verdict->score;
	asked->output.positive = verdict->positive;
	if (verdict->status == GEPA_STATUS_OK)
		asked->output.label = gepa_judge_given_label(spec, verdict);
	asked->output.reasoning = verdict->reasoning;
	asked->output.answer = verdict->answer;
	asked->output.detail = verdict->detail;
}

void
gepa_worker_grading_submit(WorkerGrading *grading, const StoreSample *sample,
						   const JudgeVerdict *verdict, const char *trace, int slot)
{
	Asked	   *asked = palloc0(sizeof(Asked));

	asked->slot = slot;
	if (grading->graders != NULL)
	{
		describe(grading->spec, sample, verdict, asked);
		asked->output.trace = trace;
		gepa_apply_grading_submit(grading->asking, &asked->sample, &asked->output, asked);
		return;
	}
	gepa_worker_grade_by_metric(grading->run, grading->spec, sample, verdict, &asked->grade);
	grading->complete = lappend(grading->complete, asked);
}

void
gepa_worker_grading_advance(WorkerGrading *grading)
{
	MemoryContext context = CurrentMemoryContext;

	if (grading->graders == NULL || !gepa_apply_grading_must_start(grading->asking))
		return;
	gepa_worker_enter(grading->run, context);
	gepa_apply_grading_start(grading->asking);
	gepa_worker_commit(context);
}

static void
take_grade(const WorkerGrading *grading, const ApplyGrade *told, WorkerGrade *grade)
{
	int			named = told->failed >= 0 ? told->failed : told->missing;

	memset(grade, 0, sizeof(WorkerGrade));
	grade->failed = told->failed >= 0;
	grade->missing = told->missing >= 0;
	if (named >= 0)
	{
		grade->grader = &grading->graders->graders[named];
		grade->result = &told->results[named];
	}
	grade->score = told->mix.score;
	grade->feedback = told->mix.feedback;
	grade->objectives = told->mix.objectives;
	grade->graders = told->mix.graders;
	grade->calls = told->mix.calls;
	grade->input_tokens = told->mix.input_tokens;
	grade->output_tokens = told->mix.output_tokens;
	grade->cost = told->mix.cost;
}

bool
gepa_worker_grading_collect(WorkerGrading *grading, int *slot, WorkerGrade *grade)
{
	Asked	   *asked;
	ApplyGrade	told;

	if (grading->graders != NULL)
	{
		if (!gepa_apply_grading_collect(grading->asking, 0, &told))
			return false;
		asked = told.tag;
		take_grade(grading, &told, grade);
	}
	else if (grading->complete == NIL)
		return false;
	else
	{
		asked = linitial(grading->complete);
		grading->complete = list_delete_first(grading->complete);
		*grade = asked->grade;
	}
	*slot = asked->slot;
	return true;
}

int
gepa_worker_grading_pending(const WorkerGrading *grading)
{
	return grading->graders != NULL ? gepa_apply_grading_pending(grading->asking) :
		list_length(grading->complete);
}

bool
gepa_worker_grading_must_save(const WorkerGrading *grading)
{
	return grading->graders != NULL && gepa_apply_grading_must_save(grading->asking);
}

void
gepa_worker_grading_save(WorkerGrading *grading)
{
	if (gepa_worker_grading_must_save(grading))
		gepa_apply_grading_save(grading->asking);
}

long
gepa_worker_grading_hold_ms(const WorkerGrading *grading)
{
	return grading->graders != NULL ? gepa_apply_grading_hold_ms(grading->asking) : 0;
}

void
gepa_worker_grading_stop(WorkerGrading *grading)
{
	if (grading->graders != NULL)
		gepa_apply_grading_stop(grading->asking);
}

void
gepa_worker_grading_close(WorkerGrading *grading)
{
	if (grading->graders != NULL)
		gepa_apply_grading_close(grading->asking);
	list_free(grading->complete);
	pfree(grading);
}
