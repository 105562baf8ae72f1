/*-------------------------------------------------------------------------
 *
 * scan_sample.c
 *	  A random sample of the rows of a source.
 *
 * Of a view, a foreign table or a table of moderate size all rows are counted, and
 * read once more for those that were drawn.
 *
 * Of a large table blocks are drawn by lot.  TABLESAMPLE SYSTEM would not do: it
 * leaves to chance how many it takes and does not tell, blocks without a visible row
 * included, so that rows could be counted to a few percent only.  Here a query with a
 * range of ctid reads one block after the other.  In a partitioned table a block is the
 * one of that number in every partition, which makes it a unit like any other; numbers
 * go as far as the largest partition does.
 *
 * All statements see the snapshot of the running query, so both passes see the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "store/store_read.h"

#define PORTION 1000

/* A table of this many times the blocks that are drawn is a large one. */
#define LARGE 4

/* Rows drawn from rows that come one after the other (Knuth's algorithm S). */
typedef struct Lot
{
	pg_prng_state state;
	double		left;			/* rows to come */
	double		wanted;			/* of these */
} Lot;

typedef struct Sampling
{
	const StoreScan *scan;
	StoreFrame *frame;
	Lot			lot;
	MemoryContext batch;		/* of rows that are handed out */
	StoreScanTaker taker;
	void	   *arg;
} Sampling;

static bool
draw(Lot *lot)
{
	bool		drawn = lot->wanted > 0 &&
		pg_prng_double(&lot->state) * lot->left < lot->wanted;

	lot->left--;
	lot->wanted -= drawn;
	return drawn;
}

/* Of the last result; units count on from unit, or all are that one. */
static int
hand_out_drawn(Sampling *sampling, int unit, bool all_one)
{
	MemoryContext old = MemoryContextSwitchTo(sampling->batch);
	StoreScanRow *rows = palloc(sizeof(StoreScanRow) * Max(SPI_processed, 1));
	int			n = 0;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		if (!draw(&sampling->lot))
			continue;
		gepa_store_get_row(i, &rows[n]);
		rows[n].unit = all_one ? unit : unit + n;
		n++;
	}
	if (n > 0)
		sampling->taker(rows, n, sampling->arg);
	MemoryContextSwitchTo(old);
	MemoryContextReset(sampling->batch);
	SPI_freetuptable(SPI_tuptable);
	return n;
}

/*
 * Rows
 */

static double
count_all(const StoreScan *scan)
{
	StringInfoData sql;
	double		count;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.count(*)");
	gepa_store_put_from(&sql, scan, NULL);
	if (SPI_execute(sql.data, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read \"%s\"", scan->source.relation);
	count = (double) gepa_store_bigint(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return count;
}

static void
sample_rows(Sampling *sampling, int wanted)
{
	StoreFrame *frame = sampling->frame;
	StringInfoData sql;
	Portal		portal;
	int			unit = 0;

	frame->nunits = count_all(sampling->scan);
	frame->ntaken = (int) Min((double) wanted, frame->nunits);
	for (int i = 0; i < frame->ntaken; i++)
		frame->rows[i] = 1;
	sampling->lot.left = frame->nunits;
	sampling->lot.wanted = frame->ntaken;

	initStringInfo(&sql);
	gepa_store_put_columns(&sql, sampling->scan);
	gepa_store_put_from(&sql, sampling->scan, NULL);
	portal = SPI_cursor_open(NULL, gepa_store_plan(sql.data, 0, NULL), NULL, NULL, true);
	while (sampling->lot.wanted > 0)
	{
		SPI_cursor_fetch(portal, true, PORTION);
		if (SPI_processed == 0)
			break;
		unit += hand_out_drawn(sampling, unit, false);
	}
	SPI_cursor_close(portal);
}

/*
 * Blocks
 */

/* Of the largest partition; 0 where something has no blocks. */
static BlockNumber
count_blocks(Oid relid)
{
	List	   *relids = find_all_inheritors(relid, AccessShareLock, NULL);
	BlockNumber most = 0;
	ListCell   *cell;

	foreach(cell, relids)
	{
		char		relkind = get_rel_relkind(lfirst_oid(cell));
		Relation	rel;

		if (relkind == RELKIND_PARTITIONED_TABLE)
			continue;
		if (relkind != RELKIND_RELATION && relkind != RELKIND_MATVIEW)
			return 0;
		rel = table_open(lfirst_oid(cell), NoLock);
		if (rel->rd_tableam->scan_set_tidrange == NULL)
		{
			table_close(rel, NoLock);
			return 0;
		}
		most = Max(most, RelationGetNumberOfBlocks(rel));
		table_close(rel, NoLock);
	}
	return most;
}

static int
compare_blocks(const void *a, const void *b)
{
	BlockNumber left = *(const BlockNumber *) a;
	BlockNumber right = *(const BlockNumber *) b;

	return left < right ? -1 : left > right;
}

/* Some that differ, in order. */
static BlockNumber *
draw_blocks(pg_prng_state *state, BlockNumber nblocks, int wanted)
{
	BlockNumber *blocks = palloc(sizeof(BlockNumber) * wanted);
	int			n = 0;

	while (n < wanted)
	{
		int			last = 0;

		while (n < wanted)
			blocks[n++] = (BlockNumber) pg_prng_uint64_range(state, 0, nblocks - 1);
		qsort(blocks, n, sizeof(BlockNumber), compare_blocks);
		for (int i = 1; i < n; i++)
			if (blocks[i] != blocks[last])
				blocks[++last] = blocks[i];
		n = last + 1;
	}
	return blocks;
}

static SPIPlanPtr
plan_block(const Sampling *sampling, bool columns)
{
	Oid			types[2] = {TIDOID, TIDOID};
	StringInfoData sql;

	initStringInfo(&sql);
	if (columns)
		gepa_store_put_columns(&sql, sampling->scan);
	else
		appendStringInfoString(&sql, "SELECT pg_catalog.count(*)");
	gepa_store_put_from(&sql, sampling->scan,
						"ctid OPERATOR(pg_catalog.>=) $1 AND ctid OPERATOR(pg_catalog.<) $2");
	return gepa_store_plan(sql.data, 2, types);
}

static void
read_block(SPIPlanPtr plan, BlockNumber block)
{
	ItemPointerData low;
	ItemPointerData high;
	Datum		values[2] = {PointerGetDatum(&low), PointerGetDatum(&high)};
	int			result;

	ItemPointerSet(&low, block, 0);
	ItemPointerSet(&high, block + 1, 0);
	result = SPI_execute_plan(plan, values, NULL, true, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
}

static void
sample_blocks(Sampling *sampling, BlockNumber nblocks, int wanted)
{
	StoreFrame *frame = sampling->frame;
	BlockNumber *blocks = draw_blocks(&sampling->lot.state, nblocks, wanted);
	SPIPlanPtr	counting = plan_block(sampling, false);
	SPIPlanPtr	reading = plan_block(sampling, true);

	frame->blocks = true;
	frame->nunits = nblocks;
	frame->ntaken = wanted;
	for (int i = 0; i < wanted; i++)
	{
		read_block(counting, blocks[i]);
		frame->rows[i] = (double) gepa_store_bigint(0, 1);
		SPI_freetuptable(SPI_tuptable);
		sampling->lot.left += frame->rows[i];
	}
	sampling->lot.wanted = Min((double) wanted, sampling->lot.left);
	for (int i = 0; i < wanted && sampling->lot.wanted > 0; i++)
	{
		if (frame->rows[i] == 0)
			continue;
		read_block(reading, blocks[i]);
		hand_out_drawn(sampling, i, true);
	}
}

StoreFrame *
gepa_store_sample_scan(const StoreScan *scan, int wanted, int64 seed, StoreScanTaker taker,
					   void *arg)
{
	StoreFrame *frame = palloc0(sizeof(StoreFrame));
	BlockNumber nblocks = count_blocks(scan->source.relid);
	Sampling	sampling = {.scan = scan,.frame = frame,.taker = taker,.arg = arg};
	StoreScope	scope;

	frame->rows = palloc0(sizeof(double) * Max(wanted, 1));
	sampling.batch = AllocSetContextCreate(CurrentMemoryContext, "gepa sample",
										   ALLOCSET_DEFAULT_SIZES);
	pg_prng_seed(&sampling.lot.state, (uint64) seed);
	gepa_store_enter_as(&scope, STORE_VIEW_QUERY, scan->source.owner, scan->source.search_path);
	if (nblocks / LARGE > (BlockNumber) wanted)
		sample_blocks(&sampling, nblocks, wanted);
	else
		sample_rows(&sampling, wanted);
	gepa_store_leave(&scope);
	MemoryContextDelete(sampling.batch);
	return frame;
}
