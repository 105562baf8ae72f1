/*-------------------------------------------------------------------------
 *
 * evaluators.c
 *	  Functions that evaluate a candidate: what they must be, and what they return.
 *
 * An evaluator is f(sample jsonb, candidate jsonb) and returns a score, or an object
 * with a score and what else it has to say.  What is not of that form is told apart from a score as
 * strictly as an ERROR: a misspelt key that was passed over would be feedback that
 * nobody ever reads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/elog.h"

#include "base/json.h"
#include "store/store_internal.h"

const StoreFunctionKind gepa_store_evaluator_kind = {
	.what = "an evaluator",
	.declaration = "f(sample jsonb, candidate jsonb) RETURNS jsonb or double precision",
	.nargs = 2,
	.args = {JSONBOID, JSONBOID},
	.nresults = 2,
	.results = {JSONBOID, FLOAT8OID}
};

static void fail(StoreEvaluation *evaluation, const char *fmt,...) pg_attribute_printf(2, 3);

/* As an ERROR with the SQLSTATE of an invalid value would be. */
static void
fail(StoreEvaluation *evaluation, const char *fmt,...)
{
	StringInfoData buf;
	va_list		args;
	int			more;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "22023: the evaluator returned ");
	for (;;)
	{
		va_start(args, fmt);
		more = appendStringInfoVA(&buf, fmt, args);
		va_end(args);
		if (more == 0)
			break;
		enlargeStringInfo(&buf, more);
	}
	evaluation->status = GEPA_STATUS_FUNCTION_ERROR;
	evaluation->detail = buf.data;
	evaluation->score = NAN;
	evaluation->feedback = evaluation->objectives = evaluation->trace = NULL;
}

static bool
read_number(const GepaJson *value, double *number)
{
	if (value->kind != GEPA_JSON_NUMBER)
		return false;
	*number = strtod(value->text, NULL);
	return isfinite(*number);
}

static char *
write_json(const GepaJson *value)
{
	StringInfoData buf;

	initStringInfo(&buf);
	gepa_json_write(&buf, value);
	return buf.data;
}

/* A text as it is, anything else as JSON. */
static char *
read_feedback(const GepaJson *value)
{
	return value->kind == GEPA_JSON_STRING ? pstrdup(value->text) : write_json(value);
}

static bool
are_objectives(const GepaJson *value)
{
	double		number;

	if (value->kind != GEPA_JSON_OBJECT)
		return false;
	for (int i = 0; i < value->nitems; i++)
		if (!read_number(value->items[i], &number))
			return false;
	return true;
}

static void
read_object(const GepaJson *object, StoreEvaluation *evaluation)
{
	bool		scored = false;

	for (int i = 0; i < object->nitems; i++)
	{
		const char *key = object->keys[i];
		const GepaJson *value = object->items[i];
		bool		given = value->kind != GEPA_JSON_NULL;

		if (strcmp(key, "score") == 0)
			scored = read_number(value, &evaluation->score);
		else if (strcmp(key, "feedback") == 0)
			evaluation->feedback = given ? read_feedback(value) : NULL;
		else if (strcmp(key, "trace") == 0)
			evaluation->trace = given ? write_json(value) : NULL;
		else if (strcmp(key, "objectives") != 0)
		{
			fail(evaluation, "an unknown key \"%s\"; valid keys are score, feedback, objectives, trace",
				 key);
			return;
		}
		else if (given && !are_objectives(value))
		{
			fail(evaluation, "objectives that are no object of finite numbers");
			return;
		}
		else if (given && value->nitems > 0)
			evaluation->objectives = write_json(value);
	}
	if (!scored)
		fail(evaluation, "no finite number as score");
}

void
gepa_store_read_evaluation(const char *result, StoreEvaluation *evaluation)
{
	const char *error = NULL;
	GepaJson   *value = result != NULL ? gepa_json_parse(result, strlen(result), &error) : NULL;

	evaluation->status = GEPA_STATUS_OK;
	if (result == NULL)
		fail(evaluation, "null");
	else if (value == NULL)
		fail(evaluation, "%s, which is no finite number", result);
	else if (value->kind == GEPA_JSON_OBJECT)
		read_object(value, evaluation);
	else if (!read_number(value, &evaluation->score))
		fail(evaluation, "JSON that is neither a finite number nor an object");
}

void
gepa_store_evaluate(Oid evaluator, const char *sample, const char *candidate,
					const volatile bool *stop, StoreEvaluation *evaluation)
{
	StoreCall	call = {.function = evaluator,.nargs = 2,.types = {JSONBOID, JSONBOID},
	.args = {sample, candidate},.stop = stop};

	memset(evaluation, 0, sizeof(StoreEvaluation));
	gepa_store_call_function(&call);
	evaluation->latency_ms = call.latency_ms;
	if (call.error == NULL)
	{
		gepa_store_read_evaluation(call.result, evaluation);
		return;
	}
	evaluation->status = GEPA_STATUS_FUNCTION_ERROR;
	evaluation->score = NAN;
	evaluation->detail = psprintf("%s: %s%s%s", unpack_sql_state(call.error->sqlerrcode),
								  call.error->message ? call.error->message : "no message",
								  call.error->detail ? ". " : "",
								  call.error->detail ? call.error->detail : "");
}
