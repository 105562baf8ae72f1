/*-------------------------------------------------------------------------
 *
 * openai.c
 *	  The wire format of OpenAI-compatible chat completions.
 *
 * Building a request and reading a response; no network here.  A response is
 * foreign text: nothing in it can raise an error, and what does not fit
 * becomes a status with a detail.  Dialects differ in small things (where
 * thinking stands, whether content is a string or parts, what an error looks
 * like); what is known of them is read here.  Frontend safe.
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

/* Alternatives asked for per token; the most that servers commonly allow. */
#define TOP_LOGPROBS 20

/* What vLLM calls it; OpenAI has effort alone. */
#define THINKING_BUDGET_FIELD "thinking_token_budget"

/* What base_url should be, for hints. */
#define ENDPOINT "an OpenAI-compatible endpoint (it usually ends in /v1)"

/*
 * Requests
 */

static const char *const role_names[] = {"system", "user", "assistant"};

static char *
path(const LmServer *server)
{
	return pstrdup("/chat/completions");
}

/* A string, or a list of parts where there are images. */
static void
put_content(StringInfo body, const LmRequest *request, int message)
{
	LmWalk		walk = gepa_lm_walk(request, message);
	LmPart		part;

	if (walk.nimages == 0)
	{
		gepa_json_quote(body, walk.message->content);
		return;
	}
	for (bool first = true; gepa_lm_next_part(&walk, &part); first = false)
	{
		appendStringInfoChar(body, first ? '[' : ',');
		if (part.source != NULL)
		{
			appendStringInfoString(body, "{\"type\":\"image_url\",\"image_url\":{\"url\":");
			gepa_lm_put_source(body, part.source);
			appendStringInfoString(body, "}}");
			continue;
		}
		appendStringInfoString(body, "{\"type\":\"text\",\"text\":");
		gepa_lm_put_text(body, &part);
		appendStringInfoChar(body, '}');
	}
	appendStringInfoChar(body, ']');
}

static void
put_messages(StringInfo body, const LmRequest *request)
{
	appendStringInfoString(body, ",\"messages\":[");
	for (int i = 0; i < request->nmessages; i++)
	{
		appendStringInfo(body, "%s{\"role\":\"%s\",\"content\":", i > 0 ? "," : "",
						 role_names[request->messages[i].role]);
		put_content(body, request, i);
		appendStringInfoChar(body, '}');
	}
	appendStringInfoChar(body, ']');
}

static char *
response_format(const LmServer *server, const LmRequest *request)
{
	StringInfoData buf;

	if (request->schema == NULL || server->structured_output == LM_STRUCTURED_TEXT)
		return NULL;
	if (server->structured_output == LM_STRUCTURED_JSON_OBJECT)
		return pstrdup("{\"type\":\"json_object\"}");
	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"type\":\"json_schema\",\"json_schema\":{\"name\":");
	gepa_json_quote(&buf, request->schema_name);
	appendStringInfo(&buf, ",\"strict\":true,\"schema\":%s}}", request->schema);
	return buf.data;
}

static void
build(const LmServer *server, const LmRequest *request, StringInfo body)
{
	GepaJson   *extra = gepa_lm_extra_body(server);

	appendStringInfo(body, "{\"model\":%s", gepa_lm_quoted(server->model));
	put_messages(body, request);
	gepa_lm_put_member(body, extra, "temperature", server->temperature);
	gepa_lm_put_member(body, extra, "top_p", server->top_p);
	gepa_lm_put_member(body, extra, "seed", gepa_lm_seed(server, request));
	gepa_lm_put_member(body, extra, "reasoning_effort",
					   gepa_lm_quoted(gepa_lm_effort(server, request)));
	if (request->limits_thinking)
		gepa_lm_put_member(body, extra,
						   server->thinking_budget_field ? server->thinking_budget_field :
						   THINKING_BUDGET_FIELD,
						   psprintf("%d", request->thinking_budget));
	if (server->max_tokens > 0)
		gepa_lm_put_member(body, extra,
						   server->max_tokens_field ? server->max_tokens_field : "max_tokens",
						   psprintf("%d", server->max_tokens));
	gepa_lm_put_member(body, extra, "response_format", response_format(server, request));
	if (server->logprobs && request->want_logprobs)
	{
		gepa_lm_put_member(body, extra, "logprobs", "true");
		gepa_lm_put_member(body, extra, "top_logprobs", psprintf("%d", TOP_LOGPROBS));
	}
	gepa_lm_put_extra(body, extra, NULL);
	appendStringInfoChar(body, '}');
}

/*
 * Texts
 */

/* A message's content: a string, or an array of text parts. */
static char *
content_text(const GepaJson *content)
{
	StringInfoData buf;

	if (content == NULL || content->kind == GEPA_JSON_NULL)
		return NULL;
	if (content->kind == GEPA_JSON_STRING)
		return content->text;
	if (content->kind != GEPA_JSON_ARRAY)
		return NULL;
	initStringInfo(&buf);
	for (int i = 0; i < content->nitems; i++)
	{
		const char *part = gepa_json_get_string(content->items[i], "text");

		if (part != NULL)
			appendStringInfoString(&buf, part);
	}
	return buf.data;
}

/*
 * Log-probabilities
 */

/*
 * A token's text.  One that is part of a character has no text of its own;
 * where its bytes are given, they say what it is.
 */
static const char *
token_text(const GepaJson *item)
{
	const GepaJson *bytes = gepa_json_get(item, "bytes");
	StringInfoData text;

	if (bytes == NULL || bytes->kind != GEPA_JSON_ARRAY)
		return gepa_json_get_string(item, "token");
	initStringInfo(&text);
	for (int i = 0; i < bytes->nitems; i++)
	{
		int			byte = bytes->items[i]->kind == GEPA_JSON_NUMBER ?
			atoi(bytes->items[i]->text) : 0;

		if (byte <= 0 || byte > 255)
			return gepa_json_get_string(item, "token");
		appendStringInfoChar(&text, (char) byte);
	}
	return text.data;
}

static const LmTokenFormat token_format = {.text = token_text,.logprob = "logprob"};

static void
read_tokens(const GepaJson *list, const char *whole, int skip, LmReply *reply)
{
	LmToken    *tokens;

	if (list == NULL || list->kind != GEPA_JSON_ARRAY || list->nitems == 0)
		return;
	tokens = palloc0(sizeof(LmToken) * list->nitems);
	for (int i = 0; i < list->nitems; i++)
		gepa_lm_read_token(&token_format, list->items[i],
						   gepa_json_get(list->items[i], "top_logprobs"), &tokens[i]);
	gepa_lm_take_tokens(tokens, list->nitems, whole, skip, reply);
}

/*
 * Responses
 */

static void
read_message(const GepaJson *choice, LmReply *reply)
{
	const GepaJson *message = gepa_json_get(choice, "message");
	const char *reasoning = gepa_json_get_string(message, "reasoning_content");
	char	   *whole = content_text(gepa_json_get(message, "content"));
	char	   *thinking = NULL;

	if (reasoning == NULL)
		reasoning = gepa_json_get_string(message, "reasoning");
	if (whole != NULL)
	{
		reply->content = gepa_lm_split_thinking(whole, &thinking);
		read_tokens(gepa_json_get(gepa_json_get(choice, "logprobs"), "content"), whole,
					(int) (strlen(whole) - strlen(reply->content)), reply);
	}
	if (reasoning != NULL && reasoning[0] != '\0')
		reply->reasoning = pstrdup(reasoning);
	else if (thinking != NULL && thinking[strspn(thinking, " \t\r\n")] != '\0')
		reply->reasoning = thinking;
}

/* How servers say that the model was done. */
static bool
is_good_end(const char *finish)
{
	static const char *const ends[] = {
		"", "stop", "eos", "eos_token", "end_turn", "stop_sequence"
	};

	for (int i = 0; i < lengthof(ends); i++)
		if (pg_strcasecmp(finish, ends[i]) == 0)
			return true;
	return false;
}

static LmEnd
end_of(const char *finish)
{
	if (pg_strcasecmp(finish, "content_filter") == 0)
		return LM_END_FILTERED;
	if (pg_strcasecmp(finish, "length") == 0 || pg_strcasecmp(finish, "max_tokens") == 0)
		return LM_END_LENGTH;
	return is_good_end(finish) ? LM_END_GOOD : LM_END_OTHER;
}

static void
judge_answer(const GepaJson *choice, LmReply *reply)
{
	const GepaJson *message = gepa_json_get(choice, "message");

	gepa_lm_set_end(reply, end_of(reply->finish_reason ? reply->finish_reason : ""),
					gepa_json_get_string(message, "refusal"),
					gepa_json_get(message, "tool_calls") != NULL);
}

/*
 * Error responses
 */

/* The first of what may be a list: some servers say each error of several. */
static const GepaJson *
first_of(const GepaJson *value)
{
	return value != NULL && value->kind == GEPA_JSON_ARRAY ? gepa_json_item(value, 0) : value;
}

static const char *
error_message(const GepaJson *json, const char **code)
{
	const GepaJson *whole = first_of(json);
	const GepaJson *error = first_of(gepa_json_get(whole, "error"));
	const GepaJson *detail = first_of(gepa_json_get(whole, "detail"));
	const char *message;

	*code = NULL;
	if (error != NULL && error->kind == GEPA_JSON_STRING)
		return error->text;
	if (error == NULL)
		error = whole;
	message = gepa_json_get_string(error, "message");
	*code = gepa_json_get_string(error, "code");
	if (*code == NULL)
		*code = gepa_json_get_string(error, "type");
	if (message == NULL && detail != NULL)
		message = detail->kind == GEPA_JSON_STRING ? detail->text : gepa_json_get_string(detail, "msg");
	return message;
}

static void
parse_error(int http_status, const char *body, size_t length, LmReply *reply)
{
	const GepaJson *json = gepa_json_parse_utf8(body, length, NULL);
	const char *code = NULL;
	const char *message = error_message(json, &code);

	gepa_lm_explain_error(http_status, code, message,
						  json == NULL ? gepa_lm_error_text(body, length) : NULL, reply);
}

/*
 * The whole
 */

static bool
has_error(const GepaJson *json)
{
	const GepaJson *error = gepa_json_get(json, "error");

	return error != NULL && error->kind != GEPA_JSON_NULL;
}

/* The HTTP status that an error of a gateway stands for; 502 if none. */
static int
error_status(const GepaJson *error)
{
	double		code;

	if (gepa_json_get_number(error, "code", &code) && code >= 400 && code < 600)
		return (int) code;
	return 502;
}

static void
parse(const char *body, size_t length, LmReply *reply)
{
	const char *error;
	const GepaJson *json = gepa_json_parse_utf8(body, length, &error);
	const GepaJson *choice = gepa_json_item(gepa_json_get(json, "choices"), 0);
	const GepaJson *usage = gepa_json_get(json, "usage");
	const char *finish;

	if (json == NULL)
	{
		gepa_lm_set_foreign(reply, gepa_lm_describe_body(body, length, error), ENDPOINT);
		return;
	}
	reply->input_tokens = gepa_lm_token_count(usage, "prompt_tokens");
	reply->cached_tokens = gepa_lm_token_count(gepa_json_get(usage, "prompt_tokens_details"),
											   "cached_tokens");
	reply->output_tokens = gepa_lm_token_count(usage, "completion_tokens");
	if (choice == NULL && has_error(json))
	{
		/* Some gateways answer 200 and say in the body what went wrong. */
		reply->http_status = error_status(gepa_json_get(json, "error"));
		parse_error(reply->http_status, body, length, reply);
		return;
	}
	if (choice == NULL || gepa_json_get(choice, "message") == NULL)
	{
		gepa_lm_set_foreign(reply, "The response is no chat completion: it has no choices with a message.",
							ENDPOINT);
		return;
	}
	finish = gepa_json_get_string(choice, "finish_reason");
	reply->finish_reason = finish ? gepa_clean_text(PG_UTF8, finish, 40) : NULL;
	read_message(choice, reply);
	judge_answer(choice, reply);
}

const LmProvider gepa_lm_openai = {
	.name = "openai",
	.path = path,
	.key_header = "Authorization: Bearer ",
	.build = build,
	.parse = parse,
	.parse_error = parse_error
};
