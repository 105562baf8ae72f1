/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  Test results in the Test Anything Protocol, for the unit programs.
 *
 * A program calls tap_ok() and its relatives and ends with
 * "return tap_done();", which prints the plan and is the exit status.  A
 * failed check does not end the program: it prints where and what, so that one
 * run shows every failure.
 *
 * Include it after postgres_fe.h.  Every program includes it once, hence the
 * static state in a header.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_TEST_TAP_H
#define GEPA_TEST_TAP_H

#include <math.h>

static int	tap_count = 0;
static int	tap_failures = 0;

static bool tap_report(bool passed, const char *file, int line, const char *fmt,...) pg_attribute_printf(4, 5);

/* Reports one check; returns whether it passed. */
static bool
tap_report(bool passed, const char *file, int line, const char *fmt,...)
{
	va_list		args;

	tap_count++;
	if (!passed)
		tap_failures++;
	printf("%sok %d - ", passed ? "" : "not ", tap_count);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	if (!passed)
		printf("#   at %s line %d\n", file, line);
	fflush(stdout);
	return passed;
}

static inline bool
tap_report_int(long long got, long long expected, const char *name, const char *file, int line)
{
	bool		passed = got == expected;

	tap_report(passed, file, line, "%s", name);
	if (!passed)
		printf("#   got %lld, expected %lld\n", got, expected);
	return passed;
}

static inline bool
tap_report_string(const char *got, const char *expected, const char *name, const char *file, int line)
{
	bool		passed = (got == NULL || expected == NULL) ? got == expected :
		strcmp(got, expected) == 0;

	tap_report(passed, file, line, "%s", name);
	if (!passed)
		printf("#   got      [%s]\n#   expected [%s]\n",
			   got ? got : "(null)", expected ? expected : "(null)");
	return passed;
}

static inline bool
tap_report_double(double got, double expected, double tolerance, const char *name,
				  const char *file, int line)
{
	bool		passed = fabs(got - expected) <= tolerance;

	tap_report(passed, file, line, "%s", name);
	if (!passed)
		printf("#   got %.17g, expected %.17g\n", got, expected);
	return passed;
}

/* tap_ok(condition, format, ...) */
#define tap_ok(passed, ...) tap_report((passed), __FILE__, __LINE__, __VA_ARGS__)
#define tap_is_int(got, expected, name) \
	tap_report_int((got), (expected), (name), __FILE__, __LINE__)
#define tap_is_string(got, expected, name) \
	tap_report_string((got), (expected), (name), __FILE__, __LINE__)
#define tap_is_double(got, expected, tolerance, name) \
	tap_report_double((got), (expected), (tolerance), (name), __FILE__, __LINE__)

/* Prints the plan; the exit status. */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	if (tap_failures > 0)
		printf("# %d of %d checks failed\n", tap_failures, tap_count);
	return tap_failures > 0 || tap_count == 0;
}

/*
 * For programs whose results belong to a memory context in the backend and to
 * nobody here: put TAP_IGNORE_LEAKS() at file level.
 */
#define TAP_IGNORE_LEAKS() \
	extern const char *__asan_default_options(void); \
	const char *__asan_default_options(void) { return "detect_leaks=0"; } \
	extern int	tap_no_leaks

#endif							/* GEPA_TEST_TAP_H */
