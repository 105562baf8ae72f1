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
	bool		held;
} StoreLease;

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
 * Wait until it was released; then take again.  Whoever holds leases does not
 * wait for others: that is what keeps two from waiting for each other.
 */
extern void gepa_store_lease_wait(const StoreLease *lease);

/*
 * Give it back, if it is held.  failed: the call ended, and others will not
 * find a verdict; they then call by themselves, side by side.  Never raises.
 */
extern void gepa_store_lease_release(StoreLease *lease, bool failed);

#endif							/* GEPA_STORE_STORE_LEASE_H */
