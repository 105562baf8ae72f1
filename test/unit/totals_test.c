/*-------------------------------------------------------------------------
 *
 * totals_test.c
 *	  Totals and intervals from samples: against known values, and by drawing many
 *	  samples from populations whose truth is known.
 *
 * Seeds are fixed, so what is counted here is the same on every machine.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "common/pg_prng.h"

#include "judge/judge.h"
#include "tap.h"

#define NBLOCKS 2000
#define MOST_ROWS 30
#define TRIALS 2000

/* Of a row, and of a unit's sums: what the shares and the ratios are of. */
enum
{
	HAS_DOCUMENT, TO_JUDGE, CHARS, RARE
};

typedef struct Row
{
	double		values[JUDGE_UNIT_VALUES];
} Row;

static int	nrows[NBLOCKS];
static Row	rows[NBLOCKS][MOST_ROWS];
static double truth[JUDGE_UNIT_VALUES];
static double total_rows;
static JudgeUnit units[NBLOCKS * MOST_ROWS];
static pg_prng_state random_state;

static double
uniform(void)
{
	return pg_prng_double(&random_state);
}

static int
number_below(int n)
{
	return (int) pg_prng_uint64_range(&random_state, 0, n - 1);
}

/* Rows of a block are alike: that is what the intervals have to bear. */
static void
make_population(void)
{
	memset(truth, 0, sizeof(truth));
	total_rows = 0;
	for (int b = 0; b < NBLOCKS; b++)
	{
		double		share = uniform();
		double		length = exp(6 + uniform());

		nrows[b] = number_below(MOST_ROWS + 1);
		total_rows += nrows[b];
		for (int r = 0; r < nrows[b]; r++)
		{
			double	   *values = rows[b][r].values;

			values[HAS_DOCUMENT] = uniform() < 0.95;
			values[TO_JUDGE] = values[HAS_DOCUMENT] * (uniform() < share);
			values[CHARS] = values[TO_JUDGE] * length * (0.5 + uniform());
			values[RARE] = values[HAS_DOCUMENT] * (uniform() < 0.003);
			for (int v = 0; v <= RARE; v++)
				truth[v] += values[v];
		}
	}
}

/* Some rows of some blocks, each as likely as any other. */
static JudgeSurvey
draw_blocks(int nblocks, int wanted)
{
	JudgeSurvey survey = {units, 0, NBLOCKS};
	int			drawn[NBLOCKS];
	int			left = 0;

	for (int b = 0; b < NBLOCKS; b++)
		if (uniform() * (NBLOCKS - b) < nblocks - survey.n)
		{
			memset(&units[survey.n], 0, sizeof(JudgeUnit));
			units[survey.n].rows = nrows[b];
			left += nrows[b];
			drawn[survey.n++] = b;
		}
	for (int u = 0; u < survey.n; u++)
		for (int r = 0; r < nrows[drawn[u]]; r++)
			if (uniform() * left-- < wanted)
			{
				wanted--;
				units[u].looked++;
				for (int v = 0; v <= RARE; v++)
					units[u].values[v] += rows[drawn[u]][r].values[v];
			}
	return survey;
}

/* Rows from all over the table, of whose number one is sure. */
static JudgeSurvey
draw_rows(int wanted)
{
	JudgeSurvey survey = {units, 0, total_rows};
	double		left = total_rows;

	for (int b = 0; b < NBLOCKS; b++)
		for (int r = 0; r < nrows[b]; r++)
			if (uniform() * left-- < wanted - survey.n)
			{
				units[survey.n].rows = units[survey.n].looked = 1;
				memcpy(units[survey.n++].values, rows[b][r].values, sizeof(rows[b][r].values));
			}
	return survey;
}

typedef struct Coverage
{
	int			rows;
	int			share;
	int			rare;
	int			mean;
	int			calls;
	int			chars;
} Coverage;

static int
covers(JudgeInterval interval, double value)
{
	return interval.low <= value && value <= interval.high;
}

static void
count_covered(const JudgeSurvey *survey, Coverage *coverage)
{
	JudgeInterval all = gepa_judge_count_rows(survey);
	JudgeInterval share = gepa_judge_share(survey, TO_JUDGE, HAS_DOCUMENT);
	JudgeInterval mean = gepa_judge_ratio(survey, CHARS, TO_JUDGE);
	JudgeInterval calls;

	/* The share is of all rows here, as an estimate of calls has it. */
	for (int i = 0; i < survey->n; i++)
		units[i].values[JUDGE_UNIT_VALUES - 1] = units[i].looked;
	calls = gepa_judge_product(all, gepa_judge_share(survey, TO_JUDGE, JUDGE_UNIT_VALUES - 1));
	coverage->rows += covers(all, total_rows);
	coverage->share += covers(share, truth[TO_JUDGE] / truth[HAS_DOCUMENT]);
	coverage->rare += covers(gepa_judge_share(survey, RARE, HAS_DOCUMENT),
							 truth[RARE] / truth[HAS_DOCUMENT]);
	coverage->mean += covers(mean, truth[CHARS] / truth[TO_JUDGE]);
	coverage->calls += covers(calls, truth[TO_JUDGE]);
	coverage->chars += covers(gepa_judge_product(calls, mean), truth[CHARS]);
}

/* Of 2000 samples 1900 should; two thirds of a percent are three deviations. */
static void
check_coverage(int covered, double least, const char *what)
{
	tap_ok(covered >= least * TRIALS, "%s: %d of %d intervals cover the truth", what, covered,
		   TRIALS);
}

static void
test_coverage(int nblocks, int wanted)
{
	Coverage	coverage = {0};

	pg_prng_seed(&random_state, 20260101 + nblocks);
	make_population();
	for (int i = 0; i < TRIALS; i++)
	{
		JudgeSurvey survey = nblocks > 0 ? draw_blocks(nblocks, wanted) : draw_rows(wanted);

		count_covered(&survey, &coverage);
	}
	printf("# %d rows of %d blocks\n", wanted, nblocks);
	check_coverage(coverage.rows, 0.935, "rows");
	check_coverage(coverage.share, 0.935, "share");
	check_coverage(coverage.rare, 0.935, "rare share");
	check_coverage(coverage.mean, 0.935, "mean");
	check_coverage(coverage.calls, 0.935, "calls");
	check_coverage(coverage.chars, 0.935, "characters");
}

/* Intervals that cover too often would be as wrong: they are as wide as they need to be. */
static void
test_width(void)
{
	JudgeSurvey survey;
	JudgeInterval share;
	double		p;

	pg_prng_seed(&random_state, 7);
	make_population();
	survey = draw_rows(1000);
	share = gepa_judge_share(&survey, TO_JUDGE, HAS_DOCUMENT);
	p = share.value;
	tap_is_double(share.high - share.low, 2 * 1.96 * sqrt(p * (1 - p) / 950), 0.002,
				  "the width of a share is the binomial's");
	survey = draw_rows(20000);
	share = gepa_judge_share(&survey, TO_JUDGE, HAS_DOCUMENT);
	p = share.value;
	tap_is_double(share.high - share.low,
				  2 * 1.96 * sqrt(p * (1 - p) / 19000 * (1 - 20000 / total_rows)), 0.0005,
				  "... less for what was looked at");
}

static void
test_certain(void)
{
	JudgeSurvey survey;
	JudgeInterval interval;

	pg_prng_seed(&random_state, 8);
	make_population();
	survey = draw_blocks(NBLOCKS, NBLOCKS * MOST_ROWS);
	interval = gepa_judge_count_rows(&survey);
	tap_ok(interval.low == total_rows && interval.high == total_rows, "all blocks: all rows");
	interval = gepa_judge_share(&survey, TO_JUDGE, HAS_DOCUMENT);
	tap_ok(interval.low == interval.high, "all rows looked at: the share is certain");
	interval = gepa_judge_ratio(&survey, CHARS, TO_JUDGE);
	tap_is_double(interval.high, truth[CHARS] / truth[TO_JUDGE], 1e-6, "... and so is the mean");

	survey = draw_rows(1000);
	for (int i = 0; i < survey.n; i++)
		units[i].values[RARE] = 0;
	interval = gepa_judge_share(&survey, RARE, HAS_DOCUMENT);
	tap_ok(interval.value == 0 && interval.low == 0, "none of a thousand is none so far");
	tap_is_double(interval.high, 3.84 / (950 + 3.84), 0.0005, "... and may be four in a thousand");
	interval = gepa_judge_product(interval, gepa_judge_mean(100, 0, 50));
	tap_ok(interval.value == 0 && interval.high > 0.3, "... and so their tokens");

	survey.n = 0;
	interval = gepa_judge_count_rows(&survey);
	tap_ok(interval.value == 0 && interval.high == 0, "nothing drawn from nothing");
	interval = gepa_judge_ratio(&survey, CHARS, TO_JUDGE);
	tap_ok(interval.value == 0 && interval.high == 0, "... has no mean");
	interval = gepa_judge_share(&survey, TO_JUDGE, HAS_DOCUMENT);
	tap_ok(interval.value == 0 && interval.high == 0, "... and no share");
}

/* Figures from R: lm(), predict(interval = "confidence"), qt(). */
static void
test_known(void)
{
	JudgeInterval interval = gepa_judge_mean(10, 3, 10);
	JudgeLine	line = {5, 3, 6.2, 10, 19, 38.8};
	JudgeInterval x = {7, 7, 7};

	tap_is_double(interval.high - 10, 2.262157 * 3 / sqrt(10), 5e-3, "Student's interval of ten");
	interval = gepa_judge_mean(10, 3, 1000);
	tap_is_double(interval.high - 10, 1.962341 * 3 / sqrt(1000), 1e-5, "... of a thousand");

	/* x = 1..5, y = 2.2, 4.6, 6.4, 7.6, 10.2 */
	line.syy = 36.8;
	interval = gepa_judge_line_at(&line, x);
	tap_is_double(interval.value, 13.8, 1e-9, "a line goes on");
	tap_is_double(interval.high - interval.value, 3.182446 * sqrt(0.7 / 3) * sqrt(0.2 + 1.6),
				  0.15, "... less certain far away");
	x.low = 5;
	tap_ok(gepa_judge_line_at(&line, x).low < interval.low, "... or where x is not certain");
	line.sxy = -19;
	tap_is_double(gepa_judge_line_at(&line, x).value, 6.2, 1e-9, "one that falls is not believed");
}

int
main(void)
{
	test_known();
	test_certain();
	test_width();
	test_coverage(0, 500);
	test_coverage(300, 1000);
	test_coverage(300, 20000);
	return tap_done();
}
