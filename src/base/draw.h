/*-------------------------------------------------------------------------
 *
 * draw.h
 *	  Random numbers that belong to a key: the same on every machine, for ever.
 *
 * A draw is a hash of the key under a secret, the seed, by SipHash-2-4 (Aumasson
 * and Bernstein, 2012).  So a sample does not depend on the order in which rows
 * are read, on the process that reads them, on the machine's byte order or
 * PostgreSQL's version; and who may choose keys, such as the author of a page its
 * address, cannot choose draws as long as the seed is not known.  Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_DRAW_H
#define GEPA_BASE_DRAW_H

/* What it is for: draws for different purposes are independent. */
typedef enum DrawPurpose
{
	DRAW_PLAIN,					/* gepa.draw(), and the order of equals */
	DRAW_SAMPLE,				/* gepa.sample_key() */
	DRAW_COPIES					/* gepa.copies() */
} DrawPurpose;

/* The hash itself. */
extern uint64 gepa_siphash(uint64 key0, uint64 key1, const char *data, size_t length);

/*
 * Uniform in the open interval from 0 to 1, a multiple of 2^-53.  The key is in
 * UTF-8, so that databases of all encodings draw alike.
 */
extern double gepa_draw_uniform(DrawPurpose purpose, uint64 seed, const char *key, size_t length);

#ifndef FRONTEND
/* Of a text of the database, in whatever encoding. */
extern double gepa_draw_text(DrawPurpose purpose, int64 seed, text * key);
#endif

#endif							/* GEPA_BASE_DRAW_H */
