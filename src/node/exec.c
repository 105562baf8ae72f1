/*-------------------------------------------------------------------------
 *
 * exec.c
 *	  The judge node at work.
 *
 * Rows are read ahead (window.c) into a ring (rows.c), and what each reaches is
 * asked (ahead.c).  When all that the first row asked for is known, the
 * original expressions are evaluated over it, unchanged; the predicates in them
 * find their answers (answer.c).  So rows, their order, and the errors that are
 * met are those of the plan without a node.
 *
 * A node that is not to read ahead (the parameter is off, or rows are checked
 * again after a concurrent update) passes row after row, and the predicates ask for
 * themselves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/settings.h"
#include "node/node_exec.h"

/* While there is no need to wait the network is looked at so often. */
#define LOOK_US 1000

static Node *
create_state(CustomScan *scan)
{
	NodeState  *node = palloc0(sizeof(NodeState));

	NodeSetTag(node, T_CustomScanState);
	node->css.methods = &gepa_node_exec_methods;
	gepa_node_unpack(scan, &node->plan);
	return (Node *) node;
}

static void
open_targets(NodeState *node, const StoreRouter *router)
{
	for (int i = 0; i < router->ntargets; i++)
		(void) gepa_node_session(node->execution, router->targets[i]->written,
								 router->targets[i]);
}

/*
 * Beside parallel workers there are no subtransactions, in which judges are tried
 * to open: this is the last moment.
 */
static void
open_judges(NodeState *node)
{
	for (int i = 0; i < node->chain.ncalls; i++)
	{
		const Const *name = (const Const *) node->chain.calls[i].name.expr;
		NodeSession *session;

		if (!IsA(name, Const) || name->constisnull)
			continue;
		session = gepa_node_session(node->execution, TextDatumGetCString(name->constvalue), NULL);
		if (session != NULL && session->router != NULL)
			open_targets(node, gepa_apply_router_of(session->router));
	}
}

static void
read_ahead(NodeState *node, EState *estate)
{
	TupleDesc	tupdesc = node->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;

	node->execution = gepa_node_execution(estate);
	node->next = node->execution->nodes;
	node->execution->nodes = node;
	gepa_node_chain_build(node);
	gepa_node_rows_open(node);
	node->ahead = CreateExprContext(estate);
	node->slot = ExecInitExtraTupleSlot(estate, tupdesc, &TTSOpsMinimalTuple);
	node->arguments = palloc(sizeof(NodeArgument) * Max(node->chain.narguments, 1));
	if (estate->es_plannedstmt->parallelModeNeeded)
		open_judges(node);
}

static void
begin(CustomScanState *css, EState *estate, int eflags)
{
	int			below = gepa_node_scroll_open((NodeState *) css, estate, eflags);

	outerPlanState(css) = ExecInitNode(outerPlan(css->ss.ps.plan), estate, below);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && estate->es_instrument != 0)
		((NodeState *) css)->expected = gepa_node_expect((CustomScan *) css->ss.ps.plan);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && gepa_enable_judge_node &&
		estate->es_epq_active == NULL)
		read_ahead((NodeState *) css, estate);
}

/*
 * The row at the head
 */

/* NULL = it does not pass. */
static TupleTableSlot *
evaluate(NodeState *node)
{
	PlanState  *ps = &node->css.ss.ps;
	TupleTableSlot *slot = node->css.ss.ss_ScanTupleSlot;
	bool		passes;

	ps->ps_ExprContext->ecxt_scantuple = slot;
	if (node->plan.under)
		return slot;
	passes = ExecQual(ps->qual, ps->ps_ExprContext);
	if (passes && ps->ps_ProjInfo != NULL)
		slot = ExecProject(ps->ps_ProjInfo);
	if (!passes)
		InstrCountFiltered1(node, 1);
	return passes ? slot : NULL;
}

static TupleTableSlot *
evaluate_head(NodeState *node)
{
	NodeRow    *row = gepa_node_row(&node->rows, 0);
	TupleTableSlot *slot;

	ResetExprContext(node->css.ss.ps.ps_ExprContext);
	ExecForceStoreMinimalTuple(row->tuple, node->css.ss.ss_ScanTupleSlot, false);
	node->consumed++;
	gepa_node_enter(node, row);
	slot = evaluate(node);
	gepa_node_leave(node);
	if (slot == NULL)
		gepa_node_rows_drop(node, true);
	node->held = slot != NULL;
	node->returned += slot != NULL;
	return slot;
}

/*
 * Reading ahead
 */

static void
advance_parked(NodeState *node)
{
	for (int i = 0; i < node->rows.count && node->rows.nparked > 0; i++)
		gepa_node_advance(node, gepa_node_row(&node->rows, i));
}

/* Send what was asked; what is found stored may let others be asked. */
static void
settle(NodeState *node)
{
	advance_parked(node);
	while (gepa_node_send(node->execution))
		advance_parked(node);
}

static void
look_at_network(NodeState *node)
{
	settle(node);
	if (gepa_node_poll(node->execution) > 0)
		settle(node);
	node->looked_at = gepa_clock_us();
	gepa_node_report(node);
}

static bool
is_time_to_look(const NodeState *node)
{
	return gepa_clock_us() - node->looked_at >= LOOK_US;
}

static void
read_row(NodeState *node)
{
	TupleTableSlot *slot = NULL;

	if (!gepa_node_window_is_complete(node))
		slot = ExecProcNode(outerPlanState(node));
	node->exhausted = TupIsNull(slot);
	if (node->exhausted)
		return;
	node->figures.rows++;
	gepa_node_advance(node, gepa_node_rows_add(node, slot));
	if (is_time_to_look(node))
		look_at_network(node);
}

static void
fill(NodeState *node)
{
	const NodeRows *rows = &node->rows;
	int			window = gepa_node_window_rows(node);
	int			first = rows->count;
	int			calls = gepa_node_calls(node->execution);

	do
	{
		CHECK_FOR_INTERRUPTS();
		read_row(node);
	} while (!node->exhausted && !node->unopened && rows->bytes < (Size) work_mem * 1024 &&
			 (rows->count < window ||
			  gepa_node_window_is_held_up(node, calls + rows->count - first)));
	node->figures.window = Max(node->figures.window, rows->count);
	settle(node);
}

static void
wait_for_answers(NodeState *node)
{
	settle(node);
	gepa_node_report(node);
	gepa_node_wait(node->execution);
	settle(node);
	node->looked_at = gepa_clock_us();
	gepa_node_report(node);
}

static TupleTableSlot *
next_ahead(NodeState *node)
{
	TupleTableSlot *slot = NULL;

	if (node->held)
		gepa_node_rows_drop(node, true);
	node->held = false;
	if (!node->started)
		gepa_node_window_start(node);
	node->started = true;
	while (slot == NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (gepa_node_window_is_due(node))
			fill(node);
		else if (node->rows.count == 0)
			break;
		else if (!gepa_node_row_is_ready(node, gepa_node_row(&node->rows, 0)))
			wait_for_answers(node);
		else
		{
			if (gepa_node_calls(node->execution) > 0 && is_time_to_look(node))
				look_at_network(node);
			slot = evaluate_head(node);
		}
	}
	return slot;
}

/*
 * Row after row
 */

static TupleTableSlot *
next_alone(NodeState *node)
{
	for (;;)
	{
		TupleTableSlot *slot = ExecProcNode(outerPlanState(node));

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(node->css.ss.ps.ps_ExprContext);
		if (TupIsNull(slot))
			return NULL;
		ExecCopySlot(node->css.ss.ss_ScanTupleSlot, slot);
		slot = evaluate(node);
		if (slot != NULL)
			return slot;
	}
}

static TupleTableSlot *
next(CustomScanState *css)
{
	NodeState  *node = (NodeState *) css;

	return gepa_node_scroll(node, node->execution != NULL ? next_ahead : next_alone);
}

/*
 * Ending
 */

static void
rescan(CustomScanState *css)
{
	NodeState  *node = (NodeState *) css;

	if (node->execution != NULL)
		gepa_node_rows_clear(node);
	gepa_node_scroll_rescan(node);
	node->exhausted = false;
	node->held = false;
	node->started = false;
	if (outerPlanState(css)->chgParam == NULL)
		ExecReScan(outerPlanState(css));
}

static void
end(CustomScanState *css)
{
	NodeState  *node = (NodeState *) css;

	if (node->execution != NULL)
	{
		gepa_node_rows_clear(node);
		gepa_node_progress_end(node);
	}
	gepa_node_scroll_close(node);
	ExecEndNode(outerPlanState(css));
}

const CustomScanMethods gepa_node_scan_methods = {
	.CustomName = "Judge",
	.CreateCustomScanState = create_state,
};

const CustomExecMethods gepa_node_exec_methods = {
	.CustomName = "Judge",
	.BeginCustomScan = begin,
	.ExecCustomScan = next,
	.EndCustomScan = end,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = gepa_node_explain,
};

void
gepa_node_exec_init(void)
{
	RegisterCustomScanMethods(&gepa_node_scan_methods);
	gepa_node_execution_init();
}
