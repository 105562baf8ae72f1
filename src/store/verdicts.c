/*-------------------------------------------------------------------------
 *
 * verdicts.c
 *	  Stored verdicts: looking up and inserting.
 *
 * A verdict is looked for in three places, in this order: this session's
 * memory, the ring (handed over, not yet committed), the table under the
 * latest snapshot.  The order matters: an entry leaves the ring only after
 * its row is committed, so who misses it in the ring finds it in a snapshot
 * taken later.
 *
 * What was paid for goes to the ring (handover.c).  Without one (no preload),
 * or where it does not take it, the transaction writes it (memory.c).
 *
 * What a crash has interrupted may be inserted twice.  For a verdict that is
 * the same as once; the attempts of a failure are counted once, because the row
 * says when the last one was.
 *
 * A document has a verdict or a row that says why not.  Known hole: without a
 * writer two sessions may store the one and the other at the same time, neither
 * seeing the other; the view does not show such a row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "store/store_internal.h"

/*
 * The version need not be there: the transaction that made it may not have
 * committed, and may never.  What was paid for is found again by its digests
 * when the same version is made later.
 */
static StoreStatement insert_verdict = {
	.sql = "INSERT INTO gepa.verdict (verdict_digest, payer, digest, judge, version, label, score,"
	" from_logprobs, reasoning, input_tokens, output_tokens, cost, latency_ms,"
	" chars_seen, chars_total)"
	" VALUES ($1, $2::regrole, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::numeric, $13,"
	" $14, $15)"
	" ON CONFLICT DO NOTHING"
};

static StoreStatement delete_error = {
	.sql = "DELETE FROM gepa.verdict_error"
	" WHERE verdict_digest = $1 AND payer = $2 AND digest = $3"
};

static StoreStatement insert_error = {
	.sql = "INSERT INTO gepa.verdict_error AS e (verdict_digest, payer, digest, judge, version,"
	" status, detail, attempts, last_at)"
	" VALUES ($1, $2::regrole, $3, $4, $5, $6, $7, $8, $9)"
	" ON CONFLICT (verdict_digest, payer, digest) DO UPDATE SET status = excluded.status,"
	" detail = excluded.detail, attempts = e.attempts + excluded.attempts,"
	" last_at = GREATEST(e.last_at, excluded.last_at)"
	" WHERE NOT $10 OR e.last_at < excluded.last_at"
};

/*
 * Looking up
 */

typedef struct Row
{
	HeapTuple	tuple;
	TupleDesc	desc;
} Row;

static int
number(TupleDesc desc, const char *column)
{
	int			number = SPI_fnumber(desc, column);

	if (number <= 0)
		elog(ERROR, "gepa.verdict has no column \"%s\"", column);
	return number;
}

static Datum
get(const Row *row, const char *column, bool *isnull)
{
	return heap_getattr(row->tuple, number(row->desc, column), row->desc, isnull);
}

static Datum
get_not_null(const Row *row, const char *column)
{
	bool		isnull;
	Datum		value = get(row, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column \"%s\" of gepa.verdict", column);
	return value;
}

static void
read_verdict(const Row *row, JudgeVerdict *verdict)
{
	bool		isnull;
	Datum		reasoning = get(row, "reasoning", &isnull);

	memset(verdict, 0, sizeof(*verdict));
	verdict->status = GEPA_STATUS_OK;
	verdict->label = TextDatumGetCString(get_not_null(row, "label"));
	verdict->score = DatumGetFloat8(get_not_null(row, "score"));
	verdict->from_logprobs = DatumGetBool(get_not_null(row, "from_logprobs"));
	verdict->reasoning = isnull ? NULL : TextDatumGetCString(reasoning);
	verdict->input_tokens = DatumGetInt32(get_not_null(row, "input_tokens"));
	verdict->output_tokens = DatumGetInt32(get_not_null(row, "output_tokens"));
	verdict->cost = DatumGetFloat8(DirectFunctionCall1(numeric_float8,
													   get_not_null(row, "cost")));
	verdict->latency_ms = DatumGetFloat8(get_not_null(row, "latency_ms"));
	verdict->chars_seen = DatumGetInt32(get_not_null(row, "chars_seen"));
	verdict->chars_total = DatumGetInt32(get_not_null(row, "chars_total"));
}

/* Of the primary key; a scan does without where somebody has dropped it. */
Oid
gepa_store_key_index(Relation rel)
{
	list_free(RelationGetIndexList(rel));
	return rel->rd_pkindex;
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

/* In a table with the key of verdicts; verdict is NULL for one without the rest. */
static bool
scan_table(Relation rel, const StoreAccount *account, const uint8 *digest, JudgeVerdict *verdict)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Oid			index = gepa_store_key_index(rel);
	ScanKeyData keys[3];
	SysScanDesc scan;
	Row			row = {NULL, desc};

	ScanKeyInit(&keys[0], number(desc, "verdict_digest"), BTEqualStrategyNumber, F_BYTEAEQ,
				gepa_store_bytes_datum(account->verdict_digest, JUDGE_DIGEST_LENGTH));
	ScanKeyInit(&keys[1], number(desc, "payer"), BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(account->payer));
	ScanKeyInit(&keys[2], number(desc, "digest"), BTEqualStrategyNumber, F_BYTEAEQ,
				gepa_store_bytes_datum(digest, JUDGE_DIGEST_LENGTH));
	scan = systable_beginscan(rel, index, OidIsValid(index), scan_snapshot(),
							  lengthof(keys), keys);
	row.tuple = systable_getnext(scan);
	if (HeapTupleIsValid(row.tuple) && verdict != NULL)
		read_verdict(&row, verdict);
	systable_endscan(scan);
	return HeapTupleIsValid(row.tuple);
}

/* Closes the table.  GetLatestSnapshot() is refused while parallel workers are at work. */
static bool
look_into(Relation rel, const StoreAccount *account, const uint8 *digest, JudgeVerdict *verdict)
{
	bool		found;

	PushActiveSnapshot(IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
	found = scan_table(rel, account, digest, verdict);
	PopActiveSnapshot();
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * Looks straight into the index: a statement would lock the table until the end
 * of the transaction, which may last for hours, and planning it costs more than
 * running it.  The snapshot is taken when the partition is locked, so that rows
 * on their way into another one are seen in one of the two.
 */
static bool
lookup_table(const StoreAccount *account, const uint8 *digest, JudgeVerdict *verdict)
{
	gepa_store_check_extension();
	return look_into(gepa_store_open_partition(account->verdict_digest, AccessShareLock),
					 account, digest, verdict);
}

bool
gepa_store_is_stored(const StoreAccount *account, const uint8 *digest)
{
	return lookup_table(account, digest, NULL);
}

static bool
has_error(const StoreAccount *account, const uint8 *digest)
{
	return look_into(table_open(gepa_store_relation("verdict_error"), AccessShareLock),
					 account, digest, NULL);
}

/* Not in session memory: if another has it, it is there from now on. */
static bool
look_further(const StoreAccount *account, const uint8 *digest, JudgeVerdict *verdict)
{
	StoreVerdict found = {0};

	if (!gepa_store_ring_find(account->key, digest, verdict) &&
		!lookup_table(account, digest, verdict))
		return false;
	found.account = *account;
	memcpy(found.digest, digest, JUDGE_DIGEST_LENGTH);
	found.verdict = *verdict;
	gepa_store_remember_found(&found);
	return true;
}

bool
gepa_store_lookup(const JudgeSpec *spec, const StoreAccount *account, const uint8 *digest,
				  JudgeVerdict *verdict, bool *cached)
{
	*cached = true;
	if (!gepa_store_recall(account, digest, verdict, cached) &&
		!look_further(account, digest, verdict))
		return false;

	/* The stored verdict may be another version's, with another threshold. */
	if (verdict->status == GEPA_STATUS_OK)
		verdict->positive = gepa_judge_positive(spec, verdict->label,
												verdict->score,
												verdict->from_logprobs);
	return true;
}

/*
 * Inserting
 */

static void
arg_key(StoreArgs *args, const StoreVerdict *v)
{
	gepa_store_arg_bytes(args, v->account.verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_oid(args, v->account.payer);
	gepa_store_arg_bytes(args, v->digest, JUDGE_DIGEST_LENGTH);
}

/*
 * A failure that arrives after its document was judged at last (it had to wait,
 * or a crash has brought it back) is not recorded.  And a transaction with one
 * snapshot may not find out by inserting: ON CONFLICT fails on a row which is
 * there and which the snapshot does not show.
 */
static bool
comes_late(const StoreVerdict *v)
{
	return (v->verdict.status != GEPA_STATUS_OK || IsolationUsesXactSnapshot()) &&
		gepa_store_is_stored(&v->account, v->digest);
}

static void
insert_failure(StoreScope *scope, const StoreVerdict *v, StoreArgs *args)
{
	gepa_store_arg_text(args, gepa_status_name(v->verdict.status));
	gepa_store_arg_text(args, v->verdict.detail);
	gepa_store_arg_int(args, v->verdict.attempts);
	gepa_store_arg_timestamp(args, v->paid_at);
	gepa_store_arg_bool(args, v->again);
	gepa_store_run(scope, &insert_error, args);
}

static void
insert_success(StoreScope *scope, const StoreVerdict *v, StoreArgs *args)
{
	const JudgeVerdict *verdict = &v->verdict;

	gepa_store_arg_text(args, verdict->label);
	gepa_store_arg_double(args, verdict->score);
	gepa_store_arg_bool(args, verdict->from_logprobs);
	gepa_store_arg_text(args, verdict->reasoning);
	gepa_store_arg_int(args, verdict->input_tokens);
	gepa_store_arg_int(args, verdict->output_tokens);
	gepa_store_arg_double(args, verdict->cost);
	gepa_store_arg_double(args, verdict->latency_ms);
	gepa_store_arg_int(args, verdict->chars_seen);
	gepa_store_arg_int(args, verdict->chars_total);
	gepa_store_run(scope, &insert_verdict, args);
}

static void
insert_one(StoreScope *scope, const StoreVerdict *v, bool delete_errors)
{
	StoreArgs	args = {0};
	StoreArgs	key = {0};

	if (comes_late(v))
		return;
	arg_key(&args, v);
	gepa_store_arg_int(&args, v->judge);
	gepa_store_arg_int(&args, v->version);
	if (v->verdict.status != GEPA_STATUS_OK)
	{
		insert_failure(scope, v, &args);
		return;
	}
	insert_success(scope, v, &args);
	if (!delete_errors || !has_error(&v->account, v->digest))
		return;
	arg_key(&key, v);
	gepa_store_run(scope, &delete_error, &key);
}

void
gepa_store_insert_verdicts(const StoreVerdict *verdicts, int n, bool delete_errors)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	for (int i = 0; i < n; i++)
		insert_one(&scope, &verdicts[i], delete_errors);
	gepa_store_leave(&scope);
}
