/*-------------------------------------------------------------------------
 *
 * judges.c
 *	  Judges and their immutable versions as rows.
 *
 * A version is read under the snapshot of the running query, so that every
 * call site of one query sees the same current version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "store/store_internal.h"

#define VERSION_COLUMNS \
	"j.judge, j.name, j.owner::oid, v.version, " \
	"v.lm, coalesce(v.run, 0), coalesce(v.candidate, 0), v.components::text, " \
	"v.labels, v.positive, v.options::text, v.lm_identity, v.digest, " \
	"v.verdict_digest, f.key"

static StoreStatement version_by_name = {
	.sql = "SELECT " VERSION_COLUMNS
	" FROM gepa.judge j JOIN gepa.judge_version v ON v.judge = j.judge"
	" AND v.version = CASE $2 WHEN 0 THEN j.current_version ELSE $2 END,"
	" gepa.fence f WHERE j.name = $1"
};

static StoreStatement version_by_id = {
	.sql = "SELECT " VERSION_COLUMNS
	" FROM gepa.judge j JOIN gepa.judge_version v ON v.judge = j.judge"
	" AND v.version = CASE $2 WHEN 0 THEN j.current_version ELSE $2 END,"
	" gepa.fence f WHERE j.judge = $1"
};

static StoreStatement insert_judge = {
	.sql = "INSERT INTO gepa.judge (name, owner, current_version)"
	" VALUES ($1, $2::regrole, 1) ON CONFLICT (name) DO NOTHING RETURNING judge"
};

static StoreStatement insert_version = {
	.sql = "INSERT INTO gepa.judge_version (judge, version, lm, lm_identity, components,"
	" labels, positive, options, digest, verdict_digest, run, candidate)"
	" SELECT $1, coalesce(max(v.version), 0) + 1, $2, $3, $4::jsonb, $5, $6,"
	" $7::jsonb, $8, $9, $10, $11"
	" FROM gepa.judge_version v WHERE v.judge = $1 RETURNING version"
};

static StoreStatement find_version = {
	.sql = "SELECT version FROM gepa.judge_version"
	" WHERE judge = $1 AND digest = $2 AND lm = $3 ORDER BY version LIMIT 1"
};

static StoreStatement lock_judge = {
	.sql = "SELECT owner::oid FROM gepa.judge WHERE judge = $1 FOR UPDATE"
};

static StoreStatement lock_judge_by_name = {
	.sql = "SELECT 1 FROM gepa.judge WHERE name = $1 FOR UPDATE"
};

static StoreStatement set_current = {
	.sql = "UPDATE gepa.judge SET current_version = $2 WHERE judge = $1"
};

static StoreStatement delete_judge = {
	.sql = "DELETE FROM gepa.judge WHERE judge = $1"
};

static StoreStatement insert_fence = {
	.sql = "INSERT INTO gepa.fence (key) VALUES ($1) ON CONFLICT DO NOTHING"
};

static const char *const kind_names[] = {
	[JUDGE_COMPONENT_INSTRUCTION] = "instruction",
	[JUDGE_COMPONENT_EXAMPLES] = "examples",
	[JUDGE_COMPONENT_STEP] = "step"
};

/*
 * Reading
 */

static JudgeComponentKind
read_kind(const char *name)
{
	for (int i = 0; i < lengthof(kind_names); i++)
		if (strcmp(kind_names[i], name) == 0)
			return (JudgeComponentKind) i;
	return JUDGE_COMPONENT_INSTRUCTION;
}

static const GepaJson *
parse_stored(const char *text, const char *what)
{
	const char *error;
	const GepaJson *json = gepa_json_parse(text, strlen(text), &error);

	if (json == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored %s of a judge version cannot be read: %s", what, error),
				 errhint("Restore the gepa tables from a backup.")));
	return json;
}

static void
read_components(JudgeSpec *spec, const char *text)
{
	const GepaJson *array = parse_stored(text, "components");

	spec->ncomponents = array->nitems;
	spec->components = palloc0(sizeof(JudgeComponent) * Max(array->nitems, 1));
	for (int i = 0; i < array->nitems; i++)
	{
		const GepaJson *item = gepa_json_item(array, i);

		spec->components[i].name = pstrdup(gepa_json_get_string(item, "name"));
		spec->components[i].text = pstrdup(gepa_json_get_string(item, "text"));
		spec->components[i].kind = read_kind(gepa_json_get_string(item, "kind"));
	}
}

static void
read_labels(StoreScope *scope, JudgeSpec *spec)
{
	int			npositive;
	char	  **positive = gepa_store_texts(scope, 0, 10, &npositive);

	spec->labels = gepa_store_texts(scope, 0, 9, &spec->nlabels);
	spec->positive = MemoryContextAllocZero(scope->caller,
											sizeof(bool) * Max(spec->nlabels, 1));
	for (int i = 0; i < spec->nlabels; i++)
		for (int k = 0; k < npositive; k++)
			if (strcmp(spec->labels[i], positive[k]) == 0)
				spec->positive[i] = true;
}

static StoreVersion *
read_version(StoreScope *scope)
{
	MemoryContext old = MemoryContextSwitchTo(scope->caller);
	StoreVersion *version = palloc0(sizeof(StoreVersion));
	JudgeSpec  *spec = palloc0(sizeof(JudgeSpec));
	char	   *components = gepa_store_text(scope, 0, 8);
	char	   *options = gepa_store_text(scope, 0, 11);

	version->spec = spec;
	version->judge = gepa_store_int(0, 1, 0);
	version->owner = gepa_store_oid(0, 3);
	version->version = gepa_store_int(0, 4, 0);
	version->lm = gepa_store_text(scope, 0, 5);
	version->run = gepa_store_int(0, 6, 0);
	version->candidate = gepa_store_int(0, 7, 0);
	gepa_store_digest(0, 13, version->digest, JUDGE_DIGEST_LENGTH);
	gepa_store_digest(0, 14, version->verdict_digest, JUDGE_DIGEST_LENGTH);

	spec->name = gepa_store_text(scope, 0, 2);
	spec->version = version->version;
	spec->lm_identity = gepa_store_text(scope, 0, 12);
	read_labels(scope, spec);
	read_components(spec, components);
	gepa_judge_apply_options(spec, parse_stored(options, "options"));
	gepa_store_digest(0, 15, spec->fence_key, JUDGE_FENCE_KEY_LENGTH);
	MemoryContextSwitchTo(old);
	return version;
}

void
gepa_store_lock_judge(StoreScope *scope, const char *name)
{
	StoreArgs	args = {0};

	gepa_store_arg_text(&args, name);
	gepa_store_run(scope, &lock_judge_by_name, &args);
}

/* NULL: there is none. */
static StoreVersion *
find_by_name(StoreScope *scope, const char *judge, int version)
{
	StoreArgs	args = {0};

	gepa_store_arg_text(&args, judge);
	gepa_store_arg_int(&args, version);
	if (gepa_store_run(scope, &version_by_name, &args) == 0)
		return NULL;
	return read_version(scope);
}

static void
refuse_name(const char *judge, int version)
{
	if (gepa_store_find_router(judge, 0) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a router, not a judge", judge),
				 errhint("Name one of the judges that it chooses from, which gepa.routers shows; gepa.start_branches() tunes them all.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 version == 0 ?
			 errmsg("judge \"%s\" does not exist", judge) :
			 errmsg("judge \"%s\" has no version %d", judge, version),
			 errhint("See gepa.judges and gepa.judge_versions, or create it with gepa.create_judge().")));
}

StoreVersion *
gepa_store_find_version(const char *judge, int version)
{
	StoreScope	scope;
	StoreVersion *result;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	result = find_by_name(&scope, judge, version);
	gepa_store_leave(&scope);
	return result;
}

StoreVersion *
gepa_store_get_version(const char *judge, int version)
{
	StoreVersion *result = gepa_store_find_version(judge, version);

	if (result == NULL)
		refuse_name(judge, version);
	return result;
}

StoreVersion *
gepa_store_lock_version(const char *judge)
{
	StoreScope	scope;
	StoreVersion *result;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_lock_judge(&scope, judge);
	result = find_by_name(&scope, judge, 0);
	gepa_store_leave(&scope);
	if (result == NULL)
		refuse_name(judge, 0);
	return result;
}

StoreVersion *
gepa_store_get_version_by_id(int judge, int version)
{
	StoreScope	scope;
	StoreArgs	args = {0};
	StoreVersion *result;

	gepa_store_enter(&scope, STORE_VIEW_QUERY);
	gepa_store_arg_int(&args, judge);
	gepa_store_arg_int(&args, version);
	if (gepa_store_run(&scope, &version_by_id, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("version %d of judge %d does not exist", version, judge),
				 errhint("The judge may have been dropped; see gepa.judge_versions.")));
	result = read_version(&scope);
	gepa_store_leave(&scope);
	return result;
}

/*
 * Writing
 */

/*
 * Names, not OIDs: a dump keeps them.  A role that is gone has no name, and
 * nothing new to look up.
 */
void
gepa_store_verdict_digest(const JudgeSpec *spec, const char *lm, Oid owner, uint8 *digest)
{
	char		hex[2 * JUDGE_DIGEST_LENGTH + 1];
	const char *parts[3];
	JudgeDocument document = {lengthof(parts), parts};
	const char *owner_name = GetUserNameFromId(owner, true);

	gepa_judge_digest(spec, false, digest);
	hex[hex_encode((const char *) digest, JUDGE_DIGEST_LENGTH, hex)] = '\0';
	parts[0] = hex;
	parts[1] = lm;
	parts[2] = owner_name ? owner_name : "";
	gepa_judge_content_digest(&document, digest);
}

void
gepa_store_account(StoreAccount *account, const uint8 *verdict_digest, Oid owner, Oid caller)
{
	char		hex[2 * JUDGE_DIGEST_LENGTH + 1];
	const char *parts[2];
	JudgeDocument document = {lengthof(parts), parts};

	account->payer = has_privs_of_role(caller, owner) ? owner : caller;
	memcpy(account->verdict_digest, verdict_digest, JUDGE_DIGEST_LENGTH);
	hex[hex_encode((const char *) verdict_digest, JUDGE_DIGEST_LENGTH, hex)] = '\0';
	parts[0] = hex;
	parts[1] = psprintf("%u", account->payer);
	gepa_judge_content_digest(&document, account->key);
}

static char *
components_json(const JudgeSpec *spec)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (int i = 0; i < spec->ncomponents; i++)
	{
		const JudgeComponent *c = &spec->components[i];

		appendStringInfoString(&buf, i > 0 ? ",{\"name\":" : "{\"name\":");
		gepa_json_quote(&buf, c->name);
		appendStringInfo(&buf, ",\"kind\":\"%s\",\"text\":", kind_names[c->kind]);
		gepa_json_quote(&buf, c->text);
		appendStringInfoChar(&buf, '}');
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

static int
put_version(StoreScope *scope, int judge, Oid owner, const JudgeSpec *spec, const char *lm,
			int run, int candidate)
{
	StoreArgs	args = {0};
	uint8		digest[JUDGE_DIGEST_LENGTH];
	char	  **positive = palloc(sizeof(char *) * Max(spec->nlabels, 1));
	int			npositive = 0;

	for (int i = 0; i < spec->nlabels; i++)
		if (spec->positive[i])
			positive[npositive++] = spec->labels[i];

	gepa_store_arg_int(&args, judge);
	gepa_store_arg_text(&args, lm);
	gepa_store_arg_text(&args, spec->lm_identity);
	gepa_store_arg_text(&args, components_json(spec));
	gepa_store_arg_texts(&args, spec->nlabels, spec->labels);
	gepa_store_arg_texts(&args, npositive, positive);
	gepa_store_arg_text(&args, gepa_judge_options_json(spec));
	gepa_judge_digest(spec, true, digest);
	gepa_store_arg_bytes(&args, digest, JUDGE_DIGEST_LENGTH);
	gepa_store_verdict_digest(spec, lm, owner, digest);
	gepa_store_arg_bytes(&args, digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_int_or_null(&args, run, 0);
	gepa_store_arg_int_or_null(&args, run > 0 ? candidate : -1, -1);
	gepa_store_run(scope, &insert_version, &args);
	return gepa_store_int(0, 1, 0);
}

void
gepa_store_make_fence(StoreScope *scope)
{
	StoreArgs	args = {0};
	uint8		key[JUDGE_FENCE_KEY_LENGTH];

	if (!pg_strong_random(key, sizeof(key)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random key"),
				 errhint("Check the server's source of randomness, then try again.")));
	gepa_store_arg_bytes(&args, key, sizeof(key));
	gepa_store_run(scope, &insert_fence, &args);
}

int
gepa_store_insert_judge(StoreScope *scope, const char *name, Oid owner)
{
	StoreArgs	args = {0};

	gepa_store_arg_text(&args, name);
	gepa_store_arg_oid(&args, owner);
	return gepa_store_run(scope, &insert_judge, &args) > 0 ? gepa_store_int(0, 1, 0) : 0;
}

void
gepa_store_set_current(StoreScope *scope, int judge, int version)
{
	StoreArgs	args = {0};

	gepa_store_arg_int(&args, judge);
	gepa_store_arg_int(&args, version);
	gepa_store_run(scope, &set_current, &args);
}

int
gepa_store_create_judge(const JudgeSpec *spec, const char *lm, Oid owner)
{
	StoreScope	scope;
	int			judge;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_make_fence(&scope);
	judge = gepa_store_insert_judge(&scope, spec->name, owner);
	if (judge == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("judge \"%s\" already exists", spec->name),
				 errhint("Use gepa.alter_judge() to make a new version, or gepa.drop_judge() first.")));
	(void) put_version(&scope, judge, owner, spec, lm, 0, 0);
	gepa_store_leave(&scope);
	return judge;
}

static int
find_equal_version(StoreScope *scope, int judge, const JudgeSpec *spec, const char *lm)
{
	StoreArgs	args = {0};
	uint8		digest[JUDGE_DIGEST_LENGTH];

	gepa_judge_digest(spec, true, digest);
	gepa_store_arg_int(&args, judge);
	gepa_store_arg_bytes(&args, digest, JUDGE_DIGEST_LENGTH);
	gepa_store_arg_text(&args, lm);
	if (gepa_store_run(scope, &find_version, &args) == 0)
		return 0;
	return gepa_store_int(0, 1, 0);
}

/* Two that add a version at a time get two numbers. */
static int
find_or_put_version(StoreScope *scope, int judge, const JudgeSpec *spec, const char *lm,
					int run, int candidate)
{
	Oid			owner = InvalidOid;
	int			version;

	if (gepa_store_run_by_number(scope, &lock_judge, judge) > 0)
		owner = gepa_store_oid(0, 1);
	version = find_equal_version(scope, judge, spec, lm);
	if (version == 0)
		version = put_version(scope, judge, owner, spec, lm, run, candidate);
	return version;
}

int
gepa_store_add_version(int judge, const JudgeSpec *spec, const char *lm,
					   int run, int candidate)
{
	StoreScope	scope;
	int			version;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	version = find_or_put_version(&scope, judge, spec, lm, run, candidate);
	gepa_store_set_current(&scope, judge, version);
	gepa_store_leave(&scope);
	return version;
}

int
gepa_store_keep_version(int judge, const JudgeSpec *spec, const char *lm)
{
	StoreScope	scope;
	int			version;

	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	version = find_or_put_version(&scope, judge, spec, lm, 0, 0);
	gepa_store_leave(&scope);
	return version;
}

void
gepa_store_drop_judge(int judge)
{
	StoreScope	scope;

	gepa_store_drop_verdicts(judge);
	gepa_store_enter(&scope, STORE_VIEW_WRITE);
	gepa_store_run_by_number(&scope, &delete_judge, judge);
	gepa_store_leave(&scope);
	gepa_store_forget_judge(judge);
}
