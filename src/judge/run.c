/*-------------------------------------------------------------------------
 *
 * run.c
 *	  Judging documents: the one path from document to verdict.
 *
 * A run is one batch of calls on each LM of a program.  Each submitted document
 * begins a course (course.c) and is, at any time, one call, that of the step it is at,
 * or some votes on the verdict.  With the reply it goes on to the next step, perhaps on
 * another LM, to further votes, or is done.  Documents do not wait for each other.
 *
 * The calls of all its steps and votes are reserved with the first one, so that no
 * document is begun that the budget has not calls enough for.
 *
 * Prompts and replies pass through a context that is reset for each: the batch keeps
 * a copy of the prompt, and the caller gets one of what the verdict needs of the
 * reply.  A document of several calls has a context of its own, for what it shows to
 * later ones.
 *
 * Known hole: a run that is stopped while votes of a document wait for a place does not
 * hand the document out, and what its other votes took is in no sum but the budget's.
 *
 * Requests with images can be tens of megabytes long.  As long as those that are not
 * answered have HELD_BYTES together, further documents of a judge of images are held back,
 * and further votes on one; what they hold is their caller's.  One whose image is none is
 * spoilt: it is not asked about, and collected with a verdict that says so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "judge/judge_internal.h"

/* Of requests with images, in memory at a time; a single one may be larger. */
#define HELD_BYTES (64 * 1024 * 1024)

/* A document on its way. */
typedef struct RunDocument
{
	dlist_node	node;			/* this and the next: not of a simple judge */
	LmHold		hold;			/* calls of its steps */
	MemoryContext context;		/* its own; NULL for a simple judge's */
	JudgeCourse course;
	void	   *tag;
	bool		is_held;
	dlist_node	waits;			/* in held or spoilt; of a judge of images, as
								 * what follows */
	JudgeDocument content;
	uint8		digest[JUDGE_DIGEST_LENGTH];
	char	   *problem;		/* of a spoilt one */
} RunDocument;

struct JudgeRun
{
	MemoryContext context;
	MemoryContext scratch;		/* one prompt, or one reply */
	JudgeProgram program;
	const JudgeServers *servers;
	int			nbatches;
	LmBatch   **batches;		/* one of each LM */
	int		   *batch_of;		/* by step, the verdict's last */
	dlist_head	documents;
	LmBudget   *budget;			/* NULL = none */
	MemoryContextCallback on_reset;
	dlist_head	held;
	dlist_head	spoilt;
	int			npending;
	int			peak;			/* of calls on the wire, where there are
								 * several batches */
	bool		stopped;
};

/*
 * Opening
 */

static void
init_program(JudgeProgram *program, const JudgeSpec *spec)
{
	program->spec = spec;
	program->schema = gepa_judge_schema(spec);
	program->step_schemas = palloc(sizeof(char *) * Max(spec->nsteps, 1));
	for (int i = 0; i < spec->nsteps; i++)
		program->step_schemas[i] = gepa_judge_step_schema(&spec->steps[i]);
	for (int i = 0; i < spec->ncomponents; i++)
		if (spec->components[i].kind == JUDGE_COMPONENT_EXAMPLES)
			program->examples = gepa_judge_examples_parse(spec, spec->components[i].text,
														  &program->nexamples);
}

/* The first is the judge's own LM. */
static void
open_batches(JudgeRun *run, const LmOrigin *origin)
{
	int			nsteps = run->program.spec->nsteps;
	const JudgeServers *servers = run->servers;

	run->batches = palloc(sizeof(LmBatch *) * (nsteps + 1));
	run->batch_of = palloc0(sizeof(int) * (nsteps + 1));
	run->batches[run->nbatches++] = gepa_lm_batch_open(servers->lm, origin);
	for (int i = 0; i < nsteps; i++)
	{
		int			known = 0;

		while (known < i && servers->steps[known] != servers->steps[i])
			known++;
		if (servers->steps[i] == servers->lm)
			run->batch_of[i] = 0;
		else if (known < i)
			run->batch_of[i] = run->batch_of[known];
		else
		{
			run->batch_of[i] = run->nbatches;
			run->batches[run->nbatches++] = gepa_lm_batch_open(servers->steps[i], origin);
		}
	}
}

/* The batches, which are children of the run's context, have ended by now. */
static void
release_holds(void *arg)
{
	JudgeRun   *run = arg;
	dlist_iter	iter;

	if (run->budget == NULL)
		return;
	dlist_foreach(iter, &run->documents)
		gepa_lm_budget_release_hold(run->budget,
									&dlist_container(RunDocument, node, iter.cur)->hold);
}

JudgeRun *
gepa_judge_open(const JudgeSpec *spec, const JudgeServers *servers, const LmOrigin *origin)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa judge run",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	JudgeRun   *run = palloc0(sizeof(JudgeRun));

	Assert(servers->nsteps == spec->nsteps);
	run->context = context;
	run->scratch = AllocSetContextCreate(context, "gepa judge prompt",
										 ALLOCSET_DEFAULT_SIZES);
	run->servers = servers;
	dlist_init(&run->held);
	dlist_init(&run->spoilt);
	init_program(&run->program, spec);
	open_batches(run, origin);
	MemoryContextSwitchTo(old);
	dlist_init(&run->documents);
	run->on_reset.func = release_holds;
	run->on_reset.arg = run;
	MemoryContextRegisterResetCallback(context, &run->on_reset);
	return run;
}

/*
 * Asking
 */

static void
note_peak(JudgeRun *run)
{
	if (run->nbatches > 1)
		run->peak = Max(run->peak, gepa_judge_sent(run));
}

static void
ask_once(JudgeRun *run, RunDocument *document, const JudgeDocument *content, const uint8 *digest)
{
	MemoryContext old = MemoryContextSwitchTo(run->scratch);
	LmRequest	request;

	gepa_judge_course_ask(&run->program, &document->course, content, digest, &request);
	if (document->context != NULL)
	{
		document->hold.wanted = run->program.spec->nsteps - document->course.step +
			Max(run->program.spec->votes, 1);
		request.hold = &document->hold;
	}
	gepa_lm_batch_submit(run->batches[run->batch_of[document->course.step]], &request, document);
	MemoryContextSwitchTo(old);
	MemoryContextReset(run->scratch);
}

/* What its step takes; of a vote perhaps several calls, or none now. */
static void
ask(JudgeRun *run, RunDocument *document, const JudgeDocument *content, const uint8 *digest)
{
	int			n = gepa_judge_course_wants(&run->program, &document->course);

	for (int i = 0; i < n; i++)
		ask_once(run, document, content, digest);
	note_peak(run);
}

/* Another vote of it may have had it held already. */
static void
hold(JudgeRun *run, RunDocument *document, bool first)
{
	if (document->is_held)
		return;
	document->is_held = true;
	if (first)
		dlist_push_head(&run->held, &document->waits);
	else
		dlist_push_tail(&run->held, &document->waits);
}

/* A call of a document that is held back; true if it wants more, which are of votes. */
static bool
ask_next(JudgeRun *run, RunDocument *document)
{
	int			n = gepa_judge_course_wants(&run->program, &document->course);

	if (n > 0)
		ask_once(run, document, &document->content, document->digest);
	note_peak(run);
	return n > 1;
}

/* Those that are held back, call by call, as far as there is room. */
static void
ask_held(JudgeRun *run)
{
	while (!dlist_is_empty(&run->held))
	{
		RunDocument *document;
		size_t		bytes = 0;

		for (int i = 0; i < run->nbatches; i++)
			bytes += gepa_lm_batch_bytes(run->batches[i]);
		if (bytes >= HELD_BYTES)
			return;
		document = dlist_container(RunDocument, waits, dlist_pop_head_node(&run->held));
		document->is_held = false;
		if (ask_next(run, document))
			hold(run, document, true);
	}
}

/* One of a judge of images. */
static void
submit_images(JudgeRun *run, RunDocument *document, const JudgeDocument *content,
			  const uint8 *digest)
{
	char	   *problem = gepa_judge_find_bad_image(run->program.spec, content);

	document->content = *content;
	memcpy(document->digest, digest, JUDGE_DIGEST_LENGTH);
	if (problem != NULL)
	{
		document->problem = MemoryContextStrdup(run->context, problem);
		dlist_push_tail(&run->spoilt, &document->waits);
		pfree(problem);
		return;
	}
	hold(run, document, false);
	ask_held(run);
}

static RunDocument *
add_document(JudgeRun *run, const JudgeDocument *content, const uint8 *digest, void *tag)
{
	RunDocument *document = MemoryContextAllocZero(run->context, sizeof(RunDocument));
	MemoryContext old = CurrentMemoryContext;

	document->tag = tag;
	if (gepa_judge_is_course(run->program.spec))
	{
		document->context = AllocSetContextCreate(run->context, "gepa judge document",
												  ALLOCSET_SMALL_SIZES);
		dlist_push_tail(&run->documents, &document->node);
		MemoryContextSwitchTo(document->context);
	}
	gepa_judge_course_begin(&run->program, &document->course, content, digest);
	MemoryContextSwitchTo(old);
	return document;
}

void
gepa_judge_submit(JudgeRun *run, const JudgeDocument *document, const uint8 *digest, void *tag)
{
	uint8		own[JUDGE_DIGEST_LENGTH];
	RunDocument *added;

	if (digest == NULL)
	{
		gepa_judge_content_digest(document, own);
		digest = own;
	}
	run->npending++;
	added = add_document(run, document, digest, tag);
	if (run->program.spec->nimages > 0)
		submit_images(run, added, document, digest);
	else
		ask(run, added, document, digest);
}

/*
 * Collecting
 */

static char *
copy_text(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

/* Its strings and figures, into the current context. */
static void
keep_verdict(JudgeVerdict *verdict, int nlabels)
{
	verdict->answer = copy_text(verdict->answer);
	verdict->reasoning = copy_text(verdict->reasoning);
	verdict->thinking = copy_text(verdict->thinking);
	verdict->votes = copy_text(verdict->votes);
	verdict->detail = copy_text(verdict->detail);
	verdict->hint = copy_text(verdict->hint);
	verdict->trace = copy_text(verdict->trace);
	if (verdict->probabilities != NULL)
	{
		double	   *copy = palloc(sizeof(double) * nlabels);

		memcpy(copy, verdict->probabilities, sizeof(double) * nlabels);
		verdict->probabilities = copy;
	}
}

static bool
take(JudgeRun *run, RunDocument *document, const LmReply *reply, JudgeVerdict *verdict)
{
	MemoryContext old = MemoryContextSwitchTo(document->context ? document->context : run->scratch);
	bool		done = gepa_judge_course_take(&run->program, &document->course, reply, verdict);

	/* Votes of it that were not sent keep it as it is. */
	if (!done && run->stopped && gepa_judge_course_waits(&document->course) == 0)
	{
		gepa_judge_course_cancel(&run->program, &document->course, verdict);
		done = true;
	}
	MemoryContextSwitchTo(old);
	return done;
}

static void
forget(JudgeRun *run, RunDocument *document)
{
	run->npending--;
	if (document->is_held)
		dlist_delete(&document->waits);
	if (document->context != NULL)
	{
		dlist_delete(&document->node);
		MemoryContextDelete(document->context);
		if (run->budget != NULL)
			gepa_lm_budget_release_hold(run->budget, &document->hold);
	}
	pfree(document);
}

/*
 * One reply of one LM, if there is any; *done when a document has its verdict by it.
 * The reply goes as soon as it is read: with log-probabilities it is some hundred times
 * what the verdict keeps of it.
 */
static bool
collect_reply(JudgeRun *run, LmBatch *batch, void **tag, JudgeVerdict *verdict, bool *done)
{
	MemoryContext old = MemoryContextSwitchTo(run->scratch);
	LmReply    *reply = gepa_lm_batch_collect(batch, 0);
	RunDocument *document;

	*done = false;
	MemoryContextSwitchTo(old);
	if (reply == NULL)
		return false;
	document = reply->tag;
	*done = take(run, document, reply, verdict);
	if (*done)
	{
		keep_verdict(verdict, run->program.spec->nlabels);
		*tag = document->tag;
		forget(run, document);
	}
	MemoryContextReset(run->scratch);
	if (!*done && !run->stopped && run->program.spec->nimages > 0)
		hold(run, document, true);
	else if (!*done && !run->stopped)
		ask(run, document, NULL, NULL);
	ask_held(run);
	return true;
}

static bool
collect_spoilt(JudgeRun *run, void **tag, JudgeVerdict *verdict)
{
	RunDocument *document;

	if (dlist_is_empty(&run->spoilt))
		return false;
	document = dlist_container(RunDocument, waits, dlist_pop_head_node(&run->spoilt));
	memset(verdict, 0, sizeof(*verdict));
	verdict->status = GEPA_STATUS_BAD_IMAGE;
	verdict->sqlerrcode = ERRCODE_INVALID_PARAMETER_VALUE;
	verdict->detail = document->problem;
	verdict->hint = "Images are given as an http or https URL, as what gepa.image() makes of a bytea, as a data: URL, or as base64; in PNG, JPEG, GIF or WebP.";
	keep_verdict(verdict, 0);
	*tag = document->tag;
	pfree(document->problem);
	forget(run, document);
	return true;
}

/* What has come in, of any LM, until a document is done; true then. */
static bool
collect_arrived(JudgeRun *run, void **tag, JudgeVerdict *verdict)
{
	bool		any = true;

	if (collect_spoilt(run, tag, verdict))
		return true;
	while (any)
	{
		any = false;
		for (int i = 0; i < run->nbatches; i++)
		{
			bool		done;

			if (gepa_lm_batch_pending(run->batches[i]) == 0)
				continue;
			any = collect_reply(run, run->batches[i], tag, verdict, &done) || any;
			if (done)
				return true;
		}
	}
	note_peak(run);
	return false;
}

bool
gepa_judge_collect(JudgeRun *run, int timeout_ms, void **tag, JudgeVerdict *verdict)
{
	int64		end = gepa_clock_after_ms(Max(timeout_ms, 0));

	for (;;)
	{
		int			wait_ms;

		if (collect_arrived(run, tag, verdict))
			return true;
		if (run->npending == 0 || timeout_ms == 0 ||
			(timeout_ms > 0 && gepa_clock_us() >= end))
			return false;
		wait_ms = gepa_judge_due_ms(run);
		if (timeout_ms > 0 && (wait_ms < 0 || wait_ms > gepa_clock_ms_until(end)))
			wait_ms = gepa_clock_ms_until(end);
		gepa_lm_wait(wait_ms);
	}
}

/*
 * All batches
 */

void
gepa_judge_charge(JudgeRun *run, LmBudget *budget)
{
	run->budget = budget;
	for (int i = 0; i < run->nbatches; i++)
		gepa_lm_batch_charge(run->batches[i], budget);
}

int
gepa_judge_pending(const JudgeRun *run)
{
	return run->npending;
}

int
gepa_judge_sent(const JudgeRun *run)
{
	int			sent = 0;

	for (int i = 0; i < run->nbatches; i++)
		sent += gepa_lm_batch_sent(run->batches[i]);
	return sent;
}

int
gepa_judge_peak(const JudgeRun *run)
{
	int			peak = run->peak;

	for (int i = 0; i < run->nbatches; i++)
		peak = Max(peak, gepa_lm_batch_peak(run->batches[i]));
	return peak;
}

int
gepa_judge_due_ms(const JudgeRun *run)
{
	int			due = dlist_is_empty(unconstify(dlist_head *, &run->spoilt)) ? -1 : 0;

	for (int i = 0; i < run->nbatches; i++)
	{
		int			own = gepa_lm_batch_due_ms(run->batches[i]);

		if (own >= 0)
			due = due < 0 ? own : Min(due, own);
	}
	return due;
}

void
gepa_judge_stop(JudgeRun *run)
{
	run->stopped = true;
	for (int i = 0; i < run->nbatches; i++)
		gepa_lm_batch_stop(run->batches[i]);
}

void
gepa_judge_close(JudgeRun *run)
{
	for (int i = 0; i < run->nbatches; i++)
		gepa_lm_batch_close(run->batches[i]);
	MemoryContextDelete(run->context);
}

void
gepa_judge_report(const JudgeSpec *spec, const JudgeServers *servers,
				  const JudgeVerdict *verdict)
{
	int			code = verdict->sqlerrcode ? verdict->sqlerrcode :
		ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;

	const char *advice = "Set gepa.on_error to null to get NULL for such documents.";

	if (verdict->status == GEPA_STATUS_BUDGET)
		advice = "Set gepa.on_budget to null to get NULL for such documents.";

	/* What ends every query is no matter of single documents. */
	if (verdict->hint != NULL)
		advice = verdict->fatal ? verdict->hint : psprintf("%s %s", verdict->hint, advice);
	ereport(ERROR,
			(errcode(code),
			 errmsg("judge \"%s\" has no verdict from LM \"%s\": %s",
					spec->name ? spec->name : "", gepa_judge_failed_lm(servers, verdict)->name,
					gepa_status_name(verdict->status)),
			 verdict->detail ? errdetail("%s", verdict->detail) : 0,
			 errhint("%s", advice)));
}
