/*-------------------------------------------------------------------------
 *
 * figures.c
 *	  What stored verdicts tell the planner, and EXPLAIN.
 *
 * The planner asks in the middle of planning, so this has to be fast, whatever
 * lies in the store, and may neither write nor leave a lock or a trace.
 *
 * The sample is the beginning of the account's part of the primary key.  Its
 * last column is a SHA-256 of the document, so the first rows by it are as good
 * as drawn by lot, and how close to zero they lie tells how many there are in
 * all: of n numbers in [0, 1) drawn by lot the k-th lies at about k / n (Bar-Yossef
 * and others, "Counting distinct elements in a data stream", 2002).  No
 * statistics are needed, and it does not matter that the default partition
 * holds verdicts of many versions, nor whose they are.
 *
 * Known holes.  Verdicts on their way (in the ring, or of a transaction at work)
 * are not counted.  Whoever chooses documents by their digests can bias the
 * estimates, and nothing but those.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "store/store_probe.h"

/* A pass rate of one half is then known to about 9 % (two deviations). */
#define SAMPLE_ROWS 128

/* Rows that were deleted, but not yet vacuumed, cost a visit as well. */
#define MOST_VISITS (4 * SAMPLE_ROWS)

/*
 * Judges
 */

/* A look-up in SERIALIZABLE leaves no trace; see verdicts.c. */
static Snapshot
scan_snapshot(void)
{
	return IsolationIsSerializable() || !ActiveSnapshotSet() ? SnapshotSelf :
		GetActiveSnapshot();
}

static void
set_mark(StoreMark *mark, HeapTuple tuple)
{
	memset(mark, 0, sizeof(*mark));
	mark->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	mark->place = tuple->t_self;
}

/* Without the index, which nobody but the extension's owner can have dropped, it is slow. */
bool
gepa_store_mark_judge(const char *name, StoreMark *mark)
{
	Relation	rel = table_open(gepa_store_relation("judge"), AccessShareLock);
	Oid			index = get_relname_relid("judge_name_key", RelationGetNamespace(rel));
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyEntryInitialize(&key, 0, SPI_fnumber(RelationGetDescr(rel), "name"),
						   BTEqualStrategyNumber, TEXTOID, DEFAULT_COLLATION_OID, F_TEXTEQ,
						   CStringGetTextDatum(name));
	scan = systable_beginscan(rel, index, OidIsValid(index), scan_snapshot(), 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		set_mark(mark, tuple);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/*
 * Verdicts
 */

typedef struct Sample
{
	TupleTableSlot *slot;
	StoreColumns columns;
	double		last;			/* digest as a fraction of all there can be */
} Sample;

static double
fraction(Datum digest)
{
	bytea	   *bytes = DatumGetByteaPP(digest);
	const uint8 *p = (const uint8 *) VARDATA_ANY(bytes);
	double		result = 0;

	for (int i = Min(VARSIZE_ANY_EXHDR(bytes), 8) - 1; i >= 0; i--)
		result = (result + p[i]) / 256;
	return result;
}

static void
add_row(Sample *sample, const JudgeSpec *spec, StoreFigures *figures)
{
	JudgeVerdict verdict;

	gepa_store_read_scalars(sample->slot, &sample->columns, spec, &verdict);
	figures->sampled++;
	figures->positive += gepa_judge_positive(spec, verdict.label, verdict.score,
											 verdict.from_logprobs);
	figures->latency_ms += verdict.latency_ms;
	figures->input_tokens += verdict.input_tokens;
	figures->output_tokens += verdict.output_tokens;
	figures->cost += verdict.cost;
	figures->chars_seen += verdict.chars_seen;
	sample->last = fraction(gepa_store_not_null(sample->slot, sample->columns.digest));
}

/* Returns whether it has seen all there are. */
static bool
take_sample(Sample *sample, Relation rel, Relation index, const JudgeSpec *spec,
			const StoreAccount *account, StoreFigures *figures)
{
	ScanKeyData keys[STORE_MAX_KEYS];
	int			nkeys = gepa_store_make_keys(rel, index, account, keys);
	IndexScanDesc scan = gepa_index_beginscan(rel, index, SnapshotSelf, nkeys);
	bool		all = false;

	index_rescan(scan, keys, nkeys, NULL, 0);
	for (int i = 0; i < MOST_VISITS && figures->sampled < SAMPLE_ROWS && !all; i++)
	{
		all = index_getnext_tid(scan, ForwardScanDirection) == NULL;
		if (!all && index_fetch_heap(scan, sample->slot))
			add_row(sample, spec, figures);
	}
	index_endscan(scan);
	return all;
}

static void
make_means(StoreFigures *figures)
{
	int			n = Max(figures->sampled, 1);

	figures->latency_ms /= n;
	figures->input_tokens /= n;
	figures->output_tokens /= n;
	figures->cost /= n;
	figures->chars_seen /= n;
}

static void
read_figures(Relation rel, Relation index, const JudgeSpec *spec, const StoreAccount *account,
			 StoreFigures *figures)
{
	Sample		sample = {.slot = table_slot_create(rel, NULL)};

	gepa_store_find_columns(RelationGetDescr(rel), &sample.columns);
	if (take_sample(&sample, rel, index, spec, account, figures) || figures->sampled < 2)
		figures->stored = figures->sampled;
	else
		figures->stored = (figures->sampled - 1) / Max(sample.last, 1e-18);
	ExecDropSingleTupleTableSlot(sample.slot);
	make_means(figures);
}

void
gepa_store_get_figures(const JudgeSpec *spec, const StoreAccount *account,
					   StoreFigures *figures)
{
	Relation	rel = gepa_store_open_partition(account->verdict_digest, AccessShareLock);
	Relation	index = gepa_store_open_key_index(rel);

	memset(figures, 0, sizeof(*figures));
	if (index != NULL)
	{
		read_figures(rel, index, spec, account, figures);
		index_close(index, AccessShareLock);
	}
	table_close(rel, AccessShareLock);
}
