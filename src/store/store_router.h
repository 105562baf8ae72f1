/*-------------------------------------------------------------------------
 *
 * store_router.h
 *	  Routers: a part of the door of src/store, which includes it.
 *
 * A router is a row of gepa.judge, so that a name is that of a judge or of a router; it
 * has versions of its own kind.  What it names are judges, known by their ids as well,
 * so that another judge that takes a name over does not get the documents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_ROUTER_H
#define GEPA_STORE_STORE_ROUTER_H

#include "base/json.h"

/* A judge that a router names. */
typedef struct StoreTarget
{
	char	   *written;		/* as given: name, or name@version */
	char	   *name;
	int			version;		/* 0 = the current one */
	int			judge;			/* 0 = not looked up yet */
} StoreTarget;

/* A classifier that a router names. */
typedef struct StoreUsed
{
	char	   *name;
	int			classifier;		/* 0 = not looked up yet; -1 = unknown */
} StoreUsed;

/* One of the three conditions is there. */
typedef struct StoreRule
{
	char	   *condition;		/* an SQL expression; or NULL */
	StoreTarget *asked;			/* a judge that says a label; or NULL */
	StoreUsed  *used;			/* a classifier that does; or NULL */
	int			nlabels;
	char	  **labels;			/* any of these */
	StoreTarget *target;
} StoreRule;

/* A field of the document that rules may name. */
typedef struct StoreField
{
	char	   *name;
	char	   *type;			/* as written */
} StoreField;

typedef struct StoreRouter
{
	int			router;			/* its number among judges; 0 = not stored yet */
	char	   *name;
	Oid			owner;
	int			version;
	int			nrules;
	StoreRule  *rules;			/* the first that is true wins */
	StoreTarget *otherwise;
	bool		declared;		/* fields are those given, else any name is
								 * one */
	int			nfields;
	StoreField *fields;
	int			ntargets;
	StoreTarget **targets;		/* all the judges that are named, each once */
	int			nused;
	StoreUsed **used;			/* all the classifiers, each once */
	char	   *rules_json;		/* as stored */
	char	   *options_json;
} StoreRouter;

/* router_rules.c */

/* Read rules (a JSON array), "else" and options; raises 22023. */
extern StoreRouter *gepa_store_parse_router(const char *name, const char *rules,
											const char *otherwise, const char *options);

/* datasets.c */

/* A row of a source as it would be judged through a router. */
typedef struct StoreRow
{
	char	   *key;
	Datum		fields;			/* jsonb: columns but label and feedback */
} StoreRow;

/* All rows of a dataset, in the order of ..._read_samples(). */
extern StoreRow *gepa_store_read_rows(const StoreDataset *dataset, int *nrows);

/* routers.c */

/*
 * What a name stands for: a version of a judge (version 0 = the current one), or, where
 * it returns NULL, a router.
 */
extern StoreVersion *gepa_store_resolve(const char *name, StoreRouter **router);

/* The router of a name as the query sees it; version 0 = the current one; NULL = none. */
extern StoreRouter *gepa_store_find_router(const char *name, int version);

/* judges.c: as gepa_store_get_version(); NULL = there is none. */
extern StoreVersion *gepa_store_find_version(const char *judge, int version);

/* The version to judge with: 42704 when the judge is gone. */
extern StoreVersion *gepa_store_get_target(const StoreTarget *target);

/*
 * Look up what it names; raises unless judges are there, and judges, and classifiers are
 * there, and those of the current user.
 */
extern void gepa_store_look_up_targets(StoreRouter *router);

/* Store it with version 1; returns its id. */
extern int	gepa_store_create_router(const StoreRouter *router, Oid owner);

/* The same as committed now; it stays locked until commit. */
extern StoreRouter *gepa_store_lock_router(const char *name);

/* Add a version, or find an equal one, and make it current; returns its number. */
extern int	gepa_store_add_router_version(int id, const StoreRouter *router);

/* A run that tunes one of its judges on the judge's slice of the labels. */
extern void gepa_store_note_router_run(const StoreRouter *router, int run);

/* Of each judge the newest of those that have ended; dataset NULL = any. */
extern int	gepa_store_router_runs(int router, const char *dataset, int **runs);

#endif							/* GEPA_STORE_STORE_ROUTER_H */
