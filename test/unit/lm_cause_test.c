/*-------------------------------------------------------------------------
 *
 * lm_cause_test.c
 *	  What endpoints and libcurl say, and the cause that is read off it.
 *
 * The words are those of real servers: of their sources or documentation, or
 * as they answered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <curl/curl.h>

#include "lm/lm_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

static LmServer with_key = {.api_key = "sk-test-1234"};
static LmServer without_key = {0};
static LmServer with_mapping = {.keyless_mapping = "alice"};
static LmServer with_proxy = {.proxy = "http://proxy:3128"};

static void
http(const LmServer *server, int http_status, const char *body, LmCause cause, const char *name)
{
	LmOutcome	outcome = {.failure = LM_FAILURE_HTTP,.http_status = http_status,.body = body};
	LmReply		reply = {.status = GEPA_STATUS_HTTP_ERROR,.http_status = http_status};

	tap_is_int(gepa_lm_find_cause(server, &outcome, &reply), cause, name);
}

static void
test_paths_and_models(void)
{
	http(&with_key, 404, "{\"error\":{\"message\":\"The model `gpt-9` does not exist or you do not have access to it.\","
		 "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}",
		 LM_CAUSE_NO_MODEL, "OpenAI: model");
	http(&with_key, 404, "{\"error\":{\"message\":\"Invalid URL (POST /v1/v1/chat/completions)\","
		 "\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}", LM_CAUSE_NO_PATH, "OpenAI: path");
	http(&without_key, 404, "{\"object\":\"error\",\"message\":\"The model `x` does not exist.\","
		 "\"type\":\"NotFoundError\",\"param\":null,\"code\":404}", LM_CAUSE_NO_MODEL, "vLLM: model");
	http(&without_key, 404, "{\"detail\":\"Not Found\"}", LM_CAUSE_NO_PATH, "vLLM: path");
	http(&without_key, 404, "{\"error\":{\"message\":\"model \\\"x\\\" not found, try pulling it first\","
		 "\"type\":\"api_error\",\"param\":null,\"code\":null}}", LM_CAUSE_NO_MODEL, "Ollama: model");
	http(&without_key, 404, "404 page not found", LM_CAUSE_NO_PATH, "Ollama: path");
	http(&without_key, 404, "{\"error\":{\"code\":404,\"message\":\"File Not Found\",\"type\":\"not_found_error\"}}",
		 LM_CAUSE_NO_PATH, "llama.cpp: path");
	http(&with_key, 404, "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model: x\"}}",
		 LM_CAUSE_NO_MODEL, "Anthropic: model");
	http(&with_key, 400, "{\"error\":{\"message\":\"x/y is not a valid model ID\",\"code\":400}}",
		 LM_CAUSE_NO_MODEL, "OpenRouter: model");
}

static void
test_keys(void)
{
	http(&without_key, 401, "{\"error\":\"Unauthorized\"}", LM_CAUSE_KEY_MISSING, "vLLM: no key");
	http(&with_key, 401, "{\"error\":{\"message\":\"Incorrect API key provided: sk-****.\","
		 "\"code\":\"invalid_api_key\"}}", LM_CAUSE_KEY_REFUSED, "OpenAI: wrong key");
	http(&with_key, 400, "{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid API key.\","
		 "\"status\":\"INVALID_ARGUMENT\"}}", LM_CAUSE_KEY_REFUSED, "Gemini: wrong key");
	http(&without_key, 403, "{\"error\":{\"code\":403,\"message\":\"Method doesn't allow unregistered callers.\"}}",
		 LM_CAUSE_KEY_MISSING, "Gemini: no key");
	http(&with_key, 403, "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\"}}",
		 LM_CAUSE_FORBIDDEN, "Anthropic: no right");
	http(&with_mapping, 401, "", LM_CAUSE_KEY_DROPPED, "a mapping without a key");
	http(&with_mapping, 403, "", LM_CAUSE_KEY_DROPPED, "... where the endpoint says 403");
	http(&with_mapping, 400, "API key not valid", LM_CAUSE_KEY_DROPPED, "... or 400");
}

static void
test_requests(void)
{
	http(&without_key, 400, "{\"error\":{\"message\":\"'response_format.type' must be 'json_schema' or 'text'\"}}",
		 LM_CAUSE_NO_SCHEMA, "LM Studio: json_object");
	http(&without_key, 400, "{\"error\":{\"code\":400,\"message\":\"Failed to parse grammar\","
		 "\"type\":\"invalid_request_error\"}}", LM_CAUSE_NO_SCHEMA, "llama.cpp: grammar");
	http(&with_key, 400, "{\"error\":{\"message\":\"You are not allowed to request logprobs from this model\","
		 "\"code\":null}}", LM_CAUSE_NO_LOGPROBS, "OpenAI: logprobs");
	http(&with_key, 400, "{\"error\":{\"message\":\"Unsupported parameter: 'temperature' is not supported with this model.\","
		 "\"param\":\"temperature\",\"code\":\"unsupported_parameter\"}}", LM_CAUSE_REJECTED, "OpenAI: temperature");
	http(&with_key, 400, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
		 "\"message\":\"Your credit balance is too low to access the Anthropic API.\"}}",
		 LM_CAUSE_QUOTA, "Anthropic: no money");
	http(&with_key, 429, "{\"error\":{\"message\":\"You exceeded your current quota\",\"code\":\"insufficient_quota\"}}",
		 LM_CAUSE_QUOTA, "OpenAI: quota");
	http(&with_key, 429, "{\"error\":{\"message\":\"Rate limit reached\",\"code\":\"rate_limit_exceeded\"}}",
		 LM_CAUSE_RATE, "OpenAI: rate");
	http(&without_key, 503, "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}",
		 LM_CAUSE_SERVER, "llama.cpp: loading");
	http(&with_key, 308, "", LM_CAUSE_REDIRECT, "a redirect");
	http(&with_proxy, 407, "<html>", LM_CAUSE_PROXY, "a proxy's own error");
	http(&with_key, 407, "<html>", LM_CAUSE_NO_PROXY, "... where we use none");
	http(&with_key, 405, "{\"detail\":\"Method Not Allowed\"}", LM_CAUSE_NO_PATH, "vLLM: another path");
	http(&with_key, 408, "", LM_CAUSE_PASSING, "a request that came too slowly");
	http(&with_key, 409, "", LM_CAUSE_PASSING, "a conflict");
	http(&with_key, 425, "", LM_CAUSE_PASSING, "too early");
	http(&with_key, 418, "", LM_CAUSE_REJECTED, "something else");
}

/* What stands in the request is in what quotes it, too. */
static void
test_quotations(void)
{
	http(&without_key, 422, "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"max_tokens\"],\"msg\":\"Field required\","
		 "\"input\":{\"model\":\"m\",\"messages\":[],\"response_format\":{\"type\":\"json_schema\"},\"logprobs\":true}}]}",
		 LM_CAUSE_REJECTED, "FastAPI: a field");
	http(&without_key, 400, "{\"object\":\"error\",\"message\":\"[{'type': 'extra_forbidden', 'loc': ('body', 'foo'), "
		 "'msg': 'Extra inputs are not permitted', 'input': {'logprobs': True, 'api_key': 'x'}}]\"}",
		 LM_CAUSE_REJECTED, "vLLM: a field");
	http(&without_key, 422, "{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"logprobs\"],"
		 "\"msg\":\"Extra inputs are not permitted\",\"input\":true}]}",
		 LM_CAUSE_NO_LOGPROBS, "FastAPI: logprobs");
	http(&without_key, 422, "{\"error\":\"temperature is out of range\",\"request\":{\"model\":\"m\",\"messages\":[],"
		 "\"response_format\":{},\"logprobs\":true}}",
		 LM_CAUSE_REJECTED, "an error with the whole request");
	http(&without_key, 400, "{\"error\":\"temperature is out of range in {\\\"messages\\\":[],\\\"logprobs\\\":true}\"}",
		 LM_CAUSE_REJECTED, "... in its text");
}

static void
network(const LmServer *server, LmFailure failure, LmTrouble trouble, const char *words,
		LmCause cause, const char *name)
{
	LmOutcome	outcome = {.failure = failure,.body = "",.error = words,.trouble = trouble};
	LmReply		reply = {.status = GEPA_STATUS_HTTP_ERROR};

	tap_is_int(gepa_lm_find_cause(server, &outcome, &reply), cause, name);
}

static void
test_connections(void)
{
	LmTrouble	late = {.code = CURLE_OPERATION_TIMEDOUT};
	LmTrouble	refused = {.code = CURLE_COULDNT_CONNECT,.error = ECONNREFUSED};
	LmTrouble	given_up = {.code = CURLE_COULDNT_CONNECT,.error = ETIMEDOUT};

	network(&with_key, LM_FAILURE_CONNECT, late, "Resolving timed out after 1000 milliseconds",
			LM_CAUSE_NAME_TIMEOUT, "name servers that do not answer");
	late.resolved = true;
	network(&with_key, LM_FAILURE_CONNECT, late, "", LM_CAUSE_CONNECT_TIMEOUT, "a host that does not");
	late.connected = true;
	network(&with_key, LM_FAILURE_CONNECT, late, "", LM_CAUSE_TLS_TIMEOUT, "a handshake that does not end");
	network(&with_key, LM_FAILURE_TIMEOUT, late, "", LM_CAUSE_TIMEOUT, "an answer that does not come");
	network(&with_key, LM_FAILURE_CONNECT, refused, "", LM_CAUSE_NO_LISTENER, "refused");
	network(&with_proxy, LM_FAILURE_CONNECT, refused, "", LM_CAUSE_PROXY, "... by the proxy");
	network(&with_key, LM_FAILURE_CONNECT, given_up, "", LM_CAUSE_CONNECT_TIMEOUT, "given up by the system");
}

static void
certificate(const char *words, LmCause cause)
{
	LmTrouble	trouble = {.code = CURLE_PEER_FAILED_VERIFICATION};

	network(&with_key, LM_FAILURE_TLS, trouble, words, cause, words);
}

static void
test_certificates(void)
{
	certificate("SSL certificate problem: certificate has expired", LM_CAUSE_CERT_EXPIRED);
	certificate("SSL certificate problem: certificate is not yet valid", LM_CAUSE_CERT_EXPIRED);
	certificate("SSL: no alternative certificate subject name matches target host name '127.0.0.1'",
				LM_CAUSE_CERT_HOST);
	certificate("SSL: certificate subject name 'a' does not match target host name 'b'", LM_CAUSE_CERT_HOST);
	certificate("SSL certificate problem: self-signed certificate", LM_CAUSE_CERT_UNKNOWN);
	certificate("SSL certificate problem: unable to get local issuer certificate", LM_CAUSE_CERT_UNKNOWN);
	certificate("server certificate verification failed. CAfile: none CRLfile: none", LM_CAUSE_CERT_UNKNOWN);
}

/* A gateway that answers 200 and says in the body what went wrong. */
static void
test_gateway(void)
{
	LmOutcome	outcome = {.http_status = 200,.body = "{\"error\":{\"code\":429,\"message\":\"slow down\"}}"};
	LmReply		reply = {.status = GEPA_STATUS_HTTP_ERROR,.http_status = 429};

	tap_is_int(gepa_lm_find_cause(&with_key, &outcome, &reply), LM_CAUSE_RATE, "an error inside of a 200");
}

int
main(void)
{
	test_paths_and_models();
	test_keys();
	test_requests();
	test_quotations();
	test_connections();
	test_certificates();
	test_gateway();
	return tap_done();
}
