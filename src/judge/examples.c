/*-------------------------------------------------------------------------
 *
 * examples.c
 *	  The examples component: labelled documents shown as earlier turns.
 *
 * Its text is a JSON array; documents are windowed when an example is made,
 * so that a version holds what its prompt shows and nothing else.  Each
 * carries the digest of the whole document it was made from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "judge/judge_internal.h"

static bool
read_digest(const char *hex, uint8 *digest)
{
	if (hex == NULL || strlen(hex) != 2 * JUDGE_DIGEST_LENGTH ||
		strspn(hex, "0123456789abcdef") != 2 * JUDGE_DIGEST_LENGTH)
		return false;
	for (int i = 0; i < JUDGE_DIGEST_LENGTH; i++)
	{
		char		pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

		digest[i] = (uint8) strtoul(pair, NULL, 16);
	}
	return true;
}

static const char *
read_example(const JudgeSpec *spec, const GepaJson *item, JudgeExample *example)
{
	const GepaJson *document = gepa_json_get(item, "document");
	const char *label = gepa_json_get_string(item, "label");

	if (label == NULL || gepa_judge_label_index(spec, label) < 0)
		return "an example has no label, or one that is not the judge's";
	if (!read_digest(gepa_json_get_string(item, "digest"), example->digest))
		return "an example has no digest";
	example->label = pstrdup(label);
	example->fields = palloc0(sizeof(char *) * spec->ninputs);
	for (int i = 0; i < spec->ninputs; i++)
	{
		const char *field = gepa_json_get_string(document, spec->inputs[i]);

		if (field == NULL)
			return "an example lacks an input field";
		example->fields[i] = pstrdup(field);
	}
	return NULL;
}

JudgeExample *
gepa_judge_examples_read(const JudgeSpec *spec, const char *text, int *nexamples,
						 const char **error)
{
	const GepaJson *array;
	JudgeExample *examples;

	*nexamples = 0;
	*error = NULL;
	if (text[0] == '\0')
		return NULL;
	array = gepa_json_parse(text, strlen(text), error);
	if (array == NULL)
		return NULL;
	if (array->kind != GEPA_JSON_ARRAY)
	{
		*error = "not a JSON array";
		return NULL;
	}
	examples = palloc0(sizeof(JudgeExample) * Max(array->nitems, 1));
	for (int i = 0; i < array->nitems && *error == NULL; i++)
		*error = read_example(spec, array->items[i], &examples[i]);
	*nexamples = *error ? 0 : array->nitems;
	return *error ? NULL : examples;
}

char *
gepa_judge_example_json(const JudgeSpec *spec, const JudgeDocument *document,
						const char *label)
{
	StringInfoData buf;
	uint8		digest[JUDGE_DIGEST_LENGTH];

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"document\":{");
	for (int i = 0; i < spec->ninputs; i++)
	{
		JudgeCut	cut = gepa_judge_cut(document->fields[i], spec->window, spec->max_chars);

		if (i > 0)
			appendStringInfoChar(&buf, ',');
		gepa_json_quote(&buf, spec->inputs[i]);
		appendStringInfoChar(&buf, ':');
		gepa_json_quote(&buf, cut.text);
	}
	appendStringInfoString(&buf, "},\"label\":");
	gepa_json_quote(&buf, label);
	appendStringInfoString(&buf, ",\"digest\":\"");
	gepa_judge_content_digest(document, digest);
	for (int i = 0; i < JUDGE_DIGEST_LENGTH; i++)
		appendStringInfo(&buf, "%02x", digest[i]);
	appendStringInfoString(&buf, "\"}");
	return buf.data;
}

#ifndef FRONTEND
JudgeExample *
gepa_judge_examples_parse(const JudgeSpec *spec, const char *text, int *nexamples)
{
	const char *error;
	JudgeExample *examples = gepa_judge_examples_read(spec, text, nexamples, &error);

	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("examples of judge \"%s\" cannot be used: %s",
						spec->name ? spec->name : "", error),
				 errhint("Each example is {\"document\": {field: text}, \"label\": text, \"digest\": hex}.")));
	return examples;
}
#endif
