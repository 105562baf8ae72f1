/*-------------------------------------------------------------------------
 *
 * support.c
 *	  What the planner asks about a predicate.
 *
 * How many rows it lets pass, and what a row costs.  The cost is moderate on
 * purpose.  A call takes as long as a million comparisons of numbers, but a plan
 * whose cost is all calls hides how its tables are read (paths that differ by
 * less than 1 % are equal to the planner), crosses jit_above_cost at a handful of
 * rows, and does not get any better for it: which rows are judged is decided
 * by the conditions.  So the cost grows with the logarithm of the time, from that of a
 * thousand operators for a verdict that is stored to four times as much: cheap
 * conditions come first, and of two judges the faster one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "node/node_internal.h"

/* In operators, as the COST of a function. */
#define LEAST_COST 1000
#define MOST_COST 4000
#define COST_PER_DOUBLING 250	/* of the milliseconds per row */

/*
 * By name.  What a role may not execute it is told nothing about; run time says
 * why.
 */
static const NodeFacts *
judge_of(const Node *call)
{
	const char *name;
	const NodeFacts *facts;

	if (gepa_node_call_kind(call) == NODE_NO_CALL ||
		!gepa_may_execute(((const FuncExpr *) call)->funcid, GetUserId()))
		return NULL;
	name = gepa_node_judge_name(call);
	if (name == NULL)
		return NULL;
	facts = gepa_node_facts(name);
	if (facts == NULL)
		(void) gepa_store_get_version(name, 0); /* says so */
	return facts;
}

static Var *
document_column(const FuncExpr *call)
{
	List	   *vars = pull_var_clause(lsecond(call->args), PVC_RECURSE_AGGREGATES |
									   PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS);
	Var		   *var = vars != NIL ? linitial(vars) : NULL;

	return var != NULL && var->varlevelsup == 0 && var->varattno > 0 ? var : NULL;
}

/* The relation that the documents come from; NULL where that is not simple. */
static RelOptInfo *
document_relation(PlannerInfo *root, const Var *var)
{
	if (root == NULL || var == NULL || root->simple_rel_array == NULL ||
		var->varno >= root->simple_rel_array_size)
		return NULL;
	return root->simple_rel_array[var->varno];
}

static double
document_rows(PlannerInfo *root, const FuncExpr *call)
{
	RelOptInfo *rel = document_relation(root, document_column(call));

	return rel != NULL ? Max(rel->tuples, rel->rows) : 0;
}

/* As statistics have it, which count what lies out of line by its pointer. */
static double
document_width(PlannerInfo *root, const FuncExpr *call)
{
	Var		   *var = document_column(call);
	RelOptInfo *rel = document_relation(root, var);
	int			width = 0;

	if (rel != NULL && rel->rtekind == RTE_RELATION)
		width = get_attavgwidth(planner_rt_fetch(var->varno, root)->relid, var->varattno);
	return width > 0 ? width : get_typavgwidth(TEXTOID, -1);
}

static double
cost_of(double row_ms)
{
	double		doublings = log2(1 + row_ms);

	return Min(LEAST_COST + COST_PER_DOUBLING * doublings, MOST_COST);
}

static Node *
answer_cost(SupportRequestCost *request)
{
	const FuncExpr *call = (const FuncExpr *) request->node;
	const NodeFacts *facts = judge_of(request->node);
	double		row_ms = 0;

	if (facts != NULL)
	{
		double		rows = document_rows(request->root, call);
		NodeEstimate estimate;

		gepa_node_estimate(facts, rows, document_width(request->root, call), &estimate);
		row_ms = estimate.seconds * 1000 / Max(rows, 1);
	}
	request->startup = 0;
	request->per_tuple = cost_of(row_ms) * cpu_operator_cost;
	return (Node *) request;
}

static Node *
answer_selectivity(SupportRequestSelectivity *request)
{
	FuncExpr	call = {.xpr.type = T_FuncExpr,.funcid = request->funcid,.args = request->args};
	const NodeFacts *facts = judge_of((Node *) &call);

	if (facts == NULL)
		return NULL;
	request->selectivity = facts->pass_rate;
	return (Node *) request;
}

PG_FUNCTION_INFO_V1(gepa_predicate_support);
Datum
gepa_predicate_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *answer = NULL;

	if (IsA(request, SupportRequestCost))
		answer = answer_cost((SupportRequestCost *) request);
	else if (IsA(request, SupportRequestSelectivity))
		answer = answer_selectivity((SupportRequestSelectivity *) request);
	PG_RETURN_POINTER(answer);
}
