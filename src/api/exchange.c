/*-------------------------------------------------------------------------
 *
 * exchange.c
 *	  Reading files that others have written: results, programs, rows.
 *
 * A file is checked as a whole before anything of it is stored.  What is wrong
 * with it is raised as 22023 with the place; texts of the file appear in
 * messages shortened.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "mb/pg_wchar.h"

#include "api/api_exchange.h"

static const char *const kind_names[] = {
	"null", "true or false", "a number", "a string", "an array", "an object"
};

static char *format_text(const char *format, va_list args) pg_attribute_printf(1, 0);

static char *
format_text(const char *format, va_list args)
{
	char		buffer[512];

	/* Cut where it is too long; the rest of a character is not shown. */
	(void) vsnprintf(buffer, sizeof(buffer), format, args);
	return pnstrdup(buffer, pg_mbcliplen(buffer, strlen(buffer), sizeof(buffer) - 1));
}

static void
refuse(const ApiFile *file, const char *hint, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s cannot be imported: %s", file->name, what),
			 errhint("%s", hint)));
}

void
gepa_api_refuse_file(const ApiFile *file, const char *format,...)
{
	va_list		args;
	char	   *what;

	va_start(args, format);
	what = format_text(format, args);
	va_end(args);
	refuse(file, file->hint, what);
	pg_unreachable();
}

void
gepa_api_refuse_file_with(const ApiFile *file, const char *hint, const char *format,...)
{
	va_list		args;
	char	   *what;

	va_start(args, format);
	what = format_text(format, args);
	va_end(args);
	refuse(file, hint, what);
	pg_unreachable();
}

GepaJson *
gepa_api_parse_file(const ApiFile *file, const char *text, GepaJsonKind kind)
{
	const char *error;
	GepaJson   *root = gepa_json_parse(text, strlen(text), &error);

	if (root == NULL)
		gepa_api_refuse_file(file, "it is %s", error);
	if (root->kind != kind)
		gepa_api_refuse_file(file, "it is %s, not %s", kind_names[root->kind],
							 kind_names[kind]);
	return root;
}

GepaJson *
gepa_api_file_optional(const ApiFile *file, const GepaJson *object, const char *key,
					   GepaJsonKind kind)
{
	GepaJson   *value = gepa_json_get(object, key);

	if (value == NULL || value->kind == GEPA_JSON_NULL)
		return NULL;
	if (value->kind != kind)
		gepa_api_refuse_file(file, "\"%s\" is %s, not %s", key, kind_names[value->kind],
							 kind_names[kind]);
	return value;
}

GepaJson *
gepa_api_file_member(const ApiFile *file, const GepaJson *object, const char *key,
					 GepaJsonKind kind, int count)
{
	GepaJson   *value = gepa_api_file_optional(file, object, key, kind);

	if (value == NULL)
		gepa_api_refuse_file(file, "it has no \"%s\"", key);
	if (count >= 0 && value->nitems != count)
		gepa_api_refuse_file(file, "\"%s\" has %d items where %d are expected", key,
							 value->nitems, count);
	return value;
}

double
gepa_api_file_number(const ApiFile *file, const GepaJson *value, const char *what)
{
	double		number = value->kind == GEPA_JSON_NUMBER ? strtod(value->text, NULL) : NAN;

	if (!isfinite(number))
		gepa_api_refuse_file(file, "%s is not a finite number", what);
	return number;
}

int
gepa_api_file_int(const ApiFile *file, const GepaJson *value, const char *what, int low,
				  int high)
{
	double		number = gepa_api_file_number(file, value, what);

	if (value->text[strspn(value->text, "-0123456789")] != '\0' || number < low || number > high)
		gepa_api_refuse_file(file, "%s is not a whole number from %d to %d", what, low, high);
	return (int) number;
}

GepaJson *
gepa_api_import_options(FunctionCallInfo fcinfo, int n, const char *const *names, int nnames)
{
	const char *text = PG_ARGISNULL(n) ? "{}" : gepa_api_object_arg(fcinfo, n, "options");
	GepaJson   *options = gepa_json_parse(text, strlen(text), NULL);
	StringInfoData valid;

	if (options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options cannot be read"),
				 errhint("Pass a JSON object of a few members.")));
	initStringInfo(&valid);
	for (int k = 0; k < nnames; k++)
		appendStringInfo(&valid, "%s%s", k > 0 ? ", " : "", names[k]);
	for (int i = 0; i < options->nitems; i++)
	{
		bool		known = false;

		for (int k = 0; k < nnames; k++)
			known = known || strcmp(options->keys[i], names[k]) == 0;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized import option \"%s\"", options->keys[i]),
					 errhint("Valid options are %s.", valid.data)));
	}
	return options;
}

void
gepa_api_put_key(StringInfo buf, const char *key)
{
	if (buf->len > 0 && buf->data[buf->len - 1] != '{')
		appendStringInfoChar(buf, ',');
	gepa_json_quote(buf, key);
	appendStringInfoChar(buf, ':');
}
