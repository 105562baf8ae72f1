/*-------------------------------------------------------------------------
 *
 * apply_rule.h
 *	  What the files that compile and evaluate a router's conditions share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_APPLY_APPLY_RULE_H
#define GEPA_APPLY_APPLY_RULE_H

#include "nodes/primnodes.h"
#include "utils/jsonb.h"

#include "apply/apply.h"

/* route_check.c: raise 42P17 for what a condition may not say */

/* As parsed: one expression, in which nothing outside of pg_catalog is named. */
extern Node *gepa_apply_check_raw(List *parsed);

/* As analyzed: immutable functions of pg_catalog over columns and constants. */
extern void gepa_apply_check_condition(Node *condition);

/* route_columns.c: the row that conditions see */

typedef enum RouteColumnKind
{
	ROUTE_DOCUMENT,				/* the text */
	ROUTE_LENGTH,				/* its characters */
	ROUTE_FIELDS,				/* all of it as jsonb */
	ROUTE_FIELD					/* one field */
} RouteColumnKind;

typedef struct RouteColumn
{
	RouteColumnKind kind;
	const char *name;
	Oid			type;
} RouteColumn;

/* Is it there for every document? */
extern bool gepa_apply_common_column(const char *name, RouteColumn *column);

/* The type of a field, InvalidOid if it is none. */
extern Oid	gepa_apply_field_type(const char *name);

/*
 * The value of a column, in the current context.  A field that is not there, or does not
 * have the type, is null; it never raises.
 */
extern Datum gepa_apply_column(const RouteColumn *column, Datum content, bool is_jsonb,
							   bool *isnull);

#endif							/* GEPA_APPLY_APPLY_RULE_H */
