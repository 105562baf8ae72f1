/*-------------------------------------------------------------------------
 *
 * edit.c
 *	  A candidate's texts with lines dropped and added.
 *
 * Changes come from the score model (recombine.c), which knows lines and not what
 * they mean; so they are made where they do least harm.  What stands in the seed,
 * and headings, are never dropped.  A line that is added is put where it was written:
 * after the nearest line before it in its source that is here as well.  Without
 * any it goes after the last line that is not the seed's, where a prompt has grown
 * before; without any of those, after an empty line at the end.
 *
 * First lines are dropped, then added in the order given.  Runs of blank lines
 * shrink to one; all else of a text stays as it is, to the byte, and components
 * without a change are not touched.  What comes out may be a known candidate but for
 * blanks; then it is that candidate's texts, so that nobody pays for it twice.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "engine/engine_lines.h"

/* A text that is being edited. */
typedef struct EditedText
{
	EngineLines *lines;
	int			n;
	EnginePiece *pieces;		/* room for two more for each edit */
	bool		changed;
} EditedText;

static int
number_of(const EngineLines *lines, const EnginePiece *piece)
{
	return piece->known < 0 ? -1 : lines->known[piece->known].number;
}

int
gepa_engine_find_anchor(EngineLines *lines, int line, const EnginePiece *pieces, int npieces)
{
	const EngineLine *added = &lines->lines[line];
	const EngineComposition *source = &lines->compositions[added->source];
	EnginePiece *before;
	int			n = gepa_engine_read_pieces(lines, added->component,
											source->texts[added->component], &before);
	int		   *places = palloc(Max(lines->nknown, 1) * sizeof(int));
	int			anchor = -1;
	int			i;

	for (i = 0; i < lines->nknown; i++)
		places[i] = -1;
	for (i = npieces - 1; i >= 0; i--)
		if (pieces[i].known >= 0)
			places[pieces[i].known] = i;
	for (i = 0; i < n && number_of(lines, &before[i]) != line;)
		i++;
	while (anchor < 0 && --i >= 0)
		if (before[i].known >= 0)
			anchor = places[before[i].known];
	pfree(places);
	pfree(before);
	return anchor;
}

/* A sentence is to begin a line. */
static void
break_before(EnginePiece *piece)
{
	piece->joined = false;
	while (piece->length > 0 && gepa_engine_is_blank(*piece->start))
	{
		piece->start++;
		piece->length--;
	}
}

static void
drop_line(EditedText *text, int line)
{
	bool		broken = false;
	int			n = 0;
	int			i;

	for (i = 0; i < text->n; i++)
	{
		const EnginePiece *piece = &text->pieces[i];

		if (number_of(text->lines, piece) == line &&
			!text->lines->known[piece->known].is_heading)
			text->changed = true;
		else
		{
			EnginePiece kept = *piece;

			if (broken && kept.joined)
				break_before(&kept);
			text->pieces[n++] = kept;
			broken = false;
			continue;
		}
		/* what follows the first sentence of a paragraph is the first now */
		broken = !piece->joined || broken;
	}
	text->n = n;
}

/* Is the piece one of several on its line? */
static bool
is_in_paragraph(const EditedText *text, int place)
{
	return text->pieces[place].joined || (place + 1 < text->n && text->pieces[place + 1].joined);
}

static void
insert_piece(EditedText *text, int place, const EnginePiece *piece)
{
	memmove(text->pieces + place + 1, text->pieces + place,
			(text->n - place) * sizeof(EnginePiece));
	text->pieces[place] = *piece;
	text->n++;
}

/* The place of the last line that is not the seed's; -1 if there is none. */
static int
last_numbered(const EditedText *text)
{
	int			i;

	for (i = text->n - 1; i >= 0; i--)
		if (number_of(text->lines, &text->pieces[i]) >= 0)
			break;
	return i;
}

static bool
has_line(const EditedText *text, int line)
{
	int			i;

	for (i = 0; i < text->n; i++)
		if (number_of(text->lines, &text->pieces[i]) == line)
			return true;
	return false;
}

static void
add_line(EditedText *text, int line)
{
	static const EnginePiece empty_line = {"", 0, -1, false};
	const EngineLines *lines = text->lines;
	const char *original = lines->lines[line].original;
	EnginePiece piece = {original, strlen(original), 0, false};
	int			anchor;

	if (has_line(text, line))
		return;
	while (lines->known[piece.known].text != lines->lines[line].text)
		piece.known++;
	anchor = gepa_engine_find_anchor(text->lines, line, text->pieces, text->n);
	if (anchor < 0)
		anchor = last_numbered(text);
	if (anchor < 0)
	{
		insert_piece(text, text->n, &empty_line);
		anchor = text->n - 1;
	}
	piece.joined = is_in_paragraph(text, anchor) &&
		gepa_engine_mark_length(piece.start, piece.length) == 0;
	insert_piece(text, anchor + 1, &piece);
	if (!piece.joined && anchor + 2 < text->n && text->pieces[anchor + 2].joined)
		break_before(&text->pieces[anchor + 2]);
	text->changed = true;
}

/* The text as it is now, without runs of blank lines. */
static char *
write_text(const EditedText *text)
{
	StringInfoData buf;
	bool		blank = false;
	bool		first = true;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < text->n; i++)
	{
		const EnginePiece *piece = &text->pieces[i];

		if (piece->known < 0 && blank)
			continue;
		blank = piece->known < 0;
		if (!first && !piece->joined)
			appendStringInfoChar(&buf, '\n');
		else if (piece->joined && !gepa_engine_is_blank(*piece->start))
			appendStringInfoChar(&buf, ' ');
		first = false;
		appendBinaryStringInfo(&buf, piece->start, piece->length);
	}
	return buf.data;
}

static char *
edit_text(EngineLines *lines, const char *before, const EngineEdit *edits, int nedits)
{
	EditedText	text = {.lines = lines};
	char	   *result;
	int			i;

	text.n = gepa_engine_read_pieces(lines, lines->lines[edits[0].line].component, before,
									 &text.pieces);
	text.pieces = repalloc(text.pieces, (text.n + 2 * nedits) * sizeof(EnginePiece));
	for (i = 0; i < nedits; i++)
		if (edits[i].drop)
			drop_line(&text, edits[i].line);
	for (i = 0; i < nedits; i++)
		if (!edits[i].drop)
			add_line(&text, edits[i].line);
	result = text.changed ? write_text(&text) : NULL;
	pfree(text.pieces);
	return result;
}

/* One component's text after those of the edits that are its own; NULL = as it was. */
static char *
edit_component(EngineLines *lines, int component, const char *text,
			   const EngineEdit *edits, int nedits)
{
	EngineEdit *own = palloc(Max(nedits, 1) * sizeof(EngineEdit));
	char	   *result = NULL;
	int			n = 0;
	int			i;

	for (i = 0; i < nedits; i++)
		if (lines->lines[edits[i].line].component == component)
			own[n++] = edits[i];
	if (n > 0 && lines->config->components[component].kind == ENGINE_COMPONENT_EXAMPLES)
		result = gepa_engine_edit_list(lines, text, own, n);
	else if (n > 0)
		result = edit_text(lines, text, own, n);
	pfree(own);
	return result;
}

/* Do two texts consist of the same lines, in the same order? */
static bool
has_same_lines(EngineLines *lines, int component, const char *left, const char *right)
{
	int		   *a;
	int		   *b;
	int			n;
	bool		same;

	if (strcmp(left, right) == 0)
		return true;
	n = gepa_engine_read_lines(lines, component, left, &a);
	same = gepa_engine_read_lines(lines, component, right, &b) == n &&
		memcmp(a, b, n * sizeof(int)) == 0;
	pfree(a);
	pfree(b);
	return same;
}

static bool
is_candidate(EngineLines *lines, const char *const *texts, int candidate)
{
	int			c;

	for (c = 0; c < lines->config->ncomponents; c++)
		if (!has_same_lines(lines, c, texts[c], lines->compositions[candidate].texts[c]))
			return false;
	return true;
}

const char *const *
gepa_engine_lines_edit(EngineLines *lines, int candidate, const EngineEdit *edits, int nedits)
{
	int			n = lines->config->ncomponents;
	const char *const *before = lines->compositions[candidate].texts;
	const char **after = palloc(n * sizeof(char *));
	const char *const *result = NULL;
	bool		changed = false;
	int			known = 0;
	int			c;

	for (c = 0; c < n; c++)
	{
		char	   *text = edit_component(lines, c, before[c], edits, nedits);

		after[c] = before[c];
		if (text == NULL)
			continue;
		after[c] = gepa_engine_strdup(lines->arena, text);
		changed = true;
		pfree(text);
	}
	if (changed && !is_candidate(lines, after, candidate))
	{
		while (known < lines->ncandidates && !is_candidate(lines, after, known))
			known++;
		result = known < lines->ncandidates ? lines->compositions[known].texts :
			memcpy(gepa_engine_alloc(lines->arena, n * sizeof(char *)), after,
				   n * sizeof(char *));
	}
	pfree(after);
	return result;
}
