/*-------------------------------------------------------------------------
 *
 * engine_window_test.c
 *	  Windows and records: what is drawn, how often, of which labels.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "hand_lines.h"
#include "tap.h"

#define ITEMS 60

typedef struct World
{
	EnginePolicy policy;
	EngineArena arena;
	EngineLines lines;
	EngineModel model;
	EngineItems items;
	EngineRandom random;
	bool		used[ITEMS];
	int			classes[ITEMS];
	int			windows[ITEMS];
	int			records[ITEMS];
} World;

/* One candidate; one item in five is held out, two labels. */
static void
world_open(World *world)
{
	EnginePolicy policy = {.intercept_mean = 0.3,.intercept_sd = 2,.candidate_sd = 0.12,
		.sample_sd = 2,.window_floor = 0.15,.window_gain = 3.4,.window_known = 2,
		.window_known_after = 250,.window_decay = 0.5,.records = 12,.record_failures = 9,
	.balance_labels = true};

	memset(world, 0, sizeof(World));
	world->policy = policy;
	gepa_engine_arena_init(&world->arena);
	gepa_engine_random_seed(&world->random, 11);
	world->lines.arena = &world->arena;
	gepa_engine_model_init(&world->model, &world->arena, &world->policy, ITEMS);
	hand_candidate(&world->lines, 0, 0, NULL);
	world->items.nitems = ITEMS;
	world->items.used = world->used;
	world->items.classes = world->classes;
	world->items.nclasses = 2;
	world->items.windows = world->windows;
	world->items.records = world->records;
	for (int i = 0; i < ITEMS; i++)
	{
		world->used[i] = i % 5 != 4;
		world->classes[i] = i % 3 == 0;
	}
}

static void
world_close(World *world)
{
	gepa_engine_arena_free(&world->arena);
}

static int
count_label(const World *world, const int *items, int n, int label)
{
	int			count = 0;

	for (int i = 0; i < n; i++)
		count += world->classes[items[i]] == label;
	return count;
}

static bool
distinct_and_used(const World *world, const int *items, int n)
{
	bool		seen[ITEMS] = {false};

	for (int i = 0; i < n; i++)
	{
		if (seen[items[i]] || !world->used[items[i]])
			return false;
		seen[items[i]] = true;
	}
	return true;
}

static int
draw(World *world, const double *weights, int size, int *result)
{
	return gepa_engine_draw_window(&world->items, &world->random, weights, size, result);
}

static void
test_weights(void)
{
	World		world;
	double		weights[ITEMS];
	double		p;

	world_open(&world);
	gepa_engine_model_add(&world.model, 0, 0, 1);
	gepa_engine_model_add(&world.model, 0, 1, 0);
	gepa_engine_model_fit(&world.model, &world.lines);
	world.windows[2] = 3;
	gepa_engine_window_weights(&world.items, &world.model, &world.lines, &world.policy, 0, 249,
							   weights);
	p = gepa_engine_model_chance(&world.model,
								 gepa_engine_model_theta(&world.model, &world.lines, 0), 3);
	tap_is_double(weights[3], 0.15 + 3.4 * p * (1 - p), 1e-12, "weight of an item that may tell");
	tap_is_double(weights[2], weights[3] * pow(0.5, 1.5), 1e-12, "... three windows later");
	tap_ok(weights[0] < weights[3], "an item that was right tells less");
	p = weights[0];
	gepa_engine_window_weights(&world.items, &world.model, &world.lines, &world.policy, 0, 250,
							   weights);
	tap_is_double(weights[0], 2 * p, 1e-12, "half a pair is there already");
	world.policy.window_gain = 0;
	gepa_engine_window_weights(&world.items, &world.model, &world.lines, &world.policy, 0, 0,
							   weights);
	tap_ok(weights[0] == weights[3] && weights[3] > 0, "without gain all items are alike");
	world.windows[2] = 5000;
	gepa_engine_window_weights(&world.items, &world.model, &world.lines, &world.policy, 0, 0,
							   weights);
	tap_ok(weights[2] > 0 && isfinite(1 / weights[2]), "no item is used up");
	world_close(&world);
}

static void
test_window(void)
{
	World		world;
	int			result[ITEMS];
	int			n;

	world_open(&world);
	n = draw(&world, NULL, 12, result);
	tap_ok(n == 12 && distinct_and_used(&world, result, n), "a window of items in use");
	tap_is_int(count_label(&world, result, n, 1), 6, "half of them of each label");
	for (int i = 1, labels = 0; i < n; i += 2)
	{
		labels += world.classes[result[i]] != world.classes[result[i - 1]];
		if (i == n - 1)
			tap_is_int(labels, 6, "... in turn");
	}
	n = 0;
	for (int i = 0; i < ITEMS; i++)
		n += world.windows[i];
	tap_is_int(n, 12, "their windows are counted");
	world.items.classes = NULL;
	n = draw(&world, NULL, ITEMS, result);
	tap_is_int(n, 48, "no more than there are");
	tap_ok(distinct_and_used(&world, result, n), "... each of them");
	world.items.classes = world.classes;
	for (int i = 0; i < ITEMS; i++)
		world.classes[i] = i;
	world.items.nclasses = ITEMS;
	n = draw(&world, NULL, 12, result);
	tap_ok(n == 12 && distinct_and_used(&world, result, n), "too many labels are no strata");
	for (int i = 0; i < ITEMS; i++)
		world.classes[i] = i < 3 ? 9 : -1;
	world.items.nclasses = 10;
	n = draw(&world, NULL, 12, result);
	tap_is_int(count_label(&world, result, n, 9), 3, "a rare label is exhausted first");
	world_close(&world);
}

/* The first of a draw is an item with a chance in proportion to its weight. */
static void
test_chances(void)
{
	World		world;
	double		weights[ITEMS];
	int			result[ITEMS];
	int			counts[4] = {0};
	int			second = 0;

	world_open(&world);
	world.items.classes = NULL;
	for (int i = 0; i < ITEMS; i++)
		weights[i] = i < 4 ? i : 0;
	for (int k = 0; k < 6000; k++)
	{
		draw(&world, weights, 2, result);
		counts[result[0]]++;
		second += result[0] == 3 && result[1] == 2;
	}
	/* 4.5 standard errors */
	tap_is_int(counts[0], 0, "no weight, no draw");
	tap_is_double(counts[1], 1000, 130, "a sixth");
	tap_is_double(counts[2], 2000, 164, "a third");
	tap_is_double(counts[3], 3000, 174, "a half");
	tap_is_double(second, 2000, 164, "two thirds of what is left");
	tap_is_int(draw(&world, weights, 12, result), 3, "only what has a weight");
	world_close(&world);
}

/* The candidate's rollouts: score of item i. */
static void
tell(World *world, double (*score) (int item))
{
	for (int i = 0; i < ITEMS; i++)
	{
		if (i < 50)
			gepa_engine_model_add(&world->model, 0, i, score(i));
	}
}

static double
half_right(int item)
{
	return item / 5 % 2;
}

static double
right(int item)
{
	return 1;
}

static double
wrong(int item)
{
	return 0;
}

static double
graded(int item)
{
	return 0.2 + 0.01 * ((item * 7) % ITEMS);
}

static int
choose(World *world, int *result)
{
	return gepa_engine_choose_records(&world->items, &world->model, &world->random,
									  &world->policy, 0, result);
}

static int
count_failures(const World *world, const int *items, int n)
{
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		double		score = 1;

		gepa_engine_model_score(&world->model, 0, items[i], &score);
		count += score < 1;
	}
	return count;
}

static void
test_records(void)
{
	World		world;
	int			first[ITEMS];
	int			second[ITEMS];
	int			n;
	int			common = 0;

	world_open(&world);
	tell(&world, half_right);
	n = choose(&world, first);
	tap_ok(n == 12 && distinct_and_used(&world, first, n), "twelve records, none held out");
	tap_is_int(count_failures(&world, first, n), 9, "... nine of them failures");
	tap_ok(count_label(&world, first, n, 1) >= 5 && count_label(&world, first, n, 1) <= 7,
		   "... of both labels");
	tap_ok(count_failures(&world, first, 9) < 9, "... shuffled");
	choose(&world, second);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < n; k++)
			common += first[i] == second[k];
	/* the 20 failures have 7 of label 1, of which 4 or 5 were taken */
	tap_ok(common <= 3, "the next time others: %d of %d again", common, n);
	n = 0;
	for (int i = 0; i < ITEMS; i++)
		n += world.records[i];
	tap_is_int(n, 24, "uses are counted");
	world.policy.balance_labels = false;
	world.policy.records = 3;
	tap_is_int(choose(&world, first), 3, "as many as the policy says");
	tap_is_int(count_failures(&world, first, 3), 3, "... failures first");
	world_close(&world);

	world_open(&world);
	tap_is_int(choose(&world, first), 0, "without rollouts no records");
	tell(&world, right);
	n = choose(&world, first);
	tap_ok(n == 12 && count_failures(&world, first, n) == 0, "without failures successes");
	world_close(&world);

	world_open(&world);
	tell(&world, wrong);
	n = choose(&world, first);
	tap_ok(n == 9 && count_failures(&world, first, n) == 9, "without successes failures");
	world_close(&world);
}

static double
score_of(const World *world, int item)
{
	double		score = 1;

	gepa_engine_model_score(&world->model, 0, item, &score);
	return score;
}

/* Of graded scores the lowest; then those that were not shown, up to the median. */
static void
test_graded(void)
{
	World		world;
	int			result[ITEMS];
	double		highest = 0;
	double		shown = 0;
	int			lower = 0;
	int			high = 0;

	world_open(&world);
	world.items.classes = NULL;
	world.policy.records = 9;
	tell(&world, graded);
	tap_is_int(choose(&world, result), 9, "nine graded records");
	for (int i = 0; i < 9; i++)
		highest = Max(highest, score_of(&world, result[i]));
	for (int i = 0; i < 50; i++)
		lower += world.used[i] && score_of(&world, i) < highest;
	tap_is_int(lower, 8, "... are those with the lowest scores");
	choose(&world, result);
	for (int i = 0; i < 9; i++)
		shown = Max(shown, score_of(&world, result[i]));
	for (int i = 0; i < 9; i++)
		high += score_of(&world, result[i]) > highest;
	tap_is_int(high, 9, "the next nine are others");
	choose(&world, result);
	lower = 0;
	for (int i = 0; i < 9; i++)
		lower += score_of(&world, result[i]) <= highest;
	tap_is_int(lower, 7, "two are left of the lower half, then they come again");
	tap_ok(shown < 0.5, "a score above the median is no failure");
	world_close(&world);
}

int
main(void)
{
	test_weights();
	test_window();
	test_chances();
	test_records();
	test_graded();
	return tap_done();
}
