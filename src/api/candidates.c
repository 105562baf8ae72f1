/*-------------------------------------------------------------------------
 *
 * candidates.c
 *	  A candidate of a run as a judge: what deploy stores and report measures,
 *	  and how two of them differ.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/api_internal.h"
#include "base/diff.h"

StoreRun *
gepa_api_get_run(int run)
{
	StoreRun   *result = gepa_store_get_run(run);

	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("run %d does not exist", run),
				 errhint("See gepa.runs.")));
	gepa_store_check_owner("run", psprintf("%d", run), result->owner, GetUserId());
	return result;
}

static JudgeComponentKind
component_kind(const JudgeSpec *seed, const char *name)
{
	for (int i = 0; i < seed->ncomponents; i++)
		if (strcmp(seed->components[i].name, name) == 0)
			return seed->components[i].kind;

	/* The only component that a run adds to a program. */
	return JUDGE_COMPONENT_EXAMPLES;
}

/*
 * An empty list of examples is no component, so that a candidate equal to its
 * seed is the seed's version and not another one.
 */
static void
put_component(JudgeSpec *spec, const JudgeSpec *seed, const char *name, char *text)
{
	JudgeComponent *component = &spec->components[spec->ncomponents];

	component->name = pstrdup(name);
	component->kind = component_kind(seed, name);
	component->text = text;
	if (component->kind == JUDGE_COMPONENT_EXAMPLES &&
		(strcmp(text, "[]") == 0 || text[0] == '\0'))
		return;
	spec->ncomponents++;
}

static void
read_components(JudgeSpec *spec, const JudgeSpec *seed, const char *json)
{
	GepaJson   *object = gepa_json_parse(json, strlen(json), NULL);

	if (object == NULL || object->kind != GEPA_JSON_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("components of a candidate cannot be read"),
				 errhint("Start a new run.")));
	spec->ncomponents = 0;
	spec->components = palloc0(sizeof(JudgeComponent) * Max(object->nitems, 1));

	/* jsonb keeps its own order; the program's order has meaning. */
	for (int i = 0; i < seed->ncomponents; i++)
	{
		const char *text = gepa_json_get_string(object, seed->components[i].name);

		if (text != NULL)
			put_component(spec, seed, seed->components[i].name, pstrdup(text));
	}
	for (int i = 0; i < object->nitems; i++)
	{
		bool		known = false;

		for (int k = 0; k < seed->ncomponents; k++)
			known = known || strcmp(seed->components[k].name, object->keys[i]) == 0;
		if (!known)
			put_component(spec, seed, object->keys[i], object->items[i]->text);
	}
}

/* The precision that the run's options ask of the threshold; 0 = none. */
static double
wanted_precision(const StoreRun *run)
{
	GepaJson   *options = gepa_json_parse(run->options, strlen(run->options), NULL);
	double		precision = 0;

	if (options != NULL)
		(void) gepa_json_get_number(options, "precision", &precision);
	return precision;
}

JudgeSpec *
gepa_api_candidate_spec(const StoreRun *run, const StoreVersion *seed, int candidate)
{
	StoreProposal *proposal = gepa_store_get_candidate(run->run, candidate);
	JudgeSpec  *spec = palloc(sizeof(JudgeSpec));
	JudgeOutcome *outcomes;
	int			n;

	*spec = *seed->spec;
	spec->version = 0;
	spec->lm_identity = run->lm_identity;
	read_components(spec, seed->spec, proposal->components);

	outcomes = gepa_store_candidate_outcomes(run->run, spec, candidate, &n);
	(void) gepa_judge_choose_threshold(outcomes, n, wanted_precision(run), &spec->threshold);
	return spec;
}

/*
 * Differences
 */

static GepaJson *
component_texts(int run, int candidate)
{
	const char *json = gepa_store_get_candidate(run, candidate)->components;

	return gepa_json_parse(json, strlen(json), NULL);
}

/* Candidates of a run have the same components. */
PG_FUNCTION_INFO_V1(gepa_prompt_diff);
Datum
gepa_prompt_diff(PG_FUNCTION_ARGS)
{
	StoreRun   *run = gepa_api_get_run(PG_GETARG_INT32(0));
	GepaJson   *from = component_texts(run->run, PG_GETARG_INT32(1));
	GepaJson   *to = component_texts(run->run, PG_GETARG_INT32(2));
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; to != NULL && i < to->nitems; i++)
	{
		const char *before = gepa_json_get_string(from, to->keys[i]);
		Datum		values[2];
		bool		nulls[2] = {0};

		values[0] = CStringGetTextDatum(to->keys[i]);
		values[1] = CStringGetTextDatum(gepa_word_diff(before ? before : "",
													   to->items[i]->text));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
