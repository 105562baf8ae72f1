/*-------------------------------------------------------------------------
 *
 * store_entries.h
 *	  The ring as it lies in shared memory, for ring.c and ring_writer.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_ENTRIES_H
#define GEPA_STORE_STORE_ENTRIES_H

#include "lib/ilist.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#include "store/store_internal.h"
#include "store/store_key.h"
#include "store/store_spool.h"

#define RING_SLOT_DATA 1920
#define RING_MAX_WRITERS 64

typedef enum RingState
{
	RING_NOT_A_HEAD,			/* free, or a further slot of an entry */
	RING_READY,					/* -> TAKEN, or freed with its database */
	RING_TAKEN					/* -> freed, or READY */
} RingState;

typedef struct RingSlot
{
	int			next;			/* of the entry, or free; -1 = last */

	/* The rest but data is that of the head. */
	RingState	state;
	dlist_node	by_age;			/* in ring->entries */
	dlist_node	by_key;			/* in its bucket */
	SpoolPlace	place;			/* changed under the spool's lock as well */
	StoreKey	key;
	int			backend;		/* pid of who handed it over; 0 = it does not
								 * wait */
	int			writer;			/* pid, while TAKEN */
	bool		again;			/* may have been committed already */
	bool		in_spool;		/* too large: its data is there only */
	bool		ok;				/* a verdict, not a failure */
	int			failures;		/* how often it was put back */
	bool		failed;			/* at last for an error, not a lock */
	TimestampTz due;			/* not to be taken before; 0 = at once */
	int			length;			/* of the whole entry */
	char		data[RING_SLOT_DATA];
} RingSlot;

typedef struct RingWriter
{
	Oid			database;		/* InvalidOid = unused */
	int			pid;
	Latch	   *latch;
} RingWriter;

typedef struct Ring
{
	ConditionVariable space;	/* has its own lock */
	Latch	   *launcher;
	int			nslots;
	int			nfree;
	int			first_free;
	int			clean_at;		/* under the spool's lock: where to look next */
	dlist_head	entries;		/* heads in order of arrival, or return */
	dlist_head *buckets;		/* heads by digest, as many as slots */
	RingWriter	writers[RING_MAX_WRITERS];
	RingSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} Ring;

/* Of its slots in shared memory, in bytes. */
extern Size gepa_store_ring_size(void);

/* Both are NULL in a library that is not preloaded. */
extern Ring *gepa_store_ring;
extern LWLock *gepa_store_ring_lock;

/* The ring's lock is held; to free, exclusively, and the spool's as well. */
extern void gepa_store_ring_free(RingSlot *head);

/*
 * The bytes of an entry, palloc'd; NULL when they cannot be read.  The spool's
 * lock is held, or the entry is not in_spool and cannot change.
 */
extern char *gepa_store_ring_copy(const RingSlot *head);

/*
 * The spool's lock is held, the ring's is not.  Append an entry to the spool,
 * anew if it is there already; returns an errno or 0.
 */
extern int	gepa_store_ring_respool(RingSlot *head);

/* Fill the ring from the spool with so many at most; the spool's lock is held. */
extern SpoolLoad gepa_store_ring_fill(int max);

/* Load some of the backlog if there is one, under the same lock. */
#define LOAD_BATCH 32

extern SpoolLoad gepa_store_ring_fill_some(void);

#endif							/* GEPA_STORE_STORE_ENTRIES_H */
