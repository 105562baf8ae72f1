/*-------------------------------------------------------------------------
 *
 * confidence.c
 *	  Grading by how sure a judge is: blends, feedback, objectives.
 *
 * A mistake that the judge was sure of says that the instruction misleads it, and a
 * right answer that it was not sure of that it was lucky; the feedback tells these
 * apart from a plain mistake and a plain success, because they call for different
 * words in the instruction.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "common/shortest_dec.h"

#include "judge/judge_internal.h"

#define HIGH 0.99
#define LOW 0.90
#define TOP_ALTERNATIVES 3

static const char *const blend_names[] = {"linear", "threshold", "sigmoid"};

#define MUST "an object with \"blend\", which is \"linear\" (with \"threshold\" and \"floor\"), \"threshold\" (with \"threshold\") or \"sigmoid\" (with \"midpoint\" and \"steepness\"), and with \"high\" and \"low\""

/*
 * The option
 */

/* Without a blend it is what the adapter takes when it is given none. */
static void
set_defaults(JudgeConfidence *confidence, const GepaJson *blend)
{
	confidence->threshold = confidence->blend == JUDGE_BLEND_THRESHOLD ? 0.7 :
		blend != NULL ? 0.5 : confidence->high;
	confidence->floor = 0.3;
	confidence->midpoint = 0.5;
	confidence->steepness = 10;
}

static bool
read_blend(const GepaJson *value, JudgeBlend *blend)
{
	*blend = JUDGE_BLEND_LINEAR;
	for (int i = 0; value != NULL && i < lengthof(blend_names); i++)
		if (value->kind == GEPA_JSON_STRING && strcmp(value->text, blend_names[i]) == 0)
		{
			*blend = (JudgeBlend) i;
			return true;
		}
	return value == NULL;
}

/* Where a key has its place; NULL if the blend has none of that name. */
static double *
find_number(JudgeConfidence *confidence, const char *key)
{
	bool		sigmoid = confidence->blend == JUDGE_BLEND_SIGMOID;

	if (strcmp(key, "high") == 0)
		return &confidence->high;
	if (strcmp(key, "low") == 0)
		return &confidence->low;
	if (strcmp(key, "threshold") == 0 && !sigmoid)
		return &confidence->threshold;
	if (strcmp(key, "floor") == 0 && confidence->blend == JUDGE_BLEND_LINEAR)
		return &confidence->floor;
	if (strcmp(key, "midpoint") == 0 && sigmoid)
		return &confidence->midpoint;
	if (strcmp(key, "steepness") == 0 && sigmoid)
		return &confidence->steepness;
	return NULL;
}

static const char *
find_problem(const JudgeConfidence *confidence)
{
	if (!(confidence->high > 0 && confidence->high <= 1) ||
		!(confidence->low > 0 && confidence->low < 1) || confidence->low > confidence->high)
		return "an object whose \"high\" is above 0 and at most 1, and whose \"low\" is above 0, below 1 and not above \"high\"";
	if (!(confidence->threshold > 0 && confidence->threshold <= 1))
		return "an object whose \"threshold\" is above 0 and at most 1";
	if (!(confidence->floor >= 0 && confidence->floor < 1))
		return "an object whose \"floor\" is at least 0 and below 1";
	if (!(confidence->midpoint > 0 && confidence->midpoint < 1))
		return "an object whose \"midpoint\" is above 0 and below 1";
	if (!(confidence->steepness > 0 && isfinite(confidence->steepness)))
		return "an object whose \"steepness\" is above 0";
	return NULL;
}

const char *
gepa_judge_read_confidence(const GepaJson *object, JudgeConfidence *confidence)
{
	const GepaJson *blend = gepa_json_get(object, "blend");

	memset(confidence, 0, sizeof(*confidence));
	confidence->high = HIGH;
	confidence->low = LOW;
	if (object != NULL && object->kind != GEPA_JSON_OBJECT)
		return MUST;
	if (!read_blend(blend, &confidence->blend))
		return MUST;
	(void) gepa_json_get_number(object, "high", &confidence->high);
	set_defaults(confidence, blend);
	for (int i = 0; object != NULL && i < object->nitems; i++)
	{
		double	   *number = find_number(confidence, object->keys[i]);

		if (strcmp(object->keys[i], "blend") == 0)
			continue;
		if (number == NULL || !gepa_json_get_number(object, object->keys[i], number))
			return MUST;
	}
	return find_problem(confidence);
}

static void
put_number(StringInfo buf, const char *key, double number)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(number, text);
	appendStringInfo(buf, ",\"%s\":%s", key, text);
}

char *
gepa_judge_confidence_json(const JudgeConfidence *confidence)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"blend\":\"%s\"", blend_names[confidence->blend]);
	if (confidence->blend != JUDGE_BLEND_SIGMOID)
		put_number(&buf, "threshold", confidence->threshold);
	if (confidence->blend == JUDGE_BLEND_LINEAR)
		put_number(&buf, "floor", confidence->floor);
	if (confidence->blend == JUDGE_BLEND_SIGMOID)
	{
		put_number(&buf, "midpoint", confidence->midpoint);
		put_number(&buf, "steepness", confidence->steepness);
	}
	put_number(&buf, "high", confidence->high);
	put_number(&buf, "low", confidence->low);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

/*
 * Scores
 */

double
gepa_judge_blend(const JudgeConfidence *confidence, bool right, bool known, double probability)
{
	if (!right)
		return 0;
	if (!known)
		return 1;
	switch (confidence->blend)
	{
		case JUDGE_BLEND_LINEAR:
			if (probability >= confidence->threshold)
				return 1;
			return confidence->floor +
				(1 - confidence->floor) * (probability / confidence->threshold);
		case JUDGE_BLEND_THRESHOLD:
			return probability >= confidence->threshold ? 1 : 0;
		case JUDGE_BLEND_SIGMOID:
			break;
	}
	return 1 / (1 + exp(-confidence->steepness * (probability - confidence->midpoint)));
}

/* Of the label that counts; where a threshold made it another than was said, of its side. */
static bool
given_probability(const JudgeSpec *spec, const JudgeVerdict *verdict, double *probability)
{
	if (strcmp(gepa_judge_given_label(spec, verdict), verdict->label) == 0)
	{
		*probability = verdict->confidence;
		return verdict->has_confidence;
	}
	*probability = verdict->positive ? verdict->score : 1 - verdict->score;
	return verdict->from_logprobs;
}

static bool
is_right(const JudgeSpec *spec, const char *expected, const JudgeVerdict *verdict)
{
	int			label = gepa_judge_label_index(spec, expected);

	return verdict->status == GEPA_STATUS_OK && label >= 0 &&
		gepa_judge_is_right(spec, label, verdict);
}

double
gepa_judge_grade_confidence(const JudgeSpec *spec, const JudgeConfidence *confidence,
							const char *expected, const JudgeVerdict *verdict)
{
	double		probability;
	bool		known;

	if (!is_right(spec, expected, verdict))
		return 0;
	known = given_probability(spec, verdict, &probability);
	return gepa_judge_blend(confidence, true, known, probability);
}

char *
gepa_judge_confidence_objectives(const JudgeSpec *spec, const char *expected,
								 const JudgeVerdict *verdict)
{
	double		probability = 0;

	if (verdict->status != GEPA_STATUS_OK ||
		!given_probability(spec, verdict, &probability))
		probability = 0;
	return psprintf("{\"accuracy\":%d,\"probability\":%.17g}",
					is_right(spec, expected, verdict), probability);
}

/*
 * Feedback
 */

/* The other labels that were likeliest, and how likely. */
static void
put_alternatives(StringInfo buf, const JudgeSpec *spec, const JudgeVerdict *verdict,
				 const char *given)
{
	bool	   *told = palloc0(sizeof(bool) * spec->nlabels);
	int			ntold;

	for (ntold = 0; ntold < TOP_ALTERNATIVES && verdict->probabilities != NULL; ntold++)
	{
		int			best = -1;

		for (int i = 0; i < spec->nlabels; i++)
			if (!told[i] && strcmp(spec->labels[i], given) != 0 && verdict->probabilities[i] > 0 &&
				(best < 0 || verdict->probabilities[i] > verdict->probabilities[best]))
				best = i;
		if (best < 0)
			break;
		told[best] = true;
		appendStringInfo(buf, "%s \"%s\" %.2f", ntold == 0 ? " Of the other labels it gave" : ",",
						 spec->labels[best], verdict->probabilities[best]);
	}
	if (ntold > 0)
		appendStringInfoChar(buf, '.');
	pfree(told);
}

static void
put_right(StringInfo buf, const JudgeConfidence *confidence, const char *given, bool known,
		  double probability)
{
	if (!known || probability >= confidence->high)
		appendStringInfo(buf, "Right: the label is \"%s\".", given);
	else if (probability >= confidence->low)
		appendStringInfo(buf, "Right: the label is \"%s\", which the judge gave a probability of %.2f.",
						 given, probability);
	else
		appendStringInfo(buf, "Right, but unsure: the label is \"%s\", and the judge gave it a probability of only %.2f. With the present instruction it cannot tell the labels apart here; that it was right is luck.",
						 given, probability);
}

static void
put_wrong(StringInfo buf, const JudgeConfidence *confidence, const char *given,
		  const char *expected, bool known, double probability)
{
	if (!known)
		appendStringInfo(buf, "Wrong: the judge said \"%s\", the right label is \"%s\".", given,
						 expected);
	else if (probability >= confidence->high)
		appendStringInfo(buf, "Wrong, and sure of it: the judge gave \"%s\" a probability of %.2f, but the right label is \"%s\". The instruction misleads it for such documents; it needs a rule that tells \"%s\" from \"%s\".",
						 given, probability, expected, given, expected);
	else if (probability >= confidence->low)
		appendStringInfo(buf, "Wrong: the judge said \"%s\" with a probability of %.2f, the right label is \"%s\". The instruction should guide it better here.",
						 given, probability, expected);
	else
		appendStringInfo(buf, "Wrong, but unsure: the judge said \"%s\" with a probability of %.2f, the right label is \"%s\". Clearer words may be enough.",
						 given, probability, expected);
}

char *
gepa_judge_confidence_feedback(const JudgeSpec *spec, const JudgeConfidence *confidence,
							   const char *expected, const char *sample_feedback,
							   const JudgeVerdict *verdict)
{
	StringInfoData buf;
	const char *given;
	double		probability;
	bool		known;
	bool		right = is_right(spec, expected, verdict);

	if (verdict->status != GEPA_STATUS_OK)
		return gepa_judge_feedback(spec, expected, sample_feedback, verdict);
	initStringInfo(&buf);
	given = gepa_judge_given_label(spec, verdict);
	known = given_probability(spec, verdict, &probability);
	if (right)
		put_right(&buf, confidence, given, known, probability);
	else
		put_wrong(&buf, confidence, given, expected, known, probability);
	if (!right || (known && probability < confidence->high))
		put_alternatives(&buf, spec, verdict, given);
	gepa_judge_put_reasons(&buf, sample_feedback, verdict);
	return buf.data;
}
