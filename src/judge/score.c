/*-------------------------------------------------------------------------
 *
 * score.c
 *	  Probabilities of the labels from the log-probabilities of an answer.
 *
 * A server that constrains the answer by a grammar reports the probabilities
 * the model had before the grammar cut them, so mass lies on tokens that
 * could never be chosen.  What counts is how the model divides its mass among
 * the labels, at the token(s) where these part: there the alternatives are
 * summed by label and renormalised.
 *
 * Labels may share beginnings ("good", "great"), so the walk goes on along
 * the chosen tokens while more than one label is possible, and multiplies.
 * Tokens need not end where the label value begins: a token may bring the
 * opening quote along, or the closing one.
 *
 * A label that is written in another case than it was asked for in (an answer that no
 * schema holds to it) is compared so with all labels and alternatives.  Of a label
 * without quotes nobody sees whether it was to end where another one goes on: it has
 * no score then.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <math.h>

#include "judge/judge_internal.h"

typedef struct Walk
{
	const JudgeSpec *spec;
	const char *content;
	int			label_start;	/* byte offset of the label value */
	char	  **rendered;		/* labels as they stand in the answer */
	bool		quoted;			/* ... with the quote that ends them */
	bool		folds;			/* the answer has its label in another case */
	bool	   *possible;		/* still, after the tokens walked */
	int			npossible;
	double	   *probability;
	double		remaining;		/* mass of the labels still possible */
} Walk;

/*
 * The part of an alternative's text that falls into the label value: written
 * is where the answer stands before the token.  NULL when the alternative
 * leaves the text before the label.
 */
static char *
label_part(const Walk *walk, int written, const char *token)
{
	int			before = walk->label_start - written;

	if (before <= 0)
		return psprintf("%.*s%s", -before, walk->content + walk->label_start, token);
	if ((int) strlen(token) < before ||
		strncmp(token, walk->content + written, before) != 0)
		return NULL;
	return pstrdup(token + before);
}

/* What may stand behind a label without quotes, be it a value of JSON or all there is. */
static bool
is_end(const char *text)
{
	text += strspn(text, " \t\r\n");
	return *text == '\0' || strchr(".\",}", *text) != NULL;
}

static bool
is_beginning(const Walk *walk, const char *label, const char *part, size_t n)
{
	return walk->folds ? pg_strncasecmp(label, part, n) == 0 : strncmp(label, part, n) == 0;
}

/* One text is a beginning of the other; what follows a label ends it. */
static bool
agrees(const Walk *walk, const char *label, const char *part)
{
	size_t		n = Min(strlen(label), strlen(part));

	return is_beginning(walk, label, part, n) &&
		(walk->quoted || part[n] == '\0' || is_end(part + n));
}

/*
 * Give the mass p of an alternative to the labels it agrees with.  If the
 * chosen token leaves one of them possible, the mass goes on with it (returns
 * it); labels left behind together share it alike, as nothing will tell.
 */
static double
give_mass(const Walk *walk, const char *part, double p, const bool *after, double *sums)
{
	int			n = 0;

	for (int i = 0; i < walk->spec->nlabels; i++)
	{
		if (!walk->possible[i] || !agrees(walk, walk->rendered[i], part))
			continue;
		if (after[i])
			return p;
		n++;
	}
	for (int i = 0; i < walk->spec->nlabels; i++)
		if (walk->possible[i] && agrees(walk, walk->rendered[i], part))
			sums[i] += p / n;
	return 0;
}

/*
 * Sum the alternatives of one token.  sums[i] gets what falls to label i; the
 * return value is what goes on to the labels that the chosen token leaves
 * possible.
 */
static double
sum_alternatives(const Walk *walk, const LmToken *token, int written,
				 const bool *after, double *sums)
{
	double		onward = 0;

	for (int k = 0; k < token->nalternatives; k++)
	{
		char	   *part = label_part(walk, written, token->alternatives[k].token);

		if (part != NULL && part[0] != '\0')
			onward += give_mass(walk, part, exp(token->alternatives[k].logprob),
								after, sums);
	}
	return onward;
}

static bool
includes_chosen(const LmToken *token)
{
	for (int k = 0; k < token->nalternatives; k++)
		if (strcmp(token->alternatives[k].token, token->token) == 0)
			return true;
	return false;
}

/* Take one token; false when it decides nothing it could be trusted in. */
static bool
take_token(Walk *walk, const LmToken *token, int written)
{
	int			n = walk->spec->nlabels;
	bool	   *after = palloc0(sizeof(bool) * n);
	double	   *sums = palloc0(sizeof(double) * n);
	char	   *part = label_part(walk, written, token->token);
	int			nafter = 0;
	double		onward;
	double		total = 0;

	for (int i = 0; i < n; i++)
	{
		after[i] = walk->possible[i] && part != NULL && agrees(walk, walk->rendered[i], part);
		nafter += after[i];
	}
	if (nafter == 0)
		return false;
	if (nafter == walk->npossible)
		return true;			/* the labels do not part here */

	onward = sum_alternatives(walk, token, written, after, sums);
	if (!includes_chosen(token))
		onward += exp(token->logprob);
	for (int i = 0; i < n; i++)
		total += sums[i];
	total += onward;
	if (!(total > 0))
		return false;
	for (int i = 0; i < n; i++)
	{
		if (walk->possible[i] && !after[i])
			walk->probability[i] = walk->remaining * sums[i] / total;
		walk->possible[i] = after[i];
	}
	walk->remaining *= onward / total;
	walk->npossible = nafter;
	return true;
}

bool
gepa_judge_score_labels(const JudgeSpec *spec, const LmReply *reply, int label_start,
						bool quoted, double *probability)
{
	Walk		walk = {0};
	int			written = 0;

	if (reply->ntokens == 0)
		return false;
	walk.spec = spec;
	walk.content = reply->content;
	walk.label_start = label_start;
	walk.rendered = palloc(sizeof(char *) * spec->nlabels);
	walk.possible = palloc(sizeof(bool) * spec->nlabels);
	walk.npossible = spec->nlabels;
	walk.probability = probability;
	walk.remaining = 1.0;
	walk.quoted = quoted;
	walk.folds = true;
	for (int i = 0; i < spec->nlabels; i++)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		gepa_json_quote(&buf, spec->labels[i]);
		walk.rendered[i] = quoted ? buf.data + 1 : spec->labels[i];
		walk.possible[i] = true;
		probability[i] = 0;
		if (strncmp(walk.rendered[i], walk.content + label_start, strlen(walk.rendered[i])) == 0)
			walk.folds = false;
	}

	for (int t = 0; t < reply->ntokens && walk.npossible > 1; t++)
	{
		int			length = (int) strlen(reply->tokens[t].token);

		if (written + length > label_start &&
			!take_token(&walk, &reply->tokens[t], written))
			return false;
		written += length;
	}
	for (int i = 0; i < spec->nlabels; i++)
		if (walk.possible[i])
			probability[i] = walk.npossible == 1 ? walk.remaining : 0;
	return walk.npossible == 1;
}

bool
gepa_judge_joint_probability(const LmReply *reply, int start, int length, double *probability)
{
	double		sum = 0;
	int			written = 0;
	bool		any = false;

	for (int t = 0; t < reply->ntokens && written < start + length; t++)
	{
		int			bytes = (int) strlen(reply->tokens[t].token);

		written += bytes;
		if (bytes == 0 || written <= start)
			continue;
		sum += reply->tokens[t].logprob;
		any = true;
	}
	*probability = Min(exp(sum), 1.0);
	return any;
}
