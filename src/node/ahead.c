/*-------------------------------------------------------------------------
 *
 * ahead.c
 *	  Asking for what a row reaches, before it is its turn.
 *
 * Guards and arguments are evaluated ahead only if that cannot be noticed: those
 * that may raise are evaluated in a subtransaction, and an error leaves them to
 * be met, or not, when the row is at the head.  So are they left whose
 * calls failed in a way that will raise, and those that would run a subquery
 * of the statement that has not run yet.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "node/node_exec.h"

typedef enum Readiness
{
	NOT_YET,					/* needs an answer that is on its way */
	NEVER,						/* it is for the head */
	READY
} Readiness;

/*
 * Evaluating
 */

static void
load(NodeState *node, const NodeRow *row)
{
	if (node->ahead->ecxt_scantuple != NULL)
		return;
	ExecStoreMinimalTuple(row->tuple, node->slot, false);
	node->ahead->ecxt_scantuple = node->slot;
}

static Datum
evaluate_easy(NodeState *node, NodeRow *row, const NodeAhead *expr, bool *isnull)
{
	Datum		value;

	gepa_node_enter(node, row);
	value = ExecEvalExprSwitchContext(expr->state, node->ahead, isnull);
	gepa_node_leave(node);
	return value;
}

typedef struct Evaluation
{
	NodeState  *node;
	NodeRow    *row;
	const NodeAhead *expr;
	Datum		value;
	bool		isnull;
} Evaluation;

/* What it says it says again when the row is at the head, or never. */
static void
evaluate_attempt(void *argument)
{
	Evaluation *it = argument;
	int			to_client = client_min_messages;
	int			to_log = log_min_messages;

	PG_TRY();
	{
		client_min_messages = Max(to_client, ERROR);
		log_min_messages = Max(to_log, ERROR);
		it->value = evaluate_easy(it->node, it->row, it->expr, &it->isnull);
	}
	PG_FINALLY();
	{
		client_min_messages = to_client;
		log_min_messages = to_log;
	}
	PG_END_TRY();
}

/*
 * Returns false when it raised.  Whoever reaches that row gets the error, so nothing
 * behind it is worth asking; and what a function keeps at its call site may be
 * half done.  So the expression is not evaluated ahead any more.
 */
static bool
evaluate_caught(NodeState *node, NodeRow *row, NodeAhead *expr, Datum *value, bool *isnull)
{
	Evaluation	evaluation = {node, row, expr, (Datum) 0, true};

	if (!gepa_node_attempt(evaluate_attempt, &evaluation))
	{
		expr->ease = NODE_AT_HEAD;
		return false;
	}
	*value = evaluation.value;
	*isnull = evaluation.isnull;
	return true;
}

static bool
evaluate(NodeState *node, NodeRow *row, NodeAhead *expr, Datum *value, bool *isnull)
{
	load(node, row);
	if (expr->ease == NODE_CAUGHT)
		return evaluate_caught(node, row, expr, value, isnull);
	*value = evaluate_easy(node, row, expr, isnull);
	return true;
}

/* A subquery that does not depend on the row runs when its value is first needed. */
static bool
has_pending_params(const NodeState *node, const NodeAhead *expr)
{
	const ParamExecData *params = node->css.ss.ps.state->es_param_exec_vals;
	int			param = -1;

	while ((param = bms_next_member(expr->params, param)) >= 0)
		if (params[param].execPlan != NULL)
			return true;
	return false;
}

/* A call that has not been asked, by its first sites: where one is left it may be made. */
static NodeCallState
sum_up(const NodeState *node, const NodeRow *row, int call, int nsites)
{
	NodeCallState state = NODE_SKIPPED;

	for (int i = 0; i < nsites; i++)
	{
		if (node->chain.sites[i].call != call || row->sites[i] == NODE_SKIPPED)
			continue;
		if (row->sites[i] != NODE_LEFT)
			return NODE_OPEN;
		state = NODE_LEFT;
	}
	return state;
}

/*
 * Will a call be made where it is written before a site?  Later sites do not matter,
 * and may be waiting for this one.
 */
static Readiness
readiness_of_call(const NodeState *node, const NodeRow *row, int call, int site)
{
	const NodeAsked *asked = &row->calls[call];
	NodeCallState state = asked->state;

	if (state == NODE_OPEN)
		state = sum_up(node, row, call, site);
	switch (state)
	{
		case NODE_OPEN:
			return NOT_YET;
		case NODE_SKIPPED:
			return READY;
		case NODE_LEFT:
			return NEVER;
		case NODE_ASKED:
			break;
	}
	if (asked->answer->state != APPLY_KNOWN)
		return NOT_YET;
	return gepa_apply_raises(&asked->answer->verdict.verdict) ? NEVER : READY;
}

static Readiness
readiness(const NodeState *node, const NodeRow *row, const NodeAhead *expr, int site)
{
	int			i = -1;

	if (expr->ease == NODE_AT_HEAD || has_pending_params(node, expr) ||
		(expr->ease == NODE_CAUGHT && IsInParallelMode()))
		return NEVER;
	while ((i = bms_next_member(expr->calls, i)) >= 0)
	{
		Readiness	ready = readiness_of_call(node, row, i, site);

		if (ready != READY)
			return ready;
	}
	return READY;
}

/*
 * Guards
 */

static NodeValue
evaluate_guard(NodeState *node, NodeRow *row, NodeAhead *expr, int site)
{
	Datum		value;
	bool		isnull;

	switch (readiness(node, row, expr, site))
	{
		case NOT_YET:
			return NODE_VALUE_UNKNOWN;
		case NEVER:
			return NODE_VALUE_LEFT;
		case READY:
			break;
	}
	if (!evaluate(node, row, expr, &value, &isnull))
		return NODE_VALUE_LEFT;
	if (isnull)
		return NODE_VALUE_NULL;
	if (exprType((Node *) expr->expr) == BOOLOID && !DatumGetBool(value))
		return NODE_VALUE_FALSE;
	return NODE_VALUE_TRUE;
}

static bool
is_as_wanted(NodeValue value, NodeWant want)
{
	switch (want)
	{
		case NODE_WANT_TRUE:
			return value == NODE_VALUE_TRUE;
		case NODE_WANT_NOT_TRUE:
			return value != NODE_VALUE_TRUE;
		case NODE_WANT_NOT_FALSE:
			return value != NODE_VALUE_FALSE;
		case NODE_WANT_NULL:
			break;
	}
	return value == NODE_VALUE_NULL;
}

/* Whether a call is reached at a site: ASKED if it is, else the state it is in. */
static NodeCallState
look_at_site(NodeState *node, NodeRow *row, int i)
{
	const NodeSite *site = &node->chain.sites[i];

	for (int j = 0; j < site->nguards; j++)
	{
		const NodeGuard *guard = &site->guards[j];
		NodeValue  *value = &row->guards[guard->expr];

		if (*value == NODE_VALUE_UNKNOWN)
			*value = evaluate_guard(node, row, &node->chain.guards[guard->expr], i);
		if (*value == NODE_VALUE_UNKNOWN)
			return NODE_OPEN;
		if (*value == NODE_VALUE_LEFT)
			return NODE_LEFT;
		if (!is_as_wanted(*value, guard->want))
			return NODE_SKIPPED;
	}
	return NODE_ASKED;
}

/*
 * Asking
 */

static NodeArgument *
argument_of(NodeState *node, NodeRow *row, int i)
{
	NodeArgument *argument = &node->arguments[i];

	if (argument->evaluated)
		return argument;
	argument->ok = evaluate(node, row, &node->chain.arguments[i], &argument->value,
							&argument->isnull);
	argument->evaluated = true;
	argument->spec = NULL;
	return argument;
}

/* Texts are one document for all judges of one input, objects by input names. */
static bool
has_same_inputs(const JudgeSpec *a, const JudgeSpec *b, bool is_jsonb)
{
	if (a == b)
		return true;
	if (a == NULL || a->ninputs != b->ninputs)
		return false;
	if (!is_jsonb)
		return a->nimages == b->nimages;
	for (int i = 0; i < a->ninputs; i++)
		if (strcmp(a->inputs[i], b->inputs[i]) != 0 ||
			gepa_judge_is_image(a, a->inputs[i]) != gepa_judge_is_image(b, b->inputs[i]))
			return false;
	return true;
}

/* Returns false when the judge would refuse it. */
static bool
make_document(NodeState *node, NodeArgument *argument, const JudgeSpec *spec, bool is_jsonb)
{
	if (has_same_inputs(argument->spec, spec, is_jsonb))
		return true;
	if (is_jsonb)
		argument->value = JsonbPGetDatum(DatumGetJsonbP(argument->value));
	if (!gepa_apply_document_fits(spec, argument->value, is_jsonb))
		return false;
	argument->complete = gepa_apply_document(spec, argument->value, is_jsonb,
											 &argument->document);
	if (argument->complete)
		gepa_judge_content_digest(&argument->document, argument->digest);
	argument->spec = spec;
	return true;
}

static Size
document_bytes(const JudgeDocument *document)
{
	Size		bytes = 0;

	for (int i = 0; i < document->nfields; i++)
		bytes += strlen(document->fields[i]);
	return bytes;
}

static NodeSession *
judge_of(NodeState *node, NodeRow *row, NodeCall *call, NodeCallState *state)
{
	NodeSession *session = call->session;
	Datum		name;
	bool		isnull;

	if (session != NULL && session->userid == GetUserId())
		return session;
	*state = NODE_LEFT;
	if (!evaluate(node, row, &call->name, &name, &isnull))
		return NULL;
	if (isnull)
	{
		*state = NODE_SKIPPED;
		return NULL;
	}
	session = gepa_node_session(node->execution, TextDatumGetCString(name), NULL);
	node->unopened = session == NULL;
	if (session == NULL || (session->judge == NULL && session->router == NULL))
		return NULL;
	if (IsA(call->name.expr, Const))
		call->session = session;
	return session;
}

static NodeCallState
ask_document(NodeState *node, NodeRow *row, int i, NodeSession *session, NodeArgument *argument)
{
	bool		is_jsonb = node->chain.calls[i].kind == NODE_CALL_JSONB;
	NodeAsked  *asked = &row->calls[i];
	Size		bytes;

	if (!make_document(node, argument, session->judge->spec, is_jsonb))
		return NODE_LEFT;
	if (!argument->complete)
		return NODE_SKIPPED;
	asked->session = session;
	asked->answer = gepa_apply_stream_ask(session->stream, argument->digest,
										  &argument->document, &asked->fresh);
	if (asked->fresh)
	{
		bytes = document_bytes(&argument->document);
		row->bytes += bytes;
		node->rows.bytes += bytes;
		session->unsent = true;
	}
	return NODE_ASKED;
}

/*
 * Through a router
 */

typedef struct RouteStep
{
	const NodeSession *session;
	const NodeArgument *argument;
	bool		is_jsonb;
	NodeAsked  *asked;
} RouteStep;

static void
route_attempt(void *argument)
{
	RouteStep  *step = argument;
	NodeAsked  *asked = step->asked;

	gepa_apply_route(step->session->router, step->argument->value, step->is_jsonb,
					 asked->answer != NULL ? &asked->answer->verdict.verdict : NULL,
					 &asked->route);
}

/* Returns false when a condition raised, or might, where that cannot be caught. */
static bool
route(RouteStep *step)
{
	if (!step->session->caught)
		route_attempt(step);
	else if (IsInParallelMode() || !gepa_node_attempt(route_attempt, step))
		return false;
	return true;
}

/*
 * Judges are asked one after the other, until one has the last word; what a rule has
 * to know of a judge is waited for as a guard is.
 */
static NodeCallState
ask_routed(NodeState *node, NodeRow *row, int i, NodeSession *router, NodeArgument *argument)
{
	NodeAsked  *asked = &row->calls[i];
	RouteStep	step = {router, argument, node->chain.calls[i].kind == NODE_CALL_JSONB, asked};
	NodeCallState state = NODE_ASKED;

	while (state == NODE_ASKED && asked->route.step != APPLY_ROUTE_DECIDED)
	{
		NodeSession *session;

		if (asked->answer != NULL && asked->answer->state != APPLY_KNOWN)
			return NODE_OPEN;
		if (!route(&step))
			return NODE_LEFT;
		if (asked->route.step == APPLY_ROUTE_FAILED)
			return NODE_ASKED;
		gepa_node_call_leave(node, asked, true);
		session = gepa_node_session(node->execution, asked->route.target->written,
									asked->route.target);
		node->unopened = session == NULL;
		if (session == NULL || session->judge == NULL)
			return NODE_LEFT;
		state = ask_document(node, row, i, session, argument);
	}
	return state;
}

static NodeCallState
ask(NodeState *node, NodeRow *row, int site)
{
	int			i = node->chain.sites[site].call;
	NodeCall   *call = &node->chain.calls[i];
	const NodeAhead *content = &node->chain.arguments[call->argument];
	Readiness	ready = Min(readiness(node, row, &call->name, site),
							readiness(node, row, content, site));
	NodeArgument *argument;
	NodeSession *session;
	NodeCallState state;

	if (ready != READY)
		return ready == NOT_YET ? NODE_OPEN : NODE_LEFT;
	session = judge_of(node, row, call, &state);
	if (session == NULL)
		return state;
	argument = argument_of(node, row, call->argument);
	if (!argument->ok)
		return NODE_LEFT;
	if (argument->isnull)
		return NODE_SKIPPED;
	if (session->router != NULL)
		return ask_routed(node, row, i, session, argument);
	return ask_document(node, row, i, session, argument);
}

/* In the order of evaluation, so that whatever a site waits for was looked at. */
static void
look_at_sites(NodeState *node, NodeRow *row)
{
	for (int i = 0; i < node->chain.nsites; i++)
	{
		NodeAsked  *call = &row->calls[node->chain.sites[i].call];

		if (call->state != NODE_OPEN)
			continue;
		if (row->sites[i] == NODE_OPEN)
			row->sites[i] = look_at_site(node, row, i);
		if (row->sites[i] == NODE_ASKED)
			call->state = ask(node, row, i);
	}
}

/* What is evaluated lives until the next row is looked at. */
void
gepa_node_advance(NodeState *node, NodeRow *row)
{
	MemoryContext old;

	if (row->nopen == 0)
		return;
	ResetExprContext(node->ahead);
	old = MemoryContextSwitchTo(node->ahead->ecxt_per_tuple_memory);
	node->ahead->ecxt_scantuple = NULL;
	for (int i = 0; i < node->chain.narguments; i++)
		node->arguments[i].evaluated = false;
	look_at_sites(node, row);
	row->nopen = 0;
	for (int i = 0; i < node->chain.ncalls; i++)
	{
		if (row->calls[i].state == NODE_OPEN)
			row->calls[i].state = sum_up(node, row, i, node->chain.nsites);
		row->nopen += row->calls[i].state == NODE_OPEN;
	}
	node->rows.nparked -= row->nopen == 0;
	MemoryContextSwitchTo(old);
}
