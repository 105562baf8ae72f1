/*-------------------------------------------------------------------------
 *
 * judge.c
 *	  Creating, altering and dropping judges.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/api_internal.h"

static GepaJson *
parse_options(const char *text)
{
	const char *error;
	GepaJson   *options = gepa_json_parse(text, strlen(text), &error);

	if (options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options cannot be read: %s", error),
				 errhint("Pass a JSON object, for example '{\"reasoning\": true}'.")));
	return options;
}

void
gepa_api_set_positive(JudgeSpec *spec, int npositive, char *const *positive)
{
	spec->positive = palloc0(sizeof(bool) * Max(spec->nlabels, 1));
	for (int i = 0; i < npositive; i++)
	{
		int			label = gepa_judge_label_index(spec, positive[i]);

		if (label < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("positive label \"%s\" is not among the labels", positive[i]),
					 errhint("Name in \"positive\" one or more of the labels that count as positive.")));
		spec->positive[label] = true;
	}
}

static void
add_component(JudgeSpec *spec, const JudgeComponent *component)
{
	spec->components = spec->ncomponents == 0 ? palloc(sizeof(JudgeComponent)) :
		repalloc(spec->components, sizeof(JudgeComponent) * (spec->ncomponents + 1));
	spec->components[spec->ncomponents++] = *component;
}

void
gepa_api_check_judge_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) >= 256)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name of a judge or router must have 1 to 255 bytes"),
				 errhint("Choose another name.")));
}

PG_FUNCTION_INFO_V1(gepa_create_judge);
Datum
gepa_create_judge(PG_FUNCTION_ARGS)
{
	JudgeSpec	spec = {0};
	JudgeComponent instruction = {"instruction", JUDGE_COMPONENT_INSTRUCTION, NULL};
	char	   *lm_name = gepa_api_name_arg(fcinfo, 1, "lm");
	char	  **positive;
	int			npositive;
	JudgeServers *lms;

	spec.name = gepa_api_text_arg(fcinfo, 0, "name");
	gepa_api_check_judge_name(spec.name);
	instruction.text = gepa_api_text_arg(fcinfo, 2, "prompt");
	add_component(&spec, &instruction);
	spec.labels = gepa_api_texts_arg(fcinfo, 3, "labels", &spec.nlabels);
	positive = gepa_api_texts_arg(fcinfo, 4, "positive", &npositive);
	gepa_api_set_positive(&spec, npositive, positive);
	gepa_judge_apply_options(&spec, parse_options(gepa_api_object_arg(fcinfo, 5, "options")));

	gepa_judge_check_spec(&spec);
	lms = gepa_judge_resolve(&spec, lm_name, GetUserId());
	gepa_judge_identify(&spec, lms);
	gepa_judge_free_servers(lms);
	PG_RETURN_INT32(gepa_store_create_judge(&spec, lm_name, GetUserId()));
}

/* The old options with the given ones laid over them. */
static GepaJson *
merge_options(const JudgeSpec *old, const GepaJson *given)
{
	GepaJson   *merged = parse_options(gepa_judge_options_json(old));
	int			room = merged->nitems + given->nitems;

	merged->keys = repalloc(merged->keys, sizeof(char *) * Max(room, 1));
	merged->items = repalloc(merged->items, sizeof(GepaJson *) * Max(room, 1));
	for (int i = 0; i < given->nitems; i++)
	{
		int			at = 0;

		while (at < merged->nitems && strcmp(merged->keys[at], given->keys[i]) != 0)
			at++;
		merged->keys[at] = given->keys[i];
		merged->items[at] = given->items[i];
		if (at == merged->nitems)
			merged->nitems++;
	}
	return merged;
}

PG_FUNCTION_INFO_V1(gepa_alter_judge);
Datum
gepa_alter_judge(PG_FUNCTION_ARGS)
{
	StoreVersion *version = gepa_store_get_version(gepa_api_text_arg(fcinfo, 0, "name"), 0);
	char	   *prompt = gepa_api_text_arg_or_null(fcinfo, 1);
	char	   *lm_name = gepa_api_name_arg_or_null(fcinfo, 2);
	GepaJson   *options;
	JudgeSpec  *old;
	JudgeSpec	spec;
	JudgeServers *lms;

	gepa_store_check_owner("judge", version->spec->name, version->owner, GetUserId());

	/*
	 * Build on what another session may be committing just now; it may be
	 * another's.
	 */
	version = gepa_store_lock_version(version->spec->name);
	gepa_store_check_owner("judge", version->spec->name, version->owner, GetUserId());
	old = version->spec;
	spec = *old;
	options = parse_options(PG_ARGISNULL(3) ? "{}" :
							gepa_api_object_arg(fcinfo, 3, "options"));
	spec.ncomponents = 0;
	for (int i = 0; i < old->ncomponents; i++)
	{
		JudgeComponent component = old->components[i];

		/* Given examples take the place of the old ones. */
		if (component.kind == JUDGE_COMPONENT_EXAMPLES &&
			gepa_json_get(options, "examples") != NULL)
			continue;
		if (component.kind == JUDGE_COMPONENT_INSTRUCTION && prompt != NULL)
			component.text = prompt;
		add_component(&spec, &component);
	}
	gepa_judge_apply_options(&spec, merge_options(old, options));

	gepa_judge_check_spec(&spec);
	lms = gepa_judge_resolve(&spec, lm_name ? lm_name : version->lm, GetUserId());
	gepa_judge_identify(&spec, lms);
	PG_RETURN_INT32(gepa_store_add_version(version->judge, &spec, lms->lm->name, 0, 0));
}

PG_FUNCTION_INFO_V1(gepa_drop_judge);
Datum
gepa_drop_judge(PG_FUNCTION_ARGS)
{
	char	   *name = gepa_api_text_arg(fcinfo, 0, "name");
	StoreRouter *router;
	StoreVersion *version = gepa_store_resolve(name, &router);

	if (version != NULL)
		gepa_store_check_owner("judge", name, version->owner, GetUserId());
	else
		gepa_store_check_owner("router", name, router->owner, GetUserId());
	gepa_store_drop_judge(version != NULL ? version->judge : router->router);
	PG_RETURN_VOID();
}
