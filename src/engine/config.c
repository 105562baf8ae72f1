/*-------------------------------------------------------------------------
 *
 * config.c
 *	  What an engine is made with: defaults, checks, the engine's own copy.
 *
 * A configuration that cannot work is refused with a message that says the way
 * out.  An option that only matters in the other mode is no error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "engine/engine_search.h"

#define MAX_TASKS 1000

static const EnginePolicy default_policy = {
	.seed_window = 16,
	.window = 12,
	.min_rollouts = 8,
	.reserve = 0.25,
	.finalists = 4,
	.leader_rollouts = 40,
	.max_reflections = 0,
	.reflections_per_round = 2,
	.reflection_pace = 0.7,
	.recombinations = 1,
	.recombine_after = 0.25,
	.held_out = -1,
	.pipelined = false,
	.intercept_mean = 0.3,
	.intercept_sd = 2.0,
	.line_mean = 0.1,
	.line_sd = 0.3,
	.candidate_sd = 0.12,
	.length_mean = -0.4,
	.length_sd = 0.2,
	.sample_sd = 2.0,
	.dispersion_prior = 20.0,
	.least_dispersion = 0.02,
	.lineage = true,
	.thompson = 0.7,
	.max_changes = 4,
	.max_additions = 2,
	.window_floor = 0.15,
	.window_gain = 3.4,
	.window_known = 2.0,
	.window_known_after = 250,
	.window_decay = 0.5,
	.records = 12,
	.record_failures = 9,
	.balance_labels = true
};

void
gepa_engine_config_init(EngineConfig *config)
{
	memset(config, 0, sizeof(EngineConfig));
	config->mode = ENGINE_MODE_DEFAULT;
	config->policy = default_policy;
	config->max_examples = 6;
	config->can_reflect = true;
	config->minibatch_size = 3;
	config->skip_perfect = true;
	config->perfect_score = 1.0;
	config->selection = ENGINE_SELECT_PARETO;
	config->epsilon = 0.1;
	config->top_k = 5;
	config->frontier = ENGINE_FRONTIER_INSTANCE;
	config->component_choice = ENGINE_CHOOSE_ROUND_ROBIN;
	config->acceptance = ENGINE_ACCEPT_STRICT;
	config->stop_at_score = NAN;
	config->parents = 1;
	config->mutations = 1;
	config->keep = ENGINE_KEEP_ALL;
	config->keep_k = 1;
	config->max_merges = 5;
	config->merge_overlap = 5;
	config->hard_budget = true;
	config->skip_known_texts = true;
	config->ascending_order = true;
	config->zero_mean_merge = true;
}

void
gepa_engine_config_reference(EngineConfig *config)
{
	config->mode = ENGINE_MODE_REFERENCE;
	config->hard_budget = false;
	config->expand_placeholders = true;
	config->skip_known_texts = false;
	config->ascending_order = false;
	config->zero_mean_merge = false;
}

static const char *
check_components(const EngineConfig *config)
{
	bool		changeable = false;
	const char *error = NULL;
	int			i;
	int			k;

	if (config->ncomponents < 1)
		return "there is no component; a program needs at least one";
	for (i = 0; i < config->ncomponents && error == NULL; i++)
	{
		const EngineComponent *component = &config->components[i];

		if (component->name == NULL || component->seed_text == NULL)
			return "a component lacks its name or its seed text";
		for (k = 0; k < i; k++)
			if (strcmp(component->name, config->components[k].name) == 0)
				return "two components have the same name; rename one";
		if (component->kind == ENGINE_COMPONENT_TEXT)
			changeable = changeable || config->can_reflect;
		else
		{
			changeable = true;
			if (config->nclasses < 1 || config->nexamples < config->ntrain ||
				config->example_class == NULL || config->max_examples < 1)
				return "a component of examples needs nclasses, nexamples, example_class and max_examples";
			error = gepa_engine_check_examples(config, component->seed_text);
		}
	}
	if (error == NULL)
		error = gepa_engine_check_seeds(config);
	if (error == NULL && !changeable)
		error = "no component can be changed; give a reflection LM or add a component of examples";
	return error;
}

static const char *
check_sets(const EngineConfig *config)
{
	bool	   *seen;
	int			i;

	if (config->ntrain < 1 || config->nval < 1)
		return "the training set or the validation set is empty; give each at least one sample";
	if (config->shared_sets && config->ntrain != config->nval)
		return "shared_sets needs training and validation sets of the same size";
	if (config->validate == NULL)
		return NULL;
	if (config->nvalidate < 1)
		return "the subset to validate on is empty; name at least one sample or none at all";
	seen = palloc0(config->nval * sizeof(bool));
	for (i = 0; i < config->nvalidate; i++)
	{
		int			sample = config->validate[i];

		if (sample < 0 || sample >= config->nval || seen[sample])
			break;
		seen[sample] = true;
	}
	pfree(seen);
	return i < config->nvalidate ?
		"the subset to validate on names a sample twice or one that does not exist" : NULL;
}

static bool
are_groups(const EngineConfig *config)
{
	int			n = config->ntrain + config->nval;
	int			i;

	for (i = 0; config->sample_group != NULL && i < n; i++)
		if (config->sample_group[i] < 0 || config->sample_group[i] >= n)
			return false;
	return true;
}

static bool
are_labels(const EngineConfig *config, const int *labels, int n)
{
	int			i;

	for (i = 0; labels != NULL && i < n; i++)
		if (labels[i] < -1 || labels[i] >= config->nlabels)
			return false;
	return true;
}

static const char *
check_numbers(const EngineConfig *config)
{
	int			nvalidate = config->validate != NULL ? config->nvalidate : config->nval;
	int			i;

	if (config->minibatch_size < 1)
		return "minibatch_size must be at least 1";
	if (!(config->epsilon >= 0.0 && config->epsilon <= 1.0))
		return "epsilon must be between 0 and 1";
	if (config->top_k < 1 || config->keep_k < 1)
		return "top_k and keep_k must be at least 1";
	if (config->parents < 1 || config->mutations < 1 ||
		(int64) config->parents * config->mutations > MAX_TASKS)
		return "parents times mutations must be between 1 and 1000";
	if (config->merge_overlap < 1)
		return "merge_overlap must be at least 1";
	if (isnan(config->perfect_score) && config->skip_perfect)
		return "skip_perfect needs a perfect_score";
	if (config->mode == ENGINE_MODE_REFERENCE && config->hard_budget && config->budget > 0 &&
		config->budget < nvalidate * (1 + (int64) config->nseeds))
		return "the budget does not cover the seed's validation; raise it to at least the number of validation samples, for each seed, plus a few iterations";
	if (!are_labels(config, config->train_label, config->ntrain) ||
		!are_labels(config, config->val_label, config->nval))
		return "a sample has a label that does not exist; nlabels says how many there are";
	if (!are_groups(config))
		return "a sample has a group that is out of range";
	for (i = 0; config->example_class != NULL && i < config->nexamples; i++)
		if (config->example_class[i] < 0 || config->example_class[i] >= config->nclasses)
			return "example_class names a class that does not exist";
	return NULL;
}

const char *
gepa_engine_check_config(const EngineConfig *config)
{
	const char *problem = check_sets(config);
	EnginePlan	plan;

	if (problem == NULL)
		problem = check_numbers(config);
	if (problem == NULL)
		problem = check_components(config);
	if (problem == NULL && config->mode == ENGINE_MODE_DEFAULT)
		problem = gepa_engine_plan(config, &plan);
	return problem;
}

static const int *
copy_numbers(EngineArena *arena, const int *numbers, int n)
{
	int		   *copy;

	if (numbers == NULL)
		return NULL;
	copy = gepa_engine_alloc(arena, n * sizeof(int));
	return memcpy(copy, numbers, n * sizeof(int));
}

static void
adopt_components(Engine *engine, const EngineConfig *given)
{
	EngineArena *arena = &engine->arena;
	int			n = given->ncomponents;
	EngineComponent *components = gepa_engine_alloc(arena, n * sizeof(EngineComponent));
	int			i;

	engine->usable = gepa_engine_alloc(arena, n * sizeof(bool));
	for (i = 0; i < n; i++)
	{
		components[i].name = gepa_engine_strdup(arena, given->components[i].name);
		components[i].kind = given->components[i].kind;
		components[i].seed_text = gepa_engine_strdup(arena, given->components[i].seed_text);
		engine->usable[i] = given->can_reflect ||
			components[i].kind == ENGINE_COMPONENT_EXAMPLES;
	}
	engine->config.components = components;
}

/* None named are all. */
static void
adopt_validation(Engine *engine, const EngineConfig *given)
{
	int			n = given->validate != NULL ? given->nvalidate : given->nval;
	int		   *samples = gepa_engine_alloc(&engine->arena, n * sizeof(int));
	int			i;

	for (i = 0; i < n; i++)
		samples[i] = given->validate != NULL ? given->validate[i] : i;
	engine->validate = engine->config.validate = samples;
	engine->nvalidate = engine->config.nvalidate = n;
}

void
gepa_engine_adopt_config(Engine *engine, const EngineConfig *given)
{
	EngineArena *arena = &engine->arena;
	EngineConfig *config = &engine->config;

	*config = *given;
	adopt_components(engine, given);
	gepa_engine_adopt_seeds(engine, given);
	adopt_validation(engine, given);
	if (config->nexamples > 0)
		config->example_class = copy_numbers(arena, given->example_class, config->nexamples);
	config->train_label = copy_numbers(arena, given->train_label, config->ntrain);
	config->val_label = copy_numbers(arena, given->val_label, config->nval);
	config->sample_group = copy_numbers(arena, given->sample_group, config->ntrain + config->nval);
	if (config->mode == ENGINE_MODE_DEFAULT)
	{
		/* it plans to the call, and never asks twice */
		config->hard_budget = true;
		config->cache = false;
		config->frontier = ENGINE_FRONTIER_INSTANCE;
	}
}
