/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Names of wait events.
 *
 * A name is registered in shared memory at the first wait of that kind in a
 * process, and found there by the later ones.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/wait.h"

static const char *const wait_names[] = {
	[GEPA_WAIT_LM] = "GepaLm",
	[GEPA_WAIT_LM_SLOT] = "GepaLmSlot",
	[GEPA_WAIT_LEASE] = "GepaLease",
	[GEPA_WAIT_VERDICTS_WRITTEN] = "GepaVerdictsWritten",
	[GEPA_WAIT_RING_SPACE] = "GepaRingSpace",
	[GEPA_WAIT_RUN_CHANGE] = "GepaRunChange",
	[GEPA_WAIT_LAUNCHER_MAIN] = "GepaLauncherMain",
	[GEPA_WAIT_WRITER_MAIN] = "GepaWriterMain"
};

uint32
gepa_wait_event(GepaWait wait)
{
	static uint32 events[lengthof(wait_names)];

	if (events[wait] == 0)
		events[wait] = gepa_new_wait_event(wait_names[wait]);
	return events[wait];
}
