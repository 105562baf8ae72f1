/*-------------------------------------------------------------------------
 *
 * wait.h
 *	  What a process of gepa waits for, by name, and how it waits.
 *
 * Names are those of pg_stat_activity.wait_event, from PostgreSQL 17 on;
 * before, all are "Extension".
 *
 * A session whose client is gone waits for nothing, whatever
 * client_connection_check_interval says: whoever waits for more than a moment
 * watches the client's socket too, and ends the session.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_WAIT_H
#define GEPA_BASE_WAIT_H

#include "port.h"
#include "storage/condition_variable.h"

typedef enum GepaWait
{
	GEPA_WAIT_LM,				/* an answer, or the time of a retry */
	GEPA_WAIT_LM_SLOT,			/* a place for a call, and nothing else */
	GEPA_WAIT_LEASE,			/* another's call on the same document */
	GEPA_WAIT_VERDICTS_WRITTEN, /* a commit: the verdict writer */
	GEPA_WAIT_RING_SPACE,		/* a full ring: the verdict writer */
	GEPA_WAIT_RUN_CHANGE,		/* gepa.wait(), gepa.optimize(): the run */
	GEPA_WAIT_LAUNCHER_MAIN,	/* idle */
	GEPA_WAIT_WRITER_MAIN		/* idle */
} GepaWait;

/* For WaitLatch() and the like. */
extern uint32 gepa_wait_event(GepaWait wait);

/*
 * Sleep until the condition variable is signalled, timeout_ms have passed, or
 * for no reason at all.  The caller has called ConditionVariablePrepareToSleep()
 * and then looked at its condition; it looks again after each sleep, and at the
 * end calls ConditionVariableCancelSleep().  NULL sleeps for the time alone.
 * Serves interrupts (raises), among them the loss of the client.
 */
extern void gepa_wait_sleep(ConditionVariable *variable, int timeout_ms, GepaWait wait);

/*
 * The client's socket, for those who wait in another way: to be watched for
 * being closed by the client, and for nothing else.  PGINVALID_SOCKET in processes
 * that have no client, and while a loss could not be acted on.
 */
extern pgsocket gepa_wait_client(void);

/*
 * It was closed: the next CHECK_FOR_INTERRUPTS() ends the session, and a wait on
 * the latch returns.  Never raises.
 */
extern void gepa_wait_client_lost(void);

#endif							/* GEPA_BASE_WAIT_H */
