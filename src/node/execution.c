/*-------------------------------------------------------------------------
 *
 * execution.c
 *	  What the judge nodes of a statement share: judges, and answers.
 *
 * An execution belongs to an EState and ends with its memory, however that comes
 * about: at the statement's normal end, with an error, with the portal, or with a
 * subtransaction.  Several are live at a time when statements are nested, when
 * cursors are open side by side, and while rows are checked again after a
 * concurrent update; whoever needs an answer looks in all of them.
 *
 * A judge is resolved once per execution and user, under the statement's snapshot,
 * when the first row needs it; in a subtransaction, because it is not certain
 * yet that a row gets there, and only that may raise.
 *
 * ExecutorRun is caught for three things: whether it runs to the end; that an
 * error hands over what has come in; and that it leaves nothing on the wire, where
 * time-outs, places and leases would run on while nobody looks: at the end of a
 * statement that is called back, in the middle of one (a cursor) waited for.
 * So is ExecutorFinish, which runs on where a WITH that changes data was not read
 * to its end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/encoding.h"
#include "node/node_exec.h"

static dlist_head executions = DLIST_STATIC_INIT(executions);

NodeState  *gepa_node_current = NULL;

static ExecutorRun_hook_type previous_run = NULL;
static ExecutorFinish_hook_type previous_finish = NULL;

/*
 * Executions
 */

/* Nodes that an error has left behind while they were evaluating. */
static void
forget_current(const NodeExecution *execution)
{
	NodeState **link = &gepa_node_current;

	while (*link != NULL)
	{
		if ((*link)->css.ss.ps.state == execution->estate)
			*link = (*link)->outer;
		else
			link = &(*link)->outer;
	}
}

/* The streams, which are children of the context, are gone. */
static void
forget_execution(void *arg)
{
	NodeExecution *execution = arg;

	forget_current(execution);
	dlist_delete(&execution->node);
	for (NodeState *node = execution->nodes; node != NULL; node = node->next)
		gepa_node_progress_end(node);
}

static NodeExecution *
find_execution(const EState *estate)
{
	dlist_iter	iter;

	dlist_foreach(iter, &executions)
	{
		NodeExecution *execution = dlist_container(NodeExecution, node, iter.cur);

		if (execution->estate == estate)
			return execution;
	}
	return NULL;
}

NodeExecution *
gepa_node_execution(EState *estate)
{
	NodeExecution *execution = find_execution(estate);
	MemoryContext context;

	if (execution != NULL)
		return execution;
	context = AllocSetContextCreate(estate->es_query_cxt, "gepa execution",
									ALLOCSET_DEFAULT_SIZES);
	execution = MemoryContextAllocZero(context, sizeof(NodeExecution));
	execution->estate = estate;
	execution->context = context;
	execution->on_reset.func = forget_execution;
	execution->on_reset.arg = execution;
	MemoryContextRegisterResetCallback(context, &execution->on_reset);
	dlist_push_head(&executions, &execution->node);
	return execution;
}

/*
 * Judges
 */

static bool
raises(const ApplyRouter *router)
{
	ListCell   *cell;

	if (gepa_apply_router_of(router)->nused > 0 && gepa_needs_conversion())
		return true;
	foreach(cell, gepa_apply_router_conditions(router))
		if (!gepa_node_is_safe(lfirst(cell)))
		return true;
	return false;
}

static void
open_judge(NodeExecution *execution, NodeSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(execution->context);
	StoreRouter *router = NULL;
	StoreVersion *version = session->target != NULL ? gepa_store_get_target(session->target) :
		gepa_store_resolve(session->name, &router);

	if (router != NULL)
	{
		session->router = gepa_apply_router_open(router);
		session->caught = raises(session->router);
	}
	else
	{
		session->judge = gepa_apply_open(version, LM_PURPOSE_JUDGE);
		session->stream = gepa_apply_stream_open(session->judge);
	}
	MemoryContextSwitchTo(old);
}

typedef struct Opening
{
	NodeExecution *execution;
	NodeSession *session;
} Opening;

static void
open_attempt(void *argument)
{
	Opening    *opening = argument;

	open_judge(opening->execution, opening->session);
}

/* The current version of a judge is one, by its name and as a router's. */
static bool
is_session_of(const NodeSession *session, const char *name, const StoreTarget *target)
{
	const StoreTarget *either = target != NULL ? target : session->target;

	if (either == NULL)
		return strcmp(session->name, name) == 0;
	if (target != NULL && session->target != NULL)
		return session->target->judge == target->judge &&
			session->target->version == target->version;
	return session->judge != NULL && session->judge->version->judge == either->judge &&
		either->version == 0 && strcmp(session->name, name) == 0;
}

static NodeSession *
find_session(const NodeExecution *execution, const char *name, const StoreTarget *target)
{
	Oid			userid = GetUserId();
	NodeSession *session = execution->sessions;

	while (session != NULL && (session->userid != userid ||
							   !is_session_of(session, name, target)))
		session = session->next;
	return session;
}

/* A target is copied: it may be that of a call site. */
static NodeSession *
add_session(NodeExecution *execution, const char *name, const StoreTarget *target)
{
	MemoryContext old = MemoryContextSwitchTo(execution->context);
	NodeSession *session = palloc0(sizeof(NodeSession));

	session->name = pstrdup(name);
	if (target != NULL)
	{
		session->target = palloc(sizeof(StoreTarget));
		*session->target = *target;
		session->target->written = session->name;
		session->target->name = pstrdup(target->name);
	}
	session->userid = GetUserId();
	session->next = execution->sessions;
	execution->sessions = session;
	MemoryContextSwitchTo(old);
	return session;
}

NodeSession *
gepa_node_session(NodeExecution *execution, const char *name, const StoreTarget *target)
{
	NodeSession *session = find_session(execution, name, target);
	Opening		opening = {execution, session};

	if (session != NULL || IsInParallelMode())
		return session;
	session = add_session(execution, name, target);
	opening.session = session;
	if (!gepa_node_attempt(open_attempt, &opening))
	{
		session->judge = NULL;
		session->router = NULL;
	}
	return session;
}

void
gepa_node_open_session(NodeExecution *execution, const char *name, const StoreTarget *target)
{
	if (find_session(execution, name, target) == NULL)
		open_judge(execution, add_session(execution, name, target));
}

/*
 * All streams of an execution
 */

static int
count_sessions(void)
{
	dlist_iter	iter;
	int			n = 0;

	dlist_foreach(iter, &executions)
	{
		const NodeExecution *execution = dlist_container(NodeExecution, node, iter.cur);

		for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
			n++;
	}
	return n;
}

ApplyStream **
gepa_node_live_streams(int *n)
{
	ApplyStream **streams = palloc(sizeof(ApplyStream *) * Max(count_sessions(), 1));
	dlist_iter	iter;

	*n = 0;
	dlist_foreach(iter, &executions)
	{
		const NodeExecution *execution = dlist_container(NodeExecution, node, iter.cur);

		for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
			if (session->judge != NULL)
				streams[(*n)++] = session->stream;
	}
	return streams;
}

int
gepa_node_in_flight(void)
{
	dlist_iter	iter;
	int			n = 0;

	dlist_foreach(iter, &executions)
	{
		const NodeExecution *execution = dlist_container(NodeExecution, node, iter.cur);

		for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
			if (session->judge != NULL)
				n += gepa_apply_stream_sent(session->stream);
	}
	return n;
}

bool
gepa_node_send(NodeExecution *execution)
{
	bool		any = false;

	for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
	{
		if (!session->unsent)
			continue;
		gepa_apply_stream_send(session->stream);
		session->unsent = false;
		any = true;
	}
	return any;
}

int
gepa_node_calls(const NodeExecution *execution)
{
	int			n = 0;

	for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
		if (session->judge != NULL)
			n += gepa_apply_stream_calls(session->stream);
	return n;
}

int
gepa_node_poll(NodeExecution *execution)
{
	int			n = 0;

	for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
		if (session->judge != NULL)
			n += gepa_apply_stream_poll(session->stream);
	return n;
}

/* What an error of a statement within this one called back is sent again. */
void
gepa_node_wait(NodeExecution *execution)
{
	int			n;
	ApplyStream **streams = gepa_node_live_streams(&n);

	if (gepa_apply_streams_turn(streams, n) == 0)
		for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
			session->unsent = session->judge != NULL;
	pfree(streams);
}

/* What is called back has to be sent again, if it is wanted after all. */
static void
rescue(NodeExecution *execution)
{
	for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
	{
		if (session->judge == NULL)
			continue;
		gepa_apply_stream_rescue(session->stream);
		session->unsent = true;
	}
}

/* A node that has asked its judge; of several the one that was begun last. */
static NodeState *
find_asker(NodeExecution *execution, const NodeSession *session)
{
	for (NodeState *node = execution->nodes; node != NULL; node = node->next)
		for (NodeTally *tally = node->tallies; tally != NULL; tally = tally->next)
			if (strcmp(tally->judge, session->name) == 0)
				return node;
	return execution->nodes;
}

static void
report(NodeExecution *execution)
{
	for (NodeState *node = execution->nodes; node != NULL; node = node->next)
		gepa_node_report(node);
}

/* What is on the wire is going to be called back: it was in vain. */
static void
count_called_back(NodeExecution *execution)
{
	for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
	{
		int			n = session->judge != NULL ? gepa_apply_stream_stop(session->stream) : 0;

		if (n > 0)
			gepa_node_count_unanswered(find_asker(execution, session), session->name, n);
	}
}

/* No more rows are wanted. */
static void
stop(NodeExecution *execution)
{
	count_called_back(execution);
	for (NodeState *node = execution->nodes; node != NULL; node = node->next)
		gepa_node_rows_count_unreached(node);
	rescue(execution);
	report(execution);
}

/* No more rows are wanted for now: nobody will look at the network for a while. */
static void
drain(NodeExecution *execution)
{
	for (NodeSession *session = execution->sessions; session != NULL; session = session->next)
		if (session->judge != NULL)
		{
			gepa_apply_stream_drain(session->stream);
			session->unsent = true;
		}
	report(execution);
}

/*
 * Answers of all executions
 */

/* The same version for the same account; of one that differs in the threshold the
 * verdicts are other ones. */
static bool
is_same_judge(const ApplyJudge *a, const ApplyJudge *b)
{
	return a->version->judge == b->version->judge &&
		a->version->version == b->version->version &&
		memcmp(a->account.key, b->account.key, sizeof(a->account.key)) == 0;
}

static NodeSession *
find_answer(const ApplyJudge *judge, const uint8 *digest, ApplyAnswer **answer)
{
	dlist_iter	iter;

	dlist_foreach(iter, &executions)
	{
		NodeExecution *execution = dlist_container(NodeExecution, node, iter.cur);

		for (NodeSession *other = execution->sessions; other != NULL; other = other->next)
		{
			if (other->judge == NULL || !is_same_judge(other->judge, judge))
				continue;
			*answer = gepa_apply_stream_find(other->stream, digest);
			if (*answer != NULL)
				return other;
		}
	}
	return NULL;
}

static char *
copy_text(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

/* The label is the spec's, which may end before the copy. */
static ApplyVerdict *
copy_verdict(const ApplyVerdict *verdict)
{
	ApplyVerdict *copy = palloc(sizeof(ApplyVerdict));

	*copy = *verdict;
	copy->verdict.label = copy_text(verdict->verdict.label);
	copy->verdict.reasoning = copy_text(verdict->verdict.reasoning);
	copy->verdict.thinking = copy_text(verdict->verdict.thinking);
	copy->verdict.votes = copy_text(verdict->verdict.votes);
	copy->verdict.detail = copy_text(verdict->verdict.detail);
	copy->verdict.hint = copy_text(verdict->verdict.hint);
	return copy;
}

const ApplyVerdict *
gepa_node_find(const ApplyJudge *judge, const JudgeDocument *document)
{
	uint8		digest[JUDGE_DIGEST_LENGTH];
	ApplyAnswer *answer;
	NodeSession *found;
	const ApplyVerdict *verdict;
	ApplyStream **streams;
	int			n;

	if (dlist_is_empty(&executions))
		return NULL;
	gepa_judge_content_digest(document, digest);
	found = find_answer(judge, digest, &answer);
	if (found == NULL)
		return NULL;
	if (answer->state != APPLY_KNOWN)
	{
		streams = gepa_node_live_streams(&n);
		gepa_apply_stream_wait(found->stream, answer, streams, n);
		pfree(streams);
	}
	verdict = copy_verdict(&answer->verdict);
	gepa_apply_stream_release(found->stream, answer);
	return verdict;
}

/*
 * Running
 */

static void
run_previous(GEPA_EXECUTOR_RUN_PARAMS)
{
	if (previous_run != NULL)
		previous_run(GEPA_EXECUTOR_RUN_ARGS);
	else
		standard_ExecutorRun(GEPA_EXECUTOR_RUN_ARGS);
}

static void
finish_previous(QueryDesc *query)
{
	if (previous_finish != NULL)
		previous_finish(query);
	else
		standard_ExecutorFinish(query);
}

/* A statement that is being run or finished. */
typedef struct Turn
{
	NodeExecution *execution;	/* NULL: has no judge node */
	NodeState  *outer;			/* was at work when it began */
	MemoryContext context;
} Turn;

/* Nested statements find no node at work. */
static Turn
begin_turn(const EState *estate, bool to_end)
{
	Turn		turn = {find_execution(estate), gepa_node_current, CurrentMemoryContext};

	gepa_node_current = NULL;
	if (turn.execution != NULL)
		turn.execution->to_end = to_end;
	return turn;
}

/*
 * The error of a statement leaves no node at work.  It is copied: what rescuing meets
 * is dropped, and must not take it along.
 */
static void
fail_turn(const Turn *turn)
{
	ErrorData  *error;

	gepa_node_current = turn->outer;
	if (turn->execution == NULL)
		PG_RE_THROW();
	MemoryContextSwitchTo(turn->context);
	error = CopyErrorData();
	FlushErrorState();
	rescue(turn->execution);
	ReThrowError(error);
}

/* Changes in a WITH that is not read to its end go on in ExecutorFinish. */
static void
pause_or_stop(NodeExecution *execution)
{
	if (execution->to_end && execution->estate->es_auxmodifytables == NIL)
		stop(execution);
	else
		drain(execution);
}

static void
run(GEPA_EXECUTOR_RUN_PARAMS)
{
	Turn		turn;

	if (dlist_is_empty(&executions))
	{
		run_previous(GEPA_EXECUTOR_RUN_ARGS);
		return;
	}
	turn = begin_turn(query->estate, count == 0);
	PG_TRY();
	{
		run_previous(GEPA_EXECUTOR_RUN_ARGS);
		if (turn.execution != NULL)
			pause_or_stop(turn.execution);
	}
	PG_CATCH();
	{
		fail_turn(&turn);
	}
	PG_END_TRY();
	gepa_node_current = turn.outer;
}

static void
finish(QueryDesc *query)
{
	Turn		turn;

	if (dlist_is_empty(&executions))
	{
		finish_previous(query);
		return;
	}
	turn = begin_turn(query->estate, true);
	PG_TRY();
	{
		finish_previous(query);
		if (turn.execution != NULL)
			stop(turn.execution);
	}
	PG_CATCH();
	{
		fail_turn(&turn);
	}
	PG_END_TRY();
	gepa_node_current = turn.outer;
}

void
gepa_node_execution_init(void)
{
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = run;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = finish;
}
