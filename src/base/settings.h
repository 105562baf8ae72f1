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

typedef enum GepaOnBudget
{
	GEPA_ON_BUDGET_ERROR,		/* a call that a budget denies is an ERROR */
	GEPA_ON_BUDGET_NULL			/* ... is NULL, with status budget */
} GepaOnBudget;

extern bool gepa_allow_lm_mismatch; /* force a judge whose LM changed */
extern double gepa_call_log_sample_rate;	/* share of calls that is logged */
extern int	gepa_call_log_size; /* kB of shared memory */
extern int	gepa_call_log_text; /* bytes of prompt and of answer */
extern bool gepa_enable_judge_node; /* overlap the calls of a query */
extern int	gepa_max_image_bytes;	/* of an image that a judge is shown */
extern int	gepa_max_job_workers;	/* workers of corpus jobs, server-wide */
extern int	gepa_max_query_calls;	/* of a statement; -1 = no limit */
extern double gepa_max_query_cost;
extern int	gepa_max_query_tokens;
extern int	gepa_max_run_workers;	/* runs working at a time, server-wide */
extern int	gepa_on_budget;		/* GepaOnBudget */
extern int	gepa_on_error;		/* GepaOnError */
extern int	gepa_verdict_ring_size; /* kB of shared memory */

/* settings.c: define the parameters and reserve the prefix; once, at load */
extern void gepa_base_init(void);

#endif							/* GEPA_BASE_SETTINGS_H */
