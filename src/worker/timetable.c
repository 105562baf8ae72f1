/*-------------------------------------------------------------------------
 *
 * timetable.c
 *	  When the launcher has to have which schedule looked at.
 *
 * The launcher has no database, so it is told: backends enter a schedule when
 * the transaction that made or changed it commits, scouts enter all of them
 * when the launcher starts, and a schedule worker says when to come again.
 * All of that goes into the schedule's slot (slots.c).  A slot too early or in
 * vain costs a short-lived worker that finds nothing to do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/worker_schedule.h"

/* What this backend's transaction asks for when it commits. */
typedef struct PendingLook
{
	int			schedule;
	Oid			owner;
	TimestampTz due;
} PendingLook;

static List *pending = NIL;		/* in TopTransactionContext */

/* Enter a schedule, or have what is known of it looked at anew. */
static void
enter(Oid database, int schedule, Oid owner, TimestampTz due, int awaits)
{
	WorkerWish	wish = {
		.kind = WORKER_KIND_SCHEDULE,
		.database = database,
		.id = schedule,
		.owner = owner,
		.due = due,
		.awaits = awaits,
		.anew = true
	};

	(void) gepa_worker_enter_slot(&wish);
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	ListCell   *cell;

	if (pending == NIL)
		return;
	if (event == XACT_EVENT_PRE_PREPARE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has changed a gepa schedule"),
				 errhint("Use COMMIT.")));
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	if (event == XACT_EVENT_COMMIT)
		foreach(cell, pending)
	{
		PendingLook *look = lfirst(cell);

		enter(MyDatabaseId, look->schedule, look->owner, look->due, 0);
	}
	pending = NIL;
}

void
gepa_worker_look_at_commit(int schedule, Oid owner, TimestampTz due)
{
	static bool registered = false;
	MemoryContext old;
	PendingLook *look;

	if (!gepa_worker_slots_available())
		return;
	if (!registered)
		RegisterXactCallback(at_end_of_transaction, NULL);
	registered = true;
	old = MemoryContextSwitchTo(TopTransactionContext);
	look = palloc(sizeof(PendingLook));
	look->schedule = schedule;
	look->owner = owner;
	look->due = due;
	pending = lappend(pending, look);
	MemoryContextSwitchTo(old);
}

/* When a schedule wants attention, apart from the end of its run. */
static TimestampTz
attention_at(const StoreSchedule *schedule)
{
	if (schedule->outcome == STORE_OUTCOME_STARTED && schedule->settled)
		return GetCurrentTimestamp();
	return schedule->next_at;
}

static int
awaited_run(const StoreSchedule *schedule)
{
	return schedule->outcome == STORE_OUTCOME_STARTED ? schedule->last_run : 0;
}

void
gepa_worker_timetable_add(Oid database, const StoreSchedule *schedule)
{
	enter(database, schedule->schedule, schedule->owner, attention_at(schedule),
		  awaited_run(schedule));
}

void
gepa_worker_timetable_next(const StoreSchedule *schedule)
{
	gepa_worker_mark_next(schedule->next_at, awaited_run(schedule));
}
