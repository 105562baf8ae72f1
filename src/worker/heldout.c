/*-------------------------------------------------------------------------
 *
 * heldout.c
 *	  A version on the test rows that a run held out.
 *
 * The rows are judged through the verdict store and so by the path of
 * gepa.report(): what was judged before is not paid again.  A document that
 * the version fails to judge (not parsed, refused, cut off, rejected by the
 * endpoint for good) counts as wrong; a call that gets no answer says nothing
 * about the version and ends the measurement.
 *
 * No transaction is open during the calls.  The rows go out some at a time, so
 * that a request to stop is noticed; what was paid by then is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "apply/apply.h"
#include "base/clock.h"
#include "worker/worker_schedule.h"

/* How many times the calls in flight are asked for at once. */
#define ROWS_PER_PLACE 8

/* What was free when it was stored may have a price by now. */
static double
cost_of(const ApplyJudge *judge, const JudgeVerdict *verdict)
{
	LmReply		reply = {0};

	reply.input_tokens = verdict->input_tokens;
	reply.output_tokens = verdict->output_tokens;
	return verdict->cost > 0 ? verdict->cost : gepa_lm_cost(judge->lm, &reply);
}

static void
add_figures(WorkerHeldOut *held, const ApplyJudge *judge, const ApplyVerdict *verdict)
{
	const JudgeVerdict *judged = &verdict->verdict;

	held->cost += cost_of(judge, judged);
	held->input_tokens += judged->input_tokens;
	held->output_tokens += judged->output_tokens;
	held->called += !verdict->cached;
	if (judged->status != GEPA_STATUS_OK)
		return;
	held->timed++;
	held->latency_ms += judged->latency_ms;
}

static void
settle_undecided(WorkerHeldOut *held, JudgeOutcome *outcome, const ApplyJudge *judge,
				 const JudgeVerdict *verdict)
{
	if (gepa_status_no_answer(verdict->status) && !verdict->rejected)
		gepa_judge_report(judge->spec, judge->servers, verdict);
	held->undecided++;
	outcome->decided = true;
	outcome->positive = !outcome->expected;
}

/* Some of the rows, from first on. */
static void
judge_some(WorkerHeldOut *held, ApplyJudge *judge, const StoreSample *samples, int first, int n,
		   MemoryContext context)
{
	int64		start = gepa_clock_us();
	ApplyBatch	batch;
	JudgeOutcome *outcomes;

	gepa_worker_begin(context);
	gepa_apply_find(&batch, judge, gepa_apply_sample_documents(samples + first, n), n);
	gepa_worker_commit(context);
	gepa_apply_call(&batch);
	outcomes = gepa_apply_outcomes(judge->spec, samples + first, batch.verdicts, n);
	for (int i = 0; i < n; i++)
	{
		add_figures(held, judge, &batch.verdicts[i]);
		if (!outcomes[i].decided)
			settle_undecided(held, &outcomes[i], judge, &batch.verdicts[i].verdict);
		held->outcomes[first + i] = outcomes[i];
	}
	held->seconds += (gepa_clock_us() - start) / 1e6;
}

bool
gepa_worker_judge_held_out(WorkerHeldOut *held, StoreVersion *version, int run,
						   bool (*stops) (void), MemoryContext context)
{
	StoreSample *samples;
	ApplyJudge *judge;
	JudgePace	pace;
	int			some;

	memset(held, 0, sizeof(WorkerHeldOut));
	gepa_worker_begin(context);
	samples = gepa_store_get_samples(run, version->spec, STORE_SPLIT_TEST, &held->n);
	judge = gepa_apply_open(version, LM_PURPOSE_REPORT);
	gepa_worker_commit(context);

	pace = gepa_judge_pace(judge->servers);
	held->places = pace.places;
	held->documents_per_minute = pace.documents_per_minute;
	held->tokens_per_minute = pace.tokens_per_minute;
	held->outcomes = palloc0(sizeof(JudgeOutcome) * Max(held->n, 1));
	some = (int) (held->places * ROWS_PER_PLACE);
	for (int first = 0; first < held->n; first += some)
	{
		if (stops != NULL && stops())
		{
			gepa_apply_close(judge);
			return false;
		}
		judge_some(held, judge, samples, first, Min(some, held->n - first), context);
	}
	gepa_apply_close(judge);
	return true;
}
