/*-------------------------------------------------------------------------
 *
 * verdicts.c
 *	  Stored verdicts: looking up, handing over, inserting.
 *
 * A verdict is looked for in three places, in this order: this session's
 * memory, the ring (handed over, not yet committed), the table under the
 * latest snapshot.  The order matters: an entry leaves the ring only after
 * its row is committed, so who misses it in the ring finds it in a snapshot
 * taken later.
 *
 * Session memory also serves three smaller ends: a document judged again in
 * the statement that paid for it is not "cached"; a failure is not tried
 * again within one statement; and where nothing can be written (read-only
 * transaction, no preload) nothing is paid twice within the session.
 *
 * Known hole: a crash of the server loses what is in the ring at that moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "store/store_internal.h"

/* Session memory is forgotten as a whole beyond these. */
#define MEMORY_MAX_ENTRIES 20000
#define MEMORY_MAX_BYTES (16 * 1024 * 1024)

typedef struct MemoryKey
{
	uint8		verdict_digest[JUDGE_DIGEST_LENGTH];
	uint8		digest[JUDGE_DIGEST_LENGTH];
} MemoryKey;

typedef struct MemoryEntry
{
	MemoryKey	key;
	TimestampTz paid_by;		/* start of the statement that paid */
	bool		ok;
	int			length;
	char	   *data;			/* packed */
} MemoryEntry;

static struct
{
	MemoryContext context;
	HTAB	   *entries;
	Size		bytes;
}			memory;

static StoreStatement select_verdict = {
	.sql = "SELECT label, score, from_logprobs, reasoning, input_tokens, output_tokens,"
	" cost::float8, latency_ms, chars_seen, chars_total"
	" FROM gepa.verdict WHERE verdict_digest = $1 AND digest = $2"
};

/*
 * The version need not be there: the transaction that made it may not have
 * committed, and may never.  What was paid for is found again by its digests
 * when the same version is made later.
 */
static StoreStatement insert_verdict = {
	.sql = "INSERT INTO gepa.verdict (verdict_digest, digest, judge, version, label, score,"
	" from_logprobs, reasoning, input_tokens, output_tokens, cost, latency_ms,"
	" chars_seen, chars_total)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::numeric, $12, $13, $14)"
	" ON CONFLICT DO NOTHING"
};

static StoreStatement delete_error = {
	.sql = "DELETE FROM gepa.verdict_error WHERE verdict_digest = $1 AND digest = $2"
};

static StoreStatement insert_error = {
	.sql = "INSERT INTO gepa.verdict_error AS e (verdict_digest, digest, judge, version,"
	" status, detail, attempts, last_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, pg_catalog.clock_timestamp())"
	" ON CONFLICT (verdict_digest, digest) DO UPDATE SET status = excluded.status,"
	" detail = excluded.detail, attempts = e.attempts + excluded.attempts,"
	" last_at = excluded.last_at"
};

/*
 * Session memory
 */

static void
reset_memory(void)
{
	HASHCTL		ctl = {0};

	if (memory.context == NULL)
		memory.context = AllocSetContextCreate(TopMemoryContext,
											   "gepa verdict memory",
											   ALLOCSET_DEFAULT_SIZES);
	else
		MemoryContextReset(memory.context);
	ctl.keysize = sizeof(MemoryKey);
	ctl.entrysize = sizeof(MemoryEntry);
	ctl.hcxt = memory.context;
	memory.entries = hash_create("gepa verdicts", 256, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	memory.bytes = 0;
}

static void
make_key(MemoryKey *key, const uint8 *verdict_digest, const uint8 *digest)
{
	memcpy(key->verdict_digest, verdict_digest, JUDGE_DIGEST_LENGTH);
	memcpy(key->digest, digest, JUDGE_DIGEST_LENGTH);
}

static void
remember(const StoreVerdict *verdict)
{
	StringInfoData buf;
	MemoryKey	key;
	MemoryEntry *entry;
	char	   *data;
	bool		found;

	if (memory.entries == NULL || memory.bytes > MEMORY_MAX_BYTES ||
		hash_get_num_entries(memory.entries) >= MEMORY_MAX_ENTRIES)
		reset_memory();

	initStringInfo(&buf);
	gepa_store_pack(&buf, verdict);
	data = MemoryContextAlloc(memory.context, buf.len);
	memcpy(data, buf.data, buf.len);

	make_key(&key, verdict->verdict_digest, verdict->digest);
	entry = hash_search(memory.entries, &key, HASH_ENTER, &found);
	if (found)
	{
		memory.bytes -= entry->length;
		pfree(entry->data);
	}
	entry->paid_by = GetCurrentStatementStartTimestamp();
	entry->ok = verdict->verdict.status == GEPA_STATUS_OK;
	entry->length = buf.len;
	entry->data = data;
	memory.bytes += buf.len;
	pfree(buf.data);
}

static bool
recall(const uint8 *verdict_digest, const uint8 *digest, JudgeVerdict *verdict,
	   bool *cached)
{
	MemoryKey	key;
	MemoryEntry *entry;
	StoreVerdict stored;
	bool		this_statement;

	if (memory.entries == NULL)
		return false;
	make_key(&key, verdict_digest, digest);
	entry = hash_search(memory.entries, &key, HASH_FIND, NULL);
	if (entry == NULL)
		return false;
	this_statement = entry->paid_by == GetCurrentStatementStartTimestamp();
	if (!entry->ok && !this_statement)
		return false;
	gepa_store_unpack(entry->data, entry->length, &stored);
	*verdict = stored.verdict;
	*cached = !this_statement;
	return true;
}

/*
 * Looking up
 */

static bool
lookup_table(const uint8 *verdict_digest, const uint8 *digest, JudgeVerdict *verdict)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	bool		found;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_arg_bytes(&args, verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_bytes(&args, digest, JUDGE_DIGEST_LENGTH);
	found = gepa_store_run(&scope, &select_verdict, &args) > 0;
	if (found)
	{
		memset(verdict, 0, sizeof(*verdict));
		verdict->status = GEPA_STATUS_OK;
		verdict->label = gepa_store_text(&scope, 0, 1);
		verdict->score = gepa_store_double(0, 2);
		verdict->from_logprobs = gepa_store_bool(0, 3);
		verdict->reasoning = gepa_store_text(&scope, 0, 4);
		verdict->input_tokens = gepa_store_int(0, 5, 0);
		verdict->output_tokens = gepa_store_int(0, 6, 0);
		verdict->cost = gepa_store_double(0, 7);
		verdict->latency_ms = gepa_store_double(0, 8);
		verdict->chars_seen = gepa_store_int(0, 9, 0);
		verdict->chars_total = gepa_store_int(0, 10, 0);
	}
	gepa_store_leave(&scope);
	return found;
}

bool
gepa_store_lookup(const JudgeSpec *spec, const uint8 *verdict_digest,
				  const uint8 *digest, JudgeVerdict *verdict, bool *cached)
{
	*cached = true;
	if (!recall(verdict_digest, digest, verdict, cached) &&
		!gepa_store_ring_find(verdict_digest, digest, verdict) &&
		!lookup_table(verdict_digest, digest, verdict))
		return false;

	/* The stored verdict may be another version's, with another threshold. */
	if (verdict->status == GEPA_STATUS_OK)
		verdict->positive = gepa_judge_positive(spec, verdict->label,
												verdict->score,
												verdict->from_logprobs);
	return true;
}

/*
 * Handing over
 */

static void
insert_one(StoreScope *scope, const StoreVerdict *v)
{
	const JudgeVerdict *verdict = &v->verdict;
	StoreArgs	args = {0};
	StoreArgs	key = {0};

	gepa_store_arg_bytes(&args, v->verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_bytes(&args, v->digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_int(&args, v->judge);
	gepa_store_arg_int(&args, v->version);
	if (verdict->status != GEPA_STATUS_OK)
	{
		gepa_store_arg_text(&args, gepa_status_name(verdict->status));
		gepa_store_arg_text(&args, verdict->detail);
		gepa_store_arg_int(&args, verdict->attempts);
		gepa_store_run(scope, &insert_error, &args);
		return;
	}

	gepa_store_arg_text(&args, verdict->label);
	gepa_store_arg_double(&args, verdict->score);
	gepa_store_arg_bool(&args, verdict->from_logprobs);
	gepa_store_arg_text(&args, verdict->reasoning);
	gepa_store_arg_int(&args, verdict->input_tokens);
	gepa_store_arg_int(&args, verdict->output_tokens);
	gepa_store_arg_double(&args, verdict->cost);
	gepa_store_arg_double(&args, verdict->latency_ms);
	gepa_store_arg_int(&args, verdict->chars_seen);
	gepa_store_arg_int(&args, verdict->chars_total);
	gepa_store_run(scope, &insert_verdict, &args);

	gepa_store_arg_bytes(&key, v->verdict_digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_bytes(&key, v->digest, JUDGE_DIGEST_LENGTH);
	gepa_store_run(scope, &delete_error, &key);
}

void
gepa_store_insert_verdicts(const StoreVerdict *verdicts, int n)
{
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	for (int i = 0; i < n; i++)
		insert_one(&scope, &verdicts[i]);
	gepa_store_leave(&scope);
}

void
gepa_store_hand_over(const StoreVerdict *verdict)
{
	remember(verdict);
	if (gepa_store_ring_put(verdict))
		return;
	if (!XactReadOnly && !IsInParallelMode() && !RecoveryInProgress())
		gepa_store_insert_verdicts(verdict, 1);
}
