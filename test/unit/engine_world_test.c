/*-------------------------------------------------------------------------
 *
 * engine_world_test.c
 *	  What the default mode finds where there is something to find, and what it
 *	  reports where there is nothing.
 *
 * A sample has some features; each needs its rule in the prompt, without which
 * the judge guesses.  With all of its rules a sample is judged right nine times in
 * ten.  The reflector reads a failed sample and writes a line: the rule of one of its
 * features, or now and then one that helps nobody.  In slight worlds scores are graded
 * and each line helps or harms all samples a little.  In the null world answers
 * are coins, whatever the prompt.
 *
 * Run the program with a number to see that many worlds of each kind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "engine/engine_search.h"
#include "tap.h"

#define NTRAIN 120
#define NVAL 60
#define NRULES 8
#define NULL_RUNS 100
#define SLIGHT 0.1				/* on the logit scale */

static const EngineComponent judge[1] = {
	{"instruction", ENGINE_COMPONENT_TEXT, "Say whether the text fits.\nAnswer yes or no."}
};

typedef struct World
{
	uint32		salt;
	bool		null;			/* nothing helps */
	double		noise;			/* continuous scores get so much of it */
	bool		slight;			/* a rule moves all samples, by little */
} World;

static uint32
mix(uint32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

static double
uniform(uint32 h)
{
	return mix(h) / 4294967296.0;
}

static uint32
text_hash(const char *text, uint32 h)
{
	while (*text)
		h = mix(h * 31 + (unsigned char) *text++);
	return h;
}

/* Rules that a sample needs, as bits: two or so. */
static uint32
needs(const World *world, EngineSplit split, int sample)
{
	uint32		h = mix(world->salt + 977 * (split * 1000 + sample));

	return 1u << h % NRULES | 1u << (h >> 8) % NRULES;
}

static uint32
rules_in(const char *text)
{
	uint32		rules = 0;
	const char *p = text;

	while ((p = strstr(p, "rule ")) != NULL)
	{
		int			rule = atoi(p + 5);

		if (rule < NRULES)
			rules |= 1u << rule;
		p += 5;
	}
	return rules;
}

/* Where every rule helps a little everywhere, and every other line harms as much. */
static double
slight_chance(const World *world, const char *text, EngineSplit split, int sample)
{
	double		easiness = 4.0 * uniform(world->salt + 977 * (split * 1000 + sample)) - 2.0;
	int			lines = -1;
	int			good = 0;

	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	for (int rule = 0; rule < NRULES; rule++)
		good += (rules_in(text) >> rule) & 1;
	return 1.0 / (1.0 + exp(-easiness - SLIGHT * (2 * good - lines)));
}

/* How often this judge is right on the sample. */
static double
chance(const World *world, const char *text, EngineSplit split, int sample)
{
	uint32		wanted = needs(world, split, sample);
	uint32		missing = wanted & ~rules_in(text);

	if (world->slight)
		return slight_chance(world, text, split, sample);
	if (world->null || missing == wanted)
		return 0.5;
	return missing != 0 ? 0.7 : 0.9;
}

static double
score(const World *world, const EngineStep *step, int sample)
{
	uint32		h = text_hash(step->texts[0], world->salt + step->split * 1000 + sample);
	double		p = chance(world, step->texts[0], step->split, sample);

	if (world->noise > 0.0)
		return Max(0.0, Min(1.0, p + world->noise * (uniform(h) - 0.5)));
	return uniform(h) < p;
}

/* A line about one of the samples that were judged wrong. */
static char *
reflect(const World *world, const EngineStep *step, const EngineStep *steps)
{
	const char *text = step->texts[step->component];
	uint32		h = text_hash(text, world->salt + step->step);
	const EngineRecord *record = &step->records[h % step->nrecords];
	const EngineStep *run = &steps[record->step];
	uint32		missing = needs(world, run->split, run->samples[record->slot]) &
		~rules_in(text);
	int			rule = NRULES + (int) (mix(h) % 20);
	int			i;

	for (i = 0; i < NRULES && uniform(h + 1) < 0.75; i++)
		if (missing & 1u << i)
			rule = i;
	return psprintf("%s\nMind rule %d here.", text, rule);
}

/* Mean over all samples of what is expected, for the seed and the winner. */
static double
true_accuracy(const World *world, const char *text)
{
	double		sum = 0.0;
	int			i;

	for (i = 0; i < NTRAIN; i++)
		sum += chance(world, text, ENGINE_SPLIT_TRAIN, i);
	for (i = 0; i < NVAL; i++)
		sum += chance(world, text, ENGINE_SPLIT_VAL, i);
	return sum / (NTRAIN + NVAL);
}

static Engine *
run_world(const World *world, const EngineConfig *config)
{
	Engine	   *engine = gepa_engine_create(config, NULL);
	EngineStep *steps = palloc(4000 * sizeof(EngineStep));
	EngineStep	step;
	double		scores[NTRAIN + NVAL];
	int			i;

	while ((step = gepa_engine_next(engine)).kind != ENGINE_STEP_FINISHED)
	{
		steps[step.step] = step;
		if (step.kind == ENGINE_STEP_REFLECT)
		{
			char	   *text = reflect(world, &step, steps);

			gepa_engine_observe_text(engine, step.step, text);
			pfree(text);
			continue;
		}
		for (i = 0; i < step.nsamples; i++)
			scores[i] = score(world, &step, step.samples[i]);
		gepa_engine_observe_scores(engine, step.step, step.nsamples, scores, 0, NULL, NULL);
	}
	pfree(steps);
	return engine;
}

static void
set_config(EngineConfig *config, int seed, int64 budget)
{
	gepa_engine_config_init(config);
	config->seed = seed;
	config->ncomponents = 1;
	config->components = judge;
	config->ntrain = NTRAIN;
	config->nval = NVAL;
	config->budget = budget;
}

/* Mean true gain over some worlds, and how far estimates are off. */
static void
test_gain(const char *name, World world, int64 budget, bool pipelined, double least, int runs)
{
	double		gain = 0.0;
	double		bias = 0.0;
	double		reported = 0.0;
	int			ahead = 0;
	int			seed;

	for (seed = 1; seed <= runs; seed++)
	{
		EngineConfig config;
		EngineHeldOut held_out;
		Engine	   *engine;
		double		truth;
		double		found;

		world.salt = mix(seed + 1000);
		set_config(&config, seed, budget);
		config.policy.pipelined = pipelined;
		engine = run_world(&world, &config);
		truth = true_accuracy(&world, gepa_engine_candidate_texts(engine,
																  gepa_engine_best(engine))[0]);
		found = truth - true_accuracy(&world, judge[0].seed_text);
		gain += found;
		ahead += found > 0.0;
		bias += gepa_engine_candidate_score(engine, gepa_engine_best(engine)) - truth;
		if (gepa_engine_held_out(engine, &held_out))
			reported += held_out.gain;
		gepa_engine_free(engine);
	}
	tap_ok(gain / runs > least, "%s: the mean gain is %.3f", name, gain / runs);
	tap_ok(ahead * 20 >= runs * 19, "%s: positive in %d of %d worlds", name, ahead, runs);
	tap_ok(fabs(bias / runs) < 0.06, "%s: the estimate is off by %.3f on average", name,
		   bias / runs);
	tap_ok(fabs((reported - gain) / runs) < 0.08, "%s: the report by %.3f", name,
		   (reported - gain) / runs);
}

/* Where there is nothing to find, the report must not find it. */
static void
test_null(int runs)
{
	int			honest = 0;
	int			around = 0;
	double		gain = 0.0;
	double		searched = 0.0;
	int			seed;

	for (seed = 1; seed <= runs; seed++)
	{
		World		world = {.salt = mix(seed + 5000),.null = true};
		EngineConfig config;
		EngineHeldOut held_out;
		Engine	   *engine;

		set_config(&config, seed, 300);
		engine = run_world(&world, &config);
		if (gepa_engine_held_out(engine, &held_out))
		{
			honest += held_out.low <= 0.0;
			around += held_out.low <= 0.0 && held_out.high >= 0.0;
			gain += held_out.gain;
			searched += held_out.search_score;
		}
		gepa_engine_free(engine);
	}
	tap_ok(honest * 100 >= runs * 95, "no gain is reported in %d of %d null worlds", honest,
		   runs);
	tap_ok(around * 100 >= runs * 92, "the interval holds 0 in %d", around);
	tap_ok(fabs(gain / runs) < 0.03, "the mean reported gain is %.3f", gain / runs);
	tap_ok(searched / runs > 0.53, "while what chose the winner says %.3f, not 0.5",
		   searched / runs);
}

int
main(int argc, char **argv)
{
	int			runs = argc > 1 ? atoi(argv[1]) : 0;
	World		coins = {0};
	World		graded = {.noise = 0.4};
	World		slight = {.noise = 0.1,.slight = true};

	test_gain("400 rollouts", coins, 400, false, 0.12, runs > 0 ? runs : 40);
	test_gain("pipelined", coins, 400, true, 0.10, runs > 0 ? runs : 40);
	test_gain("continuous scores", graded, 400, false, 0.15, runs > 0 ? runs : 40);
	/* 0.095 if scores were taken for coins */
	test_gain("slight effects", slight, 800, false, 0.105, runs > 0 ? runs : 40);
	test_gain("1,000 rollouts", coins, 1000, false, 0.18, runs > 0 ? runs : 40);
	test_null(runs > 0 ? runs : NULL_RUNS);
	return tap_done();
}
