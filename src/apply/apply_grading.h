/*-------------------------------------------------------------------------
 *
 * apply_grading.h
 *	  Outputs to a list of graders: a part of the door of src/apply, which
 *	  includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_APPLY_APPLY_GRADING_H
#define GEPA_APPLY_APPLY_GRADING_H

#include "store/store.h"

/* grader.c */

/* A grader that may be asked. */
typedef struct ApplyGrader
{
	const StoreGrader *stored;
	const JudgeGrader *def;		/* complete */
	double		weight;
	LmServer   *lm;				/* NULL = needs none */
} ApplyGrader;

typedef struct ApplyGraders
{
	int			n;
	ApplyGrader *graders;
} ApplyGraders;

/*
 * A grader by its name, with its LM as it is now; needs a transaction.  Raises 42704
 * where there is none, 42501 where the current user has not the rights of its owner, or
 * no USAGE on the LM.
 */
extern void gepa_apply_open_grader(const char *name, double weight, ApplyGrader *grader);

/*
 * The same of a list [{"grader": name, "weight": number}, ...], as JSON text.  A digest that an
 * entry has must be the grader's, else 55000 is raised: then it is no longer what it was.
 */
extern ApplyGraders *gepa_apply_open_graders(const char *list);

/* The list again, complete, with digests; raises 22023 where it cannot be one. */
extern char *gepa_apply_graders_json(const ApplyGraders *graders);

extern bool gepa_apply_graders_need_label(const ApplyGraders *graders);

/*
 * grading.c: asynchronous, as judging is.  An output is submitted, and collected when
 * all graders have had their say.  What it takes from the database (functions, kept
 * results) it does in gepa_apply_grading_start(), and what it has to tell in
 * gepa_apply_grading_save(), each in a transaction of the caller's; the rest needs none.
 * Everything lives in the memory context current at open; sample and output must live as
 * long as their grading.
 */
typedef struct ApplyGrading ApplyGrading;

/*
 * What several gradings that are under way at a time have in common: calls that are not kept
 * yet, so that what one asks the others wait for, and the wish to stop.  It must outlive
 * them.
 */
typedef struct ApplyAsked
{
	MemoryContext context;
	struct List *keys;
	const volatile bool *stop;	/* once it is set no function is called, and
								 * what it would have said comes out as
								 * failed; NULL = nobody sets it */
} ApplyAsked;

typedef struct ApplyGrade
{
	void	   *tag;
	JudgeGraderMix mix;
	const JudgeGraderResult *results;	/* by grader */
	int			failed;			/* a grader whose call got no answer; -1 =
								 * none */
	int			missing;		/* else one without a score; -1 = none */
} ApplyGrade;

extern ApplyGrading *gepa_apply_grading_open(const ApplyGraders *graders,
											 const LmOrigin *origin, LmBudget *budget,
											 ApplyAsked *asked);
extern void gepa_apply_grading_submit(ApplyGrading *grading, const JudgeGraderSample *sample,
									  const JudgeGraderOutput *output, void *tag);

/* Scores of documents are to stay what they are, and not become scores of outputs. */
extern void gepa_apply_grading_keep_raw(ApplyGrading *grading);

/* Was anything submitted since the last start, or has what it waited for come? */
extern bool gepa_apply_grading_must_start(const ApplyGrading *grading);
extern void gepa_apply_grading_start(ApplyGrading *grading);

/* The next complete one; false when there is none (yet, or after the timeout). */
extern bool gepa_apply_grading_collect(ApplyGrading *grading, int timeout_ms, ApplyGrade *grade);
extern int	gepa_apply_grading_pending(const ApplyGrading *grading);

/* Has a call ended that is not saved? */
extern bool gepa_apply_grading_must_save(const ApplyGrading *grading);
extern void gepa_apply_grading_save(ApplyGrading *grading);

/* The longest that one of the LMs wants to be left alone. */
extern long gepa_apply_grading_hold_ms(const ApplyGrading *grading);
extern void gepa_apply_grading_stop(ApplyGrading *grading);
extern void gepa_apply_grading_close(ApplyGrading *grading);

/* Raise a result that is not ok as an ERROR that names grader and LM; hint may be NULL. */
extern void gepa_apply_report_grade(const ApplyGrader *grader, const JudgeGraderResult *result,
									const char *hint);

#endif							/* GEPA_APPLY_APPLY_GRADING_H */
