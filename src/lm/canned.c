/*-------------------------------------------------------------------------
 *
 * canned.c
 *	  The provider that needs no network: deterministic answers.
 *
 * For regression tests, for examples in documents, and for trying SQL out.
 * Its contract is in docs/lm.md: asked to choose a label it looks for the
 * words that the system message puts in double quotes and answers the first
 * label if the document holds one of them, else the second; with more labels
 * it answers the one whose own word occurs, else one by hash.  Asked for outputs of a
 * step it makes of the quoted words that the inputs hold what their schemas want.  Asked for text
 * it repeats the instruction it finds between triple backticks with one line
 * added.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include <ctype.h>
#include <math.h>

#include "common/hashfn.h"

#include "lm/lm_internal.h"

#define LABEL_PROBABILITY 0.9

/* Case-insensitive search of the first n bytes of needle. */
static bool
contains(const char *text, const char *needle, size_t n)
{
	if (n == 0)
		return false;
	for (; *text != '\0'; text++)
		if (pg_strncasecmp(text, needle, n) == 0)
			return true;
	return false;
}

/*
 * Look for quoted words of the instruction: the part of the system message
 * before its last paragraph, which is the answer format.
 */
static bool
quoted_words(const char *system, const char *document, bool *found)
{
	const char *end = strstr(system, "\n\nAnswer with a JSON object");
	bool		any = false;

	*found = false;
	if (end == NULL)
		end = system + strlen(system);
	for (;;)
	{
		const char *open = strchr(system, '"');
		const char *close = open ? strchr(open + 1, '"') : NULL;

		if (close == NULL || close >= end)
			return any;
		any = true;
		*found = *found || contains(document, open + 1, close - open - 1);
		system = close + 1;
	}
}

static int
choose(const LmRequest *request, const char *system, const char *document)
{
	bool		found;

	if (request->nchoices == 2 && quoted_words(system, document, &found))
		return found ? 0 : 1;
	for (int i = 0; i < request->nchoices && request->nchoices > 2; i++)
		if (contains(document, request->choices[i], strlen(request->choices[i])))
			return i;
	return hash_bytes((const unsigned char *) document, (int) strlen(document)) %
		request->nchoices;
}

/*
 * The document without its fence: the nonce is the database's own, and the
 * same document shall get the same answer everywhere.
 */
static char *
unfence(const char *message)
{
	const char *open = strstr(message, "<<<");
	const char *start = open ? strchr(open, '\n') : NULL;
	const char *end = NULL;

	for (const char *p = start; p != NULL && (p = strstr(p, ">>>")) != NULL; p++)
		end = p;
	while (end != NULL && end > start && end[-1] != '\n')
		end--;
	if (end == NULL || end - start < 2)
		return pstrdup(message);
	return pnstrdup(start + 1, end - start - 2);
}

static int
count_words(const char *text)
{
	int			n = 0;
	bool		inside = false;

	for (; *text != '\0'; text++)
	{
		bool		word = !isspace((unsigned char) *text);

		n += word && !inside;
		inside = word;
	}
	return n;
}

/* The answer as three tokens: what leads to the label, the label, the rest. */
static void
put_tokens(const LmRequest *request, int choice, const char *before, LmReply *reply)
{
	LmToken    *tokens = palloc0(sizeof(LmToken) * 3);

	tokens[0].token = before;
	tokens[1].token = request->choices[choice];
	tokens[1].logprob = log(LABEL_PROBABILITY);
	tokens[1].nalternatives = request->nchoices;
	tokens[1].alternatives = palloc(sizeof(LmAlternative) * request->nchoices);
	for (int i = 0; i < request->nchoices; i++)
	{
		tokens[1].alternatives[i].token = request->choices[i];
		tokens[1].alternatives[i].logprob = i == choice ? log(LABEL_PROBABILITY) :
			log((1 - LABEL_PROBABILITY) / (request->nchoices - 1));
	}
	tokens[2].token = "\"}";
	reply->ntokens = 3;
	reply->tokens = tokens;
}

static void
answer_label(const LmServer *server, const LmRequest *request, const char *system,
			 const char *document, LmReply *reply)
{
	int			choice = choose(request, system, document);
	StringInfoData before;
	StringInfoData quoted;

	initStringInfo(&before);
	initStringInfo(&quoted);
	appendStringInfoChar(&before, '{');
	if (strstr(request->schema, "\"reasoning\"") != NULL)
		appendStringInfo(&before, "\"reasoning\":\"canned answer %d\",", choice);
	appendStringInfoString(&before, "\"label\":\"");
	gepa_json_quote(&quoted, request->choices[choice]);
	reply->content = psprintf("%s%s}", before.data, quoted.data + 1);
	/* A label that needs escapes is not one token. */
	if (server->logprobs && request->want_logprobs &&
		strlen(quoted.data) == strlen(request->choices[choice]) + 2)
		put_tokens(request, choice, before.data, reply);
}

/*
 * Outputs of a step
 */

/* The quoted words of the instruction that the inputs hold, as a JSON array. */
static GepaJson *
found_words(const char *system, const char *inputs)
{
	const char *end = strstr(system, "\n\nAnswer with a JSON object");
	GepaJson   *list = palloc0(sizeof(GepaJson));

	list->kind = GEPA_JSON_ARRAY;
	list->items = palloc(sizeof(GepaJson *) * (strlen(system) / 2 + 1));
	for (;;)
	{
		const char *open = strchr(system, '"');
		const char *close = open ? strchr(open + 1, '"') : NULL;
		GepaJson   *word;

		if (close == NULL || end == NULL || close >= end)
			return list;
		if (contains(inputs, open + 1, close - open - 1))
		{
			word = palloc0(sizeof(GepaJson));
			word->kind = GEPA_JSON_STRING;
			word->text = pnstrdup(open + 1, close - open - 1);
			list->items[list->nitems++] = word;
		}
		system = close + 1;
	}
}

static char *
joined(const GepaJson *words)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < words->nitems; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", words->items[i]->text);
	return buf.data;
}

static double
count_within(const GepaJson *schema, double n)
{
	double		limit;

	if (gepa_json_get_number(schema, "minimum", &limit))
		n = Max(n, limit);
	if (gepa_json_get_number(schema, "maximum", &limit))
		n = Min(n, limit);
	return n;
}

/* What was found, as a value of a schema: the first of several types. */
static void
put_value(StringInfo buf, const GepaJson *schema, const GepaJson *words)
{
	const GepaJson *choices = gepa_json_get(schema, "enum");
	const GepaJson *properties = gepa_json_get(schema, "properties");
	const GepaJson *types = gepa_json_get(schema, "type");
	const char *type = types == NULL ? "string" :
		types->kind == GEPA_JSON_ARRAY ? gepa_json_item(types, 0)->text : types->text;

	if (choices != NULL)
		gepa_json_write(buf, gepa_json_item(choices, 0));
	else if (strcmp(type, "array") == 0)
		gepa_json_write(buf, words);
	else if (strcmp(type, "number") == 0 || strcmp(type, "integer") == 0)
		appendStringInfo(buf, "%g", count_within(schema, words->nitems));
	else if (strcmp(type, "boolean") == 0)
		appendStringInfoString(buf, words->nitems > 0 ? "true" : "false");
	else if (strcmp(type, "object") == 0)
	{
		appendStringInfoChar(buf, '{');
		for (int i = 0; properties != NULL && i < properties->nitems; i++)
		{
			appendStringInfoString(buf, i > 0 ? "," : "");
			gepa_json_quote(buf, properties->keys[i]);
			appendStringInfoChar(buf, ':');
			put_value(buf, properties->items[i], words);
		}
		appendStringInfoChar(buf, '}');
	}
	else
		gepa_json_quote(buf, joined(words));
}

/* False when the schema cannot be read. */
static bool
answer_outputs(const LmRequest *request, const char *system, const char *inputs, LmReply *reply)
{
	const GepaJson *schema = gepa_json_parse(request->schema, strlen(request->schema), NULL);
	StringInfoData buf;

	if (gepa_json_get(schema, "properties") == NULL)
		return false;
	initStringInfo(&buf);
	put_value(&buf, schema, found_words(system, inputs));
	reply->content = buf.data;
	return true;
}

static void
answer_text(const char *prompt, LmReply *reply)
{
	const char *open = strstr(prompt, "```");
	const char *close;

	open = open ? open + 3 + strspn(open + 3, "\n") : "";
	close = strstr(open, "```");
	if (close == NULL)
		close = open + strlen(open);
	while (close > open && close[-1] == '\n')
		close--;
	reply->content = psprintf("```\n%.*s\nThis line is canned.\n```",
							  (int) (close - open), open);
}

static void
answer(const LmServer *server, const LmRequest *request, LmReply *reply)
{
	const char *system = "";
	const char *last = "";

	for (int i = 0; i < request->nmessages; i++)
	{
		reply->input_tokens += count_words(request->messages[i].content);
		if (request->messages[i].role == LM_ROLE_SYSTEM)
			system = request->messages[i].content;
		else
			last = request->messages[i].content;
	}
	reply->status = GEPA_STATUS_OK;
	reply->finish_reason = pstrdup("stop");
	if (request->schema != NULL && request->nchoices > 0)
		answer_label(server, request, system, unfence(last), reply);
	else if (request->schema == NULL || !answer_outputs(request, system, unfence(last), reply))
		answer_text(last, reply);
	reply->output_tokens = count_words(reply->content);
}

const LmProvider gepa_lm_canned = {
	.name = "canned",
	.answer = answer
};
