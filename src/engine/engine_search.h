/*-------------------------------------------------------------------------
 *
 * engine_search.h
 *	  The state of the default mode and what its files share.
 *
 * Internal to src/engine.  Drawing and reasons: docs/engine.md.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_SEARCH_H
#define GEPA_ENGINE_SEARCH_H

#include "engine/engine_internal.h"
#include "engine/engine_policy.h"

/* plan.c: what the budget is for */

typedef struct EnginePlan
{
	int			held_out;		/* samples of the report */
	int64		report;			/* its rollouts: winner and seed */
	int64		reserve;		/* rollouts of the run-off */
	int			seed_window;	/* items */
	int			window;
	int			min_rollouts;	/* of a candidate before it may lead */
	int			max_reflections;
} EnginePlan;

/* NULL, or why the default mode cannot work with this, and the way out. */
extern const char *gepa_engine_plan(const EngineConfig *config, EnginePlan *plan);

/* A text on its way to be evaluated. */
typedef enum EngineOrigin
{
	ENGINE_ORIGIN_REFLECTION,	/* the reflection LM's, examples with it */
	ENGINE_ORIGIN_EXAMPLES,		/* the proposer of examples, alone */
	ENGINE_ORIGIN_RECOMBINATION
} EngineOrigin;

typedef struct EngineChild
{
	EngineOrigin origin;
	int			parent;			/* candidate */
	int			component;		/* changed; -1 = several */
	int			reflect_step;	/* first that was asked for; -1 = none */
	int			awaited;		/* answers still to come */
	bool		given_up;		/* an answer did not come */
	bool		released;		/* became a proposal, or nothing */
	const char **texts;
	int			proposal;		/* -1 = none (yet) */
	bool		evaluated;
} EngineChild;

typedef struct EngineChildren
{
	int			n;
	int			allocated;
	EngineChild *items;
} EngineChildren;

typedef enum EnginePhase
{
	ENGINE_PHASE_SEED,			/* -> SEARCH */
	ENGINE_PHASE_SEARCH,		/* generations -> RUN_OFF, OVER */
	ENGINE_PHASE_RUN_OFF,		/* -> REPORT, OVER */
	ENGINE_PHASE_REPORT,		/* -> OVER */
	ENGINE_PHASE_OVER
} EnginePhase;

typedef struct EngineSearch
{
	EnginePlan	plan;
	EnginePhase phase;
	const char *reason;			/* why the search ended */

	EngineItems items;
	EngineLines lines;
	EngineModel model;
	int			incumbent;		/* candidate; -1 before the seed's window */
	int			advances;		/* times another candidate took the lead */
	int			reflections;	/* asked for */
	int64		proposals;		/* made by reflection or of examples */

	/* Between two barriers */
	int			first_step;
	int			awaited;		/* steps without an answer */
	int64		asked_at;		/* rollouts when they were asked for */
	bool		starting;		/* what is queued waits for nothing */
	int			nwindow;
	int		   *window;			/* items */
	EngineChildren recombined;	/* to be evaluated on it */
	EngineChildren children;	/* ... after these */
	EngineChildren coming;		/* pipelined: for the next generation */

	int64		run_off_left;	/* rollouts that the run-off may still use */
	int			nheld_out;
	int		   *held_out;		/* items, or samples of the test set */
	bool		reported;
	EngineHeldOut report;
} EngineSearch;

/* policy.c: the way of a run; the functions of its EngineLoop */

extern void gepa_engine_policy_begin(Engine *engine);
extern void gepa_engine_policy_start(Engine *engine);
extern void gepa_engine_policy_take_scores(Engine *engine, EngineStepRecord *record,
										   const double *scores,
										   const EngineObjectives *objectives);
extern void gepa_engine_policy_take_text(Engine *engine, EngineStepRecord *record,
										 const char *text);

/* What was asked for from here on ends with the next barrier. */
extern void gepa_engine_open_barrier(Engine *engine);

/* Rollouts that may be spent before the report. */
extern int64 gepa_engine_left(const Engine *engine);

/* items.c: samples under one number, and rollouts of them */

extern void gepa_engine_items_init(Engine *engine);

/* The seed's own examples are never held out, nor is anything else asked of those that are. */
extern void gepa_engine_hold_out(Engine *engine);
extern EngineSampleRef gepa_engine_item_sample(const Engine *engine, int item);
extern int	gepa_engine_sample_item(const Engine *engine, EngineSplit split, int sample);

/* Ask for those of a proposal's rollouts that were not asked for; returns how many. */
extern int	gepa_engine_ask_items(Engine *engine, int proposal, EngineStepRole role, int n,
								  const int *items);

/* Where the rollout of a candidate on an item was told. */
extern EngineRecord gepa_engine_find_record(const Engine *engine, int candidate, int item);

/* propose.c: texts from reflection and from the proposer of examples */

extern EngineChild *gepa_engine_add_child(Engine *engine, EngineChildren *children,
										  EngineOrigin origin);

/*
 * Set up to n changes of the incumbent going, of them so many by reflection;
 * false when there is no rollout to reflect on.
 */
extern bool gepa_engine_propose(Engine *engine, EngineChildren *children, int n,
								int reflections);

/* Proposal that has these texts and is evaluated; -1 = none. */
extern int	gepa_engine_find_evaluated(const Engine *engine, const char *const *texts);

/* Reflections that a proposal takes: one, or as many as there are texts to change. */
extern int	gepa_engine_reflection_cost(const Engine *engine);

/* Could anything but recombination propose, now or later? */
extern bool gepa_engine_may_propose(const Engine *engine);

/* generation.c */

/* False when there is nothing to try, now or later. */
extern bool gepa_engine_start_generation(Engine *engine);

/* Evaluate children in their order, as far as their texts are there. */
extern void gepa_engine_release_children(Engine *engine);

/* An event about a child that is a proposal. */
extern EngineEvent *gepa_engine_add_child_event(Engine *engine, EngineEventKind kind,
												const EngineChild *child, const char *reason);

/* No generation follows that would evaluate what is coming; the reason is static. */
extern void gepa_engine_drop_coming(Engine *engine, const char *reason);

/* decide.c: what rollouts change */

/* Take the rollouts of a barrier into the model and say who leads. */
extern void gepa_engine_decide(Engine *engine, EngineDecisionKind kind);
extern void gepa_engine_declare_winner(Engine *engine);

/* Best by the model among those that may lead, at most n; returns how many. */
extern int	gepa_engine_leaders(const Engine *engine, int n, int *result);

/* runoff.c: finalists, and the report on samples that chose nothing */

/*
 * The window becomes items drawn alike from those that one of the candidates at
 * least was never asked about; returns how many.
 */
extern int	gepa_engine_draw_wanting(Engine *engine, int ncandidates, const int *candidates,
									 int64 most);
extern bool gepa_engine_start_run_off(Engine *engine);
extern bool gepa_engine_start_report(Engine *engine);
extern void gepa_engine_finish_report(Engine *engine);

#endif							/* GEPA_ENGINE_SEARCH_H */
