/*-------------------------------------------------------------------------
 *
 * tend.c
 *	  What the verdict writer does for its table besides writing.
 *
 * Partitions are made and dropped (store/partitions.c) every TEND_MS while the
 * writer is at work, one in a transaction.  What does not succeed is tried
 * again: soon where a lock was not to be had, else TRY_AGAIN_MS later, which
 * the log says.  Verdicts are written all the same, into the default partition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/worker_internal.h"

#define TEND_MS 1000

/* So many at a time, then verdicts are looked after. */
#define TURNS 8
#define TRY_AGAIN_MS 60000

static int
tend(MemoryContext context)
{
	bool		done = false;

	gepa_worker_begin(context);
	if (OidIsValid(gepa_store_extension_owner()))
		done = gepa_store_tend_partitions();
	gepa_worker_commit(context);
	return done ? 0 : TEND_MS;
}

/* Returns when to try again; the transaction's error is consumed. */
static int
give_up(MemoryContext context)
{
	ErrorData  *error = gepa_worker_take_error(context);

	if (gepa_worker_is_blocked(error))
		return TEND_MS;
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("gepa verdict writer cannot make or drop a partition of gepa.verdict, and will try again: %s",
					error->message),
			 errhint("Verdicts are written into gepa.verdict_default meanwhile.")));
	return TRY_AGAIN_MS;
}

void
gepa_worker_tend_partitions(MemoryContext context)
{
	static TimestampTz due = 0;
	volatile int wait_ms = 0;

	if (GetCurrentTimestamp() < due)
		return;
	for (int i = 0; i < TURNS && wait_ms == 0; i++)
	{
		PG_TRY();
		{
			wait_ms = tend(context);
		}
		PG_CATCH();
		{
			wait_ms = give_up(context);
		}
		PG_END_TRY();
	}
	due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait_ms);
}
