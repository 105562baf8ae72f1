/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Stored verdicts: looking up.
 *
 * A verdict is looked for in three places, in this order: this session's
 * memory, the ring (handed over, not yet committed), the table under the
 * latest snapshot.  The order matters: an entry leaves the ring only after
 * its row is committed, so who misses it in the ring finds it in a snapshot
 * taken later.
 *
 * Many are looked up in one visit to each place.  In the table one is found by the
 * key's index (probe.c), and others beside it (nearby.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"

#include "store/store_probe.h"

/*
 * Looking up
 */

/*
 * The snapshot is taken when the partition is locked, so that rows on their way
 * into another one are seen in one of the two.
 */
static void
look_into_table(const JudgeSpec *spec, const StoreAccount *account, StoreLookup **wanted, int n)
{
	Relation	rel;
	StoreProbe	probe;
	StoreNearby *nearby;

	gepa_store_check_extension();
	rel = gepa_store_open_partition(account->verdict_digest, AccessShareLock);
	gepa_store_probe_begin(&probe, rel, account);
	nearby = gepa_store_nearby_begin(&probe, spec, wanted, n);
	for (int i = 0; i < n; i++)
	{
		StoreLookup *lookup = wanted[i];

		if (lookup->found || !gepa_store_probe(&probe, lookup->digest))
			continue;
		gepa_store_read_verdict(probe.slot, &probe.columns, spec, &lookup->verdict);
		lookup->found = true;
		if (nearby != NULL)
			gepa_store_nearby_look(nearby);
	}
	if (nearby != NULL)
		gepa_store_nearby_end(nearby);
	gepa_store_probe_end(&probe);
	table_close(rel, AccessShareLock);
}

/* The stored verdict may be another version's, with another threshold. */
static void
decide(const JudgeSpec *spec, JudgeVerdict *verdict)
{
	if (verdict->status == GEPA_STATUS_OK)
		verdict->positive = gepa_judge_positive(spec, verdict->label, verdict->score,
												verdict->from_logprobs);
}

static void
remember(const StoreAccount *account, const StoreLookup *lookup)
{
	StoreVerdict found = {0};

	found.account = *account;
	memcpy(found.digest, lookup->digest, JUDGE_DIGEST_LENGTH);
	found.verdict = lookup->verdict;
	gepa_store_remember_found(&found);
}

void
gepa_store_lookup(const JudgeSpec *spec, const StoreAccount *account, StoreLookup *lookups, int n,
				  bool keep)
{
	StoreLookup **wanted = palloc(sizeof(StoreLookup *) * Max(n, 1));
	int			nwanted = 0;
	int			nleft;

	for (int i = 0; i < n; i++)
	{
		StoreLookup *lookup = &lookups[i];

		lookup->cached = true;
		lookup->found = gepa_store_recall(account, lookup->digest, &lookup->verdict,
										  &lookup->cached);
		if (!lookup->found)
			wanted[nwanted++] = lookup;
	}
	nleft = gepa_store_ring_find(account->key, wanted, nwanted);
	if (nleft > 0)
		look_into_table(spec, account, wanted, nleft);
	for (int i = 0; i < n; i++)
		if (lookups[i].found)
			decide(spec, &lookups[i].verdict);

	/* Not what was in memory. */
	if (keep && n == 1 && nwanted == 1 && lookups[0].found)
		remember(account, &lookups[0]);
	pfree(wanted);
}
