/*-------------------------------------------------------------------------
 *
 * anthropic.c
 *	  The wire format of the Messages API.
 *
 * What differs from chat completions: the system prompt stands apart, a limit
 * on output tokens is required, an answer is a list of blocks, thinking
 * included, and there are no log-probabilities.  An answer is held to a schema
 * by output_config.format, or by a tool that must be called (structured_output
 * 'tool'), for endpoints that speak this dialect without knowing the former.
 *
 * Prompt caching has to be asked for: the mark stands at the end of what all
 * documents of a judge share.  No network here, nothing raises on foreign
 * text.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "mb/pg_wchar.h"

#include "base/text.h"
#include "lm/lm_internal.h"

/* What base_url should be, for hints. */
#define ENDPOINT "the root of a Messages API (it usually ends in /v1)"

static char *
path(const LmServer *server)
{
	return pstrdup("/messages");
}

/*
 * Requests
 */

static void
put_image(StringInfo body, const char *source)
{
	appendStringInfoString(body, "{\"type\":\"image\",\"source\":{");
	if (gepa_lm_put_data(body, source, "media_type", "data"))
		appendStringInfoString(body, ",\"type\":\"base64\"}");
	else
	{
		appendStringInfoString(body, "\"type\":\"url\",\"url\":");
		gepa_lm_put_source(body, source);
		appendStringInfoChar(body, '}');
	}
}

/* The content as blocks; marked, the last is the end of what is worth caching. */
static void
put_blocks(StringInfo body, const LmRequest *request, int message, bool marked)
{
	LmWalk		walk = gepa_lm_walk(request, message);
	LmPart		part;
	bool		more = gepa_lm_next_part(&walk, &part);

	appendStringInfoChar(body, '[');
	do
	{
		if (more && part.source != NULL)
			put_image(body, part.source);
		else
		{
			appendStringInfoString(body, "{\"type\":\"text\",\"text\":");
			gepa_lm_put_text(body, &part);
		}
		more = gepa_lm_next_part(&walk, &part);
		if (!more && marked)
			appendStringInfoString(body, ",\"cache_control\":{\"type\":\"ephemeral\"}");
		appendStringInfoString(body, more ? "}," : "}]");
	} while (more);
}

static void
put_system(StringInfo body, const LmRequest *request, int last_shared)
{
	for (int i = 0; i < request->nmessages; i++)
		if (request->messages[i].role == LM_ROLE_SYSTEM)
		{
			appendStringInfoString(body, ",\"system\":");
			put_blocks(body, request, i, i == last_shared);
			return;
		}
}

static void
put_messages(StringInfo body, const LmRequest *request, int last_shared)
{
	bool		first = true;

	appendStringInfoString(body, ",\"messages\":[");
	for (int i = 0; i < request->nmessages; i++)
	{
		const LmMessage *message = &request->messages[i];

		if (message->role == LM_ROLE_SYSTEM)
			continue;
		appendStringInfo(body, "%s{\"role\":\"%s\",\"content\":", first ? "" : ",",
						 message->role == LM_ROLE_ASSISTANT ? "assistant" : "user");
		put_blocks(body, request, i, i == last_shared);
		appendStringInfoChar(body, '}');
		first = false;
	}
	appendStringInfoChar(body, ']');
}

/* {"effort":..., "format":...}, or NULL when neither is wanted. */
static char *
output_config(const LmServer *server, const LmRequest *request, const GepaJson *extra)
{
	const GepaJson *given = gepa_json_get(extra, "output_config");
	StringInfoData buf;

	initStringInfo(&buf);
	gepa_lm_put_member(&buf, given, "effort", gepa_lm_quoted(gepa_lm_effort(server, request)));
	if (request->schema != NULL && server->structured_output == LM_STRUCTURED_JSON_SCHEMA)
		gepa_lm_put_member(&buf, given, "format",
						   psprintf("{\"type\":\"json_schema\",\"schema\":%s}", request->schema));
	gepa_lm_put_extra(&buf, given, NULL);
	return buf.len == 0 ? NULL : psprintf("{%s}", buf.data + 1);
}

static char *
thinking(const LmRequest *request)
{
	if (!request->limits_thinking)
		return NULL;
	if (request->thinking_budget == 0)
		return pstrdup("{\"type\":\"disabled\"}");
	return psprintf("{\"type\":\"enabled\",\"budget_tokens\":%d}", request->thinking_budget);
}

static void
put_tool(StringInfo body, const LmRequest *request, const GepaJson *extra)
{
	char	   *name = gepa_lm_quoted(request->schema_name);

	gepa_lm_put_member(body, extra, "tools",
					   psprintf("[{\"name\":%s,\"description\":\"Give your answer.\",\"input_schema\":%s}]",
								name, request->schema));
	gepa_lm_put_member(body, extra, "tool_choice",
					   psprintf("{\"type\":\"tool\",\"name\":%s}", name));
}

static void
build(const LmServer *server, const LmRequest *request, StringInfo body)
{
	GepaJson   *extra = gepa_lm_extra_body(server);
	int			last_shared = request->nmessages - 2;	/* the document is last */
	char	   *config = output_config(server, request, extra);

	appendStringInfo(body, "{\"model\":%s", gepa_lm_quoted(server->model));
	gepa_lm_put_member(body, extra, "max_tokens", psprintf("%d", server->max_tokens));
	put_system(body, request, last_shared);
	put_messages(body, request, last_shared);
	gepa_lm_put_member(body, extra, "temperature", server->temperature);
	gepa_lm_put_member(body, extra, "top_p", server->top_p);
	gepa_lm_put_member(body, extra, "thinking", thinking(request));
	if (config != NULL)
		appendStringInfo(body, ",\"output_config\":%s", config);
	if (request->schema != NULL && server->structured_output == LM_STRUCTURED_TOOL)
		put_tool(body, request, extra);
	gepa_lm_put_extra(body, extra, "output_config");
	appendStringInfoChar(body, '}');
}

/*
 * Responses
 */

static bool
is_type(const GepaJson *object, const char *type)
{
	const char *found = gepa_json_get_string(object, "type");

	return found != NULL && strcmp(found, type) == 0;
}

/* Text, or the input of the tool that we asked for, is the answer. */
static void
read_blocks(const GepaJson *content, LmReply *reply)
{
	StringInfoData text;
	StringInfoData thinking;
	char	   *inside;

	initStringInfo(&text);
	initStringInfo(&thinking);
	for (int i = 0; i < content->nitems; i++)
	{
		const GepaJson *block = content->items[i];
		const char *said = gepa_json_get_string(block, "text");
		const char *thought = gepa_json_get_string(block, "thinking");
		const GepaJson *input = gepa_json_get(block, "input");

		if (is_type(block, "text") && said != NULL)
			appendStringInfoString(&text, said);
		else if (is_type(block, "thinking") && thought != NULL)
			appendStringInfoString(&thinking, thought);
		else if (is_type(block, "tool_use") && input != NULL)
		{
			resetStringInfo(&text); /* words before the call are no answer */
			gepa_json_write(&text, input);
		}
	}
	reply->content = gepa_lm_split_thinking(text.data, &inside);
	if (!gepa_is_blank(thinking.data))
		reply->reasoning = thinking.data;
	else if (!gepa_is_blank(inside))
		reply->reasoning = inside;
}

static LmEnd
end_of(const char *reason)
{
	static const char *const good[] = {"", "end_turn", "stop_sequence", "tool_use"};

	for (int i = 0; i < lengthof(good); i++)
		if (strcmp(reason, good[i]) == 0)
			return LM_END_GOOD;
	if (strcmp(reason, "max_tokens") == 0 || strcmp(reason, "model_context_window_exceeded") == 0)
		return LM_END_LENGTH;
	return strcmp(reason, "refusal") == 0 ? LM_END_FILTERED : LM_END_OTHER;
}

static void
parse_error(int http_status, const char *body, size_t length, LmReply *reply)
{
	const GepaJson *json = gepa_json_parse_utf8(body, length, NULL);
	const GepaJson *error = gepa_json_get(json, "error");

	if (error == NULL)
		error = json;			/* a proxy's own words */
	gepa_lm_explain_error(http_status, gepa_json_get_string(error, "type"),
						  gepa_json_get_string(error, "message"),
						  json == NULL ? gepa_lm_error_text(body, length) : NULL, reply);
}

static void
parse(const char *body, size_t length, LmReply *reply)
{
	const char *error;
	const GepaJson *json = gepa_json_parse_utf8(body, length, &error);
	const GepaJson *usage = gepa_json_get(json, "usage");
	const GepaJson *content = gepa_json_get(json, "content");
	const char *reason = gepa_json_get_string(json, "stop_reason");

	if (json == NULL)
	{
		gepa_lm_set_foreign(reply, gepa_lm_describe_body(body, length, error), ENDPOINT);
		return;
	}
	reply->cached_tokens = gepa_lm_token_count(usage, "cache_read_input_tokens");
	reply->input_tokens = gepa_lm_token_count(usage, "input_tokens") + reply->cached_tokens +
		gepa_lm_token_count(usage, "cache_creation_input_tokens");
	reply->output_tokens = gepa_lm_token_count(usage, "output_tokens");
	if (is_type(json, "error"))
	{
		/* Some gateways answer 200 and say in the body what went wrong. */
		reply->http_status = 502;
		parse_error(reply->http_status, body, length, reply);
		return;
	}
	if (content == NULL || content->kind != GEPA_JSON_ARRAY)
	{
		gepa_lm_set_foreign(reply, "The response is no message: it has no list of content blocks.",
							ENDPOINT);
		return;
	}
	reply->finish_reason = reason ? gepa_clean_text(PG_UTF8, reason, 40) : NULL;
	read_blocks(content, reply);
	gepa_lm_set_end(reply, end_of(reason ? reason : ""),
					gepa_json_get_string(gepa_json_get(json, "stop_details"), "explanation"), false);
}

const LmProvider gepa_lm_anthropic = {
	.name = "anthropic",
	.path = path,
	.key_header = "x-api-key: ",
	.header = "anthropic-version: 2023-06-01",
	.build = build,
	.parse = parse,
	.parse_error = parse_error
};
