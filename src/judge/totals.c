/*-------------------------------------------------------------------------
 *
 * totals.c
 *	  From a sample to totals with intervals.
 *
 * Units are drawn without replacement, each as likely as any other, and a part
 * of their rows is looked at.  Totals and ratios have the variance of the units'
 * residuals ("ultimate clusters", Hansen, Hurwitz and Madow, 1953; Cochran, Sampling
 * Techniques, 1977, chapters 6 and 11), which takes rows of a block being alike into
 * account, and what was drawn inside of a block with it.  The finite population
 * correction is that of the rows looked at, so it is exact where units are rows or
 * all rows of a unit are looked at, and careful in between.
 *
 * Shares have Wilson's interval with the sample size that gives the same variance
 * (Korn and Graubard, 1998, with Wilson's in place of the exact one), so none looked at
 * out of a thousand is not taken for none.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "judge/judge_internal.h"

/* Of Student's t with that many degrees of freedom (Abramowitz and Stegun 26.7.5). */
static double
quantile(double freedom)
{
	const double z = Z95;
	double		z3 = z * z * z;

	if (freedom < 1)
		freedom = 1;
	return z + (z3 + z) / (4 * freedom) +
		(5 * z3 * z * z + 16 * z3 + 3 * z) / (96 * freedom * freedom);
}

static JudgeInterval
around(double value, double error)
{
	JudgeInterval interval = {value, Max(value - error, 0), value + error};

	return interval;
}

static JudgeInterval
exactly(double value)
{
	return around(value, 0);
}

/* The share of all rows that was not looked at. */
static double
left_out(const JudgeSurvey *survey)
{
	double		rows = 0;
	double		looked = 0;

	for (int i = 0; i < survey->n; i++)
	{
		rows += survey->units[i].rows;
		looked += survey->units[i].looked;
	}
	if (rows == 0)
		return 1;
	return Max(1 - survey->n / survey->nunits * looked / rows, 0);
}

JudgeInterval
gepa_judge_count_rows(const JudgeSurvey *survey)
{
	double		sum = 0;
	double		squares = 0;
	double		variance;

	if (survey->n == 0)
		return exactly(0);
	for (int i = 0; i < survey->n; i++)
		sum += survey->units[i].rows;
	for (int i = 0; i < survey->n; i++)
		squares += pow(survey->units[i].rows - sum / survey->n, 2);
	variance = squares / Max(survey->n - 1, 1) / survey->n * (1 - survey->n / survey->nunits);
	return around(survey->nunits / survey->n * sum,
				  survey->nunits * quantile(survey->n - 1) * sqrt(Max(variance, 0)));
}

typedef struct Ratio
{
	double		value;
	double		over;			/* sum of what it is over */
	double		variance;
	int			nunits;			/* that have anything of it */
} Ratio;

static Ratio
make_ratio(const JudgeSurvey *survey, int value, int over)
{
	Ratio		ratio = {0};
	double		sum = 0;
	double		squares = 0;

	for (int i = 0; i < survey->n; i++)
	{
		sum += survey->units[i].values[value];
		ratio.over += survey->units[i].values[over];
		ratio.nunits += survey->units[i].values[over] != 0;
	}
	if (ratio.over == 0)
		return ratio;
	ratio.value = sum / ratio.over;
	for (int i = 0; i < survey->n; i++)
		squares += pow(survey->units[i].values[value] -
					   ratio.value * survey->units[i].values[over], 2);
	ratio.variance = squares / Max(survey->n - 1, 1) * survey->n / (ratio.over * ratio.over) *
		left_out(survey);
	return ratio;
}

JudgeInterval
gepa_judge_ratio(const JudgeSurvey *survey, int value, int over)
{
	Ratio		ratio = make_ratio(survey, value, over);

	return around(ratio.value, quantile(ratio.nunits - 1) * sqrt(ratio.variance));
}

/* Its ends at p 0 and 1 are these, whatever rounding makes of them. */
JudgeInterval
gepa_judge_wilson_interval(double p, double n, double z)
{
	double		z2 = z * z;
	double		centre = (p + z2 / (2 * n)) / (1 + z2 / n);
	double		error = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
	JudgeInterval interval = {p, p > 0 ? Max(centre - error, 0) : 0,
	p < 1 ? Min(centre + error, 1) : 1};

	return interval;
}

/* Rows of a block being less alike than by chance is chance: no better than rows by lot. */
JudgeInterval
gepa_judge_share(const JudgeSurvey *survey, int value, int over)
{
	Ratio		ratio = make_ratio(survey, value, over);
	double		left = left_out(survey);
	double		spread = ratio.value * (1 - ratio.value);
	double		n;

	if (ratio.over == 0 || left <= 0)
		return exactly(ratio.value);
	n = spread > 0 ? Min(ratio.over / left, spread / Max(ratio.variance, 1e-300)) :
		ratio.nunits / left;
	return gepa_judge_wilson_interval(ratio.value, n, quantile(ratio.nunits - 1));
}

/* Zou and Donner's MOVER (2008): each end takes the errors that lead there. */
JudgeInterval
gepa_judge_product(JudgeInterval a, JudgeInterval b)
{
	double		value = a.value * b.value;
	double		below = hypot(b.value * (a.value - a.low), a.value * (b.value - b.low));
	double		above = hypot(b.value * (a.high - a.value), a.value * (b.high - b.value));
	JudgeInterval interval = {value, Max(value - below, 0), value + above};

	/* Of nothing there may be some all the same. */
	if (a.value == 0)
		interval.high = a.high * b.value;
	return interval;
}

JudgeInterval
gepa_judge_mean(double mean, double deviation, int n)
{
	return around(mean, quantile(n - 1) * deviation / sqrt(Max(n, 1)));
}

JudgeInterval
gepa_judge_line_at(const JudgeLine *line, JudgeInterval x)
{
	double		slope = line->sxx > 0 ? Max(line->sxy / line->sxx, 0) : 0;
	double		value = line->mean_y + slope * (x.value - line->mean_x);
	double		residual = Max(line->syy - slope * line->sxy, 0) / Max(line->n - 2, 1);
	double		distance = slope > 0 ? pow(x.value - line->mean_x, 2) / line->sxx : 0;
	double		error = quantile(line->n - 2) * sqrt(residual * (1.0 / Max(line->n, 1) + distance));
	JudgeInterval interval;

	interval.value = Max(value, 0);
	interval.low = Max(value - hypot(error, slope * (x.value - x.low)), 0);
	interval.high = Max(value + hypot(error, slope * (x.high - x.value)), 0);
	return interval;
}
