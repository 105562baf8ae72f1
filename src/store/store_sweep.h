/*-------------------------------------------------------------------------
 *
 * store_sweep.h
 *	  Sweeps: a part of the door of src/store, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_SWEEP_H
#define GEPA_STORE_STORE_SWEEP_H

#include "judge/judge.h"

/* sweeps.c */

typedef enum StoreSweepStatus
{
	STORE_SWEEP_RUNNING,		/* -> STOPPED, FINISHED, FAILED */
	STORE_SWEEP_STOPPED,		/* -> RUNNING (asked for again), as all below */
	STORE_SWEEP_FINISHED,		/* every point is measured or failed */
	STORE_SWEEP_FAILED			/* it cannot go on; reason says why */
} StoreSweepStatus;

extern const char *gepa_store_sweep_status_name(StoreSweepStatus status);

/* A judge on a dataset, tuned in the same way for several LMs and settings. */
typedef struct StoreSweep
{
	int			sweep;
	int			judge;
	char	   *judge_name;
	int			seed_version;
	char	   *dataset;
	Oid			owner;
	char	   *reflection_lm;	/* NULL = none */
	int			budget;			/* of each run */
	int64		seed;
	char	   *options;		/* of every run, JSON text as given */
	uint8		samples[JUDGE_DIGEST_LENGTH];	/* of the dataset's samples */
	char	   *metric;			/* that is called quality */
	int			parallel_runs;
	int			samples_of;		/* the run whose samples all get; 0 = none yet */
	StoreSweepStatus status;
	char	   *reason;
	bool		mine;			/* written by the current transaction */
} StoreSweep;

/*
 * The sweep that agrees with this one in all but metric, parallel_runs and state;
 * 0 = none.  The caller has locked the judge.
 */
extern int	gepa_store_find_sweep(const StoreSweep *sweep);
extern int	gepa_store_create_sweep(const StoreSweep *sweep);

/* As committed now; NULL when there is none. */
extern StoreSweep *gepa_store_get_sweep(int sweep);

/* The same, its judge and its row locked until commit. */
extern StoreSweep *gepa_store_lock_sweep(int sweep);

/* Write what may change: metric, parallel_runs, samples_of, status, reason. */
extern void gepa_store_put_sweep(const StoreSweep *sweep);

/* Sweeps of this database that run; palloc'd ids and owners. */
extern int	gepa_store_live_sweeps(int **sweeps, Oid **owners);

typedef enum StorePointStatus
{
	STORE_POINT_QUEUED,			/* -> TUNING, MEASURING, STOPPED, FAILED */
	STORE_POINT_TUNING,			/* -> MEASURING, STOPPED, FAILED */
	STORE_POINT_MEASURING,		/* -> MEASURED, STOPPED, FAILED */
	STORE_POINT_MEASURED,		/* -> MEASURING (by another metric) */
	STORE_POINT_STOPPED,		/* -> QUEUED (asked for again) */
	STORE_POINT_FAILED			/* -> QUEUED (asked for again) */
} StorePointStatus;

extern const char *gepa_store_point_status_name(StorePointStatus status);

/* One LM with one setting.  Figures are NaN where there are none. */
typedef struct StorePoint
{
	int			point;			/* number within the sweep, from 1 */
	char	   *lm;
	char	   *lm_identity;
	char	   *settings;		/* JSON text, as jsonb writes it */
	char	   *options;		/* of the run, JSON text */
	int			version;		/* that the run starts from */
	StorePointStatus status;
	char	   *reason;
	int			run;			/* 0 = none yet */
	int			n;				/* held-out rows; 0 = not measured */
	int			undecided;		/* of these, without a verdict */
	double		quality;
	double		low;
	double		high;
	double		cost_per_million;
	double		documents_per_second;
	double		measured_per_second;
	double		latency_ms;		/* means per document, as the next two */
	double		input_tokens;
	double		output_tokens;
	bool		dominated;		/* meaningful only where quality is known */
	bool		surely_dominated;
} StorePoint;

/* By number. */
extern StorePoint *gepa_store_get_points(int sweep, int *n);

/* How many of these are in a state. */
extern int	gepa_store_count_points(const StorePoint *points, int n, StorePointStatus status);

extern void gepa_store_add_point(int sweep, const StorePoint *point);

/* Write all from status on. */
extern void gepa_store_put_point(int sweep, const StorePoint *point);

#endif							/* GEPA_STORE_STORE_SWEEP_H */
