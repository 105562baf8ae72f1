/*-------------------------------------------------------------------------
 *
 * bayes.c
 *	  A classifier of texts that asks nobody: naive Bayes over hashed n-grams.
 *
 * Features of a text are its words, pairs of words that follow one another, and
 * sequences of three characters, all without regard to the case of ASCII letters and
 * to how many blanks there are.  Words tell topics, characters languages (Cavnar and
 * Trenkle, 1994) and texts without blanks between words; a sign such as a brace is a
 * word, which tells code.  Features are hashed into so many counters (Weinberger et
 * al., 2009), so a model has one size, whatever it was trained with.
 *
 * The model is the multinomial one (McCallum and Nigam, 1998) with smoothed counts, and
 * Laplace's rule for the labels' shares, over features that are there or not, however
 * often (Pang, Lee and Vaithyanathan, 2002): a text that says a word a thousand times
 * is no more about it, and the author of a document cannot shout others down.
 *
 *		log P(label | text) = log((texts + 1) / (all texts + labels))
 *			+ sum over features of log((count + s) / (sum of counts + s * buckets))
 *			- the logarithm of the same for all labels together
 *
 * Laplace's own s is 1.  With as many counters as there are, most of them empty, that
 * is more than what a few hundred texts bring, and the label with the most text gets the
 * rest; a hundredth does not drown them (Lidstone's rule).
 *
 * Not the complement of a label (Rennie et al., 2003): it favours rare labels, but
 * what it computes is not a probability of anything.
 *
 * Sums are made in the order of the text and labels compared in that of their bytes,
 * so a text has one label on every machine, up to ties in the last bit of log().
 *
 * Known hole: who knows the training texts can write one that is taken for another
 * label; a classifier decides which judge is asked, not what is kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "mb/pg_wchar.h"

#include "base/draw.h"
#include "base/text.h"
#include "judge/judge_internal.h"

/* "gepa", and the kind of feature: models are kept, so this must stay. */
#define KIND(n) (UINT64CONST(0x6765706100000100) + (n))
#define WORD KIND(0)
#define PAIR KIND(1)
#define CHARACTERS KIND(2)

#define CHARACTERS_TOGETHER 3

/* What is longer has no more to tell. */
#define WORD_BYTES 64

/*
 * Features
 */

JudgeFeatures *
gepa_judge_features_new(void)
{
	JudgeFeatures *features = palloc(sizeof(JudgeFeatures));

	features->n = 0;
	memset(features->seen, 0, sizeof(features->seen));
	return features;
}

static void
see(JudgeFeatures *features, uint64 hash)
{
	uint32		bucket = hash % JUDGE_BAYES_BUCKETS;
	uint8		bit = 1 << (bucket % 8);

	if (features->seen[bucket / 8] & bit)
		return;
	features->seen[bucket / 8] |= bit;
	features->buckets[features->n++] = bucket;
}

static bool
is_blank(char c)
{
	return (unsigned char) c <= ' ' || c == 0x7f;
}

/* Of a word that has several; all but ASCII is. */
static bool
is_letter(char c)
{
	return IS_HIGHBIT_SET(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Small letters, and one space for blanks, also before and behind; returns its length. */
static size_t
normalize(const char *text, size_t length, char *to)
{
	size_t		n = 0;

	to[n++] = ' ';
	for (size_t i = 0; i < length; i++)
	{
		char		c = text[i];

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (!is_blank(c))
			to[n++] = c;
		else if (to[n - 1] != ' ')
			to[n++] = ' ';
	}
	if (to[n - 1] != ' ')
		to[n++] = ' ';
	return n;
}

static void
see_words(JudgeFeatures *features, const char *text, size_t length)
{
	uint64		previous = 0;
	size_t		start = 0;

	while (start < length)
	{
		size_t		end = start + 1;
		uint64		hash;

		if (is_letter(text[start]))
			while (end < length && is_letter(text[end]))
				end++;
		if (text[start] != ' ')
		{
			size_t		bytes = Min(end - start, WORD_BYTES);

			hash = gepa_siphash(0, WORD, text + start, bytes);
			see(features, hash);
			if (previous != 0)
				see(features, gepa_siphash(previous, PAIR, text + start, bytes));
			previous = hash;
		}
		start = end;
	}
}

static void
see_characters(JudgeFeatures *features, const char *text, size_t length)
{
	const char *end = text + length;
	const char *starts[CHARACTERS_TOGETHER] = {0};	/* the latest, oldest
													 * first */

	for (const char *p = text; p < end;)
	{
		const char *next = p + gepa_char_length(PG_UTF8, p, end);

		memmove(starts, starts + 1, sizeof(starts) - sizeof(starts[0]));
		starts[CHARACTERS_TOGETHER - 1] = p;
		if (starts[0] != NULL)
			see(features, gepa_siphash(0, CHARACTERS, starts[0], next - starts[0]));
		p = next;
	}
}

void
gepa_judge_features(const char *text, size_t length, JudgeFeatures *features)
{
	char	   *normal;
	size_t		n;

	for (int i = 0; i < features->n; i++)
		features->seen[features->buckets[i] / 8] = 0;
	features->n = 0;
	if (length > JUDGE_BAYES_BYTES)
	{
		length = JUDGE_BAYES_BYTES;
		/* The byte behind is not in the middle of a character. */
		for (int i = 0; i < 3 && ((unsigned char) text[length] & 0xC0) == 0x80; i++)
			length--;
	}
	normal = palloc(length + 2);
	n = normalize(text, length, normal);
	see_words(features, normal, n);
	see_characters(features, normal, n);
	pfree(normal);
}

/*
 * Labels
 */

JudgeBayes *
gepa_judge_bayes_new(double smoothing)
{
	JudgeBayes *bayes = palloc0(sizeof(JudgeBayes));

	bayes->smoothing = smoothing;
	for (int i = 0; i < JUDGE_BAYES_LOGS; i++)
		bayes->logs[i] = log(i + smoothing);
	return bayes;
}

int
gepa_judge_bayes_find(const JudgeBayes *bayes, const char *label)
{
	for (int i = 0; i < bayes->nlabels; i++)
		if (strcmp(bayes->labels[i], label) == 0)
			return i;
	return -1;
}

int
gepa_judge_bayes_add(JudgeBayes *bayes, const char *label)
{
	int			i = gepa_judge_bayes_find(bayes, label);

	if (i >= 0 || bayes->nlabels == JUDGE_BAYES_LABELS)
		return i;
	i = bayes->nlabels++;
	bayes->labels[i] = pstrdup(label);
	bayes->counts[i] = palloc0(sizeof(uint32) * JUDGE_BAYES_BUCKETS);
	return i;
}

static void
swap(JudgeBayes *bayes, int a, int b)
{
	char	   *label = bayes->labels[a];
	uint32	   *counts = bayes->counts[a];
	int64		texts = bayes->texts[a];
	int64		features = bayes->features[a];

	bayes->labels[a] = bayes->labels[b];
	bayes->counts[a] = bayes->counts[b];
	bayes->texts[a] = bayes->texts[b];
	bayes->features[a] = bayes->features[b];
	bayes->labels[b] = label;
	bayes->counts[b] = counts;
	bayes->texts[b] = texts;
	bayes->features[b] = features;
}

void
gepa_judge_bayes_sort(JudgeBayes *bayes)
{
	for (int i = 1; i < bayes->nlabels; i++)
		for (int j = i; j > 0 && strcmp(bayes->labels[j - 1], bayes->labels[j]) > 0; j--)
			swap(bayes, j - 1, j);
}

/*
 * Learning
 */

void
gepa_judge_bayes_learn(JudgeBayes *bayes, int label, const JudgeFeatures *features)
{
	uint32	   *counts = bayes->counts[label];

	bayes->texts[label]++;
	bayes->features[label] += features->n;
	for (int i = 0; i < features->n; i++)
		counts[features->buckets[i]]++;
}

void
gepa_judge_bayes_join(JudgeBayes *bayes, const JudgeBayes *other)
{
	for (int label = 0; label < bayes->nlabels; label++)
	{
		bayes->texts[label] += other->texts[label];
		bayes->features[label] += other->features[label];
		for (int i = 0; i < JUDGE_BAYES_BUCKETS; i++)
			bayes->counts[label][i] += other->counts[label][i];
	}
}

/*
 * Classifying
 */

/* But for the part that all labels have in common. */
static double
log_likelihood(const JudgeBayes *bayes, const JudgeBayes *without, int label,
			   const JudgeFeatures *features)
{
	const uint32 *counts = bayes->counts[label];
	const uint32 *minus = without ? without->counts[label] : NULL;
	double		texts = (double) bayes->texts[label] - (without ? without->texts[label] : 0);
	double		all = (double) bayes->features[label] - (without ? without->features[label] : 0);
	double		sum = log(texts + 1);

	sum -= features->n * log(all + bayes->smoothing * JUDGE_BAYES_BUCKETS);
	for (int i = 0; i < features->n; i++)
	{
		uint32		bucket = features->buckets[i];
		uint32		count = counts[bucket] - (minus ? minus[bucket] : 0);

		sum += count < JUDGE_BAYES_LOGS ? bayes->logs[count] : log(count + bayes->smoothing);
	}
	return sum;
}

/* Of numbers whose logarithms are given, the logarithm of their sum. */
static double
log_sum(const double *logs, int n, double greatest)
{
	double		sum = 0;

	for (int i = 0; i < n; i++)
		sum += exp(logs[i] - greatest);
	return greatest + log(sum);
}

int
gepa_judge_bayes_classify(const JudgeBayes *bayes, const JudgeBayes *without,
						  const JudgeFeatures *features, double *log_posteriors)
{
	double		logs[JUDGE_BAYES_LABELS];
	double		all;
	int			best = 0;

	for (int label = 0; label < bayes->nlabels; label++)
	{
		logs[label] = log_likelihood(bayes, without, label, features);
		if (logs[label] > logs[best])
			best = label;
	}
	if (log_posteriors == NULL)
		return best;
	all = log_sum(logs, bayes->nlabels, logs[best]);
	for (int label = 0; label < bayes->nlabels; label++)
		log_posteriors[label] = logs[label] - all;
	return best;
}

/*
 * As bytes: for each label its texts, in eight bytes, and its counts, in four each,
 * highest first
 */

#define LABEL_BYTES (8 + 4 * (size_t) JUDGE_BAYES_BUCKETS)

static size_t
put_integer(uint8 *to, uint64 value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (uint8) (value >> (8 * (bytes - 1 - i)));
	return bytes;
}

static uint64
get_integer(const uint8 *from, int bytes)
{
	uint64		value = 0;

	for (int i = 0; i < bytes; i++)
		value = value << 8 | from[i];
	return value;
}

uint8 *
gepa_judge_bayes_pack(const JudgeBayes *bayes, size_t *length)
{
	uint8	   *data = palloc(LABEL_BYTES * Max(bayes->nlabels, 1));
	uint8	   *to = data;

	for (int label = 0; label < bayes->nlabels; label++)
	{
		to += put_integer(to, bayes->texts[label], 8);
		for (int i = 0; i < JUDGE_BAYES_BUCKETS; i++)
			to += put_integer(to, bayes->counts[label][i], 4);
	}
	*length = to - data;
	return data;
}

bool
gepa_judge_bayes_unpack(JudgeBayes *bayes, const uint8 *data, size_t length)
{
	if (length != LABEL_BYTES * bayes->nlabels)
		return false;
	for (int label = 0; label < bayes->nlabels; label++)
	{
		const uint8 *from = data + LABEL_BYTES * label;
		uint64		texts = get_integer(from, 8);

		if (texts > PG_UINT32_MAX)
			return false;
		bayes->texts[label] = texts;
		bayes->features[label] = 0;
		from += 8;
		for (int i = 0; i < JUDGE_BAYES_BUCKETS; i++, from += 4)
		{
			bayes->counts[label][i] = (uint32) get_integer(from, 4);
			bayes->features[label] += bayes->counts[label][i];
		}
	}
	return true;
}
