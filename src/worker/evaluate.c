/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  Carrying out an EVALUATE step: a candidate on some samples.
 *
 * The step's samples are slots 0 .. n-1.  Slots whose rollout was recorded
 * before a restart are not run again.  A sample that occurs twice in a step
 * is asked once; the second slot gets the answer at no cost.  All others go
 * to the LM, a window of them at a time, which keeps as many in flight as it
 * allows.
 *
 * An evaluation never waits: it is begun and then polled (works.c), so that
 * several steps can be at work.  Rollouts are committed as they come in, a few
 * at a time (FLUSH_MS, FLUSH_ROLLOUTS), so that a kill loses little of what
 * was paid.  No transaction is open between polls.
 *
 * A verdict that the document or the candidate is to blame for (not parsed,
 * refused, cut off, too long, rejected by the endpoint for good) is a rollout
 * with score 0: another prompt may do better.  In default mode a rejected one has
 * no score, because the model of the scores can do without, and a 0 would count
 * against whatever the candidate is made of.  A call that got no answer says
 * nothing about the prompt: it is tried again, WORKER_ROUNDS times in all,
 * with the LM as it is by then, so that a run follows an endpoint that moves.
 * Rounds keep to the endpoint's Retry-After.  Then the run fails and can be
 * resumed.  Where no call can succeed it fails at once.
 *
 * An endpoint that rejects every document of a step is itself to blame when it
 * never took one of this run, or when it goes on and on so with programs that
 * it took before.  As long as others are at work that it may take one of, a step
 * waits with that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "base/clock.h"
#include "base/settings.h"
#include "worker/worker_grading.h"

#define FLUSH_MS 50
#define FLUSH_ROLLOUTS 32

/* Before the second round, and twice as long before the third. */
#define FIRST_PAUSE_MS 1000

/* How many times the calls in flight may be submitted and not finished. */
#define WINDOW_FACTOR 4

/* So many rejections of programs that were taken before, and nothing else. */
#define REJECTIONS_IN_A_ROW 10

struct WorkerEvaluation
{
	WorkerRun  *run;
	EngineStep	step;
	JudgeSpec  *spec;
	JudgeServers *lms;
	WorkerOutputs *outputs;		/* a round is under way; NULL = pause */
	int			round;			/* from 1 */
	int			next;			/* slot to be looked at in this round */
	int64		due;			/* of the next round, in a pause;
								 * gepa_clock_us() */
	StoreRollout *rollouts;		/* by slot */
	bool	   *done;			/* by slot: has its rollout */
	bool	   *rejected;		/* by slot: its verdict waits in rollouts */
	bool	   *waits;			/* by slot: has its output, but no grade yet */
	bool	   *queued;			/* by slot: is in unsaved */
	WorkerGrading *grading;		/* together with outputs */
	int		   *twins;			/* by slot: the first of its sample */
	int			nunsaved;
	int		   *unsaved;		/* slots that are not committed yet */
	int64		save_due;		/* ... to be, with what graders said; 0 =
								 * there is none */
	bool		closed;			/* nothing is sent any more */
	bool		over;			/* all calls have ended */
	bool		failed;			/* some call of this round got no answer */
	JudgeVerdict failure;		/* ... the last of these */
	const ApplyGraders *graders;	/* NULL = by the metric */
	const ApplyGrader *failed_grader;	/* ... or the last was a grader's:
										 * this one */
	JudgeGraderResult grader_failure;
	long		grader_hold_ms; /* of the round that has ended */
	StoreLost	lost;			/* calls without a rollout, not committed yet */
};

typedef struct WorkerEvaluation Evaluation;

JudgeServers *
gepa_worker_task_lms(const WorkerRun *run)
{
	JudgeServers *lms = gepa_judge_resolve(run->seed, run->row->lm, GetUserId());
	const char *expected;
	char	   *found;
	const LmServer *lm = gepa_judge_find_mismatch(run->seed, lms, &expected, &found);

	if (lm != NULL && !gepa_allow_lm_mismatch)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("settings of LM \"%s\" are no longer those that the run was started with",
						lm->name),
				 errdetail("The run has %s, the LM now %s.", expected, found),
				 errhint("Set the LM back and resume the run, start a new run, or set gepa.allow_lm_mismatch for the run's owner.")));
	return lms;
}

/*
 * Saving
 */

static bool
must_save(const Evaluation *eval)
{
	return eval->nunsaved > 0 ||
		(eval->outputs != NULL && gepa_worker_grading_must_save(eval->grading));
}

static void
note_saved(Evaluation *eval)
{
	for (int i = 0; i < eval->nunsaved; i++)
	{
		eval->rollouts[eval->unsaved[i]].stored = true;
		eval->queued[eval->unsaved[i]] = false;
	}
	eval->nunsaved = 0;
	eval->save_due = 0;
}

static void
save_rollouts(Evaluation *eval)
{
	MemoryContext context = CurrentMemoryContext;
	StoreRollout *batch;

	if (!must_save(eval) && eval->lost.calls == 0)
		return;
	batch = palloc(sizeof(StoreRollout) * Max(eval->nunsaved, 1));
	for (int i = 0; i < eval->nunsaved; i++)
		batch[i] = eval->rollouts[eval->unsaved[i]];
	gepa_worker_enter(eval->run, context);
	gepa_store_insert_rollouts(eval->run->row->run, batch, eval->nunsaved, &eval->lost,
							   gepa_worker_take_elapsed(eval->run));
	if (eval->outputs != NULL)
		gepa_worker_grading_save(eval->grading);
	gepa_worker_commit(context);
	note_saved(eval);
	memset(&eval->lost, 0, sizeof(eval->lost));
	pfree(batch);
	gepa_worker_announce_change(eval->run->row->run);
}

static const StoreSample *
sample_of(const Evaluation *eval, int slot)
{
	return &eval->run->samples[gepa_worker_split_of(&eval->step)][eval->step.samples[slot]];
}

static void
queue_rollout(Evaluation *eval, int slot)
{
	if (eval->save_due == 0)
		eval->save_due = gepa_clock_after_ms(FLUSH_MS);
	if (!eval->queued[slot])
		eval->unsaved[eval->nunsaved++] = slot;
	eval->queued[slot] = true;
	if (eval->nunsaved >= FLUSH_ROLLOUTS)
		save_rollouts(eval);
}

static StoreRollout *
place_rollout(Evaluation *eval, int slot, const JudgeVerdict *verdict)
{
	const EngineStep *step = &eval->step;
	StoreRollout *rollout = &eval->rollouts[slot];

	rollout->step = step->step;
	rollout->slot = slot;
	rollout->proposal = step->proposal;
	rollout->split = gepa_worker_split_of(step);
	rollout->sample = step->samples[slot];
	rollout->verdict = *verdict;
	return rollout;
}

/* It has all that belongs to it. */
static void
complete_rollout(Evaluation *eval, int slot)
{
	eval->rollouts[slot].ungraded = false;
	eval->waits[slot] = false;
	eval->done[slot] = true;
	queue_rollout(eval, slot);
}

static void
report_grader(const Evaluation *eval)
{
	gepa_apply_report_grade(eval->failed_grader, &eval->grader_failure,
							psprintf("Then SELECT gepa.resume(%d) goes on.",
									 eval->run->row->run));
}

/* A grader's call got no answer: it will be asked again, or never. */
static void
lose_grade(Evaluation *eval, const WorkerGrade *grade)
{
	const JudgeGraderResult *result = grade->result;

	eval->failed = true;
	eval->failed_grader = grade->grader;
	eval->grader_failure = *result;
	if (eval->closed)
		return;
	if (result->fatal)
		report_grader(eval);
	if (result->status == GEPA_STATUS_BUDGET && !gepa_worker_note_denial(eval->run))
		report_grader(eval);
}

/* The engine of this mode needs a number, and none is invented: the output waits for one. */
static void
refuse_missing(Evaluation *eval, int slot, const WorkerGrade *grade)
{
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("grader \"%s\" has no score for sample \"%s\": %s",
					grade->grader->def->name, sample_of(eval, slot)->key,
					gepa_status_name(grade->result->status)),
			 grade->result->detail ? errdetail("%s", grade->result->detail) : 0,
			 errhint("Mend the grader's LM or function; then SELECT gepa.resume(%d) asks it again.  A run in mode \"default\" can do without single scores.",
					 eval->run->row->run)));
}

static void
take_grade(Evaluation *eval, int slot, const WorkerGrade *grade)
{
	StoreRollout *rollout = &eval->rollouts[slot];

	if (grade->failed)
	{
		lose_grade(eval, grade);
		return;
	}
	if (grade->missing && eval->run->options.mode == ENGINE_MODE_REFERENCE && !eval->closed)
		refuse_missing(eval, slot, grade);
	if (grade->missing && eval->run->options.mode == ENGINE_MODE_REFERENCE)
		return;
	rollout->score = grade->score;
	rollout->feedback = grade->feedback;
	rollout->objectives = grade->objectives;
	rollout->graders = grade->graders;
	rollout->grader_calls = grade->calls;
	rollout->grader_input_tokens = grade->input_tokens;
	rollout->grader_output_tokens = grade->output_tokens;
	rollout->grader_cost = grade->cost;
	complete_rollout(eval, slot);
}

static void
take_grades(Evaluation *eval)
{
	int			slot;
	WorkerGrade grade;

	while (gepa_worker_grading_collect(eval->grading, &slot, &grade))
		take_grade(eval, slot, &grade);
}

/* The output is there, and saved as it is if the grade takes longer. */
static void
await_grade(Evaluation *eval, int slot)
{
	StoreRollout *rollout = &eval->rollouts[slot];

	rollout->ungraded = true;
	rollout->score = NAN;
	eval->waits[slot] = true;
	gepa_worker_grading_submit(eval->grading, sample_of(eval, slot), &rollout->verdict,
							   rollout->trace, slot);
	take_grades(eval);
	if (eval->waits[slot])
		queue_rollout(eval, slot);
}

static void
add_output(Evaluation *eval, int slot, const WorkerOutput *output)
{
	StoreRollout *rollout = place_rollout(eval, slot, &output->verdict);

	rollout->trace = output->trace;
	if (!output->scored)
		await_grade(eval, slot);
	else
	{
		rollout->score = output->score;
		rollout->feedback = output->feedback;
		rollout->objectives = output->objectives;
		complete_rollout(eval, slot);
	}
}

/*
 * Starting
 */

static void
take_recorded(Evaluation *eval)
{
	int			n;
	StoreRollout *recorded = gepa_store_get_rollouts(eval->run->row->run, eval->spec,
													 eval->step.step, &n);

	for (int i = 0; i < n; i++)
	{
		int			slot = recorded[i].slot;

		if (slot < 0 || slot >= eval->step.nsamples)
			continue;
		eval->rollouts[slot] = recorded[i];
		eval->rollouts[slot].stored = true;
		eval->done[slot] = !recorded[i].ungraded;
		eval->waits[slot] = recorded[i].ungraded;
	}
}

/* By slot: the first one that has the same sample, perhaps itself. */
static int *
find_twins(const Evaluation *eval)
{
	const EngineStep *step = &eval->step;
	int			nsamples = eval->run->nsamples[gepa_worker_split_of(step)];
	int		   *first = palloc(sizeof(int) * Max(nsamples, 1));
	int		   *twins = palloc(sizeof(int) * Max(step->nsamples, 1));

	for (int i = 0; i < nsamples; i++)
		first[i] = -1;
	for (int slot = 0; slot < step->nsamples; slot++)
	{
		int			sample = step->samples[slot];

		if (first[sample] < 0)
			first[sample] = slot;
		twins[slot] = first[sample];
	}
	pfree(first);
	return twins;
}

static bool
is_wanted(const Evaluation *eval, int slot)
{
	return !eval->done[slot] && !eval->waits[slot] && !eval->rejected[slot] &&
		!(eval->run->options.reuse_rollouts && eval->twins[slot] < slot);
}

/*
 * Collecting
 */

/* It will be called again, or never: what it took is told apart. */
static void
lose(Evaluation *eval, const JudgeVerdict *verdict)
{
	eval->lost.calls += verdict->calls;
	eval->lost.failed += verdict->calls > 0;
	eval->failed = true;
	eval->failed_grader = NULL;
	eval->failure = *verdict;
}

/* No document's fault, and no call of the run can escape it. */
static void
report_denial(Evaluation *eval)
{
	eval->failure.fatal = true;
	eval->failure.hint = psprintf("%s Then SELECT gepa.resume(%d) goes on.", eval->failure.hint,
								  eval->run->row->run);
	gepa_judge_report(eval->spec, eval->lms, &eval->failure);
}

static void
take_output(Evaluation *eval, int slot, const WorkerOutput *output)
{
	const JudgeVerdict *verdict = &output->verdict;

	if (verdict->fatal && !eval->closed)
		gepa_judge_report(eval->spec, eval->lms, verdict);
	if (!gepa_status_no_answer(verdict->status))
	{
		eval->run->taken_any = true;
		add_output(eval, slot, output);
	}
	else if (verdict->rejected)
	{
		place_rollout(eval, slot, verdict);
		eval->rejected[slot] = true;
	}
	else
	{
		lose(eval, verdict);
		if (verdict->status == GEPA_STATUS_BUDGET && !gepa_worker_note_denial(eval->run) &&
			!eval->closed)
			report_denial(eval);
	}
}

/* Raise the last failure, with a hint for a run instead of one for a query. */
static void
give_up(Evaluation *eval)
{
	if (eval->failed_grader != NULL)
		report_grader(eval);
	if (eval->failure.hint == NULL)
		eval->failure.hint = psprintf("See what SELECT * FROM gepa.check_lm('%s') says.",
									  gepa_judge_failed_lm(eval->lms, &eval->failure)->name);
	eval->failure.fatal = true;
	gepa_judge_report(eval->spec, eval->lms, &eval->failure);
}

/* Is there a verdict on some document, or only rejections? */
static bool
has_answer(const Evaluation *eval)
{
	for (int slot = 0; slot < eval->step.nsamples; slot++)
		if (eval->done[slot] && !gepa_status_no_answer(eval->rollouts[slot].verdict.status))
			return true;
	return false;
}

/* Raise what ends the run if it is not the documents' fault. */
static void
check_rejections(Evaluation *eval)
{
	WorkerRun  *run = eval->run;
	int			first = -1;
	int			rejections = 0;

	for (int slot = eval->step.nsamples - 1; slot >= 0; slot--)
	{
		if (!eval->rejected[slot])
			continue;
		first = slot;
		rejections++;
	}
	if (list_member_int(run->answered, eval->step.proposal))
		rejections += run->rejections;
	else
		rejections = 0;
	if (first >= 0 && (!run->taken_any || rejections >= REJECTIONS_IN_A_ROW))
	{
		eval->failed_grader = NULL;
		eval->failure = eval->rollouts[first].verdict;
		give_up(eval);
	}
}

void
gepa_worker_note_step(WorkerRun *run, const StoreRollout *rollouts, int n)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);
	bool		answered = false;

	for (int i = 0; i < n && !answered; i++)
		answered = !gepa_status_no_answer(rollouts[i].verdict.status);
	if (answered)
	{
		run->answered = list_append_unique_int(run->answered, rollouts[0].proposal);
		run->taken_any = true;
		run->rejections = 0;
	}
	else if (n > 0 && list_member_int(run->answered, rollouts[0].proposal))
		run->rejections += n;
	MemoryContextSwitchTo(old);
}

static void
settle_rejected(Evaluation *eval)
{
	for (int slot = 0; slot < eval->step.nsamples; slot++)
	{
		WorkerGrade grade;

		if (!eval->rejected[slot])
			continue;
		gepa_worker_grade_by_metric(eval->run, eval->spec, sample_of(eval, slot),
									&eval->rollouts[slot].verdict, &grade);
		take_grade(eval, slot, &grade);
		eval->rejected[slot] = false;
	}
}

/* Slots whose sample was asked for another slot. */
static void
copy_twins(Evaluation *eval)
{
	for (int slot = 0; slot < eval->step.nsamples; slot++)
	{
		StoreRollout *rollout = &eval->rollouts[slot];
		JudgeVerdict *verdict = &rollout->verdict;

		if (eval->done[slot])
			continue;
		*rollout = eval->rollouts[eval->twins[slot]];
		rollout->slot = slot;
		rollout->stored = false;
		verdict->input_tokens = verdict->output_tokens = verdict->attempts = verdict->calls = 0;
		verdict->cost = verdict->latency_ms = 0;
		rollout->grader_calls = rollout->grader_input_tokens = rollout->grader_output_tokens = 0;
		rollout->grader_cost = 0;
		complete_rollout(eval, slot);
	}
	save_rollouts(eval);
}

/*
 * Rounds
 */

/* The LMs as they are by now; an address, or a key, may have been mended. */
static void
renew_lms(Evaluation *eval)
{
	MemoryContext context = CurrentMemoryContext;

	gepa_judge_free_servers(eval->lms);
	eval->lms = NULL;
	gepa_worker_enter(eval->run, context);
	eval->lms = gepa_worker_task_lms(eval->run);
	eval->graders = gepa_worker_open_graders(eval->run);
	gepa_worker_commit(context);
}

static void
begin_round(Evaluation *eval)
{
	eval->round++;
	eval->failed = false;
	eval->next = 0;
	eval->outputs = gepa_worker_outputs_open(eval->run, eval->spec, eval->lms);
	eval->grading = gepa_worker_grading_open(eval->run, eval->spec, eval->graders);
}

/* Some call got no answer: another round, or the end of the run. */
static void
put_off(Evaluation *eval)
{
	long		hold_ms = Max(gepa_judge_hold_ms(eval->lms), eval->grader_hold_ms);

	if (eval->round == WORKER_ROUNDS || hold_ms > WORKER_LONGEST_HOLD_MS)
		give_up(eval);
	eval->due = gepa_clock_after_ms(Max(FIRST_PAUSE_MS << (eval->round - 1), hold_ms));
}

/* All calls have ended; false while it depends on others what that means. */
static bool
settle(Evaluation *eval)
{
	WorkerRun  *run = eval->run;
	bool		answered = has_answer(eval);

	if (!answered && !run->taken_any && run->nunsettled > 0)
		return false;
	if (!answered)
		check_rejections(eval);
	settle_rejected(eval);
	copy_twins(eval);
	gepa_worker_note_step(run, eval->rollouts, eval->step.nsamples);
	return true;
}

/* All calls of a round have ended; true when there is nothing left to ask. */
static bool
end_round(Evaluation *eval)
{
	save_rollouts(eval);
	eval->grader_hold_ms = gepa_worker_grading_hold_ms(eval->grading);
	gepa_worker_outputs_close(eval->outputs);
	gepa_worker_grading_close(eval->grading);
	eval->outputs = NULL;
	if (eval->failed && !eval->closed && eval->run->exhausted == NULL &&
		!gepa_worker_stop_requested())
		put_off(eval);
	if (eval->failed)
		return false;
	eval->over = true;
	eval->run->nunsettled--;
	return settle(eval);
}

static void
take_arrived(Evaluation *eval)
{
	int			slot;
	WorkerOutput output;

	while (gepa_worker_outputs_collect(eval->outputs, &slot, &output))
		take_output(eval, slot, &output);
	if (!eval->closed)
		gepa_worker_grading_advance(eval->grading);
	take_grades(eval);
	if (eval->save_due == 0 && must_save(eval))
		eval->save_due = gepa_clock_after_ms(FLUSH_MS);
}

/* Calls under way, of either kind. */
static int
pending(const Evaluation *eval)
{
	return gepa_worker_outputs_pending(eval->outputs) +
		gepa_worker_grading_pending(eval->grading);
}

/*
 * So many that the LM is busy until the next poll.  What has come in meanwhile
 * is taken before anything can go wrong.
 */
static void
submit_some(Evaluation *eval)
{
	int			window = gepa_judge_places(eval->lms) * WINDOW_FACTOR;

	while (eval->next < eval->step.nsamples && pending(eval) < window)
	{
		int			slot = eval->next++;

		if (eval->waits[slot])
			await_grade(eval, slot);	/* of an earlier round */
		else if (is_wanted(eval, slot))
			gepa_worker_outputs_submit(eval->outputs, sample_of(eval, slot), slot);
		else
			continue;
		take_arrived(eval);
	}
}

/*
 * The door
 */

WorkerEvaluation *
gepa_worker_evaluation_begin(WorkerRun *run, const EngineStep *step)
{
	int			n = Max(step->nsamples, 1);
	MemoryContext context = CurrentMemoryContext;
	Evaluation *eval = palloc0(sizeof(Evaluation));

	eval->run = run;
	eval->step = *step;
	eval->rollouts = palloc0(sizeof(StoreRollout) * n);
	eval->done = palloc0(sizeof(bool) * n);
	eval->unsaved = palloc(sizeof(int) * n);
	eval->rejected = palloc0(sizeof(bool) * n);
	eval->waits = palloc0(sizeof(bool) * n);
	eval->queued = palloc0(sizeof(bool) * n);
	eval->twins = find_twins(eval);
	run->nunsettled++;
	gepa_worker_enter(run, context);
	eval->spec = gepa_worker_candidate(run, step->texts);
	eval->lms = gepa_worker_task_lms(run);
	eval->graders = gepa_worker_open_graders(run);
	take_recorded(eval);
	gepa_worker_commit(context);
	begin_round(eval);
	return eval;
}

bool
gepa_worker_evaluation_poll(WorkerEvaluation *eval)
{
	if (eval->over)
		return settle(eval);
	if (eval->outputs == NULL)
	{
		if (eval->closed || eval->run->exhausted != NULL || eval->due > gepa_clock_us())
			return false;
		renew_lms(eval);
		begin_round(eval);
	}
	take_arrived(eval);
	if (!eval->closed && eval->run->exhausted == NULL)
		submit_some(eval);
	if (eval->next == eval->step.nsamples && pending(eval) == 0)
		return end_round(eval);
	if (must_save(eval) && gepa_clock_us() >= eval->save_due)
		save_rollouts(eval);
	return false;
}

void
gepa_worker_evaluation_close(WorkerEvaluation *eval)
{
	eval->closed = true;
	save_rollouts(eval);		/* before there is any more trouble */
	if (eval->outputs != NULL)
	{
		gepa_worker_outputs_stop(eval->outputs);
		gepa_worker_grading_stop(eval->grading);
		take_arrived(eval);
	}
	save_rollouts(eval);
}

/* In an exhausted run what was not submitted will not be. */
bool
gepa_worker_evaluation_is_idle(const WorkerEvaluation *eval)
{
	return eval->outputs == NULL || pending(eval) == 0;
}

int
gepa_worker_evaluation_wait_ms(const WorkerEvaluation *eval)
{
	bool		asks = eval->outputs != NULL;

	if (!must_save(eval) && (eval->over || asks || eval->run->exhausted != NULL))
		return WORKER_SLICE_MS;
	return gepa_clock_ms_until(asks ? eval->save_due : eval->due);
}

/* By the other rollouts of the step; only now all of them are there. */
static void
rank(const Evaluation *eval, double *scores)
{
	int			n = eval->step.nsamples;
	const char **expected = palloc(sizeof(char *) * Max(n, 1));
	const JudgeVerdict **verdicts = palloc(sizeof(JudgeVerdict *) * Max(n, 1));

	for (int slot = 0; slot < n; slot++)
	{
		expected[slot] = sample_of(eval, slot)->label;
		verdicts[slot] = &eval->rollouts[slot].verdict;
	}
	gepa_judge_rank(eval->spec, n, expected, verdicts, scores);
	pfree(expected);
	pfree(verdicts);
}

double *
gepa_worker_evaluation_scores(const WorkerEvaluation *eval)
{
	double	   *scores = palloc(sizeof(double) * Max(eval->step.nsamples, 1));

	for (int slot = 0; slot < eval->step.nsamples; slot++)
		scores[slot] = eval->rollouts[slot].score;
	if (eval->run->options.metric == JUDGE_METRIC_RANKING)
		rank(eval, scores);
	return scores;
}

const char **
gepa_worker_evaluation_objectives(const WorkerEvaluation *eval)
{
	const char **objectives = palloc(sizeof(char *) * Max(eval->step.nsamples, 1));

	for (int slot = 0; slot < eval->step.nsamples; slot++)
		objectives[slot] = eval->rollouts[slot].objectives;
	return objectives;
}

void
gepa_worker_evaluation_end(WorkerEvaluation *eval)
{
	Assert(eval->closed);
	settle_rejected(eval);
	save_rollouts(eval);
}
