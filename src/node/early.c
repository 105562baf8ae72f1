/*-------------------------------------------------------------------------
 *
 * early.c
 *	  Who reads a judge node's rows, and how far.
 *
 * How far a judge node reads ahead depends on what becomes of its rows.  Above a Sort
 * all of them will be wanted; below a LIMIT perhaps none but the first.  That is
 * read off the plan, from the top down, and noted in each node's NodePlan.
 *
 * Where a plan node of which nothing is known comes between, its reader may stop
 * at any row.  A cursor may, too, but that shows only when it is read: here the
 * top of a statement is read to its end.
 *
 * A CTE is read by all its CteScans, and begins with any: it is read to its end
 * if all of them do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "node/node_place.h"
#include "node/node_plan.h"

typedef struct Reader
{
	NodeDemand	demand;
	Node	   *limit;
	Node	   *offset;
} Reader;

static const Reader reads_all = {NODE_ALL, NULL, NULL};

typedef struct Look
{
	PlannedStmt *stmt;
	NodeSafety	safety;
	NodeDemand *cte_demands;	/* by plan_id */
	bool	   *is_cte;
} Look;

static void look(Look *state, Plan *plan, Reader reader);

/*
 * The same rows, but perhaps not so many; or more.  So which is the second one is not
 * known any more.
 */
static Reader
unlimited(Reader reader)
{
	Reader		other = {reader.demand == NODE_REST ? NODE_SOME : reader.demand, NULL, NULL};

	return other;
}

/* As above, of one that may stop even if it is read to its end itself. */
static Reader
at_least(NodeDemand demand, Reader reader)
{
	Reader		other = {Max(demand, reader.demand), NULL, NULL};

	return other;
}

/*
 * Subqueries
 */

static Reader
reader_of_subplan(const SubPlan *subplan, bool is_initplan)
{
	Reader		reader = {NODE_SOME, NULL, NULL};

	switch (subplan->subLinkType)
	{
		case EXISTS_SUBLINK:
			reader.limit = (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
											  Int64GetDatum(1), false, FLOAT8PASSBYVAL);
			reader.demand = is_initplan ? NODE_SOME : NODE_FEW;
			break;
		case ALL_SUBLINK:
		case ANY_SUBLINK:
			reader.demand = subplan->useHashTable ? NODE_ALL : NODE_FEW;
			break;
		case ARRAY_SUBLINK:
			reader.demand = NODE_ALL;
			break;
		default:
			/* A second row is an error. */
			break;
	}
	return reader;
}

static void
look_into(Look *state, const SubPlan *subplan, bool is_initplan)
{
	Plan	   *plan = list_nth(state->stmt->subplans, subplan->plan_id - 1);

	if (subplan->subLinkType == CTE_SUBLINK)
		state->is_cte[subplan->plan_id] = true;
	else
		look(state, plan, reader_of_subplan(subplan, is_initplan));
}

static bool
look_into_expression(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan))
		look_into(context, (SubPlan *) node, false);
	return expression_tree_walker(node, look_into_expression, context);
}

static void
look_into_subqueries(Look *state, const Plan *plan)
{
	ListCell   *cell;

	gepa_node_walk_expressions(plan, look_into_expression, state);
	foreach(cell, plan->initPlan)
		look_into(state, lfirst(cell), true);
}

/*
 * Children
 */

static void
look_at(Look *state, Plan *child, Reader reader)
{
	if (child != NULL)
		look(state, child, reader);
}

static void
look_at_list(Look *state, List *plans, Reader reader)
{
	ListCell   *cell;

	foreach(cell, plans)
		look(state, lfirst(cell), reader);
}

static bool
is_countable(const Node *count)
{
	return count == NULL || IsA(count, Const) ||
		(IsA(count, Param) && ((const Param *) count)->paramkind == PARAM_EXTERN);
}

/* An OFFSET alone does not stop early, but makes a LIMIT above another one. */
static Reader
reader_of_limit(const Limit *limit, Reader reader)
{
	if (limit->limitCount == NULL)
		return unlimited(reader);
	reader = at_least(NODE_SOME, reader);
	if (limit->limitOption == LIMIT_OPTION_COUNT && is_countable(limit->limitCount) &&
		is_countable(limit->limitOffset))
	{
		reader.limit = limit->limitCount;
		reader.offset = limit->limitOffset;
	}
	return reader;
}

/*
 * The first row of the outer side is read before the inner side is known not to be
 * empty, unless the executor builds the hash table first (compare
 * ExecHashJoinImpl()).
 */
static Reader
reader_of_hashed(const Join *join, Reader reader)
{
	bool		all_outer = join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL ||
		join->jointype == JOIN_ANTI;

	if (all_outer || join->plan.lefttree->startup_cost >= join->plan.righttree->total_cost)
		return unlimited(reader);
	return at_least(NODE_REST, unlimited(reader));
}

static void
look_at_join(Look *state, const Join *join, Reader reader)
{
	bool		left = join->jointype == JOIN_LEFT || join->jointype == JOIN_ANTI ||
		join->jointype == JOIN_FULL;
	bool		few = join->jointype == JOIN_SEMI || join->jointype == JOIN_ANTI ||
		join->inner_unique;
	Reader		some = at_least(NODE_SOME, reader);

	switch (nodeTag(join))
	{
		case T_NestLoop:
			look(state, join->plan.lefttree, unlimited(reader));
			look(state, join->plan.righttree,
				 few ? at_least(NODE_FEW, reader) : unlimited(reader));
			break;
		case T_HashJoin:
			look(state, join->plan.lefttree, reader_of_hashed(join, reader));
			look(state, join->plan.righttree, reads_all);
			break;
		default:

			/*
			 * A merge join ends with either side, if that side has to have a
			 * match.
			 */
			look(state, join->plan.lefttree, left ? unlimited(reader) : some);
			look(state, join->plan.righttree,
				 join->jointype == JOIN_FULL || join->jointype == JOIN_RIGHT ?
				 unlimited(reader) : some);
	}
}

static Reader
reader_of_agg(const Agg *agg, Reader reader)
{
	return agg->aggstrategy == AGG_SORTED ? unlimited(reader) : reads_all;
}

static void
look_at_judge_node(Look *state, CustomScan *scan, Reader reader)
{
	Plan	   *child = scan->scan.plan.lefttree;
	NodePlan	plan;

	gepa_node_unpack(scan, &plan);
	plan.demand = reader.demand;
	plan.limit = copyObject(reader.limit);
	plan.offset = copyObject(reader.offset);
	plan.child_is_safe = gepa_node_is_safe_plan(&state->safety, child, true) &&
		!gepa_node_has_unsafe_params(&state->safety, &scan->scan.plan);
	state->safety.wants_steady = true;
	plan.child_is_steady = plan.child_is_safe &&
		gepa_node_is_safe_plan(&state->safety, child, true);
	state->safety.wants_steady = false;
	scan->custom_private = gepa_node_pack(&plan);
	look(state, child, scan->scan.plan.qual == NIL ? reader : unlimited(reader));
}

/* Of those that have children somewhere else, or read them in a way of their own. */
static bool
look_at_special(Look *state, Plan *plan, Reader reader)
{
	switch (nodeTag(plan))
	{
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
			look_at_join(state, (Join *) plan, reader);
			return true;
		case T_Append:
			look_at_list(state, ((Append *) plan)->appendplans, reader);
			return true;
		case T_MergeAppend:
			look_at_list(state, ((MergeAppend *) plan)->mergeplans, reader);
			return true;
		case T_SubqueryScan:
			look(state, ((SubqueryScan *) plan)->subplan,
				 plan->qual == NIL ? reader : unlimited(reader));
			return true;
		case T_CteScan:
			{
				NodeDemand *demand = &state->cte_demands[((CteScan *) plan)->ctePlanId];

				*demand = Max(*demand, Min(reader.demand, NODE_SOME));
				return true;
			}
		case T_CustomScan:
			if (gepa_node_is_judge(plan))
				look_at_judge_node(state, (CustomScan *) plan, reader);
			else
				look_at_list(state, ((CustomScan *) plan)->custom_plans,
							 at_least(NODE_SOME, reader));
			return gepa_node_is_judge(plan);
		default:
			return false;
	}
}

static Reader
reader_of_child(const Plan *plan, Reader reader)
{
	switch (nodeTag(plan))
	{
		case T_ModifyTable:
		case T_Hash:
		case T_Sort:
			return reads_all;
		case T_Limit:
			return reader_of_limit((const Limit *) plan, reader);
		case T_Agg:
			return reader_of_agg((const Agg *) plan, reader);
		case T_Result:
			return plan->qual == NIL ? reader : unlimited(reader);
		case T_Material:
		case T_LockRows:
			return reader;
		case T_ProjectSet:
		case T_IncrementalSort:
		case T_Group:
		case T_Unique:
		case T_RecursiveUnion:
			return unlimited(reader);
		case T_Memoize:
			return ((const Memoize *) plan)->singlerow ? at_least(NODE_FEW, reader) :
				unlimited(reader);
		case T_SetOp:
			return ((const SetOp *) plan)->strategy == SETOP_HASHED ? reads_all :
				at_least(NODE_SOME, reader);
		case T_WindowAgg:
			return ((const WindowAgg *) plan)->runCondition == NIL ? unlimited(reader) :
				at_least(NODE_SOME, reader);
		default:
			return at_least(NODE_SOME, reader);
	}
}

static void
look(Look *state, Plan *plan, Reader reader)
{
	look_into_subqueries(state, plan);
	if (!look_at_special(state, plan, reader))
	{
		reader = reader_of_child(plan, reader);
		look_at(state, plan->lefttree, reader);
		look_at(state, plan->righttree, reader);
	}
}

/* What refers to a CTE is in the main plan, or in a subplan that was planned later. */
static void
look_at_ctes(Look *state, int nplans)
{
	for (int id = nplans; id > 0; id--)
	{
		Reader		reader = {state->cte_demands[id], NULL, NULL};

		if (state->is_cte[id])
			look(state, list_nth(state->stmt->subplans, id - 1), reader);
	}
}

void
gepa_node_look_ahead(PlannedStmt *stmt)
{
	int			nplans = list_length(stmt->subplans);
	Look		state = {.stmt = stmt};

	state.cte_demands = palloc0((nplans + 1) * sizeof(NodeDemand));
	state.is_cte = palloc0((nplans + 1) * sizeof(bool));
	gepa_node_prepare_safety(&state.safety, stmt);
	look(&state, stmt->planTree, reads_all);
	look_at_ctes(&state, nplans);
	pfree(state.cte_demands);
	pfree(state.is_cte);
}
