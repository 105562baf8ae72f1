/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The configuration parameters, one variable per parameter with the
 *	  mechanical name: gepa.on_error is gepa_on_error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_SETTINGS_H
#define GEPA_BASE_SETTINGS_H

typedef enum GepaOnError
{
	GEPA_ON_ERROR_NULL,			/* a document without verdict is NULL */
	GEPA_ON_ERROR_ERROR			/* ... raises an ERROR */
} GepaOnError;

extern bool gepa_allow_lm_mismatch; /* force a judge whose LM changed */
extern double gepa_call_log_sample_rate;	/* share of calls that is logged */
extern int	gepa_call_log_size; /* kB of shared memory */
extern int	gepa_call_log_text; /* bytes of prompt and of answer */
extern bool gepa_enable_judge_node; /* overlap the calls of a query */
extern int	gepa_max_job_workers;	/* workers of corpus jobs, server-wide */
extern int	gepa_max_run_workers;	/* runs working at a time, server-wide */
extern int	gepa_on_error;		/* GepaOnError */
extern int	gepa_verdict_ring_size; /* kB of shared memory */

/* settings.c: define the parameters and reserve the prefix; once, at load */
extern void gepa_base_init(void);

#endif							/* GEPA_BASE_SETTINGS_H */
