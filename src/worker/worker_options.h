/*-------------------------------------------------------------------------
 *
 * worker_options.h
 *	  Options of a run, as jsonb and as a struct.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_WORKER_WORKER_OPTIONS_H
#define GEPA_WORKER_WORKER_OPTIONS_H

#include "engine/engine.h"
#include "store/store.h"

/* Default of max_prompt_chars. */
#define WORKER_MAX_PROMPT_CHARS 20000

/* Keys of samples. */
typedef struct WorkerKeys
{
	int			n;
	char	  **keys;
} WorkerKeys;

/* Texts of components, by their names. */
typedef struct WorkerTexts
{
	int			n;
	char	  **names;
	char	  **texts;
} WorkerTexts;

/* Further seeds. */
typedef struct WorkerSeeds
{
	int			n;
	WorkerTexts *seeds;
} WorkerSeeds;

/* Options of a run, complete. */
typedef struct WorkerRunOptions
{
	int			acceptance;		/* EngineAcceptance */
	bool		ascending_order;
	bool		cache;
	JudgeConfidence confidence; /* of metric confidence */
	int			candidate_selection;	/* EngineSelection */
	bool		combee;			/* reflect in groups, then on what these say */
	int			component_choice;	/* EngineComponentChoice */
	int			copy_guard;		/* words in a row that a new text may not have
								 * in common with a document; 0 = any */
	double		epsilon;
	double		error_score;	/* of an evaluator's errors; NaN = none */
	bool		examples;		/* tune examples beside the instruction */
	bool		expand_placeholders;
	int			frontier_type;	/* EngineFrontier */
	char	   *graders;		/* a list, complete; NULL = the metric */
	bool		hard_budget;
	double		max_calls;		/* NaN = no such condition, as below */
	int			max_candidates; /* 0 = no such condition, as below */
	double		max_cost;
	int			max_examples;
	int			max_growth;		/* characters that a new text may be longer
								 * than the one before; 0 = any */
	int			max_merges;
	int			max_prompt_chars;
	int			max_proposals;
	double		max_seconds;
	double		max_tokens;
	bool		merge;
	int			merge_overlap;
	int			metric;			/* JudgeMetric */
	int			minibatch_size;
	int			mode;			/* EngineMode */
	int			no_improvement;
	int			parallel_proposals;
	double		perfect_score;
	EnginePolicy policy;		/* each of its fields is an option */
	double		precision;		/* wanted at deploy; 0 = none */
	int			proposal_selection; /* EngineKeep */
	int			proposal_top_k;
	int			proposals_per_parent;
	char	   *proposer;		/* function that writes new texts, by
								 * qualified name; NULL = the reflection LM */
	char	   *reflection_template;	/* NULL = the judge's default */
	WorkerTexts reflection_templates;	/* of components that have their own */
	bool		reuse_rollouts; /* of a sample that a step has twice */
	char	   *seed_from;		/* the judge's version that one of seeds is
								 * from; NULL = none */
	WorkerSeeds seeds;			/* beside the judge's version */
	bool		shared_sets;
	int			show_rejected;	/* earlier proposals that are shown to the
								 * reflection LM */
	bool		skip_known_texts;
	bool		skip_perfect;
	double		split[STORE_NSPLITS];	/* shares */
	int			split_seed;
	double		stop_at_score;
	bool		stop_on_all;
	char	   *task_lm;		/* NULL = the judge's */
	int			top_k;
	WorkerKeys	validate;		/* n = 0: all validation samples */
	bool		zero_mean_merge;
} WorkerRunOptions;

/* option_table.c */

typedef enum WorkerOptionKind
{
	WORKER_OPTION_BOOL,
	WORKER_OPTION_INT,
	WORKER_OPTION_NUMBER,		/* NaN = not set */
	WORKER_OPTION_TEXT,			/* NULL = not set */
	WORKER_OPTION_KEYS,			/* WorkerKeys; n = 0 is not set */
	WORKER_OPTION_TEXTS,		/* WorkerTexts; likewise */
	WORKER_OPTION_SEEDS,		/* WorkerSeeds; likewise */
	WORKER_OPTION_LIST,			/* JSON text of an array; NULL = not set */
	WORKER_OPTION_WORD			/* int: place in the list of words */
} WorkerOptionKind;

/* In which modes it has an effect. */
typedef enum WorkerOptionScope
{
	WORKER_OPTION_ALWAYS,
	WORKER_OPTION_IN_DEFAULT,
	WORKER_OPTION_IN_REFERENCE
} WorkerOptionScope;

typedef struct WorkerOption
{
	const char *name;
	WorkerOptionKind kind;
	WorkerOptionScope scope;
	size_t		offset;			/* in WorkerRunOptions */
	double		min;
	double		max;
	const char *const *words;	/* ends with NULL */
} WorkerOption;

/* The options in alphabetical order, all but "confidence" and "split". */
extern const WorkerOption *gepa_worker_option_table(int *n);

/* What a run in a mode has where its options say nothing. */
extern void gepa_worker_option_defaults(WorkerRunOptions *options, EngineMode mode);

/* options.c */

/* What a run tunes: options and defaults differ. */
typedef enum WorkerTuned
{
	WORKER_TUNES_JUDGE,
	WORKER_TUNES_TEXT,			/* other texts, on a dataset */
	WORKER_TUNES_TASK			/* ... on a single task */
} WorkerTuned;

/* Raises 22023 on unknown keys and bad values. */
extern void gepa_worker_parse_options(const char *json, WorkerTuned tuned,
									  WorkerRunOptions *options);

/* The object that it would read back. */
extern char *gepa_worker_options_json(const WorkerRunOptions *options, WorkerTuned tuned);

/* Those given that have no effect in the mode chosen, as a list for people; NULL = none. */
extern char *gepa_worker_idle_options(const char *json, const WorkerRunOptions *options);

#endif							/* GEPA_WORKER_WORKER_OPTIONS_H */
