/*-------------------------------------------------------------------------
 *
 * conformance_json.c
 *	  Reading, writing and comparing the JSON of conformance cases.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "conformance.h"

int64
json_int(const GepaJson *object, const char *key, int otherwise)
{
	double		value;

	return gepa_json_get_number(object, key, &value) ? (int64) value : otherwise;
}

double
json_double(const GepaJson *value)
{
	return value != NULL && value->kind == GEPA_JSON_NUMBER ? strtod(value->text, NULL) : NAN;
}

int
json_count(const GepaJson *value)
{
	return value == NULL ? 0 : value->nitems;
}

int *
json_ints(const GepaJson *array)
{
	int		   *values = palloc0((json_count(array) + 1) * sizeof(int));
	int			i;

	for (i = 0; i < json_count(array); i++)
		values[i] = (int) json_double(array->items[i]);
	return values;
}

double *
json_doubles(const GepaJson *array)
{
	double	   *values = palloc0((json_count(array) + 1) * sizeof(double));
	int			i;

	for (i = 0; i < json_count(array); i++)
		values[i] = json_double(array->items[i]);
	return values;
}

const char **
json_strings(const GepaJson *array)
{
	const char **values = palloc0((json_count(array) + 1) * sizeof(char *));
	int			i;

	for (i = 0; i < json_count(array); i++)
		values[i] = array->items[i]->text;
	return values;
}

void
json_next(StringInfo buf, const char *key)
{
	if (buf->len > 0 && strchr("[{", buf->data[buf->len - 1]) == NULL)
		appendStringInfoChar(buf, ',');
	if (key != NULL)
	{
		gepa_json_quote(buf, key);
		appendStringInfoChar(buf, ':');
	}
}

void
json_put_int(StringInfo buf, const char *key, int64 value)
{
	json_next(buf, key);
	appendStringInfo(buf, INT64_FORMAT, value);
}

void
json_put_double(StringInfo buf, const char *key, double value)
{
	json_next(buf, key);
	if (isfinite(value))
		appendStringInfo(buf, "%.17g", value);
	else
		appendStringInfoString(buf, "null");
}

void
json_put_bool(StringInfo buf, const char *key, bool value)
{
	json_next(buf, key);
	appendStringInfoString(buf, value ? "true" : "false");
}

void
json_put_string(StringInfo buf, const char *key, const char *value)
{
	json_next(buf, key);
	if (value != NULL)
		gepa_json_quote(buf, value);
	else
		appendStringInfoString(buf, "null");
}

void
json_open(StringInfo buf, const char *key, char bracket)
{
	json_next(buf, key);
	appendStringInfoChar(buf, bracket);
}

void
json_close(StringInfo buf, char bracket)
{
	appendStringInfoChar(buf, bracket);
}

void
json_put_ints(StringInfo buf, const char *key, const int *values, int n)
{
	int			i;

	json_open(buf, key, '[');
	for (i = 0; i < n; i++)
		json_put_int(buf, NULL, values[i]);
	json_close(buf, ']');
}

void
json_put_doubles(StringInfo buf, const char *key, const double *values, int n)
{
	int			i;

	json_open(buf, key, '[');
	for (i = 0; i < n; i++)
		json_put_double(buf, NULL, values[i]);
	json_close(buf, ']');
}

static void
put_tree(StringInfo buf, const GepaJson *value)
{
	if (value != NULL)
		gepa_json_write(buf, value);
	else
		appendStringInfoString(buf, "nothing");
}

static bool
differ(const GepaJson *expected, const GepaJson *got, StringInfo expected_text,
	   StringInfo got_text)
{
	put_tree(expected_text, expected);
	put_tree(got_text, got);
	return false;
}

static bool
scalars_equal(const GepaJson *expected, const GepaJson *got)
{
	switch (expected->kind)
	{
		case GEPA_JSON_BOOL:
			return expected->boolean == got->boolean;
		case GEPA_JSON_NUMBER:
			return json_double(expected) == json_double(got);
		case GEPA_JSON_STRING:
			return strcmp(expected->text, got->text) == 0;
		default:
			return true;
	}
}

static bool
trees_equal(const GepaJson *expected, const GepaJson *got, bool exact, StringInfo where,
			StringInfo expected_text, StringInfo got_text)
{
	int			start = where->len;
	int			i;

	if (expected == NULL || got == NULL || expected->kind != got->kind ||
		!scalars_equal(expected, got) ||
		(exact && json_count(expected) != json_count(got)))
		return differ(expected, got, expected_text, got_text);

	for (i = 0; i < json_count(expected); i++)
	{
		const GepaJson *other;

		if (expected->kind == GEPA_JSON_OBJECT)
		{
			appendStringInfo(where, ".%s", expected->keys[i]);
			other = gepa_json_get(got, expected->keys[i]);
		}
		else
		{
			appendStringInfo(where, "[%d]", i);
			other = gepa_json_item(got, i);
		}
		if (!trees_equal(expected->items[i], other, true, where, expected_text, got_text))
			return false;
		where->data[where->len = start] = '\0';
	}
	return true;
}

bool
json_equal(const GepaJson *expected, const GepaJson *got, StringInfo where,
		   StringInfo expected_text, StringInfo got_text)
{
	bool		exact = expected == NULL || expected->kind != GEPA_JSON_OBJECT;

	return trees_equal(expected, got, exact, where, expected_text, got_text);
}
