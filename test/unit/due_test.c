/*-------------------------------------------------------------------------
 *
 * due_test.c
 *	  Cron texts: what is read, what is refused, which minute comes next.
 *
 * Beside fixed cases, random texts are compared with a search minute by
 * minute over the C library's calendar.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <time.h>

#include "common/pg_prng.h"

#include "worker/worker_due.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

#define ROUNDS 200
#define MOST_MINUTES (400 * 24 * 60)

static void
refused(const char *text, const char *expected)
{
	WorkerCron	cron;

	tap_is_string(gepa_worker_parse_cron(text, &cron), expected, text);
}

/* The n-th minute after a time, as text, or why there is none. */
static const char *
nth(const char *text, const char *after, int n)
{
	static char result[64];
	WorkerCron	cron;
	WorkerMinute at;
	const char *problem = gepa_worker_parse_cron(text, &cron);

	if (problem != NULL)
		return problem;
	if (sscanf(after, "%d-%d-%d %d:%d", &at.year, &at.month, &at.day, &at.hour,
			   &at.minute) != 5)
		return "bad test";
	for (int i = 0; i < n; i++)
		if (!gepa_worker_next_minute(&cron, &at))
			return "never";
	snprintf(result, sizeof(result), "%04d-%02d-%02d %02d:%02d",
			 at.year, at.month, at.day, at.hour, at.minute);
	return result;
}

static void
comes(const char *text, const char *after, int n, const char *expected)
{
	char		name[128];

	snprintf(name, sizeof(name), "%s: number %d after %s", text, n, after);
	tap_is_string(nth(text, after, n), expected, name);
}

static void
test_refusals(void)
{
	refused("", "it has 0 of the five fields, field 1 (minute) is missing");
	refused("* * * *", "it has 4 of the five fields, field 5 (day of week) is missing");
	refused("* * * * * *", "\"*\" comes after the fifth field");
	refused("60 * * * *", "field 1 (minute): \"60\" is not a number from 0 to 59");
	refused("-1 * * * *", "field 1 (minute): \"\" is not a number from 0 to 59");
	refused("* 24 * * *", "field 2 (hour): \"24\" is not a number from 0 to 23");
	refused("* * 0 * *", "field 3 (day of month): \"0\" is not a number from 1 to 31");
	refused("* * * 13 *", "field 4 (month): \"13\" is not a number from 1 to 12");
	refused("* * * * 8", "field 5 (day of week): \"8\" is not a number from 0 to 7");
	refused("99999999999 * * * *",
			"field 1 (minute): \"99999999999\" is not a number from 0 to 59");
	refused("* mon * * *", "field 2 (hour): \"mon\" is not a number from 0 to 23");
	refused("* * * june *", "field 4 (month): \"june\" is not a number from 1 to 12");
	refused("1, * * * *", "field 1 (minute): \"\" is not a number from 0 to 59");
	refused("*/0 * * * *", "field 1 (minute): \"0\" is not a number from 1 to 59");
	refused("5/10 * * * *", "field 1 (minute): \"5/10\" has a step, but no range or *");
	refused("20-10 * * * *", "field 1 (minute): range \"20-10\" runs backwards");
	refused("* * * * fri-mon", "field 5 (day of week): range \"fri-mon\" runs backwards");
	refused("*x * * * *", "field 1 (minute): \"x\" does not belong there");
	refused("1-2-3 * * * *", "field 1 (minute): \"-3\" does not belong there");
	refused("@fortnightly",
			"\"@fortnightly\" is none of @hourly, @daily, @weekly, @monthly, @yearly");
	refused("  0\t3 *  * mon ", NULL);
}

static void
test_times(void)
{
	comes("* * * * *", "2026-01-01 00:00", 1, "2026-01-01 00:01");
	comes("0 3 * * *", "2026-01-01 03:00", 1, "2026-01-02 03:00");
	comes("0 3 * * *", "2026-12-31 03:00", 1, "2027-01-01 03:00");
	comes("*/15 * * * *", "2026-01-01 00:50", 1, "2026-01-01 01:00");
	comes("10-40/15 * * * *", "2026-01-01 00:00", 3, "2026-01-01 00:40");
	comes("5,50 8,20 * * *", "2026-01-01 08:05", 2, "2026-01-01 20:05");
	comes("0 0 29 2 *", "2096-02-29 00:00", 1, "2104-02-29 00:00");
	comes("0 0 29 2 */7", "2032-03-01 00:00", 1, "2060-02-29 00:00");
	comes("0 0 29 2 */7", "2088-03-01 00:00", 1, "2128-02-29 00:00");
	comes("0 0 31 2 *", "2026-01-01 00:00", 1, "never");
	comes("0 0 30,31 FEB,Apr *", "2026-01-01 00:00", 1, "2026-04-30 00:00");
	comes("0 0 * * 7", "2026-11-25 00:00", 1, "2026-11-29 00:00");
	comes("0 0 * * sun", "2026-11-25 00:00", 1, "2026-11-29 00:00");
	comes("0 0 * * sat-7", "2026-11-25 00:00", 2, "2026-11-29 00:00");
	comes("0 9 * * Mon-Fri", "2026-11-27 09:00", 1, "2026-11-30 09:00");
	/* Either of the days, unless one field begins with a star. */
	comes("0 0 13 * fri", "2026-11-01 00:00", 1, "2026-11-06 00:00");
	comes("0 0 14 * fri", "2026-11-13 00:00", 1, "2026-11-14 00:00");
	comes("0 0 */13 * fri", "2026-11-01 00:00", 1, "2026-11-27 00:00");
	comes("@hourly", "2026-01-01 00:00", 1, "2026-01-01 01:00");
	comes("@DAILY", "2026-01-01 00:00", 1, "2026-01-02 00:00");
	comes("@weekly", "2026-11-25 00:00", 1, "2026-11-29 00:00");
	comes("@monthly", "2026-11-25 00:00", 1, "2026-12-01 00:00");
	comes("@yearly", "2026-11-25 00:00", 1, "2027-01-01 00:00");
}

/*
 * Random texts against the C library's calendar
 */

static pg_prng_state prng;

static int
pick(int low, int high)
{
	return low + (int) pg_prng_uint64_range(&prng, 0, high - low);
}

static void
add_random_field(char *text, bool *wanted, int low, int high)
{
	int			kind = pick(0, 2);
	int			first = kind == 0 ? low : pick(low, high);
	int			last = kind == 0 ? high : kind == 1 ? first : pick(first, high);
	int			step = kind == 2 ? pick(1, 5) : 1;

	memset(wanted, 0, 64);
	for (int i = first; i <= last; i += step)
		wanted[i] = true;
	if (kind == 0)
		strcat(text, "* ");
	else if (kind == 1)
		sprintf(text + strlen(text), "%d ", first);
	else
		sprintf(text + strlen(text), "%d-%d/%d ", first, last, step);
}

static bool
naive_match(bool wanted[5][64], bool either, const struct tm *tm)
{
	bool		by_day = wanted[2][tm->tm_mday];
	bool		by_weekday = wanted[4][tm->tm_wday] || (tm->tm_wday == 0 && wanted[4][7]);

	return wanted[0][tm->tm_min] && wanted[1][tm->tm_hour] && wanted[3][tm->tm_mon + 1] &&
		(either ? by_day || by_weekday : by_day && by_weekday);
}

/* False when the next minute is too far for a naive search. */
static bool
test_random(void)
{
	static const int low[] = {0, 0, 1, 1, 0};
	static const int high[] = {59, 23, 31, 12, 7};
	char		text[128] = "";
	char		after[64];
	char		expected[64] = "";
	bool		wanted[5][64];
	bool		starred[5];
	time_t		start = 60 * (time_t) pick(0, 70 * 365 * 24 * 60);
	struct tm	tm;

	for (int i = 0; i < 5; i++)
	{
		size_t		length = strlen(text);

		add_random_field(text, wanted[i], low[i], high[i]);
		starred[i] = text[length] == '*';
	}
	gmtime_r(&start, &tm);
	strftime(after, sizeof(after), "%Y-%m-%d %H:%M", &tm);
	for (int i = 1; i <= MOST_MINUTES && expected[0] == '\0'; i++)
	{
		time_t		at = start + 60 * (time_t) i;

		gmtime_r(&at, &tm);
		if (naive_match(wanted, !starred[2] && !starred[4], &tm))
			strftime(expected, sizeof(expected), "%Y-%m-%d %H:%M", &tm);
	}
	if (expected[0] != '\0')
		comes(text, after, 1, expected);
	return expected[0] != '\0';
}

int
main(void)
{
	int			found = 0;

	test_refusals();
	test_times();
	pg_prng_seed(&prng, 20261125);
	for (int i = 0; i < ROUNDS; i++)
		found += test_random();
	tap_ok(found > ROUNDS / 2, "most random texts have a minute within reach");
	return tap_done();
}
