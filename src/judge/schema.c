/*-------------------------------------------------------------------------
 *
 * schema.c
 *	  JSON schemas, as far as the outputs of a step need them.
 *
 * A schema goes to the endpoint as it is, and answers are checked here.  A keyword
 * that is not checked would be a promise not kept, so schemas with others than these,
 * and those that only describe, are refused when they are given.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "base/text.h"
#include "judge/judge_internal.h"

#define KEYWORDS "type, enum, const, properties, required, additionalProperties, items, minItems, maxItems, minLength, maxLength, minimum, maximum"

static const char *const type_names[] = {
	"null", "boolean", "number", "string", "array", "object", "integer"
};

/* The value as compact JSON, to be compared and shown. */
static char *
write_value(const GepaJson *value)
{
	StringInfoData buf;

	initStringInfo(&buf);
	gepa_json_write(&buf, value);
	return buf.data;
}

/*
 * Schemas
 */

static bool
is_type(const GepaJson *value)
{
	for (int i = 0; i < lengthof(type_names) && value->kind == GEPA_JSON_STRING; i++)
		if (strcmp(value->text, type_names[i]) == 0)
			return true;
	return false;
}

static bool
are_types(const GepaJson *value)
{
	bool		good = value->kind == GEPA_JSON_ARRAY && value->nitems > 0;

	for (int i = 0; i < value->nitems && good; i++)
		good = is_type(value->items[i]);
	return good || is_type(value);
}

static bool
are_strings(const GepaJson *value)
{
	bool		good = value->kind == GEPA_JSON_ARRAY;

	for (int i = 0; i < value->nitems && good; i++)
		good = value->items[i]->kind == GEPA_JSON_STRING;
	return good;
}

static bool
is_count(const GepaJson *value)
{
	double		number;

	return value->kind == GEPA_JSON_NUMBER && (number = strtod(value->text, NULL)) >= 0 &&
		number == floor(number);
}

static char *
properties_problem(const GepaJson *value)
{
	char	   *problem = NULL;

	if (value->kind != GEPA_JSON_OBJECT)
		return "\"properties\" must be an object";
	for (int i = 0; i < value->nitems && problem == NULL; i++)
		problem = gepa_judge_schema_problem(value->items[i]);
	return problem;
}

static bool
only_describes(const char *key)
{
	return strcmp(key, "title") == 0 || strcmp(key, "description") == 0 ||
		strcmp(key, "default") == 0 || strcmp(key, "examples") == 0;
}

/* Whether the value of a keyword that has no schemas in it will do; -1 = no such keyword. */
static int
keyword_fits(const char *key, const GepaJson *value)
{
	if (strcmp(key, "type") == 0)
		return are_types(value);
	if (strcmp(key, "enum") == 0)
		return value->kind == GEPA_JSON_ARRAY && value->nitems > 0;
	if (strcmp(key, "required") == 0)
		return are_strings(value);
	if (strcmp(key, "additionalProperties") == 0)
		return value->kind == GEPA_JSON_BOOL;
	if (strcmp(key, "minItems") == 0 || strcmp(key, "maxItems") == 0 ||
		strcmp(key, "minLength") == 0 || strcmp(key, "maxLength") == 0)
		return is_count(value);
	if (strcmp(key, "minimum") == 0 || strcmp(key, "maximum") == 0)
		return value->kind == GEPA_JSON_NUMBER;
	return strcmp(key, "const") == 0 || only_describes(key) ? 1 : -1;
}

static char *
keyword_problem(const char *key, const GepaJson *value)
{
	int			fits;

	if (strcmp(key, "properties") == 0)
		return properties_problem(value);
	if (strcmp(key, "items") == 0)
		return gepa_judge_schema_problem(value);
	fits = keyword_fits(key, value);
	if (fits < 0)
		return psprintf("keyword \"%s\" is not among %s", key, KEYWORDS);
	return fits ? NULL : psprintf("the value of \"%s\" is none that it can have", key);
}

char *
gepa_judge_schema_problem(const GepaJson *schema)
{
	char	   *problem = NULL;

	if (schema->kind != GEPA_JSON_OBJECT)
		return "a schema must be an object, for example {\"type\": \"string\"}";
	for (int i = 0; i < schema->nitems && problem == NULL; i++)
		problem = keyword_problem(schema->keys[i], schema->items[i]);
	return problem;
}

/*
 * Values
 */

static bool
has_type(const GepaJson *value, const char *type)
{
	double		number;

	if (strcmp(type, "integer") != 0)
		return strcmp(type, type_names[value->kind]) == 0;
	if (value->kind != GEPA_JSON_NUMBER)
		return false;
	number = strtod(value->text, NULL);
	return number == floor(number);
}

static bool
fits_type(const GepaJson *type, const GepaJson *value)
{
	bool		good = type == NULL;

	if (type != NULL && type->kind == GEPA_JSON_STRING)
		good = has_type(value, type->text);
	for (int i = 0; type != NULL && type->kind == GEPA_JSON_ARRAY && i < type->nitems; i++)
		good = good || has_type(value, type->items[i]->text);
	return good;
}

static bool
is_same(const GepaJson *a, const GepaJson *b)
{
	return a->kind == b->kind && strcmp(write_value(a), write_value(b)) == 0;
}

static bool
is_listed(const GepaJson *choices, const GepaJson *value)
{
	for (int i = 0; i < choices->nitems; i++)
		if (is_same(choices->items[i], value))
			return true;
	return false;
}

static char *
range_breach(const GepaJson *schema, const char *low, const char *high, double size,
			 const char *what)
{
	double		limit;

	if (gepa_json_get_number(schema, low, &limit) && size < limit)
		return psprintf("has %s %g, less than %g", what, size, limit);
	if (gepa_json_get_number(schema, high, &limit) && size > limit)
		return psprintf("has %s %g, more than %g", what, size, limit);
	return NULL;
}

static int
count_chars(const char *text)
{
	const char *end = text + strlen(text);
	int			encoding = gepa_text_encoding();
	int			n = 0;

	for (; text < end; n++)
		text += gepa_char_length(encoding, text, end);
	return n;
}

static char *
array_breach(const GepaJson *schema, const GepaJson *value)
{
	const GepaJson *items = gepa_json_get(schema, "items");
	char	   *breach = range_breach(schema, "minItems", "maxItems", value->nitems, "length");

	for (int i = 0; items != NULL && i < value->nitems && breach == NULL; i++)
	{
		breach = gepa_judge_schema_breach(items, value->items[i]);
		if (breach != NULL)
			breach = psprintf("has an element that %s", breach);
	}
	return breach;
}

static char *
members_breach(const GepaJson *schema, const GepaJson *value)
{
	const GepaJson *properties = gepa_json_get(schema, "properties");
	const GepaJson *others = gepa_json_get(schema, "additionalProperties");
	char	   *breach = NULL;

	for (int i = 0; i < value->nitems && breach == NULL; i++)
	{
		const GepaJson *member = properties ? gepa_json_get(properties, value->keys[i]) : NULL;

		if (member != NULL)
			breach = gepa_judge_schema_breach(member, value->items[i]);
		else if (others != NULL && !others->boolean)
			return "has a member that it may not have";
		if (breach != NULL)
			breach = psprintf("has a member that %s", breach);
	}
	return breach;
}

static char *
object_breach(const GepaJson *schema, const GepaJson *value)
{
	const GepaJson *required = gepa_json_get(schema, "required");

	for (int i = 0; required != NULL && i < required->nitems; i++)
		if (gepa_json_get(value, required->items[i]->text) == NULL)
			return psprintf("lacks the member \"%s\"", required->items[i]->text);
	return members_breach(schema, value);
}

static char *
kind_breach(const GepaJson *schema, const GepaJson *value)
{
	switch (value->kind)
	{
		case GEPA_JSON_STRING:
			return range_breach(schema, "minLength", "maxLength",
								count_chars(value->text), "length");
		case GEPA_JSON_NUMBER:
			return range_breach(schema, "minimum", "maximum", strtod(value->text, NULL),
								"the value");
		case GEPA_JSON_ARRAY:
			return array_breach(schema, value);
		case GEPA_JSON_OBJECT:
			return object_breach(schema, value);
		case GEPA_JSON_NULL:
		case GEPA_JSON_BOOL:
			break;
	}
	return NULL;
}

char *
gepa_judge_schema_breach(const GepaJson *schema, const GepaJson *value)
{
	const GepaJson *type = gepa_json_get(schema, "type");
	const GepaJson *choices = gepa_json_get(schema, "enum");
	const GepaJson *only = gepa_json_get(schema, "const");

	if (!fits_type(type, value))
		return psprintf("is not of type %s", write_value(type));
	if (choices != NULL && !is_listed(choices, value))
		return psprintf("is none of %s", write_value(choices));
	if (only != NULL && !is_same(only, value))
		return psprintf("is not %s", write_value(only));
	return kind_breach(schema, value);
}
