/*-------------------------------------------------------------------------
 *
 * spec.c
 *	  Options of a judge, read, checked and written back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/text.h"
#include "judge/judge_internal.h"

#define DEFAULT_MAX_CHARS 8000
#define MAX_MAX_CHARS 10000000
#define MAX_LABEL_BYTES 200

static const char *const window_names[] = {"head", "head_tail", "head_middle_tail"};

static const char *const option_names[] = {
	"effort", "examples", "images", "inputs", "max_chars", "reasoning", "steps", "thinking_budget",
	"threshold", "verdict_inputs", "votes", "window"
};

const char *
gepa_judge_window_name(JudgeWindow window)
{
	return window_names[window];
}

void
gepa_judge_refuse_option(const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for judge option \"%s\"", name),
			 errhint("%s", hint)));
}

static void
check_names(const GepaJson *options)
{
	for (int i = 0; i < options->nitems; i++)
	{
		bool		known = false;

		for (int k = 0; k < lengthof(option_names); k++)
			known = known || strcmp(options->keys[i], option_names[k]) == 0;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized judge option \"%s\"", options->keys[i]),
					 errhint("Valid options are effort, examples, images, inputs, max_chars, reasoning, steps, thinking_budget, threshold, verdict_inputs, votes, window.")));
	}
}

static void
read_inputs(JudgeSpec *spec, const GepaJson *value)
{
	const char *hint = "Give an array of distinct, non-empty field names, for example [\"title\", \"body\"].";

	if (value == NULL)
	{
		spec->ninputs = 1;
		spec->inputs = palloc(sizeof(char *));
		spec->inputs[0] = pstrdup("document");
		return;
	}
	if (value->kind != GEPA_JSON_ARRAY || value->nitems == 0)
		gepa_judge_refuse_option("inputs", hint);
	spec->ninputs = value->nitems;
	spec->inputs = palloc(sizeof(char *) * value->nitems);
	for (int i = 0; i < value->nitems; i++)
	{
		if (value->items[i]->kind != GEPA_JSON_STRING || value->items[i]->text[0] == '\0')
			gepa_judge_refuse_option("inputs", hint);
		spec->inputs[i] = pstrdup(value->items[i]->text);
		for (int k = 0; k < i; k++)
			if (strcmp(spec->inputs[k], spec->inputs[i]) == 0)
				gepa_judge_refuse_option("inputs", hint);
	}
}

/* In the order of the inputs, so that how they are listed makes no difference. */
static void
read_images(JudgeSpec *spec, const GepaJson *value)
{
	const char *hint = "Give an array of distinct names of input fields, for example [\"photo\"] with \"inputs\": [\"photo\", \"caption\"].";
	int			nfound = 0;

	spec->nimages = 0;
	spec->images = NULL;
	if (value == NULL || value->kind == GEPA_JSON_NULL)
		return;
	if (value->kind != GEPA_JSON_ARRAY)
		gepa_judge_refuse_option("images", hint);
	spec->images = palloc(sizeof(char *) * spec->ninputs);
	for (int i = 0; i < spec->ninputs; i++)
	{
		bool		listed = false;

		for (int k = 0; k < value->nitems; k++)
		{
			if (value->items[k]->kind != GEPA_JSON_STRING ||
				strcmp(value->items[k]->text, spec->inputs[i]) != 0)
				continue;
			listed = true;
			nfound++;
		}
		if (listed)
			spec->images[spec->nimages++] = spec->inputs[i];
	}
	if (nfound != value->nitems || nfound != spec->nimages)
		gepa_judge_refuse_option("images", hint);
}

static void
read_window(JudgeSpec *spec, const GepaJson *value)
{
	spec->window = JUDGE_WINDOW_HEAD_TAIL;
	if (value == NULL)
		return;
	for (int i = 0; i < lengthof(window_names) && value->kind == GEPA_JSON_STRING; i++)
	{
		if (strcmp(value->text, window_names[i]) == 0)
		{
			spec->window = (JudgeWindow) i;
			return;
		}
	}
	gepa_judge_refuse_option("window", "Valid values are head, head_tail, head_middle_tail.");
}

static void
read_numbers(JudgeSpec *spec, const GepaJson *options)
{
	double		number;

	spec->max_chars = DEFAULT_MAX_CHARS;
	if (gepa_json_get(options, "max_chars") != NULL)
	{
		if (!gepa_json_get_number(options, "max_chars", &number) ||
			number != floor(number) || number < 50 || number > MAX_MAX_CHARS)
			gepa_judge_refuse_option("max_chars", "Give a whole number from 50 to 10000000.");
		spec->max_chars = (int) number;
	}
	spec->threshold = 0.5;
	if (gepa_json_get(options, "threshold") != NULL)
	{
		if (!gepa_json_get_number(options, "threshold", &number) ||
			!(number >= 0 && number <= 1))
			gepa_judge_refuse_option("threshold", "Give a number from 0 to 1.");
		spec->threshold = number;
	}
}

/* An example as a user gives it: {"document": text or object, "label": text}. */
static char *
read_example(JudgeSpec *spec, const GepaJson *item)
{
	const GepaJson *document = gepa_json_get(item, "document");
	const char *label = gepa_json_get_string(item, "label");
	const char **fields = palloc0(sizeof(char *) * spec->ninputs);
	JudgeDocument doc = {spec->ninputs, fields};
	const char *hint = "Give an array of objects {\"document\": text or object of the input fields, \"label\": one of the labels}.";

	if (document == NULL || label == NULL || gepa_judge_label_index(spec, label) < 0)
		gepa_judge_refuse_option("examples", hint);
	for (int i = 0; i < spec->ninputs; i++)
	{
		if (document->kind == GEPA_JSON_STRING && spec->ninputs == 1)
			fields[i] = document->text;
		else
			fields[i] = gepa_json_get_string(document, spec->inputs[i]);
		if (fields[i] == NULL)
			gepa_judge_refuse_option("examples", hint);
	}
	return gepa_judge_example_json(spec, &doc, label);
}

static void
read_examples(JudgeSpec *spec, const GepaJson *value)
{
	JudgeComponent *component;
	StringInfoData buf;

	if (value == NULL)
		return;
	if (value->kind != GEPA_JSON_ARRAY)
		gepa_judge_refuse_option("examples", "Give an array, [] for none.");
	if (value->nitems == 0)
		return;
	initStringInfo(&buf);
	for (int i = 0; i < value->nitems; i++)
		appendStringInfo(&buf, "%c%s", i > 0 ? ',' : '[', read_example(spec, value->items[i]));
	appendStringInfoChar(&buf, ']');

	spec->components = spec->ncomponents == 0 ? palloc(sizeof(JudgeComponent)) :
		repalloc(spec->components, sizeof(JudgeComponent) * (spec->ncomponents + 1));
	component = &spec->components[spec->ncomponents++];
	component->name = pstrdup("examples");
	component->kind = JUDGE_COMPONENT_EXAMPLES;
	component->text = buf.data;
}

void
gepa_judge_apply_options(JudgeSpec *spec, const GepaJson *options)
{
	const GepaJson *reasoning = gepa_json_get(options, "reasoning");

	if (options != NULL)
		check_names(options);
	read_inputs(spec, gepa_json_get(options, "inputs"));
	read_images(spec, gepa_json_get(options, "images"));
	read_window(spec, gepa_json_get(options, "window"));
	read_numbers(spec, options);
	if (reasoning != NULL && reasoning->kind != GEPA_JSON_BOOL)
		gepa_judge_refuse_option("reasoning", "Give true or false.");
	spec->reasoning = reasoning != NULL && reasoning->boolean;
	gepa_judge_read_sampling(spec, options);
	gepa_judge_read_steps(spec, options);
	read_examples(spec, gepa_json_get(options, "examples"));
}

char *
gepa_judge_options_json(const JudgeSpec *spec)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"inputs\":[");
	for (int i = 0; i < spec->ninputs; i++)
	{
		if (i > 0)
			appendStringInfoChar(&buf, ',');
		gepa_json_quote(&buf, spec->inputs[i]);
	}
	appendStringInfo(&buf, "],\"window\":\"%s\",\"max_chars\":%d,\"reasoning\":%s,\"threshold\":%.17g",
					 gepa_judge_window_name(spec->window), spec->max_chars,
					 spec->reasoning ? "true" : "false", spec->threshold);
	for (int i = 0; i < spec->nimages; i++)
	{
		appendStringInfoString(&buf, i > 0 ? "," : ",\"images\":[");
		gepa_json_quote(&buf, spec->images[i]);
		appendStringInfoString(&buf, i == spec->nimages - 1 ? "]" : "");
	}
	gepa_judge_write_sampling(&buf, spec);
	gepa_judge_write_steps(&buf, spec);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

/*
 * Checks of the whole
 */

static void
check_labels(const JudgeSpec *spec)
{
	int			npositive = 0;

	for (int i = 0; i < spec->nlabels; i++)
	{
		size_t		length = strlen(spec->labels[i]);

		npositive += spec->positive[i];
		if (length == 0 || length > MAX_LABEL_BYTES)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a label must have 1 to %d bytes", MAX_LABEL_BYTES),
					 errhint("Choose short words as labels.")));
		for (int k = 0; k < i; k++)
			if (strcmp(spec->labels[k], spec->labels[i]) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("label \"%s\" is given twice", spec->labels[i]),
						 errhint("Labels must be distinct.")));
	}
	if (spec->nlabels < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a judge needs at least two labels"),
				 errhint("For example labels => '{true,false}'.")));
	if (npositive == 0 || npositive == spec->nlabels)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("at least one label must be positive and one must not be"),
				 errhint("Name the labels that count as positive, for example positive => '{true}'.")));
}

/* Every call would carry the images of all examples, and every candidate of a run hold them. */
static void
check_examples(const JudgeSpec *spec)
{
	for (int i = 0; i < spec->ncomponents && spec->nimages > 0; i++)
		if (spec->components[i].kind == JUDGE_COMPONENT_EXAMPLES)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a judge of images cannot have examples"),
					 errhint("Set judge option \"examples\" to [], and say in the prompt what examples would show.")));
}

void
gepa_judge_check_spec(const JudgeSpec *spec)
{
	check_labels(spec);
	check_examples(spec);
	gepa_judge_check_steps(spec);
	for (int i = 0; i < spec->ncomponents; i++)
	{
		const JudgeComponent *component = &spec->components[i];
		int			n;

		if (component->kind == JUDGE_COMPONENT_EXAMPLES)
			(void) gepa_judge_examples_parse(spec, component->text, &n);
		else if (gepa_is_blank(component->text) && component->kind == JUDGE_COMPONENT_STEP)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("prompt of step \"%s\" of judge \"%s\" is empty",
							component->name, spec->name),
					 errhint("Say in a sentence what the step should do.")));
		else if (gepa_is_blank(component->text))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("prompt of judge \"%s\" is empty", spec->name),
					 errhint("Say in a sentence what the judge should decide.")));
	}
}
