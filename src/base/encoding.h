/*-------------------------------------------------------------------------
 *
 * encoding.h
 *	  Between the encoding of the database and the UTF-8 of the wire.
 *
 * Texts inside the server are in the database's encoding; requests and
 * responses are in UTF-8.  A database in SQL_ASCII is taken to hold UTF-8.
 * Frontends know UTF-8 only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_ENCODING_H
#define GEPA_BASE_ENCODING_H

#ifndef FRONTEND

/* False in UTF-8, where all of this does nothing, and in SQL_ASCII. */
extern bool gepa_needs_conversion(void);

/*
 * Conversions are looked up in a transaction, once, and then work outside of
 * one as well, as run workers need.
 */
extern void gepa_prepare_conversion(void);

/* Raises 22021 or 22P05 for what is no text in UTF-8. */
extern char *gepa_to_utf8(char *text, int length);

/*
 * The text must be valid UTF-8; it may be NULL.  What the database's encoding
 * lacks becomes a question mark: what a model says is no reason for an error.
 */
extern char *gepa_from_utf8(const char *text);

#else

#define gepa_needs_conversion() false
#define gepa_to_utf8(text, length) (text)
#define gepa_from_utf8(text) (text)

#endif							/* FRONTEND */

#endif							/* GEPA_BASE_ENCODING_H */
