/*-------------------------------------------------------------------------
 *
 * edit_list.c
 *	  A list of examples with some dropped and some added.
 *
 * What comes out keeps the rules of lists (example_list.c): no example twice, at most
 * max_examples, never empty, and classes no further apart than they were.  So
 * a change may have to wait for another one or cannot be made at all:
 *
 * 1. What is dropped and what is added are paired within their class, in the order given.
 *	  Such a pair is a swap, which is always allowed, and keeps the place.
 * 2. The others are made one by one as soon as they are allowed: added to a class
 *	  that has the fewest (of those that could be added to), dropped from one that
 *	  has the most.  What is never allowed is passed over.
 *
 * An example that is added goes where edit.c would put a line: after the nearest one
 * before it in its source that is here as well, else at the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_lines.h"

typedef struct ListEdit
{
	EngineLines *lines;
	const EngineEdit *edits;
	int			nedits;
	bool	   *done;			/* by edit */
	EngineExampleList list;
} ListEdit;

static int
example_of(const EngineLines *lines, int line)
{
	return (int) strtol(lines->lines[line].text, NULL, 10);
}

static int
class_of(const EngineLines *lines, int line)
{
	return lines->config->example_class[example_of(lines, line)];
}

static int
find_place(const EngineExampleList *list, int example)
{
	int			place = 0;

	while (list->items[place] != example)
		place++;
	return place;
}

/* Where an example that is added belongs. */
static int
choose_place(EngineLines *lines, const EngineExampleList *list, int line)
{
	char	   *text = gepa_engine_list_write(list);
	EnginePiece *pieces;
	int			n = gepa_engine_read_pieces(lines, lines->lines[line].component, text, &pieces);
	int			anchor = gepa_engine_find_anchor(lines, line, pieces, n);

	pfree(pieces);
	pfree(text);
	return anchor < 0 ? list->n : anchor + 1;
}

/* Not made yet, and something to make? */
static bool
is_open(const ListEdit *edit, int i)
{
	return !edit->done[i] &&
		edit->list.listed[example_of(edit->lines, edit->edits[i].line)] == edit->edits[i].drop;
}

/* Exchange what the i-th edit drops for the first of its class that is added. */
static void
swap_within_class(ListEdit *edit, int i)
{
	int			line = edit->edits[i].line;
	int			place;
	int			j;

	for (j = 0; j < edit->nedits; j++)
		if (!edit->edits[j].drop && is_open(edit, j) &&
			class_of(edit->lines, edit->edits[j].line) == class_of(edit->lines, line))
			break;
	if (j == edit->nedits)
		return;
	place = find_place(&edit->list, example_of(edit->lines, line));
	gepa_engine_list_take(&edit->list, place);
	gepa_engine_list_put(&edit->list, place,
						 example_of(edit->lines, edit->edits[j].line));
	edit->done[i] = edit->done[j] = true;
}

/* Make a change by itself if the rules allow it now. */
static bool
make_edit(ListEdit *edit, int i)
{
	EngineExampleList *list = &edit->list;
	int			line = edit->edits[i].line;
	int			example = example_of(edit->lines, line);
	int			count = list->counts[class_of(edit->lines, line)];

	if (edit->edits[i].drop)
	{
		if (list->n < 2 || count < gepa_engine_list_highest(list))
			return false;
		gepa_engine_list_take(list, find_place(list, example));
	}
	else
	{
		if (list->n >= edit->lines->config->max_examples ||
			count > gepa_engine_list_lowest(list))
			return false;
		gepa_engine_list_put(list, choose_place(edit->lines, list, line), example);
	}
	edit->done[i] = true;
	return true;
}

char *
gepa_engine_edit_list(EngineLines *lines, const char *text, const EngineEdit *edits, int nedits)
{
	ListEdit	edit = {.lines = lines,.edits = edits,.nedits = nedits};
	char	   *result = NULL;
	bool		again = true;
	int			i;

	edit.done = palloc0(nedits * sizeof(bool));
	gepa_engine_list_open(&edit.list, lines->config, NULL, text);
	for (i = 0; i < nedits; i++)
		if (edits[i].drop && is_open(&edit, i))
			swap_within_class(&edit, i);

	/* a change may make room for one before it */
	while (again)
	{
		again = false;
		for (i = 0; i < nedits; i++)
			if (is_open(&edit, i) && make_edit(&edit, i))
				again = true;
	}
	for (i = 0; i < nedits && result == NULL; i++)
		if (edit.done[i])
			result = gepa_engine_list_write(&edit.list);
	gepa_engine_list_close(&edit.list);
	pfree(edit.done);
	return result;
}
