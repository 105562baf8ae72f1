/*-------------------------------------------------------------------------
 *
 * reduce.c
 *	  Which candidates are left when redundant ones are removed.
 *
 * In order of ascending mean, a candidate goes when every front it is on has
 * another one left.  The reference starts over after each removal; a single
 * pass gives the same result, because a candidate that had to stay can only
 * become more needed.  "Has every front of mine another" is a comparison of
 * words: the candidate's bit set with the set of fronts that are down to one.
 *
 * Among equal means, and in the list that is drawn from, candidates stand in
 * the order in which walking the fronts meets them; see ascending_order for
 * how one front is walked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "port/pg_bitutils.h"

#include "engine/engine_internal.h"

/* One table while redundant candidates are being removed. */
typedef struct Reduction
{
	const EngineFrontTable *table;
	int		   *live;			/* per row: candidates left */
	int			nwords;
	uint64	   *last;			/* rows with one candidate left */
} Reduction;

/* A candidate as the pass sees it. */
typedef struct Contender
{
	int			candidate;
	double		mean;
	int			first;			/* first front it is on */
	int			place;			/* where it stands in that front */
	int			frequency;		/* fronts it is on */
	bool		removed;
} Contender;

static const EngineBitset *
bits_of(const EngineFrontTable *table, int candidate)
{
	static const EngineBitset none = {0, NULL};

	return candidate < table->nbitsets ? &table->bitsets[candidate] : &none;
}

static void
begin_reduction(Reduction *reduction, const EngineFrontTable *table,
				const EngineSet *restrict_to)
{
	int			row;
	int			i;

	reduction->table = table;
	reduction->nwords = ENGINE_BIT_WORD(table->nrows) + 1;
	reduction->live = palloc0((table->nrows + 1) * sizeof(int));
	reduction->last = palloc0(reduction->nwords * sizeof(uint64));
	for (row = 0; row < table->nrows; row++)
	{
		const EngineFrontRow *front = &table->rows[row];

		reduction->live[row] = front->nmembers;
		for (i = 0; restrict_to != NULL && i < front->nmembers; i++)
			if (!gepa_engine_set_has(restrict_to, front->members[i]))
				reduction->live[row]--;
		if (reduction->live[row] == 1)
			reduction->last[ENGINE_BIT_WORD(row)] |= ENGINE_BIT_MASK(row);
	}
}

/* Is some front of this candidate down to it alone? */
static bool
is_needed(const Reduction *reduction, int candidate)
{
	const EngineBitset *set = bits_of(reduction->table, candidate);
	int			nwords = Min(set->nwords, reduction->nwords);
	int			w;

	for (w = 0; w < nwords; w++)
		if (set->words[w] & reduction->last[w])
			return true;
	return false;
}

static void
remove_candidate(Reduction *reduction, int candidate)
{
	const EngineBitset *set = bits_of(reduction->table, candidate);
	int			w;

	for (w = 0; w < set->nwords; w++)
	{
		uint64		word = set->words[w];

		while (word != 0)
		{
			int			row = w * ENGINE_WORD_BITS + pg_rightmost_one_pos64(word);

			word &= word - 1;
			if (--reduction->live[row] == 1)
				reduction->last[w] |= ENGINE_BIT_MASK(row);
		}
	}
}

/* Count a candidate's fronts in a table; offset numbers the table's rows. */
static void
count_fronts(const EngineFrontTable *table, int offset, Contender *contender)
{
	const EngineBitset *set = bits_of(table, contender->candidate);
	int			w;

	for (w = 0; w < set->nwords; w++)
	{
		if (set->words[w] == 0)
			continue;
		if (contender->frequency == 0)
			contender->first = offset + w * ENGINE_WORD_BITS +
				pg_rightmost_one_pos64(set->words[w]);
		contender->frequency += pg_popcount64(set->words[w]);
	}
}

static int
compare_appearance(const Contender *a, const Contender *b)
{
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return a->place < b->place ? -1 : 1;
}

static int
by_mean(const void *a, const void *b)
{
	const Contender *left = a;
	const Contender *right = b;

	if (left->mean != right->mean)
		return left->mean < right->mean ? -1 : 1;
	return compare_appearance(left, right);
}

static int
by_appearance(const void *a, const void *b)
{
	return compare_appearance(a, b);
}

/*
 * The members of a front in the order of the reference: the state's set,
 * copied for the selector, perhaps cut to the best.
 */
static int
walk_front(const EngineFrontRow *front, const EngineSet *restrict_to, int *result)
{
	EngineSet	kept;
	EngineSet	copy;
	EngineSet	cut;
	int			n;
	int			i;

	gepa_engine_set_init(&kept);
	for (i = 0; i < front->nmembers; i++)
		gepa_engine_set_add(&kept, front->members[i]);
	gepa_engine_set_copy(&copy, &kept);
	gepa_engine_set_free(&kept);
	if (restrict_to != NULL)
	{
		gepa_engine_set_intersect(&cut, &copy, restrict_to);
		gepa_engine_set_free(&copy);
		copy = cut;
	}
	n = gepa_engine_set_list(&copy, result);
	gepa_engine_set_free(&copy);
	return n;
}

/*
 * Set the places of the contenders in their first fronts.  reduced: as the
 * fronts are walked once only survivors are left.
 */
static void
place_contenders(const EngineFronts *fronts, Contender *contenders, int n, int ncandidates,
				 const EngineSet *restrict_to, bool reduced)
{
	Contender **by_number = palloc0((ncandidates + 1) * sizeof(Contender *));
	int		   *members = palloc((ncandidates + 1) * sizeof(int));
	int			row;
	int			i;

	for (i = 0; i < n; i++)
	{
		contenders[i].place = contenders[i].candidate;
		by_number[contenders[i].candidate] = &contenders[i];
	}
	for (row = 0; !fronts->ascending && row < gepa_engine_fronts_count(fronts); row++)
	{
		int			nmembers = walk_front(gepa_engine_fronts_row(fronts, row), restrict_to,
										  members);
		int			left = 0;

		for (i = 0; i < nmembers; i++)
			if (!reduced || !by_number[members[i]]->removed)
				members[left++] = members[i];
		if (reduced)
			gepa_engine_set_reorder(members, left);
		for (i = 0; i < left; i++)
			if (by_number[members[i]]->first == row)
				by_number[members[i]]->place = i;
	}
	pfree(members);
	pfree(by_number);
}

/* The single pass. */
static void
remove_redundant(Contender *contenders, int n, Reduction *reductions, int ntables)
{
	int			i;
	int			t;

	for (i = 0; i < n; i++)
	{
		bool		needed = false;

		for (t = 0; t < ntables; t++)
			needed = needed || is_needed(&reductions[t], contenders[i].candidate);
		contenders[i].removed = !needed;
		for (t = 0; t < ntables && !needed; t++)
			remove_candidate(&reductions[t], contenders[i].candidate);
	}
}

int
gepa_engine_survivors(const EngineFronts *fronts, int ncandidates, const double *means,
					  const EngineSet *restrict_to, int *survivors, int *frequency)
{
	const EngineFrontTable *tables[2];
	Reduction	reductions[2];
	int			ntables = gepa_engine_front_tables(fronts, tables);
	Contender  *contenders = palloc0((ncandidates + 1) * sizeof(Contender));
	int			n = 0;
	int			left = 0;
	int			i;
	int			t;

	for (i = 0; i < ncandidates; i++)
	{
		Contender  *contender = &contenders[n];

		if (restrict_to != NULL && !gepa_engine_set_has(restrict_to, i))
			continue;
		memset(contender, 0, sizeof(Contender));
		contender->candidate = i;
		contender->mean = means[i];
		for (t = 0; t < ntables; t++)
			count_fronts(tables[t], t == 0 ? 0 : tables[0]->nrows, contender);
		if (contender->frequency > 0)
			n++;
	}
	place_contenders(fronts, contenders, n, ncandidates, restrict_to, false);
	qsort(contenders, n, sizeof(Contender), by_mean);

	for (t = 0; t < ntables; t++)
		begin_reduction(&reductions[t], tables[t], restrict_to);
	remove_redundant(contenders, n, reductions, ntables);

	place_contenders(fronts, contenders, n, ncandidates, restrict_to, true);
	qsort(contenders, n, sizeof(Contender), by_appearance);
	for (i = 0; i < n; i++)
	{
		if (contenders[i].removed)
			continue;
		survivors[left] = contenders[i].candidate;
		frequency[left++] = contenders[i].frequency;
	}
	for (t = 0; t < ntables; t++)
	{
		pfree(reductions[t].live);
		pfree(reductions[t].last);
	}
	pfree(contenders);
	return left;
}
