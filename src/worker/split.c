/*-------------------------------------------------------------------------
 *
 * split.c
 *	  Which sample goes to train, val or test: a pure function.
 *
 * Two rules keep the held-out figures honest.  Samples of one group (pages of
 * one site, mails of one thread) stay together, and so do copies of one
 * document: a copy in train would teach the answer to its twin in test.  So
 * the unit that is drawn is a connected component over equal groups and equal
 * documents.
 *
 * Units are drawn label by label, so that every split has each label in the
 * same proportion; a unit counts for the label that most of its samples have.
 * Within a label, units are ranked by a hash of seed and name: a rank says
 * nothing about order, size or age of a sample, and repeats for ever.
 *
 * Known hole: the cuts are ranks, so added samples may move others across a
 * cut.  A dataset that grows and must keep its test rows has a split column.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "common/cryptohash.h"
#include "common/sha2.h"

#include "worker/worker_internal.h"

#define TRAIN 0					/* STORE_SPLIT_TRAIN */

typedef struct SplitUnit
{
	int			root;			/* item that stands for the unit */
	int			size;
	const char *name;
	const char *label;			/* stratum */
	bool		pinned;
	uint8		rank[PG_SHA256_DIGEST_LENGTH];
} SplitUnit;

/* An item's place under some order; see sort_places(). */
typedef struct SplitPlace
{
	const WorkerSplitItem *item;
	int			index;
} SplitPlace;

static int
compare_digests(const void *a, const void *b)
{
	const SplitPlace *pa = a;
	const SplitPlace *pb = b;
	int			order = memcmp(pa->item->digest, pb->item->digest, WORKER_DIGEST_LENGTH);

	return order != 0 ? order : (pa->index > pb->index) - (pa->index < pb->index);
}

/* Items without a group come last. */
static int
compare_groups(const void *a, const void *b)
{
	const SplitPlace *pa = a;
	const SplitPlace *pb = b;
	int			order;

	if (pa->item->group == NULL || pb->item->group == NULL)
		order = (pa->item->group == NULL) - (pb->item->group == NULL);
	else
		order = strcmp(pa->item->group, pb->item->group);
	return order != 0 ? order : (pa->index > pb->index) - (pa->index < pb->index);
}

static SplitPlace *
sort_places(const WorkerSplitItem *items, int n, int (*compare) (const void *, const void *))
{
	SplitPlace *places = palloc(sizeof(SplitPlace) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		places[i].item = &items[i];
		places[i].index = i;
	}
	qsort(places, n, sizeof(SplitPlace), compare);
	return places;
}

static bool
same_digest(const SplitPlace *a, const SplitPlace *b)
{
	return memcmp(a->item->digest, b->item->digest, WORKER_DIGEST_LENGTH) == 0;
}

static bool
same_group(const SplitPlace *a, const SplitPlace *b)
{
	return a->item->group != NULL && b->item->group != NULL &&
		strcmp(a->item->group, b->item->group) == 0;
}

/*
 * Samples given a split: copies of a document follow the first split any of
 * them is in, and a pinned document goes to train.
 */
static void
place_given(WorkerSplitItem *items, const SplitPlace *by_digest, int n,
			WorkerSplitReport *report)
{
	for (int start = 0, end; start < n; start = end)
	{
		int			split = WORKER_NSPLITS - 1;

		for (end = start; end < n && same_digest(&by_digest[start], &by_digest[end]); end++)
			split = by_digest[end].item->pinned ? TRAIN :
				Min(split, by_digest[end].item->given);
		for (int i = start; i < end; i++)
		{
			WorkerSplitItem *item = &items[by_digest[i].index];

			item->split = split;
			report->moved += (split != item->given);
		}
	}
}

static void
count_copies(const SplitPlace *by_digest, int n, WorkerSplitReport *report)
{
	for (int start = 0, end; start < n; start = end)
	{
		bool		conflict = false;

		for (end = start + 1; end < n && same_digest(&by_digest[start], &by_digest[end]); end++)
		{
			report->copies++;
			conflict = conflict ||
				strcmp(by_digest[start].item->label, by_digest[end].item->label) != 0;
		}
		report->conflicting += conflict;
	}
}

/*
 * Units: connected components, the lowest index is the root
 */

static int
find_root(int *parent, int i)
{
	while (parent[i] != i)
	{
		parent[i] = parent[parent[i]];
		i = parent[i];
	}
	return i;
}

static void
join_items(int *parent, int a, int b)
{
	a = find_root(parent, a);
	b = find_root(parent, b);
	parent[Max(a, b)] = Min(a, b);
}

static int *
find_units(const WorkerSplitItem *items, const SplitPlace *by_digest, int n)
{
	int		   *parent = palloc(sizeof(int) * Max(n, 1));
	SplitPlace *by_group = sort_places(items, n, compare_groups);

	for (int i = 0; i < n; i++)
		parent[i] = i;
	for (int i = 1; i < n; i++)
	{
		if (same_digest(&by_digest[i - 1], &by_digest[i]))
			join_items(parent, by_digest[i - 1].index, by_digest[i].index);
		if (same_group(&by_group[i - 1], &by_group[i]))
			join_items(parent, by_group[i - 1].index, by_group[i].index);
	}
	pfree(by_group);
	return parent;
}

int *
gepa_worker_split_units(const WorkerSplitItem *items, int n)
{
	SplitPlace *by_digest = sort_places(items, n, compare_digests);
	int		   *units = find_units(items, by_digest, n);

	for (int i = 0; i < n; i++)
		units[i] = find_root(units, i);
	pfree(by_digest);
	return units;
}

/* How many items of a unit have a label; the unit's items are a list. */
static int
count_label(const WorkerSplitItem *items, const int *next, int root, const char *label)
{
	int			count = 0;

	for (int i = root; i >= 0; i = next[i])
		count += (strcmp(items[i].label, label) == 0);
	return count;
}

/* Size, name and stratum; on a tie the label that comes first. */
static void
describe_unit(const WorkerSplitItem *items, const int *next, SplitUnit *unit)
{
	int			most = 0;

	unit->name = items[unit->root].group ? items[unit->root].group : items[unit->root].key;
	for (int i = unit->root; i >= 0; i = next[i])
	{
		unit->size++;
		unit->pinned = unit->pinned || items[i].pinned;
		/* A label that is the stratum already needs no counting. */
		if (unit->label != NULL && strcmp(unit->label, items[i].label) == 0)
			continue;
		if (count_label(items, next, i, items[i].label) > most)
		{
			unit->label = items[i].label;
			most = count_label(items, next, i, items[i].label);
		}
	}
}

static bool
rank_unit(SplitUnit *unit, int64 seed)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	char		prefix[32];
	bool		done;

	if (hash == NULL)
		return false;
	snprintf(prefix, sizeof(prefix), "%lld", (long long) seed);
	/* The zero byte after the seed keeps the two apart. */
	done = pg_cryptohash_init(hash) >= 0 &&
		pg_cryptohash_update(hash, (const uint8 *) prefix, strlen(prefix) + 1) >= 0 &&
		pg_cryptohash_update(hash, (const uint8 *) unit->name, strlen(unit->name)) >= 0 &&
		pg_cryptohash_final(hash, unit->rank, sizeof(unit->rank)) >= 0;
	pg_cryptohash_free(hash);
	return done;
}

/* By stratum, then rank; a group and a lone key may have one name. */
static int
compare_units(const void *a, const void *b)
{
	const SplitUnit *ua = a;
	const SplitUnit *ub = b;
	int			order = strcmp(ua->label, ub->label);

	if (order == 0)
		order = memcmp(ua->rank, ub->rank, sizeof(ua->rank));
	return order != 0 ? order : (ua->root > ub->root) - (ua->root < ub->root);
}

static SplitUnit *
make_units(const WorkerSplitItem *items, int *parent, int n, int64 seed, int *nunits)
{
	SplitUnit  *units = palloc0(sizeof(SplitUnit) * Max(n, 1));
	int		   *next = palloc(sizeof(int) * Max(n, 1));
	int		   *last = palloc(sizeof(int) * Max(n, 1));

	*nunits = 0;
	for (int i = 0; i < n; i++)
	{
		int			root = find_root(parent, i);

		next[i] = -1;
		if (root == i)
			units[(*nunits)++].root = i;
		else
			next[last[root]] = i;
		last[root] = i;
	}
	for (int u = 0; u < *nunits; u++)
	{
		describe_unit(items, next, &units[u]);
		if (!rank_unit(&units[u], seed))
			return NULL;
	}
	pfree(next);
	pfree(last);
	qsort(units, *nunits, sizeof(SplitUnit), compare_units);
	return units;
}

/*
 * Cutting
 */

/* The split in whose share a place among total samples falls. */
static int
split_at(const double *shares, double total, double middle)
{
	double		bound = 0;
	int			split = TRAIN;

	for (int s = 0; s < WORKER_NSPLITS; s++)
	{
		if (shares[s] <= 0)
			continue;
		split = s;
		bound += shares[s] * total;
		if (middle < bound)
			break;
	}
	return split;
}

/* The next split that has a share, or the same if there is none. */
static int
next_split(const double *shares, int split)
{
	for (int s = split + 1; s < WORKER_NSPLITS; s++)
		if (shares[s] > 0)
			return s;
	return split;
}

static int
splits_after(const double *shares, int split)
{
	int			count = 0;

	for (int s = split + 1; s < WORKER_NSPLITS; s++)
		count += (shares[s] > 0);
	return count;
}

/*
 * Cut one stratum.  A small one may leave a share empty by rounding; as long
 * as there are units, every split gets one: never skip a split, and move on
 * when what is left is just enough for the splits that follow.
 */
static void
cut_stratum(const SplitUnit *units, int nunits, const double *shares, int *split_of_root)
{
	double		total = 0;
	double		before = 0;
	int			left = nunits;
	int			split;

	for (int u = 0; u < nunits; u++)
	{
		total += units[u].size;
		left -= units[u].pinned;
	}
	split = left < nunits ? TRAIN : -1;
	for (int u = 0; u < nunits; u++)
	{
		int			wanted = split_at(shares, total, before + units[u].size / 2.0);

		before += units[u].size;
		if (units[u].pinned)
		{
			split_of_root[units[u].root] = TRAIN;
			continue;
		}
		if (split < 0)
			split = TRAIN;
		else if (wanted > split || left <= splits_after(shares, split))
			split = next_split(shares, split);
		split_of_root[units[u].root] = split;
		left--;
	}
}

static bool
place_drawn(WorkerSplitItem *items, const SplitPlace *by_digest, int n,
			const double *shares, int64 seed)
{
	int		   *parent = find_units(items, by_digest, n);
	int		   *split_of_root = palloc(sizeof(int) * Max(n, 1));
	int			nunits;
	SplitUnit  *units = make_units(items, parent, n, seed, &nunits);

	if (units == NULL)
		return false;
	for (int start = 0, end; start < nunits; start = end)
	{
		for (end = start; end < nunits &&
			 strcmp(units[start].label, units[end].label) == 0;)
			end++;
		cut_stratum(&units[start], end - start, shares, split_of_root);
	}
	for (int i = 0; i < n; i++)
		items[i].split = split_of_root[find_root(parent, i)];
	pfree(parent);
	pfree(split_of_root);
	pfree(units);
	return true;
}

bool
gepa_worker_split(WorkerSplitItem *items, int n, const double shares[WORKER_NSPLITS],
				  int64 seed, WorkerSplitReport *report)
{
	SplitPlace *by_digest = sort_places(items, n, compare_digests);
	int			count[WORKER_NSPLITS] = {0};
	bool		done = true;

	memset(report, 0, sizeof(WorkerSplitReport));
	count_copies(by_digest, n, report);
	if (n > 0 && items[0].given >= 0)
		place_given(items, by_digest, n, report);
	else
		done = place_drawn(items, by_digest, n, shares, seed);
	for (int i = 0; i < n && done; i++)
		items[i].number = count[items[i].split]++;
	pfree(by_digest);
	return done;
}
