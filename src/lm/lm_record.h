/*-------------------------------------------------------------------------
 *
 * lm_record.h
 *	  What is known of each LM, in shared memory: record.c, used by limit.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_RECORD_H
#define GEPA_LM_LM_RECORD_H

#include "storage/latch.h"
#include "storage/lwlock.h"

#include "lm/lm_limit.h"
#include "lm/lm_stats.h"

/* Of an endpoint's words. */
#define LM_REST_BYTES 400

/* A door wants to be left alone for longer than a call can wait, and says why. */
typedef struct LmRest
{
	uint64		door;
	int64		until;			/* gepa_clock_us(); 0 = none */
	GepaStatus	status;
	int			sqlerrcode;
	int			http_status;
	int			cause;
	char		detail[LM_REST_BYTES];	/* in the encoding of its database */
} LmRest;

typedef struct LmRecord
{
	Oid			database;
	Oid			serverid;		/* InvalidOid = unused */
	TimestampTz since;
	int64		used_at;		/* a batch was opened; gepa_clock_us() */
	int			peak;			/* of calls in flight */
	LmFlow		flow;
	LmDoors		doors;			/* that have answered lately */
	LmRest		rest;
	LmStats		stats;
} LmRecord;

/* A process as a party of an LM. */
struct LmGuest
{
	LmParty		party;			/* must be first */
	LmRecord   *record;
	bool		shared;			/* in shared memory */
	int			pid;			/* 0 = free */
	Latch	   *latch;
	int			next_free;		/* -1 = last */
};

/* Nothing is done where the records are this process's own. */
extern void gepa_lm_records_lock(LWLockMode mode);
extern void gepa_lm_records_unlock(void);

/*
 * The record of an LM of this database in shared memory, made if need be; NULL when
 * there is no room, or no such memory.  The lock is held.
 */
extern LmRecord *gepa_lm_record_shared(Oid serverid);

/* The process's own, made if need be: that allocates, so the lock is not held. */
extern LmRecord *gepa_lm_record_own(Oid serverid);

/* Either, NULL if there is none.  The lock is held. */
extern LmRecord *gepa_lm_record_find(Oid serverid);

/* A guest of shared memory, NULL if there is none left; the lock is held. */
extern LmGuest *gepa_lm_guest_take(void);
extern void gepa_lm_guest_free(LmGuest *guest);

/* Each guest of shared memory that is this process's; the lock is held. */
extern void gepa_lm_guests_of_process(void (*visit) (LmGuest *guest));

#endif							/* GEPA_LM_LM_RECORD_H */
