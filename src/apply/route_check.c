/*-------------------------------------------------------------------------
 *
 * route_check.c
 *	  What a condition of a router may say.
 *
 * A router's conditions are evaluated by whoever uses it, with their rights.  They
 * are harmless because they consist of immutable functions and operators of
 * pg_catalog over the document, and of nothing else: no tables, no subqueries, no
 * functions of users.
 *
 * This is checked twice, each time the text is compiled, so that it holds for what came
 * with a dump as well.  Analyzing an expression runs input functions of types on its
 * literals, which for an array or row of a domain run the checks of the domain, and so
 * anybody's code: therefore names are looked at before.  What operators and casts
 * mean is known only after.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "apply/apply_rule.h"
#include "base/compat.h"

GEPA_NORETURN static void refuse(const char *what, int location);

static void
refuse(const char *what, int location)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("the condition of a router cannot use %s", what),
			 errhint("Use operators and immutable functions of PostgreSQL itself over \"document\", \"length\", \"fields\" and the names of the document's fields."),
			 location >= 0 ? errposition(location + 1) : 0));
}

/*
 * As parsed
 */

/* A name without a schema is looked for in pg_catalog only. */
static void
check_name(const List *name, int location)
{
	if (list_length(name) == 1 ||
		(list_length(name) == 2 && strcmp(strVal(linitial(name)), "pg_catalog") == 0))
		return;
	refuse(psprintf("\"%s\", which is not of pg_catalog", NameListToString(unconstify(List *, name))), location);
}

/* Where pg_catalog has none, a temporary one would be found. */
static void
check_type(const TypeName *type)
{
	const char *name;

	if (type->names == NIL || type->setof || type->pct_type)
		refuse("such a type", type->location);
	check_name(type->names, type->location);
	name = strVal(llast(type->names));
	if (!SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(name),
							   ObjectIdGetDatum(PG_CATALOG_NAMESPACE)))
		refuse(psprintf("type \"%s\", which is not of pg_catalog", name), type->location);
}

static void
check_call(const FuncCall *call)
{
	check_name(call->funcname, call->location);
	if (call->agg_order != NIL || call->agg_filter != NULL || call->over != NULL ||
		call->agg_within_group || call->agg_star || call->agg_distinct)
		refuse("aggregate or window functions", call->location);
}

static void
check_indirection(const A_Indirection *indirection)
{
	ListCell   *cell;

	foreach(cell, indirection->indirection)
		if (!IsA(lfirst(cell), A_Indices))
		refuse("parts of rows", exprLocation((const Node *) indirection));
}

static bool
check_node(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_A_Expr:
			check_name(((A_Expr *) node)->name, ((A_Expr *) node)->location);
			break;
		case T_FuncCall:
			check_call((FuncCall *) node);
			break;
		case T_TypeName:
			check_type((TypeName *) node);
			break;
		case T_CollateClause:
			check_name(((CollateClause *) node)->collname, ((CollateClause *) node)->location);
			break;
		case T_A_Indirection:
			check_indirection((A_Indirection *) node);
			break;
		case T_ColumnRef:
			if (list_length(((ColumnRef *) node)->fields) != 1 ||
				!IsA(linitial(((ColumnRef *) node)->fields), String))
				refuse("columns of tables", ((ColumnRef *) node)->location);
			break;
		case T_SubLink:
			refuse("subqueries", ((SubLink *) node)->location);
		case T_ParamRef:
			refuse("parameters", ((ParamRef *) node)->location);
		case T_A_Const:
		case T_A_ArrayExpr:
		case T_A_Indices:
		case T_TypeCast:
		case T_BoolExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_Integer:
		case T_List:
			break;
		default:
			refuse("this", exprLocation(node));
	}
	return raw_expression_tree_walker(node, check_node, context);
}

/* SELECT with one expression, and without anything else. */
static bool
is_expression(const SelectStmt *select)
{
	return select->op == SETOP_NONE && list_length(select->targetList) == 1 &&
		select->distinctClause == NIL && select->intoClause == NULL &&
		select->fromClause == NIL && select->whereClause == NULL &&
		select->groupClause == NIL && select->havingClause == NULL &&
		select->windowClause == NIL && select->valuesLists == NIL &&
		select->sortClause == NIL && select->limitOffset == NULL &&
		select->limitCount == NULL && select->lockingClause == NIL &&
		select->withClause == NULL;
}

Node *
gepa_apply_check_raw(List *parsed)
{
	Node	   *statement = list_length(parsed) == 1 ? linitial_node(RawStmt, parsed)->stmt : NULL;
	ResTarget  *target;

	if (statement == NULL || !IsA(statement, SelectStmt) ||
		!is_expression((SelectStmt *) statement))
		refuse("more than one expression", -1);
	target = linitial_node(ResTarget, ((SelectStmt *) statement)->targetList);
	if (target->name != NULL || target->indirection != NIL)
		refuse("a name for its result", target->location);
	(void) check_node(target->val, NULL);
	return target->val;
}

/*
 * As analyzed
 */

static bool
is_forbidden(Oid function, void *context)
{
	if (get_func_namespace(function) == PG_CATALOG_NAMESPACE &&
		func_volatile(function) == PROVOLATILE_IMMUTABLE)
		return false;
	refuse(psprintf("function %s, which is not an immutable one of pg_catalog",
					format_procedure(function)), *(const int *) context);
}

/* 'now' as a date is another one each day.  Arrays are as their elements. */
static void
check_constant(const Const *value)
{
	Oid			type = get_element_type(value->consttype);
	Oid			input;
	Oid			param;

	if (!OidIsValid(type))
		type = value->consttype;
	if (value->constisnull || type == REGCONFIGOID)
		return;
	getTypeInputInfo(type, &input, &param);
	if (func_volatile(input) != PROVOLATILE_IMMUTABLE)
		refuse(psprintf("constants of type %s, which depend on settings", format_type_be(type)),
			   value->location);
}

static bool
check_analyzed(Node *node, void *context)
{
	int			location;

	if (node == NULL)
		return false;
	location = exprLocation(node);
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			if (((FuncExpr *) node)->funcretset)
				refuse("functions that return sets", location);
			break;
		case T_OpExpr:
			if (((OpExpr *) node)->opretset)
				refuse("functions that return sets", location);
			break;
		case T_Const:
			check_constant((Const *) node);
			break;
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
			refuse("aggregate or window functions", location);
		case T_Var:
		case T_List:
		case T_NamedArgExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_BoolExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_ArrayExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_CollateExpr:
		case T_SubscriptingRef:
			break;
		default:
			refuse("this", location);
	}
	(void) check_functions_in_node(node, is_forbidden, &location);
	return expression_tree_walker(node, check_analyzed, context);
}

void
gepa_apply_check_condition(Node *condition)
{
	(void) check_analyzed(condition, NULL);
}
