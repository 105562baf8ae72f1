/*-------------------------------------------------------------------------
 *
 * scheduler.c
 *	  A schedule worker: looks at one schedule and does what is due.
 *
 * The launcher starts it, as the schedule's owner, when the schedule is due,
 * was changed, or its run has ended.  The worker locks the row, does one of
 * these, says when it wants to be looked at again, and exits:
 *
 *	 - fire: count the labels, start a run (or say why not), in one transaction;
 *	 - settle: the run that it started has ended; say how, and with
 *	   deploy = 'if_better' compare its winner with the current version.  The
 *	   comparison calls the LM with no transaction open and no lock held; what
 *	   it found is written, and deployed, in one transaction that looks again
 *	   whether anything has changed;
 *	 - nothing, when it was woken too early or in vain.
 *
 * Killed at any point it leaves the row as it was before the transaction at
 * hand; the next worker does the same again and pays for no verdict twice,
 * because those are stored.  An ERROR is the reason in the row, and the
 * schedule goes on at its next time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/worker_schedule.h"

/* What an ERROR interrupted. */
typedef enum TurnPhase
{
	TURN_LOOKING,
	TURN_ADVANCING,
	TURN_FIRING,
	TURN_COMPARING
} TurnPhase;

/* One schedule's turn; in the worker's context. */
typedef struct Turn
{
	const WorkerArgs *args;
	MemoryContext context;
	TurnPhase	phase;
} Turn;

static void
set_outcome(StoreSchedule *schedule, StoreOutcome outcome, char *reason)
{
	schedule->outcome = outcome;
	schedule->reason = reason;
}

/* Move on to the time after the one that is due. */
static void
advance(Turn *turn, StoreSchedule *schedule)
{
	TimestampTz now = GetCurrentTimestamp();

	turn->phase = TURN_ADVANCING;
	schedule->last_at = now;
	schedule->next_at = gepa_worker_next_due(schedule, schedule->next_at, now);
}

/*
 * Firing
 */

/* Labels that are new since the last run, or since the schedule was made. */
static int64
count_new_labels(StoreSchedule *schedule, int64 *labels)
{
	StoreDataset *dataset = gepa_store_get_dataset(schedule->dataset);

	/* Before anything is read for them. */
	gepa_store_check_owner("dataset", dataset->name, dataset->owner, GetUserId());
	*labels = gepa_store_count_labels(dataset);
	/* Labels that went away do not hide those that come. */
	schedule->labels_seen = Min(schedule->labels_seen, *labels);
	return *labels - schedule->labels_seen;
}

static void
fire(Turn *turn, StoreSchedule *schedule)
{
	WorkerStartRequest request = gepa_worker_schedule_request(schedule);
	int64		labels;
	int64		new_labels;

	advance(turn, schedule);
	turn->phase = TURN_FIRING;
	new_labels = count_new_labels(schedule, &labels);
	if (new_labels < schedule->min_new_labels)
	{
		set_outcome(schedule, STORE_OUTCOME_SKIPPED,
					psprintf("%lld of %d new labels", (long long) new_labels,
							 schedule->min_new_labels));
		return;
	}
	schedule->last_run = gepa_worker_start_run(&request);
	schedule->labels_seen = labels;
	schedule->comparison = NULL;
	set_outcome(schedule, STORE_OUTCOME_STARTED, NULL);
}

/*
 * Settling
 */

/* What there is to say of an ended run without comparing; false = compare. */
static bool
settle_plainly(StoreSchedule *schedule, const StoreRun *run)
{
	if (run == NULL)
		set_outcome(schedule, STORE_OUTCOME_FAILED,
					psprintf("run %d does not exist any more", schedule->last_run));
	else if (run->status == STORE_RUN_FAILED)
		set_outcome(schedule, STORE_OUTCOME_FAILED,
					psprintf("run %d failed: %s", run->run, run->reason ? run->reason : "no reason"));
	else if (run->status == STORE_RUN_STOPPED)
		set_outcome(schedule, STORE_OUTCOME_STOPPED, run->reason);
	else if (!schedule->if_better)
		set_outcome(schedule, STORE_OUTCOME_FINISHED, run->reason);
	else if (run->best_candidate < 0)
		set_outcome(schedule, STORE_OUTCOME_KEPT,
					psprintf("run %d ended before it had a candidate", run->run));
	else
		return false;
	return true;
}

/* The current version is locked, so that nobody changes it in between. */
static void
decide(StoreSchedule *schedule, const StoreRun *run, const WorkerContest *contest,
	   const StoreVersion *current)
{
	const StoreVersion *winner = contest->challenger;
	int			deployed = 0;

	if (contest->nrows == 0)
		set_outcome(schedule, STORE_OUTCOME_KEPT,
					psprintf("run %d held no test samples out, so there is nothing to compare on",
							 run->run));
	else if (current->version != contest->champion->version)
		set_outcome(schedule, STORE_OUTCOME_KEPT,
					psprintf("the current version was changed from %d to %d while they were compared",
							 contest->champion->version, current->version));
	else if (contest->paired.p_better >= schedule->level)
		set_outcome(schedule, STORE_OUTCOME_KEPT,
					psprintf("candidate %d of run %d is not better than version %d at level %g",
							 winner->candidate, run->run, contest->champion->version,
							 schedule->level));
	else
	{
		gepa_store_check_owner("judge", current->spec->name, current->owner, GetUserId());
		gepa_judge_check_spec(winner->spec);
		deployed = gepa_store_add_version(run->judge, winner->spec, winner->lm, run->run,
										  winner->candidate);
		set_outcome(schedule, STORE_OUTCOME_DEPLOYED,
					psprintf("candidate %d of run %d is better than version %d",
							 winner->candidate, run->run, contest->champion->version));
	}
	if (contest->nrows > 0)
		schedule->comparison = gepa_worker_contest_json(contest, deployed);
}

/*
 * Hold the contest and write what it found, unless the schedule was dropped,
 * disabled or fired anew meanwhile.
 */
static void
compare(Turn *turn, const StoreRun *run)
{
	WorkerContest contest;
	StoreVersion *current;
	StoreSchedule *schedule;

	turn->phase = TURN_COMPARING;
	pgstat_report_activity(STATE_RUNNING, "comparing the winner with the current version");
	gepa_worker_hold_contest(&contest, run, turn->context);

	gepa_worker_begin(turn->context);
	current = gepa_store_lock_version(run->judge_name);
	schedule = gepa_store_lock_schedule(turn->args->id);
	if (schedule != NULL && schedule->enabled &&
		schedule->outcome == STORE_OUTCOME_STARTED && schedule->last_run == run->run)
	{
		decide(schedule, run, &contest, current);
		gepa_store_put_schedule(schedule);
	}
	gepa_worker_commit(turn->context);
	turn->phase = TURN_LOOKING;
}

/*
 * Looking
 */

/* The schedule, locked, if there is anything to do with it. */
static StoreSchedule *
lock_live(const Turn *turn)
{
	StoreSchedule *schedule = NULL;

	if (OidIsValid(gepa_store_extension_owner()))
		schedule = gepa_store_lock_schedule(turn->args->id);
	return schedule != NULL && schedule->enabled ? schedule : NULL;
}

/* The turn is over; before this the worker's exit is a death. */
static void
finish(const StoreSchedule *schedule)
{
	if (schedule != NULL && schedule->enabled)
		gepa_worker_timetable_next(schedule);
	else
		gepa_worker_mark_done();
}

/* It cannot go on by itself. */
static void
retire(StoreSchedule *schedule, const char *why)
{
	schedule->enabled = false;
	set_outcome(schedule, STORE_OUTCOME_FAILED,
				psprintf("%s; the schedule is disabled", why));
}

/*
 * Look at the schedule and do what takes one transaction.  Returns the run
 * that has to be compared, or NULL.
 */
static StoreRun *
look(Turn *turn, StoreSchedule *schedule)
{
	bool		due = schedule->next_at <= GetCurrentTimestamp();
	StoreRun   *run = NULL;

	if (turn->args->orphan)
		retire(schedule, "the role that owned the schedule was dropped");
	else if (schedule->outcome == STORE_OUTCOME_STARTED && !schedule->settled)
	{
		if (!due)
			return NULL;
		advance(turn, schedule);
		schedule->reason = psprintf("run %d was still at work at the next time",
									schedule->last_run);
	}
	else if (schedule->outcome == STORE_OUTCOME_STARTED)
	{
		run = gepa_store_get_run(schedule->last_run);
		if (!settle_plainly(schedule, run))
			return run;
	}
	else if (due)
		fire(turn, schedule);
	else
		return NULL;
	gepa_store_put_schedule(schedule);
	return NULL;
}

static void
take_turn(Turn *turn)
{
	StoreSchedule *schedule;
	StoreRun   *run = NULL;

	pgstat_report_activity(STATE_RUNNING, "looking at a schedule");
	gepa_worker_begin(turn->context);
	schedule = lock_live(turn);
	if (schedule != NULL)
		run = look(turn, schedule);
	gepa_worker_commit(turn->context);
	if (run != NULL)
	{
		compare(turn, run);
		/* As the row is by now. */
		gepa_worker_begin(turn->context);
		schedule = lock_live(turn);
		gepa_worker_commit(turn->context);
	}
	finish(schedule);
}

/*
 * Failing
 */

static void
note_failure(Turn *turn, StoreSchedule *schedule, char *reason)
{
	if (turn->phase == TURN_ADVANCING)
	{
		/* For instance a time zone that an upgrade has removed. */
		retire(schedule, reason);
		return;
	}
	if (turn->phase == TURN_COMPARING)
		reason = psprintf("the winner of run %d could not be compared: %s",
						  schedule->last_run, reason);
	else if (schedule->next_at <= GetCurrentTimestamp())
		advance(turn, schedule);
	set_outcome(schedule, STORE_OUTCOME_FAILED, reason);
}

static void
write_failure(Turn *turn, char *reason)
{
	StoreSchedule *schedule;

	gepa_worker_begin(turn->context);
	schedule = lock_live(turn);
	if (schedule != NULL)
	{
		note_failure(turn, schedule, reason);
		gepa_store_put_schedule(schedule);
		ereport(LOG,
				(errmsg("gepa schedule \"%s\" failed: %s", schedule->name, schedule->reason)));
	}
	gepa_worker_commit(turn->context);
	finish(schedule);
}

/* In a PG_CATCH block: the error becomes the outcome, the schedule goes on. */
static void
fail(Turn *turn)
{
	ErrorData  *edata;

	MemoryContextSwitchTo(turn->context);
	edata = CopyErrorData();
	if (gepa_worker_is_passing(edata->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	gepa_worker_abort(turn->context);
	write_failure(turn, gepa_worker_reason_text(edata));
}

void
gepa_worker_schedule_main(Datum arg)
{
	/* Static, not automatic: it is changed, and read after an ERROR. */
	static Turn turn;
	WorkerArgs	args;

	if (!gepa_worker_come_up(&args, true, "schedule"))
		return;
	turn.args = &args;
	turn.context = AllocSetContextCreate(TopMemoryContext, "gepa schedule",
										 ALLOCSET_DEFAULT_SIZES);
	PG_TRY();
	{
		take_turn(&turn);
	}
	PG_CATCH();
	{
		fail(&turn);
	}
	PG_END_TRY();
}
