/*-------------------------------------------------------------------------
 *
 * lineage.c
 *	  Which line a new one was made from.
 *
 * A line that is a new wording of an earlier one is expected to do what that one
 * does; so it begins with the earlier one's estimate, and a complete rewrite does
 * not fall back to the seed's.  The longest common subsequence of the lines before
 * and after leaves hunks: lines that went, and lines that came in their place.
 * Within a hunk new lines are paired with lines that the text has lost, those of the
 * seed too:
 *
 * - When at least half of the old lines survive, it was an edit: the pairs that
 *   have the most words in common, from LEAST_OVERLAP up, best first; a new line
 *   that is like none is an addition.
 * - When fewer survive, it was a rewrite from scratch: by words as well, but of all lines
 *	  that went and came, since a rewrite puts them in another order; then those left over
 *	  in order within their hunks, whatever they have in common.  (Giving the estimates of
 *	  lines that are left over, when it is shorter, to lines that took the place of the seed's
 *	  was tried: no difference.)
 *
 * Time and memory are bounded: beyond MAX_CELLS of the table of subsequences, all
 * between the common start and end counts as one hunk; beyond MAX_PAIRS lines are paired
 * in order only.  Both are far from what prompts are like.
 *
 * Known hole: words are told by blanks and signs, and only ASCII capitals are
 * folded; in scripts without blanks a line counts as one word, so that a rewording has
 * no ancestor unless all was rewritten.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "common/hashfn.h"

#include "engine/engine_lines.h"

#define LEAST_OVERLAP 0.3
#define LEAST_LETTERS 3			/* of a word that counts */
#define MAX_CELLS (4 * 1000 * 1000)
#define MAX_PAIRS (250 * 1000)

/* One comparison of two lists of lines. */
typedef struct Comparison
{
	const EngineLines *lines;
	const EngineRewrite *rewrite;
	bool	   *kept_before;	/* by place: in the common subsequence? */
	bool	   *kept_after;
	int			nkept;
	bool	   *present;		/* by known line: in the new text? */
	int		   *replaced;		/* by new line */
	bool	   *used;			/* by place before: paired */
} Comparison;

/* A hunk's lines that can be paired, as places in the two lists. */
typedef struct Hunk
{
	int			nold;
	int		   *old;
	int			nnew;
	int		   *new;
} Hunk;

typedef struct WordSet
{
	int			n;
	uint64	   *words;			/* hashes, ascending, distinct */
} WordSet;

typedef struct Pair
{
	double		overlap;
	int			new;			/* places in the hunk */
	int			old;
} Pair;

static void
keep(Comparison *comparison, int before, int after)
{
	comparison->kept_before[before] = true;
	comparison->kept_after[after] = true;
	comparison->nkept++;
}

/*
 * The longest common subsequence of n lines from before on and m from after on;
 * where it could be either, old lines go first.
 */
static void
keep_longest(Comparison *comparison, int before, int n, int after, int m)
{
	const int  *a = comparison->rewrite->before + before;
	const int  *b = comparison->rewrite->after + after;
	uint16	   *table;			/* longest from here to the end; the lesser of
								 * n and m fits, since their product is
								 * bounded */
	int			i;
	int			j;

	if (n == 0 || m == 0 || (int64) (n + 1) * (m + 1) > MAX_CELLS)
		return;
	table = palloc0((Size) (n + 1) * (m + 1) * sizeof(uint16));
#define CELL(i, j) table[(i) * (m + 1) + (j)]
	for (i = n - 1; i >= 0; i--)
		for (j = m - 1; j >= 0; j--)
			CELL(i, j) = a[i] == b[j] ? CELL(i + 1, j + 1) + 1 :
				Max(CELL(i + 1, j), CELL(i, j + 1));
	i = j = 0;
	while (i < n && j < m)
	{
		if (a[i] == b[j])
			keep(comparison, before + i++, after + j++);
		else if (CELL(i + 1, j) >= CELL(i, j + 1))
			i++;
		else
			j++;
	}
#undef CELL
	pfree(table);
}

/* Which lines survive? */
static void
compare(Comparison *comparison)
{
	const EngineRewrite *rewrite = comparison->rewrite;
	int			shorter = Min(rewrite->nbefore, rewrite->nafter);
	int			start = 0;
	int			end = 0;

	while (start < shorter && rewrite->before[start] == rewrite->after[start])
	{
		keep(comparison, start, start);
		start++;
	}
	while (end < shorter - start && rewrite->before[rewrite->nbefore - end - 1] ==
		   rewrite->after[rewrite->nafter - end - 1])
	{
		end++;
		keep(comparison, rewrite->nbefore - end, rewrite->nafter - end);
	}
	keep_longest(comparison, start, rewrite->nbefore - start - end,
				 start, rewrite->nafter - start - end);
}

static bool
is_word_byte(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c >= 0x80;
}

static int
compare_words(const void *a, const void *b)
{
	uint64		left = *(const uint64 *) a;
	uint64		right = *(const uint64 *) b;

	return left < right ? -1 : left > right;
}

static WordSet
read_words(const EngineKnownLine *line)
{
	const unsigned char *c = (const unsigned char *) line->text;
	unsigned char *word = palloc(strlen(line->text) + 1);
	WordSet		set = {0, palloc(line->words * sizeof(uint64))};
	int			allocated = line->words;
	int			distinct = 0;
	int			i;

	while (*c != '\0')
	{
		int			length = 0;
		int			letters = 0;

		for (; is_word_byte(*c); c++)
		{
			word[length++] = *c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c;
			/* bytes that go on with a letter of UTF-8 do not count */
			letters += (*c & 0xC0) != 0x80;
		}
		if (letters >= LEAST_LETTERS)
		{
			if (set.n == allocated)
			{
				allocated *= 2;
				set.words = repalloc(set.words, allocated * sizeof(uint64));
			}
			set.words[set.n++] = hash_bytes_extended(word, length, 0);
		}
		if (*c != '\0')
			c++;
	}
	pfree(word);
	qsort(set.words, set.n, sizeof(uint64), compare_words);
	for (i = 0; i < set.n; i++)
		if (i == 0 || set.words[i] != set.words[i - 1])
			set.words[distinct++] = set.words[i];
	set.n = distinct;
	return set;
}

/* Jaccard: words that both have, of all. */
static double
overlap(const WordSet *left, const WordSet *right)
{
	int			common = 0;
	int			i = 0;
	int			j = 0;

	while (i < left->n && j < right->n)
	{
		int			order = compare_words(&left->words[i], &right->words[j]);

		common += order == 0;
		i += order <= 0;
		j += order >= 0;
	}
	return common == 0 ? 0.0 : (double) common / (left->n + right->n - common);
}

static int
compare_pairs(const void *a, const void *b)
{
	const Pair *left = a;
	const Pair *right = b;

	if (left->overlap != right->overlap)
		return left->overlap > right->overlap ? -1 : 1;
	if (left->new != right->new)
		return left->new < right->new ? -1 : 1;
	return left->old < right->old ? -1 : left->old > right->old;
}

/* By place in the hunk. */
static WordSet *
read_word_sets(const Comparison *comparison, const int *list, const int *places, int n)
{
	WordSet    *sets = palloc(n * sizeof(WordSet));
	int			i;

	for (i = 0; i < n; i++)
		sets[i] = read_words(&comparison->lines->known[list[places[i]]]);
	return sets;
}

static void
free_word_sets(WordSet *sets, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		pfree(sets[i].words);
	pfree(sets);
}

/* The new line was not paired before. */
static void
pair(Comparison *comparison, int new, int old)
{
	const EngineRewrite *rewrite = comparison->rewrite;

	comparison->replaced[rewrite->after[new] - rewrite->first_new] = rewrite->before[old];
	comparison->used[old] = true;
}

static void
pair_by_words(Comparison *comparison, const Hunk *hunk)
{
	const EngineRewrite *rewrite = comparison->rewrite;
	WordSet    *new = read_word_sets(comparison, rewrite->after, hunk->new, hunk->nnew);
	WordSet    *old = read_word_sets(comparison, rewrite->before, hunk->old, hunk->nold);
	Pair	   *pairs = palloc(hunk->nnew * hunk->nold * sizeof(Pair));
	bool	   *done = palloc0(hunk->nnew * sizeof(bool));
	int			n = 0;
	int			i;
	int			j;

	for (i = 0; i < hunk->nnew; i++)
		for (j = 0; j < hunk->nold; j++)
		{
			pairs[n].overlap = overlap(&new[i], &old[j]);
			pairs[n].new = i;
			pairs[n].old = j;
			n += pairs[n].overlap >= LEAST_OVERLAP;
		}
	qsort(pairs, n, sizeof(Pair), compare_pairs);
	for (i = 0; i < n; i++)
	{
		if (done[pairs[i].new] || comparison->used[hunk->old[pairs[i].old]])
			continue;
		done[pairs[i].new] = true;
		pair(comparison, hunk->new[pairs[i].new], hunk->old[pairs[i].old]);
	}
	free_word_sets(new, hunk->nnew);
	free_word_sets(old, hunk->nold);
	pfree(pairs);
	pfree(done);
}

static void
pair_in_order(Comparison *comparison, const Hunk *hunk)
{
	int			i;

	for (i = 0; i < hunk->nnew && i < hunk->nold; i++)
		pair(comparison, hunk->new[i], hunk->old[i]);
}

/* Old lines up to before and new ones up to after. */
static void
read_hunk(Comparison *comparison, Hunk *hunk, int *before, int *after)
{
	const EngineRewrite *rewrite = comparison->rewrite;

	hunk->nold = hunk->nnew = 0;
	for (; *before < rewrite->nbefore && !comparison->kept_before[*before]; (*before)++)
		if (!comparison->present[rewrite->before[*before]] && !comparison->used[*before])
			hunk->old[hunk->nold++] = *before;
	for (; *after < rewrite->nafter && !comparison->kept_after[*after]; (*after)++)
	{
		int			line = rewrite->after[*after];

		/* a line that is there twice is paired where it is first */
		if (line >= rewrite->first_new && !comparison->present[line] &&
			comparison->replaced[line - rewrite->first_new] < 0)
			hunk->new[hunk->nnew++] = *after;
		comparison->present[line] = true;
	}
}

/* All lines that are lost or new, wherever they stand. */
static void
read_all(const Comparison *comparison, Hunk *hunk)
{
	const EngineRewrite *rewrite = comparison->rewrite;
	bool	   *seen = palloc0(comparison->lines->nknown * sizeof(bool));
	int			i;

	hunk->nold = hunk->nnew = 0;
	for (i = 0; i < rewrite->nbefore; i++)
		if (!comparison->kept_before[i] && !comparison->present[rewrite->before[i]])
			hunk->old[hunk->nold++] = i;
	for (i = 0; i < rewrite->nafter; i++)
	{
		if (rewrite->after[i] >= rewrite->first_new && !seen[rewrite->after[i]])
			hunk->new[hunk->nnew++] = i;
		seen[rewrite->after[i]] = true;
	}
	pfree(seen);
}

static bool
can_pair_by_words(const Hunk *hunk)
{
	return hunk->nold > 0 && hunk->nnew > 0 && (int64) hunk->nold * hunk->nnew <= MAX_PAIRS;
}

static void
pair_hunks(Comparison *comparison)
{
	const EngineRewrite *rewrite = comparison->rewrite;
	bool		edited = 2 * comparison->nkept >= rewrite->nbefore;
	Hunk		hunk = {0, palloc(Max(rewrite->nbefore, 1) * sizeof(int)),
	0, palloc(Max(rewrite->nafter, 1) * sizeof(int))};
	int			before = 0;
	int			after = 0;

	if (!edited)
	{
		read_all(comparison, &hunk);
		if (can_pair_by_words(&hunk))
			pair_by_words(comparison, &hunk);
	}
	while (before < rewrite->nbefore || after < rewrite->nafter)
	{
		read_hunk(comparison, &hunk, &before, &after);
		if (edited && can_pair_by_words(&hunk))
			pair_by_words(comparison, &hunk);
		else
			pair_in_order(comparison, &hunk);
		/* past the line that both have */
		before++;
		after++;
	}
	pfree(hunk.old);
	pfree(hunk.new);
}

void
gepa_engine_find_replaced(const EngineLines *lines, const EngineRewrite *rewrite, int *replaced)
{
	Comparison	comparison = {.lines = lines,.rewrite = rewrite};
	int			i;

	comparison.kept_before = palloc0(Max(rewrite->nbefore, 1) * sizeof(bool));
	comparison.kept_after = palloc0(Max(rewrite->nafter, 1) * sizeof(bool));
	comparison.used = palloc0(Max(rewrite->nbefore, 1) * sizeof(bool));
	comparison.present = palloc0(lines->nknown * sizeof(bool));
	comparison.replaced = replaced;
	/* lines that only moved are not lost; new ones are marked as they come */
	for (i = 0; i < rewrite->nafter; i++)
		if (rewrite->after[i] < rewrite->first_new)
			comparison.present[rewrite->after[i]] = true;
	compare(&comparison);
	pair_hunks(&comparison);
	pfree(comparison.kept_before);
	pfree(comparison.kept_after);
	pfree(comparison.used);
	pfree(comparison.present);
}
