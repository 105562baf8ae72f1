/*-------------------------------------------------------------------------
 *
 * store_lease.h
 *	  Leases on documents: a part of the door of src/store, which includes it.
 *
 * A lease says that one process is about to call a document, so that others
 * wait for its verdict instead of paying for it again.  The way of a document:
 * note, look up, take; then call, hand over, release.  Without preload, and
 * where verdicts cannot be handed over, every document may be called at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_LEASE_H
#define GEPA_STORE_STORE_LEASE_H

/* What a caller has to know of a document, held or not. */
typedef struct StoreLease
{
	const uint8 *account;		/* its key */
	const uint8 *digest;
	uint32		releases;		/* of its bucket, before the last look-up */
	uint32		failures;		/* ... before the first */
	int64		look_at;		/* its holder again; gepa_clock_us() */
	bool		held;
} StoreLease;

/* A holder that is gone without a release is noticed after so long. */
#define STORE_LEASE_LOOK_MS 1000

typedef enum StoreLeaseAnswer
{
	STORE_LEASE_CALL,			/* held, or to be called without */
	STORE_LEASE_LOOK,			/* look it up again, then take again */
	STORE_LEASE_WAIT			/* another process calls it */
} StoreLeaseAnswer;

/* Before the document is looked up.  The digests have to outlive the lease. */
extern void gepa_store_lease_note(StoreLease *lease, const uint8 *account,
								  const uint8 *digest);

/* Others may take it over after so many milliseconds. */
extern StoreLeaseAnswer gepa_store_lease_take(StoreLease *lease, int64 longest_ms);

/*
 * Does another process hold it still?  Cheap, but for once in STORE_LEASE_LOOK_MS.
 * If not, take again.
 */
extern bool gepa_store_lease_is_held(StoreLease *lease);

/*
 * Sleep until it was released, for STORE_LEASE_LOOK_MS at most, or for no reason.
 * For who has no calls under way: whoever holds leases goes on calling while it
 * waits for others.  That is what keeps two from waiting for each other.
 */
extern void gepa_store_lease_wait(const StoreLease *lease);

/*
 * The same around a sleep of the caller's own that ends when its latch is set, and
 * after STORE_LEASE_LOOK_MS.  Returns false when there is nothing to sleep for.
 */
extern bool gepa_store_lease_watch(const StoreLease *lease);
extern void gepa_store_lease_unwatch(void);

/*
 * Give it back, if it is held.  failed: the call ended, and others will not
 * find a verdict; they then call by themselves, side by side.  Never raises.
 */
extern void gepa_store_lease_release(StoreLease *lease, bool failed);

#endif							/* GEPA_STORE_STORE_LEASE_H */
