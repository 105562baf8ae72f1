/*-------------------------------------------------------------------------
 *
 * nearby.c
 *	  Verdicts that lie beside one that was found.
 *
 * Digests are random, so each descent of the index ends on another page of it: that
 * is what a look-up costs, many times over.  The rows themselves are stored in about
 * the order in which documents were judged, and whoever judges a table again comes
 * in that order.  So when one is found the other rows of its block are compared
 * with what else is wanted; a block full of what is wanted costs no more than a
 * descent.
 *
 * Where it does not pay (the documents come in another order) it is given up, for as
 * long as this look-up lasts.
 *
 * A row that is seen here is one that a scan of the whole table would see under the
 * same snapshot, so it does not matter how it is found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "storage/itemptr.h"

#include "store/store_probe.h"

/* Fewer are not worth a set. */
#define FEWEST 8

/* So many blocks are looked at before it has to pay: as many rows as blocks. */
#define TRIAL_BLOCKS 8

/* Rows of a block that is worth going on after. */
#define GOOD_BLOCK 8

typedef struct WantedSlot
{
	const uint8 *digest;
	StoreLookup *lookup;
	char		status;
} WantedSlot;

#define SH_PREFIX wanted_set
#define SH_ELEMENT_TYPE WantedSlot
#define SH_KEY_TYPE const uint8 *
#define SH_KEY digest
#define SH_HASH_KEY(tb, key) gepa_judge_hash_digest(key)
#define SH_EQUAL(tb, a, b) (memcmp(a, b, JUDGE_DIGEST_LENGTH) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct StoreNearby
{
	const StoreProbe *probe;
	const JudgeSpec *spec;
	wanted_set_hash *wanted;
	TupleTableSlot *slot;
	TableScanDesc scan;			/* NULL = none yet */
	int			nblocks;		/* looked at */
	int			nfound;			/* in them */
};

static bool
has_tid_ranges(Relation rel)
{
	return rel->rd_tableam->scan_set_tidrange != NULL &&
		rel->rd_tableam->scan_getnextslot_tidrange != NULL;
}

StoreNearby *
gepa_store_nearby_begin(const StoreProbe *probe, const JudgeSpec *spec, StoreLookup **wanted,
						int n)
{
	StoreNearby *nearby;

	if (n < FEWEST || probe->index == NULL || !has_tid_ranges(probe->rel))
		return NULL;
	nearby = palloc0(sizeof(StoreNearby));
	nearby->probe = probe;
	nearby->spec = spec;
	nearby->wanted = wanted_set_create(CurrentMemoryContext, n, NULL);
	nearby->slot = table_slot_create(probe->rel, NULL);
	for (int i = 0; i < n; i++)
	{
		bool		found;

		wanted_set_insert(nearby->wanted, wanted[i]->digest, &found)->lookup = wanted[i];
	}
	return nearby;
}

void
gepa_store_nearby_end(StoreNearby *nearby)
{
	if (nearby->scan != NULL)
		table_endscan(nearby->scan);
	ExecDropSingleTupleTableSlot(nearby->slot);
	wanted_set_destroy(nearby->wanted);
	pfree(nearby);
}

/* NULL unless a column is a digest. */
static const uint8 *
digest_in(TupleTableSlot *slot, AttrNumber column)
{
	bool		isnull;
	Datum		value = gepa_store_column(slot, column, &isnull);
	struct varlena *bytes = (struct varlena *) DatumGetPointer(value);

	if (isnull || VARATT_IS_EXTENDED(bytes) != VARATT_IS_SHORT(bytes) ||
		VARSIZE_ANY_EXHDR(bytes) != JUDGE_DIGEST_LENGTH)
		return NULL;
	return (const uint8 *) VARDATA_ANY(bytes);
}

static bool
is_of_account(TupleTableSlot *slot, const StoreProbe *probe)
{
	const uint8 *version = digest_in(slot, probe->columns.verdict_digest);
	bool		isnull;
	Datum		payer = gepa_store_column(slot, probe->columns.payer, &isnull);

	return version != NULL && !isnull &&
		DatumGetObjectId(payer) == probe->account->payer &&
		memcmp(version, probe->account->verdict_digest, JUDGE_DIGEST_LENGTH) == 0;
}

static void
take_row(StoreNearby *nearby)
{
	const StoreProbe *probe = nearby->probe;
	const uint8 *digest = digest_in(nearby->slot, probe->columns.digest);
	WantedSlot *wanted = digest == NULL ? NULL : wanted_set_lookup(nearby->wanted, digest);

	if (wanted == NULL || wanted->lookup->found || !is_of_account(nearby->slot, probe))
		return;
	gepa_store_read_verdict(nearby->slot, &probe->columns, nearby->spec,
							&wanted->lookup->verdict);
	wanted->lookup->found = true;
	nearby->nfound++;
}

static void
scan_block(StoreNearby *nearby, BlockNumber block)
{
	const StoreProbe *probe = nearby->probe;
	ItemPointerData first;
	ItemPointerData last;

	ItemPointerSet(&first, block, FirstOffsetNumber);
	ItemPointerSet(&last, block, MaxOffsetNumber);
	if (nearby->scan == NULL)
		nearby->scan = table_beginscan_tidrange(probe->rel, probe->snapshot, &first, &last);
	else
		table_rescan_tidrange(nearby->scan, &first, &last);
	while (table_scan_getnextslot_tidrange(nearby->scan, ForwardScanDirection, nearby->slot))
		take_row(nearby);
}

/* The next block is as good as one that was found by the index, after a good one. */
void
gepa_store_nearby_look(StoreNearby *nearby)
{
	BlockNumber block = ItemPointerGetBlockNumber(&nearby->probe->slot->tts_tid);
	int			before;

	if (nearby->nblocks >= TRIAL_BLOCKS && nearby->nfound < nearby->nblocks)
		return;
	do
	{
		before = nearby->nfound;
		nearby->nblocks++;
		scan_block(nearby, block++);
	} while (nearby->nfound - before >= GOOD_BLOCK && block != InvalidBlockNumber);
}
