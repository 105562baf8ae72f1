/*-------------------------------------------------------------------------
 *
 * routers.c
 *	  Routers and their immutable versions as rows.
 *
 * A router shares gepa.judge with judges, and with that their names, their numbers, and
 * the way they are dropped; what makes it a router is that its versions are in
 * gepa.router_version.  It is read under the snapshot of the running query, as judges are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "store/store_internal.h"

static StoreStatement router_by_name = {
	.sql = "SELECT j.judge, j.owner::oid, v.version, v.rules::text, v.otherwise,"
	" v.options::text, v.judges, v.classifiers"
	" FROM gepa.judge j JOIN gepa.router_version v ON v.judge = j.judge"
	" AND v.version = CASE $2 WHEN 0 THEN j.current_version ELSE $2 END WHERE j.name = $1"
};

static StoreStatement insert_version = {
	.sql = "INSERT INTO gepa.router_version (judge, version, rules, otherwise, options, judges, classifiers)"
	" SELECT $1, coalesce(max(v.version), 0) + 1, $2::jsonb, $3, $4::jsonb, $5, $6"
	" FROM gepa.router_version v WHERE v.judge = $1 RETURNING version"
};

static StoreStatement find_version = {
	.sql = "SELECT version FROM gepa.router_version WHERE judge = $1 AND rules = $2::jsonb"
	" AND otherwise = $3 AND options = $4::jsonb AND judges = $5 AND classifiers = $6"
	" ORDER BY version LIMIT 1"
};

static StoreStatement insert_run = {
	.sql = "INSERT INTO gepa.router_run (run, router, version) VALUES ($1, $2, $3)"
};

static StoreStatement ended_runs = {
	.sql = "SELECT max(b.run) FROM gepa.router_run b JOIN gepa.run r ON r.run = b.run"
	" WHERE b.router = $1 AND r.status IN ('stopped', 'finished', 'failed')"
	" AND r.best_candidate IS NOT NULL AND ($2::text IS NULL OR r.dataset = $2)"
	" GROUP BY r.judge ORDER BY min(b.run)"
};

/*
 * Reading
 */

static StoreRouter *
read_router(StoreScope *scope, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(scope->caller);
	char	   *rules = gepa_store_text(scope, 0, 4);
	char	   *otherwise = gepa_store_text(scope, 0, 5);
	char	   *options = gepa_store_text(scope, 0, 6);
	int			njudges;
	int		   *judges = gepa_store_ints(scope, 0, 7, &njudges);
	int			nused;
	int		   *used = gepa_store_ints(scope, 0, 8, &nused);
	StoreRouter *router = gepa_store_parse_router(name, rules, otherwise, options);

	router->router = gepa_store_int(0, 1, 0);
	router->owner = gepa_store_oid(0, 2);
	router->version = gepa_store_int(0, 3, 0);
	for (int i = 0; i < Min(njudges, router->ntargets); i++)
		router->targets[i]->judge = judges[i];
	for (int i = 0; i < router->nused; i++)
		router->used[i]->classifier = i < nused ? used[i] : -1;
	MemoryContextSwitchTo(old);
	return router;
}

static StoreRouter *
find_router(StoreScope *scope, const char *name, int version)
{
	StoreArgs	args = {0};

	gepa_store_arg_text(&args, name);
	gepa_store_arg_int(&args, version);
	return gepa_store_run(scope, &router_by_name, &args) > 0 ? read_router(scope, name) : NULL;
}

StoreRouter *
gepa_store_find_router(const char *name, int version)
{
	StoreScope	scope;
	StoreRouter *router;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	router = find_router(&scope, name, version);
	gepa_store_leave(&scope);
	return router;
}

StoreRouter *
gepa_store_lock_router(const char *name)
{
	StoreScope	scope;
	StoreRouter *router;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_lock_judge(&scope, name);
	router = find_router(&scope, name, 0);
	gepa_store_leave(&scope);
	return router;
}

StoreVersion *
gepa_store_resolve(const char *name, StoreRouter **router)
{
	StoreVersion *version = gepa_store_find_version(name, 0);

	*router = version != NULL ? NULL : gepa_store_find_router(name, 0);
	if (version == NULL && *router == NULL)
		(void) gepa_store_get_version(name, 0); /* says so */
	return version;
}

StoreVersion *
gepa_store_get_target(const StoreTarget *target)
{
	StoreVersion *version = gepa_store_get_version(target->name, target->version);

	if (version->judge != target->judge)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("judge \"%s\" that the router names was dropped, and another has its name",
						target->name),
				 errhint("Name the new one with gepa.alter_router() if it is meant.")));
	return version;
}

/*
 * Writing
 */

static bool
has_label(const JudgeSpec *spec, const StoreRule *rule, const char **missing)
{
	for (int i = 0; i < rule->nlabels; i++)
	{
		*missing = rule->labels[i];
		if (gepa_judge_label_index(spec, rule->labels[i]) < 0)
			return false;
	}
	return true;
}

static void
check_labels(const StoreRouter *router, const StoreTarget *target, const JudgeSpec *spec)
{
	const char *missing;

	for (int i = 0; i < router->nrules; i++)
		if (router->rules[i].asked == target && !has_label(spec, &router->rules[i], &missing))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("rule %d of router \"%s\" waits for label \"%s\", which judge \"%s\" does not give",
							i + 1, router->name, missing, target->name),
					 errhint("See the labels in gepa.judges.")));
}

static void
check_classifier(const StoreRouter *router, const StoreUsed *used, const StoreClassifier *found)
{
	for (int i = 0; i < router->nrules; i++)
	{
		const StoreRule *rule = &router->rules[i];

		for (int j = 0; rule->used == used && j < rule->nlabels; j++)
			if (!gepa_store_gives(found, rule->labels[j]))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("rule %d of router \"%s\" waits for label \"%s\", which classifier \"%s\" does not give",
								i + 1, router->name, rule->labels[j], found->name),
						 errhint("See the labels in gepa.classifiers.")));
	}
}

/* Its labels tell about the texts of whom it belongs to, who may lend it. */
static void
look_up_used(StoreRouter *router)
{
	for (int i = 0; i < router->nused; i++)
	{
		StoreUsed  *used = router->used[i];
		StoreClassifier *found = gepa_store_get_classifier(used->name);

		gepa_store_check_owner("classifier", found->name, found->owner, GetUserId());
		check_classifier(router, used, found);
		used->classifier = found->classifier;
	}
}

void
gepa_store_look_up_targets(StoreRouter *router)
{
	for (int i = 0; i < router->ntargets; i++)
	{
		StoreTarget *target = router->targets[i];
		StoreVersion *version = gepa_store_get_version(target->name, target->version);

		target->judge = version->judge;
		check_labels(router, target, version->spec);
	}
	look_up_used(router);
}

static void
add_contents(StoreArgs *args, int id, const StoreRouter *router)
{
	int		   *judges = palloc(sizeof(int) * router->ntargets);
	int		   *used = palloc(sizeof(int) * Max(router->nused, 1));

	for (int i = 0; i < router->nused; i++)
		used[i] = router->used[i]->classifier;
	for (int i = 0; i < router->ntargets; i++)
		judges[i] = router->targets[i]->judge;
	gepa_store_arg_int(args, id);
	gepa_store_arg_text(args, router->rules_json);
	gepa_store_arg_text(args, router->otherwise->written);
	gepa_store_arg_text(args, router->options_json);
	gepa_store_arg_ints(args, router->ntargets, judges);
	gepa_store_arg_ints(args, router->nused, used);
}

int
gepa_store_create_router(const StoreRouter *router, Oid owner)
{
	StoreScope	scope;
	StoreArgs	contents = {0};
	int			id;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	id = gepa_store_insert_judge(&scope, router->name, owner);
	if (id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("judge or router \"%s\" already exists", router->name),
				 errhint("Use gepa.alter_router() to make a new version, or gepa.drop_judge() first.")));
	add_contents(&contents, id, router);
	gepa_store_run(&scope, &insert_version, &contents);
	gepa_store_leave(&scope);
	return id;
}

int
gepa_store_add_router_version(int id, const StoreRouter *router)
{
	StoreScope	scope;
	StoreArgs	contents = {0};
	int			version;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	add_contents(&contents, id, router);
	if (gepa_store_run(&scope, &find_version, &contents) == 0)
		gepa_store_run(&scope, &insert_version, &contents);
	version = gepa_store_int(0, 1, 0);
	gepa_store_set_current(&scope, id, version);
	gepa_store_leave(&scope);
	return version;
}

/*
 * Runs of its judges
 */

void
gepa_store_note_router_run(const StoreRouter *router, int run)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, run);
	gepa_store_arg_int(&args, router->router);
	gepa_store_arg_int(&args, router->version);
	gepa_store_run(&scope, &insert_run, &args);
	gepa_store_leave(&scope);
}

int
gepa_store_router_runs(int router, const char *dataset, int **runs)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			n;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_int(&args, router);
	gepa_store_arg_text(&args, dataset);
	n = (int) gepa_store_run(&scope, &ended_runs, &args);
	*runs = MemoryContextAlloc(scope.caller, sizeof(int) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*runs)[i] = gepa_store_int(i, 1, 0);
	gepa_store_leave(&scope);
	return n;
}
