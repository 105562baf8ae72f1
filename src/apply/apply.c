/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  A judge's version, ready to judge for a user.
 *
 * This folder is where the one path from document to verdict (src/judge) meets
 * the store: what is known is not asked, what was paid is handed over as soon as
 * it arrives (stream.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "apply/apply.h"
#include "base/settings.h"

static void
check_identity(ApplyJudge *judge, uint8 *digest)
{
	const char *expected;
	char	   *found;
	const LmServer *lm = gepa_judge_find_mismatch(judge->spec, judge->servers, &expected, &found);

	if (lm == NULL)
		return;
	if (!gepa_allow_lm_mismatch)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("settings of LM \"%s\" differ from those that version %d of judge \"%s\" was made for",
						lm->name, judge->version->version, judge->spec->name),
				 errdetail("The version has %s, the LM now %s.", expected, found),
				 errhint("Set the LM back, make a new version with gepa.alter_judge('%s'), or set gepa.allow_lm_mismatch to run it all the same.",
						 judge->spec->name)));

	/* Forced: such verdicts have a digest of their own. */
	gepa_judge_identify(judge->spec, judge->servers);
	gepa_store_verdict_digest(judge->spec, judge->lm->name, judge->version->owner, digest);
}

/* A worker's calls are no statement's. */
static LmBudget *
open_budget(const ApplyJudge *judge)
{
	LmCharge	charge = {.judge = judge->version->judge,.judge_name = judge->spec->name};

	charge.statement = judge->purpose == LM_PURPOSE_JUDGE ||
		(judge->purpose == LM_PURPOSE_REPORT && MyBackendType != B_BG_WORKER);
	return gepa_store_open_budget(&charge, judge->version->owner);
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
	judge->servers = gepa_judge_resolve(version->spec, version->lm, GetUserId());
	judge->lm = judge->servers->lm;
	check_identity(judge, digest);
	gepa_store_account(&judge->account, digest, version->owner, GetUserId());
	judge->budget = open_budget(judge);
	MemoryContextSwitchTo(old);
	return judge;
}

bool
gepa_apply_raises(const JudgeVerdict *verdict)
{
	if (verdict->status == GEPA_STATUS_BUDGET)
		return gepa_on_budget == GEPA_ON_BUDGET_ERROR;
	return verdict->fatal ||
		(verdict->status != GEPA_STATUS_OK && gepa_on_error == GEPA_ON_ERROR_ERROR);
}

void
gepa_apply_close(ApplyJudge *judge)
{
	if (judge->stream != NULL)
		gepa_apply_stream_close(judge->stream);
	gepa_judge_free_servers(judge->servers);
	MemoryContextDelete(judge->context);
}
