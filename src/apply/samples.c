/*-------------------------------------------------------------------------
 *
 * samples.c
 *	  Labelled samples through a judge.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "apply/apply.h"

JudgeDocument *
gepa_apply_sample_documents(const StoreSample *samples, int n)
{
	JudgeDocument *documents = palloc(sizeof(JudgeDocument) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		if (samples[i].label[0] == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the samples of the run have no labels to compare with"),
					 errhint("See gain and held_out_n in gepa.runs for what a run by graders has gained.")));
		documents[i] = samples[i].document;
	}
	return documents;
}

JudgeOutcome *
gepa_apply_outcomes(const JudgeSpec *spec, const StoreSample *samples,
					const ApplyVerdict *verdicts, int n)
{
	JudgeOutcome *outcomes = palloc0(sizeof(JudgeOutcome) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		const JudgeVerdict *verdict = &verdicts[i].verdict;
		int			expected = gepa_judge_label_index(spec, samples[i].label);

		outcomes[i].expected = expected >= 0 && spec->positive[expected];
		outcomes[i].decided = verdict->status == GEPA_STATUS_OK;
		outcomes[i].positive = outcomes[i].decided && verdict->positive;
		outcomes[i].scored = outcomes[i].decided && verdict->from_logprobs;
		outcomes[i].score = outcomes[i].decided ? verdict->score : 0;
	}
	return outcomes;
}
