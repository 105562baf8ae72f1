/*-------------------------------------------------------------------------
 *
 * examples.c
 *	  The proposer for lists of examples; it needs no model.
 *
 * The text of an EXAMPLES component is a list of example numbers with commas,
 * empty for none; order is meaning.  Validation samples have no number, so
 * none can get in.
 *
 * An empty list becomes an initial balanced draw.  Any other list is changed
 * by one move: add, swap, drop or reorder.  What comes in is a sample that
 * the parent got wrong on the minibatch, drawn by how wrong it was, or when
 * the list has it already, another example of its class.  Class counts are
 * kept within one of each other as far as there are examples of each class:
 * a class that already has more is never added to, only swapped within.
 *
 * A move that leads to a list tried before is drawn again, up to
 * MAX_ATTEMPTS times.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_internal.h"
#include "engine/engine_lines.h"

#define MAX_ATTEMPTS 32

typedef enum ExampleMove
{
	MOVE_ADD,
	MOVE_SWAP,
	MOVE_DROP,
	MOVE_REORDER
} ExampleMove;

/* What comes in and what goes out are worth more tries than order. */
static const ExampleMove moves[] = {
	MOVE_ADD, MOVE_ADD, MOVE_SWAP, MOVE_SWAP, MOVE_DROP, MOVE_REORDER
};

/* What must not come in is as if it were in the list already. */
static void
bar_examples(EngineExampleList *list, const bool *usable)
{
	int			i;

	for (i = 0; usable != NULL && i < list->config->ntrain; i++)
		if (!usable[i] && !list->listed[i])
		{
			list->listed[i] = true;
			list->unused[list->config->example_class[i]]--;
		}
}

/* A random example of a class that is not in the list; -1 if there is none. */
static int
draw_unused(EngineExampleList *list, int class)
{
	int			place;
	int			i;

	if (list->unused[class] == 0)
		return -1;
	place = gepa_engine_random_bounded(list->random, list->unused[class]);
	for (i = 0; i < list->config->nexamples; i++)
		if (!list->listed[i] && list->config->example_class[i] == class && place-- == 0)
			return i;
	return -1;
}

/* A random class among those that could be added to without a lean; -1: none. */
static int
draw_rare_class(EngineExampleList *list)
{
	int			lowest = gepa_engine_list_lowest(list);
	int			n = 0;
	int			place;
	int			class;

	for (class = 0; class < list->config->nclasses; class++)
		if (list->unused[class] > 0 && list->counts[class] == lowest)
			n++;
	if (n == 0)
		return -1;
	place = gepa_engine_random_bounded(list->random, n);
	for (class = 0; class < list->config->nclasses; class++)
		if (list->unused[class] > 0 && list->counts[class] == lowest && place-- == 0)
			break;
	return class;
}

static void
draw_initial(EngineExampleList *list)
{
	int			class;

	while (list->n < list->config->max_examples && (class = draw_rare_class(list)) >= 0)
		gepa_engine_list_put(list, list->n, draw_unused(list, class));
}

/*
 * What should come in: a wrongly judged sample, or another of its class when
 * the list has it; without any, something of a rare class.  -1: nothing.
 */
static int
draw_incoming(EngineExampleList *list, int nwrong, const EngineWrong *wrong)
{
	double	   *weights;
	int			example;
	int			class;
	int			drawn;
	int			i;

	if (nwrong == 0)
	{
		class = draw_rare_class(list);
		return class < 0 ? -1 : draw_unused(list, class);
	}
	weights = palloc(nwrong * sizeof(double));
	for (i = 0; i < nwrong; i++)
		weights[i] = wrong[i].weight;
	drawn = gepa_engine_random_weighted(list->random, nwrong, weights);
	pfree(weights);
	if (drawn < 0)
		return -1;
	example = wrong[drawn].example;
	if (!list->listed[example])
		return example;
	return draw_unused(list, list->config->example_class[example]);
}

/* A random place whose example is of a class with this many members. */
static int
draw_place(EngineExampleList *list, int class, int count)
{
	int		   *places = palloc((list->n + 1) * sizeof(int));
	int			n = 0;
	int			chosen = -1;
	int			i;

	for (i = 0; i < list->n; i++)
	{
		int			c = list->config->example_class[list->items[i]];

		if (class >= 0 ? c == class : list->counts[c] == count)
			places[n++] = i;
	}
	if (n > 0)
		chosen = places[gepa_engine_random_bounded(list->random, n)];
	pfree(places);
	return chosen;
}

static bool
add_example(EngineExampleList *list, int incoming)
{
	int			class;

	if (incoming < 0 || list->n >= list->config->max_examples)
		return false;
	class = list->config->example_class[incoming];
	if (list->counts[class] > gepa_engine_list_lowest(list))
		return false;
	gepa_engine_list_put(list, gepa_engine_random_bounded(list->random, list->n + 1), incoming);
	return true;
}

/* Out goes one of the most frequent class, or of its own when that is one. */
static bool
swap_example(EngineExampleList *list, int incoming)
{
	int			highest = gepa_engine_list_highest(list);
	int			class;
	int			place;

	if (incoming < 0)
		return false;
	class = list->config->example_class[incoming];
	place = draw_place(list, list->counts[class] == highest ? class : -1, highest);
	if (place < 0)
		return false;
	gepa_engine_list_take(list, place);
	gepa_engine_list_put(list, place, incoming);
	return true;
}

static bool
drop_example(EngineExampleList *list)
{
	if (list->n < 2)
		return false;
	gepa_engine_list_take(list, draw_place(list, -1, gepa_engine_list_highest(list)));
	return true;
}

static bool
reorder_examples(EngineExampleList *list)
{
	int			from;
	int			to;
	int			item;

	if (list->n < 2)
		return false;
	from = gepa_engine_random_bounded(list->random, list->n);
	to = gepa_engine_random_bounded(list->random, list->n - 1);
	if (to >= from)
		to++;
	item = list->items[from];
	list->items[from] = list->items[to];
	list->items[to] = item;
	return true;
}

static bool
make_move(EngineExampleList *list, int nwrong, const EngineWrong *wrong)
{
	switch (moves[gepa_engine_random_bounded(list->random, lengthof(moves))])
	{
		case MOVE_ADD:
			return add_example(list, draw_incoming(list, nwrong, wrong));
		case MOVE_SWAP:
			return swap_example(list, draw_incoming(list, nwrong, wrong));
		case MOVE_DROP:
			return drop_example(list);
		case MOVE_REORDER:
			break;
	}
	return reorder_examples(list);
}

const char *
gepa_engine_propose_examples(EngineArena *arena, EngineRandom *random,
							 const EngineConfig *config, const EngineExamples *request)
{
	const char *result = NULL;
	int			attempt;

	for (attempt = 0; attempt < MAX_ATTEMPTS && result == NULL; attempt++)
	{
		EngineExampleList list;
		bool		changed = true;

		gepa_engine_list_open(&list, config, random, request->text);
		bar_examples(&list, request->usable);
		if (list.n == 0)
			draw_initial(&list);
		else
			changed = make_move(&list, request->nwrong, request->wrong);
		if (changed && list.n > 0)
		{
			char	   *written = gepa_engine_list_write(&list);

			if (!request->known(request->arg, written))
				result = gepa_engine_strdup(arena, written);
			pfree(written);
		}
		gepa_engine_list_close(&list);
	}
	return result;
}
