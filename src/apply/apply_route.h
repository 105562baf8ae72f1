/*-------------------------------------------------------------------------
 *
 * apply_route.h
 *	  Which judge a document goes to: a part of the door of src/apply, which
 *	  includes it.
 *
 *				 a rule asks a judge			its verdict
 *		START ------------------------> ASK -------------------+--> FAILED
 *		  |								 ^					   |
 *		  |								 +---- next rule ------+
 *		  |  no rule has to ask								   v
 *		  +---------------------------------------------> DECIDED
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_APPLY_APPLY_ROUTE_H
#define GEPA_APPLY_APPLY_ROUTE_H

#include "nodes/pg_list.h"

#include "lm/lm.h"
#include "store/store.h"

struct ApplyJudge;

/* A router whose rules are compiled. */
typedef struct ApplyRouter ApplyRouter;

typedef enum ApplyRouteStep
{
	APPLY_ROUTE_START,
	APPLY_ROUTE_ASK,			/* the target, for the rule */
	APPLY_ROUTE_DECIDED,		/* the target has the last word */
	APPLY_ROUTE_FAILED			/* the target was asked for a rule and gave no
								 * verdict: that is the document's */
} ApplyRouteStep;

/* Where a document has got to; zeroed at first. */
typedef struct ApplyRoute
{
	ApplyRouteStep step;
	int			rule;
	const StoreTarget *target;
} ApplyRoute;

/* route_rule.c */

/*
 * Checks and compiles the rules: 42P17 for what they may not say.  Lives in a new child
 * of the current context; router must outlive it.
 */
extern ApplyRouter *gepa_apply_router_open(const StoreRouter *router);
extern void gepa_apply_router_close(ApplyRouter *router);
extern const StoreRouter *gepa_apply_router_of(const ApplyRouter *router);

/* The rules as planned, a List of Expr. */
extern List *gepa_apply_router_conditions(const ApplyRouter *router);

/*
 * Take the next step, over rules in order.  After APPLY_ROUTE_ASK, verdict is what the
 * target said; else NULL.  A condition may raise.
 */
extern void gepa_apply_route(ApplyRouter *router, Datum content, bool is_jsonb,
							 const JudgeVerdict *verdict, ApplyRoute *route);

/* route_columns.c: what conditions call "document", a text datum */
extern Datum gepa_apply_document_text(Datum content, bool is_jsonb);

/* classify.c */

typedef struct ApplyClassifier ApplyClassifier;

/* In the current context; 42704 when it was dropped, which says its name. */
extern ApplyClassifier *gepa_apply_open_classifier(const char *name, int id);

/* The label of a document. */
extern const char *gepa_apply_classify(ApplyClassifier *classifier, Datum content, bool is_jsonb);

/* What is looked at of a document, in UTF-8; not necessarily terminated. */
extern char *gepa_apply_classified_text(Datum content, bool is_jsonb, size_t *length);

/* named.c */

/* What a name stands for: a judge, or a router and the judges that it asked so far. */
typedef struct ApplyNamed
{
	MemoryContext context;		/* of this struct and what hangs on it */
	LmPurpose	purpose;
	struct ApplyJudge *judge;	/* NULL: a router */
	ApplyRouter *router;
	List	   *targets;		/* that are open, and their judges */
	List	   *judges;
} ApplyNamed;

/* In a new child of the current context; as gepa_apply_open() for a judge. */
extern ApplyNamed *gepa_apply_open_named(const char *name, LmPurpose purpose);

/* The same of one of the two, which must outlive it; the other is NULL. */
extern ApplyNamed *gepa_apply_open_resolved(StoreVersion *version, StoreRouter *router,
											LmPurpose purpose);
extern void gepa_apply_close_named(ApplyNamed *named);

/* The judge of a target, opened when it is needed. */
extern struct ApplyJudge *gepa_apply_target(ApplyNamed *named, const StoreTarget *target);

#endif							/* GEPA_APPLY_APPLY_ROUTE_H */
