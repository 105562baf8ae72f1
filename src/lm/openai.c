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
#include "utils/errcodes.h"
#else
#include "postgres_fe.h"
#define ERRCODE_EXTERNAL_ROUTINE_EXCEPTION 1
#define ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION 2
#define ERRCODE_INSUFFICIENT_PRIVILEGE 3
#define ERRCODE_UNDEFINED_OBJECT 4
#define ERRCODE_CONFIGURATION_LIMIT_EXCEEDED 5
#endif

#include <limits.h>
#include <math.h>

#include "mb/pg_wchar.h"

#include "base/text.h"
#include "lm/lm_internal.h"

/* Alternatives asked for per token; the most that servers commonly allow. */
#define TOP_LOGPROBS 20

/*
 * How often a token may be looked at to find where the answer begins.  Once or
 * twice is enough; tokens made for the purpose would want the square.
 */
#define MAX_LOOKS 64

/* How much of a provider's own words goes into an error detail, in bytes. */
#define SHOWN_BYTES 300

/*
 * Requests
 */

static const char *const role_names[] = {"system", "user", "assistant"};

static void
put_messages(StringInfo body, const LmRequest *request)
{
	appendStringInfoString(body, ",\"messages\":[");
	for (int i = 0; i < request->nmessages; i++)
	{
		appendStringInfo(body, "%s{\"role\":\"%s\",\"content\":", i > 0 ? "," : "",
						 role_names[request->messages[i].role]);
		gepa_json_quote(body, request->messages[i].content);
		appendStringInfoChar(body, '}');
	}
	appendStringInfoChar(body, ']');
}

/* A member, unless extra_body has one of that name: that one wins. */
static void
put_member(StringInfo body, const GepaJson *extra, const char *name, const char *json)
{
	if (json != NULL && gepa_json_get(extra, name) == NULL)
		appendStringInfo(body, ",\"%s\":%s", name, json);
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

static char *
quoted(const char *text)
{
	StringInfoData buf;

	if (text == NULL)
		return NULL;
	initStringInfo(&buf);
	gepa_json_quote(&buf, text);
	return buf.data;
}

static void
build(const LmServer *server, const LmRequest *request, StringInfo body)
{
	GepaJson   *extra = server->extra_body == NULL ? NULL :
		gepa_json_parse(server->extra_body, strlen(server->extra_body), NULL);

	appendStringInfoString(body, "{\"model\":");
	gepa_json_quote(body, server->model);
	put_messages(body, request);
	put_member(body, extra, "temperature", server->temperature);
	put_member(body, extra, "top_p", server->top_p);
	put_member(body, extra, "seed", server->seed);
	put_member(body, extra, "reasoning_effort", quoted(server->reasoning_effort));
	if (server->max_tokens > 0)
		put_member(body, extra, "max_tokens", psprintf("%d", server->max_tokens));
	put_member(body, extra, "response_format", response_format(server, request));
	if (server->logprobs && request->want_logprobs)
	{
		put_member(body, extra, "logprobs", "true");
		put_member(body, extra, "top_logprobs", psprintf("%d", TOP_LOGPROBS));
	}
	for (int i = 0; extra != NULL && i < extra->nitems; i++)
	{
		appendStringInfoChar(body, ',');
		gepa_json_quote(body, extra->keys[i]);
		appendStringInfoChar(body, ':');
		gepa_json_write(body, extra->items[i]);
	}
	appendStringInfoChar(body, '}');
}

/*
 * Texts
 */

char *
gepa_lm_split_thinking(const char *answer, char **reasoning)
{
	const char *start = answer + strspn(answer, " \t\r\n");
	const char *end = NULL;
	bool		opened = strncmp(start, "<think>", 7) == 0;

	*reasoning = NULL;
	for (const char *p = answer; (p = strstr(p, "</think>")) != NULL; p++)
		end = p;
	if (opened)
		start += 7;
	else if (*start == '{')
		end = NULL;				/* an answer that speaks of the tag */
	if (end != NULL && end >= start)
	{
		*reasoning = pnstrdup(start, end - start);
		return pstrdup(end + 8);
	}
	if (!opened)
		return pstrdup(answer);
	*reasoning = pstrdup(start);	/* never closed: nothing was answered */
	return pstrdup("");
}

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

static void
read_alternatives(const GepaJson *list, LmToken *token)
{
	if (list == NULL || list->kind != GEPA_JSON_ARRAY)
		return;
	token->alternatives = palloc0(sizeof(LmAlternative) * Max(list->nitems, 1));
	for (int i = 0; i < list->nitems; i++)
	{
		LmAlternative *alternative = &token->alternatives[token->nalternatives];

		alternative->token = token_text(list->items[i]);
		if (alternative->token != NULL &&
			gepa_json_get_number(list->items[i], "logprob", &alternative->logprob) &&
			alternative->logprob <= 1e-6)
			token->nalternatives++;
	}
}

/* A token without text or probability has a NULL text: it matches nothing. */
static void
read_token(const GepaJson *item, LmToken *token)
{
	token->token = token_text(item);
	if (!gepa_json_get_number(item, "logprob", &token->logprob) || !(token->logprob <= 1e-6))
		token->token = NULL;
	read_alternatives(gepa_json_get(item, "top_logprobs"), token);
}

/*
 * How many tokens make up the whole answer, exactly; 0 when these do not.
 * *skipped is set to how many of them make up the first skip bytes, *work
 * goes down by how many were looked at.
 */
static int
match_tokens(const LmToken *tokens, int ntokens, const char *whole, int skip, int *skipped,
			 int64 *work)
{
	int			at = 0;
	int			length = (int) strlen(whole);
	int			n = 0;

	*skipped = 0;
	while (n < ntokens && at < length)
	{
		const char *text = tokens[n].token;
		int			bytes = text != NULL ? (int) strlen(text) : 0;

		if (text == NULL || bytes > length - at || strncmp(whole + at, text, bytes) != 0 ||
			(at < skip && at + bytes > skip) || --*work <= 0)
			return 0;
		at += bytes;
		n++;
		if (at <= skip)
			*skipped = n;
	}
	return at == length ? n : 0;
}

/*
 * Take the tokens that make up content, which is the end of the whole answer
 * from byte offset skip on.  What comes before (thinking that was put into a
 * field of its own) or behind (the end mark) is none of it.  When nothing fits
 * (an answer that was changed on its way) there are no tokens.
 */
static void
read_tokens(const GepaJson *list, const char *whole, int skip, LmReply *reply)
{
	LmToken    *tokens;
	int64		work;

	if (list == NULL || list->kind != GEPA_JSON_ARRAY || list->nitems == 0)
		return;
	tokens = palloc0(sizeof(LmToken) * list->nitems);
	for (int i = 0; i < list->nitems; i++)
		read_token(list->items[i], &tokens[i]);
	work = MAX_LOOKS * (int64) list->nitems;
	for (int from = list->nitems - 1; from >= 0 && work > 0; from--)
	{
		int			skipped;
		int			n = match_tokens(tokens + from, list->nitems - from, whole, skip,
									 &skipped, &work);

		if (n <= skipped)
			continue;
		reply->tokens = tokens + from + skipped;
		reply->ntokens = n - skipped;
		return;
	}
}

/*
 * Responses
 */

static void
set_status(LmReply *reply, GepaStatus status, const char *detail)
{
	reply->status = status;
	reply->detail = pstrdup(detail);
}

/* HTTP went well, but whoever answered does not speak our dialect. */
static void
set_foreign(LmReply *reply, const char *detail)
{
	set_status(reply, GEPA_STATUS_HTTP_ERROR, detail);
	reply->hint = pstrdup("Check that base_url names an OpenAI-compatible endpoint (it usually ends in /v1), and what stands between.");
}

static int
token_count(const GepaJson *usage, const char *name)
{
	double		count;

	if (!gepa_json_get_number(usage, name, &count) || !(count >= 0) || count > INT_MAX)
		return 0;
	return (int) count;
}

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

static bool
is_blank(const char *text)
{
	return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
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

static void
set_answer(LmReply *reply, GepaStatus status, const char *detail, const char *hint)
{
	set_status(reply, status, detail);
	reply->hint = pstrdup(hint);
}

static void
judge_empty(const GepaJson *message, LmReply *reply)
{
	if (gepa_json_get(message, "tool_calls") != NULL)
		set_answer(reply, GEPA_STATUS_UNPARSEABLE, "The model called a tool instead of answering.",
				   "Take tools out of extra_body of the server, or switch the model's own ones off.");
	else if (reply->reasoning != NULL)
		set_answer(reply, GEPA_STATUS_UNPARSEABLE,
				   "The answer is empty: the model thought, and said nothing.",
				   "Raise max_tokens of the server, or lower reasoning_effort.");
	else
		set_answer(reply, GEPA_STATUS_UNPARSEABLE, "The answer is empty.",
				   "Check the model's chat template, and structured_output of the server.");
}

static void
judge_answer(const GepaJson *choice, LmReply *reply)
{
	const GepaJson *message = gepa_json_get(choice, "message");
	const char *refusal = gepa_json_get_string(message, "refusal");
	const char *finish = reply->finish_reason ? reply->finish_reason : "";

	reply->status = GEPA_STATUS_OK;
	if (!is_blank(refusal))
		set_answer(reply, GEPA_STATUS_REFUSED,
				   psprintf("The model declined: %s", gepa_clean_text(PG_UTF8, refusal, SHOWN_BYTES)),
				   "A judge that says what the text is for is declined less often.");
	else if (pg_strcasecmp(finish, "content_filter") == 0)
		set_answer(reply, GEPA_STATUS_REFUSED, "The provider's content filter stopped the answer.",
				   "Loosen the filter at the provider, or judge such texts with another model.");
	else if (pg_strcasecmp(finish, "length") == 0 || pg_strcasecmp(finish, "max_tokens") == 0)
		set_answer(reply, GEPA_STATUS_TRUNCATED, "The answer was cut off by the limit on output tokens.",
				   "Raise max_tokens of the server; a model that thinks needs room for it.");
	else if (is_blank(reply->content))
		judge_empty(message, reply);
	else if (!is_good_end(finish))
		set_answer(reply, GEPA_STATUS_UNPARSEABLE,
				   psprintf("The answer did not come to its end (finish reason \"%s\").", finish),
				   "See the log of the endpoint for why it stopped.");
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

static bool
mentions(const char *text, const char *const *words)
{
	for (; text != NULL && *words != NULL; words++)
		if (strstr(text, *words) != NULL)
			return true;
	return false;
}

static void
set_fatal(LmReply *reply, int sqlerrcode, const char *hint)
{
	reply->fatal = true;
	reply->sqlerrcode = sqlerrcode;
	reply->hint = pstrdup(hint);
}

/* What an error is about, where its number does not say. */
typedef enum ErrorKind
{
	ERROR_OTHER,
	ERROR_TOO_LONG,
	ERROR_FILTERED,				/* of this document, not of all */
	ERROR_QUOTA
} ErrorKind;

static ErrorKind
error_kind(int http_status, const char *code, const char *message)
{
	static const char *const long_words[] = {
		"context_length", "context length", "maximum context", "context size",
		"too many tokens", "exceed_context_size", NULL
	};
	static const char *const quota_words[] = {"insufficient_quota", NULL};
	static const char *const filter_words[] = {
		"content_filter", "content_policy", "moderation", "flagged", NULL
	};
	bool		of_request = http_status == 400 || http_status == 422;

	if (http_status == 413 ||
		((of_request || http_status == 500) &&
		 (mentions(code, long_words) || mentions(message, long_words))))
		return ERROR_TOO_LONG;
	if ((of_request || http_status == 403) &&
		(mentions(code, filter_words) || mentions(message, filter_words)))
		return ERROR_FILTERED;
	return mentions(code, quota_words) ? ERROR_QUOTA : ERROR_OTHER;
}

/* Everything but the kinds that have a rule of their own. */
static void
judge_http_status(int http_status, LmReply *reply)
{
	if (http_status == 401)
		set_fatal(reply, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
				  "Check the key: api_key of the user mapping, or api_key_file or api_key_env of the server.");
	else if (http_status == 403)
		set_fatal(reply, ERRCODE_INSUFFICIENT_PRIVILEGE,
				  "The endpoint knows the key but forbids this; check its rights to the model.");
	else if (http_status == 404)
		set_fatal(reply, ERRCODE_UNDEFINED_OBJECT,
				  "Check base_url (it usually ends in /v1) and model of the server.");
	else if (http_status >= 300 && http_status < 400)
		set_fatal(reply, ERRCODE_EXTERNAL_ROUTINE_EXCEPTION,
				  "Redirects are not followed; set base_url to where the endpoint really is.");
	else if (http_status == 429)
		reply->hint = pstrdup("Lower max_concurrency of the server, or ask the provider for a higher limit.");
	else if (gepa_lm_may_retry(LM_FAILURE_HTTP, http_status))
		reply->hint = pstrdup("See the log of the endpoint, or try again later.");
	else
	{
		reply->rejected = http_status >= 400 && http_status < 500;
		reply->hint = pstrdup("Check what the request asks for: model, extra_body and the other options of the server.");
	}
}

static void
parse_error(int http_status, const char *body, size_t length, LmReply *reply)
{
	const GepaJson *json = gepa_json_parse_utf8(body, length, NULL);
	const char *code = NULL;
	const char *message = error_message(json, &code);
	const char *said = message != NULL ? gepa_clean_text(PG_UTF8, message, SHOWN_BYTES) :
		json == NULL ? gepa_lm_error_text(body, length) : NULL;

	reply->status = GEPA_STATUS_HTTP_ERROR;
	reply->sqlerrcode = ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
	reply->detail = said == NULL ? psprintf("The endpoint answered HTTP %d.", http_status) :
		psprintf("The endpoint answered HTTP %d: %s", http_status, said);
	switch (error_kind(http_status, code, message))
	{
		case ERROR_TOO_LONG:
			reply->status = GEPA_STATUS_TOO_LONG;
			reply->hint = pstrdup("Lower max_chars of the judge, or serve the model with a longer context.");
			break;
		case ERROR_FILTERED:
			reply->status = GEPA_STATUS_REFUSED;
			reply->hint = pstrdup("Loosen the filter at the provider, or judge such texts with another model.");
			break;
		case ERROR_QUOTA:
			set_fatal(reply, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
					  "The account has no quota left; see the provider's billing page.");
			break;
		case ERROR_OTHER:
			judge_http_status(http_status, reply);
			break;
	}
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
		set_foreign(reply, gepa_lm_describe_body(body, length, error));
		return;
	}
	reply->input_tokens = token_count(usage, "prompt_tokens");
	reply->output_tokens = token_count(usage, "completion_tokens");
	if (choice == NULL && has_error(json))
	{
		/* Some gateways answer 200 and say in the body what went wrong. */
		reply->http_status = error_status(gepa_json_get(json, "error"));
		parse_error(reply->http_status, body, length, reply);
		return;
	}
	if (choice == NULL || gepa_json_get(choice, "message") == NULL)
	{
		set_foreign(reply, "The response is no chat completion: it has no choices with a message.");
		return;
	}
	finish = gepa_json_get_string(choice, "finish_reason");
	reply->finish_reason = finish ? gepa_clean_text(PG_UTF8, finish, 40) : NULL;
	read_message(choice, reply);
	judge_answer(choice, reply);
}

const LmProvider gepa_lm_openai = {
	.path = "/chat/completions",
	.build = build,
	.parse = parse,
	.parse_error = parse_error
};
