/*-------------------------------------------------------------------------
 *
 * worker_sweep.h
 *	  What the files about sweeps share among themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_SWEEP_H
#define GEPA_WORKER_WORKER_SWEEP_H

#include "worker/worker_internal.h"

/* sweep_options.c */

/* One setting; all are JSON objects, as jsonb writes them. */
typedef struct WorkerSetting
{
	char	   *text;			/* as given */
	char	   *judge_options;	/* of it: what makes another version */
	char	   *run_options;	/* the rest */
} WorkerSetting;

typedef struct WorkerSweepOptions
{
	char	   *metric;
	int			parallel_runs;
	int			version;		/* of the judge; 0 = current */
	int			nsettings;		/* at least 1 */
	WorkerSetting *settings;
	char	   *run_options;	/* of all runs */
} WorkerSweepOptions;

/* Raises 22023 on what is no option of a sweep; those of runs are not looked at. */
extern void gepa_worker_parse_sweep_options(const char *json, WorkerSweepOptions *options);

/* Two JSON objects as one; of equal keys those of the second count. */
extern char *gepa_worker_lay_over(const char *json, const char *other);

/* sweep.c; all in a transaction, with the sweep locked */

/* The run of a queued point: started, or resumed.  Raises what is wrong. */
extern void gepa_worker_begin_point(StoreSweep *sweep, StorePoint *point);

/* End the sweep, and what its points are at, as it was asked to. */
extern void gepa_worker_end_sweep(StoreSweep *sweep);

#endif							/* GEPA_WORKER_WORKER_SWEEP_H */
