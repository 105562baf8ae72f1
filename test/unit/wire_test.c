/*-------------------------------------------------------------------------
 *
 * wire_test.c
 *	  Exchanges with real kinds of endpoints: what gepa sends, and what it
 *	  makes of what comes back.
 *
 * The exchanges are the files wire/NAME.json; wire/README.md says what their
 * fields mean and where they come from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <dirent.h>

#include "lm/lm_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

#define FOLDER "wire"

/* A time for headers that name one: 2026-11-25T12:00:00Z. */
#define NOW ((int64) 1795608000)

/* As wire files name what a failed call raises; by provider.c's numbers. */
static const char *const errors[] = {"none", "other", "key", "rights", "missing", "quota"};

static const char *const all_fields[] = {
	"status", "content", "reasoning", "finish_reason", "detail", "error", "fatal", "retry",
	"input_tokens", "cached_tokens", "output_tokens", "tokens", "label_tokens", "wait_ms"
};

static char *
read_whole(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	StringInfoData buf;
	char		piece[4096];
	size_t		n;

	initStringInfo(&buf);
	if (file == NULL)
		return NULL;
	while ((n = fread(piece, 1, sizeof(piece), file)) > 0)
		appendBinaryStringInfo(&buf, piece, (int) n);
	fclose(file);
	return buf.data;
}

static char *
as_text(const GepaJson *json)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (json != NULL && json->kind == GEPA_JSON_STRING)
		appendStringInfoString(&buf, json->text);
	else if (json != NULL)
		gepa_json_write(&buf, json);
	return buf.data;
}

/* The LM of an exchange, as server.c would make it of the same options. */
static LmServer
make_server(LmApi api, const GepaJson *options)
{
	LmServer	server = {0};
	double		number;
	const char *structured = gepa_json_get_string(options, "structured_output");

	server.api = api;
	server.model = (char *) gepa_json_get_string(options, "model");
	server.max_tokens = gepa_json_get_number(options, "max_tokens", &number) ? (int) number :
		api == LM_API_ANTHROPIC ? 4096 : -1;
	server.max_tokens_field = (char *) gepa_json_get_string(options, "max_tokens_field");
	server.temperature = (char *) gepa_json_get_string(options, "temperature");
	server.seed = (char *) gepa_json_get_string(options, "seed");
	server.reasoning_effort = (char *) gepa_json_get_string(options, "reasoning_effort");
	server.logprobs = gepa_json_get(options, "logprobs") != NULL;
	if (gepa_json_get(options, "extra_body") != NULL)
		server.extra_body = as_text(gepa_json_get(options, "extra_body"));
	for (int i = 0; structured != NULL && i < LM_NSTRUCTURED; i++)
		if (strcmp(gepa_lm_structured_names[i], structured) == 0)
			server.structured_output = (LmStructured) i;
	return server;
}

/* What a judge asks, in small. */
static void
check_request(const LmProvider *provider, const GepaJson *exchange, const char *name)
{
	static const LmMessage messages[] = {
		{LM_ROLE_SYSTEM, "Answer with a JSON object."},
		{LM_ROLE_USER, "Is \"three\" even?"},
		{LM_ROLE_ASSISTANT, "{\"label\": \"false\"}"},
		{LM_ROLE_USER, "Is \"two\" even?"}
	};
	LmServer	server = make_server(gepa_lm_api_by_name(provider->name),
									 gepa_json_get(exchange, "options"));
	LmRequest	request = {
		.nmessages = lengthof(messages),
		.messages = messages,
		.schema_name = "verdict",
		.schema = "{\"type\":\"object\",\"properties\":{\"reasoning\":{\"type\":\"string\"},\"label\":{\"type\":\"string\","
		"\"enum\":[\"true\",\"false\"]}},\"required\":[\"reasoning\",\"label\"],\"additionalProperties\":false}",
		.want_logprobs = true
	};
	StringInfoData body;

	initStringInfo(&body);
	provider->build(&server, &request, &body);
	tap_ok(gepa_json_parse(body.data, body.len, NULL) != NULL, "%s: the request is JSON", name);
	tap_is_string(body.data, as_text(gepa_json_get(exchange, "request")),
				  psprintf("%s: the request", name));
	tap_is_string(provider->path(&server), gepa_json_get_string(exchange, "path"),
				  psprintf("%s: its path", name));
}

/* Milliseconds to wait, from headers and body. */
static int64
find_wait(const LmProvider *provider, int status, const GepaJson *headers, const char *body)
{
	LmPace		pace;
	int64		wait;

	gepa_lm_pace_start(&pace);
	for (int i = 0; headers != NULL && i < headers->nitems; i++)
	{
		char	   *line = psprintf("%s: %s\r\n", headers->keys[i], as_text(headers->items[i]));

		gepa_lm_pace_read(&pace, line, strlen(line), NOW);
	}
	wait = gepa_lm_pace_wait(&pace, status);
	if (wait < 0 && provider->retry_after != NULL)
		wait = provider->retry_after(body, strlen(body));
	return wait;
}

/* The alternatives of the token that begins with a label, "a b c". */
static char *
label_tokens(const LmReply *reply)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < reply->ntokens; i++)
	{
		const char *text = reply->tokens[i].token;

		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			continue;
		for (int k = 0; k < reply->tokens[i].nalternatives; k++)
			appendStringInfo(&buf, "%s%s", k > 0 ? " " : "",
							 reply->tokens[i].alternatives[k].token);
	}
	return buf.data;
}

/* A field of the reply as text. */
static const char *
field_of(const char *field, const LmReply *reply, int status, int64 wait)
{
	if (strcmp(field, "status") == 0)
		return gepa_status_name(reply->status);
	if (strcmp(field, "content") == 0)
		return reply->content;
	if (strcmp(field, "reasoning") == 0)
		return reply->reasoning;
	if (strcmp(field, "finish_reason") == 0)
		return reply->finish_reason;
	if (strcmp(field, "detail") == 0)
		return reply->detail;
	if (strcmp(field, "error") == 0)
		return errors[reply->sqlerrcode];
	if (strcmp(field, "fatal") == 0)
		return reply->fatal ? "true" : "false";
	if (strcmp(field, "retry") == 0)
		return !reply->fatal && reply->status != GEPA_STATUS_TOO_LONG &&
			gepa_lm_may_retry(LM_FAILURE_HTTP, status) ? "true" : "false";
	if (strcmp(field, "input_tokens") == 0)
		return psprintf("%d", reply->input_tokens);
	if (strcmp(field, "cached_tokens") == 0)
		return psprintf("%d", reply->cached_tokens);
	if (strcmp(field, "output_tokens") == 0)
		return psprintf("%d", reply->output_tokens);
	if (strcmp(field, "tokens") == 0)
		return psprintf("%d", reply->ntokens);
	if (strcmp(field, "label_tokens") == 0)
		return label_tokens(reply);
	return psprintf("%lld", (long long) wait);
}

static void
check_response(const LmProvider *provider, const GepaJson *exchange, const char *name)
{
	const GepaJson *expect = gepa_json_get(exchange, "expect");
	const char *body = as_text(gepa_json_get(exchange, "body"));
	LmReply		reply = {0};
	double		status = 0;
	int64		wait;

	(void) gepa_json_get_number(exchange, "status", &status);
	if (status == 200)
		provider->parse(body, strlen(body), &reply);
	else
		provider->parse_error((int) status, body, strlen(body), &reply);
	wait = find_wait(provider, (int) status, gepa_json_get(exchange, "headers"), body);
	tap_ok(expect != NULL && expect->nitems > 0, "%s: something is expected", name);
	for (int i = 0; expect != NULL && i < expect->nitems; i++)
	{
		const char *wanted = expect->items[i]->kind == GEPA_JSON_NULL ? NULL :
			as_text(expect->items[i]);
		bool		known = false;

		for (int k = 0; k < lengthof(all_fields); k++)
			known = known || strcmp(all_fields[k], expect->keys[i]) == 0;
		tap_ok(known, "%s: %s is a field", name, expect->keys[i]);
		tap_is_string(field_of(expect->keys[i], &reply, (int) status, wait), wanted,
					  psprintf("%s: %s", name, expect->keys[i]));
	}
}

static void
check_file(const char *file)
{
	char	   *text = read_whole(psprintf(FOLDER "/%s", file));
	const char *error = "cannot be read";
	GepaJson   *json = text == NULL ? NULL : gepa_json_parse(text, strlen(text), &error);

	tap_ok(json != NULL && json->kind == GEPA_JSON_ARRAY && json->nitems > 0,
		   "%s: a list of exchanges (%s)", file, json ? "ok" : error);
	for (int i = 0; json != NULL && i < json->nitems; i++)
	{
		const GepaJson *exchange = json->items[i];
		const char *api = gepa_json_get_string(exchange, "api");
		const LmProvider *provider = gepa_lm_provider(gepa_lm_api_by_name(api ? api : "openai"));
		char	   *name = psprintf("%s, %s", file, gepa_json_get_string(exchange, "name"));

		if (gepa_json_get(exchange, "request") != NULL)
			check_request(provider, exchange, name);
		check_response(provider, exchange, name);
	}
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* No bytes from outside crash a dialect's reader. */
static void
check_damaged(const char *file)
{
	char	   *text = read_whole(psprintf(FOLDER "/%s", file));
	GepaJson   *json = gepa_json_parse(text, strlen(text), NULL);

	for (int i = 0; json != NULL && i < json->nitems; i++)
	{
		char	   *body = as_text(gepa_json_get(json->items[i], "body"));
		size_t		length = strlen(body);

		for (int api = LM_API_OPENAI; api < LM_API_CANNED; api++)
			for (size_t at = 0; at < length; at += 1 + length / 60)
			{
				const LmProvider *provider = gepa_lm_provider((LmApi) api);
				char	   *damaged = pstrdup(body);
				LmReply		reply = {0};

				damaged[at] = "{}[]\",:0x"[at % 9];
				provider->parse(damaged, length, &reply);
				provider->parse_error(400, damaged, at, &reply);
				if (provider->retry_after != NULL)
					(void) provider->retry_after(damaged, length);
				pfree(damaged);
			}
	}
	tap_ok(true, "%s: damaged bodies are survived by every dialect", file);
}

int
main(void)
{
	DIR		   *folder = opendir(FOLDER);
	struct dirent *entry;
	char	   *names[64];
	int			n = 0;

	while (folder != NULL && n < lengthof(names) && (entry = readdir(folder)) != NULL)
		if (strstr(entry->d_name, ".json") != NULL)
			names[n++] = pstrdup(entry->d_name);
	if (folder != NULL)
		closedir(folder);
	tap_ok(n >= 7, "there are files of exchanges");
	qsort(names, n, sizeof(char *), compare_names);
	for (int i = 0; i < n; i++)
	{
		check_file(names[i]);
		check_damaged(names[i]);
	}
	return tap_done();
}
