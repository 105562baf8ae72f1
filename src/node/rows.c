/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  The rows that a node has read and not yet passed on, in order.
 *
 * Rows are copied, so that no buffer stays pinned while answers are waited for,
 * into a context of their own that gives memory back in the order of allocation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/memutils.h"

#include "node/node_exec.h"

#define FIRST_CAPACITY	16

/* Rows keep their arrays wherever they are moved. */
static void
make_rows(NodeState *node, NodeRow *rows, int n)
{
	int			ncalls = Max(node->chain.ncalls, 1);
	int			nguards = Max(node->chain.nguards, 1);
	int			nsites = Max(node->chain.nsites, 1);
	NodeAsked  *calls = palloc(sizeof(NodeAsked) * ncalls * n);
	NodeValue  *guards = palloc(sizeof(NodeValue) * nguards * n);
	NodeCallState *sites = palloc(sizeof(NodeCallState) * nsites * n);

	for (int i = 0; i < n; i++)
	{
		rows[i].tuple = NULL;
		rows[i].calls = calls + (Size) i * ncalls;
		rows[i].guards = guards + (Size) i * nguards;
		rows[i].sites = sites + (Size) i * nsites;
	}
}

void
gepa_node_rows_open(NodeState *node)
{
	NodeRows   *rows = &node->rows;
	MemoryContext old = MemoryContextSwitchTo(node->execution->context);

	rows->tuples = GenerationContextCreate(CurrentMemoryContext, "gepa rows",
										   ALLOCSET_DEFAULT_SIZES);
	rows->capacity = FIRST_CAPACITY;
	rows->ring = palloc(sizeof(NodeRow) * rows->capacity);
	make_rows(node, rows->ring, rows->capacity);
	MemoryContextSwitchTo(old);
}

/* Twice the room; the rows begin at 0 then. */
static void
grow(NodeState *node)
{
	NodeRows   *rows = &node->rows;
	MemoryContext old = MemoryContextSwitchTo(node->execution->context);
	NodeRow    *ring = palloc(sizeof(NodeRow) * rows->capacity * 2);

	for (int i = 0; i < rows->capacity; i++)
		ring[i] = *gepa_node_row(rows, i);
	make_rows(node, ring + rows->capacity, rows->capacity);
	pfree(rows->ring);
	rows->ring = ring;
	rows->first = 0;
	rows->capacity *= 2;
	MemoryContextSwitchTo(old);
}

NodeRow *
gepa_node_rows_add(NodeState *node, TupleTableSlot *slot)
{
	NodeRows   *rows = &node->rows;
	MemoryContext old;
	NodeRow    *row;

	if (rows->count == rows->capacity)
		grow(node);
	row = gepa_node_row(rows, rows->count);
	old = MemoryContextSwitchTo(rows->tuples);
	row->tuple = ExecCopySlotMinimalTuple(slot);
	MemoryContextSwitchTo(old);
	row->bytes = row->tuple->t_len;
	row->nopen = node->chain.ncalls;
	memset(row->calls, 0, sizeof(NodeAsked) * node->chain.ncalls);
	memset(row->guards, 0, sizeof(NodeValue) * node->chain.nguards);
	memset(row->sites, 0, sizeof(NodeCallState) * node->chain.nsites);
	rows->count++;
	rows->bytes += row->bytes;
	rows->nparked += row->nopen > 0;
	return row;
}

bool
gepa_node_row_is_ready(const NodeState *node, const NodeRow *row)
{
	if (row->nopen > 0)
		return false;
	for (int i = 0; i < node->chain.ncalls; i++)
	{
		const NodeAsked *call = &row->calls[i];

		if (call->state == NODE_ASKED && call->answer->state != APPLY_KNOWN)
			return false;
	}
	return true;
}

/* An answer is counted by the node that asked for it first. */
static void
count_call(NodeState *node, NodeAsked *call, bool reached)
{
	const char *judge = call->session->name;

	if (call->counted)
		return;
	call->counted = true;
	gepa_node_count_call(node, judge, !call->fresh);
	if (call->fresh && call->answer->state == APPLY_KNOWN)
		gepa_node_count_answer(node, judge, &call->answer->verdict, call->answer->origin,
							   !reached);
}

void
gepa_node_call_leave(NodeState *node, NodeAsked *call, bool reached)
{
	if (call->answer == NULL)
		return;
	count_call(node, call, reached);
	gepa_apply_stream_release(call->session->stream, call->answer);
	call->answer = NULL;
	call->counted = false;
}

static void
drop(NodeState *node, NodeRow *row, bool reached)
{
	NodeRows   *rows = &node->rows;
	bool		judged = false;

	for (int i = 0; i < node->chain.ncalls; i++)
	{
		NodeAsked  *call = &row->calls[i];

		judged = judged || call->state == NODE_ASKED;
		gepa_node_call_leave(node, call, reached);
		call->state = NODE_SKIPPED;
	}
	node->figures.judged += judged && reached;
	rows->nparked -= row->nopen > 0;
	rows->bytes -= row->bytes;
	pfree(row->tuple);
	row->tuple = NULL;
}

void
gepa_node_rows_drop(NodeState *node, bool reached)
{
	NodeRows   *rows = &node->rows;

	drop(node, gepa_node_row(rows, 0), reached);
	rows->first = (rows->first + 1) & (rows->capacity - 1);
	rows->count--;
}

void
gepa_node_rows_clear(NodeState *node)
{
	while (node->rows.count > 0)
		gepa_node_rows_drop(node, false);
}

void
gepa_node_rows_count_unreached(NodeState *node)
{
	for (int i = 0; i < node->rows.count; i++)
	{
		NodeRow    *row = gepa_node_row(&node->rows, i);
		bool		reached = i == 0 && node->held;

		for (int j = 0; j < node->chain.ncalls; j++)
			if (row->calls[j].answer != NULL)
				count_call(node, &row->calls[j], reached);
	}
}
