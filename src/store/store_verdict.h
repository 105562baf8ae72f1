/*-------------------------------------------------------------------------
 *
 * store_verdict.h
 *	  Stored verdicts: a part of the door of src/store, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_VERDICT_H
#define GEPA_STORE_STORE_VERDICT_H

#include "datatype/timestamp.h"

#include "judge/judge.h"

/* verdicts.c: stored verdicts */

/*
 * Whose verdicts of a version: those on another's account are not found.  Who
 * has the rights of the judge's owner is on the owner's account; everybody else
 * has one of their own, so that nobody learns what a role that they are not a
 * member of has asked.
 */
typedef struct StoreAccount
{
	uint8		verdict_digest[JUDGE_DIGEST_LENGTH];	/* of the version */
	Oid			payer;
	uint8		key[JUDGE_DIGEST_LENGTH];	/* of both: names it in memory */
} StoreAccount;

/* The account of a caller of a judge with that owner. */
extern void gepa_store_account(StoreAccount *account, const uint8 *verdict_digest, Oid owner,
							   Oid caller);

/*
 * A verdict or an error on its way to, or from, the tables.  The texts are
 * NULL where absent.
 */
typedef struct StoreVerdict
{
	StoreAccount account;
	uint8		digest[JUDGE_DIGEST_LENGTH];
	int			judge;
	int			version;
	Oid			caller;			/* on whose behalf it was paid */
	const char *lm;				/* NULL = not known */
	LmPurpose	purpose;
	TimestampTz paid_at;		/* set when it is handed over */
	bool		again;			/* may be in the table already */
	JudgeVerdict verdict;
} StoreVerdict;

/* One that is looked up. */
typedef struct StoreLookup
{
	const uint8 *digest;
	bool		found;
	bool		cached;			/* false: this very statement has paid for it */
	JudgeVerdict verdict;
} StoreLookup;

/*
 * Look verdicts up: in this backend's memory, the ring, then the table under the
 * latest snapshot.  Also finds failures of this very statement (status not ok).
 * No digest occurs twice.  One that is looked up alone can be kept in memory.
 */
extern void gepa_store_lookup(const JudgeSpec *spec, const StoreAccount *account,
							  StoreLookup *lookups, int n, bool keep);	/* lookup.c */

/*
 * Hand over some verdicts that were paid, at most STORE_HAND_OVER_MAX.  With the
 * library preloaded they go to the ring and the writer commits them; else this
 * transaction writes them at its commit, or, where it may not write, the session
 * keeps them until one does.  handed_over says of each whether other sessions
 * find it from now on.
 */
#define STORE_HAND_OVER_MAX 64
extern void gepa_store_hand_over(const StoreVerdict *verdicts, int n,
								 bool *handed_over);	/* handover.c */

/*
 * Writer: give one version that has verdicts in the default partition one of
 * its own, or drop one that is empty; false when there is nothing to do.  Locks
 * are waited for as lock_timeout says.
 */
extern bool gepa_store_tend_partitions(void);	/* partitions.c */

/* prune.c */

/* What was deleted of one version, or of candidates that are not deployed (0). */
typedef struct StorePruned
{
	int			version;
	int64		verdicts;		/* about how many where emptied */
	int64		errors;
	bool		emptied;		/* its partition as a whole */
} StorePruned;

/*
 * Delete verdicts of a judge, and documents without one: of all versions but
 * the current one and the keep newest (-1 = no such rule), and those older than
 * an interval (NULL = no such rule).  What another judge uses as well is kept by
 * the first rule.
 */
extern StorePruned *gepa_store_prune_verdicts(int judge, int keep, const Interval *older_than,
											  int *n);

#endif							/* GEPA_STORE_STORE_VERDICT_H */
