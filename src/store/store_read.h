/*-------------------------------------------------------------------------
 *
 * store_read.h
 *	  Statements over a source, for those who read one.
 *
 * All but the first two need a scope that acts as the source's role.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_READ_H
#define GEPA_STORE_STORE_READ_H

#include "lib/stringinfo.h"

#include "store/store_internal.h"

/* scan.c */

/* SELECT of key and document; FROM and WHERE, with a further condition or NULL. */
extern void gepa_store_put_columns(StringInfo sql, const StoreScan *scan);
extern void gepa_store_put_from(StringInfo sql, const StoreScan *scan,
								const char *condition);

/* A row of the last result, of such a SELECT; texts in the current context. */
extern void gepa_store_get_row(uint64 row, StoreScanRow *result);

#endif							/* GEPA_STORE_STORE_READ_H */
