/*-------------------------------------------------------------------------
 *
 * step_answer.c
 *	  What a step is asked for, and what it answered.
 *
 * The schema is sent along for endpoints that hold a model to it, and stands in the
 * prompt for the others.  What comes back is checked either way: an output that is
 * missing or of another kind would be judged as if it said something.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "base/text.h"
#include "judge/judge_internal.h"

/* How much of a bad answer an error detail shows, in bytes. */
#define SHOWN_BYTES 120

#define MAX_NUMBER_CHARS 60

char *
gepa_judge_step_schema(const JudgeStep *step)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"type\":\"object\",\"properties\":{");
	for (int i = 0; i < step->noutputs; i++)
	{
		appendStringInfoString(&buf, i > 0 ? "," : "");
		gepa_json_quote(&buf, step->outputs[i]);
		appendStringInfo(&buf, ":%s", step->schemas[i]);
	}
	appendStringInfoString(&buf, "},\"required\":[");
	for (int i = 0; i < step->noutputs; i++)
	{
		appendStringInfoString(&buf, i > 0 ? "," : "");
		gepa_json_quote(&buf, step->outputs[i]);
	}
	appendStringInfoString(&buf, "],\"additionalProperties\":false}");
	return buf.data;
}

static JudgeOutput
make_output(const GepaJson *value)
{
	JudgeOutput output;
	StringInfoData json;

	initStringInfo(&json);
	gepa_json_write(&json, value);
	output.json = json.data;
	output.text = value->kind == GEPA_JSON_STRING ? value->text : json.data;
	return output;
}

/* A number that tables would not take, or double precision not hold. */
static bool
is_absurd(const char *number)
{
	double		value = fabs(strtod(number, NULL));

	if (value == 0)
		return strpbrk(number, "eE") != NULL || strlen(number) > MAX_NUMBER_CHARS;
	return value < 1e-300 || value > 1e300 || strlen(number) > MAX_NUMBER_CHARS;
}

static bool
has_absurd_number(const GepaJson *value)
{
	if (value->kind == GEPA_JSON_NUMBER)
		return is_absurd(value->text);
	for (int i = 0; i < value->nitems; i++)
		if (has_absurd_number(value->items[i]))
			return true;
	return false;
}

static char *
check_output(const JudgeStep *step, int number, const GepaJson *value)
{
	const char *schema = step->schemas[number];
	char	   *breach;

	if (value == NULL)
		return psprintf("The answer has no \"%s\".", step->outputs[number]);
	if (has_absurd_number(value))
		return psprintf("Output \"%s\" has a number out of range.", step->outputs[number]);
	breach = gepa_judge_schema_breach(gepa_json_parse(schema, strlen(schema), NULL), value);
	return breach == NULL ? NULL :
		psprintf("Output \"%s\" %s.", step->outputs[number], breach);
}

JudgeOutput *
gepa_judge_step_parse(const JudgeStep *step, const char *content, char **why)
{
	JudgeOutput *outputs = palloc0(sizeof(JudgeOutput) * Max(step->noutputs, 1));
	const char *start;
	const char *end;
	const GepaJson *answer;

	gepa_judge_trim_answer(content, &start, &end);
	answer = gepa_json_parse(start, end - start, NULL);
	*why = NULL;
	if (answer == NULL || answer->kind != GEPA_JSON_OBJECT)
		*why = psprintf("The answer is not the JSON asked for: %s",
						gepa_clean_text(gepa_text_encoding(), content, SHOWN_BYTES));
	for (int i = 0; i < step->noutputs && *why == NULL; i++)
	{
		const GepaJson *value = gepa_json_get(answer, step->outputs[i]);

		*why = check_output(step, i, value);
		if (*why == NULL)
			outputs[i] = make_output(value);
	}
	return *why == NULL ? outputs : NULL;
}
