/*-------------------------------------------------------------------------
 *
 * spend.c
 *	  What a run may spend.
 *
 * max_calls, max_tokens and max_cost are an account of the run's own, which is
 * loaded from its row; each call of the run reserves on it before it is sent, and
 * on the day's accounts of its judge and its owner.
 *
 * Where the run's own account denies a call, the run is exhausted: nothing more is
 * sent, what is on the wire is waited for and saved, and the run is finished, with
 * the name of the limit as its reason.  In default mode the engine is told what came in of
 * the steps that were at work, and names the winner by it; in reference mode, which has no
 * use for half a minibatch, they are given up.
 * Where a day's account does, the run fails, and can be resumed.
 *
 * With stop_on_all the limits are conditions among others, that must all be met,
 * and no account.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "worker/worker_internal.h"

static int64
limit_of(double most, double units)
{
	if (isnan(most) || most * units >= (double) (PG_INT64_MAX / 16))
		return LM_NO_LIMIT;
	return (int64) floor(most * units);
}

static void
set_limits(LmAccount *account, const WorkerRunOptions *options)
{
	gepa_lm_account_clear(account);
	if (options->stop_on_all)
		return;
	account->limit.of[LM_CALLS] = limit_of(options->max_calls, 1);
	account->limit.of[LM_TOKENS] = limit_of(options->max_tokens, 1);
	account->limit.of[LM_COST] = limit_of(options->max_cost, LM_COST_UNITS);
}

void
gepa_worker_open_budget(WorkerRun *run)
{
	const StoreRun *row = run->row;
	Oid			owner = row->text != NULL ? row->owner :
		gepa_store_get_version_by_id(row->judge, row->seed_version)->owner;
	LmCharge	charge = {.judge = row->judge,.judge_name = row->judge_name,.run = row->run,
	.run_account = &run->account};
	MemoryContext old = MemoryContextSwitchTo(run->context);

	set_limits(&run->account, &run->options);
	gepa_store_load_run_account(row->run, &run->account);
	run->budget = gepa_store_open_budget(&charge, owner);
	MemoryContextSwitchTo(old);
}

bool
gepa_worker_note_denial(WorkerRun *run)
{
	static const char *const reasons[] = {"max_calls", "max_tokens", "max_cost"};
	LmBudgetKind kind;
	LmMeasure	measure;

	if (!gepa_lm_budget_denied(run->budget, &kind, &measure) || kind != LM_BUDGET_RUN)
		return false;
	run->exhausted = reasons[measure];
	return true;
}
