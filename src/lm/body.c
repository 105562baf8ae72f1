/*-------------------------------------------------------------------------
 *
 * body.c
 *	  What to say of a body that is not the JSON that was asked for.
 *
 * Between gepa and a model stand gateways, proxies and web servers, and each
 * has pages of its own.  Which of them has answered is half of the repair, so
 * the body is looked at, for the words of a message and nothing else.  Any
 * bytes may come; the body ends with a NUL byte beyond its length.  Frontend
 * safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "mb/pg_wchar.h"

#include "base/text.h"
#include "lm/lm_internal.h"

/* How much of a page's title, and of a text, is shown, in bytes. */
#define TITLE_BYTES 100
#define TEXT_BYTES 300

/* gzip, zstd: what begins so is no text. */
static bool
is_compressed(const char *body, size_t length)
{
	return length >= 4 && (memcmp(body, "\x1f\x8b", 2) == 0 ||
						   memcmp(body, "\x28\xb5\x2f\xfd", 4) == 0);
}

static bool
begins_with(const char *text, const char *word)
{
	return pg_strncasecmp(text, word, strlen(word)) == 0;
}

static bool
is_html(const char *text)
{
	return begins_with(text, "<!doctype html") || begins_with(text, "<html") ||
		begins_with(text, "<head") || begins_with(text, "<body");
}

/* ' ("the title")', or an empty string. */
static char *
page_title(const char *text)
{
	const char *start = strcasestr(text, "<title>");
	const char *end = start ? strcasestr(start, "</title>") : NULL;
	char	   *title;

	if (end == NULL)
		return pstrdup("");
	start += strlen("<title>");
	start += strspn(start, " \t\r\n");
	title = pnstrdup(start, Max(end - start, 0));
	return psprintf(" (\"%s\")", gepa_clean_text(PG_UTF8, title, TITLE_BYTES));
}

char *
gepa_lm_describe_body(const char *body, size_t length, const char *error)
{
	const char *text = body + strspn(body, " \t\r\n");

	if (text == body + length)
		return pstrdup("The response is empty.");
	if (is_compressed(body, length))
		return pstrdup("The response is not JSON but compressed, which gepa did not ask for.");
	if (is_html(text))
		return psprintf("The response is not JSON but a page of HTML%s.", page_title(text));
	if (begins_with(text, "data:") || begins_with(text, "event:"))
		return pstrdup("The response is not JSON but a stream of events, which gepa did not ask for.");
	return psprintf("The response is not JSON (%s).", error);
}

char *
gepa_lm_error_text(const char *body, size_t length)
{
	const char *text = body + strspn(body, " \t\r\n");

	if (text == body + length || memchr(body, '\0', length) != NULL ||
		is_compressed(body, length))
		return NULL;
	if (is_html(text))
		return psprintf("a page of HTML%s", page_title(text));
	return gepa_clean_text(PG_UTF8, text, TEXT_BYTES);
}
