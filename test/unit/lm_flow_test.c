/*-------------------------------------------------------------------------
 *
 * lm_flow_test.c
 *	  Rates, the adaptive limit, both together in many processes, and what is counted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/pg_prng.h"

#include "lm/lm_flow.h"
#include "lm/lm_stats.h"
#include "tap.h"

#define SECOND INT64CONST(1000000)
#define MINUTE (60 * SECOND)
#define T0 (INT64CONST(1000) * SECOND)

/*
 * Rates
 */

static LmRate
rate_of(int per_minute)
{
	LmRate		rate = {0};

	gepa_lm_rate_set(&rate, per_minute, T0);
	return rate;
}

/*
 * Send one at a time as soon as it may go, with pauses now and then: the most
 * that went in any minute, and how many in all.
 */
static int
most_in_a_minute(int per_minute, int64 duration, int *all)
{
	static int64 sent[200000];
	LmRate		rate = rate_of(per_minute);
	pg_prng_state random;
	int			n = 0;
	int			most = 0;

	pg_prng_seed(&random, per_minute);
	for (int64 now = T0; now < T0 + duration && n < lengthof(sent);)
	{
		int64		due = gepa_lm_rate_due(&rate, 0, 1, now);

		if (due > now)
		{
			now = due;
			continue;
		}
		gepa_lm_rate_take(&rate, 1, now);
		sent[n++] = now;
		if (pg_prng_double(&random) < 0.2 / per_minute)
			now += 5 * SECOND;
	}
	for (int first = 0, last = 0; last < n; last++)
	{
		while (sent[first] <= sent[last] - MINUTE)
			first++;
		most = Max(most, last - first + 1);
	}
	*all = n;
	return most;
}

static void
check_rates(void)
{
	static const int rates[] = {1, 2, 7, 60, 600, 12345};

	for (int i = 0; i < lengthof(rates); i++)
	{
		int			all;
		int			most = most_in_a_minute(rates[i], 10 * MINUTE, &all);

		tap_ok(most <= rates[i], "%d a minute: %d at most in any minute", rates[i], most);
		tap_ok(most > 0.98 * rates[i] - 1, "... and hardly fewer than there may be");
	}
}

static void
check_buckets(void)
{
	LmRate		rate = rate_of(60);

	tap_is_int(gepa_lm_rate_due(&rate, 0, 2, T0), 0, "a burst is what two seconds bring");
	gepa_lm_rate_take(&rate, 2, T0);
	tap_ok(gepa_lm_rate_due(&rate, 0, 1, T0) > T0 + SECOND &&
		   gepa_lm_rate_due(&rate, 0, 1, T0) < T0 + 1.1 * SECOND, "... the next comes after one second");
	tap_ok(gepa_lm_rate_due(&rate, 4, 1, T0) > T0 + 5 * SECOND, "... the fifth after five");
	tap_ok(fabs(gepa_lm_rate_left(&rate, T0 + 3600 * SECOND) - 2) < 1e-9, "an idle hour brings no more");
	tap_ok(gepa_lm_rate_due(&rate, 4, 1, T0 + 3600 * SECOND) > T0 + 3603 * SECOND,
		   "... so the fifth after it waits for three more");

	rate = rate_of(6000);
	gepa_lm_rate_take(&rate, 500, T0);
	tap_ok(fabs(gepa_lm_rate_left(&rate, T0) + 300) < 1e-6, "what is taken beyond is a debt");
	tap_ok(gepa_lm_rate_due(&rate, 0, 1, T0) > T0 + 3 * SECOND, "... that is paid before the next");
	gepa_lm_rate_take(&rate, -400, T0);
	tap_ok(fabs(gepa_lm_rate_left(&rate, T0) - 100) < 1e-6, "what was taken too much is put back");
	tap_ok(gepa_lm_rate_due(&rate, 0, 100000, T0) <= T0 + 2 * SECOND,
		   "more than there ever is goes when the bucket is full");

	gepa_lm_rate_set(&rate, 60, T0);
	tap_ok(gepa_lm_rate_left(&rate, T0) <= 2, "a lower rate holds at once");
	gepa_lm_rate_set(&rate, 0, T0);
	gepa_lm_rate_take(&rate, 1e9, T0);
	tap_is_int(gepa_lm_rate_due(&rate, 0, 1e9, T0), 0, "no rate, no limit");
}

/*
 * The adaptive limit
 */

static void
check_adapt(void)
{
	LmAdapt		adapt = {0};
	int			rounds = 0;

	gepa_lm_adapt_set(&adapt, 64);
	tap_is_int(adapt.limit, 64, "it begins at the top");
	for (int i = 0; i < 64; i++)
		gepa_lm_adapt_bad(&adapt, T0 - 64 + i, T0 + i);
	tap_is_int(adapt.limit, 32, "a burst of failures halves it once");
	gepa_lm_adapt_good(&adapt, T0 - 1);
	tap_is_int(adapt.answered, 0, "what was sent before it fell says nothing new");
	gepa_lm_adapt_bad(&adapt, T0 + 1, T0 + SECOND);
	tap_is_int(adapt.limit, 16, "what was sent since halves it again");
	for (int i = 2; i < 20; i++)
		gepa_lm_adapt_bad(&adapt, T0 + i * SECOND, T0 + i * SECOND);
	tap_is_int(adapt.limit, 1, "one call always goes");
	while (adapt.limit < adapt.top && rounds < 1000)
	{
		int			before = adapt.limit;

		for (int i = 0; i < before - 1; i++)
			gepa_lm_adapt_good(&adapt, T0 + MINUTE);
		if (adapt.limit != before)
			rounds = 1000;
		gepa_lm_adapt_good(&adapt, T0 + MINUTE);
		if (adapt.limit != Min(64, before + 4))
			rounds = 1000;
		rounds++;
	}
	tap_is_int(rounds, 16, "each round of answers raises it by a sixteenth of the top");

	gepa_lm_adapt_set(&adapt, 100);
	tap_is_int(adapt.limit, 100, "at the top it goes with a new top");
	gepa_lm_adapt_bad(&adapt, T0 + 2 * MINUTE, T0 + 2 * MINUTE);
	gepa_lm_adapt_set(&adapt, 200);
	tap_is_int(adapt.limit, 50, "below it stays");
	gepa_lm_adapt_set(&adapt, 3);
	tap_is_int(adapt.limit, 3, "... unless that is lower");
}

/*
 * Many processes on one LM.  Each has calls without end: it sends until it may not, and
 * then sleeps until it is woken, or wakes by itself.
 */

#define MAX_PROCESSES 12
#define MAX_CALLS 64

typedef struct Process
{
	LmParty		party;			/* must be first */
	LmClaim		claim;
	bool		woken;
	int64		calls[MAX_CALLS];	/* when those in flight end; 0 = free */
	int			sent;
	int			wakeups;
} Process;

static struct
{
	LmFlow		flow;
	Process		processes[MAX_PROCESSES];
	int			n;
	int64		now;
	int64		latency;
	int			peak;
	int			actual_tokens;
	pg_prng_state random;
}			world;

static void
wake(LmParty *party)
{
	((Process *) party)->woken = true;
}

static void
start_world(const LmLimits *limits, int n, const LmClass *classes)
{
	memset(&world, 0, sizeof(world));
	world.n = n;
	world.now = T0;
	world.latency = SECOND;
	pg_prng_seed(&world.random, 7);
	gepa_lm_flow_start(&world.flow);
	gepa_lm_flow_set(&world.flow, limits, world.now);
	for (int i = 0; i < n; i++)
	{
		Process    *process = &world.processes[i];

		gepa_lm_places_join(&world.flow.places, &process->party, classes[i]);
		process->claim.bytes = 1000;
		process->claim.max_tokens = 10;
		process->woken = true;
	}
}

/* Latencies differ by half. */
static void
send_call(Process *process)
{
	int			i = 0;

	while (process->calls[i] != 0)
		i++;
	process->calls[i] = world.now + (int64) (world.latency *
											 (0.5 + pg_prng_double(&world.random)));
	process->sent++;
	world.peak = Max(world.peak, world.flow.places.taken);
}

/* As limit.c and gate.c do it. */
static void
run_process(Process *process)
{
	LmFlow	   *flow = &world.flow;
	LmParty    *party = &process->party;

	process->woken = false;
	process->wakeups++;
	gepa_lm_flow_grant(flow, world.now, wake);
	party->attends = false;
	while (gepa_lm_flow_take(flow, party, &process->claim, world.now, wake))
		send_call(process);
	gepa_lm_places_want(&flow->places, party, true);
	party->due = gepa_lm_flow_due(flow, party, world.now);
	party->attends = true;
	process->woken = false;
	gepa_lm_flow_grant(flow, world.now, wake);
}

static void
end_calls(Process *process)
{
	for (int i = 0; i < MAX_CALLS; i++)
	{
		LmSpent		spent = {.requests = 1,.answered = true,.counted = true};

		if (process->calls[i] == 0 || process->calls[i] > world.now)
			continue;
		spent.sent_at = world.now;
		spent.input_tokens = world.actual_tokens;
		process->calls[i] = 0;
		gepa_lm_flow_end(&world.flow, &process->party, &process->claim, &spent, world.now);
		gepa_lm_flow_grant(&world.flow, world.now, wake);
		process->woken = true;	/* it collects the answer */
	}
}

/* When something happens next; PG_INT64_MAX = all sleep for ever. */
static int64
next_event(void)
{
	int64		next = PG_INT64_MAX;

	for (int i = 0; i < world.n; i++)
	{
		const Process *process = &world.processes[i];

		if (process->woken)
			return world.now;
		next = Min(next, process->party.due);
		for (int k = 0; k < MAX_CALLS; k++)
			if (process->calls[k] != 0)
				next = Min(next, process->calls[k]);
	}
	return next;
}

/* Until then, or until all sleep for ever: false. */
static bool
run_world(int64 until)
{
	while (world.now < until)
	{
		int64		next = next_event();

		if (next == PG_INT64_MAX)
			return false;
		world.now = Max(world.now, next);
		for (int i = 0; i < world.n; i++)
			end_calls(&world.processes[i]);
		for (int i = 0; i < world.n; i++)
			if (world.processes[i].woken || world.processes[i].party.due <= world.now)
				run_process(&world.processes[i]);
	}
	return true;
}

static int
all_sent(void)
{
	int			n = 0;

	for (int i = 0; i < world.n; i++)
		n += world.processes[i].sent;
	return n;
}

static int
all_wakeups(void)
{
	int			n = 0;

	for (int i = 0; i < world.n; i++)
		n += world.processes[i].wakeups;
	return n;
}

/* The rate is the limit, by far; then a place. */
static void
check_rate_shares(void)
{
	static const LmClass classes[] = {LM_CLASS_JOB, LM_CLASS_RUN, LM_CLASS_QUERY};
	LmLimits	limits = {.max_concurrency = 50,.requests_per_minute = 700};
	int			sent[3];

	start_world(&limits, 3, classes);
	world.latency = SECOND / 100;
	tap_ok(run_world(T0 + 10 * MINUTE), "a rate shared by three: somebody always wakes");
	for (int i = 0; i < 3; i++)
		sent[i] = world.processes[i].sent;
	tap_ok(all_sent() <= 7000 && all_sent() > 0.95 * 7000, "... and it is used: %d of 7000", all_sent());
	tap_ok(fabs(sent[2] / (double) sent[0] - 4) < 0.2 && fabs(sent[1] / (double) sent[0] - 2) < 0.1,
		   "... by weight: %d, %d, %d", sent[2], sent[1], sent[0]);
	tap_ok(all_wakeups() < 4 * all_sent(), "... with %d wake-ups", all_wakeups());

	limits.requests_per_minute = 0;
	limits.max_concurrency = 14;
	start_world(&limits, 3, classes);
	tap_ok(run_world(T0 + 10 * MINUTE), "places shared by three: somebody always wakes");
	for (int i = 0; i < 3; i++)
		sent[i] = world.processes[i].sent;
	tap_ok(all_sent() > 0.97 * 14 * 600, "... all are used: %d of %d", all_sent(), 14 * 600);
	tap_ok(fabs(sent[2] / (double) sent[0] - 4) < 0.4 && fabs(sent[1] / (double) sent[0] - 2) < 0.2,
		   "... by weight: %d, %d, %d", sent[2], sent[1], sent[0]);
	tap_is_int(world.peak, 14, "... and no more");
}

/* Alike, more than there are places, and a rate that is about as narrow. */
static void
check_crowd(void)
{
	LmLimits	limits = {.max_concurrency = 4,.requests_per_minute = 240};
	LmClass		classes[MAX_PROCESSES];
	int			fewest = PG_INT32_MAX;
	int			most = 0;

	for (int i = 0; i < MAX_PROCESSES; i++)
		classes[i] = LM_CLASS_QUERY;
	start_world(&limits, MAX_PROCESSES, classes);
	tap_ok(run_world(T0 + 10 * MINUTE), "twelve at four places and a rate: somebody always wakes");
	for (int i = 0; i < world.n; i++)
	{
		fewest = Min(fewest, world.processes[i].sent);
		most = Max(most, world.processes[i].sent);
	}
	tap_ok(most - fewest <= 8, "... and all have their turns: %d to %d", fewest, most);
	tap_ok(all_sent() > 0.9 * 2400 && all_sent() <= 2400, "... %d of 2400", all_sent());
}

/* Calls are taken to need 410 tokens, and need 1000; then that is known. */
static void
check_tokens(void)
{
	static const LmClass classes[] = {LM_CLASS_QUERY, LM_CLASS_QUERY};
	LmLimits	limits = {.max_concurrency = 50,.tokens_per_minute = 600000};

	start_world(&limits, 2, classes);
	world.actual_tokens = 1000;
	tap_ok(run_world(T0 + 10 * MINUTE), "tokens shared by two: somebody always wakes");
	tap_ok(all_sent() <= 6000 + 60 && all_sent() > 0.93 * 6000,
		   "... %d calls of 1000 tokens, 6000 may go", all_sent());
	tap_ok(fabs(world.processes[0].claim.tokens - 1010) < 5,
		   "what a call needs is learnt from those before: %.0f", world.processes[0].claim.tokens);
	tap_ok(abs(world.processes[0].sent - world.processes[1].sent) < 60, "... both have half: %d, %d",
		   world.processes[0].sent, world.processes[1].sent);
}

/* Whose turn it is does not lose it to a smaller call, nor to who comes by. */
static void
check_large_call(void)
{
	static const LmClass classes[] = {LM_CLASS_QUERY, LM_CLASS_QUERY};
	LmLimits	limits = {.max_concurrency = 50,.tokens_per_minute = 60000};
	Process    *large = &world.processes[0];
	Process    *small = &world.processes[1];

	start_world(&limits, 2, classes);
	small->claim.bytes = 100;
	large->claim.bytes = 4000;	/* 1610 tokens, of 2000 that are there */
	tap_ok(gepa_lm_flow_take(&world.flow, &small->party, &small->claim, T0, wake) &&
		   gepa_lm_flow_take(&world.flow, &large->party, &large->claim, T0, wake), "both go");
	gepa_lm_places_give_back(&world.flow.places, &large->party, 1);
	tap_ok(!gepa_lm_flow_take(&world.flow, &large->party, &large->claim, T0, wake),
		   "the larger does not once more");
	gepa_lm_places_want(&world.flow.places, &large->party, true);
	large->party.due = gepa_lm_flow_due(&world.flow, &large->party, T0);
	large->party.attends = true;
	tap_ok(large->party.due > T0 + SECOND, "it sleeps until there is enough for it");
	tap_ok(!gepa_lm_flow_take(&world.flow, &small->party, &small->claim, T0 + SECOND / 2, wake),
		   "the smaller, which has one in flight, waits behind it");
	tap_ok(gepa_lm_flow_due(&world.flow, &small->party, T0 + SECOND / 2) > large->party.due,
		   "... and is due after it");
	large->woken = false;
	gepa_lm_flow_grant(&world.flow, large->party.due, wake);
	tap_ok(large->woken && large->party.granted == 1, "then it goes");
	gepa_lm_flow_decline(&world.flow, &large->party, large->party.due);
	gepa_lm_places_want(&world.flow.places, &large->party, false);
	tap_ok(gepa_lm_flow_take(&world.flow, &small->party, &small->claim, large->party.due, wake),
		   "... or, if it wants nothing any more, leaves it to the other");
}

/*
 * Counts
 */

static void
check_stats(void)
{
	LmStats		stats;
	LmAttempt	attempt = {.last = true};
	LmReply		reply = {.status = GEPA_STATUS_HTTP_ERROR};

	memset(&stats, 0, sizeof(stats));
	tap_ok(gepa_lm_stats_latency_ms(&stats, 0.5) < 0, "no answer has no latency");
	attempt.spent.requests = 1;
	attempt.spent.answered = true;
	for (int i = 1; i <= 1000; i++)
	{
		attempt.latency_ms = i;
		gepa_lm_stats_add(&stats, &attempt);
	}
	tap_ok(fabs(gepa_lm_stats_latency_ms(&stats, 0.5) / 500 - 1) < 0.05, "the median");
	tap_ok(fabs(gepa_lm_stats_latency_ms(&stats, 0.95) / 950 - 1) < 0.05, "... and 95 of 100");
	attempt.last = false;
	attempt.error = LM_ERROR_429;
	attempt.spent.answered = false;
	gepa_lm_stats_add(&stats, &attempt);
	tap_ok(stats.calls == 1000 && stats.ok == 1000 && stats.retries == 1 &&
		   stats.errors[LM_ERROR_429] == 1, "an error that passes is an error, and no call");
	attempt.latency_ms = 1e12;
	attempt.spent.answered = true;
	gepa_lm_stats_add(&stats, &attempt);
	tap_is_int(stats.latencies[LM_NLATENCIES - 1], 1, "what takes for ever is counted as well");

	reply.http_status = 429;
	tap_ok(gepa_lm_error_of(LM_FAILURE_HTTP, &reply) == LM_ERROR_429 && gepa_lm_is_overload(&reply), "429");
	reply.fatal = true;
	tap_ok(!gepa_lm_is_overload(&reply), "no quota is no overload");
	reply.fatal = false;
	reply.http_status = 529;
	tap_ok(gepa_lm_error_of(LM_FAILURE_HTTP, &reply) == LM_ERROR_5XX && gepa_lm_is_overload(&reply), "529");
	reply.http_status = 500;
	tap_ok(gepa_lm_error_of(LM_FAILURE_HTTP, &reply) == LM_ERROR_5XX && !gepa_lm_is_overload(&reply), "500");
	reply.http_status = 404;
	tap_is_int(gepa_lm_error_of(LM_FAILURE_HTTP, &reply), LM_ERROR_4XX, "404");
	reply.http_status = 302;
	tap_is_int(gepa_lm_error_of(LM_FAILURE_HTTP, &reply), LM_ERROR_OTHER, "a redirect");
	reply.http_status = 0;
	tap_is_int(gepa_lm_error_of(LM_FAILURE_BROKEN, &reply), LM_ERROR_CONNECTION, "a broken connection");
	reply.status = GEPA_STATUS_TIMEOUT;
	tap_ok(gepa_lm_error_of(LM_FAILURE_TIMEOUT, &reply) == LM_ERROR_TIMEOUT && gepa_lm_is_overload(&reply), "no answer in time");
}

int
main(void)
{
	check_rates();
	check_buckets();
	check_adapt();
	check_rate_shares();
	check_crowd();
	check_tokens();
	check_large_call();
	check_stats();
	return tap_done();
}
