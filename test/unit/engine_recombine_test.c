/*-------------------------------------------------------------------------
 *
 * engine_recombine_test.c
 *	  Which lines are changed, given what a draw says about them.
 *
 * The draw is the test's own: values are what the test wants.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "engine/engine_policy.h"
#include "tap.h"

#define MAX_LINES 64

static EngineArena arena;
static EngineConfig config;
static EngineComponent components[2];
static EngineLines lines;
static EngineRandom random_stream;
static double effects[MAX_LINES];
static double length_effect;
static double drawn_scale;
static int	ndraws;

void
gepa_engine_model_draw(const EngineModel *model, const EngineLines *drawn, EngineRandom *random,
					   double scale, double *result, double *length_result)
{
	ndraws++;
	drawn_scale = scale;
	memcpy(result, effects, drawn->nlines * sizeof(double));
	*length_result = length_effect;
}

static void
open_world(EngineComponentKind first)
{
	static const int classes[] = {0, 1, 0, 1, 0, 1};

	memset(&config, 0, sizeof(config));
	config.policy.lineage = true;
	config.policy.thompson = 0.7;
	config.policy.max_changes = 4;
	config.policy.max_additions = 2;
	config.ncomponents = 2;
	config.components = components;
	config.nexamples = lengthof(classes);
	config.nclasses = 2;
	config.example_class = classes;
	config.max_examples = 4;
	components[0].kind = first;
	components[1].kind = ENGINE_COMPONENT_TEXT;
	gepa_engine_arena_init(&arena);
	gepa_engine_lines_init(&lines, &arena, &config);
	memset(effects, 0, sizeof(effects));
	length_effect = 0.0;
}

static int
add(int parent, const char *first, const char *second)
{
	const char **texts = gepa_engine_alloc(&arena, 2 * sizeof(char *));

	texts[0] = first;
	texts[1] = second;
	gepa_engine_lines_add(&lines, texts, parent);
	return lines.ncandidates - 1;
}

/* What the draw says about a line. */
static void
say(const char *text, double effect)
{
	int			i = 0;

	while (i < lines.nlines && strcmp(lines.lines[i].text, text) != 0)
		i++;
	if (tap_ok(i < lines.nlines, "the line is known: %s", text))
		effects[i] = effect;
}

static const char *const *
recombine(int incumbent)
{
	return gepa_engine_recombine(&lines, NULL, &random_stream, &config.policy, incumbent);
}

/* The first component after it; NULL if nothing changed. */
static const char *
recombined(int incumbent)
{
	const char *const *texts = recombine(incumbent);

	return texts == NULL ? NULL : texts[0];
}

static void
test_nothing(void)
{
	open_world(ENGINE_COMPONENT_TEXT);
	add(-1, "seed", "other");
	ndraws = 0;
	tap_ok(recombine(0) == NULL, "no line is known");
	add(0, "seed\na\nb", "other");
	tap_ok(recombine(0) == NULL, "no line is worth anything");
	tap_ok(recombine(1) == NULL, "nor worth dropping");
	tap_is_int(ndraws, 2, "one draw each, none without lines");
	tap_is_double(drawn_scale, 0.7, 0.0, "the scale is the option's");
	say("a", 0.5);
	say("b", 0.5);
	tap_ok(recombine(1) == NULL, "good lines are there already");
	tap_is_string(recombined(0), "seed\na\nb", "but not in the seed");
	say("a", NAN);
	tap_is_string(recombined(0), "seed\nb", "what is no number is worth nothing");
	gepa_engine_arena_free(&arena);
}

static void
test_choice(void)
{
	open_world(ENGINE_COMPONENT_TEXT);
	add(-1, "seed", "other");
	add(0, "seed\na1\na2\na3\na4\na5\nHead:", "other");
	add(0, "seed\nb1\nb2\nb3\nTail:", "other");
	say("b1", 0.1);
	say("b2", 0.3);
	say("b3", 0.2);
	tap_is_string(recombined(1), "seed\nb2\nb3\na1\na2\na3\na4\na5\nHead:",
				  "at most max_additions, the best");
	say("a1", -0.5);
	say("a2", -0.4);
	say("a3", -0.05);
	say("a4", 0.4);
	say("Head:", -0.9);
	tap_is_string(recombined(1), "seed\nb2\nb3\na3\na4\na5\nHead:",
				  "at most max_changes, drops and additions by value; headings stay");
	config.policy.max_changes = 3;
	tap_is_string(recombined(1), "seed\nb2\na3\na4\na5\nHead:", "... three");
	config.policy.max_additions = 0;
	tap_is_string(recombined(1), "seed\na4\na5\nHead:", "no additions");
	config.policy.max_changes = 0;
	tap_ok(recombine(1) == NULL, "no changes");

	config.policy.max_changes = 1;
	config.policy.max_additions = 1;
	say("Tail:", 0.9);
	say("a1", -0.3);
	say("a2", -0.3);
	tap_is_string(recombined(1), "seed\na2\na3\na4\na5\nHead:",
				  "of equal values the lower line; a heading is not added");
	gepa_engine_arena_free(&arena);
}

static void
test_length(void)
{
	open_world(ENGINE_COMPONENT_TEXT);
	add(-1, "seed", "other");
	add(0, "seed\none two three four five six seven eight nine ten\nshort", "other");
	say("one two three four five six seven eight nine ten", 0.03);
	say("short", 0.03);
	length_effect = -0.4;
	tap_is_string(recombined(1), "seed\nshort", "a long line has to be worth its words");
	tap_is_string(recombined(0), "seed\nshort", "... to be added, too");
	length_effect = -0.2;
	tap_ok(recombine(1) == NULL, "with another effect it is");
	gepa_engine_arena_free(&arena);
}

static void
test_wordings(void)
{
	open_world(ENGINE_COMPONENT_TEXT);
	add(-1, "s1\ns2\ns3", "other");
	add(0, "s1\ns2\ns3\nreject old sports news", "other");
	add(1, "s1\ns2\ns3\nreject all sports news", "other");
	add(1, "s1\ns2\ns3\nreject any sports news", "other");
	say("reject old sports news", 0.5);
	say("reject all sports news", 0.4);
	say("reject any sports news", 0.3);
	tap_ok(recombine(1) == NULL, "a worse wording is not added to a line");
	tap_is_string(recombined(2), "s1\ns2\ns3\nreject old sports news",
				  "a better one takes its place: back to the ancestor");
	tap_is_string(recombined(0), "s1\ns2\ns3\nreject old sports news",
				  "of several wordings one is added");
	say("reject any sports news", 0.6);
	tap_is_string(recombined(2), "s1\ns2\ns3\nreject any sports news",
				  "a wording made elsewhere takes the place as well");
	say("reject old sports news", -0.5);
	say("reject all sports news", -0.6);
	say("reject any sports news", -0.7);
	tap_is_string(recombined(2), "s1\ns2\ns3", "what no wording makes good is dropped");
	say("reject any sports news", 0.1);
	config.policy.max_additions = 0;
	tap_is_string(recombined(2), "s1\ns2\ns3", "... or when there is no room for an addition");

	config.policy.max_additions = 2;
	config.policy.lineage = false;
	add(1, "s1\ns2\ns3\nreject new sports news", "other");
	say("reject old sports news", 0.5);
	say("reject all sports news", 0.0);
	say("reject any sports news", 0.0);
	say("reject new sports news", 0.4);
	tap_is_string(recombined(1), "s1\ns2\ns3\nreject new sports news\nreject old sports news",
				  "without lineage lines are alone");
	gepa_engine_arena_free(&arena);
}

/* Recombination crosses components. */
static void
test_components(void)
{
	const char *const *texts;

	open_world(ENGINE_COMPONENT_EXAMPLES);
	add(-1, "0,1", "seed");
	add(0, "2,1", "seed");
	add(0, "0,1", "seed\nrule");
	say("2", 0.4);
	say("0", -0.3);
	say("rule", 0.2);
	texts = recombine(0);
	tap_is_string(texts[0], "2,1", "a drop and an addition of a class are a swap");
	tap_is_string(texts[1], "seed\nrule", "and a line of another candidate's component");
	say("rule", -0.2);
	tap_ok(recombine(1) == NULL, "nothing to gain in a list");
	say("1", -0.1);
	tap_is_string(recombined(1), "2", "a bad example of the seed goes");
	say("2", -0.4);
	tap_is_string(recombined(1), "1", "the last one stays: the worse went first");
	gepa_engine_arena_free(&arena);
}

int
main(void)
{
	test_nothing();
	test_choice();
	test_length();
	test_wordings();
	test_components();
	return tap_done();
}
