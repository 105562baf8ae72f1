/*-------------------------------------------------------------------------
 *
 * gemini.c
 *	  The wire format of Gemini's generateContent.
 *
 * What differs from chat completions: the model is part of the path, sampling
 * and the schema of the answer stand in generationConfig, thinking comes as
 * parts that are marked as thought, log-probabilities have a layout of their
 * own, and errors say in their details which quota is used up and when to
 * come back.  No network here, nothing raises on foreign text.  Frontend safe.
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

/* The most alternatives per token that are given. */
#define TOP_LOGPROBS 20

/* What base_url should be, for hints. */
#define ENDPOINT "the root of a Gemini API (it usually ends in /v1beta)"

/* Below /models/ and nowhere else: nobody takes out "..", and nobody is asked to. */
bool
gepa_lm_gemini_is_model(const char *name)
{
	const char *part = name;

	for (const char *p = name;; p++)
	{
		size_t		length = p - part;

		if (*p == '\\' || *p == 0x7F || (*p != '\0' && (unsigned char) *p < 0x20))
			return false;
		if (*p != '/' && *p != '\0')
			continue;
		if (length == 0 || (length <= 2 && strspn(part, ".") >= length))
			return false;
		if (*p == '\0')
			return true;
		part = p + 1;
	}
}

/* The model's name with what has a meaning in a URL escaped. */
static char *
path(const LmServer *server)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "/models/");
	for (const char *p = server->model; *p != '\0'; p++)
	{
		unsigned char c = (unsigned char) *p;

		if (c < 0x80 && (isalnum(c) || strchr("-._~@/", c) != NULL))
			appendStringInfoChar(&buf, *p);
		else
			appendStringInfo(&buf, "%%%02X", c);
	}
	appendStringInfoString(&buf, ":generateContent");
	return buf.data;
}

/*
 * Requests
 */

/* By the ending of its path, which is all that is known of an image elsewhere; or NULL. */
static const char *
guess_type(const char *url)
{
	static const char *const endings[][2] = {
		{".png", "image/png"}, {".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"},
		{".webp", "image/webp"}, {".gif", "image/gif"}
	};
	size_t		length = strcspn(url, "?#");

	for (int i = 0; i < lengthof(endings); i++)
	{
		size_t		n = strlen(endings[i][0]);

		if (length > n && pg_strncasecmp(url + length - n, endings[i][0], n) == 0)
			return endings[i][1];
	}
	return NULL;
}

static void
put_image(StringInfo body, const char *source)
{
	const char *type = guess_type(source);
	int			start = body->len;

	appendStringInfoString(body, "{\"inlineData\":{");
	if (!gepa_lm_put_data(body, source, "mimeType", "data"))
	{
		body->len = start;
		appendStringInfoString(body, "{\"fileData\":{\"fileUri\":");
		gepa_lm_put_source(body, source);
		if (type != NULL)
			appendStringInfo(body, ",\"mimeType\":\"%s\"", type);
	}
	appendStringInfoString(body, "}}");
}

static void
put_parts(StringInfo body, const LmRequest *request, int message)
{
	LmWalk		walk = gepa_lm_walk(request, message);
	LmPart		part;
	bool		more = gepa_lm_next_part(&walk, &part);

	appendStringInfoString(body, "\"parts\":[");
	do
	{
		if (more && part.source != NULL)
			put_image(body, part.source);
		else
		{
			appendStringInfoString(body, "{\"text\":");
			gepa_lm_put_text(body, &part);
			appendStringInfoChar(body, '}');
		}
		more = gepa_lm_next_part(&walk, &part);
		appendStringInfoString(body, more ? "," : "]");
	} while (more);
}

static void
put_contents(StringInfo body, const LmRequest *request)
{
	bool		first = true;

	appendStringInfoString(body, "{\"contents\":[");
	for (int i = 0; i < request->nmessages; i++)
	{
		const LmMessage *message = &request->messages[i];

		if (message->role == LM_ROLE_SYSTEM)
			continue;
		appendStringInfo(body, "%s{\"role\":\"%s\",", first ? "" : ",",
						 message->role == LM_ROLE_ASSISTANT ? "model" : "user");
		put_parts(body, request, i);
		appendStringInfoChar(body, '}');
		first = false;
	}
	appendStringInfoChar(body, ']');
	for (int i = 0; i < request->nmessages; i++)
		if (request->messages[i].role == LM_ROLE_SYSTEM)
		{
			appendStringInfoString(body, ",\"systemInstruction\":{");
			put_parts(body, request, i);
			appendStringInfoChar(body, '}');
			return;
		}
}

/*
 * The schema with the order of its properties, which older models do not
 * keep by themselves: reasoning has to come before the label.
 */
static char *
ordered_schema(const char *schema)
{
	GepaJson   *json = gepa_json_parse(schema, strlen(schema), NULL);
	const GepaJson *properties = gepa_json_get(json, "properties");
	StringInfoData buf;

	if (properties == NULL || properties->nitems < 2)
		return pstrdup(schema);
	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"propertyOrdering\":[");
	for (int i = 0; i < properties->nitems; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? "," : "", gepa_lm_quoted(properties->keys[i]));
	appendStringInfoChar(&buf, ']');
	gepa_lm_put_extra(&buf, json, NULL);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

static void
put_form(StringInfo config, const LmServer *server, const LmRequest *request,
		 const GepaJson *given)
{
	if (request->schema == NULL || server->structured_output == LM_STRUCTURED_TEXT)
		return;
	gepa_lm_put_member(config, given, "responseMimeType", "\"application/json\"");
	if (server->structured_output == LM_STRUCTURED_JSON_SCHEMA &&
		gepa_json_get(given, "responseSchema") == NULL)
		gepa_lm_put_member(config, given, "responseJsonSchema", ordered_schema(request->schema));
}

/*
 * A level and a budget in one request are an error, so a budget takes the place of the
 * server's level.  Thoughts are told only where somebody asks for them.
 */
static char *
thinking_config(const LmServer *server, const LmRequest *request)
{
	const char *level = request->limits_thinking ? request->effort :
		gepa_lm_effort(server, request);
	StringInfoData buf;

	initStringInfo(&buf);
	if (level != NULL)
		appendStringInfo(&buf, ",\"thinkingLevel\":%s", gepa_lm_quoted(level));
	if (request->limits_thinking)
		appendStringInfo(&buf, ",\"thinkingBudget\":%d", request->thinking_budget);
	if (request->effort != NULL || (request->limits_thinking && request->thinking_budget > 0))
		appendStringInfoString(&buf, ",\"includeThoughts\":true");
	return buf.len == 0 ? NULL : psprintf("{%s}", buf.data + 1);
}

static void
put_config(StringInfo body, const LmServer *server, const LmRequest *request,
		   const GepaJson *given)
{
	StringInfoData config;

	initStringInfo(&config);
	gepa_lm_put_member(&config, given, "temperature", server->temperature);
	gepa_lm_put_member(&config, given, "topP", server->top_p);
	gepa_lm_put_member(&config, given, "seed", gepa_lm_seed(server, request));
	if (server->max_tokens > 0)
		gepa_lm_put_member(&config, given, "maxOutputTokens", psprintf("%d", server->max_tokens));
	gepa_lm_put_member(&config, given, "thinkingConfig", thinking_config(server, request));
	put_form(&config, server, request, given);
	if (server->logprobs && request->want_logprobs)
	{
		gepa_lm_put_member(&config, given, "responseLogprobs", "true");
		gepa_lm_put_member(&config, given, "logprobs", psprintf("%d", TOP_LOGPROBS));
	}
	gepa_lm_put_extra(&config, given, NULL);
	if (config.len > 0)
		appendStringInfo(body, ",\"generationConfig\":{%s}", config.data + 1);
}

static void
build(const LmServer *server, const LmRequest *request, StringInfo body)
{
	GepaJson   *extra = gepa_lm_extra_body(server);

	put_contents(body, request);
	put_config(body, server, request, gepa_json_get(extra, "generationConfig"));
	gepa_lm_put_extra(body, extra, "generationConfig");
	appendStringInfoChar(body, '}');
}

/*
 * Responses
 */

static bool
is_true(const GepaJson *object, const char *name)
{
	const GepaJson *value = gepa_json_get(object, name);

	return value != NULL && value->kind == GEPA_JSON_BOOL && value->boolean;
}

/* The text of the parts; of the thoughts, or of the rest. */
static char *
read_parts(const GepaJson *parts, bool thoughts)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; parts != NULL && i < parts->nitems; i++)
	{
		const char *text = gepa_json_get_string(parts->items[i], "text");

		if (text != NULL && is_true(parts->items[i], "thought") == thoughts)
			appendStringInfoString(&buf, text);
	}
	return buf.data;
}

static const char *
token_text(const GepaJson *item)
{
	return gepa_json_get_string(item, "token");
}

static const LmTokenFormat token_format = {.text = token_text,.logprob = "logProbability"};

static void
read_tokens(const GepaJson *result, const char *whole, int skip, LmReply *reply)
{
	const GepaJson *chosen = gepa_json_get(result, "chosenCandidates");
	const GepaJson *top = gepa_json_get(result, "topCandidates");
	LmToken    *tokens;

	if (chosen == NULL || chosen->kind != GEPA_JSON_ARRAY || chosen->nitems == 0)
		return;
	tokens = palloc0(sizeof(LmToken) * chosen->nitems);
	for (int i = 0; i < chosen->nitems; i++)
		gepa_lm_read_token(&token_format, chosen->items[i],
						   gepa_json_get(gepa_json_item(top, i), "candidates"), &tokens[i]);
	gepa_lm_take_tokens(tokens, chosen->nitems, whole, skip, reply);
}

static LmEnd
end_of(const char *reason)
{
	static const char *const filtered[] = {
		"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"
	};

	for (int i = 0; i < lengthof(filtered); i++)
		if (strcmp(reason, filtered[i]) == 0)
			return LM_END_FILTERED;
	if (strcmp(reason, "MAX_TOKENS") == 0)
		return LM_END_LENGTH;
	return reason[0] == '\0' || strcmp(reason, "STOP") == 0 ? LM_END_GOOD : LM_END_OTHER;
}

static void
read_candidate(const GepaJson *candidate, LmReply *reply)
{
	const GepaJson *parts = gepa_json_get(gepa_json_get(candidate, "content"), "parts");
	const char *reason = gepa_json_get_string(candidate, "finishReason");
	char	   *whole = read_parts(parts, false);
	char	   *thoughts = read_parts(parts, true);
	char	   *inside;

	reply->finish_reason = reason ? gepa_clean_text(PG_UTF8, reason, 40) : NULL;
	reply->content = gepa_lm_split_thinking(whole, &inside);
	if (!gepa_is_blank(thoughts))
		reply->reasoning = thoughts;
	else if (!gepa_is_blank(inside))
		reply->reasoning = inside;
	read_tokens(gepa_json_get(candidate, "logprobsResult"), whole,
				(int) (strlen(whole) - strlen(reply->content)), reply);
	gepa_lm_set_end(reply, end_of(reason ? reason : ""), NULL, false);
}

static void
parse(const char *body, size_t length, LmReply *reply)
{
	const char *error;
	const GepaJson *json = gepa_json_parse_utf8(body, length, &error);
	const GepaJson *candidate = gepa_json_item(gepa_json_get(json, "candidates"), 0);
	const GepaJson *usage = gepa_json_get(json, "usageMetadata");
	const char *blocked = gepa_json_get_string(gepa_json_get(json, "promptFeedback"),
											   "blockReason");

	if (json == NULL)
	{
		gepa_lm_set_foreign(reply, gepa_lm_describe_body(body, length, error), ENDPOINT);
		return;
	}
	reply->input_tokens = gepa_lm_token_count(usage, "promptTokenCount");
	reply->cached_tokens = gepa_lm_token_count(usage, "cachedContentTokenCount");
	reply->output_tokens = gepa_lm_token_count(usage, "candidatesTokenCount") +
		gepa_lm_token_count(usage, "thoughtsTokenCount");
	if (candidate != NULL)
		read_candidate(candidate, reply);
	else if (blocked != NULL)
	{
		reply->finish_reason = gepa_clean_text(PG_UTF8, blocked, 40);
		gepa_lm_set_end(reply, LM_END_FILTERED, NULL, false);
	}
	else
		gepa_lm_set_foreign(reply, "The response is no generated content: it has no candidates.", ENDPOINT);
}

/*
 * Errors
 */

static const GepaJson *
find_error(const char *body, size_t length)
{
	const GepaJson *json = gepa_json_parse_utf8(body, length, NULL);

	/* Some ways to it put what they say into a list. */
	if (json != NULL && json->kind == GEPA_JSON_ARRAY)
		json = gepa_json_item(json, 0);
	return gepa_json_get(json, "error");
}

/* The detail of a type, which is a URL's last part. */
static const GepaJson *
find_detail(const GepaJson *error, const char *type)
{
	const GepaJson *details = gepa_json_get(error, "details");

	for (int i = 0; details != NULL && i < details->nitems; i++)
	{
		const char *found = gepa_json_get_string(details->items[i], "@type");

		if (found != NULL && strstr(found, type) != NULL)
			return details->items[i];
	}
	return NULL;
}

/* A quota per day is not waited for; one per minute is. */
static bool
is_daily_quota(const GepaJson *error)
{
	const GepaJson *violations = gepa_json_get(find_detail(error, "google.rpc.QuotaFailure"),
											   "violations");

	for (int i = 0; violations != NULL && i < violations->nitems; i++)
	{
		const char *quota = gepa_json_get_string(violations->items[i], "quotaId");

		if (quota != NULL && strstr(quota, "PerDay") != NULL)
			return true;
	}
	return false;
}

static void
parse_error(int http_status, const char *body, size_t length, LmReply *reply)
{
	const GepaJson *error = find_error(body, length);
	const char *code = gepa_json_get_string(find_detail(error, "google.rpc.ErrorInfo"), "reason");

	if (code == NULL)
		code = gepa_json_get_string(error, "status");
	if (is_daily_quota(error))
		code = "insufficient_quota";
	gepa_lm_explain_error(http_status, code, gepa_json_get_string(error, "message"),
						  error == NULL ? gepa_lm_error_text(body, length) : NULL, reply);
}

static int64
retry_after(const char *body, size_t length)
{
	const char *delay = gepa_json_get_string(find_detail(find_error(body, length),
														 "google.rpc.RetryInfo"),
											 "retryDelay");

	return delay == NULL ? -1 : gepa_lm_parse_duration(delay);
}

const LmProvider gepa_lm_gemini = {
	.name = "gemini",
	.path = path,
	.key_header = "x-goog-api-key: ",
	.build = build,
	.parse = parse,
	.parse_error = parse_error,
	.retry_after = retry_after
};
