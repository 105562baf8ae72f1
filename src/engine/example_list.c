/*-------------------------------------------------------------------------
 *
 * example_list.c
 *	  Lists of examples: read, counted by class, changed, written.
 *
 * The text of an EXAMPLES component is a list of example numbers with commas,
 * empty for none; order is meaning.  Who changes a list (examples.c, edit_list.c)
 * keeps the counts of its classes within one of each other as far as there are
 * examples of each: it adds to a class with the lowest count, and drops from one with
 * the highest.
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
#include "engine/engine_lines.h"

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

void
gepa_engine_list_put(EngineExampleList *list, int place, int example)
{
	int			class = list->config->example_class[example];

	memmove(list->items + place + 1, list->items + place, (list->n - place) * sizeof(int));
	list->items[place] = example;
	list->n++;
	list->listed[example] = true;
	list->counts[class]++;
	list->unused[class]--;
}

void
gepa_engine_list_take(EngineExampleList *list, int place)
{
	int			example = list->items[place];
	int			class = list->config->example_class[example];

	list->n--;
	memmove(list->items + place, list->items + place + 1, (list->n - place) * sizeof(int));
	list->listed[example] = false;
	list->counts[class]--;
	list->unused[class]++;
}

void
gepa_engine_list_open(EngineExampleList *list, const EngineConfig *config, EngineRandom *random,
					  const char *text)
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
		gepa_engine_list_put(list, list->n, number);
}

void
gepa_engine_list_close(EngineExampleList *list)
{
	pfree(list->items);
	pfree(list->listed);
	pfree(list->counts);
	pfree(list->unused);
}

char *
gepa_engine_list_write(const EngineExampleList *list)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < list->n; i++)
		appendStringInfo(&buf, "%s%d", i > 0 ? "," : "", list->items[i]);
	return buf.data;
}

int
gepa_engine_list_lowest(const EngineExampleList *list)
{
	int			lowest = PG_INT32_MAX;
	int			class;

	for (class = 0; class < list->config->nclasses; class++)
		if (list->unused[class] > 0)
			lowest = Min(lowest, list->counts[class]);
	return lowest;
}

int
gepa_engine_list_highest(const EngineExampleList *list)
{
	int			highest = 0;
	int			class;

	for (class = 0; class < list->config->nclasses; class++)
		highest = Max(highest, list->counts[class]);
	return highest;
}
