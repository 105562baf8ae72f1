/*-------------------------------------------------------------------------
 *
 * check.c
 *	  What an LM can do, by one small request.
 *
 * The request is of the kind that judges send: a schema, log-probabilities if
 * the server has them on.  It is sent once: whoever checks wants to know what
 * is wrong now, not whether it passes.  Everything that can be said is read off
 * its reply, in the order in which one thing needs the other; the first that
 * fails ends the list, or, where the rest can be seen all the same, does not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lm/lm_internal.h"

#define MAX_CHECKS 8

/* The share of request_timeout beyond which the smallest request is slow. */
#define SLOW_SHARE 0.25

static const LmMessage check_messages[] = {
	{LM_ROLE_SYSTEM, "You answer with a JSON object {\"label\": \"yes\"} or {\"label\": \"no\"}, and nothing else."},
	{LM_ROLE_USER, "Is two an even number? Answer:"}
};

static const char check_schema[] =
	"{\"type\":\"object\",\"properties\":{\"label\":{\"type\":\"string\","
	"\"enum\":[\"yes\",\"no\"]}},\"required\":[\"label\"],\"additionalProperties\":false}";

static const char *const check_choices[] = {"yes", "no"};

/* A check on its way. */
typedef struct Checking
{
	const LmServer *server;
	const LmReply *reply;
	LmCheck    *checks;
	int			n;
} Checking;

static void
put(Checking *checking, const char *item, bool ok, char *detail)
{
	LmCheck    *check = &checking->checks[checking->n++];

	check->item = item;
	check->ok = ok;
	check->detail = detail;
}

static void
put_failure(Checking *checking, LmCause cause)
{
	put(checking, gepa_lm_cause_item(cause), false,
		gepa_lm_explain(cause, checking->server, checking->reply));
}

static LmReply *
ask(const LmServer *server)
{
	LmOrigin	origin = {.purpose = LM_PURPOSE_CHECK};
	LmRequest	request = {0};

	request.nmessages = lengthof(check_messages);
	request.messages = check_messages;
	request.schema_name = "check";
	request.schema = check_schema;
	request.nchoices = lengthof(check_choices);
	request.choices = check_choices;
	request.want_logprobs = true;
	request.once = true;
	return gepa_lm_call(server, &origin, &request);
}

/* Up to the answer; false where there is none. */
static bool
check_answered(Checking *checking)
{
	const LmServer *server = checking->server;
	const LmReply *reply = checking->reply;
	const char *blocked = reply->status == GEPA_STATUS_OK ? NULL :
		gepa_lm_cause_item(reply->cause);

	if (blocked != NULL && strcmp(blocked, "reachable") == 0)
	{
		put_failure(checking, reply->cause);
		return false;
	}
	if (server->api == LM_API_CANNED)
		put(checking, "reachable", true, pstrdup("Canned answers, no network."));
	else
		put(checking, "reachable", true,
			psprintf("%s answered HTTP %d.", server->base_url, reply->http_status));
	if (reply->content == NULL || (blocked != NULL && strcmp(blocked, "model") == 0))
	{
		put_failure(checking, reply->cause);
		return false;
	}
	if (server->api != LM_API_CANNED)
		put(checking, "key", true,
			pstrdup(server->api_key ? "A key is set, and the endpoint did not refuse it." :
					"No key is set, and the endpoint asked for none."));
	put(checking, "model", true, psprintf("Model \"%s\" answered.", server->model));
	return true;
}

static void
check_schema_kept(Checking *checking)
{
	const LmReply *reply = checking->reply;
	const GepaJson *json = gepa_json_parse(reply->content, strlen(reply->content), NULL);
	const char *label = gepa_json_get_string(json, "label");
	bool		kept = label != NULL && json->nitems == 1 &&
		(strcmp(label, "yes") == 0 || strcmp(label, "no") == 0);

	if (kept)
		put(checking, "json_schema", true,
			psprintf("The answer keeps to the schema (structured_output %s).",
					 gepa_lm_structured_names[checking->server->structured_output]));
	else
		put_failure(checking, reply->status == GEPA_STATUS_OK ? LM_CAUSE_NOT_BY_SCHEMA :
					reply->cause);
}

static void
check_logprobs(Checking *checking)
{
	if (!checking->server->logprobs)
		put(checking, "logprobs", false,
			pstrdup("Not asked for. Set logprobs of the server to true to get probabilities as scores."));
	else if (checking->reply->ntokens > 0)
		put(checking, "logprobs", true,
			psprintf("%d tokens with log-probabilities.", checking->reply->ntokens));
	else
		put_failure(checking, LM_CAUSE_NO_TOKENS);
}

static void
check_usage(Checking *checking)
{
	const LmReply *reply = checking->reply;

	if (reply->input_tokens == 0 && reply->output_tokens == 0)
		put_failure(checking, LM_CAUSE_NO_USAGE);
	else
		put(checking, "usage", true,
			psprintf("%d input and %d output tokens.", reply->input_tokens, reply->output_tokens));
}

static void
check_latency(Checking *checking)
{
	double		ms = checking->reply->latency_ms;

	if (ms > checking->server->request_timeout_ms * SLOW_SHARE)
		put_failure(checking, LM_CAUSE_SLOW);
	else
		put(checking, "latency", true, psprintf("%.0f ms.", ms));
}

LmCheck *
gepa_lm_check(const LmServer *server, int *nchecks)
{
	Checking	checking = {.server = server};

	checking.checks = palloc0(sizeof(LmCheck) * MAX_CHECKS);
	checking.reply = ask(server);
	if (check_answered(&checking))
	{
		check_schema_kept(&checking);
		check_logprobs(&checking);
		check_usage(&checking);
		check_latency(&checking);
	}
	*nchecks = checking.n;
	return checking.checks;
}
