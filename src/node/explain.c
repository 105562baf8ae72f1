/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  The judge node in EXPLAIN.
 *
 * For each judge that is named by a constant: what it is, and what the node expects to
 * take; with ANALYZE what the node did.  Nothing is asked for it: plain EXPLAIN
 * reads what is stored (estimate.c).  Of a judge's version and LM a role is told
 * what gepa.judges shows it.
 *
 * In text, figures that are 0 are left out, as PostgreSQL does with buffers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"

#include "base/compat.h"
#include "node/node_exec.h"

/* A judge of the node, and the rows that get to its calls. */
typedef struct Judge
{
	const char *name;
	double		rows;
	bool		is_estimated;
	NodeEstimate estimate;
} Judge;

/* The calls of a node in the order of evaluation. */
typedef struct Calls
{
	List	   *seen;			/* their arguments: equal ones are one */
	List	   *judges;
	double		rows;			/* that get to the expression looked at */
} Calls;

/*
 * What is expected
 */

static Judge *
judge_by_name(Calls *calls, const char *name)
{
	ListCell   *cell;
	Judge	   *judge;

	foreach(cell, calls->judges)
	{
		judge = lfirst(cell);
		if (strcmp(judge->name, name) == 0)
			return judge;
	}
	judge = palloc0(sizeof(Judge));
	judge->name = name;
	calls->judges = lappend(calls->judges, judge);
	return judge;
}

static bool
add_calls(Node *node, void *context)
{
	Calls	   *calls = context;
	const char *name;

	if (node == NULL)
		return false;
	if (gepa_node_call_kind(node) != NODE_NO_CALL &&
		!list_member(calls->seen, ((FuncExpr *) node)->args))
	{
		calls->seen = lappend(calls->seen, ((FuncExpr *) node)->args);
		name = gepa_node_judge_name(node);
		if (name != NULL)
			judge_by_name(calls, name)->rows += calls->rows;
	}
	return expression_tree_walker(node, add_calls, context);
}

/* Conditions let the share of rows pass that is expected of them, in this order. */
static List *
find_judges(const CustomScan *scan, double rows)
{
	Calls		calls = {.rows = rows};
	ListCell   *cell;

	add_calls((Node *) scan->custom_exprs, &calls);
	foreach(cell, scan->scan.plan.qual)
	{
		double		row_ms;
		double		selectivity;

		add_calls(lfirst(cell), &calls);
		gepa_node_estimate_condition(lfirst(cell), rows, &row_ms, &selectivity);
		calls.rows *= selectivity;
	}
	add_calls((Node *) scan->scan.plan.targetlist, &calls);
	return calls.judges;
}

/* As of now: what a query stores makes what it was expected to take look less. */
List *
gepa_node_expect(const CustomScan *scan)
{
	NodePlan	plan;
	List	   *judges;
	ListCell   *cell;

	gepa_node_unpack(scan, &plan);
	judges = find_judges(scan, plan.rows);
	foreach(cell, judges)
	{
		Judge	   *judge = lfirst(cell);
		const NodeFacts *facts = gepa_node_facts(judge->name);

		judge->is_estimated = facts != NULL;
		if (facts != NULL)
			gepa_node_estimate(facts, judge->rows, outerPlan(scan)->plan_width,
							   &judge->estimate);
	}
	return judges;
}

/* As gepa.judges shows it, and gepa.routers. */
static bool
is_visible(const NodeFacts *facts)
{
	return facts != NULL &&
		(facts->lm != NULL ||
		 has_privs_of_role(GetUserId(), facts->router != NULL ? facts->router->owner :
						   facts->version->owner));
}

static void
show_router(const StoreRouter *router, ExplainState *es)
{
	List	   *judges = NIL;
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "%s, version %d, router to", router->name, router->version);
	for (int i = 0; i < router->ntargets; i++)
	{
		judges = lappend(judges, router->targets[i]->written);
		appendStringInfo(&line, "%s %s", i > 0 ? "," : "", router->targets[i]->written);
	}
	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyText("Judge", line.data, es);
		return;
	}
	ExplainPropertyText("Name", router->name, es);
	ExplainPropertyInteger("Version", NULL, router->version, es);
	ExplainPropertyList("Router To", judges, es);
}

static void
show_identity(const char *name, const NodeFacts *facts, ExplainState *es)
{
	const char *lm = facts != NULL ? facts->version->lm : NULL;

	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyText("Judge", facts == NULL ? name :
							psprintf("%s, version %d, on LM %s%s%s", name,
									 facts->version->version, lm,
									 facts->lm != NULL ? ", model " : "",
									 facts->lm != NULL ? facts->lm->model : ""), es);
		return;
	}
	ExplainPropertyText("Name", name, es);
	if (facts == NULL)
		return;
	ExplainPropertyInteger("Version", NULL, facts->version->version, es);
	ExplainPropertyText("LM", lm, es);
	if (facts->lm != NULL)
		ExplainPropertyText("Model", facts->lm->model, es);
}

static void
show_estimate(const NodeEstimate *estimate, double rows, ExplainState *es)
{
	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		es->indent++;
		ExplainPropertyText("Expected",
							psprintf("rows=%.0f stored=%.0f requests=%.0f input tokens=%.0f"
									 " output tokens=%.0f cost=%.4f time=%.1f s",
									 rows, estimate->stored, estimate->calls,
									 estimate->input_tokens, estimate->output_tokens,
									 estimate->cost, estimate->seconds), es);
		es->indent--;
		return;
	}
	ExplainPropertyFloat("Expected Rows", NULL, rows, 0, es);
	ExplainPropertyFloat("Expected Stored", NULL, estimate->stored, 0, es);
	ExplainPropertyFloat("Expected Requests", NULL, estimate->calls, 0, es);
	ExplainPropertyFloat("Expected Input Tokens", NULL, estimate->input_tokens, 0, es);
	ExplainPropertyFloat("Expected Output Tokens", NULL, estimate->output_tokens, 0, es);
	ExplainPropertyFloat("Expected Cost", NULL, estimate->cost, 4, es);
	ExplainPropertyFloat("Expected Time", "s", estimate->seconds, 1, es);
}

/*
 * What was done
 */

/* Of a judge that was not asked, all are 0. */
static const NodeFigures *
figures_of(const CustomScanState *node, const char *judge)
{
	static const NodeFigures none;

	for (const NodeTally *tally = gepa_node_tallies(node); tally != NULL; tally = tally->next)
		if (strcmp(tally->judge, judge) == 0)
			return &tally->figures;
	return &none;
}

/* " name=value" for each that is not 0. */
static void
add_count(StringInfo line, const char *name, int64 value)
{
	if (value != 0)
		appendStringInfo(line, "%s%s=" INT64_FORMAT, line->len > 0 ? " " : "", name, value);
}

static void
show_line(const char *label, StringInfo line, ExplainState *es)
{
	if (line->len > 0)
		ExplainPropertyText(label, line->data, es);
	resetStringInfo(line);
}

static void
show_text(const NodeFigures *figures, ExplainState *es)
{
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "requests=" INT64_FORMAT, figures->requests);
	add_count(&line, "coalesced", figures->coalesced);
	add_count(&line, "stored", figures->stored);
	add_count(&line, "elsewhere", figures->elsewhere);
	add_count(&line, "retries", figures->retries);
	add_count(&line, "throttled", figures->throttled);
	add_count(&line, "wasted", figures->wasted);
	show_line("Calls", &line, es);
	for (int i = 0; i < lengthof(figures->failures); i++)
		if (i != GEPA_STATUS_OK)
			add_count(&line, gepa_status_name(i), figures->failures[i]);
	show_line("Failures", &line, es);
	add_count(&line, "peak", figures->peak);
	show_line("In Flight", &line, es);
	if (es->timing && figures->requests > 0)
		appendStringInfo(&line, "p50=%.3f ms p95=%.3f ms", gepa_node_latency(figures, 0.5),
						 gepa_node_latency(figures, 0.95));
	show_line("Latency", &line, es);
	add_count(&line, "input", figures->input_tokens);
	add_count(&line, "output", figures->output_tokens);
	if (figures->cost > 0)
		appendStringInfo(&line, " cost=%.4f", figures->cost);
	show_line("Tokens", &line, es);
}

static void
show_failures(const NodeFigures *figures, ExplainState *es)
{
	ExplainOpenGroup("Failures", "Failures", true, es);
	for (int i = 0; i < lengthof(figures->failures); i++)
		if (i != GEPA_STATUS_OK && figures->failures[i] > 0)
			ExplainPropertyInteger(gepa_status_name(i), NULL, figures->failures[i], es);
	ExplainCloseGroup("Failures", "Failures", true, es);
}

static void
show_properties(const NodeFigures *figures, ExplainState *es)
{
	ExplainPropertyInteger("Requests", NULL, figures->requests, es);
	ExplainPropertyInteger("Coalesced", NULL, figures->coalesced, es);
	ExplainPropertyInteger("Stored", NULL, figures->stored, es);
	ExplainPropertyInteger("Elsewhere", NULL, figures->elsewhere, es);
	ExplainPropertyInteger("Retries", NULL, figures->retries, es);
	ExplainPropertyInteger("Throttled", NULL, figures->throttled, es);
	ExplainPropertyInteger("Wasted", NULL, figures->wasted, es);
	show_failures(figures, es);
	ExplainPropertyInteger("Peak In Flight", NULL, figures->peak, es);
	if (es->timing)
	{
		ExplainPropertyFloat("Latency P50", "ms", gepa_node_latency(figures, 0.5), 3, es);
		ExplainPropertyFloat("Latency P95", "ms", gepa_node_latency(figures, 0.95), 3, es);
	}
	ExplainPropertyInteger("Input Tokens", NULL, figures->input_tokens, es);
	ExplainPropertyInteger("Output Tokens", NULL, figures->output_tokens, es);
	ExplainPropertyFloat("Cost", NULL, figures->cost, 4, es);
}

/*
 * Both
 */

static void
show_figures(const NodeFigures *figures, ExplainState *es)
{
	if (es->format != EXPLAIN_FORMAT_TEXT)
	{
		show_properties(figures, es);
		return;
	}
	es->indent++;
	show_text(figures, es);
	es->indent--;
}

static void
show_judge(const Judge *judge, const CustomScanState *node, ExplainState *es)
{
	const NodeFacts *facts = gepa_node_facts(judge->name);

	bool		is_router = facts != NULL && facts->router != NULL;

	ExplainOpenGroup("Judge", NULL, true, es);
	if (is_router && is_visible(facts))
		show_router(facts->router, es);
	else
		show_identity(judge->name, is_visible(facts) ? facts : NULL, es);
	if (es->costs && judge->is_estimated && is_visible(facts))
		show_estimate(&judge->estimate, judge->rows, es);
	if (es->analyze && !is_router)
		show_figures(figures_of(node, judge->name), es);
	ExplainCloseGroup("Judge", NULL, true, es);
}

/* With those whose names are not constants, if they have been asked. */
static List *
list_judges(const CustomScanState *node)
{
	Calls		calls = {.judges = ((const NodeState *) node)->expected};

	if (calls.judges == NIL)
		calls.judges = gepa_node_expect((const CustomScan *) node->ss.ps.plan);
	for (const NodeTally *tally = gepa_node_tallies(node); tally != NULL; tally = tally->next)
		(void) judge_by_name(&calls, tally->judge);
	return calls.judges;
}

void
gepa_node_explain(CustomScanState *node, List *ancestors, struct ExplainState *es)
{
	ListCell   *cell;

	ExplainOpenGroup("Judges", "Judges", false, es);
	foreach(cell, list_judges(node))
		show_judge(lfirst(cell), node, es);
	ExplainCloseGroup("Judges", "Judges", false, es);
	if (es->analyze)
		ExplainPropertyInteger("Rows Ahead", NULL, gepa_node_figures(node)->window, es);
}
