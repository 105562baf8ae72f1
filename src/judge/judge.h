/*-------------------------------------------------------------------------
 *
 * judge.h
 *	  Programs and judges: the door of src/judge.
 *
 * One path from document to verdict: tuning, gepa_judge(), reports and every
 * later caller open a JudgeRun on a JudgeSpec and submit documents to it.  It
 * renders the prompt, calls the LM, parses and scores the answer.  Nothing
 * here reads or writes a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_H
#define GEPA_JUDGE_JUDGE_H

#include "base/json.h"
#include "base/status.h"
#include "lm/lm.h"
#include "judge/judge_image.h"
#include "judge/judge_program.h"

#define JUDGE_DIGEST_LENGTH 32	/* SHA-256 */
#define JUDGE_FENCE_KEY_LENGTH 32

typedef enum JudgeComponentKind
{
	JUDGE_COMPONENT_INSTRUCTION,	/* of the verdict */
	JUDGE_COMPONENT_EXAMPLES,	/* text is a JSON array, see examples.c */
	JUDGE_COMPONENT_STEP		/* the prompt of the step of its name */
} JudgeComponentKind;

typedef struct JudgeComponent
{
	char	   *name;
	JudgeComponentKind kind;
	char	   *text;
} JudgeComponent;

typedef enum JudgeWindow
{
	JUDGE_WINDOW_HEAD,
	JUDGE_WINDOW_HEAD_TAIL,
	JUDGE_WINDOW_HEAD_MIDDLE_TAIL
} JudgeWindow;

/*
 * A judge version, or a candidate that may become one: everything that can
 * change a verdict.  Plain data; whoever builds it owns it.  name, version
 * and fence_key are not part of the digests.
 */
typedef struct JudgeSpec
{
	char	   *name;			/* of the judge, for messages */
	int			version;		/* 0 = not a stored version */
	int			ncomponents;
	JudgeComponent *components; /* order is meaning; one of each step, in
								 * their order, then exactly one instruction */
	int			nsteps;			/* before the verdict's; 0 = simple */
	JudgeStep  *steps;
	int			nverdict_inputs;	/* what the verdict is made of; 0 = all */
	char	  **verdict_inputs;
	int			ninputs;
	char	  **inputs;			/* names of the input fields */
	int			nimages;		/* ... of those that are images */
	char	  **images;
	int			nlabels;
	char	  **labels;
	bool	   *positive;		/* per label */
	bool		reasoning;		/* ask for a reason before the label */
	int			votes;			/* answers that may be asked for; 0 = one */
	char	   *effort;			/* of thinking, over the LM's own; NULL = as
								 * the LM has it */
	bool		limits_thinking;	/* to so many tokens, 0 = none at all: */
	int			thinking_budget;
	JudgeWindow window;
	int			max_chars;		/* per input field, characters */
	double		threshold;		/* positive when score >= threshold; only with
								 * log-probabilities */
	char	   *lm_identity;	/* gepa_lm_identity() it was made for */
	uint8		fence_key[JUDGE_FENCE_KEY_LENGTH];
} JudgeSpec;

/* A document: one text per input field of the spec, none of them NULL. */
typedef struct JudgeDocument
{
	int			nfields;
	const char *const *fields;
} JudgeDocument;

/*
 * Tokens, attempts, calls, cost and latency are those of all steps.
 */
typedef struct JudgeVerdict
{
	GepaStatus	status;
	const char *label;			/* one of the spec's labels; NULL unless ok */
	bool		positive;		/* meaningful only if ok */
	double		score;			/* in [0,1]; meaningful only if ok */
	bool		from_logprobs;	/* score is a probability, not 0/1 */
	bool		has_confidence; /* of the label, by itself: */
	double		confidence;
	double	   *probabilities;	/* of each label, summing to 1; NULL = not
								 * known */
	char	   *reasoning;		/* the reason in the answer, or NULL; without
								 * one the thinking, unless the spec says how
								 * much of that there is to be */
	char	   *thinking;		/* before the answer; NULL = none, or it is
								 * the reasoning */
	char	   *votes;			/* JSON array of the labels that were voted
								 * for, null for a vote without one; NULL = no
								 * vote was taken */
	char	   *answer;			/* raw answer, for records; or NULL */
	char	   *trace;			/* what the steps said, JSON text; NULL for a
								 * simple judge that takes no votes */
	int			asked;			/* steps that were, votes counted each; 0 = it
								 * was not called for */
	int			failed_step;	/* which one has ended it, from 1; 0 = none,
								 * or the last */
	char	   *detail;			/* why not ok */
	char	   *hint;
	bool		fatal;			/* see LmReply */
	bool		rejected;		/* see LmReply */
	int			sqlerrcode;
	int			input_tokens;
	int			output_tokens;
	int			attempts;
	int			calls;			/* requests sent */
	int			throttled;		/* see LmReply; not stored */
	double		cost;
	double		latency_ms;
	int			chars_seen;
	int			chars_total;
} JudgeVerdict;

/* spec.c */

/*
 * Options of create_judge: fills inputs, reasoning, window, max_chars,
 * threshold and the examples component from a JSON object; unknown keys and
 * bad values raise 22023 with the list of valid ones.  With a NULL options the
 * defaults are set.  Labels must be set before.
 */
extern void gepa_judge_apply_options(JudgeSpec *spec, const GepaJson *options);

/* Raise 22023 unless the spec is complete and coherent. */
extern void gepa_judge_check_spec(const JudgeSpec *spec);

/* sampling.c: raise 22023 where an LM cannot sample, or think, as the spec wants it. */
extern void gepa_judge_check_sampling(const JudgeSpec *spec, const LmServer *lm);

/*
 * Digest over everything that can change a verdict.  with_threshold: the
 * digest of the version; without: of what its verdicts depend on.
 */
extern void gepa_judge_digest(const JudgeSpec *spec, bool with_threshold,
							  uint8 *digest);

/* Digest of a document's fields, whole (before windowing). */
extern void gepa_judge_content_digest(const JudgeDocument *document,
									  uint8 *digest);

/* A part of a SHA-256 is as good a hash as any. */
static inline uint32
gepa_judge_hash_digest(const uint8 *digest)
{
	uint32		hash;

	memcpy(&hash, digest, sizeof(hash));
	return hash;
}

/* Positive or not, given a stored label and score. */
extern bool gepa_judge_positive(const JudgeSpec *spec, const char *label,
								double score, bool from_logprobs);

/* Index of a label in the spec, -1 if it is none. */
extern int	gepa_judge_label_index(const JudgeSpec *spec, const char *label);

/* Window names as in SQL. */
extern const char *gepa_judge_window_name(JudgeWindow window);

/* The options object that gepa_judge_apply_options() would read back. */
extern char *gepa_judge_options_json(const JudgeSpec *spec);

/* window.c */

typedef struct JudgeCut
{
	const char *text;			/* what the model sees, gaps marked; the text
								 * itself if it is all seen */
	int			chars_seen;
	int			chars_total;
} JudgeCut;

/*
 * Cut a text to at most max_chars characters by policy; valid in the server
 * encoding whatever the input's length.  The place of the middle window is
 * a function of the text alone.
 */
extern JudgeCut gepa_judge_cut(const char *text, JudgeWindow window, int max_chars);

/* examples.c */

/*
 * The examples component is a JSON array of objects
 *   {"document": {field: windowed text, ...}, "label": ..., "digest": hex}
 * where digest is the content digest of the whole document.  An example
 * whose digest equals that of the document being judged is left out.
 */
typedef struct JudgeExample
{
	char	  **fields;			/* ninputs texts, windowed */
	char	   *label;
	uint8		digest[JUDGE_DIGEST_LENGTH];
} JudgeExample;

/* Parse; raises 22023 when malformed, or when a label is not the spec's. */
extern JudgeExample *gepa_judge_examples_parse(const JudgeSpec *spec,
											   const char *text, int *nexamples);

/* One array element for a training document, as JSON text. */
extern char *gepa_judge_example_json(const JudgeSpec *spec,
									 const JudgeDocument *document, const char *label);

/* run.c */

typedef struct JudgeRun JudgeRun;

/*
 * Judge documents with one spec, concurrently up to the limits of its LMs.
 * The run owns a child of the current memory context; spec and servers must
 * outlive it; origin is copied.  submit copies the document, unless the spec has images:
 * then it must live until it is collected.  digest is that of its content if the caller
 * has it, else NULL.  collect waits
 * for the next finished document (timeout as gepa_lm_batch_collect) and
 * returns false when none is there; the verdict's strings live in the current
 * context.
 */
extern JudgeRun *gepa_judge_open(const JudgeSpec *spec, const JudgeServers *servers,
								 const LmOrigin *origin);
extern void gepa_judge_submit(JudgeRun *run, const JudgeDocument *document,
							  const uint8 *digest, void *tag);
extern bool gepa_judge_collect(JudgeRun *run, int timeout_ms, void **tag,
							   JudgeVerdict *verdict);

/* Charge the calls of all steps, as gepa_lm_batch_charge(). */
extern void gepa_judge_charge(JudgeRun *run, LmBudget *budget);

/* Documents that were submitted and not collected. */
extern int	gepa_judge_pending(const JudgeRun *run);

/* Calls of all steps, as gepa_lm_batch_... */
extern int	gepa_judge_sent(const JudgeRun *run);
extern int	gepa_judge_peak(const JudgeRun *run);
extern int	gepa_judge_due_ms(const JudgeRun *run);

/*
 * Send nothing more.  A document of whose steps one is answered, and another was to
 * come, has status cancelled.
 */
extern void gepa_judge_stop(JudgeRun *run);
extern void gepa_judge_close(JudgeRun *run);

/* Raise a verdict that is not ok as an ERROR that names judge and LM. */
extern void gepa_judge_report(const JudgeSpec *spec, const JudgeServers *servers,
							  const JudgeVerdict *verdict);

/* parse.c */

/* The JSON schema of the answer, as text. */
extern char *gepa_judge_schema(const JudgeSpec *spec);

/*
 * Turn a reply into label, score, reasoning and status.  Never raises.  The
 * score renormalises the probabilities of the labels at the token(s) where
 * they part.
 */
extern void gepa_judge_parse(const JudgeSpec *spec, const LmReply *reply,
							 JudgeVerdict *verdict);

/* grade.c */

typedef enum JudgeMetric
{
	JUDGE_METRIC_LABEL,			/* 1 when right, 0 when wrong */
	JUDGE_METRIC_SCORE,			/* probability given to the right side */
	JUDGE_METRIC_RANKING,		/* as score, until gepa_judge_rank() */
	JUDGE_METRIC_CONFIDENCE		/* right, and sure of it: see
								 * gepa_judge_grade_confidence() */
} JudgeMetric;

/* The label of a verdict that counts: of a binary judge the one on its side. */
extern const char *gepa_judge_given_label(const JudgeSpec *spec, const JudgeVerdict *verdict);

/* Score of a rollout in [0,1]; a verdict that is not ok scores 0. */
extern double gepa_judge_grade(const JudgeSpec *spec, JudgeMetric metric,
							   const char *expected, const JudgeVerdict *verdict);

/*
 * Metric "ranking" of rollouts that were made together: the share of those of
 * the other side that a rollout's score is on the right side of, ties half.
 * The mean over all, as over either side, is the area under the ROC curve
 * (Hanley and McNeil, 1982), so no threshold matters.  expected[i] is a label's
 * text.  scores are the ones of gepa_judge_grade(), and are replaced; one
 * without a verdict stays 0 and is compared with none; without any of the
 * other side they stay.
 */
extern void gepa_judge_rank(const JudgeSpec *spec, int n, const char *const *expected,
							const JudgeVerdict *const *verdicts, double *scores);

/*
 * Feedback text for reflection: expected label, given label, the judge's
 * reasoning and the sample's own feedback (may be NULL); for a failed verdict
 * what was wrong with the answer.
 */
extern char *gepa_judge_feedback(const JudgeSpec *spec, const char *expected,
								 const char *sample_feedback, const JudgeVerdict *verdict);

/* A document as the judge saw it: windowed and fenced, all fields; [image] for an image. */
extern char *gepa_judge_render_document(const JudgeSpec *spec,
										const JudgeDocument *document);

/* The default reflection template for instructions; two placeholders. */
extern const char *gepa_judge_reflection_template(void);

#include "judge/judge_bayes.h"
#include "judge/judge_confidence.h"
#include "judge/judge_measure.h"
#include "judge/judge_grader.h"
#include "judge/judge_recipe.h"
#include "judge/judge_totals.h"

/* tradeoff.c */

/* A judge's quality (with its interval) and what it costs; NaN = not known. */
typedef struct JudgeTradeoff
{
	double		quality;
	double		low;
	double		high;
	double		cost;
	bool		dominated;		/* another is as good and as cheap, and better
								 * in one */
	bool		surely_dominated;	/* ... with an interval that lies above
									 * this one's */
} JudgeTradeoff;

/* Set both flags of each.  Frontend safe. */
extern void gepa_judge_trade_off(JudgeTradeoff *points, int n);

#endif							/* GEPA_JUDGE_JUDGE_H */
