/*-------------------------------------------------------------------------
 *
 * fuzz_encoding.h
 *	  The encoding of the "database", for src/base/text.c as the fuzzers build it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_FUZZ_ENCODING_H
#define GEPA_FUZZ_ENCODING_H

#define GEPA_FRONTEND_ENCODING fuzz_encoding

extern int	fuzz_encoding;

#endif							/* GEPA_FUZZ_ENCODING_H */
