/*-------------------------------------------------------------------------
 *
 * worker_reflect.h
 *	  What a reflection consists of: prompts, calls, checks of the new text.
 *
 * Internal to src/worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_REFLECT_H
#define GEPA_WORKER_WORKER_REFLECT_H

#include "worker/worker_combee.h"
#include "worker/worker_internal.h"

/*
 * ask.c: a prompt on its way to the reflection LM.  Polled, in the context it was begun
 * in, until there is an answer, usable or not: a call that got none is repeated, its
 * figures go into entry.  What ends the run is raised.
 */
typedef struct WorkerAsk WorkerAsk;

extern WorkerAsk *gepa_worker_ask_begin(WorkerRun *run, StoreStep *entry);

/*
 * Send a prompt, and images (or NULL) behind it, which must live as long; the last one
 * has its answer.
 */
extern void gepa_worker_ask_send(WorkerAsk *ask, const char *prompt, const JudgeImages *images);

/* NULL = not yet. */
extern LmReply *gepa_worker_ask_poll(WorkerAsk *ask);
extern void gepa_worker_ask_close(WorkerAsk *ask);
extern bool gepa_worker_ask_is_idle(const WorkerAsk *ask);
extern int	gepa_worker_ask_wait_ms(const WorkerAsk *ask);

/* prompt.c */

/* The name of the component that a step changes. */
extern const char *gepa_worker_component(const WorkerRun *run, const EngineStep *step);

/* The most characters that a new text for a step may have. */
extern int	gepa_worker_longest(const WorkerRun *run, const EngineStep *step);

/* What is said of earlier proposals; NULL = nothing.  Needs a transaction. */
extern char *gepa_worker_tried(const WorkerRun *run, const EngineStep *step);

/* Does the reflection LM take images?  Needs a transaction. */
extern bool gepa_worker_shows_images(const WorkerRun *run);

/* Prompts; records are the ones to be shown, with so many images, tried may be NULL. */
extern char *gepa_worker_reflection_prompt(const WorkerRun *run, const EngineStep *step,
										   const EngineValue *records, int nrecords,
										   int nimages, const char *tried);
extern char *gepa_worker_combine_prompt(const WorkerRun *run, const EngineStep *step,
										char *const *texts, int n);

/* The same once more, after an answer that was of no use for that reason. */
extern char *gepa_worker_complaint(const char *prompt, const char *reason);

/* new_text.c: why a new text is of no use; NULL = it may be tried. */
extern char *gepa_worker_check_text(const WorkerRun *run, const EngineStep *step,
									const char *text);

/*
 * proposer.c: the function of option proposer.  At the start: find the one that the
 * option names, with the rights of the current user; its qualified name, and its owner.
 * Then call it: fills new_text or detail, prompt (the records) and answer of the entry.
 * Needs a transaction.
 */
extern char *gepa_worker_find_proposer(const char *signature, Oid *owner);
extern void gepa_worker_call_proposer(const WorkerRun *run, const EngineStep *step,
									  const EngineValue *records, StoreStep *entry);

#endif							/* GEPA_WORKER_WORKER_REFLECT_H */
