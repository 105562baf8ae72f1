/*-------------------------------------------------------------------------
 *
 * vote.c
 *	  Votes: which label wins, and when the rest cannot change that.
 *
 * The label with the most votes wins.  Ties go to none of them, if as many votes had no
 * label, or else to a label that is not positive: a filter keeps nothing that is in
 * doubt.  No document is asked about once more than it takes: as many votes are asked
 * for as the label that needs the fewest lacks, so that the rest is never on its way
 * when it does not matter any more.
 *
 * The threshold has no say in it.  It is no part of what verdicts are stored under, and
 * may move later.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "judge/judge_internal.h"

void
gepa_judge_ballot_begin(JudgeBallot *ballot, const JudgeSpec *spec)
{
	ballot->nlabels = spec->nlabels;
	ballot->positive = spec->positive;
	ballot->votes = spec->votes;
	ballot->cast = 0;
	ballot->counts = palloc0(sizeof(int) * (spec->nlabels + 1));
}

void
gepa_judge_cast(JudgeBallot *ballot, int label)
{
	ballot->cast++;
	ballot->counts[label == JUDGE_NO_LABEL ? ballot->nlabels : label]++;
}

/* Does i win a tie with k? */
static bool
precedes(const JudgeBallot *ballot, int i, int k)
{
	if (i == ballot->nlabels || k == ballot->nlabels)
		return i == ballot->nlabels;
	if (ballot->positive[i] != ballot->positive[k])
		return ballot->positive[k];
	return i < k;
}

/* Is it sure to win with n votes more, though all others of the rest go to one other? */
static bool
wins_with(const JudgeBallot *ballot, int label, int n)
{
	int			rest = ballot->votes - ballot->cast - n;

	for (int k = 0; k <= ballot->nlabels; k++)
	{
		int			lead = ballot->counts[label] + n - ballot->counts[k] - rest;

		if (k != label && (lead < 0 || (lead == 0 && !precedes(ballot, label, k))))
			return false;
	}
	return true;
}

int
gepa_judge_votes_wanted(const JudgeBallot *ballot, int *winner)
{
	int			rest = ballot->votes - ballot->cast;

	for (int n = 0; n <= rest; n++)
		for (int i = 0; i <= ballot->nlabels; i++)
			if (wins_with(ballot, i, n))
			{
				*winner = i == ballot->nlabels ? JUDGE_NO_LABEL : i;
				return n;
			}
	Assert(false);
	return rest;
}

/*
 * The verdict
 */

static char *
list_votes(const JudgeVerdict *votes, int n)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(&buf, i > 0 ? "," : "");
		if (votes[i].label == NULL)
			appendStringInfoString(&buf, "null");
		else
			gepa_json_quote(&buf, votes[i].label);
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

/* By the share of the votes: never quite 0 or 1, as few votes never say so. */
static double
share(int part, int n)
{
	return (part + 0.5) / (n + 1);
}

static void
score_by_votes(const JudgeSpec *spec, const JudgeVerdict *votes, int n, int winner,
			   JudgeVerdict *verdict)
{
	int			labelled = 0;
	int			positive = 0;
	int			won = 0;

	for (int i = 0; i < n; i++)
	{
		int			label = votes[i].label == NULL ? JUDGE_NO_LABEL :
			gepa_judge_label_index(spec, votes[i].label);

		if (label == JUDGE_NO_LABEL)
			continue;
		labelled++;
		positive += spec->positive[label];
		won += label == winner;
	}
	verdict->from_logprobs = false;
	verdict->score = share(positive, labelled);
	verdict->confidence = share(won, labelled);
	verdict->probabilities = NULL;
}

/* By what the model gave each label, in the mean over votes; false if some do not say. */
static bool
score_by_tokens(const JudgeSpec *spec, const JudgeVerdict *votes, int n, int winner,
				JudgeVerdict *verdict)
{
	double	   *mean = palloc0(sizeof(double) * spec->nlabels);
	double		score = 0;
	double		confidence = 0;
	int			labelled = 0;

	for (int i = 0; i < n; i++)
	{
		const JudgeVerdict *vote = &votes[i];

		if (vote->label == NULL)
			continue;
		if (!vote->from_logprobs || vote->probabilities == NULL)
			return false;
		for (int k = 0; k < spec->nlabels; k++)
			mean[k] += vote->probabilities[k];
		score += vote->score;
		confidence += vote->has_confidence && strcmp(vote->label, spec->labels[winner]) == 0 ?
			vote->confidence : vote->probabilities[winner];
		labelled++;
	}
	for (int k = 0; k < spec->nlabels; k++)
		mean[k] /= labelled;
	verdict->from_logprobs = true;
	verdict->score = score / labelled;
	verdict->confidence = confidence / labelled;
	verdict->probabilities = mean;
	return true;
}

/* The first that speaks for what has won. */
static const JudgeVerdict *
find_speaker(const JudgeSpec *spec, const JudgeVerdict *votes, int winner)
{
	const JudgeVerdict *vote = votes;

	while (winner == JUDGE_NO_LABEL ? vote->label != NULL :
		   vote->label == NULL || strcmp(vote->label, spec->labels[winner]) != 0)
		vote++;
	return vote;
}

void
gepa_judge_count_votes(const JudgeSpec *spec, const JudgeVerdict *votes, int n, int winner,
					   JudgeVerdict *verdict)
{
	*verdict = *find_speaker(spec, votes, winner);
	verdict->votes = list_votes(votes, n);
	if (winner == JUDGE_NO_LABEL)
		return;
	if (!score_by_tokens(spec, votes, n, winner, verdict))
		score_by_votes(spec, votes, n, winner, verdict);
	verdict->has_confidence = true;
	verdict->positive = gepa_judge_positive(spec, verdict->label, verdict->score,
											verdict->from_logprobs);
}
