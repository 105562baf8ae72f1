/*-------------------------------------------------------------------------
 *
 * judge_confidence.h
 *	  The metric "confidence": a part of the door of src/judge, which includes it.
 *
 * A right answer scores the more the surer the judge is of it, a wrong one nothing.
 * How sure it is, is the joint probability of the tokens that the label is written
 * with, or of votes without log-probabilities their share; where neither is known a
 * right answer scores 1.  The blends, their defaults and their bounds are those of the
 * reference's confidence adapter.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_JUDGE_JUDGE_CONFIDENCE_H
#define GEPA_JUDGE_JUDGE_CONFIDENCE_H

typedef enum JudgeBlend
{
	JUDGE_BLEND_LINEAR,			/* from floor at 0 to 1 at threshold */
	JUDGE_BLEND_THRESHOLD,		/* 1 from threshold on, else 0 */
	JUDGE_BLEND_SIGMOID			/* 1 / (1 + exp(-steepness (p - midpoint))) */
} JudgeBlend;

typedef struct JudgeConfidence
{
	JudgeBlend	blend;
	double		threshold;
	double		floor;
	double		midpoint;
	double		steepness;
	double		high;			/* from here on feedback calls an answer sure */
	double		low;			/* ... and below this one unsure */
} JudgeConfidence;

/*
 * Fill in from run option "confidence", an object, or NULL for what the adapter does by
 * default.  Returns NULL, or what the option must be.
 */
extern const char *gepa_judge_read_confidence(const GepaJson *object, JudgeConfidence *confidence);

/* The object that would be read back. */
extern char *gepa_judge_confidence_json(const JudgeConfidence *confidence);

/* A score in [0,1]; probability matters only if it is known. */
extern double gepa_judge_blend(const JudgeConfidence *confidence, bool right, bool known,
							   double probability);

/* As gepa_judge_grade() and gepa_judge_feedback(). */
extern double gepa_judge_grade_confidence(const struct JudgeSpec *spec,
										  const JudgeConfidence *confidence,
										  const char *expected,
										  const struct JudgeVerdict *verdict);
extern char *gepa_judge_confidence_feedback(const struct JudgeSpec *spec,
											const JudgeConfidence *confidence,
											const char *expected, const char *sample_feedback,
											const struct JudgeVerdict *verdict);

/* {"accuracy": 0 or 1, "probability": p}, p being 0 where it is not known. */
extern char *gepa_judge_confidence_objectives(const struct JudgeSpec *spec, const char *expected,
											  const struct JudgeVerdict *verdict);

#endif							/* GEPA_JUDGE_JUDGE_CONFIDENCE_H */
