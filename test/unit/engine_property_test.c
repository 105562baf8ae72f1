/*-------------------------------------------------------------------------
 *
 * engine_property_test.c
 *	  What holds of any run, on random configurations.
 *
 * Every failed check names the seed of its configuration; run the program
 * with seeds as arguments to repeat them alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "engine_sim.h"
#include "tap.h"

#define RUNS 400
#define MAX_SAMPLES 40
#define MAX_SEEDS 2

typedef struct Setup
{
	EngineConfig config;
	EngineComponent components[4];
	int			classes[MAX_SAMPLES + 4];
	int			subset[MAX_SAMPLES];
	int			labels[2 * MAX_SAMPLES];
	char		names[4][8];
	const char *seed_texts[MAX_SEEDS][4];
	const char *const *seeds[MAX_SEEDS];
	SimWorld	world;
} Setup;

static int
draw(EngineRandom *random, int n)
{
	return gepa_engine_random_bounded(random, n);
}

/* A component of examples may come with a list, or with none. */
static void
draw_components(Setup *setup, EngineRandom *random)
{
	EngineConfig *config = &setup->config;
	int			i;

	config->ncomponents = 1 + draw(random, 4);
	config->can_reflect = draw(random, 5) > 0;
	config->nclasses = 1 + draw(random, 3);
	config->nexamples = config->ntrain + draw(random, 3);
	config->max_examples = 1 + draw(random, 7);
	for (i = 0; i < config->nexamples; i++)
		setup->classes[i] = draw(random, config->nclasses);
	for (i = 0; i < config->ncomponents; i++)
	{
		EngineComponent *component = &setup->components[i];
		bool		examples = draw(random, 3) == 0 || (i == 0 && !config->can_reflect);

		snprintf(setup->names[i], sizeof(setup->names[i]), "c%d", i);
		component->name = setup->names[i];
		component->kind = examples ? ENGINE_COMPONENT_EXAMPLES : ENGINE_COMPONENT_TEXT;
		component->seed_text = examples ? (draw(random, 2) ? "" : "0") : "seed";
	}
	config->components = setup->components;
	config->example_class = setup->classes;
}

static void
draw_strategies(Setup *setup, EngineRandom *random)
{
	EngineConfig *config = &setup->config;
	int			i;

	config->selection = draw(random, 4);
	config->frontier = draw(random, 4);
	config->component_choice = draw(random, 2);
	config->acceptance = draw(random, 2);
	config->skip_perfect = draw(random, 2) == 0;
	config->parents = 1 + draw(random, 3);
	config->mutations = 1 + draw(random, 3);
	config->keep = draw(random, 3);
	config->keep_k = 1 + draw(random, 2);
	config->merge = draw(random, 2) == 0;
	config->merge_overlap = 1 + draw(random, 5);
	config->cache = draw(random, 3) == 0;
	config->shared_sets = config->ntrain == config->nval;
	config->hard_budget = draw(random, 3) > 0;
	config->skip_known_texts = draw(random, 2) == 0;
	config->ascending_order = draw(random, 2) == 0;
	config->no_improvement = draw(random, 4) == 0 ? 4 : 0;
	if (draw(random, 4) == 0)
	{
		for (i = 0; i < config->nval; i++)
			setup->subset[i] = i;
		gepa_engine_random_shuffle(random, setup->subset, config->nval);
		config->validate = setup->subset;
		config->nvalidate = 1 + draw(random, config->nval);
	}
}

/* Constants of the default mode, tiny ones among them. */
static void
draw_policy(Setup *setup, EngineRandom *random)
{
	EngineConfig *config = &setup->config;
	EnginePolicy *policy = &config->policy;
	int			nitems = config->ntrain + config->nval;
	int			i;

	config->nlabels = draw(random, 4);
	for (i = 0; i < nitems; i++)
		setup->labels[i] = draw(random, Max(config->nlabels, 1));
	config->train_label = config->nlabels > 0 ? setup->labels : NULL;
	config->val_label = config->nlabels > 1 ? setup->labels + config->ntrain : NULL;
	config->ntest = draw(random, 3) == 0 ? 1 + draw(random, MAX_SAMPLES) : 0;
	config->component_choice = draw(random, 2);
	config->shared_sets = config->ntrain == config->nval && draw(random, 2) == 0;
	config->budget = 20 + (draw(random, 3) == 0 ? draw(random, 40) : draw(random, 700));
	config->no_improvement = draw(random, 5) == 0 ? 3 : 0;
	config->max_proposals = draw(random, 5) == 0 ? 5 : 0;
	config->max_candidates = draw(random, 5) == 0 ? 4 : 0;
	policy->held_out = Min(draw(random, 4) - 1, config->nval - 1);
	if (config->ntest > 0)
		policy->held_out = Min(policy->held_out, config->ntest);
	policy->reserve = draw(random, 4) / 10.0;
	policy->pipelined = draw(random, 3) == 0;
	policy->reflections_per_round = 1 + draw(random, 4);
	policy->whole_rounds = draw(random, 3) == 0;
	policy->recombinations = draw(random, 3);
	policy->recombine_after = draw(random, 3) / 2.0;
	policy->max_reflections = draw(random, 3) == 0 ? 1 + draw(random, 60) : 0;
	policy->balance_labels = draw(random, 2) == 0;
	policy->lineage = draw(random, 2) == 0;
	if (draw(random, 2) == 0)
	{
		policy->window = 1 + draw(random, 20);
		policy->seed_window = 1 + draw(random, 30);
		policy->min_rollouts = 1 + draw(random, 10);
		policy->finalists = 2 + draw(random, 5);
		policy->leader_rollouts = draw(random, 100);
		policy->records = 1 + draw(random, 15);
		policy->record_failures = draw(random, policy->records + 1);
	}
}

static void
draw_reference(Setup *setup, EngineRandom *random)
{
	EngineConfig *config = &setup->config;

	draw_strategies(setup, random);
	config->budget = config->nval + draw(random, 700);
}

/* Further seeds, where there is a text that can differ. */
static void
draw_seeds(Setup *setup, EngineRandom *random)
{
	static const char *const texts[MAX_SEEDS] = {"seed\nfurther", "another"};
	EngineConfig *config = &setup->config;
	bool		differ = false;
	int			s;
	int			i;

	for (i = 0; i < config->ncomponents; i++)
		differ = differ || config->components[i].kind == ENGINE_COMPONENT_TEXT;
	if (!differ || draw(random, 3) > 0)
		return;
	config->nseeds = 1 + draw(random, MAX_SEEDS);
	for (s = 0; s < config->nseeds; s++)
	{
		for (i = 0; i < config->ncomponents; i++)
			setup->seed_texts[s][i] = config->components[i].kind == ENGINE_COMPONENT_TEXT ?
				texts[s] : config->components[i].seed_text;
		setup->seeds[s] = setup->seed_texts[s];
	}
	config->seeds = setup->seeds;
	config->budget += (int64) config->nseeds * (config->nval + 4);
}

static void
draw_setup(Setup *setup, int seed, EngineMode mode)
{
	EngineConfig *config = &setup->config;
	EngineRandom random;

	memset(setup, 0, sizeof(Setup));
	gepa_engine_random_seed(&random, seed);
	gepa_engine_config_init(config);
	config->mode = mode;
	config->seed = seed;
	config->ntrain = 1 + draw(&random, MAX_SAMPLES);
	config->nval = draw(&random, 3) == 0 ? config->ntrain : 1 + draw(&random, MAX_SAMPLES);
	config->minibatch_size = 1 + draw(&random, 5);
	draw_components(setup, &random);
	if (mode == ENGINE_MODE_DEFAULT)
		draw_policy(setup, &random);
	else
		draw_reference(setup, &random);
	setup->world.salt = seed;
	setup->world.binary = draw(&random, 2) == 0;
	setup->world.vocabulary = draw(&random, 2) == 0 ? 6 : 100000;
	setup->world.failing = draw(&random, 2) == 0 ? 0 : 7;
	setup->world.lines = mode == ENGINE_MODE_DEFAULT && draw(&random, 4) > 0;
	setup->world.empty = mode == ENGINE_MODE_DEFAULT && draw(&random, 3) == 0 ?
		1 + draw(&random, 20) : 0;
	setup->world.nobjectives = config->frontier == ENGINE_FRONTIER_INSTANCE ? 0 :
		1 + draw(&random, 3);
	draw_seeds(setup, &random);
}

static void
check_lineage(const Sim *sim, int seed)
{
	bool		ascending = true;
	int			i;

	for (i = 0; i < gepa_engine_ncandidates(sim->engine); i++)
	{
		int			parents[2];
		int			n = gepa_engine_candidate_parents(sim->engine, i, parents);

		while (n-- > 0)
			ascending = ascending && parents[n] < i && parents[n] >= 0;
	}
	tap_ok(ascending, "parents come before children (seed %d)", seed);
}

static void
check_distinct(const Sim *sim, const EngineConfig *config, int seed)
{
	int			n = gepa_engine_ncandidates(sim->engine);
	bool		distinct = true;
	int			i;
	int			k;

	for (i = 0; i < n; i++)
		for (k = 0; k < i; k++)
			if (gepa_engine_same_texts(config->ncomponents,
									   gepa_engine_candidate_texts(sim->engine, i),
									   gepa_engine_candidate_texts(sim->engine, k)))
				distinct = false;
	tap_ok(distinct, "no two candidates have the same texts (seed %d)", seed);
}

/* A list is short, without doubles, of numbers that exist. */
static bool
is_good_list(const EngineConfig *config, const char *text)
{
	return gepa_engine_check_examples(config, text) == NULL;
}

static void
check_examples(const Sim *sim, const EngineConfig *config, int seed)
{
	bool		good = true;
	int			i;
	int			k;

	for (i = 0; i < sim->nsteps; i++)
		for (k = 0; k < config->ncomponents; k++)
			if (config->components[k].kind == ENGINE_COMPONENT_EXAMPLES &&
				!is_good_list(config, sim->steps[i].texts[k]))
				good = false;
	tap_ok(good, "lists of examples are lists of examples (seed %d)", seed);
}

/* What a reflection is shown: different rollouts of the text that it is to change. */
static bool
shows_own_rollouts(const Sim *sim, const EngineConfig *config, const EngineStep *step)
{
	int			i;
	int			k;

	for (i = 0; i < step->nrecords; i++)
	{
		const EngineRecord *record = &step->records[i];
		const EngineStep *run = &sim->steps[record->step];

		if (run->kind != ENGINE_STEP_EVALUATE || record->slot >= run->nsamples ||
			run->split == ENGINE_SPLIT_TEST ||
			!gepa_engine_same_texts(config->ncomponents, run->texts, step->texts))
			return false;
		for (k = 0; k < i; k++)
			if (step->records[k].step == record->step && step->records[k].slot == record->slot)
				return false;
	}
	return step->nrecords > 0;
}

static void
check_policy(const Sim *sim, const EngineConfig *config, int seed)
{
	EngineHeldOut held_out;
	bool		shown = true;
	bool		bounded = true;
	int			reflections = 0;
	int			i;

	tap_ok(!sim->repeated, "no text is asked twice for a sample (seed %d)", seed);
	for (i = 0; i < sim->nsteps; i++)
		if (sim->steps[i].kind == ENGINE_STEP_REFLECT)
		{
			reflections++;
			shown = shown && shows_own_rollouts(sim, config, &sim->steps[i]);
		}
	tap_ok(shown, "reflection is shown rollouts of its text (seed %d)", seed);
	if (config->policy.max_reflections > 0)
		tap_ok(reflections <= config->policy.max_reflections,
			   "no more reflections than allowed (seed %d)", seed);
	for (i = 0; i < gepa_engine_ncandidates(sim->engine); i++)
	{
		double		score = gepa_engine_candidate_score(sim->engine, i);

		bounded = bounded && score >= 0.0 && score <= 1.0;
	}
	tap_ok(bounded, "estimates are means of scores (seed %d)", seed);
	if (gepa_engine_held_out(sim->engine, &held_out))
		tap_ok(held_out.candidate == gepa_engine_best(sim->engine) &&
			   fabs(held_out.score - held_out.seed_score - held_out.gain) < 1e-9,
			   "the report is about the winner (seed %d)", seed);
}

static void
check_run(const Sim *sim, const EngineConfig *config, int seed)
{
	bool		text_changed = false;
	int			i;
	int			k;

	tap_ok(!sim->waited_idle, "is never told to wait for nothing (seed %d)", seed);
	tap_ok(gepa_engine_stop_reason(sim->engine) != NULL, "comes to an end (seed %d)", seed);
	tap_ok(gepa_engine_rollouts(sim->engine) == sim->asked,
		   "the ledger is what was asked (seed %d)", seed);
	tap_ok(gepa_engine_ncandidates(sim->engine) == 1 + config->nseeds + sim->accepted,
		   "the pool is the seeds and what was accepted (seed %d)", seed);
	tap_ok(sim->proposed == sim->accepted + sim->rejected,
		   "every proposal is accepted or rejected (seed %d)", seed);
	tap_ok(!sim->overspent, "the budget is not overspent (seed %d)", seed);
	check_lineage(sim, seed);
	check_examples(sim, config, seed);
	if (config->mode == ENGINE_MODE_DEFAULT)
		check_policy(sim, config, seed);
	if (config->skip_known_texts || config->mode == ENGINE_MODE_DEFAULT)
		check_distinct(sim, config, seed);
	/* of several seeds the lines are recombined */
	for (i = 0; !config->can_reflect && config->nseeds == 0 && i < sim->nsteps; i++)
		for (k = 0; k < config->ncomponents; k++)
			if (config->components[k].kind == ENGINE_COMPONENT_TEXT &&
				strcmp(sim->steps[i].texts[k], "seed") != 0)
				text_changed = true;
	tap_ok(!text_changed, "without reflection the text of a single seed stays (seed %d)", seed);
}

/* A second engine, told the first one's journal up to somewhere, goes on alike. */
static void
check_replay(const Sim *first, const Setup *setup, const char *outcome, int cut, int seed)
{
	const EngineConfig *config = &setup->config;
	Sim			second;
	char	   *description;
	bool		followed;

	sim_open(&second, &setup->world, config, 0);
	followed = sim_replay(&second, config->ncomponents, first, cut);
	tap_ok(followed, "asks again what it asked before (seed %d, %d observations)", seed, cut);
	sim_run(&second, config->ncomponents, SIM_MAX_STEPS);
	description = sim_describe(second.engine, config->ncomponents);
	tap_ok(strcmp(description, outcome) == 0, "goes on as the first one (seed %d)", seed);
	pfree(description);
	sim_close(&second);
}

static void
test_seed(int seed, EngineMode mode)
{
	Setup		setup;
	Sim			serial;
	Sim			mixed;
	char	   *outcome;
	char	   *other;

	draw_setup(&setup, seed, mode);
	sim_open(&serial, &setup.world, &setup.config, 0);
	if (!tap_ok(serial.engine != NULL, "the configuration is taken (seed %d)", seed))
		return;
	sim_run(&serial, setup.config.ncomponents, SIM_MAX_STEPS);
	check_run(&serial, &setup.config, seed);
	outcome = sim_describe(serial.engine, setup.config.ncomponents);

	/* the same answers in another order */
	sim_open(&mixed, &setup.world, &setup.config, 2 * seed + 1);
	sim_run(&mixed, setup.config.ncomponents, SIM_MAX_STEPS);
	check_run(&mixed, &setup.config, seed);
	other = sim_describe(mixed.engine, setup.config.ncomponents);
	tap_ok(strcmp(outcome, other) == 0, "the order of answers decides nothing (seed %d)", seed);
	tap_ok(strcmp(serial.proposals.data, mixed.proposals.data) == 0,
		   "not even a proposal's number (seed %d)", seed);

	check_replay(&mixed, &setup, outcome, mixed.nentries, seed);
	check_replay(&mixed, &setup, outcome, sim_hash(seed, "cut") % (mixed.nentries + 1), seed);
	pfree(other);
	pfree(outcome);
	sim_close(&mixed);
	sim_close(&serial);
}

int
main(int argc, char **argv)
{
	int			i;

	if (argc > 1)
	{
		for (i = 1; i < argc; i++)
		{
			test_seed(atoi(argv[i]), ENGINE_MODE_REFERENCE);
			test_seed(atoi(argv[i]), ENGINE_MODE_DEFAULT);
		}
		return tap_done();
	}
	for (i = 1; i <= RUNS; i++)
	{
		test_seed(i, ENGINE_MODE_REFERENCE);
		if (i % 2 == 0)
			test_seed(i, ENGINE_MODE_DEFAULT);
	}
	return tap_done();
}
