/*-------------------------------------------------------------------------
 *
 * tokens.c
 *	  The tokens of an answer, with the probabilities of what might have stood there.
 *
 * A dialect says how it writes one.  What counts is that tokens make up the
 * answer to the byte: a score is read where labels part.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lm/lm_internal.h"

/* What is rounded may be a little above 0. */
#define MAX_LOGPROB 1e-6

/*
 * How often a token may be looked at to find where the answer begins.  Once or
 * twice is enough; tokens made for the purpose would want the square.
 */
#define MAX_LOOKS 64

static bool
read_text(const LmTokenFormat *format, const GepaJson *item, const char **text, double *logprob)
{
	*text = format->text(item);
	return *text != NULL && gepa_json_get_number(item, format->logprob, logprob) &&
		*logprob <= MAX_LOGPROB;
}

static void
read_alternatives(const LmTokenFormat *format, const GepaJson *list, LmToken *token)
{
	if (list == NULL || list->kind != GEPA_JSON_ARRAY)
		return;
	token->alternatives = palloc0(sizeof(LmAlternative) * Max(list->nitems, 1));
	for (int i = 0; i < list->nitems; i++)
	{
		LmAlternative *alternative = &token->alternatives[token->nalternatives];

		if (read_text(format, list->items[i], &alternative->token, &alternative->logprob))
			token->nalternatives++;
	}
}

void
gepa_lm_read_token(const LmTokenFormat *format, const GepaJson *item,
				   const GepaJson *alternatives, LmToken *token)
{
	if (!read_text(format, item, &token->token, &token->logprob))
		token->token = NULL;
	read_alternatives(format, alternatives, token);
}

/*
 * How many tokens make up the whole answer, exactly; 0 when these do not.
 * *skipped is set to how many of them make up the first skip bytes, *work
 * goes down by how many were looked at.
 */
static int
match_tokens(const LmToken *tokens, int ntokens, const char *whole, int skip, int *skipped,
			 int64 *work)
{
	int			at = 0;
	int			length = (int) strlen(whole);
	int			n = 0;

	*skipped = 0;
	while (n < ntokens && at < length)
	{
		const char *text = tokens[n].token;
		int			bytes = text != NULL ? (int) strlen(text) : 0;

		if (text == NULL || bytes > length - at || strncmp(whole + at, text, bytes) != 0 ||
			(at < skip && at + bytes > skip) || --*work <= 0)
			return 0;
		at += bytes;
		n++;
		if (at <= skip)
			*skipped = n;
	}
	return at == length ? n : 0;
}

/*
 * What comes before the answer (thinking that was put into a field of its
 * own) or behind it (the end mark) is none of it.  When nothing fits (an
 * answer that was changed on its way) there are no tokens.
 */
void
gepa_lm_take_tokens(LmToken *tokens, int ntokens, const char *whole, int skip, LmReply *reply)
{
	int64		work = MAX_LOOKS * (int64) ntokens;

	for (int from = ntokens - 1; from >= 0 && work > 0; from--)
	{
		int			skipped;
		int			n = match_tokens(tokens + from, ntokens - from, whole, skip, &skipped, &work);

		if (n <= skipped)
			continue;
		reply->tokens = tokens + from + skipped;
		reply->ntokens = n - skipped;
		return;
	}
}
