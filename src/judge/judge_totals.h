/*-------------------------------------------------------------------------
 *
 * judge_totals.h
 *	  From a sample to totals with intervals: a part of the door of src/judge,
 *	  which includes it.
 *
 * All intervals are of 95 %, about what was drawn by lot and nothing else.
 * Formulas and sources in docs/metrics.md.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_TOTALS_H
#define GEPA_JUDGE_JUDGE_TOTALS_H

typedef struct JudgeInterval
{
	double		value;
	double		low;
	double		high;
} JudgeInterval;

#define JUDGE_UNIT_VALUES 6

/*
 * What was drawn: a row, or a block of rows of which some, drawn by lot from the rows
 * of all units, were looked at.
 */
typedef struct JudgeUnit
{
	double		rows;			/* that it has */
	double		looked;			/* of these looked at */
	double		values[JUDGE_UNIT_VALUES];	/* sums over those */
} JudgeUnit;

typedef struct JudgeSurvey
{
	const JudgeUnit *units;
	int			n;
	double		nunits;			/* that they were drawn from */
} JudgeSurvey;

/* Rows of all units. */
extern JudgeInterval gepa_judge_count_rows(const JudgeSurvey *survey);

/* Sum of one value over the sum of another; 0 where that is 0. */
extern JudgeInterval gepa_judge_ratio(const JudgeSurvey *survey, int value, int over);

/* The same where rows have 1 or 0 in both; never certain unless all were looked at. */
extern JudgeInterval gepa_judge_share(const JudgeSurvey *survey, int value, int over);

/* Of two that were found apart from each other, and are not negative. */
extern JudgeInterval gepa_judge_product(JudgeInterval a, JudgeInterval b);

/* A mean of n with that standard deviation. */
extern JudgeInterval gepa_judge_mean(double mean, double deviation, int n);

/* A straight line through points, by the sums of squares about their means. */
typedef struct JudgeLine
{
	int			n;
	double		mean_x;
	double		mean_y;
	double		sxx;
	double		sxy;
	double		syy;
} JudgeLine;

/* What it has at x, never below 0; where it is flat or falls, the mean. */
extern JudgeInterval gepa_judge_line_at(const JudgeLine *line, JudgeInterval x);

#endif							/* GEPA_JUDGE_JUDGE_TOTALS_H */
