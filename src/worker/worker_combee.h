/*-------------------------------------------------------------------------
 *
 * worker_combee.h
 *	  Records of a reflection in groups; combee.c.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_COMBEE_H
#define GEPA_WORKER_WORKER_COMBEE_H

typedef struct WorkerGroup
{
	int			n;
	int		   *records;		/* places from 0, in the order in which they
								 * are shown */
} WorkerGroup;

/*
 * Deal n records into groups, which depends on the seed of a run and the step
 * alone; floor(sqrt(n)) of them, but one of all records in their order where that is 1.
 * Each record is dealt twice; a group that gets both has it once.
 */
extern WorkerGroup *gepa_worker_deal(int n, int64 seed, int step, int *ngroups);

#endif							/* GEPA_WORKER_WORKER_COMBEE_H */
