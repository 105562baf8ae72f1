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
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "apply/apply.h"
#include "base/settings.h"

/* How many times the calls in flight may be submitted and not collected. */
#define WINDOW_FACTOR 4

typedef struct Twin
{
	uint8		digest[JUDGE_DIGEST_LENGTH];
	int			first;
} Twin;

static void
check_identity(ApplyJudge *judge)
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

ApplyJudge *
gepa_apply_open(StoreVersion *version, LmPurpose purpose)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "gepa judge",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ApplyJudge *judge = palloc0(sizeof(ApplyJudge));

	judge->context = context;
	judge->version = version;
	judge->purpose = purpose;
	judge->spec = version->spec;
	memcpy(judge->verdict_digest, version->verdict_digest, JUDGE_DIGEST_LENGTH);
	judge->lm = gepa_lm_resolve(version->lm, GetUserId());
	check_identity(judge);
	MemoryContextSwitchTo(old);
	return judge;
}

void
gepa_apply_close(ApplyJudge *judge)
{
	gepa_lm_free(judge->lm);
	MemoryContextDelete(judge->context);
}

/* The run is kept for the next document. */
static void
open_run(ApplyJudge *judge)
{
	MemoryContext old;
	LmOrigin	origin = {.purpose = judge->purpose,.judge = judge->version->judge,
	.version = judge->spec->version};

	if (judge->run != NULL)
		return;
	if (judge->spec->version == 0)
		origin.run = judge->version->run;	/* its candidate, not deployed */
	old = MemoryContextSwitchTo(judge->context);
	judge->run = gepa_judge_open(judge->spec, judge->lm, &origin);
	MemoryContextSwitchTo(old);
}

/* What is on its way is called back. */
static void
drop_run(ApplyJudge *judge)
{
	if (judge->run != NULL)
		gepa_judge_close(judge->run);
	judge->run = NULL;
}

static void
hand_over(const ApplyJudge *judge, const uint8 *digest, const JudgeVerdict *verdict)
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

/* Documents by digest; among few there is nothing to find. */
static HTAB *
make_twins(int n)
{
	HASHCTL		ctl = {0};

	if (n < 2)
		return NULL;
	ctl.keysize = JUDGE_DIGEST_LENGTH;
	ctl.entrysize = sizeof(Twin);
	ctl.hcxt = CurrentMemoryContext;
	return hash_create("gepa documents", n, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Index of an earlier document with the digest, or -1. */
static int
find_twin(HTAB *twins, const uint8 *digest, int n)
{
	Twin	   *twin;
	bool		found;

	if (twins == NULL)
		return -1;
	twin = hash_search(twins, digest, HASH_ENTER, &found);
	if (!found)
		twin->first = n;
	return found ? twin->first : -1;
}

/* Raise what no further call can escape; others in by now were paid for. */
static void
give_up(ApplyBatch *batch, const JudgeVerdict *why)
{
	ApplyJudge *judge = batch->judge;
	JudgeVerdict verdict;
	void	   *tag;

	while (gepa_judge_collect(judge->run, 0, &tag, &verdict))
		if (!verdict.fatal)
			hand_over(judge, batch->digests[(intptr_t) tag], &verdict);
	gepa_judge_report(judge->spec, judge->lm, why);
}

/* Collect until no more than so many calls are on their way. */
static void
collect(ApplyBatch *batch, int most)
{
	JudgeRun   *run = batch->judge->run;
	JudgeVerdict verdict;
	void	   *tag;

	while (gepa_judge_pending(run) > most && gepa_judge_collect(run, -1, &tag, &verdict))
	{
		int			i = (int) (intptr_t) tag;

		hand_over(batch->judge, batch->digests[i], &verdict);
		if (verdict.fatal)
			give_up(batch, &verdict);
		batch->verdicts[i].verdict = verdict;
		batch->verdicts[i].cached = false;
	}
}

void
gepa_apply_find(ApplyBatch *batch, ApplyJudge *judge, const JudgeDocument *documents, int n)
{
	HTAB	   *twins = make_twins(n);

	batch->judge = judge;
	batch->n = n;
	batch->documents = documents;
	batch->verdicts = palloc0(sizeof(ApplyVerdict) * Max(n, 1));
	batch->digests = palloc(sizeof(*batch->digests) * Max(n, 1));
	batch->twin = palloc(sizeof(int) * Max(n, 1));
	batch->unknown = palloc(sizeof(bool) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		ApplyVerdict *known = &batch->verdicts[i];

		gepa_judge_content_digest(&documents[i], batch->digests[i]);
		batch->twin[i] = find_twin(twins, batch->digests[i], i);
		batch->unknown[i] = batch->twin[i] < 0 &&
			!gepa_store_lookup(judge->spec, judge->verdict_digest, batch->digests[i],
							   &known->verdict, &known->cached);
	}
	if (twins != NULL)
		hash_destroy(twins);
}

/*
 * Ask for those that are not known.  Enough calls are submitted to keep the LM
 * busy; of the other documents no prompt is made before its turn.
 */
static void
call_unknown(ApplyBatch *batch)
{
	ApplyJudge *judge = batch->judge;
	int			window = judge->lm->max_concurrency * WINDOW_FACTOR;

	for (int i = 0; i < batch->n; i++)
	{
		if (!batch->unknown[i])
			continue;
		open_run(judge);
		collect(batch, window - 1);
		gepa_judge_submit(judge->run, &batch->documents[i], (void *) (intptr_t) i);
	}
	if (judge->run != NULL)
		collect(batch, 0);
}

void
gepa_apply_call(ApplyBatch *batch)
{
	/*
	 * A subtransaction may catch an error, a cancel included, and go on for
	 * long; the judge's context would end, and with it the calls, only with
	 * the query.
	 */
	PG_TRY();
	{
		call_unknown(batch);
	}
	PG_CATCH();
	{
		drop_run(batch->judge);
		PG_RE_THROW();
	}
	PG_END_TRY();
	for (int i = 0; i < batch->n; i++)
		if (batch->twin[i] >= 0)
			batch->verdicts[i] = batch->verdicts[batch->twin[i]];
}

ApplyVerdict *
gepa_apply_documents(ApplyJudge *judge, const JudgeDocument *documents, int n)
{
	ApplyBatch	batch;

	gepa_apply_find(&batch, judge, documents, n);
	gepa_apply_call(&batch);
	pfree(batch.digests);
	pfree(batch.twin);
	pfree(batch.unknown);
	return batch.verdicts;
}
