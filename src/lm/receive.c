/*-------------------------------------------------------------------------
 *
 * receive.c
 *	  What an endpoint sends: its header and body, under caps.
 *
 * Actors: libcurl calls back with what has come in.  All of it is hostile
 * input; nothing here may raise, and none of the memory is palloc'd: it is kept
 * in malloc'd buffers with a cap, and a callback that returns less than it was
 * given makes libcurl give the transfer up.
 *
 * Life cycle: begun with the transfer, freed with it; several responses (1xx
 * and the final one) may pass through.
 *
 * Header policing: newer versions of libcurl refuse some responses by
 * themselves that older ones take, with whatever follows from that.  They are
 * refused here for all.
 *
 * Known hole: header lines are policed one at a time, as libcurl unfolds them;
 * how it unfolds them is its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "lm/lm_transport.h"

#define MAX_HEADER_BYTES (256 * 1024)

/* What the next response may find of the last one's memory. */
#define KEPT_BYTES (64 * 1024)

/* The room for the body stays, unless it is large. */
void
gepa_lm_receive_start(LmReceived *received)
{
	LmReceived	fresh = {0};

	if (received->room > KEPT_BYTES)
		free(received->body);
	else
	{
		fresh.body = received->body;
		fresh.room = received->room;
	}
	*received = fresh;
	received->content_length = -1;
	gepa_lm_pace_start(&received->pace);
}

static bool
make_room(LmReceived *received, size_t more)
{
	size_t		wanted = received->length + more + 1;
	size_t		room = Max(received->room, 4096);
	char	   *grown;

	if (wanted > LM_MAX_RESPONSE_BYTES)
	{
		received->too_big = true;
		return false;
	}
	while (room < wanted)
		room *= 2;
	if (room == received->room)
		return true;
	grown = realloc(received->body, room);
	if (grown == NULL)
		return false;
	received->body = grown;
	received->room = room;
	return true;
}

size_t
gepa_lm_receive_body(char *data, size_t size, size_t n, void *arg)
{
	LmReceived *received = arg;
	size_t		bytes = size * n;

	if (!make_room(received, bytes))
		return 0;				/* short: libcurl gives the transfer up */
	memcpy(received->body + received->length, data, bytes);
	received->length += bytes;
	received->body[received->length] = '\0';
	return bytes;
}

/*
 * The value of a header line if it has that name (with its colon) and is not
 * too long for value.
 */
static bool
read_header(const char *line, size_t bytes, const char *name, char *value, size_t room)
{
	size_t		skip = strlen(name);

	if (bytes < skip || bytes - skip >= room || pg_strncasecmp(line, name, skip) != 0)
		return false;
	memcpy(value, line + skip, bytes - skip);
	value[bytes - skip] = '\0';
	value[strcspn(value, "\r\n")] = '\0';
	memmove(value, value + strspn(value, " \t"), strlen(value + strspn(value, " \t")) + 1);
	return true;
}

/*
 * What newer versions of libcurl refuse by themselves, and older ones take: two
 * lengths, and a compression that nobody asked for.
 */
static const char *
find_complaint(LmReceived *received, const char *line, size_t bytes)
{
	char		value[80];

	if (bytes >= 5 && strncmp(line, "HTTP/", 5) == 0)
		received->content_length = -1;	/* another response begins */
	else if (read_header(line, bytes, "transfer-encoding:", value, sizeof(value)))
		return pg_strncasecmp(value, "chunked", 7) == 0 || pg_strcasecmp(value, "identity") == 0 ?
			NULL : "it uses a transfer encoding that was not asked for";
	else if (read_header(line, bytes, "content-length:", value, sizeof(value)))
	{
		int64		length = strtoll(value, NULL, 10);

		if (received->content_length >= 0 && received->content_length != length)
			return "it says two lengths of one body";
		received->content_length = length;
	}
	return NULL;
}

size_t
gepa_lm_receive_header(char *data, size_t size, size_t n, void *arg)
{
	LmReceived *received = arg;
	size_t		bytes = size * n;

	received->header_bytes += bytes;
	if (received->header_bytes > MAX_HEADER_BYTES)
	{
		received->too_big = true;
		return 0;
	}
	received->complaint = find_complaint(received, data, bytes);
	if (received->complaint != NULL)
		return 0;
	gepa_lm_pace_read(&received->pace, data, bytes, (int64) time(NULL));
	return bytes;
}
