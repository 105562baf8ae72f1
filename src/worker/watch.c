/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  Waking the workers of a job that watches a table, when a transaction that has
 *	  changed it commits.
 *
 * Apart from requests.c, because whoever writes to a table is not to be kept from
 * PREPARE TRANSACTION.  What commits by COMMIT PREPARED wakes nobody: the job comes
 * to it with the next change, or when it is resumed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "worker/worker_internal.h"

static bool registered = false;
static List *wishes = NIL;		/* in TopTransactionContext */

static void
enter_wishes(void)
{
	ListCell   *cell;

	foreach(cell, wishes)
		(void) gepa_worker_enter_slot((const WorkerWish *) lfirst(cell));
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		enter_wishes();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE || event == XACT_EVENT_ABORT)
		wishes = NIL;
}

void
gepa_worker_wake_watch_at_commit(const StoreJob *job)
{
	MemoryContext old;

	if (!gepa_worker_slots_available())
		return;
	if (!registered)
		RegisterXactCallback(at_end_of_transaction, NULL);
	registered = true;
	old = MemoryContextSwitchTo(TopTransactionContext);
	for (int part = 0; part < job->workers; part++)
	{
		WorkerWish *wish = palloc0(sizeof(WorkerWish));

		wish->kind = WORKER_KIND_JOB;
		wish->database = MyDatabaseId;
		wish->id = job->job;
		wish->part = part;
		wish->owner = job->owner;
		wish->anew = true;
		wishes = lappend(wishes, wish);
	}
	MemoryContextSwitchTo(old);
}
