/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Reading and writing JSON without raising errors.
 *
 * Text from a model or an endpoint is hostile: a parse failure is an outcome,
 * not an ERROR.  PostgreSQL's own lexer and parser do the work
 * (common/jsonapi.h); this module builds a small tree from them.  Frontend
 * safe: the unit programs link the same file.
 *
 * Everything is allocated in the current memory context and lives as long.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_JSON_H
#define GEPA_BASE_JSON_H

#include "lib/stringinfo.h"

typedef enum GepaJsonKind
{
	GEPA_JSON_NULL,
	GEPA_JSON_BOOL,
	GEPA_JSON_NUMBER,
	GEPA_JSON_STRING,
	GEPA_JSON_ARRAY,
	GEPA_JSON_OBJECT
} GepaJsonKind;

typedef struct GepaJson
{
	GepaJsonKind kind;
	char	   *text;			/* string value, or the number as written */
	bool		boolean;
	int			nitems;			/* elements or fields, in order of the text */
	char	  **keys;			/* objects only */
	struct GepaJson **items;
} GepaJson;

/* json.c: reading */

/*
 * Parse text of the given length (need not be NUL-terminated).  Returns NULL
 * and sets *error (a short phrase; may be passed as NULL) when the text is
 * not in its encoding, not valid JSON, nested deeper than GEPA_JSON_MAX_DEPTH,
 * of more values than GEPA_JSON_MAX_VALUES, or contains the NUL escape.  Of
 * duplicate keys the last one counts.
 *
 * gepa_json_parse() is for texts of the server, in the database's encoding;
 * gepa_json_parse_utf8() for what comes over the wire, and its strings are
 * in UTF-8; a byte order mark in front is passed over.
 */
#define GEPA_JSON_MAX_DEPTH 64
#define GEPA_JSON_MAX_VALUES 2000000
extern GepaJson *gepa_json_parse(const char *text, size_t len, const char **error);
extern GepaJson *gepa_json_parse_utf8(const char *text, size_t len, const char **error);

/* Field of an object, or element of an array; NULL when absent or not one. */
extern GepaJson *gepa_json_get(const GepaJson *object, const char *key);
extern GepaJson *gepa_json_item(const GepaJson *array, int index);

/* Value of a field when it has the wanted kind, else NULL / false. */
extern const char *gepa_json_get_string(const GepaJson *object, const char *key);
extern bool gepa_json_get_number(const GepaJson *object, const char *key, double *value);

/* json.c: writing */

/*
 * Append a JSON string literal, quotes included.  Control characters are
 * escaped, others are copied.
 */
extern void gepa_json_quote(StringInfo buf, const char *text);

/* Append a parsed tree as compact JSON (member order kept). */
extern void gepa_json_write(StringInfo buf, const GepaJson *value);

#endif							/* GEPA_BASE_JSON_H */
