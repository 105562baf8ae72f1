/*-------------------------------------------------------------------------
 *
 * grader.c
 *	  Options of a grader, read and checked, and its digest.
 *
 * Each kind has its own options; one that belongs to another kind is an error like an
 * unknown one.  The digest covers what can change a result: kind, options as they were
 * given, and what about the LM can change an answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/text.h"
#include "judge/judge_grader.h"
#include "judge/judge_internal.h"

#define DEFAULT_MAX_CHARS 8000
#define MAX_MAX_CHARS 10000000
#define MOST_CRITERIA 32

/* Number of the graders' prompts; part of every digest. */
#define GRADER_LAYOUT 1

static const char *const kind_names[JUDGE_NGRADER_KINDS] = {
	"labels", "rubric", "reward_model", "function", "format"
};

static const char *const api_names[] = {"classify", "score", "pooling", "chat"};

static const char *const option_names[JUDGE_NGRADER_KINDS] = {
	"ordinal, weights",
	"criteria, instructions, max_chars, show_label, target",
	"api, high, instructions, label, low, max_chars, show_label, target",
	"function",
	"max_chars, require, schema"
};

const char *
gepa_judge_grader_kind_name(JudgeGraderKind kind)
{
	return kind_names[kind];
}

bool
gepa_judge_grader_kind(const char *name, JudgeGraderKind *kind)
{
	for (int i = 0; i < JUDGE_NGRADER_KINDS; i++)
		if (strcmp(kind_names[i], name) == 0)
		{
			*kind = (JudgeGraderKind) i;
			return true;
		}
	return false;
}

bool
gepa_judge_grader_needs_label(const JudgeGrader *grader)
{
	return grader->kind == JUDGE_GRADER_LABELS;
}

static void
refuse(const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for grader option \"%s\"", name),
			 errhint("%s", hint)));
}

/* Is it a word of a list "a, b, c"? */
static bool
is_listed(const char *list, const char *word)
{
	size_t		length = strlen(word);

	for (const char *p = list; length > 0 && (p = strstr(p, word)) != NULL; p++)
		if ((p == list || p[-1] == ' ') && (p[length] == ',' || p[length] == '\0'))
			return true;
	return false;
}

static void
check_names(const JudgeGrader *grader, const GepaJson *options)
{
	for (int i = 0; i < options->nitems; i++)
		if (!is_listed(option_names[grader->kind], options->keys[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized option \"%s\" of a grader of kind \"%s\"",
							options->keys[i], kind_names[grader->kind]),
					 errhint("Valid options are %s.", option_names[grader->kind])));
}

/*
 * Values
 */

static bool
read_bool(const GepaJson *options, const char *name)
{
	const GepaJson *value = gepa_json_get(options, name);

	if (value != NULL && value->kind != GEPA_JSON_BOOL)
		refuse(name, "Give true or false.");
	return value != NULL && value->boolean;
}

static char *
read_text(const GepaJson *options, const char *name)
{
	const GepaJson *value = gepa_json_get(options, name);

	if (value == NULL)
		return NULL;
	if (value->kind != GEPA_JSON_STRING || gepa_is_blank(value->text))
		refuse(name, "Give a text that is not empty.");
	return pstrdup(value->text);
}

static int
read_max_chars(const GepaJson *options, int least, int otherwise)
{
	double		number;

	if (gepa_json_get(options, "max_chars") == NULL)
		return otherwise;
	if (!gepa_json_get_number(options, "max_chars", &number) || number != floor(number) ||
		number < least || number > MAX_MAX_CHARS)
		refuse("max_chars", psprintf("Give a whole number from %d to %d.", least, MAX_MAX_CHARS));
	return (int) number;
}

static bool
read_number(const GepaJson *object, const char *name, double *number)
{
	return gepa_json_get_number(object, name, number) && isfinite(*number);
}

/* Distinct texts that are not empty. */
static char **
read_texts(const GepaJson *value, const char *name, int least, int *n)
{
	char	  **texts;
	const char *hint = psprintf("Give an array of %d or more distinct texts.", least);

	if (value->kind != GEPA_JSON_ARRAY || value->nitems < least)
		refuse(name, hint);
	texts = palloc(sizeof(char *) * Max(value->nitems, 1));
	for (int i = 0; i < value->nitems; i++)
	{
		if (value->items[i]->kind != GEPA_JSON_STRING || value->items[i]->text[0] == '\0')
			refuse(name, hint);
		texts[i] = pstrdup(value->items[i]->text);
		for (int k = 0; k < i; k++)
			if (strcmp(texts[k], texts[i]) == 0)
				refuse(name, hint);
	}
	*n = value->nitems;
	return texts;
}

/*
 * Kinds
 */

static void
read_labels(JudgeGrader *grader, const GepaJson *options)
{
	const GepaJson *ordinal = gepa_json_get(options, "ordinal");
	const GepaJson *weights = gepa_json_get(options, "weights");
	const char *hint = "Give an object of labels and their weights, numbers above 0, for example {\"good\": 2}.";

	if (ordinal != NULL && weights != NULL)
		refuse("weights", "Give \"ordinal\" or \"weights\", not both.");
	if (ordinal != NULL)
		grader->ordinal = read_texts(ordinal, "ordinal", 2, &grader->nordinal);
	if (weights == NULL)
		return;
	if (weights->kind != GEPA_JSON_OBJECT || weights->nitems == 0)
		refuse("weights", hint);
	grader->nweights = weights->nitems;
	grader->weights = palloc(sizeof(JudgeClassWeight) * weights->nitems);
	for (int i = 0; i < weights->nitems; i++)
	{
		JudgeClassWeight *weight = &grader->weights[i];

		weight->label = pstrdup(weights->keys[i]);
		if (!read_number(weights, weights->keys[i], &weight->weight) || weight->weight <= 0)
			refuse("weights", hint);
	}
}

static void
read_target(JudgeGrader *grader, const GepaJson *options)
{
	char	   *target = read_text(options, "target");

	grader->on_document = target != NULL && strcmp(target, "document") == 0;
	if (target != NULL && !grader->on_document && strcmp(target, "output") != 0)
		refuse("target", "Give \"output\" or \"document\".");
	grader->instructions = read_text(options, "instructions");
	grader->show_label = read_bool(options, "show_label");
	grader->max_chars = read_max_chars(options, 50, DEFAULT_MAX_CHARS);
}

static void
read_criterion(const GepaJson *item, JudgeCriterion *criterion)
{
	const char *hint = "Give an array of objects {\"name\": text, \"description\": text, \"scale\": [low, high], \"weight\": number above 0}; scale is [1, 5] and weight 1 where nothing is said.";
	const GepaJson *scale = gepa_json_get(item, "scale");
	const GepaJson *weight = gepa_json_get(item, "weight");
	const char *name = gepa_json_get_string(item, "name");
	const char *description = gepa_json_get_string(item, "description");

	if (item->kind != GEPA_JSON_OBJECT || name == NULL || gepa_is_blank(name) ||
		description == NULL || gepa_is_blank(description))
		refuse("criteria", hint);
	for (int i = 0; i < item->nitems; i++)
		if (!is_listed("name, description, scale, weight", item->keys[i]))
			refuse("criteria", hint);
	criterion->name = pstrdup(name);
	criterion->description = pstrdup(description);
	criterion->low = 1;
	criterion->high = 5;
	criterion->weight = 1;
	if (scale != NULL)
	{
		if (scale->kind != GEPA_JSON_ARRAY || scale->nitems != 2 ||
			scale->items[0]->kind != GEPA_JSON_NUMBER || scale->items[1]->kind != GEPA_JSON_NUMBER)
			refuse("criteria", hint);
		criterion->low = strtod(scale->items[0]->text, NULL);
		criterion->high = strtod(scale->items[1]->text, NULL);
	}
	if (weight != NULL && !read_number(item, "weight", &criterion->weight))
		refuse("criteria", hint);
	if (!isfinite(criterion->low) || !isfinite(criterion->high) ||
		!(criterion->low < criterion->high) || !(criterion->weight > 0))
		refuse("criteria", hint);
}

static void
read_rubric(JudgeGrader *grader, const GepaJson *options)
{
	const GepaJson *criteria = gepa_json_get(options, "criteria");

	read_target(grader, options);
	if (criteria == NULL || criteria->kind != GEPA_JSON_ARRAY || criteria->nitems == 0 ||
		criteria->nitems > MOST_CRITERIA)
		refuse("criteria", psprintf("Give an array of 1 to %d criteria, each an object with name and description.", MOST_CRITERIA));
	grader->ncriteria = criteria->nitems;
	grader->criteria = palloc0(sizeof(JudgeCriterion) * criteria->nitems);
	for (int i = 0; i < criteria->nitems; i++)
	{
		read_criterion(criteria->items[i], &grader->criteria[i]);
		for (int k = 0; k < i; k++)
			if (strcmp(grader->criteria[k].name, grader->criteria[i].name) == 0)
				refuse("criteria", psprintf("Two criteria have the name \"%s\"; names must be distinct.",
											grader->criteria[i].name));
	}
}

/* Of few digits, so that it is one wherever it is read. */
static bool
is_number(const char *text)
{
	size_t		length = strlen(text);

	return length > 0 && length < 7 && strspn(text, "0123456789") == length;
}

static void
read_reward(JudgeGrader *grader, const GepaJson *options)
{
	char	   *api = read_text(options, "api");
	const GepaJson *label = gepa_json_get(options, "label");

	read_target(grader, options);
	for (int i = 0; i < lengthof(api_names); i++)
		if (api == NULL || strcmp(api_names[i], api) == 0)
		{
			grader->api = (JudgeRewardApi) i;
			break;
		}
		else if (i == lengthof(api_names) - 1)
			refuse("api", "Give \"classify\", \"score\", \"pooling\" or \"chat\".");
	grader->low = 0;
	grader->high = 1;
	if ((gepa_json_get(options, "low") != NULL && !read_number(options, "low", &grader->low)) ||
		(gepa_json_get(options, "high") != NULL && !read_number(options, "high", &grader->high)) ||
		!(grader->low < grader->high))
		refuse("low", "Give numbers \"low\" < \"high\": the bounds that scores are clamped to; they are 0 and 1 where nothing is said.");
	if (label != NULL && label->kind != GEPA_JSON_STRING && label->kind != GEPA_JSON_NUMBER)
		refuse("label", "Give the name or the number (from 0) of the class whose probability counts.");
	if (label != NULL && grader->api != JUDGE_REWARD_CLASSIFY &&
		(grader->api != JUDGE_REWARD_POOLING || !is_number(label->text)))
		refuse("label", "The api \"classify\" takes a name or a number, \"pooling\" a whole number from 0, the others give one score.");
	grader->class_label = label == NULL ? NULL : pstrdup(label->text);
	if (grader->api == JUDGE_REWARD_SCORE && grader->on_document && grader->instructions == NULL)
		refuse("instructions", "The api \"score\" compares two texts: say what a document is compared with.");
}

static void
read_format(JudgeGrader *grader, const GepaJson *options)
{
	const GepaJson *required = gepa_json_get(options, "require");
	const GepaJson *schema = gepa_json_get(options, "schema");
	const char *problem;

	if (required != NULL)
		grader->required = read_texts(required, "require", 1, &grader->nrequired);
	if (schema != NULL && (problem = gepa_judge_schema_problem(schema)) != NULL)
		refuse("schema", psprintf("Give a JSON schema of the form that outputs of steps have: %s.",
								  problem));
	grader->schema = unconstify(GepaJson *, schema);
	grader->max_chars = read_max_chars(options, 1, 0);
}

static void
read_function(JudgeGrader *grader, const GepaJson *options)
{
	grader->function = read_text(options, "function");
	if (grader->function == NULL)
		refuse("function", "Name a function with its schema and arguments, for example \"curation.grade(jsonb,jsonb)\".");
}

static void
check_lm(const JudgeGrader *grader)
{
	bool		needs = grader->kind == JUDGE_GRADER_RUBRIC ||
		grader->kind == JUDGE_GRADER_REWARD_MODEL;

	if (needs != (grader->lm != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 needs ? errmsg("a grader of kind \"%s\" needs an LM", kind_names[grader->kind]) :
				 errmsg("a grader of kind \"%s\" calls no LM", kind_names[grader->kind]),
				 needs ? errhint("Name a server with \"lm\"; see gepa.lms.") :
				 errhint("Leave \"lm\" out.")));
}

void
gepa_judge_grader_parse(JudgeGrader *grader, const char *text)
{
	const char *error = "it is no object";
	GepaJson   *options = gepa_json_parse(text, strlen(text), &error);

	if (options == NULL || options->kind != GEPA_JSON_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of a grader cannot be read: %s", error),
				 errhint("Pass a JSON object.")));
	grader->options = pstrdup(text);
	check_names(grader, options);
	check_lm(grader);
	switch (grader->kind)
	{
		case JUDGE_GRADER_LABELS:
			read_labels(grader, options);
			break;
		case JUDGE_GRADER_RUBRIC:
			read_rubric(grader, options);
			break;
		case JUDGE_GRADER_REWARD_MODEL:
			read_reward(grader, options);
			break;
		case JUDGE_GRADER_FUNCTION:
			read_function(grader, options);
			break;
		case JUDGE_GRADER_FORMAT:
			read_format(grader, options);
			break;
	}
}

void
gepa_judge_grader_digest(JudgeGrader *grader)
{
	const char *fields[5];
	JudgeDocument parts = {lengthof(fields), fields};

	fields[0] = psprintf("gepa grader %d", GRADER_LAYOUT);
	fields[1] = kind_names[grader->kind];
	fields[2] = grader->lm ? grader->lm : "";
	fields[3] = grader->lm_identity ? grader->lm_identity : "";
	fields[4] = grader->options;
	gepa_judge_content_digest(&parts, grader->digest);
}
