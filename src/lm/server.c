/*-------------------------------------------------------------------------
 *
 * server.c
 *	  From a foreign server to an LmServer: rights, defaults, key, identity.
 *
 * Catalogs only, no SPI.  Option values were checked when they were
 * set (options.c), so they are only converted here.
 *
 * The key is taken, in this order, from the user's own mapping, the mapping
 * for PUBLIC, api_key_file, api_key_env.  It is part of no message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/encoding.h"
#include "lm/lm_internal.h"
#include "lm/lm_limit.h"

#define DEFAULT_CONCURRENCY 16
#define DEFAULT_CONNECT_TIMEOUT_MS 10000
#define DEFAULT_REQUEST_TIMEOUT_MS 120000
#define MAX_KEY_BYTES 4096

/* Where a limit on output tokens must be sent: enough for some thinking. */
#define DEFAULT_REQUIRED_TOKENS 4096

void
gepa_lm_init(void)
{
	if (process_shared_preload_libraries_in_progress)
	{
		gepa_lm_log_init();
		gepa_lm_limit_init();
		gepa_lm_budget_init();
	}
	gepa_lm_mask_init();
	gepa_lm_secret_init();
	gepa_lm_moved_init();
}

/*
 * Keys
 */

static char *
key_of(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		datum = heap_getattr(tuple, Anum_pg_user_mapping_umoptions, desc, &isnull);
	char	   *key = gepa_lm_option(isnull ? NIL : untransformRelOptions(datum), "api_key");

	return key ? pstrdup(key) : NULL;
}

/* As ALTER USER MAPPING FOR has it. */
static char *
mapping_name(Oid userid)
{
	return pstrdup(OidIsValid(userid) ?
				   quote_identifier(GetUserNameFromId(userid, false)) : "PUBLIC");
}

/*
 * Not by the catalog cache: it may still have the mapping of before an ALTER
 * SERVER whose new base_url was just read (moved.c), for a transaction becomes
 * visible before it tells the caches.
 */
static char *
mapping_key(LmServer *server, Oid userid)
{
	Relation	rel = table_open(UserMappingRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *key = NULL;

	ScanKeyInit(&keys[0], Anum_pg_user_mapping_umuser, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(userid));
	ScanKeyInit(&keys[1], Anum_pg_user_mapping_umserver, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(server->serverid));
	InvalidateCatalogSnapshot();
	scan = systable_beginscan(rel, UserMappingUserServerIndexId, true, NULL, 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		key = key_of(tuple, RelationGetDescr(rel));
		if (key == NULL && server->keyless_mapping == NULL)
			server->keyless_mapping = mapping_name(userid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return key;
}

static void
check_key(const LmServer *server, const char *key, const char *source)
{
	if (!gepa_lm_is_key(key))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("%s of LM \"%s\" holds no usable key", source, server->name),
				 errhint("It must hold the key alone: printable ASCII characters without blanks.")));
}

static char *
file_key(const LmServer *server, const char *path)
{
	char		buffer[MAX_KEY_BYTES + 1];
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	size_t		length;
	char	   *key;

	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open api_key_file of LM \"%s\": %m", server->name),
				 errhint("The file must be readable for the operating system user of the server.")));
	length = fread(buffer, 1, MAX_KEY_BYTES, file);
	FreeFile(file);
	buffer[length] = '\0';
	key = pnstrdup(buffer, strcspn(buffer, " \t\r\n"));
	explicit_bzero(buffer, sizeof(buffer));
	check_key(server, key, "api_key_file");
	return key;
}

static char *
env_key(const LmServer *server, const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("environment variable of option api_key_env of LM \"%s\" is not set",
						server->name),
				 errhint("Set it in the environment of the server, then restart.")));
	check_key(server, value, "api_key_env");
	return pstrdup(value);
}

/*
 * Options
 */

typedef struct KeyOptions
{
	const char *file;
	const char *env;
} KeyOptions;

static bool
to_bool(const char *value)
{
	bool		result = false;

	(void) parse_bool(value, &result);
	return result;
}

static int
to_ms(const char *seconds)
{
	return (int) (strtod(seconds, NULL) * 1000 + 0.5);
}

static LmStructured
to_structured(const char *value)
{
	for (int i = 0; i < LM_NSTRUCTURED; i++)
		if (strcmp(gepa_lm_structured_names[i], value) == 0)
			return (LmStructured) i;
	return LM_STRUCTURED_JSON_SCHEMA;
}

static LmHttpVersion
to_http_version(const char *value)
{
	return strcmp(value, "2") == 0 ? LM_HTTP_2 : LM_HTTP_1_1;
}

static char *
without_slash(const char *url)
{
	size_t		length = strlen(url);

	while (length > 0 && url[length - 1] == '/')
		length--;
	return pnstrdup(url, length);
}

static void
set_option(LmServer *server, KeyOptions *keys, const char *name, const char *value)
{
	if (strcmp(name, "api") == 0)
		server->api = gepa_lm_api_by_name(value);
	else if (strcmp(name, "base_url") == 0)
		server->base_url = without_slash(value);
	else if (strcmp(name, "model") == 0)
		server->model = pstrdup(value);
	else if (strcmp(name, "api_key_file") == 0)
		keys->file = value;
	else if (strcmp(name, "api_key_env") == 0)
		keys->env = value;
	else if (strcmp(name, "max_concurrency") == 0)
		server->max_concurrency = (int) strtod(value, NULL);
	else if (strcmp(name, "requests_per_minute") == 0)
		server->requests_per_minute = (int) strtod(value, NULL);
	else if (strcmp(name, "tokens_per_minute") == 0)
		server->tokens_per_minute = (int) strtod(value, NULL);
	else if (strcmp(name, "connect_timeout") == 0)
		server->connect_timeout_ms = to_ms(value);
	else if (strcmp(name, "request_timeout") == 0)
		server->request_timeout_ms = to_ms(value);
	else if (strcmp(name, "structured_output") == 0)
		server->structured_output = to_structured(value);
	else if (strcmp(name, "images") == 0)
		server->images = to_bool(value);
	else if (strcmp(name, "logprobs") == 0)
		server->logprobs = to_bool(value);
	else if (strcmp(name, "extra_body") == 0)
		server->extra_body = pstrdup(value);
	else if (strcmp(name, "temperature") == 0)
		server->temperature = pstrdup(value);
	else if (strcmp(name, "top_p") == 0)
		server->top_p = pstrdup(value);
	else if (strcmp(name, "max_tokens") == 0)
		server->max_tokens = (int) strtod(value, NULL);
	else if (strcmp(name, "seed") == 0)
		server->seed = pstrdup(value);
	else if (strcmp(name, "reasoning_effort") == 0)
		server->reasoning_effort = pstrdup(value);
	else if (strcmp(name, "thinking_budget_field") == 0)
		server->thinking_budget_field = pstrdup(value);
	else if (strcmp(name, "input_price") == 0)
		server->input_price = strtod(value, NULL);
	else if (strcmp(name, "output_price") == 0)
		server->output_price = strtod(value, NULL);
	else if (strcmp(name, "cached_input_price") == 0)
		server->cached_input_price = strtod(value, NULL);
	else if (strcmp(name, "max_tokens_field") == 0)
		server->max_tokens_field = pstrdup(value);
	else if (strcmp(name, "allow_private_address") == 0)
		server->allow_private_address = to_bool(value);
	else if (strcmp(name, "proxy") == 0)
		server->proxy = pstrdup(value);
	else if (strcmp(name, "unix_socket") == 0)
		server->unix_socket = pstrdup(value);
	else if (strcmp(name, "ca_file") == 0)
		server->ca_file = pstrdup(value);
	else if (strcmp(name, "client_cert") == 0)
		server->client_cert = pstrdup(value);
	else if (strcmp(name, "client_key") == 0)
		server->client_key = pstrdup(value);
	else if (strcmp(name, "http_version") == 0)
		server->http_version = to_http_version(value);
}

static void
set_defaults(LmServer *server)
{
	server->model = pstrdup("canned");
	server->max_concurrency = DEFAULT_CONCURRENCY;
	server->connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS;
	server->request_timeout_ms = DEFAULT_REQUEST_TIMEOUT_MS;
	server->max_tokens = -1;
	server->images = true;
	server->cached_input_price = -1;
}

/*
 * Resolving
 */

bool
gepa_lm_is_lm(const ForeignServer *server)
{
	return strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, "gepa_lm") == 0;
}

static ForeignServer *
find_server(const char *name, Oid userid, bool missing_ok)
{
	ForeignServer *foreign = GetForeignServerByName(name, true);

	if (foreign == NULL)
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("LM \"%s\" does not exist", name),
				 errhint("Create it with CREATE SERVER ... FOREIGN DATA WRAPPER gepa_lm.")));
	}
	if (!gepa_lm_is_lm(foreign))
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a language model", name),
				 errhint("Name a server of the foreign-data wrapper gepa_lm; see gepa.lms.")));
	}
	if (!gepa_has_server_usage(foreign->serverid, userid))
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for LM \"%s\"", name),
				 errhint("Its owner can GRANT USAGE ON FOREIGN SERVER, which is the right to spend money on it.")));
	}
	return foreign;
}

void
gepa_lm_check_usage(const char *name, Oid userid)
{
	(void) find_server(name, userid, false);
}

static char *
find_key(LmServer *server, const KeyOptions *keys)
{
	char	   *key = mapping_key(server, server->userid);

	if (key == NULL)
		key = mapping_key(server, InvalidOid);
	if (key == NULL && keys->file != NULL)
		key = file_key(server, keys->file);
	if (key == NULL && keys->env != NULL)
		key = env_key(server, keys->env);
	return key;
}

/* Queries end, and fail, without freeing what they hold. */
static void
wipe_key(void *arg)
{
	LmServer   *server = arg;

	if (server->api_key != NULL)
		explicit_bzero(server->api_key, strlen(server->api_key));
}

/* What the options say, in the current context; keys is where a key may be found. */
static void
read_options(LmServer *server, const ForeignServer *foreign, KeyOptions *keys)
{
	ListCell   *cell;

	server->serverid = foreign->serverid;
	server->name = pstrdup(foreign->servername);
	set_defaults(server);
	foreach(cell, foreign->options)
	{
		DefElem    *def = lfirst(cell);

		set_option(server, keys, def->defname, defGetString(def));
	}
	if (server->api == LM_API_ANTHROPIC && server->max_tokens < 0)
		server->max_tokens = DEFAULT_REQUIRED_TOKENS;
}

LmServer *
gepa_lm_resolve(const char *name, Oid userid)
{
	ForeignServer *foreign = find_server(name, userid, false);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "gepa lm",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LmServer   *server = palloc0(sizeof(LmServer));
	MemoryContextCallback *on_reset = palloc0(sizeof(MemoryContextCallback));
	KeyOptions	keys = {0};

	on_reset->func = wipe_key;
	on_reset->arg = server;
	MemoryContextRegisterResetCallback(context, on_reset);
	server->userid = userid;
	read_options(server, foreign, &keys);
	if (server->api != LM_API_CANNED)
		server->api_key = find_key(server, &keys);
	gepa_prepare_conversion();	/* calls are made outside of a transaction too */
	MemoryContextSwitchTo(old);
	return server;
}

LmServer *
gepa_lm_describe(const char *name, Oid userid)
{
	ForeignServer *foreign = find_server(name, userid, true);
	KeyOptions	keys = {0};
	LmServer   *server;

	if (foreign == NULL)
		return NULL;
	server = palloc0(sizeof(LmServer));
	server->userid = userid;
	read_options(server, foreign, &keys);
	return server;
}

void
gepa_lm_set_scoring(LmServer *server, LmApi scoring)
{
	size_t		length = strlen(server->base_url ? server->base_url : "");

	if (server->api != LM_API_OPENAI)
		return;
	server->api = scoring;
	if (length > 3 && strcmp(server->base_url + length - 3, "/v1") == 0)
		server->base_url[length - 3] = '\0';
}

void
gepa_lm_free(LmServer *server)
{
	MemoryContextDelete(GetMemoryChunkContext(server));
}

/*
 * Identity
 */

static void
put_text(StringInfo buf, const char *name, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(buf, ",\"%s\":", name);
	gepa_json_quote(buf, value);
}

char *
gepa_lm_identity(const LmServer *server)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"api\":\"%s\"", gepa_lm_provider(server->api)->name);
	put_text(&buf, "model", server->model);
	put_text(&buf, "structured_output", gepa_lm_structured_names[server->structured_output]);
	appendStringInfo(&buf, ",\"logprobs\":%s", server->logprobs ? "true" : "false");
	put_text(&buf, "temperature", server->temperature);
	put_text(&buf, "top_p", server->top_p);
	if (server->max_tokens > 0)
		appendStringInfo(&buf, ",\"max_tokens\":%d", server->max_tokens);
	put_text(&buf, "max_tokens_field", server->max_tokens_field);
	put_text(&buf, "seed", server->seed);
	put_text(&buf, "reasoning_effort", server->reasoning_effort);
	put_text(&buf, "thinking_budget_field", server->thinking_budget_field);
	put_text(&buf, "extra_body", server->extra_body);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

double
gepa_lm_cost(const LmServer *server, const LmReply *reply)
{
	int			cached = Min(reply->cached_tokens, reply->input_tokens);
	double		cached_price = server->cached_input_price >= 0 ?
		server->cached_input_price : server->input_price;

	return ((reply->input_tokens - cached) * server->input_price + cached * cached_price +
			reply->output_tokens * server->output_price) / 1e6;
}
