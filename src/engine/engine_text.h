/*-------------------------------------------------------------------------
 *
 * engine_text.h
 *	  Texts: the identity of a candidate, prompts for reflection, answers.
 *
 * Part of the door; engine.h includes it.  Usable without an engine.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_TEXT_H
#define GEPA_ENGINE_TEXT_H

#include "lib/stringinfo.h"

/* identity.c */

/*
 * Identity of a candidate across runs: SHA-256 (32 bytes) over the JSON text of
 * its name and text pairs, sorted by name.  False when there is no SHA-256 to be had.
 * In the backend it needs a resource owner, that is, a transaction.
 */
#define ENGINE_IDENTITY_LENGTH 32
extern bool gepa_engine_identity(int ncomponents, const char *const *names,
								 const char *const *texts, uint8 *identity);

/* reflect.c: texts of reflection; usable without an engine */

typedef enum EngineValueKind
{
	ENGINE_VALUE_TEXT,			/* leaf: trimmed text */
	ENGINE_VALUE_MAP,
	ENGINE_VALUE_LIST
} EngineValueKind;

typedef struct EngineValue
{
	EngineValueKind kind;
	const char *text;
	int			nitems;
	const char *const *keys;	/* maps */
	const struct EngineValue *items;
} EngineValue;

/* NULL when both placeholders are there, else a message naming the missing. */
extern const char *gepa_engine_check_template(const char *template);

/*
 * The reflection prompt: template with <curr_param> and <side_info> replaced.
 * With expand, placeholders inside the current text are replaced as well (as
 * the reference does); else the template's own only.
 */
extern char *gepa_engine_render_reflection(const char *template, const char *current,
										   const EngineValue *records, int nrecords,
										   bool expand);

/* The new text out of an answer: what stands in its outermost fences. */
extern char *gepa_engine_extract_text(const char *answer);

#endif							/* GEPA_ENGINE_TEXT_H */
