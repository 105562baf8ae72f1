/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  What this session knows of verdicts.
 *
 * Session memory serves four ends.  A verdict that is found in the ring or in
 * the table is looked up once per transaction, however many calls the query
 * makes of it.  A document judged again in the statement that paid for it is
 * not "cached".  A failure is not tried again within one statement.  And what
 * cannot be handed to a writer is kept here, so that it is not paid twice in
 * the session, until it is written.
 *
 * So an entry is in one of four states:
 *
 *	 KNOWN		the ring or the table has it.  Believed in its transaction
 *				only: a row may be deleted meanwhile.
 *	 SPOOLED	the ring was full, and it is in the spool's backlog.  Believed
 *				until it is loaded; then it is found like that of another.
 *	 PENDING	nobody else has it; this transaction writes it at its commit.
 *	 UNWRITTEN	nobody else has it, because the transaction was rolled back,
 *				or could not write.  Becomes PENDING when it is recalled.
 *
 * Pending entries are written last of all and in the order of their digests,
 * so that two transactions that judge the same texts cannot deadlock, and one
 * waits for the other no longer than its commit takes.  Subtransactions do
 * not matter to them: what was paid in one that is rolled back is written by
 * the transaction around it.
 *
 * Beyond its bounds memory forgets what is KNOWN, then what is SPOOLED; if that
 * does not make room pending entries are written at once, and the rest is lost,
 * which a WARNING tells.  It is forgotten as a whole when the extension is
 * another one than before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "store/store_internal.h"

#define MEMORY_MAX_ENTRIES 20000
#define MEMORY_MAX_BYTES (16 * 1024 * 1024)

typedef struct MemoryKey
{
	uint8		account[JUDGE_DIGEST_LENGTH];
	uint8		digest[JUDGE_DIGEST_LENGTH];
} MemoryKey;

typedef enum MemoryState
{
	MEMORY_KNOWN,
	MEMORY_SPOOLED,				/* -> KNOWN */
	MEMORY_PENDING,				/* -> KNOWN, SPOOLED, UNWRITTEN */
	MEMORY_UNWRITTEN			/* -> PENDING, KNOWN */
} MemoryState;

typedef struct MemoryEntry
{
	MemoryKey	key;
	MemoryState state;
	SpoolPlace	place;			/* while SPOOLED */
	TimestampTz paid_by;		/* start of the statement that paid; 0 = found */
	TimestampTz transaction;	/* start of the one that last touched it */
	bool		ok;
	int			judge;			/* that paid */
	int			attempts;
	int			length;
	char	   *data;			/* packed */
} MemoryEntry;

static struct
{
	MemoryContext context;
	HTAB	   *entries;		/* NULL = nothing known */
	Size		bytes;
	int			npending;
	Oid			extension;		/* whose verdicts these are */
	bool		registered;
}			memory;

static void
forget_all(void)
{
	if (memory.entries != NULL)
		MemoryContextReset(memory.context);
	memory.entries = NULL;
	memory.bytes = 0;
	memory.npending = 0;
}

void
gepa_store_note_extension(Oid extension)
{
	if (memory.extension != extension)
		forget_all();
	memory.extension = extension;
}

static void
make_entries(void)
{
	HASHCTL		ctl = {0};

	if (memory.context == NULL)
		memory.context = AllocSetContextCreate(TopMemoryContext,
											   "gepa verdict memory",
											   ALLOCSET_DEFAULT_SIZES);
	ctl.keysize = sizeof(MemoryKey);
	ctl.entrysize = sizeof(MemoryEntry);
	ctl.hcxt = memory.context;
	memory.entries = hash_create("gepa verdicts", 256, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static MemoryEntry *
find(const StoreAccount *account, const uint8 *digest, HASHACTION action, bool *found)
{
	MemoryKey	key;

	memcpy(key.account, account->key, JUDGE_DIGEST_LENGTH);
	memcpy(key.digest, digest, JUDGE_DIGEST_LENGTH);
	return hash_search(memory.entries, &key, action, found);
}

static void
set_state(MemoryEntry *entry, MemoryState state)
{
	memory.npending += (state == MEMORY_PENDING) - (entry->state == MEMORY_PENDING);
	entry->state = state;
}

/* What is in a state up to this one, and what a judge has paid for; 0 = no judge. */
static void
forget_some(MemoryState last, int judge)
{
	HASH_SEQ_STATUS scan;
	MemoryEntry *entry;

	if (memory.entries == NULL)
		return;
	hash_seq_init(&scan, memory.entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->state > last && entry->judge != judge)
			continue;
		set_state(entry, MEMORY_KNOWN);
		memory.bytes -= entry->length;
		pfree(entry->data);
		hash_search(memory.entries, &entry->key, HASH_REMOVE, NULL);
	}
}

void
gepa_store_forget_judge(int judge)
{
	forget_some(MEMORY_KNOWN, judge);
}

void
gepa_store_forget_known(void)
{
	forget_some(MEMORY_KNOWN, 0);
}

/*
 * Writing what is pending
 */

static bool
may_write(void)
{
	Oid			owner;

	return IsTransactionState() && !XactReadOnly && !IsInParallelMode() && !RecoveryInProgress() &&
		gepa_store_extension(&owner) == memory.extension;
}

static int
compare_verdicts(const void *a, const void *b)
{
	const StoreVerdict *left = a;
	const StoreVerdict *right = b;
	int			order = memcmp(left->account.key, right->account.key, JUDGE_DIGEST_LENGTH);

	return order != 0 ? order : memcmp(left->digest, right->digest, JUDGE_DIGEST_LENGTH);
}

/* Returns how many are written; what is not waits for another transaction. */
static int
write_pending(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "gepa pending verdicts",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	StoreVerdict *verdicts = palloc(sizeof(StoreVerdict) * Max(memory.npending, 1));
	bool	   *written = palloc(Max(memory.npending, 1));
	HASH_SEQ_STATUS scan;
	MemoryEntry *entry;
	int			n = 0;
	int			nwritten;

	hash_seq_init(&scan, memory.entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->state == MEMORY_PENDING)
			gepa_store_unpack(entry->data, entry->length, &verdicts[n++]);
	qsort(verdicts, n, sizeof(StoreVerdict), compare_verdicts);
	nwritten = gepa_store_write_pending(verdicts, n, written);
	for (int i = 0; i < n; i++)
		if (!written[i])
			set_state(find(&verdicts[i].account, verdicts[i].digest, HASH_FIND, NULL),
					  MEMORY_UNWRITTEN);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return nwritten;
}

static void
settle_pending(MemoryState state)
{
	HASH_SEQ_STATUS scan;
	MemoryEntry *entry;

	hash_seq_init(&scan, memory.entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->state == MEMORY_PENDING)
			set_state(entry, state);
}

/* A prepared transaction would keep others waiting for what it wrote. */
static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (memory.npending == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (may_write())
				(void) write_pending();
			else
				settle_pending(MEMORY_UNWRITTEN);
			break;
		case XACT_EVENT_COMMIT:
			settle_pending(MEMORY_KNOWN);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			settle_pending(MEMORY_UNWRITTEN);
			break;
		default:
			break;
	}
}

static void
make_pending(MemoryEntry *entry)
{
	if (!memory.registered)
		RegisterXactCallback(at_end_of_transaction, NULL);
	memory.registered = true;
	set_state(entry, MEMORY_PENDING);
}

/*
 * Remembering
 */

static bool
is_full(double share)
{
	return memory.bytes > MEMORY_MAX_BYTES * share ||
		hash_get_num_entries(memory.entries) >= MEMORY_MAX_ENTRIES * share;
}

static void
tell_lost(int n)
{
	if (n > 0)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg_plural("session memory for verdicts is full, %d that was paid for is lost",
							   "session memory for verdicts is full, %d that were paid for are lost",
							   n, n),
				 errdetail("They could not be written by this transaction, nor handed over."),
				 errhint("Judge in transactions that may write, or preload gepa and see the server log about its verdict writer.")));
}

static void
make_room(void)
{
	int			written = 0;

	if (memory.entries != NULL && is_full(1))
	{
		forget_some(MEMORY_KNOWN, 0);
		if (is_full(0.5))
			forget_some(MEMORY_SPOOLED, 0);
		if (is_full(0.5))
		{
			if (memory.npending > 0 && may_write())
				written = write_pending();
			tell_lost((int) hash_get_num_entries(memory.entries) - written);
			forget_all();
		}
	}
	if (memory.entries == NULL)
		make_entries();
}

static void
put(const StoreVerdict *verdict, MemoryState state, TimestampTz paid_by)
{
	StringInfoData buf;
	MemoryEntry *entry;
	char	   *data;
	bool		found;

	initStringInfo(&buf);
	gepa_store_pack(&buf, verdict);
	data = MemoryContextAlloc(memory.context, buf.len);
	memcpy(data, buf.data, buf.len);
	pfree(buf.data);

	entry = find(&verdict->account, verdict->digest, HASH_ENTER, &found);
	if (found)
	{
		memory.bytes -= entry->length;
		pfree(entry->data);
	}
	else
		entry->state = MEMORY_KNOWN;
	entry->paid_by = paid_by;
	entry->transaction = GetCurrentTransactionStartTimestamp();
	entry->ok = verdict->verdict.status == GEPA_STATUS_OK;
	entry->judge = verdict->judge;
	entry->attempts = verdict->verdict.attempts;
	entry->length = buf.len;
	entry->data = data;
	memory.bytes += buf.len;
	if (state == MEMORY_PENDING)
		make_pending(entry);
	else
		set_state(entry, state);
}

void
gepa_store_remember_paid(const StoreVerdict *verdict, bool handed_over)
{
	StoreVerdict copy = *verdict;
	MemoryEntry *entry;

	make_room();
	if (handed_over)
	{
		put(verdict, MEMORY_KNOWN, GetCurrentStatementStartTimestamp());
		return;
	}
	entry = find(&verdict->account, verdict->digest, HASH_FIND, NULL);

	/* A failure that is written only now counts its earlier attempts. */
	if (entry != NULL && !entry->ok && entry->state == MEMORY_PENDING)
		copy.verdict.attempts += entry->attempts;
	put(&copy, MEMORY_PENDING, GetCurrentStatementStartTimestamp());
}

void
gepa_store_remember_found(const StoreVerdict *verdict)
{
	make_room();
	put(verdict, MEMORY_KNOWN, 0);
}

void
gepa_store_remember_handed_over(const StoreVerdict *verdict)
{
	MemoryEntry *entry = NULL;

	if (memory.entries != NULL)
		entry = find(&verdict->account, verdict->digest, HASH_FIND, NULL);
	if (entry != NULL)
		set_state(entry, MEMORY_KNOWN);
}

void
gepa_store_remember_spooled(const StoreVerdict *verdict, const SpoolPlace *place)
{
	MemoryEntry *entry = NULL;

	if (memory.entries != NULL)
		entry = find(&verdict->account, verdict->digest, HASH_FIND, NULL);
	if (entry == NULL)
		return;
	set_state(entry, MEMORY_SPOOLED);
	entry->place = *place;
}

/* As of this transaction; what was only this session's to know may have left it. */
static bool
is_valid(MemoryEntry *entry)
{
	if (entry->state == MEMORY_SPOOLED && gepa_store_ring_is_loaded(&entry->place))
		set_state(entry, MEMORY_KNOWN);
	return entry->state != MEMORY_KNOWN ||
		entry->transaction == GetCurrentTransactionStartTimestamp();
}

bool
gepa_store_recall(const StoreAccount *account, const uint8 *digest, JudgeVerdict *verdict,
				  bool *cached)
{
	MemoryEntry *entry;
	StoreVerdict stored;
	bool		this_statement;

	if (memory.entries == NULL)
		return false;
	entry = find(account, digest, HASH_FIND, NULL);
	if (entry == NULL)
		return false;
	this_statement = entry->paid_by == GetCurrentStatementStartTimestamp();
	if (!entry->ok && !this_statement)
		return false;
	if (!is_valid(entry))
		return false;
	if (entry->state == MEMORY_UNWRITTEN)
		make_pending(entry);
	gepa_store_unpack(entry->data, entry->length, &stored);
	*verdict = stored.verdict;
	*cached = !this_statement;
	return true;
}
