/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  For every cause of a failure one sentence and one thing to do.
 *
 * The texts are a table, so that they can be read side by side; names in braces
 * are replaced by what they stand for in this call.  No text has a key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/text.h"
#include "lm/lm_internal.h"

typedef struct Explanation
{
	const char *item;			/* the row of gepa.check_lm() that fails */
	const char *sentence;
	const char *fix;
} Explanation;

/* What no cause is known of has the words that its call has. */
static const Explanation explanations[] = {
	[LM_CAUSE_NONE] = {"reachable", "{detail}", "{hint}"},
	[LM_CAUSE_NO_NAME] = {"reachable",
		"The host name \"{host}\" of base_url does not resolve.",
	"Correct base_url, or make the name known to the resolver of the database server."},
	[LM_CAUSE_NAME_TIMEOUT] = {"reachable",
		"The host name \"{host}\" of base_url was not resolved within connect_timeout ({connect} s).",
	"Check that the name servers of the database server answer."},
	[LM_CAUSE_NO_LISTENER] = {"reachable",
		"Nothing listens at {address}: the connection was refused.",
	"Start the endpoint, or correct host and port in base_url."},
	[LM_CAUSE_NO_ROUTE] = {"reachable",
		"{address} cannot be connected to from the database server.",
	"Check the network between the two, or correct host and port in base_url."},
	[LM_CAUSE_CONNECT_TIMEOUT] = {"reachable",
		"No connection to {address} stood within connect_timeout ({connect} s).",
	"Let the database server through the firewall before it, or correct host and port in base_url."},
	[LM_CAUSE_NO_TLS] = {"reachable",
		"{address} and the database server could not agree on TLS.",
	"Write http:// in base_url if the endpoint has no TLS; else it must speak TLS 1.2 or newer."},
	[LM_CAUSE_TLS_TIMEOUT] = {"reachable",
		"{address} took the connection, and the TLS handshake did not end within connect_timeout ({connect} s).",
	"Write http:// in base_url if the endpoint has no TLS; else see why it hangs."},
	[LM_CAUSE_CERT_UNKNOWN] = {"reachable",
		"The certificate of {host} is of no issuer that the database server trusts.",
	"Install the issuer's certificate in the system's store of the database server, or name it with option ca_file."},
	[LM_CAUSE_CERT_EXPIRED] = {"reachable",
		"The certificate of {host} has expired, or is not valid yet.",
	"Renew it at the endpoint, and check the clock of the database server."},
	[LM_CAUSE_CERT_HOST] = {"reachable",
		"The certificate that {address} shows is not for \"{host}\".",
	"Write in base_url a host name that the certificate has."},
	[LM_CAUSE_ADDRESS] = {"reachable", "{detail}", "{hint}"},
	[LM_CAUSE_PROXY] = {"reachable",
		"The proxy that the server's options name does not let the call through.",
	"Correct option proxy, let the proxy pass calls to {address}, or drop the option."},
	[LM_CAUSE_NO_PROXY] = {"reachable",
		"A proxy between the two wants a password (HTTP {http}), and gepa gives none.",
	"Have calls to {address} let through, or name a proxy that wants no password with option proxy."},
	[LM_CAUSE_TIMEOUT] = {"reachable",
		"{address} took the request, and no whole answer came within request_timeout ({request} s).",
	"Raise request_timeout of the server, or see at the endpoint why it is slow."},
	[LM_CAUSE_BROKEN] = {"reachable",
		"{address} closed the connection before a whole answer had come.",
	"See the endpoint's log; if it speaks TLS, write https:// in base_url."},
	[LM_CAUSE_NOT_HTTP] = {"reachable",
		"What answers at {address} does not speak HTTP as it should.",
	"Correct scheme, host and port in base_url, or see what stands between."},
	[LM_CAUSE_TOO_BIG] = {"model",
		"What came is larger than any chat completion.",
	"Correct base_url: it is the root of the API, and usually ends in /v1."},
	[LM_CAUSE_KEY_MISSING] = {"key",
		"The endpoint wants a key (HTTP {http}), and role {role} has none for this LM.",
	"CREATE USER MAPPING FOR {role} SERVER {lm} OPTIONS (api_key '...'), or have api_key_file set."},
	[LM_CAUSE_KEY_DROPPED] = {"key",
		"The endpoint wants a key (HTTP {http}), and the user mapping of {mapping} has none.",
	"ALTER USER MAPPING FOR {mapping} SERVER {lm} OPTIONS (ADD api_key '...'): a server that moves loses its keys."},
	[LM_CAUSE_KEY_REFUSED] = {"key",
		"The endpoint does not accept the key (HTTP {http}).",
	"Set the right one: api_key of the user mapping, or what api_key_file or api_key_env names."},
	[LM_CAUSE_FORBIDDEN] = {"key",
		"The endpoint knows the key, and forbids the call (HTTP {http}).",
	"Have the provider give the key's account the right to model \"{model}\"."},
	[LM_CAUSE_NO_PATH] = {"model",
		"There is no chat API at {url} (HTTP {http}).",
	"Correct base_url: it is the root of the API, and usually ends in /v1."},
	[LM_CAUSE_NO_MODEL] = {"model",
		"The endpoint has no model \"{model}\" (HTTP {http}).",
	"Correct option model; {url}/models usually lists what there is."},
	[LM_CAUSE_NO_SCHEMA] = {"json_schema",
		"The endpoint does not take structured_output {structured} (HTTP {http}).",
	"Set structured_output of the server to a weaker form: json_object, or text."},
	[LM_CAUSE_NO_LOGPROBS] = {"logprobs",
		"The endpoint refuses to give log-probabilities (HTTP {http}).",
	"Set logprobs of the server to false, or serve the model where they are given."},
	[LM_CAUSE_TOO_LONG] = {"model",
		"The endpoint finds even this small request too long (HTTP {http}).",
	"Serve the model with a longer context, or raise the limit on request bodies before it."},
	[LM_CAUSE_RATE] = {"model",
		"The endpoint takes no more calls for now (HTTP {http}); it {retry}.",
	"Try again later; if it goes on, lower max_concurrency or ask the provider for a higher limit."},
	[LM_CAUSE_QUOTA] = {"model",
		"The account of the key has no quota left (HTTP {http}).",
	"Add credit, or raise the account's limit, at the provider."},
	[LM_CAUSE_REJECTED] = {"model", "{detail}",
	"Take what the endpoint does not know out of the server's options, extra_body included."},
	[LM_CAUSE_PASSING] = {"model", "{detail}",
	"Try again: judges' calls are tried again by themselves, a check is not; if it goes on, see the endpoint's log."},
	[LM_CAUSE_SERVER] = {"model", "{detail}",
	"See the endpoint's log; it may be overloaded, or still loading the model."},
	[LM_CAUSE_REDIRECT] = {"model",
		"The endpoint sends elsewhere (HTTP {http}), and redirects are not followed.",
	"Set base_url to where it sends; often that is the same with https://."},
	[LM_CAUSE_WEB_PAGE] = {"model",
		"A web page came instead of JSON.",
	"Correct base_url: it is the root of the API, and usually ends in /v1."},
	[LM_CAUSE_NOT_JSON] = {"model",
		"What came is no JSON.",
	"Correct base_url: it is the root of the API, and usually ends in /v1."},
	[LM_CAUSE_NOT_COMPLETION] = {"model",
		"What came is no whole chat completion.",
	"Correct base_url and api; the endpoint must speak the dialect that api names."},
	[LM_CAUSE_DECLINED] = {"model", "{detail}",
	"Use another model, or loosen the provider's content filter: the question was harmless."},
	[LM_CAUSE_ONLY_THOUGHT] = {"model",
		"The model thought until its tokens were used up, and answered nothing.",
	"Raise max_tokens of the server, or lower reasoning_effort."},
	[LM_CAUSE_EMPTY] = {"model",
		"The model answered nothing.",
	"Check its chat template, and what extra_body asks for (tools, stop words)."},
	[LM_CAUSE_CUT_OFF] = {"json_schema",
		"The answer was cut off by the limit on output tokens.",
	"Raise max_tokens of the server; a model that thinks needs room for it."},
	[LM_CAUSE_NOT_ENDED] = {"json_schema", "{detail}",
	"See the endpoint's log for why the answer did not come to its end."},
	[LM_CAUSE_NOT_BY_SCHEMA] = {"json_schema",
		"The answer does not keep to the schema: {answer}",
	"Try another structured_output, or another model."},
	[LM_CAUSE_NO_TOKENS] = {"logprobs",
		"The endpoint gives no usable log-probabilities, though logprobs is on; scores will be 0 or 1.",
	"Serve the model where they are given, or set logprobs of the server to false."},
	[LM_CAUSE_NO_USAGE] = {"usage",
		"The endpoint does not say how many tokens it used; tokens and costs will read 0.",
	"Have it report usage, or watch costs at the provider."},
	[LM_CAUSE_SLOW] = {"latency",
		"This small request took {latency} ms, more than a quarter of request_timeout; documents take longer.",
	"Raise request_timeout, lower max_concurrency, or give the endpoint a faster model."}
};

/*
 * What the names in braces stand for
 */

/* Host and port of base_url; host alone. */
static char *
address_of(const LmServer *server, bool with_port)
{
	const char *start = server->base_url ? strstr(server->base_url, "://") : NULL;
	int			length;
	const char *colon;

	if (start == NULL)
		return pstrdup("the endpoint");
	start += 3;
	length = (int) strcspn(start, "/");
	colon = memchr(start + (start[0] == '[' ? strcspn(start, "]") : 0), ':', length);
	if (!with_port && colon != NULL && colon < start + length)
		length = (int) (colon - start);
	return pnstrdup(start, length);
}

static char *
seconds(int ms)
{
	return psprintf("%.15g", ms / 1000.0);
}

static const char *
or_empty(const char *text)
{
	return text ? text : "";
}

static char *
role_name(Oid userid)
{
	char	   *name = GetUserNameFromId(userid, true);

	return name ? pstrdup(quote_identifier(name)) : psprintf("%u", userid);
}

static const char *
value_of(const char *name, const LmServer *server, const LmReply *reply)
{
	if (strcmp(name, "address") == 0)
		return address_of(server, true);
	if (strcmp(name, "answer") == 0)
		return gepa_clean_text(gepa_text_encoding(), or_empty(reply->content), 120);
	if (strcmp(name, "connect") == 0)
		return seconds(server->connect_timeout_ms);
	if (strcmp(name, "detail") == 0)
		return reply->detail ? reply->detail : gepa_status_name(reply->status);
	if (strcmp(name, "hint") == 0)
		return or_empty(reply->hint);
	if (strcmp(name, "host") == 0)
		return address_of(server, false);
	if (strcmp(name, "http") == 0)
		return psprintf("%d", reply->http_status);
	if (strcmp(name, "latency") == 0)
		return psprintf("%.0f", reply->latency_ms);
	if (strcmp(name, "lm") == 0)
		return quote_identifier(server->name);
	if (strcmp(name, "mapping") == 0)
		return or_empty(server->keyless_mapping);
	if (strcmp(name, "model") == 0)
		return server->model;
	if (strcmp(name, "request") == 0)
		return seconds(server->request_timeout_ms);
	if (strcmp(name, "retry") == 0)
		return reply->retry_after_ms < 0 ? "does not say for how long" :
			psprintf("wants %lld s of rest", (long long) ((reply->retry_after_ms + 999) / 1000));
	if (strcmp(name, "role") == 0)
		return role_name(server->userid);
	if (strcmp(name, "structured") == 0)
		return gepa_lm_structured_names[server->structured_output];
	return or_empty(server->base_url);	/* url */
}

static void
expand(StringInfo buf, const char *template, const LmServer *server, const LmReply *reply)
{
	for (const char *p = template; *p != '\0'; p++)
	{
		const char *end = *p == '{' ? strchr(p, '}') : NULL;

		if (end == NULL)
		{
			appendStringInfoChar(buf, *p);
			continue;
		}
		appendStringInfoString(buf, value_of(pnstrdup(p + 1, end - p - 1), server, reply));
		p = end;
	}
}

const char *
gepa_lm_cause_item(LmCause cause)
{
	return explanations[cause].item;
}

char *
gepa_lm_explain(LmCause cause, const LmServer *server, const LmReply *reply)
{
	StringInfoData buf;
	StringInfoData fix;

	initStringInfo(&buf);
	initStringInfo(&fix);
	expand(&buf, explanations[cause].sentence, server, reply);
	expand(&fix, explanations[cause].fix, server, reply);

	/* What an endpoint says of itself does not always end like a sentence. */
	if (buf.len > 0 && strchr(".!?", buf.data[buf.len - 1]) == NULL)
		appendStringInfoChar(&buf, '.');
	if (fix.len > 0)
		appendStringInfo(&buf, " %s", fix.data);
	return buf.data;
}
