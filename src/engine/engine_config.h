/*-------------------------------------------------------------------------
 *
 * engine_config.h
 *	  What an engine is made with: components, samples, budget, the search.
 *
 * Part of the door; engine.h includes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_ENGINE_CONFIG_H
#define GEPA_ENGINE_CONFIG_H

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
	ENGINE_FRONTIER_CARTESIAN,
	ENGINE_FRONTIER_AUTO		/* hybrid if the seed's validation brings
								 * objectives, else instance */
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

/* How a run searches; docs/engine.md. */
typedef enum EngineMode
{
	ENGINE_MODE_DEFAULT,		/* by a model of the score matrix */
	ENGINE_MODE_REFERENCE		/* as the reference implementation */
} EngineMode;

/*
 * Constants of the default mode, with their defaults; the reason for each is in
 * docs/engine.md.  gepa_engine_config_init() sets them.
 */
typedef struct EnginePolicy
{
	/* The run */
	int			seed_window;	/* 16: items the seed is evaluated on first */
	int			window;			/* 12: items of a generation */
	int			min_rollouts;	/* 8: of a candidate before it may lead */
	double		reserve;		/* 0.25: of the budget, for the run-off */
	int			finalists;		/* 4: in the run-off */
	int			leader_rollouts;	/* 40: of the winner before the run ends,
									 * where scores are graded; 0 = no more
									 * than others */
	int			max_reflections;	/* 0 = one per 66 rollouts of the budget */
	int			reflections_per_round;	/* 2 */
	double		reflection_pace;	/* 0.7: exponent of the quota; below 1 =
									 * more of them early */
	int			recombinations; /* 1: per generation */
	double		recombine_after;	/* 0.25: share of the search before the
									 * first of them */
	int			held_out;		/* -1 = min(100, 15 % of the samples, budget /
								 * 16); below 5 none */
	bool		whole_rounds;	/* false: ask for that many or none */
	bool		pipelined;		/* false: reflect while evaluating */

	/* The model: means and standard deviations of priors, logit scale */
	double		intercept_mean; /* 0.3 */
	double		intercept_sd;	/* 2.0 */
	double		line_mean;		/* 0.1; of a derived line 0 */
	double		line_sd;		/* 0.3; 0 = lines have no effect */
	double		candidate_sd;	/* 0.12 */
	double		length_mean;	/* -0.4, per hundred words */
	double		length_sd;		/* 0.2 */
	double		sample_sd;		/* 2.0; 0 = all items alike */
	double		dispersion_prior;	/* 20: degrees of freedom at 1 */
	double		least_dispersion;	/* 0.02 */
	bool		lineage;		/* true: a derived line inherits the effect of
								 * its ancestor */

	/* Recombination */
	double		thompson;		/* 0.7: scale of the draw */
	int			max_changes;	/* 4 */
	int			max_additions;	/* 2: of these */

	/* Windows */
	double		window_floor;	/* 0.15: weight of an item that tells nothing */
	double		window_gain;	/* 3.4: times p (1 - p); 0 = all alike */
	double		window_known;	/* 2.0: factor where the incumbent's rollout
								 * is there */
	int			window_known_after; /* 250: rollouts before that factor holds */
	double		window_decay;	/* 0.5: exponent of 1/2 per earlier use */

	/* Records shown to the reflection LM */
	int			records;		/* 12 */
	int			record_failures;	/* 9: of these at most */
	bool		balance_labels; /* true: records take labels in turn, as
								 * windows always do */
} EnginePolicy;

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
	EngineMode	mode;
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

	/*
	 * Further seeds, each a text for every component.  They are proposals 1
	 * to nseeds and, without parents, candidates with the same numbers.
	 */
	int			nseeds;
	const char *const *const *seeds;

	/* Default mode */
	EnginePolicy policy;
	int			ntest;			/* samples of the test set that the held-out
								 * report may use; 0 = it takes samples from
								 * the others */
	int			nlabels;
	const int  *train_label;	/* expected label of each sample, 0 ..
								 * nlabels-1, -1 = none; NULL = none at all */
	const int  *val_label;
	const int  *sample_group;	/* of training, then of validation samples: a
								 * number, 0 .. ntrain+nval-1; those that
								 * share one are held out together.  NULL =
								 * none do */

	/* Reference mode, up to the deviations */

	int			minibatch_size; /* 3 */
	bool		skip_perfect;	/* true; both modes */
	double		perfect_score;	/* 1.0; both modes */
	EngineSelection selection;	/* pareto */
	double		epsilon;		/* 0.1 */
	int			top_k;			/* 5 */
	EngineFrontier frontier;	/* instance */
	EngineComponentChoice component_choice; /* round robin; both modes */
	EngineAcceptance acceptance;	/* strict */

	int64		budget;			/* rollouts; <= 0 means none */
	/* Conditions, in both modes; in parentheses that of the default mode */
	int64		max_proposals;	/* iterations (changes by reflection and of
								 * examples); <= 0 means none */
	double		stop_at_score;	/* mean on validation (estimate); NaN means
								 * none */
	int			max_candidates; /* in the pool; <= 0 means none */
	int			no_improvement; /* checks without a new best (generations
								 * without another one that leads); <= 0 means
								 * none */
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

#endif							/* GEPA_ENGINE_CONFIG_H */
