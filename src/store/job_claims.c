/*-------------------------------------------------------------------------
 *
 * job_claims.c
 *	  What is left to do of a corpus job, and which worker has taken what.
 *
 * Work begins as one claim on all keys.  A worker takes a piece: it reads the
 * next rows of a free claim, holds them as a claim of its own and leaves the
 * rest free, in one short transaction.  The claim goes when the piece's results
 * are written.  So at any time the claims say what is not done, and whatever
 * dies, the server included, costs no more than reading pieces again: their
 * verdicts are stored.
 *
 * Before a free range the queue is looked at: keys of rows that were changed,
 * locked or without a verdict.  Their entries become a claim, too.
 *
 * Who holds a claim is written in it as job and part (the number of the
 * worker).  A worker has a lock on that pair, for its session, so it lives as
 * long as the lock cannot be had.  Pids and start times would have to be compared
 * with those of processes that are gone; a lock goes with its process, and with
 * the server.
 *
 * Locking: a free claim is locked while a piece is cut off, by SKIP LOCKED; who
 * finds them all locked comes again in a moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "store/store_job_table.h"

/* Keys of the queue that are taken at a time. */
#define QUEUE_BATCH 256

static StoreStatement take_queue = {
	.sql = "DELETE FROM gepa.job_queue q USING (SELECT job, entry FROM gepa.job_queue"
	" WHERE job = $1 AND due <= pg_catalog.clock_timestamp() ORDER BY entry LIMIT $2"
	" FOR UPDATE SKIP LOCKED) t WHERE q.job = t.job AND q.entry = t.entry"
	" RETURNING q.key, q.last, q.attempts"
};

static StoreStatement take_free = {
	.sql = "SELECT claim, low, with_low, high, keys, attempts FROM gepa.job_claim"
	" WHERE job = $1 AND holder IS NULL ORDER BY claim LIMIT 1 FOR UPDATE SKIP LOCKED"
};

static StoreStatement insert_claim = {
	.sql = "INSERT INTO gepa.job_claim (job, low, with_low, high, keys, attempts, holder, part)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING claim"
};

static StoreStatement hold_claim = {
	.sql = "UPDATE gepa.job_claim SET holder = $3, part = $4 WHERE job = $1 AND claim = $2"
};

static StoreStatement shorten_claim = {
	.sql = "UPDATE gepa.job_claim SET low = $3, with_low = false WHERE job = $1 AND claim = $2"
};

static StoreStatement delete_claim = {
	.sql = "DELETE FROM gepa.job_claim WHERE job = $1 AND claim = $2"
};

static StoreStatement release_part = {
	.sql = "UPDATE gepa.job_claim SET holder = NULL, part = NULL"
	" WHERE job = $1 AND holder = $2 AND part = $3"
};

static StoreStatement select_held = {
	.sql = "SELECT 1 FROM gepa.job_claim WHERE job = $1 AND holder = $2 LIMIT 1"
};

static StoreStatement select_holders = {
	.sql = "SELECT DISTINCT holder, part FROM gepa.job_claim"
	" WHERE job = $1 AND holder IS NOT NULL AND NOT (holder = $2 AND part = $3)"
};

static StoreStatement select_left = {
	.sql = "SELECT 1 WHERE EXISTS (SELECT FROM gepa.job_claim WHERE job = $1)"
	" OR EXISTS (SELECT FROM gepa.job_queue WHERE job = $1)"
};

static StoreStatement delete_claims = {
	.sql = "DELETE FROM gepa.job_claim c WHERE job = $1"
	" AND NOT EXISTS (SELECT FROM gepa.job j WHERE j.work = c.job AND j.job <> $2"
	" AND j.status IN ('queued', 'running', 'pausing', 'paused', 'failed'))"
};

static StoreStatement delete_queue = {
	.sql = "DELETE FROM gepa.job_queue q WHERE job = $1"
	" AND NOT EXISTS (SELECT FROM gepa.job j WHERE j.work = q.job AND j.job <> $2"
	" AND j.status IN ('queued', 'running', 'pausing', 'paused', 'failed'))"
};

/* A free claim as it was taken. */
typedef struct Claim
{
	int64		claim;
	StoreJobRange range;
	int			nkeys;			/* instead of a range: so many keys */
	char	 ***keys;
	int			attempts;
} Claim;

/*
 * Keys in the tables
 */

/* A text array, or NULL. */
static char **
read_texts(StoreScope *scope, uint64 row, int column, int *n)
{
	bool		isnull;

	*n = 0;
	(void) SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
	return isnull ? NULL : gepa_store_texts(scope, row, column, n);
}

/* One key after the other, into an array of keys. */
static char ***
split_keys(char **texts, int ntexts, int columns, int *n)
{
	char	 ***keys = palloc(sizeof(char **) * Max(ntexts / columns, 1));

	*n = ntexts / columns;
	for (int i = 0; i < *n; i++)
		keys[i] = texts + i * columns;
	return keys;
}

static void
arg_texts_or_null(StoreArgs *args, int n, char *const *values)
{
	gepa_store_arg_texts(args, values == NULL ? 0 : n, values);
	if (values == NULL)
		args->nulls[args->n - 1] = 'n';
}

/* holder 0 = free. */
static int64
add_claim(StoreScope *scope, const StoreJob *job, const Claim *claim, int holder, int part)
{
	StoreArgs	args = {0};
	int			columns = job->nkeys;
	char	  **texts = NULL;

	if (claim->nkeys > 0)
	{
		texts = palloc(sizeof(char *) * claim->nkeys * columns);
		for (int i = 0; i < claim->nkeys * columns; i++)
			texts[i] = claim->keys[i / columns][i % columns];
	}
	gepa_store_arg_int(&args, job->work);
	arg_texts_or_null(&args, columns, claim->range.low);
	gepa_store_arg_bool(&args, claim->range.with_low);
	arg_texts_or_null(&args, columns, claim->range.high);
	arg_texts_or_null(&args, claim->nkeys * columns, texts);
	gepa_store_arg_int(&args, claim->attempts);
	gepa_store_arg_int_or_null(&args, holder, 0);
	gepa_store_arg_int_or_null(&args, holder == 0 ? -1 : part, -1);
	gepa_store_run(scope, &insert_claim, &args);
	return gepa_store_bigint(0, 1);
}

/*
 * Workers
 */

/* On the table of jobs, as on any object; nobody else takes such a lock. */
static void
part_tag(LOCKTAG *tag, int job, int part)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, gepa_store_relation("job"), job, part);

	/* Of the other method an aborted transaction would give up session locks. */
	tag->locktag_lockmethodid = USER_LOCKMETHOD;
}

void
gepa_store_become_part(const StoreJob *job, int part)
{
	LOCKTAG		tag;

	part_tag(&tag, job->job, part);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
}

static void
run_on_part(StoreStatement *statement, int work, int holder, int part)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, work);
	gepa_store_arg_int(&args, holder);
	gepa_store_arg_int(&args, part);
	gepa_store_run(&scope, statement, &args);
	gepa_store_leave(&scope);
}

void
gepa_store_release_claims(const StoreJob *job, int part)
{
	run_on_part(&release_part, job->work, job->job, part);
}

bool
gepa_store_holds_nothing(const StoreJob *job)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_int(&args, job->job);
	return !gepa_store_is_there(&select_held, &args);
}

bool
gepa_store_has_claims(const StoreJob *job)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, job->work);
	return gepa_store_is_there(&select_left, &args);
}

void
gepa_store_drop_claims(const StoreJob *job)
{
	StoreStatement *const statements[] = {&delete_claims, &delete_queue};
	StoreScope	scope;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	for (int i = 0; i < lengthof(statements); i++)
	{
		StoreArgs	args = {0};

		gepa_store_arg_int(&args, job->work);
		gepa_store_arg_int(&args, job->job);
		gepa_store_run(&scope, statements[i], &args);
	}
	gepa_store_leave(&scope);
}

/* A dead worker's lock can be had; while it is ours nobody becomes that part. */
static bool
free_if_dead(const StoreJob *job, int holder, int part)
{
	LOCKTAG		tag;

	part_tag(&tag, holder, part);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	run_on_part(&release_part, job->work, holder, part);
	return true;
}

/* Free what dead workers hold; returns whether there was any. */
static bool
free_dead(const StoreJob *job, int part)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	int			n;
	int		   *holders;
	bool		freed = false;

	gepa_store_enter(&scope, STORE_VIEW_LATEST);
	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_int(&args, job->job);
	gepa_store_arg_int(&args, part);
	n = (int) gepa_store_run(&scope, &select_holders, &args);
	holders = MemoryContextAlloc(scope.caller, sizeof(int) * 2 * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		holders[2 * i] = gepa_store_int(i, 1, 0);
		holders[2 * i + 1] = gepa_store_int(i, 2, 0);
	}
	gepa_store_leave(&scope);
	for (int i = 0; i < n; i++)
		freed = free_if_dead(job, holders[2 * i], holders[2 * i + 1]) || freed;
	return freed;
}

/*
 * The queue
 */

/* Entries of the queue become claims: a free one per range, one for all keys. */
static bool
take_from_queue(const StoreJob *job, int part, Claim *claim)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	Claim	   *ranges;
	int			nranges = 0;
	int			n;

	memset(claim, 0, sizeof(*claim));
	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_int(&args, QUEUE_BATCH);
	n = (int) gepa_store_run(&scope, &take_queue, &args);
	claim->keys = MemoryContextAlloc(scope.caller, sizeof(char **) * Max(n, 1));
	ranges = MemoryContextAllocZero(scope.caller, sizeof(Claim) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		int			length;
		char	  **key = read_texts(&scope, i, 1, &length);
		char	  **last = read_texts(&scope, i, 2, &length);

		if (last == NULL)
			claim->keys[claim->nkeys++] = key;
		else
			ranges[nranges++].range = (StoreJobRange)
		{
			.low = key,.with_low = true,.high = last
		};
		claim->attempts = Max(claim->attempts, gepa_store_int(i, 3, 0));
	}
	for (int i = 0; i < nranges; i++)
		(void) add_claim(&scope, job, &ranges[i], 0, 0);
	if (claim->nkeys > 0)
		claim->claim = add_claim(&scope, job, claim, job->job, part);
	gepa_store_leave(&scope);
	return n > 0;
}

static int
compare_keys(const void *a, const void *b, void *columns)
{
	char	  **x = *(char ***) unconstify(void *, a);
	char	  **y = *(char ***) unconstify(void *, b);

	for (int i = 0; i < *(int *) columns; i++)
	{
		int			order = strcmp(x[i], y[i]);

		if (order != 0)
			return order;
	}
	return 0;
}

static int
compare_rows(const void *a, const void *b, void *columns)
{
	return compare_keys(&((const StoreJobRow *) a)->key, &((const StoreJobRow *) b)->key,
						columns);
}

/* One that was queued twice is looked at once. */
static void
make_unique(Claim *claim, int columns)
{
	int			n = 0;

	qsort_arg(claim->keys, claim->nkeys, sizeof(char **), compare_keys, &columns);
	for (int i = 0; i < claim->nkeys; i++)
		if (n == 0 || compare_keys(&claim->keys[i], &claim->keys[n - 1], &columns) != 0)
			claim->keys[n++] = claim->keys[i];
	claim->nkeys = n;
}

/*
 * Keys that are written otherwise and equal all the same (1.0 and 1.00, names
 * without regard to case) find the same row; it is one row.
 */
static void
drop_twins(StoreJobPiece *piece, int columns)
{
	int			n = 0;

	qsort_arg(piece->rows, piece->nrows, sizeof(StoreJobRow), compare_rows, &columns);
	for (int i = 0; i < piece->nrows; i++)
		if (n == 0 || compare_rows(&piece->rows[i], &piece->rows[n - 1], &columns) != 0)
			piece->rows[n++] = piece->rows[i];
	piece->nrows = n;
}

/* Of those asked for the ones by which no row was found. */
static void
find_missing(const Claim *claim, StoreJobPiece *piece)
{
	bool	   *there = palloc0(Max(claim->nkeys, 1));

	for (int i = 0; i < piece->nrows; i++)
		there[piece->rows[i].asked] = true;
	piece->missing = palloc(sizeof(char **) * Max(claim->nkeys, 1));
	for (int i = 0; i < claim->nkeys; i++)
		if (!there[i])
			piece->missing[piece->nmissing++] = claim->keys[i];
	pfree(there);
}

static void
read_by_key(const StoreJob *job, StoreJobTable *table, Claim *claim, StoreJobPiece *piece)
{
	make_unique(claim, job->nkeys);
	piece->cut = gepa_store_read_keys(table, claim->keys, claim->nkeys, piece);
	find_missing(claim, piece);
	drop_twins(piece, job->nkeys);
}

/*
 * Free claims
 */

static bool
take_free_claim(const StoreJob *job, Claim *claim)
{
	StoreScope	scope;
	bool		found;
	char	  **texts;
	int			n;
	int			columns;

	memset(claim, 0, sizeof(*claim));
	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	found = gepa_store_run_by_number(&scope, &take_free, job->work) > 0;
	if (found)
	{
		claim->claim = gepa_store_bigint(0, 1);
		claim->range.low = read_texts(&scope, 0, 2, &columns);
		claim->range.with_low = gepa_store_bool(0, 3);
		claim->range.high = read_texts(&scope, 0, 4, &columns);
		texts = read_texts(&scope, 0, 5, &n);
		claim->attempts = gepa_store_int(0, 6, 0);
		MemoryContextSwitchTo(scope.caller);
		if (texts != NULL)
			claim->keys = split_keys(texts, n, job->nkeys, &claim->nkeys);
	}
	gepa_store_leave(&scope);
	return found;
}

static void
hold(const StoreJob *job, int part, int64 claim)
{
	StoreScope	scope;
	StoreArgs	args = {0};

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_bigint(&args, claim);
	gepa_store_arg_int(&args, job->job);
	gepa_store_arg_int(&args, part);
	gepa_store_run(&scope, &hold_claim, &args);
	gepa_store_leave(&scope);
}

/* What was read becomes a claim of its own; the rest stays free. */
static int64
cut_off(const StoreJob *job, int part, const Claim *claim, char **last)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	Claim		piece = {.range = claim->range};
	int64		id;

	piece.range.high = last;
	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	id = add_claim(&scope, job, &piece, job->job, part);
	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_bigint(&args, claim->claim);
	gepa_store_arg_texts(&args, job->nkeys, last);
	gepa_store_run(&scope, &shorten_claim, &args);
	gepa_store_leave(&scope);
	return id;
}

void
gepa_store_delete_claim(StoreScope *scope, const StoreJob *job, int64 claim)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, job->work);
	gepa_store_arg_bigint(&args, claim);
	gepa_store_run(scope, &delete_claim, &args);
}

static void
take_range(const StoreJob *job, int part, StoreJobTable *table, int max, const Claim *claim,
		   StoreJobPiece *piece)
{
	bool		more = gepa_store_read_range(table, &claim->range, max, piece);

	piece->claim = claim->claim;
	if (more)
		piece->claim = cut_off(job, part, claim, piece->rows[piece->nrows - 1].key);
	else
		hold(job, part, claim->claim);
}

StoreTake
gepa_store_take_piece(const StoreJob *job, int part, StoreJobTable *table, int max,
					  StoreJobPiece *piece)
{
	Claim		claim;

	memset(piece, 0, sizeof(*piece));
	if (take_from_queue(job, part, &claim))
	{
		piece->claim = claim.claim;
		piece->attempts = claim.attempts;
		if (claim.nkeys > 0)
			read_by_key(job, table, &claim, piece);
		return STORE_TAKE_PIECE;
	}
	if (!take_free_claim(job, &claim) &&
		(!free_dead(job, part) || !take_free_claim(job, &claim)))
		return gepa_store_has_claims(job) ? STORE_TAKE_LATER : STORE_TAKE_NONE;
	piece->attempts = claim.attempts;
	piece->claim = claim.claim;
	if (claim.keys == NULL)
		take_range(job, part, table, max, &claim, piece);
	else
	{
		hold(job, part, claim.claim);
		read_by_key(job, table, &claim, piece);
	}
	return STORE_TAKE_PIECE;
}
