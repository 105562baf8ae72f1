/*-------------------------------------------------------------------------
 *
 * store_internal.h
 *	  How the files of src/store talk to SPI, and to each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_STORE_STORE_INTERNAL_H
#define GEPA_STORE_STORE_INTERNAL_H

#include "executor/spi.h"
#include "storage/condition_variable.h"
#include "utils/relcache.h"

#include "store/store.h"
#include "store/store_spool.h"

/*
 * A scope is one visit to the tables: SPI connected, acting as somebody,
 * search_path pinned.  An ERROR inside needs no cleanup here: the end of the
 * (sub)transaction restores user, settings and SPI.
 */
typedef struct StoreScope
{
	MemoryContext caller;		/* results are made here */
	Oid			save_userid;
	int			save_sec_context;
	int			guc_nestlevel;
	bool		pushed_snapshot;
	bool		read_only;		/* see one snapshot, write nothing */
} StoreScope;

typedef enum StoreView
{
	STORE_VIEW_QUERY,			/* read what the running query sees */
	STORE_VIEW_LATEST,			/* read what is committed now */
	STORE_VIEW_WRITE			/* write */
} StoreView;

/* A fixed statement, planned once per session. */
typedef struct StoreStatement
{
	const char *sql;
	SPIPlanPtr	plan;
} StoreStatement;

#define STORE_MAX_ARGS 28

typedef struct StoreArgs
{
	int			n;
	Oid			types[STORE_MAX_ARGS];
	Datum		values[STORE_MAX_ARGS];
	char		nulls[STORE_MAX_ARGS + 1];
} StoreArgs;

/* judges.c: the key of the nonces, if there is none yet */
extern void gepa_store_make_fence(StoreScope *scope);

/* catalog.c: the extension and its owner; InvalidOid when it is not there */
extern Oid	gepa_store_extension(Oid *owner);

/* catalog.c: the same, an ERROR when it is not there; returns the owner */
extern Oid	gepa_store_check_extension(void);

/* catalog.c: scopes */
extern void gepa_store_enter(StoreScope *scope, StoreView view);
extern void gepa_store_enter_as(StoreScope *scope, StoreView view, Oid userid,
								const char *search_path);
extern void gepa_store_leave(StoreScope *scope);

/* catalog.c: arguments, in order; NULL texts are SQL NULLs */
extern void gepa_store_arg_bool(StoreArgs *args, bool value);
extern void gepa_store_arg_int(StoreArgs *args, int value);
extern void gepa_store_arg_int_or_null(StoreArgs *args, int value, int null_value);
extern void gepa_store_arg_bigint(StoreArgs *args, int64 value);
extern void gepa_store_arg_oid(StoreArgs *args, Oid value);
extern void gepa_store_arg_double(StoreArgs *args, double value);
extern void gepa_store_arg_timestamp(StoreArgs *args, TimestampTz value);
extern void gepa_store_arg_interval(StoreArgs *args, const Interval *value);
extern void gepa_store_arg_text(StoreArgs *args, const char *value);
extern void gepa_store_arg_bytes(StoreArgs *args, const uint8 *value, int length);
extern void gepa_store_arg_texts(StoreArgs *args, int n, char *const *values);
extern void gepa_store_arg_ints(StoreArgs *args, int n, const int *values);
extern void gepa_store_arg_doubles(StoreArgs *args, int n, const double *values);

/* nulls says which are; it may be NULL. */
extern void gepa_store_arg_array(StoreArgs *args, Oid type, int n, Datum *elems, bool *nulls);

/* catalog.c: as a bytea */
extern Datum gepa_store_bytes_datum(const uint8 *value, int length);

/* catalog.c: prepare a statement that is needed until SPI's end */
extern SPIPlanPtr gepa_store_plan(const char *sql, int nargs, Oid *types);

/* Run a statement; returns the number of rows processed or fetched. */
extern uint64 gepa_store_run(StoreScope *scope, StoreStatement *statement, StoreArgs *args);

/* catalog.c: values of the last result, copied to the caller's context */
extern bool gepa_store_bool(uint64 row, int column);
extern int	gepa_store_int(uint64 row, int column, int if_null);
extern int64 gepa_store_bigint(uint64 row, int column);
extern Oid	gepa_store_oid(uint64 row, int column);
extern double gepa_store_double(uint64 row, int column);
extern TimestampTz gepa_store_timestamp(uint64 row, int column);	/* DT_NOBEGIN = null */
extern Interval *gepa_store_interval(StoreScope *scope, uint64 row, int column);
extern char *gepa_store_text(StoreScope *scope, uint64 row, int column);
extern Datum gepa_store_jsonb(StoreScope *scope, uint64 row, int column);	/* not null */
extern void gepa_store_digest(uint64 row, int column, uint8 *digest, int length);
extern char **gepa_store_texts(StoreScope *scope, uint64 row, int column, int *n);
extern int *gepa_store_ints(StoreScope *scope, uint64 row, int column, int *n);

/*
 * rows.c: the number of a word among some, such as names of states; and those in a
 * mask (1 << number) as an argument.
 */
extern int	gepa_store_parse_word(const char *const *words, int n, const char *word);
extern void gepa_store_arg_words(StoreArgs *args, const char *const *words, int n, int mask);

/* rows.c: run a statement whose only argument is a number */
extern uint64 gepa_store_run_by_number(StoreScope *scope, StoreStatement *statement, int number);

/* Was a row of the last result, with xmin as text, written by the current transaction? */
extern bool gepa_store_is_mine(StoreScope *scope, uint64 row, int column);

/* Does a statement find any row, as committed now? */
extern bool gepa_store_is_there(StoreStatement *statement, StoreArgs *args);

/* The same of one that was made at that time; the extension may be gone, too. */
extern bool gepa_store_still_exists(StoreStatement *statement, int number, int64 born);

/* Numbers and owners that a statement finds, as committed now; palloc'd. */
extern int	gepa_store_list_owned(StoreStatement *statement, int **numbers, Oid **owners);

/*
 * judges.c: the rows of gepa.judge, which judges and routers share.  Insert one, whose
 * version 1 is the current one, and return its number, 0 where the name is taken; lock
 * the one of a name until commit; make another version the current one.
 */
extern int	gepa_store_insert_judge(StoreScope *scope, const char *name, Oid owner);
extern void gepa_store_lock_judge(StoreScope *scope, const char *name);
extern void gepa_store_set_current(StoreScope *scope, int judge, int version);

/* judges.c: make the key of the fences, if there is none. */
extern void gepa_store_make_fence(StoreScope *scope);

/* texts.c: the row of a run of texts; NULL = it is one of a judge */
extern void gepa_store_put_text(StoreScope *scope, int run, const StoreText *text);
extern StoreText *gepa_store_get_text(StoreScope *scope, int run);

/*
 * expression.c: how many expressions there are in a list like "site, id"; 0 = it is not,
 * or not only, such a list.  Raises 42601 for what is no SQL at all.
 */
extern int	gepa_store_count_expressions(const char *text);

/* Raises 42601 unless the argument of that name is one expression. */
extern void gepa_store_check_expression(const char *name, const char *expression);

/* A query that would return some, as it is analyzed; until SPI's end. */
extern Query *gepa_store_analyze(const char *sql);

/* Has one that was analyzed a volatile function in it? */
extern bool gepa_store_is_volatile(Node *expression);

/* Numbers of the columns that it names outside of subqueries; 0 = the row as a whole. */
extern Bitmapset *gepa_store_columns_read(Node *expression);

/*
 * relation.c: a relation by a name as it stands in SQL, InvalidOid if there is none;
 * raises 42602 for what is no name.  And the name it is kept by: quoted, qualified.
 */
extern Oid	gepa_store_find_relation(const char *name, LOCKMODE lockmode);
extern char *gepa_store_relation_name(Oid relid);

/*
 * datasets.c: what stands behind FROM, by the current search_path: the qualified
 * name of a relation, or one query, to be put in parentheses.  Raises 42P01 and
 * 42601.
 */
extern char *gepa_store_resolve_source(const char *source, bool *is_query);

/*
 * memory.c: what this session knows.  What was paid for is written by this
 * transaction at its commit, unless it is handed over before.
 */
extern void gepa_store_remember_paid(const StoreVerdict *verdict, bool handed_over);
extern void gepa_store_remember_handed_over(const StoreVerdict *verdict);
extern void gepa_store_remember_spooled(const StoreVerdict *verdict, const SpoolPlace *place);
extern void gepa_store_remember_found(const StoreVerdict *verdict);

/* *cached is false if this very statement paid for it. */
extern bool gepa_store_recall(const StoreAccount *account, const uint8 *digest,
							  JudgeVerdict *verdict, bool *cached);

/* A judge was dropped, and with it rows that this transaction has seen. */
extern void gepa_store_forget_judge(int judge);

/* Rows that this transaction has seen were deleted. */
extern void gepa_store_forget_known(void);

/* The extension that is there: what is known of another one is forgotten. */
extern void gepa_store_note_extension(Oid extension);

/*
 * ring.c, for backends.  Put appends to the spool, and makes an entry in the ring
 * if there is room.  *spool_error is an errno if the spool did not take it; then
 * it is in the ring only, or nowhere.  "space" is signalled when there may be
 * room, or when entries have left.
 */
typedef enum StorePut
{
	STORE_PUT_RING,				/* handed over, and found by all */
	STORE_PUT_BACKLOG,			/* handed over, and found by nobody else yet */
	STORE_PUT_NOWHERE			/* no room, and the spool cannot be written */
} StorePut;

extern bool gepa_store_ring_available(void);
extern ConditionVariable *gepa_store_ring_space(void);
extern StorePut gepa_store_ring_put(struct SpoolItem *item, int *spool_error);

/* All of some (SPOOL_APPEND_MAX at most) into the ring at once, by one write; or none. */
extern bool gepa_store_ring_put_all(struct SpoolItem *items, int n);

/* Has it left the backlog? */
extern bool gepa_store_ring_is_loaded(const SpoolPlace *place);

/* The same; loads what there is room for, and then makes it this backend's. */
extern bool gepa_store_ring_load_own(const SpoolPlace *place, const uint8 *account,
									 const uint8 *digest);
extern bool gepa_store_ring_is_beyond_limit(void);

/* Look into it; returns how many are still wanted, which are then the first ones. */
extern int	gepa_store_ring_find(const uint8 *account, StoreLookup **wanted, int n);

/* probe.c: is it in the table, as others see it now? */
extern bool gepa_store_is_stored(const StoreAccount *account, const uint8 *digest);

/* probe.c: documents with a failure recorded are put first; returns how many */
extern int	gepa_store_find_errors(const StoreAccount *account, const uint8 **digests, int n);

/*
 * pending.c: write in this transaction; returns how many are in the table then,
 * and which.  Raises no ERROR but that of a cancel; what is not written a
 * WARNING tells of.
 */
extern int	gepa_store_write_pending(const StoreVerdict *verdicts, int n, bool *written);

/* lease.c: at load */
extern void gepa_store_lease_init(void);

/*
 * partitions.c: the table that has the verdicts of a version, locked.  The
 * default one is locked no harder than for writing rows.
 */
extern Oid	gepa_store_relation(const char *name);	/* a table of gepa's */
extern Relation gepa_store_open_partition(const uint8 *verdict_digest, LOCKMODE lockmode);
extern bool gepa_store_is_default_partition(Relation rel);

typedef struct StorePartitionLock
{
	const uint8 *verdict_digest;	/* NULL = the default partition */
	LOCKMODE	mode;
	Oid			partition;		/* out */
} StorePartitionLock;

/*
 * partitions.c: lock the tables of several versions until the transaction ends,
 * so that no partition comes or goes either.
 */
extern void gepa_store_lock_partitions(StorePartitionLock *locks, int n);

/* Run a statement in which %s stands for the name of such a table. */
extern uint64 gepa_store_run_on(StoreScope *scope, Oid partition, const char *format,
								StoreArgs *args);

/* prune.c: what a judge that is about to be dropped has, and no other judge uses */
extern void gepa_store_drop_verdicts(int judge);

/* What became of all that this backend has handed over? */
typedef enum StoreHandedOver
{
	STORE_WRITTEN,				/* or put back because of a lock */
	STORE_WAITING,				/* for a first try, some of it */
	STORE_FAILED				/* some of it: the writer met an error */
} StoreHandedOver;

extern StoreHandedOver gepa_store_ring_handed_over(void);

/*
 * job_source.c: has a table a unique btree on just these columns?  They are put
 * into its order.
 */
extern bool gepa_store_has_unique_index(Relation rel, AttrNumber *attnums, int n);

/* pack.c: a verdict as flat bytes */
extern void gepa_store_pack(StringInfo buf, const StoreVerdict *stored);
extern void gepa_store_unpack(const char *data, int length, StoreVerdict *stored);
extern void gepa_store_unpack_head(const char *data, StoreVerdict *stored); /* no texts */

#endif							/* GEPA_STORE_STORE_INTERNAL_H */
