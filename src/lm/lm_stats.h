/*-------------------------------------------------------------------------
 *
 * lm_stats.h
 *	  What came of the calls on an LM: counts, for gepa.lm_stats.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_STATS_H
#define GEPA_LM_LM_STATS_H

#include "lm/lm_flow.h"
#include "lm/lm_internal.h"

#define LM_NLATENCIES 216

/* One LM's, since it was first called; all zeroes at first. */
typedef struct LmStats
{
	uint64		calls;			/* that have ended */
	uint64		ok;
	uint64		retries;		/* attempts after the first of a call */
	uint64		errors[LM_NERRORS]; /* that attempts ended with */
	uint64		input_tokens;
	uint64		output_tokens;
	double		cost;
	uint64		latencies[LM_NLATENCIES];	/* of answers, by size */
} LmStats;

/* How an attempt at a call ended. */
typedef struct LmAttempt
{
	LmSpent		spent;
	LmError		error;
	bool		last;			/* the call has ended with it */
	double		latency_ms;
	double		cost;
} LmAttempt;

extern LmError gepa_lm_error_of(LmFailure failure, const LmReply *reply);

/* Does it say that the endpoint has too much to do, or we ask too much of it? */
extern bool gepa_lm_is_overload(const LmReply *reply);

extern void gepa_lm_stats_add(LmStats *stats, const LmAttempt *attempt);

/* Calls that were called back while they were in flight. */
extern void gepa_lm_stats_add_cancelled(LmStats *stats, int n);

/* What so large a share of the answers took at most, about; < 0 = there were none. */
extern double gepa_lm_stats_latency_ms(const LmStats *stats, double share);

#endif							/* GEPA_LM_LM_STATS_H */
