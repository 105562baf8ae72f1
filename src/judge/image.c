/*-------------------------------------------------------------------------
 *
 * image.c
 *	  Values of image fields, checked and made canonical.
 *
 * A value is hostile: it is looked at byte by byte, and never decoded but for its first
 * bytes, which tell the type.  Base64 is canonical when it has the standard alphabet, no
 * blanks, padding, and no bits behind the last byte.  The type that a data: URL claims
 * counts for nothing.
 *
 * A URL is not fetched here, and nothing is known of what is behind it; it is checked for
 * what it must not do on its way: end a header or carry a password.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "judge/judge_internal.h"

#define MAX_URL_BYTES 4096
#define SNIFFED_BYTES 12
#define SNIFFED_CHARS (SNIFFED_BYTES / 3 * 4)

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static const char unknown_type[] = "It is no image of a known type.";
static const char too_big[] = "It is larger than gepa.max_image_bytes.";

const char *
gepa_judge_image_type(const uint8 *bytes, size_t length)
{
	if (length >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
		return "image/png";
	if (length >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
		return "image/jpeg";
	if (length >= 6 && (memcmp(bytes, "GIF87a", 6) == 0 || memcmp(bytes, "GIF89a", 6) == 0))
		return "image/gif";
	if (length >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
		return "image/webp";
	return NULL;
}

bool
gepa_judge_is_image(const JudgeSpec *spec, const char *name)
{
	for (int i = 0; i < spec->nimages; i++)
		if (strcmp(spec->images[i], name) == 0)
			return true;
	return false;
}

void
gepa_judge_add_image(JudgeImages *images, const char *source)
{
	if (images->n == images->room)
	{
		images->room = Max(8, images->room * 2);
		images->sources = images->sources == NULL ? palloc(sizeof(char *) * images->room) :
			repalloc(images->sources, sizeof(char *) * images->room);
	}
	images->sources[images->n++] = source;
}

/*
 * Bytes
 */

/* "data:TYPE;base64," and room for so many digits; *at is where they go. */
static char *
begin_data_url(const char *type, size_t ndigits, char **at)
{
	size_t		prefix = strlen("data:;base64,") + strlen(type);
	char	   *url = palloc(prefix + ndigits + 1);

	sprintf(url, "data:%s;base64,", type);
	*at = url + prefix;
	url[prefix + ndigits] = '\0';
	return url;
}

static char *
put_group(char *at, const uint8 *bytes, int n)
{
	uint32		group = bytes[0] << 16 | (n > 1 ? bytes[1] << 8 : 0) | (n > 2 ? bytes[2] : 0);

	*at++ = base64_digits[group >> 18];
	*at++ = base64_digits[group >> 12 & 63];
	*at++ = n > 1 ? base64_digits[group >> 6 & 63] : '=';
	*at++ = n > 2 ? base64_digits[group & 63] : '=';
	return at;
}

char *
gepa_judge_image_of_bytes(const uint8 *bytes, size_t length, int max_bytes,
						  const char **problem)
{
	const char *type = gepa_judge_image_type(bytes, length);
	char	   *url;
	char	   *at;

	*problem = type == NULL ? unknown_type : length > max_bytes ? too_big : NULL;
	if (*problem != NULL)
		return NULL;
	url = begin_data_url(type, (length + 2) / 3 * 4, &at);
	for (size_t i = 0; i < length; i += 3)
		at = put_group(at, bytes + i, (int) Min(3, length - i));
	return url;
}

/* The value of a hexadecimal digit, -1 if it is none. */
static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As bytea is written: the digits behind \x. */
static char *
from_hex(const char *digits, int max_bytes, const char **problem)
{
	size_t		length = strlen(digits) / 2;
	uint8	   *bytes;
	char	   *url;

	*problem = length > max_bytes ? too_big : NULL;
	if (*problem != NULL)
		return NULL;
	bytes = palloc(length + 1);
	for (size_t i = 0; digits[i] != '\0'; i++)
	{
		int			value = hex_value(digits[i]);

		if (value < 0 || i / 2 >= length)
		{
			*problem = "It begins as a bytea does, but is none.";
			return NULL;
		}
		bytes[i / 2] = (uint8) (i % 2 == 0 ? value << 4 : bytes[i / 2] | value);
	}
	url = gepa_judge_image_of_bytes(bytes, length, max_bytes, problem);
	pfree(bytes);
	return url;
}

/*
 * Base64
 */

/* By byte: the digit's value, or one of these. */
#define IS_BLANK 64
#define IS_PADDING 65
#define IS_WRONG 66

static uint8 digit_values[256];

static void
make_digit_values(void)
{
	if (digit_values[0] == IS_WRONG)
		return;
	for (const char *p = " \t\r\n\f\v"; *p != '\0'; p++)
		digit_values[(uint8) *p] = IS_BLANK;
	for (int i = 0; i < 256; i++)
		if (digit_values[i] != IS_BLANK)
			digit_values[i] = IS_WRONG;
	for (int i = 0; i < 64; i++)
		digit_values[(uint8) base64_digits[i]] = (uint8) i;
	digit_values['-'] = 62;		/* of URLs and file names */
	digit_values['_'] = 63;
	digit_values['='] = IS_PADDING;
}

/* What a text of base64 consists of. */
typedef struct Digits
{
	size_t		n;				/* digits, without padding */
	size_t		length;			/* of the text */
	bool		plain;			/* it is canonical so far as its characters go */
	bool		wrong;
	uint8		first[SNIFFED_CHARS];	/* values */
	uint8		last;
} Digits;

static void
survey_digits(const char *text, Digits *digits)
{
	const char *p = text;
	int			npadding = 0;

	memset(digits, 0, sizeof(*digits));
	digits->plain = true;
	make_digit_values();
	for (; *p != '\0' && !digits->wrong; p++)
	{
		uint8		value = digit_values[(uint8) *p];

		digits->wrong = value == IS_WRONG || (value < 64 && npadding > 0);
		npadding += value == IS_PADDING;
		digits->plain = digits->plain && value != IS_BLANK && *p != '-' && *p != '_';
		if (value >= 64)
			continue;
		if (digits->n < SNIFFED_CHARS)
			digits->first[digits->n] = value;
		digits->n++;
		digits->last = value;
	}
	digits->length = p - text;
	digits->wrong = digits->wrong || digits->n % 4 == 1 || npadding > 2;
}

static const char *
sniff_digits(const Digits *digits)
{
	uint8		bytes[SNIFFED_BYTES];
	size_t		n = Min(digits->n * 3 / 4, SNIFFED_BYTES);
	const uint8 *d = digits->first;

	for (int i = 0; i < SNIFFED_BYTES; i += 3, d += 4)
	{
		bytes[i] = (uint8) (d[0] << 2 | d[1] >> 4);
		bytes[i + 1] = (uint8) (d[1] << 4 | d[2] >> 2);
		bytes[i + 2] = (uint8) (d[2] << 6 | d[3]);
	}
	return gepa_judge_image_type(bytes, n);
}

/* Bits of the last digit that belong to no byte. */
static uint8
spare_bits(const Digits *digits)
{
	static const uint8 masks[] = {0, 0, 0x0F, 0x03};

	return masks[digits->n % 4];
}

static char *
write_digits(const char *type, const char *text, const Digits *digits)
{
	size_t		ndigits = (digits->n + 3) / 4 * 4;
	char	   *at;
	char	   *url = begin_data_url(type, ndigits, &at);
	char	   *end = at + ndigits;

	for (const char *p = text; *p != '\0'; p++)
		if (digit_values[(uint8) *p] < 64)
			*at++ = base64_digits[digit_values[(uint8) *p]];
	at[-1] = base64_digits[digits->last & ~spare_bits(digits)];
	while (at < end)
		*at++ = '=';
	return url;
}

/* whole: the value that text is the end of. */
static const char *
from_base64(const char *whole, const char *text, int max_bytes, const char **problem)
{
	Digits		digits;
	const char *type;
	char		prefix[64];

	survey_digits(text, &digits);
	type = digits.wrong ? NULL : sniff_digits(&digits);
	if (digits.wrong)
		*problem = "It is neither a URL nor base64.";
	else if (digits.n * 3 / 4 > max_bytes)
		*problem = too_big;
	else
		*problem = type == NULL ? unknown_type : NULL;
	if (*problem != NULL)
		return NULL;
	snprintf(prefix, sizeof(prefix), "data:%s;base64,", type);
	if (digits.plain && (digits.n + 3) / 4 * 4 == digits.length &&
		(digits.last & spare_bits(&digits)) == 0 &&
		text - whole == strlen(prefix) && strncmp(whole, prefix, strlen(prefix)) == 0)
		return whole;
	return write_digits(type, text, &digits);
}

/*
 * URLs
 */

static bool
begins_with(const char *text, const char *word)
{
	return pg_strncasecmp(text, word, strlen(word)) == 0;
}

/* The part behind "data:"; what it says of its type may have parameters. */
static const char *
from_data_url(const char *value, int max_bytes, const char **problem)
{
	const char *comma = strchr(value, ',');
	static const char mark[] = ";base64";
	size_t		length = strlen(mark);

	if (comma == NULL || comma - value < length || !begins_with(comma - length, mark))
	{
		*problem = "It is a data: URL that is not in base64.";
		return NULL;
	}
	return from_base64(value, comma + 1, max_bytes, problem);
}

/* Visible ASCII but for what URLs do not have. */
static bool
is_url_text(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char) text[i] <= 0x20 || (unsigned char) text[i] >= 0x7F ||
			strchr("\"<>\\^`{|}", text[i]) != NULL)
			return false;
	return true;
}

static const char *
from_url(const char *value, const char **problem)
{
	const char *host = strstr(value, "://") + 3;
	size_t		authority = strcspn(host, "/?#");
	size_t		length = strlen(value);

	while (strchr(" \t\r\n", value[length - 1]) != NULL)
		length--;
	if (length > MAX_URL_BYTES)
		*problem = "It is a URL of more than 4096 bytes.";
	else if (!is_url_text(value, length) || authority == 0)
		*problem = "It is no valid URL.";
	else if (memchr(host, '@', authority) != NULL)
		*problem = "It is a URL with a name or password in it.";
	else
		*problem = NULL;
	if (*problem != NULL)
		return NULL;
	return value[length] == '\0' ? value : pnstrdup(value, length);
}

const char *
gepa_judge_image(const char *value, int max_bytes, const char **problem)
{
	const char *start = value + strspn(value, " \t\r\n");

	*problem = NULL;
	if (begins_with(start, "http://") || begins_with(start, "https://"))
		return from_url(start, problem);
	if (begins_with(start, "data:"))
		return from_data_url(start, max_bytes, problem);
	if (strncmp(start, "\\x", 2) == 0)
		return from_hex(start + 2, max_bytes, problem);
	if (start[strcspn(start, ":\r\n")] == ':')
	{
		*problem = "It is a URL that is neither http, https nor data.";
		return NULL;
	}
	return from_base64(value, start, max_bytes, problem);
}
