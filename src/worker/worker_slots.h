/*-------------------------------------------------------------------------
 *
 * worker_slots.h
 *	  Slots in shared memory: what wants a worker, and which are at work.
 *
 * The life of a slot is described in slots.c and docs/workers.md.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_SLOTS_H
#define GEPA_WORKER_WORKER_SLOTS_H

#include "datatype/timestamp.h"
#include "storage/latch.h"

/* What a worker may be for; each kind has slots of its own. */
typedef enum WorkerKind
{
	WORKER_KIND_RUN,
	WORKER_KIND_SCHEDULE,
	WORKER_KIND_SWEEP,
	WORKER_KIND_JOB
} WorkerKind;
#define WORKER_NKINDS 4

#define WORKER_NRUNS 128
#define WORKER_NSCHEDULES 512
#define WORKER_NSWEEPS 64
#define WORKER_NJOBS 256

/* As the run that is awaited: any of the database. */
#define WORKER_ANY_RUN (-1)

/* A slot as the launcher copies it, and hands it to the worker. */
typedef struct WorkerArgs
{
	WorkerKind	kind;
	Oid			database;
	Oid			owner;
	int			id;				/* of the run, schedule, sweep or job */
	int			part;			/* which of a job's workers, else 0 */
	int			slot;
	uint32		claim;
	bool		can_login;		/* see gepa_worker_connect */
	bool		orphan;			/* its owner was dropped */
	bool		shut_out;		/* its owner cannot connect */
} WorkerArgs;

/* What somebody wants looked at. */
typedef struct WorkerWish
{
	WorkerKind	kind;
	Oid			database;
	int			id;
	int			part;			/* which of a job's workers, else 0 */
	Oid			owner;
	TimestampTz due;			/* not before; 0 = at once */
	int			awaits;			/* a run whose end makes it due; 0 = none */
	bool		anew;			/* it has changed: if it is known already,
								 * look once more */
} WorkerWish;

extern void gepa_worker_slots_init(void);
extern bool gepa_worker_slots_available(void);

/* Launcher: be the one whom wishes wake. */
extern void gepa_worker_set_launcher(Latch *latch);

/* Enter a wish, which takes back a stop; false when there is no slot left. */
extern bool gepa_worker_enter_slot(const WorkerWish *wish);

extern bool gepa_worker_has_slot(WorkerKind kind, int id);
extern bool gepa_worker_has_room(WorkerKind kind);

/* Have whatever is at work on it, or about to be, stop; all parts of a job. */
extern void gepa_worker_request_stop(WorkerKind kind, int id);

/* A run has ended: look at what awaits it, and again at what is looked at now. */
extern void gepa_worker_wake_awaiting(int run);

/* True, once, when there is room again for a wish that was turned away. */
extern bool gepa_worker_take_overflow(void);

/*
 * Launcher: claim a slot that is due, if fewer than max of its kind are at
 * work; else false.  *wait_ms is lowered to the time until the next is due.
 */
extern bool gepa_worker_claim(WorkerKind kind, int max, WorkerArgs *args, int *wait_ms);

/*
 * Launcher: a claimed slot got no worker, or its worker never came up; tried
 * again after retry_ms, or (0) after a delay that grows.
 */
extern void gepa_worker_unclaim(const WorkerArgs *args, int retry_ms);

/* Launcher: forget a slot, for instance of a database that was dropped. */
extern void gepa_worker_forget(const WorkerArgs *args);

/* Worker: take over a claimed slot; false if it is not (any more) ours. */
extern bool gepa_worker_attach(const WorkerArgs *args);

/* Worker: connected; leaving before that is a refusal. */
extern void gepa_worker_mark_connected(void);
extern bool gepa_worker_stop_requested(void);

/* The same without a lock, for a signal handler. */
extern const volatile bool *gepa_worker_stop_flag(void);

/* Worker: the row will say what was asked for until now; it is read next. */
extern void gepa_worker_heed_stop(void);

/* Worker: calls that are on the wire, for those who watch. */
extern void gepa_worker_note_in_flight(int n);

/*
 * Worker: no worker is needed any more, or none before a time or the end of a
 * run (0 = none); else leaving is a death.
 */
extern void gepa_worker_mark_done(void);
extern void gepa_worker_mark_next(TimestampTz due, int awaits);

#endif							/* GEPA_WORKER_WORKER_SLOTS_H */
