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

/* timetable.c: schedules in shared memory */

#define WORKER_NSCHEDULES 512

/* A slot as the launcher copies it. */
typedef struct WorkerScheduleArgs
{
	Oid			database;
	Oid			owner;
	int			schedule;
	int			slot;
	uint32		claim;
	bool		can_login;		/* see gepa_worker_connect */
	bool		orphan;			/* its owner was dropped */
} WorkerScheduleArgs;

extern void gepa_worker_timetable_init(void);
extern bool gepa_worker_timetable_has_room(void);

/* True, once, when there is room again for what was turned away. */
extern bool gepa_worker_timetable_take_overflow(void);

/* Look at a schedule when it is due, or has changed, once this commits. */
extern void gepa_worker_look_at_commit(int schedule, Oid owner, TimestampTz due);

/* Enter a schedule; the end of run (0 = none) makes it due as well. */
extern void gepa_worker_timetable_add(Oid database, const StoreSchedule *schedule);

/* Launcher: as for runs. */
extern bool gepa_worker_timetable_claim(int max, WorkerScheduleArgs *args, int *wait_ms);
extern void gepa_worker_timetable_unclaim(const WorkerScheduleArgs *args, int retry_ms);
extern void gepa_worker_timetable_forget(const WorkerScheduleArgs *args);

/*
 * Schedule worker: take over a claimed slot; say when to look again (or never
 * more), else leaving is a death.
 */
extern bool gepa_worker_timetable_attach(const WorkerScheduleArgs *args);
extern void gepa_worker_timetable_next(const StoreSchedule *schedule);
extern void gepa_worker_timetable_gone(void);

/* Run worker: a run has ended; its schedule may want to know. */
extern void gepa_worker_timetable_run_ended(int run);

/* calendar.c: schedules in time zones */

/*
 * The next time of a schedule after now; previous is when it should have
 * been due, so that regular intervals keep their phase (DT_NOBEGIN = none).
 */
extern TimestampTz gepa_worker_next_due(const StoreSchedule *schedule, TimestampTz previous,
										TimestampTz now);

/* schedule.c: the request that a schedule makes when it fires. */
extern WorkerStartRequest gepa_worker_schedule_request(const StoreSchedule *schedule);

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
