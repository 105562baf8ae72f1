/*-------------------------------------------------------------------------
 *
 * desk.c
 *	  Documents as they come, through a judge or a router.
 *
 * Its streams keep no answers that nobody refers to: rows are many, and what is stored is
 * found.
 *
 * Rules are tried where there is a transaction, because evaluating may look at
 * catalogs: when a document is asked, or in a short one when the verdict that a rule
 * waits for has come while a worker has none open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/datum.h"
#include "utils/memutils.h"

#include "apply/apply_internal.h"

struct ApplyDesk
{
	MemoryContext context;
	MemoryContext scratch;		/* of the document that is asked */
	ApplyNamed *named;
	List	   *streams;		/* one for each judge that was asked */
	dlist_head	waiting;		/* tickets that wait for the verdict of a rule */
};

ApplyDesk *
gepa_apply_desk_open(ApplyNamed *named)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa desk",
												  ALLOCSET_DEFAULT_SIZES);
	ApplyDesk  *desk = MemoryContextAllocZero(context, sizeof(ApplyDesk));

	desk->context = context;
	desk->scratch = AllocSetContextCreate(context, "gepa desk document",
										  ALLOCSET_DEFAULT_SIZES);
	desk->named = named;
	dlist_init(&desk->waiting);
	return desk;
}

void
gepa_apply_desk_close(ApplyDesk *desk)
{
	ListCell   *cell;

	foreach(cell, desk->streams)
		gepa_apply_stream_close(lfirst(cell));
	MemoryContextDelete(desk->context);
}

static ApplyStream *
stream_of(ApplyDesk *desk, ApplyJudge *judge)
{
	MemoryContext old;
	ListCell   *cell;
	ApplyStream *stream;

	foreach(cell, desk->streams)
	{
		stream = lfirst(cell);
		if (stream->judge == judge)
			return stream;
	}
	old = MemoryContextSwitchTo(desk->context);
	stream = gepa_apply_stream_open(judge);
	stream->keeps = false;
	desk->streams = lappend(desk->streams, stream);
	MemoryContextSwitchTo(old);
	return stream;
}

/*
 * Asking
 */

static void
ask_judge(ApplyDesk *desk, ApplyTicket *ticket, ApplyJudge *judge, Datum content)
{
	JudgeDocument document;
	uint8		digest[JUDGE_DIGEST_LENGTH];

	ticket->judge = judge;
	ticket->answer = NULL;
	if (!gepa_apply_document(judge->spec, content, ticket->is_jsonb, &document))
		return;
	gepa_judge_content_digest(&document, digest);
	ticket->stream = stream_of(desk, judge);
	ticket->answer = gepa_apply_stream_ask(ticket->stream, digest, &document, &ticket->fresh);
}

/* The verdict that a rule had asked for has done its work. */
static void
leave_rule(ApplyTicket *ticket)
{
	const JudgeVerdict *verdict;

	if (ticket->answer == NULL)
		return;
	verdict = &ticket->answer->verdict.verdict;
	if (ticket->fresh && ticket->answer->origin == APPLY_CALLED)
	{
		ticket->input_tokens += verdict->input_tokens;
		ticket->output_tokens += verdict->output_tokens;
		ticket->cost += verdict->cost;
	}
	gepa_apply_stream_release(ticket->stream, ticket->answer);
	ticket->answer = NULL;
}

static bool
waits_for_rule(const ApplyTicket *ticket)
{
	return ticket->answer != NULL && ticket->route.step == APPLY_ROUTE_ASK &&
		ticket->answer->state != APPLY_KNOWN;
}

/* On to the next judge, as far as it gets. */
static void
go_on(ApplyDesk *desk, ApplyTicket *ticket, Datum content)
{
	ApplyNamed *named = desk->named;
	MemoryContext old = MemoryContextSwitchTo(desk->scratch);

	do
	{
		gepa_apply_route(named->router, content, ticket->is_jsonb,
						 ticket->answer != NULL ? &ticket->answer->verdict.verdict : NULL,
						 &ticket->route);
		if (ticket->route.step == APPLY_ROUTE_FAILED)
			break;
		leave_rule(ticket);
		ask_judge(desk, ticket, gepa_apply_target(named, ticket->route.target), content);
	} while (ticket->answer != NULL && ticket->route.step == APPLY_ROUTE_ASK &&
			 ticket->answer->state == APPLY_KNOWN);
	MemoryContextSwitchTo(old);
	MemoryContextReset(desk->scratch);
}

static void
keep_content(ApplyDesk *desk, ApplyTicket *ticket, Datum content)
{
	MemoryContext old = MemoryContextSwitchTo(desk->context);

	ticket->content = datumCopy(content, false, -1);
	dlist_push_tail(&desk->waiting, &ticket->node);
	MemoryContextSwitchTo(old);
}

static void
free_content(ApplyTicket *ticket)
{
	if (DatumGetPointer(ticket->content) == NULL)
		return;
	pfree(DatumGetPointer(ticket->content));
	ticket->content = PointerGetDatum(NULL);
	dlist_delete(&ticket->node);
}

ApplyTicket *
gepa_apply_desk_ask(ApplyDesk *desk, Datum content, bool is_jsonb)
{
	ApplyTicket *ticket = MemoryContextAllocZero(desk->context, sizeof(ApplyTicket));

	ticket->is_jsonb = is_jsonb;
	if (desk->named->judge != NULL)
		ask_judge(desk, ticket, desk->named->judge, content);
	else
		go_on(desk, ticket, content);
	if (ticket->answer == NULL)
	{
		pfree(ticket);
		return NULL;
	}
	if (waits_for_rule(ticket))
		keep_content(desk, ticket, content);
	return ticket;
}

void
gepa_apply_desk_release(ApplyTicket *ticket)
{
	free_content(ticket);
	if (ticket->answer != NULL)
		gepa_apply_stream_release(ticket->stream, ticket->answer);
	pfree(ticket);
}

/*
 * All its streams
 */

void
gepa_apply_desk_send(ApplyDesk *desk)
{
	ListCell   *cell;

	foreach(cell, desk->streams)
		gepa_apply_stream_send(lfirst(cell));
}

static bool
any_may_go_on(const ApplyDesk *desk)
{
	dlist_iter	iter;

	dlist_foreach(iter, unconstify(dlist_head *, &desk->waiting))
		if (!waits_for_rule(dlist_container(ApplyTicket, node, iter.cur)))
		return true;
	return false;
}

static void
take_on(ApplyDesk *desk)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &desk->waiting)
	{
		ApplyTicket *ticket = dlist_container(ApplyTicket, node, iter.cur);

		if (waits_for_rule(ticket))
			continue;
		go_on(desk, ticket, ticket->content);
		if (!waits_for_rule(ticket))
			free_content(ticket);
	}
	gepa_apply_desk_send(desk);
}

int
gepa_apply_desk_poll(ApplyDesk *desk)
{
	StreamTransaction transaction;
	ListCell   *cell;
	int			known = 0;

	foreach(cell, desk->streams)
		known += gepa_apply_stream_poll(lfirst(cell));
	if (!any_may_go_on(desk))
		return known;
	gepa_apply_begin(&transaction);
	take_on(desk);
	gepa_apply_end(&transaction);
	return known;
}

int
gepa_apply_desk_sent(const ApplyDesk *desk)
{
	ListCell   *cell;
	int			sent = 0;

	foreach(cell, desk->streams)
		sent += gepa_apply_stream_sent(lfirst(cell));
	return sent;
}

/* The network is one for all; what others call is looked for from time to time. */
void
gepa_apply_desk_rest(ApplyDesk *desk, int longest_ms)
{
	if (list_length(desk->streams) == 1)
		gepa_apply_stream_rest(linitial(desk->streams), longest_ms);
	else
		gepa_lm_wait(Min(longest_ms, STORE_LEASE_LOOK_MS));
}

void
gepa_apply_desk_drain(ApplyDesk *desk)
{
	ListCell   *cell;

	foreach(cell, desk->streams)
		gepa_apply_stream_drain(lfirst(cell));
}

void
gepa_apply_desk_rescue(ApplyDesk *desk)
{
	ListCell   *cell;

	foreach(cell, desk->streams)
		gepa_apply_stream_rescue(lfirst(cell));
}

int
gepa_apply_desk_concurrency(const ApplyDesk *desk)
{
	ListCell   *cell;
	int			most = 0;

	if (desk->named->judge != NULL)
		most = gepa_judge_places(desk->named->judge->servers);
	foreach(cell, desk->named->judges)
		most += gepa_judge_places(((ApplyJudge *) lfirst(cell))->servers);
	return Max(most, 1);
}
