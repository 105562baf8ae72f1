/*-------------------------------------------------------------------------
 *
 * store_watch.h
 *	  Watched tables: a part of the door of src/store, which includes it.
 *
 * A watched table has triggers that put the keys of rows that came, changed or went
 * into gepa.job_queue, in the transaction that changed them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_WATCH_H
#define GEPA_STORE_STORE_WATCH_H

#include "store/store_job.h"

struct TriggerData;

/* watch.c: the triggers */

/*
 * Make those of a job, which is to judge a table or partitioned table, as the current
 * user.  Raises 42809 for other relations, 0A000 for what cannot be watched, 42710
 * if an equal job watches it already, 42501.
 */
extern void gepa_store_create_watch(const StoreJob *job);

/*
 * Drop those of a job, as the current user.  False when some stay, because the user
 * owns the job but not the table; they do nothing once the job is cancelled.
 */
extern bool gepa_store_drop_watch(const StoreJob *job);

/* watch_rows.c: what the triggers do */

/*
 * A row trigger has fired.  Returns the job when it has to be woken at commit: once
 * a transaction; else NULL.
 */
extern const StoreJob *gepa_store_watch_row(const struct TriggerData *trigger);

/* The table was emptied: what the verdict table and the errors have of it goes. */
extern void gepa_store_watch_truncate(const struct TriggerData *trigger);

#endif							/* GEPA_STORE_STORE_WATCH_H */
