/*-------------------------------------------------------------------------
 *
 * answer.c
 *	  What a predicate answers when it is evaluated.
 *
 * While a node evaluates its expressions over a row, the answers to the calls in
 * them are known by where they are written, and the document is not even looked
 * at, unless it depends on settings: a cursor's owner, or a function beside it,
 * may have changed them since it was asked for.  Elsewhere the document is
 * digested and looked for in all statements at work: one of them may have read
 * ahead for this very call (a node below an aggregate).  Last of all it is asked
 * for here.
 *
 * A call site resolves the current version of a judge once per query: it hangs on
 * fn_extra, which lives as long as the execution.  PL/pgSQL keeps the state of
 * simple expressions longer, so a judge is resolved again when the snapshot is
 * another one.  Within a query all call sites see one snapshot and therefore one
 * version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "node/node_exec.h"

typedef struct OpenJudge
{
	struct OpenJudge *next;
	char	   *name;
	MemoryContext context;		/* of what it stands for */
	Oid			userid;
	CommandId	curcid;			/* of the snapshot it was resolved under */
	TransactionId xmax;
	uint32		running;
	ApplyNamed *named;
} OpenJudge;

/*
 * The judge of a call site
 */

/* Of two snapshots with one xmax the later has the fewer running. */
static uint32
running(Snapshot snapshot)
{
	return snapshot->xcnt + snapshot->subxcnt;
}

static bool
still_current(const OpenJudge *open)
{
	Snapshot	snapshot = GetActiveSnapshot();

	return open->curcid == snapshot->curcid && open->xmax == snapshot->xmax &&
		open->running == running(snapshot) && open->userid == GetUserId();
}

static OpenJudge *
add_judge(FunctionCallInfo fcinfo, const char *name)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	OpenJudge  *open = palloc0(sizeof(OpenJudge));

	open->name = pstrdup(name);
	open->context = AllocSetContextCreate(CurrentMemoryContext, "gepa call site",
										  ALLOCSET_DEFAULT_SIZES);
	open->next = fcinfo->flinfo->fn_extra;
	fcinfo->flinfo->fn_extra = open;
	MemoryContextSwitchTo(old);
	return open;
}

static void
resolve(OpenJudge *open)
{
	ApplyNamed *stale = open->named;
	MemoryContext old;

	open->named = NULL;
	if (stale != NULL)
		gepa_apply_close_named(stale);
	MemoryContextReset(open->context);

	old = MemoryContextSwitchTo(open->context);
	open->userid = GetUserId();
	open->curcid = GetActiveSnapshot()->curcid;
	open->xmax = GetActiveSnapshot()->xmax;
	open->running = running(GetActiveSnapshot());
	open->named = gepa_apply_open_named(open->name, LM_PURPOSE_JUDGE);
	MemoryContextSwitchTo(old);
}

static ApplyNamed *
find_named(FunctionCallInfo fcinfo, const char *name)
{
	OpenJudge  *open = fcinfo->flinfo->fn_extra;

	while (open != NULL && strcmp(open->name, name) != 0)
		open = open->next;
	if (open == NULL)
		open = add_judge(fcinfo, name);
	if (open->named == NULL || !still_current(open))
		resolve(open);
	return open->named;
}

/*
 * Answers
 */

const ApplyVerdict *
gepa_node_known(FunctionCallInfo fcinfo, ApplyJudge **judge)
{
	const NodeState *node = gepa_node_current;
	const NodeAsked *asked;
	int			call;

	if (node == NULL || fcinfo->flinfo == NULL)
		return NULL;
	call = gepa_node_chain_find(&node->chain, fcinfo->flinfo->fn_expr);
	if (call < 0 || node->chain.calls[call].varies)
		return NULL;
	asked = &node->at->calls[call];
	if (asked->state != NODE_ASKED || asked->answer->state != APPLY_KNOWN ||
		asked->session->userid != GetUserId())
		return NULL;
	*judge = asked->session->judge;
	return &asked->answer->verdict;
}

/* A call that the node at work had not asked ahead is one of its calls all the same. */
static void
count(const char *judge, const ApplyVerdict *verdict)
{
	NodeState  *node = gepa_node_current;

	if (node == NULL)
		return;
	gepa_node_count_call(node, judge, false);
	gepa_node_count_answer(node, judge, verdict, verdict->cached ? APPLY_STORED : APPLY_CALLED,
						   false);
}

/* Who waits for us must not wait because this waits for another. */
static const ApplyVerdict *
call(ApplyJudge *judge, const JudgeDocument *document)
{
	ApplyBatch	batch;

	gepa_apply_find(&batch, judge, document, 1);
	batch.others = gepa_node_live_streams(&batch.nothers);
	gepa_apply_call(&batch);
	return batch.verdicts;
}

/*
 * A judge that could not be tried to open, because there are no subtransactions
 * beside parallel workers, can be opened: it was, for this row.
 */
static void
adopt(const char *name, const StoreTarget *target)
{
	NodeState  *node = gepa_node_current;

	if (node == NULL || !node->unopened)
		return;
	gepa_node_open_session(node->execution, name, target);
}

/* NULL: the document is NULL in a field. */
static const ApplyVerdict *
ask_judge(ApplyJudge *judge, const char *name, Datum content, bool is_jsonb)
{
	JudgeDocument document;
	const ApplyVerdict *verdict;

	if (!gepa_apply_document(judge->spec, content, is_jsonb, &document))
		return NULL;
	verdict = gepa_node_find(judge, &document);
	if (verdict != NULL)
		return verdict;
	verdict = call(judge, &document);
	count(name, verdict);
	return verdict;
}

/* One judge after the other, until one has the last word. */
static const ApplyVerdict *
ask_router(ApplyNamed *named, Datum content, bool is_jsonb, ApplyJudge **judge)
{
	ApplyRoute	route = {0};
	const ApplyVerdict *verdict = NULL;

	for (;;)
	{
		gepa_apply_route(named->router, content, is_jsonb,
						 verdict != NULL ? &verdict->verdict : NULL, &route);
		if (route.step == APPLY_ROUTE_FAILED)
			return verdict;
		*judge = gepa_apply_target(named, route.target);
		adopt(route.target->written, route.target);
		verdict = ask_judge(*judge, route.target->written, content, is_jsonb);
		if (verdict == NULL || route.step == APPLY_ROUTE_DECIDED)
			return verdict;
	}
}

const ApplyVerdict *
gepa_node_ask(FunctionCallInfo fcinfo, bool is_jsonb, ApplyJudge **judge)
{
	char	   *name = TextDatumGetCString(fcinfo->args[0].value);
	Datum		content = fcinfo->args[1].value;
	ApplyNamed *named = find_named(fcinfo, name);
	const ApplyVerdict *verdict;

	adopt(name, NULL);
	*judge = named->judge;
	verdict = named->judge != NULL ? ask_judge(named->judge, name, content, is_jsonb) :
		ask_router(named, content, is_jsonb, judge);
	if (gepa_node_current != NULL)
		gepa_node_current->unopened = false;
	return verdict;
}
