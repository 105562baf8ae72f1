/*-------------------------------------------------------------------------
 *
 * candidate.c
 *	  A candidate of a run as a judge version: what deploy stores, report
 *	  measures and a schedule's comparison puts beside the current version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "apply/apply.h"

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

static JudgeSpec *
candidate_spec(const StoreRun *run, const StoreVersion *seed, int candidate)
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

StoreVersion *
gepa_apply_candidate(const StoreRun *run, const StoreVersion *seed, int candidate)
{
	StoreVersion *version = palloc(sizeof(StoreVersion));

	*version = *seed;
	version->lm = run->lm;
	version->run = run->run;
	version->candidate = candidate;
	version->spec = candidate_spec(run, seed, candidate);
	gepa_judge_digest(version->spec, true, version->digest);
	gepa_store_verdict_digest(version->spec, version->lm, version->owner, version->verdict_digest);
	return version;
}
