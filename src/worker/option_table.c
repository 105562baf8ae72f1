/*-------------------------------------------------------------------------
 *
 * option_table.c
 *	  Which options a run has, and what they are where nothing is said.
 *
 * One table names every option, its kind, its range and the mode of search that
 * it matters in; reading, writing and all messages follow it.  The constants of
 * the default mode are options of their names in EnginePolicy.  docs/engine.md
 * says what each is for.
 *
 * The mode sets the defaults of what the reference implementation does
 * otherwise; each can be set by itself as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <limits.h>
#include <math.h>

#include "judge/judge.h"
#include "worker/worker_options.h"

static const char *const acceptance_words[] = {"strict", "improvement_or_equal", NULL};
static const char *const selection_words[] = {
	"pareto", "current_best", "epsilon_greedy", "top_k_pareto", NULL
};
static const char *const choice_words[] = {"round_robin", "all", NULL};
static const char *const frontier_words[] = {
	"instance", "objective", "hybrid", "cartesian", "auto", NULL
};
static const char *const metric_words[] = {"label", "score", "ranking", "confidence", NULL};
static const char *const keep_words[] = {"all", "best", "top_k", NULL};
static const char *const mode_words[] = {"default", "reference", NULL};

#define FIELD(name) offsetof(WorkerRunOptions, name)

static const WorkerOption table[] = {
	{"acceptance", WORKER_OPTION_WORD, WORKER_OPTION_IN_REFERENCE, FIELD(acceptance), 0, 0, acceptance_words},
	{"ascending_order", WORKER_OPTION_BOOL, WORKER_OPTION_IN_REFERENCE, FIELD(ascending_order), 0, 0, NULL},
	{"balance_labels", WORKER_OPTION_BOOL, WORKER_OPTION_IN_DEFAULT, FIELD(policy.balance_labels), 0, 0, NULL},
	{"cache", WORKER_OPTION_BOOL, WORKER_OPTION_IN_REFERENCE, FIELD(cache), 0, 0, NULL},
	{"candidate_sd", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.candidate_sd), 0, 100, NULL},
	{"candidate_selection", WORKER_OPTION_WORD, WORKER_OPTION_IN_REFERENCE, FIELD(candidate_selection), 0, 0, selection_words},
	{"combee", WORKER_OPTION_BOOL, WORKER_OPTION_ALWAYS, FIELD(combee), 0, 0, NULL},
	{"component_choice", WORKER_OPTION_WORD, WORKER_OPTION_ALWAYS, FIELD(component_choice), 0, 0, choice_words},
	{"copy_guard", WORKER_OPTION_INT, WORKER_OPTION_ALWAYS, FIELD(copy_guard), 0, 1000, NULL},
	{"dispersion_prior", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.dispersion_prior), 0, 1000000, NULL},
	{"epsilon", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_REFERENCE, FIELD(epsilon), 0, 1, NULL},
	{"error_score", WORKER_OPTION_NUMBER, WORKER_OPTION_ALWAYS, FIELD(error_score), -DBL_MAX, INFINITY, NULL},
	{"examples", WORKER_OPTION_BOOL, WORKER_OPTION_ALWAYS, FIELD(examples), 0, 0, NULL},
	{"expand_placeholders", WORKER_OPTION_BOOL, WORKER_OPTION_ALWAYS, FIELD(expand_placeholders), 0, 0, NULL},
	{"finalists", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.finalists), 2, 100, NULL},
	{"frontier_type", WORKER_OPTION_WORD, WORKER_OPTION_IN_REFERENCE, FIELD(frontier_type), 0, 0, frontier_words},
	{"graders", WORKER_OPTION_LIST, WORKER_OPTION_ALWAYS, FIELD(graders), 0, 0, NULL},
	{"hard_budget", WORKER_OPTION_BOOL, WORKER_OPTION_IN_REFERENCE, FIELD(hard_budget), 0, 0, NULL},
	{"held_out", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.held_out), -1, INT_MAX, NULL},
	{"intercept_mean", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.intercept_mean), -100, 100, NULL},
	{"intercept_sd", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.intercept_sd), 0.001, 100, NULL},
	{"leader_rollouts", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.leader_rollouts), 0, 10000, NULL},
	{"least_dispersion", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.least_dispersion), 0.001, 1, NULL},
	{"length_mean", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.length_mean), -100, 100, NULL},
	{"length_sd", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.length_sd), 0, 100, NULL},
	{"line_mean", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.line_mean), -100, 100, NULL},
	{"line_sd", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.line_sd), 0, 100, NULL},
	{"lineage", WORKER_OPTION_BOOL, WORKER_OPTION_IN_DEFAULT, FIELD(policy.lineage), 0, 0, NULL},
	{"max_additions", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.max_additions), 0, 100, NULL},
	{"max_calls", WORKER_OPTION_NUMBER, WORKER_OPTION_ALWAYS, FIELD(max_calls), 0, INFINITY, NULL},
	{"max_candidates", WORKER_OPTION_INT, WORKER_OPTION_ALWAYS, FIELD(max_candidates), 0, INT_MAX, NULL},
	{"max_changes", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.max_changes), 0, 100, NULL},
	{"max_cost", WORKER_OPTION_NUMBER, WORKER_OPTION_ALWAYS, FIELD(max_cost), 0, INFINITY, NULL},
	{"max_examples", WORKER_OPTION_INT, WORKER_OPTION_ALWAYS, FIELD(max_examples), 0, 100, NULL},
	{"max_growth", WORKER_OPTION_INT, WORKER_OPTION_ALWAYS, FIELD(max_growth), 0, INT_MAX, NULL},
	{"max_merges", WORKER_OPTION_INT, WORKER_OPTION_IN_REFERENCE, FIELD(max_merges), 0, INT_MAX, NULL},
	{"max_prompt_chars", WORKER_OPTION_INT, WORKER_OPTION_ALWAYS, FIELD(max_prompt_chars), 1, INT_MAX, NULL},
	{"max_proposals", WORKER_OPTION_INT, WORKER_OPTION_ALWAYS, FIELD(max_proposals), 0, INT_MAX, NULL},
	{"max_reflections", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.max_reflections), 0, INT_MAX, NULL},
	{"max_seconds", WORKER_OPTION_NUMBER, WORKER_OPTION_ALWAYS, FIELD(max_seconds), 0, INFINITY, NULL},
	{"max_tokens", WORKER_OPTION_NUMBER, WORKER_OPTION_ALWAYS, FIELD(max_tokens), 0, INFINITY, NULL},
	{"merge", WORKER_OPTION_BOOL, WORKER_OPTION_IN_REFERENCE, FIELD(merge), 0, 0, NULL},
	{"merge_overlap", WORKER_OPTION_INT, WORKER_OPTION_IN_REFERENCE, FIELD(merge_overlap), 1, INT_MAX, NULL},
	{"metric", WORKER_OPTION_WORD, WORKER_OPTION_ALWAYS, FIELD(metric), 0, 0, metric_words},
	{"min_rollouts", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.min_rollouts), 1, 1000, NULL},
	{"minibatch_size", WORKER_OPTION_INT, WORKER_OPTION_IN_REFERENCE, FIELD(minibatch_size), 1, 1000, NULL},
	{"mode", WORKER_OPTION_WORD, WORKER_OPTION_ALWAYS, FIELD(mode), 0, 0, mode_words},
	{"no_improvement", WORKER_OPTION_INT, WORKER_OPTION_ALWAYS, FIELD(no_improvement), 0, INT_MAX, NULL},
	{"parallel_proposals", WORKER_OPTION_INT, WORKER_OPTION_IN_REFERENCE, FIELD(parallel_proposals), 1, 100, NULL},
	{"perfect_score", WORKER_OPTION_NUMBER, WORKER_OPTION_ALWAYS, FIELD(perfect_score), 0, 1, NULL},
	{"pipelined", WORKER_OPTION_BOOL, WORKER_OPTION_IN_DEFAULT, FIELD(policy.pipelined), 0, 0, NULL},
	{"precision", WORKER_OPTION_NUMBER, WORKER_OPTION_ALWAYS, FIELD(precision), 0, 1, NULL},
	{"proposal_selection", WORKER_OPTION_WORD, WORKER_OPTION_IN_REFERENCE, FIELD(proposal_selection), 0, 0, keep_words},
	{"proposal_top_k", WORKER_OPTION_INT, WORKER_OPTION_IN_REFERENCE, FIELD(proposal_top_k), 1, INT_MAX, NULL},
	{"proposals_per_parent", WORKER_OPTION_INT, WORKER_OPTION_IN_REFERENCE, FIELD(proposals_per_parent), 1, 10, NULL},
	{"proposer", WORKER_OPTION_TEXT, WORKER_OPTION_ALWAYS, FIELD(proposer), 0, 0, NULL},
	{"recombinations", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.recombinations), 0, 100, NULL},
	{"recombine_after", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.recombine_after), 0, 1, NULL},
	{"record_failures", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.record_failures), 0, 100, NULL},
	{"records", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.records), 1, 100, NULL},
	{"reflection_pace", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.reflection_pace), 0.01, 10, NULL},
	{"reflection_template", WORKER_OPTION_TEXT, WORKER_OPTION_ALWAYS, FIELD(reflection_template), 0, 0, NULL},
	{"reflection_templates", WORKER_OPTION_TEXTS, WORKER_OPTION_ALWAYS, FIELD(reflection_templates), 0, 0, NULL},
	{"reflections_per_round", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.reflections_per_round), 1, 100, NULL},
	{"reserve", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.reserve), 0, 0.9, NULL},
	{"reuse_rollouts", WORKER_OPTION_BOOL, WORKER_OPTION_IN_REFERENCE, FIELD(reuse_rollouts), 0, 0, NULL},
	{"sample_sd", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.sample_sd), 0, 100, NULL},
	{"seed_from", WORKER_OPTION_TEXT, WORKER_OPTION_ALWAYS, FIELD(seed_from), 0, 0, NULL},
	{"seed_window", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.seed_window), 1, 1000, NULL},
	{"seeds", WORKER_OPTION_SEEDS, WORKER_OPTION_ALWAYS, FIELD(seeds), 0, 0, NULL},
	{"shared_sets", WORKER_OPTION_BOOL, WORKER_OPTION_ALWAYS, FIELD(shared_sets), 0, 0, NULL},
	{"show_rejected", WORKER_OPTION_INT, WORKER_OPTION_ALWAYS, FIELD(show_rejected), 0, 100, NULL},
	{"skip_known_texts", WORKER_OPTION_BOOL, WORKER_OPTION_IN_REFERENCE, FIELD(skip_known_texts), 0, 0, NULL},
	{"skip_perfect", WORKER_OPTION_BOOL, WORKER_OPTION_ALWAYS, FIELD(skip_perfect), 0, 0, NULL},
	{"stop_at_score", WORKER_OPTION_NUMBER, WORKER_OPTION_ALWAYS, FIELD(stop_at_score), 0, 1, NULL},
	{"stop_on_all", WORKER_OPTION_BOOL, WORKER_OPTION_ALWAYS, FIELD(stop_on_all), 0, 0, NULL},
	{"task_lm", WORKER_OPTION_TEXT, WORKER_OPTION_ALWAYS, FIELD(task_lm), 0, 0, NULL},
	{"thompson", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.thompson), 0, 100, NULL},
	{"top_k", WORKER_OPTION_INT, WORKER_OPTION_IN_REFERENCE, FIELD(top_k), 1, INT_MAX, NULL},
	{"validate", WORKER_OPTION_KEYS, WORKER_OPTION_ALWAYS, FIELD(validate), 0, 0, NULL},
	{"whole_rounds", WORKER_OPTION_BOOL, WORKER_OPTION_IN_DEFAULT, FIELD(policy.whole_rounds), 0, 0, NULL},
	{"window", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.window), 1, 1000, NULL},
	{"window_decay", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.window_decay), 0, 100, NULL},
	{"window_floor", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.window_floor), 0, 100, NULL},
	{"window_gain", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.window_gain), 0, 100, NULL},
	{"window_known", WORKER_OPTION_NUMBER, WORKER_OPTION_IN_DEFAULT, FIELD(policy.window_known), 0.001, 100, NULL},
	{"window_known_after", WORKER_OPTION_INT, WORKER_OPTION_IN_DEFAULT, FIELD(policy.window_known_after), 0, INT_MAX, NULL},
	{"zero_mean_merge", WORKER_OPTION_BOOL, WORKER_OPTION_IN_REFERENCE, FIELD(zero_mean_merge), 0, 0, NULL},
};

const WorkerOption *
gepa_worker_option_table(int *n)
{
	*n = lengthof(table);
	return table;
}

/* The engine's own defaults, in the order of their names. */
static void
take_engine_defaults(WorkerRunOptions *options, const EngineConfig *config)
{
	options->acceptance = config->acceptance;
	options->ascending_order = config->ascending_order;
	options->candidate_selection = config->selection;
	options->component_choice = config->component_choice;
	options->epsilon = config->epsilon;
	options->expand_placeholders = config->expand_placeholders;
	options->frontier_type = config->frontier;
	options->hard_budget = config->hard_budget;
	options->max_examples = config->max_examples;
	options->max_merges = config->max_merges;
	options->merge = config->merge;
	options->merge_overlap = config->merge_overlap;
	options->minibatch_size = config->minibatch_size;
	options->parallel_proposals = config->parents;
	options->perfect_score = config->perfect_score;
	options->policy = config->policy;
	options->proposal_selection = config->keep;
	options->proposal_top_k = config->keep_k;
	options->proposals_per_parent = config->mutations;
	options->skip_known_texts = config->skip_known_texts;
	options->skip_perfect = config->skip_perfect;
	options->stop_at_score = config->stop_at_score;
	options->top_k = config->top_k;
	options->zero_mean_merge = config->zero_mean_merge;
}

void
gepa_worker_option_defaults(WorkerRunOptions *options, EngineMode mode)
{
	EngineConfig config;

	gepa_engine_config_init(&config);
	if (mode == ENGINE_MODE_REFERENCE)
		gepa_engine_config_reference(&config);

	memset(options, 0, sizeof(WorkerRunOptions));
	options->mode = mode;
	take_engine_defaults(options, &config);
	options->max_calls = options->max_cost = options->max_seconds = options->max_tokens = NAN;
	options->error_score = NAN;
	options->copy_guard = mode == ENGINE_MODE_REFERENCE ? 0 : 8;
	options->max_prompt_chars = WORKER_MAX_PROMPT_CHARS;
	options->metric = JUDGE_METRIC_LABEL;
	options->reuse_rollouts = (mode != ENGINE_MODE_REFERENCE);
	options->split[STORE_SPLIT_TRAIN] = 0.4;
	options->split[STORE_SPLIT_VAL] = 0.3;
	options->split[STORE_SPLIT_TEST] = 0.3;
}
