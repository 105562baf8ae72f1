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

/* apply.c: judging documents through the verdict store */

typedef struct ApiJudge
{
	MemoryContext context;		/* of this struct and what hangs on it */
	StoreVersion *version;
	JudgeSpec  *spec;			/* of the version, with the LM as it is now */
	LmServer   *lm;
	JudgeRun   *run;			/* opened with the first call */
	uint8		verdict_digest[JUDGE_DIGEST_LENGTH];
} ApiJudge;

typedef struct ApiVerdict
{
	JudgeVerdict verdict;
	bool		cached;
} ApiVerdict;

/*
 * A version ready to judge for the current user: checks USAGE on its LM and
 * that the LM is what the version was made for (55000, unless
 * gepa.allow_lm_mismatch).  Lives in a new child of the current context; the
 * version must outlive it.
 */
extern ApiJudge *gepa_api_open_judge(StoreVersion *version);
extern void gepa_api_close_judge(ApiJudge *judge);

/*
 * Verdicts of documents: stored ones are reused, equal documents are one
 * call, the rest is called concurrently and handed over.  A failure that no
 * further call can escape is raised.
 */
extern void gepa_api_apply(ApiJudge *judge, const JudgeDocument *documents, int n,
						   ApiVerdict *verdicts);

/* args.c: unpacking arguments */

/* The argument as C string; NULL raises 22004 naming the parameter. */
extern char *gepa_api_text_arg(FunctionCallInfo fcinfo, int n, const char *name);
extern char *gepa_api_text_arg_or_null(FunctionCallInfo fcinfo, int n);
extern char *gepa_api_name_arg(FunctionCallInfo fcinfo, int n, const char *name);
extern char *gepa_api_name_arg_or_null(FunctionCallInfo fcinfo, int n);
extern int	gepa_api_int_arg(FunctionCallInfo fcinfo, int n, const char *name);
extern char **gepa_api_texts_arg(FunctionCallInfo fcinfo, int n, const char *name,
								 int *count);

/* A jsonb argument as JSON text that holds an object. */
extern char *gepa_api_object_arg(FunctionCallInfo fcinfo, int n, const char *name);

/* candidates.c: a candidate of a run as a judge */

/*
 * The candidate as a version would hold it: components of the candidate, the
 * rest from the version the run started from, the LM the run used, and the
 * threshold chosen on its validation scores (where there are any).
 */
extern JudgeSpec *gepa_api_candidate_spec(const StoreRun *run, const StoreVersion *seed,
										  int candidate);

/* A run of the current user's; raises 42704 or 42501. */
extern StoreRun *gepa_api_get_run(int run);

#endif							/* GEPA_API_API_INTERNAL_H */
