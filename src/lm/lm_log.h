/*-------------------------------------------------------------------------
 *
 * lm_log.h
 *	  The log of calls: a part of the door of src/lm, which includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_LM_LM_LOG_H
#define GEPA_LM_LM_LOG_H

/* log.c */

/* A call that has ended, as the log kept it. */
typedef struct LmLogEntry
{
	TimestampTz ended_at;
	Oid			role;			/* on whose behalf it was made */
	Oid			database;
	char	   *lm;				/* this and the texts: in the encoding of
								 * database */
	LmOrigin	origin;
	GepaStatus	status;			/* cancelled: called back, perhaps paid */
	int			http_status;	/* 0 = none */
	int			attempts;
	int			input_tokens;
	int			output_tokens;
	double		cost;
	double		latency_ms;		/* of the last attempt */
	double		sample_rate;	/* such calls were kept with this chance */
	char	   *detail;			/* what went wrong, or NULL */
	char	   *prompt;			/* their beginnings, or NULL */
	char	   *answer;
} LmLogEntry;

/*
 * The log, oldest first, of all roles and databases: it is for the caller to
 * hide what is not to be seen.  Raises 55000 where there is none.
 */
extern LmLogEntry *gepa_lm_log_read(int *n);

extern const char *gepa_lm_purpose_name(LmPurpose purpose);

#endif							/* GEPA_LM_LM_LOG_H */
