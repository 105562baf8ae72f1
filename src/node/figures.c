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

void
gepa_node_count_latency(NodeFigures *figures, double ms)
{
	figures->latency[bucket_of(ms)]++;
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

void
gepa_node_count_answer(NodeFigures *figures, const ApplyVerdict *verdict,
					   ApplyAnswerOrigin origin)
{
	const JudgeVerdict *v = &verdict->verdict;

	if (origin != APPLY_CALLED)
	{
		*(origin == APPLY_STORED ? &figures->stored : &figures->elsewhere) += 1;
		return;
	}
	figures->requests++;
	figures->retries += Max(v->attempts - 1, 0);
	figures->throttled += v->throttled;
	figures->input_tokens += v->input_tokens;
	figures->output_tokens += v->output_tokens;
	figures->cost += v->cost;
	if (v->status == GEPA_STATUS_OK)
		gepa_node_count_latency(figures, v->latency_ms);
	else
		figures->failures[v->status]++;
}

void
gepa_node_report(NodeState *node)
{
	int			in_flight = 0;
	int			peak = 0;

	for (NodeSession *judge = node->execution->judges; judge != NULL; judge = judge->next)
	{
		if (judge->judge == NULL)
			continue;
		in_flight += gepa_apply_stream_sent(judge->stream);
		peak += gepa_apply_stream_peak(judge->stream);
	}
	node->figures.in_flight = in_flight;
	node->figures.peak = peak;
	gepa_node_progress_update(&node->css, &node->figures, node->plan.rows);
}
