/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  What the headers of a response say of when to call again.
 *
 * Retry-After (seconds or a date) is the standard; retry-after-ms says the
 * same more finely and wins.  Both are a promise.  Without them some
 * endpoints still tell how much of each limit remains and when it is full
 * again (x-ratelimit-*, anthropic-ratelimit-*); a 429 then waits for those
 * that are used up.  That is later than need be, as a limit refills all the
 * time, so it is bounded and never counts as a wish for a long rest.
 *
 * Headers are foreign text: what is not understood is not there.  No clock of
 * its own.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>
#include <time.h>

#include "lm/lm_internal.h"

#define MAX_VALUE_BYTES 80
#define MAX_DURATION_MS (86400.0 * 365 * 1000)

static const char *const kinds[] = {"requests", "tokens", "input-tokens", "output-tokens"};

StaticAssertDecl(lengthof(kinds) == lengthof(((LmPace *) 0)->used_up), "a kind has a place");

void
gepa_lm_pace_start(LmPace *pace)
{
	memset(pace, 0, sizeof(LmPace));
	pace->retry_after_ms = -1;
	for (int i = 0; i < lengthof(kinds); i++)
		pace->reset_ms[i] = -1;
}

/* The factor of a unit, and where it ends. */
static double
unit_ms(const char **at)
{
	static const struct
	{
		const char *name;
		double		ms;
	}			units[] = {{"ms", 1}, {"h", 3600000}, {"m", 60000}, {"s", 1000}};

	for (int i = 0; i < lengthof(units); i++)
		if (strncmp(*at, units[i].name, strlen(units[i].name)) == 0)
		{
			*at += strlen(units[i].name);
			return units[i].ms;
		}
	return 0;
}

int64
gepa_lm_parse_duration(const char *text)
{
	const char *at = text + strspn(text, " \t");
	double		total = 0;
	bool		any = false;

	while (*at >= '0' && *at <= '9')
	{
		char	   *end;
		double		number = strtod(at, &end);
		double		factor;

		at = end;
		factor = *at == '\0' && !any ? 1000 : unit_ms(&at);
		if (factor == 0 || !isfinite(number))
			return -1;
		total += number * factor;
		any = true;
	}
	if (!any || at[strspn(at, " \t")] != '\0')
		return -1;
	return (int64) Min(total, MAX_DURATION_MS);
}

/* A point in time as RFC 3339 has it, in milliseconds from now; -1 if none. */
static int64
parse_moment(const char *text, int64 now)
{
	struct tm	tm = {0};
	int			used = 0;

	if (sscanf(text, " %4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
			   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6)
		return -1;
	text += used;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	if (strcmp(text, "Z") != 0 && strcmp(text, "+00:00") != 0)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return Max((int64) timegm(&tm) - now, 0) * 1000;
}

/* What follows a prefix in a header line, which ends where the value begins. */
static bool
take_value(const char *line, size_t length, const char *name, char *value)
{
	size_t		skip = strlen(name);

	if (length <= skip || length - skip >= MAX_VALUE_BYTES ||
		pg_strncasecmp(line, name, skip) != 0 || line[skip] != ':')
		return false;
	skip++;
	memcpy(value, line + skip, length - skip);
	value[length - skip] = '\0';
	value[strcspn(value, "\r\n")] = '\0';
	return true;
}

static void
read_limit(LmPace *pace, int kind, const char *line, size_t length, int64 now)
{
	char		name[64];
	char		value[MAX_VALUE_BYTES];

	snprintf(name, sizeof(name), "x-ratelimit-remaining-%s", kinds[kind]);
	if (take_value(line, length, name, value))
		pace->used_up[kind] = gepa_lm_parse_duration(value) == 0;
	snprintf(name, sizeof(name), "x-ratelimit-reset-%s", kinds[kind]);
	if (take_value(line, length, name, value))
		pace->reset_ms[kind] = gepa_lm_parse_duration(value);
	snprintf(name, sizeof(name), "anthropic-ratelimit-%s-remaining", kinds[kind]);
	if (take_value(line, length, name, value))
		pace->used_up[kind] = gepa_lm_parse_duration(value) == 0;
	snprintf(name, sizeof(name), "anthropic-ratelimit-%s-reset", kinds[kind]);
	if (take_value(line, length, name, value))
		pace->reset_ms[kind] = parse_moment(value, now);
}

/* Most headers are none: a name is not put together for each of them. */
static bool
is_limit(const char *line, size_t length)
{
	static const char *const starts[] = {"x-ratelimit-", "anthropic-ratelimit-"};

	for (int i = 0; i < lengthof(starts); i++)
		if (length > strlen(starts[i]) &&
			pg_strncasecmp(line, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

void
gepa_lm_pace_read(LmPace *pace, const char *line, size_t length, int64 now)
{
	char		value[MAX_VALUE_BYTES];

	if (take_value(line, length, "retry-after-ms", value))
	{
		int64		wait = gepa_lm_parse_duration(value);

		if (wait < 0)
			return;
		pace->in_ms = true;
		pace->retry_after_ms = wait / 1000; /* it was taken for seconds */
	}
	else if (take_value(line, length, "retry-after", value) && !pace->in_ms)
		pace->retry_after_ms = gepa_lm_parse_retry_after(value, now);
	else if (is_limit(line, length))
		for (int i = 0; i < lengthof(kinds); i++)
			read_limit(pace, i, line, length, now);
}

int64
gepa_lm_pace_wait(const LmPace *pace, int http_status)
{
	int64		wait = -1;

	if (pace->retry_after_ms >= 0 || http_status != 429)
		return pace->retry_after_ms;
	for (int i = 0; i < lengthof(kinds); i++)
		if (pace->used_up[i])
			wait = Max(wait, pace->reset_ms[i]);
	return Min(wait, LM_MAX_RETRY_AFTER_MS);
}
