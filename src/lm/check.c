/*-------------------------------------------------------------------------
 *
 * check.c
 *	  What an LM can do, by one small request.
 *
 * The request is of the kind that judges send: a schema, log-probabilities if
 * the server has them on.  Everything that can be said is read off its reply.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lm/lm_internal.h"

#define NCHECKS 5

static const LmMessage check_messages[] = {
	{LM_ROLE_SYSTEM, "You answer with a JSON object {\"label\": \"yes\"} or {\"label\": \"no\"}, and nothing else."},
	{LM_ROLE_USER, "Is two an even number? Answer:"}
};

static const char check_schema[] =
	"{\"type\":\"object\",\"properties\":{\"label\":{\"type\":\"string\","
	"\"enum\":[\"yes\",\"no\"]}},\"required\":[\"label\"],\"additionalProperties\":false}";

static const char *const check_choices[] = {"yes", "no"};

static void
put(LmCheck *checks, int *n, const char *item, bool ok, char *detail)
{
	checks[*n].item = item;
	checks[*n].ok = ok;
	checks[*n].detail = detail;
	(*n)++;
}

static char *
failure_text(const LmReply *reply)
{
	const char *detail = reply->detail ? reply->detail : gepa_status_name(reply->status);

	return reply->hint ? psprintf("%s %s", detail, reply->hint) : pstrdup(detail);
}

/* A reply with any HTTP status came from a server that was reached. */
static bool
was_reached(const LmServer *server, const LmReply *reply)
{
	return server->api == LM_API_CANNED || reply->http_status > 0;
}

static void
check_schema_kept(const LmServer *server, const LmReply *reply, LmCheck *checks, int *n)
{
	static const char *const names[] = {"json_schema", "json_object", "text"};
	const GepaJson *json = reply->content == NULL ? NULL :
		gepa_json_parse(reply->content, strlen(reply->content), NULL);
	const char *label = gepa_json_get_string(json, "label");
	bool		kept = label != NULL && json->nitems == 1 &&
		(strcmp(label, "yes") == 0 || strcmp(label, "no") == 0);

	if (kept)
		put(checks, n, "json_schema", true,
			psprintf("The answer keeps to the schema (structured_output %s).",
					 names[server->structured_output]));
	else if (reply->status != GEPA_STATUS_OK)
		put(checks, n, "json_schema", false, failure_text(reply));
	else
		put(checks, n, "json_schema", false,
			psprintf("The answer does not keep to the schema: %s. Try %s.",
					 gepa_lm_clean_text(reply->content, 120),
					 server->structured_output == LM_STRUCTURED_JSON_SCHEMA ?
					 "another structured_output, or another model" :
					 "structured_output json_schema, or another model"));
}

static void
check_logprobs(const LmServer *server, const LmReply *reply, LmCheck *checks, int *n)
{
	if (!server->logprobs)
		put(checks, n, "logprobs", false,
			pstrdup("Not asked for; set option logprobs of the server to true to get probabilities as scores."));
	else if (reply->ntokens > 0)
		put(checks, n, "logprobs", true,
			psprintf("%d tokens with log-probabilities.", reply->ntokens));
	else
		put(checks, n, "logprobs", false,
			pstrdup("The endpoint gave no usable log-probabilities; scores will be 0 or 1."));
}

LmCheck *
gepa_lm_check(const LmServer *server, int *nchecks)
{
	LmOrigin	origin = {.purpose = LM_PURPOSE_CHECK};
	LmRequest	request = {0};
	LmReply    *reply;
	LmCheck    *checks = palloc0(sizeof(LmCheck) * NCHECKS);
	bool		answered;

	*nchecks = 0;
	request.nmessages = lengthof(check_messages);
	request.messages = check_messages;
	request.schema_name = "check";
	request.schema = check_schema;
	request.nchoices = lengthof(check_choices);
	request.choices = check_choices;
	request.want_logprobs = true;
	reply = gepa_lm_call(server, &origin, &request);

	if (!was_reached(server, reply))
	{
		put(checks, nchecks, "reachable", false, failure_text(reply));
		return checks;
	}
	put(checks, nchecks, "reachable", true,
		server->api == LM_API_CANNED ? pstrdup("Canned answers, no network.") :
		psprintf("%s answered HTTP %d.", server->base_url, reply->http_status));
	answered = reply->content != NULL;
	put(checks, nchecks, "model", answered,
		answered ? psprintf("Model \"%s\" answered.", server->model) : failure_text(reply));
	if (!answered)
		return checks;
	check_schema_kept(server, reply, checks, nchecks);
	check_logprobs(server, reply, checks, nchecks);
	put(checks, nchecks, "latency", true,
		psprintf("%.0f ms, %d attempts, %d input and %d output tokens.",
				 reply->latency_ms, reply->attempts, reply->input_tokens, reply->output_tokens));
	return checks;
}
