/*-------------------------------------------------------------------------
 *
 * exchange_result.c
 *	  A run's result as the Python package gepa writes it, read and checked.
 *
 * The file has what GEPAResult.to_dict() returns (schema 2), what that of DSPy
 * returns, or what the former returned before it had a schema, when scores and
 * fronts were arrays.  Identities of validation samples are texts, as JSON makes
 * them: keys of the dataset, or positions in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "api/api_exchange.h"
#include "api/api_result.h"

#define SCHEMA_VERSION 2

static const ApiFile result_file = {
	"result",
	"Write the file from GEPAResult.to_dict() of the Python package gepa, or with gepa.export_result()."
};

/*
 * Members
 */

/* A list by position is one by name. */
static GepaJson *
name_items(GepaJson *value, const char *what)
{
	if (value->kind == GEPA_JSON_ARRAY)
	{
		value->kind = GEPA_JSON_OBJECT;
		value->keys = palloc(sizeof(char *) * Max(value->nitems, 1));
		for (int i = 0; i < value->nitems; i++)
			value->keys[i] = psprintf("%d", i);
	}
	if (value->kind != GEPA_JSON_OBJECT)
		gepa_api_refuse_file(&result_file, "%s is not an object", what);
	return value;
}

static void
check_version(const GepaJson *root)
{
	GepaJson   *version = gepa_api_file_optional(&result_file, root,
												 "validation_schema_version", GEPA_JSON_NUMBER);

	if (version != NULL &&
		gepa_api_file_int(&result_file, version, "\"validation_schema_version\"", 0, INT_MAX) >
		SCHEMA_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("result cannot be imported: its schema version is %s", version->text),
				 errdetail("The newest that is known is %d.", SCHEMA_VERSION),
				 errhint("Write the file with version 0.1 of the Python package gepa.")));
}

static void
take_members(ApiResult *result)
{
	const GepaJson *root = result->root;
	GepaJson   *fronts;

	result->candidates = gepa_api_file_member(&result_file, root, "candidates",
											  GEPA_JSON_ARRAY, -1);
	result->n = result->candidates->nitems;
	if (result->n == 0)
		gepa_api_refuse_file(&result_file, "it has no candidate");
	result->parents = gepa_api_file_member(&result_file, root, "parents", GEPA_JSON_ARRAY,
										   result->n);
	result->means = gepa_api_file_member(&result_file, root, "val_aggregate_scores",
										 GEPA_JSON_ARRAY, result->n);
	result->subscores = gepa_api_file_member(&result_file, root, "val_subscores",
											 GEPA_JSON_ARRAY, result->n);
	result->counts = gepa_api_file_member(&result_file, root, "discovery_eval_counts",
										  GEPA_JSON_ARRAY, result->n);
	fronts = gepa_json_get(root, "per_val_instance_best_candidates");
	if (fronts == NULL)
		gepa_api_refuse_file(&result_file, "it has no \"per_val_instance_best_candidates\"");
	result->fronts = name_items(fronts, "\"per_val_instance_best_candidates\"");
	result->outputs = gepa_json_get(root, "best_outputs_valset");
	if (result->outputs != NULL && result->outputs->kind == GEPA_JSON_NULL)
		result->outputs = NULL;
	if (result->outputs != NULL)
		(void) name_items(result->outputs, "\"best_outputs_valset\"");
	if (result->outputs != NULL && result->outputs->nitems != result->fronts->nitems)
		gepa_api_refuse_file(&result_file, "it has outputs for %d samples and fronts of %d",
							 result->outputs->nitems, result->fronts->nitems);
}

/*
 * Candidates and their lineage
 */

static void
check_candidate(const ApiResult *result, int candidate)
{
	const GepaJson *first = result->candidates->items[0];
	const GepaJson *texts = result->candidates->items[candidate];

	if (texts->kind != GEPA_JSON_OBJECT || texts->nitems == 0)
		gepa_api_refuse_file(&result_file, "candidate %d is not an object of texts", candidate);
	if (texts->nitems != first->nitems)
		gepa_api_refuse_file(&result_file, "candidate %d has other components than candidate 0",
							 candidate);
	for (int i = 0; i < first->nitems; i++)
		if (gepa_json_get_string(texts, first->keys[i]) == NULL)
			gepa_api_refuse_file(&result_file, "candidate %d has no text of component \"%s\"",
								 candidate, first->keys[i]);
}

static void
check_parents(const ApiResult *result, int candidate)
{
	const GepaJson *parents = result->parents->items[candidate];

	if (parents->kind != GEPA_JSON_ARRAY)
		gepa_api_refuse_file(&result_file, "parents of candidate %d are not an array", candidate);
	for (int i = 0; i < parents->nitems; i++)
		if (parents->items[i]->kind != GEPA_JSON_NULL)
			(void) gepa_api_file_int(&result_file, parents->items[i],
									 psprintf("a parent of candidate %d", candidate), 0,
									 candidate - 1);
}

/*
 * Scores
 */

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

int
gepa_api_result_key(const ApiResult *result, const char *key)
{
	char	  **found = bsearch(&key, result->keys, result->nkeys, sizeof(char *),
								compare_texts);

	return found == NULL ? -1 : (int) (found - result->keys);
}

/* All keys that any candidate has a score on, sorted. */
static void
gather_keys(ApiResult *result)
{
	int			n = 0;
	int			kept = 0;

	for (int c = 0; c < result->n; c++)
		n += name_items(result->subscores->items[c],
						psprintf("\"val_subscores\" of candidate %d", c))->nitems;
	result->keys = palloc_extended(sizeof(char *) * Max(n, 1), MCXT_ALLOC_HUGE);
	n = 0;
	for (int c = 0; c < result->n; c++)
		for (int i = 0; i < result->subscores->items[c]->nitems; i++)
			result->keys[n++] = result->subscores->items[c]->keys[i];
	qsort(result->keys, n, sizeof(char *), compare_texts);
	for (int i = 0; i < n; i++)
		if (i == 0 || strcmp(result->keys[i], result->keys[kept - 1]) != 0)
			result->keys[kept++] = result->keys[i];
	result->nkeys = kept;
}

/* A table that the file may make large by many candidates that have each other's samples. */
static void
make_tables(ApiResult *result)
{
	Size		cells = (Size) result->n * result->nkeys;

	if (cells > GEPA_JSON_MAX_VALUES * 10)
		gepa_api_refuse_file(&result_file, "%d candidates and %d samples are too many",
							 result->n, result->nkeys);
	result->scores = palloc_extended(sizeof(double) * Max(cells, 1), MCXT_ALLOC_HUGE);
	result->output = palloc_extended(sizeof(GepaJson *) * Max(cells, 1),
									 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (Size i = 0; i < cells; i++)
		result->scores[i] = NAN;
}

static void
read_scores(ApiResult *result, int candidate)
{
	const GepaJson *subscores = result->subscores->items[candidate];

	for (int i = 0; i < subscores->nitems; i++)
	{
		int			key = gepa_api_result_key(result, subscores->keys[i]);

		result->scores[(Size) candidate * result->nkeys + key] =
			gepa_api_file_number(&result_file, subscores->items[i],
								 psprintf("score of candidate %d on sample \"%s\"", candidate,
										  subscores->keys[i]));
	}
}

static int
read_candidate(const ApiResult *result, const GepaJson *value, const char *what)
{
	return gepa_api_file_int(&result_file, value, what, 0, result->n - 1);
}

static void
find_best(ApiResult *result)
{
	result->best_score = palloc_extended(sizeof(double) * Max(result->nkeys, 1), MCXT_ALLOC_HUGE);
	result->nbest = palloc_extended(sizeof(int) * Max(result->nkeys, 1), MCXT_ALLOC_HUGE);
	for (int k = 0; k < result->nkeys; k++)
	{
		double		best = -INFINITY;
		int			n = 0;

		for (int c = 0; c < result->n; c++)
		{
			double		score = result->scores[(Size) c * result->nkeys + k];

			n = score > best ? 1 : n + (score == best);
			best = score > best ? score : best;
		}
		result->best_score[k] = best;
		result->nbest[k] = n;
	}
}

/*
 * The items of a list by sample are about candidates that are best on it, each once,
 * and about all of them.
 */
static void
check_best(const ApiResult *result, const char *name, const GepaJson *items, bool pairs)
{
	int			key = gepa_api_result_key(result, name);
	const char *what = psprintf("a candidate of sample \"%s\"", name);
	bool	   *seen = palloc0(sizeof(bool) * result->n);

	if (key < 0)
		gepa_api_refuse_file(&result_file, "no candidate has a score on sample \"%s\"", name);
	if (items->kind != GEPA_JSON_ARRAY || items->nitems != result->nbest[key])
		gepa_api_refuse_file(&result_file, "it does not name the %d candidates that have the best score on sample \"%s\"",
							 result->nbest[key], name);
	for (int i = 0; i < items->nitems; i++)
	{
		const GepaJson *item = items->items[i];
		int			candidate;

		if (pairs && (item->kind != GEPA_JSON_ARRAY || item->nitems != 2))
			gepa_api_refuse_file(&result_file, "an output for sample \"%s\" is not a pair", name);
		candidate = read_candidate(result, pairs ? item->items[0] : item, what);
		if (seen[candidate] ||
			result->scores[(Size) candidate * result->nkeys + key] != result->best_score[key])
			gepa_api_refuse_file(&result_file, "candidate %d is named twice, or does not have the best score, on sample \"%s\"",
								 candidate, name);
		seen[candidate] = true;
	}
	pfree(seen);
}

static void
check_fronts(const ApiResult *result)
{
	if (result->fronts->nitems != result->nkeys)
		gepa_api_refuse_file(&result_file, "it has %d fronts of %d samples with scores",
							 result->fronts->nitems, result->nkeys);
	for (int i = 0; i < result->nkeys; i++)
		check_best(result, result->fronts->keys[i], result->fronts->items[i], false);
}

/* [[candidate, output], ...] of a sample */
static void
read_outputs(ApiResult *result, const char *name, const GepaJson *pairs)
{
	int			key = gepa_api_result_key(result, name);

	check_best(result, name, pairs, true);
	for (int i = 0; i < pairs->nitems; i++)
	{
		const GepaJson *pair = pairs->items[i];

		result->output[(Size) atoi(pair->items[0]->text) * result->nkeys + key] = pair->items[1];
	}
}

/*
 * Figures
 */

static int
best_candidate(const ApiResult *result)
{
	const GepaJson *given = gepa_json_get(result->root, "best_idx");
	int			best = 0;

	if (given != NULL && given->kind != GEPA_JSON_NULL)
		return read_candidate(result, given, "\"best_idx\"");
	for (int c = 1; c < result->n; c++)
		if (strtod(result->means->items[c]->text, NULL) >
			strtod(result->means->items[best]->text, NULL))
			best = c;
	return best;
}

static void
read_figures(ApiResult *result)
{
	const GepaJson *calls = gepa_api_file_optional(&result_file, result->root,
												   "total_metric_calls", GEPA_JSON_NUMBER);
	const GepaJson *seed = gepa_api_file_optional(&result_file, result->root, "seed",
												  GEPA_JSON_NUMBER);
	const GepaJson *full = gepa_api_file_optional(&result_file, result->root,
												  "num_full_val_evals", GEPA_JSON_NUMBER);

	for (int c = 0; c < result->n; c++)
	{
		(void) gepa_api_file_number(&result_file, result->means->items[c],
									psprintf("score of candidate %d", c));
		(void) gepa_api_file_int(&result_file, result->counts->items[c],
								 psprintf("\"discovery_eval_counts\" of candidate %d", c), 0,
								 INT_MAX);
	}
	if (calls != NULL)
		result->calls = gepa_api_file_int(&result_file, calls, "\"total_metric_calls\"", 0,
										  INT_MAX);
	if (full != NULL)
		(void) gepa_api_file_int(&result_file, full, "\"num_full_val_evals\"", 0, INT_MAX);
	if (seed != NULL)
	{
		char	   *end;

		errno = 0;
		result->seed = strtoll(seed->text, &end, 10);
		if (errno != 0 || *end != '\0')
			gepa_api_refuse_file(&result_file, "\"seed\" is not a whole number of 64 bits");
	}
	(void) gepa_api_file_optional(&result_file, result->root, "run_dir", GEPA_JSON_STRING);
	(void) gepa_api_file_optional(&result_file, result->root, "_str_candidate_key",
								  GEPA_JSON_STRING);
	result->best = best_candidate(result);
}

/* Objectives are kept as they are; only their form is looked at. */
static void
check_objectives(const ApiResult *result)
{
	static const char *const by_name[] = {
		"per_objective_best_candidates", "objective_pareto_front"
	};
	GepaJson   *all = gepa_api_file_optional(&result_file, result->root,
											 "val_aggregate_subscores", GEPA_JSON_ARRAY);

	if (all != NULL && all->nitems != result->n)
		gepa_api_refuse_file(&result_file, "\"val_aggregate_subscores\" has %d items of %d candidates",
							 all->nitems, result->n);
	for (int c = 0; all != NULL && c < all->nitems; c++)
		for (int i = 0; i < all->items[c]->nitems; i++)
			(void) gepa_api_file_number(&result_file, all->items[c]->items[i],
										psprintf("an objective of candidate %d", c));
	for (int k = 0; k < lengthof(by_name); k++)
		(void) gepa_api_file_optional(&result_file, result->root, by_name[k], GEPA_JSON_OBJECT);
}

ApiResult *
gepa_api_read_result(const char *text)
{
	ApiResult  *result = palloc0(sizeof(ApiResult));

	result->root = gepa_api_parse_file(&result_file, text, GEPA_JSON_OBJECT);
	check_version(result->root);
	take_members(result);
	for (int c = 0; c < result->n; c++)
	{
		check_candidate(result, c);
		check_parents(result, c);
	}
	read_figures(result);
	gather_keys(result);
	make_tables(result);
	for (int c = 0; c < result->n; c++)
		read_scores(result, c);
	find_best(result);
	check_fronts(result);
	for (int i = 0; result->outputs != NULL && i < result->outputs->nitems; i++)
		read_outputs(result, result->outputs->keys[i], result->outputs->items[i]);
	check_objectives(result);
	return result;
}

const ApiFile *
gepa_api_result_file(void)
{
	return &result_file;
}
