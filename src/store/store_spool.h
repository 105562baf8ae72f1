/*-------------------------------------------------------------------------
 *
 * store_spool.h
 *	  The spool: files from which the ring is filled again after a crash.
 *
 * What it is and how it is kept small: spool.c.  All functions want the
 * spool's lock, exclusively, unless they say otherwise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_SPOOL_H
#define GEPA_STORE_STORE_SPOOL_H

#include "port/pg_crc32c.h"
#include "storage/lwlock.h"

/* In the data directory; a symbolic link to elsewhere is followed. */
#define SPOOL_FOLDER "pg_gepa"
#define SPOOL_MAGIC 0x47455041
#define SPOOL_FORMAT 1
#define SPOOL_MAX_SEGMENTS 128

/* Appended to a file whose name starts with a segment's, it sets the file aside. */
#define SPOOL_ASIDE ".bad"

/* Where a record is. */
typedef struct SpoolPlace
{
	uint32		segment;		/* 0 = nowhere */
	int64		offset;
} SpoolPlace;

/* A segment is this, then records. */
typedef struct SpoolHeader
{
	uint32		magic;
	uint32		format;
	uint64		nonce;			/* drawn when it is made */
} SpoolHeader;

/*
 * A record is this, then a packed verdict.  The checksum covers the segment's
 * nonce and the record's place, so that nothing but what was written there by
 * us is taken for a record; it does not cover "done".
 */
typedef struct SpoolRecord
{
	uint32		length;			/* of the packed verdict */
	pg_crc32c	crc;
	Oid			database;
	uint32		done;			/* 1 = committed, or let go */
} SpoolRecord;

typedef struct SpoolSegment
{
	uint32		number;			/* names its file */
	int			waiting;		/* records that are not done */
	int			unloaded;		/* of these: that the ring has no entry for */
	bool		recovered;		/* it was there when the server started */
	bool		damaged;		/* set aside instead of removed */
	uint64		nonce;
	int64		end;			/* of its records */
	int64		loaded;			/* those before are done or in the ring */
	int64		synced;			/* those before survive a power failure */
} SpoolSegment;

/* Records of the two kinds are not mixed, so that "loaded" tells them apart. */
typedef enum SpoolKind
{
	SPOOL_OF_RING,				/* the ring has an entry for it as well */
	SPOOL_BACKLOG				/* to be loaded into the ring later */
} SpoolKind;

/* Protected by the lock. */
typedef struct Spool
{
	int64		segment_size;	/* a segment is full with so many bytes */
	int			most_segments;	/* more are cleaned */
	uint32		next_number;
	uint32		open[2];		/* by kind: that is appended to, 0 = none */
	int			nsegments;
	SpoolSegment segments[SPOOL_MAX_SEGMENTS];	/* in the order they were made */
} Spool;

/* spool.c: both are NULL in a library that is not preloaded */
extern Spool *gepa_store_spool;
extern LWLock *gepa_store_spool_lock;

extern void gepa_store_spool_init(void);	/* at load */

/* Append some records; returns 0, or an errno, and then nothing was appended. */
#define SPOOL_APPEND_MAX STORE_HAND_OVER_MAX

typedef struct SpoolItem
{
	const char *data;
	int			length;
	SpoolPlace	place;			/* where it is then */
} SpoolItem;

extern int	gepa_store_spool_append(SpoolKind kind, Oid database, SpoolItem *items, int n);

/* Bytes that are not loaded yet, and how many there may be before all have to wait. */
extern int64 gepa_store_spool_backlog(void);
extern int64 gepa_store_spool_backlog_limit(void);

/* The lock in any mode; NULL = it is not there (any more) */
extern SpoolSegment *gepa_store_spool_segment(uint32 number);
extern bool gepa_store_spool_is_loaded(const SpoolPlace *place);

/* Those that have no place are passed over. */
extern void gepa_store_spool_mark_done(const SpoolPlace *places, int n);

/*
 * The segment whose records are to be appended anew, because a few of them
 * keep the spool from getting smaller; 0 = none.
 */
extern uint32 gepa_store_spool_crowded(void);

/* Remove the segments that are appended to as well when nothing in them waits. */
extern void gepa_store_spool_tidy(void);

/*
 * Make what was appended survive a power failure; takes the lock itself.  What
 * fails is logged.
 */
extern void gepa_store_spool_sync(void);

extern void gepa_store_spool_path(uint32 segment, char *path);
extern void gepa_store_spool_remove(const SpoolSegment *segment);	/* its file */
extern void gepa_store_spool_set_aside(uint32 segment);
extern pg_crc32c gepa_store_spool_checksum(const SpoolSegment *segment, int64 offset,
										   const SpoolRecord *record, const char *data);

/* spool_read.c */

/* At the server's start, before there is any other process: find the segments. */
extern void gepa_store_spool_start(void);

/*
 * Call back for up to max records that are not done and not loaded, in order.
 * Returns what has ended it; the callback is false for want of room.
 */
typedef enum SpoolLoad
{
	SPOOL_ALL_LOADED,
	SPOOL_MORE_TO_LOAD,
	SPOOL_CANNOT_LOAD			/* no room */
} SpoolLoad;

typedef bool (*SpoolTake) (Oid database, const char *data, int length,
						   const SpoolPlace *place);
extern SpoolLoad gepa_store_spool_load(SpoolTake take, int max);

/* Visit the records of a database that are not done; the lock in any mode. */
typedef void (*SpoolVisit) (const char *data, int length, void *arg);
extern void gepa_store_spool_walk(Oid database, SpoolVisit visit, void *arg);

/* A record's palloc'd data, NULL = it cannot be read; the lock in any mode. */
extern char *gepa_store_spool_read(const SpoolPlace *place, int length);

#endif							/* GEPA_STORE_STORE_SPOOL_H */
