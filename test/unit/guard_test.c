/*-------------------------------------------------------------------------
 *
 * guard_test.c
 *	  Passages copied from documents: what counts as a word, what is allowed,
 *	  hostile bytes, and that a found passage is one, against a plain search.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "lib/stringinfo.h"

#include "tap.h"
#include "worker/worker_guard.h"

/* What is found of a document in a text, with nothing or one text allowed. */
static char *
find(const char *text, const char *document, int nwords, const char *allowed, bool utf8)
{
	WorkerGuard *guard = gepa_worker_guard_open(text, nwords, utf8);
	char	   *result;

	if (allowed != NULL)
		gepa_worker_guard_allow(guard, allowed);
	result = gepa_worker_guard_find(guard, document);
	gepa_worker_guard_close(guard);
	return result;
}

static void
found_beside(const char *text, const char *document, int nwords, const char *allowed,
			 const char *expected, const char *name)
{
	char	   *result = find(text, document, nwords, allowed, true);

	tap_is_string(result, expected, name);
	if (result != NULL)
		pfree(result);
}

static void
found(const char *text, const char *document, int nwords, const char *expected, const char *name)
{
	found_beside(text, document, nwords, NULL, expected, name);
}

static void
test_words(void)
{
	const char *document = "The quick brown fox jumps over the lazy dog.";

	found("Note: the quick, BROWN\n  fox jumps!", document, 5, "the quick, BROWN\n  fox jumps",
		  "case, blanks and punctuation do not matter");
	found("the quick brown fox", document, 5, NULL, "one word too few is no copy");
	found("the quick brown cat jumps over the lazy dog", document, 5, "jumps over the lazy dog",
		  "a word that differs parts two passages");
	found("the quick brown fox-jumps", document, 5, "the quick brown fox-jumps",
		  "a hyphen parts words");
	found("the quick brown foxjumps over", document, 5, NULL, "words are whole words");
	found("over the lazy dog", document, 4, "over the lazy dog", "at the end of both");
	found("", document, 5, NULL, "an empty text copies nothing");
	found("the quick brown fox jumps", "", 5, NULL, "an empty document is not copied");
	found("dog", document, 1, "dog", "a passage may be a single word");
	found("a a a a a a", "b a a a b", 3, "a a a", "words that repeat");
	found("a a a a a a", "b a a b a a", 3, NULL, "... as often as they do");
}

static void
test_allowed(void)
{
	const char *document = "one two three four five six seven eight nine ten";

	found_beside("two three four five", document, 3, "zero two three four five", NULL,
				 "what the parent says is no copy");
	found_beside("two three four five", document, 3, "two three four", "three four five",
				 "but what goes beyond it is");
	found_beside("two three four five", document, 3, "two three, five four five",
				 "two three four", "words that the parent has in another order are");
	found_beside("two three four. Two three four.", document, 3, "TWO THREE FOUR", NULL,
				 "it is allowed wherever it stands");
}

static void
test_scripts(void)
{
	found("nöch ein größeres Haus", "Da steht nöch ein größeres Haus.", 4,
		  "nöch ein größeres Haus", "letters beyond ASCII are letters");
	found("nochx ein größeres Haus", "nöch ein größeres Haus", 4, NULL, "and differ");
	/* eight characters of a script without blanks weigh as much as four words */
	found("\xe6\x88\x91\xe4\xbb\xac\xe4\xbb\x8a\xe5\xa4\xa9\xe5\x8e\xbb\xe5\x85\xac\xe5\x9b\xad\xe7\x8e\xa9",
		  "x\xe6\x88\x91\xe4\xbb\xac\xe4\xbb\x8a\xe5\xa4\xa9\xe5\x8e\xbb\xe5\x85\xac\xe5\x9b\xad\xe7\x8e\xa9y", 4,
		  "\xe6\x88\x91\xe4\xbb\xac\xe4\xbb\x8a\xe5\xa4\xa9\xe5\x8e\xbb\xe5\x85\xac\xe5\x9b\xad\xe7\x8e\xa9",
		  "Chinese characters are half a word each");
	found("\xe6\x88\x91\xe4\xbb\xac\xe4\xbb\x8a\xe5\xa4\xa9\xe5\x8e\xbb\xe5\x85\xac\xe5\x9b\xad",
		  "\xe6\x88\x91\xe4\xbb\xac\xe4\xbb\x8a\xe5\xa4\xa9\xe5\x8e\xbb\xe5\x85\xac\xe5\x9b\xad\xe7\x8e\xa9", 4,
		  NULL, "seven of them are not enough");
	found("\xe6\x88\x91\xe4\xbb\xac use SQL", "so \xe6\x88\x91\xe4\xbb\xac, use sql", 3,
		  "\xe6\x88\x91\xe4\xbb\xac use SQL", "scripts may be mixed");
	found("a\xe3\x80\x82" "b c", "a b\xc2\xa0" "c", 3, "a\xe3\x80\x82" "b c",
		  "punctuation and blanks of other scripts part words");
}

static void
test_bytes(void)
{
	char	   *result;

	found("a \xff\xc3 b c", "\xe6 a \xff\xc3 b c \xf0\x9f", 3, "a \xff\xc3 b",
		  "bytes that are no characters do no harm");
	result = find("na\xefve \xe9t\xe9 x", "NA\xefVE \xe9t\xe9 x.", 3, NULL, false);
	tap_is_string(result, "na\xefve \xe9t\xe9 x", "in another encoding every high byte is a letter");
	pfree(result);
}

/* Words of a few letters, so that passages do occur by chance. */
static char *
draw_text(uint32 *state, int nwords)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < nwords; i++)
	{
		*state = *state * 1664525 + 1013904223;
		appendStringInfo(&buf, "%s%c", i > 0 ? " " : "", 'a' + (*state >> 16) % 3);
	}
	return buf.data;
}

/* All words are one letter and one blank. */
static bool
has_passage(const char *text, const char *passage, int length)
{
	for (int i = 0; i + length <= (int) strlen(text); i += 2)
		if (strncmp(text + i, passage, length) == 0)
			return true;
	return false;
}

static void
test_against_plain_search(void)
{
	uint32		state = 1;
	int			nfound = 0;
	bool		same = true;

	for (int round = 0; round < 3000; round++)
	{
		int			n = 1 + round % 6;
		char	   *text = draw_text(&state, 1 + round % 12);
		char	   *document = draw_text(&state, 1 + round % 25);
		char	   *allowed = draw_text(&state, 1 + round % 9);
		char	   *result = find(text, document, n, allowed, true);
		bool		expected = false;

		for (int i = 0; i + 2 * n - 1 <= (int) strlen(text); i += 2)
			expected = expected || (has_passage(document, text + i, 2 * n - 1) &&
									!has_passage(allowed, text + i, 2 * n - 1));
		same = same && expected == (result != NULL);
		if (result != NULL)
		{
			nfound++;
			same = same && (int) strlen(result) == 2 * n - 1 &&
				has_passage(document, result, 2 * n - 1) &&
				has_passage(text, result, 2 * n - 1) &&
				!has_passage(allowed, result, 2 * n - 1);
			pfree(result);
		}
		pfree(allowed);
		pfree(document);
		pfree(text);
	}
	tap_ok(same, "random texts: found where a plain search finds, and nowhere else");
	tap_ok(nfound > 300 && nfound < 2700, "of which some have copies and some have not: %d",
		   nfound);
}

/* A long document and a long text that agree in all but every eighth word. */
static void
test_long(void)
{
	StringInfoData text;
	StringInfoData document;

	initStringInfo(&text);
	initStringInfo(&document);
	for (int i = 0; i < 300000; i++)
	{
		appendStringInfo(&document, "w%d ", i % 7);
		appendStringInfo(&text, i % 8 == 7 ? "other " : "w%d ", i % 7);
	}
	found(text.data, document.data, 8, NULL, "texts of 300,000 words that never agree for long");
	appendStringInfoString(&text, "w3 w4 w5 w6 w0 w1 w2 w3");
	found(text.data, document.data, 8, "w3 w4 w5 w6 w0 w1 w2 w3", "and a copy at their end");
	pfree(document.data);
	pfree(text.data);
}

int
main(void)
{
	test_words();
	test_allowed();
	test_scripts();
	test_bytes();
	test_against_plain_search();
	test_long();
	return tap_done();
}
