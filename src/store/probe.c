/*-------------------------------------------------------------------------
 *
 * probe.c
 *	  Looking for rows in a table of verdicts.
 *
 * For one document after the other it is one scan of the index of the table's key,
 * which is positioned anew for each.  A statement instead would lock the table
 * until the end of the transaction, which may last for hours, and planning it costs
 * more than running it.
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
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "store/store_probe.h"

/*
 * Rows
 */

static AttrNumber
number(TupleDesc desc, const char *column)
{
	int			number = SPI_fnumber(desc, column);

	return number > 0 ? number : 0;
}

void
gepa_store_find_columns(TupleDesc desc, StoreColumns *columns)
{
	columns->verdict_digest = number(desc, "verdict_digest");
	columns->payer = number(desc, "payer");
	columns->digest = number(desc, "digest");
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
	columns->thinking = number(desc, "thinking");
	columns->votes = number(desc, "votes");
}

Datum
gepa_store_column(TupleTableSlot *slot, AttrNumber column, bool *isnull)
{
	if (column == 0)
		elog(ERROR, "gepa.verdict lacks a column");
	return slot_getattr(slot, column, isnull);
}

Datum
gepa_store_not_null(TupleTableSlot *slot, AttrNumber column)
{
	bool		isnull;
	Datum		value = gepa_store_column(slot, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d of gepa.verdict", column);
	return value;
}

/* One that is none of the spec's was written into the table by hand. */
static const char *
read_label(const JudgeSpec *spec, Datum value)
{
	text	   *label = DatumGetTextPP(value);
	int			length = VARSIZE_ANY_EXHDR(label);

	for (int i = 0; i < spec->nlabels; i++)
		if (strncmp(spec->labels[i], VARDATA_ANY(label), length) == 0 &&
			spec->labels[i][length] == '\0')
			return spec->labels[i];
	return text_to_cstring(label);
}

void
gepa_store_read_scalars(TupleTableSlot *slot, const StoreColumns *columns,
						const JudgeSpec *spec, JudgeVerdict *verdict)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->status = GEPA_STATUS_OK;
	verdict->label = read_label(spec, gepa_store_not_null(slot, columns->label));
	verdict->score = DatumGetFloat8(gepa_store_not_null(slot, columns->score));
	verdict->from_logprobs = DatumGetBool(gepa_store_not_null(slot, columns->from_logprobs));
	verdict->input_tokens = DatumGetInt32(gepa_store_not_null(slot, columns->input_tokens));
	verdict->output_tokens = DatumGetInt32(gepa_store_not_null(slot, columns->output_tokens));
	verdict->cost = DatumGetFloat8(DirectFunctionCall1(numeric_float8,
													   gepa_store_not_null(slot, columns->cost)));
	verdict->latency_ms = DatumGetFloat8(gepa_store_not_null(slot, columns->latency_ms));
	verdict->chars_seen = DatumGetInt32(gepa_store_not_null(slot, columns->chars_seen));
	verdict->chars_total = DatumGetInt32(gepa_store_not_null(slot, columns->chars_total));
}

static char *
read_text(TupleTableSlot *slot, AttrNumber column)
{
	bool		isnull;
	Datum		value = gepa_store_column(slot, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static char *
read_votes(TupleTableSlot *slot, AttrNumber column)
{
	bool		isnull;
	Datum		value = gepa_store_column(slot, column, &isnull);
	Jsonb	   *votes = isnull ? NULL : DatumGetJsonbP(value);

	return isnull ? NULL : JsonbToCString(NULL, &votes->root, VARSIZE(votes));
}

void
gepa_store_read_verdict(TupleTableSlot *slot, const StoreColumns *columns,
						const JudgeSpec *spec, JudgeVerdict *verdict)
{
	gepa_store_read_scalars(slot, columns, spec, verdict);
	verdict->reasoning = read_text(slot, columns->reasoning);
	verdict->thinking = read_text(slot, columns->thinking);
	verdict->votes = read_votes(slot, columns->votes);
}

/*
 * Probing
 */

Relation
gepa_store_open_key_index(Relation rel)
{
	list_free(RelationGetIndexList(rel));
	return OidIsValid(rel->rd_pkindex) ? index_open(rel->rd_pkindex, AccessShareLock) : NULL;
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
 * The snapshot is an active one.  GetLatestSnapshot() is refused in parallel mode.
 *
 * In SERIALIZABLE a look-up must leave no trace: two sessions that miss the same
 * text and both store it would be a reason to undo what their users did.  This
 * snapshot sees what is committed now as well; what it misses of a row that is
 * being moved is paid for once more.
 */
void
gepa_store_probe_begin(StoreProbe *probe, Relation rel, const StoreAccount *account)
{
	static const uint8 none[JUDGE_DIGEST_LENGTH];
	Datum		digest = gepa_store_bytes_datum(none, JUDGE_DIGEST_LENGTH);

	memset(probe, 0, sizeof(*probe));
	PushActiveSnapshot(IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
	probe->rel = rel;
	probe->account = account;
	probe->snapshot = IsolationIsSerializable() ? SnapshotSelf : GetActiveSnapshot();
	probe->index = gepa_store_open_key_index(rel);
	gepa_store_find_columns(RelationGetDescr(rel), &probe->columns);
	probe->nkeys = gepa_store_make_keys(rel, probe->index, account, probe->keys);
	if (!add_key(rel, probe->index, "digest", F_BYTEAEQ, digest, &probe->keys[probe->nkeys++]))
		elog(ERROR, "the primary key of \"%s\" is another one", RelationGetRelationName(rel));
	probe->digest = DatumGetByteaP(digest);
	probe->slot = table_slot_create(rel, NULL);
	if (probe->index != NULL)
		probe->scan = gepa_index_beginscan(rel, probe->index, probe->snapshot, probe->nkeys);
}

/* Without an index. */
static bool
scan_all(StoreProbe *probe)
{
	TableScanDesc scan = table_beginscan(probe->rel, probe->snapshot, probe->nkeys,
										 probe->keys);
	bool		found = table_scan_getnextslot(scan, ForwardScanDirection, probe->slot);

	if (found)
		ExecMaterializeSlot(probe->slot);
	table_endscan(scan);
	return found;
}

/* Leaves its row in the slot. */
bool
gepa_store_probe(StoreProbe *probe, const uint8 *digest)
{
	memcpy(VARDATA(probe->digest), digest, JUDGE_DIGEST_LENGTH);
	if (probe->index == NULL)
		return scan_all(probe);
	index_rescan(probe->scan, probe->keys, probe->nkeys, NULL, 0);
	return index_getnext_slot(probe->scan, ForwardScanDirection, probe->slot);
}

void
gepa_store_probe_end(StoreProbe *probe)
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

/* Those that are in it are put first; returns how many.  Closes the table. */
static int
find_some(Relation rel, const StoreAccount *account, const uint8 **digests, int n)
{
	StoreProbe	probe;
	int			nfound = 0;

	gepa_store_probe_begin(&probe, rel, account);
	for (int i = 0; i < n; i++)
		if (gepa_store_probe(&probe, digests[i]))
			digests[nfound++] = digests[i];
	gepa_store_probe_end(&probe);
	table_close(rel, AccessShareLock);
	return nfound;
}

bool
gepa_store_is_stored(const StoreAccount *account, const uint8 *digest)
{
	gepa_store_check_extension();
	return find_some(gepa_store_open_partition(account->verdict_digest, AccessShareLock),
					 account, &digest, 1) > 0;
}

int
gepa_store_find_errors(const StoreAccount *account, const uint8 **digests, int n)
{
	return find_some(table_open(gepa_store_relation("verdict_error"), AccessShareLock),
					 account, digests, n);
}
