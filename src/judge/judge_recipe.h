/*-------------------------------------------------------------------------
 *
 * judge_recipe.h
 *	  The arithmetic of filtering recipes; part of the door of src/judge.
 *
 * Which rows of a scored table are kept, drawn or copied, and what share of a
 * corpus is good.  docs/filtering.md says what they are for, docs/metrics.md where
 * the formulas come from.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_RECIPE_H
#define GEPA_JUDGE_JUDGE_RECIPE_H

/*
 * What rows are ordered by, highest first, to be sampled without replacement
 * with chances in proportion to exp(score / tau): score / tau plus a Gumbel
 * variate made of the draw, which is in (0, 1).  tau 0 is the score itself, an
 * infinite one forgets it.
 */
extern double gepa_judge_sample_key(double score, double tau, double draw);

/*
 * The rows of n that a share q of them is, rounded up; exact for every q with
 * 15 digits at most, so that 0.07 of 100 is 7 although 0.07 * 100 > 7 in binary.
 */
extern int64 gepa_judge_quantile_rows(double q, int64 n);

/* The tier, from 0, of the rank-th best (from 1) of n rows in ntiers equal parts. */
extern int	gepa_judge_tier(int64 rank, int64 n, int ntiers);

/* So many copies on average: its whole part, and one more if the draw says so. */
extern int	gepa_judge_copies(double expected, double draw);

/* A group that has a share of a budget. */
typedef struct JudgeQuota
{
	double		share;			/* of all shares; >= 0 */
	double		available;		/* more than this it cannot use */
	double		quota;			/* out */
} JudgeQuota;

/*
 * Divide a budget by shares, which sum up to at most 1.  With redistribute what
 * groups cannot use goes to the others in proportion to their shares, until it
 * is used or nobody can use more.
 */
extern void gepa_judge_divide(double budget, JudgeQuota *groups, int n, bool redistribute);

/* What is known of a judge from labels, and what it said of a corpus. */
typedef struct JudgeCorpus
{
	double		positive;		/* rows of the corpus that the judge calls
								 * positive ... */
	double		n;				/* ... of so many that have a verdict */
	double		tp;				/* labelled rows, as in measure.c */
	double		fn;
	double		tn;
	double		fp;
} JudgeCorpus;

typedef struct JudgeRate
{
	const char *reason;			/* why there is none, or NULL */
	double		rate;			/* share of the corpus that is truly positive */
	double		low;			/* 95 % */
	double		high;
} JudgeRate;

/*
 * The share that is truly positive: Rogan and Gladen's estimate with the
 * interval of Lee et al.; both in [0, 1].
 */
extern JudgeRate gepa_judge_corpus_rate(const JudgeCorpus *corpus);

#endif							/* GEPA_JUDGE_JUDGE_RECIPE_H */
