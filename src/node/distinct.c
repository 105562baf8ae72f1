/*-------------------------------------------------------------------------
 *
 * distinct.c
 *	  How many different documents a condition asks about.
 *
 * Equal documents are one call: a judge of ten thousand pages' titles may cost less
 * than one of a hundred of their texts.  A finished plan has no statistics at hand, so
 * a column is followed down to the table that it comes from.  What cannot be
 * followed is taken to be different in each row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "node/node_lift.h"

typedef struct Search
{
	const PlannedStmt *stmt;
	const Plan *plan;
	double		rows;
	double		documents;		/* of the call that is looked at */
	double		share;			/* the largest of those so far */
} Search;

static double
count_rows(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	double		rows = 0;

	if (!HeapTupleIsValid(tuple))
		return 0;
	rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	return Max(rows, 0);
}

/* 0 = not known; of_all: with those of its children. */
static double
count_values(Oid relation, AttrNumber column, bool of_all)
{
	HeapTuple	tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relation),
										Int16GetDatum(column), BoolGetDatum(of_all));
	double		values;

	if (!HeapTupleIsValid(tuple))
		return 0;
	values = ((Form_pg_statistic) GETSTRUCT(tuple))->stadistinct;
	ReleaseSysCache(tuple);
	return values < 0 ? -values * count_rows(relation) : values;
}

/* A column of the partitioned table of a partition, or, if there is no more, of one. */
static double
count_values_of_all(Oid relation, AttrNumber column, int nsources)
{
	double		values = 0;
	Oid			root;

	if (get_rel_relispartition(relation))
	{
		root = llast_oid(get_partition_ancestors(relation));
		values = count_values(root, get_attnum(root, get_attname(relation, column, false)), true);
	}
	return values > 0 ? values : nsources * count_values(relation, column, false);
}

/* The plan whose target list a Var refers to; NULL = none, or not known. */
static const Plan *
find_source(const Plan *plan, const Var *var, int *nsources)
{
	const List *plans = NIL;

	if (IsA(plan, SubqueryScan))
		return ((const SubqueryScan *) plan)->subplan;
	if (var->varno == INNER_VAR)
		return plan->righttree;
	if (var->varno != OUTER_VAR)
		return NULL;
	if (IsA(plan, Append))
		plans = ((const Append *) plan)->appendplans;
	else if (IsA(plan, MergeAppend))
		plans = ((const MergeAppend *) plan)->mergeplans;
	if (plans == NIL)
		return plan->lefttree;
	*nsources *= list_length(plans);
	return linitial(plans);
}

/* 0 = not known. */
static double
count_different(const PlannedStmt *stmt, const Plan *plan, const Var *var)
{
	const RangeTblEntry *entry;
	int			nsources = 1;
	const Plan *source;

	while ((source = find_source(plan, var, &nsources)) != NULL)
	{
		if (var->varattno <= 0 || var->varattno > list_length(source->targetlist))
			return 0;
		plan = source;
		var = (const Var *) ((TargetEntry *) list_nth(plan->targetlist,
													  var->varattno - 1))->expr;
		if (!IsA(var, Var))
			return 0;
	}
	if (IS_SPECIAL_VARNO(var->varno) || var->varattno <= 0)
		return 0;
	entry = rt_fetch(var->varno, stmt->rtable);
	if (entry->rtekind != RTE_RELATION)
		return 0;
	return nsources > 1 ? count_values_of_all(entry->relid, var->varattno, nsources) :
		count_values(entry->relid, var->varattno, false);
}

static bool
multiply_values(Node *node, void *context)
{
	Search	   *search = context;
	double		values;

	if (node == NULL)
		return false;
	if (!IsA(node, Var))
		return expression_tree_walker(node, multiply_values, context);
	values = count_different(search->stmt, search->plan, (const Var *) node);
	search->documents *= values > 0 ? values : search->rows;
	return false;
}

static bool
look_at_calls(Node *node, void *context)
{
	Search	   *search = context;

	if (node == NULL)
		return false;
	if (gepa_node_call_kind(node) != NODE_NO_CALL)
	{
		search->documents = 1;
		(void) multiply_values(lsecond(((FuncExpr *) node)->args), search);
		search->share = Max(search->share, search->documents / search->rows *
							(1 - exp(-search->rows / search->documents)));
	}
	return expression_tree_walker(node, look_at_calls, context);
}

double
gepa_node_different(const PlannedStmt *stmt, const Plan *plan, const Node *condition,
					double rows)
{
	Search		search = {.stmt = stmt,.plan = plan,.rows = Max(rows, 1)};

	(void) look_at_calls(unconstify(Node *, condition), &search);
	return Min(search.share, 1);
}
