/*-------------------------------------------------------------------------
 *
 * safe.c
 *	  What can be evaluated before its turn.
 *
 * Reading ahead evaluates expressions of rows that may never be reached.  That
 * is not noticed if they cannot raise whatever the row is, and have no effect.
 * Of functions those are known that are leakproof, or in the list below: each
 * was looked at, and takes any valid argument.  So no arithmetic (overflow),
 * no parsing of text, no json (its strings may not convert); patterns, lengths
 * and divisors have to be constants that do.
 *
 * Out of memory is left aside, and with it texts of more than 1 GB and nesting
 * beyond the stack; so are what is wrong with the server itself, and Params:
 * who reads ahead knows where their values come from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "regex/regex.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "node/node_plan.h"

/* Those that are leakproof as well need not be here. */
static const Oid safe_functions[] = {
	F_TEXT_LT, F_TEXT_LE, F_TEXT_GT, F_TEXT_GE, F_BTTEXTCMP,
	F_NUMERIC_EQ, F_NUMERIC_NE, F_NUMERIC_LT, F_NUMERIC_LE, F_NUMERIC_GT, F_NUMERIC_GE,
	F_NUMERIC_CMP, F_NUMERIC_INT4, F_NUMERIC_INT8, F_FLOAT8_INT4, F_INT8_INT4, F_INT4_INT2,
	F_INT4AND, F_INT4OR, F_INT4XOR, F_INT4NOT, F_INT8AND, F_INT8OR,
	F_TEXTCAT, F_TEXT_BOOL, F_TEXT_BPCHAR, F_TEXT_NAME, F_NAME_TEXT,
	F_TEXTLEN, F_LENGTH_TEXT, F_CHAR_LENGTH_TEXT, F_CHARACTER_LENGTH_TEXT,
	F_OCTET_LENGTH_TEXT, F_LOWER_TEXT, F_UPPER_TEXT, F_INITCAP, F_LEFT, F_RIGHT,
	F_SUBSTR_TEXT_INT4, F_SUBSTRING_TEXT_INT4, F_REPLACE, F_STRPOS, F_POSITION_TEXT_TEXT,
	F_STARTS_WITH, F_BTRIM_TEXT, F_BTRIM_TEXT_TEXT, F_LTRIM_TEXT, F_LTRIM_TEXT_TEXT,
	F_RTRIM_TEXT, F_RTRIM_TEXT_TEXT,
	F_JSONB_OBJECT_FIELD, F_JSONB_OBJECT_FIELD_TEXT, F_JSONB_ARRAY_ELEMENT,
	F_JSONB_ARRAY_ELEMENT_TEXT, F_JSONB_EXTRACT_PATH, F_JSONB_EXTRACT_PATH_TEXT,
	F_JSONB_CONTAINS, F_JSONB_CONTAINED, F_JSONB_EXISTS, F_JSONB_EXISTS_ANY,
	F_JSONB_EXISTS_ALL, F_JSONB_TYPEOF, F_JSONB_EQ, F_JSONB_NE,
	F_TS_MATCH_VQ, F_TS_MATCH_QV, F_CARDINALITY, F_ARRAY_LENGTH, F_UNNEST_ANYARRAY,
	F_GENERATE_SERIES_INT4_INT4, F_GENERATE_SERIES_INT8_INT8,
	F_COUNT_, F_COUNT_ANY, F_BOOL_AND, F_BOOL_OR, F_EVERY,
	F_MIN_TEXT, F_MAX_TEXT, F_MIN_INT4, F_MAX_INT4, F_MIN_INT8, F_MAX_INT8
};

/* A value in its external form, which any text type takes. */
static const Oid safe_outputs[] = {
	F_INT2OUT, F_INT4OUT, F_INT8OUT, F_FLOAT4OUT, F_FLOAT8OUT, F_NUMERIC_OUT, F_BOOLOUT,
	F_TEXTOUT, F_VARCHAROUT, F_BPCHAROUT, F_NAMEOUT, F_UUID_OUT, F_DATE_OUT, F_JSONB_OUT,
	F_OIDOUT, F_UNKNOWNOUT
};

static bool
is_among(Oid function, const Oid *list, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (list[i] == function)
			return true;
	}
	return false;
}

static bool
has_safe_output(Oid type)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(type, &output, &is_varlena);
	return is_among(output, safe_outputs, lengthof(safe_outputs));
}

/*
 * Constants
 */

/* The last argument, if it is a constant; not NULL, which strict functions survive. */
static const Const *
last_constant(const List *args)
{
	const Const *constant = args != NIL ? llast(args) : NULL;

	return constant != NULL && IsA(constant, Const) ? constant : NULL;
}

static bool
ends_in_number(const List *args, int64 least)
{
	const Const *constant = last_constant(args);

	if (constant == NULL)
		return false;
	if (constant->constisnull)
		return true;
	return constant->consttype == INT4OID ?
		DatumGetInt32(constant->constvalue) >= least :
		constant->consttype == INT8OID && DatumGetInt64(constant->constvalue) >= least;
}

static char *
pattern_of(const Const *constant)
{
	switch (constant->consttype)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return TextDatumGetCString(constant->constvalue);
		default:
			return NULL;
	}
}

/* LIKE raises where a pattern ends in the escape character, if a text gets so far. */
static bool
ends_in_like_pattern(const List *args)
{
	const Const *constant = last_constant(args);
	const char *pattern;
	int			escapes = 0;

	if (constant == NULL || constant->constisnull)
		return constant != NULL;
	pattern = pattern_of(constant);
	if (pattern == NULL)
		return false;
	for (int i = strlen(pattern) - 1; i >= 0 && pattern[i] == '\\'; i--)
		escapes++;
	return escapes % 2 == 0;
}

/* A pattern that does not compile raises only when a row gets to it. */
static bool
ends_in_regex(const List *args, Oid collation)
{
	const Const *constant = last_constant(args);
	const char *pattern;
	pg_wchar   *wide;
	regex_t		regex;
	bool		compiles;

	if (constant == NULL || constant->constisnull)
		return constant != NULL;
	pattern = pattern_of(constant);
	if (pattern == NULL || !OidIsValid(collation))
		return false;
	wide = palloc((strlen(pattern) + 1) * sizeof(pg_wchar));
	compiles = pg_regcomp(&regex, wide,
						  pg_mb2wchar_with_len(pattern, wide, strlen(pattern)),
						  REG_ADVANCED, collation) == REG_OKAY;
	if (compiles)
		pg_regfree(&regex);
	pfree(wide);
	return compiles;
}

/*
 * Functions
 */

static bool
have_safe_outputs(const List *args)
{
	ListCell   *cell;

	foreach(cell, args)
	{
		if (!has_safe_output(exprType(lfirst(cell))))
			return false;
	}
	return true;
}

/* Types whose values become JSON whatever they are. */
static bool
becomes_jsonb(const Node *value)
{
	static const Oid types[] = {
		TEXTOID, VARCHAROID, BPCHAROID, BOOLOID, INT2OID, INT4OID, INT8OID, FLOAT4OID,
		FLOAT8OID, NUMERICOID, DATEOID, TIMESTAMPOID, TIMESTAMPTZOID, UUIDOID, JSONBOID
	};

	return is_among(exprType(value), types, lengthof(types));
}

/* The usual way to make a document of several fields: with constant names. */
static bool
builds_jsonb(const List *args)
{
	if (list_length(args) % 2 != 0)
		return false;
	for (int i = 0; i < list_length(args); i += 2)
	{
		const Const *name = list_nth(args, i);

		if (!IsA(name, Const) || name->constisnull || !becomes_jsonb(list_nth(args, i + 1)))
			return false;
	}
	return true;
}

/* Those where it depends on the arguments. */
static bool
is_safe_with(Oid function, const List *args, Oid collation)
{
	switch (function)
	{
		case F_CONCAT:
		case F_CONCAT_WS:
			return have_safe_outputs(args);
		case F_JSONB_BUILD_OBJECT_ANY:
			return builds_jsonb(args);
		case F_TO_JSONB:
			return args != NIL && becomes_jsonb(linitial(args));
		case F_SUBSTR_TEXT_INT4_INT4:
		case F_SUBSTRING_TEXT_INT4_INT4:
			return ends_in_number(args, 0);
		case F_INT4MOD:
		case F_INT8MOD:
		case F_INT4DIV:
		case F_INT8DIV:
			return ends_in_number(args, 1);
		case F_TEXTLIKE:
		case F_TEXTNLIKE:
		case F_LIKE_TEXT_TEXT:
		case F_NOTLIKE_TEXT_TEXT:
		case F_TEXTICLIKE:
		case F_TEXTICNLIKE:
		case F_BPCHARLIKE:
		case F_BPCHARNLIKE:
		case F_NAMELIKE:
		case F_NAMENLIKE:
			return ends_in_like_pattern(args);
		case F_TEXTREGEXEQ:
		case F_TEXTREGEXNE:
		case F_TEXTICREGEXEQ:
		case F_TEXTICREGEXNE:
			return ends_in_regex(args, collation);
		default:
			return is_among(function, safe_functions, lengthof(safe_functions));
	}
}

/* Leakproof ones do not raise for what they are given; texts may, for how they compare. */
static bool
is_safe_function(Oid function, const List *args, Oid collation)
{
	if (get_func_leakproof(function))
		return func_volatile(function) != PROVOLATILE_VOLATILE;
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		return false;
	return is_safe_with(function, args, collation);
}

bool
gepa_node_are_safe_operators(const Oid *operators, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (!is_safe_function(get_opcode(operators[i]), NIL, InvalidOid))
			return false;
	}
	return true;
}

/*
 * Expressions
 */

/* What of a node itself can raise or be noticed, its arguments aside. */
static bool
is_unsafe_call(const Node *node)
{
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			{
				const FuncExpr *call = (const FuncExpr *) node;

				return call->funcvariadic ||
					!is_safe_function(call->funcid, call->args, call->inputcollid);
			}
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			{
				const OpExpr *call = (const OpExpr *) node;

				return !is_safe_function(get_opcode(call->opno), call->args, call->inputcollid);
			}
		case T_ScalarArrayOpExpr:
			{
				const ScalarArrayOpExpr *call = (const ScalarArrayOpExpr *) node;

				return !is_safe_function(get_opcode(call->opno), NIL, call->inputcollid);
			}
		case T_Aggref:
			return !is_safe_function(((const Aggref *) node)->aggfnoid, NIL,
									 ((const Aggref *) node)->inputcollid);
		default:
			return true;
	}
}

static bool
is_unsafe_comparison(const MinMaxExpr *expr)
{
	TypeCacheEntry *type = lookup_type_cache(expr->minmaxtype, TYPECACHE_CMP_PROC);

	return !is_safe_function(type->cmp_proc, NIL, expr->inputcollid);
}

static bool
is_unsafe_conversion(const CoerceViaIO *expr)
{
	return (expr->resulttype != TEXTOID && expr->resulttype != VARCHAROID) ||
		!has_safe_output(exprType((const Node *) expr->arg));
}

static bool
is_unsafe_element(const SubscriptingRef *ref)
{
	return ref->refassgnexpr != NULL || ref->reflowerindexpr != NIL ||
		getSubscriptingRoutines(ref->refcontainertype, NULL) == NULL ||
		!type_is_array(ref->refcontainertype);
}

static bool
is_unsafe_node(const Node *node)
{
	switch (nodeTag(node))
	{
		case T_Var:
			/* A whole row is converted, and may not fit any more. */
			return ((const Var *) node)->varattno == InvalidAttrNumber;
		case T_NullTest:
			return ((const NullTest *) node)->argisrow;
		case T_ArrayExpr:
			return ((const ArrayExpr *) node)->multidims;
		case T_MinMaxExpr:
			return is_unsafe_comparison((const MinMaxExpr *) node);
		case T_CoerceViaIO:
			return is_unsafe_conversion((const CoerceViaIO *) node);
		case T_SubscriptingRef:
			return is_unsafe_element((const SubscriptingRef *) node);
		case T_Const:
		case T_Param:
		case T_List:
		case T_TargetEntry:
		case T_RelabelType:
		case T_CollateExpr:
		case T_BoolExpr:
		case T_BooleanTest:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_SQLValueFunction:
		case T_GroupingFunc:
			return false;
		default:
			return is_unsafe_call(node);
	}
}

static bool
is_unsafe(Node *node, void *context)
{
	const bool *allows_calls = context;

	if (node == NULL)
		return false;
	if (is_unsafe_node(node) &&
		!(*allows_calls && gepa_node_call_kind(node) != NODE_NO_CALL))
		return true;
	return expression_tree_walker(node, is_unsafe, context);
}

bool
gepa_node_is_safe(const Node *expression)
{
	bool		allows_calls = false;

	return !is_unsafe(unconstify(Node *, expression), &allows_calls);
}

bool
gepa_node_is_safe_with_calls(const Node *expression)
{
	bool		allows_calls = true;

	return !is_unsafe(unconstify(Node *, expression), &allows_calls);
}
