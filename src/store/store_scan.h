/*-------------------------------------------------------------------------
 *
 * store_scan.h
 *	  Rows of a relation that a role names, and their documents: a part of the
 *	  door of src/store, which includes it.
 *
 * The relation is read with the rights of that role, row security included, under
 * a search_path of its own.  Key, document and filter are expressions over the
 * row, which the role gives and could run itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_SCAN_H
#define GEPA_STORE_STORE_SCAN_H

#include "store/store_job.h"

typedef struct StoreScan
{
	const char *relation;		/* as given */
	const char *key;			/* columns, or any expression; NULL = no key */
	const char *document;
	const char *filter;			/* NULL = all rows */

	StoreSource source;			/* set by gepa_store_open_scan() */
} StoreScan;

typedef struct StoreScanRow
{
	int			unit;			/* of a sample, from 0 */
	const char *key;			/* as text; NULL where it is null */
	Datum		document;		/* jsonb or text */
	bool		isnull;			/* the document is */
} StoreScanRow;

/*
 * Gets rows of a source, some at a time, in a memory context that is reset after it.
 * It runs with the rights of the source's role, and may look verdicts up, but not
 * enter the store's tables otherwise.
 */
typedef void (*StoreScanTaker) (const StoreScanRow *rows, int n, void *arg);

/*
 * Find the relation, and see that the expressions are some and fit it; for the
 * current user and search_path.  Raises what gepa_store_open_source() does.
 */
extern void gepa_store_open_scan(StoreScan *scan);

/* All rows, as the running query sees them. */
extern void gepa_store_read_scan(const StoreScan *scan, StoreScanTaker callback,
								 void *arg);

/* What a sample of a source was drawn from. */
typedef struct StoreFrame
{
	bool		blocks;			/* what units are; else rows */
	double		nunits;			/* in all */
	int			ntaken;			/* units in the sample */
	double	   *rows;			/* by unit taken: how many the source has in
								 * it */
} StoreFrame;

/*
 * A random sample of at most so many rows.  Of a table that is large for that, units
 * are blocks: so many are drawn by lot, their rows are counted, and of these some
 * are drawn and handed out.  Of everything else units are rows, which all are counted.
 * The same seed draws the same as long as the table is the same.  The frame is allocated
 * in the current context.
 */
extern StoreFrame *gepa_store_sample_scan(const StoreScan *scan, int wanted, int64 seed,
										  StoreScanTaker taker, void *arg);

#endif							/* GEPA_STORE_STORE_SCAN_H */
