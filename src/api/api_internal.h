/*-------------------------------------------------------------------------
 *
 * api_internal.h
 *	  What the SQL-callable functions share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_API_API_INTERNAL_H
#define GEPA_API_API_INTERNAL_H

#include "fmgr.h"

#include "judge/judge.h"
#include "lm/lm.h"
#include "store/store.h"

/* args.c: unpacking arguments */

/* NULL raises 22004 naming the parameter. */
extern void gepa_api_require_arg(FunctionCallInfo fcinfo, int n, const char *name);

/* The argument as C string; NULL raises 22004 naming the parameter. */
extern char *gepa_api_text_arg(FunctionCallInfo fcinfo, int n, const char *name);
extern char *gepa_api_text_arg_or_null(FunctionCallInfo fcinfo, int n);
extern char *gepa_api_name_arg(FunctionCallInfo fcinfo, int n, const char *name);
extern char *gepa_api_name_arg_or_null(FunctionCallInfo fcinfo, int n);
extern int	gepa_api_int_arg(FunctionCallInfo fcinfo, int n, const char *name);
extern char **gepa_api_texts_arg(FunctionCallInfo fcinfo, int n, const char *name,
								 int *count);

/* An interval as milliseconds, NULL as -1: no limit. */
extern int64 gepa_api_timeout_arg(FunctionCallInfo fcinfo, int n);

/* A jsonb argument as JSON text that holds an object. */
extern char *gepa_api_object_arg(FunctionCallInfo fcinfo, int n, const char *name);

/* A text, or NULL, into a column of a result. */
extern void gepa_api_put_text(Datum *values, bool *nulls, int column, const char *text);

/*
 * How long to sleep until a row is looked at again without being woken, at most until
 * a timeout (-1 = none) that began at start (gepa_clock_us()) has passed; then 0.
 */
extern int	gepa_api_wait_ms(int64 start, int64 timeout_ms);

/* For what is read at each look, to be reset before the next: waits may take days. */
extern MemoryContext gepa_api_make_look(void);

/* known.c: rows of a source */

typedef struct ApiRow
{
	bool		present;		/* it has a document; the rest is of that */
	JudgeDocument document;
	uint8		digest[JUDGE_DIGEST_LENGTH];
	const JudgeVerdict *verdict;	/* stored; NULL = none */
} ApiRow;

/* By row; in the current context.  Raises 22023 where a document does not fit. */
extern ApiRow *gepa_api_look_up_rows(const JudgeSpec *spec, const StoreAccount *account,
									 const StoreScan *scan, const StoreScanRow *rows,
									 int n);

/* judge.c: raise 42602 for what cannot be the name of a judge or router */
extern void gepa_api_check_judge_name(const char *name);

/* Set positive flags; raises 22023 for a positive that is no label. */
extern void gepa_api_set_positive(JudgeSpec *spec, int npositive, char *const *positive);

/* grader.c: graders asked by a statement, on the account of its role */
struct ApplyGraders;
struct ApplyGrading;
extern struct ApplyGrading *gepa_api_open_grading(struct ApplyGraders *graders);

/* router.c: a router of the current user's; raises 42809, 42704 or 42501 */
extern StoreRouter *gepa_api_get_router(const char *name);

/* candidates.c */

/* A run of the current user's; raises 42704 or 42501. */
extern StoreRun *gepa_api_get_run(int run);

/* report_search.c: what a candidate was chosen by, beside the test rows */

typedef struct ApiSearch
{
	const StoreRun *run;
	const JudgeSpec *seed;		/* what it began with */
	int			candidate;
} ApiSearch;

typedef struct ApiSearchMeasures
{
	int			n;				/* rollouts it was chosen by */
	JudgeMeasure score;			/* their mean */
	JudgeMeasure curse;			/* ... less the same measure of the test rows */
} ApiSearchMeasures;

extern void gepa_api_measure_search(const ApiSearch *search, const JudgeOutcome *test,
									int ntest, ApiSearchMeasures *measures);

struct WorkerStartRequest;

/* run.c: into a request, all arguments of gepa.start() but the judge */
extern void gepa_api_start_args(FunctionCallInfo fcinfo, struct WorkerStartRequest *request);

/* run.c: start a run in a transaction of its own, and wait for its end; its number */
extern int	gepa_api_start_and_watch(const struct WorkerStartRequest *request);

/* job.c */

/* Make a job of the arguments that gepa.judge_table() and gepa.watch_table() share. */
extern StoreJob *gepa_api_create_job(FunctionCallInfo fcinfo, StoreJobKind kind,
									 const char *function);

/* End a job of the current user's; one that watches a table stops doing so. */
extern void gepa_api_cancel_job(int id);

/* watch.c: drop the triggers, or say why they stay */
extern void gepa_api_end_watch(const StoreJob *job);

#endif							/* GEPA_API_API_INTERNAL_H */
