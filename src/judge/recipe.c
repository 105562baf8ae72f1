/*-------------------------------------------------------------------------
 *
 * recipe.c
 *	  The arithmetic of filtering recipes.
 *
 * Sampling without replacement with chances in proportion to weights is taking
 * the k highest of log(weight) + Gumbel: each row has its own number, which no
 * other row's depends on, so it works on rows in any order, in parallel, and a
 * larger sample contains the smaller one (Yellott, 1977; the same as Efraimidis
 * and Spirakis, 2006, in logarithms, where exp(score / tau) cannot overflow).
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <float.h>
#include <math.h>

#include "judge/judge_internal.h"

double
gepa_judge_sample_key(double score, double tau, double draw)
{
	double		gumbel = -log(-log(draw));

	if (tau == 0)
		return score;
	return isinf(tau) ? gumbel : score / tau + gumbel;
}

int64
gepa_judge_quantile_rows(double q, int64 n)
{
	double		rows = q * n;
	double		nearest = rint(rows);

	/* What q and the product may be off by, together */
	if (fabs(rows - nearest) <= rows * 4 * DBL_EPSILON)
		return (int64) nearest;
	return (int64) ceil(rows);
}

int
gepa_judge_tier(int64 rank, int64 n, int ntiers)
{
	/* in two parts, so that nothing overflows */
	int64		whole = n / ntiers;
	int64		longer = n % ntiers;
	int64		in_longer = longer * (whole + 1);

	if (rank <= in_longer)
		return (int) ((rank - 1) / (whole + 1));
	return (int) (longer + (rank - 1 - in_longer) / whole);
}

int
gepa_judge_copies(double expected, double draw)
{
	double		whole = floor(expected);

	return (int) whole + (draw < expected - whole);
}

/*
 * Quotas
 */

/* Who is full first when all fill up in proportion to their shares. */
static int
compare_quota(const void *a, const void *b)
{
	const JudgeQuota *x = *(JudgeQuota *const *) a;
	const JudgeQuota *y = *(JudgeQuota *const *) b;
	double		fill_x = x->available * y->share;
	double		fill_y = y->available * x->share;

	return (fill_x > fill_y) - (fill_x < fill_y);
}

/* As water fills vessels: when one is full, the others share what it leaves. */
static void
fill_up(double budget, JudgeQuota **groups, int n)
{
	double		left = budget;
	double		shares = 0;

	for (int i = 0; i < n; i++)
		shares += groups[i]->share;
	left *= Min(shares, 1);
	qsort(groups, n, sizeof(JudgeQuota *), compare_quota);
	for (int i = 0; i < n && shares > 0; i++)
	{
		groups[i]->quota = Min(groups[i]->available, left * groups[i]->share / shares);
		left = Max(0.0, left - groups[i]->quota);
		shares -= groups[i]->share;
	}
}

void
gepa_judge_divide(double budget, JudgeQuota *groups, int n, bool redistribute)
{
	JudgeQuota **wanting = palloc(sizeof(JudgeQuota *) * Max(n, 1));
	int			nwanting = 0;

	for (int i = 0; i < n; i++)
	{
		groups[i].quota = Min(budget * groups[i].share, groups[i].available);
		if (groups[i].share > 0)
			wanting[nwanting++] = &groups[i];
	}
	if (redistribute)
		fill_up(budget, wanting, nwanting);
	pfree(wanting);
}

/*
 * The rate of a corpus
 */

static JudgeRate
no_rate(const char *reason)
{
	JudgeRate	rate = {0};

	rate.reason = reason;
	return rate;
}

static double
clip(double share)
{
	return Max(0.0, Min(1.0, share));
}

/*
 * The interval of Lee et al. (arXiv 2511.21140): all three shares are shrunk as
 * by added rows, the centre is shifted, and the width has the uncertainty of the
 * labels in it beside that of the corpus.
 */
static void
put_interval(JudgeRate *rate, const JudgeCorpus *corpus, double sensitivity, double specificity)
{
	double		z2 = Z95 * Z95;
	double		m1 = corpus->tp + corpus->fn;
	double		m0 = corpus->tn + corpus->fp;
	double		p = (corpus->positive + z2 / 2) / (corpus->n + z2);
	double		spread1 = sensitivity * (1 - sensitivity) / (m1 + 2);
	double		spread0 = specificity * (1 - specificity) / (m0 + 2);
	double		slope = sensitivity + specificity - 1;
	double		centre = clip((p + specificity - 1) / slope);
	double		shift = 2 * z2 * (centre * spread1 - (1 - centre) * spread0);
	double		variance = p * (1 - p) / (corpus->n + z2) +
		(1 - centre) * (1 - centre) * spread0 + centre * centre * spread1;
	double		half = Z95 * sqrt(variance) / slope;

	rate->low = clip(centre + shift - half);
	rate->high = clip(centre + shift + half);
}

JudgeRate
gepa_judge_corpus_rate(const JudgeCorpus *corpus)
{
	double		m1 = corpus->tp + corpus->fn;
	double		m0 = corpus->tn + corpus->fp;
	double		sensitivity = (corpus->tp + 1) / (m1 + 2);
	double		specificity = (corpus->tn + 1) / (m0 + 2);
	JudgeRate	rate = {0};

	if (corpus->n <= 0)
		return no_rate("no row of the corpus has a verdict");
	if (m1 <= 0 || m0 <= 0)
		return no_rate("there are no labelled rows of one side");
	if (corpus->tp / m1 + corpus->tn / m0 <= 1)
		return no_rate("the judge is no better than chance on the labelled rows");
	if (sensitivity + specificity <= 1)
		return no_rate("there are too few labelled rows");
	rate.rate = clip((corpus->positive / corpus->n + corpus->tn / m0 - 1) /
					 (corpus->tp / m1 + corpus->tn / m0 - 1));
	put_interval(&rate, corpus, sensitivity, specificity);
	return rate;
}
