/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  What is a call of a judge.
 *
 * A predicate is known by its support function, which only a superuser can give
 * to a function: so the predicates' names and schemas do not matter.  What was
 * found out about a function is kept until pg_proc changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "node/node_internal.h"

#define SUPPORT_SYMBOL "gepa_predicate_support"

typedef struct KnownFunction
{
	Oid			function;
	NodeCallKind kind;
} KnownFunction;

static HTAB *known_functions = NULL;

/* Nobody holds a pointer into the table. */
static void
forget_functions(Datum arg, int cacheid, uint32 hashvalue)
{
	HTAB	   *table = known_functions;

	known_functions = NULL;
	if (table != NULL)
		hash_destroy(table);
}

static HTAB *
function_table(void)
{
	static bool registered = false;
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(KnownFunction)};

	if (!registered)
		CacheRegisterSyscacheCallback(PROCOID, forget_functions, (Datum) 0);
	registered = true;
	if (known_functions == NULL)
		known_functions = hash_create("gepa functions", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	return known_functions;
}

/* The symbol is looked at first, so that no other library is loaded for this. */
static bool
is_our_support(Oid function)
{
	HeapTuple	tuple;
	bool		same_name;
	Datum		source;
	bool		isnull;
	FmgrInfo	flinfo;

	if (!OidIsValid(function))
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	same_name = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId && !isnull &&
		strcmp(TextDatumGetCString(source), SUPPORT_SYMBOL) == 0;
	ReleaseSysCache(tuple);
	if (!same_name)
		return false;
	fmgr_info(function, &flinfo);
	return flinfo.fn_addr == gepa_predicate_support;
}

/* gepa_judge(text, text or jsonb) and its like */
static NodeCallKind
kind_of_function(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	Oid			support = InvalidOid;
	Oid			type = InvalidOid;

	if (!HeapTupleIsValid(tuple))
		return NODE_NO_CALL;
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	if (proc->pronargs == 2 && proc->proargtypes.values[0] == TEXTOID)
	{
		support = proc->prosupport;
		type = proc->proargtypes.values[1];
	}
	ReleaseSysCache(tuple);
	if ((type != TEXTOID && type != JSONBOID) || !is_our_support(support))
		return NODE_NO_CALL;
	return type == JSONBOID ? NODE_CALL_JSONB : NODE_CALL_TEXT;
}

NodeCallKind
gepa_node_call_kind(const Node *node)
{
	Oid			function;
	KnownFunction *known;
	NodeCallKind kind;

	if (node == NULL || !IsA(node, FuncExpr))
		return NODE_NO_CALL;
	function = ((const FuncExpr *) node)->funcid;
	if (function < FirstNormalObjectId)
		return NODE_NO_CALL;
	known = hash_search(function_table(), &function, HASH_FIND, NULL);
	if (known != NULL)
		return known->kind;

	/* Looking at the catalog may empty the table. */
	kind = kind_of_function(function);
	known = hash_search(function_table(), &function, HASH_ENTER, NULL);
	known->kind = kind;
	return kind;
}

static bool
find_call(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (gepa_node_call_kind(node) != NODE_NO_CALL)
		return true;

	/* Of a SubPlan only the plan is looked at by the others. */
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		return false;
	return expression_tree_walker(node, find_call, context);
}

bool
gepa_node_has_calls(const Node *node)
{
	return find_call((Node *) node, NULL);
}
