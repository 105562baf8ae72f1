/*-------------------------------------------------------------------------
 *
 * worker_schedule.h
 *	  What the files about schedules share among themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_SCHEDULE_H
#define GEPA_WORKER_WORKER_SCHEDULE_H

#include "worker/worker_internal.h"

/* timetable.c */

/* Look at a schedule when it is due, or has changed, once this commits. */
extern void gepa_worker_look_at_commit(int schedule, Oid owner, TimestampTz due);

/* Enter a schedule; the end of the run that it waits for makes it due as well. */
extern void gepa_worker_timetable_add(Oid database, const StoreSchedule *schedule);

/* Schedule worker: its turn is over, and when the next one is. */
extern void gepa_worker_timetable_next(const StoreSchedule *schedule);

/* calendar.c: schedules in time zones */

/*
 * The next time of a schedule after now; previous is when it should have
 * been due, so that regular intervals keep their phase (DT_NOBEGIN = none).
 */
extern TimestampTz gepa_worker_next_due(const StoreSchedule *schedule, TimestampTz previous,
										TimestampTz now);

/* schedule.c: the request that a schedule makes when it fires. */
extern WorkerStartRequest gepa_worker_schedule_request(const StoreSchedule *schedule);

/* heldout.c */

/* A version on the test rows of a run.  Sums are over all rows, unless said. */
typedef struct WorkerHeldOut
{
	int			n;
	JudgeOutcome *outcomes;		/* all decided; by row */
	int			undecided;		/* rows that could not be judged: counted as
								 * wrong */
	double		cost;
	double		input_tokens;
	double		output_tokens;
	int			timed;			/* rows that have a verdict */
	double		latency_ms;		/* of these */
	int			called;			/* rows that were not stored */
	double		seconds;		/* that all took */
	double		places;			/* this and the following: see JudgePace */
	double		documents_per_minute;
	double		tokens_per_minute;
} WorkerHeldOut;

/*
 * Judge them, outside any transaction; what is stored is not paid again.  Raises
 * when a call gets no answer.  False when stops() (may be NULL) has said so before
 * all were judged.
 */
extern bool gepa_worker_judge_held_out(WorkerHeldOut *held, StoreVersion *version, int run,
									   bool (*stops) (void), MemoryContext context);

/* contest.c */

/* The current version (champion) and a run's winner on the held-out rows. */
typedef struct WorkerContest
{
	StoreVersion *champion;
	StoreVersion *challenger;
	int			nrows;			/* held out; 0: nothing was compared */
	JudgePaired paired;			/* a is the champion */
} WorkerContest;

/*
 * Judge the run's test rows with both, outside any transaction; what is
 * stored is not paid again.  Raises when a call gets no answer.
 */
extern void gepa_worker_hold_contest(WorkerContest *contest, const StoreRun *run,
									 MemoryContext context);

/* The contest as gepa.schedule.comparison holds it; deployed 0 = none. */
extern char *gepa_worker_contest_json(const WorkerContest *contest, int deployed);

#endif							/* GEPA_WORKER_WORKER_SCHEDULE_H */
