/*-------------------------------------------------------------------------
 *
 * scoring.c
 *	  The wire formats of reward models behind vLLM-style servers.
 *
 * /classify gives the probabilities of classes, /score a number for two texts, /pooling
 * what the model's head makes of a conversation.  The paths stand beside /v1, not
 * below it.  The content of a reply is the first item of the response's "data", as
 * JSON; what it means is the grader's matter.  Nothing raises on foreign text.
 * Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lm/lm_internal.h"

/* What base_url should be, for hints. */
#define ENDPOINT "a server with /classify, /score or /pooling, such as vLLM with a reward model"

static char *
classify_path(const LmServer *server)
{
	return pstrdup("/classify");
}

static char *
score_path(const LmServer *server)
{
	return pstrdup("/score");
}

static char *
pooling_path(const LmServer *server)
{
	return pstrdup("/pooling");
}

/*
 * Requests
 */

/* The messages from one on, as one text. */
static void
put_texts(StringInfo body, const LmRequest *request, int from)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = from; i < request->nmessages; i++)
		appendStringInfo(&text, "%s%s", i > from ? "\n\n" : "", request->messages[i].content);
	gepa_json_quote(body, text.data);
}

static void
end_body(const LmServer *server, StringInfo body)
{
	gepa_lm_put_extra(body, gepa_lm_extra_body(server), NULL);
	appendStringInfoChar(body, '}');
}

static void
build_classify(const LmServer *server, const LmRequest *request, StringInfo body)
{
	appendStringInfo(body, "{\"model\":%s,\"input\":", gepa_lm_quoted(server->model));
	put_texts(body, request, 0);
	end_body(server, body);
}

static void
build_score(const LmServer *server, const LmRequest *request, StringInfo body)
{
	appendStringInfo(body, "{\"model\":%s,\"text_1\":%s,\"text_2\":",
					 gepa_lm_quoted(server->model), gepa_lm_quoted(request->messages[0].content));
	put_texts(body, request, 1);
	end_body(server, body);
}

static void
build_pooling(const LmServer *server, const LmRequest *request, StringInfo body)
{
	static const char *const role_names[] = {"system", "user", "assistant"};

	appendStringInfo(body, "{\"model\":%s,\"messages\":[", gepa_lm_quoted(server->model));
	for (int i = 0; i < request->nmessages; i++)
		appendStringInfo(body, "%s{\"role\":\"%s\",\"content\":%s}", i > 0 ? "," : "",
						 role_names[request->messages[i].role],
						 gepa_lm_quoted(request->messages[i].content));
	appendStringInfoChar(body, ']');
	end_body(server, body);
}

/*
 * Responses
 */

static void
parse(const char *body, size_t length, LmReply *reply)
{
	const char *error;
	const GepaJson *json = gepa_json_parse_utf8(body, length, &error);
	const GepaJson *item = gepa_json_item(gepa_json_get(json, "data"), 0);
	const GepaJson *usage = gepa_json_get(json, "usage");
	StringInfoData content;

	if (json == NULL || item == NULL)
	{
		gepa_lm_set_foreign(reply, json == NULL ? gepa_lm_describe_body(body, length, error) :
							"The response has no \"data\" with an item.", ENDPOINT);
		return;
	}
	reply->input_tokens = gepa_lm_token_count(usage, "prompt_tokens");
	reply->output_tokens = gepa_lm_token_count(usage, "completion_tokens");
	initStringInfo(&content);
	gepa_json_write(&content, item);
	reply->content = content.data;
	reply->status = GEPA_STATUS_OK;
}

static void
parse_error(int http_status, const char *body, size_t length, LmReply *reply)
{
	gepa_lm_openai.parse_error(http_status, body, length, reply);
}

const LmProvider gepa_lm_classify = {
	.name = "classify",
	.path = classify_path,
	.key_header = "Authorization: Bearer ",
	.build = build_classify,
	.parse = parse,
	.parse_error = parse_error
};

const LmProvider gepa_lm_score = {
	.name = "score",
	.path = score_path,
	.key_header = "Authorization: Bearer ",
	.build = build_score,
	.parse = parse,
	.parse_error = parse_error
};

const LmProvider gepa_lm_pooling = {
	.name = "pooling",
	.path = pooling_path,
	.key_header = "Authorization: Bearer ",
	.build = build_pooling,
	.parse = parse,
	.parse_error = parse_error
};
