/*-------------------------------------------------------------------------
 *
 * judge_internal.h
 *	  What the files of src/judge share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_INTERNAL_H
#define GEPA_JUDGE_JUDGE_INTERNAL_H

#include "lib/stringinfo.h"

#include "base/compat.h"
#include "judge/judge.h"

/* Number of the prompt layout; part of every digest. */
#define JUDGE_LAYOUT 2

/* render.c */

typedef struct JudgePrompt
{
	int			nmessages;
	LmMessage  *messages;
	int			nimages;
	LmImage    *images;
	int			chars_seen;
	int			chars_total;
} JudgePrompt;

/* The fields that a prompt shows; digest is the whole document's. */
typedef struct JudgeView
{
	int			nfields;
	const char *const *names;
	const char *const *texts;	/* whole: cut when they are rendered */
	const uint8 *digest;
} JudgeView;

/* The conversation for the verdict on one document, stable part first. */
extern void gepa_judge_render(const JudgeSpec *spec, const JudgeExample *examples,
							  int nexamples, const JudgeView *view, JudgePrompt *prompt);

/* The same for a step before. */
extern void gepa_judge_render_step(const JudgeSpec *spec, int step, const JudgeView *view,
								   JudgePrompt *prompt);

/*
 * Fields alone, cut and fenced.  Images have placeholders, numbered as they are added to
 * images; without a number where that is NULL.
 */
extern char *gepa_judge_render_view(const JudgeSpec *spec, const JudgeView *view,
									JudgeImages *images);

/* parse.c: the content without blanks and without one pair of fences around it */
extern void gepa_judge_trim_answer(const char *content, const char **start, const char **end);

/* examples.c: NULL and *error instead of raising */
extern JudgeExample *gepa_judge_examples_read(const JudgeSpec *spec, const char *text,
											  int *nexamples, const char **error);

/* score.c */

/*
 * Probability of each label (renormalised) from the tokens of an answer whose
 * label value starts at byte label_start of content.  False when the tokens
 * do not say.
 */
extern bool gepa_judge_score_labels(const JudgeSpec *spec, const LmReply *reply,
									int label_start, bool quoted, double *probability);

/*
 * Probability of the very tokens that a part of the content was written with, by their
 * log-probabilities alone.  False without tokens.
 */
extern bool gepa_judge_joint_probability(const LmReply *reply, int start, int length,
										 double *probability);

/* vote.c: counting votes; frontend safe */

/* A vote without a label counts as one for this, which wins ties. */
#define JUDGE_NO_LABEL (-1)

typedef struct JudgeBallot
{
	int			nlabels;
	const bool *positive;		/* per label */
	int			votes;			/* at most, ever */
	int			cast;
	int		   *counts;			/* per label; behind them those without one */
} JudgeBallot;

extern void gepa_judge_ballot_begin(JudgeBallot *ballot, const JudgeSpec *spec);
extern void gepa_judge_cast(JudgeBallot *ballot, int label);

/*
 * How many more votes have to be cast before a label can be sure to win, whatever the
 * rest say: so many are asked for, and none of them in vain.  0 = it is decided, and
 * *winner is the label, or JUDGE_NO_LABEL.
 */
extern int	gepa_judge_votes_wanted(const JudgeBallot *ballot, int *winner);

/*
 * The verdict of votes of which winner has won.  Sums are not its matter; its strings are
 * those of the votes, or live in the current context.
 */
extern void gepa_judge_count_votes(const JudgeSpec *spec, const JudgeVerdict *votes, int n,
								   int winner, JudgeVerdict *verdict);

/* grade.c */

/* expected is a label's number; of a binary judge the side counts. */
extern bool gepa_judge_is_right(const JudgeSpec *spec, int expected, const JudgeVerdict *verdict);

/* The label that counts: of a binary judge the one on the verdict's side. */
extern const char *gepa_judge_given_label(const JudgeSpec *spec, const JudgeVerdict *verdict);

/* The end of a feedback: why the judge said so, and what the labeller says. */
extern void gepa_judge_put_reasons(StringInfo buf, const char *sample_feedback,
								   const JudgeVerdict *verdict);

/* spec.c: raise 22023 */
GEPA_NORETURN extern void gepa_judge_refuse_option(const char *name, const char *hint);

/* sampling.c: options votes, effort and thinking_budget, read and written back */

extern void gepa_judge_read_sampling(JudgeSpec *spec, const GepaJson *options);
extern void gepa_judge_write_sampling(StringInfo buf, const JudgeSpec *spec);

/* steps.c: options of steps, read and written back */

extern void gepa_judge_read_steps(JudgeSpec *spec, const GepaJson *options);
extern void gepa_judge_write_steps(StringInfo buf, const JudgeSpec *spec);
extern void gepa_judge_check_steps(const JudgeSpec *spec);

/* schema.c: JSON schemas, as far as outputs need them; frontend safe */

/* What is wrong with a schema, or not understood; NULL = nothing. */
extern char *gepa_judge_schema_problem(const GepaJson *schema);

/* How a value breaks a schema without problems; NULL = it does not. */
extern char *gepa_judge_schema_breach(const GepaJson *schema, const GepaJson *value);

/* step_answer.c: asked for, and read; frontend safe */

/* The JSON schema of a step's answer, as text. */
extern char *gepa_judge_step_schema(const JudgeStep *step);

typedef struct JudgeOutput
{
	const char *json;			/* the value as written */
	const char *text;			/* as later steps see it: of a string its
								 * characters */
} JudgeOutput;

/*
 * The outputs in a step's answer, in the order of the step's; NULL when it is not
 * what was asked for, and *why says what is wrong.
 */
extern JudgeOutput *gepa_judge_step_parse(const JudgeStep *step, const char *content, char **why);

/* parse.c: what a reply says of itself, without reading its answer */
extern void gepa_judge_take_reply(const JudgeSpec *spec, const LmReply *reply,
								  JudgeVerdict *verdict);

/* The content without blanks and without one pair of fences around it. */
extern void gepa_judge_trim_answer(const char *content, const char **start, const char **end);

/* course.c: one document's way through a program; frontend safe */

/* What the verdict is made of: what was chosen, or all there is. */
extern const char **gepa_judge_verdict_inputs(const JudgeSpec *spec, int *n);

/* What is the same for all documents. */
typedef struct JudgeProgram
{
	const JudgeSpec *spec;
	char	   *schema;			/* of the verdict's answer */
	char	  **step_schemas;
	JudgeExample *examples;
	int			nexamples;
} JudgeProgram;

typedef struct JudgeCourse
{
	int			step;			/* that is to be asked, or being asked; nsteps
								 * = the verdict's */
	int			chars_seen;
	int			chars_total;
	int			nasked;			/* requests for the verdict */
	int			nanswered;		/* ... that have come back */
	JudgeDocument document;		/* this and what follows: not of a simple
								 * judge that takes no votes */
	uint8		digest[JUDGE_DIGEST_LENGTH];
	JudgeOutput *outputs;		/* of all steps that have answered, in order */
	int			noutputs;
	JudgeVerdict spent;			/* sums over these steps */
	StringInfoData trace;
	JudgeVerdict *votes;		/* that have come back */
	JudgeBallot ballot;
	bool		failed;			/* a vote got no answer: nothing more is asked */
} JudgeCourse;

/* Documents are asked about in several calls. */
static inline bool
gepa_judge_is_course(const JudgeSpec *spec)
{
	return spec->nsteps > 0 || spec->votes > 1;
}

/*
 * Begin one.  That of a program keeps the document, in the current context, in which
 * also gepa_judge_course_take() has to be called then.
 */
extern void gepa_judge_course_begin(const JudgeProgram *program, JudgeCourse *course,
									const JudgeDocument *document, const uint8 *digest);

/* How many requests to send now; 0 = those that are on their way have to come back first. */
extern int	gepa_judge_course_wants(const JudgeProgram *program, const JudgeCourse *course);

/* Requests that are on their way. */
static inline int
gepa_judge_course_waits(const JudgeCourse *course)
{
	return course->nasked - course->nanswered;
}

/*
 * The request of the step that it is at; lives in the current context.  Without a
 * document the one that it was begun with.
 */
extern void gepa_judge_course_ask(const JudgeProgram *program, JudgeCourse *course,
								  const JudgeDocument *document, const uint8 *digest,
								  LmRequest *request);

/*
 * The reply of that step.  True: it was the last one, or has failed, and here is the
 * verdict, whose strings may be those of reply and course.  False: ask what it wants.
 */
extern bool gepa_judge_course_take(const JudgeProgram *program, JudgeCourse *course,
								   const LmReply *reply, JudgeVerdict *verdict);

/* End it where it is: the next step is not asked. */
extern void gepa_judge_course_cancel(const JudgeProgram *program, JudgeCourse *course,
									 JudgeVerdict *verdict);

/* Intervals: the normal quantile that has 2.5 % above it. */
#define Z95 1.959963984540054

/* totals.c: Wilson's score interval of a share p of n, within z standard errors */
extern JudgeInterval gepa_judge_wilson_interval(double p, double n, double z);

#endif							/* GEPA_JUDGE_JUDGE_INTERNAL_H */
