/*-------------------------------------------------------------------------
 *
 * lm_wire_test.c
 *	  The wire format, retries and addresses, without a network.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"

#include "base/text.h"
#include "lm/lm_internal.h"
#include "tap.h"

TAP_IGNORE_LEAKS();

static LmReply
parse(const char *body)
{
	LmReply		reply = {0};

	gepa_lm_openai.parse(body, strlen(body), &reply);
	return reply;
}

static void
check_status(const char *body, const char *status, const char *name)
{
	LmReply		reply = parse(body);

	tap_is_string(gepa_status_name(reply.status), status, name);
	tap_ok(reply.status == GEPA_STATUS_OK || reply.detail != NULL, "%s: says why", name);
}

static void
check_answers(void)
{
	LmReply		reply;

	reply = parse("{\"choices\":[{\"message\":{\"content\":\"{\\\"label\\\":\\\"a\\\"}\"},"
				  "\"finish_reason\":\"stop\"},{\"message\":{\"content\":\"second\"}}],"
				  "\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}");
	tap_is_string(reply.content, "{\"label\":\"a\"}", "first choice");
	tap_ok(reply.status == GEPA_STATUS_OK && reply.input_tokens == 12 &&
		   reply.output_tokens == 3, "status and usage");
	reply = parse("{\"choices\":[{\"message\":{\"content\":\"x\"}}],"
				  "\"usage\":{\"prompt_tokens\":2147483647,\"completion_tokens\":536870911}}");
	tap_ok(reply.input_tokens == 0 && reply.output_tokens == 536870911,
		   "counts that could not be added up are none");

	reply = parse("{\"choices\":[{\"message\":{\"content\":\"x\",\"reasoning_content\":\"why\"}}]}");
	tap_is_string(reply.reasoning, "why", "reasoning_content is kept apart");
	tap_ok(reply.status == GEPA_STATUS_OK && reply.input_tokens == 0, "no usage, no finish_reason");

	reply = parse("{\"choices\":[{\"message\":{\"content\":\"<think>hm</think>yes\"}}]}");
	tap_is_string(reply.content, "yes", "thinking is removed");
	tap_is_string(reply.reasoning, "hm", "and kept");

	reply = parse("{\"choices\":[{\"message\":{\"content\":\" {\\\"label\\\":\\\"yes </think>\\\"}\"}}]}");
	tap_is_string(reply.content, " {\"label\":\"yes </think>\"}", "an answer that speaks of the tag is whole");

	reply = parse("{\"choices\":[{\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
				  "{\"type\":\"text\",\"text\":\"b\"}]}}]}");
	tap_is_string(reply.content, "ab", "content as parts");

	check_status("{\"choices\":[{\"message\":{\"content\":\"<think>on and on\"}}]}",
				 "unparseable", "thinking that never ends");
	check_status("{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"length\"}]}",
				 "truncated", "length");
	check_status("{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"content_filter\"}]}",
				 "refused", "content filter");
	check_status("{\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"I cannot\"}}]}",
				 "refused", "refusal");
	check_status("{\"choices\":[{\"message\":{\"content\":\"\"}}]}", "unparseable", "empty content");
	check_status("{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[]}}]}",
				 "unparseable", "tool call");
	check_status("{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"abort\"}]}",
				 "unparseable", "an end that is none");
	check_status("{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"STOP\"}]}",
				 "ok", "stop in capitals");
	reply = parse("{\"error\":{\"code\":429,\"message\":\"slow down\"}}");
	tap_is_int(reply.http_status, 429, "an error inside of a 200 has its own status");
	tap_is_string(reply.detail, "The endpoint answered HTTP 429: slow down", "... and its words");
	check_status("{\"error\":\"overloaded\"}", "http_error", "an error without a code");
	check_status("{\"choices\":[]}", "http_error", "no choices");
	check_status("{}", "http_error", "no completion");
	check_status("<html>", "http_error", "no JSON");
	check_status("{\"choices\":[{\"message\":{\"content\":\"\\u0000\"}}]}", "http_error",
				 "NUL escape");
	check_status("[1,2", "http_error", "cut off");
}

static void
check_tokens(void)
{
	LmReply		reply;

	reply = parse("{\"choices\":[{\"message\":{\"content\":\"ab\"},\"logprobs\":{\"content\":["
				  "{\"token\":\"a\",\"logprob\":-0.1,\"top_logprobs\":[{\"token\":\"a\",\"logprob\":-0.1},"
				  "{\"token\":\"b\",\"logprob\":\"x\"},{\"token\":\"c\",\"logprob\":-2}]},"
				  "{\"token\":\"b\",\"logprob\":0,\"top_logprobs\":[]},"
				  "{\"token\":\"<end>\",\"logprob\":0}]}}]}");
	tap_is_int(reply.ntokens, 2, "tokens cover the content, no more");
	tap_ok(reply.ntokens == 2 && reply.tokens[0].nalternatives == 2, "bad alternatives are left out");

	reply = parse("{\"choices\":[{\"message\":{\"content\":\"<think>x</think>yes\"},\"logprobs\":"
				  "{\"content\":[{\"token\":\"<think>\",\"logprob\":0},{\"token\":\"x\",\"logprob\":0},"
				  "{\"token\":\"</think>\",\"logprob\":0},{\"token\":\"y\",\"logprob\":0},"
				  "{\"token\":\"es\",\"logprob\":0}]}}]}");
	tap_is_int(reply.ntokens, 2, "tokens of thinking are left out");
	tap_ok(reply.ntokens == 2 && strcmp(reply.tokens[0].token, "y") == 0, "the first is the answer's");

	/* thinking that the server put elsewhere, and a character in two tokens */
	reply = parse("{\"choices\":[{\"message\":{\"content\":\"\xc3\xa9s\"},\"logprobs\":"
				  "{\"content\":[{\"token\":\"hm\",\"logprob\":0},"
				  "{\"token\":\"\xef\xbf\xbd\",\"bytes\":[195],\"logprob\":0},"
				  "{\"token\":\"\xef\xbf\xbd\",\"bytes\":[169],\"logprob\":0},"
				  "{\"token\":\"s\",\"bytes\":[115],\"logprob\":0},"
				  "{\"token\":\"<end>\",\"bytes\":[],\"logprob\":0}]}}]}");
	tap_is_int(reply.ntokens, 3, "tokens are known by their bytes, wherever the answer begins");
	tap_ok(reply.ntokens == 3 && strcmp(reply.tokens[0].token, "\xc3") == 0, "... in parts");

	reply = parse("{\"choices\":[{\"message\":{\"content\":\"ab\"},\"logprobs\":{\"content\":["
				  "{\"token\":\"a\",\"logprob\":0},{\"token\":\"x\",\"logprob\":0}]}}]}");
	tap_is_int(reply.ntokens, 0, "tokens that do not fit are none");
	reply = parse("{\"choices\":[{\"message\":{\"content\":\"a\"},\"logprobs\":{\"content\":["
				  "{\"token\":\"a\",\"logprob\":7}]}}]}");
	tap_is_int(reply.ntokens, 0, "a positive log-probability is none");
}

static LmReply
parse_error(int status, const char *body)
{
	LmReply		reply = {0};

	gepa_lm_openai.parse_error(status, body, strlen(body), &reply);
	return reply;
}

static void
check_errors(void)
{
	LmReply		reply = parse_error(401, "{\"error\":{\"message\":\"bad key\\n\\u001b[31m\"}}");

	tap_ok(reply.fatal && reply.hint != NULL, "401 is fatal and says what to do");
	tap_is_string(reply.detail, "The endpoint answered HTTP 401: bad key  [31m",
				  "control characters are taken out");
	tap_ok(parse_error(403, "").fatal && parse_error(404, "no").fatal, "403 and 404 are fatal");
	tap_ok(!parse_error(429, "{\"error\":\"slow down\"}").fatal, "429 is not");
	tap_ok(parse_error(429, "{\"error\":{\"code\":\"insufficient_quota\"}}").fatal,
		   "429 for want of quota is");
	reply = parse_error(400, "{\"error\":{\"message\":\"x\",\"code\":\"context_length_exceeded\"}}");
	tap_is_string(gepa_status_name(reply.status), "too_long", "context length");
	reply = parse_error(403, "{\"error\":{\"message\":\"Your input was flagged by moderation\"}}");
	tap_ok(!reply.fatal && reply.status == GEPA_STATUS_REFUSED, "a document that moderation flags");
	reply = parse_error(400, "{\"error\":{\"message\":\"x\",\"code\":\"content_filter\"}}");
	tap_ok(!reply.fatal && reply.status == GEPA_STATUS_REFUSED, "... or a content filter");
	reply = parse_error(302, "");
	tap_ok(reply.fatal && strstr(reply.hint, "Redirect") != NULL, "redirects are not followed");
	tap_is_int(strlen(gepa_clean_text(PG_UTF8, "\xc3\xa9\xc3\xa9\xc3\xa9", 3)), 2, "cut between characters");
}

static void
check_detail(const char *body, const char *detail)
{
	LmReply		reply = parse(body);

	tap_is_string(reply.detail, detail, detail);
	tap_ok(reply.status == GEPA_STATUS_HTTP_ERROR && reply.hint != NULL, "... and what to do");
}

/* What is no JSON says who has answered. */
static void
check_foreign(void)
{
	LmReply		reply;

	check_detail("", "The response is empty.");
	check_detail(" \n", "The response is empty.");
	check_detail("\x1f\x8b\x08\x02xyz",
				 "The response is not JSON but compressed, which gepa did not ask for.");
	check_detail("<!DOCTYPE HTML><html><head><Title> Wel\ncome </title>",
				 "The response is not JSON but a page of HTML (\"Wel come \").");
	check_detail("<html></title><title>", "The response is not JSON but a page of HTML.");
	check_detail("data: {}\n\n",
				 "The response is not JSON but a stream of events, which gepa did not ask for.");
	check_detail("{\"choices\":", "The response is not JSON (not valid JSON).");
	check_status("\xef\xbb\xbf{\"choices\":[{\"message\":{\"content\":\"x\"}}]}", "ok",
				 "a byte order mark");
	reply = parse_error(502, "<html><title>502 Bad Gateway</title>");
	tap_is_string(reply.detail, "The endpoint answered HTTP 502: a page of HTML (\"502 Bad Gateway\")",
				  "an error page");
	reply = parse_error(503, "upstream connect error\x1b[2J \xe2\x80\xae \xff");
	tap_is_string(reply.detail, "The endpoint answered HTTP 503: upstream connect error [2J   ?",
				  "an error in plain text, cleaned");
	reply = parse_error(500, "\x1f\x8b\x08\x02xyz");
	tap_is_string(reply.detail, "The endpoint answered HTTP 500.", "an error that is no text");
	reply = parse_error(422, "{\"detail\":[{\"msg\":\"field required\"}]}");
	tap_is_string(reply.detail, "The endpoint answered HTTP 422: field required", "an error in a list");
	reply = parse_error(400, "[{\"error\":{\"message\":\"bad\"}}]");
	tap_is_string(reply.detail, "The endpoint answered HTTP 400: bad", "... or all of it in one");
}

/* Tokens that were made for it would be looked at n * n / 2 times. */
static void
check_token_work(void)
{
	const int	n = 200000;
	StringInfoData body;
	LmReply		reply = {0};

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"choices\":[{\"message\":{\"content\":\"");
	for (int i = 0; i < n; i++)
		appendStringInfoChar(&body, 'a');
	appendStringInfoString(&body, "b\"},\"logprobs\":{\"content\":[");
	for (int i = 0; i < n; i++)
		appendStringInfo(&body, "%s{\"token\":\"a\",\"logprob\":0}", i > 0 ? "," : "");
	appendStringInfoString(&body, "]}}]}");
	gepa_lm_openai.parse(body.data, body.len, &reply);
	tap_ok(reply.status == GEPA_STATUS_OK && reply.ntokens == 0,
		   "tokens that never fit are given up");

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"choices\":[");
	for (int i = 0; i <= GEPA_JSON_MAX_VALUES; i++)
		appendStringInfoString(&body, "0,");
	appendStringInfoString(&body, "0]}");
	gepa_lm_openai.parse(body.data, body.len, &reply);
	tap_is_string(reply.detail, "The response is not JSON (of too many values).",
				  "values are counted before there are any");
}

static void
check_build(void)
{
	LmServer	server = {0};
	LmMessage	messages[] = {{LM_ROLE_SYSTEM, "s"}, {LM_ROLE_USER, "a \"q\"\n"}};
	LmRequest	request = {0};
	StringInfoData body;

	server.model = "m";
	server.max_tokens = 5;
	server.temperature = "0.5";
	server.logprobs = true;
	server.extra_body = "{\"top_k\":1,\"max_tokens\":9}";
	request.nmessages = 2;
	request.messages = messages;
	request.schema_name = "v";
	request.schema = "{\"type\":\"object\"}";
	request.want_logprobs = true;
	initStringInfo(&body);
	gepa_lm_openai.build(&server, &request, &body);
	tap_is_string(body.data,
				  "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
				  "{\"role\":\"user\",\"content\":\"a \\\"q\\\"\\n\"}],\"temperature\":0.5,"
				  "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"v\","
				  "\"strict\":true,\"schema\":{\"type\":\"object\"}}},\"logprobs\":true,"
				  "\"top_logprobs\":20,\"top_k\":1,\"max_tokens\":9}", "the whole body");
	server.structured_output = LM_STRUCTURED_TEXT;
	server.logprobs = false;
	resetStringInfo(&body);
	gepa_lm_openai.build(&server, &request, &body);
	tap_ok(strstr(body.data, "response_format") == NULL && strstr(body.data, "logprobs") == NULL,
		   "what is off is not sent");
}

/* Two images in the last message, one of them in the midst of its text. */
static void
check_images(void)
{
	LmServer	server = {.model = "m",.max_tokens = 5};
	LmMessage	messages[] = {{LM_ROLE_SYSTEM, "s"}, {LM_ROLE_USER, "a:\nb"}};
	LmImage		images[] = {{1, 3, "data:image/png;base64,AA=="}, {1, 4, "https://h/x.jpg?a=\\"}};
	LmRequest	request = {.nmessages = 2,.messages = messages,.nimages = 2,.images = images};
	StringInfoData body;

	initStringInfo(&body);
	gepa_lm_openai.build(&server, &request, &body);
	tap_is_string(body.data,
				  "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
				  "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a:\\n\"},"
				  "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}},"
				  "{\"type\":\"text\",\"text\":\"b\"},"
				  "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://h/x.jpg?a=\\\\\"}}]}],"
				  "\"max_tokens\":5}", "chat completions: content as parts");
	tap_is_int(gepa_lm_weigh(&request, body.len), body.len - 26 - 19 + 2 * LM_IMAGE_WEIGHT,
			   "an image weighs the same whatever its bytes");
	resetStringInfo(&body);
	gepa_lm_anthropic.build(&server, &request, &body);
	tap_ok(strstr(body.data,
				  "\"content\":[{\"type\":\"text\",\"text\":\"a:\\n\"},"
				  "{\"type\":\"image\",\"source\":{\"media_type\":\"image/png\",\"data\":\"AA==\",\"type\":\"base64\"}},"
				  "{\"type\":\"text\",\"text\":\"b\"},"
				  "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://h/x.jpg?a=\\\\\"}}]}]") != NULL,
		   "Messages API: blocks");
	resetStringInfo(&body);
	gepa_lm_gemini.build(&server, &request, &body);
	tap_ok(strstr(body.data,
				  "\"parts\":[{\"text\":\"a:\\n\"},"
				  "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AA==\"}},"
				  "{\"text\":\"b\"},"
				  "{\"fileData\":{\"fileUri\":\"https://h/x.jpg?a=\\\\\",\"mimeType\":\"image/jpeg\"}}]}]") != NULL,
		   "generateContent: parts");
	images[0].at = 0;
	images[1].source = "https://h/x";
	messages[1].content = "";
	resetStringInfo(&body);
	gepa_lm_gemini.build(&server, &request, &body);
	tap_ok(strstr(body.data, "\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AA==\"}},"
				  "{\"fileData\":{\"fileUri\":\"https://h/x\"}}]}]") != NULL,
		   "images alone, of one of which nothing is known");
	images[0].message = images[1].message = 0;
	resetStringInfo(&body);
	gepa_lm_openai.build(&server, &request, &body);
	tap_ok(strstr(body.data, "{\"role\":\"user\",\"content\":\"\"}") != NULL,
		   "a message without images is a string");
}

static void
check_retry(void)
{
	static const int again[] = {408, 409, 425, 429, 500, 502, 503, 504, 529};
	static const int never[] = {400, 401, 403, 404, 413, 422, 302};
	int64		now = 784111777;	/* Sun, 06 Nov 1994 08:49:37 GMT */

	for (int i = 0; i < lengthof(again); i++)
		tap_ok(gepa_lm_may_retry(LM_FAILURE_HTTP, again[i]), "%d is tried again", again[i]);
	for (int i = 0; i < lengthof(never); i++)
		tap_ok(!gepa_lm_may_retry(LM_FAILURE_HTTP, never[i]), "%d is not", never[i]);
	tap_ok(gepa_lm_may_retry(LM_FAILURE_CONNECT, 0) && gepa_lm_may_retry(LM_FAILURE_TIMEOUT, 0) &&
		   gepa_lm_may_retry(LM_FAILURE_BROKEN, 200), "failures of the network are");
	tap_ok(!gepa_lm_may_retry(LM_FAILURE_REFUSED_ADDRESS, 0) &&
		   !gepa_lm_may_retry(LM_FAILURE_TLS, 0) && !gepa_lm_may_retry(LM_FAILURE_TOO_BIG, 0),
		   "what stays wrong is not");

	tap_is_int(gepa_lm_retry_delay_ms(1, 0.999, -1), 499, "first delay");
	tap_is_int(gepa_lm_retry_delay_ms(3, 0.5, -1), 1000, "third delay");
	tap_is_int(gepa_lm_retry_delay_ms(30, 0.5, -1), 15000, "delays are capped");
	tap_is_int(gepa_lm_retry_delay_ms(1, 0.0, 2000), 2000, "Retry-After is the least");
	tap_is_int(gepa_lm_retry_delay_ms(1, 0.0, 86400000), 60000, "and has a cap");

	tap_is_int(gepa_lm_parse_retry_after(" 3", now), 3000, "seconds");
	tap_is_int(gepa_lm_parse_retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), 10000, "date");
	tap_is_int(gepa_lm_parse_retry_after("Sun, 06 Nov 1994 08:40:00 GMT", now), 0, "date gone by");
	tap_is_int(gepa_lm_parse_retry_after("soon", now), -1, "neither");
	tap_is_int(gepa_lm_parse_retry_after("3x", now), -1, "almost seconds");
	tap_is_int(gepa_lm_parse_retry_after("99999999999999999999", now), 86400000, "absurd seconds: a day");
	tap_is_int(gepa_lm_parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", now), 86400000,
			   "an absurd date: a day");
	tap_is_int(gepa_lm_parse_retry_after("-5", now), -1, "before now");
	tap_is_int(gepa_lm_parse_retry_after("1e30", now), -1, "powers of ten");
}

/* What headers say of when to come back; wire_test.c has whole exchanges. */
static void
check_pace(void)
{
	static const struct
	{
		const char *text;
		int64		ms;
	}			durations[] = {
		{"1s", 1000}, {"6m0s", 360000}, {"120ms", 120}, {"1m30.5s", 90500}, {" 2h ", 7200000},
		{"7", 7000}, {"0.25", 250}, {"0", 0}, {"", -1}, {"soon", -1}, {"5x", -1}, {"-3s", -1},
		{"1s2", -1}, {"1e400s", -1}, {"99999999h", 86400LL * 365 * 1000}
	};
	static const char *const lines[] = {
		"Retry-After: 30\r\n", "RETRY-AFTER-MS: 40\r\n", "retry-after: 50\r\n",
		"retry-after-ms: never\r\n", "x-ratelimit-remaining-tokens: 0\r\n",
		"x-ratelimit-reset-tokens: 3s\r\n"
	};
	LmPace		pace;

	for (int i = 0; i < lengthof(durations); i++)
		tap_ok(gepa_lm_parse_duration(durations[i].text) == durations[i].ms,
			   "duration \"%s\"", durations[i].text);
	gepa_lm_pace_start(&pace);
	tap_ok(gepa_lm_pace_wait(&pace, 429) == -1, "nothing was said");
	for (int i = 4; i < 6; i++)
		gepa_lm_pace_read(&pace, lines[i], strlen(lines[i]), 0);
	tap_ok(gepa_lm_pace_wait(&pace, 429) == 3000, "a limit that is used up");
	tap_ok(gepa_lm_pace_wait(&pace, 500) == -1, "... means nothing with another status");
	gepa_lm_pace_read(&pace, lines[0], strlen(lines[0]), 0);
	tap_ok(gepa_lm_pace_wait(&pace, 429) == 30000, "Retry-After goes before limits");
	for (int i = 1; i < 4; i++)
		gepa_lm_pace_read(&pace, lines[i], strlen(lines[i]), 0);
	tap_ok(pace.retry_after_ms == 40, "... and retry-after-ms before it, in any order");
}

static bool
is_private(const char *text)
{
	struct sockaddr_in v4 = {0};
	struct sockaddr_in6 v6 = {0};

	v4.sin_family = AF_INET;
	v6.sin6_family = AF_INET6;
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return gepa_lm_address_is_private((struct sockaddr *) &v4);
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
		tap_ok(false, "%s is an address", text);
	return gepa_lm_address_is_private((struct sockaddr *) &v6);
}

static void
check_addresses(void)
{
	static const char *const private[] = {
		"127.0.0.1", "127.255.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::",
		"fe80::1", "fc00::1", "fdff::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
		"64:ff9b::a00:1", "2002:a00:1::", "::127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:0:a00:1",
		"64:ff9b:1::a00:1", "64:ff9b:1:808:808::", "168.63.129.16", "::ffff:168.63.129.16"
	};
	static const char *const public[] = {
		"8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "192.167.1.1",
		"169.253.1.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::",
		"::ffff:0:808:808", "64:ff9b:2::1", "168.63.129.15", "168.63.129.17"
	};

	for (int i = 0; i < lengthof(private); i++)
		tap_ok(is_private(private[i]), "%s is private", private[i]);
	for (int i = 0; i < lengthof(public); i++)
		tap_ok(!is_private(public[i]), "%s is public", public[i]);
}

static char *
canned(const char *instruction, const char *document, int nchoices, const char *const *choices)
{
	char	   *system = psprintf("%s\n\nAnswer with a JSON object: \"zzz\"", instruction);
	char	   *user = psprintf("<<<abcd\n%s\nabcd>>>\nAnswer:", document);
	LmMessage	messages[] = {{LM_ROLE_SYSTEM, system}, {LM_ROLE_USER, user}};
	LmServer	server = {0};
	LmRequest	request = {.nmessages = 2,.messages = messages,.schema_name = "v",.schema = "{}",
	.nchoices = nchoices,.choices = choices};
	LmReply		reply = {0};

	gepa_lm_canned.answer(&server, &request, &reply);
	return reply.content;
}

static void
check_canned(void)
{
	static const char *const two[] = {"true", "false"};
	static const char *const three[] = {"low", "mid", "high"};
	LmMessage	message = {LM_ROLE_USER, "x\n```\nold text\n```\ny"};
	LmServer	server = {0};
	LmRequest	request = {0};
	LmReply		reply = {0};

	tap_is_string(canned("About \"sql\"?", "I like SQL", 2, two), "{\"label\":\"true\"}", "word found");
	tap_is_string(canned("About \"sql\"?", "zzz", 2, two), "{\"label\":\"false\"}", "word not found");
	tap_is_string(canned("How good?", "of mid quality", 3, three), "{\"label\":\"mid\"}", "own word");
	tap_is_string(canned("", "same", 2, two), canned("", "same", 2, two), "by hash, repeatable");
	request.nmessages = 1;
	request.messages = &message;
	gepa_lm_canned.answer(&server, &request, &reply);
	tap_is_string(reply.content, "```\nold text\nThis line is canned.\n```", "text");
}

/* No bytes from outside crash the parser. */
static void
check_random(uint64 seed)
{
	static const char *const pieces[] = {
		"{", "}", "[", "]", "\"choices\":", "\"message\":", "\"content\":", "\"logprobs\":",
		"\"token\":", "\"logprob\":", "\"top_logprobs\":", "\"x\"", "\"<think>\"", "\"</think>\"",
		"-1", "null", ",", "\"usage\":", "\"prompt_tokens\":", "1e999", "\"error\":", "\xff", "true"
	};
	pg_prng_state state;

	printf("# seed " UINT64_FORMAT "\n", seed);
	pg_prng_seed(&state, seed);
	for (int i = 0; i < 20000; i++)
	{
		StringInfoData body;
		LmReply		reply = {0};
		int			n = (int) pg_prng_uint64_range(&state, 0, 30);

		initStringInfo(&body);
		if (i % 2)
			appendStringInfoString(&body, "{\"choices\":[{\"message\":{\"content\":\"x\"},\"logprobs\":{\"content\":");
		while (n-- > 0)
			appendStringInfoString(&body, pieces[pg_prng_uint64_range(&state, 0, lengthof(pieces) - 1)]);
		if (i % 2)
			appendStringInfoString(&body, "}}]}");
		gepa_lm_openai.parse(body.data, body.len, &reply);
		gepa_lm_openai.parse_error(400 + i % 200, body.data, body.len, &reply);
		pfree(body.data);
	}
	tap_ok(true, "random bodies are survived");
}

/* The model of this dialect is a part of the path. */
static void
check_model_in_path(void)
{
	static const char *const good[] = {
		"gemini-2.5-flash", "tunedModels/a b", "a.b/..c/d..", "...", "models/m", "m?x#y%2e%2e"
	};
	static const char *const bad[] = {
		"", ".", "..", "../x", "../../x", "a/../b", "a/..", "a/./b", "/a", "a/", "a//b",
		"..\\x", "a\nb", "a\r\nHost: h", "\x7F"
	};
	LmServer	server = {0};

	for (int i = 0; i < lengthof(good); i++)
		tap_ok(gepa_lm_gemini_is_model(good[i]), "%s stays where models are", good[i]);
	for (int i = 0; i < lengthof(bad); i++)
		tap_ok(!gepa_lm_gemini_is_model(bad[i]), "a path would not stay there, %d", i);
	server.model = "m?x#y%2e%2e";
	tap_is_string(gepa_lm_gemini.path(&server), "/models/m%3Fx%23y%252e%252e:generateContent",
				  "what has a meaning in a URL is escaped");
}

int
main(void)
{
	check_model_in_path();
	check_answers();
	check_tokens();
	check_errors();
	check_foreign();
	check_token_work();
	check_build();
	check_images();
	check_retry();
	check_pace();
	check_addresses();
	check_canned();
	check_random(5);
	return tap_done();
}
