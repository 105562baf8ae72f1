/*-------------------------------------------------------------------------
 *
 * place_scan.c
 *	  Making a judge node.
 *
 * It is a CustomScan of no relation.  custom_scan_tlist is what its child
 * returns, as OUTER_VAR, so that EXPLAIN finds the names; its own expressions
 * refer to custom_scan_tlist as INDEX_VAR.  It stands where its child stood, and
 * so depends on the parameters that its child depends on.  The child's initPlans
 * become its own, as either may use their results.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "node/node_place.h"

Var *
gepa_node_make_var(const Expr *output, int varno, AttrNumber number)
{
	const Node *node = (const Node *) output;
	Var		   *var = makeVar(varno, number, exprType(node), exprTypmod(node),
							  exprCollation(node), 0);

	/* What it was called, as far as the planner keeps it. */
	var->varnosyn = 0;
	var->varattnosyn = 0;
	if (IsA(output, Var))
	{
		var->varnosyn = ((const Var *) output)->varnosyn;
		var->varattnosyn = ((const Var *) output)->varattnosyn;
	}
	return var;
}

List *
gepa_node_make_outputs(const List *targetlist, int varno)
{
	List	   *outputs = NIL;
	ListCell   *cell;

	foreach(cell, targetlist)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(cell));

		entry->expr = (Expr *) gepa_node_make_var(entry->expr, varno, entry->resno);
		outputs = lappend(outputs, entry);
	}
	return outputs;
}

static Node *
refer_to_child(Node *node, void *context)
{
	Var		   *var;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, refer_to_child, context);
	var = copyObject((Var *) node);
	Assert(var->varno == OUTER_VAR);
	var->varno = INDEX_VAR;
	return (Node *) var;
}

List *
gepa_node_refer_to_child(const List *expressions)
{
	return (List *) refer_to_child((Node *) unconstify(List *, expressions), NULL);
}

void
gepa_node_stand_above(Plan *plan, Plan *child, int *last_id)
{
	NodeTag		tag = plan->type;

	/* Costs, parameters, and whatever else a release has in store. */
	*plan = *child;
	plan->type = tag;
	plan->parallel_aware = false;
	plan->async_capable = false;
	plan->plan_node_id = ++*last_id;
	plan->targetlist = NIL;
	plan->qual = NIL;
	plan->lefttree = child;
	plan->righttree = NULL;
	plan->extParam = bms_copy(child->extParam);
	plan->allParam = bms_copy(child->allParam);

	child->initPlan = NIL;
	child->async_capable = false;
}

CustomScan *
gepa_node_make_scan(Plan *child, int *last_id)
{
	CustomScan *scan = makeNode(CustomScan);

	gepa_node_stand_above(&scan->scan.plan, child, last_id);
	scan->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	scan->methods = &gepa_node_scan_methods;
	return scan;
}
