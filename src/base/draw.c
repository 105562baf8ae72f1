/*-------------------------------------------------------------------------
 *
 * draw.c
 *	  Random numbers that belong to a key.
 *
 * PostgreSQL's own hash functions would do but for two things: they read words
 * in the machine's byte order, and may change with a version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "base/compat.h"
#include "base/draw.h"
#include "base/encoding.h"

typedef struct SipState
{
	uint64		v0;
	uint64		v1;
	uint64		v2;
	uint64		v3;
} SipState;

static inline uint64
rotate(uint64 x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

static void
mix(SipState *s, int rounds)
{
	while (rounds-- > 0)
	{
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 = rotate(s->v0, 32) + s->v3;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 = rotate(s->v2, 32);
	}
}

/* Up to eight bytes, the first one lowest. */
static uint64
take_word(const char *data, size_t length)
{
	uint64		word = 0;

	for (size_t i = 0; i < length; i++)
		word |= (uint64) (unsigned char) data[i] << (8 * i);
	return word;
}

static void
absorb(SipState *s, uint64 word)
{
	s->v3 ^= word;
	mix(s, 2);
	s->v0 ^= word;
}

uint64
gepa_siphash(uint64 key0, uint64 key1, const char *data, size_t length)
{
	SipState	s;
	size_t		whole = length - length % 8;

	s.v0 = key0 ^ UINT64CONST(0x736f6d6570736575);
	s.v1 = key1 ^ UINT64CONST(0x646f72616e646f6d);
	s.v2 = key0 ^ UINT64CONST(0x6c7967656e657261);
	s.v3 = key1 ^ UINT64CONST(0x7465646279746573);
	for (size_t i = 0; i < whole; i += 8)
		absorb(&s, take_word(data + i, 8));
	absorb(&s, take_word(data + whole, length - whole) | ((uint64) length << 56));
	s.v2 ^= 0xff;
	mix(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

double
gepa_draw_uniform(DrawPurpose purpose, uint64 seed, const char *key, size_t length)
{
	/* "gepa", and the purpose: what is drawn is kept, so this must stay. */
	uint64		hash = gepa_siphash(seed, UINT64CONST(0x6765706100000000) + purpose, key, length);

	/* 52 bits and a half: exact in a double, and neither 0 nor 1 */
	return ((double) (hash >> 12) + 0.5) / (double) (UINT64CONST(1) << 52);
}

#ifndef FRONTEND
double
gepa_draw_text(DrawPurpose purpose, int64 seed, text * key)
{
	char	   *data = VARDATA_ANY(key);
	size_t		length = VARSIZE_ANY_EXHDR(key);
	char	   *utf8 = gepa_to_utf8(data, (int) length);
	double		draw;

	draw = gepa_draw_uniform(purpose, (uint64) seed, utf8,
							 utf8 == data ? length : strlen(utf8));
	if (utf8 != data)
		pfree(utf8);
	return draw;
}
#endif
