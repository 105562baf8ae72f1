/*-------------------------------------------------------------------------
 *
 * worker_guard.h
 *	  Passages that a new text has in common with documents; guard.c.  Frontend
 *	  safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_GUARD_H
#define GEPA_WORKER_WORKER_GUARD_H

typedef struct WorkerGuard WorkerGuard;

/*
 * Watch a text for passages of nwords words (at least 1).  The text, which must live as
 * long, and all those below are in one encoding; utf8 says whether that is UTF-8.
 */
extern WorkerGuard *gepa_worker_guard_open(const char *text, int nwords, bool utf8);
extern void gepa_worker_guard_close(WorkerGuard *guard);

/* What stands in this text is no copy. */
extern void gepa_worker_guard_allow(WorkerGuard *guard, const char *text);

/*
 * A passage that the text has in common with the document, as it stands in the text;
 * NULL = none but what is allowed.  Time is linear in the length of the document.
 */
extern char *gepa_worker_guard_find(WorkerGuard *guard, const char *document);

#endif							/* GEPA_WORKER_WORKER_GUARD_H */
