/*-------------------------------------------------------------------------
 *
 * pieces.c
 *	  Where one line of a text ends and the next begins.
 *
 * A line is what can be dropped or added by itself.  Mostly it is what stands between
 * two line breaks.  But models also write whole prompts into one paragraph, which as one
 * line would be new with every word that changes: nothing would be learned of what it says.
 * So a paragraph is read sentence by sentence.  The points of a list are whole, whatever
 * they consist of: what follows the first sentence there explains it.
 *
 * A sentence ends with one of . ! ? (and quotes or brackets that close) before a blank, if
 * what follows may begin one: no small letter.  A dot after a single letter, in a word with
 * another dot (e.g.) or after the number that it begins with is no end.  The marks of
 * points (- * + 1. 2) and the bullet of UTF-8) do not belong to what they say: a list that
 * is numbered anew consists of the same lines.
 *
 * Known hole: sentences of scripts without blanks are not told apart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_lines.h"

#define MAX_DIGITS 3			/* of a point's number */
#define FIRST_PIECES 16
#define BULLET "\xE2\x80\xA2"

typedef struct PieceList
{
	int			n;
	int			allocated;
	EnginePiece *pieces;
} PieceList;

bool
gepa_engine_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int
gepa_engine_mark_length(const char *text, int length)
{
	int			n = 0;

	if (length > 0 && strchr("-*+", text[0]) != NULL)
		n = 1;
	else if (length > 3 && memcmp(text, BULLET, 3) == 0)
		n = 3;
	else
	{
		while (n < length && n <= MAX_DIGITS && is_digit(text[n]))
			n++;
		if (n == 0 || n > MAX_DIGITS || n == length || (text[n] != '.' && text[n] != ')'))
			return 0;
		n++;
	}
	if (n == length || !gepa_engine_is_blank(text[n]))
		return 0;
	while (n < length && gepa_engine_is_blank(text[n]))
		n++;
	return n == length ? 0 : n;
}

/*
 * Does the dot at this place belong to its word: an abbreviation, a single letter, or
 * the number that the sentence begins with?
 */
static bool
is_part_of_word(const char *text, int dot)
{
	int			start = dot;
	bool		digits = true;

	while (start > 0 && !gepa_engine_is_blank(text[start - 1]))
	{
		start--;
		if (text[start] == '.')
			return true;
		digits = digits && is_digit(text[start]);
	}
	return digits ? start == 0 : dot - start == 1;
}

/* Where the sentence that begins with the text ends, blanks after it left out. */
static int
sentence_length(const char *text, int length)
{
	int			i;

	for (i = 0; i < length; i++)
	{
		int			end = i + 1;
		int			next;

		if (strchr(".!?", text[i]) == NULL || (text[i] == '.' && is_part_of_word(text, i)))
			continue;
		while (end < length && strchr(".!?\"')]*", text[end]) != NULL)
			end++;
		next = end;
		while (next < length && gepa_engine_is_blank(text[next]))
			next++;
		if (next < length && next > end && !(text[next] >= 'a' && text[next] <= 'z'))
			return end;
	}
	return length;
}

/* How much of a line from here on is one piece; the blanks before it are its own. */
static int
piece_length(const char *text, int length, bool first)
{
	int			blanks = 0;

	while (blanks < length && gepa_engine_is_blank(text[blanks]))
		blanks++;
	if (first && gepa_engine_mark_length(text + blanks, length - blanks) > 0)
		return length;
	return blanks + sentence_length(text + blanks, length - blanks);
}

static void
add_piece(PieceList *list, const char *start, int length)
{
	EnginePiece *piece;

	if (list->n == list->allocated)
	{
		list->allocated *= 2;
		list->pieces = repalloc(list->pieces, list->allocated * sizeof(EnginePiece));
	}
	piece = &list->pieces[list->n++];
	piece->start = start;
	piece->length = length;
	piece->known = -1;
	piece->joined = false;
}

/* A line that may be a paragraph. */
static void
cut_line(PieceList *list, const char *start, const char *end)
{
	bool		first = true;

	do
	{
		int			length = piece_length(start, end - start, first);

		add_piece(list, start, length);
		list->pieces[list->n - 1].joined = !first;
		start += length;
		first = false;
	} while (start < end);
}

int
gepa_engine_cut_pieces(const char *text, bool is_list, EnginePiece **pieces)
{
	PieceList	list = {0, FIRST_PIECES, palloc(FIRST_PIECES * sizeof(EnginePiece))};
	const char *end;

	for (;; text = end + 1)
	{
		end = strchr(text, is_list ? ',' : '\n');
		if (end == NULL)
			end = text + strlen(text);
		if (is_list)
			add_piece(&list, text, end - text);
		else
			cut_line(&list, text, end);
		if (*end == '\0')
			break;
	}
	*pieces = list.pieces;
	return list.n;
}
