/*-------------------------------------------------------------------------
 *
 * worker_job.h
 *	  Corpus jobs: a part of the door of src/worker, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_JOB_H
#define GEPA_WORKER_WORKER_JOB_H

#include "store/store.h"

/* job_create.c */

/* What gepa.judge_table() was called with; texts in server encoding. */
typedef struct WorkerJobRequest
{
	StoreJobKind kind;
	const char *function;		/* for messages */
	const char *judge;
	const char *source;
	const char *key;			/* column names, separated by commas */
	const char *document;
	const char *target;			/* NULL = none but the verdict store */
	const char *filter;			/* NULL = all rows */
	const char *options;		/* JSON text */
} WorkerJobRequest;

/*
 * Make a job in the current transaction as the current user: checks, the verdict
 * table if it is missing, the row.  Workers start at commit.  Returns the job as
 * it was stored.
 */
extern StoreJob *gepa_worker_create_job(const WorkerJobRequest *request);

/* requests.c */

/*
 * Have the workers of a job look at it once this transaction commits.  Cheap
 * enough for a trigger: asked for twice in a transaction it is asked for once.
 */
extern void gepa_worker_start_job_at_commit(const StoreJob *job);

/* Ask the workers of a job to leave: at commit, or now. */
extern void gepa_worker_stop_job(int job, bool at_commit);

/* slots.c */

typedef struct WorkerAtWork
{
	int			id;				/* of the job */
	int			part;
	int			pid;
	int			in_flight;		/* calls */
} WorkerAtWork;

/* The workers of jobs of this database; palloc'd. */
extern WorkerAtWork *gepa_worker_jobs_at_work(int *n);

/* watch.c */

/*
 * The same for a job that watches, asked for by a trigger: does not keep the
 * transaction from being prepared.
 */
extern void gepa_worker_wake_watch_at_commit(const StoreJob *job);

#endif							/* GEPA_WORKER_WORKER_JOB_H */
