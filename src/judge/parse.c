/*-------------------------------------------------------------------------
 *
 * parse.c
 *	  From a reply to a verdict.
 *
 * An answer is what was asked for, or it is unparseable: a label is never
 * searched for inside prose, where a document's text may have put it.
 * Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "base/text.h"
#include "judge/judge_internal.h"

/* How much of a bad answer an error detail shows, in bytes. */
#define SHOWN_BYTES 120

typedef struct Answer
{
	int			label;			/* -1 = none */
	bool		is_object;		/* JSON of the right kind, whatever it says */
	int			label_start;	/* of the value, in the content */
	int			label_length;
	bool		quoted;
	const char *reasoning;
} Answer;

char *
gepa_judge_schema(const JudgeSpec *spec)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"type\":\"object\",\"properties\":{");
	if (spec->reasoning)
		appendStringInfoString(&buf, "\"reasoning\":{\"type\":\"string\"},");
	appendStringInfoString(&buf, "\"label\":{\"type\":\"string\",\"enum\":[");
	for (int i = 0; i < spec->nlabels; i++)
	{
		if (i > 0)
			appendStringInfoChar(&buf, ',');
		gepa_json_quote(&buf, spec->labels[i]);
	}
	appendStringInfo(&buf, "]}},\"required\":[%s\"label\"],\"additionalProperties\":false}",
					 spec->reasoning ? "\"reasoning\"," : "");
	return buf.data;
}

int
gepa_judge_label_index(const JudgeSpec *spec, const char *label)
{
	for (int i = 0; i < spec->nlabels; i++)
		if (strcmp(spec->labels[i], label) == 0)
			return i;
	return -1;
}

bool
gepa_judge_positive(const JudgeSpec *spec, const char *label, double score,
					bool from_logprobs)
{
	int			index = gepa_judge_label_index(spec, label);

	if (from_logprobs)
		return score >= spec->threshold;
	return index >= 0 && spec->positive[index];
}

/*
 * Reading the answer
 */

void
gepa_judge_trim_answer(const char *content, const char **start, const char **end)
{
	const char *p = content + strspn(content, " \t\r\n");
	const char *e = p + strlen(p);

	while (e > p && strchr(" \t\r\n", e[-1]) != NULL)
		e--;
	if (e - p >= 6 && strncmp(p, "```", 3) == 0 && strncmp(e - 3, "```", 3) == 0)
	{
		const char *line = memchr(p, '\n', e - p);

		if (line != NULL && line < e - 3)
		{
			p = line + 1 + strspn(line + 1, " \t\r\n");
			e -= 3;
			while (e > p && strchr(" \t\r\n", e[-1]) != NULL)
				e--;
		}
	}
	*start = p;
	*end = e;
}

/*
 * The label that a text means: exactly, or else the only one that differs in
 * case alone; -1 if none.
 */
static int
match_label(const JudgeSpec *spec, const char *text, size_t length)
{
	int			found = -1;

	for (int i = 0; i < spec->nlabels; i++)
	{
		if (strlen(spec->labels[i]) != length ||
			pg_strncasecmp(spec->labels[i], text, length) != 0)
			continue;
		if (strncmp(spec->labels[i], text, length) == 0)
			return i;
		found = found < 0 ? i : spec->nlabels;
	}
	return found < spec->nlabels ? found : -1;
}

/* The end of a JSON string that begins at p: behind its closing quote. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\')
			p++;
	return Min(p + 1, end);
}

/*
 * Byte offset of the value of the object's last member "label"; -1 if the
 * name is written with escapes.  The text is known to be valid JSON.
 */
static int
find_label_value(const char *content, const char *start, const char *end)
{
	int			depth = 0;
	int			value = -1;

	for (const char *p = start; p < end; p++)
	{
		const char *behind;

		depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
		if (*p != '"')
			continue;
		behind = skip_string(p, end);
		if (depth == 1 && behind - p == 7 && strncmp(p, "\"label\"", 7) == 0)
		{
			const char *colon = behind + strspn(behind, " \t\r\n");

			/* else it is a value itself */
			if (*colon == ':')
				value = (int) (colon + 1 + strspn(colon + 1, " \t\r\n") - content);
		}
		p = behind - 1;
	}
	return value;
}

/* Bytes of a value as they are written, without quotes. */
static int
value_length(const char *value, const char *end, bool quoted)
{
	if (quoted)
		return (int) (skip_string(value - 1, end) - value) - 1;
	return (int) strcspn(value, ",} \t\r\n");
}

static void
read_object(const JudgeSpec *spec, const GepaJson *object, const char *content,
			const char *start, const char *end, Answer *answer)
{
	const GepaJson *label = gepa_json_get(object, "label");
	const char *text = NULL;

	if (label == NULL)
		return;
	if (label->kind == GEPA_JSON_STRING || label->kind == GEPA_JSON_NUMBER)
		text = label->text;
	else if (label->kind == GEPA_JSON_BOOL)
		text = label->boolean ? "true" : "false";
	if (text == NULL)
		return;
	answer->label = match_label(spec, text, strlen(text));
	answer->reasoning = gepa_json_get_string(object, "reasoning");
	answer->quoted = label->kind == GEPA_JSON_STRING;
	answer->label_start = find_label_value(content, start, end);
	if (answer->quoted && answer->label_start >= 0)
		answer->label_start++;
	if (answer->label_start >= 0)
		answer->label_length = value_length(content + answer->label_start, end, answer->quoted);
}

/* A label alone, perhaps quoted, perhaps with a full stop. */
static void
read_bare(const JudgeSpec *spec, const char *content, const char *start,
		  const char *end, Answer *answer)
{
	if (end > start && end[-1] == '.')
		end--;
	if (end - start >= 2 && *start == '"' && end[-1] == '"')
	{
		start++;
		end--;
	}
	answer->label = match_label(spec, start, end - start);
	if (answer->label < 0)
		return;
	answer->label_start = (int) (start - content);
	answer->label_length = (int) (end - start);
}

static Answer
read_answer(const JudgeSpec *spec, const char *content)
{
	Answer		answer = {.label = -1,.label_start = -1};
	const char *start;
	const char *end;
	const GepaJson *json;

	gepa_judge_trim_answer(content, &start, &end);
	json = gepa_json_parse(start, end - start, NULL);
	answer.is_object = json != NULL && json->kind == GEPA_JSON_OBJECT;
	if (answer.is_object)
		read_object(spec, json, content, start, end, &answer);
	else
		read_bare(spec, content, start, end, &answer);
	return answer;
}

/*
 * The verdict
 */

static void
set_score(const JudgeSpec *spec, const LmReply *reply, const Answer *answer,
		  JudgeVerdict *verdict)
{
	double	   *probability = palloc0(sizeof(double) * spec->nlabels);

	verdict->from_logprobs = answer->label_start >= 0 &&
		gepa_judge_score_labels(spec, reply, answer->label_start, answer->quoted,
								probability);
	verdict->has_confidence = answer->label_start >= 0 &&
		gepa_judge_joint_probability(reply, answer->label_start, answer->label_length,
									 &verdict->confidence);
	verdict->score = 0;
	if (verdict->from_logprobs)
	{
		verdict->probabilities = probability;
		for (int i = 0; i < spec->nlabels; i++)
			if (spec->positive[i])
				verdict->score += probability[i];
		verdict->score = Min(verdict->score, 1.0);
	}
	else if (spec->positive[answer->label])
		verdict->score = 1;
}

static void
set_unparseable(const Answer *answer, const char *content, JudgeVerdict *verdict)
{
	char	   *shown = gepa_clean_text(gepa_text_encoding(), content, SHOWN_BYTES);

	verdict->status = GEPA_STATUS_UNPARSEABLE;
	verdict->detail = answer->is_object ?
		psprintf("The label of the answer is none of the judge's: %s", shown) :
		psprintf("The answer is not the JSON asked for: %s", shown);
	verdict->hint = pstrdup("See what gepa.check_lm() says of the LM's structured output.");
}

/* Where a spec says how much a model is to think, thinking is never taken for a reason. */
static bool
keeps_thinking_apart(const JudgeSpec *spec)
{
	return spec->effort != NULL || spec->limits_thinking;
}

void
gepa_judge_take_reply(const JudgeSpec *spec, const LmReply *reply, JudgeVerdict *verdict)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->status = reply->status;
	verdict->answer = reply->content;
	if (keeps_thinking_apart(spec))
		verdict->thinking = reply->reasoning;
	else
		verdict->reasoning = reply->reasoning;
	verdict->detail = reply->detail;
	verdict->hint = reply->hint;
	verdict->fatal = reply->fatal;
	verdict->rejected = reply->rejected;
	verdict->sqlerrcode = reply->sqlerrcode;
	verdict->input_tokens = reply->input_tokens;
	verdict->output_tokens = reply->output_tokens;
	verdict->attempts = reply->attempts;
	verdict->calls = reply->calls;
	verdict->throttled = reply->throttled;
	verdict->cost = reply->cost;
	verdict->latency_ms = reply->latency_ms;
}

void
gepa_judge_parse(const JudgeSpec *spec, const LmReply *reply, JudgeVerdict *verdict)
{
	Answer		answer;

	gepa_judge_take_reply(spec, reply, verdict);
	if (verdict->status != GEPA_STATUS_OK)
		return;

	answer = read_answer(spec, reply->content);
	if (answer.label < 0)
	{
		set_unparseable(&answer, reply->content, verdict);
		return;
	}
	verdict->label = spec->labels[answer.label];
	if (answer.reasoning != NULL)
	{
		verdict->reasoning = pstrdup(answer.reasoning);
		verdict->thinking = reply->reasoning;
	}
	set_score(spec, reply, &answer, verdict);
	verdict->positive = gepa_judge_positive(spec, verdict->label, verdict->score,
											verdict->from_logprobs);
}
