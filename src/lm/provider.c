/*-------------------------------------------------------------------------
 *
 * provider.c
 *	  Which dialects there are, and what they have in common on the wire.
 *
 * A dialect's own file knows where things stand in its requests and
 * responses.  What they mean (a refusal, an answer that was cut off, an error
 * that no further call can escape) is the same for all and said here, so that
 * a user reads the same words whoever is behind the LM.  Frontend safe.
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

#include "mb/pg_wchar.h"

#include "base/text.h"
#include "lm/lm_internal.h"

/* How much of a provider's own words goes into an error detail, in bytes. */
#define SHOWN_BYTES 300

static const LmProvider *const providers[] = {
	[LM_API_OPENAI] = &gepa_lm_openai,
	[LM_API_ANTHROPIC] = &gepa_lm_anthropic,
	[LM_API_GEMINI] = &gepa_lm_gemini,
	[LM_API_CANNED] = &gepa_lm_canned,
	[LM_API_CLASSIFY] = &gepa_lm_classify,
	[LM_API_SCORE] = &gepa_lm_score,
	[LM_API_POOLING] = &gepa_lm_pooling
};

const char *const gepa_lm_structured_names[LM_NSTRUCTURED] = {
	[LM_STRUCTURED_JSON_SCHEMA] = "json_schema",
	[LM_STRUCTURED_JSON_OBJECT] = "json_object",
	[LM_STRUCTURED_TEXT] = "text",
	[LM_STRUCTURED_TOOL] = "tool"
};

const LmProvider *
gepa_lm_provider(LmApi api)
{
	return providers[api];
}

LmApi
gepa_lm_api_by_name(const char *name)
{
	for (int i = 0; i < lengthof(providers); i++)
		if (strcmp(providers[i]->name, name) == 0)
			return (LmApi) i;
	return LM_API_OPENAI;
}

/*
 * Requests
 */

GepaJson *
gepa_lm_extra_body(const LmServer *server)
{
	return server->extra_body == NULL ? NULL :
		gepa_json_parse(server->extra_body, strlen(server->extra_body), NULL);
}

void
gepa_lm_put_member(StringInfo body, const GepaJson *extra, const char *name, const char *json)
{
	if (json != NULL && gepa_json_get(extra, name) == NULL)
		appendStringInfo(body, ",\"%s\":%s", name, json);
}

void
gepa_lm_put_extra(StringInfo body, const GepaJson *extra, const char *skip)
{
	if (extra == NULL || extra->kind != GEPA_JSON_OBJECT)
		return;
	for (int i = 0; i < extra->nitems; i++)
	{
		if (skip != NULL && strcmp(extra->keys[i], skip) == 0)
			continue;
		appendStringInfoChar(body, ',');
		gepa_json_quote(body, extra->keys[i]);
		appendStringInfoChar(body, ':');
		gepa_json_write(body, extra->items[i]);
	}
}

const char *
gepa_lm_effort(const LmServer *server, const LmRequest *request)
{
	return request->effort != NULL ? request->effort : server->reasoning_effort;
}

char *
gepa_lm_seed(const LmServer *server, const LmRequest *request)
{
	if (server->seed == NULL || request->sample == 0)
		return server->seed;
	return psprintf("%lld", strtoll(server->seed, NULL, 10) + request->sample);
}

char *
gepa_lm_quoted(const char *text)
{
	StringInfoData buf;

	if (text == NULL)
		return NULL;
	initStringInfo(&buf);
	gepa_json_quote(&buf, text);
	return buf.data;
}

/*
 * Answers
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

/* No call takes so many, and the counts of one can be added up. */
#define MOST_TOKENS (INT_MAX / 4)

int
gepa_lm_token_count(const GepaJson *usage, const char *name)
{
	double		count;

	if (!gepa_json_get_number(usage, name, &count) || !(count >= 0) || count > MOST_TOKENS)
		return 0;
	return (int) count;
}

static void
set_answer(LmReply *reply, GepaStatus status, const char *detail, const char *hint)
{
	reply->status = status;
	reply->detail = pstrdup(detail);
	reply->hint = pstrdup(hint);
}

void
gepa_lm_set_foreign(LmReply *reply, const char *detail, const char *endpoint)
{
	set_answer(reply, GEPA_STATUS_HTTP_ERROR, detail,
			   psprintf("Check that base_url names %s, and what stands between.", endpoint));
}

static void
set_filtered(LmReply *reply, const char *finish)
{
	const char *detail = "The provider's content filter stopped the answer.";

	/* Some have a word for what it was. */
	if (pg_strcasecmp(finish, "content_filter") != 0)
		detail = psprintf("The provider's content filter stopped the answer (finish reason \"%s\").",
						  finish);
	set_answer(reply, GEPA_STATUS_REFUSED, detail,
			   "Loosen the filter at the provider, or judge such texts with another model.");
}

static void
set_empty(LmReply *reply, bool called_tool)
{
	if (called_tool)
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

void
gepa_lm_set_end(LmReply *reply, LmEnd end, const char *refusal, bool called_tool)
{
	const char *finish = reply->finish_reason ? reply->finish_reason : "";

	reply->status = GEPA_STATUS_OK;
	if (!gepa_is_blank(refusal))
		set_answer(reply, GEPA_STATUS_REFUSED,
				   psprintf("The model declined: %s", gepa_clean_text(PG_UTF8, refusal, SHOWN_BYTES)),
				   "A judge that says what the text is for is declined less often.");
	else if (end == LM_END_FILTERED)
		set_filtered(reply, finish);
	else if (end == LM_END_LENGTH)
		set_answer(reply, GEPA_STATUS_TRUNCATED, "The answer was cut off by the limit on output tokens.",
				   "Raise max_tokens of the server; a model that thinks needs room for it.");
	else if (gepa_is_blank(reply->content))
		set_empty(reply, called_tool);
	else if (end == LM_END_OTHER)
		set_answer(reply, GEPA_STATUS_UNPARSEABLE,
				   psprintf("The answer did not come to its end (finish reason \"%s\").", finish),
				   "See the log of the endpoint for why it stopped.");
}

/*
 * Errors
 */

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

static bool
is_too_long(int http_status, const char *code, const char *message)
{
	static const char *const words[] = {
		"context_length", "context length", "maximum context", "context size", "context limit",
		"too many tokens", "exceed_context_size", "prompt is too long", "input token count",
		"longer than the maximum model length", NULL
	};

	return http_status == 413 ||
		((http_status == 400 || http_status == 422 || http_status == 500) &&
		 (mentions(code, words) || mentions(message, words)));
}

/* Of this document, not of all. */
static bool
is_filtered(int http_status, const char *code, const char *message)
{
	static const char *const words[] = {
		"content_filter", "content_policy", "moderation", "flagged", NULL
	};

	return (http_status == 400 || http_status == 403 || http_status == 422) &&
		(mentions(code, words) || mentions(message, words));
}

static bool
is_key_refused(int http_status, const char *code, const char *message)
{
	static const char *const codes[] = {"API_KEY_INVALID", NULL};
	static const char *const words[] = {"API key not valid", NULL};

	return http_status == 401 || mentions(code, codes) ||
		(http_status == 400 && mentions(message, words));
}

/* Money or a quota is used up: waiting for a minute or two does not help. */
static bool
is_quota_used_up(int http_status, const char *code, const char *message)
{
	static const char *const codes[] = {"insufficient_quota", "billing_error", NULL};
	static const char *const words[] = {
		"credit balance is too low", "specified API usage limits", NULL
	};

	return http_status == 402 || mentions(code, codes) ||
		(http_status >= 400 && http_status < 500 && mentions(message, words));
}

/* Where the status says it all. */
static void
judge_http_status(int http_status, LmReply *reply)
{
	if (http_status == 403)
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

void
gepa_lm_explain_error(int http_status, const char *code, const char *message,
					  const char *text, LmReply *reply)
{
	const char *said = message != NULL ? gepa_clean_text(PG_UTF8, message, SHOWN_BYTES) : text;

	reply->status = GEPA_STATUS_HTTP_ERROR;
	reply->sqlerrcode = ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
	reply->detail = said == NULL ? psprintf("The endpoint answered HTTP %d.", http_status) :
		psprintf("The endpoint answered HTTP %d: %s", http_status, said);
	if (is_too_long(http_status, code, message))
	{
		reply->status = GEPA_STATUS_TOO_LONG;
		reply->hint = pstrdup("Lower max_chars of the judge, or serve the model with a longer context.");
	}
	else if (is_filtered(http_status, code, message))
	{
		reply->status = GEPA_STATUS_REFUSED;
		reply->hint = pstrdup("Loosen the filter at the provider, or judge such texts with another model.");
	}
	else if (is_key_refused(http_status, code, message))
		set_fatal(reply, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
				  "Check the key: api_key of the user mapping, or api_key_file or api_key_env of the server.");
	else if (is_quota_used_up(http_status, code, message))
		set_fatal(reply, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
				  "The account has no quota left; see the provider's billing page.");
	else
		judge_http_status(http_status, reply);
}
