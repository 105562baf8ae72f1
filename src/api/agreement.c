/*-------------------------------------------------------------------------
 *
 * agreement.c
 *	  How far a grader agrees with the labels of a dataset.
 *
 * A grader that stands for labels is checked against some.  It is shown the documents
 * and never the label.  Documents without a score are left out, and counted in a
 * notice.  What its calls said is kept, so that asking again is free.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/api_internal.h"
#include "apply/apply.h"
#include "base/settings.h"

typedef struct Agreement
{
	ApplyGrader grader;
	StoreDataset *dataset;
	int			npositive;
	char	  **positive;
	int			nordinal;		/* from worst to best; 0 = none */
	char	  **ordinal;
	int			n;
	StoreSample *samples;
	int			ngraded;
	JudgeGraded *graded;
	const JudgeGraderResult *failure;	/* of one without a score */
} Agreement;

static int
find(int n, char *const *texts, const char *text)
{
	for (int i = 0; i < n; i++)
		if (strcmp(texts[i], text) == 0)
			return i;
	return -1;
}

static void
check(const Agreement *agreement)
{
	const JudgeGrader *grader = agreement->grader.def;

	if (!grader->on_document)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("grader \"%s\" does not grade documents", grader->name),
				 errhint("Agreement with labels is that of a rubric or reward model with option \"target\": \"document\".")));
	if (agreement->dataset->label == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dataset \"%s\" has no labels", agreement->dataset->name),
				 errhint("Create a dataset with a label column.")));
}

static void
read_samples(Agreement *agreement, int limit)
{
	const StoreDataset *dataset = agreement->dataset;
	JudgeSpec	view = {0};

	view.name = "";
	view.ninputs = dataset->ninputs;
	view.inputs = dataset->inputs;
	agreement->samples = gepa_store_read_samples(dataset, &view, &agreement->n);
	if (limit >= 0)
		agreement->n = Min(agreement->n, limit);
	for (int i = 0; i < agreement->n && agreement->nordinal > 0; i++)
		if (find(agreement->nordinal, agreement->ordinal, agreement->samples[i].label) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("label \"%s\" is not among the ordinal ones",
							agreement->samples[i].label),
					 errhint("Name in \"ordinal\" all labels of the dataset, from worst to best.")));
}

static void
submit(const Agreement *agreement, ApplyGrading *grading)
{
	JudgeGraderOutput *output = palloc0(sizeof(JudgeGraderOutput));

	for (int i = 0; i < agreement->n; i++)
	{
		JudgeGraderSample *sample = palloc0(sizeof(JudgeGraderSample));

		sample->ninputs = agreement->dataset->ninputs;
		sample->names = (const char *const *) agreement->dataset->inputs;
		sample->inputs = agreement->samples[i].document.fields;
		gepa_apply_grading_submit(grading, sample, output, &agreement->samples[i]);
	}
	gepa_apply_grading_start(grading);
}

static void
take(Agreement *agreement, const ApplyGrade *grade)
{
	const StoreSample *sample = grade->tag;
	const JudgeGraderResult *result = &grade->results[0];
	JudgeGraded *graded = &agreement->graded[agreement->ngraded];

	if (result->fatal || (result->status == GEPA_STATUS_BUDGET &&
						  gepa_on_budget == GEPA_ON_BUDGET_ERROR))
		gepa_apply_report_grade(&agreement->grader, result, NULL);
	if (isnan(result->score))
	{
		agreement->failure = result;
		return;
	}
	graded->expected = find(agreement->npositive, agreement->positive, sample->label) >= 0;
	graded->rank = agreement->nordinal == 0 ? graded->expected :
		find(agreement->nordinal, agreement->ordinal, sample->label);
	graded->score = result->score;
	agreement->ngraded++;
}

/* Answers come in any order; the measures must not depend on it. */
static int
compare_graded(const void *a, const void *b)
{
	const JudgeGraded *x = a;
	const JudgeGraded *y = b;

	if (x->score != y->score)
		return x->score < y->score ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (int) x->expected - (int) y->expected;
}

static void
grade_all(Agreement *agreement)
{
	ApplyGraders graders = {1, &agreement->grader};
	ApplyGrading *grading = gepa_api_open_grading(&graders);
	ApplyGrade	grade;

	agreement->graded = palloc0(sizeof(JudgeGraded) * Max(agreement->n, 1));
	gepa_apply_grading_keep_raw(grading);
	submit(agreement, grading);
	while (gepa_apply_grading_pending(grading) > 0)
		if (gepa_apply_grading_collect(grading, -1, &grade))
			take(agreement, &grade);
	gepa_apply_grading_save(grading);
	gepa_apply_grading_close(grading);
	qsort(agreement->graded, agreement->ngraded, sizeof(JudgeGraded), compare_graded);
	if (agreement->failure != NULL)
		ereport(NOTICE,
				(errmsg("%d of %d samples have no score and are left out",
						agreement->n - agreement->ngraded, agreement->n),
				 errdetail("One of them: %s. %s", gepa_status_name(agreement->failure->status),
						   agreement->failure->detail ? agreement->failure->detail : "")));
}

static void
put_measure(ReturnSetInfo *set, const JudgeMeasure *measure, int n)
{
	Datum		values[5];
	bool		nulls[5] = {false};

	values[0] = CStringGetTextDatum(measure->metric);
	values[1] = Int32GetDatum(n);
	values[2] = Float8GetDatum(measure->value);
	values[3] = Float8GetDatum(measure->low);
	values[4] = Float8GetDatum(measure->high);
	nulls[2] = !measure->defined;
	nulls[3] = nulls[4] = !measure->has_interval;
	tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(gepa_grader_agreement);
Datum
gepa_grader_agreement(PG_FUNCTION_ARGS)
{
	Agreement	agreement = {0};
	JudgeMeasure *measures;
	int			nmeasures;
	int			limit = PG_ARGISNULL(2) ? -1 : gepa_api_int_arg(fcinfo, 2, "limit");

	InitMaterializedSRF(fcinfo, 0);
	gepa_apply_open_grader(gepa_api_text_arg(fcinfo, 0, "grader"), 1, &agreement.grader);
	agreement.dataset = gepa_store_get_dataset(gepa_api_text_arg(fcinfo, 1, "dataset"));
	gepa_store_check_owner("dataset", agreement.dataset->name, agreement.dataset->owner,
						   GetUserId());
	agreement.positive = gepa_api_texts_arg(fcinfo, 3, "positive", &agreement.npositive);
	if (!PG_ARGISNULL(4))
		agreement.ordinal = gepa_api_texts_arg(fcinfo, 4, "ordinal", &agreement.nordinal);
	check(&agreement);
	read_samples(&agreement, limit);
	grade_all(&agreement);
	measures = gepa_judge_agreement(agreement.graded, agreement.ngraded, JUDGE_MEASURE_SEED,
									&nmeasures);
	for (int i = 0; i < nmeasures; i++)
		put_measure((ReturnSetInfo *) fcinfo->resultinfo, &measures[i], agreement.ngraded);
	return (Datum) 0;
}
