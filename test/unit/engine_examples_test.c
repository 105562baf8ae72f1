/*-------------------------------------------------------------------------
 *
 * engine_examples_test.c
 *	  The proposer for lists of examples.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "engine_sim.h"
#include "tap.h"

#define NTRAIN 20
#define NEXAMPLES 22
#define NCLASSES 3

/* Classes in turn, so that each has seven or eight examples. */
static int	classes[NEXAMPLES];

static void
set_config(EngineConfig *config)
{
	int			i;

	gepa_engine_config_init(config);
	config->mode = ENGINE_MODE_REFERENCE;
	for (i = 0; i < NEXAMPLES; i++)
		classes[i] = i % NCLASSES;
	config->ntrain = NTRAIN;
	config->nval = 5;
	config->nexamples = NEXAMPLES;
	config->nclasses = NCLASSES;
	config->example_class = classes;
	config->max_examples = 6;
}

typedef struct Counts
{
	int			n;
	int			by_class[NCLASSES];
	bool		has[NEXAMPLES];
} Counts;

static Counts
count_list(const char *text)
{
	Counts		counts;

	memset(&counts, 0, sizeof(counts));
	while (*text != '\0')
	{
		int			number = (int) strtol(text, (char **) &text, 10);

		counts.n++;
		counts.by_class[classes[number]]++;
		counts.has[number] = true;
		if (*text == ',')
			text++;
	}
	return counts;
}

static int
spread(const Counts *counts)
{
	int			low = counts->by_class[0];
	int			high = low;
	int			i;

	for (i = 1; i < NCLASSES; i++)
	{
		low = Min(low, counts->by_class[i]);
		high = Max(high, counts->by_class[i]);
	}
	return high - low;
}

static bool
never_known(void *arg, const char *text)
{
	return false;
}

static bool
always_known(void *arg, const char *text)
{
	(*(int *) arg)++;
	return true;
}

static bool
is_same_text(void *arg, const char *text)
{
	return strcmp(arg, text) == 0;
}

static const char *
propose(EngineArena *arena, EngineRandom *random, const EngineConfig *config, const char *text,
		int nwrong, const EngineWrong *wrong, bool (*known) (void *, const char *), void *arg)
{
	EngineExamples request = {text, nwrong, wrong, NULL, known, arg};

	return gepa_engine_propose_examples(arena, random, config, &request);
}

/* Long chains of moves from an empty list, with random wrong samples. */
static void
test_chains(void)
{
	EngineConfig config;
	EngineArena arena;
	EngineRandom random;
	bool		seen_add = false,
				seen_drop = false,
				seen_swap = false,
				seen_order = false;
	bool		good = true,
				balanced = true,
				guided = true;
	const char *text = "";
	int			i;

	set_config(&config);
	gepa_engine_arena_init(&arena);
	gepa_engine_random_seed(&random, 5);
	for (i = 0; i < 3000; i++)
	{
		EngineWrong wrong = {gepa_engine_random_bounded(&random, NTRAIN), 1.0};
		Counts		before = count_list(text);
		EngineExamples request = {text, 1, &wrong, NULL, is_same_text, (void *) text};
		const char *next = gepa_engine_propose_examples(&arena, &random, &config, &request);
		Counts		after = count_list(next);
		int			came = 0;
		int			k;

		for (k = 0; k < NEXAMPLES; k++)
			if (after.has[k] && !before.has[k])
			{
				came++;
				/* the wrong one itself, else one of its class */
				guided = guided && (before.n == 0 || k == wrong.example ||
									(before.has[wrong.example] &&
									 classes[k] == classes[wrong.example]));
			}
		good = good && gepa_engine_check_examples(&config, next) == NULL &&
			strcmp(next, text) != 0;
		balanced = balanced && spread(&after) <= 1;
		seen_add = seen_add || (before.n > 0 && after.n > before.n);
		seen_drop = seen_drop || after.n < before.n;
		seen_swap = seen_swap || (after.n == before.n && came == 1);
		seen_order = seen_order || (after.n == before.n && came == 0);
		text = next;
	}
	tap_ok(good, "every list is short, without doubles, of existing examples, and new");
	tap_ok(balanced, "class counts differ by one at most");
	tap_ok(guided, "what comes in is what was wrong, or of its class");
	tap_ok(seen_add && seen_drop && seen_swap && seen_order, "every move is made");
	gepa_engine_arena_free(&arena);
}

static void
test_initial(void)
{
	EngineConfig config;
	EngineArena arena;
	EngineRandom random;
	const char *text;
	Counts		counts;
	int			i;

	set_config(&config);
	gepa_engine_arena_init(&arena);
	gepa_engine_random_seed(&random, 1);
	text = propose(&arena, &random, &config, "", 0, NULL, never_known, NULL);
	counts = count_list(text);
	tap_is_int(counts.n, 6, "an empty list becomes a full one");
	tap_is_int(spread(&counts), 0, "with as many of each class");

	/* a class that runs out */
	for (i = 0; i < NEXAMPLES; i++)
		classes[i] = i == 3 ? 1 : 0;
	text = propose(&arena, &random, &config, "", 0, NULL, never_known, NULL);
	counts = count_list(text);
	tap_is_int(counts.n, 6, "full even when a class has too few");
	tap_is_int(counts.by_class[1], 1, "with all there are of it");
	gepa_engine_arena_free(&arena);
}

/* The worst are drawn more often. */
static void
test_weights(void)
{
	static const EngineWrong wrong[2] = {{0, 0.1}, {1, 0.9}};
	EngineConfig config;
	EngineArena arena;
	EngineRandom random;
	int			drawn[2] = {0, 0};
	int			i;

	set_config(&config);
	config.nclasses = 1;
	memset(classes, 0, sizeof(classes));
	gepa_engine_arena_init(&arena);
	gepa_engine_random_seed(&random, 9);
	for (i = 0; i < 2000; i++)
	{
		Counts		counts = count_list(propose(&arena, &random, &config, "7,8", 2, wrong,
												never_known, NULL));

		drawn[0] += counts.has[0];
		drawn[1] += counts.has[1];
	}
	tap_ok(drawn[1] > 6 * drawn[0] && drawn[1] < 14 * drawn[0] && drawn[0] > 0,
		   "drawn by how wrong it was: %d and %d", drawn[0], drawn[1]);
	gepa_engine_arena_free(&arena);
}

static void
test_nothing_new(void)
{
	EngineConfig config;
	EngineArena arena;
	EngineRandom random;
	int			asked = 0;

	set_config(&config);
	gepa_engine_arena_init(&arena);
	gepa_engine_random_seed(&random, 1);
	tap_ok(propose(&arena, &random, &config, "1,2", 0, NULL, always_known, &asked) == NULL, "no list when all are known");
	tap_ok(asked > 10 && asked < 100, "after a bounded number of tries (%d)", asked);

	/* one example in all, and it is in: no move leads anywhere */
	config.nexamples = config.max_examples = 1;
	tap_ok(propose(&arena, &random, &config, "0", 0, NULL, never_known, NULL) == NULL, "no list when nothing can move");
	gepa_engine_arena_free(&arena);
}

static void
test_seed_texts(void)
{
	EngineConfig config;

	set_config(&config);
	tap_ok(gepa_engine_check_examples(&config, "") == NULL, "no example is a list");
	tap_ok(gepa_engine_check_examples(&config, "3,0,21") == NULL, "numbers are");
	tap_ok(gepa_engine_check_examples(&config, "22") != NULL, "not one that does not exist");
	tap_ok(gepa_engine_check_examples(&config, "1,1") != NULL, "not one twice");
	tap_ok(gepa_engine_check_examples(&config, "1,2,3,4,5,6,7") != NULL, "not too many");
	tap_ok(gepa_engine_check_examples(&config, "1,") != NULL, "not a dangling comma");
	tap_ok(gepa_engine_check_examples(&config, "1, 2") != NULL, "not blanks");
	tap_ok(gepa_engine_check_examples(&config, "-1") != NULL, "not less than none");
	tap_ok(gepa_engine_check_examples(&config, "99999999999") != NULL, "not beyond all bounds");
}

/* Scores that reward examples of the class of the sample. */
static double
example_score(const EngineStep *step, int sample, int component)
{
	Counts		counts = count_list(step->texts[component]);

	return Min(1.0, 0.25 + 0.3 * counts.by_class[classes[sample]]);
}

/* A run without reflection: an instruction that stays, examples that grow. */
static void
test_run(void)
{
	static const EngineComponent components[2] = {
		{"instruction", ENGINE_COMPONENT_TEXT, "judge"},
		{"examples", ENGINE_COMPONENT_EXAMPLES, ""}
	};
	EngineConfig config;
	Engine	   *engine;
	EngineStep	step;
	EngineEvent event;
	double		scores[16];
	bool		reflected = false;
	bool		told = true;
	int			i;

	set_config(&config);
	config.ncomponents = 2;
	config.components = components;
	config.can_reflect = false;
	config.budget = 300;
	engine = gepa_engine_create(&config, NULL);
	while ((step = gepa_engine_next(engine)).kind != ENGINE_STEP_FINISHED)
	{
		reflected = reflected || step.kind == ENGINE_STEP_REFLECT;
		for (i = 0; i < step.nsamples; i++)
			scores[i] = example_score(&step, step.samples[i], 1);
		gepa_engine_observe_scores(engine, step.step, step.nsamples, scores, 0, NULL, NULL);
		while (gepa_engine_next_event(engine, &event))
			if (event.kind == ENGINE_EVENT_PROPOSED && event.proposal > 0)
				told = told && event.component == 1 && event.reflect_step == -1 &&
					strcmp(event.texts[0], "judge") == 0;
	}
	tap_ok(!reflected, "nothing is reflected on");
	tap_ok(told, "events tell the component and that no step answered");
	tap_ok(gepa_engine_ncandidates(engine) > 1 &&
		   gepa_engine_candidate_score(engine, gepa_engine_best(engine)) >
		   gepa_engine_candidate_score(engine, 0), "examples alone raise the score");
	gepa_engine_free(engine);
}

int
main(void)
{
	test_chains();
	test_initial();
	test_weights();
	test_nothing_new();
	test_seed_texts();
	test_run();
	return tap_done();
}
