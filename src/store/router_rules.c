/*-------------------------------------------------------------------------
 *
 * router_rules.c
 *	  What a router is told: rules, "else" and options, from JSON.
 *
 * Given and stored rules are read by the same code.  Expressions are texts here; what
 * they may say, src/apply/route_check.c knows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "store/store.h"

#define MOST_RULES 64
#define RULE_HINT "A rule is {\"when\": \"an SQL expression\", \"judge\": \"name\"}, or with {\"judge\": \"name\", \"label\": \"a label\"} or {\"classifier\": \"name\", \"label\": \"a label\"} as \"when\"."
#define FIELDS_HINT "For example {\"fields\": {\"lang\": \"text\", \"stars\": \"int4\"}}."

GEPA_NORETURN static void refuse_rule(const StoreRouter *router, int rule, const char *what);

static void
refuse_rule(const StoreRouter *router, int rule, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("rule %d of router \"%s\" %s", rule + 1, router->name, what),
			 errhint("%s", RULE_HINT)));
}

static const GepaJson *
parse(const char *text, const char *what)
{
	const char *error;
	const GepaJson *json = gepa_json_parse(text, strlen(text), &error);

	if (json == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of a router cannot be read: %s", what, error),
				 errhint("%s", RULE_HINT)));
	return json;
}

/*
 * Judges that are named
 */

/* "name@3" is version 3 of "name". */
static void
split_version(StoreTarget *target)
{
	char	   *at = strrchr(target->name, '@');

	if (at == NULL || at == target->name || at[1] == '\0' || strlen(at + 1) > 9 ||
		at[1 + strspn(at + 1, "0123456789")] != '\0')
		return;
	target->version = atoi(at + 1);
	if (target->version > 0)
		*at = '\0';
}

/* The one among those that the router names; equal ones are one. */
static StoreTarget *
add_target(StoreRouter *router, const char *written)
{
	StoreTarget *target;

	for (int i = 0; i < router->ntargets; i++)
		if (strcmp(router->targets[i]->written, written) == 0)
			return router->targets[i];
	target = palloc0(sizeof(StoreTarget));
	target->written = pstrdup(written);
	target->name = pstrdup(written);
	split_version(target);
	router->targets[router->ntargets++] = target;
	return target;
}

/* The same of classifiers. */
static StoreUsed *
add_used(StoreRouter *router, const char *name)
{
	StoreUsed  *used;

	for (int i = 0; i < router->nused; i++)
		if (strcmp(router->used[i]->name, name) == 0)
			return router->used[i];
	used = palloc0(sizeof(StoreUsed));
	used->name = pstrdup(name);
	router->used[router->nused++] = used;
	return used;
}

/*
 * Rules
 */

static void
check_keys(const StoreRouter *router, int rule, const GepaJson *object, const char *a,
		   const char *b)
{
	for (int i = 0; i < object->nitems; i++)
		if (strcmp(object->keys[i], a) != 0 && strcmp(object->keys[i], b) != 0)
			refuse_rule(router, rule, psprintf("has an unknown key \"%s\"", object->keys[i]));
}

static void
read_labels(StoreRouter *router, int rule, const GepaJson *value, StoreRule *to)
{
	int			n = value == NULL ? 0 : value->kind == GEPA_JSON_ARRAY ? value->nitems : 1;

	if (n == 0)
		refuse_rule(router, rule, "names no label");
	to->nlabels = n;
	to->labels = palloc(sizeof(char *) * n);
	for (int i = 0; i < n; i++)
	{
		const GepaJson *label = value->kind == GEPA_JSON_ARRAY ? value->items[i] : value;

		if (label->kind != GEPA_JSON_STRING)
			refuse_rule(router, rule, "has a label that is not a string");
		to->labels[i] = pstrdup(label->text);
	}
}

static void
read_when(StoreRouter *router, int rule, const GepaJson *when, StoreRule *to)
{
	const char *kind;
	const char *name;

	if (when != NULL && when->kind == GEPA_JSON_STRING)
	{
		to->condition = pstrdup(when->text);
		return;
	}
	if (when == NULL || when->kind != GEPA_JSON_OBJECT)
		refuse_rule(router, rule, "has no condition");
	kind = gepa_json_get(when, "classifier") != NULL ? "classifier" : "judge";
	check_keys(router, rule, when, kind, "label");
	name = gepa_json_get_string(when, kind);
	if (name == NULL)
		refuse_rule(router, rule, "does not say which judge or classifier to ask");
	if (strcmp(kind, "judge") == 0)
		to->asked = add_target(router, name);
	else
		to->used = add_used(router, name);
	read_labels(router, rule, gepa_json_get(when, "label"), to);
}

static void
read_rule(StoreRouter *router, int rule, const GepaJson *given)
{
	StoreRule  *to = &router->rules[rule];
	const char *judge = gepa_json_get_string(given, "judge");

	if (given->kind != GEPA_JSON_OBJECT)
		refuse_rule(router, rule, "is not a JSON object");
	check_keys(router, rule, given, "when", "judge");
	read_when(router, rule, gepa_json_get(given, "when"), to);
	if (judge == NULL)
		refuse_rule(router, rule, "names no judge");
	to->target = add_target(router, judge);
}

static void
read_rules(StoreRouter *router, const char *text)
{
	const GepaJson *rules = parse(text, "rules");

	if (rules->kind != GEPA_JSON_ARRAY || rules->nitems > MOST_RULES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("router \"%s\" has more than %d rules", router->name, MOST_RULES),
				 errhint("Join conditions of rules with the same judge by OR.")));
	router->nrules = rules->nitems;
	router->rules = palloc0(sizeof(StoreRule) * Max(rules->nitems, 1));
	router->targets = palloc(sizeof(StoreTarget *) * (2 * rules->nitems + 1));
	router->used = palloc(sizeof(StoreUsed *) * Max(rules->nitems, 1));
	for (int i = 0; i < rules->nitems; i++)
		read_rule(router, i, rules->items[i]);
}

/*
 * Options
 */

GEPA_NORETURN static void refuse_options(const char *what);

static void
refuse_options(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", what),
			 errhint("%s", FIELDS_HINT)));
}

static void
read_fields(StoreRouter *router, const GepaJson *fields)
{
	if (fields->kind != GEPA_JSON_OBJECT)
		refuse_options("router option \"fields\" is not a JSON object");
	router->declared = true;
	router->nfields = fields->nitems;
	router->fields = palloc(sizeof(StoreField) * Max(fields->nitems, 1));
	for (int i = 0; i < fields->nitems; i++)
	{
		if (fields->items[i]->kind != GEPA_JSON_STRING)
			refuse_options(psprintf("type of field \"%s\" of a router is not a string",
									fields->keys[i]));
		router->fields[i].name = pstrdup(fields->keys[i]);
		router->fields[i].type = pstrdup(fields->items[i]->text);
	}
}

static void
read_options(StoreRouter *router, const char *text)
{
	const GepaJson *options = parse(text, "options");

	for (int i = 0; i < options->nitems; i++)
	{
		if (options->kind != GEPA_JSON_OBJECT || strcmp(options->keys[i], "fields") != 0)
			refuse_options(psprintf("unrecognized router option \"%s\"",
									options->kind == GEPA_JSON_OBJECT ? options->keys[i] : ""));
		read_fields(router, options->items[i]);
	}
}

StoreRouter *
gepa_store_parse_router(const char *name, const char *rules, const char *otherwise,
						const char *options)
{
	StoreRouter *router = palloc0(sizeof(StoreRouter));

	router->name = pstrdup(name);
	router->rules_json = pstrdup(rules);
	router->options_json = pstrdup(options);
	read_rules(router, rules);
	router->otherwise = add_target(router, otherwise);
	read_options(router, options);
	return router;
}
