/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Judging documents through the verdict store.
 *
 * This is where the one path from document to verdict (src/judge) meets the
 * store: what is known is not asked, what was paid is handed over as soon as
 * it arrives, so that a cancel in the middle of many documents loses nothing
 * that had come in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "api/api_internal.h"
#include "base/settings.h"

static void
check_identity(ApiJudge *judge)
{
	char	   *identity = gepa_lm_identity(judge->lm);

	if (strcmp(identity, judge->spec->lm_identity) == 0)
		return;
	if (!gepa_allow_lm_mismatch)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("settings of LM \"%s\" differ from those that version %d of judge \"%s\" was made for",
						judge->lm->name, judge->version->version, judge->spec->name),
				 errdetail("The version has %s, the LM now %s.",
						   judge->spec->lm_identity, identity),
				 errhint("Set the LM back, make a new version with gepa.alter_judge('%s'), or set gepa.allow_lm_mismatch to run it all the same.",
						 judge->spec->name)));

	/* Forced: such verdicts have a digest of their own. */
	judge->spec->lm_identity = identity;
	gepa_store_verdict_digest(judge->spec, judge->lm->name, judge->version->owner,
							  judge->verdict_digest);
}

ApiJudge *
gepa_api_open_judge(StoreVersion *version)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "gepa judge",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ApiJudge   *judge = palloc0(sizeof(ApiJudge));

	judge->context = context;
	judge->version = version;
	judge->spec = version->spec;
	memcpy(judge->verdict_digest, version->verdict_digest, JUDGE_DIGEST_LENGTH);
	judge->lm = gepa_lm_resolve(version->lm, GetUserId());
	check_identity(judge);
	MemoryContextSwitchTo(old);
	return judge;
}

void
gepa_api_close_judge(ApiJudge *judge)
{
	gepa_lm_free(judge->lm);
	MemoryContextDelete(judge->context);
}

/* The run is kept for the next document. */
static void
open_run(ApiJudge *judge)
{
	MemoryContext old;

	if (judge->run != NULL)
		return;
	old = MemoryContextSwitchTo(judge->context);
	judge->run = gepa_judge_open(judge->spec, judge->lm);
	MemoryContextSwitchTo(old);
}

/* What is on its way is called back. */
static void
drop_run(ApiJudge *judge)
{
	if (judge->run != NULL)
		gepa_judge_close(judge->run);
	judge->run = NULL;
}

static void
hand_over(const ApiJudge *judge, const uint8 *digest, const JudgeVerdict *verdict)
{
	StoreVerdict stored;

	memset(&stored, 0, sizeof(stored));
	memcpy(stored.verdict_digest, judge->verdict_digest, JUDGE_DIGEST_LENGTH);
	memcpy(stored.digest, digest, JUDGE_DIGEST_LENGTH);
	stored.judge = judge->version->judge;
	stored.version = judge->version->version;
	stored.verdict = *verdict;
	gepa_store_hand_over(&stored);
}

/* Index of an earlier document with the same digest, or -1. */
static int
find_twin(uint8 (*digests)[JUDGE_DIGEST_LENGTH], int n)
{
	for (int i = 0; i < n; i++)
		if (memcmp(digests[i], digests[n], JUDGE_DIGEST_LENGTH) == 0)
			return i;
	return -1;
}

static void
collect_all(ApiJudge *judge, uint8 (*digests)[JUDGE_DIGEST_LENGTH], ApiVerdict *verdicts)
{
	JudgeVerdict verdict;
	void	   *tag;

	while (gepa_judge_collect(judge->run, -1, &tag, &verdict))
	{
		int			i = (int) (intptr_t) tag;

		hand_over(judge, digests[i], &verdict);
		if (verdict.fatal)
		{
			JudgeVerdict why = verdict;

			/* Others that have come in by now were paid for. */
			while (gepa_judge_collect(judge->run, 0, &tag, &verdict))
				if (!verdict.fatal)
					hand_over(judge, digests[(intptr_t) tag], &verdict);
			gepa_judge_report(judge->spec, judge->lm, &why);
		}
		verdicts[i].verdict = verdict;
		verdicts[i].cached = false;
	}
}

/* Look documents up and ask for those that are not known. */
static void
judge_documents(ApiJudge *judge, const JudgeDocument *documents, int n,
				uint8 (*digests)[JUDGE_DIGEST_LENGTH], int *twin,
				ApiVerdict *verdicts)
{
	int			calls = 0;

	for (int i = 0; i < n; i++)
	{
		gepa_judge_content_digest(&documents[i], digests[i]);
		twin[i] = find_twin(digests, i);
		if (twin[i] >= 0 ||
			gepa_store_lookup(judge->spec, judge->verdict_digest, digests[i],
							  &verdicts[i].verdict, &verdicts[i].cached))
			continue;
		if (calls++ == 0)
			open_run(judge);
		gepa_judge_submit(judge->run, &documents[i], (void *) (intptr_t) i);
	}
	if (calls > 0)
		collect_all(judge, digests, verdicts);
}

void
gepa_api_apply(ApiJudge *judge, const JudgeDocument *documents, int n,
			   ApiVerdict *verdicts)
{
	uint8		(*digests)[JUDGE_DIGEST_LENGTH] = palloc(sizeof(*digests) * Max(n, 1));
	int		   *twin = palloc(sizeof(int) * Max(n, 1));

	/*
	 * A subtransaction may catch an error, a cancel included, and go on for
	 * long; the judge's context would end, and with it the calls, only with
	 * the query.
	 */
	PG_TRY();
	{
		judge_documents(judge, documents, n, digests, twin, verdicts);
	}
	PG_CATCH();
	{
		drop_run(judge);
		PG_RE_THROW();
	}
	PG_END_TRY();
	for (int i = 0; i < n; i++)
		if (twin[i] >= 0)
			verdicts[i] = verdicts[twin[i]];
	pfree(digests);
	pfree(twin);
}
