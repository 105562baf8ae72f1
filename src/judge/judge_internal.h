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

#include "judge/judge.h"

/* Number of the prompt layout; part of every digest. */
#define JUDGE_LAYOUT 2

/* render.c */

typedef struct JudgePrompt
{
	int			nmessages;
	LmMessage  *messages;
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

/* Fields alone, cut and fenced. */
extern char *gepa_judge_render_view(const JudgeSpec *spec, const JudgeView *view);

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
extern void gepa_judge_take_reply(const LmReply *reply, JudgeVerdict *verdict);

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
	JudgeDocument document;		/* this and what follows: not of a simple
								 * judge */
	uint8		digest[JUDGE_DIGEST_LENGTH];
	JudgeOutput *outputs;		/* of all steps that have answered, in order */
	int			noutputs;
	JudgeVerdict spent;			/* sums over these steps */
	StringInfoData trace;
} JudgeCourse;

/*
 * Begin one.  That of a program keeps the document, in the current context, in which
 * also gepa_judge_course_take() has to be called then.
 */
extern void gepa_judge_course_begin(const JudgeProgram *program, JudgeCourse *course,
									const JudgeDocument *document, const uint8 *digest);

/* The request of the step that it is at; lives in the current context. */
extern void gepa_judge_course_ask(const JudgeProgram *program, JudgeCourse *course,
								  const JudgeDocument *document, const uint8 *digest,
								  LmRequest *request);

/*
 * The reply of that step.  True: it was the last one, or has failed, and here is the
 * verdict, whose strings may be those of reply and course.  False: ask the next.
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
