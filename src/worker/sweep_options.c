/*-------------------------------------------------------------------------
 *
 * sweep_options.c
 *	  Options of a sweep: its own, and those of its runs.
 *
 * "settings", "quality", "parallel_runs" and "version" are the sweep's; all
 * others are options of every run.  A setting is an object of judge options
 * and run options, told apart by their names.  What decides which rows are
 * held out cannot be in a setting: the points would not be comparable.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "worker/worker_sweep.h"

#define MOST_SETTINGS 100
#define MOST_PARALLEL_RUNS 64

static const char *const own_keys[] = {"parallel_runs", "quality", "settings", "version", NULL};

/* Options of create_judge that a setting may give another value. */
static const char *const judge_keys[] = {
	"effort", "max_chars", "reasoning", "thinking_budget", "votes", "window", NULL
};

static const char *const fixed_keys[] = {"shared_sets", "split", "task_lm", NULL};

/* Measures of which more is better. */
static const char *const metrics[] = {
	"accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "mcc", "kappa",
	"auroc", NULL
};

static void
refuse(const char *name, const char *must)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for sweep option \"%s\"", name),
			 errhint("It must be %s.", must)));
}

static bool
is_among(const char *key, const char *const *keys)
{
	for (int i = 0; keys[i] != NULL; i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

/*
 * jsonb
 */

static Datum
read_jsonb(const char *json)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}

static char *
write_jsonb(Datum jsonb)
{
	return DatumGetCString(DirectFunctionCall1(jsonb_out, jsonb));
}

char *
gepa_worker_lay_over(const char *json, const char *other)
{
	return write_jsonb(DirectFunctionCall2(jsonb_concat, read_jsonb(json), read_jsonb(other)));
}

/* The object without some keys, or without all others. */
static char *
pick(const GepaJson *object, const char *const *keys, bool these)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (int i = 0; i < object->nitems; i++)
	{
		if (is_among(object->keys[i], keys) != these)
			continue;
		if (buf.len > 1)
			appendStringInfoChar(&buf, ',');
		gepa_json_quote(&buf, object->keys[i]);
		appendStringInfoChar(&buf, ':');
		gepa_json_write(&buf, object->items[i]);
	}
	appendStringInfoChar(&buf, '}');
	return write_jsonb(read_jsonb(buf.data));
}

/*
 * Reading
 */

static int
read_int(const GepaJson *object, const char *key, int otherwise, int max)
{
	const GepaJson *value = gepa_json_get(object, key);
	double		number = 0;

	if (value == NULL || value->kind == GEPA_JSON_NULL)
		return otherwise;
	if (!gepa_json_get_number(object, key, &number) || number != floor(number) ||
		number < 1 || number > max)
		refuse(key, max == INT_MAX ? "a positive integer" :
			   psprintf("an integer from 1 to %d", max));
	return (int) number;
}

static char *
read_metric(const GepaJson *object)
{
	const GepaJson *value = gepa_json_get(object, "quality");
	StringInfoData valid;

	if (value == NULL || value->kind == GEPA_JSON_NULL)
		return pstrdup(metrics[0]);
	if (value->kind == GEPA_JSON_STRING && is_among(value->text, metrics))
		return value->text;
	initStringInfo(&valid);
	for (int i = 0; metrics[i] != NULL; i++)
		appendStringInfo(&valid, "%s\"%s\"", i == 0 ? "" : ", ", metrics[i]);
	refuse("quality", psprintf("one of %s", valid.data));
	return NULL;
}

static void
read_setting(const GepaJson *value, WorkerSetting *setting)
{
	for (int i = 0; i < value->nitems; i++)
		if (is_among(value->keys[i], fixed_keys) || is_among(value->keys[i], own_keys))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" cannot be in a setting of a sweep", value->keys[i]),
					 errdetail("It is the same for all points: they are measured on the same rows, by the same measure."),
					 errhint("Give it beside \"settings\"; LMs are named in \"lms\".")));
	setting->text = pick(value, judge_keys, true);
	setting->judge_options = setting->text;
	setting->run_options = pick(value, judge_keys, false);
	setting->text = gepa_worker_lay_over(setting->judge_options, setting->run_options);
}

/* Without any there is one that changes nothing. */
static void
read_settings(const GepaJson *value, WorkerSweepOptions *options)
{
	static const char *must = "an array of 1 to 100 objects of judge options (effort, max_chars, reasoning, thinking_budget, votes, window) and run options";
	GepaJson	none = {.kind = GEPA_JSON_OBJECT};

	options->nsettings = value == NULL ? 1 : value->nitems;
	if (value != NULL && (value->kind != GEPA_JSON_ARRAY || value->nitems == 0 ||
						  value->nitems > MOST_SETTINGS))
		refuse("settings", must);
	options->settings = palloc0(sizeof(WorkerSetting) * options->nsettings);
	for (int i = 0; i < options->nsettings; i++)
	{
		const GepaJson *item = value == NULL ? &none : value->items[i];

		if (item->kind != GEPA_JSON_OBJECT)
			refuse("settings", must);
		read_setting(item, &options->settings[i]);
	}
}

void
gepa_worker_parse_sweep_options(const char *json, WorkerSweepOptions *options)
{
	const char *error = NULL;
	GepaJson   *object = gepa_json_parse(json, strlen(json), &error);

	if (object == NULL || object->kind != GEPA_JSON_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of a sweep are not a JSON object%s%s",
						error ? ": " : "", error ? error : ""),
				 errhint("Give an object, such as '{\"settings\": [{\"reasoning\": true}, {\"reasoning\": false}]}'.")));
	if (gepa_json_get(object, "task_lm") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("run option \"task_lm\" cannot be given to a sweep"),
				 errhint("Name the LMs in \"lms\".")));
	options->metric = read_metric(object);
	options->parallel_runs = read_int(object, "parallel_runs", 2, MOST_PARALLEL_RUNS);
	options->version = read_int(object, "version", 0, INT_MAX);
	options->run_options = pick(object, own_keys, false);
	read_settings(gepa_json_get(object, "settings"), options);
}
