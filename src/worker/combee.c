/*-------------------------------------------------------------------------
 *
 * combee.c
 *	  Records of a reflection in groups (ComBEE, arXiv:2604.04247).
 *
 * Many records in one prompt drown each other.  So they are dealt into groups of which
 * each is reflected on by itself, and one more call makes one text of what came of them.
 * A record is dealt twice, so that what it shows does not hang on one answer.
 *
 * The draws are a hash of seed, step and place: a resumed run deals the same groups,
 * and needs no state for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "base/draw.h"
#include "worker/worker_combee.h"

#define COPIES 2

static int
count_groups(int n)
{
	int			k = 1;

	while ((k + 1) * (k + 1) <= n)
		k++;
	return k;
}

/* One of the numbers below bound; the bias is below 2^-32 of it. */
static int
draw(int64 seed, int step, int place, int bound)
{
	char		key[32];
	int			length = snprintf(key, sizeof(key), "%d", place);

	return (int) (gepa_siphash((uint64) seed, (uint64) step, key, length) % bound);
}

static void
shuffle(int *cards, int n, int64 seed, int step)
{
	for (int i = n - 1; i > 0; i--)
	{
		int			other = draw(seed, step, i, i + 1);
		int			card = cards[i];

		cards[i] = cards[other];
		cards[other] = card;
	}
}

static void
add_record(WorkerGroup *group, int record)
{
	for (int i = 0; i < group->n; i++)
		if (group->records[i] == record)
			return;
	group->records[group->n++] = record;
}

WorkerGroup *
gepa_worker_deal(int n, int64 seed, int step, int *ngroups)
{
	int			k = count_groups(n);
	int			ncards = k > 1 ? COPIES * n : n;
	int		   *cards = palloc(sizeof(int) * Max(ncards, 1));
	WorkerGroup *groups = palloc0(sizeof(WorkerGroup) * k);
	int			next = 0;

	for (int i = 0; i < ncards; i++)
		cards[i] = i % n;
	if (k > 1)
		shuffle(cards, ncards, seed, step);
	for (int g = 0; g < k; g++)
	{
		int			size = ncards / k + (g < ncards % k);

		groups[g].records = palloc(sizeof(int) * Max(size, 1));
		while (size-- > 0)
			add_record(&groups[g], cards[next++]);
	}
	pfree(cards);
	*ngroups = k;
	return groups;
}
