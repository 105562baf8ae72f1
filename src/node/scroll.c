/*-------------------------------------------------------------------------
 *
 * scroll.c
 *	  The judge node below a cursor.
 *
 * What it hides is a scan that could be read backwards, and be asked where it is by
 * UPDATE ... WHERE CURRENT OF.  The scan has run ahead, so the node does both
 * itself.
 *
 * Backwards: rows that were returned are kept, when the cursor can be scrolled, and
 * evaluated again when they are met again, as the scan would do.  The answers are
 * known.
 *
 * Where it is: search_plan_tree() in execCurrent.c takes the node for the scan,
 * because its ss_currentRelation is that of the scan; and slot_getsysattr() reads
 * ctid and tableoid off the slot, where the node puts those of its row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "miscadmin.h"

#include "node/node_exec.h"

int
gepa_node_scroll_open(NodeState *node, EState *estate, int eflags)
{
	ScanState  *scan = &node->css.ss;

	if (node->plan.relation != 0)
		scan->ss_currentRelation = ExecOpenScanRelation(estate, node->plan.relation, eflags);
	if ((eflags & EXEC_FLAG_BACKWARD) != 0)
	{
		node->scroll.passed = tuplestore_begin_heap(true, false, work_mem);
		tuplestore_set_eflags(node->scroll.passed, EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD);
		node->scroll.slot = ExecInitExtraTupleSlot(estate,
												   scan->ss_ScanTupleSlot->tts_tupleDescriptor,
												   &TTSOpsMinimalTuple);
	}
	return eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK);
}

/* The row in the scan slot is the one that is returned. */
static void
show_position(NodeState *node)
{
	TupleTableSlot *slot = node->css.ss.ss_ScanTupleSlot;
	bool		isnull;
	Datum		value;

	if (node->plan.relation == 0)
		return;
	value = slot_getattr(slot, node->plan.tableoid, &isnull);
	slot->tts_tableOid = DatumGetObjectId(value);
	value = slot_getattr(slot, node->plan.ctid, &isnull);
	ItemPointerCopy((ItemPointer) DatumGetPointer(value), &slot->tts_tid);
}

/* A row that was returned before is the row again. */
static TupleTableSlot *
return_again(NodeState *node)
{
	ScanState  *scan = &node->css.ss;

	ExecCopySlot(scan->ss_ScanTupleSlot, node->scroll.slot);
	show_position(node);
	ResetExprContext(scan->ps.ps_ExprContext);
	scan->ps.ps_ExprContext->ecxt_scantuple = scan->ss_ScanTupleSlot;
	return scan->ps.ps_ProjInfo != NULL ? ExecProject(scan->ps.ps_ProjInfo) :
		scan->ss_ScanTupleSlot;
}

static TupleTableSlot *
go_on(NodeState *node, NodeNext next)
{
	TupleTableSlot *slot = NULL;

	if (!node->scroll.all_passed)
		slot = next(node);
	if (TupIsNull(slot))
	{
		node->scroll.all_passed = true;
		ExecClearTuple(node->css.ss.ss_ScanTupleSlot);
		return NULL;
	}
	if (node->scroll.passed != NULL)
		tuplestore_puttupleslot(node->scroll.passed, node->css.ss.ss_ScanTupleSlot);
	show_position(node);
	return slot;
}

/*
 * Where the store is at its end, the row that was returned last is the one before;
 * unless that was the end of all rows.
 */
static TupleTableSlot *
go_back(NodeState *node)
{
	bool		at_last = tuplestore_ateof(node->scroll.passed) && !node->scroll.all_passed;

	if ((at_last && !tuplestore_advance(node->scroll.passed, false)) ||
		!tuplestore_gettupleslot(node->scroll.passed, false, false, node->scroll.slot))
	{
		ExecClearTuple(node->css.ss.ss_ScanTupleSlot);
		return NULL;
	}
	return return_again(node);
}

TupleTableSlot *
gepa_node_scroll(NodeState *node, NodeNext next)
{
	if (node->scroll.passed == NULL)
		return go_on(node, next);
	if (ScanDirectionIsBackward(node->css.ss.ps.state->es_direction))
		return go_back(node);
	if (tuplestore_ateof(node->scroll.passed) ||
		!tuplestore_gettupleslot(node->scroll.passed, true, false, node->scroll.slot))
		return go_on(node, next);
	return return_again(node);
}

void
gepa_node_scroll_rescan(NodeState *node)
{
	node->scroll.all_passed = false;
	ExecClearTuple(node->css.ss.ss_ScanTupleSlot);
	if (node->scroll.passed != NULL)
		tuplestore_clear(node->scroll.passed);
}

void
gepa_node_scroll_close(NodeState *node)
{
	if (node->scroll.passed != NULL)
		tuplestore_end(node->scroll.passed);
	node->scroll.passed = NULL;
}
