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
 * Many are looked up in one visit to each place.  In the table that is one scan of
 * the index of its key, which is positioned anew for each document, in the order
 * of their digests.  A statement instead would lock the table until the end of the
 * transaction, which may last for hours, and planning it costs more than running
 * it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "store/store_internal.h"

/* Where the columns of gepa.verdict are; 0 = not there. */
typedef struct Columns
{
	AttrNumber	label;
	AttrNumber	score;
	AttrNumber	from_logprobs;
	AttrNumber	reasoning;
	AttrNumber	input_tokens;
	AttrNumber	output_tokens;
	AttrNumber	cost;
	AttrNumber	latency_ms;
	AttrNumber	chars_seen;
	AttrNumber	chars_total;
} Columns;

/* A scan for one document after the other. */
typedef struct Probe
{
	Relation	rel;
	Relation	index;			/* NULL = somebody has dropped it */
	Columns		columns;
	int			nkeys;
	ScanKeyData keys[STORE_MAX_KEYS];
	bytea	   *digest;			/* the argument of the last one */
	TupleTableSlot *slot;
	IndexScanDesc scan;			/* of the index */
} Probe;

/*
 * Rows
 */

static AttrNumber
number(TupleDesc desc, const char *column)
{
	int			number = SPI_fnumber(desc, column);

	return number > 0 ? number : 0;
}

static void
find_columns(TupleDesc desc, Columns *columns)
{
	columns->label = number(desc, "label");
	columns->score = number(desc, "score");
	columns->from_logprobs = number(desc, "from_logprobs");
	columns->reasoning = number(desc, "reasoning");
	columns->input_tokens = number(desc, "input_tokens");
	columns->output_tokens = number(desc, "output_tokens");
	columns->cost = number(desc, "cost");
	columns->latency_ms = number(desc, "latency_ms");
	columns->chars_seen = number(desc, "chars_seen");
	columns->chars_total = number(desc, "chars_total");
}

static Datum
get(TupleTableSlot *slot, AttrNumber column, bool *isnull)
{
	if (column == 0)
		elog(ERROR, "gepa.verdict lacks a column");
	return slot_getattr(slot, column, isnull);
}

static Datum
get_not_null(TupleTableSlot *slot, AttrNumber column)
{
	bool		isnull;
	Datum		value = get(slot, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d of gepa.verdict", column);
	return value;
}

static void
read_verdict(TupleTableSlot *slot, const Columns *columns, JudgeVerdict *verdict)
{
	bool		isnull;
	Datum		reasoning = get(slot, columns->reasoning, &isnull);

	memset(verdict, 0, sizeof(*verdict));
	verdict->status = GEPA_STATUS_OK;
	verdict->label = TextDatumGetCString(get_not_null(slot, columns->label));
	verdict->score = DatumGetFloat8(get_not_null(slot, columns->score));
	verdict->from_logprobs = DatumGetBool(get_not_null(slot, columns->from_logprobs));
	verdict->reasoning = isnull ? NULL : TextDatumGetCString(reasoning);
	verdict->input_tokens = DatumGetInt32(get_not_null(slot, columns->input_tokens));
	verdict->output_tokens = DatumGetInt32(get_not_null(slot, columns->output_tokens));
	verdict->cost = DatumGetFloat8(DirectFunctionCall1(numeric_float8,
													   get_not_null(slot, columns->cost)));
	verdict->latency_ms = DatumGetFloat8(get_not_null(slot, columns->latency_ms));
	verdict->chars_seen = DatumGetInt32(get_not_null(slot, columns->chars_seen));
	verdict->chars_total = DatumGetInt32(get_not_null(slot, columns->chars_total));
}

/*
 * Probing
 */

Oid
gepa_store_key_index(Relation rel)
{
	list_free(RelationGetIndexList(rel));
	return rel->rd_pkindex;
}

static Relation
open_key_index(Relation rel)
{
	Oid			key = gepa_store_key_index(rel);

	return OidIsValid(key) ? index_open(key, AccessShareLock) : NULL;
}

/* Returns false when the index does without the column. */
static bool
add_key(Relation rel, Relation index, const char *column, RegProcedure equal, Datum value,
		ScanKeyData *key)
{
	AttrNumber	found = number(RelationGetDescr(rel), column);

	if (index != NULL)
	{
		int			i = IndexRelationGetNumberOfKeyAttributes(index) - 1;

		while (i >= 0 && index->rd_index->indkey.values[i] != found)
			i--;
		found = i + 1;
	}
	if (found > 0)
		ScanKeyInit(key, found, BTEqualStrategyNumber, equal, value);
	return found > 0;
}

/* An index of a version's partition does without the version. */
int
gepa_store_make_keys(Relation rel, Relation index, const StoreAccount *account,
					 ScanKeyData *keys)
{
	int			nkeys = 0;

	if (add_key(rel, index, "verdict_digest", F_BYTEAEQ,
				gepa_store_bytes_datum(account->verdict_digest, JUDGE_DIGEST_LENGTH), keys))
		nkeys++;
	if (!add_key(rel, index, "payer", F_OIDEQ, ObjectIdGetDatum(account->payer), &keys[nkeys]))
		elog(ERROR, "the primary key of \"%s\" is another one", RelationGetRelationName(rel));
	return nkeys + 1;
}

/*
 * In SERIALIZABLE a look-up must leave no trace: two sessions that miss the same
 * text and both store it would be a reason to undo what their users did.  This
 * snapshot sees what is committed now as well; what it misses of a row that is
 * being moved is paid for once more.
 */
static Snapshot
scan_snapshot(void)
{
	return IsolationIsSerializable() ? SnapshotSelf : GetActiveSnapshot();
}

/* The snapshot is an active one.  GetLatestSnapshot() is refused in parallel mode. */
static void
begin_probe(Probe *probe, Relation rel, const StoreAccount *account)
{
	static const uint8 none[JUDGE_DIGEST_LENGTH];
	Datum		digest = gepa_store_bytes_datum(none, JUDGE_DIGEST_LENGTH);

	memset(probe, 0, sizeof(*probe));
	PushActiveSnapshot(IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
	probe->rel = rel;
	probe->index = open_key_index(rel);
	find_columns(RelationGetDescr(rel), &probe->columns);
	probe->nkeys = gepa_store_make_keys(rel, probe->index, account, probe->keys);
	if (!add_key(rel, probe->index, "digest", F_BYTEAEQ, digest, &probe->keys[probe->nkeys++]))
		elog(ERROR, "the primary key of \"%s\" is another one", RelationGetRelationName(rel));
	probe->digest = DatumGetByteaP(digest);
	probe->slot = table_slot_create(rel, NULL);
	if (probe->index != NULL)
		probe->scan = gepa_index_beginscan(rel, probe->index, scan_snapshot(), probe->nkeys);
}

/* Without an index. */
static bool
scan_all(Probe *probe)
{
	TableScanDesc scan = table_beginscan(probe->rel, scan_snapshot(), probe->nkeys,
										 probe->keys);
	bool		found = table_scan_getnextslot(scan, ForwardScanDirection, probe->slot);

	if (found)
		ExecMaterializeSlot(probe->slot);
	table_endscan(scan);
	return found;
}

/* Leaves its row in the slot. */
static bool
probe_one(Probe *probe, const uint8 *digest)
{
	memcpy(VARDATA(probe->digest), digest, JUDGE_DIGEST_LENGTH);
	if (probe->index == NULL)
		return scan_all(probe);
	index_rescan(probe->scan, probe->keys, probe->nkeys, NULL, 0);
	return index_getnext_slot(probe->scan, ForwardScanDirection, probe->slot);
}

static void
end_probe(Probe *probe)
{
	ExecDropSingleTupleTableSlot(probe->slot);
	if (probe->scan != NULL)
	{
		index_endscan(probe->scan);
		index_close(probe->index, AccessShareLock);
	}
	pfree(probe->digest);
	PopActiveSnapshot();
}

static bool
is_in(Relation rel, const StoreAccount *account, const uint8 *digest)
{
	Probe		probe;
	bool		found;

	begin_probe(&probe, rel, account);
	found = probe_one(&probe, digest);
	end_probe(&probe);
	table_close(rel, AccessShareLock);
	return found;
}

bool
gepa_store_is_stored(const StoreAccount *account, const uint8 *digest)
{
	gepa_store_check_extension();
	return is_in(gepa_store_open_partition(account->verdict_digest, AccessShareLock),
				 account, digest);
}

bool
gepa_store_has_error(const StoreAccount *account, const uint8 *digest)
{
	return is_in(table_open(gepa_store_relation("verdict_error"), AccessShareLock),
				 account, digest);
}

/*
 * Looking up
 */

static int
compare_digests(const void *a, const void *b)
{
	return memcmp((*(StoreLookup *const *) a)->digest, (*(StoreLookup *const *) b)->digest,
				  JUDGE_DIGEST_LENGTH);
}

/*
 * The snapshot is taken when the partition is locked, so that rows on their way
 * into another one are seen in one of the two.
 */
static void
look_into_table(const StoreAccount *account, StoreLookup **wanted, int n)
{
	Relation	rel;
	Probe		probe;

	gepa_store_check_extension();
	qsort(wanted, n, sizeof(StoreLookup *), compare_digests);
	rel = gepa_store_open_partition(account->verdict_digest, AccessShareLock);
	begin_probe(&probe, rel, account);
	for (int i = 0; i < n; i++)
	{
		wanted[i]->found = probe_one(&probe, wanted[i]->digest);
		if (wanted[i]->found)
			read_verdict(probe.slot, &probe.columns, &wanted[i]->verdict);
	}
	end_probe(&probe);
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
gepa_store_lookup(const JudgeSpec *spec, const StoreAccount *account, StoreLookup *lookups, int n)
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
		look_into_table(account, wanted, nleft);
	for (int i = 0; i < n; i++)
		if (lookups[i].found)
			decide(spec, &lookups[i].verdict);

	/*
	 * Not what was in memory; and whoever asks for many keeps the answers
	 * himself.
	 */
	if (n == 1 && nwanted == 1 && lookups[0].found)
		remember(account, &lookups[0]);
	pfree(wanted);
}
