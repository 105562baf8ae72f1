/*-------------------------------------------------------------------------
 *
 * job_pieces.c
 *	  The pieces that a job's worker is at: taken, asked, answered, written.
 *
 * Several pieces are at work at a time, so that the LM has the rows of the next
 * one while the answers to the last of this one are on their way, or while it
 * is written.  Each has a memory context and a claim of its own.  No transaction is
 * open between the steps:
 *
 *	 take		claim rows and read them; then look their verdicts up
 *	 answers	come from the stream, in any order
 *	 write		targets, errors, figures and the end of the claim, at once
 *
 * Whatever goes wrong, the pieces are forgotten and their claims freed; rows that
 * have a verdict by then find it stored.
 *
 * How large pieces are follows how fast they get done: large ones cost fewer
 * commits, small ones show progress and hold their claims for less long.
 *
 * Locks of others are not waited for: a piece whose rows are locked is tried
 * again without them, and they are put back into the queue.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "worker/worker_job_internal.h"

#define FEWEST_ROWS 16
#define FIRST_ROWS 64

/* How long a piece may take, and the time below which it was too small. */
#define LONG_PIECE_MS 10000
#define SHORT_PIECE_MS 2000

#define MOST_PIECES 16
#define WINDOW_FACTOR 2
#define SMALLEST_WINDOW 64

/* The longest pause when others have what is left, and when a lock is in the way. */
#define LONGEST_LOOK_MS 1000
#define LONGEST_LOCK_PAUSE_MS 10000

/* A judge opened longer ago may have had its LM mended, or given another key. */
#define OLD_JUDGE_MS 10000

/* Fewer calls in a row that failed say nothing about the LM. */
#define FEWEST_FAILURES 20

typedef struct Piece
{
	dlist_node	node;
	MemoryContext context;
	StoreJobPiece taken;
	ApplyTicket **tickets;		/* by row; NULL = it has no document */
	int			nknown;			/* the first so many are known */
	int64		since;
	int64		due;			/* to be written, not before */
	int			failures;		/* to write it */
} Piece;

/*
 * Taking
 */

static Piece *
new_piece(WorkerJob *job)
{
	MemoryContext context = AllocSetContextCreate(job->context, "gepa job piece",
												  ALLOCSET_DEFAULT_SIZES);
	Piece	   *piece = MemoryContextAllocZero(context, sizeof(Piece));

	piece->context = context;
	piece->since = gepa_clock_us();
	return piece;
}

/* Somebody's lock: raise anything else. */
static void
tolerate_blocked(WorkerJob *job, ErrorData *error)
{
	if (!gepa_worker_is_blocked(error) || ProcDiePending)
		ReThrowError(error);
	ereport(DEBUG1,
			(errmsg_internal("gepa job %d is held up: %s", job->row->job, error->message),
			 errdetail_internal("%s", error->context ? error->context : "")));
	FreeErrorData(error);
}

/*
 * Claim some rows and read them, in a transaction; false when it was blocked.
 *
 * Whether the judge is outdated is asked after the rows were read: a row that came after
 * another version became current is not judged by the one before.
 */
static bool
take(WorkerJob *job, Piece *piece, StoreTake *outcome)
{
	volatile bool done = false;

	PG_TRY();
	{
		gepa_worker_begin(piece->context);
		gepa_worker_check_job(job);
		*outcome = STORE_TAKE_LATER;
		if (job->status == STORE_JOB_RUNNING)
			*outcome = gepa_store_take_piece(job->row, job->part, job->table, job->max_rows,
											 &piece->taken);
		job->outdated = gepa_worker_job_judge_is_outdated(job);
		if (job->outdated)
			gepa_worker_abort(job->context);
		else
			gepa_worker_commit(job->context);
		done = !job->outdated;
	}
	PG_CATCH();
	{
		tolerate_blocked(job, gepa_worker_take_error(job->context));
	}
	PG_END_TRY();
	return done;
}

/* Ask for a row's document; what is needed of it the stream copies. */
static void
ask_row(WorkerJob *job, Piece *piece, int i)
{
	StoreJobRow *row = &piece->taken.rows[i];

	if (row->has_document)
		piece->tickets[i] = gepa_apply_desk_ask(job->desk, row->document,
												gepa_store_job_is_jsonb(job->table));
}

static void
ask(WorkerJob *job, Piece *piece)
{
	int			n = Max(piece->taken.nrows, 1);
	MemoryContext documents = AllocSetContextCreate(piece->context, "gepa job documents",
													ALLOCSET_DEFAULT_SIZES);

	piece->tickets = MemoryContextAllocZero(piece->context, sizeof(ApplyTicket *) * n);
	gepa_worker_begin(documents);
	for (int i = 0; i < piece->taken.nrows; i++)
	{
		ask_row(job, piece, i);
		MemoryContextReset(documents);
		if (piece->taken.rows[i].has_document)
			pfree(DatumGetPointer(piece->taken.rows[i].document));
	}
	gepa_apply_desk_send(job->desk);
	gepa_worker_commit(job->context);
	MemoryContextDelete(documents);
}

/* The next look: soon, then less and less often. */
static void
look_later(WorkerJob *job)
{
	job->look_at = gepa_clock_after_ms(Min(20 << Min(job->empty_looks, 6), LONGEST_LOOK_MS));
	job->empty_looks++;
}

static bool
may_take(const WorkerJob *job)
{
	int			window = job->options.window;

	if (window == 0)
		window = Max(gepa_apply_desk_concurrency(job->desk) * WINDOW_FACTOR, SMALLEST_WINDOW);
	return !job->outdated && job->npieces < MOST_PIECES && job->nunknown < window &&
		job->look_at <= gepa_clock_us();
}

static bool
take_piece(WorkerJob *job)
{
	Piece	   *piece = new_piece(job);
	StoreTake	outcome = STORE_TAKE_LATER;

	if (!take(job, piece, &outcome) || outcome != STORE_TAKE_PIECE)
	{
		MemoryContextDelete(piece->context);
		job->nothing_left = outcome == STORE_TAKE_NONE;
		look_later(job);
		return false;
	}
	job->empty_looks = 0;
	job->nothing_left = false;
	dlist_push_tail(&job->pieces, &piece->node);
	job->npieces++;
	job->nunknown += piece->taken.nrows;
	ask(job, piece);
	return true;
}

/*
 * Answers
 */

static void
set_outage(WorkerJob *job, const ApplyJudge *judge, const JudgeVerdict *verdict,
		   const char *otherwise)
{
	const LmServer *lm = gepa_judge_failed_lm(judge->servers, verdict);

	job->outage_lm = MemoryContextStrdup(job->context, lm->name);
	job->outage = MemoryContextStrdup(job->context,
									  verdict->detail ? verdict->detail : otherwise);
}

/* A failure that no call can escape: perhaps the LM was mended since. */
static void
note_fatal(WorkerJob *job, const ApplyJudge *judge, const JudgeVerdict *verdict)
{
	if (gepa_clock_us() - job->opened_at < (int64) OLD_JUDGE_MS * 1000)
		gepa_judge_report(judge->spec, judge->servers, verdict);
	set_outage(job, judge, verdict, "");
}

static void
note_outage(WorkerJob *job, const ApplyTicket *ticket)
{
	const JudgeVerdict *verdict = &ticket->answer->verdict.verdict;
	const char *status = gepa_status_name(verdict->status);

	set_outage(job, ticket->judge, verdict, status);
}

static void
note_answer(WorkerJob *job, const ApplyTicket *ticket)
{
	const ApplyAnswer *answer = ticket->answer;
	const JudgeVerdict *verdict = &answer->verdict.verdict;

	if (verdict->fatal)
		note_fatal(job, ticket->judge, verdict);
	else if (verdict->status == GEPA_STATUS_BUDGET)
		job->budget = MemoryContextStrdup(job->context,
										  verdict->detail ? verdict->detail : "a budget is used up");
	else if (!gepa_status_no_answer(verdict->status) || verdict->rejected)
	{
		if (answer->origin == APPLY_CALLED)
			job->failures = job->outages = 0;
	}
	else if (++job->failures >= Max(FEWEST_FAILURES, ticket->judge->lm->max_concurrency))
		note_outage(job, ticket);
}

static void
advance(WorkerJob *job, Piece *piece)
{
	while (piece->nknown < piece->taken.nrows && job->budget == NULL && job->outage == NULL)
	{
		const ApplyTicket *ticket = piece->tickets[piece->nknown];

		if (ticket != NULL && !gepa_apply_ticket_is_known(ticket))
			break;
		if (ticket != NULL && ticket->answer != NULL)
			note_answer(job, ticket);
		piece->nknown++;
		job->nunknown--;
	}
}

/*
 * Writing
 */

/* A call that was not answered may be the next time. */
static bool
deserves_another_try(const Piece *piece, const JudgeVerdict *verdict)
{
	return gepa_status_no_answer(verdict->status) && !verdict->rejected &&
		piece->taken.attempts < WORKER_ROUNDS - 1;
}

static StoreJobResult *
make_results(const WorkerJob *job, const Piece *piece)
{
	StoreJobResult *results = palloc0(sizeof(StoreJobResult) * Max(piece->taken.nrows, 1));

	for (int i = 0; i < piece->taken.nrows; i++)
	{
		const ApplyTicket *ticket = piece->tickets[i];

		results[i].row = &piece->taken.rows[i];
		results[i].version = job->row->version;
		results[i].rewrite = job->named->router != NULL;
		if (ticket == NULL || ticket->answer == NULL)
			continue;
		results[i].verdict = &ticket->answer->verdict.verdict;
		results[i].put_back = results[i].locked =
			deserves_another_try(piece, results[i].verdict);
		memcpy(results[i].digest, ticket->answer->digest, JUDGE_DIGEST_LENGTH);
	}
	return results;
}

/* A verdict is counted, and paid, where it was asked for first. */
static void
count_row(StoreJobFigures *figures, const ApplyTicket *ticket)
{
	const JudgeVerdict *verdict = &ticket->answer->verdict.verdict;
	bool		called = ticket->fresh && ticket->answer->origin == APPLY_CALLED;

	figures->input_tokens += ticket->input_tokens;
	figures->output_tokens += ticket->output_tokens;
	figures->cost += ticket->cost;
	if (verdict->status != GEPA_STATUS_OK)
		figures->failed++;
	else if (called)
		figures->judged++;
	else
		figures->stored++;
	if (!called)
		return;
	figures->input_tokens += verdict->input_tokens;
	figures->output_tokens += verdict->output_tokens;
	figures->cost += verdict->cost;
}

static StoreJobFigures
count_rows(const Piece *piece, const StoreJobResult *results)
{
	StoreJobFigures figures = {0};

	for (int i = 0; i < piece->taken.nrows; i++)
	{
		/* Those that were put back are counted when they are done. */
		if (results[i].put_back)
			continue;
		figures.rows++;
		if (piece->tickets[i] != NULL && piece->tickets[i]->answer != NULL)
			count_row(&figures, piece->tickets[i]);
	}
	return figures;
}

static void
write_in_transaction(WorkerJob *job, Piece *piece)
{
	MemoryContext scratch = AllocSetContextCreate(piece->context, "gepa job results",
												  ALLOCSET_DEFAULT_SIZES);
	StoreJobResult *results;
	StoreJobFigures figures;
	int			n = piece->taken.nrows;

	gepa_worker_begin(scratch);
	gepa_worker_check_job(job);
	if (job->status == STORE_JOB_RUNNING || job->status == STORE_JOB_PAUSING)
	{
		results = make_results(job, piece);
		gepa_store_verify_piece(job->table, &piece->taken, results, n);
		gepa_store_put_results(job->table, results, n, piece->failures > 0);
		gepa_store_put_missing(job->table, &piece->taken);
		figures = count_rows(piece, results);
		gepa_store_finish_piece(job->row, &piece->taken, results, n, &figures);
	}
	gepa_worker_commit(job->context);
	MemoryContextDelete(scratch);
}

/* False when somebody's lock was in the way. */
static bool
write_piece(WorkerJob *job, Piece *piece)
{
	volatile bool done = false;

	PG_TRY();
	{
		write_in_transaction(job, piece);
		done = true;
	}
	PG_CATCH();
	{
		tolerate_blocked(job, gepa_worker_take_error(job->context));
	}
	PG_END_TRY();
	if (done)
		gepa_worker_announce_change(job->row->job);
	return done;
}

static void
forget_piece(WorkerJob *job, Piece *piece)
{
	for (int i = 0; i < piece->taken.nrows && piece->tickets != NULL; i++)
		if (piece->tickets[i] != NULL && job->desk != NULL)
			gepa_apply_desk_release(piece->tickets[i]);
	job->nunknown -= piece->taken.nrows - piece->nknown;
	job->npieces--;
	dlist_delete(&piece->node);
	MemoryContextDelete(piece->context);
}

static void
adapt(WorkerJob *job, const Piece *piece)
{
	int64		took_ms = (gepa_clock_us() - piece->since) / 1000;

	if (took_ms < SHORT_PIECE_MS)
		job->max_rows = Min(job->max_rows * 2, job->options.batch);
	else if (took_ms > LONG_PIECE_MS)
		job->max_rows = Max(job->max_rows / 2, Min(FEWEST_ROWS, job->options.batch));
}

/*
 * All calls of a piece failed, and none before it in a row did not: that is not
 * the rows' fault.  A few times they get another try.
 */
static bool
is_outage(WorkerJob *job, const Piece *piece)
{
	const ApplyTicket *last = NULL;

	if (job->failures == 0 || job->outages >= WORKER_ROUNDS)
		return false;
	for (int i = 0; i < piece->taken.nrows; i++)
	{
		const ApplyTicket *ticket = piece->tickets[i];

		if (ticket == NULL || ticket->answer == NULL || ticket->answer->origin != APPLY_CALLED)
			continue;
		if (!gepa_status_no_answer(ticket->answer->verdict.verdict.status))
			return false;
		last = ticket;
	}
	if (last == NULL || last->answer->verdict.verdict.rejected)
		return false;
	note_outage(job, last);
	return true;
}

/* Returns whether it is done with. */
static bool
finish(WorkerJob *job, Piece *piece)
{
	if (!write_piece(job, piece))
	{
		int			pause = piece->failures == 0 ? 0 :
			gepa_worker_backoff_ms(piece->failures, LONGEST_LOCK_PAUSE_MS);

		piece->failures++;
		piece->due = gepa_clock_after_ms(pause);
		return false;
	}
	adapt(job, piece);
	forget_piece(job, piece);
	return true;
}

/* Write what is complete; returns how many pieces were. */
static int
finish_complete(WorkerJob *job)
{
	dlist_mutable_iter iter;
	int			nfinished = 0;

	dlist_foreach_modify(iter, &job->pieces)
	{
		Piece	   *piece = dlist_container(Piece, node, iter.cur);

		advance(job, piece);
		if (job->budget != NULL || job->outage != NULL)
			break;
		if (piece->nknown < piece->taken.nrows || piece->due > gepa_clock_us())
			continue;
		if (is_outage(job, piece))
			break;
		nfinished += finish(job, piece);
	}
	return nfinished;
}

/*
 * The door
 */

bool
gepa_worker_turn_job(WorkerJob *job)
{
	bool		busy = false;

	if (job->max_rows == 0)
		job->max_rows = Min(FIRST_ROWS, job->options.batch);
	if (may_take(job))
		busy = take_piece(job);
	if (gepa_apply_desk_poll(job->desk) > 0)
		busy = true;
	gepa_worker_note_in_flight(gepa_apply_desk_sent(job->desk));
	if (finish_complete(job) > 0)
		busy = true;
	return busy;
}

void
gepa_worker_drain_job(WorkerJob *job)
{
	if (job->desk == NULL)
		return;
	gepa_apply_desk_drain(job->desk);
	gepa_worker_note_in_flight(0);
	if (job->budget == NULL && job->outage == NULL)
		(void) finish_complete(job);
}

void
gepa_worker_abandon_pieces(WorkerJob *job)
{
	while (!dlist_is_empty(&job->pieces))
		forget_piece(job, dlist_container(Piece, node, dlist_head_node(&job->pieces)));
	gepa_worker_begin(job->context);
	if (gepa_store_job_exists(job->row))
		gepa_store_release_claims(job->row, job->part);
	gepa_worker_commit(job->context);
	gepa_worker_announce_change(job->row->job);
}

void
gepa_worker_check_job(WorkerJob *job)
{
	StoreJob   *row = NULL;
	bool		exists;

	if (OidIsValid(gepa_store_extension_owner()))
		row = gepa_store_get_job(job->row->job);
	if (row == NULL || row->born != job->row->born)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("job %d was dropped while at work", job->row->job),
				 errhint("The extension was dropped.")));
	(void) gepa_worker_can_login(job->row->owner, &exists);
	if (!exists)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the role that owned the job was dropped"),
				 errhint("Start a new job as another role.")));
	gepa_store_check_job_judge(job->row);
	job->status = row->status;
	if (row->status == STORE_JOB_QUEUED &&
		gepa_store_move_job(row->job, 1 << STORE_JOB_QUEUED, STORE_JOB_RUNNING, NULL, DT_NOBEGIN))
		job->status = STORE_JOB_RUNNING;
}
