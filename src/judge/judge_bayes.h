/*-------------------------------------------------------------------------
 *
 * judge_bayes.h
 *	  A classifier of texts that asks nobody: naive Bayes over hashed n-grams.
 *	  Part of the door of src/judge.
 *
 * Frontend safe.  Texts are in UTF-8, so that databases of all encodings count
 * alike.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_BAYES_H
#define GEPA_JUDGE_JUDGE_BAYES_H

/* Features are numbers below this: hashes, so that different ones may be one. */
#define JUDGE_BAYES_BUCKETS (1 << 17)

/* So many bytes of a text are looked at, whole characters. */
#define JUDGE_BAYES_BYTES 65536

#define JUDGE_BAYES_LABELS 64
#define JUDGE_BAYES_LOGS 4096

/* What is seen in a text, each once, in the order of first mention. */
typedef struct JudgeFeatures
{
	int			n;
	uint32		buckets[JUDGE_BAYES_BUCKETS];
	uint8		seen[JUDGE_BAYES_BUCKETS / 8];
} JudgeFeatures;

/* In how many texts of each label each feature was seen. */
typedef struct JudgeBayes
{
	int			nlabels;
	char	   *labels[JUDGE_BAYES_LABELS];
	int64		texts[JUDGE_BAYES_LABELS];
	int64		features[JUDGE_BAYES_LABELS];	/* the sum of its counts */
	uint32	   *counts[JUDGE_BAYES_LABELS]; /* by bucket */
	double		smoothing;		/* added to each count; > 0 */
	double		logs[JUDGE_BAYES_LOGS]; /* of small counts with it */
} JudgeBayes;

/* Half a megabyte, in the current context. */
extern JudgeFeatures *gepa_judge_features_new(void);

/* Those of a text, in place of what was there.  Any bytes will do. */
extern void gepa_judge_features(const char *text, size_t length, JudgeFeatures *features);

/* Without labels, in the current context. */
extern JudgeBayes *gepa_judge_bayes_new(double smoothing);

/* The number of a label, -1 = it has none; and with one, unless there is no room. */
extern int	gepa_judge_bayes_find(const JudgeBayes *bayes, const char *label);
extern int	gepa_judge_bayes_add(JudgeBayes *bayes, const char *label);

/* Numbers of labels by their bytes, not by who came first. */
extern void gepa_judge_bayes_sort(JudgeBayes *bayes);

/* A text of that label; and all that another one of the same labels has learned. */
extern void gepa_judge_bayes_learn(JudgeBayes *bayes, int label, const JudgeFeatures *features);
extern void gepa_judge_bayes_join(JudgeBayes *bayes, const JudgeBayes *other);

/*
 * The label that a text most likely has, by what was learned, but for what another one
 * of the same labels, a part of it, has learned (NULL = nothing).  log_posteriors, of
 * each label, may be NULL.  Of equals the first.
 */
extern int	gepa_judge_bayes_classify(const JudgeBayes *bayes, const JudgeBayes *without,
									  const JudgeFeatures *features, double *log_posteriors);

/*
 * Counts as bytes, and back; the latter, for labels that were added in the same order,
 * false for what is no such thing.
 */
extern uint8 *gepa_judge_bayes_pack(const JudgeBayes *bayes, size_t *length);
extern bool gepa_judge_bayes_unpack(JudgeBayes *bayes, const uint8 *data, size_t length);

#endif							/* GEPA_JUDGE_JUDGE_BAYES_H */
