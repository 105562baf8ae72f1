/*-------------------------------------------------------------------------
 *
 * parts.c
 *	  Messages with images in them, as parts of what is sent.
 *
 * Where a dialect has images, a message's content is a list: stretches of text, and
 * between them the images.  A data: URL can be megabytes long; it is copied once, into
 * the body, and its base64 needs no escapes.
 *
 * Expected tokens: endpoints count an image by its size in pixels and not in bytes.
 * LM_IMAGE_WEIGHT bytes stand for one; that is as many tokens at most (a byte is a token
 * at most), which is what the models with the finest view take (about 4,800), and a third
 * of it until calls have shown more.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "lm/lm_internal.h"

LmWalk
gepa_lm_walk(const LmRequest *request, int message)
{
	LmWalk		walk = {.message = &request->messages[message]};
	int			first = 0;

	while (first < request->nimages && request->images[first].message < message)
		first++;
	walk.images = request->images + first;
	while (first + walk.nimages < request->nimages &&
		   walk.images[walk.nimages].message == message)
		walk.nimages++;
	return walk;
}

bool
gepa_lm_next_part(LmWalk *walk, LmPart *part)
{
	const char *text = walk->message->content + walk->at;
	int			length = (int) strlen(text);

	memset(part, 0, sizeof(*part));
	if (walk->nimages > 0 && (walk->images->at <= walk->at || length == 0))
	{
		part->source = walk->images->source;
		walk->images++;
		walk->nimages--;
		return true;
	}
	if (length == 0)
		return false;
	part->text = text;
	part->length = walk->nimages > 0 ? Min(length, walk->images->at - walk->at) : length;
	walk->at += part->length;
	return true;
}

void
gepa_lm_put_text(StringInfo body, const LmPart *part)
{
	char	   *text = part->text ? pnstrdup(part->text, part->length) : pstrdup("");

	gepa_json_quote(body, text);
	pfree(text);
}

static bool
is_data_url(const char *source)
{
	return strncmp(source, "data:", strlen("data:")) == 0;
}

static void
put_plain(StringInfo body, const char *text, size_t length)
{
	appendStringInfoChar(body, '"');
	appendBinaryStringInfo(body, text, (int) length);
	appendStringInfoChar(body, '"');
}

void
gepa_lm_put_source(StringInfo body, const char *source)
{
	if (is_data_url(source))
		put_plain(body, source, strlen(source));
	else
		gepa_json_quote(body, source);
}

bool
gepa_lm_put_data(StringInfo body, const char *source, const char *type_name,
				 const char *data_name)
{
	const char *type = source + strlen("data:");
	const char *end = is_data_url(source) ? strchr(type, ';') : NULL;
	const char *data = end ? strchr(end, ',') : NULL;

	if (data == NULL)
		return false;
	appendStringInfo(body, "\"%s\":", type_name);
	put_plain(body, type, end - type);
	appendStringInfo(body, ",\"%s\":", data_name);
	put_plain(body, data + 1, strlen(data + 1));
	return true;
}

size_t
gepa_lm_weigh(const LmRequest *request, size_t length)
{
	for (int i = 0; i < request->nimages; i++)
	{
		size_t		bytes = strlen(request->images[i].source);

		length = (length > bytes ? length - bytes : 0) + LM_IMAGE_WEIGHT;
	}
	return length;
}
