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

/* The whole conversation for one document, stable part first; digest is its content's. */
extern void gepa_judge_render(const JudgeSpec *spec, const JudgeExample *examples,
							  int nexamples, const JudgeDocument *document,
							  const uint8 *digest, JudgePrompt *prompt);

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

/* Intervals: the normal quantile that has 2.5 % above it. */
#define Z95 1.959963984540054

/* totals.c: Wilson's score interval of a share p of n, within z standard errors */
extern JudgeInterval gepa_judge_wilson_interval(double p, double n, double z);

#endif							/* GEPA_JUDGE_JUDGE_INTERNAL_H */
