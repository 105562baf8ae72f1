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

/* ring.c: shared memory between backends and writers; see its header */

extern void gepa_store_init(void);	/* at load */
extern bool gepa_store_ring_available(void);

/* Databases whose entries wait and that have no writer; up to max OIDs. */
extern int	gepa_store_ring_databases(Oid *databases, int max);

/*
 * Writer: register as the writer of a database (false if there is one), take
 * up to max ready entries, give them back or free them.  The taken entries
 * are released again if the process exits before.
 */
extern bool gepa_store_ring_attach(Oid database);
extern int	gepa_store_ring_take(StoreVerdict *verdicts, int max);
extern void gepa_store_ring_done(void);

/* The launcher's latch is set when an entry finds no writer. */
extern void gepa_store_ring_set_launcher(Latch *latch);

#endif							/* GEPA_STORE_STORE_RING_H */
