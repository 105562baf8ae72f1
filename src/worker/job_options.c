/*-------------------------------------------------------------------------
 *
 * job_options.c
 *	  Options of a corpus job: from the jsonb of gepa.judge_table() and back.
 *
 * A job stores them complete, so that a later change of defaults changes no job
 * that exists; it has no version if it follows the current one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "base/json.h"
#include "worker/worker_job_internal.h"

#define MOST_WORKERS 32
#define LARGEST_BATCH 10000

static const char *const keys = "batch, on_budget, reasoning, version, window, workers";

static void
refuse(const char *name, const char *must)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for job option \"%s\"", name),
			 errhint("It must be %s.", must)));
}

static int
read_int(const char *name, const GepaJson *value, int low, int high)
{
	double		number = value->kind == GEPA_JSON_NUMBER ? strtod(value->text, NULL) : NAN;

	if (isnan(number) || number != floor(number) || number < low || number > high)
		refuse(name, psprintf("a whole number from %d to %d", low, high));
	return (int) number;
}

static bool
read_on_budget(const GepaJson *value)
{
	if (value->kind == GEPA_JSON_STRING && strcmp(value->text, "pause") == 0)
		return true;
	if (value->kind != GEPA_JSON_STRING || strcmp(value->text, "error") != 0)
		refuse("on_budget", "\"pause\" or \"error\"");
	return false;
}

static void
read_option(const char *name, const GepaJson *value, WorkerJobOptions *options)
{
	if (strcmp(name, "workers") == 0)
		options->workers = read_int(name, value, 1, MOST_WORKERS);
	else if (strcmp(name, "batch") == 0)
		options->batch = read_int(name, value, 1, LARGEST_BATCH);
	else if (strcmp(name, "window") == 0)
		options->window = read_int(name, value, 0, INT_MAX);
	else if (strcmp(name, "version") == 0)
		options->version = read_int(name, value, 1, INT_MAX);
	else if (strcmp(name, "on_budget") == 0)
		options->pause_on_budget = read_on_budget(value);
	else if (strcmp(name, "reasoning") == 0 && value->kind == GEPA_JSON_BOOL)
		options->reasoning = value->boolean;
	else if (strcmp(name, "reasoning") == 0)
		refuse(name, "true or false");
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown job option \"%s\"", name),
				 errhint("Valid options are: %s.", keys)));
}

void
gepa_worker_parse_job_options(const char *json, WorkerJobOptions *options)
{
	GepaJson   *object = gepa_json_parse(json, strlen(json), NULL);

	options->workers = 1;
	options->batch = 1000;
	options->window = 0;
	options->version = 0;
	options->reasoning = false;
	options->pause_on_budget = true;
	if (object == NULL || object->kind != GEPA_JSON_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of a job must be a JSON object"),
				 errhint("Valid options are: %s.", keys)));
	for (int i = 0; i < object->nitems; i++)
		read_option(object->keys[i], object->items[i], options);
}

char *
gepa_worker_job_options_json(const WorkerJobOptions *options)
{
	const char *version = options->version == 0 ? "" :
		psprintf(" \"version\": %d,", options->version);

	return psprintf("{\"workers\": %d, \"batch\": %d, \"window\": %d,%s"
					" \"reasoning\": %s, \"on_budget\": \"%s\"}",
					options->workers, options->batch, options->window, version,
					options->reasoning ? "true" : "false",
					options->pause_on_budget ? "pause" : "error");
}
