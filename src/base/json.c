/*-------------------------------------------------------------------------
 *
 * json.c
 *	  A small tree from PostgreSQL's JSON parser, and JSON text from strings.
 *
 * The parser of common/jsonapi.c reports errors by code, but guards its
 * recursion with check_stack_depth(), which raises.  Depth is therefore
 * counted before it runs.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <ctype.h>
#include <limits.h>

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"

#include "base/compat.h"
#include "base/encoding.h"
#include "base/json.h"

typedef struct Builder
{
	GepaJson   *root;
	GepaJson   *stack[GEPA_JSON_MAX_DEPTH + 1];
	int			depth;
	char	   *key;			/* of the field that comes next */
} Builder;

/*
 * Reading
 */

static void
grow(GepaJson *container)
{
	int			n = container->nitems;

	/* Powers of two: room is there unless n is one. */
	if (n > 0 && (n & (n - 1)) != 0)
		return;
	if (n == 0)
		container->items = palloc(sizeof(GepaJson *));
	else
		container->items = repalloc(container->items, sizeof(GepaJson *) * n * 2);
	if (container->kind != GEPA_JSON_OBJECT)
		return;
	if (n == 0)
		container->keys = palloc(sizeof(char *));
	else
		container->keys = repalloc(container->keys, sizeof(char *) * n * 2);
}

static GepaJson *
add_value(Builder *builder, GepaJsonKind kind)
{
	GepaJson   *value = palloc0(sizeof(GepaJson));
	GepaJson   *container;

	value->kind = kind;
	if (builder->depth == 0)
	{
		builder->root = value;
		return value;
	}
	container = builder->stack[builder->depth - 1];
	grow(container);
	if (container->kind == GEPA_JSON_OBJECT)
		container->keys[container->nitems] = builder->key;
	container->items[container->nitems++] = value;
	return value;
}

static GEPA_JSON_ACTION
on_object_start(void *state)
{
	Builder    *builder = state;
	GepaJson   *value = add_value(builder, GEPA_JSON_OBJECT);

	builder->stack[builder->depth++] = value;
	GEPA_JSON_ACTION_DONE;
}

static GEPA_JSON_ACTION
on_array_start(void *state)
{
	Builder    *builder = state;
	GepaJson   *value = add_value(builder, GEPA_JSON_ARRAY);

	builder->stack[builder->depth++] = value;
	GEPA_JSON_ACTION_DONE;
}

static GEPA_JSON_ACTION
on_end(void *state)
{
	((Builder *) state)->depth--;
	GEPA_JSON_ACTION_DONE;
}

static GEPA_JSON_ACTION
on_field(void *state, char *name, bool isnull)
{
	((Builder *) state)->key = pstrdup(name);
	GEPA_JSON_ACTION_DONE;
}

static GEPA_JSON_ACTION
on_scalar(void *state, char *token, JsonTokenType type)
{
	GepaJsonKind kind = GEPA_JSON_NULL;
	GepaJson   *value;

	if (type == JSON_TOKEN_STRING)
		kind = GEPA_JSON_STRING;
	else if (type == JSON_TOKEN_NUMBER)
		kind = GEPA_JSON_NUMBER;
	else if (type == JSON_TOKEN_TRUE || type == JSON_TOKEN_FALSE)
		kind = GEPA_JSON_BOOL;
	value = add_value(state, kind);
	value->boolean = (type == JSON_TOKEN_TRUE);
	if (kind == GEPA_JSON_STRING || kind == GEPA_JSON_NUMBER)
		value->text = pstrdup(token);
	GEPA_JSON_ACTION_DONE;
}

/*
 * What would be too much for the parser's stack, or for memory: a value of two
 * bytes becomes a hundred.  Returns what is wrong; counts outside strings only.
 */
static const char *
check_size(const char *text, size_t len)
{
	int			depth = 0;
	int			nvalues = 1;
	bool		in_string = false;

	for (size_t i = 0; i < len; i++)
	{
		char		c = text[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if ((c == '{' || c == '[') && ++depth > GEPA_JSON_MAX_DEPTH)
			return "nested too deeply";
		else if (c == '}' || c == ']')
			depth--;
		nvalues += c == '{' || c == '[' || c == ',';
		if (nvalues > GEPA_JSON_MAX_VALUES)
			return "of too many values";
	}
	return NULL;
}

#ifndef FRONTEND

static bool
read_escape(const char *at, const char *end, pg_wchar *code)
{
	*code = 0;
	if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return false;
	for (int i = 2; i < 6; i++)
	{
		if (!isxdigit((unsigned char) at[i]))
			return false;
		*code = *code * 16 + (isdigit((unsigned char) at[i]) ? at[i] - '0' :
							  (at[i] | 0x20) - 'a' + 10);
	}
	return true;
}

/* Bytes of the escape at a backslash; *code 0 where the lexer may have it. */
static int
escape_length(const char *at, const char *end, pg_wchar *code)
{
	pg_wchar	low;

	if (!read_escape(at, end, code))
	{
		*code = 0;
		return Min(2, (int) (end - at));
	}
	if (is_utf16_surrogate_first(*code) && read_escape(at + 6, end, &low) &&
		is_utf16_surrogate_second(low))
	{
		*code = surrogate_pair_to_codepoint(*code, low);
		return 12;
	}
	if (*code < 0x80 || is_utf16_surrogate_first(*code) || is_utf16_surrogate_second(*code))
		*code = 0;
	return 6;
}

/*
 * Escapes of characters beyond ASCII as these characters.  The lexer would
 * turn them into the database's encoding, raise where it lacks them, and mix
 * the two in one string.
 */
static char *
unescape(const char *text, size_t *len)
{
	const char *end = text + *len;
	StringInfoData buf;

	initStringInfo(&buf);
	while (text < end)
	{
		pg_wchar	code = 0;
		int			length = *text == '\\' ? escape_length(text, end, &code) : 1;
		unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN];

		text += length;
		if (code == 0)
			appendBinaryStringInfo(&buf, text - length, length);
		else
		{
			(void) unicode_to_utf8(code, utf8);
			appendBinaryStringInfo(&buf, (char *) utf8,
								   pg_encoding_mblen(PG_UTF8, (char *) utf8));
		}
	}
	*len = buf.len;
	return buf.data;
}

#endif							/* FRONTEND */

GepaJson *
gepa_json_parse_utf8(const char *text, size_t len, const char **error)
{
	const char *ignored;
	Builder		builder = {0};
	JsonSemAction actions = {0};

	if (error == NULL)
		error = &ignored;
	*error = NULL;
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
	{
		text += 3;
		len -= 3;
	}
	if (len > INT_MAX / 2)
		*error = "too long";
	else if (memchr(text, '\0', len) != NULL)
		*error = "contains a NUL byte";
	else if (pg_encoding_verifymbstr(PG_UTF8, text, (int) len) != (int) len)
		*error = "not valid UTF-8";
	else
		*error = check_size(text, len);
	if (*error != NULL)
		return NULL;

#ifndef FRONTEND
	if (GetDatabaseEncoding() != PG_UTF8)
		text = unescape(text, &len);
#endif
	actions.semstate = &builder;
	actions.object_start = on_object_start;
	actions.object_end = on_end;
	actions.array_start = on_array_start;
	actions.array_end = on_end;
	actions.object_field_start = on_field;
	actions.scalar = on_scalar;
	if (gepa_parse_json_tokens(text, (int) len, &actions) != JSON_SUCCESS)
	{
		*error = "not valid JSON";
		return NULL;
	}
	return builder.root;
}

/* Depth is bounded by the parser. */
static void
convert_strings(GepaJson *value)
{
	value->text = gepa_from_utf8(value->text);
	for (int i = 0; i < value->nitems; i++)
	{
		if (value->kind == GEPA_JSON_OBJECT)
			value->keys[i] = gepa_from_utf8(value->keys[i]);
		convert_strings(value->items[i]);
	}
}

GepaJson *
gepa_json_parse(const char *text, size_t len, const char **error)
{
	GepaJson   *root;
	char	   *utf8;

	if (!gepa_needs_conversion() || len > INT_MAX / 2 || memchr(text, '\0', len) != NULL)
		return gepa_json_parse_utf8(text, len, error);
	utf8 = gepa_to_utf8(pnstrdup(text, len), (int) len);
	root = gepa_json_parse_utf8(utf8, strlen(utf8), error);
	if (root != NULL)
		convert_strings(root);
	return root;
}

GepaJson *
gepa_json_get(const GepaJson *object, const char *key)
{
	if (object == NULL || object->kind != GEPA_JSON_OBJECT)
		return NULL;
	for (int i = object->nitems - 1; i >= 0; i--)
		if (strcmp(object->keys[i], key) == 0)
			return object->items[i];
	return NULL;
}

GepaJson *
gepa_json_item(const GepaJson *array, int index)
{
	if (array == NULL || array->kind != GEPA_JSON_ARRAY ||
		index < 0 || index >= array->nitems)
		return NULL;
	return array->items[index];
}

const char *
gepa_json_get_string(const GepaJson *object, const char *key)
{
	GepaJson   *value = gepa_json_get(object, key);

	return value && value->kind == GEPA_JSON_STRING ? value->text : NULL;
}

bool
gepa_json_get_number(const GepaJson *object, const char *key, double *value)
{
	GepaJson   *found = gepa_json_get(object, key);

	if (found == NULL || found->kind != GEPA_JSON_NUMBER)
		return false;
	*value = strtod(found->text, NULL);
	return true;
}

/*
 * Writing
 */

static inline bool
needs_escape(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\';
}

static void
append_escape(StringInfo buf, unsigned char c)
{
	switch (c)
	{
		case '"':
			appendStringInfoString(buf, "\\\"");
			break;
		case '\\':
			appendStringInfoString(buf, "\\\\");
			break;
		case '\n':
			appendStringInfoString(buf, "\\n");
			break;
		case '\t':
			appendStringInfoString(buf, "\\t");
			break;
		case '\r':
			appendStringInfoString(buf, "\\r");
			break;
		default:
			appendStringInfo(buf, "\\u%04x", c);
			break;
	}
}

#define EVERY_BYTE(c) (UINT64CONST(0x0101010101010101) * (c))

/* Whether one of eight bytes needs an escape: the same for all at once. */
static inline bool
any_escape(const char *p)
{
	uint64		bytes;
	uint64		quotes;
	uint64		backslashes;

	memcpy(&bytes, p, sizeof(bytes));
	quotes = bytes ^ EVERY_BYTE('"');
	backslashes = bytes ^ EVERY_BYTE('\\');
	return (((bytes - EVERY_BYTE(0x20)) & ~bytes) |
			((quotes - EVERY_BYTE(1)) & ~quotes) |
			((backslashes - EVERY_BYTE(1)) & ~backslashes)) & EVERY_BYTE(0x80);
}

/* The first byte that needs an escape, or the end. */
static const char *
find_escape(const char *p, const char *end)
{
	while (end - p >= 8 && !any_escape(p))
		p += 8;
	while (p < end && !needs_escape((unsigned char) *p))
		p++;
	return p;
}

void
gepa_json_quote(StringInfo buf, const char *text)
{
	const char *end = text + strlen(text);

	enlargeStringInfo(buf, (int) Min(end - text + 3, INT_MAX));
	appendStringInfoChar(buf, '"');
	while (text < end)
	{
		/* What needs no escape is copied at once: documents are long. */
		const char *plain = text;

		text = find_escape(text, end);
		appendBinaryStringInfo(buf, plain, (int) (text - plain));
		if (text < end)
			append_escape(buf, (unsigned char) *text++);
	}
	appendStringInfoChar(buf, '"');
}

void
gepa_json_write(StringInfo buf, const GepaJson *value)
{
	bool		object = value->kind == GEPA_JSON_OBJECT;

	switch (value->kind)
	{
		case GEPA_JSON_NULL:
			appendStringInfoString(buf, "null");
			return;
		case GEPA_JSON_BOOL:
			appendStringInfoString(buf, value->boolean ? "true" : "false");
			return;
		case GEPA_JSON_NUMBER:
			appendStringInfoString(buf, value->text);
			return;
		case GEPA_JSON_STRING:
			gepa_json_quote(buf, value->text);
			return;
		case GEPA_JSON_ARRAY:
		case GEPA_JSON_OBJECT:
			break;
	}
	appendStringInfoChar(buf, object ? '{' : '[');
	for (int i = 0; i < value->nitems; i++)
	{
		if (i > 0)
			appendStringInfoChar(buf, ',');
		if (object)
		{
			gepa_json_quote(buf, value->keys[i]);
			appendStringInfoChar(buf, ':');
		}
		gepa_json_write(buf, value->items[i]);
	}
	appendStringInfoChar(buf, object ? '}' : ']');
}
