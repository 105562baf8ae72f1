/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  Shared memory: who needs some says so at load, and is given it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_SHMEM_H
#define GEPA_BASE_SHMEM_H

#include "storage/lwlock.h"

typedef struct GepaShmem
{
	const char *name;
	const char *tranche;		/* of its LWLock; NULL = it has none */
	Size		(*size) (void); /* when MaxBackends and settings are known */

	/*
	 * Here it is.  made: by this very call, at the server's start or after a
	 * crash, and it is all zeroes.  Called with a lock held, must not raise.
	 */
	void		(*attach) (void *memory, LWLock *lock, bool made);

	/* When all areas were made, and no lock is held; NULL = nothing to do. */
	void		(*ready) (void);
} GepaShmem;

/*
 * While the library is being preloaded: have an area, which lives as long as the
 * process.  Areas are attached in the order in which they were asked for.
 */
extern void gepa_shmem_add(const GepaShmem *area);

#endif							/* GEPA_BASE_SHMEM_H */
