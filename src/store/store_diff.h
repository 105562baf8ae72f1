/*-------------------------------------------------------------------------
 *
 * store_diff.h
 *	  Documents that two versions of a judge have judged: a part of the door of
 *	  src/store, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_DIFF_H
#define GEPA_STORE_STORE_DIFF_H

#include "judge/judge.h"
#include "store/store_verdict.h"

/* One side: a version, and whose verdicts of it. */
typedef struct StoreSide
{
	const JudgeSpec *spec;
	StoreAccount account;
} StoreSide;

/* Is what became of a document another thing? */
static inline bool
gepa_store_flips(const JudgeVerdict *a, const JudgeVerdict *b)
{
	return a->positive != b->positive || strcmp(a->label, b->label) != 0;
}

/*
 * Gets a document in a memory context that is reset after it; must not enter the
 * store's tables.  Of verdicts that do not flip reasoning is NULL.
 */
typedef void (*StorePairTaker) (const uint8 *digest, const JudgeVerdict *a,
								const JudgeVerdict *b, void *arg);

/* All documents of which both sides have a verdict in the table, in order of their digests. */
extern void gepa_store_read_pairs(const StoreSide *a, const StoreSide *b, StorePairTaker taker,
								  void *arg);

#endif							/* GEPA_STORE_STORE_DIFF_H */
