/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  What the end of a transfer means: status, detail, hint, SQLSTATE.
 *
 * Bodies are read by the provider (openai.c), failures below HTTP here.  What
 * is kept of either is cleaned, short, and without the key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/encoding.h"
#include "base/text.h"
#include "lm/lm_internal.h"

/* Keys of fewer characters ("none", "EMPTY") are no secrets. */
#define SHORTEST_SECRET 8

void
gepa_lm_set_failure(LmReply *reply, GepaStatus status, int sqlerrcode, const char *detail,
					const char *hint)
{
	reply->status = status;
	reply->sqlerrcode = sqlerrcode;
	reply->detail = pstrdup(detail);
	reply->hint = hint ? pstrdup(hint) : NULL;
}

LmReply *
gepa_lm_copy_failure(LmReply *to, const LmReply *from)
{
	to->status = from->status;
	to->fatal = from->fatal;
	to->sqlerrcode = from->sqlerrcode;
	to->http_status = from->http_status;
	to->cause = from->cause;
	to->retry_after_ms = from->retry_after_ms;
	to->detail = from->detail ? pstrdup(from->detail) : NULL;
	to->hint = from->hint ? pstrdup(from->hint) : NULL;
	return to;
}

/*
 * The body, which may be about to be quoted.  Some endpoints repeat the key in
 * what they say of an error; a key so short that it may be a word of any text hides
 * nothing.
 */
static char *
without_key(const LmServer *server, const LmOutcome *outcome)
{
	char	   *body = palloc(outcome->length + 1);

	memcpy(body, outcome->body, outcome->length);
	body[outcome->length] = '\0';
	if (server->api_key != NULL && strlen(server->api_key) >= SHORTEST_SECRET)
		(void) gepa_blank_out(body, server->api_key);
	return body;
}

/* A front such as nginx takes the connection and then says in HTML what it misses. */
static bool
wants_certificate(const LmOutcome *outcome)
{
	return outcome->http_status == 400 &&
		(strstr(outcome->body, "No required SSL certificate was sent") != NULL ||
		 strstr(outcome->body, "The SSL certificate error") != NULL);
}

static void
set_client_refused(LmReply *reply, const char *detail)
{
	gepa_lm_set_failure(reply, GEPA_STATUS_HTTP_ERROR, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
						detail,
						"Set client_cert and client_key of the server to a certificate that the endpoint accepts.");
	reply->fatal = true;
}

static void
read_outcome(const LmServer *server, const LmProvider *provider, const LmOutcome *outcome,
			 LmReply *reply)
{
	char	   *error = outcome->error ? gepa_clean_text(PG_UTF8, outcome->error, 300) : "";

	switch (outcome->failure)
	{
		case LM_FAILURE_NONE:
			provider->parse(without_key(server, outcome), outcome->length,
							reply);
			break;
		case LM_FAILURE_HTTP:
			if (wants_certificate(outcome))
				set_client_refused(reply, "The endpoint wants another client certificate.");
			else
				provider->parse_error(outcome->http_status,
									  without_key(server, outcome),
									  outcome->length, reply);
			break;
		case LM_FAILURE_TIMEOUT:
			gepa_lm_set_failure(reply, GEPA_STATUS_TIMEOUT, ERRCODE_CONNECTION_FAILURE,
								psprintf("No answer came within request_timeout (%.15g s).",
										 server->request_timeout_ms / 1000.0),
								"Raise request_timeout of the server, or lower max_concurrency.");
			break;
		case LM_FAILURE_CONNECT:
			gepa_lm_set_failure(reply, GEPA_STATUS_HTTP_ERROR,
								ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
								psprintf("The endpoint cannot be reached: %s.", error),
								"Check base_url of the server, and that the endpoint is up.");
			break;
		case LM_FAILURE_BROKEN:
			gepa_lm_set_failure(reply, GEPA_STATUS_HTTP_ERROR, ERRCODE_CONNECTION_FAILURE,
								psprintf("The connection broke: %s.", error),
								"See the log of the endpoint, and of what stands between (proxy, load balancer).");
			break;
		case LM_FAILURE_TOO_BIG:
			gepa_lm_set_failure(reply, GEPA_STATUS_HTTP_ERROR, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								"The response is larger than gepa accepts.",
								"Check that base_url names a chat completions endpoint.");
			break;
		case LM_FAILURE_FOREIGN:
			gepa_lm_set_failure(reply, GEPA_STATUS_HTTP_ERROR, ERRCODE_PROTOCOL_VIOLATION,
								psprintf("What answers does not speak HTTP as it should: %s.", error),
								"Check scheme, host and port of the server's base_url.");
			break;
		case LM_FAILURE_REFUSED_ADDRESS:
			gepa_lm_set_failure(reply, GEPA_STATUS_HTTP_ERROR, ERRCODE_INSUFFICIENT_PRIVILEGE,
								"The address of base_url is private, and the server does not allow that.",
								"If this is intended, a superuser can set option allow_private_address of the server to true.");
			reply->fatal = true;
			break;
		case LM_FAILURE_TLS:
			gepa_lm_set_failure(reply, GEPA_STATUS_HTTP_ERROR, ERRCODE_CONNECTION_FAILURE,
								psprintf("The endpoint's certificate was not accepted: %s.", error),
								"Install the issuer's certificate in the system's store, or name it with option ca_file of the server.");
			reply->fatal = true;
			break;
		case LM_FAILURE_TLS_FILE:
			gepa_lm_set_failure(reply, GEPA_STATUS_HTTP_ERROR, ERRCODE_CONFIG_FILE_ERROR,
								psprintf("A certificate or key file cannot be used: %s.", error),
								"Check ca_file, client_cert and client_key of the server: PEM files, the key without a passphrase, readable for the operating system user of the server.");
			reply->fatal = true;
			break;
		case LM_FAILURE_TLS_CLIENT:
			set_client_refused(reply, psprintf("The endpoint wants another client certificate: %s.", error));
			break;
	}
}

/* Headers go before what an error's body says. */
int64
gepa_lm_retry_after(const LmProvider *provider, const LmOutcome *outcome)
{
	if (outcome->failure != LM_FAILURE_HTTP || outcome->retry_after_ms >= 0 ||
		provider->retry_after == NULL)
		return outcome->retry_after_ms;
	return provider->retry_after(outcome->body, outcome->length);
}

/* From the wire's encoding; the tokens still make up the content. */
static void
convert_reply(LmReply *reply)
{
	if (!gepa_needs_conversion())
		return;
	reply->content = gepa_from_utf8(reply->content);
	reply->reasoning = gepa_from_utf8(reply->reasoning);
	reply->finish_reason = gepa_from_utf8(reply->finish_reason);
	reply->detail = gepa_from_utf8(reply->detail);
	for (int i = 0; i < reply->ntokens; i++)
	{
		LmToken    *token = &reply->tokens[i];

		token->token = gepa_from_utf8(token->token);
		for (int k = 0; k < token->nalternatives; k++)
			token->alternatives[k].token = gepa_from_utf8(token->alternatives[k].token);
	}
}

void
gepa_lm_read_outcome(const LmServer *server, const LmProvider *provider,
					 const LmOutcome *outcome, LmReply *reply)
{
	reply->latency_ms = outcome->latency_ms;
	reply->http_status = outcome->http_status;
	read_outcome(server, provider, outcome, reply);
	convert_reply(reply);
}

void
gepa_lm_report(const LmServer *server, const LmReply *reply)
{
	ereport(ERROR,
			(errcode(reply->sqlerrcode ? reply->sqlerrcode : ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("call to LM \"%s\" failed: %s", server->name,
					gepa_status_name(reply->status)),
			 reply->detail ? errdetail("%s", reply->detail) : 0,
			 reply->hint ? errhint("%s", reply->hint) :
			 errhint("See what SELECT * FROM gepa.check_lm('%s') says.", server->name)));
}
