/*-------------------------------------------------------------------------
 *
 * grader.c
 *	  Graders that may be asked: rights, LMs, and what they were when a run began.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "apply/apply.h"

#define LIST_HINT "Give an array of objects {\"grader\": name, \"weight\": number above 0}; weight is 1 where nothing is said."

void
gepa_apply_open_grader(const char *name, double weight, ApplyGrader *grader)
{
	StoreGrader *stored = gepa_store_get_grader(name);

	memset(grader, 0, sizeof(ApplyGrader));
	gepa_store_check_owner("grader", name, stored->owner, GetUserId());
	grader->stored = stored;
	grader->def = &stored->def;
	grader->weight = weight;
	if (stored->def.lm != NULL)
	{
		grader->lm = gepa_lm_resolve(stored->def.lm, GetUserId());
		if (stored->def.kind == JUDGE_GRADER_REWARD_MODEL && stored->def.api != JUDGE_REWARD_CHAT)
			gepa_lm_set_scoring(grader->lm, (LmApi) (LM_API_CLASSIFY + stored->def.api));
		stored->def.lm_identity = gepa_lm_identity(grader->lm);
	}
	if (stored->def.kind == JUDGE_GRADER_FUNCTION)
		gepa_store_find_grader_function(stored);
	gepa_judge_grader_digest(&stored->def);
}

static char *
hex_digest(const uint8 *digest)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < JUDGE_DIGEST_LENGTH; i++)
		appendStringInfo(&buf, "%02x", digest[i]);
	return buf.data;
}

static void
refuse_list(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid list of graders"),
			 errhint(LIST_HINT)));
}

static void
check_digest(const ApplyGrader *grader, const char *digest)
{
	if (digest == NULL || strcmp(digest, hex_digest(grader->def->digest)) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("grader \"%s\" is no longer what the run was started with", grader->def->name),
			 errdetail("Its options, or the settings of its LM, have changed."),
			 errhint("Set them back and resume the run, or start a new run.")));
}

static void
open_entry(const GepaJson *entry, ApplyGrader *grader)
{
	const char *name = gepa_json_get_string(entry, "grader");
	const char *digest = gepa_json_get_string(entry, "digest");
	double		weight = 1;
	int			known = 1 + (digest != NULL) + (gepa_json_get(entry, "weight") != NULL);

	if (entry->kind != GEPA_JSON_OBJECT || name == NULL || entry->nitems != known)
		refuse_list();
	if (gepa_json_get(entry, "weight") != NULL &&
		(!gepa_json_get_number(entry, "weight", &weight) || !isfinite(weight) || weight <= 0))
		refuse_list();
	gepa_apply_open_grader(name, weight, grader);
	check_digest(grader, digest);
}

ApplyGraders *
gepa_apply_open_graders(const char *text)
{
	GepaJson   *list = gepa_json_parse(text, strlen(text), NULL);
	ApplyGraders *graders = palloc0(sizeof(ApplyGraders));

	if (list == NULL || list->kind != GEPA_JSON_ARRAY || list->nitems == 0)
		refuse_list();
	graders->n = list->nitems;
	graders->graders = palloc0(sizeof(ApplyGrader) * list->nitems);
	for (int i = 0; i < list->nitems; i++)
	{
		open_entry(list->items[i], &graders->graders[i]);
		for (int k = 0; k < i; k++)
			if (graders->graders[k].stored->id == graders->graders[i].stored->id)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("grader \"%s\" is named twice", graders->graders[i].def->name),
						 errhint(LIST_HINT)));
	}
	return graders;
}

char *
gepa_apply_graders_json(const ApplyGraders *graders)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < graders->n; i++)
	{
		appendStringInfo(&buf, "%s{\"grader\":", i == 0 ? "[" : ",");
		gepa_json_quote(&buf, graders->graders[i].def->name);
		appendStringInfo(&buf, ",\"weight\":%.17g,\"digest\":\"%s\"}",
						 graders->graders[i].weight, hex_digest(graders->graders[i].def->digest));
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

bool
gepa_apply_graders_need_label(const ApplyGraders *graders)
{
	for (int i = 0; i < graders->n; i++)
		if (gepa_judge_grader_needs_label(graders->graders[i].def))
			return true;
	return false;
}
