/*-------------------------------------------------------------------------
 *
 * combee_test.c
 *	  Records dealt into groups: how many, of what size, each record twice, and
 *	  the same for the same seed and step.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "tap.h"
#include "worker/worker_combee.h"

#define MOST 60

static void
free_groups(WorkerGroup *groups, int k)
{
	for (int g = 0; g < k; g++)
		pfree(groups[g].records);
	pfree(groups);
}

/* Times that each record was dealt; the largest and the smallest group. */
static bool
is_fair(const WorkerGroup *groups, int k, int n)
{
	int			times[MOST] = {0};
	bool		fair = true;

	for (int g = 0; g < k; g++)
	{
		int			seen[MOST] = {0};

		fair = fair && groups[g].n >= 1 && groups[g].n <= (2 * n + k - 1) / k;
		for (int i = 0; i < groups[g].n; i++)
		{
			int			record = groups[g].records[i];

			fair = fair && record >= 0 && record < n && seen[record]++ == 0;
			times[record]++;
		}
	}
	for (int i = 0; i < n; i++)
		fair = fair && (times[i] == 1 || times[i] == 2);
	return fair;
}

static void
test_sizes(void)
{
	bool		counts = true;
	bool		fair = true;
	int			k;

	for (int n = 4; n <= MOST; n++)
		for (int step = 0; step < 20; step++)
		{
			WorkerGroup *groups = gepa_worker_deal(n, 7, step, &k);

			counts = counts && k == (int) floor(sqrt(n));
			fair = fair && is_fair(groups, k, n);
			free_groups(groups, k);
		}
	tap_ok(counts, "as many groups as the root of the number of records");
	tap_ok(fair, "each record in one or two groups, once in each, and none is larger than its share");
	for (int n = 0; n < 4; n++)
	{
		WorkerGroup *groups = gepa_worker_deal(n, 7, 1, &k);
		bool		in_order = k == 1 && groups[0].n == n;

		for (int i = 0; i < n && in_order; i++)
			in_order = groups[0].records[i] == i;
		tap_ok(in_order, "%d records are one group, in their order", n);
		free_groups(groups, k);
	}
}

static bool
are_same(int64 seed, int step, int64 other_seed, int other_step)
{
	int			k;
	WorkerGroup *a = gepa_worker_deal(12, seed, step, &k);
	WorkerGroup *b = gepa_worker_deal(12, other_seed, other_step, &k);
	bool		same = true;

	for (int g = 0; g < k; g++)
		same = same && a[g].n == b[g].n &&
			memcmp(a[g].records, b[g].records, a[g].n * sizeof(int)) == 0;
	free_groups(a, k);
	free_groups(b, k);
	return same;
}

/* The draws are part of what a run is: they may not change. */
static void
test_draws(void)
{
	static const int expected[3][8] = {
		{8, 10, 3, 0, 7, 6, 5}, {5, 2, 0, 7, 1, 11, 10}, {6, 1, 2, 8, 4, 9}
	};
	int			k;
	WorkerGroup *groups = gepa_worker_deal(12, 1, 5, &k);
	bool		same = k == 3;

	for (int g = 0; g < 3 && same; g++)
		for (int i = 0; i < groups[g].n; i++)
			same = same && groups[g].records[i] == expected[g][i];
	tap_ok(same, "the groups of seed 1 and step 5 are what they were");
	free_groups(groups, k);
	tap_ok(are_same(1, 5, 1, 5), "the same for the same");
	tap_ok(!are_same(1, 5, 2, 5), "others for another seed");
	tap_ok(!are_same(1, 5, 1, 6), "others for another step");
}

int
main(void)
{
	test_sizes();
	test_draws();
	return tap_done();
}
