/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Texts as sequences of characters, whatever bytes they are.
 *
 * What comes from outside need not be valid in any encoding, so a character is
 * what its first byte says, cut at the end of the text.  Frontend safe: a
 * frontend has UTF-8 only, unless it says otherwise (as test/fuzz does).
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

#ifdef FRONTEND
#ifndef GEPA_FRONTEND_ENCODING
#define GEPA_FRONTEND_ENCODING PG_UTF8
#endif
#define GetDatabaseEncoding() (GEPA_FRONTEND_ENCODING)
#endif

int
gepa_text_encoding(void)
{
	int			encoding = GetDatabaseEncoding();

	return encoding == PG_SQL_ASCII ? PG_UTF8 : encoding;
}

int
gepa_char_length(int encoding, const char *p, const char *end)
{
	/* of one byte whatever it is, and some encodings look at the next one */
	if (!IS_HIGHBIT_SET(*p) || end - p == 1)
		return 1;
	return Max(1, Min(pg_encoding_mblen(encoding, p), (int) (end - p)));
}

/* Eight characters at p that are one byte each, in any encoding. */
static bool
is_plain(const char *p)
{
	uint64		bytes;

	memcpy(&bytes, p, sizeof(bytes));
	return (bytes & UINT64CONST(0x8080808080808080)) == 0;
}

const char *
gepa_skip_chars(int encoding, const char *p, const char *end, int *n)
{
	while (*n > 0 && p < end)
	{
		bool		eight = *n >= 8 && end - p >= 8 && is_plain(p);

		p += eight ? 8 : gepa_char_length(encoding, p, end);
		*n -= eight ? 8 : 1;
	}
	return p;
}

/*
 * Characters that move the cursor, or turn around what follows: C0, DEL, C1,
 * and the bidirectional embeddings, overrides and isolates.
 */
static bool
is_control(int encoding, const char *p, int length)
{
	const unsigned char *c = (const unsigned char *) p;

	if (length == 1)
		return c[0] < 0x20 || c[0] == 0x7F;
	if (encoding != PG_UTF8)
		return false;
	if (length == 2)
		return c[0] == 0xC2 && c[1] < 0xA0;
	return length == 3 && c[0] == 0xE2 &&
		((c[1] == 0x80 && c[2] >= 0xA8 && c[2] <= 0xAE) ||
		 (c[1] == 0x81 && c[2] >= 0xA6 && c[2] <= 0xA9));
}

char *
gepa_clean_text(int encoding, const char *text, int max_bytes)
{
	const char *end = text + strlen(text);
	const char *last = text + max_bytes;
	char	   *clean = palloc(max_bytes + 1);
	char	   *to = clean;

	while (text < end)
	{
		int			length = gepa_char_length(encoding, text, end);

		if (length > last - text)
			break;
		if (pg_encoding_verifymbchar(encoding, text, length) != length)
		{
			*to++ = '?';
			length = 1;
		}
		else if (is_control(encoding, text, length))
			*to++ = ' ';
		else
		{
			memcpy(to, text, length);
			to += length;
		}
		text += length;
	}
	*to = '\0';
	return clean;
}

bool
gepa_is_blank(const char *text)
{
	return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

bool
gepa_blank_out(char *text, const char *secret)
{
	size_t		length = strlen(secret);
	bool		found = length == 0;

	for (char *p = text; length > 0 && (p = strstr(p, secret)) != NULL; p += length)
	{
		memset(p, '*', length);
		found = true;
	}
	return found;
}
