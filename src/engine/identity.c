/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  What a candidate is called across runs and processes.
 *
 * The reference's key of its evaluation cache: SHA-256 of the JSON text of
 * the name and text pairs sorted by name, non-ASCII characters escaped.
 * Within a run the engine compares texts and needs no such key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "engine/engine_internal.h"

/* Two hexadecimal code units outside the basic plane. */
static void
append_escaped(StringInfo buf, uint32 codepoint)
{
	if (codepoint >= 0x10000)
	{
		codepoint -= 0x10000;
		appendStringInfo(buf, "\\u%04x\\u%04x", (unsigned) (0xd800 + (codepoint >> 10)),
						 (unsigned) (0xdc00 + (codepoint & 0x3ff)));
	}
	else
		appendStringInfo(buf, "\\u%04x", (unsigned) codepoint);
}

static void
append_ascii(StringInfo buf, char c)
{
	switch (c)
	{
		case '"':
			appendStringInfoString(buf, "\\\"");
			break;
		case '\\':
			appendStringInfoString(buf, "\\\\");
			break;
		case '\n':
			appendStringInfoString(buf, "\\n");
			break;
		case '\r':
			appendStringInfoString(buf, "\\r");
			break;
		case '\t':
			appendStringInfoString(buf, "\\t");
			break;
		case '\b':
			appendStringInfoString(buf, "\\b");
			break;
		case '\f':
			appendStringInfoString(buf, "\\f");
			break;
		default:
			if ((unsigned char) c < 0x20)
				append_escaped(buf, (unsigned char) c);
			else
				appendStringInfoChar(buf, c);
	}
}

/* JSON string in ASCII; bytes that are no UTF-8 are escaped one by one. */
static void
append_string(StringInfo buf, const char *text)
{
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end = p + strlen(text);

	appendStringInfoChar(buf, '"');
	while (p < end)
	{
		int			length = pg_utf_mblen(p);

		if (*p < 0x80)
			append_ascii(buf, (char) *p);
		else if (length > 1 && length <= end - p && pg_utf8_islegal(p, length))
			append_escaped(buf, (uint32) utf8_to_unicode(p));
		else
		{
			length = 1;
			append_escaped(buf, *p);
		}
		p += length;
	}
	appendStringInfoChar(buf, '"');
}

typedef struct NamedText
{
	const char *name;
	const char *text;
} NamedText;

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const NamedText *) a)->name, ((const NamedText *) b)->name);
}

static char *
canonical_text(int ncomponents, const char *const *names, const char *const *texts)
{
	NamedText  *pairs = palloc((ncomponents + 1) * sizeof(NamedText));
	StringInfoData buf;
	int			i;

	for (i = 0; i < ncomponents; i++)
	{
		pairs[i].name = names[i];
		pairs[i].text = texts[i];
	}
	qsort(pairs, ncomponents, sizeof(NamedText), by_name);

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (i = 0; i < ncomponents; i++)
	{
		appendStringInfoString(&buf, i > 0 ? ", [" : "[");
		append_string(&buf, pairs[i].name);
		appendStringInfoString(&buf, ", ");
		append_string(&buf, pairs[i].text);
		appendStringInfoChar(&buf, ']');
	}
	appendStringInfoChar(&buf, ']');
	pfree(pairs);
	return buf.data;
}

bool
gepa_engine_identity(int ncomponents, const char *const *names, const char *const *texts,
					 uint8 *identity)
{
	char	   *canonical = canonical_text(ncomponents, names, texts);
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	bool		done;

	StaticAssertStmt(ENGINE_IDENTITY_LENGTH == PG_SHA256_DIGEST_LENGTH, "SHA-256");
	done = context != NULL &&
		pg_cryptohash_init(context) >= 0 &&
		pg_cryptohash_update(context, (const uint8 *) canonical, strlen(canonical)) >= 0 &&
		pg_cryptohash_final(context, identity, ENGINE_IDENTITY_LENGTH) >= 0;
	pg_cryptohash_free(context);
	pfree(canonical);
	return done;
}
