/*-------------------------------------------------------------------------
 *
 * judge_grader.h
 *	  Graders: what says how good an output is.
 *
 * A grader is plain data, made from its options.  What it says of one output is a
 * JudgeGraderResult.  The kinds labels and format answer at once; rubric and reward
 * model need a call to an LM, for which they make the request and read the reply;
 * a function is the caller's to call, its answer is read here.
 *
 * Nothing here raises, but gepa_judge_grader_parse().
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_GRADER_H
#define GEPA_JUDGE_JUDGE_GRADER_H

#include "judge/judge.h"

typedef enum JudgeGraderKind
{
	JUDGE_GRADER_LABELS,
	JUDGE_GRADER_RUBRIC,
	JUDGE_GRADER_REWARD_MODEL,
	JUDGE_GRADER_FUNCTION,
	JUDGE_GRADER_FORMAT
} JudgeGraderKind;

#define JUDGE_NGRADER_KINDS (JUDGE_GRADER_FORMAT + 1)

/* How a reward model is asked. */
typedef enum JudgeRewardApi
{
	JUDGE_REWARD_CLASSIFY,		/* in order of LmScoring */
	JUDGE_REWARD_SCORE,
	JUDGE_REWARD_POOLING,
	JUDGE_REWARD_CHAT
} JudgeRewardApi;

typedef struct JudgeCriterion
{
	char	   *name;
	char	   *description;
	double		low;			/* ends of the scale */
	double		high;
	double		weight;
} JudgeCriterion;

typedef struct JudgeClassWeight
{
	char	   *label;
	double		weight;
} JudgeClassWeight;

typedef struct JudgeGrader
{
	char	   *name;
	JudgeGraderKind kind;
	char	   *lm;				/* NULL = needs none */
	char	   *lm_identity;	/* ... as it is now */
	char	   *options;		/* as given, JSON text */
	uint8		fence_key[JUDGE_FENCE_KEY_LENGTH];
	uint8		digest[JUDGE_DIGEST_LENGTH];	/* of all that can change a
												 * result */

	/* rubric, reward model */
	bool		on_document;	/* grades the document itself, not the output */
	char	   *instructions;	/* or NULL */
	bool		show_label;
	int			max_chars;		/* per field; format: of the answer, 0 = any */
	int			ncriteria;
	JudgeCriterion *criteria;
	JudgeRewardApi api;
	double		low;
	double		high;
	char	   *class_label;	/* or NULL */

	/* labels */
	int			nordinal;
	char	  **ordinal;
	int			nweights;
	JudgeClassWeight *weights;

	/* function */
	char	   *function;		/* as given, to be resolved by the caller */

	/* format */
	int			nrequired;
	char	  **required;
	GepaJson   *schema;			/* or NULL */
} JudgeGrader;

/* A sample as graders see it. */
typedef struct JudgeGraderSample
{
	const char *key;			/* NULL = none */
	int			ninputs;
	const char *const *names;
	const char *const *inputs;
	const char *label;			/* NULL = none, as the following */
	const char *feedback;
} JudgeGraderSample;

/* What a program made of it. */
typedef struct JudgeGraderOutput
{
	GepaStatus	status;
	const char *label;			/* the one that counts; NULL unless ok */
	bool		scored;			/* the following two are known */
	double		score;
	bool		positive;
	const char *reasoning;		/* NULL = none, as the following */
	const char *answer;			/* raw */
	const char *detail;
	const char *trace;			/* JSON text */
} JudgeGraderOutput;

/*
 * Without a status of ok there is no score, never an invented one.  skipped: it was not
 * asked, because there is no output; its score is then 0.
 */
typedef struct JudgeGraderResult
{
	GepaStatus	status;
	bool		skipped;
	bool		cached;			/* nothing was paid for it */
	double		score;			/* in [0,1]; NaN = none */
	char	   *feedback;		/* or NULL */
	int			nobjectives;	/* beside the score */
	char	  **objective_names;
	double	   *objectives;
	char	   *detail;			/* why not ok */
	char	   *hint;
	char	   *sqlstate;		/* of a function's error */
	bool		fatal;			/* as in LmReply, as the following */
	bool		rejected;
	int			sqlerrcode;
	int			calls;
	int			input_tokens;
	int			output_tokens;
	double		cost;
} JudgeGraderResult;

/* grader.c */

extern const char *gepa_judge_grader_kind_name(JudgeGraderKind kind);

/*
 * Fill a grader, whose name, kind and lm are set, from its options; raises 22023 on unknown
 * keys and bad values, with the valid ones.
 */
extern void gepa_judge_grader_parse(JudgeGrader *grader, const char *options);
extern bool gepa_judge_grader_kind(const char *name, JudgeGraderKind *kind);

/* Does it need a label of the sample? */
extern bool gepa_judge_grader_needs_label(const JudgeGrader *grader);

/* Set its digest; name and owner are no part of it. */
extern void gepa_judge_grader_digest(JudgeGrader *grader);

/* grader_score.c */

/* Is it asked although there is no output? */
extern bool gepa_judge_grader_is_asked(const JudgeGrader *grader, GepaStatus status);

/* Kinds labels and format, and any that is not asked: the result. */
extern void gepa_judge_grader_answer(const JudgeGrader *grader, const JudgeGraderSample *sample,
									 const JudgeGraderOutput *output, JudgeGraderResult *result);

/* 1 - distance on the ordinal scale, or 0 for what is not on it. */
extern double gepa_judge_ordinal_score(int n, char *const *ordinal, const char *expected,
									   const char *given);

/* 1 when right, else 1 - the expected class's weight over the greatest (others have 1). */
extern double gepa_judge_weighted_score(int n, const JudgeClassWeight *weights,
										const char *expected, const char *given);

/*
 * A result of the document itself becomes one of the output, by how far the judge's
 * score is from it.
 */
extern void gepa_judge_grader_relate(const JudgeGraderOutput *output, JudgeGraderResult *result);

/* Read what a function returned: an object or a number, as JSON text; NULL = SQL NULL. */
extern void gepa_judge_grader_read_value(const char *json, JudgeGraderResult *result);

/* What several graders make of one output together. */
typedef struct JudgeGraderMix
{
	double		score;			/* weighted mean; NaN when one has none */
	char	   *feedback;		/* each one's under its name */
	char	   *objectives;		/* JSON object, name -> score */
	char	   *graders;		/* JSON array of what each said */
	int			calls;
	int			input_tokens;
	int			output_tokens;
	double		cost;
} JudgeGraderMix;

extern void gepa_judge_grader_mix(int n, const JudgeGrader *const *graders,
								  const double *weights, const JudgeGraderResult *results,
								  const char *labeller, JudgeGraderMix *mix);

/* A result as JSON text, for the cache, and back; false when it is not one. */
extern char *gepa_judge_grader_result_json(const JudgeGraderResult *result);
extern bool gepa_judge_grader_result_parse(const char *json, JudgeGraderResult *result);

/* Objects as functions get them. */
extern char *gepa_judge_grader_sample_json(const JudgeGraderSample *sample);
extern char *gepa_judge_grader_output_json(const JudgeGraderOutput *output);

/* agree.c: formulas and sources in docs/graders.md */

/* A labelled sample and what a grader made of it. */
typedef struct JudgeGraded
{
	bool		expected;		/* the label is positive */
	double		rank;			/* of the label, in their order */
	double		score;			/* the grader's, in [0,1] */
} JudgeGraded;

/*
 * accuracy, kappa (both cut at 0.5), kappa_best_cut, spearman, auroc, each with a seeded
 * percentile bootstrap of 95 %, and best_cut itself.
 */
extern JudgeMeasure *gepa_judge_agreement(const JudgeGraded *rows, int n, uint64 seed,
										  int *nmeasures);

/* grader_prompt.c */

/*
 * The request of a kind that calls an LM, and a digest of what it shows, by which its
 * result may be kept.  What is shown of the output is cut and fenced as documents are.
 */
extern void gepa_judge_grader_request(const JudgeGrader *grader,
									  const JudgeGraderSample *sample,
									  const JudgeGraderOutput *output,
									  LmRequest *request, uint8 *digest);
extern void gepa_judge_grader_read(const JudgeGrader *grader, const LmReply *reply,
								   JudgeGraderResult *result);

#endif							/* GEPA_JUDGE_JUDGE_GRADER_H */
