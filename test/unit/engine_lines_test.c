/*-------------------------------------------------------------------------
 *
 * engine_lines_test.c
 *	  What candidates are made of: reading, ancestors, edits, lists of examples.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "engine/engine_internal.h"
#include "engine/engine_lines.h"
#include "tap.h"

#define MAX_COMPONENTS 3
#define NEXAMPLES 12
#define NCLASSES 3

/* Even and odd; and with a class that has one example only. */
static const int two_classes[NEXAMPLES] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
static const int classes[NEXAMPLES] = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 2};

typedef struct World
{
	EngineArena arena;
	EngineConfig config;
	EngineComponent components[MAX_COMPONENTS];
	EngineLines lines;
} World;

/* The components' kinds: t = text, e = examples. */
static void
open_world(World *world, const char *kinds)
{
	int			i;

	memset(world, 0, sizeof(*world));
	gepa_engine_arena_init(&world->arena);
	gepa_engine_config_init(&world->config);
	world->config.policy.lineage = true;
	world->config.ncomponents = strlen(kinds);
	world->config.components = world->components;
	world->config.nexamples = NEXAMPLES;
	world->config.nclasses = NCLASSES;
	world->config.example_class = classes;
	world->config.max_examples = 6;
	for (i = 0; kinds[i] != '\0'; i++)
	{
		world->components[i].name = "c";
		world->components[i].kind = kinds[i] == 'e' ? ENGINE_COMPONENT_EXAMPLES :
			ENGINE_COMPONENT_TEXT;
	}
	gepa_engine_lines_init(&world->lines, &world->arena, &world->config);
}

static void
close_world(World *world)
{
	gepa_engine_arena_free(&world->arena);
}

/* Read one more candidate; its number. */
static int
add(World *world, int parent, const char *first, const char *second)
{
	const char **texts = gepa_engine_alloc(&world->arena, 2 * sizeof(char *));

	texts[0] = gepa_engine_strdup(&world->arena, first);
	texts[1] = second ? gepa_engine_strdup(&world->arena, second) : NULL;
	gepa_engine_lines_add(&world->lines, texts, parent);
	return world->lines.ncandidates - 1;
}

static int
add_texts(World *world, int parent, const char *const *texts)
{
	gepa_engine_lines_add(&world->lines, texts, parent);
	return world->lines.ncandidates - 1;
}

/* The numbered line with this text; -1 if there is none. */
static int
find(const World *world, int component, const char *text)
{
	int			i;

	text += gepa_engine_mark_length(text, strlen(text));
	for (i = 0; i < world->lines.nlines; i++)
		if (world->lines.lines[i].component == component &&
			strcmp(world->lines.lines[i].text, text) == 0)
			return i;
	return -1;
}

static const char *
ancestor_of(const World *world, const char *text)
{
	int			line = find(world, 0, text);
	int			ancestor = line < 0 ? -1 : world->lines.lines[line].ancestor;

	return line < 0 ? "(unknown line)" : ancestor < 0 ? "" : world->lines.lines[ancestor].text;
}

/* Numbers as a text; overwritten by the next call. */
static const char *
show(const int *numbers, int n)
{
	static char buf[2000];
	int			i;

	buf[0] = '\0';
	for (i = 0; i < n; i++)
		snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), "%s%d", i ? " " : "", numbers[i]);
	return buf;
}

static const char *
lines_of(const World *world, int candidate)
{
	const EngineComposition *composition = &world->lines.compositions[candidate];

	return show(composition->lines, composition->nlines);
}

static const char *
effects_of(const World *world, int candidate)
{
	const EngineComposition *composition = &world->lines.compositions[candidate];

	return show(composition->effects, composition->neffects);
}

/* Edit by texts: "-line" drops, "+line" adds.  The first component's text after. */
static const char *
edit(World *world, int candidate, const char *const *changes)
{
	EngineEdit	edits[8];
	const char *const *texts;
	int			n = 0;

	for (; *changes != NULL; changes++)
	{
		int			line = find(world, 0, *changes + 1);

		if (!tap_ok(line >= 0, "the line is known: %s", *changes))
			return "(unknown line)";
		edits[n].line = line;
		edits[n++].drop = **changes == '-';
	}
	texts = gepa_engine_lines_edit(&world->lines, candidate, edits, n);
	return texts == NULL ? NULL : texts[0];
}

#define EDIT(candidate, ...) \
	edit(&world, (candidate), (const char *const[]) {__VA_ARGS__, NULL})

static void
test_reading(void)
{
	World		world;
	const EngineLine *line;

	open_world(&world, "tt");
	add(&world, -1, "Decide.\n\n  Be   strict. \r\n", "Same");
	tap_is_int(world.lines.nlines, 0, "the seed's lines have no number");
	tap_is_int(world.lines.nknown, 3, "but are known");
	tap_is_double(world.lines.compositions[0].length, 0.0, 0.0, "the seed has no length");

	add(&world, 0, "Decide.\nBe strict.\n\t- New \t one  \r\n - New one\nSame\n# Head\nBut:\nnote #",
		"Decide.\nSame");
	tap_is_int(world.lines.nlines, 6, "new lines have numbers");
	line = &world.lines.lines[0];
	tap_is_string(line->text, "New one", "blanks are collapsed, and the mark of a point is left out");
	tap_is_string(line->original, "\t- New \t one", "the original is kept, but for its end");
	tap_is_int(line->source, 1, "a line has a source");
	tap_is_double(line->words, 3.0, 0.0, "words");
	tap_ok(!line->is_protected, "a line is not protected");
	tap_is_string(world.lines.lines[1].text, "Same",
				  "a line of another component's seed is new");
	tap_ok(world.lines.lines[2].is_protected && world.lines.lines[3].is_protected &&
		   world.lines.lines[4].is_protected, "headings are protected");
	tap_is_string(world.lines.lines[5].text, "Decide.", "the second component comes after");
	tap_is_int(world.lines.lines[5].component, 1, "a line has a component");
	tap_is_string(lines_of(&world, 1), "0 1 2 3 4 5", "a line that is there twice counts once");
	tap_is_double(world.lines.compositions[1].length, (2 * 3 + 1 + 2 + 1 + 2 + 1) / 100.0, 1e-12,
				  "the length is that of all words beyond the seed's");

	add(&world, 1, "Be strict.", "");
	tap_is_string(lines_of(&world, 2), "", "without lines");
	tap_is_double(world.lines.compositions[2].length, -2 / 100.0, 1e-12,
				  "the length may be negative");
	add(&world, 1, "-  New one\n- New one", "Same");
	tap_is_string(lines_of(&world, 3), "0", "a known line has its number");
	close_world(&world);
}

/* The texts of the lines of a new text, in order, with bars between them. */
static const char *
lines_in(World *world, const char *text)
{
	static char buf[2000];
	int		   *read;
	int			n = gepa_engine_read_lines(&world->lines, 0, text, &read);
	int			i;

	buf[0] = '\0';
	for (i = 0; i < n; i++)
		snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), "%s%s", i ? "|" : "",
				 world->lines.known[read[i]].text);
	pfree(read);
	return buf;
}

/* Paragraphs are read by sentences, points are whole and without their marks. */
static void
test_paragraphs(void)
{
	World		world;

	open_world(&world, "t");
	tap_is_string(lines_in(&world, "If A,  say no. If B: yes!  Or (see Cd.) Then \"D.\" E?\nF. G"),
				  "If A, say no.|If B: yes!|Or (see Cd.)|Then \"D.\"|E?|F. G", "sentences");
	tap_is_string(lines_in(&world, "Use e.g. Tables. See x.y. Say 1. or 0. Go on"),
				  "Use e.g. Tables.|See x.y. Say 1. or 0.|Go on", "dots that end nothing");
	tap_is_string(lines_in(&world, "First: 1. One is bad. 2. Two is good. 10. Ten"),
				  "First: 1.|One is bad.|Two is good.|Ten", "points within a paragraph");
	tap_is_string(lines_in(&world, "- One. This says why.\n 2)  Two. And so. \n* T\n+ P\n\342\200\242 B"),
				  "One. This says why.|Two. And so.|T|P|B", "points are whole");
	tap_is_string(lines_in(&world, "-\n1.\n -5 is\n2024. Year\n**Bold** b\n-- x\n1.5 y\n12345) z"),
				  "-|1.|-5 is|2024. Year|**Bold** b|-- x|1.5 y|12345) z", "what is no mark");
	close_world(&world);
}

static void
test_edit_paragraphs(void)
{
	World		world;

	open_world(&world, "t");
	add(&world, -1, "Decide well. Be strict.", NULL);
	add(&world, 0, "Decide well. Be strict.  If A, no. If B, yes.", NULL);
	tap_is_string(lines_of(&world, 1), "0 1", "a paragraph that goes on keeps the seed's sentences");
	tap_is_string(EDIT(1, "-If A, no."), "Decide well. Be strict. If B, yes.",
				  "a sentence is dropped");
	tap_is_string(EDIT(0, "+If B, yes."), "Decide well. Be strict. If B, yes.",
				  "a sentence is added to a paragraph");
	tap_is_string(EDIT(1, "-If A, no.", "-If B, yes."), "Decide well. Be strict.",
				  "without its own it is the seed, to the byte");
	add(&world, 1, "New here. Be strict. If B, yes.\n- If C, yes. Always.", NULL);
	tap_is_string(EDIT(2, "-New here."), "Be strict. If B, yes.\n- If C, yes. Always.",
				  "what follows a first sentence begins the line");
	tap_is_string(EDIT(2, "-New here.", "-If B, yes."), "Be strict.\n- If C, yes. Always.",
				  "... and its other blanks stay");
	tap_is_string(EDIT(1, "+- If C, yes. Always."),
				  "Decide well. Be strict.  If A, no. If B, yes.\n- If C, yes. Always.",
				  "a point does not join a paragraph");
	add(&world, 2, "1. If B, yes.\n2. If C, yes. Always.", NULL);
	tap_is_string(lines_of(&world, 3), "1 3", "points of another form are the same lines");
	add(&world, 0, "Decide well.\n- Z\n\nBe strict. Last.", NULL);
	tap_is_string(EDIT(0, "+- Z"), "Decide well.\n- Z\nBe strict.",
				  "a point within a paragraph parts it");
	close_world(&world);
}

/* An empty seed, texts of blanks only, bytes that are not ASCII. */
static void
test_odd_texts(void)
{
	World		world;

	open_world(&world, "t");
	add(&world, -1, "", NULL);
	add(&world, 0, " \r\n\t\n\v\f\n   ", NULL);
	tap_is_int(world.lines.nlines, 0, "blanks are no lines");
	add(&world, 0, "Gr\303\274\303\237e  \302\240x\n\346\227\245\346\234\254\350\252\236", NULL);
	tap_is_string(world.lines.lines[0].text, "Gr\303\274\303\237e \302\240x",
				  "only ASCII blanks are collapsed");
	tap_is_int(world.lines.nlines, 2, "lines in other scripts");
	add(&world, 0, "\xff\xfe\n\x80\n\xa0", NULL);
	tap_is_int(world.lines.nlines, 5, "bytes that are no text");
	add(&world, 0, "A\rB", NULL);
	tap_is_string(world.lines.lines[5].text, "A B", "a return within a line is a blank");
	close_world(&world);
}

static void
test_edited(void)
{
	World		world;

	open_world(&world, "t");
	add(&world, -1, "Judge the page.\nBe fair.", NULL);
	add(&world, 0, "Judge the page.\nBe fair.\nReject pages about sports news.\n"
		"Accept recipes of any country.", NULL);
	tap_is_string(ancestor_of(&world, "Reject pages about sports news."), "",
				  "an addition has no ancestor");

	add(&world, 1, "Judge the page.\nBe fair.\nACCEPT recipes, of any country or region!\n"
		"Reject pages about old sports.\nSomething else altogether.", NULL);
	tap_is_string(ancestor_of(&world, "ACCEPT recipes, of any country or region!"),
				  "Accept recipes of any country.", "a rewording has one, wherever it stands");
	tap_is_string(ancestor_of(&world, "Reject pages about old sports."),
				  "Reject pages about sports news.", "so has the other");
	tap_is_string(ancestor_of(&world, "Something else altogether."), "",
				  "what is like none has not");
	tap_is_string(lines_of(&world, 2), "2 3 4", "the lines of the rewording");
	tap_is_string(effects_of(&world, 2), "0 1 2 3 4", "its effects are also its ancestors'");

	add(&world, 2, "Judge the page.\nBe fair.\nAccept recipes of a country or region.\n"
		"Reject pages about old sports.\nSomething else altogether.", NULL);
	tap_is_string(effects_of(&world, 3), "0 1 2 3 4 5", "ancestors of ancestors are included");

	add(&world, 1, "Judge the page well.\nBe fair.\nReject pages about sports news.\n"
		"Accept recipes of any country.", NULL);
	tap_is_string(ancestor_of(&world, "Judge the page well."), "",
				  "a wording of a line of the seed has no ancestor");
	close_world(&world);
}

static void
test_overlap(void)
{
	World		world;

	open_world(&world, "t");
	add(&world, -1, "s1\ns2\ns3\ns4", NULL);
	add(&world, 0, "s1\ns2\ns3\ns4\naaa bbb ccc ddd eee fff", NULL);
	/* 3 of 10 */
	add(&world, 1, "s1\ns2\ns3\ns4\naaa bbb ccc x1g x2g x3g x4g", NULL);
	tap_is_string(ancestor_of(&world, "aaa bbb ccc x1g x2g x3g x4g"), "aaa bbb ccc ddd eee fff",
				  "three words of ten in common are enough");
	add(&world, 1, "s1\ns2\ns3\ns4\naaa bbb ccc x1g x2g x3g x4g x5g", NULL);
	tap_is_string(ancestor_of(&world, "aaa bbb ccc x1g x2g x3g x4g x5g"), "",
				  "three of eleven are not");
	add(&world, 1, "s1\ns2\ns3\ns4\nAAA, aaa-bbb (ccc) a b c d e f g h it is", NULL);
	tap_is_string(ancestor_of(&world, "AAA, aaa-bbb (ccc) a b c d e f g h it is"),
				  "aaa bbb ccc ddd eee fff",
				  "short words, signs, capitals and repetitions do not matter");

	/* best first: the first new line would take what fits the second better */
	add(&world, 1, "s1\ns2\ns3\ns4\naaa bbb ccc zzz\naaa bbb ccc ddd eee", NULL);
	tap_is_string(ancestor_of(&world, "aaa bbb ccc ddd eee"), "aaa bbb ccc ddd eee fff",
				  "the best pair comes first");
	tap_is_string(ancestor_of(&world, "aaa bbb ccc zzz"), "", "a line has one successor");

	/* an umlaut is a letter, and one */
	add(&world, 0, "s1\ns2\ns3\ns4\n\303\234bel \303\266l \303\244\303\266\303\274", NULL);
	add(&world, world.lines.ncandidates - 1,
		"s1\ns2\ns3\ns4\n\303\266l xyz \303\244\303\266\303\274", NULL);
	tap_is_string(ancestor_of(&world, "\303\266l xyz \303\244\303\266\303\274"),
				  "\303\234bel \303\266l \303\244\303\266\303\274",
				  "letters are counted, not bytes");
	close_world(&world);
}

/* Hunks bound what can be paired; what only moved is not lost. */
static void
test_hunks(void)
{
	World		world;

	open_world(&world, "t");
	add(&world, -1, "s1\ns2\ns3", NULL);
	add(&world, 0, "s1\nred green blue\ns2\ns3\none two three", NULL);
	add(&world, 1, "s1\ns2\ns3\none two three\nred green brown", NULL);
	tap_is_string(ancestor_of(&world, "red green brown"), "",
				  "a line in another hunk is no ancestor");
	add(&world, 1, "s1\none two three\ns2\ns3\none two five", NULL);
	tap_is_string(ancestor_of(&world, "one two five"), "", "a line that only moved is not lost");
	add(&world, 1, "s1\nred green pink\nred green pink\ns2\ns3\none two three", NULL);
	tap_is_string(ancestor_of(&world, "red green pink"), "red green blue",
				  "a new line that is there twice");

	world.config.policy.lineage = false;
	add(&world, 1, "s1\nred green white\ns2\ns3\none two three", NULL);
	tap_is_string(ancestor_of(&world, "red green white"), "", "no ancestors without lineage");
	close_world(&world);
}

static void
test_rewritten(void)
{
	World		world;

	open_world(&world, "t");
	add(&world, -1, "seed one", NULL);
	add(&world, 0, "seed one\nalpha\nbeta\ngamma\ndelta", NULL);
	add(&world, 1, "w1\nw2\nw3\nw4\nw5\nw6", NULL);
	tap_is_string(ancestor_of(&world, "w1"), "", "a rewrite is paired in order: the seed's");
	tap_is_string(ancestor_of(&world, "w2"), "alpha", "... second");
	tap_is_string(ancestor_of(&world, "w5"), "delta", "... fifth");
	tap_is_string(ancestor_of(&world, "w6"), "", "... and one that is new");
	tap_is_string(effects_of(&world, 2), "0 1 2 3 4 5 6 7 8 9",
				  "a rewrite keeps the estimate of its parent");

	add(&world, 1, "v1\nv2\nalpha\nv3", NULL);
	tap_is_string(ancestor_of(&world, "v1"), "", "in order within hunks");
	tap_is_string(ancestor_of(&world, "v3"), "beta", "... the hunk after");

	add(&world, 1, "made anew\nwhere delta is\nwith gamma\nand more", NULL);
	tap_is_string(ancestor_of(&world, "where delta is"), "delta", "by words, wherever they stand");
	tap_is_string(ancestor_of(&world, "with gamma"), "gamma", "... another");
	tap_is_string(ancestor_of(&world, "and more"), "alpha", "... the others in order");

	add(&world, 1, "u1\nu2\nu3", NULL);
	tap_is_string(ancestor_of(&world, "u3"), "beta", "a shorter one: as far as it goes");

	/* exactly half survives: an edit */
	add(&world, 0, "p1 xxx yyy\np2 xxx zzz", NULL);
	add(&world, world.lines.ncandidates - 1, "p1 xxx yyy\nq", NULL);
	tap_is_string(ancestor_of(&world, "q"), "", "half of the lines is an edit");
	close_world(&world);
}

/* Components are compared one by one. */
static void
test_components(void)
{
	World		world;

	open_world(&world, "tt");
	add(&world, -1, "s1\ns2\ns3\ns4", "t1\nt2");
	add(&world, 0, "s1\ns2\ns3\ns4", "t1\nt2\nt3 abc def");
	add(&world, 1, "s1\ns2\ns3\ns4", "n1\nn2\nn3");
	tap_is_int(world.lines.lines[find(&world, 1, "n3")].ancestor, find(&world, 1, "t3 abc def"),
			   "one component is rewritten, the other is as it was");
	tap_is_int(find(&world, 0, "n3"), -1, "a line belongs to its component");
	close_world(&world);
}

static void
test_drop(void)
{
	World		world;

	open_world(&world, "t");
	add(&world, -1, "Seed.\n\n\nRules:\nlast", NULL);
	add(&world, 0, "Seed.\n\nHints:\n  - a b\n\n- c\n\nRules:\n- a  b\nlast\n", NULL);
	tap_is_string(EDIT(1, "-- c"), "Seed.\n\nHints:\n  - a b\n\nRules:\n- a  b\nlast\n",
				  "a line is dropped, blank lines shrink to one, the rest stays");
	tap_is_string(EDIT(1, "-- a b"), "Seed.\n\nHints:\n\n- c\n\nRules:\nlast\n",
				  "a line that is there twice is dropped twice");
	tap_is_string(EDIT(1, "-- a b", "-- c"), "Seed.\n\nHints:\n\nRules:\nlast\n",
				  "two lines are dropped");
	tap_ok(EDIT(1, "-Hints:") == NULL, "a heading is not dropped");
	tap_ok(EDIT(0, "-- c") == NULL, "nothing to drop");
	tap_ok(EDIT(1, "+- c") == NULL, "there already");
	tap_ok(gepa_engine_lines_edit(&world.lines, 1, NULL, 0) == NULL, "no edits");
	tap_is_string(EDIT(1, "+- c", "-Hints:", "-- a b"), "Seed.\n\nHints:\n\n- c\n\nRules:\nlast\n",
				  "what does not apply is passed over");
	tap_is_string(world.lines.compositions[1].texts[0],
				  "Seed.\n\nHints:\n  - a b\n\n- c\n\nRules:\n- a  b\nlast\n",
				  "the candidate itself stays as it was");
	close_world(&world);
}

static void
test_add(void)
{
	World		world;
	const char *const *texts;
	EngineEdit	edits[2];
	int			i;

	open_world(&world, "tt");
	add(&world, -1, "Seed one.\n\nSeed two.\nSeed three.", "other");
	add(&world, 0, "Seed one.\n\n   - first  rule \n\nSeed two.\n- second rule\n- third\nSeed three.",
		"other");
	tap_is_string(EDIT(0, "+- first rule"),
				  "Seed one.\n   - first  rule\n\nSeed two.\nSeed three.",
				  "after the line before it in its source, as it was written");
	tap_is_string(EDIT(0, "+- third"), "Seed one.\n\nSeed two.\n- third\nSeed three.",
				  "after the nearest one that is there");
	tap_is_string(EDIT(0, "+- third", "+- second rule"),
				  "Seed one.\n\nSeed two.\n- second rule\n- third\nSeed three.",
				  "the order of the source is kept: later line first");
	tap_is_string(EDIT(0, "+- second rule", "+- third"),
				  "Seed one.\n\nSeed two.\n- second rule\n- third\nSeed three.",
				  "... and the other way");

	add(&world, 0, "Rewritten.\n- fourth", "other");
	tap_is_string(EDIT(0, "+Rewritten."), "Seed one.\n\nSeed two.\nSeed three.\n\nRewritten.",
				  "without a line to follow, after an empty line at the end");
	tap_is_string(EDIT(1, "+- fourth"),
				  "Seed one.\n\n   - first  rule \n\nSeed two.\n- second rule\n- third\n- fourth\n"
				  "Seed three.",
				  "... or after the last line that is not the seed's");
	tap_is_string(EDIT(0, "+Rewritten.", "+- fourth"),
				  "Seed one.\n\nSeed two.\nSeed three.\n\nRewritten.\n- fourth",
				  "one addition follows the other");
	tap_is_string(EDIT(1, "-- first rule", "-- second rule", "-- third"),
				  "Seed one.\n\nSeed two.\nSeed three.", "without its own lines it is the seed");
	tap_is_string(EDIT(1, "+Rewritten.", "-- third"),
				  "Seed one.\n\n   - first  rule \n\nSeed two.\n- second rule\nRewritten.\n"
				  "Seed three.", "lines are dropped first");

	edits[0].line = find(&world, 0, "- third");
	edits[0].drop = false;
	texts = gepa_engine_lines_edit(&world.lines, 0, edits, 1);
	tap_ok(texts[1] == world.lines.compositions[0].texts[1],
		   "a component without a change is not touched");
	add(&world, 0, "Seed one.\n\nSeed two.\nSeed three.", "other\n- its own");
	edits[1].line = find(&world, 1, "- its own");
	edits[1].drop = false;
	texts = gepa_engine_lines_edit(&world.lines, 0, edits, 2);
	tap_is_string(texts[0], "Seed one.\n\nSeed two.\n- third\nSeed three.",
				  "edits of two components");
	tap_is_string(texts[1], "other\n- its own", "... the other");

	i = add(&world, 0, "\nSeed one. \nSeed two.\n- third\nSeed three.\n", "other");
	tap_ok(gepa_engine_lines_edit(&world.lines, 0, edits, 1) ==
		   world.lines.compositions[i].texts,
		   "what is a known candidate but for blanks is that candidate");
	close_world(&world);
}

static void
test_edit_odd_texts(void)
{
	World		world;

	open_world(&world, "t");
	add(&world, -1, "", NULL);
	add(&world, 0, "x\303\244  y\r\n\r\nz\r\n", NULL);
	tap_is_string(EDIT(0, "+z"), "\nz", "added to an empty text");
	tap_is_string(EDIT(1, "-z"), "x\303\244  y\r\n\r", "returns at the ends of others stay");
	tap_is_string(EDIT(1, "-x\303\244 y", "-z"), "", "without any line it is the seed, to the byte");
	add(&world, 1, "a\303\244\n\xff\xfe  b", NULL);
	tap_is_string(EDIT(1, "+\xff\xfe b"), "x\303\244  y\r\n\r\nz\r\n\xff\xfe  b\n",
				  "bytes that are no text are kept");
	close_world(&world);
}

static void
test_examples(void)
{
	World		world;

	open_world(&world, "et");
	world.config.nclasses = 2;
	world.config.example_class = two_classes;
	add(&world, -1, "003,2", "Seed");
	tap_is_int(world.lines.nlines, 2, "examples of the seed have numbers");
	tap_is_string(world.lines.lines[0].text, "3", "the number is the line");
	tap_is_string(lines_of(&world, 0), "0 1", "the seed consists of them");
	tap_is_double(world.lines.lines[0].words, 0.0, 0.0, "an example has no words");
	add(&world, 0, "2,5,4", "Seed");
	tap_is_string(lines_of(&world, 1), "1 2 3", "order is no part of a composition");
	tap_ok(world.lines.lines[2].ancestor < 0 && world.lines.lines[3].ancestor < 0,
		   "examples have no ancestors");
	tap_is_double(world.lines.compositions[1].length, 0.0, 0.0, "nor any length");
	add(&world, 1, "", "Seed");
	tap_is_string(lines_of(&world, 2), "", "an empty list");

	tap_is_string(EDIT(0, "-3", "+5"), "5,2", "a swap within a class keeps the place");
	tap_is_string(EDIT(0, "+5"), "3,2,5", "an addition to a class that has the fewest");
	tap_is_string(EDIT(1, "+3"), "2,5,4,3", "without an example to follow, at the end");
	tap_ok(EDIT(1, "-5") == NULL, "a rare class loses none");
	tap_is_string(EDIT(1, "-4"), "2,5", "the most frequent one does");
	tap_is_string(EDIT(1, "-5", "-4", "-2"), "5", "the last example stays");
	tap_is_string(EDIT(0, "-3", "+4"), "2",
				  "drop and add of two classes are two changes, of which one is not allowed");
	tap_is_string(EDIT(2, "+5"), "5", "added to an empty list");
	tap_ok(EDIT(0, "+3") == NULL && EDIT(0, "-5") == NULL, "nothing to do");

	close_world(&world);
}

/* A full list, classes that run out, additions that wait for a drop. */
static void
test_example_rules(void)
{
	World		world;

	open_world(&world, "e");
	world.config.max_examples = 4;
	add(&world, -1, "0,1", NULL);
	add(&world, 0, "0,1,2,3", NULL);
	add(&world, 0, "1,5,4,11", NULL);
	tap_ok(EDIT(1, "+4") == NULL, "a full list takes no more");
	tap_is_string(EDIT(1, "+11", "-3"), "0,1,11,2", "what has to wait for a drop is made after it");
	tap_is_string(EDIT(1, "+4", "-1", "+5", "-0"), "4,5,2,3", "two swaps");
	tap_is_string(EDIT(0, "+5"), NULL,
				  "with a class that has none yet, others are not added to");
	tap_is_string(EDIT(0, "+5", "+11"), "0,1,5,11", "but when it has one");

	world.config.max_examples = 6;
	add(&world, 0, "11,2,5,4,3,7", NULL);
	tap_ok(EDIT(3, "-11", "-2") == NULL, "only a class that has the most loses some");
	tap_is_string(EDIT(3, "-11", "-5", "-2"), "11,4,3,7", "... and then another one");
	tap_is_string(EDIT(3, "-4", "-7", "+1"), "11,2,5,4,3,1",
				  "... while a swap is always allowed");
	close_world(&world);
}

/* A random text of few different lines, blanks, headings and bytes. */
static char *
random_text(EngineRandom *random, EngineArena *arena, const char *const *keep, int nkeep)
{
	static const char *const parts[] = {
		"apple pear plum", "apple pear kiwi", "red green blue cyan", "red  green blue", "x", "#",
		"Rules:", "\303\244\303\266 \303\274", "\xff", "", " ", "\t\r", "a b c", "\346\227\245"
	};
	char	   *text = gepa_engine_alloc(arena, 2000);
	int			n = gepa_engine_random_bounded(random, 12);
	int			kept = 0;
	int			i;

	for (i = 0; i < n || kept < nkeep; i++)
	{
		bool		own = kept < nkeep && (i >= n || gepa_engine_random_bounded(random, 3) == 0);
		const char *part = own ? keep[kept++] :
			parts[gepa_engine_random_bounded(random, lengthof(parts))];

		sprintf(text + strlen(text), "%s%s%.*s", i > 0 ? "\n" : "", part,
				own ? 0 : gepa_engine_random_bounded(random, 3), " !");
	}
	return text;
}

/* Are these the candidate's lines after the edits?  Headings stay. */
static bool
has_expected_lines(const World *world, int before, int after, const EngineEdit *edits, int n)
{
	const EngineComposition *old = &world->lines.compositions[before];
	const EngineComposition *new = &world->lines.compositions[after];
	bool	   *expected = palloc0((world->lines.nlines + 1) * sizeof(bool));
	bool		good = true;
	int			i;

	for (i = 0; i < old->nlines; i++)
		expected[old->lines[i]] = true;
	for (i = 0; i < n; i++)
		if (edits[i].drop && !world->lines.lines[edits[i].line].is_protected)
			expected[edits[i].line] = false;
	for (i = 0; i < n; i++)
		if (!edits[i].drop)
			expected[edits[i].line] = true;
	for (i = 0; i < new->nlines; i++)
	{
		good = good && expected[new->lines[i]];
		expected[new->lines[i]] = false;
	}
	for (i = 0; i < world->lines.nlines; i++)
		good = good && !expected[i];
	pfree(expected);
	return good;
}

static bool
has_blank_run(const char *text)
{
	bool		blank = false;

	while (true)
	{
		size_t		length = strcspn(text, "\n");
		bool		is_blank = strspn(text, " \t\r\v\f") >= length;

		if (blank && is_blank)
			return true;
		blank = is_blank;
		if (text[length] == '\0')
			return false;
		text += length + 1;
	}
}

/* Every candidate has the seed's lines, in order, once its own are dropped. */
static bool
drops_to_seed(World *world, int candidate)
{
	const EngineComposition *composition = &world->lines.compositions[candidate];
	EngineEdit	edits[64];
	const char *const *texts;
	EnginePiece *pieces;
	int			n;
	int			nseed = 0;
	bool		good = true;
	int			i;

	for (i = 0; i < composition->nlines; i++)
	{
		edits[i].line = composition->lines[i];
		edits[i].drop = true;
	}
	texts = gepa_engine_lines_edit(&world->lines, candidate, edits, composition->nlines);
	n = gepa_engine_read_pieces(&world->lines, 0, (texts ? texts : composition->texts)[0],
								&pieces);
	for (i = 0; i < n; i++)
	{
		const EngineKnownLine *known = &world->lines.known[Max(pieces[i].known, 0)];

		if (pieces[i].known < 0 || (known->number >= 0 && known->is_heading))
			continue;
		good = good && known->number < 0;
		nseed++;
	}
	pfree(pieces);
	return good && nseed >= 2;
}

/* Random edits of random texts, and the same again in a second world. */
static void
test_random_texts(void)
{
	static const char *const seed[] = {"Seed line one.", "Seed  line two."};
	World		world;
	World		again;
	EngineRandom random;
	bool		expected = true,
				shrunk = true,
				stable = true,
				seeded = true,
				ordered = true,
				same = true;
	int			nchanged = 0;
	int			i;
	int			j;

	open_world(&world, "t");
	open_world(&again, "t");
	gepa_engine_random_seed(&random, 8);
	add(&world, -1, "Seed line one.\n\nSeed line two.", NULL);
	add(&again, -1, "Seed line one.\n\nSeed line two.", NULL);
	for (i = 0; i < 400; i++)
	{
		int			parent = gepa_engine_random_bounded(&random, world.lines.ncandidates);
		char	   *text = random_text(&random, &world.arena, seed, 2);
		int			candidate = add(&world, parent, text, NULL);
		EngineEdit	edits[4];
		const char *const *texts;
		int			n = world.lines.nlines > 0 ? gepa_engine_random_bounded(&random, 5) : 0;

		add(&again, parent, text, NULL);
		seeded = seeded && drops_to_seed(&world, candidate);
		for (j = 0; j < n; j++)
		{
			edits[j].line = gepa_engine_random_bounded(&random, world.lines.nlines);
			edits[j].drop = edits[j].line % 2 == i % 2;
		}
		texts = gepa_engine_lines_edit(&world.lines, candidate, edits, n);
		if (texts == NULL)
			continue;
		nchanged++;
		shrunk = shrunk && !has_blank_run(texts[0]);
		same = same && strcmp(texts[0], gepa_engine_lines_edit(&again.lines, candidate, edits,
															   n)[0]) == 0;
		j = world.lines.nlines;
		add_texts(&again, candidate, texts);
		parent = add_texts(&world, candidate, texts);
		stable = stable && gepa_engine_lines_edit(&world.lines, parent, edits, n) == NULL &&
			world.lines.nlines == j;
		expected = expected && has_expected_lines(&world, candidate, parent, edits, n);
	}
	for (i = 0; i < world.lines.nlines; i++)
	{
		ordered = ordered && world.lines.lines[i].ancestor < i;
		same = same && world.lines.lines[i].ancestor == again.lines.lines[i].ancestor &&
			strcmp(world.lines.lines[i].text, again.lines.lines[i].text) == 0;
	}
	tap_ok(nchanged > 200, "random edits change texts (%d)", nchanged);
	tap_ok(expected, "reading an edited text gives the lines expected");
	tap_ok(shrunk, "no run of blank lines is left");
	tap_ok(stable, "the same edits again change nothing, and make no line");
	tap_ok(seeded, "without its own lines a candidate has the seed's");
	tap_ok(ordered, "ancestors have lower numbers");
	tap_ok(same && world.lines.nlines == again.lines.nlines, "the same texts give the same");
	close_world(&world);
	close_world(&again);
}

/* How far classes are apart, among those that could be added to. */
static int
lean_of(const World *world, const char *text)
{
	EngineExampleList list;
	int			lean;

	gepa_engine_list_open(&list, &world->config, NULL, text);
	lean = gepa_engine_list_highest(&list) - gepa_engine_list_lowest(&list);
	gepa_engine_list_close(&list);
	return lean;
}

static bool
never_known(void *arg, const char *text)
{
	return false;
}

/* Random edits of lists that the proposer made keep its rules. */
static void
test_random_lists(void)
{
	World		world;
	EngineRandom random;
	bool		good = true,
				balanced = true,
				stable = true;
	int			nchanged = 0;
	const char *list = "";
	int			i;
	int			j;

	open_world(&world, "e");
	gepa_engine_random_seed(&random, 4);
	add(&world, -1, "", NULL);
	for (i = 0; i < 2000; i++)
	{
		EngineExamples request = {list, 0, NULL, NULL, never_known, NULL};
		EngineEdit	edits[4];
		const char *const *texts;
		int			candidate;

		list = gepa_engine_propose_examples(&world.arena, &random, &world.config, &request);
		candidate = add(&world, 0, list, NULL);
		for (j = 0; j < 4; j++)
		{
			edits[j].line = gepa_engine_random_bounded(&random, world.lines.nlines);
			edits[j].drop = gepa_engine_random_bounded(&random, 2) == 0;
		}
		texts = gepa_engine_lines_edit(&world.lines, candidate, edits, 4);
		if (texts == NULL)
			continue;
		nchanged++;
		good = good && *texts[0] != '\0' &&
			gepa_engine_check_examples(&world.config, texts[0]) == NULL;
		balanced = balanced && lean_of(&world, texts[0]) <= Max(1, lean_of(&world, list));
		stable = stable && strcmp(texts[0], list) != 0;
	}
	tap_ok(nchanged > 1000, "random edits change lists (%d)", nchanged);
	tap_ok(good, "edited lists are good ones");
	tap_ok(balanced, "and their classes no further apart");
	tap_ok(stable, "and they differ");
	close_world(&world);
}

/* Texts that are far from what a prompt is like. */
static void
test_hostile(void)
{
	World		world;
	StringInfoData buf;
	EngineRandom random;
	int			i;
	int			j;

	open_world(&world, "t");
	initStringInfo(&buf);
	for (i = 0; i < 500; i++)
		appendStringInfo(&buf, "This is line %d of five hundred lines\n", i);
	add(&world, -1, buf.data, NULL);
	resetStringInfo(&buf);
	for (i = 499; i >= 0; i--)
		appendStringInfo(&buf, "Now it is line %d of five hundred others\n", i);
	add(&world, 0, buf.data, NULL);
	tap_is_int(world.lines.compositions[1].nlines, 500, "500 lines");

	resetStringInfo(&buf);
	for (i = 0; i < 10000; i++)
		appendStringInfoString(&buf, "w ");
	add(&world, 1, buf.data, NULL);
	tap_is_double(world.lines.lines[500].words, 10000, 0.0, "a line of 20,000 characters");

	/* tens of thousands of lines: no table of them */
	for (j = 0; j < 2; j++)
	{
		resetStringInfo(&buf);
		for (i = 0; i < 20000; i++)
			appendStringInfo(&buf, "%x\n", i + j);
		add(&world, 1, buf.data, NULL);
	}
	tap_is_int(world.lines.nlines, ENGINE_MAX_LINES, "no more numbers than can be modelled");
	add(&world, 1, "Now it is line 77 of five hundred others, isn't it", NULL);
	tap_is_string(lines_of(&world, 5), "400", "beyond, a rewrite counts as what it replaced");
	tap_is_string(EDIT(5, "-Now it is line 99 of five hundred others"), "",
				  "... and is dropped as that");

	gepa_engine_random_seed(&random, 77);
	for (i = 0; i < 300; i++)
	{
		const char *const *texts;
		EngineEdit	edits[2];

		resetStringInfo(&buf);
		for (j = gepa_engine_random_bounded(&random, 400); j > 0; j--)
		{
			/* mostly separators and blanks */
			int			c = gepa_engine_random_bounded(&random, 20) == 0 ?
				gepa_engine_random_bounded(&random, 255) + 1 :
				"\n\n \t\r:#-,0a\v"[gepa_engine_random_bounded(&random, 12)];

			appendStringInfoChar(&buf, c);
		}
		j = add(&world, gepa_engine_random_bounded(&random, world.lines.ncandidates), buf.data,
				NULL);
		edits[0].line = gepa_engine_random_bounded(&random, world.lines.nlines);
		edits[1].line = gepa_engine_random_bounded(&random, world.lines.nlines);
		edits[0].drop = false;
		edits[1].drop = true;
		texts = gepa_engine_lines_edit(&world.lines, j, edits, 2);
		if (texts != NULL)
			add_texts(&world, j, texts);
	}
	tap_ok(world.lines.ncandidates > 500, "random bytes are read and edited");
	pfree(buf.data);
	close_world(&world);
}

int
main(void)
{
	test_reading();
	test_odd_texts();
	test_paragraphs();
	test_edit_paragraphs();
	test_edited();
	test_overlap();
	test_hunks();
	test_rewritten();
	test_components();
	test_drop();
	test_add();
	test_edit_odd_texts();
	test_examples();
	test_example_rules();
	test_random_texts();
	test_random_lists();
	test_hostile();
	return tap_done();
}
