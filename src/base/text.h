/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Texts as sequences of characters, whatever bytes they are.
 *
 * Frontend safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef GEPA_BASE_TEXT_H
#define GEPA_BASE_TEXT_H

/*
 * The encoding of texts inside the server.  A database in SQL_ASCII is taken
 * to hold UTF-8.
 */
extern int	gepa_text_encoding(void);

/* Bytes of the character at p; at least 1, never beyond the end (p < end). */
extern int	gepa_char_length(int encoding, const char *p, const char *end);

/*
 * Where the text goes on behind *n characters, or its end; *n is what is left of
 * them then.
 */
extern const char *gepa_skip_chars(int encoding, const char *p, const char *end, int *n);

/*
 * Text from outside, fit for an error message: the whole characters within
 * max_bytes, without control characters and what else changes how a line
 * reads; what is no character becomes a question mark.
 */
extern char *gepa_clean_text(int encoding, const char *text, int max_bytes);

/* Nothing but blanks, or NULL. */
extern bool gepa_is_blank(const char *text);

/*
 * Overwrite a secret wherever it stands in a text, by as many asterisks; false if it
 * does not stand there (an empty one always does).  Never raises; fit for hooks.
 */
extern bool gepa_blank_out(char *text, const char *secret);

#endif							/* GEPA_BASE_TEXT_H */
