/*-------------------------------------------------------------------------
 *
 * lm_figures.h
 *	  What can be said of an LM as it works: limits, and what came of its calls.
 *
 * A part of the door of src/lm, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_FIGURES_H
#define GEPA_LM_LM_FIGURES_H

#include "datatype/timestamp.h"

/* What attempts end with. */
typedef enum LmError
{
	LM_ERROR_NONE,
	LM_ERROR_429,
	LM_ERROR_4XX,				/* others */
	LM_ERROR_5XX,
	LM_ERROR_TIMEOUT,
	LM_ERROR_CONNECTION,		/* none, broken, refused, or no HTTP */
	LM_ERROR_UNPARSEABLE,
	LM_ERROR_REFUSED,
	LM_ERROR_TRUNCATED,
	LM_ERROR_TOO_LONG,
	LM_ERROR_CANCELLED,			/* called back */
	LM_ERROR_OTHER
} LmError;

#define LM_NERRORS (LM_ERROR_OTHER + 1)

/* NULL for LM_ERROR_NONE. */
extern const char *gepa_lm_error_name(LmError error);

/* What the calls of a process are for: so its share of the limits is weighed. */
typedef enum LmClass
{
	LM_CLASS_QUERY,				/* somebody waits for it */
	LM_CLASS_RUN,
	LM_CLASS_JOB
} LmClass;

#define LM_NCLASSES (LM_CLASS_JOB + 1)

extern const char *gepa_lm_class_name(LmClass class);

/* The processes of a class, of those that call an LM now. */
typedef struct LmClassUse
{
	int			processes;
	int			in_flight;
	int			waiting;		/* processes, for a place or a rate */
} LmClassUse;

/* An LM as its limits and counts stand; times of the clock of dates, 0 = none. */
typedef struct LmFigures
{
	Oid			serverid;
	int			max_concurrency;
	int			limit;			/* that the endpoint can do with */
	int			peak;			/* of calls in flight */
	TimestampTz held_until;		/* Retry-After, of any key */
	int			requests_per_minute;	/* 0 = no limit */
	int			tokens_per_minute;
	double		requests_left;	/* that may go at once */
	double		tokens_left;	/* < 0 = in debt */
	LmClassUse	classes[LM_NCLASSES];
	int64		calls;			/* that have ended */
	int64		ok;
	int64		retries;
	int64		errors[LM_NERRORS];
	int64		input_tokens;
	int64		output_tokens;
	double		cost;
	double		latency_ms[3];	/* medians, 95 and 99 of 100; < 0 = no answer */
	TimestampTz since;
} LmFigures;

/*
 * The LMs of this database that were called since the server's start, by all
 * processes; not preloaded, by this one.  *n of them, palloc'd.
 */
extern LmFigures *gepa_lm_figures(int *n);

#endif							/* GEPA_LM_LM_FIGURES_H */
