/*-------------------------------------------------------------------------
 *
 * engine_internal.h
 *	  The state of an engine and what its files share.
 *
 * Not a door: only src/engine and its unit programs include it and the two
 * headers below it, which know nothing of an engine.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_INTERNAL_H
#define GEPA_ENGINE_INTERNAL_H

#include "engine/engine_pool.h"

/* examples.c: the proposer for lists of examples */

/* A sample of the minibatch that the parent got wrong, and by how much. */
typedef struct EngineWrong
{
	int			example;
	double		weight;
} EngineWrong;

/* What a list is made from. */
typedef struct EngineExamples
{
	const char *text;			/* the parent's list */
	int			nwrong;
	const EngineWrong *wrong;
	const bool *usable;			/* per training sample: may it come in?  NULL
								 * = all may */
	bool		(*known) (void *arg, const char *text); /* tried before? */
	void	   *arg;
} EngineExamples;

/* NULL when text is a good list, else what is wrong with it. */
extern const char *gepa_engine_check_examples(const EngineConfig *config, const char *text);

/*
 * A changed list, allocated in arena; NULL when no move leads to a list that
 * is not known.
 */
extern const char *gepa_engine_propose_examples(EngineArena *arena, EngineRandom *random,
												const EngineConfig *config,
												const EngineExamples *request);

/* config.c */

extern const char *gepa_engine_check_config(const EngineConfig *config);

/* Copy what the configuration points to; it is the engine's from then on. */
extern void gepa_engine_adopt_config(Engine *engine, const EngineConfig *given);

/* seeds.c: what a run begins with */

#define ENGINE_MAX_SEEDS 100	/* beside the first */

/* NULL, or what is wrong with the further seeds. */
extern const char *gepa_engine_check_seeds(const EngineConfig *config);
extern void gepa_engine_adopt_seeds(Engine *engine, const EngineConfig *given);

/* They are proposals 0 to nseeds. */
extern void gepa_engine_propose_seeds(Engine *engine, const char *reason);
extern EngineEvent *gepa_engine_add_seed_event(Engine *engine, EngineEventKind kind, int seed,
											   const char *reason);

/* stop.c: conditions looked at between iterations */

typedef struct EngineProgress
{
	int64		rollouts;
	int64		iterations;		/* begun so far */
	int			ncandidates;
	double		best;
	double		advance;		/* what grows with an improvement */
	const char *caller;			/* why the caller would stop; NULL = not */
} EngineProgress;

typedef struct EngineStops
{
	double		advance;		/* no_improvement: most seen by a check */
	int			checks;			/* ... and checks since */
} EngineStops;

extern void gepa_engine_stops_init(EngineStops *stops);

/* NULL = go on, else why not.  worst_case: what an iteration may cost. */
extern const char *gepa_engine_check_stop(EngineStops *stops, const EngineConfig *config,
										  const EngineProgress *progress, int64 worst_case);

/*
 * The budget that the reference's companion (dspy) derives from a number of
 * candidates to try: n = 6, 12 or 18 for its light, medium and heavy.  Its
 * formula knows neither the minibatch size nor the loop; a rule of thumb.
 */
extern int64 gepa_engine_auto_budget(int n, int ncomponents, int nval, int per_trial,
									 int trials_per_validation);

/* engine.c: the state of an engine */

/* What a step's answer is for. */
typedef enum EngineStepRole
{
	ENGINE_ROLE_SEED,			/* a seed's validation */
	ENGINE_ROLE_PARENT,			/* a parent on a minibatch */
	ENGINE_ROLE_REFLECT,		/* a new text */
	ENGINE_ROLE_CHILD,			/* a child on the same samples */
	ENGINE_ROLE_VALIDATE,		/* a child that goes into the pool */
	ENGINE_ROLE_TRIAL,			/* default mode: a text on a window, beside
								 * reflections */
	ENGINE_ROLE_HELD_OUT		/* ... winner or seed for the report */
} EngineStepRole;

typedef struct EngineStepRecord
{
	EngineStep	step;
	EngineStepRole role;
	int			task;			/* or child */
	bool		observed;
	const double *scores;		/* default mode: within 0 and 1, or NaN */
	int			ncame;			/* ... rollouts that were made */
	const bool *came;			/* ... which, if not all */
} EngineStepRecord;

/* Every text that was ever proposed; 0 is the seed. */
typedef struct EngineProposal
{
	const char *const *texts;
	int			candidate;		/* -1 = not in the pool */
	struct EngineResult **known;	/* cache: per set, by sample; or NULL */
	bool	   *asked;			/* default mode: by item; NULL = not evaluated */
} EngineProposal;

/* One rollout as told; objectives are numbered as in the frontier. */
typedef struct EngineResult
{
	bool		told;
	double		score;
	int			nobjectives;
	const double *objectives;
} EngineResult;

/* One proposal of an iteration on its way. */
typedef enum EngineTaskState
{
	ENGINE_TASK_PARENT,			/* parent is run -> REFLECT, READY, DONE */
	ENGINE_TASK_REFLECT,		/* new texts are awaited -> READY, DONE */
	ENGINE_TASK_READY,			/* waits its turn to become a child -> CHILD,
								 * DONE */
	ENGINE_TASK_CHILD,			/* child is run -> JUDGED */
	ENGINE_TASK_JUDGED,			/* waits for the others -> VALIDATE, DONE */
	ENGINE_TASK_VALIDATE,		/* is validated -> VALIDATED */
	ENGINE_TASK_VALIDATED,		/* waits for the others -> DONE */
	ENGINE_TASK_DONE
} EngineTaskState;

typedef struct EngineTask
{
	EngineTaskState state;
	bool		merge;
	int			ancestor;		/* merge; else -1 */
	int			parents[2];		/* -1 = none */
	int			same_as;		/* earlier task with the same parent run; -1 */
	int			nsamples;
	const int  *samples;
	double	   *before;			/* parent's scores on the samples */
	double		before_sum;
	double		after_sum;		/* NaN = not run */
	int			records_step;	/* the parent's run */
	int			component;		/* changed; -1 = several or none */
	int			reflect_step;	/* first answer asked for; -1 = none */
	int			awaited;		/* answers still to come */
	bool		given_up;		/* an answer did not come */
	const char **texts;			/* the child's */
	int			proposal;
	int			nwanted;		/* merge trial or validation: the samples ... */
	const int  *wanted;
	EngineResult *results;		/* ... and what is known of them, by place */
	int			nasked;			/* of these, paid for */
} EngineTask;

/* How a mode searches; its steps and events are those of record.c. */
typedef struct EngineLoop
{
	void		(*begin) (Engine *engine);	/* queues the first steps */

	/* Nothing is under way: queue steps, or set stop_reason. */
	void		(*start) (Engine *engine);

	/* The result of a step that is known to be outstanding and to fit. */
	void		(*take_scores) (Engine *engine, EngineStepRecord *record,
								const double *scores, const EngineObjectives *objectives);
	void		(*take_text) (Engine *engine, EngineStepRecord *record, const char *text);
} EngineLoop;

struct Engine
{
	const EngineLoop *loop;
	EngineArena arena;
	EngineArena scratch;		/* freed when an iteration starts */
	EngineConfig config;
	bool	   *usable;			/* components that can be changed */
	int			nvalidate;
	const int  *validate;		/* validation samples in use */
	EngineRandom random;
	EngineSampler sampler;
	EnginePool	pool;
	EngineFronts fronts;
	EngineMerges merges;
	EngineStops stops;
	int64		rollouts;
	int			iteration;
	int			rounds;
	uint32		roles_asked;	/* bits, of the iteration under way */

	int			nproposals;
	int			proposals_allocated;
	EngineProposal *proposals;
	int			nsteps;
	int			steps_allocated;
	EngineStepRecord *steps;	/* by number */
	int			handed_out;		/* steps that gepa_engine_next has seen */
	int			nevents;
	int			events_allocated;
	EngineEvent *events;
	int			events_drained;

	bool		running;		/* an iteration, or the seeds' validation */
	int			seeds_awaited;	/* reference mode: validations to come */
	struct EngineResult **seed_results; /* ... and those that came, by seed */
	int			ntasks;
	EngineTask *tasks;
	int			nkept;
	int		   *kept;			/* tasks that go into the pool, in order */
	int64		validated_from; /* rollouts when validation was asked for */

	int			merges_due;
	int			merges_accepted;
	bool		found_new;		/* the last iteration's reflection had success */

	struct EngineSearch *search;	/* default mode */

	const char *caller_reason;
	const char *stop_reason;	/* set = finished */
};

/* record.c: what an iteration leaves behind */

extern bool gepa_engine_same_texts(int ncomponents, const char *const *a, const char *const *b);
extern int	gepa_engine_add_proposal(Engine *engine, const char *const *texts);

extern void gepa_engine_next_iteration(Engine *engine);

/* Queue a step; the caller fills in what depends on its kind. */
extern EngineStep *gepa_engine_add_step(Engine *engine, EngineStepKind kind,
										EngineStepRole role, int task, int proposal);
extern int	gepa_engine_add_evaluation(Engine *engine, EngineStepRole role, int task,
									   int proposal, EngineSplit split, int nsamples,
									   const int *samples);

/* An event about a task; about the seed or the iteration when it is NULL. */
extern EngineEvent *gepa_engine_add_event(Engine *engine, EngineEventKind kind,
										  const EngineTask *task, const char *reason);
extern void gepa_engine_end_task(Engine *engine, EngineTask *task, EngineEventKind kind,
								 const char *reason);

/*
 * Ask for what is not known of a task's child on these validation samples;
 * false when nothing needs to be asked.
 */
extern bool gepa_engine_ask_unknown(Engine *engine, EngineTask *task, EngineStepRole role,
									int nsamples, const int *samples);

/* Results of a step, as far as somebody will want them; NULL = nobody. */
extern EngineResult *gepa_engine_take_results(Engine *engine, const EngineStepRecord *record,
											  const double *scores,
											  const EngineObjectives *objectives);

/* Enter a text with complete validation results into the pool. */
extern int	gepa_engine_enter_pool(Engine *engine, int proposal, const int parents[2],
								   const EngineResult *results);

/* children.c: from parents that were run to candidates */

extern void gepa_engine_change_tasks(Engine *engine);	/* all parents were run */
extern void gepa_engine_make_child(Engine *engine, EngineTask *task);
extern void gepa_engine_judge(Engine *engine);	/* all children were run */
extern void gepa_engine_enter_candidates(Engine *engine);	/* all were validated */

/* iterate.c: the step machine; drawing in docs/engine.md */

extern void gepa_engine_begin(Engine *engine);	/* the seed */
extern void gepa_engine_start(Engine *engine);
extern void gepa_engine_take_scores(Engine *engine, EngineStepRecord *record,
									const double *scores,
									const EngineObjectives *objectives);
extern void gepa_engine_take_text(Engine *engine, EngineStepRecord *record, const char *text);

#endif							/* GEPA_ENGINE_INTERNAL_H */
