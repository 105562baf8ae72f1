/*-------------------------------------------------------------------------
 *
 * engine_internal.h
 *	  What the files of src/engine share.  Not a door: only src/engine and its
 *	  unit programs include it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_INTERNAL_H
#define GEPA_ENGINE_INTERNAL_H

#include "engine/engine.h"

/* memory.c: allocation for as long as the engine lives */

typedef struct EngineArena
{
	void	   *context;		/* MemoryContext; not used in frontend */
	struct EngineBlock *blocks;
} EngineArena;

extern void gepa_engine_arena_init(EngineArena *arena);
extern void gepa_engine_arena_free(EngineArena *arena);
extern void *gepa_engine_alloc(EngineArena *arena, Size size);	/* zeroed */
extern char *gepa_engine_strdup(EngineArena *arena, const char *text);

/*
 * Make room for one more element: returns the array, copied into a larger one
 * if needed.  The old one stays valid (for those it was handed out to).
 */
extern void *gepa_engine_grow(EngineArena *arena, void *array, int used,
							  int *allocated, Size element);

/* random.c: the random stream of the reference (CPython's random.Random) */

#define ENGINE_RANDOM_WORDS 624

typedef struct EngineRandom
{
	uint32		state[ENGINE_RANDOM_WORDS];
	int			next;
} EngineRandom;

extern void gepa_engine_random_seed(EngineRandom *random, int64 seed);
extern uint32 gepa_engine_random_word(EngineRandom *random);
extern double gepa_engine_random_uniform(EngineRandom *random); /* [0, 1) */
extern int	gepa_engine_random_bounded(EngineRandom *random, int n);
extern void gepa_engine_random_shuffle(EngineRandom *random, int *items, int n);

/* k of the n items without replacement, in drawn order */
extern void gepa_engine_random_sample(EngineRandom *random, const int *items, int n,
									  int k, int *result);

/* index drawn by weight; weights NULL = equal; -1 if they sum to <= 0 */
extern int	gepa_engine_random_weighted(EngineRandom *random, int n, const double *weights);

/* order.c: sets of numbers, walked as CPython walks them */

typedef struct EngineSet
{
	int			used;
	int			mask;			/* size of the table less one */
	int		   *table;			/* -1 = empty */
} EngineSet;

extern void gepa_engine_set_init(EngineSet *set);
extern void gepa_engine_set_free(EngineSet *set);
extern void gepa_engine_set_add(EngineSet *set, int number);
extern bool gepa_engine_set_has(const EngineSet *set, int number);
extern void gepa_engine_set_copy(EngineSet *set, const EngineSet *from);
extern void gepa_engine_set_intersect(EngineSet *set, const EngineSet *left,
									  const EngineSet *right);
extern int	gepa_engine_set_list(const EngineSet *set, int *result);

/* Put distinct numbers into the order of a set filled with them one by one. */
extern void gepa_engine_set_reorder(int *items, int n);

/* sampler.c: minibatches */

typedef struct EngineSampler
{
	EngineArena *arena;
	EngineRandom *random;
	int			size;			/* of a minibatch */
	int			ntrain;			/* at the last shuffle */
	int			nshuffled;		/* padded: a multiple of size */
	int			allocated;
	int		   *shuffled;
	int		   *counts;			/* per sample, how often in shuffled */
	int64		epoch;			/* -1 before the first shuffle */
	int64		iteration;		/* of the last call */
	int			calls;			/* earlier calls in that iteration */
} EngineSampler;

extern void gepa_engine_sampler_init(EngineSampler *sampler, EngineArena *arena,
									 EngineRandom *random, int size);

/* The next minibatch of (zero-based) iteration i; size numbers into result. */
extern void gepa_engine_sampler_next(EngineSampler *sampler, int ntrain, int64 i, int *result);

/* pool.c: the candidates, and choices that need nothing else */

/* One array per attribute, all indexed by candidate. */
typedef struct EnginePool
{
	EngineArena *arena;
	bool		ascending;		/* see ascending_order */
	int			ncomponents;
	int			nval;
	int			ncandidates;
	int			allocated;
	const char *const **texts;
	int			(*parents)[2];	/* -1 = none */
	double	  **scores;			/* per validation sample; NaN = not scored */
	int		   *coverage;		/* scored samples */
	double	   *means;
	int		   *next_component; /* round robin */
	int64	   *discovery;
	int		   *proposals;
} EnginePool;

extern void gepa_engine_pool_init(EnginePool *pool, EngineArena *arena,
								  int ncomponents, int nval);

/*
 * Add a candidate that was scored on samples (in this order: the mean is the
 * plain sum in list order over their number); returns its number.
 */
extern int	gepa_engine_pool_add(EnginePool *pool, const char *const *texts,
								 const int parents[2], int nsamples,
								 const int *samples, const double *scores);

/* Highest mean, lower index on ties; by_coverage: larger coverage first. */
extern int	gepa_engine_pool_best(const EnginePool *pool, bool by_coverage);

/*
 * Round robin: the component whose turn it is among the usable ones (NULL =
 * all); moves the candidate's pointer.
 */
extern int	gepa_engine_pool_next_component(EnginePool *pool, int candidate,
											const bool *usable);

/* Candidate with these texts, -1 if none. */
extern int	gepa_engine_pool_find(const EnginePool *pool, const char *const *texts);

extern double gepa_engine_sum(const double *values, int n);
extern bool gepa_engine_accepts(EngineAcceptance acceptance, double before, double after);

/*
 * Which of n proposals go on: those accepted, of these all, the best or the
 * top_k by gain (ties in list order).  Returns how many; result in the order
 * in which they are to enter the pool.
 */
extern int	gepa_engine_keep(EngineKeep keep, int top_k, EngineAcceptance acceptance, int n,
							 const double *before, const double *after, int *result);

/* fronts.c: who is best on what */

typedef struct EngineFrontRow
{
	char	   *key;
	int			sample;			/* -1 in a table by objective */
	int			objective;		/* -1 in a table by sample */
	double		score;
	int			nmembers;
	int			allocated;
	int		   *members;		/* candidates, ascending */
} EngineFrontRow;

#define ENGINE_WORD_BITS 64
#define ENGINE_BIT_WORD(i) ((i) / ENGINE_WORD_BITS)
#define ENGINE_BIT_MASK(i) (UINT64CONST(1) << ((i) % ENGINE_WORD_BITS))

typedef struct EngineBitset
{
	int			nwords;
	uint64	   *words;
} EngineBitset;

/* Fronts of one kind, and the same turned round: a bit set per candidate. */
typedef struct EngineFrontTable
{
	int			nrows;
	int			allocated;
	EngineFrontRow *rows;		/* in insertion order */
	int			nbitsets;
	int			bitsets_allocated;
	EngineBitset *bitsets;	/* per candidate: the rows it is on */
} EngineFrontTable;

typedef struct EngineFronts
{
	EngineArena *arena;
	bool		ascending;		/* see ascending_order */
	EngineFrontier type;
	int			nval;
	int			nobjectives;
	int			objectives_allocated;
	char	  **objectives;		/* names, in order of first sight */
	EngineFrontTable by_sample; /* always kept */
	EngineFrontTable by_objective;	/* kept when objectives are told */
	EngineFrontTable by_pair;	/* cartesian only */
	int		   *row_of_sample;	/* in by_sample; -1 = none */
	int			pairs_allocated;
	int		   *row_of_pair;	/* [objective * nval + sample] in by_pair */
	int			row_of_objective_allocated;
	int		   *row_of_objective;
} EngineFronts;

/* Objective values of some samples, row by row; value NaN = not told. */
typedef struct EngineObjectives
{
	int			nobjectives;
	const char *const *names;
	const double *values;		/* row by row */
} EngineObjectives;

extern void gepa_engine_fronts_init(EngineFronts *fronts, EngineArena *arena,
									EngineFrontier type, int nval);

/* Enter the next candidate (numbers ascend). */
extern void gepa_engine_fronts_add(EngineFronts *fronts, int candidate, int nsamples,
								   const int *samples, const double *scores,
								   const EngineObjectives *objectives);

/* Mean of an objective over the rows that have it; NaN if none has. */
extern double gepa_engine_objective_mean(const EngineObjectives *objectives, int objective,
										 int nsamples);

/* Number of an objective; a new name gets the next one. */
extern int	gepa_engine_find_objective(EngineFronts *fronts, const char *name);

extern int	gepa_engine_fronts_count(const EngineFronts *fronts);
extern const EngineFrontRow *gepa_engine_fronts_row(const EngineFronts *fronts, int index);

/* The tables that make up the frontier, in order; returns how many. */
extern int	gepa_engine_front_tables(const EngineFronts *fronts,
									 const EngineFrontTable *tables[2]);

/* reduce.c */

/*
 * The candidates that are left when redundant ones are removed, in the order
 * in which walking the reduced fronts meets them, with the number of fronts
 * each is on.  restrict_to (may be NULL): the candidates that count at all.
 * Arrays of ncandidates elements are filled; returns how many.
 */
extern int	gepa_engine_survivors(const EngineFronts *fronts, int ncandidates,
								  const double *means, const EngineSet *restrict_to,
								  int *survivors, int *frequency);

/* select.c: parents */

/* top_k and epsilon as in EngineConfig. */
extern int	gepa_engine_select_parent(EngineRandom *random, const EnginePool *pool,
									  const EngineFronts *fronts,
									  EngineSelection selection, double epsilon, int top_k);

/* merge.c: crossover of two candidates */

typedef struct EngineMerges
{
	EngineArena *arena;
	int			ntriples;
	int			triples_allocated;
	int			(*triples)[3];	/* i, j, ancestor that were merged */
	int			ndescriptions;
	int			descriptions_allocated;
	int		  **descriptions;	/* i, j, then per component its source */
} EngineMerges;

typedef struct EngineMerge
{
	int			i;
	int			j;
	int			ancestor;
	const char **texts;			/* per component */
} EngineMerge;

typedef enum EngineMergeResult
{
	ENGINE_MERGE_NONE,
	ENGINE_MERGE_BUILT,
	ENGINE_MERGE_ZERO_WEIGHT	/* only without zero_mean_merge */
} EngineMergeResult;

extern void gepa_engine_merges_init(EngineMerges *merges, EngineArena *arena);

/* Exactly one of two descendants changed some component? */
extern bool gepa_engine_merge_desirable(int ncomponents, const char *const *ancestor,
										const char *const *i, const char *const *j);

/* Those of n common ancestors (ascending) that may serve; returns how many. */
extern int	gepa_engine_filter_ancestors(const EngineMerges *merges, const EnginePool *pool,
										 int i, int j, const int *common, int n, int *result);

/* Search a pair among the n candidates given and build their child. */
extern EngineMergeResult gepa_engine_find_merge(EngineMerges *merges, EngineRandom *random,
												const EnginePool *pool, const int *candidates,
												int n, int overlap_floor, bool zero_mean_merge,
												EngineMerge *merge);

/* Remember that the triple was merged. */
extern void gepa_engine_merge_done(EngineMerges *merges, const EngineMerge *merge);

/*
 * Validation samples on which the child of i and j is tried: up to size of
 * them into result; returns how many.
 */
extern int	gepa_engine_merge_subsample(EngineRandom *random, const EnginePool *pool,
										int i, int j, int size, int *result);

extern bool gepa_engine_merge_accepts(double sum_i, double sum_j, double sum_child);

/* examples.c: the proposer for lists of examples */

/* A sample of the minibatch that the parent got wrong, and by how much. */
typedef struct EngineWrong
{
	int			example;
	double		weight;
} EngineWrong;

typedef bool (*EngineKnownText) (void *arg, const char *text);

/* NULL when text is a good list, else what is wrong with it. */
extern const char *gepa_engine_check_examples(const EngineConfig *config, const char *text);

/*
 * A changed list, allocated in arena; NULL when no move leads to a list that
 * is not known.
 */
extern const char *gepa_engine_propose_examples(EngineArena *arena, EngineRandom *random,
												const EngineConfig *config, const char *text,
												int nwrong, const EngineWrong *wrong,
												EngineKnownText known, void *arg);

/* stop.c: conditions looked at between iterations */

typedef struct EngineProgress
{
	int64		rollouts;
	int64		iterations;		/* begun so far */
	int			ncandidates;
	double		best;
} EngineProgress;

typedef struct EngineStops
{
	double		best;			/* no_improvement: best seen by a check */
	int			checks;			/* ... and checks since */
} EngineStops;

extern void gepa_engine_stops_init(EngineStops *stops);

/* NULL = go on, else why not.  worst_case: what an iteration may cost. */
extern const char *gepa_engine_check_stop(EngineStops *stops, const EngineConfig *config,
										  const EngineProgress *progress, int64 worst_case);

/* engine.c: the state of an engine */

/* What a step's answer is for. */
typedef enum EngineStepRole
{
	ENGINE_ROLE_SEED,			/* the seed's validation */
	ENGINE_ROLE_PARENT,			/* a parent on a minibatch */
	ENGINE_ROLE_REFLECT,		/* a new text */
	ENGINE_ROLE_CHILD,			/* a child on the same samples */
	ENGINE_ROLE_VALIDATE		/* a child that goes into the pool */
} EngineStepRole;

typedef struct EngineStepRecord
{
	EngineStep	step;
	EngineStepRole role;
	int			task;
	bool		observed;
} EngineStepRecord;

/* Every text that was ever proposed; 0 is the seed. */
typedef struct EngineProposal
{
	const char *const *texts;
	int			candidate;		/* -1 = not in the pool */
	struct EngineResult **known;	/* cache: per set, by sample; or NULL */
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

struct Engine
{
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

	bool		running;		/* an iteration, or the seed's validation */
	int			ntasks;
	EngineTask *tasks;
	int			nkept;
	int		   *kept;			/* tasks that go into the pool, in order */
	int64		validated_from; /* rollouts when validation was asked for */

	int			merges_due;
	int			merges_accepted;
	bool		found_new;		/* the last iteration's reflection had success */

	const char *stop_request;
	const char *stop_reason;	/* set = finished */
};

/* record.c: what an iteration leaves behind */

extern bool gepa_engine_same_texts(int ncomponents, const char *const *a, const char *const *b);
extern int	gepa_engine_add_proposal(Engine *engine, const char *const *texts);

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

/* Starts an iteration; steps are queued, or else stop_reason is set. */
extern void gepa_engine_iterate(Engine *engine);

/* The result of a step that is known to be outstanding and to fit. */
extern void gepa_engine_take_scores(Engine *engine, EngineStepRecord *record,
									const double *scores,
									const EngineObjectives *objectives);
extern void gepa_engine_take_text(Engine *engine, EngineStepRecord *record, const char *text);

/* What an iteration may cost at most. */
extern int64 gepa_engine_worst_case(const Engine *engine);

#endif							/* GEPA_ENGINE_INTERNAL_H */
