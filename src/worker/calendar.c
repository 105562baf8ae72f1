/*-------------------------------------------------------------------------
 *
 * calendar.c
 *	  When a schedule is due: cron texts and intervals in a time zone.
 *
 * due.c finds the next minute on the local calendar; here it becomes an
 * instant.  A local time that the zone skips (clocks go forward) is shifted
 * by as much as they were; one that comes twice (clocks go back) means the
 * second.  So each local time fires once, and of the hour that is repeated
 * the first pass is quiet.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "worker/worker_due.h"
#include "worker/worker_schedule.h"

static pg_tz *
find_zone(const char *name)
{
	pg_tz	   *zone = name ? pg_tzset(name) : session_timezone;

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("Name one of pg_timezone_names, for example Europe/Berlin.")));
	return zone;
}

static WorkerCron
read_cron(const char *at)
{
	WorkerCron	cron;
	const char *problem = gepa_worker_parse_cron(at, &cron);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid cron text \"%s\": %s", at, problem),
				 errhint("Its fields are minute, hour, day of month, month and day of week: \"30 3 * * mon\" is half past three on Mondays.")));
	return cron;
}

static void
refuse_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("time of a schedule is out of range"),
			 errhint("Times are from year 1 to year 294276.")));
}

/* The instant of a local minute. */
static TimestampTz
instant(const WorkerMinute *at, pg_tz *zone)
{
	struct pg_tm tm = {0};
	TimestampTz result;
	int			offset;

	tm.tm_year = at->year;
	tm.tm_mon = at->month;
	tm.tm_mday = at->day;
	tm.tm_hour = at->hour;
	tm.tm_min = at->minute;
	offset = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, 0, &offset, &result) != 0)
		refuse_out_of_range();
	return result;
}

/* The first instant after one that a cron text names; false = there is none. */
static bool
next_instant(const WorkerCron *cron, pg_tz *zone, TimestampTz after, TimestampTz *result)
{
	WorkerMinute at;
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;

	if (TIMESTAMP_NOT_FINITE(after) ||
		timestamp2tm(after, &offset, &tm, &fsec, NULL, zone) != 0 || tm.tm_year < 1)
		refuse_out_of_range();
	at.year = tm.tm_year;
	at.month = tm.tm_mon;
	at.day = tm.tm_mday;
	at.hour = tm.tm_hour;
	at.minute = tm.tm_min;

	/* A zone may repeat local times, so a later one can be no later instant. */
	do
	{
		if (!gepa_worker_next_minute(cron, &at))
			return false;
		*result = instant(&at, zone);
	} while (*result <= after);
	return true;
}

int
gepa_worker_cron_times(const char *at, const char *time_zone, TimestampTz after, int n,
					   TimestampTz *times)
{
	WorkerCron	cron = read_cron(at);
	pg_tz	   *zone = find_zone(time_zone);

	for (int i = 0; i < n; i++)
	{
		if (!next_instant(&cron, zone, i > 0 ? times[i - 1] : after, &times[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cron text \"%s\" names no time at all", at),
					 errhint("No month that it allows has such a day.")));
	}
	return n;
}

/*
 * Months and days are those of the zone's calendar, hours pass at the same
 * pace everywhere: as timestamptz + interval has it, in another zone than the
 * session's.
 */
static TimestampTz
add_interval(TimestampTz from, Interval *interval, const char *time_zone)
{
	int			nestlevel = NewGUCNestLevel();
	TimestampTz result;

	(void) set_config_option("TimeZone", time_zone, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	result = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													 TimestampTzGetDatum(from),
													 IntervalPGetDatum(interval)));
	AtEOXact_GUC(true, nestlevel);
	if (TIMESTAMP_NOT_FINITE(result))
		refuse_out_of_range();
	return result;
}

TimestampTz
gepa_worker_next_due(const StoreSchedule *schedule, TimestampTz previous, TimestampTz now)
{
	TimestampTz after = TIMESTAMP_IS_NOBEGIN(previous) ? now : Max(now, previous);
	TimestampTz next;

	(void) find_zone(schedule->time_zone);
	if (schedule->at != NULL)
	{
		/* A clock that was set back must not bring the same time again. */
		(void) gepa_worker_cron_times(schedule->at, schedule->time_zone, after, 1, &next);
		return next;
	}
	if (!TIMESTAMP_IS_NOBEGIN(previous))
	{
		next = add_interval(previous, schedule->every, schedule->time_zone);
		if (next > now)
			return next;
	}
	return add_interval(now, schedule->every, schedule->time_zone);
}
