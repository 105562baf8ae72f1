/*-------------------------------------------------------------------------
 *
 * window.c
 *	  Cutting long documents to what a judge may see.
 *
 * Lengths are counted in characters of the server encoding (base/text.h), and
 * a cut never splits one, whatever bytes come.  A cut moves to a line border when one is
 * near.  Gaps are marked with the number of characters left out, so that the
 * model knows.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <limits.h>

#include "common/hashfn.h"
#include "lib/stringinfo.h"

#include "base/text.h"
#include "judge/judge_internal.h"

/* A line border within this share of the window attracts the cut. */
#define BORDER_SHARE 10

typedef struct Text
{
	const char *start;
	const char *end;
	int			nchars;
} Text;

static int
char_length(const char *p, const char *end)
{
	return gepa_char_length(gepa_text_encoding(), p, end);
}

static int
count_chars(const char *p, const char *end)
{
	int			left = INT_MAX;

	(void) gepa_skip_chars(gepa_text_encoding(), p, end, &left);
	return INT_MAX - left;
}

static const char *
skip_chars(const char *p, const char *end, int n)
{
	return gepa_skip_chars(gepa_text_encoding(), p, end, &n);
}

/*
 * The place of a cut after at most n characters from p, moved back behind a
 * line feed when one is near.  Found forwards: where bytes are no text, one
 * that looks like a line feed may be part of what counts as a character.
 */
static const char *
cut_after(const char *p, const char *end, int n)
{
	const char *at = skip_chars(p, end, n);
	const char *nearest = at - (at - p) / BORDER_SHARE;
	const char *border = at;

	while (p < at)
	{
		bool		line_feed = *p == '\n';

		p += char_length(p, at);
		if (line_feed && p > nearest)
			border = p;
	}
	return border;
}

/* The same from the other side: the start of the last n characters. */
static const char *
cut_before(const Text *text, const char *from, int n)
{
	int			remaining = count_chars(from, text->end);
	const char *at = skip_chars(from, text->end, Max(0, remaining - n));
	const char *border = at;
	int			reach = (int) ((text->end - at) / BORDER_SHARE);

	for (; border < text->end && border - at < reach; border += char_length(border, text->end))
		if (*border == '\n')
			return border + 1;
	return at;
}

static void
append_part(StringInfo buf, int *seen, const char *start, const char *end)
{
	appendBinaryStringInfo(buf, start, (int) (end - start));
	*seen += count_chars(start, end);
}

static void
append_gap(StringInfo buf, const char *start, const char *end)
{
	int			n = count_chars(start, end);

	if (n > 0)
		appendStringInfo(buf, "\n[... %d characters left out ...]\n", n);
}

/* Where the middle window starts, as a function of the text alone. */
static const char *
middle_start(const Text *text, const char *from, const char *to, int room)
{
	int			between = count_chars(from, to);
	uint32		hash;

	if (between <= room)
		return from;
	hash = hash_bytes((const unsigned char *) text->start,
					  (int) (text->end - text->start));
	return skip_chars(from, to, (int) (hash % (uint32) (between - room + 1)));
}

static void
cut_three(const Text *text, int max_chars, StringInfo buf, int *seen)
{
	int			third = Max(1, max_chars / 3);
	const char *head = cut_after(text->start, text->end, third);
	const char *tail = cut_before(text, head, third);
	const char *middle = middle_start(text, head, tail, third);
	const char *middle_end = cut_after(middle, tail, max_chars - 2 * third);

	append_part(buf, seen, text->start, head);
	append_gap(buf, head, middle);
	append_part(buf, seen, middle, middle_end);
	append_gap(buf, middle_end, tail);
	append_part(buf, seen, tail, text->end);
}

JudgeCut
gepa_judge_cut(const char *string, JudgeWindow window, int max_chars)
{
	Text		text = {string, string + strlen(string), 0};
	JudgeCut	cut = {0};
	StringInfoData buf;

	text.nchars = count_chars(text.start, text.end);
	cut.chars_total = text.nchars;
	if (text.nchars <= max_chars)
	{
		cut.chars_seen = text.nchars;
		cut.text = string;
		return cut;
	}
	initStringInfo(&buf);
	if (window == JUDGE_WINDOW_HEAD)
	{
		const char *head = cut_after(text.start, text.end, max_chars);

		append_part(&buf, &cut.chars_seen, text.start, head);
		append_gap(&buf, head, text.end);
	}
	else if (window == JUDGE_WINDOW_HEAD_TAIL)
	{
		const char *head = cut_after(text.start, text.end, max_chars - max_chars / 2);
		const char *tail = cut_before(&text, head, max_chars / 2);

		append_part(&buf, &cut.chars_seen, text.start, head);
		append_gap(&buf, head, tail);
		append_part(&buf, &cut.chars_seen, tail, text.end);
	}
	else
		cut_three(&text, max_chars, &buf, &cut.chars_seen);
	cut.text = buf.data;
	return cut;
}
