/*-------------------------------------------------------------------------
 *
 * response.c
 *	  Fuzz target: everything that reads what an endpoint sends.
 *
 * The first byte of the input says what the rest is:
 *	'0' to '3'	a body that came with HTTP 200, for the judge of that number
 *	'e'			HTTP status - 300 (one byte), and a body that came with it
 *	'g'			pieces of such a body, one for each byte: libpgcommon's JSON
 *				parser is not instrumented, so nothing tells the fuzzer what
 *				JSON is
 *	't'			an answer that may hold thinking
 *	'r'			a value of Retry-After
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <math.h>

#include "mb/pg_wchar.h"

#include "arena.h"
#include "base/text.h"
#include "judge/judge_internal.h"
#include "lm/lm_internal.h"

/* 2026-01-01; a day, the most that Retry-After may say */
#define NOW 1767225600
#define LONGEST_MS (86400 * 1000)

static char *labels[][3] = {
	{"true", "false"},
	{"good", "great", "bad"},
	{"1", "17"},
	{"say \"no\"", "n\xc3\xa9"}
};
static const int nlabels[] = {2, 3, 2, 2};

static JudgeSpec
make_spec(int number)
{
	static bool positive[] = {true, false, false};
	JudgeSpec	spec = {0};

	spec.name = "judge";
	spec.nlabels = nlabels[number];
	spec.labels = labels[number];
	spec.positive = positive;
	spec.threshold = 0.5;
	return spec;
}

/* What users read is one line of text. */
static void
check_words(const char *words)
{
	if (words == NULL)
		return;
	PROPERTY(pg_encoding_verifymbstr(PG_UTF8, words, (int) strlen(words)) == (int) strlen(words));
	for (; *words != '\0'; words++)
		PROPERTY((unsigned char) *words >= 0x20 && *words != 0x7F);
}

static void
check_reply(const LmReply *reply)
{
	const char *rest = reply->content;

	PROPERTY(gepa_status_name(reply->status) != NULL);
	PROPERTY(reply->status == GEPA_STATUS_OK ? reply->content != NULL :
			 reply->detail != NULL && reply->hint != NULL);
	PROPERTY(reply->input_tokens >= 0 && reply->output_tokens >= 0);
	check_words(reply->detail);
	check_words(reply->hint);
	check_words(reply->finish_reason);
	for (int i = 0; i < reply->ntokens; i++)
	{
		const LmToken *token = &reply->tokens[i];

		PROPERTY(strncmp(rest, token->token, strlen(token->token)) == 0);
		rest += strlen(token->token);
		for (int k = 0; k < token->nalternatives; k++)
			PROPERTY(token->alternatives[k].token != NULL &&
					 token->alternatives[k].logprob <= 1e-6);
	}
	PROPERTY(reply->ntokens == 0 || *rest == '\0');
}

static void
read_body(const LmProvider *provider, int number, const char *body, size_t length)
{
	JudgeSpec	spec = make_spec(number);
	LmReply		reply = {0};
	JudgeVerdict verdict;

	reply.http_status = 200;
	provider->parse(body, length, &reply);
	check_reply(&reply);
	gepa_judge_parse(&spec, &reply, &verdict);
	check_words(verdict.detail);
	if (verdict.status == GEPA_STATUS_OK)
		PROPERTY(gepa_judge_label_index(&spec, verdict.label) >= 0 &&
				 verdict.score >= 0 && verdict.score <= 1);
	else
		PROPERTY(verdict.label == NULL && !verdict.positive && verdict.detail != NULL &&
				 verdict.hint != NULL);
}

static void
read_error(int http_status, const char *body, size_t length)
{
	for (int api = LM_API_OPENAI; api < LM_API_CANNED; api++)
	{
		const LmProvider *provider = gepa_lm_provider((LmApi) api);
		LmReply		reply = {0};

		reply.http_status = http_status;
		provider->parse_error(http_status, body, length, &reply);
		check_reply(&reply);
		PROPERTY(reply.status != GEPA_STATUS_OK);
		if (provider->retry_after != NULL)
			PROPERTY(provider->retry_after(body, length) >= -1);
	}
}

/* A header line as libcurl gives it, which ends without a NUL byte. */
static void
read_header(const char *line, size_t length)
{
	LmPace		pace;

	gepa_lm_pace_start(&pace);
	gepa_lm_pace_read(&pace, line, length, NOW);
	PROPERTY(gepa_lm_pace_wait(&pace, 429) >= -1);
}

static const char *const pieces[] = {
	"{\"choices\":[{\"message\":{\"content\":\"{\\\"label\\\": \\\"true\\\"}\"},\"logprobs\":{\"content\":[",
	"{\"choices\":[{\"message\":{\"content\":\"{\\\"label\\\": true}\"},\"logprobs\":{\"content\":[",
	"{\"choices\":[{\"message\":{\"content\":\"<think>a</think>true\"},\"logprobs\":{\"content\":[",
	"{\"choices\":[{\"message\":{\"content\":\"", "\\\"", "label", "\\\": ", "reasoning", "```",
	"<think>", "</think>", "\\n", "\\u00e9", "\\ud83d\\ude00",
	"{\"token\":\"", "{\"bytes\":[", "\",\"logprob\":", "],\"logprob\":", ",\"top_logprobs\":[",
	"]}", "\"}", "]}}]}", "\"}}]}", "\"},\"finish_reason\":\"", "\",\"reasoning_content\":\"",
	"\",\"refusal\":\"", "\"},\"logprobs\":{\"content\":[", ",\"usage\":{\"prompt_tokens\":",
	"{\\\"label\\\": ", "{\\\"", "{", "}", "[", "]", "\"", ":", ",", " ", ".", "true", "tr", "ue", "false",
	"fal", "se", "good", "great", "g", "bad", "1", "17", "-0.1", "-5", "0", "1e999", "-1e999", "null",
	"116", "114", "195", "233", "stop", "length"
};

static void
read_pieces(const char *bytes, size_t n)
{
	StringInfoData body;

	initStringInfo(&body);
	for (size_t i = 0; i < n; i++)
		appendStringInfoString(&body, pieces[(unsigned char) bytes[i] % lengthof(pieces)]);
	for (int number = 0; number < (int) lengthof(labels); number++)
		read_body(&gepa_lm_openai, number, body.data, body.len);
	read_error(400, body.data, body.len);
}

/* No byte is invented: what is answered is the end of what came. */
static void
split_thinking(const char *text)
{
	char	   *reasoning;
	char	   *answer = gepa_lm_split_thinking(text, &reasoning);

	PROPERTY(strlen(answer) <= strlen(text));
	PROPERTY(strcmp(answer, text + strlen(text) - strlen(answer)) == 0);
	PROPERTY(reasoning == NULL || strstr(text, reasoning) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text;

	if (size < 2)
		return 0;
	/* a NUL byte follows, and nothing behind it */
	text = palloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] >= '0' && data[0] <= '3')
		read_body(&gepa_lm_openai, data[0] - '0', text, size - 1);
	else if (data[0] == 'a')
		read_body(&gepa_lm_anthropic, 0, text, size - 1);
	else if (data[0] == 'm')
		read_body(&gepa_lm_gemini, 0, text, size - 1);
	else if (data[0] == 'h')
		read_header(text, size - 1);
	else if (data[0] == 'e')
		read_error(300 + (unsigned char) text[0], text + 1, size - 2);
	else if (data[0] == 'g')
		read_pieces(text, Min(size - 1, 500));
	else if (data[0] == 't')
		split_thinking(text);
	else if (data[0] == 'r')
		PROPERTY(gepa_lm_parse_retry_after(text, NOW) >= -1 &&
				 gepa_lm_parse_retry_after(text, NOW) <= LONGEST_MS);
	arena_forget();
	return 0;
}
