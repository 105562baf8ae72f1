/*-------------------------------------------------------------------------
 *
 * grader.c
 *	  Creating, altering, dropping and trying graders.
 *
 * What a grader tried by hand says is kept and booked as in a run, on the account of
 * whoever tries it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "api/api_internal.h"
#include "apply/apply.h"

/* A function is stored by its full name, to be found under any search_path. */
static char *
function_options(const StoreFunction *function)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"function\":");
	gepa_json_quote(&buf, function->name);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

static void
check_grader(JudgeGrader *grader, const char *options, StoreFunction *function)
{
	memset(function, 0, sizeof(StoreFunction));
	gepa_judge_grader_parse(grader, options);
	if (grader->lm != NULL)
		gepa_lm_check_usage(grader->lm, GetUserId());
	if (grader->kind != JUDGE_GRADER_FUNCTION)
		return;
	gepa_store_name_grader_function(grader->function, function);
	grader->options = function_options(function);
}

PG_FUNCTION_INFO_V1(gepa_create_grader);
Datum
gepa_create_grader(PG_FUNCTION_ARGS)
{
	JudgeGrader grader = {0};
	StoreFunction function;
	char	   *kind = gepa_api_text_arg(fcinfo, 1, "kind");

	grader.name = gepa_api_text_arg(fcinfo, 0, "name");
	if (grader.name[0] == '\0' || strlen(grader.name) >= 256)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of a grader must have 1 to 255 bytes"),
				 errhint("Choose another name.")));
	if (!gepa_judge_grader_kind(kind, &grader.kind))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no kind of grader", kind),
				 errhint("Kinds are labels, rubric, reward_model, function, format.")));
	grader.lm = gepa_api_name_arg_or_null(fcinfo, 2);
	check_grader(&grader, gepa_api_object_arg(fcinfo, 3, "options"), &function);
	PG_RETURN_INT32(gepa_store_create_grader(&grader, GetUserId(), &function));
}

static StoreGrader *
get_own_grader(FunctionCallInfo fcinfo)
{
	StoreGrader *grader = gepa_store_get_grader(gepa_api_text_arg(fcinfo, 0, "name"));

	gepa_store_check_owner("grader", grader->def.name, grader->owner, GetUserId());
	return grader;
}

PG_FUNCTION_INFO_V1(gepa_alter_grader);
Datum
gepa_alter_grader(PG_FUNCTION_ARGS)
{
	StoreGrader *stored = get_own_grader(fcinfo);
	char	   *lm = gepa_api_name_arg_or_null(fcinfo, 1);
	JudgeGrader grader = {0};
	StoreFunction function;

	grader.name = stored->def.name;
	grader.kind = stored->def.kind;
	grader.lm = lm ? lm : stored->def.lm;
	check_grader(&grader, PG_ARGISNULL(2) ? stored->def.options :
				 gepa_api_object_arg(fcinfo, 2, "options"), &function);
	gepa_store_alter_grader(stored->id, &grader, &function);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(gepa_drop_grader);
Datum
gepa_drop_grader(PG_FUNCTION_ARGS)
{
	gepa_store_drop_grader(get_own_grader(fcinfo)->id);
	PG_RETURN_VOID();
}

/*
 * Trying
 */

static void
refuse_argument(const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"%s\" does not fit", name),
			 errhint("%s", hint)));
}

static void
check_keys(const GepaJson *object, const char *argument, const char *const *keys)
{
	for (int i = 0; i < object->nitems; i++)
	{
		int			k = 0;

		while (keys[k] != NULL && strcmp(keys[k], object->keys[i]) != 0)
			k++;
		if (keys[k] == NULL)
			refuse_argument(argument, psprintf("It has \"%s\", which is not known.", object->keys[i]));
	}
}

/* Else it would be passed over, and graded as if it were not there. */
static void
check_member(const GepaJson *object, const char *argument, const char *name, GepaJsonKind kind,
			 const char *what)
{
	const GepaJson *value = gepa_json_get(object, name);

	if (value != NULL && value->kind != GEPA_JSON_NULL && value->kind != kind)
		refuse_argument(argument, psprintf("Its \"%s\" must be %s.", name, what));
}

static void
check_texts(const GepaJson *object, const char *argument, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		check_member(object, argument, names[i], GEPA_JSON_STRING, "a text");
}

static void
read_sample(const char *text, JudgeGraderSample *sample)
{
	static const char *const keys[] = {"key", "label", "feedback", "inputs", NULL};
	const char *hint = "Give {\"inputs\": {\"field\": \"text\", ...}, \"label\": text, \"feedback\": text, \"key\": text}; only inputs is needed.";
	GepaJson   *object = gepa_json_parse(text, strlen(text), NULL);
	GepaJson   *inputs = gepa_json_get(object, "inputs");
	const char **values;

	if (inputs == NULL || inputs->kind != GEPA_JSON_OBJECT || inputs->nitems == 0)
		refuse_argument("sample", hint);
	check_keys(object, "sample", keys);
	check_texts(object, "sample", keys, 3);
	values = palloc(sizeof(char *) * inputs->nitems);
	for (int i = 0; i < inputs->nitems; i++)
	{
		if (inputs->items[i]->kind != GEPA_JSON_STRING)
			refuse_argument("sample", hint);
		values[i] = inputs->items[i]->text;
	}
	sample->ninputs = inputs->nitems;
	sample->names = (const char *const *) inputs->keys;
	sample->inputs = values;
	sample->key = gepa_json_get_string(object, "key");
	sample->label = gepa_json_get_string(object, "label");
	sample->feedback = gepa_json_get_string(object, "feedback");
}

static void
read_output(const char *text, JudgeGraderOutput *output)
{
	static const char *const keys[] = {
		"label", "reasoning", "answer", "status", "detail", "score", "positive", "trace", NULL
	};
	GepaJson   *object = gepa_json_parse(text, strlen(text), NULL);
	const char *status = gepa_json_get_string(object, "status");
	const GepaJson *positive = gepa_json_get(object, "positive");
	const GepaJson *trace = gepa_json_get(object, "trace");
	StringInfoData buf;

	check_keys(object, "output", keys);
	check_texts(object, "output", keys, 5);
	check_member(object, "output", "score", GEPA_JSON_NUMBER, "a number from 0 to 1");
	check_member(object, "output", "positive", GEPA_JSON_BOOL, "true or false");
	output->status = GEPA_STATUS_OK;
	if (status != NULL && !gepa_status_parse(status, &output->status))
		refuse_argument("output", psprintf("\"%s\" is no status.", status));
	output->label = gepa_json_get_string(object, "label");
	output->scored = gepa_json_get_number(object, "score", &output->score);
	if (output->scored && !(output->score >= 0 && output->score <= 1))
		refuse_argument("output", "Its \"score\" must be a number from 0 to 1.");
	output->positive = positive != NULL && positive->boolean;
	output->reasoning = gepa_json_get_string(object, "reasoning");
	output->answer = gepa_json_get_string(object, "answer");
	output->detail = gepa_json_get_string(object, "detail");
	if (trace == NULL)
		return;
	initStringInfo(&buf);
	gepa_json_write(&buf, trace);
	output->trace = buf.data;
}

ApplyGrading *
gepa_api_open_grading(ApplyGraders *graders)
{
	LmCharge	charge = {.statement = true};
	LmOrigin	origin = {0};
	ApplyAsked *asked = palloc0(sizeof(ApplyAsked));

	asked->context = CurrentMemoryContext;
	return gepa_apply_grading_open(graders, &origin,
								   gepa_store_open_budget(&charge, GetUserId()), asked);
}

/* Objectives as a jsonb; NULL where there are none. */
static void
put_objectives(Datum *values, bool *nulls, int column, const JudgeGraderResult *result)
{
	StringInfoData buf;

	nulls[column] = result->nobjectives == 0;
	if (nulls[column])
		return;
	initStringInfo(&buf);
	for (int i = 0; i < result->nobjectives; i++)
	{
		appendStringInfoChar(&buf, i == 0 ? '{' : ',');
		gepa_json_quote(&buf, result->objective_names[i]);
		appendStringInfo(&buf, ":%.17g", result->objectives[i]);
	}
	appendStringInfoChar(&buf, '}');
	values[column] = DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
}

static Datum
make_row(FunctionCallInfo fcinfo, const JudgeGraderResult *result)
{
	Datum		values[6] = {0};
	bool		nulls[6] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "gepa.grade() must return a row");
	nulls[0] = isnan(result->score);
	values[0] = Float8GetDatum(result->score);
	gepa_api_put_text(values, nulls, 1, result->feedback);
	put_objectives(values, nulls, 2, result);
	gepa_api_put_text(values, nulls, 3, gepa_status_name(result->status));
	gepa_api_put_text(values, nulls, 4, result->detail);
	values[5] = DirectFunctionCall1(float8_numeric, Float8GetDatum(result->cost));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

PG_FUNCTION_INFO_V1(gepa_grade);
Datum
gepa_grade(PG_FUNCTION_ARGS)
{
	ApplyGrader grader;
	ApplyGraders graders = {1, &grader};
	JudgeGraderSample sample = {0};
	JudgeGraderOutput output = {0};
	ApplyGrading *grading;
	ApplyGrade	grade;
	Datum		row;

	gepa_apply_open_grader(gepa_api_text_arg(fcinfo, 0, "grader"), 1, &grader);
	read_sample(gepa_api_object_arg(fcinfo, 1, "sample"), &sample);
	if (!PG_ARGISNULL(2))
		read_output(gepa_api_object_arg(fcinfo, 2, "output"), &output);
	else if (!grader.def->on_document)
		refuse_argument("output", "The grader grades outputs: give one, for example {\"label\": \"true\"}.");
	grading = gepa_api_open_grading(&graders);
	if (PG_ARGISNULL(2))
		gepa_apply_grading_keep_raw(grading);
	gepa_apply_grading_submit(grading, &sample, &output, NULL);
	gepa_apply_grading_start(grading);
	if (!gepa_apply_grading_collect(grading, -1, &grade))
		elog(ERROR, "grader \"%s\" has not answered", grader.def->name);
	gepa_apply_grading_save(grading);
	row = make_row(fcinfo, &grade.results[0]);
	gepa_apply_grading_close(grading);
	PG_RETURN_DATUM(row);
}
