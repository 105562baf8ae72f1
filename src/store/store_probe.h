/*-------------------------------------------------------------------------
 *
 * store_probe.h
 *	  Rows of a table of verdicts, for lookup.c and its neighbours.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_PROBE_H
#define GEPA_STORE_STORE_PROBE_H

#include "access/genam.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "store/store_internal.h"

/* Where the columns are; 0 = not there. */
typedef struct StoreColumns
{
	AttrNumber	verdict_digest;
	AttrNumber	payer;
	AttrNumber	digest;
	AttrNumber	label;
	AttrNumber	score;
	AttrNumber	from_logprobs;
	AttrNumber	reasoning;
	AttrNumber	input_tokens;
	AttrNumber	output_tokens;
	AttrNumber	cost;
	AttrNumber	latency_ms;
	AttrNumber	chars_seen;
	AttrNumber	chars_total;
	AttrNumber	thinking;
	AttrNumber	votes;
} StoreColumns;

#define STORE_MAX_KEYS 3

/* A scan for one document after the other. */
typedef struct StoreProbe
{
	Relation	rel;
	const StoreAccount *account;
	Relation	index;			/* NULL = somebody has dropped it */
	Snapshot	snapshot;
	StoreColumns columns;
	int			nkeys;
	ScanKeyData keys[STORE_MAX_KEYS];
	bytea	   *digest;			/* the argument of the last one */
	TupleTableSlot *slot;		/* the row that was found */
	IndexScanDesc scan;			/* of the index */
} StoreProbe;

/* probe.c */

extern void gepa_store_probe_begin(StoreProbe *probe, Relation rel, const StoreAccount *account);
extern void gepa_store_probe_end(StoreProbe *probe);

/* Leaves its row in the slot. */
extern bool gepa_store_probe(StoreProbe *probe, const uint8 *digest);

/* Of the table's primary key; NULL if it was dropped. */
extern Relation gepa_store_open_key_index(Relation rel);

/*
 * The account's part of the table, for a scan of it or of its key's index; returns
 * how many keys it takes.
 */
extern int	gepa_store_make_keys(Relation rel, Relation index, const StoreAccount *account,
								 ScanKeyData *keys);

extern void gepa_store_find_columns(TupleDesc desc, StoreColumns *columns);

/* Of the slot's row. */
extern Datum gepa_store_column(TupleTableSlot *slot, AttrNumber column, bool *isnull);
extern Datum gepa_store_not_null(TupleTableSlot *slot, AttrNumber column);

/*
 * The slot's row.  The label is the spec's, other texts are the caller's; the first
 * leaves out reasoning, thinking and votes, which may be long.
 */
extern void gepa_store_read_scalars(TupleTableSlot *slot, const StoreColumns *columns,
									const JudgeSpec *spec, JudgeVerdict *verdict);
extern void gepa_store_read_verdict(TupleTableSlot *slot, const StoreColumns *columns,
									const JudgeSpec *spec, JudgeVerdict *verdict);

/* nearby.c */

typedef struct StoreNearby StoreNearby;

/* For many that are wanted; NULL if there are too few, or the table has no such scan. */
extern StoreNearby *gepa_store_nearby_begin(const StoreProbe *probe, const JudgeSpec *spec,
											StoreLookup **wanted, int n);

/* The probe has found one: take what is wanted of its block. */
extern void gepa_store_nearby_look(StoreNearby *nearby);
extern void gepa_store_nearby_end(StoreNearby *nearby);

#endif							/* GEPA_STORE_STORE_PROBE_H */
