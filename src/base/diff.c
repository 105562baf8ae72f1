/*-------------------------------------------------------------------------
 *
 * diff.c
 *	  The difference of two texts, word by word.
 *
 * Myers' greedy algorithm ("An O(ND) Difference Algorithm and Its
 * Variations", Algorithmica 1986): D edits are tried in turn, and for each
 * diagonal the furthest place is kept, one row per D, so that the way back
 * can be found.  Time and memory go with the square of the edits, not with
 * the size of the texts, and are bounded.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lib/stringinfo.h"

#include "base/diff.h"

typedef struct Word
{
	const char *start;
	int			length;
} Word;

typedef struct Words
{
	int			n;
	Word	   *items;
} Words;

/* What is written now: kept, gone or new words. */
typedef enum Mark
{
	MARK_KEPT,
	MARK_GONE,
	MARK_NEW
} Mark;

static const char *const opening[] = {"", "[-", "{+"};
static const char *const closing[] = {"", "-]", "+}"};

typedef struct Output
{
	StringInfoData text;
	Mark		mark;
} Output;

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A word, or one blank. */
static Words
split_words(const char *text)
{
	Words		words = {0, palloc(sizeof(Word) * (strlen(text) + 1))};

	while (*text != '\0')
	{
		Word	   *word = &words.items[words.n++];

		word->start = text;
		if (is_blank(*text))
			text++;
		else
			while (*text != '\0' && !is_blank(*text))
				text++;
		word->length = (int) (text - word->start);
	}
	return words;
}

static bool
same_word(const Word *a, const Word *b)
{
	return a->length == b->length && memcmp(a->start, b->start, a->length) == 0;
}

static void
put_word(Output *output, Mark mark, const Word *word)
{
	if (mark != output->mark)
	{
		appendStringInfoString(&output->text, closing[output->mark]);
		appendStringInfoString(&output->text, opening[mark]);
		output->mark = mark;
	}
	appendBinaryStringInfo(&output->text, word->start, word->length);
}

static void
put_words(Output *output, Mark mark, const Words *words, int from, int to)
{
	for (int i = from; i < to; i++)
		put_word(output, mark, &words->items[i]);
}

/*
 * The furthest place in a on diagonal k (x - y) with one edit more than the
 * row has: down (a word of b comes) or right (a word of a goes).
 */
static bool
comes_down(const int *row, int edits, int k)
{
	return k == -edits || (k != edits && row[k - 1] < row[k + 1]);
}

/* All rows up to the end of both texts; NULL if that takes too many edits. */
static int **
find_way(const Words *a, const Words *b, int *edits)
{
	int			most = Min(a->n + b->n, GEPA_DIFF_MAX_EDITS);
	int		  **rows = palloc(sizeof(int *) * (most + 1));
	int		   *row = (int *) palloc0(sizeof(int) * (2 * most + 3)) + most + 1;

	for (int d = 0; d <= most; d++)
	{
		for (int k = -d; k <= d; k += 2)
		{
			int			x = d == 0 ? 0 : comes_down(row, d, k) ? row[k + 1] : row[k - 1] + 1;

			while (x < a->n && x - k < b->n && same_word(&a->items[x], &b->items[x - k]))
				x++;
			row[k] = x;
			*edits = d;
			if (x >= a->n && x - k >= b->n)
				return rows;
		}
		rows[d] = (int *) palloc(sizeof(int) * (2 * d + 1)) + d;
		memcpy(rows[d] - d, row - d, sizeof(int) * (2 * d + 1));
	}
	return NULL;
}

/* Walk the rows back from the end, then write forward. */
static void
put_way(Output *output, const Words *a, const Words *b, int **rows, int edits)
{
	int		   *keep = palloc(sizeof(int) * (a->n + 1));	/* word of b, -1 = gone */
	int			x = a->n;
	int			y = b->n;
	int			next = 0;

	for (int d = edits; d > 0; d--)
	{
		int			k = x - y;
		bool		down = comes_down(rows[d - 1], d, k);
		int			before = rows[d - 1][down ? k + 1 : k - 1];
		int			reached = down ? before : before + 1;

		while (x > reached)
			keep[--x] = --y;
		if (down)
			y--;
		else
			keep[--x] = -1;
	}
	while (x > 0)
		keep[--x] = --y;

	for (int i = 0; i < a->n; i++)
	{
		if (keep[i] < 0)
		{
			put_word(output, MARK_GONE, &a->items[i]);
			continue;
		}
		put_words(output, MARK_NEW, b, next, keep[i]);
		put_word(output, MARK_KEPT, &a->items[i]);
		next = keep[i] + 1;
	}
	put_words(output, MARK_NEW, b, next, b->n);
}

char *
gepa_word_diff(const char *a, const char *b)
{
	Words		from = split_words(a);
	Words		to = split_words(b);
	Words		from_middle;
	Words		to_middle;
	Output		output;
	int			head = 0;
	int			tail = 0;
	int			edits = 0;
	int		  **rows;

	initStringInfo(&output.text);
	output.mark = MARK_KEPT;
	while (head < Min(from.n, to.n) && same_word(&from.items[head], &to.items[head]))
		head++;
	while (tail < Min(from.n, to.n) - head &&
		   same_word(&from.items[from.n - 1 - tail], &to.items[to.n - 1 - tail]))
		tail++;
	from_middle.n = from.n - head - tail;
	from_middle.items = from.items + head;
	to_middle.n = to.n - head - tail;
	to_middle.items = to.items + head;

	put_words(&output, MARK_KEPT, &from, 0, head);
	rows = find_way(&from_middle, &to_middle, &edits);
	if (rows != NULL)
		put_way(&output, &from_middle, &to_middle, rows, edits);
	else
	{
		put_words(&output, MARK_GONE, &from_middle, 0, from_middle.n);
		put_words(&output, MARK_NEW, &to_middle, 0, to_middle.n);
	}
	put_words(&output, MARK_KEPT, &from, from.n - tail, from.n);
	appendStringInfoString(&output.text, closing[output.mark]);
	return output.text.data;
}
