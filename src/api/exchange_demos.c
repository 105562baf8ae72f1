/*-------------------------------------------------------------------------
 *
 * exchange_demos.c
 *	  Demos of DSPy's predictors as examples of a judge, and the reverse.
 *
 * An example is a document and its label.  A demo may have more (a reasoning, marks of
 * the optimizer that made it) or less.  What it has more comes back with the demo: it
 * is known again by the example that it made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/api_program.h"

static const char *
label_text(const GepaJson *value)
{
	if (value == NULL || value->kind == GEPA_JSON_NULL)
		return NULL;
	if (value->kind == GEPA_JSON_BOOL)
		return value->boolean ? "true" : "false";
	return value->kind == GEPA_JSON_STRING || value->kind == GEPA_JSON_NUMBER ? value->text : NULL;
}

static bool
has_texts(const JudgeSpec *spec, const ApiPredictor *predictor, const GepaJson *demo,
		  const char **label)
{
	*label = label_text(gepa_json_get(demo, predictor->fields[predictor->nfields - 1]));
	for (int i = 0; i < spec->ninputs; i++)
		if (gepa_json_get_string(demo, spec->inputs[i]) == NULL)
			return false;
	return *label != NULL;
}

bool
gepa_api_put_demo_example(StringInfo buf, const JudgeSpec *spec, const ApiPredictor *predictor,
						  const GepaJson *demo)
{
	const char *label;

	if (!has_texts(spec, predictor, demo, &label))
		return false;
	if (gepa_judge_label_index(spec, label) < 0)
		gepa_api_refuse_file_with(gepa_api_program_file(),
								  "Name all labels of the judge, and which are positive.",
								  "a demo has the label \"%s\", which is none of the judge's", label);
	appendStringInfoString(buf, "{\"document\":{");
	for (int i = 0; i < spec->ninputs; i++)
	{
		gepa_api_put_key(buf, spec->inputs[i]);
		gepa_json_quote(buf, gepa_json_get_string(demo, spec->inputs[i]));
	}
	appendStringInfoString(buf, "},\"label\":");
	gepa_json_quote(buf, label);
	appendStringInfoChar(buf, '}');
	return true;
}

/* The example that a demo made, or would make. */
static bool
is_example(const JudgeSpec *spec, const ApiPredictor *predictor, const GepaJson *demo,
		   const JudgeExample *example)
{
	const char **fields = palloc(sizeof(char *) * spec->ninputs);
	JudgeDocument document = {spec->ninputs, fields};
	uint8		digest[JUDGE_DIGEST_LENGTH];
	const char *label;

	if (!has_texts(spec, predictor, demo, &label))
		return false;
	for (int i = 0; i < spec->ninputs; i++)
		fields[i] = gepa_json_get_string(demo, spec->inputs[i]);
	gepa_judge_content_digest(&document, digest);
	return strcmp(label, example->label) == 0 &&
		memcmp(digest, example->digest, JUDGE_DIGEST_LENGTH) == 0;
}

static const GepaJson *
find_demo(const JudgeSpec *spec, const ApiPredictor *predictor, const JudgeExample *example)
{
	for (int i = 0; predictor != NULL && i < predictor->demos->nitems; i++)
		if (is_example(spec, predictor, predictor->demos->items[i], example))
			return predictor->demos->items[i];
	return NULL;
}

static void
put_demo(StringInfo buf, const JudgeSpec *spec, const JudgeExample *example,
		 const char *label_field)
{
	appendStringInfoChar(buf, '{');
	for (int i = 0; i < spec->ninputs; i++)
	{
		gepa_api_put_key(buf, spec->inputs[i]);
		gepa_json_quote(buf, example->fields[i]);
	}
	gepa_api_put_key(buf, label_field);
	gepa_json_quote(buf, example->label);
	appendStringInfoChar(buf, '}');
}

static JudgeExample *
get_examples(const JudgeSpec *spec, int *n)
{
	*n = 0;
	for (int i = 0; i < spec->ncomponents; i++)
		if (spec->components[i].kind == JUDGE_COMPONENT_EXAMPLES)
			return gepa_judge_examples_parse(spec, spec->components[i].text, n);
	return NULL;
}

/* Are the examples just those that the demos made?  Then so are the demos. */
static bool
are_unchanged(const JudgeSpec *spec, const ApiPredictor *predictor, const JudgeExample *examples,
			  int n)
{
	int			at = 0;

	for (int i = 0; i < predictor->demos->nitems; i++)
	{
		const GepaJson *demo = predictor->demos->items[i];
		const char *label;

		if (at < n && is_example(spec, predictor, demo, &examples[at]))
			at++;
		else if (has_texts(spec, predictor, demo, &label))
			return false;
	}
	return at == n;
}

char *
gepa_api_demos_json(const JudgeSpec *spec, const ApiPredictor *predictor, const char *label_field)
{
	int			n;
	JudgeExample *examples = get_examples(spec, &n);
	StringInfoData buf;

	initStringInfo(&buf);
	if (predictor != NULL && are_unchanged(spec, predictor, examples, n))
	{
		gepa_json_write(&buf, predictor->demos);
		return buf.data;
	}
	appendStringInfoChar(&buf, '[');
	for (int i = 0; i < n; i++)
	{
		const GepaJson *demo = find_demo(spec, predictor, &examples[i]);

		if (i > 0)
			appendStringInfoChar(&buf, ',');
		if (demo != NULL)
			gepa_json_write(&buf, demo);
		else
			put_demo(&buf, spec, &examples[i], label_field);
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}
