/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of LMs (foreign servers) and of their user mappings.
 *
 * One table says which options there are, where they stand and how a value is
 * checked; the validator and the reader (server.c) both rest on it.
 *
 * api_key_file, api_key_env and the files of TLS make the server read what the
 * user may not, allow_private_address and unix_socket let it talk to its own
 * network and machine, and a proxy connects to addresses that are not checked
 * here: these may be set only by who may read server files anyway.  Nobody
 * else can alter a server that has them, as a validator sees the complete list, nor
 * one that has had them (moved.c); so a key in a file cannot be redirected to
 * another base_url.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <limits.h>
#include <math.h>
#include <sys/un.h>

#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/text.h"
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
	static const char *const words[] = {"openai", "anthropic", "gemini", "canned", NULL};

	check_one_of(name, value, words, "Valid values are openai, anthropic, gemini, canned.");
}

static void
check_structured(const char *name, const char *value)
{
	static const char *const words[] = {"json_schema", "json_object", "text", "tool", NULL};

	check_one_of(name, value, words, "Valid values are json_schema, json_object, text, tool.");
}

static void
check_max_tokens_field(const char *name, const char *value)
{
	static const char *const words[] = {"max_tokens", "max_completion_tokens", NULL};

	check_one_of(name, value, words, "Valid values are max_tokens, max_completion_tokens.");
}

static void
check_http_version(const char *name, const char *value)
{
	static const char *const words[] = {"1.1", "2", NULL};

	check_one_of(name, value, words, "Valid values are 1.1 and 2; without the option it is agreed upon with the endpoint.");
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
	if (gepa_is_blank(value))
		refuse(name, value, "The value must not be empty.");
}

static void
check_path(const char *name, const char *value)
{
	if (!is_absolute_path(value))
		refuse(name, value, "Give an absolute path.");
}

/* As long as the address of a socket may be. */
static void
check_socket(const char *name, const char *value)
{
	check_path(name, value);
	if (strlen(value) >= sizeof(((struct sockaddr_un *) NULL)->sun_path))
		refuse(name, value, "The path of a socket is shorter than 108 bytes.");
}

bool
gepa_lm_is_key(const char *text)
{
	bool		good = text[0] != '\0';

	for (const char *p = text; *p != '\0'; p++)
		good = good && (unsigned char) *p > 0x20 && (unsigned char) *p < 0x7F;
	return good;
}

/* Never quotes it. */
static void
check_key(const char *name, const char *value)
{
	if (!gepa_lm_is_key(value))
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
check_rate(const char *name, const char *value)
{
	(void) check_number(name, value, 1, 1000000000, true);
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
	static const char *const ours[] = {
		"model", "messages", "stream", "system", "contents", "systemInstruction"
	};
	GepaJson   *json = gepa_json_parse(value, strlen(value), NULL);

	if (json == NULL || json->kind != GEPA_JSON_OBJECT)
		refuse(name, value, "Give a JSON object, for example {\"top_k\": 1}.");
	for (int i = 0; i < lengthof(ours); i++)
		if (gepa_json_get(json, ours[i]) != NULL)
			refuse(name, value, "It must not contain what gepa itself has to say: model, messages, stream, system, contents, systemInstruction.");
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
	{"ca_file", ForeignServerRelationId, true, check_path},
	{"cached_input_price", ForeignServerRelationId, false, check_price},
	{"client_cert", ForeignServerRelationId, true, check_path},
	{"client_key", ForeignServerRelationId, true, check_path},
	{"connect_timeout", ForeignServerRelationId, false, check_seconds},
	{"extra_body", ForeignServerRelationId, false, check_extra_body},
	{"http_version", ForeignServerRelationId, false, check_http_version},
	{"images", ForeignServerRelationId, false, check_bool},
	{"input_price", ForeignServerRelationId, false, check_price},
	{"logprobs", ForeignServerRelationId, false, check_bool},
	{"max_concurrency", ForeignServerRelationId, false, check_concurrency},
	{"max_tokens", ForeignServerRelationId, false, check_tokens},
	{"max_tokens_field", ForeignServerRelationId, false, check_max_tokens_field},
	{"model", ForeignServerRelationId, false, check_not_empty},
	{"output_price", ForeignServerRelationId, false, check_price},
	{"proxy", ForeignServerRelationId, true, check_url},
	{"reasoning_effort", ForeignServerRelationId, false, check_word},
	{"request_timeout", ForeignServerRelationId, false, check_seconds},
	{"requests_per_minute", ForeignServerRelationId, false, check_rate},
	{"seed", ForeignServerRelationId, false, check_seed},
	{"structured_output", ForeignServerRelationId, false, check_structured},
	{"temperature", ForeignServerRelationId, false, check_temperature},
	{"thinking_budget_field", ForeignServerRelationId, false, check_word},
	{"tokens_per_minute", ForeignServerRelationId, false, check_rate},
	{"top_p", ForeignServerRelationId, false, check_share},
	{"unix_socket", ForeignServerRelationId, true, check_socket}
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

void
gepa_lm_check_privileges(List *given)
{
	ListCell   *cell;

	foreach(cell, given)
	{
		const Option *option = find_option(((DefElem *) lfirst(cell))->defname,
										   ForeignServerRelationId);

		if (option != NULL)
			check_privilege(option);
	}
}

char *
gepa_lm_option(List *given, const char *name)
{
	ListCell   *cell;

	foreach(cell, given)
	{
		DefElem    *def = lfirst(cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

static void
check_complete(List *given)
{
	const char *missing = gepa_lm_option(given, "base_url") == NULL ? "base_url" :
		gepa_lm_option(given, "model") == NULL ? "model" : NULL;

	if (missing != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"%s\" is required", missing),
				 errhint("For example OPTIONS (base_url 'http://gpu1:8000/v1', model 'Qwen3-30B-A3B').")));
}

static void
refuse_together(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("%s", message),
			 errhint("%s", hint)));
}

static bool
is_on(List *given, const char *name)
{
	const char *value = gepa_lm_option(given, name);
	bool		on = false;

	return value != NULL && parse_bool(value, &on) && on;
}

/* What a dialect does not have is refused, not left out without a word. */
static void
check_dialect(List *given, LmApi api)
{
	const char *structured = gepa_lm_option(given, "structured_output");
	const char *model = gepa_lm_option(given, "model");
	bool		tool = structured != NULL && strcmp(structured, "tool") == 0;
	bool		json_object = structured != NULL && strcmp(structured, "json_object") == 0;

	if (api != LM_API_OPENAI && gepa_lm_option(given, "max_tokens_field") != NULL)
		refuse_together("only api openai has option \"max_tokens_field\"",
						"Drop it; the dialect has one name for the limit.");
	if (api == LM_API_ANTHROPIC && is_on(given, "logprobs"))
		refuse_together("api anthropic has no log-probabilities",
						"Drop option logprobs; scores are then 0 or 1.");
	if (api == LM_API_ANTHROPIC && gepa_lm_option(given, "seed") != NULL)
		refuse_together("api anthropic has no seed", "Drop option seed.");
	if (api == LM_API_ANTHROPIC && json_object)
		refuse_together("api anthropic has no structured_output \"json_object\"",
						"Valid values are json_schema, tool, text.");
	if (api == LM_API_GEMINI && model != NULL && !gepa_lm_gemini_is_model(model))
		refuse("model", model, "With api gemini it is a part of the path: without control characters, backslashes, and empty parts, \".\" or \"..\" between slashes.");
	if (api != LM_API_ANTHROPIC && tool)
		refuse_together("only api anthropic has structured_output \"tool\"",
						"Valid values are json_schema, json_object, text.");
}

static void
check_together(List *given)
{
	const char *api = gepa_lm_option(given, "api");
	const char *url = gepa_lm_option(given, "base_url");
	const char *version = gepa_lm_option(given, "http_version");

	check_dialect(given, gepa_lm_api_by_name(api ? api : ""));
	if (gepa_lm_option(given, "unix_socket") != NULL && gepa_lm_option(given, "proxy") != NULL)
		refuse_together("options \"unix_socket\" and \"proxy\" exclude each other",
						"Drop one of them.");
	if (version != NULL && strcmp(version, "2") == 0 && url != NULL &&
		pg_strncasecmp(url, "https:", 6) != 0)
		refuse_together("option \"http_version\" 2 needs a base_url with https",
						"HTTP/2 is agreed upon in the TLS handshake; drop the option.");
	if (gepa_lm_option(given, "client_key") != NULL && gepa_lm_option(given, "client_cert") == NULL)
		refuse_together("option \"client_key\" needs option \"client_cert\"",
						"Name the certificate that belongs to the key.");
	if (api == NULL || strcmp(api, "canned") != 0)
		check_complete(given);
}

void
gepa_lm_validate(List *given, Oid catalog)
{
	ListCell   *cell;

	if (catalog == UserMappingRelationId)
		gepa_lm_key_given(given);
	foreach(cell, given)
	{
		DefElem    *def = lfirst(cell);
		const Option *option = find_option(def->defname, catalog);

		if (option == NULL)
			refuse_unknown(def->defname, catalog);
		check_privilege(option);
		option->check(option->name, defGetString(def));
	}
	if (catalog == ForeignServerRelationId)
		check_together(given);
}
