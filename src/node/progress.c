/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  Judge nodes in gepa.progress.
 *
 * Each process that may run queries has a slot in shared memory, found by its
 * number, and writes the sum over the nodes it has at work: there may be several
 * in a query, and several queries open.  The row of a process begins with its
 * first node and ends with its last.  It is written when a node looks at the
 * network, and before a wait for it if that changed the calls in flight.
 *
 * Locking: each slot has a spinlock.  A slot is written by its own process only;
 * readers copy it.  A process that dies without a word leaves its slot; its
 * row is shown no more, because nobody has that pid, and the next process with
 * that number takes the slot over.
 *
 * Without preload there are no slots, and nothing is shown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/shmem.h"
#include "node/node_exec.h"
#include "node/node_plan.h"

typedef struct Slot
{
	slock_t		mutex;			/* protects the rest */
	NodeProgress progress;		/* pid 0 = nothing at work */
} Slot;

/* A node at work in this process. */
typedef struct Part
{
	const void *key;
	int64		rows;
	int64		judged;
	int64		stored;
	int64		failed;
	int64		input_tokens;
	int64		output_tokens;
	double		cost;
	double		expected;
	char		judges[NODE_PROGRESS_JUDGES];
} Part;

static Slot *slots = NULL;		/* NULL = not preloaded */
static ApplyRestHook previous_rest = NULL;

static void update_in_flight(void);

/* Of this process, in TopMemoryContext. */
static struct
{
	Part	   *items;
	int			n;
	int			room;
	TimestampTz started_at;
	int			in_flight;		/* calls of all of them, as shown */
}			parts;

/*
 * Set-up
 */

static Size
shmem_size(void)
{
	return mul_size(sizeof(Slot), MaxBackends);
}

static void
attach(void *memory, LWLock *lock, bool made)
{
	slots = memory;
	for (int i = 0; made && i < MaxBackends; i++)
		SpinLockInit(&slots[i].mutex);
}

void
gepa_node_progress_init(void)
{
	static const GepaShmem area = {
		.name = "gepa queries",
		.size = shmem_size,
		.attach = attach
	};

	if (process_shared_preload_libraries_in_progress)
		gepa_shmem_add(&area);
	previous_rest = gepa_apply_rest_hook;
	gepa_apply_rest_hook = update_in_flight;
}

static Slot *
own_slot(void)
{
	int			number = gepa_process_number();

	return slots != NULL && number >= 0 && number < MaxBackends ? &slots[number] : NULL;
}

/*
 * Names of judges: those that are constants
 */

static bool
add_names(Node *node, void *context)
{
	List	  **names = context;
	const char *name = NULL;

	if (node == NULL)
		return false;
	if (gepa_node_call_kind(node) != NODE_NO_CALL)
		name = gepa_node_judge_name(node);
	if (name != NULL)
		*names = list_append_unique(*names, makeString(pstrdup(name)));
	return expression_tree_walker(node, add_names, context);
}

static void
name_judges(Part *part, const CustomScanState *node)
{
	List	   *names = NIL;
	ListCell   *cell;

	gepa_node_walk_expressions(node->ss.ps.plan, add_names, &names);
	foreach(cell, names)
	{
		const char *name = strVal(lfirst(cell));
		const char *comma = part->judges[0] != '\0' ? ", " : "";

		if (strlen(part->judges) + strlen(comma) + strlen(name) < sizeof(part->judges))
			strcat(strcat(part->judges, comma), name);
	}
}

/*
 * Writing
 */

static Part *
find_part(const void *key)
{
	for (int i = 0; i < parts.n; i++)
		if (parts.items[i].key == key)
			return &parts.items[i];
	return NULL;
}

/* NULL when memory is short: then a node is not counted. */
static Part *
add_part(const CustomScanState *node)
{
	Part	   *part;

	if (parts.n == parts.room)
	{
		int			room = Max(2 * parts.room, 8);
		Part	   *items = MemoryContextAllocExtended(TopMemoryContext, sizeof(Part) * room,
													   MCXT_ALLOC_NO_OOM);

		if (items == NULL)
			return NULL;
		if (parts.n > 0)
			memcpy(items, parts.items, sizeof(Part) * parts.n);
		if (parts.items != NULL)
			pfree(parts.items);
		parts.items = items;
		parts.room = room;
	}
	if (parts.n == 0)
		parts.started_at = GetCurrentTimestamp();
	part = &parts.items[parts.n];
	memset(part, 0, sizeof(Part));
	part->key = node;
	name_judges(part, node);
	parts.n++;
	return part;
}

static int64
count_failures(const NodeFigures *figures)
{
	int64		n = 0;

	for (int i = 0; i < lengthof(figures->failures); i++)
		if (i != GEPA_STATUS_OK)
			n += figures->failures[i];
	return n;
}

static void
take_figures(Part *part, const NodeFigures *figures, double expected)
{
	part->rows = figures->rows;
	part->judged = figures->judged;
	part->stored = figures->stored;
	part->failed = count_failures(figures);
	part->input_tokens = figures->input_tokens;
	part->output_tokens = figures->output_tokens;
	part->cost = figures->cost;
	part->expected = Max(expected, part->judged);
}

static void
add_to_sum(NodeProgress *sum, const Part *part)
{
	sum->rows += part->rows;
	sum->judged += part->judged;
	sum->stored += part->stored;
	sum->failed += part->failed;
	sum->input_tokens += part->input_tokens;
	sum->output_tokens += part->output_tokens;
	sum->cost += part->cost;
	sum->expected += part->expected;
	if (sum->judges[0] == '\0')
		strcpy(sum->judges, part->judges);
}

static void
publish(void)
{
	Slot	   *slot = own_slot();
	NodeProgress sum = {0};

	if (slot == NULL)
		return;
	parts.in_flight = gepa_node_in_flight();
	if (parts.n > 0)
	{
		sum.pid = MyProcPid;
		sum.userid = GetUserId();
		sum.database = MyDatabaseId;
		sum.started_at = parts.started_at;
		sum.in_flight = parts.in_flight;
	}
	for (int i = 0; i < parts.n; i++)
		add_to_sum(&sum, &parts.items[i]);
	SpinLockAcquire(&slot->mutex);
	slot->progress = sum;
	SpinLockRelease(&slot->mutex);
}

void
gepa_node_progress_update(const CustomScanState *key, const NodeFigures *figures,
						  double expected)
{
	Part	   *part;

	if (slots == NULL)
		return;
	part = find_part(key);
	if (part == NULL)
		part = add_part(key);
	if (part == NULL)
		return;
	take_figures(part, figures, expected);
	publish();
}

/* Calls start, and end, while a node waits and knows nothing of it. */
static void
update_in_flight(void)
{
	if (previous_rest != NULL)
		previous_rest();
	if (slots != NULL && parts.n > 0 && gepa_node_in_flight() != parts.in_flight)
		publish();
}

void
gepa_node_progress_end(const void *key)
{
	Part	   *part = find_part(key);

	if (part == NULL)
		return;
	*part = parts.items[--parts.n];
	publish();
}

/*
 * Reading
 */

static bool
copy_slot(Slot *slot, NodeProgress *progress)
{
	SpinLockAcquire(&slot->mutex);
	*progress = slot->progress;
	SpinLockRelease(&slot->mutex);
	return progress->pid != 0 && BackendPidGetProc(progress->pid) != NULL;
}

NodeProgress *
gepa_node_progress_read(int *n)
{
	NodeProgress *result = palloc(sizeof(NodeProgress) * MaxBackends);

	*n = 0;
	for (int i = 0; slots != NULL && i < MaxBackends; i++)
		if (copy_slot(&slots[i], &result[*n]))
			(*n)++;
	return result;
}
