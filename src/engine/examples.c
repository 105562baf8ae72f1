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

#include "lib/stringinfo.h"

#include "engine/engine_internal.h"

#define MAX_ATTEMPTS 32

typedef struct ExampleList
{
	const EngineConfig *config;
	EngineRandom *random;
	int			n;
	int		   *items;
	bool	   *listed;			/* per example */
	int		   *counts;			/* per class, in the list */
	int		   *unused;			/* per class, not in the list */
} ExampleList;

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

/*
 * Read the next number of a list; false at the end or at something else.
 * Advances *text past the number and the comma after it.
 */
static bool
next_number(const char **text, int *number)
{
	char	   *end;
	long		value;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	value = strtol(*text, &end, 10);
	if (errno != 0 || value > PG_INT32_MAX)
		return false;
	/* a comma is followed by another number */
	if (*end == ',' && end[1] >= '0' && end[1] <= '9')
		end++;
	else if (*end != '\0')
		return false;
	*text = end;
	*number = (int) value;
	return true;
}

const char *
gepa_engine_check_examples(const EngineConfig *config, const char *text)
{
	bool	   *seen = palloc0((config->nexamples + 1) * sizeof(bool));
	const char *error = NULL;
	int			n = 0;
	int			number;

	while (error == NULL && next_number(&text, &number))
	{
		if (number >= config->nexamples)
			error = "the seed's examples contain a number that does not exist";
		else if (seen[number])
			error = "the seed's examples contain a number twice";
		else if (++n > config->max_examples)
			error = "the seed has more examples than max_examples";
		else
			seen[number] = true;
	}
	if (error == NULL && *text != '\0')
		error = "the seed's examples are not a list of numbers with commas";
	pfree(seen);
	return error;
}

static void
put_in(ExampleList *list, int place, int example)
{
	int			class = list->config->example_class[example];

	memmove(list->items + place + 1, list->items + place, (list->n - place) * sizeof(int));
	list->items[place] = example;
	list->n++;
	list->listed[example] = true;
	list->counts[class]++;
	list->unused[class]--;
}

static void
take_out(ExampleList *list, int place)
{
	int			example = list->items[place];
	int			class = list->config->example_class[example];

	list->n--;
	memmove(list->items + place, list->items + place + 1, (list->n - place) * sizeof(int));
	list->listed[example] = false;
	list->counts[class]--;
	list->unused[class]++;
}

static void
open_list(ExampleList *list, const EngineConfig *config, EngineRandom *random, const char *text)
{
	int			number;
	int			i;

	list->config = config;
	list->random = random;
	list->n = 0;
	list->items = palloc((config->max_examples + 1) * sizeof(int));
	list->listed = palloc0((config->nexamples + 1) * sizeof(bool));
	list->counts = palloc0((config->nclasses + 1) * sizeof(int));
	list->unused = palloc0((config->nclasses + 1) * sizeof(int));
	for (i = 0; i < config->nexamples; i++)
		list->unused[config->example_class[i]]++;
	while (next_number(&text, &number))
		put_in(list, list->n, number);
}

static void
close_list(ExampleList *list)
{
	pfree(list->items);
	pfree(list->listed);
	pfree(list->counts);
	pfree(list->unused);
}

static char *
write_list(const ExampleList *list)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < list->n; i++)
		appendStringInfo(&buf, "%s%d", i > 0 ? "," : "", list->items[i]);
	return buf.data;
}

/* A random example of a class that is not in the list; -1 if there is none. */
static int
draw_unused(ExampleList *list, int class)
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

/* Fewest members among the classes that could still give one. */
static int
lowest_count(const ExampleList *list)
{
	int			lowest = PG_INT32_MAX;
	int			class;

	for (class = 0; class < list->config->nclasses; class++)
		if (list->unused[class] > 0)
			lowest = Min(lowest, list->counts[class]);
	return lowest;
}

static int
highest_count(const ExampleList *list)
{
	int			highest = 0;
	int			class;

	for (class = 0; class < list->config->nclasses; class++)
		highest = Max(highest, list->counts[class]);
	return highest;
}

/* A random class among those that could be added to without a lean; -1: none. */
static int
draw_rare_class(ExampleList *list)
{
	int			lowest = lowest_count(list);
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
draw_initial(ExampleList *list)
{
	int			class;

	while (list->n < list->config->max_examples && (class = draw_rare_class(list)) >= 0)
		put_in(list, list->n, draw_unused(list, class));
}

/*
 * What should come in: a wrongly judged sample, or another of its class when
 * the list has it; without any, something of a rare class.  -1: nothing.
 */
static int
draw_incoming(ExampleList *list, int nwrong, const EngineWrong *wrong)
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
draw_place(ExampleList *list, int class, int count)
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
add_example(ExampleList *list, int incoming)
{
	int			class;

	if (incoming < 0 || list->n >= list->config->max_examples)
		return false;
	class = list->config->example_class[incoming];
	if (list->counts[class] > lowest_count(list))
		return false;
	put_in(list, gepa_engine_random_bounded(list->random, list->n + 1), incoming);
	return true;
}

/* Out goes one of the most frequent class, or of its own when that is one. */
static bool
swap_example(ExampleList *list, int incoming)
{
	int			highest = highest_count(list);
	int			class;
	int			place;

	if (incoming < 0)
		return false;
	class = list->config->example_class[incoming];
	place = draw_place(list, list->counts[class] == highest ? class : -1, highest);
	if (place < 0)
		return false;
	take_out(list, place);
	put_in(list, place, incoming);
	return true;
}

static bool
drop_example(ExampleList *list)
{
	if (list->n < 2)
		return false;
	take_out(list, draw_place(list, -1, highest_count(list)));
	return true;
}

static bool
reorder_examples(ExampleList *list)
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
make_move(ExampleList *list, int nwrong, const EngineWrong *wrong)
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
		ExampleList list;
		bool		changed = true;

		open_list(&list, config, random, request->text);
		if (list.n == 0)
			draw_initial(&list);
		else
			changed = make_move(&list, request->nwrong, request->wrong);
		if (changed && list.n > 0)
		{
			char	   *written = write_list(&list);

			if (!request->known(request->arg, written))
				result = gepa_engine_strdup(arena, written);
			pfree(written);
		}
		close_list(&list);
	}
	return result;
}
