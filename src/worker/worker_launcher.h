/*-------------------------------------------------------------------------
 *
 * worker_launcher.h
 *	  What the launcher's files share: inside of the launcher's process only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_LAUNCHER_H
#define GEPA_WORKER_WORKER_LAUNCHER_H

#include "catalog/pg_database.h"
#include "postmaster/bgworker.h"

/* launcher.c */

typedef struct LauncherContexts
{
	MemoryContext context;		/* as long as the process */
	MemoryContext cycle;		/* reset before each turn of its loop */
} LauncherContexts;

extern LauncherContexts gepa_launcher;

/*
 * Register a worker; when there is no room, say so once, come back later, and
 * return NULL.
 */
extern BackgroundWorkerHandle *gepa_launcher_start(const char *function, const char *name,
												   const char *type, const void *extra,
												   Size length);
extern bool gepa_launcher_has_exited(BackgroundWorkerHandle *handle);

/* The present turn is not to sleep longer than this. */
extern void gepa_launcher_wait_at_most(int ms);

/* Is there such a database?  In a transaction. */
extern bool gepa_launcher_find_database(Oid oid, FormData_pg_database * database);
extern bool gepa_launcher_is_connectable(const FormData_pg_database * database);

/* scout.c */

extern void gepa_launcher_scouts_init(void);	/* at load */

/* Have all databases looked into. */
extern void gepa_launcher_scout_all(void);
extern void gepa_launcher_send_scouts(void);

#endif							/* GEPA_WORKER_WORKER_LAUNCHER_H */
