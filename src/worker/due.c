/*-------------------------------------------------------------------------
 *
 * due.c
 *	  Cron texts: which minutes of the calendar they name.
 *
 * Five fields (minute, hour, day of month, month, day of week), each a comma
 * list of *, numbers, names, ranges and steps, or one of @hourly, @daily,
 * @weekly, @monthly and @yearly.  As in cron, a day matches when either of its
 * two fields does, unless one of them begins with *: then both must.
 *
 * All here is local time as a calendar shows it: no zone, no clock, no
 * server.  What becomes of a local time that a zone skips or repeats is
 * decided in calendar.c.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "worker/worker_due.h"

/*
 * A leap day that is to be a certain day of the week comes every 28 years, and
 * after a century without a leap day at its end within 40.
 */
#define SEARCH_DAYS (40 * 366)

#define MINUTES_OF_DAY (24 * 60)
#define LONGEST_FIELD 200

typedef struct CronField
{
	const char *what;
	int			low;
	int			high;
	const char *const *names;	/* of low, low + 1, ... */
	int			nnames;
} CronField;

static const char *const month_names[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
};

static const char *const weekday_names[] = {
	"sun", "mon", "tue", "wed", "thu", "fri", "sat"
};

enum
{
	MINUTE, HOUR, DAY, MONTH, WEEKDAY, NFIELDS
};

static const CronField fields[NFIELDS] = {
	{"minute", 0, 59, NULL, 0},
	{"hour", 0, 23, NULL, 0},
	{"day of month", 1, 31, NULL, 0},
	{"month", 1, 12, month_names, lengthof(month_names)},
	{"day of week", 0, 7, weekday_names, lengthof(weekday_names)}	/* 7 is Sunday, too */
};

static const char *const nicknames[][2] = {
	{"@hourly", "0 * * * *"},
	{"@daily", "0 0 * * *"},
	{"@weekly", "0 0 * * 0"},
	{"@monthly", "0 0 1 * *"},
	{"@yearly", "0 0 1 1 *"}
};

/*
 * Reading.  The functions return NULL, or what is wrong; a problem of one
 * field is told without its name, which parse_text() puts before it.
 */

static char *
read_number(const char **text, int low, int high, int *value)
{
	const char *start = *text;
	int			length = (int) strspn(start, "0123456789");

	*value = length > 0 && length <= 4 ? atoi(start) : -1;
	*text += length;
	if (*value < low || *value > high)
		return psprintf("\"%.*s\" is not a number from %d to %d",
						length > 0 ? length : (int) strcspn(start, ",-/"), start, low, high);
	return NULL;
}

static char *
read_value(const CronField *field, const char **text, int *value)
{
	int			length = (int) strcspn(*text, ",-/");

	for (int i = 0; i < field->nnames; i++)
	{
		if (length != 3 || pg_strncasecmp(*text, field->names[i], 3) != 0)
			continue;
		*value = field->low + i;
		*text += length;
		return NULL;
	}
	return read_number(text, field->low, field->high, value);
}

/* One element of a list: values from first to last, every step-th. */
static char *
read_element(const CronField *field, const char **text, uint64 *bits)
{
	const char *start = *text;
	int			first = field->low;
	int			last = field->high;
	int			step = 1;
	bool		range = (**text == '*');
	char	   *problem = NULL;

	if (range)
		(*text)++;
	else
	{
		problem = read_value(field, text, &first);
		last = first;
		if (problem == NULL && **text == '-')
		{
			(*text)++;
			range = true;
			problem = read_value(field, text, &last);
		}
	}
	if (problem == NULL && **text == '/')
	{
		(*text)++;
		problem = read_number(text, 1, field->high, &step);
		if (problem == NULL && !range)
			problem = psprintf("\"%.*s\" has a step, but no range or *",
							   (int) (*text - start), start);
	}
	if (problem == NULL && first > last)
		problem = psprintf("range \"%.*s\" runs backwards", (int) (*text - start), start);
	for (int i = first; problem == NULL && i <= last; i += step)
		*bits |= UINT64CONST(1) << i;
	return problem;
}

static char *
read_field(const CronField *field, const char *text, uint64 *bits)
{
	char	   *problem;

	*bits = 0;
	for (;;)
	{
		problem = read_element(field, &text, bits);
		if (problem != NULL)
			return problem;
		if (*text == '\0')
			return NULL;
		if (*text != ',')
			return psprintf("\"%s\" does not belong there", text);
		text++;
	}
}

static char *
parse_text(const char *text, uint64 *bits, bool *starred)
{
	char		word[LONGEST_FIELD];
	int			n;

	for (n = 0;; n++)
	{
		int			length;
		char	   *problem;

		text += strspn(text, " \t");
		length = (int) strcspn(text, " \t");
		if (length == 0 || n == NFIELDS)
			break;
		if (length >= LONGEST_FIELD)
			return psprintf("field %d (%s) is too long", n + 1, fields[n].what);
		strlcpy(word, text, length + 1);
		problem = read_field(&fields[n], word, &bits[n]);
		if (problem != NULL)
			return psprintf("field %d (%s): %s", n + 1, fields[n].what, problem);
		starred[n] = (word[0] == '*');
		text += length;
	}
	if (n < NFIELDS)
		return psprintf("it has %d of the five fields, field %d (%s) is missing",
						n, n + 1, fields[n].what);
	if (*text != '\0')
		return psprintf("\"%s\" comes after the fifth field", text);
	return NULL;
}

char *
gepa_worker_parse_cron(const char *text, WorkerCron *cron)
{
	uint64		bits[NFIELDS];
	bool		starred[NFIELDS];
	char	   *problem;

	if (text[0] == '@')
	{
		int			i = 0;

		while (i < lengthof(nicknames) && pg_strcasecmp(text, nicknames[i][0]) != 0)
			i++;
		if (i == lengthof(nicknames))
			return psprintf("\"%s\" is none of @hourly, @daily, @weekly, @monthly, @yearly", text);
		text = nicknames[i][1];
	}
	problem = parse_text(text, bits, starred);
	if (problem != NULL)
		return problem;
	cron->minutes = bits[MINUTE];
	cron->hours = (uint32) bits[HOUR];
	cron->days = (uint32) bits[DAY];
	cron->months = (uint32) bits[MONTH];
	/* Sunday has two numbers. */
	cron->weekdays = (uint32) (bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7f;
	cron->either_day = !starred[DAY] && !starred[WEEKDAY];
	return NULL;
}

/*
 * Calendar
 */

static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

/* 0 = Sunday (Sakamoto's rule). */
static int
weekday(const WorkerMinute *at)
{
	static const int shift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
	int			year = at->month < 3 ? at->year - 1 : at->year;

	return (year + year / 4 - year / 100 + year / 400 + shift[at->month - 1] + at->day) % 7;
}

static bool
day_matches(const WorkerCron *cron, const WorkerMinute *at)
{
	bool		by_day = (cron->days >> at->day) & 1;
	bool		by_weekday = (cron->weekdays >> weekday(at)) & 1;

	if (((cron->months >> at->month) & 1) == 0)
		return false;
	return cron->either_day ? by_day || by_weekday : by_day && by_weekday;
}

/* The first match on the day from a minute of it on. */
static bool
find_in_day(const WorkerCron *cron, WorkerMinute *at, int from)
{
	for (int minute = from; minute < MINUTES_OF_DAY; minute++)
	{
		if (((cron->hours >> (minute / 60)) & 1) == 0 ||
			((cron->minutes >> (minute % 60)) & 1) == 0)
			continue;
		at->hour = minute / 60;
		at->minute = minute % 60;
		return true;
	}
	return false;
}

static void
go_to_next_day(WorkerMinute *at)
{
	if (++at->day <= days_in_month(at->year, at->month))
		return;
	at->day = 1;
	if (++at->month <= 12)
		return;
	at->month = 1;
	at->year++;
}

bool
gepa_worker_next_minute(const WorkerCron *cron, WorkerMinute *at)
{
	WorkerMinute next = *at;
	int			from = at->hour * 60 + at->minute + 1;

	for (int i = 0; i < SEARCH_DAYS; i++)
	{
		if (day_matches(cron, &next) && find_in_day(cron, &next, from))
		{
			*at = next;
			return true;
		}
		go_to_next_day(&next);
		from = 0;
	}
	return false;
}
