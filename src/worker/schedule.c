/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  Making, enabling, disabling and dropping schedules.
 *
 * What can be known to be wrong is refused when a schedule is made, with the
 * checks of a start; what goes wrong later is in its row (scheduler.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/timestamp.h"

#include "worker/worker_schedule.h"

/*
 * A schedule costs a worker each time; what is wanted more often than this is
 * not tuning.  (Tests are.)
 */
#define SHORTEST_EVERY_US USECS_PER_SEC

/* Longer than anybody waits, and far from where dates end. */
#define LONGEST_EVERY_DAYS 36525

static void
check_every(const Interval *every)
{
	bool		negative = every->month < 0 || every->day < 0 || every->time < 0;
	bool		too_short = every->month == 0 && every->day == 0 &&
		every->time < SHORTEST_EVERY_US;
	bool		too_long = every->month > LONGEST_EVERY_DAYS / 28 ||
		every->day > LONGEST_EVERY_DAYS || every->time > LONGEST_EVERY_DAYS * USECS_PER_DAY;

	if (negative || too_short || too_long)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"every\" must be an interval from a second to a century, without negative parts"),
				 errhint("For example every => '7 days'.")));
}

static void
check_times(StoreSchedule *schedule)
{
	if ((schedule->every == NULL) == (schedule->at == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a schedule needs either \"every\" or \"at\""),
				 errhint("Give every => '7 days', or a cron text as at => '30 3 * * mon'.")));
	if (schedule->every != NULL)
		check_every(schedule->every);
	if (schedule->time_zone == NULL)
		schedule->time_zone = pstrdup(pg_get_timezone_name(session_timezone));
	schedule->next_at = gepa_worker_next_due(schedule, DT_NOBEGIN, GetCurrentTimestamp());
}

static void
check_numbers(const StoreSchedule *schedule)
{
	if (schedule->name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a schedule must not be empty"),
				 errhint("Choose a name, for example that of the judge.")));
	if (schedule->min_new_labels < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"min_new_labels\" must not be negative"),
				 errhint("0 tunes at each time, whether labels have arrived or not.")));
	if (schedule->budget <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"budget\" must be positive"),
				 errhint("It is the number of rollouts of each run.")));
	if (isnan(schedule->level) || schedule->level <= 0 || schedule->level > 0.5)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"level\" must be above 0 and at most 0.5"),
				 errhint("0.05 deploys a version that is no better in at most one of twenty runs.")));
}

WorkerStartRequest
gepa_worker_schedule_request(const StoreSchedule *schedule)
{
	WorkerStartRequest request = {0};

	request.judge = schedule->judge_name;
	request.dataset = schedule->dataset;
	request.reflection_lm = schedule->reflection_lm;
	request.budget = schedule->budget;
	request.seed = schedule->seed;
	request.options = schedule->options;
	return request;
}

int
gepa_worker_create_schedule(StoreSchedule *schedule)
{
	WorkerStartRequest request = gepa_worker_schedule_request(schedule);
	int			id;

	check_numbers(schedule);
	check_times(schedule);
	gepa_worker_check_start(&request);
	if (schedule->if_better)
		gepa_worker_check_labelled(schedule->dataset,
								   "Use deploy => 'never' and see gain and held_out_n in gepa.runs, or a dataset with labels.");
	gepa_worker_require("gepa.create_schedule");
	if (!gepa_worker_has_room(WORKER_KIND_SCHEDULE))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("this server has %d schedules already", WORKER_NSCHEDULES),
				 errhint("Drop or disable some of them, in any of its databases.")));
	schedule->judge = gepa_store_get_version(schedule->judge_name, 0)->judge;
	schedule->labels_seen = gepa_store_count_labels(gepa_store_get_dataset(schedule->dataset));
	id = gepa_store_create_schedule(schedule);
	gepa_worker_look_at_commit(id, schedule->owner, schedule->next_at);
	return id;
}

/* The schedule of that name, locked, if the current user may change it. */
static StoreSchedule *
lock_own(const char *name)
{
	StoreSchedule *schedule = gepa_store_get_schedule(name);

	gepa_store_check_owner("schedule", name, schedule->owner, GetUserId());
	schedule = gepa_store_lock_schedule(schedule->schedule);
	if (schedule == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("schedule \"%s\" was dropped meanwhile", name),
				 errhint("See gepa.schedules.")));
	return schedule;
}

/*
 * Looked at once in any case: a disabled one gives its slot back, an enabled
 * one may have a run that ended in between.
 */
void
gepa_worker_enable_schedule(const char *name, bool enabled)
{
	StoreSchedule *schedule;
	TimestampTz now = GetCurrentTimestamp();

	if (enabled)
		gepa_worker_require("gepa.enable_schedule");
	schedule = lock_own(name);
	if (enabled && !schedule->enabled)
		schedule->next_at = gepa_worker_next_due(schedule, DT_NOBEGIN, now);
	schedule->enabled = enabled;
	gepa_store_put_schedule(schedule);
	gepa_worker_look_at_commit(schedule->schedule, schedule->owner, now);
}

void
gepa_worker_drop_schedule(const char *name)
{
	StoreSchedule *schedule = lock_own(name);

	gepa_store_drop_schedule(schedule->schedule);
	gepa_worker_look_at_commit(schedule->schedule, schedule->owner, GetCurrentTimestamp());
}
