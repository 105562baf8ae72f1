/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  Background workers: the door of src/worker.
 *
 * With the library in shared_preload_libraries one launcher runs.  It starts
 * a run worker per active run (as the run's owner), a verdict writer per
 * database whose backends hand verdicts over, a schedule worker whenever a
 * schedule is due, a sweep worker whenever a sweep has something to do, and
 * after a restart looks into every database for runs that were interrupted,
 * for schedules and for sweeps.  docs/workers.md has the state machines.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_H
#define GEPA_WORKER_WORKER_H

/* launcher.c */

extern void gepa_worker_init(void); /* at load */

/* True when the library was preloaded, so that workers exist. */
extern bool gepa_worker_available(void);

/* Raise 55000 with the hint to preload, unless gepa_worker_available(). */
extern void gepa_worker_require(const char *function);

/* requests.c: shared memory between backends, launcher and run workers */

/* Ask, once this transaction commits, for a worker on a run. */
extern void gepa_worker_start_at_commit(int run, Oid owner);

/*
 * Ask the worker of a run to stop: at_commit, or at once (from a cancelled
 * wait).  Of a run that no worker was asked for it does nothing.
 */
extern void gepa_worker_stop_run(int run, bool at_commit);

/*
 * The same of a sweep: have it looked at once this transaction commits, and have
 * it stopped.
 */
extern void gepa_worker_look_at_sweep(int sweep, Oid owner);
extern void gepa_worker_halt_sweep(int sweep, bool at_commit);

/*
 * Has somebody been asked to look at a run?  A live run is not known when it
 * came with a restored dump, or after a crash until a scout has found it.
 */
extern bool gepa_worker_is_known(int run);

/*
 * Sleep until a run's row may have changed, at most timeout_ms.
 * Interruptible.
 */
extern void gepa_worker_wait_change(int run, int timeout_ms);

/* Run worker: tell those who wait that the row has changed. */
extern void gepa_worker_announce_change(int run);

/* record.c */

/*
 * End a run that is in one of the states of a mask, and tell who listens; false
 * when it is in another.  In a transaction.
 */
extern bool gepa_worker_end_run(int run, int from_mask, StoreRunStatus to,
								const char *reason);

/* stop.c */

/*
 * In a transaction, of which both hold at its commit: ask a run to stop, at once
 * if no worker has it; have a stopped or failed one go on.  False when there is
 * nothing to stop, or to resume.
 */
extern bool gepa_worker_ask_to_stop(const StoreRun *run);
extern bool gepa_worker_resume_run(const StoreRun *run);

/* starter.c */

/* What gepa.start_text was called with beside that. */
typedef struct WorkerTextRequest
{
	Oid			evaluator;
	const char *seed;			/* JSON text; NULL = none, as the following */
	const char *objective;
	const char *background;
} WorkerTextRequest;

/* What gepa.start was called with; texts in server encoding. */
typedef struct WorkerStartRequest
{
	const char *judge;
	const WorkerTextRequest *text;	/* in place of a judge; else NULL */
	const char *dataset;		/* NULL = none, with a text only */
	const char *reflection_lm;	/* NULL = none */
	int			budget;
	int64		seed;
	const char *options;		/* JSON text */
	int			version;		/* of the judge that is tuned; 0 = current */
	int			samples_of;		/* a run whose samples it gets, with their
								 * splits; 0 = the dataset's as they are now */
	bool		sliced;			/* only the samples with these keys */
	int			nkeys;
	const char *const *keys;	/* in the order of gepa_store_read_samples() */
} WorkerStartRequest;

/*
 * Start a run in a transaction of its own, in a worker that acts as the
 * current user, and return its id; needed by gepa.optimize, whose own
 * transaction cannot commit.  Errors of the start are raised here.
 */
extern int	gepa_worker_start_now(const WorkerStartRequest *request);

/* What gepa.start_sweep was called with; of run the options are the sweep's. */
typedef struct WorkerSweepRequest
{
	WorkerStartRequest run;
	int			nlms;
	char	  **lms;
} WorkerSweepRequest;

/* The same of a sweep. */
extern int	gepa_worker_start_sweep_now(const WorkerSweepRequest *request, bool *begun);

/* sweep.c */

/*
 * Have a sweep done, in the background, as far as it is not done already; its id.
 * begun says whether it did not run before.  As the current user, with effect at
 * commit.  What no point can be started for is raised.
 */
extern int	gepa_worker_start_sweep(const WorkerSweepRequest *request, bool *begun);

/* Stop one, and its runs; false if it does not run.  In a transaction. */
extern bool gepa_worker_stop_sweep(int sweep);

/* start.c */

/*
 * The start of a run in the current transaction as the current user: checks,
 * split, copy of the samples, the row.  Shared by gepa.start and the starter.
 */
extern int	gepa_worker_start_run(const WorkerStartRequest *request);

/* Its checks of what is named, without reading samples; raises. */
extern void gepa_worker_check_start(const WorkerStartRequest *request);

/* Raises 22023 for a dataset without labels, by which versions are compared. */
extern void gepa_worker_check_labelled(const char *dataset, const char *hint);

/* schedule.c */

/*
 * Check and store a schedule (complete but for its id, its judge's id, the
 * labels seen and its next time) and have it fire from commit on; its id.
 */
extern int	gepa_worker_create_schedule(StoreSchedule *schedule);

/* Let a schedule fire, or not, or drop it; for the current user. */
extern void gepa_worker_enable_schedule(const char *name, bool enabled);
extern void gepa_worker_drop_schedule(const char *name);

/* calendar.c */

/*
 * Times that a cron text names after a given one, n or fewer; a time_zone of
 * NULL is the session's.  Raises 22023 for a text or zone that is none, and
 * when the text names no time at all.
 */
extern int	gepa_worker_cron_times(const char *at, const char *time_zone, TimestampTz after,
								   int n, TimestampTz *times);

/* replay.c */

typedef struct WorkerReplay
{
	int			steps;			/* journal entries told */
	int			candidates;		/* in the pool at the end */
	char	   *difference;		/* the first, in words; NULL = none */
} WorkerReplay;

/*
 * Tell a fresh engine what was recorded of a run and compare its decisions
 * with those recorded.  No LM is asked, nothing is written.
 */
extern WorkerReplay gepa_worker_replay(StoreRun *row);

/*
 * Entry points of the workers are looked up by name in the library; they are
 * declared in worker_internal.h and called by nobody else.
 */

#include "worker/worker_job.h"

#endif							/* GEPA_WORKER_WORKER_H */
