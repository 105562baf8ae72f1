/*-------------------------------------------------------------------------
 *
 * diff_test.c
 *	  Word differences: by hand, and that both texts can be read off any.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/pg_prng.h"
#include "lib/stringinfo.h"

#include "base/diff.h"
#include "tap.h"

/* What is written is not freed. */
TAP_IGNORE_LEAKS();

/* The text before or after, read off a difference. */
static char *
read_off(const char *diff, bool after)
{
	StringInfoData text;
	bool		gone = false;
	bool		come = false;

	initStringInfo(&text);
	while (*diff != '\0')
	{
		if (strncmp(diff, "[-", 2) == 0 || strncmp(diff, "{+", 2) == 0)
		{
			gone = *diff == '[';
			come = *diff == '{';
			diff += 2;
		}
		else if (strncmp(diff, "-]", 2) == 0 || strncmp(diff, "+}", 2) == 0)
		{
			gone = come = false;
			diff += 2;
		}
		else
		{
			if (!(after ? gone : come))
				appendStringInfoChar(&text, *diff);
			diff++;
		}
	}
	return text.data;
}

static char *
random_text(pg_prng_state *state, int words)
{
	static const char *const vocabulary[] = {"a", "b", "c", "dd", "\n", "é"};
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < words; i++)
		appendStringInfo(&text, "%s%s", i > 0 ? " " : "",
						 vocabulary[pg_prng_uint64_range(state, 0, lengthof(vocabulary) - 1)]);
	return text.data;
}

static void
check_random(uint64 seed)
{
	pg_prng_state state;
	int			wrong = 0;

	pg_prng_seed(&state, seed);
	for (int i = 0; i < 2000; i++)
	{
		char	   *a = random_text(&state, (int) pg_prng_uint64_range(&state, 0, 12));
		char	   *b = random_text(&state, (int) pg_prng_uint64_range(&state, 0, 12));
		char	   *diff = gepa_word_diff(a, b);

		wrong += strcmp(read_off(diff, false), a) != 0 || strcmp(read_off(diff, true), b) != 0;
	}
	tap_ok(wrong == 0, "both texts can be read off (seed %d)", (int) seed);
}

static void
check_bound(void)
{
	StringInfoData a,
				b;
	char	   *diff;

	initStringInfo(&a);
	initStringInfo(&b);
	for (int i = 0; i < GEPA_DIFF_MAX_EDITS; i++)
	{
		appendStringInfo(&a, "a%d ", i);
		appendStringInfo(&b, "b%d ", i);
	}
	diff = gepa_word_diff(a.data, b.data);
	tap_ok(strcmp(read_off(diff, false), a.data) == 0 &&
		   strcmp(read_off(diff, true), b.data) == 0, "texts that have nothing in common");
}

int
main(void)
{
	tap_is_string(gepa_word_diff("", ""), "", "nothing");
	tap_is_string(gepa_word_diff("one two", "one two"), "one two", "no difference");
	tap_is_string(gepa_word_diff("", "one two"), "{+one two+}", "all new");
	tap_is_string(gepa_word_diff("one two", ""), "[-one two-]", "all gone");
	tap_is_string(gepa_word_diff("is it good?", "is it very good?"), "is it {+very +}good?",
				  "a word more");
	tap_is_string(gepa_word_diff("is it very good?", "is it good?"), "is it [-very -]good?",
				  "a word less");
	tap_is_string(gepa_word_diff("a b c", "a x c"), "a [-b-]{+x+} c", "another word");
	tap_is_string(gepa_word_diff("one", "one\ntwo"), "one{+\ntwo+}", "a line more");
	for (int seed = 1; seed <= 3; seed++)
		check_random(seed);
	check_bound();
	return tap_done();
}
