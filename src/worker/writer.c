/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  The verdict writer of a database: from the ring into the table.
 *
 * A verdict that was paid must outlive the transaction that asked for it, so
 * it is committed here, apart from everything else.  The writer takes a batch
 * from the ring, inserts it, commits, and only then frees the entries; if it
 * dies in between, the ring, or the spool, gives them to the next writer, and
 * inserting them twice is the same as once.
 *
 * What cannot be written must not hold up the rest.  The writer waits for no
 * lock longer than LOCK_TIMEOUT; when a batch fails, its entries are written
 * one by one, and those that fail again are put back into the ring, to be
 * tried later.  The usual reason is somebody's open transaction, which has the
 * row or the table locked: then soon.  Any other error is logged once per
 * entry, which is then tried less and less often.
 *
 * It runs as the bootstrap superuser because it belongs to no role, and does
 * nothing but fixed statements on gepa's own tables.  It exits when it has
 * been idle for IDLE_MS, which is less than DROP DATABASE waits for others to
 * leave; the launcher starts another when there is something to write.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/wait.h"
#include "worker/worker_internal.h"

#define BATCH 128
#define IDLE_MS 2000

/*
 * Verdicts are gathered this long, or until the ring is half full, so that a commit
 * carries several; meanwhile they are found in the ring.
 */
#define GATHER_MS 10
#define GATHER_LOOK_MS 2

/* Milliseconds, as the setting wants it. */
#define LOCK_TIMEOUT "20"

/* When entries that were put back are due again at the latest. */
#define LAST_RETRY_BLOCKED_MS 2000
#define LAST_RETRY_MS 60000

/* That something is locked is said at most this often. */
#define BLOCKED_LOG_MS 60000

static struct
{
	MemoryContext context;		/* reset before each batch */
	StoreVerdict verdicts[BATCH];
	int			failures[BATCH];	/* to write each of them, before */
	StoreRetry	retries[BATCH];
	TimestampTz blocked_logged_at;
}			writer;

/*
 * Without the extension there is nowhere to write to: what was handed over
 * by transactions that still saw it is let go.  Not by one that is making it,
 * which is as good as a lock that it holds.
 */
static bool
is_installed(void)
{
	bool		installed = OidIsValid(gepa_store_extension_owner());

	if (!installed && gepa_store_extension_is_coming())
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("extension \"gepa\" is being created"),
				 errhint("The transaction that creates it has to commit.")));
	return installed;
}

static void
write_verdicts(const StoreVerdict *verdicts, int n)
{
	bool		installed;

	gepa_worker_begin(writer.context);
	installed = is_installed();

	/* Whatever synchronous_commit says: what is written leaves the spool. */
	ForceSyncCommit();
	if (installed)
		gepa_store_insert_verdicts(verdicts, n, true);
	gepa_worker_commit(writer.context);
	if (!installed)
		ereport(LOG,
				(errmsg_plural("gepa verdict writer discarded %d verdict, the extension is not installed",
							   "gepa verdict writer discarded %d verdicts, the extension is not installed",
							   n, n)));
}

/* In a transaction of their own; returns why not, NULL when they are. */
static ErrorData *
try_to_write(const StoreVerdict *verdicts, int n)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		write_verdicts(verdicts, n);
	}
	PG_CATCH();
	{
		error = gepa_worker_take_error(writer.context);
	}
	PG_END_TRY();
	return error;
}

static void
log_blocked(const ErrorData *error)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!TimestampDifferenceExceeds(writer.blocked_logged_at, now, BLOCKED_LOG_MS))
		return;
	writer.blocked_logged_at = now;
	ereport(LOG,
			(errmsg("gepa verdict writer is held up: %s", error->message),
			 errhint("An open transaction has locked rows or tables of gepa; see pg_locks. Other verdicts are written meanwhile.")));
}

static void
log_failure(const StoreVerdict *verdict, const ErrorData *error)
{
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("gepa verdict writer cannot write a verdict of judge %d, and will try again: %s",
					verdict->judge, error->message),
			 error->detail ? errdetail("%s", error->detail) : 0,
			 errhint("It waits in shared memory and in the spool until it can be written.")));
}

/*
 * Whoever has a row of one judge locked has probably all of them: dropping it
 * does that.  So one wait for each judge in a batch is enough.  What was put
 * back comes round in turn, so that every entry gets its try.
 */
static bool
is_held_up(int n)
{
	for (int i = 0; i < n; i++)
		if (writer.retries[i].blocked && memcmp(writer.verdicts[i].account.verdict_digest,
												writer.verdicts[n].account.verdict_digest,
												JUDGE_DIGEST_LENGTH) == 0)
			return true;
	return false;
}

static void
write_one(int n)
{
	int			failures = writer.failures[n];
	ErrorData  *error = NULL;
	bool		held_up = is_held_up(n);

	if (!held_up)
		error = try_to_write(&writer.verdicts[n], 1);
	writer.retries[n].blocked = held_up || (error != NULL && gepa_worker_is_blocked(error));
	if (writer.retries[n].blocked)
		writer.retries[n].ms = gepa_worker_backoff_ms(failures, LAST_RETRY_BLOCKED_MS);
	else if (error != NULL)
		writer.retries[n].ms = gepa_worker_backoff_ms(failures, LAST_RETRY_MS);

	if (error != NULL && writer.retries[n].blocked)
		log_blocked(error);
	else if (error != NULL && failures == 0)
		log_failure(&writer.verdicts[n], error);
}

static void
write_batch(int n)
{
	pgstat_report_activity(STATE_RUNNING, "writing verdicts");
	memset(writer.retries, 0, sizeof(writer.retries));
	if (writer.failures[0] > 0 || try_to_write(writer.verdicts, n) != NULL)
		for (int i = 0; i < n; i++)
			write_one(i);
	gepa_store_ring_release(writer.retries);
	pgstat_report_activity(STATE_IDLE, NULL);
}

static void
wait_for_verdicts(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, IDLE_MS / 4,
					 gepa_wait_event(GEPA_WAIT_WRITER_MAIN));
}

/* Every verdict sets the latch, so it is not looked at. */
static void
gather(void)
{
	for (int ms = 0; ms < GATHER_MS && !gepa_store_ring_is_crowded(); ms += GATHER_LOOK_MS)
	{
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, GATHER_LOOK_MS,
						 gepa_wait_event(GEPA_WAIT_WRITER_MAIN));
		CHECK_FOR_INTERRUPTS();
	}
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
gepa_worker_writer_main(Datum arg)
{
	TimestampTz last_work;
	Oid			database;
	int			n;

	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(database));
	gepa_worker_setup_signals();
	gepa_worker_connect(database, InvalidOid, true);
	SetConfigOption("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
	if (!gepa_store_ring_attach(database))
		return;
	writer.context = AllocSetContextCreate(TopMemoryContext, "gepa verdict batch",
										   ALLOCSET_DEFAULT_SIZES);
	last_work = GetCurrentTimestamp();
	pgstat_report_activity(STATE_IDLE, NULL);
	while (!TimestampDifferenceExceeds(last_work, GetCurrentTimestamp(), IDLE_MS))
	{
		MemoryContextSwitchTo(writer.context);
		MemoryContextReset(writer.context);
		gepa_worker_reload();
		n = gepa_store_ring_take(writer.verdicts, writer.failures, BATCH);
		if (n > 0)
		{
			write_batch(n);
			last_work = GetCurrentTimestamp();
		}
		gepa_worker_tend_partitions(writer.context);
		if (n == 0)
			wait_for_verdicts();
		if (n < BATCH)
			gather();
	}
}
