/*-------------------------------------------------------------------------
 *
 * order.c
 *	  The order in which the reference walks its sets of numbers.
 *
 * Where the reference makes a list out of a set, the list's order decides
 * draws and ties.  Here such lists are ascending (option ascending_order).
 * To replay what the reference did, its sets are imitated: CPython's set is
 * an open-addressing table whose layout depends on the numbers, on the order
 * of insertion and on how the set came to be (element by element, or as a
 * copy).  For numbers below the size of the table both orders are the same,
 * so the two part with the ninth candidate at the earliest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_internal.h"

#define FIRST_SIZE 8
#define LINEAR_PROBES 9
#define PERTURB_SHIFT 5
#define EMPTY (-1)

static void
make_table(EngineSet *set, int size)
{
	int			i;

	set->mask = size - 1;
	set->table = palloc(size * sizeof(int));
	for (i = 0; i < size; i++)
		set->table[i] = EMPTY;
}

void
gepa_engine_set_init(EngineSet *set)
{
	set->used = 0;
	make_table(set, FIRST_SIZE);
}

void
gepa_engine_set_free(EngineSet *set)
{
	pfree(set->table);
}

/* The place of a number, or the empty one where it belongs. */
static int *
find_place(const EngineSet *set, int number)
{
	uint64		mask = set->mask;
	uint64		perturb = number;
	uint64		place = perturb & mask;

	for (;;)
	{
		int			probes = place + LINEAR_PROBES <= mask ? LINEAR_PROBES : 0;
		int			i;

		for (i = 0; i <= probes; i++)
		{
			int		   *entry = &set->table[place + i];

			if (*entry == EMPTY || *entry == number)
				return entry;
		}
		perturb >>= PERTURB_SHIFT;
		place = (place * 5 + 1 + perturb) & mask;
	}
}

/* Move to a table of more than this many places. */
static void
resize(EngineSet *set, int beyond)
{
	int		   *old = set->table;
	int			old_size = set->mask + 1;
	int			size = FIRST_SIZE;
	int			i;

	while (size <= beyond)
		size *= 2;
	make_table(set, size);
	for (i = 0; i < old_size; i++)
		if (old[i] != EMPTY)
			*find_place(set, old[i]) = old[i];
	pfree(old);
}

bool
gepa_engine_set_has(const EngineSet *set, int number)
{
	return *find_place(set, number) == number;
}

void
gepa_engine_set_add(EngineSet *set, int number)
{
	int		   *entry = find_place(set, number);

	if (*entry == number)
		return;
	*entry = number;
	set->used++;
	if ((int64) set->used * 5 >= (int64) set->mask * 3)
		resize(set, set->used > 50000 ? set->used * 2 : set->used * 4);
}

/* Make a set out of another at one go. */
void
gepa_engine_set_copy(EngineSet *set, const EngineSet *from)
{
	int			i;

	gepa_engine_set_init(set);
	if ((int64) from->used * 5 >= (int64) set->mask * 3)
		resize(set, from->used * 2);
	if (set->mask == from->mask)
		memcpy(set->table, from->table, (from->mask + 1) * sizeof(int));
	else
	{
		for (i = 0; i <= from->mask; i++)
			if (from->table[i] != EMPTY)
				*find_place(set, from->table[i]) = from->table[i];
	}
	set->used = from->used;
}

/* What is in both: the smaller one is walked, the right one of equals. */
void
gepa_engine_set_intersect(EngineSet *set, const EngineSet *left, const EngineSet *right)
{
	const EngineSet *walked = right->used > left->used ? left : right;
	const EngineSet *other = walked == right ? left : right;
	int			i;

	gepa_engine_set_init(set);
	for (i = 0; i <= walked->mask; i++)
		if (walked->table[i] != EMPTY && gepa_engine_set_has(other, walked->table[i]))
			gepa_engine_set_add(set, walked->table[i]);
}

int
gepa_engine_set_list(const EngineSet *set, int *result)
{
	int			n = 0;
	int			i;

	for (i = 0; i <= set->mask; i++)
		if (set->table[i] != EMPTY)
			result[n++] = set->table[i];
	return n;
}

void
gepa_engine_set_reorder(int *items, int n)
{
	EngineSet	set;
	int			i;

	gepa_engine_set_init(&set);
	for (i = 0; i < n; i++)
		gepa_engine_set_add(&set, items[i]);
	gepa_engine_set_list(&set, items);
	gepa_engine_set_free(&set);
}
