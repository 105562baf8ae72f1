/*-------------------------------------------------------------------------
 *
 * store_ring.h
 *	  The ring of verdicts: a part of the door of src/store, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_RING_H
#define GEPA_STORE_STORE_RING_H

#include "storage/latch.h"

#include "store/store_verdict.h"

/* ring.c: shared memory between backends and writers; see its header */

extern void gepa_store_init(void);	/* at load */

/* The launcher's latch is set when an entry finds no writer. */
extern void gepa_store_ring_set_launcher(Latch *latch);

/* ring_writer.c */

/*
 * Launcher: what is in files because it did not fit into the ring is loaded as
 * far as there is room; returns whether that was all.
 */
extern bool gepa_store_ring_load(void);

/*
 * Launcher: databases that have entries which are due and no writer, up to max
 * OIDs; *wait_ms is lowered to the time until further ones are due.  Entries of
 * a database that is gone are forgotten (returns how many), those of one that
 * cannot be connected to have to wait.
 */
extern int	gepa_store_ring_databases(Oid *databases, int max, int *wait_ms);
extern int	gepa_store_ring_forget(Oid database);
extern void gepa_store_ring_postpone(Oid database, int ms);

/*
 * Writer: register as the writer of a database (false if there is one), take
 * up to max entries that are due, and release all of them: the i-th is freed
 * when its ms is 0, else put back until then.  failures says how often each was
 * put back; those that were are taken apart from fresh ones.  What is not
 * released when the process exits is put back.  The memory context of take must
 * live until release.
 */
typedef struct StoreRetry
{
	int			ms;				/* 0 = written */
	bool		blocked;		/* by a lock, not an error */
} StoreRetry;

extern bool gepa_store_ring_attach(Oid database);
extern int	gepa_store_ring_take(StoreVerdict *verdicts, int *failures, int max);
extern void gepa_store_ring_release(const StoreRetry *retries);

/* Writer: is more than half of the room in use, so that sessions may soon wait for some? */
extern bool gepa_store_ring_is_crowded(void);

/*
 * verdicts.c: insert a batch; needs a transaction.  A failure of what has a
 * verdict is not inserted; delete_errors says whether those that were recorded
 * before a verdict go.
 */
extern void gepa_store_insert_verdicts(const StoreVerdict *verdicts, int n, bool delete_errors);

#endif							/* GEPA_STORE_STORE_RING_H */
