/*-------------------------------------------------------------------------
 *
 * route_rule.c
 *	  The rules of a router: compiled, and tried on documents.
 *
 * Conditions are compiled once for each statement that uses the router, under a pinned
 * search_path, by PostgreSQL's own parser and executor.  A name in them is a column of
 * a row that stands for the document (route_columns.c); only columns that some
 * condition names are made.
 *
 * Classifiers are read when the router is opened, so that they are there wherever a
 * document is looked at, and a router that has lost one fails as a whole.
 *
 * What may be said is checked each time (route_check.c).  An error of PostgreSQL's
 * about a condition points into its text, and says which rule of which router it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "apply/apply_rule.h"

struct ApplyRouter
{
	MemoryContext context;
	const StoreRouter *router;
	int			ncolumns;
	int			maxcolumns;
	RouteColumn *columns;
	ExprState **states;			/* by rule; NULL where somebody is asked */
	ApplyClassifier **classifiers;	/* by StoreRouter.used; NULL until needed */
	const char **said;			/* their labels of the document; NULL = not
								 * asked */
	EState	   *estate;
	TupleTableSlot *slot;
	Datum		content;		/* of the document */
	bool		is_jsonb;
};

/* The rule that is at work, for errors about it. */
typedef struct RuleAtWork
{
	const ApplyRouter *router;
	int			rule;
	bool		compiling;
} RuleAtWork;

static void
tell_rule(void *arg)
{
	const RuleAtWork *at_work = arg;
	const StoreRouter *router = at_work->router->router;
	int			position = geterrposition();

	if (at_work->compiling && position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(router->rules[at_work->rule].condition);
	}
	errcontext("rule %d of router \"%s\"", at_work->rule + 1, router->name);
}

/*
 * Columns
 */

static Oid
declared_type(ParseState *pstate, const StoreRouter *router, const char *name, int location)
{
	for (int i = 0; i < router->nfields; i++)
		if (strcmp(router->fields[i].name, name) == 0)
			return gepa_apply_field_type(router->fields[i].type);
	if (router->declared)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("field \"%s\" is not declared", name),
				 errhint("Add it to the option \"fields\" of the router."),
				 parser_errposition(pstate, location)));
	return TEXTOID;
}

static int
find_column(const ApplyRouter *router, const char *name)
{
	for (int i = 0; i < router->ncolumns; i++)
		if (strcmp(router->columns[i].name, name) == 0)
			return i;
	return -1;
}

static void
add_column(ApplyRouter *router, RouteColumn column)
{
	if (router->ncolumns == router->maxcolumns)
	{
		router->maxcolumns = Max(2 * router->maxcolumns, 8);
		router->columns = router->columns == NULL ?
			palloc(sizeof(RouteColumn) * router->maxcolumns) :
			repalloc(router->columns, sizeof(RouteColumn) * router->maxcolumns);
	}
	router->columns[router->ncolumns++] = column;
}

/* A ColumnRef of one name, which is all that got here. */
static Node *
find_name(ParseState *pstate, ColumnRef *ref)
{
	ApplyRouter *router = pstate->p_ref_hook_state;
	RouteColumn column = {.kind = ROUTE_FIELD,.name = strVal(linitial(ref->fields))};
	int			i = find_column(router, column.name);
	Var		   *var;

	if (i < 0 && !gepa_apply_common_column(column.name, &column))
		column.type = declared_type(pstate, router->router, column.name, ref->location);
	if (i < 0)
	{
		add_column(router, column);
		i = router->ncolumns - 1;
	}
	var = makeVar(1, i + 1, router->columns[i].type, -1,
				  get_typcollation(router->columns[i].type), 0);
	var->location = ref->location;
	return (Node *) var;
}

static void
check_fields(const StoreRouter *router)
{
	RouteColumn common;

	for (int i = 0; i < router->nfields; i++)
	{
		const StoreField *field = &router->fields[i];

		if (gepa_apply_common_column(field->name, &common))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("field \"%s\" of a router cannot be declared", field->name),
					 errdetail("Every document has it."),
					 errhint("A field of the document with that name is (fields ->> '%s').",
							 field->name)));
		if (!OidIsValid(gepa_apply_field_type(field->type)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("field \"%s\" of a router has an unknown type \"%s\"", field->name,
							field->type),
					 errhint("Types are text, bool, int4, int8, float8 and jsonb.")));
	}
}

/*
 * Compiling
 */

static Node *
analyze(ApplyRouter *router, const char *condition)
{
	ParseState *pstate = make_parsestate(NULL);
	Node	   *raw = gepa_apply_check_raw(raw_parser(condition, RAW_PARSE_PLPGSQL_EXPR));
	Node	   *expr;

	pstate->p_sourcetext = condition;
	pstate->p_pre_columnref_hook = find_name;
	pstate->p_ref_hook_state = router;
	expr = transformExpr(pstate, raw, EXPR_KIND_OTHER);
	expr = coerce_to_boolean(pstate, expr, "WHEN");
	assign_expr_collations(pstate, expr);
	free_parsestate(pstate);
	gepa_apply_check_condition(expr);
	return expr;
}

static void
compile_rule(ApplyRouter *router, int rule)
{
	RuleAtWork	at_work = {router, rule, true};
	ErrorContextCallback context = {.previous = error_context_stack,.callback = tell_rule,
	.arg = &at_work};
	Node	   *expr;

	if (router->router->rules[rule].condition == NULL)
		return;
	error_context_stack = &context;
	expr = analyze(router, router->router->rules[rule].condition);
	router->states[rule] = ExecPrepareExpr((Expr *) expr, router->estate);
	error_context_stack = context.previous;
}

/* What a text means must not depend on who uses it. */
static void
pin_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"standard_conforming_strings", "on"},
		{"transform_null_equals", "off"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

/* Those that were not looked up yet are not needed yet. */
static void
open_classifiers(ApplyRouter *router)
{
	for (int i = 0; i < router->router->nused; i++)
	{
		const StoreUsed *used = router->router->used[i];

		if (used->classifier != 0)
			router->classifiers[i] = gepa_apply_open_classifier(used->name, used->classifier);
	}
}

static TupleDesc
describe_columns(const ApplyRouter *router)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(router->ncolumns);

	for (int i = 0; i < router->ncolumns; i++)
		TupleDescInitEntry(tupdesc, i + 1, router->columns[i].name, router->columns[i].type,
						   -1, 0);
	return tupdesc;
}

ApplyRouter *
gepa_apply_router_open(const StoreRouter *definition)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa router",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ApplyRouter *router = palloc0(sizeof(ApplyRouter));
	int			nest = NewGUCNestLevel();

	router->context = context;
	router->router = definition;
	router->states = palloc0(sizeof(ExprState *) * Max(definition->nrules, 1));
	router->classifiers = palloc0(sizeof(ApplyClassifier *) * Max(definition->nused, 1));
	router->said = palloc0(sizeof(char *) * Max(definition->nused, 1));
	router->estate = CreateExecutorState();
	check_fields(definition);
	pin_settings();
	for (int i = 0; i < definition->nrules; i++)
		compile_rule(router, i);
	AtEOXact_GUC(true, nest);
	open_classifiers(router);
	router->slot = MakeSingleTupleTableSlot(describe_columns(router), &TTSOpsVirtual);
	MemoryContextSwitchTo(old);
	return router;
}

void
gepa_apply_router_close(ApplyRouter *router)
{
	ExecDropSingleTupleTableSlot(router->slot);
	FreeExecutorState(router->estate);
	MemoryContextDelete(router->context);
}

const StoreRouter *
gepa_apply_router_of(const ApplyRouter *router)
{
	return router->router;
}

List *
gepa_apply_router_conditions(const ApplyRouter *router)
{
	List	   *conditions = NIL;

	for (int i = 0; i < router->router->nrules; i++)
		if (router->states[i] != NULL)
			conditions = lappend(conditions, router->states[i]->expr);
	return conditions;
}

/*
 * Trying them on a document
 */

/* Valid until the next document. */
static ExprContext *
set_document(ApplyRouter *router, Datum content, bool is_jsonb)
{
	ExprContext *context = GetPerTupleExprContext(router->estate);
	TupleTableSlot *slot = router->slot;
	MemoryContext old;

	ResetExprContext(context);
	router->content = content;
	router->is_jsonb = is_jsonb;
	memset(router->said, 0, sizeof(char *) * router->router->nused);
	old = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
	ExecClearTuple(slot);
	for (int i = 0; i < router->ncolumns; i++)
		slot->tts_values[i] = gepa_apply_column(&router->columns[i], content, is_jsonb,
												&slot->tts_isnull[i]);
	ExecStoreVirtualTuple(slot);
	context->ecxt_scantuple = slot;
	MemoryContextSwitchTo(old);
	return context;
}

static bool
is_true(ApplyRouter *router, int rule, ExprContext *context)
{
	RuleAtWork	at_work = {router, rule, false};
	ErrorContextCallback callback = {.previous = error_context_stack,.callback = tell_rule,
	.arg = &at_work};
	bool		isnull;
	Datum		value;

	error_context_stack = &callback;
	value = ExecEvalExprSwitchContext(router->states[rule], context, &isnull);
	error_context_stack = callback.previous;
	return !isnull && DatumGetBool(value);
}

/* Once for each document, whatever number of rules ask it. */
static const char *
classify(ApplyRouter *router, const StoreUsed *used)
{
	int			i = 0;
	MemoryContext old;

	while (router->router->used[i] != used)
		i++;
	if (router->said[i] != NULL)
		return router->said[i];
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(router->estate));
	router->said[i] = gepa_apply_classify(router->classifiers[i], router->content,
										  router->is_jsonb);
	MemoryContextSwitchTo(old);
	return router->said[i];
}

static bool
is_any_label(const StoreRule *rule, const char *label)
{
	for (int i = 0; i < rule->nlabels; i++)
		if (strcmp(rule->labels[i], label) == 0)
			return true;
	return false;
}

static void
decide(ApplyRoute *route, ApplyRouteStep step, const StoreTarget *target)
{
	route->step = step;
	route->target = target;
}

/* Returns whether the rule is the last to be looked at for now. */
static bool
try_rule(ApplyRouter *router, ApplyRoute *route, ExprContext *context)
{
	const StoreRule *rule = &router->router->rules[route->rule];

	if (rule->asked != NULL)
		decide(route, APPLY_ROUTE_ASK, rule->asked);
	else if (rule->used != NULL && is_any_label(rule, classify(router, rule->used)))
		decide(route, APPLY_ROUTE_DECIDED, rule->target);
	else if (rule->used == NULL && is_true(router, route->rule, context))
		decide(route, APPLY_ROUTE_DECIDED, rule->target);
	else
		return false;
	return true;
}

/* Returns whether the verdict that was asked for a rule ends it all. */
static bool
take_verdict(const ApplyRouter *router, ApplyRoute *route, const JudgeVerdict *verdict)
{
	const StoreRule *rule = &router->router->rules[route->rule];

	if (verdict->status != GEPA_STATUS_OK)
		decide(route, APPLY_ROUTE_FAILED, rule->asked);
	else if (is_any_label(rule, verdict->label))
		decide(route, APPLY_ROUTE_DECIDED, rule->target);
	else
	{
		route->rule++;
		return false;
	}
	return true;
}

void
gepa_apply_route(ApplyRouter *router, Datum content, bool is_jsonb, const JudgeVerdict *verdict,
				 ApplyRoute *route)
{
	ExprContext *context;

	if (route->step == APPLY_ROUTE_ASK && take_verdict(router, route, verdict))
		return;
	context = set_document(router, content, is_jsonb);
	for (; route->rule < router->router->nrules; route->rule++)
		if (try_rule(router, route, context))
			return;
	decide(route, APPLY_ROUTE_DECIDED, router->router->otherwise);
}
