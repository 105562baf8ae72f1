/*-------------------------------------------------------------------------
 *
 * worker_job_internal.h
 *	  What the files of a corpus job's worker share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_JOB_INTERNAL_H
#define GEPA_WORKER_WORKER_JOB_INTERNAL_H

#include "lib/ilist.h"

#include "apply/apply.h"
#include "worker/worker_internal.h"

/* job_options.c */

typedef struct WorkerJobOptions
{
	int			workers;		/* processes */
	int			batch;			/* rows of a piece, at most */
	int			window;			/* rows asked and not yet known; 0 = by the LM */
	int			version;		/* 0 = the current one */
	bool		reasoning;		/* into the targets as well */
	bool		pause_on_budget;	/* else the job fails */
} WorkerJobOptions;

/* Raises 22023 on unknown keys and bad values. */
extern void gepa_worker_parse_job_options(const char *json, WorkerJobOptions *options);

/* The object that parse would read back. */
extern char *gepa_worker_job_options_json(const WorkerJobOptions *options);

/* A job at work */

typedef struct WorkerJob
{
	MemoryContext context;		/* as long as the worker */
	StoreJob   *row;
	int			part;
	WorkerJobOptions options;
	StoreJobTable *table;
	ApplyNamed *named;			/* judge or router; NULL = not open */
	ApplyDesk  *desk;
	MemoryContext judge_context;	/* of both */
	int64		opened_at;		/* gepa_clock_us() */
	bool		outdated;		/* another version is current: take no rows */
	dlist_head	pieces;
	int			npieces;
	int			nunknown;		/* rows of pieces without an answer yet */
	int			max_rows;		/* of the next piece */
	int64		look_at;		/* for the next piece, not before */
	int			empty_looks;	/* in a row: nothing could be taken */
	int			failures;		/* in a row: calls that the LM did not answer */
	bool		nothing_left;
	StoreJobStatus status;		/* as last seen */
	const char *budget;			/* which one is used up; NULL = none */
	char	   *outage;			/* what the LM does instead of answering */
	char	   *outage_lm;		/* its name */
	int			outages;		/* in a row */
} WorkerJob;

/* job_judge.c */

/* Open the judge, with its LM as it is now; or close it, called back what is under way. */
extern void gepa_worker_open_job_judge(WorkerJob *job);
extern void gepa_worker_close_job_judge(WorkerJob *job);

/* Is it to be opened anew, because another version is current?  In a transaction. */
extern bool gepa_worker_job_judge_is_outdated(const WorkerJob *job);

/* Do that; there are no pieces. */
extern void gepa_worker_renew_job_judge(WorkerJob *job);

/* job_pieces.c */

/*
 * Take rows, take answers, write what is complete; never waits for an answer.
 * Returns whether anything happened.
 */
extern bool gepa_worker_turn_job(WorkerJob *job);

/* Let calls under way come in, and write the pieces that are complete then. */
extern void gepa_worker_drain_job(WorkerJob *job);

/* Forget the pieces; their claims become free. */
extern void gepa_worker_abandon_pieces(WorkerJob *job);

/* Raise what has become of owner or judge; note the status.  In a transaction. */
extern void gepa_worker_check_job(WorkerJob *job);

#endif							/* GEPA_WORKER_WORKER_JOB_INTERNAL_H */
