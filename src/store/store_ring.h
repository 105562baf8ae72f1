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
 * when retry_ms[i] is 0, else put back until then.  failures says how often
 * each was put back; those that were are taken apart from fresh ones.  What is
 * not released when the process exits is put back.
 */
extern bool gepa_store_ring_attach(Oid database);
extern int	gepa_store_ring_take(StoreVerdict *verdicts, int *failures, int max);
extern void gepa_store_ring_release(const int *retry_ms);

/* The launcher's latch is set when an entry finds no writer. */
extern void gepa_store_ring_set_launcher(Latch *latch);

#endif							/* GEPA_STORE_STORE_RING_H */
