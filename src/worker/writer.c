/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  The verdict writer of a database: from the ring into the table.
 *
 * A verdict that was paid must outlive the transaction that asked for it, so
 * it is committed here, apart from everything else.  The writer takes a batch
 * from the ring, inserts it, commits, and only then frees the entries; if it
 * dies in between, the ring gives them to the next writer, and inserting them
 * twice is the same as once.
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
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "worker/worker_internal.h"

#define BATCH 128
#define IDLE_MS 2000

/* Verdicts are gathered this long, so that a commit carries several. */
#define GATHER_MS 5

/*
 * Without the extension there is nowhere to write to: what was handed over
 * by transactions that still saw it is let go.
 */
static void
write_batch(const StoreVerdict *verdicts, int n, MemoryContext context)
{
	bool		installed;

	pgstat_report_activity(STATE_RUNNING, "writing verdicts");
	gepa_worker_begin(context);
	installed = OidIsValid(gepa_store_extension_owner());
	if (installed)
		gepa_store_insert_verdicts(verdicts, n);
	gepa_worker_commit(context);
	gepa_store_ring_done();
	pgstat_report_activity(STATE_IDLE, NULL);
	if (!installed)
		ereport(LOG,
				(errmsg("gepa verdict writer discarded %d verdicts, the extension is not installed",
						n)));
}

static void
wait_for_verdicts(int ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
gepa_worker_writer_main(Datum arg)
{
	StoreVerdict *verdicts;
	MemoryContext context;
	TimestampTz last_work;
	Oid			database;
	int			n;

	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(database));
	gepa_worker_setup_signals();
	gepa_worker_connect(database, InvalidOid, true);
	if (!gepa_store_ring_attach(database))
		return;
	context = AllocSetContextCreate(TopMemoryContext, "gepa verdict batch",
									ALLOCSET_DEFAULT_SIZES);
	verdicts = palloc(sizeof(StoreVerdict) * BATCH);
	last_work = GetCurrentTimestamp();
	pgstat_report_activity(STATE_IDLE, NULL);
	while (!TimestampDifferenceExceeds(last_work, GetCurrentTimestamp(), IDLE_MS))
	{
		MemoryContextSwitchTo(context);
		MemoryContextReset(context);
		gepa_worker_reload();
		n = gepa_store_ring_take(verdicts, BATCH);
		if (n > 0)
		{
			write_batch(verdicts, n, context);
			last_work = GetCurrentTimestamp();
		}
		if (n < BATCH)
			wait_for_verdicts(n > 0 ? GATHER_MS : IDLE_MS / 4);
	}
}
