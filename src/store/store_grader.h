/*-------------------------------------------------------------------------
 *
 * store_grader.h
 *	  Graders and what they said: a part of the door of src/store, which includes
 *	  it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_GRADER_H
#define GEPA_STORE_STORE_GRADER_H

#include "judge/judge.h"
#include "store/store_function.h"

/* graders.c */

typedef struct StoreGrader
{
	int			id;
	Oid			owner;
	JudgeGrader def;			/* complete, but for lm_identity and digest */
	StoreFunction function;		/* kind function */
} StoreGrader;

/* Makes it of name, kind, lm, options and function_owner, which the caller has checked. */
extern int	gepa_store_create_grader(const JudgeGrader *grader, Oid owner,
									 const StoreFunction *function);
extern StoreGrader *gepa_store_get_grader(const char *name);
extern void gepa_store_alter_grader(int id, const JudgeGrader *grader,
									const StoreFunction *function);
extern void gepa_store_drop_grader(int id);

/*
 * A function that can be a grader, by what somebody calls it under his search_path: it
 * takes two jsonb and returns jsonb or a number.  Raises as gepa_store_check_function().
 */
extern void gepa_store_name_grader_function(const char *name, StoreFunction *function);

/* That of a grader as it is now, to be called for the grader's owner; raises likewise. */
extern void gepa_store_find_grader_function(StoreGrader *grader);

/*
 * Call it, with the rights of the grader's owner, as gepa_store_call_function(); stop as
 * in StoreCall.
 */
extern void gepa_store_call_grader(const StoreGrader *grader, const char *sample,
								   const char *output, const volatile bool *stop,
								   StoreCall *call);

/* What a grader said of what it was shown, kept for a role; false when it did not. */
extern bool gepa_store_find_grade(const uint8 *grader, Oid owner, const uint8 *shown,
								  JudgeGraderResult *result);

/* A call of a grader that has ended. */
typedef struct StoreGraderCall
{
	const char *lm;
	uint8		grader[JUDGE_DIGEST_LENGTH];
	uint8		shown[JUDGE_DIGEST_LENGTH];
	JudgeGraderResult result;
} StoreGraderCall;

/*
 * Keep the results that have a score, for the current role, and book what all calls took:
 * on a run as well, unless it is 0.
 */
extern void gepa_store_put_grader_calls(int run, int judge, const StoreGraderCall *calls, int n);

#endif							/* GEPA_STORE_STORE_GRADER_H */
