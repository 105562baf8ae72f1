/*-------------------------------------------------------------------------
 *
 * watch.c
 *	  gepa.watch_table(), gepa.unwatch_table(), and the functions of the triggers of a
 *	  watched table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "miscadmin.h"

#include "api/api_internal.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(gepa_watch_table);
Datum
gepa_watch_table(PG_FUNCTION_ARGS)
{
	StoreJob   *job = gepa_api_create_job(fcinfo, STORE_JOB_WATCH, "gepa.watch_table");

	gepa_store_create_watch(job);
	PG_RETURN_INT32(job->job);
}

PG_FUNCTION_INFO_V1(gepa_unwatch_table);
Datum
gepa_unwatch_table(PG_FUNCTION_ARGS)
{
	int			id = PG_GETARG_INT32(0);
	StoreJob   *job = gepa_store_get_job(id);

	if (job != NULL && job->kind != STORE_JOB_WATCH)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("job %d does not watch a table", id),
				 errhint("SELECT gepa.cancel_job(%d) ends it.", id)));
	gepa_api_cancel_job(id);
	PG_RETURN_VOID();
}

void
gepa_api_end_watch(const StoreJob *job)
{
	if (gepa_store_drop_watch(job))
		return;
	ereport(NOTICE,
			(errmsg("triggers of job %d stay on %s", job->job, job->source),
			 errdetail("They do nothing any more."),
			 errhint("The owner of the table can drop them.")));
}

/*
 * Triggers
 */

static const TriggerData *
get_trigger(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(((TriggerData *) fcinfo->context)->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s() must be called by an AFTER trigger", function),
				 errhint("gepa.watch_table() makes the trigger.")));
	return (const TriggerData *) fcinfo->context;
}

PG_FUNCTION_INFO_V1(gepa_watch_row);
Datum
gepa_watch_row(PG_FUNCTION_ARGS)
{
	const TriggerData *trigger = get_trigger(fcinfo, "gepa.watch_row");
	const StoreJob *job;

	if (!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("gepa.watch_row() must be called for each row"),
				 errhint("gepa.watch_table() makes the trigger.")));
	job = gepa_store_watch_row(trigger);
	if (job != NULL)
		gepa_worker_wake_watch_at_commit(job);
	PG_RETURN_POINTER(NULL);
}

PG_FUNCTION_INFO_V1(gepa_watch_truncate);
Datum
gepa_watch_truncate(PG_FUNCTION_ARGS)
{
	gepa_store_watch_truncate(get_trigger(fcinfo, "gepa.watch_truncate"));
	PG_RETURN_POINTER(NULL);
}
