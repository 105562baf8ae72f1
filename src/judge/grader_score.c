/*-------------------------------------------------------------------------
 *
 * grader_score.c
 *	  What graders say without asking anybody, and what several say together.
 *
 * A grader without a score takes the mean's meaning away: the whole has none then, and
 * never the mean of the others.  Frontend safe.
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

bool
gepa_judge_grader_is_asked(const JudgeGrader *grader, GepaStatus status)
{
	return status == GEPA_STATUS_OK || grader->kind == JUDGE_GRADER_FORMAT ||
		(grader->on_document && (grader->kind == JUDGE_GRADER_RUBRIC ||
								 grader->kind == JUDGE_GRADER_REWARD_MODEL));
}

/*
 * Labels
 */

static int
find_text(int n, char *const *texts, const char *text)
{
	for (int i = 0; i < n; i++)
		if (strcmp(texts[i], text) == 0)
			return i;
	return -1;
}

double
gepa_judge_ordinal_score(int n, char *const *ordinal, const char *expected, const char *given)
{
	int			i = find_text(n, ordinal, expected);
	int			k = find_text(n, ordinal, given);

	if (i < 0 || k < 0)
		return strcmp(expected, given) == 0 ? 1 : 0;
	return 1 - (double) abs(i - k) / (n - 1);
}

double
gepa_judge_weighted_score(int n, const JudgeClassWeight *weights, const char *expected,
						  const char *given)
{
	double		own = 1;
	double		greatest = 1;

	if (strcmp(expected, given) == 0)
		return 1;
	for (int i = 0; i < n; i++)
	{
		greatest = Max(greatest, weights[i].weight);
		if (strcmp(weights[i].label, expected) == 0)
			own = weights[i].weight;
	}
	return 1 - own / greatest;
}

static void
answer_labels(const JudgeGrader *grader, const JudgeGraderSample *sample,
			  const JudgeGraderOutput *output, JudgeGraderResult *result)
{
	if (sample->label == NULL)
	{
		result->status = GEPA_STATUS_UNPARSEABLE;
		result->detail = pstrdup("The sample has no label to compare with.");
		return;
	}
	if (output->label == NULL)
	{
		result->status = GEPA_STATUS_UNPARSEABLE;
		result->detail = pstrdup("The output has no label.");
		return;
	}
	if (grader->nordinal > 0)
		result->score = gepa_judge_ordinal_score(grader->nordinal, grader->ordinal,
												 sample->label, output->label);
	else
		result->score = gepa_judge_weighted_score(grader->nweights, grader->weights,
												  sample->label, output->label);
	result->feedback = strcmp(sample->label, output->label) == 0 ?
		psprintf("Right: the label is \"%s\".", sample->label) :
		psprintf("Wrong: the judge said \"%s\", the right label is \"%s\".", output->label,
				 sample->label);
}

/*
 * Format
 */

static char *
json_text(const GepaJson *value)
{
	StringInfoData buf;

	initStringInfo(&buf);
	gepa_json_write(&buf, value);
	return buf.data;
}

static const char *
part_of(const JudgeGraderOutput *output, const char *name)
{
	GepaJson   *answer;
	GepaJson   *part;

	if (strcmp(name, "label") == 0)
		return output->label;
	if (strcmp(name, "reasoning") == 0)
		return output->reasoning;
	answer = output->answer == NULL ? NULL :
		gepa_json_parse(output->answer, strlen(output->answer), NULL);
	part = gepa_json_get(answer, name);
	if (part == NULL)
		return NULL;
	return part->kind == GEPA_JSON_STRING ? part->text : json_text(part);
}

static int
count_chars(const char *text)
{
	int			n = 0;
	const char *end = text + strlen(text);

	for (; text < end; text += gepa_char_length(gepa_text_encoding(), text, end))
		n++;
	return n;
}

static char *
find_fault(const JudgeGrader *grader, const JudgeGraderOutput *output)
{
	GepaJson   *answer;
	char	   *breach;

	if (output->status != GEPA_STATUS_OK)
		return psprintf("the answer could not be used (%s)%s%s", gepa_status_name(output->status),
						output->detail ? ": " : "", output->detail ? output->detail : "");
	for (int i = 0; i < grader->nrequired; i++)
		if (gepa_is_blank(part_of(output, grader->required[i])))
			return psprintf("it has no \"%s\"", grader->required[i]);
	if (grader->max_chars > 0 && output->answer != NULL &&
		count_chars(output->answer) > grader->max_chars)
		return psprintf("it has %d characters", count_chars(output->answer));
	if (grader->schema == NULL)
		return NULL;
	answer = output->answer == NULL ? NULL :
		gepa_json_parse(output->answer, strlen(output->answer), NULL);
	if (answer == NULL)
		return pstrdup("it is not JSON");
	breach = gepa_judge_schema_breach(grader->schema, answer);
	return breach == NULL ? NULL : psprintf("the answer %s", breach);
}

/* What is expected, in words. */
static char *
describe_format(const JudgeGrader *grader)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "an answer in the form that was asked for");
	for (int i = 0; i < grader->nrequired; i++)
		appendStringInfo(&buf, "%s\"%s\"", i == 0 ? ", with " : ", ", grader->required[i]);
	if (grader->max_chars > 0)
		appendStringInfo(&buf, ", of at most %d characters", grader->max_chars);
	if (grader->schema != NULL)
		appendStringInfo(&buf, ", JSON of the schema %s", json_text(grader->schema));
	return buf.data;
}

static void
answer_format(const JudgeGrader *grader, const JudgeGraderOutput *output,
			  JudgeGraderResult *result)
{
	char	   *fault = find_fault(grader, output);

	result->score = fault == NULL ? 1 : 0;
	result->feedback = fault == NULL ? pstrdup("The answer has the expected form.") :
		psprintf("The answer breaks the format: %s. Expected: %s.", fault,
				 describe_format(grader));
}

void
gepa_judge_grader_answer(const JudgeGrader *grader, const JudgeGraderSample *sample,
						 const JudgeGraderOutput *output, JudgeGraderResult *result)
{
	memset(result, 0, sizeof(JudgeGraderResult));
	result->score = NAN;
	if (!gepa_judge_grader_is_asked(grader, output->status))
	{
		result->skipped = true;
		result->score = 0;
		result->status = output->status;
		result->detail = pstrdup("It was not asked: there is no output to grade.");
		result->feedback = psprintf("The answer could not be used (%s)%s%s",
									gepa_status_name(output->status), output->detail ? ": " : ".",
									output->detail ? output->detail : "");
	}
	else if (grader->kind == JUDGE_GRADER_LABELS)
		answer_labels(grader, sample, output, result);
	else
		answer_format(grader, output, result);
}

void
gepa_judge_grader_relate(const JudgeGraderOutput *output, JudgeGraderResult *result)
{
	double		quality = result->score;

	result->nobjectives = 0;	/* they say nothing of the output */
	if (result->status != GEPA_STATUS_OK)
		return;
	if (output->status == GEPA_STATUS_OK && !output->scored)
	{
		result->status = GEPA_STATUS_UNPARSEABLE;
		result->detail = pstrdup("The output has no score to compare with the document's.");
		result->score = NAN;
		return;
	}
	result->score = output->status == GEPA_STATUS_OK ? 1 - fabs(output->score - quality) : 0;
	result->feedback = psprintf("The document deserves %.2f, the judge gave %s.%s%s", quality,
								output->status == GEPA_STATUS_OK ? psprintf("%.2f", output->score) : "none",
								result->feedback ? " " : "", result->feedback ? result->feedback : "");
}

/*
 * Several
 */

static void
put_number(StringInfo buf, double value)
{
	if (isnan(value))
		appendStringInfoString(buf, "null");
	else
		appendStringInfo(buf, "%.17g", value);
}

static void
put_text(StringInfo buf, const char *name, const char *text)
{
	if (text == NULL)
		return;
	appendStringInfo(buf, ",\"%s\":", name);
	gepa_json_quote(buf, text);
}

static void
put_result(StringInfo buf, const JudgeGrader *grader, double weight,
		   const JudgeGraderResult *result)
{
	appendStringInfoString(buf, "{\"grader\":");
	gepa_json_quote(buf, grader->name);
	appendStringInfo(buf, ",\"weight\":%.17g,\"status\":\"%s\",\"score\":", weight,
					 gepa_status_name(result->status));
	put_number(buf, result->score);
	put_text(buf, "feedback", result->feedback);
	put_text(buf, "detail", result->detail);
	put_text(buf, "sqlstate", result->sqlstate);
	appendStringInfoString(buf, ",\"digest\":\"");
	for (int i = 0; i < JUDGE_DIGEST_LENGTH; i++)
		appendStringInfo(buf, "%02x", grader->digest[i]);
	appendStringInfo(buf, "\",\"cached\":%s,\"calls\":%d,\"input_tokens\":%d,"
					 "\"output_tokens\":%d,\"cost\":%.17g}", result->cached ? "true" : "false",
					 result->calls, result->input_tokens, result->output_tokens, result->cost);
}

static void
put_objective(StringInfo buf, const char *name, double value)
{
	if (isnan(value))
		return;
	appendStringInfoChar(buf, buf->len == 1 ? ' ' : ',');
	gepa_json_quote(buf, name);
	appendStringInfo(buf, ":%.17g", value);
}

static void
put_objectives(StringInfo buf, const JudgeGrader *grader, const JudgeGraderResult *result)
{
	put_objective(buf, grader->name, result->score);
	for (int k = 0; k < result->nobjectives; k++)
		put_objective(buf, psprintf("%s.%s", grader->name, result->objective_names[k]),
					  result->objectives[k]);
}

/* Score, or why there is none, and feedback. */
static void
put_said(StringInfo buf, const JudgeGraderResult *result)
{
	const char *text = result->feedback ? result->feedback : result->detail;

	if (isnan(result->score))
		appendStringInfo(buf, " (%s)", gepa_status_name(result->status));
	else
		appendStringInfo(buf, " (%.2f)", result->score);
	if (text != NULL)
		appendStringInfo(buf, ": %s", text);
}

void
gepa_judge_grader_mix(int n, const JudgeGrader *const *graders, const double *weights,
					  const JudgeGraderResult *results, const char *labeller,
					  JudgeGraderMix *mix)
{
	StringInfoData feedback;
	StringInfoData objectives;
	StringInfoData list;
	double		total = 0;
	double		sum = 0;

	memset(mix, 0, sizeof(JudgeGraderMix));
	initStringInfo(&feedback);
	initStringInfo(&objectives);
	initStringInfo(&list);
	appendStringInfoChar(&objectives, '{');
	for (int i = 0; i < n; i++)
	{
		const JudgeGraderResult *result = &results[i];

		appendStringInfoChar(&list, i == 0 ? '[' : ',');
		put_result(&list, graders[i], weights[i], result);
		put_objectives(&objectives, graders[i], result);
		appendStringInfo(&feedback, "%s%s", i == 0 ? "" : "\n", graders[i]->name);
		put_said(&feedback, result);
		total += weights[i];
		sum += weights[i] * result->score;
		mix->calls += result->calls;
		mix->input_tokens += result->input_tokens;
		mix->output_tokens += result->output_tokens;
		mix->cost += result->cost;
	}
	if (labeller != NULL && !gepa_is_blank(labeller))
		appendStringInfo(&feedback, "\nWhat the labeller says: %s", labeller);
	appendStringInfoChar(&objectives, '}');
	appendStringInfoChar(&list, ']');
	mix->score = sum / total;
	mix->feedback = feedback.data;
	mix->objectives = objectives.data;
	mix->graders = list.data;
}
