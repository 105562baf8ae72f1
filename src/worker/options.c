/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of a run: from the jsonb of gepa.start() and back.
 *
 * They are those of option_table.c.  A run stores them complete, so that a later
 * change of defaults changes no run that exists.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <limits.h>
#include <math.h>

#include "common/shortest_dec.h"

#include "base/json.h"
#include "base/text.h"
#include "worker/worker_internal.h"

/* "split" is an object: {"train": 0.4, "val": 0.3, "test": 0.3, "seed": 0} */
static const char *const split_keys[] = {"train", "val", "test"};

/* What has a meaning for judges only, and for other texts only. */
static const char *const judge_options[] = {
	"confidence", "examples", "graders", "max_examples", "metric", "precision", "seed_from", "task_lm"
};
static const char *const text_options[] = {"error_score"};

/* Scores of other texts may be any, in reference mode. */
static const char *const score_options[] = {"perfect_score", "stop_at_score"};

static bool
is_among(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* Does a run that tunes a judge, or other texts, not know this one? */
static bool
is_foreign(const char *name, WorkerTuned tuned)
{
	return tuned != WORKER_TUNES_JUDGE ? is_among(name, judge_options, lengthof(judge_options)) :
		is_among(name, text_options, lengthof(text_options));
}

static void *
field_of(const WorkerRunOptions *options, const WorkerOption *def)
{
	return (char *) unconstify(WorkerRunOptions *, options) + def->offset;
}

/*
 * Errors
 */

static void
refuse(const char *name, const char *must)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for run option \"%s\"", name),
			 errhint("It must be %s.", must)));
}

static void
refuse_key(const char *key, WorkerTuned tuned)
{
	int			n;
	const WorkerOption *table = gepa_worker_option_table(&n);
	StringInfoData valid;

	initStringInfo(&valid);
	for (int i = 0; i < n; i++)
		if (!is_foreign(table[i].name, tuned))
			appendStringInfo(&valid, "%s, ", table[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 is_foreign(key, tuned) ?
			 errmsg("run option \"%s\" has no meaning in a run of %s", key,
					tuned != WORKER_TUNES_JUDGE ? "texts without a judge" : "a judge") :
			 errmsg("unknown run option \"%s\"", key),
			 errhint("Valid options are: %s%ssplit.", valid.data,
					 is_foreign("confidence", tuned) ? "" : "confidence, ")));
}

static void
refuse_word(const WorkerOption *def)
{
	StringInfoData valid;

	initStringInfo(&valid);
	for (int i = 0; def->words[i] != NULL; i++)
		appendStringInfo(&valid, "%s\"%s\"", i == 0 ? "" : ", ", def->words[i]);
	refuse(def->name, psprintf("one of %s", valid.data));
}

/*
 * Reading
 */

static double
read_number(const char *name, const GepaJson *value, double min, double max, bool integer)
{
	double		number = 0;
	const char *what = integer ? "an integer" : "a number";

	if (value->kind == GEPA_JSON_NUMBER)
		number = strtod(value->text, NULL);
	if (value->kind != GEPA_JSON_NUMBER || !isfinite(number) ||
		!(number >= min && number <= max) ||
		(integer && number != floor(number)))
		refuse(name, max >= INT_MAX ? psprintf("%s of at least %g", what, min) :
			   psprintf("%s from %g to %g", what, min, max));
	return number;
}

static int
read_word(const WorkerOption *def, const GepaJson *value)
{
	int			word;

	if (value->kind != GEPA_JSON_STRING)
		refuse_word(def);
	for (word = 0; def->words[word] != NULL; word++)
		if (strcmp(def->words[word], value->text) == 0)
			break;
	if (def->words[word] == NULL)
		refuse_word(def);
	return word;
}

static void
read_keys(const WorkerOption *def, const GepaJson *value, WorkerKeys *keys)
{
	const char *must = "an array of distinct keys of samples";

	if (value->kind != GEPA_JSON_ARRAY || value->nitems == 0)
		refuse(def->name, must);
	keys->n = value->nitems;
	keys->keys = palloc(sizeof(char *) * value->nitems);
	for (int i = 0; i < value->nitems; i++)
	{
		const GepaJson *item = value->items[i];

		if (item->kind != GEPA_JSON_STRING && item->kind != GEPA_JSON_NUMBER)
			refuse(def->name, must);
		keys->keys[i] = pstrdup(item->text);
		for (int k = 0; k < i; k++)
			if (strcmp(keys->keys[k], keys->keys[i]) == 0)
				refuse(def->name, must);
	}
}

static void
read_texts(const char *name, const char *must, const GepaJson *value, WorkerTexts *texts)
{
	if (value->kind != GEPA_JSON_OBJECT || value->nitems == 0)
		refuse(name, must);
	texts->n = value->nitems;
	texts->names = palloc(sizeof(char *) * value->nitems);
	texts->texts = palloc(sizeof(char *) * value->nitems);
	for (int i = 0; i < value->nitems; i++)
	{
		if (value->items[i]->kind != GEPA_JSON_STRING || gepa_is_blank(value->items[i]->text))
			refuse(name, must);
		texts->names[i] = pstrdup(value->keys[i]);
		texts->texts[i] = pstrdup(value->items[i]->text);
	}
}

static void
read_seeds(const char *name, const GepaJson *value, WorkerSeeds *seeds)
{
	const char *must = "an array of objects that give components their texts";

	if (value->kind != GEPA_JSON_ARRAY || value->nitems == 0)
		refuse(name, must);
	seeds->n = value->nitems;
	seeds->seeds = palloc0(sizeof(WorkerTexts) * value->nitems);
	for (int i = 0; i < value->nitems; i++)
		read_texts(name, must, value->items[i], &seeds->seeds[i]);
}

static char *
read_list(const WorkerOption *def, const GepaJson *value)
{
	StringInfoData buf;

	if (value->kind != GEPA_JSON_ARRAY || value->nitems == 0)
		refuse(def->name, "an array that is not empty");
	initStringInfo(&buf);
	gepa_json_write(&buf, value);
	return buf.data;
}

/* null is the same as leaving the key out. */
static void
read_option(const WorkerOption *def, const GepaJson *value, WorkerRunOptions *options)
{
	void	   *field = field_of(options, def);

	if (value->kind == GEPA_JSON_NULL)
		return;
	switch (def->kind)
	{
		case WORKER_OPTION_BOOL:
			if (value->kind != GEPA_JSON_BOOL)
				refuse(def->name, "true or false");
			*(bool *) field = value->boolean;
			break;
		case WORKER_OPTION_INT:
			*(int *) field = (int) read_number(def->name, value, def->min, def->max, true);
			break;
		case WORKER_OPTION_NUMBER:
			*(double *) field = read_number(def->name, value, def->min, def->max, false);
			break;
		case WORKER_OPTION_TEXT:
			if (value->kind != GEPA_JSON_STRING || value->text[0] == '\0')
				refuse(def->name, "a string that is not empty");
			*(char **) field = pstrdup(value->text);
			break;
		case WORKER_OPTION_KEYS:
			read_keys(def, value, field);
			break;
		case WORKER_OPTION_TEXTS:
			read_texts(def->name, "an object that gives components their texts", value, field);
			break;
		case WORKER_OPTION_SEEDS:
			read_seeds(def->name, value, field);
			break;
		case WORKER_OPTION_LIST:
			*(char **) field = read_list(def, value);
			break;
		case WORKER_OPTION_WORD:
			*(int *) field = read_word(def, value);
			break;
	}
}

/* Shares that are left out are 0 once one is given; their sum is 1. */
static void
read_split(const GepaJson *value, WorkerRunOptions *options)
{
	const char *must = "an object with \"train\", \"val\" and optionally \"test\" that sum to 1, and optionally an integer \"seed\"";
	double		shares[STORE_NSPLITS] = {0};
	double		sum = 0;
	int			known = 0;
	const GepaJson *seed = gepa_json_get(value, "seed");

	if (value->kind != GEPA_JSON_OBJECT)
		refuse("split", must);
	for (int s = 0; s < STORE_NSPLITS; s++)
	{
		const GepaJson *share = gepa_json_get(value, split_keys[s]);

		if (share == NULL)
			continue;
		known++;
		shares[s] = read_number(psprintf("split.%s", split_keys[s]), share, 0, 1, false);
		sum += shares[s];
	}
	if (seed != NULL)
	{
		known++;
		options->split_seed = (int) read_number("split.seed", seed, 0, INT_MAX, true);
	}
	if (known != value->nitems)
		refuse("split", must);
	if (known == (seed != NULL))
		return;
	if (shares[0] <= 0 || shares[1] <= 0 || fabs(sum - 1) > 1e-6)
		refuse("split", must);
	memcpy(options->split, shares, sizeof(shares));
}

/* Without the metric it would have no effect. */
static void
read_confidence(const GepaJson *value, WorkerRunOptions *options)
{
	const char *must;

	if (value != NULL && value->kind == GEPA_JSON_NULL)
		value = NULL;
	if (value != NULL && options->metric != JUDGE_METRIC_CONFIDENCE)
		refuse("confidence", "left out, unless \"metric\" is \"confidence\"");
	must = gepa_judge_read_confidence(value, &options->confidence);
	if (must != NULL)
		refuse("confidence", must);
}

static const WorkerOption *
find_def(const char *key)
{
	int			n;
	const WorkerOption *table = gepa_worker_option_table(&n);

	for (int i = 0; i < n; i++)
		if (strcmp(table[i].name, key) == 0)
			return &table[i];
	return NULL;
}

static void
check_template(const char *name, const char *template)
{
	const char *missing = gepa_engine_check_template(template);

	if (missing != NULL)
		refuse(name,
			   psprintf("a text with the placeholders <curr_param> and <side_info>; %s", missing));
}

static void
check_templates(const WorkerRunOptions *options)
{
	const WorkerTexts *templates = &options->reflection_templates;

	if (options->reflection_template != NULL)
		check_template("reflection_template", options->reflection_template);
	for (int i = 0; i < templates->n; i++)
		check_template(psprintf("reflection_templates.%s", templates->names[i]),
					   templates->texts[i]);
}

/* The option as it is in this run. */
static const WorkerOption *
wider(const WorkerOption *def, WorkerTuned tuned, const WorkerRunOptions *options,
	  WorkerOption *own)
{
	*own = *def;
	if (tuned != WORKER_TUNES_JUDGE && options->mode == ENGINE_MODE_REFERENCE &&
		is_among(def->name, score_options, lengthof(score_options)))
	{
		own->min = -DBL_MAX;
		own->max = DBL_MAX;
	}
	return own;
}

static GepaJson *
parse_object(const char *json)
{
	const char *error = NULL;
	GepaJson   *object = gepa_json_parse(json, strlen(json), &error);

	if (object == NULL || object->kind != GEPA_JSON_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of a run are not a JSON object%s%s",
						error ? ": " : "", error ? error : ""),
				 errhint("Give an object, such as '{\"minibatch_size\": 5}'.")));
	return object;
}

/*
 * Defaults where nothing is said.  A single task tells nothing of how scores vary from one to
 * another, which is what the default mode's model lives by: so it is searched by the loop of
 * the reference, without what that loop asks twice.
 */
static void
take_defaults(const GepaJson *object, WorkerTuned tuned, WorkerRunOptions *options)
{
	const GepaJson *mode = gepa_json_get(object, "mode");
	bool		chosen = mode != NULL && mode->kind != GEPA_JSON_NULL;

	gepa_worker_option_defaults(options, ENGINE_MODE_DEFAULT);
	if (chosen)
		read_option(find_def("mode"), mode, options);
	gepa_worker_option_defaults(options, (EngineMode) options->mode);
	if (tuned == WORKER_TUNES_JUDGE)
		return;
	if (tuned == WORKER_TUNES_TASK)
	{
		options->shared_sets = true;
		options->minibatch_size = 1;
	}
	if (tuned == WORKER_TUNES_TASK && !chosen)
	{
		options->mode = ENGINE_MODE_REFERENCE;
		options->cache = true;
	}
	options->max_examples = 0;
	options->frontier_type = ENGINE_FRONTIER_AUTO;
	options->skip_perfect = options->mode == ENGINE_MODE_DEFAULT;
}

void
gepa_worker_parse_options(const char *json, WorkerTuned tuned, WorkerRunOptions *options)
{
	GepaJson   *object = parse_object(json);

	/* The mode first: it sets the defaults of the others. */
	take_defaults(object, tuned, options);
	for (int i = 0; i < object->nitems; i++)
	{
		const WorkerOption *def = find_def(object->keys[i]);
		WorkerOption own;

		if (strcmp(object->keys[i], "split") == 0)
			read_split(object->items[i], options);
		else if (strcmp(object->keys[i], "confidence") == 0 && !is_foreign("confidence", tuned))
			continue;			/* read when the metric is known */
		else if (def == NULL || is_foreign(def->name, tuned))
			refuse_key(object->keys[i], tuned);
		else
			read_option(wider(def, tuned, options, &own), object->items[i], options);
	}
	read_confidence(gepa_json_get(object, "confidence"), options);
	check_templates(options);
	if (options->combee && options->proposer != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("run options \"combee\" and \"proposer\" cannot be combined"),
				 errdetail("One has the reflection LM write new texts, the other a function."),
				 errhint("Leave one of them out.")));
}

/* Given, but for the other mode. */
static bool
is_idle(const WorkerOption *def, const GepaJson *value, EngineMode mode)
{
	return value->kind != GEPA_JSON_NULL && def->scope != WORKER_OPTION_ALWAYS &&
		(def->scope == WORKER_OPTION_IN_DEFAULT) != (mode == ENGINE_MODE_DEFAULT);
}

char *
gepa_worker_idle_options(const char *json, const WorkerRunOptions *options)
{
	GepaJson   *object = gepa_json_parse(json, strlen(json), NULL);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < object->nitems; i++)
	{
		const WorkerOption *def = find_def(object->keys[i]);

		if (def != NULL && is_idle(def, object->items[i], (EngineMode) options->mode))
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", def->name);
	}
	return list.len > 0 ? list.data : NULL;
}

/*
 * Writing
 */

static void
write_keys(StringInfo buf, const WorkerKeys *keys)
{
	for (int i = 0; i < keys->n; i++)
	{
		appendStringInfoChar(buf, i == 0 ? '[' : ',');
		gepa_json_quote(buf, keys->keys[i]);
	}
	appendStringInfoChar(buf, ']');
}

static void
write_texts(StringInfo buf, const WorkerTexts *texts)
{
	for (int i = 0; i < texts->n; i++)
	{
		appendStringInfoChar(buf, i == 0 ? '{' : ',');
		gepa_json_quote(buf, texts->names[i]);
		appendStringInfoChar(buf, ':');
		gepa_json_quote(buf, texts->texts[i]);
	}
	appendStringInfoChar(buf, '}');
}

static void
write_seeds(StringInfo buf, const WorkerSeeds *seeds)
{
	for (int i = 0; i < seeds->n; i++)
	{
		appendStringInfoChar(buf, i == 0 ? '[' : ',');
		write_texts(buf, &seeds->seeds[i]);
	}
	appendStringInfoChar(buf, ']');
}

/* Numbers, texts and lists that are not set have no value to write. */
static bool
is_set(const WorkerOption *def, const void *field)
{
	switch (def->kind)
	{
		case WORKER_OPTION_TEXT:
		case WORKER_OPTION_LIST:
			return *(char *const *) field != NULL;
		case WORKER_OPTION_KEYS:
			return ((const WorkerKeys *) field)->n > 0;
		case WORKER_OPTION_TEXTS:
			return ((const WorkerTexts *) field)->n > 0;
		case WORKER_OPTION_SEEDS:
			return ((const WorkerSeeds *) field)->n > 0;
		case WORKER_OPTION_NUMBER:
			return !isnan(*(const double *) field);
		default:
			return true;
	}
}

static void
write_option(StringInfo buf, const WorkerOption *def, const WorkerRunOptions *options)
{
	const void *field = field_of(options, def);

	if (!is_set(def, field))
		return;
	appendStringInfo(buf, "\"%s\":", def->name);
	switch (def->kind)
	{
		case WORKER_OPTION_BOOL:
			appendStringInfoString(buf, *(const bool *) field ? "true" : "false");
			break;
		case WORKER_OPTION_INT:
			appendStringInfo(buf, "%d", *(const int *) field);
			break;
		case WORKER_OPTION_NUMBER:
			appendStringInfoString(buf, double_to_shortest_decimal(*(const double *) field));
			break;
		case WORKER_OPTION_TEXT:
			gepa_json_quote(buf, *(char *const *) field);
			break;
		case WORKER_OPTION_KEYS:
			write_keys(buf, field);
			break;
		case WORKER_OPTION_TEXTS:
			write_texts(buf, field);
			break;
		case WORKER_OPTION_SEEDS:
			write_seeds(buf, field);
			break;
		case WORKER_OPTION_LIST:
			appendStringInfoString(buf, *(char *const *) field);
			break;
		case WORKER_OPTION_WORD:
			gepa_json_quote(buf, def->words[*(const int *) field]);
			break;
	}
	appendStringInfoChar(buf, ',');
}

char *
gepa_worker_options_json(const WorkerRunOptions *options, WorkerTuned tuned)
{
	int			n;
	const WorkerOption *table = gepa_worker_option_table(&n);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (int i = 0; i < n; i++)
		if (!is_foreign(table[i].name, tuned))
			write_option(&buf, &table[i], options);
	if (options->metric == JUDGE_METRIC_CONFIDENCE)
		appendStringInfo(&buf, "\"confidence\":%s,",
						 gepa_judge_confidence_json(&options->confidence));
	appendStringInfoString(&buf, "\"split\":{");
	for (int s = 0; s < STORE_NSPLITS; s++)
		appendStringInfo(&buf, "\"%s\":%s,", split_keys[s],
						 double_to_shortest_decimal(options->split[s]));
	appendStringInfo(&buf, "\"seed\":%d}}", options->split_seed);
	return buf.data;
}
