/*-------------------------------------------------------------------------
 *
 * route_columns.c
 *	  What the conditions of a router see of a document, as columns.
 *
 * A text is a document with the one field "document".  Documents are hostile input: a
 * field that does not have the type that was declared is null, and nothing is raised.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "apply/apply_rule.h"

static const RouteColumn common_columns[] = {
	{ROUTE_DOCUMENT, "document", TEXTOID},
	{ROUTE_LENGTH, "length", INT4OID},
	{ROUTE_FIELDS, "fields", JSONBOID}
};

static const struct
{
	const char *name;
	Oid			type;
}			field_types[] =

{
	{"text", TEXTOID},
	{"bool", BOOLOID},
	{"boolean", BOOLOID},
	{"int4", INT4OID},
	{"int", INT4OID},
	{"integer", INT4OID},
	{"int8", INT8OID},
	{"bigint", INT8OID},
	{"float8", FLOAT8OID},
	{"jsonb", JSONBOID}
};

bool
gepa_apply_common_column(const char *name, RouteColumn *column)
{
	for (int i = 0; i < lengthof(common_columns); i++)
	{
		if (strcmp(common_columns[i].name, name) != 0)
			continue;
		*column = common_columns[i];
		return true;
	}
	return false;
}

Oid
gepa_apply_field_type(const char *name)
{
	for (int i = 0; i < lengthof(field_types); i++)
		if (strcmp(field_types[i].name, name) == 0)
			return field_types[i].type;
	return InvalidOid;
}

/*
 * Fields of an object
 */

static char *
text_of(JsonbValue *value)
{
	Jsonb	   *json;

	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	json = JsonbValueToJsonb(value);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

static Datum
bool_of(const char *text, bool *isnull)
{
	bool		value = false;

	*isnull = !parse_bool(text, &value);
	return BoolGetDatum(value);
}

/* 4 and "4" are, 4.5 and "4 stars" are not. */
static Datum
integer_of(const char *text, Oid type, bool *isnull)
{
	char	   *end;
	int64		value;

	errno = 0;
	value = strtoi64(text, &end, 10);
	*isnull = errno != 0 || end == text || *end != '\0' ||
		(type == INT4OID && (value < PG_INT32_MIN || value > PG_INT32_MAX));
	return type == INT4OID ? Int32GetDatum((int32) value) : Int64GetDatum(value);
}

static Datum
float_of(const char *text, bool *isnull)
{
	char	   *end;
	double		value;

	errno = 0;
	value = strtod(text, &end);
	*isnull = errno != 0 || end == text || *end != '\0' || !isfinite(value);
	return Float8GetDatum(*isnull ? 0 : value);
}

static Datum
field_of(const RouteColumn *column, JsonbValue *value, bool *isnull)
{
	*isnull = false;
	switch (column->type)
	{
		case JSONBOID:
			return JsonbPGetDatum(JsonbValueToJsonb(value));
		case BOOLOID:
			return bool_of(text_of(value), isnull);
		case INT4OID:
		case INT8OID:
			return integer_of(text_of(value), column->type, isnull);
		case FLOAT8OID:
			return float_of(text_of(value), isnull);
	}
	return CStringGetTextDatum(text_of(value));
}

static JsonbValue *
find_field(Jsonb *object, const char *name, JsonbValue *buffer)
{
	JsonbValue *value = NULL;

	if (JB_ROOT_IS_OBJECT(object))
		value = getKeyJsonValueFromContainer(&object->root, name, strlen(name), buffer);
	return value != NULL && value->type == jbvNull ? NULL : value;
}

/*
 * What every document has
 */

/* The object itself where it has no field of that name. */
Datum
gepa_apply_document_text(Datum content, bool is_jsonb)
{
	Jsonb	   *object;
	JsonbValue	buffer;
	JsonbValue *value;

	if (!is_jsonb)
		return content;
	object = DatumGetJsonbP(content);
	value = find_field(object, "document", &buffer);
	return CStringGetTextDatum(value != NULL ? text_of(value) :
							   JsonbToCString(NULL, &object->root, VARSIZE(object)));
}

static Datum
as_object(Datum content)
{
	JsonbParseState *state = NULL;
	JsonbValue	key = {.type = jbvString,.val.string = {.len = 8,.val = "document"}};
	char	   *document = TextDatumGetCString(content);
	JsonbValue	value = {.type = jbvString,.val.string = {.len = strlen(document),.val = document}};

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	(void) pushJsonbValue(&state, WJB_KEY, &key);
	(void) pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

Datum
gepa_apply_column(const RouteColumn *column, Datum content, bool is_jsonb, bool *isnull)
{
	JsonbValue	buffer;
	JsonbValue *value;

	*isnull = false;
	switch (column->kind)
	{
		case ROUTE_DOCUMENT:
			return gepa_apply_document_text(content, is_jsonb);
		case ROUTE_LENGTH:
			return DirectFunctionCall1(textlen, gepa_apply_document_text(content, is_jsonb));
		case ROUTE_FIELDS:
			return is_jsonb ? content : as_object(content);
		case ROUTE_FIELD:
			break;
	}
	value = is_jsonb ? find_field(DatumGetJsonbP(content), column->name, &buffer) : NULL;
	*isnull = value == NULL;
	return *isnull ? (Datum) 0 : field_of(column, value, isnull);
}
