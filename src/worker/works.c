/*-------------------------------------------------------------------------
 *
 * works.c
 *	  Steps at work: what the engine asked for and has not been told of yet.
 *
 * Several steps can be at work at a time (parallel_proposals and the like).
 * Each has a memory context of its own, holds an evaluation or a reflection,
 * and is polled; the first that is done is recorded, which may make the engine
 * ask for more.
 *
 * At the end, wanted or not, works are closed: nothing further is sent, and
 * what has come in, which was paid for, is committed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pgstat.h"
#include "utils/memutils.h"

#include "worker/worker_text.h"

typedef struct Work
{
	MemoryContext context;
	EngineStep	step;
	StoreStep	entry;			/* for the journal */
	WorkerEvaluation *evaluation;	/* one of the three */
	WorkerTrial *trial;
	WorkerReflection *reflection;
} Work;

static void
report_step(const WorkerRun *run, const EngineStep *step)
{
	char		activity[160];

	if (step->kind == ENGINE_STEP_REFLECT)
		snprintf(activity, sizeof(activity), "gepa run %d: iteration %d, reflecting; %d steps at work",
				 run->row->run, step->iteration, list_length(run->works));
	else
		snprintf(activity, sizeof(activity),
				 "gepa run %d: iteration %d, proposal %d on %d samples of %s; %d steps at work",
				 run->row->run, step->iteration, step->proposal, step->nsamples,
				 gepa_store_split_name(gepa_worker_split_of(step)),
				 list_length(run->works));
	pgstat_report_activity(STATE_RUNNING, activity);
}

static void
begin_work(WorkerRun *run, const EngineStep *step)
{
	MemoryContext context = AllocSetContextCreate(run->context, "gepa run step",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Work	   *work = palloc0(sizeof(Work));

	work->context = context;
	work->step = *step;
	MemoryContextSwitchTo(run->context);
	run->works = lappend(run->works, work);
	MemoryContextSwitchTo(context);
	report_step(run, step);
	if (step->kind == ENGINE_STEP_REFLECT)
		work->reflection = gepa_worker_reflection_begin(run, step, &work->entry);
	else if (run->row->text != NULL)
		work->trial = gepa_worker_trial_begin(run, step);
	else
		work->evaluation = gepa_worker_evaluation_begin(run, step);
	MemoryContextSwitchTo(old);
}

bool
gepa_worker_begin_works(WorkerRun *run)
{
	EngineStep	step;

	for (;;)
	{
		/* After a restart some were asked for before the journal ended. */
		while (list_length(run->works) < run->nasked)
			begin_work(run, &run->asked[list_length(run->works)]);
		step = gepa_engine_next(run->engine);
		if (step.kind == ENGINE_STEP_FINISHED)
			return false;
		if (step.kind == ENGINE_STEP_WAIT)
			break;
		gepa_worker_add_asked(run, &step);
	}
	if (run->works == NIL)
		elog(ERROR, "engine waits for an outcome, but no step is outstanding");
	return true;
}

static bool
is_done(Work *work)
{
	if (work->evaluation != NULL)
		return gepa_worker_evaluation_poll(work->evaluation);
	if (work->trial != NULL)
		return gepa_worker_trial_poll(work->trial);
	return gepa_worker_reflection_poll(work->reflection);
}

/* The first step that is done, out of the list; NULL if none is. */
static Work *
take_done(WorkerRun *run)
{
	ListCell   *cell;

	foreach(cell, run->works)
	{
		Work	   *work = lfirst(cell);

		MemoryContextSwitchTo(work->context);
		if (!is_done(work))
			continue;
		run->works = foreach_delete_current(run->works, cell);
		return work;
	}
	return NULL;
}

bool
gepa_worker_record_done(WorkerRun *run)
{
	Work	   *work = take_done(run);
	double	   *scores = NULL;
	const char **objectives = NULL;

	if (work != NULL && work->evaluation != NULL)
	{
		scores = gepa_worker_evaluation_scores(work->evaluation);
		objectives = gepa_worker_evaluation_objectives(work->evaluation);
	}
	else if (work != NULL && work->trial != NULL)
	{
		scores = gepa_worker_trial_scores(work->trial);
		objectives = gepa_worker_trial_objectives(work->trial);
	}
	MemoryContextReset(run->step_context);
	if (work != NULL)
		gepa_worker_record(run, &work->step, &work->entry, scores, objectives);
	MemoryContextSwitchTo(run->step_context);
	if (work != NULL)
		MemoryContextDelete(work->context);
	return work != NULL;
}

/* An evaluator is called in the poll: there is nothing to wait for. */
static int
work_wait_ms(const Work *work)
{
	if (work->trial != NULL)
		return 0;
	return work->evaluation != NULL ? gepa_worker_evaluation_wait_ms(work->evaluation) :
		gepa_worker_reflection_wait_ms(work->reflection);
}

void
gepa_worker_wait_works(const WorkerRun *run)
{
	int			wait_ms = WORKER_SLICE_MS;
	ListCell   *cell;

	foreach(cell, run->works)
	{
		const Work *work = lfirst(cell);

		wait_ms = Min(wait_ms, work_wait_ms(work));
	}
	gepa_lm_wait(wait_ms);
}

bool
gepa_worker_works_are_idle(const WorkerRun *run)
{
	ListCell   *cell;

	foreach(cell, run->works)
	{
		const Work *work = lfirst(cell);

		if (work->evaluation != NULL ?
			!gepa_worker_evaluation_is_idle(work->evaluation) :
			work->reflection != NULL && !gepa_worker_reflection_is_idle(work->reflection))
			return false;
	}
	return true;
}

void
gepa_worker_close_works(WorkerRun *run)
{
	ListCell   *cell;

	foreach(cell, run->works)
	{
		Work	   *work = lfirst(cell);

		MemoryContextSwitchTo(work->context);
		if (work->evaluation != NULL)
			gepa_worker_evaluation_close(work->evaluation);
		else if (work->trial != NULL)
			gepa_worker_trial_close(work->trial);
		else if (work->reflection != NULL)
			gepa_worker_reflection_close(work->reflection);
	}
	MemoryContextSwitchTo(run->step_context);
}

void
gepa_worker_drop_works(WorkerRun *run)
{
	while (run->works != NIL)
	{
		Work	   *work = llast(run->works);

		run->works = list_delete_last(run->works);
		MemoryContextDelete(work->context);
	}
}

/* What came in of a step, whether it was begun or not (work is NULL). */
static void
record_part(WorkerRun *run, Work *work, EngineStep step)
{
	StoreStep	nothing = {0};
	StoreStep  *entry = work != NULL ? &work->entry : &nothing;

	if (work != NULL && work->evaluation != NULL)
	{
		MemoryContextSwitchTo(work->context);
		gepa_worker_evaluation_end(work->evaluation);
	}
	if (entry->detail == NULL)
		entry->detail = unconstify(char *, run->exhausted);
	MemoryContextReset(run->step_context);
	gepa_worker_record(run, &step, entry, NULL, NULL);
	MemoryContextSwitchTo(run->step_context);
	if (work != NULL)
		MemoryContextDelete(work->context);
}

void
gepa_worker_record_parts(WorkerRun *run)
{
	EngineStep	step;

	while (run->works != NIL)
	{
		Work	   *work = linitial(run->works);

		run->works = list_delete_first(run->works);
		record_part(run, work, work->step);
	}

	/*
	 * Of a text that came in the engine may ask for rollouts, of which there
	 * are none.
	 */
	for (;;)
	{
		while (run->nasked > 0)
			record_part(run, NULL, run->asked[0]);
		step = gepa_engine_next(run->engine);
		if (step.kind == ENGINE_STEP_FINISHED)
			break;
		gepa_worker_add_asked(run, &step);
	}
}
