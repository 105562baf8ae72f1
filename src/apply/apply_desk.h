/*-------------------------------------------------------------------------
 *
 * apply_desk.h
 *	  Documents as they come, through whatever a name stands for: a part of the
 *	  door of src/apply, which includes it.
 *
 * A desk has a stream for each judge that is asked, and takes documents that rules of a
 * router have a judge asked about on to the next one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_APPLY_APPLY_DESK_H
#define GEPA_APPLY_APPLY_DESK_H

#include "lib/ilist.h"

#include "apply/apply_route.h"
#include "apply/apply_stream.h"

typedef struct ApplyDesk ApplyDesk;

/* A document on its way; read only for all but desk.c. */
typedef struct ApplyTicket
{
	dlist_node	node;			/* of those that wait for the verdict of a
								 * rule */
	ApplyAnswer *answer;		/* of the judge asked last; NULL = the
								 * document is NULL to it */
	bool		fresh;			/* nobody had asked for that before */
	struct ApplyJudge *judge;
	ApplyStream *stream;
	ApplyRoute	route;			/* START = there is no router */
	Datum		content;		/* a copy, while rules wait */
	bool		is_jsonb;

	/* What verdicts for its rules took that were called for it. */
	int64		input_tokens;
	int64		output_tokens;
	double		cost;
} ApplyTicket;

/* In a new child of the current context; the name must outlive it.  Needs a transaction. */
extern ApplyDesk *gepa_apply_desk_open(ApplyNamed *named);
extern void gepa_apply_desk_close(ApplyDesk *desk);

/* Ask for a document, in a transaction; NULL: it is NULL. */
extern ApplyTicket *gepa_apply_desk_ask(ApplyDesk *desk, Datum content, bool is_jsonb);
extern void gepa_apply_desk_release(ApplyTicket *ticket);

static inline bool
gepa_apply_ticket_is_known(const ApplyTicket *ticket)
{
	return ticket->answer == NULL ||
		(ticket->route.step != APPLY_ROUTE_ASK && ticket->answer->state == APPLY_KNOWN);
}

/* As those of a stream, of all its streams; poll may begin a transaction of its own. */
extern void gepa_apply_desk_send(ApplyDesk *desk);
extern int	gepa_apply_desk_poll(ApplyDesk *desk);
extern int	gepa_apply_desk_sent(const ApplyDesk *desk);
extern void gepa_apply_desk_rest(ApplyDesk *desk, int longest_ms);
extern void gepa_apply_desk_drain(ApplyDesk *desk);
extern void gepa_apply_desk_rescue(ApplyDesk *desk);

/* So many calls its LMs take at a time. */
extern int	gepa_apply_desk_concurrency(const ApplyDesk *desk);

#endif							/* GEPA_APPLY_APPLY_DESK_H */
