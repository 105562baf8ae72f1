/*-------------------------------------------------------------------------
 *
 * model_driver.c
 *	  The score model for model_check.py: matrices on stdin, estimates on stdout.
 *
 * A matrix is, in numbers:
 *
 *		intercept_mean intercept_sd line_mean line_sd candidate_sd length_mean
 *		length_sd sample_sd dispersion_prior least_dispersion  nitems  nstages
 *		of each stage:
 *			nlines			then of each new line its ancestor
 *			ncandidates		then of each new one its length, neffects, effects
 *			ncells			then of each new one candidate, item, score
 *			fit				1 to fit after that
 *
 * The answer is one line: of each item easiness and variance; of each candidate theta,
 * accuracy, sd, and sd against candidate 0; then of each line its effect with its
 * ancestors and the length's, by a draw without deviations.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "hand_lines.h"

static double
number(void)
{
	double		value;

	if (scanf("%lf", &value) != 1)
		exit(1);
	return value;
}

static EnginePolicy
read_policy(double intercept_mean)
{
	EnginePolicy policy = {0};

	policy.intercept_mean = intercept_mean;
	policy.intercept_sd = number();
	policy.line_mean = number();
	policy.line_sd = number();
	policy.candidate_sd = number();
	policy.length_mean = number();
	policy.length_sd = number();
	policy.sample_sd = number();
	policy.dispersion_prior = number();
	policy.least_dispersion = number();
	return policy;
}

static void
read_candidate(EngineLines *lines)
{
	double		length = number();
	int			n = number();
	int			effects[1000];

	for (int i = 0; i < n; i++)
		effects[i] = number();
	hand_candidate(lines, length, n, effects);
}

static void
read_stage(EngineModel *model, EngineLines *lines)
{
	int			n = number();

	for (int i = 0; i < n; i++)
		hand_line(lines, number());
	n = number();
	for (int i = 0; i < n; i++)
		read_candidate(lines);
	n = number();
	for (int i = 0; i < n; i++)
	{
		int			candidate = number();
		int			item = number();

		gepa_engine_model_add(model, candidate, item, number());
	}
	if (number() > 0)
		gepa_engine_model_fit(model, lines);
}

static void
print_estimates(const EngineModel *model, const EngineLines *lines)
{
	double	   *effects = palloc((lines->nlines + 1) * sizeof(double));
	double		length;
	EngineRandom random;

	for (int i = 0; i < model->nitems; i++)
		printf("%.17g %.17g ", model->easiness[i], model->variance[i]);
	for (int i = 0; i < lines->ncandidates; i++)
		printf("%.17g %.17g %.17g %.17g ", gepa_engine_model_theta(model, lines, i),
			   gepa_engine_model_accuracy(model, lines, i, NULL),
			   gepa_engine_model_sd(model, lines, i, -1),
			   gepa_engine_model_sd(model, lines, i, 0));
	gepa_engine_random_seed(&random, 1);
	gepa_engine_model_draw(model, lines, &random, 0.0, effects, &length);
	for (int i = 0; i < lines->nlines; i++)
		printf("%.17g ", effects[i]);
	printf("%.17g\n", length);
	pfree(effects);
}

int
main(void)
{
	double		first;

	while (scanf("%lf", &first) == 1)
	{
		EnginePolicy policy = read_policy(first);
		EngineArena arena;
		EngineModel model;
		EngineLines lines = {.arena = &arena};
		int			nstages;

		gepa_engine_arena_init(&arena);
		gepa_engine_model_init(&model, &arena, &policy, number());
		nstages = number();
		for (int i = 0; i < nstages; i++)
			read_stage(&model, &lines);
		print_estimates(&model, &lines);
		gepa_engine_arena_free(&arena);
	}
	return 0;
}
