/*-------------------------------------------------------------------------
 *
 * sweeper.c
 *	  A sweep worker: looks at one sweep and does what is to be done.
 *
 * The launcher starts it, as the sweep's owner, when the sweep was asked for
 * and whenever a run of its database has ended.  A turn is
 *
 *	 - settle: say of points whose run has ended what comes next;
 *	 - begin: start, or resume, as many runs as may be at work at a time;
 *	 - measure: judge the held-out rows with the winners of the runs that have
 *	   finished, with no transaction open and no lock held, and compare the
 *	   points again;
 *
 * until there is nothing left to do but wait for runs; then the worker exits.
 * Each start and each measurement is a transaction of its own that locks the
 * sweep.  Killed at any point the worker leaves the rows as they were before
 * the transaction at hand; the next one goes on from there, and pays for no
 * verdict twice, because those are stored.  An ERROR about a point is the
 * point's reason, and the others go on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "apply/apply.h"
#include "worker/worker_schedule.h"
#include "worker/worker_sweep.h"

/* The end of a run wakes it; should one be overlooked, this does. */
#define LOOK_AGAIN_MS (5 * 60 * 1000)

/* One sweep's turn. */
typedef struct Turn
{
	const WorkerArgs *args;
	MemoryContext context;		/* reset before each step of the turn */
	int			point;			/* that an ERROR is about; 0 = none */
} Turn;

/* The sweep, locked, while it runs; NULL when there is nothing to do. */
static StoreSweep *
lock_running(const Turn *turn)
{
	StoreSweep *sweep = NULL;

	if (OidIsValid(gepa_store_extension_owner()))
		sweep = gepa_store_lock_sweep(turn->args->id);
	return sweep != NULL && sweep->status == STORE_SWEEP_RUNNING ? sweep : NULL;
}

static void
begin_step(Turn *turn)
{
	MemoryContextReset(turn->context);
	gepa_worker_begin(turn->context);
}

static void
commit_step(Turn *turn)
{
	gepa_worker_commit(turn->context);
	gepa_worker_announce_change(0);
}

/*
 * Settling
 */

static void
set_status(StorePoint *point, StorePointStatus status, char *reason)
{
	point->status = status;
	point->reason = reason;
}

static bool
settle_point(StorePoint *point)
{
	StoreRun   *run = gepa_store_get_run(point->run);

	if (run == NULL)
		set_status(point, STORE_POINT_FAILED,
				   psprintf("run %d does not exist any more", point->run));
	else if (!gepa_store_run_has_ended(run->status))
		return false;
	else if (run->status == STORE_RUN_FAILED)
		set_status(point, STORE_POINT_FAILED,
				   psprintf("run %d failed: %s", run->run, run->reason ? run->reason : "no reason"));
	else if (run->status == STORE_RUN_STOPPED)
		set_status(point, STORE_POINT_STOPPED, psprintf("run %d was stopped", run->run));
	else if (run->best_candidate < 0)
		set_status(point, STORE_POINT_FAILED,
				   psprintf("run %d ended before it had validated a candidate", run->run));
	else
		set_status(point, STORE_POINT_MEASURING, NULL);
	return true;
}

static void
finish_sweep(StoreSweep *sweep, const StorePoint *points, int n)
{
	int			measured = gepa_store_count_points(points, n, STORE_POINT_MEASURED);

	sweep->status = STORE_SWEEP_FINISHED;
	if (measured < n)
		sweep->reason = psprintf("%d of %d points have no result", n - measured, n);
	gepa_store_put_sweep(sweep);
}

/* What the next step is about. */
typedef enum Next
{
	NEXT_NOTHING,				/* the sweep is over, or not there */
	NEXT_WAIT,
	NEXT_BEGIN,
	NEXT_MEASURE
} Next;

static Next
choose_next(StoreSweep *sweep, const StorePoint *points, int n)
{
	int			tuning = gepa_store_count_points(points, n, STORE_POINT_TUNING);
	int			measuring = gepa_store_count_points(points, n, STORE_POINT_MEASURING);

	/* What is measured is not to share the LM with more than was wanted. */
	if (gepa_store_count_points(points, n, STORE_POINT_QUEUED) > 0 &&
		tuning + measuring < sweep->parallel_runs)
		return NEXT_BEGIN;
	if (measuring > 0)
		return NEXT_MEASURE;
	if (tuning > 0)
		return NEXT_WAIT;
	finish_sweep(sweep, points, n);
	return NEXT_NOTHING;
}

static void
give_up(StoreSweep *sweep, const char *why)
{
	gepa_worker_end_sweep(sweep);
	sweep->status = STORE_SWEEP_FAILED;
	sweep->reason = pstrdup(why);
	gepa_store_put_sweep(sweep);
}

static Next
look(Turn *turn, StoreSweep *sweep)
{
	StorePoint *points;
	int			n;

	if (turn->args->orphan || turn->args->shut_out)
	{
		give_up(sweep, turn->args->orphan ? "the role that owned the sweep was dropped" :
				"workers of the sweep could not connect; the server log says why");
		return NEXT_NOTHING;
	}
	if (gepa_worker_stop_requested())
	{
		gepa_worker_end_sweep(sweep);
		return NEXT_NOTHING;
	}
	points = gepa_store_get_points(sweep->sweep, &n);
	for (int i = 0; i < n; i++)
		if (points[i].status == STORE_POINT_TUNING && settle_point(&points[i]))
			gepa_store_put_point(sweep->sweep, &points[i]);
	return choose_next(sweep, points, n);
}

/*
 * Steps about one point
 */

/* The first point in a state; NULL if there is none. */
static StorePoint *
find_point(const StoreSweep *sweep, StorePointStatus status)
{
	int			n;
	StorePoint *points = gepa_store_get_points(sweep->sweep, &n);

	for (int i = 0; i < n; i++)
		if (points[i].status == status)
			return &points[i];
	return NULL;
}

static void
begin_run(Turn *turn)
{
	StoreSweep *sweep;
	StorePoint *point = NULL;

	begin_step(turn);
	sweep = lock_running(turn);
	if (sweep != NULL)
		point = find_point(sweep, STORE_POINT_QUEUED);
	if (point != NULL)
	{
		turn->point = point->point;
		gepa_worker_begin_point(sweep, point);
	}
	commit_step(turn);
}

static void
put_quality(StorePoint *point, const WorkerHeldOut *held, const char *metric)
{
	int			n;
	JudgeMeasure *measures = gepa_judge_measure(held->outcomes, held->n, JUDGE_MEASURE_SEED, &n);

	point->quality = point->low = point->high = NAN;
	for (int i = 0; i < n; i++)
	{
		if (strcmp(measures[i].metric, metric) != 0 || !measures[i].defined)
			continue;
		point->quality = measures[i].value;
		if (!measures[i].has_interval)
			continue;
		point->low = measures[i].low;
		point->high = measures[i].high;
	}
}

/* Documents a second with all places taken, as far as the LM's rate limits let. */
static double
yield_of(const WorkerHeldOut *held, double latency_ms, double tokens)
{
	double		yield = latency_ms > 0 ? held->places * 1000.0 / latency_ms : NAN;

	if (held->documents_per_minute > 0)
		yield = fmin(yield, held->documents_per_minute / 60.0);
	if (held->tokens_per_minute > 0 && tokens > 0)
		yield = fmin(yield, held->tokens_per_minute / 60.0 / tokens);
	return yield;
}

static void
put_figures(StorePoint *point, const WorkerHeldOut *held)
{
	double		n = held->n > 0 ? held->n : NAN;

	point->n = held->n;
	point->undecided = held->undecided;
	point->cost_per_million = held->cost / n * 1e6;
	point->input_tokens = held->input_tokens / n;
	point->output_tokens = held->output_tokens / n;
	point->latency_ms = held->timed > 0 ? held->latency_ms / held->timed : NAN;
	point->documents_per_second = yield_of(held, point->latency_ms,
										   point->input_tokens + point->output_tokens);
	point->measured_per_second = held->called == held->n && held->seconds > 0 ?
		held->called / held->seconds : NAN;
}

/* All points against each other, as the new one changes what others are. */
static void
compare_points(const StoreSweep *sweep, StorePoint *points, int n)
{
	JudgeTradeoff *tradeoffs = palloc0(sizeof(JudgeTradeoff) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		bool		measured = points[i].status == STORE_POINT_MEASURED;

		tradeoffs[i].quality = measured ? points[i].quality : NAN;
		tradeoffs[i].low = points[i].low;
		tradeoffs[i].high = points[i].high;
		tradeoffs[i].cost = points[i].cost_per_million;
	}
	gepa_judge_trade_off(tradeoffs, n);
	for (int i = 0; i < n; i++)
	{
		points[i].dominated = tradeoffs[i].dominated;
		points[i].surely_dominated = tradeoffs[i].surely_dominated;
		gepa_store_put_point(sweep->sweep, &points[i]);
	}
}

/* Also of a sweep that was stopped meanwhile: it is paid. */
static void
write_measured(Turn *turn, int number, int run, const WorkerHeldOut *held)
{
	StoreSweep *sweep;
	StorePoint *points;
	int			n;

	gepa_worker_begin(turn->context);
	sweep = gepa_store_lock_sweep(turn->args->id);
	points = sweep != NULL ? gepa_store_get_points(sweep->sweep, &n) : NULL;
	for (int i = 0; sweep != NULL && i < n; i++)
	{
		StorePoint *point = &points[i];

		if (point->point != number || point->run != run)
			continue;
		put_quality(point, held, sweep->metric);
		put_figures(point, held);
		set_status(point, STORE_POINT_MEASURED, NULL);
	}
	if (sweep != NULL)
		compare_points(sweep, points, n);
	commit_step(turn);
}

static void
measure(Turn *turn)
{
	StoreSweep *sweep;
	StorePoint *point = NULL;
	StoreVersion *winner = NULL;
	WorkerHeldOut held;

	begin_step(turn);
	sweep = lock_running(turn);
	if (sweep != NULL)
		point = find_point(sweep, STORE_POINT_MEASURING);
	if (point != NULL)
	{
		StoreRun   *run = gepa_store_get_run(point->run);

		turn->point = point->point;
		if (run == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("run %d does not exist any more", point->run),
					 errhint("Ask for the sweep again.")));
		winner = gepa_apply_candidate(run, gepa_store_get_version_by_id(run->judge,
																		run->seed_version),
									  run->best_candidate);
	}
	commit_step(turn);
	if (winner == NULL)
		return;
	pgstat_report_activity(STATE_RUNNING, "judging held-out rows for a sweep");
	if (gepa_worker_judge_held_out(&held, winner, point->run, gepa_worker_stop_requested,
								   turn->context))
		write_measured(turn, point->point, point->run, &held);
}

/*
 * Failing
 */

/* In a PG_CATCH block: the error becomes the reason of the point. */
static void
fail_point(Turn *turn)
{
	ErrorData  *edata = gepa_worker_take_error(turn->context);
	char	   *reason = gepa_worker_reason_text(edata);
	StoreSweep *sweep;
	StorePoint *points = NULL;
	int			n = 0;

	if (gepa_worker_is_passing(edata->sqlerrcode) || turn->point == 0)
		ReThrowError(edata);
	gepa_worker_begin(turn->context);
	sweep = lock_running(turn);
	if (sweep != NULL)
		points = gepa_store_get_points(sweep->sweep, &n);
	for (int i = 0; i < n; i++)
	{
		if (points[i].point != turn->point)
			continue;
		set_status(&points[i], STORE_POINT_FAILED, reason);
		gepa_store_put_point(sweep->sweep, &points[i]);
		ereport(LOG,
				(errcode(edata->sqlerrcode),
				 errmsg("point %d of gepa sweep %d failed: %s", turn->point, sweep->sweep, reason)));
	}
	commit_step(turn);
}

static void
do_step(Turn *turn, void (*step) (Turn *turn))
{
	turn->point = 0;
	PG_TRY();
	{
		step(turn);
	}
	PG_CATCH();
	{
		fail_point(turn);
	}
	PG_END_TRY();
	turn->point = 0;
}

/*
 * A turn
 */

static Next
find_next(Turn *turn)
{
	StoreSweep *sweep;
	Next		next = NEXT_NOTHING;

	pgstat_report_activity(STATE_RUNNING, "looking at a sweep");
	begin_step(turn);
	sweep = lock_running(turn);
	if (sweep != NULL)
		next = look(turn, sweep);
	commit_step(turn);
	return next;
}

static void
take_turn(Turn *turn)
{
	Next		next;

	while ((next = find_next(turn)) == NEXT_BEGIN || next == NEXT_MEASURE)
	{
		CHECK_FOR_INTERRUPTS();
		gepa_worker_reload();
		do_step(turn, next == NEXT_BEGIN ? begin_run : measure);
	}
	if (next == NEXT_WAIT)
		gepa_worker_mark_next(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_AGAIN_MS),
							  WORKER_ANY_RUN);
	else
		gepa_worker_mark_done();
}

void
gepa_worker_sweep_main(Datum arg)
{
	WorkerArgs	args;
	Turn		turn = {.args = &args};

	if (!gepa_worker_come_up(&args, false, "sweep"))
		return;
	turn.context = AllocSetContextCreate(TopMemoryContext, "gepa sweep", ALLOCSET_DEFAULT_SIZES);
	take_turn(&turn);
}
