/*-------------------------------------------------------------------------
 *
 * api_exchange.h
 *	  What the functions share that read files of others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_API_API_EXCHANGE_H
#define GEPA_API_API_EXCHANGE_H

#include "api/api_internal.h"
#include "base/compat.h"

/* exchange.c: files are not ours, so everything in them is looked at */

/* A kind of file: what it is called in messages, and where a good one comes from. */
typedef struct ApiFile
{
	const char *name;			/* "result cannot be imported: ..." */
	const char *hint;
} ApiFile;

/* Raise 22023. */
GEPA_NORETURN extern void gepa_api_refuse_file(const ApiFile *file, const char *format,...)
			pg_attribute_printf(2, 3);

/* The same with a way out of its own. */
GEPA_NORETURN extern void gepa_api_refuse_file_with(const ApiFile *file, const char *hint,
													const char *format,...)
			pg_attribute_printf(3, 4);

/* Parse; what is not JSON of that kind is refused. */
extern GepaJson *gepa_api_parse_file(const ApiFile *file, const char *text, GepaJsonKind kind);

/*
 * A member that must be of that kind, of so many items if count is not negative; where
 * names it in messages.
 */
extern GepaJson *gepa_api_file_member(const ApiFile *file, const GepaJson *object,
									  const char *key, GepaJsonKind kind, int count);

/* NULL where there is none, or it is null. */
extern GepaJson *gepa_api_file_optional(const ApiFile *file, const GepaJson *object,
										const char *key, GepaJsonKind kind);

/* A whole number from low to high; a finite number. */
extern int	gepa_api_file_int(const ApiFile *file, const GepaJson *value, const char *what,
							  int low, int high);
extern double gepa_api_file_number(const ApiFile *file, const GepaJson *value, const char *what);

/* An options argument: an object with none but these keys; raises 22023. */
extern GepaJson *gepa_api_import_options(FunctionCallInfo fcinfo, int n,
										 const char *const *names, int nnames);

/* Appends ,"key": before a value of an object that is being written. */
extern void gepa_api_put_key(StringInfo buf, const char *key);

#endif							/* GEPA_API_API_EXCHANGE_H */
