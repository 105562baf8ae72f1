/*-------------------------------------------------------------------------
 *
 * pack.c
 *	  A verdict as flat bytes, for the ring and for this session's memory.
 *
 * The struct is copied as it is, its texts follow.  The bytes never leave the
 * server process they belong to, so layout and byte order do not matter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "store/store_internal.h"

static void
put_text(StringInfo buf, const char *text)
{
	int32		length = text ? (int32) strlen(text) : -1;

	appendBinaryStringInfo(buf, (const char *) &length, sizeof(length));
	if (text)
		appendBinaryStringInfo(buf, text, length);
}

static char *
get_text(const char **data)
{
	int32		length;
	char	   *text;

	memcpy(&length, *data, sizeof(length));
	*data += sizeof(length);
	if (length < 0)
		return NULL;
	text = pnstrdup(*data, length);
	*data += length;
	return text;
}

void
gepa_store_pack(StringInfo buf, const StoreVerdict *verdict)
{
	appendBinaryStringInfo(buf, (const char *) verdict, sizeof(StoreVerdict));
	put_text(buf, verdict->verdict.label);
	put_text(buf, verdict->verdict.reasoning);
	put_text(buf, verdict->verdict.detail);
	put_text(buf, verdict->verdict.hint);
}

void
gepa_store_unpack(const char *data, int length, StoreVerdict *verdict)
{
	const char *end PG_USED_FOR_ASSERTS_ONLY = data + length;

	memcpy(verdict, data, sizeof(StoreVerdict));
	data += sizeof(StoreVerdict);
	verdict->verdict.label = get_text(&data);
	verdict->verdict.reasoning = get_text(&data);
	verdict->verdict.detail = get_text(&data);
	verdict->verdict.hint = get_text(&data);
	verdict->verdict.answer = NULL;
	Assert(data == end);
}
