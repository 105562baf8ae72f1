/*-------------------------------------------------------------------------
 *
 * sampling.c
 *	  How a judge's answers are made: options votes, effort and thinking_budget.
 *
 * They stand over what the LM's server says.  Votes are several answers to one
 * prompt, which are one answer where the LM does not sample; so this is refused when
 * a version is made, not found out by paying for it.  A server whose settings change
 * later is another LM, which the version refuses anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "judge/judge_internal.h"

#define MAX_VOTES 100
#define MAX_THINKING_BUDGET 1000000

/* As the reasoning_effort of a server. */
static bool
is_word(const char *text)
{
	return text[0] != '\0' && text[strspn(text, "abcdefghijklmnopqrstuvwxyz_")] == '\0';
}

/* A whole number within bounds, into *number; false where the option is not given. */
static bool
read_number(const GepaJson *options, const char *name, int least, int most, int *number)
{
	const GepaJson *value = gepa_json_get(options, name);
	double		given;

	if (value == NULL || value->kind == GEPA_JSON_NULL)
		return false;
	if (!gepa_json_get_number(options, name, &given) || given != floor(given) ||
		given < least || given > most)
		gepa_judge_refuse_option(name, psprintf("Give a whole number from %d to %d.", least, most));
	*number = (int) given;
	return true;
}

void
gepa_judge_read_sampling(JudgeSpec *spec, const GepaJson *options)
{
	const GepaJson *effort = gepa_json_get(options, "effort");

	spec->votes = 0;
	if (read_number(options, "votes", 1, MAX_VOTES, &spec->votes) && spec->votes == 1)
		spec->votes = 0;
	spec->thinking_budget = 0;
	spec->limits_thinking = read_number(options, "thinking_budget", 0, MAX_THINKING_BUDGET,
										&spec->thinking_budget);
	spec->effort = NULL;
	if (effort == NULL || effort->kind == GEPA_JSON_NULL)
		return;
	if (effort->kind != GEPA_JSON_STRING || !is_word(effort->text))
		gepa_judge_refuse_option("effort", "Give a word such as low, medium or high.");
	spec->effort = pstrdup(effort->text);
}

void
gepa_judge_write_sampling(StringInfo buf, const JudgeSpec *spec)
{
	if (spec->votes > 1)
		appendStringInfo(buf, ",\"votes\":%d", spec->votes);
	if (spec->effort != NULL)
		appendStringInfo(buf, ",\"effort\":\"%s\"", spec->effort);
	if (spec->limits_thinking)
		appendStringInfo(buf, ",\"thinking_budget\":%d", spec->thinking_budget);
}

/*
 * Checking
 */

static void
refuse_lm(const JudgeSpec *spec, const LmServer *lm, const char *option, const char *problem,
		  const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("judge \"%s\" cannot have \"%s\" with LM \"%s\": %s",
					spec->name ? spec->name : "", option, lm->name, problem),
			 errhint("%s", hint)));
}

static void
check_thinking(const JudgeSpec *spec, const LmServer *lm)
{
	if (lm->api == LM_API_GEMINI && spec->effort != NULL)
		refuse_lm(spec, lm, "thinking_budget", "it takes an effort or a budget, not both",
				  "Leave one of them out: newer models take \"effort\", older ones \"thinking_budget\".");
	if (lm->max_tokens > 0 && spec->thinking_budget >= lm->max_tokens)
		refuse_lm(spec, lm, "thinking_budget",
				  psprintf("its max_tokens, %d, leaves no room for an answer", lm->max_tokens),
				  "Raise max_tokens of the server, or lower \"thinking_budget\".");
	if (lm->structured_output == LM_STRUCTURED_TOOL && spec->thinking_budget > 0)
		refuse_lm(spec, lm, "thinking_budget", "it is made to call a tool, before which it cannot think",
				  "Set structured_output of the server to json_schema or text.");
}

void
gepa_judge_check_sampling(const JudgeSpec *spec, const LmServer *lm)
{
	if (spec->votes > 1 && lm->temperature != NULL && strtod(lm->temperature, NULL) == 0)
		refuse_lm(spec, lm, "votes", "at temperature 0 its answers to one prompt are one answer",
				  psprintf("Set the temperature of the server, for example ALTER SERVER %s OPTIONS (SET temperature '0.7').",
						   lm->name));
	if (spec->limits_thinking)
		check_thinking(spec, lm);
}
