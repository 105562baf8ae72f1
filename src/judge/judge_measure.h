/*-------------------------------------------------------------------------
 *
 * judge_measure.h
 *	  How good verdicts are, beside labels: a part of the door of src/judge,
 *	  which includes it.  Formulas and sources are in docs/metrics.md.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_MEASURE_H
#define GEPA_JUDGE_JUDGE_MEASURE_H

/* measure.c */

typedef struct JudgeOutcome
{
	bool		decided;		/* has a verdict */
	bool		expected;		/* label is positive */
	bool		positive;		/* verdict is positive */
	bool		scored;			/* score is from log-probabilities */
	double		score;
} JudgeOutcome;

typedef struct JudgeMeasure
{
	const char *metric;
	bool		defined;		/* false: empty denominator */
	double		value;
	bool		has_interval;
	double		low;			/* 95 % */
	double		high;
} JudgeMeasure;

/* Fixed, so that what is measured again, or elsewhere, gets the same intervals. */
#define JUDGE_MEASURE_SEED 20250725

/*
 * All measures of one set of outcomes in a fixed order: tp, fp, fn, tn,
 * undecided (counts), accuracy, precision, recall, specificity,
 * balanced_accuracy, f1, mcc, kappa, auroc.  Wilson intervals for
 * proportions, seeded percentile bootstrap (2000 resamples) for the rest.
 */
extern JudgeMeasure *gepa_judge_measure(const JudgeOutcome *outcomes, int n,
										uint64 seed, int *nmeasures);

/* A share with Wilson's score interval; not defined where the whole is 0. */
extern void gepa_judge_wilson(JudgeMeasure *measure, double part, double whole);

/* Two sets of outcomes of the same rows, over those that both decided. */
typedef struct JudgePaired
{
	int			n;
	int			right_a;
	int			right_b;
	int			only_a;			/* right where b is wrong */
	int			only_b;
	double		p_better;		/* exact one-sided McNemar p: is b better? */
} JudgePaired;

extern JudgePaired gepa_judge_compare(const JudgeOutcome *a, const JudgeOutcome *b, int n);

/* Exact two-sided McNemar p over rows decided by both; 1 without discord. */
extern double gepa_judge_mcnemar(const JudgeOutcome *a, const JudgeOutcome *b, int n);

/*
 * Score threshold from scored outcomes: the one of best balanced accuracy (of several
 * the middle one, of two in the middle the lower) or, with precision > 0, the lowest one
 * whose precision reaches it (falls back to the most precise).  Midpoint between
 * neighbouring scores.  Returns false when nothing is scored or a class is missing.
 */
extern bool gepa_judge_choose_threshold(const JudgeOutcome *outcomes, int n,
										double precision, double *threshold);

#endif							/* GEPA_JUDGE_JUDGE_MEASURE_H */
