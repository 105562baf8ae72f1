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
#include "nodes/bitmapset.h"
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
	char	   *key_types[STORE_JOB_MAX_KEYS];	/* qualified type names, with
												 * typmod */
	bool		is_jsonb;		/* the document, else text */
	Bitmapset  *reads;			/* columns that the document names; 0 = all;
								 * of a job only */
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

/* How many rows the planner expects of an open source, filter included. */
extern double gepa_store_expected_rows(const StoreSource *source);

/* The columns in a text like "id" or "lang, id"; palloc'd names.  Raises 42602. */
extern char **gepa_store_split_names(const char *text, int *n);

/*
 * DateStyle, IntervalStyle, extra_float_digits and bytea_output as keys need
 * them, until the end of the GUC nest level (a scope, a function).
 */
extern void gepa_store_pin_formats(void);

/* job_target.c: where verdicts go besides the verdict store */

typedef enum StoreJobValue
{
	STORE_JOB_POSITIVE,			/* bool */
	STORE_JOB_SCORE,			/* float8 */
	STORE_JOB_LABEL,			/* text */
	STORE_JOB_VERDICT			/* jsonb */
} StoreJobValue;

typedef struct StoreJobTarget
{
	char	   *column;			/* of the source, not quoted; NULL = none */
	StoreJobValue value;		/* what it gets, by its type */
	char	   *table;			/* quoted, qualified; NULL = none */
} StoreJobTarget;

/*
 * What a target text means for an open source: the name of one of its columns,
 * or of a verdict table, which is made if it is missing, or both, separated by a
 * comma.  With the rights of the source's owner; raises for what could not be
 * written.  NULL is no target.
 */
extern void gepa_store_make_target(StoreJobTarget *target, const StoreSource *source,
								   const char *text);

/* The same for what make() has found; nothing is made. */
extern void gepa_store_open_target(StoreJobTarget *target, const StoreSource *source,
								   const char *column, const char *table);

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
	int			workers;		/* one of them: processes at work */
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

/* Does it exist still?  Not when the extension is another one by now. */
extern bool gepa_store_job_exists(const StoreJob *job);

/* Raise 42704 if the version that judges was dropped. */
extern void gepa_store_check_job_judge(const StoreJob *job);

/* Have the job go on with the judge's current version, in its row as well. */
extern void gepa_store_follow_job_judge(StoreJob *job);

/* Is any of these versions (of judges or routers) not the current one any more? */
extern bool gepa_store_any_outdated(const int *judges, const int *versions, int n);

/* Say why a job that runs does not get on; NULL clears it. */
extern void gepa_store_note_job(int job, const char *reason);

/* Jobs of this database that want workers, those that resume by themselves included. */
extern StoreJob *gepa_store_live_jobs(int *n);

/* Queue the rows without a verdict again; returns how many. */
extern int64 gepa_store_retry_job_errors(const StoreJob *job);

/* Forget what is left to do of a cancelled job, unless another shares it. */
extern void gepa_store_drop_claims(const StoreJob *job);

/* job_claims.c: what a worker of a job has taken on; each worker has a number, its part */

typedef struct StoreJobRow
{
	char	  **key;			/* a text per key column */
	int			asked;			/* found by the key of this number; -1 = by a
								 * range */
	bool		has_document;	/* it is not null */
	Datum		document;		/* text or jsonb */
	int64		hash;			/* of the document, to see whether it changes */
	char	   *in_column;		/* what the target column has; NULL = null */
	bool		in_table;		/* the target table has a row */
	bool		in_table_ok;	/* ... with a verdict */
	int			in_table_version;
	uint8		in_table_digest[JUDGE_DIGEST_LENGTH];
} StoreJobRow;

/* Rows that a worker has taken; in the current context. */
typedef struct StoreJobPiece
{
	int64		claim;			/* 0 = none: the queue had ranges only */
	int			attempts;		/* how often its rows were put back */
	int			nrows;
	StoreJobRow *rows;
	int			nmissing;		/* asked for by key, and not there */
	char	 ***missing;
	bool	   *missing_errors; /* whether the job has them as errors; NULL =
								 * none */
	int			nreturned;		/* behind those missing: are there again */
	bool		cut;			/* ... or not read, because it became too much */
} StoreJobPiece;

typedef enum StoreTake
{
	STORE_TAKE_PIECE,			/* perhaps without rows */
	STORE_TAKE_LATER,			/* another has what is left, or it is not due */
	STORE_TAKE_NONE				/* there is nothing left */
} StoreTake;

/* A job's source and target with the statements on them; made once per worker. */
typedef struct StoreJobTable StoreJobTable;

/* Open them with the rights of the job's owner; raises what is wrong with them. */
extern StoreJobTable *gepa_store_open_job_table(const StoreJob *job, bool reasoning);
extern bool gepa_store_job_is_jsonb(const StoreJobTable *table);

/* Be the worker of this number until the process ends; waits for its last life to end. */
extern void gepa_store_become_part(const StoreJob *job, int part);

/* Give back what this worker, or its last life, holds. */
extern void gepa_store_release_claims(const StoreJob *job, int part);

/* Is anything left to do of its work? */
extern bool gepa_store_has_claims(const StoreJob *job);

/* Is nothing held by any worker of the job? */
extern bool gepa_store_holds_nothing(const StoreJob *job);

/* Take some rows, max at most, in the caller's transaction. */
extern StoreTake gepa_store_take_piece(const StoreJob *job, int part, StoreJobTable *table,
									   int max, StoreJobPiece *piece);

/* job_write.c */

/* What became of a row. */
typedef struct StoreJobResult
{
	const StoreJobRow *row;
	const JudgeVerdict *verdict;	/* NULL = it has no document */
	int			version;		/* the job's */
	bool		rewrite;		/* version and digest do not say it all */
	uint8		digest[JUDGE_DIGEST_LENGTH];	/* of the document */
	bool		has_error;		/* the job has it as an error */
	bool		put_back;		/* in and out: to be looked at again, because
								 * it was locked, changed or gone, or not
								 * answered */
	bool		locked;			/* ... but not at once */
} StoreJobResult;

/*
 * Have put back what may not be written of the piece, because the row has changed: a
 * failure, the end of an error, a key that is gone.  Comes before what writes.
 */
extern void gepa_store_verify_piece(StoreJobTable *table, StoreJobPiece *piece,
									StoreJobResult *results, int n);

/*
 * Write results into the targets, where they are not there already and the row
 * still has the document that was judged.  skip_locked: rows that somebody has locked
 * are left out, else they are waited for.
 */
extern void gepa_store_put_results(StoreJobTable *table, StoreJobResult *results, int n,
								   bool skip_locked);

/* Forget what the targets have of rows that are gone. */
extern void gepa_store_put_missing(StoreJobTable *table, const StoreJobPiece *piece);

typedef struct StoreJobFigures
{
	int64		rows;
	int64		judged;
	int64		stored;
	int64		failed;
	int64		input_tokens;
	int64		output_tokens;
	double		cost;
} StoreJobFigures;

/*
 * A piece is done: its claim goes, rows that were put back go into the queue,
 * those without a verdict into the errors, the figures to the job's.
 */
extern void gepa_store_finish_piece(const StoreJob *job, const StoreJobPiece *piece,
									const StoreJobResult *results, int n,
									const StoreJobFigures *figures);

#endif							/* GEPA_STORE_STORE_JOB_H */
