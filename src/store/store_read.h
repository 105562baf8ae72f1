/*-------------------------------------------------------------------------
 *
 * store_read.h
 *	  Statements over a source, and results of any size, for those who read them.
 *
 * All but the first two need SPI, and act as whoever is the current user.
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

/*
 * All rows of a portal, so many at a time, and close it.  The taker gets them as SPI's
 * last result, in a memory context that is reset after it.
 */
typedef void (*StorePortionTaker) (void *arg);
extern void gepa_store_read_portal(Portal portal, int portion, StorePortionTaker taker, void *arg);

/*
 * datasets.c: FROM the source of a dataset, as s; ORDER BY its key; and have its bytea columns
 * become texts that judges of images know, until the scope is left
 */
extern void gepa_store_append_source(StringInfo buf, const StoreDataset *dataset);
extern char *gepa_store_order_by_key(const StoreDataset *dataset);
extern void gepa_store_show_bytes(void);

#endif							/* GEPA_STORE_STORE_READ_H */
