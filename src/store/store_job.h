/*-------------------------------------------------------------------------
 *
 * store_job.h
 *	  Corpus jobs: a part of the door of src/store, which includes it.
 *
 * A job goes through the rows of a source in the order of their keys.  What is
 * to be done is in claims (a range of keys, or some keys), of which a worker
 * takes pieces, and in a queue of keys that somebody wants looked at.  Keys are
 * texts, one for each column, as the type's output function writes them under
 * gepa_store_pin_formats(); they are compared as values of their types.
 *
 * The source is read and written with the rights of the job's owner, under the
 * search_path of the one who made the job; see job_source.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_JOB_H
#define GEPA_STORE_STORE_JOB_H

#include "datatype/timestamp.h"
#include "judge/judge.h"

/* job_source.c: what rows a job has, shared with gepa.estimate() */

#define STORE_JOB_MAX_KEYS 8

typedef struct StoreSource
{
	/* Given */
	Oid			owner;			/* with whose rights it is read */
	char	   *search_path;
	char	   *document;		/* SQL expression over the row */
	char	   *filter;			/* SQL condition over the row; NULL = none */

	/* Found by gepa_store_open_source() */
	Oid			relid;
	char		relkind;
	char	   *relation;		/* quoted, qualified: for composing SQL */
	int			nkeys;
	char	   *keys[STORE_JOB_MAX_KEYS];	/* column names, not quoted */
	char	   *key_types[STORE_JOB_MAX_KEYS];	/* qualified type names */
	bool		is_jsonb;		/* the document, else text */
} StoreSource;

/*
 * Find a relation by its name under source->search_path, and check it as
 * source->owner: its kind, that document and filter are one expression each of
 * fitting types, and, unless nkeys is 0, that the keys are columns which, as far
 * as the catalog can say (tables and materialized views), have a unique index and
 * are not null; they are then put into the index's order.  Raises 42P01, 42703,
 * 42804, 42809, 42830, 42601, 42501.  Needs a transaction.
 */
extern void gepa_store_open_source(StoreSource *source, const char *name,
								   const char *const *keys, int nkeys);

/* The columns in a text like "id" or "lang, id"; palloc'd names.  Raises 42602. */
extern char **gepa_store_split_names(const char *text, int *n);

/*
 * DateStyle, IntervalStyle, extra_float_digits and bytea_output as keys need
 * them, until the end of the GUC nest level (a scope, a function).
 */
extern void gepa_store_pin_formats(void);

/* jobs.c */

typedef enum StoreJobKind
{
	STORE_JOB_TABLE,			/* ends when all is done */
	STORE_JOB_WATCH				/* waits for more in the queue */
} StoreJobKind;

typedef enum StoreJobStatus
{
	STORE_JOB_QUEUED,			/* -> RUNNING, PAUSED, CANCELLED, FAILED */
	STORE_JOB_RUNNING,			/* -> PAUSING, CANCELLED, FINISHED, FAILED */
	STORE_JOB_PAUSING,			/* -> PAUSED, QUEUED, CANCELLED, FAILED */
	STORE_JOB_PAUSED,			/* -> QUEUED, CANCELLED */
	STORE_JOB_CANCELLED,		/* end */
	STORE_JOB_FINISHED,			/* -> QUEUED (retry of errors) */
	STORE_JOB_FAILED			/* -> QUEUED, CANCELLED */
} StoreJobStatus;

extern const char *gepa_store_job_status_name(StoreJobStatus status);

typedef struct StoreJob
{
	int			job;
	StoreJobKind kind;
	int			work;			/* 0 at creation: its own, or an equal live
								 * one's */
	Oid			owner;
	int			judge;
	char	   *judge_name;
	int			version;
	char	   *source;			/* qualified name */
	int			nkeys;
	char	  **keys;
	char	   *document;
	char	   *filter;			/* NULL = all rows */
	char	   *search_path;
	char	   *target_column;	/* NULL = none */
	char	   *target_table;	/* qualified name; NULL = none */
	char	   *options;		/* JSON text, complete */
	double		expected;		/* rows; < 0 = not known */
	StoreJobStatus status;
	char	   *reason;
	TimestampTz resume_at;		/* DT_NOBEGIN = not by itself */
	bool		mine;			/* changed by the current transaction */
	int64		born;			/* tells it from another of its number */
} StoreJob;

/*
 * Insert a job, status queued, with a claim on all rows (a watching one may do
 * without: whole = false) unless it shares the work of an equal live job.
 * Returns its id.
 */
extern int	gepa_store_create_job(StoreJob *job, bool whole);

/* Reads under the latest snapshot; NULL when there is none. */
extern StoreJob *gepa_store_get_job(int job);

/* The same, its row locked until the transaction ends. */
extern StoreJob *gepa_store_lock_job(int job);

/*
 * Move a job from one of the states in the mask (1 << status) to another and set
 * reason (NULL clears it) and resume_at (DT_NOBEGIN = none).  Returns false,
 * changing nothing, when it is in no such state.
 */
extern bool gepa_store_move_job(int job, int from_mask, StoreJobStatus to,
								const char *reason, TimestampTz resume_at);

#endif							/* GEPA_STORE_STORE_JOB_H */
