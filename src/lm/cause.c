/*-------------------------------------------------------------------------
 *
 * cause.c
 *	  Why a call failed, told more finely than its status does.
 *
 * Calls need to know only whether a failure may pass; whoever has to mend it
 * wants the one thing that is wrong.  It is read off what libcurl knows of the
 * transfer and off the words of the endpoint, of which there are as many as
 * there are endpoints: a cause is a good guess, and nothing depends on it but
 * what gepa.check_lm() says (explain.c).  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <curl/curl.h>

#include "base/text.h"
#include "lm/lm_internal.h"

/* How much of an error's body is looked at. */
#define SEARCHED_BYTES 4096

static const char *const key_words[] = {"api key", "api_key", "credential", NULL};
static const char *const model_words[] = {"model", NULL};
static const char *const bad_model_words[] = {"valid model", "unknown model", "model not found", NULL};
static const char *const quota_words[] = {"insufficient_quota", "credit balance", "billing", NULL};
static const char *const schema_words[] = {
	"response_format", "json_schema", "json schema", "json_object", "structured", "guided", "grammar",
	"response_schema", "responseschema", NULL
};
static const char *const logprobs_words[] = {"logprobs", "log-prob", "log prob", NULL};

/*
 * Where an error begins to quote the request, whose own words say nothing: the
 * "input" of FastAPI and Pydantic, as JSON or as Python writes it, and what every
 * request has.
 */
static const char *const quote_marks[] = {
	"input\":", "input\\\":", "input':", "input_value", "messages\":", "messages\\\":", "messages':",
	"contents\":", "contents\\\":", "contents':", NULL
};

static const char *const expired_words[] = {"expired", "not yet valid", "not yet activated", NULL};
static const char *const host_words[] = {"subject name", "does not match", "hostname", NULL};

/* As much of an error as is not a quotation of the request. */
static char *
own_words(const char *body)
{
	size_t		length = strlen(body);

	for (const char *const *mark = quote_marks; *mark != NULL; mark++)
	{
		const char *quote = strstr(body, *mark);

		if (quote != NULL && (size_t) (quote - body) < length)
			length = quote - body;
	}
	return pnstrdup(body, length);
}

static bool
mentions(const char *text, const char *const *words)
{
	char		lower[SEARCHED_BYTES + 1];
	int			length = 0;

	for (; text[length] != '\0' && length < SEARCHED_BYTES; length++)
		lower[length] = pg_ascii_tolower((unsigned char) text[length]);
	lower[length] = '\0';
	for (; *words != NULL; words++)
		if (strstr(lower, *words) != NULL)
			return true;
	return false;
}

/*
 * Below HTTP
 */

void
gepa_lm_note_trouble(void *easy, int code, LmTrouble *trouble)
{
	curl_off_t	resolved_us = 0;
	long		port = 0;
	long		error = 0;
	long		proxy_status = 0;

	(void) curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
	(void) curl_easy_getinfo(easy, CURLINFO_LOCAL_PORT, &port);
	(void) curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
	(void) curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	trouble->code = code;
	trouble->error = (int) error;
	trouble->resolved = resolved_us > 0;
	trouble->connected = port > 0;
	trouble->proxy_refused = proxy_status >= 300;
}

static LmCause
certificate_cause(const char *words)
{
	if (mentions(words, expired_words))
		return LM_CAUSE_CERT_EXPIRED;
	return mentions(words, host_words) ? LM_CAUSE_CERT_HOST : LM_CAUSE_CERT_UNKNOWN;
}

static LmCause
timeout_cause(const LmTrouble *trouble)
{
	if (!trouble->resolved)
		return LM_CAUSE_NAME_TIMEOUT;
	return trouble->connected ? LM_CAUSE_TLS_TIMEOUT : LM_CAUSE_CONNECT_TIMEOUT;
}

static LmCause
connect_cause(const LmServer *server, const LmTrouble *trouble)
{
	if (server->proxy != NULL)
		return LM_CAUSE_PROXY;
	if (trouble->error == ECONNREFUSED)
		return LM_CAUSE_NO_LISTENER;
	return trouble->error == ETIMEDOUT ? LM_CAUSE_CONNECT_TIMEOUT : LM_CAUSE_NO_ROUTE;
}

static LmCause
network_cause(const LmServer *server, const LmOutcome *outcome)
{
	const LmTrouble *trouble = &outcome->trouble;

	if (trouble->proxy_refused)
		return LM_CAUSE_PROXY;
	switch (trouble->code)
	{
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_PROXY:
			return LM_CAUSE_PROXY;
		case CURLE_COULDNT_RESOLVE_HOST:
			return LM_CAUSE_NO_NAME;
		case CURLE_COULDNT_CONNECT:
			return connect_cause(server, trouble);
		case CURLE_OPERATION_TIMEDOUT:
			return timeout_cause(trouble);
		case CURLE_SSL_CONNECT_ERROR:
			return LM_CAUSE_NO_TLS;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_ISSUER_ERROR:
			return certificate_cause(outcome->error);
		default:
			return LM_CAUSE_BROKEN;
	}
}

/*
 * HTTP
 */

static LmCause
key_cause(const LmServer *server, LmCause with_key)
{
	if (server->api_key != NULL)
		return with_key;
	return server->keyless_mapping ? LM_CAUSE_KEY_DROPPED : LM_CAUSE_KEY_MISSING;
}

static LmCause
find_in_words(const LmServer *server, const char *body)
{
	if (mentions(body, key_words))
		return key_cause(server, LM_CAUSE_KEY_REFUSED);
	if (mentions(body, quota_words))
		return LM_CAUSE_QUOTA;
	if (mentions(body, bad_model_words))
		return LM_CAUSE_NO_MODEL;
	if (mentions(body, logprobs_words))
		return LM_CAUSE_NO_LOGPROBS;
	return mentions(body, schema_words) ? LM_CAUSE_NO_SCHEMA : LM_CAUSE_REJECTED;
}

static LmCause
request_cause(const LmServer *server, const char *body)
{
	char	   *words = own_words(body);
	LmCause		cause = find_in_words(server, words);

	pfree(words);
	return cause;
}

static LmCause
http_cause(const LmServer *server, int http_status, const char *body)
{
	switch (http_status)
	{
		case 400:
		case 422:
			return request_cause(server, body);
		case 401:
			return key_cause(server, LM_CAUSE_KEY_REFUSED);
		case 402:
			return LM_CAUSE_QUOTA;
		case 403:
			return key_cause(server, LM_CAUSE_FORBIDDEN);
		case 404:
			return mentions(body, model_words) ? LM_CAUSE_NO_MODEL : LM_CAUSE_NO_PATH;
		case 405:
			return LM_CAUSE_NO_PATH;
		case 407:
			return server->proxy ? LM_CAUSE_PROXY : LM_CAUSE_NO_PROXY;
		case 408:
		case 409:
		case 425:
			return LM_CAUSE_PASSING;
		case 429:
			return mentions(body, quota_words) ? LM_CAUSE_QUOTA : LM_CAUSE_RATE;
		default:
			if (http_status >= 500)
				return LM_CAUSE_SERVER;
			return http_status >= 400 ? LM_CAUSE_REJECTED : LM_CAUSE_REDIRECT;
	}
}

/*
 * Answers
 */

/* What came with HTTP 200 and was no answer. */
static LmCause
body_cause(const char *body)
{
	switch (body[strspn(body, " \t\r\n")])
	{
		case '<':
			return LM_CAUSE_WEB_PAGE;
		case '{':
			return LM_CAUSE_NOT_COMPLETION;
		default:
			return LM_CAUSE_NOT_JSON;
	}
}

static LmCause
answer_cause(const LmReply *reply, const char *body)
{
	bool		blank = gepa_is_blank(reply->content);

	switch (reply->status)
	{
		case GEPA_STATUS_OK:
			return LM_CAUSE_NONE;
		case GEPA_STATUS_REFUSED:
			return LM_CAUSE_DECLINED;
		case GEPA_STATUS_TRUNCATED:
			return blank ? LM_CAUSE_ONLY_THOUGHT : LM_CAUSE_CUT_OFF;
		case GEPA_STATUS_HTTP_ERROR:
			return body_cause(body);
		default:
			if (!blank)
				return LM_CAUSE_NOT_ENDED;
			return reply->reasoning ? LM_CAUSE_ONLY_THOUGHT : LM_CAUSE_EMPTY;
	}
}

LmCause
gepa_lm_find_cause(const LmServer *server, const LmOutcome *outcome, const LmReply *reply)
{
	switch (outcome->failure)
	{
		case LM_FAILURE_NONE:
			/* A gateway's error stands in the body of a 200. */
			if (reply->http_status == outcome->http_status)
				return answer_cause(reply, outcome->body);
			return http_cause(server, reply->http_status, outcome->body);
		case LM_FAILURE_HTTP:
			if (reply->status == GEPA_STATUS_TOO_LONG)
				return LM_CAUSE_TOO_LONG;
			if (reply->status == GEPA_STATUS_REFUSED)
				return LM_CAUSE_DECLINED;
			return http_cause(server, outcome->http_status, outcome->body);
		case LM_FAILURE_TIMEOUT:
			return LM_CAUSE_TIMEOUT;
		case LM_FAILURE_TOO_BIG:
			return LM_CAUSE_TOO_BIG;
		case LM_FAILURE_FOREIGN:
			return LM_CAUSE_NOT_HTTP;
		case LM_FAILURE_REFUSED_ADDRESS:
			return LM_CAUSE_ADDRESS;
		case LM_FAILURE_TLS_FILE:
		case LM_FAILURE_TLS_CLIENT:
			return LM_CAUSE_NONE;	/* the detail says it all */
		case LM_FAILURE_CONNECT:
		case LM_FAILURE_BROKEN:
		case LM_FAILURE_TLS:
			break;
	}
	return network_cause(server, outcome);
}
