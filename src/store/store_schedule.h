/*-------------------------------------------------------------------------
 *
 * store_schedule.h
 *	  Schedules: a part of the door of src/store, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_SCHEDULE_H
#define GEPA_STORE_STORE_SCHEDULE_H

#include "datatype/timestamp.h"

/* schedules.c */

typedef enum StoreOutcome
{
	STORE_OUTCOME_NONE,			/* never was due */
	STORE_OUTCOME_STARTED,		/* last_run is at work, or waits to be
								 * compared */
	STORE_OUTCOME_SKIPPED,		/* no run: too few new labels */
	STORE_OUTCOME_FAILED,		/* reason says what; perhaps with a run */
	STORE_OUTCOME_STOPPED,
	STORE_OUTCOME_FINISHED,		/* nothing was to be deployed */
	STORE_OUTCOME_DEPLOYED,
	STORE_OUTCOME_KEPT			/* compared, and not deployed */
} StoreOutcome;

typedef struct StoreSchedule
{
	int			schedule;
	char	   *name;
	Oid			owner;
	int			judge;
	char	   *judge_name;
	char	   *dataset;
	char	   *reflection_lm;	/* NULL = none */
	Interval   *every;			/* NULL: at */
	char	   *at;
	char	   *time_zone;
	int			min_new_labels;
	int			budget;
	int64		seed;
	char	   *options;		/* JSON text */
	bool		if_better;		/* else never deployed */
	double		level;
	bool		enabled;
	TimestampTz next_at;
	TimestampTz last_at;		/* DT_NOBEGIN = never, as last_run 0 */
	int			last_run;
	StoreOutcome outcome;
	char	   *reason;
	char	   *comparison;		/* JSON text or NULL */
	int64		labels_seen;
	bool		settled;		/* last_run has ended (as of the reading) */
} StoreSchedule;

extern int	gepa_store_create_schedule(const StoreSchedule *schedule);
extern StoreSchedule *gepa_store_get_schedule(const char *name);

/*
 * The schedule as committed now, its row and its judge locked until commit;
 * NULL when there is none.
 */
extern StoreSchedule *gepa_store_lock_schedule(int schedule);

/* Write what may change: enabled, next_at and what follows it. */
extern void gepa_store_put_schedule(const StoreSchedule *schedule);
extern void gepa_store_drop_schedule(int schedule);

/* All that are enabled. */
extern StoreSchedule *gepa_store_list_schedules(int *n);

#endif							/* GEPA_STORE_STORE_SCHEDULE_H */
