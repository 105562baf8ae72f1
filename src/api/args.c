/*-------------------------------------------------------------------------
 *
 * args.c
 *	  Unpacking arguments of functions that are not STRICT, and packing results.
 *
 * Most functions have arguments that may be NULL beside others that may not,
 * so each argument says for itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/api_internal.h"
#include "base/clock.h"

/* How often a waiting backend looks at a row without being woken. */
#define WAIT_POLL_MS 1000

void
gepa_api_require_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (!PG_ARGISNULL(n))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", name),
			 errhint("Leave an optional argument out to get its default.")));
}

char *
gepa_api_text_arg_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

char *
gepa_api_text_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	gepa_api_require_arg(fcinfo, n, name);
	return gepa_api_text_arg_or_null(fcinfo, n);
}

char *
gepa_api_name_arg_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(n)));
}

char *
gepa_api_name_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	gepa_api_require_arg(fcinfo, n, name);
	return gepa_api_name_arg_or_null(fcinfo, n);
}

int
gepa_api_int_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	gepa_api_require_arg(fcinfo, n, name);
	return PG_GETARG_INT32(n);
}

char **
gepa_api_texts_arg(FunctionCallInfo fcinfo, int n, const char *name, int *count)
{
	Datum	   *elems;
	bool	   *nulls;
	char	  **result;

	gepa_api_require_arg(fcinfo, n, name);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false, TYPALIGN_INT,
					  &elems, &nulls, count);
	result = palloc(sizeof(char *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not contain nulls", name),
					 errhint("Give every element as text.")));
		result[i] = TextDatumGetCString(elems[i]);
	}
	return result;
}

char *
gepa_api_object_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	Jsonb	   *value;

	gepa_api_require_arg(fcinfo, n, name);
	value = PG_GETARG_JSONB_P(n);
	if (!JB_ROOT_IS_OBJECT(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be a JSON object", name),
				 errhint("For example '{}'.")));
	return JsonbToCString(NULL, &value->root, VARSIZE(value));
}

int64
gepa_api_timeout_arg(FunctionCallInfo fcinfo, int n)
{
	const Interval *timeout;
	int64		days;

	if (PG_ARGISNULL(n))
		return -1;
	timeout = PG_GETARG_INTERVAL_P(n);
	days = timeout->day + (int64) timeout->month * DAYS_PER_MONTH;
	return Max(0, days * SECS_PER_DAY * 1000 + timeout->time / 1000);
}

void
gepa_api_put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

int
gepa_api_wait_ms(int64 start, int64 timeout_ms)
{
	int64		left;

	if (timeout_ms < 0)
		return WAIT_POLL_MS;
	left = timeout_ms - (gepa_clock_us() - start) / 1000;
	return (int) Max(Min(left, WAIT_POLL_MS), 0);
}

MemoryContext
gepa_api_make_look(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "gepa wait", ALLOCSET_DEFAULT_SIZES);
}
