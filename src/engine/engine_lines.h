/*-------------------------------------------------------------------------
 *
 * engine_lines.h
 *	  What the files about lines share, and lists of examples.
 *
 * Internal to src/engine; who only wants lines includes engine_policy.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_LINES_H
#define GEPA_ENGINE_LINES_H

#include "lib/stringinfo.h"

#include "engine/engine_policy.h"

/* lines.c */

/* Every line that was ever read, those of the seed too. */
typedef struct EngineKnownLine
{
	int			component;
	uint32		hash;			/* of text */
	const char *text;			/* collapsed */
	const char *original;
	int			words;
	bool		is_heading;
	int			number;			/* -1 = the seed's, or one too many */
} EngineKnownLine;

/* What a text consists of: what stands between two separators. */
typedef struct EnginePiece
{
	const char *start;			/* not terminated */
	int			length;
	int			known;			/* -1 = blank */
	bool		joined;			/* no line break before it: goes on with a
								 * paragraph; its blanks stand before it */
} EnginePiece;

/* pieces.c */
extern bool gepa_engine_is_blank(char c);

/* How long is the mark of a point ("- ", "1. ") that the text begins with?  0 = none. */
extern int	gepa_engine_mark_length(const char *text, int length);

/*
 * Cut a text into pieces that are not known yet, allocated by palloc; a list of examples
 * at its commas.
 */
extern int	gepa_engine_cut_pieces(const char *text, bool is_list, EnginePiece **pieces);

/* Read a text; pieces are allocated by palloc.  New lines become known. */
extern int	gepa_engine_read_pieces(EngineLines *lines, int component, const char *text,
									EnginePiece **pieces);

/* The lines of a text, one after the other, as places in known; allocated by palloc. */
extern int	gepa_engine_read_lines(EngineLines *lines, int component, const char *text,
								   int **result);

/* lineage.c */

/* One component's lines as they were and as they are, as places in known. */
typedef struct EngineRewrite
{
	int			nbefore;
	const int  *before;
	int			nafter;
	const int  *after;
	int			first_new;		/* lines from here on are new */
} EngineRewrite;

/*
 * Which line does each new one take the place of?  replaced has an element for each
 * of the known lines from first_new on: a place in known, or -1.
 */
extern void gepa_engine_find_replaced(const EngineLines *lines, const EngineRewrite *rewrite,
									  int *replaced);

/* edit.c */

/*
 * After which of the pieces does a line that is to be added belong?  -1: none of those
 * before it in its source is among them.
 */
extern int	gepa_engine_find_anchor(EngineLines *lines, int line, const EnginePiece *pieces,
									int npieces);

/* edit_list.c: as gepa_engine_lines_edit(), of one list; allocated by palloc */
extern char *gepa_engine_edit_list(EngineLines *lines, const char *text,
								   const EngineEdit *edits, int nedits);

/* example_list.c */

typedef struct EngineExampleList
{
	const EngineConfig *config;
	EngineRandom *random;		/* NULL = nothing is drawn */
	int			n;
	int		   *items;
	bool	   *listed;			/* per example */
	int		   *counts;			/* per class, in the list */
	int		   *unused;			/* per class, not in the list */
} EngineExampleList;

/* The text must be a good list (gepa_engine_check_examples). */
extern void gepa_engine_list_open(EngineExampleList *list, const EngineConfig *config,
								  EngineRandom *random, const char *text);
extern void gepa_engine_list_close(EngineExampleList *list);
extern char *gepa_engine_list_write(const EngineExampleList *list);
extern void gepa_engine_list_put(EngineExampleList *list, int place, int example);
extern void gepa_engine_list_take(EngineExampleList *list, int place);

/* Fewest members among the classes that could still give one. */
extern int	gepa_engine_list_lowest(const EngineExampleList *list);
extern int	gepa_engine_list_highest(const EngineExampleList *list);

#endif							/* GEPA_ENGINE_LINES_H */
