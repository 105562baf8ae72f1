/*-------------------------------------------------------------------------
 *
 * wait.h
 *	  What a process of gepa waits for, by name (pg_stat_activity.wait_event).
 *
 * From PostgreSQL 17 on; before, all are "Extension".
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_WAIT_H
#define GEPA_BASE_WAIT_H

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

#endif							/* GEPA_BASE_WAIT_H */
