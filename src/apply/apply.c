/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Judging documents through the verdict store.
 *
 * This is where the one path from document to verdict (src/judge) meets the
 * store: what is known is not asked (here), what was paid is handed over as
 * soon as it arrives (call.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "apply/apply.h"
#include "base/settings.h"

typedef struct Twin
{
	uint8		digest[JUDGE_DIGEST_LENGTH];
	int			first;
} Twin;

static void
check_identity(ApplyJudge *judge, uint8 *digest)
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
	gepa_store_verdict_digest(judge->spec, judge->lm->name, judge->version->owner, digest);
}

ApplyJudge *
gepa_apply_open(StoreVersion *version, LmPurpose purpose)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "gepa judge",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ApplyJudge *judge = palloc0(sizeof(ApplyJudge));
	uint8		digest[JUDGE_DIGEST_LENGTH];

	judge->context = context;
	judge->version = version;
	judge->purpose = purpose;
	judge->spec = version->spec;
	memcpy(digest, version->verdict_digest, JUDGE_DIGEST_LENGTH);
	judge->lm = gepa_lm_resolve(version->lm, GetUserId());
	check_identity(judge, digest);
	gepa_store_account(&judge->account, digest, version->owner, GetUserId());
	MemoryContextSwitchTo(old);
	return judge;
}

void
gepa_apply_close(ApplyJudge *judge)
{
	gepa_lm_free(judge->lm);
	MemoryContextDelete(judge->context);
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
	batch->leases = palloc(sizeof(StoreLease) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		ApplyVerdict *known = &batch->verdicts[i];

		gepa_judge_content_digest(&documents[i], batch->digests[i]);
		gepa_store_lease_note(&batch->leases[i], judge->account.key, batch->digests[i]);
		batch->twin[i] = find_twin(twins, batch->digests[i], i);
		batch->unknown[i] = batch->twin[i] < 0 &&
			!gepa_store_lookup(judge->spec, &judge->account, batch->digests[i],
							   &known->verdict, &known->cached);
	}
	if (twins != NULL)
		hash_destroy(twins);
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
	pfree(batch.leases);
	return batch.verdicts;
}
