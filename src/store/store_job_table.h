/*-------------------------------------------------------------------------
 *
 * store_job_table.h
 *	  A job's source and target, opened: what job_rows.c and job_write.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_JOB_TABLE_H
#define GEPA_STORE_STORE_JOB_TABLE_H

#include "store/store_internal.h"

/* How a range of keys begins. */
typedef enum JobLow
{
	JOB_LOW_NONE,				/* with the first */
	JOB_LOW_ABOVE,
	JOB_LOW_AT
} JobLow;
#define JOB_NLOWS 3

struct StoreJobTable
{
	const StoreJob *job;
	StoreSource source;
	StoreJobTarget target;
	bool		reasoning;		/* the verdict table gets it */
	bool		watched;		/* rows are locked while a verdict table is
								 * written */
	int64		seed;			/* of hashes of documents; nobody knows it */
	char	   *name;			/* of the source in conditions: its last part */

	/* Statements of the owner's, composed when they are first needed. */
	StoreStatement by_range[JOB_NLOWS][2];	/* open or closed at its end */
	StoreStatement by_key;
	StoreStatement lock_rows;
	StoreStatement unchanged;
	StoreStatement lock_table;
	StoreStatement returned;
	StoreStatement put_column;
	StoreStatement put_table;
	StoreStatement clear_column;
	StoreStatement clear_table;
};

/*
 * job_rows.c: a scope as the owner, with settings for keys and for plans that
 * find a row by its key.
 */
extern void gepa_store_enter_job_table(StoreScope *scope, const StoreJobTable *table,
									   StoreView view);

/* "name.key = gepa_v.gepa_k1::type AND ..." of the source, or of the target table. */
extern void gepa_store_append_key_match(StringInfo buf, const StoreJobTable *table,
										const char *name);

/* "ROWS FROM (unnest($1::text[]), ...": the keys, without what closes it. */
extern void gepa_store_append_keys(StringInfo buf, const StoreJobTable *table);

/* ", gepa_k1, ..." */
extern void gepa_store_append_key_names(StringInfo buf, const StoreJobTable *table,
										const char *prefix);

/* Keys as arguments: a text array for each column. */
extern void gepa_store_arg_keys(StoreArgs *args, int nkeys, char ***keys, int n);

/* The rows of a range or of some keys, no more than max and not too large. */
typedef struct StoreJobRange
{
	char	  **low;			/* NULL = none */
	bool		with_low;
	char	  **high;			/* NULL = none */
} StoreJobRange;

/* Returns whether there may be more. */
extern bool gepa_store_read_range(StoreJobTable *table, const StoreJobRange *range, int max,
								  StoreJobPiece *piece);
extern bool gepa_store_read_keys(StoreJobTable *table, char ***keys, int n,
								 StoreJobPiece *piece);

/* job_write.c: the row has still the document that was judged, or none as before. */
extern void gepa_store_append_unchanged(StringInfo buf, const StoreJobTable *table);

/* "ROWS FROM (keys, hashes[, values]) gepa_v(...)"; each row has its number in gepa_n. */
extern void gepa_store_append_rows(StringInfo buf, const StoreJobTable *table,
								   const char *types, const char *names);

/* Keys and hashes as arguments. */
extern void gepa_store_arg_rows(StoreArgs *args, const StoreJobTable *table,
								StoreJobResult *const *results, int nresults);

/*
 * jobs.c: does the job, or one of the same owner's with the same verdict table, watch
 * its source?
 */
extern bool gepa_store_is_watched(const StoreJob *job);

/* job_claims.c */
extern void gepa_store_delete_claim(StoreScope *scope, const StoreJob *job, int64 claim);

#endif							/* GEPA_STORE_STORE_JOB_TABLE_H */
