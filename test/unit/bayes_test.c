/*-------------------------------------------------------------------------
 *
 * bayes_test.c
 *	  The classifier that asks nobody: its arithmetic against a case computed by hand,
 *	  its features, and texts that mean it no good.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "base/draw.h"
#include "common/pg_prng.h"
#include "judge/judge_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

static JudgeFeatures *
features_of(const char *text, size_t length)
{
	JudgeFeatures *features = gepa_judge_features_new();

	gepa_judge_features(text, length, features);
	return features;
}

static JudgeFeatures *
features_in(const char *text)
{
	return features_of(text, strlen(text));
}

static JudgeFeatures *
these(int n, const uint32 *buckets)
{
	JudgeFeatures *features = gepa_judge_features_new();

	features->n = n;
	memcpy(features->buckets, buckets, sizeof(uint32) * n);
	return features;
}

static bool
same(const JudgeFeatures *a, const JudgeFeatures *b)
{
	return a->n == b->n && memcmp(a->buckets, b->buckets, sizeof(uint32) * a->n) == 0;
}

/* Without regard to the order. */
static bool
same_set(const JudgeFeatures *a, const JudgeFeatures *b)
{
	return a->n == b->n && memcmp(a->seen, b->seen, sizeof(a->seen)) == 0;
}

static void
teach(JudgeBayes *bayes, const char *label, const char *text)
{
	JudgeFeatures *features = features_in(text);

	gepa_judge_bayes_learn(bayes, gepa_judge_bayes_add(bayes, label), features);
	pfree(features);
}

static const char *
says(const JudgeBayes *bayes, const char *text)
{
	return bayes->labels[gepa_judge_bayes_classify(bayes, NULL, features_in(text), NULL)];
}

/* Two texts of a, {1 2} and {1 3}; one of b, {2 4}. */
static JudgeBayes *
by_hand(double smoothing)
{
	JudgeBayes *bayes = gepa_judge_bayes_new(smoothing);
	int			a = gepa_judge_bayes_add(bayes, "a");
	int			b = gepa_judge_bayes_add(bayes, "b");

	gepa_judge_bayes_learn(bayes, a, these(2, (uint32[])
/**INDENT** Error@77: Unbalanced parens */
										   {
		1, 2
/**INDENT** Warning@79: Extra ) */
/**INDENT** Warning@79: Extra ) */
	}));
	gepa_judge_bayes_learn(bayes, a, these(2, (uint32[])
/**INDENT** Error@81: Unbalanced parens */
										   {
		1, 3
/**INDENT** Warning@83: Extra ) */
/**INDENT** Warning@83: Extra ) */
	}));
	gepa_judge_bayes_learn(bayes, b, these(2, (uint32[])
/**INDENT** Error@85: Unbalanced parens */
										   {
		2, 4
/**INDENT** Warning@87: Extra ) */
/**INDENT** Warning@87: Extra ) */
	}));
	return bayes;
}

static void
check_by_hand(void)
{
	const double buckets = JUDGE_BAYES_BUCKETS;
	double		logs[2];
	double		a;
	double		b;
	JudgeBayes *part;

	/* {1 2 5}: a has 2, 1, 0 of 4; b has 0, 1, 0 of 2; shares are 3 to 2 */
	a = 3 * (2 + 1) * (1 + 1) * (0 + 1) / pow(4 + buckets, 3);
	b = 2 * (0 + 1) * (1 + 1) * (0 + 1) / pow(2 + buckets, 3);
	tap_is_int(gepa_judge_bayes_classify(by_hand(1), NULL, these(3, (uint32[])
/**INDENT** Error@104: Unbalanced parens */
																 {
		1, 2, 5
/**INDENT** Warning@106: Extra ) */
/**INDENT** Warning@106: Extra ) */
	}), logs), 0,
/**INDENT** Warning@107: Extra ) */
		"a text that is more like a");
	tap_is_double(logs[0], log(a / (a + b)), 1e-12, "log P(a | 1 2 5)");
	tap_is_double(logs[1], log(b / (a + b)), 1e-12, "log P(b | 1 2 5)");

	/* {4} with half a text of smoothing */
	a = 3 * 0.5 / (4 + buckets / 2);
	b = 2 * 1.5 / (2 + buckets / 2);
	tap_is_int(gepa_judge_bayes_classify(by_hand(0.5), NULL, these(1, (uint32[])
/**INDENT** Error@115: Unbalanced parens */
																   {
		4
/**INDENT** Warning@117: Extra ) */
/**INDENT** Warning@117: Extra ) */
	}), logs), 1,
/**INDENT** Warning@118: Extra ) */
		"a text that only b can be");
	tap_is_double(logs[0], log(a / (a + b)), 1e-12, "log P(a | 4)");
	tap_is_double(logs[1], log(b / (a + b)), 1e-12, "log P(b | 4)");

	/* nothing is known: 3 texts with 1 for each label */
	tap_is_int(gepa_judge_bayes_classify(by_hand(1), NULL, these(0, (uint32[])
/**INDENT** Error@124: Unbalanced parens */
																 {
		0
/**INDENT** Warning@126: Extra ) */
/**INDENT** Warning@126: Extra ) */
/**INDENT** Warning@126: Extra ) */
	}), logs), 0, "a text of nothing");
	tap_is_double(logs[0], log(3.0 / 5), 1e-12, "... is as texts are: log P(a)");
	tap_is_double(logs[1], log(2.0 / 5), 1e-12, "... log P(b)");

	/* without the text {1 3} of a */
	part = gepa_judge_bayes_new(1);
	gepa_judge_bayes_add(part, "a");
	gepa_judge_bayes_add(part, "b");
	gepa_judge_bayes_learn(part, 0, these(2, (uint32[])
/**INDENT** Error@135: Unbalanced parens */
										  {
		1, 3
/**INDENT** Warning@137: Extra ) */
/**INDENT** Warning@137: Extra ) */
	}));
	a = 2 * (1 + 1) * (0 + 1) / pow(2 + buckets, 2);
	b = 2 * (0 + 1) * (0 + 1) / pow(2 + buckets, 2);
	gepa_judge_bayes_classify(by_hand(1), part, these(2, (uint32[])
/**INDENT** Error@141: Unbalanced parens */
													  {
		1, 3
/**INDENT** Warning@143: Extra ) */
/**INDENT** Warning@143: Extra ) */
	}), logs);
	tap_is_double(logs[0], log(a / (a + b)), 1e-12, "log P(a | 1 3) without that text");
	tap_is_double(logs[1], log(b / (a + b)), 1e-12, "log P(b | 1 3) without that text");
}

/* What is left out is as if it had not been learned, with counts beyond the table as well. */
static void
check_parts(void)
{
	JudgeBayes *all = gepa_judge_bayes_new(1);
	JudgeBayes *some = gepa_judge_bayes_new(1);
	JudgeBayes *rest = gepa_judge_bayes_new(1);
	double		with[2];
	double		without[2];
	char		text[64];

	for (int i = 0; i < 3 * JUDGE_BAYES_LOGS; i++)
	{
		snprintf(text, sizeof(text), "%s number %d", i % 3 == 0 ? "red" : "blue", i % 17);
		teach(i % 5 == 0 ? some : rest, i % 3 == 0 ? "red" : "blue", text);
	}
	gepa_judge_bayes_sort(some);
	gepa_judge_bayes_sort(rest);
	gepa_judge_bayes_add(all, "blue");
	gepa_judge_bayes_add(all, "red");
	gepa_judge_bayes_join(all, some);
	gepa_judge_bayes_join(all, rest);
	tap_is_int(all->texts[0] + all->texts[1], 3 * JUDGE_BAYES_LOGS, "all texts are in the sum of two parts");
	tap_is_int(gepa_judge_bayes_classify(all, some, features_in("blue number 3"), with),
			   gepa_judge_bayes_classify(rest, NULL, features_in("blue number 3"), without), "one without the other");
	tap_ok(memcmp(with, without, sizeof(with)) == 0, "... is what it was before, to the bit");
	tap_ok(all->counts[0][features_in("blue")->buckets[0]] > JUDGE_BAYES_LOGS, "... with counts that are not in the table");
}

static void
check_features(void)
{
	uint32		word = gepa_siphash(0, UINT64CONST(0x6765706100000100), "cats", 4) % JUDGE_BAYES_BUCKETS;
	JudgeFeatures *seen = features_in("cats");

	tap_is_int(seen->n, 1 + 4, "a word of four letters is itself and \" ca\", \"cat\", \"ats\", \"ts \"");
	tap_is_int(seen->buckets[0], word, "... by a hash that stays");
	tap_is_int(features_in("cats sat")->n, 3 + 8, "two words are a pair as well");
	tap_is_int(features_in("cats cats cats")->n, 2 + 5, "what is said again is seen once");
	tap_ok(same(features_in("The Cats\n\t sat. "), features_in("the cats sat.")), "case and blanks do not matter");
	tap_ok(!same_set(features_in("cats sat"), features_in("sat cats")), "the order of words does");
	tap_is_int(features_in("{}")->n, 3 + 2, "signs are words");
	tap_is_int(features_in("")->n, 0, "an empty text has none");
	tap_is_int(features_in(" \n\t ")->n, 0, "nor has one of blanks");
	tap_is_int(features_in("\xE7\x8C\xAB\xE3\x81\x8C")->n, 1 + 2, "characters of several bytes are not taken apart");
	tap_ok(!same_set(features_in("\xC3\xA9t\xC3\xA9"), features_in("ete")), "... and are letters");
	gepa_judge_features("other words", 11, seen);
	tap_ok(same_set(seen, features_in("other words")), "nothing is left of the text before");
}

/* Never a byte outside: the text ends where its memory does. */
static JudgeFeatures *
features_at_end(const char *text, size_t length)
{
	char	   *exact = malloc(Max(length, 1));
	JudgeFeatures *features;

	memcpy(exact, text, length);
	features = features_of(exact, length);
	free(exact);
	return features;
}

static void
check_hostile(void)
{
	size_t		length = 1024 * 1024;
	char	   *text = malloc(length);
	pg_prng_state state;

	memset(text, 'a', length);
	tap_is_int(features_at_end(text, length)->n, 1 + 3, "a megabyte of one word is four features");
	for (size_t i = 0; i < length; i++)
		text[i] = i % 2 ? '(' : ' ';
	tap_is_int(features_at_end(text, length)->n, 2 + 2, "a megabyte of one sign as well");

	/* the limit is in the middle of a character */
	for (size_t i = 0; i < length; i++)
		text[i] = "\xE2\x82\xAC"[i % 3];
	tap_is_int(features_at_end(text, length)->n, 1 + 3, "a text is cut between characters");
	tap_ok(same(features_at_end(text, length), features_at_end(text, JUDGE_BAYES_BYTES / 3 * 3)), "... at its limit");
	memset(text, 0x80, length);
	tap_ok(features_at_end(text, length)->n > 0, "bytes that begin no character");
	tap_ok(features_at_end("\xF0\x9F", 2)->n > 0, "a character that is cut off");
	tap_ok(features_at_end("a\0b", 3)->n > 0, "a byte of zero");

	pg_prng_seed(&state, 7);
	for (size_t i = 0; i < length; i++)
		text[i] = (char) pg_prng_uint32(&state);
	tap_ok(features_at_end(text, length)->n < 3 * JUDGE_BAYES_BYTES, "random bytes");
	for (int i = 0; i < 2000; i++)
	{
		size_t		start = pg_prng_uint64_range(&state, 0, length - 100);

		pfree(features_at_end(text + start, pg_prng_uint64_range(&state, 0, 99)));
	}
	free(text);
}

static JudgeBayes *
languages(bool backwards)
{
	static const char *const texts[][2] = {
		{"code", "int main(void) { return 0; }"}, {"code", "for (i = 0; i < n; i++) sum += x[i];"},
		{"english", "The cat sat on the mat and looked at the moon."}, {"english", "What is there to see in the house of the king?"},
		{"german", "Die Katze sitzt auf der Matte und schaut den Mond an."}, {"german", "Was gibt es in dem Haus des Herrn zu sehen?"}
	};
	JudgeBayes *bayes = gepa_judge_bayes_new(1);

	for (int i = 0; i < lengthof(texts); i++)
	{
		int			j = backwards ? lengthof(texts) - 1 - i : i;

		teach(bayes, texts[j][0], texts[j][1]);
	}
	gepa_judge_bayes_sort(bayes);
	return bayes;
}

static void
check_model(void)
{
	JudgeBayes *bayes = languages(false);
	JudgeBayes *other = languages(true);
	JudgeBayes *copy = gepa_judge_bayes_new(1);
	JudgeBayes *even = gepa_judge_bayes_new(1);
	size_t		length;
	size_t		length_of_other;
	uint8	   *data = gepa_judge_bayes_pack(bayes, &length);
	uint8	   *data_of_other = gepa_judge_bayes_pack(other, &length_of_other);
	double		logs[3];
	double		logs_of_copy[3];

	tap_is_string(says(bayes, "The moon and the king"), "english", "English");
	tap_is_string(says(bayes, "der Mond und die Herren"), "german", "German");
	tap_is_string(says(bayes, "while (x[i]) { i++; }"), "code", "code");
	tap_ok(length == length_of_other && memcmp(data, data_of_other, length) == 0,
		   "a model does not depend on the order of its texts");
	for (int i = 0; i < bayes->nlabels; i++)
		gepa_judge_bayes_add(copy, bayes->labels[i]);
	tap_ok(gepa_judge_bayes_unpack(copy, data, length), "it can be unpacked");
	gepa_judge_bayes_classify(bayes, NULL, features_in("the Katze (x)"), logs);
	gepa_judge_bayes_classify(copy, NULL, features_in("the Katze (x)"), logs_of_copy);
	tap_ok(memcmp(logs, logs_of_copy, sizeof(logs)) == 0, "... and is the same then, to the bit");
	tap_is_double(exp(logs[0]) + exp(logs[1]) + exp(logs[2]), 1, 1e-12, "posteriors sum up to 1");
	tap_ok(!gepa_judge_bayes_unpack(copy, data, length - 1), "less is refused");
	memset(data, 0xFF, 8);
	tap_ok(!gepa_judge_bayes_unpack(copy, data, length), "a number of texts that cannot be as well");
	teach(even, "b", "same");
	teach(even, "a", "same");
	gepa_judge_bayes_sort(even);
	tap_is_string(says(even, "same"), "a", "of equals the first by name");
	while (even->nlabels < JUDGE_BAYES_LABELS)
		gepa_judge_bayes_add(even, psprintf("label %d", even->nlabels));
	tap_is_int(gepa_judge_bayes_add(even, "one more"), -1, "there is no room for one more");
	tap_is_int(gepa_judge_bayes_add(even, "a"), 0, "... but what is there is found");
}

int
main(void)
{
	check_by_hand();
	check_parts();
	check_features();
	check_hostile();
	check_model();
	return tap_done();
}
