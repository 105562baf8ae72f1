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
 * validation set.  The semantics are those of the reference implementation;
 * what is done otherwise is an option.  Frontend safe.
 *
 * Memory: an engine lives in the memory context that was current when it was
 * created and gepa_engine_free() gives it back; what it hands out (steps,
 * events, texts) stays valid until then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_ENGINE_H
#define GEPA_ENGINE_ENGINE_H

#include "lib/stringinfo.h"

typedef enum EngineComponentKind
{
	ENGINE_COMPONENT_TEXT,		/* changed by reflection */
	ENGINE_COMPONENT_EXAMPLES	/* changed by the engine's own proposer; text
								 * is a comma-separated list of example
								 * numbers, see EngineConfig */
} EngineComponentKind;

typedef struct EngineComponent
{
	const char *name;
	EngineComponentKind kind;
	const char *seed_text;
} EngineComponent;

typedef enum EngineSelection
{
	ENGINE_SELECT_PARETO,
	ENGINE_SELECT_CURRENT_BEST,
	ENGINE_SELECT_EPSILON_GREEDY,
	ENGINE_SELECT_TOP_K_PARETO
} EngineSelection;

typedef enum EngineFrontier
{
	ENGINE_FRONTIER_INSTANCE,
	ENGINE_FRONTIER_OBJECTIVE,
	ENGINE_FRONTIER_HYBRID,
	ENGINE_FRONTIER_CARTESIAN
} EngineFrontier;

typedef enum EngineComponentChoice
{
	ENGINE_CHOOSE_ROUND_ROBIN,
	ENGINE_CHOOSE_ALL
} EngineComponentChoice;

typedef enum EngineAcceptance
{
	ENGINE_ACCEPT_STRICT,
	ENGINE_ACCEPT_OR_EQUAL
} EngineAcceptance;

/* Which of an iteration's accepted proposals enter the pool. */
typedef enum EngineKeep
{
	ENGINE_KEEP_ALL,
	ENGINE_KEEP_BEST,			/* by gain on the minibatch */
	ENGINE_KEEP_TOP_K
} EngineKeep;

/*
 * Set the defaults with gepa_engine_config_init(), then what differs.  The
 * strings and arrays are copied by gepa_engine_create().
 *
 * Examples: numbers 0 .. ntrain-1 stand for the training samples, numbers from
 * ntrain on for examples that the seed brought along (nexamples in all);
 * example_class gives the class of each for balancing.
 */
typedef struct EngineConfig
{
	int64		seed;			/* of the random stream; sign is ignored */
	int			ncomponents;
	const EngineComponent *components;
	int			ntrain;
	int			nval;
	int			nclasses;		/* examples only */
	int			nexamples;		/* >= ntrain; examples only */
	const int  *example_class;
	int			max_examples;	/* default 6 */
	bool		can_reflect;	/* false: text components never change */

	int			minibatch_size; /* 3 */
	bool		skip_perfect;	/* true */
	double		perfect_score;	/* 1.0 */
	EngineSelection selection;	/* pareto */
	double		epsilon;		/* 0.1 */
	int			top_k;			/* 5 */
	EngineFrontier frontier;	/* instance */
	EngineComponentChoice component_choice; /* round robin */
	EngineAcceptance acceptance;	/* strict */

	int64		budget;			/* metric calls; <= 0 means none */
	int64		max_proposals;	/* iterations; <= 0 means none */
	double		stop_at_score;	/* mean on validation; NaN means none */
	int			max_candidates; /* in the pool; <= 0 means none */
	int			no_improvement; /* checks without a new best; <= 0 means none */
	bool		caller_stops;	/* false; the caller has conditions of its
								 * own: tokens, money, time */
	bool		stop_on_all;	/* [false] stop when all conditions given
								 * hold, not when any does; hard_budget still
								 * binds */

	/* Several proposals per iteration: parents x mutations of each. */
	int			parents;		/* 1 */
	int			mutations;		/* 1 */
	EngineKeep	keep;			/* all */
	int			keep_k;			/* 1; of ENGINE_KEEP_TOP_K */

	/* Merge: crossover of two candidates with a common ancestor. */
	bool		merge;			/* false */
	int			max_merges;		/* 5; accepted ones, then no more are
								 * scheduled */
	int			merge_overlap;	/* 5; validation samples both must share */

	/* Validate on these samples only; NULL = all. */
	int			nvalidate;
	const int  *validate;

	/* Known scores of a text are not asked for again by validation. */
	bool		cache;			/* false */
	bool		shared_sets;	/* false; the two sets are one: validation
								 * knows the scores of minibatches as well */

	/* Deviations from the reference; init sets the values in brackets. */
	bool		hard_budget;	/* [true] start nothing that may not fit */
	bool		expand_placeholders;	/* [false] expand them inside
										 * candidates */
	bool		skip_known_texts;	/* [true] a proposal equal to a known
									 * candidate is rejected, not evaluated */
	bool		ascending_order;	/* [true] numbers are walked in ascending
									 * order; else as CPython walks a set of
									 * them */
	bool		zero_mean_merge;	/* [true] ancestors that all score zero
									 * are drawn alike; else the run ends
									 * there */
} EngineConfig;

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
	ENGINE_SPLIT_VAL
} EngineSplit;

/*
 * Steps are numbered 0, 1, 2, ... in the order in which they are handed out.
 * "proposal" numbers every text that is evaluated: 0 is the seed, then one per
 * child in order of creation, accepted or not.  A step with a proposal
 * concerns that text; its candidate number is known only once accepted.
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
	bool		traces;			/* rollouts will be reflected on */

	/* REFLECT: rewrite texts[component] after reading a step's rollouts */
	int			component;
	int			records_step;	/* the EVALUATE step to read */
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
	ENGINE_EVENT_NO_MERGE		/* a merge was due, but no pair was found */
} EngineEventKind;

typedef struct EngineEvent
{
	EngineEventKind kind;
	int			iteration;
	int			proposal;		/* -1 where there is none */
	int			candidate;		/* ACCEPTED: its number; else -1 */
	int			nparents;
	int			parents[2];		/* candidates */
	int			component;		/* changed; -1 = several or none */
	int			reflect_step;	/* step that answered; -1 = none (examples,
								 * merge) */
	const char *const *texts;	/* PROPOSED and later */
	double		parent_sum;		/* minibatch sums that were compared; the
								 * child's is NaN when it was not run */
	double		child_sum;
	const char *reason;			/* SKIPPED, REJECTED, ACCEPTED: why */
	int			nsamples;		/* ITERATION: the minibatch, or of a merge the */
	const int  *samples;		/* validation samples it is tried on */
	int			ancestor;		/* of a merge, a candidate; else -1 */
} EngineEvent;

/* engine.c */

extern void gepa_engine_config_init(EngineConfig *config);

/* Set the deviations to what the reference does (all of them off). */
extern void gepa_engine_config_reference(EngineConfig *config);

/*
 * NULL and *error (a message with its way out) when the configuration cannot
 * work: no component, empty sets, budget below the seed's validation, ...
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
 * names in objective_names; a value that is NaN is not known.  Returns false
 * when the step is not outstanding, n does not fit, a score is not finite, or
 * the frontier needs objectives and a validation brings none (the engine is
 * unchanged).
 */
extern bool gepa_engine_observe_scores(Engine *engine, int step, int n, const double *scores,
									   int nobjectives, const char *const *objective_names,
									   const double *objectives);

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

/* Inspection; indexes are checked by Assert only. */
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

/* identity.c */

/*
 * Identity of a candidate across runs: SHA-256 (32 bytes) over the JSON text of
 * its name and text pairs, sorted by name.  False when there is no SHA-256 to be had.
 * In the backend it needs a resource owner, that is, a transaction.
 */
#define ENGINE_IDENTITY_LENGTH 32
extern bool gepa_engine_identity(int ncomponents, const char *const *names,
								 const char *const *texts, uint8 *identity);

/* reflect.c: texts of reflection; usable without an engine */

typedef enum EngineValueKind
{
	ENGINE_VALUE_TEXT,			/* leaf: trimmed text */
	ENGINE_VALUE_MAP,
	ENGINE_VALUE_LIST
} EngineValueKind;

typedef struct EngineValue
{
	EngineValueKind kind;
	const char *text;
	int			nitems;
	const char *const *keys;	/* maps */
	const struct EngineValue *items;
} EngineValue;

/* NULL when both placeholders are there, else a message naming the missing. */
extern const char *gepa_engine_check_template(const char *template);

/*
 * The reflection prompt: template with <curr_param> and <side_info> replaced.
 * With expand, placeholders inside the current text are replaced as well (as
 * the reference does); else the template's own only.
 */
extern char *gepa_engine_render_reflection(const char *template, const char *current,
										   const EngineValue *records, int nrecords,
										   bool expand);

/* The new text out of an answer: what stands in its outermost fences. */
extern char *gepa_engine_extract_text(const char *answer);

#endif							/* GEPA_ENGINE_ENGINE_H */
