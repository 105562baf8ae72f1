/*-------------------------------------------------------------------------
 *
 * grader_json.c
 *	  Samples, outputs and results of graders as JSON, and back.
 *
 * A result that came from a function or out of the cache is foreign text: what does
 * not fit is a status with a detail.  Frontend safe.
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
#include "judge/judge_grader.h"
#include "judge/judge_internal.h"

#define SHOWN_BYTES 120

static void
put_member(StringInfo buf, const char *name, const char *text)
{
	appendStringInfoChar(buf, buf->data[buf->len - 1] == '{' ? ' ' : ',');
	gepa_json_quote(buf, name);
	appendStringInfoChar(buf, ':');
	if (text == NULL)
		appendStringInfoString(buf, "null");
	else
		gepa_json_quote(buf, text);
}

char *
gepa_judge_grader_sample_json(const JudgeGraderSample *sample)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	put_member(&buf, "key", sample->key);
	put_member(&buf, "label", sample->label);
	put_member(&buf, "feedback", sample->feedback);
	appendStringInfoString(&buf, ",\"inputs\":{");
	for (int i = 0; i < sample->ninputs; i++)
		put_member(&buf, sample->names[i], sample->inputs[i]);
	appendStringInfoString(&buf, "}}");
	return buf.data;
}

char *
gepa_judge_grader_output_json(const JudgeGraderOutput *output)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	put_member(&buf, "label", output->label);
	put_member(&buf, "reasoning", output->reasoning);
	put_member(&buf, "answer", output->answer);
	put_member(&buf, "status", gepa_status_name(output->status));
	if (output->scored)
		appendStringInfo(&buf, ",\"score\":%.17g,\"positive\":%s", output->score,
						 output->positive ? "true" : "false");
	if (output->trace != NULL)
		appendStringInfo(&buf, ",\"trace\":%s", output->trace);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

char *
gepa_judge_grader_result_json(const JudgeGraderResult *result)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"score\":%.17g", result->score);
	if (result->feedback != NULL)
		put_member(&buf, "feedback", result->feedback);
	appendStringInfoString(&buf, ",\"objectives\":{");
	for (int i = 0; i < result->nobjectives; i++)
	{
		if (i > 0)
			appendStringInfoChar(&buf, ',');
		gepa_json_quote(&buf, result->objective_names[i]);
		appendStringInfo(&buf, ":%.17g", result->objectives[i]);
	}
	appendStringInfoString(&buf, "}}");
	return buf.data;
}

static bool
read_objectives(const GepaJson *objectives, JudgeGraderResult *result)
{
	int			n = objectives == NULL ? 0 : objectives->nitems;

	if (objectives != NULL && objectives->kind != GEPA_JSON_OBJECT)
		return false;
	result->objective_names = palloc(sizeof(char *) * Max(n, 1));
	result->objectives = palloc(sizeof(double) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		result->objective_names[i] = objectives->keys[i];
		if (!gepa_json_get_number(objectives, objectives->keys[i], &result->objectives[i]) ||
			!isfinite(result->objectives[i]))
			return false;
	}
	result->nobjectives = n;
	return true;
}

/* An object, or a number alone. */
static bool
read_value(const GepaJson *json, JudgeGraderResult *result)
{
	const char *feedback;

	if (json != NULL && json->kind == GEPA_JSON_NUMBER)
		result->score = strtod(json->text, NULL);
	else if (json == NULL || json->kind != GEPA_JSON_OBJECT ||
			 !gepa_json_get_number(json, "score", &result->score) ||
			 !read_objectives(gepa_json_get(json, "objectives"), result))
		return false;
	feedback = gepa_json_get_string(json, "feedback");
	result->feedback = feedback == NULL ? NULL : pstrdup(feedback);
	return result->score >= 0 && result->score <= 1;
}

bool
gepa_judge_grader_result_parse(const char *text, JudgeGraderResult *result)
{
	memset(result, 0, sizeof(JudgeGraderResult));
	return read_value(gepa_json_parse(text, strlen(text), NULL), result);
}

void
gepa_judge_grader_read_value(const char *json, JudgeGraderResult *result)
{
	memset(result, 0, sizeof(JudgeGraderResult));
	if (json != NULL && gepa_judge_grader_result_parse(json, result))
		return;
	memset(result, 0, sizeof(JudgeGraderResult));
	result->score = NAN;
	result->status = GEPA_STATUS_UNPARSEABLE;
	result->detail = json == NULL ? pstrdup("The function returned NULL.") :
		psprintf("The function returned neither a number from 0 to 1 nor an object with such a \"score\": %s",
				 gepa_clean_text(gepa_text_encoding(), json, SHOWN_BYTES));
}
