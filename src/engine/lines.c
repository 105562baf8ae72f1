/*-------------------------------------------------------------------------
 *
 * lines.c
 *	  What candidates are made of.
 *
 * A text is taken apart into lines, so that what is learned about a line from one
 * candidate counts for all that have it; what is a line tells pieces.c.  A line is known
 * by its component and its text without what cannot matter: the mark of a point, blanks at
 * its ends, and how many there are between two words.  Only ASCII blanks are touched, so
 * a text in any server encoding survives.  Lines that do not stand in the seed get numbers
 * in order of first sight; what the seed says is the model's constant.
 *
 * A component of examples consists of its numbers.  There the seed's are numbered
 * as well: an example is a choice among many alike, and the model may learn that
 * one of the first choice is bad.  They have no words, since how long an example
 * is the engine does not know (the effect of the line covers it), and no ancestor,
 * since no example is a wording of another.
 *
 * Known hole: a run that writes more than ENGINE_MAX_LINES different lines.  From
 * there on a line that takes the place of another one counts as that one, and what
 * is new altogether has no number, as if it were the seed's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "common/hashfn.h"

#include "engine/engine_lines.h"

#define FIRST_TABLE_SIZE 64
#define WORDS_PER_UNIT 100.0	/* of a composition's length */

void
gepa_engine_lines_init(EngineLines *lines, EngineArena *arena, const EngineConfig *config)
{
	memset(lines, 0, sizeof(*lines));
	lines->arena = arena;
	lines->config = config;
}

static bool
is_examples(const EngineLines *lines, int component)
{
	return lines->config->components[component].kind == ENGINE_COMPONENT_EXAMPLES;
}

/* Appends the text without blanks at its ends, one where there are several. */
static void
collapse(StringInfo buf, const char *text, int length)
{
	bool		blank = false;
	int			i;

	for (i = 0; i < length; i++)
	{
		if (gepa_engine_is_blank(text[i]))
		{
			blank = buf->len > 0;
			continue;
		}
		if (blank)
			appendStringInfoChar(buf, ' ');
		appendStringInfoChar(buf, text[i]);
		blank = false;
	}
}

static int
count_words(const char *collapsed)
{
	int			n = 1;

	for (; *collapsed != '\0'; collapsed++)
		if (*collapsed == ' ')
			n++;
	return n;
}

/* Lines that announce others are of no use elsewhere. */
static bool
is_heading(const char *collapsed, int length)
{
	return collapsed[0] == '#' || collapsed[length - 1] == ':' || collapsed[length - 1] == '#';
}

/* A larger table; its parts are places in known, -1 = free. */
static void
make_table(EngineLines *lines)
{
	int			size = Max(FIRST_TABLE_SIZE, 2 * lines->table_size);
	int			i;

	lines->table = gepa_engine_alloc(lines->arena, size * sizeof(int));
	lines->table_size = size;
	for (i = 0; i < size; i++)
		lines->table[i] = -1;
	for (i = 0; i < lines->nknown; i++)
	{
		uint32		place = lines->known[i].hash & (size - 1);

		while (lines->table[place] >= 0)
			place = (place + 1) & (size - 1);
		lines->table[place] = i;
	}
}

/* The known line with this collapsed text; a new one when there is none. */
static int
look_up(EngineLines *lines, int component, const StringInfo text, int nmarks,
		const EnginePiece *piece)
{
	uint32		hash = hash_combine(hash_bytes((unsigned char *) text->data, text->len),
									component);
	EngineKnownLine *known;
	uint32		place;
	char	   *original;

	/* at most half full */
	if (2 * lines->nknown >= lines->table_size)
		make_table(lines);
	place = hash & (lines->table_size - 1);
	while (lines->table[place] >= 0)
	{
		known = &lines->known[lines->table[place]];
		if (known->hash == hash && known->component == component &&
			strcmp(known->text, text->data) == 0)
			return lines->table[place];
		place = (place + 1) & (lines->table_size - 1);
	}

	lines->known = gepa_engine_grow(lines->arena, lines->known, lines->nknown,
									&lines->known_allocated, sizeof(EngineKnownLine));
	known = &lines->known[lines->nknown];
	original = gepa_engine_alloc(lines->arena, piece->length + 1);
	memcpy(original, piece->start, piece->length);
	known->component = component;
	known->hash = hash;
	known->text = gepa_engine_strdup(lines->arena, text->data);
	known->original = original;
	/* the mark of a point takes its place in the prompt */
	known->words = is_examples(lines, component) ? 0 : count_words(text->data) + nmarks;
	known->is_heading = !is_examples(lines, component) && is_heading(text->data, text->len);
	known->number = -1;
	lines->table[place] = lines->nknown;
	return lines->nknown++;
}

static int
read_piece(EngineLines *lines, int component, const EnginePiece *piece, StringInfo buf)
{
	EnginePiece trimmed = *piece;
	int			mark = 0;

	resetStringInfo(buf);
	while (trimmed.length > 0 && gepa_engine_is_blank(trimmed.start[trimmed.length - 1]))
		trimmed.length--;
	/* 007 is the example 7 */
	while (is_examples(lines, component) && trimmed.length > 1 && *trimmed.start == '0')
	{
		trimmed.start++;
		trimmed.length--;
	}
	/* blanks before a sentence part it from the one before */
	while (piece->joined && trimmed.length > 0 && gepa_engine_is_blank(*trimmed.start))
	{
		trimmed.start++;
		trimmed.length--;
	}
	collapse(buf, trimmed.start, trimmed.length);
	if (!is_examples(lines, component))
		mark = gepa_engine_mark_length(buf->data, buf->len);
	if (mark > 0)
	{
		buf->len -= mark;
		memmove(buf->data, buf->data + mark, buf->len + 1);
	}
	return buf->len == 0 ? -1 : look_up(lines, component, buf, mark > 0, &trimmed);
}

int
gepa_engine_read_pieces(EngineLines *lines, int component, const char *text,
						EnginePiece **pieces)
{
	int			n = gepa_engine_cut_pieces(text, is_examples(lines, component), pieces);
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < n; i++)
		(*pieces)[i].known = read_piece(lines, component, &(*pieces)[i], &buf);
	pfree(buf.data);
	return n;
}

int
gepa_engine_read_lines(EngineLines *lines, int component, const char *text, int **result)
{
	EnginePiece *pieces;
	int			npieces = gepa_engine_read_pieces(lines, component, text, &pieces);
	int			n = 0;
	int			i;

	*result = palloc(npieces * sizeof(int));
	for (i = 0; i < npieces; i++)
		if (pieces[i].known >= 0)
			(*result)[n++] = pieces[i].known;
	pfree(pieces);
	return n;
}

/* Give a new line its number. */
static void
number_line(EngineLines *lines, int candidate, EngineKnownLine *known, int ancestor)
{
	EngineLine *line;

	if (candidate == 0 && !is_examples(lines, known->component))
		return;
	if (lines->nlines >= ENGINE_MAX_LINES)
	{
		known->number = ancestor;
		return;
	}
	lines->lines = gepa_engine_grow(lines->arena, lines->lines, lines->nlines,
									&lines->allocated, sizeof(EngineLine));
	line = &lines->lines[lines->nlines];
	line->component = known->component;
	line->text = known->text;
	line->original = known->original;
	line->source = candidate;
	line->ancestor = ancestor;
	line->words = known->words;
	line->is_protected = known->is_heading;
	known->number = lines->nlines++;
}

/* Number the lines of a component that were not known before. */
static void
number_lines(EngineLines *lines, int component, EngineRewrite *rewrite, const char *before)
{
	int			n = lines->nknown - rewrite->first_new;
	int		   *replaced = palloc(Max(n, 1) * sizeof(int));
	int		   *old = NULL;
	int			i;

	for (i = 0; i < n; i++)
		replaced[i] = -1;
	if (n > 0 && before != NULL && lines->config->policy.lineage &&
		!is_examples(lines, component))
	{
		rewrite->nbefore = gepa_engine_read_lines(lines, component, before, &old);
		rewrite->before = old;
		gepa_engine_find_replaced(lines, rewrite, replaced);
		pfree(old);
	}
	for (i = 0; i < n; i++)
		number_line(lines, lines->ncandidates, &lines->known[rewrite->first_new + i],
					replaced[i] < 0 ? -1 : lines->known[replaced[i]].number);
	pfree(replaced);
}

/* The members of a set of lines; result is allocated in the arena. */
static int
list_members(EngineLines *lines, const bool *member, const int **result)
{
	int		   *list;
	int			n = 0;
	int			i;

	for (i = 0; i < lines->nlines; i++)
		n += member[i];
	list = gepa_engine_alloc(lines->arena, n * sizeof(int));
	*result = list;
	for (i = 0; i < lines->nlines; i++)
		if (member[i])
			*list++ = i;
	return n;
}

static void
compose(EngineLines *lines, EngineComposition *composition, const bool *member)
{
	bool	   *effect = palloc(Max(lines->nlines, 1) * sizeof(bool));
	int			i;

	memcpy(effect, member, lines->nlines * sizeof(bool));
	/* an ancestor has a lower number than what was derived from it */
	for (i = lines->nlines - 1; i >= 0; i--)
		if (effect[i] && lines->lines[i].ancestor >= 0)
			effect[lines->lines[i].ancestor] = true;
	composition->nlines = list_members(lines, member, &composition->lines);
	composition->neffects = list_members(lines, effect, &composition->effects);
	pfree(effect);
}

/* Read the components; new lines get their numbers. */
static void
read_components(EngineLines *lines, const char *const *texts, int parent, int **read, int *nread)
{
	int			c;

	for (c = 0; c < lines->config->ncomponents; c++)
	{
		EngineRewrite rewrite = {0};

		rewrite.first_new = lines->nknown;
		nread[c] = gepa_engine_read_lines(lines, c, texts[c], &read[c]);
		rewrite.nafter = nread[c];
		rewrite.after = read[c];
		number_lines(lines, c, &rewrite,
					 parent < 0 ? NULL : lines->compositions[parent].texts[c]);
	}
}

/* Mark the lines that have a number; returns how many words all of them have. */
static int64
mark_members(const EngineLines *lines, int *const *read, const int *nread, bool *member)
{
	int64		words = 0;
	int			c;
	int			i;

	for (c = 0; c < lines->config->ncomponents; c++)
		for (i = 0; i < nread[c]; i++)
		{
			const EngineKnownLine *known = &lines->known[read[c][i]];

			words += known->words;
			if (known->number >= 0)
				member[known->number] = true;
		}
	return words;
}

void
gepa_engine_lines_add(EngineLines *lines, const char *const *texts, int parent)
{
	int			n = lines->config->ncomponents;
	EngineComposition *composition;
	int		  **read = palloc(n * sizeof(int *));
	int		   *nread = palloc(n * sizeof(int));
	bool	   *member;
	int64		words;
	int			c;

	read_components(lines, texts, parent, read, nread);
	member = palloc0(Max(lines->nlines, 1) * sizeof(bool));
	words = mark_members(lines, read, nread, member);
	for (c = 0; c < n; c++)
		pfree(read[c]);
	pfree(read);
	pfree(nread);

	lines->compositions = gepa_engine_grow(lines->arena, lines->compositions,
										   lines->ncandidates, &lines->candidates_allocated,
										   sizeof(EngineComposition));
	if (lines->ncandidates == 0)
		lines->seed_words = words;
	composition = &lines->compositions[lines->ncandidates++];
	composition->texts = texts;
	composition->length = (words - lines->seed_words) / WORDS_PER_UNIT;
	compose(lines, composition, member);
	pfree(member);
}
