/*-------------------------------------------------------------------------
 *
 * engine_options_test.c
 *	  Options of the engine: each deviation from the reference both ways, stop
 *	  conditions, refusals, and observations that do not fit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "engine_sim.h"
#include "tap.h"

static const EngineComponent one_text[1] = {{"instruction", ENGINE_COMPONENT_TEXT, "seed"}};

static void
set_config(EngineConfig *config, int ntrain, int nval, int64 budget)
{
	gepa_engine_config_init(config);
	config->mode = ENGINE_MODE_REFERENCE;
	config->ncomponents = 1;
	config->components = one_text;
	config->ntrain = ntrain;
	config->nval = nval;
	config->budget = budget;
}

/* Every answer is the text given (or "text N" when NULL); scores by rule. */
typedef double (*ScoreRule) (const EngineStep *step, int sample);

static void
run_with(Engine *engine, const char *answer, ScoreRule rule)
{
	EngineStep	step;
	double		scores[256];
	char	   *text;
	int			i;

	while ((step = gepa_engine_next(engine)).kind != ENGINE_STEP_FINISHED)
	{
		if (step.kind == ENGINE_STEP_REFLECT)
		{
			text = answer != NULL ? pstrdup(answer) : psprintf("text %d", step.step);
			gepa_engine_observe_text(engine, step.step, text);
			pfree(text);
			continue;
		}
		for (i = 0; i < step.nsamples; i++)
			scores[i] = rule(&step, step.samples[i]);
		gepa_engine_observe_scores(engine, step.step, step.nsamples, scores, 0, NULL, NULL);
	}
}

static double
improving(const EngineStep *step, int sample)
{
	return 1.0 - 1.0 / (step->proposal + 2);
}

static double
constant(const EngineStep *step, int sample)
{
	return 0.5;
}

/* Better than the seed, and all answers alike. */
static double
seed_is_worse(const EngineStep *step, int sample)
{
	return strcmp(step->texts[0], "seed") == 0 ? 0.2 : 0.5;
}

static void
test_hard_budget(void)
{
	EngineConfig config;
	Engine	   *engine;
	int			budget;
	bool		kept = true;

	for (budget = 10; budget < 100; budget++)
	{
		set_config(&config, 10, 10, budget);
		engine = gepa_engine_create(&config, NULL);
		run_with(engine, NULL, improving);
		kept = kept && gepa_engine_rollouts(engine) <= budget &&
			gepa_engine_rollouts(engine) + 2 * 3 + 10 > budget;
		gepa_engine_free(engine);
	}
	tap_ok(kept, "hard_budget: never overspent, and left with less than an iteration");

	set_config(&config, 10, 10, 30);
	config.hard_budget = false;
	engine = gepa_engine_create(&config, NULL);
	run_with(engine, NULL, improving);
	tap_is_int(gepa_engine_rollouts(engine), 42, "without it the last iteration overshoots");
	tap_is_string(gepa_engine_stop_reason(engine), "budget", "and the reason is the budget");
	gepa_engine_free(engine);
}

static int
count_rejected(Engine *engine, const char *reason, bool *child_run)
{
	EngineEvent event;
	int			n = 0;

	while (gepa_engine_next_event(engine, &event))
		if (event.kind == ENGINE_EVENT_REJECTED && strcmp(event.reason, reason) == 0)
		{
			n++;
			*child_run = *child_run || !isnan(event.child_sum);
		}
	return n;
}

static void
test_known_texts(void)
{
	EngineConfig config;
	Engine	   *engine;
	bool		child_run = false;
	int			skipped;

	/* each answer is the same; or_equal would let its copies in */
	set_config(&config, 10, 10, 100);
	config.acceptance = ENGINE_ACCEPT_OR_EQUAL;
	engine = gepa_engine_create(&config, NULL);
	run_with(engine, "better", seed_is_worse);
	tap_is_int(gepa_engine_ncandidates(engine), 2, "skip_known_texts: a text enters once");
	skipped = count_rejected(engine, "equal to a known candidate", &child_run);
	tap_ok(skipped > 5, "its copies are rejected (%d)", skipped);
	tap_ok(!child_run, "and not run");
	gepa_engine_free(engine);

	config.skip_known_texts = false;
	engine = gepa_engine_create(&config, NULL);
	run_with(engine, "better", seed_is_worse);
	tap_ok(gepa_engine_ncandidates(engine) > 4, "without it they enter again");
	tap_is_int(count_rejected(engine, "equal to a known candidate", &child_run), 0,
			   "and none is rejected as known");
	gepa_engine_free(engine);
}

static void
test_placeholders(void)
{
	static const char *const key = "Inputs";
	const char *template = "P=[<curr_param>] S=[<side_info>] again <curr_param>";
	EngineValue leaf = {ENGINE_VALUE_TEXT, " a doc with <curr_param> ", 0, NULL, NULL};
	EngineValue record = {ENGINE_VALUE_MAP, NULL, 1, &key, &leaf};
	char	   *plain = gepa_engine_render_reflection(template, "evil <side_info>", &record, 1,
													  false);
	char	   *expanded = gepa_engine_render_reflection(template, "evil <side_info>", &record, 1,
														 true);

	tap_is_string(plain,
				  "P=[evil <side_info>] S=[# Example 1\n## Inputs\na doc with <curr_param>\n\n]"
				  " again evil <side_info>", "placeholders in texts are copied");
	tap_ok(strstr(expanded, "P=[evil # Example 1\n") != NULL, "expand_placeholders expands them");
	pfree(plain);
	pfree(expanded);
}

static void
test_order(void)
{
	static const int given[] = {3, 8, 16, 5};
	static const int walked[] = {8, 16, 3, 5};
	static const int added[] = {1, 2, 3, 4, 16};
	static const int copied[] = {16, 1, 2, 3, 4};
	EngineSet	set;
	EngineSet	copy;
	int			items[lengthof(given)];
	int			many[100];
	bool		ascending = true;
	int			i;

	/* what CPython 3.11 prints for list(set(...)) */
	memcpy(items, given, sizeof(given));
	gepa_engine_set_reorder(items, lengthof(given));
	tap_ok(memcmp(items, walked, sizeof(walked)) == 0, "a small set is walked as in CPython");
	/* CPython: s = {1}; add 2, 3, 4, 16; list(set(s)) */
	gepa_engine_set_init(&set);
	for (i = 0; i < lengthof(added); i++)
		gepa_engine_set_add(&set, added[i]);
	gepa_engine_set_copy(&copy, &set);
	gepa_engine_set_list(&set, many);
	tap_ok(memcmp(many, added, sizeof(added)) == 0, "a set that grew has a larger table");
	gepa_engine_set_list(&copy, many);
	tap_ok(memcmp(many, copied, sizeof(copied)) == 0, "than its copy");
	gepa_engine_set_free(&set);
	gepa_engine_set_free(&copy);

	for (i = 0; i < 100; i++)
		many[i] = 99 - i;
	gepa_engine_set_reorder(many, 100);
	for (i = 0; i < 100; i++)
		ascending = ascending && many[i] == i;
	tap_ok(ascending, "where the table is larger than the numbers it is ascending");
}

/* Two runs that differ in nothing else part by the order of sets. */
static void
test_ascending_order(void)
{
	SimWorld	world = {.salt = 7,.binary = true,.vocabulary = 1000000};
	EngineConfig config;
	int			differ = 0;
	int			seed;

	for (seed = 0; seed < 20; seed++)
	{
		char	   *outcomes[2];
		int			i;

		for (i = 0; i < 2; i++)
		{
			Sim			sim;

			set_config(&config, 30, 12, 600);
			config.seed = seed;
			config.acceptance = ENGINE_ACCEPT_OR_EQUAL;
			config.ascending_order = i == 0;
			sim_open(&sim, &world, &config, 0);
			sim_run(&sim, 1, SIM_MAX_STEPS);
			outcomes[i] = sim_describe(sim.engine, 1);
			sim_close(&sim);
		}
		differ += strcmp(outcomes[0], outcomes[1]) != 0;
		pfree(outcomes[0]);
		pfree(outcomes[1]);
	}
	tap_ok(differ > 0, "ascending_order decides some runs (%d of 20)", differ);
}

/* The seed is good for nothing, a change of one side for half the samples. */
static double
specialist(const EngineStep *step, int sample)
{
	int			side = sample % 2;

	return strlen(step->texts[side]) > 1 ? 1.0 : 0.0;
}

static const char *
merge_of_zeros(bool zero_mean_merge, int *merges)
{
	static const EngineComponent two[2] = {
		{"left", ENGINE_COMPONENT_TEXT, "l"}, {"right", ENGINE_COMPONENT_TEXT, "r"}
	};
	EngineConfig config;
	Engine	   *engine;
	EngineEvent event;
	const char *reason;

	set_config(&config, 10, 8, 800);
	config.ncomponents = 2;
	config.components = two;
	config.merge = true;
	config.mutations = 2;
	config.acceptance = ENGINE_ACCEPT_OR_EQUAL;
	config.zero_mean_merge = zero_mean_merge;
	engine = gepa_engine_create(&config, NULL);
	run_with(engine, NULL, specialist);
	*merges = 0;
	while (gepa_engine_next_event(engine, &event))
		*merges += event.kind == ENGINE_EVENT_PROPOSED && event.nparents == 2;
	reason = strcmp(gepa_engine_stop_reason(engine), "budget") == 0 ? "budget" : "other";
	gepa_engine_free(engine);
	return reason;
}

static void
test_zero_mean_merge(void)
{
	int			merges;

	tap_is_string(merge_of_zeros(true, &merges), "budget",
				  "zero_mean_merge: the run goes on to its budget");
	tap_ok(merges > 0, "and merges (%d)", merges);
	tap_is_string(merge_of_zeros(false, &merges), "other", "without it the run ends there");
	tap_is_int(merges, 0, "before any merge");
}

static void
test_cache(void)
{
	EngineConfig config;
	Engine	   *engine;
	int64		spent[2];
	int			candidates[2];
	int			i;

	for (i = 0; i < 2; i++)
	{
		set_config(&config, 10, 10, 1000);
		config.max_proposals = 12;
		config.shared_sets = true;
		config.cache = i == 1;
		engine = gepa_engine_create(&config, NULL);
		run_with(engine, NULL, improving);
		spent[i] = gepa_engine_rollouts(engine);
		candidates[i] = gepa_engine_ncandidates(engine);
		gepa_engine_free(engine);
	}
	tap_is_int(candidates[0], candidates[1], "the cache changes no decision");

	/*
	 * a minibatch of 3, one chunk in four with a sample twice: 2.75 on
	 * average
	 */
	tap_is_int(spent[0] - spent[1], 12 * 11 / 4, "and pays a minibatch's samples once");
}

static const char *
reason_of(const EngineConfig *config, ScoreRule rule, int *iterations)
{
	static char reason[128];
	Engine	   *engine = gepa_engine_create(config, NULL);

	run_with(engine, NULL, rule);
	strlcpy(reason, gepa_engine_stop_reason(engine), sizeof(reason));
	*iterations = gepa_engine_iteration(engine);
	gepa_engine_free(engine);
	return reason;
}

static void
test_stops(void)
{
	EngineConfig config;
	int			iterations;

	set_config(&config, 10, 10, 0);
	config.max_proposals = 7;
	tap_is_string(reason_of(&config, constant, &iterations), "max_proposals", "max_proposals");
	tap_is_int(iterations, 7, "after that many iterations");

	set_config(&config, 10, 10, 1000);
	config.max_candidates = 3;
	tap_is_string(reason_of(&config, improving, &iterations), "max_candidates",
				  "max_candidates");
	tap_is_int(iterations, 2, "counts the seed");

	set_config(&config, 10, 10, 1000);
	config.stop_at_score = 0.75;
	tap_is_string(reason_of(&config, improving, &iterations), "stop_at_score",
				  "stop_at_score");
	tap_is_int(iterations, 2, "as soon as it is reached");

	set_config(&config, 10, 10, 1000);
	config.no_improvement = 4;
	tap_is_string(reason_of(&config, constant, &iterations), "no_improvement",
				  "no_improvement");
	tap_is_int(iterations, 4, "after that many checks");

	config.stop_on_all = true;
	config.max_proposals = 9;
	tap_is_string(reason_of(&config, constant, &iterations), "max_proposals",
				  "stop_on_all does not wait for a hard budget");
	tap_is_int(iterations, 9, "but for all others");
	config.budget = 40;
	tap_is_string(reason_of(&config, constant, &iterations), "budget", "which binds in any case");
	config.budget = 1000;
	config.hard_budget = false;
	tap_is_string(reason_of(&config, constant, &iterations), "budget",
				  "it waits for the reference's budget");
	config.budget = 0;
	tap_is_string(reason_of(&config, constant, &iterations), "max_proposals",
				  "stop_on_all: the last of the conditions ends it");
	tap_is_int(iterations, 9, "and not before");
}

/* Run until the caller's own condition ends it; iterations begun. */
static int
run_with_caller(const EngineConfig *config, int from_step, const char **reason)
{
	static char kept[128];
	Engine	   *engine = gepa_engine_create(config, NULL);
	EngineStep	step;
	double		scores[16];
	int			iterations;

	while ((step = gepa_engine_next(engine)).kind != ENGINE_STEP_FINISHED)
	{
		gepa_engine_caller_stops(engine, step.step >= from_step ? "money" : NULL);
		if (step.kind == ENGINE_STEP_REFLECT)
			gepa_engine_observe_text(engine, step.step, "text");
		for (int i = 0; i < step.nsamples; i++)
			scores[i] = 0.5;
		if (step.kind == ENGINE_STEP_EVALUATE)
			gepa_engine_observe_scores(engine, step.step, step.nsamples, scores, 0, NULL, NULL);
	}
	strlcpy(kept, gepa_engine_stop_reason(engine), sizeof(kept));
	*reason = kept;
	iterations = gepa_engine_iteration(engine);
	gepa_engine_free(engine);
	return iterations;
}

static void
test_caller_stops(void)
{
	EngineConfig config;
	const char *reason;

	/* steps: 0 the seed, then parent, reflection, child of each iteration */
	set_config(&config, 10, 10, 0);
	config.skip_known_texts = false;
	config.caller_stops = true;
	config.max_proposals = 9;
	tap_is_int(run_with_caller(&config, 5, &reason), 2, "ends with the iteration under way");
	tap_is_string(reason, "money", "for the caller's reason");
	config.stop_on_all = true;
	tap_is_int(run_with_caller(&config, 5, &reason), 9, "stop_on_all: the others count as well");
	config.max_proposals = 1;
	tap_is_int(run_with_caller(&config, 5, &reason), 2, "and so does the caller's");
}

/* Gains of an iteration's four tasks differ, since every text is its own. */
static void
test_keep(void)
{
	static const struct
	{
		EngineKeep	keep;
		int			k;
		int			most;
	}			ways[] = {{ENGINE_KEEP_ALL, 1, 4}, {ENGINE_KEEP_BEST, 1, 1}, {ENGINE_KEEP_TOP_K, 2, 2}};
	int			w;

	for (w = 0; w < lengthof(ways); w++)
	{
		EngineConfig config;
		Engine	   *engine;
		EngineEvent event;
		int			accepted = 0;
		int			dropped = 0;

		set_config(&config, 12, 10, 0);
		config.max_proposals = 1;
		config.mutations = 4;
		config.keep = ways[w].keep;
		config.keep_k = ways[w].k;
		engine = gepa_engine_create(&config, NULL);
		run_with(engine, NULL, improving);
		while (gepa_engine_next_event(engine, &event))
		{
			accepted += event.kind == ENGINE_EVENT_ACCEPTED && event.proposal > 0;
			dropped += event.kind == ENGINE_EVENT_REJECTED &&
				strcmp(event.reason, "another proposal of this iteration gained more") == 0;
		}
		tap_is_int(accepted, ways[w].most, "keep: so many enter");
		tap_is_int(dropped, 4 - ways[w].most, "and the others are told why not");
		/* each is charged after the ones before it */
		tap_is_int(gepa_engine_candidate_discovery(engine, ways[w].most),
				   10 + 4 * 2 * 3 + 10 * (ways[w].most - 1), "and when it was discovered");
		gepa_engine_free(engine);
	}
}

static void
test_stop_under_way(void)
{
	EngineConfig config;
	Engine	   *engine;
	EngineStep	step;
	double		scores[10] = {0};

	set_config(&config, 10, 10, 100);
	config.caller_stops = true;
	engine = gepa_engine_create(&config, NULL);
	step = gepa_engine_next(engine);
	gepa_engine_caller_stops(engine, "because");
	tap_ok(gepa_engine_next(engine).kind == ENGINE_STEP_WAIT, "what is under way is finished");
	gepa_engine_observe_scores(engine, step.step, 10, scores, 0, NULL, NULL);
	tap_ok(gepa_engine_next(engine).kind == ENGINE_STEP_FINISHED, "then it stops");
	tap_is_string(gepa_engine_stop_reason(engine), "because", "with the reason given");
	gepa_engine_free(engine);
}

static void
test_observations(void)
{
	EngineConfig config;
	Engine	   *engine;
	EngineStep	step;
	double		scores[10] = {0};
	static const double objectives[10];
	static const char *const name = "accuracy";

	set_config(&config, 10, 10, 100);
	config.frontier = ENGINE_FRONTIER_OBJECTIVE;
	engine = gepa_engine_create(&config, NULL);
	step = gepa_engine_next(engine);
	tap_ok(!gepa_engine_observe_scores(engine, step.step + 1, 10, scores, 1, &name, scores),
		   "a step that is not there is refused");
	tap_ok(!gepa_engine_observe_scores(engine, step.step, 9, scores, 1, &name, scores),
		   "so is another number of scores");
	tap_ok(!gepa_engine_observe_text(engine, step.step, "text"), "or a text for scores");
	tap_ok(!gepa_engine_observe_scores(engine, step.step, 10, scores, 0, NULL, NULL),
		   "or a validation without the objectives that the frontier needs");
	scores[3] = NAN;
	tap_ok(!gepa_engine_observe_scores(engine, step.step, 10, scores, 1, &name, objectives),
		   "or a score that is no number");
	scores[3] = 0.0;
	tap_is_int(gepa_engine_rollouts(engine), 0, "nothing of it counts");
	tap_ok(gepa_engine_observe_scores(engine, step.step, 10, scores, 1, &name, scores),
		   "what fits is taken");
	tap_ok(!gepa_engine_observe_scores(engine, step.step, 10, scores, 1, &name, scores),
		   "once");
	tap_is_string(gepa_engine_front(engine, 0).key, "accuracy", "and is on the frontier");
	gepa_engine_free(engine);
}

static void
refuse(const EngineConfig *config, const char *word)
{
	const char *error = NULL;

	tap_ok(gepa_engine_create(config, &error) == NULL && error != NULL &&
		   strstr(error, word) != NULL, "refused: %s", error ? error : "(nothing)");
}

static void
test_refusals(void)
{
	static const char *const other[1] = {"other"};
	static const char *const seed[1] = {"seed"};
	static const char *const *const same_seeds[2] = {other, seed};
	static const EngineComponent twins[2] = {
		{"a", ENGINE_COMPONENT_TEXT, "x"}, {"a", ENGINE_COMPONENT_TEXT, "y"}
	};
	static const int twice[2] = {1, 1};
	EngineConfig config;

#define WITH(change, word) \
	do { set_config(&config, 10, 10, 100); change; refuse(&config, word); } while (0)
	WITH(config.ncomponents = 0, "no component");
	WITH((config.components = twins, config.ncomponents = 2), "same name");
	WITH(config.ntrain = 0, "empty");
	WITH(config.nval = 0, "empty");
	WITH(config.minibatch_size = 0, "minibatch_size");
	WITH(config.budget = 9, "budget");
	WITH(config.can_reflect = false, "no component can be changed");
	WITH(config.epsilon = 1.5, "epsilon");
	WITH(config.top_k = 0, "top_k");
	WITH(config.mutations = 0, "mutations");
	WITH(config.merge_overlap = 0, "merge_overlap");
	WITH((config.shared_sets = true, config.ntrain = 9), "shared_sets");
	WITH((config.validate = twice, config.nvalidate = 2), "twice");
	WITH((config.seeds = same_seeds, config.nseeds = 2), "two seeds have the same texts");
	WITH((config.seeds = same_seeds + 1, config.nseeds = 1), "two seeds have the same texts");
	WITH((config.seeds = same_seeds, config.nseeds = 1, config.budget = 19), "for each seed");
#undef WITH
}

/* A subset is validated on, and nothing else. */
static void
test_subset(void)
{
	static const int subset[3] = {7, 2, 5};
	EngineConfig config;
	Engine	   *engine;
	EngineStep	step;
	double		scores[3] = {0.1, 0.1, 0.1};

	set_config(&config, 10, 10, 40);
	config.validate = subset;
	config.nvalidate = 3;
	engine = gepa_engine_create(&config, NULL);
	step = gepa_engine_next(engine);
	tap_ok(step.nsamples == 3 && memcmp(step.samples, subset, sizeof(subset)) == 0,
		   "validate: the seed is run on the subset, in its order");
	gepa_engine_observe_scores(engine, step.step, 3, scores, 0, NULL, NULL);
	run_with(engine, NULL, improving);
	tap_is_int(gepa_engine_nfronts(engine), 3, "the frontier knows no other");
	tap_ok(gepa_engine_ncandidates(engine) == 5 &&
		   isnan(gepa_engine_candidate_sample_score(engine, 4, 0)) &&
		   !isnan(gepa_engine_candidate_sample_score(engine, 4, 7)),
		   "nor are children run on others, which leaves budget for more of them");
	gepa_engine_free(engine);
}

/* Three seeds of which the last is the best. */
static double
last_seed_leads(const EngineStep *step, int sample)
{
	return strcmp(step->texts[0], "third") == 0 ? 0.9 : 0.2;
}

static const char *const second_seed[1] = {"second"};
static const char *const third_seed[1] = {"third"};
static const char *const *const further_seeds[2] = {second_seed, third_seed};

/* Answer the validations of three seeds in that order. */
static void
answer_seeds(Engine *engine, const int order[3])
{
	EngineStep	steps[3];
	double		scores[10];
	int			i;
	int			k;

	for (i = 0; i < 3; i++)
		steps[i] = gepa_engine_next(engine);
	tap_ok(gepa_engine_next(engine).kind == ENGINE_STEP_WAIT,
		   "seeds: all are asked for at a time, and nothing else");
	for (i = 0; i < 3; i++)
	{
		const EngineStep *step = &steps[order[i]];

		tap_is_int(gepa_engine_ncandidates(engine), 0, "none is a candidate before all are there");
		for (k = 0; k < 10; k++)
			scores[k] = last_seed_leads(step, step->samples[k]);
		gepa_engine_observe_scores(engine, step->step, 10, scores, 0, NULL, NULL);
	}
}

static void
test_seeds(void)
{
	static const int backwards[3] = {2, 1, 0};
	EngineConfig config;
	Engine	   *engine;
	EngineEvent event;
	int			parents[2];
	int			accepted = 0;

	set_config(&config, 10, 10, 100);
	config.nseeds = 2;
	config.seeds = further_seeds;
	engine = gepa_engine_create(&config, NULL);
	answer_seeds(engine, backwards);
	tap_is_int(gepa_engine_ncandidates(engine), 3, "then all are");
	tap_is_string(gepa_engine_candidate_texts(engine, 1)[0], "second",
				  "in their own order, whatever that of the answers");
	tap_is_int(gepa_engine_candidate_parents(engine, 2, parents), 0, "they have no parents");
	tap_ok(gepa_engine_best(engine) == 2 && gepa_engine_rollouts(engine) == 30,
		   "the best one leads, and each has cost its validation");
	tap_ok(gepa_engine_candidate_discovery(engine, 1) == 10 &&
		   gepa_engine_candidate_discovery(engine, 2) == 20,
		   "of which those before it count as spent when it was found");
	while (gepa_engine_next_event(engine, &event))
		accepted += event.kind == ENGINE_EVENT_ACCEPTED && event.nparents == 0 &&
			event.proposal == event.candidate && strcmp(event.reason, "seed") == 0;
	tap_is_int(accepted, 3, "an event says so of each");
	run_with(engine, "better", last_seed_leads);
	tap_is_int(gepa_engine_candidate_parents(engine, 0, parents), 0, "the run goes on");
	gepa_engine_free(engine);
}

/* The first validation says what the frontier is by. */
static void
test_auto_frontier(void)
{
	static const char *const name = "a";
	static const double scores[10];
	static const double objectives[10];
	EngineConfig config;

	for (int with = 0; with <= 1; with++)
	{
		Engine	   *engine;
		EngineStep	step;

		set_config(&config, 10, 10, 40);
		config.frontier = ENGINE_FRONTIER_AUTO;
		engine = gepa_engine_create(&config, NULL);
		step = gepa_engine_next(engine);
		tap_ok(gepa_engine_observe_scores(engine, step.step, 10, scores, with, &name,
										  with ? objectives : NULL),
			   "auto: a seed with %d objectives is taken", with);
		tap_is_int(gepa_engine_nfronts(engine), 10 + with, "... the frontier is by that");
		if (with == 0)
			run_with(engine, NULL, improving);
		tap_is_int(gepa_engine_nfronts(engine), 10 + with, "... and stays so");
		gepa_engine_free(engine);
	}
}

int
main(void)
{
	test_hard_budget();
	test_known_texts();
	test_placeholders();
	test_order();
	test_ascending_order();
	test_zero_mean_merge();
	test_cache();
	test_stops();
	test_caller_stops();
	test_keep();
	test_stop_under_way();
	test_observations();
	test_refusals();
	test_subset();
	test_seeds();
	test_auto_frontier();
	return tap_done();
}
