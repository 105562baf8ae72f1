/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  GEPA itself: the door of src/engine.
 *
 * The engine is asked, it never acts.  gepa_engine_next() hands out a step
 * (evaluate these samples with these texts, reflect on those rollouts);
 * gepa_engine_observe_*() tells what happened.  No network, no tables, no
 * clock, no errors raised, no settings: given the same configuration and the
 * same observations in the same order it makes the same decisions.  That is
 * also how its state is saved and loaded: the journal of observations is the
 * state (O(change) per observation), and a new engine that is told the
 * journal is at the place where the old one stopped.
 *
 * Samples are numbers: 0 .. ntrain-1 in the training set, 0 .. nval-1 in the
 * validation set, 0 .. ntest-1 in the test set.  How it searches is its mode:
 * as the reference implementation does, where what is done otherwise is an option,
 * or by a model of the scores.  Both are asked and told alike.  Frontend safe.
 *
 * Memory: an engine lives in the memory context that was current when it was
 * created and gepa_engine_free() gives it back; what it hands out (steps,
 * events, texts) stays valid until then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_ENGINE_H
#define GEPA_ENGINE_ENGINE_H

#include "engine/engine_config.h"
#include "engine/engine_text.h"

typedef struct Engine Engine;

typedef enum EngineStepKind
{
	ENGINE_STEP_EVALUATE,		/* answer with gepa_engine_observe_scores */
	ENGINE_STEP_REFLECT,		/* answer with gepa_engine_observe_text */
	ENGINE_STEP_WAIT,			/* nothing to hand out before an observation */
	ENGINE_STEP_FINISHED		/* see gepa_engine_stop_reason */
} EngineStepKind;

typedef enum EngineSplit
{
	ENGINE_SPLIT_TRAIN,
	ENGINE_SPLIT_VAL,
	ENGINE_SPLIT_TEST			/* default mode: samples of the report */
} EngineSplit;

/* A rollout that was told: a place in an EVALUATE step. */
typedef struct EngineRecord
{
	int			step;
	int			slot;
} EngineRecord;

/*
 * Steps are numbered 0, 1, 2, ... in the order in which they are handed out.
 * "proposal" numbers every text that was made: 0 is the seed, then one per
 * child in order of creation, accepted or not.  A step with a proposal
 * concerns that text; its candidate number is known only once accepted.
 *
 * In default mode an iteration is what ends with a decision: the seed's window, a
 * generation, a round of the run-off, the report.
 */
typedef struct EngineStep
{
	EngineStepKind kind;
	int			step;
	int			iteration;		/* from 1; 0 = the seed's validation */
	int			proposal;
	int			candidate;		/* -1 while it is not in the pool */
	const char *const *texts;	/* per component */

	/* EVALUATE */
	EngineSplit split;
	int			nsamples;
	const int  *samples;		/* a sample may occur twice */
	bool		traces;			/* rollouts will, or in default mode may, be
								 * reflected on */

	/*
	 * REFLECT: rewrite texts[component] after reading these rollouts, in
	 * order
	 */
	int			component;
	int			nrecords;
	const EngineRecord *records;
} EngineStep;

/*
 * What the engine decided; drained in order with gepa_engine_next_event.  The
 * seed is PROPOSED and ACCEPTED in iteration 0.  A child with a known text
 * gets a number too: it is PROPOSED and REJECTED without being run.  With
 * several tasks in an iteration there is an ITERATION event for each.
 */
typedef enum EngineEventKind
{
	ENGINE_EVENT_ITERATION,		/* started: parents, samples drawn */
	ENGINE_EVENT_SKIPPED,		/* iteration ended without a proposal */
	ENGINE_EVENT_PROPOSED,		/* a child was made */
	ENGINE_EVENT_REJECTED,		/* it did not enter the pool */
	ENGINE_EVENT_ACCEPTED,		/* it did: candidate is its number */
	ENGINE_EVENT_NO_MERGE,		/* a merge was due, but no pair was found */
	ENGINE_EVENT_DECISION		/* default mode: rollouts were compared */
} EngineEventKind;

/*
 * Default mode: what was compared, on which samples, what the model says of it
 * (after these rollouts), and what followed.  Of the held-out report the estimates
 * are means on its samples, and sd and chance are NaN; a winner is declared without
 * new samples.
 */
typedef enum EngineDecisionKind
{
	ENGINE_DECISION_SEED,		/* the seed's window */
	ENGINE_DECISION_GENERATION, /* incumbent and its children on a window */
	ENGINE_DECISION_RUN_OFF,	/* the finalists on samples drawn at random */
	ENGINE_DECISION_WINNER,		/* the search is over */
	ENGINE_DECISION_HELD_OUT	/* winner and seed on held-out samples */
} EngineDecisionKind;

typedef struct EngineCompared
{
	int			candidate;
	int			rollouts;		/* in the search */
	double		estimate;		/* of the mean score */
	double		sd;				/* of the difference to the one that led
								 * before, logit scale; 0 = it is that one;
								 * before any led, its own */
	double		chance;			/* that it is better than that one; 0.5 where
								 * there is nothing to compare */
} EngineCompared;

typedef struct EngineSampleRef
{
	EngineSplit split;
	int			sample;
} EngineSampleRef;

typedef struct EngineDecision
{
	EngineDecisionKind kind;
	int			led;			/* candidate that led before; -1 = none */
	int			leads;			/* ... and that does now */
	int			ncompared;
	const EngineCompared *compared;
	int			nsamples;
	const EngineSampleRef *samples;
} EngineDecision;

typedef struct EngineEvent
{
	EngineEventKind kind;
	int			iteration;
	int			proposal;		/* -1 where there is none */
	int			candidate;		/* ACCEPTED: its number; DECISION: who leads;
								 * else -1 */
	int			nparents;
	int			parents[2];		/* candidates */
	int			component;		/* changed; -1 = several or none */
	int			reflect_step;	/* step that answered; -1 = none (examples,
								 * merge) */
	const char *const *texts;	/* PROPOSED and later */
	double		parent_sum;		/* minibatch sums that were compared; the
								 * child's is NaN when it was not run; default
								 * mode, ACCEPTED: on the window */
	double		child_sum;
	const char *reason;			/* SKIPPED, REJECTED, ACCEPTED: why; default
								 * mode, PROPOSED: reflection, examples or
								 * recombination; DECISION: what followed */
	int			nsamples;		/* ITERATION: the minibatch, or of a merge the */
	const int  *samples;		/* validation samples it is tried on */
	int			ancestor;		/* of a merge, a candidate; else -1 */
	const EngineDecision *decision; /* DECISION */
} EngineEvent;

/* engine.c */

extern void gepa_engine_config_init(EngineConfig *config);

/* Set the mode and the deviations to what the reference does (all of them off). */
extern void gepa_engine_config_reference(EngineConfig *config);

/*
 * NULL and *error when the configuration cannot work: no component, empty sets, budget
 * below the seed's validation, ...  A way out follows the message after "; ".  It is
 * good until the next call.
 */
extern Engine *gepa_engine_create(const EngineConfig *config, const char **error);
extern void gepa_engine_free(Engine *engine);

/*
 * The next step.  Several may be outstanding; each is handed out once (a
 * resumed engine hands out again what was not observed).
 */
extern EngineStep gepa_engine_next(Engine *engine);

/*
 * Tell the scores of an EVALUATE step, in the order of its samples.
 * objectives: NULL, or nsamples x nobjectives values, row by row, with the
 * names in objective_names; a value that is NaN is not known.  In default mode
 * a score may be NaN: the rollout failed, counts, and is not asked for again; one
 * beyond 0 and 1 counts as the nearer of them.
 * Returns false when the step is not outstanding, n does not fit, a score is not
 * finite, or the frontier needs objectives and a validation brings none (the
 * engine is unchanged).
 */
extern bool gepa_engine_observe_scores(Engine *engine, int step, int n, const double *scores,
									   int nobjectives, const char *const *objective_names,
									   const double *objectives);

/*
 * Default mode: tell what came in of an EVALUATE step whose rest will not, since the caller
 * may spend no more (which it says before by gepa_engine_caller_stops).  Where came[i] is
 * false the score is not looked at, and no rollout is counted.  A text of which no rollout
 * came in is rejected; a seed of which none did ends the run without a winner.  Returns
 * false as gepa_engine_observe_scores() does.
 */
extern bool gepa_engine_observe_part(Engine *engine, int step, int n, const double *scores,
									 const bool *came);

/*
 * Tell the new text of a REFLECT step, as extracted from the answer; NULL
 * when no answer could be had (the iteration is given up).
 */
extern bool gepa_engine_observe_text(Engine *engine, int step, const char *text);

/*
 * Say that the caller's own condition holds (with caller_stops), for a reason;
 * NULL takes it back.  Conditions are looked at between iterations.
 */
extern void gepa_engine_caller_stops(Engine *engine, const char *reason);

extern bool gepa_engine_next_event(Engine *engine, EngineEvent *event);

/*
 * Inspection; indexes are checked by Assert only.  In default mode a candidate's
 * score is the model's estimate, which changes with every comparison.
 */
extern const char *gepa_engine_stop_reason(const Engine *engine);
extern int64 gepa_engine_rollouts(const Engine *engine);	/* counted so far */
extern int	gepa_engine_iteration(const Engine *engine);
extern int	gepa_engine_ncandidates(const Engine *engine);
extern const char *const *gepa_engine_candidate_texts(const Engine *engine, int candidate);
extern int	gepa_engine_candidate_parents(const Engine *engine, int candidate, int parents[2]);
extern double gepa_engine_candidate_score(const Engine *engine, int candidate);
extern int64 gepa_engine_candidate_discovery(const Engine *engine, int candidate);
extern int	gepa_engine_best(const Engine *engine);

/* Score of a candidate on a validation sample; NaN = not validated on it. */
extern double gepa_engine_candidate_sample_score(const Engine *engine, int candidate,
												 int sample);

/*
 * Default mode: what the search is at, "seed", "generation", "run-off" or "held out";
 * NULL once it is over, and in reference mode.
 */
extern const char *gepa_engine_phase(const Engine *engine);

/* Sequential rounds so far: waits for all that was asked for at a time. */
extern int	gepa_engine_rounds(const Engine *engine);

/*
 * Default mode, once it is finished: the winner beside the seed on samples that
 * chose nothing.  False when there was no such comparison.
 */
typedef struct EngineHeldOut
{
	int			candidate;		/* the winner */
	int			n;
	double		seed_score;		/* means on the same samples */
	double		score;
	double		gain;			/* paired difference */
	double		low;			/* ... and its 95 % interval */
	double		high;
	double		search_score;	/* mean of the winner's rollouts in the
								 * search: what it was chosen by, and so too
								 * high */
} EngineHeldOut;

extern bool gepa_engine_held_out(const Engine *engine, EngineHeldOut *held_out);

/*
 * Frontier keys in insertion order: for instance fronts the validation ids.
 * The list of candidates is good until the next observation.
 */
typedef struct EngineFront
{
	const char *key;			/* "17", "accuracy", "17|accuracy" */
	int			sample;			/* validation id, -1 for objective keys */
	double		score;
	int			ncandidates;
	const int  *candidates;		/* ascending */
} EngineFront;

extern int	gepa_engine_nfronts(const Engine *engine);
extern EngineFront gepa_engine_front(Engine *engine, int index);

#endif							/* GEPA_ENGINE_ENGINE_H */
