/*-------------------------------------------------------------------------
 *
 * exchange_import.c
 *	  gepa.import_result(), gepa.export_result(): runs that were made elsewhere, and
 *	  runs for elsewhere.
 *
 * An imported run belongs to a judge: its candidates are candidates of the current
 * version's program, and its components are mapped to that's.  With a dataset the
 * samples are copied as at the start of a run, so that the run can be reported on;
 * without one nothing is known of them but their keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/api_result.h"

static const char *const option_names[] = {"components", "ids"};

typedef struct Import
{
	const ApiResult *result;
	const GepaJson *options;
	const StoreVersion *version;
	const char **ours;			/* by component of the file: the judge's */
	StoreSample *samples;		/* of the dataset; NULL = none was named */
	int			nsamples;
	const char **sample_key;	/* by key of the file: of the sample */
} Import;

/*
 * Components
 */

static bool
has_component(const JudgeSpec *spec, const char *name)
{
	for (int i = 0; i < spec->ncomponents; i++)
		if (strcmp(spec->components[i].name, name) == 0)
			return true;
	return false;
}

static int
count_instructions(const JudgeSpec *spec, const char **name)
{
	int			n = 0;

	for (int i = 0; i < spec->ncomponents; i++)
	{
		if (spec->components[i].kind == JUDGE_COMPONENT_EXAMPLES)
			continue;
		*name = spec->components[i].name;
		n++;
	}
	return n;
}

/* Of a program of one text the name does not matter. */
static const char *
map_component(const Import *import, const GepaJson *first, int component)
{
	const JudgeSpec *spec = import->version->spec;
	const char *theirs = first->keys[component];
	const char *given = gepa_json_get_string(gepa_json_get(import->options, "components"), theirs);
	const char *only = NULL;

	if (given == NULL && (has_component(spec, theirs) || strcmp(theirs, "examples") == 0))
		return theirs;
	if (given == NULL && first->nitems == 1 && count_instructions(spec, &only) == 1)
		return only;
	if (given != NULL && (has_component(spec, given) || strcmp(given, "examples") == 0))
		return given;
	gepa_api_refuse_file_with(gepa_api_result_file(),
							  "Say with option \"components\" which component of the judge each of the file's is, for example '{\"components\": {\"system_prompt\": \"instruction\"}}'; gepa.judge_versions shows the judge's.",
							  "judge \"%s\" has no component \"%s\"", spec->name,
							  given ? given : theirs);
	return NULL;
}

/* Each of the judge's instructions must come, and each component once. */
static void
map_components(Import *import)
{
	const JudgeSpec *spec = import->version->spec;
	const GepaJson *first = import->result->candidates->items[0];

	import->ours = palloc(sizeof(char *) * first->nitems);
	for (int i = 0; i < first->nitems; i++)
	{
		import->ours[i] = map_component(import, first, i);
		for (int k = 0; k < i; k++)
			if (strcmp(import->ours[k], import->ours[i]) == 0)
				gepa_api_refuse_file(gepa_api_result_file(),
									 "\"%s\" and \"%s\" are both component \"%s\" of the judge",
									 first->keys[k], first->keys[i], import->ours[i]);
	}
	for (int i = 0; i < spec->ncomponents; i++)
	{
		bool		found = spec->components[i].kind == JUDGE_COMPONENT_EXAMPLES;

		for (int k = 0; k < first->nitems; k++)
			found = found || strcmp(import->ours[k], spec->components[i].name) == 0;
		if (!found)
			gepa_api_refuse_file(gepa_api_result_file(),
								 "its candidates have no text of component \"%s\" of judge \"%s\"",
								 spec->components[i].name, spec->name);
	}
}

/*
 * Samples
 */

static int
compare_samples(const void *a, const void *b)
{
	return strcmp(((const StoreSample *) a)->key, ((const StoreSample *) b)->key);
}

/* The sample that a key of the file means. */
static StoreSample *
find_sample(const Import *import, StoreSample *const *by_position, int npositions, int key)
{
	const char *name = import->result->keys[key];
	StoreSample wanted = {.key = unconstify(char *, name)};
	StoreSample *found = NULL;
	int			position;

	if (by_position == NULL)
		found = bsearch(&wanted, import->samples, import->nsamples, sizeof(StoreSample),
						compare_samples);
	else
	{
		position = strspn(name, "0123456789") == strlen(name) && strlen(name) < 10 ?
			atoi(name) : -1;
		if (position >= 0 && position < npositions)
			found = by_position[position];
	}
	if (found == NULL)
		gepa_api_refuse_file_with(gepa_api_result_file(),
								  "With option \"ids\" as \"position\" its samples are counted from 0 over the dataset's validation rows in order of their keys; without a dataset they are kept by name only.",
								  "the dataset has no sample \"%s\"", name);
	return found;
}

static bool
by_position(const Import *import)
{
	const GepaJson *ids = gepa_json_get(import->options, "ids");

	if (ids == NULL || (ids->kind == GEPA_JSON_STRING && strcmp(ids->text, "key") == 0))
		return false;
	if (ids->kind != GEPA_JSON_STRING || strcmp(ids->text, "position") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for import option \"ids\""),
				 errhint("Valid values are key, position.")));
	return true;
}

/* Validation rows of the dataset, or all rows where it has no splits. */
static StoreSample **
list_positions(const Import *import, const StoreDataset *dataset, int *n)
{
	StoreSample **list = palloc(sizeof(StoreSample *) * Max(import->nsamples, 1));

	*n = 0;
	for (int i = 0; i < import->nsamples; i++)
		if (dataset->split == NULL || import->samples[i].split == STORE_SPLIT_VAL)
			list[(*n)++] = &import->samples[i];
	return list;
}

/*
 * What scores are on chose the winner, so it is no test sample; anything else has
 * the dataset's split, or else is a training sample.
 */
static void
split_samples(Import *import, const StoreDataset *dataset)
{
	const ApiResult *result = import->result;
	StoreSample **positions = NULL;
	int			npositions = 0;
	int			sizes[STORE_NSPLITS] = {0};

	if (by_position(import))
		positions = list_positions(import, dataset, &npositions);
	for (int k = 0; k < result->nkeys; k++)
	{
		StoreSample *sample = find_sample(import, positions, npositions, k);

		import->sample_key[k] = sample->key;
		if (sample->split != STORE_SPLIT_TRAIN)
			sample->split = STORE_SPLIT_VAL;
	}
	for (int i = 0; i < import->nsamples; i++)
	{
		StoreSample *sample = &import->samples[i];

		if (sample->split == STORE_SPLIT_NONE)
			sample->split = STORE_SPLIT_TRAIN;
		sample->sample = sizes[sample->split]++;
	}
}

static void
gather_samples(Import *import, const char *name)
{
	const ApiResult *result = import->result;
	StoreDataset *dataset;

	import->sample_key = palloc(sizeof(char *) * Max(result->nkeys, 1));
	for (int k = 0; k < result->nkeys; k++)
		import->sample_key[k] = result->keys[k];
	if (name == NULL)
		return;
	dataset = gepa_store_get_dataset(name);
	gepa_store_check_owner("dataset", name, dataset->owner, GetUserId());
	import->samples = gepa_store_read_samples(dataset, import->version->spec,
											  &import->nsamples);
	split_samples(import, dataset);
}

/*
 * What the store is handed
 */

static void
put_components(StringInfo buf, const Import *import, const GepaJson *texts)
{
	const GepaJson *first = import->result->candidates->items[0];
	StringInfoData object;

	initStringInfo(&object);
	appendStringInfoChar(&object, '{');
	for (int i = 0; i < first->nitems; i++)
	{
		const char *text = gepa_json_get_string(texts, first->keys[i]);
		int			n;

		gepa_api_put_key(&object, import->ours[i]);
		gepa_json_quote(&object, text);
		if (strcmp(import->ours[i], "examples") == 0 && text[0] != '\0')
			(void) gepa_judge_examples_parse(import->version->spec, text, &n);
	}
	appendStringInfo(buf, "%s}", object.data);
	pfree(object.data);
}

/* The one component in which a candidate differs from its first parent. */
static const char *
changed_component(const Import *import, int candidate, int parent)
{
	const GepaJson *first = import->result->candidates->items[0];
	const GepaJson *texts = import->result->candidates->items[candidate];
	const GepaJson *before = import->result->candidates->items[parent];
	const char *changed = NULL;
	int			n = 0;

	for (int i = 0; i < first->nitems; i++)
	{
		if (strcmp(gepa_json_get_string(texts, first->keys[i]),
				   gepa_json_get_string(before, first->keys[i])) == 0)
			continue;
		changed = import->ours[i];
		n++;
	}
	return n == 1 ? changed : NULL;
}

static void
put_candidate(StringInfo buf, const Import *import, int candidate)
{
	const ApiResult *result = import->result;
	const GepaJson *parents = result->parents->items[candidate];
	const char *component = NULL;
	int			nparents = 0;

	appendStringInfo(buf, "{\"candidate\":%d,\"parents\":[", candidate);
	for (int i = 0; i < parents->nitems; i++)
	{
		if (parents->items[i]->kind == GEPA_JSON_NULL)
			continue;
		if (nparents == 0)
			component = changed_component(import, candidate, atoi(parents->items[i]->text));
		appendStringInfo(buf, "%s%s", nparents++ > 0 ? "," : "", parents->items[i]->text);
	}
	appendStringInfoString(buf, "],\"component\":");
	if (component == NULL || nparents != 1)
		appendStringInfoString(buf, "null");
	else
		gepa_json_quote(buf, component);
	appendStringInfoString(buf, ",\"components\":");
	put_components(buf, import, result->candidates->items[candidate]);
	appendStringInfo(buf, ",\"score\":%s,\"rollouts\":%s}",
					 double_to_shortest_decimal(strtod(result->means->items[candidate]->text,
													   NULL)),
					 result->counts->items[candidate]->text);
}

static char *
candidates_json(const Import *import)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int c = 0; c < import->result->n; c++)
	{
		appendStringInfoChar(&buf, c > 0 ? ',' : '[');
		put_candidate(&buf, import, c);
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

static char *
scores_json(const Import *import)
{
	const ApiResult *result = import->result;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (int c = 0; c < result->n; c++)
	{
		for (int k = 0; k < result->nkeys; k++)
		{
			Size		cell = (Size) c * result->nkeys + k;

			if (isnan(result->scores[cell]))
				continue;
			appendStringInfo(&buf, "%s{\"candidate\":%d,\"key\":", buf.len > 1 ? "," : "", c);
			gepa_json_quote(&buf, import->sample_key[k]);
			appendStringInfo(&buf, ",\"score\":%s,\"output\":",
							 double_to_shortest_decimal(result->scores[cell]));
			if (result->output[cell] == NULL)
				appendStringInfoString(&buf, "null");
			else
				gepa_json_write(&buf, result->output[cell]);
			appendStringInfoChar(&buf, '}');
		}
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

static char *
fronts_json(const Import *import)
{
	const ApiResult *result = import->result;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (int i = 0; i < result->fronts->nitems; i++)
	{
		int			key = gepa_api_result_key(result, result->fronts->keys[i]);
		const GepaJson *front = result->fronts->items[i];
		Size		cell = (Size) atoi(front->items[0]->text) * result->nkeys + key;

		appendStringInfoString(&buf, i > 0 ? ",{\"key\":" : "{\"key\":");
		gepa_json_quote(&buf, import->sample_key[key]);
		appendStringInfo(&buf, ",\"score\":%s,\"candidates\":",
						 double_to_shortest_decimal(result->scores[cell]));
		gepa_json_write(&buf, front);
		appendStringInfoChar(&buf, '}');
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

/* What comes out again as it came in. */
static char *
imported_json(const Import *import)
{
	static const char *const kept[] = {
		"total_metric_calls", "num_full_val_evals", "run_dir", "seed", "_str_candidate_key",
		"val_aggregate_subscores", "per_objective_best_candidates", "objective_pareto_front"
	};
	const GepaJson *first = import->result->candidates->items[0];
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	for (int i = 0; i < lengthof(kept); i++)
	{
		const GepaJson *value = gepa_json_get(import->result->root, kept[i]);

		gepa_api_put_key(&buf, kept[i]);
		if (value == NULL)
			appendStringInfoString(&buf, "null");
		else
			gepa_json_write(&buf, value);
	}
	gepa_api_put_key(&buf, "outputs");
	appendStringInfoString(&buf, import->result->outputs != NULL ? "true" : "false");
	gepa_api_put_key(&buf, "components");
	appendStringInfoChar(&buf, '{');
	for (int i = 0; i < first->nitems; i++)
	{
		gepa_api_put_key(&buf, import->ours[i]);
		gepa_json_quote(&buf, first->keys[i]);
	}
	appendStringInfoString(&buf, "}}");
	return buf.data;
}

static int
store_import(const Import *import, char *dataset)
{
	const ApiResult *result = import->result;
	StoreRun	run = {0};
	StoreImport store = {.run = &run};

	run.imported = true;
	run.judge = import->version->judge;
	run.seed_version = import->version->version;
	run.dataset = dataset;
	run.owner = GetUserId();
	run.lm = import->version->lm;
	run.lm_identity = import->version->spec->lm_identity;
	run.budget = run.rollouts = result->calls;
	run.seed = result->seed;
	run.options = "{\"mode\": \"reference\"}";
	run.best_candidate = result->best;
	run.best_score = strtod(result->means->items[result->best]->text, NULL);
	store.imported = imported_json(import);
	store.samples = import->samples;
	store.inputs = import->version->spec->inputs;
	store.nsamples = import->nsamples;
	store.nkeys = import->samples == NULL ? result->nkeys : 0;
	store.keys = result->keys;
	store.candidates = candidates_json(import);
	store.scores = scores_json(import);
	store.fronts = fronts_json(import);
	return gepa_store_import_run(&store);
}

PG_FUNCTION_INFO_V1(gepa_import_result);
Datum
gepa_import_result(PG_FUNCTION_ARGS)
{
	Import		import = {0};
	char	   *judge = gepa_api_text_arg(fcinfo, 0, "judge");
	char	   *dataset = gepa_api_text_arg_or_null(fcinfo, 1);

	import.version = gepa_store_get_version(judge, 0);
	gepa_store_check_owner("judge", judge, import.version->owner, GetUserId());
	import.options = gepa_api_import_options(fcinfo, 3, option_names, lengthof(option_names));
	import.result = gepa_api_read_result(gepa_api_object_arg(fcinfo, 2, "result"));
	map_components(&import);
	gather_samples(&import, dataset);
	PG_RETURN_INT32(store_import(&import, dataset));
}

PG_FUNCTION_INFO_V1(gepa_export_result);
Datum
gepa_export_result(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(PG_GETARG_INT32(0));

	if (run->best_candidate < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %d has no result yet", run->run),
				 errhint("Wait until its seed has been validated; see gepa.progress.")));
	PG_RETURN_DATUM(gepa_store_export_result(run->run));
}
