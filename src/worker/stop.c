/*-------------------------------------------------------------------------
 *
 * stop.c
 *	  Asking a run to stop, and to go on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/worker_internal.h"

bool
gepa_worker_ask_to_stop(const StoreRun *run)
{
	int			id = run->run;

	/* No worker would ever do it; one that finds it ended tells schedules. */
	if (!gepa_worker_is_known(id) &&
		gepa_worker_end_run(id, (1 << STORE_RUN_RUNNING) | (1 << STORE_RUN_STOPPING),
							STORE_RUN_STOPPED, "stopped while no worker had it"))
	{
		gepa_worker_start_at_commit(id, run->owner);
		return true;
	}
	if (!gepa_worker_end_run(id, 1 << STORE_RUN_QUEUED, STORE_RUN_STOPPED,
							 "stopped before it began") &&
		!gepa_store_move_run(id, 1 << STORE_RUN_RUNNING, STORE_RUN_STOPPING,
							 "asked to stop"))
		return false;
	gepa_worker_stop_run(id, true);
	return true;
}

bool
gepa_worker_resume_run(const StoreRun *run)
{
	int			from = (1 << STORE_RUN_STOPPED) | (1 << STORE_RUN_FAILED);

	/* Came with a dump that was taken while it was at work. */
	if (!gepa_worker_is_known(run->run))
		from |= (1 << STORE_RUN_QUEUED) | (1 << STORE_RUN_RUNNING) | (1 << STORE_RUN_STOPPING);
	if (!gepa_store_move_run(run->run, from, STORE_RUN_QUEUED, NULL))
		return false;
	gepa_worker_start_at_commit(run->run, run->owner);
	return true;
}
