/*-------------------------------------------------------------------------
 *
 * worker_slots.h
 *	  Run slots in shared memory, between launcher, scouts and run workers.
 *
 * The life of a slot is described in requests.c and docs/workers.md.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_SLOTS_H
#define GEPA_WORKER_WORKER_SLOTS_H

#include "storage/latch.h"

#define WORKER_NSLOTS 128

/* A slot as the launcher copies it. */
typedef struct WorkerRunArgs
{
	Oid			database;
	Oid			owner;
	int			run;
	int			slot;
	uint32		claim;
	bool		can_login;		/* see gepa_worker_connect */
	bool		orphan;			/* its owner was dropped */
	bool		shut_out;		/* its owner cannot connect */
} WorkerRunArgs;

/* Scouts that may be at work at a time; each has a place. */
#define WORKER_NSCOUTS 4

typedef struct WorkerScoutArgs
{
	Oid			database;
	int			place;
} WorkerScoutArgs;

extern void gepa_worker_requests_init(void);
extern bool gepa_worker_requests_available(void);

/* Launcher: be the one whom requests wake. */
extern void gepa_worker_set_launcher(Latch *latch);

/*
 * Put a run of a database in the table; false when it is full.  One that is
 * there already is looked at once more if it was started or resumed, which
 * takes a stop back; else, when a scout found it, it stays as it is.
 */
extern bool gepa_worker_add_request(Oid database, int run, Oid owner, bool resumed);

/* True, once, after a request found the table full. */
extern bool gepa_worker_take_overflow(void);

/*
 * Scout: all live runs of the database have been entered.  Launcher: has the
 * scout of that place said so?  True once.
 */
extern void gepa_worker_report_scouted(int place, Oid database);
extern bool gepa_worker_take_scouted(int place, Oid database);

/*
 * Launcher: claim a run that is due, if fewer than max are at work; else
 * false.  *wait_ms is lowered to the time until the next one is due.
 */
extern bool gepa_worker_claim(int max, WorkerRunArgs *args, int *wait_ms);

/*
 * Launcher: a claimed run got no worker, or its worker never came up; tried
 * again after retry_ms, or (0) after a delay that grows.
 */
extern void gepa_worker_unclaim(const WorkerRunArgs *args, int retry_ms);

/* Launcher: forget a run, for instance of a database that was dropped. */
extern void gepa_worker_forget(const WorkerRunArgs *args);

/* Run worker: take over a claimed slot; false if it is not (any more) ours. */
extern bool gepa_worker_attach(const WorkerRunArgs *args);

/* Run worker: connected; leaving before that is a refusal. */
extern void gepa_worker_mark_connected(void);
extern bool gepa_worker_stop_requested(void);

/* Run worker: the run needs no worker any more; else leaving is a death. */
extern void gepa_worker_mark_done(void);

/* Wake the launcher from a file that has slots of its own. */
extern void gepa_worker_wake_launcher(void);

#endif							/* GEPA_WORKER_WORKER_SLOTS_H */
