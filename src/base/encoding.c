/*-------------------------------------------------------------------------
 *
 * encoding.c
 *	  Between the encoding of the database and the UTF-8 of the wire.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "base/encoding.h"

static struct
{
	bool		found;
	FmgrInfo	to_utf8;
	FmgrInfo	from_utf8;
}			conversion;

bool
gepa_needs_conversion(void)
{
	return GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII;
}

static void
find_conversion(int from, int to, FmgrInfo *function)
{
	Oid			oid = FindDefaultConversionProc(from, to);

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("default conversion from \"%s\" to \"%s\" does not exist",
						pg_encoding_to_char(from), pg_encoding_to_char(to)),
				 errhint("gepa works in databases whose encoding converts to UTF-8.")));
	fmgr_info_cxt(oid, function, TopMemoryContext);
}

void
gepa_prepare_conversion(void)
{
	if (conversion.found || !gepa_needs_conversion())
		return;
	find_conversion(GetDatabaseEncoding(), PG_UTF8, &conversion.to_utf8);
	find_conversion(PG_UTF8, GetDatabaseEncoding(), &conversion.from_utf8);
	conversion.found = true;
}

/* Returns how many bytes were converted; with no_error it may be fewer. */
static int
convert(FmgrInfo *function, int from, int to, const char *text, int length,
		char *result, bool no_error)
{
	return DatumGetInt32(FunctionCall6(function, Int32GetDatum(from), Int32GetDatum(to),
									   CStringGetDatum(text), CStringGetDatum(result),
									   Int32GetDatum(length), BoolGetDatum(no_error)));
}

char *
gepa_to_utf8(char *text, int length)
{
	char	   *result;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		(void) pg_verify_mbstr(PG_UTF8, text, length, false);
	if (!gepa_needs_conversion())
		return text;
	gepa_prepare_conversion();
	result = palloc((Size) length * MAX_CONVERSION_GROWTH + 1);
	(void) convert(&conversion.to_utf8, GetDatabaseEncoding(), PG_UTF8, text, length,
				   result, false);
	return result;
}

char *
gepa_from_utf8(const char *text)
{
	int			left = text ? (int) strlen(text) : 0;
	char	   *result;
	char	   *to;

	if (text == NULL || !gepa_needs_conversion())
		return unconstify(char *, text);
	gepa_prepare_conversion();
	result = to = palloc((Size) left * MAX_CONVERSION_GROWTH + 1);
	*to = '\0';
	while (left > 0)
	{
		int			done = convert(&conversion.from_utf8, PG_UTF8, GetDatabaseEncoding(),
								   text, left, to, true);

		to += strlen(to);
		if (done < left)
		{
			strcpy(to++, "?");
			done += Min(pg_encoding_mblen(PG_UTF8, text + done), left - done);
		}
		text += done;
		left -= done;
	}
	return result;
}
