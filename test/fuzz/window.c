/*-------------------------------------------------------------------------
 *
 * window.c
 *	  Fuzz target: the window cutter, any bytes in any encoding.
 *
 * Input: encoding, window, max_chars - 3 (one byte each), text up to a NUL.
 * What comes out must be whole characters of the text, in their order, with
 * marks that say how many were left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "mb/pg_wchar.h"

#include "arena.h"
#include "base/text.h"
#include "fuzz_encoding.h"
#include "judge/judge.h"

int			fuzz_encoding = PG_UTF8;

/* The text under test, and where its characters begin. */
static const char *document;
static int *borders;
static int	nchars;

static void
find_borders(size_t size)
{
	const char *end = document + size;

	borders = palloc(sizeof(int) * (size + 1));
	nchars = 0;
	for (const char *p = document; p < end; p += gepa_char_length(gepa_text_encoding(), p, end))
		borders[nchars++] = (int) (p - document);
	borders[nchars] = (int) size;
}

/* Bytes of a mark at p, and the number in it; 0 if there is none. */
static int
read_mark(const char *p, int *left_out)
{
	int			length = 0;

	if (sscanf(p, "\n[... %d characters left out ...]%n", left_out, &length) != 1 ||
		length == 0 || p[length] != '\n' || *left_out <= 0)
		return 0;
	return length + 1;
}

/*
 * Whether out is the text from the given character on, with at most two gaps;
 * seen is how many characters it is to have.
 */
static bool
fits(const char *out, int from, int seen, int gaps)
{
	const char *in = document + borders[from];

	if (seen == nchars - from && strcmp(out, in) == 0)
		return true;
	for (int to = from; gaps > 0 && to <= nchars && to - from <= seen; to++)
	{
		int			length = borders[to] - borders[from];
		int			left_out;
		int			mark;

		if (strncmp(out, in, length) != 0)
			return false;
		mark = read_mark(out + length, &left_out);
		if (mark > 0 && left_out <= nchars - to &&
			fits(out + length + mark, to + left_out, seen - (to - from), gaps - 1))
			return true;
	}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	JudgeWindow window;
	JudgeCut	cut;
	int			max_chars;

	if (size < 3)
		return 0;
	fuzz_encoding = data[0] % _PG_LAST_ENCODING_;
	window = (JudgeWindow) (data[1] % 3);
	max_chars = 3 + data[2];
	document = pnstrdup((const char *) data + 3, size - 3);
	size = strlen(document);
	find_borders(size);

	cut = gepa_judge_cut(document, window, max_chars);
	PROPERTY(cut.chars_total == nchars);
	PROPERTY(cut.chars_seen <= Min(max_chars, nchars));
	PROPERTY(nchars > max_chars || strcmp(cut.text, document) == 0);
	PROPERTY(fits(cut.text, 0, cut.chars_seen, 2));
	PROPERTY(gepa_clean_text(gepa_text_encoding(), document, max_chars) != NULL);
	arena_forget();
	return 0;
}
