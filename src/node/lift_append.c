/*-------------------------------------------------------------------------
 *
 * lift_append.c
 *	  Conditions with calls above an Append.
 *
 *	 Append								Result
 *	   ->  Scan p1						  Filter: j('x', body)
 *			 Filter: j('x', body)		  ->  Append
 *	   ->  Scan p2							   ->  Scan p1
 *			 Filter: j('x', body)			   ->  Scan p2
 *
 * The children of an Append come one after the other, so a window in each would
 * run empty at the end of each.  Conditions that are the same in all of them, but for
 * where their columns are, go to a Result above.  So do calls in the target list,
 * which the planner evaluates below the Append of a partitioned table: there they
 * leave a NULL in their place.  Pruning and asynchronous reading go on as before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "node/node_lift.h"
#include "node/node_place.h"

typedef struct Child
{
	Plan	   *source;			/* has the conditions */
	List	   *way;			/* plans from there to the Append, itself
								 * first */
	List	   *conditions;
	List	   *outputs;		/* entries of its target list with calls */
	List	   *columns;		/* Vars that these refer to, in order of
								 * appearance */
	List	   *shape;			/* conditions and outputs, with numbers of
								 * columns */
} Child;

/*
 * Comparing
 */

static int
number_of_column(Child *child, const Var *var)
{
	ListCell   *cell;

	foreach(cell, child->columns)
	{
		const Var  *known = lfirst(cell);

		if (known->varno == var->varno && known->varattno == var->varattno)
			return foreach_current_index(cell) + 1;
	}
	child->columns = lappend(child->columns, unconstify(Var *, var));
	return list_length(child->columns);
}

static Node *
abstract(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = gepa_node_make_var((Expr *) node, OUTER_VAR,
											 number_of_column(context, (Var *) node));

		var->varnosyn = 0;
		var->varattnosyn = 0;
		return (Node *) var;
	}
	return expression_tree_mutator(node, abstract, context);
}

/* Those that can be evaluated later; the others are returned in *others. */
static List *
calls_put_out(const Plan *plan, List **others)
{
	List	   *outputs = NIL;
	ListCell   *cell;

	*others = NIL;
	foreach(cell, plan->targetlist)
	{
		TargetEntry *entry = lfirst(cell);

		if (gepa_node_has_calls((Node *) entry->expr) &&
			gepa_node_can_move((Node *) entry->expr))
			outputs = lappend(outputs, makeTargetEntry(entry->expr, entry->resno, NULL, false));
		else
			*others = lappend(*others, entry);
	}
	return outputs;
}

/* The child of a plan that conditions go through, or NULL. */
static Plan *
passed_child(const Lift *lift, const Plan *plan)
{
	if (gepa_node_is_passed(plan))
		return plan->lefttree;
	if (IsA(plan, SubqueryScan) && plan->qual == NIL && plan->initPlan == NIL &&
		gepa_node_is_safe_here(&lift->safety, plan->targetlist))
		return ((const SubqueryScan *) plan)->subplan;
	return NULL;
}

static bool
examine(Lift *lift, Child *child, Plan *plan)
{
	List	   *others;
	Plan	   *below;

	child->way = list_make1(plan);
	while ((below = passed_child(lift, plan)) != NULL)
	{
		plan = below;
		child->way = lcons(plan, child->way);
	}
	child->source = plan;
	if (!gepa_node_is_source(plan))
		return false;
	/* What comes through a Sort may be what it sorts by. */
	if (list_length(child->way) == 1)
		child->outputs = calls_put_out(plan, &others);
	else
		others = plan->targetlist;
	child->conditions = gepa_node_liftable(lift, plan, others);
	child->shape = (List *) abstract((Node *) list_make2(child->conditions, child->outputs),
									 child);
	return child->conditions != NIL || child->outputs != NIL;
}

static int
number_of_outputs(const Plan *plan)
{
	return list_length(plan->targetlist);
}

static Child *
examine_all(Lift *lift, const Plan *append, const List *plans)
{
	int			n = list_length(plans);
	Child	   *children = palloc0(n * sizeof(Child));

	for (int i = 0; i < n; i++)
	{
		if (!examine(lift, &children[i], list_nth(plans, i)) ||
			!equal(children[0].shape, children[i].shape) ||
			number_of_outputs(list_nth(plans, i)) != number_of_outputs(append))
			return NULL;
	}
	return n > 0 ? children : NULL;
}

/*
 * Columns
 */

/* How a plan refers to a column that its child, or the source's table, has. */
static const Var *
var_of(const Plan *plan, const Var *column, AttrNumber number)
{
	if (number == 0)
		return column;
	return gepa_node_make_var((const Expr *) column,
							  IsA(plan, SubqueryScan) ? ((const Scan *) plan)->scanrelid :
							  OUTER_VAR, number);
}

/* Where the topmost plan returns a column of the source already, or 0. */
static AttrNumber
find_column(const Child *child, const Var *column)
{
	AttrNumber	number = 0;
	ListCell   *cell;

	foreach(cell, child->way)
	{
		number = gepa_node_find_output(lfirst(cell), var_of(lfirst(cell), column, number));
		if (number == 0)
			return 0;
	}
	return number;
}

static void
add_column(const Child *child, const Var *column)
{
	AttrNumber	number = 0;
	ListCell   *cell;

	foreach(cell, child->way)
		number = gepa_node_add_output(lfirst(cell), var_of(lfirst(cell), column, number));
}

/* A column that all children return at one place, or do from now on. */
static AttrNumber
share_column(Plan *append, Child *children, int n, int column)
{
	const Var  *first = list_nth(children[0].columns, column);
	AttrNumber	number = find_column(&children[0], first);

	for (int i = 1; i < n && number != 0; i++)
	{
		if (find_column(&children[i], list_nth(children[i].columns, column)) != number)
			number = 0;
	}
	if (number != 0)
		return number;
	for (int i = 0; i < n; i++)
		add_column(&children[i], list_nth(children[i].columns, column));
	return gepa_node_add_output(append, gepa_node_make_var((const Expr *) first, OUTER_VAR,
														   list_length(append->targetlist) + 1));
}

static Node *
refer_to_shared(Node *node, void *context)
{
	const AttrNumber *numbers = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = copyObject((Var *) node);

		var->varattno = numbers[var->varattno - 1];
		return (Node *) var;
	}
	return expression_tree_mutator(node, refer_to_shared, context);
}

/*
 * Moving
 */

/* It stands where the Append stood, and returns what that returned. */
static Plan *
make_result(Lift *lift, Plan *append)
{
	Result	   *result = makeNode(Result);

	gepa_node_stand_above(&result->plan, append, &lift->last_id);
	result->plan.targetlist = gepa_node_make_outputs(append->targetlist, OUTER_VAR);
	lift->results = lappend(lift->results, result);
	return &result->plan;
}

static Node *
null_in_place_of(const TargetEntry *output)
{
	const Node *node = (const Node *) output->expr;

	return (Node *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node));
}

static void
leave_behind(Child *child, double selectivity)
{
	ListCell   *cell;

	foreach(cell, child->outputs)
	{
		const TargetEntry *output = lfirst(cell);
		TargetEntry *entry = list_nth(child->source->targetlist, output->resno - 1);

		entry->expr = (Expr *) null_in_place_of(output);
	}
	child->source->qual = list_difference_ptr(child->source->qual, child->conditions);
	foreach(cell, child->way)
		gepa_node_widen(lfirst(cell), selectivity);
}

/* By what is above the Append, in place of what came from below. */
static void
take_over(Plan *result, const List *conditions, const List *outputs)
{
	ListCell   *cell;

	result->qual = unconstify(List *, conditions);
	foreach(cell, outputs)
	{
		const TargetEntry *output = lfirst(cell);
		TargetEntry *entry = list_nth(result->targetlist, output->resno - 1);

		entry->expr = output->expr;
	}
}

static Plan *
lift_children(Lift *lift, Plan *append, Child *children, int n)
{
	Plan	   *result = make_result(lift, append);
	List	   *lifted;
	int			ncolumns = list_length(children[0].columns);
	AttrNumber *numbers = palloc(Max(ncolumns, 1) * sizeof(AttrNumber));
	double		selectivity = gepa_node_selectivity(children[0].conditions, append->plan_rows);

	for (int column = 0; column < ncolumns; column++)
		numbers[column] = share_column(append, children, n, column);
	lifted = (List *) refer_to_shared((Node *) children[0].shape, numbers);
	take_over(result, linitial(lifted), lsecond(lifted));
	for (int i = 0; i < n; i++)
		leave_behind(&children[i], selectivity);
	gepa_node_widen(append, selectivity);
	lift->changed = true;
	return result;
}

void
gepa_node_lift_above_append(Lift *lift, Plan **slot)
{
	Plan	   *append = *slot;
	List	   *plans = IsA(append, Append) ? ((Append *) append)->appendplans :
		((MergeAppend *) append)->mergeplans;
	Child	   *children = append->parallel_aware ? NULL : examine_all(lift, append, plans);

	if (children != NULL)
		*slot = lift_children(lift, append, children, list_length(plans));
}
