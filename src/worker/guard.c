/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Does a new text copy a document that the reflection LM was shown?
 *
 * A prompt that quotes training documents is right on these and on no other, and carries
 * them to wherever it is used.  So a text that has n words in a row in common with
 * one of them is no use, unless these words stood in the text that it
 * replaces or in a labeller's feedback, which are meant to be used.
 *
 * A word is a run of letters and digits, compared without regard to the case of
 * ASCII letters; what stands between two words does not matter.  Where a script does not
 * part words by blanks (Chinese, Japanese, Thai, ...) each character is half a
 * word.  So a passage is measured in halves: it is copied when it weighs 2n.  From each
 * place of a text the least passage of that weight is determined by the words alone;
 * their hashes roll along with the two ends of the passage, so that a text is read once, and a
 * document once per text.  What has the same hash is compared word by word.
 *
 * Texts are in the server encoding; outside of UTF-8 every byte above 127 is a letter.
 *
 * Known hole: words that were translated, reordered or reworded are not found.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "worker/worker_guard.h"

#define FACTOR UINT64CONST(0x9E3779B97F4A7C15)	/* of the rolling hash; odd */

typedef struct Word
{
	const char *text;
	int			length;
	int			weight;			/* in halves */
	uint64		hash;
} Word;

/* Words in a row that weigh enough, as a queue. */
typedef struct Passage
{
	int			capacity;
	Word	   *words;
	int			first;
	int			n;
	int			weight;
	uint64		hash;
} Passage;

/* A passage of the text that is looked for. */
typedef struct Entry
{
	uint64		hash;
	int			first;			/* word of the text */
	int			n;				/* 0 = the place is free */
	bool		allowed;
} Entry;

struct WorkerGuard
{
	bool		utf8;
	int			least;			/* weight of a copy */
	uint64	   *powers;			/* of FACTOR */
	int			nwords;
	int			allocated;
	Word	   *words;
	int			size;			/* a power of two */
	Entry	   *table;
};

/*
 * Reading
 */

/* Code point of the character at p, 0 where it is none of UTF-8; sets its length. */
static uint32
read_char(const unsigned char *p, const unsigned char *end, int *length)
{
	int			more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
	uint32		code = *p & (0x3f >> more);

	*length = 1;
	if (*p < 0xc2 || *p > 0xf4 || end - p <= more)
		return 0;
	for (int i = 1; i <= more; i++)
	{
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = (code << 6) | (p[i] & 0x3f);
	}
	*length = 1 + more;
	return code;
}

/* Blanks and punctuation beyond ASCII. */
static bool
is_separator(uint32 code)
{
	return (code >= 0x80 && code <= 0xbf && code != 0xaa && code != 0xb5 && code != 0xba) ||
		code == 0xd7 || code == 0xf7 || code == 0x1680 || (code >= 0x2000 && code <= 0x206f) ||
		(code >= 0x3000 && code <= 0x3020) || code == 0x30fb || code == 0xfeff ||
		(code >= 0xff01 && code <= 0xff0f) || (code >= 0xff1a && code <= 0xff20) ||
		(code >= 0xff3b && code <= 0xff40) || (code >= 0xff5b && code <= 0xff65);
}

/* Of a script that does not part words. */
static bool
is_half_word(uint32 code)
{
	return (code >= 0x0e00 && code <= 0x0eff) ||	/* Thai, Lao */
		(code >= 0x1000 && code <= 0x109f) ||	/* Burmese */
		(code >= 0x1780 && code <= 0x17ff) ||	/* Khmer */
		(code >= 0x3040 && code <= 0x30ff) ||	/* Japanese syllables */
		(code >= 0x3400 && code <= 0x4dbf) ||	/* Chinese characters */
		(code >= 0x4e00 && code <= 0x9fff) || (code >= 0xf900 && code <= 0xfaff) ||
		(code >= 0x20000 && code <= 0x3ffff);
}

/* 0 = it parts words, 1 = half a word by itself, 2 = a letter; sets its length. */
static int
read_kind(const unsigned char *p, const unsigned char *end, bool utf8, int *length)
{
	uint32		code;

	*length = 1;
	if (*p < 0x80)
		return (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
			(*p >= 'A' && *p <= 'Z') ? 2 : 0;
	if (!utf8)
		return 2;
	code = read_char(p, end, length);
	if (is_separator(code))
		return 0;
	return is_half_word(code) ? 1 : 2;
}

static char
fold(char c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* The next word from *p on; false when there is none. */
static bool
next_word(const char **p, const char *end, bool utf8, Word *word)
{
	const unsigned char *at = (const unsigned char *) *p;
	const unsigned char *last = (const unsigned char *) end;
	int			kind = 0;
	int			length = 0;

	while (at < last && (kind = read_kind(at, last, utf8, &length)) == 0)
		at += length;
	if (at >= last)
		return false;
	word->text = (const char *) at;
	word->weight = kind;
	at += length;
	while (kind == 2 && at < last && read_kind(at, last, utf8, &length) == 2)
		at += length;
	*p = (const char *) at;
	word->length = *p - word->text;
	/* FNV-1a, its high bits brought down */
	word->hash = UINT64CONST(0xcbf29ce484222325);
	for (int i = 0; i < word->length; i++)
		word->hash = (word->hash ^ (unsigned char) fold(word->text[i])) *
			UINT64CONST(0x100000001b3);
	word->hash ^= word->hash >> 29;
	return true;
}

/*
 * Passages
 */

static void
init_passage(const WorkerGuard *guard, Passage *passage)
{
	memset(passage, 0, sizeof(Passage));
	passage->capacity = guard->least + 1;
	passage->words = palloc(passage->capacity * sizeof(Word));
}

static void
add_last(Passage *passage, const Word *word)
{
	passage->words[(passage->first + passage->n++) % passage->capacity] = *word;
	passage->weight += word->weight;
	passage->hash = passage->hash * FACTOR + word->hash;
}

static void
drop_first(const WorkerGuard *guard, Passage *passage)
{
	const Word *word = &passage->words[passage->first];

	passage->hash -= word->hash * guard->powers[--passage->n];
	passage->weight -= word->weight;
	passage->first = (passage->first + 1) % passage->capacity;
}

static bool
same_word(const Word *a, const Word *b)
{
	if (a->length != b->length)
		return false;
	for (int i = 0; i < a->length; i++)
		if (fold(a->text[i]) != fold(b->text[i]))
			return false;
	return true;
}

static bool
is_passage(const WorkerGuard *guard, const Entry *entry, const Passage *passage)
{
	if (entry->hash != passage->hash || entry->n != passage->n)
		return false;
	for (int i = 0; i < entry->n; i++)
		if (!same_word(&guard->words[entry->first + i],
					   &passage->words[(passage->first + i) % passage->capacity]))
			return false;
	return true;
}

/* Where the passage is in the table, or the free place for it. */
static Entry *
look_up(const WorkerGuard *guard, const Passage *passage)
{
	uint32		place = (uint32) (passage->hash >> 32) & (guard->size - 1);

	while (guard->table[place].n > 0 && !is_passage(guard, &guard->table[place], passage))
		place = (place + 1) & (guard->size - 1);
	return &guard->table[place];
}

/*
 * The door
 */

static void
keep_word(WorkerGuard *guard, const Word *word)
{
	if (guard->nwords == guard->allocated)
	{
		guard->allocated *= 2;
		guard->words = repalloc(guard->words, guard->allocated * sizeof(Word));
	}
	guard->words[guard->nwords++] = *word;
}

/* The table is at most half full: it has no more passages than words. */
static void
make_table(WorkerGuard *guard)
{
	Passage		passage;
	int			first = 0;

	for (guard->size = 64; guard->size < 2 * guard->nwords;)
		guard->size *= 2;
	guard->table = palloc0(guard->size * sizeof(Entry));
	init_passage(guard, &passage);
	for (int i = 0; i < guard->nwords; i++)
	{
		add_last(&passage, &guard->words[i]);
		for (; passage.weight >= guard->least; first++)
		{
			Entry	   *entry = look_up(guard, &passage);

			if (entry->n == 0)
			{
				entry->hash = passage.hash;
				entry->first = first;
				entry->n = passage.n;
			}
			drop_first(guard, &passage);
		}
	}
	pfree(passage.words);
}

WorkerGuard *
gepa_worker_guard_open(const char *text, int nwords, bool utf8)
{
	WorkerGuard *guard = palloc0(sizeof(WorkerGuard));
	const char *end = text + strlen(text);
	Word		word;

	guard->utf8 = utf8;
	guard->least = 2 * nwords;
	guard->powers = palloc((guard->least + 1) * sizeof(uint64));
	guard->powers[0] = 1;
	for (int i = 1; i <= guard->least; i++)
		guard->powers[i] = guard->powers[i - 1] * FACTOR;
	guard->allocated = 64;
	guard->words = palloc(guard->allocated * sizeof(Word));
	while (next_word(&text, end, utf8, &word))
		keep_word(guard, &word);
	make_table(guard);
	return guard;
}

/*
 * The first passage of another text that is in the table and not allowed.  allow: they
 * all are, from now on.
 */
static const Entry *
scan(WorkerGuard *guard, const char *text, bool allow)
{
	const char *end = text + strlen(text);
	const Entry *found = NULL;
	Passage		passage;
	Word		word;

	init_passage(guard, &passage);
	while (found == NULL && next_word(&text, end, guard->utf8, &word))
	{
		add_last(&passage, &word);
		for (; passage.weight >= guard->least && found == NULL; drop_first(guard, &passage))
		{
			Entry	   *entry = look_up(guard, &passage);

			if (allow)
				entry->allowed = true;
			else if (entry->n > 0 && !entry->allowed)
				found = entry;
		}
	}
	pfree(passage.words);
	return found;
}

void
gepa_worker_guard_allow(WorkerGuard *guard, const char *text)
{
	(void) scan(guard, text, true);
}

char *
gepa_worker_guard_find(WorkerGuard *guard, const char *document)
{
	const Entry *found = scan(guard, document, false);
	const Word *last;
	const char *start;

	if (found == NULL)
		return NULL;
	start = guard->words[found->first].text;
	last = &guard->words[found->first + found->n - 1];
	return pnstrdup(start, last->text + last->length - start);
}

void
gepa_worker_guard_close(WorkerGuard *guard)
{
	pfree(guard->table);
	pfree(guard->words);
	pfree(guard->powers);
	pfree(guard);
}
