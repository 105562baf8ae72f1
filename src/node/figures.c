/*-------------------------------------------------------------------------
 *
 * figures.c
 *	  What a node did, counted.
 *
 * Latencies go into buckets that grow by a tenth each, so that a quantile is
 * right within 5 % from 0.1 ms to five minutes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "node/node_exec.h"

#define FIRST_BUCKET_MS 0.1
#define BUCKET_GROWTH	1.1

const NodeFigures *
gepa_node_figures(const CustomScanState *node)
{
	return &((const NodeState *) node)->figures;
}

static int
bucket_of(double ms)
{
	if (ms <= FIRST_BUCKET_MS)
		return 0;
	return Min((int) (log(ms / FIRST_BUCKET_MS) / log(BUCKET_GROWTH)) + 1,
			   NODE_LATENCY_BUCKETS - 1);
}

double
gepa_node_latency(const NodeFigures *figures, double share)
{
	int64		total = 0;
	int64		below = 0;

	for (int i = 0; i < NODE_LATENCY_BUCKETS; i++)
		total += figures->latency[i];
	if (total == 0)
		return 0;
	for (int i = 0; i < NODE_LATENCY_BUCKETS; i++)
	{
		below += figures->latency[i];
		if (below >= share * total)
			return FIRST_BUCKET_MS * pow(BUCKET_GROWTH, i - 0.5);
	}
	return FIRST_BUCKET_MS * pow(BUCKET_GROWTH, NODE_LATENCY_BUCKETS - 1);
}

/*
 * Counting: once for the node, and once for the judge
 */

static NodeFigures *
tally_of(NodeState *node, const char *judge)
{
	NodeTally **link = &node->tallies;

	while (*link != NULL && strcmp((*link)->judge, judge) != 0)
		link = &(*link)->next;
	if (*link == NULL)
	{
		MemoryContext context = node->execution->context;

		*link = MemoryContextAllocZero(context, sizeof(NodeTally));
		(*link)->judge = MemoryContextStrdup(context, judge);
	}
	return &(*link)->figures;
}

const NodeTally *
gepa_node_tallies(const CustomScanState *node)
{
	return ((const NodeState *) node)->tallies;
}

void
gepa_node_count_call(NodeState *node, const char *judge, bool coalesced)
{
	NodeFigures *tally = tally_of(node, judge);

	node->figures.coalesced += coalesced;
	tally->coalesced += coalesced;
}

static void
add_answer(NodeFigures *figures, const JudgeVerdict *verdict, ApplyAnswerOrigin origin,
		   bool wasted)
{
	if (origin != APPLY_CALLED)
	{
		*(origin == APPLY_STORED ? &figures->stored : &figures->elsewhere) += 1;
		return;
	}
	figures->requests += verdict->asked;
	figures->wasted += wasted ? verdict->asked : 0;
	figures->retries += Max(verdict->attempts - verdict->asked, 0);
	figures->throttled += verdict->throttled;
	figures->input_tokens += verdict->input_tokens;
	figures->output_tokens += verdict->output_tokens;
	figures->cost += verdict->cost;
	if (verdict->status == GEPA_STATUS_OK)
		figures->latency[bucket_of(verdict->latency_ms)]++;
	else
		figures->failures[verdict->status]++;
}

void
gepa_node_count_answer(NodeState *node, const char *judge, const ApplyVerdict *verdict,
					   ApplyAnswerOrigin origin, bool wasted)
{
	add_answer(&node->figures, &verdict->verdict, origin, wasted);
	add_answer(tally_of(node, judge), &verdict->verdict, origin, wasted);
}

void
gepa_node_count_unanswered(NodeState *node, const char *judge, int n)
{
	NodeFigures *tally = tally_of(node, judge);

	node->figures.requests += n;
	tally->requests += n;
	node->figures.wasted += n;
	tally->wasted += n;
}

/*
 * What streams know, which is of all nodes of the statement
 */

/* Of a judge that the node has asked. */
static void
note_peak(NodeState *node, const NodeSession *session)
{
	for (NodeTally *tally = node->tallies; tally != NULL; tally = tally->next)
		if (strcmp(tally->judge, session->name) == 0)
			tally->figures.peak = gepa_apply_stream_peak(session->stream);
}

void
gepa_node_report(NodeState *node)
{
	for (NodeSession *session = node->execution->sessions; session != NULL; session = session->next)
		if (session->judge != NULL)
			note_peak(node, session);
	gepa_node_progress_update(&node->css, &node->figures, node->plan.rows);
}
