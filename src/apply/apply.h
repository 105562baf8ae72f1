/*-------------------------------------------------------------------------
 *
 * apply.h
 *	  Judging documents through the verdict store: the door of src/apply.
 *
 * Predicates, reports and the comparison of a schedule's run all come this
 * way: a version is opened for the current user, what the store knows is
 * found, the rest is called and handed over.  Finding needs a transaction;
 * calling needs none, so that a worker can wait for the LM without one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_APPLY_APPLY_H
#define GEPA_APPLY_APPLY_H

#include "judge/judge.h"
#include "lm/lm.h"
#include "store/store.h"

/* apply.c */

typedef struct ApplyJudge
{
	MemoryContext context;		/* of this struct and what hangs on it */
	StoreVersion *version;
	JudgeSpec  *spec;			/* of the version, with the LM as it is now */
	LmServer   *lm;
	JudgeServers *servers;		/* all LMs of the version; lm is the first */
	LmPurpose	purpose;
	StoreAccount account;		/* of the current user */
	LmBudget   *budget;			/* that its calls are charged to */
	struct ApplyStream *stream; /* of gepa_apply_find(); NULL = not yet */
} ApplyJudge;

#include "apply/apply_desk.h"
#include "apply/apply_grading.h"
#include "apply/apply_route.h"
#include "apply/apply_stream.h"

/* Documents on their way through a judge; the caller owns them. */
typedef struct ApplyBatch
{
	ApplyJudge *judge;
	int			n;
	ApplyAnswer **answers;		/* by document; equal ones have one */
	ApplyVerdict *verdicts;		/* by document, once all are known */
	ApplyStream *const *others; /* must not stand still while this one waits;
								 * set between find and call, none by default */
	int			nothers;
} ApplyBatch;

/*
 * A version ready to judge for the current user: checks USAGE on its LMs and
 * that they are what the version was made for (55000, unless
 * gepa.allow_lm_mismatch).  purpose is what the log of calls will say.  Needs
 * a transaction; lives in a new child of the current context; the version must
 * outlive it.
 */
extern ApplyJudge *gepa_apply_open(StoreVersion *version, LmPurpose purpose);
extern void gepa_apply_close(ApplyJudge *judge);

/* Is a verdict, or what there is instead, to be raised?  By the settings of the session. */
extern bool gepa_apply_raises(const JudgeVerdict *verdict);

/* call.c */

/*
 * Look the documents up; equal documents are one.  Needs a transaction.  A judge
 * has one batch at a time.
 */
extern void gepa_apply_find(ApplyBatch *batch, ApplyJudge *judge,
							const JudgeDocument *documents, int n);

/*
 * Call what was not found, concurrently, and hand each verdict over as it
 * comes.  What another process calls meanwhile is not called but waited for.
 * A failure that no further call can escape is raised.  Outside a transaction
 * the library has to be preloaded; what was waited for is then looked up in
 * one of its own.
 */
extern void gepa_apply_call(ApplyBatch *batch);

/* Both at once; the verdicts are allocated in the current context. */
extern ApplyVerdict *gepa_apply_documents(ApplyJudge *judge,
										  const JudgeDocument *documents, int n);

/* contents.c */

/* What a predicate was given, all at once; the caller owns the arrays it fills in. */
typedef struct ApplyContents
{
	int			n;
	const Datum *values;		/* text or jsonb */
	bool		is_jsonb;
	bool	   *nulls;			/* in and out: has no verdict because it is
								 * NULL */
	ApplyVerdict *verdicts;		/* out */
	ApplyJudge **judges;		/* out: whose they are */
	ApplyRoute *routes;			/* out, of a router: where they went */
} ApplyContents;

/* Judge them side by side; results are allocated in the current context. */
extern void gepa_apply_contents(ApplyNamed *named, ApplyContents *contents);

/* The same of a router, without the last word: only what its rules ask is asked. */
extern void gepa_apply_route_contents(ApplyNamed *named, ApplyContents *contents);

/* document.c */

/*
 * What a predicate was given (text or jsonb) as a document, in the current context.
 * fits() tells whether this would raise.
 * Returns false when one of its fields is null; raises 22023 when it does not fit
 * the spec.
 */
extern bool gepa_apply_document_fits(const JudgeSpec *spec, Datum content, bool is_jsonb);
extern bool gepa_apply_document(const JudgeSpec *spec, Datum content, bool is_jsonb,
								JudgeDocument *document);

/* samples.c: labelled samples instead of documents */

/* Samples as documents, for gepa_apply_find(). */
extern JudgeDocument *gepa_apply_sample_documents(const StoreSample *samples, int n);

/* What verdicts on samples are worth, for the measures. */
extern JudgeOutcome *gepa_apply_outcomes(const JudgeSpec *spec, const StoreSample *samples,
										 const ApplyVerdict *verdicts, int n);

/* candidate.c */

/*
 * A candidate as the version that deploying it would make: components of the
 * candidate, the rest from the version the run started from, the LM the run
 * used, and the threshold chosen on its validation scores (where there are
 * any).  Needs a transaction.
 */
extern StoreVersion *gepa_apply_candidate(const StoreRun *run, const StoreVersion *seed,
										  int candidate);

#endif							/* GEPA_APPLY_APPLY_H */
