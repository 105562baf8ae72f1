/*-------------------------------------------------------------------------
 *
 * exec.c
 *	  The judge node at work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"

#include "node/node_exec.h"

static Node *
create_state(CustomScan *scan)
{
	NodeState  *state = palloc0(sizeof(NodeState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &gepa_node_exec_methods;
	gepa_node_unpack(scan, &state->plan);
	return (Node *) state;
}

static void
begin(CustomScanState *node, EState *estate, int eflags)
{
	outerPlanState(node) = ExecInitNode(outerPlan(node->ss.ps.plan), estate, eflags);
}

static TupleTableSlot *
next(CustomScanState *node)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	TupleTableSlot *scan = node->ss.ss_ScanTupleSlot;

	for (;;)
	{
		TupleTableSlot *slot = ExecProcNode(outerPlanState(node));

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		if (TupIsNull(slot))
			return NULL;
		ExecCopySlot(scan, slot);
		econtext->ecxt_scantuple = scan;
		if (!ExecQual(node->ss.ps.qual, econtext))
		{
			InstrCountFiltered1(node, 1);
			continue;
		}
		return node->ss.ps.ps_ProjInfo != NULL ? ExecProject(node->ss.ps.ps_ProjInfo) : scan;
	}
}

static void
end(CustomScanState *node)
{
	ExecEndNode(outerPlanState(node));
}

static void
rescan(CustomScanState *node)
{
	if (outerPlanState(node)->chgParam == NULL)
		ExecReScan(outerPlanState(node));
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
}
