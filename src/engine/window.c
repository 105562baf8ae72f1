/*-------------------------------------------------------------------------
 *
 * window.c
 *	  Which items are worth a rollout, and which rollouts are worth showing.
 *
 * A window prefers items on which the incumbent may be right or wrong: what every
 * candidate gets right (or wrong) tells little.  The choice depends on observed
 * rollouts only, so the model's likelihood stays valid; a mean over
 * such rollouts would not be.
 *
 * Records prefer failures, and among them what was shown least, so that reflections
 * see different ones.  The specification also passes over items that all candidates
 * fail; it measured no effect, and that is left out.
 *
 * Both take labels in turn, the best of each first.  How many draws a choice
 * takes follows from the items alone: one for each item in use (a window) or with
 * a rollout of the incumbent (records).
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_policy.h"

/* With more labels than this a window has hardly two of one. */
#define MOST_STRATA 10

/* After a thousand windows an item is still one to be drawn, if there is no better. */
#define LEAST_WEIGHT 1e-300

/* A place in an order: by key, then by second, then by tie, all ascending. */
typedef struct EngineRanked
{
	int			item;
	double		key;
	double		second;
	double		tie;
} EngineRanked;

static int
compare_ranked(const void *a, const void *b)
{
	const EngineRanked *left = a;
	const EngineRanked *right = b;

	if (left->key != right->key)
		return left->key < right->key ? -1 : 1;
	if (left->second != right->second)
		return left->second < right->second ? -1 : 1;
	if (left->tie != right->tie)
		return left->tie < right->tie ? -1 : 1;
	return left->item - right->item;
}

/*
 * Take so many off the front of the ranked, of each label in turn as long as it
 * has any; returns how many there were.
 */
static int
deal(const EngineItems *items, EngineRanked *ranked, int n, int wanted, int *result)
{
	bool		strata = items->classes != NULL && items->nclasses <= MOST_STRATA;
	bool	   *taken = palloc0(Max(n, 1) * sizeof(bool));
	int			ntaken = 0;

	qsort(ranked, n, sizeof(EngineRanked), compare_ranked);
	wanted = Min(wanted, n);
	while (ntaken < wanted)
	{
		bool		had[MOST_STRATA + 1] = {false};

		for (int i = 0; i < n && ntaken < wanted; i++)
		{
			int			label = strata ? items->classes[ranked[i].item] + 1 : 0;

			if (taken[i] || had[label])
				continue;
			taken[i] = true;
			had[label] = strata;
			result[ntaken++] = ranked[i].item;
		}
	}
	pfree(taken);
	return ntaken;
}

void
gepa_engine_window_weights(const EngineItems *items, const EngineModel *model,
						   const EngineLines *lines, const EnginePolicy *policy,
						   int incumbent, int64 rollouts, double *weights)
{
	double		theta = gepa_engine_model_theta(model, lines, incumbent);

	for (int i = 0; i < items->nitems; i++)
	{
		double		p = gepa_engine_model_chance(model, theta, i);
		double		score;

		weights[i] = policy->window_gain > 0 ?
			policy->window_floor + policy->window_gain * p * (1.0 - p) : 1.0;
		/* the incumbent's half of the pair is free */
		if (rollouts >= policy->window_known_after &&
			gepa_engine_model_score(model, incumbent, i, &score))
			weights[i] *= policy->window_known;
		weights[i] = Max(weights[i] * pow(0.5, policy->window_decay * items->windows[i]),
						 LEAST_WEIGHT);
	}
}

/*
 * Without replacement, by weight: the largest of u^(1/weight) (Efraimidis and
 * Spirakis, Information Processing Letters 97, 2006, 181), as logarithms.
 */
int
gepa_engine_draw_window(EngineItems *items, EngineRandom *random, const double *weights,
						int size, int *result)
{
	EngineRanked *ranked = palloc0(Max(items->nitems, 1) * sizeof(EngineRanked));
	int			n = 0;

	for (int i = 0; i < items->nitems; i++)
	{
		double		weight = weights != NULL ? weights[i] : 1.0;
		double		u;

		if (!items->used[i])
			continue;
		u = gepa_engine_random_uniform(random);
		if (!(weight > 0))
			continue;
		ranked[n].item = i;
		ranked[n++].key = -log(u) / weight;
	}
	n = deal(items, ranked, n, size, result);
	for (int i = 0; i < n; i++)
		items->windows[result[i]]++;
	pfree(ranked);
	return n;
}

static int
compare_scores(const void *a, const void *b)
{
	double		left = *(const double *) a;
	double		right = *(const double *) b;

	return (left > right) - (left < right);
}

/*
 * The highest score that is a failure: of scores that are 0 or 1 that is 0, of others, where
 * little is perfect, the incumbent's median; but nothing that is perfect.
 */
static double
highest_failure(const double *scores, int n)
{
	double	   *sorted = palloc(Max(n, 1) * sizeof(double));
	bool		graded = false;
	double		median;

	for (int i = 0; i < n; i++)
	{
		sorted[i] = scores[i];
		graded = graded || (scores[i] > 0 && scores[i] < 1);
	}
	qsort(sorted, n, sizeof(double), compare_scores);
	median = n > 0 ? sorted[(n - 1) / 2] : 0.0;
	pfree(sorted);
	return graded ? median : 0.0;
}

/* Items that the incumbent has a score on; those shown least come first. */
static int
list_scored(const EngineItems *items, const EngineModel *model, EngineRandom *random,
			int incumbent, EngineRanked *scored, double *scores)
{
	int			n = 0;

	for (int i = 0; i < items->nitems; i++)
	{
		if (!items->used[i] || !gepa_engine_model_score(model, incumbent, i, &scores[n]))
			continue;
		scored[n].item = i;
		scored[n].key = items->records[i];
		scored[n].tie = gepa_engine_random_uniform(random);
		n++;
	}
	return n;
}

/*
 * Take the successes out; what stays are failures, the lowest first where they were shown as
 * often.  Returns how many.
 */
static int
part_failures(EngineRanked *scored, const double *scores, int n, EngineRanked *successes)
{
	double		failure = highest_failure(scores, n);
	int			nfailures = 0;

	for (int i = 0; i < n; i++)
	{
		if (scores[i] <= failure && scores[i] < 1)
		{
			scored[nfailures] = scored[i];
			scored[nfailures++].second = scores[i];
		}
		else
			successes[i - nfailures] = scored[i];
	}
	return nfailures;
}

int
gepa_engine_choose_records(EngineItems *items, const EngineModel *model, EngineRandom *random,
						   const EnginePolicy *policy, int incumbent, int *result)
{
	EngineRanked *failures = palloc0(Max(items->nitems, 1) * sizeof(EngineRanked));
	EngineRanked *successes = palloc(Max(items->nitems, 1) * sizeof(EngineRanked));
	double	   *scores = palloc(Max(items->nitems, 1) * sizeof(double));
	EngineItems dealt = *items;
	int			nscored = list_scored(items, model, random, incumbent, failures, scores);
	int			nfailures = part_failures(failures, scores, nscored, successes);
	int			n;

	if (!policy->balance_labels)
		dealt.classes = NULL;
	n = deal(&dealt, failures, nfailures, Min(policy->record_failures, policy->records), result);
	n += deal(&dealt, successes, nscored - nfailures, policy->records - n, result + n);
	for (int i = 0; i < n; i++)
		items->records[result[i]]++;
	gepa_engine_random_shuffle(random, result, n);
	pfree(failures);
	pfree(successes);
	pfree(scores);
	return n;
}
