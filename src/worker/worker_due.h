/*-------------------------------------------------------------------------
 *
 * worker_due.h
 *	  Cron texts and the calendar (due.c); frontend safe, for its unit program.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_DUE_H
#define GEPA_WORKER_WORKER_DUE_H

/* Minutes of the calendar; bit i is value i. */
typedef struct WorkerCron
{
	uint64		minutes;
	uint32		hours;
	uint32		days;
	uint32		months;
	uint32		weekdays;		/* 0 = Sunday */
	bool		either_day;		/* days or weekdays, else both */
} WorkerCron;

typedef struct WorkerMinute
{
	int			year;
	int			month;			/* from 1 */
	int			day;
	int			hour;
	int			minute;
} WorkerMinute;

/* Parse a cron text; NULL, or what is wrong with it, palloc'd. */
extern char *gepa_worker_parse_cron(const char *text, WorkerCron *cron);

/*
 * Move to the next minute that matches, always a later one; false, changing
 * nothing, when none comes in 40 years, and so never.
 */
extern bool gepa_worker_next_minute(const WorkerCron *cron, WorkerMinute *at);

#endif							/* GEPA_WORKER_WORKER_DUE_H */
