/*-------------------------------------------------------------------------
 *
 * router.c
 *	  Creating and altering routers, and asking one where a document goes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/api_internal.h"
#include "apply/apply.h"

/* Elements of an array as one JSON array. */
static char *
rules_arg(FunctionCallInfo fcinfo, int n)
{
	StringInfoData buf;
	Datum	   *elems;
	bool	   *nulls;
	int			count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), JSONBOID, -1, false, TYPALIGN_INT, &elems,
					  &nulls, &count);
	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (int i = 0; i < count; i++)
	{
		Jsonb	   *rule = nulls[i] ? NULL : DatumGetJsonbP(elems[i]);

		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "",
						 rule ? JsonbToCString(NULL, &rule->root, VARSIZE(rule)) : "null");
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

/* Whoever makes a router may use all the LMs of its judges. */
static void
check_lms(const StoreRouter *router)
{
	for (int i = 0; i < router->ntargets; i++)
	{
		const StoreVersion *version = gepa_store_get_target(router->targets[i]);

		gepa_judge_free_servers(gepa_judge_resolve(version->spec, version->lm, GetUserId()));
	}
}

/* What can be known to be wrong is said now. */
static void
check_router(StoreRouter *router)
{
	gepa_apply_router_close(gepa_apply_router_open(router));
	gepa_store_look_up_targets(router);
	check_lms(router);
}

PG_FUNCTION_INFO_V1(gepa_create_router);
Datum
gepa_create_router(PG_FUNCTION_ARGS)
{
	char	   *name = gepa_api_text_arg(fcinfo, 0, "name");
	StoreRouter *router;

	gepa_api_check_judge_name(name);
	gepa_api_require_arg(fcinfo, 1, "rules");
	router = gepa_store_parse_router(name, rules_arg(fcinfo, 1),
									 gepa_api_text_arg(fcinfo, 2, "else"),
									 gepa_api_object_arg(fcinfo, 3, "options"));
	check_router(router);
	PG_RETURN_INT32(gepa_store_create_router(router, GetUserId()));
}

static void
refuse_name(const char *name)
{
	(void) gepa_store_get_version(name, 0);
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is a judge, not a router", name),
			 errhint("Use gepa.alter_judge() for it.")));
}

StoreRouter *
gepa_api_get_router(const char *name)
{
	StoreRouter *router = gepa_store_find_router(name, 0);

	if (router == NULL)
		refuse_name(name);
	gepa_store_check_owner("router", name, router->owner, GetUserId());
	return router;
}

PG_FUNCTION_INFO_V1(gepa_alter_router);
Datum
gepa_alter_router(PG_FUNCTION_ARGS)
{
	char	   *name = gepa_api_text_arg(fcinfo, 0, "name");
	StoreRouter *old = gepa_api_get_router(name);
	StoreRouter *router;

	/*
	 * Build on what another session may be committing just now; it may be
	 * another's.
	 */
	old = gepa_store_lock_router(name);
	if (old == NULL)
		refuse_name(name);
	gepa_store_check_owner("router", name, old->owner, GetUserId());
	router = gepa_store_parse_router(name,
									 PG_ARGISNULL(1) ? old->rules_json : rules_arg(fcinfo, 1),
									 PG_ARGISNULL(2) ? old->otherwise->written :
									 gepa_api_text_arg(fcinfo, 2, "else"),
									 PG_ARGISNULL(3) ? old->options_json :
									 gepa_api_object_arg(fcinfo, 3, "options"));
	check_router(router);
	PG_RETURN_INT32(gepa_store_add_router_version(old->router, router));
}

/* As gepa.routers shows a router. */
static void
check_may_see(const StoreRouter *router)
{
	for (int i = 0; i < router->ntargets; i++)
	{
		const StoreTarget *target = router->targets[i];
		const StoreVersion *version = gepa_store_find_version(target->name, 0);

		if (version != NULL && version->judge == target->judge &&
			gepa_lm_describe(version->lm, GetUserId()) != NULL)
			return;
	}
	gepa_store_check_owner("router", router->name, router->owner, GetUserId());
}

static Datum
route(FunctionCallInfo fcinfo, bool is_jsonb)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	StoreRouter *definition = gepa_store_find_router(name, 0);
	ApplyRouter *router;
	ApplyRoute	route = {0};

	if (definition == NULL)
		refuse_name(name);
	check_may_see(definition);
	router = gepa_apply_router_open(definition);
	gepa_apply_route(router, PG_GETARG_DATUM(1), is_jsonb, NULL, &route);
	gepa_apply_router_close(router);
	if (route.step == APPLY_ROUTE_ASK)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(route.target->written));
}

PG_FUNCTION_INFO_V1(gepa_route_text);
Datum
gepa_route_text(PG_FUNCTION_ARGS)
{
	return route(fcinfo, false);
}

PG_FUNCTION_INFO_V1(gepa_route_jsonb);
Datum
gepa_route_jsonb(PG_FUNCTION_ARGS)
{
	return route(fcinfo, true);
}
