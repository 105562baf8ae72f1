/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  What came of the calls on an LM, since when it was first called: counts.
 *
 * A call is counted when it has ended; an error with the attempt that it ended, also
 * if that was made again and then went well.  Latencies are those of answers (HTTP
 * 200), counted by size: eight classes from each power of two to the next, so a
 * percentile is right to a twentieth or so.
 *
 * What is wrong with an answer for the judge that asked (another label, say) is not
 * known here.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "lm/lm_internal.h"
#include "lm/lm_stats.h"

#define CLASSES_PER_OCTAVE 8

/* What the first class begins with, in ms; the last has all that is longer than four hours. */
#define SHORTEST_MS 0.125

LmError
gepa_lm_error_of(LmFailure failure, const LmReply *reply)
{
	switch (reply->status)
	{
		case GEPA_STATUS_OK:
			return LM_ERROR_NONE;
		case GEPA_STATUS_TIMEOUT:
			return LM_ERROR_TIMEOUT;
		case GEPA_STATUS_REFUSED:
			return LM_ERROR_REFUSED;
		case GEPA_STATUS_TRUNCATED:
			return LM_ERROR_TRUNCATED;
		case GEPA_STATUS_TOO_LONG:
			return LM_ERROR_TOO_LONG;
		case GEPA_STATUS_UNPARSEABLE:
			return LM_ERROR_UNPARSEABLE;
		default:
			break;
	}
	if (failure != LM_FAILURE_NONE && failure != LM_FAILURE_HTTP)
		return LM_ERROR_CONNECTION;
	if (reply->http_status == 429)
		return LM_ERROR_429;
	if (reply->http_status >= 500 && reply->http_status < 600)
		return LM_ERROR_5XX;
	return reply->http_status >= 400 && reply->http_status < 500 ? LM_ERROR_4XX : LM_ERROR_OTHER;
}

bool
gepa_lm_is_overload(const LmReply *reply)
{
	return reply->status == GEPA_STATUS_TIMEOUT ||
		(!reply->fatal && (reply->http_status == 429 || reply->http_status == 503 ||
						   reply->http_status == 529));
}

static int
latency_class(double ms)
{
	double		octaves = log2(Max(ms, SHORTEST_MS) / SHORTEST_MS);

	return Min((int) (octaves * CLASSES_PER_OCTAVE), LM_NLATENCIES - 1);
}

void
gepa_lm_stats_add(LmStats *stats, const LmAttempt *attempt)
{
	const LmSpent *spent = &attempt->spent;

	stats->calls += attempt->last;
	stats->ok += attempt->last && attempt->error == LM_ERROR_NONE;
	stats->retries += !attempt->last + spent->requests - 1;
	if (attempt->error != LM_ERROR_NONE)
		stats->errors[attempt->error]++;
	stats->input_tokens += spent->input_tokens;
	stats->output_tokens += spent->output_tokens;
	stats->cost += attempt->cost;
	if (spent->answered)
		stats->latencies[latency_class(attempt->latency_ms)]++;
}

void
gepa_lm_stats_add_cancelled(LmStats *stats, int n)
{
	stats->calls += n;
	stats->errors[LM_ERROR_CANCELLED] += n;
}

double
gepa_lm_stats_latency_ms(const LmStats *stats, double share)
{
	uint64		all = 0;
	double		rank;
	double		before = 0;

	for (int i = 0; i < LM_NLATENCIES; i++)
		all += stats->latencies[i];
	if (all == 0)
		return -1;
	rank = share * all;
	for (int i = 0; i < LM_NLATENCIES; i++)
	{
		double		n = stats->latencies[i];

		if (n > 0 && before + n >= rank)
			return SHORTEST_MS * exp2((i + (rank - before) / n) / CLASSES_PER_OCTAVE);
		before += n;
	}
	return -1;
}

const char *
gepa_lm_error_name(LmError error)
{
	static const char *const names[] = {
		NULL, "429", "4xx", "5xx", "timeout", "connection", "unparseable", "refused",
		"truncated", "too_long", "cancelled", "other"
	};

	StaticAssertStmt(lengthof(names) == LM_NERRORS, "an error has a name");
	return names[error];
}
