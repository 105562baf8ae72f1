/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of LMs (foreign servers) and of their user mappings.
 *
 * One table says which options there are, where they stand and how a value is
 * checked; the validator and the reader (server.c) both rest on it.
 *
 * api_key_file and api_key_env make the server read what the user may not,
 * allow_private_address lets it talk to its own network, and a proxy connects
 * to addresses that are not checked here: these may be set
 * only by who may read server files anyway.  As a validator sees the complete
 * list, nobody else can alter a server that has them; so a key in a file
 * cannot be redirected to another base_url.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <limits.h>
#include <math.h>

#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "lm/lm_internal.h"

typedef void (*CheckValue) (const char *name, const char *value);

typedef struct Option
{
	const char *name;
	Oid			catalog;
	bool		privileged;
	CheckValue	check;
} Option;

static void
refuse(const char *name, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("%s", hint)));
}

/*
 * Checks
 */

static void
check_one_of(const char *name, const char *value, const char *const *words, const char *hint)
{
	for (; *words != NULL; words++)
		if (strcmp(*words, value) == 0)
			return;
	refuse(name, value, hint);
}

static void
check_api(const char *name, const char *value)
{
	static const char *const words[] = {"openai", "canned", NULL};

	check_one_of(name, value, words, "Valid values are openai, canned.");
}

static void
check_structured(const char *name, const char *value)
{
	static const char *const words[] = {"json_schema", "json_object", "text", NULL};

	check_one_of(name, value, words, "Valid values are json_schema, json_object, text.");
}

static void
check_bool(const char *name, const char *value)
{
	bool		ignored;

	if (!parse_bool(value, &ignored))
		refuse(name, value, "Valid values are true and false.");
}

static void
check_not_empty(const char *name, const char *value)
{
	if (value[strspn(value, " \t\r\n")] == '\0')
		refuse(name, value, "The value must not be empty.");
}

/* Fit for an HTTP header. */
static void
check_key(const char *name, const char *value)
{
	bool		good = value[0] != '\0';

	for (const char *p = value; *p != '\0'; p++)
		good = good && (unsigned char) *p > 0x20 && (unsigned char) *p < 0x7F;
	/* Never quote a key. */
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errhint("A key is a word of printable ASCII characters without blanks.")));
}

/* As JSON has them, because some are sent as they are. */
static double
check_number(const char *name, const char *value, double low, double high, bool whole)
{
	GepaJson   *json = gepa_json_parse(value, strlen(value), NULL);
	double		number = strtod(value, NULL);

	if (json == NULL || json->kind != GEPA_JSON_NUMBER || !(number >= low && number <= high) ||
		(whole && number != floor(number)))
		refuse(name, value, psprintf("Give a %s from %.15g to %.15g.",
									 whole ? "whole number" : "number", low, high));
	return number;
}

static void
check_concurrency(const char *name, const char *value)
{
	(void) check_number(name, value, 1, 1024, true);
}

static void
check_seconds(const char *name, const char *value)
{
	(void) check_number(name, value, 0.001, 86400, false);
}

static void
check_temperature(const char *name, const char *value)
{
	(void) check_number(name, value, 0, 2, false);
}

static void
check_share(const char *name, const char *value)
{
	(void) check_number(name, value, 0, 1, false);
}

static void
check_tokens(const char *name, const char *value)
{
	(void) check_number(name, value, 1, 10000000, true);
}

static void
check_seed(const char *name, const char *value)
{
	(void) check_number(name, value, -9007199254740992.0, 9007199254740992.0, true);
}

static void
check_price(const char *name, const char *value)
{
	(void) check_number(name, value, 0, 1e9, false);
}

static void
check_word(const char *name, const char *value)
{
	if (value[0] == '\0' || value[strspn(value, "abcdefghijklmnopqrstuvwxyz_")] != '\0')
		refuse(name, value, "Give a word such as low, medium or high.");
}

static void
check_extra_body(const char *name, const char *value)
{
	static const char *const ours[] = {"model", "messages", "stream"};
	GepaJson   *json = gepa_json_parse(value, strlen(value), NULL);

	if (json == NULL || json->kind != GEPA_JSON_OBJECT)
		refuse(name, value, "Give a JSON object, for example {\"top_k\": 1}.");
	for (int i = 0; i < lengthof(ours); i++)
		if (gepa_json_get(json, ours[i]) != NULL)
			refuse(name, value, "It must not contain model, messages or stream.");
}

static char *
url_part(CURLU *url, CURLUPart part)
{
	char	   *value = NULL;
	char	   *copy = NULL;

	if (curl_url_get(url, part, &value, 0) == CURLUE_OK)
		copy = pstrdup(value);
	curl_free(value);
	return copy;
}

static void
check_url(const char *name, const char *value)
{
	CURLU	   *url = curl_url();
	bool		good;
	char	   *scheme;

	if (url == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errhint("Try again.")));
	good = curl_url_set(url, CURLUPART_URL, value, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
	scheme = good ? url_part(url, CURLUPART_SCHEME) : NULL;
	good = good && scheme != NULL &&
		(strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
		url_part(url, CURLUPART_HOST) != NULL &&
		url_part(url, CURLUPART_USER) == NULL &&
		url_part(url, CURLUPART_PASSWORD) == NULL &&
		url_part(url, CURLUPART_QUERY) == NULL &&
		url_part(url, CURLUPART_FRAGMENT) == NULL;
	curl_url_cleanup(url);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errhint("Give an http or https URL without user, query or fragment, for example http://gpu1:8000/v1.")));
}

static const Option options[] = {
	{"allow_private_address", ForeignServerRelationId, true, check_bool},
	{"api", ForeignServerRelationId, false, check_api},
	{"api_key", UserMappingRelationId, false, check_key},
	{"api_key_env", ForeignServerRelationId, true, check_not_empty},
	{"api_key_file", ForeignServerRelationId, true, check_not_empty},
	{"base_url", ForeignServerRelationId, false, check_url},
	{"connect_timeout", ForeignServerRelationId, false, check_seconds},
	{"extra_body", ForeignServerRelationId, false, check_extra_body},
	{"input_price", ForeignServerRelationId, false, check_price},
	{"logprobs", ForeignServerRelationId, false, check_bool},
	{"max_concurrency", ForeignServerRelationId, false, check_concurrency},
	{"max_tokens", ForeignServerRelationId, false, check_tokens},
	{"model", ForeignServerRelationId, false, check_not_empty},
	{"output_price", ForeignServerRelationId, false, check_price},
	{"proxy", ForeignServerRelationId, true, check_url},
	{"reasoning_effort", ForeignServerRelationId, false, check_word},
	{"request_timeout", ForeignServerRelationId, false, check_seconds},
	{"seed", ForeignServerRelationId, false, check_seed},
	{"structured_output", ForeignServerRelationId, false, check_structured},
	{"temperature", ForeignServerRelationId, false, check_temperature},
	{"top_p", ForeignServerRelationId, false, check_share}
};

/*
 * The validator
 */

static const Option *
find_option(const char *name, Oid catalog)
{
	for (int i = 0; i < lengthof(options); i++)
		if (options[i].catalog == catalog && strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static void
refuse_unknown(const char *name, Oid catalog)
{
	StringInfoData valid;

	initStringInfo(&valid);
	for (int i = 0; i < lengthof(options); i++)
		if (options[i].catalog == catalog)
			appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", options[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 valid.len > 0 ?
			 errhint("Valid options in this context are: %s.", valid.data) :
			 errhint("There are no valid options in this context.")));
}

static void
check_privilege(const Option *option)
{
	if (!option->privileged ||
		has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to set option \"%s\"", option->name),
			 errdetail("Only a superuser or a role with privileges of \"pg_read_server_files\" may set it, or alter a server that has it."),
			 errhint("Ask an administrator to create or alter the server.")));
}

static void
check_complete(bool canned, bool has_url, bool has_model)
{
	if (canned || (has_url && has_model))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
			 errmsg("option \"%s\" is required", has_url ? "model" : "base_url"),
			 errhint("For example OPTIONS (base_url 'http://gpu1:8000/v1', model 'Qwen3-30B-A3B').")));
}

void
gepa_lm_validate(List *given, Oid catalog)
{
	bool		canned = false;
	bool		has_url = false;
	bool		has_model = false;
	ListCell   *cell;

	if (catalog == UserMappingRelationId)
		gepa_lm_mask(given);
	foreach(cell, given)
	{
		DefElem    *def = lfirst(cell);
		const Option *option = find_option(def->defname, catalog);
		char	   *value;

		if (option == NULL)
			refuse_unknown(def->defname, catalog);
		check_privilege(option);
		value = defGetString(def);
		option->check(option->name, value);
		canned = canned || (strcmp(option->name, "api") == 0 && strcmp(value, "canned") == 0);
		has_url = has_url || strcmp(option->name, "base_url") == 0;
		has_model = has_model || strcmp(option->name, "model") == 0;
	}
	if (catalog == ForeignServerRelationId)
		check_complete(canned, has_url, has_model);
}
