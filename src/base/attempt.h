/*-------------------------------------------------------------------------
 *
 * attempt.h
 *	  Doing what may raise, and going on after it has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_ATTEMPT_H
#define GEPA_BASE_ATTEMPT_H

typedef void (*GepaAction) (void *argument);

/*
 * Do it in a subtransaction, which an ERROR ends.  Returns that, in the current
 * context, and NULL where none was raised.  Any error is caught, a cancel as well:
 * what is not to be lost the caller raises again.
 */
extern ErrorData *gepa_attempt(GepaAction action, void *argument);

#endif							/* GEPA_BASE_ATTEMPT_H */
