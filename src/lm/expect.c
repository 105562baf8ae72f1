/*-------------------------------------------------------------------------
 *
 * expect.c
 *	  What a call will take, before it is sent.  Frontend safe.
 *
 * The most: a token of the vocabularies in use stands for a byte or more of the
 * text, so a request has no more input tokens than bytes; what its JSON has
 * beside the texts (names, quotes, the schema) is room for what a chat template
 * adds.  An endpoint that has counted more is believed.  Output is bounded by
 * max_tokens.  Where that is not set there is no bound, and twice the most that the
 * LM has shown stands in for it.
 *
 * Likely: the most input tokens per byte, and the most output tokens, that calls
 * of this process on the LM have shown.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "lm/lm_budget.h"

/* While nothing is known: English has four bytes per token, JSON has fewer. */
#define FIRST_RATIO (1.0 / 3)
#define FIRST_OUTPUT 64

/* Without max_tokens: an answer with some thinking. */
#define UNBOUNDED_OUTPUT 1024

#define LONGEST_OUTPUT (PG_INT32_MAX / 4)

static void
set_amounts(LmAmounts *amounts, int64 input, int64 output, double input_price,
			double output_price)
{
	amounts->of[LM_CALLS] = 1;
	amounts->of[LM_TOKENS] = input + output;
	amounts->of[LM_COST] = gepa_lm_cost_units((input * input_price + output * output_price) / 1e6);
}

void
gepa_lm_expect(const LmShown *shown, size_t bytes, int max_tokens, double input_price,
			   double output_price, LmExpected *expected)
{
	int64		most_output = max_tokens > 0 ? max_tokens :
		Max(UNBOUNDED_OUTPUT, 2 * (int64) shown->output);
	double		ratio = shown->ratio > 0 ? shown->ratio : FIRST_RATIO;
	int64		input = (int64) ceil(ratio * bytes);
	int64		output = shown->ratio > 0 ? shown->output : FIRST_OUTPUT;

	set_amounts(&expected->most, Max(input, (int64) bytes), most_output, input_price,
				output_price);
	set_amounts(&expected->likely, input, Min(output, most_output), input_price, output_price);
}

void
gepa_lm_show(LmShown *shown, size_t bytes, int input_tokens, int output_tokens)
{
	if (bytes == 0 || input_tokens <= 0)
		return;
	shown->ratio = Max(shown->ratio, (double) input_tokens / bytes);
	shown->output = Max(shown->output, Min(output_tokens, LONGEST_OUTPUT));
}
